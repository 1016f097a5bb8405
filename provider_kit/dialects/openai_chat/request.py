"""Chat requests in OpenAI's form (POST /chat/completions).

Source: OpenAI API reference, "Create chat completion", and the documentation of compatible servers.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from provider_kit.dialects.assembly import arguments_text, portable_id
from provider_kit.dialects.base import COMMON_FIELDS, ParameterReport
from provider_kit.dialects.generated import spoken_words
from provider_kit.dialects.openai_chat.caching import write_cache
from provider_kit.dialects.openai_chat.media import write_audio, write_document, write_image
from provider_kit.dialects.openai_chat.quirks import ChatQuirks
from provider_kit.dialects.openai_chat.turns import join_calls, join_same_role, join_system
from provider_kit.dialects.prompt_caching import cache_mark
from provider_kit.dialects.schemas import output_schema, prompt_for, tool_schema
from provider_kit.model.chat import ChatRequest
from provider_kit.model.media import Audio, Document, Image, Media
from provider_kit.model.messages import Message, Native, Part, Refusal, Text, Thinking, ToolCall, ToolResult, written_in
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

#: Longest tool call id that OpenAI accepts, in characters.
_LONGEST_ID = 40
_NINE = re.compile(r"^[A-Za-z0-9]{9}$")


def write_tool(tool: Tool, quirks: ChatQuirks, report: ParameterReport) -> dict[str, Any]:
    """A tool in the nested form."""
    if tool.native is not None:
        return tool.native
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    written = tool_schema(tool, quirks.schema, report, strict=quirks.strict_functions)
    function["parameters"] = written.schema
    if written.strict is not None and quirks.strict_tools:
        function["strict"] = written.strict
    return {"type": "function", "function": function}


class RequestWriter:
    """Writes one request; created for one call, collects its warnings."""

    def __init__(self, request: ChatRequest, quirks: ChatQuirks, report: ParameterReport, origin: str) -> None:
        self.request = request
        self.quirks = quirks
        self.report = report
        self.origin = origin
        self.names: dict[str, str] = {}
        self._own = True
        #: Whether the message being written came from this same API.
        self._same_api = False
        #: Ids of calls as they are written.
        self._ids: dict[str, str] = {}

    def write(self, stream: bool) -> dict[str, Any]:
        """The request's body."""
        request, quirks = self.request, self.quirks
        body: dict[str, Any] = {"model": request.model, "messages": self._messages()}
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
            self._response_format(body, request.response_format, stream)
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
        if request.cache is not None:
            write_cache(body, request.cache, quirks, self.report)
        if request.cache_key is not None and quirks.cache_key:
            body["prompt_cache_key"] = request.cache_key
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

    # -------------------------------------------------------------------------------------------- messages

    def _messages(self) -> list[dict[str, Any]]:
        written: list[dict[str, Any]] = []
        append = written.append
        system_role = self.quirks.system_role
        for message in self.request.messages:
            role = message.role
            if role == "system" or role == "developer":
                role = system_role
            content = message.content
            if type(content) is str and message.extra is None and message.name is None:
                append({"role": role, "content": content})
            elif role == "tool":
                self._tool_messages(message, written)
            elif role == "assistant":
                turn = self._assistant(message)
                if "tool_calls" in turn and written and "tool_calls" in written[-1]:
                    join_calls(written[-1], turn)  # the results of both follow, and must follow one message
                elif turn.get("content") or len(turn) > 2 or not message.parts:
                    append(turn)  # an empty message would be refused, or be meaningless
            else:
                append(self._plain(role, message))
        if self.quirks.reasoning_with_tools:
            self._require_reasoning(written)
        if self.quirks.single_system:
            written = join_system(written, system_role)
        if self.quirks.join_same_role:
            written = join_same_role(written)
        return written

    def _plain(self, role: str, message: Message) -> dict[str, Any]:
        content = message.content
        self._own = True
        written: dict[str, Any] = {
            "role": role,
            "content": content if type(content) is str else self._content(message.parts, role),
        }
        if message.name is not None:
            written["name"] = message.name
        self._add_extra(written, message)
        return written

    def _content(self, parts: list[Part], where: str) -> Any:
        items = [item for part in parts if (item := self._part(part, where)) is not None]
        if len(items) == 1 and items[0].keys() == {"type", "text"}:
            return items[0]["text"]
        if where in ("system", "developer") and all(item.keys() == {"type", "text"} for item in items):
            return "\n\n".join(item["text"] for item in items)
        return items

    def _assistant(self, message: Message) -> dict[str, Any]:
        quirks = self.quirks
        written: dict[str, Any] = {"role": "assistant"}
        items: list[dict[str, Any]] = []
        thinking: list[str] = []
        calls: list[dict[str, Any]] = []
        refusal: list[str] = []
        self._same_api = message.origin == self.origin
        own = self._own = message.origin is None or self._same_api
        for part in message.parts:
            kind = type(part)
            if kind is ToolCall:
                calls.append(self._tool_call(part))  # type: ignore[arg-type]  # its class was just compared
            elif kind is Thinking:
                assert isinstance(part, Thinking)
                if quirks.thinking_chunks and own and part.text:
                    items.append(part.native or {"type": "thinking", "thinking": [{"type": "text", "text": part.text}]})
                elif own and part.text:
                    thinking.append(part.text)
            elif kind is Refusal and quirks.refusals:
                refusal.append(part.text)  # type: ignore[union-attr]  # its class was just compared
            elif kind is Refusal:
                items.append({"type": "text", "text": part.text})  # type: ignore[union-attr]  # its class was compared
            elif isinstance(part, Media) and message.origin is not None:
                self._generated(part, written, items)
            else:
                item = self._part(part, "assistant")
                if item is not None:
                    items.append(item)
        if items and all(item.keys() == {"type", "text"} for item in items):
            written["content"] = "".join([item["text"] for item in items])
        elif items:
            written["content"] = items
        else:
            written["content"] = quirks.empty_content if calls or refusal else ""
        if refusal:
            written["refusal"] = "".join(refusal)
        if thinking and quirks.reasoning_field is not None:
            written[quirks.reasoning_field] = "\n\n".join(thinking)
        if calls:
            written["tool_calls"] = calls
        if message.name is not None:
            written["name"] = message.name
        self._add_extra(written, message)
        return written

    def _generated(self, media: Media, written: dict[str, Any], items: list[dict[str, Any]]) -> None:
        """Media a model generated are sent back only to the same API."""
        extra = media.extra or {}
        words = None if self._same_api else spoken_words(media)
        if words:
            items.append({"type": "text", "text": words})
        elif not self._own or not ("image" in extra or "id" in extra):
            self.report.omit("messages", f"a generated {type(media).__name__} was not sent; attach it to a user turn.")
        elif isinstance(media, Audio):
            written["audio"] = {"id": extra["id"]}
        else:
            written.setdefault("images", []).append(extra["image"])

    def _add_extra(self, written: dict[str, Any], message: Message) -> None:
        if not message.extra:
            return
        if message.origin is None or message.origin == self.origin:
            written.update(message.extra)
        else:
            self.report.omit("messages", f"{', '.join(message.extra)} of {message.origin} was not sent.")

    def _tool_call(self, call: ToolCall) -> dict[str, Any]:
        self.names[call.id] = call.name
        if self._own and call.native is not None and call.native.get("type") == "custom":
            return call.native
        written_id = call.id if self._same_api else portable_id(call.id, _LONGEST_ID)
        self._ids[call.id] = written_id = self._call_id(written_id)
        written: dict[str, Any] = {
            "id": written_id,
            "type": "function",
            "function": {"name": call.name, "arguments": arguments_text(call)},
        }
        if call.extra and self._own:
            written.update(call.extra)
        return written

    def _call_id(self, call_id: str) -> str:
        """Mistral accepts only nine letters and digits; the same id always gives the same nine."""
        if not self.quirks.nine_letter_ids or _NINE.match(call_id):
            return call_id
        return hashlib.sha256(call_id.encode("utf-8", "replace")).hexdigest()[:9]

    def _tool_messages(self, message: Message, written: list[dict[str, Any]]) -> None:
        self._own = True
        for part in message.parts:
            if not isinstance(part, ToolResult):
                self.report.omit("messages", f"a {type(part).__name__} inside a tool message was not sent.")
                continue
            item: dict[str, Any] = {
                "role": "tool",
                "tool_call_id": self._ids.get(part.tool_call_id) or self._call_id(part.tool_call_id),
                "content": self._result_content(part),
            }
            name = part.name or self.names.get(part.tool_call_id)
            if name and self.quirks.tool_name:
                item["name"] = name
            if part.extra:
                item.update(part.extra)
            written.append(item)

    def _result_content(self, result: ToolResult) -> Any:
        content = result.content
        if isinstance(content, str):
            return f"Error: {content}" if result.is_error and not content.lower().startswith("error") else content
        items = []
        for part in content:
            if isinstance(part, Media) and written_in(part) is None:
                self.report.omit("messages", "images in tool results are not accepted by this API.")
            elif (item := self._part(part, "tool")) is not None:
                items.append(item)
        if all(item.keys() == {"type", "text"} for item in items):
            return f"Error: {result.text}" if result.is_error else result.text
        return [{"type": "text", "text": "Error: "}, *items] if result.is_error else items

    def _require_reasoning(self, written: list[dict[str, Any]]) -> None:
        field = self.quirks.reasoning_field
        if field and any("tool_calls" in item for item in written):
            for item in written:
                if item["role"] == "assistant":
                    item.setdefault(field, "")

    # -------------------------------------------------------------------------------------------- parts

    def _part(self, part: Any, where: str) -> dict[str, Any] | None:
        if isinstance(part, Text):
            written: dict[str, Any] = {"type": "text", "text": part.text}
            if part.extra and self._own:
                written.update({key: value for key, value in part.extra.items() if key != "annotations"})
        elif isinstance(part, Image):
            written = write_image(part, self.quirks)
        elif isinstance(part, Audio):
            written = write_audio(part, self.quirks)
        elif isinstance(part, Document):
            written = write_document(part, self.quirks)
        elif isinstance(part, Native):
            if self._own:
                return part.data
            self.report.omit("messages", f"a {part.type} block of another API was not sent.")
            return None
        elif isinstance(part, Refusal):
            return {"type": "refusal", "refusal": part.text}
        else:
            self.report.omit("messages", f"a {type(part).__name__} inside a {where} message was not sent.")
            return None
        if part.cache and self.quirks.cache_control:
            written["cache_control"] = cache_mark(part.cache, self.report, lifetimes=self.quirks.mark_lifetimes)
        return written

    # -------------------------------------------------------------------------------------------- the rest

    def _tools(self, body: dict[str, Any], tools: list[Tool]) -> None:
        quirks = self.quirks
        choice = self.request.tool_choice
        subset = choice is not None and choice.names and (len(choice.names) > 1 or choice.mode == "auto")
        if choice is not None and subset and not quirks.allowed_tools:
            tools = [tool for tool in tools if tool.name in choice.names]
            choice = ToolChoice(choice.mode)
        body["tools"] = [write_tool(tool, quirks, self.report) for tool in tools]
        if quirks.cache_control:
            for tool, item in zip(tools, body["tools"], strict=True):
                if tool.cache and tool.native is None:
                    item["cache_control"] = cache_mark(tool.cache, self.report, lifetimes=quirks.mark_lifetimes)
        if not quirks.strict_tools and any(tool.strict for tool in tools):
            self.report.omit("tools", "strict is not accepted here; check the arguments of calls yourself.")
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

    def _response_format(self, body: dict[str, Any], wanted: ResponseFormat, stream: bool) -> None:
        quirks = self.quirks
        if wanted.kind == "text":
            body["response_format"] = {"type": "text"}
            return
        with_tools = "tools" in body
        takes_schema = quirks.json_schema == "native" and (
            (quirks.json_schema_with_tools or not with_tools) and (quirks.json_schema_in_streams or not stream)
        )
        if wanted.kind == "json_schema" and takes_schema:
            written = output_schema(wanted, quirks.schema, self.report)
            if written.schema is not None:
                spec: dict[str, Any] = {"name": wanted.name, "schema": written.schema}
                if wanted.description:
                    spec["description"] = wanted.description
                if written.strict is not None:
                    spec["strict"] = written.strict
                body["response_format"] = {"type": "json_schema", "json_schema": spec}
                return
        json_mode = quirks.json_object and (quirks.json_object_with_tools or not with_tools)
        if json_mode:
            body["response_format"] = {"type": "json_object"}
        if wanted.kind == "json_schema":
            if not takes_schema:
                where = "with tools" if quirks.json_schema == "native" and with_tools else "here"
                self.report.omit(
                    "response_format", f"this provider takes no JSON schema {where}; it was put into the system prompt."
                )
            _add_instruction(body["messages"], prompt_for(wanted))
        elif not json_mode:
            self.report.omit("response_format", "this provider has no JSON mode; the prompt asks for JSON.")
            _add_instruction(body["messages"], "Answer with JSON only.")


def _add_instruction(messages: list[dict[str, Any]], text: str) -> None:
    first = messages[0]
    if first["role"] in ("system", "developer") and isinstance(first["content"], str):
        first["content"] = f"{first['content']}\n\n{text}"
    else:
        messages.insert(0, {"role": "system", "content": text})
