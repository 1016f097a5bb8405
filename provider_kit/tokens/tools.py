"""Tools as models read them: JSON, TypeScript (OpenAI), or words alone (Gemini)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from provider_kit.model.tools import Tool

__all__ = ["as_read"]


def as_read(tool: Tool, family: str) -> str:
    """The text that a model of a family reads for a tool."""
    return _STYLES.get(family, _as_json)(tool)


def _as_json(tool: Tool) -> str:
    form = {"name": tool.name, "description": tool.description or "", "parameters": tool.parameters}
    return json.dumps(form, ensure_ascii=False, default=str)


def _as_typescript(tool: Tool) -> str:
    """A tool as a type of a TypeScript namespace, the form in which OpenAI's models read it."""
    lines = [f"// {line}" for line in (tool.description or "").split("\n") if line]
    properties = tool.parameters.get("properties")
    if not properties:
        lines.append(f"type {tool.name} = () => any;")
    else:
        lines += [f"type {tool.name} = (_: {{", *_fields(tool.parameters, 0, tool.parameters), "}) => any;"]
    return "\n".join(lines) + "\n\n"


def _fields(schema: Mapping[str, Any], depth: int, root: Mapping[str, Any]) -> list[str]:
    needed = schema.get("required") or ()
    lines: list[str] = []
    properties = schema.get("properties")
    for name, given in properties.items() if isinstance(properties, Mapping) else ():
        spec = given if isinstance(given, Mapping) else {}
        found = _resolved(spec, root) if depth < 2 else spec
        if isinstance(spec.get("description"), str):
            lines += [f"// {line}" for line in spec["description"].split("\n")]
        lines.append(f"{name}{'' if name in needed else '?'}: {_type(found, depth, root)},")
    return lines


def _resolved(spec: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a ``$ref`` to the definitions of the same schema stands for."""
    name = spec.get("$ref")
    if not isinstance(name, str):
        return spec
    for key in ("$defs", "definitions"):
        held = root.get(key)
        found = held.get(name.rpartition("/")[2]) if isinstance(held, Mapping) else None
        if isinstance(found, Mapping):
            return found
    return spec


def _type(spec: Any, depth: int, root: Mapping[str, Any]) -> str:
    if not isinstance(spec, Mapping) or depth > 6:
        return "any"
    spec = _resolved(spec, root) if depth < 2 else spec  # schemas that refer to themselves end here
    if isinstance(spec.get("enum"), (list, tuple)):
        return " | ".join(json.dumps(value, ensure_ascii=False, default=str) for value in spec["enum"])
    for key in ("anyOf", "oneOf"):
        if isinstance(spec.get(key), (list, tuple)):
            return " | ".join(_type(one, depth + 1, root) for one in spec[key])
    kind = spec.get("type")
    if isinstance(kind, (list, tuple)):
        return " | ".join(map(str, kind))
    if kind == "array":
        return _type(spec.get("items"), depth + 1, root) + "[]"
    if kind == "object" or spec.get("properties"):
        return "{\n" + "\n".join(_fields(spec, depth + 1, root)) + "\n}" if spec.get("properties") else "object"
    return {"integer": "number"}.get(str(kind), str(kind)) if kind else "any"


def _as_words(tool: Tool) -> str:
    """Names and descriptions alone, for models whose tools are counted without the punctuation of JSON."""
    words = [tool.name, tool.description or ""]

    def walk(spec: Any, depth: int) -> None:
        if not isinstance(spec, Mapping) or depth > 20:
            return
        words.append(str(spec.get("type", "")))
        if isinstance(spec.get("description"), str):
            words.append(spec["description"])
        words.extend(str(value) for value in spec.get("enum") or ())
        for name, inner in (spec.get("properties") or {}).items():
            words.append(name)
            walk(inner, depth + 1)
        walk(spec.get("items"), depth + 1)
        for one in spec.get("anyOf") or ():
            walk(one, depth + 1)
        words.extend(spec.get("required") or ())

    walk(tool.parameters, 0)
    return " ".join(filter(None, words))


_STYLES = {
    "openai": _as_typescript,
    "openai_old": _as_typescript,
    "gpt_oss": _as_typescript,
    "gemini": _as_words,
    "gemini_vertex": _as_words,
}
