"""The clocks of one blocking request and its answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from provider_kit.policies.concurrency import Place
from provider_kit.transports.runtime_blocking import BlockingWaiter
from provider_kit.wire.http import Limits

__all__ = ["RequestClock"]


class RequestClock:
    """The clocks of one request and its answer."""

    __slots__ = (
        "__weakref__",
        "_limits",
        "began",
        "budget",
        "connection",
        "gone",
        "now",
        "place",
        "sent",
        "streaming",
        "timed_out",
        "woken",
    )

    def __init__(self, limits: Limits, now: Callable[[], float], *, streaming: bool) -> None:
        self._limits = limits
        self.now = now
        #: Seconds that may still be waited for content; time the caller spends elsewhere does not count.
        self.budget = limits.first
        self.streaming = streaming
        #: Whether a byte of the request may have left.
        self.sent = False
        #: What it is sent on, once that is known; weakly, for the connection knows its exchange.
        self.connection: Callable[[], Any] = bool
        #: What it has of a limited number of connections, and what wakes it while it waits for that.
        self.place: Place | None = None
        self.woken: BlockingWaiter | None = None
        #: Whether its caller has left, from another thread: nothing is sent any more.
        self.gone = False
        #: Whether content has arrived.
        self.began = False
        #: Whether a read ran out of time.
        self.timed_out = False

    def progress(self) -> None:
        """Content arrived: the idle clock starts anew."""
        self.began = True
        self.budget = self._limits.idle

    def arm(self, sock: Any) -> None:
        """Let the next wait on a socket last no longer than the clocks have left.

        Raises:
            TimeoutError: Nothing is left.
        """
        left, deadline = self.budget, self._limits.deadline
        if deadline is not None:
            until = deadline - self.now()
            left = until if left is None or until < left else left
        if left is not None:
            if left <= 0:
                self.timed_out = True
                raise TimeoutError("timed out")
            sock.settimeout(left)

    def shorten(self, seconds: float) -> None:
        """Give what remains at most so many seconds."""
        self.budget = seconds if self.budget is None else min(seconds, self.budget)

    def left(self) -> float | None:
        """Seconds until the next clock runs out; ``None`` if none runs."""
        deadline = self._limits.deadline
        if deadline is None:
            return self.budget
        left = deadline - self.now()
        return left if self.budget is None or left < self.budget else self.budget

    def connecting(self) -> RequestClock:
        """The clocks of a connection that is being made, its proxy's answer included."""
        limits = self._limits
        return RequestClock(Limits(None, limits.connect, None, limits.deadline), self.now, streaming=self.streaming)

    def over(self) -> None:
        """The connection is back in its pool or closed: somebody else may have one."""
        if self.place is not None:
            self.place.leave()

    def patience(self) -> float | None:
        """Seconds a connection may be waited for."""
        waits = [wait for wait in (self._limits.connect, self.left()) if wait is not None]
        return max(0.0, min(waits)) if waits else None
