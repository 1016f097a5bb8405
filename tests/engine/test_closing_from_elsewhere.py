"""Streams that are closed by another thread or task than the one that reads; and those that are held wrongly."""

import asyncio
import threading
import time

import pytest

from provider_kit import HTTPConfig, RateLimitConfig, ResponseCache
from provider_kit.testing import FakeServer

#: Where a stream stands still: before its headers, before its content, in the middle.
WHERE = {
    "headers": {"latency": 30},
    "content": {"stall_after": 0},
    "kept alive": {"stall_after": 0, "ping": True},
    "middle": {"stall_after": 3},
    "middle, kept alive": {"stall_after": 3, "ping": True},
    "flowing": {"token_delay": 0.05},
}
#: Of what a reader may hold one.
OPTIONS = {
    "plain": lambda: {},
    "one place, one connection": lambda: {"max_concurrency": 1, "http": HTTPConfig(max_connections=1)},
    "cached": lambda: {"response_cache": True},
    "shown": lambda: {"debug_http": True},
    "several keys, circuit": lambda: {"api_keys": ["key-0123456789ab", "key-ba9876543210"], "circuit_breaker": True},
}
LONG = "one two three four five six seven eight nine ten " * 20


@pytest.fixture
def server():
    threads = threading.active_count()
    with FakeServer() as made:
        yield made
    assert soon(lambda: threading.active_count() == threads)


def soon(condition, seconds=3.0):
    """Whether something becomes true soon."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


class Reader(threading.Thread):
    """Reads a stream to its end."""

    def __init__(self, stream, read=list):
        super().__init__()
        self.stream, self._read = stream, read
        self.chunks, self.error, self.ended = None, None, 0.0

    def run(self):
        try:
            self.chunks = self._read(self.stream)
        except BaseException as error:
            self.error = error
        self.ended = time.monotonic()


def in_a_with(stream):
    with stream:
        return list(stream)


def one_by_one(stream):
    found = []
    try:
        while True:
            found.append(next(stream))
    except StopIteration:
        return found


def texts(stream):
    return list(stream.text())


@pytest.mark.parametrize("held", OPTIONS)
@pytest.mark.parametrize("where", WHERE)
def test_another_thread_ends_a_stream(server, where, held):
    """The reader's loop ends, soon and without an error; nothing is asked again, the connection is free."""
    server.reply(LONG)
    server.fault(**WHERE[where])
    client = server.client(max_retries=3, retry="aggressive", retry_on_read_timeout=True, **OPTIONS[held]())
    stream = client.stream("Hi")
    reader = Reader(stream)
    reader.start()
    assert soon(lambda: server.requests)
    time.sleep(0.05)
    began = time.monotonic()
    stream.close()
    assert time.monotonic() - began < 2
    reader.join(3)
    assert reader.error is None
    assert reader.ended - began < 2
    assert len(server.requests) == 1
    # A server that says nothing more does not see that its client is gone.
    assert where in ("headers", "content", "middle") or soon(lambda: server.open_connections == 0)
    stream.close()
    assert list(stream) == []
    server.reset()
    assert client.chat("What is 20 + 22?", total_timeout=2).text == "20 + 22 = 42"
    assert client._admission.slots is None or client._admission.slots.taken == 0
    client.close()


@pytest.mark.parametrize("read", [in_a_with, one_by_one, texts])
@pytest.mark.parametrize("where", ["headers", "middle"])
def test_however_it_is_read(server, where, read):
    """In a with, by next(), by text()."""
    server.fault(**WHERE[where])
    client = server.client(max_retries=3)
    stream = client.stream("Hi")
    reader = Reader(stream, read)
    reader.start()
    assert soon(lambda: server.requests)
    time.sleep(0.05)
    began = time.monotonic()
    stream.close()
    reader.join(3)
    assert reader.error is None
    assert reader.ended - began < 2
    assert (len(reader.chunks) > 0) == (where == "middle")
    assert len(server.requests) == 1
    client.close()


def test_several_threads_may_close_it_at_once(server):
    """Nobody gets an error."""
    server.fault(**WHERE["middle"])
    client = server.client(max_retries=3)
    stream = client.stream("Hi")
    reader = Reader(stream)
    reader.start()
    assert soon(lambda: server.requests)
    time.sleep(0.05)
    errors = []

    def close():
        try:
            stream.close()
        except BaseException as error:
            errors.append(error)

    closers = [threading.Thread(target=close) for _ in range(8)]
    for closer in closers:
        closer.start()
    for one in (*closers, reader):
        one.join(3)
    assert errors == []
    assert reader.error is None
    client.close()


def test_only_the_stream_that_is_closed_ends(server):
    """Its neighbours on the same client go on."""
    client = server.client(max_retries=0)
    server.always(token_delay=0.03)
    streams = [client.stream("Hi") for _ in range(4)]
    readers = [Reader(stream) for stream in streams]
    for reader in readers:
        reader.start()
    assert soon(lambda: len(server.requests) == 4)
    time.sleep(0.05)
    streams[1].close()
    for reader in readers:
        reader.join(5)
    assert [reader.error for reader in readers] == [None] * 4
    finished = [stream.response.finish_reason for stream in streams]
    assert [finished[number] for number in (0, 2, 3)] == ["stop"] * 3
    assert finished[1] != "stop"
    client.close()


def test_what_was_received_is_kept(server):
    """``response`` has it, marked as unfinished."""
    server.reply(LONG)
    server.fault(**WHERE["middle"])
    client = server.client()
    stream = client.stream("Hi")
    reader = Reader(stream)
    reader.start()
    assert soon(lambda: server.requests)
    time.sleep(0.1)
    stream.close()
    reader.join(3)
    text = "".join(chunk.text for chunk in reader.chunks)
    assert text
    assert stream.response.text == text
    assert LONG.startswith(text)
    assert stream.response.finish_reason == "error"
    client.close()


@pytest.mark.parametrize("held", OPTIONS)
@pytest.mark.parametrize("where", WHERE)
def test_another_task_ends_a_stream(server, where, held):
    """The same in asyncio."""
    server.reply(LONG)
    server.fault(**WHERE[where])
    client = server.client(max_retries=3, retry="aggressive", retry_on_read_timeout=True, **OPTIONS[held]())

    async def main():
        stream = client.astream("Hi")

        async def read():
            return [chunk async for chunk in stream]

        task = asyncio.create_task(read())
        while not server.requests:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)
        began = time.monotonic()
        await stream.aclose()
        assert time.monotonic() - began < 2
        async with asyncio.timeout(3):
            await task
        assert time.monotonic() - began < 2
        await stream.aclose()
        assert [chunk async for chunk in stream] == []
        assert len(server.requests) == 1
        server.reset()
        assert (await client.achat("What is 20 + 22?", total_timeout=2)).text == "20 + 22 = 42"
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    assert client._admission.slots is None or client._admission.slots.taken == 0
    client.close()


def test_a_cancelled_reader_is_cancelled(server):
    """Who closes does not take a cancellation of somebody else's away."""
    server.fault(**WHERE["middle"])
    client = server.client()

    async def main():
        stream = client.astream("Hi")

        async def read():
            async for _ in stream:
                pass

        task = asyncio.create_task(read())
        while not server.requests:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await stream.aclose()

    asyncio.run(main())


def _await(client):
    async def main():
        await client.astream("Hi")

    asyncio.run(main())


def _await_plain(client):
    async def main():
        await client.stream("Hi")

    asyncio.run(main())


def _for(client):
    for _ in client.astream("Hi"):
        pass


def _async_for(client):
    async def main():
        async for _ in client.stream("Hi"):
            pass

    asyncio.run(main())


def _async_with(client):
    async def main():
        async with client.stream("Hi"):
            pass

    asyncio.run(main())


def _with(client):
    with client.astream("Hi"):
        pass


@pytest.mark.parametrize(
    ("how", "told"),
    [
        (_await, r"async for chunk in client\.astream"),
        (_await_plain, r"async for chunk in client\.astream"),
        (_for, r"for chunk in client\.stream"),
        (_async_for, r"async for chunk in client\.astream"),
        (_async_with, r"async with client\.astream"),
        (_with, r"async with client\.astream"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_does_not_go_says_what_to_write(server, how, told):
    """A TypeError with the line to write; nothing was sent, and nothing is left behind."""
    client = server.client()
    with pytest.raises(TypeError, match=told):
        how(client)
    assert server.requests == []
    client.close()


@pytest.mark.parametrize("text", [True, False], ids=["text", "chunks"])
def test_a_stream_that_was_never_read_is_closed_from_elsewhere(server, text):
    """Nothing was sent; nothing comes of it."""
    client = server.client()
    stream = client.stream("Hi")
    closer = threading.Thread(target=stream.close)
    closer.start()
    closer.join(3)
    assert list(stream.text() if text else stream) == []
    assert server.requests == []
    client.close()


def _retry(server, client):
    server.fault(429, retry_after=3)


def _occupied(server, client):
    """Somebody else holds what there is one of."""
    server.fault(latency=3)
    holder = Reader(None, lambda _: client.chat("Hi"))
    holder.start()
    assert soon(lambda: server.requests)
    return holder


def _spent(server, client):
    client.chat("Hi")


def _resting(server, client):
    """The only key rests."""
    client.keys.rest("key-0123456789ab", time.monotonic() + 3)


_OTHERS = ("a connection", "asyncio")
#: What a stream waits for before it is sent: how that comes about, and the options of the client.
WAITS = {
    "another try": (_retry, lambda: {}),
    "a place": (_occupied, lambda: {"max_concurrency": 1}),
    "a connection": (_occupied, lambda: {"http": HTTPConfig(max_connections=1)}),
    "a turn": (_spent, lambda: {"rate_limit": RateLimitConfig(requests_per_minute=20, pacing="smooth")}),
    "a key": (_resting, lambda: {"api_key": "key-0123456789ab", "wait_for_key": True}),
    "the same answer": (_occupied, lambda: {"response_cache": ResponseCache(single_flight=True)}),
}


#: Each world has connections of its own, and it is a blocking call that occupies them.
WAITS_OF_WORLDS = [(what, world) for what in WAITS for world in ("blocking", "asyncio") if (what, world) != _OTHERS]


@pytest.mark.parametrize(("what", "world"), WAITS_OF_WORLDS)
def test_a_stream_that_waits_is_closed_from_elsewhere(server, what, world):
    """It waits no longer, and sends nothing any more."""
    bring_about, options = WAITS[what]
    client = server.client(max_retries=3, **options())
    holder = bring_about(server, client)

    def blocking():
        reader = Reader(client.stream("Hi"))
        reader.start()
        time.sleep(0.25)
        asked, began = len(server.requests), time.monotonic()
        reader.stream.close()
        reader.join(3)
        assert reader.error is None
        return asked, reader.ended - began, reader.chunks

    async def other():
        stream = client.astream("Hi")

        async def read():
            return [chunk async for chunk in stream]

        task = asyncio.create_task(read())
        await asyncio.sleep(0.25)
        asked, began = len(server.requests), time.monotonic()
        await stream.aclose()
        async with asyncio.timeout(3):
            chunks = await task
        return asked, time.monotonic() - began, chunks

    asked, seconds, chunks = asyncio.run(other()) if world == "asyncio" else blocking()
    assert chunks == []
    assert seconds < 2
    if holder is not None:
        holder.join(5)
    time.sleep(0.05)
    assert len(server.requests) == asked
    assert client._admission.slots is None or (client._admission.slots.taken, len(client._admission.slots)) == (0, 0)
    assert not any(len(limiter) for limiter in client._admission.rates.limiters.values())
    client.close()


@pytest.mark.parametrize("read", [list, one_by_one, texts], ids=lambda read: read.__name__)
def test_a_reader_that_comes_while_the_connection_is_drained_finds_the_end(server, monkeypatch, read):
    """Closing may take a moment; who asks for the next chunk meanwhile is not refused, the loop just ends."""
    server.reply("one two")
    with server.client() as client:
        stream = client.stream("Hi")
        while not next(stream).finish_reason:
            pass
        body = stream._progress.state.body
        draining, go = threading.Event(), threading.Event()

        async def drain():
            draining.set()
            assert go.wait(5)
            await body.aclose()

        monkeypatch.setattr(body, "drain", drain, raising=False)
        closer = threading.Thread(target=stream.close)
        closer.start()
        assert draining.wait(5)
        assert read(stream) == []
        go.set()
        closer.join(5)
        assert list(stream) == []


def test_a_task_that_reads_while_another_one_closes_finds_the_end(server, monkeypatch):
    """The same in asyncio."""
    server.reply("one two")

    async def main():
        async with server.client() as client:
            stream = client.astream("Hi")
            async for chunk in stream:
                if chunk.finish_reason:
                    break
            body = stream._progress.state.body
            draining, go = asyncio.Event(), asyncio.Event()

            async def drain():
                draining.set()
                await go.wait()
                await body.aclose()

            monkeypatch.setattr(body, "drain", drain, raising=False)
            closer = asyncio.create_task(stream.aclose())
            async with asyncio.timeout(5):
                await draining.wait()
                assert [chunk async for chunk in stream] == []
                assert [text async for text in stream.text()] == []
                go.set()
                await closer

    asyncio.run(main())


@pytest.mark.parametrize("world", ["blocking", "asyncio"])
def test_a_stream_closed_in_the_last_moment_sends_nothing(server, monkeypatch, world):
    """Between the engine's last look and the transport's first."""
    with server.client() as client:
        transport = client._transports.make_blocking() if world == "blocking" else client._transports.make_asyncio()
        stream = client.stream("Hi") if world == "blocking" else client.astream("Hi")
        opened = transport.open_stream

        async def late(request, limits):
            stream.close() if world == "blocking" else await stream.aclose()
            return await opened(request, limits)

        monkeypatch.setattr(transport, "open_stream", late, raising=False)

        async def other():
            return [chunk async for chunk in stream]

        chunks = list(stream) if world == "blocking" else asyncio.run(other())
        assert chunks == []
        time.sleep(0.05)
        assert not server.requests


def test_an_own_error_of_the_caller_is_not_taken_for_the_end(server):
    """Only Python's refusal to resume a running generator is; a ValueError from a signal handler passes."""
    with server.client() as client:
        stream = client.stream("Hi")
        next(stream)
        stream._progress.closing = True
        with pytest.raises(ValueError, match="of the caller"):
            stream._reader.throw(ValueError("of the caller"))
