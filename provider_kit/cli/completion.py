"""``provider-kit completion``: shell completion of commands, providers and codes."""

from __future__ import annotations

from contextlib import suppress

import click
from click.shell_completion import get_completion_class

from provider_kit.cli.terminal_text import say
from provider_kit.errors import InvalidRequestError

__all__ = [
    "complete_code",
    "complete_model",
    "complete_provider",
    "complete_stored",
    "complete_template",
    "run_completion",
]


def run_completion(shell: str) -> None:
    """Print the script of a shell."""
    kind = get_completion_class(shell)
    if kind is None:
        raise InvalidRequestError(f"There is no completion for {shell}.", hint="bash, zsh and fish are known.")
    cli = click.get_current_context().find_root().command
    say(kind(cli, {}, "provider-kit", "_PROVIDER_KIT_COMPLETE").source())


def complete_provider(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Names of providers."""
    from provider_kit.providers.registry import provider_names

    return [name for name in provider_names() if name.startswith(incomplete)]


def complete_model(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Providers with their default models, and aliases."""
    from provider_kit.cli.user_settings import read_aliases
    from provider_kit.errors import ProviderKitError
    from provider_kit.providers.registry import find_provider, provider_names

    names = [f"{name}/{find_provider(name).default_model or ''}" for name in provider_names()]
    with suppress(ProviderKitError):  # a file that cannot be read offers nothing
        names += read_aliases()
    return [name for name in names if name.startswith(incomplete)]


def complete_stored(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Names with a stored key or login."""
    from provider_kit.auth.storage.factory import open_token_storage
    from provider_kit.errors import ProviderKitError

    try:
        return [name for name in open_token_storage().list_tokens() if name.startswith(incomplete)]
    except ProviderKitError:  # nothing can be offered
        return []


def complete_template(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Names of templates."""
    from provider_kit.cli.user_settings import template_names

    return [name for name in template_names() if name.startswith(incomplete)]


def complete_code(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Codes of errors."""
    from provider_kit.error_guide import codes

    return [code for code in codes() if code.startswith(incomplete)]
