"""Values are corrected where only the writing differs, and every problem is told with its place."""

import dataclasses
import typing

import pytest
from kinds import Person

from provider_kit.schema.check import compile_check
from provider_kit.schema.problems import EXACT, readable
from provider_kit.schema.typed import SchemaError, type_schema


@pytest.mark.parametrize(
    ("tp", "written", "read"),
    [
        (int, "7", 7),
        (int, " -12 ", -12),
        (int, 3.0, 3),
        (float, "1.5", 1.5),
        (float, 3, 3.0),
        (bool, "true", True),
        (bool, "False", False),
        (str, 7, "7"),
        (str, 1.5, "1.5"),
        (list[int], "[1, 2]", [1, 2]),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        (dict[str, int], [{"key": "a", "value": 1}], {"a": 1}),
        (tuple[int, str], {"item_1": 1, "item_2": "x"}, (1, "x")),
        (typing.Literal["red"], "RED", "red"),
        (int | None, "null", None),
        (set[int], [1, 1, 2], {1, 2}),
        (Person, {"name": "x", "age": "7", "address": None, "more": 1}, Person("x", 7)),
    ],
    ids=str,
)
def test_what_is_only_written_differently_is_corrected(tp, written, read):
    """It costs nothing, and another request would."""
    made = type_schema(tp).read(written)
    assert made == read
    assert type(made) is type(read)


@pytest.mark.parametrize(
    ("tp", "written", "said"),
    [
        (int, "seven", 'must be a whole number, not "seven"'),
        (int, 1.5, "must be a whole number, not 1.5"),
        (int, True, "must be a whole number, not true"),
        (str, True, "must be a text, not true"),
        (bool, 1, "must be true or false, not 1"),
        (float, float("nan"), "must be a finite number"),
        (typing.Literal["a", "b"], "c", 'must be one of "a", "b", not "c"'),
        (list[int], [1, "x"], '[1]: must be a whole number, not "x"'),
        (dict[str, int], {"a": []}, "a: must be a whole number, not a list"),
        (Person, {"name": "x"}, "age: is missing"),
        (Person, {"nmae": "x", "age": 1}, "name: is missing; you wrote 'nmae'"),
        (Person, {"name": "x", "age": -1}, "age: must be at least 0, not -1"),
        (Person, {"name": "x", "age": 1, "address": {"street": "s", "zip_code": "1"}}, "address.zip_code: must match"),
        (Person, "hello", "must be an object"),
        (int | str, [], "must be a whole number or a text, not a list"),
    ],
    ids=str,
)
def test_a_problem_names_its_place_and_what_is_wanted(tp, written, said):
    """In words that a model can act on."""
    with pytest.raises(SchemaError) as caught:
        type_schema(tp).read(written)
    assert any(said in problem for problem in caught.value.problems), caught.value.problems


def test_all_problems_are_told_at_once_but_not_without_end():
    """One request mends them all; a thousand are not read by anybody."""
    with pytest.raises(SchemaError) as caught:
        type_schema(list[int]).read(["x"] * 1000)
    assert len(caught.value.problems) == 20


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": ["string", "null"]}, ["a", None], [1]),
        ({"type": "integer", "multipleOf": 5}, [10], [12]),
        ({"type": "number", "multipleOf": 0.1}, [0.3, 1], [0.25]),
        ({"type": "array", "minItems": 1, "maxItems": 2}, [[1]], [[], [1, 2, 3]]),
        ({"type": "array", "uniqueItems": True}, [[1, True]], [[1, 1]]),
        ({"type": "object", "minProperties": 1}, [{"a": 1}], [{}]),
        ({"const": 3}, [3], [4, True]),
        ({"oneOf": [{"type": "integer"}, {"type": "string"}]}, [1, "a"], [[]]),
        ({"allOf": [{"type": "integer"}, {"minimum": 3, "type": "integer"}]}, [3], [2, "x"]),
        ({"enum": [1, "a", None]}, [1, "a", None], [2, True]),
        ({"properties": {"a": {"type": "integer"}}, "required": ["a"]}, [{"a": 1, "b": 2}], [{}, 3]),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"type": "integer"}}}, [1], ["a"]),
        ({}, [1, None, {}], []),
        ({"not-a-keyword": 1}, [1], []),
    ],
    ids=str,
)
def test_schemas_that_users_write_are_checked_too(schema, good, bad):
    """The keywords of tools' own schemas; what is not known is ignored."""
    check = compile_check(schema)
    for value in good:
        problems = []
        check(value, problems, EXACT)
        assert problems == []
    for value in bad:
        problems = []
        check(value, problems, EXACT)
        assert problems, value
        assert all("\0" not in said for said in readable(problems))


def test_a_value_nested_without_end_is_a_problem_and_no_crash():
    """A model, or an attacker, may write it."""

    @dataclasses.dataclass
    class Deep:
        inner: "Deep | None" = None

    text = '{"inner":' * 5000 + "null" + "}" * 5000
    with pytest.raises(SchemaError):
        type_schema(Deep).read_text(text)
