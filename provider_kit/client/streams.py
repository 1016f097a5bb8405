"""What ``stream()`` and ``astream()`` return: an iterator that can also tell the assembled answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Generator, Iterator
from types import TracebackType
from typing import NoReturn, Self

from provider_kit.engine.stream import StreamState, stream
from provider_kit.model.chat import ChatResponse, Chunk, ParameterWarning
from provider_kit.transports.drive import iterate_blocking, run_to_completion

__all__ = ["AsyncChatStream", "ChatStream"]


class ChatStream:
    """A streamed answer, read by a ``for`` loop.

    Leaving the loop early frees the connection; ``with`` makes that certain at a given point.
    """

    def __init__(self, state: StreamState) -> None:
        self._state = state
        self._source: AsyncGenerator[Chunk, None] = stream(state)
        self._chunks: Generator[Chunk, None, None] = iterate_blocking(self._source)  # type: ignore[assignment]  # it is a generator
        self._reader = _read(self._chunks, state)

    def __iter__(self) -> Iterator[Chunk]:
        return self._reader

    def __next__(self) -> Chunk:
        return next(self._reader)

    @property
    def response(self) -> ChatResponse:
        """The answer assembled from what was received so far; whole once the stream has ended."""
        return self._state.response()

    @property
    def warnings(self) -> list[ParameterWarning]:
        """What was asked for and is not sent as asked."""
        return self._state.report.warnings

    def text(self) -> Iterator[str]:
        """Only the pieces of text."""
        for chunk in self._reader:
            if chunk.text:
                yield chunk.text

    def close(self) -> None:
        """Stop and free the connection. Safe to call twice, and from another thread, whose loop ends then."""
        self._state.closing = True
        try:
            self._chunks.close()
        except ValueError:  # it is being read in another thread
            self._state.interrupt()
            return
        run_to_completion(self._source.aclose())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __aiter__(self) -> NoReturn:
        raise TypeError("stream() is read by a plain loop; for async for, write: async for chunk in client.astream(…)")

    async def __aenter__(self) -> NoReturn:
        raise TypeError("stream() goes with a plain with; in asyncio write: async with client.astream(…) as stream")

    async def __aexit__(self, *_: object) -> None:
        """Never reached: :meth:`__aenter__` says what to write."""

    def __await__(self) -> NoReturn:
        raise TypeError("stream() is not awaited; in asyncio write: async for chunk in client.astream(…)")


def _read(chunks: Generator[Chunk, None, None], state: StreamState) -> Iterator[Chunk]:
    """The chunks; they end when another thread calls :meth:`ChatStream.close`."""
    try:
        yield from chunks
    except ValueError as error:
        # Python refuses to resume a generator that another thread runs; any other ValueError is the caller's own.
        if not state.closing or str(error) != "generator already executing":
            raise


async def _ended() -> Chunk:
    raise StopAsyncIteration


class AsyncChatStream:
    """A streamed answer, read by an ``async for`` loop.

    Leaving the loop early, or cancelling the task, frees the connection; ``async with`` makes that
    certain at a given point.
    """

    def __init__(self, state: StreamState) -> None:
        self._state = state
        self._chunks: AsyncGenerator[Chunk, None] = stream(state)

    def __aiter__(self) -> AsyncIterator[Chunk]:
        return self

    def __anext__(self) -> Awaitable[Chunk]:
        # Python refuses to resume a generator that another task is closing.
        return _ended() if self._state.closing else self._chunks.__anext__()

    @property
    def response(self) -> ChatResponse:
        """The answer assembled from what was received so far; whole once the stream has ended."""
        return self._state.response()

    @property
    def warnings(self) -> list[ParameterWarning]:
        """What was asked for and is not sent as asked."""
        return self._state.report.warnings

    async def text(self) -> AsyncIterator[str]:
        """Only the pieces of text."""
        async for chunk in self:
            if chunk.text:
                yield chunk.text

    async def aclose(self) -> None:
        """Stop and free the connection. Safe to call twice, and from another task, whose loop ends then."""
        self._state.closing = True
        try:
            await self._chunks.aclose()
        except RuntimeError:
            if not getattr(self._chunks, "ag_running", False):
                raise
            self._state.interrupt()  # it is being read in another task

    def __iter__(self) -> NoReturn:
        raise TypeError("astream() is read by async for; in a plain loop write: for chunk in client.stream(…)")

    def __await__(self) -> NoReturn:
        raise TypeError("astream() is not awaited; write: async for chunk in client.astream(…)")

    def __enter__(self) -> NoReturn:
        raise TypeError("astream() goes with async with: async with client.astream(…) as stream")

    def __exit__(self, *_: object) -> None:
        """Never reached: :meth:`__enter__` says what to write."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()
