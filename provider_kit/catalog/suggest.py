"""Other models that would serve where one is unknown, forbidden, or too small."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from difflib import get_close_matches

from provider_kit.errors import APIError, ContextLengthExceededError, ModelNotFoundError, PermissionDeniedError
from provider_kit.model.models import Model

__all__ = ["OF_THE_MODEL", "suggested_models"]

#: Errors that another model would not raise.
OF_THE_MODEL = (ContextLengthExceededError, ModelNotFoundError, PermissionDeniedError)

_MOST = 5
#: How alike two names must be, from 0 to 1.
_LIKENESS = 0.4


def suggested_models(
    error: APIError, model: str | None, known: Iterable[Model], *, own: Model | None = None, tokens: int = 0
) -> tuple[str, ...]:
    """The names of models to try instead, the best first; empty if none is known.

    Where the conversation is too long, they are those that would hold it, the ones of a similar price first.

    Args:
        error: What the provider refused with.
        model: The model that was asked.
        known: The provider's models.
        own: What is known of that model.
        tokens: The size of the conversation, where it is known.
    """
    embeds = error.operation == "embed"
    others = [one for one in known if one.id != model and (one.kind == "embedding") is embeds and not one.deprecated]
    if not isinstance(error, ContextLengthExceededError):
        return tuple(get_close_matches(model or "", [one.id for one in others], _MOST, _LIKENESS))
    least = max(tokens, (0 if own is None else own.context_window or 0) + 1)
    larger = [one for one in others if one.context_window is not None and one.context_window >= least]
    price = None if own is None or own.pricing is None else own.pricing.input
    larger.sort(key=lambda one: (*_distance(one, price), one.context_window, one.id))
    return tuple(one.id for one in larger[:_MOST])


def _distance(model: Model, price: Decimal | None) -> tuple[int, float]:
    """How far a model's price is from another, as a ratio; unknown prices come last."""
    own = None if model.pricing is None else model.pricing.input
    if not own or not price:
        return 1, 0.0
    ratio = float(own / price)
    return 0, max(ratio, 1 / ratio)
