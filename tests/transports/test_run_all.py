"""Doing several things at once, the same way in both worlds."""

import asyncio
import threading
import time

import pytest

from provider_kit import ScriptedTransport


@pytest.fixture(params=["real", "scripted"])
def at_once(request, world):
    """A transport, and the world to run its coroutines in."""
    return (ScriptedTransport([]) if request.param == "scripted" else world.transport()), world


async def collect(transport, thunks, limit=None):
    return [outcome async for outcome in transport.run_all(thunks, limit)]


def test_every_outcome_comes_with_its_number(at_once):
    """Results and exceptions, as they end."""
    transport, world = at_once

    async def work(number):
        if number == 1:
            raise ValueError("one")
        return number * 10

    outcomes = world.run(collect(transport, [lambda number=number: work(number) for number in range(4)]))
    found = dict(outcomes)
    assert {number: found[number] for number in (0, 2, 3)} == {0: 0, 2: 20, 3: 30}
    assert isinstance(found[1], ValueError)
    assert world.run(collect(transport, [])) == []


def test_outcomes_come_in_the_order_they_end(world):
    """The quick do not wait for the slow."""
    transport = world.transport()

    async def work(seconds):
        await world.pause(seconds)
        return seconds

    thunks = [lambda seconds=seconds: work(seconds) for seconds in (0.15, 0.01, 0.08)]
    assert [result for _, result in world.run(collect(transport, thunks))] == [0.01, 0.08, 0.15]


@pytest.mark.parametrize("limit", [1, 3])
def test_no_more_than_the_limit_run_at_once(world, limit):
    """The rest wait for their turn, in order."""
    transport = world.transport()
    lock = threading.Lock()
    running, most, started = [], [], []

    async def work(number):
        with lock:
            running.append(number)
            started.append(number)
            most.append(len(running))
        await world.pause(0.01)
        with lock:
            running.remove(number)
        return number

    thunks = [lambda number=number: work(number) for number in range(9)]
    outcomes = world.run(collect(transport, thunks, limit))
    assert sorted(number for number, _ in outcomes) == list(range(9))
    assert max(most) == limit
    assert sorted(started) == list(range(9))
    if limit == 1:
        assert started == list(range(9))


def test_leaving_early_starts_nothing_more(world):
    """What runs is cancelled under asyncio; what waits is never begun in either world."""
    transport = world.transport()
    begun, cancelled = [], []

    async def work(number):
        begun.append(number)
        try:
            await world.pause(0 if number == 0 else 0.05)
        except asyncio.CancelledError:
            cancelled.append(number)
            raise

    async def scenario():
        thunks = [lambda number=number: work(number) for number in range(20)]
        outcomes = transport.run_all(thunks, 2)
        async for number, _ in outcomes:
            assert number == 0
            break
        await outcomes.aclose()
        if world.name == "asyncio":
            assert cancelled == begun[1:]
        await world.pause(0.12)
        assert len(begun) <= 4
        assert not [thread for thread in threading.enumerate() if thread.name == "provider-kit"]

    world.run(scenario())


def test_an_error_that_is_no_exception_ends_everything(world):
    """``SystemExit`` and its kin are raised where the outcomes are read."""
    transport = world.transport()

    class Stop(BaseException):
        pass

    async def work(number):
        if number == 1:
            raise Stop
        await world.pause(0.01)

    async def scenario():
        with pytest.raises(Stop):
            await collect(transport, [lambda number=number: work(number) for number in range(3)])

    thread = threading.Thread(target=lambda: outcome.append(world.run(scenario())), daemon=True)
    outcome = []
    thread.start()
    thread.join(2)
    assert outcome == [None], "the reader waits for ever"


def test_cancelling_the_reader_cancels_the_work():
    """Nothing goes on behind the caller's back."""
    from provider_kit.transports.aiohttp_transport import AiohttpTransport

    ended = []

    async def work():
        try:
            await asyncio.sleep(5)
        finally:
            ended.append(True)

    async def scenario():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await collect(AiohttpTransport(), [work] * 3)
        assert ended == [True] * 3
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(scenario())


def test_blocking_work_does_not_block_a_loop(world):
    """Under asyncio a blocking function runs in a thread; without a loop, directly."""
    transport = world.transport()

    def where(text, number):
        time.sleep(0.05)
        return threading.current_thread() is threading.main_thread(), f"{text}{number}"

    async def scenario():
        ticks = []

        async def tick():
            while True:
                ticks.append(True)
                await asyncio.sleep(0.01)

        task = asyncio.create_task(tick()) if world.name == "asyncio" else None
        outcome = await transport.call_blocking(where, "a", 1)
        if task is not None:
            task.cancel()
            assert len(ticks) > 2
        return outcome

    assert world.run(scenario()) == (world.name == "blocking", "a1")


def test_an_error_of_blocking_work_arrives(world):
    """As it was raised."""

    def fail():
        raise KeyError("x")

    async def scenario():
        with pytest.raises(KeyError):
            await world.transport().call_blocking(fail)

    world.run(scenario())
