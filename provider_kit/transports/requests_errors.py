"""Turns errors of requests, urllib3 and their sockets into errors of this library."""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Iterator
from typing import Any, NoReturn

from requests import exceptions as failures
from urllib3 import exceptions as pool_failures

from provider_kit.errors import (
    ConfigError,
    DeadlineExceededError,
    ProviderKitError,
    ResponseLostError,
)
from provider_kit.transports.base import (
    certificate_error,
    late,
    not_connected,
    one_line,
    proxy_error,
    refused,
)
from provider_kit.transports.callers_own import callers_own
from provider_kit.transports.requests_clocks import RequestClock
from provider_kit.wire.http import Limits

__all__ = ["may_have_been_sent", "raise_translated"]

#: The other side disconnected during the handshake, which may be temporary.
_CUT_TLS = (ssl.SSLEOFError, ssl.SSLZeroReturnError)
_BEFORE_SENDING = (
    failures.ConnectTimeout,
    failures.InvalidSchema,
    failures.InvalidURL,
    failures.MissingSchema,
    failures.ProxyError,
    failures.SSLError,
    pool_failures.ClosedPoolError,
    pool_failures.ConnectTimeoutError,
    pool_failures.EmptyPoolError,
    pool_failures.NewConnectionError,
    pool_failures.ProxyError,
)


def raise_translated(error: Exception, exchange: RequestClock, limits: Limits, url: str) -> NoReturn:
    """Raise the translation of an error that was just caught; never returns."""
    found = _translate(error, exchange, limits, url)
    try:
        if found is error:
            raise error
        if not isinstance(found, ProviderKitError):
            raise found from found.__cause__  # the caller's own exception, unchanged
        if isinstance(found, ConfigError):
            raise found from None  # the cause may show a header's value
        raise found from _presentable(error, url)
    finally:
        del error, found  # avoid a reference cycle between the error and this frame, which holds the call's data


def _translate(error: Exception, exchange: RequestClock, limits: Limits, url: str) -> Exception:
    """Errors of requests, urllib3 and sockets as ours."""
    if isinstance(error, ProviderKitError):
        return error
    causes = list(_causes(error))
    own = callers_own(causes)
    if own is not None:
        return own  # type: ignore[return-value]  # what was wrapped is an Exception
    host = url.split("/", 3)[2]
    reason = _reason(causes)
    read_timed_out = any(isinstance(cause, (failures.ReadTimeout, pool_failures.ReadTimeoutError)) for cause in causes)
    if exchange.timed_out or (read_timed_out and exchange.sent):
        return late(limits, time.monotonic(), streaming=exchange.streaming, began=exchange.began)
    if read_timed_out or any(
        isinstance(cause, (failures.ConnectTimeout, pool_failures.ConnectTimeoutError))
        and not isinstance(cause, pool_failures.NewConnectionError)
        for cause in causes
    ):
        over = late(limits, time.monotonic(), streaming=exchange.streaming, began=False)
        if isinstance(over, DeadlineExceededError):
            return over
        return not_connected(host, limits)
    if any(
        isinstance(
            cause,
            (failures.InvalidURL, failures.InvalidSchema, failures.MissingSchema, pool_failures.LocationValueError),
        )
        for cause in causes
    ):
        return ConfigError(f"The address of {host} cannot be used: {reason}.", hint="Check base_url and the proxy.")
    if not exchange.sent and any(
        isinstance(cause, failures.InvalidHeader) or (isinstance(cause, ValueError) and not isinstance(cause, OSError))
        for cause in causes
    ):
        return ConfigError(
            "A header has a value that cannot be sent.", hint="Check headers= and the API key for stray characters."
        )
    if not exchange.sent:
        if any(isinstance(cause, pool_failures.ProxyError) for cause in causes) or isinstance(
            error, failures.ProxyError
        ):
            return proxy_error(host, reason)
        if any(isinstance(cause, ssl.SSLError) and not isinstance(cause, _CUT_TLS) for cause in causes):
            return certificate_error(host, reason)
        return refused(host, reason)
    return ResponseLostError(f"The connection to {host} broke before the answer was complete: {reason}.")


def may_have_been_sent(error: Exception) -> bool:
    """A user's session does not report it; a failure that may have happened after sending counts as sent."""
    causes = list(_causes(error))
    if any(isinstance(cause, _BEFORE_SENDING) for cause in causes):
        return False
    return any(
        isinstance(cause, (failures.ReadTimeout, pool_failures.HTTPError, http.client.HTTPException))
        or (isinstance(cause, OSError) and not isinstance(cause, failures.RequestException))
        for cause in causes
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, the ones it was made from, and those it carries as arguments.

    ``__context__`` is left out: in a caller's ``except`` block it would include another call's failure.
    """
    seen: list[BaseException] = []
    waiting: list[Any] = [error]
    while waiting:
        item = waiting.pop()
        if not isinstance(item, BaseException) or item in seen:
            continue
        seen.append(item)
        yield item
        waiting.extend((*item.args, item.__cause__, getattr(item, "reason", None)))


def _presentable(error: Exception, url: str) -> Exception | None:
    """urllib3's errors show the full URL; one with a query may hold a secret and is not chained."""
    return None if "?" in url else error


def _reason(causes: list[BaseException]) -> str:
    """The message of the innermost cause."""
    for cause in reversed(causes):
        if isinstance(cause, OSError) and cause.strerror and not isinstance(cause, failures.RequestException):
            return str(cause.strerror)
    for cause in reversed(causes):
        text = str(cause)
        if text and not text.startswith("<"):
            return one_line(text)
    return type(causes[0]).__name__
