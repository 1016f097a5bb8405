"""Prints a turn of a conversation with tools: its text as it comes, and a line for each call and its result."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from provider_kit.cli.answer_output import AnswerOutput, answer_output
from provider_kit.cli.chat_tools import call_text
from provider_kit.cli.terminal_text import say
from provider_kit.tools.run_events import RunEvent, RunReset, TextDelta, ToolFinished, ToolStarted

__all__ = ["print_turn"]

_LONGEST = 300


def print_turn(events: Iterable[RunEvent]) -> None:
    """Print the events of a turn, until it ends."""
    with _Sections() as sections:
        for event in events:
            if isinstance(event, TextDelta):
                sections.write(event.text or event.chunk.refusal)
            elif isinstance(event, ToolStarted):
                sections.note(f"→ {call_text(event.call)}")
            elif isinstance(event, ToolFinished):
                sections.note(f"← {_outcome(event)}")
            elif isinstance(event, RunReset):
                sections.note("(The answer broke off and is asked for again; what is above does not count.)")


def _outcome(event: ToolFinished) -> str:
    if event.denied:
        return "not allowed"
    if event.error is not None:
        return f"failed: {type(event.error).__name__}: {event.error}"
    text = " ".join(event.result.text.split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


class _Sections:
    """Text between notes; each section is an output of its own, since notes are drawn in between."""

    def __init__(self) -> None:
        self._output: AnswerOutput | None = None
        self._wrote = False

    def __enter__(self) -> _Sections:
        self._open()
        return self

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        if self._output is not None:
            output, self._output = self._output, None
            output.__exit__(kind, error, traceback)

    def _open(self) -> AnswerOutput:
        if self._output is None:
            self._output = answer_output()
            self._output.__enter__()
        return self._output

    def write(self, text: str) -> None:
        self._wrote = self._wrote or bool(text)
        self._open().write(text)

    def note(self, text: str) -> None:
        if self._output is not None:
            output, self._output = self._output, None
            if self._wrote:
                output.__exit__(None, None, None)
            else:
                output.discard()
        self._wrote = False
        say(text, err=True, fg="bright_black")
