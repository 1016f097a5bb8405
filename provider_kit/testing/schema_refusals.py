"""The schemas of a request, refused where the provider itself would refuse them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from provider_kit.schema.profiles import PROFILES, SchemaProfile
from provider_kit.schema.refusals import refusal_of

__all__ = ["profile_of", "refused_schema"]

_BY_DIALECT = {
    "openai_chat": "openai",
    "openai_responses": "openai",
    "anthropic_messages": "anthropic",
    "gemini_content": "gemini",
    "ollama_chat": "ollama",
}
#: Providers that take no schema together with tools, or for a stream.
_NOT_WITH_TOOLS = ("groq", "cerebras")
_NOT_IN_STREAMS = ("groq",)


def profile_of(path: str, dialect: str) -> SchemaProfile:
    """The profile of the provider a path belongs to: ``/groq/v1/…`` is Groq's."""
    return PROFILES.get(path.lstrip("/").partition("/")[0]) or PROFILES[_BY_DIALECT[dialect]]


def refused_schema(body: Mapping[str, Any], path: str, dialect: str) -> str | None:
    """Why the provider refuses the schemas of a request; ``None`` if it accepts them."""
    profile = profile_of(path, dialect)
    output = _output(body, dialect)
    tools = list(_tools(body, dialect))
    if output is not None:
        if tools and profile.name in _NOT_WITH_TOOLS:
            return '"tools" is incompatible with "response_format"'
        if body.get("stream") and profile.name in _NOT_IN_STREAMS:
            return "structured outputs are not supported for streams"
        schema, strict = output
        said = refusal_of(schema, profile) if strict else None
        if said:
            return f"Invalid schema for response_format: {said}"
    strict_tools = 0
    for name, schema, strict in tools:
        if schema.get("type", "object") != "object" or schema.keys() & {"anyOf", "oneOf", "allOf"}:
            return f"Invalid schema for function {name!r}: the root must be an object"
        strict_tools += strict
        said = refusal_of(schema, profile) if strict or profile.checks_all_tools else None
        if said:
            return f"Invalid schema for function {name!r}: {said}"
    if profile.max_strict_tools is not None and strict_tools > profile.max_strict_tools:
        return f"too many strict tools ({strict_tools}, limit: {profile.max_strict_tools})"
    return None


def _output(body: Mapping[str, Any], dialect: str) -> tuple[Any, bool] | None:
    """The schema of the answer, and whether it is to be enforced."""
    if dialect == "openai_chat":
        wanted = body.get("response_format") or {}
        spec = wanted.get("json_schema")
        return (spec.get("schema"), bool(spec.get("strict"))) if spec else None
    if dialect == "openai_responses":
        wanted = (body.get("text") or {}).get("format") or {}
        return (wanted.get("schema"), bool(wanted.get("strict"))) if wanted.get("type") == "json_schema" else None
    if dialect == "anthropic_messages":
        wanted = (body.get("output_config") or {}).get("format")
        return (wanted.get("schema"), True) if wanted else None
    if dialect == "gemini_content":
        schema = (body.get("generationConfig") or {}).get("responseJsonSchema")
        return (schema, False) if schema is not None else None
    schema = body.get("format")
    return (schema, False) if isinstance(schema, Mapping) else None


def _tools(body: Mapping[str, Any], dialect: str) -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    """Name, schema and strictness of each tool."""
    for tool in body.get("tools") or ():
        if dialect == "anthropic_messages" and "input_schema" in tool:
            yield tool["name"], tool["input_schema"], bool(tool.get("strict"))
        elif dialect == "openai_responses" and tool.get("type") == "function":
            yield tool["name"], tool.get("parameters") or {}, bool(tool.get("strict"))
        elif dialect in ("openai_chat", "ollama_chat") and "function" in tool:
            function = tool["function"]
            yield function["name"], function.get("parameters") or {}, bool(function.get("strict"))
