"""Reading of one whole answer; every failure becomes a typed error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from provider_kit.dialects.parse_errors import PARSE_ERRORS, unreadable
from provider_kit.engine.endpoint import Endpoint
from provider_kit.errors import APIError, ProviderKitError
from provider_kit.transports.callers_own import callers_own
from provider_kit.wire.http import HttpResponse
from provider_kit.wire.response_headers import request_id

__all__ = ["read_answer"]

T = TypeVar("T")


def read_answer(endpoint: Endpoint, response: HttpResponse, read: Callable[[Any], T]) -> T:
    """Read a whole answer of a chat, model list, embeddings or token count.

    Args:
        endpoint: The provider's endpoint.
        response: The answer.
        read: Turns its JSON into a result.

    Raises:
        APIError: The provider refused, or its answer cannot be read.
    """
    payload = endpoint.read_json(response)
    try:
        return read(payload)
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
