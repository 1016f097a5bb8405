"""Making a client in all its forms, and everything that can be wrong with its arguments."""

import asyncio
import copy
import gc
import math
import os
import pickle
import re
import threading

import pytest

from provider_kit import (
    AuthenticationError,
    Backoff,
    Client,
    ConfigError,
    HTTPConfig,
    Image,
    InvalidRequestError,
    Message,
    OAuthCredentialSet,
    Provider,
    ProviderConfig,
    ScriptedTransport,
    Text,
    Timeout,
    Tool,
    UnknownProviderError,
    provider_names,
    register_provider,
)
from provider_kit.providers import registry

KEY = "test-key-0123456789"
ANSWER = {"json": {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}}


def scripted(target="openai/gpt-4o", **options):
    options.setdefault("api_key", KEY)
    transport = ScriptedTransport([ANSWER], repeat=True)
    return Client(target, transport=transport, **options), transport


# ------------------------------------------------------------------------------------------------ targets


@pytest.mark.parametrize(
    ("target", "provider", "model"),
    [
        ("openai/gpt-4o", "openai", "gpt-4o"),
        ("openai:gpt-4o", "openai", "gpt-4o"),
        (" openai/gpt-4o ", "openai", "gpt-4o"),
        ("openrouter/anthropic/claude-x", "openrouter", "anthropic/claude-x"),
        ("ollama/llama3.1:8b", "ollama", "llama3.1:8b"),
        ("google/gemini-x", "gemini", "gemini-x"),
        ("grok/grok-4", "xai", "grok-4"),
        ("dashscope:qwen-max", "qwen", "qwen-max"),
        ("claude-sonnet-4-5", "anthropic", "claude-sonnet-4-5"),
        ("gpt-4o", "openai", "gpt-4o"),
        ("o3", "openai", "o3"),
        ("gemini-flash-latest", "gemini", "gemini-flash-latest"),
        ("llama.cpp", "llamacpp", "default"),
    ],
)
def test_a_model_string_tells_provider_and_model(target, provider, model):
    """provider/model, provider:model, aliases and names that are known by themselves."""
    client = Client(target)
    assert (client.provider, client.model) == (provider, model)


def test_a_provider_alone_means_its_default_model():
    """Also with a slash and nothing behind it; ``model=`` names another one."""
    assert Client("anthropic").model == Client("anthropic/").model == registry.find_provider("anthropic").default_model
    assert Client("anthropic", model="claude-x").model == "claude-x"
    assert Client(model="openai/gpt-4o").provider == "openai"
    assert Client("openai/gpt-4o", model="gpt-4o").model == "gpt-4o"


def test_an_address_alone_means_any_compatible_server():
    """As first argument or as base_url."""
    for client in (
        Client("http://127.0.0.1:8000/v1", model="m"),
        Client(base_url="http://127.0.0.1:8000/v1", model="m"),
    ):
        assert (client.provider, client.model, client.base_url) == (
            "openai_compatible",
            "m",
            "http://127.0.0.1:8000/v1",
        )


def test_a_config_is_a_client():
    """All that arguments can say, a ProviderConfig can; ``model=`` may stand beside it."""
    config = ProviderConfig(
        type="openai",
        name="mine",
        api_key=KEY,
        base_url="http://127.0.0.1:1/v1",
        default_model="m",
        timeout=5,
        max_retries=1,
        headers={"X-A": "1"},
        options={"organization": "org"},
    )
    client = Client(config)
    assert client.config is config
    assert (client.provider, client.model, client.base_url) == ("mine", "m", "http://127.0.0.1:1/v1")
    assert client._timeout == Timeout(5, 5, 5, answer=5)
    assert Client(config, model="other").model == "other"
    assert Client(ProviderConfig(type="google")).provider == "google"


@pytest.mark.parametrize(
    "beside",
    [
        {"api_key": KEY},
        {"api_keys": [KEY]},
        {"base_url": "http://127.0.0.1:1"},
        {"timeout": 5},
        {"total_timeout": 5},
        {"headers": {"a": "b"}},
        {"http": HTTPConfig()},
        {"name": "x"},
        {"max_retries": 7},
        {"on_unsupported": "drop"},
        {"allow_insecure_http": True},
        {"organization": "x"},
    ],
    ids=lambda beside: next(iter(beside)),
)
def test_nothing_that_belongs_into_a_config_may_stand_beside_it(beside):
    """Better an error than an argument without effect."""
    with pytest.raises(ConfigError, match="A ProviderConfig and further arguments"):
        Client(ProviderConfig(type="openai"), **beside)


@pytest.mark.parametrize("target", ["", "  ", 5, b"openai", ["openai"], {"type": "openai"}], ids=repr)
def test_a_target_that_is_none_is_refused(target):
    """The text shows what was given."""
    with pytest.raises(ConfigError, match="must be 'provider/model' or a ProviderConfig"):
        Client(target)


def test_a_client_needs_to_know_whom_to_ask():
    """Without anything, with two addresses or with two models there is a clear error."""
    with pytest.raises(ConfigError, match="No provider is given"):
        Client()
    with pytest.raises(ConfigError, match="Two base URLs"):
        Client("http://127.0.0.1:1", base_url="http://127.0.0.1:2")
    with pytest.raises(ConfigError, match="Two models"):
        Client("openai/gpt-4o", model="gpt-5")


@pytest.mark.parametrize(
    ("target", "near"),
    [
        ("antropic/claude", "'anthropic'"),
        ("OpenAI/gpt-4o", "'openai'"),
        ("opnai", "'openai'"),
        ("mistrall:x", "'mistral'"),
        ("gemni/flash", "'gemini'"),
    ],
)
def test_a_misspelt_provider_is_told_with_the_nearest_one(target, near):
    """The hint also shows how to write a model string."""
    with pytest.raises(UnknownProviderError, match="names no known provider") as caught:
        Client(target)
    assert f"Did you mean {near}" in caught.value.hint
    assert "provider/model" in caught.value.hint


def test_an_unknown_type_in_a_config_is_told_too():
    """With all known names."""
    with pytest.raises(UnknownProviderError, match="Unknown provider 'opnai'") as caught:
        Client(ProviderConfig(type="opnai"))
    assert "'openai'" in caught.value.hint
    assert all(name in caught.value.hint for name in provider_names())


@pytest.fixture
def registered():
    """Providers registered by a test are forgotten after it."""
    before = dict(registry._registered)
    yield
    registry._registered.clear()
    registry._registered.update(before)


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("name", ["acme", "openai", "google", "acme-2.0_x"])
def test_a_provider_of_your_own_is_found_by_its_name(call, name):
    """Also where the name was a built-in one or an alias."""
    made = register_provider(Provider(name=name, base_url="https://api.acme.example/v1", key_variables=("ACME_KEY",)))
    client, transport = scripted(f"{name}/m")
    assert registry.find_provider(name) is made
    assert name in provider_names()
    assert call.chat(client, "Hello").provider == name
    assert transport.requests[0].url.startswith("https://api.acme.example/v1/")


@pytest.mark.parametrize(
    "given", [5, "acme", Provider(name="a/b"), Provider(name="")], ids=["number", "text", "slash", "nameless"]
)
def test_what_is_no_provider_cannot_be_registered(given):
    """Nor can a name that could not stand before a slash."""
    with pytest.raises(ConfigError):
        register_provider(given)


# ------------------------------------------------------------------------------------------------ arguments


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"api_keys": "sk-one-string"}, "api_keys must be a list"),
        ({"api_keys": 5}, "api_keys must be a list"),
        ({"headers": "X: y"}, "headers must be a dict"),
        ({"headers": [("a", "b")]}, "headers must be a dict"),
        ({"headers": {1: "x"}}, "header 1 cannot be sent"),
        ({"name": 5}, "name must be a string"),
        ({"base_url": 5}, "base_url must be a string"),
        ({"timeout": "x"}, "timeout 'x' is not understood"),
        ({"timeout": -1}, "above 0"),
        ({"timeout": 0}, "above 0"),
        ({"timeout": math.nan}, "above 0"),
        ({"timeout": True}, "not understood"),
        ({"timeout": (1, 2, 3)}, "not understood"),
        ({"timeout": {"read": 5}}, "not understood"),
        ({"total_timeout": -1}, "above 0"),
        ({"total_timeout": "x"}, "above 0"),
        ({"max_retries": -1}, "0 or more"),
        ({"max_retries": 1.5}, "0 or more"),
        ({"max_retries": True}, "0 or more"),
        ({"retry": 5}, "retry must be a function"),
        ({"transport": 5}, "transport must have the methods"),
        ({"session": 5}, "session must be a requests.Session"),
        ({"async_session": 5}, "async_session must be an aiohttp.ClientSession"),
        ({"http": {"proxy": "x"}}, "http must be an HTTPConfig"),
        ({"on_unsupported": "explode"}, "'explode' is not understood"),
        ({"defaults": 5}, "defaults must be a dict"),
        ({"defaults": {"temprature": 1}}, "Unknown default 'temprature'"),
        ({"defaults": {"model": "x"}}, "Unknown default 'model'"),
    ],
    ids=lambda value: repr(value) if isinstance(value, dict) else "",
)
def test_a_wrong_argument_is_told_when_the_client_is_made(options, words):
    """Not with the first call, and never by an error of another library."""
    with pytest.raises(ConfigError, match=words):
        Client("openai/gpt-4o", **options)


def test_a_wrong_model_is_told_when_the_client_is_made():
    """A model is a string."""
    with pytest.raises(ConfigError, match="default_model must be a string"):
        Client("openai", model=5)


@pytest.mark.parametrize(
    ("name", "near"),
    [("modle", "'model'"), ("apikey", "'api_key'"), ("baseurl", "'base_url'"), ("time_out", "'timeout'")],
)
def test_a_misspelt_argument_is_told_with_the_nearest_one(name, near):
    """Arguments of the client and options of the provider are both known."""
    with pytest.raises(ConfigError, match=f"Unknown argument '{name}'") as caught:
        Client("openai", **{name: "x"})
    assert near in caught.value.hint


def test_an_argument_of_a_call_is_told_to_be_one():
    """``temperature`` belongs into the call or into defaults."""
    with pytest.raises(ConfigError) as caught:
        Client("openai", temperature=0)
    assert "argument of chat()" in caught.value.hint
    assert "defaults" in caught.value.hint


def test_a_credential_without_a_token_is_refused():
    """Nobody could log in with it."""
    credential = OAuthCredentialSet(id="a", client_id="b")
    with pytest.raises(ConfigError, match="neither an access_token nor a refresh_token"):
        Client(ProviderConfig(type="openai", oauth_credentials=[credential]))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        (5, Timeout(5, 5, 5, answer=5)),
        (0.5, Timeout(0.5, 0.5, 0.5, answer=0.5)),
        ((3, 60), Timeout(3, 60, 60, answer=60)),
        ({"connect": 1, "total": 9}, Timeout(1, 30, 30, 9)),
        (Timeout(idle=7), Timeout(idle=7)),
    ],
    ids=repr,
)
def test_timeouts_may_be_said_in_several_ways(given, expected):
    """Seconds, a pair as in requests, a dict, or a Timeout."""
    assert Client("openai", timeout=given)._timeout == expected


def test_defaults_are_for_every_call(call):
    """Those of the call go before them."""
    client, transport = scripted(defaults={"temperature": 0.5, "system": "Be brief.", "max_tokens": 5})
    call.chat(client, "Hello", temperature=1)
    body = transport.requests[0].body
    assert b'"temperature":1' in body
    assert b"Be brief." in body
    assert b'"max_completion_tokens":5' in body


def test_the_policy_is_yours_or_counts_retries():
    """``retry`` goes before ``max_retries``."""
    assert Client("openai", max_retries=7)._engine.parts.policy == Backoff(7)
    mine = Backoff(1)
    assert Client("openai", max_retries=7, retry=mine)._engine.parts.policy is mine


# ------------------------------------------------------------------------------------------------ calls


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ((), {}),
        (("",), {}),
        (("  \n",), {}),
        (([],), {}),
        ((5,), {}),
        ((b"Hi",), {}),
        ((None,), {}),
        (([None],), {}),
        (([5],), {}),
        (([{"role": "usr", "content": "x"}],), {}),
        (([{"content": "x"}],), {}),
        (([{"role": "user", "content": None}],), {}),
        (([{"role": "user", "content": 5}],), {}),
        (([{"role": "user", "content": b"x"}],), {}),
        (([{"role": "user", "content": object()}],), {}),
        (([{"role": "user", "content": [{"type": "text"}]}],), {}),
        (([{"role": "user", "content": [{"type": "image_url"}]}],), {}),
        (([{"role": "tool", "content": "x"}],), {}),
        (([{"role": "user", "content": "x"}, {"role": "tool", "tool_call_id": "c", "content": "x"}],), {}),
        (([{"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f"}}]}, "and now?"],), {}),
        (([{"role": "assistant", "tool_calls": ["c"]}, "and now?"],), {}),
        (([Message("wrong", "x")],), {}),
        (("Hi",), {"prompt": "Hi"}),
        (("Hi",), {"model": 5}),
        (("Hi",), {"system": 5}),
        (("Hi",), {"temprature": 1}),
        (("Hi",), {"temperature": "hot"}),
        (("Hi",), {"temperature": True}),
        (("Hi",), {"temperature": math.nan}),
        (("Hi",), {"temperature": math.inf}),
        (("Hi",), {"max_tokens": "5"}),
        (("Hi",), {"max_tokens": -1}),
        (("Hi",), {"max_tokens": 1.5}),
        (("Hi",), {"stop": 5}),
        (("Hi",), {"stop": [""]}),
        (("Hi",), {"seed": 1.5}),
        (("Hi",), {"tools": "add"}),
        (("Hi",), {"tools": [5]}),
        (("Hi",), {"tool_choice": "missing"}),
        (("Hi",), {"tool_choice": 5, "tools": [Tool("add", "Adds")]}),
        (("Hi",), {"response_format": 5}),
        (("Hi",), {"reasoning": "a bit"}),
        (("Hi",), {"metadata": 5}),
        (("Hi",), {"extra_body": [1]}),
        (("Hi",), {"extra_body": {"a": b"x"}}),
        (("Hi",), {"extra_body": {"a": {1, 2}}}),
        (("Hi",), {"extra_headers": "x"}),
        (("Hi",), {"extra_headers": {"A": "b\r\nC: d"}}),
        (("Hi",), {"extra_query": 5}),
        (("Hi",), {"files": ["/nowhere/at/all.png"]}),
        (("Hi",), {"files": [os.curdir]}),
        (("Hi",), {"files": 5}),
        (("Hi",), {"on_unsupported": "explode"}),
        (("Hi",), {"timeout": "x"}),
        (("Hi",), {"total_timeout": 0}),
        (("\ud800",), {}),
    ],
    ids=lambda value: re.sub(r" at 0x\w+", "", repr(value)),
)
def test_a_wrong_call_is_told_before_anything_is_sent(call, arguments, options):
    """One kind of error for all that is wrong with the arguments of a call, and it is a ValueError too."""
    client, transport = scripted()
    for verb in (call.chat, call.stream):
        with pytest.raises(InvalidRequestError) as caught:
            verb(client, *arguments, **options)
        assert isinstance(caught.value, ValueError)
        assert len(str(caught.value)) < 500
    assert transport.requests == []


def test_bottomless_nesting_is_told_before_anything_is_sent(call):
    """Wherever it stands in a call."""
    deep = []
    for _ in range(50_000):
        deep = [deep]
    client, transport = scripted()
    for messages, options in (
        (deep, {}),
        ([{"role": "user", "content": deep}], {}),
        ([{"role": "user", "content": [{"type": "text", "text": "x", "extra": deep}]}], {}),
        ("Hi", {"extra_body": {"a": deep}}),
        ("Hi", {"tools": [Tool("add", "Adds", {"type": "object", "deep": deep})]}),
    ):
        for verb in (call.chat, call.stream):
            with pytest.raises(InvalidRequestError):
                verb(client, messages, **options)
    assert transport.requests == []


def test_a_misspelt_argument_of_a_call_is_told_with_the_nearest_one(call):
    """And where fields of the provider's own belong."""
    client, _ = scripted()
    with pytest.raises(InvalidRequestError, match="Unknown argument 'temprature'") as caught:
        call.chat(client, "Hi", temprature=1)
    assert "'temperature'" in caught.value.hint
    assert "extra_body" in caught.value.hint


def test_a_call_without_any_model_says_how_to_name_one(call):
    """Neither the call nor the client names one."""
    client, _ = scripted("http://127.0.0.1:1/v1")
    with pytest.raises(InvalidRequestError, match="No model is given"):
        call.chat(client, "Hi")
    assert call.chat(client, "Hi", model="m").text == "Hi"
    assert repr(client) == "<Client openai_compatible/? at http://127.0.0.1:1/v1>"


@pytest.mark.parametrize(
    "messages",
    [
        "Hi",
        ["Hi"],
        ("Hi",),
        {"role": "user", "content": "Hi"},
        [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
        Message.user("Hi"),
        [Message.user("Hi")],
        Text("Hi"),
        [Text("Hi"), Image(data=b"\x89PNG\r\n\x1a\nIEND", media_type="image/png")],
        [{"role": "system", "content": "Be brief."}, "Hi", {"role": "assistant", "content": "Ho"}, "Hi"],
    ],
    ids=lambda value: type(value).__name__,
)
def test_messages_come_in_many_forms(call, messages):
    """Strings, dicts, messages, parts, alone or in lists."""
    client, transport = scripted()
    assert call.chat(client, messages).text == "Hi"
    assert b"Hi" in transport.requests[0].body


def test_an_answer_can_be_sent_back_as_it_is(call):
    """``reply`` and ``reply.message`` continue a conversation."""
    client, transport = scripted()
    answer = call.chat(client, "Hello")
    call.chat(client, ["Hello", answer, "And now?"])
    call.chat(client, ["Hello", answer.message, "And now?"])
    assert transport.requests[1].body == transport.requests[2].body
    assert call.chat(client, prompt="Hello").text == "Hi"


def test_a_health_check_tells_and_never_raises(call, fake_server):
    """Healthy, refused, away, without a list of models, without a key: always a finding."""
    good = call.health_check(fake_server.client())
    assert good
    assert good.healthy
    assert "2 models" in good.message
    assert good.response_time > 0
    assert good.last_checked > 1_700_000_000
    fake_server.fault(401, message="wrong key")
    bad = call.health_check(fake_server.client())
    assert not bad
    assert isinstance(bad.error, AuthenticationError)
    assert "wrong key" in bad.message
    assert len(fake_server.requests) == 2
    away = call.health_check(Client("http://127.0.0.1:9/v1", model="m"))
    assert not away
    assert "127.0.0.1:9" in away.message
    assert not call.health_check(Client("openai"))


def test_a_health_check_does_not_take_longer_than_it_may(call, fake_server):
    """It is bounded, and not tried again."""
    fake_server.always(latency=2)
    finding = call.health_check(fake_server.client(), timeout=0.1)
    assert not finding
    assert finding.response_time < 1
    with pytest.raises(InvalidRequestError):
        call.health_check(fake_server.client(), timeout="soon")


# ------------------------------------------------------------------------------------------------ life


def test_it_can_be_printed():
    """Who, which model, where; no key."""
    client = Client("openai/gpt-4o", api_key=KEY)
    assert repr(client) == "<Client openai/gpt-4o at https://api.openai.com/v1>"
    assert KEY not in repr(client.config)


def test_it_pickles(monkeypatch):
    """Settings travel, the key does not unless asked for."""
    client = Client(
        "openai/gpt-4o", api_key=KEY, max_retries=1, defaults={"temperature": 0}, retry=Backoff(9), timeout=5
    )
    again = pickle.loads(pickle.dumps(client))
    assert (again.provider, again.model, again._defaults, again._engine.parts.policy) == (
        "openai",
        "gpt-4o",
        {"temperature": 0},
        Backoff(9),
    )
    assert again._timeout == client._timeout
    assert again.config.api_key is None
    keeping = Client("openai/gpt-4o", api_key=KEY, api_keys=["b"], allow_secret_pickle=True)
    again = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(keeping))))
    assert (again.config.api_key, again.config.api_keys) == (KEY, ("b",))
    monkeypatch.setenv("OPENAI_BASE_URL", "https://proxy.example/v1")
    assert pickle.loads(pickle.dumps(client)).base_url == "https://proxy.example/v1"


def test_it_pickles_after_calls_in_both_worlds(fake_server):
    """Connections stay behind."""
    client = fake_server.client(allow_secret_pickle=True)
    with client:
        client.chat("Hello")
        asyncio.run(client.achat("Hello"))
        again = pickle.loads(pickle.dumps(client))
    with again:
        assert again.chat("What is 2 + 3?").text == "2 + 3 = 5"


def test_what_is_yours_is_not_pickled():
    """A client with a session or transport of the user's says so."""
    client, _ = scripted()
    with pytest.raises(TypeError, match="of your own"):
        pickle.dumps(client)


@pytest.mark.parametrize("copying", [copy.copy, copy.deepcopy])
def test_a_copy_is_as_good_as_the_client(call, fake_server, copying):
    """Key and settings included, connections of its own; a transport of the user's is shared."""
    client = fake_server.client(defaults={"temperature": 0.5})
    again = copying(client)
    assert call.chat(again, "What is 2 + 3?").text == "2 + 3 = 5"
    assert fake_server.requests[0].json["temperature"] == 0.5
    assert again._transports.blocking is None or again._transports.blocking is not client._transports.blocking
    again.close()
    client, transport = scripted(api_key=lambda: KEY)
    call.chat(copying(client), "Hello")
    assert transport.requests[0].headers["Authorization"] == f"Bearer {KEY}"


def test_it_can_be_used_after_it_was_closed(fake_server):
    """Closing frees connections; the next call opens new ones."""
    client = fake_server.client()
    with client as entered:
        assert entered is client
        client.chat("Hello")
    assert client.chat("Hello").text
    client.close()
    client.close()

    async def main():
        async with client as entered:
            assert entered is client
            await client.achat("Hello")
        await client.achat("Hello")
        await client.aclose()
        await client.aclose()

    asyncio.run(main())
    Client("openai").close()
    asyncio.run(Client("openai").aclose())


def test_it_leaves_nothing_open(fake_server):
    """With or without closing, no warning of a lost connection."""
    client = fake_server.client()
    client.chat("Hello")
    asyncio.run(client.achat("Hello"))
    asyncio.run(client.achat("Hello"))
    client.close()
    del client
    gc.collect()


def test_a_transport_of_yours_is_not_closed():
    """Whoever made it closes it."""
    client, transport = scripted()
    with client:
        client.chat("Hello")
    asyncio.run(client.aclose())
    assert not transport.closed


def test_sessions_of_yours_are_used_and_not_closed(fake_server):
    """A requests.Session and an aiohttp.ClientSession keep working as their owner set them up."""
    import aiohttp
    import requests

    with requests.Session() as session:
        session.headers["X-Mine"] = "1"
        with fake_server.client(session=session) as client:
            client.chat("Hello")
        assert session.get(f"{fake_server.url}/v1/models", timeout=5).ok

    async def main():
        async with aiohttp.ClientSession() as session:
            async with fake_server.client(async_session=session) as client:
                await client.achat("Hello")
            assert not session.closed

    asyncio.run(main())
    assert len(fake_server.requests) == 3


def test_threads_and_loops_share_one_client(fake_server):
    """Each with its own question gets its own answer."""
    client = fake_server.client()
    answers = {}

    def work(number):
        question = f"What is {number} + {number}?"
        if number % 2:
            answers[number] = client.chat(question).text
        else:
            answers[number] = asyncio.run(client.achat(question)).text

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    client.close()
    assert answers == {number: f"{number} + {number} = {2 * number}" for number in range(8)}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_can_go_on(fake_server):
    """It opens connections of its own; the parent's are left alone."""
    client = fake_server.client()
    client.chat("Hello")
    child = os.fork()
    if child == 0:
        try:
            good = client.chat("What is 2 + 3?").text == "2 + 3 = 5"
            os._exit(0 if good else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert client.chat("What is 2 + 3?").text == "2 + 3 = 5"
    client.close()
