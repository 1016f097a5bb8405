"""One provider's engine: a handler that sends calls to the provider. Start reading here."""

from __future__ import annotations

from provider_kit.dialects.base import ParameterReport
from provider_kit.engine import call_end
from provider_kit.engine.attempt_state import AttemptState
from provider_kit.engine.attempts import Attempts, CallerLeft
from provider_kit.engine.cache import Lookup, from_cache, look_up
from provider_kit.engine.call import Call
from provider_kit.engine.engine_parts import EngineParts
from provider_kit.engine.exchange import read_answer
from provider_kit.engine.files import has_parts, load_files
from provider_kit.engine.handler import Reply
from provider_kit.engine.listing import count_tokens, embed, list_models
from provider_kit.engine.ollama import manage, pull
from provider_kit.engine.stream import begin_stream
from provider_kit.engine.uploads import delete_file, list_files, upload_file
from provider_kit.engine.window import check_window
from provider_kit.model.cancellation import CancelToken
from provider_kit.model.chat import ChatRequest, ChatResponse
from provider_kit.policies.response_cache import CacheEntry
from provider_kit.wire.http import HttpRequest
from provider_kit.wire.response_headers import request_id

__all__ = ["Engine"]

#: More tokens than any call uses; a larger number is checked.
_PLAUSIBLE = 1 << 40


class Engine:
    """Answers the calls of one client.

    Args:
        parts: The parts that its calls share.
    """

    def __init__(self, parts: EngineParts) -> None:
        self.parts = parts

    async def handle(self, call: Call) -> Reply:
        """Answer a call.

        Raises:
            CallCancelledError: It was cancelled.
            ProviderKitError: It failed; the error lists every attempt.
        """
        attempts = Attempts(self.parts, call)
        live = self.parts.live
        live[id(attempts)] = (call.operation, attempts.model, call.started, call.correlation_id)
        try:
            if call.cancel is not None:
                reply = await self._handle_until_cancelled(attempts, call.cancel)
            elif call.operation == "stream":
                reply = await begin_stream(attempts)
            else:
                reply = Reply(await _WHOLE[call.operation](attempts))
        except BaseException as error:  # on cancellation too: it has ended
            call_end.failed(attempts, error)
            raise
        if reply.state is None:
            live.pop(id(attempts), None)
            if attempts.events.wants_ends:
                call_end.answered(attempts, reply.answer)
        return reply

    def outlook(self, call: Call, now: float, model: str | None) -> float:
        """Seconds a call would wait before it is sent; infinity if it would be refused. For routers.

        Args:
            call: The call.
            now: The clock.
            model: The model it would ask.
        """
        return self.parts.admission.outlook(_Asked(call, self.parts, model), now)

    async def _handle_until_cancelled(self, attempts: Attempts, cancel: CancelToken) -> Reply:
        live = False
        try:
            if cancel.cancelled:
                raise CallerLeft
            if attempts.operation == "stream":
                reply = await begin_stream(attempts)
                live = True
                return reply
            return Reply(await _WHOLE[attempts.operation](attempts))
        except CallerLeft:
            raise attempts.cancelled() from None
        finally:
            if not live:  # else the stream does, at its end
                cancel.detach(attempts)


class _Asked(AttemptState):
    """A call that is not made yet."""

    def __init__(self, call: Call, parts: EngineParts, model: str | None) -> None:
        super().__init__(call, parts.endpoint, parts.policy, observed=False)
        self.model = model or self.model


async def chat(attempts: Attempts) -> ChatResponse:
    """Request a whole answer.

    Raises:
        ProviderKitError: What went wrong, with every attempt listed.
    """
    call, endpoint, parts = attempts.call, attempts.endpoint, attempts.parts
    request: ChatRequest = call.request  # type: ignore[assignment]  # a conversation
    dialect = endpoint.dialect_for(request.model)
    report = ParameterReport(call.on_unsupported or parts.config.on_unsupported, endpoint.name, request.model)
    check_window(request, endpoint, dialect.name, attempts.runtime)
    if has_parts(request):
        request = await load_files(attempts, request, dialect)
    wire = dialect.write_chat(request, stream=False, report=report)
    prepared = endpoint.prepare(
        wire, extra_body=request.extra_body, extra_headers=request.extra_headers, extra_query=request.extra_query
    )
    lookup: Lookup | None = None

    async def once(attempts: Attempts, http: HttpRequest) -> ChatResponse:
        response = await attempts.http.send(http, attempts.limits)
        answer = read_answer(endpoint, response, dialect.parse_chat)
        headers = response.headers
        answer.provider = endpoint.name
        answer.headers = headers
        answer.request_id = request_id(headers)
        answer.correlation_id = call.correlation_id
        answer.warnings = report.warnings
        answer.price_by(endpoint.directory, request.model)
        told = attempts.succeeded(headers, _total_tokens(answer) if parts.wants_usage else None)
        if told is not None:
            await told
        if lookup is not None:
            answer.cache = "miss"
            await lookup.keep(answer, CacheEntry("json", response.body, answer.request_id))
        now = attempts.runtime.now()
        answer.attempts = attempts.all_at(now)
        total = now - call.started
        answer.timings = attempts.timings(total, total)
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
    """All tokens of an answer; where it contains the sum, the buckets are not computed."""
    usage = answer.raw.get("usage") if type(answer.raw) is dict else None
    total = usage.get("total_tokens") if type(usage) is dict else None
    if type(total) is int and 0 <= total < _PLAUSIBLE:
        return total
    return answer.reported_usage.total_tokens


#: The functions for whole answers, by operation.
_WHOLE = {
    "chat": chat,
    "models": list_models,
    "health_check": list_models,
    "embed": embed,
    "count_tokens": count_tokens,
    "upload": upload_file,
    "list_files": list_files,
    "delete_file": delete_file,
    "ollama": manage,
    "pull": pull,
}
