"""One private SQLite file with one connection for each process, shared by its threads."""

from __future__ import annotations

import atexit
import os
import sqlite3
import stat
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from provider_kit.errors import StoreError
from provider_kit.policies.after_fork import ForkSafeLock
from provider_kit.stores.user_folders import file_remedy

__all__ = ["SQLiteFile"]

#: Files that were opened.
_opened: weakref.WeakSet[SQLiteFile] = weakref.WeakSet()


class SQLiteFile:
    """An SQLite file that is opened when it is first used, readable by its owner only.

    Args:
        path: The file; created if it does not exist.
        schema: Statements that create its tables, separated by semicolons.
        what: What it holds, for errors: ``The cache file``.
        timeout: Seconds to wait for another process that is writing.
        durable: Whether a write survives a power failure, which makes each one slower.
    """

    def __init__(
        self, path: str | os.PathLike[str], schema: str, *, what: str, timeout: float = 2.0, durable: bool = False
    ) -> None:
        self.path = os.path.expanduser(os.fspath(path))
        self._schema = schema
        self._what = what
        self._timeout = timeout
        self._durable = durable
        self._lock = ForkSafeLock()
        self._connection: sqlite3.Connection | None = None
        self._process = 0

    @contextmanager
    def use(self) -> Iterator[sqlite3.Connection]:
        """The connection, for this thread alone.

        Raises:
            StoreError: The file cannot be used.
        """
        with self._lock:
            try:
                yield self._open()
            except sqlite3.Error as error:
                raise self._failed(error) from error

    def write(self, work: Callable[[sqlite3.Connection], object]) -> None:
        """Do several writes as one: all of them happen, or none.

        Raises:
            StoreError: The file cannot be used.
        """
        with self.use() as connection:
            if (
                connection.in_transaction
            ):  # called by the garbage collector while this thread writes: it is part of that
                work(connection)
                return
            connection.execute("BEGIN IMMEDIATE")
            try:
                work(connection)
            except BaseException:  # also an interrupt: nothing stays half written
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

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
                os.chmod(self.path, 0o600)  # what it holds is private
        except OSError as error:
            raise self._failed(error) from error
        connection = sqlite3.connect(self.path, timeout=self._timeout, isolation_level=None, check_same_thread=False)
        try:
            self._prepare(connection)
        except sqlite3.Error:
            connection.close()
            raise
        self._connection, self._process = connection, os.getpid()
        _opened.add(self)
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        end = time.monotonic() + self._timeout
        while True:
            try:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute(f"PRAGMA synchronous={'FULL' if self._durable else 'NORMAL'}")
                for statement in filter(str.strip, self._schema.split(";")):
                    connection.execute(statement)
                return
            except sqlite3.OperationalError as error:
                # SQLite does not wait for a change of the journal mode, which another process is making now.
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= end:
                    raise
            time.sleep(0.01)

    def _failed(self, error: Exception) -> StoreError:
        return StoreError(
            f"{self._what} {self.path} cannot be used: {getattr(error, 'strerror', None) or error}.",
            hint=file_remedy(str(self.path), "Name another file, if this one is no SQLite database."),
        )

    def close(self) -> None:
        """Close the file. It can be used again."""
        with self._lock:
            if self._connection is not None and self._process == os.getpid():
                self._connection.close()
            self._connection = None

    def __getstate__(self) -> dict[str, Any]:
        """Without the connection; the file is opened again."""
        return {**self.__dict__, "_connection": None, "_process": 0}

    def __del__(self) -> None:
        with suppress(Exception):  # at interpreter shutdown anything may be gone already
            self.close()


@atexit.register
def _close_at_exit() -> None:
    """Close what is open: later, Python takes modules apart in any order, and complains of an open database."""
    for file in list(_opened):
        connection = file._connection
        if connection is not None and file._process == os.getpid():
            # Without the lock, which a thread may hold that the end of the process has stopped.
            with suppress(sqlite3.Error):
                connection.close()
