"""No field of a request is lost: each dialect writes it, reports it, or leaves the report to its base."""

import json

import pytest

from provider_kit import Message, ResponseFormat, Tool
from provider_kit.dialects import (
    AnthropicMessages,
    Dialect,
    GeminiContent,
    OllamaChat,
    OpenAIChat,
    OpenAIResponses,
    ParameterReport,
    WireRequest,
)
from provider_kit.model.chat import OPTIONAL_FIELDS
from provider_kit.model.inputs import build_request

TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
#: A call that brings one field, and the same call without it.
EXAMPLES = {
    "temperature": ({"temperature": 0.5}, {}),
    "top_p": ({"top_p": 0.5}, {}),
    "top_k": ({"top_k": 5}, {}),
    "max_tokens": ({"max_tokens": 50}, {}),
    "stop": ({"stop": ["END"]}, {}),
    "seed": ({"seed": 7}, {}),
    "presence_penalty": ({"presence_penalty": 0.5}, {}),
    "frequency_penalty": ({"frequency_penalty": 0.5}, {}),
    "tools": ({"tools": TOOLS}, {}),
    "tool_choice": ({"tools": TOOLS, "tool_choice": "required"}, {"tools": TOOLS}),
    "parallel_tool_calls": ({"tools": TOOLS, "parallel_tool_calls": False}, {"tools": TOOLS}),
    "response_format": ({"response_format": "json"}, {}),
    "reasoning": ({"reasoning": "high", "max_tokens": 50_000}, {"max_tokens": 50_000}),
    "verbosity": ({"verbosity": "low"}, {}),
    "cache": ({"cache": True}, {}),
    "cache_key": ({"cache_key": "k1"}, {}),
    "user": ({"user": "u1"}, {}),
    "metadata": ({"metadata": {"a": "b"}}, {}),
}
DIALECTS = (OpenAIChat, OpenAIResponses, AnthropicMessages, GeminiContent, OllamaChat)


def write(dialect, **options):
    """Path and body of a request, and the parameters that were reported."""
    report = ParameterReport()
    request = build_request("Hi", options, default_model="m", defaults={})
    wire = dialect(provider="acme").write_chat(request, stream=False, report=report)
    return (wire.path, wire.body), [warning.parameter for warning in report.warnings]


def test_there_is_an_example_of_every_field():
    """Of a new one too."""
    assert set(EXAMPLES) == set(OPTIONAL_FIELDS)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", OPTIONAL_FIELDS)
def test_every_field_is_written_or_reported(dialect, name):
    """Where an API caches by itself, the wish for it needs no word, and the key of a cache is only advice."""
    given, bare = EXAMPLES[name]
    (written, reported), (plain, already) = write(dialect, **given), write(dialect, **bare)
    if name not in dialect.takes:
        assert reported == [*already, name]
        assert written == plain
    elif name not in ("cache", "cache_key"):
        assert written != plain or name in reported


@pytest.mark.parametrize("name", OPTIONAL_FIELDS)
def test_what_a_dialect_forgets_is_reported(name):
    """A dialect that declares nothing loses nothing silently."""

    class Bare(Dialect):
        name = "bare"

        def build_chat(self, request, *, stream, report):
            return WireRequest("/talk", {})

    assert name in write(Bare, **EXAMPLES[name][0])[1]


def test_a_dialect_made_from_another_takes_what_it_says_itself():
    """What it takes no longer is reported, and its own writer is called."""

    class Narrow(OpenAIChat):
        takes = frozenset({"max_tokens"})

        def build_chat(self, request, *, stream, report):
            written = super().build_chat(request, stream=stream, report=report)
            return WireRequest("/narrow", written.body)

    (path, _), reported = write(Narrow, temperature=0.3, seed=4, max_tokens=5)
    assert path == "/narrow"
    assert set(reported) == {"temperature", "seed"}

    class Same(OpenAIChat):
        def build_chat(self, request, *, stream, report):
            return WireRequest("/same", {})

    assert write(Same)[0] == ("/same", {})


SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}


def ask_with(dialect, content="Hi", **options):
    report = ParameterReport()
    request = build_request([Message("user", content)], options, default_model="claude-sonnet-4-5", defaults={})
    wire = dialect(provider="acme").write_chat(request, stream=False, report=report)
    return json.dumps(wire.body), [warning.parameter for warning in report.warnings]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_strict_tool_is_written_or_reported(dialect):
    """Where arguments are not enforced, they are to be checked."""
    _, plain = ask_with(dialect, tools=[Tool("f", "", SCHEMA)])
    written, reported = ask_with(dialect, tools=[Tool("f", "", SCHEMA, strict=True)])
    assert plain == []
    assert reported == ["tools"] or "strict" in written or "VALIDATED" in written


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_description_of_a_format_is_written(dialect):
    """Beside the schema, or in it."""
    wanted = ResponseFormat("json_schema", SCHEMA, description="What was asked")
    assert "What was asked" in ask_with(dialect, response_format=wanted)[0]
