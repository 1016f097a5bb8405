"""What a failure leads to: one table, read from the top, the first row that fits decides.

The columns say whether the same key tries again, whether another key takes over at once, what becomes of
the key, whether another provider may help (for a router above), and whether the circuit breaker counts
it. Nothing here waits or sends; the engine obeys.
"""

from __future__ import annotations

from enum import Enum
from typing import Literal, TypeAlias

from attrs import frozen

from provider_kit.errors import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    ContextLengthExceededError,
    DeadlineExceededError,
    InsufficientQuotaError,
    InternalServerError,
    InvalidResponseError,
    NotFoundError,
    OverloadedError,
    PaymentRequiredError,
    PermissionDeniedError,
    PoolTimeoutError,
    ProviderKitError,
    RateLimitError,
    RequestTimeoutError,
    RequestTooLargeError,
    ResponseLostError,
    StreamError,
    StreamIncompleteError,
    UnprocessableEntityError,
)

__all__ = ["MATRIX", "TOKEN_REFUSED", "KeyFate", "Row", "SameKey", "row_for"]


class KeyFate(Enum):
    """What a failure means for the key it happened to."""

    #: Nothing: the failure is not the key's.
    UNTOUCHED = "untouched"
    #: It is wrong or revoked; not used again while another one works.
    DEAD = "dead"
    #: Its quota is used up; rests until the quota is renewed.
    PARKED = "parked"
    #: It was used too fast; rests for as long as the provider says.
    COOLING = "cooling"


#: Whether the same key tries again: never, after a wait, only where no other key can take over, or only
#: if the caller allows that a request is carried out twice.
SameKey: TypeAlias = Literal["no", "backoff", "no other key", "if allowed"]
#: Whether another provider may answer: never, only for failures the router was told to mind, once all
#: keys are gone, once the retries are used up, before that, or at once.
NextProvider: TypeAlias = Literal["no", "if asked", "keys gone", "after retries", "early", "yes"]


@frozen
class Row:
    """One line of the table."""

    failure: str
    errors: tuple[type[ProviderKitError], ...]
    same_key: SameKey
    #: Whether another key takes over at once, without a wait.
    other_key: bool
    key: KeyFate
    next_provider: NextProvider
    #: Whether the circuit breaker counts it as a failure of the provider.
    breaker: bool
    #: The row is for errors of these classes with just this ``retryable``; ``None``: for all.
    retryable: bool | None = None


_NOT = KeyFate.UNTOUCHED

MATRIX: tuple[Row, ...] = (
    # failure, errors, same key, other key, fate of the key, next provider, breaker, (only if retryable is)
    Row("deadline passed", (DeadlineExceededError,), "no", False, _NOT, "no", True),
    Row("pool exhausted", (PoolTimeoutError,), "backoff", False, _NOT, "after retries", False),
    Row("stream cut early", (StreamIncompleteError,), "backoff", False, _NOT, "yes", True, True),
    Row("stream cut late", (StreamError,), "no", False, _NOT, "no", True),
    Row("answer lost", (ResponseLostError,), "if allowed", False, _NOT, "if asked", True),
    Row("answer timed out", (APITimeoutError,), "if allowed", False, _NOT, "if asked", True, False),
    Row("TLS refused", (APIConnectionError,), "no", False, _NOT, "after retries", True, False),
    Row("unreachable", (APIConnectionError,), "backoff", False, _NOT, "after retries", True),
    Row("key refused", (AuthenticationError,), "no", True, KeyFate.DEAD, "keys gone", False),
    Row("quota used up", (PaymentRequiredError, InsufficientQuotaError), "no", True, KeyFate.PARKED, "yes", False),
    Row("forbidden", (PermissionDeniedError,), "no", True, _NOT, "yes", False),
    Row("rate limited", (RateLimitError,), "no other key", True, KeyFate.COOLING, "keys gone", False),
    Row("overloaded", (OverloadedError,), "backoff", False, _NOT, "early", True),
    Row("timed out there", (RequestTimeoutError, ConflictError), "backoff", False, _NOT, "after retries", True),
    Row("not implemented", (InternalServerError,), "no", False, _NOT, "yes", False, False),
    Row("server error", (InternalServerError,), "backoff", False, _NOT, "after retries", True),
    Row("too long or unknown", (ContextLengthExceededError, NotFoundError), "no", False, _NOT, "if asked", False),
    Row(
        "refused as it is",
        (BadRequestError, RequestTooLargeError, UnprocessableEntityError),
        "no",
        False,
        _NOT,
        "no",
        False,
    ),
    Row("unreadable answer", (InvalidResponseError,), "no", False, _NOT, "if asked", True),
    Row("other answer", (APIError,), "no", False, _NOT, "if asked", False),
    Row("not sent", (ProviderKitError,), "no", False, _NOT, "no", False),
)


#: An access token that the provider refuses is renewed once, and the call tries again with it at once.
TOKEN_REFUSED = Row("token refused", (AuthenticationError,), "no", False, _NOT, "keys gone", False)


def row_for(error: ProviderKitError) -> Row:
    """The line of the table that an error falls under."""
    for row in MATRIX:
        if isinstance(error, row.errors) and (row.retryable is None or row.retryable is error.retryable):
            return row
    return MATRIX[-1]
