"""``models``, ``model_info``, estimates: what a client knows before it calls."""

from decimal import Decimal

import pytest

from provider_kit import (
    APIConnectionError,
    Client,
    InvalidRequestError,
    InvalidResponseError,
    ModelNotFoundError,
    RateLimitError,
    ScriptedTransport,
)
from provider_kit.testing import FakeServer

KEY = "sk-test-0123456789"
LISTED = {"json": {"data": [{"id": "gpt-4o"}, {"id": "gpt-6-sol"}, {"id": "text-embedding-3-small"}, {"id": "x"}]}}
OPENROUTER = {
    "json": {
        "data": [
            {
                "id": "vendor/model",
                "name": "Vendor: Model",
                "context_length": 65_536,
                "architecture": {"input_modalities": ["text", "image"]},
                "pricing": {
                    "prompt": "0.000001",
                    "completion": "0.000002",
                    "input_cache_read": "0.0000001",
                    "internal_reasoning": "0",
                    "web_search": "0.01",
                    "overrides": [{"min_prompt_tokens": 1000, "prompt": "0.000003"}],
                },
                "supported_parameters": ["tools", "temperature"],
                "top_provider": {"max_completion_tokens": 4096},
                "knowledge_cutoff": "2025-06-30",
                "expiration_date": "2027-01-01T00:00:00Z",
            }
        ]
    }
}


def make(target="openai/gpt-4o", *answers, **options):
    transport = ScriptedTransport(list(answers))
    return Client(target, api_key=KEY, transport=transport, max_retries=0, **options), transport


def test_the_list_is_joined_with_what_is_known(call):
    """Live names, bundled facts, the user's overrides."""
    client, _ = make("openai/gpt-4o", LISTED, model_overrides={"x": {"context_window": 9}})
    found = {model.id: model for model in call.models(client)}
    assert list(found) == ["gpt-4o", "gpt-6-sol", "text-embedding-3-small", "x"]
    assert found["gpt-4o"].context_window == 128_000
    assert found["gpt-4o"].pricing.output == 10
    assert found["text-embedding-3-small"].kind == "embedding"
    assert found["x"].context_window == 9
    assert {model.provider for model in found.values()} == {"openai"}


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ({"supports": "reasoning"}, ["gpt-6-sol"]),
        ({"supports": ["vision", "tools"]}, ["gpt-4o", "gpt-6-sol"]),
        ({"min_context": 200_000}, ["gpt-6-sol"]),
        ({"supports": "vision", "min_context": 1}, ["gpt-4o", "gpt-6-sol"]),
        ({}, ["gpt-4o", "gpt-6-sol", "text-embedding-3-small", "x"]),
    ],
)
def test_models_are_chosen_by_what_they_can_do(call, wanted, names):
    """What is unknown does not count as a capability."""
    client, _ = make("openai/gpt-4o", LISTED)
    assert [model.id for model in call.models(client, **wanted)] == names


@pytest.mark.parametrize("wanted", [{"supports": "magic"}, {"min_context": "large"}, {"min_context": True}])
def test_wishes_that_mean_nothing_are_refused(call, wanted):
    """Before anything is sent."""
    client, transport = make("openai/gpt-4o", LISTED)
    with pytest.raises(InvalidRequestError):
        call.models(client, **wanted)
    assert not transport.requests


@pytest.mark.parametrize(
    ("target", "hours"),
    [
        ("openai/m", 24),
        ("anthropic/m", 6),
        ("gemini/m", 2),
        ("openrouter/m", 12),
        ("qwen/m", 6),
        ("cerebras/m", 6),
        ("ollama/m", 1 / 12),
    ],
)
def test_a_list_is_kept_for_some_hours(call, target, hours):
    """Each provider's has its own lifetime."""
    page = {"json": {"data": [{"id": "m"}], "models": [{"name": "m"}]}}
    client, transport = make(target, page, page)
    call.models(client)
    transport._now += hours * 3600 - 1
    call.models(client)
    assert len(transport.requests) == 1
    transport._now += 2
    call.models(client)
    assert len(transport.requests) == 2


def test_a_list_is_fetched_again_on_request(call):
    """Although it is fresh."""
    client, transport = make("openai/m", LISTED, {"json": {"data": [{"id": "new"}]}})
    call.models(client)
    assert [model.id for model in call.models(client, refresh=True)] == ["new"]
    assert len(transport.requests) == 2


def test_an_old_list_serves_while_the_provider_is_away(call, caplog):
    """And the log tells; what is asked for anew fails."""
    busy = {"status": 503, "json": {"error": {"message": "down"}}}
    client, transport = make("openai/m", LISTED, busy, busy)
    call.models(client)
    transport._now += 90_000
    assert call.models(client)[0].id == "gpt-4o"
    assert "an older one is used" in caplog.text
    with pytest.raises(Exception, match="down"):
        call.models(client, refresh=True)


def test_a_refusal_is_no_absence(call):
    """A key that was revoked is told, although there is an old list."""
    client, transport = make("openai/m", LISTED, {"status": 401, "json": {"error": {"message": "revoked"}}})
    call.models(client)
    transport._now += 90_000
    with pytest.raises(Exception, match="revoked"):
        call.models(client)


def test_other_keys_have_their_own_list(call):
    """They may see other models."""
    client, transport = make("openai/m", LISTED, {"json": {"data": [{"id": "theirs"}]}})
    call.models(client)
    other = client.with_options(api_key="sk-other-0123456789")
    assert [model.id for model in call.models(other)] == ["theirs"]
    assert call.models(client)[0].id == "gpt-4o"
    assert len(transport.requests) == 2


def test_the_prices_of_openrouter_come_from_its_list(call):
    """With tiers, capabilities, dates; and cost by them."""
    answer = {
        "json": {
            "model": "vendor/model",
            "choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1_000, "completion_tokens": 1_000},
        }
    }
    client, _ = make("openrouter/vendor/model", answer, OPENROUTER, answer)
    assert call.chat(client, "Hello").cost is None
    (model,) = call.models(client)
    assert (model.context_window, model.max_output_tokens, model.name) == (65_536, 4096, "Vendor: Model")
    assert (model.knowledge, model.retires) == ("2025-06-30", "2027-01-01")
    told = {name: model.supports(name) for name in ("vision", "audio", "tools", "schema", "reasoning", "caching")}
    assert told == {
        "vision": True,
        "audio": False,
        "tools": True,
        "schema": False,
        "reasoning": False,
        "caching": None,
    }
    assert (model.pricing.input, model.pricing.cache_read, model.pricing.reasoning) == (1, Decimal("0.1"), None)
    assert model.pricing.web_searches == 10
    assert model.pricing.for_length(1001).input == 3
    assert call.chat(client, "Hello").cost == Decimal("0.003")


def test_what_is_known_of_a_model_needs_no_call():
    """The client's own by default."""
    client, transport = make()
    assert client.model_info().context_window == 128_000
    assert client.model_info("gpt-6-sol").max_output_tokens == 128_000
    assert client.model_info("unheard-of").context_window is None
    assert not transport.requests
    with pytest.raises(InvalidRequestError, match="No model"):
        Client(base_url="http://127.0.0.1:9/v1").model_info()


# ------------------------------------------------------------------------------------------------ estimates


def test_the_cost_of_a_call_is_estimated():
    """From the input alone to the longest answer."""
    client, transport = make()
    estimate = client.estimate_cost("word " * 1000, max_tokens=500)
    assert 900 < int(estimate.input_tokens) < 1100
    assert estimate.input_tokens.low < int(estimate.input_tokens) < estimate.input_tokens.high
    assert estimate.low == Decimal(estimate.input_tokens.low) * Decimal("2.5") / 1_000_000
    assert estimate.high == (Decimal(estimate.input_tokens.high) * Decimal("2.5") + 500 * 10) / 1_000_000
    assert client.estimate_cost("Hello").max_output_tokens == 16_384
    assert not transport.requests


def test_an_estimate_of_what_is_unknown_is_none():
    """Price or limit."""
    unknown, _ = make("openai/mystery")
    estimate = unknown.estimate_cost("Hello")
    assert (estimate.low, estimate.high, estimate.max_output_tokens) == (None, None, None)
    assert int(estimate.input_tokens) > 0
    with pytest.raises(InvalidRequestError):
        unknown.estimate_cost("")


def test_estimates_take_what_a_call_takes():
    """Functions as tools, a system prompt, defaults of the client."""

    def weather(city: str) -> str:
        """Tell the weather of a city, in one sentence."""
        return city

    client, _ = make(defaults={"system": "Be brief."})
    bare = int(client.estimate_tokens("Hello"))
    assert int(client.estimate_tokens("Hello", tools=[weather])) > bare + 20
    assert int(client.with_options(system="Be brief. " * 50).estimate_tokens("Hello")) > bare + 80


def test_an_estimate_is_near_the_count(world):
    """Where a provider counts."""
    with FakeServer() as server:
        client = server.client("anthropic/claude-sonnet-4-5")
        assert isinstance(world(client, "count_tokens", "Hello"), int)
        assert client.estimate_tokens("Hello").family == "claude"


def test_suggestions_of_an_error_use_the_list_that_was_fetched(call):
    """And the hint names them."""
    missing = {"status": 404, "json": {"error": {"message": "no such model", "code": "model_not_found"}}}
    client, _ = make("openai/gpt-6-soll", LISTED, missing)
    call.models(client)
    with pytest.raises(Exception, match="no such model") as caught:
        call.chat(client, "Hello")
    assert caught.value.suggested_models[0] == "gpt-6-sol"
    assert "gpt-6-sol" in caught.value.hint


@pytest.mark.parametrize("error", [RateLimitError("x"), APIConnectionError("x")])
def test_other_errors_suggest_nothing(error):
    """They are not about the model."""
    assert getattr(error, "suggested_models", ()) == ()


@pytest.mark.parametrize(
    ("items", "said"),
    [
        ([(0, [1.0]), (0, [2.0])], "indexes"),
        ([(1, [1.0]), (2, [2.0])], "indexes"),
        ([(0, [1.0]), (1, [])], "length"),
        ([(0, [1.0]), (1, [1.0, 2.0])], "length"),
        ([(0, []), (1, [])], "length"),
        ([(0, [1.0])], "2 texts were sent, 1 vectors"),
    ],
)
def test_vectors_that_fit_no_text_are_an_error(call, items, said):
    """Rather than those of another text."""
    page = {"json": {"data": [{"index": index, "embedding": vector} for index, vector in items]}}
    client = Client("openai/text-embedding-3-small", api_key="sk-0123456789", transport=ScriptedTransport([page]))
    with pytest.raises(InvalidResponseError, match=said):
        call.embed(client, ["a", "b"])


def test_vectors_come_in_the_order_of_the_texts(call):
    """However they were sent, and with indexes as texts, too."""
    items = [{"index": "1", "embedding": [2.0]}, {"index": "0", "embedding": [1.0]}]
    page = {"json": {"data": items}}
    client = Client("openai/text-embedding-3-small", api_key="sk-0123456789", transport=ScriptedTransport([page]))
    assert call.embed(client, ["a", "b"]).vectors == [[1.0], [2.0]]


def test_an_unknown_model_of_vectors_suggests_models_of_vectors(call):
    """And an unknown model of words none of them."""
    gone = {"status": 404, "json": {"error": {"code": "model_not_found", "message": "no such model"}}}
    client = Client("openai/text-embedding-3-smal", api_key="sk-0123456789", transport=ScriptedTransport([gone, gone]))
    with pytest.raises(ModelNotFoundError) as caught:
        call.embed(client, "a")
    assert "text-embedding-3-small" in caught.value.suggested_models
    assert all("embedding" in name for name in caught.value.suggested_models)
    with pytest.raises(ModelNotFoundError) as caught:
        call.chat(client, "a")
    assert not any("embedding" in name for name in caught.value.suggested_models)


def test_what_is_known_of_a_model_cannot_be_changed():
    """It is shared by all who ask."""
    model = Client("openai/gpt-4o", api_key="sk-0123456789", transport=ScriptedTransport([])).model_info("gpt-4o")
    with pytest.raises(AttributeError):
        model.context_window = 1
    with pytest.raises(AttributeError):
        model.pricing.input = 1


@pytest.mark.parametrize("wanted", [{"supports": 5}, {"min_context": -1}, {"min_context": True}, {"min_context": "8k"}])
def test_arguments_that_mean_nothing_are_refused(call, wanted):
    """Before anything is sent."""
    client = Client("openai/gpt-4o", api_key="sk-0123456789", transport=ScriptedTransport([]))
    with pytest.raises(InvalidRequestError):
        call.models(client, **wanted)
