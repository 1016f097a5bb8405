"""Correlation ids: one for each call, which its requests, events, log lines and errors share."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from provider_kit.model.inputs import check_correlation_id
from provider_kit.policies.after_fork import renew_after_fork

__all__ = ["correlation", "new_correlation_id"]

_current: ContextVar[str | None] = ContextVar("provider_kit_correlation_id", default=None)


class _Ids:
    """Ids that no other process has."""

    def __init__(self) -> None:
        self._after_fork()
        renew_after_fork(self)

    def _after_fork(self) -> None:
        self.prefix = secrets.token_hex(8)
        self.numbers = itertools.count(1)


_ids = _Ids()


def new_correlation_id() -> str:
    """The id of the current :func:`correlation`, else a new one."""
    return _current.get() or f"{_ids.prefix}-{next(_ids.numbers)}"


@contextmanager
def correlation(id: str) -> Iterator[str]:
    """Give every call inside the block, in this thread or task, the same correlation id, such as that of a web request.

    Args:
        id: 1 to 200 printable ASCII characters. It is sent as ``X-Request-ID``.

    Raises:
        InvalidRequestError: It is something else.

    Example:
        >>> from provider_kit import Client, correlation
        >>> with correlation("order-4711"):
        ...     reply = Client("demo").chat("Hello")
        >>> reply.correlation_id
        'order-4711'
    """
    token = _current.set(check_correlation_id(id))
    try:
        yield id
    finally:
        _current.reset(token)
