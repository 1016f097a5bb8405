"""Measures of a schema: its size, its depth, what refers to what, and whether the branches of a union differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provider_kit.schema.canonical import resolve

__all__ = ["count_choices", "count_properties", "depth", "is_decidable", "reaches", "references"]


def is_decidable(branches: list[dict[str, Any]], root: Mapping[str, Any]) -> bool:
    """Whether the branches of a union differ in type, or by one property with distinct values.

    Source: the messages of Groq's validator of schemas.
    """
    objects = []
    kinds: list[str] = []
    for one in branches:
        branch = resolve(one["$ref"], dict(root)) if "$ref" in one else one
        if branch.get("type") == "object":
            objects.append(branch)
        else:
            kinds.append({"integer": "number"}.get(branch.get("type", ""), branch.get("type", "")))
    if len(set(kinds)) < len(kinds) or "" in kinds:
        return False
    if len(objects) < 2:
        return True
    shared = set.intersection(*(set(one.get("properties") or {}) for one in objects))
    found = 0
    for name in shared:
        choices = [one["properties"][name].get("enum") for one in objects]
        if all(choices) and len({str(v) for c in choices for v in c}) == sum(map(len, choices)):
            found += 1
    if found == 1:
        return True
    keys = [set(one.get("properties") or {}) for one in objects]
    return found == 0 and all(not (a & b) for n, a in enumerate(keys) for b in keys[n + 1 :])


def count_properties(schema: Any) -> int:
    """The properties of all objects."""
    if isinstance(schema, list):
        return sum(map(count_properties, schema))
    if not isinstance(schema, Mapping):
        return 0
    inner = sum(count_properties(value) for key, value in schema.items() if key not in ("enum", "default"))
    return inner + (len(schema["properties"]) if isinstance(schema.get("properties"), Mapping) else 0)


def count_choices(schema: Any) -> int:
    """The values of all choices."""
    if isinstance(schema, list):
        return sum(map(count_choices, schema))
    if not isinstance(schema, Mapping):
        return 0
    own = len(schema["enum"]) if isinstance(schema.get("enum"), list) else 0
    return own + sum(count_choices(value) for key, value in schema.items() if key not in ("enum", "default"))


def depth(schema: Any, root: Mapping[str, Any], level: int, seen: frozenset[str] = frozenset()) -> int:
    """Levels of nested objects."""
    if level > 100:
        return level
    if isinstance(schema, list):
        return max((depth(one, root, level, seen) for one in schema), default=level)
    if not isinstance(schema, Mapping):
        return level
    reference = schema.get("$ref")
    if isinstance(reference, str):
        return level if reference in seen else depth(resolve(reference, dict(root)), root, level, seen | {reference})
    inner = level + (schema.get("type") == "object")
    found = [inner]
    for key in ("properties", "$defs"):
        if key == "properties" and isinstance(schema.get(key), Mapping):
            found += [depth(one, root, inner, seen) for one in schema[key].values()]
    found += [depth(schema[key], root, inner, seen) for key in ("items", "anyOf", "prefixItems") if key in schema]
    return max(found)


def reaches(name: str, schema: Any, definitions: Mapping[str, Any], seen: set[str]) -> bool:
    """Whether a schema leads to a definition."""
    for reference in references(schema):
        if reference == name:
            return True
        if reference not in seen and reference in definitions:
            seen.add(reference)
            if reaches(name, definitions[reference], definitions, seen):
                return True
    return False


def references(schema: Any) -> list[str]:
    """The definitions a schema refers to."""
    if isinstance(schema, list):
        return [name for one in schema for name in references(one)]
    if not isinstance(schema, Mapping):
        return []
    found = [schema["$ref"].rpartition("/")[2]] if isinstance(schema.get("$ref"), str) else []
    return found + [name for key, one in schema.items() if key not in ("enum", "default") for name in references(one)]
