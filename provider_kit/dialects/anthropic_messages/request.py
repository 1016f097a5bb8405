"""Requests to Anthropic's Messages API (POST /v1/messages).

Source: Anthropic API reference, "Messages", "Extended thinking", "Prompt caching", "Structured outputs".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from provider_kit.dialects.anthropic_messages.caching import drop_marks, mark_body
from provider_kit.dialects.anthropic_messages.media import document_block, source_of
from provider_kit.dialects.anthropic_messages.profile import ClaudeProfile
from provider_kit.dialects.anthropic_messages.schema import claude_schema
from provider_kit.dialects.assembly import arguments_object, portable_id
from provider_kit.dialects.base import COMMON_FIELDS, ParameterReport
from provider_kit.dialects.generated import spoken_words
from provider_kit.dialects.prompt_caching import cache_mark
from provider_kit.dialects.schemas import output_schema, prompt_for, tool_schema
from provider_kit.errors import InvalidRequestError
from provider_kit.model.chat import ChatRequest
from provider_kit.model.media import Audio, Document, Image, Media
from provider_kit.model.messages import Message, Native, Refusal, Text, Thinking, ToolCall, ToolResult
from provider_kit.model.tools import Reasoning, ResponseFormat, Tool, ToolChoice
from provider_kit.schema.canonical import CanonicalSchema
from provider_kit.schema.profiles import PROFILES

__all__ = ["TAKES", "AnthropicRequestWriter"]

#: The fields of a request that are written here, or reported.
TAKES = COMMON_FIELDS | {"top_k", "stop", "user", "metadata"}

#: What the API accepts of schemas made from types.
_SCHEMA = PROFILES["anthropic"]
#: Thinking tokens for an effort, on models that take a budget instead.
_BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 24576, "max": 32000}
#: Characters of a tool call's id that the API is known to accept.
_LONGEST_ID = 128
#: Blocks of tools that the server runs; each needs its result, in this message or in the one that continues it.
_SERVER_CALLS = ("server_tool_use", "mcp_tool_use")
_THINKING = ("thinking", "redacted_thinking")
#: Blocks of a message without tool calls.
_OWN_WORDS = ("text", *_THINKING)


class AnthropicRequestWriter:
    """Writes one request."""

    def __init__(self, request: ChatRequest, profile: ClaudeProfile, report: ParameterReport, origin: str) -> None:
        self.request = request
        self.profile = profile
        self.report = report
        self._has_marks = False
        self.origin = origin
        #: Ids of server-side tool calls that have their result.
        self._answered: set[str] = set()

    def write(self, stream: bool) -> dict[str, Any]:
        """The request's body."""
        request, profile = self.request, self.profile
        system, messages = self._conversation()
        body: dict[str, Any] = {
            "model": request.model,
            "max_tokens": request.max_tokens if request.max_tokens is not None else profile.max_output_tokens,
            "messages": messages,
            **profile.body,
        }
        if system:
            body["system"] = system[0]["text"] if len(system) == 1 and len(system[0]) == 2 else system
        for name in ("temperature", "top_p", "top_k"):
            value = getattr(request, name)
            if value is not None:
                if not profile.sampling:
                    self.report.omit(name, "this model takes no sampling parameters.")
                elif name == "top_p" and request.temperature is not None:
                    self.report.omit(name, "only one of temperature and top_p is taken; temperature was sent.")
                else:
                    body[name] = min(value, 1.0) if name == "temperature" else value
        if request.temperature is not None and request.temperature > 1 and profile.sampling:
            self.report.omit("temperature", "this API goes up to 1; 1 was sent.")
        if request.stop is not None:
            stop = [text for text in request.stop if text.strip()]
            if len(stop) < len(request.stop):
                self.report.omit("stop", "stop texts of white space only are refused.")
            if stop:
                body["stop_sequences"] = stop
        wish = None if request.reasoning is None else request.reasoning.without_default()
        thinks = wish is not None and self._reasoning(body, wish)
        if request.tools:
            self._tools(body, request.tools, thinks)
        if request.response_format is not None:
            self._response_format(body, request.response_format)
        if request.user is not None:
            body["metadata"] = {"user_id": request.user}
        if request.metadata is not None:
            rest = {key: value for key, value in request.metadata.items() if key != "user_id"}
            if "user_id" in request.metadata:
                body["metadata"] = {"user_id": request.metadata["user_id"]}
            if rest:
                self.report.omit("metadata", f"only user_id is taken; {', '.join(rest)} was left out.")
        if self._has_marks:
            drop_marks(body, self.report)
        if request.cache:
            mark_body(body, cache_mark(request.cache, self.report), self.report)
        if stream:
            body["stream"] = True
        return body

    # -------------------------------------------------------------------------------------------- conversation

    def _conversation(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        system: list[dict[str, Any]] = []
        turns: list[dict[str, Any]] = []
        messages = self.request.messages
        self._answered = _answered(messages)
        for message in messages:
            role = message.role
            content = message.content
            if role == "system" or role == "developer":
                self._system(message, system, turns)
                continue
            if role == "tool":
                role = "user"
            if type(content) is str:
                if not content or content.isspace():
                    continue  # the API refuses text without a visible character
                if turns and turns[-1]["role"] == role:
                    _join(turns[-1], [{"type": "text", "text": content}])
                else:
                    turns.append({"role": role, "content": content})
                continue
            blocks = self._blocks(message)
            if not blocks:
                continue
            if turns and turns[-1]["role"] == role:
                _join(turns[-1], blocks)
            else:
                turns.append({"role": role, "content": blocks})
        self._check(turns)
        return system, turns

    def _system(self, message: Message, system: list[dict[str, Any]], turns: list[dict[str, Any]]) -> None:
        """Put a system message where the model accepts it: inside the conversation, else before it."""
        blocks = self._blocks(message)
        if not blocks:
            return
        inside = bool(turns) and self.profile.inner_system and turns[-1]["role"] != "assistant"
        if not inside and any(block.get("type") != "text" for block in blocks):
            raise InvalidRequestError("A system message holds only text at this provider.")
        if inside:
            turns.append({"role": "system", "content": blocks})
            return
        if turns:
            self.report.omit("messages", "a system message inside the conversation was put before it.")
        system.extend(blocks)

    def _check(self, turns: list[dict[str, Any]]) -> None:
        if not turns:
            raise InvalidRequestError("The conversation has no text.", hint="Write something to the model.")
        if turns[0]["role"] != "user":
            raise InvalidRequestError(
                "The conversation must begin with a user message at this provider.",
                hint="Put a user message first, e.g. {'role': 'user', 'content': 'Hello'}.",
            )
        last = turns[-1]
        if last["role"] == "assistant":
            content = last["content"]
            if not isinstance(content, str) and any(block.get("type") not in _OWN_WORDS for block in content):
                return  # paused while a server-side tool ran: the message is sent back unchanged
            if not self.profile.prefill:
                raise InvalidRequestError(
                    "The conversation ends with an assistant message, which this model refuses to continue.",
                    hint="End with a user message; describe the wanted beginning in it, or use response_format=.",
                )
            if isinstance(content, str):
                last["content"] = content.rstrip()
            elif content[-1]["type"] == "text":
                content[-1] = {**content[-1], "text": content[-1]["text"].rstrip()}

    def _blocks(self, message: Message) -> list[dict[str, Any]]:
        """The blocks of a message, tool results first, as the API demands."""
        if type(message.content) is str:
            return [{"type": "text", "text": message.content}] if message.content.strip() else []
        results: list[dict[str, Any]] = []
        rest: list[dict[str, Any]] = []
        for part in message.parts:
            block = self._block(part, message)
            if block is None:
                continue
            cache = getattr(part, "cache", None)
            if cache:
                block["cache_control"] = cache_mark(cache, self.report)
                self._has_marks = True
            (results if block.get("type") == "tool_result" else rest).append(block)
        while message.role == "assistant" and rest and rest[-1].get("type") in _THINKING:
            rest.pop()  # the API refuses a message that ends with it
            self.report.omit("messages", "thinking at the end of a truncated answer was not sent.")
        return results + rest

    def _block(self, part: Any, message: Message) -> dict[str, Any] | None:
        if isinstance(part, Text):
            if not part.text.strip():
                return None  # the API refuses text without a visible character
            block: dict[str, Any] = {"type": "text", "text": part.text}
            if part.extra and message.origin == self.origin:
                block.update(part.extra)
            return block
        if isinstance(part, ToolCall):
            if part.native is not None and message.origin == self.origin:
                return dict(part.native)
            call_id = portable_id(part.id, _LONGEST_ID)
            return {"type": "tool_use", "id": call_id, "name": part.name, "input": arguments_object(part)}
        if isinstance(part, ToolResult):
            block = {"type": "tool_result", "tool_use_id": portable_id(part.tool_call_id, _LONGEST_ID)}
            content = part.content
            if isinstance(content, str):
                if content.strip():
                    block["content"] = content
            else:
                inside = [inner for item in content if (inner := self._block(item, message)) is not None]
                if inside:
                    block["content"] = inside
            if part.is_error:
                block["is_error"] = True
            return block
        if isinstance(part, Thinking):
            return self._thinking(part, message)
        if isinstance(part, Native):
            if self._is_orphan(part, message):
                self.report.omit("messages", f"a {part.type} block without its result was not sent.")
                return None
            if message.origin in (None, self.origin):
                return dict(part.data)
            self.report.omit("messages", f"a {part.type} block of {message.origin} was not sent.")
            return None
        if isinstance(part, Refusal):
            return {"type": "text", "text": part.text} if part.text.strip() else None
        if isinstance(part, Media) and message.role == "assistant" and (words := spoken_words(part)):
            return {"type": "text", "text": words}
        if isinstance(part, Media) and message.role == "assistant" and message.origin is not None:
            self.report.omit("messages", f"a generated {type(part).__name__} was not sent; attach it to a user turn.")
            return None
        if isinstance(part, Image):
            return {"type": "image", "source": source_of(part)}
        if isinstance(part, Document):
            return document_block(part)
        if isinstance(part, Audio):
            raise InvalidRequestError("This API takes no audio.", hint="Transcribe it first, or use Gemini or OpenAI.")
        raise InvalidRequestError(f"A {type(part).__name__} cannot be sent to this API.")

    def _is_orphan(self, part: Native, message: Message) -> bool:
        """Whether it is a server-side tool call whose result will not come, because the answer was truncated.

        A message that paused, or that also calls a tool of the caller's, waits for its results and keeps it.
        """
        if part.type not in _SERVER_CALLS or str(part.data.get("id")) in self._answered:
            return False
        waits = message is self.request.messages[-1] or any(type(other) is ToolCall for other in message.parts)
        return message.incomplete or not waits

    def _thinking(self, part: Thinking, message: Message) -> dict[str, Any] | None:
        if message.origin is not None and message.origin != self.origin:
            return None  # another provider's reasoning is not valid here
        native = part.native
        sealed = part.signature if native is None else native.get("signature") or native.get("data")
        if not sealed:
            if native is not None:
                self.report.omit("messages", "thinking without a signature was not sent: its answer was truncated.")
            return None
        if self.profile.bound_thinking and message.model and not _same_model(message.model, self.request.model):
            self.report.omit("messages", f"thinking of {message.model} is not valid for {self.request.model}.")
            return None
        if part.native is not None:
            return dict(part.native)
        return {"type": "thinking", "thinking": part.text, "signature": part.signature}

    # -------------------------------------------------------------------------------------------- the rest

    def _reasoning(self, body: dict[str, Any], reasoning: Reasoning) -> bool:
        """Write the thinking settings; ``True`` if thinking by budget is on."""
        profile = self.profile
        effort, budget = reasoning.effort, reasoning.budget_tokens
        if effort == "none":
            if profile.thinking_off is None:
                self.report.omit("reasoning", "this model always thinks; effort 'low' was sent.")
                body["output_config"] = {**body.get("output_config", {}), "effort": "low"}
            else:
                body["thinking"] = {"type": profile.thinking_off}
            return False
        display = {} if reasoning.show is None else {"display": "summarized" if reasoning.show else "omitted"}
        if profile.thinking == "budget" or (profile.thinking == "both" and budget):
            wanted = budget or _BUDGETS.get(effort or "medium", 8192)
            if self.request.max_tokens is None and profile.thinking == "both":
                body["max_tokens"] = max(body["max_tokens"], wanted + 4096)
            room = body["max_tokens"] - 1
            if room < 1024:
                self.report.omit("reasoning", "thinking needs max_tokens above 1024; it was not enabled.")
                return False
            body["thinking"] = {"type": "enabled", "budget_tokens": max(1024, min(wanted, room)), **display}
            if wanted > room:
                self.report.omit("reasoning", f"the budget was reduced to {room} tokens to stay below max_tokens.")
            self._drop_sampling(body)
            return True
        body["thinking"] = {"type": "adaptive", **(display or {"display": "summarized"})}
        self._drop_sampling(body)
        if budget and not effort:
            effort = "low" if budget <= 4096 else "medium" if budget <= 16384 else "high"
            self.report.omit("reasoning", f"this model takes no token budget; effort {effort!r} was sent.")
        if effort:
            sent = "low" if effort == "minimal" else effort
            if sent != effort:
                self.report.omit("reasoning", f"effort {effort!r} is not known to this model; {sent!r} was sent.")
            body["output_config"] = {**body.get("output_config", {}), "effort": sent}
        return False

    def _drop_sampling(self, body: dict[str, Any]) -> None:
        """While a model thinks, temperature and top_k are refused, and top_p below 0.95."""
        for name in ("temperature", "top_p", "top_k"):
            if name in body and not (name == "top_p" and body[name] >= 0.95):
                del body[name]
                self.report.omit(name, "it is not taken while thinking is on.")

    def _tools(self, body: dict[str, Any], tools: list[Tool], thinks: bool) -> None:
        choice = self.request.tool_choice
        if choice is not None and choice.names and (len(choice.names) > 1 or choice.mode == "auto"):
            tools = [tool for tool in tools if tool.name in choice.names]
            choice = ToolChoice(choice.mode)
        body["tools"] = [self._tool(tool) for tool in tools]
        written: dict[str, Any] | None = None
        if choice is not None:
            if choice.mode == "required" and (thinks or not self.profile.forced_tools):
                reason = "while thinking is on" if thinks else "at this model"
                self.report.omit("tool_choice", f"tools cannot be forced {reason}; the model decides.")
                written = {"type": "auto"}
            elif choice.mode == "required":
                written = {"type": "tool", "name": choice.names[0]} if choice.names else {"type": "any"}
            else:
                written = {"type": choice.mode}
        if self.request.parallel_tool_calls is False:
            written = {**(written or {"type": "auto"})}
            if written["type"] != "none":
                written["disable_parallel_tool_use"] = True
        if written is not None:
            body["tool_choice"] = written

    def _tool(self, tool: Tool) -> dict[str, Any]:
        if tool.native is not None:
            return tool.native
        schema = tool.parameters if "type" in tool.parameters else {"type": "object", **tool.parameters}
        strict = tool.strict
        if isinstance(schema, CanonicalSchema):
            made = tool_schema(tool, _SCHEMA, self.report, strict=False)
            schema, strict = made.schema, made.strict
        elif strict:
            schema = self._schema(f"tools.{tool.name}", schema)
        written: dict[str, Any] = {"name": tool.name, "input_schema": schema}
        if tool.description:
            written["description"] = tool.description
        if strict is not None:
            written["strict"] = strict
        if tool.cache:
            written["cache_control"] = cache_mark(tool.cache, self.report)
            self._has_marks = True
        return written

    def _schema(self, parameter: str, schema: Any) -> Any:
        """A schema the provider enforces, without what the API refuses."""
        made, lost, closed = claude_schema(schema)
        if lost:
            names = ", ".join(lost)
            self.report.omit(parameter, f"this API refuses the schema's {names}; check the answer yourself.")
        if closed:
            self.report.omit(parameter, "additionalProperties: false was added, as this API demands.")
        return made

    def _response_format(self, body: dict[str, Any], wanted: ResponseFormat) -> None:
        if wanted.kind == "text":
            return
        if wanted.kind == "json_schema" and self.profile.structured and wanted.schema is not None:
            if isinstance(wanted.schema, CanonicalSchema):
                schema = output_schema(wanted, _SCHEMA, self.report).schema
            else:
                schema = self._schema("response_format", wanted.described)
            if schema is not None:
                body["output_config"] = {
                    **body.get("output_config", {}),
                    "format": {"type": "json_schema", "schema": schema},
                }
                return
        else:
            self.report.omit("response_format", "this model has no JSON mode for it; the system prompt asks for JSON.")
        text = prompt_for(wanted)
        system = body.get("system")
        if isinstance(system, list):
            system.append({"type": "text", "text": text})
        else:
            body["system"] = f"{system}\n\n{text}" if system else text


def _answered(messages: Sequence[Message]) -> set[str]:
    """Ids of server-side tool calls whose results are in the conversation."""
    return {
        str(part.data.get("tool_use_id"))
        for message in messages
        if type(message.content) is not str
        for part in message.parts
        if type(part) is Native and part.type.endswith("_tool_result")
    }


def _join(turn: dict[str, Any], blocks: list[dict[str, Any]]) -> None:
    """Add blocks to a message of the same role, keeping tool results in front."""
    content = turn["content"]
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    together = content + blocks
    turn["content"] = [b for b in together if b.get("type") == "tool_result"] + [
        b for b in together if b.get("type") != "tool_result"
    ]


def _same_model(one: str, other: str) -> bool:
    """``claude-x`` and ``claude-x-20260101`` are the same model."""
    one, other = one.rsplit("/", 1)[-1], other.rsplit("/", 1)[-1]
    return one == other or one.startswith(f"{other}-2") or other.startswith(f"{one}-2")
