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
from contextlib import aclosing, suppress
from functools import partial
from typing import Any, TypeAlias

from provider_kit.errors import StreamIncompleteError
from provider_kit.integrations.ui_stream import UIAnswer, UISource
from provider_kit.transports.drive import run_to_completion

__all__ = ["READ_AHEAD", "BlockingRelay", "Item", "ReaderThread", "broken_off", "cancel_soon"]

#: What was read, or the error, or whether it is the end.
Item: TypeAlias = tuple[Any, BaseException | None, bool]

#: Items that are read ahead of a slow reader.
READ_AHEAD = 32
#: Seconds between two checks whether the other side is still there.
_CHECK_INTERVAL = 0.5


class ReaderThread:
    """Reads a source in a thread of its own, into :attr:`items`.

    Args:
        source: The source; one for asyncio has an event loop of its own there.
        ended: Called in the thread at its end.
    """

    def __init__(self, source: UISource, ended: Callable[[], object] | None = None) -> None:
        self.items: queue.Queue[Item] = queue.Queue(READ_AHEAD)
        #: Called in the thread when there is another item.
        self.notify: Callable[[], object] = lambda: None
        self._source = source
        self._ended = ended
        self._closed = threading.Event()
        self._cancel: Callable[[], object] | None = None
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._run,), name="provider-kit-reader", daemon=True)

    def start(self) -> None:
        """Begin to read; may be called again."""
        if self._thread.ident is None:
            self._thread.start()

    def _run(self) -> None:
        try:
            if self._source.asynchronous:
                asyncio.run(self._read())
            else:
                run_to_completion(self._read())
        finally:
            if self._ended is not None:
                self._ended()

    async def _read(self) -> None:
        task = asyncio.current_task() if self._source.asynchronous else None
        if task is not None:
            self._cancel = partial(cancel_soon, task)
        try:
            if self._closed.is_set():  # before there was anything to cancel
                return
            async with aclosing(self._source.items()) as found:
                async for item in found:
                    if not self._put(item, None, False):
                        return
            self._put(None, None, True)
        except Exception as error:  # raised again where the answer is written
            self._put(None, error, True)
        except BaseException as error:  # a cancellation, or an exit that must not end the server
            self._put(None, broken_off(error), True)
        finally:
            await self._source.aclose()

    def _put(self, item: Any, error: BaseException | None, end: bool) -> bool:
        """Put an item, and wait while there are enough; return whether more is wanted."""
        while not self._closed.is_set():
            try:
                self.items.put((item, error, end), timeout=_CHECK_INTERVAL)
            except queue.Full:
                continue
            self.notify()
            return True
        return False

    @property
    def closed(self) -> bool:
        """Whether it was closed, so that nothing more comes."""
        return self._closed.is_set()

    def close(self) -> None:
        """End the call, since the rest is not wanted, and with it the thread. Does not wait for it."""
        self._closed.set()
        if not self._source.asynchronous:
            self._source.close()
        elif self._cancel is not None:
            self._cancel()


def cancel_soon(task: asyncio.Task[Any]) -> None:
    """Cancel a task, from any thread."""
    with suppress(RuntimeError):  # its loop is closed
        task.get_loop().call_soon_threadsafe(task.cancel)


class BlockingRelay:
    """An answer as an iterator of bytes that never waits longer than a ping.

    Args:
        answer: The answer.
        ended: Called in the reader's thread when everything has been read.
    """

    def __init__(self, answer: UIAnswer, ended: Callable[[], object] | None = None) -> None:
        self._answer = answer
        self.reader = ReaderThread(answer.source, ended)
        #: The item that :meth:`begin` has taken.
        self.first: Item | None = None
        # A server that does not close what it was given leaves it to the garbage collector.
        self._finalizer = weakref.finalize(self, self.reader.close)
        self._finalizer.atexit = False

    def begin(self) -> tuple[int, Mapping[str, str], bytes | None]:
        """Wait for the first content; return status, headers, and the body if the answer is an error.

        If nothing has come within the time of a ping, the answer begins, for proxies do not wait for ever.
        """
        self.reader.start()
        try:
            self.first = self.reader.items.get(timeout=self._answer.options.ping)
        except queue.Empty:
            return 200, self._answer.headers, None
        error = self.first[1]
        if error is None:
            return 200, self._answer.headers, None
        self.close()
        return self._answer.refusal(error)

    def __iter__(self) -> Iterator[bytes]:
        answer = self._answer
        try:
            self.reader.start()
            while not answer.ended and not self.reader.closed:
                made = self._next()
                if made:
                    yield made
        finally:
            self.close()

    def _next(self) -> bytes:
        """The bytes of what has come, or a ping if nothing has."""
        answer = self._answer
        if self.first is not None:
            (item, error, end), self.first = self.first, None
        else:
            try:
                item, error, end = self.reader.items.get(timeout=answer.options.ping)
            except queue.Empty:
                return answer.begin() + answer.ping
        return answer.take(item, error, end)

    def close(self) -> None:
        """End the call upstream; the rest is not wanted."""
        self._finalizer()


def broken_off(error: BaseException) -> StreamIncompleteError:
    """The error of an answer whose source was cancelled, or wanted to end the process."""
    made = StreamIncompleteError(f"The answer was ended by {type(error).__name__}.")
    made.__cause__ = error
    return made
