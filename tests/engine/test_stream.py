"""A streamed answer: attempts before the first content, one typed error after it."""

import asyncio
import pickle
import traceback

import pytest

from provider_kit import (
    APIConnectionError,
    APITimeoutError,
    AuthenticationError,
    Backoff,
    InternalServerError,
    InvalidRequestError,
    InvalidResponseError,
    OverloadedError,
    RateLimitError,
    ResponseLostError,
    StreamError,
    StreamIncompleteError,
)
from provider_kit.errors import DeadlineExceededError, StreamTimeoutError

NOW = Backoff(3, jitter=lambda wait: wait * 0.0)


def test_a_stream_brings_pieces_and_the_whole(call, scripted, answers, late):
    """Chunks as they come, the assembled answer at the end, with usage, ids, attempts and timings."""
    client, transport = scripted(late(2, answers.stream("Hel", "lo", headers={"X-Request-Id": "r1"})))
    chunks, answer = call.stream(client, "Hello")
    assert [chunk.text for chunk in chunks if chunk.text] == ["Hel", "lo"]
    assert [chunk.done for chunk in chunks] == [False, False, True]
    assert chunks[-1].usage.total_tokens == 5
    assert (answer.text, answer.finish_reason, answer.usage.total_tokens) == ("Hello", "stop", 5)
    assert (answer.provider, answer.request_id, answer.headers["x-request-id"]) == ("openai", "r1", "r1")
    assert [a.error for a in answer.attempts] == [None]
    assert answer.timings.first_content == answer.timings.total == 2
    assert transport.open_streams == 0


def test_only_the_text_can_be_read(scripted, answers):
    """``text()`` yields the pieces of text alone, in both worlds."""
    client, _ = scripted(answers.stream("a", "b"), answers.stream("c", "d"))
    assert list(client.stream("Hello").text()) == ["a", "b"]

    async def read():
        return [piece async for piece in client.astream("Hello").text()]

    assert asyncio.run(read()) == ["c", "d"]


def test_a_stream_can_be_read_by_hand(scripted, answers):
    """``next`` and ``anext`` work, and end as iterators end."""
    client, _ = scripted(answers.stream("a"), answers.stream("b"))
    stream = client.stream("Hello")
    assert next(stream).text == "a"
    assert next(stream).done
    with pytest.raises(StopIteration):
        next(stream)
    stream.close()

    async def read():
        stream = client.astream("Hello")
        assert (await anext(stream)).text == "b"
        assert (await anext(stream)).done
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        await stream.aclose()

    asyncio.run(read())


def test_leaving_the_loop_frees_the_connection(scripted, answers):
    """``break``, ``close``, ``with`` and a stream nobody read leave nothing open."""
    client, transport = scripted(answers.stream("a", "b"), repeat=True)
    for chunk in client.stream("Hello"):
        assert chunk.text == "a"
        break
    assert transport.open_streams == 0
    with client.stream("Hello") as stream:
        next(stream)
        assert transport.open_streams == 1
    assert transport.open_streams == 0
    assert stream.response.text == "a"
    with pytest.raises(StopIteration):
        next(stream)
    unread = client.stream("Hello")
    unread.close()
    unread.close()
    assert transport.open_streams == 0


def test_leaving_the_asyncio_loop_frees_the_connection(scripted, answers):
    """``async with`` and ``aclose`` leave nothing open."""
    client, transport = scripted(answers.stream("a", "b"), repeat=True)

    async def read():
        async with client.astream("Hello") as stream:
            async for chunk in stream:
                assert chunk.text == "a"
                break
        assert transport.open_streams == 0
        unread = client.astream("Hello")
        await unread.aclose()
        await unread.aclose()
        async for _ in client.astream("Hello"):
            break

    asyncio.run(read())
    assert transport.open_streams == 0


def test_before_it_is_read_a_stream_has_no_answer(scripted, answers):
    """The request is written and sent with the first chunk; until then response and warnings are empty."""
    client, transport = scripted(answers.stream("a"))
    stream = client.stream("Hello", top_k=5)
    assert transport.requests == []
    assert (stream.response.text, stream.response.finish_reason) == ("", "error")
    assert stream.warnings == []
    next(stream)
    assert [warning.parameter for warning in stream.warnings] == ["top_k"]
    list(stream)
    assert stream.response.text == "a"


def test_wrong_arguments_are_told_at_once(scripted):
    """What the arguments tell is raised by ``stream()`` itself; what only the dialect can tell, by the first chunk."""
    client, transport = scripted()
    for verb in (client.stream, client.astream):
        with pytest.raises(InvalidRequestError):
            verb([])
        with pytest.raises(InvalidRequestError):
            verb("Hello", on_unsupported="shout")
    with pytest.raises(InvalidRequestError, match="top_k"):
        next(client.stream("Hello", top_k=5, on_unsupported="raise"))
    with pytest.raises(InvalidRequestError, match="top_k"):
        asyncio.run(anext(client.astream("Hello", top_k=5, on_unsupported="raise")))
    assert transport.requests == []


@pytest.mark.parametrize(
    "failure",
    [
        lambda a: a.error(503),
        lambda a: APIConnectionError("no route"),
        lambda a: {"stream": [APIConnectionError("cut")]},
        lambda a: {"stream": []},
        lambda a: {"stream": [b": ping\n\n"]},
        lambda a: {"stream": [a.data({"error": {"message": "busy", "code": "server_error"}})]},
        lambda a: {"stream": [a.data({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})]},
        lambda a: {"json": {"error": {"message": "busy", "code": "server_error"}}},
    ],
    ids=["status", "connect", "cut", "nothing", "pings", "error event", "role only", "error json"],
)
def test_until_the_first_content_a_stream_is_tried_again_unseen(call, scripted, answers, failure):
    """Whatever fails before content came is followed by another attempt, which the caller cannot tell."""
    client, transport = scripted(failure(answers), answers.stream("Hi"), retry=NOW)
    chunks, answer = call.stream(client, "Hello", top_k=5)
    assert "".join(chunk.text for chunk in chunks) == answer.text == "Hi"
    assert len(transport.requests) == 2
    assert [a.number for a in answer.attempts] == [1, 2]
    assert answer.attempts[0].error is not None
    assert answer.attempts[1].error is None
    assert len(answer.warnings) == 1
    assert transport.open_streams == 0


def test_a_failed_stream_is_closed_before_the_wait(call, scripted, answers):
    """No connection is held open while the next attempt is waited for."""
    client, transport = scripted({"stream": []}, answers.stream("Hi"), retry=Backoff(1, jitter=lambda wait: wait * 1.0))
    real = transport.sleep
    held = []

    async def sleep(seconds):
        held.append(transport.open_streams)
        await real(seconds)

    transport.sleep = sleep
    call.stream(client, "Hello")
    assert held == [0]
    assert transport.sleeps == [0.5]


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (ResponseLostError("gone"), StreamIncompleteError),
        (APIConnectionError("gone"), StreamIncompleteError),
        (APITimeoutError("too long"), StreamTimeoutError),
        (DeadlineExceededError("too long"), StreamTimeoutError),
        (InvalidResponseError("too large"), StreamError),
        (None, StreamIncompleteError),
        (b'data: {"error": {"message": "it broke", "code": "server_error"}}\n\n', StreamError),
        (b"data: {this is no JSON\n\n", StreamError),
        (b"data: 5\n\n", StreamError),
    ],
    ids=["lost", "connection", "idle", "deadline", "too large", "end", "error event", "no json", "no object"],
)
def test_after_the_first_content_a_failure_is_a_stream_error(call, scripted, answers, failure, kind):
    """It carries what was received, usage included, and every attempt; nothing is sent again."""
    usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    pieces = [answers.event("Hel", usage=usage), *([failure] if failure is not None else [])]
    script = [answers.error(500), {"stream": pieces, "headers": {"x-request-id": "r7"}}]
    client, transport = scripted(*script, retry=NOW)
    with pytest.raises(StreamError) as caught:
        call.stream(client, "Hello")
    error = caught.value
    assert type(error) is kind
    assert isinstance(error, APITimeoutError) == (kind is StreamTimeoutError)
    assert (error.partial.text, error.partial.finish_reason) == ("Hel", "error")
    assert error.partial.usage.total_tokens == 4
    assert (error.provider, error.model, error.operation, error.request_id) == ("openai", "gpt-4o", "stream", "r7")
    assert [a.number for a in error.attempts] == [1, 2]
    assert error.attempts[0].error == "InternalServerError"
    assert error.attempts[1].error is not None
    assert error.partial.attempts == error.attempts
    assert error.partial.timings.total is not None
    assert not error.retryable
    assert "error.partial" in error.hint
    assert len(transport.requests) == 2
    assert transport.open_streams == 0
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.partial.text, again.attempts) == (kind, "Hel", error.attempts)


def test_an_error_event_after_content_keeps_status_and_code(call, scripted, answers):
    """The provider's own code stands in the stream's error, whose cause is the typed error."""
    data = b'data: {"error": {"message": "no capacity", "code": "overloaded_error"}}\n\n'
    client, _ = scripted({"stream": [answers.event("Hel"), data]})
    with pytest.raises(StreamError, match="no capacity") as caught:
        call.stream(client, "Hello")
    assert caught.value.code == "overloaded_error"
    assert isinstance(caught.value.__cause__, OverloadedError)


def test_what_was_received_can_still_be_read_after_an_error(scripted, answers):
    """``stream.response`` is the partial answer too."""
    client, _ = scripted({"stream": [answers.event("Hel")]})
    stream = client.stream("Hello")
    with pytest.raises(StreamIncompleteError):
        list(stream)
    assert stream.response.text == "Hel"
    assert [a.error for a in stream.response.attempts] == ["StreamIncompleteError"]


def test_a_stream_without_content_that_never_works_is_an_error_with_all_attempts(call, scripted):
    """Ended without an answer each time: the last error tells so, and its partial answer is empty."""
    client, transport = scripted({"stream": []}, repeat=True, retry=Backoff(2, jitter=lambda wait: wait * 0.0))
    with pytest.raises(StreamIncompleteError) as caught:
        call.stream(client, "Hello")
    assert len(transport.requests) == len(caught.value.attempts) == 3
    assert caught.value.partial.text == ""
    assert caught.value.partial.attempts == caught.value.attempts


def test_an_error_before_content_has_a_short_traceback(call, scripted, answers):
    """The caller sees the typed error alone, not how it travelled inside the library."""
    data = b'data: {"error": {"message": "wrong key", "code": "invalid_api_key"}}\n\n'
    client, _ = scripted({"stream": [data]})
    with pytest.raises(AuthenticationError) as caught:
        call.stream(client, "Hello")
    assert "StreamFailure" not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__cause__ is None


def test_a_stream_request_may_be_answered_whole(call, scripted, answers):
    """A server that does not stream answers with JSON: the caller gets it as chunks all the same."""
    client, transport = scripted(answers.text("Hello", headers={"x-request-id": "r3"}))
    chunks, answer = call.stream(client, "Hello")
    assert [chunk.text for chunk in chunks] == ["Hello", ""]
    assert chunks[-1].done
    assert chunks[-1].usage.total_tokens == 5
    assert (answer.text, answer.finish_reason, answer.request_id) == ("Hello", "stop", "r3")
    assert [a.error for a in answer.attempts] == [None]
    assert transport.open_streams == 0


def test_a_whole_answer_to_a_stream_request_brings_tool_calls_too(call, scripted):
    """Thinking, tool calls and refusals of a whole answer are in the chunks."""
    message = {
        "content": None,
        "reasoning_content": "hmm",
        "refusal": "no",
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}],
    }
    payload = {"choices": [{"message": message, "finish_reason": "tool_calls"}]}
    client, _ = scripted({"json": payload})
    chunks, answer = call.stream(client, "Hello")
    assert (chunks[0].thinking, chunks[0].refusal) == ("hmm", "no")
    (delta,) = chunks[0].tool_calls
    assert (delta.index, delta.id, delta.name, delta.arguments) == (0, "c1", "add", '{"a": 1}')
    assert answer.tool_calls[0].arguments == {"a": 1}


def test_an_empty_whole_answer_to_a_stream_request_is_one_last_chunk(call, scripted, answers):
    """Without content there is only the chunk that ends the stream."""
    client, _ = scripted(answers.text(""))
    chunks, _ = call.stream(client, "Hello")
    assert [chunk.done for chunk in chunks] == [True]


def test_an_error_object_with_status_200_is_an_error(call, scripted):
    """A stream request answered by an error as JSON raises the typed error."""
    answer = {
        "json": {"error": {"message": "slow down", "code": "rate_limit_exceeded"}},
        "headers": {"x-request-id": "r4"},
    }
    client, transport = scripted(answer, max_retries=0)
    with pytest.raises(RateLimitError, match="slow down") as caught:
        call.stream(client, "Hello")
    assert caught.value.request_id == "r4"
    assert caught.value.headers["x-request-id"] == "r4"
    assert transport.open_streams == 0


@pytest.mark.parametrize("kind", ["text/html", "text/html; charset=utf-8", "Text/HTML", "application/json"])
def test_a_web_page_with_status_200_is_an_error(call, scripted, kind):
    """A proxy's page in place of a stream is told as such."""
    answer = {"body": b"<!doctype html><title>Login</title>", "headers": {"content-type": kind}}
    client, _ = scripted(answer, max_retries=0)
    with pytest.raises(InvalidResponseError, match="web page"):
        call.stream(client, "Hello")


def test_a_stream_that_calls_itself_json_is_read_all_the_same(call, scripted, answers):
    """A wrong content type does no harm to a whole stream; half a stream is an error."""
    whole = b"".join(answers.stream("Hel", "lo")["stream"])
    json_type = {"content-type": "application/json; charset=utf-8"}
    client, transport = scripted({"body": whole, "headers": json_type})
    chunks, answer = call.stream(client, "Hello")
    assert [chunk.text for chunk in chunks if chunk.text] == ["Hel", "lo"]
    assert (answer.text, answer.finish_reason) == ("Hello", "stop")
    for cut in (answers.event("Hel"), b"data: {broken\n\n"):
        client, transport = scripted({"body": cut, "headers": json_type}, max_retries=0)
        with pytest.raises(InvalidResponseError, match="not JSON"):
            call.stream(client, "Hello")
    assert transport.open_streams == 0


def test_an_error_status_of_a_stream_request_is_a_typed_error(call, scripted, answers):
    """The body of the error answer is read whole."""
    client, transport = scripted(answers.error(429, "rate_limit_exceeded", "slow down", retry_after="5"), max_retries=0)
    with pytest.raises(RateLimitError, match="slow down") as caught:
        call.stream(client, "Hello")
    assert caught.value.retry_after == 5
    assert transport.open_streams == 0


def test_an_event_that_is_no_json_before_content_is_an_error_without_secrets(call, scripted):
    """Garbage in place of the first event is no endless stream."""
    data = b'data: {"key": "test-key-0123456789" broken\n\n'
    client, _ = scripted({"stream": [data]}, max_retries=0)
    with pytest.raises(InvalidResponseError) as caught:
        call.stream(client, "Hello")
    assert "test-key-0123456789" not in str(caught.value.body)


def test_a_real_stream_is_tried_again_over_http(call, fake_server):
    """Real streams: error statuses, an error event, then content."""
    fake_server.fault(503, retry_after=0)
    fake_server.fault(429, retry_after=0)
    fake_server.fault(error_after=1)
    chunks, answer = call.stream(fake_server.client(retry=NOW), "What is 2 + 3?")
    assert answer.text == "2 + 3 = 5"
    assert len(chunks) > 2
    assert [a.error for a in answer.attempts] == ["OverloadedError", "RateLimitError", "InternalServerError", None]
    assert len(fake_server.requests) == 4


def test_a_stream_cut_before_its_first_content_is_asked_again(call, fake_server):
    """It had begun, so it is not lost but cut; the caller has seen nothing of it."""
    fake_server.fault(cut_after=0)
    _, answer = call.stream(fake_server.client(retry=NOW), "What is 2 + 3?")
    assert answer.text == "2 + 3 = 5"
    assert [attempt.error for attempt in answer.attempts] == ["StreamIncompleteError", None]


def test_a_connection_lost_before_the_stream_begins_is_not_asked_again(call, fake_server):
    """The request was sent; whether it is billed nobody knows, so it is the caller's choice to repeat it."""
    fake_server.fault(reset=True)
    with pytest.raises(ResponseLostError):
        call.stream(fake_server.client(retry=NOW), "What is 2 + 3?")
    assert len(fake_server.requests) == 1


def test_a_stalled_stream_ends_by_its_idle_clock(call, fake_server):
    """Keep-alive comments do not feed the clock; what was received is in the error."""
    fake_server.fault(stall_after=4, ping=True)
    with pytest.raises(StreamTimeoutError, match="in the middle of the stream") as caught:
        call.stream(fake_server.client(), "Repeat after me", timeout=0.15)
    assert caught.value.partial.text
    assert isinstance(caught.value.__cause__, Exception | None)


def test_a_stream_ends_by_its_deadline(call, fake_server):
    """A total timeout bounds a stream that keeps bringing content."""
    fake_server.reply("word " * 200)
    fake_server.fault(token_delay=0.02)
    with pytest.raises(StreamTimeoutError, match="total timeout") as caught:
        call.stream(fake_server.client(), "Hello", total_timeout=0.15)
    assert caught.value.partial.text.startswith("word ")


def test_a_stream_cut_in_the_middle_is_never_a_short_answer(call, fake_server):
    """The connection ends early: an error with the beginning of the answer."""
    fake_server.reply("one two three four")
    fake_server.fault(cut_after=3)
    with pytest.raises(StreamIncompleteError) as caught:
        call.stream(fake_server.client(), "Hello")
    assert caught.value.partial.text.startswith("one ")
    assert caught.value.partial.finish_reason == "error"


def test_a_cancelled_task_frees_its_connection(fake_server):
    """Cancelling a task that reads a stream ends quietly."""
    fake_server.fault(stall_after=3)
    client = fake_server.client()

    async def main():
        seen = []

        async def read():
            async for chunk in client.astream("Repeat after me please"):
                seen.append(chunk)

        task = asyncio.create_task(read())
        while not seen:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await client.aclose()

    asyncio.run(main())


def test_an_error_in_your_own_loop_is_yours(scripted, answers):
    """An exception of the caller's passes through unchanged and closes the stream."""
    client, transport = scripted(answers.stream("a", "b"))
    with pytest.raises(ZeroDivisionError), client.stream("Hello") as stream:
        for _ in stream:
            raise ZeroDivisionError
    assert transport.open_streams == 0
    assert InternalServerError.retryable
