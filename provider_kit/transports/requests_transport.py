"""The blocking transport, over requests.

Each method is ``async def`` and never suspends. Calls go through the mounted adapter with a prepared request, which
costs half of ``Session.post``. With your own session, that session's ``send`` is used in full, so that its hooks, auth,
adapters and cookies keep working.
"""

from __future__ import annotations

import queue
import threading
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from requests import exceptions as failures
from urllib3 import exceptions as pool_failures
from urllib3.util import Timeout as PoolTimeout

from provider_kit.errors import (
    DeadlineExceededError,
    MissingDependencyError,
    PoolTimeoutError,
    ProviderKitError,
)
from provider_kit.model.config import HTTPConfig
from provider_kit.policies.after_fork import renew_after_fork
from provider_kit.transports.base import (
    late,
    too_large,
)
from provider_kit.transports.drive import run_to_completion
from provider_kit.transports.environment import find_proxy, goes_direct
from provider_kit.transports.requests_clocks import RequestClock, current
from provider_kit.transports.requests_connections import TimedAdapter
from provider_kit.transports.requests_errors import may_have_been_sent, raise_translated
from provider_kit.transports.runtime_blocking import BlockingRuntime
from provider_kit.wire.http import HttpRequest, HttpResponse, Limits

__all__ = ["RequestsTransport", "known_transports"]

T = TypeVar("T")

_READ_SIZE = 65536
#: Seconds and bytes that may follow a complete stream before its connection is closed.
_DRAIN_SECONDS = 0.5
_DRAIN_BYTES = 65536
#: Number of cached timeouts.
_REMEMBERED = 500

known_transports: weakref.WeakSet[RequestsTransport] = weakref.WeakSet()
#: Connections a forked child inherited; kept alive so that their locks and sockets are not touched.
_inherited: list[Any] = []


class RequestsTransport(BlockingRuntime):
    """Sends with requests; safe to share between threads, survives ``fork``.

    Args:
        config: Pools, proxies, certificates, sizes.
        session: Your own session. It is used as it is and never closed. Its read timeout applies to each read, so only
            the library's own connections keep deadlines against a server that sends slowly.
    """

    def __init__(self, config: HTTPConfig | None = None, *, session: requests.Session | None = None) -> None:
        self._config = config or HTTPConfig()
        self._session = session
        self._lock = threading.Lock()
        self._adapter: TimedAdapter | None = None
        self._proxies: dict[str, dict[str, str] | None] = {}
        self._timeouts: dict[float | None, PoolTimeout] = {}
        #: Exchanges in progress, by the identity of their limits.
        self._opening: weakref.WeakValueDictionary[int, RequestClock] = weakref.WeakValueDictionary()
        known_transports.add(self)
        renew_after_fork(self)

    @property
    def idle_connections(self) -> int:
        """Connections that are kept for later."""
        adapter = self._adapter
        return 0 if adapter is None else adapter.idle_connections

    # -------------------------------------------------------------------------------------------- protocol

    async def send(self, request: HttpRequest, limits: Limits) -> HttpResponse:
        """Send a request and read the whole answer."""
        exchange = RequestClock(limits, time.monotonic, streaming=False)
        if limits.interruptible:
            self._watch(limits, exchange)
        try:
            response = await self._exchange(request, limits, exchange)
            raw = response.raw
            try:
                body = self._read_whole(response, limits)
            except BaseException as error:
                exchange.let_go()
                _abandon(raw)
                if isinstance(error, ProviderKitError) or not isinstance(error, Exception):
                    raise
                raise_translated(error, exchange, limits, request.url)
            if limits.interruptible:
                exchange.let_go()
            raw.release_conn()
        finally:
            if limits.interruptible:
                self._opening.pop(id(limits), None)
            if exchange.place is not None:
                exchange.over()
        return HttpResponse(response.status_code, response.headers, body)

    async def open_stream(self, request: HttpRequest, limits: Limits) -> _Stream:
        """Send a request and return as soon as the answer's headers arrive."""
        exchange = RequestClock(limits, time.monotonic, streaming=True)
        self._watch(limits, exchange)
        try:
            response = await self._exchange(request, limits, exchange)
            return _Stream(response, exchange, limits, request)
        except BaseException:
            exchange.over()
            raise
        finally:
            self._opening.pop(id(limits), None)

    def _watch(self, limits: Limits, exchange: RequestClock) -> None:
        """Register an exchange by its limits, so that it can be interrupted."""
        self._opening[id(limits)] = exchange
        if limits.left:  # interrupted before it was registered in the line above
            exchange.gone = True

    def interrupt(self, limits: Limits) -> None:
        """Stop sending, and close the connection that waits for an answer."""
        limits.left = True
        exchange = self._opening.get(id(limits))
        if exchange is not None:
            exchange.break_off()

    async def run_all(
        self, thunks: Sequence[Callable[[], Awaitable[T]]], limit: int | None = None
    ) -> AsyncIterator[tuple[int, T | Exception]]:
        """Run coroutines in daemon threads; yield each outcome as it ends."""
        results: queue.SimpleQueue[tuple[int, T | BaseException]] = queue.SimpleQueue()
        numbers: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in range(len(thunks)):
            numbers.put(number)
        stopped = threading.Event()

        def work() -> None:
            while not stopped.is_set():
                try:
                    number = numbers.get_nowait()
                except queue.Empty:
                    return
                try:
                    results.put((number, run_to_completion(thunks[number]())))  # type: ignore[arg-type]  # thunks make coroutines
                except BaseException as error:  # passed to the reader, which re-raises anything but an Exception
                    results.put((number, error))

        threads = [
            threading.Thread(target=work, name="provider-kit", daemon=True)
            for _ in range(min(limit or len(thunks), len(thunks)))
        ]
        for thread in threads:
            thread.start()
        try:
            for _ in thunks:
                number, outcome = results.get()
                if isinstance(outcome, BaseException) and not isinstance(outcome, Exception):
                    raise outcome
                yield number, outcome
        finally:
            stopped.set()

    async def aclose(self) -> None:
        """Close the connections; new ones are opened if it is used again."""
        with self._lock:
            adapter, self._adapter = self._adapter, None
        if adapter is not None:
            adapter.close()

    # -------------------------------------------------------------------------------------------- sending

    async def _exchange(self, request: HttpRequest, limits: Limits, exchange: RequestClock) -> requests.Response:
        left = exchange.left()
        if left is not None and left <= 0:
            raise late(limits, time.monotonic(), streaming=exchange.streaming, began=False)
        current.exchange = exchange
        try:
            if self._session is not None:
                response = self._send_by_session(self._session, request, _to_connect(limits), left)
            else:
                response = await self._send_by_adapter(request, exchange, limits)
            exchange.sent = True
            limits.answered = time.monotonic()
            return response
        except Exception as error:
            if self._session is not None:
                exchange.sent = may_have_been_sent(error)
            raise_translated(error, exchange, limits, request.url)
        finally:
            current.exchange = None

    async def _send_by_adapter(self, request: HttpRequest, exchange: RequestClock, limits: Limits) -> requests.Response:
        adapter = self._adapter
        if adapter is None:
            with self._lock:
                adapter = self._adapter = self._adapter or TimedAdapter(self._config, time.monotonic)
        got = adapter.most is None or await adapter.acquire_slot(request.url, exchange, self.wakeup)
        connect = limits.connect if got else 0.0
        if limits.deadline is not None:
            left = limits.deadline - time.monotonic()
            connect = left if connect is None or left < connect else connect
        if connect is not None and connect <= 0:
            over = late(limits, time.monotonic(), streaming=exchange.streaming, began=False)
            if isinstance(over, DeadlineExceededError):
                raise over
            raise PoolTimeoutError(f"No connection to {urlsplit(request.url).netloc} became free in time.")
        prepared = requests.PreparedRequest()
        prepared.method = request.method
        prepared.url = request.url
        prepared.headers = request.headers  # type: ignore[assignment]  # any mapping does
        prepared.body = request.body
        if request.body is not None:
            request.headers["Content-Length"] = str(len(request.body))
        known: Any = self._timeouts.get(connect) if connect == limits.connect else None
        return adapter.send(
            prepared,
            stream=True,
            timeout=known or self._timeout(connect, limits.connect),
            proxies=self._proxies_for(request),
        )

    def _timeout(self, connect: float | None, usual: float | None) -> Any:
        """urllib3's timeout; reads are timed by the exchange."""
        if connect != usual:
            return PoolTimeout(connect=connect, read=None)
        known = self._timeouts.get(connect)
        if known is None:
            if len(self._timeouts) > _REMEMBERED:
                self._timeouts.clear()
            known = self._timeouts[connect] = PoolTimeout(connect=connect, read=None)
        return known

    def _proxies_for(self, request: HttpRequest) -> dict[str, str] | None:
        url = request.url
        origin = url[: url.find("/", 8)] if url.find("/", 8) > 0 else url
        if origin not in self._proxies:
            proxy = find_proxy(url, self._config)
            if proxy is not None and proxy.startswith("socks") and find_spec("socks") is None:
                raise MissingDependencyError("A SOCKS proxy needs PySocks.", hint="pip install provider-kit[socks]")
            self._proxies[origin] = {url.partition(":")[0]: proxy} if proxy else None
        found = self._proxies[origin]
        return None if found is not None and goes_direct(url, request.headers, self._config) else found

    def _send_by_session(
        self, session: requests.Session, request: HttpRequest, connect: float | None, read: float | None
    ) -> requests.Response:
        prepared = session.prepare_request(
            requests.Request(request.method, request.url, headers=request.headers, data=request.body)
        )
        if session.auth is None:
            prepared.headers.update(request.headers)  # a .netrc entry must not replace the key
        settings = session.merge_environment_settings(prepared.url, {}, True, None, None)
        return session.send(prepared, timeout=(connect, read), allow_redirects=False, **settings)

    def _read_whole(self, response: requests.Response, limits: Limits) -> bytes:
        raw = response.raw
        headers = response.headers
        length = headers.get("content-length")
        if (
            length is not None
            and length.isdecimal()
            and headers.get("content-encoding") is None
            and not getattr(raw, "chunked", False)
        ):
            if int(length) > limits.max_bytes:
                raise too_large(limits.max_bytes)
            return raw.read(decode_content=True)
        pieces: list[bytes] = []
        size = 0
        for piece in _pieces(raw):
            size += len(piece)
            if size > limits.max_bytes:
                raise too_large(limits.max_bytes)
            pieces.append(piece)
        return b"".join(pieces)

    # -------------------------------------------------------------------------------------------- processes

    def _after_fork(self) -> None:
        _inherited.append(self._adapter)
        self._adapter = None
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {"config": self._config, "session": self._session}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__init__(state["config"], session=state["session"])  # type: ignore[misc]  # the state is its arguments


def _pieces(raw: Any) -> Iterator[bytes]:
    """The body as it arrives, decompressed.

    ``read_chunked`` is the fastest; where the body is not chunked, only ``read1`` delivers at once.
    """
    if getattr(raw, "chunked", False) and raw.supports_chunked_reads():
        yield from raw.read_chunked(_READ_SIZE, decode_content=True)
        return
    while True:
        piece = raw.read1(_READ_SIZE, decode_content=True)
        if not piece:
            return
        yield piece


def _to_connect(limits: Limits) -> float | None:
    """Remaining seconds for establishing a connection."""
    if limits.deadline is None:
        return limits.connect
    left = limits.deadline - time.monotonic()
    return left if limits.connect is None else min(limits.connect, left)


class _Stream:
    """An answer that is still arriving."""

    def __init__(
        self, response: requests.Response, exchange: RequestClock, limits: Limits, request: HttpRequest
    ) -> None:
        self.status: int = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self._raw = response.raw
        self._exchange = exchange
        self._limits = limits
        self._url = request.url
        self._pieces = _pieces(response.raw)
        connection = getattr(response.raw, "_connection", None)
        if connection is not None:  # that of a session of the caller's is known only now
            exchange.connection = weakref.ref(connection)
        self._size = 0
        self._open = True
        self.progress = exchange.progress

    async def read(self) -> bytes:
        """The next bytes; ``b""`` at the end."""
        try:
            data = next(self._pieces, b"")
        except Exception as error:
            self._give_up()
            raise_translated(error, self._exchange, self._limits, self._url)
        if data:
            self._size += len(data)
            if self._size > self._limits.max_bytes:
                self._give_up()
                raise too_large(self._limits.max_bytes)
            if self._limits.deadline is not None and time.monotonic() >= self._limits.deadline:
                self._give_up()
                raise late(self._limits, time.monotonic(), streaming=True, began=self._exchange.began)
        elif self._open:
            self._end()
        return data

    def interrupt(self) -> None:
        """End a read in another thread: it finds the connection closed."""
        self._exchange.break_off()

    async def drain(self) -> None:
        """Read what follows a complete answer, for a short time."""
        if not self._open:
            return
        if not ("content-length" in self.headers or "transfer-encoding" in self.headers):
            self._give_up()  # it ends with its connection, which cannot be used again
            return
        self._exchange.shorten(_DRAIN_SECONDS)
        left = _DRAIN_BYTES
        try:
            for data in self._pieces:
                left -= len(data)
                if left < 0:
                    break
            else:
                self._end()
        except (failures.RequestException, pool_failures.HTTPError, OSError):
            pass  # the answer was complete; only the connection is lost
        finally:
            await self.aclose()  # a cancellation does not wait for the rest either

    async def aclose(self) -> None:
        """Close a half-read connection."""
        if self._open:
            self._give_up()

    def _end(self) -> None:
        self._exchange.let_go()
        self._raw.release_conn()
        self._exchange.over()
        self._open = False  # last: what an interrupt leaves undone is done by aclose()

    def _give_up(self) -> None:
        try:
            self._exchange.let_go()
            self._pieces.close()  # type: ignore[attr-defined]  # it is a generator
            _abandon(self._raw)
        finally:
            self._exchange.over()
        self._open = False


def _abandon(raw: Any) -> None:
    """Close a connection whose answer was not read to its end, and release its slot in the pool."""
    with suppress(OSError, pool_failures.HTTPError):
        raw.close()
    raw.release_conn()
