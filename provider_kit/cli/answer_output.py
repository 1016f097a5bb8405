"""Prints an answer while it is written: raw as it comes, and on a terminal each complete paragraph as Markdown.

A paragraph is first shown raw, without delay, and then replaced by its rendering. Nothing
of ``rich`` is loaded before the first paragraph is complete.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import sys
from types import TracebackType
from typing import Any, Protocol, Self

import click

from provider_kit.cli.terminal_text import harmless, may_draw, say, shown
from provider_kit.model.chat import ChatResponse

__all__ = ["AnswerOutput", "answer_output", "tell_rest"]


class AnswerOutput(Protocol):
    """Takes the pieces of an answer; leaving it ends the line."""

    def write(self, text: str) -> None:
        """The next piece."""
        ...

    def discard(self) -> None:
        """End without an answer: what says that one is awaited disappears."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


def answer_output() -> AnswerOutput:
    """The right output for where the answer goes; log lines in between would be drawn over."""
    logged = logging.getLogger("provider_kit").isEnabledFor(logging.DEBUG) or os.environ.get("PROVIDER_KIT_DEBUG_HTTP")
    return _Rendered() if may_draw() and not logged else _Plain()


class _Plain:
    """Text as it comes."""

    def __init__(self) -> None:
        self._begun = False

    def write(self, text: str) -> None:
        self._begun = self._begun or bool(text)
        click.echo(shown(text), nl=False)

    def discard(self) -> None:
        """Nothing was shown."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not isinstance(error, BrokenPipeError) and (self._begun or error is None):
            say()


class _Rendered:
    """Paragraphs, rendered as Markdown when complete."""

    def __init__(self) -> None:
        self._pending = ""
        self._console: Any = None
        self._begun = False
        self._waiting = False

    def write(self, text: str) -> None:
        if not text:
            return
        self._erase_waiting()
        text = text.replace("\r\n", "\n")
        sys.stdout.write(harmless(text))
        sys.stdout.flush()
        self._pending += text
        while (end := _end_of_block(self._pending)) is not None:
            block, rest = self._pending[:end], self._pending[end:]
            self._replace(block, rest)
            self._pending = rest

    def discard(self) -> None:
        """Erase the sign that an answer is awaited."""
        self._erase_waiting()
        sys.stdout.flush()

    def _erase_waiting(self) -> None:
        if self._waiting:
            self._waiting = False
            sys.stdout.write("\r\x1b[K")

    def __enter__(self) -> Self:
        self._waiting = True
        sys.stdout.write("\x1b[2m…\x1b[0m")  # until the first word comes
        sys.stdout.flush()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._erase_waiting()
        pending, self._pending = self._pending, ""
        if pending.strip():
            self._replace(pending, "")
        elif not self._begun and error is None:
            sys.stdout.write("\n")
        sys.stdout.flush()

    def _replace(self, block: str, rest: str) -> None:
        """Erase what is shown raw, and show the block rendered and the rest raw."""
        self._begun = True
        columns, rows = shutil.get_terminal_size()
        used = _rows(block + rest, columns)
        if used >= rows:  # its beginning has scrolled off and can no longer be replaced
            if not rest and not block.endswith("\n"):
                sys.stdout.write("\n")
            return
        from rich.console import Console

        if self._console is None:
            self._console = Console(highlight=False)
        # Line by line: erasing the screen from its top would push what is erased into the history of some terminals.
        up = f"\x1b[{used - 1}A" if used > 1 else ""
        erased = "\x1b[1B".join(["\x1b[2K"] * used)
        sys.stdout.write(f"\r{up}{erased}{up}\r")
        if block.strip():
            with self._console.capture() as capture:
                self._console.print(_markdown(harmless(block.strip("\n"))))
            sys.stdout.write(_without_empty_ends(capture.get()))
            if rest or block.endswith("\n\n") or self._pending != block:
                sys.stdout.write("\n")
        sys.stdout.write(harmless(rest))
        sys.stdout.flush()


def _without_empty_ends(rendered: str) -> str:
    """What was rendered, without the empty lines around it, which separate blocks of one document."""
    lines = rendered.split("\n")
    empty = [not re.sub(r"\x1b\[[0-9;]*m", "", line).strip() and "\x1b[4" not in line for line in lines]
    first = next((number for number, nothing in enumerate(empty) if not nothing), 0)
    last = next((number for number in range(len(lines) - 1, -1, -1) if not empty[number]), 0)
    return "\n".join(lines[first : last + 1]) + "\n"


def _end_of_block(text: str) -> int | None:
    """Where the first complete block ends: at an empty line outside a fence, or after the end of a fence."""
    fence: str | None = None
    position = 0
    while True:
        end = text.find("\n", position)
        if end < 0:
            return None
        line = text[position:end]
        mark = re.match(r"\s{0,3}(```+|~~~+)", line)
        if fence is not None:
            if mark and mark[1].startswith(fence) and line.strip() == mark[1]:
                return end + 1
        elif mark:
            fence = mark[1]
        elif not line.strip() and text[:position].strip() and not _goes_on(text[:position]):
            return end + 1
        position = end + 1


def _goes_on(block: str) -> bool:
    """A list whose items are apart stays together, so that its numbers do."""
    last = block.rstrip("\n").rsplit("\n", 1)[-1]
    return bool(re.match(r"\s*(?:[-*+]|\d+[.)])\s", last)) and len(block) < 2000


def _rows(text: str, columns: int) -> int:
    """Lines of the screen that a text takes; a wide character is not split at the margin."""
    from rich.cells import cell_len, get_character_cell_size

    rows = 0
    for line in text.split("\n"):
        shown = harmless(line).expandtabs(8)
        rows += 1
        if cell_len(shown) <= columns:
            continue
        used = 0
        for character in shown:
            width = get_character_cell_size(character)
            if used + width > columns:
                rows, used = rows + 1, 0
            used += width
    return rows


def _markdown(text: str) -> Any:
    """Markdown as models use it: tags are text, line breaks are kept, and URLs are shown."""
    from markdown_it import MarkdownIt
    from rich.markdown import Markdown

    shown = Markdown("", hyperlinks=False)
    parser = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"]).disable("escape")
    shown.markup, shown.parsed = text, parser.parse(text)
    for token in shown.parsed:
        for child in token.children or ():
            if child.type == "softbreak":
                child.type = "hardbreak"
    return shown


def tell_rest(answer: ChatResponse) -> None:
    """Print what is not text: tool calls, warnings, a truncated answer."""
    for call in answer.tool_calls:
        say(f"Tool call: {call.name}({call.arguments_json})", err=True)
    for warning in answer.warnings:
        say(f"Warning: {warning}", err=True)
    if answer.finish_reason not in ("stop", "tool_calls"):
        say(f"Warning: the answer ended early: {answer.finish_reason}.", err=True)
