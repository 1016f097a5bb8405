"""llama.cpp's server: what a request looks like on the wire of one's own machine."""

import pytest

from provider_kit.errors import ContextLengthExceededError, OverloadedError, ProviderKitError

CHAT = {"json": {"choices": [{"message": {"content": "Hi", "reasoning_content": "Hm"}, "finish_reason": "stop"}]}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}


def test_a_request_needs_neither_key_nor_model(exchange):
    """There is one model; a tool cannot be named."""
    sent = exchange(
        "llamacpp",
        "Hi",
        answer=CHAT,
        client={"api_key": None},
        max_tokens=5,
        top_k=3,
        reasoning="max",
        tools=[TOOL],
        tool_choice="f",
    )
    assert sent.url == "http://127.0.0.1:8080/v1/chat/completions"
    assert "authorization" not in sent.headers
    assert sent.body == {
        "model": "default",
        "messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": 5,
        "top_k": 3,
        "tools": [TOOL],
        "tool_choice": "required",
        "reasoning_effort": "high",
    }
    assert sorted(sent.warned) == ["reasoning", "tool_choice"]
    assert sent.response.thinking == "Hm"


def test_tokens_are_counted(exchange):
    """By the server, of the same request."""
    sent = exchange("llamacpp", "Hi", verb="count_tokens", answer={"json": {"input_tokens": 7}})
    assert sent.url == "http://127.0.0.1:8080/v1/chat/completions/input_tokens"
    assert sent.response == 7


def test_errors_become_typed_errors(exchange, streams):
    """A full context, a model that is loading, an odd prefix in a stream."""
    full = {"code": 400, "message": "request exceeds", "type": "exceed_context_size_error", "n_ctx": 5}
    with pytest.raises(ContextLengthExceededError):
        exchange("llamacpp", "Hi", answer={"status": 400, "json": {"error": full}})
    loading = {"code": 503, "message": "Loading model", "type": "unavailable_error"}
    with pytest.raises(OverloadedError, match="Loading"):
        exchange("llamacpp", "Hi", answer={"status": 503, "json": {"error": loading}})
    prefixed = 'error: {"code": 500, "message": "slot failed", "type": "server_error"}\n'
    with pytest.raises(ProviderKitError, match="slot failed"):
        exchange("llamacpp", "Hi", verb="stream", answer={"stream": [streams.sse(prefixed, done=False)]})


def test_models_tell_their_window(exchange):
    """Under ``meta``."""
    entry = {"id": "model.gguf", "meta": {"n_ctx_train": 4096}}
    (model,) = exchange(
        "llamacpp", verb="models", answer={"json": {"data": [entry], "models": [{"name": "x"}]}}
    ).response
    assert (model.id, model.context_window) == ("model.gguf", 4096)
