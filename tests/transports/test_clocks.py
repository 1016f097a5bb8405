"""Clocks: every wait ends, whatever the server sends now and then, and only its own waits count."""

import asyncio
import math
import threading

import pytest

from provider_kit import APITimeoutError, Client, DeadlineExceededError, StreamError
from provider_kit.errors import StreamTimeoutError
from provider_kit.model.config import Timeout
from provider_kit.transports.requests_transport import RequestsTransport
from provider_kit.wire.http import Limits

#: Longer than any clock of these tests.
LONG = 5


def silent(wire):
    return lambda connection, request: connection.hold()


def dripping_head(wire):
    return lambda connection, request: connection.drip(wire.whole())


def dripping_hints(wire):
    return lambda connection, request: connection.drip(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 50)


def dripping_body(wire):
    def handle(connection, request):
        connection.send(wire.head("Content-Length: 1000"))
        connection.drip(b"x" * 1000)

    return handle


def dripping_chunks(wire):
    def handle(connection, request):
        connection.send(wire.stream_head())
        connection.drip(wire.chunk(wire.token("x")) * 20)

    return handle


def pinging(wire):
    def handle(connection, request):
        connection.send(wire.stream_head())
        while True:
            connection.send(wire.chunk(wire.ping))
            connection.pause(0.03)

    return handle


def stalling_body(wire):
    def handle(connection, request):
        connection.send(wire.whole()[:-5])
        connection.hold()

    return handle


SLOW = [silent, dripping_head, dripping_hints, dripping_body, dripping_chunks, pinging, stalling_body]


@pytest.fixture(params=SLOW, ids=lambda kind: kind.__name__)
def slow(request, wire, serve):
    return serve(request.param(wire))


def test_a_slow_answer_cannot_outlive_its_clock(slow, world, client, stopwatch):
    """Bytes that arrive one by one, in headers or body, do not keep a whole answer alive."""
    made = client(slow, timeout=0.1)

    async def scenario():
        with stopwatch() as watch, pytest.raises(APITimeoutError, match=r"within 0\.1 s") as caught:
            await world.chat(made, "Hi")
        assert 0.08 < watch.seconds < 2.5
        assert not isinstance(caught.value, DeadlineExceededError)
        assert not caught.value.retryable, "it was sent"
        assert await world.until(slow.idle)
        await world.close(made)

    world.run(scenario())


def test_a_slow_answer_cannot_outlive_the_total(slow, world, client, stopwatch):
    """Nor the deadline of the whole call."""
    made = client(slow, total_timeout=0.1, max_retries=3)

    async def scenario():
        with stopwatch() as watch, pytest.raises(DeadlineExceededError) as caught:
            await world.chat(made, "Hi")
        assert 0.08 < watch.seconds < 2.5
        assert not caught.value.retryable
        assert await world.until(slow.idle)
        await world.close(made)

    world.run(scenario())


@pytest.mark.parametrize("clock", ["first token", "total"])
def test_a_stream_without_content_cannot_outlive_its_clocks(slow, world, client, stopwatch, clock):
    """Neither bytes nor keep-alive comments count as content."""
    made = client(slow, timeout=0.1) if clock == "first token" else client(slow, timeout=LONG, total_timeout=0.1)

    async def scenario():
        received = []
        with stopwatch() as watch, pytest.raises(APITimeoutError) as caught:
            async for chunk in world.stream(made, "Hi"):
                received.append(chunk)
        assert watch.seconds < 2.5 + 3 * len(received)
        assert isinstance(caught.value, DeadlineExceededError) == (clock == "total" and not received)
        assert not caught.value.retryable
        assert await world.until(slow.idle)
        await world.close(made)

    world.run(scenario())


def test_pings_do_not_feed_the_idle_clock(serve, wire, world, client, stopwatch):
    """After content, too, only content counts; what was received is kept."""

    def handle(connection, request):
        connection.send(wire.stream_head(), wire.chunk(wire.token("received")))
        while True:
            connection.send(wire.chunk(wire.ping))
            connection.pause(0.02)

    server = serve(handle)
    made = client(server, timeout=Timeout(first_token=LONG, idle=0.15))

    async def scenario():
        with stopwatch() as watch, pytest.raises(StreamTimeoutError, match=r"for 0\.15 s in the middle") as caught:
            async for _ in world.stream(made, "Hi"):
                pass
        assert 0.1 < watch.seconds < 2.5
        assert caught.value.partial.text == "received"
        assert await world.until(server.idle)
        await world.close(made)

    world.run(scenario())


def test_content_feeds_the_idle_clock(serve, wire, world, client):
    """A stream may take far longer than the clocks, as long as something comes."""

    def handle(connection, request):
        connection.send(wire.stream_head())
        for _ in range(8):
            connection.pause(0.06)
            connection.send(wire.chunk(wire.token("x")))
        connection.send(wire.chunk(wire.end), wire.last)

    made = client(serve(handle), timeout=0.25)

    async def scenario():
        assert "".join([chunk.text async for chunk in world.stream(made, "Hi")]) == "x" * 8
        await world.close(made)

    world.run(scenario())


def test_content_does_not_feed_the_total(serve, wire, world, client, stopwatch):
    """The deadline of the whole call is final."""

    def handle(connection, request):
        connection.send(wire.stream_head())
        while True:
            connection.send(wire.chunk(wire.token("x")))
            connection.pause(0.02)

    server = serve(handle)
    made = client(server, total_timeout=0.2)

    async def scenario():
        with stopwatch() as watch, pytest.raises(StreamTimeoutError) as caught:
            async for _ in world.stream(made, "Hi"):
                pass
        assert 0.15 < watch.seconds < 2.5
        assert set(caught.value.partial.text) == {"x"}
        assert await world.until(server.idle)
        await world.close(made)

    world.run(scenario())


def test_time_the_reader_spends_does_not_count(serve, wire, world, client):
    """Whoever looks at each chunk for long is not punished for it."""

    def handle(connection, request):
        connection.send(wire.stream_head())
        for text in ("a", "b", "c"):
            connection.send(wire.chunk(wire.token(text)))
            connection.pause(0.03)
        connection.send(wire.chunk(wire.end), wire.last)

    made = client(serve(handle), timeout=Timeout(first_token=0.1, idle=0.1))

    async def scenario():
        texts = []
        async for chunk in world.stream(made, "Hi"):
            texts.append(chunk.text)
            await world.pause(0.15)
        assert "".join(texts) == "abc"
        await world.close(made)

    world.run(scenario())


def test_the_first_content_may_take_longer_than_the_pauses(serve, wire, world, client):
    """Each wait has its own clock."""

    def handle(connection, request):
        connection.send(wire.stream_head())
        connection.pause(0.25)
        connection.send(wire.chunk(wire.token("Hi")), wire.chunk(wire.end), wire.last)

    made = client(serve(handle), timeout=Timeout(first_token=1, idle=0.1))

    async def scenario():
        assert "".join([chunk.text async for chunk in world.stream(made, "Hi")]) == "Hi"
        await world.close(made)

    world.run(scenario())


def test_many_clocks_run_at_once(serve, wire, world):
    """Each call of many ends by its own clock, in any order."""
    server = serve(silent(wire))
    made = Client(f"{server.url}/v1", model="m", max_retries=0)
    seconds = [0.5, 0.1, 0.3, 0.2, 0.4]

    async def call(number):
        with pytest.raises(APITimeoutError, match=f"{seconds[number]:g} s"):
            await world.chat(made, "Hi", timeout=seconds[number])

    async def scenario():
        transport = world.transport()
        order = []
        thunks = [lambda number=number: call(number) for number in range(5)]
        async for number, outcome in transport.run_all(thunks):
            assert outcome is None
            order.append(number)
        assert order == [1, 3, 2, 4, 0]
        assert await world.until(server.idle)
        await world.close(made)

    world.run(scenario())


def test_a_deadline_that_has_passed_sends_nothing(serve, wire, world, post, limits):
    """There is no time left to wait for an answer."""
    server = serve(wire.whole())

    async def scenario():
        transport = world.transport()
        for method in (transport.send, transport.open_stream):
            with pytest.raises(DeadlineExceededError):
                await method(post(server.url), limits(total=-1))
        await transport.aclose()

    world.run(scenario())
    assert server.requests == []


def test_the_total_spans_all_attempts(serve, wire, world, client, stopwatch):
    """Tries and waits together end by the deadline; there is no try that could not end in time."""

    def handle(connection, request):
        connection.pause(0.06)
        connection.send(wire.whole(b"{}", status="503 Service Unavailable"))

    server = serve(handle)
    made = client(server, total_timeout=0.3, retry=lambda error, number: 0.02 if error.retryable else None)

    async def scenario():
        with stopwatch() as watch, pytest.raises(Exception, match=r"503|total") as caught:
            await world.chat(made, "Hi")
        assert watch.seconds < 2.5
        assert len(caught.value.attempts) >= 2
        await world.close(made)

    world.run(scenario())


@pytest.mark.parametrize("timeout", [None, math.inf, Timeout(None, None, None), Timeout(total=math.inf)])
def test_there_may_be_no_clock_at_all(serve, wire, world, client, timeout):
    """``None`` and infinity wait without limit, also on a connection that had clocks before."""

    def handle(connection, request):
        connection.pause(0.05)
        connection.send(wire.stream("Hi") if b'"stream":true' in request.body else wire.whole())

    made = client(serve(handle), timeout=timeout, total_timeout=math.inf)

    async def scenario():
        assert (await world.chat(made, "Hi", timeout=0.3)).text == "Hi"
        assert (await world.chat(made, "Hi")).text == "Hi"
        assert "".join([chunk.text async for chunk in world.stream(made, "Hi")]) == "Hi"
        await world.close(made)

    world.run(scenario())


def test_limits_may_all_be_missing(serve, wire, world, post):
    """At the protocol level as well."""
    server = serve(wire.stream("Hi"))

    async def scenario():
        transport = world.transport()
        assert (await transport.send(post(server.url), Limits())).body
        stream = await transport.open_stream(post(server.url), Limits())
        while await stream.read():
            stream.progress()
        await transport.aclose()

    world.run(scenario())


def test_a_large_request_that_nobody_reads_cannot_outlive_its_clock(serve, wire, world, client, stopwatch):
    """Sending is waiting, too."""

    def handle(connection):
        connection.head()
        connection.pause(LONG)

    server = serve(handle, read=False)
    made = client(server, timeout=0.25)

    async def scenario():
        with stopwatch() as watch, pytest.raises(APITimeoutError):
            await world.chat(made, "x" * 20_000_000)
        assert watch.seconds < LONG - 1  # 20 MB take their time to be built, too
        await world.close(made)

    world.run(scenario())


def test_sleeping_and_the_clocks_agree(world):
    """``now`` goes on by what was slept; ``time`` is the date."""
    import time

    async def scenario():
        transport = world.transport()
        before = transport.now()
        await transport.sleep(0.02)
        assert transport.now() - before >= 0.019
        assert abs(transport.time() - time.time()) < 1

    world.run(scenario())


def test_a_finished_call_leaves_no_timer_that_cancels_later(serve, wire):
    """A task that goes on after its call is not cancelled by the call's clock."""
    server = serve(wire.whole())

    async def scenario():
        made = Client(f"{server.url}/v1", model="m", timeout=0.1)
        await made.achat("Hi")
        async for _ in made.astream("Hi"):
            break
        await asyncio.sleep(0.2)
        assert asyncio.current_task().cancelling() == 0
        await made.aclose()

    asyncio.run(scenario())


def test_a_stream_may_be_read_in_another_task_and_its_clock_still_runs(serve, wire):
    """The clock wakes whoever reads, not whoever opened."""

    def handle(connection, request):
        connection.send(wire.stream_head(), wire.chunk(wire.token("x")))
        connection.hold()

    server = serve(handle)

    async def scenario():
        made = Client(f"{server.url}/v1", model="m", timeout=0.15, max_retries=0)
        stream = made.astream("Hi")
        assert (await anext(stream)).text == "x"

        async def read():
            with pytest.raises(StreamError):
                await anext(stream)

        await asyncio.create_task(read())
        assert asyncio.current_task().cancelling() == 0
        await made.aclose()

    asyncio.run(scenario())


def test_a_stream_may_be_read_in_another_thread_and_its_clock_still_runs(serve, wire):
    """The clocks belong to the stream."""

    def handle(connection, request):
        connection.send(wire.stream_head(), wire.chunk(wire.token("x")))
        connection.hold()

    server = serve(handle)
    with Client(f"{server.url}/v1", model="m", timeout=0.15, max_retries=0) as made:
        stream = made.stream("Hi")
        assert next(stream).text == "x"
        caught = []

        def read():
            try:
                next(stream)
            except StreamError as error:
                caught.append(error)

        thread = threading.Thread(target=read)
        thread.start()
        thread.join(3)
        assert caught


def test_the_wait_for_a_connection_is_part_of_the_call(serve, wire, client, monkeypatch):
    """What was waited for one is not given again to make it."""
    given = []
    real = RequestsTransport._timeout

    def remembered(self, connect, usual):
        given.append(connect)
        return real(self, connect, usual)

    monkeypatch.setattr(RequestsTransport, "_timeout", remembered)

    def handle(connection, request):
        connection.pause(0.5)
        connection.send(wire.whole())

    server = serve(handle)
    made = client(server, max_connections=1, total_timeout=5)
    threads = [threading.Thread(target=made.chat, args=("Hi",)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first, second = sorted(given, reverse=True)
    assert first <= 5
    assert second <= 4.6
