"""Images, documents and audio in messages: bytes, a URL or a file id, and their type."""

from __future__ import annotations

import base64
import mimetypes
import os
from pathlib import Path
from typing import Any

from attrs import define, field

from provider_kit.errors import InvalidRequestError
from provider_kit.model.arguments import explained
from provider_kit.model.text_bytes import is_text, read_text

__all__ = ["Audio", "Document", "Image", "Media", "from_url", "sniff"]

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
_OUT_OF_REACH = frozenset({"file", "ftp", "sftp", "ssh"})
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
#: Types by the brand of an ISO base media file (ISO/IEC 14496-12); all others are video.
_BRANDS = {
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"mif1": "image/heif",
    b"avif": "image/avif",
    b"M4A ": "audio/mp4",
    b"M4B ": "audio/mp4",
}


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
    #: Prompt cache mark at the end of this part.
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
            InvalidRequestError: A text field is not a string, or the URL is invalid.
        """
        for name in ("url", "file_id", "media_type", "filename"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise InvalidRequestError(f"{name}= of {type(self).__name__} must be a text, not {value!r}.")
        if self.url is not None:
            _check_address(self.url, type(self).__name__)

    def _check_kind(self, media_type: str) -> None:
        """A type found by content or name, not given, must fit the class: a program is not an image."""
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
        """Create a part of the fitting class from bytes; their content decides the type, then the name."""
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
                    hint="Check its content; a download may have returned an error page instead.",
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
    """An image (PNG, JPEG, WebP, GIF)."""


@explained("Document.from_path('report.pdf'), or Document(url='https://…')")
@define(kw_only=True)
class Document(Media):
    """A document, usually PDF or plain text."""

    @property
    def as_text(self) -> str | None:
        """What it says, if it is written in plain text (source code, JSON, CSV …), else ``None``.

        Raises:
            InvalidRequestError: Its encoding is unknown: neither UTF-8 nor marked by a byte order mark.
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
    """Audio, usually WAV or MP3."""


def _check_address(url: str, kind: str) -> None:
    """Whether a provider could fetch it.

    Raises:
        InvalidRequestError: It is a path of this machine, has no host, or is incomplete.
    """
    scheme, mark, rest = url.partition(":")
    scheme = scheme.lower()
    if scheme == "data" and "," in rest:
        return
    if mark and rest.startswith("//") and len(rest) > 2 and rest[2] not in "/?#" and scheme not in _OUT_OF_REACH:
        return
    raise InvalidRequestError(
        # without the query, which may hold a signature
        f"{url.partition('?')[0][:100]!r} is not an address that a provider could fetch.",
        hint=f"Write it in full: 'https://…'. {kind}.from_path('…') reads a file of this machine.",
    )


def _named(filename: str | None) -> str | None:
    """The type by a file's name; plain ``application/octet-stream`` does not count."""
    found = mimetypes.guess_type(filename or "")[0]
    return None if found == "application/octet-stream" else found


def sniff(data: bytes) -> str | None:
    """The MIME type by a file's first bytes, or ``None``."""
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
        hint=f"Use {fitting}(…) or {fitting}.from_path('…'); files=['…'] finds the fitting class.",
    )


def _fits(kind: type[Media], media_type: str) -> bool:
    """Whether a class fits a type. Audio may come in video containers."""
    if kind is Document:
        return not media_type.startswith(("image/", "audio/"))
    if kind is Audio and media_type.startswith(("video/", "application/ogg")):
        return True
    return _class_for(media_type) is kind


def from_url(url: str, *, kind: type[Media] | None = None, **options: Any) -> Image | Document | Audio:
    """Make a part that points to ``url``; a data URL becomes its bytes."""
    if url[:5].lower() == "data:":
        head, comma, payload = url[5:].partition(",")
        if not comma:
            raise InvalidRequestError(
                f"The data URL {url[:40]!r} has no data.", hint="Write it in full: 'data:image/png;base64,…'."
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
