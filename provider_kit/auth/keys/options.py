"""Checks the options of a pool of keys, before a wrong one takes the place of an error of a call."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from provider_kit.errors import ConfigError
from provider_kit.model.did_you_mean import did_you_mean

__all__ = ["KeyStrategy", "check_count", "check_strategy", "check_wait"]

#: The order in which keys are used: round robin, random, weighted random, or round robin without regard to their
#: health.
KeyStrategy: TypeAlias = Literal["round_robin", "random", "weighted", "simple"]
_STRATEGIES = ("round_robin", "random", "weighted", "simple")


def check_strategy(strategy: str) -> str:
    """Return the strategy.

    Raises:
        ConfigError: It is not known.
    """
    if strategy not in _STRATEGIES:
        raise ConfigError(
            f"Key strategy {strategy!r} is not known.",
            hint=f"{did_you_mean(str(strategy), _STRATEGIES)}There are: {', '.join(_STRATEGIES)}.",
        )
    return strategy


def check_count(**counts: Any) -> None:
    """Check whole numbers from 1 on, by their names.

    Raises:
        ConfigError: One is none.
    """
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise ConfigError(f"{name} must be a whole number from 1 on, not {count!r}.")


def check_wait(**waits: Any) -> None:
    """Check numbers of seconds, 0 included, by their names.

    Raises:
        ConfigError: One is none.
    """
    for name, seconds in waits.items():
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds >= 0:
            raise ConfigError(f"{name} must be a number of seconds, not {seconds!r}.")
