"""What a line without a command means: a prompt is sent to ``chat``, a misspelt command is named, and never sent."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

import click

from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.wire.redaction import redact

__all__ = ["quoted_line", "with_command"]

#: Options of the group that take a value.
_WITH_VALUE = ("--log-level",)
_OF_GROUP = ("--debug", "--version", "-h", "--help", *_WITH_VALUE)


def with_command(arguments: list[str], commands: Sequence[str], chat_options: Sequence[str]) -> list[str]:
    """The arguments, with ``chat`` before a prompt or its options.

    Args:
        arguments: Those of the command line.
        commands: The names of the commands.
        chat_options: The options of ``chat``.

    Raises:
        UsageError: The first word is no command, and may be a misspelt one, the beginning of a prompt without quotes,
            or a key.
    """
    at = 0
    while at < len(arguments) and arguments[at].partition("=")[0] in _OF_GROUP:
        at += 2 if arguments[at] in _WITH_VALUE else 1
    if at >= len(arguments) or arguments[at] in commands:
        return arguments
    first, rest = arguments[at], arguments[at + 1 :]
    with_chat = [*arguments[:at], "chat", *arguments[at:]]
    if first.startswith("-"):
        name = first.partition("=")[0]
        known = name in chat_options or (len(name) > 2 and name[1] != "-" and name[:2] in chat_options)
        return with_chat if known else arguments
    if any(char.isspace() for char in first):
        return with_chat
    if redact(first) != first:
        raise click.UsageError("This looks like an API key, and is not sent. Store it with: provider-kit keys set NAME")
    words = _words_before_options(rest)
    near = did_you_mean(first.lower(), commands, cutoff=0.8 if words else 0.5)
    if near and not words:
        raise click.UsageError(
            f"There is no command {first!r}. {near}To send it as a prompt: provider-kit chat {first}"
        )
    if words:
        found = re.search(r"'(\w+)'", near)
        other = f"\n\n  {shlex.join(['provider-kit', found[1], *rest])}" if found else ""
        line = quoted_line("provider-kit", [first, *words], rest[len(words) :])
        raise click.UsageError(
            f"There is no command {first!r}. {near}A prompt of several words needs quotes:\n\n  {line}{other}"
        )
    return with_chat


def _words_before_options(arguments: Sequence[str]) -> list[str]:
    """The words that seem to belong to a prompt."""
    words: list[str] = []
    for argument in arguments:
        if argument.startswith("-"):
            break
        words.append(argument)
    return words


def quoted_line(command: str, words: Sequence[str], options: Sequence[str] = ()) -> str:
    """The command line with the words as one prompt."""
    text = " ".join(words)
    prompt = f'"{text}"' if not set('"$`\\!') & set(text) else shlex.quote(text)
    return " ".join([command, *map(shlex.quote, options), prompt])
