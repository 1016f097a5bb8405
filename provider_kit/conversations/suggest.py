"""Other models that would serve where one is unknown, forbidden, or too small; from the provider's own list."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from provider_kit.errors import APIError, ContextLengthExceededError
from provider_kit.model.models import Model

__all__ = ["suggested_models"]

_MOST = 5
#: How alike two names must be, from 0 to 1.
_LIKENESS = 0.4


def suggested_models(error: APIError, model: str | None, known: Sequence[Model]) -> tuple[str, ...]:
    """The names of models to try instead, the best first; empty if the list tells of none.

    Args:
        error: What the provider refused with.
        model: The model that was asked.
        known: The provider's models.
    """
    if isinstance(error, ContextLengthExceededError):
        own = next((one.context_window or 0 for one in known if one.id == model), 0)
        larger = [one for one in known if one.context_window and one.context_window > own and one.id != model]
        larger.sort(key=lambda one: (one.context_window or 0, one.id))
        return tuple(one.id for one in larger[:_MOST])
    names = [one.id for one in known if one.id != model]
    return tuple(difflib.get_close_matches(model or "", names, _MOST, _LIKENESS))
