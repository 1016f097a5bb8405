"""Whole answers of Anthropic's Messages API.

Source: Anthropic API reference, "Messages".
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from provider_kit.dialects.assembly import tool_finish, with_distinct_ids
from provider_kit.dialects.base import expect_object
from provider_kit.dialects.failures import error_from_body, holds_error
from provider_kit.dialects.openai_usage import as_object, counts_of, tier_of
from provider_kit.model.chat import ChatResponse
from provider_kit.model.json_text import text_of_received
from provider_kit.model.messages import Message, Native, Part, Refusal, Text, Thinking, ToolCall
from provider_kit.model.usage import Usage

__all__ = ["finish_of", "message_of", "parse_message", "part_of", "read_anthropic_usage"]

_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "pause_turn": "pause",
    "compaction": "pause",
    "refusal": "content_filter",
}


def _count(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None


def read_anthropic_usage(usage: Any) -> Usage:
    """Anthropic's usage: ``input_tokens`` already excludes the cache, output includes thinking."""
    if not isinstance(usage, dict):
        return Usage()
    read, written = _count(usage.get("cache_read_input_tokens")), _count(usage.get("cache_creation_input_tokens"))
    plain, output = _count(usage.get("input_tokens")), _count(usage.get("output_tokens"))
    details = usage.get("output_tokens_details")
    thinking = _count(details.get("thinking_tokens")) if isinstance(details, dict) else None
    visible = None if output is None else max(0, output - (thinking or 0))
    total = None if plain is None or output is None else plain + (read or 0) + (written or 0) + output
    lifetimes, searched = as_object(usage.get("cache_creation")), as_object(usage.get("server_tool_use"))
    details = counts_of(
        cache_write_1h=lifetimes.get("ephemeral_1h_input_tokens"), web_searches=searched.get("web_search_requests")
    )
    tier = "fast" if usage.get("speed") == "fast" else tier_of(usage.get("service_tier"))
    return Usage(plain, visible, read, written, thinking, total, None, dict(usage), details=details, service_tier=tier)


def part_of(block: Mapping[str, Any]) -> Part:
    """One content block as a part."""
    kind = block.get("type")
    if kind == "text":
        extra = {"citations": block["citations"]} if block.get("citations") else None
        return Text(str(block.get("text") or ""), extra=extra)
    if kind == "tool_use":
        given = block.get("input")
        return ToolCall(
            str(block.get("id") or ""),
            str(block.get("name") or ""),
            given if isinstance(given, str) else text_of_received(given if given is not None else {}),
            native=dict(block) if block.get("caller") else None,
        )
    if kind == "thinking":
        return Thinking(str(block.get("thinking") or ""), signature=block.get("signature"), native=dict(block))
    if kind == "redacted_thinking":
        return Thinking("", native=dict(block))
    return Native(str(kind), dict(block))


def finish_of(raw: Any, has_calls: bool) -> Any:
    """Map Anthropic's stop reason to the common finish reason."""
    return tool_finish(_FINISH.get(str(raw), "other"), has_calls)


def message_of(parts: list[Part], refusal: Mapping[str, Any] | None, origin: str, model: str | None) -> Message:
    """Build the message from its parts; where the model declined, with its explanation."""
    content: str | list[Part] = parts
    if refusal is not None and refusal.get("explanation"):
        parts.append(Refusal(str(refusal["explanation"])))
    if not parts:
        content = ""
    elif len(parts) == 1 and type(parts[0]) is Text and parts[0].extra is None:
        content = parts[0].text
    return Message("assistant", content, origin=origin, model=model)


def parse_message(payload: Any, *, provider: str, origin: str) -> ChatResponse:
    """Read a whole answer.

    Raises:
        APIError: The answer holds an error, or is not a message.
    """
    if isinstance(payload, dict) and holds_error(payload, ("content", "stop_reason")) and "content" not in payload:
        raise error_from_body(payload, status=200, headers={}, provider=provider, overrides={})
    found = expect_object(payload, "a message", ("content", "stop_reason"), provider)
    blocks = found.get("content")
    parts = [part_of(block) for block in blocks if isinstance(block, dict)] if isinstance(blocks, list) else []
    if isinstance(blocks, str):
        parts = [Text(blocks)]
    model = found.get("model") or None
    raw = found.get("stop_reason")
    details = found.get("stop_details")
    calls = with_distinct_ids(part for part in parts if type(part) is ToolCall)
    return ChatResponse(
        message_of(parts, details if raw == "refusal" and isinstance(details, dict) else None, origin, model),
        finish_of(raw, bool(calls)),
        raw,
        partial(read_anthropic_usage, found.get("usage")),
        found.get("id"),
        model,
        None,
        payload,
    )
