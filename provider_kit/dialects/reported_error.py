"""An error as a server told it, in whichever of the known forms; what it means is decided elsewhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from provider_kit.wire.response_headers import duration_seconds

__all__ = [
    "NO_REASON",
    "Reported",
    "is_of_a_day",
    "page_title",
    "read_error",
    "request_id_in",
    "searched_part",
    "wait_from_body",
]


_WAIT_WORDS = re.compile(r"(?:try again|retry) in ((?:\d+(?:\.\d+)?(?:ms|h|m|s))+)", re.IGNORECASE)


NO_REASON = "The provider gave no reason."
#: Characters at either end of a message that are searched.
_SEARCHED = 1000


@frozen
class Reported:
    """What a provider said went wrong, whatever shape its body has."""

    message: str
    code: str | None = None
    type: str | None = None
    param: str | None = None
    status: int | None = None
    metadata: Mapping[str, Any] | None = None
    details: tuple[Mapping[str, Any], ...] = ()


def read_error(payload: Any) -> Reported:
    """An error object, wherever its words stand."""
    if isinstance(payload, list) and payload:
        payload = payload[0]
    if not isinstance(payload, Mapping):
        return Reported(str(payload)[:500].strip() or NO_REASON)
    inner = payload.get("error")
    several = payload.get("errors")
    if not inner and several:
        inner = several[0] if isinstance(several, list) else several
    if isinstance(inner, str) and (inner.strip() or several):
        return Reported(
            inner.strip() or NO_REASON, code=as_word(payload.get("code")), type=as_word(payload.get("type"))
        )
    if not isinstance(inner, Mapping):
        inner = payload.get("response", {}).get("error") if isinstance(payload.get("response"), Mapping) else None
    if not isinstance(inner, Mapping):
        inner = payload
    details = inner.get("details")
    found = tuple(item for item in details if isinstance(item, Mapping)) if isinstance(details, list) else ()
    code = inner.get("code")
    metadata = inner.get("metadata") if isinstance(inner.get("metadata"), Mapping) else None
    detail_code = details.get("error_code") if isinstance(details, Mapping) else None
    reason = None
    for item in found:
        reason = reason or item.get("reason")
    message = inner.get("message")
    if message is None:
        message = inner.get("detail") or inner.get("msg") or inner.get("title") or ""
    if isinstance(message, Mapping):
        message = message.get("detail") or message.get("message") or message
    upstream = metadata.get("raw") if metadata else None
    text = message if isinstance(message, str) else _validation(message)
    if isinstance(upstream, str) and upstream and upstream not in text:
        text = f"{text}: {upstream[:500]}"
    numeric = int(code) if isinstance(code, str) and re.fullmatch(r"\d{3}", code) else as_status(code)
    word = None
    for value in (
        detail_code,
        metadata.get("error_type") if metadata else None,
        reason,
        code if numeric is None else None,
        inner.get("status") if not isinstance(inner.get("status"), int) else None,
    ):
        if value is not None and word is None:
            word = as_word(value)
    kind, param, status = inner.get("type"), inner.get("param"), inner.get("status_code")
    return Reported(
        text if text.strip() else NO_REASON,
        code=word,
        type=as_word(kind) if kind is not None else None,
        param=as_word(param) if param is not None else None,
        status=numeric or (as_status(status) if status is not None else None),
        metadata=metadata,
        details=found,
    )


def _validation(detail: Any) -> str:
    """FastAPI's list of validation problems as one sentence."""
    if isinstance(detail, list):
        return "; ".join(
            f"{'.'.join(str(step) for step in _list(item.get('loc')))}: {item.get('msg', '')}"
            if isinstance(item, Mapping)
            else str(item)
            for item in detail
        )
    return str(detail)


def as_status(value: Any) -> int | None:
    return value if type(value) is int and 100 <= value <= 999 else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def as_word(value: Any) -> str | None:
    return str(value) if value not in (None, "") and not isinstance(value, (Mapping, list)) else None


def page_title(text: str) -> str:
    """What a web page in place of an answer says of itself."""
    title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    return (
        f"The server answered with a web page: {title[1].strip()[:200]!r}"
        if title
        else "The server answered with a web page"
    )


def is_of_a_day(reported: Reported) -> bool:
    """Whether the quota that is used up is renewed every day."""
    for detail in reported.details:
        for violation in _list(detail.get("violations")):
            quota = str(violation.get("quotaId", "")) if isinstance(violation, Mapping) else ""
            if "PerDay" in quota or "Daily" in quota:
                return True
    return "free-models-per-day" in reported.message


def wait_from_body(reported: Reported) -> float | None:
    """Seconds to wait, where the body tells them."""
    for detail in reported.details:
        delay = detail.get("retryDelay")
        if isinstance(delay, str):
            seconds = duration_seconds(delay)
            if seconds is not None:
                return seconds
    said = _WAIT_WORDS.search(searched_part(reported.message))
    return duration_seconds(said[1]) if said else None


def request_id_in(body: Any) -> str | None:
    """The id of the request, where the body has it."""
    value = body.get("request_id") if isinstance(body, Mapping) else None
    return value if isinstance(value, str) else None


def searched_part(message: str) -> str:
    """What of a message is searched for known words: its beginning and its end, for it may quote what was sent."""
    return message if len(message) <= 2 * _SEARCHED else f"{message[:_SEARCHED]} … {message[-_SEARCHED:]}"
