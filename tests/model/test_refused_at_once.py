"""What cannot work is refused where it is written, with what to write instead; nothing is sent."""

import base64
import re
from decimal import Decimal
from fractions import Fraction
from functools import partial, wraps
from pathlib import Path
from unittest.mock import Mock

import pytest

from provider_kit import (
    Audio,
    Backoff,
    Client,
    ConfigError,
    Document,
    HTTPConfig,
    Image,
    InvalidRequestError,
    MemoryTokenStorage,
    Message,
    OAuthToken,
    ProviderConfig,
    ProviderKitError,
    RateLimitError,
    Reasoning,
    ResponseFormat,
    ScriptedTransport,
    ToolChoice,
    load_config,
)
from provider_kit.auth.storage.files import FileTokenStorage

KEY = "test-key-0123456789abcdef"


def policy_of_one(error):
    """Takes too little."""


async def awaited_policy(error, attempt):
    """Nobody awaits it."""


MADE = {
    "the class for an object": (lambda: Client("openai", api_key=KEY, retry=Backoff), r"the class Backoff", "Backoff("),
    "a policy of one argument": (lambda: Client("openai", retry=policy_of_one), "two arguments", "error, attempt"),
    "a policy to be awaited": (lambda: Client("openai", retry=awaited_policy), "plain function", "error, attempt"),
    "tries in words": (lambda: Backoff("x"), "max_retries must be a whole number", "0 tries only once"),
    "a negative base": (lambda: Backoff(base=-1), "base must be a number of 0 or more", "seconds"),
    "no growth": (lambda: Backoff(factor=0), "factor must be", "doubles"),
    "a number for jitter": (lambda: Backoff(jitter=0.5), "jitter must be a function", "returns seconds"),
    "verify in a number": (lambda: HTTPConfig(verify=5), "verify must be", "Leave it out"),
    "four certificates": (lambda: HTTPConfig(cert=("a", "b", "c", "d")), "cert must be a path", "client.key"),
    "a name of two lines": (lambda: HTTPConfig(user_agent="a\nb"), "user_agent must be one line", "my-program"),
    "a number for a path": (lambda: load_config(5), "named by its path, not by int", "load_config('config.yaml')"),
    "an empty path": (lambda: load_config(""), "name of the configuration file is empty", "load_config("),
    "a number for a type": (lambda: ProviderConfig(type=5), "type must be the name of a provider, not 5", "openai"),
    "a number for a model": (lambda: Client("openai", model=5), "model must be a string, not 5", None),
    "an address without scheme": (
        lambda: Client("localhost:8000/v1"),
        "without its scheme",
        "http://localhost:8000/v1",
    ),
    "a host without scheme": (lambda: Client("api.example.com/v1"), "without its scheme", "https://api.example.com/v1"),
    "a port without scheme": (lambda: Client("10.0.0.5:8000"), "without its scheme", "http://10.0.0.5:8000"),
    "text for bytes": (lambda: Image(data="abc", media_type="image/png"), "takes bytes, not str", "b64decode"),
    "a dict for a token": (
        lambda: MemoryTokenStorage().store_token("a", {"access_token": "t"}),
        "dict cannot be stored",
        "OAuthToken(access_token=",
    ),
}


@pytest.mark.parametrize("what", MADE)
def test_what_cannot_be_made_is_a_typed_error(what):
    """Not a TypeError from somewhere inside, and not later."""
    make, text, hint = MADE[what]
    with pytest.raises(ProviderKitError, match=text) as caught:
        make()
    assert hint is None or hint in caught.value.hint


def test_every_storage_refuses_what_is_no_token(tmp_path):
    """Those that write JSON too."""
    storage = FileTokenStorage(tmp_path / "tokens.json")
    with pytest.raises(ProviderKitError, match="dict cannot be stored as a token"):
        storage.store_token("a", {"access_token": "t"})
    storage.store_token("a", OAuthToken(access_token="t"))
    assert storage.list_tokens() == ["a"]


@pytest.mark.parametrize("kind", [Image, Document, Audio, Reasoning, ToolChoice, ResponseFormat])
def test_a_misspelt_argument_has_a_hint(kind):
    """Below Python's own words."""
    with pytest.raises(TypeError, match="unexpected keyword argument 'pth'") as caught:
        kind(pth="x")
    assert any(note.startswith("Hint: ") for note in caught.value.__notes__)


ASKED = {
    "an argument of the client": ({"max_retries": 3}, "max_retries", r"Client\('…', max_retries=…\)"),
    "a key for one call": ({"api_key": KEY}, "api_key", r"Client\('…', api_key=…\)"),
    "a retry for one call": ({"retry": "none"}, "retry", r"Client\('…', retry=…\)"),
    "stream as an argument": ({"stream": True}, "stream", r"client\.stream\(…\)"),
    "a cache for one call": ({"response_cache": "answers.db"}, "must be True or False", "answers.db"),
    "a path for an address": ({"files": [Image(url="photo.png")]}, "'photo.png' is not an address", "from_path"),
    "an address without a host": ({"files": ["http://"]}, "'http://' is not an address", "Write it in full"),
    "a data URL without data": ({"files": ["data:abc"]}, "has no data", "data:image/png;base64,…"),
    "a file on a server": ({"files": ["ftp://host/a.png"]}, "'ftp://host/a.png' is not an address", "from_path"),
    "a file as an address": ({"files": ["file:///tmp/a.png"]}, "'file:///tmp/a.png' is not an address", "from_path"),
    "a header of no ASCII": ({"extra_headers": {"X-Name": "Müller"}}, "'X-Name' is not ASCII", r"quote\(value\)"),
}


@pytest.mark.parametrize("what", ASKED)
def test_what_cannot_be_asked_is_not_sent(call, what):
    """In both worlds."""
    options, text, hint = ASKED[what]
    transport = ScriptedTransport([])
    client = Client("openai/gpt-4o", api_key=KEY, transport=transport, max_retries=0)
    with pytest.raises(InvalidRequestError, match=text) as caught:
        call.chat(client, "Hello", **options)
    assert re.search(hint, caught.value.hint), caught.value.hint
    assert not transport.requests


def test_an_empty_message_is_not_sent(call):
    """As the documentation says."""
    transport = ScriptedTransport([])
    client = Client("openai/gpt-4o", api_key=KEY, transport=transport, max_retries=0)
    for messages in ([Message("user", [])], ["Hello", Message("system", [])], [{"role": "user", "content": []}]):
        with pytest.raises(InvalidRequestError, match=r"no content|empty"):
            call.chat(client, messages)
    assert not transport.requests


def test_a_time_to_keep_that_nobody_knows_is_refused(call):
    """A number and a unit."""
    transport = ScriptedTransport([])
    client = Client("anthropic/claude-sonnet-4-5", api_key=KEY, transport=transport, max_retries=0)
    with pytest.raises(InvalidRequestError, match=r"cache='soon'") as caught:
        call.chat(client, "Hello", cache="soon")
    assert "'1h'" in caught.value.hint
    assert not transport.requests


ANSWER = {"json": {"id": "1", "model": "m", "choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}}


def test_a_tool_of_a_name_alone_is_a_function(exchange):
    """Not a tool that the provider runs."""
    done = exchange("openai/gpt-4o", "Hello", answer=ANSWER, tools=[{"name": "ping"}])
    (tool,) = done.body["tools"]
    assert (tool["type"], tool["function"]["name"]) == ("function", "ping")


def test_an_address_in_capitals_is_an_address(exchange):
    """Not the path of a file."""
    done = exchange("openai/gpt-4o", "Look", answer=ANSWER, files=["HTTPS://h.test/a.png"])
    assert done.body["messages"][0]["content"][1]["image_url"]["url"] == "HTTPS://h.test/a.png"


def test_bytes_of_another_class_are_bytes():
    """A bytearray and a view of memory."""
    data = base64.b64decode("iVBORw0KGgo=")
    assert Image(data=bytearray(data)).data == Image(data=memoryview(data)).data == data


@pytest.mark.parametrize("said", [0, 0.0, Decimal("0.0"), Fraction(0)], ids=repr)
def test_a_policy_may_answer_with_any_number(call, said):
    """Seconds of another library are seconds."""
    refused = {"status": 429, "json": {"error": {"message": "Slow down."}}}
    transport = ScriptedTransport([refused, ANSWER])
    client = Client("openai/gpt-4o", api_key=KEY, transport=transport, retry=lambda error, attempt: said)
    assert call.chat(client, "Hello").text == "Hi"


def every(*given):
    """A policy of any number of arguments."""


class Policy:
    """Objects and their methods."""

    def __call__(self, error, attempt):
        """Gives up."""

    def of(self, error, attempt, extra=1):
        """Gives up."""


def adapted(function):
    """A policy that looks like what it wraps, which takes less."""

    @wraps(function)
    def policy(error, attempt):
        return function(error)

    return policy


@pytest.mark.parametrize("kind", [Decimal, Fraction])
def test_numbers_of_other_libraries_are_numbers(kind):
    """Of a backoff, too."""
    made = Backoff(base=kind(2), cap=kind(4), longest=kind(8), factor=kind(2), jitter=lambda seconds: seconds)
    assert made == Backoff(base=2, cap=4, longest=8, factor=2, jitter=made.jitter)
    assert made(RateLimitError("x"), 2) == 4.0


def test_paths_of_certificates_are_paths(tmp_path):
    """As texts, or as objects; a key may have a password."""
    one, two = tmp_path / "c.pem", tmp_path / "k.pem"
    assert HTTPConfig(cert=one).cert == str(one)
    assert HTTPConfig(cert=(one, two)).cert == (str(one), str(two))
    assert HTTPConfig(cert=("c", "k", "pw")).cert == ("c", "k", "pw")
    assert HTTPConfig(verify=one).verify == str(one)


def test_a_name_may_be_a_path_or_empty(exchange):
    """As a form of an upload gives it."""
    data = base64.b64decode("iVBORw0KGgo=") + b"IEND"
    for name in (Path("folder/x.png"), ""):
        part = Image(data=data, filename=name)
        assert exchange("openai/gpt-4o", ["Hi", part], answer=ANSWER).response.text == "Hi"
        assert part.filename in ("x.png", "")


POLICIES = [every, Policy(), Policy().of, partial(Policy().of, extra=2), Backoff(2), "none"]


@pytest.mark.parametrize("policy", [*POLICIES, adapted(policy_of_one), Mock(spec=every)])
def test_every_kind_of_policy_is_taken(policy):
    """Whatever can be called with an error and a number."""
    Client("openai/gpt-4o", api_key=KEY, retry=policy)


@pytest.mark.parametrize("said", ["soon", -1, True, float("nan"), float("inf")], ids=repr)
def test_a_policy_that_answers_nonsense_is_told(call, said):
    """With the provider's error as the cause, which is not lost."""
    refused = {"status": 429, "json": {"error": {"message": "Slow down."}}}
    transport = ScriptedTransport([refused, refused])
    client = Client("openai/gpt-4o", api_key=KEY, transport=transport, retry=lambda error, attempt: said)
    with pytest.raises(ConfigError, match=r"returned .* for a RateLimitError: Slow down") as caught:
        call.chat(client, "Hello")
    assert isinstance(caught.value.__cause__, RateLimitError)
    assert "None to give up" in caught.value.hint
