"""DeepSeek: thinking that must come back, schemas in the prompt, and what its errors become."""

import pytest

from provider_kit.errors import InternalServerError, OverloadedError, PaymentRequiredError
from provider_kit.model.messages import Message, Text, Thinking, ToolCall

CHAT = {"json": {"choices": [{"message": {"content": "Hi", "reasoning_content": "Hm"}, "finish_reason": "stop"}]}}
SCHEMA = {"type": "object", "properties": {"a": {}}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": SCHEMA, "strict": True}}


@pytest.mark.parametrize(
    ("reasoning", "fields", "warned"),
    [
        (None, {}, []),
        ("none", {"thinking": {"type": "disabled"}}, []),
        ("low", {"thinking": {"type": "enabled"}, "reasoning_effort": "low"}, []),
        ("medium", {"thinking": {"type": "enabled"}, "reasoning_effort": "medium"}, []),
        ("xhigh", {"thinking": {"type": "enabled"}, "reasoning_effort": "high"}, ["reasoning"]),
        ({"show": True}, {"thinking": {"type": "enabled"}}, []),
    ],
)
def test_thinking_is_an_object_with_an_effort_beside_it(exchange, reasoning, fields, warned):
    """And can be turned off."""
    sent = exchange("deepseek/deepseek-flash", "Hi", answer=CHAT, reasoning=reasoning, max_tokens=5, user="u")
    assert sent.url == "https://api.deepseek.com/chat/completions"
    assert sent.headers["authorization"] == "Bearer test-key-0123456789"
    assert sent.body == {
        "model": "deepseek-flash",
        "messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": 5,
        "user_id": "u",
        **fields,
    }
    assert sent.warned == warned
    assert sent.response.thinking == "Hm"


def test_tools_have_no_strict_and_no_parallel_field(exchange):
    """Nor are metadata and ``top_k`` taken."""
    sent = exchange("deepseek", "Hi", answer=CHAT, tools=[TOOL], parallel_tool_calls=True, metadata={"a": "b"}, top_k=1)
    assert "strict" not in sent.body["tools"][0]["function"]
    assert sent.body.keys() == {"model", "messages", "tools"}
    assert sorted(sent.warned) == ["metadata", "parallel_tool_calls", "tools", "top_k"]


def test_a_schema_goes_into_the_prompt(exchange):
    """There is JSON mode, but no schemas."""
    sent = exchange("deepseek", "Hi", answer=CHAT, system="Be kind", response_format=SCHEMA)
    assert sent.body["response_format"] == {"type": "json_object"}
    assert sent.body["messages"][0]["content"].startswith("Be kind\n\nAnswer with JSON only")
    assert sent.warned == ["response_format"]


def test_reasoning_comes_back_on_every_turn_once_tools_are_used(exchange):
    """Empty where there is none, else the API refuses the conversation."""
    own = Message("assistant", [Thinking("Hm"), Text("Wait"), ToolCall("c1", "f")], origin="openai_chat/deepseek")
    foreign = Message("assistant", [Thinking("Secret"), Text("Done")], origin="anthropic_messages")
    sent = exchange("deepseek", ["Hi", own, Message.tool("c1", "ok"), foreign, "Go on"], answer=CHAT)
    _, first, tool, second, _ = sent.body["messages"]
    assert (first["content"], first["reasoning_content"]) == ("Wait", "Hm")
    assert second == {"role": "assistant", "content": "Done", "reasoning_content": ""}
    assert "reasoning_content" not in tool


def test_a_queued_answer_begins_with_blank_lines(exchange):
    """Which keep the connection alive."""
    body = b'\n\n\n{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}'
    assert exchange("deepseek", "Hi", answer={"body": body}).response.text == "Hi"


def test_a_stream_has_keep_alive_comments_and_cache_counts(exchange, streams):
    """Reasoning first, then text, usage last."""
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 2,
        "total_tokens": 12,
        "prompt_cache_hit_tokens": 4,
        "prompt_cache_miss_tokens": 6,
    }
    events = [
        ": keep-alive",
        "",
        {"choices": [{"index": 0, "delta": {"content": None, "reasoning_content": "Hm"}, "finish_reason": None}]},
        ": keep-alive",
        "",
        {"choices": [{"index": 0, "delta": {"content": "Hi", "reasoning_content": None}, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}], "usage": usage},
    ]  # fmt: skip
    sent = exchange("deepseek", "Hi", verb="stream", answer={"stream": [streams.sse(*events)]})
    assert (sent.response.thinking, sent.response.text) == ("Hm", "Hi")
    assert (sent.response.usage.input_tokens, sent.response.usage.cache_read_tokens) == (6, 4)


def test_errors_become_typed_errors(exchange, streams):
    """A missing balance is a 402; a lack of room ends a stream."""
    with pytest.raises(PaymentRequiredError, match="Insufficient Balance"):
        exchange("deepseek", "Hi", answer={"status": 402, "json": {"error": {"message": "Insufficient Balance"}}})
    event = {"choices": [{"index": 0, "delta": {}, "finish_reason": "insufficient_system_resource"}]}
    with pytest.raises(OverloadedError) as caught:
        exchange("deepseek", "Hi", verb="stream", answer={"stream": [streams.sse(event)]})
    assert caught.value.retryable
    assert isinstance(caught.value, InternalServerError)
