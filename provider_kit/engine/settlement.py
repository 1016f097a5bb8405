"""What the end of an attempt means for key, circuit and limits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from provider_kit.auth.credential_pool import CredentialPool
from provider_kit.auth.keys.state import Key
from provider_kit.engine.admission import Gate, Lease
from provider_kit.errors import (
    APIConnectionError,
    APIError,
    AuthenticationError,
    InsufficientQuotaError,
    ProviderKitError,
    ResponseLostError,
)
from provider_kit.policies.circuit_breaker import CircuitState
from provider_kit.policies.failure_rules import TOKEN_REFUSED, FailureRule, KeyAction, rule_for
from provider_kit.wire.rate_limit_headers import RateLimitInfo, has_rate_limits

if TYPE_CHECKING:
    from provider_kit.engine.attempts import Run

__all__ = ["failed", "succeeded", "succeeded_at_once"]


def succeeded_at_once(run: Run, lease: Lease, headers: Mapping[str, str], used: float | None) -> bool:
    """As :func:`succeeded`, where nobody has to be told anything; false, and nothing done, where somebody has."""
    gate = run.gate
    breaker = gate.breaker
    if gate.shared is not None or run.minute or (breaker is not None and not breaker.closed):
        return False
    _give_back(gate, run, lease, headers, used)
    return True


async def succeeded(run: Run, lease: Lease, headers: Mapping[str, str], used: float | None) -> None:
    """An attempt was answered as it should be.

    Args:
        run: The call.
        lease: What the attempt holds.
        headers: The answer's headers.
        used: Tokens it used, if known.
    """
    gate = run.gate
    changed, told = _give_back(gate, run, lease, headers, used)
    if changed is not None:
        await gate.events.emit(run, "circuit_closed", "the provider answers again; the circuit is closed")
    if told is not None and run.minute:
        await gate.events.emit(run, "rate_limit_learned", "limits were told", limits=dict(told.allowances))
    if gate.shared is not None:
        await gate.shared.finish(gate, run, lease, True, lease.tokens if used is None else used)


def _give_back(
    gate: Gate, run: Run, lease: Lease, headers: Mapping[str, str], used: float | None
) -> tuple[CircuitState | None, RateLimitInfo | None]:
    now = run.transport.now()
    key = lease.key
    if lease.place is not None and gate.slots is not None:
        gate.slots.leave(lease.place)
        lease.place = None
    if key is not None:
        gate.endpoint.keys.mark_success(key, now)
        if gate.renewable:
            gate.endpoint.keys.observe(key, True, run.latency, used, run.transport.time())
    changed = None
    if lease.generation is not None and gate.breaker is not None:
        changed = gate.breaker.record(lease.generation, True, now)
        lease.generation = None
    if lease.ticket is not None or lease.common is not None or lease.claimed:
        gate.settle(run, lease, used, now)
    key_id = key.id if key is not None else ""
    if not run.minute and gate.learned.skim(key_id, run.model or "", headers, now, run.transport.time):
        return changed, None
    if has_rate_limits(headers):
        return changed, _learn(gate, run, lease, headers, now)
    gate.learned.nothing_told(now)
    return changed, None


async def failed(run: Run, lease: Lease, error: ProviderKitError) -> FailureRule:
    """An attempt failed; the row of the matrix that the error falls under."""
    gate = run.gate
    now = run.transport.now()
    row = rule_for(error)
    if lease.place is not None and gate.slots is not None:
        gate.slots.leave(lease.place)
        lease.place = None
    changed = refused = None
    ok = False if row.breaker else True if isinstance(error, APIError) else None
    if lease.generation is not None and gate.breaker is not None:
        changed = gate.breaker.record(lease.generation, ok, now)
        lease.generation = None
    if isinstance(error, APIError) and has_rate_limits(error.headers):
        told = _learn(gate, run, lease, error.headers, now)
        if told is not None and run.minute:
            await gate.events.emit(run, "rate_limit_learned", "limits were told", limits=dict(told.allowances))
    if lease.key is not None:
        if gate.renewable:
            gate.endpoint.keys.observe(lease.key, False, run.latency, None, run.transport.time())
        if isinstance(error, AuthenticationError) and _reject(gate, run, lease, lease.key):
            row = TOKEN_REFUSED
        elif isinstance(error, AuthenticationError) and _is_kept_elsewhere(gate, run, lease.key):
            refused = lease.key
        else:
            await _report_key(gate, run, lease.key, error, now)
    if changed == "open" and gate.breaker is not None:
        wait = gate.breaker.config.open_for
        text = f"it failed repeatedly; left alone for {wait:.0f} s"
        await gate.events.emit(run, "circuit_open", text, wait=wait, error=error)
    elif changed is not None:  # refused, but answered
        await gate.events.emit(run, "circuit_closed", "the provider answers again; the circuit is closed")
    answered = isinstance(error, APIError) or (
        isinstance(error, APIConnectionError) and error.retryable and not isinstance(error, ResponseLostError)
    )
    gate.settle(run, lease, 0.0 if answered else None, now)
    if refused is not None:  # so late, since looking for its successor may take long, and be broken off
        if await _was_rotated(gate, run, refused):
            row = TOKEN_REFUSED
        else:
            await _report_key(gate, run, refused, error, now)
    if gate.shared is not None:
        await gate.shared.finish(gate, run, lease, ok, 0.0 if answered else lease.tokens)
    return row


def _reject(gate: Gate, run: Run, lease: Lease, key: Key) -> bool:
    """Have a refused token renewed before it is used again; false if that was done in this call already."""
    pool = gate.endpoint.keys
    if not isinstance(pool, CredentialPool) or key.id in run.trail.renewed or not pool.can_renew(key):
        return False
    pool.reject(key, lease.sent)
    return True


def _is_kept_elsewhere(gate: Gate, run: Run, key: Key) -> bool:
    """Whether there is a place to look for the successor of a refused key; it is looked for once in a call."""
    return hasattr(gate.endpoint.key_source.function, "forget_refused") and key.id not in run.trail.renewed


async def _was_rotated(gate: Gate, run: Run, key: Key) -> bool:
    """Whether the place a refused key was remembered from holds another one by now."""
    source, transport, found = gate.endpoint.key_source, run.transport, list[str]()
    source.function.forget_refused()  # type: ignore[union-attr]  # it has one, see above

    async def look() -> None:
        with suppress(ProviderKitError):  # the refusal is what is told
            found.extend(await source.fetch(transport))

    left = run.left(transport.now())
    await transport.spawn(look(), None if left == math.inf else max(0.0, left), lambda: None)
    return bool(found) and key.value not in found


async def _report_key(gate: Gate, run: Run, key: Key, error: ProviderKitError, now: float) -> None:
    rest = None
    if isinstance(error, InsufficientQuotaError) and error.daily:
        rest = gate.endpoint.provider.seconds_to_new_day(run.transport.time())
        error.retry_after = rest if error.retry_after is None or error.retry_after < rest else error.retry_after
    fate = gate.endpoint.keys.report_failure(key.value, error, now, rest=rest)
    if fate is KeyAction.UNTOUCHED:
        return
    shown = key.shown
    if fate is KeyAction.DEAD:
        await gate.events.emit(run, "key_dead", f"key {shown} was refused", error=error, key=shown)
        return
    wait = max(0.0, key.available_at - now)
    if fate is KeyAction.PARKED:
        text = f"the quota of key {shown} is used up; it rests {wait:.0f} s"
        await gate.events.emit(run, "key_parked", text, error=error, key=shown, wait=wait)
    else:
        await gate.events.emit(run, "key_cooling", f"key {shown} rests {wait:.1f} s", error=error, key=shown, wait=wait)


def _learn(gate: Gate, run: Run, lease: Lease, headers: Mapping[str, str], now: float) -> RateLimitInfo | None:
    """Take limits from an answer's headers."""
    key, endpoint = lease.key, gate.endpoint
    info = gate.learned.update(
        headers,
        key_id=key.id if key is not None else "",
        key=key.shown if key is not None and endpoint.keys.has_multiple else "",
        model=run.model or "",
        now=now,
        clock=run.transport.time,
        whole=run.minute,
    )
    if info is not None and lease.limiter is not None:
        requests, tokens = info.requests, info.tokens
        window = None if requests is None else requests.window or endpoint.provider.requests_limit_per
        lease.limiter.correct(
            requests=requests.limit if requests is not None and window == 60.0 else None,
            tokens=tokens.limit if tokens is not None and tokens.limit else None,
        )
    return info
