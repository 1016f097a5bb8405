"""The command group, and the output of errors: one line, a hint, an exit code, no traceback.

Exit codes: 0 all is well, 1 the provider or the network failed, 2 the command or the configuration is
wrong. What a command needs is imported when it runs, so that ``--help`` is quick.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from contextlib import suppress
from typing import Any

import click

from provider_kit._version import __version__
from provider_kit.cli.chat_command import chat
from provider_kit.cli.command_groups import aliases, auth, config, keys, logs, route, templates
from provider_kit.cli.completion import complete_code, complete_provider
from provider_kit.cli.default_command import with_command
from provider_kit.cli.hints import at_the_command
from provider_kit.cli.terminal_text import is_piped, is_terminal, say
from provider_kit.errors import AuthError, ConfigError, InvalidRequestError, ProviderKitError
from provider_kit.wire.redaction import redact

__all__ = ["cli"]


class _Group(click.Group):
    """Commands whose errors are printed in one line."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """A prompt alone is sent by ``chat``; so is what is piped in, where nothing else is given."""
        if not args and is_piped(sys.stdin):
            args = ["chat"]
        options = [name for one in chat.params if isinstance(one, click.Option) for name in one.opts]
        return super().parse_args(ctx, with_command(args, list(self.commands), options))

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Also where --help or --version cannot be written."""
        try:
            return super().make_context(*args, **extra)
        except OSError as error:
            if error.errno == errno.EPIPE:
                _send_to_nowhere()
                sys.exit(0)
            _tell_system(error)
            sys.exit(2)

    def invoke(self, ctx: click.Context) -> Any:
        if sys.stdout is None:  # the parent process closed it; the answer would be billed and lost
            say("Error: standard output is closed.", err=True, fg="red")
            ctx.exit(2)
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            text = error.format_message()
            masked = redact(text)  # a key in the wrong place would end up in the log of a build
            if masked == text:
                raise
            raise click.UsageError(masked, error.ctx) from None
        except ProviderKitError as error:
            if ctx.params.get("debug"):
                _tell_everything(ctx)
                raise
            _tell(error, self.get_command(ctx, ctx.invoked_subcommand or ""))
            ctx.exit(_exit_code(error))
        except (OSError, UnicodeError, RecursionError) as error:
            if isinstance(error, BrokenPipeError) or getattr(error, "errno", None) == errno.EPIPE:
                _leave_quietly(ctx)
            if ctx.params.get("debug"):
                raise
            _tell_system(error)
            ctx.exit(2)


def _leave_quietly(ctx: click.Context) -> None:
    """Exit silently after the reader of the output has closed it (``| head``)."""
    _send_to_nowhere()
    ctx.exit(0)


def _send_to_nowhere() -> None:
    """Discard the buffer of standard output, so that it is not flushed again at exit."""
    with suppress(OSError, ValueError):  # a stdout that is not a file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _tell_everything(ctx: click.Context) -> None:
    """Print the traceback without control characters at a terminal; elsewhere Python prints it."""
    if is_terminal(sys.stderr):
        say(traceback.format_exc(), err=True, nl=False)
        ctx.exit(1)


def _tell_system(error: Exception) -> None:
    """A file, a folder or an output that cannot be used."""
    name = getattr(error, "filename", None)
    reason = getattr(error, "strerror", None) or type(error).__name__
    if name is None and isinstance(error, OSError) and sys.stdout is not None:
        _send_to_nowhere()
        name = "standard output"
    say(f"Error: {f'{name}: ' if name else ''}{reason}.", err=True, fg="red")


def _exit_code(error: ProviderKitError) -> int:
    """2 for errors on this side, 1 for failures of the provider or the network."""
    if isinstance(error, AuthError):
        return 1 if error.retryable else 2
    return 2 if isinstance(error, (ConfigError, InvalidRequestError)) else 1


def _tell(error: ProviderKitError, command: click.Command | None) -> None:
    text = str(error)
    lines = [line.strip() for line in text.splitlines()] if getattr(error, "problems", ()) else [" ".join(text.split())]
    told = "\n  ".join(("Error: " + (lines[0] if lines else ""), *lines[1:]))
    say(told, err=True, fg="red")
    hint = at_the_command(error.hint or "", command)
    if hint:
        say(f"Hint: {hint}", err=True)
    say(f"More: provider-kit explain {error.topic}", err=True)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="provider-kit")
@click.option("--debug", is_flag=True, envvar="PROVIDER_KIT_DEBUG", help="Show the traceback of an error.")
@click.option("--log-level", help="Show the library's log: debug, info, warning. Default: LOG_LEVEL, if set.")
def cli(debug: bool, log_level: str | None) -> None:
    """Talk to language models of any provider: provider-kit "Why is the sky blue?"

    Keys are read from the environment (OPENAI_API_KEY, ANTHROPIC_API_KEY, ...), a configuration file, or where
    "keys set" stored them. Without any key, the demo provider inside this process answers.
    """
    if log_level or os.environ.get("PROVIDER_KIT_LOG_LEVEL") or os.environ.get("LOG_LEVEL"):
        _show_log(log_level)


def _show_log(level: str | None) -> None:
    from provider_kit.observability.log_output import configure_logging

    try:
        configure_logging(level)
    except ConfigError:
        if level or os.environ.get("PROVIDER_KIT_LOG_LEVEL"):
            raise
        # LOG_LEVEL may be meant for another program with other levels.


@cli.command()
@click.option("-m", "--model", help="provider/model; default: the provider whose key is set, else the demo.")
def demo(model: str | None) -> None:
    """Hold a short conversation: blocking, asyncio and streamed, over real HTTP."""
    from provider_kit.cli.demo import run_demo

    run_demo(model)


@cli.command()
@click.argument("provider", required=False, shell_complete=complete_provider)
@click.option("--base-url", help="Another address of the provider's API.")
@click.option("-q", "--search", help="Only those with these words in their name.")
@click.option("--refresh", is_flag=True, help="Fetch the list again; it is cached for an hour.")
@click.option("--json", "as_json", is_flag=True, help="Print everything known of them as JSON.")
def models(**options: Any) -> None:
    """List the models of PROVIDER that your key may use, with their windows and prices, where known."""
    from provider_kit.cli.catalog import run_models

    run_models(**options)


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def providers(as_json: bool) -> None:
    """List the providers, and which of them have a key."""
    from provider_kit.cli.catalog import run_providers

    run_providers(as_json)


@cli.command()
@click.argument("name", shell_complete=complete_provider)
@click.option("-p", "--prompt", default="Say hello in one word.", help="What is asked.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def test(name: str, prompt: str, as_json: bool) -> None:
    """Try provider NAME (or provider/model): its key, its models, one answer. Exit code 1 if it fails."""
    from provider_kit.cli.doctor import run_test

    run_test(name, prompt, as_json)


@cli.command()
@click.argument("provider", required=False, shell_complete=complete_provider)
@click.option("--base-url", help="Another address of the provider's API.")
@click.option("--timeout", type=click.FloatRange(min=1), default=60.0, help="Seconds all of it may take; default 60.")
@click.option("--calls", type=click.IntRange(0, 20), default=2, help="Streamed calls to measure; default 2.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.option("-v", "--verbose", is_flag=True, help="Show what was skipped, and the numbers.")
def doctor(**options: Any) -> None:
    """Find out why PROVIDER (or provider/model) does not work, or whether all that are configured do.

    Tries the configuration, the key, the network, the provider, the model and streaming, one after the
    other, and says what to do. Exit code 1 if a check fails. The calls cost a few hundred tokens.
    """
    from provider_kit.cli.doctor import run_doctor

    run_doctor(**options)


@cli.command()
@click.option(
    "--by",
    type=click.Choice(["day", "model", "provider", "key", "tag", "user", "operation", "outcome"]),
    default="day",
    help="What to sum up by; default: day.",
)
@click.option("--since", default="30d", help="From when: 7d, 12h, 2w, 3m, all, or a date; default 30d.")
@click.option("--until", help="Until when, itself not included.")
@click.option("--file", type=click.Path(), help="The ledger; default: yours.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print as CSV.")
def usage(**options: Any) -> None:
    """Show what was used: calls, tokens, cost, from the usage ledger that programs write."""
    from provider_kit.cli.usage import run_usage

    run_usage(**options)


@cli.command()
@click.argument("code", required=False, shell_complete=complete_code)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def explain(code: str | None, as_json: bool) -> None:
    """Explain an error: its CODE, the exception's name, or an HTTP status. Without one, list all."""
    from provider_kit.cli.explain import run_explain

    run_explain(code, as_json)


@cli.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of SHELL: eval "$(provider-kit completion bash)"."""
    from provider_kit.cli.completion import run_completion

    run_completion(shell)


for _command in (chat, auth, keys, config, route, logs, templates, aliases):
    cli.add_command(_command)
