"""A rate limit: sliding windows with one queue in front of them.

In any interval of a window's length no more is admitted than its limit, and nothing waits that would fit. The order is
first in, first out. A wait is computed, not polled: only the head of the queue has a timer, and each request that is
admitted, leaves, or returns tokens wakes the next head.

Plain state behind a lock; the current time is an argument and nothing waits here.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile
from typing import Any, Protocol, runtime_checkable

from attrs import define, field

from provider_kit.policies.after_fork import renew_after_fork

__all__ = ["Limiter", "SlidingWindows", "Ticket", "Wakes", "Window"]

#: Entries a window keeps one by one; beyond that, those of the same 4096th of the window are merged into the
#: latest of them (so requests are delayed by at most that 4096th, never sent early).
_EXACT = 4096
#: Up to this many waiting requests, a newcomer's wait is computed request by request; beyond, from their sum.
_WORKED_OUT = 256
_NEVER = float("-inf")
#: Tolerance for rounding errors of sums.
_SLACK = 1e-9


@runtime_checkable
class Limiter(Protocol):
    """Protocol of a custom rate limiter: ``Client(…, rate_limiter=MyLimiter())``.

    Both methods must return at once and may be called by several threads.
    """

    def reserve(self, tokens: int, now: float) -> float:
        """Reserve capacity for one request.

        Args:
            tokens: Tokens the request is expected to use.
            now: A monotonic clock, in seconds.

        Returns:
            Seconds to wait before sending it; 0 for none.

        Raises:
            RateLimitExceededError: It must not be sent at all.
        """
        ...

    def settle(self, reserved: int, used: int, now: float) -> None:
        """The request has ended: it used ``used`` tokens where ``reserved`` were expected."""
        ...


class Wakes(Protocol):
    """A waiter."""

    def wake(self) -> None:
        """End the wait."""
        ...


class Window:
    """At most ``limit`` in any interval of ``seconds``."""

    def __init__(self, limit: float, seconds: float) -> None:
        self.limit = limit
        self.seconds = seconds
        self.used = 0.0
        self._entries: deque[list[float]] = deque()  # [time, amount]

    @property
    def last(self) -> float:
        """When the latest amount was admitted."""
        return self._entries[-1][0] if self._entries else 0.0

    def expire(self, now: float) -> None:
        """Drop what has left the window."""
        entries, edge = self._entries, now - self.seconds
        while entries and entries[0][0] <= edge:
            gone = entries.popleft()
            self.used -= gone[1]
            gone[0] = _NEVER  # a holder of this entry can no longer change the window
        if not entries:
            self.used = 0.0  # remove accumulated rounding errors

    def wait(self, amount: float, now: float) -> float:
        """Seconds until ``amount`` more fits, if nothing else is admitted meanwhile."""
        if self.used + amount <= self.limit:
            return 0.0  # fast path: it fits even if nothing has left the window
        self.expire(now)
        over = self.used + min(amount, self.limit) - self.limit
        if over <= _SLACK:
            return 0.0
        for when, held in self._entries:
            over -= held
            if over <= _SLACK:
                return max(0.0, when + self.seconds - now)
        return self.seconds

    def add(self, amount: float, now: float) -> list[float]:
        """Admit ``amount`` and return its entry."""
        entries = self._entries
        if entries and entries[0][0] <= now - self.seconds:
            self.expire(now)
        self.used += amount
        if len(entries) >= _EXACT:
            last, span = entries[-1], self.seconds / _EXACT
            if now // span <= last[0] // span:
                last[0] = max(last[0], now)
                last[1] += amount
                return last
        entry = [max(now, entries[-1][0]) if entries else now, amount]
        entries.append(entry)
        return entry

    def change(self, entry: list[float], difference: float, now: float) -> None:
        """Correct the amount of an entry."""
        if entry[0] > now - self.seconds:
            difference = max(difference, -entry[1])
            entry[1] += difference
            self.used += difference

    def entries(self) -> Iterator[tuple[float, float]]:
        """The entries of the window: time and amount, oldest first."""
        return ((when, amount) for when, amount in self._entries)


@define(eq=False)
class Ticket:
    """A request's place in the queue."""

    tokens: float
    #: Wakes the holder of the ticket; set before waiting.
    wakeup: Wakes | None = None
    admitted: bool = False
    #: Expected wait in seconds when it joined the queue.
    expected: float = 0.0
    #: Its entries in each window; tokens last.
    held: list[list[float]] | None = field(default=None, repr=False)
    #: Returns whether the event loop of its call was closed, so that it will never be asked for again.
    ended: Callable[[], bool] = field(default=bool, repr=False)
    #: Its weak reference in the queue: a ticket that was garbage-collected no longer waits.
    ref: Any = field(default=None, repr=False)


class SlidingWindows:
    """A queue in front of windows of requests and tokens.

    Args:
        requests: ``(limit, seconds)`` pairs; each request counts 1.
        tokens: ``(limit, seconds)`` of tokens; a request larger than the limit is admitted alone.
    """

    def __init__(self, requests: Iterable[tuple[float, float]] = (), tokens: tuple[float, float] | None = None) -> None:
        self.windows = [Window(limit, seconds) for limit, seconds in requests]
        self.token_window = Window(*tokens) if tokens is not None else None
        #: Time until which the shared store has no capacity, whatever the windows here say.
        self.full_until = _NEVER
        self._all = [*self.windows, *([self.token_window] if self.token_window is not None else [])]
        self._queue: deque[weakref.ref[Ticket]] = deque()
        self._lock = threading.RLock()
        renew_after_fork(self)

    def _after_fork(self) -> None:
        self._lock = threading.RLock()
        self._queue.clear()

    def __len__(self) -> int:
        """The number of waiting requests."""
        return len(self._queue)

    def _head(self) -> Ticket | None:
        """The next ticket. Tickets whose call is gone are skipped."""
        while self._queue:
            ticket = self._queue[0]()
            if ticket is not None and not ticket.admitted and not ticket.ended():
                return ticket
            self._queue.popleft()
        return None

    def _waiting(self) -> list[Ticket]:
        """The waiting tickets, the next one first."""
        found = (ref() for ref in list(self._queue))
        return [ticket for ticket in found if ticket is not None and not ticket.ended()]

    def _join(self, ticket: Ticket) -> None:
        ticket.ref = weakref.ref(ticket, self._lost)
        self._queue.append(ticket.ref)

    def _lost(self, ref: weakref.ref[Ticket]) -> None:
        """A ticket was garbage-collected without having been given up: wake the next one."""
        with self._lock:
            self._wake_head()

    def ask(self, tokens: float, now: float, *, elsewhere: bool = False, ended: Callable[[], bool] = bool) -> Ticket:
        """Join the queue; the request is admitted at once if nothing waits and it fits.

        Args:
            tokens: Tokens it is expected to use.
            now: The clock.
            elsewhere: The windows are kept in a shared store; only the queue is used here.
            ended: Returns whether the event loop of the call has been closed.
        """
        ticket = Ticket(tokens, ended=ended)
        with self._lock:
            if elsewhere:
                self._join(ticket)
            elif (not self._queue or self._head() is None) and self._wait(tokens, now) <= 0:
                self._admit(ticket, now)
            else:
                ticket.expected = self._projected(tokens, now)
                self._join(ticket)
        return ticket

    def try_acquire(self, tokens: float, now: float) -> bool:
        """Admit a request if it fits at once; otherwise change nothing."""
        with self._lock:
            if self._head() is not None or self._wait(tokens, now) > 0:
                return False
            self._admit(Ticket(tokens), now)
            return True

    def reserve(self, tokens: float, now: float) -> float:
        """Reserve the next free capacity without waiting; return the seconds until it is available."""
        with self._lock:
            wait = self._wait(tokens, now)
            when = max([now + wait, *(window.last for window in self._all)])
            self._admit(Ticket(tokens), when)
            return when - now

    def ready(self, ticket: Ticket, now: float) -> float:
        """Seconds to wait before asking again: 0 once admitted, infinity until woken."""
        with self._lock:
            if ticket.admitted:
                return 0.0
            if self._head() is not ticket:
                return float("inf")
            wait = self._wait(ticket.tokens, now)
            if wait > 0:
                return wait
            self._queue.popleft()
            self._admit(ticket, now)
            self._wake_head()
            return 0.0

    def is_head(self, ticket: Ticket) -> bool:
        """Whether a ticket is next; for windows kept in a shared store."""
        with self._lock:
            return ticket.admitted or self._head() is ticket

    def admit(self, ticket: Ticket, now: float) -> None:
        """Admit the head without counting it here; the shared store has counted it."""
        with self._lock:
            if not ticket.admitted:
                self._queue.remove(ticket.ref)
                self._admit(ticket, now)
                self._wake_head()

    def leave(self, ticket: Ticket) -> None:
        """Leave the queue. An admitted request stays counted."""
        with self._lock:
            if not ticket.admitted and ticket.ref in self._queue:
                head = self._head() is ticket
                self._queue.remove(ticket.ref)
                if head:
                    self._wake_head()

    def withdraw(self, ticket: Ticket, now: float) -> None:
        """The request was never sent: count nothing of it."""
        if not ticket.admitted:
            self.leave(ticket)
            return
        with self._lock:
            if ticket.held is None:
                return
            for window, entry in zip(self._all, ticket.held, strict=True):
                window.change(entry, -(ticket.tokens if window is self.token_window else 1.0), now)
            ticket.held = None
            self._wake_head()

    def settle(self, ticket: Ticket, used: float, now: float) -> None:
        """The request has ended: keep what it used, return the rest."""
        window = self.token_window
        if window is None or ticket.held is None:
            return
        with self._lock:
            held, ticket.held = ticket.held, None
            if held is None:
                return  # another caller was faster
            window.change(held[-1], used - ticket.tokens, now)
            if self._queue and used < ticket.tokens:
                self._wake_head()

    def projected(self, tokens: float, now: float) -> float:
        """Seconds a new request would wait, including those before it."""
        if not self._queue and self.full_until <= now and self._roomy(tokens):
            return 0.0
        with self._lock:
            return max(self._projected(tokens, now), self.full_until - now)

    def expected(self, ticket: Ticket, now: float) -> float:
        """Seconds until a waiting ticket is admitted, including those before it."""
        with self._lock:
            if ticket.admitted:
                return 0.0
            before = takewhile(lambda one: one is not ticket, self._waiting())
            return self._turn([*(one.tokens for one in before), ticket.tokens], now)

    def _projected(self, tokens: float, now: float) -> float:
        if self._head() is None:
            return self._wait(tokens, now)
        return self._turn([*(ticket.tokens for ticket in self._waiting()), tokens], now)

    def _turn(self, queue: list[float], now: float) -> float:
        """Seconds until the last of a queue is admitted, if none leaves or returns tokens."""
        window = self.token_window
        if window is None or len(queue) > _WORKED_OUT:
            waits = [_later(one, len(queue), now) for one in self.windows]
            if window is not None:
                waits.append(_later(window, sum(min(tokens, window.limit) for tokens in queue), now))
            return max(waits, default=0.0)
        ahead = [_Ahead(one, now) for one in self._all]
        when = now
        for tokens in queue:
            for one in ahead:
                when = one.turn(tokens if one.window is window else 1.0, when)
            for one in ahead:
                one.add(tokens if one.window is window else 1.0, when)
        return when - now

    def correct(self, *, requests: float | None = None, tokens: float | None = None) -> None:
        """Apply a lower limit per minute than configured, as reported by the provider."""
        with self._lock:
            for window in self.windows:
                if requests is not None and requests >= 1 and window.limit > 1 and window.seconds <= 60:
                    window.limit = min(window.limit, requests)
            if tokens is not None and tokens >= 1 and self.token_window is not None:
                self.token_window.limit = min(self.token_window.limit, tokens)

    def _roomy(self, tokens: float) -> bool:
        """Whether it fits even without expiring old entries; changes nothing, so needs no lock."""
        for window in self.windows:
            if window.used + 1.0 > window.limit:
                return False
        room = self.token_window
        return room is None or room.used + tokens <= room.limit

    def _wait(self, tokens: float, now: float) -> float:
        if self._roomy(tokens):
            return 0.0
        wait = 0.0
        for window in self.windows:
            wait = max(wait, window.wait(1.0, now))
        if self.token_window is not None:
            wait = max(wait, self.token_window.wait(tokens, now))
        return wait

    def _admit(self, ticket: Ticket, now: float) -> None:
        ticket.admitted = True
        ticket.held = held = [window.add(1.0, now) for window in self.windows]
        if self.token_window is not None:
            held.append(self.token_window.add(ticket.tokens, now))

    def _wake_head(self) -> None:
        head = self._head()
        if head is not None and head.wakeup is not None:
            head.wakeup.wake()


class _Ahead:
    """A simulated window while the waiting requests are admitted one after the other."""

    def __init__(self, window: Window, now: float) -> None:
        window.expire(now)
        self.window = window
        self._used = window.used
        self._now = iter(window.entries())
        self._added: deque[tuple[float, float]] = deque()

    def turn(self, amount: float, when: float) -> float:
        """When ``amount`` fits, not before ``when``."""
        limit, seconds = self.window.limit, self.window.seconds
        while self._used + min(amount, limit) > limit + _SLACK:
            oldest = next(self._now, None) or (self._added.popleft() if self._added else None)
            if oldest is None:
                break
            self._used -= oldest[1]
            when = max(when, oldest[0] + seconds)
        return when

    def add(self, amount: float, when: float) -> None:
        """Admit it."""
        self._used += amount
        self._added.append((when, amount))


def _later(window: Window, amount: float, now: float) -> float:
    """Seconds until ``amount`` will have passed through a window, in several rounds if necessary."""
    turns = max(0, -(-amount // window.limit) - 1)
    return float(turns * window.seconds + window.wait(amount - turns * window.limit, now))
