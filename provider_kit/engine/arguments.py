"""Checks of a call's arguments, before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from provider_kit.errors import ConfigError, InvalidRequestError
from provider_kit.model.cancellation import CancelToken
from provider_kit.model.config import Timeout
from provider_kit.model.http_config import check_seconds

__all__ = ["check_cancel", "check_embedding", "check_times"]


def check_times(timeout: Any, total: Any) -> tuple[Timeout | None, float | None]:
    """The timeouts of one call, and its total timeout, where it has its own."""
    clocks: Timeout | None = None
    try:
        if timeout is not None:
            clocks = Timeout.parse(timeout)
        if total is not None:
            check_seconds("total_timeout", total)
        elif timeout is not None and clocks is not None:
            total = clocks.total
    except ConfigError as error:
        raise InvalidRequestError(error.message, hint=error.hint) from None
    return clocks, total


def check_cancel(token: Any) -> CancelToken | None:
    """Check ``cancel=``.

    Raises:
        InvalidRequestError: It is not a :class:`CancelToken`.
    """
    if token is None or isinstance(token, CancelToken):
        return token
    raise InvalidRequestError(
        f"cancel must be a CancelToken, not {type(token).__name__}.",
        hint="token = CancelToken(); client.chat('…', cancel=token); token.cancel() from another thread.",
    )


def check_embedding(texts: Any, model: Any, dimensions: Any, extra_body: Any) -> tuple[list[str], str]:
    """The texts to embed, as a list, and the model.

    Raises:
        InvalidRequestError: An argument is invalid.
    """
    batch = [texts] if isinstance(texts, str) else list(texts) if isinstance(texts, Iterable) else []
    if not batch or not all(isinstance(text, str) and text for text in batch):
        raise InvalidRequestError(
            "embed() takes one text or a list of texts, none of them empty.", hint="client.embed(['one', 'two'])."
        )
    if not model or not isinstance(model, str):
        raise InvalidRequestError("No model is given.", hint="Pass model=, the name of an embedding model.")
    if dimensions is not None and (type(dimensions) is not int or dimensions < 1):
        raise InvalidRequestError(f"dimensions must be a whole number above 0, not {dimensions!r}.")
    if extra_body is not None and not isinstance(extra_body, Mapping):
        raise InvalidRequestError(f"extra_body must be a dict, not {type(extra_body).__name__}.")
    return batch, model
