"""Turns what users pass as a conversation into a checked list of messages.

Strings, dicts in OpenAI's form and :class:`Message` objects are accepted, alone or in lists.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import evolve

from provider_kit.errors import InvalidRequestError
from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.model.files import UploadedFile
from provider_kit.model.media import Media, from_url
from provider_kit.model.messages import PART_CLASSES, ROLES, Message, Part, Text, ToolCall, ToolResult
from provider_kit.model.openai_form import message_from_dict, parts_of

__all__ = ["attach_files", "bare_text", "to_messages"]


def to_messages(value: Any, *, waiting: bool = False) -> list[Message]:
    """Turn what a user passed into a checked conversation; the caller owns the returned list.

    Args:
        value: A string, a message, a dict, or several.
        waiting: Whether the last tool calls may still lack their results.

    Raises:
        InvalidRequestError: It is empty, holds something that is not a message, or its messages are in an order every
            provider refuses (a tool result without its call, a call without its result).
    """
    if type(value) is list:
        pass
    elif isinstance(value, str):
        if not value.strip():
            raise InvalidRequestError("The prompt is empty.", hint="Write something to the model.")
        return [Message("user", bare_text(value))]
    elif isinstance(value, (Message, Mapping, Media, Text)):
        value = [value]
    elif isinstance(getattr(value, "messages", None), list):
        raise InvalidRequestError(
            f"messages must be messages, not a {type(value).__name__}.", hint="Pass its messages: result.messages."
        )
    elif value is None or isinstance(value, (bytes, bytearray)) or not isinstance(value, Iterable):
        raise InvalidRequestError(
            "No messages are given."
            if value is None
            else f"messages must be a string, a dict, a Message or a list of these, not {type(value).__name__}.",
            hint="client.chat('Hello'), or client.chat([{'role': 'user', 'content': 'Hello'}]).",
        )
    messages: list[Message] = []
    append = messages.append
    special = False
    for item in value:
        kind = type(item)
        if kind is dict:
            role = item.get("role")
            content = item.get("content")
            if len(item) == 2 and type(content) is str and (role == "user" or role == "assistant" or role == "system"):
                append(Message(role, content))
            else:
                append(message_from_dict(item))
                special = True
        elif kind is Message:
            append(item)
            special = special or type(item.content) is not str
        else:
            append(_message_from_other(item, messages))
            special = True
    _check_turns(messages, special, waiting)
    if special:
        messages = with_distinct_ids(messages)
    return _results_first(messages) if special else messages


def _results_first(messages: list[Message]) -> list[Message]:
    """Move tool results inside user messages, as in Anthropic's form, into messages of their own."""
    ordered: list[Message] = []
    for message in messages:
        if message.role == "user" and type(message.content) is list:
            results = [part for part in message.content if type(part) is ToolResult]
            if results:
                ordered.append(Message("tool", list(results)))
                rest = [part for part in message.content if type(part) is not ToolResult]
                if rest:
                    ordered.append(Message("user", rest, name=message.name, extra=message.extra))
                continue
        ordered.append(message)
    return ordered


#: A plain ``str`` instead of a subclass (Django's ``SafeString``), since the dialects compare types.
bare_text: Callable[[str], str] = str.__str__


def _message_from_other(item: Any, before: list[Message]) -> Message:
    if isinstance(item, str):
        if not item.strip():
            raise InvalidRequestError("A message is empty.", hint="Leave it out, or write something to the model.")
        return Message("user", bare_text(item))
    if isinstance(item, Message):
        return item
    if isinstance(item, (Media, Text)):
        last = before[-1] if before else None
        if last is not None and last.role == "user" and last.extra is None:
            before.pop()
            return Message("user", [*last.parts, item], name=last.name)  # type: ignore[list-item]  # Media is never bare
        return Message("user", [item])  # type: ignore[list-item]  # Media is never bare
    if isinstance(item, Mapping):
        return message_from_dict(item)
    message = getattr(item, "message", None)
    if isinstance(message, Message):
        return message
    raise InvalidRequestError(
        f"A message must be a string, a dict or a Message, not {type(item).__name__}.",
        hint="{'role': 'user', 'content': 'Hello'}",
    )


def _check_turns(messages: list[Message], special: bool, waiting: bool) -> None:
    if not messages:
        raise InvalidRequestError("The list of messages is empty.", hint="Pass at least one user message.")
    if not special:
        for message in messages:
            if message.role not in ROLES:
                raise _unknown_role(message.role)
        return
    open_calls: dict[str, list[str]] = {}  # names by id, since servers may use one id for several calls
    for position, message in enumerate(messages):
        if message.role not in ROLES:
            raise _unknown_role(message.role)
        if isinstance(message.content, str):
            if type(message.content) is not str:
                messages[position] = evolve(message, content=bare_text(message.content))
            if message.role == "tool":
                raise InvalidRequestError(
                    f"Message {position} has the role 'tool' but does not say which call it answers.",
                    hint="Add 'tool_call_id', or use Message.tool(call.id, result).",
                )
            if message.role != "assistant":
                _check_answered(open_calls, position)
            continue
        if not isinstance(message.content, list):
            raise InvalidRequestError(
                f"Message {position}: content must be a string or a list of parts, "
                f"not {type(message.content).__name__}."
            )
        if not message.content and message.role != "assistant" and not waiting:
            raise InvalidRequestError(
                f"Message {position} has no content.", hint="Leave it out, or write something to the model."
            )
        if not all(isinstance(part, PART_CLASSES) for part in message.content):
            messages[position] = evolve(message, content=parts_of(message.content))
        answers = False
        for part in messages[position].parts:
            if type(part) is Text and not isinstance(part.text, str):
                raise InvalidRequestError(f"Message {position}: the text of a part must be a string.")
            if message.role == "user" and isinstance(part, Media):
                part.check()
            if type(part) is ToolResult:
                answers = True
                if part.tool_call_id not in open_calls:
                    raise InvalidRequestError(
                        f"Message {position} answers the tool call {part.tool_call_id!r}, "
                        "which no message before it made.",
                        hint="Put the assistant message with the tool calls (response.message) before its results.",
                    )
                open_calls[part.tool_call_id].pop(0)
                if not open_calls[part.tool_call_id]:
                    del open_calls[part.tool_call_id]
        if not answers and message.role != "assistant":
            _check_answered(open_calls, position)
        for part in messages[position].parts:
            if type(part) is ToolCall:
                open_calls.setdefault(part.id, []).append(part.name)
    if not waiting:
        _check_answered(open_calls, len(messages))


def with_distinct_ids(messages: list[Message]) -> list[Message]:
    """The conversation with a distinct id for each tool call and its result.

    Some servers use one id for several calls, or the same one in each message; other APIs refuse that, or match results
    and calls wrongly.
    """
    ids = [part.id for message in messages if type(message.content) is list for part in message.tool_calls]
    if len(set(ids)) == len(ids):
        return messages
    seen: set[str] = set()
    waiting: dict[str, list[str]] = {}
    renamed: list[Message] = []
    for message in messages:
        if type(message.content) is str:
            renamed.append(message)
            continue
        content: list[Any] = []
        for part in message.parts:
            if type(part) is ToolCall:
                number, made = 1, part.id
                while made in seen:
                    number += 1
                    made = f"{part.id}_{number}"
                seen.add(made)
                waiting.setdefault(part.id, []).append(made)
                content.append(part if made == part.id else _with_id(part, made))
            elif type(part) is ToolResult and waiting.get(part.tool_call_id):
                made = waiting[part.tool_call_id].pop(0)
                content.append(part if made == part.tool_call_id else evolve(part, tool_call_id=made))
            else:
                content.append(part)
        renamed.append(evolve(message, content=content))
    return renamed


def _with_id(call: ToolCall, call_id: str) -> ToolCall:
    native = call.native
    if native is not None:
        native = {**native, "call_id" if "call_id" in native else "id": call_id}
    return evolve(call, id=call_id, native=native)


def _check_answered(open_calls: dict[str, list[str]], position: int) -> None:
    if open_calls:
        call_id, (name, *_) = next(iter(open_calls.items()))
        raise InvalidRequestError(
            f"The tool call {call_id!r} ({name}) is not answered before message {position}.",
            hint="After an assistant message with tool calls, append a result for each: Message.tool(call.id, result).",
        )


def _unknown_role(role: Any) -> InvalidRequestError:
    known = sorted(ROLES)
    others = {"human": "user", "ai": "assistant", "bot": "assistant", "model": "assistant", "function": "tool"}
    ours = others.get(str(role).lower())
    near = f"Did you mean {ours!r}? " if ours else did_you_mean(str(role), known)
    return InvalidRequestError(f"Unknown role {role!r}.", hint=f"{near}Roles are {', '.join(known)}.")


def attach_files(messages: list[Message], files: Any) -> list[Message]:
    """Append files (one or several) to the last user message; without one, to a new one."""
    if isinstance(files, Mapping):
        raise InvalidRequestError(
            "files= takes files, not a mapping.", hint="files=[…], or files=list(found.values())."
        )
    # An open file is one file, although it can be read line by line.
    if (
        isinstance(files, (str, bytes, bytearray, memoryview))
        or hasattr(files, "read")
        or not isinstance(files, Iterable)
    ):
        files = [files]
    parts = [attachment(file) for file in files]
    for part in parts:
        if isinstance(part, Media):
            part.check()
    for index in range(len(messages) - 1, -1, -1):
        if messages[index].role == "user":
            last = messages[index]
            messages[index] = Message("user", [*last.parts, *parts], name=last.name, extra=last.extra)
            return messages
    return [*messages, Message("user", parts)]


def attachment(file: Any, **options: Any) -> Part:
    """Create a part from a path, bytes, a URL, an open binary file or a part.

    Args:
        file: One of these.
        options: ``filename`` and ``media_type``, where the content is at hand.

    Raises:
        InvalidRequestError: The file is missing, empty, or of an unknown type.
    """
    if isinstance(file, UploadedFile):
        return file.part  # type: ignore[return-value]  # always one of its subclasses
    if isinstance(file, (Media, Text)):
        return file  # type: ignore[return-value]  # Media itself is never instantiated by users
    if isinstance(file, (bytes, bytearray, memoryview)):
        return Media.from_bytes(bytes(file), **options)  # type: ignore[return-value]  # always one of its subclasses
    if isinstance(file, str) and (file[:5].lower() == "data:" or re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", file)):
        return from_url(file)
    if isinstance(file, (str, os.PathLike)):
        return Media.from_path(file, **options)  # type: ignore[return-value]  # always one of its subclasses
    if hasattr(file, "read"):
        try:
            data = file.read()
        except (OSError, ValueError) as error:
            raise InvalidRequestError(
                f"The open file cannot be read: {error}.", hint="Open it with open(path, 'rb'), or pass its path."
            ) from None
        name = getattr(file, "name", None)
        if isinstance(name, str):
            options.setdefault("filename", os.path.basename(name))
        return Media.from_bytes(data if isinstance(data, bytes) else str(data).encode("utf-8", "replace"), **options)  # type: ignore[return-value]  # always one of its subclasses
    raise InvalidRequestError(
        f"Cannot attach a {type(file).__name__}.", hint="Pass a path, bytes, a URL or an open binary file."
    )
