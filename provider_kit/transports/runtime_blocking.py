"""Clocks, sleep and wake-up calls of the blocking world; no HTTP library is needed for them.

A waiter is woken from anywhere in the process. A wake-up that comes before the wait is not lost.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from provider_kit.transports.drive import run_to_completion

__all__ = ["BlockingRuntime", "BlockingWaiter"]

T = TypeVar("T")


class BlockingWaiter:
    """Blocks a thread until woken."""

    def __init__(self) -> None:
        # Made in C: an exception of a signal's handler never leaves its lock taken, as it may that of an Event.
        self._calls: queue.SimpleQueue[None] = queue.SimpleQueue()
        asyncio = sys.modules.get("asyncio")
        #: The event loop that is held up by this wait, if somebody waits inside one.
        self.loop = asyncio._get_running_loop() if asyncio is not None else None

    def wake(self) -> None:
        """End the present wait, or the next one."""
        self._calls.put(None)

    async def wait(self, seconds: float | None) -> None:
        """Block until woken, for ``seconds`` at most."""
        with suppress(queue.Empty):
            self._calls.get(timeout=None if seconds is None else max(0.0, seconds))
            while True:
                self._calls.get_nowait()


class BlockingRuntime:
    """What a blocking transport waits with."""

    kind = "blocking"

    async def sleep(self, seconds: float) -> None:
        """Block the thread."""
        time.sleep(seconds)

    #: ``time.monotonic``.
    now = staticmethod(time.monotonic)
    #: ``time.time``.
    time = staticmethod(time.time)

    def wakeup(self) -> BlockingWaiter:
        """Something to wait with until woken."""
        return BlockingWaiter()

    async def call_blocking(self, function: Callable[..., T], *args: Any) -> T:
        """Call directly: this thread may block."""
        return function(*args)

    async def spawn(
        self, coroutine: Coroutine[Any, Any, None], seconds: float | None, ended: Callable[[], object]
    ) -> None:
        """Just await it; where the caller has only so many seconds, in a thread of its own.

        The end of the program waits for that thread, for nothing must be lost.
        """
        if seconds is None:
            await coroutine
            return
        thread = threading.Thread(
            target=run_to_completion, args=(coroutine,), name="provider-kit-refresh", daemon=False
        )
        thread.start()
        thread.join(seconds)

    def shield(self, on: bool) -> None:
        """Nothing breaks off a thread."""

    def is_loop_closed(self) -> Callable[[], bool]:
        """Never: a thread goes on."""
        return bool
