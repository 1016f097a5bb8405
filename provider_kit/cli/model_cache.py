"""Lists of models that were fetched less than an hour ago, in the user's cache folder."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from attrs import asdict

from provider_kit.model.json_text import dumps_text
from provider_kit.model.models import Model
from provider_kit.model.pricing import read_pricing, write_pricing
from provider_kit.stores.user_folders import user_folder

__all__ = ["ModelCache", "model_row"]

_SECONDS = 3600.0


class ModelCache:
    """The cached list of one provider at one address."""

    def __init__(self, provider: str, base_url: str, keys: Sequence[str]) -> None:
        # Other keys may have access to other models. The hash distinguishes keys without revealing them.
        name = hashlib.sha256("\n".join([provider, base_url, *sorted(keys)]).encode()).hexdigest()[:24]
        # Without a home directory nothing is cached: a path inside a device cannot be opened.
        self._path = os.path.join(user_folder("cache") or os.devnull, f"models-{name}.json")

    def read(self) -> list[Model] | None:
        """The list, or ``None`` if there is none or it is old."""
        try:
            if time.time() - os.stat(self._path).st_mtime > _SECONDS:
                return None
            with open(self._path, encoding="utf-8") as file:
                rows = json.load(file)
            return [_model(row) for row in rows]
        except (OSError, ValueError, TypeError, KeyError, AttributeError, ArithmeticError):
            return None  # it is fetched again

    def write(self, models: list[Model]) -> None:
        """Cache a list; if that fails, it is fetched again next time."""
        rows = [model_row(model) for model in models]
        with suppress(OSError, TypeError, ValueError):  # full disk, read-only home, odd values of a plugin
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            temporary = f"{self._path}.{os.getpid()}"
            with open(temporary, "w", encoding="utf-8") as file:
                file.write(dumps_text(rows))
            os.replace(temporary, self._path)


def model_row(model: Model) -> dict[str, Any]:
    """All that is known of a model, for JSON."""
    row = asdict(model, recurse=False)
    if model.pricing is not None:
        row["pricing"] = write_pricing(model.pricing)
    return row


def _model(row: dict[str, object]) -> Model:
    pricing = row.pop("pricing")
    capabilities = row.pop("capabilities")
    return Model(
        **row,  # type: ignore[arg-type]  # what asdict() wrote; a foreign file raises TypeError
        capabilities=tuple(capabilities),  # type: ignore[arg-type]  # what was written
        pricing=read_pricing(pricing) if isinstance(pricing, dict) else None,
    )
