"""Middleware: its order, answers and streams of its own, and wrong use."""

import asyncio
import gc
import pickle
import threading

import pytest
from asking import OPERATIONS, ask_by_every_verb

from provider_kit import (
    ChatResponse,
    Chunk,
    Client,
    ConfigError,
    InternalServerError,
    Message,
    MiddlewareChain,
    ProviderKitError,
    Reply,
    Router,
    StreamError,
)

VERBS = pytest.mark.parametrize("verb", ["chat", "stream"])


def answer_of(result):
    """The answer of a chat, or of a stream and its chunks."""
    return result[1] if isinstance(result, tuple) else result


def text_of(result):
    return "".join(chunk.text for chunk in result[0]) if isinstance(result, tuple) else result.text


def named(name, order):
    async def middleware(call, call_next):
        order.append(name)
        return await call_next(call)

    middleware.__qualname__ = name
    return middleware


@pytest.fixture(params=["client", "router"])
def make(request, fake_server):
    """A function: a client, or a router over one."""

    def made(**options):
        client = fake_server.client("openai/gpt-4o", retry=lambda error, attempt: None)
        if request.param == "router":
            return Router([client], **options)
        return fake_server.client("openai/gpt-4o", retry=lambda error, attempt: None, **options)

    return made


async def passing(call, call_next):
    """A module-level middleware, which can be pickled."""
    return await call_next(call)


def test_the_order_can_be_changed(call, make):
    """Added inside, before and after others, and removed."""
    order = []
    one, two, three, four = (named(name, order) for name in ("one", "two", "three", "four"))
    client = make(middleware=[one])
    client.middleware.add(two)
    client.middleware.add_before("one", three)
    client.middleware.add_after(three, four)
    call.chat(client, "Hello")
    assert order == ["three", "four", "one", "two"]
    client.middleware.remove(four)
    client.middleware.remove("two")
    order.clear()
    call.chat(client, "Hello")
    assert order == ["three", "one"]
    assert len(client.middleware) == 2
    assert one in client.middleware
    assert list(client.middleware) == [three, one]
    assert repr(client.middleware) == "<MiddlewareChain three, one>"


@VERBS
def test_middleware_of_one_call_is_the_outermost(call, make, verb):
    """And gone with it."""
    order = []
    client = make(middleware=[named("usual", order)])
    getattr(call, verb)(client, "Hello", middleware=[named("own", order)])
    assert order == ["own", "usual"]
    getattr(call, verb)(client, "Hello")
    assert order == ["own", "usual", "usual"]


def test_it_is_shared_with_other_options(call, fake_server):
    """A change is seen by every client that was made with_options(); a copy has its own."""
    order = []
    client = fake_server.client()
    other = client.with_options(temperature=0)
    third = client.with_options(api_key="sk-another-0123456789")
    client.middleware.add(named("one", order))
    call.chat(other, "Hello")
    call.chat(third, "Hello")
    assert order == ["one", "one"]


def test_pickles_and_copies_keep_it(fake_server):
    """As it is at that moment."""
    import copy

    client = Client("demo/echo")
    client.middleware.add(passing)
    assert list(pickle.loads(pickle.dumps(client)).middleware) == [passing]
    copied = copy.copy(client)
    client.middleware.remove(passing)
    assert list(copied.middleware) == [passing]
    router = Router(["demo/echo"])
    router.middleware.add(passing)
    assert list(pickle.loads(pickle.dumps(router)).middleware) == [passing]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda chain: chain.remove("nobody"), "no middleware 'nobody'"),
        (lambda chain: chain.add_before("nobody", passing), "no middleware"),
        (lambda chain: chain.add("text"), "must be functions"),
        (lambda chain: chain.add(Client), "must be functions"),
    ],
)
def test_mistakes_with_the_chain_are_named(change, match):
    """The chain stays as it was."""
    chain = MiddlewareChain([passing])
    with pytest.raises(ConfigError, match=match):
        change(chain)
    assert list(chain) == [passing]


def test_removal_during_a_call_does_no_harm(call, make):
    """The call keeps what it began with."""
    client = make()

    async def removes_itself(call, call_next):
        client.middleware.remove(removes_itself)
        return await call_next(call)

    client.middleware.add(removes_itself)
    assert call.chat(client, "Hello").text
    assert len(client.middleware) == 0
    assert call.chat(client, "Hello").text


def test_threads_that_change_it_while_others_call(fake_server):
    """Each call runs through one consistent chain."""
    client = fake_server.client()
    broken = []

    async def first(call, call_next):
        return await call_next(call)

    async def second(call, call_next):
        return await call_next(call)

    def change():
        for _ in range(50):
            client.middleware.add(first)
            client.middleware.add_before(first, second)
            client.middleware.remove(second)
            client.middleware.remove(first)

    def ask():
        try:
            for _ in range(20):
                client.chat("Hello")
        except ProviderKitError as error:
            broken.append(error)

    threads = [threading.Thread(target=change), *(threading.Thread(target=ask) for _ in range(3))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert broken == []
    assert len(client.middleware) == 0


@VERBS
def test_calling_on_twice_is_two_attempts(call, make, fake_server, verb):
    """Both are on the record of the answer, and both are counted."""

    async def twice(call, call_next):
        first = await call_next(call)
        await first.gather()
        return await call_next(call)

    client = make(middleware=[twice])
    reply = answer_of(getattr(call, verb)(client, "Hello"))
    assert [(one.number, one.error) for one in reply.attempts] == [(1, None), (2, None)]
    assert len(fake_server.requests) == 2
    assert sum(one.request_count for one in client.metrics.snapshot().by_provider.values()) == 2


@VERBS
def test_a_middleware_that_tries_again_after_an_error(call, make, fake_server, verb):
    """The failed attempt comes first on the record."""

    async def again(call, call_next):
        try:
            return await call_next(call)
        except InternalServerError:
            return await call_next(call)

    client = make(middleware=[again])
    fake_server.fault(500)
    reply = answer_of(getattr(call, verb)(client, "Hello"))
    assert [(one.number, one.error) for one in reply.attempts] == [(1, "InternalServerError"), (2, None)]


@VERBS
def test_an_answer_that_is_replaced(call, make, verb):
    """A whole one takes the place of a stream as well."""

    async def other(call, call_next):
        reply = await call_next(call)
        await reply.gather()
        return Reply(ChatResponse(Message("assistant", "Something else"), "stop"))

    client = make(middleware=[other])
    result = getattr(call, verb)(client, "Hello")
    assert text_of(result) == answer_of(result).text == "Something else"


@VERBS
def test_a_stream_of_its_own(call, make, fake_server, verb):
    """Whole calls gather it."""

    async def own(call, call_next):
        return Reply.live(["One ", Chunk("two "), "three"])

    client = make(middleware=[own])
    result = getattr(call, verb)(client, "Hello")
    assert text_of(result) == answer_of(result).text == "One two three"
    assert answer_of(result).finish_reason == "stop"
    assert fake_server.requests == []
    if verb == "stream":
        assert [chunk.text for chunk in result[0]] == ["One ", "two ", "three", ""]


def test_an_asynchronous_source(fake_server):
    """It is read as it is wanted, and closed when its reader leaves."""
    seen, closed = [], []

    async def source():
        try:
            for number in range(5):
                seen.append(number)
                yield f"{number} "
        finally:
            closed.append(True)

    async def own(call, call_next):
        reply = Reply.live(source())
        reply.on_end(lambda end: seen.append(end.how))
        return reply

    for _ in fake_server.client(middleware=[own]).stream("Hello"):
        break
    gc.collect()
    assert seen[-1] == "left"
    assert len(seen) <= 3
    assert closed == [True]


def test_a_stream_of_its_own_that_fails(call, fake_server):
    """Its error is raised; what was received stays."""

    def source():
        yield "One "
        raise ValueError("broken")

    ends = []

    async def own(call, call_next):
        reply = Reply.live(source())
        reply.on_end(lambda end: ends.append((end.how, end.response.text)))
        return reply

    with pytest.raises(ValueError, match="broken"):
        call.stream(fake_server.client(middleware=[own]), "Hello")
    assert ends == [("failed", "One ")]


def test_a_stream_of_something_else_is_refused(call, fake_server):
    """By name."""

    async def own(call, call_next):
        return Reply.live([1, 2])

    with pytest.raises(ConfigError, match="given int, not a chunk"):
        call.stream(fake_server.client(middleware=[own]), "Hello")


@VERBS
def test_chunks_and_the_answer_are_changed_together(call, make, fake_server, verb):
    """What is streamed, what is assembled of it, and what an error carries."""
    from attrs import evolve

    async def loud(call, call_next):
        reply = await call_next(call)
        reply.map(
            lambda chunk: [evolve(chunk, text=chunk.text.upper())],
            answer=lambda answer: evolve(answer, message=evolve(answer.message, content=answer.text.upper())),
        )
        return reply

    client = make(middleware=[loud])
    fake_server.reply("one two three four")
    result = getattr(call, verb)(client, "Hello")
    assert text_of(result) == answer_of(result).text == "ONE TWO THREE FOUR"
    if verb == "stream":
        fake_server.reply("one two three four five six")
        fake_server.fault(cut_after=3)
        error = call.stream_error(client, "Hello")
        assert isinstance(error, StreamError)
        assert error.partial.text.isupper()


def test_a_function_of_map_that_returns_nothing(call, fake_server):
    """It is a mistake, and named."""

    async def wrong(call, call_next):
        reply = await call_next(call)
        reply.map(lambda chunk: None)
        return reply

    with pytest.raises(ConfigError, match="returned nothing"):
        call.stream(fake_server.client(middleware=[wrong]), "Hello")


async def no_answer(call, call_next):
    pass


async def forgets_await(call, call_next):
    return call_next(call)


def not_asynchronous(call, call_next):
    return Reply(ChatResponse(Message("assistant", "x"), "stop"))


async def passes_a_request(call, call_next):
    return await call_next(call.request)


async def returns_text(call, call_next):
    return "text"


@VERBS
@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        (no_answer, "no_answer returned nothing"),
        (forgets_await, r"forgets_await returned call_next\(call\) without awaiting"),
        (not_asynchronous, "not_asynchronous is not asynchronous"),
        (passes_a_request, "passes_a_request passed on a ChatRequest, not a Call"),
        (returns_text, "returns_text returned a str"),
    ],
)
def test_wrong_use_is_a_clear_error(call, make, verb, wrong, match):
    """With the name of the middleware."""
    with pytest.raises(ConfigError, match=match):
        getattr(call, verb)(make(middleware=[wrong]), "Hello")


def test_waiting_in_a_blocking_call_is_a_clear_error(fake_server):
    """It says what may be awaited."""

    async def waits(call, call_next):
        await asyncio.sleep(0)
        return await call_next(call)

    with pytest.raises(RuntimeError, match="middleware and plugins of a blocking"):
        fake_server.client(middleware=[waits]).chat("Hello")


def test_waiting_with_the_runtime_works_in_both_worlds(call, fake_server):
    """It blocks, or awaits."""

    async def waits(call, call_next):
        await call.runtime.sleep(0.01)
        return await call_next(call)

    assert call.chat(fake_server.client(middleware=[waits]), "Hello").text


@VERBS
def test_what_raises_in_on_end_harms_nobody(call, make, verb, caplog):
    """It is logged; others are called."""
    ends = []

    async def raises(call, call_next):
        reply = await call_next(call)
        reply.on_end(lambda end: 1 / 0)
        reply.on_end(lambda end: ends.append(end.how))
        return reply

    assert answer_of(getattr(call, verb)(make(middleware=[raises]), "Hello")).text
    assert ends == ["complete"]
    assert "on_end failed" in caplog.text


def test_the_same_middleware_serves_every_verb(fake_server):
    """chat, achat, stream, astream, run, conversation; over a client and a router."""
    count = []

    async def counts(call, call_next):
        count.append(call.operation)
        return await call_next(call)

    for client in (
        fake_server.client(middleware=[counts]),
        Router([fake_server.client()], middleware=[counts]),
    ):
        count.clear()
        ask_by_every_verb(client)
        assert count == OPERATIONS


def test_an_event_loop_where_there_is_none_is_explained(fake_server):
    """What a library of asyncio says in a blocking call does not name the cause."""

    async def lazy(request, call_next):
        asyncio.get_running_loop()
        return await call_next(request)

    async def own(request, call_next):
        raise RuntimeError("of its own")

    with pytest.raises(RuntimeError) as found:
        fake_server.client(middleware=[lazy]).chat("Hello")
    assert "lazy: in a blocking call it may await nothing but call_next" in found.value.__notes__[0]
    with pytest.raises(RuntimeError) as found:
        fake_server.client(middleware=[own]).chat("Hello")
    assert not hasattr(found.value, "__notes__")
