"""OpenAI's Chat Completions API and compatible servers.

:class:`OpenAIChat` writes and reads it; :class:`ChatQuirks` says how a server differs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from provider_kit.dialects.base import ParameterReport, StreamDecoder, WireRequest, is_video
from provider_kit.dialects.openai_catalog import OpenAICatalog
from provider_kit.dialects.openai_chat.quirks import ChatQuirks
from provider_kit.dialects.openai_chat.request import TAKES, RequestWriter
from provider_kit.dialects.openai_chat.response import parse_answer
from provider_kit.dialects.openai_chat.stream import ChatStreamDecoder
from provider_kit.errors import APIError
from provider_kit.model.chat import ChatRequest, ChatResponse
from provider_kit.model.media import Document, Image, Media

__all__ = ["ChatQuirks", "OpenAIChat"]


class OpenAIChat(OpenAICatalog):
    """POST /chat/completions, /embeddings, GET /models."""

    name = "openai_chat"
    takes = TAKES

    def __init__(
        self,
        *,
        provider: str = "",
        origin: str | None = None,
        error_codes: Mapping[str, type[APIError]] | None = None,
        quirks: ChatQuirks | Callable[[str], ChatQuirks] | None = None,
    ) -> None:
        super().__init__(provider=provider, origin=origin or f"{self.name}/{provider}", error_codes=error_codes)
        quirks = ChatQuirks() if quirks is None else quirks
        self._quirks_for: Callable[[str], ChatQuirks] = quirks if callable(quirks) else lambda model: quirks
        self._known: dict[str, ChatQuirks] = {}

    def quirks(self, model: str) -> ChatQuirks:
        """The quirks of one model, computed once."""
        known = self._known.get(model)
        if known is None:
            if len(self._known) > 1000:
                self._known.clear()
            known = self._known[model] = self._quirks_for(model)
        return known

    def build_chat(self, request: ChatRequest, *, stream: bool, report: ParameterReport) -> WireRequest:
        """Write a chat request."""
        writer = RequestWriter(request, self.quirks(request.model), report, self.origin)
        return WireRequest("/chat/completions", writer.write(stream))

    def parse_chat(self, payload: Any) -> ChatResponse:
        """Read a whole answer."""
        return parse_answer(payload, provider=self.provider, origin=self.origin, error_codes=self.error_codes)

    def stream_decoder(self) -> StreamDecoder:
        """Create a decoder for one streamed answer."""
        return ChatStreamDecoder(
            provider=self.provider,
            origin=self.origin,
            always_done=self.quirks("").always_done,
            error_codes=self.error_codes,
        )

    def takes_link(self, part: Media) -> bool:
        """Images mostly, documents at some servers."""
        quirks = self.quirks("")
        if isinstance(part, Image):
            return quirks.image_links
        if isinstance(part, Document) and quirks.videos and is_video(part):
            return True
        pdf = part.media_type in (None, "application/pdf")
        return isinstance(part, Document) and pdf and (quirks.document_links or quirks.documents == "document_url")

    def build_count(self, request: ChatRequest, report: ParameterReport) -> WireRequest:
        """Count tokens, where the server can (llama.cpp)."""
        path = self.quirks(request.model).count_path
        if path is None:
            raise self._missing("token counting")
        return WireRequest(path, self.build_chat(request, stream=False, report=report).body)

    def dimensions_field(self, model: str) -> str:
        """The field for the wanted number of dimensions."""
        return self.quirks(model).dimensions_field

    def models_query(self) -> dict[str, str] | None:
        """Query parameters of the list of models."""
        return dict(self.quirks("").models_query) or None
