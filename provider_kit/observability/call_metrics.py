"""The numbers of some calls, as they are shown."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal, TypeAlias

from attrs import asdict, field, frozen

from provider_kit.observability.histogram import Percentiles

__all__ = ["CallMetrics", "ErrorSummary", "Health", "MetricsSnapshot"]

Health: TypeAlias = Literal["unknown", "healthy", "degraded", "unhealthy"]


@frozen(kw_only=True)
class CallMetrics:
    """Numbers of some calls: of all, or those of one provider, model or key. Durations are in seconds."""

    request_count: int = 0
    success_count: int = 0
    error_count: int = 0
    #: Calls whose caller left, and targets that a faster one made unnecessary.
    cancelled_count: int = 0
    #: Successes that came from the response cache: they used no tokens, and their durations are not counted.
    cache_hit_count: int = 0
    #: Requests that were sent, retries included.
    attempt_count: int = 0
    #: Duration of all calls together, and on average.
    total_latency: float = 0.0
    average_latency: float | None = None
    #: Duration of calls.
    latency: Percentiles = field(factory=Percentiles)
    #: Time to the first content of streams.
    first_token: Percentiles = field(factory=Percentiles)
    #: Time spent waiting for limits and keys, and in this library itself.
    total_wait: float = 0.0
    total_overhead: float = 0.0
    #: All tokens, and those of each bucket, which do not overlap, see :class:`Usage`.
    tokens_used: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    #: Speed of streams, from their first content on.
    tokens_per_second: float | None = None
    #: US dollars, as far as prices are known.
    cost: Decimal = Decimal(0)
    #: Whether there were calls whose cost is not, or not fully, known.
    cost_is_minimum: bool = False
    #: Seconds since 1970.
    last_request_time: float | None = None
    last_success_time: float | None = None
    last_error_time: float | None = None
    last_error: str | None = None
    #: By the outcome of the latest calls: ``degraded`` after a failure of the provider, ``unhealthy`` after three in a
    #: row.
    health_status: Health = "unknown"
    #: Number of errors by :func:`provider_kit.error_type`.
    errors: Mapping[str, int] = field(factory=dict)

    @property
    def success_rate(self) -> float | None:
        """Share of the answered calls among those that were not cancelled; ``None`` before the first."""
        ended = self.success_count + self.error_count
        return self.success_count / ended if ended else None

    def to_dict(self) -> dict[str, Any]:
        """All numbers as JSON can hold them."""
        return {**asdict(self), "cost": str(self.cost), "success_rate": self.success_rate}


@frozen(kw_only=True)
class MetricsSnapshot:
    """The numbers at one moment."""

    total: CallMetrics
    by_provider: Mapping[str, CallMetrics]
    by_model: Mapping[str, CallMetrics]
    #: By the hash that names a key.
    by_key: Mapping[str, CallMetrics]
    #: Rare events by name: ``rate_limit``, ``key_switch``, ``circuit_open``, ``failover`` and so on.
    events: Mapping[str, int]

    def to_dict(self) -> dict[str, Any]:
        """All numbers as JSON can hold them."""
        groups = {"by_provider": self.by_provider, "by_model": self.by_model, "by_key": self.by_key}
        found: dict[str, Any] = {"total": self.total.to_dict(), "events": dict(self.events)}
        for name, group in groups.items():
            found[name] = {one: numbers.to_dict() for one, numbers in group.items()}
        return found


@frozen
class ErrorSummary:
    """The errors of one type."""

    #: In the vocabulary of :func:`provider_kit.error_type`.
    type: str
    count: int
    #: The latest one: its text, provider, model, and when it was, in seconds since 1970.
    last_error: str
    provider: str
    model: str | None
    time: float
