"""A key never appears in anything that is shown, logged or kept."""

import asyncio
import io
import logging
import pickle
import traceback

import pytest

from provider_kit import (
    Client,
    HTTPConfig,
    OAuthConfig,
    OAuthCredentialSet,
    ProviderConfig,
    ProviderKitError,
    ScriptedTransport,
    provider_names,
)
from provider_kit.testing import Fault

#: Of no shape that any pattern could know.
KEY = "zq7Kd93hLmN0Pq55"
PROVIDERS = [name for name in provider_names() if name != "demo"]


def _model(provider):
    return f"{provider}/{'claude-sonnet-4-5' if provider == 'anthropic' else 'gemini-2.5-flash'}"


def texts_of(error, *, with_locals=True):
    """Everything that can be seen of an error, as one text."""
    shown = [str(error), repr(error), repr(vars(error)), repr(error.hint), repr(error.args)]
    shown.append("".join(traceback.format_exception(error)))
    shown.append(pickle.dumps(error).decode("latin-1"))
    if with_locals:
        shown.append("".join(traceback.TracebackException.from_exception(error, capture_locals=True).format()))
    return "\n".join(shown)


@pytest.fixture
def log():
    """All that is logged, by whomever, at every level."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(1)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


def fail(call, client, verb):
    """Let a call fail; the key is in no local variable here."""
    with pytest.raises(ProviderKitError) as caught:
        getattr(call, verb)(client, "Hello")
    return caught.value


ECHOES = {
    "error text": {"status": 401, "message": f"wrong key {KEY}!"},
    "error code": {"status": 400, "code": KEY},
    "headers": {"status": 500, "headers": {"x-echo": f"Bearer {KEY}", "x-request-id": KEY, "set-cookie": KEY}},
    "json body": {
        "status": 400,
        "body": f'{{"error": {{"message": "x", "param": "{KEY}", "{KEY}": ["{KEY}"]}}}}'.encode(),
    },
    "text body": {"status": 500, "body": f"Traceback: key={KEY}".encode()},
    "web page": {"status": 502, "body": f"<html><title>{KEY}</title>{KEY}</html>".encode()},
    "redirect": {"status": 302, "headers": {"location": f"https://elsewhere.example/?key={KEY}"}},
}


@pytest.mark.parametrize("verb", ["chat", "stream"])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_key_that_the_server_echoes_is_not_in_the_error(call, fake_server, log, provider, verb):
    """Text, code, headers, bodies of every form, redirects: nothing of the error holds it."""
    client = fake_server.client(_model(provider), api_key=KEY, max_retries=0)
    for name, fields in ECHOES.items():
        fake_server.fault(Fault(**fields))
        shown = texts_of(fail(call, client, verb))
        assert KEY not in shown, name
    sent = fake_server.requests[0].headers
    assert any(KEY in value for value in sent.values())
    assert KEY not in repr(fake_server.requests)
    assert KEY not in repr(client) + repr(client.config) + repr(client._engine.parts.endpoint.keys)
    assert KEY not in log.getvalue()


@pytest.mark.parametrize("verb", ["chat", "stream"])
@pytest.mark.parametrize(
    "fields",
    [
        {"embedded_error": True, "message": f"wrong key {KEY}"},
        {"body": f'{{"choices": [{KEY}'.encode()},
        {"body": f"<!doctype html>{KEY}".encode()},
    ],
    ids=["embedded", "cut", "page"],
)
@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini", "ollama"])
def test_a_key_echoed_inside_a_200_is_not_in_the_error(call, fake_server, provider, verb, fields):
    """Successful by its status, an error by its content."""
    client = fake_server.client(_model(provider), api_key=KEY, max_retries=0)
    fake_server.fault(Fault(**fields))
    assert KEY not in texts_of(fail(call, client, verb), with_locals=False)


@pytest.mark.parametrize("after", [0, 3])
@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini", "ollama"])
def test_a_key_echoed_inside_a_stream_is_not_in_the_error(call, fake_server, provider, after):
    """Before and after the first content."""
    fake_server.reply("one two three four five six")
    client = fake_server.client(_model(provider), api_key=KEY, max_retries=0)
    fake_server.fault(error_after=after, message=f"wrong key {KEY}", code=KEY)
    assert KEY not in texts_of(fail(call, client, "stream"), with_locals=False)


@pytest.mark.parametrize("verb", ["chat", "stream"])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_key_is_not_in_the_traceback_of_a_lost_connection(call, provider, verb):
    """Not even where the local variables of the HTTP library are shown with it."""
    client = Client(_model(provider), api_key=KEY, base_url="http://127.0.0.1:9/v1", max_retries=0)
    shown = texts_of(fail(call, client, verb))
    assert "127.0.0.1:9" in shown
    assert KEY not in shown


@pytest.mark.parametrize("verb", ["chat", "stream"])
@pytest.mark.parametrize("fault", [{"reset": True}, {"garbage": True}, {"latency": 1.0}], ids=repr)
def test_a_key_is_not_in_the_traceback_of_a_broken_answer(call, fake_server, verb, fault):
    """Sent, then lost: the variables of the HTTP library are masked too."""
    fake_server.fault(Fault(**fault))
    client = fake_server.client(api_key=KEY, max_retries=0, timeout=0.1)
    assert KEY not in texts_of(fail(call, client, verb))


def test_keys_of_a_callable_and_of_a_list_are_masked_too(call, fake_server):
    """Whatever key was handed out is known and taken out."""
    for options in ({"api_key": lambda: KEY}, {"api_keys": [KEY, "another-key-here"]}):
        for _ in options.get("api_keys", [KEY]):
            fake_server.fault(401, message=f"wrong key {KEY}")
        client = fake_server.client(max_retries=0, **{"api_key": None, **options})
        assert KEY not in texts_of(fail(call, client, "chat"))
        assert KEY not in repr(client) + repr(client.config)


def test_an_authorization_header_of_yours_is_a_secret_too(call, fake_server):
    """Headers of the client are never shown, nor pickled where they carry a credential."""
    fake_server.fault(401, message=f"wrong key {KEY}")
    client = fake_server.client(max_retries=0, headers={"Authorization": KEY, "X-Team": "search"})
    assert KEY not in texts_of(fail(call, client, "chat"))
    assert KEY not in repr(client) + repr(client.config)
    again = pickle.loads(pickle.dumps(client))
    assert dict(again.config.headers) == {"X-Team": "search"}


def test_a_missing_key_does_not_show_the_environment(monkeypatch, call):
    """Other secrets of the environment are not in the traceback's variables."""
    monkeypatch.setenv("MY_OTHER_SECRET", KEY)
    client = Client("openai/gpt-4o", transport=ScriptedTransport([]))
    assert KEY not in texts_of(fail(call, client, "chat"))
    with pytest.raises(ProviderKitError) as caught:
        Client("azure/gpt-4o")
    assert KEY not in texts_of(caught.value)


def test_no_value_shows_its_secrets():
    """Configurations and credentials can be printed."""
    values = [
        ProviderConfig(type="openai", api_key=KEY, api_keys=[KEY], headers={"Authorization": KEY}),
        OAuthConfig(client_id="id", client_secret=KEY),
        OAuthCredentialSet(id="x", client_id="id", client_secret=KEY, access_token=KEY, refresh_token=KEY),
        HTTPConfig(proxy=f"http://user:{KEY}@proxy.example:3128"),
        HTTPConfig(proxy={"https": f"http://user:{KEY}@proxy.example:3128"}),
    ]
    for value in values:
        assert KEY not in f"{value} {value!r}"


def test_a_pickled_client_holds_no_key(monkeypatch):
    """Unless that was asked for; the copy finds a key in its own environment."""
    client = Client("openai/gpt-4o", api_key=KEY)
    data = pickle.dumps(client)
    assert KEY.encode() not in data
    monkeypatch.setenv("OPENAI_API_KEY", "from-the-environment")
    assert pickle.loads(data).keys.secrets == ("from-the-environment",)
    with_key = Client("openai/gpt-4o", api_key=KEY, allow_secret_pickle=True)
    assert pickle.loads(pickle.dumps(with_key)).keys.secrets == (KEY,)


def test_an_answer_holds_no_key(call, fake_server):
    """Neither shown nor pickled."""
    answer = call.chat(fake_server.client(api_key=KEY), "Hello")
    assert KEY not in repr(answer)
    assert KEY.encode() not in pickle.dumps(answer)


def test_a_task_that_failed_shows_no_key(fake_server):
    """asyncio's own report of a lost exception does not show it either."""
    fake_server.fault(401, message=f"wrong key {KEY}")
    client = fake_server.client(api_key=KEY, max_retries=0)
    seen = []

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: seen.append(repr(context)))
        task = asyncio.create_task(client.achat("Hello"))
        await asyncio.wait([task])
        seen.append(repr(task))
        assert isinstance(task.exception(), ProviderKitError)

    asyncio.run(main())
    assert KEY not in "".join(seen)
