"""Runs work that may never end with a time limit, in a daemon thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar

from provider_kit.transports.drive import run_to_completion

__all__ = ["Worker", "bounded", "run_in_daemon_thread", "with_timeout"]

T = TypeVar("T")


class Worker(Generic[T]):
    """A function that runs in a daemon thread. Its caller may leave without it."""

    def __init__(self, function: Callable[[], T], ended: Callable[[], object] | None = None) -> None:
        """Start it; ``ended`` is called in its thread when it is done."""
        self._function = function
        self._ended = ended
        self._results: list[tuple[bool, Any]] = []
        self.thread = threading.Thread(target=self._run, name="provider-kit-worker", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self._results.append((True, self._function()))
        except BaseException as error:  # passed to the caller
            self._results.append((False, error))
        finally:
            if self._ended is not None:
                self._ended()

    def result(self) -> T:
        """What the function returned, or raised.

        Raises:
            TimeoutError: It is not done.
        """
        if not self._results:
            raise TimeoutError
        good, outcome = self._results[0]
        if not good:
            raise outcome
        return outcome  # type: ignore[no-any-return]  # the function's own


def bounded(function: Callable[[], T], seconds: float | None) -> T:
    """Return the result of a function that runs in a daemon thread, and is abandoned when it takes too long.

    Raises:
        TimeoutError: It took longer than ``seconds``.
    """
    worker = Worker(function)
    worker.thread.join(seconds)
    return worker.result()


def _loop_of(kind: str) -> asyncio.AbstractEventLoop | None:
    """The loop that must not be blocked; for a transport of both kinds, the running one, if any."""
    if kind == "blocking":
        return None
    try:
        return asyncio.get_running_loop()
    except RuntimeError:  # none runs
        return None


async def run_in_daemon_thread(kind: str, function: Callable[..., T], *args: Any) -> T:
    """Call a function that may block, without blocking an event loop.

    The thread is a daemon: neither a cancelled caller nor the end of the loop waits for it.
    """
    loop = _loop_of(kind)
    if loop is None:
        return function(*args)
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # it is one where there is no error

    def run() -> None:
        outcome: tuple[T | None, BaseException | None]
        try:
            outcome = (function(*args), None)
        except BaseException as error:  # passed to the caller
            outcome = (None, error)
        with suppress(RuntimeError):  # the loop is closed, and nothing waits any more
            loop.call_soon_threadsafe(settle, *outcome)

    threading.Thread(target=run, name="provider-kit-worker", daemon=True).start()
    return await future


async def with_timeout(kind: str, thunk: Callable[[], Awaitable[T]], seconds: float) -> T:
    """Return the result of a foreign coroutine, within a time limit.

    Raises:
        TimeoutError: It took longer.
    """
    if _loop_of(kind) is None:
        return bounded(lambda: run_to_completion(thunk()), seconds)  # type: ignore[arg-type]  # thunks make coroutines
    async with asyncio.timeout(seconds):
        return await thunk()
