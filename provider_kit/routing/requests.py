"""What a request needs of a model, and which state of a provider it carries."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from attrs import fields

from provider_kit.engine.window import characters_of
from provider_kit.model.chat import ChatRequest
from provider_kit.model.file_types import is_plain_text
from provider_kit.model.media import Audio, Document, Image
from provider_kit.model.messages import Message, Native, media_of

__all__ = ["applied", "fields_given", "has_effects", "input_size", "needs_of", "state_of"]

_NAMES = tuple(one.name for one in fields(ChatRequest))
_values = attrgetter(*_NAMES)
#: Fields of bodies that refer to something the provider keeps: OpenAI's responses, conversations and containers,
#: Anthropic's containers, Gemini's cached contents.
_STATE = ("previous_response_id", "conversation", "container", "cachedContent", "cached_content")
#: Fields of bodies that make the provider keep or do something: OpenAI's stored and background responses.
_EFFECTS = ("store", "background")


def fields_given(request: ChatRequest) -> tuple[tuple[str, Any], ...]:
    """The optional fields that are set, as a target's defaults."""
    return tuple(
        (name, value)
        for name, value in zip(_NAMES, _values(request), strict=True)
        if value is not None and name not in ("model", "messages")
    )


def applied(
    request: ChatRequest, model: str, defaults: tuple[tuple[str, Any], ...], system: Message | None
) -> ChatRequest:
    """A request for a target: with its model, and its defaults where the request says nothing."""
    made = request.for_model(model)
    for name, value in defaults:
        if getattr(made, name) is None:
            setattr(made, name, value)
    if system is not None and not any(message.role in ("system", "developer") for message in request.messages):
        made.messages = [system, *request.messages]
    return made


def input_size(request: ChatRequest) -> float:
    """Roughly the tokens of its texts; cheap."""
    return characters_of(request) / 4


def needs_of(request: ChatRequest) -> tuple[str, ...]:
    """What the model must be able to do, in the words of :meth:`Model.supports`."""
    found: set[str] = set()
    if request.tools and any(tool.native is None for tool in request.tools):
        found.add("tools")
    for message in request.messages:
        if type(message.content) is not str:
            for part in media_of((message,)):
                if isinstance(part, Image):
                    found.add("vision")
                elif isinstance(part, Audio):
                    found.add("audio")
                elif (part.media_type or "").startswith("video/"):
                    found.add("video")
                elif isinstance(part, Document) and not is_plain_text(part.media_type):
                    found.add("pdf")
    return tuple(sorted(found))


def state_of(request: ChatRequest) -> tuple[str, str | None] | None:
    """The state of a provider that a request refers to: the field, and the id in it where it is a text."""
    for name in _STATE:
        value = (request.extra_body or {}).get(name)
        if value is not None:
            return name, value if isinstance(value, str) else None
    return None


def has_effects(request: ChatRequest) -> str | None:
    """Why a request must not be sent twice at the same time; ``None`` if it may be."""
    if any(tool.native is not None for tool in request.tools or ()):
        return "a tool that the provider runs may have effects"
    if request.tools:
        return "its tools may have effects"
    if state_of(request) is not None:
        return "it continues what a provider keeps"
    for name in _EFFECTS:
        if (request.extra_body or {}).get(name):
            return f"{name} makes the provider keep it"
    if any(type(message.content) is not str and _has_native(message) for message in request.messages):
        return "it continues what a provider keeps"
    return None


def _has_native(message: Message) -> bool:
    return any(type(part) is Native for part in message.parts)
