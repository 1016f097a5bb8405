"""Schemas in requests: those made from types in the subset the provider accepts, those of users as given."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from provider_kit.dialects.base import ParameterReport
from provider_kit.model.json_text import dumps_text
from provider_kit.model.tools import ResponseFormat, Tool
from provider_kit.schema.canonical import CanonicalSchema
from provider_kit.schema.profiles import SchemaProfile
from provider_kit.schema.subset import Subset, subset_of

__all__ = ["WrittenSchema", "output_schema", "prompt_for", "tool_schema"]


@frozen
class WrittenSchema:
    """A schema as it is sent."""

    #: ``None``: the provider has no form for it.
    schema: Any
    strict: bool | None


def output_schema(wanted: ResponseFormat, profile: SchemaProfile, report: ParameterReport) -> WrittenSchema:
    """The schema of an answer, reporting what the provider does not enforce of it."""
    schema = wanted.schema
    if not isinstance(schema, CanonicalSchema):
        return WrittenSchema(schema, wanted.strict)
    made = subset_of(schema, profile)
    _report(made, profile, "output_type", report)
    return WrittenSchema(made.schema, made.strict)


def tool_schema(tool: Tool, profile: SchemaProfile, report: ParameterReport, *, strict: bool) -> WrittenSchema:
    """The schema of a tool's arguments.

    Args:
        tool: The tool; its own ``strict`` wins.
        profile: What the provider accepts.
        report: Collects what is not enforced.
        strict: Whether the provider shall enforce schemas that were made from functions.
    """
    schema = tool.parameters
    if not isinstance(schema, CanonicalSchema):
        return WrittenSchema(schema, tool.strict)
    wanted = strict if tool.strict is None else tool.strict
    if not wanted and not profile.checks_all_tools:
        return WrittenSchema(dict(schema), tool.strict)
    made = subset_of(schema, profile, of_tool=True)
    if tool.strict or profile.checks_all_tools:
        _report(made, profile, f"tools.{tool.name}", report)
    if made.schema is None or not made.strict:
        return WrittenSchema(dict(schema) if made.schema is None else made.schema, False if wanted else tool.strict)
    return WrittenSchema(made.schema, True if wanted else tool.strict)


def _report(made: Subset, profile: SchemaProfile, parameter: str, report: ParameterReport) -> None:
    if made.reason:
        what = "it is sent as a wish" if made.schema is not None else "it is described to the model"
        report.omit(parameter, f"this API cannot enforce the schema, since {made.reason}; {what}, and checked here.")
    elif made.losses:
        names = ", ".join(made.losses)
        report.omit(
            parameter, f"this API does not enforce {names}; it was described to the model, and is checked here."
        )


def prompt_for(wanted: ResponseFormat) -> str:
    """The instruction for a model whose API has no form for a schema."""
    if wanted.schema is None:
        return "Answer with JSON only, without any text around it."
    return f"Answer with JSON only, valid for this JSON schema: {dumps_text(wanted.described)}"
