"""Tokens in one SQLite file, readable by its owner only."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress

from provider_kit.auth.storage.base import FileLock, StorageBase, file_lock
from provider_kit.auth.storage.protocol import check_key_name, read_record, reported, write_record
from provider_kit.errors import StorageError
from provider_kit.model.oauth import OAuthToken
from provider_kit.stores.user_folders import file_remedy, lock_folder

__all__ = ["SQLiteTokenStorage"]

_TABLE = "CREATE TABLE IF NOT EXISTS tokens (key TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID"


class SQLiteTokenStorage(StorageBase):
    """Keeps tokens in an SQLite file, shared by the processes of a machine.

    Args:
        path: The file; created with mode 0600 if it does not exist.
        timeout: Seconds to wait for another process that is writing.
    """

    def __init__(self, path: str | os.PathLike[str], *, timeout: float = 10.0) -> None:
        self.path = os.path.abspath(os.path.expanduser(os.fspath(path)))
        self._timeout = timeout

    def __repr__(self) -> str:
        return f"<SQLiteTokenStorage {self.path}>"

    def store_token(self, key: str, token: OAuthToken) -> None:
        """Store a token under a name, atomically.

        Raises:
            StorageError: The file cannot be written.
        """
        with self._open() as database:
            database.execute(
                "INSERT OR REPLACE INTO tokens (key, record) VALUES (?, ?)", (check_key_name(key), write_record(token))
            )

    def retrieve_token(self, key: str) -> OAuthToken | None:
        """The token under a name, or ``None``.

        Raises:
            StorageError: The file cannot be read, or what is in it is damaged.
        """
        with self._open() as database:
            found = database.execute("SELECT record FROM tokens WHERE key = ?", (key,)).fetchone()
        return None if found is None else read_record(found[0], f"{self.path} under {key!r}")

    def delete_token(self, key: str) -> bool:
        """Delete a token; return whether there was one."""
        with self._open() as database:
            return database.execute("DELETE FROM tokens WHERE key = ?", (key,)).rowcount > 0

    def list_tokens(self) -> list[str]:
        """The names of all tokens, sorted."""
        with self._open() as database:
            return [row[0] for row in database.execute("SELECT key FROM tokens ORDER BY key")]

    def lock(self, key: str) -> FileLock:
        """A lock that keeps other processes from refreshing the same token."""
        with self._reported():
            return file_lock(lock_folder(), f"{os.path.realpath(self.path)}\0{key}")

    def _reported(self) -> AbstractContextManager[None]:
        return reported(
            f"The token database {self.path} cannot be used",
            "Check that the directory is writable and that the file is an SQLite database.",
            sqlite3.Error,
            OSError,
        )

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        # A connection for each use: tokens are read rarely, and no connection crosses a fork or a thread.
        with self._reported():
            os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
            with suppress(FileExistsError):  # the usual case; a new file must be private
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            found = os.stat(self.path)
            if not stat.S_ISREG(found.st_mode):
                raise StorageError(
                    f"The token database {self.path} is not a file.",
                    hint=file_remedy(self.path, "Name a file."),
                    retryable=False,
                )
            if os.name == "posix" and found.st_mode & 0o077:
                raise StorageError(
                    f"The token database {self.path} can be read by other users.",
                    hint=f"chmod 600 {self.path}; if others may have read it, log in again.",
                    retryable=False,
                )
            with closing(sqlite3.connect(self.path, timeout=self._timeout)) as database, database:
                database.execute("PRAGMA synchronous=FULL")
                database.execute("PRAGMA secure_delete=ON")
                database.execute(_TABLE)
                yield database
