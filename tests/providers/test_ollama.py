"""Ollama: where requests go, in its cloud and on this machine, and what helps when a model is missing."""

import pytest

from provider_kit import Client, ScriptedTransport
from provider_kit.errors import ConfigError, ModelNotFoundError, OverloadedError, ResponseLostError
from provider_kit.providers.ollama import PROVIDER

ANSWER = {"message": {"content": "Hi."}, "done": True}


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch):
    for name in (*PROVIDER.key_variables, *PROVIDER.base_url_variables):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def request_of(call):
    """The request a client sends for a chat."""

    def ask(**options):
        transport = ScriptedTransport([{"json": ANSWER}])
        call.chat(Client("ollama", transport=transport, **options), "Hello")
        return transport.requests[0]

    return ask


def test_requests_stay_on_this_machine_and_need_no_key(request_of):
    """Without any configuration."""
    request = request_of()
    assert (request.method, request.url) == ("POST", "http://127.0.0.1:11434/api/chat")
    assert "Authorization" not in request.headers


@pytest.mark.parametrize(
    ("host", "base"),
    [
        ("localhost", "http://localhost:11434"),
        ("localhost:1234", "http://localhost:1234"),
        (":1234", "http://127.0.0.1:1234"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:1234", "http://127.0.0.1:1234"),
        ("[::1]", "http://[::1]:11434"),
        ("[::1]:1234", "http://[::1]:1234"),
        ("::1", "http://[::1]:11434"),
        ("[::]:1234", "http://[::1]:1234"),
        ("box.test/", "http://box.test:11434"),
        ("box.test:1234/ollama", "http://box.test:1234/ollama"),
        ("http://box.test", "http://box.test"),
        ("http://box.test:1234/", "http://box.test:1234"),
        ("https://box.test/v1", "https://box.test"),
        ("https://box.test/api", "https://box.test"),
        (' "localhost:1234" ', "http://localhost:1234"),
        ("", "http://127.0.0.1:11434"),
    ],
)
def test_the_host_may_be_written_as_ollama_allows(request_of, monkeypatch, host, base):
    """Scheme, port and path may be missing; the same holds for base_url."""
    monkeypatch.setenv("OLLAMA_HOST", host)
    assert request_of().url == f"{base}/api/chat"
    if host:
        monkeypatch.setenv("OLLAMA_HOST", "elsewhere.test")
        assert request_of(base_url=host).url == f"{base}/api/chat"


def test_the_cloud_takes_a_key(request_of, monkeypatch):
    """From the environment or as an argument."""
    monkeypatch.setenv("OLLAMA_API_KEY", "secret")
    request = request_of(base_url="https://ollama.com")
    assert request.url == "https://ollama.com/api/chat"
    assert request.headers["Authorization"] == "Bearer secret"
    assert request_of(api_key="own").headers["Authorization"] == "Bearer own"


def test_a_key_never_travels_in_the_clear(call):
    """Plain http to another machine is refused where there is a key."""
    client = Client("ollama", api_key="secret", base_url="box.test", transport=ScriptedTransport([]))
    with pytest.raises(ConfigError, match="unencrypted"):
        call.chat(client, "Hello")


def test_a_missing_model_can_be_pulled(call):
    """The hint says how; other errors keep theirs."""
    answers = [
        {"status": 404, "json": {"error": 'model "x" not found, try pulling it first'}},
        {"status": 503, "json": {"error": "server busy, please try again."}},
    ]
    client = Client("ollama/x", transport=ScriptedTransport(answers), max_retries=0)
    with pytest.raises(ModelNotFoundError) as caught:
        call.chat(client, "Hello")
    assert "ollama pull" in caught.value.hint
    with pytest.raises(OverloadedError) as other:
        call.chat(client, "Hello")
    assert "pull" not in other.value.hint


def test_a_lost_reply_is_asked_for_again(call):
    """Nothing is billed on one's own machine."""
    transport = ScriptedTransport([ResponseLostError("gone"), {"json": ANSWER}])
    assert call.chat(Client("ollama", transport=transport), "Hello").text == "Hi."
    assert len(transport.requests) == 2


def test_a_tag_belongs_to_the_model():
    """A colon after a model is no provider."""
    client = Client("ollama/llama3.1:8b")
    assert (client.provider, client.model) == ("ollama", "llama3.1:8b")
