"""Tools, choices, formats and reasoning, in the forms users have at hand."""

import pytest

from provider_kit.errors import InvalidRequestError
from provider_kit.model.tools import EFFORTS, Reasoning, ResponseFormat, Tool, ToolChoice

SCHEMA = {"type": "object", "properties": {"tz": {"type": "string"}}}
EMPTY = {"type": "object", "properties": {}}


@pytest.mark.parametrize(
    ("given", "tool"),
    [
        (Tool("f"), Tool("f", None, EMPTY)),
        (
            {"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA, "strict": True}},
            Tool("f", "d", SCHEMA, strict=True),
        ),
        ({"type": "function", "name": "f", "parameters": SCHEMA}, Tool("f", None, SCHEMA)),
        ({"type": "function", "name": "f"}, Tool("f")),
        ({"name": "f", "description": "d", "input_schema": SCHEMA}, Tool("f", "d", SCHEMA)),
        (
            {"name": "f", "input_schema": SCHEMA, "cache_control": {"type": "ephemeral"}},
            Tool("f", None, SCHEMA, cache=True),
        ),
        (
            {"type": "function", "function": {"name": "f"}, "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            Tool("f", cache="1h"),
        ),
        ({"type": "custom", "name": "f", "input_schema": SCHEMA}, Tool("f", None, SCHEMA)),
        ({"type": "custom", "name": "f"}, Tool("f", native={"type": "custom", "name": "f"})),
        (
            {"type": "custom", "name": "f", "description": "d"},
            Tool("f", native={"type": "custom", "name": "f", "description": "d"}),
        ),
        ({"type": "web_search"}, Tool("web_search", native={"type": "web_search"})),
        ({"google_search": {}}, Tool("google_search", native={"google_search": {}})),
    ],
)
def test_tools_are_taken_in_every_known_form(given, tool):
    """OpenAI's nested and flat forms, Anthropic's, and tools the provider itself runs."""
    assert Tool.parse(given) == tool


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("f", "must be a Tool or a dict"),
        ({"type": "function", "function": {"description": "d"}}, "no name"),
        ({"type": "function", "function": {"name": 7}}, "no name"),
        ({"type": "function", "name": "f", "parameters": "string"}, "JSON Schema object"),
    ],
)
def test_tools_that_are_none_are_refused(given, words):
    """With what to write instead."""
    with pytest.raises(InvalidRequestError, match=words) as caught:
        Tool.parse(given)
    assert caught.value.hint


TOOLS = [Tool("f"), Tool("g")]


@pytest.mark.parametrize(
    ("given", "choice"),
    [
        (None, None),
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ("any", ToolChoice("required")),
        ("f", ToolChoice("required", ("f",))),
        (ToolChoice("auto", ["f"]), ToolChoice("auto", ("f",))),
        ({"type": "function", "function": {"name": "f"}}, ToolChoice("required", ("f",))),
        ({"type": "function", "name": "f"}, ToolChoice("required", ("f",))),
        ({"type": "tool", "name": "g"}, ToolChoice("required", ("g",))),
        ({"type": "any"}, ToolChoice("required")),
        ({"type": "auto"}, ToolChoice("auto")),
        ({"type": "none"}, ToolChoice("none")),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"function": {"name": "f"}}]}},
            ToolChoice("required", ("f",)),
        ),
        ({"type": "allowed_tools", "tools": [{"name": "f"}, {"name": "g"}, {}]}, ToolChoice("auto", ("f", "g"))),
    ],
)
def test_choices_are_taken_in_every_known_form(given, choice):
    """Words, names, OpenAI's dicts and Anthropic's."""
    assert ToolChoice.parse(given, TOOLS) == choice


@pytest.mark.parametrize(
    "given",
    [
        7,
        {"type": "function"},
        {"type": "unheard"},
        {},
        {"type": "function", "function": "f"},
        {"type": "allowed_tools", "tools": ["f"]},
        {"type": "allowed_tools", "tools": 7},
    ],
)
def test_choices_that_are_none_are_refused(given):
    """A malformed dict is the caller's error, not a crash."""
    with pytest.raises(InvalidRequestError, match="not understood"):
        ToolChoice.parse(given, TOOLS)


@pytest.mark.parametrize(("given", "tools"), [("h", TOOLS), ("required", None), ("required", [])])
def test_a_choice_must_fit_the_tools(given, tools):
    """A tool that is not there cannot be asked for."""
    with pytest.raises(InvalidRequestError, match="tool_choice") as caught:
        ToolChoice.parse(given, tools)
    assert "Tools given" in caught.value.hint


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (None, None),
        ("text", ResponseFormat("text")),
        ("json", ResponseFormat("json")),
        ("json_object", ResponseFormat("json")),
        ({"type": "text"}, ResponseFormat("text")),
        ({"type": "json_object"}, ResponseFormat("json")),
        (ResponseFormat("json"), ResponseFormat("json")),
        (SCHEMA, ResponseFormat("json_schema", SCHEMA)),
        (
            {**SCHEMA, "title": "My time!"},
            ResponseFormat("json_schema", {**SCHEMA, "title": "My time!"}, name="My_time_"),
        ),
        ({"$ref": "#/x"}, ResponseFormat("json_schema", {"$ref": "#/x"})),
        ({"anyOf": []}, ResponseFormat("json_schema", {"anyOf": []})),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True, "description": "d"}},
            ResponseFormat("json_schema", SCHEMA, name="n", strict=True, description="d"),
        ),
        ({"type": "json_schema", "schema": SCHEMA}, ResponseFormat("json_schema", SCHEMA)),
    ],
)
def test_formats_are_taken_in_every_known_form(given, wanted):
    """Words, OpenAI's two dicts, or a bare schema."""
    assert ResponseFormat.parse(given) == wanted


@pytest.mark.parametrize(
    "given", ["xml", 7, {"type": "json_schema"}, {"type": "json_schema", "json_schema": "x"}, {"kind": "json"}, {}]
)
def test_formats_that_are_none_are_refused(given):
    """With the forms that are taken."""
    with pytest.raises(InvalidRequestError, match="response_format"):
        ResponseFormat.parse(given)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (None, None),
        (True, Reasoning("medium")),
        (False, Reasoning("none")),
        (0, Reasoning("none")),
        (2048, Reasoning(budget_tokens=2048)),
        *((effort, Reasoning(effort)) for effort in EFFORTS),
        (Reasoning("low", show=True), Reasoning("low", show=True)),
        ({"effort": "high", "summary": "auto"}, Reasoning("high", show=True)),
        ({"max_tokens": 100, "show": False}, Reasoning(budget_tokens=100, show=False)),
        ({"budget_tokens": 100}, Reasoning(budget_tokens=100)),
        ({}, Reasoning()),
    ],
)
def test_reasoning_is_taken_in_every_known_form(given, wanted):
    """Efforts, budgets, yes and no, and dicts."""
    assert Reasoning.parse(given) == wanted


@pytest.mark.parametrize(
    "given",
    [
        "banana",
        -1,
        1.5,
        {"depth": 1},
        {"effort": "banana"},
        {"budget_tokens": "many"},
        Reasoning("banana"),
        Reasoning(None, -5),
    ],
)
def test_reasoning_that_is_none_is_refused(given):
    """An unknown effort is told before anything is sent."""
    with pytest.raises(InvalidRequestError, match="reasoning"):
        Reasoning.parse(given)
