"""Tools the model may call, and the form of its answer.

:class:`Tool`, :class:`ToolChoice`, :class:`ResponseFormat` and :class:`Reasoning` are what the dialects read. Each has
a ``parse`` that accepts the usual forms (OpenAI's dicts, Anthropic's, plain strings) and refuses the rest with a clear
error, before anything is sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from attrs import define, evolve, field, frozen

from provider_kit.errors import InvalidRequestError
from provider_kit.model.arguments import explained

__all__ = ["Effort", "Reasoning", "ResponseFormat", "Tool", "ToolChoice"]

Effort: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]

EFFORTS: tuple[str, ...] = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
#: The model's own default; only Groq has a value for it, elsewhere nothing is sent.
DEFAULT_EFFORT = "default"


#: The characters of names that at least one provider accepts (Gemini's colons and dots, the slashes of MCP servers).
_NAME = re.compile(r"[A-Za-z0-9_.:/-]{1,128}")


def _empty_schema() -> dict[str, Any]:
    return {"type": "object", "properties": {}}


@explained(
    "Tool('weather', 'Tell the weather.', {'type': 'object', 'properties': {…}})",
    input_schema="parameters={…}",
    schema="parameters={…}",
    function="Tool.parse({…}), or its name, description and parameters",
)
@define
class Tool:
    """A function the model may ask to be called."""

    #: Letters, digits, ``_`` and ``-``; at most 64 characters to suit every provider.
    name: str
    #: When and how to use it; the model reads this.
    description: str | None = None
    #: JSON Schema of its arguments, an object.
    parameters: dict[str, Any] = field(factory=_empty_schema)
    #: Whether the provider must enforce the schema exactly.
    strict: bool | None = field(default=None, kw_only=True)
    #: Prompt cache mark after this tool, where the provider has explicit marks.
    cache: bool | str | None = field(default=None, kw_only=True)
    #: A tool the provider itself runs, in its own form; sent as it is.
    native: dict[str, Any] | None = field(default=None, kw_only=True)

    @classmethod
    def parse(cls, tool: Any) -> Tool:
        """Accept a :class:`Tool`, OpenAI's nested or flat dict, or Anthropic's dict.

        Raises:
            InvalidRequestError: It is none of these, or has no name.
        """
        if isinstance(tool, Tool):
            tool.check()
            return tool
        if not isinstance(tool, Mapping) or not tool:
            raise InvalidRequestError(
                "A tool is an empty dict."
                if tool == {}
                else f"A tool must be a Tool or a dict, not {type(tool).__name__}.",
                hint="Tool(name='get_time', description='…', parameters={'type': 'object', …}).",
            )
        made = cls._from_dict(tool)
        made.check()
        return made

    def check(self) -> None:
        """Check that a provider could accept it.

        Raises:
            InvalidRequestError: Its name is empty or impossible, or its parameters are not the schema of an object.
        """
        if self.native is not None:
            if not isinstance(self.native, Mapping) or not self.native:
                raise InvalidRequestError(f"The native form of a tool must be a dict, not {self.native!r}.")
            return
        if not isinstance(self.name, str) or not self.name:
            raise InvalidRequestError("A tool has no name.", hint="Give every tool a 'name'.")
        if not _NAME.fullmatch(self.name):
            raise InvalidRequestError(
                f"{self.name[:80]!r} cannot be the name of a tool.",
                hint="Use letters, digits, '_' and '-', at most 64 of them.",
            )
        if self.description is not None and not isinstance(self.description, str):
            raise InvalidRequestError(f"The description of the tool {self.name!r} must be a string.")
        if self.strict is not None and not isinstance(self.strict, bool):
            raise InvalidRequestError(f"strict of the tool {self.name!r} must be True or False, not {self.strict!r}.")
        schema = self.parameters
        if (
            not isinstance(schema, Mapping)
            or schema.get("type", "object") not in ("object", ["object"])
            or not isinstance(schema.get("properties", {}), Mapping)
        ):
            raise InvalidRequestError(
                f"The parameters of the tool {self.name!r} must be a JSON Schema object.",
                hint="Write them as a dict: {'type': 'object', 'properties': {…}}.",
            )

    @classmethod
    def _from_dict(cls, tool: Mapping[str, Any]) -> Tool:
        function = tool.get("function")
        if isinstance(function, Mapping):
            tool = {**function, **{k: v for k, v in tool.items() if k not in ("type", "function")}}
        elif tool.get("type", "function") not in ("function", "custom") or not (
            {"parameters", "input_schema", "description"} & tool.keys()
            or tool.get("type") == "function"
            or tool.keys() == {"name"}
        ):
            return cls(str(tool.get("name") or tool.get("type") or next(iter(tool), "")), native=dict(tool))
        elif tool.get("type") == "custom" and "input_schema" not in tool:
            return cls(str(tool.get("name") or ""), native=dict(tool))
        name = tool.get("name")
        if not isinstance(name, str) or not name:
            raise InvalidRequestError("A tool has no name.", hint="Give every tool a 'name'.")
        schema = tool.get("parameters")
        if schema is None:
            schema = tool.get("input_schema")
        if schema is not None and not isinstance(schema, Mapping):
            raise InvalidRequestError(
                f"The parameters of the tool {name!r} must be a JSON Schema object.",
                hint="Write them as a dict: {'type': 'object', 'properties': {…}}.",
            )
        return cls(
            name,
            tool.get("description"),
            dict(schema) if schema else _empty_schema(),
            strict=tool.get("strict"),
            cache=_cache_mark(tool.get("cache_control")),
        )


def _cache_mark(mark: Any) -> bool | str | None:
    if isinstance(mark, Mapping):
        return str(mark["ttl"]) if mark.get("ttl") else True
    return None


def _tuple(names: Any) -> tuple[str, ...]:
    given = () if names is None else (names,) if isinstance(names, str) else names
    found = tuple(given) if isinstance(given, Iterable) else (given,)
    if not all(isinstance(name, str) for name in found):
        raise InvalidRequestError(
            f"The names of a tool_choice must be a list of names, not {names!r}.",
            hint="ToolChoice('auto', ('f', 'g')).",
        )
    return found


@explained("ToolChoice('required', ('weather',))")
@frozen
class ToolChoice:
    """Whether and which tools the model must use."""

    #: ``auto`` (may), ``required`` (must use one), ``none`` (must not).
    mode: Literal["auto", "required", "none"] = "auto"
    #: Only these tools; with ``required`` and one name, exactly that tool.
    names: tuple[str, ...] = field(default=(), converter=_tuple)

    @classmethod
    def parse(cls, choice: Any, tools: Sequence[Tool] | None) -> ToolChoice | None:
        """Accept a mode, a tool's name, a :class:`ToolChoice`, or OpenAI's and Anthropic's dicts."""
        if choice is None or isinstance(choice, ToolChoice):
            parsed = choice
        elif isinstance(choice, str):
            parsed = _choice_from_word(choice)
        elif isinstance(choice, Mapping):
            try:
                parsed = _choice_from_dict(choice)
            except (AttributeError, TypeError) as error:
                raise _bad_choice(choice) from error
        else:
            raise _bad_choice(choice)
        if parsed is not None:
            if parsed.mode not in ("auto", "required", "none"):
                raise _bad_choice(choice)
            known = [tool.name for tool in tools or ()]
            missing = [name for name in parsed.names if name not in known]
            if missing or (parsed.mode == "required" and not known):
                raise InvalidRequestError(
                    f"tool_choice asks for {missing[0]!r}, which is not among the tools."
                    if missing
                    else "tool_choice='required' needs tools.",
                    hint=f"Tools given: {', '.join(known) or 'none'}.",
                )
        return parsed


def _choice_from_word(word: str) -> ToolChoice:
    if word == "any":
        return ToolChoice("required")
    if word in ("auto", "required", "none"):
        return ToolChoice(word)  # type: ignore[arg-type]  # checked in the line above
    return ToolChoice("required", (word,))


def _choice_from_dict(choice: Mapping[str, Any]) -> ToolChoice:
    kind = choice.get("type") or "function"
    if kind in ("function", "tool", "custom"):
        name = choice.get("name") or (choice.get(kind) or {}).get("name")
        if name:
            return ToolChoice("required", (name,))
    if kind == "allowed_tools":
        allowed = choice.get("allowed_tools") or choice
        names = [t.get("name") or (t.get("function") or {}).get("name") for t in allowed.get("tools", ())]
        return ToolChoice(allowed.get("mode", "auto"), tuple(name for name in names if name))
    if kind in ("auto", "any", "none", "required"):
        return _choice_from_word(kind)
    raise _bad_choice(choice)


def _bad_choice(choice: Any) -> InvalidRequestError:
    return InvalidRequestError(
        f"tool_choice {choice!r} is not understood.",
        hint="Use 'auto', 'required', 'none', the name of a tool, or ToolChoice(mode, names).",
    )


@explained("ResponseFormat('json_schema', {…})")
@define
class ResponseFormat:
    """The form of the answer: free text, JSON, or JSON that matches a schema."""

    kind: Literal["text", "json", "json_schema"]
    schema: dict[str, Any] | None = None
    name: str = field(default="response", kw_only=True)
    description: str | None = field(default=None, kw_only=True)
    strict: bool | None = field(default=None, kw_only=True)

    @property
    def described(self) -> dict[str, Any] | None:
        """The schema, with the description of the format where it has none of its own."""
        if self.schema is None or not self.description or "description" in self.schema:
            return self.schema
        return {**self.schema, "description": self.description}

    @classmethod
    def parse(cls, value: Any) -> ResponseFormat | None:
        """Accept ``"text"``, ``"json"``, OpenAI's dicts (chat or responses form) or a bare JSON Schema."""
        if value is None:
            return value
        if isinstance(value, ResponseFormat):
            value.check()
            return value
        made = cls._parse(value)
        made.check()
        return made

    def check(self) -> None:
        """Check that a provider could accept it.

        Raises:
            InvalidRequestError: Its kind is unknown, its schema invalid, or its name impossible.
        """
        if self.kind not in ("text", "json", "json_schema"):
            raise InvalidRequestError(
                f"A response format of the kind {self.kind!r} is not known.",
                hint="Use 'text', 'json' or 'json_schema'.",
            )
        if self.kind == "json_schema" and not isinstance(self.schema, Mapping):
            raise InvalidRequestError(
                f"The schema of a response format must be a dict, not {self.schema!r}.",
                hint="ResponseFormat('json_schema', {'type': 'object', 'properties': {…}}).",
            )
        if not isinstance(self.name, str) or not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", self.name):
            raise InvalidRequestError(
                f"{self.name!r} cannot be the name of a response format.",
                hint="Use letters, digits, '_' and '-', at most 64 of them.",
            )

    @classmethod
    def _parse(cls, value: Any) -> ResponseFormat:
        if isinstance(value, str):
            if value in ("text", "json", "json_object"):
                return cls("text" if value == "text" else "json")
        elif isinstance(value, Mapping):
            kind = value.get("type")
            if kind == "json_schema":
                spec = value.get("json_schema") or value
                if isinstance(spec, Mapping) and isinstance(spec.get("schema"), Mapping):
                    return cls(
                        "json_schema",
                        dict(spec["schema"]),
                        name=spec.get("name") or "response",
                        description=spec.get("description"),
                        strict=spec.get("strict"),
                    )
            elif kind == "json_object" and not isinstance(value.get("properties"), Mapping):
                return cls("json")
            elif kind == "text":
                return cls("text")
            elif kind in ("object", "array", "string", "number", "integer", "boolean") or value.keys() & {
                "$ref",
                "anyOf",
                "oneOf",
                "allOf",
                "enum",
                "properties",
            }:
                return cls("json_schema", dict(value), name=_schema_name(value))
        if isinstance(value, type):
            raise InvalidRequestError(
                f"response_format takes no class, but {value.__name__} is one.", hint=f"output_type={value.__name__}"
            )
        raise InvalidRequestError(
            f"response_format {value!r} is not understood.",
            hint="Use 'json', a JSON Schema dict, or {'type': 'json_schema', 'json_schema': {'name': …, 'schema': …}}.",
        )


def _schema_name(schema: Mapping[str, Any]) -> str:
    title = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in str(schema.get("title") or ""))
    return title[:64] or "response"


@explained("Reasoning(effort='high'), or Reasoning(budget_tokens=4000)")
@frozen
class Reasoning:
    """How much the model should think before it answers."""

    #: ``none`` to ``max``; mapped to the nearest step a model has.
    effort: str | None = None
    #: Tokens it may use for reasoning, where the API has such a budget.
    budget_tokens: int | None = None
    #: Whether to request the reasoning text, or a summary of it.
    show: bool | None = None

    def _is_sound(self) -> bool:
        budget = self.budget_tokens
        return (self.effort is None or self.effort in EFFORTS or self.effort == DEFAULT_EFFORT) and (
            budget is None or (type(budget) is int and budget >= 0)
        )

    def without_default(self) -> Reasoning | None:
        """The setting without ``default``, for APIs where it means to send nothing; ``None`` if nothing else is set."""
        if self.effort != DEFAULT_EFFORT:
            return self
        return None if self.budget_tokens is None and self.show is None else evolve(self, effort=None)

    @classmethod
    def parse(cls, value: Any) -> Reasoning | None:
        """Accept an effort, a number of tokens, ``True``/``False``, a dict or a :class:`Reasoning`."""
        if value is None:
            return None
        if isinstance(value, Reasoning):
            if value._is_sound():
                return value
        elif isinstance(value, bool):
            return cls("medium" if value else "none")
        elif isinstance(value, int) and value >= 0:
            return cls("none") if value == 0 else cls(budget_tokens=value)
        elif isinstance(value, str) and (value in EFFORTS or value == DEFAULT_EFFORT):
            return cls(value)
        elif isinstance(value, Mapping) and not value.keys() - {
            "effort",
            "budget_tokens",
            "max_tokens",
            "show",
            "summary",
        }:
            parsed = cls(
                value.get("effort"),
                value.get("budget_tokens") or value.get("max_tokens"),
                bool(value["summary"]) if "summary" in value else value.get("show"),
            )
            if parsed._is_sound():
                return parsed
        raise InvalidRequestError(
            f"reasoning {value!r} is not understood.",
            hint=f"Use one of {', '.join(EFFORTS)}, a number of tokens, or Reasoning(effort=…, show=True).",
        )
