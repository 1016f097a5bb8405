"""A provider that signs its requests: one file of its own, and every verb works, in both worlds."""

import hashlib
import hmac

import pytest

from provider_kit import Backoff, Client, ConfigError, Provider, ScriptedTransport, register_provider
from provider_kit.providers import registry
from provider_kit.transports import HttpRequest

KEY = "a-secret-that-is-never-sent"


class Hmac:
    """Signs method, path, time and body, as clouds do."""

    def sign(self, request, secret, now):
        text = f"{request.method}\n{request.url}\n{now:.3f}\n".encode() + (request.body or b"")
        made = hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()
        return HttpRequest(
            request.method, request.url, {**request.headers, "x-time": f"{now:.3f}", "x-signature": made}, request.body
        )


@pytest.fixture(autouse=True)
def signed_cloud():
    """A provider whose requests are signed, for as long as a test lasts."""
    before = dict(registry._registered)
    register_provider(
        Provider(
            name="signed-cloud",
            base_url="https://signed.example/v1",
            key_variables=("SIGNED_CLOUD_API_KEY",),
            default_model="m",
            signer=Hmac(),
        )
    )
    yield
    registry._registered.clear()
    registry._registered.update(before)


def is_good(request):
    text = f"{request.method}\n{request.url}\n{request.headers['x-time']}\n".encode() + (request.body or b"")
    return request.headers["x-signature"] == hmac.new(KEY.encode(), text, hashlib.sha256).hexdigest()


@pytest.mark.parametrize("verb", ["chat", "stream", "models"])
def test_each_attempt_is_signed_anew(call, answers, verb):
    """Over what is sent, with the time of the attempt; the secret itself is nowhere."""
    listed = {"json": {"object": "list", "data": [{"id": "m"}]}}
    good = {"chat": answers.text(), "stream": answers.stream("Hi"), "models": listed}[verb]
    transport = ScriptedTransport([answers.error(503), good])
    retry = Backoff(jitter=lambda wait: wait)
    client = Client("signed-cloud", api_key=KEY, transport=transport, retry=retry)
    getattr(call, verb)(client, *([] if verb == "models" else ["Hello"]))
    first, second = transport.requests
    assert is_good(first)
    assert is_good(second)
    assert first.headers["x-time"] != second.headers["x-time"]
    assert KEY not in repr([dict(request.headers) for request in transport.requests])
    assert not {name.lower() for name in first.headers} & {"authorization", "x-api-key"}


def test_headers_of_the_users_own_are_signed_too(call, answers):
    """What comes last is what is signed."""
    transport = ScriptedTransport([answers.text()])
    client = Client("signed-cloud", api_key=KEY, transport=transport, headers={"x-team": "blue"})
    call.chat(client, "Hello", extra_headers={"x-call": "1"})
    (request,) = transport.requests
    assert is_good(request)
    assert (request.headers["x-team"], request.headers["x-call"]) == ("blue", "1")


def registered(signer, **fields):
    register_provider(
        Provider(name="other-cloud", base_url="https://other.example/v1", default_model="m", signer=signer, **fields)
    )


def test_a_signer_that_finds_credentials_itself_needs_no_key(call, answers):
    """As on a machine with a role: it is called all the same."""
    seen = []

    class Role:
        def sign(self, request, secret, now):
            seen.append(secret)
            return request

    registered(Role(), key_required=False)
    call.chat(Client("other-cloud", transport=ScriptedTransport([answers.text()])), "Hello")
    assert seen == [""]


@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_a_signer_that_returns_nothing_is_named(call, answers, verb):
    """Before anything is sent; no answer is blamed."""

    class Forgetful:
        def sign(self, request, secret, now):
            return None

    registered(Forgetful())
    transport = ScriptedTransport([answers.text()])
    with pytest.raises(ConfigError, match="signer") as caught:
        getattr(call, verb)(Client("other-cloud", api_key=KEY, transport=transport), "Hello")
    assert "return" in caught.value.hint
    assert transport.requests == []


def test_a_dump_shows_no_secret_of_a_signer(call, answers, caplog):
    """Wherever it puts it, and whatever the server repeats of it."""

    class Presigned:
        def sign(self, request, secret, now):
            url = f"{request.url}?X-Amz-Credential=AKIA0001&X-Amz-Signature=abc0123456789abcdef&x={secret}"
            return HttpRequest(request.method, url, {**request.headers, "x-who": secret}, request.body)

    registered(Presigned())
    caplog.set_level("DEBUG", "provider_kit.http.dump")
    transport = ScriptedTransport([answers.text(f"echo {KEY}")])
    call.chat(Client("other-cloud", api_key=KEY, transport=transport, debug_http=True), "Hello")
    assert "REQUEST POST https://other.example" in caplog.text
    for secret in (KEY, "AKIA0001", "abc0123456789abcdef"):
        assert secret not in caplog.text


def test_a_dump_shows_no_key_under_a_name_of_its_own(call, answers, caplog):
    """A provider says itself how its key is sent."""

    class Team(Provider):
        def key_headers(self, key, variable):
            return {"X-Team": f"t:{key}"}

    register_provider(Team(name="other-cloud", base_url="https://other.example/v1", default_model="m"))
    caplog.set_level("DEBUG", "provider_kit.http.dump")
    transport = ScriptedTransport([answers.text(f"echo {KEY}")])
    call.chat(Client("other-cloud", api_key=KEY, transport=transport, debug_http=True), "Hello")
    assert "X-Team: ***" in caplog.text
    assert KEY not in caplog.text
