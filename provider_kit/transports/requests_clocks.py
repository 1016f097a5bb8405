"""The timeouts of one blocking request, and how another thread ends it."""

from __future__ import annotations

import _thread
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from provider_kit.policies.concurrency import Place
from provider_kit.transports.drive import run_to_completion
from provider_kit.transports.runtime_blocking import BlockingWaiter
from provider_kit.wire.http import Limits

__all__ = ["RequestClock", "current"]


class RequestClock:
    """The timeouts of one request and its answer."""

    __slots__ = (
        "__weakref__",
        "_limits",
        "_lock",
        "began",
        "budget",
        "connection",
        "gone",
        "handshake",
        "now",
        "place",
        "sent",
        "streaming",
        "timed_out",
        "woken",
    )

    def __init__(self, limits: Limits, now: Callable[[], float], *, streaming: bool) -> None:
        self._limits = limits
        self.now = now
        #: Seconds that may still be waited for content; time the caller spends elsewhere does not count.
        self.budget = limits.first
        self.streaming = streaming
        #: Whether a byte of the request may have left.
        self.sent = False
        #: Its connection, once known; a weak reference, since the connection refers to its exchange.
        self.connection: Callable[[], Any] = bool
        #: Its slot of a limited number of connections, and the waiter while it waits for one.
        self.place: Place | None = None
        self.woken: BlockingWaiter | None = None
        #: Whether its caller has left, in another thread: nothing is sent after that.
        self.gone = False
        #: Held while its connection is shut down or given back, so that no other request's is shut down. A signal
        #: handler may break off what its own thread is giving back.
        self._lock = threading.RLock()
        #: A second handle of a socket whose connection is still being established.
        self.handshake: socket.socket | None = None
        #: Whether content has arrived.
        self.began = False
        #: Whether a read timed out.
        self.timed_out = False

    def progress(self) -> None:
        """Content arrived: restart the idle timeout."""
        self.began = True
        self.budget = self._limits.idle

    def arm(self, sock: Any) -> None:
        """Limit the next wait on a socket to the remaining time.

        Raises:
            TimeoutError: Nothing is left.
        """
        left, deadline = self.budget, self._limits.deadline
        if deadline is not None:
            until = deadline - self.now()
            left = until if left is None or until < left else left
        if left is not None:
            if left <= 0:
                self.timed_out = True
                raise TimeoutError("timed out")
            sock.settimeout(left)

    def shorten(self, seconds: float) -> None:
        """Limit the remaining time to ``seconds``."""
        self.budget = seconds if self.budget is None else min(seconds, self.budget)

    def left(self) -> float | None:
        """Seconds until the next timeout expires; ``None`` if there is none."""
        deadline = self._limits.deadline
        if deadline is None:
            return self.budget
        left = deadline - self.now()
        return left if self.budget is None or left < self.budget else self.budget

    def connecting(self) -> RequestClock:
        """The timeouts while a connection is being established, including the proxy's answer."""
        limits = self._limits
        return RequestClock(Limits(None, limits.connect, None, limits.deadline), self.now, streaming=self.streaming)

    def break_off(self) -> None:
        """Its caller leaves, in another thread: it ends the wait for a connection, and shuts it down."""
        self.gone = True
        if self.woken is not None:
            self.woken.wake()
        with self._lock:
            connection = self.connection()
            own = getattr(connection, "exchange", self) is self
            sock = self.handshake or (getattr(connection, "sock", None) if own else None)
            if sock is not None:
                with suppress(OSError):  # it is closed already
                    sock.shutdown(socket.SHUT_RDWR)

    @property
    def interruptible(self) -> bool:
        """Whether another thread may break it off."""
        return self._limits.interruptible or self.streaming

    def open_socket(self, connect: Callable[[], socket.socket]) -> socket.socket:
        """Return a connected socket; whoever breaks the request off does not wait for it.

        Args:
            connect: Looks the host up and connects, in a thread of its own.

        Raises:
            ConnectionAbortedError: The caller has left.
        """
        woken = self.woken = BlockingWaiter()
        made: list[socket.socket | BaseException] = []
        abandoned = False

        def work() -> None:
            outcome: socket.socket | BaseException
            try:
                outcome = connect()
            except BaseException as error:  # passed to the caller
                outcome = error
            second = None
            if isinstance(outcome, socket.socket):
                with suppress(OSError):  # no file descriptor is left
                    second = outcome.dup()
            self.handshake = second
            made.append(outcome)
            if abandoned:
                _close_if_socket(outcome)
                self.connected()
            woken.wake()

        try:
            # Not threading.Thread, whose start() an exception of a signal handler leaves in an undefined state.
            _thread.start_new_thread(work, ())
            while not made and not self.gone:
                run_to_completion(woken.wait(None))
            if self.gone:
                raise ConnectionAbortedError("the caller has left")
            if isinstance(made[0], BaseException):
                raise made[0]
            return made[0]
        except BaseException:
            abandoned = True
            if made:
                _close_if_socket(made[0])
                self.connected()
            raise
        finally:
            self.woken = None
            made.clear()  # avoid a reference cycle between an error and this frame

    def measured(self, seconds: float) -> None:
        """Leave with the request how long its connection took."""
        self._limits.connected = seconds

    def connected(self) -> None:
        """The connection is established, or has failed."""
        with self._lock:
            handshake, self.handshake = self.handshake, None
        if handshake is not None:
            handshake.close()

    def let_go(self) -> None:
        """Its connection is about to be given back or closed: from now on it may serve others."""
        with self._lock:
            self.connection = bool

    def over(self) -> None:
        """The connection is back in its pool or closed: release the slot."""
        if self.place is not None:
            self.place.leave()

    def patience(self) -> float | None:
        """Seconds a connection may be waited for."""
        waits = [wait for wait in (self._limits.connect, self.left()) if wait is not None]
        return max(0.0, min(waits)) if waits else None


def _close_if_socket(made: socket.socket | BaseException) -> None:
    if isinstance(made, socket.socket):
        made.close()


class _Current(threading.local):
    exchange: RequestClock | None = None


#: The exchange of this thread's current call; a connection adopts it when its request begins.
current = _Current()
