"""Metrics for Prometheus: a sink that counts calls in a registry of ``prometheus_client``, with a dashboard and alerts.

Counting takes no lock that a garbage collector could meet twice: the sink notes what happened, and adds it to the
metrics of the registry when they are collected. Nothing here opens a port; that is what ``prometheus_client`` is for.
The numbers of single credentials (``oauth_*``) are those of :meth:`OAuthKeyManager.export_metrics`.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast, final

from provider_kit.errors import ConfigError, MissingDependencyError
from provider_kit.model.call_events import CallEnded, RouterCallEnded
from provider_kit.model.chat import ChatResponse
from provider_kit.model.events import (
    Event,
    HedgeStarted,
)
from provider_kit.observability.labels import BoundedNames
from provider_kit.observability.prometheus_names import (
    BUDGET_UNITS,
    CIRCUIT_STATES,
    COUNTERS,
    DURATION_BUCKETS,
    GAUGES,
    HISTOGRAMS,
    KEY_EVENTS,
    MOST_BUDGETS,
    MOST_KEYS,
    MOST_PROVIDERS,
    MOST_WAITING,
    OVERHEAD_BUCKETS,
    PREFIX,
    WAIT_BUCKETS,
    alert_rules,
    checked_bounds,
    dashboard,
)
from provider_kit.observability.prometheus_tally import (
    Answer,
    Counting,
    Labels,
    Other,
    Tally,
    Times,
    Turn,
    add_tokens,
    facts_of,
    route_facts_of,
)
from provider_kit.policies.after_fork import renew_after_fork

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric

__all__ = ["PrometheusMetrics"]

_LOG = logging.getLogger("provider_kit")
_made: weakref.WeakKeyDictionary[CollectorRegistry, PrometheusMetrics] = weakref.WeakKeyDictionary()
_making = threading.RLock()


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
class PrometheusMetrics(Counting):
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
        {CallEnded, RouterCallEnded, HedgeStarted, *CIRCUIT_STATES, *KEY_EVENTS}
    )
    follows_targets: ClassVar[bool] = True

    def __new__(
        cls,
        registry: CollectorRegistry | None = None,
        *,
        most_models: int = 100,
        duration_buckets: Sequence[float] = DURATION_BUCKETS,
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
                found._set_up(place, most_models, checked_bounds(duration_buckets))
                _made[place] = found
            return found

    def _set_up(self, registry: CollectorRegistry, most_models: int, bounds: tuple[float, ...]) -> None:
        # It does not keep the registry, which is its key among those that were made.
        from prometheus_client import Counter, Gauge, Histogram

        self._bounds = bounds
        self._models, self._providers = BoundedNames(most_models), BoundedNames(MOST_PROVIDERS)
        self._keys, self._budgets = BoundedNames(MOST_KEYS), BoundedNames(MOST_BUDGETS)
        #: What is still to be counted, oldest first.
        self._waiting: deque[Answer | Other] = deque()
        self._tally = Tally()
        #: The state of circuits and keys, as they were told.
        self._circuits: set[str] = set()
        self._up: dict[tuple[str, str], bool] = {}
        #: The ids of keys by provider and what is shown of them; and refused keys whose id is not known yet, by call.
        self._key_ids: dict[tuple[str, str], str] = {}
        self._unnamed: dict[str | None, list[tuple[str, str]]] = {}
        #: The second targets of hedges, by router and call.
        self._hedges: dict[tuple[str, str | None], str] = {}
        self._children: dict[tuple[str, Labels], Any] = {}
        self._all: dict[str, Counter | Gauge | Histogram] = {}
        # Made outside the registry, which knows only the collector: so they are never read before they are up to date.
        for name, (text, labels) in COUNTERS.items():
            self._all[name] = Counter(PREFIX + name, text, labels, registry=None)
        for name, text in HISTOGRAMS.items():
            self._all[name] = Histogram(
                PREFIX + name, text, ("provider",), registry=None, buckets=self._bounds_of(name)
            )
        for name, (text, labels, mode) in GAUGES.items():
            self._all[name] = Gauge(
                PREFIX + name,
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
        self._counting, self._adding = Turn(), Turn()

    def _bounds_of(self, name: str) -> Sequence[float]:
        return {"overhead_seconds": OVERHEAD_BUCKETS, "limiter_wait_seconds": WAIT_BUCKETS}.get(name, self._bounds)

    @staticmethod
    def dashboard() -> dict[str, Any]:
        """A Grafana dashboard of these metrics, to be imported as JSON; it asks for its Prometheus data source."""
        return dashboard()

    @staticmethod
    def alert_rules() -> str:
        """Eight alert rules for Prometheus, a YAML file for its ``rule_files``."""
        return alert_rules()

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
                waiting.append((self._count_call, facts_of(call)))
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
            waiting.append((self._count_routed, route_facts_of(cast(RouterCallEnded, event))))
        elif kind is HedgeStarted:
            hedge = cast(HedgeStarted, event)
            waiting.append((self._note_hedge, (hedge.provider, hedge.correlation_id, hedge.target or "")))
        elif kind in CIRCUIT_STATES:
            waiting.append((self._count_circuit, (event.provider, CIRCUIT_STATES[kind])))
        elif kind in KEY_EVENTS:
            known = getattr(event, "key_id", None)
            waiting.append((self._count_key, (kind, event.provider, event.key, known, event.correlation_id)))
        else:
            return
        if self._at_once:
            # Only the end of a call that was left can come from the garbage collector.
            if not (isinstance(event, CallEnded) and event.outcome == "cancelled" and _within_prometheus()):
                self._write()
        elif len(waiting) >= MOST_WAITING:
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
        elif len(self._waiting) >= MOST_WAITING:
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
        """Count what is waiting, unless another call of this method does so now.

        That may be in this very thread, where the garbage collector has interrupted it, so the lock is not waited for:
        its holder looks again after it has released it.
        """
        while len(self._waiting) >= MOST_WAITING and self._counting.take(wait=False):
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
            except Exception:  # a mistake here must cost one event only, not those that wait behind it
                _LOG.exception("An event could not be counted.")

    def _add_all(self) -> None:
        if not self._counting.take(wait=True):
            return
        try:
            self._count_all()
            tally, self._tally = self._tally, Tally()
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
            add_tokens(tally, names, spent.tokens, float(spent.cost))
        for (name, labels), amount in tally.counts.items():
            self._child(name, labels).inc(amount)
        for (name, labels), value in tally.levels.items():
            self._child(name, labels).set(value)

    def _add_times(self, name: str, provider: str, times: Times) -> None:
        if any(times.counts):
            # A histogram has no public way to add many observations at once; its parts are values like a counter's.
            child = self._child(name, (provider,))
            for value, count in zip(child._buckets, times.counts, strict=True):
                if count:
                    value.inc(count)
            child._sum.inc(times.total)

    def _child(self, name: str, labels: Labels) -> Any:
        place = (name, labels)
        found = self._children.get(place)
        if found is None:
            # A lone surrogate in a name would fail every collection.
            texts = [one.encode("utf-8", "replace").decode() for one in labels]
            found = self._children[place] = self._all[name].labels(*texts)
        return found


def _within_prometheus() -> bool:
    """Whether this thread is inside prometheus_client, where it may hold a lock; so the garbage collector called."""
    frame = sys._getframe(1)
    while (caller := frame.f_back) is not None:
        if caller.f_globals.get("__name__", "").partition(".")[0] == "prometheus_client":
            return True
        frame = caller
    return False
