"""Whether to try again, and after how long. The engine obeys; nothing here waits."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Protocol

from attrs import frozen

from provider_kit.errors import ProviderKitError

__all__ = ["Backoff", "RetryPolicy"]


class RetryPolicy(Protocol):
    """A caller's own policy is any function of this shape."""

    def __call__(self, error: ProviderKitError, attempt: int, /) -> float | None:
        """Seconds to wait before the next attempt, or ``None`` to give up.

        Args:
            error: What went wrong; ``error.retryable`` and ``error.retry_after`` tell most.
            attempt: Number of the attempt that failed, 1 for the first.
        """
        ...


def _random() -> float:
    """A function of this module pickles as its name; ``random.random`` would take its whole state along."""
    return random.random()  # noqa: S311  # spreads waits, keeps no secret


@frozen
class Backoff:
    """Exponential backoff with full jitter; a provider's own wish goes before it.

    An error is tried again only if it says that may help. A wait the provider asks for that is longer
    than ``longest`` means that trying again now is pointless.
    """

    #: Tries after the first one.
    max_retries: int = 3
    #: Seconds the first wait may last at most.
    base: float = 0.5
    #: Seconds any computed wait may last at most.
    cap: float = 60.0
    #: Seconds a provider may ask for.
    longest: float = 120.0
    #: Source of randomness between 0 and 1.
    jitter: Callable[[], float] = _random

    def __call__(self, error: ProviderKitError, attempt: int, /) -> float | None:
        """Seconds to wait, or ``None``."""
        if attempt > self.max_retries or not error.retryable:
            return None
        asked: float | None = getattr(error, "retry_after", None)
        if asked is not None:
            return asked if asked <= self.longest else None
        return float(min(self.cap, self.base * 2 ** min(attempt - 1, 60))) * self.jitter()
