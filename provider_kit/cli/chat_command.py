"""The command ``chat`` and its options."""

from __future__ import annotations

from typing import Any

import click

from provider_kit.cli.completion import complete_model, complete_template
from provider_kit.cli.default_command import quoted_line

__all__ = ["chat"]


class _Chat(click.Command):
    """A prompt of several words without quotes is shown as it should be written."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given = list(args)  # the parser takes them out
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            if "unexpected extra argument" not in error.message:
                raise
            words, options = _sorted(self, given)
            line = quoted_line("provider-kit", words, options)
            raise click.UsageError(f"A prompt of several words needs quotes:\n\n  {line}", ctx) from None


def _sorted(command: click.Command, arguments: list[str]) -> tuple[list[str], list[str]]:
    """The words of a line, and its options with their values."""
    takes_value = {
        name: not one.is_flag for one in command.params if isinstance(one, click.Option) for name in one.opts
    }
    words: list[str] = []
    options: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if not argument.startswith("-") or argument == "-":
            words.append(argument)
            continue
        options.append(argument)
        if "=" not in argument and takes_value.get(argument):
            options.extend(value for value in [next(rest, None)] if value is not None)
    return words, options


@click.command(cls=_Chat)
@click.argument("prompt", required=False)
@click.option(
    "-m",
    "--model",
    shell_complete=complete_model,
    help="provider/model, an alias, or a route; default: the file's, else the first key's, else demo.",
)
@click.option("-s", "--system", help="System prompt.")
@click.option("-f", "--file", "files", multiple=True, type=click.Path(), help="File to attach; may be repeated.")
@click.option("-t", "--temperature", type=click.FloatRange(0, 2), help="Randomness, 0 to 2.")
@click.option("--max-tokens", type=click.IntRange(min=1), help="Longest answer in tokens.")
@click.option("--schema", help="Form of the answer: 'name, age int', a JSON Schema, or a file with one.")
@click.option("--tool", "tools", multiple=True, metavar="MODULE:FUNCTION", help="Function to call; may be repeated.")
@click.option("--tools", "tool_files", multiple=True, type=click.Path(), help="Python file whose functions are called.")
@click.option("-y", "--yes", "allowed", is_flag=True, help="Let tools run without being asked each time.")
@click.option("-c", "--continue", "continued", is_flag=True, help="Continue the last conversation.")
@click.option("--conversation", metavar="NAME", help="Continue the conversation of this name, or begin it.")
@click.option("--template", shell_complete=complete_template, help="Template to use, by name or file.")
@click.option("--save", metavar="NAME", help="Keep these options as a template, and ask nothing.")
@click.option("--log/--no-log", default=None, help="Whether this goes into the log; default: yes, see logs.")
@click.option("--no-stream", is_flag=True, help="Print the answer when it is complete.")
@click.option("-u", "--usage", is_flag=True, help="Print tokens and cost after the answer.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole answer as JSON.")
@click.option("--base-url", help="Another address of the provider's API.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), help="Seconds to wait for content.")
@click.option("--max-retries", type=click.IntRange(min=0), help="Attempts after the first one; default 3.")
def chat(**options: Any) -> None:
    """Ask PROMPT and print the answer while it is written. Text piped in is added to the prompt.

    The word chat may be left out: provider-kit "Why is the sky blue?". Without a PROMPT, at a terminal, a conversation
    begins; /help lists its commands.
    """
    from provider_kit.cli.chat import run_chat

    run_chat(**options)
