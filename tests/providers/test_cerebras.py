"""Cerebras: what a request looks like on the wire, and what its errors become."""

import pytest

from provider_kit.errors import ContextLengthExceededError, InvalidRequestError, RateLimitError
from provider_kit.model.media import Document
from provider_kit.model.messages import Message, Text, Thinking, ToolCall

CHAT = {"json": {"choices": [{"message": {"content": "Hi", "reasoning": "Hm"}, "finish_reason": "stop"}]}}
TOOL = {
    "type": "function",
    "function": {"name": "f", "parameters": {"type": "object", "properties": {}}, "strict": True},
}


def test_a_request_is_openais_with_its_own_names(exchange):
    """``max_completion_tokens``, efforts, no penalties and no parallel field."""
    sent = exchange(
        "cerebras/gpt-oss-120b",
        "Hi",
        answer=CHAT,
        system="Be kind",
        max_tokens=5,
        tools=[TOOL],
        tool_choice="required",
        parallel_tool_calls=False,
        reasoning="max",
        presence_penalty=1,
        frequency_penalty=1,
        top_k=1,
        metadata={"a": "b"},
        stop=["1", "2", "3", "4", "5"],
        seed=7,
        user="u",
    )
    assert sent.url == "https://api.cerebras.ai/v1/chat/completions"
    assert sent.headers["authorization"] == "Bearer test-key-0123456789"
    assert sent.body == {
        "model": "gpt-oss-120b",
        "messages": [{"role": "system", "content": "Be kind"}, {"role": "user", "content": "Hi"}],
        "max_completion_tokens": 5,
        "stop": ["1", "2", "3", "4"],
        "seed": 7,
        "tools": [TOOL],
        "tool_choice": "required",
        "reasoning_effort": "high",
        "user": "u",
    }
    refused = ["frequency_penalty", "metadata", "parallel_tool_calls", "presence_penalty", "reasoning", "stop", "top_k"]
    assert sorted(sent.warned) == refused
    assert (sent.response.thinking, sent.response.text) == ("Hm", "Hi")


@pytest.mark.parametrize("base", ["https://api.cerebras.ai", "https://api.cerebras.ai/", "https://api.cerebras.ai/v1"])
def test_the_address_is_taken_with_and_without_its_version(exchange, base):
    """The vendor's own library has it without."""
    sent = exchange("cerebras/m", "Hi", answer=CHAT, client={"base_url": base})
    assert sent.url == "https://api.cerebras.ai/v1/chat/completions"


def test_reasoning_goes_back_as_reasoning(exchange):
    """Beside an empty content where there are only calls."""
    turn = Message("assistant", [Thinking("Hm"), ToolCall("a", "f")], origin="openai_chat/cerebras")
    sent = exchange("cerebras/m", ["Hi", turn, Message.tool("a", "ok")], answer=CHAT)
    assert (sent.body["messages"][1]["reasoning"], sent.body["messages"][1]["content"]) == ("Hm", "")


def test_documents_are_refused(exchange):
    """There is no form for them."""
    pdf = Document(data=b"x", media_type="application/pdf")
    with pytest.raises(InvalidRequestError, match="no documents"):
        exchange("cerebras/m", [Message("user", [Text("Read"), pdf])], answer=CHAT)


def test_a_call_without_an_index_is_read(exchange, streams):
    """Whole, in one event."""
    piece = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    events = [
        {"choices": [{"index": 0, "delta": {"reasoning": "Hm"}, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {"tool_calls": [piece]}, "finish_reason": None}]},
        {
            "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}],
            "usage": {"total_tokens": 3},
            "time_info": {},
        },
    ]
    sent = exchange("cerebras/m", "Hi", verb="stream", answer={"stream": [streams.sse(*events)]})
    assert [(call.id, call.name, call.arguments) for call in sent.response.tool_calls] == [("c1", "f", {})]
    assert sent.response.thinking == "Hm"


def test_flat_error_bodies_are_read(exchange):
    """Without OpenAI's ``error`` around them."""
    quota = {
        "message": "slow down",
        "type": "too_many_requests_error",
        "param": "quota",
        "code": "request_quota_exceeded",
    }
    with pytest.raises(RateLimitError, match="slow down") as caught:
        exchange("cerebras/m", "Hi", answer={"status": 429, "json": quota, "headers": {"retry-after": "3"}})
    assert (caught.value.code, caught.value.param, caught.value.retry_after) == ("request_quota_exceeded", "quota", 3.0)
    with pytest.raises(ContextLengthExceededError):
        exchange(
            "cerebras/m", "Hi", answer={"status": 400, "json": {"message": "Current length is 9 while limit is 5"}}
        )
