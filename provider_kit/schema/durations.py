"""Durations as text (ISO 8601, RFC 3339 appendix A): ``PT1H30M``."""

from __future__ import annotations

import re
from datetime import timedelta

__all__ = ["format_duration", "parse_duration"]

_DURATION = re.compile(
    r"([+-])?P(?:(\d+(?:[.,]\d+)?)W)?(?:(\d+(?:[.,]\d+)?)D)?"
    r"(?:T(?:(\d+(?:[.,]\d+)?)H)?(?:(\d+(?:[.,]\d+)?)M)?(?:(\d+(?:[.,]\d+)?)S)?)?"
)


def parse_duration(text: str) -> timedelta:
    """A duration of weeks, days, hours, minutes and seconds.

    Raises:
        ValueError: It is none, or has months or years, whose length is not fixed.
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None or not any(found.groups()[1:]):
        raise ValueError(f"not a duration: {text!r}")
    sign, *numbers = found.groups()
    weeks, days, hours, minutes, seconds = (float((one or "0").replace(",", ".")) for one in numbers)
    length = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes)
    length += timedelta(seconds=int(seconds), microseconds=round(seconds % 1 * 1e6))
    return -length if sign == "-" else length


def format_duration(length: timedelta) -> str:
    """A duration as text that :func:`parse_duration` reads back exactly."""
    sign = "-" if length < timedelta(0) else ""
    length = abs(length)
    text = f"{sign}P{length.days}D" if length.days else f"{sign}P"
    seconds, micros = length.seconds, length.microseconds
    if seconds or micros or not length.days:
        fraction = f".{micros:06d}".rstrip("0") if micros else ""
        text += f"T{seconds}{fraction}S"
    return text
