"""What one client knows of models: the user's overrides, the provider's own list, the bundled catalog, in this order.

The list is put here by the engine when it was fetched; nothing here fetches it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from attrs import define, evolve, field

from provider_kit.catalog.bundled import BundledModel, bundled_catalog
from provider_kit.catalog.overrides import ModelOverrides, joined
from provider_kit.catalog.suggest import suggested_models
from provider_kit.errors import APIError
from provider_kit.model.models import Model
from provider_kit.model.pricing import Pricing
from provider_kit.model.usage import Usage

__all__ = ["ModelDirectory"]

#: Names whose facts are remembered.
_MOST_NAMES = 2000


@define(eq=False)
class ModelDirectory:
    """The models of one provider, as one client knows them.

    Args:
        provider: The provider's own name.
        label: The user's name for it.
        base_url: Its address.
        overrides: What the user says of models.
        lifetime: Seconds for which a list of the provider is fresh.
    """

    provider: str
    label: str
    base_url: str
    overrides: ModelOverrides
    lifetime: float
    _live: dict[str, Model] | None = None
    _fetched: float = 0.0
    _known: dict[str, Model | None] = field(factory=dict)
    #: Prices that do not change with time, by the names of their model.
    _settled: dict[tuple[str | None, ...], Pricing] = field(factory=dict)

    # -------------------------------------------------------------------------------------------- the live list

    def keep(self, models: Sequence[Model], now: float) -> None:
        """Keep the provider's own list, fetched at ``now`` by a monotonic clock."""
        self._live, self._fetched, self._known = {model.id: model for model in models}, now, {}
        self._settled = {}

    def fresh(self, now: float) -> bool:
        """Whether there is a list, and it is fresh."""
        return self._live is not None and now - self._fetched < self.lifetime

    @property
    def is_listed(self) -> bool:
        """Whether there is a list, fresh or not."""
        return self._live is not None

    def listed(self) -> list[Model]:
        """The models of the provider's list, with all that is known of them."""
        return [self.info(name) for name in self._live or ()]

    # -------------------------------------------------------------------------------------------- facts

    def bundled(self, name: str) -> BundledModel | None:
        """What the bundled catalog has of a model."""
        catalog = bundled_catalog()
        return catalog.find(catalog.section_of(self.provider, self.base_url), name)

    def find(self, name: str) -> Model | None:
        """What is known of a model, ``None`` if nothing is."""
        try:
            return self._known[name]
        except KeyError:
            pass
        bundled = self.bundled(name)
        live = None if self._live is None else self._live.get(name)
        found = joined(name, self.overrides, (live, None if bundled is None else bundled.model))
        if found is not None:
            found = evolve(found, provider=self.label)
        if len(self._known) >= _MOST_NAMES:
            self._known.clear()
        self._known[name] = found
        return found

    def info(self, name: str) -> Model:
        """What is known of a model; unknown facts are ``None``."""
        return self.find(name) or Model(name, self.label)

    def pricing(self, name: str, time: float | None = None) -> Pricing | None:
        """The prices of a model at a time, in seconds since 1970."""
        found = self.find(name)
        bundled = self.bundled(name)
        if found is None or bundled is None or found.pricing is not bundled.model.pricing:
            return None if found is None else found.pricing
        return bundled.pricing_at(time)

    def cost_of(self, usage: Usage, models: tuple[str | None, ...], time: float | None) -> Decimal | None:
        """What a usage costs in US dollars, by the first of the names whose prices are known."""
        try:
            settled = self._settled.get(models)
        except TypeError:  # a server may name its model by something else than a text
            settled = None
        cost = None if settled is None else settled.cost(usage)
        if cost is not None:
            return cost
        names = [name for name in models if isinstance(name, str)]
        if self.overrides:  # a price of the user's counts, by whichever name
            names.sort(key=lambda name: not self._is_overridden(name))
        for name in names:
            pricing = self.pricing(name, time)
            cost = None if pricing is None else pricing.cost(usage)
            if pricing is not None and cost is not None:
                self._settle(models, name, pricing)
                return cost
        return None

    def linear_pricing(self, models: tuple[str | None, ...]) -> Pricing | None:
        """Prices that many usages may be multiplied by at once, where such prices are known for these names."""
        try:
            found = self._settled.get(models)
        except TypeError:  # a name that is no text
            return None
        return None if found is None or found.above or found.requests is not None else found

    def _settle(self, models: tuple[str | None, ...], name: str, pricing: Pricing) -> None:
        """Remember prices that are valid at any time."""
        bundled = self.bundled(name)
        named = all(one is None or type(one) is str for one in models)
        if named and (bundled is None or bundled.has_one_price):
            if len(self._settled) >= _MOST_NAMES:
                self._settled.clear()
            self._settled[models] = pricing

    def _is_overridden(self, name: str) -> bool:
        """Whether the user states prices of a model."""
        found = joined(name, self.overrides, ())
        return found is not None and found.pricing is not None

    # -------------------------------------------------------------------------------------------- suggestions

    def suggest(self, error: APIError, name: str | None, time: float, tokens: int = 0) -> None:
        """Name other models in an error, if any are known.

        Args:
            error: It tells what was wrong with the model.
            name: The model.
            time: Seconds since 1970, when some models may be retired.
            tokens: The size of the conversation, where it is known.
        """
        own = None if name is None else self.find(name)
        error.suggest(suggested_models(error, name, self._offered(time), own=own, tokens=tokens))

    def _offered(self, time: float) -> Iterable[Model]:
        """The models of the provider's list, else of the bundled catalog, that are not retired."""
        if self._live is None:
            catalog = bundled_catalog()
            names = [one.id for one in catalog.models_of(catalog.section_of(self.provider, self.base_url))]
        else:
            names = list(self._live)
        unlisted = self._live is None
        today = f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d}"
        for name in names:
            model = self.info(name)
            # A row of the bundled catalog that tells nothing is no model to be recommended.
            told = not unlisted or (model.features and not name.startswith("ft:"))
            if told and (model.retires is None or model.retires > today):
                yield model
