"""Plugins: their hooks, their order, and what becomes of one that is broken."""

import asyncio
import importlib.metadata
import pickle

import pytest
from asking import OPERATIONS, ask_by_every_verb

from provider_kit import (
    ChatResponse,
    Chunk,
    Client,
    ConfigError,
    InternalServerError,
    InvalidRequestError,
    Message,
    Plugin,
    PluginError,
    PluginManager,
    ProviderKitError,
    RetryScheduled,
    Router,
)

VERBS = pytest.mark.parametrize("verb", ["chat", "stream"])


class Recorder(Plugin):
    """Notes which hooks were called."""

    name = "recorder"

    def __init__(self, name="recorder", priority=500, **more):
        self.name, self.priority, self.seen = name, priority, []
        self.closed = 0
        vars(self).update(more)

    def init(self, config):
        self.config = dict(config)

    def pre_request(self, context):
        self.seen.append(("pre_request", context.operation))

    def post_response(self, context, response):
        self.seen.append(("post_response", response.text))

    def on_error(self, context, error):
        self.seen.append(("on_error", type(error).__name__))

    def on_stream_event(self, context, chunk):
        self.seen.append(("on_stream_event", chunk.text))

    def on_provider_selected(self, context, provider, model):
        self.seen.append(("on_provider_selected", provider, model))

    def close(self):
        self.closed += 1


class AsyncRecorder(Recorder):
    """The same, awaited."""

    async def init(self, config):
        super().init(config)

    async def pre_request(self, context):
        super().pre_request(context)

    async def post_response(self, context, response):
        super().post_response(context, response)

    async def on_error(self, context, error):
        super().on_error(context, error)

    async def on_stream_event(self, context, chunk):
        super().on_stream_event(context, chunk)

    async def on_provider_selected(self, context, provider, model):
        super().on_provider_selected(context, provider, model)

    async def close(self):
        super().close()


@pytest.fixture(params=[Recorder, AsyncRecorder], ids=["plain", "async"])
def kind(request):
    return request.param


@pytest.fixture(params=["client", "router"])
def make(request, fake_server):
    """A function: a client, or a router over one."""

    def made(**options):
        client = fake_server.client("openai/gpt-4o", retry=lambda error, attempt: None)
        if request.param == "router":
            return Router([client], **options)
        return fake_server.client("openai/gpt-4o", retry=lambda error, attempt: None, **options)

    return made


def test_the_hooks_of_a_chat(call, make, kind, fake_server):
    """Before, whom it asks, after."""
    plugin = kind()
    fake_server.reply("Good day")
    call.chat(make(plugins=[plugin]), "Hello")
    assert plugin.seen == [
        ("pre_request", "chat"),
        ("on_provider_selected", "openai", "gpt-4o"),
        ("post_response", "Good day"),
    ]


def test_the_hooks_of_a_stream(call, make, kind, fake_server):
    """Each chunk, and the whole answer at its end."""
    plugin = kind()
    fake_server.reply("Good day")
    call.stream(make(plugins=[plugin]), "Hello")
    assert [name for name, *_ in plugin.seen] == [
        "pre_request",
        "on_provider_selected",
        *["on_stream_event"] * (len(plugin.seen) - 3),
        "post_response",
    ]
    assert "".join(text for name, text, *_ in plugin.seen if name == "on_stream_event") == "Good day"
    assert plugin.seen[-1] == ("post_response", "Good day")


@VERBS
def test_the_hook_of_an_error(call, make, kind, fake_server, verb):
    """It is called, and the error raised."""
    plugin = kind()
    fake_server.fault(500)
    with pytest.raises(ProviderKitError):
        getattr(call, verb)(make(plugins=[plugin]), "Hello")
    assert plugin.seen[-1] == ("on_error", "InternalServerError")


def test_the_hook_of_a_stream_that_breaks_off(call, make, kind, fake_server):
    """It has no answer, so there is no post_response."""
    plugin = kind()
    fake_server.reply("one two three four five")
    fake_server.fault(cut_after=2)
    assert call.stream_error(make(plugins=[plugin]), "Hello")
    assert plugin.seen[-1] == ("on_error", "StreamIncompleteError")
    assert "post_response" not in {name for name, *_ in plugin.seen}


def test_a_router_tells_of_each_target(call, fake_server):
    """In their order."""
    plugin = Recorder()
    clients = [fake_server.client(name=name, max_retries=0) for name in ("first", "second")]
    fake_server.fault(500)
    call.chat(Router(clients, plugins=[plugin]), "Hello")
    assert [one[1:] for one in plugin.seen if one[0] == "on_provider_selected"] == [
        ("first", "gpt-4o"),
        ("second", "gpt-4o"),
    ]


def test_priorities_decide_the_order(call, make):
    """Lower ones see the request first, and the answer last."""
    order = []

    class Ordered(Recorder):
        def pre_request(self, context):
            order.append(f"{self.name} in")

        def post_response(self, context, response):
            order.append(f"{self.name} out")

    plugins = [Ordered("logging", 900), Ordered("security", 100), Ordered("cache", 200)]
    client = make(plugins=plugins)
    call.chat(client, "Hello")
    names = ["security", "cache", "logging"]
    assert order == [*(f"{name} in" for name in names), *(f"{name} out" for name in reversed(names))]
    assert [plugin.name for plugin in client.plugins] == names


def test_a_plugin_comes_after_what_it_needs():
    """Whatever the priorities are."""
    first = Recorder("first", 100, dependencies=("last",))
    assert [one.name for one in PluginManager([first, Recorder("last", 900)])] == ["last", "first"]


@pytest.mark.parametrize(
    ("plugins", "match"),
    [
        ([Recorder("a", dependencies=("b",))], "plugin a needs b"),
        ([Recorder("a", dependencies=("b",)), Recorder("b", dependencies=("a",))], "depend on each other"),
        ([Recorder("a"), Recorder("a")], "two plugins named 'a'"),
        ([Recorder("")], "has no name"),
        ([object()], "is not a plugin"),
        ([lambda call, call_next: None], "is not a plugin"),
        (["no-such-plugin"], "no plugin 'no-such-plugin'"),
    ],
)
def test_what_cannot_be_used_is_named(plugins, match):
    """When the client is created."""
    with pytest.raises(ConfigError, match=match):
        Client("demo/echo", plugins=plugins)


def test_settings_of_the_registration_and_of_one_call(call, make):
    """The latter override the former."""
    found = []

    class Reads(Plugin):
        name = "reads"

        def pre_request(self, context):
            found.append(dict(context.config))

    client = make(plugins={Reads: {"a": 1, "b": 2}})
    call.chat(client, "Hello")
    call.chat(client, "Hello", extension_config={"reads": {"b": 3}, "others": {"c": 4}})
    assert found == [{"a": 1, "b": 2}, {"a": 1, "b": 3}]


@VERBS
def test_a_plugin_changes_the_request(call, make, fake_server, verb):
    """The provider sees it."""

    class Short(Plugin):
        name = "short"

        def pre_request(self, context):
            context.request = context.request.replace(max_tokens=7)

    getattr(call, verb)(make(plugins=[Short]), "Hello")
    assert 7 in fake_server.requests[-1].json.values()


@VERBS
@pytest.mark.parametrize(
    "answer", ["Cached", ChatResponse(Message("assistant", "Cached"), "stop")], ids=["text", "answer"]
)
def test_a_plugin_answers_by_itself(call, make, fake_server, verb, answer):
    """Nothing is sent; the plugins outside see the answer."""

    class Cache(Plugin):
        name = "cache"

        def pre_request(self, context):
            return answer

    outer = Recorder("outer", 100)
    result = getattr(call, verb)(make(plugins=[Cache(), outer]), "Hello")
    assert (result[1] if verb == "stream" else result).text == "Cached"
    assert fake_server.requests == []
    if verb == "chat":
        assert outer.seen[-1] == ("post_response", "Cached")


@VERBS
def test_a_plugin_replaces_the_answer(call, make, verb):
    """Of a stream the one that is assembled."""

    class Other(Plugin):
        name = "other"

        async def post_response(self, context, response):
            return ChatResponse(Message("assistant", "Other"), "stop")

    result = getattr(call, verb)(make(plugins=[Other()]), "Hello")
    assert (result[1] if verb == "stream" else result).text == "Other"


def test_a_plugin_replaces_chunks(call, make):
    """One by one."""

    class Shout(Plugin):
        name = "shout"

        def on_stream_event(self, context, chunk):
            return Chunk(chunk.text.upper(), finish_reason=chunk.finish_reason)

    chunks, _ = call.stream(make(plugins=[Shout()]), "hello there")
    assert "".join(chunk.text for chunk in chunks).isupper()


@VERBS
def test_a_plugin_stops_a_call(call, make, fake_server, verb):
    """By an error of this library."""

    class Guard(Plugin):
        name = "guard"

        def pre_request(self, context):
            raise InvalidRequestError("Not today.")

    with pytest.raises(InvalidRequestError, match="Not today"):
        getattr(call, verb)(make(plugins=[Guard()]), "Hello")
    assert fake_server.requests == []


@VERBS
def test_a_plugin_answers_in_place_of_an_error(call, make, fake_server, verb):
    """Or raises another one."""

    class Consoles(Plugin):
        name = "consoles"

        def on_error(self, context, error):
            return "Sorry" if context.config.get("kind") else InternalServerError("mine", status_code=500)

    client = make(plugins=[Consoles()])
    fake_server.always(500)
    result = getattr(call, verb)(client, "Hello", extension_config={"consoles": {"kind": True}})
    assert (result[1] if verb == "stream" else result).text == "Sorry"
    with pytest.raises(InternalServerError, match="mine"):
        getattr(call, verb)(client, "Hello")


class Broken(Plugin):
    """Fails in every hook."""

    name = "broken"
    priority = 500

    def pre_request(self, context):
        raise ValueError("in pre_request, with sk-secret-0123456789abcdef")

    def post_response(self, context, response):
        raise KeyError("post")

    def on_stream_event(self, context, chunk):
        raise RuntimeError("chunk")

    def on_provider_selected(self, context, provider, model):
        raise TypeError("selected")


@VERBS
def test_a_broken_plugin_is_named_and_isolated(call, make, verb, caplog):
    """The call is answered, and the others do their work."""
    other = Recorder("other", 600)
    result = getattr(call, verb)(make(plugins=[Broken(), other]), "Hello")
    assert (result[1] if verb == "stream" else result).text
    assert other.seen
    said = [record.getMessage() for record in caplog.records if record.name == "provider_kit.plugins"]
    assert any("The plugin broken failed in pre_request (ValueError" in line for line in said)
    assert not any("sk-secret" in line for line in said)
    assert {"pre_request", "post_response"} <= {line.split(" failed in ")[1].split()[0] for line in said}


@VERBS
@pytest.mark.parametrize("more", [{"priority": 100}, {"required": True}])
def test_what_is_required_stops_the_call(call, make, fake_server, verb, more):
    """As what guards something does by default."""
    plugin = Broken()
    vars(plugin).update(more)
    with pytest.raises(PluginError, match="plugin broken failed in pre_request: ValueError") as caught:
        getattr(call, verb)(make(plugins=[plugin]), "Hello")
    assert isinstance(caught.value.__cause__, ValueError)
    assert "sk-secret" not in str(caught.value)
    assert fake_server.requests == []


def test_a_plugin_that_cannot_be_started_is_named():
    """At once, if its init is plain."""

    class Fails(Plugin):
        name = "fails"

        def init(self, config):
            raise ValueError("no database")

    with pytest.raises(ConfigError, match="plugin fails could not be started: ValueError: no database"):
        Client("demo/echo", plugins=[Fails])


def test_one_whose_init_is_awaited_fails_with_the_first_call(call, make):
    """By its name."""

    class Fails(Plugin):
        name = "fails"

        async def init(self, config):
            raise ValueError("no database")

        def pre_request(self, context):
            pass

    with pytest.raises(PluginError, match="plugin fails could not be started"):
        call.chat(make(plugins=[Fails]), "Hello")


def test_it_is_closed_with_the_client(make, kind):
    """Once."""
    plugin = kind()
    client = make(plugins=[plugin])
    if kind is Recorder:
        client.chat("Hello")
        client.close()
        client.close()
    else:

        async def main():
            await client.achat("Hello")
            await client.aclose()
            await client.aclose()

        asyncio.run(main())
    assert plugin.closed == 1


def test_a_client_with_other_options_closes_nothing(fake_server):
    """It shares the plugins."""
    plugin = Recorder()
    client = fake_server.client(plugins=[plugin])
    client.with_options(temperature=0).close()
    assert plugin.closed == 0
    client.close()
    assert plugin.closed == 1


def test_registering_and_removing_later(call, make):
    """For the calls that begin afterwards."""
    client = make()
    plugin = Recorder()
    client.plugins.register(plugin, {"a": 1})
    call.chat(client, "Hello")
    assert plugin.seen
    assert plugin.config == {"a": 1}
    assert "recorder" in client.plugins
    assert client.plugins["recorder"] is plugin
    client.plugins.register(Recorder("needs", dependencies=("recorder",)))
    with pytest.raises(ConfigError, match="needed by needs"):
        client.plugins.remove("recorder")
    client.plugins.remove("needs")
    client.plugins.remove("recorder")
    plugin.seen.clear()
    call.chat(client, "Hello")
    assert plugin.seen == []
    with pytest.raises(ConfigError, match="no plugin 'recordr'"):
        client.plugins["recordr"]


def test_events_go_to_the_plugins_that_want_them(call, make, fake_server):
    """Also those of a router's targets."""
    heard = []

    class Hears(Plugin):
        name = "hears"
        wanted_events = frozenset({RetryScheduled})

        def on_event(self, event):
            heard.append(event.name)

    client = fake_server.client(retry=lambda error, attempt: 0.0 if attempt == 1 else None)
    router = Router([client], plugins=[Hears()])
    fake_server.fault(500)
    call.chat(router, "Hello")
    assert heard == ["retry"]


def test_a_plugin_of_an_installed_package(monkeypatch):
    """By the name of its entry point; one that cannot be imported is named."""
    point = importlib.metadata.EntryPoint("recorder", f"{__name__}:Recorder", "provider_kit.plugins")
    broken = importlib.metadata.EntryPoint("broken", "no_such_module:Thing", "provider_kit.plugins")

    def entry_points(group):
        return [point, broken] if group == "provider_kit.plugins" else []

    monkeypatch.setattr("provider_kit.plugins.manager.entry_points", entry_points)
    monkeypatch.setattr(importlib.metadata.EntryPoint, "load", lambda self: Recorder if self is point else 1 / 0)
    assert [plugin.name for plugin in Client("demo/echo", plugins=["recorder"]).plugins] == ["recorder"]
    with pytest.raises(ConfigError, match=r"plugin broken .* cannot be loaded: ZeroDivisionError"):
        Client("demo/echo", plugins=["broken"])
    with pytest.raises(ConfigError, match="no plugin 'recordr'") as caught:
        Client("demo/echo", plugins=["recordr"])
    assert "recorder" in caught.value.hint


class Plain(Plugin):
    """Can be pickled."""

    name = "plain"

    def pre_request(self, context):
        context.request = context.request.replace(max_tokens=1)


def test_pickles_keep_their_plugins():
    """Of clients and of routers."""
    client = Client("demo/echo", plugins=[Plain()])
    assert pickle.loads(pickle.dumps(client)).chat("one two three").text == "one"
    router = Router(["demo/echo"], plugins=[Plain()])
    assert pickle.loads(pickle.dumps(router)).chat("one two three").text == "one"


def test_a_plugin_serves_every_verb(fake_server):
    """chat, achat, stream, astream, run, conversation; over a client and a router."""
    for make in (fake_server.client, lambda **options: Router([fake_server.client()], **options)):
        plugin = Recorder()
        ask_by_every_verb(make(plugins=[plugin]))
        names = [name for name, *_ in plugin.seen]
        assert names.count("pre_request") == names.count("post_response") == len(OPERATIONS) == 8


def test_nothing_of_it_remains_after_a_call(call, make):
    """The contexts of selections are given up."""
    client = make(plugins=[Recorder()])
    call.chat(client, "Hello")
    call.stream(client, "Hello")
    assert client.plugins._contexts == {}


def test_a_router_inside_a_router(call, fake_server):
    """The plugin of the outer one hears whom the inner one asks; one of both hears everything once."""
    outer_plugin, shared = Recorder("outer"), Recorder("shared")
    heard = []

    class Hears(Plugin):
        name = "hears"
        wanted_events = frozenset({RetryScheduled})

        def on_event(self, event):
            heard.append(event.name)

    hears = Hears()
    client = fake_server.client(retry=lambda error, attempt: 0.0 if attempt == 1 else None, plugins=[hears])
    inner = Router([client], name="inner", plugins=[shared, hears])
    outer = Router([inner], name="outer", plugins=[outer_plugin, hears])
    fake_server.fault(500)
    call.chat(outer, "Hello")
    assert heard == ["retry"]
    told = [one[1:] for one in outer_plugin.seen if one[0] == "on_provider_selected"]
    assert told[-1] == ("openai", "gpt-4o")
    assert [one[1:] for one in shared.seen if one[0] == "on_provider_selected"] == [("openai", "gpt-4o")]


def test_a_stream_with_hooks_that_is_left_frees_everything(call, fake_server):
    """At once, in both worlds."""
    from provider_kit import debug_report

    client = fake_server.client(plugins=[Recorder()])
    before = len(debug_report().calls)
    if call.name == "blocking":
        for _ in client.stream("Hello"):
            break
    else:

        async def leave():
            async for _ in client.astream("Hello"):
                break
            await asyncio.sleep(0.01)
            await client.aclose()

        asyncio.run(leave())
    assert len(debug_report().calls) == before
    assert client.metrics.cancelled_count == 1


@pytest.mark.parametrize(("name", "meant"), [("pre_reqest", "pre_request"), ("post_respones", "post_response")])
def test_a_misspelt_hook_is_refused(name, meant):
    """It would never be called."""
    kind = type("Mine", (Plugin,), {"name": "mine", "version": "1", name: lambda self, context: None})
    with pytest.raises(ConfigError, match=f"{name}\\(\\), which is no hook") as found:
        Client("demo", plugins=[kind()])
    assert meant in found.value.hint
