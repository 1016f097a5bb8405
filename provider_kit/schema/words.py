"""Constraints in words, for the description of a field where a provider does not enforce them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["words_of"]

_FORMATS = {
    "decimal": "a decimal number such as 12.50",
    "path": "a file path",
    "base64": "base64",
    "binary": "base64",
    "duration": "an ISO 8601 duration such as PT1H30M",
    "date-time": "a date and time such as 2026-01-31T12:00:00Z",
    "date": "a date such as 2026-01-31",
    "time": "a time such as 12:00:00",
    "uuid": "a UUID",
}


def words_of(key: str, value: Any) -> str:
    """A constraint in words."""
    if key == "format":
        return _FORMATS.get(value, f"format: {value}")
    if key == "propertyNames":
        choices = value.get("enum") if isinstance(value, Mapping) else None
        return f"keys: {', '.join(map(str, choices))}" if choices else "keys as described"
    words = {
        "minimum": "at least {}",
        "maximum": "at most {}",
        "exclusiveMinimum": "greater than {}",
        "exclusiveMaximum": "less than {}",
        "multipleOf": "a multiple of {}",
        "minLength": "at least {} characters",
        "maxLength": "at most {} characters",
        "pattern": "matching {}",
        "minItems": "at least {} items",
        "maxItems": "at most {} items",
        "uniqueItems": "no item twice",
        "minProperties": "at least {} entries",
        "maxProperties": "at most {} entries",
    }
    return words[key].format(value)
