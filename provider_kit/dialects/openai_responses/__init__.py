"""OpenAI's Responses API, and those who imitate it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from provider_kit.dialects.base import Dialect, Notes, StreamDecoder, WireCall, expect_object
from provider_kit.dialects.openai_chat import parse_model_list, read_embeddings
from provider_kit.dialects.openai_responses.request import ResponsesProfile, ResponsesRequestWriter
from provider_kit.dialects.openai_responses.response import ResponsesStreamDecoder, parse_response
from provider_kit.model.chat import ChatRequest, ChatResponse
from provider_kit.model.models import Embeddings, Model

__all__ = ["OpenAIResponses", "ResponsesProfile"]


class OpenAIResponses(Dialect):
    """POST /responses, /responses/input_tokens; models and embeddings as in the chat API."""

    name = "openai_responses"

    def __init__(
        self,
        *,
        provider: str = "",
        origin: str | None = None,
        profile: Callable[[str], ResponsesProfile] = lambda model: ResponsesProfile(),
        counts: bool = True,
    ) -> None:
        super().__init__(provider=provider, origin=origin or f"{self.name}/{provider}")
        self._profile = profile
        self._counts = counts

    def build_chat(self, request: ChatRequest, *, stream: bool, notes: Notes) -> WireCall:
        """Write a request."""
        writer = ResponsesRequestWriter(request, self._profile(request.model), notes, self.origin)
        return WireCall("/responses", writer.write(stream))

    def parse_chat(self, payload: Any) -> ChatResponse:
        """Read a whole answer."""
        return parse_response(payload, provider=self.provider, origin=self.origin)

    def stream_decoder(self) -> StreamDecoder:
        """A fresh reader for one streamed answer."""
        return ResponsesStreamDecoder(provider=self.provider, origin=self.origin)

    def build_models(self, cursor: str | None) -> WireCall:
        """GET /models."""
        return WireCall("/models", None, method="GET")

    def parse_models(self, payload: Any) -> tuple[list[Model], str | None]:
        """Read the list."""
        return parse_model_list(payload, self.provider), None

    def build_embed(self, texts: Sequence[str], model: str, dimensions: int | None) -> WireCall:
        """POST /embeddings."""
        body: dict[str, Any] = {"model": model, "input": list(texts)}
        if dimensions is not None:
            body["dimensions"] = dimensions
        return WireCall("/embeddings", body)

    def parse_embed(self, payload: Any) -> Embeddings:
        """Read vectors."""
        return read_embeddings(payload, self.provider)

    def build_count(self, request: ChatRequest, notes: Notes) -> WireCall:
        """POST /responses/input_tokens: the request without what only matters for an answer."""
        if not self._counts:
            raise self._missing("token counting")
        body = self.build_chat(request, stream=False, notes=notes).body or {}
        kept = ("model", "input", "instructions", "tools", "tool_choice", "text", "reasoning", "parallel_tool_calls")
        return WireCall("/responses/input_tokens", {key: body[key] for key in kept if key in body})

    def parse_count(self, payload: Any) -> int:
        """Read the number of tokens."""
        return int(expect_object(payload, "a token count", ("input_tokens",), self.provider)["input_tokens"])
