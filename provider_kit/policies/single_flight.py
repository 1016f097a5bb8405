"""One does the work, the others wait for it: threads, tasks and event loops alike. Plain state."""

from __future__ import annotations

import logging
import threading
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

    def over(self, now: float) -> bool:
        """Whether nothing will come of it any more."""
        return self.done or now > self.until or self.ended()


class SingleFlight:
    """At most one flight at a time."""

    def __init__(self) -> None:
        self._flight: Flight | None = None
        self._lock = threading.RLock()
        renew_after_fork(self)

    def _after_fork(self) -> None:
        self._lock = threading.RLock()
        self._flight = None

    def current(self, now: float) -> Flight | None:
        """The flight under way, if there is one."""
        flight = self._flight
        return flight if flight is not None and not flight.over(now) else None

    def join(
        self, now: float, until: float, ended: Callable[[], bool], make_waiter: Callable[[], _Wakes]
    ) -> tuple[Flight, bool, _Wakes | None]:
        """Take part: the flight, whether the caller is to do the work, and else what to wait with.

        A flight whose event loop has ended, or that takes too long, is replaced; what it held is given
        back.
        """
        with self._lock:
            flight = self._flight
            if flight is None or flight.over(now):
                if flight is not None and not flight.done:
                    self._abandon(flight)
                self._flight = flight = Flight(until, ended)
                return flight, True, None
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
            if self._flight is flight:
                self._flight = None
            wakeups = list(flight.wakeups)
        for wakeup in wakeups:
            wakeup.wake()
