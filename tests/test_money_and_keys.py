"""What would cost money, or another's patience, if it were taken for something else: flags, lists, limits, keys."""

import logging
import threading
import time

import pytest

from provider_kit import (
    AllKeysExhaustedError,
    AuthError,
    Client,
    ConfigError,
    HTTPConfig,
    KeyManager,
    ProviderConfig,
    RateLimitConfig,
    RateLimitExceededError,
    ResponseCache,
    ScriptedTransport,
    load_config,
)
from provider_kit.testing import FakeServer, OAuthServer
from provider_kit.wire.response_headers import retry_after

KEYS = ["test-key-number-one-0001", "test-key-number-two-0002"]
FLAGS = ("retry_on_read_timeout", "allow_insecure_http", "debug_http", "allow_secret_pickle")


@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize("word", ["no", "false", "yes", 1, 0, "", None, []])
def test_a_flag_is_true_or_false(flag, word):
    """A word would count as true: "no" sent a request three times."""
    with pytest.raises(ConfigError, match=rf"{flag} must be True or False, not"):
        Client("openai/gpt-4o", api_key=KEYS[0], **{flag: word})


@pytest.mark.parametrize(
    "make",
    [
        lambda word: HTTPConfig(trust_env=word),
        lambda word: RateLimitConfig(enabled=word),
        lambda word: ResponseCache(single_flight=word),
        lambda word: ResponseCache(tool_calls=word),
        lambda word: ProviderConfig(type="openai", retry_on_read_timeout=word),
    ],
    ids=["trust_env", "enabled", "single_flight", "tool_calls", "ProviderConfig"],
)
def test_so_are_the_flags_of_settings(make):
    """Wherever they stand."""
    with pytest.raises(ConfigError, match="must be True or False"):
        make("no")
    make(True)


@pytest.mark.parametrize("flag", ["retry_on_read_timeout", "allow_insecure_http"])
def test_a_file_says_the_same(tmp_path, flag):
    """A word in quotes is text there too."""
    path = tmp_path / "config.yaml"
    path.write_text(f'providers:\n  openai:\n    api_key: {KEYS[0]}\n    {flag}: "no"\n')
    with pytest.raises(ConfigError, match=flag):
        load_config(path)


@pytest.mark.parametrize("keys", [[], (), set()])
def test_an_empty_list_of_keys_never_means_another_key(monkeypatch, keys):
    """Whoever filled it found nothing; the variable of the environment is somebody else's."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-environment-0123456789")
    with pytest.raises(ConfigError, match="api_keys is empty"):
        Client("openai/gpt-4o", api_keys=keys)


def test_nor_does_a_function_that_finds_none(call, monkeypatch):
    """It is asked when a key is needed, and the call fails then."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-environment-0123456789")
    transport = ScriptedTransport([{"json": {}}])
    client = Client("openai/gpt-4o", api_keys=lambda: [], transport=transport, max_retries=0)
    with pytest.raises((AuthError, ConfigError)):
        call.chat(client, "Hello")
    assert transport.requests == []


@pytest.mark.parametrize("around", ['"{}"', "'{}'", "\u201c{}\u201d", "\ufeff{}", "`{}`"])
def test_what_stands_around_a_key_is_told_with_its_variable(call, monkeypatch, around):
    """As it comes from files for containers, in which quotes are part of the value."""
    monkeypatch.setenv("OPENAI_API_KEY", around.format(KEYS[0]))
    client = Client("openai/gpt-4o", transport=ScriptedTransport([{"json": {}}]))
    with pytest.raises(AuthError, match="in OPENAI_API_KEY has quotes, or another mark, around it") as caught:
        call.chat(client, "Hello")
    assert KEYS[0] not in str(caught.value)


@pytest.mark.parametrize("around", [" {} ", "{}\n", "\t{}\r\n"])
def test_white_space_around_a_key_is_left_out(call, monkeypatch, around):
    """No key has any."""
    monkeypatch.setenv("OPENAI_API_KEY", around.format(KEYS[0]))
    with FakeServer(key=KEYS[0]) as server:
        client = Client("openai/gpt-4o", base_url=server.base_url())
        assert call.chat(client, "What is 2 + 3?").text == "2 + 3 = 5"
        client.close()


@pytest.mark.parametrize("error", [ValueError("a number"), TypeError("a type"), KeyError("a key"), ZeroDivisionError()])
def test_a_mistake_of_the_caller_burns_no_key(error):
    """It would be the same with every other one."""
    manager = KeyManager("openai", KEYS)
    tried = []

    def ask(key):
        tried.append(key)
        raise error

    with pytest.raises(type(error)):
        manager.execute_with_failover(ask)
    assert len(tried) == 1
    assert {status.state for status in manager.status()} == {"healthy"}


def test_a_failure_of_the_provider_tries_the_next_key():
    """As before."""
    manager = KeyManager("openai", KEYS)
    tried = []

    class Refused(Exception):
        status_code = 401

    def ask(key):
        tried.append(key)
        raise Refused

    with pytest.raises(AllKeysExhaustedError):
        manager.execute_with_failover(ask)
    assert sorted(tried) == KEYS


@pytest.mark.parametrize(
    "date",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "Sun, 06 Nov 1994 08:49:37 -0000",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 09:49:37 +0100",
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
def test_a_date_of_a_header_is_in_utc(monkeypatch, date, zone):
    """Whatever the clock on the wall says where the program runs. Source: RFC 9110 section 5.6.7."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert retry_after({"retry-after": date}, now=784111777 - 30) == 30
        answered = "Sun, 06 Nov 1994 08:49:07 GMT"
        assert retry_after({"retry-after": date, "date": answered}) == 30
    finally:
        monkeypatch.undo()
        time.tzset()


def test_one_scope_may_be_one_text():
    """Not a list of its letters."""
    with OAuthServer() as server:
        authenticator = server.authenticator()
        url = authenticator.start_oauth_flow("profile", redirect_url="https://app.example/callback")
        assert "scope=profile&" in f"{url}&"
        authenticator.close()


# ------------------------------------------------------------------------------------------------ limits


def test_a_smooth_minute_is_spread(call):
    """Six a minute are one in ten seconds; without it all go at once."""
    for pacing, waits in (("smooth", [10.0, 10.0]), ("burst", [])):
        answer = {"json": {"choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}]}}
        transport = ScriptedTransport([answer], repeat=True)
        limit = RateLimitConfig(requests_per_minute=6, pacing=pacing)
        client = Client("openai/gpt-4o", api_key=KEYS[0], transport=transport, rate_limit=limit)
        for _ in range(3):
            call.chat(client, "Hello")
        assert transport.sleeps == pytest.approx(waits)


@pytest.mark.parametrize(
    ("options", "told"),
    [({"pacing": "smoth"}, "is not understood"), ({"pacing": "smooth", "requests_per_minute": None}, "needs requests")],
)
def test_pacing_is_one_of_two_words(options, told):
    """And has something to spread."""
    with pytest.raises(ConfigError, match=told):
        RateLimitConfig(**{"requests_per_minute": 6, **options})


def test_a_call_larger_than_a_minute_is_sent_alone_and_told_once(call, caplog):
    """The documented exception: it cannot be split, and waits until nothing else counts."""
    answer = {"json": {"choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}]}}
    transport = ScriptedTransport([answer], repeat=True)
    limit = RateLimitConfig(tokens_per_minute=1000)
    client = Client("openai/gpt-4o", api_key=KEYS[0], transport=transport, rate_limit=limit)
    with caplog.at_level(logging.WARNING, logger="provider_kit"):
        call.chat(client, "Hello", max_tokens=500)
        call.chat(client, "word " * 5000, max_tokens=500)
        call.chat(client, "word " * 5000, max_tokens=500)
    assert len(transport.requests) == 3
    assert sum(transport.sleeps) == pytest.approx(120, abs=1)
    told = [
        record.getMessage() for record in caplog.records if "larger than tokens_per_minute=1000" in record.getMessage()
    ]
    assert len(told) == 1


def test_a_turn_that_will_not_come_in_time_is_told_with_both_numbers(call):
    """How long it would take, and how long it may."""
    answer = {"json": {"choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}]}}
    transport = ScriptedTransport([answer], repeat=True)
    limit = RateLimitConfig(requests_per_minute=1)
    client = Client("openai/gpt-4o", api_key=KEYS[0], transport=transport, rate_limit=limit, total_timeout=20)
    call.chat(client, "Hello")
    with pytest.raises(RateLimitExceededError, match=r"by 60\.0 s, longer than the 20\.0 s it may wait"):
        call.chat(client, "Hello")
    assert transport.sleeps == []


def test_a_wait_that_looks_like_a_hang_is_told(caplog):
    """One line with how long it took so far and how many wait, after two seconds in the queue for a place."""
    with FakeServer() as server, caplog.at_level(logging.INFO, logger="provider_kit"):
        client = server.client(max_concurrency=1, max_retries=0)
        server.fault(latency=2.6)
        holder = threading.Thread(target=client.chat, args=("Hi",))
        holder.start()
        while not server.requests:
            time.sleep(0.005)
        assert client.chat("What is 2 + 3?").text == "2 + 3 = 5"
        holder.join()
        client.close()
    told = [record.getMessage() for record in caplog.records if "waiting for a slot for" in record.getMessage()]
    assert len(told) == 1
    assert "1 calls are in flight, 1 wait" in told[0]
