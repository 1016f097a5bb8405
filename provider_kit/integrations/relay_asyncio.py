"""Serves an answer from asyncio code: a task reads, whoever writes waits for it no longer than a ping.

A blocking stream is read in the thread of :mod:`provider_kit.integrations.relay_blocking`; an asynchronous one needs
none.
"""

from __future__ import annotations

import asyncio
import queue
import weakref
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from typing import Any, TypeAlias

from provider_kit.integrations.relay_blocking import ReaderThread
from provider_kit.integrations.ui_stream import UIAnswer, UISource

__all__ = ["AsyncRelay"]

#: What was read, or the error, or whether it is the end.
Item: TypeAlias = tuple[Any, BaseException | None, bool]

#: Bytes up to which pieces that are there already are joined.
_JOINED = 16_384
#: Items that are read ahead of a slow reader.
_AHEAD = 32


class _FromThread:
    """Items that a thread puts and a task gets."""

    def __init__(self) -> None:
        self._items: queue.Queue[Item] = queue.Queue(_AHEAD)
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()
        self.is_closed: Callable[[], bool] = lambda: False

    def put(self, item: Any, error: BaseException | None, end: bool) -> bool:
        """Put an item, and wait while there are enough; return whether anybody wants more."""
        while not self.is_closed():
            try:
                self._items.put((item, error, end), timeout=0.5)
            except queue.Full:
                continue
            try:
                self._loop.call_soon_threadsafe(self._event.set)
            except RuntimeError:  # the loop is closed
                return False
            return True
        return False

    def empty(self) -> bool:
        return self._items.empty()

    def get_nowait(self) -> Item:
        return self._items.get_nowait()

    async def get(self) -> Item:
        while self._items.empty():
            self._event.clear()
            if self._items.empty():
                await self._event.wait()
        return self._items.get_nowait()


async def _read_source(source: UISource, items: Any) -> None:
    put = items.put
    try:
        async for item in source.items():
            await put((item, None, False))
        await put((None, None, True))
    except Exception as error:  # raised where the answer is written
        await put((None, error, True))
    finally:
        await source.aclose()


def _cancel(task: asyncio.Task[None]) -> None:
    with suppress(RuntimeError):  # the loop is closed
        task.get_loop().call_soon_threadsafe(task.cancel)


class AsyncRelay:
    """An answer as an asynchronous iterator of bytes that never waits longer than a ping.

    Args:
        answer: The answer.
    """

    def __init__(self, answer: UIAnswer) -> None:
        self._answer = answer
        self._items: asyncio.Queue[Item] | _FromThread = asyncio.Queue(_AHEAD)
        self._first: Item | None = None
        self._task: asyncio.Task[None] | None = None
        self._thread: ReaderThread | None = None
        self._dropped: weakref.finalize[Any, Any] | None = None

    def _start(self) -> None:
        if self._answer.source.asynchronous:
            if self._task is None:
                reading = _read_source(self._answer.source, self._items)
                task = self._task = asyncio.get_running_loop().create_task(reading, name="provider-kit-reader")
                # An answer that nobody reads, since the framework has dropped it, ends its call.
                self._dropped = weakref.finalize(self, _cancel, task)
                self._dropped.atexit = False
        elif self._thread is None:
            items = self._items = _FromThread()
            thread = self._thread = ReaderThread(self._answer, items.put)
            items.is_closed = lambda: thread.closed
            thread.start()
            self._dropped = weakref.finalize(self, thread.close)
            self._dropped.atexit = False

    async def begin(self) -> tuple[int, Mapping[str, str], bytes | None]:
        """Wait for the first content; return status, headers, and the body if the answer is an error.

        If nothing has come within the time of a ping, the answer begins, for proxies do not wait for ever.
        """
        self._start()
        try:
            async with asyncio.timeout(self._answer.options.ping):
                self._first = await self._items.get()
        except TimeoutError:
            return 200, self._answer.headers, None
        except BaseException:
            await self.aclose()
            raise
        error = self._first[1]
        if error is None:
            return 200, self._answer.headers, None
        await self.aclose()
        return self._answer.refusal(error)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        answer = self._answer
        try:
            self._start()
            items = self._items
            while not answer.ended:
                if self._first is not None:
                    (item, error, end), self._first = self._first, None
                elif not items.empty():
                    item, error, end = items.get_nowait()
                else:
                    try:
                        async with asyncio.timeout(answer.options.ping):
                            item, error, end = await items.get()
                    except TimeoutError:
                        made = answer.begin() + answer.ping
                        if made:
                            yield made
                        continue
                made = answer.take(item, error, end)
                while not answer.ended and not items.empty() and len(made) < _JOINED:  # a slow reader gets fewer pieces
                    following = items.get_nowait()
                    if following[1] is not None:  # what came before it is sent first
                        self._first = following
                        break
                    made += answer.take(*following)
                if made:
                    yield made
        finally:
            await self.aclose()

    def cancel(self) -> None:
        """As :meth:`aclose`, from any thread, and without waiting."""
        if self._dropped is not None:
            self._dropped()

    async def aclose(self) -> None:
        """Nobody wants the rest: the call upstream ends."""
        task, thread = self._task, self._thread
        if thread is not None:
            thread.close()
        if task is not None and not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
