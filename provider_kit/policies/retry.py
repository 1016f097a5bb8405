"""Whether to try again, and after how long. The engine obeys; nothing here waits."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any, Protocol

from attrs import frozen

from provider_kit.errors import ConfigError, ProviderKitError
from provider_kit.model.arguments import explained
from provider_kit.model.nearest import nearest

__all__ = ["PRESETS", "Backoff", "RetryPolicy", "full_jitter", "make_policy"]


class RetryPolicy(Protocol):
    """A caller's own policy is any function of this shape."""

    def __call__(self, error: ProviderKitError, attempt: int, /) -> float | None:
        """Seconds to wait before the next attempt, or ``None`` to give up.

        Args:
            error: What went wrong; ``error.retryable`` and ``error.retry_after`` tell most.
            attempt: Number of the attempt that failed, 1 for the first. Changes to another key, which
                cost no wait, are not counted.
        """
        ...


def full_jitter(value: float) -> float:
    """A number between 0 and ``value``, so that clients that failed together do not come back together."""
    import backoff  # at the first failure, not at import

    return backoff.full_jitter(value)


def exponential(count: int, base: float, factor: float, cap: float) -> float:
    """The ``count``-th wait of an exponential series, 1 for the first."""
    import backoff

    series = backoff.expo(base=factor, factor=base, max_value=cap)
    next(series)  # a generator of backoff yields nothing of use before it is primed
    return float(next(islice(series, min(count, 200) - 1, None)))


@explained("Backoff(max_retries=3)")
@frozen
class Backoff:
    """Exponential backoff with full jitter; a provider's own wish goes before it.

    An error is tried again only if it says that may help. A wait the provider asks for that is longer
    than ``longest`` means that trying again now is pointless.

    The presets are :meth:`none`, :meth:`default`, :meth:`aggressive` and :meth:`conservative`; a client
    takes their names too: ``Client(…, retry="conservative")``.
    """

    #: Tries after the first one.
    max_retries: int = 3
    #: Seconds the first wait may last at most.
    base: float = 0.5
    #: Seconds any computed wait may last at most.
    cap: float = 60.0
    #: Seconds a provider may ask for.
    longest: float = 120.0
    #: Spreads a wait: takes seconds, returns seconds.
    jitter: Callable[[float], float] = full_jitter
    #: How much longer each wait may be than the one before.
    factor: float = 2.0

    def __call__(self, error: ProviderKitError, attempt: int, /) -> float | None:
        """Seconds to wait, or ``None``."""
        if attempt > self.max_retries or not error.retryable:
            return None
        asked: float | None = getattr(error, "retry_after", None)
        if asked is not None:
            return asked if asked <= self.longest else None
        return self.jitter(exponential(attempt, self.base, self.factor, self.cap))

    @classmethod
    def none(cls) -> Backoff:
        """Never try again."""
        return cls(0)

    @classmethod
    def default(cls) -> Backoff:
        """Three more tries, half a second and doubling."""
        return cls()

    @classmethod
    def aggressive(cls) -> Backoff:
        """Five more tries in short order, for a caller who cannot wait."""
        return cls(5, base=0.5, cap=10.0, factor=1.5)

    @classmethod
    def conservative(cls) -> Backoff:
        """Two more tries with long waits, for work that has time."""
        return cls(2, base=2.0, cap=60.0, factor=3.0)


PRESETS: dict[str, Callable[[], Backoff]] = {
    "none": Backoff.none,
    "default": Backoff.default,
    "aggressive": Backoff.aggressive,
    "conservative": Backoff.conservative,
}


def make_policy(given: Any, max_retries: int) -> RetryPolicy:
    """The policy a client was given: a function, a preset's name, or nothing but a number of retries.

    Raises:
        ConfigError: It is none of these.
    """
    if given is None:
        return Backoff(max_retries)
    if isinstance(given, str):
        if given not in PRESETS:
            raise ConfigError(
                f"retry {given!r} is no preset.", hint=f"{nearest(given, PRESETS)}There are: {', '.join(PRESETS)}."
            )
        return PRESETS[given]()
    if not callable(given):
        raise ConfigError(f"retry must be a function or a preset's name, not {given!r}.", hint="retry='conservative'.")
    return given  # type: ignore[no-any-return]  # a function of the protocol's shape
