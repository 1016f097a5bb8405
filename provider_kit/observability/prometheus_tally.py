"""What Prometheus is told of calls, counted between two collections. Plain state; the registry is elsewhere."""

from __future__ import annotations

import hashlib
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

from provider_kit.model.attempts import Attempt
from provider_kit.model.call_events import CallEnded, RouterCallEnded
from provider_kit.model.events import (
    Event,
    KeyDead,
    KeyParked,
)
from provider_kit.model.fault_domains import ERROR_TYPES, OTHER
from provider_kit.model.usage import Prices, Usage
from provider_kit.observability.call_series import CallSeries
from provider_kit.observability.labels import OTHER_NAME, BoundedNames
from provider_kit.observability.prometheus_names import (
    DOMAINS,
    INACCURACY,
    INACCURATE_SHARE,
    MOST_KEYS,
    MOST_OPEN,
    OVERHEAD_BUCKETS,
    TOKEN_TYPES,
    WAIT_BUCKETS,
    reason_of,
)

if TYPE_CHECKING:
    pass


__all__ = [
    "Answer",
    "Counting",
    "Labels",
    "Other",
    "ProviderTally",
    "Tally",
    "Times",
    "Turn",
    "Unread",
    "add_tokens",
    "facts_of",
    "route_facts_of",
]

Labels: TypeAlias = tuple[str, ...]
Unread: TypeAlias = tuple[Usage | Callable[[], Usage], Prices, tuple[str | None, ...], float | None]
#: An answer that is still to be counted: provider, model, key, duration, waited, attempt, first content, tokens.
Answer: TypeAlias = tuple[str, str | None, str | None, float, float, Attempt, float | None, Unread]
#: Something else that is still to be counted: a function of a tally, and what else it is called with.
Other: TypeAlias = tuple[Callable[..., None], tuple[Any, ...]]


class Turn:
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
        """Let another thread fold."""
        self._held = False
        self._lock.release()


class Times:
    """Durations since the last collection, by the buckets of a histogram."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds


class ProviderTally:
    """What is counted of one provider for each call; the rest is in the counters of the tally."""

    __slots__ = ("answers", "durations", "first_tokens", "key", "overheads", "tries", "waits")

    def __init__(self, bounds: Sequence[float]) -> None:
        #: Answers of the first attempt, and attempts of other calls that succeeded.
        self.answers = self.tries = 0
        self.durations, self.first_tokens = Times(bounds), Times(bounds)
        self.overheads, self.waits = Times(OVERHEAD_BUCKETS), Times(WAIT_BUCKETS)
        #: The key of the latest answer.
        self.key: str | None = None


class Tally:
    """Everything that happened since the last collection."""

    __slots__ = ("counts", "levels", "providers", "spent")

    def __init__(self) -> None:
        self.providers: dict[str, ProviderTally] = {}
        #: Tokens by provider and model, for their price.
        self.spent: dict[tuple[str, str], CallSeries] = {}
        #: Counters and gauges by name and labels.
        self.counts: dict[tuple[str, Labels], float] = {}
        self.levels: dict[tuple[str, Labels], float] = {}

    def add(self, name: str, *labels: str, amount: float = 1) -> None:
        """Count something rare."""
        place = (name, labels)
        self.counts[place] = self.counts.get(place, 0) + amount


class Counting:
    """Counts what has happened into a tally.

    What it knows from one event to the next is bounded: names, refused keys, second targets of hedges.
    """

    _bounds: Sequence[float]
    _models: BoundedNames
    _providers: BoundedNames
    _keys: BoundedNames
    _budgets: BoundedNames
    #: The state of circuits and keys, as they were told.
    _circuits: set[str]
    _up: dict[tuple[str, str], bool]
    #: The ids of keys by provider and what is shown of them; and refused keys whose id is not known yet, by call.
    _key_ids: dict[tuple[str, str], str]
    _unnamed: dict[str | None, list[tuple[str, str]]]
    #: The second targets of hedges, by router and call.
    _hedges: dict[tuple[str, str | None], str]

    # -------------------------------------------------------------------------------------------- what is counted

    def _count_answer(self, tally: Tally, item: Answer) -> None:
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
        tally: Tally,
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
            tally.add("errors_total", name, kind, domain if domain in DOMAINS else OTHER_NAME)
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
            add_tokens(tally, (name, self._models(model)), tokens, cost)

    def _count_attempts(
        self,
        tally: Tally,
        one: ProviderTally,
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
            reason = reason_of(attempt.error)
            if attempt.error is None:
                one.tries += 1
            else:
                tally.add("attempts_total", name, reason)
            if number < last:
                paused += attempt.waited
                tally.add("retries_total", name, reason)
        limited = waited - paused
        if limited > (INACCURACY + INACCURATE_SHARE * paused if paused else 0.0):
            one.waits.add(limited)
        return own

    def _count_routed(
        self,
        tally: Tally,
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

    def _note_hedge(self, tally: Tally, router: str, call: str | None, target: str) -> None:
        if len(self._hedges) >= MOST_OPEN:
            del self._hedges[oldest := next(iter(self._hedges))]
            tally.add("hedges_total", self._providers(oldest[0]), "false")
        self._hedges[router, call] = target

    def _count_circuit(self, tally: Tally, provider: str, state: int) -> None:
        name = self._providers(provider)
        self._circuits.add(name)
        tally.levels["circuit_state", (name,)] = state

    def _set_budget(self, tally: Tally, name: str, unit: str, value: float) -> None:
        tally.levels["budget_remaining", (self._budgets(name), unit)] = value

    def _provider(self, tally: Tally, provider: str) -> ProviderTally:
        name = self._providers(provider)
        found = tally.providers.get(name)
        if found is None:
            found = tally.providers[name] = ProviderTally(self._bounds)
            if name not in self._circuits:  # calls are let through
                self._count_circuit(tally, provider, 0)
        return found

    def _spent(self, tally: Tally, provider: str, model: str | None) -> CallSeries:
        names = (self._providers(provider), self._models(model))
        found = tally.spent.get(names)
        if found is None:
            found = tally.spent[names] = CallSeries()
        return found

    # -------------------------------------------------------------------------------------------- keys

    def _count_key(
        self,
        tally: Tally,
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
        if len(self._unnamed) >= MOST_OPEN:
            self._name_keys(tally, next(iter(self._unnamed)), (), None)
        self._unnamed.setdefault(call, []).append((name, shown))  # the end of the call may tell

    def _name_keys(self, tally: Tally, call: str | None, attempts: tuple[Attempt, ...], key: str | None) -> None:
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
        if len(self._key_ids) < MOST_KEYS or (name, shown) in self._key_ids:
            self._key_ids[name, shown] = key

    def _key_works(self, tally: Tally, provider: str, key: str | None, shown: str) -> None:
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

    def _set_key(self, tally: Tally, provider: str, key: str, *, up: bool) -> None:
        if not up and (one := tally.providers.get(provider)) is not None:
            one.key = None  # its next answer is news
        if self._up.get((provider, key)) is not up and (label := self._keys(key)) != OTHER_NAME:
            self._up[provider, key] = up
            tally.levels["key_up", (provider, label)] = int(up)


# ------------------------------------------------------------------------------------------------ events, in numbers


def facts_of(call: CallEnded) -> tuple[Any, ...]:
    """What is counted of a call, without its answer."""
    usage, tokens, cost = call.usage, None, 0.0
    if isinstance(usage, Usage):
        tokens = tuple(getattr(usage, f"{one}_tokens") or 0 for one in TOKEN_TYPES)
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


def route_facts_of(call: RouterCallEnded) -> tuple[Any, ...]:
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
                    reason = reason_of(before.error or before.outcome)
                    if before.error is None and before.outcome == "failed":
                        reason = "declined"  # its answer was not accepted
                    steps.append((before.target, after.target, reason))
    return call.provider, call.outcome, call.correlation_id, answered, tuple(steps)


def add_tokens(tally: Tally, names: tuple[str, str], tokens: Iterable[int], cost: float) -> None:
    """Add the tokens and the cost of a call."""
    for kind, count in zip(TOKEN_TYPES, tokens, strict=True):
        if count:
            tally.add("tokens_total", *names, kind, amount=count)
    if cost > 0:
        tally.add("cost_usd_total", *names, amount=cost)
