"""Answers kept in one SQLite file, shared by the processes of a machine."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
import time
from contextlib import suppress

from provider_kit.errors import StoreError
from provider_kit.stores.user_folders import file_remedy

__all__ = ["SQLiteCache"]

_TABLE = """
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY, until REAL NOT NULL, used REAL NOT NULL, bytes INTEGER NOT NULL, data BLOB NOT NULL
) WITHOUT ROWID
"""
#: Writes between two checks of the size, and the share of it that may be written meanwhile.
_SWEEP_EVERY, _SWEEP_SHARE = 50, 20
#: Seconds after which the use of an answer is recorded again, which is a write.
_NOTE_EVERY = 60.0


class SQLiteCache:
    """Answers in a file; the least recently used are evicted when it grows beyond ``max_bytes``.

    Args:
        path: The file; created, readable by its owner only, if it does not exist.
        max_bytes: Most bytes of all answers together.
        timeout: Seconds to wait for another process that is writing.
    """

    def __init__(self, path: str, *, max_bytes: int = 64 * 1024 * 1024, timeout: float = 2.0) -> None:
        self.path = os.path.expanduser(path)
        self.max_bytes = max_bytes
        self._timeout = timeout
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._process = 0
        self._writes = 0
        self._written = 0

    def get(self, key: str) -> bytes | None:
        """The bytes under a key, if they have not expired.

        Raises:
            StoreError: The file cannot be read.
        """
        with self._lock:
            try:
                connection = self._open()
                found = connection.execute("SELECT data, until, used FROM answers WHERE key = ?", (key,)).fetchone()
                now = time.time()
                if found is None or found[1] <= now:
                    return None
                if not 0 <= now - found[2] < _NOTE_EVERY:
                    with suppress(sqlite3.OperationalError):  # locked or full; the answer was read nevertheless
                        connection.execute("UPDATE answers SET used = ? WHERE key = ?", (now, key))
            except sqlite3.Error as error:
                raise self._failed(error) from error
            return bytes(found[0])

    def set(self, key: str, data: bytes, ttl: float) -> None:
        """Keep bytes for ``ttl`` seconds.

        Raises:
            StoreError: The file cannot be written.
        """
        now = time.time()
        with self._lock:
            try:
                self._open().execute(
                    "INSERT OR REPLACE INTO answers (key, until, used, bytes, data) VALUES (?, ?, ?, ?, ?)",
                    (key, now + ttl, now, len(data), data),
                )
                self._writes += 1
                self._written += len(data)
                if self._writes % _SWEEP_EVERY == 1 or self._written > self.max_bytes // _SWEEP_SHARE:
                    self._written = 0
                    self._sweep(now)
            except sqlite3.Error as error:
                raise self._failed(error) from error

    def _sweep(self, now: float) -> None:
        connection = self._open()
        connection.execute("DELETE FROM answers WHERE until <= ?", (now,))
        total = connection.execute("SELECT COALESCE(SUM(bytes), 0) FROM answers").fetchone()[0]
        while total > self.max_bytes:
            oldest = connection.execute("SELECT key, bytes FROM answers ORDER BY used LIMIT 100").fetchall()
            for key, size in oldest:
                if total <= self.max_bytes:
                    break
                connection.execute("DELETE FROM answers WHERE key = ?", (key,))
                total -= size

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and self._process == os.getpid():
            return self._connection
        self._connection = None  # a connection must not be carried over a fork
        try:
            folder = os.path.dirname(self.path)
            if folder:
                os.makedirs(folder, mode=0o700, exist_ok=True)
            with suppress(FileExistsError):
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            found = os.lstat(self.path)
            if stat.S_ISLNK(found.st_mode):
                raise OSError("it is a link, and may point to another user's file")
            if not stat.S_ISREG(found.st_mode):
                raise OSError("it is not a file")
            if hasattr(os, "getuid") and found.st_uid == os.getuid() and found.st_mode & 0o077:
                os.chmod(self.path, 0o600)  # answers are private
        except OSError as error:
            raise self._failed(error) from error
        connection = sqlite3.connect(self.path, timeout=self._timeout, isolation_level=None, check_same_thread=False)
        try:
            self._prepare(connection)
        except sqlite3.Error:
            connection.close()
            raise
        self._connection, self._process = connection, os.getpid()
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        end = time.monotonic() + self._timeout
        while True:
            try:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=NORMAL")
                connection.execute(_TABLE)
                return
            except sqlite3.OperationalError as error:
                # SQLite does not wait for a change of the journal mode, which another process is making now.
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= end:
                    raise
            time.sleep(0.01)

    def _failed(self, error: Exception) -> StoreError:
        return StoreError(
            f"The cache file {self.path} cannot be used: {getattr(error, 'strerror', None) or error}.",
            hint=file_remedy(str(self.path), "Remove the file if it is not an SQLite database."),
        )

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._connection is not None and self._process == os.getpid():
                self._connection.close()
            self._connection = None

    def __del__(self) -> None:
        with suppress(Exception):  # at interpreter shutdown anything may be gone already
            self.close()
