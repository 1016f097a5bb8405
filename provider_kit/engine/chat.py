"""A whole answer: build, send, read, and again if the policy says so."""

from __future__ import annotations

from provider_kit.dialects.base import Dialect, ParameterReport
from provider_kit.dialects.openai_usage import read_count
from provider_kit.dialects.parse_errors import PARSE_ERRORS, unreadable
from provider_kit.engine.attempts import Run
from provider_kit.engine.cache import Lookup, from_cache, look_up
from provider_kit.engine.endpoint import Draft
from provider_kit.errors import APIError, ProviderKitError
from provider_kit.model.chat import ChatRequest, ChatResponse, Timings
from provider_kit.policies.response_cache import CacheEntry
from provider_kit.transports.callers_own import callers_own
from provider_kit.wire.response_headers import request_id

__all__ = ["chat"]


async def chat(run: Run, request: ChatRequest, report: ParameterReport) -> ChatResponse:
    """Ask for a whole answer.

    Raises:
        ProviderKitError: What went wrong, with every attempt listed.
    """
    endpoint = run.endpoint
    dialect = endpoint.dialect_for(request.model)
    call = dialect.build_chat(request, stream=False, report=report)
    draft = endpoint.draft(
        call, extra_body=request.extra_body, extra_headers=request.extra_headers, extra_query=request.extra_query
    )
    if run.gate.cache is None:
        return await _ask(run, dialect, draft, report, None)
    lookup = await look_up(run, request, dialect, call)
    if lookup is not None and lookup.entry is not None and lookup.read is not None:
        return from_cache(run, lookup.read[1], lookup.entry, report.warnings)
    try:
        return await _ask(run, dialect, draft, report, lookup)
    finally:
        if lookup is not None:
            lookup.done()


async def _ask(
    run: Run, dialect: Dialect, draft: Draft, report: ParameterReport, lookup: Lookup | None
) -> ChatResponse:
    endpoint, transport = run.endpoint, run.transport
    while True:
        http = run.begin_at_once(draft, False) or await run.begin(draft, False)
        try:
            response = await transport.send(http, run.limits)
            payload = endpoint.read_json(response)
            try:
                answer = dialect.parse_chat(payload)
            except APIError as error:
                error.headers = dict(response.headers)
                error.request_id = error.request_id or request_id(response.headers)
                raise endpoint.finish_error(error) from None
            except ProviderKitError:
                raise
            except PARSE_ERRORS as error:
                if callers_own([error]) is not None:
                    raise
                raise endpoint.finish_error(unreadable(error, response.status, payload)) from error
        except ProviderKitError as error:
            await run.failed(error)
            continue
        except BaseException:  # cancelled: what the attempt holds is given back
            run.abandon()
            raise
        headers = response.headers
        answer.provider = endpoint.name
        answer.headers = headers
        answer.request_id = request_id(headers)
        answer.warnings = report.warnings
        answer.attempts = await run.succeeded(headers, total_tokens(answer) if run.gate.wants_usage else None)
        if lookup is not None:
            answer.cache = "miss"
            await lookup.keep(answer, CacheEntry("json", response.body, answer.request_id))
        total = transport.now() - run.started
        answer.timings = Timings(total, total)
        return answer


def total_tokens(answer: ChatResponse) -> int | None:
    """All tokens of an answer; where it names the sum, the buckets need not be worked out."""
    usage = answer.raw.get("usage") if type(answer.raw) is dict else None
    total = usage.get("total_tokens") if type(usage) is dict else None
    return read_count(total) if type(total) is int else answer.usage.total_tokens
