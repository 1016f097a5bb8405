"""What is sent to each provider, what it loses, and how it comes back."""

import dataclasses
import typing

import pytest
from kinds import KINDS, Cat, Dog, Limits, Movie, Person, Tree

from provider_kit.schema.profiles import PROFILES
from provider_kit.schema.refusals import refusal_of
from provider_kit.schema.subset import subset_of
from provider_kit.schema.typed import type_schema


def made(tp, name):
    return subset_of(type_schema(tp).schema, PROFILES[name])


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_subset_is_accepted_or_there_is_a_reason(kind, name):
    """Every kind of type by every profile."""
    subset = made(KINDS[kind][0], name)
    if subset.reason:
        assert not subset.strict
    else:
        assert refusal_of(subset.schema, PROFILES[name]) is None


def test_what_may_be_left_out_becomes_null_where_everything_is_required():
    """And null is read as left out."""
    schema = made(Movie, "openai").schema
    assert schema["required"] == ["title", "year"]
    assert schema["properties"]["year"] == {"anyOf": [{"type": "integer"}, {"type": "null"}]}
    assert type_schema(Movie).read({"title": "M", "year": None}) == {"title": "M"}


def test_maps_and_tuples_have_a_form_without_free_keys():
    """And are read back from it."""
    schema = made(Limits, "openai").schema
    assert schema["properties"]["codes"]["type"] == "array"
    assert schema["properties"]["pair"]["properties"].keys() == {"item_1", "item_2"}
    written = {
        "size": 3,
        "codes": [{"key": "a", "value": 1}],
        "pair": {"item_1": "x", "item_2": 2},
        "path": "/x",
    }
    assert type_schema(Limits).read(written) == type_schema(Limits).read(KINDS["maps and tuples"][1] | {"path": "/x"})


def test_what_is_not_enforced_is_told_to_the_model_and_to_the_caller():
    """In the description of the field, and as a loss."""
    subset = made(Person, "anthropic")
    assert subset.schema["properties"]["age"] == {"type": "integer", "description": "(at least 0)"}
    assert "age: minimum" in subset.losses
    assert made(Person, "openai").losses == ()


@dataclasses.dataclass
class Defaults:
    days: int = 3


def test_a_default_is_described_where_it_is_no_keyword():
    """So that the model knows what null means."""
    assert made(Defaults, "openai").schema["properties"]["days"] == {
        "anyOf": [{"type": "integer"}, {"type": "null"}],
        "description": "(default: 3)",
    }
    assert made(Defaults, "xai").schema["properties"]["days"]["default"] == 3


@pytest.mark.parametrize("name", ["anthropic", "cerebras", "xai"])
def test_a_class_that_contains_itself_is_not_enforced_everywhere(name):
    """The reason is told; the schema is then described to the model."""
    subset = made(Tree, name)
    assert subset.schema is None
    assert "Tree contains itself" in subset.reason


def test_an_undecidable_union_is_sent_to_groq_as_a_wish():
    """Its validator wants one property that tells the branches apart."""
    assert made(Cat | Dog, "groq").strict

    @dataclasses.dataclass
    class A:
        x: int
        y: int

    @dataclasses.dataclass
    class B:
        x: int

    subset = made(A | B, "groq")
    assert not subset.strict
    assert subset.schema is not None
    assert "told apart" in subset.reason


def test_limits_of_a_provider_are_reasons():
    """Characters, branches, choices, unions."""
    wide = dataclasses.make_dataclass("Wide", [(f"name_of_a_field_{n}", int) for n in range(300)])
    assert "characters" in made(wide, "cerebras").reason
    six = [dataclasses.make_dataclass(f"C{n}", [("kind", typing.Literal[f"c{n}"])]) for n in range(6)]
    assert "branches" in made(typing.Union[tuple(six)], "cerebras").reason  # noqa: UP007
    many = dataclasses.make_dataclass("Many", [(f"a{n}", int, None) for n in range(25)])
    assert "left out" in made(many, "anthropic").reason
    assert made(many, "openai").strict


def test_any_value_cannot_be_enforced():
    """Where every part must have a type."""
    subset = made(dict[str, typing.Any], "openai")
    assert not subset.strict
    assert subset.schema is not None
    assert made(dict[str, typing.Any], "anthropic").schema is None


def test_a_subset_is_compiled_once_for_each_type_and_profile():
    """It is kept with the schema."""
    schema = type_schema(Person).schema
    assert subset_of(schema, PROFILES["openai"]) is subset_of(schema, PROFILES["openai"])
    assert subset_of(schema, PROFILES["openai"]) is not subset_of(schema, PROFILES["groq"])


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("openai", {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}),
        (
            "openai",
            {"type": "object", "properties": {"a": {"type": "string"}}, "required": [], "additionalProperties": False},
        ),
        ("openai", {"type": "array", "items": {"type": "string"}}),
        ("openai", {"type": "object", "properties": {"a": {}}, "required": ["a"], "additionalProperties": False}),
        (
            "openai",
            {
                "type": "object",
                "properties": {"a": {"type": "string", "format": "uri"}},
                "required": ["a"],
                "additionalProperties": False,
            },
        ),
        (
            "anthropic",
            {"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}, "additionalProperties": False},
        ),
        (
            "anthropic",
            {
                "type": "object",
                "properties": {"a": {"type": "array", "items": {"type": "string"}, "minItems": 2}},
                "additionalProperties": False,
            },
        ),
        (
            "cerebras",
            {
                "type": "object",
                "properties": {"a": {"type": ["string", "null"]}},
                "required": ["a"],
                "additionalProperties": False,
            },
        ),
        (
            "deepseek",
            {
                "type": "object",
                "properties": {"a": {"anyOf": [{"$ref": "#/$defs/x"}]}},
                "required": ["a"],
                "additionalProperties": False,
                "$defs": {"x": {"type": "string"}},
            },
        ),
        (
            "xai",
            {
                "type": "object",
                "properties": {"a": {"type": "string", "maxLength": 9999}},
                "additionalProperties": False,
            },
        ),
    ],
)
def test_what_a_provider_refuses_is_refused(name, schema):
    """The examiner is no rubber stamp."""
    assert refusal_of(schema, PROFILES[name])
