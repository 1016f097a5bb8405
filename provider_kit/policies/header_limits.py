"""Rate limits learned from response headers: a call that would be refused is delayed instead.

Each answer updates what is known of a key and model; each call in between is counted against it. Where nothing is left,
a call waits until there is; beyond the threshold (0.8 used) calls are spaced as the allowance refills. Unknown limits
are never guessed, and a distant reset (a daily one) only matters when nothing is left.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from attrs import define

from provider_kit.policies.after_fork import renew_after_fork
from provider_kit.wire.rate_limit_headers import RateLimitInfo, read_headroom, read_rate_limits

__all__ = ["HeaderLimits"]

#: Most pairs of key and model remembered.
_MOST = 200
#: Seconds: calls are spaced only for allowances that are full again within this time.
_NEAR = 120.0
#: Answers, and seconds, between two readings of limits that are far from reached.
_UNREAD, _SOON = 16, 0.1
#: Tolerance for rounding errors.
_SLACK = 1e-6


@define
class _Known:
    #: When the answer came, on the clock.
    when: float
    #: The answer's headers until they are read in full, and the other arguments for that.
    headers: Mapping[str, str] | None
    model: str
    key: str
    time: float
    _info: RateLimitInfo | None = None
    #: Requests and tokens that may be used before the limits are read again.
    room: float = 0.0
    token_room: float = 0.0
    #: The limits as they are written.
    limits: tuple[str, ...] = ()
    #: When the limits were last read in full, and the number of answers skipped since.
    looked: float = 0.0
    unread: int = 0
    #: Calls and tokens since then.
    requests: float = 0.0
    tokens: float = 0.0
    #: Those that are still waiting.
    waiting: float = 0.0
    waiting_tokens: float = 0.0
    #: Time before which no call is sent where calls are spaced.
    following: float = 0.0

    @property
    def info(self) -> RateLimitInfo:
        """The reported limits, parsed on first access."""
        if self._info is None:
            limits = read_rate_limits(self.headers or {}, now=self.time)
            self._info = RateLimitInfo(model=self.model, key=self.key, allowances=limits, updated=self.time)
            self.headers = None
        return self._info


class HeaderLimits:
    """Limits as the provider reports them, for each key and model.

    Args:
        threshold: Share of a limit beyond which calls are spaced; at 1 they are never spaced.
    """

    def __init__(self, threshold: float = 0.8) -> None:
        self.threshold = threshold
        #: The reported limits by key and model.
        self.known: dict[tuple[str, str], _Known] = {}
        #: Time until which headers are not searched where no limits are known.
        self.silent_until = float("-inf")
        self._lock = threading.RLock()
        renew_after_fork(self)

    def _after_fork(self) -> None:
        self._lock = threading.RLock()

    def skim(self, key_id: str, model: str, headers: Mapping[str, str], now: float, clock: Callable[[], float]) -> bool:
        """Whether an answer need not be read: its limits were far from reached, or none were reported."""
        known = self.known.get((key_id, model))
        if known is None:
            return now < self.silent_until
        if known.room < 1 or known.unread >= _UNREAD or now >= known.looked + _SOON:
            return False
        known.when, known.headers, known.time, known._info = now, headers, clock(), None
        known.requests, known.tokens = known.waiting, known.waiting_tokens
        known.unread += 1
        return True

    def nothing_told(self, now: float) -> None:
        """An answer carried no limits; the next ones are assumed not to either."""
        self.silent_until = now + _SOON

    def update(
        self,
        headers: Mapping[str, str],
        *,
        key_id: str,
        key: str,
        model: str,
        now: float,
        clock: Callable[[], float],
        whole: bool = True,
    ) -> RateLimitInfo | None:
        """Update the limits from an answer.

        Args:
            headers: The answer's headers.
            key_id: Which key was used.
            key: The key as it may be shown.
            model: The model that was asked.
            now: The clock.
            clock: Returns the seconds since 1970.
            whole: Whether to read all headers, even if no limit is near or has changed.

        Returns:
            The new limits, ``None`` if nothing changed.
        """
        made = _Known(now, headers, model, key, clock(), looked=now)
        room = read_headroom(headers, max(0.5, 1.0 - self.threshold))
        if room is not None:
            made.room, made.token_room, made.limits = room
        elif not made.info.allowances:
            return None
        with self._lock:
            place = (key_id, model)
            known = self.known
            former = known.pop(place, None)
            known[place] = made
            if former is not None:  # the answer does not count those still waiting
                made.requests = made.waiting = former.waiting
                made.tokens = made.waiting_tokens = former.waiting_tokens
                made.following = former.following
                made.room -= former.waiting
                made.token_room -= former.waiting_tokens
            while len(known) > _MOST:
                del known[next(iter(known))]
        if not whole and room is not None and former is not None and former.limits == made.limits:
            return None
        return made.info

    def knows(self, key_id: str, model: str | None) -> bool:
        """Whether limits were reported for a key and model."""
        return (key_id, model or "") in self.known

    def passes(self, key_id: str, model: str, tokens: float) -> bool:
        """Whether a call is far from every reported limit; it is counted then."""
        known = self.known.get((key_id, model))
        if known is None:
            return True
        if known.room < 1 or known.token_room < tokens:
            return False
        known.room -= 1
        known.token_room -= tokens
        known.requests += 1
        known.tokens += tokens
        return True

    def wait(self, key_id: str, model: str, tokens: float, now: float) -> float:
        """Seconds a call should wait."""
        known = self.known.get((key_id, model))
        if known is None or (known.room >= 1 and known.token_room >= tokens):
            return 0.0
        return self._look(known, tokens, now)[0]

    def claim(self, key_id: str, model: str, tokens: float, now: float) -> float:
        """Count a call and return the seconds it should wait. If that is more than 0, call :meth:`waited` afterwards.

        It is counted before the wait, so that later calls queue behind it.
        """
        with self._lock:
            known = self.known.get((key_id, model))
            if known is None:
                return 0.0
            wait, space = self._look(known, tokens, now)
            known.requests += 1
            known.tokens += tokens
            known.following = now + wait + space
            if wait > 0:
                known.waiting += 1
                known.waiting_tokens += tokens
            return wait

    def waited(self, key_id: str, model: str, tokens: float, *, went: bool) -> None:
        """A call has finished waiting: it is made now, or was given up."""
        with self._lock:
            known = self.known.get((key_id, model))
            if known is None:
                return
            known.waiting = max(0.0, known.waiting - 1)
            known.waiting_tokens = max(0.0, known.waiting_tokens - tokens)
            if not went:
                known.requests = max(0.0, known.requests - 1)
                known.tokens = max(0.0, known.tokens - tokens)

    def allowed_in(self, model: str, tokens: float, now: float) -> float:
        """Seconds until every limit of a model allows a call, with the best of its keys; 0 if nothing is known."""
        with self._lock:
            waits = [
                self._look(known, tokens, now, spaced=False)[0]
                for (_, name), known in self.known.items()
                if name == model
            ]
        return min(waits, default=0.0)

    def _look(self, known: _Known, tokens: float, now: float, *, spaced: bool = True) -> tuple[float, float]:
        """Seconds a call should wait, and seconds between it and the next one, if calls are spaced."""
        passed = now - known.when
        longest = space = 0.0
        for name, told in known.info.allowances.items():
            if told.reset is None or told.remaining is None or passed >= told.reset:
                continue
            limit = told.limit
            if name.startswith("credits") or limit is None:  # a remainder without a reset time says little
                continue
            # The estimate covers input and output; for one of them it would be far too high.
            need, spent = 1.0, 0.0
            if name.startswith("requests"):
                spent = known.requests
            elif name.startswith("tokens"):
                need, spent = max(1.0, min(tokens, limit)), known.tokens
            reset = told.reset - passed
            pace = max(0.0, limit - told.remaining) / told.reset if told.steady else 0.0
            left = told.remaining - spent + passed * pace
            if need - left > _SLACK:
                longest = max(longest, (need - left) / pace if pace > 0 else reset)
            elif spaced and reset <= _NEAR and left <= limit * (1.0 - self.threshold) + _SLACK:
                space = max(space, min(reset, need / pace if pace > 0 else reset * need / left))
        if space > 0:
            longest = max(longest, known.following - now)
        return longest, space if self.threshold < 1 else 0.0

    def headroom(self, model: str, now: float) -> float:
        """The share of its limits that a model has left, by the scarcest one and the best of its keys; 1 if unknown."""
        best: float | None = None
        with self._lock:
            for (_, name), known in self.known.items():
                if name == model:
                    share = self._share_left(known, now)
                    best = share if best is None else max(best, share)
        return 1.0 if best is None else best

    def _share_left(self, known: _Known, now: float) -> float:
        passed, least = now - known.when, 1.0
        for name, told in known.info.allowances.items():
            if not told.limit or told.remaining is None or (told.reset is not None and passed >= told.reset):
                continue
            spent = known.requests if name.startswith("requests") else known.tokens if name == "tokens" else 0.0
            left = told.remaining - spent
            if told.reset and told.steady:
                left += max(0.0, told.limit - told.remaining) * passed / told.reset
            least = min(least, max(0.0, left / told.limit))
        return least

    def snapshot(self) -> list[RateLimitInfo]:
        """All known limits, the latest last."""
        with self._lock:
            return [known.info for known in self.known.values()]
