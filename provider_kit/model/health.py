"""The result of testing a provider: how far it came, and what stopped it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, get_args

from attrs import asdict, field, frozen

from provider_kit.errors import (
    APIConnectionError,
    APITimeoutError,
    AuthenticationError,
    AuthError,
    AuthErrorCode,
    ConfigError,
    InternalServerError,
    InvalidRequestError,
    MissingAPIKeyError,
    PermissionDeniedError,
    ProviderKitError,
    RateLimitError,
    RequestTimeoutError,
)

__all__ = ["TestPhase", "TestResult", "TestStatus"]

#: What a test found.
TestStatus: TypeAlias = Literal[
    "success",
    "auth_failed",
    "connectivity_failed",
    "oauth_failed",
    "token_failed",
    "config_failed",
    "timeout_failed",
    "rate_limited",
    "server_error",
    "unknown_error",
]
#: How far it came: the phase that failed, or ``completed``.
TestPhase: TypeAlias = Literal["configuration", "connectivity", "authentication", "model_fetch", "completed", "failed"]
_TOKEN = (AuthErrorCode.TOKEN_EXPIRED, AuthErrorCode.REFRESH_FAILED)


@frozen(kw_only=True)
class TestResult:
    """The result of ``client.test_connection()``."""

    #: pytest does not take it for a test.
    __test__ = False

    status: TestStatus
    phase: TestPhase
    #: What happened, in one sentence.
    message: str = ""
    provider: str = ""
    #: More about a failure: ``error``, ``status_code``, ``request_id``, ``hint``, where known.
    details: Mapping[str, Any] = field(factory=dict)
    #: Models the key may use.
    models_count: int = 0
    #: Seconds the test took.
    duration: float = 0.0
    #: Whether testing again may help.
    retryable: bool = False
    #: Seconds since 1970 when it was tested.
    time: float = 0.0

    def __bool__(self) -> bool:
        return self.status == "success"

    def to_json(self) -> str:
        """The result as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> TestResult:
        """A result from its JSON.

        Raises:
            InvalidRequestError: It is none.
        """
        try:
            found = json.loads(text)
            made = cls(**found)
        except (ValueError, TypeError) as error:
            raise InvalidRequestError(f"This is not the JSON of a TestResult: {error}.") from None
        if made.status not in get_args(TestStatus) or made.phase not in get_args(TestPhase):
            raise InvalidRequestError("This is not the JSON of a TestResult: its status or phase is unknown.")
        return made

    @classmethod
    def of_error(cls, error: ProviderKitError, provider: str, duration: float, time: float) -> TestResult:
        """The result of a test that failed."""
        status, phase = _classified(error)
        details = {
            "error": type(error).__name__,
            "status_code": getattr(error, "status_code", None),
            "request_id": error.request_id,
            "hint": error.hint,
        }
        return cls(
            status=status,
            phase=phase,
            message=error.message,
            provider=provider,
            details={name: value for name, value in details.items() if value is not None},
            duration=duration,
            retryable=error.retryable,
            time=time,
        )


def _classified(error: ProviderKitError) -> tuple[TestStatus, TestPhase]:
    if isinstance(error, (ConfigError, InvalidRequestError, MissingAPIKeyError)):
        return "config_failed", "configuration"
    if isinstance(error, AuthError):
        if error.code in _TOKEN:
            return "token_failed", "authentication"
        oauth = error.code in (AuthErrorCode.OAUTH_FLOW_FAILED, AuthErrorCode.SCOPE_INSUFFICIENT)
        return "oauth_failed" if oauth else "auth_failed", "authentication"
    if isinstance(error, (AuthenticationError, PermissionDeniedError)):
        return "auth_failed", "authentication"
    if isinstance(error, (APITimeoutError, RequestTimeoutError)):
        return "timeout_failed", "connectivity"
    if isinstance(error, APIConnectionError):
        return "connectivity_failed", "connectivity"
    if isinstance(error, RateLimitError):
        return "rate_limited", "model_fetch"
    if isinstance(error, InternalServerError):
        return "server_error", "model_fetch"
    return "unknown_error", "failed"
