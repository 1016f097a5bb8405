"""The smaller calls: models, embeddings, token counts. Each may take several exchanges, under one deadline."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, TypeVar

from provider_kit.dialects.base import ParameterReport, WireRequest
from provider_kit.engine.attempt_state import NO_RETRY_STATE
from provider_kit.engine.attempts import Attempts
from provider_kit.engine.exchange import read_answer
from provider_kit.engine.files import has_parts, load_files
from provider_kit.errors import InvalidResponseError, NotSupportedError, ProviderKitError
from provider_kit.model.chat import ChatRequest
from provider_kit.model.models import EmbeddingRequest, Embeddings, Model
from provider_kit.model.usage import Quote, Usage
from provider_kit.policies.estimate import estimate_text
from provider_kit.providers.base import Provider
from provider_kit.wire.http import HttpRequest
from provider_kit.wire.response_headers import request_id

__all__ = ["ask_once", "count_tokens", "embed", "list_models", "read_pages"]

T = TypeVar("T")

_LOG = logging.getLogger("provider_kit")

#: Characters of the shortest token to be expected on average; more batches than needed do no harm.
_CHARACTERS = 2
#: More pages of models than any provider has.
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


async def ask_once(attempts: Attempts, wire: WireRequest, *, empty: bool = False) -> tuple[Any, Mapping[str, str]]:
    """Return the JSON and the headers of one answer.

    Args:
        attempts: The handling of the call.
        wire: The request.
        empty: Whether the answer may be empty.
    """

    async def once(_: Attempts, request: HttpRequest) -> tuple[Any, Mapping[str, str]]:
        response = await attempts.http.send(request, attempts.limits)
        bare = response.status < 300 and not response.body.strip()
        found = None if bare and (empty or "upload" in wire.before) else attempts.endpoint.read_json(response)
        told = attempts.succeeded(response.headers)
        if told is not None:
            await told
        return found, response.headers

    return await attempts.run(attempts.endpoint.prepare(wire), once)


async def list_models(attempts: Attempts) -> list[Model]:
    """All models, with all that is known of them: fresh from the provider, or from its list while that is fresh.

    While the provider cannot be reached, an older list serves.

    Raises:
        ProviderKitError: The list cannot be fetched, and there is none.
    """
    call, directory = attempts.call, attempts.endpoint.directory
    now = attempts.runtime.now()
    if call.probing:
        return await _fetch_models(attempts)
    if not call.cached or not directory.fresh(now):
        try:
            directory.keep(await _fetch_models(attempts), now)
        except ProviderKitError as error:
            if not (call.cached and directory.is_listed and error.retryable):
                raise
            _LOG.warning(
                "%s: the list of models could not be fetched (%s); an older one is used.",
                attempts.endpoint.name,
                type(error).__name__,
            )
    return directory.listed()


async def read_pages(fetch: Callable[[str | None], Awaitable[tuple[list[T], str | None]]], most: int) -> list[T]:
    """The items of a list, over as many pages as there are.

    Args:
        fetch: Returns the items of the page at a cursor, and the cursor of the next one.
        most: More pages than any list has; limits a server that never ends its own.
    """
    items: list[T] = []
    cursor: str | None = None
    for _ in range(most):
        page, following = await fetch(cursor)
        items.extend(page)
        if not following or following == cursor:
            break
        cursor = following
    return items


async def _fetch_models(attempts: Attempts) -> list[Model]:
    """All models of the provider."""
    dialect = attempts.endpoint.dialect_for(attempts.model or "")

    async def fetch(cursor: str | None) -> tuple[list[Model], str | None]:
        page, _id = await _ask(attempts, dialect.build_models(cursor), dialect.parse_models)
        return page

    return await read_pages(fetch, _MAX_PAGES)


async def embed(attempts: Attempts) -> Embeddings:
    """Vectors for all texts, in as many requests as the provider's batch size requires."""
    request: EmbeddingRequest = attempts.call.request  # type: ignore[assignment]  # an embedding's
    endpoint = attempts.endpoint
    dialect = endpoint.dialect_for(request.model)
    if not endpoint.provider.has_embeddings:
        raise NotSupportedError(
            f"{endpoint.name} has no endpoint for embeddings.",
            provider=endpoint.name,
            hint="Use another provider for this: OpenAI, Gemini, Mistral, Qwen, OpenRouter and Ollama have one.",
        )
    result = Embeddings([], request.model, provider=endpoint.name)
    for number, batch in enumerate(_batches(request.texts, endpoint.provider)):

        def read(payload: Any, expected: int = len(batch)) -> Embeddings:
            found = dialect.parse_embed(payload)
            lengths = {len(vector) for vector in (*found.vectors, *result.vectors[:1])}
            if 0 in lengths or len(lengths) > 1:
                raise InvalidResponseError(
                    f"The vectors are not of one length: {', '.join(map(str, sorted(lengths)))}.", status_code=200
                )
            if len(found.vectors) != expected:
                raise InvalidResponseError(
                    f"{expected} texts were sent, {len(found.vectors)} vectors came back.", status_code=200
                )
            return found

        attempts.expect(estimate_text(batch))
        attempts.retry = NO_RETRY_STATE  # each batch has all its retries
        wire = dialect.build_embed(batch, request.model, request.dimensions)
        found, result.request_id = await _ask(attempts, wire, read, extra_body=request.extra_body)
        result.vectors.extend(found.vectors)
        result.model = found.model or result.model
        result.raw = found.raw
        found.usage.price_by(Quote(endpoint.directory, (found.model, request.model), attempts.lease.time))
        result.usage = found.usage if number == 0 else _add(result.usage, found.usage)
    return result


def _batches(texts: list[str], provider: Provider) -> Iterator[list[str]]:
    """The texts in batches that the provider takes, in their order."""
    batch: list[str] = []
    tokens = 0
    for text in texts:
        size = len(text) // _CHARACTERS + 1
        full = provider.embed_tokens is not None and tokens + size > provider.embed_tokens
        if batch and (full or len(batch) >= provider.embed_batch):
            yield batch
            batch, tokens = [], 0
        batch.append(text)
        tokens += size
    yield batch


def _add(one: Usage, other: Usage) -> Usage:
    """The usage of two batches; what one of them did not report is unknown, not too small."""
    total = one + other
    for name in ("input_tokens", "output_tokens", "total_tokens"):
        if getattr(one, name) is None or getattr(other, name) is None:
            setattr(total, name, None)
    return total


async def count_tokens(attempts: Attempts) -> int:
    """Tokens of a request, as the provider counts them."""
    request: ChatRequest = attempts.call.request  # type: ignore[assignment]  # a conversation
    endpoint = attempts.endpoint
    dialect = endpoint.dialect_for(request.model)
    dialect = dialect.counter or dialect
    if has_parts(request):
        request = await load_files(attempts, request, dialect)
    on_unsupported = attempts.call.on_unsupported or attempts.parts.config.on_unsupported
    wire = dialect.build_count(request, ParameterReport(on_unsupported, endpoint.name, request.model))
    extra = {"extra_headers": request.extra_headers, "extra_query": request.extra_query}
    count, _ = await _ask(attempts, wire, dialect.parse_count, **extra)
    return count
