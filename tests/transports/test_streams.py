"""Streamed answers: delivered at once, their connections used again, every way to break one."""

import gc
import socket
import zlib

import pytest

from provider_kit import (
    APIConnectionError,
    Backoff,
    InvalidResponseError,
    StreamError,
    StreamIncompleteError,
)
from provider_kit.transports import aiohttp_transport, requests_transport


def compressed(pieces):
    packer = zlib.compressobj(wbits=31)
    packed = [packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH) for piece in pieces]
    return [*packed, packer.flush()]


@pytest.fixture(params=["chunked", "close", "chunked gzip", "close gzip", "length"])
def framing(request):
    return request.param


def framed(wire, framing, pieces):
    """Head, pieces, and how to end."""
    lines = []
    if framing.endswith("gzip"):
        pieces = compressed(pieces)
        lines.append("Content-Encoding: gzip")
    if framing.startswith("chunked"):
        return wire.stream_head(*lines), [*(wire.chunk(piece) for piece in pieces if piece), wire.last]
    if framing == "length":
        lines.append(f"Content-Length: {sum(map(len, pieces))}")
    return wire.head(*lines, kind="text/event-stream"), list(pieces)


def test_each_piece_is_delivered_before_the_next_is_sent(serve, wire, world, client, framing):
    """Nothing is held back until a buffer is full or the answer has ended, whatever the framing."""
    texts = ["one", "two", "three"]
    delivered = []

    def handle(connection, request):
        head, pieces = framed(wire, framing, [*(wire.token(text) for text in texts), wire.end])
        connection.send(head)
        for number, piece in enumerate(pieces):
            connection.send(piece)
            expected = min(number + 1, len(texts))
            assert server.wait(lambda expected=expected: len(delivered) >= expected), delivered
        if framing.startswith("close"):
            connection.finish()

    server = serve(handle)
    made = client(server)

    async def scenario():
        async with world.stream(made, "Hi") as stream:
            async for chunk in stream:
                if chunk.text:
                    delivered.append(chunk.text)
        assert stream.response.text == "onetwothree"
        await world.close(made)

    world.run(scenario())
    assert delivered == texts


def test_a_token_split_anywhere_is_put_together(serve, wire, world, client):
    """Cuts inside a chunk's length, its line end, or a character do not matter."""
    data = wire.stream("Grüße", "日本")

    def handle(connection, request):
        connection.drip(data, 0.0003)

    made = client(serve(handle))

    async def scenario():
        assert "".join([chunk.text async for chunk in world.stream(made, "Hi")]) == "Grüße日本"
        await world.close(made)

    world.run(scenario())


@pytest.mark.parametrize("framing", ["chunked", "chunked gzip", "length"], indirect=True)
def test_a_connection_serves_many_streams_and_calls(serve, wire, world, client, framing):
    """What follows the last event is read, so that the connection can be used again."""

    def handle(connection, request):
        if b'"stream":true' not in request.body:
            connection.send(wire.whole())
            return
        head, pieces = framed(wire, framing, [wire.token("Hi"), wire.end])
        connection.send(head, *pieces[:-1])
        connection.pause(0.02)
        connection.send(pieces[-1])

    server = serve(handle)
    made = client(server)

    async def scenario():
        for _ in range(3):
            assert "".join([chunk.text async for chunk in world.stream(made, "Hi")]) == "Hi"
            assert (await world.chat(made, "Hi")).text == "Hi"
        await world.close(made)

    world.run(scenario())
    assert server.connections == 1
    assert server.wait(server.idle)


def test_a_server_that_keeps_a_finished_stream_open_does_not_keep_the_caller(serve, wire, world, client, stopwatch):
    """The end is waited for briefly; then the connection is given up."""

    def handle(connection, request):
        connection.send(wire.stream_head(), wire.chunk(wire.token("Hi") + wire.end))
        connection.hold()

    server = serve(handle)
    made = client(server)

    async def scenario():
        with stopwatch() as watch:
            assert [chunk.text async for chunk in world.stream(made, "Hi")] == ["Hi", ""]
        assert watch.seconds < 3.5
        assert await world.until(server.idle)
        await world.close(made)

    world.run(scenario())


def test_a_server_that_talks_on_after_the_end_is_left(serve, wire, world, client, stopwatch):
    """Nobody reads megabytes after the last event."""

    def handle(connection, request):
        connection.send(wire.stream_head(), wire.chunk(wire.token("Hi") + wire.end))
        while True:
            connection.send(wire.chunk(wire.ping * 1000))

    server = serve(handle)
    made = client(server)

    async def scenario():
        with stopwatch() as watch:
            assert [chunk.text async for chunk in world.stream(made, "Hi")] == ["Hi", ""]
        assert watch.seconds < 3.5
        assert await world.until(server.idle)
        await world.close(made)

    world.run(scenario())


def test_a_connection_that_ends_with_its_stream_is_not_waited_for(serve, wire, world, client, stopwatch, monkeypatch):
    """It cannot be used again, so its end does not matter."""
    monkeypatch.setattr(aiohttp_transport, "_DRAIN_SECONDS", 20.0)
    monkeypatch.setattr(requests_transport, "_DRAIN_SECONDS", 20.0)

    def handle(connection, request):
        connection.send(wire.head("Connection: close", kind="text/event-stream"), wire.token("Hi") + wire.end)
        connection.hold()

    server = serve(handle)
    made = client(server)

    async def scenario():
        with stopwatch() as watch:
            assert [chunk.text async for chunk in world.stream(made, "Hi")] == ["Hi", ""]
        assert watch.seconds < 2.5
        assert await world.until(server.idle)
        await world.close(made)

    world.run(scenario())


@pytest.mark.parametrize("delay", [0, 0.02])
def test_a_server_may_close_after_a_stream_though_it_promised_not_to(serve, wire, world, client, delay):
    """Some local servers do; the next call takes a new connection and is not lost."""

    def handle(connection, request):
        if hasattr(socket, "TCP_CORK"):  # the end travels with the last bytes
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        connection.send(wire.stream("Hi").replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n", 1))
        connection.finish()

    server = serve(handle)
    made = client(server)

    async def scenario():
        for _ in range(4):
            assert "".join([chunk.text async for chunk in world.stream(made, "Hi")]) == "Hi"
            await world.pause(delay)
        await world.close(made)

    world.run(scenario())
    assert len(server.requests) == 4
    assert server.connections == 4


def test_leaving_a_stream_early_frees_its_connection(serve, wire, world, client):
    """The server learns of it at once, and the place in the pool can be taken by the next call."""

    def handle(connection, request):
        if b'"stream":true' not in request.body:
            connection.send(wire.whole())
            return
        connection.send(wire.stream_head())
        while True:
            connection.send(wire.chunk(wire.token("x")))
            connection.pause(0.005)

    server = serve(handle)
    made = client(server, max_connections=1, timeout=2)

    async def scenario():
        async for _ in world.stream(made, "Hi"):
            break
        await world.pause(0)
        assert (await world.chat(made, "Hi")).text == "Hi"
        async with world.stream(made, "Hi") as stream:
            await anext(stream)
        assert (await world.chat(made, "Hi")).text == "Hi"
        stream = world.stream(made, "Hi")
        await anext(stream)
        await stream.aclose()
        await stream.aclose()
        assert (await world.chat(made, "Hi")).text == "Hi"
        await world.close(made)

    world.run(scenario())
    assert server.wait(server.idle)


def test_a_stream_that_is_forgotten_frees_its_connection(serve, wire, world, client):
    """Dropping the last reference is leaving it early."""

    def handle(connection, request):
        connection.send(wire.stream_head(), wire.chunk(wire.token("x")))
        connection.hold()

    server = serve(handle)
    made = client(server)

    async def scenario():
        stream = world.stream(made, "Hi")
        assert (await anext(stream)).text == "x"
        del stream
        gc.collect()
        await world.pause(0.01)
        assert await world.until(server.idle)
        world.stream(made, "never asked for")
        await world.close(made)

    world.run(scenario())
    gc.collect()
    assert len(server.requests) == 1


@pytest.mark.parametrize("end", ["finish", "reset"])
@pytest.mark.parametrize("broken", ["chunked", "close", "broken chunk", "broken gzip", "length"])
def test_a_stream_cut_after_content_gives_what_was_received(serve, wire, world, client, broken, end):
    """The error carries the text so far, and is not taken for a short answer."""

    def handle(connection, request):
        data = wire.token("received")
        if broken == "close":
            connection.send(wire.head("Connection: close", kind="text/event-stream"), data)
        elif broken == "length":
            connection.send(wire.head("Content-Length: 100000", kind="text/event-stream"), data)
        elif broken == "broken gzip":
            packed = compressed([data])[0]
            connection.send(wire.stream_head("Content-Encoding: gzip"), wire.chunk(packed))
            connection.pause(0.02)
            connection.send(wire.chunk(b"\xff" * 50))
        else:
            connection.send(wire.stream_head(), wire.chunk(data))
        connection.pause(0.02)
        if broken == "broken chunk":
            connection.send(b"oops\r\n")
        getattr(connection, end)()

    server = serve(handle)
    made = client(server, max_retries=3)

    async def scenario():
        received = []
        with pytest.raises(StreamIncompleteError) as caught:
            async for chunk in world.stream(made, "Hi"):
                received.append(chunk.text)
        assert received == ["received"]
        assert caught.value.partial.text == "received"
        assert caught.value.partial.finish_reason == "error"
        assert not caught.value.retryable
        await world.close(made)

    world.run(scenario())
    assert len(server.requests) == 1
    assert server.wait(server.idle)


@pytest.mark.parametrize("sent", ["nothing", "a ping", "half an event"])
def test_a_stream_without_content_is_asked_for_again_only_if_it_ended_in_order(serve, wire, world, client, sent):
    """An orderly end without any content may be repeated; a lost connection may not."""

    def handle(connection, request):
        if len(server.requests) > 1:
            connection.send(wire.stream("Hi"))
            return
        connection.send(wire.stream_head())
        if sent != "nothing":
            connection.send(wire.chunk(wire.ping if sent == "a ping" else wire.token("x")[:10]))
        connection.send(wire.last)

    made = client(server := serve(handle), retry=lambda error, number: 0 if error.retryable else None)

    async def scenario():
        assert "".join([chunk.text async for chunk in world.stream(made, "Hi")]) == "Hi"
        await world.close(made)

    world.run(scenario())
    assert len(server.requests) == 2


def test_a_reset_before_the_first_content_is_asked_again(serve, wire, world, client):
    """The stream had begun; its caller has seen nothing of it."""

    def handle(connection, request):
        connection.send(wire.stream_head(), wire.chunk(wire.ping))
        connection.pause(0.02)
        connection.reset()

    made = client(server := serve(handle), retry=Backoff(3, base=0.001))

    async def scenario():
        with pytest.raises(StreamIncompleteError) as caught:
            async for _ in world.stream(made, "Hi"):
                pass
        assert len(caught.value.attempts) == 4
        await world.close(made)

    world.run(scenario())
    assert len(server.requests) == 4


def test_an_answer_that_is_no_stream_is_read_as_a_whole(serve, wire, world, client):
    """Some servers ignore the wish; the connection stays usable."""
    server = serve(wire.whole())
    made = client(server)

    async def scenario():
        for _ in range(2):
            assert "".join([chunk.text async for chunk in world.stream(made, "Hi")]) == "Hi"
        await world.close(made)

    world.run(scenario())
    assert server.connections == 1


def test_a_web_page_is_no_stream(serve, wire, world, client):
    """A login page of a network in between is named for what it is."""
    server = serve(wire.whole(b"<html><body>Log in</body></html>", kind="text/html"))
    made = client(server)

    async def scenario():
        with pytest.raises(InvalidResponseError, match="web page"):
            async for _ in world.stream(made, "Hi"):
                pass
        await world.close(made)

    world.run(scenario())


def test_a_stream_can_be_read_at_the_level_of_bytes(serve, wire, world, post, limits):
    """Status and headers first, then bytes, then ``b""`` for good; closing twice is harmless."""
    server = serve(wire.stream("Hi"))

    async def scenario():
        transport = world.transport()
        for _ in range(2):
            stream = await transport.open_stream(post(server.url), limits())
            assert stream.status == 200
            assert stream.headers["content-type"] == "text/event-stream"
            data = b""
            while piece := await stream.read():
                data += piece
                stream.progress()
            assert data == wire.token("Hi") + wire.end
            assert await stream.read() == b""
            await stream.drain()
            await stream.aclose()
            await stream.aclose()
        await transport.aclose()

    world.run(scenario())
    assert server.connections == 1


@pytest.mark.parametrize("ending", ["whole", "cut", "reset"])
def test_draining_never_fails(serve, wire, world, post, limits, ending):
    """The answer was complete; what happens to its connection afterwards is nobody's error."""

    def handle(connection, request):
        connection.send(wire.stream_head(), wire.chunk(wire.end))
        connection.pause(0.05)
        if ending == "whole":
            connection.send(wire.last)
        elif ending == "cut":
            connection.finish()
        else:
            connection.reset()

    server = serve(handle)

    async def scenario():
        transport = world.transport()
        for _ in range(2):
            stream = await transport.open_stream(post(server.url), limits())
            assert await stream.read() == wire.end
            await stream.drain()
            await stream.drain()
            await stream.aclose()
        await transport.aclose()

    world.run(scenario())
    assert server.connections == (1 if ending == "whole" else 2)


def test_a_closed_stream_cannot_be_read(serve, wire, world, post, limits):
    """It is at its end, or says that its connection is gone; it never waits."""

    def handle(connection, request):
        connection.send(wire.stream_head(), wire.chunk(wire.end))
        connection.hold()

    server = serve(handle)

    async def scenario():
        transport = world.transport()
        stream = await transport.open_stream(post(server.url), limits())
        await stream.aclose()
        try:
            assert await stream.read() == b""
        except APIConnectionError:
            pass
        await transport.aclose()

    world.run(scenario())
    assert server.wait(server.idle)


def test_a_refused_stream_gives_its_error(serve, wire, world, client):
    """An error inside a stream, after content, carries both the error and the content."""

    def handle(connection, request):
        connection.send(
            wire.stream_head(),
            wire.chunk(wire.token("Hi") + b'data: {"error":{"message":"overloaded","code":503}}\n\n'),
        )
        connection.hold()

    server = serve(handle)
    made = client(server)

    async def scenario():
        with pytest.raises(StreamError, match="overloaded") as caught:
            async for _ in world.stream(made, "Hi"):
                pass
        assert caught.value.partial.text == "Hi"
        assert await world.until(server.idle)
        await world.close(made)

    world.run(scenario())
