"""Which of several answers is ours.

A provider numbers the answers it gives side by side (``choices[].index``, Gemini's ``candidates[].index``),
and the first one is read. Servers that give a single answer number it as they like: from 1, as text, not at
all, or with the count of the chunk. So a number alone decides nothing; only answers that truly run side by
side (two in one event, or one number after another and back) are told apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["ChoiceFilter", "first_choice"]


def _number(choice: Mapping[str, Any]) -> int | None:
    """The number of an answer, ``None`` where it has none of use."""
    index = choice.get("index")
    if type(index) is int:
        return index
    return int(index) if isinstance(index, str) and index.isascii() and index.isdecimal() and len(index) < 10 else None


def first_choice(choices: Any) -> Mapping[str, Any] | None:
    """The first answer of a whole response, by its number, else by its place."""
    if not isinstance(choices, list):
        return None
    objects = [choice for choice in choices if isinstance(choice, dict)]
    return next((choice for choice in objects if not _number(choice)), objects[0] if objects else None)


#: Of no answer.
_NONE = -1


class ChoiceFilter:
    """Picks, out of the events of a stream, the pieces of one answer.

    A piece with a new number waits for the next event, which tells whether the server counts chunks or gives
    several answers.
    """

    __slots__ = ("_counting", "_ended", "_number", "_several", "_waiting", "quick")

    def __init__(self) -> None:
        #: The number of pieces that are certainly ours and need no further look.
        self.quick = _NONE
        self._number: int | None = None
        self._waiting: tuple[int, tuple[Any, Any]] | None = None
        self._counting = False
        self._several = False
        self._ended = False

    def take(self, choices: Iterable[Any], event: Any) -> list[tuple[Mapping[str, Any], Any]]:
        """The pieces that are ours now, each with the event it came in.

        Args:
            choices: The pieces of one event.
            event: The event.
        """
        pieces = [choice for choice in choices if isinstance(choice, dict)]
        numbers = {number for piece in pieces if (number := _number(piece)) is not None}
        taken: list[tuple[Mapping[str, Any], Any]] = []
        if len(numbers) > 1 and not self._several:
            taken.extend(self._tell_apart(min(numbers) if self._number is None else self._number))
        for piece in pieces:
            taken.extend(self._take(_number(piece), (piece, event)))
        certain = self._number is not None and self._waiting is None and not self._counting
        self.quick = self._number if certain and self._number is not None else _NONE
        return taken

    def ended(self) -> None:
        """Our answer has given its reason to end: what has another number is not ours."""
        self._ended = True

    def finish(self) -> list[tuple[Mapping[str, Any], Any]]:
        """There is no further event: what waited is ours, unless our answer had ended before it."""
        waiting, self._waiting = self._waiting, None
        return [] if waiting is None or self._ended else [waiting[1]]

    def _take(self, number: int | None, entry: tuple[Any, Any]) -> list[tuple[Mapping[str, Any], Any]]:
        ours = self._number or 0
        if number is None:
            return [entry]
        if self._several:
            return [entry] if number == ours else []
        if self._counting:
            if number < ours:
                self._tell_apart(number)  # it counted answers, not chunks
            self._number = number
            return [entry]
        if number == ours:
            kept = [] if self._waiting is None else self._tell_apart(number)
            self._number = number
            return [*kept, entry]
        return [] if self._ended else self._judge(number, entry)

    def _judge(self, number: int, entry: tuple[Any, Any]) -> list[tuple[Mapping[str, Any], Any]]:
        """A piece with another number than ours."""
        if self._waiting is None:
            self._waiting = (number, entry)
            return []
        before, waited = self._waiting
        only = number == before and self._number is None
        counts = number == before + 1 and (self._number is None or before == self._number + 1)
        if not only and not counts:
            return self._tell_apart(self._number or 0)
        self._number, self._counting, self._waiting = number, counts, None
        return [waited, entry]

    def _tell_apart(self, number: int) -> list[tuple[Mapping[str, Any], Any]]:
        """There are several answers, ours has this number; what waited, if it is of ours."""
        self._several, self._counting, self._number = True, False, number
        waiting, self._waiting = self._waiting, None
        return [waiting[1]] if waiting is not None and waiting[0] == number else []
