"""The log of what was asked at the command line: one private SQLite file, one row for each turn.

Texts are masked before they are written. A conversation is its rows, so that it can be continued.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from attrs import define, field, fields, frozen

from provider_kit.cli.user_settings import user_switch
from provider_kit.errors import StoreError
from provider_kit.model.chat import ChatResponse
from provider_kit.model.json_text import dumps_text, loads
from provider_kit.model.messages import Message
from provider_kit.model.usage import Usage
from provider_kit.stores.sqlite_file import SQLiteFile
from provider_kit.stores.user_folders import user_folder
from provider_kit.wire.redaction import redact, redact_value

__all__ = ["CallLog", "LoggedConversation", "LoggedTurn", "is_logging", "log_path", "new_conversation_id"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS turns (
    id INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL, conversation TEXT NOT NULL, model TEXT NOT NULL,
    base_url TEXT, system TEXT, prompt TEXT NOT NULL, answer TEXT NOT NULL, messages TEXT NOT NULL,
    finish_reason TEXT NOT NULL, input_tokens INTEGER, output_tokens INTEGER, usage TEXT, cost TEXT,
    seconds REAL NOT NULL,
    undone INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS turns_conversation ON turns (conversation)
"""
_COLUMNS = (
    *("id", "time", "conversation", "model", "base_url", "system", "prompt", "answer", "messages", "finish_reason"),
    *("input_tokens", "output_tokens", "usage", "cost", "seconds"),
)
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM turns WHERE NOT undone"  # noqa: S608  # names of this module
#: What of a message is no text.
_KEPT = ("id", "name", "type", "tool_call_id", "role")
_COUNTS = tuple(one.name for one in fields(Usage) if one.name.endswith("_tokens"))
_OFF = ("off", "0", "no", "false", "none")
_ON = ("on", "1", "yes", "true")


@frozen
class LoggedTurn:
    """A row."""

    id: int
    time: float
    conversation: str
    model: str
    base_url: str | None
    system: str | None
    prompt: str
    answer: str
    messages: str
    finish_reason: str
    input_tokens: int | None
    output_tokens: int | None
    usage: str | None
    told_cost: str | None
    seconds: float

    @property
    def cost(self) -> Decimal | None:
        """US dollars: as the provider told it, else by the prices of that time; ``None`` if unknown."""
        if self.told_cost is not None:
            return Decimal(self.told_cost)
        from provider_kit.catalog.bundled import bundled_catalog  # not before it is looked at: it is large

        provider, _, model = self.model.partition("/")
        found = bundled_catalog().find(provider, model)
        pricing = None if found is None else found.pricing_at(self.time)
        return None if pricing is None else pricing.cost(Usage(**loads(self.usage or "{}")))


@define
class LoggedConversation:
    """What was said in a conversation, and how it was asked last."""

    messages: list[Message] = field(factory=list)
    #: The id of each row, and at which message it begins.
    rows: list[tuple[int, int]] = field(factory=list)
    system: str | None = None
    model: str | None = None
    base_url: str | None = None


def log_path() -> str | None:
    """The file: ``PROVIDER_KIT_LOGS``, else one in the user's data folder; ``None`` where there is none."""
    named = os.environ.get("PROVIDER_KIT_LOGS", "").strip()
    if named and named.lower() not in (*_OFF, *_ON):
        return os.path.expanduser(named)
    folder = user_folder("data")
    return None if folder is None else os.path.join(folder, "logs.db")


def is_logging() -> bool:
    """Whether calls are logged: unless ``PROVIDER_KIT_LOGS=off``, ``logs off``, or a lack of a home directory."""
    named = os.environ.get("PROVIDER_KIT_LOGS", "").strip()
    if named:
        return named.lower() not in _OFF
    return not user_switch("logs-off") and log_path() is not None


def new_conversation_id() -> str:
    """The id of a conversation that was given none: its time, and four random characters."""
    return f"{time.strftime('%Y%m%d-%H%M')}-{secrets.token_hex(2)}"


class CallLog:
    """The file; it is created with the first turn.

    Args:
        path: Default: :func:`log_path`.

    Raises:
        StoreError: There is no home directory to keep it in.
    """

    def __init__(self, path: str | None = None) -> None:
        found = path or log_path()
        if found is None:
            raise StoreError(
                "There is no home directory to keep the log in.", hint="Set PROVIDER_KIT_LOGS to a file, or HOME."
            )
        self.path = found
        self._file = SQLiteFile(found, _SCHEMA, what="The log")

    def __enter__(self) -> CallLog:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def exists(self) -> bool:
        """Whether anything was ever logged."""
        return os.path.exists(self.path)

    # -------------------------------------------------------------------------------------------- writing

    def record(
        self,
        conversation: str,
        model: str,
        system: str | None,
        turn: Sequence[Message],
        answer: ChatResponse[Any] | None,
        seconds: float,
        base_url: str | None = None,
    ) -> int:
        """Write a turn: the question, what tools did, and the answer. Returns the id of the row.

        Args:
            conversation: Its id.
            model: ``provider/model``.
            system: Its system prompt.
            turn: Its messages.
            answer: The answer; ``None`` for what was said elsewhere.
            seconds: How long it took.
            base_url: The address that was given for it.
        """
        from provider_kit.model.convert import dump_conversation  # once the answer is there

        usage = Usage() if answer is None else answer.usage
        question = next((message for message in reversed(turn) if message.role == "user"), None)
        last = next((message.text for message in reversed(turn) if message.role == "assistant"), "")
        messages = dumps_text(_masked(loads(dump_conversation(list(turn)))))
        row = (
            time.time(),
            conversation,
            model,
            base_url,
            None if system is None else redact(system),
            redact("" if question is None else question.text),
            redact(last if answer is None else answer.text or answer.refusal or ""),
            messages,
            "stop" if answer is None else answer.finish_reason,
            usage.prompt_tokens,
            usage.completion_tokens,
            dumps_text({name: count for name in _COUNTS if (count := getattr(usage, name)) is not None}),
            None if usage.told_cost is None else str(usage.told_cost),
            seconds,
        )
        made: list[int] = []

        def insert(connection: Any) -> None:
            names = ", ".join(_COLUMNS[1:])
            marks = ", ".join("?" * len(row))
            found = connection.execute(f"INSERT INTO turns ({names}) VALUES ({marks})", row)  # noqa: S608
            made.append(found.lastrowid)

        self._file.write(insert)
        return made[0]

    def undo(self, id: int) -> None:
        """Leave a turn out from now on."""
        self._change("UPDATE turns SET undone = 1 WHERE id = ?", (id,))

    def rename(self, conversation: str, name: str) -> None:
        """Give a conversation another id."""
        self._change("UPDATE turns SET conversation = ? WHERE conversation = ?", (name, conversation))

    def clear(self, before: float) -> int:
        """Delete the turns that are older than a time; returns how many."""
        counted: list[int] = []

        def delete(connection: Any) -> None:
            counted.append(connection.execute("DELETE FROM turns WHERE time < ?", (before,)).rowcount)

        self._file.write(delete)
        with self._file.use() as connection:
            connection.execute("VACUUM")  # what was deleted is not left in the file
        return counted[0]

    def _change(self, statement: str, values: tuple[Any, ...]) -> None:
        self._file.write(lambda connection: connection.execute(statement, values))

    # -------------------------------------------------------------------------------------------- reading

    def turns(
        self, *, words: Sequence[str] = (), conversation: str | None = None, model: str | None = None, limit: int = 0
    ) -> list[LoggedTurn]:
        """Turns, newest first.

        Args:
            words: Each must occur in the prompt, the answer or the system prompt.
            conversation: Only those of one.
            model: Only those of models with this in their name.
            limit: At most so many; 0 for all.
        """
        statement, values = _SELECT, []
        for word in words:
            statement += " AND (prompt || char(10) || answer || char(10) || COALESCE(system, '')) LIKE ? ESCAPE '\\'"
            values.append(f"%{_escaped(word)}%")
        if conversation is not None:
            statement += " AND conversation = ?"
            values.append(conversation)
        if model is not None:
            statement += " AND model LIKE ? ESCAPE '\\'"
            values.append(f"%{_escaped(model)}%")
        return self._read(f"{statement} ORDER BY id DESC{f' LIMIT {limit:d}' if limit else ''}", values)

    def turn(self, id: int) -> LoggedTurn | None:
        """The turn of an id."""
        return next(iter(self._read(f"{_SELECT} AND id = ?", [id])), None)

    def conversation(self, id: str) -> LoggedConversation:
        """All of a conversation that was not taken back."""
        from provider_kit.model.convert import load_conversation

        rows = self.turns(conversation=id)[::-1]
        found = LoggedConversation()
        for row in rows:
            found.rows.append((row.id, len(found.messages)))
            found.messages += load_conversation(row.messages)
        if rows:
            found.system, found.model, found.base_url = rows[-1].system, rows[-1].model, rows[-1].base_url
        return found

    def last_conversation(self) -> str | None:
        """The id of the conversation of the newest turn."""
        return next((row.conversation for row in self.turns(limit=1)), None)

    def conversations(self, limit: int = 100) -> list[str]:
        """Ids, that of the newest turn first."""
        if not self.exists:
            return []
        with self._file.use() as connection:
            found = connection.execute(
                "SELECT conversation FROM turns WHERE NOT undone GROUP BY conversation ORDER BY MAX(id) DESC LIMIT ?",
                (limit,),
            )
            return [row[0] for row in found]

    def _read(self, statement: str, values: Sequence[Any]) -> list[LoggedTurn]:
        if not self.exists:
            return []  # reading makes no file
        with self._file.use() as connection:
            return [LoggedTurn(*row) for row in connection.execute(statement, tuple(values))]


def _masked(value: Any) -> Any:
    """Messages without secrets that can be sent again: names and ids of calls stay, arguments stay JSON."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list):
        return [_masked(one) for one in value]
    if not isinstance(value, dict):
        return value
    made = {}
    for name, one in value.items():
        mask = _masked_json if name == "arguments" else _masked
        made[redact(name)] = one if name in _KEPT and isinstance(one, str) else mask(one)
    return made


def _masked_json(text: Any) -> Any:
    try:
        return dumps_text(redact_value(loads(text)))
    except (TypeError, ValueError):
        return _masked(text)  # it was no JSON before


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
