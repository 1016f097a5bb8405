"""The blocking runtime: clocks, sleep and wake-ups; needs no HTTP library.

A waiter can be woken from anywhere in the process. A wake-up that comes before the wait is not lost.
"""

from __future__ import annotations

import contextvars
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
        # A bare lock, released to wake. An Event's may be left locked by an exception of a signal handler, and
        # SimpleQueue.get() waits for ever, before Python 3.13, if its timeout expires at the wrong moment.
        self._asleep = threading.Lock()
        self._asleep.acquire()
        asyncio = sys.modules.get("asyncio")
        #: The event loop that is blocked by this wait, if it happens inside one.
        self.loop = asyncio._get_running_loop() if asyncio is not None else None

    def wake(self) -> None:
        """End the current wait, or the next one."""
        with suppress(RuntimeError):  # it was woken already
            self._asleep.release()

    async def wait(self, seconds: float | None) -> None:
        """Block until woken, for ``seconds`` at most."""
        self._asleep.acquire(timeout=-1 if seconds is None else min(max(0.0, seconds), threading.TIMEOUT_MAX))


class BegunThread:
    """A thread that runs beside its caller; it cannot be cancelled."""

    def __init__(self, thread: threading.Thread) -> None:
        self._thread = thread

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return not self._thread.is_alive()

    async def aclose(self) -> None:
        """Nothing can be done: a thread ends by itself."""


class BlockingRuntime:
    """The runtime of blocking transports."""

    kind = "blocking"

    async def sleep(self, seconds: float) -> None:
        """Block the thread."""
        time.sleep(seconds)

    #: ``time.monotonic``.
    now = staticmethod(time.monotonic)
    #: ``time.time``.
    time = staticmethod(time.time)

    def wakeup(self) -> BlockingWaiter:
        """Create a waiter."""
        return BlockingWaiter()

    async def call_blocking(self, function: Callable[..., T], *args: Any) -> T:
        """Call directly: this thread may block."""
        return function(*args)

    async def spawn(
        self, coroutine: Coroutine[Any, Any, None], seconds: float | None, ended: Callable[[], object]
    ) -> None:
        """Await it directly; with a limit of seconds, in a separate thread.

        The interpreter waits for that thread at exit, so that nothing is lost.
        """
        if seconds is None:
            await coroutine
            return
        thread = threading.Thread(
            target=run_to_completion, args=(coroutine,), name="provider-kit-refresh", daemon=False
        )
        thread.start()
        thread.join(seconds)

    def flow(self) -> object:
        """The thread."""
        return threading.current_thread()

    def begin(self, thunk: Callable[[], Coroutine[Any, Any, None]]) -> BegunThread:
        """Run it in a daemon thread."""
        context = contextvars.copy_context()
        thread = threading.Thread(
            target=lambda: context.run(run_to_completion, thunk()), name="provider-kit-worker", daemon=True
        )
        thread.start()
        return BegunThread(thread)

    def shield(self, on: bool) -> None:
        """Nothing to do: a thread is not cancelled."""

    def is_loop_closed(self) -> Callable[[], bool]:
        """Never: a thread continues."""
        return bool
