"""Events and log lines: which, in which order, at which level, and never with a secret in them."""

import asyncio
import functools
import io
import logging
import pickle
import subprocess
import sys
import traceback

import attrs
import pytest

from provider_kit import (
    APIConnectionError,
    APIError,
    AuthenticationError,
    Backoff,
    CircuitBreakerConfig,
    Client,
    Event,
    InvalidRequestError,
    KeyManager,
    OverloadedError,
    ProviderConfig,
    ProviderKitError,
    RateLimitConfig,
    ResponseCache,
    ScriptedTransport,
    StreamError,
)
from provider_kit.model import call_events
from provider_kit.model import events as kinds
from provider_kit.testing import Fault

#: Of no shape that any pattern could know.
KEY = "zq7Kd93hLmN0Pq55"
OTHER = "wv4Jt61bXyR8Gs22"
VERBS = ["chat", "stream"]
NOW = Backoff(3, jitter=lambda wait: wait)


class Heard(list):
    """A listener that remembers."""

    def __call__(self, event):
        self.append(event)

    @property
    def names(self):
        return [event.name for event in self]


@pytest.fixture
def heard():
    return Heard()


def answer_of(answers, verb, **entry):
    return answers.text(**entry) if verb == "chat" else answers.stream("Hi", **entry)


def begun_and_ended(verb, *between):
    """The events around those of the attempts, for a call that succeeds."""
    return ["request", *between, *(["stream_start"] if verb == "stream" else []), "success", *_end(verb)]


def _end(verb):
    return ["stream_end"] if verb == "stream" else []


def try_(call, client, verb, question="Hello", **options):
    """The error of a call, None if it succeeds."""
    try:
        getattr(call, verb)(client, question, **options)
    except ProviderKitError as error:
        return error
    return None


# ------------------------------------------------------------------------------------------------ which, in which order


@pytest.mark.parametrize("verb", VERBS)
def test_a_call_that_succeeds(call, scripted, answers, heard, verb):
    """It begins, and is answered."""
    client, _ = scripted(answer_of(answers, verb), on_event=heard)
    assert try_(call, client, verb) is None
    assert heard.names == begun_and_ended(verb)


@pytest.mark.parametrize("verb", VERBS)
def test_a_call_that_is_tried_again(call, scripted, answers, heard, verb):
    """Each failed attempt, and the wait that follows."""
    script = [answers.error(503), answers.error(500), answer_of(answers, verb)]
    client, transport = scripted(*script, on_event=heard, retry=NOW)
    assert try_(call, client, verb) is None
    assert heard.names == begun_and_ended(verb, "attempt_failed", "retry", "attempt_failed", "retry")
    first = next(event for event in heard if event.name == "attempt_failed")
    assert (first.attempt, type(first.error)) == (1, OverloadedError)
    assert [event.wait for event in heard if event.name == "retry"] == transport.sleeps


@pytest.mark.parametrize("verb", VERBS)
def test_a_call_that_fails(call, scripted, answers, heard, verb):
    """The last word is the error, the one that is raised."""
    client, _ = scripted(answers.error(500), repeat=True, on_event=heard, retry=NOW)
    error = try_(call, client, verb)
    assert heard.names == ["request", *["attempt_failed", "retry"] * 3, "attempt_failed", "error"]
    assert heard[-1].error is error
    assert heard[-1].attempt == 4


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("status", "code", "what"), [(401, None, "key_dead"), (402, None, "key_parked"), (429, None, "key_cooling")]
)
def test_a_key_that_fails_and_the_one_that_takes_over(call, scripted, answers, heard, verb, status, code, what):
    """Which is meant is told by its end."""
    script = [answers.error(status, code, retry_after="7"), answer_of(answers, verb)]
    client, _ = scripted(*script, on_event=heard, api_keys=[KEY, OTHER], api_key=None)
    assert try_(call, client, verb) is None
    assert heard.names == begun_and_ended(verb, what, "attempt_failed", "retry", "key_switch")
    by_name = {event.name: event for event in heard}
    assert (by_name[what].key, by_name["key_switch"].key) == ("…Pq55", "…Gs22")


@pytest.mark.parametrize("verb", VERBS)
def test_a_call_that_waits_for_a_key(call, scripted, answers, heard, verb):
    """As long as the provider says."""
    script = [answers.error(429, retry_after="7"), answers.error(429, retry_after="9"), answer_of(answers, verb)]
    client, transport = scripted(
        *script, on_event=heard, api_keys=[KEY, OTHER], api_key=None, max_retries=0, wait_for_key=60
    )
    assert type(try_(call, client, verb)).__name__ == "RateLimitError"
    heard.clear()
    assert try_(call, client, verb) is None
    assert heard.names == begun_and_ended(verb, "key_wait")
    assert heard[1].wait == transport.sleeps[0] == 7.0


@pytest.mark.parametrize("verb", VERBS)
def test_a_call_that_waits_for_a_rate_limit(call, scripted, answers, heard, verb):
    """The seconds are told before they are waited."""
    client, transport = scripted(
        *[answer_of(answers, verb)] * 2, on_event=heard, rate_limit=RateLimitConfig(requests_per_minute=1)
    )
    try_(call, client, verb)
    heard.clear()
    assert try_(call, client, verb) is None
    assert heard.names == begun_and_ended(verb, "rate_limit")
    assert 59 < heard[1].wait <= 60
    assert sum(transport.sleeps) == pytest.approx(heard[1].wait)


@pytest.mark.parametrize("verb", VERBS)
def test_limits_that_headers_tell(call, scripted, answers, heard, verb):
    """With the numbers."""
    headers = {"x-ratelimit-limit-requests": "500", "x-ratelimit-remaining-requests": "499"}
    client, _ = scripted(answer_of(answers, verb, headers=headers), on_event=heard)
    assert try_(call, client, verb) is None
    (learned,) = [event for event in heard if event.name == "rate_limit_learned"]
    assert [allowance.limit for allowance in learned.data["limits"].values()] == [500.0]


def test_a_call_that_waits_for_a_place(fake_server, heard):
    """While another one is in flight."""
    client = fake_server.client(max_concurrency=1, on_event=heard)
    fake_server.always(latency=0.1)

    async def main():
        await asyncio.gather(client.achat("one"), client.achat("two"))
        await client.aclose()

    asyncio.run(main())
    assert heard.names == ["request", "request", "concurrency_wait", "success", "success"]
    assert len({event.correlation_id for event in heard}) == 2


@pytest.mark.parametrize("verb", VERBS)
def test_a_circuit_that_opens_and_closes(call, scripted, answers, heard, verb):
    """The failure comes first, then what it leads to."""
    numbers = CircuitBreakerConfig(min_requests=1, half_open_requests=1)
    client, transport = scripted(
        answers.error(500), answer_of(answers, verb), on_event=heard, circuit_breaker=numbers, max_retries=0
    )
    try_(call, client, verb)
    assert heard.names == ["request", "circuit_open", "attempt_failed", "error"]
    heard.clear()
    refused = try_(call, client, verb)
    assert (heard.names, heard[-1].error) == (["request", "error"], refused)
    heard.clear()
    transport._now += 30
    try_(call, client, verb)
    start = ["stream_start"] if verb == "stream" else []
    assert heard.names == ["request", "circuit_half_open", *start, "circuit_closed", "success", *_end(verb)]


@pytest.mark.parametrize("verb", VERBS)
def test_a_cache_that_has_no_answer_and_then_one(call, scripted, answers, heard, verb):
    """A hit asks for nothing, so nothing begins."""
    client, _ = scripted(answer_of(answers, verb), on_event=heard, response_cache=True)
    try_(call, client, verb)
    assert heard.names == ["cache_miss", *begun_and_ended(verb), "cache_store"]
    heard.clear()
    try_(call, client, verb)
    assert heard.names == ["cache_hit"]


def test_a_stream_that_breaks_off(call, scripted, answers, heard):
    """Its error is told with it."""
    client, _ = scripted({"stream": [answers.event("Hi")]}, on_event=heard)
    assert isinstance(try_(call, client, "stream"), StreamError)
    assert heard.names == ["request", "stream_start", "stream_abort"]
    assert heard[-1].error is not None


def test_a_stream_that_its_caller_leaves(fake_server, heard):
    """No error; in both worlds."""
    client = fake_server.client(on_event=heard)
    with client.stream("Hello you") as stream:
        next(stream)

    async def leave():
        async with client.astream("Hello you") as stream:
            await anext(stream)
        await client.aclose()

    asyncio.run(leave())
    assert heard.names == ["request", "stream_start", "stream_abort"] * 2
    assert heard[-1].error is None


@pytest.mark.parametrize("verb", ["models", "embed", "count_tokens", "health_check"])
def test_every_verb_tells_what_it_does(call, fake_server, heard, verb):
    """Under its own name."""
    client = fake_server.client("gemini/gemini-embedding-001", on_event=heard)
    getattr(call, verb)(client, *(["text"] if verb in ("embed", "count_tokens") else []))
    assert heard.names == ["request", "success"]
    assert {event.operation for event in heard} == {verb}


def test_an_event_says_what_is_known_of_the_call(call, fake_server, heard):
    """Who, what, which call, when, and the provider's id of the request."""
    call.chat(fake_server.client(on_event=heard, name="mine"), "Hello")
    request, success = heard
    assert {(event.provider, event.model, event.operation) for event in heard} == {("mine", "gpt-4o", "chat")}
    assert request.correlation_id == success.correlation_id is not None
    assert success.time >= request.time > 1_700_000_000
    assert (request.request_id, success.request_id, success.attempt) == (None, "req_fake_1", 1)
    assert success.data["duration"] >= 0
    assert "chat answered" in success.message
    assert isinstance(success, Event)


def test_the_calls_of_a_process_are_told_apart(call, fake_server, heard):
    """Each has an id of its own, the same in all of its events."""
    client = fake_server.client(on_event=heard)
    for _ in range(3):
        call.chat(client, "Hello")
    assert len({event.correlation_id for event in heard}) == 3


# ------------------------------------------------------------------------------------------------ listeners


class Listens:
    def __init__(self):
        self.heard = Heard()

    async def __call__(self, event):
        await asyncio.sleep(0)
        self.heard(event)


def asynchronous(heard):
    async def listen(event):
        await asyncio.sleep(0)
        heard(event)

    return listen


@pytest.mark.parametrize("verb", VERBS)
def test_an_asynchronous_listener_is_awaited(fake_server, heard, verb):
    """In order, each before the call goes on."""
    client = fake_server.client(on_event=asynchronous(heard))

    async def main():
        if verb == "chat":
            await client.achat("Hello")
        else:
            async with client.astream("Hello") as stream:
                async for _ in stream:
                    pass
        await client.aclose()

    asyncio.run(main())
    assert heard.names == begun_and_ended(verb)


@pytest.mark.parametrize("kind", ["function", "object", "partial"])
@pytest.mark.parametrize("verb", ["chat", "stream", "models", "embed", "count_tokens", "health_check"])
def test_an_asynchronous_listener_is_refused_by_blocking_calls(fake_server, heard, kind, verb):
    """At once, clearly, and before anything is sent."""
    listener = {"function": asynchronous(heard), "object": Listens(), "partial": functools.partial(asynchronous(heard))}
    client = fake_server.client("gemini/gemini-2.5-flash", on_event=listener[kind])
    with pytest.raises(InvalidRequestError, match="on_event is asynchronous") as caught:
        getattr(client, verb)(*(["x"] if verb not in ("models", "health_check") else []))
    assert "achat()" in caught.value.hint
    assert fake_server.requests == []


@pytest.mark.parametrize("verb", VERBS)
def test_a_listener_that_raises_breaks_nothing_and_is_logged(call, scripted, answers, caplog, verb):
    """With its traceback, for each event."""

    def fall(event):
        raise ZeroDivisionError("in the listener")

    client, _ = scripted(answers.error(500), answer_of(answers, verb), on_event=fall, retry=NOW)
    with caplog.at_level(logging.ERROR, "provider_kit"):
        assert try_(call, client, verb) is None
    assert len(caplog.records) == len(begun_and_ended(verb, "attempt_failed", "retry"))
    assert {record.exc_info[0] for record in caplog.records} == {ZeroDivisionError}
    assert "in the listener" in caplog.text
    assert "Traceback" in caplog.text


def test_an_asynchronous_listener_that_raises_breaks_nothing(fake_server, caplog):
    """As a plain one."""

    async def fall(event):
        raise ZeroDivisionError

    client = fake_server.client(on_event=fall)

    async def main():
        answer = await client.achat("Hello")
        await client.aclose()
        return answer

    assert asyncio.run(main()).text
    assert [record.exc_info[0] for record in caplog.records] == [ZeroDivisionError] * 2


# ------------------------------------------------------------------------------------------------ log lines


def lines_of(caplog):
    return [(record.name.partition(".")[2], record.levelname, record.event) for record in caplog.records]


@pytest.mark.parametrize("verb", VERBS)
def test_each_event_is_a_log_line_of_its_room_and_level(call, scripted, answers, caplog, verb):
    """Usual: DEBUG; passes by itself: INFO; to be looked at: WARNING."""
    script = [
        answers.error(401),
        answers.error(503),
        answer_of(answers, verb, headers={"x-request-id": "req-7"}),
        *[answers.error(500)] * 3,
    ]
    client, _ = scripted(
        *script, api_keys=[KEY, OTHER], api_key=None, retry=NOW, circuit_breaker=CircuitBreakerConfig(min_requests=4)
    )
    with caplog.at_level(logging.DEBUG, "provider_kit"):
        try_(call, client, verb)
        first = lines_of(caplog)
        caplog.clear()
        try_(call, client, verb)
    stream = verb == "stream"
    assert first == [
        ("http", "DEBUG", "request"),
        ("auth", "WARNING", "key_dead"),
        ("http", "DEBUG", "attempt_failed"),
        ("http", "INFO", "retry"),
        ("auth", "INFO", "key_switch"),
        ("http", "DEBUG", "attempt_failed"),
        ("http", "INFO", "retry"),
        *([("stream", "DEBUG", "stream_start")] if stream else []),
        ("http", "DEBUG", "success"),
        *([("stream", "DEBUG", "stream_end")] if stream else []),
    ]
    second = lines_of(caplog)
    assert ("routing", "WARNING", "circuit_open") in second
    assert second[-1] == ("http", "WARNING", "error")


def test_a_log_line_has_what_is_known_of_the_call(call, fake_server, caplog):
    """In its text, and in fields for those who write JSON."""
    client = fake_server.client(name="mine")
    with caplog.at_level(logging.DEBUG, "provider_kit"):
        call.chat(client, "Hello")
    request, success = [record for record in caplog.records if record.name == "provider_kit.http"]
    fields = [(r.event, r.provider, r.model, r.operation, r.request_id) for r in (request, success)]
    assert fields == [
        ("request", "mine", "gpt-4o", "chat", None),
        ("success", "mine", "gpt-4o", "chat", "req_fake_1"),
    ]
    assert request.correlation_id == success.correlation_id
    assert request.getMessage() == "mine: chat gpt-4o"
    assert success.getMessage().endswith("(request_id=req_fake_1)")


def test_every_name_of_an_event_has_a_room_and_a_level():
    """A name without one would be an error in the middle of a call."""
    others = ("AlertKind", "Event", "CircuitChanged", "DECISIONS", "CallOutcome", "sink")
    found = [getattr(room, name) for room in (kinds, call_events) for name in room.__all__ if name not in others]
    assert all(one.name and one.channel in ("http", "auth", "routing", "stream") and one.level for one in found)
    assert len({one.name for one in found}) == len(found) == 36


QUIET = """
import warnings
from provider_kit import Client, ProviderKitError
from provider_kit.testing import FakeServer
with FakeServer(key="right-key-00000001") as server:
    server.fault(500, times=1)
    client = server.client(api_keys=["wrong-key-00000002", "right-key-00000001"], circuit_breaker=True, api_key=None,
                           response_cache="/nowhere-that-exists\\0/answers.db")
    client.chat("Hello")
    for chunk in client.stream("Hello again"):
        break
    try:
        server.client(api_key="wrong-key-00000002").chat("Hello")
    except ProviderKitError:
        pass
    client.close()
"""


def test_without_logging_configured_nothing_is_printed():
    """Not even warnings: a library is quiet unless it is asked."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", QUIET], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# ------------------------------------------------------------------------------------------------ no secret


@pytest.fixture
def log():
    """All that is logged, by whomever, at every level, with tracebacks and extra fields."""
    stream = io.StringIO()

    class Everything(logging.StreamHandler):
        def emit(self, record):
            super().emit(record)
            stream.write(repr(vars(record)) + "\n")

    handler = Everything(stream)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(1)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


def shown(event, with_locals=False):
    """Everything that can be seen of an event, its error included."""
    texts = [repr(event), str(event), repr(attrs.asdict(event)), event.message, str(event.key), repr(event.data)]
    error = event.error
    if error is not None:
        texts += [str(error), repr(error), repr(vars(error)), repr(error.hint), repr(error.attempts)]
        told = traceback.TracebackException.from_exception(error, capture_locals=with_locals)
        texts.append("".join(told.format()))
        texts.append(pickle.dumps(error).decode("latin-1"))
    return "\n".join(texts)


def no_secret_in(heard, log, *secrets, with_locals=False):
    text = "\n".join([*(shown(event, with_locals) for event in heard), log.getvalue()])
    assert heard
    for secret in secrets:
        assert secret not in text


FAULTS = {
    "refused": Fault(status=401, message=f"Incorrect API key provided: {KEY}."),
    "quota": Fault(status=402, message=f"{KEY} is out of money", code=KEY),
    "forbidden": Fault(status=403, body=f"no {KEY}".encode()),
    "too fast": Fault(status=429, message=KEY, retry_after=0),
    "bad request": Fault(status=400, code=KEY, message=f"Bearer {KEY}"),
    "server error": Fault(status=500, headers={"x-request-id": f"req-{KEY}", "x-echo": KEY, "set-cookie": KEY}),
    "web page": Fault(status=502, body=f"<html>{KEY}</html>".encode()),
    "no JSON": Fault(body=f"not JSON {KEY}".encode()),
    "odd JSON": Fault(body=f'{{"choices": "{KEY}"}}'.encode()),
    "error in 200": Fault(embedded_error=True, message=f"key {KEY}"),
    "reset": Fault(reset=True),
    "no HTTP": Fault(garbage=True),
    "redirect": Fault(status=307, headers={"location": f"https://elsewhere.example/?key={KEY}"}),
    "stream error": Fault(error_after=2, message=f"key {KEY} was revoked", code=KEY),
    "cut stream": Fault(cut_after=2),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("keys", [1, 2])
def test_no_event_and_no_log_line_holds_a_key(call, fake_server, heard, log, verb, fault, keys):
    """Whatever the server echoes, wherever it echoes it; with one key and with several."""
    fake_server.always(FAULTS[fault])
    given = {"api_key": KEY} if keys == 1 else {"api_key": None, "api_keys": [KEY, OTHER]}
    client = fake_server.client(
        on_event=heard,
        retry=Backoff(2, jitter=lambda wait: 0.0),
        headers={"X-Gateway-Token": "gateway-9f8e7d6c5b"},
        circuit_breaker=True,
        wait_for_key=False,
        **given,
    )
    try_(call, client, verb)
    no_secret_in(heard, log, KEY, OTHER, "gateway-9f8e7d6c5b")
    client.close()


def test_no_event_holds_what_a_connection_was_to_send(call, heard, log):
    """A server that is not there; a proxy with a password."""
    from provider_kit import HTTPConfig

    http = HTTPConfig(proxy="http://user:proxy-secret-77@127.0.0.1:9")
    client = Client(
        "openai/gpt-4o", api_key=KEY, base_url="https://127.0.0.1:9/v1", on_event=heard, http=http, max_retries=0
    )
    assert isinstance(try_(call, client, "chat"), APIConnectionError)
    no_secret_in(heard, log, KEY, "proxy-secret-77", with_locals=True)


def test_no_event_of_a_store_holds_a_key(call, fake_server, heard, log):
    """Whatever a store of the user's says when it fails."""

    class Failing:
        def get(self, key):
            raise OSError(f"cannot reach redis://:store-password@host: {KEY}")

        def set(self, key, data, ttl):
            raise OSError(KEY)

    client = fake_server.client(api_key=KEY, on_event=heard, response_cache=ResponseCache(Failing()))
    call.chat(client, "Hello")
    assert "store_failed" in heard.names
    text = "\n".join([*(repr(event) + str(event.error) + repr(vars(event.error)) for event in heard if event.error)])
    assert KEY not in text + log.getvalue()
    assert "store-password" not in text + log.getvalue()


def test_a_listener_that_raises_does_not_spill_a_key_into_the_log(call, fake_server, log):
    """Its traceback is logged while the error of the call is under way."""

    def fall(event):
        raise ZeroDivisionError

    fake_server.always(401, message=f"wrong key {KEY}")
    with pytest.raises(AuthenticationError):
        call.chat(fake_server.client(api_key=KEY, on_event=fall), "Hello")
    assert "ZeroDivisionError" in log.getvalue()
    assert KEY not in log.getvalue()


def test_the_error_of_an_event_is_a_copy_of_no_request(call, fake_server, heard):
    """Neither the question nor the header of the user's is in an event."""
    fake_server.always(500)
    client = fake_server.client(on_event=heard, max_retries=0)
    error = try_(call, client, "chat", "a very private question", extra_headers={"X-Session": "session-5f5f5f5f"})
    assert isinstance(error, APIError)
    text = "\n".join(repr(event) + repr(attrs.asdict(event)) for event in heard)
    assert "a very private question" not in text
    assert "session-5f5f5f5f" not in text


def test_a_key_manager_in_a_client_is_told_by_the_ends_of_its_keys(call, scripted, answers, heard):
    """As keys of a list are."""
    manager = KeyManager("openai", [KEY, OTHER])
    client, _ = scripted(answers.error(401), answers.text(), api_keys=manager, api_key=None, on_event=heard)
    call.chat(client, "Hello")
    assert [event.key for event in heard if event.key] == ["…Pq55", "…Gs22"]


def test_a_listener_stands_beside_a_config(call, heard, answers):
    """It is no configuration, so it may."""
    transport = ScriptedTransport([answers.text()])
    config = ProviderConfig(type="openai", api_key=KEY, default_model="gpt-4o")
    call.chat(Client(config, on_event=heard, transport=transport), "Hello")
    assert heard.names == ["request", "success"]
