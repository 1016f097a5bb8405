"""Ollama's native chat API (POST /api/chat): newline-delimited JSON, arguments as objects.

The native API is used rather than the OpenAI-compatible one because only it sets the context size
(``extra_body={"options": {"num_ctx": 8192}}``); Ollama silently truncates longer prompts.
Source: Ollama's ``docs/api.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from provider_kit.dialects.base import (
    Dialect,
    ParameterReport,
    StreamDecoder,
    WireRequest,
    expect_object,
)
from provider_kit.dialects.model_facts import listed_features, seconds_of
from provider_kit.dialects.ollama_chat.request import TAKES, OllamaRequestWriter
from provider_kit.dialects.ollama_chat.response import (
    OllamaStreamDecoder,
    parse_ollama,
    read_ollama_usage,
)
from provider_kit.errors import APIError
from provider_kit.model.chat import ChatRequest, ChatResponse
from provider_kit.model.media import Media
from provider_kit.model.models import Embeddings, Model

__all__ = ["OllamaChat"]


class OllamaChat(Dialect):
    """POST /api/chat, /api/embed, GET /api/tags."""

    name = "ollama_chat"
    takes = TAKES

    def __init__(
        self,
        *,
        provider: str = "",
        origin: str | None = None,
        error_codes: Mapping[str, type[APIError]] | None = None,
        keep_alive: str | float | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(provider=provider, origin=origin, error_codes=error_codes)
        self._keep_alive = keep_alive
        self._options = options or {}

    def build_chat(self, request: ChatRequest, *, stream: bool, report: ParameterReport) -> WireRequest:
        """Write a request; what the call says overrides the options of the client."""
        body = OllamaRequestWriter(request, report, self.origin).write(stream)
        if self._keep_alive is not None:
            body.setdefault("keep_alive", self._keep_alive)
        if self._options:
            body["options"] = {**self._options, **body.get("options", {})}
        return WireRequest("/api/chat", body)

    def parse_chat(self, payload: Any) -> ChatResponse:
        """Read a whole answer."""
        return parse_ollama(payload, provider=self.provider, origin=self.origin)

    def stream_decoder(self) -> StreamDecoder:
        """Create a decoder for one streamed answer."""
        return OllamaStreamDecoder(provider=self.provider, origin=self.origin)

    def takes_link(self, part: Media) -> bool:
        """It takes data only."""
        return False

    def build_models(self, cursor: str | None) -> WireRequest:
        """GET /api/tags."""
        return WireRequest("/api/tags", None, method="GET")

    def parse_models(self, payload: Any) -> tuple[list[Model], str | None]:
        """Read the list of pulled models."""
        found = expect_object(payload, "a list of models", ("models",), self.provider)
        return [_model(entry, self.provider) for entry in found["models"] or () if isinstance(entry, Mapping)], None

    def build_embed(self, texts: Sequence[str], model: str, dimensions: int | None) -> WireRequest:
        """POST /api/embed."""
        body: dict[str, Any] = {"model": model, "input": list(texts)}
        if dimensions is not None:
            body["dimensions"] = dimensions
        return WireRequest("/api/embed", body)

    def parse_embed(self, payload: Any) -> Embeddings:
        """Read vectors."""
        found = expect_object(payload, "a list of embeddings", ("embeddings",), self.provider)
        vectors = [[float(number) for number in vector] for vector in found["embeddings"]]
        return Embeddings(
            vectors, found.get("model"), read_ollama_usage(found), provider=self.provider or None, raw=payload
        )


def _model(entry: Mapping[str, Any], provider: str) -> Model:
    details = entry.get("details") or {}
    capabilities = entry.get("capabilities")
    modified = entry.get("modified_at")
    return Model(
        str(entry.get("model") or entry.get("name") or ""),
        provider or None,
        name=entry.get("name"),
        context_window=details.get("context_length"),
        capabilities=tuple(capabilities) if isinstance(capabilities, list) else (),
        features=listed_features(capabilities) if isinstance(capabilities, list) else {},
        kind="embedding" if isinstance(capabilities, list) and "embedding" in capabilities else None,
        created=seconds_of(modified),
        raw=dict(entry),
    )
