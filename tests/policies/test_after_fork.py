"""A forked child begins with the parent's numbers, but waits for nobody who is not there."""

import contextlib
import os
import sys
import threading

import pytest

from provider_kit import CircuitBreaker, KeyPool, ResponseCache
from provider_kit.policies.concurrency import Slots
from provider_kit.policies.header_limits import HeaderLimits
from provider_kit.policies.rate_limit import SlidingWindows

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def in_a_child(function):
    """Whether a function returns true in a forked child."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if function() else 1)
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_no_lock_is_inherited_locked():
    """Another thread of the parent may have held it just then."""
    pool, slots, windows = KeyPool("x", ["key-one"]), Slots(1), SlidingWindows([(5, 60)])
    breaker, learned, cache = CircuitBreaker(), HeaderLimits(), ResponseCache()
    everything = (pool, slots, windows, breaker, learned, cache._flights, cache.memory)
    held, done = threading.Event(), threading.Event()

    def hold():
        with contextlib.ExitStack() as stack:
            for one in everything:
                stack.enter_context(one._lock)
            held.set()
            done.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert held.wait(10)
        assert in_a_child(lambda: all(one._lock.acquire(blocking=False) for one in everything))
    finally:
        done.set()
        thread.join()


def test_places_of_the_parents_calls_are_free_in_the_child():
    """Their threads do not exist there, so nobody would ever give them back."""
    slots = Slots(1)
    held, waiting = slots.take(), slots.take()
    assert (held.granted, waiting.granted) == (True, False)
    assert in_a_child(lambda: slots.take().granted and len(slots) == 0)
    assert (slots.taken, len(slots)) == (1, 1)


def test_nobody_waits_behind_the_parents_queue():
    """What was sent stays counted, for the provider counts it too."""
    windows = SlidingWindows([(1, 60)])
    assert windows.ask(0, 100.0).admitted
    waiting = windows.ask(0, 100.0)

    def use():
        alone = windows.ask(0, 130.0)
        return not alone.admitted and windows.ready(alone, 130.0) == 30.0 and windows.ready(alone, 160.0) == 0.0

    assert in_a_child(use)
    assert (len(windows), waiting.admitted) == (1, False)


def test_a_call_that_leads_in_the_parent_leads_nobody_in_the_child():
    """The child asks itself."""

    class Sleeper:
        def wake(self):
            pass

    cache = ResponseCache(single_flight=True)
    assert cache.lead("key", Sleeper())
    assert not cache.lead("key", Sleeper())
    assert in_a_child(lambda: cache.lead("key", Sleeper()))


def test_a_stream_that_is_collected_while_its_thread_holds_a_lock_does_no_harm():
    """The garbage collector runs whenever it likes; what it finalises may give a place back."""
    slots = Slots(2)
    place = slots.take()
    with slots._lock:
        slots.leave(place)
    assert slots.taken == 0
