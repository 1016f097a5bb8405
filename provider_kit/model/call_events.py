"""How calls ended: the events that those receive who count, and who ask for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from attrs import define, field

from provider_kit.errors import ProviderKitError
from provider_kit.model.attempts import Attempt
from provider_kit.model.chat import lost_usage
from provider_kit.model.events import Event
from provider_kit.model.fault_domains import error_type
from provider_kit.model.usage import Usage

__all__ = ["CallEnded", "CallOutcome", "RouterCallEnded", "ToolCallEnded", "sink"]

#: How a call may end.
CallOutcome: TypeAlias = Literal["success", "error", "cancelled"]


@define(init=False, eq=False)
class CallEnded(Event):
    """A call has ended, however that was: with an answer, an error, or because its caller left.

    There is exactly one for each call, so it is what counts calls. It may come from any thread, also from the garbage
    collector, so only plain functions receive it, and only those that ask for it: ``@sink(CallEnded)``.
    """

    name = "call_end"
    #: ``success``, ``error``, or ``cancelled``: the caller left, or another target was faster.
    outcome: CallOutcome
    #: Seconds since 1970 when it began, and how many it took.
    started: float
    duration: float
    #: Seconds to the first content of a stream.
    first_token: float | None
    #: Seconds it waited for limits, keys and between attempts.
    waited: float
    #: What was asked and answered, the latter as far as it was received.
    request: Any = field(repr=False)
    response: Any = field(repr=False)
    #: Every attempt, oldest first.
    attempts: tuple[Attempt, ...]
    #: A hash that names the key.
    key_id: str | None
    #: Whether the answer came from the response cache.
    cached: bool
    #: Whether a router asked several targets at once, and another one was faster.
    lost: bool
    #: Names of the routers it came through, each followed by ``>``; empty for none.
    path: str
    tags: tuple[str, ...]
    #: Address of the provider.
    base_url: str

    def __init__(
        self,
        time: float,
        provider: str,
        model: str | None,
        operation: str,
        correlation_id: str,
        error: ProviderKitError | None,
        outcome: CallOutcome,
        duration: float,
        first_token: float | None,
        waited: float,
        request: Any,
        response: Any,
        attempts: tuple[Attempt, ...],
        key_id: str | None = None,
        cached: bool = False,
        lost: bool = False,
        path: str = "",
        tags: tuple[str, ...] = (),
        base_url: str = "",
    ) -> None:
        # Written by hand, with positions: one is created for each call.
        self.time = time
        self.provider = provider
        self.model = model
        self.operation = operation
        self.correlation_id = correlation_id
        self.error = error
        self.request_id = getattr(response, "request_id", None) if error is None else error.request_id
        self.key = attempts[-1].key if attempts else None
        self.attempt = self.wait = None
        self.message = ""
        self.outcome = outcome
        self.started = time - duration
        self.duration = duration
        self.first_token = first_token
        self.waited = waited
        self.request = request
        self.response = response
        self.attempts = attempts
        self.key_id = key_id
        self.cached = cached
        self.lost = lost
        self.path = path
        self.tags = tags
        self.base_url = base_url

    @property
    def streamed(self) -> bool:
        """Whether the answer was streamed."""
        return self.operation == "stream"

    @property
    def usage(self) -> Usage | None:
        """Tokens used, and their cost, as far as they are known; ``None`` for an answer from the response cache."""
        if self.cached:
            return None
        found = getattr(self.response, "usage", None)
        if found is None and self.error is not None:
            found = lost_usage(self.error)
        return found

    @property
    def error_type(self) -> str | None:
        """Whose fault a failure is, in the vocabulary of :func:`provider_kit.error_type`; ``None`` for a success."""
        if self.outcome == "cancelled":
            return "caller_cancelled"
        if self.error is None:  # what a middleware raised that is no error of this library
            return "own_internal" if self.outcome == "error" else None
        return error_type(self.error)

    @property
    def overhead(self) -> float:
        """Seconds that it spent in this library, neither with the provider nor waiting."""
        attempts, spent = self.attempts, self.duration - self.waited
        spent -= attempts[0].duration if len(attempts) == 1 else sum(attempt.duration for attempt in attempts)
        return spent if spent > 0 else 0.0


class RouterCallEnded(CallEnded):
    """A call of a router has ended; each target that was asked has its own :class:`CallEnded`."""

    __slots__ = ("source",)
    name = "router_call_end"
    channel = "routing"
    #: Tells routers apart that have the same name.
    source: int


@define(kw_only=True, eq=False)
class ToolCallEnded(Event):
    """A function was called for the model."""

    name = "tool_end"
    tool: str
    tool_call_id: str
    #: Seconds since 1970 when it began, and how many it took.
    started: float
    duration: float
    #: ``success``, ``error``, or ``denied``.
    outcome: Literal["success", "error", "denied"]
    #: Class of the exception it raised.
    error_class: str | None = None
    arguments: Any = field(default=None, repr=False)
    result: Any = field(default=None, repr=False)


def sink(*kinds: type[Event]) -> Callable[[Callable[[Any], object]], Callable[[Any], object]]:
    """Mark a function for ``on_event`` that receives only events of these classes; at a router, also its targets'.

    Example:
        >>> from provider_kit import CallEnded, Client, sink
        >>> @sink(CallEnded)
        ... def show(event):
        ...     print(event.provider, event.outcome, event.usage.output_tokens)
        >>> reply = Client("demo/echo", on_event=show).chat("Hello")
        demo success 2
    """

    def mark(function: Callable[[Any], object]) -> Callable[[Any], object]:
        function.wanted_events = frozenset(kinds)  # type: ignore[attr-defined]  # read by the event bus
        function.follows_targets = True  # type: ignore[attr-defined]
        return function

    return mark
