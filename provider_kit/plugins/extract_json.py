"""A plugin that leaves of an answer only the JSON in it, whole or streamed."""

from __future__ import annotations

from typing import Any

from provider_kit.engine.call import Call
from provider_kit.engine.handler import CallNext, Reply
from provider_kit.engine.plugin import Plugin
from provider_kit.model.chat import ChatResponse, Chunk
from provider_kit.model.messages import Text
from provider_kit.plugins.answer_texts import chunk_with, response_with

__all__ = ["ExtractJSON"]


class ExtractJSON(Plugin):
    """Leaves of each answer only the first object or list in it: code fences and friendly words around it go.

    An answer without a bracket stays as it is. For models that have no structured output of their own; where a type is
    wanted, ``output_type=`` does this and more.
    """

    name = "extract_json"
    description = "Leaves of an answer only the JSON in it."

    async def middleware(self, call: Call, call_next: CallNext) -> Reply:
        """Change the answer of one call."""
        reply = await call_next(call)
        if call.operation in ("chat", "stream"):
            scanner = _Scanner()

            def chunk(chunk: Chunk) -> list[Chunk]:
                text = scanner.feed(chunk.text) if chunk.text else ""
                if chunk.done and not scanner.found:
                    text += scanner.skipped
                return chunk_with(chunk, [("text", text)])

            reply.map(chunk, answer=_answer)
        return reply


def _answer(response: ChatResponse[Any]) -> ChatResponse[Any]:
    scanner = _Scanner()
    found = scanner.feed(response.text)
    return response_with(response, lambda text: [Text(found if scanner.found else text)])


class _Scanner:
    """Finds the first object or list of a text, wherever its pieces are cut."""

    def __init__(self) -> None:
        #: Whether it has begun.
        self.found = False
        #: What came before it.
        self.skipped = ""
        self._depth = 0
        self._in_text = self._escaped = self._ended = False

    def feed(self, text: str) -> str:
        """What of a text belongs to it."""
        if self._ended:
            return ""
        start = 0
        if not self.found:
            places = [place for place in (text.find("{"), text.find("[")) if place >= 0]
            if not places:
                self.skipped += text
                return ""
            start = min(places)
            self.skipped += text[:start]
            self.found = True
        for place in range(start, len(text)):
            char = text[place]
            if self._in_text:
                if self._escaped:
                    self._escaped = False
                elif char == "\\":
                    self._escaped = True
                elif char == '"':
                    self._in_text = False
            elif char == '"':
                self._in_text = True
            elif char in "{[":
                self._depth += 1
            elif char in "}]":
                self._depth -= 1
                if self._depth == 0:
                    self._ended = True
                    return text[start : place + 1]
        return text[start:]
