"""A rate limiter for use on its own, from threads and from asyncio, or shared by several clients."""

from __future__ import annotations

from typing import Any

from provider_kit.errors import ConfigError, InvalidRequestError, RateLimitExceededError
from provider_kit.model.arguments import explained
from provider_kit.policies.rate_limit import SlidingWindows, Ticket
from provider_kit.transports.base import Runtime
from provider_kit.transports.drive import run_to_completion
from provider_kit.transports.runtime_blocking import BlockingRuntime

__all__ = ["RateLimiter"]

#: Seconds after which a waiting caller checks again, in case a wake-up was lost.
MAX_WAIT_SLICE = 30.0


@explained("RateLimiter(requests_per_minute=60)")
class RateLimiter:
    """Admits no more than its limits in any interval of their length, first come, first served.

    Args:
        requests_per_second: Requests in any second.
        requests_per_minute: Requests in any minute.
        requests_per_day: Requests in any 24 hours.
        tokens_per_minute: Tokens in any minute.
        clock: The clock and its waits; default: the system's.

    Raises:
        ConfigError: There is no limit, or one is not a number above 0.

    Example:
        >>> from provider_kit import RateLimiter
        >>> limiter = RateLimiter(2)
        >>> limiter.try_acquire(), limiter.try_acquire(), limiter.try_acquire()
        (True, True, False)
    """

    def __init__(
        self,
        requests_per_second: float | None = None,
        *,
        requests_per_minute: float | None = None,
        requests_per_day: float | None = None,
        tokens_per_minute: float | None = None,
        clock: Runtime | None = None,
    ) -> None:
        given = (requests_per_second, requests_per_minute, requests_per_day, tokens_per_minute)
        for value in given:
            if value is not None and (not _is_amount(value) or value < 1):
                raise ConfigError(
                    f"A rate limit must be a number of 1 or more, not {value!r}.", hint="Leave it out for no limit."
                )
        if all(value is None for value in given):
            raise ConfigError("There is no limit.", hint="RateLimiter(requests_per_minute=60).")
        spans = ((requests_per_second, 1.0), (requests_per_minute, 60.0), (requests_per_day, 86400.0))
        self._windows = SlidingWindows(
            [(limit, seconds) for limit, seconds in spans if limit is not None],
            None if tokens_per_minute is None else (tokens_per_minute, 60.0),
        )
        self._blocking: Runtime = clock or BlockingRuntime()
        self._clock = clock

    def __len__(self) -> int:
        """The number of waiting requests."""
        return len(self._windows)

    def try_acquire(self, tokens: float = 0) -> bool:
        """Count a request if it may be sent at once; return whether it may."""
        return self._windows.try_acquire(_tokens(tokens), self._blocking.now())

    def acquire(self, tokens: float = 0, *, timeout: float | None = None) -> Ticket:
        """Block until a request may be sent.

        Args:
            tokens: Tokens it is expected to use.
            timeout: Longest wait in seconds.

        Returns:
            A ticket for the request; pass it to :meth:`done` with the tokens it actually used.

        Raises:
            RateLimitExceededError: It would take longer than ``timeout``; raised at once.
            InvalidRequestError: ``tokens`` or ``timeout`` is not a number of 0 or more.
        """
        return run_to_completion(self._wait(self._blocking, tokens, timeout))

    async def aacquire(self, tokens: float = 0, *, timeout: float | None = None) -> Ticket:
        """As :meth:`acquire`, without blocking the event loop."""
        if self._clock is not None:
            return await self._wait(self._clock, tokens, timeout)
        from provider_kit.transports.runtime_asyncio import AsyncioRuntime

        return await self._wait(AsyncioRuntime(), tokens, timeout)

    def done(self, ticket: Ticket, used: float) -> None:
        """The request used ``used`` tokens; release the rest of its reservation."""
        self._windows.settle(ticket, _tokens(used), self._blocking.now())

    async def _wait(self, waiting: Runtime, tokens: float, timeout: float | None) -> Ticket:
        windows = self._windows
        tokens = _tokens(tokens)
        if timeout is not None and (
            isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout >= 0
        ):
            raise InvalidRequestError(f"timeout must be seconds, not {timeout!r}.", hint="Use None to wait forever.")
        began = now = waiting.now()
        ticket = windows.ask(tokens, now, ended=waiting.is_loop_closed())
        try:
            while (wait := windows.ready(ticket, now)) > 0:
                left = float("inf") if timeout is None else timeout - (now - began)
                expected = max(ticket.expected - (now - began), wait if wait != float("inf") else 0.0)
                if expected > left or left <= 0:
                    expected = max(expected, windows.expected(ticket, now))
                    raise RateLimitExceededError(
                        f"The rate limit would delay this by {expected:.1f} s, longer than the timeout.",
                        retry_after=expected,
                        hint="Raise timeout=, or spread the requests.",
                    )
                if ticket.wakeup is None:
                    ticket.wakeup = wakeup = waiting.wakeup()
                    continue  # it may have become the head before it could be woken
                await wakeup.wait(min(wait, left, MAX_WAIT_SLICE))
                now = waiting.now()
        except BaseException:  # on cancellation too: those behind it move up
            windows.leave(ticket)
            raise
        return ticket

    # -------------------------------------------------------------------------------------------- for clients

    @property
    def windows(self) -> SlidingWindows:
        """The windows in which the calls of clients wait, in one queue with all other requests."""
        return self._windows

    def reserve(self, tokens: int, now: float) -> float:
        """Reserve capacity for one request of a client; return the seconds to wait before sending it."""
        return self._windows.reserve(tokens, now)

    def settle(self, reserved: int, used: int, now: float) -> None:
        """A client's request has ended. Its reservation stays counted until it leaves the window."""


def _is_amount(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, (int, float)) and 0 <= value < float("inf")


def _tokens(value: Any) -> float:
    if not _is_amount(value):
        raise InvalidRequestError(f"tokens must be a number of 0 or more, not {value!r}.")
    return value  # type: ignore[no-any-return]  # it was looked at
