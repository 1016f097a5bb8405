"""Distinguishes an exception of the caller from one of the HTTP library.

A signal handler may raise anything at any time (Celery's soft time limit, RQ's job timeout, a user's watchdog), while
connecting, during a handshake, or while reading. Such an exception is not a connection failure: it reaches the caller
unchanged and causes no retry. HTTP libraries do not know this and wrap whatever looks like a socket error.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable
from types import CodeType, TracebackType
from typing import Any

__all__ = ["callers_own"]

#: Modules whose exceptions concern the connection, or are raised by the library itself.
_KNOWN = frozenset(
    (
        *(
            "builtins",
            "provider_kit",
            "requests",
            "urllib3",
            "aiohttp",
            "aiohappyeyeballs",
            "asyncio",
            "http",
            "socket",
        ),
        *("ssl", "_ssl", "select", "queue", "_queue", "socks", "python_socks", "aiohttp_socks", "idna", "email"),
        *(
            "zlib",
            "gzip",
            "brotli",
            "brotlicffi",
            "zstandard",
            "compression",
            "struct",
            "binascii",
            "multidict",
            "yarl",
        ),
        *("concurrent", "encodings", "OpenSSL", "cryptography", "certifi", "responses", "aioresponses", "uvloop"),
        *("async_timeout", "charset_normalizer", "json"),
    )
)


def callers_own(causes: Iterable[BaseException]) -> BaseException | None:
    """The caller's own exception among an error and its causes, if there is one.

    It is recognised by its class, which belongs to none of these libraries, or by a signal handler in its traceback.
    """
    handlers: frozenset[CodeType] | None = None
    for error in causes:
        if type(error).__module__.partition(".")[0] not in _KNOWN:
            return error
        if type(error).__module__ != "builtins":
            continue
        if handlers is None:
            handlers = _handlers()
        if handlers and _passed_through(error.__traceback__, handlers):
            return error
    return None


def _handlers() -> frozenset[CodeType]:
    """The code objects of the installed signal handlers."""
    found = set()
    for number in signal.valid_signals():
        try:
            handler = signal.getsignal(number)
        except (ValueError, OSError):
            continue
        code = _code_of(handler) if callable(handler) and handler is not signal.default_int_handler else None
        if code is not None:
            found.add(code)
    return frozenset(found)


def _code_of(handler: Callable[..., Any]) -> CodeType | None:
    for candidate in (handler, getattr(handler, "func", None), type(handler).__call__):
        code = getattr(getattr(candidate, "__func__", candidate), "__code__", None)
        if isinstance(code, CodeType):
            return code
    return None


def _passed_through(traceback: TracebackType | None, handlers: frozenset[CodeType]) -> bool:
    while traceback is not None:
        if traceback.tb_frame.f_code in handlers:
            return True
        traceback = traceback.tb_next
    return False
