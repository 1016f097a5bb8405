"""Handlers: a handler takes a call and returns a reply. A provider's engine is one; middleware wraps one and is one.

A reply is a whole answer, or a live one: a generator that was started and paused at its first content. Returning it is
the commit point: before it the handler of the call owns what the attempt holds, after it the generator does.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol, TypeAlias

from attrs import define, field

from provider_kit.engine.call import Call
from provider_kit.engine.live_answers import (
    End,
    LiveState,
    MappedState,
    OwnState,
    PipedChunks,
    cut_up,
    mapped_chunks,
    own_chunks,
    run_on_end,
    without_mark,
)
from provider_kit.model.chat import ChatResponse, Chunk

__all__ = [
    "CallNext",
    "End",
    "Handler",
    "LiveState",
    "Middleware",
    "Reply",
]


@define(eq=False)
class Reply:
    """The result of a handler.

    Args:
        answer: A whole answer.
        state: The state of a live answer.
        chunks: The started generator of a live answer.
    """

    answer: Any = field(default=None, repr=False)
    state: LiveState | None = None
    _chunks: AsyncGenerator[Any, None] | None = field(default=None, repr=False)
    _unstarted: AsyncGenerator[Any, None] | None = field(default=None, init=False, repr=False)

    def on_end(self, function: Callable[[End], object]) -> None:
        """Register a function that is called when the reply ends; at once, if it has.

        It may be called in any thread, also by the garbage collector, so it must neither wait nor raise. Exceptions are
        logged.
        """
        state = self.state
        if state is None:
            answer = self.answer
            run_on_end([function], End("complete", None, lambda: answer))
        elif state.end is not None:
            run_on_end([function], state.end)
        else:
            state.on_end.append(function)

    def map(
        self,
        function: Callable[[Chunk], Chunk | Sequence[Chunk]] | None = None,
        *,
        answer: Callable[[ChatResponse], ChatResponse] | None = None,
    ) -> None:
        """Change what is received, as it arrives.

        Args:
            function: Called with each chunk of a live answer; returns it, another one, or a list of chunks. The last
                chunk has a ``finish_reason``. A whole answer has no chunks.
            answer: Called with the answer, whole or assembled from a stream, as far as it was received; returns it or
                another one. It may be called several times, and must not change the one it is given.
        """
        if self.state is None:
            if answer is not None and isinstance(self.answer, ChatResponse):
                self.answer = answer(self.answer)
        elif self._chunks is not None:
            self.pipe(lambda chunks: mapped_chunks(chunks, function, answer), answer=answer)

    def pipe(
        self,
        function: Callable[[AsyncGenerator[Chunk, None]], AsyncGenerator[Chunk, None]],
        *,
        answer: Callable[[ChatResponse], ChatResponse] | None = None,
    ) -> None:
        """Let the chunks of a live answer pass through an asynchronous generator of yours; for hooks that are awaited.

        Args:
            function: From chunks to chunks.
            answer: As in :meth:`map`.
        """
        if self._chunks is not None and self.state is not None:
            self._chunks = PipedChunks(function(self._chunks), self._chunks)
            if answer is not None:
                self.state = MappedState(self.state, answer)

    @classmethod
    def live(cls, chunks: Iterable[Chunk | str] | AsyncIterable[Chunk | str]) -> Reply:
        """A live answer of your own.

        Args:
            chunks: Chunks or pieces of text; they end with their source. In blocking calls an asynchronous source must
                not wait for anything.
        """
        state = OwnState()
        made = cls(None, state, own_chunks(state, chunks))
        made._unstarted = made._chunks
        return made

    async def start(self) -> None:
        """Fetch the first chunk of a live answer of your own, so that it is closed even if it is never read."""
        unstarted, self._unstarted = self._unstarted, None
        if unstarted is not None:
            await anext(unstarted)  # its first item only marks that it has begun

    def take_chunks(self) -> AsyncGenerator[Chunk, None]:
        """Take over the chunks of the answer. The caller must close them; the reply no longer does."""
        chunks, self._chunks = self._chunks, None
        if chunks is None:
            return cut_up(self.answer)
        return chunks if self._unstarted is None else without_mark(chunks)

    async def gather(self) -> Any:
        """Return the whole answer; a live one is read to its end."""
        if self.state is None:
            return self.answer
        chunks = self.take_chunks()
        try:
            async for _ in chunks:
                pass
        finally:
            await chunks.aclose()
        return self.state.response()

    async def aclose(self) -> None:
        """Release what the reply holds without reading it. Safe to call twice."""
        chunks, self._chunks = self._chunks, None
        if chunks is not None:
            await chunks.aclose()


class Handler(Protocol):
    """Answers calls."""

    async def handle(self, call: Call) -> Reply:
        """Answer a call.

        Raises:
            ProviderKitError: It cannot be answered.
        """
        ...


#: Passes a call on to the next handler; may be awaited never, once, or several times.
CallNext: TypeAlias = Callable[[Call], Awaitable[Reply]]


class Middleware(Protocol):
    """Protocol of middleware: written once for blocking and asyncio calls, chats and streams."""

    async def __call__(self, call: Call, call_next: CallNext, /) -> Reply:
        """Answer a call, usually by ``await call_next(call)``."""
        ...
