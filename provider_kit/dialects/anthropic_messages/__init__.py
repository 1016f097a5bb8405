"""Anthropic's Messages API.

Source: Anthropic API reference (version ``2023-06-01``), "Messages", "Count tokens", "List models".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from provider_kit.dialects.anthropic_messages.profile import ClaudeProfile
from provider_kit.dialects.anthropic_messages.request import TAKES, AnthropicRequestWriter
from provider_kit.dialects.anthropic_messages.response import parse_message
from provider_kit.dialects.anthropic_messages.stream import AnthropicStreamDecoder
from provider_kit.dialects.base import (
    Dialect,
    ParameterReport,
    StreamDecoder,
    WireRequest,
    expect_object,
)
from provider_kit.dialects.model_facts import date_of, features_of
from provider_kit.model.chat import ChatRequest, ChatResponse
from provider_kit.model.media import Image, Media
from provider_kit.model.messages import media_of
from provider_kit.model.models import Model

#: What uploaded files need. Source: Anthropic, "Files API".
FILES_BETA = {"anthropic-beta": "files-api-2025-04-14"}

__all__ = ["AnthropicMessages", "ClaudeProfile"]


class AnthropicMessages(Dialect):
    """POST /v1/messages, /v1/messages/count_tokens, GET /v1/models."""

    name = "anthropic_messages"
    takes = TAKES

    def __init__(
        self,
        *,
        provider: str = "",
        origin: str | None = None,
        profile: Callable[[str], ClaudeProfile] = lambda model: ClaudeProfile(),
    ) -> None:
        super().__init__(provider=provider, origin=origin)
        self._profile = profile

    def build_chat(self, request: ChatRequest, *, stream: bool, report: ParameterReport) -> WireRequest:
        """Write a request."""
        writer = AnthropicRequestWriter(request, self._profile(request.model), report, self.origin)
        uploaded = any(part.file_id is not None for part in media_of(request.messages))
        return WireRequest("/v1/messages", writer.write(stream), dict(FILES_BETA) if uploaded else None)

    def parse_chat(self, payload: Any) -> ChatResponse:
        """Read a whole answer."""
        return parse_message(payload, provider=self.provider, origin=self.origin)

    def stream_decoder(self) -> StreamDecoder:
        """Create a decoder for one streamed answer."""
        return AnthropicStreamDecoder(provider=self.provider, origin=self.origin)

    def takes_link(self, part: Media) -> bool:
        """It fetches images and PDF."""
        return isinstance(part, Image) or part.media_type in (None, "application/pdf")

    def build_models(self, cursor: str | None) -> WireRequest:
        """GET /v1/models, a thousand at a time."""
        query = {"limit": "1000", **({"after_id": cursor} if cursor else {})}
        return WireRequest("/v1/models", None, method="GET", query=query)

    def parse_models(self, payload: Any) -> tuple[list[Model], str | None]:
        """Read a page."""
        found = expect_object(payload, "a list of models", ("data",), self.provider)
        models = [_model(entry, self.provider) for entry in found["data"] or () if isinstance(entry, Mapping)]
        return models, found.get("last_id") if found.get("has_more") else None

    def build_count(self, request: ChatRequest, report: ParameterReport) -> WireRequest:
        """POST /v1/messages/count_tokens: the request without the fields that only affect an answer."""
        body = self.build_chat(request, stream=False, report=report).body or {}
        kept = ("model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control")
        return WireRequest("/v1/messages/count_tokens", {key: body[key] for key in kept if key in body})

    def parse_count(self, payload: Any) -> int:
        """Read the number of tokens."""
        return int(expect_object(payload, "a token count", ("input_tokens",), self.provider)["input_tokens"])


def _model(entry: Mapping[str, Any], provider: str) -> Model:
    created = entry.get("created_at")
    capabilities = entry.get("capabilities")
    return Model(
        str(entry.get("id") or ""),
        provider or None,
        name=entry.get("display_name"),
        context_window=entry.get("max_input_tokens"),
        max_output_tokens=entry.get("max_tokens"),
        capabilities=_able(capabilities) if isinstance(capabilities, Mapping) else (),
        features={} if not isinstance(capabilities, Mapping) else {**features_of(entry), "tools": True},
        retires=date_of(entry.get("retires_at")),
        deprecated=None if (state := entry.get("lifecycle")) is None else state != "active",
        created=_timestamp(created),
        raw=dict(entry),
    )


def _able(capabilities: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of a model's capabilities; each is a boolean or an object with ``supported``."""
    return tuple(
        name for name, has in capabilities.items() if (has.get("supported", has) if isinstance(has, Mapping) else has)
    )


def _timestamp(text: Any) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp() if isinstance(text, str) else None
    except ValueError:
        return None
