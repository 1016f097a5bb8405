"""Whole answers of OpenAI's Responses API."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import partial
from typing import Any

from provider_kit.dialects.assembly import tool_finish, with_distinct_ids
from provider_kit.dialects.base import expect_object
from provider_kit.dialects.failures import error_from_body, holds_error
from provider_kit.dialects.openai_usage import counts_of, read_count, tier_of
from provider_kit.model.chat import ChatResponse
from provider_kit.model.file_types import sniff
from provider_kit.model.json_text import text_of_received
from provider_kit.model.media import Image
from provider_kit.model.messages import Message, Native, Part, Refusal, Text, Thinking, ToolCall
from provider_kit.model.usage import Usage

__all__ = ["answer_of", "parse_response", "parts_of", "read_responses_usage"]


def _object(value: Any) -> dict[str, Any]:
    return value if type(value) is dict else {}


def _list(value: Any) -> list[Any]:
    return value if type(value) is list else []


def _count(value: Any) -> int | None:
    return read_count(value) if type(value) is int else None


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else text_of_received(value)


def read_responses_usage(usage: Any, service_tier: Any = None, output: Any = None) -> Usage:
    """The usage object: input includes the cache, output includes reasoning.

    Args:
        usage: The object.
        service_tier: What the answer says of it.
        output: The items of the answer, of which web searches are billed besides.
    """
    if not isinstance(usage, dict):
        return Usage()
    input_details = _object(usage.get("input_tokens_details"))
    output_details = _object(usage.get("output_tokens_details"))
    return Usage.from_totals(
        _count(usage.get("input_tokens")),
        _count(usage.get("output_tokens")),
        cache_read=_count(input_details.get("cached_tokens")),
        cache_write=_count(input_details.get("cache_write_tokens")),
        reasoning=_count(output_details.get("reasoning_tokens")),
        total=_count(usage.get("total_tokens")),
        raw=dict(usage),
        details=counts_of(web_searches=sum(_object(item).get("type") == "web_search_call" for item in _list(output))),
        service_tier=tier_of(service_tier),
    )


def _texts(parts: Any) -> str:
    pieces = [str(part.get("text") or "") for part in _list(parts) if isinstance(part, dict)]
    return "\n\n".join(piece for piece in pieces if piece)


def parts_of(item: Mapping[str, Any], *, runs_custom_tools: bool = False) -> list[Part]:
    """The parts of one output item. Where the server runs custom tools, their calls are not the caller's."""
    kind = item.get("type")
    if kind == "message":
        content = item.get("content")
        if isinstance(content, str):
            return [Text(content, extra={"item": dict(item)})]
        content = [part for part in _list(content) if isinstance(part, dict)]
        text = "".join(str(part.get("text") or "") for part in content if part.get("type") in ("output_text", "text"))
        refusal = "".join(str(part.get("refusal") or "") for part in content if part.get("type") == "refusal")
        parts: list[Part] = []
        if text:
            parts.append(Text(text, extra={"item": dict(item)}))
        if refusal:
            parts.append(Refusal(refusal, extra={"item": dict(item)}))
        return parts
    if kind == "function_call":
        return [
            ToolCall(
                str(item.get("call_id") or item.get("id") or ""),
                str(item.get("name") or ""),
                _as_text(item.get("arguments")),
                native=dict(item),
            )
        ]
    if kind == "custom_tool_call" and not runs_custom_tools:
        return [
            ToolCall(
                str(item.get("call_id") or ""),
                str(item.get("name") or ""),
                _as_text(item.get("input")),
                native=dict(item),
            )
        ]
    if kind == "reasoning":
        return [Thinking(_texts(item.get("summary")), verbatim=_texts(item.get("content")), native=dict(item))]
    if kind == "image_generation_call" and isinstance(item.get("result"), str) and item["result"]:
        picture = _picture(item)
        if picture is not None:
            return [picture]
    return [Native(str(kind), dict(item))]


def _picture(item: Mapping[str, Any]) -> Part | None:
    try:
        data = base64.b64decode(item["result"], validate=True)
    except ValueError:
        return None
    kind = sniff(data) or f"image/{item.get('output_format') or 'png'}"
    return Image(data=data, media_type=kind, extra={"item": dict(item)}) if data else None


def _finish(response: Mapping[str, Any], has_calls: bool) -> tuple[Any, str | None]:
    status = response.get("status")
    reason = _object(response.get("incomplete_details")).get("reason")
    if status == "incomplete":
        known = {"max_output_tokens": "length", "max_messages": "length", "content_filter": "content_filter"}
        return known.get(str(reason), "other"), reason or status
    if status in ("in_progress", "queued"):
        return "pause", status
    if status in ("failed", "cancelled"):
        return "error", status
    return tool_finish("stop" if status == "completed" else "other", has_calls), status


def answer_of(response: Mapping[str, Any], parts: list[Part], raw: Any, origin: str) -> ChatResponse:
    """Build the answer from a response object and the parts of its items."""
    calls = with_distinct_ids(part for part in parts if type(part) is ToolCall)
    finish, raw_reason = _finish(response, bool(calls))
    model = response.get("model") or None
    return ChatResponse(
        Message("assistant", parts or "", origin=origin, model=model),
        finish,
        raw_reason,
        partial(read_responses_usage, response.get("usage"), response.get("service_tier"), response.get("output")),
        response.get("id"),
        model,
        response.get("created_at"),
        raw,
    )


def parse_response(payload: Any, *, provider: str, origin: str, runs_custom_tools: bool = False) -> ChatResponse:
    """Read a whole answer.

    Raises:
        APIError: The answer holds an error, says it failed, or is not an answer of this API.
    """
    if isinstance(payload, dict) and not payload.get("output") and holds_error(payload, ("output",)):
        raise error_from_body(payload, status=200, headers={}, provider=provider, overrides={})
    found = expect_object(payload, "a response", ("output",), provider)
    items = found["output"]
    parts = (
        [
            part
            for item in items
            if isinstance(item, dict)
            for part in parts_of(item, runs_custom_tools=runs_custom_tools)
        ]
        if isinstance(items, list)
        else []
    )
    return answer_of(found, parts, payload, origin)
