"""The way in and out of every attempt: place, circuit, key, rate limit.

The policies decide; the gate asks them in order, waits for as long as they say, and reports to them what
came of it. One gate belongs to one client and serves all its threads and event loops.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from attrs import define, field

from provider_kit.auth.credential_pool import CredentialPool
from provider_kit.auth.keys.state import Key
from provider_kit.engine import waiting
from provider_kit.engine.endpoint import Draft, Endpoint
from provider_kit.engine.events import EventBus
from provider_kit.engine.waiting import DEFAULT_QUEUE_TIMEOUT, MAX_WAIT_SLICE
from provider_kit.errors import AuthError, CircuitOpenError
from provider_kit.model.config import ProviderConfig
from provider_kit.policies.circuit_breaker import CircuitBreaker
from provider_kit.policies.concurrency import Place, Slots
from provider_kit.policies.header_limits import HeaderLimits
from provider_kit.policies.outage import Outage
from provider_kit.policies.rate_limit import Limiter, SlidingWindows, Ticket
from provider_kit.policies.response_cache import ResponseCache
from provider_kit.stores.daily_counter import DailyCounter

if TYPE_CHECKING:
    from provider_kit.engine.attempts import Run

__all__ = ["NOTHING_HELD", "Gate", "Lease", "Shared"]

_DAY = 86400.0


@define(eq=False)
class Lease:
    """What one attempt holds while it is under way."""

    key: Key | None = None
    place: Place | None = None
    ticket: Ticket | None = None
    limiter: SlidingWindows | None = None
    #: Tokens it was expected to use.
    tokens: float = 0.0
    #: Number from the circuit breaker.
    generation: int | None = None
    #: Whether the user's own limiter counts it.
    claimed: bool = False
    #: Its place in the queue of a limiter that several clients share.
    common: Ticket | None = None
    #: What it holds in the shared store.
    remote: str | None = None
    #: The key as it was sent; a token may be renewed meanwhile.
    sent: str = field(default="", repr=False)


#: What a call holds before its first attempt.
NOTHING_HELD = Lease()


class Shared(Protocol):
    """State that several processes share; see ``stores``."""

    async def begin(self, gate: Gate, run: Run) -> None:
        """Bring circuit and keys up to date."""
        ...

    async def take(self, gate: Gate, run: Run, lease: Lease) -> float | None:
        """Claim room in the shared windows: seconds to wait, 0 if admitted, ``None`` if there is no store now."""
        ...

    async def finish(self, gate: Gate, run: Run, lease: Lease, ok: bool | None, used: float) -> None:
        """Tell the others how an attempt ended."""
        ...


class Gate:
    """All policies of one client."""

    def __init__(
        self,
        endpoint: Endpoint,
        config: ProviderConfig,
        *,
        breaker: CircuitBreaker | None = None,
        limiter: Limiter | None = None,
        events: EventBus | None = None,
        shared: Shared | None = None,
        cache: ResponseCache | None = None,
        open_store: Callable[[ResponseCache, ProviderConfig], object] | None = None,
    ) -> None:
        limits = config.rate_limit
        self.endpoint = endpoint
        self.config = config
        self.breaker = breaker
        #: A limiter with a queue, in which calls wait as they do in one of the gate's own.
        windows = getattr(limiter, "windows", None)
        self.common = windows if isinstance(windows, SlidingWindows) else None
        self.custom_limiter = limiter if self.common is None else None
        self.events = events or EventBus(endpoint.name, None)
        self.shared = shared
        self.cache = cache
        self._open_store = open_store
        self.limits = limits if limits is not None and limits.enabled else None
        self.learned = HeaderLimits(limits.throttle_threshold if limits is not None else 0.8)
        self.slots = Slots(config.max_concurrency) if config.max_concurrency else None
        pool = endpoint.given_pool
        self.renewable = pool is not None and pool.renewable
        counted = self.limits is not None and bool(self.limits.tokens_per_minute)
        #: Whether the tokens that calls really used must be known.
        self.wants_usage = self.renewable or limiter is not None or counted
        #: Whether there is nothing that must be awaited in any case.
        self._quick = shared is None and limiter is None and not (self.limits is not None and self.limits.persist)
        self._limiters: dict[str, SlidingWindows] = {}
        self.day: DailyCounter | None = None
        self.day_outage = Outage()
        #: Whether it was said that a call is larger than the limit of tokens.
        self._told_large = False

    def open_cache_store(self, cache: ResponseCache) -> object:
        """The store of a cache that is not kept in memory, opened on first use.

        Raises:
            StoreError: It cannot be opened.
            MissingDependencyError: An extra is missing.
        """
        assert self._open_store is not None  # the client gives it along with a cache
        cache.opened = opened = self._open_store(cache, self.config)
        return opened

    # -------------------------------------------------------------------------------------------- in

    def enter_at_once(self, run: Run, draft: Draft) -> Lease | None:
        """What :meth:`enter` gives to a first attempt, where nothing has to be waited for and nothing told.

        Most attempts enter here: it costs a fraction of the way that can wait. Where it gives ``None``,
        nothing has been changed.
        """
        pool, breaker = self.endpoint.known_keys, self.breaker
        if not self._quick or pool is None or run.probing or (breaker is not None and not breaker.closed):
            return None
        now = run.transport.now()
        lease = Lease()
        if self.slots is not None:
            place = lease.place = self.slots.take(run.transport.is_loop_closed())
            if not place.granted:
                return self._undo(run, lease, now)
        key_id = ""
        if pool.has_multiple and run.limited:
            key = pool.pick(now, wait_of=lambda key: self.expected_wait(key, run, now), probe=False)
        else:
            key = pool.pick(now, probe=False)
        if key is not None:
            lease.key, key_id = key, key.id
            if key.fresh_until <= now:  # a token, and it is time to renew it
                return self._undo(run, lease, now)
        elif len(pool) or self.endpoint.provider.key_required:
            return self._undo(run, lease, now)
        if run.limited:
            if self.limits is not None:
                limiter = lease.limiter = self._limiter_of(key_id)
                tokens = lease.tokens = run.tokens if limiter.token_window is not None else 0.0
                if limiter.token_window is not None and tokens > limiter.token_window.limit and not self._told_large:
                    return self._undo(run, lease, now)  # there is something to be said
                lease.ticket = limiter.ask(tokens, now, ended=run.transport.is_loop_closed())
                if not lease.ticket.admitted:
                    return self._undo(run, lease, now)
            learned = self.learned
            if learned.anything and not learned.passes(key_id, run.model or "", run.weigh(draft)):
                return self._undo(run, lease, now)
        if breaker is not None:
            _, lease.generation, _ = breaker.admit(now)
        return lease

    def _undo(self, run: Run, lease: Lease, now: float) -> Lease | None:
        self._withdraw(run, lease, now)
        self.leave(run, lease)
        return None

    async def enter(self, run: Run) -> Lease:
        """Wait for whatever an attempt must wait for.

        Raises:
            CircuitOpenError: The provider is being left alone.
            AllKeysExhaustedError: No key may be used, and none will be soon enough.
            RateLimitExceededError: Its turn would come too late.
            AuthError: There is no key.
        """
        transport = run.transport
        lease = Lease()
        try:
            if self.slots is not None:
                lease.place = await waiting.acquire_slot(self, run, self.slots)
            shared = self.shared
            if shared is not None:
                await shared.begin(self, run)
            breaker = None if run.probing else self.breaker
            now = transport.now()
            if breaker is not None and (wait := breaker.blocked(now)) > 0:
                raise self._circuit_error(run, wait)
            key_id = await self._choose_key_and_turn(run, lease, now)
            if run.limited:
                if self.common is not None:
                    ticket = lease.common = self.common.ask(
                        run.tokens, transport.now(), ended=transport.is_loop_closed()
                    )
                    if not ticket.admitted:
                        await waiting.wait_for_turn(self, run, lease, self.common, ticket)
                elif self.custom_limiter is not None:
                    wait = self.custom_limiter.reserve(int(run.tokens), transport.now())
                    lease.claimed = True
                    await waiting.pause(self, run, wait)
                if not self.learned.passes(key_id, run.model or "", run.tokens):
                    await waiting.wait_for_advertised_limits(self, run, key_id)
                if self.limits is not None and self.limits.persist and self.limits.requests_per_day:
                    await waiting.count_of_the_day(self, run, key_id, self.limits.requests_per_day)
            if breaker is not None:
                wait, lease.generation, changed = breaker.admit(transport.now())
                if wait > 0:
                    lease.generation = None
                    raise self._circuit_error(run, wait)
                if changed is not None:
                    await self.events.emit(run, "circuit_half_open", "the circuit is half open; trying with care")
        except BaseException:  # cancelled too: what it holds must be free for others
            self._withdraw(run, lease, transport.now())
            self.leave(run, lease)
            raise
        return lease

    def _withdraw(self, run: Run, lease: Lease, now: float) -> None:
        """Nothing was sent, so nothing counts."""
        if lease.key is not None:
            lease.key.requests -= 1
        if lease.ticket is not None and lease.limiter is not None:
            lease.limiter.withdraw(lease.ticket, now)
        if lease.common is not None and self.common is not None:
            self.common.withdraw(lease.common, now)
        self._settle_custom(run, lease, 0.0, now)

    async def _choose_key_and_turn(self, run: Run, lease: Lease, now: float) -> str:
        """Choose a key and wait for its turn; the key's id."""
        while True:
            lease.key = key = await self._choose_key(run, now)
            key_id = key.id if key is not None else ""
            if self.limits is None or not run.limited:
                return key_id
            limiter = lease.limiter = self._limiter_of(key_id)
            tokens = lease.tokens = run.tokens if limiter.token_window is not None else 0.0
            if limiter.token_window is not None and tokens > limiter.token_window.limit and not self._told_large:
                self._told_large = True
                text = (
                    f"a call of about {tokens:.0f} tokens is larger than tokens_per_minute="
                    f"{limiter.token_window.limit:.0f}; it is sent alone, and exceeds the limit"
                )
                await self.events.emit(run, "rate_limit", text, level=logging.WARNING)
            ticket = lease.ticket = limiter.ask(
                tokens, now, elsewhere=self.shared is not None, ended=run.transport.is_loop_closed()
            )
            if ticket.admitted:
                return key_id
            has_turn = await waiting.wait_for_turn(self, run, lease, limiter, ticket)
            now = run.transport.now()
            if has_turn and (key is None or not _rests(key, now, self.endpoint.keys.has_multiple)):
                return key_id
            # While it waited, its key was sent to rest, or another one has got room.
            limiter.withdraw(ticket, now)
            if key is not None:
                key.requests -= 1
                lease.key = None

    async def _choose_key(self, run: Run, now: float) -> Key | None:
        endpoint, transport = self.endpoint, run.transport
        pool = endpoint.keys
        source = endpoint.key_source
        if source.function is not None:
            pool.set_keys(await source.fetch(transport))
        if not len(pool):
            if endpoint.provider.key_required:  # the last one was taken away
                raise pool.exhausted(now, **run.facts())
            return None

        def wait_of(key: Key) -> float:
            return self.expected_wait(key, run, now)

        compare = wait_of if pool.has_multiple and run.limited else None
        retries = getattr(run.policy, "max_retries", self.config.max_retries)
        told = revived = False
        while True:
            key = pool.pick(now, exclude=run.trail.excluded, wait_of=compare, prefer=run.trail.same_key)
            if key is not None:
                if run.trail.last_key is not None and run.trail.last_key != key.id:
                    await self.events.emit(run, "key_switch", f"going on with key {key.shown}", key=key.shown)
                if key.fresh_until <= now and not await self._renewed(key, run):
                    now = transport.now()
                    continue
                return key
            if isinstance(pool, CredentialPool) and not revived:
                revived = True
                if await pool.retry_dead(transport):
                    now = transport.now()
                    continue
            wait = pool.soonest(now, run.trail.excluded)
            asked = self.config.wait_for_key
            only = pool.only()
            eager = run.trail.eager or (asked is None and (run.probing or not retries))
            # Its owner handles retries; nothing is withheld from him.
            if only is not None and eager and (only.fresh_until > now or await self._renewed(only, run)):
                return only
            patience = float("inf") if asked is True else float(asked or 0.0)
            if asked is None and retries:
                patience = DEFAULT_QUEUE_TIMEOUT
            if wait is None or wait > patience or wait >= run.left(now) or run.probing:
                raise pool.exhausted(now, **run.facts()) from run.trail.last_error
            if not told:
                told = True
                await self.events.emit(run, "key_wait", f"every key rests; waiting {wait:.1f} s", wait=wait)
            await run.sleep(min(wait, MAX_WAIT_SLICE))  # a key may be added meanwhile
            now = transport.now()

    async def _renewed(self, key: Key, run: Run) -> bool:
        """Renew a token before it is sent; false if that failed and another credential may serve.

        Raises:
            AuthError: It failed, and there is no other one.
        """
        pool, transport = self.endpoint.keys, run.transport
        assert isinstance(pool, CredentialPool)  # no other one has keys that end
        deadline = run.limits.deadline
        if deadline is None and run.patience != float("inf"):
            deadline = run.patience
        try:
            changed = await pool.renew(key, transport, deadline)
        except AuthError as error:
            key.requests -= 1
            pool.renewal_failed(key, error, transport.now())
            run.trail_of_its_own().excluded.add(key.id)
            run.trail.last_error = error
            if not pool.has_multiple or not pool.usable(transport.now(), run.trail.excluded):
                raise
            await self.events.emit(run, "token_refresh_failed", f"no token of {key.shown}", error=error, key=key.shown)
            return False
        except BaseException:  # cancelled: it was not used
            key.requests -= 1
            raise
        if changed:
            await self.events.emit(run, "token_refresh", f"token of {key.shown} is fresh", key=key.shown)
        return True

    def expected_wait(self, key: Key, run: Run, now: float) -> float:
        """Seconds a call would wait for a key's limits."""
        wait = 0.0
        if self.limits is not None:
            wait = self._limiter_of(key.id).projected(run.tokens, now)
        if self.learned.knows(key.id, run.model):
            wait = max(wait, self.learned.wait(key.id, run.model or "", run.tokens, now))
        return wait

    def _limiter_of(self, key_id: str) -> SlidingWindows:
        found = self._limiters.get(key_id)
        if found is None:
            limits = self.limits
            assert limits is not None  # asked for only where there are limits
            requests = []
            if limits.requests_per_minute:
                requests.append((float(limits.requests_per_minute), 60.0))
                if limits.pacing == "smooth":
                    requests.append((1.0, 60.0 / limits.requests_per_minute))
            if limits.requests_per_day:
                requests.append((float(limits.requests_per_day), _DAY))
            tokens = (float(limits.tokens_per_minute), 60.0) if limits.tokens_per_minute else None
            found = self._limiters.setdefault(key_id, SlidingWindows(requests, tokens))
        return found

    def _circuit_error(self, run: Run, wait: float) -> CircuitOpenError:
        return CircuitOpenError(
            f"{self.endpoint.name} failed repeatedly and is left alone for another {wait:.0f} s.",
            retry_after=wait,
            hint=f"Try again in {wait:.0f} s, or use another provider meanwhile.",
            **run.facts(),
        )

    # -------------------------------------------------------------------------------------------- out

    def leave(self, run: Run, lease: Lease) -> None:
        """Give back whatever an attempt holds; its outcome remained open."""
        if lease.ticket is not None and lease.limiter is not None:
            lease.limiter.leave(lease.ticket)
        self._settle_custom(run, lease, None, run.transport.now())
        if lease.generation is not None and self.breaker is not None:
            self.breaker.record(lease.generation, None, run.transport.now())
            lease.generation = None
        if lease.place is not None and self.slots is not None:
            self.slots.leave(lease.place)
            lease.place = None

    def settle(self, run: Run, lease: Lease, used: float | None, now: float) -> None:
        """Tell the limits what an attempt used; ``None`` if nobody knows."""
        if lease.ticket is not None and lease.limiter is not None:
            lease.limiter.settle(lease.ticket, lease.ticket.tokens if used is None else used, now)
        if lease.common is not None and self.common is not None:
            self.common.settle(lease.common, lease.common.tokens if used is None else used, now)
        self._settle_custom(run, lease, used, now)

    def _settle_custom(self, run: Run, lease: Lease, used: float | None, now: float) -> None:
        if lease.claimed and self.custom_limiter is not None:
            lease.claimed = False
            self.custom_limiter.settle(int(run.tokens), int(run.tokens if used is None else used), now)


def _rests(key: Key, now: float, has_multiple: bool) -> bool:
    """Whether a key may not be used after all; the last one is kept back by a provider's word only."""
    return (key.server_specified and key.available_at > now) or (has_multiple and key.dead)
