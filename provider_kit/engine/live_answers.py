"""Answers that are still arriving: their states, how they end, and what changes them on their way."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable, Sequence
from typing import Any, Literal, Protocol

from attrs import define, field

from provider_kit.dialects.assembly import ToolCallAssembly
from provider_kit.errors import ConfigError, StreamError
from provider_kit.model.chat import ChatResponse, Chunk, FinishReason, ParameterWarning, ToolCallDelta
from provider_kit.model.media import Media
from provider_kit.model.messages import Message, Native, Part, Refusal, Text, Thinking
from provider_kit.model.usage import Usage

__all__ = [
    "End",
    "LiveState",
    "MappedState",
    "OwnState",
    "PipedChunks",
    "as_chunks",
    "cut_up",
    "mapped_chunks",
    "own_chunks",
    "run_on_end",
    "without_mark",
]

_LOG = logging.getLogger("provider_kit")
_END: Any = object()


@define
class End:
    """How a reply has ended."""

    #: ``complete``; ``failed``: it broke off; ``left``: the reader stopped, or was cancelled.
    how: Literal["complete", "failed", "left"]
    #: What went wrong.
    error: BaseException | None = None
    _assemble: Callable[[], Any] | None = field(default=None, repr=False)

    @property
    def response(self) -> Any:
        """The answer as far as it was received; computed on access."""
        return None if self._assemble is None else self._assemble()


class LiveState(Protocol):
    """The state of an answer that is still arriving; it does not refer to the reply."""

    #: Functions that are called when it has ended.
    on_end: list[Callable[[End], object]]

    @property
    def end(self) -> End | None:
        """How it ended, once it has."""
        ...

    @property
    def warnings(self) -> list[ParameterWarning]:
        """Parameters that were not sent as given."""
        ...

    def response(self) -> ChatResponse:
        """The answer as far as it was received."""
        ...


def run_on_end(functions: Sequence[Callable[[End], object]], end: End) -> None:
    """Call functions with the end of a reply."""
    for function in functions:
        try:
            function(end)
        except Exception:  # a function of the user's may raise anything, and the reply has ended already
            _LOG.exception("on_end failed on a reply that is %s; nothing else is affected.", end.how)


async def cut_up(answer: ChatResponse) -> AsyncGenerator[Chunk, None]:
    """The chunks of a whole answer."""
    for chunk in as_chunks(answer):
        yield chunk


def as_chunks(answer: ChatResponse) -> list[Chunk]:
    """A whole answer as the chunks of a stream; the last one has the finish reason."""
    calls = [
        ToolCallDelta(position, call.id, call.name, call.arguments_json)
        for position, call in enumerate(answer.tool_calls)
    ]
    others: list[Part] = [part for part in answer.message.parts if isinstance(part, (Media, Native))]
    content = Chunk(
        answer.text,
        answer.raw,
        answer.thinking,
        calls or None,
        answer.refusal or "",
        parts=others or None,
        citations=answer.citations or None,
    )
    last = Chunk("", answer.raw, finish_reason=answer.finish_reason, usage=answer.usage)
    return [content, last] if content.has_content else [last]


# ------------------------------------------------------------------------------------------------ changed on its way


class MappedState:
    """The state of a live answer whose assembled response is changed.

    Args:
        inner: The state.
        answer: Changes the response.
    """

    def __init__(self, inner: LiveState, answer: Callable[[ChatResponse], ChatResponse]) -> None:
        self._inner = inner
        self._answer = answer
        self.on_end: list[Callable[[End], object]] = []
        inner.on_end.append(self._ended)

    def _ended(self, end: End) -> None:
        functions, self.on_end = self.on_end, []
        if functions:
            run_on_end(functions, self._changed(end))

    def _changed(self, end: End) -> End:
        return End(end.how, end.error, self.response)

    @property
    def end(self) -> End | None:
        """How it ended, once it has."""
        end = self._inner.end
        return None if end is None else self._changed(end)

    @property
    def warnings(self) -> list[ParameterWarning]:
        """Parameters that were not sent as given."""
        return self._inner.warnings

    def response(self) -> ChatResponse:
        """The answer as far as it was received."""
        return self._answer(self._inner.response())


class PipedChunks(AsyncGenerator[Chunk, None]):
    """Chunks that pass through another generator; closing it closes both, even before the first chunk was read.

    Args:
        outer: The generator that reads the inner one.
        inner: The chunks as they were.
    """

    def __init__(self, outer: AsyncGenerator[Chunk, None], inner: AsyncGenerator[Chunk, None]) -> None:
        self._outer, self._inner = outer, inner

    def __anext__(self) -> Coroutine[Any, Any, Chunk]:
        return self._outer.__anext__()

    def asend(self, value: None) -> Coroutine[Any, Any, Chunk]:
        """Send a value, as to any generator."""
        return self._outer.asend(value)

    def athrow(self, *error: Any) -> Coroutine[Any, Any, Chunk]:
        """Raise an error inside."""
        return self._outer.athrow(*error)

    async def aclose(self) -> None:
        """Close both."""
        try:
            await self._outer.aclose()
        finally:
            await self._inner.aclose()

    @property
    def ag_running(self) -> bool:
        """Whether it is being read at this moment."""
        return bool(getattr(self._outer, "ag_running", False))


async def mapped_chunks(
    chunks: AsyncGenerator[Chunk, None],
    function: Callable[[Chunk], Chunk | Sequence[Chunk]] | None,
    answer: Callable[[ChatResponse], ChatResponse] | None,
) -> AsyncGenerator[Chunk, None]:
    """Chunks, each changed by a function, and the part that was received if they break off.

    Raises:
        ConfigError: The function returned nothing.
    """
    try:
        async for chunk in chunks:
            changed = chunk if function is None else function(chunk)
            if isinstance(changed, Chunk):
                yield changed
            elif isinstance(changed, (list, tuple)):
                for one in changed:
                    yield one
            else:
                raise ConfigError(
                    f"A function of reply.map() returned {'nothing' if changed is None else type(changed).__name__}.",
                    hint="Return the chunk, another one, or a list of chunks; [] for none.",
                )
    except StreamError as error:
        if answer is not None and isinstance(error.partial, ChatResponse):
            error.partial = answer(error.partial)
        raise
    finally:
        await chunks.aclose()


# ------------------------------------------------------------------------------------------------ of your own


class OwnState:
    """The state of a live answer whose chunks come from elsewhere than a provider."""

    def __init__(self) -> None:
        self.on_end: list[Callable[[End], object]] = []
        self.end: End | None = None
        self.warnings: list[ParameterWarning] = []
        self._chunks: list[Chunk] = []

    def add(self, chunk: Chunk) -> None:
        """Note a chunk that is delivered."""
        self._chunks.append(chunk)

    def ended(self, how: Literal["complete", "failed", "left"], error: BaseException | None) -> None:
        """Note how it ended, and report it."""
        self.end = End(how, error, self.response)
        functions, self.on_end = self.on_end, []
        run_on_end(functions, self.end)

    def response(self) -> ChatResponse:
        """The answer as far as it was received."""
        calls = ToolCallAssembly()
        parts: list[Part] = []
        usage, citations = Usage(), list[dict[str, Any]]()
        complete = self.end is not None and self.end.how == "complete"
        finish: FinishReason = "stop" if complete else "error"
        for chunk in self._chunks:
            if chunk.thinking:
                _grow(parts, Thinking, chunk.thinking)
            if chunk.text:
                _grow(parts, Text, chunk.text)
            if chunk.refusal:
                _grow(parts, Refusal, chunk.refusal)
            for piece in chunk.tool_calls or ():
                calls.add(piece.index, piece.id, piece.name, piece.arguments)
            parts += chunk.parts or ()
            citations += chunk.citations or ()
            usage = chunk.usage or usage
            finish = chunk.finish_reason or finish
        parts += calls.close()
        plain = len(parts) == 1 and type(parts[0]) is Text
        content: Any = parts[0].text if plain and isinstance(parts[0], Text) else parts or ""
        return ChatResponse(Message("assistant", content), finish, finish, usage)


def _grow(parts: list[Part], kind: type[Text] | type[Thinking] | type[Refusal], text: str) -> None:
    last = parts[-1] if parts else None
    if type(last) is kind:
        last.text += text
    else:
        parts.append(kind(text))


async def own_chunks(
    state: OwnState, source: Iterable[Chunk | str] | AsyncIterable[Chunk | str]
) -> AsyncGenerator[Any, None]:
    """The chunks of a source of the user's: first ``None``, once the first one is there, then the chunks."""
    how: Literal["complete", "failed", "left"] = "left"
    failure: BaseException | None = None
    done = False
    items = _items(source)
    try:
        item = await anext(items, _END)
        yield None
        while item is not _END:
            chunk = Chunk(item) if isinstance(item, str) else item
            if not isinstance(chunk, Chunk):
                raise ConfigError(
                    f"Reply.live() was given {type(chunk).__name__}, not a chunk.", hint="Yield Chunk(…) or a text."
                )
            done = done or chunk.done
            state.add(chunk)
            yield chunk
            item = await anext(items, _END)
        how = "complete"
        if not done:
            last = Chunk("", finish_reason="stop")
            state.add(last)
            yield last
    except GeneratorExit:
        how = "complete" if done else "left"
        raise
    except Exception as error:
        how, failure = "failed", error
        raise
    except BaseException as error:  # the task was cancelled
        failure = error
        raise
    finally:
        await items.aclose()
        state.ended(how, failure)
        del failure


async def without_mark(chunks: AsyncGenerator[Any, None]) -> AsyncGenerator[Chunk, None]:
    """Chunks that were not started, without the mark of their beginning."""
    try:
        async for chunk in chunks:
            if chunk is not None:
                yield chunk
    finally:
        await chunks.aclose()


async def _items(source: Any) -> AsyncGenerator[Any, None]:
    """The items of a source, which is closed with them."""
    if isinstance(source, AsyncIterable):
        iterator: AsyncIterator[Any] = aiter(source)
        try:
            async for item in iterator:
                yield item
        finally:
            if hasattr(iterator, "aclose"):  # a generator
                await iterator.aclose()
        return
    try:
        for item in source:
            yield item
    finally:
        if hasattr(source, "close"):
            source.close()
