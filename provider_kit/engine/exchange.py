"""One request and its whole answer: sent, read, and every way in which that may fail a typed error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from provider_kit.dialects.parse_errors import PARSE_ERRORS, unreadable
from provider_kit.engine.attempts import Attempts
from provider_kit.errors import APIError, ProviderKitError
from provider_kit.transports.callers_own import callers_own
from provider_kit.wire.http import HttpRequest, HttpResponse
from provider_kit.wire.response_headers import request_id

__all__ = ["exchange"]

T = TypeVar("T")


async def exchange(attempts: Attempts, request: HttpRequest, read: Callable[[Any], T]) -> tuple[T, HttpResponse]:
    """Send one attempt and read its answer.

    Args:
        attempts: The call.
        request: What is sent.
        read: Turns the JSON of the answer into a result.

    Raises:
        APIError: The provider refused, or its answer cannot be read.
        APIConnectionError: The network failed.
    """
    endpoint = attempts.endpoint
    response = await attempts.http.send(request, attempts.limits)
    payload = endpoint.read_json(response)
    try:
        return read(payload), response
    except APIError as error:
        error.headers = dict(response.headers)
        error.request_id = error.request_id or request_id(response.headers)
        raise endpoint.finish_error(error) from None
    except ProviderKitError:
        raise
    except PARSE_ERRORS as error:
        if callers_own([error]) is not None:
            raise
        raise endpoint.finish_error(unreadable(error, response.status, payload)) from error
