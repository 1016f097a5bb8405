"""``provider-kit models`` and ``provider-kit providers``."""

from __future__ import annotations

import os
from typing import Any

from provider_kit.auth.storage.factory import stored_credential
from provider_kit.catalog.bundled import bundled_catalog
from provider_kit.cli.model_cache import ModelCache, model_row
from provider_kit.cli.tables import print_table
from provider_kit.cli.target import open_client, read_configuration_if_any
from provider_kit.cli.terminal_text import say, say_json
from provider_kit.cli.user_settings import read_aliases
from provider_kit.client.client import Client
from provider_kit.config.configuration import Configuration
from provider_kit.errors import MissingAPIKeyError
from provider_kit.model.models import Model
from provider_kit.providers.registry import find_provider, is_known, provider_names

__all__ = ["run_models", "run_providers"]


def run_models(provider: str | None, base_url: str | None, search: str | None, refresh: bool, as_json: bool) -> None:
    """Print the models of a provider; the list is cached for an hour."""
    aliases = read_aliases()
    provider = aliases.get(provider, provider) if provider else provider
    with open_client(provider, os.environ, base_url=base_url) as client:
        models = _models_of(client, refresh)
        words = f"{search or ''} {_beginning(provider, client)}".lower().split()
        shown = [model for model in models if all(word in f"{model.id} {model.name or ''}".lower() for word in words)]
        if as_json:
            empty: tuple[Any, ...] = (None, (), {}, "")
            rows = [{key: value for key, value in model_row(one).items() if value not in empty} for one in shown]
            say_json([{**row.pop("raw", {}), **row} for row in rows])
            return
        table = [[f"{client.provider}/{one.id}", _window(one), _prices(one)] for one in shown]
        print_table(["Model", "Context", "US dollars per million tokens"], table, [50, 18, 0])
        if not shown and words:
            told = f"None of the {len(models)} models of {client.provider} has {' and '.join(words)} in its name."
            say(f"{told}{'' if provider else ' Name a provider: provider-kit models openai'}", err=True)


def _beginning(asked: str | None, client: Client) -> str:
    """The model in what was asked for, which may be the beginning of several names: ``openai/gpt-5``, ``gpt-5``."""
    if not asked or "://" in asked:
        return ""
    name, _, model = asked.partition("/")
    return model if model or name == client.provider or is_known(name) else name


def _models_of(client: Client, refresh: bool) -> list[Model]:
    """The models that the key may use; without a key, those of the bundled catalog."""
    try:
        keys = [status.id for status in client.keys.status()]
        cache = ModelCache(client.provider, client.base_url, keys)
        models = None if refresh else cache.read()
        if models is None:
            models = sorted(client.models(), key=lambda model: model.id)
            cache.write(models)
        return models
    except MissingAPIKeyError:
        catalog = bundled_catalog()
        known = sorted(catalog.models_of(client.config.type), key=lambda model: model.id)
        if not known:
            raise
        say(
            f"Without a key, these are the models known on {catalog.date}. With one, the list is the provider's own: "
            f"provider-kit keys set {client.provider}",
            err=True,
            fg="yellow",
        )
        return known


def _window(model: Model) -> str:
    return f"{model.context_window:,} tokens" if model.context_window else ""


def _prices(model: Model) -> str:
    pricing = model.pricing
    if pricing is None or pricing.input is None or pricing.output is None:
        return ""
    return f"${pricing.input.normalize():f} in, ${pricing.output.normalize():f} out"


def run_providers(as_json: bool) -> None:
    """Print the providers, those of the configuration file first."""
    rows: list[dict[str, Any]] = []
    found = read_configuration_if_any()
    if found is not None:
        rows.extend(_configured(found))
    for name in provider_names():
        provider = find_provider(name)
        variable = provider.find_key(os.environ)[1]
        if not provider.key_required:
            state = "no key needed"
        elif variable:
            state = f"{variable} is set"
        else:
            stored = stored_credential(name)
            state = "" if stored is None else "key stored" if stored.token_type == "api_key" else "logged in"
        rows.append(
            {
                "name": name,
                "title": provider.title or name,
                "key_variables": list(provider.key_variables),
                "state": state,
                "default_model": provider.default_model,
            }
        )
    if as_json:
        say_json(rows)
        return
    table = [[row["name"], row["title"], row["state"] or f"set {' or '.join(row['key_variables'])}"] for row in rows]
    print_table(["Name", "Provider", "Key"], table, [18, 28, 0])


def _configured(found: Configuration) -> list[dict[str, Any]]:
    rows = []
    for name, entry in found.entries.items():
        kind = str(entry.settings["type"])
        model = entry.settings.get("default_model") or find_provider(kind).default_model
        rows.append(
            {
                "name": name,
                "title": find_provider(kind).title or kind,
                "key_variables": list(find_provider(kind).key_variables),
                "state": f"{found.file}:{entry.line}",
                "default_model": model,
            }
        )
    return rows
