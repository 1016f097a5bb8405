"""What is known of one token: until when it is good, and how early it is renewed. Plain state; clocks are arguments."""

from __future__ import annotations

from attrs import field, frozen

from provider_kit.auth.monitoring.metrics import CredentialMetrics
from provider_kit.errors import AuthError, ConfigError, ProviderKitError
from provider_kit.model.http_config import positive_seconds
from provider_kit.model.oauth import OAuthToken
from provider_kit.policies.retry import exponential

__all__ = ["RefreshStrategy", "TokenState"]

#: Seconds that a request may be on its way.
_ON_ITS_WAY = 1.0
_FOREVER = float("inf")
#: Seconds without a refresh after failed ones in a row: 1, 2, 4, … 60, and from the fifth on 60 to 480.
_FIRST_REST, _LONGEST_REST, _MANY, _LONGEST_OF_MANY = 1.0, 60.0, 5, 480.0
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


class TokenState:
    """One token.

    Args:
        strategy: How early to refresh.
        enabled: Whether to refresh at all.
    """

    def __init__(self, strategy: RefreshStrategy, enabled: bool) -> None:
        self.strategy = strategy
        self.enabled = enabled
        self.metrics = CredentialMetrics()
        self.token: OAuthToken | None = None
        #: The stored token that the present one replaces, while it could not be stored itself.
        self.unsaved = False
        self.replaces: OAuthToken | None = None
        #: Clock readings: until then it is used without a thought; until then it is good at all.
        self.fresh_until = -_FOREVER
        self._good_until = -_FOREVER
        #: Clock reading until which no refresh is tried, after a failed one.
        self.rest_until = -_FOREVER
        self.last_error: ProviderKitError | None = None
        #: A refresh token that the server has called invalid; it is not shown to it again.
        self.rejected_refresh_token: str | None = None
        #: Grows with each login and logout: what was under way before is of no use after it.
        self.generation = 0
        self._failures = 0

    # -------------------------------------------------------------------------------------------- the token

    def set_token(self, token: OAuthToken | None, now: float, time: float) -> None:
        """This is the token from now on; ``now`` is the clock, ``time`` the seconds since 1970."""
        self.token = token
        self.schedule(now, time)

    def schedule(self, now: float, time: float) -> None:
        """Work out when the token is to be refreshed, and when it ends."""
        token = self.token
        if token is None:
            self.fresh_until = self._good_until = -_FOREVER
            return
        remaining, lifetime = token.remaining(time), token.lifetime
        self._good_until = now + remaining
        if remaining == _FOREVER or not self.can_refresh(token):
            self.fresh_until = self._good_until
            return
        buffer = self.strategy.calculate_buffer(self.metrics, time)
        if lifetime is not None:  # or a short-lived token would be refreshed with each call
            buffer = min(buffer, lifetime / 2)
        self.fresh_until = now + remaining - buffer

    def can_refresh(self, token: OAuthToken | None) -> bool:
        """Whether it can be renewed without the user."""
        return self.enabled and token is not None and bool(token.refresh_token)

    def usable(self, now: float, rejected: str | None) -> OAuthToken | None:
        """The token, if it is good long enough to arrive, and not the one that was refused."""
        token = self.token
        if token is None or token.access_token == rejected:
            return None
        # One that ends on its way would be refused; one that can be refreshed is refreshed before.
        least = _ON_ITS_WAY if now >= self.fresh_until and self.can_refresh(token) else 0.0
        left = self._good_until - now
        return token if left > 0 and left >= least else None

    def fresh(self, now: float, rejected: str | None) -> OAuthToken | None:
        """The token, if it need not even be refreshed."""
        return self.usable(now, rejected) if now < self.fresh_until else None

    def serves(self, now: float, rejected: str | None) -> OAuthToken | None:
        """The token to use without a refresh: a fresh one, or a good one where refreshing has just failed."""
        return self.usable(now, rejected) if now < self.fresh_until or now < self.rest_until else None

    # -------------------------------------------------------------------------------------------- outcomes

    def succeeded(self, latency: float, time: float) -> None:
        """A refresh brought a token."""
        self.reset_failures()
        self.metrics.record_refresh(True, latency, time)

    def reset_failures(self) -> None:
        """Past failures count no more."""
        self._failures, self.rest_until, self.last_error, self.rejected_refresh_token = 0, -_FOREVER, None, None

    def failed(self, error: AuthError, now: float, time: float) -> None:
        """A refresh failed; no other one is tried for a while."""
        self._failures += 1
        if self._failures < _MANY:
            rest = exponential(self._failures, _FIRST_REST, 2.0, _LONGEST_REST)
        else:
            rest = exponential(self._failures - _MANY + 1, _LONGEST_REST, 2.0, _LONGEST_OF_MANY)
        self.rest_until = now + rest
        self.last_error = error
        self.metrics.record_refresh(False, 0.0, time)
