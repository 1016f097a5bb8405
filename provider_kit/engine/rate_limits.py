"""The rate limits an attempt waits for: per key, shared, the user's own limiter, from headers, and per day."""

from __future__ import annotations

import logging
import math
from typing import Protocol

from provider_kit.auth.keys.state import Key
from provider_kit.engine.attempt_state import AttemptState, Lease, Prerequisite, Step, Wait
from provider_kit.engine.endpoint import Endpoint
from provider_kit.engine.shared_state import SharedState
from provider_kit.errors import RateLimitExceededError
from provider_kit.model.config import RateLimitConfig
from provider_kit.model.events import (
    RateLimitWait,
)
from provider_kit.policies.header_limits import HeaderLimits
from provider_kit.policies.rate_limit import Limiter, SlidingWindows, Ticket

__all__ = ["DEFAULT_QUEUE_TIMEOUT", "LOOK_AT_HOLDERS", "MAX_WAIT_SLICE", "DailyCount", "RateLimits"]

#: Longest wait in seconds for a key, or for a limit from headers, unless configured.
DEFAULT_QUEUE_TIMEOUT = 120.0
#: Seconds after which a waiting call checks again, in case a wake-up was lost.
MAX_WAIT_SLICE = 30.0
#: Seconds after which a queued call checks whether those before it still exist.
LOOK_AT_HOLDERS = 1.0
_DAY = 86400.0


class DailyCount(Protocol):
    """The persistent daily count."""

    async def take(self, attempts: AttemptState, key_name: str, limit: int) -> float:
        """Count a request; return the seconds to wait if the day is used up."""
        ...


class RateLimits:
    """The admission steps for rate limits, and their state.

    Args:
        endpoint: The provider's endpoint.
        limits: The configured limits; ``None`` if there are none.
        header_limits: The limits from the provider's headers.
        limiter: The user's own rate limiter.
        shared: State that other processes share.
        day: The persistent daily count.
    """

    #: The step before the key is chosen, to which an attempt returns when it needs another key.
    restart = -1

    def __init__(
        self,
        endpoint: Endpoint,
        limits: RateLimitConfig | None,
        header_limits: HeaderLimits,
        limiter: Limiter | None = None,
        shared: SharedState | None = None,
        day: DailyCount | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.limits = limits
        self.header_limits = header_limits
        #: A limiter with a queue, which is used like the client's own.
        windows = getattr(limiter, "windows", None)
        self.common = windows if isinstance(windows, SlidingWindows) else None
        self.custom_limiter = limiter if self.common is None else None
        self.shared = shared
        self.day = day
        #: By id of the key.
        self.limiters: dict[str, SlidingWindows] = {}
        #: Whether the warning about a call larger than the token limit was logged.
        self._told_large = False

    def steps(self) -> list[Step]:
        """The steps that apply, in order."""
        found: list[Step] = []
        if self.limits is not None:
            found.append(self.turn_of_key)
        if self.common is not None:
            found.append(self.turn_of_common_limiter)
        elif self.custom_limiter is not None:
            found.append(self.reserve_custom)
        return found

    @property
    def waiting(self) -> int:
        """How many calls wait."""
        common = 0 if self.common is None else len(self.common)
        return common + sum(map(len, list(self.limiters.values())))

    @property
    def counts_days(self) -> bool:
        """Whether there is a persistent daily count."""
        return self.day is not None and self.limits is not None and bool(self.limits.requests_per_day)

    def turn_of_key(self, attempts: AttemptState, lease: Lease, now: float) -> Wait | Prerequisite | None:
        """Wait in the queue for the limits of the key."""
        key = lease.key
        limiter, ticket = lease.limiter, lease.ticket
        if limiter is None or ticket is None:
            limiter = lease.limiter = self.limiter_of(key.id if key is not None else "")
            window = limiter.token_window
            tokens = lease.tokens = attempts.tokens if window is not None else 0.0
            if window is not None and tokens > window.limit and not self._told_large:
                self._told_large = True
                text = (
                    f"a call of about {tokens:.0f} tokens is larger than tokens_per_minute={window.limit:.0f}; "
                    "it is sent alone, and exceeds the limit"
                )
                attempts.tell(RateLimitWait, text, level=logging.WARNING)
            ended = attempts.runtime.is_loop_closed()
            ticket = lease.ticket = limiter.ask(tokens, now, elsewhere=self.shared is not None, ended=ended)
            if ticket.admitted:
                return None
            lease.since, lease.told = now, 0
        found = self._turn(attempts, lease, limiter, ticket, now, self.shared)
        if found is not None:
            return found
        if lease.ticket is not None and (key is None or not _rests(key, now, self.endpoint.keys.has_multiple)):
            lease.told = 0
            return None
        # While it waited, its key began to cool down, or another one became available.
        limiter.withdraw(ticket, now)
        if key is not None:
            key.requests -= 1
        lease.key = lease.limiter = lease.ticket = None
        lease.fetched = lease.retried_dead = False
        lease.told, lease.step = 0, self.restart
        return None

    def turn_of_common_limiter(self, attempts: AttemptState, lease: Lease, now: float) -> Wait | Prerequisite | None:
        """Wait in the queue of a limiter that several clients share."""
        common, ticket = self.common, lease.common
        assert common is not None  # this step exists only where it is configured
        if ticket is None:
            ended = attempts.runtime.is_loop_closed()
            ticket = lease.common = common.ask(attempts.tokens, now, ended=ended)
            if ticket.admitted:
                return None
            lease.since, lease.told = now, 0
        return self._turn(attempts, lease, common, ticket, now, None)

    def _turn(
        self,
        attempts: AttemptState,
        lease: Lease,
        limiter: SlidingWindows,
        ticket: Ticket,
        now: float,
        shared: SharedState | None,
    ) -> Wait | Prerequisite | None:
        """Wait for a ticket; ``lease.ticket`` is dropped if another key has capacity by now."""
        if shared is None:
            wait = limiter.ready(ticket, now)
        elif not limiter.is_head(ticket):
            wait = math.inf
        elif not lease.answered:
            return Prerequisite(lambda: self._take_shared(attempts, lease, shared))
        else:
            lease.answered = False
            remote = lease.answer
            if remote == 0.0:
                limiter.admit(ticket, now)
                return None
            if remote is None:
                wait = limiter.ready(ticket, now)
            else:
                wait = remote
                limiter.full_until = now + remote
                if self._another_has_room(attempts, now):
                    limiter.leave(ticket)
                    lease.ticket = None
                    return None
        if wait <= 0:
            return None
        expected = max(ticket.expected - (now - lease.since), wait if wait != math.inf else 0.0)
        allowed = attempts.left(now)
        if self.limits is not None and self.limits.max_wait is not None:
            allowed = min(allowed, self.limits.max_wait - (now - lease.since))
        if expected > allowed or allowed <= 0:
            raise _limit_error(attempts, max(expected, limiter.expected(ticket, now)), allowed)
        if not lease.told:
            lease.told = 1
            text = f"waiting {expected:.1f} s for the rate limit; {len(limiter)} calls wait"
            attempts.tell(RateLimitWait, text, wait=expected, waiting=len(limiter))
        longest = MAX_WAIT_SLICE if limiter.is_head(ticket) else LOOK_AT_HOLDERS
        return Wait(min(wait, allowed, longest), ticket)

    def reserve_custom(self, attempts: AttemptState, lease: Lease, now: float) -> Wait | None:
        """Use the user's own limiter, which returns the wait and counts the call at once."""
        assert self.custom_limiter is not None  # this step exists only where it is configured
        wait = self.custom_limiter.reserve(int(attempts.tokens), now)
        lease.claimed = True
        if wait <= 0:
            return None
        lease.step += 1
        return self.pause(attempts, wait, now)

    def count_day(self, attempts: AttemptState, lease: Lease, now: float) -> Wait | Prerequisite | None:
        """Apply the persistent daily count, in addition to the one in memory."""
        day, limits = self.day, self.limits
        assert day is not None  # this step exists only where it is configured
        assert limits is not None
        if not lease.answered:
            name = self.endpoint.shared_name(lease.key)

            async def take() -> None:
                lease.answer = await day.take(attempts, name, limits.requests_per_day or 0)
                lease.answered = True

            return Prerequisite(take)
        lease.answered = False
        wait = lease.answer or 0.0
        return None if wait <= 0 else self.pause(attempts, wait, now, limits.max_wait)

    async def _take_shared(self, attempts: AttemptState, lease: Lease, shared: SharedState) -> None:
        lease.answer = await shared.take(attempts, lease)
        lease.answered = True

    def wait_of(self, key_id: str, attempts: AttemptState, now: float) -> float:
        """Seconds a call would wait for the limits of a key."""
        wait = 0.0
        if self.limits is not None:
            wait = self.limiter_of(key_id).projected(attempts.tokens, now)
        if self.header_limits.knows(key_id, attempts.model):
            wait = max(wait, self.header_limits.wait(key_id, attempts.model or "", attempts.tokens, now))
        return wait

    def _another_has_room(self, attempts: AttemptState, now: float) -> bool:
        pool, excluded = self.endpoint.keys, attempts.retry.rotation.excluded
        return (
            pool.has_multiple
            and pool.usable(now, excluded)
            and pool.shortest(now, excluded, lambda key: self.wait_of(key.id, attempts, now)) == 0.0
        )

    def limiter_of(self, key_id: str) -> SlidingWindows:
        """The windows of a key."""
        found = self.limiters.get(key_id)
        if found is None:
            limits = self.limits
            assert limits is not None  # only called with limits
            requests = []
            if limits.requests_per_minute:
                requests.append((float(limits.requests_per_minute), 60.0))
                if limits.pacing == "smooth" and limits.requests_per_minute > 1:  # else both are the same
                    requests.append((1.0, 60.0 / limits.requests_per_minute))
            if limits.requests_per_day:
                requests.append((float(limits.requests_per_day), _DAY))
            tokens = (float(limits.tokens_per_minute), 60.0) if limits.tokens_per_minute else None
            found = self.limiters.setdefault(key_id, SlidingWindows(requests, tokens))
        return found

    def pause(self, attempts: AttemptState, wait: float, now: float, patience: float | None = None) -> Wait:
        """Wait as long as a limit requires.

        Raises:
            RateLimitExceededError: That would be longer than ``patience`` seconds, or than the call may take.
        """
        left, patience = attempts.left(now), math.inf if patience is None else patience
        if wait > patience or wait >= left:
            raise _limit_error(attempts, wait, min(patience, left))
        attempts.tell(RateLimitWait, f"waiting {wait:.1f} s for the rate limit", wait=wait)
        return Wait(wait)


def _rests(key: Key, now: float, has_multiple: bool) -> bool:
    """Whether a key may not be used after all; the last one is blocked only by a time the provider named."""
    return (key.server_specified and key.available_at > now) or (has_multiple and key.dead)


def _limit_error(attempts: AttemptState, wait: float, allowed: float) -> RateLimitExceededError:
    return RateLimitExceededError(
        f"The rate limit would delay this call by {wait:.1f} s, longer than the {max(0.0, allowed):.1f} s it may wait.",
        retry_after=wait,
        hint="Raise total_timeout= or RateLimitConfig(max_wait=…), spread the calls, or add keys.",
        **attempts.facts(),
    )
