"""The state of one token: how long it is valid, and how early it is refreshed. Plain state; clocks are arguments."""

from __future__ import annotations

from attrs import field, frozen

from provider_kit.auth.monitoring.metrics import CredentialMetrics
from provider_kit.errors import AuthError, ConfigError, ProviderKitError
from provider_kit.model.http_config import positive_seconds
from provider_kit.model.oauth import OAuthToken
from provider_kit.policies.retry import exponential

__all__ = ["RefreshStrategy", "TokenState"]

#: Seconds allowed for a request to reach the API.
_ON_ITS_WAY = 1.0
_FOREVER = float("inf")
#: Seconds after which a token that could not be stored is tried to be stored again.
_STORE_AGAIN = 5.0
#: Seconds without a refresh after consecutive failures: 1, 2, 4, … 60, and from the fifth on 60 to 480.
_FIRST_REST, _LONGEST_REST, _MANY, _LONGEST_OF_MANY = 1.0, 60.0, 5, 480.0
#: Latency of a refresh in seconds up to which the buffer is not enlarged.
_QUICK = 2.0
#: Share of failed requests from which the buffer is enlarged.
_FAILING = 0.1


@frozen(kw_only=True)
class RefreshStrategy:
    """When a token is refreshed, in seconds before its expiry."""

    buffer_time: float = field(default=300.0, validator=positive_seconds)
    #: Adapt to traffic, latency of refreshes, and failures, within the bounds.
    adaptive_buffer: bool = False
    #: Under load, refresh as early as ``max_buffer`` allows.
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
        """Seconds before expiry at which a token is refreshed.

        Args:
            metrics: The metrics of the credential; ``None`` if there are none.
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
        """Whether a token that expires at ``expires_at`` is to be refreshed at ``now`` (seconds since 1970)."""
        return expires_at is not None and expires_at - now <= self.calculate_buffer(metrics, now)


class TokenState:
    """The state of one token.
    Args:
        strategy: How early to refresh.
        enabled: Whether to refresh at all.
    """

    def __init__(self, strategy: RefreshStrategy, enabled: bool) -> None:
        self.strategy = strategy
        self.enabled = enabled
        self.metrics = CredentialMetrics()
        self.token: OAuthToken | None = None
        #: The stored token that the current one replaces but could not overwrite yet.
        self.unsaved = False
        self.replaces: OAuthToken | None = None
        #: Times on the clock until which it is used without a check, and until which it is valid.
        self.fresh_until = -_FOREVER
        self._good_until = -_FOREVER
        #: Time on the clock until which no refresh is tried after a failed one.
        self.rest_until = -_FOREVER
        self.last_error: ProviderKitError | None = None
        #: A refresh token that the server has rejected; it is not sent again.
        self.rejected_refresh_token: str | None = None
        #: Grows with each login and logout: results of earlier work are discarded.
        self.generation = 0
        #: How many logins and logouts are being stored; what is read meanwhile is older than they are.
        self.storing = 0
        #: Whether a token that a refresh brings after a logout is to be revoked.
        self.revoke_pending = False
        self._failures = 0

    # -------------------------------------------------------------------------------------------- the token

    def set_token(self, token: OAuthToken | None, now: float, time: float) -> None:
        """Set the current token; ``now`` is the clock, ``time`` the seconds since 1970."""
        self.token = token
        self.schedule(now, time)

    def schedule(self, now: float, time: float) -> None:
        """Compute when the token is to be refreshed, and when it expires."""
        token = self.token
        if token is None:
            self.fresh_until = self._good_until = -_FOREVER
            return
        remaining, lifetime = token.remaining(time), token.lifetime
        self._good_until = now + remaining
        self.fresh_until = self._fresh_until(token, remaining, lifetime, now, time)
        if self.unsaved:
            self.fresh_until = min(self.fresh_until, now + _STORE_AGAIN)

    def _fresh_until(
        self, token: OAuthToken, remaining: float, lifetime: float | None, now: float, time: float
    ) -> float:
        if remaining == _FOREVER or not self.can_refresh(token):
            return self._good_until
        buffer = self.strategy.calculate_buffer(self.metrics, time)
        if lifetime is not None:  # otherwise a short-lived token would be refreshed with each call
            buffer = min(buffer, lifetime / 2)
        return now + remaining - buffer

    def can_refresh(self, token: OAuthToken | None) -> bool:
        """Whether it can be refreshed without the user."""
        return self.enabled and token is not None and bool(token.refresh_token)

    def usable(self, now: float, rejected: str | None) -> OAuthToken | None:
        """The token, if it is valid long enough for a request, and not the refused one."""
        token = self.token
        if token is None or token.access_token == rejected:
            return None
        # A token that expires during the request would be refused, so it is refreshed first if possible.
        least = _ON_ITS_WAY if now >= self.fresh_until and self.can_refresh(token) else 0.0
        left = self._good_until - now
        return token if left > 0 and left >= least else None

    def fresh(self, now: float, rejected: str | None) -> OAuthToken | None:
        """The token, if it is not due for a refresh."""
        return self.usable(now, rejected) if now < self.fresh_until else None

    def serves(self, now: float, rejected: str | None) -> OAuthToken | None:
        """The token to use without a refresh: a fresh one, or a valid one after a recent failed refresh."""
        return self.usable(now, rejected) if now < self.fresh_until or now < self.rest_until else None

    # -------------------------------------------------------------------------------------------- outcomes

    def succeeded(self, latency: float, time: float) -> None:
        """A refresh returned a token."""
        self.reset_failures()
        self.metrics.record_refresh(True, latency, time)

    def reset_failures(self) -> None:
        """Reset the count of failures."""
        self._failures, self.rest_until, self.last_error, self.rejected_refresh_token = 0, -_FOREVER, None, None

    def failed(self, error: AuthError, now: float, time: float) -> None:
        """A refresh failed; none is tried for a while."""
        self._failures += 1
        if self._failures < _MANY:
            rest = exponential(self._failures, _FIRST_REST, 2.0, _LONGEST_REST)
        else:
            rest = exponential(self._failures - _MANY + 1, _LONGEST_REST, 2.0, _LONGEST_OF_MANY)
        self.rest_until = now + rest
        self.last_error = error
        self.metrics.record_refresh(False, 0.0, time)
