"""OpenRouter: what a request looks like on the wire, reasoning that goes back, and errors in a 200."""

from decimal import Decimal

import pytest

from provider_kit.errors import (
    ContentFilterError,
    InternalServerError,
    PaymentRequiredError,
    RateLimitError,
    StreamError,
)
from provider_kit.model.messages import Message

DETAILS = [
    {"type": "reasoning.text", "text": "Hm", "signature": "sig", "format": "anthropic-claude-v1", "index": 0},
    {"type": "reasoning.encrypted", "data": "xyz", "id": "r1", "format": "openai-responses-v1", "index": 1},
]
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "cost": 0.0012}


def chat(**message):
    reason = "tool_calls" if "tool_calls" in message else "stop"
    return {
        "json": {
            "id": "gen-1",
            "model": "a/b",
            "choices": [{"message": message, "finish_reason": reason}],
            "usage": USAGE,
        }
    }


@pytest.mark.parametrize(
    ("reasoning", "wish"),
    [
        ("high", {"effort": "high"}),
        ("max", {"effort": "max"}),
        (2000, {"max_tokens": 2000}),
        ({"effort": "low", "show": False}, {"effort": "low", "exclude": True}),
        ({"show": True}, {"exclude": False}),
        ({}, None),
    ],
)
def test_a_request_is_openais_with_a_reasoning_object(exchange, reasoning, wish):
    """Usage comes by itself; the calling app may be named."""
    client = {"site_url": "https://acme.test", "site_name": "Acme"}
    sent = exchange(
        "openrouter/anthropic/claude-x",
        "Hi",
        answer=chat(content="Hi"),
        reasoning=reasoning,
        client=client,
        max_tokens=5,
    )
    assert sent.url == "https://openrouter.ai/api/v1/chat/completions"
    assert sent.headers["authorization"] == "Bearer test-key-0123456789"
    assert (sent.headers["http-referer"], sent.headers["x-title"]) == ("https://acme.test", "Acme")
    assert (sent.body["model"], sent.body["max_tokens"], sent.body.get("reasoning")) == ("anthropic/claude-x", 5, wish)
    assert sent.response.cost == Decimal("0.0012")


def test_an_app_need_not_be_named(exchange):
    """Then nothing is said about it."""
    assert "x-title" not in exchange("openrouter", "Hi", answer=chat(content="Hi")).headers


def test_reasoning_details_go_back_unmodified(exchange):
    """In the same order, on the same turn."""
    answer = exchange(
        "openrouter/a/b", "Hi", answer=chat(content=None, reasoning="Hm", reasoning_details=DETAILS, tool_calls=[CALL])
    )
    turn = answer.response.message
    sent = exchange("openrouter/a/b", ["Hi", turn, Message.tool("c1", "ok")], answer=chat(content="Done"))
    assert sent.body["messages"][1] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [CALL],
        "reasoning_details": DETAILS,
    }


def test_streamed_reasoning_details_go_back_whole(exchange, streams):
    """Comments in between are passed over, usage is not asked for."""

    def event(delta, finish=None, **more):
        return {"id": "gen-1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}

    first, last = {**DETAILS[0], "text": "H", "signature": None}, {**DETAILS[0], "text": "m"}
    events = [
        ": OPENROUTER PROCESSING",
        "",
        event({"content": "", "reasoning": "H", "reasoning_details": [first]}),
        ": OPENROUTER PROCESSING",
        "",
        event({"content": "", "reasoning": "m", "reasoning_details": [last]}),
        event({"content": "", "reasoning_details": [DETAILS[1]]}),
        event({"content": "", "tool_calls": [{"index": 0, **CALL}]}),
        event({"content": ""}, "tool_calls", usage=USAGE),
    ]
    answer = {"stream": [streams.sse(*events)], "headers": {"X-Generation-Id": "gen-1"}}
    sent = exchange("openrouter/a/b", "Hi", verb="stream", answer=answer)
    assert "stream_options" not in sent.body
    assert sent.response.thinking == "Hm"
    assert sent.response.message.extra == {"reasoning_details": DETAILS}
    assert sent.response.request_id == "gen-1"
    assert sent.response.cost == Decimal("0.0012")


@pytest.mark.parametrize(
    ("status", "error", "kind", "retryable"),
    [
        (
            402,
            {"code": 402, "message": "m", "metadata": {"limit_source": "openrouter_in_flight_budget"}},
            RateLimitError,
            True,
        ),
        (
            402,
            {"code": 402, "message": "m", "metadata": {"limit_source": "openrouter_credits"}},
            PaymentRequiredError,
            False,
        ),
        (403, {"code": 403, "message": "m", "metadata": {"reasons": ["x"]}}, ContentFilterError, False),
        (200, {"code": 502, "message": "m", "metadata": {"raw": "upstream"}}, InternalServerError, True),
    ],
)
def test_error_bodies_become_typed_errors(exchange, status, error, kind, retryable):
    """Its own details go before the status, in a 200 too."""
    with pytest.raises(kind) as caught:
        exchange("openrouter/a/b", "Hi", answer={"status": status, "json": {"error": error}})
    assert type(caught.value) is kind
    assert caught.value.retryable is retryable


def test_an_error_in_the_middle_of_a_stream_keeps_what_was_received(exchange, streams):
    """The event has both an error and a choice."""
    events = [
        {"choices": [{"index": 0, "delta": {"content": "Hel"}, "finish_reason": None}]},
        {
            "error": {"code": 502, "message": "gone", "metadata": {"error_type": "provider_unavailable"}},
            "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
        },
    ]
    with pytest.raises(StreamError, match="gone") as caught:
        exchange("openrouter/a/b", "Hi", verb="stream", answer={"stream": [streams.sse(*events)]})
    assert caught.value.partial.text == "Hel"
    assert (caught.value.status_code, caught.value.code) == (502, "provider_unavailable")


def test_models_are_listed_with_prices_and_limits(exchange):
    """Dollars per token become dollars per million."""
    entry = {
        "id": "a/b",
        "name": "A B",
        "context_length": 1000,
        "pricing": {"prompt": "0.000002", "completion": "0.00001", "input_cache_read": "-1"},
        "top_provider": {"max_completion_tokens": 100},
        "supported_parameters": ["tools"],
    }
    (model,) = exchange("openrouter", verb="models", answer={"json": {"data": [entry]}}).response
    assert (model.id, model.context_window, model.max_output_tokens) == ("a/b", 1000, 100)
    assert (model.pricing.input, model.pricing.output, model.pricing.cache_read) == (Decimal(2), Decimal(10), None)
