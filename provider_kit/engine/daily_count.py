"""The persistent daily count, and the behaviour of calls while its file cannot be used."""

from __future__ import annotations

from provider_kit.engine.attempt_state import AttemptState
from provider_kit.errors import StoreError
from provider_kit.model.config import OnStoreFailure
from provider_kit.model.events import StoreBack, StoreFailed
from provider_kit.policies.outage import Outage
from provider_kit.stores.daily_counter import DailyCounter, default_path

__all__ = ["PersistentDay"]


class PersistentDay:
    """The calls per day of one client, kept in a file in addition to the count in memory.

    Args:
        path: The file; ``None`` for one in the user's state directory.
        on_failure: Whether calls continue while it cannot be used.
    """

    def __init__(self, path: str | None, on_failure: OnStoreFailure) -> None:
        self._path = path
        self._must = on_failure == "raise"
        self._counter: DailyCounter | None = None
        self._outage = Outage()

    async def take(self, attempts: AttemptState, key_name: str, limit: int) -> float:
        """Count a request; return the seconds to wait if the day is used up, 0 also while the file cannot be used.

        Raises:
            StoreError: The file cannot be used, and ``on_failure`` is ``raise``.
        """
        try:
            if self._counter is None:
                self._counter = DailyCounter(self._path or default_path(), clock=attempts.runtime.time)
            name = f"{attempts.endpoint.name}:{key_name}"
            wait = await attempts.runtime.call_blocking(self._counter.take, name, limit)
        except StoreError as error:
            if self._must:
                raise
            if self._outage.begins(attempts.runtime.now()):
                attempts.tell(StoreFailed, f"{error.message} Counting in memory only.", error=error)
            return 0.0
        if self._outage.ends():
            attempts.tell(StoreBack, "the daily count is kept in its file again")
        return wait
