"""LM Studio: what a request looks like on the wire of one's own machine."""

import pytest

from provider_kit.errors import BadRequestError, InvalidRequestError, ProviderKitError
from provider_kit.model.media import Image
from provider_kit.model.messages import Message, Text

CHAT = {"json": {"choices": [{"message": {"content": "Hi", "reasoning": "Hm"}, "finish_reason": "stop"}]}}
SCHEMA = {"type": "object", "properties": {}}
TOOLS = [{"type": "function", "function": {"name": name, "parameters": SCHEMA}} for name in "fg"]


def test_no_key_is_needed(exchange):
    """And none is sent; a token may be."""
    sent = exchange("lmstudio/qwen3", "Hi", answer=CHAT, client={"api_key": None}, max_tokens=5)
    assert sent.url == "http://127.0.0.1:1234/v1/chat/completions"
    assert "authorization" not in sent.headers
    assert sent.body == {"model": "qwen3", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5}
    assert exchange("lmstudio/qwen3", "Hi", answer=CHAT).headers["authorization"] == "Bearer test-key-0123456789"
    assert sent.response.thinking == "Hm"


def test_a_tool_cannot_be_named(exchange):
    """Any of them is required instead, with a warning."""
    sent = exchange("lmstudio/m", "Hi", answer=CHAT, tools=TOOLS, tool_choice="f")
    assert (sent.body["tool_choice"], sent.warned) == ("required", ["tool_choice"])


def test_json_without_a_schema_is_asked_for_in_words(exchange):
    """With one it is native."""
    sent = exchange("lmstudio/m", "Hi", answer=CHAT, response_format="json")
    assert "response_format" not in sent.body
    assert sent.warned == ["response_format"]
    assert (
        exchange("lmstudio/m", "Hi", answer=CHAT, response_format=SCHEMA).body["response_format"]["type"]
        == "json_schema"
    )


def test_templates_see_one_system_message_and_alternating_turns(exchange):
    """Which many of them demand."""
    conversation = [Message.user("a"), Message.user("b"), Message.system("c")]
    sent = exchange("lmstudio/m", conversation, answer=CHAT, system="d")
    assert sent.body["messages"] == [{"role": "system", "content": "d\n\nc"}, {"role": "user", "content": "a\n\nb"}]


def test_pictures_travel_as_data(exchange):
    """It takes no ids of uploads."""
    with pytest.raises(InvalidRequestError, match="only as data"):
        exchange("lmstudio/m", [Message("user", [Text("a"), Image(file_id="f1")])], answer=CHAT)


def test_errors_are_texts_or_events(exchange, streams):
    """A named event in a stream, a bare text else."""
    with pytest.raises(BadRequestError, match="No model loaded"):
        exchange("lmstudio/m", "Hi", answer={"status": 400, "json": {"error": "No model loaded"}})
    named = 'event: error\ndata: {"error": {"message": "crashed"}}\n'
    with pytest.raises(ProviderKitError, match="crashed"):
        exchange("lmstudio/m", "Hi", verb="stream", answer={"stream": [streams.sse(named, done=False)]})
