"""Types become schemas, and JSON becomes values of them."""

import collections.abc
import dataclasses
import datetime
import decimal
import enum
import gc
import json
import pickle
import sys
import typing
import weakref

import attrs
import pytest
from kinds import KINDS, Address, Box, Cat, Dog, Level, Movie, Order, Person, Point, Tree

from provider_kit import InvalidRequestError
from provider_kit.schema.build import to_json
from provider_kit.schema.canonical import CanonicalSchema
from provider_kit.schema.typed import SchemaError, TypeSchema, type_schema


class Bound:
    """Metadata in the manner of annotated-types."""

    def __init__(self, **bounds):
        vars(self).update(bounds)

    def __repr__(self):
        return f"Bound({vars(self)})"


def schema_of(tp):
    made = type_schema(tp).schema
    return made["properties"]["value"] if made.wrapped else dict(made)


@pytest.mark.parametrize("kind", KINDS)
def test_a_value_becomes_an_object_of_its_type_and_back(kind):
    """Every kind of type, read and written."""
    tp, value = KINDS[kind]
    made = type_schema(tp).read(value)
    assert to_json(made) == value
    assert type_schema(tp).read({"value": value} if type_schema(tp).schema.wrapped else value) == made


@pytest.mark.parametrize(
    ("tp", "schema"),
    [
        (str, {"type": "string"}),
        (int, {"type": "integer"}),
        (float, {"type": "number"}),
        (bool, {"type": "boolean"}),
        (datetime.datetime, {"type": "string", "format": "date-time"}),
        (datetime.timedelta, {"type": "string", "format": "duration"}),
        (decimal.Decimal, {"type": "string", "format": "decimal"}),
        (typing.Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}),
        (
            typing.Literal["a", 1, None],
            {"anyOf": [{"type": "string", "enum": ["a"]}, {"type": "integer", "enum": [1]}, {"type": "null"}]},
        ),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (collections.abc.Sequence[int], {"type": "array", "items": {"type": "integer"}}),
        (set[str], {"type": "array", "items": {"type": "string"}, "uniqueItems": True}),
        (tuple[int, ...], {"type": "array", "items": {"type": "integer"}}),
        (
            tuple[int, str],
            {
                "type": "array",
                "prefixItems": [{"type": "integer"}, {"type": "string"}],
                "items": False,
                "minItems": 2,
                "maxItems": 2,
            },
        ),
        (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
        (
            dict[Level, int],
            {"type": "object", "additionalProperties": {"type": "integer"}, "propertyNames": {"enum": ["low", "high"]}},
        ),
        (int | None, {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        (typing.Optional[str], {"anyOf": [{"type": "string"}, {"type": "null"}]}),  # noqa: UP045
        (int | str, {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
        (int | typing.Any, {}),
        (
            typing.Annotated[int, Bound(ge=1, lt=9), "How many."],
            {"type": "integer", "minimum": 1, "exclusiveMaximum": 9, "description": "How many."},
        ),
        (
            typing.Annotated[str, Bound(min_length=1, max_length=5, pattern="^a")],
            {"type": "string", "minLength": 1, "maxLength": 5, "pattern": "^a"},
        ),
        (
            typing.Annotated[list[int], Bound(max_length=3)],
            {"type": "array", "items": {"type": "integer"}, "maxItems": 3},
        ),
        (typing.Annotated[int | None, Bound(ge=1)], {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]}),
        (typing.NewType("UserId", int), {"type": "integer"}),
    ],
    ids=str,
)
def test_the_schema_of_a_type(tp, schema):
    """As JSON Schema draft 2020-12 has it."""
    assert schema_of(tp) == schema


def test_a_class_says_what_its_docstring_and_its_fields_say():
    """Descriptions of the class, of its attributes, and attrs' validators as keywords."""
    schema = type_schema(Address).schema
    assert schema["description"] == "Where somebody lives."
    assert schema["properties"]["street"] == {"type": "string", "description": "Street and number."}
    assert schema["properties"]["zip_code"]["pattern"] == r"^\d{5}$"
    assert schema["required"] == ["street", "zip_code"]
    assert schema["additionalProperties"] is False
    assert type_schema(Person).schema["properties"]["age"] == {"type": "integer", "minimum": 0}


@dataclasses.dataclass
class Commented:
    #: Said above.
    above: int
    behind: int  # Said behind.
    tool: int  # type: ignore[misc]
    below: int
    """Said below."""
    plain: int = dataclasses.field(default=3, metadata={"description": "Said in the metadata."})


def test_comments_describe_fields():
    """``#:`` above, a comment behind, a string below, metadata; but not what is meant for tools."""
    properties = type_schema(Commented).schema["properties"]
    said = {name: one.get("description") for name, one in properties.items()}
    assert said == {
        "above": "Said above.",
        "behind": "Said behind.",
        "tool": None,
        "below": "Said below.",
        "plain": "Said in the metadata.",
    }
    assert properties["plain"]["default"] == 3


@pytest.mark.parametrize(
    "text",
    [
        "It is.\n\nArgs:\n    city: Name of\n        the city.\n    days (int): How many.\n\nReturns:\n    Text.",
        "It is.\n\nParameters\n----------\ncity : str\n    Name of\n    the city.\ndays\n    How many.\n",
        "It is.\n\n:param city: Name of\n    the city.\n:param int days: How many.\n:returns: Text.",
    ],
    ids=["google", "numpy", "sphinx"],
)
def test_docstrings_of_three_styles_are_read(text):
    """The text, and what it says of each argument."""
    from provider_kit.schema.docstrings import parse_docstring

    doc = parse_docstring(text)
    assert doc.summary == "It is."
    assert doc.fields == {"city": "Name of the city.", "days": "How many."}


def test_a_recursive_class_refers_to_itself():
    """And its values nest."""
    schema = type_schema(Tree).schema
    assert schema["properties"]["children"]["items"] == {"$ref": "#/$defs/Tree"}
    assert schema["$defs"].keys() == {"Tree"}
    assert type_schema(Tree).read({"value": 1, "children": [{"value": 2}]}) == Tree(1, [Tree(2)])


def test_a_generic_class_has_its_arguments_put_in():
    """Also in its bases, and with a name of its own for each argument."""
    schema = type_schema(list[Box[int] | Box[Point]]).schema
    assert {"Box_int", "Box_Point", "Point"} <= schema["$defs"].keys()
    assert type_schema(Box[Point]).read({"item": {"x": 1, "y": 2}}) == Box(Point(1.0, 2.0))
    T = typing.TypeVar("T")

    @dataclasses.dataclass
    class Base(typing.Generic[T]):
        value: T

    @dataclasses.dataclass
    class Child(Base[int]):
        more: str

    assert type_schema(Child).schema["properties"]["value"] == {"type": "integer"}


def test_the_first_branch_of_a_union_that_fits_is_taken():
    """By the properties, the tag, the format; what needs no correction before what does."""
    assert type_schema(Cat | Dog).read({"kind": "dog", "name": "x"}) == Dog("dog", "x")
    assert type_schema(int | str).read("7") == "7"
    assert type_schema(datetime.datetime | datetime.date).read("2026-01-31") == datetime.date(2026, 1, 31)
    assert type_schema(list[int] | dict[str, int]).read({"a": "1"}) == {"a": 1}

    @dataclasses.dataclass
    class A:
        x: int

    @dataclasses.dataclass
    class B:
        x: int
        y: int = 0

    assert type_schema(A | B).read({"x": 1, "y": 2}) == B(1, 2)


def test_the_branch_that_fits_as_it_is_comes_before_one_that_needs_corrections():
    """Also of two that know different properties."""

    @dataclasses.dataclass
    class Place:
        x: int

    @dataclasses.dataclass
    class Spot:
        x: int
        y: int = 0

    schema = type_schema(Place | Spot)
    assert schema.read({"x": 1}) == Place(1)
    assert schema.read({"x": 1, "y": 2}) == Spot(1, 2)
    assert schema.read({"x": "1", "y": 2}) == Spot(1, 2)
    assert schema.read({"x": "1", "y": "2"}) == Spot(1, 2)

    @dataclasses.dataclass
    class Named:
        x: int
        y: int = 0
        owner: str | None = None

    for both in (Place | Named, Named | Place):  # null for what has a default is what a strict schema demands
        assert type_schema(both).read({"x": 1, "y": None, "owner": "Ada"}) == Named(1, 0, "Ada")
        assert type_schema(both).read({"x": 1, "y": "3"}) == Named(1, 3)


class Rank(enum.IntEnum):
    LOW = 1
    HIGH = 2


def test_keys_of_maps_are_objects_of_their_type():
    """JSON has texts only."""
    assert type_schema(dict[Rank, str]).read({"1": "a"}) == {Rank.LOW: "a"}
    assert type_schema(dict[typing.Literal[1, 2], str]).read({"2": "a"}) == {2: "a"}
    assert type_schema(dict[int, str]).read({"3": "a"}) == {3: "a"}


def test_a_default_that_json_does_not_know_is_left_out():
    """NaN and infinity."""

    @dataclasses.dataclass
    class Limits:
        low: float = float("nan")
        high: float = float("inf")

    assert "default" not in json.dumps(type_schema(Limits).schema)
    assert type_schema(Limits).read({}).high == float("inf")


def test_a_type_without_an_end_is_refused():
    """Each part of it would contain a new one."""

    with pytest.raises(InvalidRequestError, match="has no end"):
        type_schema(Endless[int])


V = typing.TypeVar("V")


@dataclasses.dataclass
class Endless(typing.Generic[V]):
    value: V
    inner: "Endless[list[V]] | None" = None


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the statement is new in Python 3.12")
def test_a_type_statement_may_contain_itself():
    """As JSON does."""
    names: dict = {}
    exec(  # the statement is a syntax error before Python 3.12
        "type Json = dict[str, Json] | list[Json] | str | int | None\ntype Pair[T] = tuple[T, T]", names
    )
    value = {"a": [1, {"b": None}], "c": "x"}
    assert type_schema(names["Json"]).read(value) == value
    assert type_schema(names["Pair"][int]).read([1, 2]) == (1, 2)


def test_validators_converters_and_post_init_run():
    """The class's own checks are part of the type."""

    @attrs.define
    class Named:
        name: str = attrs.field(converter=str.strip)

        @name.validator
        def _check(self, _, value):
            if not value:
                raise ValueError("must not be blank")

    assert type_schema(Named).read({"name": " x "}) == Named("x")
    with pytest.raises(SchemaError, match="must not be blank") as caught:
        type_schema(Named).read({"name": " "})
    assert isinstance(caught.value.cause, ValueError)

    @dataclasses.dataclass
    class Span:
        start: int
        end: int

        def __post_init__(self):
            if self.end < self.start:
                raise ValueError("end lies before start")

    with pytest.raises(SchemaError) as caught:
        type_schema(list[Span]).read([{"start": 1, "end": 2}, {"start": 2, "end": 1}])
    assert caught.value.problems == ["[1]: end lies before start"]

    @dataclasses.dataclass
    class Plan:
        spans: dict[str, list[Span]]

    with pytest.raises(SchemaError) as caught:
        type_schema(Plan).read({"spans": {"a": [{"start": 2, "end": 1}]}})
    assert caught.value.problems == ["spans.a[0]: end lies before start"]


def test_private_attributes_are_named_as_in_the_constructor():
    """attrs strips the underscore; what is computed is written, and never asked for; a private cache is neither."""

    @attrs.define
    class Hidden:
        _key: str
        size: int = attrs.field(init=False, default=3)
        _cache: int = attrs.field(init=False, default=4)

    assert type_schema(Hidden).schema["properties"].keys() == {"key"}
    made = type_schema(Hidden).read({"key": "k"})
    assert made == Hidden("k")
    assert to_json(made) == {"key": "k", "size": 3}


class Plain:
    def __init__(self, x):
        self.x = x


@pytest.mark.parametrize(
    ("tp", "said"),
    [
        (Plain, "no JSON Schema for Plain"),
        (list[Plain], "no JSON Schema for Plain"),
        (print, "no JSON Schema"),
        (collections.abc.Callable[[int], int], "no JSON Schema"),
        (dict[tuple[int, int], int], "keys of a JSON object"),
        (typing.Literal[b"x"], "JSON cannot represent"),
        ("Person", "could not be looked up"),
        (complex, "no JSON Schema for complex"),
        ([int], "no JSON Schema"),
    ],
    ids=str,
)
def test_a_type_without_a_schema_is_refused_before_anything_is_sent(tp, said):
    """The message names the place, the hint what to do."""
    with pytest.raises(InvalidRequestError, match=said) as caught:
        type_schema(tp)
    assert caught.value.hint


def test_the_place_of_a_bad_field_is_named():
    """Not only the type."""

    @dataclasses.dataclass
    class Outer:
        inner: list[Plain]

    with pytest.raises(InvalidRequestError, match=r"Outer\.inner\[\]"):
        type_schema(Outer)


def test_equal_looking_choices_are_different_types():
    """``Literal[1]`` and ``Literal[True]`` are equal in Python, and so would share a cache."""
    assert type_schema(typing.Literal[1]).read(1) == 1
    assert type_schema(typing.Literal[True]).read(True) is True
    with pytest.raises(SchemaError):
        type_schema(typing.Literal[1]).read(True)


def test_a_schema_is_made_once_and_can_be_pickled():
    """And a copy knows that it is one of ours."""
    assert type_schema(Order) is type_schema(Order)
    copied = pickle.loads(pickle.dumps(type_schema(list[Order]).schema))
    assert isinstance(copied, CanonicalSchema)
    assert copied.wrapped
    assert copied == type_schema(list[Order]).schema


def test_types_made_at_run_time_are_not_kept_for_ever():
    """The cache has a bound, so a program that makes a class for each request does not grow."""
    first = dataclasses.make_dataclass("First", [("x", int)])
    type_schema(first)
    reference = weakref.ref(first)
    del first
    for number in range(300):
        type_schema(dataclasses.make_dataclass(f"Made{number}", [("x", int)]))
    gc.collect()
    assert reference() is None


def test_a_local_class_may_refer_to_itself():
    """As a string, as with a future annotation."""

    @dataclasses.dataclass
    class Node:
        next: "Node | None" = None

    assert type_schema(Node).read({"next": {"next": None}}) == Node(Node(None))


def test_an_annotation_that_cannot_be_looked_up_names_the_name():
    """With the remedy."""

    @dataclasses.dataclass
    class Broken:
        x: "Nowhere"  # noqa: F821

    with pytest.raises(InvalidRequestError, match="use the name 'Nowhere'"):
        type_schema(Broken)


def test_a_pydantic_model_makes_its_own_schema_and_values():
    """Nested in other types, and with its own validators."""
    pydantic = pytest.importorskip("pydantic")

    class Item(pydantic.BaseModel):
        """An item."""

        name: str = pydantic.Field(description="What it is.", min_length=2)
        count: int = pydantic.Field(ge=1)
        inner: typing.Optional["Item"] = None

        @pydantic.field_validator("name")
        @classmethod
        def _lower(cls, value):
            if value != value.lower():
                raise ValueError("must be in small letters")
            return value

    @dataclasses.dataclass
    class Cart:
        items: list[Item]

    schema = type_schema(Item).schema
    assert schema["properties"]["name"] == {"type": "string", "description": "What it is.", "minLength": 2}
    assert schema["properties"]["inner"]["anyOf"][0] == {"$ref": "#/$defs/Item"}
    made = type_schema(Cart).read({"items": [{"name": "ab", "count": "2", "inner": {"name": "cd", "count": 1}}]})
    assert made == Cart([Item(name="ab", count=2, inner=Item(name="cd", count=1))])
    assert to_json(made)["items"][0]["inner"]["name"] == "cd"
    with pytest.raises(SchemaError, match="small letters"):
        type_schema(Cart).read({"items": [{"name": "AB", "count": 1}]})


def test_movies_may_lack_what_is_not_required():
    """``NotRequired`` of a TypedDict, also through a future annotation."""
    schema = type_schema(Movie).schema
    assert schema["required"] == ["title"]
    assert type_schema(Movie).read({"title": "M", "year": None}) == {"title": "M"}


class Mood(enum.IntEnum):
    """The mood."""

    BAD = 1  #: not good
    GOOD = 2


def test_an_enum_tells_its_members():
    """Values are chosen, and come back as members."""
    schema = schema_of(Mood)
    assert schema == {"type": "integer", "enum": [1, 2], "description": "The mood.\n1: not good"}
    assert type_schema(Mood).read("2") is Mood.GOOD
    assert TypeSchema(list[Mood]).read([1]) == [Mood.BAD]
