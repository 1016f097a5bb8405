"""Serves an answer from blocking code, as WSGI wants it: one thread reads, the server's thread writes.

A WSGI server notices that a reader has left only when it writes. So nothing may keep it from writing: the answer is
read in a thread of its own, named ``provider-kit-reader``, and while nothing comes from there, pings are written.
"""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from provider_kit.integrations.ui_stream import UIAnswer

__all__ = ["BlockingRelay", "ReaderThread"]

#: Items that are read ahead of a slow reader.
_AHEAD = 32
#: Seconds between two looks whether the other side is still there.
_LOOK = 0.5


class ReaderThread:
    """Reads a source in a thread of its own; what comes is given to ``put``, which returns whether to go on.

    Args:
        answer: The answer; its source may be blocking or asynchronous, which then has an event loop of its own.
        put: Takes ``(item, error, whether it is the end)``.
        ended: Called in the thread at its end.
    """

    def __init__(
        self,
        answer: UIAnswer,
        put: Callable[[Any, BaseException | None, bool], bool],
        ended: Callable[[], object] | None = None,
    ) -> None:
        self._answer = answer
        self._put = put
        self._ended = ended
        self._closed = threading.Event()
        self._cancel: Callable[[], object] | None = None
        context = contextvars.copy_context()
        self.thread = threading.Thread(target=context.run, args=(self._run,), name="provider-kit-reader", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self.thread.start()

    @property
    def closed(self) -> bool:
        """Whether nobody wants the rest."""
        return self._closed.is_set()

    def _run(self) -> None:
        try:
            if self._answer.source.asynchronous:
                asyncio.run(self._read_in_loop())
            else:
                self._read()
        finally:
            if self._ended is not None:
                self._ended()

    def _read(self) -> None:
        source = self._answer.source
        try:
            for item in source.items():
                if self._closed.is_set() or not self._put(item, None, False):
                    return
            self._put(None, None, True)
        except BaseException as error:  # raised where the answer is written
            self._put(None, error, True)
        finally:
            source.close()

    async def _read_in_loop(self) -> None:
        source, loop, task = self._answer.source, asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def cancel() -> None:
            try:
                loop.call_soon_threadsafe(task.cancel)
            except RuntimeError:  # the loop has just ended
                return

        self._cancel = cancel
        try:
            async for item in source.items():
                if self._closed.is_set() or not self._put(item, None, False):
                    return
            self._put(None, None, True)
        except asyncio.CancelledError:
            self._put(None, None, True)
        except BaseException as error:  # raised where the answer is written
            self._put(None, error, True)
        finally:
            await source.aclose()

    def close(self) -> None:
        """Nobody wants the rest: the call ends, and with it the thread. Does not wait for it."""
        self._closed.set()
        if self._answer.source.asynchronous:
            if self._cancel is not None:
                self._cancel()
        else:
            self._answer.source.close()


class BlockingRelay:
    """An answer as an iterator of bytes that never waits longer than a ping.

    Args:
        answer: The answer.
        ended: Called in the reader's thread when everything has been read.
    """

    def __init__(self, answer: UIAnswer, ended: Callable[[], object] | None = None) -> None:
        self._answer = answer
        self._items: queue.Queue[tuple[Any, BaseException | None, bool]] = queue.Queue(_AHEAD)
        self._closed = threading.Event()
        self._first: tuple[Any, BaseException | None, bool] | None = None
        self._reader = ReaderThread(answer, self._put, ended)
        self._started = False
        # A server that does not close what it was given leaves it to the garbage collector.
        self._finalizer = weakref.finalize(self, _leave, self._reader, self._closed)
        self._finalizer.atexit = False

    def _start(self) -> None:
        if not self._started:
            self._started = True
            self._reader.start()

    @property
    def _put(self) -> Callable[[Any, BaseException | None, bool], bool]:
        """Of the queue, not of this object, which the thread must not keep alive."""
        items, closed = self._items, self._closed

        def put(item: Any, error: BaseException | None, end: bool) -> bool:
            while not closed.is_set():
                try:
                    items.put((item, error, end), timeout=_LOOK)
                except queue.Full:
                    continue
                return True
            return False

        return put

    def begin(self) -> tuple[int, Mapping[str, str], bytes | None]:
        """Wait for the first content; return status, headers, and the body if the answer is an error.

        If nothing has come within the time of a ping, the answer begins, for proxies do not wait for ever.
        """
        self._start()
        try:
            self._first = self._items.get(timeout=self._answer.options.ping)
        except queue.Empty:
            return 200, self._answer.headers, None
        error = self._first[1]
        if error is None:
            return 200, self._answer.headers, None
        self.close()
        _reraise_exit(error)
        return self._answer.refusal(error)

    def __iter__(self) -> Iterator[bytes]:
        return self._read()

    def _read(self) -> Iterator[bytes]:
        answer = self._answer
        try:
            self._start()
            while not answer.ended:
                made = self._next()
                if made:
                    yield made
        finally:
            self.close()

    def _next(self) -> bytes:
        """The bytes of what has come, or a ping if nothing has."""
        answer = self._answer
        if self._first is not None:
            (item, error, end), self._first = self._first, None
        else:
            try:
                item, error, end = self._items.get(timeout=answer.options.ping)
            except queue.Empty:
                return answer.begin() + answer.ping
        _reraise_exit(error)
        return answer.take(item, error, end)

    def close(self) -> None:
        """Nobody wants the rest: the call upstream ends."""
        self._finalizer()


def _leave(reader: ReaderThread, closed: threading.Event) -> None:
    closed.set()
    reader.close()


def _reraise_exit(error: BaseException | None) -> None:
    """An interrupt is no answer."""
    if error is not None and not isinstance(error, Exception):
        raise error
