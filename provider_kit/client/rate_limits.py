"""The limits a provider reported, and what they allow now."""

from __future__ import annotations

from collections.abc import Callable
from typing import SupportsIndex

from provider_kit.errors import InvalidRequestError
from provider_kit.policies.header_limits import HeaderLimits
from provider_kit.wire.rate_limit_headers import RateLimitInfo

__all__ = ["RateLimits"]


class RateLimits(list[RateLimitInfo]):
    """The limits that a provider's headers told, for each key and model, the latest last.

    Its methods take all limits of a model into account, those of requests and of tokens, of a minute and of a day, and
    the calls since they were told. Of several keys the best one counts.

    Args:
        limits: What is known.
        now: The clock.
    """

    def __init__(self, limits: HeaderLimits, now: float) -> None:
        super().__init__(limits.snapshot())
        self._limits = limits
        self._now = now

    def get(self, model: str) -> RateLimitInfo | None:
        """What was last told of a model; ``None`` if nothing was."""
        return next((one for one in reversed(self) if one.model == model), None)

    def wait_time(self, model: str, tokens: float = 0) -> float:
        """Seconds until every limit allows a call; 0 if it may be made now, or if nothing is known.

        Args:
            model: The model.
            tokens: Tokens the call is expected to use, input and output together.
        """
        if isinstance(tokens, bool) or not isinstance(tokens, (int, float)) or not tokens >= 0:
            raise InvalidRequestError(f"tokens must be a number of 0 or more, not {tokens!r}.")
        return self._limits.allowed_in(model, float(tokens), self._now)

    def can_make_request(self, model: str, tokens: float = 0) -> bool:
        """Whether every limit allows a call now. Arguments as :meth:`wait_time`."""
        return self.wait_time(model, tokens) <= 0

    def should_throttle(self, model: str, threshold: float = 0.8) -> bool:
        """Whether so much of a limit is used that calls should be spaced; ``False`` if nothing is known.

        Args:
            model: The model.
            threshold: The share that is used, from 0 to 1.
        """
        return self._limits.headroom(model, self._now) <= 1.0 - threshold + 1e-9

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Callable[..., object], tuple[object, ...]]:
        return list, (list(self),)
