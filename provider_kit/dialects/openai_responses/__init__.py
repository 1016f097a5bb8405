"""OpenAI's Responses API and compatible servers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from provider_kit.dialects.base import ParameterReport, StreamDecoder, WireRequest
from provider_kit.dialects.openai_catalog import OpenAICatalog
from provider_kit.dialects.openai_responses.request import TAKES, ResponsesProfile, ResponsesRequestWriter
from provider_kit.dialects.openai_responses.response import parse_response
from provider_kit.dialects.openai_responses.stream import ResponsesStreamDecoder
from provider_kit.model.chat import ChatRequest, ChatResponse
from provider_kit.model.media import Image, Media

__all__ = ["OpenAIResponses", "ResponsesProfile"]


class OpenAIResponses(OpenAICatalog):
    """POST /responses, /responses/input_tokens; models and embeddings as in the chat API."""

    name = "openai_responses"
    keeps_answers = True
    takes = TAKES

    def __init__(
        self,
        *,
        provider: str = "",
        origin: str | None = None,
        profile: Callable[[str], ResponsesProfile] = lambda model: ResponsesProfile(),
        counts: bool = True,
        runs_custom_tools: bool = False,
    ) -> None:
        super().__init__(provider=provider, origin=origin or f"{self.name}/{provider}")
        self._profile = profile
        self._counts = counts
        #: Whether calls of custom tools were already executed by the server (xAI).
        self._runs_custom_tools = runs_custom_tools

    def build_chat(self, request: ChatRequest, *, stream: bool, report: ParameterReport) -> WireRequest:
        """Write a request."""
        writer = ResponsesRequestWriter(request, self._profile(request.model), report, self.origin)
        return WireRequest("/responses", writer.write(stream))

    def parse_chat(self, payload: Any) -> ChatResponse:
        """Read a whole answer."""
        return parse_response(
            payload, provider=self.provider, origin=self.origin, runs_custom_tools=self._runs_custom_tools
        )

    def stream_decoder(self) -> StreamDecoder:
        """A fresh reader for one streamed answer."""
        return ResponsesStreamDecoder(
            provider=self.provider, origin=self.origin, runs_custom_tools=self._runs_custom_tools
        )

    def takes_link(self, part: Media) -> bool:
        """It fetches images and PDF."""
        return isinstance(part, Image) or part.media_type in (None, "application/pdf")

    def build_count(self, request: ChatRequest, report: ParameterReport) -> WireRequest:
        """POST /responses/input_tokens: the request without the fields that only affect an answer."""
        if not self._counts:
            raise self._missing("token counting")
        body = self.build_chat(request, stream=False, report=report).body or {}
        kept = ("model", "input", "instructions", "tools", "tool_choice", "text", "reasoning", "parallel_tool_calls")
        return WireRequest("/responses/input_tokens", {key: body[key] for key in kept if key in body})
