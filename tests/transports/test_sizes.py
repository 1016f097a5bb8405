"""Sizes: an answer larger than allowed is cut off before it fills the memory."""

import functools
import resource
import zlib

import pytest

from provider_kit import APIConnectionError, Client, InvalidResponseError, ResponseLostError, StreamError
from provider_kit.wire.http import Limits

MEGABYTE = 1 << 20


@functools.cache
def bomb(megabytes):
    """Zeros, compressed a thousand times."""
    packer = zlib.compressobj(9, wbits=31)
    zeros = bytes(MEGABYTE)
    return b"".join([*(packer.compress(zeros) for _ in range(megabytes)), packer.flush()])


def endless(connection, head, piece):
    connection.send(head)
    while True:
        connection.send(piece)


ANSWERS = {
    "a length": lambda wire, connection: endless(connection, wire.head("Content-Length: 10000000000"), b"x" * 65536),
    "chunks": lambda wire, connection: endless(
        connection, wire.head("Transfer-Encoding: chunked"), wire.chunk(b"x" * 65536)
    ),
    "one chunk": lambda wire, connection: endless(
        connection, wire.head("Transfer-Encoding: chunked") + b"ffffffff\r\n", b"x" * 65536
    ),
    "chunks and a length": lambda wire, connection: endless(
        connection, wire.head("Transfer-Encoding: chunked", "Content-Length: 2"), wire.chunk(b"x" * 65536)
    ),
    "no framing": lambda wire, connection: endless(connection, wire.head(), b"x" * 65536),
    "a bomb": lambda wire, connection: connection.send(wire.whole(bomb(300), "Content-Encoding: gzip")),
    "a chunked bomb": lambda wire, connection: connection.send(
        wire.head("Transfer-Encoding: chunked", "Content-Encoding: gzip"), wire.chunk(bomb(300)), wire.last
    ),
    "a bomb without framing": lambda wire, connection: (
        connection.send(wire.head("Content-Encoding: gzip"), bomb(300)),
        connection.finish(),
    ),
}


@pytest.fixture(scope="module", autouse=True)
def _packed():
    """Compress the bomb before a client's time for an answer runs."""
    bomb(300)


@pytest.fixture
def memory():
    """Bound what this process may take beyond what it has; a larger answer does not fit."""
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + 160 * MEGABYTE, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.usefixtures("memory")
def test_a_whole_answer_beyond_the_limit_is_cut_off(serve, wire, world, post, limits, kind):
    """Whatever its framing and compression, with memory for little more than the limit."""
    server = serve(lambda connection, request: ANSWERS[kind](wire, connection))

    async def scenario():
        transport = world.transport()
        with pytest.raises((InvalidResponseError, ResponseLostError)) as caught:
            await transport.send(post(server.url), limits(max_bytes=2_000_000))
        if kind != "chunks and a length":  # which one may well refuse to read
            assert "larger than 2,000,000 bytes" in str(caught.value)
            assert "max_response_bytes" in caught.value.hint
        assert await world.until(server.idle)
        await transport.aclose()

    world.run(scenario())


@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.usefixtures("memory")
def test_a_stream_beyond_the_limit_is_cut_off(serve, wire, world, client, kind):
    """A single line without an end, too."""

    class Streaming:
        def __getattr__(self, name):
            return getattr(wire, name)

        def head(self, *lines):
            return wire.head(*lines, kind="text/event-stream") + b""

        def whole(self, body, *lines):
            return self.head(f"Content-Length: {len(body)}", *lines) + body

    server = serve(lambda connection, request: ANSWERS[kind](Streaming(), connection))
    made = client(server, max_response_bytes=2_000_000)

    async def scenario():
        with pytest.raises((InvalidResponseError, ResponseLostError)) as caught:
            async for _ in world.stream(made, "Hi"):
                pass
        assert "larger than 2,000,000 bytes" in str(caught.value) or kind == "chunks and a length"
        assert await world.until(server.idle)
        await world.close(made)

    world.run(scenario())


def test_a_stream_of_content_beyond_the_limit_gives_what_was_received(serve, wire, world, client):
    """Tokens without end."""
    server = serve(
        lambda connection, request: endless(connection, wire.stream_head(), wire.chunk(wire.token("x" * 999)))
    )
    made = client(server, max_response_bytes=100_000)

    async def scenario():
        with pytest.raises(StreamError, match="larger than 100,000 bytes") as caught:
            async for _ in world.stream(made, "Hi"):
                pass
        assert 0 < len(caught.value.partial.text) < 100_000
        assert await world.until(server.idle)
        await world.close(made)

    world.run(scenario())


@pytest.mark.parametrize("framing", ["length", "chunked", "gzip"])
def test_an_answer_of_exactly_the_limit_is_allowed(serve, wire, world, post, limits, framing):
    """One byte more is not."""
    body = b"x" * 1000
    answers = {
        "length": wire.whole(body),
        "chunked": wire.head("Transfer-Encoding: chunked") + wire.chunk(body) + wire.last,
        "gzip": wire.whole(wire.gzip(body), "Content-Encoding: gzip"),
    }
    server = serve(answers[framing])

    async def scenario():
        transport = world.transport()
        assert (await transport.send(post(server.url), limits(max_bytes=1000))).body == body
        with pytest.raises(InvalidResponseError):
            await transport.send(post(server.url), limits(max_bytes=999))
        await transport.aclose()

    world.run(scenario())


def endless_header(wire):
    return b"HTTP/1.1 200 OK\r\nX: ", b"x" * 65536


def endless_headers(wire):
    return b"HTTP/1.1 200 OK\r\n", b"X-Header: x\r\n" * 1000


def endless_trailer(wire):
    return wire.head("Transfer-Encoding: chunked") + b"0\r\n", b"x" * 65536


def endless_chunk_length(wire):
    return wire.head("Transfer-Encoding: chunked"), b"0" * 65536


@pytest.mark.parametrize("kind", [endless_header, endless_headers, endless_trailer, endless_chunk_length])
@pytest.mark.usefixtures("memory")
def test_heads_and_framing_without_end_are_cut_off(serve, wire, world, client, kind):
    """They are no content, so they are errors of the connection."""
    server = serve(lambda connection, request: endless(connection, *kind(wire)))
    made = client(server, timeout=0.3)

    async def scenario():
        with pytest.raises(APIConnectionError, match=r"broke before|within"):
            await world.chat(made, "Hi")
        assert await world.until(server.idle)
        await world.close(made)

    world.run(scenario())


def test_interim_answers_without_end_are_bound_by_the_clock(serve, wire, world, client):
    """They take no memory."""
    server = serve(lambda connection, request: endless(connection, b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100))
    made = client(server, timeout=0.15)

    async def scenario():
        with pytest.raises(APIConnectionError, match=r"broke before|within"):
            await world.chat(made, "Hi")
        assert await world.until(server.idle)
        await world.close(made)

    world.run(scenario())


def test_the_limit_is_64_megabytes_unless_told():
    """Enough for images in an answer, too little to fill a machine."""
    assert Limits().max_bytes == 64 * MEGABYTE
    assert Client("http://127.0.0.1:9/v1", model="m").config.http.max_response_bytes == 64 * MEGABYTE
