"""What ``stream()`` and ``astream()`` return: an iterator that can also tell the assembled answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from types import TracebackType
from typing import Self

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

    def __iter__(self) -> Iterator[Chunk]:
        return self._chunks

    def __next__(self) -> Chunk:
        return next(self._chunks)

    @property
    def response(self) -> ChatResponse:
        """The answer assembled from what was received so far; whole once the stream has ended."""
        return self._state.response()

    @property
    def warnings(self) -> list[ParameterWarning]:
        """What was asked for and is not sent as asked."""
        return self._state.notes.warnings

    def text(self) -> Iterator[str]:
        """Only the pieces of text."""
        for chunk in self._chunks:
            if chunk.text:
                yield chunk.text

    def close(self) -> None:
        """Stop and free the connection. Safe to call twice."""
        self._chunks.close()
        run_to_completion(self._source.aclose())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class AsyncChatStream:
    """A streamed answer, read by an ``async for`` loop.

    Leaving the loop early, or cancelling the task, frees the connection; ``async with`` makes that
    certain at a given point.
    """

    def __init__(self, state: StreamState) -> None:
        self._state = state
        self._chunks: AsyncGenerator[Chunk, None] = stream(state)

    def __aiter__(self) -> AsyncIterator[Chunk]:
        return self._chunks

    async def __anext__(self) -> Chunk:
        return await self._chunks.__anext__()

    @property
    def response(self) -> ChatResponse:
        """The answer assembled from what was received so far; whole once the stream has ended."""
        return self._state.response()

    @property
    def warnings(self) -> list[ParameterWarning]:
        """What was asked for and is not sent as asked."""
        return self._state.notes.warnings

    async def text(self) -> AsyncIterator[str]:
        """Only the pieces of text."""
        async for chunk in self._chunks:
            if chunk.text:
                yield chunk.text

    async def aclose(self) -> None:
        """Stop and free the connection. Safe to call twice."""
        await self._chunks.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()
