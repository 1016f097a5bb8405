"""Fireworks: what a request looks like on the wire, and what its errors become."""

import pytest

from provider_kit.errors import PaymentRequiredError
from provider_kit.model.messages import Message, Text, Thinking

CHAT = {"json": {"choices": [{"message": {"content": "Hi", "reasoning_content": "Hm"}, "finish_reason": "stop"}]}}
MODEL = "accounts/fireworks/models/glm-5p3"


def test_a_request_is_openais(exchange):
    """Model names may have slashes; reasoning goes back in its field."""
    turn = Message("assistant", [Thinking("Hm"), Text("Yes")], origin="openai_chat/fireworks")
    sent = exchange(
        f"fireworks/{MODEL}",
        ["Hi", turn, "Go on"],
        answer=CHAT,
        max_tokens=5,
        top_k=3,
        reasoning="xhigh",
        metadata={"a": "b"},
    )
    assert sent.url == "https://api.fireworks.ai/inference/v1/chat/completions"
    assert sent.headers["authorization"] == "Bearer test-key-0123456789"
    assert sent.body == {
        "model": MODEL,
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Yes", "reasoning_content": "Hm"},
            {"role": "user", "content": "Go on"},
        ],
        "max_tokens": 5,
        "top_k": 3,
        "reasoning_effort": "high",
    }
    assert sorted(sent.warned) == ["metadata", "reasoning"]
    assert sent.response.thinking == "Hm"


def test_usage_comes_with_the_reason(exchange, streams):
    """In one event; calls may lack an index."""
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    events = [
        {"choices": [{"index": 0, "delta": {"reasoning_content": "Hm"}, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}], "usage": {"total_tokens": 3}},
    ]
    sent = exchange(f"fireworks/{MODEL}", "Hi", verb="stream", answer={"stream": [streams.sse(*events)]})
    assert (sent.response.thinking, sent.response.finish_reason) == ("Hm", "tool_calls")
    assert sent.response.usage.total_tokens == 3


def test_an_error_may_be_a_bare_text(exchange):
    """``{"error": "…"}``."""
    with pytest.raises(PaymentRequiredError, match="over the limit"):
        exchange("fireworks", "Hi", answer={"status": 402, "json": {"error": "over the limit"}})
