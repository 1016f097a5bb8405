"""The bundled catalog: models by provider and name, read from ``models.json`` when one is first asked for.

Names are matched as genai-prices matches them, so that a dated or prefixed name finds its model: the first model of a
provider whose clause fits, then those of the providers whose models it also serves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from functools import lru_cache
from importlib.resources import files
from typing import Any

from attrs import define, field

from provider_kit.model.json_text import loads
from provider_kit.model.models import Model
from provider_kit.model.pricing import Pricing, read_pricing

__all__ = ["BundledModel", "Catalog", "bundled_catalog"]

_COMPACT_DATE = re.compile(r"-(20\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")
#: Names of models that a catalog remembers.
_MOST_NAMES = 5000


@define(eq=False)
class BundledModel:
    """One model of the catalog."""

    provider: str
    row: Mapping[str, Any] = field(repr=False)
    _model: Model | None = None
    _prices: list[tuple[Any, Pricing]] | None = None

    @property
    def id(self) -> str:
        """Its name in the catalog."""
        return str(self.row["id"])

    @property
    def model(self) -> Model:
        """What is known of it, with the newest prices."""
        if self._model is None:
            row = self.row
            told = str(row.get("features", "")).split()
            self._model = Model(
                self.id,
                self.provider,
                name=row.get("name"),
                context_window=row.get("window"),
                max_output_tokens=row.get("output"),
                features={name[1:]: name[0] == "+" for name in told},
                pricing=self.pricing_at(None),
                knowledge=row.get("knowledge"),
                retires=row.get("retires"),
                deprecated=row.get("deprecated"),
                kind=row.get("kind"),
            )
        return self._model

    @property
    def has_one_price(self) -> bool:
        """Whether its prices are the same at any time."""
        return all(when is None for when, _ in self.row["prices"])

    def pricing_at(self, time: float | None) -> Pricing | None:
        """Its prices at a time, in seconds since 1970; ``None``: those of the last date, at any hour."""
        if self._prices is None:
            self._prices = [(when, read_pricing(given)) for when, given in self.row["prices"]]
        found = self._prices[0][1] if self._prices else None
        if len(self._prices) == 1 and self._prices[0][0] is None:  # the common case
            return found
        moment = None if time is None else datetime.fromtimestamp(time, UTC)
        for when, pricing in self._prices:
            if when is None or _applies(when, moment):
                found = pricing
        return found


def _applies(when: Any, moment: datetime | None) -> bool:
    """Whether a price is valid: from a date on, or within hours of the day (UTC)."""
    if isinstance(when, str):
        return moment is None or moment.date() >= date.fromisoformat(when)
    if moment is None:
        return False
    begins, ends = when
    clock = f"{moment:%H:%M}"
    inside: bool = begins <= clock < ends if begins <= ends else clock >= begins or clock < ends
    return inside


def _fits(clause: Any, name: str) -> bool:
    if isinstance(clause, str):
        mark, text = clause[0], clause[1:]
        if mark == "=":
            return name == text
        if mark == "^":
            return name.startswith(text)
        if mark == "*":
            return text in name
        if mark == "$":
            return name.endswith(text)
        return re.search(text, name) is not None
    kind, *clauses = clause
    return any(_fits(one, name) for one in clauses) if kind == "or" else all(_fits(one, name) for one in clauses)


class Catalog:
    """Models by provider and name.

    Args:
        content: The content of ``models.json``.
    """

    def __init__(self, content: Mapping[str, Any]) -> None:
        #: When it was built, as ``2026-11-28``.
        self.date: str = content["date"]
        #: The packages it was built from, with their versions.
        self.sources: tuple[str, ...] = tuple(content["sources"])
        self._sections: Mapping[str, Mapping[str, Any]] = content["providers"]
        self._models = {
            name: [BundledModel(name, row) for row in section["models"]] for name, section in self._sections.items()
        }
        self._found: dict[tuple[str, str], BundledModel | None] = {}
        self._hosts: dict[str, str | None] = {}

    def find(self, provider: str, model: str) -> BundledModel | None:
        """The model a provider means by a name."""
        key = (provider, model)
        try:
            return self._found[key]
        except KeyError:
            if len(self._found) >= _MOST_NAMES:
                self._found.clear()
            found = self._found[key] = self._search(provider, model)
            return found

    def models_of(self, provider: str) -> Iterator[Model]:
        """The models of a provider."""
        return (one.model for one in self._models.get(provider, ()))

    def section_of(self, provider: str, base_url: str) -> str:
        """The provider's name in the catalog: its own, or that of the server at an address."""
        if provider in self._sections:
            return provider
        if base_url not in self._hosts:
            fitting = (name for name, one in self._sections.items() if re.match(one.get("hosts") or "(?!)", base_url))
            self._hosts[base_url] = next(fitting, None)
        return self._hosts[base_url] or provider

    def _search(self, provider: str, model: str) -> BundledModel | None:
        name = model.lower()
        found = self._match(provider, name)
        if found is None and (dashed := _COMPACT_DATE.sub(r"-\1-\2-\3", name)) != name:
            found = self._match(provider, dashed)
        return found

    def _match(self, provider: str, name: str) -> BundledModel | None:
        section = self._sections.get(provider)
        if section is None:
            return None
        for one in (provider, *section.get("also", ())):
            for candidate in self._models.get(one, ()):
                if _fits(candidate.row["match"], name):
                    return candidate
        return None


@lru_cache(maxsize=1)
def bundled_catalog() -> Catalog:
    """The bundled catalog; read once."""
    return Catalog(loads(files("provider_kit.catalog").joinpath("models.json").read_bytes()))
