"""Tokens in Redis, shared by machines. Needs ``pip install provider-kit[redis]``.

Redis stores them unencrypted: wrap this storage in :class:`EncryptedTokenStorage` unless only
trusted programs can read that server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from provider_kit.auth.storage.base import StorageBase
from provider_kit.auth.storage.protocol import check_key_name, read_record, reported, write_record
from provider_kit.errors import MissingDependencyError
from provider_kit.model.oauth import OAuthToken
from provider_kit.wire.redaction import redact

if TYPE_CHECKING:
    import redis

__all__ = ["RedisTokenStorage"]


class _RedisLock:
    """A lock that expires, since Redis does not notice when a process dies."""

    def __init__(self, storage: RedisTokenStorage, lock: Any) -> None:
        self._storage = storage
        self._lock = lock

    def acquire(self) -> bool:
        """Acquire it if it is free, without waiting."""
        with self._storage.reported():
            return bool(self._lock.acquire(blocking=False))

    def release(self) -> None:
        """Release it; an expired lock is ignored."""
        from redis.exceptions import LockError

        with self._storage.reported():
            try:
                self._lock.release()
            except LockError:
                pass  # it had expired, and another process may hold it now


class RedisTokenStorage(StorageBase):
    """Keeps tokens in Redis.

    Args:
        url: ``redis://…``, ``rediss://…`` or ``unix://…``.
        client: Your own ``redis.Redis`` instead; it is not closed.
        prefix: Prefix of every name.
        timeout: Seconds for each command.
        lock_seconds: Seconds after which the lock of a dead process expires. A refresh takes at most 60.

    Raises:
        MissingDependencyError: The package ``redis`` is not installed.
    """

    def __init__(
        self,
        url: str = "redis://localhost:6379/0",
        *,
        client: redis.Redis | None = None,
        prefix: str = "provider-kit",
        timeout: float = 2.0,
        lock_seconds: float = 75.0,
    ) -> None:
        try:
            import redis
        except ImportError as error:
            raise MissingDependencyError(
                "Tokens in Redis need the package redis.", hint="pip install provider-kit[redis]"
            ) from error
        self._failure = redis.RedisError
        self._given = client is not None
        self._client = client or redis.Redis.from_url(url, socket_timeout=timeout, socket_connect_timeout=timeout)
        self._shown = redact(url.rpartition("@")[2])
        self._prefix = f"{prefix}:token:"
        self._lock_seconds = lock_seconds

    def __repr__(self) -> str:
        return f"<RedisTokenStorage {self._shown}>"

    def reported(self) -> Any:
        """Turn errors of Redis into :class:`StorageError`."""
        return reported(
            f"Redis at {self._shown} failed",
            "Check that the server runs and that the URL and its password are correct.",
            self._failure,
            OSError,
        )

    def store_token(self, key: str, token: OAuthToken) -> None:
        """Store a token under a name, atomically.

        Raises:
            StorageError: The server cannot be reached, or refuses.
        """
        with self.reported():
            self._client.set(self._prefix + check_key_name(key), write_record(token))

    def retrieve_token(self, key: str) -> OAuthToken | None:
        """The token under a name, or ``None``.

        Raises:
            StorageError: The server cannot be reached, or what is there is damaged.
        """
        with self.reported():
            found: Any = self._client.get(self._prefix + key)
        return None if found is None else read_record(found, f"Redis under {key!r}")

    def delete_token(self, key: str) -> bool:
        """Delete a token; return whether there was one."""
        with self.reported():
            return bool(self._client.delete(self._prefix + key))

    def list_tokens(self) -> list[str]:
        """The names of all tokens, sorted."""
        with self.reported():
            names = [name.decode() if isinstance(name, bytes) else name for name in self._client.scan_iter(
                match=f"{self._prefix}*", count=500
            )]  # fmt: skip
        return sorted(name.removeprefix(self._prefix) for name in names)

    def lock(self, key: str) -> _RedisLock:
        """A lock that keeps other processes and machines from refreshing the same token."""
        name = f"{self._prefix.replace(':token:', ':token-lock:')}{key}"
        return _RedisLock(self, self._client.lock(name, timeout=self._lock_seconds, thread_local=False))

    def close(self) -> None:
        """Close the connections, unless the client is yours."""
        if not self._given:
            self._client.close()
