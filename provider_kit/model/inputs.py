"""The public edge: what users pass becomes a :class:`ChatRequest`, or a clear error.

Strings, dicts in OpenAI's form and :class:`Message` objects are accepted, alone or in lists. Everything
is checked here, once, before a byte is sent; nothing behind this module checks again.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias, TypedDict

from attrs import evolve

from provider_kit.errors import InvalidRequestError
from provider_kit.model.chat import ChatRequest
from provider_kit.model.config import OnUnsupported, Timeout
from provider_kit.model.messages import (
    ROLES,
    Audio,
    Document,
    Image,
    Media,
    Message,
    Native,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    attachment,
    from_url,
)
from provider_kit.model.tools import Reasoning, ResponseFormat, Tool, ToolChoice

__all__ = ["ChatOptions", "Messages", "build_request", "nearest", "to_messages"]

#: What every verb takes as its conversation.
Messages: TypeAlias = str | Message | Mapping[str, Any] | Part | Sequence["str | Message | Mapping[str, Any] | Part"]


class ChatOptions(TypedDict, total=False):
    """Keyword arguments of ``chat``, ``achat``, ``stream`` and ``astream``. All are optional."""

    #: A question, as another way to pass one user message.
    prompt: str
    #: Model of this call; default: the client's.
    model: str
    #: System prompt, put before the conversation.
    system: str
    #: Paths, bytes, URLs or open files to attach to the last user message.
    files: Sequence[Any]
    temperature: float
    top_p: float
    top_k: int
    #: Most tokens of the answer, reasoning included.
    max_tokens: int
    #: Another name of ``max_tokens``.
    max_completion_tokens: int
    #: Another name of ``max_tokens``.
    max_output_tokens: int
    #: Texts that end the answer.
    stop: str | Sequence[str]
    seed: int
    presence_penalty: float
    frequency_penalty: float
    #: :class:`Tool` objects or dicts in OpenAI's form.
    tools: Sequence[Any]
    #: ``auto``, ``required``, ``none``, a tool's name, or a :class:`ToolChoice`.
    tool_choice: Any
    parallel_tool_calls: bool
    #: ``"json"``, a JSON Schema, or OpenAI's dict.
    response_format: Any
    #: ``none`` to ``max``, tokens to spend, or a :class:`Reasoning`.
    reasoning: Any
    #: Mark the conversation for prompt caching.
    cache: bool | str
    #: Your id of the end user.
    user: str
    metadata: Mapping[str, str]
    #: Seconds, or a :class:`Timeout`.
    timeout: float | Timeout
    #: Seconds for the whole call.
    total_timeout: float
    #: Fields merged into the request's body as they are.
    extra_body: Mapping[str, Any]
    extra_headers: Mapping[str, str]
    extra_query: Mapping[str, str]
    #: ``warn``, ``raise`` or ``drop`` what the model does not take.
    on_unsupported: OnUnsupported


_KNOWN = frozenset(ChatOptions.__annotations__)
_PLAIN = {
    "temperature": (int, float),
    "top_p": (int, float),
    "top_k": (int,),
    "max_tokens": (int,),
    "seed": (int,),
    "presence_penalty": (int, float),
    "frequency_penalty": (int, float),
    "parallel_tool_calls": (bool,),
    "user": (str,),
    "cache": (bool, str),
}
_MAPPINGS = ("metadata", "extra_body", "extra_headers", "extra_query")


def nearest(word: str, known: Iterable[str]) -> str:
    """The most similar known words as a phrase for a hint, or an empty string."""
    close = difflib.get_close_matches(word, sorted(known), n=3, cutoff=0.5)
    return f"Did you mean {' or '.join(repr(name) for name in close)}? " if close else ""


def build_request(
    messages: Any, options: Mapping[str, Any], *, default_model: str | None, defaults: Mapping[str, Any]
) -> ChatRequest:
    """Check and normalise the arguments of a call.

    Args:
        messages: What the user passed first.
        options: The keyword arguments of the call.
        default_model: The client's model.
        defaults: The client's own keyword arguments; those of the call win.

    Raises:
        InvalidRequestError: Something is wrong; the text and hint say what.
    """
    if not options.keys() <= _KNOWN:
        check_options(options)
    get: Callable[[str], Any] = options.get if not defaults else {**defaults, **options}.get
    model = get("model") or default_model
    if not model:
        raise InvalidRequestError(
            "No model is given.", hint="Pass model=, or make the client with one: Client('openai/gpt-5-mini')."
        )
    if not isinstance(model, str):
        raise InvalidRequestError(f"model must be a string, not {model!r}.")
    if messages is None:
        messages = get("prompt")
    elif get("prompt") is not None:
        raise InvalidRequestError("Both messages and prompt are given.", hint="Pass one of them.")
    conversation = to_messages(messages)
    if (files := get("files")) is not None:
        conversation = _attach(conversation, files)
    if (system := get("system")) is not None:
        if not isinstance(system, str):
            raise InvalidRequestError(f"system must be a string, not {type(system).__name__}.")
        conversation.insert(0, Message("system", _bare(system)))
    request = ChatRequest(model=model, messages=conversation)
    for name in options if not defaults else {**defaults, **options}:
        kinds = _PLAIN.get(name)
        if kinds is not None:
            value = get(name)
            if value is not None:
                if type(value) not in kinds and not _is_a(value, kinds):
                    raise InvalidRequestError(
                        f"{name} must be {' or '.join(t.__name__ for t in kinds)}, not {value!r}."
                    )
                setattr(request, name, value)
        elif name in _NORMALISE:
            value = get(name)
            if value is not None:
                _NORMALISE[name](request, value)
    if (choice := get("tool_choice")) is not None:
        request.tool_choice = ToolChoice.parse(choice, request.tools)
    if request.max_tokens is not None and request.max_tokens < 0:
        raise InvalidRequestError(f"max_tokens must not be negative, but is {request.max_tokens}.")
    return request


def _is_a(value: Any, kinds: tuple[type, ...]) -> bool:
    return isinstance(value, kinds) and not (isinstance(value, bool) and bool not in kinds)


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse unknown keyword arguments, naming the nearest known ones."""
    for name in options:
        if name not in _KNOWN:
            raise InvalidRequestError(
                f"Unknown argument {name!r}.",
                hint=nearest(name, _KNOWN) + "Fields only your provider knows go into extra_body={…}.",
            )


def _max_tokens(request: ChatRequest, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidRequestError(f"max_tokens must be a whole number, not {value!r}.")
    request.max_tokens = value


def _stop(request: ChatRequest, value: Any) -> None:
    stop = [value] if isinstance(value, str) else list(value) if isinstance(value, Iterable) else [value]
    if not all(isinstance(text, str) and text for text in stop):
        raise InvalidRequestError("stop must be a string or a list of strings, none of them empty.")
    request.stop = stop or None


def _tools(request: ChatRequest, value: Any) -> None:
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        raise InvalidRequestError("tools must be a list.", hint="tools=[Tool('get_time', 'Tells the time')].")
    request.tools = [Tool.parse(tool) for tool in value] or None


def _response_format(request: ChatRequest, value: Any) -> None:
    request.response_format = ResponseFormat.parse(value)


def _reasoning(request: ChatRequest, value: Any) -> None:
    request.reasoning = Reasoning.parse(value)


def _mapping(name: str) -> Callable[[ChatRequest, Any], None]:
    def set_mapping(request: ChatRequest, value: Any) -> None:
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise InvalidRequestError(f"{name} must be a dict with string keys, not {value!r}.")
        setattr(request, name, dict(value))

    return set_mapping


_NORMALISE: dict[str, Callable[[ChatRequest, Any], None]] = {
    "max_completion_tokens": _max_tokens,
    "max_output_tokens": _max_tokens,
    "stop": _stop,
    "tools": _tools,
    "response_format": _response_format,
    "reasoning": _reasoning,
    **{name: _mapping(name) for name in _MAPPINGS},
}


# ------------------------------------------------------------------------------------------------ conversation


def to_messages(value: Any) -> list[Message]:
    """Turn what a user passed into a checked conversation; the caller owns the returned list.

    Raises:
        InvalidRequestError: It is empty, holds something that is no message, or its turns are in an
            order every provider refuses (a tool result without its call, a call without its result).
    """
    if type(value) is list:
        pass
    elif isinstance(value, str):
        if not value.strip():
            raise InvalidRequestError("The prompt is empty.", hint="Write something to the model.")
        return [Message("user", _bare(value))]
    elif isinstance(value, (Message, Mapping, Media, Text)):
        value = [value]
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
    _check_turns(messages, special)
    return messages


#: A string without its subclass (Django's ``SafeString``), for the dialects compare types.
_bare: Callable[[str], str] = str.__str__


def _message_from_other(item: Any, before: list[Message]) -> Message:
    if isinstance(item, str):
        return Message("user", _bare(item))
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


def _check_turns(messages: list[Message], special: bool) -> None:
    if not messages:
        raise InvalidRequestError("The list of messages is empty.", hint="Pass at least one user message.")
    for message in messages:
        if message.role != "system" and message.role != "developer":
            break
    else:
        raise InvalidRequestError("There are only system messages.", hint="Add a user message.")
    if not special:
        for message in messages:
            if message.role not in ROLES:
                raise _unknown_role(message.role)
        return
    open_calls: dict[str, str] = {}
    for position, message in enumerate(messages):
        if message.role not in ROLES:
            raise _unknown_role(message.role)
        if isinstance(message.content, str):
            if type(message.content) is not str:
                messages[position] = evolve(message, content=_bare(message.content))
            if message.role == "tool":
                raise InvalidRequestError(
                    f"Message {position} has the role 'tool' but does not say which call it answers.",
                    hint="Add 'tool_call_id', or use Message.tool(call.id, result).",
                )
            _check_answered(open_calls, position)
            continue
        if not isinstance(message.content, list):
            raise InvalidRequestError(
                f"Message {position}: content must be a string or a list of parts, "
                f"not {type(message.content).__name__}."
            )
        answers = False
        for part in message.content:
            if type(part) is ToolResult:
                answers = True
                if part.tool_call_id not in open_calls:
                    raise InvalidRequestError(
                        f"Message {position} answers the tool call {part.tool_call_id!r}, "
                        "which no message before it made.",
                        hint="Put the assistant message with the tool calls (response.message) before its results.",
                    )
                del open_calls[part.tool_call_id]
        if not answers:
            _check_answered(open_calls, position)
        for part in message.content:
            if type(part) is ToolCall:
                open_calls[part.id] = part.name
    _check_answered(open_calls, len(messages))


def _check_answered(open_calls: dict[str, str], position: int) -> None:
    if open_calls:
        call_id, name = next(iter(open_calls.items()))
        raise InvalidRequestError(
            f"The tool call {call_id!r} ({name}) is not answered before message {position}.",
            hint="After an assistant message with tool calls, append a result for each: Message.tool(call.id, result).",
        )


def _unknown_role(role: Any) -> InvalidRequestError:
    known = sorted(ROLES)
    return InvalidRequestError(
        f"Unknown role {role!r}.", hint=nearest(str(role), known) + f"Roles are {', '.join(known)}."
    )


def _attach(messages: list[Message], files: Any) -> list[Message]:
    if isinstance(files, (str, bytes)) or not isinstance(files, Iterable):
        files = [files]
    parts = [attachment(file) for file in files]
    for index in range(len(messages) - 1, -1, -1):
        if messages[index].role == "user":
            last = messages[index]
            messages[index] = Message("user", [*last.parts, *parts], name=last.name, extra=last.extra)
            return messages
    return [*messages, Message("user", parts)]


# ------------------------------------------------------------------------------------------------ OpenAI's dicts

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
    extra = {key: value for key, value in item.items() if key not in _MESSAGE_KEYS} or None
    content = item.get("content")
    if role == "tool":
        return Message(role, [_tool_result(item, content, extra)])
    parts = _parts(content)
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
    for position, call in enumerate(item.get("tool_calls") or ()):
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
        raise InvalidRequestError(f"The part of type {kind!r} lacks {error}.") from error
    mark = part.get("cache_control")
    if isinstance(mark, Mapping) and isinstance(made, (Text, Media)):
        made.cache = mark.get("ttl") or True
    return made


def _read_text(part: Mapping[str, Any]) -> Part:
    extra = {k: v for k, v in part.items() if k not in ("type", "text", "cache_control", "annotations")} or None
    return Text(str(part["text"]), extra=extra)


def _read_image(part: Mapping[str, Any]) -> Part:
    image = part["image_url"]
    if isinstance(image, str):
        image = {"url": image}
    return from_url(image["url"], kind=Image, detail=image.get("detail"))


def _read_audio(part: Mapping[str, Any]) -> Part:
    audio = part["input_audio"]
    suffix = audio.get("format", "wav")
    return from_url(f"data:audio/{'mpeg' if suffix == 'mp3' else suffix};base64,{audio['data']}", kind=Audio)


def _read_file(part: Mapping[str, Any]) -> Part:
    file = part["file"]
    if file.get("file_id"):
        return Document(file_id=file["file_id"], filename=file.get("filename"))
    return from_url(file["file_data"], kind=Document, filename=file.get("filename"))


_PART_READERS: dict[str, Callable[[Mapping[str, Any]], Part]] = {
    "text": _read_text,
    "input_text": _read_text,
    "output_text": _read_text,
    "refusal": lambda part: Refusal(str(part.get("refusal") or "")),
    "image_url": _read_image,
    "input_image": _read_image,
    "input_audio": _read_audio,
    "file": _read_file,
}
