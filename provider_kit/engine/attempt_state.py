"""What one handling of a call knows of itself: its clocks, what it holds, what was tried. Plain state."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeAlias

from attrs import define, field

from provider_kit.auth.keys.rotation import KeyRotation
from provider_kit.auth.keys.state import Key
from provider_kit.engine.call import Call
from provider_kit.engine.endpoint import Endpoint, PreparedRequest
from provider_kit.engine.events import next_call_id
from provider_kit.errors import ProviderKitError
from provider_kit.model.chat import Attempt, ChatRequest
from provider_kit.model.config import DEFAULT_MAX_TOKENS
from provider_kit.model.events import Event
from provider_kit.policies.circuit_breaker import Trial
from provider_kit.policies.concurrency import Place
from provider_kit.policies.estimate import estimate_tokens
from provider_kit.policies.failure_rules import FailureRule
from provider_kit.policies.rate_limit import SlidingWindows, Ticket, Wakes
from provider_kit.policies.retry import RetryPolicy

__all__ = ["NO_RETRY_STATE", "AttemptState", "Lease", "Prerequisite", "RetryState", "Step", "Wait"]

#: What counts against rate limits.
_LIMITED = frozenset(("chat", "stream", "embed"))
#: Bytes of a request that are taken for text; more than that may be pictures.
_LONG = 100_000


class Lease:
    """What one attempt holds, and how far its admission has come.

    What is not set stands in the class, so that an attempt pays only for what it uses.
    """

    #: Number of the step of admission that is next.
    step = 0
    key: Key | None = None
    place: Place | None = None
    ticket: Ticket | None = None
    limiter: SlidingWindows | None = None
    #: Tokens it was expected to use.
    tokens = 0.0
    #: What the circuit breaker knows it by.
    trial: Trial | None = None
    #: Whether the user's own limiter counts it.
    claimed = False
    #: Its place in the queue of a limiter that several clients share.
    common: Ticket | None = None
    #: What it holds in the shared store.
    remote: str | None = None
    #: Whether the shared store may count it.
    shared_begun = False
    #: The key as it was sent; a token may be renewed meanwhile.
    sent = ""
    #: Clock reading at which it began to wait for its present step.
    since = math.nan
    #: Whether that was told: 1 at once, 2 once it lasts.
    told = 0
    #: What a prerequisite found out: seconds to wait, or ``None``.
    answer: float | None = None
    #: Whether a prerequisite has left its answer.
    answered = False
    #: Whether the keys were fetched, and dead credentials tried again, for this choice.
    fetched = False
    retried_dead = False
    #: Key and model under which it is counted while it waits for limits told by headers.
    advertised: tuple[str, str, float] | None = None
    #: Clock readings of its beginning, and in seconds since 1970.
    started = 0.0
    time = 0.0
    #: Whether it was settled.
    released = False


@define(eq=False)
class RetryState:
    """What the failures of a call left behind, for its next attempt."""

    rotation: KeyRotation = field(factory=KeyRotation)
    last_error: ProviderKitError | None = None
    #: The policy wants the next attempt earlier than the provider does.
    eager: bool = False
    retries: int = 0


#: Of a call that did not fail yet; never changed.
NO_RETRY_STATE = RetryState()


class AttemptState:
    """One handling of one call.

    Args:
        call: What is asked.
        endpoint: Who is asked.
        policy: When to try again.
        observed: Whether somebody wants to know of each turn.
    """

    lease: Lease
    retry: RetryState = NO_RETRY_STATE
    prepared: PreparedRequest
    #: Seconds to the first content, once it is here.
    first_content: float | None = None
    #: What the last failure means.
    rule: FailureRule
    #: The failed attempts so far.
    failures: tuple[Attempt, ...] = ()
    #: Events that are still to be emitted: class, message, fields.
    news: tuple[tuple[type[Event], str, dict[str, Any]], ...] = ()
    _call_id: str | None = None
    _tokens: float | None = None

    def __init__(self, call: Call, endpoint: Endpoint, policy: RetryPolicy, observed: bool) -> None:
        self.call = call
        self.runtime = call.runtime
        self.endpoint = endpoint
        self.policy = policy
        self.observed = observed
        self.operation = call.operation
        request = call.request
        self.model = None if request is None else request.model
        #: Whether it counts against rate limits.
        self.limited = call.operation in _LIMITED

    # -------------------------------------------------------------------------------------------- facts

    @property
    def call_id(self) -> str:
        """Tells this call apart from others of the process."""
        if self._call_id is None:
            self._call_id = next_call_id()
        return self._call_id

    @property
    def clock(self) -> Callable[[], float]:
        """Tells the seconds since 1970."""
        return self.runtime.time

    @property
    def tokens(self) -> float:
        """Tokens it may use, roughly: what is asked and what may be answered."""
        if self._tokens is None:
            request = self.call.request
            self._tokens = float(estimate_tokens(request)) if isinstance(request, ChatRequest) else 0.0
        return self._tokens

    def weigh(self) -> float:
        """The same at a glance, from the size of what is sent; for a long one, counted."""
        size = len(self.prepared.body or b"")
        request = self.call.request
        if self._tokens is not None or not isinstance(request, ChatRequest) or size > _LONG:
            return self.tokens
        return size / 3 + (request.max_tokens or DEFAULT_MAX_TOKENS)

    def expect(self, tokens: float) -> None:
        """It may use so many tokens."""
        self._tokens = tokens

    def left(self, now: float) -> float:
        """Seconds it may still wait: until its deadline, or as long as it waits at most to be sent."""
        call = self.call
        return (call.start_by if call.deadline is None else call.deadline) - now

    def facts(self) -> dict[str, Any]:
        """What an error of this call knows of it."""
        return {
            "provider": self.endpoint.name,
            "model": self.model,
            "operation": self.operation,
            "attempts": self.failures,
        }

    def tell(self, kind: type[Event], message: str, **fields: Any) -> None:
        """Note an event; it is emitted once the plain code that notes it is done."""
        self.news = (*self.news, (kind, message, fields))

    # -------------------------------------------------------------------------------------------- attempts

    def own_retry_state(self) -> RetryState:
        """What its failures left behind, to be added to."""
        if self.retry is NO_RETRY_STATE:
            self.retry = RetryState()
        return self.retry

    def shown_key(self) -> str:
        """The key of the present attempt as it may be shown; empty where there is only one."""
        key = self.lease.key
        return key.shown if key is not None and self.endpoint.keys.has_multiple else ""

    def describe(self, error: ProviderKitError) -> None:
        """Say in an error what was being done."""
        error.provider = error.provider or self.endpoint.name
        error.model = error.model or self.model
        error.operation = error.operation or self.operation

    def all_at(self, now: float) -> tuple[Attempt, ...]:
        """All attempts, the present one, which succeeded, included."""
        lease = self.lease
        done = Attempt(
            len(self.failures) + 1,
            self.endpoint.name,
            self.model or "",
            now - lease.started,
            None,
            None,
            None,
            0.0,
            lease.time,
            self.shown_key() if self.endpoint.keys.has_multiple else "",
        )
        return (*self.failures, done)

    def record(self, error: ProviderKitError, now: float, wait: float = 0.0) -> None:
        """Add the failed attempt to the list, and tell the error of all of them."""
        lease = self.lease
        failed = Attempt(
            len(self.failures) + 1,
            self.endpoint.name,
            self.model or "",
            now - lease.started,
            type(error).__name__,
            error.message,
            getattr(error, "status_code", None),
            wait,
            lease.time,
            self.shown_key() if lease.key is not None and self.endpoint.keys.has_multiple else "",
        )
        self.failures = error.attempts = (*self.failures, failed)


class _Wakeable(Protocol):
    wakeup: Wakes | None


@define
class Wait:
    """Ask again after so many seconds, or when whoever frees something wakes ``woken``."""

    seconds: float
    woken: _Wakeable | None = None


@define
class Prerequisite:
    """Something to be awaited first; it leaves its result on the lease. Then ask again."""

    work: Callable[[], Awaitable[None]]


Step: TypeAlias = Callable[[AttemptState, Lease, float], Wait | Prerequisite | None]
