"""APIs for files: upload, list, delete. One provider's ids mean nothing to another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit

from provider_kit.dialects.anthropic_messages import FILES_BETA
from provider_kit.dialects.base import WireRequest, expect_object, path_name
from provider_kit.dialects.model_facts import seconds_of
from provider_kit.errors import InvalidRequestError, InvalidResponseError
from provider_kit.model.files import FileUpload, UploadedFile
from provider_kit.wire.multipart import multipart_body

__all__ = ["AnthropicFiles", "FilesAPI", "GeminiFiles", "OpenAIFiles"]

_MB = 1024 * 1024
_ID = "the id of a file"


class FilesAPI(Protocol):
    """How one provider's API for files is spoken."""

    #: Most bytes of a file.
    largest: int

    def upload(self, file: FileUpload) -> WireRequest:
        """The request that uploads a file, or that begins to."""
        ...

    def content(self, file: FileUpload, headers: Mapping[str, str]) -> WireRequest | None:
        """The request with the content, where the first one did not have it."""
        ...

    def read(self, payload: Any, provider: str) -> UploadedFile:
        """Read what is told of a file."""
        ...

    def poll(self, file: UploadedFile) -> WireRequest:
        """Ask whether a file is ready."""
        ...

    def list_page(self, cursor: str | None) -> WireRequest:
        """Ask for a page of the files."""
        ...

    def read_list(self, payload: Any, provider: str) -> tuple[list[UploadedFile], str | None]:
        """Read a page, and the cursor of the next one."""
        ...

    def delete(self, file_id: str) -> WireRequest:
        """Delete a file."""
        ...


class OpenAIFiles:
    """OpenAI's API for files. Source: its API reference, "Files"."""

    largest = 512 * _MB
    path = "/files"
    headers: Mapping[str, str] = {}

    def upload(self, file: FileUpload) -> WireRequest:
        """POST /files, as a form."""
        fields = {"purpose": file.purpose or self.purpose(file)} if self.purpose(file) else {}
        body, kind = multipart_body(fields, file.filename, file.media_type, file.data)
        return WireRequest(self.path, None, {**self.headers, "Content-Type": kind}, content=body)

    def purpose(self, file: FileUpload) -> str:
        """What a file is for, unless told otherwise: ``vision`` for images, else ``user_data``."""
        return "vision" if file.media_type.startswith("image/") else "user_data"

    def content(self, file: FileUpload, headers: Mapping[str, str]) -> WireRequest | None:
        """The first request has it."""
        return None

    def read(self, payload: Any, provider: str) -> UploadedFile:
        """Read what is told of a file."""
        found = expect_object(payload, "a file", ("id",), provider)
        if not isinstance(found["id"], str) or not found["id"]:
            raise InvalidResponseError("The answer has no id of a file.", status_code=200, body=payload)
        status = found.get("status")
        return UploadedFile(
            str(found["id"]),
            provider,
            filename=found.get("filename"),
            media_type=found.get("mime_type"),
            size=_int(found.get("bytes", found.get("size_bytes"))),
            created=seconds_of(found.get("created_at")),
            expires=seconds_of(found.get("expires_at")),
            ready=None if status in (None, "error") else True,
            raw=dict(found),
        )

    def poll(self, file: UploadedFile) -> WireRequest:
        """GET the file."""
        return WireRequest(f"{self.path}/{path_name(file.id, _ID)}", None, dict(self.headers), method="GET")

    def list_page(self, cursor: str | None) -> WireRequest:
        """GET the files, a page at a time."""
        query = {"after": cursor} if cursor else None
        return WireRequest(self.path, None, dict(self.headers), query, method="GET")

    def read_list(self, payload: Any, provider: str) -> tuple[list[UploadedFile], str | None]:
        """Read a page."""
        found = expect_object(payload, "a list of files", ("data",), provider)
        files = [self.read(one, provider) for one in _entries(found["data"])]
        last = found.get("last_id") or (files[-1].id if files else None)
        return files, last if found.get("has_more") else None

    def delete(self, file_id: str) -> WireRequest:
        """DELETE the file."""
        return WireRequest(f"{self.path}/{path_name(file_id, _ID)}", None, dict(self.headers), method="DELETE")


class AnthropicFiles(OpenAIFiles):
    """Anthropic's API for files. Source: platform.claude.com/docs, "Files API"."""

    largest = 500 * _MB
    path = "/v1/files"
    headers = FILES_BETA

    def purpose(self, file: FileUpload) -> str:
        """It asks for none."""
        return ""

    def list_page(self, cursor: str | None) -> WireRequest:
        """GET the files, a page at a time."""
        query = {"after_id": cursor} if cursor else None
        return WireRequest(self.path, None, dict(self.headers), query, method="GET")


class GeminiFiles:
    """Gemini's API for files: resumable uploads, and ids that are addresses. Source: ai.google.dev, "Files API"."""

    largest = 2048 * _MB

    def upload(self, file: FileUpload) -> WireRequest:
        """Announce the file."""
        headers = {
            "X-Goog-Upload-Protocol": "resumable",
            "X-Goog-Upload-Command": "start",
            "X-Goog-Upload-Header-Content-Length": str(len(file.data)),
            "X-Goog-Upload-Header-Content-Type": file.media_type,
        }
        return WireRequest("/files", {"file": {"display_name": file.filename}}, headers, before="/upload")

    def content(self, file: FileUpload, headers: Mapping[str, str]) -> WireRequest | None:
        """The content, to the address that was given."""
        lowered = {name.lower(): value for name, value in headers.items()}
        location = lowered.get("x-goog-upload-url")
        if not location:
            raise InvalidResponseError("The answer to an upload has no address to upload to.", status_code=200)
        path, query = _path_of(location)
        sent = {
            "X-Goog-Upload-Offset": "0",
            "X-Goog-Upload-Command": "upload, finalize",
            "Content-Type": file.media_type,
        }
        return WireRequest(f"{path}{query}", None, sent, content=file.data, from_root=True)

    def read(self, payload: Any, provider: str) -> UploadedFile:
        """Read what is told of a file."""
        found = payload.get("file", payload) if isinstance(payload, Mapping) else payload
        found = expect_object(found, "a file", ("uri", "name"), provider)
        return UploadedFile(
            str(found.get("uri") or found.get("name")),
            provider,
            filename=found.get("displayName"),
            media_type=found.get("mimeType"),
            size=_int(found.get("sizeBytes")),
            created=seconds_of(found.get("createTime")),
            expires=seconds_of(found.get("expirationTime")),
            ready={"ACTIVE": True, "FAILED": None}.get(str(found.get("state", "ACTIVE")), False),
            raw=dict(found),
        )

    def poll(self, file: UploadedFile) -> WireRequest:
        """GET the file."""
        return WireRequest(f"/{_name(file.id)}", None, method="GET")

    def list_page(self, cursor: str | None) -> WireRequest:
        """GET the files, a page at a time."""
        return WireRequest("/files", None, None, {"pageToken": cursor} if cursor else None, method="GET")

    def read_list(self, payload: Any, provider: str) -> tuple[list[UploadedFile], str | None]:
        """Read a page; where there is none, the object is empty."""
        found = payload if isinstance(payload, Mapping) else {}
        files = [self.read(one, provider) for one in _entries(found.get("files"))]
        return files, found.get("nextPageToken") or None

    def delete(self, file_id: str) -> WireRequest:
        """DELETE the file."""
        return WireRequest(f"/{_name(file_id)}", None, method="DELETE")


def _path_of(location: str) -> tuple[str, str]:
    """The path alone, and the query: the key is sent to the configured host and to no other.

    Raises:
        InvalidResponseError: It is no address.
    """
    try:
        parts = urlsplit(location)
    except ValueError:
        parts = urlsplit("")
    if not parts.path.startswith("/") or parts.path.startswith("//"):
        raise InvalidResponseError("The answer to an upload names no address to upload to.", status_code=200)
    return parts.path, f"?{parts.query}" if parts.query else ""


def _name(file_id: str) -> str:
    """``files/abc`` from an id that may be an address."""
    name = file_id.rpartition("files/")[2]
    if not name or "/" in name:
        raise InvalidRequestError(f"{file_id[:100]!r} is not the id of a file.", hint="Pass uploaded.id.")
    return f"files/{path_name(name)}"


def _entries(value: Any) -> list[Mapping[str, Any]]:
    """The objects of a list.

    Raises:
        InvalidResponseError: It is something else.
    """
    if value is not None and not isinstance(value, list):
        raise InvalidResponseError("The files are not a list.", status_code=200, body=value)
    return [one for one in value or () if isinstance(one, Mapping)]


def _int(value: Any) -> int | None:
    return int(value) if isinstance(value, (int, str)) and str(value).isdigit() else None
