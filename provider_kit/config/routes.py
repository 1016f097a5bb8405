"""The block ``routing:`` of a file: named choices among its providers, checked with their lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Literal, TypeAlias

from attrs import field, frozen

from provider_kit.config.document import Item
from provider_kit.config.reader import MISSING, Reader, in_yaml
from provider_kit.engine.client_arguments import check_defaults
from provider_kit.errors import ConfigError
from provider_kit.model.config import CircuitBreakerConfig
from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.policies.failure_rules import errors_by_name
from provider_kit.policies.routing.hedging import Hedge
from provider_kit.policies.routing.racing import Race
from provider_kit.stores.base import ADDRESSES
from provider_kit.wire.redaction import redact

__all__ = ["RouteMember", "RoutingConfig", "read_routes"]

_WORDS = ("refusal", "invalid_output")
#: A strategy by its name in a file.
StrategyName: TypeAlias = Literal[
    "fallback",
    "round_robin",
    "random",
    "weighted",
    "least_busy",
    "latency",
    "headroom",
    "cheapest",
    "hedge",
    "racing",
]


@frozen(kw_only=True)
class RouteMember:
    """One member of a route, where more is to be said of it than its name; or a group of members."""

    #: Name of a provider of this file, followed by a slash and a model if not its default one; or of another route.
    provider: str | None = None
    #: Its model.
    model: str | None = None
    #: Its share among the members of its priority; 0: only when nothing else is left.
    weight: float = 1.0
    #: Members of a higher number are asked only when none of a lower number can answer.
    priority: int = 0
    #: Arguments for every call to it, e.g. temperature.
    defaults: Mapping[str, Any] = field(factory=dict)
    #: Its name in reports.
    name: str | None = None
    #: The members of a group, in place of a provider.
    providers: tuple[str | RouteMember, ...] = ()
    #: The strategy of a group.
    strategy: StrategyName = "fallback"
    #: For the strategy hedge: when a second provider is asked.
    hedge: Hedge | None = None
    #: For the strategy racing: which answer is taken.
    race: Race | None = None


@frozen(kw_only=True)
class RoutingConfig:
    """A named choice among several providers, and their order."""

    #: Names of providers of this file, followed by a slash and a model if not their default one; or of other routes; or
    #: mappings with weight, priority and defaults; or groups with providers of their own.
    providers: tuple[str | RouteMember, ...]
    #: fallback, round_robin, random, weighted, least_busy, latency, headroom, cheapest, hedge or racing.
    strategy: StrategyName = "fallback"
    #: Share of each provider, by its name.
    weights: Mapping[str, float] = field(factory=dict)
    #: Further names for models: each stands for some of the providers.
    aliases: Mapping[str, tuple[str, ...]] = field(factory=dict)
    #: What is left for another provider: names of errors, refusal, invalid_output; default: the usual rules.
    fallback_on: tuple[str, ...] | None = None
    #: Seconds to wait for the first provider to return, if all are out; true: as long as the call may take.
    wait: float | bool = False
    #: Whether calls with the same cache_key, or user, stay with one provider.
    sticky: bool | Literal["user"] | None = None
    #: The fewest characters per second of a stream.
    min_rate: float | None = None
    #: When a provider that keeps failing is not asked for a while.
    circuit_breaker: bool | CircuitBreakerConfig = True
    #: Address of a Redis server, to share with other processes which providers are out.
    store: str | None = None
    #: Seconds, as for a provider.
    timeout: float | None = None
    #: Seconds for a whole call, all providers included.
    total_timeout: float | None = None
    #: For the strategy hedge: when a second provider is asked.
    hedge: Hedge | None = None
    #: For the strategy racing: which answer is taken.
    race: Race | None = None
    #: A comment.
    description: str | None = None


def members_of(route: RoutingConfig | RouteMember) -> Iterator[RouteMember]:
    """The members of a route or group, each as a mapping."""
    for one in route.providers:
        yield RouteMember(provider=one) if isinstance(one, str) else one


# ------------------------------------------------------------------------------------------------ reading


#: Checks the name of a provider at its place, and reports it if it is none.
CheckName = Callable[[str, Item, str], bool]


def read_routes(
    routing: Item, providers: Collection[str], reader: Reader, check_name: CheckName
) -> dict[str, RoutingConfig]:
    """Read the block.

    Args:
        routing: The block.
        providers: The names that providers have.
        reader: The reading.
        check_name: Checks the name of a provider.
    """
    made: dict[str, RoutingConfig] = {}
    if routing.value is None:
        return made
    if not isinstance(routing.value, dict):
        reader.tell(routing, "routing", "routing must be a mapping of names.", "Write 'careful:' below it.")
        return made
    names = [name for name in routing.value if not name.startswith("x-")]
    for name in names:
        item = routing.value[name]
        path = f"routing.{redact(name[:60])}"
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name):
            text = f"{redact(name[:60])!r} is not a valid name for a route."
            reader.tell(item, "routing", text, "Use letters, digits, '_', '.' and '-'.", key=True)
            continue
        if name in providers:
            reader.tell(item, path, f"There is a provider {name!r} already.", "Choose another name.", key=True)
            continue
        if not isinstance(item.value, dict):
            reader.tell(item, path, "A route must be a mapping.", "Write providers: [openai, anthropic] below it.")
            continue
        if not reader.check_bounded(item, path):
            continue
        found = reader.read_class(item, RoutingConfig, path)
        good = _check_members(item, path, reader, names, check_name)
        if found is MISSING:
            continue
        if not found.providers:
            reader.tell(item, path, "A route needs providers.", "Write providers: [openai, anthropic].")
            continue
        checked = [check(found, item, path, reader) for check in _CHECKS]  # each reports all that it finds
        if good and all(checked):
            made[name] = found
    _check_cycles(routing, made, reader)
    for name, route in made.items():
        _check_routes_in(route, routing.value[name], f"routing.{name}", names, reader)
    return made


def _check_members(item: Item, path: str, reader: Reader, routes: list[str], check_name: CheckName) -> bool:
    """Check the names of the members of a route or group."""
    listed = item.value.get("providers")
    if listed is None or not isinstance(listed.value, list):
        return False
    good, seen = True, set[str]()
    for number, member in enumerate(listed.value):
        place = f"{path}.providers[{number}]"
        name, at = member.value, member
        if isinstance(name, dict):
            inner, at = name.get("provider"), name.get("provider") or member
            if name.get("providers") is not None:
                if inner is not None:
                    text = "A member is a provider or a group, not both."
                    reader.tell(member, place, text, "Remove provider, or providers.", key=True)
                    good = False
                if name["providers"].value == []:
                    reader.tell(member, place, "A group needs providers.", "Write providers: [openai, anthropic].")
                    good = False
                good = _check_members(member, place, reader, routes, check_name) and good
                continue
            if inner is None:
                reader.tell(member, place, "A member needs a provider.", "Write provider: openai.", key=True)
                good = False
                continue
            name = inner.value
            model = name_of(member.value.get("model"))
            shown = f"{name}/{model}" if model else name
        else:
            shown = name
        if not isinstance(name, str):
            continue  # its kind is reported already
        if shown in seen:
            text = f"{redact(shown[:60])} is in this route twice."
            reader.tell(at, place, text, "To ask it more often, give it a weight.")
            good = False
        seen.add(str(shown))
        if name not in routes and not check_name(name, at, place):
            good = False
    return good


def _check_routes_in(
    route: RoutingConfig | RouteMember, item: Item, path: str, routes: list[str], reader: Reader
) -> None:
    """A route inside a route has settings of its own."""
    for number, member in enumerate(route.providers):
        if isinstance(member, str):
            continue
        place, where = item.value["providers"].value[number], f"{path}.providers[{number}]"
        if member.provider in routes and member.defaults:
            text = "A route inside a route has no defaults of its own."
            reader.tell(place.value["defaults"], f"{where}.defaults", text, "Give them to its providers.", key=True)
        _check_routes_in(member, place, where, routes, reader)


def name_of(item: Item | None) -> str | None:
    """The text of a value, where it is one."""
    return item.value if item is not None and isinstance(item.value, str) else None


def _check_weights(route: RoutingConfig, item: Item, path: str, reader: Reader) -> bool:
    good = True
    names = [one.provider for one in members_of(route) if one.provider]
    for name, weight in route.weights.items():
        place = item.value["weights"].value[name]
        if name not in names:
            remedy = did_you_mean(name, names).strip() or f"There are: {', '.join(names)}."
            reader.tell(place, f"{path}.weights", f"{redact(name[:60])!r} is not in this route.", remedy, key=True)
            good = False
        elif not 0 <= weight < float("inf"):
            text = "A weight must not be negative." if weight < 0 else "A weight must be a number."
            reader.tell(place, f"{path}.weights.{name}", text, "Write a number above 0; 0: only as the last resort.")
            good = False
    weights = [route.weights.get(one.provider or "", one.weight) for one in members_of(route)]
    if good and not any(weight > 0 for weight in weights):
        reader.tell(item, path, "All weights are 0.", "Give at least one a weight above 0.", key=True)
        good = False
    return good


def _check_words(route: RoutingConfig, item: Item, path: str, reader: Reader) -> bool:
    good = True
    known = (*_WORDS, *errors_by_name())
    for number, word in enumerate(route.fallback_on or ()):
        if word not in known:
            place = item.value["fallback_on"].value[number]
            text = f"There is no error {redact(word[:60])!r}."
            remedy = did_you_mean(word, known).strip() or "Write names such as RateLimitError, or refusal."
            reader.tell(place, f"{path}.fallback_on[{number}]", text, remedy)
            good = False
    members = [one.provider for one in members_of(route)] + [one.name for one in members_of(route)]
    for alias, meant in route.aliases.items():
        for name in meant:
            if name not in members:
                place = item.value["aliases"].value[alias]
                names = [one for one in members if one]
                remedy = did_you_mean(name, names).strip() or f"There are: {', '.join(names)}."
                reader.tell(place, f"{path}.aliases.{alias}", f"{name!r} is not in this route.", remedy, key=True)
                good = False
    return good


def _check_numbers(route: RoutingConfig, item: Item, path: str, reader: Reader) -> bool:
    good = True
    if not isinstance(route.wait, bool) and not route.wait >= 0:
        text, remedy = "wait must be seconds, true or false.", "Write wait: 30, or remove the line."
        reader.tell(item.value["wait"], f"{path}.wait", text, remedy)
        good = False
    if route.min_rate is not None and not 0 < route.min_rate < float("inf"):
        text, remedy = "min_rate must be characters per second.", "Write min_rate: 20, or remove the line."
        reader.tell(item.value["min_rate"], f"{path}.min_rate", text, remedy)
        good = False
    for name in ("timeout", "total_timeout"):
        seconds = getattr(route, name)
        if seconds is not None and not seconds > 0:
            reader.tell(item.value[name], f"{path}.{name}", f"{name} must be seconds above 0.", f"Write {name}: 60.")
            good = False
    if route.store is not None and not route.store.startswith(ADDRESSES):
        text, remedy = "No store is known at this address.", "Write store: redis://localhost:6379/0."
        reader.tell(item.value["store"], f"{path}.store", text, remedy)
        good = False
    if path.removeprefix("routing.") in route.aliases:
        text, remedy = "An alias has the name of its route.", "Choose another name."
        reader.tell(item.value["aliases"], f"{path}.aliases", text, remedy, key=True)
        good = False
    return good


def _check_members_settings(route: RoutingConfig | RouteMember, item: Item, path: str, reader: Reader) -> bool:
    """Check the strategy of a route or group, and the default arguments of its members."""
    good = True
    for name, strategy in (("hedge", "hedge"), ("race", "racing")):
        if getattr(route, name) is not None and route.strategy != strategy:
            text = f"{name} belongs to strategy: {strategy}."
            reader.tell(
                item.value[name], f"{path}.{name}", text, f"Write strategy: {strategy}, or remove it.", key=True
            )
            good = False
    for number, member in enumerate(route.providers):
        if isinstance(member, str):
            continue
        place, where = item.value["providers"].value[number], f"{path}.providers[{number}]"
        try:
            check_defaults(member.defaults)
        except ConfigError as error:
            reader.tell(
                place.value["defaults"],
                f"{where}.defaults",
                in_yaml(error.message),
                in_yaml(error.hint or "Correct it."),
            )
            good = False
        if not 0 <= member.weight < float("inf"):
            told = place.value.get("weight", place)
            reader.tell(told, f"{where}.weight", "A weight must not be negative.", "Write 1.")
            good = False
        if member.name is not None and sum(other.name == member.name for other in members_of(route)) > 1:
            text = f"Two members have the name {redact(member.name[:60])!r}."
            reader.tell(place.value["name"], f"{where}.name", text, "Give each a distinct name.")
            good = False
        if member.providers:
            good = _check_members_settings(member, place, where, reader) and good
    return good


_CHECKS = (_check_weights, _check_words, _check_numbers, _check_members_settings)


def _check_cycles(routing: Item, made: Mapping[str, RoutingConfig], reader: Reader) -> None:
    """A route must not contain itself, directly or through others."""
    for name in made:
        way = _way_back(name, name, made, ())
        if way is not None:
            shown = " > ".join((name, *way))
            reader.tell(
                routing.value[name], f"routing.{name}", f"The route contains itself: {shown}.", "Remove one.", key=True
            )


def _way_back(
    start: str, name: str, routes: Mapping[str, RoutingConfig], seen: tuple[str, ...]
) -> tuple[str, ...] | None:
    """The names from a route back to ``start``, ``None`` if there is no such way."""
    for one in _names_in(routes[name]):
        if one == start:
            return (*seen, one)
        if one in routes and one not in seen:
            found = _way_back(start, one, routes, (*seen, one))
            if found is not None:
                return found
    return None


def _names_in(route: RoutingConfig | RouteMember) -> Iterator[str]:
    for member in members_of(route):
        if member.provider is not None:
            yield member.provider
        yield from _names_in(member)


def strategy_of(route: RoutingConfig | RouteMember) -> str | Hedge | Race:
    """The strategy of a route or group."""
    if route.strategy == "hedge":
        return route.hedge or Hedge()
    if route.strategy == "racing":
        return route.race or Race()
    return route.strategy
