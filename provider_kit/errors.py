"""Every exception of provider_kit, in one tree.

::

    ProviderKitError
    ├── ConfigError (ValueError)               something in the configuration is wrong; nothing was sent
    │   └── UnknownProviderError
    ├── InvalidRequestError (ValueError)       the arguments of this call are wrong; nothing was sent
    │   ├── UnsupportedParameterError          on_unsupported="raise" and the model refuses a parameter
    │   └── NotSupportedError                  this provider has no such endpoint
    ├── AuthError                              authentication failed (twelve codes, see AuthErrorCode)
    │   ├── MissingAPIKeyError                 no key given and none in the environment
    │   ├── AllKeysExhaustedError              every key of a pool is cooling down or invalid
    │   ├── StorageError                       tokens could not be read or written
    │   └── EncryptionError                    tokens could not be encrypted or decrypted
    ├── APIConnectionError                     the network failed; the request was not answered
    │   ├── APITimeoutError                    a wait ran out
    │   │   ├── DeadlineExceededError          the total deadline of the call ran out
    │   │   └── PoolTimeoutError               no connection became free in time
    │   └── ResponseLostError                  sent, but the reply was lost: the outcome is unknown
    ├── APIError                               the provider answered with an error
    │   ├── BadRequestError                    400
    │   │   ├── ContextLengthExceededError
    │   │   └── ContentFilterError
    │   ├── AuthenticationError                401
    │   ├── PaymentRequiredError               402
    │   ├── PermissionDeniedError              403
    │   ├── NotFoundError                      404
    │   │   └── ModelNotFoundError
    │   ├── ConflictError                      409
    │   ├── RequestTooLargeError               413
    │   ├── UnprocessableEntityError           422
    │   ├── RateLimitError                     429
    │   │   └── InsufficientQuotaError         429 that a short wait does not solve
    │   ├── RequestTimeoutError                408, 504, 524: the provider gave up waiting
    │   ├── InternalServerError                5xx
    │   │   └── OverloadedError                503, 529
    │   └── InvalidResponseError               an answer that does not match the API
    ├── StreamError                            a stream failed after content was delivered
    │   ├── StreamIncompleteError              a stream ended without its terminal event
    │   └── StreamTimeoutError                 also an APITimeoutError: the content stopped coming
    ├── ToolError
    │   ├── ToolCallParseError                 the model's tool arguments are not a JSON object
    │   ├── RetryTool                          raised by a tool, to tell the model what to do better
    │   ├── PendingToolCallsError              tool calls wait for results, or for a decision
    │   ├── MaxStepsExceededError              a run took more steps than allowed
    │   └── BudgetExceededError                a run used up its budget
    ├── PluginError                            a plugin failed that calls must not be made without
    ├── StructuredOutputError                  the answer does not match the requested structure
    ├── AllProvidersFailedError                every candidate failed; see ``exceptions``
    ├── CallCancelledError                     the call was cancelled through its CancelToken
    ├── CircuitOpenError                       the circuit breaker is open for this provider
    ├── RateLimitExceededError                 the local rate limit would be exceeded
    ├── StoreError                             the shared store (Redis, SQLite, a file) cannot be used
    │   └── ConversationChangedError           a stored conversation was continued elsewhere meanwhile
    └── MissingDependencyError (ImportError)   an optional extra is not installed

Each error says what to do next in ``hint`` (also shown below the traceback), whether trying again may help in
``retryable``, and what was tried before in ``attempts``. All errors can be pickled. None of them holds a secret: texts
and bodies are redacted before the error is created.

``error.explain()`` returns the meaning, the usual causes and the remedies, from ``error_guide``.
This module imports nothing else from the package.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

from provider_kit.short_traceback import short_lines, use_short_tracebacks

if TYPE_CHECKING:
    # What errors carry is made above them; only type checkers follow this.
    from provider_kit.config.problems import Problem
    from provider_kit.model.attempts import Attempt
    from provider_kit.model.chat import ChatResponse, OutputAttempt
    from provider_kit.model.messages import ToolCall
    from provider_kit.model.routing import Routing
    from provider_kit.model.snapshots import ErrorSnapshot
    from provider_kit.tools.result import RunResult

__all__ = [
    "APIConnectionError",
    "APIError",
    "APITimeoutError",
    "AllKeysExhaustedError",
    "AllProvidersFailedError",
    "AuthError",
    "AuthErrorCode",
    "AuthenticationError",
    "BadRequestError",
    "BudgetExceededError",
    "CallCancelledError",
    "CircuitOpenError",
    "ConfigError",
    "ConflictError",
    "ContentFilterError",
    "ContextLengthExceededError",
    "ConversationChangedError",
    "DeadlineExceededError",
    "EncryptionError",
    "InsufficientQuotaError",
    "InternalServerError",
    "InvalidRequestError",
    "InvalidResponseError",
    "MaxStepsExceededError",
    "MissingAPIKeyError",
    "MissingDependencyError",
    "ModelNotFoundError",
    "NotFoundError",
    "NotSupportedError",
    "OverloadedError",
    "PaymentRequiredError",
    "PendingToolCallsError",
    "PermissionDeniedError",
    "PluginError",
    "PoolTimeoutError",
    "ProviderKitError",
    "RateLimitError",
    "RateLimitExceededError",
    "RequestTimeoutError",
    "RequestTooLargeError",
    "ResponseLostError",
    "RetryTool",
    "StorageError",
    "StoreError",
    "StreamError",
    "StreamIncompleteError",
    "StreamTimeoutError",
    "StructuredOutputError",
    "ToolCallParseError",
    "ToolError",
    "UnknownProviderError",
    "UnprocessableEntityError",
    "UnsupportedParameterError",
]


class ProviderKitError(Exception):
    """Base of every error this library raises on purpose.

    Args:
        message: What happened, in one sentence.
        hint: What to do next; shown below the traceback. Default: the class's own hint.
        provider: Name of the provider that was asked.
        model: Name of the model that was asked.
        operation: What was being done: ``chat``, ``stream``, ``models``, ``embed``, ``count_tokens``.
        request_id: The provider's id of the request, to quote in a support ticket.
        retryable: Whether trying again may help. Default: that of the class.
        attempts: What was tried before this error was raised, oldest first.
    """

    #: The kind of failure in one word, the same for every provider.
    kind: ClassVar[str] = "unknown"
    #: Whether trying the same call again may help.
    retryable: bool = False
    #: What to do next.
    hint: str | None = None
    #: The entry of the error guide: ``provider-kit explain <topic>``.
    topic: str = "provider_kit"
    #: Whether it is a mistake of the program, found before anything was sent: its traceback is then printed in short.
    is_own_mistake: ClassVar[bool] = False
    #: How a router passed the call on; ``None`` without a router.
    routing: Routing | None = None
    #: The id of the call, which was sent as ``X-Request-ID``.
    correlation_id: str | None = None
    #: What was sent and what came back, masked, with times, for a client with ``error_snapshots=True``.
    snapshot: ErrorSnapshot | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__module__ == __name__ and "topic" not in vars(cls):
            name = cls.__name__.removesuffix("Error").replace("API", "Api")
            cls.topic = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()

    def __init__(
        self,
        message: str = "",
        *,
        hint: str | None = None,
        provider: str | None = None,
        model: str | None = None,
        operation: str | None = None,
        request_id: str | None = None,
        retryable: bool | None = None,
        attempts: Sequence[Attempt] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.provider = provider
        self.model = model
        self.operation = operation
        self.request_id = request_id
        self.attempts = tuple(attempts)
        if retryable is not None:
            self.retryable = retryable
        if hint is not None:
            self.hint = hint
        self.add_note(self._note())
        if self.is_own_mistake:
            use_short_tracebacks()

    def _render_traceback_(self) -> list[str] | None:
        """What IPython shows of the error: the line of the cell, the error and its hint."""
        return short_lines(self, self.__traceback__)

    def _note(self) -> str:
        more = f"More: provider-kit explain {self.topic}"
        return f"Hint: {self.hint}\n{more}" if self.hint else more

    def with_hint(self, hint: str) -> ProviderKitError:
        """Replace the hint, also below the traceback, and return the error itself."""
        old = self._note()
        self.hint = hint
        self.__notes__ = [*(note for note in getattr(self, "__notes__", []) if note != old), self._note()]
        return self

    def explain(self) -> str:
        """Return what happened, its cause, what it usually means and what to do, as text for a person.

        Example:
            >>> from provider_kit import RateLimitError
            >>> print(RateLimitError("Too many requests.", status_code=429).explain().splitlines()[0])
            RateLimitError: Too many requests. (status=429)
        """
        from provider_kit.error_guide import entry_for

        lines = [f"{type(self).__name__}: {self}"]
        cause, seen = self.__cause__, {id(self)}
        while cause is not None and id(cause) not in seen:
            seen.add(id(cause))
            lines.append(f"  because of {type(cause).__name__}: {' '.join(str(cause).split())}")
            cause = cause.__cause__
        for attempt in self.attempts:
            lines.append(f"  tried: {attempt}")
        if self.snapshot is not None:
            lines += ["", str(self.snapshot)]
        if self.hint:
            lines += ["", f"Hint: {self.hint}"]
        return "\n".join([*lines, "", entry_for(self.topic).as_text()])

    def _facts(self) -> list[str]:
        return [f"request_id={self.request_id}"] if self.request_id else []

    def __str__(self) -> str:
        facts = ", ".join(self._facts())
        prefix = f"[{self.provider}] " if self.provider else ""
        return f"{prefix}{self.message}" + (f" ({facts})" if facts else "")


class ConfigError(ProviderKitError, ValueError):
    """The configuration is wrong. Nothing was sent.

    Args:
        problems: Every problem of a configuration file, with its line and remedy.
    """

    kind = "invalid_config"
    topic = "invalid_config"
    is_own_mistake = True

    def __init__(self, message: str = "", *, problems: Sequence[Problem] = (), **known: Any) -> None:
        self.problems = tuple(problems)
        super().__init__(message, **known)


class UnknownProviderError(ConfigError):
    """No provider of this name is known, or the model string names none."""


class InvalidRequestError(ProviderKitError, ValueError):
    """The arguments of a call are wrong. Nothing was sent."""

    kind = "invalid_request"
    is_own_mistake = True


class UnsupportedParameterError(InvalidRequestError):
    """The model does not accept a parameter, and ``on_unsupported="raise"`` is set."""

    hint = "Leave the parameter out, choose another model, or use on_unsupported='warn'."


class NotSupportedError(InvalidRequestError):
    """This provider has no endpoint for the requested operation."""


class AuthErrorCode(StrEnum):
    """Why authentication failed. ``code.retryable`` says whether trying again may help."""

    INVALID_CREDENTIALS = "invalid_credentials"
    TOKEN_EXPIRED = "token_expired"
    REFRESH_FAILED = "refresh_failed"
    OAUTH_FLOW_FAILED = "oauth_flow_failed"
    INVALID_CONFIG = "invalid_config"
    NETWORK_ERROR = "network_error"
    PROVIDER_UNAVAILABLE = "provider_unavailable"
    SCOPE_INSUFFICIENT = "scope_insufficient"
    KEY_ROTATION_FAILED = "key_rotation_failed"
    ALL_KEYS_EXHAUSTED = "all_keys_exhausted"
    STORAGE_ERROR = "storage_error"
    ENCRYPTION_ERROR = "encryption_error"

    @property
    def retryable(self) -> bool:
        """Whether trying again may help."""
        return self not in _FINAL_AUTH_CODES


_FINAL_AUTH_CODES = frozenset(
    {
        AuthErrorCode.INVALID_CREDENTIALS,
        AuthErrorCode.OAUTH_FLOW_FAILED,
        AuthErrorCode.INVALID_CONFIG,
        AuthErrorCode.SCOPE_INSUFFICIENT,
        AuthErrorCode.ENCRYPTION_ERROR,
    }
)


class AuthError(ProviderKitError):
    """Credentials are missing, wrong or expired, or could not be stored.

    Args:
        message: What happened.
        code: One of :class:`AuthErrorCode`; decides ``retryable``.
        details: More about the cause, appended to the text.
    """

    kind = "authentication"
    topic = "invalid_credentials"
    #: Whether the refresh token itself has expired or was revoked: only a new login helps.
    needs_login = False
    #: Whether nothing has failed: the refresh continues, but this caller's time ran out while waiting for it.
    refresh_pending = False
    default_code: ClassVar[AuthErrorCode] = AuthErrorCode.INVALID_CREDENTIALS

    def __init__(
        self,
        message: str = "",
        *,
        code: AuthErrorCode | str | None = None,
        details: str | None = None,
        **known: Any,
    ) -> None:
        self.code = AuthErrorCode(code) if code is not None else self.default_code
        self.details = details
        known.setdefault("retryable", self.code.retryable)
        if "topic" not in vars(type(self)) or type(self) is AuthError:
            self.topic = self.code.value
        super().__init__(message, **known)

    def __str__(self) -> str:
        who = f"{self.provider} " if self.provider else ""
        text = f"{who}authentication error: {self.message} ({self.code.value})"
        return f"{text} - {self.details}" if self.details else text


class MissingAPIKeyError(AuthError):
    """No API key was given and none of the environment variables holds one."""

    is_own_mistake = True


class AllKeysExhaustedError(AuthError):
    """Every key of the pool is cooling down or invalid.

    Args:
        retry_after: Seconds until the first key can be used again.
    """

    default_code = AuthErrorCode.ALL_KEYS_EXHAUSTED

    def __init__(self, message: str = "", *, retry_after: float | None = None, **known: Any) -> None:
        self.retry_after = retry_after
        super().__init__(message, **known)


class StorageError(AuthError):
    """Tokens could not be read from or written to their storage."""

    topic = "storage_error"
    default_code = AuthErrorCode.STORAGE_ERROR


class EncryptionError(AuthError):
    """Tokens could not be encrypted or decrypted."""

    topic = "encryption_error"
    default_code = AuthErrorCode.ENCRYPTION_ERROR


class APIConnectionError(ProviderKitError):
    """The request could not be delivered; nothing was answered. Safe to try again."""

    kind = "network"
    retryable = True
    hint = "Check the base URL, the network, DNS and the proxy settings."
    #: Whether a server of this machine was asked, and nothing listens there.
    nobody_listens: bool = False


class APITimeoutError(APIConnectionError):
    """A timeout passed: for connecting, for the first content, or between two pieces of content."""

    kind = "timeout"
    hint = "Raise timeout= (connect, first_token, idle), or stream the answer with stream()."


class DeadlineExceededError(APITimeoutError):
    """The total deadline of the call ran out, attempts and waits included."""

    retryable = False
    hint = "Raise total_timeout=, or ask for less (max_tokens=, a faster model)."


class CallCancelledError(ProviderKitError):
    """The call was cancelled through its :class:`~provider_kit.CancelToken`."""

    kind = "cancelled"
    hint = "A request that was in flight may have been carried out and billed."


class PoolTimeoutError(APITimeoutError):
    """No connection of the pool became free in time."""

    hint = "Raise HTTPConfig(max_connections=...), or close streams that are no longer read."


class ResponseLostError(APIConnectionError):
    """The request was sent, but its reply was lost: it may or may not have been carried out and billed."""

    retryable = False
    hint = "The request may have been carried out and billed; repeat it only if that is acceptable."


class APIError(ProviderKitError):
    """The provider answered with an error.

    Args:
        message: The provider's message.
        status_code: HTTP status (200 for an error object inside a successful answer).
        code: The provider's error code, e.g. ``rate_limit_exceeded``.
        type: The provider's error type, e.g. ``invalid_request_error``.
        param: The parameter the provider complains about.
        body: The answer, parsed if it was JSON, else text (shortened, secrets removed).
        headers: The answer's headers.
        retry_after: Seconds to wait before trying again, if the provider sent them.
    """

    #: Models of the provider to try instead, where the model was unknown, forbidden, or too small for a conversation:
    #: of the provider's list if it was fetched, as conversations do, else of those that are known.
    suggested_models: tuple[str, ...] = ()
    _hint_alone: str | None = None

    def __init__(
        self,
        message: str = "",
        *,
        status_code: int | None = None,
        code: str | None = None,
        type: str | None = None,
        param: str | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        retry_after: float | None = None,
        **known: Any,
    ) -> None:
        self.status_code = status_code
        self.code = code
        self.type = type
        self.param = param
        self.body = body
        self.headers = dict(headers or {})
        self.retry_after = retry_after
        super().__init__(message, **known)

    def suggest(self, models: Sequence[str]) -> None:
        """Name models to try instead, in :attr:`suggested_models` and the hint; none changes nothing."""
        if models:
            if not self.suggested_models:
                self._hint_alone = self.hint
            self.suggested_models = tuple(models)
            self.with_hint(f"{self._hint_alone or ''} Models to try: {', '.join(models)}.".strip())

    def _facts(self) -> list[str]:
        facts = []
        if self.status_code is not None:
            facts.append(f"status={self.status_code}")
        if self.code or self.type:
            facts.append(f"code={self.code or self.type}")
        if self.retry_after is not None:
            facts.append(f"retry_after={self.retry_after:g}s")
        return facts + super()._facts()


class BadRequestError(APIError):
    """400: the provider refuses the request as it is."""

    kind = "invalid_request"
    hint = "Correct what the provider's message names; debug_http=True shows what was sent."


class ContextLengthExceededError(BadRequestError):
    """The conversation is longer than the model's context window."""

    kind = "context_length"
    hint = "Shorten the conversation, lower max_tokens, or use a model with a larger context window."


class ContentFilterError(BadRequestError):
    """The provider's content filter refused the prompt."""

    kind = "content_filter"
    hint = "Rephrase the prompt; the provider's content policy refused it."


class AuthenticationError(APIError):
    """401: the key or token is wrong, expired or revoked."""

    kind = "authentication"
    hint = "Check the API key: complete, not revoked, of this provider (and region)."


class PaymentRequiredError(APIError):
    """402: the account has no credit left or its spending limit is reached."""

    kind = "billing"
    hint = "Add credit or raise the spending limit in the provider's console."


class PermissionDeniedError(APIError):
    """403: the key is valid but may not do this."""

    kind = "permission"
    hint = "The key may not use this model, project or region; check its permissions and the account's tier."


class NotFoundError(APIError):
    """404: no such endpoint, deployment or object."""

    kind = "not_found"
    hint = "Check the base URL (does it need /v1?) and the model name."


class ModelNotFoundError(NotFoundError):
    """The provider does not know the model, or the key may not use it."""

    kind = "not_found"
    hint = "Check the model name; client.models() lists those this key may use."


class ConflictError(APIError):
    """409: the request collided with another one."""

    kind = "server_error"
    retryable = True
    hint = "Something else is changing the same object; try again shortly."


class RequestTooLargeError(APIError):
    """413: the request has too many bytes."""

    kind = "invalid_request"
    hint = "Send fewer or smaller files, or upload them first and pass their file id."


class UnprocessableEntityError(APIError):
    """422: the request is well formed but a value is not acceptable."""

    kind = "invalid_request"
    hint = "Correct the value that the provider's message names; debug_http=True shows what was sent."


class RateLimitError(APIError):
    """429: too many requests or tokens in a short time."""

    kind = "rate_limit"
    retryable = True
    hint = "Wait a little, or lower the request rate."


class InsufficientQuotaError(RateLimitError):
    """A quota is used up (per day, per month, or prepaid); a short wait does not help."""

    kind = "quota"
    retryable = False
    #: Whether the provider said that the quota is daily.
    daily: bool = False
    hint = "The account's quota is used up; raise it in the provider's console or use another key."


class RequestTimeoutError(APIError):
    """408, 504, 524: the provider, or a gateway in front of it, gave up waiting."""

    kind = "timeout"
    retryable = True
    hint = "The provider was too slow for the gateway in front of it; try again, or ask for less (max_tokens=)."


class InternalServerError(APIError):
    """5xx: the provider failed."""

    kind = "server_error"
    retryable = True
    hint = "The provider failed; try again shortly."


class OverloadedError(InternalServerError):
    """503, 529: the provider has no capacity at present."""

    kind = "overloaded"
    hint = "The provider is overloaded; try again later or use another model or provider."


class InvalidResponseError(APIError):
    """The answer does not match the API: it is not JSON, truncated, a web page, or too large."""

    kind = "invalid_response"
    hint = "Something between you and the provider may have answered in its place; check the base URL and the proxy."


class StreamError(ProviderKitError):
    """A stream failed after it had started.

    Args:
        partial: What was received of the answer, with its usage where known.
        status_code: Status the provider gave inside the stream, if any.
        code: The provider's error code, if any.
    """

    kind = "stream"
    hint = "What was received is in error.partial."

    def __init__(
        self,
        message: str = "",
        *,
        partial: ChatResponse[Any] | None = None,
        status_code: int | None = None,
        code: str | None = None,
        **known: Any,
    ) -> None:
        self.partial = partial
        self.status_code = status_code
        self.code = code
        super().__init__(message, **known)


class StreamIncompleteError(StreamError):
    """A stream ended without its terminal event: the answer is truncated."""

    hint = "The connection was cut before the answer was complete; what was received is in error.partial."


class StreamTimeoutError(StreamError, APITimeoutError):
    """Content stopped coming in the middle of a stream, or its total deadline passed."""

    kind = "timeout"
    retryable = False
    hint = "Raise timeout= (idle) or total_timeout=; what was received is in error.partial."


class PluginError(ProviderKitError):
    """A plugin failed that a call must not be made without."""

    kind = "plugin"
    hint = "The cause is below; the plugin, or its settings, must be mended. Plugin.required = False lets calls go on."


class ToolError(ProviderKitError):
    """A tool could not be called."""

    kind = "tool"


class ToolCallParseError(ToolError, ValueError):
    """The arguments the model wrote for a tool are not a JSON object."""

    hint = "Answer the tool call with an error result, so that the model can correct itself."


class RetryTool(ToolError):
    """Raised by a tool to tell the model what to do better; the text is shown to the model as it is.

    Example:
        >>> from provider_kit import RetryTool
        >>> def weather(city: str) -> str:
        ...     if city == "Springfield":
        ...         raise RetryTool("There are several; name the state, too.")
        ...     return "sunny"
    """

    hint = "It is meant to be raised inside a tool that run() calls."


class PendingToolCallsError(ToolError):
    """The answer asks for tools, so there is no result yet.

    Args:
        calls: The tool calls that wait for a result.
        response: The answer that makes them.
    """

    hint = "Let run() call functions, approve what waits by decisions=, or answer each call by Message.tool(…)."

    def __init__(
        self,
        message: str = "",
        *,
        calls: Sequence[ToolCall] = (),
        response: ChatResponse[Any] | None = None,
        **known: Any,
    ) -> None:
        self.calls = tuple(calls)
        self.response = response
        super().__init__(message, **known)


class MaxStepsExceededError(ToolError):
    """The model kept asking for tools beyond the allowed number of steps.

    Args:
        result: What the run had reached: its messages, answers and usage.
    """

    hint = "error.result.messages is the transcript; pass it to run() again with a larger max_steps= to go on."

    def __init__(self, message: str = "", *, result: RunResult[Any] | None = None, **known: Any) -> None:
        self.result = result
        super().__init__(message, **known)


class BudgetExceededError(ToolError):
    """A run used up its budget, or cannot keep to it.

    Args:
        result: What the run had reached: its messages, answers and usage.
        limit: The limit that was reached: ``steps``, ``calls``, ``tokens``, ``cost`` or ``seconds``.
    """

    hint = "error.result.messages is the transcript; pass it to run() again with a larger Budget to go on."
    #: What the run had spent whose limit was reached.
    spending: Any = None

    def __init__(
        self, message: str = "", *, result: RunResult[Any] | None = None, limit: str | None = None, **known: Any
    ) -> None:
        self.result = result
        self.limit = limit
        super().__init__(message, **known)


class StructuredOutputError(ProviderKitError, ValueError):
    """The answer does not have the form of the requested type.

    Args:
        reason: ``invalid``; ``refused``: the model declined; ``truncated``: it was cut off; ``empty``.
        outputs: Every answer with what was wrong with it, oldest first.
        response: The last answer.
    """

    kind = "structured_output"
    hint = "error.outputs has each answer with its problems. Simplify the type, or describe its fields."

    def __init__(
        self,
        message: str = "",
        *,
        reason: str = "invalid",
        outputs: Sequence[OutputAttempt] = (),
        response: ChatResponse[Any] | None = None,
        **known: Any,
    ) -> None:
        self.reason = reason
        self.outputs = tuple(outputs)
        self.response = response
        super().__init__(message, **known)

    @property
    def problems(self) -> tuple[str, ...]:
        """What was wrong with the last answer."""
        return tuple(self.outputs[-1].problems) if self.outputs else ()

    @property
    def refusal(self) -> str | None:
        """The model's explanation, if it declined."""
        return None if self.response is None else self.response.refusal


class AllProvidersFailedError(ProviderKitError):
    """Every candidate of a router failed; ``attempts`` has all attempts at all of them.

    Args:
        exceptions: The errors, in the order the candidates were tried.
        retry_after: Seconds until the first candidate can be asked again, if that is known.
        status_code: 429 if every candidate is limited, else 503: what a server may pass on to its own client.
    """

    kind = "all_failed"

    def __init__(
        self,
        message: str = "",
        *,
        exceptions: Sequence[Exception] = (),
        retry_after: float | None = None,
        status_code: int = 503,
        **known: Any,
    ) -> None:
        self.exceptions = tuple(exceptions)
        self.retry_after = retry_after
        self.status_code = status_code
        super().__init__(message, **known)

    def as_group(self) -> ExceptionGroup[Exception]:
        """The same errors as a standard :class:`ExceptionGroup`, for ``except*``."""
        return ExceptionGroup(self.message, self.exceptions or (self,))


class CircuitOpenError(ProviderKitError):
    """The circuit breaker is open: the provider failed repeatedly."""

    kind = "circuit_open"
    retryable = True

    def __init__(self, message: str = "", *, retry_after: float | None = None, **known: Any) -> None:
        self.retry_after = retry_after
        super().__init__(message, **known)


class RateLimitExceededError(ProviderKitError):
    """The local rate limit would be exceeded, and waiting for it would take too long."""

    kind = "rate_limit"
    retryable = True

    def __init__(self, message: str = "", *, retry_after: float | None = None, **known: Any) -> None:
        self.retry_after = retry_after
        super().__init__(message, **known)


class StoreError(ProviderKitError):
    """The shared store of rate limits, key health or cached answers cannot be used."""

    kind = "store"
    retryable = True
    hint = "Check the store's address and that it is running; on_store_failure='local' continues without it."


class ConversationChangedError(StoreError):
    """A stored conversation was continued elsewhere since it was read, so that saving it would lose that."""

    kind = "store"
    retryable = True
    hint = "It is read again with the next turn: look at what was said meanwhile, and say yours again."


class MissingDependencyError(ProviderKitError, ImportError):
    """An optional extra is not installed; the text says which ``pip install`` to run."""

    kind = "missing_dependency"
    is_own_mistake = True
