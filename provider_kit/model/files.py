"""Files that were uploaded to a provider."""

from __future__ import annotations

import mimetypes
from typing import Any

from attrs import define, field, frozen

from provider_kit.model.media import Media, class_for

__all__ = ["FileUpload", "UploadedFile"]


@frozen(kw_only=True)
class FileUpload:
    """A file to be uploaded, or the one to be deleted."""

    data: bytes = field(default=b"", repr=lambda data: f"<{len(data)} bytes>")
    filename: str = "file"
    media_type: str = "application/octet-stream"
    #: What it is for, in the provider's words.
    purpose: str | None = None
    #: Its id, to delete it.
    id: str | None = None
    #: The model, for which there is none.
    model: None = None


@define
class UploadedFile:
    """A file at a provider. Attach it like any other: ``client.chat("…", files=[uploaded])``."""

    #: The provider's id of it; Gemini's is an address.
    id: str
    #: The provider that has it, which is the only one that can read it.
    provider: str
    filename: str | None = field(default=None, kw_only=True)
    media_type: str | None = field(default=None, kw_only=True)
    #: Bytes.
    size: int | None = field(default=None, kw_only=True)
    #: When it was uploaded, and when the provider deletes it, in seconds since 1970.
    created: float | None = field(default=None, kw_only=True)
    expires: float | None = field(default=None, kw_only=True)
    #: Whether it can be used: ``None`` if the provider does not tell.
    ready: bool | None = field(default=None, kw_only=True)
    raw: dict[str, Any] = field(factory=dict, kw_only=True, repr=False, eq=False)

    @property
    def part(self) -> Media:
        """The part of a message that refers to it, an image, audio or document by its type."""
        media_type = self.media_type or mimetypes.guess_type(self.filename or "")[0]
        made = class_for(media_type or "")
        return made(file_id=self.id, media_type=media_type, filename=self.filename, provider=self.provider)
