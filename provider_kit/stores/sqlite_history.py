"""Conversations, and the tool calls that were started, in one SQLite file.

Its tables also serve what counts usage and what searches through answers; each message is a row with its text.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Mapping
from typing import Any

from provider_kit.errors import ConversationChangedError, StoreError
from provider_kit.model.json_text import dumps_text, loads
from provider_kit.stores.sqlite_file import SQLiteFile
from provider_kit.stores.user_folders import needed_folder

__all__ = ["SQLiteHistory", "default_history_path"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS conversations (
    id TEXT PRIMARY KEY, created REAL NOT NULL, updated REAL NOT NULL, state TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS messages (
    conversation TEXT NOT NULL, number INTEGER NOT NULL, role TEXT NOT NULL, text TEXT NOT NULL, body TEXT NOT NULL,
    written REAL NOT NULL, PRIMARY KEY (conversation, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tool_calls (
    key TEXT PRIMARY KEY, scope TEXT NOT NULL, name TEXT NOT NULL, arguments TEXT NOT NULL, started REAL NOT NULL,
    finished REAL, result TEXT
) WITHOUT ROWID;
PRAGMA user_version = 1
"""


def default_history_path() -> str:
    """The file of the user's conversations: ``PROVIDER_KIT_HISTORY``, else one in the user's data folder.

    Raises:
        StoreError: There is no home directory.
    """
    named = os.environ.get("PROVIDER_KIT_HISTORY", "").strip()
    if named:
        return named
    return os.path.join(needed_folder("data", StoreError, "Or set PROVIDER_KIT_HISTORY to a file."), "history.db")


class SQLiteHistory:
    """The file. Each method is one transaction, so that a program that is killed leaves nothing half written.

    Args:
        path: The file; default: the user's own.
        timeout: Seconds to wait for another process that is writing.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None, *, timeout: float = 10.0) -> None:
        self._file = SQLiteFile(
            default_history_path() if path is None else path,
            _SCHEMA,
            what="The history file",
            timeout=timeout,
            durable=True,
        )
        self.path = self._file.path

    def __repr__(self) -> str:
        return f"<SQLiteHistory {self.path}>"

    def close(self) -> None:
        """Close the file. It can be used again."""
        self._file.close()

    # -------------------------------------------------------------------------------------------- conversations

    def load(self, id: str) -> dict[str, Any] | None:
        """The document of a conversation; ``None`` if there is none.

        Raises:
            StoreError: The file cannot be read.
        """
        with self._file.use() as connection:
            found = connection.execute("SELECT state FROM conversations WHERE id = ?", (id,)).fetchone()
            if found is None:
                return None
            rows = connection.execute("SELECT body FROM messages WHERE conversation = ? ORDER BY number", (id,))
            bodies = [row[0] for row in rows]
        try:
            document: dict[str, Any] = loads(found[0])
            document["messages"] = [loads(body) for body in bodies]
        except (ValueError, TypeError) as error:
            raise StoreError(
                f"The conversation {id!r} in {self.path} is damaged.",
                retryable=False,
                hint="delete() it, or restore it.",
            ) from error
        return document

    def save(self, id: str, document: Mapping[str, Any]) -> None:
        """Store the document of a conversation; only messages that changed are written.

        Raises:
            ConversationChangedError: What is stored was saved by somebody else meanwhile: its ``revision`` is not the
                one before that of the document.
            StoreError: The file cannot be written.
        """
        state = dumps_text({key: value for key, value in document.items() if key != "messages"})
        bodies = [dumps_text(message) for message in document["messages"]]
        roles = [(str(message.get("role")), _text_of(message)) for message in document["messages"]]
        now = time.time()
        revision = document.get("revision")

        def work(connection: sqlite3.Connection) -> None:
            found = connection.execute("SELECT state FROM conversations WHERE id = ?", (id,)).fetchone()
            stored = (loads(found[0]).get("revision") or 0) if found is not None else 0
            if revision is not None and found is not None and stored != revision - 1:
                raise ConversationChangedError(f"The conversation {id!r} was continued elsewhere meanwhile.")
            connection.execute(
                "INSERT INTO conversations (id, created, updated, state) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET updated = excluded.updated, state = excluded.state",
                (id, now, now, state),
            )
            rows = connection.execute("SELECT body FROM messages WHERE conversation = ? ORDER BY number", (id,))
            known = [row[0] for row in rows]
            same = 0
            while same < min(len(known), len(bodies)) and known[same] == bodies[same]:
                same += 1
            if len(known) > same:
                connection.execute("DELETE FROM messages WHERE conversation = ? AND number >= ?", (id, same))
            connection.executemany(
                "INSERT INTO messages (conversation, number, role, text, body, written) VALUES (?, ?, ?, ?, ?, ?)",
                [(id, number, *roles[number], bodies[number], now) for number in range(same, len(bodies))],
            )

        self._file.write(work)

    def delete(self, id: str) -> None:
        """Delete a conversation.

        Raises:
            StoreError: The file cannot be written.
        """

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM conversations WHERE id = ?", (id,))
            connection.execute("DELETE FROM messages WHERE conversation = ?", (id,))
            connection.execute("DELETE FROM tool_calls WHERE scope = ?", (id,))

        self._file.write(work)

    def ids(self) -> list[str]:
        """The ids of all conversations, the one used last first."""
        with self._file.use() as connection:
            return [row[0] for row in connection.execute("SELECT id FROM conversations ORDER BY updated DESC, id")]

    # -------------------------------------------------------------------------------------------- tool calls

    def find_call(self, key: str) -> tuple[bool, str | None] | None:
        """Whether a call has finished, and its result as JSON; ``None`` if it was never started."""
        with self._file.use() as connection:
            found = connection.execute("SELECT finished, result FROM tool_calls WHERE key = ?", (key,)).fetchone()
        return None if found is None else (found[0] is not None, found[1])

    def start_call(self, key: str, scope: str, name: str, arguments: str) -> bool:
        """Record that a call is about to run; ``False`` if it is recorded already."""
        with self._file.use() as connection:
            done = connection.execute(
                "INSERT OR IGNORE INTO tool_calls (key, scope, name, arguments, started) VALUES (?, ?, ?, ?, ?)",
                (key, scope, name, arguments, time.time()),
            )
            return done.rowcount == 1

    def finish_call(self, key: str, result: str) -> None:
        """Record the result of a call, as JSON."""
        with self._file.use() as connection:
            connection.execute(
                "UPDATE tool_calls SET finished = ?, result = ? WHERE key = ?", (time.time(), result, key)
            )

    def clear_call(self, key: str) -> None:
        """Forget a call."""
        with self._file.use() as connection:
            connection.execute("DELETE FROM tool_calls WHERE key = ?", (key,))


def _text_of(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    return "".join(part.get("text") or "" for part in parts if isinstance(part, dict) and part.get("type") == "text")
