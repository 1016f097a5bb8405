"""Azure OpenAI: v1 addresses, classic addresses, keys and tokens."""

import pytest

from provider_kit import Client, ScriptedTransport
from provider_kit.errors import ConfigError, ContentFilterError, ModelNotFoundError

CHAT = {"json": {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}}
RESPONSE = {"json": {"status": "completed", "output": [{"type": "message", "content": "Hi"}]}}
HOST = "https://acme.openai.azure.com"


@pytest.mark.parametrize(
    ("base", "options", "url"),
    [
        (HOST, {}, f"{HOST}/openai/v1/chat/completions"),
        (f"{HOST}/", {}, f"{HOST}/openai/v1/chat/completions"),
        (f"{HOST}/openai/v1/", {}, f"{HOST}/openai/v1/chat/completions"),
        (f"{HOST}?x=1", {}, f"{HOST}/openai/v1/chat/completions?x=1"),
        (HOST, {"use_responses_api": True}, f"{HOST}/openai/v1/responses"),
        (HOST, {"api_version": "2024-10-21"}, f"{HOST}/openai/deployments/dep/chat/completions?api-version=2024-10-21"),
        (
            f"{HOST}/openai/v1",
            {"api_version": "2024-10-21"},
            f"{HOST}/openai/deployments/dep/chat/completions?api-version=2024-10-21",
        ),
        (
            HOST,
            {"api_version": "2024-10-21", "use_responses_api": True},
            f"{HOST}/openai/responses?api-version=2024-10-21",
        ),
    ],
)
def test_addresses_follow_from_the_resource(exchange, base, options, url):
    """The v1 API without a version, the classic addresses with one."""
    answer = RESPONSE if options.get("use_responses_api") else CHAT
    sent = exchange("azure/dep", "Hi", answer=answer, client={"base_url": base, **options}, max_tokens=5, user="u")
    assert sent.url == url
    assert sent.headers["api-key"] == "test-key-0123456789"
    assert "authorization" not in sent.headers
    assert sent.body["model"] == "dep"
    if answer is CHAT:
        assert (sent.body["max_completion_tokens"], sent.body["user"]) == (5, "u")


def test_the_environment_may_ask_for_the_classic_addresses(call, monkeypatch):
    """``OPENAI_API_VERSION``, the endpoint and the key under the vendor's names; an option goes before it."""
    monkeypatch.setenv("OPENAI_API_VERSION", "2024-10-21")
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", HOST)
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "azure-key-123")
    monkeypatch.setenv("OPENAI_ORG_ID", "org")
    transport = ScriptedTransport([CHAT], repeat=True)
    call.chat(Client("azure/dep", transport=transport), "Hi")
    call.chat(Client("azure/dep", options={"api_version": "2025-01-01"}, transport=transport), "Hi")
    assert [request.url.rpartition("=")[2] for request in transport.requests] == ["2024-10-21", "2025-01-01"]
    assert transport.requests[0].headers["api-key"] == "azure-key-123"
    assert "OpenAI-Organization" not in transport.requests[0].headers


def test_tokens_travel_as_bearer_tokens(call, exchange, monkeypatch):
    """Known by their variable or their shape; the variable goes before the key's."""
    client = {"base_url": HOST, "api_key": "eyJhbGciOi.x.y"}
    assert exchange("azure/dep", "Hi", answer=CHAT, client=client).headers["authorization"] == "Bearer eyJhbGciOi.x.y"
    monkeypatch.setenv("AZURE_OPENAI_AD_TOKEN", "opaque-token")
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "azure-key-123")
    transport = ScriptedTransport([CHAT])
    call.chat(Client("azure/dep", base_url=HOST, transport=transport), "Hi")
    assert transport.requests[0].headers["Authorization"] == "Bearer opaque-token"
    assert "api-key" not in transport.requests[0].headers


def test_classic_embeddings_name_the_deployment_in_the_path(exchange):
    """As chat does."""
    client = {"base_url": HOST, "api_version": "2024-10-21"}
    sent = exchange("azure/dep", ["a"], verb="embed", answer={"json": {"data": [{"embedding": [1]}]}}, client=client)
    assert sent.url == f"{HOST}/openai/deployments/dep/embeddings?api-version=2024-10-21"


def test_an_endpoint_is_needed():
    """There is no address that all share."""
    with pytest.raises(ConfigError) as caught:
        Client("azure/dep", api_key="k")
    assert "AZURE_OPENAI_ENDPOINT" in caught.value.hint


def test_filters_and_deployments_have_their_errors(exchange):
    """A filtered prompt is a 400; a 404 is usually the deployment."""
    blocked = {"code": "content_filter", "message": "filtered", "param": "prompt", "type": None, "status": 400}
    with pytest.raises(ContentFilterError, match="filtered"):
        exchange("azure/dep", "Hi", answer={"status": 400, "json": {"error": blocked}}, client={"base_url": HOST})
    missing = {"code": "DeploymentNotFound", "message": "no such deployment"}
    with pytest.raises(ModelNotFoundError) as caught:
        exchange("azure/dep", "Hi", answer={"status": 404, "json": {"error": missing}}, client={"base_url": HOST})
    assert "deployment" in caught.value.hint
    with pytest.raises(ContentFilterError) as caught:
        exchange("azure/dep", "Hi", answer={"status": 400, "json": {"error": blocked}}, client={"base_url": HOST})
    assert "deployment" not in caught.value.hint


def test_filter_results_before_the_answer_are_passed_over(exchange, streams):
    """The first event of a stream has no choices, no id and no model."""
    events = [
        {"id": "", "model": "", "created": 0, "choices": [], "prompt_filter_results": [{"prompt_index": 0}]},
        {"id": "a1", "model": "gpt-4o", "choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": None}]},
        {"id": "a1", "model": "gpt-4o", "choices": [{"index": 0, "finish_reason": None, "content_filter_results": {}}]},
        {"id": "a1", "model": "gpt-4o", "choices": [{"index": 0, "delta": {}, "finish_reason": "content_filter"}]},
    ]
    answer = {"stream": [streams.sse(*events)]}
    sent = exchange("azure/dep", "Hi", verb="stream", answer=answer, client={"base_url": HOST})
    assert (sent.response.id, sent.response.model, sent.response.text) == ("a1", "gpt-4o", "Hi")
    assert sent.response.finish_reason == "content_filter"


@pytest.mark.parametrize(("deployment", "warned"), [("my-own-name", []), ("gpt-4o", ["reasoning"])])
def test_reasoning_is_asked_for_unless_the_name_says_otherwise(exchange, deployment, warned):
    """A deployment's name does not tell its model, except where it is the model's."""
    sent = exchange(f"azure/{deployment}", "Hi", answer=CHAT, client={"base_url": HOST}, reasoning="low")
    assert sent.warned == warned
    assert ("reasoning_effort" in sent.body) is not bool(warned)
