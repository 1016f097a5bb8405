"""A plugin that moves reasoning between tags out of the text of answers, whole or streamed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provider_kit.engine.call import Call
from provider_kit.engine.handler import CallNext, Reply
from provider_kit.engine.plugin import Plugin
from provider_kit.errors import ConfigError
from provider_kit.model.chat import ChatResponse, Chunk
from provider_kit.model.messages import Part, Text, Thinking
from provider_kit.plugins.answer_texts import chunk_with, response_with
from provider_kit.plugins.settings import take_settings

__all__ = ["ExtractReasoning"]


class ExtractReasoning(Plugin):
    """Moves what a model writes between ``<think>`` and ``</think>`` from ``.text`` to ``.thinking``.

    Args:
        tag: Name of the tag.
        starts_inside: Whether answers begin inside the tag, as those of servers whose template has written it already.
    """

    name = "extract_reasoning"
    description = "Moves reasoning between tags out of the text."

    def __init__(self, tag: str = "think", starts_inside: bool = False) -> None:
        self.tag = tag
        self.starts_inside = starts_inside

    def init(self, config: Mapping[str, Any]) -> None:
        """Take the settings.

        Raises:
            ConfigError: The tag is no name.
        """
        take_settings(self, config, ("tag", "starts_inside"))
        if not isinstance(self.tag, str) or not self.tag.strip("<>/ "):
            raise ConfigError(f"tag must be the name of a tag, not {self.tag!r}.", hint="tag='think'.")
        self.tag = self.tag.strip("<>/ ")

    async def middleware(self, call: Call, call_next: CallNext) -> Reply:
        """Split the answer of one call."""
        reply = await call_next(call)
        splitter = self._splitter()

        def chunk(chunk: Chunk) -> list[Chunk]:
            pieces = splitter.feed(chunk.text) if chunk.text else []
            return chunk_with(chunk, pieces + splitter.flush() if chunk.done else pieces)

        reply.map(chunk, answer=self._answer)
        return reply

    def _splitter(self) -> _Splitter:
        return _Splitter(self.tag, self.starts_inside)

    def _answer(self, response: ChatResponse) -> ChatResponse:
        def parts(text: str) -> list[Part]:
            splitter = self._splitter()
            pieces = splitter.feed(text) + splitter.flush()
            made: list[Part] = []
            for kind in ("thinking", "text"):
                found = "".join(text for one, text in pieces if one == kind)
                if found:
                    made.append(Thinking(found) if kind == "thinking" else Text(found))
            return made or [Text("")]

        return response_with(response, parts)


class _Splitter:
    """Splits text at tags, wherever the pieces are cut."""

    def __init__(self, tag: str, inside: bool) -> None:
        self._marks = {False: f"<{tag}>", True: f"</{tag}>"}
        self._inside = inside
        self._held = ""
        #: Whether line breaks at the beginning of a part are still to be dropped.
        self._trims = True

    def feed(self, text: str) -> list[tuple[str, str]]:
        """The pieces of a text as far as they are certain."""
        self._held += text
        pieces: list[tuple[str, str]] = []
        while True:
            mark = self._marks[self._inside]
            place = self._held.find(mark)
            if place < 0:
                break
            self._take(pieces, place)
            self._held = self._held[len(mark) :]
            self._inside, self._trims = not self._inside, True
        # An end that may be the beginning of a mark waits for what follows.
        most = min(len(mark) - 1, len(self._held))
        keep = next((size for size in range(most, 0, -1) if mark.startswith(self._held[-size:])), 0)
        self._take(pieces, len(self._held) - keep)
        return pieces

    def flush(self) -> list[tuple[str, str]]:
        """What is left at the end."""
        pieces: list[tuple[str, str]] = []
        self._take(pieces, len(self._held))
        return pieces

    def _take(self, pieces: list[tuple[str, str]], size: int) -> None:
        text, self._held = self._held[:size], self._held[size:]
        if self._trims:
            text = text.lstrip("\n")
        if text:
            self._trims = False
            pieces.append(("thinking" if self._inside else "text", text))
