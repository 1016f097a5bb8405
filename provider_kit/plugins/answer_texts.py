"""What plugins that change the text of answers share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import evolve

from provider_kit.model.chat import ChatResponse, Chunk
from provider_kit.model.messages import Part, Text

__all__ = ["chunk_with", "response_with"]


def response_with(response: ChatResponse, change: Callable[[str], Sequence[Part]]) -> ChatResponse:
    """An answer whose text is replaced by other parts; all else stays.

    Args:
        response: The answer.
        change: From the whole text to the parts in its place.
    """
    message = response.message
    text = message.text
    if not text:
        return response
    made: list[Part] = list(change(text))
    if type(message.content) is str:
        plain = len(made) == 1 and type(made[0]) is Text
        return evolve(response, message=evolve(message, content=made[0].text if plain else made or ""))  # type: ignore[union-attr]  # a Text
    parts: list[Part] = []
    for part in message.parts:
        if type(part) is not Text:
            parts.append(part)
        elif made:
            parts += made
            made = []
    return evolve(response, message=evolve(message, content=parts))


def chunk_with(chunk: Chunk, pieces: Sequence[tuple[str, str]]) -> list[Chunk]:
    """A chunk whose text is replaced by pieces of text and reasoning.

    Args:
        chunk: The chunk.
        pieces: Pairs of ``text`` or ``thinking``, and a text.
    """
    made = [Chunk(text, chunk.raw) if kind == "text" else Chunk("", chunk.raw, text) for kind, text in pieces if text]
    rest = evolve(chunk, text="")
    if rest.has_content or rest.done or rest.usage is not None or not chunk.text:
        made.append(rest)
    return made
