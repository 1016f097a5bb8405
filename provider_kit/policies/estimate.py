"""An estimate of the tokens a call may use, before the provider has counted them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from provider_kit.model.chat import ChatRequest
from provider_kit.model.config import DEFAULT_MAX_TOKENS
from provider_kit.model.media import Media
from provider_kit.model.messages import ToolCall, ToolResult

__all__ = ["estimate_text", "estimate_tokens"]

#: Characters per token in English prose; other languages need more tokens.
_CHARACTERS = 4.0
#: Overhead tokens of each message.
_FRAME = 4
#: Tokens of an image, a document or audio; the real number varies widely.
_MEDIA = 1000


def estimate_tokens(request: ChatRequest) -> int:
    """Estimate the tokens of a conversation and its answer.

    Args:
        request: The call; without ``max_tokens`` an answer of 1000 tokens is assumed.
    """
    total = 0.0
    for message in request.messages:
        total += _FRAME
        content = message.content
        if isinstance(content, str):
            total += len(content) / _CHARACTERS
            continue
        total += sum(_tokens_of(part) for part in message.parts)
    for tool in request.tools or ():
        total += len(repr(tool)) / _CHARACTERS
    return int(total) + (request.max_tokens or DEFAULT_MAX_TOKENS)


def estimate_text(texts: Iterable[str]) -> int:
    """Estimate the tokens of texts whose answer is not text."""
    return int(sum(len(text) for text in texts) / _CHARACTERS)


def _tokens_of(part: Any) -> float:
    if isinstance(part, Media):
        return _MEDIA
    if isinstance(part, ToolCall):
        return (len(part.name) + len(part.arguments_json)) / _CHARACTERS
    if isinstance(part, ToolResult) and not isinstance(part.content, str):
        return sum(_tokens_of(inner) for inner in part.content)
    written = part.content if isinstance(part, ToolResult) else getattr(part, "text", None)
    if not isinstance(written, str):
        written = repr(part)
    return len(written) / _CHARACTERS
