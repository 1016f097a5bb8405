"""Chat requests in OpenAI's form (POST /chat/completions).

Source: OpenAI API reference, "Create chat completion", and what the servers that imitate it document.
"""

from __future__ import annotations

from typing import Any

from provider_kit.dialects.base import COMMON_FIELDS, ParameterReport
from provider_kit.dialects.openai_chat.messages import MessageWriter, cache_control
from provider_kit.dialects.openai_chat.quirks import ChatQuirks
from provider_kit.model.chat import ChatRequest
from provider_kit.model.json_text import dumps_text
from provider_kit.model.tools import ResponseFormat, Tool, ToolChoice

__all__ = ["TAKES", "RequestWriter", "write_tool"]

#: The fields of a request that are written here, or reported.
TAKES = COMMON_FIELDS | {
    "top_k",
    "stop",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "verbosity",
    "user",
    "metadata",
}


def write_tool(tool: Tool, strict_allowed: bool) -> dict[str, Any]:
    """A tool in the nested form."""
    if tool.native is not None:
        return tool.native
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = tool.parameters
    if tool.strict is not None and strict_allowed:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


class RequestWriter:
    """Writes one request; made for one call, holds what it has to report."""

    def __init__(self, request: ChatRequest, quirks: ChatQuirks, report: ParameterReport, origin: str) -> None:
        self.request = request
        self.quirks = quirks
        self.report = report
        self.origin = origin

    def write(self, stream: bool) -> dict[str, Any]:
        """The request's body."""
        request, quirks = self.request, self.quirks
        body: dict[str, Any] = {
            "model": request.model,
            "messages": MessageWriter(request, quirks, self.report, self.origin).write(),
        }
        if quirks.body:
            body.update(quirks.body)
        if request.max_tokens is not None:
            body[quirks.max_tokens_field] = request.max_tokens
        refused = quirks.refused
        if quirks.taken_without_reasoning and request.reasoning is not None and request.reasoning.effort == "none":
            refused = {name: why for name, why in refused.items() if name not in quirks.taken_without_reasoning}
        if request.temperature is not None:
            self._put(body, "temperature", request.temperature, refused)
        if request.top_p is not None:
            self._put(body, "top_p", request.top_p, refused)
        if request.top_k is not None:
            self._put(body, "top_k", request.top_k, refused)
        if request.presence_penalty is not None:
            self._put(body, "presence_penalty", request.presence_penalty, refused)
        if request.frequency_penalty is not None:
            self._put(body, "frequency_penalty", request.frequency_penalty, refused)
        if request.stop is not None:
            stop = request.stop
            if quirks.max_stop is not None and len(stop) > quirks.max_stop:
                self.report.omit("stop", f"only the first {quirks.max_stop} stop texts were sent.")
                stop = stop[: quirks.max_stop]
            self._put(body, "stop", stop, refused)
        if request.seed is not None:
            if "seed" in refused:
                self.report.omit("seed", refused["seed"])
            else:
                body[quirks.seed_field] = request.seed
        if request.tools:
            self._tools(body, request.tools)
        if request.response_format is not None:
            self._response_format(body, request.response_format)
        wish = request.reasoning
        if wish is not None and not quirks.default_effort:
            wish = wish.without_default()
        if wish is not None:
            if quirks.reasoning is None:
                self.report.omit("reasoning", "this model has no reasoning to control.")
            else:
                quirks.reasoning(wish, body, self.report)
        if request.verbosity is not None:
            self._put(body, "verbosity", request.verbosity, refused)
        if request.user is not None:
            if quirks.user_field is None:
                self.report.omit("user", "this provider takes no user id.")
            else:
                body[quirks.user_field] = request.user
        if request.metadata is not None:
            if quirks.metadata:
                body["metadata"] = request.metadata
            else:
                self.report.omit("metadata", "this provider takes no metadata.")
        if request.cache and quirks.cache_control:
            self._mark_cache(body["messages"], request.cache)
        if stream:
            body["stream"] = True
            if quirks.ask_stream_usage:
                body["stream_options"] = {"include_usage": True}
        return body

    def _put(self, body: dict[str, Any], name: str, value: Any, refused: Any) -> None:
        if name in refused:
            self.report.omit(name, refused[name])
        else:
            body[name] = value

    # -------------------------------------------------------------------------------------------- the rest

    def _tools(self, body: dict[str, Any], tools: list[Tool]) -> None:
        quirks = self.quirks
        choice = self.request.tool_choice
        subset = choice is not None and choice.names and (len(choice.names) > 1 or choice.mode == "auto")
        if choice is not None and subset and not quirks.allowed_tools:
            tools = [tool for tool in tools if tool.name in choice.names]
            choice = ToolChoice(choice.mode)
        body["tools"] = [write_tool(tool, quirks.strict_tools) for tool in tools]
        if quirks.cache_control:
            for tool, item in zip(tools, body["tools"], strict=True):
                if tool.cache and tool.native is None:
                    item["cache_control"] = cache_control(tool.cache)
        if not quirks.strict_tools and any(tool.strict for tool in tools):
            self.report.omit("tools", "strict is not taken here; check the arguments of calls yourself.")
        if choice is not None:
            written = self._tool_choice(choice)
            if written is not None:
                body["tool_choice"] = written
        if self.request.parallel_tool_calls is not None:
            if quirks.parallel_tool_calls:
                body["parallel_tool_calls"] = self.request.parallel_tool_calls
            else:
                self.report.omit("parallel_tool_calls", "this model does not take it.")

    def _tool_choice(self, choice: ToolChoice) -> Any:
        allowed = self.quirks.tool_choices
        if choice.mode == "none" or (choice.mode == "auto" and not choice.names):
            return choice.mode
        if len(choice.names) > 1 or (choice.names and choice.mode == "auto"):
            named = [{"type": "function", "function": {"name": name}} for name in choice.names]
            return {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": named}}
        if choice.names and "named" in allowed:
            return {"type": "function", "function": {"name": choice.names[0]}}
        if "required" in allowed:
            if choice.names:
                self.report.omit("tool_choice", "one tool cannot be forced here; any tool was required instead.")
            return "required"
        self.report.omit("tool_choice", "tools cannot be forced here; the model decides.")
        return None

    def _response_format(self, body: dict[str, Any], wanted: ResponseFormat) -> None:
        quirks = self.quirks
        if wanted.kind == "text":
            body["response_format"] = {"type": "text"}
        elif wanted.kind == "json_schema" and quirks.json_schema == "native":
            spec: dict[str, Any] = {"name": wanted.name, "schema": wanted.schema}
            if wanted.description:
                spec["description"] = wanted.description
            if wanted.strict is not None:
                spec["strict"] = wanted.strict
            body["response_format"] = {"type": "json_schema", "json_schema": spec}
        else:
            if quirks.json_object:
                body["response_format"] = {"type": "json_object"}
            if wanted.kind == "json_schema":
                self.report.omit(
                    "response_format", "this provider takes no JSON schema; it was put into the system prompt."
                )
                _add_instruction(
                    body["messages"], f"Answer with JSON only, valid for this JSON schema: {dumps_text(wanted.schema)}"
                )
            elif not quirks.json_object:
                self.report.omit("response_format", "this provider has no JSON mode; the prompt asks for JSON.")
                _add_instruction(body["messages"], "Answer with JSON only.")

    def _mark_cache(self, messages: list[dict[str, Any]], cache: bool | str) -> None:
        """Mark the end of the conversation as worth caching."""
        for message in reversed(messages):
            content = message.get("content")
            if isinstance(content, str) and content:
                message["content"] = [{"type": "text", "text": content, "cache_control": cache_control(cache)}]
                return
            if isinstance(content, list) and content and content[-1].get("type") == "text":
                content[-1].setdefault("cache_control", cache_control(cache))
                return


def _add_instruction(messages: list[dict[str, Any]], text: str) -> None:
    first = messages[0]
    if first["role"] in ("system", "developer") and isinstance(first["content"], str):
        first["content"] = f"{first['content']}\n\n{text}"
    else:
        messages.insert(0, {"role": "system", "content": text})
