"""Each call ends exactly once for those who count, however that is."""

import asyncio
import gc

import pytest

from provider_kit import (
    Backoff,
    CallCancelledError,
    CallEnded,
    CancelToken,
    ChatResponse,
    Client,
    ConfigError,
    InvalidRequestError,
    Message,
    ProviderKitError,
    Reply,
    Router,
    RouterCallEnded,
    correlation,
    error_type,
    sink,
)
from provider_kit.model.fault_domains import ERROR_TYPES


@pytest.fixture
def ends():
    """The ends of all calls, and the sink that collects them."""
    found = []

    class Collect:
        wanted_events = frozenset({CallEnded, RouterCallEnded})
        follows_targets = True

        def __call__(self, event):
            found.append(event)

    found.append(Collect())
    return found


def collector(ends):
    return ends.pop(0)


def test_an_answer(call, fake_server, ends):
    """Everything that counts is on the event."""
    client = fake_server.client(on_event=collector(ends))
    reply = call.chat(client, "Hello", tags=["a", "b"], user="anna")
    (end,) = ends
    assert (end.outcome, end.provider, end.operation, end.streamed) == ("success", "openai", "chat", False)
    assert end.tags == ("a", "b")
    assert end.request.user == "anna"
    assert end.usage.total_tokens == reply.usage.total_tokens
    assert end.correlation_id == reply.correlation_id
    assert len(end.attempts) == 1
    assert end.duration >= end.attempts[0].duration > 0
    assert 0 <= end.overhead <= end.duration
    assert end.error_type is None


def test_a_stream(call, fake_server, ends):
    """It ends with its last chunk, and knows when the first one came."""
    client = fake_server.client(on_event=collector(ends))
    call.stream(client, "Hello")
    (end,) = ends
    assert (end.outcome, end.streamed) == ("success", True)
    assert 0 < end.first_token <= end.duration
    assert end.usage.total_tokens


def test_a_stream_that_its_reader_leaves(call, fake_server, ends):
    """Once, as cancelled, with the attempt that was left."""
    client = fake_server.client(on_event=collector(ends))

    async def leave():
        async for _ in client.astream("Hello"):
            break
        await client.aclose()

    if call.name == "asyncio":
        asyncio.run(leave())
    else:
        for _ in client.stream("Hello"):
            break
    gc.collect()
    (end,) = ends
    assert (end.outcome, end.error_type) == ("cancelled", "caller_cancelled")
    assert end.attempts[-1].may_be_billed


@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_a_failure(call, fake_server, ends, verb):
    """The error, and every attempt."""
    client = fake_server.client(on_event=collector(ends), retry=Backoff(1, base=0.001))
    fake_server.always(500, retry_after=0)
    with pytest.raises(ProviderKitError) as caught:
        getattr(call, verb)(client, "Hello")
    (end,) = ends
    assert (end.outcome, end.error_type) == ("error", "provider_server_error")
    assert len(end.attempts) == 2
    assert end.error is caught.value
    assert caught.value.correlation_id == end.correlation_id


def test_a_stream_that_breaks_off(call, fake_server, ends):
    """What was received is on the event."""
    client = fake_server.client(on_event=collector(ends))
    fake_server.reply("one two three four five six")
    fake_server.fault(cut_after=2)
    error = call.stream_error(client, "Hello")
    (end,) = ends
    assert end.outcome == "error"
    assert end.error_type == "provider_connection_failed"
    assert error.correlation_id == end.correlation_id


def test_a_retry_is_one_call(call, fake_server, ends):
    """Two attempts, one end."""
    client = fake_server.client(on_event=collector(ends), retry="aggressive")
    fake_server.fault(503, retry_after=0)
    call.chat(client, "Hello")
    (end,) = ends
    assert [one.error for one in end.attempts] == ["OverloadedError", None]


def test_a_wrong_argument_of_the_model_counts_too(call, fake_server, ends):
    """Nothing is sent, so there is no attempt."""
    client = fake_server.client(on_event=collector(ends), on_unsupported="raise")
    with pytest.raises(ProviderKitError):
        call.chat(client, "Hello", top_k=5)
    (end,) = ends
    assert (end.outcome, end.error_type, end.attempts) == ("error", "caller_invalid_request", ())
    assert fake_server.requests == []


def test_a_cached_answer(call, fake_server, ends):
    """It is told apart, and has used nothing."""
    client = fake_server.client(on_event=collector(ends), response_cache=True)
    call.chat(client, "Hello")
    call.chat(client, "Hello")
    call.stream(client, "Hello")
    assert [end.cached for end in ends] == [False, True, True]
    assert [end.usage is None for end in ends] == [False, True, True]
    assert ends[-1].attempts == ()


def test_a_cancelled_call(fake_server, ends):
    """By its token, from another thread."""
    import threading

    client = fake_server.client(on_event=collector(ends))
    fake_server.always(latency=5)
    token = CancelToken()
    threading.Timer(0.1, token.cancel).start()
    with pytest.raises(CallCancelledError):
        client.chat("Hello", cancel=token)
    (end,) = ends
    assert end.outcome == "cancelled"


def test_a_cancelled_task(fake_server, ends):
    """It ends as cancelled, too."""
    client = fake_server.client(on_event=collector(ends))
    fake_server.always(latency=5)

    async def main():
        task = asyncio.create_task(client.achat("Hello"))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await client.aclose()

    asyncio.run(main())
    (end,) = ends
    assert end.outcome == "cancelled"
    assert [one.error for one in end.attempts] == ["CallCancelledError"]


def test_the_targets_of_a_router_and_the_router(call, fake_server, ends):
    """One end for each target that was asked, and one for the router; each sink hears each of them once."""
    listener = collector(ends)
    first = fake_server.client("openai/gpt-4o", name="first", max_retries=0, on_event=listener)
    second = fake_server.client("openai/gpt-4o", name="second", max_retries=0)
    router = Router([first, second], on_event=listener)
    fake_server.fault(500)
    call.chat(router, "Hello")
    assert [(type(end).__name__, end.provider, end.outcome) for end in ends] == [
        ("CallEnded", "first", "error"),
        ("CallEnded", "second", "success"),
        ("RouterCallEnded", "router", "success"),
    ]
    assert len({end.correlation_id for end in ends}) == 1
    assert [len(end.attempts) for end in ends] == [1, 1, 2]


def test_the_id_of_a_call_travels(call, fake_server):
    """Header, answer, events and errors have the same one; your own takes precedence."""
    heard = []
    client = fake_server.client(on_event=heard.append, max_retries=0)
    reply = call.chat(client, "Hello")
    assert fake_server.requests[-1].headers["x-request-id"] == reply.correlation_id
    assert {event.correlation_id for event in heard} == {reply.correlation_id}
    assert call.chat(client, "Hello", correlation_id="order-1").correlation_id == "order-1"
    with correlation("order-2"):
        call.stream(client, "Hello")
    assert [one.headers["x-request-id"] for one in fake_server.requests[-2:]] == ["order-1", "order-2"]
    fake_server.fault(400)
    with pytest.raises(ProviderKitError) as caught:
        call.chat(client, "Hello", correlation_id="order-3")
    assert caught.value.correlation_id == "order-3"


def test_a_header_of_your_own_takes_precedence(fake_server):
    """Whoever sets X-Request-ID means it."""
    client = fake_server.client(headers={"x-request-id": "mine"})
    client.chat("Hello")
    assert fake_server.requests[-1].headers["x-request-id"] == "mine"


@pytest.mark.parametrize("id", ["", "a\nb", "ä", "x" * 201, 7])
def test_an_id_that_cannot_be_sent_is_refused(fake_server, id):
    """Before anything is sent."""
    with pytest.raises(ProviderKitError, match="correlation id"):
        fake_server.client().chat("Hello", correlation_id=id)
    with pytest.raises(ProviderKitError, match="correlation id"), correlation(id):
        pass
    assert fake_server.requests == []


def test_ids_are_distinct_after_a_fork():
    """A child does not use its parent's numbers."""
    import os

    from provider_kit.engine.correlation import new_correlation_id

    mine = new_correlation_id()
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.write(write, new_correlation_id().encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(read, 100).decode()
    os.close(read)
    os.close(write)
    assert theirs[:16] != mine[:16]


def test_the_times_of_an_answer(call, fake_server):
    """What waiting, connecting, the first byte and the pieces took."""
    client = fake_server.client()
    fake_server.reply("one two three four five six")
    with call.in_one_loop():
        _, first = call.stream(client, "Hello")
        again = call.chat(client, "Hello")
        if call.name == "asyncio":
            call._run(client.aclose())
    times = first.timings
    assert times.connect > 0
    assert times.connect < times.first_byte <= times.first_content == times.first_token < times.total
    assert times.between_chunks > 0
    assert again.timings.connect is None
    assert 0 < again.timings.first_byte <= again.timings.total
    client.close()


def test_the_time_a_call_waited(fake_server, call):
    """Between two attempts, here."""
    client = fake_server.client(retry=lambda error, attempt: 0.05 if attempt == 1 else None)
    fake_server.fault(500)
    assert call.chat(client, "Hello").timings.queue >= 0.05


def test_a_sink_of_ends_is_a_plain_function():
    """The garbage collector cannot await."""

    @sink(CallEnded)
    async def hear(event):
        pass

    with pytest.raises(ConfigError, match="plain function"):
        Client("demo/echo", on_event=hear)


def test_a_sink_that_fails_harms_nobody(call, fake_server, caplog):
    """It is logged."""

    @sink(CallEnded)
    def fails(event):
        raise ValueError("no")

    heard = []
    client = fake_server.client(on_event=[fails, sink(CallEnded)(lambda event: heard.append(event))])
    assert call.chat(client, "Hello").text
    assert len(heard) == 1
    assert "A sink failed" in caplog.text


def test_usual_listeners_hear_of_no_ends(fake_server):
    """They get what they always got."""
    heard = []
    fake_server.client(on_event=heard.append).chat("Hello")
    assert "call_end" not in {event.name for event in heard}
    assert {"request", "success"} <= {event.name for event in heard}


def test_every_public_error_has_a_type():
    """Out of the closed vocabulary."""
    from provider_kit import errors

    for name in errors.__all__:
        kind = getattr(errors, name)
        if isinstance(kind, type) and issubclass(kind, ProviderKitError):
            assert error_type(kind("no")) in ERROR_TYPES
    assert error_type(ValueError()) == "own_internal"
    assert error_type(KeyboardInterrupt()) == "caller_cancelled"


def test_snapshots_are_taken_on_request_only(call, fake_server):
    """With what was sent and received, and no secret."""
    key = "sk-secret-0123456789abcdef"
    fake_server.always(400, body=b'{"error": {"message": "no"}}')
    for taken in (False, True):
        client = fake_server.client(api_key=key, error_snapshots=taken)
        with pytest.raises(ProviderKitError) as caught:
            call.chat(client, "What is sent")
        snapshot = caught.value.snapshot
        assert (snapshot is not None) == taken
    assert (snapshot.method, snapshot.status) == ("POST", 400)
    assert "What is sent" in snapshot.request_body
    assert snapshot.correlation_id == caught.value.correlation_id == snapshot.request_headers["X-Request-ID"]
    assert snapshot.duration > 0
    assert key not in repr(snapshot) + str(snapshot) + caught.value.explain()
    assert "What is sent" in caught.value.explain()


@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_calls_that_middleware_ends_are_counted(call, fake_server, ends, verb):
    """An answer of its own used no tokens; a refusal is an error. Nothing was sent."""

    async def desk(request, call_next):
        if "refuse" in request.request.messages[-1].text:
            raise InvalidRequestError("Not here.")
        return Reply(ChatResponse(Message("assistant", "Closed."), "stop"))

    client = fake_server.client(on_event=collector(ends), middleware=[desk])

    def ask(text):
        return call.chat(client, text) if verb == "chat" else call.stream(client, text)

    ask("Hello")
    with pytest.raises(InvalidRequestError):
        ask("Please refuse")
    assert [(end.outcome, end.operation, len(end.attempts)) for end in ends] == [
        ("success", verb, 0),
        ("error", verb, 0),
    ]
    assert ends[1].error_type == "caller_invalid_request"
    found = client.metrics
    assert (found.request_count, found.success_count, found.error_count, found.attempt_count) == (2, 1, 1, 0)
    assert found.tokens_used == 0
    assert fake_server.requests == []


@pytest.mark.parametrize("own", [True, False])
def test_a_time_limit_that_strikes_in_a_sink(fake_server, own):
    """In one of the library's own it reaches the caller; mistakes do not."""

    class TimeIsUp(Exception):
        pass

    class Sink:
        wanted_events = frozenset({CallEnded})
        is_own = own
        error: Exception = TimeIsUp()

        def __call__(self, event):
            raise self.error

    mine = Sink()
    client = fake_server.client(on_event=mine)
    if own:
        with pytest.raises(TimeIsUp):
            client.chat("Hello")
    else:
        assert client.chat("Hello").text
    mine.error = KeyError("a mistake")
    assert client.chat("Hello").text
