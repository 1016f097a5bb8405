"""OpenAI's Responses API from the server's side."""

from __future__ import annotations

from typing import Any

from provider_kit.dialects.replies import Asked, Reply, pieces
from provider_kit.dialects.server import CREATED, ServerDialect, json_text, text_of

__all__ = ["ResponsesServer"]


class ResponsesServer(ServerDialect):
    """POST /responses."""

    name = "openai_responses"

    def read(self, body: dict[str, Any], path: str) -> Asked:
        """Parse a request."""
        turns: list[tuple[str, str]] = []
        called: list[str] = []
        if body.get("instructions"):
            turns.append(("system", body["instructions"]))
        items = body.get("input")
        for item in [{"role": "user", "content": items}] if isinstance(items, str) else items or ():
            kind = str(item.get("type", "message"))
            if kind == "message":
                role = str(item.get("role"))
                role = "system" if role == "developer" else role
                turns.append((role, text_of(item.get("content"))))
            elif kind == "function_call":
                turns.append(("assistant", ""))
                called.append(item["name"])
            elif kind == "function_call_output":
                turns.append(("tool", text_of(item.get("output"))))
        choice = body.get("tool_choice") or "auto"
        wanted = (body.get("text") or {}).get("format") or {}
        return Asked(
            body.get("model", ""),
            turns,
            {tool["name"]: tool.get("parameters") or {} for tool in body.get("tools") or () if tool.get("name")},
            called,
            bool(body.get("stream")),
            choice if isinstance(choice, str) else choice.get("name", "auto"),
            wanted.get("schema", {}) if wanted.get("type") in ("json_schema", "json_object") else None,
            bool(body.get("reasoning")),
            [],
            body.get("max_output_tokens"),
        )

    def _items(self, reply: Reply) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        if reply.thinking:
            summary = [{"type": "summary_text", "text": reply.thinking}]
            items.append({"type": "reasoning", "id": "rs_fake", "summary": summary, "encrypted_content": "b3BhcXVl"})
        if reply.text or reply.refusal:
            part = (
                {"type": "output_text", "text": reply.text, "annotations": []}
                if reply.text
                else {"type": "refusal", "refusal": reply.refusal}
            )
            items.append(
                {"type": "message", "id": "msg_fake", "status": "completed", "role": "assistant", "content": [part]}
            )
        items += [
            {
                "type": "function_call",
                "id": f"fc_{call.id}",
                "call_id": call.id,
                "name": call.name,
                "arguments": call.json,
                "status": "completed",
            }
            for call in reply.tool_calls
        ]
        return items

    def whole(self, reply: Reply, asked: Asked) -> dict[str, Any]:
        """A whole answer."""
        cut = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(reply.finish)
        return {
            "id": "resp_fake",
            "object": "response",
            "created_at": CREATED,
            "status": "incomplete" if cut else "completed",
            "error": None,
            "incomplete_details": {"reason": cut} if cut else None,
            "model": reply.model or asked.model,
            "output": self._items(reply),
            "usage": {
                "input_tokens": reply.input_tokens,
                "input_tokens_details": {"cached_tokens": reply.cache_read},
                "output_tokens": reply.output,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": reply.input_tokens + reply.output,
            },
        }

    def events(self, reply: Reply, asked: Asked) -> list[bytes]:
        """A streamed answer."""
        final = self.whole(reply, asked)
        events: list[bytes] = []

        def add(kind: str, **fields: Any) -> None:
            payload = {"type": kind, "sequence_number": len(events), **fields}
            events.append(f"event: {kind}\ndata: {json_text(payload)}\n\n".encode())

        started = {**final, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
        add("response.created", response=started)
        for index, item in enumerate(final["output"]):
            at = {"output_index": index, "item_id": item["id"]}
            kind = item["type"]
            empty: dict[str, Any] = {"content": []}
            if kind in ("reasoning", "function_call"):
                empty = {"summary": []} if kind == "reasoning" else {"arguments": ""}
            add("response.output_item.added", output_index=index, item={**item, **empty, "status": "in_progress"})
            if kind == "reasoning":
                for piece in pieces(reply.thinking):
                    add("response.reasoning_summary_text.delta", **at, summary_index=0, delta=piece)
            elif kind == "message" and reply.text:
                for piece in pieces(reply.text):
                    add("response.output_text.delta", **at, content_index=0, delta=piece)
                add("response.output_text.done", **at, content_index=0, text=reply.text)
            elif kind == "message":
                add("response.refusal.delta", **at, content_index=0, delta=reply.refusal)
            else:
                half = len(item["arguments"]) // 2
                for piece in (item["arguments"][:half], item["arguments"][half:]):
                    add("response.function_call_arguments.delta", **at, delta=piece)
                add("response.function_call_arguments.done", **at, arguments=item["arguments"])
            add("response.output_item.done", output_index=index, item=item)
        add(f"response.{final['status']}", response=final)
        return events

    def error_event(self, code: str, message: str) -> bytes:
        """An error in the middle of a stream."""
        payload = {"type": "error", "code": code, "message": message, "param": None, "sequence_number": 99}
        return f"event: error\ndata: {json_text(payload)}\n\n".encode()
