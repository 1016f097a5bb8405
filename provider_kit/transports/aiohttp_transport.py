"""The asyncio transport, over aiohttp.

A session belongs to its event loop. The transport keeps one for each loop that uses it, created on first use by an
async generator that stays suspended in the loop; ``asyncio.run`` finalises such generators, so the session is closed
with its loop even if ``aclose()`` is never called. No session is used from another loop than its own.
"""

from __future__ import annotations

import asyncio
import atexit
import io
import math
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import aiohttp
from yarl import URL

from provider_kit.errors import (
    ConfigError,
)
from provider_kit.model.config import HTTPConfig
from provider_kit.model.secrets import MaskedStr
from provider_kit.policies.after_fork import renew_after_fork
from provider_kit.transports.aiohttp_clocks import Guard, Watchdog
from provider_kit.transports.aiohttp_errors import raise_translated
from provider_kit.transports.aiohttp_sessions import InLoop, bury, current_limits, own_session
from provider_kit.transports.base import (
    late,
    too_large,
)
from provider_kit.transports.environment import (
    find_proxy,
    goes_direct,
    proxy_credentials,
    ssl_context,
    without_credentials,
)
from provider_kit.transports.runtime_asyncio import AsyncioRuntime
from provider_kit.wire.http import HttpRequest, HttpResponse, Limits

__all__ = ["AiohttpTransport", "known_transports"]

T = TypeVar("T")

_DRAIN_SECONDS = 0.5
_DRAIN_BYTES = 65536
#: Bytes of a request body that are written at once.
_LARGE_BODY = 1 << 20
#: Number of cached addresses and timeouts.
_REMEMBERED = 500

known_transports: weakref.WeakSet[AiohttpTransport] = weakref.WeakSet()
#: Sessions a forked child inherited; kept alive so that the parent's sockets and loop are not touched.
_inherited: list[Any] = []


class AiohttpTransport(AsyncioRuntime):
    """Sends with aiohttp; safe to share between event loops and threads, survives ``fork``.

    Args:
        config: Pools, proxies, certificates, sizes.
        session: A session of your own, usable only in its loop. It is never closed.
    """

    def __init__(self, config: HTTPConfig | None = None, *, session: aiohttp.ClientSession | None = None) -> None:
        self._config = config or HTTPConfig()
        self._session = session
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, InLoop] = weakref.WeakKeyDictionary()
        self._routes: dict[str, tuple[str | None, dict[str, str] | None, Any]] = {}
        self._timeouts: dict[float | None, aiohttp.ClientTimeout] = {}
        self._urls: dict[str, URL] = {}
        #: Exchanges in progress, by the identity of their limits.
        self._opening: weakref.WeakValueDictionary[int, Guard] = weakref.WeakValueDictionary()
        known_transports.add(self)
        renew_after_fork(self)

    # -------------------------------------------------------------------------------------------- protocol

    async def send(self, request: HttpRequest, limits: Limits) -> HttpResponse:
        """Send a request and read the whole answer."""
        here = self._here() or await self._settle()
        session = here.session
        guard = Guard(here.watchdog, limits, streaming=False)
        if limits.interruptible:
            self._watch(limits, guard)
        response: aiohttp.ClientResponse | None = None
        try:
            response = await self._request(session, request, limits, guard)
            guard.answered = True
            body = await self._read_whole(response, limits)
        except BaseException as error:
            if response is not None:
                response.close()
            raise_translated(error, guard, limits, request.url)
        finally:
            guard.stop()
            if limits.interruptible:
                self._opening.pop(id(limits), None)
        if not response.closed:
            response.close()  # a protocol switch has a body that never ends
        return HttpResponse(response.status, response.headers, body)

    async def open_stream(self, request: HttpRequest, limits: Limits) -> _Stream:
        """Send a request and return as soon as the answer's headers arrive."""
        here = self._here() or await self._settle()
        session = here.session
        guard = Guard(here.watchdog, limits, streaming=True)
        self._watch(limits, guard)
        try:
            response = await self._request(session, request, limits, guard)
        except BaseException as error:
            guard.stop()
            raise_translated(error, guard, limits, request.url)
        finally:
            self._opening.pop(id(limits), None)
        guard.answered = True
        return _Stream(response, guard, limits, request)

    async def run_all(
        self, thunks: Sequence[Callable[[], Awaitable[T]]], limit: int | None = None
    ) -> AsyncIterator[tuple[int, T | Exception]]:
        """Run coroutines as tasks; yield each outcome as it ends; leaving early cancels the rest."""
        running: dict[asyncio.Task[T], int] = {}
        waiting = iter(range(len(thunks)))
        room = limit or len(thunks)

        async def run(number: int) -> T:
            return await thunks[number]()

        try:
            while True:
                while len(running) < room and (number := next(waiting, None)) is not None:
                    running[asyncio.create_task(run(number))] = number
                if not running:
                    return
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    number = running.pop(task)
                    error = task.exception()
                    if error is not None and not isinstance(error, Exception):
                        raise error
                    yield number, (task.result() if error is None else error)
        finally:
            for task in running:
                task.cancel()
            if running:
                await asyncio.gather(*running, return_exceptions=True)

    def _watch(self, limits: Limits, guard: Guard) -> None:
        """Register an exchange by its limits, so that it can be interrupted."""
        self._opening[id(limits)] = guard
        if limits.left:  # interrupted before it was registered in the line above
            guard.break_off()

    def interrupt(self, limits: Limits) -> None:
        """End the wait for headers, as if its timeout had expired."""
        limits.left = True
        guard = self._opening.get(id(limits))
        if guard is not None:
            guard.break_off()

    async def aclose(self) -> None:
        """Close the running loop's session; those of other loops close with their loops."""
        found = self._loops.get(asyncio.get_running_loop())
        if found is not None and found.owner is not None:
            await found.owner.aclose()

    # -------------------------------------------------------------------------------------------- sessions

    def open_sessions(self) -> list[tuple[asyncio.AbstractEventLoop, aiohttp.ClientSession]]:
        """The sessions of loops that are open."""
        found = [(reference(), reference) for reference in self._loops.keyrefs()]
        pairs = [(loop, self._loops.get(loop)) for loop, _ in found if loop is not None and not loop.is_closed()]
        return [(loop, here.session) for loop, here in pairs if here is not None and not here.session.closed]

    def _here(self) -> InLoop | None:
        """What belongs to the running loop, if it is still open."""
        found = self._loops.get(asyncio.get_running_loop())
        return None if found is None or found.session.closed else found

    async def _settle(self) -> InLoop:
        """Create what the running loop needs."""
        loop = asyncio.get_running_loop()
        self._bury_dead_loops()
        if self._session is not None:
            if self._session.closed:
                raise ConfigError("The session that was passed in is closed.", hint="Close it after the last call.")
            found = InLoop(self._session, Watchdog(loop))
        else:
            owner = own_session(self._config, loop, weakref.ref(self._loops))
            found = InLoop(await anext(owner), Watchdog(loop), owner)
        self._loops[loop] = found
        return found

    def _bury_dead_loops(self, *, at_exit: bool = False) -> None:
        """Clean up after loops that were closed without finalising their generators, as ``asyncio.run`` does.

        Args:
            at_exit: Whether the process ends: a loop that only stopped, as Twisted leaves it, does not run again.
        """
        for reference in self._loops.keyrefs():  # a list: other threads may add their loops meanwhile
            loop = reference()
            if loop is not None and (loop.is_closed() or (at_exit and not loop.is_running())):
                found = self._loops.pop(loop, None)
                if found is not None and found.owner is not None:
                    bury(found.session)

    def __del__(self) -> None:
        with suppress(Exception):  # at interpreter shutdown anything may be gone already
            self._bury_dead_loops()

    def _after_fork(self) -> None:
        _inherited.extend(self._loops.values())
        self._loops = weakref.WeakKeyDictionary()

    def __getstate__(self) -> dict[str, Any]:
        return {"config": self._config}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__init__(state["config"])  # type: ignore[misc]  # the state is its arguments

    # -------------------------------------------------------------------------------------------- sending

    async def _request(
        self, session: aiohttp.ClientSession, request: HttpRequest, limits: Limits, guard: Guard
    ) -> aiohttp.ClientResponse:
        url = self._urls.get(request.url)
        if url is None:
            if len(self._urls) > _REMEMBERED:
                self._urls.clear()
            url = self._urls[request.url] = URL(request.url, encoded=True)
        proxy, proxy_headers, tls = self._route(request.url)
        if proxy is not None and goes_direct(request.url, request.headers, self._config):
            proxy = proxy_headers = None
        headers: Mapping[str, str] = request.headers
        if proxy_headers and request.url.startswith("http:"):
            headers = {**headers, **proxy_headers}  # it reads the request itself
        current_limits.set(limits)
        response = await session.request(
            request.method,
            url,
            data=_payload(request.body),
            headers=headers,
            proxy=proxy,
            proxy_headers=proxy_headers,
            ssl=tls,
            timeout=self._timeout(limits.connect),
            allow_redirects=False,
            trace_request_ctx=guard,
        )
        limits.answered = time.monotonic()
        return response

    def _timeout(self, connect: float | None) -> aiohttp.ClientTimeout:
        known = self._timeouts.get(connect)
        if known is None:
            if len(self._timeouts) > _REMEMBERED:
                self._timeouts.clear()
            known = self._timeouts[connect] = aiohttp.ClientTimeout(
                total=None, connect=connect, sock_connect=connect, ceil_threshold=math.inf
            )
        return known

    def _route(self, url: str) -> tuple[str | None, dict[str, str] | None, Any]:
        """Proxy, its credentials, and TLS settings of an origin, looked up once."""
        end = url.find("/", 8)
        origin = url[:end] if end > 0 else url
        route = self._routes.get(origin)
        if route is None:
            proxy = find_proxy(url, self._config)
            if proxy is not None and proxy.startswith("socks"):
                raise ConfigError(
                    "asyncio calls cannot use a SOCKS proxy without further packages.",
                    hint="Use the blocking calls, an HTTP proxy, or async_session= with a connector of aiohttp_socks.",
                )
            secure = origin.startswith("https:") or (proxy or "").startswith("https:")
            credentials = None if proxy is None else proxy_credentials(proxy)
            route = self._routes[origin] = (
                None if proxy is None else without_credentials(proxy),
                None if credentials is None else {"Proxy-Authorization": MaskedStr(credentials)},
                ssl_context(self._config) if secure else True,
            )
        return route

    async def _read_whole(self, response: aiohttp.ClientResponse, limits: Limits) -> bytes:
        length = response.content_length
        if length is not None and length > limits.max_bytes:
            raise too_large(limits.max_bytes)
        content = response.content
        data = await content.readany()
        if content.at_eof():
            if len(data) > limits.max_bytes:
                raise too_large(limits.max_bytes)
            return data
        pieces = [data]
        size = len(data)
        while True:
            data = await content.readany()
            if not data:
                return b"".join(pieces)
            size += len(data)
            if size > limits.max_bytes:
                raise too_large(limits.max_bytes)
            pieces.append(data)


class _Stream:
    """An answer that is still arriving."""

    def __init__(self, response: aiohttp.ClientResponse, guard: Guard, limits: Limits, request: HttpRequest) -> None:
        self.status: int = response.status
        self.headers: Mapping[str, str] = response.headers
        self._response = response
        self._readany = response.content.readany
        self._guard = guard
        self._limits = limits
        self._url = request.url
        self._left = limits.max_bytes
        self._open = True
        self.progress = guard.progress
        guard.hand_over(response.close)

    async def read(self) -> bytes:
        """The next bytes; ``b""`` at the end."""
        guard = self._guard
        guard.wait()
        try:
            data = await self._readany()
        except Exception as error:
            self._give_up()
            raise_translated(error, guard, self._limits, self._url)
        guard.waited()
        if data:
            self._left -= len(data)
            if self._left < 0:
                self._give_up()
                raise too_large(self._limits.max_bytes)
        elif self._guard.expired:
            self._give_up()
            raise late(self._limits, time.monotonic(), streaming=True, began=self._guard.began)
        elif self._open:
            self._end()
        return data

    def interrupt(self) -> None:
        """End a read in another task; may be called from any thread."""
        with suppress(RuntimeError):  # the loop is closed, and no task reads in it
            self._guard.loop.call_soon_threadsafe(self._response.close)

    async def drain(self) -> None:
        """Read what follows a complete answer, for a short time."""
        if not self._open:
            return
        if not self._reusable():
            self._give_up()
            return
        left = _DRAIN_BYTES
        self._guard.wait()
        self._guard.shorten(_DRAIN_SECONDS)
        try:
            while left > 0 and not self._guard.expired:
                data = await self._readany()
                if not data:
                    self._end()
                    return
                left -= len(data)
        except (aiohttp.ClientError, OSError):
            pass  # the answer was complete; only the connection is lost
        finally:
            await self.aclose()  # a cancellation does not wait for the rest either

    async def aclose(self) -> None:
        """Close a half-read connection."""
        if self._open:
            self._give_up()

    def __del__(self) -> None:
        # Its loop was closed without finalising the reader; aiohttp's close() then does nothing.
        if self._open and self._guard.loop.is_closed():
            with suppress(Exception):
                self._give_up()
                if self._response.connection is not None:
                    self._response.connection.close()

    def _reusable(self) -> bool:
        """Whether the answer ends before its connection does."""
        headers = self.headers
        return "content-length" in headers or "transfer-encoding" in headers

    def _end(self) -> None:
        self._open = False
        self._readany = _nothing
        self._guard.stop()
        self._response.release()

    def _give_up(self) -> None:
        self._open = False
        self._guard.stop()
        self._response.close()


async def _nothing() -> bytes:
    return b""


def _payload(body: bytes | None) -> bytes | io.BytesIO | None:
    """A large body is sent in pieces, so that other tasks can run; aiohttp warns otherwise."""
    return body if body is None or len(body) <= _LARGE_BODY else io.BytesIO(body)


@atexit.register
def _bury_at_exit() -> None:
    """Clean up loops that were closed without finalisation and whose transports were not used again."""
    for transport in list(known_transports):
        transport._bury_dead_loops(at_exit=True)
