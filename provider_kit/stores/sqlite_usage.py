"""What was used, one row for each attempt, and what calls in flight have reserved: tables of the history file.

Amounts of money are whole numbers of 10⁻¹² US dollars, so that sums are exact.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from provider_kit.stores.sqlite_file import SQLiteFile
from provider_kit.stores.sqlite_history import default_history_path

__all__ = ["GROUPS", "SQLiteUsage", "dollars", "picodollars"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS usage (
    id INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL, call TEXT NOT NULL, attempt INTEGER NOT NULL,
    provider TEXT NOT NULL, model TEXT, key TEXT, operation TEXT NOT NULL, outcome TEXT NOT NULL, error TEXT,
    user TEXT, tags TEXT NOT NULL, duration REAL NOT NULL, first_token REAL,
    input_tokens INTEGER, output_tokens INTEGER, cache_read_tokens INTEGER, cache_write_tokens INTEGER,
    reasoning_tokens INTEGER, tokens INTEGER NOT NULL, cost INTEGER
);
CREATE INDEX IF NOT EXISTS usage_time ON usage (time);
CREATE TABLE IF NOT EXISTS reservations (
    id TEXT PRIMARY KEY, call TEXT NOT NULL, account TEXT NOT NULL, time REAL NOT NULL, process TEXT NOT NULL,
    tokens INTEGER NOT NULL, cost INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS reservations_account ON reservations (account)
"""
#: The columns of a row, in their order.
COLUMNS = (
    *("time", "call", "attempt", "provider", "model", "key", "operation", "outcome", "error", "user", "tags"),
    *("duration", "first_token", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"),
    *("reasoning_tokens", "tokens", "cost"),
)
_INSERT = f"INSERT INTO usage ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608  # names of this module
#: What rows can be grouped by: a column, or one of these expressions of it.
GROUPS = ("day", "model", "provider", "key", "tag", "user", "operation", "outcome")
_GROUPED: dict[str | None, tuple[str, str]] = {
    None: ("'total'", "usage"),
    "day": ("strftime('%Y-%m-%d', time, 'unixepoch')", "usage"),
    # A row counts once for each of its tags, even if that was given twice.
    "tag": (
        "COALESCE(one.value, '')",
        "usage LEFT JOIN json_each(tags) AS one ON one.key = "
        "(SELECT MIN(same.key) FROM json_each(tags) AS same WHERE same.value = one.value)",
    ),
}
#: Sums of 64 bits hold nine million dollars only, so those of cost are made in two parts.
_SPLIT = 10**6
_SUMS = f"""
    SUM(outcome != 'estimated'), SUM(outcome = 'failed'), SUM(outcome IN ('cancelled', 'lost')),
    SUM(outcome = 'cached'),
    SUM(COALESCE(input_tokens, 0) + COALESCE(cache_read_tokens, 0) + COALESCE(cache_write_tokens, 0)),
    SUM(COALESCE(output_tokens, 0) + COALESCE(reasoning_tokens, 0)), SUM(tokens),
    COALESCE(SUM(cost / {_SPLIT}), 0), COALESCE(SUM(cost % {_SPLIT}), 0), MAX(cost IS NULL)
"""
_HELD = "SELECT COALESCE(SUM(tokens), 0), COALESCE(SUM(cost), 0) FROM reservations WHERE account = ?"
_PICO = Decimal(10) ** 12
#: Seconds after which what a call has reserved is given up, if its process was never seen to end.
_LONGEST_CALL = 86_400.0


def picodollars(dollars: Decimal | float | None) -> int | None:
    """US dollars as a whole number of 10⁻¹²."""
    return None if dollars is None else int((Decimal(str(dollars)) * _PICO).to_integral_value())


def dollars(picodollars: int | None) -> Decimal | None:
    """US dollars from a whole number of 10⁻¹²."""
    return None if picodollars is None else Decimal(picodollars) / _PICO


class SQLiteUsage:
    """The tables. Each method is one transaction.

    Args:
        path: The file; default: that of the user's conversations.
        timeout: Seconds to wait for another process that is writing.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None, *, timeout: float = 5.0) -> None:
        self._file = SQLiteFile(
            default_history_path() if path is None else path, _SCHEMA, what="The usage ledger", timeout=timeout
        )
        self.path = self._file.path

    def close(self) -> None:
        """Close the file. It can be used again."""
        self._file.close()

    # -------------------------------------------------------------------------------------------- rows

    def add(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Add the rows of one call.

        Args:
            rows: Their values, in the order of ``COLUMNS``.

        Raises:
            StoreError: The file cannot be written.
        """

        if rows:
            self._file.write(lambda connection: connection.executemany(_INSERT, rows))

    def rows_after(self, last: int, since: float) -> list[tuple[Any, ...]]:
        """The rows that were added after one, and are not older than a time: id, time, user, tags, tokens, cost.

        Raises:
            StoreError: The file cannot be read.
        """
        with self._file.use() as connection:
            found = connection.execute(
                "SELECT id, time, user, tags, tokens, cost FROM usage WHERE id > ? AND time >= ? ORDER BY id",
                (last, since),
            )
            return list(found)

    def select(self, since: float | None = None, until: float | None = None) -> Iterable[dict[str, Any]]:
        """The rows of a time, oldest first.

        Args:
            since: Seconds since 1970.
            until: Seconds since 1970, itself not included.

        Raises:
            StoreError: The file cannot be read.
        """
        with self._file.use() as connection:
            names = ("id", *COLUMNS)
            found = connection.execute(
                f"SELECT {', '.join(names)} FROM usage WHERE time >= ? AND time < ? ORDER BY time, id",  # noqa: S608  # names of this module
                (since or 0.0, until if until is not None else 1e15),
            ).fetchall()
        for row in found:
            yield dict(zip(names, row, strict=True))

    def sums(self, by: str | None, since: float | None = None, until: float | None = None) -> list[tuple[Any, ...]]:
        """What the rows of a time used together.

        Args:
            by: What they are grouped by, one of ``GROUPS``; ``None`` for all together.
            since: Seconds since 1970.
            until: Seconds since 1970, itself not included.

        Returns:
            For each group its name, then: attempts, failed, cancelled, cached, input tokens, output tokens, tokens, the
            cost in 10⁻¹² US dollars, and whether the cost of a row is not known.

        Raises:
            StoreError: The file cannot be read.
        """
        name, source = _GROUPED.get(by, (f"COALESCE({by}, '')", "usage"))
        query = f"SELECT {name}, {_SUMS} FROM {source} WHERE time >= ? AND time < ? GROUP BY 1"  # noqa: S608  # names of this module
        with self._file.use() as connection:
            rows = connection.execute(query, (since or 0.0, until if until is not None else 1e15)).fetchall()
        return [(*row[:-3], row[-3] * _SPLIT + row[-2], bool(row[-1])) for row in rows]

    # -------------------------------------------------------------------------------------------- reservations

    def reserve(
        self,
        id: str,
        call: str,
        tokens: int,
        cost: int,
        limits: Sequence[tuple[str, int | None, int | None, tuple[int, int]]],
        after: int,
        since: float,
    ) -> tuple[str, list[tuple[Any, ...]]]:
        """Reserve something for a call, if no account would exceed its limits.

        Args:
            id: Names the reservation.
            call: Id of the call.
            tokens: Tokens it may use.
            cost: What it may cost.
            limits: For each account its name, its limits of tokens and cost, and what it has used, as the caller knows.
            after: The last row that the caller knows.
            since: The beginning of the time that counts.

        Returns:
            ``""`` if it was reserved; else the account that has not enough; and the rows that the caller did not know,
            as :meth:`rows_after`, which count as well.

        Raises:
            StoreError: The file cannot be written.
        """
        refused = ""
        fresh: list[tuple[Any, ...]] = []

        def work(connection: sqlite3.Connection) -> None:
            nonlocal refused
            fresh.extend(
                connection.execute(
                    "SELECT id, time, user, tags, tokens, cost FROM usage WHERE id > ? AND time >= ? ORDER BY id",
                    (after, since),
                )
            )
            if fresh:  # the caller counts them first, and asks again
                return
            for account, most_tokens, most_cost, (used, spent) in limits:
                held_tokens, held_cost = connection.execute(_HELD, (account,)).fetchone()
                too_many = most_tokens is not None and used + held_tokens + tokens > most_tokens
                too_dear = most_cost is not None and spent + held_cost + cost > most_cost
                if too_many or too_dear:
                    refused = account
                    return
            now = time.time()
            connection.executemany(
                "INSERT INTO reservations VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (f"{id} {number}", call, account, now, _process(), tokens, cost)
                    for number, (account, *_) in enumerate(limits)
                ],
            )

        self._file.write(work)
        return refused, fresh

    def release(self, id: str) -> None:
        """Give back what is left of a reservation.

        Raises:
            StoreError: The file cannot be written.
        """
        with self._file.use() as connection:
            connection.execute("DELETE FROM reservations WHERE id >= ? AND id < ?", (f"{id} ", f"{id}!"))

    def held(self, account: str) -> tuple[int, int]:
        """Tokens and cost that calls in flight have reserved in an account.

        Raises:
            StoreError: The file cannot be read.
        """
        with self._file.use() as connection:
            found = connection.execute(_HELD, (account,)).fetchone()
        return int(found[0]), int(found[1])

    def clear_lost(self) -> int:
        """Give back what was reserved by processes of this machine that do not exist any more, or longer ago than any
        call lasts; return how many reservations that were.

        Raises:
            StoreError: The file cannot be written.
        """
        gone = 0

        def work(connection: sqlite3.Connection) -> None:
            nonlocal gone
            rows = connection.execute("SELECT id, time, process FROM reservations").fetchall()
            lost = [(id,) for id, when, process in rows if when < time.time() - _LONGEST_CALL or _has_ended(process)]
            connection.executemany("DELETE FROM reservations WHERE id = ?", lost)
            gone = len(lost)

        self._file.write(work)
        return gone


def _process() -> str:
    """Names this process, on this machine."""
    return f"{os.uname().nodename if hasattr(os, 'uname') else ''} {os.getpid()}"


def _has_ended(process: str) -> bool:
    """Whether a process of this machine has ended; another machine's may be running."""
    machine, _, number = process.rpartition(" ")
    if machine != _process().rpartition(" ")[0] or not number.isdecimal() or os.name == "nt":
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
