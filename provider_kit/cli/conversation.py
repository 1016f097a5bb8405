"""A conversation at the terminal: history, slash commands, tools, multi-line input, Ctrl-C to stop an answer."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from provider_kit.cli.answer_output import tell_rest
from provider_kit.cli.chat_settings import ChatSettings
from provider_kit.cli.chat_tools import Approvals
from provider_kit.cli.conversation_state import TerminalConversation
from provider_kit.cli.hints import at_the_command
from provider_kit.cli.line_reader import LineReader
from provider_kit.cli.slash_commands import is_command, run_command
from provider_kit.cli.target import open_model
from provider_kit.cli.terminal_text import say
from provider_kit.cli.turn_output import print_turn
from provider_kit.cli.wrapping import wrapped
from provider_kit.client.client import Client
from provider_kit.client.router import Router
from provider_kit.conversations.stream import ConversationStream
from provider_kit.errors import InvalidRequestError, ProviderKitError
from provider_kit.model.conversation import attach_files
from provider_kit.model.messages import Message

__all__ = ["run_conversation"]


def run_conversation(settings: ChatSettings) -> None:
    """Run until the user leaves."""
    first: list[str] = []

    def reopen(target: str | None) -> Client | Router:
        # A given base URL belongs to the first provider; keys of others are not sent there.
        same = not first or (target or "").partition("/")[0] in first
        options = settings.client_options if same else {**settings.client_options, "base_url": None}
        return open_model(target, os.environ, **options)

    tools = settings.load_tools()
    options = settings.call_options()
    client = reopen(settings.model)
    state = TerminalConversation(
        settings,
        client,
        reopen,
        tools,
        Approvals(settings.allowed),
        client.conversation(**settings.conversation_start()),
        options,
        files=list(settings.files),
        rows=list(settings.rows),
        written=len(settings.messages),
    )
    if isinstance(client, Client):
        first += [client.provider, client.config.type]
    reader = LineReader()
    say("Talking to ", nl=False)
    say(state.target, nl=False, bold=True)
    say(". /help lists the commands, Ctrl-D leaves.")
    if settings.messages:
        say(f"The conversation {settings.conversation} goes on; it has {len(settings.messages)} messages.")
    try:
        while True:
            try:
                text = reader.read()
            except KeyboardInterrupt:
                say()
                continue
            except EOFError:
                say()
                return
            if not text.strip():
                continue
            if is_command(text):
                question = run_command(state, text.strip())
                if question is None:
                    return
                if question and not answer_question(state, question) and state.put_back():
                    say("The answer that was there stays.", err=True)
                state.replaced = None
                continue
            ask(state, text.removeprefix("/") if text.startswith("//") else text)
    finally:
        state.client.close()


def ask(state: TerminalConversation, text: str) -> None:
    """Ask, with the files that were attached."""
    try:
        (question,) = attach_files([Message.user(text)], state.files) if state.files else [Message.user(text)]
    except ProviderKitError as error:
        state.files.clear()
        _tell(error)
        say("The attached files were removed.", err=True)
        return
    answer_question(state, [question])


def answer_question(state: TerminalConversation, question: list[Message]) -> bool:
    """Send a question and print the answer; a failure or an interruption keeps the conversation valid.

    Returns:
        Whether there is an answer.
    """
    before, began = len(state.talk.messages), time.monotonic()
    stream: ConversationStream[Any] | None = None
    try:
        options = state.turn_options()
        stream = state.talk.stream(question, **options)
        while True:
            print_turn(stream.events())
            if not state.talk.pending_tool_calls:
                break
            state.approvals.decide(state.talk)
            stream = state.talk.stream(**options)
    except KeyboardInterrupt:
        if stream is not None:
            stream.close()
        if state.talk.pending_tool_calls:  # nothing further could be said before they are decided
            state.talk.undo()
        kept = len(state.talk.messages) > before
        what = "the part above stays in the conversation" if kept else "nothing was said"
        say(f"(interrupted; {what})", err=True, fg="yellow")
        if kept:
            state.files.clear()
        return False
    except ProviderKitError as error:
        if isinstance(error, InvalidRequestError) and state.files:
            state.files.clear()
            say("The attached files were removed.", err=True)
        _tell(error)
        return False
    state.files.clear()
    state.answers += 1
    state.last = stream.response
    tell_rest(stream.response)
    state.record(before, began)
    return True


def _tell(error: ProviderKitError) -> None:
    say(wrapped(" ".join(str(error).split())), err=True, fg="red")
    hint = at_the_command(error.hint or "")
    if hint:
        say(wrapped(f"Hint: {hint}"), err=True)
    say(f"More: provider-kit explain {error.topic}", err=True)
    sys.stderr.flush()
