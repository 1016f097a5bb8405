"""Whether to retry, and after how long. The engine carries it out; nothing here waits."""

from __future__ import annotations

import inspect
import math
import operator
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from typing import Any, Protocol

from attrs import Attribute, field, frozen

from provider_kit.errors import ConfigError, ProviderKitError
from provider_kit.model.arguments import explained
from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.policies.failure_rules import may_repeat

__all__ = ["PRESETS", "Backoff", "RetryPolicy", "ask", "full_jitter", "make_policy"]


class RetryPolicy(Protocol):
    """Protocol of a custom policy: any function with this signature."""

    def __call__(self, error: ProviderKitError, attempt: int, /) -> float | None:
        """Seconds to wait before the next attempt, or ``None`` to give up.

        Args:
            error: What went wrong; see ``error.retryable`` and ``error.retry_after``.
            attempt: Number of the attempt that failed, 1 for the first. Switches to another key, which need no wait,
                are not counted.
        """
        ...


def full_jitter(value: float) -> float:
    """A number between 0 and ``value``, so that clients that failed together do not retry together."""
    import backoff  # at the first failure, not at import

    return backoff.full_jitter(value)


def exponential(count: int, base: float, factor: float, cap: float) -> float:
    """The ``count``-th wait of an exponential series, 1 for the first."""
    import backoff

    series = backoff.expo(base=factor, factor=base, max_value=cap)
    next(series)  # the first value of a backoff generator is None
    return float(next(islice(series, min(count, 200) - 1, None)))


def _number(value: Any) -> Any:
    """Convert numbers of other libraries (Decimal, NumPy) to float; return anything else unchanged."""
    if isinstance(value, (int, float, str, bytes)):
        return value
    with suppress(TypeError, ValueError, OverflowError):
        return float(value)
    return value


def _whole(value: Any) -> Any:
    with suppress(TypeError):
        return value if isinstance(value, bool) else operator.index(value)
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _tries(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ConfigError(f"max_retries must be a whole number of 0 or more, not {value!r}.", hint="0 tries only once.")


def _not_negative(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if not _is_number(value) or not value >= 0:
        raise ConfigError(f"{attribute.name} must be a number of 0 or more, not {value!r}.", hint="It is in seconds.")


def _growth(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if not _is_number(value) or not 1 <= value < math.inf:
        raise ConfigError(f"factor must be a number of 1 or more, not {value!r}.", hint="2 doubles each wait.")


def _function(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if not callable(value):
        raise ConfigError(f"jitter must be a function, not {value!r}.", hint="It takes seconds and returns seconds.")


@explained("Backoff(max_retries=3)")
@frozen
class Backoff:
    """Exponential backoff with full jitter; a wait requested by the provider takes precedence.

    An error is retried only if its ``retryable`` is true. If the provider asks for a longer wait than ``longest``, the
    call is not retried.

    The presets are :meth:`none`, :meth:`default`, :meth:`aggressive` and :meth:`conservative`; a client
    takes their names too: ``Client(…, retry="conservative")``.
    """

    #: Attempts after the first one.
    max_retries: int = field(default=3, converter=_whole, validator=_tries)
    #: Seconds the first wait may last at most.
    base: float = field(default=0.5, converter=_number, validator=_not_negative)
    #: Seconds any computed wait may last at most.
    cap: float = field(default=60.0, converter=_number, validator=_not_negative)
    #: Seconds a provider may ask for.
    longest: float = field(default=120.0, converter=_number, validator=_not_negative)
    #: Spreads a wait: takes seconds, returns seconds.
    jitter: Callable[[float], float] = field(default=full_jitter, validator=_function)
    #: How much longer each wait may be than the one before.
    factor: float = field(default=2.0, converter=_number, validator=_growth)

    def __call__(self, error: ProviderKitError, attempt: int, /) -> float | None:
        """Seconds to wait, or ``None``."""
        if attempt > self.max_retries or not may_repeat(error):
            return None
        asked: float | None = getattr(error, "retry_after", None)
        if asked is not None:
            return asked if asked <= self.longest else None
        return self.jitter(exponential(attempt, self.base, self.factor, self.cap))

    @classmethod
    def none(cls) -> Backoff:
        """Never retry."""
        return cls(0)

    @classmethod
    def default(cls) -> Backoff:
        """Three retries, half a second and doubling."""
        return cls()

    @classmethod
    def aggressive(cls) -> Backoff:
        """Five retries with short waits, for interactive use."""
        return cls(5, base=0.5, cap=10.0, factor=1.5)

    @classmethod
    def conservative(cls) -> Backoff:
        """Two retries with long waits, for batch work."""
        return cls(2, base=2.0, cap=60.0, factor=3.0)


PRESETS: dict[str, Callable[[], Backoff]] = {
    "none": Backoff.none,
    "default": Backoff.default,
    "aggressive": Backoff.aggressive,
    "conservative": Backoff.conservative,
}


def make_policy(given: Any, max_retries: int) -> RetryPolicy:
    """The policy of a client: a function, the name of a preset, or the default with a number of retries.

    Raises:
        ConfigError: It is none of these.
    """
    if given is None:
        return Backoff(max_retries)
    if isinstance(given, str):
        if given not in PRESETS:
            raise ConfigError(
                f"retry {given!r} is not a preset.",
                hint=f"{did_you_mean(given, PRESETS)}There are: {', '.join(PRESETS)}.",
            )
        return PRESETS[given]()
    if not callable(given):
        raise ConfigError(f"retry must be a function or a preset's name, not {given!r}.", hint="retry='conservative'.")
    if isinstance(given, type):
        raise ConfigError(f"retry is the class {given.__name__}, not an instance of it.", hint="retry=Backoff(3).")
    if not _takes_two(given):
        raise ConfigError(
            "retry must be a plain function of two arguments.",
            hint="def policy(error, attempt): return seconds to wait, or None to give up.",
        )
    return given  # type: ignore[no-any-return]  # a function of the protocol's shape


def _takes_two(function: Callable[..., Any]) -> bool:
    """Whether it is a plain function of an error and a number, as far as its signature shows."""
    try:
        if inspect.iscoroutinefunction(function):
            return False
        signature = inspect.signature(function, follow_wrapped=False)
    except (TypeError, ValueError):  # written in C, or a mock: no signature
        return True
    try:
        signature.bind(None, 1)
    except TypeError:
        return False
    return True


def ask(policy: RetryPolicy, error: ProviderKitError, attempt: int) -> float | None:
    """Call a policy and check its answer.

    Raises:
        ConfigError: A custom policy returned something other than seconds or ``None``.
    """
    wait: float | None = policy(error, attempt)
    if wait is None or (type(wait) is float and 0 <= wait < math.inf):
        return wait
    wait = _number(wait)
    if _is_number(wait) and 0 <= wait < math.inf:
        return wait
    raise ConfigError(
        f"The retry policy returned {wait!r} for a {type(error).__name__}: {error.message}",
        hint="It returns seconds to wait, or None to give up.",
    ) from error
