"""The way in of every attempt: slot, circuit, key, rate limits. Plain code that decides and never waits.

:meth:`Admission.admit` is asked again and again until it says nothing more. What it has got so far stands on
the lease, so that a slot, a ticket and a claim keep their places in their queues between two asks. The loop
does the waiting.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

from attrs import define

from provider_kit.auth.credential_pool import CredentialPool
from provider_kit.auth.keys.pool import KeyPool
from provider_kit.auth.keys.state import Key
from provider_kit.engine.attempt_state import NO_RETRY_STATE, AttemptState, Lease
from provider_kit.engine.endpoint import Endpoint
from provider_kit.engine.shared_state import SharedState
from provider_kit.errors import AuthError, CircuitOpenError, RateLimitExceededError
from provider_kit.model.config import ProviderConfig
from provider_kit.model.events import (
    CircuitHalfOpened,
    ConcurrencyWait,
    KeySwitched,
    KeyWait,
    RateLimitWait,
    TokenRefreshed,
    TokenRefreshFailed,
)
from provider_kit.policies.circuit_breaker import CircuitBreaker
from provider_kit.policies.concurrency import Slots
from provider_kit.policies.header_limits import HeaderLimits
from provider_kit.policies.rate_limit import Limiter, SlidingWindows, Ticket, Wakes

__all__ = ["Admission", "DailyCount", "Prerequisite", "Wait"]

#: Seconds a call waits for a key, or for a limit that headers told, unless it was configured.
DEFAULT_QUEUE_TIMEOUT = 120.0
#: Seconds after which somebody who waits looks again, should a wake-up have been lost.
MAX_WAIT_SLICE = 30.0
#: Seconds after which somebody who waits for a slot looks whether those who hold one still exist.
_LOOK_AT_HOLDERS = 1.0
#: Seconds of waiting after which a person would think that nothing happens any more.
_LOOKS_LIKE_A_HANG = 2.0
_DAY = 86400.0


class _Wakeable(Protocol):
    wakeup: Wakes | None


@define
class Wait:
    """Ask again after so many seconds, or when whoever frees something wakes ``woken``."""

    seconds: float
    woken: _Wakeable | None = None


@define
class Prerequisite:
    """Something to be awaited first; it leaves its result on the lease. Then ask again."""

    work: Callable[[], Awaitable[None]]


Step: TypeAlias = Callable[[AttemptState, Lease, float], Wait | Prerequisite | None]


class DailyCount(Protocol):
    """The count of a day that survives a restart."""

    async def take(self, attempts: AttemptState, key_id: str, limit: int) -> float:
        """Count a request: seconds to wait where the day is used up."""
        ...


class Admission:
    """All policies of one client, in the order in which they are asked.

    Args:
        endpoint: Who is asked.
        config: What the user configured.
        breaker: The circuit breaker.
        limiter: A rate limiter of the user's own.
        shared: State that other processes share.
        day: The count of the day that survives a restart.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        config: ProviderConfig,
        *,
        breaker: CircuitBreaker | None = None,
        limiter: Limiter | None = None,
        shared: SharedState | None = None,
        day: DailyCount | None = None,
    ) -> None:
        limits = config.rate_limit
        self.endpoint = endpoint
        self.config = config
        self.breaker = breaker
        #: A limiter with a queue, in which calls wait as they do in one of the client's own.
        windows = getattr(limiter, "windows", None)
        self.common = windows if isinstance(windows, SlidingWindows) else None
        self.custom_limiter = limiter if self.common is None else None
        self.shared = shared
        self.limits = limits if limits is not None and limits.enabled else None
        self.header_limits = HeaderLimits(limits.throttle_threshold if limits is not None else 0.8)
        self.slots = Slots(config.max_concurrency) if config.max_concurrency else None
        pool = endpoint.given_pool
        #: Whether its keys are tokens that can be renewed.
        self.renewable = pool is not None and pool.renewable
        self._limiters: dict[str, SlidingWindows] = {}
        self._day = day
        #: Whether it was said that a call is larger than the limit of tokens.
        self._told_large = False
        self.arrange()

    def arrange(self) -> None:
        """Put the steps in order: those that apply, for calls that count against rate limits and for others."""
        first: list[Step] = []
        if self.slots is not None:
            first.append(self._slot)
        if self.shared is not None:
            first.append(self._shared_state)
        if self.breaker is not None:
            first.append(self._circuit_is_closed)
        limited: list[Step] = []
        if self.limits is not None:
            limited.append(self._turn_of_key)
        if self.common is not None:
            limited.append(self._turn_of_common_limiter)
        elif self.custom_limiter is not None:
            limited.append(self._custom_limiter)
        limited.append(self._advertised_limits)
        if self._day is not None and self.limits is not None and self.limits.requests_per_day:
            limited.append(self._daily_count)
        last: list[Step] = [] if self.breaker is None else [self._circuit]
        self._choice = len(first)
        self._steps_of_others = (*first, self._choose_key, *last)
        self._steps_of_limited = (*first, self._choose_key, *limited, *last)

    # -------------------------------------------------------------------------------------------- in

    def admit(self, attempts: AttemptState, now: float) -> Wait | Prerequisite | None:
        """Let an attempt in, or say what must come first; ``None`` once it is in.

        Raises:
            CircuitOpenError: The provider is being left alone.
            AllKeysExhaustedError: No key may be used, and none will be soon enough.
            RateLimitExceededError: Its turn would come too late.
            MissingAPIKeyError: There is no key.
        """
        lease = attempts.lease
        steps = self._steps_of_limited if attempts.limited else self._steps_of_others
        while lease.step < len(steps):
            found = steps[lease.step](attempts, lease, now)
            if found is not None:
                return found
            lease.step += 1
        return None

    def outlook(self, attempts: AttemptState, now: float) -> float:
        """Seconds an attempt would wait, as far as can be told; infinity if it would be refused. Changes nothing."""
        if self.breaker is not None and self.breaker.blocked(now) > 0:
            return math.inf
        pool = self.endpoint.keys
        if not len(pool):
            return math.inf if self.endpoint.provider.key_required else self._wait_of("", attempts, now)
        wait = pool.shortest(now, attempts.retry.rotation.excluded, lambda key: self._wait_of(key.id, attempts, now))
        if wait == math.inf:
            soonest = pool.soonest(now, attempts.retry.rotation.excluded)
            wait = math.inf if soonest is None else soonest
        return wait

    # -------------------------------------------------------------------------------------------- steps

    def _slot(self, attempts: AttemptState, lease: Lease, now: float) -> Wait | None:
        """A slot among the calls in flight."""
        slots, place = self.slots, lease.place
        assert slots is not None  # the step is there only where they are
        if place is None:
            place = lease.place = slots.take(attempts.runtime.is_loop_closed())
            if place.granted:
                return None
            lease.since = now
            attempts.tell(ConcurrencyWait, f"{slots.limit} calls are in flight; waiting for a place")
        else:
            slots.reclaim()
            if place.granted:
                lease.told = 0
                return None
        waited = now - lease.since
        if not lease.told and waited >= _LOOKS_LIKE_A_HANG:
            lease.told = 1
            text = f"waiting for a place for {waited:.0f} s: {slots.limit} calls are in flight, {len(slots)} wait"
            attempts.tell(ConcurrencyWait, text, level=logging.INFO, waiting=len(slots))
        left = attempts.left(now)
        if left <= 0:
            raise RateLimitExceededError(
                f"{slots.limit} calls were in flight for the {waited:.1f} s until the call's deadline; "
                f"{len(slots)} wait.",
                hint="Raise max_concurrency= or total_timeout=, or make fewer calls at once.",
                **attempts.facts(),
            )
        return Wait(min(left, _LOOK_AT_HOLDERS), place)

    def _shared_state(self, attempts: AttemptState, lease: Lease, now: float) -> Prerequisite:
        """What the other processes found."""
        shared, breaker = self.shared, self.breaker
        assert shared is not None  # the step is there only where it is

        async def begin() -> None:
            await shared.begin(attempts, None if attempts.call.probing else breaker)

        lease.step += 1
        return Prerequisite(begin)

    def _circuit_is_closed(self, attempts: AttemptState, lease: Lease, now: float) -> None:
        """A look at the circuit, before anything is chosen or waited for."""
        breaker = self.breaker
        if breaker is not None and not attempts.call.probing and (wait := breaker.blocked(now)) > 0:
            raise self._circuit_error(attempts, wait)

    def _choose_key(self, attempts: AttemptState, lease: Lease, now: float) -> Wait | Prerequisite | None:
        """A key, with a token that is good now."""
        endpoint = self.endpoint
        if lease.key is not None:  # it was chosen, and its token renewed
            return None
        pool = endpoint.keys
        if endpoint.key_source.function is not None and not lease.fetched:
            return Prerequisite(lambda: self._fetch_keys(attempts, lease, pool))
        compares = pool.has_multiple and attempts.limited
        wait_of = (lambda key: self._wait_of(key.id, attempts, now)) if compares else None
        retry = attempts.retry
        key = pool.pick(now, wait_of=wait_of) if retry is NO_RETRY_STATE else retry.rotation.pick(pool, now, wait_of)
        if key is None:
            if len(pool):
                return self._wait_for_key(attempts, lease, pool, now)
            if endpoint.provider.key_required:  # the last one was taken away
                raise pool.exhausted(now, **attempts.facts())
            return None
        lease.key = key
        if retry.rotation.last not in (None, key.id):
            attempts.tell(KeySwitched, f"going on with key {key.shown}", key=key.shown)
        if key.fresh_until <= now:
            return Prerequisite(lambda: self._renew_token(attempts, lease, key))
        return None

    def _wait_for_key(
        self, attempts: AttemptState, lease: Lease, pool: KeyPool, now: float
    ) -> Wait | Prerequisite | None:
        """Every key rests, or is dead."""
        if isinstance(pool, CredentialPool) and not lease.retried_dead:
            return Prerequisite(lambda: self._retry_dead(attempts, lease, pool))
        retry, config, call = attempts.retry, self.config, attempts.call
        retries = getattr(attempts.policy, "max_retries", config.max_retries)
        wait = pool.soonest(now, retry.rotation.excluded)
        asked = config.wait_for_key
        only = pool.only()
        # Its owner handles retries; nothing is withheld from him.
        if only is not None and (retry.eager or (asked is None and (call.probing or not retries))):
            lease.key = only
            only.requests += 1
            return None if only.fresh_until > now else Prerequisite(lambda: self._renew_token(attempts, lease, only))
        patience = math.inf if asked is True else float(asked or 0.0)
        if asked is None and retries:
            patience = DEFAULT_QUEUE_TIMEOUT
        if wait is None or wait > patience or wait >= attempts.left(now) or call.probing:
            raise pool.exhausted(now, **attempts.facts()) from retry.last_error
        if not lease.told:
            lease.told = 1
            attempts.tell(KeyWait, f"every key rests; waiting {wait:.1f} s", wait=wait)
        return Wait(min(wait, MAX_WAIT_SLICE))  # a key may be added meanwhile

    def _turn_of_key(self, attempts: AttemptState, lease: Lease, now: float) -> Wait | Prerequisite | None:
        """The turn among those who wait for the limits of the key."""
        key = lease.key
        limiter, ticket = lease.limiter, lease.ticket
        if limiter is None or ticket is None:
            limiter = lease.limiter = self._limiter_of(key.id if key is not None else "")
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
        # While it waited, its key was sent to rest, or another one has got room.
        limiter.withdraw(ticket, now)
        if key is not None:
            key.requests -= 1
        lease.key = lease.limiter = lease.ticket = None
        lease.fetched = lease.retried_dead = False
        lease.told, lease.step = 0, self._choice - 1
        return None

    def _turn_of_common_limiter(self, attempts: AttemptState, lease: Lease, now: float) -> Wait | Prerequisite | None:
        """The turn at a limiter that several clients share."""
        common, ticket = self.common, lease.common
        assert common is not None  # the step is there only where it is
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
        """Whether it is the ticket's turn; ``lease.ticket`` is gone if another key has room by now."""
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
        longest = MAX_WAIT_SLICE if limiter.is_head(ticket) else _LOOK_AT_HOLDERS
        return Wait(min(wait, allowed, longest), ticket)

    def _custom_limiter(self, attempts: AttemptState, lease: Lease, now: float) -> Wait | None:
        """A limiter of the user's own, which says how long to wait and counts the call at once."""
        assert self.custom_limiter is not None  # the step is there only where it is
        wait = self.custom_limiter.reserve(int(attempts.tokens), now)
        lease.claimed = True
        if wait <= 0:
            return None
        lease.step += 1
        return self._pause(attempts, wait, now)

    def _advertised_limits(self, attempts: AttemptState, lease: Lease, now: float) -> Wait | None:
        """What the provider's headers advise."""
        known = self.header_limits
        if lease.advertised is not None:
            key_id, model, tokens = lease.advertised
            lease.advertised = None
            known.waited(key_id, model, tokens, went=True)
            return None
        if not known.known:
            return None
        key_id, model = lease.key.id if lease.key is not None else "", attempts.model or ""
        weight = attempts.weigh()
        if known.passes(key_id, model, weight):
            return None
        tokens = attempts.tokens
        if tokens < weight and known.passes(key_id, model, tokens):
            return None
        wait = known.claim(key_id, model, tokens, now)
        if wait <= 0:
            return None
        lease.advertised = (key_id, model, tokens)
        limits = self.limits
        patience = limits.max_wait if limits is not None and limits.max_wait is not None else DEFAULT_QUEUE_TIMEOUT
        return self._pause(attempts, wait, now, patience)

    def _daily_count(self, attempts: AttemptState, lease: Lease, now: float) -> Wait | Prerequisite | None:
        """The count that survives a restart; it is kept beside the one in memory."""
        day, limits = self._day, self.limits
        assert day is not None  # the step is there only where it is
        assert limits is not None
        if not lease.answered:
            key_id = lease.key.id if lease.key is not None else ""

            async def take() -> None:
                lease.answer = await day.take(attempts, key_id, limits.requests_per_day or 0)
                lease.answered = True

            return Prerequisite(take)
        lease.answered = False
        wait = lease.answer or 0.0
        return None if wait <= 0 else self._pause(attempts, wait, now, limits.max_wait)

    def _circuit(self, attempts: AttemptState, lease: Lease, now: float) -> None:
        """The last step: the attempt is one of those the circuit breaker counts."""
        breaker = self.breaker
        if breaker is None or attempts.call.probing:
            return
        wait, trial, changed = breaker.admit(now)
        if wait > 0:
            raise self._circuit_error(attempts, wait)
        lease.trial = trial
        if changed is not None:
            attempts.tell(CircuitHalfOpened, "the circuit is half open; trying with care")

    # -------------------------------------------------------------------------------------------- prerequisites

    async def _fetch_keys(self, attempts: AttemptState, lease: Lease, pool: KeyPool) -> None:
        pool.set_keys(await self.endpoint.key_source.fetch(attempts.runtime))
        lease.fetched = True

    async def _retry_dead(self, attempts: AttemptState, lease: Lease, pool: CredentialPool) -> None:
        lease.retried_dead = True
        await pool.retry_dead(attempts.runtime)

    async def _take_shared(self, attempts: AttemptState, lease: Lease, shared: SharedState) -> None:
        lease.answer = await shared.take(attempts, lease)
        lease.answered = True

    async def _renew_token(self, attempts: AttemptState, lease: Lease, key: Key) -> None:
        """Renew a token before it is sent; if that fails and another credential may serve, the lease has no key.

        Raises:
            AuthError: It failed, and there is no other one.
        """
        pool, runtime, call = self.endpoint.keys, attempts.runtime, attempts.call
        assert isinstance(pool, CredentialPool)  # no other one has keys that end
        deadline = call.deadline
        if deadline is None and call.start_by != math.inf:
            deadline = call.start_by
        try:
            changed = await pool.renew(key, runtime, deadline)
        except AuthError as error:
            lease.key = None
            key.requests -= 1
            pool.renewal_failed(key, error, runtime.now())
            retry = attempts.own_retry_state()
            retry.rotation.give_up(key)
            retry.last_error = error
            if not pool.has_multiple or not pool.usable(runtime.now(), retry.rotation.excluded):
                raise
            attempts.tell(TokenRefreshFailed, f"no token of {key.shown}", error=error, key=key.shown)
            return
        if changed:
            shown = key.label or key.shown
            attempts.tell(TokenRefreshed, f"token of {shown} is fresh", key=shown)

    # -------------------------------------------------------------------------------------------- what is known

    def _wait_of(self, key_id: str, attempts: AttemptState, now: float) -> float:
        """Seconds a call would wait for the limits of a key."""
        wait = 0.0
        if self.limits is not None:
            wait = self._limiter_of(key_id).projected(attempts.tokens, now)
        if self.header_limits.knows(key_id, attempts.model):
            wait = max(wait, self.header_limits.wait(key_id, attempts.model or "", attempts.tokens, now))
        return wait

    def _another_has_room(self, attempts: AttemptState, now: float) -> bool:
        pool, excluded = self.endpoint.keys, attempts.retry.rotation.excluded
        return (
            pool.has_multiple
            and pool.usable(now, excluded)
            and pool.shortest(now, excluded, lambda key: self._wait_of(key.id, attempts, now)) == 0.0
        )

    def _limiter_of(self, key_id: str) -> SlidingWindows:
        found = self._limiters.get(key_id)
        if found is None:
            limits = self.limits
            assert limits is not None  # asked for only where there are limits
            requests = []
            if limits.requests_per_minute:
                requests.append((float(limits.requests_per_minute), 60.0))
                if limits.pacing == "smooth":
                    requests.append((1.0, 60.0 / limits.requests_per_minute))
            if limits.requests_per_day:
                requests.append((float(limits.requests_per_day), _DAY))
            tokens = (float(limits.tokens_per_minute), 60.0) if limits.tokens_per_minute else None
            found = self._limiters.setdefault(key_id, SlidingWindows(requests, tokens))
        return found

    def _pause(self, attempts: AttemptState, wait: float, now: float, patience: float | None = None) -> Wait:
        """Wait as long as a limit says.

        Raises:
            RateLimitExceededError: That would be longer than ``patience`` seconds, or than the call may take.
        """
        left, patience = attempts.left(now), math.inf if patience is None else patience
        if wait > patience or wait >= left:
            raise _limit_error(attempts, wait, min(patience, left))
        attempts.tell(RateLimitWait, f"waiting {wait:.1f} s for the rate limit", wait=wait)
        return Wait(wait)

    def _circuit_error(self, attempts: AttemptState, wait: float) -> CircuitOpenError:
        return CircuitOpenError(
            f"{self.endpoint.name} failed repeatedly and is left alone for another {wait:.0f} s.",
            retry_after=wait,
            hint=f"Try again in {wait:.0f} s, or use another provider meanwhile.",
            **attempts.facts(),
        )


def _rests(key: Key, now: float, has_multiple: bool) -> bool:
    """Whether a key may not be used after all; the last one is kept back by a provider's word only."""
    return (key.server_specified and key.available_at > now) or (has_multiple and key.dead)


def _limit_error(attempts: AttemptState, wait: float, allowed: float) -> RateLimitExceededError:
    return RateLimitExceededError(
        f"The rate limit would delay this call by {wait:.1f} s, longer than the {max(0.0, allowed):.1f} s it may wait.",
        retry_after=wait,
        hint="Raise total_timeout= or RateLimitConfig(max_wait=…), spread the calls, or add keys.",
        **attempts.facts(),
    )
