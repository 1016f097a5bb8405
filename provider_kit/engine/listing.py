"""The smaller calls: models, embeddings, token counts. Each may take several exchanges, under one deadline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from provider_kit.dialects.base import ParameterReport, WireRequest
from provider_kit.engine.attempts import Attempts
from provider_kit.engine.exchange import read_answer
from provider_kit.errors import InvalidResponseError, NotSupportedError
from provider_kit.model.chat import ChatRequest, Usage
from provider_kit.model.models import EmbeddingRequest, Embeddings, Model
from provider_kit.policies.estimate import estimate_text
from provider_kit.wire.http import HttpRequest
from provider_kit.wire.response_headers import request_id

__all__ = ["count_tokens", "embed", "list_models"]

T = TypeVar("T")

#: More pages than any provider has; limits a server that never ends its list.
_MAX_PAGES = 100


async def _ask(attempts: Attempts, wire: WireRequest, read: Callable[[Any], T], **extra: Any) -> tuple[T, str | None]:
    """Return the result of one request, and its request id."""

    async def once(_: Attempts, request: HttpRequest) -> tuple[T, str | None]:
        response = await attempts.http.send(request, attempts.limits)
        found = read_answer(attempts.endpoint, response, read)
        used = found.usage.total_tokens if isinstance(found, Embeddings) else None
        told = attempts.succeeded(response.headers, used)
        if told is not None:
            await told
        return found, request_id(response.headers)

    return await attempts.run(attempts.endpoint.prepare(wire, **extra), once)


async def list_models(attempts: Attempts) -> list[Model]:
    """All models, over as many pages as the provider has."""
    dialect = attempts.endpoint.dialect_for(attempts.model or "")
    models: list[Model] = []
    cursor: str | None = None
    for _ in range(_MAX_PAGES):
        (page, following), _id = await _ask(attempts, dialect.build_models(cursor), dialect.parse_models)
        models.extend(page)
        if not following or following == cursor:
            break
        cursor = following
    return models


async def embed(attempts: Attempts) -> Embeddings:
    """Vectors for all texts, in as many requests as the provider's batch size requires."""
    request: EmbeddingRequest = attempts.call.request  # type: ignore[assignment]  # an embedding's
    endpoint = attempts.endpoint
    dialect = endpoint.dialect_for(request.model)
    size = endpoint.provider.embed_batch
    if not endpoint.provider.has_embeddings:
        raise NotSupportedError(
            f"{endpoint.name} has no endpoint for embeddings.",
            provider=endpoint.name,
            hint="Use another provider for this: OpenAI, Gemini, Mistral, Qwen, OpenRouter and Ollama have one.",
        )
    result = Embeddings([], request.model, provider=endpoint.name)
    for start in range(0, len(request.texts), size):
        batch = request.texts[start : start + size]

        def read(payload: Any, expected: int = len(batch)) -> Embeddings:
            found = dialect.parse_embed(payload)
            if len(found.vectors) != expected:
                raise InvalidResponseError(
                    f"{expected} texts were sent, {len(found.vectors)} vectors came back.", status_code=200
                )
            return found

        attempts.expect(estimate_text(batch))
        wire = dialect.build_embed(batch, request.model, request.dimensions)
        found, result.request_id = await _ask(attempts, wire, read, extra_body=request.extra_body)
        result.vectors.extend(found.vectors)
        result.model = found.model or result.model
        result.raw = found.raw
        result.usage = found.usage if start == 0 else _add(result.usage, found.usage)
    return result


def _add(one: Usage, other: Usage) -> Usage:
    def total(a: int | None, b: int | None) -> int | None:
        return None if a is None or b is None else a + b

    return Usage(
        total(one.input_tokens, other.input_tokens),
        total(one.output_tokens, other.output_tokens),
        total_tokens=total(one.total_tokens, other.total_tokens),
    )


async def count_tokens(attempts: Attempts) -> int:
    """Tokens of a request, as the provider counts them."""
    request: ChatRequest = attempts.call.request  # type: ignore[assignment]  # a conversation
    endpoint = attempts.endpoint
    dialect = endpoint.dialect_for(request.model)
    dialect = dialect.counter or dialect
    on_unsupported = attempts.call.on_unsupported or attempts.parts.config.on_unsupported
    wire = dialect.build_count(request, ParameterReport(on_unsupported, endpoint.name, request.model))
    extra = {"extra_headers": request.extra_headers, "extra_query": request.extra_query}
    count, _ = await _ask(attempts, wire, dialect.parse_count, **extra)
    return count
