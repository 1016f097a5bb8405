"""Answers that are not what they claim to be, and callers who stop at the last chunk."""

import pytest

from provider_kit import Client, InvalidResponseError, Message, ScriptedTransport, Text, Tool, ToolCall, ToolResult
from provider_kit.dialects.openai_chat import OpenAIChat
from provider_kit.providers import registry
from provider_kit.providers.base import Provider

NDJSON = (
    b'{"model":"m","message":{"role":"assistant","content":"Hel"},"done":false}\n'
    b'{"model":"m","message":{"role":"assistant","content":"lo"},"done":false}\n'
    b'{"model":"m","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop"}\n'
)
SSE = (
    b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"Hello"}}]}\n\n'
    b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)


@pytest.mark.parametrize(("target", "stream"), [("ollama/m", NDJSON), ("openai/gpt-4o", SSE)])
@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "text/html"])
def test_a_stream_with_the_wrong_content_type_is_still_a_stream(call, target, stream, content_type):
    """Some proxies call every body JSON."""
    transport = ScriptedTransport([{"stream": [stream], "headers": {"content-type": content_type}}])
    client = Client(target, api_key="sk-0123456789abcdef", transport=transport)
    chunks, response = call.stream(client, "Hi")
    assert "".join(chunk.text for chunk in chunks) == response.text == "Hello"
    assert response.finish_reason == "stop"


@pytest.mark.parametrize(
    "content_type", ["application/jsonl", "application/json-seq", "text/event-stream", "text/plain"]
)
def test_a_content_type_that_only_begins_like_json_is_read_as_a_stream(call, content_type):
    """``application/jsonl`` is not ``application/json``."""
    transport = ScriptedTransport([{"stream": [NDJSON[:50], NDJSON[50:]], "headers": {"content-type": content_type}}])
    _, response = call.stream(Client("ollama/m", transport=transport), "Hi")
    assert response.text == "Hello"


@pytest.mark.parametrize("body", [SSE[:-20], b"<html>", NDJSON[:100], b"{"])
def test_half_a_stream_that_calls_itself_json_is_an_error(call, body):
    """It never looks complete."""
    transport = ScriptedTransport([{"stream": [body], "headers": {"content-type": "application/json"}}])
    with pytest.raises(InvalidResponseError):
        call.stream(Client("openai/gpt-4o", api_key="sk-0123456789abcdef", transport=transport), "Hi")


class _Stumbling(OpenAIChat):
    """A dialect of somebody's own, which expects too much."""

    def parse_chat(self, payload):
        return payload["answer"]["text"]

    def stream_decoder(self):
        decoder = super().stream_decoder()

        class Wrapped:
            complete = False
            response = staticmethod(decoder.response)

            def feed(self, data):
                yield from data["chunks"]

            def finish(self):
                return []

        return Wrapped()


def test_a_dialect_that_stumbles_gives_a_typed_error(call):
    """No KeyError or IndexError reaches the caller."""
    registry.register_provider(
        Provider(name="stumbling", base_url="https://x.example/v1", key_required=False, dialect=_Stumbling)
    )
    try:
        whole = ScriptedTransport([{"json": {"answer": {}}}])
        with pytest.raises(InvalidResponseError, match="cannot be read: KeyError"):
            call.chat(Client("stumbling/m", transport=whole), "Hi")
        streamed = ScriptedTransport([{"stream": [SSE]}])
        with pytest.raises(InvalidResponseError, match="cannot be read: TypeError"):
            call.stream(Client("stumbling/m", transport=streamed), "Hi")
        assert streamed.open_streams == 0
    finally:
        registry._registered.pop("stumbling")


def test_leaving_at_the_last_chunk_keeps_the_connection(call, fake_server):
    """``if chunk.done: break`` costs no new connection."""
    import asyncio

    with fake_server.client() as client:
        if call.name == "blocking":
            for _ in range(4):
                for chunk in client.stream("Hello"):
                    if chunk.done:
                        break
        else:

            async def run():
                for _ in range(4):
                    async with client.astream("Hello") as stream:
                        async for chunk in stream:
                            if chunk.done:
                                break
                await client.aclose()

            asyncio.run(run())
    assert fake_server.connections == 1


@pytest.mark.parametrize("target", ["openai/gpt-4o", "openai/gpt-5-mini", "anthropic/claude-sonnet-4-5", "ollama/m"])
def test_tool_results_in_a_user_message_are_sent_as_results(call, fake_server, target):
    """Anthropic's habit works everywhere: the results go first, the rest of the message follows."""
    client = fake_server.client(target)
    conversation = [
        Message.user("Weather in Rome?"),
        Message("assistant", [ToolCall("call_1", "get_weather", {"city": "Rome"})]),
        Message("user", [Text("Go on."), ToolResult("call_1", "sunny")]),
    ]
    call.chat(client, conversation, tools=[Tool("get_weather")])
    turns = fake_server.requests[-1].asked.turns
    assert turns[-2:] == [("tool", "sunny"), ("user", "Go on.")]


def test_a_cached_tool_is_marked_where_marks_exist(call):
    """Qwen and OpenRouter take ``cache_control`` on tools."""
    answer = {"json": {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}}
    for target, marked in (("qwen/x", True), ("groq/x", False)):
        transport = ScriptedTransport([answer])
        client = Client(target, api_key="sk-0123456789abcdef", transport=transport)
        call.chat(client, "Hi", tools=[Tool("add", cache=True)])
        assert (b"cache_control" in transport.requests[0].body) is marked
