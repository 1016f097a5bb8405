"""What a router knows of its targets. Plain state behind a lock that is held for a few lines; the time is an argument.

A target that failed cools down. When it returns, one call at a time is let through, then two, four and so on, until it
takes its share again after some twenty calls.
"""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable, Sequence

from attrs import define, field

from provider_kit.model.config import CircuitBreakerConfig
from provider_kit.policies.after_fork import renew_after_fork
from provider_kit.policies.circuit_breaker import CircuitBreaker, Trial
from provider_kit.policies.routing.histogram import LatencyHistogram

__all__ = ["RouteRequest", "RouterState", "TargetState"]

#: The generation of a trial that no circuit let through.
_FORCED = -1

#: Seconds within which a first-token time loses most of its weight: a slow target is tried again after a while.
DECAY = 10.0
#: Weight of the latest call in the share of failures.
_ERROR_WEIGHT = 0.1
#: Failures in a row at which a target counts as broken, however many calls it answered before.
_IN_A_ROW = 5
#: Calls in flight at which a returning target counts as returned.
_RETURNED = 16
#: Seconds in which what is usual for a target may double, and the number of first calls that tell it.
_USUAL = 600.0
_FIRST = 30
#: By how much one call moves the median.
_STEP = 1.15
#: Seconds assumed for a target that was never asked and is being asked now.
_UNKNOWN = 1.0


@define(eq=False)
class TargetState:
    """What is known of one target."""

    name: str
    #: Its share among targets of the same priority; 0: only when nothing else is left.
    weight: float = 1.0
    #: Its level; a higher number is asked only if no target of a lower one can answer.
    priority: int = 0
    #: Its number in the router.
    index: int = 0
    #: US dollars per token of input and output; ``None`` if unknown.
    prices: tuple[float, float] | None = None
    #: Share of its quota that is left, as its headers tell.
    headroom: float = 1.0
    in_flight: int = 0
    requests: int = 0
    failures: int = 0
    #: Failures since its last answer.
    in_a_row: int = 0
    #: Smoothed seconds to the first token, quick to rise and slow to fall; 0 if unknown.
    first_token: float = 0.0
    #: When that was last measured, on the clock.
    measured: float = -math.inf
    #: The median of its usual first-token times, which takes ten minutes to double, and that of the latest calls.
    usual: float = 0.0
    typical: float = 0.0
    #: How many times were measured.
    measures: int = 0
    #: Smoothed share of failures.
    errors: float = 0.0
    #: Time on the clock until which it cools down, since when, and why.
    until: float = -math.inf
    since: float = -math.inf
    reason: str = ""
    #: Whether that time is an estimate, and was not named by the provider.
    is_estimate: bool = True
    #: While it returns: calls that may be in flight; 0: any number.
    ramp: int = 0
    histogram: LatencyHistogram | None = None
    breaker: CircuitBreaker = field(factory=CircuitBreaker, repr=False)
    #: Of races: those it took part in, and those it won.
    races: int = 0
    wins: int = 0

    @property
    def is_known(self) -> bool:
        """Whether it was measured often enough to know what is usual for it."""
        return self.measures > _FIRST

    def ready(self, now: float) -> bool:
        """Whether it may be asked now."""
        return self.until <= now and (not self.ramp or self.in_flight < self.ramp)

    def load(self, now: float) -> float:
        """Its expected first-token time, by its latest ones, its calls in flight and its failures (peak EWMA)."""
        first = self.first_token
        if first:
            first *= math.exp((self.measured - now) / DECAY)
        elif self.in_flight:
            first = _UNKNOWN
        return first * (self.in_flight + 1) * (1.0 + 4.0 * self.errors)

    def measure(self, seconds: float, now: float) -> None:
        """Note a first-token time."""
        passed = now - self.measured
        if seconds >= self.first_token:
            self.first_token = seconds
        else:
            weight = math.exp(-passed / DECAY)
            self.first_token = self.first_token * weight + seconds * (1.0 - weight)
        if self.histogram is not None:
            self._compare(seconds, passed)
        if passed > 0:
            self.measured = now

    def _compare(self, seconds: float, passed: float) -> None:
        """Note a time for what is usual, which only hedges ask."""
        typical = self.typical
        self.typical = typical = seconds if not typical else typical * _STEP if seconds > typical else typical / _STEP
        self.measures += 1
        if self.measures <= _FIRST:
            self.usual = typical
        elif passed > 0:
            step = 2.0 ** (min(passed, _USUAL) / _USUAL)
            self.usual *= step if seconds > self.usual else 1.0 / step

    def cool(self, seconds: float, reason: str, now: float, is_estimate: bool = True) -> bool:
        """Keep it out for some seconds; return whether that is news."""
        until = now + seconds
        if until <= self.until:
            return False
        if self.until <= now:
            self.since = now
        self.until, self.reason, self.is_estimate, self.ramp = until, reason, is_estimate, 1
        return True


@define(eq=False)
class RouteRequest:
    """What a strategy may know of a call."""

    operation: str = "chat"
    #: The model that was asked for: the name of the router, an alias, or a model of a target.
    model: str = ""
    #: Calls with the same key stay with the same target.
    key: str | None = None
    #: Estimated tokens of the input, and those the answer may have.
    input_tokens: float = 0.0
    output_tokens: float = 0.0
    streamed: bool = False


class RouterState:
    """The state of all targets of one router.

    Args:
        targets: The states of its targets.
        circuit: When a target counts as broken; ``None``: never.
        seed: For choices that can be repeated.
    """

    def __init__(
        self, targets: Sequence[TargetState], circuit: CircuitBreakerConfig | None = None, seed: int | None = None
    ) -> None:
        self.targets = list(targets)
        self.counts_failures = circuit is not None
        for index, target in enumerate(self.targets):
            target.index = index
            target.breaker = CircuitBreaker(circuit)
        #: Levels by priority, and the targets without weight.
        weighty = [target for target in self.targets if target.weight > 0]
        self.levels = [
            [target for target in weighty if target.priority == level]
            for level in sorted({target.priority for target in weighty})
        ]
        self.weightless = [target for target in self.targets if target.weight <= 0]
        self._random = random.Random(seed)  # noqa: S311  # no secret
        #: Returns a number from 0 to 1.
        self.random = self._random.random
        #: Counts the calls, for the strategy ``round_robin``.
        self.turn = 0
        self._lock = threading.RLock()
        renew_after_fork(self)

    def _after_fork(self) -> None:
        self._lock = threading.RLock()
        self._random.seed()
        for target in self.targets:
            target.in_flight = 0

    def next_turn(self) -> int:
        """The number of a call."""
        with self._lock:
            self.turn += 1
            return self.turn - 1

    def unused_choices(self) -> tuple[Callable[[], float], Callable[[], int]]:
        """Chance and the number of the next call, as they will be, without using them up."""
        chance = random.Random()  # noqa: S311  # no secret
        chance.setstate(self._random.getstate())
        return chance.random, lambda: self.turn

    # -------------------------------------------------------------------------------------------- attempts

    def begin(self, target: TargetState, now: float) -> Trial:
        """A target is asked; the last candidate also if its circuit is open."""
        breaker = target.breaker
        trial = breaker.trial_if_closed()
        if trial is None:
            wait, trial, _ = breaker.admit(now)
            if wait > 0:
                trial = Trial(_FORCED)
        with self._lock:
            target.in_flight += 1
            target.requests += 1
        return trial

    def first_token(
        self, target: TargetState, seconds: float, now: float, streamed: bool = False, size: int = 0
    ) -> None:
        """A target has begun to answer."""
        with self._lock:
            target.measure(seconds, now)
            if target.histogram is not None:
                target.histogram.add(seconds, streamed, size)

    def answered(
        self,
        target: TargetState,
        trial: Trial,
        now: float,
        seconds: float | None = None,
        streamed: bool = False,
        size: int = 0,
    ) -> bool:
        """A target has answered; return whether its circuit has closed with that, or its return is complete.

        Args:
            target: The target.
            trial: What :meth:`begin` returned.
            now: The clock.
            seconds: Its first-token time, if it was not noted before.
            streamed: Whether the answer was streamed.
            size: The class of the prompt's size.
        """
        if trial.generation == _FORCED and target.until > now:  # it answers, although it was not expected to
            target.breaker.merge_shared("closed", now, now)
            target.until = now
        changed = target.breaker.record(trial, True, now) if self.counts_failures else None
        with self._lock:
            target.in_flight -= 1
            target.in_a_row = 0
            if seconds is not None:
                target.measure(seconds, now)
                if target.histogram is not None:
                    target.histogram.add(seconds, streamed, size)
            if target.errors:
                target.errors -= target.errors * _ERROR_WEIGHT
            back = False
            if target.ramp:
                target.ramp *= 2
                if target.ramp >= _RETURNED:
                    target.ramp, target.reason, back = 0, "", True
        return changed == "closed" or back

    def failed(self, target: TargetState, trial: Trial, now: float, *, counts: bool) -> float:
        """A target has failed; return the seconds for which its circuit is open now, if this opened it.

        Args:
            target: The target.
            trial: What :meth:`begin` returned.
            now: The clock.
            counts: Whether it is a failure of the provider.
        """
        ok = False if counts else None
        changed = target.breaker.record(trial, ok, now) if self.counts_failures else None
        with self._lock:
            target.in_flight -= 1
            if counts:
                target.failures += 1
                target.in_a_row += 1
                target.errors += (1.0 - target.errors) * _ERROR_WEIGHT
            if target.ramp > 1 and counts:
                target.ramp = 1
        breaker = target.breaker
        if self.counts_failures and target.in_a_row >= _IN_A_ROW and breaker.closed:
            changed = breaker.merge_shared("open", now + breaker.config.open_for, now)
        return breaker.config.open_for if changed == "open" else 0.0

    def left(self, target: TargetState, trial: Trial, now: float) -> None:
        """The outcome of an attempt stays unknown."""
        if self.counts_failures:
            target.breaker.record(trial, None, now)
        with self._lock:
            target.in_flight -= 1

    def cool(self, target: TargetState, seconds: float, reason: str, now: float, is_estimate: bool = True) -> bool:
        """Keep a target out for some seconds; return whether that is news."""
        with self._lock:
            return target.cool(seconds, reason, now, is_estimate)

    def back(self, target: TargetState, now: float) -> None:
        """A target answers again, as a check found; a time that its provider named stays."""
        with self._lock:
            if target.until > now and target.is_estimate:
                target.until = now
                target.breaker.merge_shared("closed", now, now)

    def earliest_return(self, targets: Sequence[TargetState], now: float) -> float:
        """Seconds until the first of them returns; 0 if one is ready."""
        return max(0.0, min((target.until for target in targets), default=now) - now)
