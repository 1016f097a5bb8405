"""Streamed answers, under WSGI and under ASGI.

Django asks a streaming response for a plain iterator under WSGI, for an asynchronous one under ASGI, and reads the
wrong kind to its end before it sends a byte. The response here has both, and gives what it is asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from typing import Any

from asgiref.sync import AsyncToSync
from django.db import connections, transaction
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from provider_kit.integrations.relay_asyncio import AsyncRelay
from provider_kit.integrations.relay_blocking import BlockingRelay
from provider_kit.integrations.ui_stream import Protocol, UIAnswer, UISource, UIStreamOptions

__all__ = ["ModelStreamResponse", "astream_response", "stream_response"]


class ModelStreamResponse(StreamingHttpResponse):
    """An answer that is streamed. Which kind of iterator it is, is decided by who iterates."""

    def __init__(
        self, answer: UIAnswer, relay: BlockingRelay | AsyncRelay | None, status: int, headers: Mapping[str, str]
    ) -> None:
        self._answer = answer
        self._relay = relay
        super().__init__((), status=status, headers=dict(headers))
        self._wrapped: Any = None
        # GZipMiddleware holds back what it compresses, and leaves alone what has an encoding.
        self["Content-Encoding"] = "identity"

    @property
    def is_async(self) -> bool:  # type: ignore[override]  # Django sets it in the setter that is replaced below
        """Which kind of iterator ``streaming_content`` is, for middleware that asks."""
        content = self._wrapped
        if content is not None:
            return hasattr(content, "__aiter__")
        return isinstance(self._relay, AsyncRelay) or _in_event_loop()

    @property
    def streaming_content(self) -> Any:
        """The pieces. Middleware may wrap them, and put the result in their place."""
        if self._wrapped is not None:
            return self._wrapped
        return self._awaited() if self.is_async else self._blocking()

    @streaming_content.setter
    def streaming_content(self, value: Any) -> None:
        self._wrapped = value

    def _blocking(self) -> Iterator[bytes]:
        relay = self._relay
        if isinstance(relay, AsyncRelay):
            raise TypeError("the answer of astream_response() is served under ASGI; under WSGI use stream_response()")
        if relay is None:
            relay = self._relay = BlockingRelay(self._answer, _close_connections)
        return iter(relay)

    def _awaited(self) -> AsyncGenerator[bytes, None]:
        relay = self._relay
        if isinstance(relay, AsyncRelay):
            return relay.__aiter__()
        made = AsyncRelay(self._answer, relay)
        if relay is None:
            self._relay = made
        return made.__aiter__()

    def __iter__(self) -> Iterator[bytes]:
        return self._blocking() if self._wrapped is None else iter(self._wrapped)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pieces: Any = self._awaited() if self._wrapped is None else self._wrapped
        if not hasattr(pieces, "__aiter__"):  # a plain middleware has wrapped them
            pieces = _in_threads(iter(pieces))
        try:
            async for piece in pieces:
                yield piece
        finally:
            close = getattr(pieces, "aclose", None)
            if close is not None:
                await close()

    def close(self) -> None:
        """Close the call upstream."""
        if isinstance(self._relay, BlockingRelay):
            self._relay.close()
        elif self._relay is not None:
            self._relay.cancel()
        super().close()


async def _in_threads(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece


def _close_connections() -> None:
    """The thread that has read has its own connections to the database, if tools have used it."""
    connections.close_all()


def stream_response(stream: Any, protocol: Protocol = "sse", **options: Any) -> HttpResponseBase:
    """Answer a request with a stream; return it from a plain view, under WSGI or ASGI.

    An error before the first content has a status of its own (429, 502, 504 …), unless a transaction is open here,
    which must not wait for a model; a later one is an event of the stream. Middleware does not compress it. Under WSGI
    a reader who leaves is noticed with the next piece or ping; the call upstream is closed.

    Args:
        stream: ``client.stream(…)``, ``client.stream_run(…)``, ``talk.stream(…)``, or an iterator of chunks, events of
            a run, or texts. One for asyncio is accepted: under ASGI it runs in the event loop, else in one of its own.
        protocol: ``sse``, ``openai``, ``vercel`` or ``text``.
        options: Fields of :class:`~provider_kit.integrations.ui_stream.UIStreamOptions`: ``headers=``, ``ping=`` …

    Raises:
        ConfigError: It is no stream, or an option is wrong.
    """
    answer = UIAnswer(UISource(stream), UIStreamOptions(protocol=protocol, **options))
    if _in_event_loop() or answer.source.asynchronous or transaction.get_connection().in_atomic_block:
        return ModelStreamResponse(answer, None, 200, answer.headers)
    return _begun(answer)


async def astream_response(stream: Any, protocol: Protocol = "sse", **options: Any) -> HttpResponseBase:
    """As :func:`stream_response`, for an ``async`` view: ``return await astream_response(client.astream("Hello"))``."""
    answer = UIAnswer(UISource(stream), UIStreamOptions(protocol=protocol, **options))
    if _is_temporary():  # an async view under WSGI: its loop ends with the view
        return await asyncio.to_thread(_begun, answer)
    relay = AsyncRelay(answer)
    return _response(answer, relay, await relay.begin())


def _begun(answer: UIAnswer) -> HttpResponseBase:
    relay = BlockingRelay(answer, _close_connections)
    return _response(answer, relay, relay.begin())


def _response(
    answer: UIAnswer,
    relay: BlockingRelay | AsyncRelay,
    begun: tuple[int, Mapping[str, str], bytes | None],
) -> HttpResponseBase:
    status, told, body = begun
    if body is not None:
        return HttpResponse(body, status=status, headers=told)
    return ModelStreamResponse(answer, relay, status, told)


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _is_temporary() -> bool:
    """Whether the running loop was made by ``async_to_sync`` for this view only, as under WSGI."""
    return asyncio.get_running_loop() in getattr(AsyncToSync, "loop_thread_executors", {})
