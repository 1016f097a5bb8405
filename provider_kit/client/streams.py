"""What ``stream()`` and ``astream()`` return: an iterator that also assembles the answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Generator, Iterator
from inspect import GEN_RUNNING, getgeneratorstate
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Self, TypeVar

from attrs import define, evolve

from provider_kit.engine.call import Call
from provider_kit.engine.handler import Handler, LiveState, Reply
from provider_kit.errors import CallCancelledError, InvalidRequestError, StructuredOutputError
from provider_kit.model.cancellation import CancelToken
from provider_kit.model.chat import ChatResponse, Chunk, Outcome, ParameterWarning, T_co
from provider_kit.model.live_display import LiveText
from provider_kit.model.messages import Message
from provider_kit.transports.drive import iterate_blocking, run_to_completion
from provider_kit.transports.loop_warning import warn_if_in_event_loop

if TYPE_CHECKING:
    from provider_kit.structured.output import OutputSpec
    from provider_kit.structured.partials import PartialValue

__all__ = ["AsyncChatStream", "ChatStream"]

Item = TypeVar("Item")


@define(eq=False)
class _Progress:
    """The state of a stream; its reader holds this, and never the stream."""

    handler: Handler
    call: Call
    state: LiveState | None = None
    #: The answer, if it came whole.
    answer: ChatResponse | None = None
    #: The chunks of a blocking stream.
    chunks: Generator[Chunk, None, None] | None = None
    #: Whether the reader has started to close it.
    closing: bool = False

    def note(self, reply: Reply) -> None:
        """Record that the answer has started."""
        self.state, self.answer = reply.state, reply.answer

    @property
    def response(self) -> ChatResponse:
        """The answer as far as it was received."""
        if self.state is not None:
            return self.state.response()
        return self.answer or ChatResponse(Message("assistant", ""), "error")

    @property
    def warnings(self) -> list[ParameterWarning]:
        """Parameters that were not sent as given; known once the first chunk has arrived."""
        if self.state is not None:
            return self.state.warnings
        return self.answer.warnings if self.answer is not None else []

    @property
    def has_ended(self) -> bool:
        """Whether the whole answer was received."""
        return self.state.end is not None and self.state.end.how == "complete" if self.state else bool(self.answer)

    def interrupt(self) -> None:
        """End a wait or read in another thread or task."""
        cancel: CancelToken | None = self.call.cancel
        if cancel is not None:
            cancel.close()


class ChatStream(Generic[T_co]):
    """A streamed answer, read by a ``for`` loop.

    Leaving the loop early frees the connection; ``with`` frees it at a defined point.
    """

    def __init__(self, handler: Handler, call: Call, output: OutputSpec | None = None) -> None:
        self._progress = _Progress(handler, call)
        self._reader = _read(self._progress)
        self._output = output
        self._typed: ChatResponse[Any] | None = None

    def __iter__(self) -> Iterator[Chunk]:
        return self._reader

    def __next__(self) -> Chunk:
        return next(self._reader)

    @property
    def response(self) -> ChatResponse[T_co]:
        """The answer assembled from what was received so far; complete once the stream has ended."""
        if self._output is None:
            return self._progress.response
        if self._typed is not None:
            return self._typed
        response = self._progress.response
        if not self._progress.has_ended:
            return unfinished(response)
        self._typed = evolve(response, outcome=run_to_completion(self._output.outcome(response)))
        return self._typed

    @property
    def warnings(self) -> list[ParameterWarning]:
        """Parameters that were not sent as given; known once the first chunk has arrived."""
        return self._progress.warnings

    def partials(self) -> Iterator[PartialValue]:
        """The value so far, each time it has grown; read the whole one from ``stream.response.parsed``.

        It is what JSON has, unchecked, and its end may be missing: texts grow, numbers and choices appear when they are
        complete. Do not change it; parts of it are shared with the next ones.

        Raises:
            InvalidRequestError: ``stream()`` was not given an ``output_type``.
        """
        from provider_kit.structured.partials import PartialView

        view = PartialView(_spec_of(self._output))
        for piece in self.text():
            yield from view.feed(piece)

    def items(self: ChatStream[list[Item]]) -> Iterator[Item]:
        """The items of a list, each as soon as it is complete; for ``output_type=list[…]``.

        Raises:
            InvalidRequestError: The ``output_type`` is no list.
            StructuredOutputError: An item, or the whole answer, does not have the form of the type.
        """
        from provider_kit.structured.partials import PartialItems

        items = PartialItems(_spec_of(self._output))
        for piece in self.text():
            yield from items.feed(piece)
        yield from self.response.parsed[items.given :]

    def text(self) -> Iterator[str]:
        """Only the pieces of text."""
        for chunk in self._reader:
            if chunk.text:
                yield chunk.text

    def _ipython_display_(self) -> None:
        """Show the answer in a notebook while it is written."""
        LiveText(self._progress.call.runtime.now).read(self.text())

    def close(self) -> None:
        """Stop and free the connection. Safe to call twice, and from another thread, whose loop ends then."""
        progress = self._progress
        progress.closing = True
        try:
            (progress.chunks or self._reader).close()
        except ValueError:  # it is being read in another thread
            progress.interrupt()

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


def _read(progress: _Progress) -> Generator[Chunk, None, None]:
    """The chunks; they end when another thread calls :meth:`ChatStream.close`."""
    warn_if_in_event_loop("stream")
    try:
        reply = run_to_completion(progress.handler.handle(progress.call))
        progress.note(reply)
        chunks = progress.chunks = iterate_blocking(reply.take_chunks())
        del reply  # this generator closes the chunks; others may hold the reply
        yield from chunks
    except CallCancelledError:
        if not progress.closing:
            raise
    except ValueError:
        # Python refuses to resume a generator that another thread runs; any other ValueError is the caller's own.
        if not progress.closing or progress.chunks is None or getgeneratorstate(progress.chunks) != GEN_RUNNING:
            raise


class AsyncChatStream(Generic[T_co]):
    """A streamed answer, read by an ``async for`` loop.

    Leaving the loop early, or cancelling the task, frees the connection; ``async with`` frees it at a defined point.
    """

    def __init__(self, handler: Handler, call: Call, output: OutputSpec | None = None) -> None:
        self._progress = _Progress(handler, call)
        self._output = output
        self._typed: ChatResponse[Any] | None = None
        self._chunks: AsyncGenerator[Chunk, None] | None = None
        self._beginning = False

    def __aiter__(self) -> AsyncIterator[Chunk]:
        return self

    def __anext__(self) -> Awaitable[Chunk]:
        # Python refuses to resume a generator that another task is closing.
        if self._progress.closing:
            return _ended()
        following = self._begin() if self._chunks is None else self._chunks.__anext__()
        return following if self._output is None else self._note_end(following, self._output)

    async def _note_end(self, following: Awaitable[Chunk], output: OutputSpec) -> Chunk:
        """The next chunk; after the last one, the answer is read as a value."""
        try:
            return await following
        except StopAsyncIteration:
            response = self._progress.response
            if self._typed is None and self._progress.has_ended:
                self._typed = evolve(response, outcome=await output.outcome(response))
            raise

    async def _begin(self) -> Chunk:
        """Send the request, and return the first chunk."""
        if self._beginning:
            raise RuntimeError("the stream is being read by another task")
        self._beginning = True
        progress = self._progress
        try:
            reply = await progress.handler.handle(progress.call)
        except BaseException as error:
            closing, progress.closing = progress.closing, True  # it has ended: nothing is sent again
            if closing and isinstance(error, CallCancelledError):
                raise StopAsyncIteration from None
            raise
        finally:
            self._beginning = False
        progress.note(reply)
        chunks = reply.take_chunks()
        if progress.closing:  # meanwhile
            await chunks.aclose()
            raise StopAsyncIteration
        self._chunks = chunks
        try:
            return await chunks.__anext__()
        finally:
            # A library below may keep an error, and with it this frame: it must not keep the stream open.
            del self, progress, reply, chunks

    @property
    def response(self) -> ChatResponse[T_co]:
        """The answer assembled from what was received so far; complete once the stream has ended."""
        if self._output is None:
            return self._progress.response
        return unfinished(self._progress.response) if self._typed is None else self._typed

    @property
    def warnings(self) -> list[ParameterWarning]:
        """Parameters that were not sent as given; known once the first chunk has arrived."""
        return self._progress.warnings

    async def partials(self) -> AsyncIterator[PartialValue]:
        """As :meth:`ChatStream.partials`."""
        from provider_kit.structured.partials import PartialView

        view = PartialView(_spec_of(self._output))
        async for piece in self.text():
            for value in view.feed(piece):
                yield value

    async def items(self: AsyncChatStream[list[Item]]) -> AsyncIterator[Item]:
        """As :meth:`ChatStream.items`."""
        from provider_kit.structured.partials import PartialItems

        items = PartialItems(_spec_of(self._output))
        async for piece in self.text():
            for item in items.feed(piece):
                yield item
        for item in self.response.parsed[items.given :]:
            yield item

    async def text(self) -> AsyncIterator[str]:
        """Only the pieces of text."""
        async for chunk in self:
            if chunk.text:
                yield chunk.text

    def _ipython_display_(self) -> None:
        """Show the answer in a notebook while it is written, beside the next cells."""
        runtime = self._progress.call.runtime
        live = LiveText(runtime.now)  # in this cell
        self._shown = runtime.begin(lambda: live.aread(self.text()))

    async def aclose(self) -> None:
        """Stop and free the connection. Safe to call twice, and from another task, whose loop ends then."""
        self._progress.closing = True
        chunks = self._chunks
        if chunks is None:
            if self._beginning:
                self._progress.interrupt()
            return
        try:
            await chunks.aclose()
        except RuntimeError:
            if not getattr(chunks, "ag_running", False):
                raise
            self._progress.interrupt()  # it is being read in another task

    def __iter__(self) -> NoReturn:
        raise TypeError("astream() is read by async for; in a plain loop write: for chunk in client.stream(…)")

    def __await__(self) -> NoReturn:
        raise TypeError("astream() is not awaited; write: async for chunk in client.astream(…)")

    def __enter__(self) -> NoReturn:
        raise TypeError("astream() goes with async with: async with client.astream(…) as stream")

    def __exit__(self, *_: object) -> None:
        """Never reached: :meth:`__aenter__` says what to write."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


def _spec_of(output: OutputSpec | None) -> OutputSpec:
    if output is None:
        raise InvalidRequestError(
            "This stream has no output_type.", hint="Pass one: client.stream('…', output_type=list[Person])."
        )
    return output


def unfinished(response: ChatResponse[Any]) -> ChatResponse[Any]:
    """An answer that is still being received, or broke off: it has no value."""
    error = StructuredOutputError(
        "The stream has not ended, so there is no value yet.",
        reason="truncated",
        response=response,
        hint="Read the stream to its end, or use partials().",
    )
    return evolve(response, outcome=Outcome(None, error))


async def _ended() -> Chunk:
    raise StopAsyncIteration
