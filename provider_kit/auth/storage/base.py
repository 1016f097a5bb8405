"""Common methods of the built-in storages beyond the protocol, built on its four methods."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

from provider_kit.auth.storage.protocol import token_info
from provider_kit.errors import StorageError
from provider_kit.model.oauth import OAuthToken, TokenInfo

__all__ = ["FileLock", "StorageBase", "file_lock"]


class StorageBase:
    """The additional methods of a storage: validity, cleanup, closing."""

    is_encrypted = False

    def store_token(self, key: str, token: OAuthToken) -> None:
        """Store a token under a name, atomically."""
        raise NotImplementedError

    def retrieve_token(self, key: str) -> OAuthToken | None:
        """The token under a name, or ``None``."""
        raise NotImplementedError

    def delete_token(self, key: str) -> bool:
        """Delete a token; return whether there was one."""
        raise NotImplementedError

    def list_tokens(self) -> list[str]:
        """The names of all tokens, sorted."""
        raise NotImplementedError

    def is_token_valid(self, key: str) -> bool:
        """Whether the access token under a name is still valid, by its expiry."""
        token = self.retrieve_token(key)
        return token is not None and token.remaining(time.time()) > 0

    def get_token_info(self, key: str) -> TokenInfo | None:
        """Information about the token under a name; ``None`` if there is none."""
        token = self.retrieve_token(key)
        return None if token is None else token_info(key, token, time.time(), encrypted=self.is_encrypted)

    def cleanup_expired(self) -> list[str]:
        """Delete the tokens that have expired and cannot be refreshed; return their names."""
        gone = []
        for key in self.list_tokens():
            token = self.retrieve_token(key)
            if token is not None and not token.refresh_token and token.remaining(time.time()) <= 0:
                self.delete_token(key)
                gone.append(key)
        return gone

    def close(self) -> None:
        """Close what was opened. The storage can be used again."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class FileLock:
    """A lock on a file, between processes and between threads; the system frees it when a process dies."""

    def __init__(self, path: str) -> None:
        import filelock

        self._path = path
        self._lock = filelock.FileLock(path, timeout=0, thread_local=False, mode=0o600)
        self._busy = filelock.Timeout
        # The lock object is reentrant; two threads must not acquire it at once.
        self._mine = threading.Lock()

    def acquire(self) -> bool:
        """Acquire it if it is free, without waiting."""
        if not self._mine.acquire(blocking=False):
            return False
        try:
            self._lock.acquire()
        except self._busy:
            self._mine.release()
            return False
        except OSError as error:
            self._mine.release()
            raise StorageError(
                f"The lock file {self._path} cannot be used: {error}.",
                hint="The directory must exist and be writable, or choose another location for tokens.",
            ) from error
        except BaseException:  # on interrupts too: otherwise it could never be acquired again
            self._mine.release()
            raise
        return True

    def release(self) -> None:
        """Release it; calling it again does nothing."""
        self._lock.release()
        with suppress(RuntimeError):  # it was free already
            self._mine.release()

    def wait(self, seconds: float) -> None:
        """Acquire it, waiting ``seconds`` at most.

        Raises:
            StorageError: Another process holds it, or the file cannot be used.
        """
        end = time.monotonic() + seconds
        while not self.acquire():
            if time.monotonic() >= end:
                raise StorageError(
                    f"The lock file {self._path} is held by another process.",
                    hint="Try again; if no other process runs, the file system may not support locks.",
                )
            time.sleep(0.005)


def file_lock(folder: str, key: str) -> FileLock:
    """The lock of one token, as a file in a folder."""
    os.makedirs(folder, mode=0o700, exist_ok=True)
    name = hashlib.sha256(key.encode()).hexdigest()[:16]
    return FileLock(os.path.join(folder, f".{name}.lock"))
