"""Messages in OpenAI's form (dicts) as :class:`Message` objects.

What is not understood is kept: unknown fields in ``extra``, unknown parts as :class:`Native`.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from provider_kit.errors import InvalidRequestError
from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.model.media import Audio, Document, Image, Media, from_url
from provider_kit.model.messages import Message, Native, Part, Refusal, Text, Thinking, ToolCall, ToolResult

__all__ = ["message_from_dict", "parts_of"]

_MESSAGE_KEYS = frozenset(
    {"role", "content", "name", "tool_calls", "tool_call_id", "refusal", "function_call", "annotations", "audio"}
)


def message_from_dict(item: Mapping[str, Any]) -> Message:
    """Read a message in OpenAI's form. Unknown fields are kept in ``extra`` and sent as they are."""
    role = item.get("role")
    if not isinstance(role, str):
        raise InvalidRequestError(
            "A message has no role.",
            hint="{'role': 'user', 'content': 'Hello'}; roles are user, assistant, system, tool.",
        )
    if role == "function":
        role = "tool"
    if "content" not in item and role not in ("assistant", "tool"):
        raise InvalidRequestError(
            f"A message of the role {role!r} has no content.",
            hint=did_you_mean("content", [key for key in item if key != "role"])
            .replace("Did you mean", "Misspelt:")
            .strip()
            or "{'role': 'user', 'content': 'Hello'}",
        )
    extra = {key: value for key, value in item.items() if key not in _MESSAGE_KEYS} or None
    if isinstance(item.get("audio"), Mapping) and item["audio"].get("id"):
        extra = {**(extra or {}), "audio": {"id": item["audio"]["id"]}}
    content = item.get("content")
    if content is None and role not in ("assistant", "tool"):
        raise InvalidRequestError(
            f"The content of a message of the role {role!r} is None.", hint="{'role': 'user', 'content': 'Hello'}"
        )
    if role == "tool":
        return Message(role, [_tool_result(item, content, extra)])
    parts = _parts(content)
    if not parts and content == [] and role != "assistant":
        raise InvalidRequestError(
            f"The content of a message of the role {role!r} is an empty list.", hint="Leave the message out."
        )
    if role == "assistant":
        thinking = item.get("reasoning_content") or item.get("reasoning")
        if isinstance(thinking, str) and thinking:
            parts.insert(0, Thinking(thinking))
            extra = {k: v for k, v in (extra or {}).items() if k not in ("reasoning_content", "reasoning")} or None
        if item.get("refusal"):
            parts.append(Refusal(str(item["refusal"])))
        parts.extend(_tool_calls(item))
    plain = len(parts) == 1 and type(parts[0]) is Text and isinstance(content, str)
    return Message(role, content if plain else parts, name=item.get("name"), extra=extra)  # type: ignore[arg-type]  # plain means str


def _tool_result(item: Mapping[str, Any], content: Any, extra: dict[str, Any] | None) -> ToolResult:
    call_id = item.get("tool_call_id") or item.get("name")
    if not isinstance(call_id, str):
        raise InvalidRequestError(
            "A message with the role 'tool' has no tool_call_id.", hint="Copy it from the tool call it answers."
        )
    value = "" if content is None else content if isinstance(content, str) else _parts(content)
    return ToolResult(call_id, value, name=item.get("name"), extra=extra)


def _tool_calls(item: Mapping[str, Any]) -> list[ToolCall]:
    calls = []
    legacy = item.get("function_call")
    given = item.get("tool_calls") or ()
    if not isinstance(given, (list, tuple)):
        raise InvalidRequestError(f"tool_calls must be a list, not {type(given).__name__}.")
    for position, call in enumerate(given):
        function = call.get("function") if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping):
            if isinstance(call, ToolCall):
                calls.append(call)
                continue
            custom = call.get("custom") if isinstance(call, Mapping) else None
            if isinstance(custom, Mapping):
                calls.append(
                    ToolCall(str(call.get("id")), str(custom.get("name")), custom.get("input"), native=dict(call))
                )
                continue
            raise InvalidRequestError(
                f"Tool call {position} has no function.",
                hint="{'id': …, 'type': 'function', 'function': {'name': …, 'arguments': …}}",
            )
        extra = {k: v for k, v in call.items() if k not in ("id", "type", "function", "index")} or None
        calls.append(
            ToolCall(
                call.get("id") or f"call_{position}",
                str(function.get("name", "")),
                function.get("arguments"),
                local_id=not call.get("id"),
                extra=extra,
            )
        )
    if isinstance(legacy, Mapping):
        calls.append(ToolCall(str(legacy.get("name")), str(legacy.get("name")), legacy.get("arguments"), local_id=True))
    return calls


def parts_of(content: Any) -> list[Part]:
    """Convert content to parts: a string, or a list of strings, dicts and parts.

    Raises:
        InvalidRequestError: Something in it is none of these.
    """
    return _parts(content)


def _parts(content: Any) -> list[Part]:
    if content is None:
        return []
    if isinstance(content, str):
        return [Text(content)] if content else []
    if isinstance(content, Mapping) or not isinstance(content, Iterable):
        raise InvalidRequestError(
            f"content must be a string or a list of parts, not {type(content).__name__}.",
            hint="{'role': 'user', 'content': [{'type': 'text', 'text': 'Hello'}]}",
        )
    return [_part(part) for part in content]


def _part(part: Any) -> Part:
    if isinstance(part, str):
        return Text(part)
    if isinstance(part, (Text, Media, ToolCall, ToolResult, Thinking, Refusal, Native)):
        return part  # type: ignore[return-value]  # Media itself is never instantiated by users
    if not isinstance(part, Mapping):
        raise InvalidRequestError(
            f"A part of a message must be a dict or a part, not {type(part).__name__}.",
            hint="Text('…'), Image.from_path('photo.png'), or {'type': 'text', 'text': '…'}.",
        )
    kind = part.get("type")
    reader = _PART_READERS.get(str(kind))
    try:
        made = reader(part) if reader else Native(str(kind), dict(part))
    except (KeyError, TypeError, AttributeError) as error:
        lacks = f"lacks {error}" if isinstance(error, KeyError) else "is malformed"
        raise InvalidRequestError(f"The part of type {kind!r} {lacks}.") from error
    mark = part.get("cache_control")
    if isinstance(mark, Mapping) and isinstance(made, (Text, Media)):
        made.cache = mark.get("ttl") or True
    return made


def _read_text(part: Mapping[str, Any]) -> Part:
    extra = {k: v for k, v in part.items() if k not in ("type", "text", "cache_control", "annotations")} or None
    text = part["text"]
    if not isinstance(text, str):
        raise InvalidRequestError(f"The text of a part must be a string, not {text!r}.")
    return Text(text, extra=extra)


def _read_image(part: Mapping[str, Any]) -> Part:
    if part.get("file_id") and not part.get("image_url"):
        return Image(file_id=part["file_id"], detail=part.get("detail"))
    image = part["image_url"]
    if isinstance(image, str):
        image = {"url": image}
    if image.get("file_id") and not image.get("url"):
        return Image(file_id=image["file_id"], detail=image.get("detail") or part.get("detail"))
    return from_url(image["url"], kind=Image, detail=image.get("detail") or part.get("detail"))


def _read_audio(part: Mapping[str, Any]) -> Part:
    audio = part["input_audio"]
    suffix = audio.get("format", "wav")
    return from_url(f"data:audio/{'mpeg' if suffix == 'mp3' else suffix};base64,{audio['data']}", kind=Audio)


def _read_file(part: Mapping[str, Any]) -> Part:
    """``{"type": "file", "file": {…}}`` of the chat API, or ``input_file`` of the Responses API, which is flat."""
    file = part["file"] if part.get("type") == "file" else part
    name, detail = file.get("filename"), file.get("detail")
    if file.get("file_id"):
        return Document(file_id=file["file_id"], filename=name, detail=detail)
    data = file.get("file_data") or file["file_url"]
    if not data.startswith(("data:", "http://", "https://")):
        data = f"data:{mimetypes.guess_type(name or '')[0] or 'application/pdf'};base64,{data}"
    return from_url(data, kind=Document, filename=name, detail=detail)


_PART_READERS: dict[str, Callable[[Mapping[str, Any]], Part]] = {
    "text": _read_text,
    "input_text": _read_text,
    "output_text": _read_text,
    "refusal": lambda part: Refusal(str(part.get("refusal") or "")),
    "image_url": _read_image,
    "input_image": _read_image,
    "input_audio": _read_audio,
    "file": _read_file,
    "input_file": _read_file,
}
