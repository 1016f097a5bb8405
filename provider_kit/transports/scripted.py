"""A transport for tests with a list of answers: no socket, no real clock, no waiting.

>>> from provider_kit.transports import ScriptedTransport
>>> transport = ScriptedTransport([{"json": {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}}])
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from provider_kit.model.json_text import dumps
from provider_kit.transports.drive import run_to_completion
from provider_kit.wire.http import Download, HttpRequest, HttpResponse, Limits

__all__ = ["ScriptedTransport"]

T = TypeVar("T")


class ScriptedTransport:
    """Answers each request with the next entry of a script, and records the requests.

    An entry is an exception to raise, a function of the request that returns an entry, or a dict with
    ``status`` (200), ``headers``, and one of ``json``, ``body`` (bytes) or ``stream`` (a list of bytes or
    of exceptions, delivered one by one).

    The same object serves the blocking and the asyncio API. Its clock moves only by ``sleep``.

    Args:
        script: The entries; the last one is repeated if ``repeat`` is true.
    """

    kind = "scripted"

    def __init__(self, script: Iterable[Any], *, repeat: bool = False) -> None:
        self._script = list(script)
        self._repeat = repeat
        #: Every request, oldest first.
        self.requests: list[HttpRequest] = []
        #: Every wait, in seconds, oldest first.
        self.sleeps: list[float] = []
        self._now = 1000.0
        self.closed = False
        #: Streams that were opened and not yet closed.
        self.open_streams = 0

    def _next(self, request: HttpRequest) -> dict[str, Any]:
        self.requests.append(request)
        if not self._script:
            raise AssertionError(f"the script has no answer left for {request.method} {request.url}")
        entry = self._script[0] if self._repeat and len(self._script) == 1 else self._script.pop(0)
        if callable(entry) and not isinstance(entry, type):
            entry = entry(request)
        if isinstance(entry, BaseException):
            raise entry
        return dict(entry)

    async def send(self, request: HttpRequest, limits: Limits) -> HttpResponse:
        """The next answer, whole."""
        entry = self._next(request)
        return HttpResponse(entry.get("status", 200), _headers(entry), _body(entry))

    async def download(self, url: str) -> Download:
        """The next answer, as a file."""
        entry = self._next(HttpRequest("GET", url, {}))
        kind = _headers(entry).get("content-type")
        return Download(_body(entry), kind, url.partition("?")[0].rsplit("/", 1)[-1])

    async def open_stream(self, request: HttpRequest, limits: Limits) -> _ScriptedStream:
        """The next answer, piece by piece."""
        entry = self._next(request)
        pieces = entry["stream"] if "stream" in entry else [_body(entry)]
        self.open_streams += 1
        return _ScriptedStream(self, entry.get("status", 200), _headers(entry), list(pieces))

    async def sleep(self, seconds: float) -> None:
        """Move the clock."""
        self.sleeps.append(seconds)
        self._now += seconds

    def now(self) -> float:
        """The scripted clock."""
        return self._now

    def wakeup(self) -> _ScriptedWaiter:
        """Create a waiter that moves the clock instead of waiting."""
        return _ScriptedWaiter(self)

    def time(self) -> float:
        """The scripted clock, as seconds since 1970."""
        return 1_800_000_000.0 + self._now

    async def run_all(
        self, thunks: Sequence[Callable[[], Awaitable[T]]], limit: int | None = None
    ) -> AsyncIterator[tuple[int, T | Exception]]:
        """One after the other."""
        for number, thunk in enumerate(thunks):
            try:
                yield number, await thunk()
            except Exception as error:
                yield number, error

    def interrupt(self, limits: Limits) -> None:
        """Nothing waits here."""

    async def call_blocking(self, function: Callable[..., T], *args: Any) -> T:
        """Call directly."""
        return function(*args)

    def flow(self) -> object:
        """There is only one."""
        return self

    def begin(self, thunk: Callable[[], Coroutine[Any, Any, None]]) -> _Done:
        """Run it at once."""
        run_to_completion(thunk())
        return _Done()

    def shield(self, on: bool) -> None:
        """Nothing to do."""

    async def spawn(
        self, coroutine: Coroutine[Any, Any, None], seconds: float | None, ended: Callable[[], object]
    ) -> None:
        """Await it directly."""
        await coroutine

    def is_loop_closed(self) -> Callable[[], bool]:
        """Never."""
        return bool

    async def aclose(self) -> None:
        """Record that it was closed."""
        self.closed = True


class _Done:
    done = True

    async def aclose(self) -> None:
        """Nothing to do."""


class _ScriptedWaiter:
    def __init__(self, transport: ScriptedTransport) -> None:
        self._transport = transport
        self._woken = False

    def wake(self) -> None:
        self._woken = True

    async def wait(self, seconds: float | None) -> None:
        if not self._woken:
            await self._transport.sleep(seconds or 0.0)
        self._woken = False


def _headers(entry: Mapping[str, Any]) -> dict[str, str]:
    streamed = "stream" in entry
    headers = {"content-type": "text/event-stream" if streamed else "application/json"}
    headers.update({name.lower(): value for name, value in (entry.get("headers") or {}).items()})
    return headers


def _body(entry: Mapping[str, Any]) -> bytes:
    if "json" in entry:
        return dumps(entry["json"])
    if "stream" in entry:
        return b"".join(piece for piece in entry["stream"] if isinstance(piece, bytes))
    body = entry.get("body", b"")
    return body.encode() if isinstance(body, str) else bytes(body)


class _ScriptedStream:
    def __init__(
        self, transport: ScriptedTransport, status: int, headers: Mapping[str, str], pieces: list[Any]
    ) -> None:
        self.status = status
        self.headers = headers
        self._transport = transport
        self._pieces = pieces
        self._open = True

    async def read(self) -> bytes:
        while self._pieces:
            piece = self._pieces.pop(0)
            if isinstance(piece, BaseException):
                raise piece
            if piece:
                return bytes(piece)
        return b""

    def progress(self) -> None:
        """Nothing to time."""

    def interrupt(self) -> None:
        """Nothing waits here."""

    async def drain(self) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        if self._open:
            self._open = False
            self._transport.open_streams -= 1
