"""What the limits that a provider reported allow now: by all of them, not the one that ends first."""

import pickle

import pytest

from provider_kit import Backoff, Client, InvalidRequestError, ScriptedTransport

KEY = "test-key-0123456789"


def client_told(**headers):
    """A client whose last answer carried these headers, and its transport."""
    names = {f"x-ratelimit-{name.replace('_', '-')}": str(value) for name, value in headers.items()}
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    transport = ScriptedTransport([{"headers": names, "json": {"choices": [choice]}}], repeat=True)
    client = Client("openai/gpt-4o", api_key=KEY, transport=transport, retry=Backoff(0))
    client.chat("Hello")
    return client, transport


def test_nothing_known_allows_everything():
    """Unknown limits are never guessed."""
    limits = Client("openai/gpt-4o", api_key=KEY).rate_limits
    assert list(limits) == []
    assert limits.can_make_request("gpt-4o", 1_000_000)
    assert limits.wait_time("gpt-4o") == 0
    assert not limits.should_throttle("gpt-4o")
    assert limits.get("gpt-4o") is None


def test_every_limit_counts():
    """Requests are left, tokens are not; the wait is until the last of them allows the call."""
    client, _ = client_told(
        limit_requests=100,
        remaining_requests=0,
        reset_requests="10s",
        limit_tokens=1000,
        remaining_tokens=0,
        reset_tokens="50s",
    )
    limits = client.rate_limits
    assert not limits.can_make_request("gpt-4o", 900)
    assert limits.wait_time("gpt-4o", 900) == pytest.approx(45, rel=0.05)  # 900 of 1000 in 50 s
    assert limits.wait_time("gpt-4o") < 1  # one request refills in a tenth of a second, one token even sooner
    assert limits.should_throttle("gpt-4o")


def test_time_passes():
    """A limit that is full again allows the call."""
    client, transport = client_told(
        limit_requests=10, remaining_requests=0, reset_requests="60s", limit_tokens=1000, remaining_tokens=1000
    )
    assert not client.rate_limits.can_make_request("gpt-4o")
    transport._now += 61
    assert client.rate_limits.can_make_request("gpt-4o")


def test_calls_since_then_are_counted():
    """What was told is one answer old."""
    client, _ = client_told(limit_requests=100, remaining_requests=21, reset_requests="60s")
    assert not client.rate_limits.should_throttle("gpt-4o")
    assert client.rate_limits.should_throttle("gpt-4o", 0.5)


@pytest.mark.parametrize(("remaining", "throttle"), [(30, False), (20, True), (0, True)])
def test_calls_are_to_be_spaced_from_four_fifths_on(remaining, throttle):
    """0.8 by default."""
    client, _ = client_told(limit_requests=100, remaining_requests=remaining, reset_requests="60s")
    assert client.rate_limits.should_throttle("gpt-4o") is throttle


def test_other_models_have_their_own():
    """What was told of one says nothing of another."""
    client, _ = client_told(limit_requests=100, remaining_requests=0, reset_requests="60s")
    assert client.rate_limits.can_make_request("gpt-4o-mini")


def test_it_is_the_list_it_was():
    """And a plain list when it is pickled."""
    client, _ = client_told(limit_requests=100, remaining_requests=7, reset_requests="60s")
    (info,) = client.rate_limits
    assert info.requests.remaining == 7
    assert client.rate_limits.get("gpt-4o") == info
    assert pickle.loads(pickle.dumps(client.rate_limits)) == [info]


@pytest.mark.parametrize("tokens", [-1, "many", True, float("nan")])
def test_tokens_must_be_a_number(tokens):
    """Before anything is compared with it."""
    with pytest.raises(InvalidRequestError, match="tokens must be a number"):
        Client("openai/gpt-4o", api_key=KEY).rate_limits.wait_time("gpt-4o", tokens)
