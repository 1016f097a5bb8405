"""What is wrong with a conversation, and what it lacks; over plain lists of messages."""

from __future__ import annotations

from typing import Any

from provider_kit.model.convert import read_messages
from provider_kit.model.media import Image
from provider_kit.model.messages import Message, ToolCall, ToolResult
from provider_kit.model.openai_form import message_from_dict

__all__ = ["fix_missing_tool_responses", "has_images", "pending_tool_calls", "validate_tool_calls"]

#: What the model is told of a call that has no result.
MISSING_RESPONSE = "There is no result: the call was interrupted."


def _messages(conversation: Any) -> list[Message]:
    """The messages of what is a conversation, a result, or a list of messages and dicts."""
    found = getattr(conversation, "messages", conversation)
    if isinstance(found, (Message, dict)):
        found = [found]
    return [one if isinstance(one, Message) else _from_dict(one) for one in found]


def _from_dict(written: Any) -> Message:
    parts = written.get("content") if isinstance(written, dict) else None
    if isinstance(parts, list) and any(isinstance(one, dict) and one.get("type") == "tool_call" for one in parts):
        return read_messages([written])[0]
    return message_from_dict(written)


def pending_tool_calls(conversation: Any) -> list[ToolCall]:
    """The tool calls without a result, in order; those of any message, not only of the last one.

    Args:
        conversation: Messages, a :class:`Conversation` or a :class:`RunResult`.
    """
    waiting: list[ToolCall] = []
    for message in _messages(conversation):
        for part in message.parts:
            if type(part) is ToolCall:
                waiting.append(part)
            elif type(part) is ToolResult:
                found = next((call for call in waiting if call.id == part.tool_call_id), None)
                if found is not None:
                    waiting.remove(found)
    return waiting


def validate_tool_calls(conversation: Any) -> list[str]:
    """What is wrong with the order of tool calls and results; empty if nothing is.

    Args:
        conversation: Messages, a :class:`Conversation` or a :class:`RunResult`.
    """
    problems: list[str] = []
    waiting: dict[str, str] = {}
    for position, message in enumerate(_messages(conversation)):
        results = [part for part in message.parts if type(part) is ToolResult]
        if waiting and not results and message.role != "assistant":
            listed = ", ".join(f"{call_id!r} ({name})" for call_id, name in waiting.items())
            problems.append(f"Message {position} comes before the results of {listed}.")
            waiting.clear()
        for result in results:
            if waiting.pop(result.tool_call_id, None) is None:
                problems.append(f"Message {position} answers the call {result.tool_call_id!r}, which was not made.")
        for call in message.tool_calls:
            if call.id in waiting:
                problems.append(f"Message {position} uses the id {call.id!r} for two calls.")
            if not call.name:
                problems.append(f"Message {position} has a tool call without a name.")
            waiting[call.id] = call.name
    problems += [f"The call {call_id!r} ({name}) has no result." for call_id, name in waiting.items()]
    return problems


def fix_missing_tool_responses(conversation: Any, response: str = MISSING_RESPONSE) -> list[Message]:
    """The messages with a result for each call that has none, so that a provider accepts them.

    Args:
        conversation: Messages, a :class:`Conversation` or a :class:`RunResult`; it is not changed.
        response: What the model is told of such a call.
    """
    fixed: list[Message] = []
    waiting: dict[str, ToolCall] = {}
    for message in _messages(conversation):
        results = [part for part in message.parts if type(part) is ToolResult]
        if waiting and not results:
            fixed.extend(_missing(call, response) for call in waiting.values())
            waiting.clear()
        for result in results:
            waiting.pop(result.tool_call_id, None)
        waiting.update((call.id, call) for call in message.tool_calls)
        fixed.append(message)
    fixed.extend(_missing(call, response) for call in waiting.values())
    return fixed


def _missing(call: ToolCall, response: str) -> Message:
    return Message("tool", [ToolResult(call.id, response, name=call.name, is_error=True)])


def has_images(conversation: Any) -> bool:
    """Whether there is an image in any message or tool result, so that the model must be one that sees.

    Args:
        conversation: Messages, a :class:`Conversation` or a :class:`RunResult`.
    """
    return any(_is_image(part) for message in _messages(conversation) for part in message.parts)


def _is_image(part: Any) -> bool:
    if isinstance(part, Image):
        return True
    return type(part) is ToolResult and not isinstance(part.content, str) and any(map(_is_image, part.content))
