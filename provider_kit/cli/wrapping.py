"""Lines that fit the terminal, broken between words."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap

from provider_kit.cli.terminal_text import is_terminal

__all__ = ["screen_width", "wrapped"]


def screen_width() -> int:
    """Columns to write in: those of the terminal, 78 where there is none."""
    return max(40, shutil.get_terminal_size().columns) if is_terminal(sys.stdout) else 78


def wrapped(text: str) -> str:
    """The text with its long lines broken, the rest of each indented like its beginning; unchanged if piped."""
    if not is_terminal(sys.stdout):
        return text
    width = screen_width()
    lines = []
    for line in text.split("\n"):
        head = re.match(r"\s*(?:\d+\. |- |/?\S+ {2,})?", line)
        indent = " " * len(head[0]) if head else ""
        lines.extend(
            textwrap.wrap(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False) or [""]
        )
    return "\n".join(lines)
