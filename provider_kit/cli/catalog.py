"""``provider-kit models`` and ``provider-kit providers``."""

from __future__ import annotations

import os

import click

from provider_kit.cli.target import open_client
from provider_kit.model.json_text import dumps_text
from provider_kit.providers.registry import find_provider, provider_names

__all__ = ["run_models", "run_providers"]


def run_models(provider: str | None, base_url: str | None, as_json: bool) -> None:
    """Print the models of a provider."""
    with open_client(provider, os.environ, base_url=base_url) as client:
        found = sorted(client.models(), key=lambda model: model.id)
        if as_json:
            click.echo(dumps_text([model.raw for model in found]))
            return
        for model in found:
            window = f"{model.context_window:,} tokens" if model.context_window else ""
            click.echo(f"{client.provider}/{model.id:<50} {window}".rstrip())


def run_providers(as_json: bool) -> None:
    """Print the providers."""
    rows = []
    for name in provider_names():
        provider = find_provider(name)
        variable = provider.find_key(os.environ)[1]
        ready = "no key needed" if not provider.key_required else f"{variable} is set" if variable else ""
        rows.append((name, provider.title or name, provider.key_variables, ready, provider.default_model))
    if as_json:
        keys = ("name", "title", "key_variables", "state", "default_model")
        click.echo(
            dumps_text([dict(zip(keys, (row[0], row[1], list(row[2]), row[3], row[4]), strict=True)) for row in rows])
        )
        return
    for name, title, variables, ready, _ in rows:
        state = ready or f"set {variables[0]}"
        click.echo(f"{name:<18} {title:<28} {state}")
