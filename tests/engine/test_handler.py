"""Middleware, sinks and handlers: each seam by its smallest real user, in both worlds, whole and streamed."""

import asyncio

import pytest
from asking import ask, verbs, worlds

from provider_kit import (
    APIConnectionError,
    ChatResponse,
    Client,
    ConfigError,
    End,
    InternalServerError,
    Message,
    ProviderKitError,
    Reply,
    RetryScheduled,
    StreamError,
    StreamIncompleteError,
)
from provider_kit.testing import FakeServer, Fault


@pytest.fixture
def server():
    with FakeServer() as made:
        yield made


# ------------------------------------------------------------------------------------------------ middleware


async def politely(call, call_next):
    """Adds a system prompt."""
    messages = [Message("system", "Be polite."), *call.request.messages]
    return await call_next(call.replace(request=call.request.replace(messages=messages)))


@worlds
@verbs
def test_middleware_that_changes_the_request(server, world, verb):
    """The provider sees what it made of it; the call itself is as it was."""
    client = server.client(middleware=[politely])
    ask(client, world, verb, "Hi")
    assert [one["role"] for one in server.requests[-1].json["messages"]] == [
        "system",
        "user",
    ]
    client.close()


async def closed(call, call_next):
    """Answers by itself."""
    return Reply(ChatResponse(Message("assistant", f"Closed: {call.request.messages[-1].text}"), "stop"))


@worlds
@verbs
def test_middleware_that_answers_by_itself(server, world, verb):
    """Nothing is sent; a whole answer serves a stream too."""
    client = server.client(middleware=[closed])
    text, answer = ask(client, world, verb, "Hi")
    assert (text, answer.text, answer.finish_reason) == ("Closed: Hi", "Closed: Hi", "stop")
    assert server.requests == []
    client.close()


@worlds
def test_the_first_middleware_is_the_outermost(server, world):
    """In the order in which they are written."""
    order = []

    def named(name):
        async def middleware(call, call_next):
            order.append(f"{name} in")
            reply = await call_next(call)
            order.append(f"{name} out")
            return reply

        return middleware

    client = server.client(middleware=[named("outer"), named("inner")])
    ask(client, world, "chat", "Hi")
    assert order == ["outer in", "inner in", "inner out", "outer out"]
    client.close()


@worlds
@verbs
def test_middleware_that_calls_on_twice(server, world, verb):
    """Two requests; the second answer counts."""

    async def twice(call, call_next):
        first = await call_next(call)
        await first.aclose()
        return await call_next(call)

    server.reply("one")
    server.reply("two")
    client = server.client(middleware=[twice], max_concurrency=1)
    assert ask(client, world, verb, "Hi")[0] == "two"
    assert client._admission.slots.taken == 0
    client.close()


@worlds
@verbs
def test_middleware_that_turns_a_stream_into_a_whole_answer(server, world, verb):
    """And the other way round: either kind may answer either verb."""

    async def other_kind(call, call_next):
        operation = "stream" if call.operation == "chat" else "chat"
        return await call_next(call.replace(operation=operation))

    server.reply("one two three")
    client = server.client(middleware=[other_kind])
    text, answer = ask(client, world, verb, "Hi")
    assert (text, answer.text, answer.usage.output_tokens is not None) == ("one two three", "one two three", True)
    client.close()


@worlds
def test_middleware_that_looks_at_each_chunk(server, world):
    """map() is for who wants that."""

    async def loud(call, call_next):
        reply = await call_next(call)

        def change(chunk):
            chunk.text = chunk.text.upper()
            return chunk

        reply.map(change)
        return reply

    server.reply("one two")
    client = server.client(middleware=[loud])
    assert ask(client, world, "stream", "Hi")[0] == "ONE TWO"
    client.close()


class Counts:
    """Counts how replies end."""

    def __init__(self):
        self.ends: list[End] = []

    async def __call__(self, call, call_next):
        reply = await call_next(call)
        reply.on_end(self.ends.append)
        return reply

    @property
    def hows(self):
        return [end.how for end in self.ends]


@worlds
def test_middleware_that_counts_streams_to_their_end(server, world):
    """Complete, cut, broken off, cancelled, collected: each once, and each after it has ended."""
    counts = Counts()
    client = server.client(middleware=[counts], max_retries=0)

    async def a_main():
        assert [chunk.text async for chunk in client.astream("Hi")]
        server.fault(cut_after=2)
        with pytest.raises(StreamError):
            [chunk async for chunk in client.astream("Hi")]
        async for _ in client.astream("Hi"):
            break
        await asyncio.sleep(0.05)
        server.fault(stall_after=2)

        async def read():
            async for _ in client.astream("Hi"):
                pass

        task = asyncio.create_task(read())
        await asyncio.sleep(0.2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        stream = client.astream("Hi")
        await anext(stream)
        del stream
        await asyncio.sleep(0.05)
        await client.aclose()

    if world == "asyncio":
        asyncio.run(a_main())
    else:
        assert [chunk.text for chunk in client.stream("Hi")]
        server.fault(cut_after=2)
        with pytest.raises(StreamError):
            list(client.stream("Hi"))
        for _ in client.stream("Hi"):
            break
        with client.stream("Hi") as stream:
            next(stream)
        stream = client.stream("Hi")
        next(stream)
        del stream
    assert counts.hows == ["complete", "failed", "left", "left", "left"]
    assert counts.ends[0].response.finish_reason == "stop"
    assert isinstance(counts.ends[1].error, ProviderKitError)
    assert counts.ends[1].response.text
    client.close()


@worlds
def test_whole_answers_have_ended_when_they_are_here(server, world):
    """A function that comes late is called at once."""
    counts = Counts()
    client = server.client(middleware=[counts])
    answer = ask(client, world, "chat", "Hi")[1]
    assert counts.hows == ["complete"]
    assert counts.ends[0].response is answer
    client.close()


@worlds
@verbs
def test_an_on_end_that_raises_breaks_nothing(server, world, verb, caplog):
    """It is logged."""

    async def wrong(call, call_next):
        reply = await call_next(call)
        reply.on_end(lambda end: 1 / 0)
        return reply

    client = server.client(middleware=[wrong])
    assert ask(client, world, verb, "Hi")[0]
    assert "on_end failed" in caplog.text
    client.close()


@worlds
def test_middleware_that_waits_for_real_in_the_blocking_world_is_told_so(server, world):
    """asyncio's own waits work in asyncio only."""

    async def naps(call, call_next):
        await asyncio.sleep(0)
        return await call_next(call)

    client = server.client(middleware=[naps])
    if world == "asyncio":
        assert ask(client, world, "chat", "Hi")[0]
    else:
        with pytest.raises(RuntimeError, match="blocking call"):
            client.chat("Hi")
    client.close()


@pytest.mark.parametrize("wrong", [3, "mw", [3], [int]])
def test_what_is_no_middleware_is_refused(wrong):
    """At once, with an example."""
    with pytest.raises(ProviderKitError, match="middleware") as caught:
        Client("demo", middleware=wrong)
    assert "call_next" in caught.value.hint


@verbs
def test_a_client_with_options_keeps_its_middleware(server, verb):
    """With other credentials too."""
    client = server.client(middleware=[closed])
    for other in (client.with_options(temperature=0), client.with_options(api_key="another-key-0123456789")):
        assert ask(other, "blocking", verb, "Hi")[0] == "Closed: Hi"
    client.close()


# ------------------------------------------------------------------------------------------------ sinks


@worlds
def test_two_sinks_on_one_client(server, world):
    """Each hears everything, in order, as objects of the same classes; one that fails is nobody else's harm."""
    one, other = [], []

    def fails(event):
        raise LookupError("in a sink")

    server.fault(500, retry_after=0)
    client = server.client(on_event=[one.append, fails, other.append])
    ask(client, world, "chat", "Hi")
    assert [event.name for event in one] == ["request", "attempt_failed", "retry", "success"]
    assert one == other
    assert isinstance(one[2], RetryScheduled)
    assert isinstance(one[2].error, InternalServerError)
    client.close()


# ------------------------------------------------------------------------------------------------ several handlers


class FallsOver:
    """Asks one client after the other until one answers: what a router is, in its smallest form."""

    def __init__(self, *clients):
        self.clients = clients

    async def __call__(self, call, call_next):
        for client in self.clients[:-1]:
            try:
                return await client.handler.handle(call)
            except (InternalServerError, APIConnectionError, StreamIncompleteError):
                continue
        return await self.clients[-1].handler.handle(call)


@worlds
@verbs
@pytest.mark.parametrize("fault", [Fault(status=500), Fault(reset=True), Fault(cut_after=0)])
def test_a_handler_that_falls_over_between_two_clients(world, verb, fault):
    """One call is handled by both, one after the other; a stream before its first content, like a chat."""
    if verb == "chat" and fault.cut_after == 0:
        fault = Fault(html=True)  # of a whole answer that is an empty one
    with FakeServer() as bad, FakeServer() as good:
        bad.fault(fault)
        good.reply("from the other one")
        first, second = bad.client(max_retries=0, max_concurrency=1), good.client(max_concurrency=1)
        both = Client("demo", middleware=[FallsOver(first, second)])
        text, answer = ask(both, world, verb, "Hi", model="gpt-4o")
        assert (text, answer.text) == ("from the other one",) * 2
        assert (len(bad.requests), len(good.requests)) == (1, 1)
        assert (first._admission.slots.taken, second._admission.slots.taken) == (0, 0)
        for client in (both, first, second):
            client.close()


async def forgets_to_return(call, call_next):
    await call_next(call)


def is_not_asynchronous(call, call_next):
    return Reply(ChatResponse(Message("assistant", "own"), "stop"))


async def returns_an_answer(call, call_next):
    return ChatResponse(Message("assistant", "own"), "stop")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (forgets_to_return, "returned nothing"),
        (is_not_asynchronous, "not asynchronous"),
        (returns_an_answer, "ChatResponse"),
    ],
)
@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_a_middleware_with_a_mistake_is_named(call, fake_server, verb, wrong, words):
    """And the remedy with it."""
    client = fake_server.client(middleware=[wrong])
    with pytest.raises(ConfigError, match=words) as caught:
        getattr(call, verb)(client, "Hi")
    assert wrong.__name__ in caught.value.message
    assert caught.value.hint
    client.close()


def test_the_end_of_a_broken_reply_has_the_error_of_the_reader(call, fake_server):
    """Whoever counts errors by their class counts what the program sees."""
    ends = []

    async def count(asked, call_next):
        reply = await call_next(asked)
        reply.on_end(ends.append)
        return reply

    fake_server.fault(cut_after=4)
    client = fake_server.client(middleware=[count], max_retries=0)
    with pytest.raises(StreamError) as caught:
        call.stream(client, "Tell a story")
    (end,) = ends
    assert (end.how, type(end.error)) == ("failed", type(caught.value))
    client.close()
