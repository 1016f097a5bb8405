"""Admission of every attempt: slot, circuit, key, rate limits. Plain code that decides and never waits.

:meth:`Admission.admit` is called until it returns ``None``. What was acquired so far is kept on the lease, so that a
slot, a ticket and a claim keep their queue positions between two calls. The loop does the waiting.
"""

from __future__ import annotations

import logging
import math

from provider_kit.auth.credential_pool import CredentialPool
from provider_kit.auth.keys.pool import KeyPool
from provider_kit.auth.keys.state import Key
from provider_kit.engine.attempt_state import NO_RETRY_STATE, AttemptState, Lease, Prerequisite, Step, Wait
from provider_kit.engine.endpoint import Endpoint
from provider_kit.engine.rate_limits import (
    DEFAULT_QUEUE_TIMEOUT,
    LOOK_AT_HOLDERS,
    MAX_WAIT_SLICE,
    DailyCount,
    RateLimits,
)
from provider_kit.engine.shared_state import SharedState
from provider_kit.errors import AuthError, CircuitOpenError, RateLimitExceededError
from provider_kit.model.config import ProviderConfig
from provider_kit.model.events import (
    CircuitHalfOpened,
    ConcurrencyWait,
    KeySwitched,
    KeyWait,
    TokenRefreshed,
    TokenRefreshFailed,
)
from provider_kit.policies.circuit_breaker import CircuitBreaker
from provider_kit.policies.concurrency import Slots
from provider_kit.policies.header_limits import HeaderLimits
from provider_kit.policies.rate_limit import Limiter

__all__ = ["Admission"]

#: Seconds of waiting after which progress is reported.
_REPORT_WAIT_AFTER = 2.0


class Admission:
    """All policies of one client, in the order in which they are applied.

    Args:
        endpoint: The provider's endpoint.
        config: What the user configured.
        breaker: The circuit breaker.
        limiter: The user's own rate limiter.
        shared: State that other processes share.
        day: The persistent daily count.
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
        self.shared = shared
        self.limits = limits if limits is not None and limits.enabled else None
        self.header_limits = HeaderLimits(limits.throttle_threshold if limits is not None else 0.8)
        self.slots = Slots(config.max_concurrency) if config.max_concurrency else None
        pool = endpoint.given_pool
        #: Whether its keys are tokens that can be refreshed.
        self.renewable = pool is not None and pool.renewable
        self.rates = RateLimits(endpoint, self.limits, self.header_limits, limiter, shared, day)
        self.arrange()

    def arrange(self) -> None:
        """Select the steps that apply, in order, for calls that count against rate limits and for others."""
        limits = (self.breaker, self.limits, self.rates.common, self.endpoint.key_source.function)
        #: Whether a call may have to wait for more than its key and the limits that headers tell.
        self._may_wait = any(one is not None for one in limits)
        first: list[Step] = []
        if self.slots is not None:
            first.append(self._slot)
        if self.shared is not None:
            first.append(self._shared_state)
        if self.breaker is not None:
            first.append(self._circuit_is_closed)
        limited = [*self.rates.steps(), self._advertised_limits]
        if self.rates.counts_days:
            limited.append(self.rates.count_day)
        last: list[Step] = [] if self.breaker is None else [self._circuit]
        self.rates.restart = len(first) - 1
        self._steps_of_others = (*first, self._choose_key, *last)
        self._steps_of_limited = (*first, self._choose_key, *limited, *last)

    # -------------------------------------------------------------------------------------------- in

    def admit(self, attempts: AttemptState, now: float) -> Wait | Prerequisite | None:
        """Admit an attempt, or return what must happen first; ``None`` once it is admitted.

        Raises:
            CircuitOpenError: The circuit breaker is open.
            AllKeysExhaustedError: No key can be used, and none will be in time.
            RateLimitExceededError: The rate limit would delay it too long.
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

    @property
    def waiting(self) -> int:
        """How many calls wait for a slot or a rate limit."""
        slots = 0 if self.slots is None else len(self.slots)
        return slots + self.rates.waiting

    def is_idle(self, now: float) -> bool:
        """Whether no call would wait: nothing limits them, and a key can be used."""
        if self._may_wait or self.header_limits.known:
            return False
        pool = self.endpoint.keys
        return pool.usable(now) if len(pool) else not self.endpoint.provider.key_required

    def outlook(self, attempts: AttemptState, now: float) -> float:
        """Estimated seconds an attempt would wait; infinity if it would be refused. Changes nothing."""
        if self.breaker is not None and self.breaker.blocked(now) > 0:
            return math.inf
        pool = self.endpoint.keys
        if not len(pool):
            return math.inf if self.endpoint.provider.key_required else self.rates.wait_of("", attempts, now)
        wait = pool.shortest(
            now, attempts.retry.rotation.excluded, lambda key: self.rates.wait_of(key.id, attempts, now)
        )
        if wait == math.inf:
            soonest = pool.soonest(now, attempts.retry.rotation.excluded)
            wait = math.inf if soonest is None else soonest
        return wait

    # -------------------------------------------------------------------------------------------- steps

    def _slot(self, attempts: AttemptState, lease: Lease, now: float) -> Wait | None:
        """A slot among the calls in flight."""
        slots, place = self.slots, lease.place
        assert slots is not None  # this step exists only with a limit of calls in flight
        if place is None:
            place = lease.place = slots.take(attempts.runtime.is_loop_closed())
            if place.ref in slots.holders:
                return None
            lease.since = now
            attempts.tell(ConcurrencyWait, f"{slots.limit} calls are in flight; waiting for a slot")
        else:
            slots.reclaim()
            if place.granted:
                lease.told = 0
                return None
        waited = now - lease.since
        if not lease.told and waited >= _REPORT_WAIT_AFTER:
            lease.told = 1
            text = f"waiting for a slot for {waited:.0f} s: {slots.limit} calls are in flight, {len(slots)} wait"
            attempts.tell(ConcurrencyWait, text, level=logging.INFO, waiting=len(slots))
        left = attempts.left(now)
        if left <= 0:
            raise RateLimitExceededError(
                f"{slots.limit} calls were in flight for the {waited:.1f} s until the call's deadline; "
                f"{len(slots)} wait.",
                hint="Raise max_concurrency= or total_timeout=, or make fewer calls at once.",
                **attempts.facts(),
            )
        return Wait(min(left, LOOK_AT_HOLDERS), place)

    def _shared_state(self, attempts: AttemptState, lease: Lease, now: float) -> Prerequisite:
        """The state that other processes found."""
        shared, breaker = self.shared, self.breaker
        assert shared is not None  # this step exists only with a shared store

        async def begin() -> None:
            await shared.begin(attempts, None if attempts.call.probing else breaker)

        lease.step += 1
        return Prerequisite(begin)

    def _circuit_is_closed(self, attempts: AttemptState, lease: Lease, now: float) -> None:
        """Check the circuit before anything is chosen or waited for."""
        breaker = self.breaker
        if breaker is not None and not attempts.call.probing and (wait := breaker.blocked(now)) > 0:
            raise self._circuit_error(attempts, wait)

    def _choose_key(self, attempts: AttemptState, lease: Lease, now: float) -> Wait | Prerequisite | None:
        """Choose a key, with a valid token."""
        endpoint = self.endpoint
        if lease.key is not None:  # it was chosen, and its token refreshed
            return None
        pool = endpoint.keys
        if endpoint.key_source.function is not None and not lease.fetched:
            return Prerequisite(lambda: self._fetch_keys(attempts, lease, pool), cancellable=True)
        compares = pool.has_multiple and attempts.limited
        wait_of = (lambda key: self.rates.wait_of(key.id, attempts, now)) if compares else None
        retry = attempts.retry
        key = pool.pick(now, wait_of=wait_of) if retry is NO_RETRY_STATE else retry.rotation.pick(pool, now, wait_of)
        if key is None:
            if len(pool):
                return self._wait_for_key(attempts, lease, pool, now)
            if endpoint.provider.key_required:  # the last one was removed
                raise pool.exhausted(now, **attempts.facts())
            return None
        lease.key = key
        if retry.rotation.last not in (None, key.id):
            attempts.tell(KeySwitched, f"continuing with key {key.shown}", key=key.shown)
        if key.fresh_until <= now:
            return Prerequisite(lambda: self._renew_token(attempts, lease, key), cancellable=True)
        return None

    def _wait_for_key(
        self, attempts: AttemptState, lease: Lease, pool: KeyPool, now: float
    ) -> Wait | Prerequisite | None:
        """Wait: every key is cooling down or dead."""
        if isinstance(pool, CredentialPool) and not lease.retried_dead:
            return Prerequisite(lambda: self._retry_dead(attempts, lease, pool), cancellable=True)
        retry, config, call = attempts.retry, self.config, attempts.call
        retries = getattr(attempts.policy, "max_retries", config.max_retries)
        wait = pool.soonest(now, retry.rotation.excluded)
        asked = config.wait_for_key
        only = pool.only()
        # The caller handles retries, so the error is raised at once.
        elsewhere = call.route is not None and call.route.elsewhere
        if only is not None and not elsewhere and (retry.eager or (asked is None and (call.probing or not retries))):
            lease.key = only
            only.requests += 1
            if only.fresh_until > now:
                return None
            return Prerequisite(lambda: self._renew_token(attempts, lease, only), cancellable=True)
        patience = math.inf if asked is True else float(asked or 0.0)
        if asked is None and retries:
            patience = DEFAULT_QUEUE_TIMEOUT
        if elsewhere:
            patience = 0.0
        if wait is None or wait > patience or wait >= attempts.left(now) or call.probing:
            raise pool.exhausted(now, **attempts.facts()) from retry.last_error
        if not lease.told:
            lease.told = 1
            attempts.tell(KeyWait, f"every key is cooling down; waiting {wait:.1f} s", wait=wait)
        return Wait(min(wait, MAX_WAIT_SLICE))  # a key may be added meanwhile

    def _advertised_limits(self, attempts: AttemptState, lease: Lease, now: float) -> Wait | None:
        """Wait as the provider's headers suggest."""
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
        return self.rates.pause(attempts, wait, now, patience)

    def _circuit(self, attempts: AttemptState, lease: Lease, now: float) -> None:
        """The last step: the circuit breaker counts the attempt from here on."""
        breaker = self.breaker
        if breaker is None or attempts.call.probing:
            return
        wait, trial, changed = breaker.admit(now)
        if wait > 0:
            raise self._circuit_error(attempts, wait)
        lease.trial = trial
        if changed is not None:
            attempts.tell(CircuitHalfOpened, "the circuit is half open; making a trial call")

    # -------------------------------------------------------------------------------------------- prerequisites

    async def _fetch_keys(self, attempts: AttemptState, lease: Lease, pool: KeyPool) -> None:
        pool.set_keys(await self.endpoint.key_source.fetch(attempts.runtime))
        lease.fetched = True

    async def _retry_dead(self, attempts: AttemptState, lease: Lease, pool: CredentialPool) -> None:
        lease.retried_dead = True
        await pool.retry_dead(attempts.runtime)

    async def _renew_token(self, attempts: AttemptState, lease: Lease, key: Key) -> None:
        """Refresh a token before it is sent; if that fails and another credential may be used, the lease has no key.

        Raises:
            AuthError: It failed, and there is no other credential.
        """
        pool, runtime, call = self.endpoint.keys, attempts.runtime, attempts.call
        assert isinstance(pool, CredentialPool)  # only a credential pool has keys that expire
        deadline = call.deadline
        if deadline is None and call.start_by != math.inf:
            deadline = call.start_by
        try:
            changed = await pool.renew(key, runtime, deadline)
        except AuthError as error:
            if lease.released:  # the caller has left meanwhile
                raise
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
        if changed == "adopted" and attempts.retry is not NO_RETRY_STATE:
            attempts.retry.rotation.adopt(key)
        if changed:
            shown = key.label or key.shown
            attempts.tell(TokenRefreshed, f"token of {shown} was refreshed", key=shown)

    # -------------------------------------------------------------------------------------------- what is known

    def _circuit_error(self, attempts: AttemptState, wait: float) -> CircuitOpenError:
        return CircuitOpenError(
            f"{self.endpoint.name} failed repeatedly; the circuit breaker stays open for another {wait:.0f} s.",
            retry_after=wait,
            hint=f"Try again in {wait:.0f} s, or use another provider meanwhile.",
            **attempts.facts(),
        )
