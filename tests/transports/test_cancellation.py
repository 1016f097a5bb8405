"""Cancellation: at any moment, whatever is under way ends, and nothing is left behind."""

import asyncio
import gc
import os
import signal
import threading

import pytest

from provider_kit import Client
from provider_kit.model.config import HTTPConfig


def count_files():
    return len(os.listdir("/proc/self/fd"))


def before_the_answer(wire):
    return lambda connection, request: connection.hold()


def in_the_head(wire):
    def handle(connection, request):
        connection.send(wire.whole()[:30])
        connection.hold()

    return handle


def in_the_body(wire):
    def handle(connection, request):
        connection.send(wire.whole()[:-5])
        connection.hold()

    return handle


def in_a_stream(wire):
    def handle(connection, request):
        connection.send(wire.stream_head(), wire.chunk(wire.token("x")))
        connection.hold()

    return handle


def after_a_stream(wire):
    def handle(connection, request):
        connection.send(wire.stream_head(), wire.chunk(wire.token("x") + wire.end))
        connection.hold()

    return handle


MOMENTS = [before_the_answer, in_the_head, in_the_body, in_a_stream, after_a_stream]


async def read(made, verb):
    if verb == "achat":
        await made.achat("Hi")
    else:
        async for _ in made.astream("Hi"):
            pass


async def until(condition):
    for _ in range(1000):
        if condition():
            return True
        await asyncio.sleep(0.003)
    return False


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.__name__)
@pytest.mark.parametrize("verb", ["achat", "astream"])
@pytest.mark.parametrize("how", ["cancel", "timeout"])
def test_cancelling_frees_the_connection(serve, wire, stopwatch, moment, verb, how):
    """The task ends cancelled at once, the server sees the end, the place in the pool is free."""
    server = serve(moment(wire))

    async def scenario():
        made = Client(f"{server.url}/v1", model="m", http=HTTPConfig(max_connections=1), timeout=30)
        for number in (1, 2):
            if how == "cancel":
                task = asyncio.create_task(read(made, verb))
                assert await until(lambda number=number: len(server.requests) == number)
                await asyncio.sleep(0.02)
                task.cancel()
                with stopwatch() as watch, pytest.raises(asyncio.CancelledError):
                    await task
                assert task.cancelled()
                assert watch.seconds < 2.5
            else:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await read(made, verb)
            assert await until(server.idle)
        assert server.connections == 2
        await made.aclose()

    asyncio.run(scenario())


def test_cancelling_while_connecting_frees_the_connection(serve):
    """In the middle of a handshake."""
    server = serve(lambda connection: connection.hold(), read=False)

    async def scenario():
        made = Client(f"https://127.0.0.1:{server.port}/v1", model="m")
        task = asyncio.create_task(made.achat("Hi"))
        assert await until(lambda: server.connections == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await until(server.idle)
        await made.aclose()

    asyncio.run(scenario())


def test_cancelling_while_waiting_for_a_connection_loses_no_place(serve, wire):
    """The one who waited does not take the place with him."""
    free = threading.Event()

    def handle(connection, request):
        free.wait(3)
        connection.send(wire.whole())

    server = serve(handle)

    async def scenario():
        made = Client(f"{server.url}/v1", model="m", http=HTTPConfig(max_connections=1))
        tasks = [asyncio.create_task(made.achat("Hi")) for _ in range(4)]
        assert await until(lambda: server.requests)
        for task in tasks[1:3]:
            task.cancel()
        await asyncio.sleep(0)
        free.set()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [getattr(outcome, "text", type(outcome)) for outcome in outcomes] == [
            "Hi",
            asyncio.CancelledError,
            asyncio.CancelledError,
            "Hi",
        ]
        await made.aclose()

    asyncio.run(scenario())
    assert server.connections == 1


def test_cancelling_a_wait_between_attempts_ends_it(serve, wire):
    """No attempt follows."""
    server = serve(wire.whole(b"{}", "Retry-After: 30", status="503 Service Unavailable"))

    async def scenario():
        made = Client(f"{server.url}/v1", model="m")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await made.achat("Hi")
        await made.aclose()

    asyncio.run(scenario())
    assert len(server.requests) == 1


def test_a_cancellation_at_the_very_moment_of_the_clock_is_not_swallowed(serve, wire):
    """Where both happen at once, the one who asked for the cancellation gets it."""
    server = serve(before_the_answer(wire))

    async def scenario():
        made = Client(f"{server.url}/v1", model="m", max_retries=0)
        outcomes = []
        for delay in (0.095, 0.1, 0.105, 0.11):
            task = asyncio.create_task(made.achat("Hi", timeout=0.1))
            asyncio.get_running_loop().call_later(delay, task.cancel)
            await asyncio.wait([task])
            outcomes.append("cancelled" if task.cancelled() else type(task.exception()).__name__)
            if not task.cancelled():
                assert task.cancelling() == 0 or outcomes[-1] == "CancelledError"
        assert set(outcomes) <= {"cancelled", "APITimeoutError"}
        assert outcomes[0] == "cancelled"
        await made.aclose()

    asyncio.run(scenario())


def test_a_clock_inside_a_timeout_of_the_callers_stays_ours(serve, wire):
    """``asyncio.timeout`` around a call is not confused by our own clock running out."""
    server = serve(before_the_answer(wire))

    async def scenario():
        made = Client(f"{server.url}/v1", model="m", max_retries=0)
        async with asyncio.timeout(3):
            with pytest.raises(Exception, match="within"):
                await made.achat("Hi", timeout=0.05)
            await asyncio.sleep(0)
        assert asyncio.current_task().cancelling() == 0
        await made.aclose()

    asyncio.run(scenario())


@pytest.mark.parametrize("world_name", ["blocking", "asyncio"])
def test_a_thousand_broken_off_streams_leave_nothing(serve, wire, world_name):
    """No socket, no task, no thread."""

    def handle(connection, request):
        connection.send(wire.stream_head(), wire.chunk(wire.token("x")) * 3)
        connection.hold()

    server = serve(handle)
    made = Client(f"{server.url}/v1", model="m")
    if world_name == "blocking":
        assert next(made.stream("Hi")).text == "x"
        gc.collect()
        assert server.wait(server.idle)
        files, threads = count_files(), threading.active_count()
        for number in range(1000):
            stream = made.stream("Hi")
            next(stream)
            if number % 2:
                stream.close()
        del stream
        assert server.wait(server.idle)
        assert abs(count_files() - files) <= 2
        assert threading.active_count() <= threads + 2
        made.close()
        return

    async def scenario():
        async for _ in made.astream("Hi"):
            break
        assert await until(server.idle)
        files, tasks = count_files(), len(asyncio.all_tasks())
        threads = threading.active_count()

        async def break_off(number):
            if number % 2:
                async for _ in made.astream("Hi"):
                    break
            else:
                task = asyncio.create_task(read(made, "astream"))
                await asyncio.sleep(0.001 * (number % 7))
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

        for wave in range(20):
            await asyncio.gather(*[break_off(wave * 50 + number) for number in range(50)])
        assert await until(server.idle)
        await asyncio.sleep(0.02)
        assert abs(count_files() - files) <= 2
        assert len(asyncio.all_tasks()) == tasks
        assert threading.active_count() <= threads + 2
        await made.aclose()

    asyncio.run(scenario())


def test_interrupting_a_blocking_call_frees_the_connection(serve, wire, client):
    """Ctrl-C in the middle of an answer."""
    server = serve(in_the_body(wire))
    made = client(server, max_connections=1)
    streaming = serve(in_a_stream(wire))
    streamer = client(streaming, max_connections=1)

    def interrupt():
        os.kill(os.getpid(), signal.SIGINT)

    for _ in range(2):
        timer = threading.Timer(0.05, interrupt)
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            made.chat("Hi")
        timer.join()
        assert server.wait(server.idle)
        timer = threading.Timer(0.05, interrupt)
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            for _ in streamer.stream("Hi"):
                pass
        timer.join()
        assert streaming.wait(streaming.idle)
