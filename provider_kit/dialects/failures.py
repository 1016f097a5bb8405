"""Error answers of every provider to typed errors.

What an error means is decided by the provider's own code first, then by its type, then by known words
of its message, and by the HTTP status last, because providers reuse statuses: a spending limit is a 400
at one, a wrong key a 400 at another, a quota that no wait mends a 429 at most.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from provider_kit.dialects.reported_error import (
    NO_REASON,
    Reported,
    is_of_a_day,
    page_title,
    read_error,
    request_id_in,
    searched_part,
    wait_from_body,
)
from provider_kit.errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    ContentFilterError,
    ContextLengthExceededError,
    InsufficientQuotaError,
    InternalServerError,
    InvalidResponseError,
    ModelNotFoundError,
    NotFoundError,
    OverloadedError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitError,
    RequestTimeoutError,
    RequestTooLargeError,
    UnprocessableEntityError,
)
from provider_kit.model.json_text import loads
from provider_kit.wire.response_headers import request_id, retry_after

__all__ = ["error_from_body", "error_from_response", "holds_error", "looks_like_html"]

_BY_STATUS: dict[int, type[APIError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: PaymentRequiredError,
    403: PermissionDeniedError,
    404: NotFoundError,
    408: RequestTimeoutError,
    409: ConflictError,
    410: NotFoundError,
    413: RequestTooLargeError,
    422: UnprocessableEntityError,
    424: InternalServerError,
    425: RateLimitError,
    429: RateLimitError,
    498: OverloadedError,
    503: OverloadedError,
    504: RequestTimeoutError,
    524: RequestTimeoutError,
    529: OverloadedError,
}

#: Codes and types in lower case, of all providers; they do not contradict each other.
_BY_CODE: dict[str, type[APIError]] = {
    "context_length_exceeded": ContextLengthExceededError,
    "exceed_context_size_error": ContextLengthExceededError,
    "max_tokens_exceeded": ContextLengthExceededError,
    "token_limit_exceeded": ContextLengthExceededError,
    "string_above_max_length": ContextLengthExceededError,
    "content_policy_violation": ContentFilterError,
    "content_filter": ContentFilterError,
    "invalid_prompt": ContentFilterError,
    "bio_policy": ContentFilterError,
    "misalignment_policy_violation": ContentFilterError,
    "image_content_policy_violation": ContentFilterError,
    "data_inspection_failed": ContentFilterError,
    "datainspectionfailed": ContentFilterError,
    "responsibleaipolicyviolation": ContentFilterError,
    "refusal": ContentFilterError,
    "invalid_api_key": AuthenticationError,
    "invalidapikey": AuthenticationError,
    "authentication_error": AuthenticationError,
    "authentication": AuthenticationError,
    "api_key_invalid": AuthenticationError,
    "unauthenticated": AuthenticationError,
    "permission_error": PermissionDeniedError,
    "permission_denied": PermissionDeniedError,
    "accessdenied": PermissionDeniedError,
    "billing_error": PaymentRequiredError,
    "billing_hard_limit_reached": PaymentRequiredError,
    "payment_required": PaymentRequiredError,
    "arrearage": PaymentRequiredError,
    "enforced_spend_limit_reached": PaymentRequiredError,
    "contract_spend_limit_reached": PaymentRequiredError,
    "organization_on_hold": PaymentRequiredError,
    "insufficient_quota": InsufficientQuotaError,
    "credit_balance_exhausted": InsufficientQuotaError,
    "allocationquota.freetieronly": InsufficientQuotaError,
    "model_not_found": ModelNotFoundError,
    "modelnotfound": ModelNotFoundError,
    "unknown_model": ModelNotFoundError,
    "deploymentnotfound": ModelNotFoundError,
    "rate_limit_exceeded": RateLimitError,
    "rate_limit_error": RateLimitError,
    "too_many_requests_error": RateLimitError,
    "request_quota_exceeded": RateLimitError,
    "token_quota_exceeded": RateLimitError,
    "slow_down": RateLimitError,
    "limit_requests": RateLimitError,
    "throttling": RateLimitError,
    "overloaded_error": OverloadedError,
    "server_is_overloaded": OverloadedError,
    "service_unavailable_error": OverloadedError,
    "provider_overloaded": OverloadedError,
    "provider_unavailable": OverloadedError,
    "capacity_exceeded": OverloadedError,
    "queue_exceeded": OverloadedError,
    "unavailable": OverloadedError,
    "unavailable_error": OverloadedError,
    "insufficient_system_resource": OverloadedError,
    "timeout": RequestTimeoutError,
    "timeout_error": RequestTimeoutError,
    "deadline_exceeded": RequestTimeoutError,
    "request_too_large": RequestTooLargeError,
    "payload_too_large": RequestTooLargeError,
    "server_error": InternalServerError,
    "api_error": InternalServerError,
    "internal": InternalServerError,
    "internalerror": InternalServerError,
    "server": InternalServerError,
    "resource_exhausted": RateLimitError,
}

_CONTEXT_WORDS = re.compile(
    r"maximum context length|maximum prompt length|prompt is too long|exceeds the context window"
    r"|exceeds the available context|exceeds? the maximum number of tokens|range of input length should be"
    r"|too large for model with|current length is \d+ while limit is|reduce the length of the messages"
    r"|context length exceeded|trying to keep the first \d+ tokens",
    re.IGNORECASE,
)
_KEY_WORDS = re.compile(r"incorrect api key|api key not valid|invalid api key", re.IGNORECASE)
_MODEL_WORDS = re.compile(
    r"^model:|models?/\S+ is not found|model ['\"`]?\S+['\"`]? (?:does not exist|not found)|not found, try pulling",
    re.IGNORECASE,
)
_EMBEDDED: tuple[tuple[str, type[APIError]], ...] = (
    ("token quota is not enough", InsufficientQuotaError),
    ("quota exceeded", InsufficientQuotaError),
    ("rate limit exceeded", RateLimitError),
    ("capacity exceeded", OverloadedError),
    ("overloaded", OverloadedError),
    ("currently unavailable", OverloadedError),
)

#: Longest text of a body that an error keeps.
_BODY_LIMIT = 4000


def holds_error(payload: Mapping[str, Any], answers: Iterable[str]) -> bool:
    """Whether an object that came with a good status is an error.

    Args:
        payload: The object: a whole answer, or one event of a stream.
        answers: Names of fields that only an answer has.
    """
    if payload.get("error"):
        return True
    if any(name in payload for name in answers):
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
        pass  # it is no JSON, or nested as deeply as no error is: its text is told
    text = body[:_BODY_LIMIT].decode("utf-8", "replace")
    page = looks_like_html(body)
    told = Reported(page_title(text) if page else text.strip()[:500] or NO_REASON)
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
    """The typed error for an error object, wherever it stood: in an error answer, a 200, or a stream."""
    return _make(read_error(payload), status, headers, payload, provider, overrides)


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
        wait = wait_from_body(reported)
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
        request_id=request_id_in(body) or told_id,
    )
    if isinstance(error, InsufficientQuotaError):
        error.daily = is_of_a_day(reported)
    elif isinstance(error, RateLimitError) and wait is not None:
        error.hint = f"Wait {wait:g} s, or lower the request rate."
    if headers.get("x-should-retry") == "true":
        error.retryable = True
    elif headers.get("x-should-retry") == "false":
        error.retryable = False
    elif effective == 501:
        error.retryable = False  # not implemented now means not implemented in a moment
        error.with_hint("The server does not have this; check base_url, the model, and what was asked for.")
    elif reported.code == "openrouter_in_flight_budget" or (
        reported.metadata and reported.metadata.get("limit_source") == "openrouter_in_flight_budget"
    ):
        error.retryable = True
    return error


def _class_of(
    reported: Reported, status: int, wait: float | None, overrides: Mapping[str, type[APIError]]
) -> type[APIError]:
    message = searched_part(reported.message)
    words = [*map(str.lower, filter(None, (reported.code, reported.type)))]
    for word in words:
        if word in overrides:
            return overrides[word]
    source = reported.metadata.get("limit_source") if reported.metadata else None
    if source == "openrouter_in_flight_budget":
        return RateLimitError
    if status == 403 and isinstance(source, str) and source.startswith("openrouter_"):
        return InsufficientQuotaError
    if status < 500 and status != 429 and _CONTEXT_WORDS.search(message):
        return ContextLengthExceededError
    if status in (400, 401, 403) and _KEY_WORDS.search(message):
        return AuthenticationError
    if status == 404 and _MODEL_WORDS.search(message):
        return ModelNotFoundError
    if status == 413 and "rate_limit_exceeded" in words:
        return RequestTooLargeError  # a single request beyond the rate: no wait makes it fit
    if status == 403 and reported.metadata and "reasons" in reported.metadata:
        return ContentFilterError  # OpenRouter's moderation
    if status == 402:
        return PaymentRequiredError
    if status == 429 or "resource_exhausted" in words:
        return _rate_or_quota(reported, words)
    for word in words:
        found = _BY_CODE.get(word) or _BY_CODE.get(word.split(".", 1)[0])
        # A status below 500 is not turned into a server error by a vague type such as "api_error".
        if found is not None and not (found is InternalServerError and 400 <= status < 500):
            return _BY_STATUS.get(status, found) if found is InternalServerError else found
    if status == 200:
        lowered = f"{message} {reported.code}".lower()
        for phrase, found in _EMBEDDED:
            if phrase in lowered:
                return found
        return InternalServerError if not words else BadRequestError if "invalid_request_error" in words else APIError
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return InternalServerError if status >= 500 else BadRequestError if status >= 400 else APIError


def _rate_or_quota(reported: Reported, words: list[str]) -> type[APIError]:
    if "insufficient_quota" in words or "credit_balance_exhausted" in words:
        return InsufficientQuotaError
    if is_of_a_day(reported) or re.search(r"limit: 0\b", searched_part(reported.message)):
        return InsufficientQuotaError
    return RateLimitError
