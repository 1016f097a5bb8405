"""Ollama's native API from the server's side."""

from __future__ import annotations

from typing import Any

from provider_kit.dialects.replies import Asked, Reply, pieces
from provider_kit.dialects.server import ServerDialect, json_text

__all__ = ["OllamaServer"]


class OllamaServer(ServerDialect):
    """POST /api/chat."""

    name = "ollama_chat"
    stream_type = "application/x-ndjson"

    def read(self, body: dict[str, Any], path: str) -> Asked:
        """Parse a request."""
        options = body.get("options") or {}
        form = body.get("format")
        messages = body.get("messages") or ()
        return Asked(
            body.get("model", ""),
            [(message["role"], message.get("content") or "") for message in messages],
            {tool["function"]["name"]: tool["function"].get("parameters") or {} for tool in body.get("tools") or ()},
            [call["function"]["name"] for message in messages for call in message.get("tool_calls") or ()],
            body.get("stream", True),
            "auto",
            {} if form == "json" else form,
            bool(body.get("think")),
            options.get("stop") or [],
            options.get("num_predict"),
        )

    def _line(self, asked: Asked, message: dict[str, Any], **fields: Any) -> dict[str, Any]:
        created = "2026-11-01T10:00:00.123456789Z"
        return {"model": asked.model, "created_at": created, "message": message, "done": False, **fields}

    def _message(self, reply: Reply) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": reply.text or reply.refusal}
        if reply.thinking:
            message["thinking"] = reply.thinking
        if reply.tool_calls:
            message["tool_calls"] = [
                {"function": {"name": call.name, "arguments": call.object}} for call in reply.tool_calls
            ]
        return message

    def _end(self, reply: Reply) -> dict[str, Any]:
        reason = "length" if reply.finish == "length" else "stop"
        counts = {"prompt_eval_count": reply.input_tokens, "eval_count": reply.output}
        return {"done": True, "done_reason": reason, "total_duration": 1_000_000, **counts}

    def whole(self, reply: Reply, asked: Asked) -> dict[str, Any]:
        """A whole answer."""
        return self._line(asked, self._message(reply), **self._end(reply))

    def events(self, reply: Reply, asked: Asked) -> list[bytes]:
        """A streamed answer, one event per line."""
        messages: list[dict[str, Any]] = [{"content": "", "thinking": piece} for piece in pieces(reply.thinking)]
        messages += [{"content": piece} for piece in pieces(reply.text or reply.refusal)]
        if reply.tool_calls:
            messages.append({"content": "", "tool_calls": self._message(reply)["tool_calls"]})
        lines = [self._line(asked, {"role": "assistant", **message}) for message in messages]
        lines.append(self._line(asked, {"role": "assistant", "content": ""}, **self._end(reply)))
        return [f"{json_text(line)}\n".encode() for line in lines]

    def error(self, status: int, code: str, message: str) -> dict[str, Any]:
        """An error."""
        return {"error": message}

    def error_event(self, code: str, message: str) -> bytes:
        """An error in the middle of a stream."""
        return f"{json_text({'error': message})}\n".encode()

    def ping(self) -> bytes:
        """A keep-alive event without content."""
        return b"\n"
