"""The group of commands, and how a failure is told: one line, a hint, an exit code, no traceback.

Exit codes: 0 all is well, 1 the provider or the network failed, 2 the command or the configuration is
wrong. What a command needs is imported when it runs, so that ``--help`` is quick.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from provider_kit._version import __version__
from provider_kit.errors import AuthError, ConfigError, InvalidRequestError, ProviderKitError, StreamError

__all__ = ["cli"]

_USAGE_ERRORS = (ConfigError, InvalidRequestError, AuthError)


class _Group(click.Group):
    """Commands whose errors are told in one line."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ProviderKitError as error:
            if ctx.params.get("debug"):
                raise
            _tell(error)
            ctx.exit(2 if isinstance(error, _USAGE_ERRORS) else 1)
        except BrokenPipeError:
            # Whoever read our output has gone (`| head`); nobody is left to be told anything.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(0)


def _tell(error: ProviderKitError) -> None:
    if isinstance(error, StreamError):
        click.echo()
    click.secho(f"Error: {' '.join(str(error).split())}", err=True, fg="red")
    if error.hint:
        click.echo(f"Hint: {error.hint}", err=True)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="provider-kit")
@click.option("--debug", is_flag=True, envvar="PROVIDER_KIT_DEBUG", help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Talk to language models of any provider.

    Keys are read from the environment (OPENAI_API_KEY, ANTHROPIC_API_KEY, ...). Without any key, the demo
    provider inside this process answers.
    """


@cli.command()
@click.argument("prompt", required=False)
@click.option("-m", "--model", help="provider/model; default: the provider whose key is set, else the demo.")
@click.option("-s", "--system", help="System prompt.")
@click.option("-f", "--file", "files", multiple=True, type=click.Path(), help="File to attach; may be repeated.")
@click.option("-t", "--temperature", type=float, help="Randomness, 0 to 2.")
@click.option("--max-tokens", type=click.IntRange(min=1), help="Longest answer in tokens.")
@click.option("--base-url", help="Another address of the provider's API.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), help="Seconds to wait for content.")
@click.option("--no-stream", is_flag=True, help="Print the answer when it is complete.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole answer as JSON.")
def chat(**options: Any) -> None:
    """Ask PROMPT and print the answer while it is written. Text piped in is added to the prompt."""
    from provider_kit.cli.chat import run_chat

    run_chat(**options)


@cli.command()
@click.option("-m", "--model", help="provider/model; default: the provider whose key is set, else the demo.")
def demo(model: str | None) -> None:
    """Hold a short conversation: blocking, asyncio and streamed, over real HTTP."""
    from provider_kit.cli.demo import run_demo

    run_demo(model)


@cli.command()
@click.argument("provider", required=False)
@click.option("--base-url", help="Another address of the provider's API.")
@click.option("--json", "as_json", is_flag=True, help="Print everything known of them as JSON.")
def models(provider: str | None, base_url: str | None, as_json: bool) -> None:
    """List the models of PROVIDER that your key may use."""
    from provider_kit.cli.catalog import run_models

    run_models(provider, base_url, as_json)


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def providers(as_json: bool) -> None:
    """List the providers, and which of them have a key in the environment."""
    from provider_kit.cli.catalog import run_providers

    run_providers(as_json)


@cli.group()
def auth() -> None:
    """Log in with OAuth, see how logins stand, log out.

    Logins are kept in files of yours that nobody else can read, or where PROVIDER_KIT_TOKEN_STORAGE says:
    keyring, a path, sqlite:///path, redis://...
    """


@auth.command()
@click.argument("provider")
@click.option("--device", is_flag=True, help="Show a code to enter on another device; needs no browser here.")
@click.option("--browser/--no-browser", default=None, help="Whether to open a browser; default: where one is seen.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port the browser comes back to; default: a free one.")
@click.option("--scope", "scopes", multiple=True, help="What to ask for; may be repeated.")
@click.option("--client-id", help="Id of your OAuth client; default: PROVIDER_CLIENT_ID.")
@click.option("--issuer", help="Address of the authorization server, which then tells the other addresses.")
@click.option("--auth-url", help="Where you agree.")
@click.option("--token-url", help="Where codes and tokens are exchanged.")
@click.option("--device-url", help="Where devices get their codes.")
@click.option("--revoke-url", help="Where tokens are ended.")
@click.option("--timeout", type=click.FloatRange(min=1), default=600.0, help="Seconds you have; default 600.")
def login(**options: Any) -> None:
    """Log in to PROVIDER, in the browser or with a code.

    A client secret is read from PROVIDER_CLIENT_SECRET, never from the command line.
    """
    from provider_kit.cli.auth import run_login

    run_login(**options)


@auth.command()
@click.argument("provider", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def status(provider: str | None, as_json: bool) -> None:
    """Show how logins stand. Exit code 1 if PROVIDER is not logged in, or nobody is."""
    from provider_kit.cli.auth import run_status

    run_status(provider, as_json)


@auth.command()
@click.argument("provider")
def refresh(provider: str) -> None:
    """Refresh the token of PROVIDER now. It is done by itself when needed."""
    from provider_kit.cli.auth import run_refresh

    run_refresh(provider)


@auth.command()
@click.argument("provider")
@click.option("--revoke/--no-revoke", default=True, help="Whether to end the token at the server too.")
def logout(provider: str, revoke: bool) -> None:
    """Forget the login of PROVIDER, and end it at the server."""
    from provider_kit.cli.auth import run_logout

    run_logout(provider, revoke)
