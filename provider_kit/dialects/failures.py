"""Turns error answers of every provider into typed errors.

What an error means is decided by the provider's own code first, then by its type, then by known words of its message,
and by the HTTP status last, because providers reuse statuses: a spending limit is a 400 at one, a wrong key a 400 at
another, and a used-up quota a 429 at most of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import frozen

from provider_kit.dialects.failure_words import (
    BY_CODE,
    BY_STATUS,
    CONTEXT_WORDS,
    EMBEDDED,
    KEY_WORDS,
    MODEL_WORDS,
    WAIT_WORDS,
)
from provider_kit.errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ContentFilterError,
    ContextLengthExceededError,
    InsufficientQuotaError,
    InternalServerError,
    InvalidResponseError,
    ModelNotFoundError,
    PaymentRequiredError,
    RateLimitError,
    RequestTooLargeError,
)
from provider_kit.model.json_text import loads
from provider_kit.model.surrogates import mend
from provider_kit.wire.response_headers import duration_seconds, request_id, retry_after

__all__ = ["error_from_body", "error_from_response", "holds_error", "looks_like_html"]


_NO_REASON = "The provider gave no reason."
#: Characters at either end of a message that are searched.
_SEARCHED = 1000
#: Longest text of a body that an error keeps.
_BODY_LIMIT = 4000


@frozen
class Reported:
    """The error a provider reported, whatever shape its body has."""

    message: str
    code: str | None = None
    type: str | None = None
    param: str | None = None
    status: int | None = None
    metadata: Mapping[str, Any] | None = None
    details: tuple[Mapping[str, Any], ...] = ()


def holds_error(payload: Mapping[str, Any], answers: Iterable[str]) -> bool:
    """Whether an object that came with a success status is an error.

    Args:
        payload: The object: a whole answer, or one event of a stream.
        answers: Names of fields that only an answer has.
    """
    if payload.get("error"):
        return True
    for name in answers:
        if name in payload:
            return False
    return (
        payload.get("object") == "error"
        or payload.get("type") == "error"
        or bool(payload.get("detail"))
        or bool(payload.get("errors"))
        or ("message" in payload and ("code" in payload or payload.get("status") in ("error", "failed")))
    )


def looks_like_html(body: bytes) -> bool:
    """Whether a body is a web page instead of an API's answer."""
    return body[:200].lstrip().lower().startswith((b"<!doctype", b"<html", b"<head", b"<?xml"))


def error_from_response(
    status: int, headers: Mapping[str, str], body: bytes, *, provider: str, overrides: Mapping[str, type[APIError]]
) -> APIError:
    """The typed error for an answer with an error status.

    Args:
        status: HTTP status, 300 or more.
        headers: The answer's headers.
        body: The answer's body, any shape.
        provider: Name of the provider.
        overrides: Codes that mean something else at this provider.
    """
    if 300 <= status < 400:
        return InvalidResponseError(
            f"The server redirects to {repr(headers['location']) if 'location' in headers else 'another address'}; "
            "redirects are not followed, "
            "so that no credential travels to another host.",
            status_code=status,
            headers=headers,
            provider=provider,
            hint="Set base_url to the address the server redirects to, if you trust it.",
        )
    try:
        payload: Any = loads(body) if body.strip() else None
        if payload is not None:
            return error_from_body(payload, status=status, headers=headers, provider=provider, overrides=overrides)
    except (ValueError, RecursionError):
        pass  # not JSON, or nested too deeply: use its text
    text = body[:_BODY_LIMIT].decode("utf-8", "replace")
    page = looks_like_html(body)
    told = Reported(_page_title(text) if page else text.strip()[:500] or _NO_REASON)
    error = _make(told, status, headers, text or None, provider, overrides)
    if page and status in (403, 404, 407, 502):
        error.with_hint(
            "The answer is a web page, not the API's: check base_url (does it need /v1?) and any proxy in between."
        )
    return error


def error_from_body(
    payload: Any,
    *,
    status: int,
    headers: Mapping[str, str],
    provider: str,
    overrides: Mapping[str, type[APIError]],
) -> APIError:
    """The typed error for an error object, wherever it was found: in an error answer, a 200, or a stream."""
    return _make(_read(payload), status, headers, payload, provider, overrides)


def _read(payload: Any) -> Reported:
    if isinstance(payload, list) and payload:
        payload = payload[0]
    if not isinstance(payload, Mapping):
        return Reported(str(payload)[:500].strip() or _NO_REASON)
    inner = payload.get("error")
    several = payload.get("errors")
    if not inner and several:
        inner = several[0] if isinstance(several, list) else several
    if isinstance(inner, str) and (inner.strip() or several):
        return Reported(inner.strip() or _NO_REASON, code=_word(payload.get("code")), type=_word(payload.get("type")))
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
    numeric = int(code) if isinstance(code, str) and re.fullmatch(r"\d{3}", code) else _status(code)
    word = None
    for value in (
        detail_code,
        metadata.get("error_type") if metadata else None,
        reason,
        code if numeric is None else None,
        inner.get("status") if not isinstance(inner.get("status"), int) else None,
    ):
        if value is not None and word is None:
            word = _word(value)
    kind, param, status = inner.get("type"), inner.get("param"), inner.get("status_code")
    return Reported(
        text if text.strip() else _NO_REASON,
        code=word,
        type=_word(kind) if kind is not None else None,
        param=_word(param) if param is not None else None,
        status=numeric or (_status(status) if status is not None else None),
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


def _status(value: Any) -> int | None:
    return value if type(value) is int and 100 <= value <= 999 else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _word(value: Any) -> str | None:
    return str(value) if value not in (None, "") and not isinstance(value, (Mapping, list)) else None


def _page_title(text: str) -> str:
    title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    return (
        f"The server answered with a web page: {title[1].strip()[:200]!r}"
        if title
        else "The server answered with a web page"
    )


def _make(
    reported: Reported,
    status: int,
    headers: Mapping[str, str],
    body: Any,
    provider: str,
    overrides: Mapping[str, type[APIError]],
) -> APIError:
    effective = reported.status if status == 200 and reported.status and reported.status >= 400 else status
    wait, told_id = retry_after(headers), request_id(headers)
    if wait is None:
        wait = _wait_from_body(reported)
    kind = _class_of(reported, effective, wait, overrides)
    error = kind(
        reported.message,
        status_code=effective,
        code=reported.code,
        type=reported.type,
        param=reported.param,
        body=body,
        headers=headers,
        retry_after=wait,
        provider=provider or None,
        request_id=_body_request_id(body) or told_id,
    )
    if isinstance(error, InsufficientQuotaError):
        error.daily = _of_a_day(reported)
    elif isinstance(error, RateLimitError) and wait is not None:
        error.hint = f"Wait {wait:g} s, or lower the request rate."
    if headers.get("x-should-retry") == "true":
        error.retryable = True
    elif headers.get("x-should-retry") == "false":
        error.retryable = False
    elif effective == 501:
        error.retryable = False  # 501: repeating the request does not help
        error.with_hint("The server does not implement this; check base_url, the model and the operation.")
    elif reported.code == "openrouter_in_flight_budget" or (
        reported.metadata and reported.metadata.get("limit_source") == "openrouter_in_flight_budget"
    ):
        error.retryable = True
    return error


def _class_of(
    reported: Reported, status: int, wait: float | None, overrides: Mapping[str, type[APIError]]
) -> type[APIError]:
    message = _matched(reported.message)
    words = [*map(str.lower, filter(None, (reported.code, reported.type)))]
    for word in words:
        if word in overrides:
            return overrides[word]
    source = reported.metadata.get("limit_source") if reported.metadata else None
    if source == "openrouter_in_flight_budget":
        return RateLimitError
    if status == 403 and isinstance(source, str) and source.startswith("openrouter_"):
        return InsufficientQuotaError
    if status < 500 and status != 429 and CONTEXT_WORDS.search(message):
        return ContextLengthExceededError
    if status in (400, 401, 403) and KEY_WORDS.search(message):
        return AuthenticationError
    if status == 404 and MODEL_WORDS.search(message):
        return ModelNotFoundError
    if status == 413 and "rate_limit_exceeded" in words:
        return RequestTooLargeError  # a single request above the limit: no wait makes it fit
    if status == 403 and reported.metadata and "reasons" in reported.metadata:
        return ContentFilterError  # OpenRouter's moderation
    if status == 402:
        return PaymentRequiredError
    if status == 429 or "resource_exhausted" in words:
        return _rate_or_quota(reported, words)
    for word in words:
        found = BY_CODE.get(word) or BY_CODE.get(word.split(".", 1)[0])
        # A status below 500 is not turned into a server error by a vague type such as "api_error".
        if found is not None and not (found is InternalServerError and 400 <= status < 500):
            return BY_STATUS.get(status, found) if found is InternalServerError else found
    if status == 200:
        lowered = f"{message} {reported.code}".lower()
        for phrase, found in EMBEDDED:
            if phrase in lowered:
                return found
        return InternalServerError if not words else BadRequestError if "invalid_request_error" in words else APIError
    if status in BY_STATUS:
        return BY_STATUS[status]
    return InternalServerError if status >= 500 else BadRequestError if status >= 400 else APIError


def _matched(message: str) -> str:
    """The part of a message that is searched for known words: its beginning and its end, since it may quote the
    request."""
    return message if len(message) <= 2 * _SEARCHED else f"{message[:_SEARCHED]} … {message[-_SEARCHED:]}"


def _rate_or_quota(reported: Reported, words: list[str]) -> type[APIError]:
    if "insufficient_quota" in words or "credit_balance_exhausted" in words:
        return InsufficientQuotaError
    if _of_a_day(reported) or re.search(r"limit: 0\b", _matched(reported.message)):
        return InsufficientQuotaError
    return RateLimitError


def _of_a_day(reported: Reported) -> bool:
    """Whether the used-up quota is a daily one."""
    for detail in reported.details:
        for violation in _list(detail.get("violations")):
            quota = str(violation.get("quotaId", "")) if isinstance(violation, Mapping) else ""
            if "PerDay" in quota or "Daily" in quota:
                return True
    return "free-models-per-day" in reported.message


def _wait_from_body(reported: Reported) -> float | None:
    for detail in reported.details:
        delay = detail.get("retryDelay")
        if isinstance(delay, str):
            seconds = duration_seconds(delay)
            if seconds is not None:
                return seconds
    said = WAIT_WORDS.search(_matched(reported.message))
    return duration_seconds(said[1]) if said else None


def _body_request_id(body: Any) -> str | None:
    value = body.get("request_id") if isinstance(body, Mapping) else None
    return mend(value) if isinstance(value, str) else None
