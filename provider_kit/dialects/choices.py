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
#: Pieces that wait until it is certain that the server counts chunks; there are hardly more answers side by side.
_CERTAIN = 8


class ChoiceFilter:
    """Picks, out of the events of a stream, the pieces of one answer.

    Pieces with new numbers wait until it is clear whether the server counts chunks or gives several answers.
    """

    __slots__ = ("_counting", "_ended", "_number", "_several", "_waiting", "quick")

    def __init__(self) -> None:
        #: The number of pieces that are certainly ours and need no further look; -1 if none are.
        self.quick = _NONE
        self._number: int | None = None
        self._waiting: list[tuple[int, tuple[Any, Any]]] = []
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
        # Side by side, the one without a number is the first (protobuf leaves zeros out).
        told = [number if (number := _number(piece)) is not None or len(pieces) == 1 else 0 for piece in pieces]
        numbers = {number for number in told if number is not None}
        taken: list[tuple[Mapping[str, Any], Any]] = []
        if len(numbers) > 1 and not self._several:
            taken.extend(self._tell_apart(min(numbers) if self._number is None else self._number))
        for number, piece in zip(told, pieces, strict=True):
            taken.extend(self._take(number, (piece, event)))
        certain = bool(taken) and not self._waiting and not self._counting
        self.quick = (self._number or 0) if certain else _NONE
        return taken

    def ended(self) -> None:
        """Our answer has given its reason to end: what has another number is not ours."""
        self._ended = True

    def finish(self) -> list[tuple[Mapping[str, Any], Any]]:
        """There is no further event: what waited is ours, unless our answer had ended before it."""
        waiting, self._waiting = self._waiting, []
        return [] if self._ended else [entry for _, entry in waiting]

    def _take(self, number: int | None, entry: tuple[Any, Any]) -> list[tuple[Mapping[str, Any], Any]]:
        ours = self._number or 0
        if number is None:
            return [*self.finish(), entry]  # whoever leaves numbers out has no answers to tell apart
        if self._several:
            return [entry] if number == ours else []
        if self._counting:
            if number < ours:
                self._tell_apart(number)  # it counted answers, not chunks
            self._number = number
            return [entry]
        if number == ours:
            kept = self._tell_apart(number) if self._waiting else []
            self._number = number
            return [*kept, entry]
        return [] if self._ended else self._judge(number, entry)

    def _judge(self, number: int, entry: tuple[Any, Any]) -> list[tuple[Mapping[str, Any], Any]]:
        """A piece with another number than ours."""
        waiting = self._waiting
        first, before = (waiting[0][0], waiting[-1][0]) if waiting else (number, number - 1)
        counted = number == before + 1 or (number == before and first < before)
        waiting.append((number, entry))
        if number == before and first == before and self._number is None:  # the only answer there is
            self._number = number
        elif counted and (self._number is None or first == self._number + 1):
            if len(waiting) < _CERTAIN:
                return []
            self._number, self._counting = number, True
        else:
            return self._tell_apart(first if self._number is None else self._number)
        self._waiting = []
        return [waited for _, waited in waiting]

    def _tell_apart(self, number: int) -> list[tuple[Mapping[str, Any], Any]]:
        """There are several answers, ours has this number; what of those that waited is of ours."""
        self._several, self._counting, self._number = True, False, number
        waiting, self._waiting = self._waiting, []
        return [entry for told, entry in waiting if told == number]
