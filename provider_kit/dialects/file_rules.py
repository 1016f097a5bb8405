"""Which files a provider takes, of which size, and how many; checked before anything is sent.

The numbers are those of the providers' pages on vision, documents and audio, as far as these are known to the authors;
``None`` is what is not known, and is left to the provider. Text needs no rule: it is sent as text everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import field, frozen

from provider_kit.errors import InvalidRequestError
from provider_kit.model.file_types import is_plain_text, truncation
from provider_kit.model.media import Audio, Image, Media
from provider_kit.model.messages import Message, media_of

__all__ = ["OFFICE_TYPES", "OPENAI_FILES", "FileRules", "check_files", "kind_of"]

_MB = 1024 * 1024


@frozen(kw_only=True)
class FileRules:
    """What one provider takes. A set of types that is ``None`` is not checked."""

    #: Types of images, of documents that are not text, of audio and of videos.
    images: frozenset[str] | None = field(default=None)
    documents: frozenset[str] | None = None
    audio: frozenset[str] | None = None
    videos: frozenset[str] | None = frozenset()
    #: Most bytes of one file of each kind.
    image_bytes: int | None = None
    document_bytes: int | None = None
    audio_bytes: int | None = None
    video_bytes: int | None = None
    #: Most images of a request.
    image_count: int | None = None
    #: Most bytes of all files of a request, as they are sent.
    request_bytes: int | None = 50 * _MB

    def types(self, kind: str) -> frozenset[str] | None:
        """The types of a kind."""
        found: frozenset[str] | None = getattr(self, kind if kind in ("audio",) else f"{kind}s")
        return found

    def largest(self, kind: str) -> int | None:
        """Most bytes of a file of a kind."""
        found: int | None = getattr(self, f"{kind}_bytes")
        return found


#: Source: platform.openai.com/docs, "Images and vision", "File inputs", "Audio".
OPENAI_FILES = FileRules(
    images=frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"}),
    documents=frozenset({"application/pdf"}),
    audio=frozenset({"audio/wav", "audio/x-wav", "audio/wave", "audio/mpeg", "audio/mp3"}),
    document_bytes=50 * _MB,
    image_count=500,
    request_bytes=50 * _MB * 4 // 3 + _MB,
)


#: Documents of office programs (ISO/IEC 29500, OpenDocument).
OFFICE_TYPES = frozenset(
    (
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    )
)


def kind_of(part: Media) -> str:
    """``image``, ``audio``, ``video`` or ``document``."""
    if isinstance(part, Image):
        return "image"
    if isinstance(part, Audio):
        return "audio"
    return "video" if (part.media_type or "").startswith("video/") else "document"


def check_files(messages: Sequence[Message], rules: FileRules, provider: str, label: str) -> None:
    """Check the files of a conversation.

    Args:
        messages: The conversation.
        rules: What the provider takes.
        provider: The provider's own name.
        label: The user's name for it.

    Raises:
        InvalidRequestError: One of them cannot be sent to this provider, or there are too many.
    """
    for message in messages:
        if message.role == "assistant":  # a model made them, here or elsewhere
            for made in message.parts:
                if isinstance(made, Media) and made.file_id is not None:
                    _check_id(made, provider, label)
    images = size = 0
    for part in media_of(messages):
        if part.file_id is not None:
            _check_id(part, provider, label)
        else:
            _check_type(part, rules, label)
        if part.data is not None:
            _check_data(part, part.data, rules, label)
            size += len(part.data) * 4 // 3
        images += isinstance(part, Image)
    if rules.image_count is not None and images > rules.image_count:
        raise InvalidRequestError(
            f"{images} images are attached; {label} takes {rules.image_count}.",
            provider=label,
            hint="Send fewer, or ask about them in several calls.",
        )
    if rules.request_bytes is not None and size > rules.request_bytes:
        raise InvalidRequestError(
            f"The files have {size / _MB:.1f} MB as they are sent; a request to {label} may have "
            f"{rules.request_bytes / _MB:.0f} MB.",
            provider=label,
            hint="Upload them first, where the provider has an API for it: client.files.upload('…'). Or send fewer.",
        )


def _check_id(part: Media, provider: str, label: str) -> None:
    if part.provider is not None and part.provider != provider:
        raise InvalidRequestError(
            f"The file {part.filename or part.file_id!r} was uploaded to {part.provider}, which {label} cannot read.",
            provider=label,
            hint="Attach the file itself, or upload it with this client, too.",
        )


def _check_type(part: Media, rules: FileRules, label: str) -> None:
    kind, named = kind_of(part), f" {part.filename!r}" if part.filename else ""
    if kind == "document" and is_plain_text(part.media_type):
        return
    types = rules.types(kind)
    told = (part.media_type or "").partition(";")[0].strip()
    if types is not None and told not in types and (part.data is not None or not types):
        taken = ", ".join(sorted(types)) or f"no {kind}{'' if kind == 'audio' else 's'}"
        raise InvalidRequestError(
            f"The {kind}{named} is {part.media_type or 'of an unknown type'}; {label} takes {taken}.",
            provider=label,
            hint=_CONVERT[kind] if types else f"Use a provider that takes it; Gemini takes most {kind} formats.",
        )


def _check_data(part: Media, data: bytes, rules: FileRules, label: str) -> None:
    kind, named = kind_of(part), f" {part.filename!r}" if part.filename else ""
    missing = truncation(data, part.media_type)
    if missing is not None:
        raise InvalidRequestError(
            f"The {kind}{named} is cut off: {missing}.",
            provider=label,
            hint="Download or save it again; a part of it is missing.",
        )
    if kind == "document" and is_plain_text(part.media_type):
        return
    largest = rules.largest(kind)
    if largest is not None and len(data) > largest:
        hint = "image.scaled(1568) makes it smaller." if kind == "image" else "Upload it: client.files.upload('…')."
        raise InvalidRequestError(
            f"The {kind}{named} has {len(data) / _MB:.1f} MB; {label} takes {largest / _MB:.1f} MB.",
            provider=label,
            hint=hint,
        )


_CONVERT = {
    "image": "Save it as PNG or JPEG.",
    "document": "Save it as PDF, or send its text.",
    "audio": "Convert it to MP3 or WAV.",
    "video": "Convert it to MP4, or send single frames as images.",
}
