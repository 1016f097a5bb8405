"""When a task of a queue is to be tried again after an error of a call."""

from __future__ import annotations

import random

from provider_kit.errors import ProviderKitError

__all__ = ["retry_delay"]

#: Seconds before the first retry where the provider names no time, and at most.
_FIRST, _LONGEST = 2.0, 600.0


def retry_delay(error: BaseException, retries: int = 0) -> float | None:
    """Seconds until a task that failed may be tried again; ``None`` if that would not help.

    What the provider says (``Retry-After``) is kept to; otherwise the time doubles. A little is added at random, so
    that many tasks that failed together do not come back together.

    Args:
        error: What the task raised.
        retries: How often it was tried again already.
    """
    if not isinstance(error, ProviderKitError) or not error.retryable:
        return None
    said = getattr(error, "retry_after", None)
    seconds = float(said) if isinstance(said, (int, float)) else min(_FIRST * 2 ** min(retries, 20), _LONGEST)
    return seconds + random.uniform(0, max(1.0, seconds / 10))  # noqa: S311  # no secret depends on it
