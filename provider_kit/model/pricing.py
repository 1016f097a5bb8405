"""Prices of a model, and what a usage costs at them. Unknown is ``None``, never zero."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any

from attrs import asdict, evolve, field, fields, frozen

if TYPE_CHECKING:
    from provider_kit.model.usage import Usage

__all__ = ["Pricing", "read_pricing", "write_pricing"]

_MILLION = Decimal(1_000_000)
_THOUSAND = Decimal(1_000)
#: The prices that may apply to the tokens of each bucket, the most specific first.
_PLAIN_BUCKETS = {
    "input_tokens": ("input",),
    "cache_read_tokens": ("cache_read", "input"),
    "cache_write_tokens": ("cache_write", "input"),
    "output_tokens": ("output",),
    "reasoning_tokens": ("reasoning", "output"),
}


@frozen(kw_only=True)
class Pricing:
    """US dollars per million tokens; ``None`` if unknown.

    What has no price of its own is billed at that of the bucket it belongs to: reasoning as output, cached tokens as
    input, audio as text.
    """

    input: Decimal | None = None
    output: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    #: Writing to a cache that lives for an hour.
    cache_write_1h: Decimal | None = None
    reasoning: Decimal | None = None
    input_audio: Decimal | None = None
    output_audio: Decimal | None = None
    cache_read_audio: Decimal | None = None
    input_image: Decimal | None = None
    output_image: Decimal | None = None
    cache_read_image: Decimal | None = None
    #: US dollars per thousand web searches of the provider.
    web_searches: Decimal | None = None
    #: US dollars per thousand requests.
    requests: Decimal | None = None
    #: What changes with the length of a request: above so many input tokens all of it costs these prices instead.
    above: tuple[tuple[int, Pricing], ...] = ()
    #: Whole prices of other service tiers: ``batch``, ``flex``, ``priority``, ``fast``.
    tiers: Mapping[str, Pricing] = field(factory=dict)

    def for_length(self, input_tokens: int) -> Pricing:
        """The prices of a request with so many input tokens, cached ones included."""
        found = self
        for start, changed in self.above:
            if input_tokens > start:
                found = evolve(self, **{name: value for name in RATES if (value := getattr(changed, name)) is not None})
        return found

    @cached_property
    def _plain(self) -> tuple[Decimal | None, ...]:
        """The prices of the five buckets of a usage that has no details."""
        of = [
            [rate for name in names if (rate := getattr(self, name)) is not None] for names in _PLAIN_BUCKETS.values()
        ]
        return tuple(rates[0] if rates else None for rates in of)

    def _of_plain(self, usage: Usage) -> Decimal | None:
        """What the tokens of a usage without details cost; ``None`` if a price they need is unknown."""
        total = Decimal(0)
        for rate, name in zip(self._plain, _PLAIN_BUCKETS, strict=True):
            count: int | None = getattr(usage, name)
            if count:
                if rate is None:
                    return None
                total += rate * count
        return total / _MILLION

    def cost(self, usage: Usage) -> Decimal | None:
        """What a usage costs, in US dollars; ``None`` if its tokens, or a price they need, are unknown.

        Args:
            usage: Its :attr:`~Usage.service_tier` chooses the prices, its length the tier.
        """
        prompt = usage.prompt_tokens
        if prompt is None or (self.output and usage.completion_tokens is None):
            return None
        prices = self
        if usage.service_tier:
            if usage.service_tier not in self.tiers:
                return None  # it has a price of its own, which is not known
            prices = self.tiers[usage.service_tier]
        if prices.above:
            prices = prices.for_length(prompt)
        parts = usage.details or {}
        if not parts:
            total = prices._of_plain(usage)
            return total if total is None or prices.requests is None else total + prices.requests / _THOUSAND
        total = Decimal(0)
        for count, names in _buckets(usage, parts):
            if count:
                rate = next((rate for name in names if (rate := getattr(prices, name)) is not None), None)
                if rate is None:
                    return None
                total += rate * count / _MILLION
        searches = parts.get("web_searches", 0)
        if searches:
            if prices.web_searches is None:
                return None
            total += prices.web_searches * searches / _THOUSAND
        if prices.requests is not None:
            total += prices.requests / _THOUSAND
        return total


#: The prices themselves.
RATES = tuple(one.name for one in fields(Pricing) if one.name not in ("above", "tiers"))


def _buckets(usage: Usage, parts: Mapping[str, int]) -> list[tuple[int, tuple[str, ...]]]:
    """Numbers of tokens that do not overlap, each with the prices that may apply, the most specific first."""
    read, written = usage.cache_read_tokens or 0, usage.cache_write_tokens or 0
    output, reasoning = usage.output_tokens or 0, usage.reasoning_tokens or 0
    get = parts.get
    fresh = usage.input_tokens or 0
    read_audio, read_image = get("cache_read_audio", 0), get("cache_read_image", 0)
    # What exceeds the input that was not cached must have been cached.
    audio = min(fresh, max(0, get("input_audio", 0) - read_audio))
    image = min(fresh - audio, max(0, get("input_image", 0) - read_image))
    read_audio, read_image = min(read, get("input_audio", 0) - audio), min(read, get("input_image", 0) - image)
    long_lived = min(written, get("cache_write_1h", 0))
    spoken, drawn = get("output_audio", 0), get("output_image", 0)
    return [
        (fresh - audio - image, ("input",)),
        (audio, ("input_audio", "input")),
        (image, ("input_image", "input")),
        (max(0, read - read_audio - read_image), ("cache_read", "input")),
        (read_audio, ("cache_read_audio", "cache_read", "input_audio", "input")),
        (read_image, ("cache_read_image", "cache_read", "input_image", "input")),
        (written - long_lived, ("cache_write", "input")),
        (long_lived, ("cache_write_1h", "cache_write", "input")),
        (max(0, output - spoken - drawn), ("output",)),
        (spoken, ("output_audio", "output")),
        (drawn, ("output_image", "output")),
        (reasoning, ("reasoning", "output")),
    ]


def read_pricing(given: Any) -> Pricing:
    """Prices from the form of the bundled file and of YAML, or from others, which are checked.

    Raises:
        ValueError: Something in it is not a price; the text says what.
    """
    if isinstance(given, Pricing):
        given = asdict(given, recurse=False)
    if not isinstance(given, Mapping):
        raise ValueError(f"prices must be a mapping such as {{input: 1.5, output: 6}}, not {given!r}")
    made: dict[str, Any] = {}
    for name, value in given.items():
        if name == "above":
            made["above"] = _steps(value)
        elif name == "tiers":
            if not isinstance(value, Mapping):
                raise ValueError("tiers must be a mapping from names of tiers to their prices")
            made["tiers"] = {str(tier): read_pricing(changes) for tier, changes in value.items()}
        elif name in RATES:
            made[name] = _rate(name, value)
        else:
            raise ValueError(f"{name!r} is not one of {', '.join((*RATES, 'above', 'tiers'))}")
    return Pricing(**made)


def _steps(value: Any) -> tuple[tuple[int, Pricing], ...]:
    pairs = value.items() if isinstance(value, Mapping) else value
    try:
        steps = {int(start): changes for start, changes in pairs}
    except (ValueError, TypeError):
        raise ValueError("above must be a mapping from numbers of tokens to prices, as {200000: {input: 3}}") from None
    return tuple((start, read_pricing(steps[start])) for start in sorted(steps))


def write_pricing(pricing: Pricing) -> dict[str, Any]:
    """Prices as JSON; :func:`read_pricing` reads it."""
    made: dict[str, Any] = {name: str(rate) for name in RATES if (rate := getattr(pricing, name)) is not None}
    if pricing.above:
        made["above"] = [[start, write_pricing(changes)] for start, changes in pricing.above]
    if pricing.tiers:
        made["tiers"] = {tier: write_pricing(prices) for tier, prices in pricing.tiers.items()}
    return made


def _rate(name: str, value: Any) -> Decimal | None:
    if value is None:
        return None
    try:
        if isinstance(value, bool):
            raise TypeError
        rate = value if isinstance(value, Decimal) else Decimal(str(value))
    except (ArithmeticError, TypeError):
        rate = Decimal(-1)
    if not rate.is_finite() or rate < 0:
        raise ValueError(f"{name} must be US dollars per million tokens, not {value!r}")
    return rate
