"""Arguments that override a file, split into those of a configuration and those of a client."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from provider_kit.auth.keys.pool import KeyPool
from provider_kit.config.entries import ProviderEntry
from provider_kit.engine.client_arguments import options_of, own_options
from provider_kit.model.config import CONFIG_FIELDS, CircuitBreakerConfig
from provider_kit.providers.registry import find_provider

__all__ = ["override"]

#: Arguments that a configuration holds in these forms only; in others they go to the client itself.
_FORMS: dict[str, Any] = {
    "api_keys": (list, tuple),
    "circuit_breaker": (bool, CircuitBreakerConfig),
    "response_cache": (bool, str),
    "store": str,
}


def override(
    entry: ProviderEntry, changes: Mapping[str, Any], known: Iterable[str]
) -> tuple[ProviderEntry, dict[str, Any]]:
    """The entry with explicit arguments, and the remaining arguments of the client.

    Args:
        entry: A provider of the file.
        changes: Arguments of a client; ``None`` counts as not given.
        known: The names of all arguments of a client.

    Raises:
        ConfigError: One of them is unknown; the hint suggests a similar name.
    """
    given = {name: value for name, value in changes.items() if value is not None}
    kind = str(entry.settings["type"])
    known = tuple(known)
    own_options(kind, {name: value for name, value in given.items() if name not in known}, known)
    given |= options_of(given.pop("options", None))
    keys = given.get("api_keys")
    if isinstance(keys, Mapping):
        given["api_keys"] = KeyPool(entry.name, keys, strategy="weighted")
    elif callable(keys) and not isinstance(keys, KeyPool):
        given["api_key"] = given.pop("api_keys")
    whole = {name for name, value in given.items() if name in _FORMS and not isinstance(value, _FORMS[name])}
    fields = {"model", *CONFIG_FIELDS, *find_provider(kind).option_names} - whole
    beside = {name: value for name, value in given.items() if name not in fields}
    changed = entry.changed({name: value for name, value in given.items() if name in fields}, besides=beside)
    return changed, beside
