"""Simulation: the same policies on a clock of their own, over recorded or invented calls. Nothing is sent.

Calls arrive at their times; each target answers as it did at about that time in the record, or by chance. What the
policies learn from that decides, as in a program, who is asked next.
"""

from __future__ import annotations

import heapq
import json
import math
import random
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from attrs import define, evolve, field

from provider_kit.errors import ConfigError, InternalServerError
from provider_kit.model.config import CircuitBreakerConfig
from provider_kit.policies.circuit_breaker import Trial
from provider_kit.policies.failure_rules import errors_by_name, rule_for
from provider_kit.policies.routing.cooldown import cooldown_of
from provider_kit.policies.routing.hedging import Hedge, HedgeBudget, hedge_delay
from provider_kit.policies.routing.histogram import LatencyHistogram, size_class
from provider_kit.policies.routing.plan import order_of
from provider_kit.policies.routing.racing import Race
from provider_kit.policies.routing.state import RouteRequest, RouterState, TargetState
from provider_kit.policies.routing.strategies import STRATEGIES, Strategy, strategy_name

__all__ = ["Outcome", "Profile", "Simulation", "arrivals", "read_trace", "simulate"]

#: Tokens of a call where the record tells none.
_INPUT, _OUTPUT = 500.0, 300.0


class Outcome(NamedTuple):
    """How a target answers one call."""

    #: Seconds to its first content, or to its failure.
    seconds: float
    #: Name of the error's class; ``None`` if it answers.
    error: str | None = None
    #: Seconds the provider asks to wait after that.
    retry_after: float | None = None
    #: US dollars; ``None``: by the prices of the target.
    cost: float | None = None


Sample = Callable[[float, random.Random], Outcome]


@define(kw_only=True)
class Profile:
    """How an invented target behaves."""

    #: Median seconds to its first content, and their spread (sigma of a log-normal distribution).
    median: float = 0.8
    spread: float = 0.25
    #: Shares of calls that fail with a 500, that are refused with a 429, and that are slow, by which factor.
    failures: float = 0.0
    limited: float = 0.0
    slow: float = 0.0
    factor: float = 20.0

    def sample(self, time: float, chance: random.Random) -> Outcome:
        """One answer."""
        seconds = self.median
        if self.spread:
            seconds *= math.exp(self.spread * chance.gauss(0.0, 1.0))
        number = chance.random()
        if number < self.failures:
            return Outcome(seconds / 2, "InternalServerError")
        if number < self.failures + self.limited:
            return Outcome(0.05, "RateLimitError", 2.0)
        if number > 1.0 - self.slow:
            seconds *= self.factor
        return Outcome(seconds)


@define
class Simulation:
    """What one strategy made of the calls."""

    strategy: str
    calls: int = 0
    answered: int = 0
    #: Attempts in all, and those that were made beside another one.
    attempts: int = 0
    extra: int = 0
    cost: float = 0.0
    #: Whether the price of a target is unknown, so that the cost is too low.
    cost_is_minimum: bool = False
    #: Seconds to the first content of each answered call, sorted.
    seconds: list[float] = field(factory=list, repr=False)
    #: Attempts at each target.
    shares: dict[str, int] = field(factory=dict)

    @property
    def availability(self) -> float:
        """The share of calls that were answered."""
        return self.answered / self.calls if self.calls else 0.0

    def percentile(self, share: float) -> float:
        """The seconds within which this share of the answered calls began."""
        if not self.seconds:
            return math.nan
        return self.seconds[min(len(self.seconds) - 1, int(len(self.seconds) * share))]


# ------------------------------------------------------------------------------------------------ what is simulated


def read_trace(lines: Iterable[str], file: str = "the trace") -> tuple[list[float], dict[str, Sample]]:
    """The arrival times of recorded calls, and how each target answered.

    Args:
        lines: JSON objects, one in each line, as :meth:`Routing.trace` makes them: ``time``, ``target``,
            ``first_token`` or ``duration``, and ``error``, ``retry_after`` and ``cost`` where there are any.
        file: Its name, for errors.

    Raises:
        ConfigError: A line is no such object.
    """
    times: list[float] = []
    kept: dict[str, list[tuple[float, Outcome]]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            target, time = row["target"], float(row["time"])
            seconds = float(row["first_token"] if row.get("first_token") is not None else row["duration"])
            cost = None if row.get("cost") is None else float(row["cost"])
            wait = None if row.get("retry_after") is None else float(row["retry_after"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"{file}:{number}: this is no recorded call: {type(error).__name__}: {error}.",
                hint='Each line: {"time": 0.0, "target": "openai/gpt-5-mini", "first_token": 0.8, "error": null}.',
            ) from None
        if not isinstance(target, str) or not math.isfinite(time) or not 0 <= seconds < math.inf:
            raise ConfigError(f"{file}:{number}: time and first_token must be numbers, target a text.")
        if not row.get("retry"):
            times.append(time)
        kept.setdefault(target, []).append((time, Outcome(seconds, row.get("error"), wait, cost)))
    if not times:
        raise ConfigError(f"{file} has no calls.", hint="reply.routing.trace() has the rows of one call.")
    times.sort()
    first = times[0]
    return [time - first for time in times], {name: _recorded(rows, first) for name, rows in kept.items()}


def _recorded(rows: list[tuple[float, Outcome]], first: float) -> Sample:
    """A target that answers as it did at about the same time: one of the next few records."""
    rows.sort(key=lambda row: row[0])
    times = [time - first for time, _ in rows]
    outcomes = [outcome for _, outcome in rows]
    last = len(rows)

    def sample(time: float, chance: random.Random) -> Outcome:
        place = bisect_left(times, time) + int(chance.random() * 5) - 2
        return outcomes[min(max(place, 0), last - 1)]

    return sample


def arrivals(calls: int, rate: float, chance: random.Random) -> list[float]:
    """Times of calls that come at random, so many a second."""
    time, found = 0.0, []
    for _ in range(calls):
        time += chance.expovariate(rate)
        found.append(time)
    return found


# ------------------------------------------------------------------------------------------------ the simulation


@lru_cache(maxsize=1000)
def _consequence(error: str, retry_after: float | None) -> tuple[bool, float, str]:
    """Whether an error counts against the circuit, the seconds for which its target cools down, and why."""
    made = errors_by_name().get(error, InternalServerError)("")
    if retry_after is not None:
        vars(made)["retry_after"] = retry_after
    seconds, reason = cooldown_of(made)
    return rule_for(made).breaker, seconds, reason


def simulate(
    targets: Sequence[TargetState],
    samples: Mapping[str, Sample],
    times: Sequence[float],
    strategy: str | Strategy | Hedge | Race,
    *,
    circuit: CircuitBreakerConfig | None = None,
    seed: int = 1,
) -> Simulation:
    """Send calls through the policies of a router.

    Args:
        targets: Its targets; they are copied.
        samples: How each of them answers, by name.
        times: When the calls arrive, in seconds, sorted.
        strategy: The strategy.
        circuit: When a target counts as broken; default: as a router does.
        seed: For the same result each time.
    """
    run = _Run(targets, samples, strategy, circuit, seed)
    return run.all(times)


class _Run:
    def __init__(
        self, targets: Sequence[TargetState], samples: Mapping[str, Sample], strategy: Any, circuit: Any, seed: int
    ) -> None:
        missing = [target.name for target in targets if target.name not in samples]
        if missing:
            raise ConfigError(
                f"Nothing is known of how {', '.join(missing)} answers.",
                hint=f"The trace has {', '.join(samples) or 'no target'}; --target NAME=MEDIAN invents one.",
            )
        hedge = isinstance(strategy, Hedge)
        states = [
            TargetState(
                one.name, one.weight, one.priority, prices=one.prices, histogram=LatencyHistogram() if hedge else None
            )
            for one in targets
        ]
        self.state = RouterState(states, circuit or CircuitBreakerConfig(), seed)
        self.samples = [samples[one.name] for one in states]
        self.chance = random.Random(seed)  # noqa: S311  # no secret
        self.hedge = strategy if isinstance(strategy, Hedge) else None
        self.race = strategy if isinstance(strategy, Race) else None
        order: Any = self.hedge.strategy if self.hedge is not None else "fallback" if self.race else strategy
        self.order: Strategy = STRATEGIES[order] if isinstance(order, str) else order
        self.budget = None if self.hedge is None else HedgeBudget(self.hedge)
        name = "hedge" if self.hedge else "racing" if self.race else strategy_name(self.order)
        self.found = Simulation(name, shares=dict.fromkeys((one.name for one in states), 0))
        self.request = RouteRequest(input_tokens=_INPUT, output_tokens=_OUTPUT)
        self.size = size_class(_INPUT)
        self.events: list[tuple[float, int, TargetState, Trial, Outcome, float, tuple[TargetState, ...]]] = []
        self.number = 0
        #: Answers of each target that were not taken.
        self.lost = [0] * len(states)
        self.found.cost_is_minimum = any(one.prices is None for one in states)

    def all(self, times: Sequence[float]) -> Simulation:
        found, events = self.found, self.events
        start: Callable[[float], None] = self._race if self.race else self._hedged if self.hedge else self._start
        for time in times:
            while events and events[0][0] <= time:
                self._end(*heapq.heappop(events))
            start(time)
        while events:
            self._end(*heapq.heappop(events))
        found.calls = len(times)
        found.answered = len(found.seconds)
        found.seconds.sort()
        for target in self.state.targets:
            count = target.requests + self.lost[target.index]
            found.shares[target.name] = count
            found.attempts += count
        return found

    # -------------------------------------------------------------------------------------------- calls

    def _start(self, now: float) -> None:
        target = next(order_of(now, self.request, self.state, self.order), None)
        if target is None:
            target = min(self.state.targets, key=lambda one: one.until)  # the last one is never locked out
        self._put(target, now, self.samples[target.index](now, self.chance), now, ())

    def _put(
        self, target: TargetState, now: float, outcome: Outcome, begun: float, asked: tuple[TargetState, ...]
    ) -> None:
        """Ask a target, whose answer is known in a simulation; ``asked`` are those before it."""
        self.number += 1
        event = (now + outcome[0], self.number, target, self.state.begin(target, now), outcome, begun, asked)
        heapq.heappush(self.events, event)

    def _end(
        self,
        now: float,
        number: int,
        target: TargetState,
        trial: Trial,
        outcome: Outcome,
        begun: float,
        asked: tuple[TargetState, ...],
    ) -> None:
        if outcome[1] is None:
            if self.budget is not None:
                self.budget.ended(False)
            self.state.answered(target, trial, now, outcome[0], False, self.size)
            self._pay(target, outcome)
            self.found.seconds.append(now - begun)
        else:
            self._failed(target, trial, now, outcome)
            asked = (*asked, target)
            for following in order_of(now, self.request, self.state, self.order):
                if following not in asked:
                    self._put(following, now, self.samples[following.index](now, self.chance), begun, asked)
                    return

    def _failed(self, target: TargetState, trial: Trial, now: float, outcome: Outcome) -> None:
        counts, seconds, reason = _consequence(outcome.error or "", outcome.retry_after)
        open_for = self.state.failed(target, trial, now, counts=counts)
        if max(seconds, open_for) > 0:
            self.state.cool(target, max(seconds, open_for), reason, now)
        if self.budget is not None:
            self.budget.ended(True)

    def _pay(self, target: TargetState, outcome: Outcome) -> None:
        if outcome.cost is not None:
            self.found.cost += outcome.cost
        elif target.prices is not None:
            self.found.cost += _INPUT * target.prices[0] + _OUTPUT * target.prices[1]

    # -------------------------------------------------------------------------------------------- several at once

    def _hedged(self, now: float) -> None:
        """The first target and, if that is late, a second one; both outcomes are known in a simulation."""
        hedge, budget, state = self.hedge, self.budget, self.state
        assert hedge is not None  # only called for hedges
        assert budget is not None
        budget.called(now)
        order = iter(order_of(now, self.request, state, self.order))
        first = next(order, None)
        if first is None:
            self._start(now)
            return
        outcome = self.samples[first.index](now, self.chance)
        delay = hedge_delay(hedge, first, False, self.size)
        late = delay is not None and outcome.seconds > delay
        if delay is not None:
            budget.was_late(late)
        second = next(order, None) if late else None
        if second is None or delay is None or budget.refuses(state.targets, now + delay) is not None:
            self._put(first, now, outcome, now, ())
            return
        budget.hedged(now + delay)
        self.found.extra += 1
        other = self.samples[second.index](now + delay, self.chance)
        wins = other.error is None and (outcome.error is not None or delay + other.seconds < outcome.seconds)
        loser, took = (first, outcome) if wins else (second, other)
        self._pay(loser, took)  # it is billed, at the most in full
        self.lost[loser.index] += 1
        if wins:
            state.first_token(first, delay + other.seconds, now + delay + other.seconds, False, self.size)
            self._put(second, now, Outcome(delay + other.seconds, None, None, other.cost), now, (first,))
        else:
            waited = min(other.seconds, outcome.seconds - delay)
            if waited > second.typical:  # it takes that long at least
                state.first_token(second, waited, now + delay + waited, False, self.size)
            self._put(first, now, outcome, now, (second,))

    def _race(self, now: float) -> None:
        """All targets that are ready; the first answer is taken."""
        ready = list(order_of(now, self.request, self.state, self.order))
        if not ready:
            self._start(now)
            return
        drawn = [(self.samples[one.index](now, self.chance), one) for one in ready]
        good = [pair for pair in drawn if pair[0].error is None]
        winner = min(good or drawn, key=lambda pair: pair[0].seconds)
        self.found.extra += len(ready) - 1
        for outcome, target in drawn:
            if target is not winner[1]:
                if outcome.error is None:
                    self.lost[target.index] += 1
                    self._pay(target, outcome)
                else:
                    self._failed(target, self.state.begin(target, now), now, outcome)
        self._put(winner[1], now, winner[0], now, tuple(ready))


def profiles(given: Mapping[str, Profile], names: Sequence[str], usual: Profile) -> Iterator[tuple[str, Sample]]:
    """How each target behaves, invented where nothing is said of it: each a tenth slower than the one before."""
    for number, name in enumerate(names):
        yield name, given.get(name, evolve(usual, median=usual.median * (1 + number / 10))).sample
