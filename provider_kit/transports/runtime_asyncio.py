"""The asyncio runtime: clocks, sleep and wake-ups; needs no HTTP library.

A waiter can be woken from another thread, another event loop, or its own. A wake-up that comes
before the wait is not lost.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

__all__ = ["AsyncioRuntime", "AsyncioWaiter", "Outcome", "cancellable"]

T = TypeVar("T")

#: An event loop keeps no strong reference to its tasks.
_launched: set[asyncio.Task[Any]] = set()


class _World:
    """An event loop that may be closed."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop

    def __call__(self) -> bool:
        return self.loop.is_closed()


class ShieldedTask(asyncio.Task[Any]):
    """A task that ``asyncio.run`` waits for at the end, instead of cancelling it.

    ``asyncio.run`` cancels remaining tasks from outside the loop, and then waits for them. Timeouts cancel from inside,
    and keep working. Where nothing would be lost, the task can be cancelled like any other.
    """

    _held = False
    _asked = False

    def shield(self, on: bool) -> None:
        """Refuse to be cancelled at the end of the loop, while ``on``."""
        self._held = on
        if not on and self._asked:
            super().cancel()

    def cancel(self, msg: Any | None = None) -> bool:
        if self._held:
            try:
                asyncio.get_running_loop()
            except RuntimeError:
                self._asked = True
                return False
        return super().cancel(msg)


class AsyncioWaiter:
    """Suspends a task until woken."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def wake(self) -> None:
        """End the current wait, or the next one; may be called from any thread."""
        with suppress(RuntimeError):  # the loop is closed, so nothing waits in it
            # Also from its own thread: a signal handler that runs there does not end the wait of the loop.
            self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self, seconds: float | None) -> None:
        """Suspend until woken, for ``seconds`` at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()
        self._event.clear()


class Outcome:
    """What became of work that its caller may leave."""

    def __init__(self) -> None:
        self.done = False
        self.error: BaseException | None = None

    def result(self) -> None:
        """Raise the error of the work, if there was one."""
        error, self.error = self.error, None
        try:
            if error is not None:
                raise error
        finally:
            del error  # avoid a reference cycle between the error and this frame


@contextmanager
def cancellable(work: Callable[[], Awaitable[None]], ended: Callable[[], object]) -> Iterator[Outcome]:
    """Do work in a task of its own, which is cancelled when the block is left.

    Args:
        work: Returns what is awaited.
        ended: Called when it has ended.
    """
    outcome = Outcome()

    async def run() -> None:
        try:
            await work()
        except BaseException as error:  # raised by Outcome.result(); whoever has left the block wants no outcome
            outcome.error = error
        finally:
            outcome.done = True
            ended()

    task = asyncio.get_running_loop().create_task(run())
    try:
        yield outcome
    finally:
        task.cancel()


class BegunTask:
    """A task that runs beside its caller."""

    def __init__(self, task: asyncio.Task[None]) -> None:
        self._task = task

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self._task.done()

    async def aclose(self) -> None:
        """Cancel it, and wait for its end; in another event loop than its own, do not wait."""
        loop = self._task.get_loop()
        if loop is not asyncio.get_running_loop():
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._task.cancel)
            return
        if not self._task.done():
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


class AsyncioRuntime:
    """The runtime of asyncio transports."""

    kind = "asyncio"

    async def sleep(self, seconds: float) -> None:
        """Suspend the task."""
        await asyncio.sleep(seconds)

    #: ``time.monotonic``, which is asyncio's own clock.
    now = staticmethod(time.monotonic)
    #: ``time.time``.
    time = staticmethod(time.time)

    def wakeup(self) -> AsyncioWaiter:
        """Create a waiter."""
        return AsyncioWaiter()

    async def call_blocking(self, function: Callable[..., T], *args: Any) -> T:
        """Call in a worker thread."""
        return await asyncio.to_thread(function, *args)

    async def spawn(
        self, coroutine: Coroutine[Any, Any, None], seconds: float | None, ended: Callable[[], object]
    ) -> None:
        """Run it in a separate task."""
        loop = asyncio.get_running_loop()
        task = ShieldedTask(coroutine, loop=loop)
        for known in [known for known in _launched if known.get_loop().is_closed()]:
            _launched.discard(known)  # its loop was closed; it will never finish
        _launched.add(task)
        task.add_done_callback(_launched.discard)
        task.add_done_callback(lambda _: ended())
        await asyncio.wait([task], timeout=seconds)

    def flow(self) -> object:
        """The task."""
        return asyncio.current_task()

    def begin(self, thunk: Callable[[], Coroutine[Any, Any, None]]) -> BegunTask:
        """Run it as a task."""
        return BegunTask(asyncio.get_running_loop().create_task(thunk()))

    def shield(self, on: bool) -> None:
        """Let ``asyncio.run`` wait for the running task, while ``on``."""
        try:
            task = asyncio.current_task()
        except RuntimeError:  # it is being finalised, and its loop does not run any more
            return
        if isinstance(task, ShieldedTask):
            task.shield(on)

    def is_loop_closed(self) -> Callable[[], bool]:
        """Whether the running event loop has been closed."""
        return _World(asyncio.get_running_loop())
