"""The UI message stream of Vercel's AI SDK, as ``useChat`` reads it.

Source: AI SDK, ``packages/ai/src/ui-message-stream/ui-message-chunks.ts``, and "Stream Protocols" in its documentation.
Version 5 of the client has no parts for approvals; ``reset-step`` came with version 7.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from provider_kit.errors import ToolCallParseError
from provider_kit.integrations.ui_encoders import (
    EVENT_STREAM_HEADERS,
    UIEncoder,
    data_frame,
    file_address,
    plain_json,
    source_address,
)
from provider_kit.integrations.ui_errors import UIError
from provider_kit.model.chat import ChatResponse
from provider_kit.model.json_text import loads
from provider_kit.model.media import Media
from provider_kit.model.messages import ToolCall, ToolResult

__all__ = ["VercelEncoder"]

_FINISH = {"stop": "stop", "length": "length", "content_filter": "content-filter", "tool_calls": "tool-calls"}
#: The version of the client in which each of these parts appeared.
_APPROVALS, _FINISH_REASON, _RESET = 6, 6, 7  # the first releases of 5 refuse what they do not know


class VercelEncoder(UIEncoder):
    """Version 1 of the UI message stream.

    Args:
        sdk_version: Major version of the npm package ``ai`` in the page.
        metadata: Makes the ``messageMetadata`` of the finished message, from the answer.
    """

    headers: ClassVar[Mapping[str, str]] = {**EVENT_STREAM_HEADERS, "x-vercel-ai-ui-message-stream": "v1"}
    plain_errors: ClassVar[bool] = True  # the page shows the body of an error as it is

    def __init__(self, sdk_version: int = 7, metadata: Callable[[ChatResponse[Any]], Any] | None = None) -> None:
        super().__init__()
        self._version = sdk_version
        self._metadata = metadata
        self._step = 0
        #: The kind of the part that is open, and its id.
        self._open: tuple[str, str] | None = None
        self._parts = 0
        self._sources = 0
        #: Calls as they are written: their place to their id.
        self._begun: dict[Any, str] = {}
        #: Calls of which the page knows the input.
        self._known: set[str] = set()

    # -------------------------------------------------------------------------------------------- steps and parts

    def start(self) -> bytes:
        return data_frame({"type": "start"})

    def _in_step(self, step: int) -> bytes:
        """Begin a step, if this is a new one."""
        if self._step == step and self._step:
            return b""
        made = self._close_step()
        self._step = step
        return made + data_frame({"type": "start-step"})

    def _close_step(self) -> bytes:
        if not self._step:
            return b""
        made = self._close_part()
        self._step = 0
        self._begun.clear()
        return made + data_frame({"type": "finish-step"})

    def _close_part(self) -> bytes:
        if self._open is None:
            return b""
        (kind, id), self._open = self._open, None
        return data_frame({"type": f"{kind}-end", "id": id})

    def _piece(self, kind: str, piece: str, step: int) -> bytes:
        made = self._in_step(step)
        if self._open is None or self._open[0] != kind:
            made += self._close_part()
            self._parts += 1
            self._open = (kind, f"{kind}-{self._parts}")
            made += data_frame({"type": f"{kind}-start", "id": self._open[1]})
        return made + data_frame({"type": f"{kind}-delta", "id": self._open[1], "delta": piece})

    def text(self, piece: str, step: int) -> bytes:
        return self._piece("text", piece, step)

    def thinking(self, piece: str, step: int) -> bytes:
        return self._piece("reasoning", piece, step)

    def file(self, file: Media, step: int) -> bytes:
        address = file_address(file)
        if address is None or file.media_type is None:
            return b""
        made = self._in_step(step) + self._close_part()
        return made + data_frame({"type": "file", "url": address, "mediaType": file.media_type})

    def citation(self, note: Mapping[str, Any], step: int) -> bytes:
        found = source_address(note)
        if found is None:
            return b""
        self._sources += 1
        part = {"type": "source-url", "sourceId": f"source-{self._sources}", "url": found[0]}
        return self._in_step(step) + data_frame(part | ({"title": found[1]} if found[1] else {}))

    # -------------------------------------------------------------------------------------------- tools

    def call_delta(self, key: Any, id: str | None, name: str | None, arguments: str, step: int) -> bytes:
        made = self._in_step(step)
        begun = self._begun.get(key)
        if begun is None:
            if id is None or name is None:
                return made  # the whole call is told when it is complete
            made += self._close_part()
            begun = self._begun[key] = id
            made += data_frame({"type": "tool-input-start", "toolCallId": id, "toolName": name})
        if arguments:
            made += data_frame({"type": "tool-input-delta", "toolCallId": begun, "inputTextDelta": arguments})
        return made

    def call(self, call: ToolCall, step: int) -> bytes:
        made = self._in_step(step) + self._close_part()
        self._known.add(call.id)
        about = {"toolCallId": call.id, "toolName": call.name}
        try:
            return made + data_frame({"type": "tool-input-available", **about, "input": plain_json(call.arguments)})
        except ToolCallParseError:
            text = "The model wrote arguments that cannot be read."
            return made + data_frame(
                {"type": "tool-input-error", **about, "input": call.arguments_json, "errorText": text}
            )

    def tool_progress(self, call: ToolCall, value: Any, step: int) -> bytes:
        return data_frame(
            {"type": "tool-output-available", "toolCallId": call.id, "output": value, "preliminary": True}
        )

    def tool_finished(self, call: ToolCall, result: ToolResult, denied: bool, step: int) -> bytes:
        about = {"toolCallId": call.id}
        if denied and self._version >= _APPROVALS:
            return data_frame({"type": "tool-output-denied", **about})
        if denied or result.is_error:
            return data_frame({"type": "tool-output-error", **about, "errorText": result.text})
        return data_frame({"type": "tool-output-available", **about, "output": _output(result)})

    def approval(self, call: ToolCall) -> bytes:
        made = b"" if call.id in self._known else self.call(call, self._step or 1)
        if self._version < _APPROVALS:
            return made  # the call stays without an output, which such a page shows by itself
        return made + data_frame({"type": "tool-approval-request", "approvalId": call.id, "toolCallId": call.id})

    # -------------------------------------------------------------------------------------------- ends

    def reset(self, step: int) -> bytes:
        if self._version < _RESET:
            made = self._close_part()
            return made + data_frame({"type": "data-reset", "data": {"step": step}})
        self._open = None  # the page forgets its parts, open or not
        self._begun.clear()
        return data_frame({"type": "reset-step"}) if self._step else b""

    def error(self, error: UIError) -> bytes:
        made = self._close_part() + data_frame({"type": "error", "errorText": error.message})
        return made + b"data: [DONE]\n\n"

    def end(self, response: ChatResponse[Any] | None) -> bytes:
        made = b""
        waiting = self.pending(response)
        if response is not None and not waiting:
            made += b"".join(self.call(one, self._step or 1) for one in response.tool_calls if self._is_open(one))
        made += b"".join(self.approval(call) for call in waiting)
        made += self._close_step()
        finish: dict[str, Any] = {"type": "finish"}
        if response is not None:
            if self._version >= _FINISH_REASON:
                finish["finishReason"] = _FINISH.get(response.finish_reason, "other")
            if self._metadata is not None:
                finish["messageMetadata"] = plain_json(self._metadata(response))
        return made + data_frame(finish) + b"data: [DONE]\n\n"

    def _is_open(self, call: ToolCall) -> bool:
        return call.id in self._begun.values() and call.id not in self._known


def _output(result: ToolResult) -> Any:
    """What a tool returned, as a value where its text is JSON."""
    text = result.text
    if text[:1] in ("{", "["):
        try:
            return loads(text)
        except ValueError:
            return text
    return text
