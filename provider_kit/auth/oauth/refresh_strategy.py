"""How early an access token is renewed: a fixed buffer, or one that follows traffic, latency and failures."""

from __future__ import annotations

from attrs import field, frozen

from provider_kit.auth.monitoring.metrics import CredentialMetrics
from provider_kit.errors import ConfigError
from provider_kit.model.http_config import positive_seconds

__all__ = ["RefreshStrategy"]

#: Seconds a refresh may take without making us earlier.
_QUICK = 2.0
#: Share of failures from which on we are more careful.
_FAILING = 0.1


@frozen(kw_only=True)
class RefreshStrategy:
    """When a token is renewed, in seconds before its expiry."""

    buffer_time: float = field(default=300.0, validator=positive_seconds)
    #: Follow traffic, latency of refreshes, and failures, within the bounds.
    adaptive_buffer: bool = False
    #: Under load, renew as early as ``max_buffer`` allows.
    preemptive_refresh: bool = False
    #: Bounds of an adaptive buffer, in seconds.
    min_buffer: float = field(default=60.0, validator=positive_seconds)
    max_buffer: float = field(default=900.0, validator=positive_seconds)
    #: Requests in an hour that count as load.
    load_threshold: float = field(default=100.0, validator=positive_seconds)

    def __attrs_post_init__(self) -> None:
        if self.min_buffer > self.max_buffer:
            raise ConfigError(
                f"min_buffer ({self.min_buffer:g}) is above max_buffer ({self.max_buffer:g}).",
                hint="The buffer is chosen between the two.",
            )

    @classmethod
    def default(cls) -> RefreshStrategy:
        """Five minutes before expiry."""
        return cls()

    @classmethod
    def adaptive(cls) -> RefreshStrategy:
        """Five minutes before expiry, earlier under load (up to 15 minutes) and later when idle."""
        return cls(adaptive_buffer=True, preemptive_refresh=True)

    @classmethod
    def conservative(cls) -> RefreshStrategy:
        """A quarter of an hour before expiry, half an hour under load."""
        return cls(
            buffer_time=900.0,
            adaptive_buffer=True,
            preemptive_refresh=True,
            min_buffer=600.0,
            max_buffer=1800.0,
            load_threshold=50.0,
        )

    def calculate_buffer(self, metrics: CredentialMetrics | None, now: float) -> float:
        """Seconds before expiry at which a token is renewed.

        Args:
            metrics: How the credential fared; ``None`` if nobody counted.
            now: Seconds since 1970.
        """
        if metrics is None or not metrics.request_count:
            return self.buffer_time
        load = metrics.requests_per_hour(now) / self.load_threshold
        if self.preemptive_refresh and load >= 1.0:
            return max(self.buffer_time, self.max_buffer)
        if not self.adaptive_buffer:
            return self.buffer_time
        factor = 0.5 + min(load, 1.0)  # idle: half of it; at the threshold: half as much again
        latency = metrics.average_refresh_latency
        if latency is not None and latency > _QUICK:
            factor *= min(2.0, latency / _QUICK)
        if metrics.error_count / metrics.request_count > _FAILING:
            factor *= 1.5
        return min(self.max_buffer, max(self.min_buffer, self.buffer_time * factor))

    def should_refresh(self, expires_at: float | None, metrics: CredentialMetrics | None, now: float) -> bool:
        """Whether a token that ends at ``expires_at`` is to be renewed at ``now`` (seconds since 1970)."""
        return expires_at is not None and expires_at - now <= self.calculate_buffer(metrics, now)
