"""Sliding windows and the queue before them, in a clock that the test moves."""

import heapq
import itertools
import random
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provider_kit import Limiter, RateLimiter
from provider_kit.policies.rate_limit import SlidingWindows, Ticket, Window

SLACK = 1e-6


class Reference:
    """The promise, written down as plainly as can be: every request that was admitted, and what it counts."""

    def __init__(self, requests, tokens):
        self.requests, self.tokens = requests, tokens
        self.sent = []  # [time, tokens]

    def held(self, seconds, now):
        return [tokens for when, tokens in self.sent if when > now - seconds]

    def fits(self, tokens, now):
        for limit, seconds in self.requests:
            if len(self.held(seconds, now)) + 1 > limit:
                return False
        if self.tokens is None:
            return True
        limit, seconds = self.tokens
        return sum(self.held(seconds, now)) + min(tokens, limit) <= limit + SLACK

    def admit(self, tokens, now):
        self.sent.append([now, tokens])
        return self.sent[-1]


class Caller:
    """A request on its way: wakes itself through the simulator."""

    def __init__(self, simulator, number, tokens, lasts, used, patience):
        self.simulator, self.number, self.tokens = simulator, number, tokens
        self.lasts, self.used, self.patience = lasts, used, patience
        self.ticket = self.entry = None
        self.timer = 0
        self.gone = False

    def wake(self):
        self.simulator.at(self.simulator.now, self.ask)

    def arrive(self):
        self.ticket = self.simulator.windows.ask(self.tokens, self.simulator.now)
        if self.ticket.admitted:
            self.admitted()
            return
        self.simulator.queue.append(self)
        self.ticket.wakeup = self
        if self.patience is not None:
            self.simulator.at(self.simulator.now + self.patience, self.leave)
        self.ask()

    def ask(self):
        if self.gone or self.entry is not None:
            return
        simulator = self.simulator
        simulator.asked += 1
        wait = simulator.windows.ready(self.ticket, simulator.now)
        self.timer += 1
        if wait <= 0:
            assert simulator.queue[0] is self, "somebody overtook another"
            simulator.queue.popleft()
            self.admitted()
        elif wait < float("inf"):
            assert simulator.queue[0] is self, "only the head is timed"
            timer = self.timer
            simulator.at(simulator.now + wait, lambda: self.ask() if self.timer == timer else None)

    def admitted(self):
        simulator = self.simulator
        assert simulator.reference.fits(self.tokens, simulator.now + SLACK), "more than the limit"
        self.entry = simulator.reference.admit(self.tokens, simulator.now)
        simulator.admissions.append((self.number, simulator.now))
        if self.lasts is not None:
            simulator.at(simulator.now + self.lasts, self.settle)

    def settle(self):
        self.entry[1] = self.used
        self.simulator.windows.settle(self.ticket, self.used, self.simulator.now)

    def leave(self):
        if self.entry is None:
            self.gone = True
            self.simulator.queue.remove(self)
            self.simulator.windows.leave(self.ticket)


class Simulator:
    """Runs callers in a clock of its own, and checks after every moment that nobody waits who would fit."""

    def __init__(self, requests, tokens):
        self.windows = SlidingWindows(requests, tokens)
        self.reference = Reference(requests, tokens)
        self.now, self.asked = 0.0, 0
        self.queue = deque()
        self.admissions = []
        self._events, self._numbers = [], itertools.count()

    def at(self, when, what):
        heapq.heappush(self._events, (when, next(self._numbers), what))

    def nobody_waits_in_vain(self, when):
        if self.queue:
            assert not self.reference.fits(self.queue[0].tokens, when - SLACK), "it waits although it would fit"

    def run(self):
        moments = 0
        while self._events:
            when = self._events[0][0]
            self.nobody_waits_in_vain(when)
            self.now = max(self.now, when)
            while self._events and self._events[0][0] <= self.now:
                heapq.heappop(self._events)[2]()
                moments += 1
            self.nobody_waits_in_vain(self.now)
        assert not self.queue
        assert len(self.windows) == 0
        return moments


CALLERS = st.lists(
    st.tuples(
        st.integers(0, 40),  # tenths of a second after the one before
        st.integers(0, 130),  # tokens
        st.one_of(st.none(), st.integers(0, 150)),  # tenths of a second it lasts; None is never settled
        st.integers(0, 160),  # tokens it really uses
        st.one_of(st.none(), st.none(), st.integers(0, 100)),  # tenths of a second until it is cancelled
    ),
    max_size=25,
)
LIMITS = st.sampled_from(
    [
        ([(3.0, 10.0)], None),
        ([], (100.0, 10.0)),
        ([(4.0, 10.0)], (100.0, 10.0)),
        ([(2.0, 1.0), (6.0, 10.0)], (100.0, 10.0)),
        ([(1.0, 0.3)], None),
    ]
)


@settings(max_examples=400)
@given(LIMITS, CALLERS)
def test_no_window_holds_more_than_its_limit_and_nobody_waits_who_would_fit(limits, callers):
    """Whatever comes, lasts, is cancelled or uses more or less than it claimed; and nobody overtakes another."""
    simulator = Simulator(*limits)
    when = 0.0
    waits = {}
    for number, (after, tokens, lasts, used, patience) in enumerate(callers):
        when += after / 10
        lasts = None if lasts is None else lasts / 10
        patience = None if patience is None else patience / 10
        caller = Caller(simulator, number, float(tokens), lasts, float(used), patience)
        waits[number] = patience
        simulator.at(when, caller.arrive)
    simulator.run()
    order = [number for number, _ in simulator.admissions]
    assert order == sorted(order)
    assert {number for number in waits if waits[number] is None} <= set(order)


def test_a_wait_is_worked_out_and_not_polled():
    """Fifty who wait ask three times each at most: when they come, when they become the head, when it is time."""
    simulator = Simulator([(1.0, 60.0)], None)
    for number in range(50):
        simulator.at(0.0, Caller(simulator, number, 0.0, None, 0.0, None).arrive)
    simulator.run()
    assert [when for _, when in simulator.admissions] == [60.0 * number for number in range(50)]
    assert simulator.asked <= 3 * 50


class Bell:
    """Somebody who waits."""

    rung = 0

    def wake(self):
        self.rung += 1


def test_tokens_given_back_wake_the_head_at_once():
    """What a call did not use of its claim is there for the next one before the window has passed."""
    windows = SlidingWindows([], (100.0, 60.0))
    first = windows.ask(90, 0.0)
    second = windows.ask(50, 1.0)
    second.wakeup = bell = Bell()
    assert windows.ready(second, 1.0) == 59.0
    windows.settle(first, 20, 5.0)
    assert bell.rung == 1
    assert windows.ready(second, 5.0) == 0.0


def test_a_call_that_uses_more_than_it_claimed_delays_the_next():
    """The surplus counts from when the call was admitted."""
    windows = SlidingWindows([], (100.0, 60.0))
    first = windows.ask(10, 0.0)
    windows.settle(first, 80, 5.0)
    assert windows.ready(windows.ask(30, 6.0), 6.0) == 54.0


def test_a_request_is_settled_once():
    """A second settlement changes nothing; neither does one after the window has passed."""
    windows = SlidingWindows([], (100.0, 60.0))
    first = windows.ask(90, 0.0)
    windows.settle(first, 40, 1.0)
    windows.settle(first, 0, 2.0)
    assert not windows.try_acquire(61, 3.0)
    assert windows.try_acquire(60, 3.0)


def test_what_has_left_the_window_gives_nothing_back():
    """A clock read a moment earlier by another thread must not free room that is gone already."""
    windows = SlidingWindows([], (100.0, 60.0))
    first = windows.ask(100, 0.0)
    assert windows.try_acquire(100, 60.0)
    windows.settle(first, 0, 59.999)
    assert not windows.try_acquire(1, 60.0)


def test_a_request_that_was_never_sent_counts_nowhere():
    """Withdrawn, it frees its place in every window and wakes the head; a second time changes nothing."""
    windows = SlidingWindows([(1.0, 60.0), (5.0, 3600.0)], (100.0, 60.0))
    first = windows.ask(100, 0.0)
    second = windows.ask(100, 1.0)
    second.wakeup = bell = Bell()
    windows.withdraw(first, 2.0)
    windows.withdraw(first, 2.0)
    assert bell.rung == 1
    assert windows.ready(second, 2.0) == 0.0
    assert [window.used for window in windows.windows] == [1.0, 1.0]
    third = windows.ask(0, 3.0)
    windows.withdraw(third, 4.0)
    assert len(windows) == 0


def test_a_request_larger_than_the_limit_is_admitted_alone():
    """It waits until nothing else is in the window, and nothing else goes until it has left."""
    windows = SlidingWindows([], (100.0, 60.0))
    assert windows.try_acquire(1, 0.0)
    large = windows.ask(1000, 10.0)
    assert windows.ready(large, 10.0) == 50.0
    assert windows.ready(large, 60.0) == 0.0
    assert windows.ready(windows.ask(1, 61.0), 61.0) == 59.0
    assert SlidingWindows([], (100.0, 60.0)).try_acquire(1000, 0.0)


def test_the_head_that_leaves_wakes_the_next():
    """Whoever gives up takes nobody along."""
    windows = SlidingWindows([(1.0, 60.0)])
    windows.ask(0, 0.0)
    tickets = [windows.ask(0, 1.0) for _ in range(3)]
    bells = []
    for ticket in tickets:
        ticket.wakeup = Bell()
        bells.append(ticket.wakeup)
    windows.leave(tickets[1])
    assert [bell.rung for bell in bells] == [0, 0, 0]
    windows.leave(tickets[0])
    windows.leave(tickets[0])
    assert [bell.rung for bell in bells] == [0, 0, 1]
    assert len(windows) == 1
    assert windows.ready(tickets[2], 60.0) == 0.0


def test_who_comes_while_others_wait_does_not_overtake_them():
    """Even a request that would fit waits behind one that does not."""
    windows = SlidingWindows([], (100.0, 60.0))
    windows.ask(50, 0.0)
    large = windows.ask(80, 1.0)
    small = windows.ask(10, 2.0)
    assert not small.admitted
    assert not windows.try_acquire(10, 2.0)
    assert windows.ready(small, 2.0) == float("inf")
    assert not windows.is_head(small)
    assert windows.ready(large, 60.0) == 0.0
    assert windows.is_head(small)
    assert windows.ready(small, 60.0) == 0.0
    assert windows.is_head(small)  # admitted is as good as being next
    assert windows.ready(small, 61.0) == 0.0


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 130)), min_size=1, max_size=20),
    st.sampled_from([([(3.0, 10.0)], None), ([], (100.0, 10.0)), ([(2.0, 1.0), (4.0, 10.0)], (100.0, 10.0))]),
)
def test_the_wait_that_is_told_is_the_wait_there_is(callers, limits):
    """Where nobody gives up or gives tokens back, each one's turn comes exactly when it was foretold."""
    simulator = Simulator(*limits)
    told, made = {}, []

    def arriving(caller):
        def arrive():
            told[caller.number] = simulator.now + simulator.windows.projected(caller.tokens, simulator.now)
            caller.arrive()
            if not caller.ticket.admitted:
                assert caller.ticket.expected == pytest.approx(told[caller.number] - simulator.now)
                assert simulator.windows.expected(caller.ticket, simulator.now) == pytest.approx(caller.ticket.expected)

        return arrive

    when = 0.0
    for number, (after, tokens) in enumerate(callers):
        when += after / 10
        made.append(Caller(simulator, number, float(tokens), None, 0.0, None))
        simulator.at(when, arriving(made[-1]))
    simulator.run()
    assert dict(simulator.admissions) == pytest.approx(told)


def test_the_wait_of_a_very_long_queue_is_told_without_working_out_each_turn():
    """By the sum of what waits, which is exact for equal requests."""
    windows = SlidingWindows([(10.0, 60.0)], (1000.0, 60.0))
    waiting = [windows.ask(100, 0.0) for _ in range(1010)]
    assert windows.projected(100, 0.0) == 60.0 * 101
    ticket = windows.ask(100, 0.0)
    assert windows.expected(ticket, 0.0) == 60.0 * 101
    huge = SlidingWindows([], (100.0, 60.0))
    waiting += [huge.ask(1000, 0.0) for _ in range(301)]
    assert huge.projected(1000, 0.0) == 60.0 * 301
    assert len(waiting) == 1311


def test_the_wait_behind_a_huge_request_is_not_exaggerated():
    """A request of ten times the limit occupies one window, not ten."""
    windows = SlidingWindows([], (100.0, 60.0))
    waiting = [windows.ask(100, 0.0), windows.ask(1000, 0.0)]
    assert windows.projected(10, 0.0) == 120.0
    del waiting[1]  # whose call is gone waits no longer
    assert windows.projected(10, 0.0) == 60.0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_merged_entries_err_in_the_safe_direction_and_never_by_more_than_a_4096th(seed):
    """Sixty thousand entries take the room of some thousand, and nothing is admitted early or much too late."""
    chance = random.Random(seed)
    window, exact = Window(20_000.0, 60.0), deque()
    now, used, span = 0.0, 0, 60.0 / 4096
    for number in range(60_000):
        now += chance.random() * 0.005
        while exact and exact[0] <= now - 60.0:
            exact.popleft()
            used -= 1
        wait = window.wait(1.0, now)
        if used < 20_000:
            assert wait <= span + 1e-9
        else:
            right = exact[0] + 60.0 - now
            assert right - 1e-9 <= wait <= right + span + 1e-9
        if wait <= 0:
            window.add(1.0, now)
            exact.append(now)
            used += 1
        if number % 1000 == 0:
            assert sum(1 for _ in window.entries()) <= 2 * 4096 + 1


def test_fractions_do_not_add_up_to_an_error():
    """A window that has emptied holds nothing, whatever adding and taking away has left."""
    window = Window(1.0, 1.0)
    for number in range(1000):
        window.add(0.1, number * 0.01)
    assert window.used > 0
    window.expire(1000.0)
    assert window.used == 0.0
    assert window.wait(1.0, 1000.0) == 0.0


def test_a_clock_that_another_thread_read_earlier_puts_nothing_out_of_order():
    """Entries stay in the order of their time, so that none leaves the window too early."""
    window = Window(2.0, 60.0)
    window.add(1.0, 10.0)
    window.add(1.0, 9.0)
    assert list(window.entries()) == [(10.0, 1.0), (10.0, 1.0)]
    assert window.wait(1.0, 69.5) == 0.5


def test_room_is_claimed_ahead_in_the_order_of_asking():
    """``reserve`` tells each the next room there will be; two windows at once are both kept."""
    windows = SlidingWindows([(2.0, 1.0), (3.0, 10.0)])
    assert [windows.reserve(0, 0.0) for _ in range(7)] == [0.0, 0.0, 1.0, 10.0, 10.0, 11.0, 20.0]
    assert windows.reserve(0, 10.5) == pytest.approx(9.5)


def test_told_limits_lower_those_of_a_minute_and_never_raise_them():
    """A higher limit, one of 0, and a window of a day are left alone."""
    windows = SlidingWindows([(60.0, 60.0), (1000.0, 86400.0)], (5000.0, 60.0))
    windows.correct(requests=100.0, tokens=9000.0)
    windows.correct(requests=0.0, tokens=0.0)
    assert [window.limit for window in windows.windows] == [60.0, 1000.0]
    windows.correct(requests=20.0)
    windows.correct(tokens=700.0)
    assert [window.limit for window in windows.windows] == [20.0, 1000.0]
    assert windows.token_window.limit == 700.0


def test_a_place_in_the_queue_alone_takes_no_room():
    """Where windows are kept elsewhere, the head is admitted by whoever counts it."""
    windows = SlidingWindows([(1.0, 60.0)])
    first, second = windows.ask(0, 0.0, elsewhere=True), windows.ask(0, 0.0, elsewhere=True)
    second.wakeup = bell = Bell()
    assert not first.admitted
    assert windows.is_head(first)
    assert not windows.is_head(second)
    windows.admit(first, 1.0)
    windows.admit(first, 1.0)
    assert first.admitted
    assert bell.rung == 1
    assert len(windows) == 1
    windows.full_until = 500.0
    assert windows.projected(0, 10.0) == 490.0


def test_a_ticket_shows_no_entries():
    """What a ticket holds is nobody's business."""
    assert "held" not in repr(Ticket(5.0))


def test_the_limiter_on_its_own_is_one_that_clients_take():
    """It has both methods of the protocol."""
    assert isinstance(RateLimiter(1), Limiter)


def test_what_is_as_old_as_the_window_has_left_it():
    """A stretch of 60 seconds does not have both of its ends."""
    window = Window(10, 60.0)
    window.add(5, 0.0)
    window.expire(60.0)
    assert (window.used, list(window.entries())) == (0.0, [])
    window.add(4, 100.0)
    window.add(1, 160.0)
    assert window.used == 1


def test_what_has_left_the_window_cannot_be_changed():
    """At its edge no more than beyond it; inside it can."""
    window = Window(10, 60.0)
    first, second = window.add(5, 0.0), window.add(3, 30.0)
    window.change(first, -2, 60.0)
    assert window.used == 8
    window.change(second, -2, 60.0)
    assert window.used == 6


def test_a_correction_takes_no_more_than_there_was():
    """However far off an estimate was: no room appears that the limit does not have."""
    window = Window(10, 60.0)
    entry = window.add(5, 0.0)
    window.add(2, 1.0)
    window.change(entry, -9, 2.0)
    assert window.used == 2
    assert [amount for _, amount in window.entries()] == [0, 2]
