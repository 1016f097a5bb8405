"""A small HTTP/1.1 server on loopback, in its own thread, with full control over the bytes of its answers.

It can misbehave on demand, which server libraries do not: truncate, stall, reset, send garbage.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self

from attrs import define, field

from provider_kit.transports.environment import own_servers

__all__ = ["Incoming", "LoopbackServer", "LoopbackService", "Outgoing"]

_MAX_BODY = 256 * 1024 * 1024
_START_SECONDS = 10.0


@define
class Incoming:
    """A request as it came in."""

    method: str
    #: Path with its query.
    path: str
    #: Lower-case names.
    headers: dict[str, str]
    body: bytes


@define
class Outgoing:
    """An answer to send."""

    status: int = 200
    headers: dict[str, str] = field(factory=dict)
    body: bytes = b""
    #: A body that is sent piece by piece, chunked; ``body`` is ignored then.
    pieces: AsyncIterator[bytes] | None = None
    #: Bytes to send in place of a whole HTTP answer, then close.
    raw: bytes | None = None
    #: Reset the connection instead of answering.
    reset: bool = False
    #: Close after so many bytes of ``body``.
    cut_after: int | None = None


class Cut(Exception):
    """Raised by ``pieces`` to close the connection in the middle."""


class LoopbackServer:
    """Serves ``answer`` on a free loopback port until :meth:`stop`."""

    def __init__(self, answer: Callable[[Incoming], Awaitable[Outgoing]]) -> None:
        self._answer = answer
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self.port = 0
        #: Connections accepted so far.
        self.connections = 0
        #: Connections open now.
        self.open = 0

    def start(self) -> None:
        """Start the thread and wait until the port is open. A server that was stopped can be started again."""
        if self._thread is not None and self._thread.is_alive():
            return
        self._ready.clear()
        self._error = None
        self._thread = threading.Thread(target=self._run, name="provider-kit-fake-server", daemon=True)
        self._thread.start()
        if not self._ready.wait(_START_SECONDS):
            raise RuntimeError("the fake server did not start in time")
        if self._error is not None:
            raise RuntimeError("the fake server could not start") from self._error

    def stop(self) -> None:
        """Close every connection and end the thread. Safe to call twice."""
        loop, stop, thread = self._loop, self._stop, self._thread
        if loop is not None and stop is not None and thread is not None and thread.is_alive():
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(stop.set)
            thread.join(_START_SECONDS)
        own_servers.discard(f"127.0.0.1:{self.port}")

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:  # start() raises it in the thread that waits
            self._error = error
            self._ready.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        tasks: set[asyncio.Task[None]] = set()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            self.connections += 1
            self.open += 1
            try:
                await self._serve(reader, writer)
            except (
                OSError,
                asyncio.IncompleteReadError,
                asyncio.LimitOverrunError,
                ValueError,
                asyncio.CancelledError,
            ):
                pass  # the client disconnected, or did not speak HTTP
            finally:
                self.open -= 1
                tasks.discard(task)
                writer.close()
                with suppress(OSError, asyncio.CancelledError):
                    await writer.wait_closed()

        server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=2**20, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        own_servers.add(f"127.0.0.1:{self.port}")
        self._ready.set()
        await self._stop.wait()
        # asyncio forgets connections that it is just accepting when its server is closed under them, so
        # first no more are taken, then those under way become ours, and are closed below.
        with suppress(NotImplementedError):  # Windows
            for listener in server.sockets:
                self._loop.remove_reader(listener.fileno())
        for _ in range(10):
            await asyncio.sleep(0)
        server.close()
        for task in list(tasks):
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=5)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                return
            lines = head.decode("latin-1").split("\r\n")
            method, path, _ = lines[0].split(" ", 2)
            headers = {
                name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
            }
            length = int(headers.get("content-length") or 0)
            body = await reader.readexactly(min(length, _MAX_BODY)) if length else b""
            outgoing = await self._answer(Incoming(method, path, headers, body))
            if not await self._send(writer, outgoing) or headers.get("connection", "").lower() == "close":
                return

    async def _send(self, writer: asyncio.StreamWriter, outgoing: Outgoing) -> bool:
        """Send an answer; ``True`` if the connection can be used again."""
        if outgoing.reset:
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            return False
        if outgoing.raw is not None:
            writer.write(outgoing.raw)
            await writer.drain()
            return False
        if outgoing.pieces is None:
            writer.write(_head(outgoing, {"content-length": str(len(outgoing.body))}))
            writer.write(outgoing.body[: outgoing.cut_after])
            await writer.drain()
            return outgoing.cut_after is None
        writer.write(_head(outgoing, {"transfer-encoding": "chunked"}))
        try:
            async for piece in outgoing.pieces:
                if piece:
                    writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                    await writer.drain()
        except Cut:
            return False
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True


class LoopbackService:
    """Base of the public servers over a :class:`LoopbackServer`; ``with`` starts and stops them."""

    def __init__(self, answer: Callable[[Incoming], Awaitable[Outgoing]]) -> None:
        self._server = LoopbackServer(answer)

    @property
    def url(self) -> str:
        """The server's address, without a path."""
        return f"http://127.0.0.1:{self._server.port}"

    def start(self) -> Self:
        """Open the port. A ``with`` block does it for you."""
        self._server.start()
        return self

    def stop(self) -> None:
        """Close every connection and the port. Safe to call twice."""
        self._server.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def _head(outgoing: Outgoing, framing: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {outgoing.status} {'OK' if outgoing.status < 400 else 'Error'}"]
    lines += [f"{name}: {value}" for name, value in {**outgoing.headers, **framing}.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
