"""Streams for pages: chunks and events in, bytes out.

>>> from provider_kit import Client
>>> from provider_kit.integrations.ui_stream import ui_stream
>>> for piece in ui_stream(Client("demo/echo").stream("Hello"), protocol="sse"):
...     print(piece.decode().strip().splitlines()[0])
event: text
event: end

The modules of the frameworks use what is here; it waits for nothing by itself, starts no thread and no task.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

from attrs import define, field, frozen

from provider_kit.client.streams import AsyncChatStream, ChatStream
from provider_kit.conversations.stream import AsyncConversationStream, ConversationStream
from provider_kit.errors import ConfigError, InvalidRequestError, StreamIncompleteError
from provider_kit.integrations.ui_encoders import UIEncoder, to_bytes
from provider_kit.integrations.ui_errors import UIError, error_answer, tell_error, ui_error
from provider_kit.integrations.ui_messages import UIMessages, messages_from_ui
from provider_kit.integrations.ui_protocols import EventEncoder, OpenAIEncoder, TextEncoder
from provider_kit.integrations.ui_vercel import VercelEncoder
from provider_kit.model.chat import ChatResponse
from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.tools.run_events import RunReset
from provider_kit.tools.run_stream import AsyncRunStream, RunStream
from provider_kit.transports.drive import iterate_blocking

__all__ = [
    "PING_SECONDS",
    "Protocol",
    "UIAnswer",
    "UIError",
    "UIMessages",
    "UISource",
    "UIStreamOptions",
    "encoder_of",
    "error_answer",
    "messages_from_ui",
    "ui_error",
    "ui_stream",
]

#: How an answer is written for a page.
Protocol: TypeAlias = Literal["sse", "openai", "vercel", "text"]

#: Seconds without a byte after which a ping is sent. Proxies give up after 30 to 60.
PING_SECONDS = 15.0


#: How each protocol is written.
_ENCODERS: dict[str, Callable[[UIStreamOptions, int], UIEncoder]] = {
    "sse": lambda options, created: EventEncoder(),
    "openai": lambda options, created: OpenAIEncoder(options.model, created),
    "vercel": lambda options, created: VercelEncoder(options.sdk_version, options.metadata),
    "text": lambda options, created: TextEncoder(),
}


@frozen(kw_only=True)
class UIStreamOptions:
    """How a stream is written.

    Raises:
        ConfigError: One of them is wrong.
    """

    protocol: Protocol = "sse"
    #: Major version of Vercel's client (the npm package ``ai``): 5, 6 or 7.
    sdk_version: int = 7
    #: What is told of an error; default: :func:`ui_error`.
    show_error: Callable[[BaseException], UIError] = ui_error
    #: ``messageMetadata`` of a finished message, for Vercel's client.
    metadata: Callable[[ChatResponse[Any]], Any] | None = None
    #: The name of the model that readers of OpenAI's protocol are told.
    model: str = "default"
    #: Further headers of the answer, and others in place of its own.
    headers: Mapping[str, str] | None = None
    #: Seconds without a byte after which a ping is sent, and for which the first content is waited for, so that an
    #: error before it has a status of its own.
    ping: float = PING_SECONDS

    def __attrs_post_init__(self) -> None:
        if self.protocol not in _ENCODERS:
            raise ConfigError(
                f"There is no protocol {self.protocol!r}.",
                hint=f"{did_you_mean(str(self.protocol), _ENCODERS)}It is one of {', '.join(_ENCODERS)}.",
            )
        if self.sdk_version not in (5, 6, 7):
            raise ConfigError(
                f"sdk_version must be 5, 6 or 7, not {self.sdk_version!r}.",
                hint="It is the major version of the npm package ai.",
            )
        if not isinstance(self.ping, (int, float)) or not 0 < self.ping <= PING_SECONDS:
            raise ConfigError(f"ping must be a number of seconds up to {PING_SECONDS:g}, not {self.ping!r}.")


def encoder_of(options: UIStreamOptions, created: int = 0) -> UIEncoder:
    """The encoder of a protocol."""
    return _ENCODERS[options.protocol](options, created)


class UISource:
    """What is streamed: any stream of this library, or an iterator of chunks, events or texts.

    Raises:
        ConfigError: It is none.
    """

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        asynchronous = isinstance(stream, (AsyncChatStream, AsyncRunStream, AsyncConversationStream))
        self.asynchronous = asynchronous or (hasattr(stream, "__aiter__") and not _is_blocking(stream))
        if not self.asynchronous and (not hasattr(stream, "__iter__") or isinstance(stream, (str, bytes, Mapping))):
            raise ConfigError(
                f"{type(stream).__name__} is no stream.",
                hint="Pass client.stream(…), client.astream(…), talk.stream(…), or an iterator of texts.",
            )

    async def items(self) -> AsyncGenerator[Any, None]:
        """What it yields; of a blocking stream without ever suspending."""
        stream = self.stream
        if isinstance(stream, (ConversationStream, AsyncConversationStream)):
            stream = stream.events()
        if self.asynchronous:
            async for item in stream:
                yield item
        else:
            for item in stream:
                yield item

    def response(self) -> ChatResponse[Any] | None:
        """The answer, once it is complete; ``None`` where only text was streamed."""
        stream = self.stream
        if isinstance(stream, (RunStream, AsyncRunStream)):
            return stream.result
        if isinstance(stream, (ChatStream, AsyncChatStream, ConversationStream, AsyncConversationStream)):
            return stream.response
        return None

    def close(self) -> None:
        """Close a blocking stream; it may be read by another thread, whose reading then ends."""
        close = getattr(self.stream, "close", None)
        if close is None:
            return
        if isinstance(self.stream, (RunStream, ConversationStream)):
            self.stream.interrupt()  # another thread may read it, or be about to
        try:
            close()
        except InvalidRequestError:  # another thread reads it, and has been interrupted
            return
        except ValueError:  # a generator that another thread runs; it ends with its next item
            return

    async def aclose(self) -> None:
        """Close it, whatever it is; a blocking stream without suspending."""
        if not self.asynchronous:
            self.close()
            return
        close = getattr(self.stream, "aclose", None)
        if close is not None:
            await close()


def _is_blocking(stream: Any) -> bool:
    """Whether its ``__aiter__`` only says what to write instead."""
    return isinstance(stream, (ChatStream, RunStream, ConversationStream))


@define(eq=False)
class UIAnswer:
    """The answer to one request of a page, as bytes. It waits for nothing: a relay tells it what happens."""

    source: UISource
    options: UIStreamOptions
    encoder: UIEncoder = field(init=False)
    #: Whether something was sent.
    begun: bool = field(default=False, init=False)
    #: Whether nothing follows.
    ended: bool = field(default=False, init=False)
    #: Whether something was sent that cannot be taken back.
    _has_text: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self.encoder = encoder_of(self.options, int(datetime.now(UTC).timestamp()))

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of the stream."""
        return self._with_headers(self.encoder.headers)

    def _with_headers(self, told: Mapping[str, str]) -> dict[str, str]:
        return {**told, **{name.lower(): value for name, value in (self.options.headers or {}).items()}}

    @property
    def ping(self) -> bytes:
        """What is sent when nothing has happened for a while."""
        return self.encoder.ping

    def begin(self) -> bytes:
        """The beginning; empty if it was sent."""
        begun, self.begun = self.begun, True
        return b"" if begun else self.encoder.start()

    def take(self, item: Any, error: BaseException | None = None, end: bool = False) -> bytes:
        """The bytes for an item, an error, or the end; often empty.

        Raises:
            Exception: The error itself, where the protocol has no form for it: the connection is to be broken off.
        """
        try:
            if error is not None:
                raise error
            made = self.encoder.end(self.source.response()) if end else self._item(item)
        except Exception as failed:  # whatever it is, the page is told
            self.ended = True
            return self.failure(failed)
        self.ended = end
        return self.begin() + made

    def _item(self, item: Any) -> bytes:
        if type(item) is RunReset and not self.encoder.can_reset and self._has_text:
            raise StreamIncompleteError("The answer broke off, and the page cannot be told so.") from item.error
        made = self.encoder.feed(item)
        self._has_text = self._has_text or bool(made)
        return made

    def refusal(self, error: BaseException) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body of an answer that failed before anything was sent."""
        told = tell_error(error, self.options.show_error)
        if not self.encoder.plain_errors:
            return told.status, self._with_headers(told.headers), to_bytes({"error": told.fields})
        headers = {**told.headers, "content-type": "text/plain; charset=utf-8", "x-error-code": told.code}
        return told.status, self._with_headers(headers), told.message.encode()

    def failure(self, error: BaseException) -> bytes:
        """The bytes of an error after the beginning.

        Raises:
            Exception: The error itself, where the protocol has no form for it: the connection is to be broken off.
        """
        told = tell_error(error, self.options.show_error)
        if not self.encoder.tells_errors:
            raise error
        return self.begin() + self.encoder.error(told)


def ui_stream(stream: Any, protocol: Protocol = "sse", **options: Any) -> Iterator[bytes] | AsyncIterator[bytes]:
    """Make bytes of a stream, as a page reads them: an iterator of a blocking stream, an asynchronous one of the
    others.

    It sends no pings and chooses no status; ``stream_response`` of a framework's module does.

    Args:
        stream: ``client.stream(…)``, ``client.stream_run(…)``, ``talk.stream(…)``, their asynchronous twins, or an
            iterator of chunks, events of a run, or texts.
        protocol: ``sse`` (events with names), ``openai``, ``vercel`` (``useChat``), or ``text``.
        options: Fields of :class:`UIStreamOptions`.

    Raises:
        ConfigError: It is no stream, or an option is wrong.
    """
    source = UISource(stream)
    answer = UIAnswer(source, UIStreamOptions(protocol=protocol, **options))
    pieces = _pieces(answer)
    return pieces if source.asynchronous else iterate_blocking(pieces)


async def _pieces(answer: UIAnswer) -> AsyncGenerator[bytes, None]:
    items = answer.source.items()
    try:
        while not answer.ended:
            try:
                made = answer.take(await anext(items))
            except StopAsyncIteration:
                made = answer.take(None, end=True)
            except Exception as error:  # whatever it is, the page is told
                made = answer.take(None, error)
            if made:
                yield made
    finally:
        await answer.source.aclose()
        await items.aclose()
