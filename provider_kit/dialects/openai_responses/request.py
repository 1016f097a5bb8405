"""Requests to OpenAI's Responses API (POST /responses).

Every request is complete: the conversation is sent each time, with the API's reasoning items unchanged between a tool
call and its result, and with ``store: false`` unless ``extra_body`` says otherwise. Source: OpenAI API reference,
"Responses" and "Reasoning".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from provider_kit.dialects.assembly import arguments_text, portable_id
from provider_kit.dialects.base import COMMON_FIELDS, ParameterReport, refuse_video
from provider_kit.dialects.generated import spoken_words
from provider_kit.dialects.openai_chat.quirks import ReasoningWriter, effort_writer
from provider_kit.dialects.prompt_caching import cache_options
from provider_kit.dialects.schemas import WrittenSchema, output_schema, prompt_for, tool_schema
from provider_kit.errors import InvalidRequestError
from provider_kit.model.chat import ChatRequest
from provider_kit.model.media import Audio, Document, Image, Media
from provider_kit.model.messages import Message, Native, Refusal, Text, Thinking, ToolCall, ToolResult, written_in
from provider_kit.model.tools import Reasoning, ResponseFormat, Tool, ToolChoice
from provider_kit.schema.profiles import PROFILES, SchemaProfile

__all__ = ["TAKES", "ResponsesProfile", "ResponsesRequestWriter"]

#: The fields of a request that are written here, or reported.
TAKES = COMMON_FIELDS | {"verbosity", "user", "metadata"}

#: Longest tool call id that the API accepts, in characters.
_LONGEST_ID = 64


@frozen(kw_only=True)
class ResponsesProfile:
    """What one model accepts."""

    #: Request parameters the model refuses, with the reason.
    refused: Mapping[str, str] = field(factory=dict)
    #: Of these, the ones that are accepted when the caller turns reasoning off.
    taken_without_reasoning: frozenset[str] = frozenset()
    #: Writes the effort; ``None``: no reasoning to control.
    effort: ReasoningWriter | None = effort_writer("none", "minimal", "low", "medium", "high", "xhigh", "max")
    #: Whether encrypted reasoning is requested, so that it can be sent back.
    encrypted_reasoning: bool = True
    #: Field for the end user's id.
    user_field: str = "safety_identifier"
    #: Role of system messages inside the conversation.
    system_role: str = "developer"
    #: Smallest accepted limit of the answer, in tokens.
    least_output_tokens: int = 16
    #: The JSON Schema it accepts, for schemas made from types.
    schema: SchemaProfile = PROFILES["openai"]
    #: Whether it enforces the schemas of tools that were made from functions.
    strict_functions: bool = True
    #: Times to live of its prompt caches, by seconds; ``None``: it decides itself.
    cache_lifetimes: Mapping[int, str] | None = None
    #: Whether a schema may be sent together with tools; else it goes into the instructions.
    json_schema_with_tools: bool = True


class ResponsesRequestWriter:
    """Writes one request."""

    def __init__(self, request: ChatRequest, profile: ResponsesProfile, report: ParameterReport, origin: str) -> None:
        self.request = request
        self.profile = profile
        self.report = report
        self.origin = origin
        self._stored = bool((request.extra_body or {}).get("store"))
        self._custom_calls: set[str] = set()
        #: Ids of calls as they are written.
        self._ids: dict[str, str] = {}

    def write(self, stream: bool) -> dict[str, Any]:
        """The request's body."""
        request, profile = self.request, self.profile
        instructions, items = self._input()
        body: dict[str, Any] = {"model": request.model, "input": items, "store": False}
        if instructions:
            body["instructions"] = "\n\n".join(instructions)
        if profile.encrypted_reasoning:
            body["include"] = ["reasoning.encrypted_content"]
        if request.max_tokens is not None:
            least = profile.least_output_tokens
            body["max_output_tokens"] = max(request.max_tokens, least)
            if request.max_tokens < least:
                self.report.omit("max_tokens", f"this API's minimum is {least}; {least} was sent.")
        for name in ("temperature", "top_p"):
            value = getattr(request, name)
            if value is not None:
                off = request.reasoning is not None and request.reasoning.effort == "none"
                if name in profile.refused and not (off and name in profile.taken_without_reasoning):
                    self.report.omit(name, profile.refused[name])
                else:
                    body[name] = value
        if request.tools:
            self._tools(body, request.tools)
        if request.response_format is not None:
            self._response_format(body, request.response_format)
        if request.verbosity is not None:
            if "verbosity" in profile.refused:
                self.report.omit("verbosity", profile.refused["verbosity"])
            else:
                body.setdefault("text", {})["verbosity"] = request.verbosity
        wish = None if request.reasoning is None else request.reasoning.without_default()
        if wish is not None:
            self._reasoning(body, wish)
        if request.cache is not None and (
            options := cache_options(request.cache, profile.cache_lifetimes, self.report)
        ):
            body["prompt_cache_options"] = options
        if request.cache_key is not None:
            body["prompt_cache_key"] = request.cache_key
        if request.user is not None:
            body[profile.user_field] = request.user
        if request.metadata is not None:
            body["metadata"] = request.metadata
        if stream:
            body["stream"] = True
        return body

    def _response_format(self, body: dict[str, Any], wanted: ResponseFormat) -> None:
        profile = self.profile
        if wanted.kind == "json_schema":
            written = WrittenSchema(None, None)
            if profile.json_schema_with_tools or "tools" not in body:
                written = output_schema(wanted, profile.schema, self.report)
            else:
                self.report.omit(
                    "response_format", "this model takes no JSON schema with tools; it was put into the instructions."
                )
            if written.schema is None:
                asked = prompt_for(wanted)
                body["instructions"] = f"{body['instructions']}\n\n{asked}" if "instructions" in body else asked
                return
            form: dict[str, Any] = {"type": "json_schema", "name": wanted.name, "schema": written.schema}
            if wanted.description:
                form["description"] = wanted.description
            if written.strict is not None:
                form["strict"] = written.strict
        else:
            form = {"type": "text" if wanted.kind == "text" else "json_object"}
        body["text"] = {"format": form}

    # -------------------------------------------------------------------------------------------- conversation

    def _input(self) -> tuple[list[str], list[dict[str, Any]]]:
        instructions: list[str] = []
        items: list[dict[str, Any]] = []
        for message in self.request.messages:
            role = message.role
            if role in ("system", "developer"):
                text = self._system_text(message)
                if not items:
                    instructions.append(text)
                else:
                    items.append({"role": self.profile.system_role, "content": text})
            elif role == "tool":
                items.extend(self._results(message))
            elif role == "assistant":
                items.extend(self._assistant(message))
            elif type(message.content) is str:
                items.append({"role": "user", "content": message.content})
            else:
                items.append({"role": "user", "content": [self._part(part) for part in message.parts]})
        if not items and instructions:  # an answer to instructions alone
            items, instructions = [{"role": self.profile.system_role, "content": text} for text in instructions], []
        if not items:
            raise InvalidRequestError("The conversation has no text.", hint="Write something to the model.")
        return instructions, items

    def _system_text(self, message: Message) -> str:
        """A system message holds only text."""
        texts = []
        for part in message.parts:
            text = written_in(part)
            if text is None:
                raise InvalidRequestError("A system message holds only text at this provider.")
            texts.append(text)
        return "\n\n".join(texts)

    def _results(self, message: Message) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        for part in message.parts:
            if not isinstance(part, ToolResult):
                self.report.omit("messages", f"a {type(part).__name__} inside a tool message was not sent.")
                continue
            content = part.content
            output: Any = content if isinstance(content, str) else [self._part(item) for item in content]
            if part.is_error and not isinstance(output, str):
                output = [{"type": "input_text", "text": "Error:"}, *output]
            elif part.is_error and not output.lower().startswith("error"):
                output = f"Error: {output}"
            kind = "custom_tool_call_output" if part.tool_call_id in self._custom_calls else "function_call_output"
            call_id = self._ids.get(part.tool_call_id, part.tool_call_id)
            items.append({"type": kind, "call_id": call_id, "output": output})
        return items

    def _assistant(self, message: Message) -> list[dict[str, Any]]:
        own = message.origin == self.origin
        items: list[dict[str, Any]] = []
        for part in message.parts:
            if isinstance(part, Thinking):
                if own and part.native is not None and (self._stored or part.native.get("encrypted_content")):
                    items.append(part.native)
            elif isinstance(part, (Text, Refusal)):
                item = (part.extra or {}).get("item") if own else None
                if isinstance(item, dict):
                    if not items or items[-1] != item:  # text and refusal may share an item
                        items.append(item)
                elif part.text:
                    items.append({"role": "assistant", "content": part.text})
            elif isinstance(part, ToolCall):
                if own and part.native is not None:
                    items.append(part.native)
                    if part.native.get("type") == "custom_tool_call":
                        self._custom_calls.add(part.id)
                else:
                    call_id = self._ids[part.id] = portable_id(part.id, _LONGEST_ID)
                    arguments = arguments_text(part)
                    items.append(
                        {"type": "function_call", "call_id": call_id, "name": part.name, "arguments": arguments}
                    )
            elif isinstance(part, Native) and (own or message.origin is None):
                items.append(part.data)
            elif isinstance(part, Media) and (words := spoken_words(part)):
                items.append({"role": "assistant", "content": words})
            elif isinstance(part, Image) and own and isinstance((part.extra or {}).get("item"), dict):
                items.append((part.extra or {})["item"])
            else:
                self.report.omit("messages", f"a {type(part).__name__} of an assistant message was not sent.")
        while items and items[-1].get("type") == "reasoning":
            items.pop()  # the API refuses reasoning without the item it belongs to
            self.report.omit("messages", "reasoning of a truncated answer was not sent.")
        return items

    def _part(self, part: Any) -> dict[str, Any]:
        if isinstance(part, Text):
            return {"type": "input_text", "text": part.text}
        if isinstance(part, Image):
            written: dict[str, Any] = {"type": "input_image", **_where(part, "image_url")}
            if part.detail:
                written["detail"] = part.detail
            return written
        if isinstance(part, Document):
            text = part.fenced
            if text is not None:
                return {"type": "input_text", "text": text}
            refuse_video(part)
            written = {"type": "input_file", **_where(part, "file_url" if part.url else "file_data")}
            if part.data is not None:
                written["filename"] = part.filename or "document.pdf"
            elif part.url and part.filename:
                written["filename"] = part.filename
            if part.detail:
                written["detail"] = part.detail
            return written
        if isinstance(part, Native):
            return part.data
        if isinstance(part, Audio):
            raise InvalidRequestError(
                "The Responses API takes no audio.",
                hint="Use the chat API: options={'use_responses_api': False} with an audio model.",
            )
        raise InvalidRequestError(f"A {type(part).__name__} cannot be part of a user message.")

    # -------------------------------------------------------------------------------------------- the rest

    def _tools(self, body: dict[str, Any], tools: list[Tool]) -> None:
        body["tools"] = [_tool(tool, self.profile, self.report) for tool in tools]
        choice = self.request.tool_choice
        if choice is not None:
            body["tool_choice"] = _tool_choice(choice)
        if self.request.parallel_tool_calls is not None:
            body["parallel_tool_calls"] = self.request.parallel_tool_calls

    def _reasoning(self, body: dict[str, Any], reasoning: Reasoning) -> None:
        if self.profile.effort is None:
            self.report.omit("reasoning", "this model has no reasoning to control.")
            return
        written: dict[str, Any] = {}
        self.profile.effort(reasoning, written, self.report)
        wish: dict[str, Any] = {}
        if "reasoning_effort" in written:
            wish["effort"] = written["reasoning_effort"]
        if reasoning.show or (reasoning.show is None and wish.get("effort") != "none"):
            wish["summary"] = "auto"
        if wish:
            body["reasoning"] = wish


def _where(media: Media, name: str) -> dict[str, Any]:
    if media.file_id:
        return {"file_id": media.file_id}
    return {name: media.data_url if media.data is not None else media.url}


def _tool(tool: Tool, profile: ResponsesProfile, report: ParameterReport) -> dict[str, Any]:
    if tool.native is not None:
        return tool.native
    made = tool_schema(tool, profile.schema, report, strict=profile.strict_functions)
    written: dict[str, Any] = {"type": "function", "name": tool.name, "parameters": made.schema}
    if tool.description:
        written["description"] = tool.description
    # The API's own default is strict, which most hand-written schemas do not satisfy.
    written["strict"] = bool(made.strict)
    return written


def _tool_choice(choice: ToolChoice) -> Any:
    if choice.mode == "none":
        return "none"
    if choice.names and (len(choice.names) > 1 or choice.mode == "auto"):
        named = [{"type": "function", "name": name} for name in choice.names]
        return {"type": "allowed_tools", "mode": choice.mode, "tools": named}
    return {"type": "function", "name": choice.names[0]} if choice.names else choice.mode
