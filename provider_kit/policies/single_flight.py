"""One does the work, the others wait for it: threads, tasks and event loops alike. Plain state."""

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


@define(eq=False)
class Flight:
    """Work under way, and who waits for it."""

    #: Clock reading after which whoever does it is taken for dead.
    until: float
    #: Tells whether the event loop it runs in has ended, and it with it.
    ended: Callable[[], bool]
    wakeups: list[_Wakes] = field(factory=list)
    done: bool = False
    error: ProviderKitError | None = None
    #: What it brought.
    result: Any = None
    #: Somebody else has taken over: what it still does must have no effect.
    abandoned: bool = False
    #: Gives back what a dead flight still holds.
    give_back: Callable[[], object] | None = None
    #: What it is about.
    key: str = ""
    #: Refers to an object that lives as long as whoever does it.
    holder: Callable[[], object] | None = None

    def over(self, now: float) -> bool:
        """Whether nothing will come of it any more."""
        lost = self.holder is not None and self.holder() is None
        return lost or self.done or now > self.until or self.ended()


class SingleFlight:
    """At most one flight at a time about each thing."""

    def __init__(self) -> None:
        self._flights: dict[str, Flight] = {}
        self._lock = threading.RLock()
        renew_after_fork(self)

    def _after_fork(self) -> None:
        self._lock = threading.RLock()
        self._flights = {}

    def current(self, now: float, key: str = "") -> Flight | None:
        """The flight under way, if there is one."""
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
        """Take part: the flight, whether the caller is to do the work, and else what to wait with.

        A flight whose event loop has ended, whose holder is gone, or that takes too long, is replaced; what it held
        is given back, and whoever waited for it waits for the new one.

        Args:
            now: The clock.
            until: Clock reading after which whoever does the work is taken for dead.
            ended: Tells whether the event loop it is done in has been closed.
            make_waiter: Makes what the caller waits with.
            key: What it is about.
            holder: An object that lives as long as the caller's work.
        """
        made = Flight(until, ended, key=key)
        if holder is not None:  # before anybody knows of it: an interrupt must not leave a flight without a holder
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
            except Exception:  # whoever takes over must not fail by what somebody else left behind
                _LOG.warning("what a dead refresh held could not be given back; its time runs out by itself")

    def land(self, flight: Flight) -> None:
        """The work is over; wake everybody who waits for it."""
        with self._lock:
            flight.done = True
            if self._flights.get(flight.key) is flight:
                del self._flights[flight.key]
            wakeups = list(flight.wakeups)
        for wakeup in wakeups:
            wakeup.wake()

    def end(self, key: str) -> None:
        """Whatever is under way about this is over."""
        flight = self._flights.get(key)
        if flight is not None:
            self.land(flight)

    def _lost(self, flight: Flight) -> None:
        if self._flights.get(flight.key) is flight:
            self.land(flight)
