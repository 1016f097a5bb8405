"""The form of an entry."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Entry"]


class Entry(NamedTuple):
    """The guide's text on one kind of failure."""

    code: str
    #: Names of the exceptions that report it.
    errors: tuple[str, ...]
    #: What happened, in a sentence or two.
    meaning: str
    #: Whether repeating the same call may help.
    retryable: bool
    #: The usual causes.
    causes: tuple[str, ...]
    #: What to do, in this order.
    steps: tuple[str, ...]
    #: How to prevent it.
    prevention: tuple[str, ...]

    def as_text(self) -> str:
        """The entry for a terminal or a log."""
        again = "Trying again may help." if self.retryable else "Trying the same again does not help."
        parts = [f"{self.code} ({', '.join(self.errors)})", "", f"{self.meaning} {again}"]
        for title, lines, numbered in (
            ("Causes", self.causes, False),
            ("What to do", self.steps, True),
            ("Prevention", self.prevention, False),
        ):
            parts += ["", f"{title}:"]
            parts += [f"  {f'{number}.' if numbered else '-'} {line}" for number, line in enumerate(lines, 1)]
        return "\n".join(parts)
