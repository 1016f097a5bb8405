"""Limits, key health and circuit state that several processes share.

Before an attempt, the state of other processes is adopted; after it, its outcome is shared. Capacity of the limits is
reserved on the server, atomically. While the store cannot be reached, each process continues with its own state (and
reports it once), or fails, as configured.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from typing import Any

from provider_kit.auth.keys.state import Key
from provider_kit.engine.attempt_state import AttemptState, Lease
from provider_kit.engine.endpoint import Endpoint
from provider_kit.errors import StoreError
from provider_kit.model.config import ProviderConfig
from provider_kit.model.events import (
    CircuitChanged,
    CircuitClosed,
    CircuitHalfOpened,
    CircuitOpened,
    StoreBack,
    StoreFailed,
)
from provider_kit.policies.circuit_breaker import CircuitBreaker, CircuitState
from provider_kit.policies.outage import Outage
from provider_kit.policies.shared_scripts import BEGIN, FINISH, SETTLE, TAKE
from provider_kit.stores.base import SharedStore

__all__ = ["SharedState"]

#: Requests take time to arrive; windows on the server are longer by this, so that the provider does not see more than
#: the limit either: a hundredth, at most a quarter of a second.
_MARGIN, _MOST_MARGIN = 0.01, 0.25
_numbers = itertools.count()
_CHANGES: dict[CircuitState, type[CircuitChanged]] = {
    "open": CircuitOpened,
    "half_open": CircuitHalfOpened,
    "closed": CircuitClosed,
}


class SharedState:
    """One client's share of the common state."""

    def __init__(self, store: SharedStore, endpoint: Endpoint, config: ProviderConfig) -> None:
        self.store = store
        self._config = config
        self._endpoint = endpoint
        scope = hashlib.sha256(f"{endpoint.provider.name}\0{endpoint.base_url}".encode()).hexdigest()[:16]
        # The braces keep all names on one node of a Redis cluster.
        self._scope = f"{{{scope}}}"
        self._names = [f"{self._scope}:circuit", f"{self._scope}:keys"]
        self._id = os.urandom(6).hex()
        self._outage = Outage()

    # -------------------------------------------------------------------------------------------- turns

    async def begin(self, attempts: AttemptState, breaker: CircuitBreaker | None) -> None:
        """Update circuit and keys from the store.

        Raises:
            StoreError: The store cannot be used, and ``on_store_failure`` is ``raise``.
        """
        # Whether it counts there is unknown until the store answers; a started trial is released in any case.
        attempts.lease.shared_begun = True
        most = breaker.config.half_open_requests if breaker is not None else 0
        open_for = int(breaker.config.open_for * 1e6) if breaker is not None else 0
        told = await self._run(attempts, BEGIN, self._names, [most, open_for])
        if told is None:
            return
        now = attempts.runtime.now()
        state, wait = _state(told[0]), float(told[1]) / 1e6
        if breaker is not None:
            _merge_shared(attempts, breaker, "open" if wait > 0 else state, wait)
        pool = attempts.endpoint.keys
        out = {
            _text(told[i]): (float(told[i + 1]) / 1e6, _text(told[i + 2]), bool(told[i + 3]))
            for i in range(2, len(told), 4)
        }
        pool.merge_shared(out, now, self._endpoint.shared_name)

    async def take(self, attempts: AttemptState, lease: Lease) -> float | None:
        """Reserve capacity in the shared windows; return seconds to wait, 0 if admitted, ``None`` without a store.

        Raises:
            StoreError: The store cannot be used, and ``on_store_failure`` is ``raise``.
        """
        limiter = lease.limiter
        assert limiter is not None  # only called with limits
        key_name = self._key_name(lease.key)
        windows = [(window, 1, f"requests:{window.seconds:g}") for window in limiter.windows]
        if limiter.token_window is not None:
            windows.append((limiter.token_window, max(0, round(lease.tokens)), "tokens"))
        claim = f"{self._id}.{next(_numbers)}"
        names: list[str] = []
        args: list[Any] = [claim]
        for window, amount, name in windows:
            names += [f"{self._scope}:{key_name}:{name}:log", f"{self._scope}:{key_name}:{name}:total"]
            longer = window.seconds + min(_MOST_MARGIN, window.seconds * _MARGIN)
            args += [int(window.limit), int(longer * 1e6), amount]
        wait = await self._run(attempts, TAKE, names, args)
        if wait is None:
            return None
        if wait == 0:
            lease.remote = claim
            return 0.0
        return max(0.0005, float(wait) / 1e6)

    async def finish(
        self, attempts: AttemptState, lease: Lease, breaker: CircuitBreaker | None, ok: bool | None, used: float
    ) -> None:
        """Share the outcome of an attempt. A failure to do so is only reported."""
        await self._settle_tokens(attempts, lease, used)
        outcome = "none"
        if breaker is not None:
            outcome = "open" if ok is None else "ok" if ok else "failed"
        key = lease.key
        fate, rest, server_specified = _fate(key, attempts.runtime.now())
        if outcome == "none" and fate == "same":
            return
        numbers = breaker.config if breaker is not None else None
        args = [
            outcome,
            int((numbers.window if numbers else 60) * 1e6),
            int((numbers.open_for if numbers else 30) * 1e6),
            numbers.half_open_requests if numbers else 0,
            numbers.min_requests if numbers else 0,
            numbers.failure_ratio if numbers else 1,
            self._endpoint.shared_name(key),
            fate,
            int(rest * 1e6),
            int(server_specified),
        ]
        state = await self._run(attempts, FINISH, self._names, args, fatal=False)
        if state is not None and breaker is not None:
            _merge_shared(attempts, breaker, _state(state), breaker.config.open_for)
        if key is not None:
            key.shared = fate not in ("same", "fine")
            key.reset = key.reset and state is None  # the store could not be told

    async def _settle_tokens(self, attempts: AttemptState, lease: Lease, used: float) -> None:
        """Return the tokens an attempt reserved and did not use."""
        limiter = lease.limiter
        if lease.remote is not None and limiter is not None and limiter.token_window is not None:
            claimed, claim, lease.remote = max(0, round(lease.tokens)), lease.remote, None
            if round(used) != claimed:
                place = f"{self._scope}:{self._key_name(lease.key)}:tokens"
                names = [f"{place}:log", f"{place}:total"]
                await self._run(attempts, SETTLE, names, [claim, claimed, max(0, round(used))], fatal=False)

    def _key_name(self, key: Key | None) -> str:
        return self._endpoint.shared_name(key) or "none"

    # -------------------------------------------------------------------------------------------- the store

    async def _run(
        self, attempts: AttemptState, script: str, names: list[str], args: list[Any], *, fatal: bool = True
    ) -> Any:
        runtime = attempts.runtime
        now = runtime.now()
        must = fatal and self._config.on_store_failure == "raise"
        if self._outage.lasts(now) and not must:
            return None
        try:
            answer = await self.store.run(runtime, script, names, args)
        except StoreError as error:
            news = self._outage.begins(runtime.now())
            if must:
                raise
            if news:
                text = f"{error.message} Continuing with the limits, keys and circuit of this process alone."
                attempts.tell(StoreFailed, text, error=error)
            return None
        if self._outage.ends():
            attempts.tell(StoreBack, "the shared store answers again")
        return answer


def _fate(key: Key | None, now: float) -> tuple[str, float, bool]:
    """The shared state of a key: why it is out, for how many seconds, and whether the provider named the time."""
    if key is None:
        return "same", 0.0, False
    if key.dead:
        return ("same" if key.shared else "dead"), 0.0, False
    if key.available_at > now:
        return key.state, key.available_at - now, key.server_specified
    return ("fine" if key.shared or key.reset else "same"), 0.0, False


def _merge_shared(attempts: AttemptState, breaker: CircuitBreaker, state: CircuitState, wait: float) -> None:
    now = attempts.runtime.now()
    changed = breaker.merge_shared(state, now + wait, now)
    if changed is not None:
        text = f"as other processes found: the circuit is {changed.replace('_', ' ')}"
        attempts.tell(_CHANGES[changed], text, wait=wait)


def _state(value: Any) -> CircuitState:
    text = _text(value)
    return "open" if text == "open" else "half_open" if text == "half_open" else "closed"


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
