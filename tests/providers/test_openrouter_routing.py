"""OpenRouter's routing: several models, preferences of providers, free models only."""

import json
from collections import Counter

import pytest

from provider_kit import Client, ConfigError, ScriptedTransport

ANSWER = {"json": {"model": "v/b", "choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}}


def bodies(call, count=1, target="openrouter/v/a", **options):
    transport = ScriptedTransport([ANSWER] * count)
    client = Client(target, api_key="sk-or-test-0123456789", transport=transport, **options)
    for _ in range(count):
        call.chat(client, "Hi")
    return [json.loads(request.body) for request in transport.requests]


def test_further_models_are_tried_in_their_order(call):
    """The first one is the client's."""
    (body,) = bodies(call, models=["v/b", "v/c", "v/a"])
    assert (body["model"], body["models"]) == ("v/a", ["v/a", "v/b", "v/c"])


def test_the_order_goes_round(call):
    """From request to request."""
    found = bodies(call, 4, models=["v/b", "v/c"], model_strategy="round-robin")
    assert [body["model"] for body in found] == ["v/a", "v/b", "v/c", "v/a"]
    assert found[1]["models"] == ["v/b", "v/c", "v/a"]


def test_the_order_may_be_random(call):
    """Each comes first."""
    found = bodies(call, 60, models=["v/b", "v/c"], model_strategy="random")
    assert set(Counter(body["model"] for body in found)) == {"v/a", "v/b", "v/c"}


def test_preferences_of_providers_are_passed_on(call):
    """As they are."""
    (body,) = bodies(call, options={"provider": {"order": ["anthropic"], "sort": "price", "zdr": True}})
    assert body["provider"] == {"order": ["anthropic"], "sort": "price", "zdr": True}


def test_only_what_is_free_is_used(call):
    """By the variant of the model, and by a price of nothing."""
    (body,) = bodies(call, options={"free_only": True, "models": ["v/b:free", "v/c"]})
    assert body["models"] == ["v/a:free", "v/b:free", "v/c:free"]
    assert body["provider"] == {"max_price": {"prompt": 0, "completion": 0}}
    (body,) = bodies(call, target="openrouter/openrouter/auto", options={"free_only": True})
    assert body["model"] == "openrouter/auto"


def test_without_options_nothing_is_added(call):
    """The request is the usual one."""
    (body,) = bodies(call)
    assert not {"models", "provider"} & body.keys()


def test_a_call_may_choose_others(call):
    """By the fields of the API."""
    transport = ScriptedTransport([ANSWER])
    client = Client("openrouter/v/a", api_key="sk-or-test-0123456789", transport=transport)
    call.chat(client, "Hi", extra_body={"models": ["v/x"], "provider": {"only": ["azure"]}})
    assert json.loads(transport.requests[0].body)["models"] == ["v/x"]


@pytest.mark.parametrize("strategy", ["fastest", "round robin"])
def test_an_unknown_strategy_is_refused(strategy):
    """When the client is made."""
    with pytest.raises(ConfigError, match="is unknown"):
        Client("openrouter/v/a", api_key="sk-or-test-0123456789", model_strategy=strategy)


def test_routing_comes_from_a_file(tmp_path):
    """In YAML."""
    path = tmp_path / "config.yaml"
    path.write_text(
        "providers:\n  openrouter:\n    api_key: sk-or-test-0123456789\n    models: [v/b, v/c]\n"
        "    free_only: true\n    provider: {sort: price}\n"
    )
    assert Client.from_config("openrouter", path).config.options == {
        "models": ("v/b", "v/c"),
        "free_only": True,
        "provider": {"sort": "price"},
    }
