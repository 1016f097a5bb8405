"""The session of one event loop: created on first use, closed with its loop, and cleaned up if the loop was closed
first."""

from __future__ import annotations

import asyncio
import functools
import select
import time
import weakref
from collections.abc import AsyncGenerator, Callable
from contextvars import ContextVar
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from attrs import define

from provider_kit.model.config import HTTPConfig
from provider_kit.transports.aiohttp_clocks import Watchdog
from provider_kit.wire.http import Limits

__all__ = ["InLoop", "bury", "current_limits", "own_session"]

#: The limits of the request that the current task sends.
current_limits: ContextVar[Limits] = ContextVar("provider_kit_limits")


#: Bytes of one header, as http.client has it; aiohttp's 8 KiB are too few for some gateways.
_HEADER_BYTES = 65536


#: Seconds; an event loop takes no infinity.
_LONGEST_IDLE = 86400.0


@define
class InLoop:
    """What belongs to one event loop."""

    session: aiohttp.ClientSession
    watchdog: Watchdog
    #: Suspended in the loop; closes the session when the loop ends. ``None`` for a user's session.
    owner: AsyncGenerator[aiohttp.ClientSession, None] | None = None


def _make_poll(sock: Any) -> Callable[[float], Any]:
    """Create a function that returns whether bytes, or the end of the connection, can be read."""
    if not hasattr(select, "poll"):  # Windows
        return lambda timeout: select.select([sock], [], [], timeout)[0]
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return poll.poll


class _Protocol(ResponseHandler):
    """aiohttp's connections, more careful in four cases.

    An idle connection whose end has arrived, but was not seen by the loop yet, is not used again. The reader of an
    answer gets an error when its chunks are malformed, instead of waiting for ever. A connection that is closed while
    the server takes no more of the request does not stay open for it. One whose loop is closed closes its socket
    itself.
    """

    _poll: Any = None

    def is_connected(self) -> bool:
        transport = self.transport
        if transport is None or not super().is_connected():
            return False
        if self._poll is None:
            self._poll = _make_poll(transport.get_extra_info("socket"))
        return not self._poll(0)

    def close(self) -> None:
        transport = self.transport
        if transport is not None and self._loop.is_closed():  # discarded with its loop, which closes nothing any more
            self.transport = None
            _free_socket(transport)
            return
        super().close()
        if transport is not None and transport.get_write_buffer_size():
            transport.abort()

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        payload = self._payload
        super().set_exception(exc, *cause)
        if payload is not None and not payload.is_eof() and payload.exception() is None:
            payload.set_exception(aiohttp.ClientPayloadError(str(exc)))


class _Connector(aiohttp.TCPConnector):
    """aiohttp's connector, which leaves with a request how long its connection took. Traces would cost each request
    more than all else here."""

    async def _create_connection(self, *args: Any, **kwargs: Any) -> ResponseHandler:
        began = time.monotonic()
        made = await super()._create_connection(*args, **kwargs)
        limits = current_limits.get(None)
        if limits is not None:
            limits.connected = time.monotonic() - began
        return made


async def own_session(
    config: HTTPConfig,
    loop: asyncio.AbstractEventLoop,
    loops: weakref.ref[weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, InLoop]],
) -> AsyncGenerator[aiohttp.ClientSession, None]:
    """A session that lives until its loop or its transport ends.

    It refers to the transport only weakly: part of a reference cycle, it could be taken apart by the
    garbage collector before it is closed.
    """
    connector = _Connector(
        limit=0,
        limit_per_host=config.max_connections or 0,
        keepalive_timeout=min(config.idle_timeout, _LONGEST_IDLE),
    )
    connector._factory = functools.partial(_Protocol, loop=loop)  # type: ignore[assignment]  # a subclass will do
    session = aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
        max_line_size=_HEADER_BYTES,
        max_field_size=_HEADER_BYTES,
        trace_configs=_queue_traces() if config.max_connections else None,
    )
    try:
        yield session
    finally:
        known = loops()
        found = None if known is None else known.get(loop)
        if known is not None and found is not None and found.session is session:
            del known[loop]
            found.watchdog.stop()
        await session.close()


def bury(session: aiohttp.ClientSession) -> None:
    """Free the sockets of a session whose loop is closed; it can no longer be closed properly."""
    connector = session.connector
    session.detach()
    if connector is None:
        return
    idle = [protocol for waiting in connector._conns.values() for protocol, _ in waiting]
    for protocol in (*idle, *connector._acquired):
        if protocol.transport is not None:
            _free_socket(protocol.transport)
    # What is left can no longer be closed, which it would warn of when it is collected.
    connector._conns.clear()
    connector._acquired.clear()
    connector._closed = True


def _free_socket(transport: Any) -> None:
    """Close the socket of a transport whose loop is closed. uvloop closes its own with the loop."""
    inner: Any = getattr(getattr(transport, "_ssl_protocol", None), "_transport", None)
    for part in (transport,) if inner is None else (transport, inner):
        sock = getattr(part, "_sock", None)
        if sock is not None:
            sock.close()
            part._sock = None
        if getattr(part, "_closed", None) is False:
            part._closed = True


def _queue_traces() -> list[aiohttp.TraceConfig]:
    """Marks a call's guard while it waits for a free connection."""

    async def began(_session: aiohttp.ClientSession, context: Any, _: Any) -> None:
        context.trace_request_ctx.queued = True

    async def ended(_session: aiohttp.ClientSession, context: Any, _: Any) -> None:
        context.trace_request_ctx.queued = False

    config = aiohttp.TraceConfig()
    config.on_connection_queued_start.append(began)
    config.on_connection_queued_end.append(ended)
    return [config]
