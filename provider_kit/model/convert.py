"""Conversations to JSON and back, with cattrs.

Each part carries its ``type``; bytes are base64; fields that are ``None`` are left out. Fields and part
types this version does not know survive the round trip: they are kept in ``extra`` (or a
:class:`~provider_kit.model.messages.Native` part) and written back where they were.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import TYPE_CHECKING, Any

from attrs import fields

from provider_kit.errors import InvalidRequestError
from provider_kit.model.conversation import to_messages
from provider_kit.model.json_text import dumps_text, loads
from provider_kit.model.media import Audio, Document, Image
from provider_kit.model.messages import Message, Native, Part, Refusal, Text, Thinking, ToolCall, ToolResult
from provider_kit.model.usage import Usage

if TYPE_CHECKING:
    from cattrs import Converter

    #: The one converter: ``converter.unstructure(message)``, ``converter.structure(data, Message)``.
    converter: Converter

__all__ = [
    "converter",
    "dump_conversation",
    "dump_part",
    "load_conversation",
    "load_part",
    "read_messages",
    "write_messages",
]

#: Version of the written form.
FORMAT = 1

_PART_TYPES: dict[str, type[Any]] = {
    "text": Text,
    "refusal": Refusal,
    "image": Image,
    "document": Document,
    "audio": Audio,
    "tool_call": ToolCall,
    "tool_result": ToolResult,
    "thinking": Thinking,
}
_TYPE_NAMES = {part: name for name, part in _PART_TYPES.items()}


def _field_names(part: type[Any]) -> dict[str, str]:
    """Constructor argument to attribute, without ``extra``."""
    return {f.alias or f.name: f.name for f in fields(part) if f.name != "extra"}


_NAMES = {part: _field_names(part) for part in (*_PART_TYPES.values(), Message)}


def _write(value: Any) -> Any:
    if type(value) in _TYPE_NAMES:
        return _write_part(value)
    if type(value) is Native:
        if value.data.get("type") == value.type and value.type not in _PART_TYPES and value.type != "native":
            return dict(value.data)
        return {"type": "native", "name": value.type, "data": dict(value.data)}
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, list):
        return [_write(item) for item in value]
    return value


def _write_part(part: Any) -> dict[str, Any]:
    written: dict[str, Any] = {"type": _TYPE_NAMES[type(part)]}
    for alias, name in _NAMES[type(part)].items():
        value = getattr(part, name)
        if value is not None and value is not False and not (name == "verbatim" and not value):
            written[alias] = _write(value)
    written.update(part.extra or {})
    return written


def _write_message(message: Message) -> dict[str, Any]:
    written = {
        alias: _write(value)
        for alias, name in _NAMES[Message].items()
        if (value := getattr(message, name)) is not None and value is not False
    }
    written.update(message.extra or {})
    return written


def _read_part(written: Mapping[str, Any]) -> Any:
    part = _PART_TYPES.get(str(written.get("type")))
    if written.get("type") == "native" and isinstance(written.get("data"), Mapping):
        return Native(str(written.get("name")), dict(written["data"]))
    if part is None:
        return Native(str(written.get("type")), dict(written))
    names = _NAMES[part]
    known = {alias: written[alias] for alias in names if alias in written}
    if isinstance(known.get("data"), str):
        known["data"] = base64.b64decode(known["data"], validate=True)
    if part is ToolResult and isinstance(known.get("content"), list):
        known["content"] = [_read_part(item) for item in known["content"]]
    extra = {key: value for key, value in written.items() if key != "type" and key not in names}
    return part(**known, extra=extra or None)


def dump_part(part: Any) -> str:
    """One part of a message as JSON text."""
    return dumps_text(_write(part))


def load_part(text: str | bytes) -> Any:
    """What :func:`dump_part` wrote."""
    return _read_part(loads(text))


def _read_message(written: Any, _: type[Message]) -> Message:
    names = _NAMES[Message]
    known = {alias: written[alias] for alias in names if alias in written}
    content = known.get("content")
    known["content"] = [_read_part(part) for part in content] if isinstance(content, list) else content
    extra = {key: value for key, value in written.items() if key not in names}
    return Message(**known, extra=extra or None)


_COUNTS = tuple(one.name for one in fields(Usage) if one.name.endswith("_tokens"))


def write_usage(usage: Usage) -> dict[str, Any]:
    """A usage as JSON values: what is known of it, its cost among it."""
    written: dict[str, Any] = {name: n for name in _COUNTS if (n := getattr(usage, name)) is not None}
    if usage.cost is not None:
        written["cost"] = str(usage.cost)
    if usage.details:
        written["details"] = dict(usage.details)
    if usage.service_tier is not None:
        written["service_tier"] = usage.service_tier
    if usage.cost_is_minimum:
        written["cost_is_minimum"] = True
    return written


def read_usage(written: Mapping[str, Any]) -> Usage:
    """What :func:`write_usage` wrote; what is malformed is unknown."""
    counts: dict[str, Any] = {name: n for name in _COUNTS if isinstance(n := written.get(name), int)}
    try:
        cost = None if written.get("cost") is None else Decimal(str(written["cost"]))
    except InvalidOperation:
        cost = None
    found, tier = written.get("details"), written.get("service_tier")
    details = {str(name): n for name, n in found.items() if type(n) is int} if isinstance(found, Mapping) else None
    return Usage(
        **counts,
        cost=cost,
        details=details,
        service_tier=tier if isinstance(tier, str) else None,
        cost_is_minimum=written.get("cost_is_minimum") is True,
    )


@cache
def _make_converter() -> Converter:
    from cattrs.preconf.json import make_converter

    made = make_converter(omit_if_default=True)
    made.register_unstructure_hook(Message, _write_message)
    made.register_structure_hook(Message, _read_message)
    for part in (*_PART_TYPES.values(), Native):
        made.register_unstructure_hook(part, _write)
        made.register_structure_hook(part, lambda written, _: _read_part(written))
    made.register_structure_hook(Part, lambda written, _: _read_part(written))
    made.register_unstructure_hook(Usage, write_usage)
    made.register_structure_hook(Usage, lambda written, _: read_usage(written))
    made.register_unstructure_hook(Decimal, str)
    made.register_structure_hook(Decimal, lambda text, _: Decimal(str(text)))
    return made


def __getattr__(name: str) -> Any:
    """``converter`` is made when it is first asked for: conversations are read and written without it."""
    if name == "converter":
        return _make_converter()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)


def write_messages(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """Messages as JSON values."""
    return [_write_message(message) for message in messages]


def read_messages(written: Iterable[Any]) -> list[Message]:
    """What :func:`write_messages` wrote.

    Raises:
        InvalidRequestError: One of them is no message.
    """
    try:
        return [_read_message(one, Message) for one in written]
    except InvalidRequestError:
        raise
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise InvalidRequestError(f"A message of the conversation is malformed: {error}.") from error


def dump_conversation(messages: Any) -> str:
    """Write a conversation (anything ``chat`` takes) as JSON text.

    Raises:
        InvalidRequestError: It is not a conversation, or holds something that JSON cannot represent.
    """
    written = write_messages(to_messages(messages, waiting=True))
    try:
        return dumps_text({"format": FORMAT, "messages": written})
    except (TypeError, ValueError) as error:
        raise InvalidRequestError(f"The conversation cannot be written as JSON: {error}.") from error


def load_conversation(text: str | bytes | Mapping[str, Any] | list[Any]) -> list[Message]:
    """Read what :func:`dump_conversation` wrote, or a bare list of messages in OpenAI's form.

    Raises:
        InvalidRequestError: The text is not JSON or not a conversation.
    """
    if isinstance(text, (Mapping, list)):  # as a database returns JSON
        value: Any = text
    else:
        try:
            value = loads(text)
        except ValueError as error:
            raise InvalidRequestError(f"The conversation is not valid JSON: {error}.") from error
    if isinstance(value, list):
        return to_messages(value, waiting=True)
    if not isinstance(value, Mapping) or not isinstance(value.get("messages"), Iterable):
        raise InvalidRequestError("This JSON is not a conversation.", hint="Expected {'format': 1, 'messages': […]}.")
    return to_messages(read_messages(value["messages"]), waiting=True)
