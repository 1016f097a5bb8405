"""Connections for the blocking transport: requests' adapter with strict timeouts.

Everything here extends requests and urllib3 at their documented points: the adapter's pool manager and
``build_response``, the pools' ``ConnectionCls`` and ``QueueCls``, the connections' ``response_class``.
What that adds:

* each read from the socket waits no longer than the remaining time of the call, headers included, so a server that
  sends a byte now and then cannot exceed the deadline; no watchdog thread is needed;
* headers truncated by the end of the connection are an error (http.client treats them as an empty answer);
* early hints (103) are skipped instead of being treated as the answer;
* idle connections beyond the configured number or age are closed;
* no cookie is read or kept, which also halves the time per call where servers set some.
"""

from __future__ import annotations

import http.client
import io
import queue
import ssl
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, proxy_from_url
from urllib3.connection import HTTPConnection, HTTPSConnection

from provider_kit.model.config import HTTPConfig
from provider_kit.model.secrets import MaskedStr
from provider_kit.policies.concurrency import Slots
from provider_kit.transports.environment import proxy_credentials, ssl_context, without_credentials
from provider_kit.transports.requests_clocks import RequestClock, current
from provider_kit.transports.runtime_blocking import BlockingWaiter

__all__ = ["TimedAdapter"]

#: Connections kept briefly after a burst, beyond the configured idle ones.
_BURST = 512
#: Heads of one answer: its own, and interim ones (100, 103) before it.
_MOST_HEADS = 100


class _TimedReader(io.RawIOBase):
    """The socket as a file, each read of which is limited to the remaining time of the exchange.

    http.client uses it in place of the socket, from which it needs only a file to read.
    """

    def __init__(self, sock: Any, connection: _TimedConnectionMixin) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        # Weak: in a reference cycle, a connection abandoned by an interrupt would be closed only by the garbage
        # collector.
        self._connection = weakref.ref(connection)
        self.ended = False

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self, 65536)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        connection = self._connection()
        exchange = None if connection is None else connection.exchange
        if exchange is not None:
            exchange.arm(self._sock)
            start = exchange.now()
            try:
                count: int | None = self._raw.readinto(buffer)
            except TimeoutError:
                exchange.timed_out = True
                raise
            if exchange.budget is not None:
                exchange.budget -= exchange.now() - start  # the time spent waiting for the server
        else:
            count = self._raw.readinto(buffer)
        self.ended = count == 0
        return count

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._raw.close()


class _Response(http.client.HTTPResponse):
    """An answer that skips early hints and detects truncated headers."""

    reader: _TimedReader | None = None
    _heads = 0

    def _read_status(self) -> Any:
        self._heads += 1
        if self._heads > _MOST_HEADS:
            raise http.client.HTTPException("too many interim answers")
        return super()._read_status()  # type: ignore[misc]  # typeshed does not list it

    def begin(self) -> None:
        super().begin()
        while 101 < self.status < 200:
            self.headers = self.msg = None  # type: ignore[assignment]  # makes begin() read the next head
            super().begin()
        if self.reader is not None and self.reader.ended:
            self.close()
            raise http.client.IncompleteRead(b"", None)


class _TimedConnectionMixin:
    """Extension of urllib3's connections."""

    sock: Any
    exchange: RequestClock | None = None
    reader: _TimedReader | None = None
    #: Whether the request itself is being sent, not the CONNECT request to a proxy.
    asking = False
    #: When it was put back into the pool.
    idle_since = 0.0
    idle_timeout = 90.0
    clock: Callable[[], float]

    def response_class(self, sock: Any, *args: Any, **kwargs: Any) -> _Response:
        reader = self.reader = _TimedReader(sock, self)
        response = _Response(reader, *args, **kwargs)  # type: ignore[arg-type]  # only makefile is used
        response.reader = reader
        return response

    def connect(self) -> None:
        exchange = current.exchange
        self.exchange = None if exchange is None else exchange.connecting()
        began = self.clock()
        try:
            super().connect()  # type: ignore[misc]  # urllib3's connection follows in the MRO
        finally:
            if exchange is not None:
                exchange.measured(self.clock() - began)
                exchange.connected()

    def _new_conn(self) -> Any:
        connect = super()._new_conn  # type: ignore[misc]  # urllib3's connection follows in the MRO
        exchange = current.exchange
        return connect() if exchange is None or not exchange.interruptible else exchange.open_socket(connect)

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is None:
            self.connect()
        self.exchange = current.exchange
        if self.exchange is not None:
            self.exchange.connection = weakref.ref(self)
            if self.exchange.gone:  # while the connection was being established
                raise ConnectionAbortedError("the caller has left")
        self.asking = True
        try:
            super().request(*args, **kwargs)  # type: ignore[misc]  # urllib3's connection follows in the MRO
        finally:
            self.asking = False

    def send(self, data: Any) -> None:
        exchange = self.exchange
        if exchange is None:
            super().send(data)  # type: ignore[misc]  # urllib3's connection follows in the MRO
            return
        exchange.arm(self.sock)
        exchange.sent = self.asking
        try:
            super().send(data)  # type: ignore[misc]  # urllib3's connection follows in the MRO
        except TimeoutError:
            exchange.timed_out = True
            raise

    @property
    def is_connected(self) -> bool:
        alive: bool = super().is_connected  # type: ignore[misc]  # urllib3's connection follows in the MRO
        return alive and self.clock() - self.idle_since < self.idle_timeout


class _IdleConnections:
    """urllib3's queue of idle connections, newest first. Once a second surplus and stale ones are closed.

    :class:`queue.LifoQueue` would stay locked for ever if a signal handler raised at the wrong time.
    """

    def __init__(self, maxsize: int, *, keep: int, idle_timeout: float, clock: Callable[[], float]) -> None:
        self._most = maxsize
        self._keep = keep
        self._idle_timeout = idle_timeout
        self._clock = clock
        self._swept = 0.0
        self._idle: deque[Any] = deque()  # its methods are atomic

    def qsize(self) -> int:
        """How many there are."""
        return len(self._idle)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """The newest connection; urllib3 creates one if there is none."""
        try:
            return self._idle.pop()
        except IndexError:
            raise queue.Empty from None

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Keep a connection; ``None`` stands for one that is still to be created."""
        if item is None:
            return
        if len(self._idle) >= self._most:
            raise queue.Full
        now = self._clock()
        item.idle_since = now
        item.exchange = None
        self._idle.append(item)
        if now - self._swept >= 1.0:
            self._swept = now
            self._sweep(now)

    def _sweep(self, now: float) -> None:
        for kept, connection in enumerate(reversed(self._idle.copy()), 1):
            idle = now - connection.idle_since
            # Surplus connections survive five seconds: the next wave of a burst may need them.
            if idle >= self._idle_timeout or (kept > self._keep and idle >= 5.0):
                try:
                    self._idle.remove(connection)
                except ValueError:
                    continue  # another thread has taken it meanwhile
                connection.close()


def _pool_classes(config: HTTPConfig, clock: Callable[[], float]) -> dict[str, Any]:
    attributes = {"idle_timeout": config.idle_timeout, "clock": staticmethod(clock)}
    plain = type("TimedHTTPConnection", (_TimedConnectionMixin, HTTPConnection), attributes)
    secure = type("TimedHTTPSConnection", (_TimedConnectionMixin, HTTPSConnection), attributes)

    def make_queue(maxsize: int) -> _IdleConnections:
        keep = config.max_idle_connections_per_host
        return _IdleConnections(maxsize, keep=keep, idle_timeout=config.idle_timeout, clock=clock)

    shared = {"QueueCls": staticmethod(make_queue)}
    return {
        "http": type("TimedHTTPPool", (HTTPConnectionPool,), {**shared, "ConnectionCls": plain}),
        "https": type("TimedHTTPSPool", (HTTPSConnectionPool,), {**shared, "ConnectionCls": secure}),
    }


class TimedAdapter(HTTPAdapter):
    """requests' adapter with timed connections; proxies and certificates are resolved by the caller."""

    def __init__(self, config: HTTPConfig, clock: Callable[[], float]) -> None:
        self._config = config
        #: Most connections to one origin.
        self.most = config.max_connections
        self._clock = clock
        self._classes = _pool_classes(config, clock)
        self._pools: dict[tuple[str, str | None], Any] = {}
        #: Slots of each origin, where connections are limited.
        self._places: dict[str, Slots] = {}
        super().__init__(
            pool_connections=config.max_idle_connections,
            pool_maxsize=max(_BURST, config.max_idle_connections_per_host),
            max_retries=0,
        )

    @property
    def idle_connections(self) -> int:
        """Connections that are kept for later."""
        pools = [pool.pool for pool in list(self._pools.values()) if pool.pool is not None]
        return sum(pool.qsize() for pool in pools)

    async def acquire_slot(self, url: str, exchange: RequestClock, wakeup: Callable[[], BlockingWaiter]) -> bool:
        """Wait for a slot for a connection to the origin of ``url``, no longer than the timeouts allow.

        The slot belongs to the exchange and is released when that ends, so none can be lost with a connection.
        """
        most = self.most
        assert most is not None  # only called where they are limited
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        slots = self._places.get(origin)
        if slots is None:
            slots = self._places.setdefault(origin, Slots(most))
        place = exchange.place = slots.take()
        if place.granted:
            return True
        place.wakeup = woken = exchange.woken = wakeup()
        patience = exchange.patience()
        ends = None if patience is None else exchange.now() + patience
        while not place.granted and not exchange.gone:
            left = None if ends is None else ends - exchange.now()
            if left is not None and left <= 0:
                return False
            await woken.wait(left)
        return not exchange.gone

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        """Pools of timed connections."""
        self._pool_connections, self._pool_maxsize, self._pool_block = connections, maxsize, block
        self.poolmanager = PoolManager(num_pools=connections, maxsize=maxsize, block=block, **options)
        self.poolmanager.pool_classes_by_scheme = self._classes

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """The same behind a proxy; SOCKS uses its own connections, with plain read timeouts."""
        if not proxy.lower().startswith("socks") and proxy not in self.proxy_manager:
            # The manager shows the URL in its errors, so it gets one without the password.
            self.proxy_manager[proxy] = proxy_from_url(
                without_credentials(proxy),
                proxy_headers=self.proxy_headers(proxy),
                num_pools=self._pool_connections,
                maxsize=self._pool_maxsize,
                block=self._pool_block,
                **options,
            )
        manager = super().proxy_manager_for(proxy, **options)
        if not proxy.lower().startswith("socks"):
            manager.pool_classes_by_scheme = self._classes
        return manager

    def get_connection_with_tls_context(self, request: Any, verify: Any, proxies: Any = None, cert: Any = None) -> Any:
        """The pool of an origin, looked up once."""
        parts = urlsplit(request.url)
        proxy = (proxies or {}).get(parts.scheme)
        key = (f"{parts.scheme}://{parts.netloc}", proxy)
        pool = self._pools.get(key)
        if pool is None or pool.pool is None:
            tls: dict[str, Any] = {}
            if parts.scheme == "https":
                tls["ssl_context"] = ssl_context(self._config)
                if self._config.verify is False:
                    tls |= {"cert_reqs": ssl.CERT_NONE, "assert_hostname": False}
            manager = self.proxy_manager_for(proxy) if proxy else self.poolmanager
            pool = manager.connection_from_host(
                parts.hostname, port=parts.port, scheme=parts.scheme, pool_kwargs=tls or None
            )
            if len(self._pools) >= self._config.max_idle_connections:
                self._pools.clear()
            self._pools[key] = pool
        return pool

    def proxy_headers(self, proxy: str) -> dict[str, str]:
        """The headers for a proxy; requests omits a user without a password."""
        credentials = proxy_credentials(proxy)
        return {} if credentials is None else {"Proxy-Authorization": MaskedStr(credentials)}

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Nothing to do: the pools have their context."""

    def build_response(self, req: Any, resp: Any) -> requests.Response:
        """A response without cookies and guessed encodings, which are not used here."""
        response = requests.Response()
        response.status_code = resp.status
        response.headers = resp.headers
        response.raw = resp
        response.reason = resp.reason
        response.url = req.url
        response.request = req
        response.connection = self
        return response

    def close(self) -> None:
        """Close every idle connection, even if a traceback still holds their pool."""
        self._pools.clear()
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118  # urllib3's container refuses to be iterated
                pool = manager.pools.get(key)
                if pool is not None:
                    pool.close()
        super().close()
