"""Images, audio and documents in OpenAI's form."""

from __future__ import annotations

from typing import Any

from provider_kit.dialects.base import is_video, refuse_video
from provider_kit.dialects.openai_chat.quirks import ChatQuirks
from provider_kit.errors import InvalidRequestError
from provider_kit.model.media import Audio, Document, Image

__all__ = ["write_audio", "write_document", "write_image"]

_AUDIO_FORMATS = {
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
}


def write_image(image: Image, quirks: ChatQuirks) -> dict[str, Any]:
    """Write an image.

    Raises:
        InvalidRequestError: The provider accepts none, or not in this form.
    """
    if not quirks.images:
        raise InvalidRequestError(
            "This provider takes no images.", hint="Use a model with vision, or describe the picture in words."
        )
    if image.data is not None:
        url = image.data_url
    elif image.url and quirks.image_links:
        url = image.url
    else:
        raise InvalidRequestError(
            "This provider takes images only as data, not as links or file ids.",
            hint="Download the picture and attach its bytes or path: files=['photo.png'].",
        )
    written: dict[str, Any] = {"url": url}
    if image.detail:
        written["detail"] = image.detail
    return {"type": "image_url", "image_url": written}


def write_audio(audio: Audio, quirks: ChatQuirks) -> dict[str, Any]:
    """Write audio; raises as :func:`write_image`."""
    suffix = _AUDIO_FORMATS.get(audio.media_type or "")
    if not quirks.audio or audio.data is None or suffix is None:
        raise InvalidRequestError(
            "This provider takes audio only as WAV or MP3 data." if quirks.audio else "This provider takes no audio.",
            hint="Convert the recording, or use a provider that accepts it (Gemini accepts most formats).",
        )
    if quirks.bare_audio:
        return {"type": "input_audio", "input_audio": audio.base64}
    return {"type": "input_audio", "input_audio": {"data": audio.base64, "format": suffix}}


def write_document(document: Document, quirks: ChatQuirks) -> dict[str, Any]:
    """Write a document; raises as :func:`write_image`."""
    text = document.fenced
    if text is not None:
        return {"type": "text", "text": text}
    style = quirks.documents
    if quirks.videos and is_video(document):
        return {"type": "video_url", "video_url": {"url": document.url or document.data_url}}
    refuse_video(document)
    if style == "document_url" and document.file_id:
        return {"type": "file", "file_id": document.file_id}
    if style == "document_url":
        written = {"type": "document_url", "document_url": document.url or document.data_url}
        if document.filename:
            written["document_name"] = document.filename
        return written
    if style == "file" and document.url and quirks.document_links:
        name = document.filename or document.url.partition("?")[0].rsplit("/", 1)[-1]
        return {"type": "file", "file": {"filename": name or "document.pdf", "file_data": document.url}}
    if style == "file" and (document.data is not None or document.file_id):
        if document.file_id:
            return {"type": "file", "file": {"file_id": document.file_id}}
        return {
            "type": "file",
            "file": {"filename": document.filename or "document.pdf", "file_data": document.data_url},
        }
    raise InvalidRequestError(
        "This provider takes documents only as data." if style else "This provider takes no documents.",
        hint="Attach the file itself, or extract its text and send that.",
    )
