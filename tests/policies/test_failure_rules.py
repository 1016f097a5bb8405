"""The table of failures: every error has its row, and the columns agree with each other."""

import inspect

import attrs
import pytest

from provider_kit import errors
from provider_kit.errors import APIError, APITimeoutError, ProviderKitError, RateLimitError, StreamIncompleteError
from provider_kit.policies import failure_rules
from provider_kit.policies.failure_rules import FAILURE_RULES, KeyAction, may_repeat, rule_for
from provider_kit.policies.retry import Backoff

ALL = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, ProviderKitError)]


def made(kind, **known):
    return kind("it failed", **known)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_has_a_row(kind):
    """Also those that are raised before anything was sent, and those of a subclass of the user's."""
    own = type("Own", (kind,), {})
    assert rule_for(made(kind)) in FAILURE_RULES
    assert rule_for(made(own)) == rule_for(made(kind))


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("retryable", [True, False])
def test_an_error_that_is_told_apart_by_retryable_has_a_row_either_way(kind, retryable):
    """No error falls through the table because of what it says of itself, unless it is no failure of a call."""
    row = rule_for(made(kind, retryable=retryable))
    if issubclass(kind, (APIError, errors.APIConnectionError)):
        assert row is not FAILURE_RULES[-1]


@pytest.mark.parametrize("row", FAILURE_RULES, ids=lambda row: row.failure)
def test_a_key_suffers_only_where_another_one_may_take_over(row):
    """What is not the key's fault neither changes the key nor its state."""
    if row.key is not KeyAction.UNTOUCHED:
        assert row.other_key


@pytest.mark.parametrize("row", FAILURE_RULES, ids=lambda row: row.failure)
def test_what_another_key_mends_is_no_failure_of_the_provider(row):
    """The circuit breaker counts no refusal of a key."""
    assert not (row.other_key and row.breaker)


#: Rows for errors that say nothing else than their class does; of the others, whoever makes them says more.
DECIDING = [row for row in FAILURE_RULES if row.retryable in (None, row.errors[0].retryable)]


@pytest.mark.parametrize("row", DECIDING, ids=lambda row: row.failure)
def test_the_rule_that_is_printed_is_the_rule_that_decides(row, monkeypatch):
    """Change the column "same key", and whether a call is tried again changes with it."""
    kind = row.errors[0]
    changed = attrs.evolve(row, same_key="no" if row.same_key in ("backoff", "no other key") else "backoff")
    error = made(kind)
    assert rule_for(error) is row
    before = Backoff()(error, 1) is not None
    monkeypatch.setattr(failure_rules, "FAILURE_RULES", tuple(changed if one is row else one for one in FAILURE_RULES))
    assert (Backoff()(error, 1) is not None) is not before


def test_an_error_of_somebody_elses_may_say_that_it_passes():
    """By its class or by itself; what it does not say is the table's to decide."""
    own = type("Own", (errors.BadRequestError,), {"retryable": True})
    assert may_repeat(made(own))
    assert may_repeat(made(errors.BadRequestError, retryable=True))
    assert not may_repeat(made(type("Other", (errors.BadRequestError,), {})))
    assert not may_repeat(made(errors.InternalServerError, retryable=False))


@pytest.mark.parametrize("row", FAILURE_RULES, ids=lambda row: row.failure)
def test_the_policy_obeys_the_column_of_the_same_key(row):
    """The backoff tries again exactly where the table says so, for errors as their classes make them."""
    for kind in row.errors:
        error = made(kind)
        if row.retryable is not None:
            error.retryable = row.retryable
        if rule_for(error) is row:
            tried_again = Backoff()(error, 1) is not None
            assert tried_again == (row.same_key in ("backoff", "no other key")), kind


def test_the_rows_have_names_of_their_own():
    """A row can be spoken of."""
    assert len({row.failure for row in FAILURE_RULES}) == len(FAILURE_RULES)


def test_rows_are_told_apart_by_what_an_error_says_of_itself():
    """The same class, another row."""
    assert rule_for(APITimeoutError("late", retryable=False)).failure == "answer timed out"
    assert rule_for(APITimeoutError("late")).failure == "unreachable"
    assert rule_for(StreamIncompleteError("cut")).failure == "stream cut late"
    assert rule_for(StreamIncompleteError("cut", retryable=True)).failure == "stream cut early"


def test_a_quota_is_no_rate_limit_although_it_is_an_error_of_that_class():
    """The more special row stands above the general one."""
    assert issubclass(errors.InsufficientQuotaError, RateLimitError)
    assert rule_for(made(errors.InsufficientQuotaError)).key is KeyAction.PARKED
    assert rule_for(made(RateLimitError)).key is KeyAction.COOLING
