"""Attempts and retries: the one loop around every exchange, whole or streamed.

It contains no rules; the policies decide.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from provider_kit.engine.attempt_state import (
    NO_RETRY_STATE,
    AttemptState,
    Lease,
    Prerequisite,
    RetryState,
    Wait,
    may_be_billed,
)
from provider_kit.engine.call import Call, make_limits
from provider_kit.engine.endpoint import PreparedRequest
from provider_kit.engine.engine_parts import EngineParts
from provider_kit.engine.settlement import Aftermath
from provider_kit.engine.snapshots import snapshot_of
from provider_kit.errors import (
    APIConnectionError,
    APIError,
    CallCancelledError,
    ProviderKitError,
    RateLimitError,
    StreamIncompleteError,
)
from provider_kit.model.events import (
    AttemptFailed,
    CallFailed,
    CallStarted,
    CallSucceeded,
    Event,
    RetryScheduled,
    StreamAborted,
)
from provider_kit.model.secrets import clear_frames, drop_tracebacks
from provider_kit.observability.event_log import logs_everything
from provider_kit.policies.after_fork import Forks
from provider_kit.policies.failure_rules import TOKEN_REFUSED, KeyAction, rule_for
from provider_kit.policies.retry import ask
from provider_kit.transports.base import ByteStream, Wakeup
from provider_kit.wire.http import HttpRequest
from provider_kit.wire.rate_limit_headers import wait_told
from provider_kit.wire.redaction import redact
from provider_kit.wire.response_headers import request_id, retry_after

__all__ = ["Attempts", "CallerLeft"]

T = TypeVar("T")
_LOG = logging.getLogger("provider_kit")
#: Seconds after which a wait for a prerequisite is renewed.
_MAX_WAIT_SLICE = 60.0


class CallerLeft(BaseException):
    """The caller has left. This exception never leaves the engine."""


class Attempts(AttemptState):
    """One handling of one call, from its first attempt to its last.

    Args:
        parts: The shared parts of the engine.
        call: What is asked.

    Raises:
        InvalidRequestError: A listener can only be called from asyncio, and the call is blocking.
    """

    #: Whether the caller has left, from another thread or task than the one that waits here.
    gone = False
    #: ``id()`` of the exception its caller was handling; the exception itself would keep the caller's frames alive.
    callers_error: int = id(None)
    #: What was sent last, where errors have snapshots.
    exchanged: HttpRequest | None = None
    #: The answer that is being read.
    body: ByteStream | None = None
    _waiting: Wakeup | None = None

    def __init__(self, parts: EngineParts, call: Call) -> None:
        events, route = parts.events, call.route
        if route is not None and route.sinks:
            events = events.joined(route.sinks)
        self.events = events
        observed = events.observed or logs_everything()
        AttemptState.__init__(self, call, parts.endpoint, call.retry or parts.policy, observed)
        if events.asynchronous:
            events.check_world(call.runtime)
        self.parts = parts
        self.forks = Forks.count
        self.http = parts.transport_for(call.runtime)
        self.limits = make_limits(
            call.timeout or parts.timeout,
            call.deadline,
            stream=call.operation in ("stream", "pull"),
            max_bytes=parts.config.http.max_response_bytes,
        )
        if call.earlier:
            self.failures = call.earlier
        if call.cancel is not None:
            self.limits.interruptible = True
            call.cancel.attach(self)

    # -------------------------------------------------------------------------------------------- the loop

    async def run(self, prepared: PreparedRequest, exchange: Callable[[Attempts, HttpRequest], Awaitable[T]]) -> T:
        """Return the result of an exchange, with as many attempts as the policies allow.

        Args:
            prepared: The request.
            exchange: Sends one attempt and settles it if it succeeds.

        Raises:
            ProviderKitError: It failed; the error lists every attempt.
        """
        self.prepared = prepared
        self.callers_error = id(sys.exc_info()[1])
        while True:
            lease = self.lease = Lease()
            try:
                if self.observed and not self.sent:
                    await self.emit(CallStarted, f"{self.operation} {self.model or ''}".rstrip())
                found = self.parts.admission.admit(self, self.runtime.now())
                if found is not None or self.news:
                    await self._wait_for_admission(found)
                if self.gone:
                    raise CallerLeft
            except BaseException as error:  # on cancellation too: what it holds must be released
                await self._refused(error)
                raise
            lease.started, lease.time = self.runtime.now(), self.runtime.time()
            self.sent = True
            try:
                return await exchange(self, self._signed(lease))
            except ProviderKitError as error:
                if self.gone:
                    await self.abandon()
                    raise CallerLeft from None
                wait = await self._failed(error)
                if wait is None:
                    raise self._final(error)  # noqa: B904  # what caused it is known to it
            except BaseException:  # on cancellation too: release what the attempt holds
                await self.abandon()
                raise
            if wait > 0:
                await self.sleep(wait)

    async def _wait_for_admission(self, found: Wait | Prerequisite | None) -> None:
        """Wait, and await prerequisites, until an attempt may be made.

        Raises:
            ProviderKitError: It may not be made, or not in time. It does not count as an attempt.
        """
        runtime, admission = self.runtime, self.parts.admission
        while True:
            if self.news:
                await self._emit_news()
            if found is None:
                return
            if isinstance(found, Prerequisite):
                await self._work(found)
            elif found.woken is None:
                await self.sleep(found.seconds)
            elif found.woken.wakeup is None:  # it may have been admitted before it could be woken
                found.woken.wakeup = runtime.wakeup()
            else:
                await self.wait(found.woken.wakeup, found.seconds)  # type: ignore[arg-type]  # it was made above
            found = admission.admit(self, runtime.now())

    async def _work(self, found: Prerequisite) -> None:
        """Await a prerequisite, for as long as the caller is there.

        Raises:
            CallerLeft: The caller has left.
        """
        if self.call.cancel is None or not found.cancellable or self.runtime.kind != "asyncio":
            # A blocking caller stays: in another thread a refresh could be lost with the process, and would not notice
            # that its caller blocks the event loop it needs.
            await found.work()
            return
        from provider_kit.transports.runtime_asyncio import cancellable

        wakeup = self.runtime.wakeup()
        with cancellable(found.work, wakeup.wake) as outcome:
            while not outcome.done:
                await self.wait(wakeup, _MAX_WAIT_SLICE)
            outcome.result()

    async def _refused(self, error: BaseException) -> None:
        """An attempt is not made after all: release what it held, and report it."""
        try:
            await self._afterwards(self.parts.settlement.release(self, "not_sent"))
            if isinstance(error, ProviderKitError):
                if not error.attempts:
                    error.attempts = self.failures
                self.describe(error)
                await self._emit_news()
                await self._tell_failure(error)
        finally:
            del error  # avoid a reference cycle between the error and this frame, which holds the call's data

    def _signed(self, lease: Lease) -> HttpRequest:
        """The signed request of this attempt."""
        value = "" if lease.key is None else lease.key.value
        if self.parts.admission.renewable:
            lease.sent = value
        limits = self.limits
        limits.connected = limits.answered = None
        correlation_id, streamed = self.call.correlation_id, self.operation == "stream"
        made = self.endpoint.sign(self.prepared, value, streamed, lease.time, correlation_id)
        if self.parts.takes_snapshots:
            self.exchanged = made
        return made

    # -------------------------------------------------------------------------------------------- the ends

    def succeeded(self, headers: Mapping[str, str], used: float | None = None) -> Awaitable[None] | None:
        """Settle a successful attempt; return what must be awaited now, if anything."""
        after = self.parts.settlement.used(self, headers, used)
        return self._tell_success(headers, after) if after is not None or self.news or self.observed else None

    async def _tell_success(self, headers: Mapping[str, str], after: Aftermath | None) -> None:
        await self._afterwards(after)
        await self._emit_news()
        if self.observed:
            duration = self.runtime.now() - self.lease.started
            await self.emit(
                CallSucceeded,
                f"{self.operation} answered in {duration:.2f} s",
                attempt=len(self.failures) + 1,
                request_id=redact(request_id(headers) or "", self.endpoint.secrets) or None,
                duration=duration,
            )

    async def abandon(self) -> None:
        """The caller left during an attempt."""
        await self._afterwards(self.parts.settlement.release(self, "open"))

    async def broke_off(self, error: ProviderKitError, now: float) -> None:
        """The attempt failed after content had reached the caller: there is no retry."""
        self.describe(error)
        await self._afterwards(self.parts.settlement.failed(self, error))
        self.record(error, now)
        self._take_snapshot(error, now)
        if isinstance(error, APIConnectionError):
            clear_frames(error, self.callers_error)
        await self._emit_news()
        text = f"broke off after content: {type(error).__name__}"
        await self.emit(StreamAborted, text, error=error, attempt=len(self.failures))

    async def _failed(self, error: ProviderKitError) -> float | None:
        """Settle a failed attempt; return the seconds to wait before the next one, ``None`` for none."""
        self.describe(error)
        billed = may_be_billed(error)
        self.endpoint.allow_repeat(error)
        if isinstance(error, APIError) and error.retry_after is None and error.headers:
            time, names = self.runtime.time(), " ".join(error.headers).lower()
            if "retry-after" in names:  # a date, in an answer without one of its own
                headers = {name.lower(): value for name, value in error.headers.items()}
                error.retry_after = retry_after(headers, now=time)
            if error.retry_after is None and isinstance(error, RateLimitError):
                error.retry_after = wait_told(error.headers, now=time)
        after = self.parts.settlement.failed(self, error)
        if after is not None:
            await self._afterwards(after)
        now = self.runtime.now()
        wait = self._decide(error, now)
        if wait is not None and now + wait >= now + self.left(now):
            wait = None
        self.record(error, now, wait or 0.0, billed)
        self._take_snapshot(error, now)
        if isinstance(error, APIConnectionError):
            clear_frames(error, self.callers_error)
        elif isinstance(error, StreamIncompleteError) and error.partial is not None:
            error.partial.attempts = error.attempts
        if self.news:
            await self._emit_news()
        number, status = len(self.failures), getattr(error, "status_code", None)
        text = f"attempt {number}: {type(error).__name__}{f' {status}' if status else ''}"
        if self.observed:
            await self.emit(AttemptFailed, text, error=error, attempt=number)
        if wait is None:
            await self._tell_failure(error)
        else:
            text += f"; retrying in {wait:.1f} s"
            await self.events.emit(self, RetryScheduled, text, error=error, attempt=number, wait=wait)
            drop_tracebacks(error, self.callers_error)
        return wait

    def _take_snapshot(self, error: ProviderKitError, now: float) -> None:
        if self.exchanged is not None:
            error.snapshot = snapshot_of(self, self.exchanged, error, now)

    def _decide(self, error: ProviderKitError, now: float) -> float | None:
        """Seconds until the next attempt, ``None`` for none."""
        admission, key, rule = self.parts.admission, self.lease.key, self.rule
        retry = self.retry = RetryState() if self.retry is NO_RETRY_STATE else self.retry
        retry.last_error = error
        if key is not None:
            retry.rotation.use(key)
        if admission.breaker is not None and not self.call.probing and admission.breaker.blocked(now) > 0:
            return None
        if key is not None:
            if rule is TOKEN_REFUSED:
                retry.rotation.renew(key)
                return 0.0
            if self.endpoint.keys.has_multiple:
                another, error = retry.rotation.failed(self.endpoint.keys, key, rule, error, now)
                if another:
                    return 0.0
        route = self.call.route
        if route is not None and route.elsewhere and rule_for(error).next_provider in ("yes", "early", "keys gone"):
            return None
        wait = ask(self.policy, error, retry.retries + 1)
        if wait is None:
            return None
        retry.retries += 1
        asked: float | None = getattr(error, "retry_after", None)
        retry.eager = asked is not None and wait < asked
        pool = self.endpoint.keys if key is not None else None
        several = pool is not None and pool.has_multiple and pool.strategy != "simple"
        if pool is not None and several and rule_for(error).key is KeyAction.COOLING:
            soonest = pool.soonest(now, retry.rotation.excluded)
            wait = wait if soonest is None else min(wait, soonest)
        return wait

    def _final(self, error: ProviderKitError) -> ProviderKitError:
        """The error to raise; if no key is left, it says so."""
        self.retry = NO_RETRY_STATE  # errors refer to frames, which refer to this call
        key = self.lease.key
        lost = (KeyAction.DEAD, KeyAction.PARKED)
        if key is None or not isinstance(error, APIError) or rule_for(error).key not in lost:
            return error
        pool, now = self.endpoint.keys, self.runtime.now()
        if len(pool) < 2 or pool.usable(now):
            return error
        made = pool.exhausted(now, **self.facts())
        made.details = f"last error: {error.message}"
        made.__cause__ = error
        return made

    async def _afterwards(self, after: Aftermath | None) -> None:
        """The remaining work after an attempt; it is done even if its caller is cancelled."""
        if after is None:
            return

        async def work() -> None:
            try:
                await after()
            except Exception:
                _LOG.exception("%s: the outcome of an attempt could not be reported.", self.endpoint.name)

        await self.runtime.spawn(work(), None, lambda: None)

    # -------------------------------------------------------------------------------------------- waiting

    async def sleep(self, seconds: float) -> None:
        """Wait, but no longer than the caller is there.

        Raises:
            CallerLeft: The caller has left.
        """
        if self.call.cancel is not None:
            await self.wait(self.runtime.wakeup(), seconds)
            return
        began = self.runtime.now()
        try:
            await self.runtime.sleep(seconds)
        finally:
            self.waited += self.runtime.now() - began

    async def wait(self, wakeup: Wakeup, seconds: float) -> None:
        """Wait until woken, for ``seconds`` at most.

        Raises:
            CallerLeft: The caller has left.
        """
        self._waiting = wakeup
        began = self.runtime.now()
        try:
            if not self.gone:
                await wakeup.wait(seconds)
        finally:
            self._waiting = None
            self.waited += self.runtime.now() - began
        if self.gone:
            raise CallerLeft

    def leave(self) -> None:
        """The caller leaves, in another thread or task: waits and reads end, and nothing is sent any more."""
        self.gone = True
        waiting, body = self._waiting, self.body
        if waiting is not None:
            waiting.wake()
        getattr(self.http, "interrupt", _no_interrupt)(self.limits)
        if body is not None:
            getattr(body, "interrupt", _no_interrupt)()

    def cancelled(self) -> CallCancelledError:
        """The error of a cancelled call."""
        error = CallCancelledError("The call was cancelled.")
        self.describe(error)
        error.attempts = self.failures
        return error

    # -------------------------------------------------------------------------------------------- events

    async def emit(self, kind: type[Event], message: str, **fields: Any) -> None:
        """Pass an event of this call to the listeners."""
        await self.events.emit(self, kind, message, **fields)

    async def _emit_news(self) -> None:
        """Emit the events that plain code has queued."""
        while self.news:
            (kind, message, fields), *rest = self.news
            self.news = tuple(rest)
            await self.events.emit(self, kind, message, **fields)

    async def _tell_failure(self, error: ProviderKitError) -> None:
        tries = len(self.failures)
        text = f"{self.operation} failed after {tries} attempt{'s' if tries != 1 else ''}: {type(error).__name__}"
        await self.emit(CallFailed, text, error=error, attempt=tries)


def _no_interrupt(*_: object) -> None:
    """For transports that cannot interrupt: the read ends with its next bytes."""
