"""Plugins that fail, and managers that are changed while calls are running."""

import asyncio
import threading

import pytest

from provider_kit import (
    CallEnded,
    Chunk,
    Client,
    ConfigError,
    Metrics,
    Plugin,
    PluginError,
    Reply,
    Router,
    UsageLedger,
    sink,
)
from provider_kit.plugins import RecordReplay, RedactContent

KEY = "sk-proj-0123456789abcdefghijklmnop"


def plugin(name="mine", **members):
    """A plugin of a class of its own."""
    return type("Mine", (Plugin,), {"name": name, **members})()


async def _raises(self, call, call_next):
    raise ValueError(f"broken {KEY}")


async def _raises_after(self, call, call_next):
    await call_next(call)
    raise ValueError("broken")


async def _returns_nothing(self, call, call_next):
    await call_next(call)


@pytest.mark.parametrize("verb", ["chat", "stream"])
@pytest.mark.parametrize("middleware", [_raises, _raises_after, _returns_nothing])
def test_middleware_of_a_plugin_that_fails_is_passed_by(call, fake_server, caplog, verb, middleware):
    """One request, one answer, and a line that names it without the secret in its error."""
    client = fake_server.client(plugins=[plugin(middleware=middleware)])
    getattr(call, verb)(client, "Hello")
    assert len(fake_server.requests) == 1
    assert "The plugin mine failed in middleware" in caplog.text
    assert KEY not in caplog.text


@pytest.mark.parametrize("middleware", [_raises, _raises_after, _returns_nothing])
def test_what_is_required_stops_the_call(call, fake_server, middleware):
    """By a PluginError without the secret."""
    client = fake_server.client(plugins=[plugin(middleware=middleware, required=True)])
    with pytest.raises(PluginError, match="The plugin mine failed in middleware") as found:
        call.chat(client, "Hello")
    assert KEY not in str(found.value)


def test_an_error_from_inside_passes_through(call, fake_server):
    """It is not the plugin's."""

    async def inside(request, call_next):
        raise KeyError("of the middleware inside")

    async def around(self, context, call_next):
        return await call_next(context.call)

    client = fake_server.client(plugins=[plugin(around=around, required=True)], middleware=[inside])
    with pytest.raises(KeyError, match="of the middleware inside"):
        call.chat(client, "Hello")


def test_a_hook_that_returns_something_else_is_passed_by(call, fake_server, caplog):
    """The answer stays."""
    client = fake_server.client(plugins=[plugin(post_response=lambda self, context, response: {"a": 1})])
    assert call.chat(client, "Hello").text
    assert "answered with a dict" in caplog.text


def test_a_hook_that_fails_with_each_chunk_is_logged_once(call, fake_server, caplog):
    """Of one stream."""

    def fail(self, context, chunk):
        raise ValueError(KEY)

    client = fake_server.client(plugins=[plugin(on_stream_event=fail)])
    fake_server.reply("word " * 50)
    chunks, _ = call.stream(client, "Hello")
    assert len(chunks) > 10
    assert caplog.text.count("failed in on_stream_event") == 1
    assert KEY not in caplog.text


@pytest.mark.parametrize("required", [True, False])
def test_an_init_that_fails_later_stops_every_call(required):
    """The second one, too."""

    async def init(self, config):
        await asyncio.sleep(0)
        raise ValueError("cannot start")

    async def main():
        client = Client("demo/echo", plugins=[plugin(init=init, required=required, pre_request=lambda *_: None)])
        for _ in range(2):
            found = await asyncio.gather(client.achat("a"), client.achat("b"), return_exceptions=True)
            assert [type(one) for one in found] == [PluginError, PluginError]
        await client.aclose()

    asyncio.run(main())


def test_calls_wait_for_an_init_that_another_awaits():
    """None goes on before it is done; one that is cancelled begins it anew."""
    seen = []

    async def init(self, config):
        await asyncio.sleep(0.02)
        seen.append("ready")

    def pre_request(self, context):
        seen.append("asked")

    async def main():
        client = Client("demo/echo", plugins=[plugin(init=init, pre_request=pre_request)])
        first = asyncio.create_task(client.achat("a"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await asyncio.gather(client.achat("a"), client.achat("b"))
        await client.aclose()

    asyncio.run(main())
    assert seen == ["ready", "asked", "asked"]


def test_a_plugin_that_cannot_be_registered_leaves_nothing():
    """What was there goes on."""
    client = Client("demo/echo")
    for one in (plugin("needs", dependencies=("missing",)), plugin("late", priority="high")):
        with pytest.raises(ConfigError):
            client.plugins.register(one)
    client.plugins.register(plugin("fine"))
    assert [one.name for one in client.plugins] == ["fine"]


def test_each_one_that_is_removed_is_closed():
    """However many there were at one address."""
    closed = []
    client = Client("demo/echo")
    for number in range(20):
        client.plugins.register(plugin(close=lambda self, number=number: closed.append(number)))
        client.plugins.remove("mine")
    assert closed == list(range(20))
    client.close()
    assert closed == list(range(20))


def test_what_a_plugin_brought_goes_with_it(tmp_path):
    """Its sinks hear no more."""
    ledger = UsageLedger(tmp_path / "usage.db")
    client = Client("demo/echo", plugins=[plugin(sinks=(ledger,))])
    client.chat("Hello")
    client.plugins.remove("mine")
    client.chat("Hello")
    assert ledger.total().attempts == 1
    client.close()
    ledger.close()


def test_others_miss_nothing_while_plugins_change():
    """Each call is told to those that stay."""
    heard = []
    listens = plugin("listens", wanted_events=frozenset({CallEnded}), on_event=lambda self, event: heard.append(event))
    client = Client("demo/echo", plugins=[listens])
    done = threading.Event()

    def change():
        while not done.is_set():
            client.plugins.register(plugin("other", pre_request=lambda *_: None))
            client.plugins.remove("other")

    thread = threading.Thread(target=change)
    thread.start()
    for _ in range(100):
        client.chat("Hello")
    done.set()
    thread.join()
    assert len(heard) == client.metrics.request_count == 100
    client.close()


def test_sinks_that_are_added_by_many_threads_are_all_there():
    """None replaces another."""
    client = Client("demo/echo")
    before = len(client.event_bus.sinks)
    barrier = threading.Barrier(8)

    def add():
        barrier.wait()
        client.event_bus.add(sink(CallEnded)(lambda event: None))

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(client.event_bus.sinks) == before + 8
    client.close()


def test_routers_of_one_name_are_told_apart(call, fake_server):
    """The outer one counts its own calls."""
    inner = Router([fake_server.client()])
    outer = Router([inner])
    call.chat(outer, "Hello")
    assert (outer.metrics.request_count, inner.metrics.request_count) == (1, 1)


def test_one_function_at_several_routers_hears_each_end_once(call, fake_server):
    """As a plugin does."""
    heard = []

    @sink(CallEnded)
    def note(event):
        heard.append(event)

    inner = Router([fake_server.client(on_event=note)], on_event=note, name="in")
    call.chat(Router([inner, fake_server.client()], on_event=note, name="out"), "Hello")
    assert len(heard) == 1
    inner = Router([fake_server.client()], on_event=note, name="in")
    call.chat(Router([inner], on_event=note, name="out"), "Hello")
    assert len(heard) == 2


def test_shared_metrics_keep_no_client():
    """Of those that are gone."""
    shared = Metrics()
    for _ in range(10):
        Client("demo/echo", metrics=shared).chat("Hello")
    import gc

    gc.collect()
    assert len(shared._buses) == 0
    assert shared.request_count == 10


def test_a_cancelled_call_that_was_never_passed_on_counts(fake_server):
    """As cancelled; an exception of the middleware's own as an error of this program."""
    ends = []

    @sink(CallEnded)
    def note(event):
        ends.append((event.outcome, event.error_type))

    async def slow(request, call_next):
        await request.runtime.sleep(10)

    async def broken(request, call_next):
        raise KeyError("mine")

    async def main():
        async with fake_server.client(on_event=note) as client:
            task = asyncio.create_task(client.achat("Hello", middleware=[slow]))
            await asyncio.sleep(0.01)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            with pytest.raises(KeyError):
                await client.achat("Hello", middleware=[broken])

    asyncio.run(main())
    assert ends == [("cancelled", "caller_cancelled"), ("error", "own_internal")]


def test_a_cancelled_reader_of_a_live_answer_has_left(fake_server):
    """It did not fail."""
    ends = []

    async def endless():
        yield "one"
        await asyncio.sleep(10)

    async def own(request, call_next):
        reply = Reply.live(endless())
        reply.on_end(lambda end: ends.append(end.how))
        return reply

    async def main():
        async with fake_server.client(middleware=[own]) as client:

            async def read():
                async for _ in client.astream("Hello"):
                    pass

            task = asyncio.create_task(read())
            await asyncio.sleep(0.05)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
    assert ends == ["left"]


@pytest.mark.parametrize("given", ["a text", None, {"a": 1}])
def test_a_reply_without_an_answer_is_a_mistake(call, fake_server, given):
    """Named before it is returned."""

    async def own(request, call_next):
        return Reply(given)

    with pytest.raises(ConfigError, match="not a Reply"):
        call.chat(fake_server.client(middleware=[own]), "Hello")


def test_an_item_of_a_live_answer_that_is_nothing(call, fake_server):
    """It does not pass for the end."""

    async def own(request, call_next):
        return Reply.live(["a", None, "b"])

    with pytest.raises(ConfigError, match="NoneType"):
        call.stream(fake_server.client(middleware=[own]), "Hello")


def test_the_reply_of_an_earlier_try_is_closed(call, fake_server):
    """Middleware that calls on twice reads one of the two."""

    async def twice(request, call_next):
        await call_next(request)
        return await call_next(request)

    client = fake_server.client(middleware=[twice], max_concurrency=2)
    for _ in range(3):
        _, answer = call.stream(client, "Hello")
        assert (len(answer.attempts), len(client._engine.parts.live)) == (2, 0)
    assert client._admission.slots.taken == 0


def test_replay_sends_nothing(call, fake_server, tmp_path):
    """Nor what is not recorded; and a new recording replaces the old one."""
    path = tmp_path / "recorded.jsonl"
    for text in ("old", "new"):
        fake_server.reply(text)
        call.chat(fake_server.client(plugins=[RecordReplay(path, mode="record")]), "Hello")
    sent = len(fake_server.requests)
    offline = fake_server.client(plugins=[RecordReplay(path, mode="replay")])
    assert call.chat(offline, "Hello").text == "new"
    with pytest.raises(ConfigError, match="models is not recorded"):
        call.models(offline)
    assert len(fake_server.requests) == sent
    with pytest.raises(ConfigError, match="cannot be written"):
        fake_server.client(plugins=[RecordReplay(tmp_path)])


def test_a_refusal_is_masked(call):
    """In a stream, too."""

    async def refuses(self, request, call_next):
        return Reply.live([Chunk("", refusal="Ask anna@exam"), Chunk("", refusal="ple.org.", finish_reason="stop")])

    client = Client("demo/echo", plugins=[RedactContent(), plugin(middleware=refuses, priority=900)])
    chunks, answer = call.stream(client, "Hello")
    assert "".join(chunk.refusal for chunk in chunks) == answer.refusal == "Ask [EMAIL]."
