"""Answers kept in one SQLite file, shared by the processes of a machine."""

from __future__ import annotations

import sqlite3
import time
from contextlib import suppress

from provider_kit.stores.sqlite_file import SQLiteFile

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
        self._file = SQLiteFile(path, _TABLE, what="The cache file", timeout=timeout)
        self.path = self._file.path
        self.max_bytes = max_bytes
        self._writes = 0
        self._written = 0

    def get(self, key: str) -> bytes | None:
        """The bytes under a key, if they have not expired.

        Raises:
            StoreError: The file cannot be read.
        """
        with self._file.use() as connection:
            found = connection.execute("SELECT data, until, used FROM answers WHERE key = ?", (key,)).fetchone()
            now = time.time()
            if found is None or found[1] <= now:
                return None
            if not 0 <= now - found[2] < _NOTE_EVERY:
                with suppress(sqlite3.OperationalError):  # locked or full; the answer was read nevertheless
                    connection.execute("UPDATE answers SET used = ? WHERE key = ?", (now, key))
            return bytes(found[0])

    def set(self, key: str, data: bytes, ttl: float) -> None:
        """Keep bytes for ``ttl`` seconds.

        Raises:
            StoreError: The file cannot be written.
        """
        now = time.time()
        with self._file.use() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO answers (key, until, used, bytes, data) VALUES (?, ?, ?, ?, ?)",
                (key, now + ttl, now, len(data), data),
            )
            self._writes += 1
            self._written += len(data)
            if self._writes % _SWEEP_EVERY == 1 or self._written > self.max_bytes // _SWEEP_SHARE:
                self._written = 0
                self._sweep(connection, now)

    def _sweep(self, connection: sqlite3.Connection, now: float) -> None:
        connection.execute("DELETE FROM answers WHERE until <= ?", (now,))
        total = connection.execute("SELECT COALESCE(SUM(bytes), 0) FROM answers").fetchone()[0]
        while total > self.max_bytes:
            oldest = connection.execute("SELECT key, bytes FROM answers ORDER BY used LIMIT 100").fetchall()
            for key, size in oldest:
                if total <= self.max_bytes:
                    break
                connection.execute("DELETE FROM answers WHERE key = ?", (key,))
                total -= size

    def close(self) -> None:
        """Close the file."""
        self._file.close()
