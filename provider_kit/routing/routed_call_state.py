"""One call of a router: its state, which what decides about it shares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from types import MappingProxyType
from typing import Any

from provider_kit.engine.call import Call, Route
from provider_kit.engine.events import CallSource
from provider_kit.errors import ProviderKitError
from provider_kit.model.chat import ChatRequest, ChatResponse
from provider_kit.model.events import Event
from provider_kit.model.routing import RouteAttempt, Routing
from provider_kit.policies.circuit_breaker import Trial
from provider_kit.policies.routing.histogram import size_class
from provider_kit.policies.routing.plan import order_of
from provider_kit.policies.routing.state import RouteRequest
from provider_kit.routing.requests import input_size
from provider_kit.routing.router_parts import RouterParts
from provider_kit.routing.targets import RouteTarget

__all__ = ["RoutedCallState", "TargetAttempt"]

_index = attrgetter("index")


class TargetAttempt:
    """One target that is asked."""

    __slots__ = ("begun", "elsewhere", "record", "returned", "route", "settled", "target", "trial")

    def __init__(
        self, target: RouteTarget, trial: Trial, record: RouteAttempt, begun: float, elsewhere: bool, route: Route
    ) -> None:
        self.target = target
        self.trial = trial
        self.record = record
        self.begun = begun
        #: Whether another target could have answered.
        self.elsewhere = elsewhere
        self.route = route
        #: Whether its answer showed that it is back.
        self.returned = False
        #: Whether its outcome was noted.
        self.settled = False


class RoutedCallState(CallSource):
    """One call of a router, and what was found out about it so far.

    Args:
        router: The router.
        call: The call.
    """

    #: Its size as a class of prompts.
    size = 0
    #: The target that alone can answer it, and the field that says so.
    pinned: tuple[RouteTarget, str] | None = None
    #: The latest answer that was not accepted.
    declined: ChatResponse | None = None
    #: Names of the routers around this one, each followed by `` > ``.
    path = ""
    #: The model each candidate is asked for, where it is not its own, by id.
    models: Mapping[int, str] = MappingProxyType({})

    def __init__(self, router: RouterParts, call: Call) -> None:
        self.router = router
        self.call = call
        self.runtime = call.runtime
        self.operation = call.operation
        request = call.request
        self.model = None if request is None else request.model
        outer = call.route
        self.nested = outer is not None
        #: The sinks that also receive the events of its targets; and its own listeners.
        self.sinks = router.events.following
        self.events = router.events
        if outer is None:
            self.routing = Routing(router.strategy)
            self.routing.earlier = call.earlier
        else:
            self.routing, self.path = outer.routing, outer.path
            if outer.sinks:
                self.sinks = (*self.sinks, *outer.sinks)
                self.events = router.events.joined(outer.sinks)
        self.streamed = call.operation == "stream"
        model = self.model
        self.serving = serving = router.serving(model)
        if serving is not router.all:
            self.models = {id(target): model for target, model in serving if model is not None}
        self.asked: set[int] = set()
        self.errors: list[ProviderKitError] = []
        self.facts = self._facts()
        #: The targets that can answer it.
        self.candidates: Sequence[RouteTarget] = ()

    def _facts(self) -> RouteRequest:
        router, request = self.router, self.call.request
        if type(request) is not ChatRequest:
            return RouteRequest(self.operation, self.model or "")
        key = None if router.sticky is None else router.sticky(request)
        if key is None and not router.needs_sizes and request.model == router.name:
            return router.streamed_call if self.streamed else router.whole_call
        facts = RouteRequest(self.operation, request.model, key, 0.0, 0.0, self.streamed)
        if router.needs_sizes:
            facts.input_tokens = input_size(request)
            facts.output_tokens = float(request.max_tokens or 0)
            self.size = size_class(facts.input_tokens)
        return facts

    # -------------------------------------------------------------------------------------------- for events

    async def emit(self, kind: type[Event], message: str, **fields: Any) -> None:
        """Pass an event to the listeners of the router."""
        await self.events.emit(self, kind, message, **fields)

    # -------------------------------------------------------------------------------------------- candidates

    def order_of(self, targets: Sequence[RouteTarget], now: float, *, dry_run: bool = False) -> Iterator[RouteTarget]:
        """Those targets that are ready, in the order in which they are to be asked.

        Args:
            targets: The targets.
            now: The clock.
            dry_run: Whether the targets are only listed, not asked, so that no turn is used up.
        """
        router = self.router
        candidates = None if targets is router.targets else [target.state for target in targets]
        order = order_of(now, self.facts, router.state, router.order, candidates, dry_run)
        return map(router.by_index.__getitem__, map(_index, order))
