"""Calls recorded before they run, so that none is repeated unseen after a crash.

Without a ledger a call may run twice: if the program ends between the call and the storing of its result. With one, a
call that was started and has no result is not run again; somebody must decide.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Literal, Protocol

from attrs import frozen

from provider_kit.model.json_text import canonical
from provider_kit.model.messages import Message, ToolCall, ToolResult

__all__ = ["Ledger", "LedgerEntry", "call_key"]


@frozen
class LedgerEntry:
    """What is recorded of a call."""

    state: Literal["started", "finished"]
    #: The result, once it is finished.
    result: ToolResult | None = None


class Ledger(Protocol):
    """Protocol of a ledger; :class:`SQLiteLedger` is one."""

    def find(self, key: str) -> LedgerEntry | None:
        """What is recorded of a call."""
        ...

    def start(self, key: str, call: ToolCall) -> bool:
        """Record, durably, that a call is about to run; ``False`` if another process has just done so."""
        ...

    def finish(self, key: str, result: ToolResult) -> None:
        """Record the result of a call."""
        ...

    def clear(self, key: str) -> None:
        """Forget a call, since somebody decided that it runs again."""
        ...


def call_key(call: ToolCall, messages: Sequence[Message]) -> str:
    """A key of one call in one conversation; providers do not promise that the ids of calls are unique."""
    position = next(
        (number for number in range(len(messages) - 1, -1, -1) if call in messages[number].tool_calls), len(messages)
    )
    facts: list[Any] = [call.id, call.name, call.arguments_json, position]
    return hashlib.sha256(canonical(facts)).hexdigest()
