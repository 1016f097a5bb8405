"""JSON Schemas as Claude accepts them.

Source: Anthropic API reference, "Structured outputs": every object forbids further properties; bounds of
numbers, lengths and most array constraints are refused. What is removed is reported, not enforced.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provider_kit.errors import InvalidRequestError

__all__ = ["claude_schema"]

#: Keywords that are refused, whatever their value.
_REFUSED = frozenset(
    (
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength"),
        *("maxItems", "uniqueItems", "contains", "minContains", "maxContains", "prefixItems", "additionalItems"),
        *("patternProperties", "propertyNames", "minProperties", "maxProperties", "unevaluatedProperties"),
        *("not", "if", "then", "else", "dependentRequired", "dependentSchemas", "dependencies", "unevaluatedItems"),
    )
)
_FORMATS = frozenset(("date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"))
#: Keywords whose value maps names to schemas, so that these names are not keywords.
_NAMED = frozenset(("properties", "$defs", "definitions"))
#: Keywords whose value is not a schema.
_VALUES = frozenset(("enum", "const", "default", "examples", "required", "type", "title", "description", "$ref"))
#: Greatest depth of nested schemas.
_DEEPEST, _LARGEST = 100, 20_000


def claude_schema(schema: Any) -> tuple[Any, list[str], bool]:
    """A copy of a schema that Claude accepts.

    Returns:
        The copy, the keywords that were left out, and whether an object had to be closed.
    """
    lost: dict[str, None] = {}
    state = {"closed": 0, "nodes": 0}
    return _copy(schema, lost, state, 0), list(lost), bool(state["closed"])


def _copy(schema: Any, lost: dict[str, None], state: dict[str, int], depth: int) -> Any:
    if isinstance(schema, list):
        return [_copy(item, lost, state, depth + 1) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    state["nodes"] += 1
    if depth > _DEEPEST or state["nodes"] > _LARGEST:
        raise InvalidRequestError(
            "The JSON Schema is too large, or contains itself.", hint="Refer to a part by {'$ref': '#/$defs/…'}."
        )
    copy: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _NAMED and isinstance(value, Mapping):
            copy[key] = {name: _copy(inner, lost, state, depth + 1) for name, inner in value.items()}
        elif key in _VALUES:
            copy[key] = value
        elif key in _REFUSED or _is_refused(key, value) or (key == "oneOf" and "anyOf" in schema):
            lost[key] = None
        elif key == "oneOf":
            copy["anyOf"] = _copy(value, lost, state, depth + 1)
        else:
            copy[key] = _copy(value, lost, state, depth + 1)
    kind = copy.get("type")
    is_object = kind == "object" or (isinstance(kind, list) and "object" in kind) or "properties" in copy
    if is_object and copy.get("additionalProperties") is not False:
        copy["additionalProperties"] = False
        state["closed"] = 1
    return copy


def _is_refused(key: str, value: Any) -> bool:
    return (key == "minItems" and value not in (0, 1)) or (
        key == "format" and not (isinstance(value, str) and value in _FORMATS)
    )
