"""Which targets can answer a request: those that serve the model, can do what it needs, and know what it refers to."""

from __future__ import annotations

from collections.abc import Sequence

from provider_kit.errors import APIError, ContextLengthExceededError, InvalidRequestError
from provider_kit.model.chat import ChatRequest
from provider_kit.model.models import EmbeddingRequest
from provider_kit.routing.requests import needs_of, state_of
from provider_kit.routing.routed_call_state import RoutedCallState
from provider_kit.routing.targets import RouteTarget

__all__ = ["candidates_of"]

#: Characters of a single message that fits into every window, and needs nothing.
_SMALL = 2000


def candidates_of(routed: RoutedCallState) -> Sequence[RouteTarget]:
    """The targets that can answer the request of a call, as far as is known.

    Raises:
        InvalidRequestError: There is none.
        ContextLengthExceededError: It is too long for all of them.
    """
    request, router = routed.call.request, routed.router
    targets = router.targets if routed.serving is router.all else [target for target, _ in routed.serving]
    if type(request) is not ChatRequest:
        return _of_one_model(routed, targets) if isinstance(request, EmbeddingRequest) else targets
    state = state_of(request) if request.extra_body else None
    if state is not None:
        return _pinned(routed, targets, *state)
    if len(request.messages) == 1 and not request.tools:
        content = request.messages[0].content
        if type(content) is str and len(content) < _SMALL:
            return targets
    needs = needs_of(request)
    fit = []
    for target in targets:
        reason = target.unfit(request, needs, routed.models.get(id(target)))
        if reason is None:
            fit.append(target)
        else:
            routed.routing.excluded[routed.path + target.name] = reason
    if not fit:
        raise _nobody(routed)
    return targets if len(fit) == len(targets) else fit


def _of_one_model(routed: RoutedCallState, targets: Sequence[RouteTarget]) -> Sequence[RouteTarget]:
    """Vectors of different models cannot be compared, so all come from one."""
    first = targets[0]
    wanted = routed.models.get(id(first), first.model)
    return [target for target in targets if routed.models.get(id(target), target.model) == wanted]


def _pinned(
    routed: RoutedCallState, targets: Sequence[RouteTarget], name: str, answer: str | None
) -> Sequence[RouteTarget]:
    """A request that continues what a provider keeps can be answered there only."""
    giver = None if answer is None else routed.router.answers.get(answer)
    known = next((one for one in targets if one.name == giver), None)
    target = known or next(routed.order_of(targets, routed.runtime.now()), targets[0])
    routed.pinned = target, name
    return [target]


def _nobody(routed: RoutedCallState) -> InvalidRequestError | APIError:
    reasons = routed.routing.excluded
    told = "; ".join(f"{name}: {why}" for name, why in reasons.items())
    error: InvalidRequestError | APIError
    if all(why.startswith("the conversation has") for why in reasons.values()):
        error = ContextLengthExceededError(
            f"The conversation is too long for every target: {told}.",
            hint="Shorten it, or add a target with a larger window.",
        )
    else:
        error = InvalidRequestError(
            f"No target can answer this request: {told}.", hint="Add a target that can, or change the request."
        )
    error.routing = routed.routing
    return error
