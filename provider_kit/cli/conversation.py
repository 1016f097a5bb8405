"""A conversation at the terminal: history, slash commands, multi-line input, Ctrl-C to stop an answer."""

from __future__ import annotations

import os
import sys
from typing import Any

from provider_kit.cli.answer_output import answer_output, tell_rest
from provider_kit.cli.conversation_state import Conversation
from provider_kit.cli.hints import at_the_command
from provider_kit.cli.line_reader import LineReader
from provider_kit.cli.slash_commands import is_command, run_command
from provider_kit.cli.target import open_model
from provider_kit.cli.terminal_text import say
from provider_kit.cli.wrapping import wrapped
from provider_kit.client.client import Client
from provider_kit.client.router import Router
from provider_kit.errors import InvalidRequestError, ProviderKitError, StreamError
from provider_kit.model.chat import ChatResponse
from provider_kit.model.conversation import attach_files
from provider_kit.model.messages import Message

__all__ = ["run_conversation"]


def run_conversation(
    model: str | None,
    system: str | None,
    files: tuple[str, ...],
    options: dict[str, Any],
    *,
    base_url: str | None,
    timeout: float | None,
    max_retries: int | None,
) -> None:
    """Run until the user leaves."""
    first: list[str] = []

    def reopen(target: str | None) -> Client | Router:
        # A given base URL belongs to the first provider; keys of others are not sent there.
        same = not first or (target or "").partition("/")[0] in first
        address = base_url if same else None
        return open_model(target, os.environ, base_url=address, timeout=timeout, max_retries=max_retries)

    talk = Conversation(reopen(model), reopen, system, dict(options), files=list(files))
    if isinstance(talk.client, Client):
        first += [talk.client.provider, talk.client.config.type]
    reader = LineReader()
    say("Talking to ", nl=False)
    say(talk.target, nl=False, bold=True)
    say(". /help lists the commands, Ctrl-D leaves.")
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
                if not run_command(talk, text.strip()):
                    return
                continue
            _answer(talk, text.removeprefix("/") if text.startswith("//") else text)
    finally:
        talk.client.close()


def _answer(talk: Conversation, text: str) -> None:
    """Send a question and print the answer; a failure or an interruption keeps the conversation valid."""
    given = dict(talk.options)
    if talk.system:
        given["system"] = talk.system
    stream = None
    try:
        (question,) = attach_files([Message.user(text)], talk.files) if talk.files else [Message.user(text)]
        stream = talk.client.stream([*talk.messages, question], **given)
        with stream, answer_output() as output:
            for chunk in stream:
                output.write(chunk.text or chunk.refusal or "")
    except KeyboardInterrupt:
        part = stream.response.text if stream is not None else ""
        what = "the part above stays in the conversation" if part else "nothing was said"
        say(f"(interrupted; {what})", err=True, fg="yellow")
        if stream is not None and part:
            _keep(talk, question, stream.response)
        return
    except ProviderKitError as error:
        if isinstance(error, InvalidRequestError) and talk.files:
            talk.files.clear()
            say("The attached files were removed.", err=True)
        if isinstance(error, StreamError) and error.partial is not None:
            _keep(talk, question, error.partial)
        _tell(error)
        return
    answer = stream.response
    _keep(talk, question, answer)
    tell_rest(answer)


def _keep(talk: Conversation, question: Message, answer: ChatResponse) -> None:
    if not answer.text and answer.finish_reason == "error":
        return  # without an answer the question is removed
    talk.files.clear()
    talk.count(answer)
    talk.messages.append(question)
    talk.messages.append(answer.message if answer.finish_reason != "error" else Message("assistant", answer.text))


def _tell(error: ProviderKitError) -> None:
    say(wrapped(" ".join(str(error).split())), err=True, fg="red")
    hint = at_the_command(error.hint or "")
    if hint:
        say(wrapped(f"Hint: {hint}"), err=True)
    say(f"More: provider-kit explain {error.topic}", err=True)
    sys.stderr.flush()
