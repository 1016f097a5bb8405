"""What the providers' headers teach: when a call would be refused, it is better not made.

Each answer updates what is known of a key and model; each call in between is counted against it. Where
nothing is left, a call waits until there is something; beyond the threshold (0.8 used) calls are spaced
as the allowance fills up. What nobody told is never guessed, and a far-away reset (a daily one) is only
minded when nothing is left.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from attrs import define, evolve

from provider_kit.wire.rate_limit_headers import Allowance, RateLimitInfo, read_rate_limits

__all__ = ["LearnedLimits"]

#: Most pairs of key and model remembered.
_MOST = 200
#: Seconds: calls are spaced only for allowances that are whole again within this time.
_NEAR = 120.0


@define
class _Known:
    info: RateLimitInfo
    #: Clock reading of the answer.
    when: float
    #: Calls and tokens since then.
    requests: float = 0.0
    tokens: float = 0.0
    #: Clock reading at which the next spaced call may go.
    following: float = 0.0


class LearnedLimits:
    """Limits as the provider tells them, for each key and model.

    Args:
        threshold: Share of a limit beyond which calls are spaced; 1 or more never spaces them.
    """

    def __init__(self, threshold: float = 0.8) -> None:
        self.threshold = threshold
        self._known: dict[tuple[str, str], _Known] = {}
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
            known[place] = _Known(info, now, following=former.following if former else 0.0)
            while len(known) > _MOST:
                del known[next(iter(known))]
        return info

    def knows(self, key_id: str, model: str | None) -> bool:
        """Whether anything was told for a key and model."""
        return (key_id, model or "") in self._known

    def wait(self, key_id: str, model: str, tokens: float, now: float) -> float:
        """Seconds a call had better wait."""
        known = self._known.get((key_id, model))
        if known is None:
            return 0.0
        passed = now - known.when
        longest = 0.0
        for name, told in known.info.allowances.items():
            if told.reset is None or told.remaining is None or passed >= told.reset:
                continue
            if name.startswith("credits") or told.limit is None:  # nothing left of what is not told means little
                continue
            need, spent = (max(1.0, tokens), known.tokens) if "token" in name else (1.0, known.requests)
            now_left = told.remaining - spent
            if told.steady and told.limit:
                now_left += passed * max(0.0, told.limit - told.remaining) / told.reset if told.reset else 0.0
            left = evolve(told, remaining=max(0.0, now_left), reset=max(0.0, told.reset - passed))
            need = min(need, told.limit)
            longest = max(longest, left.wait_for(need), self._space(known, left, now))
        return longest

    def _space(self, known: _Known, left: Allowance, now: float) -> float:
        share = left.used_share
        if share is None or share < self.threshold or not left.reset or left.reset > _NEAR or not left.limit:
            return 0.0
        return max(0.0, known.following - now)

    def spend(self, key_id: str, model: str, tokens: float, now: float) -> None:
        """A call is made."""
        known = self._known.get((key_id, model))
        if known is None:
            return
        with self._lock:
            known.requests += 1
            known.tokens += tokens
            told = known.info.requests
            if told is not None and told.reset and told.limit and told.remaining is not None:
                missing = max(1.0, told.limit - told.remaining)
                each = told.reset / missing if told.steady else told.reset / max(1.0, told.remaining)
                known.following = max(known.following, now) + each

    def snapshot(self) -> list[RateLimitInfo]:
        """All that is known, the latest last."""
        with self._lock:
            return [known.info for known in self._known.values()]
