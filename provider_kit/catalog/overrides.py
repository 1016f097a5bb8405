"""What a user says of models, by name or glob: windows, limits, capabilities, dates, prices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from attrs import evolve

from provider_kit.errors import ConfigError
from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.model.models import FEATURES, Model
from provider_kit.model.pricing import RATES, Pricing, read_pricing

__all__ = ["ModelOverrides", "joined", "read_overrides"]

#: Overrides in their order; those of later patterns win.
ModelOverrides = tuple[tuple[str, Model], ...]

_COUNTS = ("context_window", "max_output_tokens")
_TEXTS = ("name", "description", "knowledge", "retires", "kind")
_KNOWN = (*_COUNTS, *_TEXTS, "deprecated", "features", "supports", "pricing")


def read_overrides(given: Any) -> ModelOverrides:
    """Overrides from code or YAML: ``{"my-model*": {"context_window": 8192, "pricing": {"input": 1, "output": 2}}}``.

    Raises:
        ConfigError: Something in it cannot be understood.
    """
    if not isinstance(given, Mapping):
        raise _mistake(f"it must be a mapping from names of models, not {type(given).__name__}")
    made = []
    for pattern, facts in given.items():
        if not isinstance(pattern, str) or not pattern:
            raise _mistake(f"{pattern!r} is no name of a model")
        if isinstance(facts, Model):
            checked = None if facts.pricing is None else _pricing(pattern, facts.pricing)
            made.append((pattern.lower(), evolve(facts, pricing=checked)))
        elif isinstance(facts, Mapping):
            made.append((pattern.lower(), _model(pattern, facts)))
        else:
            raise _mistake(f"{pattern!r} must be a mapping, not {type(facts).__name__}")
    return tuple(made)


def _model(pattern: str, facts: Mapping[str, Any]) -> Model:
    made: dict[str, Any] = {}
    for name, value in facts.items():
        if name not in _KNOWN:
            raise _mistake(f"{pattern!r} has an unknown entry {name!r}", did_you_mean(str(name), _KNOWN))
        if value is None:
            continue
        if name in _COUNTS:
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise _mistake(f"{name} of {pattern!r} must be a whole number of tokens, not {value!r}")
            made[name] = value
        elif name == "deprecated":
            made[name] = _flag(pattern, name, value)
        elif name == "pricing":
            made[name] = _pricing(pattern, value)
        elif name in ("features", "supports"):
            made["features"] = {**made.get("features", {}), **_features(pattern, value)}
        else:
            made[name] = str(value)
    return Model(pattern, **made)


def _flag(pattern: str, name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _mistake(f"{name} of {pattern!r} must be true or false, not {value!r}")
    return value


def _pricing(pattern: str, value: Any) -> Pricing:
    if not isinstance(value, (Mapping, Pricing)):
        raise _mistake(f"pricing of {pattern!r} must be a mapping such as {{input: 1.5, output: 6}}")
    try:
        return read_pricing(value)
    except ValueError as error:
        raise _mistake(f"pricing of {pattern!r}: {error}") from None


def _features(pattern: str, value: Any) -> dict[str, bool]:
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, Iterable):
        raise _mistake(f"supports of {pattern!r} must be a list of capabilities, not {value!r}")
    told = value.items() if isinstance(value, Mapping) else ((one, True) for one in value)
    made = {}
    for name, has in told:
        if name not in FEATURES:
            raise _mistake(f"{name!r} of {pattern!r} is not one of {', '.join(FEATURES)}")
        made[str(name)] = _flag(pattern, str(name), has)
    return made


def _mistake(what: str, hint: str = "") -> ConfigError:
    return ConfigError(
        f"model_overrides: {what}.",
        hint=f"{hint}Write e.g. {{'my-model*': {{'context_window': 8192, 'supports': ['tools'], "
        "'pricing': {'input': '1.50', 'output': '6'}}}; prices are US dollars per million tokens.",
    )


def joined(name: str, overrides: ModelOverrides, layers: Iterable[Model | None]) -> Model | None:
    """One model from several sources, the first of which wins; the overrides that fit come before all.

    ``None`` if none knows it.
    """
    lowered = name.lower()
    own = [model for pattern, model in reversed(overrides) if fnmatchcase(lowered, pattern)]
    known = [*own, *(layer for layer in layers if layer is not None)]
    if not known:
        return None
    features: dict[str, bool] = {}
    for one in reversed(known):
        features |= one.features
    facts: dict[str, Any] = {"features": features, "pricing": _joined_prices([one.pricing for one in known])}
    for field in _JOINED:
        value = next((value for one in known if (value := getattr(one, field)) not in _UNKNOWN), _UNKNOWN)
        if value is not _UNKNOWN:
            facts[field] = value
    return Model(name, **facts)


#: Values of facts that say nothing.
_UNKNOWN: tuple[Any, ...] = (None, (), {}, "")
_JOINED = (
    *("provider", "name", "description", "context_window", "max_output_tokens", "capabilities"),
    *("knowledge", "retires", "deprecated", "kind", "created", "raw"),
)


def _joined_prices(found: list[Pricing | None]) -> Pricing | None:
    """The prices of the first source; what it does not state comes from the next ones, as far as these agree with it.

    Prices of two sources are mixed only if the first one states a part (a user's override of one price), or if both
    state the same price of input and output.
    """
    known = [one for one in found if one is not None]
    if not known:
        return None
    first, *others = known
    for other in others:
        shared = [name for name in ("input", "output") if getattr(first, name) is not None]
        if len(shared) == 2 and any(getattr(first, name) != getattr(other, name) for name in shared):
            break
        missing: dict[str, Any] = {
            name: value
            for name in RATES
            if getattr(first, name) is None and (value := getattr(other, name)) is not None
        }
        first = evolve(first, **missing, above=first.above or other.above, tiers=first.tiers or other.tiers)
    return first
