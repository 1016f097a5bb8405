"""Requests to Ollama's native chat API."""

from __future__ import annotations

from typing import Any

from provider_kit.dialects.base import Notes
from provider_kit.errors import InvalidRequestError
from provider_kit.model.chat import ChatRequest
from provider_kit.model.messages import Document, Image, Message, Native, Refusal, Text, Thinking, ToolCall, ToolResult

__all__ = ["OllamaRequestWriter"]

_OPTIONS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "max_tokens": "num_predict",
    "stop": "stop",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
}
_LEVELS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "max", "max": "max"}


class OllamaRequestWriter:
    """Writes one request."""

    def __init__(self, request: ChatRequest, notes: Notes, origin: str) -> None:
        self.request = request
        self.notes = notes
        self.origin = origin
        self._names: dict[str, str] = {}

    def write(self, stream: bool) -> dict[str, Any]:
        """The request's body. ``stream`` is always written: the server's own default is to stream."""
        request = self.request
        body: dict[str, Any] = {"model": request.model, "messages": self._messages(), "stream": stream}
        options = {wire: value for name, wire in _OPTIONS.items() if (value := getattr(request, name)) is not None}
        if options:
            body["options"] = options
        if request.tools:
            self._tools(body)
        if request.response_format is not None and request.response_format.kind != "text":
            body["format"] = request.response_format.schema or "json"
        if request.reasoning is not None:
            self._reasoning(body)
        for name in ("user", "metadata", "parallel_tool_calls"):
            if getattr(request, name) is not None:
                self.notes.leave_out(name, "this API has no such parameter.")
        return body

    def _tools(self, body: dict[str, Any]) -> None:
        choice = self.request.tool_choice
        tools = list(self.request.tools or ())
        if choice is not None:
            if choice.mode == "none":
                return
            if choice.names:
                tools = [tool for tool in tools if tool.name in choice.names]
            if choice.mode == "required":
                self.notes.leave_out("tool_choice", "tools cannot be forced here; the model decides.")
        body["tools"] = [
            tool.native
            or {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description or "", "parameters": tool.parameters},
            }
            for tool in tools
        ]

    def _reasoning(self, body: dict[str, Any]) -> None:
        reasoning = self.request.reasoning
        assert reasoning is not None
        if reasoning.effort == "none":
            body["think"] = False
        elif reasoning.effort in _LEVELS and "gpt-oss" in self.request.model:
            body["think"] = _LEVELS[reasoning.effort]
        else:
            body["think"] = True
            if reasoning.budget_tokens or reasoning.effort not in (None, "medium"):
                self.notes.leave_out("reasoning", "this model's thinking can only be on or off; it was turned on.")

    def _messages(self) -> list[dict[str, Any]]:
        written: list[dict[str, Any]] = []
        for message in self.request.messages:
            role = "system" if message.role == "developer" else message.role
            if type(message.content) is str:
                written.append({"role": role, "content": message.content})
            elif role == "tool":
                written.extend(self._results(message))
            else:
                written.append(self._message(role, message))
        return written

    def _message(self, role: str, message: Message) -> dict[str, Any]:
        text: list[str] = []
        images: list[str] = []
        calls: list[dict[str, Any]] = []
        thinking: list[str] = []
        for part in message.parts:
            if isinstance(part, (Text, Refusal)):
                text.append(part.text)
            elif isinstance(part, Image):
                images.append(_image(part))
            elif isinstance(part, ToolCall):
                self._names[part.id] = part.name
                calls.append({"function": {"name": part.name, "arguments": part.arguments}})
            elif isinstance(part, Thinking):
                if message.origin in (None, self.origin):
                    thinking.append(part.text)
            elif isinstance(part, Document) and part.data is not None and (part.media_type or "").startswith("text/"):
                text.append(part.data.decode("utf-8", "replace"))
            elif isinstance(part, Native):
                self.notes.leave_out("messages", f"a {part.type} block was not sent.")
            else:
                raise InvalidRequestError(
                    f"A {type(part).__name__} cannot be sent to this API.", hint="Send text and images only."
                )
        written: dict[str, Any] = {"role": role, "content": "".join(text)}
        if images:
            written["images"] = images
        if calls:
            written["tool_calls"] = calls
        if thinking:
            written["thinking"] = "\n\n".join(thinking)
        return written

    def _results(self, message: Message) -> list[dict[str, Any]]:
        results: list[dict[str, Any]] = []
        for part in message.parts:
            if isinstance(part, ToolResult):
                content = part.content
                if not isinstance(content, str):
                    content = "".join(item.text for item in content if isinstance(item, Text))
                if part.is_error and not content.lower().startswith("error"):
                    content = f"Error: {content}"
                name = part.name or self._names.get(part.tool_call_id) or part.tool_call_id
                results.append({"role": "tool", "tool_name": name, "content": content})
        return results


def _image(image: Image) -> str:
    if image.data is None:
        raise InvalidRequestError(
            "Ollama takes images only as data, not as links.",
            hint="Download the picture and attach its bytes or path: files=['photo.png'].",
        )
    return image.base64
