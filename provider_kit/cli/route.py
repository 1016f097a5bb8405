"""``provider-kit route``: who would be asked and why; and what each strategy would make of many calls."""

from __future__ import annotations

import math
import os
import random
import re
from collections.abc import Sequence
from typing import Any

from attrs import evolve

from provider_kit.cli.tables import print_table
from provider_kit.cli.target import open_model
from provider_kit.cli.terminal_text import say, say_json
from provider_kit.client.collection import Clients
from provider_kit.client.router import Router
from provider_kit.config.loader import open_configuration
from provider_kit.errors import ConfigError
from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.policies.routing.hedging import Hedge
from provider_kit.policies.routing.racing import Race
from provider_kit.policies.routing.state import TargetState
from provider_kit.policies.routing.strategies import STRATEGIES
from provider_kit.routing.simulate import Profile, Sample, Simulation, arrivals, profiles, read_trace, simulate
from provider_kit.routing.targets import RouteTarget

__all__ = ["run_explain_route", "run_simulate"]

_BAR = 30
_NAMES = (*STRATEGIES, "hedge", "racing")


def run_explain_route(route: str, prompt: str, model: str | None, files: tuple[str, ...], as_json: bool) -> None:
    """Print who would be asked."""
    with open_model(route, os.environ) as router:
        if not isinstance(router, Router):
            raise ConfigError(f"{route} is a provider, not a route.", hint="Routes stand in the file below routing:.")
        options: dict[str, Any] = {"model": model} if model else {}
        if files:
            options["files"] = files
        found = router.explain(prompt, **options)
    if as_json:
        rows = [{"name": one.name, "asked": one.asked, "notes": list(one.notes)} for one in found.targets]
        say_json({"strategy": found.strategy, "reason": found.reason, "targets": rows})
        return
    say(str(found))


def run_simulate(
    file: str | None,
    route: str | None,
    trace: str | None,
    calls: int,
    rate: float,
    strategies: tuple[str, ...],
    targets: tuple[str, ...],
    failures: float,
    slow: float,
    seed: int,
    as_json: bool,
) -> None:
    """Simulate a route under several strategies, and print what each made of the calls."""
    router, own = _route_of(file, route)
    states = [state for target in router.inner_handler.targets for state in _leaves(target)]
    times, samples = _what_happens(trace, states, calls, rate, targets, Profile(failures=failures, slow=slow), seed)
    wanted = _strategies(strategies, own)
    found = [simulate(states, samples, times, one, seed=seed) for one in wanted]
    if as_json:
        say_json([_row_of(one) for one in found])
        return
    say(f"{router.name}: {len(times):,} calls in {times[-1] - times[0]:,.0f} s to {len(states)} targets")
    _table(found, own)
    _plot(found)


def _route_of(file: str | None, route: str | None) -> tuple[Router, str]:
    """The router of a route, and the name of its strategy.

    Raises:
        ConfigError: There is no file, or no such route.
    """
    configuration = open_configuration(file)
    if configuration is None:
        raise ConfigError("There is no configuration file.", hint="provider-kit route simulate config.yaml")
    names = list(configuration.routing)
    if route is None and len(names) != 1:
        what = "has no route" if not names else f"has several routes: {', '.join(names)}"
        raise ConfigError(
            f"{configuration.file} {what}.", hint="Name one: --route careful." if names else "See routing:."
        )
    router = Clients(configuration).route(route or names[0])
    strategy = configuration.routing[router.name].strategy
    for target in router.inner_handler.targets:
        target.look_up_prices()
    return router, strategy


def _leaves(target: RouteTarget, path: str = "", weight: float = 1.0, priority: int = 0) -> list[TargetState]:
    """The clients below a target; those of a group share its weight."""
    state = target.state
    if target.engine is not None:
        return [_begun(state, path + state.name, state.weight * weight, priority + state.priority)]
    total = sum(one.state.weight for one in target.members) or 1.0
    found: list[TargetState] = []
    for one in target.members:
        found += _leaves(one, f"{path}{state.name} > ", state.weight * weight / total, priority + state.priority)
    return found


def _begun(state: TargetState, name: str, weight: float, priority: int) -> TargetState:
    """The beginnings of a target's state under another name."""
    return TargetState(name, weight, priority, prices=state.prices)


def _what_happens(
    trace: str | None,
    states: Sequence[TargetState],
    calls: int,
    rate: float,
    targets: tuple[str, ...],
    usual: Profile,
    seed: int,
) -> tuple[list[float], dict[str, Sample]]:
    """When calls arrive, and how each target answers."""
    names = [state.name for state in states]
    given = dict(_profile(text, names, usual) for text in targets)
    if trace is None:
        return arrivals(calls, rate, random.Random(seed)), dict(profiles(given, names, usual))  # noqa: S311  # no secret
    try:
        with open(trace, encoding="utf-8") as lines:
            times, samples = read_trace(lines, trace)
    except OSError as error:
        raise ConfigError(f"{trace} cannot be read: {error.strerror or error}.", hint="--trace calls.jsonl") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{trace} is not text in UTF-8.", hint="One JSON object in each line.") from None
    return times, {**samples, **{name: profile.sample for name, profile in given.items()}}


def _profile(text: str, names: Sequence[str], usual: Profile) -> tuple[str, Profile]:
    """``NAME=MEDIAN``, or ``NAME=MEDIAN,fail=0.1,limited=0.05,slow=0.03``.

    Raises:
        ConfigError: It is not of that form.
    """
    name, _, rest = text.partition("=")
    if name not in names:
        raise ConfigError(
            f"There is no target {name!r}.", hint=f"{did_you_mean(name, names)}There are: {', '.join(names)}."
        )
    median, *others = rest.split(",")
    meant = {"fail": "failures", "limited": "limited", "slow": "slow", "factor": "factor", "spread": "spread"}
    try:
        values = {"median": float(median)}
        for other in others:
            key, _, value = other.partition("=")
            values[meant[key.strip()]] = float(value)
    except (ValueError, KeyError):
        raise ConfigError(
            f"--target {text} is not understood.", hint="--target openai/gpt-5-mini=0.8,fail=0.02,slow=0.03"
        ) from None
    if any(not math.isfinite(value) or value < 0 for value in values.values()) or not values["median"]:
        raise ConfigError(f"--target {text} has a negative number, or none.", hint="Seconds and shares are positive.")
    return name, evolve(usual, **values)


def _strategies(given: tuple[str, ...], own: str) -> list[str | Hedge | Race]:
    names = given or tuple(
        dict.fromkeys((own, "fallback", "round_robin", "weighted", "least_busy", "latency", "cheapest", "hedge"))
    )
    for name in names:
        if name not in _NAMES:
            raise ConfigError(
                f"There is no strategy {name!r}.", hint=f"{did_you_mean(name, _NAMES)}There are: {', '.join(_NAMES)}."
            )
    kinds: dict[str, Hedge | Race] = {"hedge": Hedge(), "racing": Race()}
    return [kinds.get(name, name) for name in names]


def _row_of(one: Simulation) -> dict[str, object]:
    return {
        "strategy": one.strategy,
        "calls": one.calls,
        "availability": one.availability,
        "p50": None if not one.seconds else one.percentile(0.5),
        "p99": None if not one.seconds else one.percentile(0.99),
        "cost": one.cost,
        "cost_is_minimum": one.cost_is_minimum,
        "attempts": one.attempts,
        "extra": one.extra,
        "shares": one.shares,
    }


def _table(found: Sequence[Simulation], own: str) -> None:
    rows = []
    for one in found:
        most = sorted(one.shares.items(), key=lambda pair: -pair[1])[:3]
        shares = ", ".join(f"{re.sub(r'^.*/', '', name)} {count / max(1, one.attempts):.0%}" for name, count in most)
        rows.append(
            [
                f"{one.strategy}{' *' if one.strategy == own else ''}",
                f"{one.availability:.3%}",
                f"{one.percentile(0.5):.2f} s",
                f"{one.percentile(0.99):.2f} s",
                f"{'>' if one.cost_is_minimum else ''}${one.cost:.2f}",
                f"{one.extra / max(1, one.calls):.1%}",
                shares,
            ]
        )
    heads = ("strategy", "answered", "P50", "P99", "cost", "extra", "shares")
    print_table(heads, rows, (14, 9, 9, 9, 10, 6, 10))


def _plot(found: Sequence[Simulation]) -> None:
    """P50 and P99 of each strategy as bars."""
    longest = max((one.percentile(0.99) for one in found if one.seconds), default=0.0)
    say("")
    say("P50 ▓ and P99 ░ of the seconds to the first content")
    for one in found:
        if one.seconds and longest:
            middle = round(one.percentile(0.5) / longest * _BAR)
            end = max(middle, round(one.percentile(0.99) / longest * _BAR))
            bar = "▓" * max(1, middle) + "░" * (end - max(1, middle))
        else:
            bar = "nothing was answered"
        say(f"  {one.strategy:<12} {bar}")
