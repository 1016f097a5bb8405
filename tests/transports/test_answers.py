"""Whole answers: every framing, every way to break one."""

import pytest

from provider_kit import (
    APIConnectionError,
    Client,
    InvalidResponseError,
    NotFoundError,
    ResponseLostError,
    StreamIncompleteError,
)


def chunked(wire, data, *lines, size=7):
    pieces = [wire.chunk(data[start : start + size]) for start in range(0, len(data), size)]
    return wire.head("Transfer-Encoding: chunked", *lines) + b"".join(pieces) + wire.last


FRAMINGS = {
    "length": lambda wire, data, *lines: wire.whole(data, *lines),
    "chunked": chunked,
    "close": lambda wire, data, *lines: wire.head("Connection: close", *lines) + data,
    "HTTP/1.0": lambda wire, data, *lines: wire.head(*lines).replace(b"HTTP/1.1", b"HTTP/1.0") + data,
}


@pytest.fixture(params=FRAMINGS)
def framing(request):
    return request.param


@pytest.fixture(params=["plain", "gzip"])
def coding(request):
    return request.param


def frame(wire, framing, coding, data):
    if coding == "gzip":
        return FRAMINGS[framing](wire, wire.gzip(data), "Content-Encoding: gzip")
    return FRAMINGS[framing](wire, data)


def send_and_close(data, framing):
    def handle(connection, request):
        connection.send(data)
        if framing in ("close", "HTTP/1.0"):
            connection.finish()

    return handle


def test_a_whole_answer_arrives_in_every_framing(serve, wire, world, post, limits, framing, coding):
    """With a length, chunked or up to the end of the connection; compressed or not; the next call works."""
    body = b'{"text":"' + b"x" * 100_000 + b'"}'
    server = serve(send_and_close(frame(wire, framing, coding, body), framing))
    transport = world.transport()

    async def scenario():
        for _ in range(2):
            answer = await transport.send(post(server.url + "/v1?a=b", b'{"q":1}'), limits())
            assert (answer.status, answer.body) == (200, body)
            assert answer.headers["CONTENT-TYPE"] == "application/json"
        await transport.aclose()

    world.run(scenario())
    assert [(request.method, request.target, request.body) for request in server.requests] == [
        ("POST", "/v1?a=b", b'{"q":1}')
    ] * 2
    assert server.requests[0].headers["content-length"] == "7"
    assert server.connections == (2 if framing in ("close", "HTTP/1.0") else 1)


def test_a_client_reads_every_framing(serve, wire, world, client, framing, coding):
    """The same through the client."""
    server = serve(send_and_close(frame(wire, framing, coding, wire.completion("Hello")), framing))
    made = client(server)

    async def scenario():
        assert (await world.chat(made, "Hi")).text == "Hello"
        await world.close(made)

    world.run(scenario())


def test_requests_without_a_body_have_none(serve, wire, world, client):
    """A list of models is asked for with GET."""
    server = serve(wire.whole(b'{"data":[{"id":"m"}]}'))
    made = client(server)
    assert [model.id for model in world.run(world.models(made))] == ["m"]
    assert server.requests[0].method == "GET"
    assert "content-length" not in server.requests[0].headers
    assert server.requests[0].headers.get("transfer-encoding") is None


@pytest.mark.parametrize("size", [0, 70_000, 3_000_000])
def test_large_requests_arrive_whole(serve, wire, world, post, limits, size):
    """Images make bodies of megabytes."""
    server = serve(wire.whole(b"{}"))
    body = b"x" * size
    assert world.run(world.transport().send(post(server.url, body), limits())).status == 200
    assert server.requests[0].body == body
    assert server.requests[0].headers["content-length"] == str(size)


def test_an_empty_answer_is_empty(serve, wire, world, post, limits):
    """Status 204 and a length of 0 have no body to wait for."""
    server = serve(wire.head(status="204 No Content") + wire.whole(b""))
    transport = world.transport()

    async def scenario():
        answer = await transport.send(post(server.url), limits())
        assert (answer.status, answer.body) == (204, b"")
        await transport.aclose()

    world.run(scenario())


def test_headers_may_be_long(serve, wire, world, post, limits):
    """Gateways send policies of many kilobytes."""
    server = serve(wire.whole(b"{}", "Content-Security-Policy: " + "x" * 30_000))
    answer = world.run(world.transport().send(post(server.url), limits()))
    assert len(answer.headers["content-security-policy"]) == 30_000


@pytest.mark.parametrize("hints", [1, 3])
def test_interim_answers_are_not_the_answer(serve, wire, world, client, hints):
    """Neither 100 Continue nor 103 Early Hints, however many come first."""
    interim = b"HTTP/1.1 100 Continue\r\n\r\n" + b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"

    def handle(connection, request):
        connection.send(interim * hints)
        connection.pause(0.02)
        connection.send(wire.stream("Hello") if b'"stream":true' in request.body else wire.whole())

    server = serve(handle)
    made = client(server)

    async def scenario():
        answer = await world.chat(made, "Hi")
        assert answer.text == "Hi"
        assert "link" not in answer.headers
        assert [chunk.text async for chunk in world.stream(made, "Hi")][:1] == ["Hello"]
        await world.close(made)

    world.run(scenario())
    assert server.connections == 1


BROKEN = {
    "nothing": lambda wire: b"",
    "a cut status line": lambda wire: b"HTTP/1.1 20",
    "cut headers": lambda wire: b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-A",
    "headers without their end": lambda wire: b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n",
    "headers without a blank line": lambda wire: b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n",
    "a body that is too short": lambda wire: wire.whole()[:-10],
    "a body of which nothing came": lambda wire: wire.head("Content-Length: 10"),
    "a chunk that is too short": lambda wire: chunked(wire, wire.completion(), size=50)[:-70],
    "chunks without an end": lambda wire: chunked(wire, wire.completion())[: -len(wire.last)],
    "a chunk of broken length": lambda wire: wire.head("Transfer-Encoding: chunked") + b"zz\r\n{}\r\n0\r\n\r\n",
    "a chunk of negative length": lambda wire: wire.head("Transfer-Encoding: chunked") + b"-5\r\n{}\r\n0\r\n\r\n",
    "garbage": lambda wire: b"\x16\x03\x01\x00 this is no HTTP\r\n\r\n",
    "another protocol": lambda wire: b"SSH-2.0-OpenSSH_9.9\r\n",
    "broken gzip": lambda wire: wire.whole(b"\x1f\x8b\x08\x00 no gzip at all", "Content-Encoding: gzip"),
}


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("end", ["finish", "reset"])
def test_a_broken_answer_is_never_taken_for_a_whole_one(serve, wire, world, client, broken, end):
    """However it breaks after the request was sent: the outcome is unknown, and nothing is tried again."""

    def handle(connection, request):
        connection.send(BROKEN[broken](wire))
        if end == "reset":
            connection.pause(0.03)
        getattr(connection, end)()

    server = serve(handle)
    made = client(server, max_retries=3)

    async def scenario():
        with pytest.raises(APIConnectionError) as caught:
            await world.chat(made, "Hi")
        assert isinstance(caught.value, ResponseLostError)
        assert caught.value.retryable is False
        assert "billed" in caught.value.hint
        assert caught.value.__cause__ is not caught.value
        await world.close(made)

    world.run(scenario())
    assert len(server.requests) == 1
    assert server.wait(server.idle)


@pytest.mark.parametrize("broken", [name for name in BROKEN if name != "broken gzip"])
def test_a_broken_answer_to_a_stream_is_an_error(serve, wire, world, client, broken):
    """Lost before it began, cut after that: which of them depends on how much the library sees at once."""

    def handle(connection, request):
        connection.send(BROKEN[broken](wire).replace(b"application/json", b"text/event-stream"))
        connection.finish()

    server = serve(handle)
    made = client(server)

    async def scenario():
        with pytest.raises((ResponseLostError, StreamIncompleteError)):
            async for _ in world.stream(made, "Hi"):
                pass
        await world.close(made)

    world.run(scenario())
    assert server.wait(server.idle)


def test_a_lost_answer_of_a_local_server_is_asked_for_again(serve, wire, world):
    """Nothing is billed on one's own machine."""

    def handle(connection, request):
        if len(server.requests) == 1:
            connection.reset()
        else:
            connection.send(wire.whole())

    server = serve(handle)
    made = Client("vllm/m", base_url=server.url, retry=lambda error, number: 0 if error.retryable else None)

    async def scenario():
        answer = await world.chat(made, "Hi")
        assert [attempt.error for attempt in answer.attempts] == ["ResponseLostError", None]
        await world.close(made)

    world.run(scenario())


def test_surplus_bytes_do_not_reach_the_next_call(serve, wire, world, client):
    """A length that is too small cuts this answer, and no other."""

    def handle(connection, request):
        body = wire.completion()
        connection.send(
            wire.head(f"Content-Length: {len(body) - 4}") + body if len(server.requests) == 1 else wire.whole()
        )

    server = serve(handle)
    made = client(server)

    async def scenario():
        with pytest.raises((InvalidResponseError, ResponseLostError)):
            await world.chat(made, "Hi")
        assert (await world.chat(made, "Hi")).text == "Hi"
        await world.close(made)

    world.run(scenario())


def test_a_strange_length_is_not_believed(serve, wire, world, post, limits):
    """An answer whose length is no number breaks or is read to its end; nothing else is raised."""

    def handle(connection, request):
        connection.send(wire.head("Content-Length: \xb2") + b"{}")
        connection.finish()

    server = serve(handle)

    async def scenario():
        transport = world.transport()
        try:
            assert (await transport.send(post(server.url), limits())).body == b"{}"
        except ResponseLostError:
            assert world.name == "asyncio"
        await transport.aclose()

    world.run(scenario())


def test_an_error_status_keeps_the_connection(serve, wire, world, client):
    """A refusal is an answer like any other, streamed or not."""
    server = serve(wire.whole(b'{"error":{"message":"no such model"}}', status="404 Not Found"))
    made = client(server)

    async def scenario():
        for _ in range(2):
            with pytest.raises(NotFoundError, match="no such model"):
                await world.chat(made, "Hi")
            with pytest.raises(NotFoundError, match="no such model"):
                await anext(aiter(world.stream(made, "Hi")))
        await world.close(made)

    world.run(scenario())
    assert server.connections == 1


def test_switching_protocols_is_no_answer(serve, wire, world, client):
    """A server that wants to speak something else is an error, not a wait without end."""
    server = serve(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
    made = client(server, timeout=0.2)

    async def scenario():
        with pytest.raises((InvalidResponseError, APIConnectionError)):
            await world.chat(made, "Hi")
        await world.close(made)

    world.run(scenario())
    assert server.wait(server.idle)
