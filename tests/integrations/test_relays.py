"""Whoever waits for an answer: pings, late beginnings, readers who leave, what is closed; in both worlds."""

import asyncio
import subprocess
import sys
import threading
import time

import pytest

from provider_kit import CallCancelledError, OverloadedError
from provider_kit.integrations.relay_asyncio import AsyncRelay
from provider_kit.integrations.relay_blocking import BlockingRelay
from provider_kit.integrations.ui_stream import UIAnswer, UISource, UIStreamOptions
from provider_kit.testing import FakeServer


@pytest.fixture
def server():
    with FakeServer() as made:
        yield made


@pytest.fixture
def client(server):
    with server.client("openai/gpt-4o", max_retries=0) as made:
        yield made


class Blocking:
    """As a WSGI server."""

    def stream(self, client, *args, **options):
        return client.stream(*args, **options)

    def run(self, client, *args, **options):
        return client.stream_run(*args, **options)

    def __call__(self, answer, most=None):
        """Status, and the pieces; after ``most`` of them the reader leaves."""
        relay = BlockingRelay(answer)
        status, _, body = relay.begin()
        if body is not None:
            return status, [body]
        pieces, found = iter(relay), []
        try:
            for piece in pieces:
                found.append(piece)
                if len(found) == most:
                    break
        finally:
            pieces.close()
        return status, found


class Asyncio:
    """As an ASGI server."""

    def stream(self, client, *args, **options):
        return client.astream(*args, **options)

    def run(self, client, *args, **options):
        return client.astream_run(*args, **options)

    def __call__(self, answer, most=None):
        async def main():
            relay = AsyncRelay(answer)
            status, _, body = await relay.begin()
            if body is not None:
                return status, [body]
            pieces, found = relay.__aiter__(), []
            try:
                async for piece in pieces:
                    found.append(piece)
                    if len(found) == most:
                        break
            finally:
                await pieces.aclose()
            return status, found

        return asyncio.run(main())


class Crossed(Blocking):
    """An asynchronous stream under WSGI, as of an async view of Flask."""

    stream, run = Asyncio.stream, Asyncio.run


class CrossedToo(Asyncio):
    """A blocking stream under ASGI, as of a plain view."""

    stream, run = Blocking.stream, Blocking.run


@pytest.fixture(params=[Blocking, Asyncio, Crossed, CrossedToo], ids=lambda one: one.__name__)
def serve(request):
    return request.param()


def answer_of(stream, **options):
    return UIAnswer(UISource(stream), UIStreamOptions(**options))


def readers():
    return [one for one in threading.enumerate() if one.name == "provider-kit-reader"]


def gone(condition, seconds=5.0):
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.005)
    return condition()


def test_a_whole_answer(serve, client):
    """Nothing stays behind: no thread, no task."""
    status, pieces = serve(answer_of(serve.stream(client, "What is 2 + 3?"), protocol="text"))
    assert (status, b"".join(pieces)) == (200, b"2 + 3 = 5")
    assert gone(lambda: not readers())


def test_pings_while_nothing_comes(serve, client, server):
    """And an answer that begins late begins as any other."""
    server.fault(latency=0.5)
    status, pieces = serve(answer_of(serve.stream(client, "Hello"), ping=0.1, protocol="vercel"))
    assert status == 200
    assert sum(piece.count(b": ping") for piece in pieces) >= 2
    assert b"".join(pieces).count(b'{"type":"start"}') == 1
    assert b"".join(pieces).endswith(b"data: [DONE]\n\n")


def test_an_early_error_has_a_status_and_a_late_one_a_frame(serve, client, server):
    """Late is after the time of a ping."""
    server.fault(529)
    status, pieces = serve(answer_of(serve.stream(client, "Hello")))
    assert (status, b"overloaded" in pieces[0]) == (503, True)
    server.fault(529, latency=0.4)
    status, pieces = serve(answer_of(serve.stream(client, "Hello"), ping=0.1))
    assert status == 200
    assert b"event: error" in pieces[-1]


def test_text_that_breaks_off_is_broken_off(serve, client, server):
    """The connection is not ended as a whole answer is."""
    server.reply("one two three four")
    server.fault(cut_after=3)
    with pytest.raises(Exception, match=r"broke|ended|cut|connection"):
        serve(answer_of(serve.stream(client, "Hello"), protocol="text"))


def test_a_reader_who_leaves_closes_the_call(serve, client, server):
    """In the middle of a stream, and while nothing comes."""
    server.reply("word " * 5000)
    server.fault(token_delay=0.02)
    serve(answer_of(serve.stream(client, "Hello")), most=2)
    assert gone(lambda: server.open_connections == 0, 2)
    server.reply("word " * 5000)
    server.fault(stall_after=2, ping=True)
    serve(answer_of(serve.stream(client, "Hello"), ping=0.1), most=4)
    assert gone(lambda: server.open_connections == 0, 2)
    assert gone(lambda: not readers())


def test_a_reader_who_leaves_ends_a_run(serve, client, server):
    """Nothing is asked after the tool that is running."""
    seen = threading.Event()

    def slow(city: str) -> str:
        """Tell the weather."""
        seen.set()
        time.sleep(0.3)
        return city

    stream = serve.run(client, "What is the weather in Rome?", tools=[slow])
    serve(answer_of(stream, ping=0.05), most=3)
    seen.wait(1)
    time.sleep(0.5)
    assert len(server.requests) <= 1  # none at all, if the reader left before it was sent
    assert gone(lambda: not readers())


def test_a_run_that_another_thread_reads_can_be_interrupted(client, server):
    """close() says so; interrupt() does it, for runs and for conversations."""
    for make in (lambda: client.stream_run("Hello"), lambda: client.conversation().stream("Hello")):
        server.reset()
        server.reply("word " * 5000)
        server.fault(token_delay=0.02)
        stream, ended, begun = make(), [], threading.Event()

        def read(stream=stream, ended=ended, begun=begun):
            try:
                for _ in stream:
                    begun.set()
            except CallCancelledError as error:
                ended.append(error)

        thread = threading.Thread(target=read)
        thread.start()
        assert begun.wait(5)
        stream.interrupt()
        thread.join(5)
        assert ended


def test_a_source_that_is_cancelled_is_no_whole_answer(serve):
    """Its own cancellation; neither a plain end nor pings without end."""

    async def asynchronous():
        yield "half"
        raise asyncio.CancelledError

    def blocking():
        yield "half"
        raise asyncio.CancelledError

    for protocol, mark in (("sse", b"event: end"), ("vercel", b'"finish"')):
        source = (
            asynchronous()
            if isinstance(serve, (Asyncio, Crossed)) and not isinstance(serve, CrossedToo)
            else blocking()
        )
        _, pieces = serve(answer_of(source, protocol=protocol, ping=1))
        assert b"half" in b"".join(pieces)
        assert b"broke off" in pieces[-1]
        assert mark not in b"".join(pieces)
    assert gone(lambda: not readers())


@pytest.mark.parametrize("serve", [Blocking(), CrossedToo()], ids=["blocking", "asyncio"])
def test_a_tool_cannot_end_the_server(serve, client):
    """sys.exit() in what is streamed ends the answer."""

    def items():
        yield "half"
        raise SystemExit(3)

    _, pieces = serve(answer_of(items()))
    assert b"event: error" in pieces[-1]


def test_a_reader_who_leaves_before_the_turn_has_begun(client, server):
    """While its conversation is loaded: nothing is asked."""
    loading, go_on = threading.Event(), threading.Event()

    class Store:
        def load(self, id):
            loading.set()
            go_on.wait(5)

        def save(self, id, document):
            pass

        def delete(self, id):
            pass

    talk = client.conversation("ada", store=Store())
    relay = BlockingRelay(answer_of(talk.stream("Hello")))
    relay.reader.start()
    assert loading.wait(5)
    relay.close()
    go_on.set()
    assert gone(lambda: not readers())
    assert not server.requests


@pytest.mark.parametrize("verb", ["stream", "astream"])
def test_a_relay_that_is_closed_at_once_asks_nothing_for_long(client, server, verb):
    """Before its thread has come to read."""
    server.always(latency=5)
    for _ in range(20):
        relay = BlockingRelay(answer_of(getattr(client, verb)("Hello")))
        relay.reader.start()
        relay.close()
        assert list(relay) == []
    assert gone(lambda: not readers(), 3)


def test_what_was_joined_is_sent_before_a_break():
    """Of a text that cannot say that it is void."""
    from provider_kit import StreamError
    from provider_kit.tools.run_events import RunReset, TextDelta

    items = [TextDelta("one ", 1, None), TextDelta("two ", 1, None), RunReset(1, StreamError("cut"))]
    found = []

    async def source():
        for item in items:
            yield item

    async def main():
        relay = AsyncRelay(answer_of(source(), protocol="text"))
        await relay.begin()
        await asyncio.sleep(0.05)
        async for piece in relay:
            found.append(piece)

    with pytest.raises(StreamError):
        asyncio.run(main())
    assert b"".join(found) == b"one two "


def test_a_source_that_cannot_be_closed_holds_nothing(monkeypatch):
    """Not longer than a few seconds."""
    from provider_kit.integrations import relay_asyncio

    monkeypatch.setattr(relay_asyncio, "_CLOSING", 0.1)

    async def source():
        try:
            while True:
                yield "x"
                await asyncio.sleep(0.01)
        finally:
            await asyncio.sleep(2)

    async def main():
        relay = AsyncRelay(answer_of(source()))
        await relay.begin()
        begun = time.monotonic()
        await relay.aclose()
        assert time.monotonic() - begun < 1

    asyncio.run(main())


def test_a_slow_reader_holds_back_what_is_read(server):
    """Only so much is read ahead."""
    taken = []

    def items():
        for number in range(1000):
            taken.append(number)
            yield "x"

    relay = BlockingRelay(answer_of(items()))
    relay.begin()
    time.sleep(0.2)
    assert len(taken) < 50
    relay.close()
    assert gone(lambda: not readers())


def test_a_relay_that_is_dropped_ends_its_thread(client, server):
    """A server that does not close what it was given leaves it to the garbage collector."""
    server.reply("word " * 5000)
    server.fault(token_delay=0.02)
    relay = BlockingRelay(answer_of(client.stream("Hello")))
    relay.begin()
    del relay
    assert gone(lambda: not readers())


@pytest.mark.parametrize("verb", ["astream", "stream"])
@pytest.mark.parametrize("how", ["dropped", "cancelled"])
def test_an_asynchronous_relay_that_nobody_reads_ends_its_call(client, server, verb, how):
    """As an answer that a framework drops before it has begun to read it."""
    server.reply("word " * 5000)
    server.fault(token_delay=0.02)

    async def main():
        relay = AsyncRelay(answer_of(getattr(client, verb)("Hello")))
        await relay.begin()
        if how == "cancelled":
            relay.cancel()
        else:
            del relay
        for _ in range(400):
            if not server.open_connections:
                return
            await asyncio.sleep(0.005)
        raise AssertionError("the call goes on")

    asyncio.run(main())
    assert gone(lambda: not readers())


def test_an_error_of_the_program_is_logged_with_its_traceback(caplog):
    """The page sees a sentence."""

    def items():
        yield "Hello"
        raise ZeroDivisionError("secret")

    _, pieces = Blocking()(answer_of(items()))
    assert b"Something went wrong." in pieces[-1]
    assert b"secret" not in pieces[-1]
    assert "ZeroDivisionError" in caplog.text
    assert caplog.records[-1].exc_info


def test_an_error_is_seen_where_no_logging_was_set_up():
    """On standard error; once, and not where a program listens."""
    code = """
import logging, sys
from provider_kit.integrations.ui_stream import error_answer
if sys.argv[1] == "basic":
    logging.basicConfig(format="mine: %(message)s")
error_answer(ZeroDivisionError("what happened"))
"""
    for how, said in (("none", "An answer failed"), ("basic", "mine: An answer failed")):
        done = subprocess.run([sys.executable, "-c", code, how], capture_output=True, text=True, timeout=60, check=True)
        assert done.stderr.startswith(said)
        assert done.stderr.count("An answer failed") == 1
        assert "what happened" in done.stderr


def test_what_a_program_says_of_errors():
    """show_error= makes the words."""
    from attrs import evolve

    from provider_kit.integrations.ui_stream import ui_error

    def show(error):
        return evolve(ui_error(error), message="Zu viel los.", status=599)

    def items():
        raise OverloadedError("x", status_code=529)
        yield

    status, pieces = Blocking()(answer_of(items(), show_error=show))
    assert (status, "Zu viel los." in pieces[0].decode()) == (599, True)
