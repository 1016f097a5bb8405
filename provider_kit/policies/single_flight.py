"""Single flight: one caller does the work, the others wait for it, across threads, tasks and event loops. Plain
state."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable
from typing import Any, Protocol

from attrs import define, field

from provider_kit.errors import ProviderKitError
from provider_kit.policies.after_fork import renew_after_fork

__all__ = ["Flight", "SingleFlight"]

_LOG = logging.getLogger("provider_kit.auth")


class _Wakes(Protocol):
    def wake(self) -> None: ...


class _Releases(Protocol):
    def release(self) -> Any: ...


@define(eq=False)
class Flight:
    """Work in progress, and its waiters."""

    #: Time after which its caller is considered dead.
    until: float
    #: Returns whether the event loop it runs in was closed, which ends the work.
    ended: Callable[[], bool]
    wakeups: list[_Wakes] = field(factory=list)
    done: bool = False
    error: ProviderKitError | None = None
    #: Its result.
    result: Any = None
    #: Another caller has taken over: whatever this flight still does must have no effect.
    abandoned: bool = False
    #: Releases what a dead flight still holds.
    give_back: Callable[[], object] | None = None
    #: The key of the work.
    key: str = ""
    #: Weak reference to an object that lives as long as the caller's work.
    holder: Callable[[], object] | None = None

    def holds(self, lock: _Releases) -> None:
        """Let a lock be released if this flight dies; it need not be acquired yet."""
        self.give_back = lock.release

    def over(self, now: float) -> bool:
        """Whether it can no longer produce a result."""
        lost = self.holder is not None and self.holder() is None
        return lost or self.done or now > self.until or self.ended()


class SingleFlight:
    """At most one flight at a time for each key."""

    def __init__(self) -> None:
        self._flights: dict[str, Flight] = {}
        self._lock = threading.RLock()
        renew_after_fork(self)

    def _after_fork(self) -> None:
        self._lock = threading.RLock()
        self._flights = {}

    def current(self, now: float, key: str = "") -> Flight | None:
        """The flight in progress, if there is one."""
        flight = self._flights.get(key)
        return flight if flight is not None and not flight.over(now) else None

    def join(
        self,
        now: float,
        until: float,
        ended: Callable[[], bool],
        make_waiter: Callable[[], _Wakes],
        *,
        key: str = "",
        holder: object | None = None,
    ) -> tuple[Flight, bool, _Wakes | None]:
        """Join: return the flight, whether the caller is to do the work, and otherwise the waiter.

        A flight whose event loop was closed, whose holder is gone, or that takes too long, is replaced; what it held is
        released, and its waiters wait for the new one.

        Args:
            now: The clock.
            until: Time after which the caller that does the work is considered dead.
            ended: Returns whether the event loop of the work has been closed.
            make_waiter: Creates the caller's waiter.
            key: Identifies the work.
            holder: An object that lives as long as the caller's work.
        """
        made = Flight(until, ended, key=key)
        if holder is not None:  # before it is published: an interrupt must not leave a flight without a holder
            made.holder = weakref.ref(holder, lambda _: self._lost(made))
        with self._lock:
            flight = self._flights.get(key)
            if flight is None or flight.over(now):
                if flight is not None and not flight.done:
                    made.wakeups = flight.wakeups
                    self._abandon(flight)
                self._flights[key] = made
                return made, True, None
            wakeup = make_waiter()
            flight.wakeups.append(wakeup)
            return flight, False, wakeup

    @staticmethod
    def _abandon(flight: Flight) -> None:
        flight.abandoned = True
        give_back, flight.give_back = flight.give_back, None
        if give_back is not None:
            try:
                give_back()
            except Exception:  # the new flight must not fail because the old one could not be released
                _LOG.warning("a lock held by a dead refresh could not be released; it will expire")

    def land(self, flight: Flight) -> None:
        """The work has ended; wake all waiters."""
        with self._lock:
            flight.done = True
            if self._flights.get(flight.key) is flight:
                del self._flights[flight.key]
            wakeups = list(flight.wakeups)
        for wakeup in wakeups:
            wakeup.wake()

    def end(self, key: str) -> None:
        """End the flight of this key, if there is one."""
        flight = self._flights.get(key)
        if flight is not None:
            self.land(flight)

    def _lost(self, flight: Flight) -> None:
        if self._flights.get(flight.key) is flight:
            self.land(flight)
