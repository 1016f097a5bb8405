"""Estimates made before a call: of its tokens, and of its cost."""

from __future__ import annotations

from decimal import Decimal

from attrs import frozen

__all__ = ["CostEstimate", "TokenEstimate"]


@frozen
class TokenEstimate:
    """An estimate of the input tokens of a request; not a count. ``int()`` of it is the likeliest number."""

    #: The likeliest number.
    tokens: int
    #: Nine in ten requests have at least so many.
    low: int
    #: Nine in ten requests have at most so many.
    high: int
    #: The family of models whose tokens were estimated.
    family: str

    def __int__(self) -> int:
        return self.tokens


@frozen
class CostEstimate:
    """An estimate of what a call will cost, in US dollars; ``None`` where a price or a limit is unknown."""

    #: For the input alone, and an empty answer.
    low: Decimal | None
    #: For the input, and the longest answer that is allowed.
    high: Decimal | None
    #: The input.
    input_tokens: TokenEstimate
    #: The longest answer that is allowed: ``max_tokens``, else what the model can write.
    max_output_tokens: int | None
