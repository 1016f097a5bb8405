"""Event loops that are closed bare, with tasks still in them: nothing is lost that others wait for."""

import asyncio
import gc
import logging
import os
import threading
import time
import weakref

import pytest

from provider_kit import CircuitBreakerConfig, RateLimitConfig, ResponseCache
from provider_kit.testing import FakeServer

#: What the loops themselves say of being closed so. As errors inside uvloop's close() they would hang it.
pytestmark = pytest.mark.filterwarnings(
    "ignore:unclosed resource:ResourceWarning",
    "ignore:Unclosed connection:ResourceWarning",
    "ignore:coroutine .* was never awaited:RuntimeWarning",
)


def _uvloop():
    return pytest.importorskip("uvloop").new_event_loop()


@pytest.fixture(params=[asyncio.new_event_loop, _uvloop], ids=["asyncio", "uvloop"])
def new_loop(request):
    """A function that makes an event loop, which nobody closes for the test."""
    return request.param


@pytest.fixture
def server():
    with FakeServer() as made:
        yield made


@pytest.fixture(autouse=True)
def _quiet(caplog):
    """Nothing goes wrong inside a callback; that a task was pending is what the tests are about."""
    threads = threading.active_count()
    with caplog.at_level(logging.ERROR, logger="asyncio"):
        yield
    gc.collect()
    told = [record.getMessage() for record in caplog.records if record.name == "asyncio"]
    assert [text for text in told if "was destroyed but it is pending" not in text] == []
    assert threading.active_count() <= threads + 1  # the server's own


def sockets():
    """How many sockets this process has open."""
    count = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            count += os.readlink(f"/proc/self/fd/{name}").startswith("socket:")
        except OSError:
            continue
    return count


def soon(condition, seconds=3.0):
    """Whether something becomes true soon."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


async def read(client):
    async with client.astream("Hi", total_timeout=5) as stream:
        return [chunk async for chunk in stream]


def under_way(loop, server, coroutine):
    """Run a loop until the server has a call, then close it bare; the task, which will never end."""
    before = len(server.requests)
    task = loop.create_task(coroutine)

    async def arrived():
        while len(server.requests) == before:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.02)

    loop.run_until_complete(arrived())
    assert not task.done()
    loop.close()
    return task


def finish(client):
    """A last call of asyncio's, which closes what the dead loops left."""
    assert asyncio.run(client.achat("What is 1 + 1?", total_timeout=5)).text == "1 + 1 = 2"
    client.close()


def again(how, client, new_loop):
    """A call in another world than the dead one."""
    if how == "blocking":
        return client.chat("What is 20 + 22?", total_timeout=5).text
    if how == "asyncio.run":
        return asyncio.run(client.achat("What is 20 + 22?", total_timeout=5)).text
    loop = new_loop()
    try:
        return loop.run_until_complete(client.achat("What is 20 + 22?", total_timeout=5)).text
    finally:
        loop.run_until_complete(client.aclose())
        loop.close()


def test_a_loop_that_is_closed_bare_leaves_no_socket_and_no_loop(server, new_loop):
    """Calls in twenty loops, none of which is finalised: sockets and loops are gone in the end."""
    client = server.client()
    before = sockets()
    loops = []
    for _ in range(20):
        loop = new_loop()
        assert loop.run_until_complete(client.achat("What is 20 + 22?")).text == "20 + 22 = 42"
        loop.run_until_complete(read(client))
        loop.close()
        loops.append(weakref.ref(loop))
        del loop
    assert client.chat("What is 20 + 22?").text == "20 + 22 = 42"
    client.close()
    asyncio.run(client.achat("Hi"))
    gc.collect()
    assert [one() for one in loops] == [None] * 20
    assert soon(lambda: server.open_connections == 0)
    assert soon(lambda: sockets() <= before)


@pytest.mark.parametrize("verb", ["chat", "stream"])
@pytest.mark.parametrize("kept", [True, False], ids=["held", "dropped"])
def test_a_loop_with_pending_calls_leaves_no_socket_and_no_loop(server, new_loop, verb, kept):
    """Whether the tasks are still referred to or not."""
    server.always(latency=30)
    client = server.client(max_retries=0)
    before = sockets()
    loops = []
    for _ in range(5):
        loop = new_loop()
        task = under_way(loop, server, client.achat("Hi") if verb == "chat" else read(client))
        loops.append(weakref.ref(loop))
        if not kept:
            del task
        del loop
        gc.collect()
    server.always()
    assert client.chat("What is 20 + 22?").text == "20 + 22 = 42"
    assert asyncio.run(client.achat("What is 20 + 22?")).text == "20 + 22 = 42"
    client.close()
    task = None
    gc.collect()
    assert [one() for one in loops] == [None] * 5
    assert soon(lambda: sockets() <= before + 5)  # the server's ends, while it still sleeps


@pytest.mark.parametrize("how", ["new loop", "asyncio.run", "blocking"])
@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_the_place_of_a_dead_loop_comes_back(server, new_loop, how, verb):
    """One call at most is in flight; the one that is will never end, and does not count."""
    client = server.client(max_concurrency=1, max_retries=0)
    server.fault(latency=30)
    loop = new_loop()
    task = under_way(loop, server, client.achat("Hi") if verb == "chat" else read(client))
    began = time.monotonic()
    assert again(how, client, new_loop) == "20 + 22 = 42"
    assert time.monotonic() - began < 4
    assert not task.done()
    finish(client)


@pytest.mark.parametrize("how", ["new loop", "asyncio.run", "blocking"])
def test_a_place_in_the_queue_of_a_dead_loop_is_skipped(server, new_loop, how):
    """Two of the dead loop wait for a place; the next one in line is somebody who lives."""
    client = server.client(max_concurrency=1, max_retries=0)
    server.fault(latency=0.6)
    loop = new_loop()
    holder = threading.Thread(target=lambda: client.chat("Hi"))
    holder.start()
    assert soon(lambda: server.requests)
    tasks = [loop.create_task(client.achat("Hi")) for _ in range(2)]
    loop.run_until_complete(asyncio.sleep(0.05))
    loop.close()
    began = time.monotonic()
    assert again(how, client, new_loop) == "20 + 22 = 42"
    assert time.monotonic() - began < 2.5
    assert not any(task.done() for task in tasks)
    holder.join(5)
    assert len(server.requests) == 2
    finish(client)


@pytest.mark.parametrize("how", ["new loop", "asyncio.run", "blocking"])
def test_the_turn_of_a_dead_loop_is_skipped(server, new_loop, how):
    """Its call waits for the rate limit and will never ask again; who comes later goes on."""
    limit = RateLimitConfig(requests_per_minute=120, pacing="smooth")  # one each half second
    client = server.client(rate_limit=limit, max_retries=0)
    client.chat("Hi")
    loop = new_loop()
    tasks = [loop.create_task(client.achat("Hi")) for _ in range(3)]
    loop.run_until_complete(asyncio.sleep(0.02))
    loop.close()
    began = time.monotonic()
    assert again(how, client, new_loop) == "20 + 22 = 42"
    assert time.monotonic() - began < 2
    assert not any(task.done() for task in tasks)
    assert len(server.requests) == 2
    finish(client)


@pytest.mark.parametrize("how", ["new loop", "asyncio.run", "blocking"])
@pytest.mark.parametrize("verb", ["chat", "stream"])
@pytest.mark.parametrize("kept", [True, False], ids=["held", "dropped"])
def test_the_lead_of_a_dead_loop_is_taken_over(server, new_loop, how, verb, kept):
    """It asked for what others want too, and will never tell; the next one asks."""
    cache = ResponseCache(single_flight=True)
    client = server.client(response_cache=cache, max_retries=0)
    server.fault(latency=30)
    loop = new_loop()

    async def stream():
        async with client.astream("What is 20 + 22?") as made:
            return [chunk async for chunk in made]

    task = under_way(loop, server, client.achat("What is 20 + 22?") if verb == "chat" else stream())
    if not kept:
        del task
        gc.collect()
    began = time.monotonic()
    assert again(how, client, new_loop) == "20 + 22 = 42"
    assert time.monotonic() - began < 4
    assert len(server.requests) == 2
    finish(client)


def test_those_who_wait_in_a_loop_that_lives_are_woken(server, new_loop):
    """A loop that dies while holding the place, with someone of a living loop behind it."""
    client = server.client(max_concurrency=1, max_retries=0)
    server.fault(latency=30)
    dead = new_loop()
    task = under_way(dead, server, client.achat("Hi"))

    async def three():
        return await asyncio.gather(*(client.achat("What is 20 + 22?", total_timeout=5) for _ in range(3)))

    began = time.monotonic()
    assert {answer.text for answer in asyncio.run(three())} == {"20 + 22 = 42"}
    assert time.monotonic() - began < 4
    assert not task.done()
    finish(client)


def test_a_stream_of_a_dead_loop_can_be_closed_from_a_living_one(server, new_loop):
    """Nothing comes of it but an error at worst that says so; no attribute is missing anywhere."""
    client = server.client(max_retries=0)
    server.fault(token_delay=0.2)
    loop = new_loop()
    stream = client.astream("Hi")
    loop.run_until_complete(anext(stream))
    loop.close()

    async def leave():
        try:
            await stream.aclose()
        except AttributeError:
            raise
        except Exception as error:
            return error

    told = asyncio.run(leave())
    assert told is None or "closed" in str(told)
    finish(client)


def test_a_call_that_dies_with_its_loop_is_no_failure(server, caplog):
    """Nothing is told, tried again, or counted against the provider."""
    client = server.client(max_retries=3, circuit_breaker=CircuitBreakerConfig(min_requests=1), timeout=20)
    server.always(latency=3)
    loops = []
    with caplog.at_level(logging.WARNING, logger="provider_kit"):
        for _ in range(4):
            loop = asyncio.new_event_loop()
            coroutine = client.achat("Hi")
            task = loop.create_task(coroutine)
            loop.run_until_complete(asyncio.sleep(0.05))
            task._log_destroy_pending = False
            loop.close()
            coroutine.close()
            loops.append(loop)
            del task, coroutine
            gc.collect()
    assert [record.getMessage() for record in caplog.records if record.name.startswith("provider_kit")] == []
    server.always()
    assert client.chat("What is 20 + 22?").text == "20 + 22 = 42"
    assert asyncio.run(client.achat("What is 20 + 22?")).text == "20 + 22 = 42"
    client.close()
