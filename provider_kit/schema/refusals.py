"""What a provider answers to a schema it does not accept: the tables of the profiles, from the server's side.

This module shares the tables with :mod:`provider_kit.schema.subset`, and no code, so that each checks the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provider_kit.schema.profiles import SchemaProfile

__all__ = ["refusal_of"]

_STRUCTURE = frozenset(
    ("type", "enum", "const", "anyOf", "$ref", "$defs", "properties", "required", "additionalProperties", "items")
)
_NOTES = frozenset(("description", "title"))
_KINDS = frozenset(("string", "number", "integer", "boolean", "null", "array", "object"))


def refusal_of(schema: Any, profile: SchemaProfile) -> str | None:
    """Why a provider refuses a schema it shall enforce; ``None`` if it accepts it."""
    try:
        _Examiner(schema, profile).examine()
    except _Refused as refused:
        return str(refused)
    return None


class _Refused(Exception):
    """The schema is refused."""


class _Examiner:
    def __init__(self, schema: Any, profile: SchemaProfile) -> None:
        self.root = schema
        self.profile = profile
        self.properties = self.choices = self.optional = self.unions = 0
        self.stack: list[str] = []
        self.seen: set[str] = set()

    def examine(self) -> None:
        root, profile = self.root, self.profile
        if not isinstance(root, Mapping) or root.get("type") != "object" or "anyOf" in root:
            raise _Refused("In context=(), the root must be an object")
        self.node(root, (), 1)
        for limit, count, name in (
            (profile.max_properties, self.properties, "properties"),
            (profile.max_enum_values, self.choices, "enum values"),
            (profile.max_optional, self.optional, "optional parameters"),
            (profile.max_unions, self.unions, "parameters with union types"),
            (profile.max_characters, len(_compact(root)), "characters"),
        ):
            if limit is not None and count > limit:
                raise _Refused(f"too many {name} ({count}, limit: {limit})")

    def refuse(self, path: tuple[str, ...], said: str) -> None:
        raise _Refused(f"In context={path!r}, {said}")

    def node(self, schema: Any, path: tuple[str, ...], level: int) -> None:
        profile = self.profile
        if not isinstance(schema, Mapping):
            self.refuse(path, "a schema must be an object")
        if profile.max_depth is not None and level > profile.max_depth:
            self.refuse(path, f"{level} levels of nesting exceeds limit of {profile.max_depth}")
        kind = schema.get("type")
        if isinstance(kind, list):
            self.refuse(path, "lists of types are not supported")
        if kind is not None and kind not in _KINDS:
            self.refuse(path, f"{kind!r} is not a type")
        if kind is None and not (schema.keys() & {"$ref", "anyOf"}) and not profile.untyped:
            self.refuse(path, "schema must have a 'type' key")
        if "$ref" in schema:
            self.reference(schema, path, level)
            return
        allowed = _STRUCTURE | _NOTES | profile.keywords(kind)
        allowed |= {"default"} if profile.defaults else set()
        allowed |= {"prefixItems"} if profile.prefix_items else set()
        for key in schema:
            if key not in allowed:
                self.refuse(path, f"'{key}' is not permitted")
        self.values(schema, path)
        if "anyOf" in schema:
            self.union(schema["anyOf"], path, level)
        if kind == "object":
            self.object(schema, path, level)
        if kind == "array":
            self.array(schema, path, level)

    def values(self, schema: Mapping[str, Any], path: tuple[str, ...]) -> None:
        profile = self.profile
        if "enum" in schema:
            if not schema["enum"]:
                self.refuse(path, "an enum must not be empty")
            self.choices += len(schema["enum"])
        if "format" in schema and schema["format"] not in profile.formats:
            self.refuse(path, f"the format {schema['format']!r} is not supported")
        for key, most in profile.greatest.items():
            if schema.get(key, 0) > most:
                self.refuse(path, f"'{key}' must be at most {most}")
        if "(?" in str(schema.get("pattern", "")):
            self.refuse(path, "the pattern is not supported")

    def reference(self, schema: Mapping[str, Any], path: tuple[str, ...], level: int) -> None:
        reference = schema["$ref"]
        if len(schema) > 1 and not self.profile.reference_siblings:
            self.refuse(path, f"$ref cannot have keywords {sorted(set(schema) - {'$ref'})}")
        if not str(reference).startswith("#/$defs/"):
            self.refuse(path, f"the reference {reference!r} is not supported")
        name = reference.removeprefix("#/$defs/")
        target = (self.root.get("$defs") or {}).get(name)
        if target is None:
            self.refuse(path, f"the reference {reference!r} leads nowhere")
        if name in self.stack:
            if not self.profile.recursion:
                self.refuse(path, f"circular reference detected in schema definitions: {' -> '.join(self.stack)}")
            return
        self.stack.append(name)
        self.node(target, ("$defs", name), level)
        self.stack.pop()

    def union(self, branches: Any, path: tuple[str, ...], level: int) -> None:
        profile = self.profile
        self.unions += 1
        if not isinstance(branches, list) or not branches:
            self.refuse(path, "anyOf must be a list of schemas")
        if profile.max_branches is not None and len(branches) > profile.max_branches:
            self.refuse(path, f"anyOf has more than {profile.max_branches} variants")
        tags: list[Any] = []
        for number, branch in enumerate(branches):
            if not profile.references_in_unions and "$ref" in branch:
                self.refuse(path, "$ref is not permitted inside anyOf")
            self.node(branch, (*path, "anyOf", str(number)), level)
            tags.append(self.first_token(branch))
        if profile.decidable_unions:
            plain = [tag for tag in tags if tag != "object"]
            if len(set(plain)) < len(plain) or (tags.count("object") > 1 and not self.told_apart(branches)):
                self.refuse(path, "the branches of anyOf cannot be told apart")

    def target(self, branch: Mapping[str, Any]) -> Mapping[str, Any]:
        name = branch.get("$ref", "").removeprefix("#/$defs/")
        return self.root["$defs"][name] if name else branch

    def first_token(self, branch: Mapping[str, Any]) -> str:
        kind = self.target(branch).get("type", "")
        return "number" if kind == "integer" else str(kind)

    def told_apart(self, branches: list[Any]) -> bool:
        objects = [one for one in map(self.target, branches) if one.get("type") == "object"]
        names = set(objects[0]["properties"]).intersection(*(one["properties"] for one in objects[1:]))
        if not names:
            everything = [name for one in objects for name in one["properties"]]
            return len(set(everything)) == len(everything)
        deciding = 0
        for name in names:
            values = [value for one in objects for value in one["properties"][name].get("enum", (name, name))]
            deciding += len(set(map(str, values))) == len(values)
        return deciding == 1

    def object(self, schema: Mapping[str, Any], path: tuple[str, ...], level: int) -> None:
        profile = self.profile
        more = schema.get("additionalProperties")
        if profile.closed and more is not False:
            self.refuse(path, "'additionalProperties' is required to be supplied and to be false")
        if isinstance(more, Mapping):
            self.node(more, (*path, "additionalProperties"), level + 1)
        properties = schema.get("properties") or {}
        required = schema.get("required") or []
        self.properties += len(properties)
        for name in required:
            if name not in properties:
                self.refuse(path, f"'required' names {name!r}, which is no property")
        if profile.all_required and set(required) != set(properties):
            missing = sorted(set(properties) - set(required))
            self.refuse(path, f"'required' must include every key in properties. Missing {missing}")
        self.optional += len(set(properties) - set(required))
        for name, inner in properties.items():
            self.node(inner, (*path, "properties", name), level + 1 if _is_nested(inner) else level)

    def array(self, schema: Mapping[str, Any], path: tuple[str, ...], level: int) -> None:
        items = schema.get("items")
        for number, one in enumerate(schema.get("prefixItems") or ()):
            self.node(one, (*path, "prefixItems", str(number)), level + 1 if _is_nested(one) else level)
        if isinstance(items, Mapping):
            self.node(items, (*path, "items"), level + 1 if _is_nested(items) else level)
        elif not (items is False and "prefixItems" in schema) and not self.profile.untyped:
            self.refuse(path, "array schema missing items")


def _is_nested(schema: Any) -> bool:
    return isinstance(schema, Mapping) and schema.get("type") == "object"


def _compact(schema: Any) -> str:
    import json

    return json.dumps(schema, separators=(",", ":"), ensure_ascii=False)
