"""Images, documents and audio in messages: bytes, a URL or a file id, and their type."""

from __future__ import annotations

import base64
import mimetypes
import os
import re
import stat
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any, Self, cast
from urllib.parse import unquote_to_bytes, urlsplit

from attrs import define, evolve, field

from provider_kit.errors import InvalidRequestError, MissingDependencyError
from provider_kit.model.arguments import explained
from provider_kit.model.file_types import contradicted, is_plain_text, may_be, named_type, proper_type, sniff
from provider_kit.model.text_bytes import is_text, read_text

__all__ = ["Audio", "Document", "Image", "Media", "class_for", "from_url"]

_OUT_OF_REACH = frozenset({"file", "ftp", "sftp", "ssh"})
#: The largest file that a provider takes, in bytes: Gemini's for uploads.
LARGEST_FILE = 2 * 1024**3


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
    #: The provider that knows the ``file_id``; it is sent to no other.
    provider: str | None = None
    extra: dict[str, Any] | None = field(default=None, repr=False)
    #: What was downloaded from which ``url``, and whether from any address, for a provider that takes no links.
    downloaded: tuple[tuple[str, bool], Media] | None = field(default=None, init=False, repr=False, eq=False)
    #: Whether its class was only guessed, of a link that does not tell.
    guessed: bool = field(default=False, init=False, repr=False, eq=False)

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
        if isinstance(self.media_type, str):
            self.media_type = proper_type(self.media_type)
        if self.data is not None and self.media_type is None:
            self.media_type = sniff(self.data) or named_type(self.filename, self.data)
            if isinstance(self, Audio):
                self.media_type = _SOUNDS.get(self.media_type or "", self.media_type)
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
    def from_path(cls, path: str | os.PathLike[str], **options: Any) -> Self:
        """Read a file into a part of the fitting class (image, audio, else document).

        Args:
            path: The file to read.
            options: Further fields, e.g. ``detail="low"``.

        Raises:
            InvalidRequestError: The file is missing, unreadable or empty.
        """
        if not isinstance(path, (str, os.PathLike)):
            raise InvalidRequestError(f"{path!r:.100} is no path of a file.", hint=f"{cls.__name__}.from_path('…').")
        file = Path(path)
        try:
            with file.open("rb") as opened:
                about = os.fstat(opened.fileno())
                endless = not (stat.S_ISREG(about.st_mode) or stat.S_ISFIFO(about.st_mode))
                data = b"" if endless or about.st_size > LARGEST_FILE else opened.read()
        except (OSError, ValueError) as error:
            raise InvalidRequestError(
                f"Cannot read the file {str(file)!r}: {getattr(error, 'strerror', None) or error}.",
                hint="Check the path; it is relative to the current working directory.",
            ) from error
        if endless:
            raise InvalidRequestError(f"{str(file)!r} is a device, not a file.", hint="Pass the path of a file.")
        if about.st_size > LARGEST_FILE:
            raise InvalidRequestError(
                f"The file {str(file)!r} has {about.st_size:,} bytes; no provider takes more than {LARGEST_FILE:,}.",
                hint="Attach a part of it.",
            )
        options.setdefault("filename", file.name)
        return cls.from_bytes(data, **options)

    @classmethod
    def from_bytes(cls, data: bytes, **options: Any) -> Self:
        """Create a part of the fitting class from bytes; their content decides the type, then the name."""
        filename = options.get("filename")
        if filename is not None and not isinstance(filename, (str, os.PathLike)):
            raise InvalidRequestError(f"filename= must be a text, not {filename!r}.", hint="filename='report.pdf'.")
        return cls.from_content(data, (mimetypes.guess_type(os.fspath(filename or ""))[0],), **options)

    @classmethod
    def from_content(cls, data: bytes, claims: Iterable[str | None], **options: Any) -> Self:
        """As :meth:`from_bytes`, where others than the name tell types, too: the first of ``claims`` counts."""
        if not isinstance(data, bytes):
            raise InvalidRequestError(
                f"The content of a file must be bytes, not {type(data).__name__}.", hint="text.encode() makes bytes."
            )
        if not data:
            raise InvalidRequestError("The file is empty.", hint="Attach a file with content.")
        given, named = options.pop("media_type", None), options.get("filename")
        if given is not None and (not isinstance(given, str) or "/" not in given):
            raise InvalidRequestError(f"media_type= must be a type such as 'image/png', not {given!r}.")
        media_type = given or sniff(data) or _type_of_text(data, claims, named)
        if media_type is None:
            raise InvalidRequestError(
                f"Cannot tell the type of the file{f' {named!r}' if named else ''}.",
                hint="Give its name the ending of its type, e.g. report.pdf, or pass media_type='application/pdf'.",
            )
        if given is None and (cls is Audio or any((claim or "").startswith("audio/") for claim in claims)):
            media_type = _SOUNDS.get(media_type, media_type)
        part = cls if cls is not Media else class_for(media_type)
        if given is None and not _fits(part, media_type):
            raise _wrong_kind(part, media_type)
        return cast(Self, part(data=data, media_type=media_type, **options))  # cls, or of Media a subclass

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

    def scaled(self, longest: int = 1568) -> Image:
        """The same image with its longer side at most so many pixels; a smaller one is returned as it is.

        Args:
            longest: Pixels; beyond 1,568 most models see no more.

        Raises:
            InvalidRequestError: It is not at hand, or cannot be read.
            MissingDependencyError: ``pip install provider-kit[images]`` is missing.
        """
        if type(longest) is not int or longest < 1:
            raise InvalidRequestError(f"longest must be pixels, not {longest!r}.", hint="image.scaled(1568).")
        if self.data is None:
            raise InvalidRequestError("Only an image with data can be scaled.", hint="Image.from_path('photo.jpg').")
        try:
            from PIL import Image as Pillow
            from PIL import ImageOps
        except ImportError as error:
            raise MissingDependencyError(
                "Scaling an image needs Pillow.", hint="pip install provider-kit[images]"
            ) from error
        try:
            with Pillow.open(BytesIO(self.data)) as opened:
                if max(opened.size) <= longest:
                    return self
                form = opened.format if opened.format in ("PNG", "JPEG", "WEBP") else "PNG"
                turned = ImageOps.exif_transpose(opened)  # what it says of that is not written below
                turned.thumbnail((longest, longest))
                if form != "JPEG" and turned.mode in ("CMYK", "F", "LAB", "HSV", "YCbCr"):
                    turned = turned.convert("RGB")
                written = BytesIO()
                turned.save(written, form, quality=90)
        except (OSError, ValueError, SyntaxError, Warning, Pillow.DecompressionBombError) as error:
            what = "its content is no image" if type(error).__name__ == "UnidentifiedImageError" else error
            raise InvalidRequestError(f"The image cannot be scaled: {what}.") from None
        return evolve(self, data=written.getvalue(), media_type=f"image/{form.lower()}")


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
        if self.data is None or not is_plain_text(kind):
            return None
        text = read_text(self.data)
        if text is None:
            why = "holds NUL bytes, which no text has" if 0 in self.data else "not in UTF-8"
            raise InvalidRequestError(
                f"{f'The file {self.filename!r}' if self.filename else 'The document'} is {kind}, but {why}.",
                hint="Save it as text in UTF-8.",
            )
        return text

    @property
    def fenced(self) -> str | None:
        """As :attr:`as_text`, under its name and between fences, so that a model sees where it begins and ends."""
        text = self.as_text
        if text is None:
            return None
        name = self.filename or "document"
        longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
        fence = "`" * (longest + 1)
        kind = name.rpartition(".")[2] if "." in name else ""
        return f"{name}:\n{fence}{kind if kind.isalnum() else ''}\n{text.rstrip(chr(10))}\n{fence}"


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
    try:
        urlsplit(url)
    except ValueError:
        rest = ""  # brackets that hold no IPv6 address
    if mark and rest.startswith("//") and len(rest) > 2 and rest[2] not in "/?#" and scheme not in _OUT_OF_REACH:
        return
    raise InvalidRequestError(
        # without the query, which may hold a signature
        f"{url.partition('?')[0][:100]!r} is not an address that a provider could fetch.",
        hint=f"Write it in full: 'https://…'. {kind}.from_path('…') reads a file of this machine.",
    )


def class_for(media_type: str) -> type[Media]:
    """The class of the parts of a type."""
    if media_type.startswith("image/"):
        return Image
    return Audio if media_type.startswith("audio/") else Document


#: Sound in the containers of videos.
_SOUNDS = {"video/mp4": "audio/mp4", "video/quicktime": "audio/mp4", "video/webm": "audio/webm"}


def _type_of_text(data: bytes, claims: Iterable[str | None], named: Any) -> str | None:
    """The type of content that has no mark: what it is called, if that may be, else plain text, if it is text.

    Raises:
        InvalidRequestError: It is not what it is called.
    """
    claimed = next((claim for claim in claims if claim and claim != "application/octet-stream"), None)
    written = is_text(data)
    if claimed is not None and contradicted(claimed, data):
        raise InvalidRequestError(
            f"The file{f' {named!r}' if named else ''} is no {claimed}: "
            f"{'it holds text' if written else 'its content is something else'}.",
            hint="Check its content; a download may have returned an error page instead.",
        )
    # A TypeScript module ends like a video, a batch file like a program.
    if written and not is_plain_text(claimed) and claimed != "application/rtf":
        return "text/plain"
    return claimed if may_be(claimed, data) else None


def _wrong_kind(kind: type[Media], media_type: str) -> InvalidRequestError:
    fitting = class_for(media_type).__name__
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
    return class_for(media_type) is kind


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
            # RFC 2397: both forms may be percent-encoded.
            plain = unquote_to_bytes(payload)
            data = base64.b64decode(plain, validate=True) if head.endswith(";base64") else plain
        except ValueError as error:
            raise InvalidRequestError(
                "A data URL holds invalid base64.", hint="Encode the bytes with base64.b64encode()."
            ) from error
        if kind is Image and not media_type.startswith("image/"):
            raise _wrong_kind(kind, media_type)
        return (kind or class_for(media_type))(data=data, media_type=media_type, **options)  # type: ignore[return-value]  # always one of its subclasses
    try:
        guessed = mimetypes.guess_type(url.partition("?")[0])[0]
    except ValueError:  # newer Pythons split the address; it is refused when it is sent
        guessed = None
    part = (kind or (class_for(guessed) if guessed else Image))(url=url, media_type=guessed, **options)
    part.guessed = kind is None and guessed is None
    return part  # type: ignore[return-value]  # always one of its subclasses
