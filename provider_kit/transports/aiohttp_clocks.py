"""Timeouts of asyncio calls: one timer for each event loop, however many calls are in flight.

``asyncio.timeout`` costs a tenth of a call, and a timer for each stream would be rescheduled with each token. Here a
call puts its :class:`Guard` into a set; the loop's :class:`Watchdog` checks all of them only when the earliest could
have expired.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from provider_kit.wire.http import Limits

__all__ = ["Guard", "Watchdog"]

#: Least seconds between two checks, so that many timeouts about to expire do not keep the loop busy.
_GRAIN = 0.01
#: Greatest delay of a timeout in seconds.
_SLACK = 0.25


class Watchdog:
    """Ends the waits of one event loop when their timeouts expire."""

    __slots__ = ("_at", "_guards", "_handle", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._guards: set[Guard] = set()
        self._handle: asyncio.TimerHandle | None = None
        self._at = math.inf

    def add(self, guard: Guard) -> None:
        """Watch a guard from now on."""
        self._guards.add(guard)
        self.look_by(guard.end)

    def remove(self, guard: Guard) -> None:
        """Watch it no longer."""
        self._guards.discard(guard)

    def look_by(self, end: float | None) -> None:
        """Check no later than at ``when``."""
        if end is not None and end < self._at:
            if self._handle is not None:
                self._handle.cancel()
            self._at = end
            self._handle = self.loop.call_at(end, self._look)

    def end_now(self, guard: Guard) -> None:
        """Expire a guard at once, if it is still watched."""
        if guard in self._guards:
            self._guards.discard(guard)
            guard.expire()

    def stop(self) -> None:
        """Watch nothing any more."""
        self._guards.clear()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._at = math.inf

    def _look(self) -> None:
        self._handle = None
        self._at = math.inf
        now = self.loop.time()
        earliest = math.inf
        for guard in list(self._guards):
            end = guard.end
            if end is None:
                continue
            if end <= now:
                self._guards.discard(guard)
                guard.expire()
            elif end < earliest:
                earliest = end
        if earliest < math.inf:
            self.look_by(max(earliest, now + _GRAIN))


class Guard:
    """The timeouts of one request and its answer.

    Until :meth:`hand_over`, running out cancels the task that waits; from then on it calls ``close``,
    which wakes the reader of the answer.
    """

    __slots__ = (
        "__weakref__",
        "_budget",
        "_cancelling",
        "_close",
        "_limits",
        "_task",
        "_waiting_since",
        "_watchdog",
        "answered",
        "began",
        "expired",
        "queued",
        "streaming",
    )

    def __init__(self, watchdog: Watchdog, limits: Limits, *, streaming: bool) -> None:
        self._watchdog = watchdog
        self._limits = limits
        #: Seconds that may still be waited for content; time the caller spends elsewhere does not count.
        #: A little more than requested, so that a connect timeout of the same length is reported first.
        self._budget = None if limits.first is None else limits.first + min(_SLACK, limits.first / 20)
        self._waiting_since: float | None = watchdog.loop.time()
        self._close: Callable[[], Any] | None = None
        self._task = asyncio.current_task()
        self._cancelling = self._task.cancelling() if self._task is not None else 0
        self.streaming = streaming
        #: Whether it waits for a connection to become free.
        self.queued = False
        #: Whether the answer's headers have arrived.
        self.answered = False
        #: Whether content has arrived.
        self.began = False
        #: Whether a timeout expired.
        self.expired = False
        watchdog.add(self)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop it belongs to."""
        return self._watchdog.loop

    @property
    def end(self) -> float | None:
        """When the next timeout expires, if the wait continues."""
        deadline = self._limits.deadline
        if self._budget is None:
            return deadline
        since = self._waiting_since
        end = (self._watchdog.loop.time() if since is None else since) + self._budget
        return end if deadline is None or end < deadline else deadline

    def expire(self) -> None:
        """The timeout has expired."""
        self.expired = True
        if self._close is not None:
            self._close()
        elif self._task is not None:
            self._task.cancel()

    def break_off(self) -> None:
        """Expire now; may be called from any thread."""
        with suppress(RuntimeError):  # the loop is closed, and no task waits in it
            self._watchdog.loop.call_soon_threadsafe(self._watchdog.end_now, self)

    def was_cancelled_by_clock(self) -> bool:
        """Whether a cancellation just caught came from the timeout alone."""
        return self.expired and self._task is not None and self._task.uncancel() <= self._cancelling

    def hand_over(self, close: Callable[[], Any]) -> None:
        """The answer's headers have arrived; from now on, expiry closes it."""
        self.waited()
        self._close = close
        self._task = None

    def wait(self) -> None:
        """The caller waits for the server from now on."""
        self._waiting_since = self._watchdog.loop.time()

    def waited(self) -> None:
        """The server has sent something."""
        since = self._waiting_since
        if since is not None:
            self._waiting_since = None
            if self._budget is not None:
                self._budget -= self._watchdog.loop.time() - since

    def progress(self) -> None:
        """Content arrived: restart the idle timeout."""
        self._budget = self._limits.idle
        if not self.began:
            self.began = True
            self._watchdog.look_by(self.end)

    def shorten(self, seconds: float) -> None:
        """Limit the remaining time to ``seconds``."""
        self._budget = seconds if self._budget is None else min(seconds, self._budget)
        self._watchdog.look_by(self.end)

    def stop(self) -> None:
        """Stop all timeouts."""
        self._watchdog.remove(self)
        self._close = None
