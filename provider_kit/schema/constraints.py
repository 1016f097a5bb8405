"""Constraints of a field as JSON Schema keywords, from ``Annotated`` and from attrs' validators.

Metadata are read by their attributes, so that those of annotated-types, msgspec and pydantic work, and any class of
yours with ``ge``, ``gt``, ``le``, ``lt``, ``multiple_of``, ``min_length``, ``max_length`` or ``pattern``. A string is a
description.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any

__all__ = ["keywords_of_metadata", "keywords_of_validator"]

_NUMBERS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
_OPERATORS = {
    operator.ge: "minimum",
    operator.gt: "exclusiveMinimum",
    operator.le: "maximum",
    operator.lt: "exclusiveMaximum",
}
#: Keywords of lengths by what has a length.
_LENGTHS = {"string": "Length", "array": "Items", "object": "Properties"}


def keywords_of_metadata(metadata: Iterable[Any], kind: str | None) -> dict[str, Any]:
    """The keywords of the metadata of an ``Annotated`` type.

    Args:
        metadata: What stands behind the type.
        kind: The JSON type of the annotated type, as far as it has one.
    """
    found: dict[str, Any] = {}
    for item in metadata:
        found.update(_keywords(item, kind))
    return found


def _keywords(item: Any, kind: str | None) -> dict[str, Any]:
    if isinstance(item, str):
        return {"description": item}
    if isinstance(item, re.Pattern):
        return {"pattern": item.pattern}
    if isinstance(item, Mapping):
        said = item.get("description")
        return {"description": said} if isinstance(said, str) else {}
    if isinstance(item, type) or callable(item):
        return {}
    found: dict[str, Any] = {}
    for name, keyword in _NUMBERS.items():
        bound = getattr(item, name, None)
        if _is_number(bound):
            found[keyword] = bound
    step = getattr(item, "multiple_of", None)
    if _is_number(step):
        found["multipleOf"] = step
    found.update(_lengths(getattr(item, "min_length", None), getattr(item, "max_length", None), kind))
    pattern = getattr(item, "pattern", None)
    if isinstance(pattern, re.Pattern):
        pattern = pattern.pattern
    if isinstance(pattern, str):
        found["pattern"] = pattern
    for name in ("description", "documentation"):
        said = getattr(item, name, None)
        if isinstance(said, str) and said:
            found["description"] = said
    inner = getattr(item, "metadata", None)  # pydantic's Field
    if isinstance(inner, (list, tuple)):
        found = {**keywords_of_metadata(inner, kind), **found}
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _lengths(least: Any, most: Any, kind: str | None) -> dict[str, Any]:
    word = _LENGTHS.get(kind or "")
    if word is None:
        return {}
    found = {}
    if isinstance(least, int) and least > 0:
        found[f"min{word}"] = least
    if isinstance(most, int):
        found[f"max{word}"] = most
    return found


def keywords_of_validator(validator: Any, kind: str | None) -> dict[str, Any]:
    """The keywords of one of attrs' own validators; none for any other function."""
    name = type(validator).__name__
    if name == "_AndValidator":
        found: dict[str, Any] = {}
        for one in validator._validators:
            found.update(keywords_of_validator(one, kind))
        return found
    if name == "_OptionalValidator":
        return keywords_of_validator(validator.validator, kind)
    if name == "_NumberValidator":
        keyword = _OPERATORS.get(validator.compare_func)
        return {keyword: validator.bound} if keyword and _is_number(validator.bound) else {}
    if name == "_MinLengthValidator":
        return _lengths(validator.min_length, None, kind)
    if name == "_MaxLengthValidator":
        return _lengths(None, validator.max_length, kind)
    if name == "_MatchesReValidator":
        return {"pattern": _anchored(validator)}
    if name == "_InValidator":
        options = validator.options
        if isinstance(options, (list, tuple, set, frozenset)) and not any(isinstance(one, Enum) for one in options):
            plain = [one for one in options if one is None or isinstance(one, (str, int, float))]
            if plain and len(plain) == len(options):
                return {"enum": sorted(plain, key=str) if isinstance(options, (set, frozenset)) else plain}
    return {}


def _anchored(validator: Any) -> str:
    """A pattern that means what the validator does: JSON Schema searches, attrs matches the whole text by default."""
    pattern: str = validator.pattern.pattern
    how = getattr(validator.match_func, "__name__", "fullmatch")
    if how == "search":
        return pattern
    start = "" if pattern.startswith("^") else "^"
    bare = f"(?:{pattern})" if "|" in pattern else pattern
    return f"{start}{bare}" if how == "match" else f"{start}{bare}{'' if pattern.endswith('$') else '$'}"
