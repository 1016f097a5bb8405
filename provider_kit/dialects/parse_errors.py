"""Decoding of answers, and the typed error where a dialect cannot read one."""

from __future__ import annotations

from typing import Any

from provider_kit.errors import InvalidResponseError
from provider_kit.model.json_text import loads
from provider_kit.model.surrogates import may_hold_halves, mend_all

__all__ = ["PARSE_ERRORS", "read_answer", "unreadable"]

#: Exceptions from reading an answer of an unexpected shape or with impossible numbers.
PARSE_ERRORS = (KeyError, IndexError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)


def read_answer(body: bytes) -> Any:
    """Decode the JSON of an answer, without lone surrogates.

    Raises:
        ValueError: It is not JSON.
    """
    payload = loads(body)
    # The elements of an array may share a character; their reader joins its halves.
    return mend_all(payload) if may_hold_halves(body) and type(payload) is not list else payload


def unreadable(error: Exception, status: int, payload: Any) -> InvalidResponseError:
    """The error for an answer that cannot be read."""
    return InvalidResponseError(f"The answer cannot be read: {error!r}.", status_code=status, body=payload)
