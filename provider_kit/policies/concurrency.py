"""How many calls may be in flight at once; first come, first served, across threads and event loops."""

from __future__ import annotations

import threading
from collections import deque

from attrs import define

from provider_kit.auth.after_fork import renew_after_fork
from provider_kit.policies.rate_limit import Wakes

__all__ = ["Place", "Slots"]


@define(eq=False)
class Place:
    """Somebody's place in the queue."""

    waiter: Wakes | None = None
    granted: bool = False


class Slots:
    """At most ``limit`` at once. A freed slot is handed to the one who has waited longest."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0
        self._queue: deque[Place] = deque()
        self._lock = threading.RLock()
        renew_after_fork(self)

    def _after_fork(self) -> None:
        self._lock = threading.RLock()
        self._queue.clear()
        self.taken = 0

    def __len__(self) -> int:
        """How many wait."""
        return len(self._queue)

    def take(self) -> Place:
        """A slot, or a place in the queue for one."""
        place = Place()
        with self._lock:
            if self.taken < self.limit and not self._queue:
                self.taken += 1
                place.granted = True
            else:
                self._queue.append(place)
        return place

    def leave(self, place: Place) -> None:
        """Free the slot, or give up waiting for one."""
        with self._lock:
            if not place.granted:
                self._queue.remove(place)
                return
            place.granted = False
            if not self._queue:
                self.taken -= 1
                return
            following = self._queue.popleft()
            following.granted = True
        if following.waiter is not None:
            following.waiter.wake()
