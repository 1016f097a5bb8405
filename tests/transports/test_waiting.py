"""Clocks, sleeps and wake-up calls of both worlds."""

import asyncio
import signal
import threading
import time

import pytest

from provider_kit.transports.base import Runtime
from provider_kit.transports.drive import run_to_completion
from provider_kit.transports.runtime_asyncio import AsyncioRuntime, AsyncioWaiter
from provider_kit.transports.runtime_blocking import BlockingRuntime

LONG = 30.0


class Here:
    """A world to wait in."""

    def __init__(self, waiting, run):
        self.waiting, self.run = waiting, run


@pytest.fixture(
    params=[(BlockingRuntime, run_to_completion), (AsyncioRuntime, asyncio.run)], ids=["blocking", "asyncio"]
)
def here(request):
    kind, run = request.param
    return Here(kind(), run)


def test_both_are_what_a_store_may_wait_with(here):
    """They have the methods of the protocol."""
    assert isinstance(here.waiting, Runtime)


def test_a_wake_up_call_ends_a_wait_from_another_thread(here, stopwatch):
    """Long before its time is over."""

    async def scenario():
        wakeup = here.waiting.wakeup()
        timer = threading.Timer(0.02, wakeup.wake)
        timer.start()
        await wakeup.wait(LONG)
        timer.join()

    with stopwatch() as took:
        here.run(scenario())
    assert took.seconds < LONG / 2


def test_a_wake_up_call_before_the_wait_is_not_lost_and_counts_once(here, stopwatch):
    """The next wait ends at once, the one after it does not."""

    async def scenario():
        wakeup = here.waiting.wakeup()
        wakeup.wake()
        wakeup.wake()
        await wakeup.wait(LONG)
        began = here.waiting.now()
        await wakeup.wait(0.03)
        return here.waiting.now() - began

    with stopwatch() as took:
        assert here.run(scenario()) >= 0.029
    assert took.seconds < LONG / 2


def test_a_wait_ends_when_its_time_is_over(here):
    """So does one of no time at all, and a sleep."""

    async def scenario():
        wakeup, now = here.waiting.wakeup(), here.waiting.now
        began = now()
        await wakeup.wait(0.02)
        waited = now() - began
        await wakeup.wait(0)
        began = now()
        await here.waiting.sleep(0.02)
        return waited, now() - began

    waited, slept = here.run(scenario())
    assert waited >= 0.019
    assert slept >= 0.019


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs the signals of Unix")
def test_a_wait_ends_although_a_signal_handler_outlasts_it(here, stopwatch):
    """What is left of the time is then less than nothing, which must not mean for ever."""

    async def scenario():
        await here.waiting.wakeup().wait(0.05)

    before = signal.signal(signal.SIGUSR1, lambda *_: time.sleep(0.1))
    sender = threading.Timer(0.02, signal.pthread_kill, (threading.get_ident(), signal.SIGUSR1))
    try:
        with stopwatch() as took:
            sender.start()
            here.run(scenario())
    finally:
        sender.join()
        signal.signal(signal.SIGUSR1, before)
    assert took.seconds < LONG / 2


def test_the_clocks_are_those_of_the_machine(here):
    """One that only goes forward, common to both worlds, and one of seconds since 1970."""
    assert abs(here.waiting.now() - time.monotonic()) < 1
    assert abs(here.waiting.time() - time.time()) < 1


def test_a_function_that_blocks_is_called_where_it_does_no_harm(here):
    """In the thread itself where that may block, in another one beside an event loop."""

    async def scenario():
        return await here.waiting.call_blocking(lambda value: (value, threading.get_ident()), 5)

    value, thread = here.run(scenario())
    assert value == 5
    assert (thread == threading.get_ident()) == (here.waiting.kind == "blocking")


def test_a_loop_wakes_a_task_of_another_loop():
    """Two event loops in two threads."""
    wakeups, ready = [], threading.Event()

    async def sleeper():
        wakeups.append(AsyncioWaiter())
        ready.set()
        began = time.monotonic()
        await wakeups[0].wait(LONG)
        return time.monotonic() - began

    took = []
    thread = threading.Thread(target=lambda: took.append(asyncio.run(sleeper())))
    thread.start()

    async def waker():
        await asyncio.to_thread(ready.wait)
        wakeups[0].wake()

    asyncio.run(waker())
    thread.join()
    assert took[0] < LONG / 2


@pytest.mark.parametrize("elsewhere", [False, True], ids=["same thread", "another thread"])
def test_waking_somebody_whose_loop_is_closed_breaks_nobody_else(elsewhere):
    """He is gone; who wakes him goes on."""
    loop = asyncio.new_event_loop()
    wakeups = []

    async def sleeper():
        wakeups.append(AsyncioWaiter())
        await wakeups[0].wait(LONG)

    task = loop.create_task(sleeper())
    loop.run_until_complete(asyncio.sleep(0))
    task._log_destroy_pending = False  # it is left behind on purpose
    loop.close()
    failures = []

    def wake():
        try:
            wakeups[0].wake()
        except BaseException as error:
            failures.append(error)

    if elsewhere:
        thread = threading.Thread(target=wake)
        thread.start()
        thread.join()
    else:
        wake()
    assert failures == []


def test_a_task_that_is_cancelled_while_it_waits_is_cancelled():
    """Its own timer is no excuse to swallow that."""

    async def scenario():
        task = asyncio.create_task(AsyncioRuntime().wakeup().wait(LONG))
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(scenario())
