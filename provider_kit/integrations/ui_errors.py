"""Errors as a browser may see them: typed, with a status, and without a word that was meant for the operator."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen

from provider_kit.errors import (
    AllKeysExhaustedError,
    APIConnectionError,
    APITimeoutError,
    BadRequestError,
    BudgetExceededError,
    CallCancelledError,
    CircuitOpenError,
    ConfigError,
    ContentFilterError,
    ContextLengthExceededError,
    ConversationChangedError,
    InvalidRequestError,
    MaxStepsExceededError,
    MissingDependencyError,
    OverloadedError,
    PendingToolCallsError,
    ProviderKitError,
    RateLimitError,
    RateLimitExceededError,
    RequestTooLargeError,
    StoreError,
    StreamError,
    UnprocessableEntityError,
)
from provider_kit.model.json_text import dumps

__all__ = ["UIError", "error_answer", "tell_error", "ui_error"]

_LOG = logging.getLogger("provider_kit.web")


class _LastResort(logging.Handler):
    """Prints what a page is not told to standard error, in a program that has set up no logging.

    The errors end here, so they would be lost there: the library's logger has a ``NullHandler``, which keeps Python
    from printing them by itself.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Print it, if no other handler takes it."""
        logger: logging.Logger | None = _LOG
        while logger is not None:
            if any(not isinstance(one, (logging.NullHandler, _LastResort)) for one in logger.handlers):
                return
            logger = logger.parent if logger.propagate else None
        if logging.lastResort is not None:
            logging.lastResort.handle(record)


_LOG.addHandler(_LastResort(logging.ERROR))


@frozen
class UIError:
    """An error as it is told to a browser."""

    #: HTTP status, where nothing has been sent yet.
    status: int
    #: What went wrong, in one word.
    code: str
    #: What went wrong, for the person in front of the page.
    message: str
    #: The class of the error.
    type: str
    #: Whether asking again may help.
    retryable: bool
    #: Seconds to wait before that.
    retry_after: float | None = None
    #: The id of the call, to look it up in the log.
    correlation_id: str | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """It as JSON, without what is not known."""
        made: dict[str, Any] = {"type": self.type, "code": self.code, "message": self.message}
        made["retryable"] = self.retryable
        if self.retry_after is not None:
            made["retry_after"] = self.retry_after
        if self.correlation_id is not None:
            made["correlation_id"] = self.correlation_id
        return made

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of an answer that is this error."""
        headers = {"content-type": "application/json; charset=utf-8", "cache-control": "no-store"}
        if self.retry_after is not None:
            headers["retry-after"] = str(math.ceil(self.retry_after))
        return headers


#: The first class that fits decides: status, code, text.
_TABLE: tuple[tuple[type[BaseException], int, str, str], ...] = (
    (PendingToolCallsError, 409, "tool_calls_pending", "A tool call waits for your decision."),
    (ConversationChangedError, 409, "conversation_changed", "The conversation was changed elsewhere. Load it again."),
    (ContextLengthExceededError, 413, "conversation_too_long", "The conversation is too long for the model."),
    (RequestTooLargeError, 413, "request_too_large", "The message or a file in it is too large."),
    (ContentFilterError, 422, "content_filtered", "The provider refused to answer this."),
    (InvalidRequestError, 400, "invalid_request", "The message cannot be answered as it is."),
    (BudgetExceededError, 429, "budget_exceeded", "The limit for this conversation is reached."),
    (MaxStepsExceededError, 502, "too_many_steps", "The answer took too many steps and was stopped."),
    (RateLimitError, 429, "rate_limited", "There are too many requests at the moment."),
    (RateLimitExceededError, 429, "rate_limited", "There are too many requests at the moment."),
    (AllKeysExhaustedError, 429, "rate_limited", "There are too many requests at the moment."),
    (OverloadedError, 503, "overloaded", "The model is overloaded at the moment."),
    (CircuitOpenError, 503, "unavailable", "The model is not available at the moment."),
    (CallCancelledError, 503, "cancelled", "The answer was stopped."),
    (StreamError, 502, "answer_broke_off", "The answer broke off."),
    (APITimeoutError, 504, "timeout", "The model did not answer in time."),
    (APIConnectionError, 502, "unreachable", "The model cannot be reached."),
    (BadRequestError, 400, "invalid_request", "The message cannot be answered as it is."),
    (UnprocessableEntityError, 400, "invalid_request", "The message cannot be answered as it is."),
    (StoreError, 500, "storage_failed", "The conversation cannot be loaded or stored."),
    (ConfigError, 500, "misconfigured", "The application is not set up correctly."),
    (MissingDependencyError, 500, "misconfigured", "The application is not set up correctly."),
    (ProviderKitError, 502, "provider_error", "The model could not answer."),
)
#: For what is no error of this library: a mistake in a tool or in the program.
_OWN = (500, "internal_error", "Something went wrong.")


def ui_error(error: BaseException) -> UIError:
    """What a browser is told of an error.

    The text is one of a fixed set: keys, addresses, prompts and the provider's words stay in the log of the program.

    Args:
        error: An error of a call, or any other one.
    """
    found = error
    errors = getattr(error, "exceptions", None)
    if isinstance(errors, (list, tuple)) and errors and isinstance(errors[-1], ProviderKitError):
        found = errors[-1]  # of several targets, the last one
    status, code, text = next(((row[1], row[2], row[3]) for row in _TABLE if isinstance(found, row[0])), _OWN)
    known = error if isinstance(error, ProviderKitError) else None
    wait = getattr(error, "retry_after", None)
    wait = getattr(found, "retry_after", None) if wait is None else wait
    seconds = float(wait) if isinstance(wait, (int, float)) and math.isfinite(wait) and wait >= 0 else None
    if seconds is not None and code in ("rate_limited", "overloaded", "unavailable"):
        text = f"{text} Try again in {max(1, math.ceil(seconds))} s."
    return UIError(
        status,
        code,
        text,
        type(error).__name__ if known is not None else "InternalError",
        known is not None and known.retryable,
        seconds,
        known.correlation_id if known is not None else None,
    )


def tell_error(error: BaseException, show: Callable[[BaseException], UIError] = ui_error) -> UIError:
    """What a browser is told of an error; the log gets all of it.

    Args:
        error: An error of a call, or any other one.
        show: Makes the one of the other.
    """
    told = show(error)
    known = isinstance(error, ProviderKitError)
    if isinstance(error, CallCancelledError):
        _LOG.info("An answer was stopped.")
    elif told.status >= 500:
        _LOG.error("An answer failed: %s: %s", type(error).__name__, error, exc_info=None if known else error)
    else:
        _LOG.warning("An answer failed: %s: %s", type(error).__name__, error)
    return told


def error_answer(error: BaseException) -> tuple[bytes, int, dict[str, str]]:
    """Body, status and headers of an answer that is an error: what a view returns, or an error handler.

    Args:
        error: An error of a call, or any other one.
    """
    told = tell_error(error)
    return dumps({"error": told.fields}), told.status, dict(told.headers)
