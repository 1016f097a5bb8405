"""Serves an answer from asyncio code: one task reads, and the one that writes never waits longer than a ping.

A blocking stream is read in the thread of :mod:`provider_kit.integrations.relay_blocking`; an asynchronous one needs
none.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import AsyncGenerator, Coroutine, Mapping
from contextlib import aclosing, suppress
from typing import Any, TypeVar

from provider_kit.integrations.relay_blocking import (
    READ_AHEAD,
    BlockingRelay,
    Item,
    ReaderThread,
    broken_off,
    cancel_soon,
)
from provider_kit.integrations.ui_stream import UIAnswer, UISource

__all__ = ["AsyncRelay", "run_until_left"]

T = TypeVar("T")

_LOG = logging.getLogger("provider_kit.web")
#: Seconds that closing a stream may take.
_CLOSING = 5.0
#: Bytes up to which pieces that are there already are joined.
_JOINED = 16_384


class _FromThread:
    """The items of a :class:`ReaderThread`, for a task."""

    def __init__(self, reader: ReaderThread) -> None:
        self._items = reader.items
        self._event = asyncio.Event()
        loop = asyncio.get_running_loop()

        def notify() -> None:
            with suppress(RuntimeError):  # the loop is closed, and the reader is about to be
                loop.call_soon_threadsafe(self._event.set)

        reader.notify = notify

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


async def _read_source(source: UISource, items: asyncio.Queue[Item]) -> None:
    try:
        async with aclosing(source.items()) as found:
            async for item in found:
                await items.put((item, None, False))
        await items.put((None, None, True))
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        await items.put((None, broken_off(error), True))  # its own: the answer is not complete
    except Exception as error:  # raised again where the answer is written
        await items.put((None, error, True))
    finally:
        await source.aclose()


class AsyncRelay:
    """An answer as an asynchronous iterator of bytes that never waits longer than a ping.

    Args:
        answer: The answer.
        begun: A relay that was begun in a thread, and goes on here.
    """

    def __init__(self, answer: UIAnswer, begun: BlockingRelay | None = None) -> None:
        self._answer = answer
        self._items: asyncio.Queue[Item] | _FromThread | None = None
        self._first: Item | None = None
        self._task: asyncio.Task[None] | None = None
        self._finalizer: weakref.finalize[Any, Any] | None = None
        if begun is not None:
            self._items, self._first = _FromThread(begun.reader), begun.first
            self._finalizer = weakref.finalize(self, begun.close)

    def _start(self) -> asyncio.Queue[Item] | _FromThread:
        """Begin to read, if that has not begun; return where the items come."""
        if self._items is not None:
            return self._items
        source = self._answer.source
        if source.asynchronous:
            items: asyncio.Queue[Item] = asyncio.Queue(READ_AHEAD)
            self._items = items
            self._task = asyncio.get_running_loop().create_task(_read_source(source, items), name="provider-kit-reader")
            finalizer: weakref.finalize[Any, Any] = weakref.finalize(self, cancel_soon, self._task)
        else:
            reader = ReaderThread(source)
            self._items = _FromThread(reader)
            reader.start()
            finalizer = weakref.finalize(self, reader.close)
        # A framework may drop an answer without reading it; its call ends all the same.
        finalizer.atexit = False
        self._finalizer = finalizer
        return self._items

    async def begin(self) -> tuple[int, Mapping[str, str], bytes | None]:
        """Wait for the first content; return status, headers, and the body if the answer is an error.

        If nothing has come within the time of a ping, the answer begins, for proxies do not wait for ever.
        """
        items = self._start()
        try:
            async with asyncio.timeout(self._answer.options.ping):
                self._first = await items.get()
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

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        answer = self._answer
        try:
            items = self._start()
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
                made, broken = answer.take(item, error, end), None
                while not answer.ended and not items.empty() and len(made) < _JOINED:  # a slow reader gets fewer pieces
                    following = items.get_nowait()
                    if following[1] is not None:  # what came before it is sent first
                        self._first = following
                        break
                    try:
                        made += answer.take(*following)
                    except Exception as failed:  # raised below
                        broken = failed
                        break
                if made:
                    yield made
                if broken is not None:
                    raise broken
        finally:
            await self.aclose()

    def cancel(self) -> None:
        """As :meth:`aclose`, from any thread, and without waiting."""
        if self._finalizer is not None:
            self._finalizer()

    async def aclose(self) -> None:
        """End the call upstream; the rest is not wanted."""
        task = self._task
        if task is None:
            self.cancel()
        elif not task.done():
            task.cancel()
            # A source whose cleanup hangs must not hold the request.
            done, _ = await asyncio.wait({task}, timeout=_CLOSING)
            for ended in done:
                if not ended.cancelled() and ended.exception() is not None:
                    _LOG.warning("The stream of an answer could not be closed (%s).", type(ended.exception()).__name__)


async def run_until_left(writing: Coroutine[Any, Any, T], leaving: Coroutine[Any, Any, object]) -> T | None:
    """What ``writing`` returns, or ``None`` if ``leaving`` ended before it; both have ended then.

    Args:
        writing: Writes an answer.
        leaving: Waits until its reader has left.
    """
    tasks = (asyncio.ensure_future(writing), asyncio.ensure_future(leaving))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return await tasks[0] if tasks[0].done() else None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
