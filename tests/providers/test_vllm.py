"""vLLM, and any other server of the chat API."""

import pytest

from provider_kit import Client
from provider_kit.errors import BadRequestError, ConfigError, InvalidRequestError, ProviderKitError
from provider_kit.model.media import Document
from provider_kit.model.messages import Message

CHAT = {"json": {"choices": [{"message": {"content": "Hi", "reasoning_content": "Hm"}, "finish_reason": "stop"}]}}


def test_a_request_is_openais(exchange):
    """Without a key unless one is given."""
    sent = exchange(
        "vllm/org/model", "Hi", answer=CHAT, client={"api_key": None}, max_tokens=5, top_k=3, seed=7, reasoning="low"
    )
    assert sent.url == "http://127.0.0.1:8000/v1/chat/completions"
    assert "authorization" not in sent.headers
    assert sent.body == {
        "model": "org/model",
        "messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": 5,
        "top_k": 3,
        "seed": 7,
        "reasoning_effort": "low",
    }
    assert (sent.warned, sent.response.thinking) == ([], "Hm")


def test_documents_are_refused(exchange):
    """Its models read pictures at most."""
    with pytest.raises(InvalidRequestError, match="no documents"):
        exchange("vllm/m", [Message.user(Document(data=b"x", media_type="application/pdf"))], answer=CHAT)


def test_bare_error_objects_are_read(exchange, streams):
    """As answers and inside a stream."""
    body = {"object": "error", "message": "no such thing", "type": "BadRequestError", "param": None, "code": 400}
    with pytest.raises(BadRequestError, match="no such thing"):
        exchange("vllm/m", "Hi", answer={"status": 400, "json": body})
    with pytest.raises(ProviderKitError, match="no such thing") as caught:
        exchange("vllm/m", "Hi", verb="stream", answer={"stream": [streams.sse(body)]})
    assert caught.value.status_code == 400


def test_models_tell_their_window(exchange):
    """``max_model_len``."""
    (model,) = exchange("vllm", verb="models", answer={"json": {"data": [{"id": "m", "max_model_len": 9}]}}).response
    assert model.context_window == 9


@pytest.mark.parametrize(
    "given", [{"target": "http://127.0.0.1:9/v1"}, {"target": None, "base_url": "http://127.0.0.1:9/v1"}]
)
def test_any_server_is_reached_by_its_address(exchange, given):
    """As the first argument or by name."""
    address = {name: value for name, value in given.items() if name != "target"}
    sent = exchange(given["target"], "Hi", answer=CHAT, client={"model": "m", "api_key": None, **address})
    assert sent.url == "http://127.0.0.1:9/v1/chat/completions"
    assert sent.body["model"] == "m"
    assert sent.response.provider == "openai_compatible"


def test_a_server_needs_an_address():
    """Which the hint tells how to give."""
    with pytest.raises(ConfigError) as caught:
        Client("openai_compatible/m")
    assert "OPENAI_COMPATIBLE_BASE_URL" in caught.value.hint
