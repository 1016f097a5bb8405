"""What may be sent when: sliding windows, and one queue before them.

In any stretch of a window's length no more is admitted than its limit, and nothing waits while it would
fit. Who came first goes first. A wait is worked out, not polled: only the head of the queue is timed, and
whoever is admitted, leaves, or gives tokens back wakes the next head.

Plain state behind a lock; the clock is an argument and nothing waits here.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from attrs import define, field

__all__ = ["Limiter", "SlidingWindows", "Ticket", "Wakes", "Window"]

#: Entries a window keeps one by one; beyond that, neighbours are merged (never in the sender's favour).
_EXACT = 4096


@runtime_checkable
class Limiter(Protocol):
    """A rate limiter of your own: ``Client(…, rate_limiter=MyLimiter())``.

    Both methods must return at once and may be called by several threads.
    """

    def reserve(self, tokens: int, now: float) -> float:
        """Claim room for one request.

        Args:
            tokens: Tokens the request is expected to use.
            now: A clock that only goes forward, in seconds.

        Returns:
            Seconds to wait before sending it; 0 for none.

        Raises:
            RateLimitExceededError: It must not be sent at all.
        """
        ...

    def settle(self, reserved: int, used: int, now: float) -> None:
        """The request is over: it used ``used`` tokens where ``reserved`` were expected."""
        ...


class Wakes(Protocol):
    """Somebody who waits."""

    def wake(self) -> None:
        """End the wait."""
        ...


class Window:
    """At most ``limit`` in any stretch of ``seconds``."""

    def __init__(self, limit: float, seconds: float) -> None:
        self.limit = limit
        self.seconds = seconds
        self.used = 0.0
        self._entries: deque[list[float]] = deque()  # [time, amount]

    @property
    def last(self) -> float:
        """When the latest was admitted."""
        return self._entries[-1][0] if self._entries else 0.0

    def expire(self, now: float) -> None:
        """Forget what has left the window."""
        entries, edge = self._entries, now - self.seconds
        while entries and entries[0][0] <= edge:
            self.used -= entries.popleft()[1]

    def wait(self, amount: float, now: float) -> float:
        """Seconds until ``amount`` more fits, if nobody else is admitted meanwhile."""
        if self.used + amount <= self.limit:
            return 0.0  # without a look at what may have left the window by now
        self.expire(now)
        over = self.used + min(amount, self.limit) - self.limit
        if over <= 1e-9:
            return 0.0
        for when, held in self._entries:
            over -= held
            if over <= 1e-9:
                return max(0.0, when + self.seconds - now)
        return self.seconds

    def add(self, amount: float, now: float) -> list[float]:
        """Admit ``amount``; what is returned stands for it."""
        entries = self._entries
        if entries and entries[0][0] <= now - self.seconds:
            self.expire(now)
        self.used += amount
        if len(entries) >= _EXACT and now - entries[-1][0] < self.seconds / _EXACT:
            last = entries[-1]
            last[0] = max(last[0], now)
            last[1] += amount
            return last
        entry = [max(now, entries[-1][0]) if entries else now, amount]
        entries.append(entry)
        return entry

    def change(self, entry: list[float], difference: float, now: float) -> None:
        """What was admitted turns out to be larger or smaller."""
        if entry[0] > now - self.seconds:
            difference = max(difference, -entry[1])
            entry[1] += difference
            self.used += difference

    def load(self, entries: Iterable[tuple[float, float]]) -> None:
        """Take over what was admitted before, oldest first."""
        for when, amount in entries:
            self.add(amount, when)


@define(eq=False)
class Ticket:
    """A request's place in the queue."""

    tokens: float
    #: Wakes whoever holds the ticket; set before waiting.
    waiter: Wakes | None = None
    admitted: bool = False
    #: Seconds it would wait, as far as could be told when it came.
    expected: float = 0.0
    #: What it holds in the window of tokens.
    held: list[float] | None = field(default=None, repr=False)


class SlidingWindows:
    """A queue before windows of requests and of tokens.

    Args:
        requests: ``(limit, seconds)`` pairs; each request counts 1.
        tokens: ``(limit, seconds)`` of tokens; a request larger than the limit is admitted alone.
    """

    def __init__(self, requests: Iterable[tuple[float, float]] = (), tokens: tuple[float, float] | None = None) -> None:
        self.windows = [Window(limit, seconds) for limit, seconds in requests]
        self.token_window = Window(*tokens) if tokens is not None else None
        #: Until then a store that other processes share has no room, whatever the windows here say.
        self.full_until = float("-inf")
        self._queue: deque[Ticket] = deque()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many wait."""
        return len(self._queue)

    def ask(self, tokens: float, now: float, *, elsewhere: bool = False) -> Ticket:
        """Take a place; it is admitted at once if nobody waits and it fits.

        Args:
            tokens: Tokens it is expected to use.
            now: The clock.
            elsewhere: The windows are kept in a shared store, so the place is in the queue only.
        """
        ticket = Ticket(tokens)
        with self._lock:
            if elsewhere:
                self._queue.append(ticket)
            elif not self._queue and self._wait(tokens, now) <= 0:
                self._admit(ticket, now)
            else:
                ticket.expected = self._projected(tokens, now)
                self._queue.append(ticket)
        return ticket

    def try_acquire(self, tokens: float, now: float) -> bool:
        """Admit a request if it can go at once; otherwise nothing is changed."""
        with self._lock:
            if self._queue or self._wait(tokens, now) > 0:
                return False
            self._admit(Ticket(tokens), now)
            return True

    def reserve(self, tokens: float, now: float) -> float:
        """Claim the next room there will be, without waiting for it: seconds until it is there."""
        with self._lock:
            wait = self._wait(tokens, now)
            windows = [*self.windows, *([self.token_window] if self.token_window is not None else [])]
            when = max([now + wait, *(window.last for window in windows)])
            self._admit(Ticket(tokens), when)
            return when - now

    def ready(self, ticket: Ticket, now: float) -> float:
        """Seconds to wait before asking again: 0 once admitted, infinity until woken."""
        with self._lock:
            if ticket.admitted:
                return 0.0
            if self._queue[0] is not ticket:
                return float("inf")
            wait = self._wait(ticket.tokens, now)
            if wait > 0:
                return wait
            self._queue.popleft()
            self._admit(ticket, now)
            self._wake_head()
            return 0.0

    def is_head(self, ticket: Ticket) -> bool:
        """Whether a ticket is next; for windows that are kept elsewhere."""
        with self._lock:
            return ticket.admitted or self._queue[0] is ticket

    def admit(self, ticket: Ticket, now: float) -> None:
        """Admit the head although its own windows say nothing of it; somebody else has counted it."""
        with self._lock:
            if not ticket.admitted:
                self._queue.remove(ticket)
                self._admit(ticket, now)
                self._wake_head()

    def leave(self, ticket: Ticket) -> None:
        """Give up a place. An admitted request stays counted."""
        with self._lock:
            if not ticket.admitted and ticket in self._queue:
                head = self._queue[0] is ticket
                self._queue.remove(ticket)
                if head:
                    self._wake_head()

    def settle(self, ticket: Ticket, used: float, now: float) -> None:
        """The request is over: keep what it used, give back the rest."""
        window = self.token_window
        if window is None or ticket.held is None:
            return
        with self._lock:
            window.change(ticket.held, used - ticket.tokens, now)
            ticket.held = None
            if used < ticket.tokens:
                self._wake_head()

    def projected(self, tokens: float, now: float) -> float:
        """Seconds a newcomer would wait, those before it included."""
        with self._lock:
            return max(self._projected(tokens, now), self.full_until - now)

    def _projected(self, tokens: float, now: float) -> float:
        if not self._queue:
            return self._wait(tokens, now)
        ahead = len(self._queue)
        waits = [_later(window, ahead + 1, now) for window in self.windows]
        if self.token_window is not None:
            waits.append(_later(self.token_window, sum(t.tokens for t in self._queue) + tokens, now))
        return max(waits, default=0.0)

    def correct(self, *, requests: float | None = None, tokens: float | None = None) -> None:
        """The provider says that the limit of a minute is lower than configured."""
        with self._lock:
            for window in self.windows:
                if requests is not None and window.seconds <= 60:
                    window.limit = min(window.limit, requests)
            if tokens is not None and self.token_window is not None:
                self.token_window.limit = min(self.token_window.limit, tokens)

    def _wait(self, tokens: float, now: float) -> float:
        wait = 0.0
        for window in self.windows:
            wait = max(wait, window.wait(1.0, now))
        if self.token_window is not None:
            wait = max(wait, self.token_window.wait(tokens, now))
        return wait

    def _admit(self, ticket: Ticket, now: float) -> None:
        ticket.admitted = True
        for window in self.windows:
            window.add(1.0, now)
        if self.token_window is not None:
            ticket.held = self.token_window.add(ticket.tokens, now)

    def _wake_head(self) -> None:
        if self._queue:
            waiter = self._queue[0].waiter
            if waiter is not None:
                waiter.wake()


def _later(window: Window, amount: float, now: float) -> float:
    """Seconds until ``amount`` will have passed a window, in as many turns as it takes."""
    turns = max(0, -(-amount // window.limit) - 1)
    return float(turns * window.seconds + window.wait(amount - turns * window.limit, now))
