"""OpenAI: what a request looks like on the wire, and what its errors become."""

import pytest

from provider_kit import Client, ScriptedTransport
from provider_kit.errors import (
    ContextLengthExceededError,
    InsufficientQuotaError,
    MissingAPIKeyError,
    NotFoundError,
    ProviderKitError,
    RateLimitError,
    UnsupportedParameterError,
)
from provider_kit.providers.openai import is_reasoning_model, openai_quirks

CHAT = {"json": {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}}
RESPONSE = {"json": {"status": "completed", "output": [{"type": "message", "content": "Hi"}]}}
SCHEMA = {"type": "object", "properties": {}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": SCHEMA}}


def test_a_reasoning_model_is_asked_through_responses(exchange):
    """The only API that takes its reasoning back."""
    sent = exchange(
        "openai/gpt-6-luna", "Hi", answer=RESPONSE, system="Be kind", max_tokens=50, tools=[TOOL], reasoning="low"
    )
    assert sent.request.method == "POST"
    assert sent.url == "https://api.openai.com/v1/responses"
    assert sent.headers["authorization"] == "Bearer test-key-0123456789"
    assert sent.headers["content-type"] == "application/json"
    assert sent.body == {
        "model": "gpt-6-luna",
        "input": [{"role": "user", "content": "Hi"}],
        "instructions": "Be kind",
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "max_output_tokens": 50,
        "tools": [{"type": "function", "name": "f", "parameters": SCHEMA, "strict": False}],
        "reasoning": {"effort": "low", "summary": "auto"},
    }
    assert sent.response.text == "Hi"
    assert sent.response.provider == "openai"


def test_another_model_is_asked_through_chat(exchange):
    """With ``max_completion_tokens`` and the plain system role."""
    sent = exchange(
        "openai/gpt-4o", "Hi", answer=CHAT, system="Be kind", max_tokens=5, temperature=0.5, user="u", top_k=3
    )
    assert sent.url == "https://api.openai.com/v1/chat/completions"
    assert sent.body == {
        "model": "gpt-4o",
        "messages": [{"role": "system", "content": "Be kind"}, {"role": "user", "content": "Hi"}],
        "max_completion_tokens": 5,
        "temperature": 0.5,
        "safety_identifier": "u",
    }
    assert sent.warned == ["top_k"]


@pytest.mark.parametrize(
    ("model", "wanted", "path"),
    [("gpt-4o", True, "/responses"), ("gpt-6-luna", False, "/chat/completions"), ("o4-mini", None, "/responses")],
)
def test_the_api_can_be_chosen(exchange, model, wanted, path):
    """``use_responses_api`` overrides what the model's name tells."""
    answer = RESPONSE if path == "/responses" else CHAT
    sent = exchange("openai", "Hi", answer=answer, client={"use_responses_api": wanted, "model": model})
    assert sent.url == f"https://api.openai.com/v1{path}"


def test_a_reasoning_model_in_chat_has_developers_and_no_sampling(exchange):
    """The system prompt under the role developer; what it refuses is left out with a warning."""
    options = {"temperature": 1, "top_p": 1, "presence_penalty": 1, "frequency_penalty": 1, "stop": "x", "top_k": 1}
    sent = exchange(
        "openai/o4-mini",
        "Hi",
        answer=CHAT,
        client={"use_responses_api": False},
        system="Be kind",
        max_tokens=5,
        tools=[TOOL],
        parallel_tool_calls=False,
        reasoning="max",
        **options,
    )
    assert sent.body["messages"][0] == {"role": "developer", "content": "Be kind"}
    assert (sent.body["max_completion_tokens"], sent.body["reasoning_effort"]) == (5, "high")
    assert sent.body.keys() == {"model", "messages", "max_completion_tokens", "tools", "reasoning_effort"}
    assert sorted(sent.warned) == sorted([*options, "parallel_tool_calls", "reasoning"])


def test_sampling_is_taken_when_reasoning_is_off(exchange):
    """By models that can leave it."""
    sent = exchange("openai/gpt-6-luna", "Hi", answer=RESPONSE, temperature=0.5, reasoning="none")
    assert (sent.body["temperature"], sent.body["reasoning"], sent.warned) == (0.5, {"effort": "none"}, [])


def test_what_is_refused_may_be_raised_or_dropped(call, exchange):
    """As the client or the call says."""
    assert exchange("openai/gpt-6-luna", "Hi", answer=RESPONSE, seed=1, on_unsupported="drop").warned == []
    client = Client(
        "openai/gpt-6-luna", api_key="k-0123456789", transport=ScriptedTransport([]), on_unsupported="raise"
    )
    with pytest.raises(UnsupportedParameterError, match="seed"):
        call.chat(client, "Hi", seed=1)


@pytest.mark.parametrize(
    ("model", "reasoning", "minimal"),
    [
        ("o1", True, "low"),
        ("o4-mini", True, "low"),
        ("gpt-5", True, "minimal"),
        ("gpt-5-mini", True, "minimal"),
        ("gpt-5.4", True, "low"),
        ("gpt-6-astra", True, "low"),
        ("gpt-5-pro", True, "minimal"),
        ("gpt-6-pro", True, "low"),
        ("gpt-6-luna", True, "low"),
        ("gpt-5-chat-latest", False, None),
        ("gpt-4o", False, None),
        ("gpt-oss-20b", False, None),
        ("ft:gpt-4o:acme::1", False, None),
        ("openai/gpt-6-luna", True, "low"),
    ],
)
def test_model_names_tell_what_a_model_takes(model, reasoning, minimal):
    """Whether it reasons, and its least effort near ``minimal``."""
    assert is_reasoning_model(model) is reasoning
    body = {}
    if reasoning:
        from provider_kit.dialects.base import ParameterReport
        from provider_kit.model.tools import Reasoning

        openai_quirks(model).reasoning(Reasoning("minimal"), body, ParameterReport())
        assert body["reasoning_effort"] == minimal


def test_a_stream_asks_for_usage(exchange, streams):
    """In chat by an option; Responses always tells it."""
    events = [
        {"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}},
    ]
    sent = exchange("openai/gpt-4o", "Hi", verb="stream", answer={"stream": [streams.sse(*events)]})
    assert (sent.body["stream"], sent.body["stream_options"]) == (True, {"include_usage": True})
    assert sent.headers["accept"] == "text/event-stream"
    assert (sent.response.text, sent.response.usage.total_tokens) == ("Hi", 3)


def test_organization_project_and_own_headers_are_sent(call, monkeypatch):
    """From options or the environment."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-from-the-environment")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-env")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-One: 1\nno header\n: 2\nX-Two:2")
    transport = ScriptedTransport([RESPONSE])
    call.chat(Client("openai", project="proj", transport=transport), "Hi")
    headers = transport.requests[0].headers
    assert headers["Authorization"] == "Bearer sk-from-the-environment"
    assert (headers["OpenAI-Organization"], headers["OpenAI-Project"]) == ("org-env", "proj")
    assert (headers["X-One"], headers["X-Two"]) == ("1", "2")


def test_the_address_may_come_from_the_environment(call, monkeypatch):
    """As the vendor's own library has it."""
    monkeypatch.setenv("OPENAI_BASE_URL", "https://eu.api.openai.com/v1/")
    transport = ScriptedTransport([RESPONSE])
    call.chat(Client("openai", api_key="k-0123456789", transport=transport), "Hi")
    assert transport.requests[0].url == "https://eu.api.openai.com/v1/responses"


def test_a_missing_key_is_told_before_anything_is_sent(call):
    """With the variable to set and where to get a key."""
    transport = ScriptedTransport([])
    with pytest.raises(MissingAPIKeyError, match="OPENAI_API_KEY") as caught:
        call.chat(Client("openai", transport=transport), "Hi")
    assert "platform.openai.com" in caught.value.hint
    assert transport.requests == []


def test_extra_fields_headers_and_query_are_merged(exchange):
    """What only the provider knows passes through."""
    sent = exchange(
        "openai/gpt-6-luna",
        "Hi",
        answer=RESPONSE,
        reasoning="low",
        extra_body={"reasoning": {"mode": "pro"}, "service_tier": "flex"},
        extra_headers={"X-A": "1"},
        extra_query={"q": "2"},
    )
    assert sent.body["reasoning"] == {"effort": "low", "summary": "auto", "mode": "pro"}
    assert (sent.body["service_tier"], sent.headers["x-a"]) == ("flex", "1")
    assert sent.url == "https://api.openai.com/v1/responses?q=2"


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, {"code": "context_length_exceeded", "message": "too long"}, ContextLengthExceededError),
        (429, {"code": "rate_limit_exceeded", "message": "try again in 1.5s"}, RateLimitError),
        (429, {"code": "insufficient_quota", "message": "m"}, InsufficientQuotaError),
        (404, {"message": "m"}, NotFoundError),
    ],
)
def test_error_bodies_become_typed_errors(exchange, status, error, kind):
    """With the request's id and without the key."""
    error = {**error, "message": error["message"] + " test-key-0123456789"}
    with pytest.raises(ProviderKitError) as caught:
        exchange(
            "openai/gpt-4o",
            "Hi",
            answer={"status": status, "json": {"error": error}, "headers": {"x-request-id": "r1"}},
        )
    assert type(caught.value) is kind
    assert caught.value.request_id == "r1"
    assert "test-key" not in str(caught.value) + repr(caught.value.body)


def test_a_404_of_an_imitator_points_to_the_other_api(exchange):
    """Those servers often have no Responses API."""
    with pytest.raises(NotFoundError) as caught:
        exchange(
            "openai/gpt-6-luna", "Hi", answer={"status": 404, "json": {"error": {"message": "m"}}},
            client={"base_url": "https://proxy.test/v1"},
        )  # fmt: skip
    assert "options={'use_responses_api': False}" in caught.value.hint


def test_the_smaller_calls_have_their_addresses(exchange):
    """Models, embeddings, token counts."""
    models = exchange("openai", verb="models", answer={"json": {"data": [{"id": "m"}]}})
    assert (models.request.method, models.url) == ("GET", "https://api.openai.com/v1/models")
    vectors = exchange("openai", ["a"], verb="embed", model="e", answer={"json": {"data": [{"embedding": [1]}]}})
    assert vectors.url == "https://api.openai.com/v1/embeddings"
    count = exchange("openai", "Hi", verb="count_tokens", answer={"json": {"input_tokens": 7}})
    assert count.url == "https://api.openai.com/v1/responses/input_tokens"
    assert count.response == 7


@pytest.mark.parametrize(
    ("target", "responses", "answer", "written"),
    [
        ("openai/gpt-5-mini", None, RESPONSE, {"text": {"verbosity": "low"}}),
        ("openai/gpt-5-mini", False, CHAT, {"verbosity": "low"}),
        ("openai_compatible/any", None, CHAT, {"verbosity": "low"}),
        ("openai/gpt-4o", None, CHAT, {}),
        ("openai/gpt-4o", True, RESPONSE, {}),
        ("openai/o4-mini", None, RESPONSE, {}),
        ("openai/o4-mini", False, CHAT, {}),
        ("mistral/mistral-small-latest", None, CHAT, {}),
        ("anthropic/claude-sonnet-4-5", None, {"json": {"type": "message", "content": [], "stop_reason": "x"}}, {}),
    ],
)
def test_verbosity_goes_where_each_api_has_it(exchange, target, responses, answer, written):
    """And is reported where it is not taken."""
    client = {"base_url": "https://h.test/v1"} if "compatible" in target else {}
    client |= {} if responses is None else {"use_responses_api": responses}
    sent = exchange(target, "Hi", answer=answer, client=client, verbosity="low")
    assert {name: sent.body[name] for name in ("text", "verbosity") if name in sent.body} == written
    assert sent.warned == ([] if written else ["verbosity"])


def test_verbosity_stands_beside_a_format(exchange):
    """Both are fields of ``text``."""
    sent = exchange("openai/gpt-5-mini", "Hi", answer=RESPONSE, verbosity="high", response_format="json")
    assert sent.body["text"] == {"format": {"type": "json_object"}, "verbosity": "high"}
