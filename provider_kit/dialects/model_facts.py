"""What the lists of providers tell of a model besides its name: capabilities, dates, prices, in one vocabulary."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from provider_kit.model.pricing import Pricing

__all__ = ["date_of", "features_of", "listed_features", "prices_of"]

#: Words of providers, and the capability they mean.
_MEANINGS = {
    "vision": "vision",
    "image": "vision",
    "image_input": "vision",
    "supportsimageinput": "vision",
    "audio": "audio",
    "video": "video",
    "pdf": "pdf",
    "pdf_input": "pdf",
    "file": "pdf",
    "tools": "tools",
    "function_calling": "tools",
    "trained_for_tool_use": "tools",
    "supportstools": "tools",
    "structured_outputs": "schema",
    "structured_output": "schema",
    "reasoning": "reasoning",
    "thinking": "reasoning",
    "caching": "caching",
}
#: Capabilities that a complete list of parameters, or of kinds of input, decides.
_BY_PARAMETER = ("tools", "schema", "reasoning")
_BY_INPUT = ("vision", "audio", "video", "pdf")
#: Prices of OpenRouter and Cerebras, in US dollars per token, by their names here.
_PER_TOKEN = {
    "input": "prompt",
    "output": "completion",
    "cache_read": "input_cache_read",
    "cache_write": "input_cache_write",
    "cache_write_1h": "input_cache_write_1h",
    "reasoning": "internal_reasoning",
    "input_audio": "audio",
}


def features_of(entry: Mapping[str, Any], told: Iterable[str] = ()) -> dict[str, bool]:
    """What a model is known to be able to do, or not.

    Args:
        entry: Its entry in a provider's list.
        told: The capabilities the entry lists, in the provider's words.
    """
    features = {found: True for word in told if (found := _MEANINGS.get(str(word).lower())) is not None}
    capabilities = entry.get("capabilities")
    if isinstance(capabilities, Mapping):
        features |= {
            found: _has(value)
            for word, value in capabilities.items()
            if (found := _MEANINGS.get(str(word).lower())) is not None
        }
    features |= {
        found: value
        for word, value in entry.items()
        if type(value) is bool and (found := _MEANINGS.get(word.lower())) is not None
    }
    parameters = entry.get("supported_parameters")
    if isinstance(parameters, list):
        meant = {_MEANINGS.get(str(word)) for word in parameters}
        features |= {name: name in meant for name in _BY_PARAMETER}
    architecture = entry.get("architecture")
    inputs = architecture.get("input_modalities") if isinstance(architecture, Mapping) else None
    if isinstance(inputs, list):
        meant = {_MEANINGS.get(str(word)) for word in inputs}
        features |= {name: name in meant for name in _BY_INPUT}
    return features


def listed_features(told: Iterable[Any]) -> dict[str, bool]:
    """Capabilities from a list that names all a model has, as Ollama's does."""
    features = features_of({}, map(str, told))
    return {name: name in features for name in ("vision", "audio", "tools", "reasoning")}


def _has(value: Any) -> bool:
    """Whether a capability is there: a boolean, or an object with ``supported``."""
    return bool(value.get("supported", value) if isinstance(value, Mapping) else value)


def prices_of(entry: Mapping[str, Any]) -> Pricing | None:
    """OpenRouter's and Cerebras's prices: US dollars per token, as text; a negative one varies."""
    prices = entry.get("pricing")
    if not isinstance(prices, Mapping):
        return None
    found = _rates(prices)
    requests, searches = _rate(prices.get("request"), 1000), _rate(prices.get("web_search"), 1000)
    above = []
    changes = prices.get("overrides")
    for change in changes if isinstance(changes, list) else ():
        # Prices of some hours of the day are not among these.
        whole_day = isinstance(change, Mapping) and not change.get("utc_start") and not change.get("utc_end")
        if whole_day and type(start := change.get("min_prompt_tokens")) is int:
            above.append((start, Pricing(**_rates(change))))
    above.sort(key=lambda pair: pair[0])
    return Pricing(**found, requests=requests or None, web_searches=searches or None, above=tuple(above))


def _rates(prices: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: _rate(prices.get(key), 1_000_000) for name, key in _PER_TOKEN.items()}
    # A zero for what belongs to another bucket means that it has no price of its own.
    return {name: rate for name, rate in found.items() if rate is not None and (rate or name in ("input", "output"))}


def _rate(value: Any, count: int) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    try:
        rate = Decimal(str(value)[:50]) * count
    except ArithmeticError:
        return None
    return rate if rate.is_finite() and rate >= 0 else None


def seconds_of(value: Any) -> float | None:
    """Seconds since 1970 of an RFC 3339 time, or of a number of them."""
    try:
        if isinstance(value, str):
            return datetime.fromisoformat(value).timestamp()
        return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
    except (ValueError, OverflowError):
        return None


def date_of(*values: Any) -> str | None:
    """The first date, as ``2026-12-11``, of texts that begin with one."""
    for value in values:
        if isinstance(value, str) and len(value) >= 7 and value[:4].isdigit() and value[4] == "-":
            return value[:10]
    return None
