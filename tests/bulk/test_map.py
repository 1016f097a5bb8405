"""Many prompts at once: in order, bounded, lazy, in both worlds."""

import asyncio
import contextvars
import threading
import time
import tracemalloc

import attrs
import pytest

from provider_kit import BadRequestError, ChatResponse, InvalidRequestError, RateLimitError, StructuredOutputError
from provider_kit.dialects.replies import Reply
from provider_kit.testing import FakeServer, MockProvider


class Server:
    """A server that counts what is in flight, and is slow where the prompt says so."""

    def __init__(self):
        self.lock = threading.Lock()
        self.running = self.most = 0

    def respond(self, asked):
        text = asked.last[1]
        if "wrong" in text:
            raise ValueError
        return Reply(f"answer to {text}")


@pytest.fixture
def server():
    with FakeServer(respond=Server().respond) as made:
        yield made


@pytest.fixture
def client(server):
    return server.client(max_retries=0)


def mapped(world, client, prompts, **options):
    if world.name == "blocking":
        return list(client.map(prompts, **options))

    async def main():
        return [reply async for reply in client.amap(prompts, **options)]

    return asyncio.run(main())


def test_answers_come_in_the_order_of_the_prompts(world, client):
    """Whatever ends first."""
    replies = mapped(world, client, (f"p{n}" for n in range(50)), concurrency=8)
    assert [reply.text for reply in replies] == [f"answer to p{n}" for n in range(50)]


def test_the_prompts_are_read_only_as_fast_as_they_are_asked(world, client):
    """An endless source is fine."""
    read = []

    def endless():
        number = 0
        while True:
            read.append(number)
            yield f"p{number}"
            number += 1

    if world.name == "blocking":
        stream = client.map(endless(), concurrency=4)
        first = [next(stream).text for _ in range(10)]
        stream.close()
    else:

        async def main():
            stream = client.amap(endless(), concurrency=4)
            found = [(await anext(stream)).text for _ in range(10)]
            await stream.aclose()
            return found

        first = asyncio.run(main())
    assert first == [f"answer to p{n}" for n in range(10)]
    assert len(read) < 60


def test_one_slow_row_does_not_hold_the_rest():
    """The others go on, and their answers wait for it."""
    release = threading.Event()
    asked = []

    def respond(one):
        asked.append(one.last[1])
        return Reply("ok")

    with FakeServer(respond=respond) as server:
        server.fault(latency=1.0)
        client = server.client(max_retries=0)
        started = time.monotonic()
        replies = list(client.map([f"p{n}" for n in range(20)], concurrency=4))
        assert len(replies) == 20
        assert time.monotonic() - started < 8
        assert len(asked) == 20
    release.set()


@attrs.define
class Person:
    name: str
    age: int


def test_each_answer_has_the_type(world):
    """And is asked for again if it is wrong."""
    mock = MockProvider()
    mock.set_responses(['{"name": "A"}', '{"name": "A", "age": 1}'])
    replies = mapped(world, mock.client, ["a"], output_type=Person)
    assert [reply.parsed for reply in replies] == [Person("A", 1)]


def test_an_error_is_raised_or_returned(world, client, server):
    """raise ends with the first; return puts it in the place of its answer."""
    server.fault(400)
    with pytest.raises(BadRequestError):
        mapped(world, client, ["a", "b", "c"], concurrency=1)
    server.fault(429)
    replies = mapped(world, client, ["a", "b", "c"], concurrency=1, on_error="return")
    assert isinstance(replies[0], RateLimitError)
    assert [type(reply) for reply in replies[1:]] == [ChatResponse, ChatResponse]


def test_prompts_may_be_conversations_and_come_asynchronously(client):
    """Whatever chat takes."""
    replies = list(client.map([[{"role": "user", "content": "x"}], "y"], system="Be brief."))
    assert [reply.text for reply in replies] == ["answer to x", "answer to y"]

    async def prompts():
        for number in range(5):
            await asyncio.sleep(0)
            yield f"p{number}"

    async def main():
        return [reply.text async for reply in client.amap(prompts(), concurrency=2)]

    assert asyncio.run(main()) == [f"answer to p{n}" for n in range(5)]


def test_a_slow_source_does_not_hold_the_answers(client):
    """They are given while the next prompt is waited for; and leaving ends the waiting."""
    ended = []

    async def prompts():
        try:
            yield "first"
            await asyncio.sleep(3600)
        finally:
            ended.append(True)

    async def main():
        stream = client.amap(prompts(), concurrency=4)
        async with asyncio.timeout(20):
            async for reply in stream:
                assert reply.text == "answer to first"
                break
            await stream.aclose()
        return len(asyncio.all_tasks())

    assert asyncio.run(main()) == 1
    assert ended == [True]


def test_a_source_runs_in_one_task(client):
    """Its limits of time, task groups and context variables are its own."""
    count = contextvars.ContextVar("count", default=0)
    seen = []

    async def prompts():
        for number in range(3):
            seen.append(count.get())
            count.set(number + 1)
            yield f"p{number}"
        async with asyncio.timeout(0.05):
            await asyncio.sleep(3600)

    async def main():
        async for _ in client.amap(prompts(), concurrency=2):
            pass

    with pytest.raises(TimeoutError):
        asyncio.run(main())
    assert seen == [0, 1, 2]


def test_an_error_of_a_source_that_is_awaited_is_raised(client):
    """After the answers that were asked for before."""

    async def prompts():
        yield "first"
        raise RuntimeError("the source broke")

    async def main():
        return [reply.text async for reply in client.amap(prompts(), concurrency=1)]

    with pytest.raises(RuntimeError, match="the source broke"):
        asyncio.run(main())


def test_prompts_that_are_awaited_belong_to_asyncio(client):
    """The blocking verb says so."""

    async def prompts():
        yield "first"

    with pytest.raises(InvalidRequestError, match="come asynchronously"):
        list(client.map(prompts()))


def test_progress_is_told(world, client, capsys):
    """By a bar, or to a function."""
    seen = []
    mapped(world, client, ["a", "b", "c"], progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    mapped(world, client, ["a", "b"], progress=True)
    assert "2 of 2 done" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("prompts", "options", "said"),
    [
        ("one text", {}, "not str"),
        (3, {}, "not int"),
        (["a"], {"concurrency": 0}, "concurrency"),
        (["a"], {"on_error": "ignore"}, "on_error"),
        (["a"], {"progress": 3}, "progress"),
        (["a"], {"nonsense": 1}, "Unknown argument"),
        (["a"], {"cancel": 3}, "cancel"),
    ],
)
def test_wrong_arguments_are_refused(world, client, prompts, options, said):
    """Before anything is sent."""
    with pytest.raises(InvalidRequestError, match=said):
        mapped(world, client, prompts, **options)


def test_leaving_early_ends_the_calls(world, client, server):
    """No task, no thread that goes on asking."""
    server.always(latency=0.05)
    before = threading.active_count()
    if world.name == "blocking":
        for _ in client.map((f"p{n}" for n in range(1000)), concurrency=4):
            break
        end = time.monotonic() + 10
        while threading.active_count() > before and time.monotonic() < end:
            time.sleep(0.01)
    else:

        async def main():
            stream = client.amap((f"p{n}" for n in range(1000)), concurrency=4)
            async for _ in stream:
                break
            await stream.aclose()
            return len(asyncio.all_tasks())

        assert asyncio.run(main()) == 1
    assert threading.active_count() <= before
    server.always()


def test_many_prompts_need_no_more_memory(world):
    """What was given is forgotten."""
    mock = MockProvider()
    mock.set_response("ok")
    mock.asked = type("Nothing", (list,), {"append": lambda self, item: None})()
    mock._transport.requests = type("Nothing", (list,), {"append": lambda self, item: None})()

    def grown(count):
        if world.name == "blocking":
            for _ in mock.client.map(("x" for _ in range(count)), concurrency=4):
                pass
        else:

            async def main():
                async for _ in mock.client.amap(("x" for _ in range(count)), concurrency=4):
                    pass

            asyncio.run(main())
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        first = grown(200)
        assert grown(800) - first < 300_000
    finally:
        tracemalloc.stop()


def test_an_answer_without_a_value_is_an_error(world):
    """Raised, or in its place."""
    mock = MockProvider()
    mock.set_responses(['{"name": "A", "age": 1}', "no", "no", '{"name": "B", "age": 2}'])
    replies = mapped(world, mock.client, ["a", "b", "c"], output_type=Person, concurrency=1, on_error="return")
    assert [type(reply).__name__ for reply in replies] == ["ChatResponse", "StructuredOutputError", "ChatResponse"]
    mock.set_response("no")
    with pytest.raises(StructuredOutputError):
        mapped(world, mock.client, ["a"], output_type=Person)


def test_the_wrong_loop_is_told(client):
    """What to write instead."""
    with pytest.raises(TypeError, match=r"for reply in client\.map"):
        iter(client.amap(["a"]))
    with pytest.raises(TypeError, match=r"client\.amap"):
        client.map(["a"]).__aiter__()

    async def main():
        with pytest.raises(TypeError, match="is not awaited"):
            await client.amap(["a"])

    asyncio.run(main())
    with pytest.raises(InvalidRequestError, match="not dict"):
        client.map({"role": "user", "content": "Hi"})
