"""Values of response headers: how long to wait, and the provider's request id."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC

from provider_kit.model.surrogates import mend

__all__ = ["date_seconds", "duration_seconds", "request_id", "retry_after"]

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|h|m|s|d)")
#: Characters of a duration, a number or a date; a longer value is ignored.
_LONGEST_VALUE = 100
_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_REQUEST_IDS = (
    "x-request-id",
    "request-id",
    "x-generation-id",
    "apim-request-id",
    "cerebras-request-id",
    "x-goog-request-id",
    "x-ms-request-id",
    "cf-ray",
)


def duration_seconds(text: str) -> float | None:
    """Seconds of a Go duration such as ``6m0s``, ``2m59.56s``, ``825ms``; ``None`` if it is none."""
    text = text.strip()
    if not text or len(text) > _LONGEST_VALUE or _DURATION.sub("", text):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(text))


def retry_after(headers: Mapping[str, str], *, now: float | None = None) -> float | None:
    """Seconds the provider asks to wait, or ``None``.

    ``retry-after-ms`` (milliseconds) takes precedence over ``retry-after`` (seconds or an HTTP date, RFC 9110 section
    10.2.3). A date is compared with the answer's own ``date`` header, so a wrong local clock does not matter.

    Args:
        headers: The answer's headers.
        now: Seconds since 1970, used where the answer has no ``date``.
    """
    if milliseconds := headers.get("retry-after-ms"):
        seconds = _number(milliseconds)
        if seconds is not None:
            return seconds / 1000
    text = headers.get("retry-after")
    if not text:
        return None
    seconds = _number(text)
    if seconds is None:
        seconds = duration_seconds(text)
    if seconds is not None:
        return seconds
    until = date_seconds(text)
    base = date_seconds(headers.get("date") or "") or now
    return None if until is None or base is None else max(0.0, until - base)


def request_id(headers: Mapping[str, str]) -> str | None:
    """The provider's id of the request, whichever header it uses; fit to be logged.

    aiohttp reads bytes of a header that are no UTF-8 as lone surrogates, which no log file takes.
    """
    for name in _REQUEST_IDS:
        if name in headers and (value := headers[name]):
            return value if value.isascii() else mend(value)
    return None


def _number(text: str) -> float | None:
    if len(text) > _LONGEST_VALUE:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def date_seconds(text: str) -> float | None:
    """Seconds since 1970 of an HTTP date (RFC 9110 section 5.6.7); ``None`` if it is none.

    All of its forms are in UTC, also where they do not say so (asctime's), or say that they do not know (``-0000``).
    """
    if len(text) > _LONGEST_VALUE:
        return None
    from email.utils import parsedate_to_datetime  # slow to import, and seldom needed

    try:
        found = parsedate_to_datetime(text)
        return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
