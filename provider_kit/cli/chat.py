"""``provider-kit chat``: one question and one answer; or a conversation, if no question is given."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

import click
from attrs import define, field

from provider_kit.cli.answer_output import answer_output, tell_rest
from provider_kit.cli.call_log import CallLog, is_logging, new_conversation_id
from provider_kit.cli.target import open_model, target_name
from provider_kit.cli.templates import fill_template
from provider_kit.cli.terminal_text import is_terminal, readable, say, say_json, shown
from provider_kit.cli.usage_text import usage_text
from provider_kit.client.client import Client
from provider_kit.client.router import Router
from provider_kit.errors import ConfigError, ProviderKitError
from provider_kit.model.chat import ChatResponse
from provider_kit.model.conversation import attach_files
from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.model.messages import Message
from provider_kit.model.text_bytes import decode_text, read_text

if TYPE_CHECKING:
    from provider_kit.tools.function import FunctionTool

__all__ = ["ChatSettings", "describe", "log_turn", "run_chat", "start_of"]


@define(kw_only=True)
class ChatSettings:
    """The options of the command, and what follows from them."""

    prompt: str | None = None
    model: str | None = None
    system: str | None = None
    files: tuple[str, ...] = ()
    temperature: float | None = None
    max_tokens: int | None = None
    base_url: str | None = None
    timeout: float | None = None
    max_retries: int | None = None
    schema: Any = None
    no_stream: bool = False
    usage: bool = False
    as_json: bool = False
    tools: tuple[str, ...] = ()
    tool_files: tuple[str, ...] = ()
    allowed: bool = False
    template: str | None = None
    save: str | None = None
    #: Whether the last conversation is continued; and the id of the one that is continued or begun.
    continued: bool = False
    conversation: str | None = None
    log: bool | None = None
    #: What was said before.
    messages: list[Message] = field(factory=list)

    @property
    def logged(self) -> bool:
        """Whether turns are logged."""
        return is_logging() if self.log is None else self.log

    @property
    def client_options(self) -> dict[str, Any]:
        """Options of the client."""
        return {"base_url": self.base_url, "timeout": self.timeout, "max_retries": self.max_retries}

    def call_options(self) -> dict[str, Any]:
        """Options of each call."""
        from provider_kit.cli.short_schema import read_schema

        given: dict[str, Any] = {"temperature": self.temperature, "max_tokens": self.max_tokens}
        if self.schema is not None:
            given["response_format"] = self.schema if isinstance(self.schema, dict) else read_schema(self.schema)
        return {name: value for name, value in given.items() if value is not None}

    def conversation_start(self) -> dict[str, Any]:
        """Arguments of a conversation that goes on from here."""
        return start_of(self.messages, self.system)

    def load_tools(self) -> list[FunctionTool]:
        """The tools that were named."""
        if not self.tools and not self.tool_files:
            return []
        from provider_kit.cli.chat_tools import load_tools

        return load_tools(self.tools, self.tool_files)

    def read_conversation(self) -> None:
        """Read what was said before, with the system prompt and the model of it where none is given."""
        if not self.continued and self.conversation is None:
            return
        with CallLog() as log:
            if self.continued and self.conversation is None:
                self.conversation = log.last_conversation()
                if self.conversation is None:
                    raise ConfigError(
                        "There is no conversation to continue.",
                        hint="Nothing was logged yet; --conversation NAME begins one with a name.",
                    )
            assert self.conversation is not None
            self.messages, system, model = log.conversation(self.conversation)
            if self.continued and not self.messages:
                known = log.conversations()
                raise ConfigError(
                    f"There is no conversation {self.conversation!r}.",
                    hint=f"{did_you_mean(self.conversation, known)}provider-kit logs list shows them; without -c it is "
                    "begun.",
                )
        self.system = system if self.system is None else self.system
        self.model = model if self.model is None else self.model


def start_of(messages: list[Message], system: str | None) -> dict[str, Any]:
    """Arguments of a conversation: what was said, and the system prompt, where there are any."""
    given: dict[str, Any] = {"messages": messages or None, "system": system}
    return {name: value for name, value in given.items() if value is not None}


def run_chat(**options: Any) -> None:
    """Send the question and print the answer."""
    settings = ChatSettings(**options)
    for name in ("prompt", "system", "schema"):
        value = getattr(settings, name)
        setattr(settings, name, readable(value) if isinstance(value, str) else value)
    if settings.save is not None:
        from provider_kit.cli.templates import save_template

        save_template(settings)
        return
    at_terminal = is_terminal(sys.stdin) and is_terminal(sys.stdout)
    talking = settings.prompt is None and not settings.as_json and at_terminal
    if settings.template is not None:
        fill_template(settings, "" if talking else _piped())
        talking = talking and settings.prompt is None
    settings.read_conversation()
    if talking:
        from provider_kit.cli.conversation import run_conversation

        run_conversation(settings)
        return
    question = settings.prompt if settings.template is not None else _question(settings.prompt)
    if not question:
        raise click.UsageError('There is no prompt. Try: provider-kit "Hello"')
    tools = settings.load_tools()
    call_options = settings.call_options()
    _check_address(settings)
    with open_model(settings.model, os.environ, **settings.client_options) as client:
        _tell_usage(_ask(settings, client, question, tools, call_options), settings.usage)


def _check_address(settings: ChatSettings) -> None:
    """An address is no model; which one is asked there has to be said.

    Raises:
        ConfigError: There is an address, and no model.
    """
    model = settings.model
    if model is not None and "://" in model:
        raise ConfigError(
            f"{model} is an address, not a model.",
            hint=f'provider-kit --base-url {model} -m MODEL "…"; provider-kit models --base-url {model} lists them.',
        )


def _ask(
    settings: ChatSettings, client: Client | Router, question: str, tools: list[FunctionTool], options: dict[str, Any]
) -> ChatResponse[Any]:
    (asked,) = attach_files([Message.user(question)], settings.files) if settings.files else [Message.user(question)]
    began = time.monotonic()
    if tools:
        turn, answer = _with_tools(settings, client, asked, tools, options)
    else:
        if settings.system is not None:
            options["system"] = settings.system
        messages = [*settings.messages, asked]
        if settings.as_json:
            answer = client.chat(messages, **options)
            say_json(describe(answer))
        elif settings.no_stream:
            answer = client.chat(messages, **options)
            click.echo(shown(answer.text or answer.refusal or ""))
            tell_rest(answer)
        else:
            answer = _stream(client, messages, options)
        turn = [asked, answer.message]
    log_turn(settings, target_name(client), turn, answer, time.monotonic() - began)
    return answer


def _with_tools(
    settings: ChatSettings, client: Client | Router, asked: Message, tools: list[FunctionTool], options: dict[str, Any]
) -> tuple[list[Message], ChatResponse[Any]]:
    """A turn that calls functions, each after it was allowed."""
    from provider_kit.cli.chat_tools import Approvals
    from provider_kit.cli.turn_output import print_turn

    approvals = Approvals(settings.allowed)
    talk = client.conversation(**settings.conversation_start(), tools=approvals.guarded(tools), **options)
    stream = talk.stream([asked])
    try:
        while True:
            if settings.as_json or settings.no_stream:
                for _ in stream.events():
                    pass
            else:
                print_turn(stream.events())
            if not talk.pending_tool_calls:
                break
            approvals.decide(talk)
            stream = talk.stream()
    except KeyboardInterrupt:
        say("(interrupted)", err=True, fg="yellow")
        sys.exit(130)
    answer = stream.response
    if settings.as_json:
        say_json(describe(answer))
    elif settings.no_stream:
        click.echo(shown(answer.text or answer.refusal or ""))
    if not settings.as_json:
        tell_rest(answer)
    return talk.messages[len(settings.messages) :], answer


def log_turn(
    settings: ChatSettings, model: str, turn: list[Message], answer: ChatResponse[Any], seconds: float
) -> None:
    """Write a turn to the log; where that fails, the answer is there all the same."""
    if not settings.logged or (answer.finish_reason == "error" and not answer.text):
        return
    if settings.conversation is None:
        settings.conversation = new_conversation_id()
    try:
        with CallLog() as log:
            log.record(settings.conversation, model, settings.system, turn, answer, seconds)
    except (ProviderKitError, OSError) as error:
        text = " ".join(str(error).split())
        say(f"Warning: this is not in the log: {text} PROVIDER_KIT_LOGS=off turns it off.", err=True, fg="yellow")


def _tell_usage(answer: ChatResponse[Any], wanted: bool) -> None:
    if wanted:
        say(usage_text(answer.usage), err=True)


def _stream(client: Client | Router, messages: list[Message], options: dict[str, Any]) -> ChatResponse[Any]:
    output = answer_output()
    with client.stream(messages, **options) as stream:
        try:
            with output:
                for chunk in stream:
                    output.write(chunk.text or chunk.refusal or "")
        except KeyboardInterrupt:
            say("(interrupted)", err=True, fg="yellow")
            sys.exit(130)
        tell_rest(stream.response)
        return stream.response


def _question(prompt: str | None) -> str:
    """The prompt, followed by piped input."""
    return "\n\n".join(part for part in (prompt, _piped()) if part)


def _piped() -> str:
    """Piped input; invalid bytes are replaced, with a warning."""
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        return ""
    data = sys.stdin.buffer.read()
    text = read_text(data)
    if text is None:
        say("Warning: the piped input is not entirely UTF-8 text.", err=True, fg="yellow")
    return (decode_text(data) if text is None else text).strip()


def describe(answer: ChatResponse[Any]) -> dict[str, Any]:
    """An answer as plain data."""
    usage = answer.usage
    counts = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "total_tokens": usage.total_tokens,
    }
    return {
        "text": answer.text,
        "thinking": answer.thinking,
        "refusal": answer.refusal,
        "tool_calls": [{"id": c.id, "name": c.name, "arguments": c.arguments_json} for c in answer.tool_calls],
        "finish_reason": answer.finish_reason,
        "raw_finish_reason": answer.raw_finish_reason,
        "usage": counts,
        "cost": None if answer.cost is None else str(answer.cost),
        "cost_is_minimum": answer.cost_is_minimum,
        "provider": answer.provider,
        "model": answer.model,
        "id": answer.id,
        "request_id": answer.request_id,
        "warnings": [str(warning) for warning in answer.warnings],
    }
