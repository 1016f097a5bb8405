"""The policies of a router: pure choices over small state, on a clock that is an argument."""

import random
import sys
from collections import Counter

import pytest

from provider_kit import Hedge, RouteRequest, TargetState
from provider_kit.model.config import CircuitBreakerConfig
from provider_kit.policies.routing.hedging import HedgeBudget, hedge_delay
from provider_kit.policies.routing.histogram import LatencyHistogram, size_class
from provider_kit.policies.routing.plan import order_of
from provider_kit.policies.routing.racing import fastest_of, history_score
from provider_kit.policies.routing.state import RouterState
from provider_kit.policies.routing.strategies import STRATEGIES, by_key

ASK = RouteRequest()


def state_of(*targets, seed=1):
    return RouterState(list(targets), CircuitBreakerConfig(), seed)


def first(state, strategy="fallback", now=0.0, request=ASK, candidates=None):
    found = next(order_of(now, request, state, STRATEGIES[strategy], candidates), None)
    return found and found.name


def order(state, strategy="fallback", now=0.0, request=ASK):
    return [one.name for one in order_of(now, request, state, STRATEGIES[strategy])]


def played(state, target, seconds, now, ok=True):
    """One call to a target that took so long."""
    trial = state.begin(target, now)
    if ok:
        state.answered(target, trial, now + seconds, seconds)
    else:
        state.failed(target, trial, now + seconds, counts=True)


# ------------------------------------------------------------------------------------------------ shares


@pytest.mark.parametrize("weights", [(3, 1), (5, 3, 2), (1, 1, 1, 1), (0.7, 0.2, 0.1)])
def test_weights_are_kept_within_a_point(weights):
    """Over 100,000 picks."""
    state = state_of(*(TargetState(str(number), weight) for number, weight in enumerate(weights)))
    counts = Counter(first(state, "weighted") for _ in range(100_000))
    for number, weight in enumerate(weights):
        assert counts[str(number)] / 100_000 == pytest.approx(weight / sum(weights), abs=0.01)


def test_a_missing_target_leaves_the_shares_of_the_others(monkeypatch):
    """In proportion to their weights, and without a division by nothing."""
    targets = [TargetState("a", 2), TargetState("b", 1), TargetState("c", 1)]
    state = state_of(*targets)
    state.cool(targets[0], 10, "limited", 0.0)
    counts = Counter(first(state, "weighted") for _ in range(20_000))
    assert counts["a"] == 0
    assert counts["b"] / 20_000 == pytest.approx(0.5, abs=0.02)


def test_weight_0_means_only_when_nothing_else_is_left():
    """Whatever the strategy."""
    for strategy in STRATEGIES:
        targets = [TargetState("spare", 0), TargetState("a"), TargetState("b", priority=1)]
        state = state_of(*targets)
        assert order(state, strategy)[-1] == "spare"
        assert sorted(order(state, strategy)) == ["a", "b", "spare"]
        state.cool(targets[1], 10, "limited", 0.0)
        state.cool(targets[2], 10, "limited", 0.0)
        assert order(state, strategy) == ["spare"]


def test_priorities_are_levels_and_weights_shares_within_them():
    """A level is reached only when none of the levels before it can answer."""
    targets = [TargetState("b", 1, 1), TargetState("a", 3), TargetState("a2", 1)]
    state = state_of(*targets)
    for strategy in STRATEGIES:
        found = order(state, strategy)
        assert found[2] == "b"
        assert set(found[:2]) == {"a", "a2"}


def test_round_robin_takes_turns():
    """The others follow in their order."""
    state = state_of(TargetState("a"), TargetState("b"), TargetState("c"))
    assert [order(state, "round_robin") for _ in range(4)] == [
        ["a", "b", "c"],
        ["b", "c", "a"],
        ["c", "a", "b"],
        ["a", "b", "c"],
    ]


def test_least_busy_counts_calls_in_flight_for_the_weight():
    """Four calls at a target of weight 4 are as much as one at a target of weight 1."""
    targets = [TargetState("a", 4, in_flight=3), TargetState("b", 1, in_flight=1)]
    assert first(state_of(*targets), "least_busy") == "a"
    targets[0].in_flight = 5
    assert first(state_of(*targets), "least_busy") == "b"


def test_equal_ones_are_chosen_by_chance():
    """Not always the first."""
    state = state_of(*(TargetState(name) for name in "abc"))
    counts = Counter(first(state, "least_busy") for _ in range(6000))
    assert min(counts.values()) > 1700


def test_headroom_prefers_the_larger_share_of_quota():
    """As its headers told."""
    targets = [TargetState("a", headroom=0.1), TargetState("b", headroom=0.9)]
    assert {first(state_of(*targets, seed=seed), "headroom") for seed in range(9)} == {"b"}


def test_cheapest_depends_on_the_call():
    """A long prompt is cheaper at one, a long answer at the other; an unknown price is last."""
    targets = [TargetState("x"), TargetState("in", prices=(1e-6, 9e-6)), TargetState("out", prices=(5e-6, 1e-6))]
    state = state_of(*targets)
    assert order(state, "cheapest", request=RouteRequest(input_tokens=9000, output_tokens=10)) == ["in", "out", "x"]
    assert order(state, "cheapest", request=RouteRequest(input_tokens=10, output_tokens=9000)) == ["out", "in", "x"]


# ------------------------------------------------------------------------------------------------ latency


def test_a_target_that_becomes_ten_times_slower_loses_its_share_within_20_calls():
    """Fewer than 5 % of the calls after the 20th."""
    for seed in range(10):
        targets = [TargetState(name) for name in "abc"]
        state, now = state_of(*targets, seed=seed), 0.0
        for _ in range(200):
            name = first(state, "latency", now)
            played(state, targets["abc".index(name)], 0.1, now)
            now += 0.1
        counts = Counter()
        for number in range(220):
            name = first(state, "latency", now)
            if number >= 20:
                counts[name] += 1
            played(state, targets["abc".index(name)], 1.0 if name == "a" else 0.1, now)
            now += 0.1
        assert counts["a"] / 200 < 0.05


def test_a_slow_target_is_tried_again_later():
    """What was measured loses its weight, so that a target that is fast again is found."""
    targets = [TargetState("a"), TargetState("b")]
    state = state_of(*targets)
    played(state, targets[0], 5.0, 0.0)
    played(state, targets[1], 0.1, 0.0)
    assert first(state, "latency", 6.0) == "b"
    now = 6.0
    while first(state, "latency", now) == "b" and now < 200:
        played(state, targets[1], 0.1, now)
        now += 1.0
    assert now < 100


def test_failures_make_a_target_worse():
    """At the same speed the one that fails less is asked."""
    targets = [TargetState("a"), TargetState("b")]
    state = state_of(*targets)
    for number in range(4):
        played(state, targets[0], 0.1, float(number))
        played(state, targets[1], 0.1, float(number))
    targets[0].errors = 0.5
    assert {first(state_of(*targets, seed=seed), "latency", 4.0) for seed in range(9)} == {"b"}


# ------------------------------------------------------------------------------------------------ out and back


def test_a_target_that_is_out_is_not_asked_before_its_time():
    """Not even once."""
    targets = [TargetState("a"), TargetState("b")]
    state = state_of(*targets)
    assert state.cool(targets[0], 10.0, "limited", 0.0)
    for strategy in STRATEGIES:
        assert order(state, strategy, 9.999) == ["b"]
        assert set(order(state, strategy, 10.0)) == {"a", "b"}


def test_a_shorter_time_does_not_shorten_a_longer_one():
    """And is no news."""
    target = TargetState("a")
    state = state_of(target)
    assert state.cool(target, 10.0, "limited", 0.0)
    assert not state.cool(target, 5.0, "limited", 1.0)
    assert target.until == 10.0
    assert target.since == 0.0


def test_a_returning_target_is_ramped_up_and_back_after_a_bounded_number_of_calls():
    """One call at once, then two, four, eight; then as many as come."""
    target = TargetState("a")
    state = state_of(target)
    state.cool(target, 10.0, "limited", 0.0)
    most, calls = [], 0
    while target.ramp or not most:
        trials = []
        while target.ready(20.0) and len(trials) < 100:
            trials.append(state.begin(target, 20.0))
        most.append(len(trials))
        calls += len(trials)
        for trial in trials:
            state.answered(target, trial, 20.1, 0.1)
        if not target.ramp:
            break
    assert most[0] == 1
    assert most == sorted(most)
    assert calls <= 20
    assert target.ready(20.0)


def test_a_failure_while_it_returns_starts_again():
    """With one call at a time."""
    target = TargetState("a")
    state = state_of(target)
    state.cool(target, 1.0, "limited", 0.0)
    played(state, target, 0.1, 2.0)
    assert target.ramp == 2
    played(state, target, 0.1, 3.0, ok=False)
    assert target.ramp == 1


def test_a_circuit_opens_after_repeated_failures():
    """Three of three; and the seconds it stays open are told once."""
    target = TargetState("a")
    state = state_of(target)
    told = []
    for number in range(3):
        trial = state.begin(target, float(number))
        told.append(state.failed(target, trial, float(number), counts=True))
    assert told == [0.0, 0.0, 30.0]


def test_five_failures_in_a_row_open_it_whatever_came_before():
    """A thousand good answers do not keep a target in that fails now."""
    target = TargetState("a")
    state = state_of(target)
    for number in range(1000):
        played(state, target, 0.01, number * 0.01)
    told = [state.failed(target, state.begin(target, 10.0), 10.0, counts=True) for _ in range(5)]
    assert told == [0.0, 0.0, 0.0, 0.0, 30.0]


def test_what_is_not_the_providers_fault_counts_nothing():
    """A refused key is no failure of the circuit."""
    target = TargetState("a")
    state = state_of(target)
    for number in range(9):
        assert state.failed(target, state.begin(target, float(number)), float(number), counts=False) == 0.0
    assert target.failures == 0
    assert target.in_flight == 0


def test_one_that_answers_although_it_was_out_is_back():
    """The last candidate is asked in any case; if it answers, it is not kept out any longer."""
    target = TargetState("a")
    state = state_of(target)
    for number in range(3):
        wait = state.failed(target, state.begin(target, float(number)), float(number), counts=True)
    state.cool(target, wait, "it failed repeatedly", 2.0)
    played(state, target, 0.1, 3.0)
    assert target.until <= 3.1
    assert target.ready(3.1)


def test_the_earliest_return_is_that_of_any_target():
    """0 if one is ready."""
    targets = [TargetState("a"), TargetState("b")]
    state = state_of(*targets)
    state.cool(targets[0], 10, "x", 0.0)
    assert state.earliest_return(targets, 0.0) == 0
    state.cool(targets[1], 4, "x", 0.0)
    assert state.earliest_return(targets, 1.0) == 3


# ------------------------------------------------------------------------------------------------ keys


def test_a_key_keeps_its_target_and_its_whole_order():
    """In every process, and for every strategy."""
    targets = [TargetState(name) for name in "abcd"]
    for strategy in STRATEGIES:
        found = {
            tuple(order(state_of(*targets, seed=seed), strategy, request=RouteRequest(key="k1"))) for seed in (1, 2)
        }
        assert len(found) == 1


def test_keys_spread_by_weight_and_only_those_of_a_missing_target_move():
    """Weighted rendezvous hashing."""
    targets = [TargetState("a", 2), TargetState("b"), TargetState("c")]
    before = {str(key): by_key(str(key), targets)[0].name for key in range(20_000)}
    counts = Counter(before.values())
    assert counts["a"] / 20_000 == pytest.approx(0.5, abs=0.02)
    after = {key: by_key(key, targets[1:])[0].name for key in before}
    assert all(after[key] == name for key, name in before.items() if name != "a")


# ------------------------------------------------------------------------------------------------ hedging


def filled(seconds, count=100, streamed=True, size=0):
    target = TargetState("a", histogram=LatencyHistogram())
    for number in range(count):
        target.histogram.add(seconds[number % len(seconds)], streamed, size)
    return target


def test_a_call_is_late_after_its_own_percentile_for_prompts_of_that_size():
    """Long prompts take longer, and whole answers; each is measured by itself."""
    target = filled([0.1] * 19 + [1.0])
    for _ in range(100):
        target.histogram.add(4.0, True, 3)
    assert hedge_delay(Hedge(), target, True, 0) == pytest.approx(0.15, rel=0.2)
    assert hedge_delay(Hedge(after="p99"), target, True, 0) == pytest.approx(1.0, rel=0.2)
    assert hedge_delay(Hedge(), target, True, 3) == pytest.approx(6.0, rel=0.2)
    assert hedge_delay(Hedge(), target, False, 0) is None
    assert hedge_delay(Hedge(after=2), target, False, 0) == 2.0


def test_nothing_is_late_before_enough_is_known():
    """Twenty times of that class."""
    assert hedge_delay(Hedge(), filled([0.1], 19), True, 0) is None
    assert hedge_delay(Hedge(), filled([0.1], 20), True, 0) is not None


def test_the_budget_is_a_share_of_the_calls_in_a_window():
    """Five of a hundred; the window slides."""
    budget, now = HedgeBudget(Hedge(budget=0.05, window=60)), 0.0
    made = 0
    for _ in range(1000):
        now += 0.05
        budget.called(now)
        if budget.refuses([], now) is None:
            budget.hedged(now)
            made += 1
    assert made == 50
    budget.called(now + 200)
    assert budget.refuses([], now + 200) == "the budget is used up"


def test_it_is_closed_while_many_calls_fail():
    """A second call would only add to the load."""
    budget = HedgeBudget(Hedge(budget=1))
    for _ in range(50):
        budget.called(0.0)
        budget.ended(True)
    assert budget.refuses([], 0.0) == "too many calls fail"
    for _ in range(50):
        budget.ended(False)
    assert budget.refuses([], 0.0) is None


def hedged(count, slow=0.0, factor=1.0, since=0, seed=1, spread=0.1):
    """Calls to two targets with hedges: the P99 without and with them, and the share of further calls."""
    chance = random.Random(seed)
    targets = [TargetState(name, histogram=LatencyHistogram()) for name in "ab"]
    state, config = state_of(*targets), Hedge(budget=0.05)
    budget, now, extra = HedgeBudget(config), 0.0, 0
    plain, better = [], []

    def draw(number):
        seconds = 0.1 * chance.lognormvariate(0, spread) * (20 if chance.random() < slow else 1)
        return seconds * (factor if number >= since else 1)

    for number in range(count):
        now += 0.05
        seconds = draw(number)
        budget.called(now)
        delay = hedge_delay(config, targets[0], True, 0)
        took = seconds
        if delay is not None:
            budget.was_late(seconds > delay)
            if seconds > delay and budget.refuses(targets, now + delay) is None:
                budget.hedged(now + delay)
                extra += number >= since
                other = draw(number)
                took = min(seconds, delay + other)
                waited = min(other, seconds - delay)  # the second target is measured only when it is asked
                if delay + other < seconds or waited > targets[1].typical:
                    state.first_token(targets[1], waited, now + took, True, 0)
        state.first_token(targets[0], took, now + took, True, 0)
        if number >= since:
            plain.append(seconds)
            better.append(took)
    at = int(len(plain) * 0.99)
    return sorted(plain)[at], sorted(better)[at], extra / len(plain)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("spread", [0.05, 0.1, 0.2])
def test_hedging_cuts_the_slowest_calls_to_a_fifth(seed, spread):
    """3 % of the calls 20 times slower, with a budget of 5 %."""
    plain, better, extra = hedged(5000, slow=0.03, seed=seed, spread=spread)
    assert plain / better >= 5
    assert extra <= 0.05


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("spread", [0.1, 0.25, 0.4, 0.6])
def test_when_every_target_is_slow_hardly_anything_is_hedged(seed, spread):
    """At most 1 %: it would only add to the load."""
    _, _, extra = hedged(6000, factor=20, since=1000, seed=seed, spread=spread)
    assert extra <= 0.01


def test_the_histogram_takes_constant_memory_and_forgets():
    """64 counts of two bytes; old times count less and less."""
    times = LatencyHistogram()
    for _ in range(5000):
        times.add(10.0, True, 0)
    for _ in range(1000):
        times.add(0.1, True, 0)
    assert times.quantile(0.5, True, 0) == pytest.approx(0.1, rel=0.2)
    assert times.count(True, 0) < 600
    assert sys.getsizeof(times._counts[True, 0]) < 300
    times.add(0.0, True, 0)
    times.add(1e9, True, 0)
    assert times.quantile(1.0, True, 0) < 1e9
    assert times.quantile(0.5, True, 4) is None


def test_sizes_of_prompts_fall_into_five_classes():
    """A long prompt takes longer to its first token."""
    assert [size_class(tokens) for tokens in (0, 499, 500, 2000, 8000, 32_000, 10**7)] == [0, 0, 1, 2, 3, 4, 4]


# ------------------------------------------------------------------------------------------------ racing


def test_the_history_of_races_rates_targets():
    """0.5 when nothing is known; then by wins and speed."""
    new, good, bad = TargetState("new"), TargetState("good"), TargetState("bad")
    good.races, good.wins, good.first_token = 10, 8, 0.1
    bad.races, bad.wins, bad.first_token = 10, 1, 1.0
    fastest = fastest_of([new, good, bad])
    assert fastest == 0.1
    assert history_score(new, fastest) == 0.5
    assert history_score(good, fastest) > 0.8
    assert history_score(bad, fastest) < 0.2


def test_the_state_of_a_target_is_small():
    """Without a histogram, a few numbers."""
    target = TargetState("a")
    size = sum(
        sys.getsizeof(getattr(target, name)) for name in TargetState.__slots__ if name not in ("breaker", "__weakref__")
    )
    assert size < 1024
