"""Fourteen kinds of types by every provider's own dialect, on a server that refuses what that provider refuses."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "schema"))
from kinds import KINDS

from provider_kit.model.json_text import dumps_text
from provider_kit.schema.build import to_json
from provider_kit.schema.typed import type_schema
from provider_kit.testing import FakeServer

#: Of each provider a model that takes schemas, and one that does not where there is one.
TARGETS = (
    *(
        "openai/gpt-4o",
        "openai/gpt-5-mini",
        "azure/gpt-4o",
        "anthropic/claude-sonnet-4-5",
        "anthropic/claude-3-5-haiku",
    ),
    *("gemini/gemini-2.5-flash", "gemini/gemini-3-pro", "groq/openai/gpt-oss-20b", "groq/llama-3.3-70b"),
    *("mistral/mistral-small", "cerebras/gpt-oss-120b", "xai/grok-4", "deepseek/deepseek-flash", "ollama/llama3.2"),
    *("openrouter/openai/gpt-5-mini", "qwen/qwen3-max", "vllm/any", "llamacpp/any"),
)


@pytest.fixture(scope="module")
def server():
    with FakeServer() as made:
        yield made


@pytest.fixture(scope="module")
def clients(server):
    return {target: server.client(target, max_retries=0) for target in TARGETS}


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_asked_for_and_read(server, clients, kind, target, streamed):
    """The request is accepted, and the answer read as the value."""
    tp, value = KINDS[kind]
    typed = type_schema(tp)
    wanted = typed.read(value)
    server.reply(dumps_text({"value": value} if typed.schema.wrapped else value))
    client = clients[target]
    if streamed:
        stream = client.stream("Fill it in.", output_type=tp)
        for _ in stream.partials():
            pass
        assert stream.response.parsed == wanted
    else:
        assert client.chat("Fill it in.", output_type=tp).parsed == wanted


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_an_argument_of_a_tool(server, clients, kind, target):
    """Its schema is accepted as a tool's, and the arguments arrive as values."""
    tp, value = KINDS[kind]
    seen = []

    def take(argument):
        """Take it."""
        seen.append(argument)
        return "taken"

    take.__annotations__ = {"argument": tp}
    server.reply("", tool_calls=[("take", {"argument": value})])
    server.reply("done")
    result = clients[target].run("Go.", tools=[take])
    assert result.text == "done"
    assert to_json(seen[0]) == value


@pytest.mark.parametrize("target", TARGETS)
def test_tools_and_a_typed_answer_together(server, clients, target):
    """Where a provider takes only one of them, the schema goes into the prompt."""
    tp, value = KINDS["attrs"]
    server.reply("", tool_calls=[("look", {"city": "Paris"})])
    server.reply(dumps_text(value))

    def look(city: str) -> str:
        """Look."""
        return city

    assert clients[target].run("Go.", tools=[look], output_type=tp).parsed == type_schema(tp).read(value)
