"""Waiting for one's turn: for a place among the calls in flight, for the rate limits, for what headers advise.

The policies say for how long; here it is waited, and told. Nobody waits past the deadline of the call.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from provider_kit.errors import RateLimitExceededError, StoreError
from provider_kit.policies.concurrency import Place, Slots
from provider_kit.policies.rate_limit import SlidingWindows, Ticket
from provider_kit.stores.daily_counter import DailyCounter, default_path

if TYPE_CHECKING:
    from provider_kit.engine.admission import Gate, Lease
    from provider_kit.engine.attempts import Run

__all__ = [
    "DEFAULT_QUEUE_TIMEOUT",
    "MAX_WAIT_SLICE",
    "acquire_slot",
    "count_of_the_day",
    "pause",
    "wait_for_advertised_limits",
    "wait_for_turn",
]

#: Seconds a call waits for a key, or for a limit that headers told, unless it was configured.
DEFAULT_QUEUE_TIMEOUT = 120.0
#: Seconds after which somebody who waits looks again, should a wake-up have been lost.
MAX_WAIT_SLICE = 30.0
#: Seconds after which somebody who waits for a place looks whether those who hold one still exist.
_LOOK_AT_HOLDERS = 1.0
#: Seconds of waiting after which a person would think that nothing happens any more.
_LOOKS_LIKE_A_HANG = 2.0


async def acquire_slot(gate: Gate, run: Run, slots: Slots) -> Place:
    """A place among the calls in flight.

    Raises:
        RateLimitExceededError: None became free before the call's deadline.
    """
    place = slots.take(run.transport.is_loop_closed())
    if place.granted:
        return place
    try:
        transport = run.transport
        place.wakeup = wakeup = transport.wakeup()
        await gate.events.emit(run, "concurrency_wait", f"{slots.limit} calls are in flight; waiting for a place")
        began, told = transport.now(), False
        while not place.granted:
            waited = transport.now() - began
            if not told and waited >= _LOOKS_LIKE_A_HANG:
                told = True
                text = f"waiting for a place for {waited:.0f} s: {slots.limit} calls are in flight, {len(slots)} wait"
                await gate.events.emit(run, "concurrency_wait", text, level=logging.INFO, waiting=len(slots))
            left = run.left(transport.now())
            if left <= 0:
                raise RateLimitExceededError(
                    f"{slots.limit} calls were in flight for the {waited:.1f} s until the call's deadline; "
                    f"{len(slots)} wait.",
                    hint="Raise max_concurrency= or total_timeout=, or make fewer calls at once.",
                    **run.facts(),
                )
            await run.wait(wakeup, min(left, _LOOK_AT_HOLDERS))
            slots.reclaim()
    except BaseException:  # cancelled too: a place that nobody holds would never be free again
        slots.leave(place)
        raise
    return place


async def wait_for_turn(gate: Gate, run: Run, lease: Lease, limiter: SlidingWindows, ticket: Ticket) -> bool:
    """Wait for the limits of a key; false if another key has room by now."""
    transport = run.transport
    shared = gate.shared if limiter is lease.limiter else None
    told = False
    wakeup = None
    began = now = transport.now()
    while True:
        if shared is None:
            wait = limiter.ready(ticket, now)
        elif not limiter.is_head(ticket):
            wait = float("inf")
        else:
            remote = await shared.take(gate, run, lease)
            now = transport.now()
            if remote == 0.0:
                limiter.admit(ticket, now)
                return True
            if remote is None:
                wait = limiter.ready(ticket, now)
            else:
                wait = remote
                limiter.full_until = now + remote
                if _another_has_room(gate, run, now):
                    limiter.leave(ticket)
                    lease.ticket = None
                    return False
        if wait <= 0:
            return True
        expected = max(ticket.expected - (now - began), wait if wait != float("inf") else 0.0)
        allowed = run.left(now)
        if gate.limits is not None and gate.limits.max_wait is not None:
            allowed = min(allowed, gate.limits.max_wait - (now - began))
        if expected > allowed or allowed <= 0:
            raise _limit_error(gate, run, max(expected, limiter.expected(ticket, now)), allowed)
        if not told:
            told = True
            text = f"waiting {expected:.1f} s for the rate limit; {len(limiter)} calls wait"
            await gate.events.emit(run, "rate_limit", text, wait=expected, waiting=len(limiter))
        if wakeup is None:
            wakeup = ticket.wakeup = transport.wakeup()
            if shared is None or (limiter.is_head(ticket) and wait == float("inf")):
                now = transport.now()
                continue  # it became the head, or got room, before it could be woken
        await run.wait(wakeup, min(wait, allowed, MAX_WAIT_SLICE if limiter.is_head(ticket) else _LOOK_AT_HOLDERS))
        now = transport.now()


def _another_has_room(gate: Gate, run: Run, now: float) -> bool:
    pool = gate.endpoint.keys
    return (
        pool.has_multiple
        and pool.usable(now, run.trail.excluded)
        and pool.shortest(now, run.trail.excluded, lambda key: gate.expected_wait(key, run, now)) == 0.0
    )


async def wait_for_advertised_limits(gate: Gate, run: Run, key_id: str) -> None:
    """Wait for as long as the provider's headers advise."""
    learned, model, tokens = gate.learned, run.model or "", run.tokens
    wait = learned.claim(key_id, model, tokens, run.transport.now())
    if wait <= 0:
        return
    limits = gate.limits
    patience = limits.max_wait if limits is not None and limits.max_wait is not None else DEFAULT_QUEUE_TIMEOUT
    try:
        await pause(gate, run, wait, patience=patience)
    except BaseException:  # cancelled too: whoever waits behind must not wait for this one
        learned.waited(key_id, model, tokens, went=False)
        raise
    learned.waited(key_id, model, tokens, went=True)


async def count_of_the_day(gate: Gate, run: Run, key_id: str, limit: int) -> None:
    """The count that survives a restart; it is kept beside the one in memory."""
    if gate.day is None:
        assert gate.limits is not None  # asked for only where there are limits
        path = gate.limits.persist
        try:
            path = path if isinstance(path, str) else default_path()
        except StoreError as error:
            if gate.config.on_store_failure == "raise":
                raise
            if gate.day_outage.begins(run.transport.now()):
                text = f"{error.message} Counting in memory only."
                await gate.events.emit(run, "store_failed", text, error=error)
            return
        gate.day = DailyCounter(path, clock=run.transport.time)
    while True:
        try:
            wait = await run.transport.call_blocking(gate.day.take, f"{gate.endpoint.name}:{key_id}", limit)
        except StoreError as error:
            if gate.config.on_store_failure == "raise":
                raise
            if gate.day_outage.begins(run.transport.now()):
                text = f"{error.message} Counting in memory only."
                await gate.events.emit(run, "store_failed", text, error=error)
            return
        if gate.day_outage.ends():
            await gate.events.emit(run, "store_back", "the count of the day is kept in its file again")
        if wait <= 0:
            return
        max_wait = gate.limits.max_wait if gate.limits is not None else None
        await pause(gate, run, wait, patience=float("inf") if max_wait is None else max_wait)


async def pause(gate: Gate, run: Run, wait: float, *, patience: float = float("inf")) -> None:
    """Wait as long as a limit says.

    Raises:
        RateLimitExceededError: That would be longer than ``patience`` seconds, or than the call may take.
    """
    if wait <= 0:
        return
    left = run.left(run.transport.now())
    if wait > patience or wait >= left:
        raise _limit_error(gate, run, wait, min(patience, left))
    await gate.events.emit(run, "rate_limit", f"waiting {wait:.1f} s for the rate limit", wait=wait)
    await run.sleep(wait)


def _limit_error(gate: Gate, run: Run, wait: float, allowed: float) -> RateLimitExceededError:
    return RateLimitExceededError(
        f"The rate limit would delay this call by {wait:.1f} s, longer than the {max(0.0, allowed):.1f} s it may wait.",
        retry_after=wait,
        hint="Raise total_timeout= or RateLimitConfig(max_wait=…), spread the calls, or add keys.",
        **run.facts(),
    )
