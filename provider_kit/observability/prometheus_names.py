"""The names of the metrics for Prometheus, their labels, and what ships with them: a dashboard and alert rules."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from importlib import resources
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

from provider_kit.errors import ConfigError, ProviderKitError
from provider_kit.model.events import (
    CircuitClosed,
    CircuitHalfOpened,
    CircuitOpened,
    Event,
    KeyCooling,
    KeyDead,
    KeyParked,
    KeySwitched,
    KeyWait,
    TokenRefreshed,
    TokenRefreshFailed,
)
from provider_kit.observability.labels import OTHER_NAME

if TYPE_CHECKING:
    pass


__all__ = [
    "BUDGET_UNITS",
    "CIRCUIT_STATES",
    "COUNTERS",
    "DOMAINS",
    "DURATION_BUCKETS",
    "ERROR_CLASSES",
    "GAUGES",
    "HISTOGRAMS",
    "INACCURACY",
    "INACCURATE_SHARE",
    "KEY_EVENTS",
    "MOST_BUDGETS",
    "MOST_KEYS",
    "MOST_OPEN",
    "MOST_PROVIDERS",
    "MOST_WAITING",
    "OVERHEAD_BUCKETS",
    "PREFIX",
    "TOKEN_TYPES",
    "WAIT_BUCKETS",
    "alert_rules",
    "checked_bounds",
    "dashboard",
    "reason_of",
]

PREFIX = "ai_provider_"
#: Names of providers (targets and routers included), keys and budgets that are told apart.
MOST_PROVIDERS, MOST_KEYS, MOST_BUDGETS = 100, 100, 100
#: Events that are counted together.
MOST_WAITING = 64
#: Hedges and refused keys that are remembered until their call ends.
MOST_OPEN = 1000
#: What of a wait, beyond the pauses between attempts, is their inaccuracy: seconds, and a share of the pauses.
INACCURACY, INACCURATE_SHARE = 0.02, 0.05

DURATION_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)
OVERHEAD_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5)
WAIT_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)

COUNTERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "requests_total": ("Calls that have ended, by how they did.", ("provider", "status")),
    "router_requests_total": ("Calls of a router that have ended, by how they did.", ("router", "status")),
    "tokens_total": ("Tokens used. The types do not overlap.", ("provider", "model", "type")),
    "cost_usd_total": ("US dollars spent, as far as prices are known.", ("provider", "model")),
    "errors_total": ("Calls that failed, by whose fault it was.", ("provider", "error_type", "domain")),
    "attempts_total": ("Requests sent, by their success or the class of their error.", ("provider", "reason")),
    "retries_total": ("Requests sent again, by the class of the error before.", ("provider", "reason")),
    "fallbacks_total": ("Times a router went on to another target, and why.", ("from", "to", "reason")),
    "hedges_total": ("Times a router asked a second target beside a late one.", ("router", "won")),
    "cache_hits_total": ("Calls that the response cache has answered.", ("provider",)),
    "key_rotation_events_total": ("What happened to keys and tokens.", ("provider", "event")),
}
HISTOGRAMS = {
    "request_duration_seconds": "Duration of calls, without those that the response cache has answered.",
    "time_to_first_token_seconds": "Time to the first content of streams.",
    "overhead_seconds": "Time a call spent in this library: neither with the provider nor waiting.",
    "limiter_wait_seconds": "Time calls waited for a limit or a key, of those that did.",
}
#: Gauges, each with how processes are combined: a process that has ended counts no more.
GAUGES: dict[str, tuple[str, tuple[str, ...], str]] = {
    "circuit_state": ("Circuit breaker: 0 closed, 1 half open, 2 open.", ("provider",), "livemax"),
    "key_up": ("1 if a key works, 0 if it was refused or its quota is used up.", ("provider", "key_hash"), "livemin"),
    "budget_remaining": ("What is left of a budget.", ("budget", "unit"), "livemostrecent"),
}

TOKEN_TYPES = ("input", "output", "cache_read", "cache_write", "reasoning")
CIRCUIT_STATES: dict[type[Event], int] = {CircuitClosed: 0, CircuitHalfOpened: 1, CircuitOpened: 2}
KEY_EVENTS = frozenset({KeySwitched, KeyDead, KeyParked, KeyCooling, KeyWait, TokenRefreshed, TokenRefreshFailed})
DOMAINS = ("caller", "policy", "provider", "own")
#: What the remaining value of a budget is counted in.
BUDGET_UNITS = ("usd", "tokens", "requests")


def _names_of(kind: type[ProviderKitError]) -> Iterator[str]:
    if kind.__module__ == ProviderKitError.__module__:
        yield kind.__name__
    for one in kind.__subclasses__():
        yield from _names_of(one)


#: The class of a failure may be anything a user has derived; only those of this library are labels.
ERROR_CLASSES = frozenset(_names_of(ProviderKitError))


def reason_of(error: str | None) -> str:
    """The class of an error as a label."""
    if error is None:
        return "success"
    return error if error in ERROR_CLASSES else OTHER_NAME


def checked_bounds(given: Sequence[float]) -> tuple[float, ...]:
    """The bounds of buckets, without the infinite one.

    Raises:
        ConfigError: They are not ascending.
    """
    try:
        bounds = tuple(float(one) for one in given)
    except (TypeError, ValueError):
        bounds = ()
    if bounds and bounds[-1] == math.inf:
        bounds = bounds[:-1]
    if not bounds or bounds[0] <= 0 or not all(one < more for one, more in pairwise((*bounds, math.inf))):
        raise ConfigError(
            f"duration_buckets must be ascending numbers of seconds, not {given!r}.",
            hint="duration_buckets=(0.1, 0.5, 1, 5, 30)",
        )
    return bounds


# ------------------------------------------------------------------------------------------------ files


def dashboard() -> dict[str, Any]:
    """A Grafana dashboard of these metrics, to be imported as JSON; it asks for its Prometheus data source."""
    return cast(dict[str, Any], json.loads(_file("grafana_dashboard.json")))


def alert_rules() -> str:
    """Alert rules for Prometheus, a YAML file for its ``rule_files``."""
    return _file("alert_rules.yml")


def _file(name: str) -> str:
    return resources.files("provider_kit.observability").joinpath(name).read_text("utf-8")
