"""The transport that is a list of answers."""

import pytest

from provider_kit import APIConnectionError, Client, ScriptedTransport
from provider_kit.transports import ByteStream, Transport
from provider_kit.transports.drive import run_to_completion
from provider_kit.wire.http import HttpRequest, Limits

REQUEST = HttpRequest("POST", "http://test/v1/chat", {}, b"{}")


def send(transport):
    return run_to_completion(transport.send(REQUEST, Limits()))


def read(transport):
    async def scenario():
        stream = await transport.open_stream(REQUEST, Limits())
        pieces = []
        while data := await stream.read():
            pieces.append(data)
        assert isinstance(stream, ByteStream)
        stream.progress()
        await stream.drain()
        await stream.aclose()
        return stream.status, stream.headers, pieces

    return run_to_completion(scenario())


def test_it_is_a_transport():
    """It has every method the engine may call."""
    assert isinstance(ScriptedTransport([]), Transport)


@pytest.mark.parametrize(
    ("entry", "status", "body"),
    [
        ({"json": {"a": 1}}, 200, b'{"a":1}'),
        ({"body": b"raw", "status": 500}, 500, b"raw"),
        ({"body": "text"}, 200, b"text"),
        ({"stream": [b"a", b"b", ValueError()]}, 200, b"ab"),
        ({}, 200, b""),
        (lambda request: {"json": request.method}, 200, b'"POST"'),
    ],
)
def test_an_entry_becomes_a_whole_answer(entry, status, body):
    """JSON, bytes, text, the pieces of a stream, or what a function returns."""
    transport = ScriptedTransport([entry])
    answer = send(transport)
    assert (answer.status, answer.body) == (status, body)
    assert transport.requests == [REQUEST]


def test_an_entry_becomes_a_stream():
    """Pieces arrive one by one, empty ones are skipped, headers keep their names in lower case."""
    transport = ScriptedTransport([{"stream": [b"a", b"", b"b"], "headers": {"X-Id": "7"}}, {"json": {}}])
    status, headers, pieces = read(transport)
    assert (status, pieces) == (200, [b"a", b"b"])
    assert headers == {"content-type": "text/event-stream", "x-id": "7"}
    assert transport.open_streams == 0
    assert read(transport)[1:] == ({"content-type": "application/json"}, [b"{}"])


def test_exceptions_are_raised_where_they_stand():
    """As an entry before the answer, in a stream in the middle of it."""
    error = APIConnectionError("gone")
    transport = ScriptedTransport([error, {"stream": [b"a", error]}])
    with pytest.raises(APIConnectionError) as caught:
        send(transport)
    assert caught.value is error
    with pytest.raises(APIConnectionError):
        read(transport)
    assert transport.open_streams == 1, "whoever does not close a stream is found out"


def test_a_script_that_is_over_says_so():
    """Unless its last entry is to be repeated."""
    with pytest.raises(AssertionError, match="no answer left for POST http://test/v1/chat"):
        send(ScriptedTransport([]))
    transport = ScriptedTransport([{"body": b"1"}, {"body": b"2"}], repeat=True)
    assert [send(transport).body for _ in range(4)] == [b"1", b"2", b"2", b"2"]


def test_time_passes_only_by_sleeping():
    """No test waits for real."""
    transport = ScriptedTransport([])
    before, date = transport.now(), transport.time()
    run_to_completion(transport.sleep(3600))
    assert transport.now() - before == 3600
    assert transport.time() - date == 3600
    assert transport.sleeps == [3600]


def test_it_runs_work_one_after_the_other():
    """Outcomes and errors come with their numbers."""
    transport = ScriptedTransport([])

    async def work(number):
        if number == 1:
            raise ValueError("no")
        return number

    async def scenario():
        thunks = [lambda number=number: work(number) for number in range(3)]
        return [outcome async for outcome in transport.run_all(thunks)]

    outcomes = run_to_completion(scenario())
    assert [number for number, _ in outcomes] == [0, 1, 2]
    assert isinstance(outcomes[1][1], ValueError)
    assert run_to_completion(transport.call_blocking(max, 1, 2)) == 2


def test_a_client_never_closes_a_transport_it_was_given():
    """Whoever made it closes it."""
    transport = ScriptedTransport([])
    Client("http://test/v1", model="m", transport=transport).close()
    assert not transport.closed
    run_to_completion(transport.aclose())
    assert transport.closed
