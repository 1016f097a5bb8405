"""Hedging: a second target is asked when the first one is late, as long as that helps and a budget allows it.

Late is what exceeds the target's own 95th percentile of first-token times for prompts of that size, and half as long
again as its median. Nothing is asked twice while many calls fail, or while every target is slow: then a second call
would only add to the load.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from attrs import field, frozen

from provider_kit.errors import ConfigError
from provider_kit.policies.routing.state import TargetState
from provider_kit.policies.routing.strategies import STRATEGIES, Strategy

__all__ = ["Hedge", "HedgeBudget", "hedge_delay"]

#: Times of a class of prompts that must be known before one is called late.
_FEWEST = 20
#: Beyond the percentile, a call must take so many times the median.
_MEDIANS = 1.5
#: A target is slow if it takes so many times its usual time.
_SLOW = 2.0
#: Shares of failures, and of late calls, among the latest ones, at which nothing is hedged.
_FAILING, _LATE = 0.2, 0.2
#: Weight of the latest call in these shares.
_WEIGHT = 0.05
#: Time counts are kept for a sliding window in so many parts.
_PARTS = 4


def _percentile(instance: object, attribute: object, value: object) -> None:
    if isinstance(value, str) and re.fullmatch(r"p\d{1,2}(\.\d+)?", value) and float(value[1:]) > 0:
        return
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < float("inf"):
        return
    raise ConfigError(
        f"Hedge(after=…) must be a percentile such as 'p95', or seconds, not {value!r}.", hint="Hedge(after='p95')."
    )


def _share(instance: object, attribute: object, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 1:
        raise ConfigError(
            f"Hedge(budget=…) is the share of further calls, above 0 and up to 1, not {value!r}.",
            hint="Hedge(budget=0.05) allows five further calls for a hundred.",
        )


def _seconds(instance: object, attribute: object, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise ConfigError(f"Hedge(window=…) must be seconds above 0, not {value!r}.")


def _losers(instance: object, attribute: object, value: object) -> None:
    if value not in ("cancel", "drain"):
        raise ConfigError(f"losers must be 'cancel' or 'drain', not {value!r}.")


def _order(instance: object, attribute: object, value: object) -> None:
    if not callable(value) and (not isinstance(value, str) or value not in STRATEGIES):
        raise ConfigError(f"Hedge(strategy=…) must be one of {', '.join(STRATEGIES)}, not {value!r}.")


@frozen(kw_only=True)
class Hedge:
    """The strategy of asking a second target when the first one is late; the answer that comes first is taken."""

    #: When a call is late: a percentile of the target's own first-token times for prompts of that size, or seconds.
    after: str | float = field(default="p95", validator=_percentile)
    #: The most further calls, as a share of all calls in the window.
    budget: float = field(default=0.05, validator=_share)
    #: Seconds of the sliding window of the budget.
    window: float = field(default=60.0, validator=_seconds)
    #: What happens to the answer that comes second: ``cancel`` closes its connection, so that its cost is unknown;
    #: ``drain`` reads it in the background for its usage, for 120 s and 32 MB at most.
    losers: Literal["cancel", "drain"] = field(default="cancel", validator=_losers)
    #: The order of the targets.
    strategy: str | Strategy = field(default="fallback", validator=_order)


def hedge_delay(hedge: Hedge, target: TargetState, streamed: bool, size: int) -> float | None:
    """Seconds after which a call to a target is late; ``None`` while too little is known of it."""
    after = hedge.after
    if not isinstance(after, str):
        return float(after)
    times = target.histogram
    if times is None or times.count(streamed, size) < _FEWEST:
        return None
    percentile = times.quantile(float(after[1:]) / 100, streamed, size)
    median = times.quantile(0.5, streamed, size)
    if percentile is None or median is None:
        return None
    return max(percentile, _MEDIANS * median)


def _all_slow(targets: Sequence[TargetState]) -> bool:
    """Whether every target takes much longer than usual; of one that is hardly known, than is usual for the others."""
    known = [target.usual for target in targets if target.is_known]
    if not known:
        return False
    return all(
        target.typical > _SLOW * (target.usual if target.is_known else max(known))
        for target in targets
        if target.measures
    )


class HedgeBudget:
    """Counts calls and hedges in a sliding window, and tells whether another hedge is allowed. Constant memory."""

    def __init__(self, hedge: Hedge) -> None:
        self._share = hedge.budget
        self._part = hedge.window / _PARTS
        #: Calls and hedges in each part of the window, the latest last.
        self._calls = [0] * _PARTS
        self._hedges = [0] * _PARTS
        self._begun: float | None = None
        #: Smoothed shares of late calls and of failures.
        self.late = 0.0
        self.failing = 0.0

    def _turn(self, now: float) -> None:
        if self._begun is None:
            self._begun = now
        steps = int((now - self._begun) / self._part)
        if steps <= 0:
            return
        self._begun += steps * self._part
        for counts in (self._calls, self._hedges):
            kept = counts[min(steps, _PARTS) :]
            counts[:] = kept + [0] * (_PARTS - len(kept))

    def called(self, now: float) -> None:
        """A call begins."""
        self._turn(now)
        self._calls[-1] += 1

    def was_late(self, late: bool) -> None:
        """Whether a call was late."""
        self.late += (late - self.late) * _WEIGHT

    def ended(self, failed: bool) -> None:
        """Whether an attempt has failed for a reason on the provider's side."""
        self.failing += (failed - self.failing) * _WEIGHT

    def refuses(self, targets: Sequence[TargetState], now: float) -> str | None:
        """Why no hedge is made now, ``None`` if one may be."""
        self._turn(now)
        if sum(self._hedges) + 1 > self._share * sum(self._calls):
            return "the budget is used up"
        if self.failing > _FAILING:
            return "too many calls fail"
        if self.late > _LATE:
            return "too many calls are late"
        return "every target is slow" if _all_slow(targets) else None

    def hedged(self, now: float) -> None:
        """A hedge is made."""
        self._turn(now)
        self._hedges[-1] += 1
