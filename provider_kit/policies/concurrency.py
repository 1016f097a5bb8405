"""How many calls may be in flight at once; first come, first served, across threads and event loops.

A slot is held by a :class:`Place` and by nothing else: when the place is gone, whatever ended its call
(an interrupt between two lines, an event loop that was closed under it), the slot is free. So there is no
count that could go wrong; what is taken is what somebody holds.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable

from attrs import define, field

from provider_kit.policies.after_fork import renew_after_fork
from provider_kit.policies.rate_limit import Wakes

__all__ = ["Place", "Slots"]


class _Ref(weakref.ref["Place"]):
    """Known by its own identity, which does not end with the place."""

    __slots__ = ()
    __hash__ = object.__hash__
    __eq__ = object.__eq__


@define(eq=False)
class Place:
    """Somebody's place in the queue."""

    wakeup: Wakes | None = None
    #: Tells whether the event loop of its call has been closed, so that nobody will ever give it back.
    ended: Callable[[], bool] = bool
    #: The slots it holds one of.
    _slots: Slots | None = None
    #: What the slots know it by.
    ref: _Ref | None = field(default=None, repr=False)

    def leave(self) -> None:
        """Free the slot, or give up waiting for one; again does nothing."""
        if self._slots is not None:
            self._slots.leave(self)

    @property
    def granted(self) -> bool:
        """Whether it holds a slot."""
        return self._slots is not None and self.ref in self._slots.holders


class Slots:
    """At most ``limit`` at once. A freed slot is handed to the one who has waited longest."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        #: Those who hold a slot.
        self.holders: set[_Ref] = set()
        self._queue: deque[_Ref] = deque()
        self._lock = threading.RLock()
        renew_after_fork(self)

    def _after_fork(self) -> None:
        self._lock = threading.RLock()
        self._queue.clear()
        self.holders = set()

    @property
    def taken(self) -> int:
        """How many slots are held."""
        return len(self.holders)

    def __len__(self) -> int:
        """How many wait."""
        return len(self._queue)

    def take(self, ended: Callable[[], bool] = bool) -> Place:
        """A slot, or a place in the queue for one.

        Args:
            ended: Tells whether the event loop of the call has been closed.
        """
        place = Place(None, ended, self)
        place.ref = ref = _Ref(place, self._lost)
        with self._lock:
            if len(self.holders) < self.limit and not self._queue:
                self.holders.add(ref)
            else:
                self._queue.append(ref)
                self.reclaim()
        return place

    def leave(self, place: Place) -> None:
        """Free the slot, or give up waiting for one."""
        ref = place.ref
        if ref is None:
            return
        with self._lock:
            if ref in self.holders:
                self.holders.discard(ref)
            elif ref in self._queue:
                self._queue.remove(ref)
            self._promote()
        place.ref = None  # no callback any more: an exception in one is swallowed by Python

    def reclaim(self) -> None:
        """Take back the slots of calls whose event loop has been closed."""
        with self._lock:
            for ref in list(self.holders):
                place = ref()
                if place is None or place.ended():
                    self.holders.discard(ref)
            self._promote()

    def _lost(self, ref: _Ref) -> None:
        """A place is gone without having been given back."""
        with self._lock:
            self.holders.discard(ref)
            self._promote()

    def _promote(self) -> None:
        """Hand what is free to those who have waited longest."""
        while self._queue and len(self.holders) < self.limit:
            ref = self._queue[0]
            place = ref()
            if place is not None and ref not in self.holders and not place.ended():
                self.holders.add(ref)  # an interrupt may come between these lines; the next one goes on here
                if place.wakeup is not None:
                    place.wakeup.wake()
            if self._queue and self._queue[0] is ref:
                self._queue.popleft()
