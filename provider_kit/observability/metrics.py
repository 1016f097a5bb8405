"""Metrics of a client or router: what was asked, how it ended, how long it took and what it cost.

A sink of events in constant memory. One series is updated for each call; sums are made when they are read.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeAlias

from provider_kit.errors import ConfigError
from provider_kit.model.call_events import CallEnded, RouterCallEnded
from provider_kit.model.chat import ChatResponse
from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.model.events import DECISIONS, AttemptFailed, CallFailed, Event
from provider_kit.model.usage import Prices, Usage
from provider_kit.observability.call_metrics import CallMetrics, ErrorSummary, Health, MetricsSnapshot
from provider_kit.observability.call_series import CallSeries
from provider_kit.observability.labels import BoundedNames
from provider_kit.observability.subscription import Subscription
from provider_kit.policies.after_fork import renew_after_fork

__all__ = ["Metrics"]

#: Names of models, providers and keys that are told apart.
MOST_MODELS, MOST_PROVIDERS, MOST_KEYS = 200, 100, 100
#: Answers that are counted together.
_MOST_PENDING = 64
#: Failures of a provider in a row after which it counts as unhealthy.
_UNHEALTHY = 3

#: An answer that is still to be counted: names, numbers, seconds to its first content, tokens and their price.
_Pending: TypeAlias = tuple[
    tuple[str, str | None, str | None],
    tuple[float, float, float, float, int],
    float | None,
    tuple[Usage | Callable[[], Usage], Prices, tuple[str | None, ...], float | None],
]


def _all_kinds(kind: type[Event]) -> Iterator[type[Event]]:
    for one in kind.__subclasses__():
        yield one
        yield from _all_kinds(one)


#: Rare events, which are counted by name.
_COUNTED = frozenset(kind for kind in _all_kinds(Event) if kind.name) - DECISIONS - {AttemptFailed, CallFailed}


if TYPE_CHECKING:
    _Numbers = CallMetrics
else:
    _Numbers = object  # they are looked up when they are asked for


class Metrics(_Numbers):
    """The numbers of a client or router; ``client.metrics`` is one.

    Its attributes are those of :class:`CallMetrics`, over all calls: ``client.metrics.request_count``. May be read from
    any thread.

    Args:
        router: The name of the router whose metrics these are; empty for a client.

    Example:
        >>> from provider_kit import Client
        >>> client = Client("demo/echo")
        >>> reply = client.chat("Hello")
        >>> client.metrics.request_count, client.metrics.output_tokens, client.metrics.top_models()
        (1, 2, [('echo', 1)])
    """

    wanted_events = _COUNTED
    #: What is raised in it and is no mistake of its own belongs to the caller.
    is_own = True
    follows_targets = True

    def __init__(self, router: str = "") -> None:
        self._router = router
        self._models, self._providers = BoundedNames(MOST_MODELS), BoundedNames(MOST_PROVIDERS)
        self._keys = BoundedNames(MOST_KEYS)
        self._buses: weakref.WeakSet[Any] = weakref.WeakSet()
        #: The routers whose calls they are.
        self._routers: set[int] = set()
        self._after_fork()
        renew_after_fork(self)
        self._clear()

    def _after_fork(self) -> None:
        self._lock = threading.RLock()

    def _clear(self) -> None:
        self._series: dict[tuple[str, str | None, str | None], CallSeries] = {}
        #: The calls of the router itself.
        self._routed = CallSeries()
        self._events: dict[str, int] = {}
        self._errors: dict[str, ErrorSummary] = {}
        #: Answers that are still to be counted.
        self._pending: deque[_Pending] = deque()

    # -------------------------------------------------------------------------------------------- counting

    def __call__(self, event: Event) -> None:
        """Count an event."""
        if type(event) is CallEnded:
            if event.outcome == "success" and not event.cached and type(event.response) is ChatResponse:
                unread = event.response.unread_tokens()
                if unread is not None:
                    self._pending.append(
                        (
                            (event.provider, event.model, event.key_id),
                            (event.time, event.duration, event.waited, event.overhead, len(event.attempts)),
                            event.first_token,
                            unread,
                        )
                    )
                    if len(self._pending) >= _MOST_PENDING:
                        with self._lock:
                            self._fold()
                    return
            with self._lock:
                self._fold()  # the latest outcome counts last
                self._find(event.provider, event.model, event.key_id).add(event)
                if event.outcome == "error":
                    self._note_error(event)
            return
        with self._lock:
            if type(event) is RouterCallEnded:
                if event.source in self._routers:
                    self._routed.add(event)
                    if event.outcome == "error" and not event.attempts:
                        self._note_error(event)
            elif type(event) in _COUNTED:
                self._events[event.name] = self._events.get(event.name, 0) + 1

    def _fold(self) -> None:
        """Count the answers that were put by: together they take half the time."""
        pending, series = self._pending, self._series
        while pending:
            try:
                names, numbers, first, (usage, prices, models, time) = pending.popleft()
            except IndexError:  # another thread was faster
                return
            one = series.get(names) or self._find(*names)
            one.add_success(*numbers)
            made = one.add_tokens(usage if isinstance(usage, Usage) else usage(), prices, models, time)
            if first is not None:
                one.add_speed(first, numbers[1], made)

    def _find(self, provider: str, model: str | None, key: str | None) -> CallSeries:
        """The series of a call; names beyond what is told apart share one."""
        names = (self._providers(provider), self._models(model), self._keys(key))
        found = self._series.get(names)
        if found is None:
            found = self._series[names] = CallSeries()
        return found

    def _note_error(self, event: CallEnded) -> None:
        kind = event.error_type or ""
        known = self._errors.get(kind)
        error = event.error
        text = "" if error is None else f"{type(error).__name__}: {error.message}"[:300]
        count = 1 if known is None else known.count + 1
        self._errors[kind] = ErrorSummary(kind, count, text, event.provider, event.model, event.time)

    # -------------------------------------------------------------------------------------------- reading

    def snapshot(self) -> MetricsSnapshot:
        """All numbers at this moment."""
        with self._lock:
            self._fold()
            everything = self._sum(lambda names: "")
            total = self._routed if self._router else everything.get("", CallSeries())
            if self._router:
                used = everything.get("", CallSeries())
                total = _with_spending(self._routed, used)
            return MetricsSnapshot(
                total=_metrics_of(total),
                by_provider=_all_metrics(self._sum(lambda names: names[0])),
                by_model=_all_metrics(self._sum(lambda names: names[1])),
                by_key=_all_metrics(self._sum(lambda names: names[2])),
                events=dict(self._events),
            )

    def _sum(self, group: Callable[[tuple[str, str | None, str | None]], str | None]) -> dict[str, CallSeries]:
        sums: dict[str, CallSeries] = {}
        for names, one in self._series.items():
            name = group(names)
            if name is not None and (name or group(("", "x", "x")) == ""):
                sums.setdefault(name, CallSeries()).merge(one)
        return sums

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in _FIELDS:
            raise AttributeError(f"metrics have no {name!r}; latencies are in .latency and .first_token: .latency.p95")
        return getattr(self.snapshot().total, name)

    def __dir__(self) -> Iterable[str]:
        return sorted({*super().__dir__(), *_FIELDS})

    def __repr__(self) -> str:
        total = self.snapshot().total
        return f"<Metrics {total.request_count} calls, {total.error_count} errors, {total.tokens_used} tokens>"

    def provider(self, name: str) -> CallMetrics:
        """The numbers of one provider."""
        return self.snapshot().by_provider.get(name) or CallMetrics()

    def model(self, name: str) -> CallMetrics:
        """The numbers of one model; those beyond the first 200 are together under ``other``."""
        return self.snapshot().by_model.get(name) or CallMetrics()

    def key(self, id: str) -> CallMetrics:
        """The numbers of one key, by its ``id`` in ``client.keys.status()``."""
        return self.snapshot().by_key.get(id) or CallMetrics()

    def top_models(self, count: int = 10, by: str = "request_count") -> list[tuple[str, Any]]:
        """The models with the most of something.

        Args:
            count: How many.
            by: A number of :class:`CallMetrics`: ``request_count``, ``cost``, ``tokens_used``, ``error_count`` …

        Raises:
            ConfigError: There is no such number.
        """
        if by not in _FIELDS:
            raise ConfigError(f"There is no metric {by!r}.", hint=did_you_mean(by, _FIELDS).strip() or None)
        numbers = [(name, getattr(one, by)) for name, one in self.snapshot().by_model.items()]
        known = [(name, value) for name, value in numbers if isinstance(value, (int, float, Decimal))]
        return sorted(known, key=lambda one: (-one[1], one[0]))[:count]

    def error_summary(self) -> list[ErrorSummary]:
        """The errors by type, the most frequent first."""
        with self._lock:
            return sorted(self._errors.values(), key=attrgetter("count"), reverse=True)

    def reset(self) -> None:
        """Begin again at zero."""
        with self._lock:
            self._clear()
            for names in (self._models, self._providers, self._keys):
                names.clear()

    # -------------------------------------------------------------------------------------------- events

    def attach(self, bus: Any) -> None:
        """Offer the events of a bus to subscribers."""
        self._buses.add(bus)
        if bus.is_router and self._router:
            self._routers.add(id(bus))

    def subscribe(
        self,
        function: Callable[[Any], object] | None = None,
        *,
        kinds: Iterable[type[Event]] | None = None,
        where: Callable[[Any], bool] | None = None,
        buffer: int = 1000,
    ) -> Subscription:
        """Listen to events, in any thread.

        Args:
            function: A plain function that is called with each of them; without one they are kept to be taken.
            kinds: Classes of events; default: all.
            where: A further condition on an event.
            buffer: Events that are kept; beyond that the oldest are lost, and counted in ``overflow``.

        Example:
            >>> from provider_kit import CallEnded, Client
            >>> client = Client("demo/echo")
            >>> with_errors = client.metrics.subscribe(kinds=[CallEnded], where=lambda event: event.error is None)
            >>> reply = client.chat("Hello")
            >>> [event.outcome for event in with_errors.take()]
            ['success']
            >>> with_errors.close()
        """
        wanted = frozenset(kind for kind in _all_kinds(Event) if kind.name) if kinds is None else frozenset(kinds)
        made = Subscription(self, wanted, where, buffer, function)
        for bus in list(self._buses):
            bus.add(made)
        return made

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription."""
        for bus in list(self._buses):
            bus.remove(subscription)


def _with_spending(routed: CallSeries, used: CallSeries) -> CallSeries:
    """The calls of a router, with what its targets used: failed and slower ones used tokens, too."""
    made = CallSeries()
    made.merge(routed)
    used.settle()
    made.tokens, made.total_tokens, made.attempts = used.tokens, used.total_tokens, used.attempts
    made.cost, made.cost_is_minimum = used.cost, used.cost_is_minimum
    made.waited, made.overhead = used.waited, used.overhead
    made.streamed_tokens, made.generating = used.streamed_tokens, used.generating
    return made


def _all_metrics(sums: Mapping[str, CallSeries]) -> dict[str, CallMetrics]:
    return {name: _metrics_of(one) for name, one in sorted(sums.items())}


def _metrics_of(one: CallSeries) -> CallMetrics:
    one.settle()
    health: Health = "healthy" if one.successes else "unknown"
    if one.health:
        health = "unhealthy" if one.health >= _UNHEALTHY else "degraded"
    return CallMetrics(
        request_count=one.requests,
        success_count=one.successes,
        error_count=one.failures,
        cancelled_count=one.cancelled,
        cache_hit_count=one.cache_hits,
        attempt_count=one.attempts,
        total_latency=one.latency.total,
        average_latency=one.latency.average,
        latency=one.latency.percentiles(),
        first_token=one.first_token.percentiles(),
        total_wait=one.waited,
        total_overhead=one.overhead,
        tokens_used=one.total_tokens,
        input_tokens=one.tokens[0],
        output_tokens=one.tokens[1],
        cache_read_tokens=one.tokens[2],
        cache_write_tokens=one.tokens[3],
        reasoning_tokens=one.tokens[4],
        tokens_per_second=one.streamed_tokens / one.generating if one.generating else None,
        cost=one.cost,
        cost_is_minimum=one.cost_is_minimum,
        last_request_time=one.last_request_time,
        last_success_time=one.last_success_time,
        last_error_time=one.last_error_time,
        last_error=one.last_error,
        health_status=health,
        errors=dict(one.errors),
    )


_FIELDS = frozenset((*(one.name for one in CallMetrics.__attrs_attrs__), "success_rate"))
