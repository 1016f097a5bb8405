"""Redis, for blocking and asyncio calls. Needs ``pip install provider-kit[redis]``.

Blocking calls use one client with a pool of connections, which redis-py recreates after a fork. A client for asyncio
belongs to its event loop: it is created on first use by an async generator that stays suspended in the loop, so it is
closed with the loop even if the store is not closed.
"""

from __future__ import annotations

import asyncio
import hashlib
import weakref
from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING, Any

from attrs import define

from provider_kit.errors import MissingDependencyError, StoreError
from provider_kit.transports.base import Runtime, one_line
from provider_kit.wire.redaction import redact

if TYPE_CHECKING:
    import redis
    import redis.asyncio

__all__ = ["RedisStore"]


#: Seconds: longest time to live, ten years.
_LONGEST = 10 * 365 * 86400.0


@define(eq=False)
class _InLoop:
    client: redis.asyncio.Redis
    owner: AsyncGenerator[redis.asyncio.Redis, None] | None


class RedisStore:
    """State shared through a Redis server (6 or newer; Valkey works as well).

    Args:
        url: ``redis://[user:password@]host:port/db``, ``rediss://…`` for TLS, ``unix://path``.
        client: Your own ``redis.Redis`` instead, for blocking calls; never closed.
        async_client: Your own ``redis.asyncio.Redis``, for asyncio calls in its loop; never closed.
        prefix: Put before every name, so that several programs can share a server.
        timeout: Seconds to connect, and for each answer.

    Raises:
        MissingDependencyError: redis-py is not installed.
    """

    #: The cache passes its transport.
    knows_transports = True

    def __init__(
        self,
        url: str | None = None,
        *,
        client: redis.Redis | None = None,
        async_client: redis.asyncio.Redis | None = None,
        prefix: str = "provider_kit",
        timeout: float = 1.0,
    ) -> None:
        try:
            import redis
        except ImportError:
            raise MissingDependencyError(
                "Sharing state through Redis needs the package redis.", hint="pip install provider-kit[redis]"
            ) from None
        self._redis = redis
        self._url = url or "redis://localhost:6379/0"
        self._given_async = async_client
        self._client = client
        self.prefix = prefix
        self.timeout = timeout
        self._hashes: dict[str, str] = {}
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _InLoop] = weakref.WeakKeyDictionary()

    def __repr__(self) -> str:
        return f"<RedisStore {redact(self._url.rpartition('@')[2])}>"

    def __getstate__(self) -> dict[str, Any]:
        raise TypeError("a RedisStore cannot be pickled; pass its URL instead")

    # -------------------------------------------------------------------------------------------- use

    async def run(self, transport: Runtime, script: str, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """Run a Lua script on the server, atomically.

        Raises:
            StoreError: The server cannot be reached in time, or refuses.
        """
        names = [f"{self.prefix}:{key}" for key in keys]
        digest = self._hashes.get(script)
        if digest is None:
            digest = self._hashes[script] = hashlib.sha1(script.encode()).hexdigest()  # noqa: S324  # Redis's own name
        missing = self._redis.exceptions.NoScriptError
        try:
            return await self._command(transport, "evalsha", digest, len(names), *names, *args)
        except missing as error:
            error.__traceback__ = None  # redis holds the error in a frame of it: the call's own frames would stay too
        return await self._command(transport, "eval", script, len(names), *names, *args)

    async def get(self, transport: Runtime, key: str) -> bytes | None:
        """The bytes under a key."""
        found: bytes | None = await self._command(transport, "get", f"{self.prefix}:cache:{key}")
        return found

    async def set(self, transport: Runtime, key: str, data: bytes, ttl: float) -> bool:
        """Keep bytes for ``ttl`` seconds."""
        name = f"{self.prefix}:cache:{key}"
        await self._command(transport, "set", name, data, px=max(1, int(min(ttl, _LONGEST) * 1000)))
        return True

    async def _command(self, transport: Runtime, name: str, *args: Any, **options: Any) -> Any:
        failures = self._redis.exceptions
        try:
            if transport.kind != "asyncio":
                return getattr(self._blocking(), name)(*args, **options)
            async with asyncio.timeout(3 * self.timeout):
                client = await self._asynchronous()
                return await getattr(client, name)(*args, **options)
        except failures.NoScriptError:
            raise
        except (failures.RedisError, OSError, TimeoutError) as error:
            said = one_line(redact(str(error))) or type(error).__name__
            raise StoreError(f"Redis at {redact(self._url.rpartition('@')[2])} failed: {said}.") from error

    # -------------------------------------------------------------------------------------------- connections

    def _options(self, retry: Any, backoff: Any) -> dict[str, Any]:
        return {
            "socket_timeout": self.timeout,
            "socket_connect_timeout": self.timeout,
            # One retry, for a connection that the server closed while it was idle; none for a late answer.
            "retry": retry.Retry(backoff.NoBackoff(), 1, supported_errors=(self._redis.exceptions.ConnectionError,)),
        }

    def _blocking(self) -> redis.Redis:
        client = self._client
        if client is None:
            from redis import backoff, retry

            client = self._client = self._redis.Redis.from_url(self._url, **self._options(retry, backoff))
        return client

    async def _asynchronous(self) -> redis.asyncio.Redis:
        if self._given_async is not None:
            return self._given_async
        loop = asyncio.get_running_loop()
        found = self._loops.get(loop)
        if found is None:
            owner = self._own(loop)
            found = self._loops[loop] = _InLoop(await anext(owner), owner)
        return found.client

    async def _own(self, loop: asyncio.AbstractEventLoop) -> AsyncGenerator[redis.asyncio.Redis, None]:
        import redis.asyncio
        from redis import backoff
        from redis.asyncio import retry

        client = redis.asyncio.Redis.from_url(self._url, **self._options(retry, backoff))
        try:
            yield client
        finally:
            self._loops.pop(loop, None)
            await client.aclose()

    def close(self) -> None:
        """Close the connections of blocking calls."""
        if self._client is not None:
            self._client.close()

    async def aclose(self) -> None:
        """Close the connections of the running event loop, and those of blocking calls."""
        found = self._loops.get(asyncio.get_running_loop())
        if found is not None and found.owner is not None:
            await found.owner.aclose()
        self.close()
