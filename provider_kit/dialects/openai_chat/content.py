"""The content of a message of the chat API, complete or streamed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import define, field

from provider_kit.dialects.assembly import OpenCall, tool_finish, with_distinct_ids
from provider_kit.dialects.generated import read_audio, read_image
from provider_kit.dialects.openai_usage import as_object
from provider_kit.model.json_text import text_of_received
from provider_kit.model.messages import Native, Part, Refusal, Text, Thinking, ToolCall

__all__ = [
    "Content",
    "arguments_of",
    "as_list",
    "call_extra",
    "call_id",
    "finish_of",
    "index_of",
    "is_custom",
    "linked_sources",
    "read_content",
    "reasoning_of",
    "whole_calls",
    "whole_message",
]

_FINISH = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "safety": "content_filter",
    "error": "error",
    "insufficient_system_resource": "error",
}
_PICTURES = ("image_url", "output_image", "image")


def finish_of(raw: Any, has_calls: bool) -> Any:
    """Map a server's finish reason to the common one."""
    return tool_finish(_FINISH.get(raw, "other") if isinstance(raw, str) else "other", has_calls)


def as_list(value: Any) -> list[Any]:
    """The value if it is a list, else an empty one."""
    return value if type(value) is list else []


@define
class Content:
    """A content that may be a string or a list of chunks, sorted by kind."""

    text: str = ""
    thinking: str = ""
    #: Chunks of thinking as received, for servers that need them back.
    chunks: list[dict[str, Any]] = field(factory=list)
    #: Images, and chunks this library does not know.
    parts: list[Part] = field(factory=list)
    notes: list[dict[str, Any]] = field(factory=list)


def read_content(value: Any) -> Content:
    """Sort a content by kind."""
    found = Content()
    if isinstance(value, str):
        found.text = value
        return found
    text: list[str] = []
    thinking: list[str] = []
    for item in value if isinstance(value, list) else ():
        if isinstance(item, str):
            text.append(item)
        elif isinstance(item, dict):
            kind = item.get("type")
            if kind == "thinking":
                found.chunks.append(dict(item))
                inner = item.get("thinking")
                thinking.append(inner if isinstance(inner, str) else _texts(inner))
            elif isinstance(item.get("text"), str):
                text.append(item["text"])
                found.notes.extend(note for note in as_list(item.get("annotations")) if isinstance(note, dict))
            elif kind in _PICTURES:
                picture = read_image(item)
                if picture is not None:
                    found.parts.append(picture)
            elif kind == "reference":  # Mistral's sources
                found.notes.append(dict(item))
            elif kind and len(item) > 1:
                found.parts.append(Native(str(kind), dict(item)))
    found.text, found.thinking = "".join(text), "".join(thinking)
    return found


def _texts(value: Any) -> str:
    """The texts of a list of chunks, nested ones excluded."""
    return "".join(
        item if isinstance(item, str) else item["text"]
        for item in as_list(value)
        if isinstance(item, str) or (isinstance(item, dict) and isinstance(item.get("text"), str))
    )


def reasoning_of(message: Mapping[str, Any]) -> str:
    """The reasoning, whatever its field is called."""
    for name in ("reasoning_content", "reasoning", "thinking"):
        value = message.get(name)
        if isinstance(value, str) and value:
            return value
    details = message.get("reasoning_details")
    if details and isinstance(details, list):
        return "".join(str(item.get("text") or item.get("summary") or "") for item in details if isinstance(item, dict))
    return ""


def linked_sources(payload: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Sources sent alongside the answer (Perplexity), in the form of OpenAI's annotations."""
    links = payload.get("citations")
    return [
        {"type": "url_citation", "url_citation": {"url": link}} if isinstance(link, str) else link
        for link in as_list(links)
        if link and isinstance(link, (str, dict))
    ]


def whole_message(message: Mapping[str, Any], sources: list[dict[str, Any]]) -> tuple[str | list[Part], list[ToolCall]]:
    """The content of a message that is more than plain text, and the tool calls in it."""
    found = read_content(message.get("content"))
    thinking = found.thinking or reasoning_of(message)
    refusal = message.get("refusal")
    calls = whole_calls(message)
    parts = found.parts + [part for item in as_list(message.get("images")) if (part := read_image(item)) is not None]
    spoken = read_audio(message.get("audio"))
    if spoken is not None:
        parts.append(spoken)
    notes = [
        *found.notes,
        *(note for note in as_list(message.get("annotations")) if isinstance(note, dict)),
        *sources,
    ]
    if not (thinking or refusal or calls or found.chunks or parts or notes):
        return found.text, calls
    content: list[Part] = []
    if thinking or found.chunks:
        content.append(Thinking(thinking, native=found.chunks[0] if len(found.chunks) == 1 else None))
    if found.text or notes:
        content.append(Text(found.text, extra={"annotations": notes} if notes else None))
    content.extend(parts)
    if refusal:
        content.append(Refusal(str(refusal)))
    content.extend(calls)
    return content, calls


def arguments_of(value: Any) -> str:
    """Arguments as JSON text, whatever their form."""
    if isinstance(value, str):
        return value
    return "" if value is None else text_of_received(value)


def is_custom(item: Mapping[str, Any]) -> bool:
    """Whether a call is of a custom tool; some servers add an empty ``custom`` to each function."""
    custom = item.get("custom")
    return isinstance(custom, dict) and any(custom.values()) and not any(as_object(item.get("function")).values())


def whole_calls(message: Mapping[str, Any]) -> list[ToolCall]:
    """The tool calls of a complete message."""
    calls: list[ToolCall] = []
    for item in as_list(message.get("tool_calls")):
        if not isinstance(item, dict):
            continue
        if is_custom(item):
            custom = item["custom"]
            call = OpenCall(0, call_id(item), str(custom.get("name") or ""), [arguments_of(custom.get("input"))])
            call.native = dict(item)
        else:
            function = as_object(item.get("function"))
            arguments = arguments_of(function.get("arguments"))
            arguments = "" if arguments.strip() == "null" else arguments
            if not (arguments or function.get("name") or call_id(item)):
                continue  # an empty entry, not a call
            call = OpenCall(0, call_id(item), str(function.get("name") or ""), [arguments])
            call.extra = call_extra(item)
        calls.append(call.close())
    legacy = message.get("function_call")
    if isinstance(legacy, dict) and legacy.get("name") and not calls:
        calls.append(OpenCall(0, None, str(legacy["name"]), [arguments_of(legacy.get("arguments"))]).close())
    return with_distinct_ids(calls)


def call_id(item: Mapping[str, Any]) -> str | None:
    """The id of a call, if it has one."""
    value = item.get("id")
    return str(value) if value and value != "null" else None


def index_of(item: Mapping[str, Any]) -> int | None:
    """The index of a call, if the server sends it."""
    index = item.get("index")
    if isinstance(index, str) and index.isascii() and index.isdecimal() and len(index) < 6:
        return int(index)
    return index if type(index) is int else None


def call_extra(item: Mapping[str, Any]) -> dict[str, Any] | None:
    """Google puts the thought signature of a call under ``extra_content``; it must be sent back there."""
    extra = item.get("extra_content")
    return {"extra_content": extra} if extra else None
