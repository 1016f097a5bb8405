"""Messages and their parts.

A :class:`Message` has a role and a content: a plain string, or a list of parts. Parts are plain values; the dialects
convert them to the form of each API. This module uses no network and knows no wire format.

What a provider requires back byte for byte (thinking signatures, encrypted reasoning, server-side tool blocks) is kept
on its part in ``signature`` and ``native``; ``Message.origin`` names the API that wrote it. A dialect sends such data
back only to the API it came from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, TypeAlias

from attrs import define, field

from provider_kit.errors import InvalidRequestError, ToolCallParseError
from provider_kit.model.json_text import dumps_text, loads
from provider_kit.model.media import Audio, Document, Image, Media
from provider_kit.model.surrogates import mend_all

__all__ = ["Message", "Native", "Part", "Refusal", "Role", "Text", "Thinking", "ToolCall", "ToolResult"]

Role: TypeAlias = Literal["system", "developer", "user", "assistant", "tool"]

ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})


@define
class Text:
    """Plain text.

    ``cache`` marks the end of a prefix to cache (``True``, or a time to live such as ``"5m"`` or
    ``"1h"``), where the provider has explicit cache marks.
    """

    text: str
    #: Prompt cache mark at the end of this part.
    cache: bool | str | None = field(default=None, kw_only=True)
    #: Gemini's opaque thought signature, sent back on the same part.
    signature: str | None = field(default=None, kw_only=True)
    #: Fields this library does not know, kept as they came.
    extra: dict[str, Any] | None = field(default=None, kw_only=True, repr=False)


@define
class Refusal:
    """The model's explanation when it declines to answer."""

    text: str
    extra: dict[str, Any] | None = field(default=None, kw_only=True, repr=False)


#: Addresses that no provider fetches from.


def _arguments_text(arguments: str | Mapping[str, Any] | None) -> str:
    if type(arguments) is str:
        return arguments
    if arguments is None:
        return ""
    try:
        return dumps_text(arguments)
    except (TypeError, ValueError) as error:
        raise InvalidRequestError(
            f"The tool call's arguments cannot be written as JSON: {error}.",
            hint="Use only dicts, lists, strings, numbers, booleans and None.",
        ) from error


@define
class ToolCall:
    """A tool call that the model requests.

    ``arguments`` may be given as a dict or as JSON text; the text is kept as the model wrote it.
    """

    #: Id that the result refers to; generated locally where the provider sends none.
    id: str
    #: Name of the tool.
    name: str
    #: The arguments as the model wrote them: JSON text, possibly empty, possibly invalid.
    arguments_json: str = field(default="", alias="arguments", converter=_arguments_text)
    #: ``True`` if ``id`` was generated locally, not by the provider.
    local_id: bool = field(default=False, kw_only=True)
    #: Gemini's opaque thought signature, sent back on the same part.
    signature: str | None = field(default=None, kw_only=True)
    #: The block exactly as received, for APIs that want it back unchanged.
    native: dict[str, Any] | None = field(default=None, kw_only=True, repr=False)
    extra: dict[str, Any] | None = field(default=None, kw_only=True, repr=False)

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments as a dict; empty text means no arguments.

        Raises:
            ToolCallParseError: The model did not write a JSON object.
        """
        if not self.arguments_json.strip():
            return {}
        try:
            value = loads(self.arguments_json)
        except ValueError as error:
            raise ToolCallParseError(f"The arguments of {self.name!r} are not valid JSON: {error}.") from error
        if not isinstance(value, dict):
            raise ToolCallParseError(
                f"The arguments of {self.name!r} are a JSON {type(value).__name__}, not an object."
            )
        return mend_all(value) if "\\u" in self.arguments_json else value


def _result_content(content: Any) -> str | list[Any]:
    """What a tool returned: text and parts as they are, anything else as JSON."""
    if isinstance(content, str):
        return content
    if isinstance(content, (Text, Media)):
        return [content]
    if isinstance(content, list) and content and not isinstance(content[0], (dict, str, int, float, list, type(None))):
        return content
    try:
        return dumps_text(content)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequestError(
            f"A tool result cannot be written as JSON: {error}.",
            hint="Return text, parts (Text, Image), or values that JSON can represent.",
        ) from error


@define
class ToolResult:
    """The answer to a tool call."""

    #: Id of the call that is answered.
    tool_call_id: str
    #: What the tool returned: text, or parts where the provider accepts them. Anything else becomes JSON.
    content: str | list[Any] = field(converter=_result_content)
    #: Name of the tool; looked up from the call where it is left out.
    name: str | None = field(default=None, kw_only=True)
    #: ``True`` if the tool failed and ``content`` says why.
    is_error: bool = field(default=False, kw_only=True)
    cache: bool | str | None = field(default=None, kw_only=True)
    extra: dict[str, Any] | None = field(default=None, kw_only=True, repr=False)

    @property
    def text(self) -> str:
        """Its text alone, from the text parts and the text files.

        Raises:
            InvalidRequestError: The encoding of a text file is unknown.
        """
        if isinstance(self.content, str):
            return self.content
        pieces = [""]
        for part in self.content:
            text = written_in(part)
            if isinstance(part, Text):
                pieces[-1] += part.text
            elif text is not None:
                pieces += [text, ""]
        return "\n\n".join(filter(None, pieces))


def written_in(part: Any) -> str | None:
    """The text of a text part or a text file; ``None`` for any other part."""
    if isinstance(part, Text):
        return part.text
    return part.as_text if isinstance(part, Document) else None


@define
class Thinking:
    """Reasoning shown by the model, with the data its provider needs back unchanged."""

    #: The reasoning, or a summary of it; may be empty.
    text: str = ""
    #: The verbatim reasoning, where an API separates it from the summary in ``text``.
    verbatim: str = field(default="", kw_only=True)
    #: Opaque signature over the reasoning.
    signature: str | None = field(default=None, kw_only=True)
    #: The block exactly as received.
    native: dict[str, Any] | None = field(default=None, kw_only=True, repr=False)
    extra: dict[str, Any] | None = field(default=None, kw_only=True, repr=False)


@define
class Native:
    """A block only one API understands (server-side tools, citations…), kept as it came.

    It is sent back to the API that wrote it and left out, with a warning, everywhere else.
    """

    #: The block's own type.
    type: str
    #: The block exactly as received.
    data: dict[str, Any]


Part: TypeAlias = Text | Refusal | Image | Document | Audio | ToolCall | ToolResult | Thinking | Native


@define
class Message:
    """One message of a conversation.

    ``origin`` and ``model`` name the API and the model that wrote an assistant message; both are filled in on
    answers and decide whether opaque parts are sent back.
    """

    role: str
    content: str | list[Part]
    #: Name of the participant, where the provider accepts one.
    name: str | None = field(default=None, kw_only=True)
    #: Dialect that wrote this message, e.g. ``anthropic_messages``.
    origin: str | None = field(default=None, kw_only=True)
    #: Model that wrote this message.
    model: str | None = field(default=None, kw_only=True)
    #: Whether it is a truncated answer: its last parts may be incomplete.
    incomplete: bool = field(default=False, kw_only=True)
    #: Fields this library does not know, kept as they came.
    extra: dict[str, Any] | None = field(default=None, kw_only=True, repr=False)

    @property
    def text(self) -> str:
        """The text of the message, parts joined without a separator."""
        content = self.content
        if type(content) is str:
            return content
        return "".join([part.text for part in content if type(part) is Text])

    @property
    def thinking(self) -> str:
        """The reasoning shown, parts joined with a blank line; empty if there is none."""
        return "\n\n".join(part.text for part in self.parts if type(part) is Thinking and part.text)

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The tool calls, in order."""
        return [part for part in self.parts if type(part) is ToolCall]

    @property
    def refusal(self) -> str | None:
        """The model's explanation when it declined, else ``None``."""
        words = [part.text for part in self.parts if type(part) is Refusal]
        return "".join(words) if words else None

    @property
    def citations(self) -> list[dict[str, Any]]:
        """Sources and other annotations of the text, as the provider sent them."""
        found: list[Any] = []
        for part in self.parts:
            extra = part.extra if type(part) is Text else None
            if not extra:
                continue
            item = extra.get("item")  # OpenAI's Responses API keeps them inside
            for holder in (extra, *(item.get("content") or () if isinstance(item, dict) else ())):
                for name in ("citations", "annotations"):
                    notes = holder.get(name) if isinstance(holder, dict) else None
                    found.extend(notes if isinstance(notes, list) else ())
        return [note for note in found if isinstance(note, dict)]

    @property
    def parts(self) -> list[Part]:
        """The content as parts, also where it is a plain string."""
        content = self.content
        if type(content) is str:
            return [Text(content)] if content else []
        return content  # type: ignore[return-value]  # the other half of the union

    @classmethod
    def system(cls, text: str) -> Message:
        """A system message."""
        return cls("system", text)

    @classmethod
    def user(cls, *content: str | Part) -> Message:
        """A user message of strings and parts."""
        return cls("user", _content_of("user", content))

    @classmethod
    def assistant(cls, *content: str | Part) -> Message:
        """An assistant message of strings and parts."""
        return cls("assistant", _content_of("assistant", content))

    @classmethod
    def tool(cls, tool_call_id: str | ToolCall, content: Any, *, is_error: bool = False) -> Message:
        """The answer to one tool call, given by its id or as a :class:`ToolCall`."""
        if isinstance(tool_call_id, ToolCall):
            tool_call_id = tool_call_id.id
        if not isinstance(tool_call_id, str):
            raise InvalidRequestError(
                f"A result needs the id of its call, not {tool_call_id!r}.",
                hint="Message.tool(call.id, 'It is sunny.').",
            )
        return cls("tool", [ToolResult(tool_call_id, content, is_error=is_error)])


def _content_of(role: str, content: tuple[Any, ...]) -> str | list[Part]:
    """Check the content given to a constructor: nothing of it may be lost."""
    if not content:
        raise InvalidRequestError(f"Message.{role}() has no content.", hint=f"Message.{role}('Hello').")
    for part in content:
        if not isinstance(part, (str, *PART_CLASSES)):
            raise InvalidRequestError(
                f"Message.{role}() takes strings and parts, not {type(part).__name__}.",
                hint=f"Write it into the text: Message.{role}(f'n is {{n}}'); or pass Text(…), Image.from_path(…).",
            )
    if len(content) == 1 and isinstance(content[0], str):
        return content[0]
    return [Text(part) if isinstance(part, str) else part for part in content]


#: Every class of parts.
PART_CLASSES = (Text, Refusal, Media, ToolCall, ToolResult, Thinking, Native)


def media_of(messages: Iterable[Message]) -> Iterator[Media]:
    """The files of a conversation, but for those a model made."""
    for message in messages:
        content: Any = message.content
        if type(content) is str or message.role == "assistant":
            continue
        for part in content:
            if isinstance(part, Media):
                yield part
            elif type(part) is ToolResult and type(part.content) is not str:
                yield from (inner for inner in part.content if isinstance(inner, Media))
