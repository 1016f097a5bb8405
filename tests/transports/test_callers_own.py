"""What the caller's own signal handlers raise, in the middle of anything, reaches the caller as it is."""

import asyncio
import functools
import gc
import signal
import socket
import threading
import time
from contextlib import contextmanager, suppress

import pytest

from provider_kit import APIConnectionError, Client, HTTPConfig, ProviderKitError, ResponseCache, StreamError
from provider_kit.testing import FakeServer

pytestmark = [
    pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs the signals of Unix"),
    pytest.mark.timeout(120, method="thread"),  # its own signal is the tests'
]


class TimeIsUp(Exception):
    """What a task queue raises in a job that takes too long."""


class TimeIsUpAfterAll(BaseException):
    """The same of those who want no ``except Exception`` to catch it."""


class LateAnswer(TimeoutError):
    """The same of those who want it to look like a timeout of a socket."""


class Broken(ConnectionResetError):
    """One that looks like a failure of the connection."""


ERRORS = [TimeIsUp, TimeIsUpAfterAll, LateAnswer, Broken, TimeoutError, ValueError, OSError, ConnectionResetError]


@contextmanager
def raising(error, seconds=0.0, wrap=None):
    """A handler raises ``error``, after so many seconds or when it is told to, whatever runs."""

    def handler(*_):
        raise error

    before = signal.signal(signal.SIGALRM, handler if wrap is None else wrap(handler))
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Full:
    """A listener whose queue is full: connecting to it never ends."""

    def __init__(self):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(0)
        self.port = self.listener.getsockname()[1]
        self._fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            with suppress(BlockingIOError):
                filler.connect(("127.0.0.1", self.port))
            self._fillers.append(filler)
        time.sleep(0.02)

    def close(self):
        for sock in (self.listener, *self._fillers):
            sock.close()


def strike(connection):
    """Let the handler raise now, or in a moment, in the thread that waits for an answer."""
    connection.pause(0.05)
    signal.pthread_kill(threading.main_thread().ident, signal.SIGALRM)
    connection.hold()


def place(serve, wire, where, then=strike):
    """A server with which a call comes as far as ``where``, and no further; and its address."""
    if where == "TLS":
        server = serve(then, read=False)
        return server, f"https://127.0.0.1:{server.port}/v1"

    def handle(connection, request):
        streamed = b'"stream":true' in request.body
        if where == "body" and streamed:
            connection.send(wire.stream_head())
        elif where == "body":
            connection.send(wire.head("Content-Length: 5000") + b'{"choices": [')
        elif where == "chunked body":
            kind = "text/event-stream" if streamed else "application/json"
            connection.send(wire.head("Transfer-Encoding: chunked", kind=kind) + wire.chunk(b"  "))
        elif where == "content":
            connection.send(wire.stream_head() + wire.chunk(wire.token("Hi")))
        then(connection)

    server = serve(handle)
    return server, f"{server.url}/v1"


def read(client):
    with client.stream("Hi") as stream:
        for _ in stream:
            pass


VERBS = {"chat": lambda client: client.chat("Hi"), "stream": read}
PLACES = [
    *((where, verb) for where in ("headers", "body", "chunked body") for verb in ("chat", "stream")),
    ("content", "stream"),
]


@pytest.mark.parametrize(("where", "verb"), PLACES, ids=[" ".join(place) for place in PLACES])
@pytest.mark.parametrize("kind", ERRORS)
def test_what_a_handler_raises_reaches_the_caller(serve, wire, where, verb, kind):
    """The very object, after one request; and its connection is closed."""
    server, address = place(serve, wire, where)
    client = Client(
        address, model="m", max_retries=3, retry="aggressive", retry_on_read_timeout=True, max_concurrency=1
    )
    mine = kind("mine")
    with raising(mine), pytest.raises(kind) as caught:
        VERBS[verb](client)
    assert caught.value is mine
    assert not isinstance(mine.__cause__, ProviderKitError)
    assert client._admission.slots.taken == 0
    assert server.wait(server.idle)
    assert (server.connections, len(server.requests)) == (1, 1)
    client.close()


@pytest.mark.filterwarnings(
    "ignore:unclosed <ssl:ResourceWarning",
    "ignore:unclosed <socket:ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)
@pytest.mark.parametrize("where", ["connecting", "TLS"])
@pytest.mark.parametrize("verb", ["chat", "stream"])
@pytest.mark.parametrize("kind", ERRORS)
def test_what_a_handler_raises_before_there_is_a_connection_reaches_the_caller(serve, wire, where, verb, kind):
    """Python itself keeps the socket for as long as somebody has the exception."""
    full = Full() if where == "connecting" else None
    server, address = (full, f"http://127.0.0.1:{full.port}/v1") if full else place(serve, wire, "TLS")
    client = Client(address, model="m", max_retries=3, retry="aggressive", max_concurrency=1)
    mine = kind("mine")
    with raising(mine, 0.1 if full else 0.0), pytest.raises(kind) as caught:
        VERBS[verb](client)
    assert caught.value is mine
    assert not isinstance(mine.__cause__, ProviderKitError)
    assert client._admission.slots.taken == 0
    client.close()
    mine.__traceback__ = mine.__context__ = mine.__cause__ = None
    del caught
    gc.collect()
    if full is None:
        assert server.wait(server.idle)
        assert server.connections == 1
    else:
        full.close()


@pytest.mark.parametrize("kind", ERRORS)
@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_the_client_goes_on_afterwards(verb, kind):
    """With the one place there is, the one connection there may be, and the lead."""
    with FakeServer() as server:
        client = server.client(
            max_retries=3,
            retry="aggressive",
            max_concurrency=1,
            http=HTTPConfig(max_connections=1),
            response_cache=ResponseCache(single_flight=True),
        )
        for number in range(3):
            server.fault(latency=1)
            mine = kind("mine")
            with raising(mine, 0.15), pytest.raises(kind) as caught:
                VERBS[verb](client)
            assert caught.value is mine
            assert len(server.requests) <= number + 1
        assert client.chat("Hi", total_timeout=2).text
        client._engine.parts.cache.clear()
        assert client.chat("What is 20 + 22?", total_timeout=2).text == "20 + 22 = 42"
        client._engine.parts.cache.clear()
        assert read_text(client, total_timeout=2) == "20 + 22 = 42"
        client.close()


def read_text(client, **options):
    with client.stream("What is 20 + 22?", **options) as stream:
        return "".join(chunk.text for chunk in stream)


class Handler:
    """A handler that is an object."""

    def __init__(self, handler):
        self._handler = handler

    def __call__(self, *args):
        self._handler(*args)

    def method(self, *args):
        self._handler(*args)


@pytest.mark.parametrize(
    "wrap",
    [Handler, lambda handler: Handler(handler).method, functools.partial, lambda handler: lambda *args: handler(*args)],
    ids=["object", "method", "partial", "lambda"],
)
@pytest.mark.parametrize("kind", [TimeoutError, ValueError, ConnectionResetError])
def test_handlers_of_every_kind_are_known(serve, wire, wrap, kind):
    """Functions, methods, objects that can be called."""
    server, address = place(serve, wire, "headers")
    client = Client(address, model="m", max_retries=3, retry="aggressive", retry_on_read_timeout=True)
    mine = kind("mine")
    with raising(mine, wrap=wrap), pytest.raises(kind) as caught:
        client.chat("Hi")
    assert caught.value is mine
    assert len(server.requests) == 1
    client.close()


@pytest.mark.parametrize("where", ["headers", "body", "content"])
@pytest.mark.parametrize("kind", [TimeIsUp, TimeoutError, TimeIsUpAfterAll])
def test_what_a_handler_raises_in_asyncio_reaches_the_caller(serve, wire, where, kind):
    """The event loop raises it out of ``run``; the call is over with its loop, and was made once."""
    server, address = place(serve, wire, where)
    client = Client(
        address, model="m", max_retries=3, retry="aggressive", retry_on_read_timeout=True, max_concurrency=1
    )
    mine = kind("mine")

    async def main():
        async with client.astream("Hi") as stream:
            async for _ in stream:
                pass

    with raising(mine), pytest.raises(kind) as caught:
        asyncio.run(main())
    assert caught.value is mine
    assert len(server.requests) == 1
    assert server.wait(server.idle)
    assert client._admission.slots.taken == 0


@pytest.mark.parametrize("where", ["headers", "body", "content"])
def test_what_the_caller_cancels_with_reaches_the_caller(serve, wire, where):
    """A timeout of the user's own around an asyncio call is his, not one of the library's."""
    server, address = place(serve, wire, where, lambda connection: connection.hold())
    client = Client(address, model="m", max_retries=3, retry="aggressive", retry_on_read_timeout=True)

    async def main():
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.3):
                async for _ in client.astream("Hi"):
                    pass
        assert not isinstance(caught.value, ProviderKitError)

    asyncio.run(main())
    assert len(server.requests) == 1


@pytest.mark.parametrize("handler", [True, False], ids=["a handler is set", "none is set"])
class TestErrorsOfTheConnection:
    """They stay the library's, also while handlers of the caller's are set."""

    @pytest.fixture(autouse=True)
    def _handler(self, handler):
        if not handler:
            yield
            return
        with raising(TimeIsUp("not yet"), 60):
            yield

    def test_nobody_listens(self, world, client):
        """Refused."""
        made = client("http://127.0.0.1:9")

        async def scenario():
            with pytest.raises(APIConnectionError, match="refused"):
                await world.chat(made, "Hi")
            await world.close(made)

        world.run(scenario())

    @pytest.mark.parametrize("how", ["reset", "finish", "cut body", "cut chunk", "cut stream", "bad gzip", "garbage"])
    def test_the_server_breaks_off(self, serve, wire, world, client, how):
        """Reset, closed, cut, unreadable."""

        def handle(connection, request):
            if how == "cut body":
                connection.send(wire.head("Content-Length: 5000") + b"{")
            elif how == "cut chunk":
                connection.send(wire.head("Transfer-Encoding: chunked") + b"500\r\n{")
            elif how == "cut stream":
                connection.send(wire.stream_head() + wire.chunk(wire.token("Hi")))
            elif how == "bad gzip":
                connection.send(wire.whole(b"this is no gzip", "Content-Encoding: gzip"))
            elif how == "garbage":
                connection.send(b"\x16\x03\x01 no HTTP\r\n\r\n")
            if how == "reset":
                connection.reset()
            else:
                connection.finish()

        made = client(serve(handle))

        async def scenario():
            with pytest.raises(ProviderKitError):
                await world.chat(made, "Hi")
            with pytest.raises((APIConnectionError, StreamError, ProviderKitError)):
                async for _ in world.stream(made, "Hi"):
                    pass
            await world.close(made)

        world.run(scenario())

    @pytest.mark.parametrize("where", ["headers", "body", "content"])
    def test_the_clocks_of_the_call_run_out(self, serve, wire, world, client, where):
        """A timeout that was asked for."""
        server, _ = place(serve, wire, where, lambda connection: connection.hold())
        made = client(server, timeout=0.1)

        async def scenario():
            with pytest.raises(ProviderKitError, match=r"within|for 0\.1 s|in time"):
                async for _ in world.stream(made, "Hi"):
                    pass
            await world.close(made)

        world.run(scenario())
