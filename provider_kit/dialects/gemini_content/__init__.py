"""Google's Gemini API: generateContent and its companions.

Source: Gemini API reference. The model is part of the URL; no request carries the key in its query.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from provider_kit.dialects.base import (
    Dialect,
    ParameterReport,
    StreamDecoder,
    StreamFailure,
    WireRequest,
    expect_object,
    path_name,
)
from provider_kit.dialects.gemini_content.request import TAKES, GeminiProfile, GeminiRequestWriter
from provider_kit.dialects.gemini_content.response import parse_content, read_gemini_usage
from provider_kit.dialects.gemini_content.stream import GeminiStreamDecoder, parse_elements
from provider_kit.model.chat import ChatRequest, ChatResponse
from provider_kit.model.media import Media
from provider_kit.model.models import Embeddings, Model

__all__ = ["GeminiContent", "GeminiProfile"]


class GeminiContent(Dialect):
    """models/{model}:generateContent, :streamGenerateContent, :countTokens, :batchEmbedContents, models."""

    name = "gemini_content"
    takes = TAKES

    def __init__(
        self,
        *,
        provider: str = "",
        origin: str | None = None,
        profile: Callable[[str], GeminiProfile] = lambda model: GeminiProfile(),
    ) -> None:
        super().__init__(provider=provider, origin=origin)
        self._profile = profile

    def build_chat(self, request: ChatRequest, *, stream: bool, report: ParameterReport) -> WireRequest:
        """Write a request."""
        body = GeminiRequestWriter(request, self._profile(request.model), report, self.origin).write()
        if stream:
            return WireRequest(f"{_path(request.model)}:streamGenerateContent", body, query={"alt": "sse"})
        return WireRequest(f"{_path(request.model)}:generateContent", body)

    def parse_chat(self, payload: Any) -> ChatResponse:
        """Read a whole answer, which may be an array of answers."""
        if isinstance(payload, list) and payload:
            try:
                return parse_elements(payload, provider=self.provider, origin=self.origin)
            except StreamFailure as failure:
                raise failure.error from None
        return parse_content(payload, provider=self.provider, origin=self.origin)

    def stream_decoder(self) -> StreamDecoder:
        """Create a decoder for one streamed answer."""
        return GeminiStreamDecoder(provider=self.provider, origin=self.origin)

    def takes_link(self, part: Media) -> bool:
        """It fetches what was uploaded to it, and videos of YouTube."""
        return _GOOGLES.match(part.url or "") is not None

    def takes_scheme(self, scheme: str) -> bool:
        """Files in Google's own storage."""
        return scheme == "gs"

    def build_models(self, cursor: str | None) -> WireRequest:
        """GET models, a thousand at a time."""
        query = {"pageSize": "1000", **({"pageToken": cursor} if cursor else {})}
        return WireRequest("/models", None, method="GET", query=query)

    def parse_models(self, payload: Any) -> tuple[list[Model], str | None]:
        """Read a page."""
        found = expect_object(payload, "a list of models", ("models",), self.provider)
        models = [_model(entry, self.provider) for entry in found["models"] or () if isinstance(entry, Mapping)]
        return models, found.get("nextPageToken") or None

    def build_embed(self, texts: Sequence[str], model: str, dimensions: int | None) -> WireRequest:
        """POST models/{model}:batchEmbedContents."""
        requests = []
        for text in texts:
            request: dict[str, Any] = {"model": _path(model).lstrip("/"), "content": {"parts": [{"text": text}]}}
            if dimensions is not None:
                request["outputDimensionality"] = dimensions
            requests.append(request)
        return WireRequest(f"{_path(model)}:batchEmbedContents", {"requests": requests})

    def parse_embed(self, payload: Any) -> Embeddings:
        """Read vectors."""
        found = expect_object(
            payload, "a list of embeddings", ("embeddings", "embedding", "predictions"), self.provider
        )
        entries = found.get("embeddings") or ([found["embedding"]] if found.get("embedding") else [])
        if not entries:  # Vertex
            entries = [entry.get("embeddings") or {} for entry in found.get("predictions") or ()]
        vectors = [[float(number) for number in entry.get("values") or ()] for entry in entries]
        return Embeddings(
            vectors, usage=read_gemini_usage(found.get("usageMetadata")), provider=self.provider or None, raw=payload
        )

    def build_count(self, request: ChatRequest, report: ParameterReport) -> WireRequest:
        """POST models/{model}:countTokens with the whole request."""
        body = GeminiRequestWriter(request, self._profile(request.model), report, self.origin).write()
        wrapped = {"generateContentRequest": {"model": _path(request.model).lstrip("/"), **body}}
        return WireRequest(f"{_path(request.model)}:countTokens", wrapped)

    def parse_count(self, payload: Any) -> int:
        """Read the number of tokens."""
        return int(expect_object(payload, "a token count", ("totalTokens",), self.provider)["totalTokens"])


_GOOGLES = re.compile(r"https://(?:generativelanguage\.googleapis\.com/|(?:www\.|m\.)?youtube\.com/|youtu\.be/)")


def _path(model: str) -> str:
    """``gemini-x`` and ``models/gemini-x`` name the same model."""
    model = path_name(model)
    return f"/{model}" if model.startswith(("models/", "tunedModels/", "publishers/")) else f"/models/{model}"


def _model(entry: Mapping[str, Any], provider: str) -> Model:
    methods = entry.get("supportedGenerationMethods")
    return Model(
        str(entry.get("name") or "").removeprefix("models/"),
        provider or None,
        name=entry.get("displayName"),
        description=entry.get("description"),
        context_window=entry.get("inputTokenLimit"),
        max_output_tokens=entry.get("outputTokenLimit"),
        capabilities=(
            *(methods if isinstance(methods, list) else ()),
            *(("thinking",) if entry.get("thinking") else ()),
        ),
        features={"reasoning": bool(entry["thinking"])} if "thinking" in entry else {},
        kind="embedding" if isinstance(methods, list) and "embedContent" in methods else None,
        raw=dict(entry),
    )
