"""First-token times of one target in a logarithmic histogram: constant memory, older times count less and less."""

from __future__ import annotations

import math
from array import array

__all__ = ["LatencyHistogram", "size_class"]

#: Buckets, the upper bound of the first one in seconds, and the ratio of two bounds.
_BUCKETS, _FIRST, _RATIO = 64, 0.001, 1.2
_LOG_RATIO = math.log(_RATIO)
#: Times after which all counts are halved.
_FULL = 512
#: Tokens at which a larger class of prompts begins: a long prompt takes longer to its first token.
_CLASSES = (500, 2_000, 8_000, 32_000)


def size_class(tokens: float) -> int:
    """The class of a prompt by its size, from 0."""
    return sum(tokens >= bound for bound in _CLASSES)


class LatencyHistogram:
    """Times for each class of prompts, whole and streamed answers apart. Each class takes 128 bytes once it is used."""

    __slots__ = ("_counts", "_totals")

    def __init__(self) -> None:
        self._counts: dict[tuple[bool, int], array[int]] = {}
        self._totals: dict[tuple[bool, int], int] = {}

    def add(self, seconds: float, streamed: bool, size: int) -> None:
        """Count a time."""
        place = (streamed, size)
        counts = self._counts.get(place)
        if counts is None:
            counts = self._counts[place] = array("H", bytes(2 * _BUCKETS))
            self._totals[place] = 0
        bucket = 0 if seconds <= _FIRST else min(_BUCKETS - 1, math.ceil(math.log(seconds / _FIRST) / _LOG_RATIO))
        counts[bucket] += 1
        self._totals[place] += 1
        if self._totals[place] >= _FULL:
            for number in range(_BUCKETS):
                counts[number] //= 2
            self._totals[place] = sum(counts)

    def count(self, streamed: bool, size: int) -> int:
        """How many times are counted."""
        return self._totals.get((streamed, size), 0)

    def quantile(self, share: float, streamed: bool, size: int) -> float | None:
        """The time within which this share of calls began to answer, rounded up to a bucket; ``None`` without any."""
        total = self._totals.get((streamed, size), 0)
        if not total:
            return None
        wanted, seen = share * total, 0
        for number, count in enumerate(self._counts[streamed, size]):
            seen += count
            if seen >= wanted and count:
                return float(_FIRST * _RATIO**number)
        return None
