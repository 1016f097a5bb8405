"""Requests of the last day, in a file: the count survives a restart and is shared by the processes of a machine."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from provider_kit.errors import StoreError
from provider_kit.stores.user_folders import file_remedy, lock_folder, needed_folder

__all__ = ["DailyCounter", "default_path"]

_DAY = 86400.0
#: Entries of one key; beyond that, those of one minute are merged into the latest, so none expires early.
_MOST = 1440
_SPAN = _DAY / _MOST


def default_path() -> str:
    """A file in the user's state directory.

    Raises:
        StoreError: There is no home directory.
    """
    folder = needed_folder("state", StoreError, "Or name a file: RateLimitConfig(persist='/path/to/limits.json').")
    return os.path.join(folder, "daily_limits.json")


class DailyCounter:
    """Counts requests over a rolling day.

    Args:
        path: The file.
        timeout: Seconds to wait for another process that is writing.
        clock: Returns the seconds since 1970.
    """

    def __init__(self, path: str, *, timeout: float = 2.0, clock: Callable[[], float] = time.time) -> None:
        self.path = os.path.expanduser(path)
        self._timeout = timeout
        self._clock = clock

    def take(self, name: str, limit: int) -> float:
        """Count one request if it fits.

        Args:
            name: Whose limit it is.
            limit: Most requests in any 24 hours.

        Returns:
            0 if it was counted, else the seconds until one fits.

        Raises:
            StoreError: The file cannot be read or written.
        """
        from filelock import FileLock, Timeout

        try:
            os.makedirs(os.path.dirname(os.path.abspath(self.path)), mode=0o700, exist_ok=True)
            folder = lock_folder()
            os.makedirs(folder, mode=0o700, exist_ok=True)
            place = hashlib.sha256(os.path.realpath(self.path).encode()).hexdigest()[:16]
            with FileLock(os.path.join(folder, f"{place}.lock"), timeout=self._timeout, mode=0o600):
                return self._take(name, limit)
        except Timeout as error:
            raise StoreError(f"The file {self.path} is locked by another process.") from error
        except OSError as error:
            raise StoreError(
                f"The daily count in {self.path} cannot be kept: {error.strerror or error}.",
                hint=f"{file_remedy(str(self.path), 'Look at the file and its disk.')} RateLimitConfig(persist='…').",
            ) from error

    def _take(self, name: str, limit: int) -> float:
        now = self._clock()
        counts = {
            who: sorted(entry for entry in entries if now - _DAY < entry[0] <= now + _DAY)
            for who, entries in self._read().items()
        }
        entries = counts.get(name, [])
        over = sum(amount for _, amount in entries) + 1 - limit
        for when, amount in entries:
            if over <= 0:
                break
            over -= amount
            if over <= 0:
                return float(max(0.001, when + _DAY - now))
        if len(entries) >= _MOST and now // _SPAN <= entries[-1][0] // _SPAN:
            entries[-1] = [max(now, entries[-1][0]), entries[-1][1] + 1]
        else:
            entries.append([now, 1])
        counts[name] = entries
        counts = {who: entries for who, entries in counts.items() if entries}
        # Links are not followed.
        temporary = f"{self.path}.{os.getpid()}.new"
        with suppress(FileNotFoundError):
            os.unlink(temporary)  # left by a dead process with the same id
        with open(os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(counts, file)
        os.replace(temporary, self.path)
        return 0.0

    def _read(self) -> dict[str, list[list[float]]]:
        try:
            with open(self.path, encoding="utf-8") as file:
                found: Any = json.load(file)
        except FileNotFoundError:
            return {}
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict) or not all(_is_log(entries) for entries in found.values()):
            os.replace(self.path, f"{self.path}.damaged")  # kept for inspection
            return {}
        return found


def _is_log(entries: Any) -> bool:
    return isinstance(entries, list) and all(
        isinstance(entry, list) and len(entry) == 2 and all(isinstance(number, (int, float)) for number in entry)
        for entry in entries
    )
