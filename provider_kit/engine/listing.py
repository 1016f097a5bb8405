"""The smaller calls: models, embeddings, token counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from provider_kit.dialects.base import ParameterReport, WireRequest
from provider_kit.dialects.parse_errors import PARSE_ERRORS, unreadable
from provider_kit.engine.attempts import Run
from provider_kit.errors import APIError, InvalidResponseError, NotSupportedError, ProviderKitError
from provider_kit.model.chat import ChatRequest, Usage
from provider_kit.model.models import Embeddings, Model
from provider_kit.policies.estimate import estimate_text
from provider_kit.wire.http import HttpResponse
from provider_kit.wire.response_headers import request_id

__all__ = ["count_tokens", "embed", "list_models"]

T = TypeVar("T")

#: More pages than any provider has; a server that never ends its list must not keep us for ever.
_MAX_PAGES = 100


async def _ask(run: Run, call: WireRequest, read: Callable[[Any, HttpResponse], T], **extra: Any) -> T:
    endpoint = run.endpoint
    draft = endpoint.draft(call, **extra)
    while True:
        http = run.begin_at_once(draft, False) or await run.begin(draft, False)
        try:
            response = await run.transport.send(http, run.limits)
            payload = endpoint.read_json(response)
            try:
                found = read(payload, response)
            except ProviderKitError:
                raise
            except PARSE_ERRORS as error:
                raise unreadable(error, response.status, payload) from error
        except APIError as error:
            await run.failed(endpoint.finish_error(error))
            continue
        except ProviderKitError as error:
            await run.failed(error)
            continue
        except BaseException:  # cancelled: what the attempt holds is given back
            run.abandon()
            raise
        await run.succeeded(response.headers, found.usage.total_tokens if isinstance(found, Embeddings) else None)
        return found


async def list_models(run: Run) -> list[Model]:
    """All models, over as many pages as the provider has."""
    dialect = run.endpoint.dialect_for(run.model or "")
    models: list[Model] = []
    cursor: str | None = None
    for _ in range(_MAX_PAGES):
        page, following = await _ask(
            run, dialect.build_models(cursor), lambda payload, _: dialect.parse_models(payload)
        )
        models.extend(page)
        if not following or following == cursor:
            break
        cursor = following
    return models


async def embed(
    run: Run, texts: Sequence[str], model: str, dimensions: int | None, extra: dict[str, Any]
) -> Embeddings:
    """Vectors for all texts, in as many requests as the provider's batch size asks for."""
    dialect = run.endpoint.dialect_for(model)
    size = run.endpoint.provider.embed_batch
    if not run.endpoint.provider.has_embeddings:
        raise NotSupportedError(
            f"{run.endpoint.name} has no endpoint for embeddings.",
            provider=run.endpoint.name,
            hint="Use another provider for this: OpenAI, Gemini, Mistral, Qwen, OpenRouter and Ollama have one.",
        )
    result = Embeddings([], model, provider=run.endpoint.name)
    for start in range(0, len(texts), size):
        batch = texts[start : start + size]

        def read(payload: Any, response: HttpResponse, expected: int = len(batch)) -> Embeddings:
            found = dialect.parse_embed(payload)
            if len(found.vectors) != expected:
                raise InvalidResponseError(
                    f"{expected} texts were sent, {len(found.vectors)} vectors came back.", status_code=response.status
                )
            found.request_id = request_id(response.headers)
            return found

        run.expect(estimate_text(batch))
        found = await _ask(run, dialect.build_embed(batch, model, dimensions), read, **extra)
        result.vectors.extend(found.vectors)
        result.model = found.model or result.model
        result.request_id = found.request_id
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


async def count_tokens(run: Run, request: ChatRequest, report: ParameterReport) -> int:
    """Tokens of a request, as the provider counts them."""
    dialect = run.endpoint.dialect_for(request.model)
    dialect = dialect.counter or dialect
    call = dialect.build_count(request, report)
    extra = {"extra_headers": request.extra_headers, "extra_query": request.extra_query}
    return await _ask(run, call, lambda payload, _: dialect.parse_count(payload), **extra)
