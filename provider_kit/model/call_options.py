"""The keyword arguments of calls: their types, and what each is, for type checkers and editors."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict

from provider_kit.model.cancellation import CancelToken
from provider_kit.model.config import OnUnsupported, Timeout
from provider_kit.model.files import UploadedFile
from provider_kit.model.media import Media
from provider_kit.model.tools import Effort, Reasoning, ResponseFormat, Tool, ToolChoice

if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["ChatOptions", "FileLike", "OutputOptions", "ToolLike"]

#: What can be attached: a path, an ``http(s)://`` or ``data:`` URL, bytes, an open binary file, a part, an uploaded
#: file.
FileLike: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | Media | UploadedFile
#: What can be a tool: a function, a :class:`Tool`, or a dict in the form of OpenAI, Anthropic or Gemini.
ToolLike: TypeAlias = Callable[..., Any] | Tool | Mapping[str, Any]
#: How the answer is formed.
FormatLike: TypeAlias = Literal["text", "json"] | ResponseFormat | Mapping[str, Any]
#: How much a model thinks before it answers.
ReasoningLike: TypeAlias = Effort | Literal["default"] | bool | int | Reasoning | Mapping[str, Any]


class ChatOptions(TypedDict, total=False):
    """Keyword arguments of ``chat``, ``achat``, ``stream`` and ``astream``. All are optional."""

    prompt: str
    """A question, as another way to pass one user message."""
    model: str
    """Model of this call; default: the client's."""
    system: str
    """System prompt, put before the conversation."""
    files: FileLike | Sequence[FileLike]
    """Paths, bytes, URLs or open files to attach to the last user message."""
    temperature: float
    """Randomness: 0 for the likeliest words, up to 1 or 2 for more variety."""
    top_p: float
    """Only the likeliest words that make up this share, 0 to 1."""
    top_k: int
    """Only this many of the likeliest words."""
    max_tokens: int
    """Most tokens of the answer, reasoning included."""
    max_completion_tokens: int
    """Alias of ``max_tokens``."""
    max_output_tokens: int
    """Alias of ``max_tokens``."""
    stop: str | Sequence[str]
    """Texts that end the answer."""
    seed: int
    """The same seed and request give the same answer, as far as the provider can."""
    presence_penalty: float
    """Above 0: fewer words that have appeared."""
    frequency_penalty: float
    """Above 0: fewer words that have appeared often."""
    tools: Sequence[ToolLike]
    """Functions, :class:`Tool` objects, or dicts in the form of a provider."""
    tool_choice: Literal["auto", "required", "none"] | str | ToolChoice | Mapping[str, Any]
    """``auto``, ``required``, ``none``, a tool's name, or a :class:`ToolChoice`."""
    parallel_tool_calls: bool
    """Whether the model may call several tools at once."""
    response_format: FormatLike
    """``"json"``, a JSON Schema, or OpenAI's dict."""
    reasoning: ReasoningLike
    """An effort from ``none`` to ``max``, a number of tokens, or a :class:`Reasoning`."""
    verbosity: Literal["low", "medium", "high"] | str
    """Length of the answer: ``low``, ``medium`` or ``high``."""
    cache: bool | str
    """Cache the beginning of the conversation at the provider: ``True``, or a time to live: ``"5m"``, ``"1h"``."""
    cache_key: str
    """Requests with the same key find the same cache, where the provider has such keys; conversations set one."""
    user: str
    """Your id of the end user."""
    metadata: Mapping[str, str]
    """Notes that the provider keeps with the request, where it does."""
    timeout: float | Timeout
    """Seconds, or a :class:`Timeout`."""
    total_timeout: float
    """Seconds for the whole call."""
    extra_body: Mapping[str, Any]
    """Fields merged into the request's body as they are."""
    extra_headers: Mapping[str, str]
    """Headers of this request; they override those of the client."""
    extra_query: Mapping[str, str]
    """Parameters added to the address of the request."""
    response_cache: bool
    """``False``: neither answer from the client's response cache nor store into it."""
    on_unsupported: OnUnsupported
    """``warn``, ``raise`` or ``drop``, for parameters the model does not accept."""
    cancel: CancelToken
    """Cancels the call from another thread or task."""
    fallback: bool
    """``False``: a router asks one target only, and raises its error."""
    correlation_id: str
    """Your id of the call, sent as ``X-Request-ID``; default: a new one. See :func:`provider_kit.correlation`."""
    tags: Sequence[str]
    """What the call belongs to, for the usage ledger, metrics and budgets."""
    extension_config: Mapping[str, Any]
    """Settings of plugins for this call, by the name of the plugin."""
    middleware: Sequence[Callable[..., Awaitable[Any]]]
    """Middleware around this call, outside that of the client."""


class OutputOptions(ChatOptions, total=False):
    """Keyword arguments of calls with an ``output_type``."""

    validation_retries: int
    """Requests after the first one, for an answer that does not have the form of the type; default: 1."""
    validator: Callable[[Any], Any]
    """Checks the value: raises ``ValueError`` to refuse it, and may return another one."""


if TYPE_CHECKING:
    # Some editors know no Unpack. They follow the keywords of a function to the one that takes them: these are called
    # in the overloads, which never run.

    def chat_keywords(
        *,
        prompt: str = ...,
        model: str = ...,
        system: str = ...,
        files: FileLike | Sequence[FileLike] = ...,
        temperature: float = ...,
        top_p: float = ...,
        top_k: int = ...,
        max_tokens: int = ...,
        max_completion_tokens: int = ...,
        max_output_tokens: int = ...,
        stop: str | Sequence[str] = ...,
        seed: int = ...,
        presence_penalty: float = ...,
        frequency_penalty: float = ...,
        tools: Sequence[ToolLike] = ...,
        tool_choice: Literal["auto", "required", "none"] | str | ToolChoice | Mapping[str, Any] = ...,
        parallel_tool_calls: bool = ...,
        response_format: FormatLike = ...,
        reasoning: ReasoningLike = ...,
        verbosity: Literal["low", "medium", "high"] | str = ...,
        cache: bool | str = ...,
        cache_key: str = ...,
        user: str = ...,
        metadata: Mapping[str, str] = ...,
        timeout: float | Timeout = ...,
        total_timeout: float = ...,
        extra_body: Mapping[str, Any] = ...,
        extra_headers: Mapping[str, str] = ...,
        extra_query: Mapping[str, str] = ...,
        response_cache: bool = ...,
        on_unsupported: OnUnsupported = ...,
        cancel: CancelToken = ...,
        fallback: bool = ...,
        correlation_id: str = ...,
        tags: Sequence[str] = ...,
        extension_config: Mapping[str, Any] = ...,
        middleware: Sequence[Callable[..., Awaitable[Any]]] = ...,
    ) -> NoReturn: ...

    def output_keywords(
        *,
        prompt: str = ...,
        model: str = ...,
        system: str = ...,
        files: FileLike | Sequence[FileLike] = ...,
        temperature: float = ...,
        top_p: float = ...,
        top_k: int = ...,
        max_tokens: int = ...,
        max_completion_tokens: int = ...,
        max_output_tokens: int = ...,
        stop: str | Sequence[str] = ...,
        seed: int = ...,
        presence_penalty: float = ...,
        frequency_penalty: float = ...,
        tools: Sequence[ToolLike] = ...,
        tool_choice: Literal["auto", "required", "none"] | str | ToolChoice | Mapping[str, Any] = ...,
        parallel_tool_calls: bool = ...,
        response_format: FormatLike = ...,
        reasoning: ReasoningLike = ...,
        verbosity: Literal["low", "medium", "high"] | str = ...,
        cache: bool | str = ...,
        cache_key: str = ...,
        user: str = ...,
        metadata: Mapping[str, str] = ...,
        timeout: float | Timeout = ...,
        total_timeout: float = ...,
        extra_body: Mapping[str, Any] = ...,
        extra_headers: Mapping[str, str] = ...,
        extra_query: Mapping[str, str] = ...,
        response_cache: bool = ...,
        on_unsupported: OnUnsupported = ...,
        cancel: CancelToken = ...,
        fallback: bool = ...,
        correlation_id: str = ...,
        tags: Sequence[str] = ...,
        extension_config: Mapping[str, Any] = ...,
        middleware: Sequence[Callable[..., Awaitable[Any]]] = ...,
        validation_retries: int = ...,
        validator: Callable[[Any], Any] = ...,
    ) -> NoReturn: ...
