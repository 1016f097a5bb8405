"""The commands of a conversation: ``/help``, ``/model``, ``/usage``, …"""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from provider_kit.cli.conversation_state import Conversation
from provider_kit.cli.hints import at_the_command
from provider_kit.cli.terminal_text import say
from provider_kit.cli.usage_text import usage_text
from provider_kit.cli.wrapping import wrapped
from provider_kit.client.router import Router
from provider_kit.errors import ProviderKitError
from provider_kit.model.did_you_mean import did_you_mean

__all__ = ["COMMANDS", "is_command", "run_command"]


def is_command(text: str) -> bool:
    """Whether a line is a command: a slash and a word. A path, or a line that begins with //, is a question."""
    return re.match(r"\s*/[A-Za-z?]+(?:\s|$)", text) is not None


def run_command(talk: Conversation, line: str) -> bool:
    """Carry out a command; ``False`` if the conversation is to end."""
    name, _, rest = line[1:].partition(" ")
    name = name.lower()
    found = COMMANDS.get({"quit": "exit", "q": "exit", "?": "help", "h": "help"}.get(name, name))
    if found is None:
        near = did_you_mean(name, COMMANDS).replace("'", "/", 1).replace("'", "")
        told = f"There is no command /{name}. {near}/help lists them; a question that begins with / is written //."
        say(wrapped(told), err=True)
        return True
    if found is _exit:
        return False
    try:
        found(talk, rest.strip())
    except ProviderKitError as error:
        say(wrapped(" ".join(str(error).split())), err=True, fg="red")
        hint = at_the_command(error.hint or "")
        if hint:
            say(wrapped(f"Hint: {hint}"), err=True)
    return True


def _help(talk: Conversation, rest: str) -> None:
    """List the commands."""
    for name, function in COMMANDS.items():
        say(wrapped(f"  /{name:<10} {(function.__doc__ or '').splitlines()[0]}"))
    say(wrapped('\n  A line that ends with \\ continues in the next; """ begins and ends several lines.'))
    say("  Ctrl-C ends an answer, Ctrl-D leaves.")


def _model(talk: Conversation, rest: str) -> None:
    """Show the model, or continue with another one: /model gpt-5-mini"""
    if rest:
        talk.choose_model(rest)
    say(f"Talking to {talk.target}.")


def _provider(talk: Conversation, rest: str) -> None:
    """Show the provider, or continue with another one: /provider anthropic"""
    if rest:
        talk.switch(rest)
    client = talk.client
    at = f"which asks {', '.join(client.targets)}" if isinstance(client, Router) else f"at {client.base_url}"
    say(f"Talking to {talk.target} {at}.")


def _system(talk: Conversation, rest: str) -> None:
    """Show the system prompt, set it, or remove it with /system -"""
    if rest:
        talk.system = None if rest == "-" else rest
    say(f"System prompt: {talk.system or 'none'}")


def _history(talk: Conversation, rest: str) -> None:
    """Show the conversation so far."""
    if not talk.messages:
        say("There are no messages yet.")
    for message in talk.messages:
        who = "you" if message.role == "user" else message.role
        say(f"{who}:", bold=True, nl=False)
        say(f" {message.text}")


def _usage(talk: Conversation, rest: str) -> None:
    """Show the tokens used so far, and their cost where it is known."""
    used = "nothing used yet" if talk.usage is None else usage_text(talk.usage)
    answers = f"{talk.answers} answer{'' if talk.answers == 1 else 's'}"
    say(f"{answers}: {used}; {len(talk.messages)} messages in the conversation.")


def _file(talk: Conversation, rest: str) -> None:
    """Attach a file to the next question: /file photo.png; /file - removes all"""
    if rest == "-":
        talk.files.clear()
    elif rest:
        path = os.path.expanduser(rest.strip("\"'"))
        if not os.path.isfile(path) and "://" not in path:
            say(f"There is no file {rest}.", err=True)
            return
        talk.files.append(path)
    say(f"Attached to the next question: {', '.join(talk.files) or 'nothing'}.")


def _clear(talk: Conversation, rest: str) -> None:
    """Clear the conversation and start again."""
    talk.messages.clear()
    talk.files.clear()
    say("The conversation was cleared.")


def _exit(talk: Conversation, rest: str) -> None:
    """Leave."""


COMMANDS: dict[str, Callable[[Conversation, str], None]] = {
    "help": _help,
    "model": _model,
    "provider": _provider,
    "system": _system,
    "history": _history,
    "usage": _usage,
    "file": _file,
    "clear": _clear,
    "exit": _exit,
}
