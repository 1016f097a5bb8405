"""A transport that records the headers of the last answer and when its pieces came."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provider_kit.transports.base import ByteStream, Transport
from provider_kit.wire.http import HttpRequest, HttpResponse, Limits

__all__ = ["RecordingTransport"]


class RecordingTransport:
    """Passes everything through to another transport."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        #: Headers of the last answer, names in lower case; empty before the first one.
        self.headers: dict[str, str] = {}
        self.status: int | None = None
        #: Seconds until the headers of the last answer arrived.
        self.head_seconds: float | None = None
        #: Times on the clock at which the pieces of the last stream came.
        self.arrivals: list[float] = []
        #: The last request, to be repeated on another path of the same server.
        self.request: HttpRequest | None = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._inner, name)

    def _note(self, status: int, headers: Mapping[str, str], started: float) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.head_seconds = self._inner.now() - started

    async def send(self, request: HttpRequest, limits: Limits) -> HttpResponse:
        """Send, and record."""
        started = self._inner.now()
        self.request, self.status, self.headers = request, None, {}
        response = await self._inner.send(request, limits)
        self._note(response.status, response.headers, started)
        return response

    async def open_stream(self, request: HttpRequest, limits: Limits) -> ByteStream:
        """Open, and record."""
        started = self._inner.now()
        self.request, self.status, self.headers, self.arrivals = request, None, {}, []
        stream = await self._inner.open_stream(request, limits)
        self._note(stream.status, stream.headers, started)
        return _TimedStream(stream, self)


class _TimedStream:
    """A stream that records when its pieces come."""

    def __init__(self, inner: ByteStream, owner: RecordingTransport) -> None:
        self._inner, self._owner = inner, owner
        self.status, self.headers = inner.status, inner.headers

    def progress(self) -> None:
        self._inner.progress()

    async def read(self) -> bytes:
        data = await self._inner.read()
        if data:
            self._owner.arrivals.append(self._owner.now())
        return data

    def interrupt(self) -> None:
        """End a read in another thread or task."""
        interrupt = getattr(self._inner, "interrupt", None)
        if interrupt is not None:
            interrupt()

    async def drain(self) -> None:
        await self._inner.drain()

    async def aclose(self) -> None:
        await self._inner.aclose()
