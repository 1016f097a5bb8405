"""A streamed answer: one generator between the decoder and the user.

Until the first content has reached the caller, a failure may be followed by another attempt, unseen.
From then on it is a :class:`StreamError` that carries what was received.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any, Literal

from attrs import define, fields

from provider_kit.dialects.base import Dialect, ParameterReport, StreamDecoder, StreamFailure
from provider_kit.dialects.parse_errors import PARSE_ERRORS, read_answer, unreadable
from provider_kit.engine.attempts import CallerLeft, Run
from provider_kit.engine.cache import Lookup, from_cache, look_up
from provider_kit.engine.endpoint import Draft
from provider_kit.errors import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    InvalidResponseError,
    ProviderKitError,
    ResponseLostError,
    StreamError,
    StreamIncompleteError,
    StreamTimeoutError,
)
from provider_kit.model.chat import Attempt, ChatRequest, ChatResponse, Chunk, Timings, ToolCallDelta
from provider_kit.model.messages import Media, Message, Native, Part
from provider_kit.policies.response_cache import CacheEntry
from provider_kit.transports.base import ByteStream
from provider_kit.transports.callers_own import callers_own
from provider_kit.wire.redaction import mask_known, redact, redact_headers, redact_value
from provider_kit.wire.response_headers import request_id

__all__ = ["StreamState", "begin_stream", "stream"]


@define
class StreamState:
    """What is known of a stream so far; shared by the generator and the object the user holds."""

    run: Run
    request: ChatRequest
    report: ParameterReport
    dialect: Dialect
    draft: Draft
    decoder: StreamDecoder | None = None
    #: An answer that came whole although a stream was asked for.
    whole: ChatResponse | None = None
    body: ByteStream | None = None
    attempts: tuple[Attempt, ...] = ()
    ended: float | None = None
    #: The bytes as they came, for the cache.
    collected: list[bytes] | None = None
    collected_bytes: int = 0
    #: Whether the cache had it.
    hit: bool = False
    #: Whether its reader's side has begun to close it.
    closing: bool = False

    def interrupt(self) -> None:
        """The caller has left while another thread, or another task, waits or reads: end that."""
        self.run.leave()
        body = self.body
        if body is None:
            getattr(self.run.transport, "interrupt", _no_interrupt)(self.run.limits)
        else:
            getattr(body, "interrupt", _no_interrupt)()

    def response(self) -> ChatResponse:
        """The answer as far as it was received."""
        run = self.run
        if self.whole is not None:
            answer = self.whole
        elif self.decoder is not None:
            answer = self.decoder.response()
        else:
            answer = ChatResponse(Message("assistant", ""), "error")
        if self.hit:
            return answer
        answer.provider = run.endpoint.name
        answer.warnings = self.report.warnings
        answer.attempts = self.attempts or tuple(run.attempts)
        answer.timings = Timings(run.first_content, self.ended)
        answer.cache = "miss" if self.collected is not None else None
        if self.body is not None:
            answer.headers = self.body.headers
            answer.request_id = request_id(self.body.headers)
        return answer


def _partial(state: StreamState) -> ChatResponse:
    """What was received, without known secrets: a server that fails may echo what it was sent, anywhere."""
    partial, endpoint = state.response(), state.run.endpoint
    secrets, credentials = endpoint.secrets, endpoint.credentials
    content = partial.message.content
    for holder in (partial, partial.message, *(content if isinstance(content, list) else ())):
        for field in fields(type(holder)):
            value = getattr(holder, field.name)
            if isinstance(value, (str, dict, list)):
                setattr(holder, field.name, mask_known(value, credentials))
    partial.raw = redact_value(partial.raw, secrets)  # it may be the error's event
    partial.headers = redact_headers(partial.headers, secrets)
    return partial


def _flush(decoder: StreamDecoder | None) -> None:
    """Let a decoder take what it held back, now that nothing more will come."""
    flush = getattr(decoder, "flush", None)
    if flush is not None:
        with suppress(StreamFailure, *PARSE_ERRORS):  # the failure that ended the stream is what is told
            flush()


def _no_interrupt(*_: object) -> None:
    """For transports that cannot: the read ends by itself."""


def begin_stream(run: Run, request: ChatRequest, report: ParameterReport) -> StreamState:
    """Write the request of a stream; nothing is sent yet.

    Raises:
        InvalidRequestError: What was asked for cannot be said.
    """
    dialect = run.endpoint.dialect_for(request.model)
    draft = run.endpoint.draft(
        dialect.build_chat(request, stream=True, report=report),
        extra_body=request.extra_body,
        extra_headers=request.extra_headers,
        extra_query=request.extra_query,
    )
    return StreamState(run, request, report, dialect, draft)


async def stream(state: StreamState) -> AsyncGenerator[Chunk, None]:
    """Ask for a streamed answer and yield its chunks; the last one carries the finish reason.

    Raises:
        ProviderKitError: It failed before the first content.
        StreamError: It failed, or was cut, after it.
    """
    run = state.run
    endpoint, transport = run.endpoint, run.transport
    lookup: Lookup | None = None
    wait: float | None = 0.0
    try:
        lookup = await look_up(run, state.request, state.dialect)
        kept = _replayed(state, lookup)
        if kept is not None:
            for chunk in kept:
                yield chunk
            return
        collected = state.collected = [] if lookup is not None else None
        while True:
            committed = settled = False
            body: ByteStream | None = None
            state.decoder = state.body = None
            if collected:  # an attempt that brought no content is no part of the answer
                collected.clear()
                state.collected_bytes = 0
            http = run.begin_at_once(state.draft, True) or await run.begin(state.draft, True)
            try:
                if run.gone:
                    return
                body = state.body = await transport.open_stream(http, run.limits)
                if run.gone:
                    return
                if body.status >= 300:
                    raise endpoint.error(body.status, body.headers, await _read_all(body))
                kind = (body.headers.get("content-type") or "").partition(";")[0].strip().lower()
                if kind in ("application/json", "text/html"):
                    chunks = _read_whole(state, body, await _read_all(body))
                    committed = True
                    await _begun(run)
                    for chunk in chunks:
                        yield chunk
                    settled = True
                    await _end(state, lookup)
                    return
                decoder = state.decoder = state.dialect.stream_decoder()
                read, feed = body.read, decoder.feed
                while not decoder.complete:
                    data = await read()
                    if collected is not None:
                        _collect(state, data)
                    if not data:
                        for chunk in decoder.finish():
                            if not committed:
                                committed = True
                                await _begun(run)
                            yield chunk
                        break
                    progressed = False
                    if run.gone:
                        return
                    for chunk in feed(data):
                        if not committed:
                            committed = True
                            await _begun(run)
                        progressed = True
                        yield chunk
                    if progressed:
                        body.progress()
                if not decoder.complete:
                    raise _incomplete(decoder)
                settled = True
                await _end(state, lookup)
                return
            except (StreamFailure, ProviderKitError, *PARSE_ERRORS) as error:
                if settled or callers_own([error]) is not None:
                    raise
                if run.gone:
                    return  # closed from elsewhere: what came of it is the stream's end
                settled = True
                now = transport.now()
                state.ended = now - run.started
                failure = _public(state, error)
                if committed:
                    await run.broke_off(failure, now)
                    raise _after_content(state, failure) from (failure if failure is not error else error.__cause__)
                if isinstance(failure, ResponseLostError) and state.decoder is not None:
                    # The stream had begun, so it is not lost but cut.
                    failure = _cut(failure)
                if isinstance(failure, StreamIncompleteError):
                    failure.retryable = True  # nothing of it reached the caller
                wait = await run.judge(failure)
                if isinstance(failure, StreamIncompleteError):
                    failure.partial = _partial(state)
                if wait is None:
                    final = run.final(failure)
                    try:
                        raise final from (failure.__cause__ if final is failure else failure)
                    finally:
                        del final, failure  # or the error and this frame would hold each other
            finally:
                complete = state.decoder is not None and state.decoder.complete
                if not settled:
                    await _left(state, lookup, complete)
                if body is not None:
                    # A caller who stops at the last chunk leaves the connection fit for the next call.
                    await (body.drain() if complete else body.aclose())
            if wait > 0:
                await run.sleep(wait)
    except CallerLeft:
        return
    finally:
        if lookup is not None:
            lookup.done()


def _incomplete(decoder: StreamDecoder) -> StreamIncompleteError:
    """The error for a stream that ended without its end mark."""
    if getattr(decoder, "lacks_only_end", False):  # a decoder of somebody else's may not know
        return StreamIncompleteError(
            "The stream ended without its end mark, after the model had given its reason to stop. What was received "
            "is whole.",
            hint="error.partial is the whole answer; only what a provider sends last, such as usage, may be missing.",
        )
    return StreamIncompleteError("The stream ended before the answer was complete.")


def _cut(error: ResponseLostError) -> StreamIncompleteError:
    made = StreamIncompleteError("The stream was cut before its first content.", request_id=error.request_id)
    made.__cause__ = error.__cause__ or error
    return made


def _replayed(state: StreamState, lookup: Lookup | None) -> list[Chunk] | None:
    """The chunks of an answer that the cache has, if it has it."""
    if lookup is None or lookup.entry is None or lookup.read is None:
        return None
    run = state.run
    chunks, answer = lookup.read
    state.whole = from_cache(run, answer, lookup.entry, state.report.warnings)
    state.hit = True
    run.first_content = state.ended = run.transport.now() - run.started
    return _as_chunks(answer) if chunks is None else chunks


def _collect(state: StreamState, data: bytes) -> None:
    """Keep the bytes of a stream for the cache, as long as they are not too many."""
    collected = state.collected
    if collected is not None and state.run.gate.cache is not None:
        state.collected_bytes += len(data)
        if state.collected_bytes <= state.run.gate.cache.max_entry_bytes:
            collected.append(data)


async def _begun(run: Run) -> None:
    """The first content is here."""
    run.first_content = run.transport.now() - run.started
    if run.minute:
        text = f"first content after {run.first_content:.2f} s"
        await run.gate.events.emit(run, "stream_start", text, wait=run.first_content)


async def _end(state: StreamState, lookup: Lookup | None) -> None:
    """The stream is complete."""
    run = state.run
    now = run.transport.now()
    state.ended = now - run.started
    answer: ChatResponse | None = None
    used: float | None = None
    if lookup is not None or run.gate.wants_usage:
        answer = state.response()
        used = answer.usage.total_tokens
    body = state.body
    state.attempts = await run.succeeded(body.headers if body is not None else {}, used)
    if run.minute:
        await run.gate.events.emit(run, "stream_end", f"stream ended after {state.ended:.2f} s")
    if lookup is not None and answer is not None and state.collected is not None:
        cache = lookup.cache
        if state.collected_bytes <= cache.max_entry_bytes:
            kind: Literal["json", "stream"] = "stream" if state.decoder is not None else "json"
            await lookup.keep(answer, CacheEntry(kind, b"".join(state.collected), answer.request_id))


async def _left(state: StreamState, lookup: Lookup | None, complete: bool) -> None:
    """The caller stopped reading, or went away: at the last chunk that is success, before it nobody knows."""
    if complete:
        await _end(state, lookup)
        return
    run = state.run
    run.abandon()
    if run.minute:
        await run.gate.events.emit(run, "stream_abort", "the caller stopped reading")


async def _read_all(body: ByteStream) -> bytes:
    pieces = []
    while data := await body.read():
        pieces.append(data)
    return b"".join(pieces)


def _read_whole(state: StreamState, body: ByteStream, data: bytes) -> list[Chunk]:
    """An answer that calls itself JSON or a web page: an error, a whole answer, or a stream after all."""
    try:
        payload = read_answer(data)
    except ValueError:
        payload = None  # nothing is raised from here: its context would show all that was answered
        is_json = False
    else:
        is_json = True
    if is_json:
        state.whole = state.dialect.parse_chat(payload)
        chunks: list[Chunk] | None = _as_chunks(state.whole)
    else:
        chunks = _read_mislabelled(state, data)
    if chunks is None:
        raise state.run.endpoint.not_json(body.status, body.headers, data)
    _collect(state, data)
    return chunks


def _read_mislabelled(state: StreamState, data: bytes) -> list[Chunk] | None:
    """The chunks of a complete stream that a proxy gave the wrong content type; ``None`` if it is none."""
    decoder = state.dialect.stream_decoder()
    try:
        chunks = [*decoder.feed(data), *decoder.finish()]
    except StreamFailure:
        return None
    if not decoder.complete:
        return None
    state.decoder = decoder
    return chunks


def _as_chunks(answer: ChatResponse) -> list[Chunk]:
    calls = [
        ToolCallDelta(position, call.id, call.name, call.arguments_json)
        for position, call in enumerate(answer.tool_calls)
    ]
    others: list[Part] = [part for part in answer.message.parts if isinstance(part, (Media, Native))]
    content = Chunk(
        answer.text,
        answer.raw,
        answer.thinking,
        calls or None,
        answer.refusal or "",
        parts=others or None,
        citations=answer.citations or None,
    )
    last = Chunk("", answer.raw, finish_reason=answer.finish_reason, usage=answer.usage)
    return [content, last] if content.has_content else [last]


def _public(state: StreamState, error: Exception) -> ProviderKitError:
    """What the caller may see of an error."""
    if not isinstance(error, (StreamFailure, ProviderKitError)):
        made = unreadable(error, 200, None)
        made.__cause__ = error
        error = made
    if isinstance(error, StreamFailure):
        found = state.run.endpoint.finish_error(error.error)
        error.args = (found.message,)  # as the server said it, it may hold what was sent
        if state.body is not None:
            told = request_id(state.body.headers)
            found.request_id = found.request_id or (told and redact(told, state.run.endpoint.secrets))
        return found
    if isinstance(error, APIError) and not error.headers and state.body is not None:
        error.headers = dict(state.body.headers)
        error.request_id = error.request_id or request_id(error.headers)
        return state.run.endpoint.finish_error(error)
    return error


def _after_content(state: StreamState, failure: ProviderKitError) -> StreamError:
    """An error after content has reached the caller, with what was received."""
    run = state.run
    _flush(state.decoder)
    partial = _partial(state)
    if failure.request_id is not None:
        failure.request_id = redact(failure.request_id, run.endpoint.secrets)
    known: dict[str, Any] = {
        "partial": partial,
        "provider": run.endpoint.name,
        "model": run.model,
        "operation": run.operation,
        "request_id": failure.request_id or partial.request_id,
        "attempts": failure.attempts,
    }
    if isinstance(failure, StreamIncompleteError):
        made = StreamIncompleteError(failure.message, **known)
        made.hint = failure.hint
        return made
    if isinstance(failure, APITimeoutError):
        return StreamTimeoutError(failure.message, **known)
    if isinstance(failure, APIConnectionError):
        return StreamIncompleteError(failure.message, **known)
    status = code = None
    if isinstance(failure, APIError) and not isinstance(failure, InvalidResponseError):
        status, code = failure.status_code, failure.code or failure.type
    return StreamError(failure.message, status_code=status, code=code, **known)
