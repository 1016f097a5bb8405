"""What is known of models: the user's overrides, the provider's list, the bundled catalog."""

import subprocess
import sys
from decimal import Decimal
from importlib.resources import files

import pytest

from provider_kit import (
    Client,
    ConfigError,
    ContextLengthExceededError,
    InvalidRequestError,
    Model,
    ModelNotFoundError,
    Pricing,
)
from provider_kit.catalog.bundled import bundled_catalog
from provider_kit.catalog.directory import ModelDirectory
from provider_kit.catalog.overrides import read_overrides

NOW = 1_795_000_000.0


def directory(provider="openai", overrides=None, base_url=""):
    return ModelDirectory(provider, provider, base_url, read_overrides(overrides or {}), 60.0)


@pytest.mark.parametrize(
    ("provider", "name", "window", "longest"),
    [
        ("openai", "gpt-6-sol", 1_050_000, 128_000),
        ("openai", "gpt-6-sol-2026-05-05", 1_050_000, 128_000),
        ("anthropic", "claude-opus-5-5", 1_000_000, 128_000),
        ("anthropic", "claude-haiku-4-5-20251001", 200_000, 64_000),
        ("gemini", "gemini-2.5-pro", 1_048_576, 65_536),
    ],
)
def test_windows_and_limits_are_known(provider, name, window, longest):
    """Under dated names, too."""
    found = directory(provider).info(name)
    assert (found.id, found.provider, found.context_window, found.max_output_tokens) == (
        name,
        provider,
        window,
        longest,
    )
    assert found.supports("tools") is True
    assert found.supports("caching") is True
    assert found.pricing.input > 0


def test_what_is_unknown_is_none():
    """Of a model that nothing tells of."""
    found = directory().info("mystery")
    assert found == Model("mystery", "openai")
    assert found.supports("vision") is None
    assert directory().find("mystery") is None


def test_capabilities_are_named_or_refused():
    """A misspelt one would pass as absent."""
    with pytest.raises(InvalidRequestError, match="'vison' is not a capability") as caught:
        Model("m").supports("vison")
    assert "Did you mean 'vision'" in caught.value.hint


def test_a_compact_date_is_understood():
    """As gateways write it."""
    assert directory("openai").bundled("gpt-4o-20241120").id == directory("openai").bundled("gpt-4o-2024-11-20").id


def test_a_server_is_known_by_its_address():
    """An OpenAI-compatible client of a provider that is in the catalog."""
    found = directory("openai_compatible", base_url="https://api.together.xyz/v1")
    assert any(found.find(model.id) is not None for model in bundled_catalog().models_of("together"))
    assert directory("openai_compatible", base_url="http://127.0.0.1:8000/v1").find("gpt-4o") is None


def test_azure_serves_the_models_of_others():
    """At its own prices, or theirs."""
    assert directory("azure").pricing("gpt-6-sol").input == directory("openai").pricing("gpt-6-sol").input


OVERRIDES = {
    "*": {"knowledge": "2026-01"},
    "house-*": {"context_window": 8192, "supports": ["tools"], "pricing": {"input": "1.5", "output": 6}},
    "house-large": {"context_window": 32_768, "features": {"vision": False}},
    "GPT-4o": {"pricing": {"input": 9, "output": 9}},
}


def test_overrides_win_by_glob_the_later_ones_most():
    """Names are compared without regard to case."""
    found = directory(overrides=OVERRIDES)
    small, large = found.info("house-small"), found.info("House-Large")
    assert (small.context_window, small.knowledge, small.supports("tools")) == (8192, "2026-01", True)
    assert (large.context_window, large.supports("vision"), large.supports("tools")) == (32_768, False, True)
    assert large.pricing == Pricing(input=Decimal("1.5"), output=Decimal(6))
    known = found.info("gpt-4o")
    assert (known.pricing.input, known.context_window) == (9, 128_000)
    assert known.pricing.cache_read is None  # prices of two sources are not mixed


def test_an_override_may_be_a_model():
    """As code has it."""
    found = directory(overrides={"m": Model("m", context_window=5, pricing=Pricing(input=Decimal(1)))})
    assert found.info("m").context_window == 5


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "must be a mapping"),
        ({5: {}}, "5 is no name"),
        ({"m": 5}, "'m' must be a mapping"),
        ({"m": {"context": 5}}, "unknown entry 'context'"),
        ({"m": {"context_window": "8k"}}, "must be a whole number of tokens, not '8k'"),
        ({"m": {"context_window": 0}}, "must be a whole number"),
        ({"m": {"pricing": 5}}, "must be a mapping such as"),
        ({"m": {"pricing": {"input": "free"}}}, "input must be US dollars per million tokens, not 'free'"),
        ({"m": {"supports": ["vison"]}}, "'vison' of 'm' is not one of"),
    ],
)
def test_overrides_that_cannot_be_understood_are_refused(given, said):
    """When the client is made."""
    with pytest.raises(ConfigError, match=said) as caught:
        Client("openai/gpt-4o", api_key="sk-test-0123456789", model_overrides=given)
    assert caught.value.hint


def test_overrides_of_a_file(tmp_path):
    """In YAML, below their provider; a mistake has its line."""
    path = tmp_path / "config.yaml"
    path.write_text(
        "providers:\n  openai:\n    api_key: sk-test-0123456789\n    model_overrides:\n"
        "      house-*:\n        context_window: 8192\n        pricing: {input: 1.5, output: 6}\n"
    )
    client = Client.from_config("openai/house-1", path)
    assert client.model_info().context_window == 8192
    assert client.model_info().pricing.output == 6
    path.write_text(path.read_text().replace("8192", "many"))
    with pytest.raises(ConfigError, match="not 'many'"):
        Client.from_config("openai", path)


def test_the_list_of_the_provider_comes_before_the_catalog():
    """Its prices, windows and capabilities; the rest is added."""
    found = directory()
    live = Model("gpt-4o", context_window=64, features={"vision": False}, pricing=Pricing(input=Decimal(7)))
    found.keep([live, Model("new")], 0.0)
    known = found.info("gpt-4o")
    assert (known.context_window, known.supports("vision"), known.supports("tools")) == (64, False, True)
    assert (known.max_output_tokens, known.pricing.input) == (16_384, 7)
    assert [model.id for model in found.listed()] == ["gpt-4o", "new"]
    assert (found.fresh(59.0), found.fresh(61.0)) == (True, False)


def test_the_same_facts_are_found_once():
    """The second question costs nothing."""
    found = directory()
    assert found.info("gpt-4o") is found.info("gpt-4o")


# ------------------------------------------------------------------------------------------------ suggestions


def test_larger_models_of_a_similar_price_come_first():
    """Retired and embedding models are never among them."""
    error = ContextLengthExceededError("too long")
    directory().suggest(error, "gpt-4o", NOW, tokens=500_000)
    known = [directory().info(name) for name in error.suggested_models]
    assert len(known) == 5
    assert all(model.context_window >= 500_000 for model in known)
    assert all(model.kind is None and not model.deprecated for model in known)
    ratios = [max(model.pricing.input / Decimal("2.5"), Decimal("2.5") / model.pricing.input) for model in known]
    assert ratios == sorted(ratios)
    assert "Models to try: " in error.hint


def test_the_providers_own_list_decides_what_is_offered():
    """A key may not use all there is."""
    found = directory()
    found.keep([Model("gpt-4o"), Model("gpt-6-sol"), Model("text-embedding-3-large")], 0.0)
    error = ContextLengthExceededError("too long")
    found.suggest(error, "gpt-4o", NOW)
    assert error.suggested_models == ("gpt-6-sol",)


def test_a_retired_model_is_not_offered():
    """By its date."""
    found = directory(overrides={"old-one": {"context_window": 100, "retires": "2020-01-01"}})
    found.keep([Model("old-one"), Model("old-two")], 0.0)
    error = ModelNotFoundError("no such model")
    found.suggest(error, "old-three", NOW)
    assert error.suggested_models == ("old-two",)


# ------------------------------------------------------------------------------------------------ what it costs


def test_nothing_is_loaded_until_it_is_asked_for():
    """Neither by the import, nor by a client, nor by a call, nor by the tokens of its answer."""
    program = """
import sys
from provider_kit import Client, ScriptedTransport
from provider_kit.catalog import bundled
import provider_kit.catalog.bundled as room
answer = {"json": {"model": "gpt-4o", "choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}],
                   "usage": {"prompt_tokens": 5, "completion_tokens": 7}}}
client = Client("openai/gpt-4o", api_key="sk-test-0123456789", transport=ScriptedTransport([answer]))
reply = client.chat("Hello")
assert reply.usage.input_tokens == 5
assert room.bundled_catalog.cache_info().currsize == 0, "loaded"
assert str(reply.cost) == "0.0000825", reply.cost
assert room.bundled_catalog.cache_info().currsize == 1, "not loaded"
assert "genai_prices" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_the_file_is_small():
    """It ships with the package."""
    assert files("provider_kit.catalog").joinpath("models.json").stat().st_size < 1_500_000


@pytest.mark.parametrize(
    "prices",
    [
        Pricing(input=1.5, output=2.5),
        Pricing(input="1.5", output="2.5"),
        Model("x", pricing=Pricing(input=1.5, output=2.5)),
    ],
)
def test_prices_given_as_objects_are_read_like_others(prices):
    """Numbers and texts become decimals."""
    facts = prices if isinstance(prices, Model) else {"pricing": prices}
    (_, model), *_ = read_overrides({"x": facts})
    assert model.pricing == Pricing(input=Decimal("1.5"), output=Decimal("2.5"))


@pytest.mark.parametrize(
    ("prices", "said"),
    [
        (Pricing(input="abc"), "input must be US dollars"),
        (Pricing(input=-1), "input must be US dollars"),
        (Pricing(input=1, above={500: {"input": -3}}), "input must be US dollars"),
        ({"above": {"big": {"input": 3}}}, "above must be a mapping"),
        ({"above": [1]}, "above must be a mapping"),
        ({"tiers": {"batch": 3}}, "prices must be a mapping"),
        ({"tiers": 3}, "tiers must be a mapping"),
    ],
)
def test_prices_that_are_none_are_told(prices, said):
    """When the client is made, not when a bill is due."""
    with pytest.raises(ConfigError, match=said):
        read_overrides({"x": {"pricing": prices}})
