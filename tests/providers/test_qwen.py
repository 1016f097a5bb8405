"""Qwen on DashScope: what a request looks like on the wire, and what its errors become."""

import json

import pytest

from provider_kit import Client, ScriptedTransport
from provider_kit.errors import AuthenticationError, ContentFilterError, PaymentRequiredError, RateLimitError

CHAT = {"json": {"choices": [{"message": {"content": "Hi", "reasoning_content": "Hm"}, "finish_reason": "stop"}]}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}


@pytest.mark.parametrize(
    ("reasoning", "fields"),
    [
        ("none", {"enable_thinking": False}),
        ("low", {"enable_thinking": True, "thinking_budget": 2048}),
        (3000, {"enable_thinking": True, "thinking_budget": 3000}),
        ({"show": True}, {"enable_thinking": True}),
    ],
)
def test_thinking_is_switched_and_budgeted(exchange, reasoning, fields):
    """The default differs from model to model, so it is always said."""
    sent = exchange("qwen/qwen3.8-flash", "Hi", answer=CHAT, reasoning=reasoning, max_tokens=5, top_k=3, user="u")
    assert sent.url == "https://dashscope-intl.aliyuncs.com/compatible-mode/v1/chat/completions"
    assert sent.headers["authorization"] == "Bearer test-key-0123456789"
    assert sent.body == {
        "model": "qwen3.8-flash",
        "messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": 5,
        "top_k": 3,
        **fields,
    }
    assert sent.warned == ["user"]
    assert sent.response.thinking == "Hm"


def test_a_tool_can_be_named_but_not_any_required(exchange):
    """``required`` is no word here."""
    named = {"type": "function", "function": {"name": "f"}}
    assert exchange("qwen", "Hi", answer=CHAT, tools=[TOOL], tool_choice="f").body["tool_choice"] == named
    sent = exchange("qwen", "Hi", answer=CHAT, tools=[TOOL], tool_choice="required")
    assert "tool_choice" not in sent.body
    assert sent.warned == ["tool_choice"]


def test_cache_marks_are_sent(exchange):
    """At the end of the conversation."""
    sent = exchange("qwen", "Hi", answer=CHAT, cache=True)
    assert sent.body["messages"][0]["content"][0]["cache_control"] == {"type": "ephemeral"}


def test_empty_ids_and_names_change_nothing(exchange, streams):
    """Later pieces of a call repeat them empty."""

    def piece(arguments, **more):
        function = {"name": more.pop("name"), "arguments": arguments}
        delta = {"tool_calls": [{"index": 0, "type": "function", "function": function, **more}]}
        return {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}

    events = [
        {"choices": [{"index": 0, "delta": {"reasoning_content": "Hm"}, "finish_reason": None}]},
        piece("", id="c1", name="f"),
        piece('{"a"', id="", name=""),
        piece(":1}", id="", name=None),
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
        {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}},
    ]
    sent = exchange("qwen", "Hi", verb="stream", answer={"stream": [streams.sse(*events)]})
    assert [(call.id, call.name, call.arguments) for call in sent.response.tool_calls] == [("c1", "f", {"a": 1})]
    assert sent.body["stream_options"] == {"include_usage": True}
    assert sent.response.usage.total_tokens == 3


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (429, "insufficient_quota", RateLimitError),
        (429, "Throttling.RateQuota", RateLimitError),
        (400, "data_inspection_failed", ContentFilterError),
        (400, "Arrearage", PaymentRequiredError),
        (401, "invalid_api_key", AuthenticationError),
    ],
)
def test_error_codes_mean_what_they_mean_here(exchange, status, code, kind):
    """A quota of tokens a minute refills, in spite of OpenAI's name for it."""
    with pytest.raises(kind) as caught:
        exchange(
            "qwen",
            "Hi",
            answer={"status": status, "json": {"error": {"code": code, "message": "m"}, "request_id": "r"}},
        )
    assert type(caught.value) is kind
    assert caught.value.request_id == "r"
    assert ("region" in caught.value.hint) is (status == 401)


def test_an_error_inside_a_200_is_read_the_same_way(exchange):
    """The provider's own meaning of a code holds there too."""
    with pytest.raises(RateLimitError) as caught:
        exchange("qwen", "Hi", answer={"json": {"error": {"code": "insufficient_quota", "message": "m"}}})
    assert type(caught.value) is RateLimitError


def test_embeddings_go_in_small_batches(call):
    """Ten texts at most in each request."""

    def answer(request):
        count = len(json.loads(request.body)["input"])
        return {"json": {"data": [{"index": i, "embedding": [i]} for i in range(count)], "usage": {"prompt_tokens": 1}}}

    transport = ScriptedTransport([answer, answer])
    client = Client("qwen", api_key="k-0123456789", transport=transport)
    found = call.embed(client, [f"t{i}" for i in range(12)], model="text-embedding-v4")
    assert len(found) == 12
    assert len(transport.requests) == 2
