"""The state of one handling of a call: its timeouts, what it holds, what was tried. Plain state."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeAlias

from attrs import define, field

from provider_kit.auth.keys.rotation import KeyRotation
from provider_kit.auth.keys.state import Key
from provider_kit.catalog.suggest import OF_THE_MODEL
from provider_kit.engine.call import Call
from provider_kit.engine.endpoint import Endpoint, PreparedRequest
from provider_kit.engine.events import CallSource
from provider_kit.errors import APIConnectionError, InvalidResponseError, ProviderKitError
from provider_kit.model.attempts import Attempt, Timings
from provider_kit.model.chat import ChatRequest
from provider_kit.model.config import DEFAULT_MAX_TOKENS
from provider_kit.model.events import Event
from provider_kit.policies.circuit_breaker import Trial
from provider_kit.policies.concurrency import Place
from provider_kit.policies.estimate import estimate_tokens
from provider_kit.policies.failure_rules import FailureRule, rule_for
from provider_kit.policies.rate_limit import SlidingWindows, Ticket, Wakes
from provider_kit.policies.retry import RetryPolicy
from provider_kit.wire.http import Limits

__all__ = ["NO_RETRY_STATE", "AttemptState", "Lease", "Prerequisite", "RetryState", "Step", "Wait"]

#: What counts against rate limits.
_LIMITED = frozenset(("chat", "stream", "embed"))
#: Bytes of a request that are counted as text; more than that may be images.
_LONG = 100_000


class Lease:
    """What one attempt holds, and the progress of its admission.

    Defaults are class attributes, so that an attempt pays only for what it uses.
    """

    #: Number of the step of admission that is next.
    step = 0
    key: Key | None = None
    place: Place | None = None
    ticket: Ticket | None = None
    limiter: SlidingWindows | None = None
    #: Tokens it was expected to use.
    tokens = 0.0
    #: Its trial at the circuit breaker.
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
    #: When it began to wait for the current step.
    since = math.nan
    #: Whether the wait was reported: 1 at once, 2 once it lasts.
    told = 0
    #: The result of a prerequisite: seconds to wait, or ``None``.
    answer: float | None = None
    #: Whether a prerequisite has left its result.
    answered = False
    #: Whether the keys were fetched, and dead credentials tried again, for this choice.
    fetched = False
    retried_dead = False
    #: Key and model under which it is counted while it waits for limits from headers.
    advertised: tuple[str, str, float] | None = None
    #: When it began, on the clock and in seconds since 1970.
    started = 0.0
    time = 0.0
    #: Whether it was settled.
    released = False


#: What an attempt holds before it begins; never changed.
UNUSED = Lease()


@define(eq=False)
class RetryState:
    """What the failures of a call mean for its next attempt."""

    rotation: KeyRotation = field(factory=KeyRotation)
    last_error: ProviderKitError | None = None
    #: The policy wants the next attempt earlier than the provider does.
    eager: bool = False
    retries: int = 0


#: The state of a call without failures; never changed.
NO_RETRY_STATE = RetryState()


class AttemptState(CallSource):
    """One handling of one call.

    Args:
        call: The call.
        endpoint: Who is asked.
        policy: The retry policy.
        observed: Whether there are listeners for events.
    """

    lease: Lease = UNUSED
    #: The limits of its exchanges, where the transport leaves what it measured.
    limits: Limits
    retry: RetryState = NO_RETRY_STATE
    prepared: PreparedRequest
    #: Seconds to the first content, once it has arrived.
    first_content: float | None = None
    #: What the last failure means.
    rule: FailureRule
    #: The failed attempts so far.
    failures: tuple[Attempt, ...] = ()
    #: Events that are still to be emitted: class, message, fields.
    news: tuple[tuple[type[Event], str, dict[str, Any]], ...] = ()
    _tokens: float | None = None
    #: Whether an attempt was made.
    sent = False
    #: Seconds it waited for limits, keys and between attempts.
    waited = 0.0

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
    def tokens(self) -> float:
        """An estimate of the tokens it may use, request and answer together."""
        if self._tokens is None:
            request = self.call.request
            self._tokens = float(estimate_tokens(request)) if isinstance(request, ChatRequest) else 0.0
        return self._tokens

    def weigh(self) -> float:
        """As :attr:`tokens`, estimated from the size of the request; a long one is counted."""
        size = len(self.prepared.body or b"")
        request = self.call.request
        if self._tokens is not None or not isinstance(request, ChatRequest) or size > _LONG:
            return self.tokens
        return size / 3 + (request.max_tokens or DEFAULT_MAX_TOKENS)

    def expect(self, tokens: float) -> None:
        """Set the expected number of tokens."""
        self._tokens = tokens

    def left(self, now: float) -> float:
        """Seconds it may still wait: until its deadline, or its longest wait before sending."""
        call = self.call
        return (call.start_by if call.deadline is None else call.deadline) - now

    def facts(self) -> dict[str, Any]:
        """The fields that an error of this call gets."""
        return {
            "provider": self.endpoint.name,
            "model": self.model,
            "operation": self.operation,
            "attempts": self.failures,
        }

    def tell(self, kind: type[Event], message: str, **fields: Any) -> None:
        """Queue an event; it is emitted once the plain code that queued it is done."""
        self.news = (*self.news, (kind, message, fields))

    @property
    def began(self) -> float:
        """When it began, on the clock; for a target of a router, when it was asked."""
        route = self.call.route
        return self.call.started if route is None else route.began

    # -------------------------------------------------------------------------------------------- attempts

    def own_retry_state(self) -> RetryState:
        """Its own retry state, created on first use."""
        if self.retry is NO_RETRY_STATE:
            self.retry = RetryState()
        return self.retry

    def shown_key(self) -> str:
        """The masked key of the current attempt; empty where there is only one."""
        key = self.lease.key
        return key.shown if key is not None and self.endpoint.keys.has_multiple else ""

    def describe(self, error: ProviderKitError) -> None:
        """Add the context of the call to an error."""
        error.provider = error.provider or self.endpoint.name
        error.model = error.model or self.model
        error.operation = error.operation or self.operation
        error.correlation_id = self.call.correlation_id
        provider = self.endpoint.provider
        if provider.start is not None and isinstance(error, APIConnectionError) and error.nobody_listens:
            error.with_hint(
                f"{provider.title or provider.name} is not running at {self.endpoint.base_url}. {provider.start}"
            )
        if isinstance(error, OF_THE_MODEL) and not error.suggested_models:
            self.endpoint.directory.suggest(error, error.model, self.runtime.time())

    def all_at(self, now: float) -> tuple[Attempt, ...]:
        """All attempts, including the current, successful one."""
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

    def timings(self, first: float | None, total: float | None, between: float | None = None) -> Timings:
        """How long it took.

        Args:
            first: Seconds to the first content.
            total: Seconds to its end.
            between: Seconds between two chunks.
        """
        limits, started = self.limits, self.call.started
        answered = None if limits.answered is None else limits.answered - started
        return Timings(first, total, self.waited, limits.connected, answered, between)

    def record(self, error: ProviderKitError, now: float, wait: float = 0.0, may_be_billed: bool = False) -> None:
        """Add the failed attempt to the list, and attach the list to the error."""
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
            may_be_billed,
        )
        self.failures = error.attempts = (*self.failures, failed)


def may_be_billed(error: ProviderKitError) -> bool:
    """Whether an attempt may have been carried out: it was sent, and its answer was lost, late or unreadable.

    To be asked before the caller's wish to repeat it makes the error retryable.
    """
    return rule_for(error).same_key == "if allowed" or isinstance(error, InvalidResponseError)


class _Wakeable(Protocol):
    wakeup: Wakes | None


@define
class Wait:
    """Ask again after some seconds, or when ``woken`` is woken."""

    seconds: float
    woken: _Wakeable | None = None


@define
class Prerequisite:
    """Something to be awaited first; it leaves its result on the lease. Then ask again."""

    work: Callable[[], Awaitable[None]]
    #: Whether, in asyncio, a caller who leaves need not wait for it.
    cancellable: bool = False


Step: TypeAlias = Callable[[AttemptState, Lease, float], Wait | Prerequisite | None]
