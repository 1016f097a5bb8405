"""The end of a call: the one event that is the same whole or streamed, answered, failed or left."""

from __future__ import annotations

from typing import Any, Literal

from provider_kit.engine.attempts import Attempts
from provider_kit.engine.handler import End
from provider_kit.errors import CallCancelledError, ProviderKitError
from provider_kit.model.chat import Attempt, ChatResponse
from provider_kit.model.events import CallEnded

__all__ = ["answered", "failed", "stream_ended"]


def answered(attempts: Attempts, answer: Any) -> None:
    """A whole answer is about to be returned."""
    attempts.parts.live.pop(id(attempts), None)
    if attempts.events.wants_ends:
        cached = type(answer) is ChatResponse and answer.cache == "hit"
        made = () if cached else getattr(answer, "attempts", None) or attempts.all_at(attempts.runtime.now())
        _emit(attempts, "success", None, answer, made[len(attempts.call.earlier) :], cached)


def failed(attempts: Attempts, error: BaseException) -> None:
    """An error is about to be raised; nothing was delivered."""
    attempts.parts.live.pop(id(attempts), None)
    if isinstance(error, ProviderKitError):
        error.correlation_id = attempts.call.correlation_id
    if attempts.events.wants_ends:
        cancelled = isinstance(error, CallCancelledError) or not isinstance(error, Exception)
        known = error if isinstance(error, ProviderKitError) else None
        made = attempts.failures
        if cancelled and attempts.sent:
            made = (*made, left_attempt(attempts))
        _emit(attempts, "cancelled" if cancelled else "error", known, None, made[len(attempts.call.earlier) :], False)


def stream_ended(attempts: Attempts, end: End, made: tuple[Attempt, ...], *, cached: bool, first: float | None) -> None:
    """A stream has ended after its first content. This may be called by the garbage collector."""
    attempts.parts.live.pop(id(attempts), None)
    if not attempts.events.wants_ends:
        return
    outcome: Literal["success", "error", "cancelled"] = "success"
    if end.how == "left":
        outcome = "cancelled"
        if not cached:
            made = (*made, left_attempt(attempts))
    elif end.how == "failed":
        outcome = "error"
    error = end.error if isinstance(end.error, ProviderKitError) else None
    _emit(attempts, outcome, error, end.response, made[len(attempts.call.earlier) :], cached, first)


def left_attempt(attempts: Attempts) -> Attempt:
    """The attempt that the caller left."""
    lease, endpoint = attempts.lease, attempts.endpoint
    return Attempt(
        len(attempts.failures) + 1,
        endpoint.name,
        attempts.model or "",
        attempts.runtime.now() - lease.started,
        "CallCancelledError",
        "The caller left.",
        None,
        0.0,
        lease.time,
        attempts.shown_key(),
        True,
    )


def _emit(
    attempts: Attempts,
    outcome: Literal["success", "error", "cancelled"],
    error: ProviderKitError | None,
    response: Any,
    made: tuple[Attempt, ...],
    cached: bool,
    first: float | None = None,
) -> None:
    call, runtime, lease, route = attempts.call, attempts.runtime, attempts.lease, attempts.call.route
    duration, time = runtime.now() - attempts.began, runtime.time()
    key = lease.key if lease is not None else None
    attempts.events.end(
        CallEnded(
            time=time,
            provider=attempts.endpoint.name,
            model=attempts.model,
            operation=attempts.operation,
            correlation_id=call.correlation_id,
            request_id=error.request_id if error is not None else getattr(response, "request_id", None),
            error=error,
            key=attempts.shown_key() if key is not None else None,
            outcome=outcome,
            started=time - duration,
            duration=duration,
            first_token=first,
            waited=attempts.waited,
            request=call.request,
            response=response,
            attempts=made,
            key_id=None if key is None else key.id,
            cached=cached,
            lost=outcome == "cancelled"
            and route is not None
            and route.attempt is not None
            and route.attempt.concurrent,
            path="" if route is None else route.path,
            tags=call.tags,
            base_url=attempts.endpoint.base_url,
        )
    )
