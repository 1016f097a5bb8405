"""The groups of commands: ``auth``, ``keys``, ``config``, ``route``, ``logs``, ``templates``, ``aliases``."""

from __future__ import annotations

from typing import Any

import click

from provider_kit.cli.completion import complete_provider, complete_stored, complete_template

__all__ = ["aliases", "auth", "config", "keys", "logs", "route", "templates"]


class _ListedByDefault(click.Group):
    """A group that lists what there is where no command is given; its options are those of ``list``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ("-h", "--help")):
            args = ["list", *args]
        return super().parse_args(ctx, args)


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


@click.group()
def route() -> None:
    """See what a route of the configuration file would do."""


@route.command()
@click.argument("name")
@click.argument("prompt")
@click.option("-m", "--model", help="An alias, or a model of one of its providers.")
@click.option("-f", "--file", "files", multiple=True, type=click.Path(), help="File to attach; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def explain(name: str, prompt: str, model: str | None, files: tuple[str, ...], as_json: bool) -> None:
    """Tell who would be asked for PROMPT by the route NAME, and why. Nothing is sent."""
    from provider_kit.cli.route import run_explain_route

    run_explain_route(name, prompt, model, files, as_json)


@route.command()
@click.argument("file", required=False, type=click.Path())
@click.option("--route", "-r", help="Name of the route; default: the only one of the file.")
@click.option(
    "--trace", type=click.Path(), help="Recorded calls, one JSON object in each line; default: invented ones."
)
@click.option("--calls", type=click.IntRange(1, 10_000_000), default=10_000, help="Invented calls; default 10000.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), default=10.0, help="Of them a second; default 10.")
@click.option("-s", "--strategy", "strategies", multiple=True, help="Strategy to try; may be repeated; default: all.")
@click.option(
    "--target",
    "targets",
    multiple=True,
    help="NAME=SECONDS, the median to the first content; more: NAME=0.8,fail=0.02,limited=0.01,slow=0.03.",
)
@click.option(
    "--failures", type=click.FloatRange(0, 1), default=0.01, help="Share of failures elsewhere; default 0.01."
)
@click.option("--slow", type=click.FloatRange(0, 1), default=0.02, help="Share of calls 20 times slower; default 0.02.")
@click.option("--seed", type=int, default=1, help="For the same calls each time; default 1.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def simulate(**options: Any) -> None:
    """Send recorded or invented calls through the route's policies, and compare the strategies.

    Nothing is sent to a provider. FILE is the configuration file; reply.routing.trace() has the rows of a call.
    """
    from provider_kit.cli.route import run_simulate

    run_simulate(**options)


@click.group(cls=_ListedByDefault)
def logs() -> None:
    """What was asked here and answered, in a file that only you can read; secrets are masked.

    PROVIDER_KIT_LOGS=off, or "logs off", switches it off; PROVIDER_KIT_LOGS may also name another file.
    """


@logs.command("list")
@click.option("-n", "--count", type=click.IntRange(1, 1_000_000), default=20, help="How many; default 20.")
@click.option("--conversation", help="Only those of this conversation.")
@click.option("-m", "--model", help="Only those of models with this in their name.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def list_logs(count: int, conversation: str | None, model: str | None, as_json: bool) -> None:
    """List the last turns, newest first."""
    from provider_kit.cli.logs import run_list

    run_list(count, conversation, model, as_json)


@logs.command("show")
@click.argument("which", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def show_log(which: str | None, as_json: bool) -> None:
    """Print a turn by its number, or a conversation by its name; default: the last turn."""
    from provider_kit.cli.logs import run_show

    run_show(which, as_json)


@logs.command("search")
@click.argument("words", nargs=-1, required=True)
@click.option("-n", "--count", type=click.IntRange(1, 1_000_000), default=20, help="How many; default 20.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def search_logs(words: tuple[str, ...], count: int, as_json: bool) -> None:
    """List the turns that have all WORDS, newest first."""
    from provider_kit.cli.logs import run_search

    run_search(words, count, as_json)


@logs.command("path")
def logs_path() -> None:
    """Print where the log is."""
    from provider_kit.cli.logs import run_path

    run_path()


@logs.command("on")
def logs_on() -> None:
    """Log calls, which is the default."""
    from provider_kit.cli.logs import run_switch

    run_switch(True)


@logs.command("off")
def logs_off() -> None:
    """Log no calls from now on."""
    from provider_kit.cli.logs import run_switch

    run_switch(False)


@logs.command("clear")
@click.option("--days", type=click.FloatRange(min=0), help="Only what is older than this.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def clear_logs(days: float | None, yes: bool) -> None:
    """Delete what was logged."""
    from provider_kit.cli.logs import run_clear

    run_clear(days, yes)


@click.group(cls=_ListedByDefault)
def templates() -> None:
    """What is asked again and again: chat --save NAME makes one, chat --template NAME uses it."""


@templates.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def list_templates(as_json: bool) -> None:
    """List the templates."""
    from provider_kit.cli.templates import run_list_templates

    run_list_templates(as_json)


@templates.command("show")
@click.argument("name", shell_complete=complete_template)
def show_template(name: str) -> None:
    """Print a template, which is a YAML file."""
    from provider_kit.cli.templates import run_show_template

    run_show_template(name)


@templates.command("path")
@click.argument("name", shell_complete=complete_template)
def path_of_template(name: str) -> None:
    """Print the file of a template, to edit it."""
    from provider_kit.cli.templates import run_template_path

    run_template_path(name)


@templates.command("rm")
@click.argument("name", shell_complete=complete_template)
def remove_template(name: str) -> None:
    """Delete a template."""
    from provider_kit.cli.templates import run_remove_template

    run_remove_template(name)


@click.group(cls=_ListedByDefault)
def aliases() -> None:
    """Short names of models, for -m."""


@aliases.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def list_aliases(as_json: bool) -> None:
    """List the aliases."""
    from provider_kit.cli.aliases import run_list_aliases

    run_list_aliases(as_json)


@aliases.command("set")
@click.argument("name")
@click.argument("model")
def set_alias(name: str, model: str) -> None:
    """Let NAME stand for MODEL, which is provider/model."""
    from provider_kit.cli.aliases import run_set_alias

    run_set_alias(name, model)


@aliases.command("rm")
@click.argument("name")
def remove_alias(name: str) -> None:
    """Forget an alias."""
    from provider_kit.cli.aliases import run_remove_alias

    run_remove_alias(name)
