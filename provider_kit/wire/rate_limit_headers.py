"""Rate limits from response headers: six families, one shape.

* OpenAI, Groq, xAI, Mistral, Fireworks, Azure: ``x-ratelimit-{limit,remaining,reset}-{requests,tokens}``;
  the reset is a duration such as ``6m0s`` or ``825ms`` (Azure: whole seconds) until the bucket is *full*.
* Anthropic: ``anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{limit,remaining,reset}``;
  the reset is an RFC 3339 time at which the bucket is full.
* Cerebras: ``x-ratelimit-{limit,remaining,reset}-{requests,tokens}-{minute,hour,day}``; the reset is in
  seconds, as a decimal number, until the next window begins.
* OpenRouter: ``x-ratelimit-{limit,remaining,reset}``; the reset is in milliseconds since 1970.
* Qwen: OpenAI's names, also with the prefixes ``qwen-ratelimit`` and ``dashscope-ratelimit``.
* Gemini sends none; its wait is in the body of the error.

What is missing or malformed is left out; nothing here raises.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache

from attrs import field, frozen

from provider_kit.wire.response_headers import date_seconds, duration_seconds

__all__ = ["Allowance", "RateLimitInfo", "has_rate_limits", "read_headroom", "read_rate_limits", "wait_told"]

_PREFIX = re.compile(r"^(?:x-ratelimit|anthropic-ratelimit|qwen-ratelimit|dashscope-ratelimit)-(.+)$")
#: Seconds; a reset farther away (the longest known window is a month) is ignored as invalid.
_LONGEST = 32 * 86400.0
#: Characters of a value; a longer one is ignored.
_LONGEST_VALUE = 100
_PARTS = ("limit", "remaining", "reset")
_SPANS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}
_KINDS = {
    "requests": "requests",
    "request": "requests",
    "tokens": "tokens",
    "token": "tokens",
    "input-tokens": "input_tokens",
    "output-tokens": "output_tokens",
    "tokens-prompt": "input_tokens",
    "tokens-generated": "output_tokens",
    "credits": "credits",
}


@frozen(kw_only=True)
class Allowance:
    """One limit and what is left of it."""

    #: The most that may be used in a window.
    limit: float | None = None
    #: What is left now.
    remaining: float | None = None
    #: Seconds from the answer until the limit is fully available again.
    reset: float | None = None
    #: Seconds of its window, where the header's name says; ``None`` otherwise.
    window: float | None = None
    #: Whether it fills up steadily (a bucket) or all at once (a window).
    steady: bool = True

    @property
    def used_share(self) -> float | None:
        """How much of it is used, between 0 and 1."""
        if not self.limit or self.remaining is None:
            return None
        return min(1.0, max(0.0, 1.0 - self.remaining / self.limit))

    def wait_for(self, amount: float) -> float:
        """Seconds from the answer until ``amount`` of it is available; 0 if it is, or if nothing is known."""
        if self.remaining is None or self.reset is None or self.remaining >= amount:
            return 0.0
        if not self.steady or not self.limit or self.limit <= self.remaining:
            return self.reset
        missing = min(amount, self.limit) - max(0.0, self.remaining)
        return self.reset * missing / (self.limit - max(0.0, self.remaining))


@frozen(kw_only=True)
class RateLimitInfo:
    """What a provider last reported about its limits, for one key and model."""

    model: str = ""
    #: The end of the key; empty where there is only one.
    key: str = ""
    #: By kind: ``requests``, ``tokens``, ``input_tokens``, ``output_tokens``, ``credits``; those of longer
    #: windows carry it in their name: ``requests_day``, ``tokens_hour``.
    allowances: Mapping[str, Allowance] = field(factory=dict)
    #: Time of the answer, in seconds since 1970.
    updated: float = 0.0

    @property
    def requests(self) -> Allowance | None:
        """Requests of the shortest window."""
        return self.allowances.get("requests")

    @property
    def tokens(self) -> Allowance | None:
        """Tokens of the shortest window."""
        return self.allowances.get("tokens")


def has_rate_limits(headers: Mapping[str, str]) -> bool:
    """Whether an answer may carry limits; fast, since it is called after every call."""
    names = " ".join(headers)
    return "ratelimit" in names or "RateLimit" in names or "Ratelimit" in names


@lru_cache(maxsize=256)
def _pairs(names: tuple[str, ...]) -> tuple[tuple[str, str, bool], ...]:
    """Header names of limits and of what remains of them, and whether they count tokens."""
    known = {name.lower(): name for name in names}
    found = []
    for lowered, name in known.items():
        limit = known.get(lowered.replace("remaining", "limit"))
        if "remaining" in lowered and limit is not None:
            found.append((limit, name, "token" in lowered))
    return tuple(found)


def read_headroom(headers: Mapping[str, str], floor: float) -> tuple[float, float, tuple[str, ...]] | None:
    """Read limits that are far from reached; faster than reading all headers after every call.

    Args:
        headers: The answer's headers.
        floor: Share of each limit that must remain, between 0 and 1.

    Returns:
        Requests and tokens that may be used until less than that remains, and the limits as they are written; ``None``
        where a limit is near, or cannot be judged this way.
    """
    pairs = _pairs(tuple([name for name in headers if "ratelimit" in name or "RateLimit" in name]))
    requests = tokens = float("inf")
    limits = []
    for limit, remaining, of_tokens in pairs:
        written = headers[limit]
        try:
            most = float(written)
            left = float(headers[remaining]) - floor * most
        except ValueError:
            return None
        if not left >= 1.0:
            return None
        limits.append(written)
        if of_tokens:
            tokens = min(tokens, left)
        else:
            requests = min(requests, left)
    return (requests, tokens, tuple(limits)) if pairs else None


def read_rate_limits(headers: Mapping[str, str], *, now: float | None = None) -> dict[str, Allowance]:
    """The limits an answer carries, by kind.

    Args:
        headers: The answer's headers, names in lower case or compared case-insensitively.
        now: Seconds since 1970, used for resets that are points in time where the answer has no ``date``.
    """
    found: dict[str, dict[str, str]] = {}
    for name, value in headers.items():
        match = _PREFIX.match(name.lower())
        if match is None:
            continue
        words = match[1].split("-")
        part = next((word for word in words if word in _PARTS), None)
        if part is None:
            continue
        words.remove(part)
        found.setdefault("-".join(words), {})[part] = value
    if not found:
        return {}
    base = date_seconds(headers.get("date") or "") or now
    limits: dict[str, Allowance] = {}
    for words_, parts in found.items():
        head, _, last = words_.rpartition("-")
        window = _SPANS.get(last)
        kind = _KINDS.get(head if window is not None else words_) if words_ else "requests"
        if kind is None:
            continue
        reset, epoch = _reset(parts.get("reset", ""), base)
        if reset is not None and reset > _LONGEST:
            reset = None
        made = Allowance(
            limit=_number(parts.get("limit")),
            remaining=_number(parts.get("remaining")),
            reset=reset,
            window=window,
            steady=window is None and not epoch,
        )
        if made.limit is None and made.remaining is None and made.reset is None:
            continue
        limits[kind if window in (None, 60.0) else f"{kind}_{last}"] = made
    return limits


def wait_told(headers: Mapping[str, str], *, now: float | None = None) -> float | None:
    """Seconds until a refused request may be sent again, by its answer's limits; ``None`` if they do not say.

    For an answer without a wait of its own. Only exhausted limits count.
    """
    waits = [
        told.wait_for(1.0)
        for kind, told in read_rate_limits(headers, now=now).items()
        if told.remaining is not None and told.remaining < 1 and told.reset is not None and kind != "credits"
    ]
    return max(waits, default=None)


def _reset(text: str, base: float | None) -> tuple[float | None, bool]:
    """Seconds until a reset, and whether it was given as a count of milliseconds since 1970."""
    text = text.strip()
    if len(text) > _LONGEST_VALUE:
        return None, False
    number = _number(text)
    if number is not None:
        if number > 1e11:  # milliseconds since 1970
            return (None if base is None else max(0.0, number / 1000 - base)), True
        if number > 1e9:  # seconds since 1970
            return (None if base is None else max(0.0, number - base)), True
        return number, False
    seconds = duration_seconds(text)
    if seconds is not None:
        return seconds, False
    try:
        until = datetime.fromisoformat(text)
        seconds = (until if until.tzinfo is not None else until.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None, False
    return (None if base is None else max(0.0, seconds - base)), False


def _number(text: str | None) -> float | None:
    if text is not None and len(text) > _LONGEST_VALUE:
        return None
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None  # Azure writes -1 for an unknown value
