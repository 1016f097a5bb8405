"""Where prompt cache marks serve, and times to live as each API writes them.

A mark ends a prefix that is stored and found again. Prefixes run over tools, the system prompt and the conversation, in
this order. So a mark at the end of the system prompt serves every conversation that begins with it, one at the end of
the last turn the next turn, and one at the end of the turn before finds what that turn has stored, even if more blocks
follow it than the API looks back over. Source: Anthropic, "Prompt caching", whose marks OpenRouter and Qwen share.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from provider_kit.dialects.base import ParameterReport
from provider_kit.errors import InvalidRequestError

__all__ = ["OPENAI_LIFETIMES", "cache_mark", "cache_options", "lifetime_seconds", "mark_prefixes", "mark_tools"]

#: Most marks in a request.
MOST_MARKS = 4
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
#: Times to live of Anthropic's marks, in seconds.
_LIFETIMES = {300: "5m", 3600: "1h"}
#: Those of OpenAI's caches, from GPT-5.6 on.
OPENAI_LIFETIMES = {1800: "30m", 43200: "12h"}


def lifetime_seconds(cache: bool | str) -> int | None:
    """The seconds of a time to live such as ``"5m"`` or ``"1h"``; ``None`` where none is asked for.

    Raises:
        InvalidRequestError: It is no time to live.
    """
    if not isinstance(cache, str):
        return None
    found = re.fullmatch(r"([1-9]\d{0,6})([smhd])", cache)
    if found is None:
        raise InvalidRequestError(
            f"cache={cache[:40]!r} is not a time to live.", hint="Use True, or e.g. '5m', '1h' or '24h'."
        )
    return int(found[1]) * _UNITS[found[2]]


def _nearest(seconds: int, lifetimes: Mapping[int, str]) -> tuple[str, bool]:
    """The shortest lifetime that suffices, else the longest; and whether it is the one that was asked for."""
    chosen = min((one for one in lifetimes if one >= seconds), default=max(lifetimes))
    return lifetimes[chosen], chosen == seconds


def cache_mark(cache: bool | str, report: ParameterReport, *, lifetimes: bool = True) -> dict[str, str]:
    """A mark of Anthropic's form.

    Args:
        cache: What the caller asks for.
        report: Learns what could not be sent.
        lifetimes: Whether the server knows times to live.
    """
    seconds = lifetime_seconds(cache)
    if seconds is not None and not lifetimes:
        if seconds > min(_LIFETIMES):
            report.omit("cache", "caches live five minutes here.")
        seconds = None
    if seconds is None:
        return {"type": "ephemeral"}
    lifetime, same = _nearest(seconds, _LIFETIMES)
    if not same:
        report.omit("cache", f"caches live 5 minutes or an hour here; {lifetime} was sent.")
    return {"type": "ephemeral", "ttl": lifetime}


def cache_options(cache: bool | str, lifetimes: Mapping[int, str] | None, report: ParameterReport) -> dict[str, str]:
    """OpenAI's ``prompt_cache_options``, empty for the usual ones.

    Args:
        cache: What the caller asks for; ``False``: no caching.
        lifetimes: The times to live that the model offers, by seconds; ``None``: it decides itself.
        report: Learns what could not be sent.
    """
    seconds = lifetime_seconds(cache)
    if lifetimes is None:
        if seconds is not None:
            report.omit("cache", "this provider decides itself how long its caches live.")
        return {}
    if seconds is None:
        return {} if cache else {"mode": "explicit"}  # without a mark, nothing is written to the cache
    lifetime, same = _nearest(seconds, lifetimes)
    if not same:
        report.omit("cache", f"caches live {' or '.join(lifetimes.values())} here; {lifetime} was sent.")
    return {"ttl": lifetime}


def mark_tools(body: dict[str, Any], mark: Mapping[str, str]) -> bool:
    """Mark the end of the tools, if there are any; the caller's own mark stays, and the caller's list as it is."""
    tools = body.get("tools")
    if not tools:
        return False
    body["tools"] = [*tools[:-1], {"cache_control": mark, **tools[-1]}]
    return True


def mark_prefixes(
    messages: Sequence[dict[str, Any]],
    others: Sequence[Callable[[], bool]],
    mark: Callable[[dict[str, Any]], bool],
    room: int,
) -> None:
    """Mark the ends of the prefixes that serve, the most useful first.

    Args:
        messages: The messages as they are written.
        others: Mark the system prompt, and the tools; each tells whether it did.
        mark: Marks the end of a message; tells whether it could.
        room: Marks that may still be set.
    """
    last = _mark_before(messages, len(messages) - 1, mark) if room > 0 else -1
    room -= last >= 0
    for other in others:
        if room > 0 and other():
            room -= 1
            break  # a mark after the system prompt covers the tools before it
    if room > 0 and last > 0:
        _mark_before(messages, _end_before(messages, last), mark)


def _mark_before(messages: Sequence[dict[str, Any]], position: int, mark: Callable[[dict[str, Any]], bool]) -> int:
    """Mark the last message up to a position that can be; return where it is, -1 for none."""
    while position >= 0 and not mark(messages[position]):
        position -= 1
    return position


def _end_before(messages: Sequence[dict[str, Any]], position: int) -> int:
    """Where the request before the last answer ended, -1 for nowhere."""
    while position >= 0 and messages[position].get("role") != "assistant":
        position -= 1
    while position >= 0 and messages[position].get("role") == "assistant":
        position -= 1
    return position
