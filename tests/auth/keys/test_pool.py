"""The pool of keys on its own: turns, rests, deaths, threads. The clock is an argument."""

import pickle
import random
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider_kit import (
    APIConnectionError,
    AuthenticationError,
    AuthError,
    ConfigError,
    InsufficientQuotaError,
    OverloadedError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitError,
)
from provider_kit.auth.keys.pool import KeyPool
from provider_kit.auth.keys.state import mask
from provider_kit.policies.failure_rules import KeyAction

KEYS = [f"key-number-{number}-{letter * 6}" for number, letter in enumerate("abc")]


@pytest.fixture
def pool():
    """A function: a pool of the first so many keys."""
    return lambda count=3, **options: KeyPool("openai", KEYS[:count], **options)


def turns(pool, count, now=0.0, **options):
    """The keys of so many calls, by their number."""
    found = [pool.pick(now, **options) for _ in range(count)]
    return [KEYS.index(key.value) if key is not None else None for key in found]


# ------------------------------------------------------------------------------------------------ order


def test_keys_take_turns(pool):
    """In the order they were given."""
    assert turns(pool(), 7) == [0, 1, 2, 0, 1, 2, 0]


def test_a_key_that_rests_loses_its_turn_only(pool):
    """The others go on in their order, and it comes back in its own place."""
    made = pool()
    made.rest(KEYS[1], 10.0)
    assert turns(made, 4) == [0, 2, 0, 2]
    assert turns(made, 3, now=10.0) == [0, 1, 2]


def test_chance_spreads_evenly_or_by_weight():
    """Over many calls; the source of randomness is given."""
    for strategy, weights, shares in (("random", (1, 1, 1), (1, 1, 1)), ("weighted", (6, 3, 1), (6, 3, 1))):
        chance = random.Random(7)
        made = KeyPool("openai", dict(zip(KEYS, weights, strict=True)), strategy=strategy, choose=chance.random)
        sent = turns(made, 6000)
        for number, share in enumerate(shares):
            assert sent.count(number) == pytest.approx(6000 * share / sum(shares), rel=0.12)


def test_the_weights_of_those_that_are_left_decide():
    """While the heaviest rests the others share by their own weights."""
    made = KeyPool(
        "openai", dict(zip(KEYS, (100, 3, 1), strict=True)), strategy="weighted", choose=random.Random(7).random
    )
    made.rest(KEYS[0], 10.0)
    sent = turns(made, 4000)
    assert sent.count(0) == 0
    assert sent.count(1) == pytest.approx(3000, rel=0.1)


def test_simple_keys_take_turns_whatever_happens(pool):
    """No failure sends one to rest."""
    made = pool(strategy="simple")
    for error in (AuthenticationError(), RateLimitError(retry_after=99), PaymentRequiredError(), ValueError()):
        for _ in range(5):
            assert made.report_failure(KEYS[0], error, 0.0) is KeyAction.UNTOUCHED
    made.rest(KEYS[1], 99.0)
    assert turns(made, 6) == [0, 1, 2, 0, 1, 2]


def test_the_shortest_wait_for_a_limit_goes_first(pool):
    """Also where every key would have to wait, and for ever."""
    waits = dict(zip(KEYS, (5.0, 2.0, 9.0), strict=True))
    assert turns(pool(), 2, wait_of=lambda key: waits[key.value]) == [1, 1]
    assert turns(pool(), 1, wait_of=lambda key: float("inf")) == [0]


def test_a_key_may_be_preferred_if_it_may_be_used(pool):
    """Out of its turn; not if it rests, is dead or not wanted."""
    made = pool()
    wanted = made.find(KEYS[2]).id
    assert turns(made, 2, prefer=wanted) == [2, 2]
    assert turns(made, 1, prefer=wanted, exclude={wanted}) == [0]
    made.rest(KEYS[2], 5.0)
    assert turns(made, 1, prefer=wanted) == [1]
    assert turns(made, 1, now=5.0, prefer=wanted) == [2]
    made.report_failure(KEYS[2], AuthenticationError(), 5.0)
    assert turns(made, 1, now=5.0, prefer=wanted) == [0]


@pytest.mark.parametrize("strategy", ["robin", "Round_Robin", "", None, 5], ids=repr)
def test_an_unknown_strategy_is_refused(strategy):
    """With the ones there are."""
    with pytest.raises(ConfigError) as caught:
        KeyPool("openai", KEYS, strategy=strategy)
    assert "There are: round_robin, random, weighted, simple." in caught.value.hint


# ------------------------------------------------------------------------------------------------ health


@pytest.mark.parametrize(
    "error", [OverloadedError(), APIConnectionError(), PermissionDeniedError()], ids=lambda error: type(error).__name__
)
def test_what_is_not_the_keys_fault_leaves_it_alone(pool, error):
    """However often it happens."""
    made = pool()
    for _ in range(10):
        assert made.report_failure(KEYS[0], error, 0.0) is KeyAction.UNTOUCHED
    assert made.status(0.0)[0].failures == 0
    assert turns(made, 3) == [0, 1, 2]


def test_a_key_that_fails_repeatedly_rests_longer_each_time(pool):
    """From the third failure on: 1, 2, 4 … 60 seconds; a success begins anew."""
    made = pool()
    state, now = [], 0.0
    for _ in range(10):
        made.report_failure(KEYS[0], ValueError("no idea"), now)
        rest = made.status(now)[0].available_in
        state.append(rest)
        now += rest
    assert state == [0, 0, 1, 2, 4, 8, 16, 32, 60, 60]
    made.report_success(KEYS[0], now)
    made.report_failure(KEYS[0], ValueError("no idea"), now)
    assert made.status(now)[0].available_in == 0


def test_a_key_is_healthy_again_after_two_successes(pool):
    """Its rest over, it takes its turn; one success is not enough."""
    made = pool()
    for _ in range(3):
        made.report_failure(KEYS[0], ValueError("no idea"), 0.0)
    assert made.status(0.0)[0].state == "unhealthy"
    assert turns(made, 3) == [1, 2, 1]
    assert 0 in turns(made, 3, now=1.0)
    for state in ("unhealthy", "healthy"):
        made.report_success(KEYS[0], 1.0)
        assert made.status(1.0)[0].state == state


def test_the_numbers_can_be_chosen(pool):
    """How many failures and successes, how long a rest."""
    made = pool(unhealthy_after=1, healthy_after=1, first_backoff=5.0, longest_backoff=8.0, park=100.0)
    state = []
    for now in (0.0, 10.0, 20.0):
        made.report_failure(KEYS[0], ValueError(), now)
        state.append(made.status(now)[0].available_in)
    assert state == [5.0, 8.0, 8.0]
    made.report_success(KEYS[0], 30.0)
    assert made.status(30.0)[0].state == "healthy"
    made.report_failure(KEYS[1], PaymentRequiredError(), 0.0)
    assert made.status(0.0)[1].available_in == 100.0


def test_a_key_that_is_too_fast_cools_for_as_long_as_the_provider_says(pool):
    """Else 1 second, doubling; a shorter wish of a later answer does not shorten a rest."""
    made = pool()
    assert made.report_failure(KEYS[0], RateLimitError(retry_after=9), 0.0) is KeyAction.COOLING
    made.report_failure(KEYS[0], RateLimitError(retry_after=1), 0.0)
    made.report_failure(KEYS[1], RateLimitError(), 0.0)
    made.report_failure(KEYS[1], RateLimitError(), 1.0)
    assert [status.available_in for status in made.status(1.0)] == [8.0, 2.0, 0.0]
    assert [status.state for status in made.status(1.0)] == ["cooling", "cooling", "healthy"]
    assert [status.state for status in made.status(9.0)] == ["healthy"] * 3
    assert made.soonest(1.0, {made.find(KEYS[2]).id}) == 2.0


def test_a_success_does_not_end_a_rest_that_the_provider_named(pool):
    """A request that was under way came back; the limit still holds."""
    made = pool()
    made.report_failure(KEYS[0], RateLimitError(retry_after=9), 0.0)
    made.report_success(KEYS[0], 1.0)
    assert made.status(1.0)[0].available_in == 8.0
    made.report_failure(KEYS[1], RateLimitError(), 0.0)
    made.report_success(KEYS[1], 0.5)
    assert made.status(0.5)[1].available_in == 0.0


@pytest.mark.parametrize("error", [PaymentRequiredError(), InsufficientQuotaError()], ids=["402", "quota"])
def test_a_used_up_key_is_parked(pool, error):
    """An hour, or until the time that is known; a moment named by the answer counts for nothing."""
    made = pool()
    error.retry_after = 5.0
    assert made.report_failure(KEYS[0], error, 0.0) is KeyAction.PARKED
    made.report_failure(KEYS[1], error, 0.0, rest=40_000.0)
    assert [status.available_in for status in made.status(0.0)] == [3600.0, 40_000.0, 0.0]
    assert made.status(0.0)[0].last_error == type(error).__name__


def test_a_dead_key_is_not_used_while_another_one_works(pool):
    """Nor does it come back by itself; with a success it does."""
    made = pool(2)
    assert made.report_failure(KEYS[0], AuthenticationError(), 0.0) is KeyAction.DEAD
    assert made.status(10.0**6)[0].state == "dead"
    assert made.status(10.0**6)[0].available_in is None
    assert turns(made, 3, now=10.0**6) == [1, 1, 1]
    made.report_success(KEYS[0], 10.0**6)
    assert 0 in turns(made, 2, now=10.0**6)


def test_of_a_dead_pool_one_key_is_tried_in_a_minute(pool):
    """Each of them in turn, none twice within the minute."""
    made = pool(2)
    for key in KEYS[:2]:
        made.report_failure(key, AuthenticationError(), 0.0)
    assert turns(made, 2, now=59.0) == [None, None]
    assert made.exhausted(59.0).retry_after == 1.0
    assert turns(made, 3, now=60.0) == [0, 1, None]
    assert made.exhausted(60.0).retry_after == 60.0
    assert turns(made, 3, now=120.0) == [0, 1, None]


def test_the_last_key_is_kept_back_by_the_providers_word_only(pool):
    """A guess of ours locks nobody out."""
    for error in (AuthenticationError(), PaymentRequiredError(), RateLimitError(), ValueError()):
        made = pool(1)
        for _ in range(5):
            made.report_failure(KEYS[0], error, 0.0)
            assert turns(made, 1) == [0], error
    made = pool(1)
    made.report_failure(KEYS[0], RateLimitError(retry_after=7), 0.0)
    assert turns(made, 1, now=6.9) == [None]
    assert made.exhausted(6.0).retry_after == 1.0
    assert turns(made, 1, now=7.0) == [0]


def test_a_dead_key_that_is_answered_with_a_limit_is_alive(pool):
    """The try of a dead pool found a key that was mended, but is too fast: it rests, and then it is used."""
    made = pool(2)
    for key in KEYS[:2]:
        made.report_failure(key, AuthenticationError(), 0.0)
    made.report_failure(KEYS[0], RateLimitError(retry_after=7), 60.0)
    assert made.status(60.0)[0].state == "cooling"
    assert made.exhausted(60.0).retry_after == 7.0
    assert turns(made, 2, now=67.0) == [0, 0]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ok", "401", "402", "403", "429", "429 for 7", "503", "other"]),
            st.integers(0, 2),
            st.sampled_from([0.0, 0.5, 3.0, 70.0, 5000.0]),
        ),
        max_size=40,
    ),
    st.integers(1, 3),
)
def test_nobody_is_locked_out_for_ever(events, count):
    """Whatever happened: two hours later there is a key, and until then the error says when one is back."""
    errors = {
        "401": AuthenticationError(),
        "402": PaymentRequiredError(),
        "403": PermissionDeniedError(),
        "429": RateLimitError(),
        "429 for 7": RateLimitError(retry_after=7),
        "503": OverloadedError(),
        "other": ValueError(),
    }
    made, now = KeyPool("openai", KEYS[:count]), 0.0
    for what, number, later in events:
        now += later
        key = KEYS[number % count]
        if what == "ok":
            made.report_success(key, now)
        else:
            made.report_failure(key, errors[what], now)
    if made.pick(now) is None:
        wait = made.exhausted(now).retry_after
        assert 0 < wait <= 3600
        assert made.pick(now + wait) is not None
    else:
        assert made.pick(now + 7200) is not None


# ------------------------------------------------------------------------------------------------ changes


def test_keys_are_added_and_taken_away(pool):
    """From the next call on; white space around them does not matter."""
    made = pool(1)
    made.add_key(f" {KEYS[1]}\n", weight=2)
    assert turns(made, 2) == [0, 1]
    assert made.remove_key(f" {KEYS[0]}\n")
    assert not made.remove_key(KEYS[0])
    assert turns(made, 2) == [1, 1]
    assert [status.weight for status in made.status(0.0)] == [2.0]
    assert len(made) == 1


def test_a_key_that_is_added_again_counts_as_new(pool):
    """Its owner has mended it."""
    made = pool(2)
    made.report_failure(KEYS[0], AuthenticationError(), 0.0)
    made.add_key(KEYS[0])
    assert len(made) == 2
    assert sorted(turns(made, 2)) == [0, 1]


def test_reports_of_a_key_that_is_gone_are_harmless(pool):
    """A request under way ends after its key was taken away."""
    made = pool(2)
    made.remove_key(KEYS[0])
    made.report_success(KEYS[0], 0.0)
    assert made.report_failure(KEYS[0], AuthenticationError(), 0.0) is KeyAction.UNTOUCHED
    assert len(made) == 1


def test_keys_that_are_gone_are_still_kept_out_of_texts(pool):
    """An answer to their last request may name them."""
    made = pool(3)
    made.remove_key(KEYS[0])
    made.set_keys(KEYS[1:2])
    assert set(made.secrets) == set(KEYS)


def test_setting_the_keys_keeps_the_state_of_those_that_stay(pool):
    """New ones are added, others leave."""
    made = pool(2)
    made.report_failure(KEYS[1], RateLimitError(retry_after=9), 0.0)
    made.set_keys(KEYS[1:])
    assert [(status.key, status.state) for status in made.status(0.0)] == [
        (mask(KEYS[1]), "cooling"),
        (mask(KEYS[2]), "healthy"),
    ]
    assert made.has_multiple


def test_threads_that_change_the_keys_never_leave_others_without_one():
    """A function that returns ever new keys is asked by many threads: the pool is never found empty."""
    made = KeyPool("openai", ["key-0-0"])
    empty, stop = [], threading.Event()

    def change(number):
        for turn in range(3000):
            made.set_keys([f"key-{number}-{turn}"])

    def look():
        while not stop.is_set():
            if made.pick(0.0) is None or not len(made):
                empty.append(True)

    looking = [threading.Thread(target=look) for _ in range(2)]
    changing = [threading.Thread(target=change, args=(number,)) for number in range(3)]
    for thread in (*looking, *changing):
        thread.start()
    for thread in changing:
        thread.join()
    stop.set()
    for thread in looking:
        thread.join()
    assert empty == []
    assert len(made) == 1


def test_threads_count_every_use(pool):
    """Keys are added, removed and picked by many threads at once, and no turn is lost."""
    made = pool(2)

    def use():
        for _ in range(2000):
            made.pick(0.0)

    def change():
        for _ in range(500):
            made.add_key(KEYS[2])
            made.remove_key(KEYS[2])

    threads = [threading.Thread(target=target) for target in (use, use, use, change)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = [status.requests for status in made.status(0.0)]
    assert len(counts) == 2
    assert 0 < sum(counts) <= 6000
    assert counts[0] == pytest.approx(counts[1], rel=0.5)


# ------------------------------------------------------------------------------------------------ showing


@pytest.mark.parametrize(
    ("key", "shown"),
    [("sk-abcdefghijklmnop", "…mnop"), ("0123456789abcdef", "…cdef"), ("0123456789abcde", "***"), ("k", "***")],
)
def test_a_mask_spares_only_the_end_of_a_long_key(key, shown):
    """A short one is hidden whole."""
    assert mask(key) == shown


def test_nothing_that_can_be_shown_holds_a_key(pool):
    """The pool, a key, its status; and it cannot be pickled."""
    made = pool()
    shown = repr([made, made.status(0.0), made.pick(0.0), vars(made), made.secrets, str(made)])
    assert [key for key in KEYS if key in shown] == []
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(made)


@pytest.mark.parametrize("weight", [0, -1, float("inf"), float("nan"), True, None, "3"], ids=repr)
def test_a_weight_must_be_one(weight):
    """A number above 0."""
    with pytest.raises(ConfigError, match="weight must be a number above 0"):
        KeyPool("openai", {KEYS[0]: weight})


def test_a_dict_the_wrong_way_round_does_not_show_the_key():
    """``{"main": key}`` is refused, and its text can be pasted anywhere."""
    with pytest.raises(ConfigError) as caught:
        KeyPool("openai", {"main": KEYS[0]})
    assert KEYS[0] not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize("keys", [KEYS[0], KEYS[0].encode()], ids=["str", "bytes"])
def test_a_single_text_is_no_list_of_keys(keys):
    """Its letters would be."""
    with pytest.raises(ConfigError, match="must be a list"):
        KeyPool("openai", keys)


@pytest.mark.parametrize("key", ["", " ", "two words", None, 5], ids=repr)
def test_a_key_that_cannot_be_one_is_refused(pool, key):
    """And the pool stays as it was."""
    made = pool(1)
    with pytest.raises(AuthError):
        made.add_key(key)
    with pytest.raises(AuthError):
        made.set_keys([KEYS[1], key])
    assert turns(made, 2) == [0, 0]


def test_the_same_key_has_the_same_id_in_every_process():
    """And another one for another provider, so that nothing can be compared across them."""
    one, same, other = (KeyPool(name, KEYS[:1]).status(0.0)[0].id for name in ("openai", "openai", "mistral"))
    assert one == same != other
    assert KEYS[0] not in one


def test_a_pool_without_a_clock_says_so(pool):
    """Instead of guessing the time."""
    with pytest.raises(ConfigError, match="no clock"):
        pool().status()
