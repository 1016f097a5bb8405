"""Metrics for Prometheus: a sink that counts calls in a registry of ``prometheus_client``, with a dashboard and alerts.

Counting takes no lock that a garbage collector could meet twice: the sink notes what happened, and adds it to the
metrics of the registry when they are collected. Nothing here opens a port; that is what ``prometheus_client`` is for.
The numbers of single credentials (``oauth_*``) are those of :meth:`OAuthKeyManager.export_metrics`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import sys
import threading
import weakref
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import resources
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, cast, final

from provider_kit.errors import ConfigError, MissingDependencyError, ProviderKitError
from provider_kit.model.call_events import CallEnded, RouterCallEnded
from provider_kit.model.chat import Attempt, ChatResponse
from provider_kit.model.events import (
    CircuitClosed,
    CircuitHalfOpened,
    CircuitOpened,
    Event,
    HedgeStarted,
    KeyCooling,
    KeyDead,
    KeyParked,
    KeySwitched,
    KeyWait,
    TokenRefreshed,
    TokenRefreshFailed,
)
from provider_kit.model.fault_domains import ERROR_TYPES, OTHER
from provider_kit.model.usage import Prices, Usage
from provider_kit.observability.call_series import CallSeries
from provider_kit.observability.labels import OTHER_NAME, BoundedNames
from provider_kit.policies.after_fork import renew_after_fork

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric

__all__ = ["BUDGET_UNITS", "PrometheusMetrics", "alert_rules", "dashboard"]

_LOG = logging.getLogger("provider_kit")
_PREFIX = "ai_provider_"
#: Names of providers (targets and routers included), keys and budgets that are told apart.
_MOST_PROVIDERS, _MOST_KEYS, _MOST_BUDGETS = 100, 100, 100
#: Events that are counted together.
_MOST_WAITING = 64
#: Hedges and refused keys that are remembered until their call ends.
_MOST_OPEN = 1000
#: What of a wait, beyond the pauses between attempts, is their inaccuracy: seconds, and a share of the pauses.
_INACCURACY, _INACCURATE_SHARE = 0.02, 0.05

_DURATION_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)
_OVERHEAD_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5)
_WAIT_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)

_COUNTERS: dict[str, tuple[str, tuple[str, ...]]] = {
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
_HISTOGRAMS = {
    "request_duration_seconds": "Duration of calls, without those that the response cache has answered.",
    "time_to_first_token_seconds": "Time to the first content of streams.",
    "overhead_seconds": "Time a call spent in this library: neither with the provider nor waiting.",
    "limiter_wait_seconds": "Time calls waited for a limit or a key, of those that did.",
}
#: Gauges, each with how processes are combined: a process that has ended counts no more.
_GAUGES: dict[str, tuple[str, tuple[str, ...], str]] = {
    "circuit_state": ("Circuit breaker: 0 closed, 1 half open, 2 open.", ("provider",), "livemax"),
    "key_up": ("1 if a key works, 0 if it was refused or its quota is used up.", ("provider", "key_hash"), "livemin"),
    "budget_remaining": ("What is left of a budget.", ("budget", "unit"), "livemostrecent"),
}

_TOKEN_TYPES = ("input", "output", "cache_read", "cache_write", "reasoning")
_CIRCUIT_STATES: dict[type[Event], int] = {CircuitClosed: 0, CircuitHalfOpened: 1, CircuitOpened: 2}
_KEY_EVENTS = frozenset({KeySwitched, KeyDead, KeyParked, KeyCooling, KeyWait, TokenRefreshed, TokenRefreshFailed})
_DOMAINS = ("caller", "policy", "provider", "own")
#: What the remaining value of a budget is counted in.
BUDGET_UNITS = ("usd", "tokens", "requests")

_Labels: TypeAlias = tuple[str, ...]
_Unread: TypeAlias = tuple[Usage | Callable[[], Usage], Prices, tuple[str | None, ...], float | None]
#: An answer that is still to be counted: provider, model, key, duration, waited, attempt, first content, tokens.
_Answer: TypeAlias = tuple[str, str | None, str | None, float, float, Attempt, float | None, _Unread]
#: Something else that is still to be counted: a function of a tally, and what else it is called with.
_Other: TypeAlias = tuple[Callable[..., None], tuple[Any, ...]]

_made: weakref.WeakKeyDictionary[CollectorRegistry, PrometheusMetrics] = weakref.WeakKeyDictionary()
_making = threading.RLock()


def _names_of(kind: type[ProviderKitError]) -> Iterator[str]:
    if kind.__module__ == ProviderKitError.__module__:
        yield kind.__name__
    for one in kind.__subclasses__():
        yield from _names_of(one)


#: The class of a failure may be anything a user has derived; only those of this library are labels.
_ERROR_CLASSES = frozenset(_names_of(ProviderKitError))


class _Turn:
    """A lock that is refused to a thread that holds it: the garbage collector may ask for it anywhere."""

    __slots__ = ("_held", "_lock")

    def __init__(self) -> None:
        self._lock, self._held = threading.RLock(), False

    def take(self, *, wait: bool) -> bool:
        """Whether it could be taken; ``wait`` for other threads, if need be."""
        if not self._lock.acquire(blocking=wait):
            return False
        if self._held:
            self._lock.release()
            return False
        self._held = True
        return True

    def give_back(self) -> None:
        self._held = False
        self._lock.release()


class _Times:
    """Durations since the last collection, by the buckets of a histogram."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds


class _ProviderTally:
    """What is counted of one provider for each call; the rest is in the counters of the tally."""

    __slots__ = ("answers", "durations", "first_tokens", "key", "overheads", "tries", "waits")

    def __init__(self, bounds: Sequence[float]) -> None:
        #: Answers of the first attempt, and attempts of other calls that succeeded.
        self.answers = self.tries = 0
        self.durations, self.first_tokens = _Times(bounds), _Times(bounds)
        self.overheads, self.waits = _Times(_OVERHEAD_BUCKETS), _Times(_WAIT_BUCKETS)
        #: The key of the latest answer.
        self.key: str | None = None


class _Tally:
    """Everything that happened since the last collection."""

    __slots__ = ("counts", "levels", "providers", "spent")

    def __init__(self) -> None:
        self.providers: dict[str, _ProviderTally] = {}
        #: Tokens by provider and model, for their price.
        self.spent: dict[tuple[str, str], CallSeries] = {}
        #: Counters and gauges by name and labels.
        self.counts: dict[tuple[str, _Labels], float] = {}
        self.levels: dict[tuple[str, _Labels], float] = {}

    def add(self, name: str, *labels: str, amount: float = 1) -> None:
        """Count something rare."""
        place = (name, labels)
        self.counts[place] = self.counts.get(place, 0) + amount


class _Collector:
    """What the registry asks: the metrics, once they are up to date."""

    def __init__(self, owner: PrometheusMetrics) -> None:
        self._owner = owner

    def describe(self) -> Iterator[Metric]:
        for one in self._owner._all.values():
            yield from one.describe()

    def collect(self) -> Iterator[Metric]:
        self._owner.flush()
        for one in self._owner._all.values():
            yield from one.collect()


@final
class PrometheusMetrics:
    """Counts the calls of clients and routers in a Prometheus registry.

    Give it to any number of them, as a plugin or as ``on_event``; a router passes it on to its targets. There is one
    for each registry: made again, it is the same object, so that no call counts twice, and the arguments of the first
    time stay. It works with ``PROMETHEUS_MULTIPROC_DIR`` as the documentation of ``prometheus_client`` describes.

    Every label has a bounded number of values. A key is named by its hash, never by itself.

    Args:
        registry: A ``prometheus_client.CollectorRegistry``; default: its ``REGISTRY``.
        most_models: How many models are told apart, the first that are used; the others are together under ``other``.
            0 leaves out the names of models.
        duration_buckets: Upper bounds, in seconds, of the buckets of durations and times to the first token.

    Raises:
        MissingDependencyError: ``prometheus_client`` is not installed.
        ConfigError: The buckets are not ascending, or the registry has other metrics of these names.

    Example:
        >>> from prometheus_client import CollectorRegistry
        >>> from provider_kit import Client
        >>> registry = CollectorRegistry()
        >>> client = Client("demo/echo", plugins=[PrometheusMetrics(registry)])
        >>> reply = client.chat("Hello")
        >>> registry.get_sample_value("ai_provider_requests_total", {"provider": "demo", "status": "success"})
        1.0
    """

    wanted_events: ClassVar[frozenset[type[Event]]] = frozenset(
        {CallEnded, RouterCallEnded, HedgeStarted, *_CIRCUIT_STATES, *_KEY_EVENTS}
    )
    follows_targets: ClassVar[bool] = True

    def __new__(
        cls,
        registry: CollectorRegistry | None = None,
        *,
        most_models: int = 100,
        duration_buckets: Sequence[float] = _DURATION_BUCKETS,
    ) -> PrometheusMetrics:
        """The sink of a registry."""
        try:
            import prometheus_client
        except ImportError as error:
            raise MissingDependencyError(
                "PrometheusMetrics needs the package prometheus-client.", hint="pip install provider-kit[prometheus]"
            ) from error
        place = prometheus_client.REGISTRY if registry is None else registry
        with _making:
            found = _made.get(place)
            if found is None:
                found = super().__new__(cls)
                found._set_up(place, most_models, _bounds(duration_buckets))
                _made[place] = found
            return found

    def _set_up(self, registry: CollectorRegistry, most_models: int, bounds: tuple[float, ...]) -> None:
        # It does not keep the registry, which is its key among those that were made.
        from prometheus_client import Counter, Gauge, Histogram

        self._bounds = bounds
        self._models, self._providers = BoundedNames(most_models), BoundedNames(_MOST_PROVIDERS)
        self._keys, self._budgets = BoundedNames(_MOST_KEYS), BoundedNames(_MOST_BUDGETS)
        #: What is still to be counted, oldest first.
        self._waiting: deque[_Answer | _Other] = deque()
        self._tally = _Tally()
        #: The state of circuits and keys, as they were told.
        self._circuits: set[str] = set()
        self._up: dict[tuple[str, str], bool] = {}
        #: The ids of keys by provider and what is shown of them; and refused keys whose id is not known yet, by call.
        self._key_ids: dict[tuple[str, str], str] = {}
        self._unnamed: dict[str | None, list[tuple[str, str]]] = {}
        #: The second targets of hedges, by router and call.
        self._hedges: dict[tuple[str, str | None], str] = {}
        self._children: dict[tuple[str, _Labels], Any] = {}
        self._all: dict[str, Counter | Gauge | Histogram] = {}
        # Made outside the registry, which knows only the collector: so they are never read before they are up to date.
        for name, (text, labels) in _COUNTERS.items():
            self._all[name] = Counter(_PREFIX + name, text, labels, registry=None)
        for name, text in _HISTOGRAMS.items():
            self._all[name] = Histogram(
                _PREFIX + name, text, ("provider",), registry=None, buckets=self._bounds_of(name)
            )
        for name, (text, labels, mode) in _GAUGES.items():
            self._all[name] = Gauge(
                _PREFIX + name,
                text,
                labels,
                registry=None,
                multiprocess_mode=mode,  # type: ignore[arg-type]  # a string, here
            )
        # Another process collects what this one writes, so it is written at once.
        self._at_once = "PROMETHEUS_MULTIPROC_DIR" in os.environ or "prometheus_multiproc_dir" in os.environ
        self._after_fork()
        renew_after_fork(self)
        try:
            registry.register(_Collector(self))
        except ValueError as error:
            raise ConfigError(
                f"The registry cannot take these metrics: {error}",
                hint="PrometheusMetrics(CollectorRegistry()) has a registry of its own.",
            ) from error

    def _after_fork(self) -> None:
        self._counting, self._adding = _Turn(), _Turn()

    def _bounds_of(self, name: str) -> Sequence[float]:
        return {"overhead_seconds": _OVERHEAD_BUCKETS, "limiter_wait_seconds": _WAIT_BUCKETS}.get(name, self._bounds)

    # -------------------------------------------------------------------------------------------- events

    def __call__(self, event: Event) -> None:
        """Count an event. Any thread may call it, also the garbage collector."""
        kind = type(event)
        waiting = self._waiting
        if kind is CallEnded:
            call = cast(CallEnded, event)
            attempts, unread = call.attempts, None
            if (
                call.outcome == "success"
                and not call.cached
                and len(attempts) == 1
                and type(call.response) is ChatResponse
            ):
                unread = call.response.unread_tokens()
            if unread is None:
                waiting.append((self._count_call, _facts(call)))
            else:
                # No more of the answer is kept than its numbers.
                waiting.append(
                    (
                        call.provider,
                        call.model,
                        call.key_id,
                        call.duration,
                        call.waited,
                        attempts[0],
                        call.first_token,
                        unread,
                    )
                )
        elif kind is RouterCallEnded:
            waiting.append((self._count_routed, _route_facts(cast(RouterCallEnded, event))))
        elif kind is HedgeStarted:
            hedge = cast(HedgeStarted, event)
            waiting.append((self._note_hedge, (hedge.provider, hedge.correlation_id, hedge.target or "")))
        elif kind in _CIRCUIT_STATES:
            waiting.append((self._count_circuit, (event.provider, _CIRCUIT_STATES[kind])))
        elif kind in _KEY_EVENTS:
            known = getattr(event, "key_id", None)
            waiting.append((self._count_key, (kind, event.provider, event.key, known, event.correlation_id)))
        else:
            return
        if self._at_once:
            # Only the end of a call that was left can come from the garbage collector.
            if not (isinstance(event, CallEnded) and event.outcome == "cancelled" and _within_prometheus()):
                self._write()
        elif len(waiting) >= _MOST_WAITING:
            self._fold()

    def set_budget_remaining(self, name: str, unit: str, value: float) -> None:
        """Set what is left of a budget.

        Args:
            name: Name of the budget.
            unit: ``usd``, ``tokens`` or ``requests``.
            value: What is left; negative if more was spent.

        Raises:
            ConfigError: There is no such unit.
        """
        if unit not in BUDGET_UNITS:
            raise ConfigError(f"There is no unit {unit!r} of budgets.", hint=f"One of {', '.join(BUDGET_UNITS)}.")
        self._waiting.append((self._set_budget, (name, unit, float(value))))
        if self._at_once:
            self._write()
        elif len(self._waiting) >= _MOST_WAITING:
            self._fold()

    def flush(self) -> None:
        """Bring the metrics up to date. The registry does this whenever it is collected."""
        if self._adding.take(wait=True):
            try:
                self._add_all()
            finally:
                self._adding.give_back()

    # -------------------------------------------------------------------------------------------- counting

    def _fold(self) -> None:
        """Count what is waiting, unless somebody is already about it.

        That may be this very thread, where the garbage collector has interrupted it; so this waits for nobody. Who
        holds the lock looks again after it has released it.
        """
        while len(self._waiting) >= _MOST_WAITING and self._counting.take(wait=False):
            try:
                self._count_all()
            finally:
                self._counting.give_back()

    def _write(self) -> None:
        """As :meth:`_fold`, up to the metrics themselves."""
        while self._waiting and self._adding.take(wait=False):
            try:
                self._add_all()
            finally:
                self._adding.give_back()

    def _count_all(self) -> None:
        waiting, tally = self._waiting, self._tally
        while waiting:
            item = waiting.popleft()  # only the holder of the lock takes any
            try:
                if len(item) == 2:
                    count, facts = item
                    count(tally, *facts)
                else:
                    self._count_answer(tally, item)
            except Exception:
                _LOG.exception("An event could not be counted.")

    def _add_all(self) -> None:
        if not self._counting.take(wait=True):
            return
        try:
            self._count_all()
            tally, self._tally = self._tally, _Tally()
        finally:
            self._counting.give_back()
        for provider, one in tally.providers.items():
            if one.answers:
                tally.add("requests_total", provider, "success", amount=one.answers)
            if tries := one.answers + one.tries:
                tally.add("attempts_total", provider, "success", amount=tries)
            self._add_times("request_duration_seconds", provider, one.durations)
            self._add_times("time_to_first_token_seconds", provider, one.first_tokens)
            self._add_times("overhead_seconds", provider, one.overheads)
            self._add_times("limiter_wait_seconds", provider, one.waits)
        for names, spent in tally.spent.items():
            spent.settle()
            _add_tokens(tally, names, spent.tokens, float(spent.cost))
        for (name, labels), amount in tally.counts.items():
            self._child(name, labels).inc(amount)
        for (name, labels), value in tally.levels.items():
            self._child(name, labels).set(value)

    def _add_times(self, name: str, provider: str, times: _Times) -> None:
        if any(times.counts):
            # A histogram has no public way to add many observations at once; its parts are values like a counter's.
            child = self._child(name, (provider,))
            for value, count in zip(child._buckets, times.counts, strict=True):
                if count:
                    value.inc(count)
            child._sum.inc(times.total)

    def _child(self, name: str, labels: _Labels) -> Any:
        place = (name, labels)
        found = self._children.get(place)
        if found is None:
            # A lone surrogate in a name would fail every collection.
            texts = [one.encode("utf-8", "replace").decode() for one in labels]
            found = self._children[place] = self._all[name].labels(*texts)
        return found

    # -------------------------------------------------------------------------------------------- what is counted

    def _count_answer(self, tally: _Tally, item: _Answer) -> None:
        provider, model, key, duration, waited, attempt, first, (usage, prices, models, time) = item
        one = tally.providers.get(provider) or self._provider(tally, provider)
        one.answers += 1
        one.durations.add(duration)
        own = duration - waited - attempt.duration
        one.overheads.add(own if own > 0 else 0.0)
        if waited:
            one.waits.add(waited)
        if first is not None:
            one.first_tokens.add(first)
        if key is not one.key:
            one.key = key
            self._key_works(tally, provider, key, attempt.key)
        spent = tally.spent.get((provider, model))  # type: ignore[arg-type]  # None is not found
        if spent is None:
            spent = self._spent(tally, provider, model)
        spent.add_tokens(usage if isinstance(usage, Usage) else usage(), prices, models, time)

    def _count_call(
        self,
        tally: _Tally,
        provider: str,
        model: str | None,
        call: str | None,
        status: str,
        cached: bool,
        kind: str | None,
        numbers: tuple[float, float, float | None],
        attempts: tuple[Attempt, ...],
        key: str | None,
        tokens: tuple[int, ...] | None,
        cost: float,
    ) -> None:
        """Count a call that has no plain answer."""
        name = self._providers(provider)
        tally.add("requests_total", name, status)
        if cached and status == "success":  # it took no time of the provider
            tally.add("cache_hits_total", name)
            return
        if status == "error":
            kind = kind if kind in ERROR_TYPES else OTHER
            domain = kind.partition("_")[0]
            tally.add("errors_total", name, kind, domain if domain in _DOMAINS else OTHER_NAME)
        one = self._provider(tally, provider)
        duration, waited, first = numbers
        one.durations.add(duration)
        own = self._count_attempts(tally, one, provider, duration, waited, attempts)
        one.overheads.add(own if own > 0 else 0.0)
        if first is not None:
            one.first_tokens.add(first)
        if status == "success" and key is not None:
            self._key_works(tally, provider, key, attempts[-1].key if attempts else "")
        if self._unnamed:
            self._name_keys(tally, call, attempts, key)
        if tokens is not None:
            _add_tokens(tally, (name, self._models(model)), tokens, cost)

    def _count_attempts(
        self,
        tally: _Tally,
        one: _ProviderTally,
        provider: str,
        duration: float,
        waited: float,
        attempts: tuple[Attempt, ...],
    ) -> float:
        """Count the attempts of a call, and what it waited; return the seconds that remain."""
        name, last = self._providers(provider), len(attempts) - 1
        own, paused = duration - waited, 0.0
        for number, attempt in enumerate(attempts):
            own -= attempt.duration
            reason = _reason(attempt.error)
            if attempt.error is None:
                one.tries += 1
            else:
                tally.add("attempts_total", name, reason)
            if number < last:
                paused += attempt.waited
                tally.add("retries_total", name, reason)
        limited = waited - paused
        if limited > (_INACCURACY + _INACCURATE_SHARE * paused if paused else 0.0):
            one.waits.add(limited)
        return own

    def _count_routed(
        self,
        tally: _Tally,
        router: str,
        status: str,
        call: str | None,
        answered: tuple[str, ...],
        steps: tuple[tuple[str, str, str], ...],
    ) -> None:
        """Count a call of a router; each of its targets is counted by itself."""
        name = self._providers(router)
        tally.add("router_requests_total", name, status)
        for before, after, reason in steps:
            tally.add("fallbacks_total", self._providers(before), self._providers(after), reason)
        second = self._hedges.pop((router, call), None) if self._hedges else None
        if second is not None:
            tally.add("hedges_total", name, "true" if second in answered else "false")

    def _note_hedge(self, tally: _Tally, router: str, call: str | None, target: str) -> None:
        if len(self._hedges) >= _MOST_OPEN:
            del self._hedges[oldest := next(iter(self._hedges))]
            tally.add("hedges_total", self._providers(oldest[0]), "false")
        self._hedges[router, call] = target

    def _count_circuit(self, tally: _Tally, provider: str, state: int) -> None:
        name = self._providers(provider)
        self._circuits.add(name)
        tally.levels["circuit_state", (name,)] = state

    def _set_budget(self, tally: _Tally, name: str, unit: str, value: float) -> None:
        tally.levels["budget_remaining", (self._budgets(name), unit)] = value

    def _provider(self, tally: _Tally, provider: str) -> _ProviderTally:
        name = self._providers(provider)
        found = tally.providers.get(name)
        if found is None:
            found = tally.providers[name] = _ProviderTally(self._bounds)
            if name not in self._circuits:  # calls are let through
                self._count_circuit(tally, provider, 0)
        return found

    def _spent(self, tally: _Tally, provider: str, model: str | None) -> CallSeries:
        names = (self._providers(provider), self._models(model))
        found = tally.spent.get(names)
        if found is None:
            found = tally.spent[names] = CallSeries()
        return found

    # -------------------------------------------------------------------------------------------- keys

    def _count_key(
        self,
        tally: _Tally,
        kind: type[Event],
        provider: str,
        shown: str | None,
        known: str | None,
        call: str | None,
    ) -> None:
        name = self._providers(provider)
        tally.add("key_rotation_events_total", name, kind.name)
        if (kind is not KeyDead and kind is not KeyParked) or shown is None:
            return
        known = known or self._key_ids.get((name, shown))
        if known is not None:
            self._set_key(tally, name, known, up=False)
            return
        if len(self._unnamed) >= _MOST_OPEN:
            self._name_keys(tally, next(iter(self._unnamed)), (), None)
        self._unnamed.setdefault(call, []).append((name, shown))  # the end of the call may tell

    def _name_keys(self, tally: _Tally, call: str | None, attempts: tuple[Attempt, ...], key: str | None) -> None:
        """A call has ended in which keys were refused: its last attempt tells the id of the key it had."""
        for name, shown in self._unnamed.pop(call, ()):
            known = self._key_ids.get((name, shown))
            if known is None and key is not None and attempts and attempts[-1].key in ("", shown):
                known = key
            if known is None:  # it was another key; what is shown of this one tells it from others, too
                known = hashlib.sha256(f"{name}\0{shown}".encode("utf-8", "replace")).hexdigest()[:12]
            self._note_key(name, shown, known)
            self._set_key(tally, name, known, up=False)

    def _note_key(self, name: str, shown: str, key: str) -> None:
        if len(self._key_ids) < _MOST_KEYS or (name, shown) in self._key_ids:
            self._key_ids[name, shown] = key

    def _key_works(self, tally: _Tally, provider: str, key: str | None, shown: str) -> None:
        """A call was answered with a key; ``shown`` is empty where there is only one."""
        if key is None:
            return
        name = self._providers(provider)
        if shown:
            former = self._key_ids.get((name, shown))
            if former != key:
                if former is not None:  # it was refused before its id was known
                    self._set_key(tally, name, former, up=True)
                self._note_key(name, shown, key)
        self._set_key(tally, name, key, up=True)

    def _set_key(self, tally: _Tally, provider: str, key: str, *, up: bool) -> None:
        if not up and (one := tally.providers.get(provider)) is not None:
            one.key = None  # its next answer is news
        if self._up.get((provider, key)) is not up and (label := self._keys(key)) != OTHER_NAME:
            self._up[provider, key] = up
            tally.levels["key_up", (provider, label)] = int(up)


# ------------------------------------------------------------------------------------------------ events, in numbers


def _facts(call: CallEnded) -> tuple[Any, ...]:
    """What is counted of a call, without its answer."""
    usage, tokens, cost = call.usage, None, 0.0
    if isinstance(usage, Usage):
        tokens = tuple(getattr(usage, f"{one}_tokens") or 0 for one in _TOKEN_TYPES)
        cost = float(usage.cost or 0)
    return (
        call.provider,
        call.model,
        call.correlation_id,
        call.outcome,
        call.cached,
        call.error_type,
        (call.duration, call.waited, call.first_token),
        call.attempts,
        call.key_id,
        tokens,
        cost,
    )


def _route_facts(call: RouterCallEnded) -> tuple[Any, ...]:
    """What is counted of a call of a router: the names of the targets that answered, and which one followed which."""
    routing = getattr(call.response, "routing", None) or getattr(call.error, "routing", None)
    answered: tuple[str, ...] = ()
    steps: list[tuple[str, str, str]] = []
    if routing is not None:
        asked = list(routing.attempts)
        answered = tuple(name for one in asked if one.outcome == "answered" for name in one.target.split(" > "))
        if not call.path:  # a router inside another one has written into the same list
            for before, after in pairwise(asked):
                if not after.concurrent:
                    reason = _reason(before.error or before.outcome)
                    if before.error is None and before.outcome == "failed":
                        reason = "declined"  # its answer was not accepted
                    steps.append((before.target, after.target, reason))
    return call.provider, call.outcome, call.correlation_id, answered, tuple(steps)


def _reason(error: str | None) -> str:
    """The class of an error as a label."""
    if error is None:
        return "success"
    return error if error in _ERROR_CLASSES else OTHER_NAME


def _add_tokens(tally: _Tally, names: tuple[str, str], tokens: Iterable[int], cost: float) -> None:
    for kind, count in zip(_TOKEN_TYPES, tokens, strict=True):
        if count:
            tally.add("tokens_total", *names, kind, amount=count)
    if cost > 0:
        tally.add("cost_usd_total", *names, amount=cost)


def _within_prometheus() -> bool:
    """Whether this thread is inside prometheus_client, where it may hold a lock; so the garbage collector called."""
    frame = sys._getframe(1)
    while (caller := frame.f_back) is not None:
        if caller.f_globals.get("__name__", "").partition(".")[0] == "prometheus_client":
            return True
        frame = caller
    return False


def _bounds(given: Sequence[float]) -> tuple[float, ...]:
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
