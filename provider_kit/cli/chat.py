"""``provider-kit chat``: one question and one answer; or a conversation, if no question is given."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import click

from provider_kit.cli.answer_output import answer_output, tell_rest
from provider_kit.cli.target import open_model
from provider_kit.cli.terminal_text import is_terminal, readable, say, say_json, shown
from provider_kit.cli.usage_text import usage_text
from provider_kit.client.client import Client
from provider_kit.client.router import Router
from provider_kit.errors import InvalidRequestError
from provider_kit.model.chat import ChatResponse
from provider_kit.model.text_bytes import decode_text, read_text

__all__ = ["describe", "run_chat"]


def run_chat(
    prompt: str | None,
    model: str | None,
    system: str | None,
    files: tuple[str, ...],
    temperature: float | None,
    max_tokens: int | None,
    base_url: str | None,
    timeout: float | None,
    max_retries: int | None,
    schema: str | None,
    no_stream: bool,
    usage: bool,
    as_json: bool,
) -> None:
    """Send the question and print the answer."""
    prompt, system, schema = (text if text is None else readable(text) for text in (prompt, system, schema))
    given = {"temperature": temperature, "max_tokens": max_tokens}
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if schema is not None:
        options["response_format"] = _schema(schema)
    if prompt is None and not as_json and is_terminal(sys.stdin) and is_terminal(sys.stdout):
        from provider_kit.cli.conversation import run_conversation

        run_conversation(model, system, files, options, base_url=base_url, timeout=timeout, max_retries=max_retries)
        return
    question = _question(prompt)
    if system is not None:
        options["system"] = system
    if files:
        options["files"] = files
    with open_model(model, os.environ, base_url=base_url, timeout=timeout, max_retries=max_retries) as client:
        if as_json:
            say_json(describe(client.chat(question, **options)))
        elif no_stream:
            answer = client.chat(question, **options)
            click.echo(shown(answer.text or answer.refusal or ""))
            tell_rest(answer)
            _tell_usage(answer, usage)
        else:
            _tell_usage(_stream(client, question, options), usage)


def _tell_usage(answer: ChatResponse, wanted: bool) -> None:
    if wanted:
        say(usage_text(answer.usage), err=True)


def _stream(client: Client | Router, question: str, options: dict[str, Any]) -> ChatResponse:
    output = answer_output()
    with client.stream(question, **options) as stream:
        try:
            with output:
                for chunk in stream:
                    output.write(chunk.text or chunk.refusal or "")
        except KeyboardInterrupt:
            say("(interrupted)", err=True, fg="yellow")
            sys.exit(130)
        tell_rest(stream.response)
        return stream.response


def _schema(given: str) -> Any:
    """A JSON Schema: a file, or the text itself."""
    text = given
    if not given.lstrip().startswith(("{", "[")):
        try:
            with open(given, "rb") as file:
                read = read_text(file.read())
        except OSError as error:
            raise InvalidRequestError(
                f"The schema file {given} cannot be read: {error.strerror or error}.",
                hint='Name a file, or write the schema: --schema \'{"type": "object", …}\'.',
            ) from None
        if read is None:
            raise InvalidRequestError(f"The schema file {given} is not text in UTF-8.", hint="Save it as UTF-8.")
        text = read
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(
            f"The schema is not valid JSON: {error}.", hint="Check it with python -m json.tool."
        ) from None
    if not isinstance(found, dict) or not found:
        raise InvalidRequestError(
            "A JSON Schema is an object that is not empty.",
            hint='Write what the answer has: --schema \'{"type": "object", "properties": {…}}\'.',
        )
    return found


def _question(prompt: str | None) -> str:
    """The prompt, followed by piped input."""
    piped = "" if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty() else _read_piped().strip()
    question = "\n\n".join(part for part in (prompt, piped) if part)
    if not question:
        raise click.UsageError('There is no prompt. Try: provider-kit chat "Hello"')
    return question


def _read_piped() -> str:
    """Read piped input; invalid bytes are replaced, with a warning."""
    data = sys.stdin.buffer.read()
    text = read_text(data)
    if text is None:
        say("Warning: the piped input is not entirely UTF-8 text.", err=True, fg="yellow")
    return decode_text(data) if text is None else text


def describe(answer: ChatResponse) -> dict[str, Any]:
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
