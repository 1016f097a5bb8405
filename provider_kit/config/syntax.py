"""Explanations of YAML syntax errors, with remedies."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

__all__ = ["explain_syntax"]

_INDENT = "Use spaces for indentation, two for each level, and the same number for what belongs together."


def explain_syntax(error: Any, lines: Sequence[str]) -> tuple[int, int, str, str]:
    """Explain a syntax error: line, column, message, remedy.

    Args:
        error: The parser's exception.
        lines: The lines of the file.
    """
    mark, context = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
    words = f"{getattr(error, 'context', '') or ''} {getattr(error, 'problem', '') or ''}"
    if mark is None:
        return _unreadable(error, lines)
    # An unclosed quote or bracket is detected at the end, but must be fixed at its beginning.
    unclosed = "quoted scalar" in words or "flow" in words or "simple key" in words
    place = context if unclosed and context is not None and context.line <= mark.line else mark
    number = min(place.line, len(lines) - 1)
    line = lines[number] if lines else ""
    if "mapping values" in words and (earlier := _without_colon(lines, number)) is not None:
        number, line, words = earlier, lines[earlier], "simple key"
    message, remedy = _explain(words, line, place.column)
    if "indent" in remedy and not line.strip():  # the end of what started wrongly
        number = next((n for n in range(number, -1, -1) if lines[n].strip()), number)
    return number + 1, place.column + 1, message, remedy


def _without_colon(lines: Sequence[str], number: int) -> int | None:
    """The line before, if it lacks the colon and the space that would make it an entry of its own."""
    before = next((n for n in range(number - 1, -1, -1) if lines[n].strip()), None)
    if before is None or re.search(r":(?:\s|$)", lines[before]) or lines[before].lstrip().startswith(("#", "-")):
        return None
    same = len(lines[before]) - len(lines[before].lstrip()) == len(lines[number]) - len(lines[number].lstrip())
    return before if same else None


def _unreadable(error: Any, lines: Sequence[str]) -> tuple[int, int, str, str]:
    position, character = getattr(error, "position", None), getattr(error, "character", None)
    if isinstance(character, int) and isinstance(position, int):
        before = "\n".join(lines)[:position]
        return (
            before.count("\n") + 1,
            position - before.rfind("\n"),
            f"There is a character that YAML does not allow (U+{character:04X}).",
            "Delete it; it may be invisible, or save the file as UTF-8.",
        )
    return 1, 1, "This is not YAML.", "Save the file as UTF-8 text; provider-kit config init writes one to begin with."


def _explain(words: str, line: str, column: int) -> tuple[str, str]:
    indentation = line[: len(line) - len(line.lstrip())]
    if "\t" in indentation or line[column : column + 1] == "\t":
        return "There is a tab where YAML requires spaces.", "Replace it with spaces."
    if "quoted scalar" in words and "escape" in words:
        return (
            "A backslash in double quotes begins an escape sequence that does not exist.",
            "Use single quotes: 'C:\\path'.",
        )
    if "quoted scalar" in words:
        return "The quotes that begin here are not closed.", "Put the same quote at the end of the value."
    if ("flow sequence" in words or "flow mapping" in words) and "${" in line:
        return "There is a reference inside [ ] or { } without quotes.", 'Put it in quotes there: ["${NAME}"].'
    if "flow sequence" in words:
        return "The list that begins with [ is not closed, or lacks a comma.", "Close it with ], items with commas."
    if "flow mapping" in words:
        return (
            "The mapping that begins with { is not closed, or lacks a comma.",
            "Close it with }; a text that begins with { needs quotes.",
        )
    value = re.match(r"^\s*(?:- +)*[^\s:]+:\s+(\S.*)$", line)
    if "mapping values" in words:
        if value and re.search(r":(?:\s|$)", value[1]):
            return "A value holds ': ', which begins a mapping in YAML.", f'Put it in quotes: "{_shown(value[1])}".'
        return "This line is indented further than the lines it belongs to, or lacks its parent.", _INDENT
    if "simple key" in words:
        return "This line has no ':' after its key.", "Write 'key: value', with a space after the colon."
    if "block sequence entries" in words:
        return "A list item is on the line of its key.", "Begin the list on the next line, or write [a, b]."
    first = (value[1] if value else line.strip())[:1]
    if "cannot start any token" in words or "alphabetic or numeric" in words or first in "@`%&*!|>":
        if first in tuple("@`%&*!|>"):
            return f"A value cannot begin with {first} without quotes.", "Put the value in quotes."
        return "There is a character that has no meaning here.", "Put the value in quotes."
    if "anchor" in words or "alias" in words or "tag" in words:
        return "A value that begins with &, * or ! has a special meaning in YAML.", "Put the value in quotes."
    if "directive" in words:
        return "A line that begins with % is a directive in YAML.", "Put the value in quotes, or remove the line."
    return "The indentation does not match the lines before.", _INDENT


def _shown(value: str) -> str:
    """A value in a remedy; long values and possible secrets are left out."""
    return value if len(value) <= 20 and re.fullmatch(r"[\w :./-]+", value) and "sk-" not in value else "…"
