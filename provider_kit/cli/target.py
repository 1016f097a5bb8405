"""Finds the provider and creates a client: from the configuration file, the environment, stored logins."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from provider_kit.cli.terminal_text import say
from provider_kit.cli.user_settings import read_aliases
from provider_kit.client.client import Client
from provider_kit.config.loader import choose_entry, open_configuration
from provider_kit.errors import ConfigError
from provider_kit.providers.base import keys_of_variable, variable_prefix
from provider_kit.providers.default_choice import default_target
from provider_kit.providers.registry import find_provider, is_known, provider_names

if TYPE_CHECKING:  # not before they are needed: most calls ask one provider, which has a key
    from provider_kit.client.router import Router
    from provider_kit.config.configuration import Configuration

__all__ = [
    "client_of_entry",
    "configured_names",
    "default_target",
    "open_client",
    "open_model",
    "read_configuration_if_any",
    "target_name",
]


def read_configuration_if_any() -> Configuration | None:
    """The configuration file, as far as it can be read; problems are reported in one line."""
    found = open_configuration(check=False)
    if found is None:
        return None
    wrong = sum(problem.severity == "error" for problem in found.problems)
    if wrong:
        count = "a problem" if wrong == 1 else f"{wrong} problems"
        say(f"{found.file} has {count}; see: provider-kit config check", err=True, fg="yellow")
    return found


def open_client(target: str | None, environ: Mapping[str, str], **options: Any) -> Client:
    """As :func:`open_model`, for commands about one provider.

    Raises:
        ConfigError: It is a route.
    """
    found = open_model(target, environ, **options)
    if not isinstance(found, Client):
        raise ConfigError(
            f"{found.name} is a route of several providers; this command takes one.",
            hint=f"Its providers: {', '.join(found.targets)}.",
        )
    return found


def target_name(client: Client | Router, model: str | None = None) -> str:
    """``provider/model``, or the name of a route."""
    if not isinstance(client, Client):
        return model or client.name
    return f"{client.provider}/{model or client.model or '?'}"


def open_model(target: str | None, environ: Mapping[str, str], **options: Any) -> Client | Router:
    """Create a client of the provider named on the command line: one of the file, else one of the library; or the
    router of a route of the file.

    Without a key the stored login is used, if there is one. An unreadable entry of the file is never replaced by
    another provider of the same name.
    """
    options = {name: value for name, value in options.items() if value is not None}
    if target is not None and not target.strip():
        raise ConfigError("The name of the model is empty.", hint="Write it as provider/model: -m openai/gpt-5-mini.")
    target = target or environ.get("PROVIDER_KIT_MODEL", "").strip() or None
    if target is not None and "/" not in target:
        target = read_aliases().get(target, target)
    if target is None or "://" not in target:
        found = read_configuration_if_any()
        if found is not None:
            wanted = target or found.default
            if wanted is None or (target is None and "default" in found.broken):
                found.check()  # another provider than the default would be asked, and paid
            elif wanted in found.routing:
                return router_of_file(found, wanted, options)
            elif wanted in found.entries or wanted.partition("/")[0] in found.entries:
                return client_of_entry(found, wanted, options)
            elif {wanted, wanted.partition("/")[0]} & set(found.broken):
                found.check()
            elif target is not None and wanted.partition("/")[0] in found.disabled and not is_known(wanted):
                return client_of_entry(found, wanted, options)  # raises that it is switched off
    target = target or default_target(environ, _stored_names())
    name = target.partition("/")[0]
    if "base_url" in options and "://" not in target and not is_known(name):
        return Client(model=target, **options)  # a custom server and its model
    if "://" not in target and name in provider_names():
        provider = find_provider(name)
        if (
            provider.key_required
            and not provider.find_key(environ)[0]
            and not keys_of_variable(f"{variable_prefix(name)}_API_KEY", environ)
        ):
            from provider_kit.auth.storage.factory import stored_credential

            kept = stored_credential(name)
            if kept is not None and kept.token_type != "api_key":
                options["auth"] = "oauth"
    return Client(target, **options)


def _stored_names() -> list[str]:
    from provider_kit.auth.storage.factory import stored_names

    return stored_names()


def router_of_file(found: Configuration, name: str, options: Mapping[str, Any]) -> Router:
    """The router of a route of the file.

    Raises:
        ConfigError: An option belongs to one provider.
    """
    alone = [f"--{one.replace('_', '-')}" for one in ("base_url", "max_retries") if one in options]
    if alone:
        raise ConfigError(
            f"{' and '.join(alone)} cannot be used with the route {name}, which has several providers.",
            hint="Write it at each provider of the file.",
        )
    from provider_kit.client.collection import Clients

    router = Clients(found.check()).route(name)
    return router.with_options(timeout=options["timeout"]) if "timeout" in options else router


def client_of_entry(found: Configuration, name: str, options: Mapping[str, Any]) -> Client:
    """A client of a provider of the file."""
    entry, model = choose_entry(found, name)
    changes = {**({"model": model} if model else {}), **options}
    config, more = entry.changed(changes).make_config()
    return Client(config, **more)


def configured_names(found: Configuration | None, environ: Mapping[str, str] | None = None) -> list[str]:
    """The providers of the file, else those that have a key in the environment or in the storage."""
    if found is not None and found.entries:
        return list(found.entries)
    environ = os.environ if environ is None else environ
    from provider_kit.auth.storage.factory import stored_credential

    names = []
    for name in provider_names():
        provider = find_provider(name)
        if not provider.key_required or not provider.key_variables:
            continue
        if provider.find_key(environ)[0] or stored_credential(name) is not None:
            names.append(name)
    return names


def need_configured(found: Configuration | None) -> list[str]:
    """The same, or an error that says how to configure one.

    Raises:
        ConfigError: There is none.
    """
    names = configured_names(found)
    if not names:
        raise ConfigError(
            "No provider is configured: there is no key in the environment and no configuration file.",
            hint="Set a key (provider-kit keys set openai), write a file (provider-kit config init), "
            "or name a provider.",
        )
    return names
