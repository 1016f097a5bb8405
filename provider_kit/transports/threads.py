"""Work that may take for ever, given so many seconds: in a thread that nobody waits for in the end."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

from provider_kit.transports.drive import run_to_completion

__all__ = ["bounded", "run_in_daemon_thread", "with_timeout"]

T = TypeVar("T")


def bounded(function: Callable[[], T], seconds: float) -> T:
    """The result of a function, which is left behind when it takes too long.

    Raises:
        TimeoutError: It took longer than ``seconds``.
    """
    results: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()

    def run() -> None:
        try:
            results.put((True, function()))
        except BaseException as error:  # handed to the caller
            results.put((False, error))

    threading.Thread(target=run, name="provider-kit-aside", daemon=True).start()
    try:
        good, outcome = results.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError from None
    if not good:
        raise outcome
    return outcome  # type: ignore[no-any-return]  # the function's own


def _loop_of(kind: str) -> asyncio.AbstractEventLoop | None:
    """The loop that must not be blocked; a transport of both worlds is told by whether one runs."""
    if kind == "blocking":
        return None
    try:
        return asyncio.get_running_loop()
    except RuntimeError:  # none runs
        return None


async def run_in_daemon_thread(kind: str, function: Callable[..., T], *args: Any) -> T:
    """Call a function that may block, without blocking an event loop.

    The thread is a daemon: whoever is cancelled, and the end of the loop, do not wait for it.
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
        except BaseException as error:  # handed to the caller
            outcome = (None, error)
        with suppress(RuntimeError):  # the loop is closed, and nobody waits any more
            loop.call_soon_threadsafe(settle, *outcome)

    threading.Thread(target=run, name="provider-kit-aside", daemon=True).start()
    return await future


async def with_timeout(kind: str, thunk: Callable[[], Awaitable[T]], seconds: float) -> T:
    """The result of a coroutine that somebody else wrote, in so many seconds.

    Raises:
        TimeoutError: It took longer.
    """
    if _loop_of(kind) is None:
        return bounded(lambda: run_to_completion(thunk()), seconds)  # type: ignore[arg-type]  # thunks make coroutines
    async with asyncio.timeout(seconds):
        return await thunk()
