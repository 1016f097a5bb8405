"""What is counted of calls of one kind: their number, times, tokens, cost and errors. Plain state."""

from __future__ import annotations

from decimal import Decimal

from provider_kit.model.call_events import CallEnded
from provider_kit.model.usage import LinearPrices, Prices, Quote, Usage
from provider_kit.observability.histogram import Histogram

__all__ = ["CallSeries"]

_BUCKETS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
#: Prices by which tokens are kept apart until they are multiplied.
_MOST_PRICES = 100
#: Characters that are kept of an error's text.
_LONGEST_TEXT = 300


class CallSeries:
    """Calls of one provider, model and key, or the sum of several series."""

    __slots__ = (
        "_at_prices",
        "attempts",
        "cache_hits",
        "cancelled",
        "cost",
        "cost_is_minimum",
        "errors",
        "failures",
        "first_token",
        "generating",
        "health",
        "last_error",
        "last_error_time",
        "last_request_time",
        "last_success_time",
        "latency",
        "overhead",
        "streamed_tokens",
        "successes",
        "tokens",
        "total_tokens",
        "waited",
    )

    def __init__(self) -> None:
        self.successes = self.failures = self.cancelled = self.cache_hits = self.attempts = 0
        self.latency, self.first_token = Histogram(), Histogram()
        #: Tokens by bucket, in the order of ``_BUCKETS``.
        self.tokens = [0, 0, 0, 0, 0]
        self.total_tokens = 0
        #: Cost as far as it was looked up; tokens whose prices are the same for many calls are multiplied when asked.
        self.cost = Decimal(0)
        self.cost_is_minimum = False
        self._at_prices: dict[int, tuple[LinearPrices, list[int]]] = {}
        self.errors: dict[str, int] = {}
        self.waited = self.overhead = 0.0
        #: Output tokens of streams, and the seconds in which they arrived.
        self.streamed_tokens, self.generating = 0, 0.0
        self.last_request_time: float | None = None
        self.last_success_time: float | None = None
        self.last_error_time: float | None = None
        self.last_error: str | None = None
        #: Failures of the provider in a row.
        self.health = 0

    @property
    def requests(self) -> int:
        """Calls that have ended."""
        return self.successes + self.failures + self.cancelled

    def add(self, event: CallEnded) -> None:
        """Count a call."""
        self.last_request_time = event.time
        if event.outcome == "success":
            if event.cached:
                self.successes += 1
                self.cache_hits += 1
                self.last_success_time, self.health = event.time, 0
                return
            self.add_success(event.time, event.duration, event.waited, event.overhead, len(event.attempts))
        else:
            if event.outcome == "error":
                self._add_error(event)
            else:
                self.cancelled += 1
            self.latency.add(event.duration)
            self.waited += event.waited
            self.overhead += event.overhead
            self.attempts += len(event.attempts)
        usage = event.usage
        made = 0 if usage is None else self._add_usage(usage)
        if event.first_token is not None:
            self.add_speed(event.first_token, event.duration, made)

    def add_success(self, time: float, duration: float, waited: float, overhead: float, tries: int) -> None:
        """Count an answer, without its tokens."""
        self.successes += 1
        self.last_request_time = self.last_success_time = time
        self.health = 0
        self.latency.add(duration)
        self.waited += waited
        if overhead > 0:
            self.overhead += overhead
        self.attempts += tries

    def add_speed(self, first: float, duration: float, made: int) -> None:
        """Count the times of a stream.

        Args:
            first: Seconds to its first content.
            duration: Seconds it took.
            made: Tokens of its output.
        """
        self.first_token.add(first)
        if made and duration > first:
            self.streamed_tokens += made
            self.generating += duration - first

    def _add_error(self, event: CallEnded) -> None:
        self.failures += 1
        self.last_error_time = event.time
        error = event.error
        self.last_error = type(error).__name__ if error is None else f"{type(error).__name__}: {error.message}"
        self.last_error = self.last_error[:_LONGEST_TEXT]
        kind = event.error_type or ""
        self.errors[kind] = self.errors.get(kind, 0) + 1
        if kind.startswith("provider_"):
            self.health += 1

    def add_tokens(self, usage: Usage, prices: Prices, models: tuple[str | None, ...], time: float | None) -> int:
        """Count tokens and their cost; return the tokens of the output."""
        given, made = usage.input_tokens, usage.output_tokens
        pricing = prices.linear_pricing(models)
        if pricing is None or given is None or made is None or usage.details or usage.service_tier or usage.told_cost:
            usage.price_by(Quote(prices, models, time))
            return self._add_usage(usage)
        place = self._at_prices.get(id(pricing))
        if place is None:
            if len(self._at_prices) >= _MOST_PRICES:
                self.settle()
            place = self._at_prices[id(pricing)] = (pricing, [0, 0, 0, 0, 0])
        counts = place[1]
        counts[0] += given
        counts[1] += made
        if read := usage.cache_read_tokens:
            counts[2] += read
        if written := usage.cache_write_tokens:
            counts[3] += written
        if thought := usage.reasoning_tokens:
            counts[4] += thought
            made += thought
        self.total_tokens += usage.total_tokens or given + made + (read or 0) + (written or 0)
        return made

    def _add_usage(self, usage: Usage) -> int:
        """As :meth:`add_tokens`, where the cost is no multiple of the tokens, or not known."""
        counts = [getattr(usage, name) or 0 for name in _BUCKETS]
        self.tokens = [one + more for one, more in zip(self.tokens, counts, strict=True)]
        self.total_tokens += usage.total_tokens or sum(counts)
        cost = usage.cost
        if cost is not None:
            self.cost += cost
        if cost is None or usage.cost_is_minimum:
            self.cost_is_minimum = True
        return counts[1] + counts[4]

    def settle(self) -> None:
        """Multiply tokens by their prices."""
        places, self._at_prices = list(self._at_prices.values()), {}
        for pricing, counts in places:
            self.tokens = [one + more for one, more in zip(self.tokens, counts, strict=True)]
            cost = pricing.cost(Usage(counts[0], counts[1], counts[2], counts[3], counts[4]))
            if cost is None:
                self.cost_is_minimum = True
            else:
                self.cost += cost

    def merge(self, other: CallSeries) -> None:
        """Count the calls of another series, too."""
        other.settle()
        for name in ("successes", "failures", "cancelled", "cache_hits", "attempts", "total_tokens"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("waited", "overhead", "streamed_tokens", "generating"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.latency.merge(other.latency)
        self.first_token.merge(other.first_token)
        self.tokens = [one + more for one, more in zip(self.tokens, other.tokens, strict=True)]
        self.cost += other.cost
        self.cost_is_minimum = self.cost_is_minimum or other.cost_is_minimum
        for kind, count in other.errors.items():
            self.errors[kind] = self.errors.get(kind, 0) + count
        if (other.last_error_time or 0.0) > (self.last_error_time or 0.0):
            self.last_error = other.last_error
        if (other.last_request_time or 0.0) >= (self.last_request_time or 0.0):
            self.health = other.health
        for name in ("last_request_time", "last_success_time", "last_error_time"):
            times = [time for time in (getattr(self, name), getattr(other, name)) if time is not None]
            setattr(self, name, max(times, default=None))
