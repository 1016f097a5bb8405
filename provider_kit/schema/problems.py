"""What is wrong with a value: its place, and what is wanted, in words that a model can act on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

__all__ = [
    "CLOSED",
    "CORRECT",
    "EXACT",
    "LENIENT",
    "MODES",
    "NAMES",
    "OPEN",
    "Check",
    "bounds_in_words",
    "place",
    "readable",
    "shown",
    "tell",
]

#: How a value is checked: whether what is only written differently is corrected, and whether properties that are not
#: named are passed over instead of refused.
CORRECT, OPEN = 1, 2
CLOSED, EXACT, LENIENT = 0, OPEN, CORRECT | OPEN
#: The modes in which the branches of a union are tried: what loses the least comes first.
MODES = (CLOSED, CORRECT, OPEN, CORRECT | OPEN)

#: ``check(value, problems, mode)`` returns the value to use, and appends what is wrong with it.
Check: TypeAlias = Callable[[Any, list[str], int], Any]

#: How many problems are told.
MOST_PROBLEMS = 20
_LONGEST_SHOWN = 60

NAMES = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
    "array": "a list",
    "object": "an object",
}


def shown(value: Any) -> str:
    """A value as a message shows it: as JSON, shortened."""
    if isinstance(value, str):
        text = f'"{value}"'
    elif value is None or isinstance(value, bool):
        text = {None: "null", True: "true", False: "false"}[value]
    elif isinstance(value, (int, float)):
        text = repr(value) if not isinstance(value, int) or abs(value) < 10**40 else "a very large number"
    else:
        return "an object" if isinstance(value, Mapping) else "a list"
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 1]}…"


def place(step: str, problems: list[str], start: int) -> None:
    """Put a step before the places of the problems from ``start`` on."""
    for number in range(start, len(problems)):
        said = problems[number]
        if said[:1] == "\0":  # the place is here
            problems[number] = f"\0{step}{said[1:]}"


def tell(problems: list[str], said: str) -> None:
    """Append a problem; its place is added by those who called."""
    if len(problems) < MOST_PROBLEMS:
        problems.append(f"\0: {said}")


def readable(problems: list[str]) -> list[str]:
    """The problems as sentences: ``pets[0].name: must be a text, not 3``."""
    return [said.lstrip("\0").lstrip(".").removeprefix(": ") for said in problems]


def bounds_in_words(least: Any, most: Any) -> str:
    """A least and a greatest number."""
    if most is None:
        return f"at least {least}"
    if least == most:
        return f"exactly {least}"
    return f"at most {most}" if not least else f"{least} to {most}"
