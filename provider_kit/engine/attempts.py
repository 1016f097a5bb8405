"""Trying, and trying again: the loop around every exchange. It knows no rule; the policy decides."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, field

from provider_kit.engine import settlement
from provider_kit.engine.admission import NOTHING_HELD, Gate, Lease
from provider_kit.engine.endpoint import Draft, Endpoint
from provider_kit.engine.events import next_call_id
from provider_kit.errors import APIConnectionError, APIError, ProviderKitError, RateLimitError
from provider_kit.model.chat import Attempt, ChatRequest
from provider_kit.model.config import DEFAULT_MAX_TOKENS, DEFAULT_TIMEOUT, DEFAULT_TOTAL_TIMEOUT, Timeout
from provider_kit.model.secrets import clear_frames
from provider_kit.policies.estimate import estimate_tokens
from provider_kit.policies.failure_rules import TOKEN_REFUSED, FailureRule, KeyAction, rule_for
from provider_kit.policies.retry import RetryPolicy, ask
from provider_kit.transports.base import Transport, Wakeup
from provider_kit.wire.http import HttpRequest, Limits
from provider_kit.wire.rate_limit_headers import wait_told
from provider_kit.wire.response_headers import request_id, retry_after

__all__ = ["Run", "Trail", "make_limits"]

#: Bytes of a request that are taken for text; more than that may be pictures.
_LONG = 100_000


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


def _bound(seconds: float | None) -> float | None:
    """No library's clock takes infinity; ``None`` is what they call it."""
    return None if seconds == math.inf else seconds


class CallerLeft(BaseException):
    """The caller of a stream has left while its turn was waited for. It never leaves the engine."""


@define(eq=False)
class Trail:
    """What the failures of a call left behind, for its next attempt."""

    #: Ids of the keys that this call does not want again.
    excluded: set[str] = field(factory=set)
    #: Id of the key that was used last, and of the one to use again, where the failure was not the key's.
    last_key: str | None = None
    same_key: str | None = None
    last_error: ProviderKitError | None = None
    #: The policy wants the next attempt earlier than the provider does.
    eager: bool = False
    used: set[str] = field(factory=set)
    #: Ids of the tokens that were refused and renewed once.
    renewed: set[str] = field(factory=set)
    #: By id: the errors of keys that were too fast and are good again after a rest.
    cooling: dict[str, ProviderKitError] = field(factory=dict)
    retries: int = 0


#: Of a call that did not fail yet; never changed.
NO_TRAIL = Trail()


@define(eq=False)
class Run:
    """One call on its way: who is asked, how long it may take, what was tried."""

    gate: Gate
    transport: Transport
    limits: Limits
    policy: RetryPolicy
    operation: str
    model: str | None
    started: float
    #: What is asked, to estimate its tokens.
    request: ChatRequest | None = None
    #: A check of the provider's health: nothing keeps it from being made.
    probing: bool = False
    #: Whether it counts against rate limits.
    limited: bool = False
    #: Clock reading until which it waits to be sent, where it has no deadline.
    patience: float = math.inf
    #: Whether the response cache may be used.
    cached: bool = False
    attempts: list[Attempt] = field(factory=list)
    first_content: float | None = None
    lease: Lease = NOTHING_HELD
    #: Whether somebody wants to know of each turn.
    minute: bool = False
    #: What its failures so far left behind.
    trail: Trail = NO_TRAIL
    _attempt_started: float = 0.0
    _attempt_time: float = 0.0
    _call_id: str | None = None
    _tokens: float | None = None

    #: Whether the caller of a stream has left, from another thread or task than the one that waits here.
    gone: bool = False
    _waiting: Wakeup | None = None

    # -------------------------------------------------------------------------------------------- waiting

    async def sleep(self, seconds: float) -> None:
        """Wait so long; a stream no longer than its caller is there.

        Raises:
            CallerLeft: Nobody wants to know what comes.
        """
        if self.operation == "stream":
            await self.wait(self.transport.wakeup(), seconds)
        else:
            await self.transport.sleep(seconds)

    async def wait(self, wakeup: Wakeup, seconds: float) -> None:
        """Wait until woken, for ``seconds`` at most.

        Raises:
            CallerLeft: Nobody wants to know what comes.
        """
        self._waiting = wakeup
        try:
            if not self.gone:
                await wakeup.wait(seconds)
        finally:
            self._waiting = None
        if self.gone:
            raise CallerLeft

    def leave(self) -> None:
        """The caller leaves: whatever is waited for, nothing will be sent any more."""
        self.gone = True
        waiting = self._waiting
        if waiting is not None:
            waiting.wake()

    # -------------------------------------------------------------------------------------------- facts

    @property
    def endpoint(self) -> Endpoint:
        """Who is asked."""
        return self.gate.endpoint

    @property
    def call_id(self) -> str:
        """Tells this call apart from others of the process."""
        if self._call_id is None:
            self._call_id = next_call_id()
        return self._call_id

    @property
    def clock(self) -> Callable[[], float]:
        """Tells the seconds since 1970."""
        return self.transport.time

    @property
    def tokens(self) -> float:
        """Tokens it may use, roughly: what is asked and what may be answered."""
        if self._tokens is None:
            self._tokens = float(estimate_tokens(self.request)) if self.request is not None else 0.0
        return self._tokens

    def weigh(self, draft: Draft) -> float:
        """The same at a glance, from the size of what is sent; for a long one, counted."""
        size = len(draft.body or b"")
        if self._tokens is not None or self.request is None or size > _LONG:
            return self.tokens
        return size / 3 + (self.request.max_tokens or DEFAULT_MAX_TOKENS)

    def expect(self, tokens: float) -> None:
        """It may use so many tokens."""
        self._tokens = tokens

    def left(self, now: float) -> float:
        """Seconds it may still wait: until its deadline, or as long as it waits at most to be sent."""
        deadline = self.limits.deadline
        return (self.patience if deadline is None else deadline) - now

    def facts(self) -> dict[str, Any]:
        """What an error of this call knows of it."""
        return {
            "provider": self.endpoint.name,
            "model": self.model,
            "operation": self.operation,
            "attempts": tuple(self.attempts),
        }

    # -------------------------------------------------------------------------------------------- turns

    def begin_at_once(self, draft: Draft, stream: bool) -> HttpRequest | None:
        """What to send, if the attempt need not wait for anything and nobody wants to be told; else ``None``."""
        if self.minute or self.attempts:
            return None
        lease = self.gate.enter_at_once(self, draft)
        if lease is None:
            return None
        self.lease = lease
        return self._started(draft, stream)

    async def begin(self, draft: Draft, stream: bool) -> HttpRequest:
        """Wait until an attempt may be made; what to send then.

        Raises:
            ProviderKitError: It may not be made, or not in time. That is no attempt.
        """
        if self.minute and not self.attempts:
            await self.gate.events.emit(self, "request", f"{self.operation} {self.model or ''}".rstrip())
        try:
            self.lease = await self.gate.enter(self)
        except ProviderKitError as error:
            if not error.attempts:
                error.attempts = tuple(self.attempts)
            self.describe(error)
            await self._tell_error(error)
            raise
        return self._started(draft, stream)

    def _started(self, draft: Draft, stream: bool) -> HttpRequest:
        lease, transport = self.lease, self.transport
        key = lease.key
        self._attempt_started = transport.now()
        self._attempt_time = transport.time()
        value = "" if key is None else key.value
        if self.gate.renewable:
            lease.sent = value
        return self.gate.endpoint.sign(draft, value, stream)

    @property
    def latency(self) -> float:
        """Seconds since the present attempt began."""
        return self.transport.now() - self._attempt_started

    async def succeeded(self, headers: Mapping[str, str], used: float | None = None) -> tuple[Attempt, ...]:
        """The attempt succeeded: all attempts, this one included."""
        if not settlement.succeeded_at_once(self, self.lease, headers, used):
            await settlement.succeeded(self, self.lease, headers, used)
        duration = self.transport.now() - self._attempt_started
        number = len(self.attempts) + 1
        name, started, key = self.gate.endpoint.name, self._attempt_time, self._shown_key()
        done = Attempt(number, name, self.model or "", duration, None, None, None, 0.0, started, key)
        if self.minute:
            text = f"{self.operation} answered in {duration:.2f} s"
            await self.gate.events.emit(
                self, "success", text, attempt=number, request_id=request_id(headers), duration=duration
            )
        return (*self.attempts, done)

    async def failed(self, error: ProviderKitError) -> None:
        """The attempt failed: wait before the next one, or raise the error if there is to be none."""
        try:
            wait = await self.judge(error)
            if wait is None:
                raise self.final(error)
        finally:
            del error  # or the error and this frame would hold each other, and all that the call had
        if wait > 0:
            await self.sleep(wait)

    def abandon(self) -> None:
        """The caller went away in the middle of an attempt."""
        self.gate.leave(self, self.lease)

    async def judge(self, error: ProviderKitError) -> float | None:
        """The attempt failed: seconds to wait before the next one, ``None`` if there is to be none."""
        self.describe(error)
        self.endpoint.allow_repeat(error)
        if isinstance(error, APIError) and error.retry_after is None and error.headers:
            time = self.transport.time()
            headers = {name.lower(): value for name, value in error.headers.items()}
            error.retry_after = retry_after(headers, now=time)  # a date, in an answer without one of its own
            if error.retry_after is None and isinstance(error, RateLimitError):
                error.retry_after = wait_told(error.headers, now=time)
        row = await settlement.failed(self, self.lease, error)
        now = self.transport.now()
        wait = self._decide(error, row, now)
        if wait is not None and now + wait >= now + self.left(now):
            wait = None
        self.record(error, now, wait or 0.0)
        events = self.gate.events
        number = len(self.attempts)
        status = getattr(error, "status_code", None)
        what = f"attempt {number}: {type(error).__name__}{f' {status}' if status else ''}"
        if self.minute:
            await events.emit(self, "attempt_failed", what, error=error, attempt=number)
        if wait is None:
            await self._tell_error(error)
        else:
            text = f"{what}; trying again in {wait:.1f} s"
            await events.emit(self, "retry", text, error=error, attempt=number, wait=wait)
        return wait

    async def broke_off(self, error: ProviderKitError, now: float) -> None:
        """The attempt failed after content had reached the caller: there is no other one."""
        self.describe(error)
        await settlement.failed(self, self.lease, error)
        self.record(error, now)
        text = f"broke off after content: {type(error).__name__}"
        await self.gate.events.emit(self, "stream_abort", text, error=error, attempt=len(self.attempts))

    def trail_of_its_own(self) -> Trail:
        """What its failures left behind, to be added to."""
        if self.trail is NO_TRAIL:
            self.trail = Trail()
        return self.trail

    def _decide(self, error: ProviderKitError, row: FailureRule, now: float) -> float | None:
        gate, key = self.gate, self.lease.key
        trail = self.trail_of_its_own()
        trail.last_error = error
        if key is not None:
            trail.last_key = key.id
            trail.used.add(key.id)
        if gate.breaker is not None and not self.probing and gate.breaker.blocked(now) > 0:
            return None
        if row is TOKEN_REFUSED and key is not None:
            trail.renewed.add(key.id)
            trail.same_key = key.id
            return 0.0
        has_multiple = key is not None and self.endpoint.keys.has_multiple
        trail.same_key = key.id if has_multiple and not row.other_key and key is not None else None
        if has_multiple and row.other_key and key is not None:
            pool = self.endpoint.keys
            if row.key is not KeyAction.COOLING or pool.strategy == "simple":
                trail.excluded.add(key.id)
            # Where this key is no good but another one merely rests, the rest decides.
            error = _note_cooling(trail, key.id, error, row)
            most = len(pool) if pool.strategy == "simple" else pool.max_keys
            if len(trail.used) < most and pool.usable(now, trail.used):
                trail.excluded |= trail.used
                return 0.0
            if trail.cooling:
                trail.excluded -= trail.cooling.keys()
            else:
                trail.excluded = {one for one in trail.excluded if pool.refused(one)}
            if len(trail.used) >= most:
                trail.excluded |= pool.others(trail.used)
        wait = ask(self.policy, error, trail.retries + 1)
        if wait is None:
            return None
        trail.retries += 1
        asked: float | None = getattr(error, "retry_after", None)
        trail.eager = asked is not None and wait < asked
        if has_multiple and rule_for(error).key is KeyAction.COOLING and self.endpoint.keys.strategy != "simple":
            soonest = self.endpoint.keys.soonest(now, trail.excluded)
            if soonest is not None:
                wait = min(wait, soonest)
        return wait

    def final(self, error: ProviderKitError) -> ProviderKitError:
        """The error to raise: of a pool that has no key left it says so."""
        self.trail = NO_TRAIL  # it holds errors, which hold frames, which hold this call
        key = self.lease.key
        if (
            key is None
            or not isinstance(error, APIError)
            or rule_for(error).key not in (KeyAction.DEAD, KeyAction.PARKED)
        ):
            return error
        pool, now = self.endpoint.keys, self.transport.now()
        if len(pool) < 2 or pool.usable(now):
            return error
        made = pool.exhausted(now, **self.facts())
        made.details = f"last error: {error.message}"
        made.__cause__ = error
        return made

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
                self._attempt_time,
                self._shown_key(),
            )
        )
        error.attempts = tuple(self.attempts)
        if isinstance(error, APIConnectionError):
            clear_frames(error)

    def _shown_key(self) -> str:
        key = self.lease.key
        return key.shown if key is not None and self.gate.endpoint.keys.has_multiple else ""

    async def _tell_error(self, error: ProviderKitError) -> None:
        tries = len(self.attempts)
        text = f"{self.operation} failed after {tries} attempt{'s' if tries != 1 else ''}: {type(error).__name__}"
        await self.gate.events.emit(self, "error", text, error=error, attempt=len(self.attempts))

    def describe(self, error: ProviderKitError) -> None:
        """Say in an error what was being done."""
        error.provider = error.provider or self.endpoint.name
        error.model = error.model or self.model
        error.operation = error.operation or self.operation


def _note_cooling(trail: Trail, key_id: str, error: ProviderKitError, row: FailureRule) -> ProviderKitError:
    """The error that the next attempt goes by."""
    if row.key is KeyAction.COOLING:
        trail.cooling[key_id] = error
        return error
    trail.cooling.pop(key_id, None)
    return next(reversed(trail.cooling.values()), error)
