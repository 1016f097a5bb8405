"""The JSON Schema of the configuration file, for editors; made from the classes that read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

from attrs import has

from provider_kit.config.configuration import TOP_FIELDS
from provider_kit.config.entries import entry_fields
from provider_kit.config.typeinfo import Field, alternatives, fields_of, is_callable
from provider_kit.providers.registry import find_provider, provider_names

__all__ = ["config_schema"]

#: A value from the environment or from a secret store.
_REFERENCE = {"type": "string", "pattern": r"\$\{[^}]+\}"}
_SIMPLE: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    Any: {},
}


def config_schema() -> dict[str, Any]:
    """The schema (draft 2020-12)."""
    definitions: dict[str, Any] = {}
    options = sorted({option for name in provider_names() for option in find_provider(name).option_names})
    entry = _object(
        {**entry_fields(), **{name: Field(name, Any, f"Option of some providers: {name}.", None) for name in options}},
        definitions,
        optional={"type"},
    )
    entry["properties"]["type"] = {
        "description": "The provider whose API it has; default: the name.",
        "anyOf": [{"enum": provider_names()}, {"type": "string"}],
    }
    definitions["Provider"] = {**entry, "type": ["object", "null"]}
    named = {
        "type": ["object", "null"],
        "additionalProperties": {"$ref": "#/$defs/Provider"},
        "patternProperties": {"^x-": {}},
        "propertyNames": {"pattern": "^[A-Za-z0-9_.-]{1,64}$"},
    }
    lists = {name: {"type": "array", "items": {"type": "string"}} for name in ("enabled", "preferred_order")}
    top = _object(TOP_FIELDS, definitions)
    top["properties"]["custom"] = {**named, "description": TOP_FIELDS["custom"].text}
    top["properties"]["providers"] = {
        **named,
        "description": TOP_FIELDS["providers"].text,
        "properties": {**lists, "custom": named},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "provider_kit configuration",
        **top,
        "anyOf": [{"required": ["providers"]}, {"required": ["custom"]}],
        "$defs": dict(sorted(definitions.items())),
    }


def _object(
    known: Mapping[str, Field], definitions: dict[str, Any], optional: set[str] | None = None
) -> dict[str, Any]:
    properties = {}
    for name, one in known.items():
        schema = _schema(one.kind, definitions)
        if one.text:
            schema = {"description": one.text, **schema}
        if isinstance(one.default, (bool, int, float, str)):
            schema["default"] = one.default
        properties[name] = schema
    made: dict[str, Any] = {
        "type": "object",
        "properties": properties,
        "patternProperties": {"^x-": {}},
        "additionalProperties": False,
    }
    required = [name for name, one in known.items() if one.required and name not in (optional or ())]
    return {**made, "required": required} if required else made


def _schema(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    found: list[dict[str, Any]] = []
    for choice in alternatives(kind):
        schema = {"type": "null"} if choice is None else _one(choice, definitions)
        if schema is not None and schema not in found:
            found.append(schema)
    if any(not schema for schema in found):
        return {}
    if any(schema.get("type") in ("integer", "number", "boolean") or "enum" in schema for schema in found):
        found.append(_REFERENCE)
    return found[0] if len(found) == 1 else {"anyOf": found}


def _one(choice: Any, definitions: dict[str, Any]) -> dict[str, Any] | None:
    origin = get_origin(choice)
    if is_callable(choice):
        return None
    if origin is Literal:
        return {"enum": list(get_args(choice))}
    if origin in (tuple, list):
        return {"type": "array", "items": _schema(get_args(choice)[0], definitions)}
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _schema(get_args(choice)[1], definitions)}
    if isinstance(choice, type) and has(choice):
        if choice.__name__ not in definitions:
            definitions[choice.__name__] = {}  # it may refer to itself
            definitions[choice.__name__] = _object(fields_of(choice), definitions)
        return {"$ref": f"#/$defs/{choice.__name__}"}
    return dict(_SIMPLE.get(choice, {}))
