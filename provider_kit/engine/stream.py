"""A streamed answer: one generator between the decoder and the user.

It is started inside the loop and paused at its first content: until then a failure may be retried invisibly. From then
on the generator owns what the attempt holds, and a failure is a :class:`StreamError` that carries what was received.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Literal

from provider_kit.dialects.base import ParameterReport, StreamFailure
from provider_kit.dialects.parse_errors import PARSE_ERRORS, read_answer
from provider_kit.engine.attempts import Attempts, CallerLeft
from provider_kit.engine.cache import from_cache, look_up
from provider_kit.engine.call_end import stream_ended
from provider_kit.engine.files import has_parts, load_files
from provider_kit.engine.handler import Reply
from provider_kit.engine.live_answers import End, as_chunks, run_on_end
from provider_kit.engine.stream_errors import after_content, before_content, public_error, require_end, without_frames
from provider_kit.engine.stream_state import StreamState
from provider_kit.engine.window import check_window
from provider_kit.errors import (
    ProviderKitError,
)
from provider_kit.model.chat import ChatRequest, ChatResponse, Chunk
from provider_kit.model.events import StreamAborted, StreamEnded, StreamStarted
from provider_kit.model.usage import Quote
from provider_kit.policies.response_cache import CacheEntry
from provider_kit.transports.base import ByteStream
from provider_kit.transports.callers_own import callers_own
from provider_kit.wire.http import HttpRequest

__all__ = ["begin_stream"]


async def begin_stream(attempts: Attempts) -> Reply:
    """Request a streamed answer, and wait for its first content.

    Raises:
        InvalidRequestError: The request cannot be written.
        ProviderKitError: It failed before the first content.
    """
    call, endpoint = attempts.call, attempts.endpoint
    request: ChatRequest = call.request  # type: ignore[assignment]  # a stream's
    dialect = endpoint.dialect_for(request.model)
    report = ParameterReport(call.on_unsupported or attempts.parts.config.on_unsupported, endpoint.name, request.model)
    check_window(request, endpoint, dialect.name, attempts.runtime)
    if has_parts(request):
        request = await load_files(attempts, request, dialect)
    prepared = endpoint.prepare(
        dialect.write_chat(request, stream=True, report=report),
        extra_body=request.extra_body,
        extra_headers=request.extra_headers,
        extra_query=request.extra_query,
    )
    state = StreamState(attempts, dialect, report)
    if attempts.parts.cache is None or not call.cached:
        return Reply(None, state, await attempts.run(prepared, lambda _, http: _prime(state, http)))
    lookup = state.lookup = await look_up(attempts, request, dialect)
    chunks: AsyncGenerator[Chunk, None] | None = None
    try:
        if lookup is not None and lookup.entry is not None and lookup.read is not None:
            chunks = await _replay(state, lookup.entry, *lookup.read)
        else:
            state.collected = [] if lookup is not None else None
            chunks = await attempts.run(prepared, lambda _, http: _prime(state, http))
    finally:
        if chunks is None and lookup is not None:
            lookup.done()
    return Reply(None, state, chunks)


async def _prime(state: StreamState, http: HttpRequest) -> AsyncGenerator[Chunk, None]:
    """The generator of one attempt, paused at its first content."""
    chunks = _stream(state, http)
    await anext(chunks)  # its first item only marks the arrival of content
    return chunks  # type: ignore[return-value]  # only chunks follow


async def _replay(
    state: StreamState, entry: CacheEntry, kept: list[Chunk] | None, answer: ChatResponse
) -> AsyncGenerator[Chunk, None]:
    """The chunks of a cached answer."""
    attempts = state.attempts
    state.whole = from_cache(attempts, answer, entry, state.report.warnings)
    state.hit = True
    attempts.first_content = state.ended = attempts.runtime.now() - attempts.call.started
    chunks = _listed(state, as_chunks(answer) if kept is None else kept)
    await anext(chunks)
    return chunks  # type: ignore[return-value]  # only chunks follow


async def _listed(state: StreamState, chunks: list[Chunk]) -> AsyncGenerator[Chunk | None, None]:
    """Chunks from a list."""
    how: Literal["complete", "left"] = "left"
    try:
        yield None
        for chunk in chunks:
            if state.attempts.gone:
                _raise_if_cancelled(state.attempts)
                return
            yield chunk
        how = "complete"
    finally:
        _ended(state, how)


async def _stream(state: StreamState, http: HttpRequest) -> AsyncGenerator[Chunk | None, None]:
    """The chunks of one attempt: first ``None``, once content has arrived, then the chunks.

    Raises:
        ProviderKitError: It failed before the first content; the loop decides what follows.
        StreamError: It failed, or was truncated, after it.
    """
    attempts = state.attempts
    state.begin_attempt()
    committed = False
    try:
        chunks = await _open(state, http)
        del http  # it would keep the request alive for as long as the stream lasts
        if chunks is not None:
            committed = await _commit(state)
            yield None
            state.chunks = len(chunks)
            for chunk in chunks:
                yield chunk
        else:
            body: ByteStream = state.body  # type: ignore[assignment]  # it was opened
            decoder = state.decoder = state.dialect.stream_decoder()
            read, feed, collected = body.read, decoder.feed, state.collected
            while not decoder.complete:
                data = await read()
                if collected is not None:
                    _collect(state, data)
                if attempts.gone:
                    raise CallerLeft
                progressed = False
                for chunk in feed(data) if data else decoder.finish():
                    if not committed:
                        committed = await _commit(state)
                        yield None
                    progressed = True
                    state.chunks += 1
                    if chunk.usage is not None:
                        quote = Quote(attempts.endpoint.directory, (attempts.model,), attempts.lease.time)
                        chunk.usage.price_by(quote)
                    yield chunk
                if not data:
                    break
                if progressed:
                    body.progress()
            require_end(decoder)
            if not committed:  # an answer without any content
                state.committed = True
                yield None
        state.settled = True
        await _complete(state)
    except CallerLeft:
        if not state.committed:
            raise
        _raise_if_cancelled(attempts)
    except (StreamFailure, ProviderKitError, *PARSE_ERRORS) as error:
        if state.settled or callers_own([error]) is not None:
            raise
        await _failed(state, error)
    finally:
        await _end(state)


async def _open(state: StreamState, http: HttpRequest) -> list[Chunk] | None:
    """Send the request and wait for the headers of the answer; return the chunks of one that came whole.

    Raises:
        CallerLeft: The caller has left.
        APIError: The provider refused.
    """
    attempts = state.attempts
    body = state.body = await attempts.http.open_stream(http, attempts.limits)
    attempts.body = body
    if attempts.gone:
        raise CallerLeft
    if body.status >= 300:
        raise attempts.endpoint.error(body.status, body.headers, await _read_all(body))
    kind = (body.headers.get("content-type") or "").partition(";")[0].strip().lower()
    if kind in ("application/json", "text/html"):
        return _read_whole(state, body, await _read_all(body))
    return None


async def _commit(state: StreamState) -> bool:
    """The first content has arrived: from now on the generator owns what the attempt holds."""
    attempts = state.attempts
    state.committed = True
    del attempts.prepared  # there is no retry from here on, and the body may be large
    attempts.first_content = attempts.runtime.now() - attempts.call.started
    if attempts.observed:
        text = f"first content after {attempts.first_content:.2f} s"
        await attempts.emit(StreamStarted, text, wait=attempts.first_content)
    return True


async def _failed(state: StreamState, error: Exception) -> None:
    """Raise the error for the loop or the reader. A stream that was closed just ends."""
    attempts = state.attempts
    try:
        if attempts.gone:
            if not state.committed:
                raise CallerLeft from None
            _raise_if_cancelled(attempts)
            return
        state.settled = True
        now = attempts.runtime.now()
        state.ended = now - attempts.call.started
        failure = public_error(state, error)
        try:
            if state.committed:
                await attempts.broke_off(failure, now)
                public = after_content(state, failure)
                public.correlation_id, public.snapshot = attempts.call.correlation_id, failure.snapshot
                if attempts.call.route is not None:
                    attempts.call.route.attach_to(public)
                state.failure = without_frames(public)
                try:
                    raise public from (failure if failure is not error else error.__cause__)
                finally:
                    del public
            failure = before_content(state, failure)
            raise failure from failure.__cause__
        finally:
            del failure
    finally:
        del error  # avoid a reference cycle between the error and this frame, which holds the call's data


async def _end(state: StreamState) -> None:
    """The generator has ended: release what it holds, and notify the listeners."""
    complete = state.decoder is not None and state.decoder.complete
    body = state.body
    try:
        if not state.settled:
            await _left(state, complete)
    finally:
        try:
            if body is not None:
                # If the caller stops at the last chunk, the connection can be reused.
                await (body.drain() if complete else body.aclose())
        finally:
            if state.committed:
                _ended(state, "failed" if state.failure else "complete" if state.settled or complete else "left")


def _raise_if_cancelled(attempts: Attempts) -> None:
    """A stream closed from another thread or task just ends; a cancelled one must not pass as complete."""
    cancel = attempts.call.cancel
    if cancel is not None and not cancel.quiet:
        raise attempts.cancelled() from None


def _ended(state: StreamState, how: Literal["complete", "failed", "left"]) -> None:
    """Report the end of the generator."""
    attempts = state.attempts
    if state.lookup is not None:
        state.lookup.done()
    if attempts.call.cancel is not None:
        attempts.call.cancel.detach(attempts)
    functions, state.on_end = state.on_end, []
    state.how = how
    end = End(how, state.failure, state.response)
    made = state.made or (state.failure.attempts if state.failure is not None else attempts.failures)
    stream_ended(attempts, end, made, cached=state.hit, first=attempts.first_content)
    if functions:
        run_on_end(functions, end)


async def _complete(state: StreamState) -> None:
    """The stream is complete."""
    attempts, lookup = state.attempts, state.lookup
    state.ended = attempts.runtime.now() - attempts.call.started
    answer: ChatResponse | None = None
    used: float | None = None
    if lookup is not None or attempts.parts.wants_usage:
        answer = state.response()
        used = answer.reported_usage.total_tokens
    body = state.body
    told = attempts.succeeded(body.headers if body is not None else {}, used)
    if told is not None:
        await told
    state.made = attempts.all_at(attempts.runtime.now())
    if attempts.observed:
        await attempts.emit(StreamEnded, f"stream ended after {state.ended:.2f} s")
    if lookup is None or answer is None or state.collected is None:
        return
    if state.collected_bytes <= lookup.cache.max_entry_bytes:
        kind: Literal["json", "stream"] = "stream" if state.decoder is not None else "json"
        await lookup.keep(answer, CacheEntry(kind, b"".join(state.collected), answer.request_id))


async def _left(state: StreamState, complete: bool) -> None:
    """The caller stopped reading or left: a success at the last chunk, an unknown outcome before it."""
    if complete:
        await _complete(state)
        return
    attempts = state.attempts
    await attempts.abandon()
    if attempts.observed:
        await attempts.emit(StreamAborted, "the caller stopped reading")


def _collect(state: StreamState, data: bytes) -> None:
    """Keep the bytes of a stream for the cache, as long as they are not too many."""
    collected, lookup = state.collected, state.lookup
    if collected is not None and lookup is not None:
        state.collected_bytes += len(data)
        if state.collected_bytes <= lookup.cache.max_entry_bytes:
            collected.append(data)


def _read_whole(state: StreamState, body: ByteStream, data: bytes) -> list[Chunk]:
    """Read an answer with the content type of JSON or HTML: an error, a whole answer, or a stream after all."""
    try:
        payload = read_answer(data)
    except ValueError:
        payload = None  # nothing is raised inside the handler: its context would show the whole answer
        is_json = False
    else:
        is_json = True
    if is_json:
        state.whole = state.dialect.parse_chat(payload)
        chunks: list[Chunk] | None = as_chunks(state.whole)
    else:
        chunks = _read_mislabelled(state, data)
    if chunks is None:
        raise state.attempts.endpoint.not_json(body.status, body.headers, data)
    _collect(state, data)
    return chunks


async def _read_all(body: ByteStream) -> bytes:
    pieces = []
    while data := await body.read():
        pieces.append(data)
    return b"".join(pieces)


def _read_mislabelled(state: StreamState, data: bytes) -> list[Chunk] | None:
    """The chunks of a complete stream that a proxy gave the wrong content type; ``None`` if it is not one."""
    decoder = state.dialect.stream_decoder()
    try:
        chunks = [*decoder.feed(data), *decoder.finish()]
    except StreamFailure:
        return None
    if not decoder.complete:
        return None
    state.decoder = decoder
    return chunks
