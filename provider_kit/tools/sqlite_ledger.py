"""A ledger of tool calls in an SQLite file."""

from __future__ import annotations

import os

from provider_kit.model.convert import dump_part, load_part
from provider_kit.model.messages import ToolCall, ToolResult
from provider_kit.stores.sqlite_history import SQLiteHistory
from provider_kit.tools.ledger import LedgerEntry

__all__ = ["SQLiteLedger"]


class SQLiteLedger:
    """Records tool calls before they run, so that a call is never repeated unseen after a crash.

    A call that was started by a program which was then killed is shown in ``result.unknown_outcome``, and waits for a
    decision; one that had finished is not run again: its recorded result is used.

    Args:
        path: The file; default: that of the user's conversations. Or a :class:`SQLiteHistory`.
        scope: What the calls belong to: the id of one job, or of one conversation. Ids of calls repeat, so another job
            needs another scope; else its calls would be taken for those of the first.
    """

    def __init__(self, path: str | os.PathLike[str] | SQLiteHistory | None = None, *, scope: str) -> None:
        self._history = path if isinstance(path, SQLiteHistory) else SQLiteHistory(path)
        self.scope = scope

    def find(self, key: str) -> LedgerEntry | None:
        """What is recorded of a call."""
        found = self._history.find_call(f"{self.scope}:{key}")
        if found is None:
            return None
        finished, result = found
        if not finished or result is None:
            return LedgerEntry("started")
        part = load_part(result)
        return LedgerEntry("finished", part if isinstance(part, ToolResult) else None)

    def start(self, key: str, call: ToolCall) -> bool:
        """Record that a call is about to run."""
        return self._history.start_call(f"{self.scope}:{key}", self.scope, call.name, call.arguments_json)

    def finish(self, key: str, result: ToolResult) -> None:
        """Record the result of a call."""
        self._history.finish_call(f"{self.scope}:{key}", dump_part(result))

    def clear(self, key: str) -> None:
        """Forget a call."""
        self._history.clear_call(f"{self.scope}:{key}")

    def close(self) -> None:
        """Close the file."""
        self._history.close()
