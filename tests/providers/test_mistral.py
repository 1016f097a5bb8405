"""Mistral: what a request looks like on the wire, thinking in chunks, and what its errors become."""

import pytest

from provider_kit.errors import ContextLengthExceededError, ModelNotFoundError, UnprocessableEntityError
from provider_kit.model.media import Audio, Document
from provider_kit.model.messages import Message, Text, Thinking, ToolCall

CHAT = {"json": {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}


def test_only_what_the_api_names_is_sent(exchange):
    """It refuses unknown fields: ``random_seed``, no user, no wish for usage."""
    sent = exchange(
        "mistral/mistral-small-latest",
        "Hi",
        answer=CHAT,
        max_tokens=5,
        seed=7,
        user="u",
        tools=[TOOL],
        tool_choice="f",
        reasoning="high",
        metadata={"a": "b"},
        system="Be kind",
        parallel_tool_calls=False,
        top_k=3,
    )
    assert sent.url == "https://api.mistral.ai/v1/chat/completions"
    assert sent.headers["authorization"] == "Bearer test-key-0123456789"
    assert sent.body == {
        "model": "mistral-small-latest",
        "messages": [{"role": "system", "content": "Be kind"}, {"role": "user", "content": "Hi"}],
        "max_tokens": 5,
        "top_k": 3,
        "random_seed": 7,
        "tools": [TOOL],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": False,
        "reasoning_effort": "high",
        "metadata": {"a": "b"},
    }
    assert sent.warned == ["user"]


def test_call_ids_have_nine_letters_and_results_a_name(exchange):
    """Ids of other providers are mapped, the same way each time."""
    turn = Message.assistant(ToolCall("call_0123456789abcdef", "f"))
    sent = exchange("mistral", ["Hi", turn, Message.tool("call_0123456789abcdef", "ok")], answer=CHAT)
    _, assistant, tool = sent.body["messages"]
    assert len(tool["tool_call_id"]) == 9
    assert assistant["tool_calls"][0]["id"] == tool["tool_call_id"]
    assert (assistant["content"], tool["name"]) == ("", "f")


def test_turns_of_one_role_are_joined(exchange):
    """Its templates want them to alternate."""
    sent = exchange("mistral", ["a", "b"], answer=CHAT)
    assert sent.body["messages"] == [{"role": "user", "content": "a\n\nb"}]


def test_documents_are_links_and_audio_is_bare(exchange):
    """``document_url`` and plain base64."""
    parts = [
        Text("Read"),
        Document(url="https://h.test/a.pdf", filename="a.pdf"),
        Document(file_id="f1"),
        Audio(data=b"x", media_type="audio/wav"),
    ]
    sent = exchange("mistral", [Message("user", parts)], answer=CHAT)
    assert sent.body["messages"][0]["content"][1:] == [
        {"type": "document_url", "document_url": "https://h.test/a.pdf", "document_name": "a.pdf"},
        {"type": "file", "file_id": "f1"},
        {"type": "input_audio", "input_audio": "eA=="},
    ]


def test_thinking_in_chunks_is_read_and_goes_back(exchange):
    """Content may be a list; the chunk returns as it came."""
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}], "signature": "s", "closed": True}
    content = [thinking, {"type": "text", "text": "Yes"}, {"type": "reference", "reference_ids": [1]}]
    answer = {"json": {"choices": [{"message": {"content": content}, "finish_reason": "stop"}]}}
    first = exchange("mistral", "Hi", answer=answer).response
    assert (first.thinking, first.text) == ("Hm", "Yes")
    sent = exchange("mistral", ["Hi", first, "Go on"], answer=CHAT)
    assert sent.body["messages"][1]["content"] == [thinking, {"type": "text", "text": "Yes"}]


def test_a_stream_needs_no_wish_for_usage(exchange, streams):
    """Lists and strings in deltas, calls whole, ids of the word null."""
    call = {"id": "null", "function": {"name": "f", "arguments": "{}"}, "index": 0}
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}
    events = [
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": [thinking]}, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {"content": "Yes"}, "finish_reason": None}]},
        {
            "choices": [{"index": 0, "delta": {"content": "", "tool_calls": [call]}, "finish_reason": "tool_calls"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
        },
    ]
    sent = exchange("mistral", "Hi", verb="stream", answer={"stream": [streams.sse(*events)]})
    assert "stream_options" not in sent.body
    assert (sent.response.thinking, sent.response.text) == ("Hm", "Yes")
    assert sent.response.tool_calls[0].local_id
    assert isinstance(sent.response.message.content[0], Thinking)
    assert sent.response.usage.total_tokens == 3


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (
            422,
            {"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs"}]},
            UnprocessableEntityError,
            "body.seed: Extra inputs",
        ),
        (400, {"object": "error", "message": "m", "code": "unknown_model"}, ModelNotFoundError, "m"),
        (
            400,
            {"message": "Prompt contains 9 tokens, too large for model with 5"},
            ContextLengthExceededError,
            "Prompt",
        ),
    ],
)
def test_error_bodies_become_typed_errors(exchange, status, body, kind, words):
    """Its three shapes."""
    with pytest.raises(kind, match=words):
        exchange("mistral", "Hi", answer={"status": status, "json": body})


def test_models_and_embeddings(exchange):
    """Limits and abilities; dimensions under their own name."""
    entry = {"id": "m", "max_context_length": 1000, "capabilities": {"vision": True, "ocr": False}}
    (model,) = exchange("mistral", verb="models", answer={"json": {"data": [entry]}}).response
    assert (model.context_window, model.capabilities) == (1000, ("vision",))
    sent = exchange("mistral", ["a"], verb="embed", dimensions=7, answer={"json": {"data": [{"embedding": [1]}]}})
    assert sent.body["output_dimension"] == 7
