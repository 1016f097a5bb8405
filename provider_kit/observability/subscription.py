"""Listening to the events of a client: kept until they are taken, or passed to a function."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from provider_kit.model.events import Event

__all__ = ["Subscription"]


class Subscription:
    """Events that a reader has not taken yet, and how many were lost because there were too many.

    Args:
        metrics: Whose events.
        kinds: The classes that are wanted.
        where: A further condition.
        buffer: Events that are kept; the oldest are lost.
        function: Called with each event, in place of keeping it.
    """

    follows_targets = True

    def __init__(
        self,
        metrics: Any,
        kinds: frozenset[type[Event]],
        where: Callable[[Event], bool] | None,
        buffer: int,
        function: Callable[[Event], object] | None,
    ) -> None:
        self.wanted_events = kinds
        #: How many events were lost.
        self.overflow = 0
        self._metrics, self._where, self._function = metrics, where, function
        self._events: deque[Event] = deque(maxlen=buffer)

    def __call__(self, event: Event) -> None:
        """Keep an event."""
        if self._where is not None and not self._where(event):
            return
        if self._function is not None:
            self._function(event)
            return
        if len(self._events) == self._events.maxlen:
            self.overflow += 1
        self._events.append(event)

    def take(self) -> list[Event]:
        """The events since the last time, oldest first."""
        taken: list[Event] = []
        while self._events:
            taken.append(self._events.popleft())
        return taken

    def close(self) -> None:
        """End it. Safe to call twice."""
        self._metrics.unsubscribe(self)
