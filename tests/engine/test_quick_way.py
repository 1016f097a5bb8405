"""The way in that waits for nothing: where it does not fit, it leaves no trace."""

import pytest

from provider_kit import (
    AllKeysExhaustedError,
    AuthenticationError,
    CircuitOpenError,
    InternalServerError,
    MissingAPIKeyError,
    RateLimitConfig,
)

KEYS = ["key-number-one-aaaa", "key-number-two-bbbb"]


def test_a_probe_of_a_dead_pool_is_not_used_up_by_looking(call, scripted, answers):
    """A minute after all keys were refused, the next call tries one, and is answered."""
    client, transport = scripted(
        answers.error(401), answers.error(401), answers.text("back"), api_key=None, api_keys=KEYS
    )
    with pytest.raises(AllKeysExhaustedError):
        call.chat(client, "Hello")
    transport._now += 61
    assert call.chat(client, "Hello").text == "back"


def test_a_call_that_must_wait_is_counted_once(call, scripted, answers):
    """The second of two calls waits a minute; the key was used twice, the window holds one."""
    client, transport = scripted(
        answers.text(), repeat=True, rate_limit=RateLimitConfig(requests_per_minute=1), max_concurrency=1
    )
    call.chat(client, "Hello")
    call.chat(client, "Hello")
    assert sum(transport.sleeps) == 60.0
    assert client.keys.status()[0].requests == 2
    assert client._admission.slots.taken == 0
    (limiter,) = client._admission.rates.limiters.values()
    assert limiter.windows[0].used == 1


def test_an_open_circuit_is_not_entered(call, scripted, answers):
    """And its refusal is nobody's attempt."""
    client, transport = scripted(answers.error(500), repeat=True, circuit_breaker=True, max_retries=5)
    with pytest.raises(InternalServerError):
        call.chat(client, "Hello")
    with pytest.raises(CircuitOpenError) as caught:
        call.chat(client, "Hello")
    assert caught.value.attempts == ()
    assert len(transport.requests) == 3
    assert client.keys.status()[0].requests == 3


def test_the_first_call_of_a_client_takes_the_way_that_can_fail(call, scripted):
    """Its keys are not known yet; a missing one is told as ever."""
    client, _ = scripted(api_key=None)
    with pytest.raises(MissingAPIKeyError):
        call.chat(client, "Hello")


def test_a_refused_only_key_is_asked_by_every_call(call, scripted, answers):
    """No probe is needed for it."""
    client, transport = scripted(answers.error(401), repeat=True)
    for _ in range(3):
        with pytest.raises(AuthenticationError):
            call.chat(client, "Hello")
    assert len(transport.requests) == 3
