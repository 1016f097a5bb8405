"""A cache of answers to identical requests.

It stores the provider's answer byte for byte, so that a hit is parsed by the same code as the original answer, and a
stream is replayed as a stream. The key is a hash over everything that changes the answer; the API key is not part of
it. Errors, truncated answers and (by default) answers with tool calls are not stored.
"""

from __future__ import annotations

import hashlib
import math
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

from attrs import frozen

from provider_kit.errors import ConfigError
from provider_kit.model.arguments import explained
from provider_kit.model.json_text import canonical, dumps, loads
from provider_kit.policies.after_fork import renew_after_fork
from provider_kit.policies.outage import Outage
from provider_kit.policies.rate_limit import Wakes
from provider_kit.policies.single_flight import SingleFlight
from provider_kit.wire.merging import TRACE_HEADERS
from provider_kit.wire.redaction import is_secret_header

__all__ = ["CacheEntry", "CacheStore", "MemoryCache", "ResponseCache", "cache_key", "vary_headers"]

#: Memory overhead of an entry in bytes.
_OVERHEAD = 200
#: Headers that do not change an answer.
_IDLE_HEADERS = TRACE_HEADERS | {"user-agent", "accept", "accept-encoding", "content-type", "x-request-id"}


@runtime_checkable
class CacheStore(Protocol):
    """Protocol of a custom store: ``ResponseCache(MyStore())``. The methods may be asynchronous."""

    def get(self, key: str) -> Any:
        """The bytes under a key, ``None`` if there are none or they have expired."""
        ...

    def set(self, key: str, data: bytes, ttl: float) -> Any:
        """Keep bytes for ``ttl`` seconds."""
        ...


@frozen
class CacheEntry:
    """An answer as it was received."""

    #: ``json`` for a whole answer, ``stream`` for the bytes of an event stream.
    kind: Literal["json", "stream"]
    body: bytes
    request_id: str | None = None

    def to_bytes(self) -> bytes:
        """Encode for a store."""
        return dumps({"v": 1, "kind": self.kind, "request_id": self.request_id}) + b"\n" + self.body

    @classmethod
    def from_bytes(cls, data: bytes) -> CacheEntry | None:
        """Decode what :meth:`to_bytes` wrote; ``None`` for anything else, which counts as a miss."""
        head, _, body = bytes(data).partition(b"\n")
        try:
            told = loads(head)
        except ValueError:
            return None
        if not isinstance(told, dict) or told.get("v") != 1 or told.get("kind") not in ("json", "stream"):
            return None
        return cls(told["kind"], body, told.get("request_id"))


def vary_headers(*groups: Mapping[str, str] | None) -> list[tuple[str, str]]:
    """The headers that may change an answer: without credentials and without neutral ones.

    Session headers are secret, but may change the answer, so they are included.
    """
    return sorted(
        (name.lower(), str(value))
        for group in groups
        if group
        for name, value in group.items()
        if name.lower() not in _IDLE_HEADERS and (not is_secret_header(name) or "session" in name.lower())
    )


def cache_key(scope: str, body: Any, told: Sequence[tuple[str, str]], query: Mapping[str, str] | None) -> str:
    """A hash over everything that changes an answer; the order of keys does not.

    Args:
        scope: Provider, address, and what all requests have in common.
        body: The request's JSON value.
        told: The relevant headers of this request, see :func:`vary_headers`.
        query: Further parameters of the URL.
    """
    return hashlib.sha256(canonical([1, scope, body, told, query or None])).hexdigest()


class MemoryCache:
    """Answers in memory: the least recently used are evicted first, and each expires after its time to live.

    Args:
        max_bytes: Most bytes of all entries together.
    """

    def __init__(self, max_bytes: int = 64 * 1024 * 1024) -> None:
        self.max_bytes = max_bytes
        #: Bytes in use.
        self.bytes = 0
        self._entries: OrderedDict[str, tuple[CacheEntry, float]] = OrderedDict()
        self._lock = threading.RLock()
        renew_after_fork(self)

    def _after_fork(self) -> None:
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str, now: float) -> CacheEntry | None:
        """The entry under a key, if it has not expired at ``now``."""
        with self._lock:
            found = self._entries.get(key)
            if found is None:
                return None
            if found[1] <= now:
                self._drop(key)
                return None
            self._entries.move_to_end(key)
            return found[0]

    def set(self, key: str, entry: CacheEntry, ttl: float, now: float) -> None:
        """Keep an entry for ``ttl`` seconds from ``now``; one that is larger than the cache is not kept."""
        size = len(entry.body) + _OVERHEAD
        with self._lock:
            if key in self._entries:
                self._drop(key)
            if size > self.max_bytes:
                return
            self._entries[key] = (entry, now + ttl)
            self.bytes += size
            while self.bytes > self.max_bytes:
                self._drop(next(iter(self._entries)))

    def clear(self) -> None:
        """Remove all entries."""
        with self._lock:
            self._entries.clear()
            self.bytes = 0

    def _drop(self, key: str) -> None:
        entry, _ = self._entries.pop(key)
        self.bytes -= len(entry.body) + _OVERHEAD


@explained("ResponseCache(ttl=3600), or ResponseCache('answers.db')")
class ResponseCache:
    """A cache of answers. Give the same object to several clients to share it.

    Args:
        store: Where to keep answers: nothing for memory, the path of an SQLite file, a ``redis://`` URL, or
            a :class:`CacheStore` of your own (a :class:`RedisStore`, too).
        ttl: Seconds an answer is kept.
        max_bytes: Most bytes in memory, or in the file; and an eighth of it for one answer.
        tool_calls: Whether answers with tool calls are kept too.
        single_flight: Whether identical concurrent calls send one request; the others wait for its answer.

    Raises:
        ConfigError: One of them is not what it is taken for.
    """

    def __init__(
        self,
        store: str | os.PathLike[str] | CacheStore | None = None,
        *,
        ttl: float = 3600.0,
        max_bytes: int = 64 * 1024 * 1024,
        tool_calls: bool = False,
        single_flight: bool = False,
    ) -> None:
        if isinstance(ttl, bool) or not isinstance(ttl, (int, float)) or not ttl > 0:
            raise ConfigError(f"ttl must be a number of seconds above 0, not {ttl!r}.", hint="3600 is an hour.")
        if isinstance(max_bytes, bool) or not isinstance(max_bytes, int) or max_bytes < 1:
            raise ConfigError(
                f"max_bytes must be a whole number above 0, not {max_bytes!r}.", hint="64 * 1024 * 1024 is the default."
            )
        for name, flag in (("tool_calls", tool_calls), ("single_flight", single_flight)):
            if not isinstance(flag, bool):
                raise ConfigError(f"{name} must be True or False, not {flag!r}.")
        if isinstance(store, os.PathLike):
            store = os.fspath(store)
        known = store is None or (isinstance(store, (str, CacheStore)) and not isinstance(store, type))
        if not known or store == "":
            raise ConfigError(
                f"A cache cannot be kept in {store!r}.",
                hint="Pass a path, a redis:// URL, or an object with get(key) and set(key, data, ttl).",
            )
        self.store = store
        self.ttl = ttl
        self.max_bytes = max_bytes
        self.tool_calls = tool_calls
        self.single_flight = single_flight
        self.memory = MemoryCache(max_bytes) if store is None else None
        #: Created by the first client that uses it.
        self.opened: Any = None
        #: Whether the store failed when it was last used, and until when it is skipped.
        self.outage = Outage()
        self._flights = SingleFlight()

    @property
    def max_entry_bytes(self) -> int:
        """Most bytes of one answer."""
        return max(1024, self.max_bytes // 8)

    def clear(self) -> None:
        """Remove the answers in memory."""
        if self.memory is not None:
            self.memory.clear()

    def __repr__(self) -> str:
        where = "memory" if self.store is None else type(self.store).__name__ if not isinstance(self.store, str) else ""
        return f"<ResponseCache {where or 'store'}, ttl={self.ttl:g} s>"

    def __getstate__(self) -> dict[str, Any]:
        state = vars(self).copy()
        del state["_flights"]
        return state | {"opened": None, "memory": None, "outage": Outage()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._flights = SingleFlight()
        self.memory = MemoryCache(self.max_bytes) if self.store is None else None

    def lead(self, key: str, wakeup: Wakes, *, holder: object | None = None, ended: Callable[[], bool] = bool) -> bool:
        """Whether the caller is to send the request; otherwise its waiter is woken once the other call has.

        Args:
            key: The cache key of the request.
            wakeup: Wakes the caller.
            holder: An object that lives as long as the caller's call.
            ended: Tells whether the event loop of the call has been closed.
        """
        return self._flights.join(0.0, math.inf, ended, lambda: wakeup, key=key, holder=holder)[1]

    def led(self, key: str) -> None:
        """The call that sent the request has ended, with or without an answer."""
        self._flights.end(key)
