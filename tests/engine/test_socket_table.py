"""However a streamed call ends, its socket, its slot and its trial of a half-open circuit are free at once.

The garbage collector is off: nothing here is in a reference circle.
"""

import asyncio
import gc
import json
import signal
import socket
import threading
import time
from contextlib import contextmanager, suppress

import pytest

from provider_kit import Backoff, CallCancelledError, CancelToken, CircuitBreaker, CircuitBreakerConfig, Client
from provider_kit.testing import Fault
from provider_kit.transports.drive import run_to_completion

#: Seconds within which everything must be free.
AT_ONCE = 0.1
#: Seconds more that a loaded machine may take to run the server's thread.
GRACE = 1.5


def event(text):
    data = json.dumps({"id": "c", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]})
    line = f"data: {data}\n\n".encode()
    return b"%x\r\n%s\r\n" % (len(line), line)


class Drip:
    """A server that sends the beginning of a stream and then waits; it knows how many connections are open."""

    def __init__(self, events=2):
        self.events = events
        self.open = 0
        self.asked = threading.Event()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def _accept(self):
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, suppress(OSError):
            connection.settimeout(10)
            data = connection.recv(65536)
            if not data:
                return
            with self._lock:
                self.open += 1
            self.asked.set()
            try:
                if self.events:
                    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
                    connection.sendall(head + b"".join(event(f"{number} ") for number in range(self.events)))
                while connection.recv(65536):
                    pass
            finally:
                with self._lock:
                    self.open -= 1

    def close(self):
        with suppress(OSError):  # some systems wake a thread that waits in accept() by nothing else
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join(5)
        assert not self._acceptor.is_alive()


@pytest.fixture
def drip():
    made = []

    def make(**options):
        made.append(Drip(**options))
        return made[-1]

    yield make
    for server in made:
        server.close()


@pytest.fixture(autouse=True)
def collector_is_off():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def half_open_circuit():
    """A circuit breaker that lets one call through to try."""
    breaker = CircuitBreaker(
        CircuitBreakerConfig(half_open_requests=1, min_requests=1, failure_ratio=1.0, open_for=0.05)
    )
    _, trial, _ = breaker.admit(time.monotonic())
    assert breaker.record(trial, False, time.monotonic()) == "open"
    time.sleep(0.06)
    return breaker


def client_of(server, **options):
    return Client(
        server.url,
        model="m",
        api_key="k",
        max_concurrency=1,
        circuit_breaker=half_open_circuit(),
        max_retries=0,
        **options,
    )


def free(client, server):
    """What is not free."""
    held = []
    if server.open:
        held.append("socket")
    if client._admission.slots.taken:
        held.append("slot")
    if client._admission.breaker._trying:
        held.append("trial")
    return held


def assert_free(client, server, began):
    while (held := free(client, server)) and time.monotonic() - began < AT_ONCE + GRACE:
        time.sleep(0.002)
    assert held == [], f"not free after {time.monotonic() - began:.2f} s"


@contextmanager
def interrupted_after(seconds):
    """A KeyboardInterrupt, raised by a signal's handler."""

    def handler(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def reply_of(client, world):
    """A live reply as a handler gives it, and the call it answers."""
    runtime = client._blocking() if world == "blocking" else client._asyncio()
    call = client._chat_call("stream", runtime, "Hi", {})
    return client.handler.handle(call)


# ------------------------------------------------------------------------------------------------ the blocking half


def unread(client, server):
    reply = run_to_completion(reply_of(client, "blocking"))
    assert server.open == 1
    del reply


def broken_off(client, server):
    for _ in client.stream("Hi"):
        break


def mapped(client, server):
    reply = run_to_completion(reply_of(client, "blocking"))
    reply.map(lambda chunk: chunk)
    chunks = reply.take_chunks()
    run_to_completion(chunks.__anext__())
    del chunks, reply


def mapped_and_unread(client, server):
    reply = run_to_completion(reply_of(client, "blocking"))
    reply.map(lambda chunk: chunk)
    del reply


def closed_by_with(client, server):
    with client.stream("Hi") as stream:
        next(iter(stream))


def keyboard_interrupt(client, server):
    with pytest.raises(KeyboardInterrupt) as caught, interrupted_after(0.2):
        for _ in client.stream("Hi"):
            pass
    del caught


def read_in_another_thread(client, server):
    stream = client.stream("Hi")
    next(stream)
    seen = []
    thread = threading.Thread(target=lambda: seen.extend(stream))
    thread.start()
    time.sleep(0.1)
    stream.close()
    thread.join(2)
    assert not thread.is_alive()


def cancelled_after_content(client, server):
    token = CancelToken()
    stream = client.stream("Hi", cancel=token)
    next(stream)
    threading.Timer(0.1, token.cancel).start()
    with pytest.raises(CallCancelledError) as caught:
        list(stream)
    del caught, stream


ENDS = {
    one.__name__: one
    for one in (
        unread,
        broken_off,
        mapped,
        mapped_and_unread,
        closed_by_with,
        keyboard_interrupt,
        read_in_another_thread,
        cancelled_after_content,
    )
}


@pytest.mark.parametrize("end", ENDS)
def test_a_blocking_stream_that_ends(drip, end):
    """Whatever its reader does."""
    server = drip()
    client = client_of(server)
    ENDS[end](client, server)
    assert_free(client, server, time.monotonic())
    client.close()


# ------------------------------------------------------------------------------------------------ the asyncio half


async def a_unread(client, server):
    reply = await reply_of(client, "asyncio")
    assert server.open == 1
    del reply


async def a_broken_off(client, server):
    async for _ in client.astream("Hi"):
        break


async def a_mapped(client, server):
    reply = await reply_of(client, "asyncio")
    reply.map(lambda chunk: chunk)
    chunks = reply.take_chunks()
    await chunks.__anext__()
    del chunks, reply


async def a_mapped_and_unread(client, server):
    reply = await reply_of(client, "asyncio")
    reply.map(lambda chunk: chunk)
    del reply


async def a_closed_by_with(client, server):
    async with client.astream("Hi") as stream:
        await anext(aiter(stream))


async def a_cancelled_after_content(client, server):
    async def read():
        async for _ in client.astream("Hi"):
            pass

    task = asyncio.create_task(read())
    await asyncio.sleep(0.2)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def a_token_after_content(client, server):
    token = CancelToken()
    stream = client.astream("Hi", cancel=token)
    await anext(stream)
    asyncio.get_running_loop().call_later(0.1, token.cancel)
    with pytest.raises(CallCancelledError) as caught:
        await anext(stream)
        await anext(stream)
    del caught, stream


async def a_read_in_another_task(client, server):
    stream = client.astream("Hi")
    await anext(stream)

    async def read():
        return [chunk async for chunk in stream]

    task = asyncio.create_task(read())
    await asyncio.sleep(0.1)
    await stream.aclose()
    await asyncio.wait_for(task, 2)


A_ENDS = {
    one.__name__.removeprefix("a_"): one
    for one in (
        a_unread,
        a_broken_off,
        a_mapped,
        a_mapped_and_unread,
        a_closed_by_with,
        a_cancelled_after_content,
        a_token_after_content,
        a_read_in_another_task,
    )
}


@pytest.mark.parametrize("end", A_ENDS)
def test_an_asyncio_stream_that_ends(drip, end):
    """Whatever its reader does; the loop goes on."""
    server = drip()

    async def main():
        client = client_of(server)
        await A_ENDS[end](client, server)
        began = time.monotonic()
        while free(client, server) and time.monotonic() - began < AT_ONCE + GRACE:
            await asyncio.sleep(0.002)
        assert free(client, server) == []
        await client.aclose()

    asyncio.run(main())


def test_a_keyboard_interrupt_in_a_loop(drip):
    """``asyncio.run`` cancels its main task."""
    server = drip()
    client = client_of(server)

    async def main():
        async for _ in client.astream("Hi"):
            pass

    with pytest.raises(KeyboardInterrupt) as caught, interrupted_after(0.3):
        asyncio.run(main())
    del caught
    assert_free(client, server, time.monotonic())


def test_the_end_of_asyncio_run(drip):
    """A stream that is still held when its loop ends is closed by it."""
    server = drip()
    client = client_of(server)
    held = []

    async def main():
        stream = client.astream("Hi")
        held.append(stream)
        await anext(stream)

    asyncio.run(main())
    assert_free(client, server, time.monotonic())


@pytest.mark.filterwarnings(
    # Python and aiohttp tell that the loop was closed over generators and sessions; that is what is tested.
    "ignore:coroutine .* was never awaited:RuntimeWarning",
    "ignore:Unclosed:ResourceWarning",
    "ignore:Exception ignored in. <async_generator:pytest.PytestUnraisableExceptionWarning",
    "ignore:Exception ignored in. <function ClientSession:pytest.PytestUnraisableExceptionWarning",
)
@pytest.mark.parametrize("how", ["broken off", "unread", "held until later"])
def test_a_loop_that_is_closed_bare(drip, how):
    """Nobody finalises its generators. What they held is free once they are gone, and their loop is closed."""
    server = drip()
    client = client_of(server)
    held = []

    async def main():
        if how == "unread":
            held.append(await reply_of(client, "asyncio"))
        else:
            stream = client.astream("Hi")
            await anext(stream)
            held.append(stream)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    if how == "held until later":
        loop.close()
        held.clear()
    else:
        held.clear()
        loop.close()
    del loop
    assert_free(client, server, time.monotonic())
    client.close()
    gc.collect()  # what Python has to say of such a loop is said here, and in no other test


# ------------------------------------------------------------------------------------------------ before the content


@pytest.mark.parametrize("world", ["blocking", "asyncio"])
def test_cancelled_before_the_first_content(drip, world):
    """The server is silent; a token, or the task's end, ends the wait."""
    server = drip(events=0)
    client = client_of(server)
    token = CancelToken()

    async def main():
        task = asyncio.create_task(anext(client.astream("Hi")))
        while not server.asked.is_set():
            await asyncio.sleep(0.01)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        began = time.monotonic()
        while free(client, server) and time.monotonic() - began < AT_ONCE + GRACE:
            await asyncio.sleep(0.002)
        assert free(client, server) == []
        await client.aclose()

    if world == "asyncio":
        asyncio.run(main())
        return

    def cancel():
        server.asked.wait(5)
        token.cancel()

    threading.Thread(target=cancel, daemon=True).start()
    with pytest.raises(CallCancelledError) as caught:
        next(client.stream("Hi", cancel=token))
    del caught
    assert_free(client, server, time.monotonic())


# ------------------------------------------------------------------------------------------------ middleware


def own_reply(reply_seen):
    """Middleware that looks at its own reply when it ends."""

    async def middleware(call, call_next):
        reply = await call_next(call)
        reply.on_end(lambda end: reply_seen.append((end.how, reply.state is not None)))
        return reply

    return middleware


@pytest.mark.parametrize("world", ["blocking", "asyncio"])
def test_an_on_end_over_its_own_reply(drip, world):
    """The function refers to the reply; whoever reads has taken the chunks out of it, so there is no circle."""
    server, seen = drip(), []
    client = client_of(server, middleware=[own_reply(seen)])

    async def main():
        async for _ in client.astream("Hi"):
            break
        began = time.monotonic()
        while free(client, server) and time.monotonic() - began < AT_ONCE + GRACE:
            await asyncio.sleep(0.002)
        assert free(client, server) == []
        await client.aclose()

    if world == "blocking":
        for _ in client.stream("Hi"):
            break
        assert_free(client, server, time.monotonic())
    else:
        asyncio.run(main())
    assert seen == [("left", True)]


@pytest.mark.parametrize("world", ["blocking", "asyncio"])
def test_middleware_that_raises_and_whose_error_is_kept(drip, world):
    """The error holds frames, and they the reply; the chain closes it."""
    server, kept = drip(), []

    async def raising(call, call_next):
        reply = await call_next(call)
        assert reply.state is not None
        raise LookupError("after calling on")

    client = client_of(server, middleware=[raising])

    async def main():
        try:
            await anext(client.astream("Hi"))
        except LookupError as error:
            kept.append(error)
        began = time.monotonic()
        while free(client, server) and time.monotonic() - began < AT_ONCE + GRACE:
            await asyncio.sleep(0.002)
        assert free(client, server) == []
        await client.aclose()

    if world == "blocking":
        try:
            next(client.stream("Hi"))
        except LookupError as error:
            kept.append(error)
        assert_free(client, server, time.monotonic())
    else:
        asyncio.run(main())
    assert len(kept) == 1


# ------------------------------------------------------------------------------------------------ a race


def first_of(*clients):
    """A middleware that asks several clients at once and cuts the losers off."""

    async def race(call, call_next):
        tokens = [CancelToken(call.cancel) for _ in clients]
        thunks = [
            lambda client=client, token=token: client.handler.handle(call.replace(cancel=token))
            for client, token in zip(clients, tokens, strict=True)
        ]
        outcomes = call.runtime.run_all(thunks)
        try:
            async for number, outcome in outcomes:
                if not isinstance(outcome, Exception):
                    for loser, token in enumerate(tokens):
                        if loser != number:
                            token.cancel()
                    return outcome
        finally:
            await outcomes.aclose()
        raise outcome

    return race


@pytest.mark.parametrize("world", ["blocking", "asyncio"])
def test_the_loser_of_a_race(drip, world):
    """One answers, the other says nothing; its socket is closed from outside as soon as there is a winner."""
    quick, silent = drip(), drip(events=0)
    clients = [client_of(silent), client_of(quick)]
    racing = Client("demo", middleware=[first_of(*clients)])

    async def main():
        stream = racing.astream("Hi")
        await anext(stream)
        began = time.monotonic()
        while free(clients[0], silent) and time.monotonic() - began < AT_ONCE + GRACE:
            await asyncio.sleep(0.002)
        assert free(clients[0], silent) == []
        assert quick.open == 1
        await stream.aclose()
        await asyncio.sleep(0.05)
        for client in clients:
            await client.aclose()

    if world == "asyncio":
        asyncio.run(main())
    else:
        stream = racing.stream("Hi")
        next(stream)
        assert_free(clients[0], silent, time.monotonic())
        assert quick.open == 1
        stream.close()
    assert_free(clients[1], quick, time.monotonic())


async def frees_its_slot(client, leave):
    """What was left holds no slot, without the garbage collector."""
    await leave()
    began = time.monotonic()
    while client._admission.slots.taken and time.monotonic() - began < AT_ONCE + GRACE:
        await asyncio.sleep(0.01)
    assert client._admission.slots.taken == 0
    await client.aclose()


@pytest.mark.parametrize(
    "first",
    [{"status": 503}, {"status": 429, "retry_after": 0}, {"cut_after": 0}, {"error_after": 0}, {"html": True}],
    ids=["503", "429", "cut", "error event", "web page"],
)
@pytest.mark.parametrize("cached", [False, True], ids=["bare", "cached"])
def test_an_answer_that_is_left_after_a_retry(fake_server, first, cached):
    """The error of the first attempt keeps nobody's frames alive, which would keep the stream."""

    async def leave():
        stream = client.astream("Hi")  # a local variable of a function that ends
        async for _ in stream:
            return

    fake_server.fault(Fault(**first))
    fake_server.fault(stall_after=3)
    client = fake_server.client(max_concurrency=1, retry=Backoff(1, base=0.01), response_cache=cached or None)
    asyncio.run(frees_its_slot(client, leave))
    assert len(fake_server.requests) == 2


def test_an_answer_that_is_asked_for_while_an_error_is_handled(fake_server):
    """The error's frames hold the stream; so nothing of the stream may hold the error."""

    async def leave():
        try:
            raise ValueError("what is explained")
        except ValueError:
            stream = client.astream("Hi")
            async for _ in stream:
                return

    fake_server.fault(stall_after=3)
    client = fake_server.client(max_concurrency=1)
    asyncio.run(frees_its_slot(client, leave))
