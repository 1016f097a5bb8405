"""A whole answer: written once, asked for as often as the policies allow, read."""

from __future__ import annotations

from provider_kit.dialects.base import ParameterReport
from provider_kit.dialects.openai_usage import read_count
from provider_kit.engine.attempts import Attempts
from provider_kit.engine.cache import Lookup, from_cache, look_up
from provider_kit.engine.exchange import exchange
from provider_kit.model.chat import ChatRequest, ChatResponse, Timings
from provider_kit.policies.response_cache import CacheEntry
from provider_kit.wire.http import HttpRequest
from provider_kit.wire.response_headers import request_id

__all__ = ["chat"]


async def chat(attempts: Attempts) -> ChatResponse:
    """Ask for a whole answer.

    Raises:
        ProviderKitError: What went wrong, with every attempt listed.
    """
    call, endpoint, parts = attempts.call, attempts.endpoint, attempts.parts
    request: ChatRequest = call.request  # type: ignore[assignment]  # a conversation
    dialect = endpoint.dialect_for(request.model)
    report = ParameterReport(call.on_unsupported or parts.config.on_unsupported, endpoint.name, request.model)
    wire = dialect.build_chat(request, stream=False, report=report)
    prepared = endpoint.prepare(
        wire, extra_body=request.extra_body, extra_headers=request.extra_headers, extra_query=request.extra_query
    )
    lookup: Lookup | None = None

    async def once(attempts: Attempts, http: HttpRequest) -> ChatResponse:
        answer, response = await exchange(attempts, http, dialect.parse_chat)
        headers = response.headers
        answer.provider = endpoint.name
        answer.headers = headers
        answer.request_id = request_id(headers)
        answer.warnings = report.warnings
        answer.attempts = await attempts.succeeded(headers, _total_tokens(answer) if parts.wants_usage else None)
        if lookup is not None:
            answer.cache = "miss"
            await lookup.keep(answer, CacheEntry("json", response.body, answer.request_id))
        total = attempts.runtime.now() - call.started
        answer.timings = Timings(total, total)
        return answer

    if parts.cache is None or not call.cached:
        return await attempts.run(prepared, once)
    lookup = await look_up(attempts, request, dialect, wire)
    if lookup is not None and lookup.entry is not None and lookup.read is not None:
        return from_cache(attempts, lookup.read[1], lookup.entry, report.warnings)
    try:
        return await attempts.run(prepared, once)
    finally:
        if lookup is not None:
            lookup.done()


def _total_tokens(answer: ChatResponse) -> int | None:
    """All tokens of an answer; where it names the sum, the buckets need not be worked out."""
    usage = answer.raw.get("usage") if type(answer.raw) is dict else None
    total = usage.get("total_tokens") if type(usage) is dict else None
    return read_count(total) if type(total) is int else answer.usage.total_tokens
