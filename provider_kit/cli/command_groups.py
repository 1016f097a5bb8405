"""The groups of commands: ``auth``, ``keys``, ``config``."""

from __future__ import annotations

from typing import Any

import click

from provider_kit.cli.completion import complete_provider, complete_stored

__all__ = ["auth", "config", "keys"]


@click.group()
def auth() -> None:
    """Log in with OAuth, show the state of logins, log out.

    Logins are stored in files that only you can read, or where PROVIDER_KIT_TOKEN_STORAGE says:
    keyring, a path, sqlite:///path, redis://...
    """


@auth.command()
@click.argument("provider", shell_complete=complete_provider)
@click.option("--device", is_flag=True, help="Show a code to enter on another device; needs no browser here.")
@click.option("--browser/--no-browser", default=None, help="Whether to open a browser; default: if you can see it.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the browser callback; default: a free one.")
@click.option("--scope", "scopes", multiple=True, help="Scope to request; may be repeated.")
@click.option("--client-id", help="Id of your OAuth client; default: PROVIDER_CLIENT_ID.")
@click.option("--issuer", help="Address of the authorization server; the other addresses are then discovered.")
@click.option("--auth-url", help="Where you agree.")
@click.option("--token-url", help="Where codes and tokens are exchanged.")
@click.option("--device-url", help="Where devices get their codes.")
@click.option("--revoke-url", help="Where tokens are revoked.")
@click.option("--timeout", type=click.FloatRange(min=1), default=600.0, help="Seconds to wait for you; default 600.")
def login(**options: Any) -> None:
    """Log in to PROVIDER, in the browser or with a code.

    A client secret is read from PROVIDER_CLIENT_SECRET, never from the command line.
    """
    from provider_kit.cli.auth import run_login

    run_login(**options)


@auth.command()
@click.argument("provider", required=False, shell_complete=complete_provider)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def status(provider: str | None, as_json: bool) -> None:
    """Show the state of logins. Exit code 1 if PROVIDER has no login, or there is none at all."""
    from provider_kit.cli.auth import run_status

    run_status(provider, as_json)


@auth.command()
@click.argument("provider", shell_complete=complete_provider)
def refresh(provider: str) -> None:
    """Refresh the token of PROVIDER now. This happens automatically when needed."""
    from provider_kit.cli.auth import run_refresh

    run_refresh(provider)


@auth.command()
@click.argument("provider", shell_complete=complete_provider)
@click.option("--revoke/--no-revoke", default=True, help="Whether to revoke the token at the server too.")
def logout(provider: str, revoke: bool) -> None:
    """Delete the login of PROVIDER, and revoke it at the server."""
    from provider_kit.cli.auth import run_logout

    run_logout(provider, revoke)


@click.group()
def keys() -> None:
    """Store API keys, so that no environment variable is needed.

    They are stored in files that only you can read, or where PROVIDER_KIT_TOKEN_STORAGE says:
    keyring, a path, sqlite:///path, redis://...
    """


@keys.command("set")
@click.argument("provider", shell_complete=complete_provider)
@click.option("--force", is_flag=True, help="Replace a login that is stored under this name.")
def set_key(provider: str, force: bool) -> None:
    """Store the key of PROVIDER, typed without being shown, or piped in."""
    from provider_kit.cli.keys import run_set

    run_set(provider, force)


@keys.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def list_keys(as_json: bool) -> None:
    """List the stored keys and logins; only the last characters of a key are shown."""
    from provider_kit.cli.keys import run_list

    run_list(as_json)


@keys.command("rm")
@click.argument("provider", shell_complete=complete_stored)
def remove_key(provider: str) -> None:
    """Delete the key of PROVIDER."""
    from provider_kit.cli.keys import run_remove

    run_remove(provider)


@click.group()
def config() -> None:
    """Check, show, write and encrypt the configuration file.

    The file is the one named, else that of PROVIDER_KIT_CONFIG or CONFIG_FILE, else provider_kit.yaml or
    config.yaml here, else the user's own.
    """


@config.command()
@click.argument("file", required=False, type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def check(file: str | None, as_json: bool) -> None:
    """Print every problem of FILE with its line and its remedy. Exit code 2 if there is an error."""
    from provider_kit.cli.config import run_check

    run_check(file, as_json)


@config.command()
@click.argument("file", required=False, type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def show(file: str | None, as_json: bool) -> None:
    """Print the settings in effect and where each comes from; secrets are masked."""
    from provider_kit.cli.config import run_show

    run_show(file, as_json)


@config.command()
@click.argument("file", required=False, type=click.Path())
@click.option("-p", "--provider", "providers", multiple=True, help="Provider to write; may be repeated.")
@click.option("--force", is_flag=True, help="Replace a file that exists.")
def init(file: str | None, providers: tuple[str, ...], force: bool) -> None:
    """Write a commented FILE to begin with (default: config.yaml)."""
    from provider_kit.cli.config import run_init

    run_init(file, providers, force)


@config.command()
def schema() -> None:
    """Print the JSON Schema of the file, for editors."""
    from provider_kit.cli.config import run_schema

    run_schema()


@config.command()
def path() -> None:
    """Print which file is read."""
    from provider_kit.cli.config import run_path

    run_path()


@config.command()
@click.argument("file", type=click.Path())
@click.option("-o", "--output", type=click.Path(), help="Output file; default: standard output.")
def encrypt(file: str, output: str | None) -> None:
    """Encrypt FILE with PROVIDER_KIT_ENCRYPTION_KEY, or with a passphrase you type."""
    from provider_kit.cli.config import run_encrypt

    run_encrypt(file, output)


@config.command()
@click.argument("file", type=click.Path())
@click.option("-o", "--output", type=click.Path(), help="Output file; default: standard output.")
def decrypt(file: str, output: str | None) -> None:
    """Print an encrypted FILE decrypted."""
    from provider_kit.cli.config import run_decrypt

    run_decrypt(file, output)
