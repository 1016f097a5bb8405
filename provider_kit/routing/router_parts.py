"""What all calls of a router share: its targets, their state, its strategy, models and rules."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from provider_kit.engine.events import EventBus
from provider_kit.errors import InvalidRequestError
from provider_kit.model.cancellation import CancelToken
from provider_kit.model.chat import ChatRequest
from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.model.estimates import CostEstimate
from provider_kit.model.models import Model
from provider_kit.observability.event_log import logs_everything
from provider_kit.policies.routing.hedging import Hedge, HedgeBudget
from provider_kit.policies.routing.plan import why
from provider_kit.policies.routing.racing import Race
from provider_kit.policies.routing.state import RouteRequest, RouterState
from provider_kit.policies.routing.strategies import STRATEGIES, Strategy, cheapest, headroom, strategy_name
from provider_kit.routing.fallback_rule import FallbackRule
from provider_kit.routing.shared import SharedRouting
from provider_kit.routing.targets import RouteTarget
from provider_kit.transports.base import Begun

__all__ = ["RouterParts"]

_LOG = logging.getLogger("provider_kit.routing")
#: Answers whose target is remembered, for requests that continue them.
_MOST_ANSWERS = 2000


class RouterParts:
    """The parts of one router.

    Args:
        name: Name of the router, which is also the model that stands for all targets.
        targets: Its targets.
        strategy: A strategy, or one of those that ask several targets at once.
        aliases: Further models: the targets that stand for them, each with the model to ask it for, if not its own.
        rule: Which failures and answers are left for another target.
        events: The event bus.
        state: The state of the targets.
        wait: Seconds to wait for a target to return, if none is ready.
        sticky: Returns the key of a call, whose calls stay with one target; ``None`` for none.
        min_rate: The fewest characters per second of a stream before its first content is delivered.
        shared: Cool-downs that other processes share.
    """

    def __init__(
        self,
        name: str,
        targets: Sequence[RouteTarget],
        strategy: Strategy | Hedge | Race,
        *,
        aliases: Mapping[str, Sequence[tuple[RouteTarget, str | None]]],
        rule: FallbackRule,
        events: EventBus,
        state: RouterState,
        wait: float,
        sticky: Callable[[Any], str | None] | None,
        min_rate: float | None,
        shared: SharedRouting | None,
    ) -> None:
        self.name = name
        self.targets = list(targets)
        #: All of them, as a model is served by them; and by the numbers of their states.
        self.all = [(target, None) for target in self.targets]
        self.by_index = {target.state.index: target for target in targets}
        self.hedge = strategy if isinstance(strategy, Hedge) else None
        self.race = strategy if isinstance(strategy, Race) else None
        order: Any = strategy if self.hedge is None else self.hedge.strategy
        order = STRATEGIES["fallback"] if self.race is not None else order
        self.order: Strategy = STRATEGIES[order] if isinstance(order, str) else order
        self.order_name = strategy_name(self.order)
        #: Why the first target is chosen, where no key decides.
        self.reason = why(RouteRequest(), self.order_name)
        self.strategy = "hedge" if self.hedge else "race" if self.race else self.order_name
        self.aliases = dict(aliases)
        self.rule = rule
        self.events = events
        self.state = state
        self.wait = wait
        self.sticky = sticky
        self.min_rate = min_rate
        self.shared = shared
        self.budget = None if self.hedge is None else HedgeBudget(self.hedge)
        #: Whether strategies are told the sizes of requests.
        self.needs_sizes = self.hedge is not None or self.order not in tuple(STRATEGIES.values()) or self._is(cheapest)
        self.reads_headroom = self._is(headroom)
        #: Whether several targets may be asked at once.
        self.asks_several = self.race is not None or self.hedge is not None
        #: What strategies are told of most calls.
        self.whole_call = RouteRequest("chat", name)
        self.streamed_call = RouteRequest("stream", name, streamed=True)
        #: Whether every answer is accepted as it comes.
        self.takes_all = min_rate is None and not rule.judges_answers
        self.prices_known = not self._is(cheapest)
        #: Name of the target of each answer, by the id of the answer.
        self.answers: OrderedDict[str, str] = OrderedDict()
        #: What runs in the background: answers that are read for their usage.
        self.background: list[tuple[Begun, CancelToken]] = []

    def _is(self, strategy: Strategy) -> bool:
        return self.order is strategy

    @property
    def observed(self) -> bool:
        """Whether there are listeners for all events."""
        return self.events.observed or logs_everything()

    def look_up_prices(self) -> None:
        """Look up what the targets cost; those of which that is unknown are told once."""
        self.prices_known = True
        unknown = [target.name for target in self.targets if not target.look_up_prices()]
        if unknown:
            _LOG.warning(
                "The prices of %s are unknown; they are asked last. Client(…, model_overrides={…}) sets prices.",
                ", ".join(unknown),
            )

    # -------------------------------------------------------------------------------------------- models

    def serving(self, model: str | None) -> Sequence[tuple[RouteTarget, str | None]]:
        """The targets that serve a model, each with the model to ask it for, if not its own.

        Raises:
            InvalidRequestError: None does.
        """
        if model is None or model == self.name:
            return self.all
        found = self.aliases.get(model)
        if found is not None:
            return found
        exact = [(target, None) for target in self.targets if model in (target.model, target.name)]
        if exact:
            return exact
        inner = [(target, model) for target in self.targets if target.engine is None and target.group.serves(model)]
        if inner:
            return inner
        known = [(t, model) for t in self.targets if t.engine is not None and t.directory.find(model) is not None]
        if known:
            return known
        names = self.names()
        raise InvalidRequestError(
            f"No target of the router serves {model!r}.",
            hint=f"{did_you_mean(model, names)}It serves {', '.join(names)}.",
        )

    def serves(self, model: str) -> bool:
        """Whether a target serves a model."""
        try:
            return bool(self.serving(model))
        except InvalidRequestError:
            return False

    def names(self) -> list[str]:
        """What may be asked for as a model."""
        models = [target.model for target in self.targets if target.model is not None]
        return list(dict.fromkeys([self.name, *self.aliases, *models]))

    def info(self, name: str) -> Model:
        """What is known of a model: what every target that serves it can do."""
        found = [known for target, model in self.serving(name) for known in target.info(model)]
        if len(found) == 1 and found[0].id == name:
            return found[0]
        windows = [one.context_window for one in found if one.context_window is not None]
        answers = [one.max_output_tokens for one in found if one.max_output_tokens is not None]
        features = {
            feature: all(one.features.get(feature) for one in found)
            for feature in {feature for one in found for feature in one.features}
            if all(feature in one.features for one in found)
        }
        return Model(
            name,
            self.name,
            context_window=min(windows, default=None),
            max_output_tokens=min(answers, default=None),
            features=features,
        )

    def estimate(self, request: ChatRequest) -> CostEstimate:
        """What a request will cost, at the target where that is the most."""
        found = [one for target, model in self.serving(request.model) for one in target.estimates(request, model)]
        return max(found, key=lambda one: (one.high is None, one.high or 0))

    # -------------------------------------------------------------------------------------------- answers

    def note_answer(self, answer: str, target: str) -> None:
        """Remember which target gave an answer."""
        self.answers[answer] = target
        if len(self.answers) > _MOST_ANSWERS:
            self.answers.popitem(last=False)

    def keep(self, begun: Begun, token: CancelToken) -> None:
        """Keep what runs in the background, so that closing the router ends it."""
        self.background = [one for one in self.background if not one[0].done]
        self.background.append((begun, token))

    def close(self) -> None:
        """End what runs in the background, in whatever thread or loop."""
        for _, token in self.background:
            token.cancel()

    async def aclose(self) -> None:
        """End what runs in the background, and wait for its end where that is in this loop."""
        self.close()
        while self.background:
            await self.background.pop()[0].aclose()
