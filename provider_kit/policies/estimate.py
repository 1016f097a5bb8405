"""How many tokens a call may use, before the provider has counted them. An estimate, and called one."""

from __future__ import annotations

from provider_kit.model.chat import ChatRequest
from provider_kit.model.config import DEFAULT_MAX_TOKENS
from provider_kit.model.messages import Text

__all__ = ["estimate_tokens"]

#: Characters of a token, in English prose; other languages need more tokens.
_CHARACTERS = 4.0
#: Tokens of the frame around each message.
_FRAME = 4
#: Tokens of a picture, a document or a sound; they cost what they cost.
_MEDIA = 1000


def estimate_tokens(request: ChatRequest) -> int:
    """Tokens of a conversation and of the answer it allows.

    Args:
        request: The call; without ``max_tokens`` an answer of 1000 tokens is expected.
    """
    total = 0.0
    for message in request.messages:
        total += _FRAME
        content = message.content
        if isinstance(content, str):
            total += len(content) / _CHARACTERS
            continue
        for part in message.parts:
            if isinstance(part, Text):
                total += len(part.text) / _CHARACTERS
            else:
                written = getattr(part, "arguments_json", None) or getattr(part, "content", None)
                total += len(written) / _CHARACTERS if isinstance(written, str) else _MEDIA
    for tool in request.tools or ():
        total += len(repr(tool)) / _CHARACTERS
    return int(total) + (request.max_tokens or DEFAULT_MAX_TOKENS)
