"""What ``stream_run`` and ``astream_run`` return: the events of a run, and then its result."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Generic, NoReturn

from provider_kit.model.chat import T_co
from provider_kit.model.closing import AsyncClosing, BlockingClosing, aclose_generator, close_generator
from provider_kit.tools.loop import Run
from provider_kit.tools.result import RunResult
from provider_kit.tools.run_events import RunEvent, TextDelta
from provider_kit.transports.drive import iterate_blocking

__all__ = ["AsyncRunStream", "RunStream"]


class RunStream(BlockingClosing, Generic[T_co]):
    """The events of a run, read by a ``for`` loop. Leaving the loop ends the run and frees what it holds."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._events = iterate_blocking(run.events(), "stream_run")

    def __iter__(self) -> Iterator[RunEvent]:
        return self._events

    def __next__(self) -> RunEvent:
        return next(self._events)

    @property
    def result(self) -> RunResult[T_co]:
        """What the run has reached; complete once the loop has ended."""
        return self._run.result()

    def text(self) -> Iterator[str]:
        """Only the pieces of text."""
        for event in self._events:
            if type(event) is TextDelta:
                yield event.text

    def close(self) -> None:
        """End the run. Safe to call twice."""
        close_generator(self._events)

    def interrupt(self) -> None:
        """End a run that another thread is reading: its loop raises :class:`CallCancelledError`.

        A tool that is running is not interrupted; nothing is asked after it.
        """
        self._run.interrupt()

    def __aiter__(self) -> NoReturn:
        raise TypeError("stream_run() is read by a plain loop; in asyncio write: async for event in astream_run(…)")


class AsyncRunStream(AsyncClosing, Generic[T_co]):
    """The events of a run, read by an ``async for`` loop."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._events = run.events()

    def __aiter__(self) -> AsyncIterator[RunEvent]:
        return self._events

    async def __anext__(self) -> RunEvent:
        return await self._events.__anext__()

    @property
    def result(self) -> RunResult[T_co]:
        """What the run has reached; complete once the loop has ended."""
        return self._run.result()

    async def text(self) -> AsyncIterator[str]:
        """Only the pieces of text."""
        async for event in self._events:
            if type(event) is TextDelta:
                yield event.text

    async def aclose(self) -> None:
        """End the run. Safe to call twice."""
        await aclose_generator(self._events)

    def __await__(self) -> NoReturn:
        raise TypeError("astream_run() is not awaited; write: async for event in client.astream_run(…)")

    def __iter__(self) -> NoReturn:
        raise TypeError("astream_run() is read by async for; in a plain loop write: for event in client.stream_run(…)")
