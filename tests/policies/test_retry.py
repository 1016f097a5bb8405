"""Backoff as a function: an error and a number in, seconds or nothing out."""

import pickle

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from provider_kit import Backoff, BadRequestError, Client, ConfigError, InternalServerError, RateLimitError
from provider_kit.policies.retry import make_policy

FULL = Backoff(jitter=lambda wait: wait * 1.0)


def test_waits_double_up_to_their_cap():
    """0.5, 1, 2, … and never more than the cap."""
    policy = Backoff(20, base=0.5, cap=8.0, jitter=lambda wait: wait * 1.0)
    waits = [policy(InternalServerError(), attempt) for attempt in range(1, 8)]
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


@pytest.mark.parametrize("attempt", [1_000, 100_000])
def test_many_attempts_do_not_overflow(attempt):
    """The thousandth wait is the cap."""
    assert Backoff(10**6, jitter=lambda wait: wait * 1.0)(InternalServerError(), attempt) == 60.0


def test_only_so_many_retries():
    """After ``max_retries`` it gives up; 0 never tries again."""
    assert FULL(InternalServerError(), 3) is not None
    assert FULL(InternalServerError(), 4) is None
    assert Backoff(0)(InternalServerError(), 1) is None


def test_only_what_may_pass_is_tried_again():
    """The error says whether that may help, by its class or by itself."""
    assert FULL(BadRequestError(), 1) is None
    assert FULL(BadRequestError(retryable=True), 1) == 0.5
    assert FULL(InternalServerError(retryable=False), 1) is None


def test_the_providers_wish_goes_before_the_computed_wait():
    """Also zero, also above the cap, but not above ``longest``."""
    assert FULL(RateLimitError(retry_after=0), 1) == 0
    assert FULL(RateLimitError(retry_after=100), 1) == 100
    assert FULL(RateLimitError(retry_after=120), 1) == 120
    assert FULL(RateLimitError(retry_after=120.5), 1) is None
    assert Backoff(longest=5)(RateLimitError(retry_after=6), 1) is None


@given(attempt=st.integers(1, 50), jitter=st.floats(0, 1))
def test_a_wait_is_never_negative_nor_above_the_cap(attempt, jitter):
    """Whatever the jitter."""
    wait = Backoff(50, jitter=lambda wait: wait * jitter)(InternalServerError(), attempt)
    assert 0 <= wait <= 60


def test_it_is_a_value():
    """Equal if it says the same, and it pickles."""
    assert Backoff(2) == Backoff(2) != Backoff(3)
    assert pickle.loads(pickle.dumps(Backoff(2))) == Backoff(2)
    assert len(pickle.dumps(Backoff(2))) < 300


def test_the_jitter_differs_from_call_to_call():
    """Many clients that failed at once do not come back at once."""
    waits = {Backoff()(InternalServerError(), 1) for _ in range(20)}
    assert len(waits) > 10
    assert all(0 <= wait < 0.5 for wait in waits)


@pytest.mark.parametrize(
    ("name", "made", "waits"),
    [
        ("none", Backoff.none(), []),
        ("default", Backoff.default(), [0.5, 1.0, 2.0]),
        ("aggressive", Backoff.aggressive(), [0.5, 0.75, 1.125, 1.6875, 2.53125]),
        ("conservative", Backoff.conservative(), [2.0, 6.0]),
    ],
    ids=["none", "default", "aggressive", "conservative"],
)
def test_a_preset_has_the_waits_that_the_guide_tells(name, made, waits):
    """By its name as by its method; then it gives up."""
    assert make_policy(name, 99) == made
    policy = evolve(made, jitter=lambda wait: wait)
    found = []
    while (wait := policy(InternalServerError(), len(found) + 1)) is not None:
        found.append(wait)
    assert found == waits


def test_an_unknown_preset_is_refused_with_the_nearest():
    """When the client is made, not when the first call fails."""
    with pytest.raises(ConfigError, match="'conservativ' is not a preset") as caught:
        Client("openai/gpt-4o", api_key="test-key-0123456789", retry="conservativ")
    assert "conservative" in caught.value.hint.partition("There are:")[0]
    assert "There are: none, default, aggressive, conservative." in caught.value.hint


@pytest.mark.parametrize("given", [5, 2.5, True, [], {}], ids=repr)
def test_what_is_no_policy_is_refused(given):
    """A number of retries is ``max_retries=``."""
    with pytest.raises(ConfigError, match="retry must be a function or a preset's name"):
        make_policy(given, 3)


def test_without_a_policy_the_number_of_retries_makes_one():
    """``max_retries`` is all there is to say then."""
    assert make_policy(None, 7) == Backoff(7)
    assert make_policy(FULL, 7) is FULL


def test_a_wish_counts_only_among_the_tries_that_are_left():
    """A provider that asks for a moment does not get tries without end."""
    assert Backoff(2)(RateLimitError(retry_after=0), 2) == 0
    assert Backoff(2)(RateLimitError(retry_after=0), 3) is None
