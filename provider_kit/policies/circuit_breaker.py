"""A circuit breaker: after repeated failures calls to a provider are refused for a while, then a few are tried.

Closed, it counts the calls of a window. When enough of them failed it opens and refuses calls. Some time
later it is half open and lets a few through: if all of them succeed it closes, the first failure opens it
again. Plain state behind a lock; the current time is an argument.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from attrs import define, field, frozen

from provider_kit.errors import ConfigError
from provider_kit.model.arguments import explained
from provider_kit.model.config import CircuitBreakerConfig
from provider_kit.policies.after_fork import renew_after_fork

__all__ = ["CircuitBreaker", "CircuitState", "CircuitStatus", "Trial"]

CircuitState: TypeAlias = Literal["closed", "open", "half_open"]

_LOG = logging.getLogger("provider_kit.routing")


@frozen
class CircuitStatus:
    """The state of a circuit breaker at one time."""

    state: CircuitState
    #: Calls counted in the current window.
    requests: int
    #: Those that failed.
    failures: int
    #: Seconds until calls are let through again; 0 unless it is open.
    opens_in: float


@define(eq=False)
class Trial:
    """A call that was let through. A trial of a half-open circuit is returned when its holder is garbage-collected."""

    #: Number of the state it began in; outcomes of an earlier state are ignored.
    generation: int
    #: Whether its outcome is known.
    recorded: bool = False
    _watch: Any = field(default=None, repr=False)


@explained("CircuitBreaker(CircuitBreakerConfig(min_requests=5))")
class CircuitBreaker:
    """The breaker of one provider at one base URL. Give the same object to several clients to share it.

    Args:
        config: Thresholds and durations.
        on_change: Called as ``on_change(old, new)`` after each change of state, outside the lock. If it
            raises, that is logged.

    Raises:
        ConfigError: An argument is invalid.
    """

    def __init__(
        self,
        config: CircuitBreakerConfig | None = None,
        *,
        on_change: Callable[[CircuitState, CircuitState], object] | None = None,
    ) -> None:
        if config is not None and not isinstance(config, CircuitBreakerConfig):
            raise ConfigError(
                f"The config of a circuit breaker must not be {type(config).__name__}.",
                hint="CircuitBreaker(CircuitBreakerConfig(open_for=30)).",
            )
        if on_change is not None and not callable(on_change):
            raise ConfigError(
                f"on_change must be a function, not {on_change!r}.", hint="on_change=lambda old, new: print(old, new)."
            )
        self.config = config or CircuitBreakerConfig()
        self._on_change = on_change
        self._lock = threading.RLock()
        renew_after_fork(self)
        self._state: CircuitState = "closed"
        #: Counts the changes of state; outcomes of an earlier state are ignored.
        self._generation = 0
        #: The trial of every call in a state that counts no trials.
        self._common = Trial(0)
        self._requests = 0
        self._failures = 0
        self._until = 0.0
        self._trying = 0
        self._good = 0

    def _after_fork(self) -> None:
        self._lock = threading.RLock()
        self._trying = 0

    @property
    def closed(self) -> bool:
        """Whether the circuit is closed now."""
        return self._state == "closed"

    def trial_if_closed(self) -> Trial | None:
        """As :meth:`admit` while the circuit is closed, at a fraction of the cost; else ``None``."""
        return self._common if self._state == "closed" else None

    def status(self, now: float) -> CircuitStatus:
        """The present state and counts."""
        with self._lock:
            state: CircuitState = self._state
            if state == "open" and now >= self._until:
                state = "half_open"
            wait = max(0.0, self._until - now) if state == "open" else 0.0
            return CircuitStatus(state, self._requests, self._failures, wait)

    def blocked(self, now: float) -> float:
        """Seconds until a call may be made; 0 if it may be made now. Does not change the state."""
        if self._state == "closed":
            return 0.0
        with self._lock:
            if self._state == "half_open" and self._trying + self._good < self.config.half_open_requests:
                return 0.0
            return max(0.0, self._until - now)

    def admit(self, now: float) -> tuple[float, Trial, CircuitState | None]:
        """Ask for permission to make a call.

        Returns:
            Seconds to wait (0: proceed), the trial to report its outcome with, and the new state, if it changed.
        """
        change: tuple[CircuitState, CircuitState] | None = None
        with self._lock:
            if self._state == "open":
                if now < self._until:
                    return self._until - now, self._common, None
                change = self._become("half_open", now)
            if self._state == "half_open":
                if self._trying + self._good >= self.config.half_open_requests:
                    if now < self._until:
                        return self._until - now, self._common, None
                    # The trials did not report back in time; their outcomes are ignored.
                    self._next_generation()
                    self._trying, self._until = 0, now + self.config.open_for
                trial = Trial(self._generation)
                # Created before it is counted: an interrupt in between must not use up a trial.
                trial._watch = weakref.finalize(trial, self._lost, self._generation)
                trial._watch.atexit = False
                self._trying += 1
            else:
                trial = self._common
        if change is None:
            return 0.0, trial, None
        self._tell(*change)
        return 0.0, trial, change[1]

    def record(self, trial: Trial, ok: bool | None, now: float) -> CircuitState | None:
        """Record the outcome of an admitted call.

        Args:
            trial: The trial that :meth:`admit` returned; recording it again has no effect.
            ok: Whether the call counts as a success of the provider; ``None`` if that is unknown.
            now: The clock.

        Returns:
            The state it changed to, ``None`` if it did not change.
        """
        change: tuple[CircuitState, CircuitState] | None = None
        with self._lock:
            if trial.generation != self._generation or trial.recorded:
                return None
            if self._state == "half_open":
                trial.recorded = True
                trial._watch.detach()
                self._trying -= 1
                if ok:
                    self._good += 1
                    if self._good >= self.config.half_open_requests:
                        change = self._become("closed", now)
                elif ok is False:
                    change = self._become("open", now)
            elif ok is not None:
                if now >= self._until:  # a new window; calls in flight count in it
                    self._requests = self._failures = 0
                    self._until = now + self.config.window
                self._requests += 1
                self._failures += not ok
                if (
                    not ok
                    and self._requests >= self.config.min_requests
                    and self._failures / self._requests >= self.config.failure_ratio
                ):
                    change = self._become("open", now)
        if change is None:
            return None
        self._tell(*change)
        return change[1]

    def merge_shared(self, state: CircuitState, until: float, now: float) -> CircuitState | None:
        """Adopt the state another process found; return the new state if it changed."""
        with self._lock:
            if state == self._state:
                self._until = max(self._until, until) if state == "open" else self._until
                return None
            change = self._become(state, now)
            if state == "open":
                self._until = until
        self._tell(*change)
        return state

    def _lost(self, generation: int) -> None:
        """A trial was garbage-collected without an outcome."""
        with self._lock:
            if generation == self._generation and self._state == "half_open":
                self._trying = max(0, self._trying - 1)

    def _next_generation(self) -> None:
        self._generation += 1
        self._common = Trial(self._generation)

    def _become(self, state: CircuitState, now: float) -> tuple[CircuitState, CircuitState]:
        old, self._state = self._state, state
        self._next_generation()
        self._requests = self._failures = self._trying = self._good = 0
        self._until = now + (self.config.open_for if state != "closed" else self.config.window)
        return old, state

    def _tell(self, old: CircuitState, new: CircuitState) -> None:
        if self._on_change is not None and old != new:
            try:
                self._on_change(old, new)
            except Exception:
                _LOG.exception("on_change failed on %s -> %s; the call continues.", old, new)
