"""The files of the fake server, as OpenAI's, Anthropic's and Gemini's APIs speak of them."""

from __future__ import annotations

import re
from typing import Any

from attrs import define, field

from provider_kit.model.json_text import loads
from provider_kit.testing.http_server import Incoming

__all__ = ["StoredFiles"]

_NAME = re.compile(rb'filename="([^"]*)"\r\nContent-Type: ([^\r]*)\r\n\r\n')


@define
class _Stored:
    id: str
    name: str
    kind: str
    data: bytes = field(repr=lambda data: f"<{len(data)} bytes>")


@define
class StoredFiles:
    """What was uploaded."""

    files: dict[str, _Stored] = field(factory=dict)
    _announced: dict[str, Any] = field(factory=dict)
    _count: int = 0

    def answer(self, incoming: Incoming, url: str) -> tuple[int, dict[str, str], dict[str, Any]] | None:
        """Status, headers and body; ``None`` if the path is about something else."""
        path = incoming.path.partition("?")[0]
        if "/files" not in path or path.endswith(("/chat/completions", "/responses", "/messages")):
            return None
        last = path.rsplit("/", 1)[-1]
        gemini = "/v1beta/" in path
        write = self._gemini if gemini else self._openai
        if path.startswith("/upload/"):
            return self._resumable(incoming, url)
        if incoming.method == "POST":
            kept = self._keep(incoming.body)
            return (200, {}, write(kept)) if kept else (400, {}, {"error": {"message": "no file in the form"}})
        if last == "files":
            listed = [write(one) for one in self.files.values()]
            return 200, {}, {"files": listed} if gemini else {"object": "list", "data": listed, "has_more": False}
        if last not in self.files:
            return 404, {}, {"error": {"message": f"no such file: {last}", "code": "not_found"}}
        if incoming.method == "DELETE":
            del self.files[last]
            return 200, {}, {} if gemini else {"id": last, "object": "file", "deleted": True}
        return 200, {}, write(self.files[last])

    def _next(self) -> str:
        self._count += 1
        return f"file-{self._count}"

    def _keep(self, body: bytes) -> _Stored | None:
        found = _NAME.search(body)
        if found is None:
            return None
        end = body.rfind(b"\r\n--")
        kept = _Stored(self._next(), found[1].decode(), found[2].decode(), body[found.end() : end])
        self.files[kept.id] = kept
        return kept

    def _resumable(self, incoming: Incoming, url: str) -> tuple[int, dict[str, str], dict[str, Any]]:
        if incoming.headers.get("x-goog-upload-command") == "start":
            made = self._next()
            told = loads(incoming.body)["file"]
            kind = incoming.headers.get("x-goog-upload-header-content-type", "")
            self._announced[made] = (told.get("display_name", ""), kind)
            location = f"{url}/upload/v1beta/files?upload_id={made}"
            return 200, {"x-goog-upload-url": location, "x-goog-upload-status": "active"}, {}
        made = incoming.path.rpartition("upload_id=")[2]
        name, kind = self._announced.pop(made)
        self.files[made] = _Stored(made, name, kind, incoming.body)
        return 200, {}, {"file": self._gemini(self.files[made])}

    def _openai(self, one: _Stored) -> dict[str, Any]:
        return {
            "id": one.id,
            "object": "file",
            "type": "file",
            "filename": one.name,
            "mime_type": one.kind,
            "bytes": len(one.data),
            "created_at": 1_790_000_000,
        }

    def _gemini(self, one: _Stored) -> dict[str, Any]:
        return {
            "name": f"files/{one.id}",
            "displayName": one.name,
            "mimeType": one.kind,
            "sizeBytes": str(len(one.data)),
            "createTime": "2026-10-01T00:00:00Z",
            "uri": f"https://generativelanguage.googleapis.com/v1beta/files/{one.id}",
            "state": "ACTIVE",
        }
