"""Handlers: a handler takes a call and returns a reply. A provider's engine is one; middleware wraps one and is one.

A reply is a whole answer, or a live one: a generator that was started and paused at its first content. Returning it is
the commit point: before it the handler of the call owns what the attempt holds, after it the generator does.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any, Literal, Protocol, TypeAlias

from attrs import define, field

from provider_kit.engine.call import Call
from provider_kit.errors import ConfigError
from provider_kit.model.chat import ChatResponse, Chunk, ParameterWarning, ToolCallDelta
from provider_kit.model.media import Media
from provider_kit.model.messages import Native, Part

__all__ = [
    "CallNext",
    "End",
    "Handler",
    "LiveState",
    "Middleware",
    "Reply",
    "as_chunks",
    "run_on_end",
    "with_middleware",
]

_LOG = logging.getLogger("provider_kit")


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


@define(eq=False)
class Reply:
    """The result of a handler.

    Args:
        answer: A whole answer.
        state: The state of a live answer.
        chunks: The started generator of a live answer.
    """

    answer: Any = None
    state: LiveState | None = None
    _chunks: AsyncGenerator[Any, None] | None = field(default=None, repr=False)

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

    def map(self, function: Callable[[Chunk], Chunk]) -> None:
        """Apply a function to each chunk, which may replace it; a whole answer has none."""
        if self._chunks is not None:
            self._chunks = _mapped(self._chunks, function)

    def take_chunks(self) -> AsyncGenerator[Chunk, None]:
        """Take over the chunks of the answer. The caller must close them; the reply no longer does."""
        chunks, self._chunks = self._chunks, None
        return _cut_up(self.answer) if chunks is None else chunks

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


class _Link:
    """One middleware before a handler."""

    def __init__(self, middleware: Middleware, inner: Handler) -> None:
        self._middleware = middleware
        self._inner = inner

    async def handle(self, call: Call) -> Reply:
        onward = _Onward(self._inner)
        try:
            result: Any = self._middleware(call, onward)
            reply = await result if hasattr(result, "__await__") else None
            if not isinstance(reply, Reply):
                raise self._mistake(result if reply is None else reply)
            return reply
        except BaseException:
            # An error that is kept must hold neither socket nor slot.
            for reply in onward.replies:
                await reply.aclose()
            raise

    def _mistake(self, made: Any) -> ConfigError:
        name = getattr(self._middleware, "__qualname__", type(self._middleware).__name__)
        if isinstance(made, Reply):
            return ConfigError(
                f"The middleware {name} is not asynchronous.", hint="Write async def; it serves blocking calls, too."
            )
        what = "nothing" if made is None or hasattr(made, "__await__") else f"a {type(made).__name__}"
        return ConfigError(
            f"The middleware {name} returned {what}, not a Reply.",
            hint="return await call_next(call), or Reply(ChatResponse(…)).",
        )


class _Onward:
    """The ``call_next`` of one handling; records the replies it returned."""

    __slots__ = ("_inner", "replies")

    def __init__(self, inner: Handler) -> None:
        self._inner = inner
        self.replies: list[Reply] = []

    async def __call__(self, call: Call) -> Reply:
        reply = await self._inner.handle(call)
        if reply.state is not None:
            self.replies.append(reply)
        return reply


def with_middleware(handler: Handler, middleware: Sequence[Middleware]) -> Handler:
    """Wrap a handler in middleware; the first one is the outermost."""
    for one in reversed(middleware):
        handler = _Link(one, handler)
    return handler


def run_on_end(functions: Sequence[Callable[[End], object]], end: End) -> None:
    """Call functions with the end of a reply."""
    for function in functions:
        try:
            function(end)
        except Exception:
            _LOG.exception("on_end failed on a reply that is %s; nothing else is affected.", end.how)


async def _mapped(
    chunks: AsyncGenerator[Chunk, None], function: Callable[[Chunk], Chunk]
) -> AsyncGenerator[Chunk, None]:
    try:
        async for chunk in chunks:
            changed = function(chunk)
            if changed is None:
                raise ConfigError("A function of reply.map() returned nothing.", hint="Return the chunk, or another.")
            yield changed
    finally:
        await chunks.aclose()


async def _cut_up(answer: ChatResponse) -> AsyncGenerator[Chunk, None]:
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
