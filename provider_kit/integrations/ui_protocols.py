"""The simpler protocols of a stream for a page: named events of our own, OpenAI's chunks, and text alone."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, ClassVar

from provider_kit.errors import ToolCallParseError
from provider_kit.integrations.ui_encoders import (
    EVENT_STREAM_HEADERS,
    UIEncoder,
    data_frame,
    file_address,
    plain_json,
    source_address,
    to_bytes,
)
from provider_kit.integrations.ui_errors import UIError
from provider_kit.model.chat import ChatResponse
from provider_kit.model.media import Media
from provider_kit.model.messages import ToolCall, ToolResult

__all__ = ["EventEncoder", "OpenAIEncoder", "TextEncoder"]


class EventEncoder(UIEncoder):
    """Server-sent events with names, for a page of your own: ``text``, ``thinking``, ``tool_call``, ``tool_progress``,
    ``tool_result``, ``approval``, ``file``, ``source``, ``reset``, ``error``, ``end``."""

    @staticmethod
    def _event(kind: str, /, **fields: Any) -> bytes:
        return b"event: " + kind.encode("ascii") + b"\ndata: " + to_bytes(fields) + b"\n\n"

    def text(self, piece: str, step: int) -> bytes:
        return self._event("text", text=piece)

    def thinking(self, piece: str, step: int) -> bytes:
        return self._event("thinking", text=piece)

    def call(self, call: ToolCall, step: int) -> bytes:
        return self._event("tool_call", **_about(call))

    def tool_progress(self, call: ToolCall, value: Any, step: int) -> bytes:
        return self._event("tool_progress", id=call.id, name=call.name, value=value)

    def tool_finished(self, call: ToolCall, result: ToolResult, denied: bool, step: int) -> bytes:
        fields = {"id": call.id, "name": call.name, "content": result.text, "is_error": result.is_error}
        return self._event("tool_result", **fields, denied=denied)

    def approval(self, call: ToolCall) -> bytes:
        return self._event("approval", **_about(call))

    def file(self, file: Media, step: int) -> bytes:
        address = file_address(file)
        return self._event("file", url=address, media_type=file.media_type) if address is not None else b""

    def citation(self, note: Mapping[str, Any], step: int) -> bytes:
        found = source_address(note)
        return self._event("source", url=found[0], title=found[1]) if found is not None else b""

    def reset(self, step: int) -> bytes:
        return self._event("reset", step=step)

    def error(self, error: UIError) -> bytes:
        return self._event("error", **error.fields)

    def end(self, response: ChatResponse[Any] | None) -> bytes:
        made = b"".join(self.approval(call) for call in self.pending(response))
        if response is None:
            return made + self._event("end")
        usage = response.usage
        counted = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
        return made + self._event("end", finish_reason=response.finish_reason, usage=counted)


def _about(call: ToolCall) -> dict[str, Any]:
    try:
        arguments: Any = plain_json(call.arguments)
    except ToolCallParseError:
        arguments = call.arguments_json
    return {"id": call.id, "name": call.name, "arguments": arguments}


class OpenAIEncoder(UIEncoder):
    """Chunks as OpenAI's Chat Completions API streams them. Source: its reference, "The chat completion chunk object".

    Calls of tools that run here are not part of it: who reads this protocol would run them again.
    """

    can_reset: ClassVar[bool] = False

    def __init__(self, model: str = "default", created: int = 0) -> None:
        super().__init__()
        self._head = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
        }
        self._calls: dict[Any, int] = {}

    def _delta(self, delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
        return data_frame({**self._head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more})

    def start(self) -> bytes:
        return self._delta({"role": "assistant", "content": ""})

    def text(self, piece: str, step: int) -> bytes:
        return self._delta({"content": piece})

    def thinking(self, piece: str, step: int) -> bytes:
        return self._delta({"reasoning_content": piece})

    def call_delta(self, key: Any, id: str | None, name: str | None, arguments: str, step: int) -> bytes:
        if type(key) is tuple:
            return b""  # of a run, which calls it itself
        known = self._calls.get(key)
        made: dict[str, Any] = {"index": len(self._calls) if known is None else known}
        function = {"arguments": arguments}
        if known is None:
            self._calls[key] = made["index"]
            made |= {"id": id, "type": "function"}
            function = {"name": name or "", **function}
        return self._delta({"tool_calls": [{**made, "function": function}]})

    def error(self, error: UIError) -> bytes:
        return data_frame({"error": error.fields}) + b"data: [DONE]\n\n"

    def end(self, response: ChatResponse[Any] | None) -> bytes:
        finish: str = "stop"
        more: dict[str, Any] = {}
        if response is not None:
            known = ("stop", "length", "content_filter", "tool_calls")
            finish = response.finish_reason if response.finish_reason in known else "stop"
            if finish == "tool_calls" and not self._calls:
                finish = "stop"
            usage = response.usage
            sent, made = usage.prompt_tokens, usage.completion_tokens
            if sent is not None and made is not None:
                more["usage"] = {"prompt_tokens": sent, "completion_tokens": made, "total_tokens": sent + made}
        return self._delta({}, finish, **more) + b"data: [DONE]\n\n"


class TextEncoder(UIEncoder):
    """The text alone. It has no form for errors: the connection is broken off."""

    headers: ClassVar[Mapping[str, str]] = {**EVENT_STREAM_HEADERS, "content-type": "text/plain; charset=utf-8"}
    ping: ClassVar[bytes] = b""
    plain_errors: ClassVar[bool] = True
    tells_errors: ClassVar[bool] = False
    can_reset: ClassVar[bool] = False

    def text(self, piece: str, step: int) -> bytes:
        return piece.encode("utf-8", "replace")
