"""The limit of calls in flight; first come, first served, across threads and event loops.

A slot is held by a :class:`Place` alone: when that object is garbage-collected, whatever ended its call (an interrupt
between two lines, an event loop that was closed), the slot is free. So no counter can get out of step with the holders.
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
    """A weak reference that is hashed by its own identity, which outlives the place."""

    __slots__ = ()
    __hash__ = object.__hash__
    __eq__ = object.__eq__


@define(eq=False)
class Place:
    """A call's place in the queue, or its slot."""

    wakeup: Wakes | None = None
    #: Returns whether the event loop of its call was closed, so that the call can never release it.
    ended: Callable[[], bool] = bool
    #: The slots it belongs to.
    _slots: Slots | None = None
    #: Its weak reference in these slots.
    ref: _Ref | None = field(default=None, repr=False)

    def leave(self) -> None:
        """Free the slot, or give up waiting for one; calling it again does nothing."""
        if self._slots is not None:
            self._slots.leave(self)

    @property
    def granted(self) -> bool:
        """Whether it holds a slot."""
        return self._slots is not None and self.ref in self._slots.holders


class Slots:
    """At most ``limit`` at once. A freed slot goes to the call that has waited longest."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        #: The places that hold a slot.
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
        """The number of slots held."""
        return len(self.holders)

    def __len__(self) -> int:
        """The number of waiting calls."""
        return len(self._queue)

    def take(self, ended: Callable[[], bool] = bool) -> Place:
        """Take a slot, or a place in the queue for one.

        Args:
            ended: Returns whether the event loop of the call has been closed.
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
            if self._queue:
                self._promote()
        place.ref = None  # detach the callback first: Python swallows exceptions raised in one

    def reclaim(self) -> None:
        """Take back the slots of calls whose event loop has been closed."""
        with self._lock:
            for ref in list(self.holders):
                place = ref()
                if place is None or place.ended():
                    self.holders.discard(ref)
            self._promote()

    def _lost(self, ref: _Ref) -> None:
        """A place was garbage-collected without having been released."""
        with self._lock:
            self.holders.discard(ref)
            self._promote()

    def _promote(self) -> None:
        """Give free slots to those who have waited longest."""
        while self._queue and len(self.holders) < self.limit:
            ref = self._queue[0]
            place = ref()
            if place is not None and ref not in self.holders and not place.ended():
                self.holders.add(
                    ref
                )  # an interrupt may come between these lines; the next call of this method continues here
                if place.wakeup is not None:
                    place.wakeup.wake()
            if self._queue and self._queue[0] is ref:
                self._queue.popleft()
