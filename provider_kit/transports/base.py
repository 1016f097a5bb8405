"""The protocol between the engine and the HTTP library underneath it.

A transport is the only code that waits. The engine awaits its methods and nothing else; a blocking
transport's methods are ``async def`` too, but block inside and never suspend (see ``drive``). A new HTTP
library is one file with these methods.

Requirements for every transport:

* errors of the library become :class:`APIConnectionError` or a subclass, which says whether the request was sent
  (:class:`ResponseLostError`) or not;
* no redirect is followed, so a credential never reaches another host;
* every wait ends: ``Limits.connect``, ``first``, ``idle`` and ``deadline`` are kept even if the server
  sends a byte now and then, and the first-content and idle timeouts are reset only by :meth:`ByteStream.progress`;
* bytes are delivered as they arrive, decompressed, and never more than ``Limits.max_bytes``;
* in every case the connection returns to its pool or is closed.

It may also have ``interrupt(limits)``, which ends the ``open_stream`` or ``send`` that was given these limits (a
``send`` only if they are ``interruptible``), and its streams ``interrupt()``, which ends a read that another thread or
task is in; both then fail as if the connection broke. Without them a stream closed from another thread or task ends
with its next bytes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

from provider_kit.errors import APIConnectionError, APITimeoutError, DeadlineExceededError, InvalidResponseError
from provider_kit.wire.http import HttpRequest, HttpResponse, Limits, is_loopback
from provider_kit.wire.redaction import redact

__all__ = [
    "Begun",
    "ByteStream",
    "Runtime",
    "Transport",
    "Wakeup",
    "certificate_error",
    "late",
    "not_connected",
    "proxy_error",
    "refused",
    "too_large",
]

T = TypeVar("T")


@runtime_checkable
class ByteStream(Protocol):
    """An answer whose body is still arriving."""

    status: int
    headers: Mapping[str, str]

    async def read(self) -> bytes:
        """The next bytes, as soon as there are any; ``b""`` at the end.

        Raises:
            APITimeoutError: The first-content or idle timeout expired.
            DeadlineExceededError: The call's deadline passed.
            APIConnectionError: The connection broke.
        """
        ...

    def progress(self) -> None:
        """Content was received: restart the idle timeout."""
        ...

    async def drain(self) -> None:
        """The answer is complete: read the little that may follow, so that the connection can be reused."""
        ...

    async def aclose(self) -> None:
        """Free the connection; a half-read one is closed. Safe to call twice."""
        ...


class Wakeup(Protocol):
    """A waiter that can be woken from any thread or event loop."""

    def wake(self) -> None:
        """End the current wait, or the next one."""
        ...

    async def wait(self, seconds: float | None) -> None:
        """Wait until woken, for ``seconds`` at most."""
        ...


class Begun(Protocol):
    """A coroutine that runs beside its caller."""

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        ...

    async def aclose(self) -> None:
        """Cancel it, if it is still running and can be cancelled. Safe to call twice."""
        ...


@runtime_checkable
class Runtime(Protocol):
    """Clocks and waits; the part of a transport that stores use."""

    #: ``blocking`` or ``asyncio``.
    kind: str

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...

    def now(self) -> float:
        """The time of a monotonic clock, in seconds."""
        ...

    def time(self) -> float:
        """Seconds since 1970."""
        ...

    def wakeup(self) -> Wakeup:
        """Create a waiter."""
        ...

    async def call_blocking(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function that may block, without blocking an event loop."""
        ...

    async def spawn(
        self, coroutine: Coroutine[Any, Any, None], seconds: float | None, ended: Callable[[], object]
    ) -> None:
        """Run a coroutine to its end, whatever happens to its caller.

        Returns when it is done, or after ``seconds``; it then continues in the background. It must not raise. ``ended``
        is called in any case, even if it was never started.
        """
        ...

    def flow(self) -> object:
        """What runs now: the thread, or the task."""
        ...

    def begin(self, thunk: Callable[[], Coroutine[Any, Any, None]]) -> Begun:
        """Run a coroutine beside the caller, as a task or in a daemon thread; it must not raise.

        It sees the context variables of its caller.
        """
        ...

    def shield(self, on: bool) -> None:
        """While ``on``, protect the spawned coroutine from being cancelled at the end of the event loop."""
        ...

    def is_loop_closed(self) -> Callable[[], bool]:
        """Return a function that tells whether the current event loop has been closed."""
        ...


@runtime_checkable
class Transport(Runtime, Protocol):
    """Everything the engine needs of the outside world."""

    async def send(self, request: HttpRequest, limits: Limits) -> HttpResponse:
        """Send a request and read the whole answer."""
        ...

    async def open_stream(self, request: HttpRequest, limits: Limits) -> ByteStream:
        """Send a request and return as soon as the answer's headers are here."""
        ...

    def run_all(
        self, thunks: Sequence[Callable[[], Awaitable[T]]], limit: int | None = None
    ) -> AsyncIterator[tuple[int, T | Exception]]:
        """Run coroutines at once, at most ``limit`` of them; yield each one's number and outcome as it ends.

        Closing the iterator early cancels the rest.
        """
        ...

    async def aclose(self) -> None:
        """Close every connection this transport opened itself."""
        ...


def late(limits: Limits, now: float, *, streaming: bool, began: bool) -> APITimeoutError:
    """The error for an expired wait, by the timeout that expired."""
    if limits.deadline is not None and now >= limits.deadline - 1e-3:
        return DeadlineExceededError("The call took longer than its total timeout.")
    if began:
        return APITimeoutError(
            f"No content arrived for {limits.idle:g} s in the middle of the stream.", retryable=False
        )
    what = "The stream delivered no content" if streaming else "There was no complete answer"
    waited = limits.first if limits.first is not None else limits.idle
    return APITimeoutError(
        f"{what} within {waited:g} s." if waited is not None else f"{what} in time.",
        retryable=False,
        hint="Raise timeout= (first_token); or look at the provider's status page."
        if streaming
        else "Raise timeout= (answer), or stream the answer with stream().",
    )


def not_connected(host: str, limits: Limits) -> APITimeoutError:
    """The error for a connection that was not established in time; nothing was sent."""
    return APITimeoutError(
        f"No connection to {host} within {limits.connect or 0:g} s.",
        hint="Check the address, the network and the proxy settings; or raise timeout=Timeout(connect=…).",
    )


def foreign_error(error: BaseException) -> str:
    """The class and text of an exception that is not this library's own, made fit for a message, without secrets."""
    return one_line(redact(f"{type(error).__name__}: {error}"))


def one_line(text: str) -> str:
    """Foreign text made fit for a message: printable, in one line, without the final full stop, shortened."""
    printable = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(printable.split()).rstrip(".")[:200]


def too_large(limit: int) -> InvalidResponseError:
    """The error for an answer beyond ``Limits.max_bytes``."""
    return InvalidResponseError(
        f"The answer is larger than {limit:,} bytes and was cut off.",
        hint="Raise HTTPConfig(max_response_bytes=…) if such an answer is expected.",
    )


def refused(host: str, reason: str) -> APIConnectionError:
    """The error for a refused connection; nothing was sent."""
    name = host.rpartition(":")[0] or host
    here = is_loopback(name.strip("[]"), unspecified=True)
    made = APIConnectionError(
        f"No connection to {host}: {reason}.",
        hint="Is the local server running, and does it listen on this port?" if here else None,
    )
    made.nobody_listens = here
    return made


def certificate_error(host: str, reason: str) -> APIConnectionError:
    """The error for a failed TLS handshake; nothing was sent, and a retry does not help."""
    return APIConnectionError(
        f"The TLS connection to {host} failed: {reason}.",
        retryable=False,
        hint="Behind a company proxy, point verify= or SSL_CERT_FILE to its CA bundle. Never switch verification off.",
    )


def proxy_error(host: str, reason: str) -> APIConnectionError:
    """The error for a proxy that is unreachable or refuses; nothing was sent."""
    return APIConnectionError(
        f"The proxy on the way to {host} cannot be used: {reason}.",
        hint="Check HTTPConfig(proxy=…) and the variables HTTPS_PROXY, ALL_PROXY, NO_PROXY.",
    )
