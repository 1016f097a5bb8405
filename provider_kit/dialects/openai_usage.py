"""OpenAI's usage object, as OpenAI and compatible servers fill it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from itertools import islice
from typing import Any

from provider_kit.model.usage import Usage

#: Longest text of a price, in characters.
_LONGEST_NUMBER = 50
#: More tokens than any call can use; a larger number is invalid.
_MOST_TOKENS = 10**15
#: Greatest number of fields kept of a usage object; no provider sends a tenth of them.
_MOST_FIELDS = 200

#: Names of the service tier that has no price of its own.
_STANDARD = ("", "auto", "default", "standard", "on_demand", "unspecified")

__all__ = ["as_object", "counts_of", "merge_usage", "read_count", "read_usage", "tier_of"]


def read_usage(usage: Any, service_tier: Any = None) -> Usage:
    """OpenAI's usage object, with the additions of OpenRouter, DeepSeek, Qwen and xAI.

    Args:
        usage: The object.
        service_tier: What the answer says of it.
    """
    if not isinstance(usage, dict):
        return Usage()
    prompt_details = as_object(usage.get("prompt_tokens_details"))
    completion_details = as_object(usage.get("completion_tokens_details"))
    prompt = read_count(usage.get("prompt_tokens"))
    completion = read_count(usage.get("completion_tokens"))
    total = read_count(usage.get("total_tokens"))
    reasoning = read_count(completion_details.get("reasoning_tokens"))
    cached = read_count(prompt_details.get("cached_tokens"))
    if cached is None:
        cached = read_count(usage.get("prompt_cache_hit_tokens"))
    written = read_count(prompt_details.get("cache_write_tokens"))
    if written is None:
        written = read_count(prompt_details.get("cache_creation_input_tokens"))
    heard, spoken = prompt_details.get("audio_tokens"), completion_details.get("audio_tokens")
    return Usage.from_totals(
        prompt,
        completion,
        cache_read=cached,
        cache_write=written,
        reasoning=reasoning,
        total=total,
        cost=_cost(usage) if "cost" in usage or "cost_in_usd_ticks" in usage else None,
        raw=dict(usage),
        details=counts_of(input_audio=heard, output_audio=spoken) if heard or spoken else None,
        service_tier=tier_of(service_tier),
    )


def counts_of(**found: Any) -> dict[str, int] | None:
    """The counts that are there and not zero; ``None`` for none."""
    counts = {name: count for name, value in found.items() if value and (count := read_count(value))}
    return counts or None


def tier_of(told: Any) -> str | None:
    """A service tier; ``None`` for the standard one."""
    return told if isinstance(told, str) and told not in _STANDARD else None


def merge_usage(known: dict[str, Any] | None, new: Any) -> dict[str, Any] | None:
    """Merge the usage of several events of a stream.

    Counts are totals so far, so a later one replaces an earlier one; but neither a zero nor a missing field resets a
    count.
    """
    if type(new) is not dict or not new:
        return known
    merged = {} if known is None else dict(known)
    for name, value in islice(new.items(), _MOST_FIELDS):
        if name not in merged and len(merged) >= _MOST_FIELDS:
            continue
        before = merged.get(name)
        if type(value) is dict and type(before) is dict:
            merged[name] = merge_usage(before, value)
        elif value or not before:
            merged[name] = value
    for total in ("total_tokens", "totalTokenCount"):
        if known is not None and total not in new and merged != known:
            merged.pop(total, None)  # it was of fewer tokens
    return merged


def as_object(value: Any) -> dict[str, Any]:
    """The value if it is an object, else an empty one."""
    return value if type(value) is dict else {}


def read_count(value: Any) -> int | None:
    """A number of tokens or seconds; ``None`` if it is invalid."""
    if type(value) is int:  # the common case
        return value if 0 <= value < _MOST_TOKENS else None
    known = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < _MOST_TOKENS
    return int(value) if known else None


def _cost(usage: Mapping[str, Any]) -> Decimal | None:
    cost = usage.get("cost")
    if isinstance(cost, (int, float, str)) and not isinstance(cost, bool):
        try:
            found = Decimal(str(cost)[:_LONGEST_NUMBER])
        except InvalidOperation:
            return None
        upstream = as_object(usage.get("cost_details")).get("upstream_inference_cost")
        if usage.get("is_byok") is True and isinstance(upstream, (int, float)) and not isinstance(upstream, bool):
            found += Decimal(str(upstream))  # billed by the provider whose key it was
        return found if found.is_finite() else None
    ticks = usage.get("cost_in_usd_ticks")
    known = isinstance(ticks, int) and not isinstance(ticks, bool) and abs(ticks) < 10**30
    return Decimal(ticks) / 10_000_000_000 if known and ticks is not None else None
