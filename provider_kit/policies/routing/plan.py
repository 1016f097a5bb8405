"""The order of all targets for one call: by level, those that are ready first, those that cool down last."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from provider_kit.policies.routing.state import RouteRequest, RouterState, TargetState
from provider_kit.policies.routing.strategies import Choices, Strategy, by_key

__all__ = ["order_of", "why"]


def order_of(
    now: float,
    request: RouteRequest,
    state: RouterState,
    strategy: Strategy,
    candidates: Sequence[TargetState] | None = None,
    dry_run: bool = False,
) -> Iterator[TargetState]:
    """The targets that are ready, in the order in which they are to be asked.

    Levels are chosen from one after the other, each when it is reached; targets without weight follow.

    Args:
        now: The clock.
        request: What is asked.
        state: The targets.
        strategy: Orders those of a level.
        candidates: Those that can answer the request; default: all.
        dry_run: Whether the targets are only listed, not asked, so that no turn is used up.
    """
    levels = [*state.levels, state.weightless] if state.weightless else state.levels
    chosen = None if candidates is None else set(candidates)
    for level in levels:
        if (
            chosen is None
        ):  # the usual case, with ready() written out: a call of it for each target costs more than that
            ready = [one for one in level if one.until <= now and (not one.ramp or one.in_flight < one.ramp)]
        else:
            ready = [one for one in level if one in chosen and one.ready(now)]
        order: Iterable[TargetState] = ready
        if len(ready) > 1:
            if request.key is not None:
                order = by_key(request.key, ready)
            else:
                random, turn = state.unused_choices() if dry_run else (state.random, state.next_turn)
                order = strategy(now, request, Choices(ready, random, turn))
        for target in order:  # noqa: UP028  # it costs less than a nested generator
            yield target


def why(request: RouteRequest, name: str) -> str:
    """Why the first target was chosen, in words."""
    if request.key is not None:
        return "the calls of its key stay with it"
    return _REASONS.get(name) or f"chosen by {name}"


_REASONS = {
    "fallback": "the first one in order",
    "round_robin": "its turn",
    "weighted": "by its weight",
    "random": "by chance",
    "least_busy": "the fewest calls in flight",
    "latency": "the fastest lately",
    "headroom": "the most quota left",
    "cheapest": "the lowest price",
}
