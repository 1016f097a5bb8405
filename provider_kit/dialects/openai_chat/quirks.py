"""What distinguishes one server of OpenAI's chat API from another, as data.

A provider states its quirks in a :class:`ChatQuirks`; a model that differs from its provider gets an
evolved copy. The dialect reads them and knows no provider's name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

from attrs import field, frozen

from provider_kit.dialects.base import ParameterReport
from provider_kit.model.tools import DEFAULT_EFFORT, Reasoning
from provider_kit.schema.profiles import PROFILES, SchemaProfile

__all__ = ["ChatQuirks", "ReasoningWriter", "clamp_effort", "effort_writer"]

#: Writes the reasoning settings into a request's body, and reports what the model does not accept.
ReasoningWriter: TypeAlias = Callable[[Reasoning, dict[str, Any], ParameterReport], None]

_ORDER = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


def clamp_effort(effort: str, allowed: tuple[str, ...]) -> str:
    """The nearest allowed effort; the lower of two equally near ones. A wish for little reasoning is none for none."""
    if effort in allowed:
        return effort
    wanted = _ORDER.index(effort)
    levels = tuple(word for word in allowed if word not in (DEFAULT_EFFORT, "none"))
    if not levels:  # it can only be switched
        return DEFAULT_EFFORT if DEFAULT_EFFORT in allowed else allowed[0]
    return min(levels, key=lambda other: (abs(_ORDER.index(other) - wanted), _ORDER.index(other)))


def budget_effort(budget: int) -> str:
    """The effort that comes nearest to a budget of thinking tokens."""
    return "low" if budget <= 4096 else "medium" if budget <= 16384 else "high"


def effort_writer(*allowed: str, field_name: str = "reasoning_effort") -> ReasoningWriter:
    """Create a writer of a single effort value; budgets become the nearest effort."""

    def write(reasoning: Reasoning, body: dict[str, Any], report: ParameterReport) -> None:
        wanted = reasoning.effort or (budget_effort(reasoning.budget_tokens) if reasoning.budget_tokens else None)
        if wanted is None:
            return
        if wanted == DEFAULT_EFFORT:
            if DEFAULT_EFFORT in allowed:
                body[field_name] = wanted
            return
        sent = clamp_effort(wanted, allowed)
        body[field_name] = sent
        if reasoning.effort and sent != wanted:
            report.omit("reasoning", f"effort {wanted!r} is not known to this model; {sent!r} was sent.")
        elif reasoning.budget_tokens and not reasoning.effort:
            report.omit("reasoning", f"this API takes no token budget; effort {sent!r} was sent.")

    return write


@frozen(kw_only=True)
class ChatQuirks:
    """How a server differs from the common chat API. The defaults suit an unknown server."""

    #: Field that limits the length of the answer.
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    #: Role under which system prompts are sent.
    system_role: Literal["system", "developer"] = "system"
    #: Whether several system messages are joined into one at the start.
    single_system: bool = False
    #: Whether consecutive messages of the same role are joined.
    join_same_role: bool = False
    #: Request parameters the server or model refuses, with the reason.
    refused: Mapping[str, str] = field(factory=dict)
    #: Of these, the ones that are accepted when the caller turns reasoning off.
    taken_without_reasoning: frozenset[str] = frozenset()
    #: Whether ``stream_options.include_usage`` is sent.
    ask_stream_usage: bool = True
    #: Whether the stream always ends with ``[DONE]``; if so, its absence means truncation.
    always_done: bool = False
    seed_field: str = "seed"
    #: Field for the end user's id, ``None`` if there is none.
    user_field: str | None = "user"
    #: Whether ``metadata`` is accepted.
    metadata: bool = True
    #: Greatest number of stop texts, ``None`` for no known limit.
    max_stop: int | None = None
    #: Modes of ``tool_choice`` that are accepted besides ``auto`` and ``none``.
    tool_choices: frozenset[str] = frozenset({"required", "named"})
    #: Whether a subset of tools can be named on the wire.
    allowed_tools: bool = False
    #: Whether ``parallel_tool_calls`` is accepted.
    parallel_tool_calls: bool = True
    #: Whether a tool's ``strict`` is accepted.
    strict_tools: bool = True
    #: The JSON Schema it accepts, for schemas made from types.
    schema: SchemaProfile = PROFILES["compatible"]
    #: Whether it enforces the schemas of tools that were made from functions.
    strict_functions: bool = False
    #: How JSON schemas are sent; ``prompt``: JSON mode and the schema in the system prompt.
    json_schema: Literal["native", "prompt"] = "native"
    #: Whether a schema may be sent together with tools, and for a stream; else it goes into the system prompt.
    json_schema_with_tools: bool = True
    json_schema_in_streams: bool = True
    #: Whether JSON mode without a schema may be sent together with tools.
    json_object_with_tools: bool = True
    #: Whether JSON mode without a schema exists.
    json_object: bool = True
    #: Whether the model's refusals have a separate field; else they are text.
    refusals: bool = False
    #: Whether ``default`` is a value of the effort.
    default_effort: bool = False
    #: Writes the reasoning settings; ``None``: they are left out.
    reasoning: ReasoningWriter | None = effort_writer("none", "minimal", "low", "medium", "high", "xhigh", "max")
    #: Field under which the assistant's reasoning is sent back; ``None``: it is not.
    reasoning_field: str | None = None
    #: Whether reasoning must be present on assistant messages once tools are used, empty if unknown.
    reasoning_with_tools: bool = False
    #: Whether thinking goes back as chunks inside ``content``.
    thinking_chunks: bool = False
    #: Whether images may be ``https`` links; else only data URLs.
    image_links: bool = True
    images: bool = True
    audio: bool = True
    #: Whether audio is written as bare base64 text instead of an object.
    bare_audio: bool = False
    #: Whether documents may be ``https`` links.
    document_links: bool = False
    #: Form of documents: OpenAI's ``file``, Mistral's ``document_url``, or none.
    documents: Literal["file", "document_url"] | None = "file"
    #: Whether videos are taken, as ``video_url``.
    videos: bool = False
    #: Whether cache marks are written as ``cache_control``.
    cache_control: bool = False
    #: Whether these may have a time to live.
    mark_lifetimes: bool = True
    #: Times to live that ``prompt_cache_options`` takes, by seconds; ``None``: the server has no such options.
    cache_lifetimes: Mapping[int, str] | None = None
    #: Whether ``prompt_cache_key`` is accepted.
    cache_key: bool = False
    #: Whether tool call ids must be nine letters and digits.
    nine_letter_ids: bool = False
    #: Whether tool messages carry the tool's name.
    tool_name: bool = False
    #: Value of ``content`` where an assistant message has only tool calls.
    empty_content: str | None = None
    #: Field for the wanted number of dimensions.
    dimensions_field: str = "dimensions"
    #: Query parameters of the list of models, where it can return more than names.
    models_query: Mapping[str, str] = field(factory=dict)
    #: Path that counts tokens, ``None`` if there is none.
    count_path: str | None = None
    #: Fields added to every request.
    body: Mapping[str, Any] = field(factory=dict)
