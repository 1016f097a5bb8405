"""xAI: two APIs, silent reasons, and errors in a 200."""

from decimal import Decimal

import pytest

from provider_kit.errors import AuthenticationError, OverloadedError
from provider_kit.model.messages import Message

RESPONSE = {"json": {"status": "completed", "output": [{"type": "message", "content": "Hi"}]}}
CHAT = {"use_responses_api": False}
TOOL = {
    "type": "function",
    "function": {"name": "f", "parameters": {"type": "object", "properties": {}}, "strict": True},
}


def chat(message, finish="stop", **usage):
    return {"json": {"choices": [{"message": message, "finish_reason": finish}], "usage": usage}}


def test_responses_are_the_default(exchange, monkeypatch):
    """Without storage, with encrypted reasoning, and under its own names."""
    monkeypatch.setenv("OPENAI_ORG_ID", "org")
    sent = exchange(
        "xai/grok-4.3", "Hi", answer=RESPONSE, system="Be kind", max_tokens=5, user="u", reasoning="max", seed=1
    )
    assert sent.url == "https://api.x.ai/v1/responses"
    assert sent.headers["authorization"] == "Bearer test-key-0123456789"
    assert "openai-organization" not in sent.headers
    assert sent.body == {
        "model": "grok-4.3",
        "input": [{"role": "user", "content": "Hi"}],
        "instructions": "Be kind",
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "max_output_tokens": 5,
        "reasoning": {"effort": "high", "summary": "auto"},
        "user": "u",
    }
    assert sorted(sent.warned) == ["reasoning", "seed"]


@pytest.mark.parametrize("model", ["grok-4", "grok-4-fast-reasoning", "grok-3", "grok-code-fast-1"])
def test_some_models_take_no_effort(exchange, model):
    """They think as they like."""
    sent = exchange(f"xai/{model}", "Hi", answer=RESPONSE, reasoning="low")
    assert "reasoning" not in sent.body
    assert sent.warned == ["reasoning"]


def test_later_system_messages_keep_their_role(exchange):
    """There is no developer here."""
    sent = exchange("xai", ["Hi", Message.system("Be kind")], answer=RESPONSE)
    assert sent.body["input"][1] == {"role": "system", "content": "Be kind"}


def test_chat_is_still_there(exchange):
    """Without ``strict``, metadata, and what reasoning models refuse."""
    options = {"presence_penalty": 1, "frequency_penalty": 1, "stop": "x", "top_k": 1, "metadata": {"a": "b"}}
    sent = exchange(
        "xai/grok-4.3", "Hi", answer=chat({"content": "Hi"}), client=CHAT, tools=[TOOL], max_tokens=5, **options
    )
    assert sent.url == "https://api.x.ai/v1/chat/completions"
    assert sent.body.keys() == {"model", "messages", "tools", "max_tokens"}
    assert "strict" not in sent.body["tools"][0]["function"]
    assert sorted(sent.warned) == sorted([*options, "tools"])


def test_models_that_do_not_reason_take_penalties(exchange):
    """And stop texts."""
    for model in ("grok-3", "grok-4-fast-non-reasoning"):
        sent = exchange(f"xai/{model}", "Hi", answer=chat({"content": "Hi"}), client=CHAT, stop="x", presence_penalty=1)
        assert sent.warned == []


def test_an_empty_reason_with_calls_means_tool_calls(exchange, streams):
    """Whole and streamed."""
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    whole = exchange("xai", "Hi", answer=chat({"content": "", "tool_calls": [call]}, finish=""), client=CHAT)
    assert whole.response.finish_reason == "tool_calls"
    events = [{"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, **call}]}, "finish_reason": ""}]}]
    streamed = exchange("xai", "Hi", verb="stream", answer={"stream": [streams.sse(*events)]}, client=CHAT)
    assert streamed.response.finish_reason == "tool_calls"
    assert streamed.response.tool_calls[0].id == "c1"


def test_reasoning_is_counted_beside_the_completion(exchange):
    """And the price is told in ticks."""
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 45,
        "completion_tokens_details": {"reasoning_tokens": 30},
        "cost_in_usd_ticks": 25_000_000,
    }
    read = exchange("xai", "Hi", answer=chat({"content": "Hi"}, **usage), client=CHAT).response.usage
    assert (read.output_tokens, read.reasoning_tokens, read.completion_tokens) == (5, 30, 35)
    assert read.cost == Decimal("0.0025")


def test_a_wrong_key_is_a_400(exchange):
    """With a text in place of an object."""
    body = {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: xx"}
    with pytest.raises(AuthenticationError, match="Incorrect API key"):
        exchange("xai", "Hi", answer={"status": 400, "json": body})


@pytest.mark.parametrize("verb", ["chat", "stream"])
@pytest.mark.parametrize("client", [CHAT, {}])
def test_an_error_in_a_200_is_an_error(exchange, verb, client):
    """JSON in place of a stream too; a service that is away is worth another try."""
    body = {"code": "The service is currently unavailable", "error": "Please come back"}
    with pytest.raises(OverloadedError, match="come back") as caught:
        exchange("xai", "Hi", verb=verb, answer={"json": body}, client=client)
    assert caught.value.retryable
