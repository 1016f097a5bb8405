"""Images and documents as blocks of the Messages API."""

from __future__ import annotations

from typing import Any

from provider_kit.dialects.base import refuse_video
from provider_kit.errors import InvalidRequestError
from provider_kit.model.media import Document, Media
from provider_kit.model.text_bytes import read_text

__all__ = ["document_block", "source_of"]


def source_of(media: Media) -> dict[str, Any]:
    """The ``source`` of a block: a file of the Files API, base64 or a URL."""
    if media.file_id:
        return {"type": "file", "file_id": media.file_id}
    if media.data is not None:
        return {"type": "base64", "media_type": media.media_type, "data": media.base64}
    return {"type": "url", "url": media.url}


def document_block(document: Document) -> dict[str, Any]:
    """The block of a document: a PDF, or plain text.

    Raises:
        InvalidRequestError: It is neither.
    """
    refuse_video(document)
    if document.data is not None and document.media_type != "application/pdf":
        text = document.as_text
        if text is None:
            text = read_text(document.data)  # a text format with its own MIME type
        if text is None:
            raise InvalidRequestError(
                f"This API takes PDF and plain text, not {document.media_type}.", hint="Convert the document first."
            )
        source: dict[str, Any] = {"type": "text", "media_type": "text/plain", "data": text}
    else:
        source = source_of(document)
    block: dict[str, Any] = {"type": "document", "source": source}
    if document.filename:
        block["title"] = document.filename
    return block
