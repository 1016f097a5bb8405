"""A plugin that streams where a model, or a gateway in between, cannot."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from attrs import evolve

from provider_kit.engine.call import Call
from provider_kit.engine.handler import CallNext, Reply
from provider_kit.engine.live_answers import as_chunks
from provider_kit.engine.plugin import Plugin
from provider_kit.errors import ConfigError
from provider_kit.model.chat import ChatResponse, Chunk
from provider_kit.plugins.settings import take_settings

__all__ = ["SimulateStreaming"]


class SimulateStreaming(Plugin):
    """Answers ``stream()`` by a whole answer that is cut up into pieces, so that programs which stream work with models
    that cannot. The first piece comes when the answer is complete.

    Args:
        size: Characters of a piece, about; pieces end between words.
    """

    name = "simulate_streaming"
    description = "Streams where a model cannot."
    priority = 800

    def __init__(self, size: int = 20) -> None:
        self.size = size

    def init(self, config: Mapping[str, Any]) -> None:
        """Take the settings.

        Raises:
            ConfigError: The size is no number.
        """
        take_settings(self, config, ("size",))
        if type(self.size) is not int or self.size < 1:
            raise ConfigError(f"size must be a number of characters, not {self.size!r}.")

    async def middleware(self, call: Call, call_next: CallNext) -> Reply:
        """Ask for a whole answer, and deliver it in pieces."""
        if call.operation != "stream":
            return await call_next(call)
        reply = await call_next(call.replace(operation="chat"))
        answer: ChatResponse[Any] = await reply.gather()
        made = Reply.live(self._pieces(answer))
        made.map(answer=lambda received: answer if received.finish_reason == answer.finish_reason else received)
        return made

    def _pieces(self, answer: ChatResponse[Any]) -> list[Chunk]:
        pieces: list[Chunk] = []
        for chunk in as_chunks(answer):
            words = re.findall(r"\S*\s*", chunk.text)
            text = ""
            for word in words:
                text += word
                if len(text) >= self.size:
                    pieces.append(Chunk(text, chunk.raw))
                    text = ""
            rest = evolve(chunk, text=text)
            if rest.has_content or rest.done:
                pieces.append(rest)
        return pieces
