"""Anthropic's Messages API from the server's side."""

from __future__ import annotations

from typing import Any

from provider_kit.dialects.replies import Asked, Reply, pieces
from provider_kit.dialects.server import ServerDialect, json_text, text_of

__all__ = ["AnthropicServer"]


class AnthropicServer(ServerDialect):
    """POST /v1/messages."""

    name = "anthropic_messages"

    def read(self, body: dict[str, Any], path: str) -> Asked:
        """Parse a request."""
        turns: list[tuple[str, str]] = []
        called: list[str] = []
        if body.get("system"):
            turns.append(("system", text_of(body["system"])))
        for message in body.get("messages") or ():
            content = message.get("content")
            results = [b for b in content if b.get("type") == "tool_result"] if isinstance(content, list) else []
            turns.extend(("tool", text_of(block.get("content"))) for block in results)
            texts = text_of(content)
            if texts or not results:
                turns.append((message["role"], texts))
            if isinstance(content, list):
                called.extend(block["name"] for block in content if block.get("type") == "tool_use")
        choice = body.get("tool_choice") or {"type": "auto"}
        kinds = {"any": "required", "tool": choice.get("name", "")}
        wanted = (body.get("output_config") or {}).get("format") or {}
        return Asked(
            body.get("model", ""),
            turns,
            {tool["name"]: tool.get("input_schema") or {} for tool in body.get("tools") or ()},
            called,
            bool(body.get("stream")),
            kinds.get(choice["type"], choice["type"]),
            wanted.get("schema"),
            (body.get("thinking") or {}).get("type") in ("enabled", "adaptive"),
            body.get("stop_sequences") or [],
            body.get("max_tokens"),
        )

    def _blocks(self, reply: Reply) -> list[dict[str, Any]]:
        blocks: list[dict[str, Any]] = []
        if reply.thinking:
            blocks.append({"type": "thinking", "thinking": reply.thinking, "signature": "c2lnbmF0dXJl"})
        if reply.text:
            blocks.append({"type": "text", "text": reply.text})
        blocks += [
            {"type": "tool_use", "id": call.id, "name": call.name, "input": call.object} for call in reply.tool_calls
        ]
        return blocks

    def _stop(self, reply: Reply) -> dict[str, Any]:
        names = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
        refused = {"type": "refusal", "category": "general_harms", "explanation": reply.refusal}
        reason = "refusal" if reply.refusal else names.get(reply.finish, reply.finish)
        return {"stop_reason": reason, "stop_sequence": None, **({"stop_details": refused} if reply.refusal else {})}

    def _usage(self, reply: Reply, output: int) -> dict[str, Any]:
        usage = {"input_tokens": reply.input_tokens - reply.cache_read - reply.cache_write, "output_tokens": output}
        if reply.cache_read or reply.cache_write:
            usage["cache_read_input_tokens"] = reply.cache_read
            usage["cache_creation_input_tokens"] = reply.cache_write
        return usage

    def whole(self, reply: Reply, asked: Asked) -> dict[str, Any]:
        """A whole answer."""
        return {
            "id": "msg_fake",
            "type": "message",
            "role": "assistant",
            "model": reply.model or asked.model,
            "content": self._blocks(reply),
            **self._stop(reply),
            "usage": self._usage(reply, reply.output),
        }

    def events(self, reply: Reply, asked: Asked) -> list[bytes]:
        """A streamed answer."""
        events: list[bytes] = []

        def add(kind: str, **fields: Any) -> None:
            events.append(f"event: {kind}\ndata: {json_text({'type': kind, **fields})}\n\n".encode())

        start = {**self.whole(reply, asked), "content": [], "stop_reason": None}
        start["usage"] = self._usage(reply, 1)
        add("message_start", message=start)
        add("ping")
        for index, block in enumerate(self._blocks(reply)):
            kind = block["type"]
            if kind == "thinking":
                add("content_block_start", index=index, content_block={"type": kind, "thinking": "", "signature": ""})
                deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(reply.thinking)]
                deltas.append({"type": "signature_delta", "signature": block["signature"]})
            elif kind == "text":
                add("content_block_start", index=index, content_block={"type": kind, "text": ""})
                deltas = [{"type": "text_delta", "text": piece} for piece in pieces(reply.text)]
            else:
                add("content_block_start", index=index, content_block={**block, "input": {}})
                text = json_text(block["input"])
                half = len(text) // 2
                deltas = [{"type": "input_json_delta", "partial_json": part} for part in ("", text[:half], text[half:])]
            for delta in deltas:
                add("content_block_delta", index=index, delta=delta)
            add("content_block_stop", index=index)
        add("message_delta", delta=self._stop(reply), usage={"output_tokens": reply.output})
        add("message_stop")
        return events

    def error(self, status: int, code: str, message: str) -> dict[str, Any]:
        """An error."""
        return {"type": "error", "error": {"type": code, "message": message}, "request_id": "req_fake"}

    def error_event(self, code: str, message: str) -> bytes:
        """An error in the middle of a stream."""
        return f"event: error\ndata: {json_text(self.error(500, code, message))}\n\n".encode()

    def ping(self) -> bytes:
        """A keep-alive event without content."""
        return b'event: ping\ndata: {"type":"ping"}\n\n'
