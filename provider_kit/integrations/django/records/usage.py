"""Usage in the database of the project: one row for each attempt of a call."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import Any

from django.db import DatabaseError, connections

from provider_kit.client.client import Client
from provider_kit.client.router import Router
from provider_kit.integrations.django.records.models import Usage
from provider_kit.model.call_events import CallEnded
from provider_kit.model.json_text import loads
from provider_kit.observability.usage_ledger import rows_of
from provider_kit.stores.sqlite_usage import COLUMNS, dollars

__all__ = ["UsageRecorder", "add_usage"]

_LOG = logging.getLogger("provider_kit")


class UsageRecorder:
    """A sink that writes what calls have used to the table ``Usage``; no prompt, answer or key is written.

    Args:
        using: The name of the database.
    """

    wanted_events = frozenset({CallEnded})
    follows_targets = True

    def __init__(self, using: str = "default") -> None:
        self._using = using

    def __call__(self, event: CallEnded) -> None:
        """Write the rows of a call; within an event loop in one of its threads, since the database blocks."""
        if event.outcome == "error" and not event.attempts:
            return
        rows = [_row(dict(zip(COLUMNS, values, strict=True))) for values in rows_of(event)]
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._write(rows)
            return
        loop.run_in_executor(None, self._write, rows)

    def _write(self, rows: list[Usage]) -> None:
        connection = connections[self._using]
        was_open = connection.connection is not None
        try:
            Usage.objects.using(self._using).bulk_create(rows)
        except DatabaseError as error:
            _LOG.error("The usage of a call could not be written (%s).", type(error).__name__)
        finally:
            if not was_open and not connection.in_atomic_block:
                connection.close()


def _row(values: dict[str, Any]) -> Usage:
    cost = values.pop("cost")
    texts = ("model", "key", "error", "user")
    return Usage(
        **{name: value for name, value in values.items() if name not in (*texts, "time", "tags")},
        **{name: values[name] or "" for name in texts},
        time=datetime.fromtimestamp(values["time"], UTC),
        tags=loads(values["tags"]),
        cost=dollars(cost),
    )


_recorder = UsageRecorder()


def add_usage(client: Client | Router) -> None:
    """Let the calls of a client be written."""
    if _recorder not in client.event_bus.sinks_for(CallEnded):
        client.event_bus.add(_recorder)  # type: ignore[arg-type]  # it says which events it wants
