"""Which provider is meant where the command line does not say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provider_kit.client import Client
from provider_kit.providers.default_choice import default_target
from provider_kit.providers.registry import find_provider, provider_names

__all__ = ["default_target", "open_client"]


def open_client(target: str | None, environ: Mapping[str, str], **options: Any) -> Client:
    """A client of what the command line names; without a key, with the stored login."""
    target = target or default_target(environ)
    name = target.partition("/")[0]
    if "://" not in target and name in provider_names():
        provider = find_provider(name)
        if provider.key_required and not provider.find_key(environ)[0] and not environ.get(f"{name.upper()}_API_KEY"):
            from provider_kit.cli.auth import has_login

            if has_login(name):
                options["auth"] = "oauth"
    return Client(target, **options)
