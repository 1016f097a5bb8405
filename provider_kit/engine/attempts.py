"""Trying, and trying again: the loop around every exchange. It knows no rule; the policy decides."""

from __future__ import annotations

import math

from attrs import define, field

from provider_kit.engine.endpoint import Endpoint
from provider_kit.errors import APIConnectionError, ProviderKitError
from provider_kit.model.chat import Attempt
from provider_kit.model.config import DEFAULT_TIMEOUT, DEFAULT_TOTAL_TIMEOUT, Timeout
from provider_kit.policies.retry import RetryPolicy
from provider_kit.transports.base import Transport
from provider_kit.wire.http import Limits

__all__ = ["Run", "make_limits"]


def make_limits(timeout: Timeout | None, total: float | None, *, now: float, stream: bool, max_bytes: int) -> Limits:
    """The clocks of a call.

    Without a timeout of the user's, a stream is timed by content (30 s) and has no total, while a whole
    answer, which is silent until it is done, is bounded by its total (600 s) alone.
    """
    if timeout is None:
        connect: float | None = DEFAULT_TIMEOUT
        first = idle = DEFAULT_TIMEOUT if stream else None
    else:
        connect, idle = _bound(timeout.connect), _bound(timeout.idle)
        first = _bound(timeout.first_token if stream else timeout.answer)
        total = timeout.total if total is None else total
    if total is None and not stream:
        total = DEFAULT_TOTAL_TIMEOUT
    return Limits(connect, first, idle, None if total is None or total == math.inf else now + total, max_bytes)


def _forget_variables(error: ProviderKitError) -> None:
    """Empty the frames of the HTTP library below a failure: the bytes they were sending hold the key."""
    from traceback import clear_frames

    cause = error.__cause__
    for _ in range(20):  # a chain may be a circle
        if cause is None:
            return
        clear_frames(cause.__traceback__)
        cause = cause.__cause__ or cause.__context__


def _bound(seconds: float | None) -> float | None:
    """No library's clock takes infinity; ``None`` is what they call it."""
    return None if seconds == math.inf else seconds


@define
class Run:
    """One call on its way: who is asked, how long it may take, what was tried."""

    endpoint: Endpoint
    transport: Transport
    limits: Limits
    policy: RetryPolicy
    operation: str
    model: str | None
    started: float
    attempts: list[Attempt] = field(factory=list)
    first_content: float | None = None
    _attempt_started: float = 0.0

    def begin_attempt(self) -> None:
        """An attempt begins."""
        self._attempt_started = self.transport.now()

    async def headers(self, stream: bool) -> dict[str, str]:
        """The headers of this attempt, with the key whose turn it is."""
        endpoint = self.endpoint
        fixed = endpoint.fixed_headers(stream)
        if fixed is not None:
            return fixed
        return endpoint.headers_with(await endpoint.keys.next(self.transport), stream)

    def succeeded(self) -> tuple[Attempt, ...]:
        """The attempt succeeded: all attempts, this one included."""
        duration = self.transport.now() - self._attempt_started
        done = Attempt(len(self.attempts) + 1, self.endpoint.name, self.model or "", duration)
        return (*self.attempts, done)

    async def failed(self, error: ProviderKitError) -> None:
        """The attempt failed: wait before the next one, or raise the error if there is to be none."""
        wait = self.judge(error)
        if wait is None:
            raise error
        if wait > 0:
            await self.transport.sleep(wait)

    def judge(self, error: ProviderKitError) -> float | None:
        """The attempt failed: seconds to wait before the next one, ``None`` if there is to be none."""
        self.describe(error)
        self.endpoint.allow_repeat(error)
        number = len(self.attempts) + 1
        wait = self.policy(error, number)
        now = self.transport.now()
        deadline = self.limits.deadline
        if wait is not None and deadline is not None and now + wait >= deadline:
            wait = None
        self.record(error, now, wait or 0.0)
        return wait

    def record(self, error: ProviderKitError, now: float, wait: float = 0.0) -> None:
        """Add the failed attempt to the list, and tell the error of all of them."""
        self.attempts.append(
            Attempt(
                len(self.attempts) + 1,
                self.endpoint.name,
                self.model or "",
                now - self._attempt_started,
                type(error).__name__,
                error.message,
                getattr(error, "status_code", None),
                wait,
            )
        )
        error.attempts = tuple(self.attempts)
        if isinstance(error, APIConnectionError):
            _forget_variables(error)

    def describe(self, error: ProviderKitError) -> None:
        """Say in an error what was being done."""
        error.provider = error.provider or self.endpoint.name
        error.model = error.model or self.model
        error.operation = error.operation or self.operation
