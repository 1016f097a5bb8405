"""Several API keys of one provider: which is next, which are cooling down, which are dead.

Plain state behind a lock; the current time is an argument and nothing waits. Times are those of a monotonic clock.
"""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from provider_kit.auth.keys.options import KeyStrategy, check_count, check_strategy, check_wait
from provider_kit.auth.keys.sources import check_key
from provider_kit.auth.keys.state import Key, KeyStatus, all_keys_exhausted, state_of
from provider_kit.errors import AllKeysExhaustedError, ConfigError, ProviderKitError
from provider_kit.policies.after_fork import renew_after_fork
from provider_kit.policies.failure_rules import KeyAction, rule_for
from provider_kit.policies.retry import exponential
from provider_kit.wire.redaction import MaskedStr

__all__ = ["KeyPool"]

_value_of = attrgetter("value")

#: Seconds between two attempts with a key whose cooldown is our own estimate, where no other key is left.
_PROBE_EVERY = 60.0


class KeyPool:
    """The keys of one provider.

    Args:
        provider: Name of the provider, for errors.
        keys: The keys; a mapping gives each its weight.
        strategy: ``round_robin``, ``random``, ``weighted``, or ``simple`` (no health).
        max_keys: Most keys one call may use.
        unhealthy_after: Consecutive failures after which a key cools down.
        healthy_after: Successes after which it counts as healthy again.
        first_backoff: First cooldown in seconds; each further one is twice as long.
        longest_backoff: Longest cooldown in seconds, where the provider names no time.
        park: Cooldown in seconds of a key whose quota is used up, where the provider names no time.
        choose: Returns a random number between 0 and 1.
        source: A callable, sync or async, that returns the keys to use now; called before each call.
        clock: A monotonic clock; the engine passes its own time instead.

    Raises:
        AuthError: A key is empty or holds characters that are not allowed in a key.
        ConfigError: The strategy is unknown, a number is none, or ``keys`` is a single text.
    """

    def __init__(
        self,
        provider: str,
        keys: Iterable[str] | Mapping[str, float] = (),
        *,
        strategy: KeyStrategy = "round_robin",
        max_keys: int = 3,
        unhealthy_after: int = 3,
        healthy_after: int = 2,
        first_backoff: float = 1.0,
        longest_backoff: float = 60.0,
        park: float = 3600.0,
        choose: Callable[[], float] = random.random,
        source: Callable[[], Any] | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        check_count(max_keys=max_keys, unhealthy_after=unhealthy_after, healthy_after=healthy_after)
        check_wait(first_backoff=first_backoff, longest_backoff=longest_backoff, park=park)
        self.provider = provider
        self.source = source
        #: Used where a method is not given the time.
        self.clock = clock
        self.strategy = check_strategy(strategy)
        self.max_keys = max_keys
        self.unhealthy_after = unhealthy_after
        self.healthy_after = healthy_after
        self.first_backoff = first_backoff
        self.longest_backoff = longest_backoff
        self.park = park
        self._choose = choose
        self._lock = threading.RLock()
        renew_after_fork(self)
        self._keys: list[Key] = []
        #: Whether there is more than one key.
        self.has_multiple = False
        self._turn = 0
        #: Keys removed recently; they must be redacted too.
        self._former: tuple[str, ...] = ()
        if isinstance(keys, (str, bytes)):  # its characters would be taken as keys
            raise ConfigError("The keys must be a list.", hint="For one key write ['…'].")
        weights = keys if isinstance(keys, Mapping) else {}
        for key in keys:
            self.add_key(key, weight=weights.get(key, 1.0))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.provider}: {len(self._keys)} keys>"

    def _after_fork(self) -> None:
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._keys)

    def __getstate__(self) -> dict[str, Any]:
        raise TypeError("a pool of keys cannot be pickled: the pickle would contain the keys")

    # -------------------------------------------------------------------------------------------- keys

    #: Whether its keys are tokens that can be renewed; see ``auth/credential_pool.py``.
    renewable = False

    def is_bearer(self, key: str) -> bool:
        """Whether a key is sent as a bearer token, whatever header the provider's keys use."""
        return False

    def identity(self, key: Key) -> str:
        """What identifies the owner of a token, where that is known."""
        return ""

    def observe(self, key: Key, ok: bool, latency: float, tokens: float | None, time: float) -> None:
        """Record the end of a call; nothing to count for plain keys."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """All keys, to be redacted from texts."""
        return (*map(_value_of, self._keys), *self._former)

    def add_key(self, key: str, *, weight: float = 1.0) -> None:
        """Add a key; calls use it from now on. An existing key is reset to healthy.

        Raises:
            AuthError: The key is empty or holds characters that are not allowed in a key.
            ConfigError: The weight is not a number above 0.
        """
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 < weight < float("inf"):
            # In a dict with swapped keys and values, the API key would be in place of the weight.
            shown = repr(weight) if isinstance(weight, (int, float)) else type(weight).__name__
            raise ConfigError(f"A key's weight must be a number above 0, not {shown}.", hint="{'key': weight, …}.")
        made = self._make(key, float(weight))
        with self._lock:
            kept = [known for known in self._keys if known.value != made.value]
            made.reset = len(kept) < len(self._keys)
            self._keys = [*kept, made]
            self.has_multiple = len(self._keys) > 1

    def _make(self, key: str, weight: float = 1.0) -> Key:
        value = MaskedStr(check_key(key, self.provider))
        digest = hashlib.sha256(f"{self.provider}\0{value!s}".encode()).hexdigest()[:12]
        return Key(value, digest, weight)

    def remove_key(self, key: str) -> bool:
        """Remove a key; requests in flight with it finish.

        Returns:
            Whether it existed.
        """
        key = str(key).strip()
        with self._lock:
            kept = [known for known in self._keys if known.value != key]
            gone = len(kept) < len(self._keys)
            self._keys = kept
            self.has_multiple = len(kept) > 1
            if gone:
                self._former = (MaskedStr(key), *self._former[:15])
            return gone

    def set_keys(self, keys: Sequence[str]) -> None:
        """Replace the keys: new ones are added, missing ones removed, and the others keep their state."""
        known = {key.value for key in self._keys}
        if len(known) == len(keys) and known.issuperset(keys):
            return
        made = [self._make(key) for key in keys]
        wanted = {key.value for key in made}
        with self._lock:  # atomically: calls of other threads must never find the pool empty
            kept = [key for key in self._keys if key.value in wanted]
            gone = [key.value for key in self._keys if key.value not in wanted]
            known = {key.value for key in kept}
            self._keys = [*kept, *(key for key in made if key.value not in known)]
            self.has_multiple = len(self._keys) > 1
            self._former = (*gone, *self._former)[:16]

    def find(self, key: str) -> Key | None:
        """The state of a key."""
        return next((known for known in self._keys if known.value == key), None)

    def status(self, now: float | None = None) -> list[KeyStatus]:
        """The state of each key; no key is shown in full."""
        now = self._now(now)
        with self._lock:
            return [
                KeyStatus(
                    key.shown,
                    key.id,
                    state_of(key, now),
                    None if key.dead else max(0.0, key.available_at - now),
                    key.requests,
                    key.failures,
                    key.last_error,
                    key.weight,
                )
                for key in self._keys
            ]

    # -------------------------------------------------------------------------------------------- choosing

    def only(self) -> Key | None:
        """The key, if there is just one."""
        keys = self._keys
        return keys[0] if len(keys) == 1 else None

    def others(self, ids: Container[str]) -> set[str]:
        """Ids of the keys that are not among these."""
        return {key.id for key in self._keys if key.id not in ids}

    def refused(self, key_id: str) -> bool:
        """Whether a key is dead, parked, or gone."""
        return not any(key.id == key_id and not key.dead and key.state != "parked" for key in self._keys)

    def usable(self, now: float, exclude: Container[str] = ()) -> bool:
        """Whether a key may be used now."""
        for key in self._keys:  # noqa: SIM110  # a generator costs more than all of this
            if not key.dead and key.available_at <= now and key.id not in exclude:
                return True
        return False

    def shortest(self, now: float, exclude: Container[str], wait_of: Callable[[Key], float]) -> float:
        """The shortest wait of the keys that may be used now; infinity if there is none."""
        usable = [key for key in self._keys if not key.dead and key.available_at <= now and key.id not in exclude]
        return min(map(wait_of, usable), default=float("inf"))

    def pick(
        self,
        now: float,
        *,
        exclude: Container[str] = (),
        wait_of: Callable[[Key], float] | None = None,
        prefer: str | None = None,
        probe: bool = True,
    ) -> Key | None:
        """The key to use now, or ``None`` if none may be.

        Args:
            now: The clock.
            exclude: Ids of keys this call does not want again.
            wait_of: Returns the seconds a key would have to wait for its rate limit; the shortest wait goes first.
            prefer: Id of the key to use if it is usable, whichever key is next.
            probe: Whether a key whose cooldown is an estimate may be tried if no other is left.
        """
        keys = self._keys
        if len(keys) == 1 and not exclude and keys[0].available_at <= now:  # the common case
            keys[0].requests += 1
            return keys[0]
        with self._lock:
            keys = self._keys
            if prefer is not None:
                for same in keys:
                    if same.id == prefer and not same.dead and same.available_at <= now and same.id not in exclude:
                        same.requests += 1
                        return same
            if len(keys) == 1:
                only = keys[0]
                # Only a cooldown that the provider named blocks the last key; an estimate does not.
                if (
                    only.server_specified and only.available_at > now and self.strategy != "simple"
                ) or only.id in exclude:
                    return None
                only.requests += 1
                return only
            chosen = self._choose_one(keys, now, exclude, wait_of)
            if chosen is None and probe:
                chosen = self._probe(keys, now, exclude)
            if chosen is not None:
                chosen.requests += 1
            return chosen

    def _choose_one(
        self, keys: list[Key], now: float, exclude: Container[str], wait_of: Callable[[Key], float] | None
    ) -> Key | None:
        simple = self.strategy == "simple"
        count = len(keys)
        if self.strategy in ("round_robin", "simple"):
            start = self._turn % count if count else 0
            order = keys[start:] + keys[:start]
        else:
            order = self._shuffled(keys)
        best: Key | None = None
        shortest = float("inf")
        for key in order:
            if key.id in exclude or (not simple and (key.dead or key.available_at > now)):
                continue
            # An unhealthy key is used again after its cooldown; otherwise it could never become healthy.
            wait = wait_of(key) if wait_of is not None else 0.0
            if best is None or wait < shortest:
                best, shortest = key, wait
                if wait <= 0.0:
                    break
        if best is not None:
            self._turn = keys.index(best) + 1
        return best

    def _shuffled(self, keys: list[Key]) -> list[Key]:
        """Shuffle, heavier ones first more often (Efraimidis and Spirakis, 2006)."""
        if self.strategy == "weighted":
            return sorted(keys, key=lambda key: -(self._choose() ** (1.0 / key.weight)))
        return sorted(keys, key=lambda key: self._choose())

    def _probe(self, keys: list[Key], now: float, exclude: Container[str]) -> Key | None:
        """Where no key is left, one whose cooldown is an estimate is tried now and then, so that calls are not
        blocked."""
        guessed = [key for key in keys if (key.dead or not key.server_specified) and key.id not in exclude]
        if not guessed or any(key.available_at <= now and not key.dead and key.id not in exclude for key in keys):
            return None
        oldest = min(guessed, key=lambda key: key.probed)
        if now - oldest.probed < _PROBE_EVERY or any(key.server_specified and not key.dead for key in keys):
            return None
        oldest.probed = now
        return oldest

    def soonest(self, now: float, exclude: Container[str] = ()) -> float | None:
        """Seconds until a key can be used again; ``None`` if all are dead."""
        with self._lock:
            times = [key.available_at for key in self._keys if not key.dead and key.id not in exclude]
            return max(0.0, min(times) - now) if times else None

    def exhausted(self, now: float, **known: Any) -> AllKeysExhaustedError:
        """The error for a call without a usable key; it says when one is available again."""
        with self._lock:
            probed = max(0.0, min((key.probed for key in self._keys), default=now) + _PROBE_EVERY - now)
        return all_keys_exhausted(len(self._keys), self.soonest(now), probed, **{"provider": self.provider, **known})

    # -------------------------------------------------------------------------------------------- health

    def _now(self, given: float | None) -> float:
        if given is not None:
            return given
        if self.clock is None:
            raise ConfigError("This pool of keys has no clock.", hint="Use KeyManager, or pass now=.")
        return self.clock()

    def report_success(self, key: str, now: float | None = None) -> None:
        """A call with this key was answered."""
        found = self.find(key)
        if found is not None:
            self.mark_success(found, self._now(now))

    def mark_success(self, found: Key, now: float) -> None:
        """As :meth:`report_success`, for callers that have the key's state."""
        if found.healthy and not found.failures and not found.cooled and not found.dead and found.state == "":
            found.successes += 1
            return
        with self._lock:
            found.failures = found.cooled = 0
            found.successes += 1
            found.dead = False
            if found.available_at <= now or not found.server_specified:
                found.available_at, found.state = 0.0, ""
            if found.successes >= self.healthy_after:
                found.healthy = True

    def report_failure(
        self, key: str, error: BaseException | None = None, now: float | None = None, *, rest: float | None = None
    ) -> KeyAction:
        """A call with this key failed: update the state of the key.

        Args:
            key: The key.
            error: What went wrong. A failure the key did not cause (an overload, a reset) changes nothing.
            now: The clock.
            rest: Seconds until its quota is renewed, if known.

        Returns:
            What happened to the key.
        """
        now = self._now(now)
        fate = rule_for(error).key if isinstance(error, ProviderKitError) else None
        found = self.find(key)
        if found is None or fate is KeyAction.UNTOUCHED or self.strategy == "simple":
            return KeyAction.UNTOUCHED
        with self._lock:
            found.last_error = type(error).__name__ if error is not None else None
            found.successes = 0
            asked: float | None = getattr(error, "retry_after", None) if rest is None else rest
            if fate is KeyAction.DEAD:
                found.failures += 1
                found.dead, found.healthy, found.server_specified = True, False, False
                found.probed = now
                return KeyAction.DEAD
            found.dead = found.dead and fate is None  # a provider that rate limits a key has accepted it
            if fate is KeyAction.PARKED:
                # The start of the day is computed here; the provider named no time.
                self._rest(found, "parked", now + (rest if rest is not None else self.park), False)
                return KeyAction.PARKED
            if fate is KeyAction.COOLING:
                found.cooled += 1
                wait = asked if asked is not None else self._backoff(found.cooled)
                self._rest(found, "cooling", now + wait, asked is not None)
                return KeyAction.COOLING
            found.failures += 1
            if found.failures < self.unhealthy_after:
                return KeyAction.UNTOUCHED
            found.healthy = False
            self._rest(found, "unhealthy", now + self._backoff(found.failures - self.unhealthy_after + 1), False)
            return KeyAction.COOLING

    def rest(self, key: str, until: float, why: str = "cooling") -> None:
        """Let a key cool down until a time that the provider named."""
        found = self.find(key)
        if found is not None and self.strategy != "simple":
            with self._lock:
                self._rest(found, why, until, True)

    def merge_shared(
        self, out: Mapping[str, tuple[float, str, bool]], now: float, name_of: Callable[[Key], str]
    ) -> None:
        """Adopt the state that other processes found.

        Args:
            out: By name of the key: its cooldown in seconds, the reason, and whether the provider named the time.
            now: The clock.
            name_of: The name of a key in the shared state.
        """
        with self._lock:
            for key in self._keys:
                if key.reset:
                    continue
                told = out.get(name_of(key))
                if told is None:
                    if key.shared:  # another process found it working again
                        key.shared = key.dead = False
                        key.available_at, key.state = 0.0, ""
                    continue
                rest, why, server_specified = told
                key.shared = True
                if why == "dead":
                    if not key.dead:
                        key.dead, key.server_specified, key.probed = True, False, now
                elif now + rest > key.available_at:
                    key.available_at, key.state, key.server_specified = now + rest, why, server_specified

    def _backoff(self, count: int) -> float:
        return exponential(count, self.first_backoff, 2.0, self.longest_backoff)

    def _rest(self, key: Key, why: str, until: float, server_specified: bool) -> None:
        if until > key.available_at:
            key.available_at, key.state, key.server_specified = until, why, server_specified
            key.probed = until
