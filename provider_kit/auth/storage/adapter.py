"""Access to one stored token: read, write and lock, with every failure as a :class:`StorageError`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any

from provider_kit.auth.storage.protocol import LockLike, TokenStorage
from provider_kit.auth.user_callables import call_user
from provider_kit.errors import EncryptionError, ProviderKitError, StorageError
from provider_kit.model.oauth import OAuthToken
from provider_kit.transports.base import Transport

__all__ = ["StorageAdapter"]

#: Seconds between two attempts to get a lock that another process holds.
MAX_WAIT_SLICE = 0.03


class _Lock:
    """A lock that may be released while a thread is acquiring it: the thread then gives it back.

    A task that is cancelled, or whose event loop is closed, leaves such a thread behind.

    Args:
        lock: The lock of the storage.
        alone: Returns whether the event loop of the task has been closed.
    """

    def __init__(self, lock: LockLike, alone: Callable[[], bool]) -> None:
        self._lock = lock
        self._alone = alone
        self._guard = threading.Lock()
        self._acquiring = self._held = self._left = False

    def acquire(self) -> bool:
        """Acquire it if it is free; return whether it was."""
        with self._guard:
            self._acquiring, self._left = True, False
        got = False
        try:
            got = self._lock.acquire()
        finally:
            with self._guard:
                self._acquiring = False
                given_back = got and (self._left or self._alone())
                self._held = got and not given_back
            if given_back:
                self._lock.release()
        return self._held

    def release(self) -> None:
        """Release it, now or as soon as it has been acquired."""
        with self._guard:
            self._left = self._acquiring
            held, self._held = self._held, False
        if held:
            self._lock.release()


class StorageAdapter:
    """One name in a storage."""

    def __init__(self, storage: TokenStorage, key: str, provider: str) -> None:
        self.storage = storage
        self.key = key
        self._provider = provider

    async def read(self, transport: Transport) -> OAuthToken | None:
        """Read the stored token.

        Raises:
            StorageError: It cannot be read.
            EncryptionError: It cannot be decrypted.
        """
        found = await self._use(transport, self.storage.retrieve_token, self.key)
        if found is not None and not isinstance(found, OAuthToken):
            raise StorageError(
                f"The token storage returned {type(found).__name__}, not a token.",
                provider=self._provider,
                hint="retrieve_token() returns an OAuthToken or None.",
                retryable=False,
            )
        if found is not None and found.token_type == "encrypted":
            # Ciphertext is not a token: it must neither be sent anywhere nor be replaced silently.
            raise EncryptionError(
                "The stored token is encrypted, and this storage was opened without a key.",
                provider=self._provider,
                hint="Set PROVIDER_KIT_ENCRYPTION_KEY, or wrap the storage: EncryptedTokenStorage(storage, key=…).",
            )
        return found

    async def write(self, transport: Transport, token: OAuthToken) -> None:
        """Store a token.

        Raises:
            StorageError: It cannot be written.
        """
        await self._use(transport, self.storage.store_token, self.key, token)

    async def delete(self, transport: Transport) -> bool:
        """Delete the token; return whether there was one.

        Raises:
            StorageError: It cannot be deleted.
        """
        return await self._use(transport, self.storage.delete_token, self.key) is True

    async def lock(
        self, transport: Transport, deadline: float, made: Callable[[LockLike], object] | None = None
    ) -> LockLike | None:
        """Keep other processes from refreshing; ``None`` where the storage has no lock.

        Args:
            transport: The transport of the caller.
            deadline: Time on the clock until which to wait.
            made: Called with the lock before it is acquired; it may be released at any time from then on.

        Raises:
            StorageError: Another process holds it for too long.
        """
        lock = await self._make_lock(transport, made)
        while lock is not None and not await self._acquire(transport, lock):
            if transport.now() >= deadline:
                raise StorageError(
                    "Another process has been refreshing the token for too long.",
                    provider=self._provider,
                    hint="Try again. If no other process runs, the storage may not support locks.",
                )
            await transport.sleep(MAX_WAIT_SLICE)
        return lock

    async def try_lock(
        self, transport: Transport, made: Callable[[LockLike], object] | None = None
    ) -> tuple[LockLike | None, bool]:
        """Take the lock if it is free; return it, and whether another process holds it.

        Raises:
            StorageError: The lock cannot be used.
        """
        lock = await self._make_lock(transport, made)
        if lock is None:
            return None, False
        return (lock, False) if await self._acquire(transport, lock) else (None, True)

    async def lock_or_none(self, transport: Transport, deadline: float) -> LockLike | None:
        """As :meth:`lock`; after the deadline, or if the lock does not work, continue without it."""
        try:
            return await self.lock(transport, deadline)
        except StorageError:
            return None

    async def _make_lock(self, transport: Transport, made: Callable[[LockLike], object] | None) -> LockLike | None:
        make: Callable[[str], LockLike] | None = getattr(self.storage, "lock", None)
        if make is None:
            return None
        lock: LockLike = await self._use(transport, make, self.key)
        if not (iscoroutinefunction(lock.acquire) or iscoroutinefunction(lock.release)):
            # One that is asynchronous is told of a cancellation itself.
            lock = _Lock(lock, transport.is_loop_closed())
        if made is not None:
            made(lock)
        return lock

    async def _acquire(self, transport: Transport, lock: LockLike) -> bool:
        try:
            return bool(await self._use(transport, lock.acquire))
        except BaseException:  # also a cancellation, which leaves the thread behind; without this it kept the lock
            if isinstance(lock, _Lock):
                lock.release()
            raise

    async def unlock(self, transport: Transport, lock: LockLike) -> None:
        """Release the lock."""
        await self._use(transport, lock.release)

    async def _use(self, transport: Transport, method: Callable[..., Any], *arguments: Any) -> Any:
        try:
            if getattr(self.storage, "never_blocks", False):
                return method(*arguments)
            return await call_user(transport, method, *arguments, what="The token storage")
        except ProviderKitError as error:
            error.provider = error.provider or self._provider
            raise
        except Exception as error:  # the user's storage may raise anything
            raise StorageError(
                f"The token storage failed: {type(error).__name__}.",
                provider=self._provider,
                hint="The cause is above; it comes from your storage.",
            ) from error
