"""The end of a call of a router, for its sinks."""

from __future__ import annotations

from typing import Any

from provider_kit.engine.call import Call
from provider_kit.engine.handler import End
from provider_kit.errors import CallCancelledError, ProviderKitError
from provider_kit.model.call_events import CallOutcome, RouterCallEnded
from provider_kit.routing.router_parts import RouterParts

__all__ = ["ended", "live_ended"]


def live_ended(router: RouterParts, call: Call, end: End) -> None:
    """A live answer has ended. This may be called by the garbage collector."""
    ended(router, call, end.response, end.error, left=end.how == "left", streamed=True)


def ended(
    router: RouterParts,
    call: Call,
    answer: Any,
    error: BaseException | None = None,
    *,
    left: bool = False,
    streamed: bool = False,
) -> None:
    """A call has an answer, or an error; or its caller has left."""
    known = error if isinstance(error, ProviderKitError) else None
    if known is not None:
        known.correlation_id = call.correlation_id
    outer = call.route
    events = router.events if outer is None or not outer.sinks else router.events.joined(outer.sinks)
    if not events.sinks_for(RouterCallEnded):
        return
    cancelled = (
        left or isinstance(error, CallCancelledError) or (error is not None and not isinstance(error, Exception))
    )
    outcome: CallOutcome = "cancelled" if cancelled else "success" if error is None else "error"
    runtime = call.runtime
    time, duration = runtime.time(), runtime.now() - (call.started if outer is None else outer.began)
    timings = getattr(answer, "timings", None)
    event = RouterCallEnded(
        time,
        router.name,
        call.model,
        call.operation,
        call.correlation_id,
        known,
        outcome,
        duration,
        timings.first_content if streamed and timings is not None else None,
        0.0,
        call.request,
        answer,
        tuple(getattr(answer if known is None else known, "attempts", ())),
        cached=getattr(answer, "cache", None) == "hit",
        path="" if outer is None else outer.path,
        tags=call.tags,
    )
    event.source = id(router.events)
    events.end(event)
