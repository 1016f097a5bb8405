"""The attempts at a call, and how long it took."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import define, evolve

__all__ = ["Attempt", "Timings", "numbered"]


@define
class Attempt:
    """One attempt at a call: provider and model, outcome and duration."""

    #: 1 for the first.
    number: int
    provider: str
    model: str
    #: Seconds this attempt took.
    duration: float
    #: Name of the error's class, ``None`` for success.
    error: str | None = None
    #: The error's text.
    message: str | None = None
    status_code: int | None = None
    #: Seconds waited before the next attempt.
    waited: float = 0.0
    #: Seconds since 1970 when it began.
    started: float = 0.0
    #: The end of the key that was used; empty where there is only one.
    key: str = ""
    #: Whether a failed attempt may have been carried out and billed: it was sent, and its answer was lost.
    may_be_billed: bool = False


def numbered(attempts: Sequence[Attempt]) -> tuple[Attempt, ...]:
    """Attempts at several targets, numbered from 1."""
    return tuple(one if one.number == number else evolve(one, number=number) for number, one in enumerate(attempts, 1))


@define
class Timings:
    """How long a call took, in seconds since it began."""

    #: Until the first content of a stream, or the whole answer.
    first_content: float | None = None
    #: Until the end.
    total: float | None = None
    #: Spent waiting: for limits, for keys, and between attempts.
    queue: float | None = None
    #: Spent to establish a connection; ``None`` where one was open.
    connect: float | None = None
    #: Until the first byte of the answer.
    first_byte: float | None = None
    #: Between two chunks of a stream, on average.
    between_chunks: float | None = None

    @property
    def first_token(self) -> float | None:
        """Alias of :attr:`first_content`."""
        return self.first_content
