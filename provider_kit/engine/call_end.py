"""The end of a call: the one event that is the same whole or streamed, answered, failed or left."""

from __future__ import annotations

from typing import Any

from provider_kit.engine.attempts import Attempts
from provider_kit.engine.handler import End
from provider_kit.errors import CallCancelledError, ProviderKitError
from provider_kit.model.attempts import Attempt
from provider_kit.model.call_events import CallEnded, CallOutcome
from provider_kit.model.chat import ChatResponse
from provider_kit.policies.after_fork import Forks

__all__ = ["answered", "failed", "stream_ended"]


def answered(attempts: Attempts, answer: Any) -> None:
    """Emit the end of a call that has a whole answer; called only where a sink wants it."""
    cached = type(answer) is ChatResponse and answer.cache == "hit"
    made = () if cached else getattr(answer, "attempts", None) or attempts.all_at(attempts.runtime.now())
    _emit(attempts, "success", None, answer, _own(attempts, made), cached)


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
        _emit(attempts, "cancelled" if cancelled else "error", known, None, _own(attempts, made), False)


def stream_ended(attempts: Attempts, end: End, made: tuple[Attempt, ...], *, cached: bool, first: float | None) -> None:
    """A stream has ended after its first content. This may be called by the garbage collector."""
    attempts.parts.live.pop(id(attempts), None)
    if not attempts.events.wants_ends:
        return
    outcome: CallOutcome = "success"
    if end.how == "left":
        outcome = "cancelled"
        if not cached:
            made = (*made, left_attempt(attempts))
    elif end.how == "failed":
        outcome = "error"
    error = end.error if isinstance(end.error, ProviderKitError) else None
    _emit(attempts, outcome, error, end.response, _own(attempts, made), cached, first)


def _own(attempts: Attempts, made: tuple[Attempt, ...]) -> tuple[Attempt, ...]:
    """The attempts of this handling, without those of earlier ones, and of other targets."""
    call = attempts.call
    return made[len(call.earlier) :] if call.earlier else made


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
    outcome: CallOutcome,
    error: ProviderKitError | None,
    response: Any,
    made: tuple[Attempt, ...],
    cached: bool,
    first: float | None = None,
) -> None:
    if attempts.forks != Forks.count:
        return  # a copy of a call of the parent process, which tells its end itself
    call, runtime, route = attempts.call, attempts.runtime, attempts.call.route
    duration = runtime.now() - (call.started if route is None else route.began)
    key = attempts.lease.key
    lost, path = False, ""
    if route is not None:
        path = route.path
        lost = outcome == "cancelled" and route.attempt is not None and route.attempt.concurrent
    attempts.events.end(
        CallEnded(
            runtime.time(),
            attempts.endpoint.name,
            attempts.model,
            attempts.operation,
            call.correlation_id,
            error,
            outcome,
            duration,
            first,
            attempts.waited,
            call.request,
            response,
            made,
            None if key is None else key.id,
            cached,
            lost,
            path,
            call.tags,
            attempts.endpoint.base_url,
        )
    )
