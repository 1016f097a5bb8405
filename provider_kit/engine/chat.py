"""A whole answer: build, send, read, and again if the policy says so."""

from __future__ import annotations

from provider_kit.dialects.base import Notes
from provider_kit.engine.attempts import Run
from provider_kit.engine.unreadable import UNREADABLE, unreadable
from provider_kit.errors import APIError, ProviderKitError
from provider_kit.model.chat import ChatRequest, ChatResponse, Timings
from provider_kit.wire.response_headers import request_id

__all__ = ["chat"]


async def chat(run: Run, request: ChatRequest, notes: Notes) -> ChatResponse:
    """Ask for a whole answer.

    Raises:
        ProviderKitError: What went wrong, with every attempt listed.
    """
    endpoint, transport = run.endpoint, run.transport
    dialect = endpoint.dialect_for(request.model)
    call = dialect.build_chat(request, stream=False, notes=notes)
    while True:
        run.begin_attempt()
        try:
            http = endpoint.write(
                call,
                await run.headers(False),
                extra_body=request.extra_body,
                extra_headers=request.extra_headers,
                extra_query=request.extra_query,
            )
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
            except UNREADABLE as error:
                raise endpoint.finish_error(unreadable(error, response.status, payload)) from error
        except ProviderKitError as error:
            await run.failed(error)
            continue
        headers = response.headers
        answer.provider = endpoint.name
        answer.headers = headers
        answer.request_id = request_id(headers)
        answer.warnings = notes.warnings
        answer.attempts = run.succeeded()
        total = transport.now() - run.started
        answer.timings = Timings(total, total)
        return answer
