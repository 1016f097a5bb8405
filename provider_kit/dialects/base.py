"""What a dialect is: requests to bytes, bytes to answers, and nothing that waits.

A dialect knows the wire format of one API. It opens no connection, reads no clock and holds no credentials. The engine
gets a :class:`WireRequest` from it, sends that, and passes the bytes of the answer back.
"""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from attrs import define, field

from provider_kit.dialects.failures import error_from_body
from provider_kit.errors import (
    APIError,
    InvalidRequestError,
    InvalidResponseError,
    NotSupportedError,
    UnsupportedParameterError,
)
from provider_kit.model.chat import OPTIONAL_FIELDS, ChatRequest, ChatResponse, Chunk, ParameterWarning
from provider_kit.model.config import OnUnsupported
from provider_kit.model.json_text import loads
from provider_kit.model.media import Document, Media
from provider_kit.model.models import Embeddings, Model
from provider_kit.wire.server_sent_events import ErrorEvent

__all__ = [
    "COMMON_FIELDS",
    "Dialect",
    "ParameterReport",
    "StreamDecoder",
    "StreamFailure",
    "WireRequest",
    "decode_event",
    "expect_object",
    "is_video",
    "path_name",
    "refuse_video",
]


_PATH_NAME = re.compile(r"[A-Za-z0-9._:@+~=/-]{1,300}")
#: No overrides of error codes.
NO_OVERRIDES: Mapping[str, type[APIError]] = {}
#: Bytes of a text that is not JSON that an error keeps.
_MOST_WORDS = 500


@define
class WireRequest:
    """One request in a dialect: where to, what, and how the answer is to be read."""

    path: str
    body: dict[str, Any] | None
    headers: dict[str, str] | None = None
    query: dict[str, str] | None = None
    method: str = "POST"
    #: A body that is not JSON.
    content: bytes | None = field(default=None, repr=lambda content: f"<{len(content)} bytes>" if content else "None")
    #: A path that is put before that of the base URL.
    before: str = ""
    #: Whether the path begins at the root of the host, and has its own query.
    from_root: bool = False


@define
class ParameterReport:
    """Collects parameters a model does not accept. The caller decides what happens to them."""

    on_unsupported: OnUnsupported = "warn"
    provider: str | None = None
    model: str | None = None
    warnings: list[ParameterWarning] = field(factory=list)

    def omit(self, parameter: str, message: str) -> None:
        """Report something that is not sent, or not sent as asked.

        Raises:
            UnsupportedParameterError: The caller set ``on_unsupported="raise"``.
        """
        if self.on_unsupported == "raise":
            raise UnsupportedParameterError(
                f"{parameter}: {message}", provider=self.provider, model=self.model, operation="chat"
            )
        if self.on_unsupported == "warn":
            self.warnings.append(ParameterWarning(parameter, message))


class StreamFailure(Exception):
    """An error the provider reported inside a stream; the engine turns it into a public error."""

    def __init__(self, error: APIError) -> None:
        super().__init__(error.message)
        self.error = error


class StreamDecoder(Protocol):
    """Reads one streamed answer. ``feed`` yields chunks lazily, one event decoded at a time."""

    #: Whether the stream's terminal event was seen.
    complete: bool
    #: Whether only that event is missing: the finish reason came, and then the bytes ended.
    lacks_only_end: bool

    def feed(self, data: bytes) -> Iterable[Chunk]:
        """Take bytes, yield the chunks they complete; the last chunk carries the finish reason."""
        ...

    def finish(self) -> Iterable[Chunk]:
        """The bytes have ended: yield what was held back."""
        ...

    def response(self) -> ChatResponse:
        """The answer as far as it was received."""
        ...


#: Fields that every current API has.
COMMON_FIELDS = frozenset(
    {
        "temperature",
        "top_p",
        "max_tokens",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "response_format",
        "reasoning",
        "cache",
        "cache_key",  # where there is none, nothing is lost
    }
)


class Dialect:
    """Base of the dialects: an operation that an API does not have raises :class:`NotSupportedError`."""

    #: The dialect that counts tokens instead of this one.
    counter: Dialect | None = None
    #: Whether the provider keeps answers, which a later request continues by their ids.
    keeps_answers: bool = False
    #: The dialect's name; also the ``origin`` of messages it reads, unless the provider narrows it.
    name: str = ""
    #: The fields of a :class:`ChatRequest` that :meth:`build_chat` writes, or reports itself. Any other field of a call
    #: is reported as unsupported, so that none is lost silently.
    takes: frozenset[str] = frozenset()
    _untaken: tuple[str, ...] = OPTIONAL_FIELDS

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._untaken = tuple(name for name in OPTIONAL_FIELDS if name not in cls.takes)
        if "write_chat" not in vars(cls):
            # Where there is nothing to report, the one is the other; a base may have had another answer.
            cls.write_chat = Dialect.write_chat if cls._untaken else cls.build_chat  # type: ignore[method-assign]

    def __init__(
        self,
        *,
        provider: str = "",
        origin: str | None = None,
        error_codes: Mapping[str, type[APIError]] | None = None,
    ) -> None:
        self.provider = provider
        self.origin = origin or self.name
        #: Error codes that mean something else at this provider.
        self.error_codes: Mapping[str, type[APIError]] = error_codes or {}

    def write_chat(self, request: ChatRequest, *, stream: bool, report: ParameterReport) -> WireRequest:
        """Write a chat request, and report the fields this API does not have."""
        for name in self._untaken:
            if getattr(request, name) is not None:
                report.omit(name, "this API has no such parameter.")
        return self.build_chat(request, stream=stream, report=report)

    def build_chat(self, request: ChatRequest, *, stream: bool, report: ParameterReport) -> WireRequest:
        """Write the fields of a chat request that :attr:`takes` names."""
        raise self._missing("chat")

    def parse_chat(self, payload: Any) -> ChatResponse:
        """Read a whole answer."""
        raise self._missing("chat")

    def stream_decoder(self) -> StreamDecoder:
        """Create a decoder for one streamed answer."""
        raise self._missing("streaming")

    def takes_link(self, part: Media) -> bool:
        """Whether the provider itself fetches a file that is a link; others are downloaded and sent as data."""
        return True

    def takes_scheme(self, scheme: str) -> bool:
        """Whether the provider itself fetches files of addresses that are not of the web, such as ``gs://``."""
        return False

    def build_models(self, cursor: str | None) -> WireRequest:
        """Request the list of models, or its next page."""
        raise self._missing("model listing")

    def parse_models(self, payload: Any) -> tuple[list[Model], str | None]:
        """Read a page of models and the cursor of the next one."""
        raise self._missing("model listing")

    def build_embed(self, texts: Sequence[str], model: str, dimensions: int | None) -> WireRequest:
        """Request embeddings."""
        raise self._missing("embeddings")

    def parse_embed(self, payload: Any) -> Embeddings:
        """Read embeddings."""
        raise self._missing("embeddings")

    def build_count(self, request: ChatRequest, report: ParameterReport) -> WireRequest:
        """Request the token count of a request."""
        raise self._missing("token counting")

    def parse_count(self, payload: Any) -> int:
        """Read the number of tokens."""
        raise self._missing("token counting")

    def _missing(self, what: str) -> NotSupportedError:
        return NotSupportedError(
            f"{self.provider or self.name} has no endpoint for {what}.",
            provider=self.provider or None,
            hint="Use another provider for this.",
        )


def decode_event(
    data: bytes, provider: str, error_codes: Mapping[str, type[APIError]] = NO_OVERRIDES
) -> dict[str, Any]:
    """One event of a stream as a JSON object.

    Raises:
        StreamFailure: The server named it an error, or it is not an object.
    """
    try:
        value = loads(data)
    except ValueError:
        value = None
    if type(data) is ErrorEvent:
        words = data[:_MOST_WORDS].decode("utf-8", "replace").strip() if value is None else value
        raise StreamFailure(error_from_body(words, status=200, headers={}, provider=provider, overrides=error_codes))
    if type(value) is dict:
        return value
    if type(value) is list and value and type(value[0]) is dict and value[0].get("error"):
        raise StreamFailure(error_from_body(value, status=200, headers={}, provider=provider, overrides=error_codes))
    raise StreamFailure(
        InvalidResponseError(
            "The stream holds an event that is not a JSON object.",
            body=data[:_MOST_WORDS].decode("utf-8", "replace"),
            provider=provider or None,
        )
    )


def path_name(model: str, what: str = "the name of a model") -> str:
    """A model's name, or another one, checked for use in a path.

    Raises:
        InvalidRequestError: It would lead to another path, or another query.
    """
    if not _PATH_NAME.fullmatch(model) or any(step in ("", ".", "..") for step in model.split("/")):
        raise InvalidRequestError(
            f"{model[:100]!r} cannot be {what} at this provider, which writes it into the address.",
            hint="Names have letters, digits and . _ - : @ + ~, in segments separated by single slashes.",
        )
    return model


def is_video(document: Document) -> bool:
    """Whether a document is a video, by its type or the name in its address."""
    kind = document.media_type or mimetypes.guess_type((document.url or "").partition("?")[0])[0] or ""
    return kind.startswith("video/")


def refuse_video(document: Document) -> None:
    """Refuse a video that was attached as a document.

    Raises:
        InvalidRequestError: It is one.
    """
    if is_video(document):
        kind = document.media_type or "video"
        raise InvalidRequestError(
            f"This API takes no videos ({kind}).", hint="Use Gemini, or send single frames as images."
        )


def expect_object(payload: Any, what: str, keys: Iterable[str], provider: str) -> Mapping[str, Any]:
    """``payload`` itself if it is an object with at least one of ``keys``.

    Raises:
        InvalidResponseError: It is something else.
    """
    if isinstance(payload, Mapping) and any(key in payload for key in keys):
        return payload
    raise InvalidResponseError(
        f"The answer is not {what}: it has none of {', '.join(keys)}.",
        status_code=200,
        body=payload,
        provider=provider or None,
        hint="The base URL may point to another API; check base_url.",
    )
