"""What is said: messages and their parts.

A :class:`Message` has a role and a content: a plain string, or a list of parts. Parts are values without
behaviour towards any provider; how each API writes them down is the business of the dialects. This
module reads no network and knows no wire format. :meth:`Media.from_path` is the only place that opens a
file.

What a provider wants back byte for byte (thinking signatures, encrypted reasoning, server-side tool
blocks) is kept on the part it came with: ``signature``, ``native``, and ``Message.origin`` that tells
which API wrote it. A dialect sends such things back only to where they came from.
"""

from __future__ import annotations

import base64
import mimetypes
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

from attrs import define, field

from provider_kit.errors import InvalidRequestError, ToolCallParseError
from provider_kit.model.arguments import explained
from provider_kit.model.json_text import dumps_text, loads
from provider_kit.model.surrogates import mend_all
from provider_kit.model.text_bytes import is_text, read_text

__all__ = [
    "Audio",
    "Document",
    "Image",
    "Media",
    "Message",
    "Native",
    "Part",
    "Refusal",
    "Role",
    "Text",
    "Thinking",
    "ToolCall",
    "ToolResult",
    "attachment",
]

Role: TypeAlias = Literal["system", "developer", "user", "assistant", "tool"]

#: Types that are text under another name (RFC 6838, and what Python's ``mimetypes`` knows).
_TEXT_TYPES = frozenset(
    f"application/{name}"
    for name in (
        "json",
        "xml",
        "yaml",
        "x-yaml",
        "toml",
        "javascript",
        "x-javascript",
        "sql",
        "x-sh",
        "x-python",
        "x-tex",
    )
)
_TEXT_ENDS = ("+json", "+xml", "+yaml")

ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})


@define
class Text:
    """Plain text.

    ``cache`` marks the end of a prefix worth caching (``True``, or a time to live such as ``"5m"`` or
    ``"1h"``), where the provider has explicit cache marks.
    """

    text: str
    #: Cache mark at the end of this part.
    cache: bool | str | None = field(default=None, kw_only=True)
    #: Gemini's opaque thought signature, sent back on the same part.
    signature: str | None = field(default=None, kw_only=True)
    #: Fields this library does not know, kept as they came.
    extra: dict[str, Any] | None = field(default=None, kw_only=True, repr=False)


@define
class Refusal:
    """The model's words when it declines to answer."""

    text: str
    extra: dict[str, Any] | None = field(default=None, kw_only=True, repr=False)


@define(kw_only=True)
class Media:
    """Bytes that are not text: give exactly one of ``data``, ``url`` or ``file_id``."""

    #: The content itself.
    data: bytes | None = field(default=None, repr=lambda data: f"<{len(data)} bytes>" if data else "None")
    #: Where the provider can fetch it.
    url: str | None = None
    #: Id of a file uploaded to the provider before.
    file_id: str | None = None
    #: MIME type such as ``image/png``; needed with ``data``.
    media_type: str | None = None
    #: File name, where the provider shows or needs one.
    filename: str | None = None
    #: Image detail: ``low``, ``high``, ``auto``.
    detail: str | None = None
    #: Cache mark at the end of this part.
    cache: bool | str | None = None
    extra: dict[str, Any] | None = field(default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        if sum(source is not None for source in (self.data, self.url, self.file_id)) != 1:
            raise InvalidRequestError(
                f"{type(self).__name__} needs exactly one of data=, url= and file_id=.",
                hint=f"{type(self).__name__}.from_path('…') reads a file.",
            )
        if isinstance(self.filename, os.PathLike):
            self.filename = os.path.basename(os.fspath(self.filename))
        if isinstance(self.data, (bytearray, memoryview)):
            self.data = bytes(self.data)
        if self.data is not None and not isinstance(self.data, bytes):
            raise InvalidRequestError(
                f"data= takes bytes, not {type(self.data).__name__}.",
                hint=f"{type(self).__name__}.from_path('…') reads a file, url='https://…' names an address; "
                "base64.b64decode(text) makes bytes of base64.",
            )
        if self.data is not None and self.media_type is None:
            self.media_type = sniff(self.data) or _named(self.filename)
            if self.media_type is None and isinstance(self, Document) and is_text(self.data):
                self.media_type = "text/plain"
            if self.media_type is None:
                raise InvalidRequestError(
                    f"The type of the {type(self).__name__.lower()} is unknown.",
                    hint="Give its name the ending of its type, e.g. photo.png, or pass media_type=.",
                )
            self._check_kind(self.media_type)

    def check(self) -> None:
        """Whether a provider could read it.

        Raises:
            InvalidRequestError: A field of text is something else, or the address is none.
        """
        for name in ("url", "file_id", "media_type", "filename"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise InvalidRequestError(f"{name}= of {type(self).__name__} must be a text, not {value!r}.")
        if self.url is not None:
            _check_address(self.url, type(self).__name__)

    def _check_kind(self, media_type: str) -> None:
        """A type that was found by content or name, not given, must be of the class: a program is no picture."""
        kind = type(self)
        if kind is not Media and not _fits(kind, media_type):
            raise _wrong_kind(kind, media_type)

    @classmethod
    def from_path(cls, path: str | os.PathLike[str], **options: Any) -> Media:
        """Read a file into a part of the fitting class (image, audio, else document).

        Args:
            path: The file to read.
            options: Further fields, e.g. ``detail="low"``.

        Raises:
            InvalidRequestError: The file is missing, unreadable or empty.
        """
        file = Path(path)
        try:
            data = file.read_bytes()
        except OSError as error:
            raise InvalidRequestError(
                f"Cannot read the file {str(file)!r}: {error.strerror or error}.",
                hint="Check the path; it is relative to the current working directory.",
            ) from error
        options.setdefault("filename", file.name)
        return cls.from_bytes(data, **options)

    @classmethod
    def from_bytes(cls, data: bytes, **options: Any) -> Media:
        """Make a part of the fitting class from bytes, telling the type by their content, then by name."""
        if not data:
            raise InvalidRequestError("The file is empty.", hint="Attach a file with content.")
        given = options.pop("media_type", None)
        media_type = given or sniff(data)
        if media_type is None:
            media_type = _named(options.get("filename"))
            written = is_text(data)
            if written and media_type != "image/svg+xml" and (media_type or "").startswith(("image/", "audio/")):
                raise InvalidRequestError(
                    f"The file {options.get('filename')!r} is no {media_type}: it holds text.",
                    hint="Look into it; a download may have brought an error page instead.",
                )
            media_type = media_type or ("text/plain" if written else None)
        if media_type is None:
            raise InvalidRequestError(
                f"Cannot tell the type of the file{f' {named!r}' if (named := options.get('filename')) else ''}.",
                hint="Give its name the ending of its type, e.g. report.pdf, or pass media_type='application/pdf'.",
            )
        part = cls if cls is not Media else _class_for(media_type)
        if given is None and not _fits(part, media_type):
            raise _wrong_kind(part, media_type)
        return part(data=data, media_type=media_type, **options)

    @property
    def base64(self) -> str:
        """``data`` as base64 text."""
        return base64.b64encode(self.data or b"").decode("ascii")

    @property
    def data_url(self) -> str:
        """``data`` as an RFC 2397 data URL."""
        return f"data:{self.media_type or 'application/octet-stream'};base64,{self.base64}"


@explained("Image.from_path('photo.png'), or Image(url='https://…')")
@define(kw_only=True)
class Image(Media):
    """A picture (PNG, JPEG, WebP, GIF)."""


@explained("Document.from_path('report.pdf'), or Document(url='https://…')")
@define(kw_only=True)
class Document(Media):
    """A document, usually PDF or plain text."""

    @property
    def as_text(self) -> str | None:
        """What it says, if it is written in plain text (source code, JSON, CSV …), else ``None``.

        Raises:
            InvalidRequestError: It is in an encoding that cannot be told: neither UTF-8 nor with a byte order mark.
        """
        kind = self.media_type or ""
        if self.data is None or not (kind.startswith("text/") or kind in _TEXT_TYPES or kind.endswith(_TEXT_ENDS)):
            return None
        text = read_text(self.data)
        if text is None:
            why = "holds NUL bytes, which no text has" if 0 in self.data else "not in UTF-8"
            raise InvalidRequestError(
                f"{f'The file {self.filename!r}' if self.filename else 'The document'} is {kind}, but {why}.",
                hint="Save it as text in UTF-8.",
            )
        return text


@explained("Audio.from_path('speech.mp3')")
@define(kw_only=True)
class Audio(Media):
    """Sound, usually WAV or MP3."""


#: Addresses that no provider fetches from.
_OUT_OF_REACH = frozenset({"file", "ftp", "sftp", "ssh"})


def _check_address(url: str, kind: str) -> None:
    """Whether a provider could fetch it.

    Raises:
        InvalidRequestError: It is a path of this machine, has no host, or is cut.
    """
    scheme, mark, rest = url.partition(":")
    scheme = scheme.lower()
    if scheme == "data" and "," in rest:
        return
    if mark and rest.startswith("//") and len(rest) > 2 and rest[2] not in "/?#" and scheme not in _OUT_OF_REACH:
        return
    raise InvalidRequestError(
        f"{url.partition('?')[0][:100]!r} is no address that a provider could fetch.",  # a query may hold a signature
        hint=f"Write it whole: 'https://…'. {kind}.from_path('…') reads a file of this machine.",
    )


def _named(filename: str | None) -> str | None:
    """The type that a file's name tells; that it is bytes is no type."""
    found = mimetypes.guess_type(filename or "")[0]
    return None if found == "application/octet-stream" else found


def _arguments_text(arguments: str | Mapping[str, Any] | None) -> str:
    if type(arguments) is str:
        return arguments
    if arguments is None:
        return ""
    try:
        return dumps_text(arguments)
    except (TypeError, ValueError) as error:
        raise InvalidRequestError(
            f"The tool call's arguments cannot be written as JSON: {error}.",
            hint="Use only dicts, lists, strings, numbers, booleans and None.",
        ) from error


@define
class ToolCall:
    """A call of a tool that the model asks for.

    ``arguments`` may be given as a dict or as JSON text; the text is kept as the model wrote it.
    """

    #: Id that the result refers to; made locally where the provider gives none.
    id: str
    #: Name of the tool.
    name: str
    #: The arguments as the model wrote them: JSON text, possibly empty, possibly invalid.
    arguments_json: str = field(default="", alias="arguments", converter=_arguments_text)
    #: ``True`` if ``id`` was made locally, not by the provider.
    local_id: bool = field(default=False, kw_only=True)
    #: Gemini's opaque thought signature, sent back on the same part.
    signature: str | None = field(default=None, kw_only=True)
    #: The block exactly as received, for APIs that want it back unchanged.
    native: dict[str, Any] | None = field(default=None, kw_only=True, repr=False)
    extra: dict[str, Any] | None = field(default=None, kw_only=True, repr=False)

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments as a dict; empty text means no arguments.

        Raises:
            ToolCallParseError: The model did not write a JSON object.
        """
        if not self.arguments_json.strip():
            return {}
        try:
            value = loads(self.arguments_json)
        except ValueError as error:
            raise ToolCallParseError(f"The arguments of {self.name!r} are not valid JSON: {error}.") from error
        if not isinstance(value, dict):
            raise ToolCallParseError(
                f"The arguments of {self.name!r} are a JSON {type(value).__name__}, not an object."
            )
        return mend_all(value) if "\\u" in self.arguments_json else value


def _result_content(content: Any) -> str | list[Any]:
    """What a tool returned: text and parts as they are, anything else as JSON."""
    if isinstance(content, str):
        return content
    if isinstance(content, (Text, Media)):
        return [content]
    if isinstance(content, list) and content and not isinstance(content[0], (dict, str, int, float, list, type(None))):
        return content
    try:
        return dumps_text(content)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequestError(
            f"A tool result cannot be written as JSON: {error}.",
            hint="Return text, parts (Text, Image), or what JSON can carry.",
        ) from error


@define
class ToolResult:
    """The answer to a tool call."""

    #: Id of the call that is answered.
    tool_call_id: str
    #: What the tool returned: text, or parts where the provider takes them. Anything else becomes JSON.
    content: str | list[Any] = field(converter=_result_content)
    #: Name of the tool; looked up from the call where it is left out.
    name: str | None = field(default=None, kw_only=True)
    #: ``True`` if the tool failed and ``content`` says why.
    is_error: bool = field(default=False, kw_only=True)
    cache: bool | str | None = field(default=None, kw_only=True)
    extra: dict[str, Any] | None = field(default=None, kw_only=True, repr=False)

    @property
    def text(self) -> str:
        """Its text alone, which is the parts of text, as they follow each other, and the text files, set apart.

        Raises:
            InvalidRequestError: A text file is in an encoding that cannot be told.
        """
        if isinstance(self.content, str):
            return self.content
        pieces = [""]
        for part in self.content:
            text = written_in(part)
            if isinstance(part, Text):
                pieces[-1] += part.text
            elif text is not None:
                pieces += [text, ""]
        return "\n\n".join(filter(None, pieces))


def written_in(part: Any) -> str | None:
    """What a part of text or a text file says; ``None`` for any other part."""
    if isinstance(part, Text):
        return part.text
    return part.as_text if isinstance(part, Document) else None


@define
class Thinking:
    """Reasoning the model shows, with what its provider needs back unchanged."""

    #: The reasoning, or a summary of it; may be empty.
    text: str = ""
    #: The reasoning word for word, where an API tells it apart from the summary in ``text``.
    verbatim: str = field(default="", kw_only=True)
    #: Opaque signature over the reasoning.
    signature: str | None = field(default=None, kw_only=True)
    #: The block exactly as received.
    native: dict[str, Any] | None = field(default=None, kw_only=True, repr=False)
    extra: dict[str, Any] | None = field(default=None, kw_only=True, repr=False)


@define
class Native:
    """A block only one API understands (server-side tools, citations…), kept as it came.

    It is sent back to the API that wrote it and left out, with a warning, everywhere else.
    """

    #: The block's own type.
    type: str
    #: The block exactly as received.
    data: dict[str, Any]


Part: TypeAlias = Text | Refusal | Image | Document | Audio | ToolCall | ToolResult | Thinking | Native


@define
class Message:
    """One turn of a conversation.

    ``origin`` and ``model`` tell which API and model wrote an assistant message; both are filled in on
    answers and decide whether opaque parts are sent back.
    """

    role: str
    content: str | list[Part]
    #: Name of the participant, where the provider takes one.
    name: str | None = field(default=None, kw_only=True)
    #: Dialect that wrote this message, e.g. ``anthropic_messages``.
    origin: str | None = field(default=None, kw_only=True)
    #: Model that wrote this message.
    model: str | None = field(default=None, kw_only=True)
    #: Whether it is an answer that was cut: its last parts may be unfinished.
    incomplete: bool = field(default=False, kw_only=True)
    #: Fields this library does not know, kept as they came.
    extra: dict[str, Any] | None = field(default=None, kw_only=True, repr=False)

    @property
    def text(self) -> str:
        """The text of the message, parts joined without a separator."""
        content = self.content
        if type(content) is str:
            return content
        return "".join([part.text for part in content if type(part) is Text])

    @property
    def thinking(self) -> str:
        """The reasoning shown, parts joined with a blank line; empty if there is none."""
        return "\n\n".join(part.text for part in self.parts if type(part) is Thinking and part.text)

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The tool calls, in order."""
        return [part for part in self.parts if type(part) is ToolCall]

    @property
    def refusal(self) -> str | None:
        """The model's words when it declined, else ``None``."""
        words = [part.text for part in self.parts if type(part) is Refusal]
        return "".join(words) if words else None

    @property
    def citations(self) -> list[dict[str, Any]]:
        """Sources and other notes on the text, as the provider tells them."""
        found: list[Any] = []
        for part in self.parts:
            extra = part.extra if type(part) is Text else None
            if not extra:
                continue
            item = extra.get("item")  # OpenAI's Responses API keeps them inside
            for holder in (extra, *(item.get("content") or () if isinstance(item, dict) else ())):
                for name in ("citations", "annotations"):
                    notes = holder.get(name) if isinstance(holder, dict) else None
                    found.extend(notes if isinstance(notes, list) else ())
        return [note for note in found if isinstance(note, dict)]

    @property
    def parts(self) -> list[Part]:
        """The content as parts, also where it is a plain string."""
        content = self.content
        if type(content) is str:
            return [Text(content)] if content else []
        return content  # type: ignore[return-value]  # the other half of the union

    @classmethod
    def system(cls, text: str) -> Message:
        """A system message."""
        return cls("system", text)

    @classmethod
    def user(cls, *content: str | Part) -> Message:
        """A user message of strings and parts."""
        return cls("user", _content_of("user", content))

    @classmethod
    def assistant(cls, *content: str | Part) -> Message:
        """An assistant message of strings and parts."""
        return cls("assistant", _content_of("assistant", content))

    @classmethod
    def tool(cls, tool_call_id: str | ToolCall, content: Any, *, is_error: bool = False) -> Message:
        """The answer to one tool call, named by its id or given itself."""
        if isinstance(tool_call_id, ToolCall):
            tool_call_id = tool_call_id.id
        if not isinstance(tool_call_id, str):
            raise InvalidRequestError(
                f"A result needs the id of its call, not {tool_call_id!r}.",
                hint="Message.tool(call.id, 'It is sunny.').",
            )
        return cls("tool", [ToolResult(tool_call_id, content, is_error=is_error)])


def _content_of(role: str, content: tuple[Any, ...]) -> str | list[Part]:
    """What was given to a constructor as a content: nothing of it may get lost."""
    if not content:
        raise InvalidRequestError(f"Message.{role}() has no content.", hint=f"Message.{role}('Hello').")
    for part in content:
        if not isinstance(part, (str, *PART_CLASSES)):
            raise InvalidRequestError(
                f"Message.{role}() takes strings and parts, not {type(part).__name__}.",
                hint=f"Write it into the text: Message.{role}(f'n is {{n}}'); or pass Text(…), Image.from_path(…).",
            )
    if len(content) == 1 and isinstance(content[0], str):
        return content[0]
    return [Text(part) if isinstance(part, str) else part for part in content]


#: Every class of parts.
PART_CLASSES = (Text, Refusal, Media, ToolCall, ToolResult, Thinking, Native)

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"\xff\xf3", "audio/mpeg"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
    (b"\x1aE\xdf\xa3", "video/webm"),
)
#: What the brand of an ISO base media file (ISO/IEC 14496-12) says; others are films.
_BRANDS = {
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"mif1": "image/heif",
    b"avif": "image/avif",
    b"M4A ": "audio/mp4",
    b"M4B ": "audio/mp4",
}


def sniff(data: bytes) -> str | None:
    """The MIME type told by a file's first bytes, or ``None``."""
    for magic, media_type in _MAGIC:
        if data.startswith(magic):
            return media_type
    if data[:4] == b"RIFF":
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}.get(data[8:12])
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "video/mp4")
    return None


def _class_for(media_type: str) -> type[Media]:
    if media_type.startswith("image/"):
        return Image
    return Audio if media_type.startswith("audio/") else Document


def _wrong_kind(kind: type[Media], media_type: str) -> InvalidRequestError:
    fitting = _class_for(media_type).__name__
    return InvalidRequestError(
        f"This is no {kind.__name__.lower()}: its type is {media_type}.",
        hint=f"Use {fitting}(…) or {fitting}.from_path('…'); files=['…'] finds the fitting class by itself.",
    )


def _fits(kind: type[Media], media_type: str) -> bool:
    """Whether a class is the one for a type. Sound may come in the containers of films."""
    if kind is Document:
        return not media_type.startswith(("image/", "audio/"))
    if kind is Audio and media_type.startswith(("video/", "application/ogg")):
        return True
    return _class_for(media_type) is kind


def attachment(file: Any) -> Part:
    """Make a part from a path, bytes, URL, open binary file or a part itself.

    Raises:
        InvalidRequestError: The file is missing, empty, or of a type nobody can tell.
    """
    if isinstance(file, (Media, Text)):
        return file  # type: ignore[return-value]  # Media itself is never instantiated by users
    if isinstance(file, (bytes, bytearray)):
        return Media.from_bytes(bytes(file))  # type: ignore[return-value]  # always one of its subclasses
    if isinstance(file, str) and (file[:5].lower() == "data:" or re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", file)):
        return from_url(file)
    if isinstance(file, (str, os.PathLike)):
        return Media.from_path(file)  # type: ignore[return-value]  # always one of its subclasses
    if hasattr(file, "read"):
        data = file.read()
        name = getattr(file, "name", None)
        options = {"filename": os.path.basename(name)} if isinstance(name, str) else {}
        return Media.from_bytes(data if isinstance(data, bytes) else str(data).encode(), **options)  # type: ignore[return-value]  # always one of its subclasses
    raise InvalidRequestError(
        f"Cannot attach a {type(file).__name__}.", hint="Pass a path, bytes, a URL or an open binary file."
    )


def from_url(url: str, *, kind: type[Media] | None = None, **options: Any) -> Part:
    """Make a part that points to ``url``; a data URL becomes its bytes."""
    if url[:5].lower() == "data:":
        head, comma, payload = url[5:].partition(",")
        if not comma:
            raise InvalidRequestError(
                f"The data URL {url[:40]!r} has no data.", hint="Write it whole: 'data:image/png;base64,…'."
            )
        media_type = head.partition(";")[0] or "text/plain"
        try:
            data = base64.b64decode(payload, validate=True) if head.endswith(";base64") else payload.encode()
        except ValueError as error:
            raise InvalidRequestError(
                "A data URL holds invalid base64.", hint="Encode the bytes with base64.b64encode()."
            ) from error
        if kind is Image and not media_type.startswith("image/"):
            raise _wrong_kind(kind, media_type)
        return (kind or _class_for(media_type))(data=data, media_type=media_type, **options)  # type: ignore[return-value]  # always one of its subclasses
    guessed = mimetypes.guess_type(url.partition("?")[0])[0]
    part = kind or (_class_for(guessed) if guessed else Image)
    return part(url=url, media_type=guessed, **options)  # type: ignore[return-value]  # always one of its subclasses
