"""What each provider accepts of JSON Schema, as frozen tables.

A keyword is either enforced (it is sent), accepted without effect (it is sent, and checked here), or refused (it goes
into the description, and is checked here). Everything is checked here in any case.

Sources, state of autumn 2026: OpenAI "Structured outputs"; Anthropic "Structured outputs"; Gemini API reference,
``GenerationConfig.responseJsonSchema``; Groq, Cerebras and xAI "Structured outputs"; DeepSeek "Tool calls" (strict
mode); Mistral API reference; llama.cpp ``grammars/README.md`` (for Ollama, too); OpenRouter, Qwen "Structured outputs".
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

__all__ = ["PROFILES", "SchemaProfile"]

_BOUNDS = frozenset(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"))
_NUMBER = _BOUNDS | {"multipleOf"}
_LENGTHS = frozenset(("minLength", "maxLength"))
_STRING = _LENGTHS | {"pattern", "format"}
_ITEMS = frozenset(("minItems", "maxItems"))
#: Formats that OpenAI names; others took the list over.
_NINE = frozenset(("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"))
_TEN = _NINE | {"uri"}


@frozen(kw_only=True)
class SchemaProfile:
    """The subset of JSON Schema that one provider accepts; the defaults accept everything."""

    name: str
    #: Keywords of texts, numbers, integers and lists that may be sent.
    string: frozenset[str] = _STRING
    number: frozenset[str] = _NUMBER
    integer: frozenset[str] = field()
    array: frozenset[str] = _ITEMS | {"uniqueItems"}
    #: Keywords of maps: ``propertyNames``, ``minProperties``, ``maxProperties``.
    object: frozenset[str] = frozenset(("propertyNames", "minProperties", "maxProperties"))
    #: Formats of texts that may be sent.
    formats: frozenset[str] = _TEN
    #: Keywords that are accepted but not enforced, whatever the type.
    ignored: frozenset[str] = frozenset()
    #: Whether anything of a schema is enforced at all.
    enforced: bool = True
    #: Whether every property must be required; one that may be left out is then written as ``null``.
    all_required: bool = False
    #: Whether every object must forbid further properties; a map is then a list of its entries.
    closed: bool = False
    #: Whether a schema may be empty, for any value.
    untyped: bool = True
    prefix_items: bool = True
    #: Whether a schema may contain itself.
    recursion: bool = True
    #: Whether ``$ref`` may have a description or default beside it.
    reference_siblings: bool = True
    #: Whether ``$ref`` may stand inside ``anyOf``.
    references_in_unions: bool = True
    defaults: bool = True
    #: Whether the branches of a union must be told apart by their first token or by a property.
    decidable_unions: bool = False
    #: Whether a tool's schema must keep to the profile even where it is not strict.
    checks_all_tools: bool = False
    #: Whether a schema beyond the profile may still be sent, as a wish that is not enforced.
    takes_wishes: bool = False
    #: The greatest values of keywords, and the only ones.
    greatest: Mapping[str, int] = field(factory=dict)
    #: Most branches of one union.
    max_branches: int | None = None
    #: Limits of one schema: properties, levels, characters, values of all choices together.
    max_properties: int | None = None
    max_depth: int | None = None
    max_characters: int | None = None
    max_enum_values: int | None = None
    #: Limits of one request: properties that may be left out, unions, strict tools.
    max_optional: int | None = None
    max_unions: int | None = None
    max_strict_tools: int | None = None

    @integer.default
    def _as_number(self) -> frozenset[str]:
        return self.number

    def keywords(self, kind: str | None) -> frozenset[str]:
        """The keywords that may be sent for a type."""
        known = {"string": self.string, "number": self.number, "integer": self.integer, "array": self.array}
        return known.get(kind or "", self.object) | self.ignored


_ALL = (
    SchemaProfile(
        name="openai",
        string=frozenset(("pattern", "format")),  # lengths are accepted today, but not documented
        array=_ITEMS,
        object=frozenset(),
        formats=_NINE,
        all_required=True,
        closed=True,
        untyped=False,
        prefix_items=False,
        reference_siblings=False,
        defaults=False,
        takes_wishes=True,
        max_properties=5000,
        max_depth=10,
        max_characters=120_000,
        max_enum_values=1000,
    ),
    SchemaProfile(
        name="anthropic",
        string=frozenset(("pattern", "format")),
        number=frozenset(),
        array=frozenset(("minItems",)),
        object=frozenset(),
        formats=_TEN,
        closed=True,
        untyped=False,
        prefix_items=False,
        recursion=False,
        reference_siblings=False,
        greatest={"minItems": 1},
        max_optional=24,
        max_unions=16,
        max_strict_tools=20,
    ),
    SchemaProfile(
        name="gemini",
        string=frozenset(("format",)),
        number=frozenset(("minimum", "maximum")),
        array=_ITEMS,
        object=frozenset(),
        formats=frozenset(("date-time", "date", "time", "email")),
        ignored=_NUMBER | _STRING | {"uniqueItems"},
        reference_siblings=False,
        defaults=True,
    ),
    SchemaProfile(
        name="groq",
        array=_ITEMS,
        object=frozenset(("minProperties", "maxProperties")),
        formats=_NINE,
        all_required=True,
        closed=True,
        untyped=False,
        decidable_unions=True,
        reference_siblings=False,
        defaults=False,
        checks_all_tools=True,
        takes_wishes=True,
    ),
    SchemaProfile(
        name="mistral",
        array=_ITEMS,
        object=frozenset(),
        closed=True,
        defaults=False,
        takes_wishes=True,
    ),
    SchemaProfile(
        name="cerebras",
        string=frozenset(),
        number=frozenset(),
        array=frozenset(),
        object=frozenset(),
        formats=frozenset(),
        all_required=True,
        closed=True,
        untyped=False,
        recursion=False,
        reference_siblings=False,
        defaults=False,
        max_branches=5,
        max_properties=500,
        max_depth=10,
        max_characters=5000,
        max_enum_values=500,
    ),
    SchemaProfile(
        name="xai",
        number=_BOUNDS,
        array=_ITEMS,
        object=frozenset(("minProperties", "maxProperties")),
        formats=_TEN - {"duration", "hostname"},
        closed=True,
        untyped=False,
        recursion=False,
        reference_siblings=False,
        checks_all_tools=True,
        greatest={"minLength": 2048, "maxLength": 2048, "minItems": 256, "maxItems": 256},
    ),
    SchemaProfile(
        name="deepseek",
        string=frozenset(("pattern", "format")),
        array=frozenset(),
        object=frozenset(),
        formats=frozenset(("email", "hostname", "ipv4", "ipv6", "uuid")),
        all_required=True,
        closed=True,
        untyped=False,
        prefix_items=False,
        reference_siblings=False,
        references_in_unions=False,
        defaults=False,
    ),
    SchemaProfile(
        name="ollama",
        string=_LENGTHS | {"pattern", "format"},
        number=frozenset(),
        integer=_BOUNDS,
        array=_ITEMS,
        formats=frozenset(("date-time", "date", "time", "uuid")),
        ignored=frozenset(("uniqueItems", "propertyNames", "minProperties", "maxProperties", "multipleOf")) | _BOUNDS,
        prefix_items=False,
    ),
    SchemaProfile(
        name="openrouter",  # the route decides; what nearly all of them take
        string=frozenset(("pattern", "format")),
        array=_ITEMS,
        object=frozenset(),
        formats=_NINE,
        all_required=True,
        closed=True,
        untyped=False,
        prefix_items=False,
        reference_siblings=False,
        defaults=False,
        takes_wishes=True,
        max_properties=500,
        max_depth=10,
        max_characters=120_000,
    ),
    SchemaProfile(
        name="qwen",  # nothing is documented, nor enforced by all of its models
        array=_ITEMS,
        object=frozenset(),
        formats=_NINE,
        enforced=False,
        closed=True,
        prefix_items=False,
        reference_siblings=False,
        recursion=False,
        defaults=False,
    ),
    SchemaProfile(
        name="compatible",  # an unknown server: what llama.cpp and vLLM both take
        number=_BOUNDS,
        array=_ITEMS,
        object=frozenset(),
        formats=_TEN,
        enforced=False,
        prefix_items=False,
        takes_wishes=True,
    ),
)

#: The profiles by name.
PROFILES: Mapping[str, SchemaProfile] = {profile.name: profile for profile in _ALL}
