"""Nothing waits for ever to begin, also where it may last for ever."""

import math

import pytest

from provider_kit import CircuitOpenError, InternalServerError, RateLimitConfig, RateLimitExceededError, Timeout

DAILY = RateLimitConfig(requests_per_day=1)


def test_a_stream_does_not_wait_a_day_for_its_turn(call, scripted, answers):
    """It has no deadline of its own, so it waits ten minutes at most, and says how long it would have been."""
    client, transport = scripted(answers.stream("Hi"), repeat=True, rate_limit=DAILY)
    call.stream(client, "Hello")
    with pytest.raises(RateLimitExceededError) as caught:
        call.stream(client, "Hello")
    assert caught.value.retry_after == 86400.0
    assert transport.sleeps == []
    assert len(transport.requests) == 1


@pytest.mark.parametrize("how", ["call", "client", "timeout"])
def test_whoever_says_so_waits_for_ever(call, scripted, answers, how):
    """An infinite total is a word, not an omission."""
    options = {
        "call": ({}, {"total_timeout": math.inf}),
        "client": ({"total_timeout": math.inf}, {}),
        "timeout": ({"timeout": Timeout(total=math.inf)}, {}),
    }[how]
    client, transport = scripted(answers.stream("Hi"), repeat=True, rate_limit=DAILY, **options[0])
    call.stream(client, "Hello", **options[1])
    call.stream(client, "Hello", **options[1])
    assert sum(transport.sleeps) == 86400.0


def test_a_place_is_not_waited_for_for_ever(call, scripted, answers):
    """Streams that nobody reads on hold their places; the next one gives up after ten minutes."""
    client, transport = scripted(answers.stream("Hi"), repeat=True, max_concurrency=1)
    held = client._admission.slots.take()
    with pytest.raises(RateLimitExceededError, match="in flight"):
        call.stream(client, "Hello")
    assert sum(transport.sleeps) == 600.0
    client._admission.slots.leave(held)
    call.stream(client, "Hello")


def test_a_key_counts_only_what_was_sent(call, scripted, answers):
    """Not the calls that their limit, or an open circuit, kept back."""
    client, transport = scripted(
        answers.text(), repeat=True, rate_limit=RateLimitConfig(requests_per_minute=1, max_wait=1.0)
    )
    call.chat(client, "Hello")
    for _ in range(3):
        with pytest.raises(RateLimitExceededError):
            call.chat(client, "Hello")
    assert client.keys.status()[0].requests == len(transport.requests) == 1
    client, transport = scripted(answers.error(500), repeat=True, circuit_breaker=True, max_retries=2)
    with pytest.raises(InternalServerError):
        call.chat(client, "Hello")
    with pytest.raises(CircuitOpenError):
        call.chat(client, "Hello")
    assert client.keys.status()[0].requests == len(transport.requests) == 3
