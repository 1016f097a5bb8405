"""Turns the targets that users write into what a router asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field

from provider_kit.client.client import Client
from provider_kit.client.target import Target
from provider_kit.errors import ConfigError, InvalidRequestError
from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.model.inputs import CALL_OPTIONS, build_request
from provider_kit.policies.routing.hedging import Hedge
from provider_kit.policies.routing.histogram import LatencyHistogram
from provider_kit.policies.routing.state import TargetState
from provider_kit.routing.requests import fields_given
from provider_kit.routing.targets import RouteTarget
from provider_kit.wire.redaction import redact

__all__ = ["TargetBuilder"]


@define
class TargetBuilder:
    """Turns what a user gave into targets of one router.

    Args:
        strategy: The strategy of the router.
        store: The store that the clients it creates share.
    """

    strategy: Any
    store: Any = None
    #: The clients that were created here, by provider; they are closed with the router.
    made: dict[str, Client] = field(factory=dict)
    _names: set[str] = field(factory=set)

    def build(self, given: Any) -> list[RouteTarget]:
        """The targets.

        Raises:
            ConfigError: There are none, or one of them is wrong or given twice.
        """
        if isinstance(given, (str, Client, Target)) or not isinstance(given, Sequence):
            raise ConfigError(
                f"The targets must be a list, not {type(given).__name__}.",
                hint="Router(['openai/gpt-5-mini', 'anthropic/claude-haiku-4-5']).",
            )
        if not given:
            raise ConfigError("A router needs at least one target.", hint="Router(['openai/gpt-5-mini', …]).")
        targets = [one if isinstance(one, Target) else Target(one) for one in given]
        self._check_distinct(targets)
        if not any(one.weight > 0 for one in targets):
            raise ConfigError("All weights are 0.", hint="Give at least one target a weight above 0.")
        return [self._make(one) for one in targets]

    @staticmethod
    def _check_distinct(targets: Sequence[Target]) -> None:
        seen: list[tuple[Any, str | None]] = []
        for one in targets:
            place = (f"{one.target}/{one.model}", None) if _named(one) else (one.target, one.model)
            if any(place[1] == other[1] and _same(place[0], other[0]) for other in seen):
                shown = redact(one.target) if isinstance(one.target, str) else repr(one.target)
                raise ConfigError(
                    f"The target {shown} is given twice.",
                    hint="To ask it more often, give it a weight: Target('openai/gpt-5-mini', weight=2).",
                )
            seen.append(place)

    def _make(self, given: Target) -> RouteTarget:
        target = given.target
        if isinstance(target, str):
            target = self._client(target, given.model)
        if isinstance(target, Client):
            return self._of_client(given, target)
        return self._of_router(given, target)

    def _client(self, name: str, model: str | None) -> Client:
        """A client; those of one provider share its keys and connections."""
        if "://" in name:
            return self.made.setdefault(name, Client(name, model=model, store=self.store))
        head, _, rest = name.partition("/")
        first = self.made.get(head)
        if first is not None and (model or rest):
            return first.with_options(model=model or rest)
        client = Client(name, model=model, store=self.store)
        return self.made.setdefault(head, client)

    def _of_client(self, given: Target, client: Client) -> RouteTarget:
        changes = dict(given.defaults or {})
        if given.model is not None:
            changes["model"] = given.model
        if changes:
            client = client.with_options(**changes)
        model = client.model
        if model is None:
            raise ConfigError(
                f"The target {client.provider} has no model.",
                hint=f"Target({client.provider!r}, model='…'), or {client.provider}/model.",
            )
        defaults = {name: value for name, value in client._defaults.items() if name not in CALL_OPTIONS}
        usual = _usual_request(model, defaults)
        system = usual.messages[0] if usual.messages[0].role == "system" else None
        calls = client._defaults
        return RouteTarget(
            self._state(given, f"{client.provider}/{model}"),
            client.handler,
            model,
            client._engine,
            None,
            client.provider,
            fields_given(usual),
            system,
            client._total,
            None,
            calls.get("on_unsupported"),
            calls.get("response_cache") is not False,
            client._engine.parts.endpoint.dialect_for(model).keeps_answers,
        )

    def _of_router(self, given: Target, router: Any) -> RouteTarget:
        if given.defaults:
            raise ConfigError(
                "A router inside a router has no defaults of its own.", hint="Give them to its targets, or to itself."
            )
        handler = router.inner_handler
        model = given.model or router._model or router.name
        if not handler.serves(model):
            names = handler.names()
            raise ConfigError(
                f"No target of {router.name} serves {model!r}.",
                hint=f"{did_you_mean(model, names)}It serves {', '.join(names)}.",
            )
        calls = router._defaults
        usual = _usual_request(model, {name: value for name, value in calls.items() if name not in CALL_OPTIONS})
        return RouteTarget(
            self._state(given, router.name),
            router.handler,
            model,
            None,
            handler,
            router.name,
            fields_given(usual),
            usual.messages[0] if usual.messages[0].role == "system" else None,
            router._total,
            router._timeout,
            calls.get("on_unsupported"),
            calls.get("response_cache") is not False,
            continues=True,
            members=handler.targets,
        )

    def _state(self, given: Target, label: str) -> TargetState:
        name = given.name or label
        number = 2
        while name in self._names:
            if given.name is not None:
                raise ConfigError(f"Two targets have the name {name!r}.", hint="Give each a distinct name.")
            name = f"{label}#{number}"
            number += 1
        self._names.add(name)
        histogram = LatencyHistogram() if isinstance(self.strategy, Hedge) else None
        return TargetState(name, float(given.weight), given.priority, histogram=histogram)


def _named(target: Target) -> bool:
    """Whether a target is named by provider and model apart."""
    return isinstance(target.target, str) and target.model is not None and "/" not in target.target


def _same(one: Any, other: Any) -> bool:
    return one == other if isinstance(one, str) else one is other


def _usual_request(model: str, defaults: Mapping[str, Any]) -> Any:
    try:
        return build_request("Hello", {}, default_model=model, defaults=defaults)
    except InvalidRequestError as error:
        raise ConfigError(f"A default of a target cannot be used: {error.message}", hint=error.hint) from None
