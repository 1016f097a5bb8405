"""Failures of streams: what was received is kept, and no truncated answer passes as complete."""

from __future__ import annotations

import copy
from contextlib import suppress
from typing import Any

from attrs import fields

from provider_kit.dialects.base import StreamDecoder, StreamFailure
from provider_kit.dialects.parse_errors import PARSE_ERRORS, unreadable
from provider_kit.engine.stream_state import StreamState
from provider_kit.errors import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    InvalidResponseError,
    ProviderKitError,
    ResponseLostError,
    StreamError,
    StreamIncompleteError,
    StreamTimeoutError,
)
from provider_kit.model.chat import ChatResponse
from provider_kit.wire.redaction import mask_known, redact, redact_headers, redact_value
from provider_kit.wire.response_headers import request_id

__all__ = ["after_content", "before_content", "public_error", "require_end", "without_frames"]


def without_frames(error: ProviderKitError) -> ProviderKitError:
    """An error without its traceback frames, which hold the data of the call."""
    made = copy.copy(error)
    made.__traceback__ = made.__cause__ = made.__context__ = None
    return made


def before_content(state: StreamState, failure: ProviderKitError) -> ProviderKitError:
    """The failure of an attempt nothing of which has reached the caller."""
    if isinstance(failure, ResponseLostError) and state.decoder is not None:
        failure = _cut(failure)  # the stream had started, so it is truncated, not lost
    if isinstance(failure, StreamIncompleteError):
        failure.retryable = True
        failure.partial = _partial(state)
    return failure


def require_end(decoder: StreamDecoder) -> None:
    """Raise if a stream ends without its end mark; it is never treated as a short answer.

    Raises:
        StreamIncompleteError: There was no end mark.
    """
    if decoder.complete:
        return
    if getattr(decoder, "lacks_only_end", False):  # a third-party decoder may lack this attribute
        raise StreamIncompleteError(
            "The stream ended without its end mark, after the finish reason. What was received is whole.",
            hint="error.partial is the whole answer; only what a provider sends last, such as usage, may be missing.",
        )
    raise StreamIncompleteError("The stream ended before the answer was complete.")


def _cut(error: ResponseLostError) -> StreamIncompleteError:
    made = StreamIncompleteError("The stream was cut before its first content.", request_id=error.request_id)
    made.__cause__ = error.__cause__ or error
    return made


def _flush(decoder: StreamDecoder | None) -> None:
    """Let a decoder process what it held back, since nothing more will come."""
    flush = getattr(decoder, "flush", None)
    if flush is not None:
        with suppress(StreamFailure, *PARSE_ERRORS):  # the failure that ended the stream is reported instead
            flush()


def _partial(state: StreamState) -> ChatResponse:
    """What was received, without known secrets: a failing server may echo the request anywhere."""
    partial, endpoint = state.response(), state.attempts.endpoint
    secrets, credentials = endpoint.secrets, endpoint.credentials
    content = partial.message.content
    for holder in (partial, partial.message, *(content if isinstance(content, list) else ())):
        for one in fields(type(holder)):
            value = getattr(holder, one.name)
            if isinstance(value, (str, dict, list)):
                setattr(holder, one.name, mask_known(value, credentials))
    partial.raw = redact_value(partial.raw, secrets)  # it may be the error's event
    partial.headers = redact_headers(partial.headers, secrets)
    return partial


def public_error(state: StreamState, error: Exception) -> ProviderKitError:
    """What the caller may see of an error."""
    if not isinstance(error, (StreamFailure, ProviderKitError)):
        made = unreadable(error, 200, None)
        made.__cause__ = error
        error = made
    if isinstance(error, StreamFailure):
        found = state.attempts.endpoint.finish_error(error.error)
        error.args = (found.message,)  # the server's text may repeat the request
        if state.body is not None:
            told = request_id(state.body.headers)
            found.request_id = found.request_id or (told and redact(told, state.attempts.endpoint.secrets))
        return found
    if isinstance(error, APIError) and not error.headers and state.body is not None:
        error.headers = dict(state.body.headers)
        error.request_id = error.request_id or request_id(error.headers)
        return state.attempts.endpoint.finish_error(error)
    return error


def after_content(state: StreamState, failure: ProviderKitError) -> StreamError:
    """An error after content has reached the caller, with what was received."""
    attempts = state.attempts
    _flush(state.decoder)
    partial = _partial(state)
    if failure.request_id is not None:
        failure.request_id = redact(failure.request_id, attempts.endpoint.secrets)
    known: dict[str, Any] = {
        "partial": partial,
        "provider": attempts.endpoint.name,
        "model": attempts.model,
        "operation": attempts.operation,
        "request_id": failure.request_id or partial.request_id,
        "attempts": failure.attempts,
    }
    if isinstance(failure, StreamIncompleteError):
        made = StreamIncompleteError(failure.message, **known)
        made.hint = failure.hint
        return made
    if isinstance(failure, APITimeoutError):
        return StreamTimeoutError(failure.message, **known)
    if isinstance(failure, APIConnectionError):
        return StreamIncompleteError(failure.message, **known)
    status = code = None
    if isinstance(failure, APIError) and not isinstance(failure, InvalidResponseError):
        status, code = failure.status_code, failure.code or failure.type
    return StreamError(failure.message, status_code=status, code=code, **known)
