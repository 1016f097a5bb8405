"""The protocol of shared stores, and opening one by its address. No store is loaded before it is used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from provider_kit.errors import ConfigError
from provider_kit.model.config import ProviderConfig
from provider_kit.policies.response_cache import ResponseCache
from provider_kit.transports.base import Runtime
from provider_kit.wire.redaction import redact

__all__ = ["ADDRESSES", "SharedStore", "open_cache_store", "open_store"]

#: How the address of a store begins.
ADDRESSES = ("redis://", "rediss://", "unix://")


@runtime_checkable
class SharedStore(Protocol):
    """A store that runs small scripts atomically; :class:`RedisStore` is the built-in one."""

    async def run(self, transport: Runtime, script: str, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """Run a Lua script on the server, atomically.

        Raises:
            StoreError: The store cannot be reached in time, or refuses.
        """
        ...


def open_store(url: str) -> SharedStore:
    """The store at an address; no connection is opened yet.

    Raises:
        ConfigError: No store has such an address.
        MissingDependencyError: The library for it is not installed.
    """
    if not url.startswith(ADDRESSES):
        raise ConfigError(f"No store is known at {redact(url)!r}.", hint="store='redis://localhost:6379/0'.")
    from provider_kit.stores.redis_store import RedisStore

    return RedisStore(url)


def open_cache_store(cache: ResponseCache, config: ProviderConfig) -> object:
    """The store of a cache that is not kept in memory.

    Raises:
        StoreError: It cannot be opened.
        MissingDependencyError: The library for it is not installed.
    """
    where = cache.store
    if not isinstance(where, str):
        return where
    if "://" in where:
        return open_store(where)
    from provider_kit.stores.sqlite_cache import SQLiteCache

    return SQLiteCache(where, max_bytes=cache.max_bytes)
