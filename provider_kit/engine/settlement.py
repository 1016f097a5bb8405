"""Settlement of every attempt: updates key, circuit, limits and shared state.

:meth:`Settlement.release` is plain code that may run in a finaliser, and twice. It returns what must be awaited
afterwards; that is always awaited, even if the caller left or was cancelled.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Literal, TypeAlias

from provider_kit.auth.credential_pool import CredentialPool
from provider_kit.auth.keys.state import Key
from provider_kit.engine.admission import Admission
from provider_kit.engine.attempt_state import AttemptState, Lease
from provider_kit.errors import (
    APIConnectionError,
    APIError,
    AuthenticationError,
    InsufficientQuotaError,
    ProviderKitError,
    ResponseLostError,
)
from provider_kit.model.events import (
    CircuitClosed,
    CircuitOpened,
    KeyCooling,
    KeyDead,
    KeyParked,
    RateLimitLearned,
)
from provider_kit.policies.circuit_breaker import CircuitBreaker, CircuitState
from provider_kit.policies.failure_rules import TOKEN_REFUSED, KeyAction, rule_for
from provider_kit.wire.rate_limit_headers import RateLimitInfo, has_rate_limits

__all__ = ["Outcome", "Settlement"]

#: Nothing was sent; or it was sent, and the outcome is unknown.
Outcome: TypeAlias = Literal["not_sent", "open"]
Aftermath: TypeAlias = Callable[[], Awaitable[None]]


class Settlement:
    """Releases what attempts hold, and reports their outcome to the policies.

    Args:
        admission: The admission that admitted them.
    """

    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    # -------------------------------------------------------------------------------------------- the ways out

    def release(self, attempts: AttemptState, outcome: Outcome) -> Aftermath | None:
        """Release an attempt before its outcome is known, or before anything was sent. Calling it again does
        nothing."""
        lease = attempts.lease
        if lease.released:
            return None
        lease.released = True
        admission, now = self._admission, attempts.runtime.now()
        if outcome == "not_sent":
            self._withdraw(attempts, lease, now)
        if lease.ticket is not None and lease.limiter is not None:
            lease.limiter.leave(lease.ticket)
        self._settle_custom(attempts, lease, None, now)
        if lease.trial is not None and admission.breaker is not None:
            admission.breaker.record(lease.trial, None, now)
        self._free_slot(lease)
        shared = admission.shared
        if shared is None or not lease.shared_begun:
            return None
        return lambda: shared.finish(attempts, lease, self._breaker_of(attempts), None, lease.tokens)

    def used(self, attempts: AttemptState, headers: Mapping[str, str], used: float | None) -> Aftermath | None:
        """Settle a successful attempt.

        Args:
            attempts: The call.
            headers: The answer's headers.
            used: Tokens it used, if known.
        """
        lease = attempts.lease
        if lease.released:
            return None
        lease.released = True
        admission, now = self._admission, attempts.runtime.now()
        key = lease.key
        if lease.place is not None:
            self._free_slot(lease)
        if key is not None:
            pool = admission.endpoint.keys
            pool.mark_success(key, now)
            if admission.renewable:
                pool.observe(key, True, now - lease.started, used, attempts.runtime.time())
        if lease.trial is not None and admission.breaker is not None:
            changed = admission.breaker.record(lease.trial, True, now)
            if changed is not None:
                self._tell_circuit(attempts, changed, None)
        if lease.ticket is not None or lease.common is not None or lease.claimed:
            self._settle_limits(attempts, lease, used, now)
        known = admission.header_limits
        if attempts.observed or known.known or now >= known.silent_until:
            self._read_limits(attempts, lease, headers, now)
        shared = admission.shared
        if shared is None:
            return None
        counted = lease.tokens if used is None else used
        return lambda: shared.finish(attempts, lease, self._breaker_of(attempts), True, counted)

    def failed(self, attempts: AttemptState, error: ProviderKitError) -> Aftermath | None:
        """Settle a failed attempt; ``attempts.rule`` is set once the returned work was awaited."""
        lease = attempts.lease
        rule = attempts.rule = rule_for(error)
        if lease.released:
            return None
        lease.released = True
        admission, now = self._admission, attempts.runtime.now()
        if lease.place is not None:
            self._free_slot(lease)
        ok = False if rule.breaker else True if isinstance(error, APIError) else None
        changed: CircuitState | None = None
        if lease.trial is not None and admission.breaker is not None:
            changed = admission.breaker.record(lease.trial, ok, now)
        if isinstance(error, APIError) and has_rate_limits(error.headers):
            self._tell_limits(attempts, self._learn(attempts, lease, error.headers, now))
        rotated = self._settle_key(attempts, lease, error, now) if lease.key is not None else None
        if changed is not None:
            self._tell_circuit(attempts, changed, error)
        answered = isinstance(error, APIError) or (
            isinstance(error, APIConnectionError) and error.retryable and not isinstance(error, ResponseLostError)
        )
        if lease.ticket is not None or lease.common is not None or lease.claimed:
            self._settle_limits(attempts, lease, 0.0 if answered else None, now)
        if rotated is None and admission.shared is None:
            return None
        return lambda: self._after_failure(attempts, lease, error, rotated, ok, 0.0 if answered else lease.tokens)

    def _settle_key(self, attempts: AttemptState, lease: Lease, error: ProviderKitError, now: float) -> Key | None:
        """Apply a failure to the key; return the key if its source may hold a new one."""
        admission, key = self._admission, lease.key
        assert key is not None  # only called with a key
        pool = admission.endpoint.keys
        if admission.renewable:
            pool.observe(key, False, now - lease.started, None, attempts.runtime.time())
        if (
            isinstance(error, AuthenticationError)
            and isinstance(pool, CredentialPool)
            and key.id not in attempts.retry.rotation.renewed
            and pool.reject(key, lease.sent)
        ):
            attempts.rule = TOKEN_REFUSED  # it is refreshed before its next use, once per call
        elif isinstance(error, AuthenticationError) and self._is_kept_elsewhere(attempts, key):
            return key
        elif attempts.rule.key is not KeyAction.UNTOUCHED:
            self._report_key(attempts, key, error, now)
        return None

    # -------------------------------------------------------------------------------------------- afterwards

    async def _after_failure(
        self,
        attempts: AttemptState,
        lease: Lease,
        error: ProviderKitError,
        rotated: Key | None,
        ok: bool | None,
        used: float,
    ) -> None:
        if rotated is not None:  # done last, since fetching the new key may take long or be cancelled
            if await self._was_rotated(attempts, rotated):
                attempts.rule = TOKEN_REFUSED
            else:
                self._report_key(attempts, rotated, error, attempts.runtime.now())
        shared = self._admission.shared
        if shared is not None:
            await shared.finish(attempts, lease, self._breaker_of(attempts), ok, used)

    def _is_kept_elsewhere(self, attempts: AttemptState, key: Key) -> bool:
        """Whether the source of a refused key may hold a new one; it is checked once per call."""
        source = self._admission.endpoint.key_source
        return hasattr(source.function, "forget_refused") and key.id not in attempts.retry.rotation.renewed

    async def _was_rotated(self, attempts: AttemptState, key: Key) -> bool:
        """Whether the source of a refused key holds another one by now."""
        source, runtime, found = self._admission.endpoint.key_source, attempts.runtime, list[str]()
        source.function.forget_refused()  # type: ignore[union-attr]  # it has one, see above

        async def look() -> None:
            with suppress(ProviderKitError):  # the refusal is reported instead
                found.extend(await source.fetch(runtime))

        left = attempts.left(runtime.now())
        await runtime.spawn(look(), None if left == math.inf else max(0.0, left), lambda: None)
        return bool(found) and key.value not in found

    def _report_key(self, attempts: AttemptState, key: Key, error: ProviderKitError, now: float) -> None:
        """Report a failure to the pool, and what happened to the key to the sinks."""
        endpoint = self._admission.endpoint
        rest = None
        if isinstance(error, InsufficientQuotaError) and error.daily:
            rest = endpoint.provider.seconds_to_new_day(attempts.runtime.time())
            error.retry_after = rest if error.retry_after is None or error.retry_after < rest else error.retry_after
        action = endpoint.keys.report_failure(key.value, error, now, rest=rest)
        shown = key.shown
        if action is KeyAction.DEAD:
            attempts.tell(KeyDead, f"key {shown} was refused", error=error, key=shown)
            return
        wait = max(0.0, key.available_at - now)
        if action is KeyAction.PARKED:
            text = f"the quota of key {shown} is used up; it is not used for {wait:.0f} s"
            attempts.tell(KeyParked, text, error=error, key=shown, wait=wait)
        elif action is KeyAction.COOLING:
            attempts.tell(KeyCooling, f"key {shown} cools down for {wait:.1f} s", error=error, key=shown, wait=wait)

    # -------------------------------------------------------------------------------------------- parts

    def _breaker_of(self, attempts: AttemptState) -> CircuitBreaker | None:
        return None if attempts.call.probing else self._admission.breaker

    def _free_slot(self, lease: Lease) -> None:
        if lease.place is not None and self._admission.slots is not None:
            self._admission.slots.leave(lease.place)
            lease.place = None

    def _withdraw(self, attempts: AttemptState, lease: Lease, now: float) -> None:
        """Nothing was sent, so nothing counts."""
        admission = self._admission
        if lease.advertised is not None:  # queued calls must not wait for this one
            admission.header_limits.waited(*lease.advertised, went=False)
            lease.advertised = None
        if lease.key is not None:
            lease.key.requests -= 1
        if lease.ticket is not None and lease.limiter is not None:
            lease.limiter.withdraw(lease.ticket, now)
        if lease.common is not None and admission.rates.common is not None:
            admission.rates.common.withdraw(lease.common, now)
        self._settle_custom(attempts, lease, 0.0, now)

    def _settle_limits(self, attempts: AttemptState, lease: Lease, used: float | None, now: float) -> None:
        """Report to the limits what an attempt used; ``None`` if unknown."""
        common = self._admission.rates.common
        if lease.ticket is not None and lease.limiter is not None:
            lease.limiter.settle(lease.ticket, lease.ticket.tokens if used is None else used, now)
        if lease.common is not None and common is not None:
            common.settle(lease.common, lease.common.tokens if used is None else used, now)
        self._settle_custom(attempts, lease, used, now)

    def _settle_custom(self, attempts: AttemptState, lease: Lease, used: float | None, now: float) -> None:
        limiter = self._admission.rates.custom_limiter
        if lease.claimed and limiter is not None:
            lease.claimed = False
            limiter.settle(int(attempts.tokens), int(attempts.tokens if used is None else used), now)

    def _read_limits(self, attempts: AttemptState, lease: Lease, headers: Mapping[str, str], now: float) -> None:
        """Read the headers of an answer, if they may hold new limits."""
        known, key_id = self._admission.header_limits, lease.key.id if lease.key is not None else ""
        if not attempts.observed and known.skim(key_id, attempts.model or "", headers, now, attempts.runtime.time):
            return
        if has_rate_limits(headers):
            self._tell_limits(attempts, self._learn(attempts, lease, headers, now))
        else:
            known.nothing_told(now)

    def _learn(
        self, attempts: AttemptState, lease: Lease, headers: Mapping[str, str], now: float
    ) -> RateLimitInfo | None:
        """Update limits from an answer's headers."""
        key, endpoint = lease.key, self._admission.endpoint
        info = self._admission.header_limits.update(
            headers,
            key_id=key.id if key is not None else "",
            key=attempts.shown_key(),
            model=attempts.model or "",
            now=now,
            clock=attempts.runtime.time,
            whole=attempts.observed,
        )
        if info is not None and lease.limiter is not None:
            requests, tokens = info.requests, info.tokens
            window = None if requests is None else requests.window or endpoint.provider.requests_limit_per
            lease.limiter.correct(
                requests=requests.limit if requests is not None and window == 60.0 else None,
                tokens=tokens.limit if tokens is not None and tokens.limit else None,
            )
        return info

    def _tell_limits(self, attempts: AttemptState, info: RateLimitInfo | None) -> None:
        if info is not None and attempts.observed:
            attempts.tell(RateLimitLearned, "limits were told", limits=dict(info.allowances))

    def _tell_circuit(self, attempts: AttemptState, changed: CircuitState, error: ProviderKitError | None) -> None:
        breaker = self._admission.breaker
        if changed == "open" and breaker is not None:
            wait = breaker.config.open_for
            text = f"it failed repeatedly; no calls for {wait:.0f} s"
            attempts.tell(CircuitOpened, text, wait=wait, error=error)
        else:  # refused, but answered
            attempts.tell(CircuitClosed, "the provider answers again; the circuit is closed")
