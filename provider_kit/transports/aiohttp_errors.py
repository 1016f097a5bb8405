"""Turns errors of aiohttp and its sockets into errors of this library."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from typing import NoReturn

import aiohttp

from provider_kit.errors import (
    ConfigError,
    DeadlineExceededError,
    PoolTimeoutError,
    ProviderKitError,
    ResponseLostError,
)
from provider_kit.transports.aiohttp_clocks import Guard
from provider_kit.transports.base import (
    certificate_error,
    late,
    not_connected,
    one_line,
    proxy_error,
    refused,
    too_large,
)
from provider_kit.transports.callers_own import callers_own
from provider_kit.wire.http import Limits

__all__ = ["raise_translated"]


#: Bytes beyond which older versions of aiohttp (before 3.14.5) decompress no piece of an answer.
_MOST_DECOMPRESSED = 1 << 25


def raise_translated(error: BaseException, guard: Guard, limits: Limits, url: str) -> NoReturn:
    """Raise the translation of an error that was just caught; never returns."""
    found = _translate(error, guard, limits, url)
    try:
        if found is error:
            raise error
        raise found from (error if isinstance(found, ProviderKitError) else found.__cause__)
    finally:
        del error, found  # avoid a reference cycle between the error and this frame, which holds the call's data


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was made from."""
    found: BaseException | None = error
    for _ in range(20):  # a chain may be circular
        if found is None:
            return
        yield found
        found = getattr(found, "os_error", None) or found.__cause__


def _translate(error: BaseException, guard: Guard, limits: Limits, url: str) -> BaseException:
    """Errors of aiohttp and sockets as ours; a cancellation stays one unless a timeout was the cause."""
    if isinstance(error, ProviderKitError):
        return error
    host = url.split("/", 3)[2]
    if isinstance(error, aiohttp.ConnectionTimeoutError) or (
        isinstance(error, asyncio.CancelledError) and guard.was_cancelled_by_clock()
    ):
        over = late(limits, time.monotonic(), streaming=guard.streaming, began=guard.began)
        if isinstance(over, DeadlineExceededError):
            return over
        if guard.queued:
            return PoolTimeoutError(f"No connection to {host} became free in time.")
        if guard.expired:
            return over
        return not_connected(host, limits)
    if not isinstance(error, Exception):
        return error
    own = callers_own(_chain(error))
    if own is not None:
        return own
    reason = _reason(error)
    if any(type(cause).__name__ == "DecompressSizeError" for cause in _chain(error)):
        return too_large(min(limits.max_bytes, _MOST_DECOMPRESSED))
    if guard.expired or isinstance(error, TimeoutError):
        return late(limits, time.monotonic(), streaming=guard.streaming, began=guard.began)
    if isinstance(error, (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError)):
        return ConfigError(f"The address of {host} cannot be used: {reason}.", hint="Check base_url and the proxy.")
    if isinstance(error, (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError)):
        return proxy_error(host, reason)
    if isinstance(error, (aiohttp.ClientConnectorSSLError, aiohttp.ClientConnectorCertificateError)):
        return certificate_error(host, reason)
    if isinstance(error, aiohttp.ClientConnectorError):
        return refused(host, reason)
    if isinstance(error, (ValueError, TypeError)) and not guard.answered:
        return ConfigError(
            f"The request to {host} cannot be written: {reason}.",
            hint="Check headers= and the API key for stray characters.",
        )
    return ResponseLostError(f"The connection to {host} broke before the answer was complete: {reason}.")


def _reason(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientResponseError):
        return f"{error.status} {' '.join(error.message.split())}"[:200]  # its message shows the URL
    inner = getattr(error, "os_error", None) or error.__cause__ or error
    if isinstance(inner, ConnectionError) and inner.errno:
        return os.strerror(inner.errno)  # asyncio's message names only the address
    if isinstance(inner, OSError) and inner.strerror:
        return str(inner.strerror)
    return one_line(str(inner)) or type(inner).__name__
