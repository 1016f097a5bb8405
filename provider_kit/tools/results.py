"""What a function returned or raised, as the result that the model reads.

The model is told the class of an exception and what to do, never its text, which may hold paths, addresses or secrets;
the caller keeps the exception itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from provider_kit.errors import PendingToolCallsError, RetryTool
from provider_kit.model.chat import ChatResponse
from provider_kit.model.json_text import dumps_text
from provider_kit.model.media import Media
from provider_kit.model.messages import Text, ToolCall, ToolResult
from provider_kit.schema.build import to_json
from provider_kit.schema.typed import SchemaError

__all__ = ["LONGEST_RESULT", "denied_result", "error_result", "result_of", "unknown_tool"]

#: Characters of a result that are passed to the model.
LONGEST_RESULT = 50_000


class UnusableResultError(TypeError):
    """JSON has nothing for the result of a tool."""


_ADVICE: tuple[tuple[type[BaseException], str], ...] = (
    (UnusableResultError, "It ran, but its result cannot be shown. Do not call it again; go on without it."),
    (PendingToolCallsError, "It waits for a decision of a person. Go on without it."),
    (TimeoutError, "It took too long. Try smaller arguments, or go on without it."),
    (FileNotFoundError, "What it was to open does not exist. Check the name."),
    (PermissionError, "It is not allowed to do this. Do not try again; tell the user."),
    (ConnectionError, "A service it needs cannot be reached. Try again once, or go on without it."),
    (LookupError, "There is nothing under this name or number. Check the arguments."),
    (ValueError, "It refused a value. Check the arguments."),
    (TypeError, "It refused the type of a value. Check the arguments."),
    (NotImplementedError, "It cannot do this. Use another tool, or go on without it."),
)


def result_of(call: ToolCall, value: Any, limit: int = LONGEST_RESULT) -> ToolResult:
    """A function's value as the result of its call: text as it is, parts as parts, anything else as JSON.

    Raises:
        UnusableResultError: JSON has nothing for it.
        PendingToolCallsError: It is that of a run which waits for a decision.
    """
    if type(value) is str:
        return ToolResult(call.id, value if len(value) <= limit else _cut(value, limit), name=call.name)
    if isinstance(value, ChatResponse):
        return ToolResult(call.id, _of_agent(value, limit), name=call.name)
    if isinstance(value, ToolResult):
        content = value.content if isinstance(value.content, str) else _parts(value.content, limit)
        text = _cut(content, limit) if isinstance(content, str) and len(content) > limit else content
        return ToolResult(call.id, text, name=call.name, is_error=value.is_error)
    if isinstance(value, (Text, Media)):
        return ToolResult(call.id, _parts([value], limit), name=call.name)
    if isinstance(value, (list, tuple)) and any(isinstance(one, (Text, Media)) for one in value):
        return ToolResult(call.id, _parts(value, limit), name=call.name)
    return ToolResult(call.id, _text(value, limit), name=call.name)


def _parts(values: Sequence[Any], limit: int) -> list[Any]:
    """Parts as they are, texts cut, anything else as JSON."""
    return [
        one if isinstance(one, Media) else Text(_text(one.text if isinstance(one, Text) else one, limit))
        for one in values
    ]


def _of_agent(reply: ChatResponse[Any], limit: int) -> str:
    """The answer of another run or call: its value, else its text.

    Raises:
        PendingToolCallsError: It waits for a decision.
    """
    waiting = list(getattr(reply, "pending", None) or reply.tool_calls)
    if waiting:
        raise PendingToolCallsError("A run inside a tool waits for a decision.", calls=waiting, response=reply)
    value: Any = reply.parsed
    return _text(reply.text if value is None else value, limit)


def _text(value: Any, limit: int) -> str:
    try:
        text = value if isinstance(value, str) else dumps_text(to_json(value))
    except (TypeError, ValueError, RecursionError) as error:
        raise UnusableResultError(str(error)) from error
    return text if len(text) <= limit else _cut(text, limit)


def _cut(text: str, limit: int) -> str:
    return f"{text[:limit]}\n[The result was cut here: {limit:,} of {len(text):,} characters are shown.]"


def error_result(call: ToolCall, error: BaseException) -> ToolResult:
    """An exception as the result of a call."""
    if isinstance(error, RetryTool):
        said = error.message or "Call the tool again in another way."
    elif isinstance(error, SchemaError):
        problems = "\n".join(f"- {one}" for one in error.problems)
        said = f"The arguments are wrong:\n{problems}\nCorrect them, and call the tool again."
    else:
        advice = next((told for kind, told in _ADVICE if isinstance(error, kind)), "Try other arguments, or go on.")
        said = f"The tool failed ({type(error).__name__}). {advice}"
    return ToolResult(call.id, said, name=call.name, is_error=True)


def unknown_tool(call: ToolCall, names: list[str]) -> ToolResult:
    """The result of a call to a tool that does not exist."""
    listed = ", ".join(names[:50]) or "none"
    return ToolResult(
        call.id, f"There is no tool {call.name[:64]!r}. The tools are: {listed}.", name=call.name, is_error=True
    )


def denied_result(call: ToolCall, reason: str) -> ToolResult:
    """The result of a call that was not allowed."""
    said = f"This call was not allowed: {reason}" if reason else "This call was not allowed."
    return ToolResult(call.id, said, name=call.name, is_error=True)
