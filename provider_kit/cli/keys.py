"""``provider-kit keys``: API keys in the same storage as logins, a user's file or the keychain."""

from __future__ import annotations

import sys

import click

from provider_kit.auth.keys.shape import shape_warning
from provider_kit.auth.keys.sources import check_key
from provider_kit.auth.keys.state import mask
from provider_kit.auth.storage.factory import open_token_storage
from provider_kit.cli.tables import print_table
from provider_kit.cli.terminal_text import say, say_json
from provider_kit.config.loader import open_configuration
from provider_kit.errors import ConfigError, UnknownProviderError
from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.model.oauth import OAuthToken
from provider_kit.model.secrets import MaskedStr
from provider_kit.model.text_bytes import decode_text
from provider_kit.providers.registry import find_provider, is_known, provider_names

__all__ = ["run_list", "run_remove", "run_set"]


def run_set(provider: str, force: bool) -> None:
    """Store a key, typed without being shown, or piped in."""
    _check_name(provider)
    if not force:
        _check_spelling(provider)
    storage = open_token_storage()
    found = storage.retrieve_token(provider)
    if found is not None and found.token_type != "api_key" and not force:
        raise ConfigError(
            f"There is a login of {provider}, which a key would replace.",
            hint=f"provider-kit auth logout {provider}, or --force.",
        )
    if sys.stdin is None or sys.stdin.closed:
        raise ConfigError(
            "There is no terminal to ask for the key.", hint=f"Pipe it in: provider-kit keys set {provider} < file"
        )
    at_terminal = sys.stdin.isatty()
    asked = str(click.prompt(f"Key of {provider}", hide_input=True)) if at_terminal else None
    text = (decode_text(sys.stdin.buffer.readline()) if asked is None else asked).strip()
    if len(text) > 2 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1]
        say("The quotes around the key were removed.", err=True, fg="yellow")
    key = MaskedStr(check_key(text, provider))
    if is_known(provider):
        warning = shape_warning(find_provider(provider), key)
        if warning is not None:
            say(f"{warning[0]} {warning[1]}", err=True, fg="yellow")
    else:
        say(f"It is used for the provider {provider} of your configuration file.", err=True, fg="yellow")
    storage.store_token(provider, OAuthToken(access_token=key, token_type="api_key"))  # noqa: S106  # a kind
    say(f"The key of {provider} ({mask(key)}) is stored in {str(storage).strip('<>')}.", fg="green")
    say(f"It is used where no other key is given. Try: provider-kit test {provider}")


def _check_spelling(provider: str) -> None:
    """A misspelt provider is named before its key is asked for, which would be stored where nobody looks.

    Raises:
        UnknownProviderError: The library has no such provider, nor has the file.
    """
    if is_known(provider):
        return
    found = open_configuration(check=False)
    if found is not None and provider in (*found.entries, *found.broken, *found.disabled):
        return
    near = did_you_mean(provider, provider_names())
    raise UnknownProviderError(
        f"There is no provider {provider!r}.",
        hint=f"{near}provider-kit providers lists them. For a server of your own that will be in the configuration "
        "file: --force.",
    )


def _check_name(provider: str) -> None:
    if not provider.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise UnknownProviderError(
            f"{provider!r} is not a valid provider name.", hint="provider-kit providers lists them."
        )


def run_list(as_json: bool) -> None:
    """List what is stored; only the last characters of each key are shown."""
    storage = open_token_storage()
    rows = []
    for name in storage.list_tokens():
        token = storage.retrieve_token(name)
        if token is not None and "#" not in name:
            kind = "key" if token.token_type == "api_key" else "login"
            rows.append({"provider": name, "kind": kind, "key": mask(token.access_token) if kind == "key" else ""})
    if as_json:
        say_json(rows)
        return
    if not rows:
        say(f"Nothing is stored in {str(storage).strip('<>')}.")
        say("Store a key with: provider-kit keys set PROVIDER")
    print_table(["Name", "Kind", "Key"], [[row["provider"], row["kind"], row["key"]] for row in rows], [18, 6, 0])


def run_remove(provider: str) -> None:
    """Delete a stored key."""
    storage = open_token_storage()
    found = storage.retrieve_token(provider)
    if found is None:
        raise ConfigError(f"No key of {provider} is stored.", hint="provider-kit keys list shows what is.")
    if found.token_type != "api_key":
        raise ConfigError(f"{provider} has a login, not a key.", hint=f"provider-kit auth logout {provider}")
    storage.delete_token(provider)
    say(f"The key of {provider} was deleted here. Revoke it at the provider too if it was exposed.")
