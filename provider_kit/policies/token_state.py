"""What is known of one token, and whose turn it is to refresh it. Plain state; the clocks are arguments."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from attrs import define, field

from provider_kit.auth.credential_metrics import CredentialMetrics
from provider_kit.auth.refresh_strategy import RefreshStrategy
from provider_kit.errors import AuthError, ProviderKitError
from provider_kit.model.oauth import OAuthToken
from provider_kit.policies.after_fork import renew_after_fork

__all__ = ["Flight", "TokenState"]

_FOREVER = float("inf")
#: Seconds without a refresh after failed ones in a row: 1, 2, 4, … 60, and from the fifth on 60 to 480.
_FIRST_REST, _LONGEST_REST, _MANY, _LONGEST_OF_MANY = 1.0, 60.0, 5, 480.0


class _Wakes(Protocol):
    def wake(self) -> None: ...


@define(eq=False)
class Flight:
    """A refresh under way, and who waits for it."""

    waiters: list[_Wakes] = field(factory=list)
    done: bool = False
    error: ProviderKitError | None = None
    #: What somebody is told of afterwards, when nobody waits any more.
    news: list[tuple[str, Exception | None]] = field(factory=list)


class TokenState:
    """One token: until when it is good, and who refreshes it.

    Args:
        token: The token to begin with, which is in no storage yet.
        strategy: How early to refresh.
        enabled: Whether to refresh at all.
    """

    def __init__(self, token: OAuthToken | None, strategy: RefreshStrategy, enabled: bool) -> None:
        self.strategy = strategy
        self.enabled = enabled
        self.metrics = CredentialMetrics()
        self.token = token
        #: Whether the token is not in the storage yet: it was given, or storing it failed.
        self.unsaved = token is not None
        #: Clock readings: until then it is used without a thought; until then it is good at all.
        self.fresh_until = -_FOREVER
        self._good_until = -_FOREVER
        #: Clock reading until which no refresh is tried, after a failed one.
        self.rest_until = -_FOREVER
        self.last_error: ProviderKitError | None = None
        #: A refresh token that the server has called invalid; it is not shown to it again.
        self.spent: str | None = None
        self._failures = 0
        self._flight: Flight | None = None
        self._lock = threading.RLock()
        renew_after_fork(self)

    def _after_fork(self) -> None:
        self._lock = threading.RLock()
        self._flight = None

    # -------------------------------------------------------------------------------------------- the token

    def adopt(self, token: OAuthToken | None, now: float, time: float) -> None:
        """This is the token from now on; ``now`` is the clock, ``time`` the seconds since 1970."""
        self.token = token
        self.schedule(now, time)

    def schedule(self, now: float, time: float) -> None:
        """Work out when the token is to be refreshed, and when it ends."""
        token = self.token
        if token is None:
            self.fresh_until = self._good_until = -_FOREVER
            return
        remaining = token.remaining(time)
        self._good_until = now + remaining
        if remaining == _FOREVER or not self.can_refresh(token):
            self.fresh_until = self._good_until
            return
        buffer = self.strategy.calculate_buffer(self.metrics, time)
        if token.lifetime is not None:  # or a short-lived token would be refreshed with each call
            buffer = min(buffer, token.lifetime / 2)
        self.fresh_until = now + remaining - buffer

    def stretch(self) -> None:
        """It cannot be refreshed, so it is used to its end."""
        self.fresh_until = self._good_until

    def can_refresh(self, token: OAuthToken) -> bool:
        """Whether it can be renewed without the user."""
        return self.enabled and bool(token.refresh_token)

    def usable(self, now: float, rejected: str | None) -> OAuthToken | None:
        """The token, if it is good and not the one that was refused."""
        token = self.token
        return token if token is not None and now < self._good_until and token.access_token != rejected else None

    def fresh(self, now: float, rejected: str | None) -> OAuthToken | None:
        """The token, if it need not even be refreshed."""
        return self.usable(now, rejected) if now < self.fresh_until else None

    # -------------------------------------------------------------------------------------------- turns

    def join(
        self, now: float, rejected: str | None, force: bool, make_waiter: Callable[[], _Wakes]
    ) -> tuple[Flight | None, _Wakes | None]:
        """Take part in the refresh.

        Returns:
            A flight without a waiter: whoever asked is to refresh. A flight and a waiter: somebody else
            does. Neither: somebody else does, and the present token serves meanwhile.
        """
        with self._lock:
            flight = self._flight
            if flight is None:
                self._flight = flight = Flight()
                return flight, None
            if not force and self.usable(now, rejected) is not None:
                return None, None
            waiter = make_waiter()
            flight.waiters.append(waiter)
            return flight, waiter

    def land(self, flight: Flight) -> None:
        """The refresh is over; wake everybody who waits for it."""
        with self._lock:
            flight.done = True
            if self._flight is flight:
                self._flight = None
            waiters = list(flight.waiters)
        for waiter in waiters:
            waiter.wake()

    # -------------------------------------------------------------------------------------------- outcomes

    def succeeded(self, latency: float, time: float) -> None:
        """A refresh brought a token."""
        self.forgive()
        self.metrics.record_refresh(True, latency, time)

    def forgive(self) -> None:
        """Past failures count no more."""
        self._failures, self.rest_until, self.last_error, self.spent = 0, -_FOREVER, None, None

    def failed(self, error: AuthError, now: float, time: float) -> None:
        """A refresh failed; no other one is tried for a while."""
        self._failures += 1
        if self._failures < _MANY:
            rest = min(_LONGEST_REST, _FIRST_REST * 2.0 ** (self._failures - 1))
        else:
            rest = min(_LONGEST_OF_MANY, _LONGEST_REST * 2.0 ** min(self._failures - _MANY, 10))
        self.rest_until = now + rest
        self.last_error = error
        self.metrics.record_refresh(False, 0.0, time)
