"""One target of a router: a client with a model, or another router."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import define, field

from provider_kit.catalog.directory import ModelDirectory
from provider_kit.dialects.file_rules import check_files
from provider_kit.engine.call import Call
from provider_kit.engine.cost_estimate import estimate_cost
from provider_kit.engine.endpoint import Endpoint
from provider_kit.engine.engine import Engine
from provider_kit.engine.handler import Handler
from provider_kit.engine.window import too_long
from provider_kit.errors import InvalidRequestError, ProviderKitError
from provider_kit.model.chat import ChatRequest
from provider_kit.model.config import OnUnsupported, Timeout
from provider_kit.model.estimates import CostEstimate
from provider_kit.model.messages import Message
from provider_kit.model.models import EmbeddingRequest, Model
from provider_kit.model.routing import TargetStatus
from provider_kit.model.usage import Usage
from provider_kit.policies.routing.state import TargetState
from provider_kit.routing.requests import applied

__all__ = ["RouteTarget"]

#: Tokens for which a price is looked up.
_SAMPLE = 1_000_000


@define(eq=False)
class RouteTarget:
    """A target, as a router sees it."""

    state: TargetState
    handler: Handler
    #: The model it asks; ``None`` for a router.
    model: str | None
    #: The engine of its client; ``None`` for a router.
    engine: Engine | None = None
    #: The handler of its router; ``None`` for a client.
    group: Any = None
    #: Its name for its provider.
    provider: str = ""
    #: Fields for requests that do not set them, and its system prompt.
    defaults: tuple[tuple[str, Any], ...] = ()
    system: Message | None = None
    #: Seconds for a whole call, where its client limits them.
    total: float | None = None
    #: The timeouts of its router, where that sets any.
    timeout: Timeout | None = None
    #: What its client does about parameters a model does not accept, and whether it may use a response cache.
    on_unsupported: OnUnsupported | None = None
    cached: bool = True
    #: Whether its answers can be continued by their ids.
    continues: bool = False
    #: The targets of its router.
    members: Sequence[RouteTarget] = field(factory=tuple)

    @property
    def leaves(self) -> list[RouteTarget]:
        """The targets that are clients: itself, or those of its router."""
        return [self] if self.engine is not None else [leaf for one in self.members for leaf in one.leaves]

    @property
    def name(self) -> str:
        """Its name in the router."""
        return self.state.name

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint of its client."""
        assert self.engine is not None  # asked of clients only
        return self.engine.parts.endpoint

    @property
    def directory(self) -> ModelDirectory:
        """What its client knows of models."""
        return self.endpoint.directory

    # -------------------------------------------------------------------------------------------- requests

    def request_for(self, call: Call, model: str | None) -> Any:
        """The request of a call, for this target.

        Args:
            call: The call.
            model: A model that was asked for by name, in place of its own.
        """
        request = call.request
        name = model or self.model
        if name is None:
            return request
        if type(request) is ChatRequest:
            if not self.defaults and self.system is None:
                return request.for_model(name)
            return applied(request, name, self.defaults, self.system)
        if isinstance(request, EmbeddingRequest):
            return EmbeddingRequest(request.texts, name, request.dimensions, request.extra_body)
        return request

    def unfit(self, request: ChatRequest, needs: tuple[str, ...], model: str | None) -> str | None:
        """Why it cannot answer a request; ``None`` if it can, as far as is known."""
        if self.engine is None:
            reasons = [one.unfit(request, needs, None) for one in self.members]
            return None if not all(reasons) else reasons[0]
        name = model or self.model or ""
        if needs:
            known = self.directory.find(name)
            for feature in needs:
                if known is not None and known.features.get(feature) is False:
                    return f"{name} has no {feature}"
            try:
                check_files(request.messages, self.endpoint.provider.files, self.endpoint.provider.name, self.provider)
            except InvalidRequestError as error:
                return error.message.rstrip(".")
        if request.model != name:
            request = request.replace(model=name)
        found = too_long(request, self.endpoint, self.endpoint.dialect_for(name).name)
        if found is not None:
            return f"the conversation has about {found[0]:,} tokens, and {name} holds {found[1]:,}"
        return None

    def outlook(self, call: Call, now: float) -> float:
        """Seconds a call would wait here for limits, keys and the circuit; infinity if it would be refused."""
        engine = self.engine
        if engine is not None:
            try:
                return 0.0 if engine.parts.admission.is_idle(now) else engine.outlook(call, now, self.model)
            except ProviderKitError:
                return 0.0  # it has no key; the call itself tells so
        waits = [one.outlook(call, now) for one in self.members]
        return min(waits, default=0.0)

    # -------------------------------------------------------------------------------------------- facts

    def estimates(self, request: ChatRequest, model: str | None) -> list[CostEstimate]:
        """What a request will cost here, or at each target of its router."""
        if self.engine is None:
            return [found for one in self.members for found in one.estimates(request, None)]
        name = model or self.model or ""
        return [estimate_cost(request.for_model(name), self.directory, self.endpoint.dialect_for(name).name)]

    def info(self, model: str | None = None) -> list[Model]:
        """What is known of its model, or of those of all targets of its router."""
        if self.engine is None:
            return [found for one in self.members for found in one.info()]
        return [self.directory.info(model or self.model or "")]

    def look_up_prices(self) -> bool:
        """Look up what its tokens cost; return whether that is known."""
        if self.engine is None:
            known = [one.state.prices for one in self.members if one.look_up_prices()]
            prices = [found for found in known if found is not None]
            self.state.prices = min(prices, default=None)
            return bool(prices)
        names = (self.model,)
        cost_in = self.directory.cost_of(Usage(_SAMPLE, 0), names, None)
        cost_out = self.directory.cost_of(Usage(0, _SAMPLE), names, None)
        if cost_in is None or cost_out is None:
            return False
        self.state.prices = float(cost_in) / _SAMPLE, float(cost_out) / _SAMPLE
        return True

    def read_headroom(self, now: float) -> None:
        """Read what is left of its quota."""
        if self.engine is not None:
            self.state.headroom = self.engine.parts.admission.header_limits.headroom(self.model or "", now)
        else:
            for one in self.members:
                one.read_headroom(now)
            self.state.headroom = max((one.state.headroom for one in self.members), default=1.0)

    def status(self, now: float, time: float) -> TargetStatus:
        """Its state, for people."""
        state = self.state
        cooling = state.until > now
        waits = cooling or bool(state.ramp)
        known = self.engine is not None and bool(self.engine.parts.admission.header_limits.known)
        if known:
            self.read_headroom(now)
        return TargetStatus(
            name=state.name,
            state="cooling" if cooling else "returning" if state.ramp else "ready",
            reason=state.reason if waits else "",
            since=time - (now - state.since) if waits else None,
            until=time + (state.until - now) if cooling else None,
            weight=state.weight,
            priority=state.priority,
            in_flight=state.in_flight,
            requests=state.requests,
            failures=state.failures,
            error_share=state.errors,
            first_token=state.first_token or None,
            headroom=state.headroom if known else None,
            targets=tuple(one.status(now, time) for one in self.members),
        )
