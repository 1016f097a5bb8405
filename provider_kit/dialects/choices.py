"""Which of several choices to read.

A provider numbers parallel answers (``choices[].index``, Gemini's ``candidates[].index``), and the first one is read.
Servers that give a single answer number it inconsistently: from 1, as text, not at all, or with the count of the chunk.
So a number alone decides nothing; only answers that are truly parallel (two in one event, or numbers that alternate)
are separated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["ChoiceFilter", "first_choice"]


def _number(choice: Mapping[str, Any]) -> int | None:
    """The number of an answer, ``None`` where it has no usable one."""
    index = choice.get("index")
    if type(index) is int:
        return index
    return int(index) if isinstance(index, str) and index.isascii() and index.isdecimal() and len(index) < 10 else None


def first_choice(choices: Any) -> Mapping[str, Any] | None:
    """The first answer of a complete response, by its number, else by its position."""
    if not isinstance(choices, list):
        return None
    objects = [choice for choice in choices if isinstance(choice, dict)]
    return next((choice for choice in objects if not _number(choice)), objects[0] if objects else None)


#: The number of no answer.
_NONE = -1
#: Pieces held back until it is certain that the server counts chunks; more parallel answers are unlikely.
_CERTAIN = 8


class ChoiceFilter:
    """Selects the pieces of one answer from the events of a stream.

    Pieces with new numbers wait until it is clear whether the server counts chunks or gives several answers.
    """

    __slots__ = ("_counting", "_ended", "_number", "_several", "_waiting", "quick")

    def __init__(self) -> None:
        #: The number whose pieces certainly belong to the answer; -1 if none is.
        self.quick = _NONE
        self._number: int | None = None
        self._waiting: list[tuple[int, tuple[Any, Any]]] = []
        self._counting = False
        self._several = False
        self._ended = False

    def take(self, choices: Iterable[Any], event: Any) -> list[tuple[Mapping[str, Any], Any]]:
        """Return the pieces of the answer that are ready, each with its event.

        Args:
            choices: The pieces of one event.
            event: The event.
        """
        pieces = [choice for choice in choices if isinstance(choice, dict)]
        if len(pieces) == 1:
            taken = self._take(_number(pieces[0]), (pieces[0], event))
        else:
            taken = self._take_several(pieces, event)
        certain = bool(taken) and not self._waiting and not self._counting
        self.quick = (self._number or 0) if certain else _NONE
        return taken

    def _take_several(self, pieces: list[dict[str, Any]], event: Any) -> list[tuple[Mapping[str, Any], Any]]:
        # Of parallel answers, the one without a number is the first (protobuf omits zeros).
        told = [_number(piece) or 0 for piece in pieces]
        taken: list[tuple[Mapping[str, Any], Any]] = []
        if len(set(told)) > 1 and not self._several:
            taken.extend(self._tell_apart(min(told) if self._number is None else self._number))
        for number, piece in zip(told, pieces, strict=True):
            taken.extend(self._take(number, (piece, event)))
        return taken

    def ended(self) -> None:
        """The answer has its finish reason: pieces with another number do not belong to it."""
        self._ended = True

    def finish(self) -> list[tuple[Mapping[str, Any], Any]]:
        """The stream has ended: held-back pieces belong to the answer, unless it had ended before them."""
        waiting, self._waiting = self._waiting, []
        return [] if self._ended else [entry for _, entry in waiting]

    def _take(self, number: int | None, entry: tuple[Any, Any]) -> list[tuple[Mapping[str, Any], Any]]:
        ours = self._number or 0
        if number is None:
            return [*self.finish(), entry]  # a server that omits numbers has only one answer
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
        """Judge a piece with another number."""
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
        """There are several answers, and this is the number of the one read; return its held-back pieces."""
        self._several, self._counting, self._number = True, False, number
        waiting, self._waiting = self._waiting, []
        return [entry for told, entry in waiting if told == number]
