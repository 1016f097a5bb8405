"""A dialect of one's own: what it may do, and what becomes of its mistakes."""

import pytest

from provider_kit import (
    ChatResponse,
    Chunk,
    Client,
    Dialect,
    InvalidResponseError,
    Message,
    NotSupportedError,
    Provider,
    ProviderKitError,
    ScriptedTransport,
    StreamError,
    register_provider,
)
from provider_kit.dialects.base import WireRequest
from provider_kit.providers import registry

KEY = "zq7Kd93hLmN0Pq55"


class Decoder:
    """Each piece of bytes is a piece of text; ``!`` ends the answer, ``?`` makes it stumble."""

    complete = False

    def __init__(self):
        self.text = ""

    def feed(self, data):
        if b"?" in data:
            raise KeyError(KEY)
        self.complete = b"!" in data
        self.text += data.decode()
        yield Chunk(data.decode(), finish_reason="stop" if self.complete else None)

    def finish(self):
        return []

    def response(self):
        return ChatResponse(Message("assistant", self.text), "stop" if self.complete else "error")


class Shouting(Dialect):
    """An API that takes a line and gives a line."""

    name = "shouting"

    def build_chat(self, request, *, stream, report):
        return WireRequest(
            "/shout", {"line": request.messages[-1].text}, headers={"X-Loud": "1"}, query={"stream": str(stream)}
        )

    def parse_chat(self, payload):
        return ChatResponse(Message("assistant", payload["line"].upper()), "stop")

    def stream_decoder(self):
        return Decoder()


@pytest.fixture
def client():
    """A function: a client of the provider over a script."""
    before = dict(registry._registered)
    register_provider(Provider(name="acme", base_url="https://api.acme.example", dialect=Shouting, key_required=False))

    def make(*script, **options):
        options.setdefault("api_key", KEY)
        return Client("acme/loud", transport=ScriptedTransport(script), max_retries=0, **options)

    yield make
    registry._registered.clear()
    registry._registered.update(before)


def test_it_says_where_to_and_what(call, client):
    """Path, body, headers and query are its own; those of the call go over them."""
    made = client({"json": {"line": "hi"}})
    assert call.chat(made, "Hi", extra_headers={"x-loud": "2"}, extra_query={"a": "1"}).text == "HI"
    (request,) = made._own[2].requests
    assert request.url == "https://api.acme.example/shout?stream=False&a=1"
    assert request.headers["x-loud"] == "2"
    assert "X-Loud" not in request.headers
    made = client({"json": {"line": "hi"}})
    call.chat(made, "Hi")
    assert made._own[2].requests[0].headers["X-Loud"] == "1"


def test_it_streams(call, client):
    """Chunks as its decoder yields them."""
    chunks, answer = call.stream(client({"stream": [b"a", b"b!"]}), "Hi")
    assert [chunk.text for chunk in chunks] == ["a", "b!"]
    assert answer.text == "ab!"


def test_what_it_lacks_is_told(call, client):
    """Everything else is a NotSupportedError that names the provider."""
    made = client()
    for verb, arguments in (("models", ()), ("embed", ("x",)), ("count_tokens", ("x",))):
        with pytest.raises(NotSupportedError, match="acme has no endpoint") as caught:
            getattr(call, verb)(made, *arguments)
        assert caught.value.hint
    bare = Dialect()
    for missing in (
        lambda: bare.build_chat(None, stream=False, report=None),
        lambda: bare.parse_chat({}),
        bare.stream_decoder,
        lambda: bare.parse_models({}),
        lambda: bare.parse_embed({}),
        lambda: bare.parse_count({}),
    ):
        with pytest.raises(NotSupportedError):
            missing()


@pytest.mark.parametrize("payload", [{}, {"line": 5}, [], {"line": None}, {KEY: 1}], ids=repr)
@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_an_answer_it_stumbles_over_is_a_typed_error(call, client, verb, payload):
    """The cause is chained; nothing of the error holds a secret."""
    with pytest.raises(InvalidResponseError, match="cannot be read") as caught:
        getattr(call, verb)(client({"json": payload}), "Hi")
    error = caught.value
    assert isinstance(error.__cause__, (KeyError, TypeError, AttributeError))
    assert (error.provider, error.model) == ("acme", "loud")
    assert KEY not in f"{error} {vars(error)}"


def test_an_event_it_stumbles_over_is_a_typed_error(call, client):
    """Before content an error of the answer, after it an error of the stream with what was received."""
    with pytest.raises(ProviderKitError) as caught:
        call.stream(client({"stream": [b"?"]}), "Hi")
    assert not isinstance(caught.value, StreamError)
    assert KEY not in f"{caught.value} {vars(caught.value)}"
    with pytest.raises(StreamError) as caught:
        call.stream(client({"stream": [b"a", b"?"]}), "Hi")
    assert caught.value.partial.text == "a"
    assert KEY not in f"{caught.value} {vars(caught.value)}"
