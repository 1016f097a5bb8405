"""Checks what users pass and turns it into a :class:`ChatRequest`, or raises a clear error.

Strings, dicts in OpenAI's form and :class:`Message` objects are accepted, alone or in lists. Everything is checked
here, once, before anything is sent; no later code checks again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isfinite
from typing import Any, TypeAlias

from provider_kit.errors import InvalidRequestError
from provider_kit.model.call_options import ChatOptions, OutputOptions
from provider_kit.model.chat import ChatRequest
from provider_kit.model.config import CONFIG_FIELDS
from provider_kit.model.conversation import attach_files, bare_text, to_messages
from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.model.messages import Message, Part
from provider_kit.model.other_libraries import instead_of_argument
from provider_kit.model.tools import Reasoning, ResponseFormat, Tool, ToolChoice

__all__ = [
    "CALL_OPTIONS",
    "RUN_OPTIONS",
    "Messages",
    "build_request",
    "check_correlation_id",
    "check_options",
    "open_conversation",
]

#: What every method takes as its conversation.
Messages: TypeAlias = str | Message | Mapping[str, Any] | Part | Sequence["str | Message | Mapping[str, Any] | Part"]


_KNOWN = frozenset(ChatOptions.__annotations__)
#: Arguments of calls with an ``output_type``.
_OF_OUTPUT = frozenset(OutputOptions.__annotations__) - _KNOWN
#: Arguments of runs.
RUN_OPTIONS = frozenset(
    (
        *("deps", "max_steps", "budget", "decisions", "before_step", "after_step", "on_tool_error", "ledger"),
        *("tool_timeout", "max_parallel_tools"),
    )
)
#: Arguments that do not concern the request.
CALL_OPTIONS = frozenset(
    (
        *("timeout", "total_timeout", "response_cache", "on_unsupported", "cancel", "fallback"),
        *("correlation_id", "tags", "extension_config", "middleware"),
    )
)
#: Arguments of clients that are often passed to calls by mistake.
_OF_CLIENTS = CONFIG_FIELDS | {
    "auth",
    "retry",
    "rate_limiter",
    "on_event",
    "plugins",
    "session",
    "async_session",
    "transport",
}
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
    "verbosity": (str,),
    "cache": (bool, str),
    "cache_key": (str,),
}
_KINDS = {
    (int, float): "a number",
    (int,): "a whole number",
    (bool,): "True or False",
    (str,): "a text",
    (bool, str): "True, False, or a text such as '5m'",
}
#: Characters of a correlation id.
_LONGEST_ID = 200
_MAPPINGS = ("metadata", "extra_body", "extra_headers", "extra_query")


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
        InvalidRequestError: An argument is wrong; the message and the hint say which.
    """
    if not options.keys() <= _KNOWN:
        check_options(options)
    given = {**defaults, **options} if defaults else options
    get: Callable[[str], Any] = given.get
    model = get("model") or default_model
    if not model:
        raise InvalidRequestError(
            "No model is given.", hint="Pass model=, or create the client with one: Client('openai/gpt-5-mini')."
        )
    if not isinstance(model, str):
        raise InvalidRequestError(f"model must be a string, not {model!r}.")
    if messages is None:
        messages = get("prompt")
    elif get("prompt") is not None:
        raise InvalidRequestError("Both messages and prompt are given.", hint="Pass one of them.")
    if type(messages) is str and messages and not messages.isspace():  # the common case
        conversation = [Message("user", messages)]
    else:
        conversation = to_messages(messages)
    if not given:
        return ChatRequest(model=model, messages=conversation)
    if (files := get("files")) is not None:
        conversation = attach_files(conversation, files)
    if (system := get("system")) is not None:
        if not isinstance(system, str):
            raise InvalidRequestError(f"system must be a string, not {type(system).__name__}.")
        conversation.insert(0, Message("system", bare_text(system)))
    request = ChatRequest(model=model, messages=conversation)
    for name in given:
        kinds = _PLAIN.get(name)
        if kinds is not None:
            value = get(name)
            if value is not None:
                if type(value) not in kinds and not _is_a(value, kinds):
                    raise InvalidRequestError(f"{name} must be {_KINDS[kinds]}, not {value!r}.")
                if type(value) is float and not isfinite(value):
                    raise InvalidRequestError(f"{name} must be a finite number, not {value!r}.")
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


def open_conversation(messages: Any, options: dict[str, Any]) -> list[Message]:
    """The conversation of a call, with its prompt and files; they are taken out of the options.

    What asks more than once builds it once, so that files are read and attached once.

    Raises:
        InvalidRequestError: It is no conversation.
    """
    prompt, files = options.pop("prompt", None), options.pop("files", None)
    if messages is None:
        messages = prompt
    elif prompt is not None:
        raise InvalidRequestError("Both messages and prompt are given.", hint="Pass one of them.")
    conversation = to_messages(messages, waiting=True)
    return conversation if files is None else attach_files(conversation, files)


def _is_a(value: Any, kinds: tuple[type, ...]) -> bool:
    return isinstance(value, kinds) and not (isinstance(value, bool) and bool not in kinds)


def check_options(options: Mapping[str, Any], *, runs: bool = False, typed: bool = False) -> None:
    """Refuse unknown keyword arguments and suggest similar names.

    Args:
        options: The keyword arguments.
        runs: Whether those of runs are allowed.
        typed: Whether those of typed answers are allowed.

    Raises:
        InvalidRequestError: One of them is unknown.
    """
    for name in options:
        if name not in _KNOWN and not (runs and name in RUN_OPTIONS) and not (typed and name in _OF_OUTPUT):
            raise InvalidRequestError(f"Unknown argument {name!r}.", hint=_instead_of(name))


def _instead_of(name: str) -> str:
    meant = instead_of_argument(name, _KNOWN | RUN_OPTIONS | _OF_OUTPUT)
    if meant:
        return meant
    if name in _OF_OUTPUT:
        return "It belongs to a call with output_type=…"
    if name in RUN_OPTIONS:
        return f"chat() and stream() never call functions: client.run(…, {name}=…) does."
    if name in _OF_CLIENTS:
        one_user = f", or client.with_options({name}=…) for one user" if name in ("api_key", "api_keys", "auth") else ""
        return f"It is an argument of the client: Client('…', {name}=…){one_user}."
    return did_you_mean(name, _KNOWN) + "Fields only your provider knows go into extra_body={…}."


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
    request.tools = tools = [Tool.parse(tool) for tool in value] or None
    names = [tool.name for tool in tools or () if tool.native is None]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidRequestError(f"Two tools have the name {twice!r}.", hint="Give each tool a distinct name.")


def _response_format(request: ChatRequest, value: Any) -> None:
    request.response_format = ResponseFormat.parse(value)


def _reasoning(request: ChatRequest, value: Any) -> None:
    request.reasoning = Reasoning.parse(value)


def _response_cache(request: ChatRequest, value: Any) -> None:
    if not isinstance(value, bool):
        raise InvalidRequestError(
            f"response_cache of a call must be True or False, not {value!r}.",
            hint="The cache itself is an argument of the client: Client('…', response_cache='answers.db').",
        )


def _fallback(request: ChatRequest, value: Any) -> None:
    if not isinstance(value, bool):
        raise InvalidRequestError(f"fallback of a call must be True or False, not {value!r}.")


def check_correlation_id(value: object) -> str:
    """A correlation id that can be sent as a header.

    Raises:
        InvalidRequestError: It cannot.
    """
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_ID or not (value.isascii() and value.isprintable()):
        raise InvalidRequestError(
            f"A correlation id must be 1 to {_LONGEST_ID} printable ASCII characters, not {str(value)[:60]!r}.",
            hint="correlation_id='order-4711'.",
        )
    return value


def _correlation_id(request: ChatRequest, value: Any) -> None:
    check_correlation_id(value)


def _tags(request: ChatRequest, value: Any) -> None:
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(tag, str) for tag in value):
        raise InvalidRequestError(f"tags must be a list of texts, not {value!r}.", hint="tags=['invoices', 'nightly'].")


def _extension_config(request: ChatRequest, value: Any) -> None:
    if not isinstance(value, Mapping) or not all(isinstance(one, Mapping) for one in value.values()):
        raise InvalidRequestError(
            f"extension_config must be a dict of dicts, not {value!r}.",
            hint="extension_config={'budget': {'key': 'team-a'}}: the name of a plugin, and its settings.",
        )


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
    "response_cache": _response_cache,
    "correlation_id": _correlation_id,
    "tags": _tags,
    "extension_config": _extension_config,
    "fallback": _fallback,
    **{name: _mapping(name) for name in _MAPPINGS},
}
