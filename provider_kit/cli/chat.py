"""``provider-kit chat``: one question and one answer; or a conversation, if no question is given."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from provider_kit.cli.answer_output import answer_output, tell_rest
from provider_kit.cli.chat_settings import ChatSettings, log_turn
from provider_kit.cli.target import open_model, target_name
from provider_kit.cli.templates import fill_template
from provider_kit.cli.terminal_text import is_terminal, readable, say, say_json, shown
from provider_kit.cli.usage_text import usage_text
from provider_kit.client.client import Client
from provider_kit.errors import ConfigError
from provider_kit.model.chat import ChatResponse
from provider_kit.model.conversation import attach_files
from provider_kit.model.messages import Message
from provider_kit.model.text_bytes import decode_text, read_text

if TYPE_CHECKING:
    from provider_kit.client.router import Router
    from provider_kit.tools.function import FunctionTool

__all__ = ["describe", "run_chat"]


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
