"""Connections: used again, limited, aged, refused."""

import asyncio
import gc
import math
import socket
import threading
import time
import traceback

import pytest

from provider_kit import (
    APIConnectionError,
    APITimeoutError,
    Client,
    DeadlineExceededError,
    ResponseLostError,
    StreamError,
)
from provider_kit.errors import ConfigError, PoolTimeoutError
from provider_kit.model.config import HTTPConfig, Timeout


def test_calls_in_a_row_use_one_connection(serve, wire, world, client):
    """Opening one costs more than a call."""
    server = serve(wire.whole())
    made = client(server)

    async def scenario():
        for _ in range(5):
            await world.chat(made, "Hi")
        await world.close(made)

    world.run(scenario())
    assert server.connections == 1
    assert server.wait(server.idle)


def test_calls_at_once_use_as_many_connections_as_needed(serve, wire, world, client):
    """And the next wave uses the same ones."""
    everybody = threading.Barrier(20)

    def handle(connection, request):
        everybody.wait(30)
        connection.send(wire.whole())

    server = serve(handle)
    made = client(server)

    async def scenario():
        transport = world.transport()
        for _ in range(2):
            async for _, outcome in transport.run_all([lambda: world.chat(made, "Hi")] * 20):
                assert outcome.text == "Hi"
        await world.close(made)

    world.run(scenario())
    assert server.connections == 20


def test_an_idle_connection_grows_old(serve, wire, world, client):
    """Servers close idle connections without a word; ours are closed before."""
    server = serve(wire.whole())
    made = client(server, idle_timeout=0.1)

    async def scenario():
        await world.chat(made, "Hi")
        await world.chat(made, "Hi")
        assert server.connections == 1
        await world.pause(0.25)
        await world.chat(made, "Hi")
        assert server.connections == 2
        assert await world.until(lambda: server.open == 1)
        await world.close(made)

    world.run(scenario())


def test_an_idle_connection_may_be_kept_for_ever(serve, wire, world, client):
    """Infinity is a number of seconds, too."""
    server = serve(wire.whole())
    made = client(server, idle_timeout=math.inf)

    async def scenario():
        await world.chat(made, "Hi")
        await world.chat(made, "Hi")
        await world.close(made)

    world.run(scenario())
    assert server.connections == 1


def test_idle_connections_beyond_their_number_are_closed(serve, wire, monkeypatch):
    """After a burst, a few seconds later."""
    from provider_kit.transports.requests_transport import RequestsTransport

    now = [time.monotonic()]
    monkeypatch.setattr("provider_kit.transports.requests_transport.time.monotonic", lambda: now[0])

    at_once = threading.Barrier(6)

    def handle(connection, request):
        if not at_once.broken:
            at_once.wait(5)
        connection.send(wire.whole())

    server = serve(handle)
    made = Client(f"{server.url}/v1", model="m", http=HTTPConfig(max_idle_connections_per_host=2))
    threads = [threading.Thread(target=made.chat, args=("Hi",)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    at_once.abort()
    assert server.open == 6
    now[0] += 6
    made.chat("Hi")
    assert server.wait(lambda: server.open == 2)
    now[0] += 100
    made.chat("Hi")
    assert server.wait(lambda: server.open == 1)
    made.close()
    assert isinstance(made._blocking(), RequestsTransport)


def test_calls_beyond_the_limit_wait_for_their_turn(serve, wire, world, client):
    """None fails, and there are never more connections than allowed."""
    most = []

    def handle(connection, request):
        most.append(server.open)
        connection.pause(0.02)
        connection.send(wire.whole())

    server = serve(handle)
    made = client(server, max_connections=2)

    async def scenario():
        transport = world.transport()
        async for _, outcome in transport.run_all([lambda: world.chat(made, "Hi")] * 10):
            assert outcome.text == "Hi"
        await world.close(made)

    world.run(scenario())
    assert server.connections == 2
    assert max(most) == 2


@pytest.mark.parametrize("clock", ["connect", "total"])
def test_waiting_for_a_connection_ends(serve, wire, world, client, stopwatch, clock):
    """If none becomes free in time, the error says so; nothing was sent, so trying again is safe."""

    def handle(connection, request):
        connection.send(wire.stream_head(), wire.chunk(wire.token("x")))
        connection.hold()

    server = serve(handle)
    made = client(server, max_connections=1)

    async def scenario():
        async with world.stream(made, "Hi") as stream:
            await anext(stream)
            options = {"timeout": Timeout(connect=0.1)} if clock == "connect" else {"total_timeout": 0.1}
            for verb in (lambda: world.chat(made, "Hi", **options), lambda: anext(world.stream(made, "Hi", **options))):
                with stopwatch() as watch, pytest.raises(APITimeoutError) as caught:
                    await verb()
                assert 0.08 < watch.seconds < 2.5
                if clock == "connect":
                    assert isinstance(caught.value, PoolTimeoutError)
                    assert caught.value.retryable
                    assert "max_connections" in caught.value.hint
                else:
                    assert isinstance(caught.value, DeadlineExceededError)
        await world.close(made)

    world.run(scenario())
    assert len(server.requests) == 1
    assert server.connections == 1


def test_a_name_with_pool_in_it_is_no_pool(serve, world, limits, post):
    """Only a wait for a free connection is called that."""

    def handle(connection):
        connection.hold()

    server = serve(handle, read=False)

    async def scenario():
        transport = world.transport(HTTPConfig(max_connections=3))
        with pytest.raises(APITimeoutError) as caught:
            await transport.send(post(f"https://127.0.0.1:{server.port}/pool/acquiring"), limits(connect=0.1))
        assert not isinstance(caught.value, PoolTimeoutError)
        await transport.aclose()

    world.run(scenario())


def test_every_failure_gives_its_place_in_the_pool_back(serve, wire, world, client):
    """One place, many kinds of failure, and then a call that works."""
    answers = [
        lambda connection: connection.reset(),
        lambda connection: connection.finish(),
        lambda connection: connection.send(b"garbage\r\n\r\n"),
        lambda connection: (connection.send(wire.whole()[:-5]), connection.finish()),
        lambda connection: connection.hold(),
        lambda connection: connection.send(wire.whole(b"x" * 3000)),
    ]

    def handle(connection, request):
        number = len(server.requests) - 1
        if number // 2 < len(answers):
            answers[number // 2](connection)
        else:
            connection.send(wire.whole())

    server = serve(handle)
    made = client(server, max_connections=1, max_response_bytes=2000, timeout=0.15)

    async def scenario():
        for _ in answers:
            with pytest.raises(Exception, match=r"."):
                await world.chat(made, "Hi")
            with pytest.raises(Exception, match=r"."):
                async for _ in world.stream(made, "Hi"):
                    pass
        assert (await world.chat(made, "Hi")).text == "Hi"
        await world.close(made)

    world.run(scenario())


def test_a_refused_connection_may_be_tried_again(world, client):
    """Nothing was sent."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    made = client(f"http://127.0.0.1:{port}")

    async def scenario():
        for verb in (lambda: world.chat(made, "Hi"), lambda: anext(world.stream(made, "Hi"))):
            with pytest.raises(APIConnectionError, match=rf"No connection to 127.0.0.1:{port}: .*refused") as caught:
                await verb()
            assert type(caught.value) is APIConnectionError
            assert caught.value.retryable
        await world.close(made)

    world.run(scenario())


def test_a_refused_connection_is_tried_again(serve, wire, world, client):
    """A server that is just starting is found."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    listener.close()
    waits = []

    def retry(error, number):
        assert type(error) is APIConnectionError
        if number == 1:
            waits.append(number)
            return 0
        return None

    made = client(f"http://127.0.0.1:{port}", retry=retry)

    async def scenario():
        with pytest.raises(APIConnectionError) as caught:
            await world.chat(made, "Hi")
        assert len(caught.value.attempts) == 2
        await world.close(made)

    world.run(scenario())
    assert waits == [1]


def test_an_unknown_host_may_be_tried_again(world, monkeypatch):
    """The name servers may be back in a moment."""

    def fail(*args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    made = Client("https://no-such-host.invalid/v1", model="m", max_retries=0)

    async def scenario():
        with pytest.raises(
            APIConnectionError, match=r"No connection to no-such-host.invalid: Name or service"
        ) as caught:
            await world.chat(made, "Hi")
        assert type(caught.value) is APIConnectionError
        assert caught.value.retryable
        await world.close(made)

    world.run(scenario())


def test_connecting_ends(world, client, stopwatch):
    """A host that does not answer is given up after the connect timeout; trying again is safe."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = []
    try:
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            fillers.append(filler)
        probe = socket.socket()
        probe.settimeout(0.2)
        fillers.append(probe)
        try:
            probe.connect(listener.getsockname())
        except TimeoutError:
            pass
        else:
            pytest.skip("a full backlog does not hold connections up on this system")
        made = client(f"http://127.0.0.1:{listener.getsockname()[1]}")

        async def scenario():
            with (
                stopwatch() as watch,
                pytest.raises(APITimeoutError, match=r"No connection .* within 0\.2 s") as caught,
            ):
                await world.chat(made, "Hi", timeout=Timeout(connect=0.2))
            assert watch.seconds < 2.5
            assert caught.value.retryable
            with stopwatch() as watch, pytest.raises(DeadlineExceededError):
                await world.chat(made, "Hi", total_timeout=0.2)
            assert watch.seconds < 2.5
            await world.close(made)

        world.run(scenario())
    finally:
        for sock in (*fillers, listener):
            sock.close()


def test_a_failure_inside_an_except_block_is_judged_by_itself(serve, world, client):
    """What failed before, and is being handled, has no say in what fails now."""
    server = serve(
        lambda connection: (connection.take(5), connection.send(b"no TLS\r\n"), connection.finish()), read=False
    )
    first, second = client(f"https://127.0.0.1:{server.port}"), client("http://127.0.0.1:9")

    async def scenario():
        try:
            await world.chat(first, "Hi")
        except APIConnectionError as error:
            assert not error.retryable  # noqa: PT017  # the second call must be made in this block
            with pytest.raises(APIConnectionError, match="refused") as caught:
                await world.chat(second, "Hi")
            assert caught.value.retryable
        else:
            pytest.fail("the first call had to fail")
        for made in (first, second):
            await world.close(made)

    world.run(scenario())


@pytest.mark.parametrize("address", ["http://127.0.0.1:99999/v1", "http://a..b/v1", f"http://{'x' * 64}.test/v1"])
def test_an_impossible_address_is_an_error_of_ours(world, address):
    """Nothing of the libraries underneath comes through."""

    async def scenario():
        with pytest.raises((ConfigError, APIConnectionError)) as caught:
            made = Client(address, model="m", max_retries=0)
            await world.chat(made, "Hi")
        assert not isinstance(caught.value, ResponseLostError)

    world.run(scenario())


def test_a_header_that_cannot_be_sent_is_told_without_its_value(serve, wire, world, limits, post):
    """Neither the error nor what it was made from shows a secret."""
    import traceback

    server = serve(wire.whole())

    async def scenario():
        transport = world.transport()
        for method in (transport.send, transport.open_stream):
            with pytest.raises(ConfigError) as caught:
                await method(post(server.url, Authorization="Bearer secret-\n-value"), limits())
            assert "secret" not in "".join(traceback.format_exception(caught.value, limit=0))
            assert "stray" in caught.value.hint
        await transport.aclose()

    world.run(scenario())
    assert server.requests == []


def test_closing_twice_is_closing_once_and_the_client_goes_on(serve, wire, world, client):
    """A closed client opens new connections when it is used again."""
    server = serve(wire.whole())
    made = client(server)

    async def scenario():
        await world.close(made)
        for number in (1, 2):
            await world.chat(made, "Hi")
            await world.close(made)
            await world.close(made)
            assert server.connections == number
            assert await world.until(server.idle)

    world.run(scenario())


@pytest.mark.filterwarnings("ignore::provider_kit.BlockingCallWarning")
def test_a_client_is_a_context(serve, wire):
    """Both kinds of ``with`` close what was opened."""
    server = serve(wire.whole())
    with Client(f"{server.url}/v1", model="m") as made:
        made.chat("Hi")
    assert server.wait(server.idle)

    async def scenario():
        async with Client(f"{server.url}/v1", model="m") as made:
            await made.achat("Hi")
            made.chat("Hi")

    asyncio.run(scenario())
    assert server.wait(server.idle)


def test_closing_while_a_stream_is_read_harms_nobody_else(serve, wire, world, client):
    """The stream breaks or goes on; the client works afterwards."""

    def handle(connection, request):
        if b'"stream":true' in request.body:
            connection.send(wire.stream_head())
            for _ in range(3):
                connection.send(wire.chunk(wire.token("x")))
                connection.pause(0.05)
            connection.send(wire.chunk(wire.end), wire.last)
        else:
            connection.send(wire.whole())

    server = serve(handle)
    made = client(server)

    async def scenario():
        stream = world.stream(made, "Hi")
        await anext(stream)
        await world.close(made)
        try:
            async for _ in stream:
                pass
        except StreamError:
            pass
        assert (await world.chat(made, "Hi")).text == "Hi"
        await world.close(made)

    world.run(scenario())
    assert server.wait(server.idle)


def test_a_client_that_is_dropped_closes_its_connections_in_silence(serve, wire, world):
    """Nobody has to close anything; no warning is given."""
    server = serve(wire.whole())

    async def scenario():
        made = Client(f"{server.url}/v1", model="m")
        await world.chat(made, "Hi")
        assert "".join([chunk.text async for chunk in world.stream(made, "Hi")]) == "Hi"
        del made
        gc.collect()
        await world.pause(0.01)
        assert await world.until(server.idle)

    world.run(scenario())
    gc.collect()


def test_many_origins_share_a_client_of_few(serve, wire, world, post, limits):
    """More origins than are kept come and go."""
    servers = [serve(wire.whole(b"{}")) for _ in range(4)]

    async def scenario():
        transport = world.transport(HTTPConfig(max_idle_connections=2))
        for _ in range(2):
            for server in servers:
                assert (await transport.send(post(server.url), limits())).body == b"{}"
        await transport.aclose()

    world.run(scenario())
    gc.collect()
    assert all(server.wait(server.idle) for server in servers)


def test_many_addresses_of_one_origin_are_remembered_within_bounds(serve, wire, post, limits):
    """Addresses with a query of their own do not fill the memory."""
    from provider_kit.transports.aiohttp_transport import AiohttpTransport

    server = serve(wire.whole(b"{}"))

    async def scenario():
        transport = AiohttpTransport()
        for number in range(520):
            await transport.send(post(f"{server.url}/{number}"), limits())
        assert len(transport._urls) <= 501
        await transport.aclose()

    asyncio.run(scenario())


@pytest.mark.parametrize("query", ["", "?region=eu"])
def test_an_address_with_a_query_is_not_shown_by_a_cause(query):
    """urllib3 names the whole address in its errors, and a query may hold a key; else its error is the cause."""
    client = Client(f"http://127.0.0.1:9/v1{query}", model="m", max_retries=0)
    with pytest.raises(APIConnectionError) as caught:
        client.chat("Hello")
    assert (caught.value.__cause__ is None) == bool(query)
    assert query == "" or "region" not in "".join(traceback.format_exception(caught.value))
    client.close()
