"""Requests to Ollama's native chat API."""

from __future__ import annotations

from typing import Any

from provider_kit.dialects.assembly import arguments_object
from provider_kit.dialects.base import COMMON_FIELDS, ParameterReport
from provider_kit.dialects.generated import spoken_words
from provider_kit.dialects.prompt_caching import lifetime_seconds
from provider_kit.dialects.schemas import output_schema, prompt_for
from provider_kit.errors import InvalidRequestError
from provider_kit.model.chat import ChatRequest
from provider_kit.model.media import Document, Image, Media
from provider_kit.model.messages import Message, Native, Part, Refusal, Text, Thinking, ToolCall, ToolResult, written_in
from provider_kit.model.tools import Reasoning, ResponseFormat
from provider_kit.schema.canonical import CanonicalSchema
from provider_kit.schema.profiles import PROFILES

__all__ = ["TAKES", "OllamaRequestWriter"]

#: The fields of a request that are written here, or reported.
TAKES = COMMON_FIELDS | {"top_k", "stop", "seed", "presence_penalty", "frequency_penalty"}

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

    def __init__(self, request: ChatRequest, report: ParameterReport, origin: str) -> None:
        self.request = request
        self.report = report
        self.origin = origin
        #: The calls so far: number and name of each.
        self._calls: dict[str, tuple[int, str]] = {}
        self._waiting: list[ToolResult] = []

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
            self._response_format(body, request.response_format)
        wish = None if request.reasoning is None else request.reasoning.without_default()
        if wish is not None:
            self._reasoning(body, wish)
        if request.parallel_tool_calls is False:
            self.report.omit("parallel_tool_calls", "this API has no such switch.")
        if isinstance(request.cache, str):  # the cache lives as long as the model is loaded
            body["keep_alive"] = lifetime_seconds(request.cache)
        return body

    def _response_format(self, body: dict[str, Any], wanted: ResponseFormat) -> None:
        if not isinstance(wanted.schema, CanonicalSchema):
            body["format"] = wanted.described or "json"
            return
        body["format"] = output_schema(wanted, PROFILES["ollama"], self.report).schema or "json"
        # The server shapes the answer by the schema, and does not show it to the model.
        messages, text = body["messages"], prompt_for(wanted)
        if messages[0]["role"] == "system":
            messages[0]["content"] = f"{messages[0]['content']}\n\n{text}"
        else:
            messages.insert(0, {"role": "system", "content": text})

    def _tools(self, body: dict[str, Any]) -> None:
        choice = self.request.tool_choice
        tools = list(self.request.tools or ())
        if choice is not None:
            if choice.mode == "none":
                return
            if choice.names:
                tools = [tool for tool in tools if tool.name in choice.names]
            if choice.mode == "required":
                self.report.omit("tool_choice", "tools cannot be forced here; the model decides.")
        if any(tool.strict for tool in tools):
            self.report.omit("tools", "strict is not accepted here; check the arguments of calls yourself.")
        body["tools"] = [
            tool.native
            or {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description or "", "parameters": tool.parameters},
            }
            for tool in tools
        ]

    def _reasoning(self, body: dict[str, Any], reasoning: Reasoning) -> None:
        effort, budget = reasoning.effort, reasoning.budget_tokens
        if "gpt-oss" in self.request.model:
            by_budget = "low" if (budget or 8192) <= 4096 else "medium" if (budget or 8192) <= 16384 else "high"
            body["think"] = level = _LEVELS.get(effort, "low") if effort else by_budget
            if effort != level and (effort or budget):
                self.report.omit("reasoning", f"this model thinks in levels and always; {level!r} was sent.")
        elif effort == "none":
            body["think"] = False
        else:
            body["think"] = True
            if budget or effort not in (None, "medium"):
                self.report.omit("reasoning", "this model's thinking can only be on or off; it was turned on.")

    def _messages(self) -> list[dict[str, Any]]:
        written: list[dict[str, Any]] = []
        for message in self.request.messages:
            role = "system" if message.role == "developer" else message.role
            if type(message.content) is str:
                self._write_results(written)
                written.append({"role": role, "content": message.content})
                continue
            rest: list[Part] = []
            for part in message.parts:
                if isinstance(part, ToolResult):
                    self._waiting.append(part)
                else:
                    rest.append(part)
            if rest:
                self._write_results(written)
                written.append(self._message("user" if role == "tool" else role, message, rest))
        self._write_results(written)
        return written

    def _write_results(self, written: list[dict[str, Any]]) -> None:
        """Results in the order of their calls: the server pairs them by name and position."""
        if self._waiting:
            self._waiting.sort(key=lambda result: self._calls.get(result.tool_call_id, (len(self._calls), ""))[0])
            written.extend(self._result(result) for result in self._waiting)
            self._waiting.clear()

    def _message(self, role: str, message: Message, parts: list[Part]) -> dict[str, Any]:
        text: list[str] = []
        images: list[str] = []
        calls: list[dict[str, Any]] = []
        thinking: list[str] = []
        for part in parts:
            if isinstance(part, (Text, Refusal)):
                text.append(part.text)
            elif isinstance(part, Media) and role == "assistant" and message.origin is not None:
                words = spoken_words(part)
                if words:
                    text.append(words)
                else:
                    self.report.omit("messages", f"a generated {type(part).__name__} was not sent.")
            elif isinstance(part, Image):
                images.append(_image(part))
            elif isinstance(part, ToolCall):
                self._calls[part.id] = len(self._calls), part.name
                calls.append({"function": {"name": part.name, "arguments": arguments_object(part)}})
            elif isinstance(part, Thinking):
                if message.origin in (None, self.origin):
                    thinking.append(part.text)
            elif isinstance(part, Document) and (said := part.fenced) is not None:
                text.append(said)
            elif isinstance(part, Native):
                self.report.omit("messages", f"a {part.type} block was not sent.")
            else:
                raise InvalidRequestError(
                    f"A {type(part).__name__} cannot be sent to this API.", hint="Send text and images only."
                )
        # Several parts of a model's answer are one text; attachments of a user are not.
        written: dict[str, Any] = {"role": role, "content": ("" if role == "assistant" else "\n\n").join(text)}
        if images:
            written["images"] = images
        if calls:
            written["tool_calls"] = calls
        if thinking:
            written["thinking"] = "\n\n".join(thinking)
        return written

    def _result(self, result: ToolResult) -> dict[str, Any]:
        content = result.content
        if not isinstance(content, str):
            if any(written_in(part) is None for part in content):
                self.report.omit("messages", "only the text of a tool result was sent.")
            content = result.text
        if result.is_error and not content.lower().startswith("error"):
            content = f"Error: {content}"
        name = result.name or self._calls.get(result.tool_call_id, (0, result.tool_call_id))[1]
        return {"role": "tool", "tool_name": name, "content": content}


def _image(image: Image) -> str:
    if image.data is None:
        raise InvalidRequestError(
            "Ollama takes images only as data, not as links.",
            hint="Download the picture and attach its bytes or path: files=['photo.png'].",
        )
    return image.base64
