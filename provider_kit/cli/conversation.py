"""A conversation at the terminal: history, slash commands, several lines, Ctrl-C that only ends the answer."""

from __future__ import annotations

import os
import sys
from typing import Any

import click
from attrs import define, field

from provider_kit.cli.answer_output import answer_output
from provider_kit.cli.line_reader import LineReader
from provider_kit.cli.target import open_client
from provider_kit.client import Client
from provider_kit.errors import ProviderKitError, StreamError
from provider_kit.model.chat import ChatResponse
from provider_kit.model.messages import Message

__all__ = ["Conversation", "run_conversation"]


@define
class Conversation:
    """What a conversation knows of itself."""

    client: Client
    #: What opens another client: provider and model to client.
    reopen: Any = field(repr=False)
    system: str | None = None
    options: dict[str, Any] = field(factory=dict)
    messages: list[Message] = field(factory=list)
    #: Files that go with the next question.
    files: list[str] = field(factory=list)
    input_tokens: int = 0
    output_tokens: int = 0
    answers: int = 0
    cost: Any = None

    @property
    def target(self) -> str:
        """``provider/model``."""
        return f"{self.client.provider}/{self.client.model or '?'}"

    def switch(self, target: str) -> None:
        """Go on with another provider or model; the conversation stays.

        Raises:
            ProviderKitError: There is no such provider; the old one stays.
        """
        made = self.reopen(target)
        self.client.close()
        self.client = made

    def count(self, answer: ChatResponse) -> None:
        """Add up what an answer used."""
        self.answers += 1
        self.input_tokens += answer.usage.input_tokens or 0
        self.output_tokens += answer.usage.output_tokens or 0
        if answer.cost is not None:
            self.cost = answer.cost if self.cost is None else self.cost + answer.cost


def run_conversation(
    model: str | None,
    *,
    system: str | None,
    files: tuple[str, ...],
    options: dict[str, Any],
    base_url: str | None,
    timeout: float | None,
) -> None:
    """Talk until somebody leaves."""

    def reopen(target: str | None) -> Client:
        return open_client(target, os.environ, base_url=base_url, timeout=timeout)

    talk = Conversation(reopen(model), reopen, system, dict(options), files=list(files))
    reader = LineReader()
    click.echo(f"Talking to {click.style(talk.target, bold=True)}. /help lists the commands, Ctrl-D leaves.")
    try:
        while True:
            try:
                text = reader.read()
            except KeyboardInterrupt:
                click.echo()
                continue
            except EOFError:
                click.echo()
                return
            if not text.strip():
                continue
            if text.lstrip().startswith("/"):
                from provider_kit.cli.slash_commands import run_command

                if not run_command(talk, text.strip()):
                    return
                continue
            _answer(talk, text)
    finally:
        talk.client.close()


def _answer(talk: Conversation, text: str) -> None:
    """Ask, and print the answer; a failure or an interruption leaves the conversation in order."""
    given = dict(talk.options)
    if talk.system:
        given["system"] = talk.system
    if talk.files:
        given["files"] = talk.files
    stream = None
    try:
        question = Message.user(text)
        stream = talk.client.stream([*talk.messages, question], **given)
        with stream, answer_output() as output:
            for chunk in stream:
                output.write(chunk.text or chunk.refusal or "")
    except KeyboardInterrupt:
        click.secho("(interrupted; the part above stays in the conversation)", err=True, fg="yellow")
        if stream is not None:
            _keep(talk, question, stream.response)
        return
    except ProviderKitError as error:
        if isinstance(error, StreamError) and error.partial is not None:
            _keep(talk, question, error.partial)
        _tell(error)
        return
    answer = stream.response
    _keep(talk, question, answer)
    from provider_kit.cli.chat import tell_rest

    tell_rest(answer)


def _keep(talk: Conversation, question: Message, answer: ChatResponse) -> None:
    if not answer.text and answer.finish_reason == "error":
        return  # nothing came of it; the question is not asked for ever
    talk.files.clear()
    talk.count(answer)
    talk.messages.append(question)
    talk.messages.append(answer.message if answer.finish_reason != "error" else Message("assistant", answer.text))


def _tell(error: ProviderKitError) -> None:
    click.secho(f"{' '.join(str(error).split())}", err=True, fg="red")
    if error.hint:
        click.echo(f"Hint: {error.hint}", err=True)
    click.echo(f"More: provider-kit explain {error.topic}", err=True)
    sys.stderr.flush()
