"""Durations in a logarithmic histogram: constant memory, and percentiles within 4 %."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left

from attrs import frozen

__all__ = ["Histogram", "Percentiles"]

#: Buckets, the upper bound of the first one in seconds, and the ratio of two bounds.
_BUCKETS, _FIRST, _RATIO = 200, 0.001, 1.08
#: The upper bounds of all but the last one.
_BOUNDS = [_FIRST * _RATIO**number for number in range(_BUCKETS - 1)]


@frozen
class Percentiles:
    """Durations in seconds; ``None`` before the first one."""

    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None


class Histogram:
    """Durations, by their size."""

    __slots__ = ("_counts", "count", "greatest", "least", "total")

    def __init__(self) -> None:
        self._counts: array[int] | None = None
        self.count = 0
        self.total = 0.0
        self.least = math.inf
        self.greatest = 0.0

    def add(self, seconds: float) -> None:
        """Count a duration."""
        counts = self._counts
        if counts is None:
            counts = self._counts = array("Q", bytes(8 * _BUCKETS))
        counts[bisect_left(_BOUNDS, seconds)] += 1
        self.count += 1
        self.total += seconds
        self.least = min(self.least, seconds)
        self.greatest = max(self.greatest, seconds)

    def merge(self, other: Histogram) -> None:
        """Count the durations of another one, too."""
        if other._counts is not None:
            if self._counts is None:
                self._counts = array("Q", bytes(8 * _BUCKETS))
            for number, count in enumerate(other._counts):
                self._counts[number] += count
        self.count += other.count
        self.total += other.total
        self.least, self.greatest = min(self.least, other.least), max(self.greatest, other.greatest)

    @property
    def average(self) -> float | None:
        """The average; ``None`` without any."""
        return self.total / self.count if self.count else None

    def quantile(self, share: float) -> float | None:
        """The duration that this share does not exceed; ``None`` without any."""
        if self._counts is None:
            return None
        wanted, seen = share * self.count, 0
        for number, count in enumerate(self._counts):
            seen += count
            if count and seen >= wanted:
                middle = _FIRST * _RATIO ** (number - 0.5) if number else _FIRST / 2
                return min(self.greatest, max(self.least, middle))
        return self.greatest

    def percentiles(self) -> Percentiles:
        """The usual percentiles."""
        return Percentiles(*(self.quantile(share) for share in (0.5, 0.9, 0.95, 0.99)))
