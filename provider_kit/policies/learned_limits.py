"""What the providers' headers teach: when a call would be refused, it is better not made.

Each answer updates what is known of a key and model; each call in between is counted against it. Where
nothing is left, a call waits until there is something; beyond the threshold (0.8 used) calls are spaced
as the allowance fills up. What nobody told is never guessed, and a far-away reset (a daily one) is only
minded when nothing is left.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from attrs import define

from provider_kit.policies.after_fork import renew_after_fork
from provider_kit.wire.rate_limit_headers import RateLimitInfo, read_rate_limits

__all__ = ["LearnedLimits"]

#: Most pairs of key and model remembered.
_MOST = 200
#: Seconds: calls are spaced only for allowances that are whole again within this time.
_NEAR = 120.0
#: What arithmetic with fractions may be off by.
_SLACK = 1e-6


@define
class _Known:
    info: RateLimitInfo
    #: Clock reading of the answer.
    when: float
    #: Calls and tokens since then.
    requests: float = 0.0
    tokens: float = 0.0
    #: Those of them that still wait.
    waiting: float = 0.0
    waiting_tokens: float = 0.0
    #: Clock reading before which no call goes where calls are spaced.
    following: float = 0.0


class LearnedLimits:
    """Limits as the provider tells them, for each key and model.

    Args:
        threshold: Share of a limit beyond which calls are spaced; at 1 they are never spaced.
    """

    def __init__(self, threshold: float = 0.8) -> None:
        self.threshold = threshold
        self._known: dict[tuple[str, str], _Known] = {}
        self._lock = threading.Lock()
        renew_after_fork(self)

    def _after_fork(self) -> None:
        self._lock = threading.Lock()

    def update(
        self,
        headers: Mapping[str, str],
        *,
        key_id: str,
        key: str,
        model: str,
        now: float,
        clock: Callable[[], float],
    ) -> RateLimitInfo | None:
        """Learn from an answer.

        Args:
            headers: The answer's headers.
            key_id: Which key was used.
            key: The key as it may be shown.
            model: The model that was asked.
            now: The clock.
            clock: Tells the seconds since 1970.

        Returns:
            What is new, ``None`` if the answer tells nothing.
        """
        time = clock()
        limits = read_rate_limits(headers, now=time)
        if not limits:
            return None
        info = RateLimitInfo(model=model, key=key, allowances=limits, updated=time)
        with self._lock:
            place = (key_id, model)
            known = self._known
            former = known.pop(place, None)
            made = known[place] = _Known(info, now)
            if former is not None:  # the answer knows nothing of those who wait
                made.requests = made.waiting = former.waiting
                made.tokens = made.waiting_tokens = former.waiting_tokens
                made.following = former.following
            while len(known) > _MOST:
                del known[next(iter(known))]
        return info

    def knows(self, key_id: str, model: str | None) -> bool:
        """Whether anything was told for a key and model."""
        return (key_id, model or "") in self._known

    def wait(self, key_id: str, model: str, tokens: float, now: float) -> float:
        """Seconds a call had better wait."""
        known = self._known.get((key_id, model))
        return 0.0 if known is None else self._look(known, tokens, now)[0]

    def claim(self, key_id: str, model: str, tokens: float, now: float) -> float:
        """Count a call: seconds it had better wait. If that is more than 0, tell with :meth:`waited` what came of it.

        It is counted before the wait, so that those who come meanwhile queue up behind.
        """
        with self._lock:
            known = self._known.get((key_id, model))
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
        """A call that waited is made now, or was given up."""
        with self._lock:
            known = self._known.get((key_id, model))
            if known is None:
                return
            known.waiting = max(0.0, known.waiting - 1)
            known.waiting_tokens = max(0.0, known.waiting_tokens - tokens)
            if not went:
                known.requests = max(0.0, known.requests - 1)
                known.tokens = max(0.0, known.tokens - tokens)

    def _look(self, known: _Known, tokens: float, now: float) -> tuple[float, float]:
        """Seconds a call had better wait, and seconds that should lie between it and the one after it."""
        passed = now - known.when
        longest = space = 0.0
        for name, told in known.info.allowances.items():
            if told.reset is None or told.remaining is None or passed >= told.reset:
                continue
            limit = told.limit
            if name.startswith("credits") or limit is None:  # nothing left of what is not told means little
                continue
            # An estimate is of a call's tokens together; for those of one direction it would be far too high.
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
            elif reset <= _NEAR and left <= limit * (1.0 - self.threshold) + _SLACK:
                space = max(space, min(reset, need / pace if pace > 0 else reset * need / left))
        if space > 0:
            longest = max(longest, known.following - now)
        return longest, space if self.threshold < 1 else 0.0

    def snapshot(self) -> list[RateLimitInfo]:
        """All that is known, the latest last."""
        with self._lock:
            return [known.info for known in self._known.values()]
