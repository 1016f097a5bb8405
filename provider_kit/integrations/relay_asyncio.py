"""Serves an answer from asyncio code: a task reads, whoever writes waits for it no longer than a ping.

A blocking stream is read in the thread of :mod:`provider_kit.integrations.relay_blocking`; an asynchronous one needs
none.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

from provider_kit.integrations.relay_blocking import ReaderThread
from provider_kit.integrations.ui_stream import UIAnswer

__all__ = ["AsyncRelay"]

#: Items that are read ahead of a slow reader.
_AHEAD = 32


class AsyncRelay:
    """An answer as an asynchronous iterator of bytes that never waits longer than a ping.

    Args:
        answer: The answer.
    """

    def __init__(self, answer: UIAnswer) -> None:
        self._answer = answer
        self._items: asyncio.Queue[tuple[Any, BaseException | None, bool]] = asyncio.Queue(_AHEAD)
        self._first: tuple[Any, BaseException | None, bool] | None = None
        self._task: asyncio.Task[None] | None = None
        self._thread: ReaderThread | None = None

    def _start(self) -> None:
        if self._answer.source.asynchronous:
            if self._task is None:
                self._task = asyncio.get_running_loop().create_task(self._read_source(), name="provider-kit-reader")
        elif self._thread is None:
            self._thread = ReaderThread(self._answer, self._putter())
            self._thread.start()

    def _putter(self) -> Any:
        """Gives pieces from a thread to the loop, and waits while its reader is slow."""
        loop, items = asyncio.get_running_loop(), self._items

        def put(item: Any, error: BaseException | None, end: bool) -> bool:
            try:
                given = asyncio.run_coroutine_threadsafe(items.put((item, error, end)), loop)
            except RuntimeError:  # the loop is closed
                return False
            while True:
                try:
                    given.result(timeout=0.5)
                except TimeoutError:
                    if loop.is_closed() or (self._thread is not None and self._thread.closed):
                        given.cancel()
                        return False
                    continue
                except asyncio.CancelledError:
                    return False
                return True

        return put

    async def _read_source(self) -> None:
        source, put = self._answer.source, self._items.put
        try:
            async for item in source.items():
                await put((item, None, False))
            await put((None, None, True))
        except Exception as error:  # raised where the answer is written
            await put((None, error, True))
        finally:
            await source.aclose()

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
        answer, items = self._answer, self._items
        try:
            self._start()
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
                if made:
                    yield made
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Nobody wants the rest: the call upstream ends."""
        task, thread = self._task, self._thread
        if thread is not None:
            thread.close()
        if task is not None and not task.done():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.shield(asyncio.gather(task, return_exceptions=True))
