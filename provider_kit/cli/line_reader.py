"""Reads typed questions: history across sessions, multi-line input, with prompt_toolkit where it is installed.

A line that ends with a backslash continues in the next one; lines between two lines of ``\"\"\"`` belong
together. With prompt_toolkit, Alt-Enter begins a new line too.
"""

from __future__ import annotations

import os
from typing import Any

from provider_kit.stores.user_folders import user_folder

__all__ = ["LineReader", "join_lines"]

_PROMPT = "> "
_MORE = "… "


def _history_file() -> str:
    folder = user_folder("state")
    if folder is None:
        raise OSError("there is no home directory")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    path = os.path.join(folder, "chat_history")
    if not os.path.exists(path):
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    return path


class LineReader:
    """Reads one question after the other."""

    def __init__(self) -> None:
        self._session: Any = None
        try:
            from prompt_toolkit import PromptSession
        except ImportError:
            self._plain()
            return
        from prompt_toolkit.history import FileHistory, InMemoryHistory
        from prompt_toolkit.key_binding import KeyBindings

        try:
            history: Any = FileHistory(_history_file())
        except OSError:  # a home that cannot be written; history of this session only
            history = InMemoryHistory()
        bindings = KeyBindings()

        @bindings.add("escape", "enter")
        def _(event: Any) -> None:
            event.current_buffer.insert_text("\n")

        self._session = PromptSession(history=history, key_bindings=bindings, completer=_completer())

    def _plain(self) -> None:
        """``input()`` with the arrows and history of readline, where that exists."""
        try:
            import readline  # noqa: F401  # importing it is what makes input() edit lines
        except ImportError:
            pass

    def read(self) -> str:
        """The next question, its lines joined.

        Raises:
            EOFError: The user leaves.
            KeyboardInterrupt: The user discards the input.
        """
        return join_lines(self._line)

    def _line(self, more: bool) -> str:
        prompt = _MORE if more else _PROMPT
        return str(self._session.prompt(prompt)) if self._session is not None else input(prompt)


def join_lines(read: Any) -> str:
    """Join the lines of one question.

    Args:
        read: A function that reads a line; its argument says whether it continues one.
    """
    line = read(False)
    if line.strip() == '"""':
        lines = []
        while (line := read(True)).strip() != '"""':
            lines.append(line)
        return "\n".join(lines)
    lines = [line]
    while lines[-1].endswith("\\"):
        lines[-1] = lines[-1][:-1]
        lines.append(read(True))
    return "\n".join(lines)


def _completer() -> Any:
    from prompt_toolkit.completion import WordCompleter

    from provider_kit.cli.slash_commands import COMMANDS

    return WordCompleter([f"/{name}" for name in COMMANDS], sentence=True)
