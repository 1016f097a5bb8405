"""Cool-downs that the routers of several processes share through a store.

Before each call what all of them found is adopted, in one round trip; a failure that keeps a target out is told at
once. The scripts are those of shared keys: a target is to a router what a key is to a client.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable
from typing import Any, Protocol

from provider_kit.errors import StoreError
from provider_kit.model.events import Event, StoreBack, StoreFailed
from provider_kit.policies.outage import Outage
from provider_kit.policies.routing.state import RouterState, TargetState
from provider_kit.policies.shared_scripts import BEGIN, FINISH
from provider_kit.stores.base import SharedStore
from provider_kit.transports.base import Runtime

__all__ = ["SharedRouting"]

#: As one word each, which the scripts require.
_TOLD, _GUESSED = "cooling", "failing"


class OfCall(Protocol):
    """The part of a call that is needed here."""

    @property
    def runtime(self) -> Runtime: ...

    def emit(self, kind: type[Event], message: str, **fields: Any) -> Awaitable[None]: ...


class SharedRouting:
    """One router's share of the common state.

    Args:
        store: The store.
        name: Name of the router; routers of the same name and targets share their state.
        state: The state of its targets.
    """

    def __init__(self, store: SharedStore, name: str, state: RouterState) -> None:
        self.store = store
        self._state = state
        names = "\0".join(sorted(target.name for target in state.targets))
        scope = hashlib.sha256(f"router\0{name}\0{names}".encode()).hexdigest()[:16]
        self._names = [f"{{{scope}}}:circuit", f"{{{scope}}}:targets"]
        self._by_id = {_id_of(target): target for target in state.targets}
        self._outage = Outage()

    async def read(self, call: OfCall) -> None:
        """Adopt what other processes found."""
        found = await self._run(call, BEGIN, [0, 0])
        if found is None:
            return
        now = call.runtime.now()
        told = {_text(found[i]): (float(found[i + 1]) / 1e6, _text(found[i + 2])) for i in range(2, len(found), 4)}
        for name, target in self._by_id.items():
            if name in told:
                seconds, why = told[name]
                if target.until < now + seconds - 0.001:
                    self._state.cool(target, seconds, "another process found that it fails", now, why != _TOLD)

    async def tell(self, call: OfCall, target: TargetState, seconds: float, guess: bool) -> None:
        """Tell the others that a target is kept out."""
        why = _GUESSED if guess else _TOLD
        args = ["none", 60_000_000, 30_000_000, 0, 0, 1, _id_of(target), why, int(seconds * 1e6), int(not guess)]
        await self._run(call, FINISH, args)

    async def _run(self, call: OfCall, script: str, args: list[Any]) -> Any:
        runtime = call.runtime
        if self._outage.lasts(runtime.now()):
            return None
        try:
            answer = await self.store.run(runtime, script, self._names, args)
        except StoreError as error:
            if self._outage.begins(runtime.now()):
                text = f"{error.message} Continuing with what this process knows of the targets."
                await call.emit(StoreFailed, text, error=error)
            return None
        if self._outage.ends():
            await call.emit(StoreBack, "the shared store answers again")
        return answer


def _id_of(target: TargetState) -> str:
    return hashlib.sha256(target.name.encode()).hexdigest()[:16]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
