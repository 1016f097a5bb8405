"""The circuit breaker as plain state: every change of it, at a clock that is an argument."""

import logging
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider_kit import CircuitBreaker, CircuitBreakerConfig, ConfigError


def attempt(breaker, ok, now):
    """One call that is let through and ends at once; what it changed."""
    wait, number, begun = breaker.admit(now)
    assert wait == 0
    return begun, breaker.record(number, ok, now)


@pytest.fixture
def opened():
    """A breaker that opened at 100.0 and is left alone until 130.0."""
    breaker = CircuitBreaker()
    for _ in range(3):
        attempt(breaker, False, 100.0)
    assert breaker.status(100.0).state == "open"
    return breaker


def test_the_numbers_are_those_of_the_documentation():
    """Three trials, a window of a minute, half a minute of rest, from the third call on, 60 percent."""
    numbers = CircuitBreakerConfig()
    assert (numbers.half_open_requests, numbers.window, numbers.open_for) == (3, 60.0, 30.0)
    assert (numbers.min_requests, numbers.failure_ratio) == (3, 0.6)


def test_two_failures_do_not_open_it_and_the_third_does():
    """Fewer calls than three tell nothing."""
    breaker = CircuitBreaker()
    assert [attempt(breaker, False, 0.0)[1] for _ in range(3)] == [None, None, "open"]


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        ([True, True, False], "closed"),
        ([True, False, False], "open"),
        ([True, True, False, False], "closed"),
        ([True, True, False, False, False], "open"),
        ([False, False, True], "closed"),
        ([None, None, False, False], "closed"),
    ],
    ids=["1 of 3", "2 of 3", "2 of 4", "3 of 5", "ends well", "open outcomes"],
)
def test_it_opens_when_sixty_percent_failed(outcomes, state):
    """Only a failure opens it, and what remained open is not counted."""
    breaker = CircuitBreaker()
    for ok in outcomes:
        attempt(breaker, ok, 1.0)
    assert breaker.status(1.0).state == state


@pytest.mark.parametrize("calls", range(3, 101))
def test_a_share_that_is_just_reached_opens_it(calls):
    """For every share that is a whole number of failures; no rounding blocks the event loop."""
    for failures in range(1, calls + 1):
        breaker = CircuitBreaker(CircuitBreakerConfig(failure_ratio=failures / calls, min_requests=calls))
        for number in range(calls):
            attempt(breaker, number < calls - failures, 1.0)
        assert breaker.status(1.0).state == "open"


def test_the_counts_begin_anew_after_the_window():
    """Two failures of the last minute are forgotten in this one."""
    breaker = CircuitBreaker()
    attempt(breaker, False, 10.0)
    attempt(breaker, False, 69.9)
    attempt(breaker, False, 70.0)
    assert (breaker.status(70.0).state, breaker.status(70.0).requests) == ("closed", 1)


def test_while_it_is_open_nothing_is_let_through(opened):
    """The seconds that are left are told, and asking changes nothing."""
    assert opened.admit(100.0)[0] == 30.0
    assert opened.admit(129.0)[0] == 1.0
    assert (opened.blocked(110.0), opened.status(110.0).opens_in) == (20.0, 20.0)


def test_after_its_rest_three_trials_close_it(opened):
    """The first one changes the state, the third success closes it, with counts of zero."""
    assert opened.status(130.0).state == "half_open"
    assert [attempt(opened, True, 130.0) for _ in range(3)] == [("half_open", None), (None, None), (None, "closed")]
    assert (opened.status(130.0).requests, opened.status(130.0).failures) == (0, 0)


def test_one_failed_trial_opens_it_again_for_the_whole_rest(opened):
    """Whatever the others did."""
    assert attempt(opened, True, 131.0) == ("half_open", None)
    assert attempt(opened, False, 132.0) == (None, "open")
    assert opened.blocked(132.0) == 30.0


def test_no_more_trials_than_three_are_under_way(opened):
    """The fourth is told when to come back at the latest."""
    numbers = [opened.admit(130.0)[1] for _ in range(3)]
    assert opened.blocked(140.0) == opened.admit(140.0)[0] == 20.0
    opened.record(numbers[0], None, 141.0)
    assert opened.blocked(141.0) == 0.0


def test_a_trial_that_was_given_up_makes_room_for_another(opened):
    """However often; the circuit stays half open."""
    for turn in range(20):
        wait, number, _ = opened.admit(130.0 + turn)
        assert wait == 0
        assert opened.record(number, None, 130.0 + turn) is None
    assert opened.status(150.0).state == "half_open"


def test_trials_that_never_come_back_do_not_block_it_for_ever(opened):
    """After another rest new ones are let through, and the outcomes of the lost ones are out of date."""
    lost = [opened.admit(130.0)[1] for _ in range(3)]
    assert opened.admit(159.0)[0] == 1.0
    assert [attempt(opened, True, 160.0)[1] for _ in range(2)] == [None, None]
    assert opened.record(lost[0], False, 161.0) is None
    assert attempt(opened, True, 162.0)[1] == "closed"


def test_a_success_among_lost_trials_still_counts(opened):
    """Two more are needed then."""
    first = opened.admit(130.0)[1]
    opened.admit(130.0)
    opened.admit(130.0)
    opened.record(first, True, 131.0)
    assert [attempt(opened, True, 165.0)[1] for _ in range(2)] == [None, "closed"]


def test_the_outcome_of_a_call_that_began_in_an_earlier_state_is_ignored():
    """A slow success does not close what has opened, a slow failure does not open what has closed."""
    breaker = CircuitBreaker()
    slow = [breaker.admit(0.0)[1] for _ in range(2)]
    for _ in range(3):
        attempt(breaker, False, 1.0)
    assert breaker.record(slow[0], True, 2.0) is None
    assert breaker.status(2.0).state == "open"
    for _ in range(3):
        attempt(breaker, True, 31.0)
    assert breaker.record(slow[1], False, 32.0) is None
    assert breaker.status(32.0).failures == 0


def test_the_callback_is_told_every_change_outside_the_lock():
    """It may ask for the state; where the state stays, it hears nothing."""
    told = []
    breaker = CircuitBreaker(on_change=lambda old, new: told.append((old, new, breaker.status(0.0).requests)))
    for _ in range(3):
        attempt(breaker, False, 0.0)
    for _ in range(3):
        attempt(breaker, True, 30.0)
    assert told == [("closed", "open", 0), ("open", "half_open", 0), ("half_open", "closed", 0)]


def test_a_callback_that_raises_breaks_nothing_and_is_logged(caplog):
    """With its traceback."""

    def fall(old, new):
        raise ZeroDivisionError("in the callback")

    breaker = CircuitBreaker(on_change=fall)
    with caplog.at_level(logging.ERROR, "provider_kit"):
        assert [attempt(breaker, False, 0.0)[1] for _ in range(3)][-1] == "open"
    assert caplog.records[0].exc_info[0] is ZeroDivisionError
    assert breaker.status(0.0).state == "open"


@pytest.mark.parametrize("given_", [{"config": True}, {"config": {"window": 5}}, {"on_change": "print"}], ids=str)
def test_a_breaker_of_wrong_arguments_is_refused_with_a_hint(given_):
    """At once, not when it opens."""
    with pytest.raises(ConfigError) as caught:
        CircuitBreaker(**given_)
    assert caught.value.hint


@pytest.mark.parametrize(
    "options",
    [
        {"half_open_requests": 0},
        {"window": 0},
        {"open_for": -1},
        {"min_requests": 1.5},
        {"failure_ratio": 0},
        {"failure_ratio": 60},
        {"failure_ratio": True},
    ],
    ids=str,
)
def test_numbers_that_make_no_sense_are_refused_with_a_hint(options):
    """60 percent is 0.6."""
    with pytest.raises(ConfigError) as caught:
        CircuitBreakerConfig(**options)
    assert caught.value.hint


class Model:
    """The rules once more, written as plainly as possible, over a list of what happened."""

    def __init__(self, numbers):
        self.numbers = numbers
        self.state, self.since, self.window_from = "closed", None, None
        self.outcomes, self.trying, self.good = [], set(), 0

    def become(self, state, now):
        self.state, self.since = state, now
        self.window_from = now if state == "closed" else None
        self.outcomes, self.trying, self.good = [], set(), 0

    def admit(self, call, now):
        numbers = self.numbers
        if self.state == "open" and now >= self.since + numbers.open_for:
            self.become("half_open", now)
        if self.state == "half_open" and len(self.trying) + self.good >= numbers.half_open_requests:
            if now < self.since + numbers.open_for:
                return False
            self.trying, self.since = set(), now
        if self.state == "half_open":
            self.trying.add(call)
        return self.state != "open"

    def record(self, call, ok, now, begun_in):
        numbers = self.numbers
        if self.state == "half_open":
            if call not in self.trying:
                return
            self.trying.discard(call)
            self.good += ok is True
            if ok is False:
                self.become("open", now)
            elif self.good >= numbers.half_open_requests:
                self.become("closed", now)
        elif self.state == "closed" and begun_in == "closed" and ok is not None:
            if self.window_from is None or now >= self.window_from + numbers.window:
                self.window_from, self.outcomes = now, []
            self.outcomes.append(ok)
            enough = len(self.outcomes) >= numbers.min_requests
            if not ok and enough and self.outcomes.count(False) / len(self.outcomes) >= numbers.failure_ratio:
                self.become("open", now)


steps = st.lists(
    st.tuples(
        st.sampled_from(["begin", "end", "end", "both"]),
        st.sampled_from([True, False, False, None]),
        st.sampled_from([0, 0, 1, 5, 15, 30, 60]),
        st.integers(0, 50),
    ),
    max_size=60,
)


@given(steps, st.integers(1, 3), st.integers(1, 4), st.sampled_from([0.3, 0.5, 0.6, 1.0]))
def test_it_does_what_the_rules_say_whatever_happens(plan, half_open_requests, min_requests, failure_ratio):
    """Calls begin and end in any order, at any time; state and admission are those of the model."""
    numbers = CircuitBreakerConfig(
        half_open_requests=half_open_requests, min_requests=min_requests, failure_ratio=failure_ratio
    )
    breaker, model = CircuitBreaker(numbers), Model(numbers)
    model.become("closed", 0.0)
    model.window_from = None
    now, under_way, spell = 0.0, [], 0
    states = ["closed"]

    def look():
        nonlocal spell
        if model.state != states[-1]:
            states.append(model.state)
            spell += 1

    for name, (what, ok, passed, which) in enumerate(plan):
        now += passed
        if what in ("begin", "both"):
            blocked = breaker.blocked(now)
            wait, number, changed = breaker.admit(now)
            before = model.state
            admitted = model.admit(name, now)
            look()
            assert (wait == 0) is admitted is (blocked == 0)
            assert wait == blocked
            assert changed == (model.state if model.state != before else None)
            if admitted:
                under_way.append((name, number, spell))
        if what in ("end", "both") and under_way:
            call, number, begun = under_way.pop(which % len(under_way))
            before = model.state
            model.record(call, ok, now, "closed" if begun == spell else "another")
            changed = breaker.record(number, ok, now)
            assert changed == (model.state if model.state != before else None)
            look()
        shown = breaker.status(now).state
        assert shown == model.state or (shown == "half_open" and now >= model.since + numbers.open_for)


def test_threads_never_get_more_trials_than_there_are():
    """Fifty threads come at the same moment; three are let through."""
    breaker = CircuitBreaker()
    for _ in range(3):
        attempt(breaker, False, 0.0)
    admitted = []
    barrier = threading.Barrier(50)

    def come():
        barrier.wait()
        wait, number, _ = breaker.admit(30.0)
        if wait == 0:
            admitted.append(number)

    threads = [threading.Thread(target=come) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(admitted) == 3


def test_threads_lose_no_outcome():
    """Every call is counted once."""
    breaker = CircuitBreaker(CircuitBreakerConfig(min_requests=10_000))

    def work():
        for turn in range(200):
            attempt(breaker, turn % 2 == 0, 5.0)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    status = breaker.status(5.0)
    assert (status.requests, status.failures) == (1200, 600)


def test_what_another_process_found_is_taken_over(opened):
    """Each state; an open one keeps the later end, and what is known already is no change."""
    assert opened.merge_shared("open", 120.0, 110.0) is None
    assert opened.blocked(110.0) == 20.0
    assert opened.merge_shared("open", 150.0, 110.0) is None
    assert opened.blocked(110.0) == 40.0
    assert opened.merge_shared("half_open", 0.0, 111.0) == "half_open"
    assert opened.merge_shared("closed", 0.0, 112.0) == "closed"
    assert opened.merge_shared("open", 142.0, 113.0) == "open"
    assert opened.blocked(113.0) == 29.0
