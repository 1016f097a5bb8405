"""Where keys come from, what they must look like, whose turn it is."""

import asyncio
import threading

import pytest

from provider_kit import (
    AuthError,
    AuthErrorCode,
    Client,
    MissingAPIKeyError,
    Provider,
    ProviderConfig,
    ScriptedTransport,
)
from provider_kit.auth.keys.sources import KeySource, check_key, find_keys

ANSWER = {"json": {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}}
KEY = "test-key-0123456789"
ACME = Provider(name="acme", key_variables=("ACME_KEY", "ACME_TOKEN"), console="https://acme.example/keys")


def sent_keys(transport):
    return [request.headers.get("Authorization", "").removeprefix("Bearer ") for request in transport.requests]


def test_a_given_key_goes_before_the_environment():
    """Argument, then the provider's variables in order, then a variable named after the provider."""
    config = ProviderConfig(type="acme", api_key=KEY)
    assert find_keys(config, ACME, {"ACME_KEY": "other"}).keys == (KEY,)
    config = ProviderConfig(type="acme")
    environ = {"ACME_TOKEN": "two", "ACME_KEY": "one", "ACME_API_KEY": "three"}
    found = find_keys(config, ACME, environ)
    assert (found.keys, found.variable) == (("one",), "ACME_KEY")
    del environ["ACME_KEY"]
    assert find_keys(config, ACME, environ).variable == "ACME_TOKEN"
    environ["ACME_TOKEN"] = ""
    found = find_keys(config, ACME, environ)
    assert (found.keys, found.variable) == (("three",), "ACME_API_KEY")


def test_numbered_variables_hold_several_keys():
    """Where the one without a number is not set; they end at the first gap."""
    config = ProviderConfig(type="acme")
    environ = {"ACME_TOKEN_1": "first", "ACME_TOKEN_2": "second", "ACME_TOKEN_4": "beyond the gap"}
    found = find_keys(config, ACME, environ)
    assert (found.keys, found.variable) == (("first", "second"), "ACME_TOKEN")
    assert ACME.find_key(environ) == ("first", "ACME_TOKEN_1")
    environ["ACME_TOKEN"] = "alone"
    assert find_keys(config, ACME, environ).keys == ("alone",)
    named = ProviderConfig(type="acme", name="my-own")
    assert find_keys(named, ACME, {"MY_OWN_API_KEY_1": "mine", "MY_OWN_API_KEY_2": "too"}).keys == ("mine", "too")


def test_a_provider_with_a_name_of_yours_has_a_variable_of_that_name():
    """``name="my-acme"`` may be given its key as MY_ACME_API_KEY."""
    config = ProviderConfig(type="acme", name="my-acme")
    assert find_keys(config, ACME, {"MY_ACME_API_KEY": "k"}).keys == ("k",)


def test_a_missing_key_says_where_it_was_looked_for():
    """Variables in the text, what to do in the hint."""
    with pytest.raises(MissingAPIKeyError) as caught:
        find_keys(ProviderConfig(type="acme"), ACME, {})
    assert "ACME_KEY, ACME_TOKEN, ACME_API_KEY" in caught.value.message
    assert caught.value.hint == (
        "Set ACME_KEY in the environment, pass api_key=…, or store it: provider-kit keys set acme. "
        "Get a key at https://acme.example/keys."
    )
    assert caught.value.code is AuthErrorCode.INVALID_CREDENTIALS
    assert caught.value.provider == "acme"
    bare = Provider(name="acme", key_variables=("ACME_API_KEY",))
    with pytest.raises(MissingAPIKeyError) as caught:
        find_keys(ProviderConfig(type="acme"), bare, {})
    assert caught.value.message.count("ACME_API_KEY") == 1
    assert "Get a key" not in caught.value.hint


@pytest.mark.parametrize("target", ["openai", "anthropic", "gemini", "openrouter", "cerebras", "qwen", "mistral"])
def test_a_missing_key_is_told_with_the_first_call(call, target):
    """Making a client needs no key; a call does, and tells so before anything is sent."""
    transport = ScriptedTransport([])
    client = Client(target, model="m", transport=transport)
    for verb in (call.chat, call.stream):
        with pytest.raises(MissingAPIKeyError, match="_API_KEY") as caught:
            verb(client, "Hello")
        assert "api_key=" in caught.value.hint
    assert transport.requests == []


def test_a_local_server_needs_no_key(call):
    """Where none is needed, none is asked for and no header is sent."""
    transport = ScriptedTransport([ANSWER])
    assert call.chat(Client("vllm/m", transport=transport), "Hello").text == "Hi"
    assert sent_keys(transport) == [""]


@pytest.mark.parametrize(
    "key", ["", "  ", "two words", "line\nbreak", "dash–key", "\x00", 5, b"bytes", ["x"]], ids=repr
)
def test_a_key_that_cannot_be_one_is_refused(call, key):
    """Empty, with white space inside, not ASCII, no text: refused before it is sent, and not shown."""
    transport = ScriptedTransport([])
    client = Client("openai/gpt-4o", api_key=key, transport=transport)
    with pytest.raises(AuthError) as caught:
        call.chat(client, "Hello")
    if isinstance(key, str) and key.strip("\x00 "):
        assert key not in str(caught.value)
    assert transport.requests == []


def test_white_space_around_a_key_is_taken_away():
    """What copying leaves is harmless."""
    assert check_key(f" {KEY}\n", "acme") == KEY


def test_several_keys_take_turns(call):
    """Each call has the next key; a single one among api_key and api_keys counts too."""
    transport = ScriptedTransport([ANSWER], repeat=True)
    client = Client("openai/gpt-4o", api_key="k-one", api_keys=["k-two", "k-three"], transport=transport)
    for _ in range(4):
        call.chat(client, "Hello")
    assert sent_keys(transport) == ["k-one", "k-two", "k-three", "k-one"]


def test_a_callable_is_asked_for_each_request(call):
    """The key may change from request to request."""
    numbers = iter(range(10))
    transport = ScriptedTransport([ANSWER], repeat=True)
    client = Client("openai/gpt-4o", api_key=lambda: f" key-{next(numbers)} ", transport=transport)
    call.chat(client, "Hello")
    call.stream(client, "Hello")
    assert sent_keys(transport) == ["key-0", "key-1"]


def test_an_async_callable_is_awaited(call):
    """Also where the call blocks, as long as it does not wait for anything."""

    async def key():
        return KEY

    class Callable:
        async def __call__(self):
            return KEY

    for function in (key, Callable(), lambda: key()):
        transport = ScriptedTransport([ANSWER])
        call.chat(Client("openai/gpt-4o", api_key=function, transport=transport), "Hello")
        assert sent_keys(transport) == [KEY]


def test_an_async_callable_may_wait_under_asyncio_only(fake_server):
    """A callable that really waits works with achat; chat says what to do instead."""

    async def key():
        await asyncio.sleep(0)
        return KEY

    client = fake_server.client(api_key=key)
    assert asyncio.run(client.achat("What is 2 + 3?")).text == "2 + 3 = 5"
    with pytest.raises(AuthError, match="asynchronous") as caught:
        client.chat("Hello")
    assert "achat" in caught.value.hint


def test_a_blocking_callable_does_not_block_the_event_loop(fake_server):
    """Under asyncio it runs in a worker thread; blocking calls run it where they are."""
    seen = []

    def key():
        seen.append(threading.current_thread())
        return KEY

    client = fake_server.client(api_key=key)
    client.chat("Hello")
    asyncio.run(client.achat("Hello"))
    assert seen[0] is threading.main_thread()
    assert seen[1] is not threading.main_thread()


@pytest.mark.parametrize("failure", [ValueError("no vault"), RuntimeError("no vault"), KeyError("no vault")], ids=repr)
def test_a_callable_that_fails_is_an_auth_error(call, failure):
    """The cause is chained, its words are not repeated."""

    def key():
        raise failure

    client = Client("openai/gpt-4o", api_key=key, transport=ScriptedTransport([]))
    with pytest.raises(AuthError, match=f"callable failed: {type(failure).__name__}") as caught:
        call.chat(client, "Hello")
    assert caught.value.__cause__ is failure
    assert "no vault" not in str(caught.value)


def test_an_error_of_this_library_from_a_callable_is_kept(call):
    """A callable may say precisely what is wrong."""

    def key():
        raise AuthError("the vault is sealed", code="provider_unavailable", retryable=False)

    client = Client("openai/gpt-4o", api_key=key, transport=ScriptedTransport([]))
    with pytest.raises(AuthError, match="the vault is sealed") as caught:
        call.chat(client, "Hello")
    assert caught.value.code is AuthErrorCode.PROVIDER_UNAVAILABLE


@pytest.mark.parametrize("value", [None, 5, b"x"], ids=repr)
def test_a_callable_must_return_text(call, value):
    """Anything else is told by its type."""
    client = Client("openai/gpt-4o", api_key=lambda: value, transport=ScriptedTransport([]))
    with pytest.raises(AuthError, match=f"returned {type(value).__name__}, neither a key nor a list of keys"):
        call.chat(client, "Hello")


def test_a_source_tells_what_it_has():
    """Keys, a function, or nothing."""
    transport = ScriptedTransport([])
    assert KeySource(()).empty
    assert asyncio.run(KeySource(()).fetch(transport)) == ()
    assert asyncio.run(KeySource(("a", "b")).fetch(transport)) == ("a", "b")
    source = KeySource((), function=lambda: [" a ", "b", "a"])
    assert not source.empty
    assert asyncio.run(source.fetch(transport)) == ("a", "b")
