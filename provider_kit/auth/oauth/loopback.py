"""Waits on a loopback address for the browser callback of a login, or for its pasted URL.

Several connections are served at once, since browsers open some in advance without sending anything. Each has a few
seconds to send its request; everything but the callback gets an error page and is closed.
"""

from __future__ import annotations

import asyncio
import errno
import os
import selectors
import socket
import time
from contextlib import suppress
from typing import Any, Protocol, TextIO
from urllib.parse import urlsplit

from provider_kit.auth.oauth.callback_page import callback_target, response
from provider_kit.errors import AuthError, AuthErrorCode

__all__ = ["AsyncioListener", "BlockingListener", "Listener", "Visit", "open_listener"]

#: Seconds one connection may take to send its request.
_PATIENCE = 5.0
_MOST_CONNECTIONS = 50
#: Seconds after which a blocking wait is renewed: Python handles a signal that arrives just before the wait, as Ctrl-C
#: may, only after it.
_LONGEST_WAIT = 1.0
#: Attempts to find a port that is free in both address families.
_TRIES = 5
_ERROR_PAGE = "<!DOCTYPE html><title>Nothing here</title><p>This address only serves the callback of a login.</p>"


class Visit(Protocol):
    """A callback that waits for its page."""

    #: Path and query the browser requested.
    target: str

    async def answer(self, status: int, page: str, nonce: str) -> None:
        """Show a page and close the connection."""
        ...


class Listener(Protocol):
    """Receives callbacks."""

    url: str

    async def receive(self, deadline: float) -> Visit | str | None:
        """The next callback, or a pasted line; ``None`` once ``deadline`` has passed on the transport's clock."""
        ...

    async def aclose(self) -> None:
        """Stop listening."""
        ...


def _listen(url: str, provider: str) -> tuple[list[socket.socket], str, str, int]:
    """Sockets for a redirect URL, and the URL, path and port they serve."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    hint = "Use http://127.0.0.1:0/callback; port 0 takes a free one."
    if parts.scheme != "http" or host not in ("127.0.0.1", "localhost", "::1"):
        raise AuthError(
            f"A login on this machine cannot receive its callback at {url!r}.",
            code=AuthErrorCode.INVALID_CONFIG,
            provider=provider,
            hint=f"{hint} For a web application use start_oauth_flow() and handle_callback().",
        )
    wanted = parts.port if parts.port is not None else 80
    path = parts.path or "/"
    families = [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
    if host == "127.0.0.1":
        families = families[:1]
    elif host == "::1":
        families = families[1:]
    made: list[socket.socket] = []
    for _ in range(_TRIES if wanted == 0 else 1):
        try:
            made, port = _bind(families, wanted)
            break
        except OSError as error:
            failure = error
    else:
        raise AuthError(
            f"The login cannot listen on {host}:{wanted}: {failure.strerror or failure}.",
            code=AuthErrorCode.OAUTH_FLOW_FAILED,
            provider=provider,
            hint=f"Another login or program may use that port; close it, or let the system choose a port. {hint}",
        ) from failure
    shown = f"[{host}]" if ":" in host else host
    return made, f"http://{shown}:{port}{path}", path, port


def _bind(families: list[tuple[socket.AddressFamily, str]], port: int) -> tuple[list[socket.socket], int]:
    """Sockets of all families on one port. A port that is taken in one of them is not used at all."""
    made: list[socket.socket] = []
    try:
        for family, address in families:
            try:
                one = socket.socket(family, socket.SOCK_STREAM)
            except OSError:  # a machine without IPv6
                continue
            made.append(one)
            if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):  # otherwise Windows lets other programs share the port
                one.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
            else:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                one.bind((address, port))
            except OSError as error:
                if error.errno != errno.EADDRNOTAVAIL or len(families) == 1:
                    raise
                one.close()  # IPv6 without a loopback address
                made.remove(one)
                continue
            one.listen(2 * _MOST_CONNECTIONS)
            one.setblocking(False)
            port = one.getsockname()[1]
    except OSError:
        for one in made:
            one.close()
        raise
    return made, port


def open_listener(
    kind: str, url: str, provider: str, paste: TextIO | None = None
) -> BlockingListener | AsyncioListener:
    """Listen at a redirect URL; if its port is 0, at a free one.

    Args:
        kind: ``blocking`` or ``asyncio``.
        url: The redirect URL; ``http`` and a loopback host.
        provider: For errors.
        paste: A stream on which the user may paste the URL instead, e.g. ``sys.stdin``.

    Raises:
        AuthError: The host is not this machine, or the port is taken.
    """
    sockets, actual, path, port = _listen(url, provider)
    return (AsyncioListener if kind == "asyncio" else BlockingListener)(sockets, actual, path, port, paste)


def _descriptor(paste: TextIO | None) -> int | None:
    """The file descriptor of a text stream; ``None`` if there is none to wait on."""
    if paste is None or os.name != "posix":
        return None
    try:
        return paste.fileno()
    except (OSError, ValueError):
        return None


class BlockingListener:
    """Waits with a selector."""

    def __init__(self, sockets: list[socket.socket], url: str, path: str, port: int, paste: TextIO | None) -> None:
        self.url = url
        self._path, self._port = path, port
        self._sockets = sockets
        self._selector = selectors.DefaultSelector()
        self._open: dict[socket.socket, tuple[bytes, float]] = {}
        self._pasted = b""
        self._paste = _descriptor(paste)
        for one in sockets:
            self._selector.register(one, selectors.EVENT_READ)
        if self._paste is not None:
            try:
                self._selector.register(self._paste, selectors.EVENT_READ)
            except (OSError, ValueError):  # a file is always ready and cannot be waited on
                self._paste = None

    async def receive(self, deadline: float) -> BlockingVisit | str | None:
        """The next callback, or a pasted line."""
        while True:
            line = self._next_line()
            if line is not None:
                return line
            now = time.monotonic()
            self._drop_silent(now)
            soonest = min((until for _, until in self._open.values()), default=deadline)
            if now >= deadline:
                return None
            for key, _ in self._selector.select(max(0.0, min(deadline - now, soonest - now, _LONGEST_WAIT))):
                if key.fileobj in self._sockets:
                    self._accept(key.fileobj)
                elif key.fileobj == self._paste:
                    self._read_lines()
                elif key.fileobj in self._open:  # not closed in favour of a newer one meanwhile
                    visit = self._read(key.fileobj)
                    if visit is not None:
                        return visit

    def _accept(self, listening: Any) -> None:
        try:
            connection, _ = listening.accept()
        except BlockingIOError:
            return
        except OSError:  # no file descriptor is left; avoid a busy loop
            time.sleep(0.05)
            return
        with suppress(OSError):  # the browser closed the connection; it reconnects if needed
            if len(self._open) >= _MOST_CONNECTIONS:
                self._drop(next(iter(self._open)))  # the oldest: a browser sends its request at once
            connection.setblocking(False)
            self._open[connection] = (b"", time.monotonic() + _PATIENCE)
            self._selector.register(connection, selectors.EVENT_READ)

    def _read_lines(self) -> None:
        assert self._paste is not None
        data = os.read(self._paste, 65536)
        if not data:  # end of input; an unfinished line counts too
            self._selector.unregister(self._paste)
            self._paste = None
            data = b"\n"
        self._pasted += data

    def _next_line(self) -> str | None:
        """The next pasted line, if a complete one is available."""
        while b"\n" in self._pasted:
            line, _, self._pasted = self._pasted.partition(b"\n")
            if text := line.decode("utf-8", "replace").strip():
                return text
        return None

    def _read(self, connection: Any) -> BlockingVisit | None:
        head, until = self._open[connection]
        try:
            data = connection.recv(8192)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        told = callback_target(head + data, self._path, self._port) if data else (0, "")
        if told is None:
            self._open[connection] = (head + data, until)
            return None
        self._selector.unregister(connection)
        del self._open[connection]
        status, target = told
        visit = BlockingVisit(connection, target)
        if status == 200:
            return visit
        visit.send(response(status, _ERROR_PAGE) if status else b"")
        return None

    def _drop_silent(self, now: float) -> None:
        for connection, (_, until) in list(self._open.items()):
            if until <= now:
                self._drop(connection)

    def _drop(self, connection: socket.socket) -> None:
        self._selector.unregister(connection)
        del self._open[connection]
        connection.close()

    async def aclose(self) -> None:
        """Stop listening and close every connection."""
        for one in (*self._sockets, *self._open):
            one.close()
        self._open.clear()
        self._selector.close()


class BlockingVisit:
    """A callback on a socket."""

    def __init__(self, connection: socket.socket, target: str) -> None:
        self.target = target
        self._connection = connection

    async def answer(self, status: int, page: str, nonce: str) -> None:
        """Show a page and close the connection."""
        self.send(response(status, page, nonce))

    def send(self, data: bytes) -> None:
        """Send the rest and close; a browser that has disconnected is ignored."""
        with suppress(OSError):
            self._connection.settimeout(_PATIENCE)
            self._connection.sendall(data)
            self._connection.shutdown(socket.SHUT_WR)
        self._connection.close()


class AsyncioListener:
    """Waits in the running event loop."""

    def __init__(self, sockets: list[socket.socket], url: str, path: str, port: int, paste: TextIO | None) -> None:
        self.url = url
        self._path, self._port = path, port
        self._sockets = sockets
        self._loop = asyncio.get_running_loop()
        self._found: asyncio.Queue[AsyncioVisit | str] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        #: Connections without a complete request, the oldest first.
        self._silent: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._servers: list[asyncio.Server] = []
        self._pasted = b""
        self._paste = _descriptor(paste)
        if self._paste is not None:
            try:
                self._loop.add_reader(self._paste, self._read_line)
            except (OSError, ValueError, NotImplementedError):  # a file, or a loop without readers
                self._paste = None

    async def receive(self, deadline: float) -> AsyncioVisit | str | None:
        """The next callback, or a pasted line."""
        if not self._servers:
            for one in self._sockets:
                self._servers.append(await asyncio.start_server(self._serve, sock=one))
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                return await self._found.get()
        except TimeoutError:
            return None

    def _read_line(self) -> None:
        assert self._paste is not None
        data = os.read(self._paste, 65536)
        if not data:  # end of input; an unfinished line counts too
            self._loop.remove_reader(self._paste)
            self._paste = None
            data = b"\n"
        *lines, self._pasted = (self._pasted + data).split(b"\n")
        for line in lines:
            if text := line.decode("utf-8", "replace").strip():
                self._found.put_nowait(text)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        if len(self._silent) >= _MOST_CONNECTIONS:  # close the oldest: a browser sends its request at once
            self._silent.pop(next(iter(self._silent))).close()
        self._silent[task] = writer
        visit = AsyncioVisit(writer)
        try:
            head = b""
            told = None
            async with asyncio.timeout(_PATIENCE):
                while told is None:
                    data = await reader.read(8192)
                    head += data
                    told = callback_target(head, self._path, self._port) if data else (0, "")
            status, visit.target = told
            self._silent.pop(task, None)
            if status == 200:
                self._found.put_nowait(visit)
                await visit.done.wait()
            elif status:
                await visit.answer(status, _ERROR_PAGE, "")
        except (OSError, TimeoutError, asyncio.CancelledError):
            pass  # it disconnected, sent nothing, or the listener was closed
        finally:
            self._tasks.discard(task)
            self._silent.pop(task, None)
            writer.close()
            with suppress(OSError, asyncio.CancelledError):  # it is closed either way
                await writer.wait_closed()

    async def aclose(self) -> None:
        """Stop listening and close every connection."""
        if self._paste is not None:
            self._loop.remove_reader(self._paste)
            self._paste = None
        for server in self._servers:
            server.close()
        for one in self._sockets:
            one.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_PATIENCE)


class AsyncioVisit:
    """A callback on a stream."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.target = ""
        self.done = asyncio.Event()
        self._writer = writer

    async def answer(self, status: int, page: str, nonce: str) -> None:
        """Show a page and close the connection."""
        try:
            self._writer.write(response(status, page, nonce))
            async with asyncio.timeout(_PATIENCE):
                await self._writer.drain()
        except (OSError, TimeoutError):
            pass  # a browser that has disconnected is ignored
        finally:
            self.done.set()
