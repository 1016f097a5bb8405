"""The few rules of the demo model."""

import json

import pytest

from provider_kit.dialects.replies import Asked, Reply, pieces
from provider_kit.testing.responder import fill, respond


def ask(text, *before, model="demo", **fields):
    """What it answers to a text, after some turns."""
    fields = {"tools": {}, "called": [], **fields}
    return respond(Asked(model, [*before, ("user", text)], **fields))


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is 2 + 3?", "2 + 3 = 5"),
        ("7 x 6", "7 x 6 = 42"),
        ("-1.5 * 2", "-1.5 * 2 = -3"),
        ("9 / 4", "9 / 4 = 2.25"),
        ("5-7", "5 - 7 = -2"),
        ("1 / 0", "Nothing can be divided by zero."),
        ("My name is Ada.", "Nice to meet you, Ada!"),
        ("What is my name?", "You have not told me your name."),
        ("Tell me more", "You said: Tell me more"),
        ("", "You said: "),
    ],
)
def test_it_follows_its_rules(question, answer):
    """It adds, greets by name, and repeats what it does not know."""
    assert ask(question).text == answer


def test_it_greets():
    """And says what it is."""
    assert ask("Hello!").text.startswith("Hello! I am the demo model")


def test_it_remembers_a_name():
    """The last one that was told by the user."""
    turns = [("user", "My name is Ada."), ("assistant", "my name is Demo"), ("user", "No, my name is Grace.")]
    assert ask("What is my name?", *turns).text == "Your name is Grace."


def test_echo_repeats():
    """Without any rule."""
    assert ask("2 + 3", model="vendor/echo").text == "2 + 3"


def test_it_stops_where_it_is_told():
    """By texts, and by a number of words."""
    assert ask("one two three", stop=["two"]).text == "You said: one "
    cut = ask("one two three", max_tokens=3)
    assert (cut.text, cut.finish) == ("You said: one", "length")


def test_it_thinks_if_asked_to():
    """One sentence."""
    assert ask("Hi", wants_thinking=True).thinking
    assert not ask("Hi").thinking


TOOLS = {
    "get_weather": {"type": "object", "properties": {"city": {"type": "string"}}},
    "add": {"properties": {"a": {"type": "integer"}, "b": {"type": "number"}}},
}


def test_it_calls_the_tool_that_fits():
    """By the words of its name; otherwise it just answers."""
    (call,) = ask("Tell me the weather in Paris", tools=TOOLS).tool_calls
    assert (call.name, call.arguments, call.id) == ("get_weather", {"city": "Paris"}, "call_get_weather_1")
    assert ask("Good night", tools=TOOLS).tool_calls == []
    assert ask("the weather", tools=TOOLS, tool_choice="none").tool_calls == []


def test_it_calls_a_tool_if_it_must():
    """Any, or the one that was named."""
    assert ask("Good night", tools=TOOLS, tool_choice="required").tool_calls
    (call,) = ask("1 and 2.5", tools=TOOLS, tool_choice="add").tool_calls
    assert call.arguments == {"a": 1, "b": 2.5}


def test_it_tells_a_tools_result():
    """With the tool's name, if it is known."""
    asked = Asked("demo", [("user", "x"), ("tool", "42")], {}, ["add"])
    assert respond(asked).text == "add says: 42"
    asked = Asked("demo", [("tool", "42")], TOOLS, [])
    assert respond(asked).text == "The tool says: 42"
    assert Asked("demo", [], {}, []).last == ("user", "")


def test_it_fills_a_schema():
    """Numbers and names from the text, everything else by its type."""
    schema = {
        "$defs": {"Pet": {"type": "object", "properties": {"kind": {"enum": ["cat", "dog"]}}}},
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "age": {"type": "integer", "minimum": 18, "maximum": 99},
            "height": {"type": "number"},
            "pets": {"type": "array", "items": {"$ref": "#/$defs/Pet"}, "minItems": 2},
            "happy": {"type": "boolean"},
            "nothing": {"type": "null"},
            "version": {"const": 3},
            "unit": {"type": "string", "default": "m"},
            "either": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
            "maybe": {"type": ["string", "null"]},
            "code": {"minLength": 12, "maxLength": 12},
        },
    }
    value = fill(schema, "Her name is Ada Lovelace, 7 years, 1.75 m, with a dog, not a cat")
    assert value["name"] == "Ada"
    assert value["age"] == 18
    assert value["height"] == 1.75
    assert value["pets"] == [{"kind": "cat"}, {"kind": "cat"}]
    assert value["happy"] is False
    assert value["nothing"] is None
    assert (value["version"], value["unit"]) == (3, "m")
    assert isinstance(value["either"], int)
    assert len(value["code"]) == 12
    assert ask("x", schema=schema).text.startswith("{")


def test_it_fills_a_schema_that_contains_itself():
    """To a finite value."""
    schema = {
        "$defs": {
            "Node": {
                "type": "object",
                "properties": {
                    "value": {"type": "integer"},
                    "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
                    "next": {"$ref": "#/$defs/Node"},
                },
                "required": ["value", "children"],
            }
        },
        "$ref": "#/$defs/Node",
    }
    json.dumps(fill(schema, "3 4 5"))


def test_any_json_will_do_without_a_schema():
    """An object with the question."""
    assert json.loads(ask("Hi there", schema={}).text) == {"answer": "Hi there"}


def test_replies_count_their_tokens():
    """Words and one, unless told."""
    assert Reply("one two").output == 3
    assert Reply("one two", output_tokens=9).output == 9
    assert Reply("x", finish_reason="length").finish == "length"
    assert pieces(" a  b\n") == [" ", "a  ", "b\n"]
