"""Checks what a router is given."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

from provider_kit.errors import ConfigError, ProviderKitError
from provider_kit.model.config import CircuitBreakerConfig
from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.policies.routing.hedging import Hedge
from provider_kit.policies.routing.racing import Race
from provider_kit.policies.routing.state import RouteRequest, TargetState
from provider_kit.policies.routing.strategies import STRATEGIES, Choices

__all__ = ["check_strategy", "checked_strategy", "circuit_of", "rate_of", "sticky_of", "wait_of"]

#: Strategies that spread calls, so that a conversation would wander from target to target.
_SPREADING = ("round_robin", "weighted", "random", "least_busy", "latency", "headroom")


def check_strategy(strategy: Any) -> None:
    """Check a strategy.

    Raises:
        ConfigError: There is no such strategy.
    """
    if isinstance(strategy, (Hedge, Race)):
        return
    if callable(strategy) and not isinstance(strategy, type):
        if inspect.iscoroutinefunction(strategy):
            raise ConfigError("A strategy waits for nothing.", hint="Write def, not async def: it only orders targets.")
        return
    if not isinstance(strategy, str) or strategy not in STRATEGIES:
        shown = strategy.__name__ if isinstance(strategy, type) else repr(strategy)
        names = (*STRATEGIES, "Hedge()", "Race()")
        raise ConfigError(
            f"There is no strategy {shown}.",
            hint=f"{did_you_mean(strategy, STRATEGIES) if isinstance(strategy, str) else ''}"
            f"There are {', '.join(names)}, or a function of yours.",
        )


def circuit_of(given: Any) -> CircuitBreakerConfig | None:
    """When a target counts as broken; ``None``: never."""
    if isinstance(given, CircuitBreakerConfig):
        return given
    if not isinstance(given, bool):
        raise ConfigError(
            f"circuit_breaker of a router must be True, False or a CircuitBreakerConfig, not {given!r}.",
            hint="Each target has a circuit breaker of its own.",
        )
    return CircuitBreakerConfig() if given else None


def wait_of(given: Any) -> float:
    """Seconds to wait for a target to return."""
    if isinstance(given, bool):
        return math.inf if given else 0.0
    if not isinstance(given, (int, float)) or not given >= 0:
        raise ConfigError(f"wait must be seconds, True or False, not {given!r}.", hint="Router(…, wait=30).")
    return float(given)


def rate_of(given: Any) -> float | None:
    """The fewest characters per second of a stream."""
    if given is not None and (
        isinstance(given, bool) or not isinstance(given, (int, float)) or not 0 < given < math.inf
    ):
        raise ConfigError(f"min_rate must be characters per second, not {given!r}.", hint="Router(…, min_rate=20).")
    return given


def sticky_of(given: Any, strategy: Any) -> Callable[[Any], str | None] | None:
    """The function from a request to its key; ``None`` for none."""
    if given is None:
        given = strategy in _SPREADING if isinstance(strategy, str) else False
    if callable(given):
        return _checked_key(given)
    if given is True:
        return _cache_key
    if given == "user":
        return _user
    if given is False:
        return None
    raise ConfigError(
        f"sticky must be True, False, 'user' or a function of the request, not {given!r}.",
        hint="Router(…, sticky='user').",
    )


def _checked_key(function: Callable[[Any], Any]) -> Callable[[Any], str | None]:
    """The user's function of a request, with clear errors."""
    name = getattr(function, "__qualname__", type(function).__name__)
    hint = "It is called with the request; return a text, or None for no key."

    def key_of(request: Any) -> str | None:
        try:
            found = function(request)
        except ProviderKitError:
            raise
        except Exception as error:  # a function of the user's may raise anything
            raise ConfigError(f"sticky: {name} failed: {type(error).__name__}: {error}.", hint=hint) from error
        if found is not None and not isinstance(found, str):
            raise ConfigError(f"sticky: {name} returned {type(found).__name__}, not a text.", hint=hint)
        return found

    return key_of


def checked_strategy(strategy: Any) -> Any:
    """A strategy of the user's, with clear errors; any other one as it is."""
    if not callable(strategy) or strategy in STRATEGIES.values():
        return strategy
    name = getattr(strategy, "__name__", type(strategy).__name__)
    hint = "It is called with the time, the request and the choices; return those of state.targets, the best first."

    def choose(now: float, request: RouteRequest, state: Choices) -> list[TargetState]:
        try:
            found = list(strategy(now, request, state))
        except ProviderKitError:
            raise
        except Exception as error:  # a function of the user's may raise anything
            raise ConfigError(f"The strategy {name} failed: {type(error).__name__}: {error}.", hint=hint) from error
        for one in found:
            if not any(one is target for target in state.targets):
                raise ConfigError(f"The strategy {name} returned {one!r}, which is none of its targets.", hint=hint)
        return found

    choose.__name__ = name
    return choose


def _cache_key(request: Any) -> str | None:
    key: str | None = request.cache_key
    return key


def _user(request: Any) -> str | None:
    user: str | None = request.user
    return user
