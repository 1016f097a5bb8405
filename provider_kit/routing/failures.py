"""What follows from the failure of a target: for the target, for the call, and for its caller."""

from __future__ import annotations

import math
from collections.abc import Sequence

from provider_kit.engine.handler import Reply
from provider_kit.errors import (
    AllProvidersFailedError,
    APITimeoutError,
    CallCancelledError,
    ContextLengthExceededError,
    DeadlineExceededError,
    ProviderKitError,
    RateLimitError,
    StreamError,
    StreamIncompleteError,
)
from provider_kit.model.attempts import Attempt, numbered
from provider_kit.model.chat import ChatResponse
from provider_kit.model.events import ProviderSwitched, TargetCooling
from provider_kit.model.routing import RouteAttempt
from provider_kit.policies.failure_rules import rule_for
from provider_kit.policies.routing.cooldown import cooldown_of
from provider_kit.routing.routed_call_state import RoutedCallState, TargetAttempt
from provider_kit.routing.targets import RouteTarget

__all__ = ["all_failed", "raised", "settle_failure"]


async def settle_failure(routed: RoutedCallState, asked: TargetAttempt, error: ProviderKitError) -> bool:
    """A target has failed; return whether another one may be asked."""
    router, target, record = routed.router, asked.target, asked.record
    now = routed.runtime.now()
    of_caller = isinstance(error, CallCancelledError) or (
        isinstance(error, DeadlineExceededError) and _over(routed, now)
    )
    asked.settled = True
    record.duration = now - asked.begun
    if isinstance(error, CallCancelledError):
        record.outcome, record.may_be_billed = "cancelled", True
    elif record.outcome == "running":  # it may have been left meanwhile
        record.outcome = "failed"
    record.error = type(error).__name__
    record.status_code = getattr(error, "status_code", None)
    record.reason = _in_words(error)
    if not error.attempts and target.engine is not None and isinstance(error, APITimeoutError) and not of_caller:
        record.may_be_billed = True  # it was left while it answered, by the router
        error.attempts = (attempt_of(record, type(error).__name__),)
    attempts = error.attempts
    if attempts:
        record.key = attempts[-1].key
        record.may_be_billed = record.may_be_billed or any(one.may_be_billed for one in attempts)
    partial = getattr(error, "partial", None)
    if isinstance(partial, ChatResponse):
        record.used(*partial.unread_usage())
        record.may_be_billed = True
    if target.engine is not None:
        routed.routing.earlier = (*routed.routing.earlier, *attempts)
    counts = rule_for(error).breaker and not of_caller
    open_for = router.state.failed(target.state, asked.trial, now, counts=counts)
    if router.budget is not None:
        router.budget.ended(counts or isinstance(error, RateLimitError))
    if of_caller:
        return False
    await _cool(routed, target, error, open_for, now)
    routed.errors.append(error)
    leaves = await router.rule.leaves_error(routed.runtime, error)
    if isinstance(error, DeadlineExceededError) and asked.elsewhere:
        leaves = True  # it has used its share of the time, not all of it
    if isinstance(error, ContextLengthExceededError) and leaves:
        _only_larger(routed, target)
    if leaves and router.observed:
        await routed.emit(ProviderSwitched, f"{target.name} failed: {record.reason}", error=error, target=target.name)
    return leaves


def before_delivery(routed: RoutedCallState, error: StreamError) -> StreamIncompleteError:
    """A stream that broke off before anything of it was delivered: as if it had broken before its first content."""
    earlier = len(routed.routing.earlier)
    made = StreamIncompleteError(
        error.message,
        retryable=True,
        partial=error.partial,
        provider=error.provider,
        model=error.model,
        operation=error.operation,
        request_id=error.request_id,
        attempts=error.attempts[earlier:],
    )
    made.routing = routed.routing
    return made


def attempt_of(record: RouteAttempt, error: str = "CallCancelledError") -> Attempt:
    """A target that was left, as an attempt of the call."""
    return Attempt(
        1,
        record.provider,
        record.model,
        record.duration,
        error,
        record.reason,
        started=record.started,
        may_be_billed=record.may_be_billed,
    )


def _over(routed: RoutedCallState, now: float) -> bool:
    return routed.call.deadline is not None and now >= routed.call.deadline - 1e-3


def _in_words(error: ProviderKitError) -> str:
    status = getattr(error, "status_code", None)
    return f"{type(error).__name__}{f' {status}' if status else ''}: {error.message.rstrip('.')}"


async def _cool(
    routed: RoutedCallState, target: RouteTarget, error: ProviderKitError, open_for: float, now: float
) -> None:
    """Keep the target out for a while, if its failure calls for that."""
    seconds, reason = cooldown_of(error)
    is_estimate = getattr(error, "retry_after", None) is None
    if open_for > seconds:
        seconds, reason, is_estimate = open_for, "it failed repeatedly", True
    if seconds <= 0 or not routed.router.state.cool(target.state, seconds, reason, now, is_estimate):
        return
    if routed.router.shared is not None:
        await routed.router.shared.tell(routed, target.state, seconds, is_estimate)
    text = f"{target.name} is not asked for {seconds:.1f} s: {reason}"
    await routed.emit(TargetCooling, text, wait=seconds, error=error, target=target.name)


def _only_larger(routed: RoutedCallState, target: RouteTarget) -> None:
    """A conversation was too long: only larger windows can hold it."""
    window = _window(routed, target)
    if window is None:
        return
    smaller = [one for one in routed.candidates if one is not target and (_window(routed, one) or math.inf) <= window]
    for one in smaller:
        routed.routing.excluded[routed.path + one.name] = f"its window is no larger than that of {target.name}"
    routed.candidates = [one for one in routed.candidates if one not in smaller]


def _window(routed: RoutedCallState, target: RouteTarget) -> int | None:
    windows = [one.context_window for one in target.info(routed.models.get(id(target)))]
    return max((one for one in windows if one is not None), default=None)


# ------------------------------------------------------------------------------------------------ what is raised


def raised(routed: RoutedCallState, error: ProviderKitError) -> ProviderKitError:
    """An error that is raised as it is, with the decisions that led to it."""
    error.routing = routed.routing
    if len(routed.routing.earlier) > len(error.attempts):
        error.attempts = numbered(routed.routing.earlier)
    if routed.pinned is not None:
        target, name = routed.pinned
        error.with_hint(
            f"{f'{error.hint} ' if error.hint else ''}The request carries {name}, which only {target.name} knows, "
            "so no other target was asked."
        )
    return error


def all_failed(routed: RoutedCallState) -> Reply:
    """Every candidate has failed, or its answer was not accepted; the last of these is better than none.

    Raises:
        ProviderKitError: There is no answer; where only one target could be asked, its own error.
        AllProvidersFailedError: Several were asked.
    """
    if routed.declined is not None:
        return Reply(routed.declined)
    errors = routed.errors
    if len(errors) == 1 and (len(routed.candidates) == 1 or not routed.call.fallback):
        raise raised(routed, errors[0]) from errors[0].__cause__
    now = routed.runtime.now()
    wait = routed.router.state.earliest_return([target.state for target in routed.candidates], now)
    limited = bool(errors) and all(getattr(one, "status_code", None) == 429 for one in errors)
    made = AllProvidersFailedError(
        _all_in_words(routed),
        exceptions=errors,
        retry_after=wait if wait > 0 else None,
        status_code=429 if limited else 503,
        retryable=any(one.retryable for one in errors),
        model=routed.model,
        operation=routed.operation,
        attempts=numbered(routed.routing.earlier),
        hint=_hint(errors, wait),
    )
    made.routing = routed.routing
    raise made from (errors[-1] if errors else None)


def _all_in_words(routed: RoutedCallState) -> str:
    routing, count = routed.routing, len(routed.asked)
    failed = [f"{one.target}: {one.reason}" for one in routing.attempts if one.outcome in ("failed", "cancelled")]
    others = [f"{name}: not asked, {why}" for name, why in routing.excluded.items()]
    return (
        f"{'All ' if count > 1 else ''}{count} target{'s' if count > 1 else ''} failed: {'; '.join(failed + others)}."
    )


def _hint(errors: Sequence[ProviderKitError], wait: float) -> str:
    if wait > 0:
        return f"The first target returns in {wait:.0f} s; Router(…, wait={math.ceil(wait)}) waits for it."
    hints = list(dict.fromkeys(one.hint for one in errors if one.hint))
    if len(hints) == 1:
        return f"{hints[0]} error.exceptions has the error of each target."
    return "error.exceptions has the error of each target; error.routing tells what was decided."
