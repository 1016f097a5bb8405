"""Looks up the response cache before the provider is called, and stores the answer."""

from __future__ import annotations

from inspect import isawaitable, iscoroutinefunction
from typing import Any

from attrs import define

from provider_kit.dialects.base import Dialect, ParameterReport, StreamFailure, WireRequest
from provider_kit.dialects.parse_errors import PARSE_ERRORS
from provider_kit.engine.attempts import Attempts
from provider_kit.errors import InvalidRequestError, ProviderKitError, StoreError
from provider_kit.model.attempts import Timings
from provider_kit.model.chat import ChatRequest, ChatResponse, Chunk, ParameterWarning
from provider_kit.model.events import CacheHit, CacheMiss, CacheStored, StoreBack, StoreFailed
from provider_kit.model.json_text import loads
from provider_kit.policies.response_cache import CacheEntry, ResponseCache, cache_key, vary_headers
from provider_kit.transports.base import one_line
from provider_kit.wire.merging import deep_merge
from provider_kit.wire.redaction import redact

__all__ = ["Lookup", "from_cache", "look_up", "read_entry"]

#: Seconds after which a waiting call checks whether the call that sends the request still exists.
LOOK_AT_LEADER = 1.0
_KEPT = frozenset({"stop", "length", "tool_calls"})


@define(eq=False)
class Lookup:
    """One call's use of the cache."""

    attempts: Attempts
    cache: ResponseCache
    key: str
    #: The entry found, with the chunks of a stream (``None`` for a whole answer) and the answer.
    entry: CacheEntry | None = None
    read: tuple[list[Chunk] | None, ChatResponse] | None = None
    #: Whether others wait for this call's answer.
    leads: bool = False

    async def keep(self, answer: ChatResponse, entry: CacheEntry) -> None:
        """Store an answer if it qualifies."""
        cache, attempts = self.cache, self.attempts
        if answer.finish_reason not in _KEPT or (answer.tool_calls and not cache.tool_calls):
            return
        if len(entry.body) > cache.max_entry_bytes:
            return
        if cache.memory is not None:
            cache.memory.set(self.key, entry, cache.ttl, attempts.runtime.now())
        elif not await _guarded(attempts, cache, "set", self.key, entry.to_bytes(), cache.ttl):
            return
        if attempts.observed:
            await attempts.emit(CacheStored, f"answer stored for {cache.ttl:g} s")

    def done(self) -> None:
        """Wake the calls that wait for this call's answer."""
        if self.leads:
            self.leads = False
            self.cache.led(self.key)


async def look_up(
    attempts: Attempts, request: ChatRequest, dialect: Dialect, call: WireRequest | None = None
) -> Lookup | None:
    """Look for an answer; ``None`` if the call uses no cache.

    Args:
        attempts: The call.
        request: The request.
        dialect: The dialect that writes it.
        call: The unstreamed request, if it is written already.
    """
    cache = attempts.parts.cache
    if cache is None or not attempts.call.cached:
        return None
    if call is None:
        call = dialect.write_chat(
            request, stream=False, report=ParameterReport("drop", attempts.endpoint.name, request.model)
        )
    key = _key_of(attempts, request, call)
    if key is None:
        return None  # it cannot be written as JSON; the call itself will raise that
    found = Lookup(attempts, cache, key)
    while True:
        memory = cache.memory
        found.entry = (
            memory.get(key, attempts.runtime.now()) if memory is not None else await _get(attempts, cache, key)
        )
        found.read = read_entry(dialect, found.entry) if found.entry is not None else None
        if found.read is not None or not cache.single_flight:
            break
        wakeup = attempts.runtime.wakeup()
        found.leads = cache.lead(key, wakeup, holder=found, ended=attempts.runtime.is_loop_closed())
        if found.leads:
            break
        left = attempts.left(attempts.runtime.now())
        if left <= 0:
            break
        await attempts.wait(wakeup, min(left, LOOK_AT_LEADER))
    if attempts.observed:
        hit = found.read is not None
        try:
            await attempts.emit(CacheHit if hit else CacheMiss, "cache hit" if hit else "cache miss")
        except BaseException:
            found.done()  # the task was cancelled while it listened
            raise
    return found


def _key_of(attempts: Attempts, request: ChatRequest, call: WireRequest) -> str | None:
    """The cache key of the request; ``None`` if it cannot be written as JSON."""
    body = deep_merge(call.body or {}, request.extra_body) if request.extra_body else call.body
    try:
        told = vary_headers(call.headers, request.extra_headers) if call.headers or request.extra_headers else ()
        query = {**(call.query or {}), **(request.extra_query or {})} if call.query or request.extra_query else None
        return cache_key(f"{attempts.endpoint.scope} {call.path}", body, told, query)
    except (TypeError, ValueError, RecursionError):
        return None


async def _get(attempts: Attempts, cache: ResponseCache, key: str) -> CacheEntry | None:
    data = await _guarded(attempts, cache, "get", key)
    return CacheEntry.from_bytes(data) if isinstance(data, bytes) else None


async def _guarded(attempts: Attempts, cache: ResponseCache, verb: str, *args: Any) -> Any:
    """Use the store; if it fails, the call continues without it, or fails if configured.

    A received answer is never lost: a failure to store it is only reported.
    """
    must = verb == "get" and attempts.parts.config.on_store_failure == "raise"
    if cache.outage.lasts(attempts.runtime.now()) and not must:
        return None
    try:
        store = cache.opened or _open(attempts, cache)
        method = getattr(store, verb)
        if getattr(store, "knows_transports", False):
            result = await method(attempts.runtime, *args)
        elif iscoroutinefunction(method):
            if attempts.runtime.kind == "blocking":
                raise InvalidRequestError(
                    "The store of the response cache is asynchronous, the call is not.",
                    hint="Use achat(), astream(), …, or a store with plain methods.",
                )
            result = await method(*args)
        else:
            result = await attempts.runtime.call_blocking(method, *args)
            if isawaitable(result):
                result = await result
    except Exception as error:  # the user's store may raise anything
        if isinstance(error, ProviderKitError) and not isinstance(error, StoreError):
            raise
        news = cache.outage.begins(attempts.runtime.now())
        if isinstance(error, StoreError):
            failure = error
        else:
            said = one_line(redact(repr(error), attempts.endpoint.secrets))
            failure = StoreError(f"The response cache failed: {said}.")
        if must:
            if failure is error:
                raise
            raise failure from error
        if news:
            text = f"{failure.message} Continuing without the response cache."
            await attempts.emit(StoreFailed, text, error=failure)
        return None
    if cache.outage.ends():
        await attempts.emit(StoreBack, "the response cache answers again")
    return True if verb == "set" else result


def _open(attempts: Attempts, cache: ResponseCache) -> Any:
    """The store of a cache that is not kept in memory, opened on first use.

    Raises:
        StoreError: It cannot be opened.
        MissingDependencyError: An extra is missing.
    """
    cache.opened = opened = attempts.parts.open_cache_store(cache, attempts.parts.config)
    return opened


def read_entry(dialect: Dialect, entry: CacheEntry) -> tuple[list[Chunk] | None, ChatResponse] | None:
    """Read an entry: the chunks of a stream (``None`` for a whole answer) and the answer.

    ``None`` if it cannot be read, as after a change of the provider's API.
    """
    try:
        if entry.kind == "json":
            return None, dialect.parse_chat(loads(entry.body))
        decoder = dialect.stream_decoder()
        chunks = [*decoder.feed(entry.body), *([] if decoder.complete else decoder.finish())]
        return (chunks, decoder.response()) if decoder.complete else None
    except (ProviderKitError, StreamFailure, *PARSE_ERRORS):
        return None


def from_cache(
    attempts: Attempts, answer: ChatResponse, entry: CacheEntry, warnings: list[ParameterWarning]
) -> ChatResponse:
    """A stored answer as the answer of this call."""
    answer.provider = attempts.endpoint.name
    answer.request_id = entry.request_id
    answer.warnings = warnings
    answer.cache = "hit"
    answer.price_by(attempts.endpoint.directory, attempts.model or "")
    passed = attempts.runtime.now() - attempts.call.started
    answer.timings = Timings(passed, passed)
    answer.correlation_id = attempts.call.correlation_id
    return answer
