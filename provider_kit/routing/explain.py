"""Who would be asked, and why; nothing is sent."""

from __future__ import annotations

from provider_kit.engine.call import Call
from provider_kit.errors import APIError, InvalidRequestError, ProviderKitError
from provider_kit.model.chat import ChatRequest
from provider_kit.model.routing import ExplainedTarget, RouteExplanation
from provider_kit.policies.routing.plan import why
from provider_kit.routing.requests import input_size
from provider_kit.routing.routed_call import RoutedCall
from provider_kit.routing.router_parts import RouterParts
from provider_kit.routing.targets import RouteTarget

__all__ = ["explain"]

#: Tokens an answer is assumed to have where the caller sets no limit.
_USUAL_ANSWER = 500


def explain(router: RouterParts, call: Call) -> RouteExplanation:
    """The order in which the targets would be asked now.

    Raises:
        InvalidRequestError: No target serves the model.
    """
    try:
        routed = RoutedCall(router, call)
    except (InvalidRequestError, APIError) as error:
        if error.routing is None:
            raise
        excluded = [ExplainedTarget(name, False, (reason,)) for name, reason in error.routing.excluded.items()]
        return RouteExplanation(router.strategy, error.message, excluded)
    now = routed.runtime.now()
    ready = list(routed.order_of(routed.candidates, now, dry_run=True))
    waits = {id(one): one.outlook(call, now) for one in ready}
    ready.sort(key=lambda one: waits[id(one)] > 0)  # those that would have to wait are asked last
    rest = [one for one in routed.candidates if one not in ready]
    rest.sort(key=lambda one: one.state.until)
    found = [ExplainedTarget(one.name, True, tuple(_notes(routed, one, waits[id(one)]))) for one in ready]
    found += [ExplainedTarget(one.name, bool(not ready), tuple(_notes(routed, one, 0.0))) for one in rest]
    found += [ExplainedTarget(name, False, (reason,)) for name, reason in routed.routing.excluded.items()]
    reason = why(routed.facts, router.order_name)
    if router.race is not None:
        reason = "all at once"
    elif routed.pinned is not None:
        reason = f"it carries {routed.pinned[1]}, which only {routed.pinned[0].name} knows"
    return RouteExplanation(router.strategy, reason, found)


def _notes(routed: RoutedCall, target: RouteTarget, wait: float) -> list[str]:
    """What is known of a target that matters here."""
    state, now, request = target.state, routed.runtime.now(), routed.call.request
    notes = []
    if len(routed.router.state.levels) > 1:
        notes.append(f"priority {state.priority}")
    if state.weight != 1:
        notes.append(f"weight {state.weight:g}")
    if state.until > now:
        notes.append(f"out for {state.until - now:.0f} s: {state.reason}")
    elif state.ramp:
        notes.append(f"returning: {state.ramp} calls at once")
    if wait > 0:
        notes.append(f"would wait {wait:.0f} s" if wait < 1e9 else "would refuse now")
    if target.engine is not None:
        try:
            target.endpoint.keys  # noqa: B018  # it raises if there is none
        except ProviderKitError as error:
            notes.append(f"no key: {error.message.rstrip('.')}")
    if state.first_token:
        notes.append(f"first content after {state.first_token:.2f} s lately")
    if isinstance(request, ChatRequest) and target.look_up_prices() and state.prices is not None:
        tokens = request.max_tokens or _USUAL_ANSWER
        cost = input_size(request) * state.prices[0] + tokens * state.prices[1]
        notes.append(f"about ${cost:.6f}")
    windows = [one.context_window for one in target.info(routed.models.get(id(target))) if one.context_window]
    if windows:
        notes.append(f"holds {min(windows):,} tokens")
    return notes
