"""What follows from a failure: one table, read from the top; the first matching row decides.

The columns say whether the same key is retried, whether another key is used at once, what happens to the key, whether
another provider may help (for a router), and whether the circuit breaker counts it. Nothing here waits or sends; the
engine carries it out.
"""

from __future__ import annotations

from enum import Enum
from typing import Literal, TypeAlias

from attrs import frozen

from provider_kit.errors import (
    AllProvidersFailedError,
    APIConnectionError,
    APIError,
    APITimeoutError,
    AuthenticationError,
    AuthError,
    BadRequestError,
    CircuitOpenError,
    ConflictError,
    ContextLengthExceededError,
    DeadlineExceededError,
    InsufficientQuotaError,
    InternalServerError,
    InvalidResponseError,
    NotFoundError,
    NotSupportedError,
    OverloadedError,
    PaymentRequiredError,
    PermissionDeniedError,
    PoolTimeoutError,
    ProviderKitError,
    RateLimitError,
    RateLimitExceededError,
    RequestTimeoutError,
    RequestTooLargeError,
    ResponseLostError,
    StreamError,
    StreamIncompleteError,
    UnprocessableEntityError,
    UnsupportedParameterError,
)

__all__ = [
    "FAILURE_RULES",
    "TOKEN_REFUSED",
    "FailureRule",
    "KeyAction",
    "SameKey",
    "errors_by_name",
    "may_repeat",
    "rule_for",
]


class KeyAction(Enum):
    """What a failure means for the key it happened to."""

    #: Nothing: the key did not cause the failure.
    UNTOUCHED = "untouched"
    #: It is wrong or revoked; not used again while another one works.
    DEAD = "dead"
    #: Its quota is used up; not used until the quota is renewed.
    PARKED = "parked"
    #: Its rate limit is reached; not used for as long as the provider says.
    COOLING = "cooling"


#: Whether the same key is retried: never, after a wait, only where there is no other key, or only if the caller accepts
#: that a request may be carried out twice.
SameKey: TypeAlias = Literal["no", "backoff", "no other key", "if allowed"]
#: Whether another provider may answer: never, only one with a larger window, once all keys are used up, once the
#: retries are used up, before that, or at once.
NextProvider: TypeAlias = Literal["no", "larger window", "keys gone", "after retries", "early", "yes"]


@frozen
class FailureRule:
    """One row of the table."""

    failure: str
    errors: tuple[type[ProviderKitError], ...]
    same_key: SameKey
    #: Whether another key is used at once, without a wait.
    other_key: bool
    key: KeyAction
    next_provider: NextProvider
    #: Whether the circuit breaker counts it as a failure of the provider.
    breaker: bool
    #: The row matches only errors with this value of ``retryable``; ``None``: all.
    retryable: bool | None = None


_NOT = KeyAction.UNTOUCHED

FAILURE_RULES: tuple[FailureRule, ...] = (
    # failure, errors, same key, other key, action on the key, next provider, breaker, (only if retryable is)
    FailureRule("deadline passed", (DeadlineExceededError,), "no", False, _NOT, "no", True),
    FailureRule("all targets failed", (AllProvidersFailedError,), "no", False, _NOT, "yes", False),
    FailureRule("circuit open", (CircuitOpenError,), "no", False, _NOT, "yes", False),
    FailureRule("limited here", (RateLimitExceededError,), "no", False, _NOT, "yes", False),
    FailureRule("no key or login", (AuthError,), "no", False, _NOT, "yes", False),
    FailureRule("not offered", (NotSupportedError, UnsupportedParameterError), "no", False, _NOT, "yes", False),
    FailureRule("pool exhausted", (PoolTimeoutError,), "backoff", False, _NOT, "after retries", False),
    FailureRule("stream cut early", (StreamIncompleteError,), "backoff", False, _NOT, "yes", True, True),
    FailureRule("stream cut late", (StreamError,), "no", False, _NOT, "no", True),
    FailureRule("answer lost", (ResponseLostError,), "if allowed", False, _NOT, "yes", True),
    FailureRule("answer timed out", (APITimeoutError,), "if allowed", False, _NOT, "yes", True, False),
    FailureRule("TLS refused", (APIConnectionError,), "no", False, _NOT, "after retries", True, False),
    FailureRule("unreachable", (APIConnectionError,), "backoff", False, _NOT, "after retries", True),
    FailureRule("key refused", (AuthenticationError,), "no", True, KeyAction.DEAD, "keys gone", False),
    FailureRule(
        "quota used up", (PaymentRequiredError, InsufficientQuotaError), "no", True, KeyAction.PARKED, "yes", False
    ),
    FailureRule("forbidden", (PermissionDeniedError,), "no", True, _NOT, "yes", False),
    FailureRule("rate limited", (RateLimitError,), "no other key", True, KeyAction.COOLING, "keys gone", False),
    FailureRule("overloaded", (OverloadedError,), "backoff", False, _NOT, "early", True),
    FailureRule("timed out there", (RequestTimeoutError, ConflictError), "backoff", False, _NOT, "after retries", True),
    FailureRule("not implemented", (InternalServerError,), "no", False, _NOT, "yes", False, False),
    FailureRule("server error", (InternalServerError,), "backoff", False, _NOT, "after retries", True),
    FailureRule("too long", (ContextLengthExceededError,), "no", False, _NOT, "larger window", False),
    FailureRule("unknown", (NotFoundError,), "no", False, _NOT, "yes", False),
    FailureRule(
        "refused as it is",
        (BadRequestError, RequestTooLargeError, UnprocessableEntityError),
        "no",
        False,
        _NOT,
        "no",
        False,
    ),
    FailureRule("unreadable answer", (InvalidResponseError,), "no", False, _NOT, "yes", True),
    FailureRule("other answer", (APIError,), "no", False, _NOT, "yes", False),
    FailureRule("not sent", (ProviderKitError,), "no", False, _NOT, "no", False),
)


#: An access token that the provider refuses is refreshed once, and the call is retried with it at once.
TOKEN_REFUSED = FailureRule("token refused", (AuthenticationError,), "no", False, _NOT, "keys gone", False)


def errors_by_name() -> dict[str, type[ProviderKitError]]:
    """The errors of this library, by the names of their classes."""
    found: dict[str, type[ProviderKitError]] = {}
    waiting: list[type[ProviderKitError]] = [ProviderKitError]
    while waiting:
        kind = waiting.pop()
        if kind.__module__ == ProviderKitError.__module__:
            found[kind.__name__] = kind
        waiting.extend(kind.__subclasses__())
    return found


def may_repeat(error: ProviderKitError) -> bool:
    """Whether the same request may be sent again: by the table, unless the error itself sets ``retryable``."""
    kind = type(error)
    if kind.__module__ != ProviderKitError.__module__:  # of somebody else's
        kind = next(base for base in kind.__mro__ if base.__module__ == ProviderKitError.__module__)
    if error.retryable is not kind.retryable:
        return error.retryable
    return rule_for(error).same_key in ("backoff", "no other key")


def rule_for(error: ProviderKitError) -> FailureRule:
    """The row of the table that matches an error."""
    for row in FAILURE_RULES:
        if isinstance(error, row.errors) and (row.retryable is None or row.retryable is error.retryable):
            return row
    return FAILURE_RULES[-1]
