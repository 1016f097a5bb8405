"""Tables of the meaning of statuses, error codes and messages of providers."""

from __future__ import annotations

import re

from provider_kit.errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    ContentFilterError,
    ContextLengthExceededError,
    InsufficientQuotaError,
    InternalServerError,
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

__all__ = ["BY_CODE", "BY_STATUS", "CONTEXT_WORDS", "EMBEDDED", "KEY_WORDS", "MODEL_WORDS", "WAIT_WORDS"]


BY_STATUS: dict[int, type[APIError]] = {
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
BY_CODE: dict[str, type[APIError]] = {
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


CONTEXT_WORDS = re.compile(
    r"maximum context length|maximum prompt length|prompt is too long|exceeds the context window"
    r"|exceeds the available context|exceeds? the maximum number of tokens|range of input length should be"
    r"|too large for model with|current length is \d+ while limit is|reduce the length of the messages"
    r"|context length exceeded|trying to keep the first \d+ tokens",
    re.IGNORECASE,
)


KEY_WORDS = re.compile(r"incorrect api key|api key not valid|invalid api key", re.IGNORECASE)


MODEL_WORDS = re.compile(
    r"^model:|models?/\S+ is not found|model ['\"`]?\S+['\"`]? (?:does not exist|not found)|not found, try pulling",
    re.IGNORECASE,
)


WAIT_WORDS = re.compile(r"(?:try again|retry) in ((?:\d+(?:\.\d+)?(?:ms|h|m|s))+)", re.IGNORECASE)


EMBEDDED: tuple[tuple[str, type[APIError]], ...] = (
    ("token quota is not enough", InsufficientQuotaError),
    ("quota exceeded", InsufficientQuotaError),
    ("rate limit exceeded", RateLimitError),
    ("capacity exceeded", OverloadedError),
    ("overloaded", OverloadedError),
    ("currently unavailable", OverloadedError),
)
