"""The commands of a conversation: ``/help``, ``/model``, ``/usage``, …"""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from provider_kit.cli.call_log import CallLog
from provider_kit.cli.chat_tools import call_text, load_tools
from provider_kit.cli.conversation_state import TerminalConversation
from provider_kit.cli.hints import at_the_command
from provider_kit.cli.terminal_text import say
from provider_kit.cli.usage_text import usage_text
from provider_kit.cli.wrapping import wrapped
from provider_kit.client.router import Router
from provider_kit.conversations.conversation import Conversation
from provider_kit.errors import ProviderKitError
from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.model.messages import Message

__all__ = ["COMMANDS", "is_command", "run_command"]


def is_command(text: str) -> bool:
    """Whether a line is a command: a slash and a word. A path, or a line that begins with //, is a question."""
    return re.match(r"\s*/[A-Za-z?]+(?:\s|$)", text) is not None


def run_command(state: TerminalConversation, line: str) -> list[Message] | None:
    """Carry out a command.

    Returns:
        A question that is to be asked now, mostly none; ``None`` if the conversation is to end.
    """
    name, _, rest = line[1:].partition(" ")
    name = name.lower()
    found = COMMANDS.get({"quit": "exit", "q": "exit", "?": "help", "h": "help"}.get(name, name))
    if found is None:
        near = re.sub(r"'(\w+)'", r"/\1", did_you_mean(name, COMMANDS))
        told = f"There is no command /{name}. {near}/help lists them; a question that begins with / is written //."
        say(wrapped(told), err=True)
        return []
    if rest.strip() and found in _ALONE:
        say(wrapped(f"/{name} takes nothing else."), err=True)
        return []
    if found is _exit:
        return None
    try:
        return found(state, rest.strip()) or []
    except (ProviderKitError, OSError) as error:
        say(wrapped(" ".join(str(error).split())), err=True, fg="red")
        hint = at_the_command(getattr(error, "hint", None) or "")
        if hint:
            say(wrapped(f"Hint: {hint}"), err=True)
    return []


def _help(state: TerminalConversation, rest: str) -> None:
    """List the commands."""
    for name, function in COMMANDS.items():
        say(wrapped(f"  /{name:<10} {(function.__doc__ or '').splitlines()[0]}"))
    say(wrapped('\n  A line that ends with \\ continues in the next; """ begins and ends several lines.'))
    say("  Ctrl-C ends an answer, Ctrl-D leaves.")


def _model(state: TerminalConversation, rest: str) -> None:
    """Show the model, or continue with another one: /model gpt-5-mini"""
    if rest:
        state.choose_model(rest)
    say(f"Talking to {state.target}.")


def _provider(state: TerminalConversation, rest: str) -> None:
    """Show the provider, or continue with another one: /provider anthropic"""
    if rest:
        state.switch(rest)
    client = state.client
    at = f"which asks {', '.join(client.targets)}" if isinstance(client, Router) else f"at {client.base_url}"
    say(f"Talking to {state.target} {at}.")


def _system(state: TerminalConversation, rest: str) -> None:
    """Show the system prompt, set it, or remove it with /system -"""
    if rest:
        state.talk.system = None if rest == "-" else rest
    say(f"System prompt: {state.talk.system or 'none'}")


def _history(state: TerminalConversation, rest: str) -> None:
    """Show the conversation so far."""
    messages = state.talk.messages
    if not messages:
        say("There are no messages yet.")
    for message in messages:
        who = "you" if message.role == "user" else message.role
        say(f"{who}:", bold=True, nl=False)
        calls = ", ".join(call_text(call) for call in message.tool_calls)
        say(f" {message.text or calls}")


def _usage(state: TerminalConversation, rest: str) -> None:
    """Show the tokens used so far, and their cost where it is known."""
    used = usage_text(state.usage) if state.answers else "nothing used yet"
    answers = f"{state.answers} answer{'' if state.answers == 1 else 's'}"
    say(f"{answers}: {used}; {len(state.talk.messages)} messages in the conversation.")


def _tools(state: TerminalConversation, rest: str) -> None:
    """Show the tools, or add those of a file: /tools mine.py; /tools - removes all"""
    if rest == "-":
        state.tools.clear()
    elif rest:
        added = load_tools((), (rest.strip("\"'"),)) if ":" not in rest else load_tools((rest,), ())
        names = {new.name for new in added}
        state.tools[:] = [one for one in state.tools if one.name not in names] + added
        state.approvals.forget(names)
    for one in state.tools:
        about = (one.description or "").splitlines()
        say(wrapped(f"  {one.name:<18} {about[0] if about else ''}".rstrip()))
    if not state.tools:
        say("There are no tools. /tools file.py adds the functions of a file.")


def _file(state: TerminalConversation, rest: str) -> None:
    """Attach a file to the next question: /file photo.png; /file - removes all"""
    if rest == "-":
        state.files.clear()
    elif rest:
        path = os.path.expanduser(rest.strip("\"'"))
        if not os.path.isfile(path) and "://" not in path:
            say(f"There is no file {rest}.", err=True)
            return
        state.files.append(path)
    say(f"Attached to the next question: {', '.join(state.files) or 'nothing'}.")


def _clear(state: TerminalConversation, rest: str) -> None:
    """Clear the conversation and start again."""
    state.replace(system=state.talk.system)
    say("The conversation was cleared.")


def _retry(state: TerminalConversation, rest: str) -> list[Message]:
    """Ask for another answer to the last question."""
    return state.take_question()


def _undo(state: TerminalConversation, rest: str) -> None:
    """Take back the last question and its answer."""
    taken = state.undo()
    say(f"Taken back: {' '.join(taken[0].text.split())[:60]}")


def _save(state: TerminalConversation, rest: str) -> None:
    """Keep the conversation under a name, or in a file: /save rivers, /save rivers.json"""
    path = rest.strip("\"'")
    if not path:
        where = state.settings.conversation if state.settings.logged else None
        say(f"It is kept as {where}." if where else "It is not kept. /save NAME.json writes a file.")
    elif path.endswith(".json"):
        state.talk.save(os.path.expanduser(path))
        say(f"Wrote {path}.")
    else:
        state.name_it(path)
        say(f"The conversation is kept as {path}: provider-kit chat --conversation {path}")


def _load(state: TerminalConversation, rest: str) -> None:
    """Go on with a conversation that was kept: /load rivers, /load rivers.json"""
    path = rest.strip("\"'")
    if path.endswith(".json") and not os.path.isfile(os.path.expanduser(path)):
        say(f"There is no file {path}.", err=True)
        return
    if path.endswith(".json"):
        loaded = Conversation.load(os.path.expanduser(path), state.client)
        state.replace(loaded.messages, loaded.system)
    elif path:
        state.load(path)
    else:
        with CallLog() as log:
            say(f"Conversations: {', '.join(log.conversations(20)) or 'none yet'}.")
        return
    say(f"The conversation goes on; it has {len(state.talk.messages)} messages.")


def _exit(state: TerminalConversation, rest: str) -> None:
    """Leave."""


COMMANDS: dict[str, Callable[[TerminalConversation, str], list[Message] | None]] = {
    "help": _help,
    "model": _model,
    "provider": _provider,
    "system": _system,
    "history": _history,
    "usage": _usage,
    "file": _file,
    "tools": _tools,
    "retry": _retry,
    "undo": _undo,
    "save": _save,
    "load": _load,
    "clear": _clear,
    "exit": _exit,
}
#: Commands that are one word.
_ALONE = frozenset({_help, _history, _usage, _clear, _retry, _undo})
