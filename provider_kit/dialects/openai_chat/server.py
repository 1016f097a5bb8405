"""OpenAI's chat API from the server's side."""

from __future__ import annotations

from typing import Any

from provider_kit.dialects.replies import Asked, Reply, pieces
from provider_kit.dialects.server import CREATED, ServerDialect, json_text, text_of

__all__ = ["OpenAIChatServer"]


class OpenAIChatServer(ServerDialect):
    """POST /chat/completions."""

    name = "openai_chat"

    def read(self, body: dict[str, Any], path: str) -> Asked:
        """Parse a request."""
        turns: list[tuple[str, str]] = []
        called: list[str] = []
        for message in body.get("messages") or ():
            role = {"developer": "system"}.get(message.get("role"), message.get("role"))
            turns.append((role, text_of(message.get("content"))))
            called.extend(call["function"]["name"] for call in message.get("tool_calls") or ())
        choice = body.get("tool_choice") or "auto"
        wanted = body.get("response_format") or {}
        schema = (wanted.get("json_schema") or {}).get("schema") if wanted.get("type") == "json_schema" else None
        return Asked(
            body.get("model", ""),
            turns,
            {tool["function"]["name"]: tool["function"].get("parameters") or {} for tool in body.get("tools") or ()},
            called,
            bool(body.get("stream")),
            choice if isinstance(choice, str) else choice["function"]["name"],
            {} if wanted.get("type") == "json_object" else schema,
            "reasoning_effort" in body,
            [body["stop"]] if isinstance(body.get("stop"), str) else body.get("stop") or [],
            body.get("max_completion_tokens") or body.get("max_tokens"),
        )

    def _usage(self, reply: Reply) -> dict[str, Any]:
        return {
            "prompt_tokens": reply.input_tokens,
            "completion_tokens": reply.output,
            "total_tokens": reply.input_tokens + reply.output,
            **({"prompt_tokens_details": {"cached_tokens": reply.cache_read}} if reply.cache_read else {}),
        }

    def _frame(self, reply: Reply, asked: Asked, kind: str) -> dict[str, Any]:
        return {"id": "chatcmpl-fake", "object": kind, "created": CREATED, "model": reply.model or asked.model}

    def whole(self, reply: Reply, asked: Asked) -> dict[str, Any]:
        """A whole answer."""
        message: dict[str, Any] = {"role": "assistant", "content": reply.text or None}
        if reply.thinking:
            message["reasoning_content"] = reply.thinking
        if reply.refusal:
            message["refusal"] = reply.refusal
        if reply.tool_calls:
            message["tool_calls"] = [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.json}}
                for call in reply.tool_calls
            ]
        return {
            **self._frame(reply, asked, "chat.completion"),
            "choices": [{"index": 0, "message": message, "finish_reason": reply.finish}],
            "usage": self._usage(reply),
        }

    def events(self, reply: Reply, asked: Asked) -> list[bytes]:
        """A streamed answer."""
        frame = self._frame(reply, asked, "chat.completion.chunk")

        def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            return f"data: {json_text({**frame, 'choices': [choice]})}\n\n".encode()

        events = [event({"role": "assistant", "content": ""})]
        events += [event({"reasoning_content": piece}) for piece in pieces(reply.thinking)]
        events += [event({"content": piece}) for piece in pieces(reply.text)]
        if reply.refusal:
            events.append(event({"refusal": reply.refusal}))
        for index, call in enumerate(reply.tool_calls):
            function = {"name": call.name, "arguments": ""}
            events.append(
                event({"tool_calls": [{"index": index, "id": call.id, "type": "function", "function": function}]})
            )
            half = len(call.json) // 2
            events += [
                event({"tool_calls": [{"index": index, "function": {"arguments": part}}]})
                for part in (call.json[:half], call.json[half:])
            ]
        events.append(event({}, reply.finish))
        events.append(f"data: {json_text({**frame, 'choices': [], 'usage': self._usage(reply)})}\n\n".encode())
        return [*events, b"data: [DONE]\n\n"]
