"""The fake server refuses the schemas that the provider it stands for refuses."""

import pytest

from provider_kit import BadRequestError, Tool
from provider_kit.testing import FakeServer

OPEN = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}


@pytest.fixture(scope="module")
def server():
    with FakeServer() as made:
        yield made


def strict(schema):
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}}


@pytest.mark.parametrize("target", ["openai/gpt-4o", "openai/gpt-5-mini", "azure/x", "groq/gpt-oss-20b", "cerebras/x"])
def test_an_open_object_is_refused_where_it_must_be_closed(world, server, target):
    """As a schema of the answer, and as a strict tool."""
    client = server.client(target, max_retries=0)
    with pytest.raises(BadRequestError, match="additionalProperties"):
        world(client, "chat", "Hello", response_format=strict(OPEN))
    with pytest.raises(BadRequestError, match="additionalProperties"):
        world(client, "chat", "Hello", tools=[Tool("f", None, OPEN, strict=True)])
    if not target.startswith("groq"):  # which checks every tool
        assert world(client, "chat", "Hello", tools=[Tool("f", None, OPEN)]).text


def test_what_one_takes_another_refuses(world, server):
    """By the path, which names the provider."""
    schema = {**OPEN, "properties": {"a": {"type": "string", "pattern": "^a"}}, "additionalProperties": False}
    assert world(server.client("openai/gpt-4o"), "chat", "Hello", response_format=strict(schema)).text
    with pytest.raises(BadRequestError, match="'pattern' is not permitted"):
        world(server.client("cerebras/x", max_retries=0), "chat", "Hello", response_format=strict(schema))


@pytest.mark.parametrize("target", ["anthropic/claude-sonnet-4-5", "openai/gpt-4o", "ollama/x"])
def test_a_tool_is_an_object_everywhere(world, server, target):
    """No union at its root."""
    tool = Tool("f", None, {"type": "object", "properties": {}, "anyOf": [OPEN]})
    with pytest.raises(BadRequestError, match="root must be an object"):
        world(server.client(target, max_retries=0), "chat", "Hello", tools=[tool])


def test_too_many_strict_tools_are_refused(world, server):
    """Anthropic takes twenty."""
    closed = {**OPEN, "additionalProperties": False}
    tools = [Tool(f"f{n}", None, closed, strict=True) for n in range(21)]
    client = server.client("anthropic/claude-sonnet-4-5", max_retries=0)
    assert world(client, "chat", "Hello", tools=tools[:20]).text
    with pytest.raises(BadRequestError, match="too many strict tools"):
        world(client, "chat", "Hello", tools=tools)


def test_schemas_together_with_what_excludes_them(world, server):
    """Tools at Cerebras; written by hand, since the client never does so itself."""
    closed = {**OPEN, "additionalProperties": False}
    client = server.client("cerebras/x", max_retries=0)
    tools = [{"type": "function", "function": {"name": "f", "parameters": closed}}]
    with pytest.raises(BadRequestError, match="incompatible"):
        world(client, "chat", "Hello", extra_body={"response_format": strict(closed), "tools": tools})


def test_the_checks_can_be_switched_off(world):
    """For a schema that a provider takes although its documentation does not say so."""
    with FakeServer(check_schemas=False) as server:
        assert world(server.client("openai/gpt-4o"), "chat", "Hello", response_format=strict(OPEN)).text
