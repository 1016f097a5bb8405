"""A streamed turn of a conversation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, Generic, NoReturn

from provider_kit.conversations.turns import Turn
from provider_kit.errors import InvalidRequestError
from provider_kit.model.chat import Chunk, T_co
from provider_kit.model.closing import AsyncClosing, BlockingClosing, aclose_generator, close_generator
from provider_kit.model.live_display import LiveText
from provider_kit.tools.result import RunResult
from provider_kit.tools.run_events import RunEvent
from provider_kit.transports.drive import iterate_blocking

__all__ = ["AsyncConversationStream", "ConversationStream"]


class _Base(Generic[T_co]):
    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._generator: Any = None
        #: Whether a loop was left, which ended the turn.
        self._left = False

    @property
    def response(self) -> RunResult[T_co]:
        """The answer, once the loop has ended; of a turn that was left, what was received."""
        turn = self._turn
        if turn.result is not None:
            return turn.result
        if turn.run is None:
            raise InvalidRequestError("The turn has not begun.", hint="Read the stream first.")
        return turn.run.result()

    @contextmanager
    def _noticing_exit(self) -> Iterator[None]:
        try:
            yield
        except GeneratorExit:
            self._left = True
            raise

    def _started(self, as_chunks: bool) -> Any:
        if self._left:
            raise InvalidRequestError(
                "The loop over this stream was left, and so its turn has ended.",
                hint="To read on later, keep one iterator: pieces = iter(stream); or pieces = aiter(stream).",
            )
        if self._generator is None:
            self._turn.as_chunks = as_chunks
            self._generator = self._turn.events()
        return self._generator


class ConversationStream(BlockingClosing, _Base[T_co]):
    """A streamed turn: ``for chunk in talk.stream("…")``. Tools run between the chunks.

    Leaving the loop early frees the connection; what was received stays in the conversation, marked as incomplete.
    """

    def __init__(self, turn: Turn) -> None:
        super().__init__(turn)
        self._iterator: Iterator[Any] | None = None

    def _read(self, as_chunks: bool) -> Iterator[Any]:
        generator = self._started(as_chunks)
        if self._iterator is None:
            self._iterator = iterate_blocking(generator, "stream")
        return self._iterator

    def __iter__(self) -> Iterator[Chunk]:
        try:
            with self._noticing_exit():
                for event in self._read(True):
                    if type(event) is Chunk:
                        yield event
        finally:
            self.close()  # the next turn waits for the end of this one

    def events(self) -> Iterator[RunEvent]:
        """Everything that happens: pieces of text, calls as they are written, progress and results of tools."""
        try:
            with self._noticing_exit():
                yield from self._read(False)
        finally:
            self.close()

    def text(self) -> Iterator[str]:
        """Only the pieces of text."""
        for chunk in self:
            if chunk.text:
                yield chunk.text

    def _ipython_display_(self) -> None:
        """Show the answer in a notebook while it is written."""
        LiveText(self._turn.runtime.now).read(self.text())

    def interrupt(self) -> None:
        """End a turn that another thread is reading: its loop raises :class:`CallCancelledError`.

        A tool that is running is not interrupted; nothing is asked after it.
        """
        self._turn.interrupt()

    def close(self) -> None:
        """End the turn. Safe to call twice."""
        closing: Any = self._iterator
        if closing is not None:
            close_generator(closing)

    def __aiter__(self) -> NoReturn:
        raise TypeError("stream() is read by a plain loop; in asyncio write: async for chunk in talk.astream(…)")


class AsyncConversationStream(AsyncClosing, _Base[T_co]):
    """A streamed turn: ``async for chunk in talk.astream("…")``. Tools run between the chunks."""

    async def __aiter__(self) -> AsyncIterator[Chunk]:
        generator = self._started(True)
        try:
            with self._noticing_exit():
                async for event in generator:
                    if type(event) is Chunk:
                        yield event
        finally:
            await generator.aclose()

    async def events(self) -> AsyncIterator[RunEvent]:
        """As :meth:`ConversationStream.events`."""
        generator = self._started(False)
        try:
            with self._noticing_exit():
                async for event in generator:
                    yield event
        finally:
            await generator.aclose()

    async def text(self) -> AsyncIterator[str]:
        """Only the pieces of text."""
        async for chunk in self:
            if chunk.text:
                yield chunk.text

    def _ipython_display_(self) -> None:
        """Show the answer in a notebook while it is written, beside the next cells."""
        runtime = self._turn.runtime
        live = LiveText(runtime.now)  # in this cell
        self._shown = runtime.begin(lambda: live.aread(self.text()))

    async def aclose(self) -> None:
        """End the turn. Safe to call twice."""
        if self._generator is not None:
            await aclose_generator(self._generator)

    def __iter__(self) -> NoReturn:
        raise TypeError("astream() is read by async for; in a plain loop write: for chunk in talk.stream(…)")
