"""A pair of transports, blocking and asyncio, each created on first use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from provider_kit.model.closing import Closing
from provider_kit.model.http_config import HTTPConfig
from provider_kit.transports.base import Runtime, Transport
from provider_kit.transports.drive import run_to_completion

__all__ = ["SyncAsyncMixin", "Transports"]


class Transports:
    """A blocking and an asyncio transport of one configuration.

    Args:
        http: Pools, proxies, certificates.
        session: The user's ``requests.Session``.
        async_session: The user's ``aiohttp.ClientSession``.
        transport: One transport for blocking and asyncio calls; never closed here.
        wrap: Wraps each transport, for instance in one that logs every request.
    """

    def __init__(
        self,
        http: HTTPConfig,
        *,
        session: Any = None,
        async_session: Any = None,
        transport: Transport | None = None,
        wrap: Callable[[Transport], Transport] | None = None,
    ) -> None:
        self._http = http
        self._sessions = (session, async_session)
        self._wrap = wrap
        if transport is not None:
            transport = self._wrapped(transport)
        self._given = transport
        #: The transports, once created.
        self.blocking: Transport | None = transport
        self.asyncio: Transport | None = transport

    def __getstate__(self) -> dict[str, Any]:
        raise TypeError("connections cannot be pickled")

    def make_blocking(self) -> Transport:
        """Create the blocking transport."""
        from provider_kit.transports.requests_transport import RequestsTransport

        # Two threads may both get here; the first assignment that is read wins, the other is unused.
        own = RequestsTransport(self._http, session=self._sessions[0])
        self.blocking = made = self.blocking or self._wrapped(own)
        return made

    def make_asyncio(self) -> Transport:
        """Create the asyncio transport."""
        from provider_kit.transports.aiohttp_transport import AiohttpTransport

        own = AiohttpTransport(self._http, session=self._sessions[1])
        self.asyncio = made = self.asyncio or self._wrapped(own)
        return made

    def _wrapped(self, made: Transport) -> Transport:
        return made if self._wrap is None else self._wrap(made)

    def for_same_runtime(self, runtime: Runtime) -> Transport:
        """The transport of the same kind as a runtime, blocking or asyncio."""
        if runtime.kind == "asyncio":
            return self.asyncio or self.make_asyncio()
        return self.blocking or self.make_blocking()

    def close(self) -> None:
        """Close the blocking connections. They can be opened again."""
        if self.blocking is not None and self._given is None:
            run_to_completion(self.blocking.aclose())

    async def aclose(self) -> None:
        """Close the connections of the running event loop, and the blocking ones."""
        if self.asyncio is not None and self._given is None:
            await self.asyncio.aclose()
        self.close()


class SyncAsyncMixin(Closing):
    """Base of classes with blocking and asyncio methods over one pair of transports."""

    _transports: Transports

    def _blocking(self) -> Transport:
        return self._transports.blocking or self._transports.make_blocking()

    def _asyncio(self) -> Transport:
        return self._transports.asyncio or self._transports.make_asyncio()

    def close(self) -> None:
        """Close the connections of blocking calls. The object can be used again."""
        self._transports.close()

    async def aclose(self) -> None:
        """Close the connections of the running event loop, and those of blocking calls."""
        await self._transports.aclose()
