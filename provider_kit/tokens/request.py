"""The input tokens of a whole request: its texts and files, and what the API puts around them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from provider_kit.model.chat import ChatRequest
from provider_kit.model.estimates import TokenEstimate
from provider_kit.model.media import Media
from provider_kit.model.messages import Native, Refusal, Text, Thinking, ToolCall, ToolResult, media_of
from provider_kit.tokens.families import family_of, variant_of
from provider_kit.tokens.media import media_tokens
from provider_kit.tokens.text import load_weights, text_tokens
from provider_kit.tokens.tools import as_read

__all__ = ["estimate_request"]

#: Families whose strict tools, and whose prompts of the Responses API, have tokens of their own.
_STRICT, _RESPONSES = frozenset({"openai"}), frozenset({"deepseek"})
#: Families that do not count earlier reasoning as input.
_KEPT_OUT = frozenset({"openai", "gpt_oss", "claude", "claude_new", "gemini", "gemini_vertex", "qwen", "grok"})
_CLAUDE_TOOLS = (
    ("web_search", 2200),
    ("web_fetch", 3000),
    ("code_execution", 4500),
    ("memory", 1250),
    ("tool_search", 700),
    ("advisor", 2350),
    ("mcp", 600),
    ("bash", 250),
    ("text_editor", 700),
    ("computer", 740),
)
#: Tokens of tools that the provider runs, by the start of their type; what they find is not known before.
_BUILTIN: dict[str, tuple[tuple[str, float], ...]] = {
    "claude": _CLAUDE_TOOLS,
    "claude_new": _CLAUDE_TOOLS,
    "openai": (
        ("web_search", 500),
        ("file_search", 600),
        ("code_interpreter", 90),
        ("image_generation", 250),
        ("tool_search", 150),
        ("mcp", 300),
        ("computer", 600),
    ),
    "gemini": (
        ("google", 60),
        ("code", 120),
        ("url", 120),
    ),
    "gemini_vertex": (
        ("google", 60),
        ("code", 120),
        ("url", 120),
    ),
    "mistral": (("web_search", 800),),
}


#: By how much nine in ten estimates are off at most: of texts and tools, of files, and with tools of the provider.
_ERROR, _ERROR_OF_FILES = 0.2, 0.6


def estimate_request(request: ChatRequest, provider: str, dialect: str = "") -> TokenEstimate:
    """Estimate all input tokens of a request.

    Args:
        request: The request.
        provider: The provider's name.
        dialect: The name of the API it is written for.
    """
    family = family_of(provider, request.model)
    api = {"openai_chat": "chat", "openai_responses": "responses"}.get(dialect)
    tokens = max(1.0, estimate_input_tokens(request, family, api))
    native = any(tool.native is not None for tool in request.tools or ())
    error = _ERROR_OF_FILES if native or next(media_of(request.messages), None) is not None else _ERROR
    return TokenEstimate(round(tokens), int(tokens * (1 - error)), int(tokens * (1 + error)) + 1, family)


def estimate_input_tokens(request: ChatRequest, family: str, api: str | None = None) -> float:
    """Estimate all input tokens of a request: text, framing, tools, the schema of the answer, and media.

    Args:
        request: The request.
        family: The family of its model, see :func:`family_of`.
        api: ``chat`` or ``responses`` where it goes to one of OpenAI's APIs; some models have other prompts there.
    """
    frames = load_weights().frames
    frame = frames.get(f"{family}/{variant_of(request.model, family)}") or frames.get(family) or frames["other"]
    return sum(frame.get(name, 0.0) * value for name, value in request_features(request, family, api).items())


#: Longest text without white space that is read as text; a longer one is the base64 of a file.
_LONGEST_WORD = 2000


def _without_data(value: Any) -> Any:
    """A block without the content of files."""
    if isinstance(value, str):
        return "" if len(value) > _LONGEST_WORD and not any(map(str.isspace, value[:_LONGEST_WORD])) else value
    if isinstance(value, Mapping):
        return {key: _without_data(inner) for key, inner in value.items()}
    return [_without_data(inner) for inner in value] if isinstance(value, list) else value


def request_features(request: ChatRequest, family: str, api: str | None = None) -> dict[str, float]:
    """What a request consists of; the weights of a family turn it into tokens."""
    found: dict[str, float] = {"base": 1, "text": 0, "media": 0}

    def add(name: str, value: float = 1) -> None:
        found[name] = found.get(name, 0) + value

    def take(part: object) -> None:
        signature = getattr(part, "signature", None)
        if signature and family.startswith("gemini"):
            add("signature", len(signature))
        if isinstance(part, (Text, Refusal)):
            add("text", text_tokens(part.text, family))
        elif isinstance(part, Media):
            add("media", media_tokens(part, family, request.model.lower()))
        elif isinstance(part, ToolCall):
            add("calls")
            add("call.text", text_tokens(part.name, family) + text_tokens(part.arguments_json, family))
        elif isinstance(part, ToolResult):
            add("results")
            if isinstance(part.content, str):
                add("result.text", text_tokens(part.content, family))
            else:
                for inner in part.content:
                    take(inner)
        elif isinstance(part, Thinking):
            if family not in _KEPT_OUT:
                add("thinking", text_tokens(part.text, family))
        elif isinstance(part, Native):
            add("native", text_tokens(json.dumps(_without_data(part.data), ensure_ascii=False, default=str), family))

    for message in request.messages:
        add("system" if message.role in ("system", "developer") else "messages")
        for part in message.parts:
            take(part)
    forced = request.tool_choice is not None and request.tool_choice.mode == "required"
    own = [tool for tool in request.tools or () if tool.native is None]
    if own:
        add("tools")
        if api == "chat" and family in _STRICT and variant_of(request.model, family):
            add("chat tools")
        if forced:
            add("forced")
        add("each tool", len(own))
        sizes = [text_tokens(as_read(tool, family), family) for tool in own]
        add("tool.text", sum(sizes))
        if family in _STRICT:
            strict = sum(size for size, tool in zip(sizes, own, strict=True) if tool.strict)
            add("strict.chat" if api == "chat" else "strict.text", strict)
    for tool in request.tools or ():
        if tool.native is not None:
            kind = str(tool.native.get("type") or tool.name)
            add("builtin", next((size for start, size in _BUILTIN.get(family, ()) if kind.startswith(start)), 300.0))
    if api == "responses" and family in _RESPONSES:
        add("responses")
    if family.startswith("claude") and request.reasoning is not None and request.reasoning.effort != "none":
        add("reasoning")
    wanted = request.response_format
    if wanted is not None and wanted.schema:
        add("schema")
        written = json.dumps(wanted.schema, ensure_ascii=False, separators=(",", ":"), default=str)
        add("schema.text", text_tokens(written, family) + text_tokens(wanted.description or "", family))
    elif wanted is not None and wanted.kind == "json":
        add("json")
    return found
