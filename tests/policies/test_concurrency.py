"""Slots for calls in flight, and the queue before them."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider_kit.policies.concurrency import Slots


class Bell:
    """Somebody who waits."""

    rung = 0

    def wake(self):
        self.rung += 1


def test_a_freed_slot_goes_to_whoever_has_waited_longest():
    """First come, first served; one slot wakes one."""
    slots = Slots(1)
    first = slots.take()
    waiting = [slots.take() for _ in range(3)]
    for place in waiting:
        place.wakeup = Bell()
    assert first.granted
    assert len(slots) == 3
    slots.leave(first)
    assert [place.granted for place in waiting] == [True, False, False]
    assert [place.wakeup.rung for place in waiting] == [1, 0, 0]
    assert slots.taken == 1


def test_a_slot_that_is_handed_over_before_its_waiter_is_known_is_not_lost():
    """It is granted, and seen when the new holder looks."""
    slots = Slots(1)
    first, second = slots.take(), slots.take()
    slots.leave(first)
    assert second.granted


def test_whoever_gives_up_waiting_takes_no_slot():
    """The next in the queue gets it, and in the end nothing is taken."""
    slots = Slots(1)
    first, second, third = slots.take(), slots.take(), slots.take()
    slots.leave(second)
    slots.leave(first)
    assert not second.granted
    assert third.granted
    slots.leave(third)
    assert (slots.taken, len(slots)) == (0, 0)


@given(st.integers(1, 3), st.lists(st.one_of(st.none(), st.integers(0, 20)), max_size=60))
def test_there_are_never_more_than_the_limit_and_no_slot_is_idle_while_somebody_waits(limit, orders):
    """Whatever order they come and go in: ``None`` is one who comes, a number one who goes."""
    slots, places = Slots(limit), []
    for order in orders:
        if order is None:
            places.append(slots.take())
        elif places:
            slots.leave(places.pop(order % len(places)))
        granted = [place.granted for place in places]
        assert sum(granted) == slots.taken == min(limit, len(places))
        assert granted == sorted(granted, reverse=True)
        assert len(slots) == len(places) - slots.taken


@pytest.mark.parametrize("limit", [1, 4])
def test_threads_never_hold_more_slots_than_there_are(limit):
    """Sixteen threads take and leave; the count holds, and nobody is left waiting."""
    slots, lock = Slots(limit), threading.Lock()
    inside, most, failures = 0, 0, []

    class Wakeup:
        def __init__(self):
            self.event = threading.Event()

        def wake(self):
            self.event.set()

    def work():
        nonlocal inside, most
        for _ in range(50):
            place = slots.take()
            if not place.granted:
                place.wakeup = wakeup = Wakeup()
                while not place.granted:
                    if not wakeup.event.wait(10) and not place.granted:
                        failures.append("nobody woke it")
                        return
            with lock:
                inside += 1
                most = max(most, inside)
            with lock:
                inside -= 1
            slots.leave(place)

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert most <= limit
    assert (slots.taken, len(slots)) == (0, 0)
