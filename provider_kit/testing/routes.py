"""The dialect of a path, and the answers other than chat: models, embeddings, token counts."""

from __future__ import annotations

import hashlib
from typing import Any

from attrs import frozen

from provider_kit.testing.http_server import Incoming

__all__ = ["Route", "catalog", "find_route"]

_MODELS = ("demo", "echo")


@frozen
class Route:
    """The operation of a path."""

    dialect: str
    #: ``chat``, ``models``, ``embed``, ``count``, or ``unknown``.
    operation: str


def find_route(method: str, path: str) -> Route:
    """The dialect and operation of a request."""
    bare = path.partition("?")[0]
    endings = {
        "/chat/completions": Route("openai_chat", "chat"),
        "/responses": Route("openai_responses", "chat"),
        "/messages": Route("anthropic_messages", "chat"),
        ":generateContent": Route("gemini_content", "chat"),
        ":streamGenerateContent": Route("gemini_content", "chat"),
        "/api/chat": Route("ollama_chat", "chat"),
        "/responses/input_tokens": Route("openai_responses", "count"),
        "/chat/completions/input_tokens": Route("openai_chat", "count"),
        "/messages/count_tokens": Route("anthropic_messages", "count"),
        ":countTokens": Route("gemini_content", "count"),
        "/embeddings": Route("openai_chat", "embed"),
        ":batchEmbedContents": Route("gemini_content", "embed"),
        "/api/embed": Route("ollama_chat", "embed"),
    }
    if method == "GET":
        endings = {"/models": Route("openai_chat", "models"), "/api/tags": Route("ollama_chat", "models")}
        if bare.endswith("/v1beta/models"):
            return Route("gemini_content", "models")
    for ending in sorted(endings, key=len, reverse=True):
        if bare.endswith(ending):
            return endings[ending]
    return Route("openai_chat", "unknown")


def catalog(route: Route, incoming: Incoming, body: dict[str, Any]) -> dict[str, Any] | None:
    """The answer to a request other than chat; ``None`` if there is no such path."""
    if route.operation == "models":
        if "anthropic-version" in incoming.headers:
            return _anthropic_models()
        return _MODEL_LISTS[route.dialect]()
    if route.operation == "count":
        tokens = len(incoming.body) // 4
        return {"totalTokens": tokens} if route.dialect == "gemini_content" else {"input_tokens": tokens}
    return _embeddings(route, body) if route.operation == "embed" else None


def _anthropic_models() -> dict[str, Any]:
    data = [
        {"type": "model", "id": name, "display_name": name.title(), "created_at": "2026-01-01T00:00:00Z"}
        for name in _MODELS
    ]
    return {"data": data, "has_more": False, "first_id": _MODELS[0], "last_id": _MODELS[-1]}


def _openai_models() -> dict[str, Any]:
    data = [{"id": name, "object": "model", "created": 1_790_000_000, "owned_by": "fake"} for name in _MODELS]
    return {"object": "list", "data": data}


def _gemini_models() -> dict[str, Any]:
    models = [
        {"name": f"models/{name}", "displayName": name, "inputTokenLimit": 8192, "outputTokenLimit": 2048}
        for name in _MODELS
    ]
    return {"models": models}


def _ollama_models() -> dict[str, Any]:
    return {"models": [{"name": name, "model": name, "size": 1, "details": {"family": "fake"}} for name in _MODELS]}


_MODEL_LISTS = {"openai_chat": _openai_models, "gemini_content": _gemini_models, "ollama_chat": _ollama_models}


def _vector(text: str, size: int | None) -> list[float]:
    """The same short vector for the same text, without any meaning."""
    digest = hashlib.sha256(text.encode()).digest()
    return [round(digest[place % 32] / 255, 4) for place in range(size or 8)]


def _embeddings(route: Route, body: dict[str, Any]) -> dict[str, Any]:
    if route.dialect == "gemini_content":
        vectors = [
            _vector(
                "".join(part.get("text", "") for part in item["content"]["parts"]), item.get("outputDimensionality")
            )
            for item in body.get("requests") or ()
        ]
        return {"embeddings": [{"values": vector} for vector in vectors]}
    texts = body.get("input") or []
    texts = [texts] if isinstance(texts, str) else texts
    vectors = [_vector(text, body.get("dimensions")) for text in texts]
    if route.dialect == "ollama_chat":
        return {"model": body.get("model"), "embeddings": vectors, "prompt_eval_count": len(texts)}
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
    return {"object": "list", "data": data, "model": body.get("model"), "usage": usage}
