"""Whole answers of Gemini's generateContent."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from provider_kit.dialects.assembly import tool_finish, with_distinct_ids
from provider_kit.dialects.base import expect_object
from provider_kit.dialects.choices import first_choice
from provider_kit.dialects.failures import error_from_body, holds_error
from provider_kit.dialects.gemini_content.parts import PartCollector, notes_of, read_part, with_notes
from provider_kit.dialects.openai_usage import tier_of
from provider_kit.model.chat import ChatResponse
from provider_kit.model.messages import Message, Part, Refusal, Text, ToolCall
from provider_kit.model.usage import Usage

__all__ = ["ANSWERS", "block_reason", "finish_of", "message_of", "parse_content", "read_gemini_usage", "unwrapped"]

#: Fields that only an answer has.
ANSWERS = ("candidates", "promptFeedback", "usageMetadata", "responseId")

_FINISH = {"STOP": "stop", "MAX_TOKENS": "length", "CONTINUATION": "pause"}
_FILTERED = frozenset(
    {
        "SAFETY",
        "RECITATION",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "LANGUAGE",
        "MODEL_ARMOR",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION",
    }
)
_FAILED = frozenset(
    {
        "MALFORMED_FUNCTION_CALL",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MISSING_THOUGHT_SIGNATURE",
        "MALFORMED_RESPONSE",
    }
)


def finish_of(raw: str | None, has_calls: bool) -> Any:
    """Map Gemini's finish reason to the common one."""
    reason = _FINISH.get(raw or "")
    if reason is None:
        reason = "content_filter" if raw in _FILTERED else "error" if raw in _FAILED else "other"
    return tool_finish(reason, has_calls)


def _int(value: Any) -> int | None:
    """Numbers may come as text (int64 in protobuf's JSON form)."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)) or len(str(value)) > 20:
        return None
    try:
        count = int(value)
    except (ValueError, OverflowError):
        return None
    return count if count >= 0 else None


#: Fields with tokens by modality, and the bucket they are part of.
_DETAILS = (
    ("promptTokensDetails", "input"),
    ("cacheTokensDetails", "cache_read"),
    ("candidatesTokensDetails", "output"),
)


def read_gemini_usage(usage: Any) -> Usage:
    """Gemini's usage: the prompt includes cached tokens, the candidates exclude thoughts."""
    if not isinstance(usage, dict):
        return Usage()
    prompt = _int(usage.get("promptTokenCount"))
    tools = _int(usage.get("toolUsePromptTokenCount"))
    thoughts = _int(usage.get("thoughtsTokenCount"))
    visible = _int(usage.get("candidatesTokenCount"))
    total = _int(usage.get("totalTokenCount"))
    if visible is None and total is not None and prompt is not None:
        visible = max(0, total - prompt - (tools or 0) - (thoughts or 0))
    return Usage.from_totals(
        None if prompt is None else prompt + (tools or 0),
        None if visible is None else visible + (thoughts or 0),
        cache_read=_int(usage.get("cachedContentTokenCount")),
        reasoning=thoughts,
        total=total,
        raw=dict(usage),
        details=_modalities(usage),
        service_tier=tier_of(str(usage.get("serviceTier") or "").lower()),
    )


def _modalities(usage: Mapping[str, Any]) -> dict[str, int] | None:
    """Tokens of audio and images, where they are told apart."""
    found: dict[str, int] = {}
    for field, where in _DETAILS:
        entries = usage.get(field)
        for entry in entries if isinstance(entries, list) else ():
            kind = str(entry.get("modality")).lower() if isinstance(entry, dict) else ""
            if kind in ("audio", "image") and (count := _int(entry.get("tokenCount"))):
                found[f"{where}_{kind}"] = count
    return found or None


def message_of(parts: list[Part], blocked: str | None, origin: str, model: str | None) -> Message:
    """Build the message from its parts; for a blocked prompt, with the reason."""
    if blocked:
        parts = [*parts, Refusal(blocked)]
    if not parts:
        return Message("assistant", "", origin=origin, model=model)
    if len(parts) == 1 and type(parts[0]) is Text and not parts[0].signature and not parts[0].extra:
        return Message("assistant", parts[0].text, origin=origin, model=model)
    return Message("assistant", parts, origin=origin, model=model)


def _parts_of(candidate: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    content = candidate.get("content")
    parts = content.get("parts") if isinstance(content, dict) else None
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []


def block_reason(payload: Mapping[str, Any]) -> str | None:
    """Why the prompt was blocked, if it was."""
    feedback = payload.get("promptFeedback")
    reason = feedback.get("blockReason") if isinstance(feedback, dict) else None
    if not reason:
        return None
    return str(feedback.get("blockReasonMessage") or f"The prompt was blocked: {reason}.")  # type: ignore[union-attr]  # a reason means a mapping


def unwrapped(payload: Any) -> Any:
    """The answer itself; some gateways put it under ``response``."""
    if isinstance(payload, dict) and not payload.keys() & {*ANSWERS, "error"}:
        inner = payload.get("response")
        if isinstance(inner, dict) and inner.keys() & {*ANSWERS, "error"}:
            return inner
    return payload


def parse_content(payload: Any, *, provider: str, origin: str) -> ChatResponse:
    """Read a whole answer.

    Raises:
        APIError: The answer holds an error, or is not an answer of this API.
    """
    found = unwrapped(payload)
    if isinstance(found, dict) and not found.get("candidates") and holds_error(found, ANSWERS):
        raise error_from_body(found, status=200, headers={}, provider=provider, overrides={})
    found = expect_object(found, "a generateContent answer", ANSWERS, provider)
    candidate = first_choice(found.get("candidates")) or {}
    collected = PartCollector()
    for part in _parts_of(candidate):
        collected.add(read_part(part))
    parts = collected.close()
    blocked = block_reason(found) if not candidate else None
    raw = str(candidate.get("finishReason") or "") or None
    model = found.get("modelVersion") or None
    calls = with_distinct_ids(part for part in parts if type(part) is ToolCall)
    return ChatResponse(
        message_of(with_notes(parts, notes_of(candidate)), blocked, origin, model),
        "content_filter" if blocked else finish_of(raw, bool(calls)),
        raw or (str(found["promptFeedback"].get("blockReason")) if blocked else None),
        partial(read_gemini_usage, found.get("usageMetadata")),
        found.get("responseId"),
        model,
        None,
        payload,
    )
