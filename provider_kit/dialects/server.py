"""The base of the server side of an API."""

from __future__ import annotations

import json
from typing import Any

from provider_kit.dialects.replies import Asked, Reply

__all__ = ["CREATED", "ServerDialect", "json_text", "text_of"]

#: Creation time of every answer, in seconds since 1970.
CREATED = 1_790_000_000


def json_text(value: Any) -> str:
    """Compact JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def text_of(content: Any) -> str:
    """The text of a content that may be a string or a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content if isinstance(part, dict))
    return ""


class ServerDialect:
    """The server side of one API."""

    name = ""
    stream_type = "text/event-stream"

    def read(self, body: dict[str, Any], path: str) -> Asked:
        """Parse a request."""
        raise NotImplementedError

    def whole(self, reply: Reply, asked: Asked) -> dict[str, Any]:
        """A whole answer."""
        raise NotImplementedError

    def events(self, reply: Reply, asked: Asked) -> list[bytes]:
        """A streamed answer."""
        raise NotImplementedError

    def error(self, status: int, code: str, message: str) -> dict[str, Any]:
        """An error."""
        return {"error": {"message": message, "type": code, "param": None, "code": code}}

    def error_event(self, code: str, message: str) -> bytes:
        """An error in the middle of a stream."""
        return f"data: {json_text(self.error(500, code, message))}\n\n".encode()

    def ping(self) -> bytes:
        """A keep-alive event without content."""
        return b": keep-alive\n\n"
