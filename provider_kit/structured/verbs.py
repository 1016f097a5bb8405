"""What tools, typed answers, conversations and bulk runs need of a client: its verbs, in the caller's world.

Code above is written once, as coroutines. The blocking side calls ``chat`` and never suspends, so that the coroutine
can be driven to its end without an event loop; the asyncio side awaits ``achat``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from provider_kit.engine.events import EventBus
from provider_kit.model.chat import ChatResponse, Chunk
from provider_kit.model.messages import Message
from provider_kit.transports.base import Runtime

__all__ = ["Asking", "AsyncioAsking", "BlockingAsking", "ChatVerbs", "StreamedAnswer", "runtime_for"]


class ChatVerbs(Protocol):
    """Whatever answers conversations: a client, or several behind one face."""

    @property
    def chat(self) -> Callable[..., ChatResponse[Any]]:
        """Ask, and block."""
        ...

    @property
    def achat(self) -> Callable[..., Awaitable[ChatResponse[Any]]]:
        """Ask, and await."""
        ...

    @property
    def stream(self) -> Callable[..., Any]:
        """Ask, and stream."""
        ...

    @property
    def astream(self) -> Callable[..., Any]:
        """Ask, and stream asynchronously."""
        ...


def runtime_for(awaited: bool) -> Runtime:
    """The clocks and waits of one world."""
    if awaited:
        from provider_kit.transports.runtime_asyncio import AsyncioRuntime

        return AsyncioRuntime()
    from provider_kit.transports.runtime_blocking import BlockingRuntime

    return BlockingRuntime()


class StreamedAnswer:
    """The answer of a stream, once it has been read."""

    def __init__(self) -> None:
        self.response: ChatResponse[Any] | None = None


class Asking(Protocol):
    """The verbs of one world."""

    runtime: Runtime

    @property
    def events(self) -> EventBus | None:
        """The event bus behind the verbs, if there is one."""
        ...

    async def chat(self, messages: Sequence[Message], options: Mapping[str, Any]) -> ChatResponse[Any]:
        """Ask for a whole answer."""
        ...

    def stream(
        self, messages: Sequence[Message], options: Mapping[str, Any], answer: StreamedAnswer
    ) -> AsyncGenerator[Chunk, None]:
        """Ask for a stream; what was received is put into ``answer``, also when it breaks off."""
        ...


class _OverVerbs:
    _verbs: ChatVerbs

    @property
    def events(self) -> EventBus | None:
        """The event bus behind the verbs, if there is one."""
        return getattr(self._verbs, "event_bus", None)


class BlockingAsking(_OverVerbs):
    """The blocking verbs, as coroutines that never suspend."""

    def __init__(self, verbs: ChatVerbs, runtime: Runtime | None = None) -> None:
        self._verbs = verbs
        self.runtime: Runtime = runtime or runtime_for(False)

    async def chat(self, messages: Sequence[Message], options: Mapping[str, Any]) -> ChatResponse[Any]:
        """Ask for a whole answer."""
        return self._verbs.chat(messages, **options)

    async def stream(
        self, messages: Sequence[Message], options: Mapping[str, Any], answer: StreamedAnswer
    ) -> AsyncGenerator[Chunk, None]:
        """Ask for a stream."""
        stream = self._verbs.stream(messages, **options)
        try:
            for chunk in stream:
                yield chunk
        finally:
            stream.close()
            answer.response = stream.response


class AsyncioAsking(_OverVerbs):
    """The awaited verbs."""

    def __init__(self, verbs: ChatVerbs, runtime: Runtime | None = None) -> None:
        self._verbs = verbs
        self.runtime: Runtime = runtime or runtime_for(True)

    async def chat(self, messages: Sequence[Message], options: Mapping[str, Any]) -> ChatResponse[Any]:
        """Ask for a whole answer."""
        return await self._verbs.achat(messages, **options)

    async def stream(
        self, messages: Sequence[Message], options: Mapping[str, Any], answer: StreamedAnswer
    ) -> AsyncGenerator[Chunk, None]:
        """Ask for a stream."""
        stream = self._verbs.astream(messages, **options)
        try:
            async for chunk in stream:
                yield chunk
        finally:
            await stream.aclose()
            answer.response = stream.response
