"""Whose fault a failure is, in a closed vocabulary that is fit for labels: of the caller, a policy, the provider, or
this program itself."""

from __future__ import annotations

from provider_kit.errors import (
    AllKeysExhaustedError,
    AllProvidersFailedError,
    APIConnectionError,
    APIError,
    APITimeoutError,
    AuthenticationError,
    AuthError,
    BudgetExceededError,
    CallCancelledError,
    CircuitOpenError,
    ConfigError,
    InsufficientQuotaError,
    InternalServerError,
    InvalidRequestError,
    InvalidResponseError,
    MissingDependencyError,
    ModelNotFoundError,
    OverloadedError,
    PaymentRequiredError,
    PermissionDeniedError,
    PoolTimeoutError,
    ProviderKitError,
    RateLimitError,
    RateLimitExceededError,
    RequestTimeoutError,
    StoreError,
    StreamError,
    StreamIncompleteError,
    StreamTimeoutError,
)

__all__ = ["ERROR_TYPES", "OTHER", "error_type"]

#: What is none of the others.
OTHER = "_OTHER"

#: The type of each class of errors; a class without a row has that of its nearest base.
_TYPES: dict[type[BaseException], str] = {
    InvalidRequestError: "caller_invalid_request",
    ConfigError: "caller_invalid_request",
    APIError: "caller_invalid_request",
    ModelNotFoundError: "caller_model_unknown",
    PermissionDeniedError: "caller_model_not_available",
    CallCancelledError: "caller_cancelled",
    BudgetExceededError: "policy_budget_exceeded",
    RateLimitExceededError: "policy_rate_limited",
    CircuitOpenError: "policy_provider_blocked",
    AuthError: "provider_auth_failed",
    AuthenticationError: "provider_auth_failed",
    AllKeysExhaustedError: "provider_credentials_exhausted",
    PaymentRequiredError: "provider_billing",
    InsufficientQuotaError: "provider_billing",
    RateLimitError: "provider_rate_limited",
    OverloadedError: "provider_overloaded",
    InternalServerError: "provider_server_error",
    InvalidResponseError: "provider_server_error",
    StreamError: "provider_server_error",
    RequestTimeoutError: "provider_timeout",
    APITimeoutError: "provider_timeout",
    StreamTimeoutError: "provider_timeout",
    APIConnectionError: "provider_connection_failed",
    StreamIncompleteError: "provider_connection_failed",
    PoolTimeoutError: "own_dropped",
    StoreError: "own_internal",
    MissingDependencyError: "own_internal",
    ProviderKitError: OTHER,
    Exception: "own_internal",
    BaseException: "caller_cancelled",
}
#: Every type there is.
ERROR_TYPES = tuple(sorted({*_TYPES.values(), "policy_tool_blocked"}))


def error_type(error: BaseException) -> str:
    """The type of an error: ``caller_…``, ``policy_…``, ``provider_…``, ``own_…`` or ``_OTHER``.

    Example:
        >>> from provider_kit import RateLimitError
        >>> error_type(RateLimitError("Too many requests.", status_code=429))
        'provider_rate_limited'
    """
    if isinstance(error, AllProvidersFailedError) and error.exceptions:
        return error_type(error.exceptions[-1])
    return next(_TYPES[kind] for kind in type(error).__mro__ if kind in _TYPES)
