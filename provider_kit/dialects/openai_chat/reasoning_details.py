"""OpenRouter's ``reasoning_details`` in pieces: the same index and type is the same block."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["ReasoningDetails"]

#: Fields whose pieces are concatenated; of other fields the last value counts.
_TEXTS = ("text", "summary", "data")


class ReasoningDetails:
    """Collects the blocks of one answer, to be sent back unmodified."""

    __slots__ = ("_blocks", "_by_id", "_first")

    def __init__(self) -> None:
        self._blocks: list[tuple[dict[str, Any], dict[str, list[str]]]] = []
        #: By index and type: the first block; by these and the id: the block with it.
        self._first: dict[str, int] = {}
        self._by_id: dict[tuple[str, str], int] = {}

    def __bool__(self) -> bool:
        return bool(self._blocks)

    def add(self, details: Iterable[Any]) -> None:
        """Take pieces. A block without an id may continue with an id, and the other way round."""
        for item in details:
            if not isinstance(item, dict):
                continue
            place = repr((item.get("index"), item.get("type")))
            given = item.get("id")
            number = self._find(place, given)
            if number is None:
                number = len(self._blocks)
                self._blocks.append(({}, {}))
                self._first.setdefault(place, number)
            block, texts = self._blocks[number]
            for key, value in item.items():
                if key in _TEXTS and isinstance(value, str):
                    block.setdefault(key, "")
                    texts.setdefault(key, []).append(value)
                elif value is not None or key not in block:
                    block[key] = value
            if given:
                self._by_id[place, str(given)] = number

    def _find(self, place: str, given: Any) -> int | None:
        first = self._first.get(place)
        if not given or first is None or not self._blocks[first][0].get("id"):
            return first
        return self._by_id.get((place, str(given)))

    def close(self) -> list[dict[str, Any]]:
        """The blocks so far."""
        return [{**block, **{key: "".join(pieces) for key, pieces in texts.items()}} for block, texts in self._blocks]
