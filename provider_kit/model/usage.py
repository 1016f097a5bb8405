"""The tokens of a call, and what they cost.

A usage knows its price without holding one: it is looked up when it is first asked for, since most callers never ask.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Protocol

from attrs import define, evolve, field, fields, frozen

__all__ = ["NOTHING_SENT", "LinearPrices", "Prices", "Quote", "Usage"]


class LinearPrices(Protocol):
    """Prices by which the sum of several usages costs the sum of their costs."""

    def cost(self, usage: Usage) -> Decimal | None:
        """What a usage costs, in US dollars; ``None`` if unknown."""
        ...


class Prices(Protocol):
    """Knows the prices of models."""

    def cost_of(self, usage: Usage, models: tuple[str | None, ...], time: float | None) -> Decimal | None:
        """What a usage costs in US dollars; ``None`` if unknown.

        Args:
            usage: The tokens.
            models: The names the model may be known by, the best one first.
            time: When it was used, in seconds since 1970; ``None``: now.
        """
        ...

    def linear_pricing(self, models: tuple[str | None, ...]) -> LinearPrices | None:
        """Prices that many usages may be multiplied by at once; ``None`` if there are none, or none are known yet."""
        ...


@frozen
class Quote:
    """Where the price of a usage is found."""

    prices: Prices
    models: tuple[str | None, ...]
    time: float | None

    def cost(self, usage: Usage) -> Decimal | None:
        """What a usage costs in US dollars."""
        return self.prices.cost_of(usage, self.models, self.time)


class _Free:
    def linear_pricing(self, models: tuple[str | None, ...]) -> LinearPrices | None:
        """None."""
        return None

    def cost_of(self, usage: Usage, models: tuple[str | None, ...], time: float | None) -> Decimal | None:
        """Nothing."""
        return Decimal(0)


#: The price of an answer from the response cache.
NOTHING_SENT = Quote(_Free(), (), None)
#: Usages of a sum whose prices are still to be looked up; beyond that they are.
_MOST_PENDING = 16


@define(repr=False)
class Usage:
    """Tokens of one call, in buckets that do not overlap. ``None`` means the provider did not report it.

    ``input_tokens`` excludes what was read from or written to the prompt cache; ``output_tokens`` excludes reasoning
    where the provider reports it separately. :attr:`prompt_tokens` and :attr:`completion_tokens` are the sums that
    OpenAI's API calls by these names. Two usages are equal if their tokens are; costs are compared by :attr:`cost`.
    """

    #: Prompt tokens that were neither read from nor written to the cache.
    input_tokens: int | None = None
    #: Visible output tokens.
    output_tokens: int | None = None
    #: Prompt tokens read from the provider's cache.
    cache_read_tokens: int | None = None
    #: Prompt tokens written to the provider's cache.
    cache_write_tokens: int | None = None
    #: Output tokens spent on reasoning.
    reasoning_tokens: int | None = None
    #: All tokens, as the provider counted them, else the sum of the buckets.
    total_tokens: int | None = None
    _cost: Decimal | None = field(default=None, repr=False, eq=False)
    #: The provider's own usage object.
    raw: dict[str, Any] | None = field(default=None, repr=False, eq=False)
    #: Tokens of the buckets that may have a price of their own: ``input_audio``, ``output_audio``, ``input_image``,
    #: ``output_image``, ``cache_write_1h``; and ``web_searches``, a number of searches.
    details: Mapping[str, int] | None = field(default=None, kw_only=True)
    #: The service tier the provider billed, where it told one: ``batch``, ``flex``, ``priority``, ``fast`` and so on.
    service_tier: str | None = field(default=None, kw_only=True)
    #: Whether more may have been billed than is known: an answer was cut off, or an attempt's outcome is unknown.
    cost_is_minimum: bool = field(default=False, kw_only=True)
    _pending: tuple[Usage, ...] = field(default=(), init=False, repr=False, eq=False)
    _quote: Quote | None = field(default=None, init=False, repr=False, eq=False)
    _priced: Decimal | None = field(default=None, init=False, repr=False, eq=False)
    _is_priced: bool = field(default=False, init=False, repr=False, eq=False)

    @property
    def told_cost(self) -> Decimal | None:
        """The cost as the provider told it."""
        return self._cost

    @property
    def cost(self) -> Decimal | None:
        """Price in US dollars; the provider's own figure, else by the prices that are known, ``None`` if unknown."""
        if self._cost is not None:
            return self._cost
        # Stored before it counts as known: another thread may ask meanwhile.
        quote, pending = self._quote, self._pending
        if not self._is_priced and (quote is not None or pending):
            self._priced = _total(pending) if quote is None else quote.cost(self)
            self._is_priced = True
        return self._priced

    @property
    def prompt_tokens(self) -> int | None:
        """All input tokens, cached ones included."""
        return _sum(self.input_tokens, self.cache_read_tokens, self.cache_write_tokens)

    @property
    def completion_tokens(self) -> int | None:
        """All output tokens, reasoning included."""
        return _sum(self.output_tokens, self.reasoning_tokens)

    def __repr__(self) -> str:
        told = {name: getattr(self, name) for name in _STATE if name != "raw"}
        known = {name: value for name, value in told.items() if value is not None and value is not False}
        if self._cost is not None:
            known["cost"] = self._cost
        return f"Usage({', '.join(f'{name}={value!r}' for name, value in known.items())})"

    def price_by(self, quote: Quote) -> None:
        """Look the cost up there when it is first asked for, unless the provider told it."""
        if self._cost is None and not self._pending:
            self._quote, self._is_priced = quote, False

    def at_least(self) -> Usage:
        """The same, marked as a minimum."""
        made = evolve(self, cost_is_minimum=True)
        made._pending, made._quote = self._pending, self._quote
        made._priced, made._is_priced = self._priced, self._is_priced
        return made

    def __add__(self, other: Usage) -> Usage:
        """The usage of two calls: what neither reported stays ``None``.

        So does a cost that one did not report, unless that one is a minimum anyway: then the sum is one, too.
        """
        counts: dict[str, Any] = {name: _sum(getattr(self, name), getattr(other, name)) for name in _BUCKETS}
        made = Usage(**counts, cost_is_minimum=self.cost_is_minimum or other.cost_is_minimum)
        if self.details or other.details:
            details = dict(self.details or {})
            for name, count in (other.details or {}).items():
                details[name] = details.get(name, 0) + count
            made.details = details
        pending = (*(self._pending or (self,)), *(other._pending or (other,)))
        if len(pending) <= _MOST_PENDING:
            made._pending = pending
        else:
            made._priced, made._is_priced = _total(pending), True
            made._pending = (_summed(made),)
        return made

    def __getstate__(self) -> dict[str, Any]:
        return {"_cost": self._cost, "_priced": self.cost, **{name: getattr(self, name) for name in _STATE}}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self._pending, self._quote, self._is_priced = (), None, True
        for name, value in state.items():
            setattr(self, name, value)

    @classmethod
    def from_totals(
        cls,
        prompt: int | None,
        completion: int | None,
        *,
        cache_read: int | None = None,
        cache_write: int | None = None,
        reasoning: int | None = None,
        total: int | None = None,
        cost: Decimal | None = None,
        raw: dict[str, Any] | None = None,
        details: Mapping[str, int] | None = None,
        service_tier: str | None = None,
    ) -> Usage:
        """Split totals into disjoint buckets; nothing becomes negative.

        Usually the prompt includes cached tokens and the completion includes reasoning. Where parts exceed the whole,
        or the total shows that they were counted separately, they are added; parts that exceed a whole which the total
        confirms are reduced to it, so that no sum exceeds what the provider reported.
        """
        read, written, thought = cache_read or 0, cache_write or 0, reasoning or 0
        if prompt is not None and completion is not None:
            whole = prompt + completion
            if read + written <= prompt and thought <= completion and total in (None, whole):  # the common case
                return cls(
                    prompt - read - written,
                    completion - thought,
                    cache_read,
                    cache_write,
                    reasoning,
                    whole,
                    cost,
                    raw,
                    details=details,
                    service_tier=service_tier,
                )
            prompt, completion = _wholes(prompt, completion, read, written, thought, total)
            total = prompt + completion if total is None else total
            cache_read = _at_most(cache_read, prompt)
            cache_write = _at_most(cache_write, prompt - (cache_read or 0))
            reasoning = _at_most(reasoning, completion)
        uncached = None if prompt is None else max(0, prompt - (cache_read or 0) - (cache_write or 0))
        visible = None if completion is None else max(0, completion - (reasoning or 0))
        return cls(
            uncached,
            visible,
            cache_read,
            cache_write,
            reasoning,
            total,
            cost,
            raw,
            details=details,
            service_tier=service_tier,
        )


def _wholes(
    prompt: int, completion: int, read: int, written: int, reasoning: int, total: int | None
) -> tuple[int, int]:
    """All tokens of the prompt and of the completion, wherever their parts were counted."""
    if total is not None:
        for all_of_prompt in (prompt, prompt + read + written, prompt + read):
            for all_of_completion in (completion, completion + reasoning):
                if all_of_prompt + all_of_completion == total:
                    return all_of_prompt, all_of_completion
    if max(read, written) > prompt:
        prompt += read + written
    if reasoning > completion:
        completion += reasoning
    return prompt, completion


def _at_most(part: int | None, whole: int) -> int | None:
    return None if part is None else min(part, whole)


def _sum(*numbers: int | None) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None


def _summed(usage: Usage) -> Usage:
    """A usage that stands for a sum whose price is known, in further sums."""
    made = Usage(cost=usage._priced, cost_is_minimum=usage.cost_is_minimum)
    made._is_priced = True
    return made


def _total(usages: tuple[Usage, ...]) -> Decimal | None:
    """The sum of costs; unknown if one is, except where it is a minimum anyway."""
    costs = [(one.cost, one.cost_is_minimum) for one in usages]
    if any(cost is None and not minimum for cost, minimum in costs):
        return None
    known = [cost for cost, _ in costs if cost is not None]
    return sum(known, Decimal(0)) if known else None


#: The counts of a usage, in the order of its fields.
_BUCKETS = tuple(one.name for one in fields(Usage) if one.name.endswith("_tokens"))
_STATE = tuple(one.name for one in fields(Usage) if not one.name.startswith("_"))
