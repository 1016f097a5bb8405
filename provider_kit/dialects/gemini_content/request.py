"""Requests to Gemini's generateContent.

Source: Gemini API reference, "generateContent", "Function calling", "Thinking", "Structured output".
JSON Schemas go through ``parametersJsonSchema`` and ``responseJsonSchema``, which accept standard JSON Schema.
"""

from __future__ import annotations

from typing import Any, Literal

from attrs import frozen

from provider_kit.dialects.assembly import arguments_object
from provider_kit.dialects.base import COMMON_FIELDS, ParameterReport
from provider_kit.dialects.generated import spoken_words
from provider_kit.dialects.prompt_caching import cache_options
from provider_kit.dialects.schemas import output_schema, prompt_for
from provider_kit.errors import InvalidRequestError
from provider_kit.model.chat import ChatRequest
from provider_kit.model.json_text import loads
from provider_kit.model.media import Document, Media
from provider_kit.model.messages import Message, Native, Refusal, Text, Thinking, ToolCall, ToolResult, written_in
from provider_kit.model.tools import Reasoning, ResponseFormat, Tool, ToolChoice
from provider_kit.schema.canonical import CanonicalSchema
from provider_kit.schema.profiles import PROFILES

__all__ = ["TAKES", "GeminiProfile", "GeminiRequestWriter"]

#: The fields of a request that are written here, or reported.
TAKES = COMMON_FIELDS | {"top_k", "stop", "seed", "presence_penalty", "frequency_penalty"}

#: The documented signature for tool calls that no Gemini model made.
_FOREIGN_SIGNATURE = "skip_thought_signature_validator"
_BUDGETS = {"none": 0, "minimal": 512, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576, "max": 24576}
_LEVELS = {"minimal": "MINIMAL", "low": "LOW", "medium": "MEDIUM", "high": "HIGH", "xhigh": "HIGH", "max": "HIGH"}
_MAX_STOP = 5


#: What the API accepts of schemas made from types.
_SCHEMA = PROFILES["gemini"]


@frozen(kw_only=True)
class GeminiProfile:
    """What one model accepts."""

    #: ``level`` (Gemini 3 and later), ``budget`` (2.5), or none at all.
    thinking: Literal["level", "budget"] | None = "level"
    #: Smallest thinking budget; 0 means thinking can be turned off.
    smallest_budget: int = 0
    #: Lowest thinking level.
    lowest_level: str = "MINIMAL"
    #: Whether calls that are sent back need a thought signature.
    needs_signatures: bool = True
    #: Whether temperature, topP and topK are accepted.
    sampling: bool = True
    #: Whether images are accepted inside tool results.
    media_in_results: bool = True
    #: Whether a schema may be sent together with tools; else it goes into the system prompt.
    schema_with_tools: bool = True


class GeminiRequestWriter:
    """Writes one request."""

    def __init__(self, request: ChatRequest, profile: GeminiProfile, report: ParameterReport, origin: str) -> None:
        self.request = request
        self.profile = profile
        self.report = report
        self.origin = origin
        #: The calls so far, each with its number.
        self._calls: dict[str, tuple[int, ToolCall]] = {}
        #: Number of the call that a written result answers, by the ``id()`` of the written dict.
        self._ranks: dict[int, int] = {}
        self._call_count = 0
        self._sent_ids: set[str] = set()

    def write(self) -> dict[str, Any]:
        """The request's body; the model is part of the URL."""
        request = self.request
        system, contents = self._conversation()
        body: dict[str, Any] = {"contents": contents}
        if system:
            body["systemInstruction"] = {"parts": system}
        config = self._generation_config()
        if request.response_format is not None:
            self._response_format(config, body, request.response_format)
        if config:
            body["generationConfig"] = config
        if request.tools:
            self._tools(body, request.tools)
        if request.cache is not None:  # it caches by itself
            cache_options(request.cache, None, self.report)
        return body

    # -------------------------------------------------------------------------------------------- conversation

    def _conversation(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        system: list[dict[str, Any]] = []
        contents: list[dict[str, Any]] = []
        for message in self.request.messages:
            role = "model" if message.role == "assistant" else "user"
            if type(message.content) is str:
                parts = [{"text": message.content}] if message.content else []
            else:
                parts = [written for part in message.parts if (written := self._part(part, message)) is not None]
                if role == "model":
                    self._sign_first_call(parts)
            if message.role in ("system", "developer"):
                system.extend(parts)
            elif parts:
                if contents and contents[-1]["role"] == role:
                    contents[-1]["parts"].extend(parts)
                else:
                    contents.append({"role": role, "parts": parts})
                if self._ranks and role == "user":
                    contents[-1]["parts"].sort(key=self._rank)
        if not contents:
            raise InvalidRequestError("The conversation has no text.", hint="Write something to the model.")
        return system, contents

    def _rank(self, part: dict[str, Any]) -> int:
        """Results go first and in the order of their calls: the API pairs them by position where ids are missing."""
        return self._ranks.get(id(part), self._call_count)

    def _sign_first_call(self, parts: list[dict[str, Any]]) -> None:
        """Gemini 3 refuses calls without a signature; calls of other models get the documented placeholder."""
        if self.profile.needs_signatures:
            for part in parts:
                if "functionCall" in part:
                    part.setdefault("thoughtSignature", _FOREIGN_SIGNATURE)
                    return

    def _part(self, part: Any, message: Message) -> dict[str, Any] | None:
        own = message.origin == self.origin or message.origin is None
        if isinstance(part, Text):
            if not part.text and not (own and part.signature):
                return None
            return _signed({"text": part.text}, part.signature if own else None)
        if isinstance(part, ToolCall):
            self._calls[part.id] = self._call_count, part
            self._call_count += 1
            call: dict[str, Any] = {"name": part.name, "args": arguments_object(part)}
            if not part.local_id and message.origin == self.origin:
                call["id"] = part.id
                self._sent_ids.add(part.id)
            return _signed({"functionCall": call}, part.signature if own else None)
        if isinstance(part, ToolResult):
            response = {"functionResponse": self._result(part)}
            if part.tool_call_id in self._calls:
                self._ranks[id(response)] = self._calls[part.tool_call_id][0]
            return response
        if isinstance(part, Thinking):
            return dict(part.native) if own and part.native is not None and message.origin is not None else None
        if isinstance(part, Native):
            if own:
                return dict(part.data)
            self.report.omit("messages", f"a {part.type} block of {message.origin} was not sent.")
            return None
        if isinstance(part, Refusal):
            return {"text": part.text} if part.text else None
        if isinstance(part, Media) and message.role == "assistant" and not own:
            words = spoken_words(part)
            if words:
                return {"text": words}
            self.report.omit("messages", f"a generated {type(part).__name__} was not sent; attach it to a question.")
            return None
        if isinstance(part, Media):
            return _signed(_media(part), (part.extra or {}).get("thoughtSignature") if own else None)
        raise InvalidRequestError(f"A {type(part).__name__} cannot be sent to this API.")

    def _result(self, result: ToolResult) -> dict[str, Any]:
        call = self._calls.get(result.tool_call_id)
        written: dict[str, Any] = {"name": result.name or (call[1].name if call else result.tool_call_id)}
        if result.tool_call_id in self._sent_ids:
            written["id"] = result.tool_call_id
        content = result.content
        media: list[dict[str, Any]] = []
        if isinstance(content, str):
            value: Any = _json_or_text(content)
        else:
            value = result.text
            media = [_media(part) for part in content if isinstance(part, Media) and written_in(part) is None]
        if result.is_error:
            written["response"] = {"error": value}
        else:
            written["response"] = value if isinstance(value, dict) else {"output": value}
        if media:
            if self.profile.media_in_results:
                written["parts"] = media
            else:
                self.report.omit("messages", "images in tool results are not accepted by this model.")
        return written

    # -------------------------------------------------------------------------------------------- the rest

    def _generation_config(self) -> dict[str, Any]:
        request = self.request
        config: dict[str, Any] = {}
        for name, wire in (("temperature", "temperature"), ("top_p", "topP"), ("top_k", "topK")):
            value = getattr(request, name)
            if value is not None:
                if self.profile.sampling:
                    config[wire] = value
                else:
                    self.report.omit(name, "this model takes no sampling parameters.")
        if request.max_tokens is not None:
            config["maxOutputTokens"] = request.max_tokens
        if request.stop is not None:
            if len(request.stop) > _MAX_STOP:
                self.report.omit("stop", f"only the first {_MAX_STOP} stop texts were sent.")
            config["stopSequences"] = request.stop[:_MAX_STOP]
        if request.seed is not None:
            config["seed"] = request.seed
        if request.presence_penalty is not None:
            config["presencePenalty"] = request.presence_penalty
        if request.frequency_penalty is not None:
            config["frequencyPenalty"] = request.frequency_penalty
        wish = None if request.reasoning is None else request.reasoning.without_default()
        if wish is not None:
            thinking = self._thinking(wish)
            if thinking:
                config["thinkingConfig"] = thinking
        return config

    def _response_format(self, config: dict[str, Any], body: dict[str, Any], wanted: ResponseFormat) -> None:
        if wanted.kind == "text":
            return
        if self.request.tools and not self.profile.schema_with_tools:
            self.report.omit(
                "response_format", "this model takes no JSON mode with tools; the system prompt asks for JSON."
            )
            body.setdefault("systemInstruction", {"parts": []})["parts"].append({"text": prompt_for(wanted)})
            return
        config["responseMimeType"] = "application/json"
        if wanted.schema is not None:
            made = output_schema(wanted, _SCHEMA, self.report).schema
            config["responseJsonSchema"] = made if isinstance(wanted.schema, CanonicalSchema) else wanted.described

    def _thinking(self, reasoning: Reasoning) -> dict[str, Any]:
        profile = self.profile
        effort, budget = reasoning.effort, reasoning.budget_tokens
        if profile.thinking is None:
            self.report.omit("reasoning", "this model has no thinking to control.")
            return {}
        written: dict[str, Any] = {}
        if profile.thinking == "budget":
            wanted = budget if budget is not None else _BUDGETS[effort] if effort else None
            if wanted is not None:
                written["thinkingBudget"] = max(wanted, profile.smallest_budget)
                if wanted < profile.smallest_budget:
                    self.report.omit(
                        "reasoning", f"this model cannot think less than {profile.smallest_budget} tokens."
                    )
        elif effort or budget:
            word = effort or ("low" if (budget or 0) <= 4096 else "medium" if (budget or 0) <= 16384 else "high")
            level = profile.lowest_level if word == "none" else _LEVELS[word]
            if level == "MINIMAL":
                level = profile.lowest_level
            written["thinkingLevel"] = level
            if effort != level.lower() or budget:
                self.report.omit("reasoning", f"this model thinks in levels; {level} was sent.")
        show = reasoning.show if reasoning.show is not None else (effort != "none" and bool(written))
        if show:
            written["includeThoughts"] = True
        return written

    def _tools(self, body: dict[str, Any], tools: list[Tool]) -> None:
        choice = self.request.tool_choice
        declarations = [_declaration(tool) for tool in tools if tool.native is None]
        written: list[dict[str, Any]] = [{"functionDeclarations": declarations}] if declarations else []
        written.extend(tool.native for tool in tools if tool.native is not None)
        body["tools"] = written
        config = _calling_config(choice, tools)
        if config:
            body["toolConfig"] = {"functionCallingConfig": config}
        if self.request.parallel_tool_calls is False:
            self.report.omit("parallel_tool_calls", "this API has no such switch.")


def _signed(part: dict[str, Any], signature: str | None) -> dict[str, Any]:
    if signature:
        part["thoughtSignature"] = signature
    return part


def _json_or_text(text: str) -> Any:
    """A tool result that is a JSON object is sent as the object the API requires."""
    if text.lstrip().startswith("{"):
        try:
            return loads(text)
        except ValueError:
            return text
    return text


def _media(media: Media) -> dict[str, Any]:
    if media.data is not None:
        text = media.fenced if isinstance(media, Document) else None
        if text is not None:  # the API knows some types of text only
            return {"text": text}
        return {"inlineData": {"mimeType": media.media_type, "data": media.base64}}
    uri = media.file_id or media.url
    data = {"fileUri": uri}
    if media.media_type:
        data["mimeType"] = media.media_type
    return {"fileData": data}


def _declaration(tool: Tool) -> dict[str, Any]:
    written: dict[str, Any] = {"name": tool.name}
    if tool.description:
        written["description"] = tool.description
    if tool.parameters.get("properties") or set(tool.parameters) - {"type", "properties"}:
        written["parametersJsonSchema"] = tool.parameters
    return written


def _calling_config(choice: ToolChoice | None, tools: list[Tool]) -> dict[str, Any]:
    strict = any(tool.strict for tool in tools)
    if choice is None:
        return {"mode": "VALIDATED"} if strict else {}
    if choice.mode == "none":
        return {"mode": "NONE"}
    if choice.mode == "required":
        return {"mode": "ANY", **({"allowedFunctionNames": list(choice.names)} if choice.names else {})}
    if choice.names:
        return {"mode": "VALIDATED", "allowedFunctionNames": list(choice.names)}
    return {"mode": "VALIDATED" if strict else "AUTO"}
