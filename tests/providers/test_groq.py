"""Groq: what a request looks like on the wire, usage beside its own name, and what its errors become."""

import pytest

from provider_kit.errors import OverloadedError, RequestTooLargeError, StreamError
from provider_kit.model.messages import Message, Text, Thinking

CHAT = {"json": {"choices": [{"message": {"content": "Hi", "reasoning": "Hm"}, "finish_reason": "stop"}]}}


def test_a_request_is_openais_with_its_own_names(exchange):
    """``max_completion_tokens``, no metadata, four stop texts."""
    sent = exchange(
        "groq/openai/gpt-oss-20b",
        "Hi",
        answer=CHAT,
        max_tokens=5,
        metadata={"a": "b"},
        top_k=1,
        stop=list("12345"),
        user="u",
    )
    assert sent.url == "https://api.groq.com/openai/v1/chat/completions"
    assert sent.headers["authorization"] == "Bearer test-key-0123456789"
    assert sent.body == {
        "model": "openai/gpt-oss-20b",
        "messages": [{"role": "user", "content": "Hi"}],
        "max_completion_tokens": 5,
        "stop": ["1", "2", "3", "4"],
        "user": "u",
    }
    assert sorted(sent.warned) == ["metadata", "stop", "top_k"]
    assert sent.response.thinking == "Hm"


@pytest.mark.parametrize(
    ("model", "effort", "sent"),
    [
        ("openai/gpt-oss-20b", "none", "low"),
        ("qwen/qwen3.8-27b", "none", "none"),
        ("openai/gpt-oss-20b", "max", "high"),
    ],
)
def test_efforts_depend_on_the_model(exchange, model, effort, sent):
    """One family always thinks."""
    assert exchange(f"groq/{model}", "Hi", answer=CHAT, reasoning=effort).body["reasoning_effort"] == sent


def test_reasoning_goes_back_as_reasoning(exchange):
    """Only its own."""
    turn = Message("assistant", [Thinking("Hm"), Text("Yes")], origin="openai_chat/groq")
    sent = exchange("groq", ["Hi", turn, "Go on"], answer=CHAT)
    assert sent.body["messages"][1] == {"role": "assistant", "content": "Yes", "reasoning": "Hm"}


@pytest.mark.parametrize("base", ["https://api.groq.com", "https://api.groq.com/", "https://api.groq.com/openai/v1"])
def test_the_address_is_taken_with_and_without_its_path(exchange, base):
    """The vendor's own library has it without."""
    sent = exchange("groq/m", "Hi", answer=CHAT, client={"base_url": base})
    assert sent.url == "https://api.groq.com/openai/v1/chat/completions"


def event(delta, finish=None, **more):
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


def test_usage_stands_beside_its_own_name(exchange, streams):
    """In the last event."""
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "queue_time": 0.1}
    events = [
        event({"role": "assistant", "content": ""}, x_groq={"id": "req_1"}),
        event({"reasoning": "Hm"}),
        event({"content": "Hi"}),
        event({}, "stop", x_groq={"id": "req_1", "usage": usage}),
    ]
    sent = exchange("groq", "Hi", verb="stream", answer={"stream": [streams.sse(*events)]})
    assert (sent.response.thinking, sent.response.text, sent.response.usage.total_tokens) == ("Hm", "Hi", 3)


def test_its_word_that_a_stream_was_cut_is_an_error(exchange, streams):
    """Although the stream then ends as if nothing was."""
    events = [event({"content": "Hi"}), event({}, "stop", x_groq={"id": "r", "error": "over capacity"})]
    with pytest.raises(StreamError, match="over capacity") as caught:
        exchange("groq", "Hi", verb="stream", answer={"stream": [streams.sse(*events)]})
    assert caught.value.partial.text == "Hi"


@pytest.mark.parametrize(
    ("status", "code", "kind", "retryable"),
    [(498, "capacity_exceeded", OverloadedError, True), (413, "rate_limit_exceeded", RequestTooLargeError, False)],
)
def test_its_own_statuses_become_typed_errors(exchange, status, code, kind, retryable):
    """No room for flexible work; one request beyond a whole minute's tokens."""
    with pytest.raises(kind) as caught:
        exchange("groq", "Hi", answer={"status": status, "json": {"error": {"message": "m", "code": code}}})
    assert caught.value.retryable is retryable
