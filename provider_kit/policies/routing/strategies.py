"""The strategies: ``choose(now, request, state)`` returns the targets in the order in which they are asked.

Each is a function without side effects, apart from the count of turns. Those that compare what other processes see,
too, compare two at random instead of all (power of two choices), so that not all run to the same target.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol, TypeAlias

from attrs import define

from provider_kit.policies.routing.state import RouteRequest, TargetState

__all__ = ["STRATEGIES", "Choices", "Strategy", "by_key", "strategy_name"]

#: Tokens an answer is assumed to have where the caller sets no limit.
_USUAL_ANSWER = 500.0


@define(eq=False)
class Choices:
    """What a strategy chooses from."""

    #: The targets that come into question, in the order in which they were given.
    targets: Sequence[TargetState]
    #: Returns a number from 0 to 1.
    random: Callable[[], float]
    #: The number of this call.
    turn: Callable[[], int]


class Strategy(Protocol):
    """A function of yours that orders the targets; the first one is asked, the next one if it fails."""

    def __call__(self, now: float, request: RouteRequest, state: Choices, /) -> Iterable[TargetState]:
        """The targets of ``state``, the best first.

        Args:
            now: The clock, in seconds.
            request: What is asked.
            state: The targets, and chance.
        """
        ...


Score: TypeAlias = Callable[[TargetState], float]


def fallback(now: float, request: RouteRequest, state: Choices) -> Iterable[TargetState]:
    """In the order in which they were given."""
    return state.targets


def round_robin(now: float, request: RouteRequest, state: Choices) -> Iterable[TargetState]:
    """Each in turn."""
    targets = state.targets
    first = state.turn() % len(targets)
    return (*targets[first:], *targets[:first])


def weighted(now: float, request: RouteRequest, state: Choices) -> Iterator[TargetState]:
    """By chance, in proportion to their weights."""
    rest = list(state.targets)
    while len(rest) > 1:
        weights = [target.weight for target in rest]
        chosen, number = state.random() * sum(weights), 0
        for number, weight in enumerate(weights):  # noqa: B007  # the number at which it ends is used below
            chosen -= weight
            if chosen < 0:
                break
        yield rest.pop(number)
    yield from rest


def at_random(now: float, request: RouteRequest, state: Choices) -> Iterator[TargetState]:
    """By chance."""
    rest = list(state.targets)
    while rest:
        yield rest.pop(int(state.random() * len(rest)))


def least_busy(now: float, request: RouteRequest, state: Choices) -> Iterator[TargetState]:
    """The one with the fewest calls in flight for its weight; equal ones by chance."""
    rest, random = list(state.targets), state.random
    while len(rest) > 1:
        best, fewest = rest[0], math.inf
        ties = 0
        for target in rest:
            load = target.in_flight / target.weight if target.weight else math.inf
            if load < fewest:
                best, fewest, ties = target, load, 1
            elif load == fewest:
                ties += 1
                if random() * ties < 1:
                    best = target
        rest.remove(best)
        yield best
    yield from rest


def latency(now: float, request: RouteRequest, state: Choices) -> Iterator[TargetState]:
    """The faster of two: by first-token time, calls in flight and failures."""
    return _better_of_two(state, lambda target: target.load(now))


def headroom(now: float, request: RouteRequest, state: Choices) -> Iterator[TargetState]:
    """Of two the one with the larger share of its quota left, as its headers tell."""
    return _better_of_two(state, lambda target: -target.headroom / (target.in_flight + 1))


def cheapest(now: float, request: RouteRequest, state: Choices) -> Iterable[TargetState]:
    """The lowest price of this call; targets without a known price come last."""
    answer = request.output_tokens or _USUAL_ANSWER

    def price(target: TargetState) -> float:
        prices = target.prices
        return math.inf if prices is None else request.input_tokens * prices[0] + answer * prices[1]

    return sorted(state.targets, key=price)


def _better_of_two(state: Choices, score: Score) -> Iterator[TargetState]:
    rest, random = list(state.targets), state.random
    while (count := len(rest)) > 1:
        first = int(random() * count)
        second = int(random() * (count - 1))
        second += second >= first
        yield rest.pop(first if score(rest[first]) < score(rest[second]) else second)
    yield from rest


#: The strategies by name.
STRATEGIES: Mapping[str, Strategy] = {
    "fallback": fallback,
    "round_robin": round_robin,
    "weighted": weighted,
    "random": at_random,
    "least_busy": least_busy,
    "latency": latency,
    "headroom": headroom,
    "cheapest": cheapest,
}


def strategy_name(strategy: Strategy) -> str:
    """The name under which a strategy is reported."""
    known = next((name for name, one in STRATEGIES.items() if one is strategy), None)
    return known or str(getattr(strategy, "__name__", type(strategy).__name__))


def by_key(key: str, targets: Sequence[TargetState]) -> list[TargetState]:
    """The order of a key: the same in every process, in proportion to the weights, and if a target is missing, only
    its keys move (weighted rendezvous hashing)."""

    def rank(target: TargetState) -> float:
        digest = hashlib.blake2b(f"{key}\0{target.name}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
        share = (int.from_bytes(digest, "big") + 1) / (2**64 + 1)
        return -target.weight / math.log(share)

    return sorted(targets, key=rank, reverse=True)
