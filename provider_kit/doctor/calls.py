"""A few real calls: whether the model answers, how fast, and whether streams really stream."""

from __future__ import annotations

from typing import Any

from attrs import define

from provider_kit.doctor.examination import Examination
from provider_kit.doctor.provider import page_title, tell_call_error, tell_quota
from provider_kit.errors import ModelNotFoundError, ProviderKitError, StreamError
from provider_kit.model.inputs import build_request

__all__ = ["examine_calls"]

_SECONDS = 30.0
_PROMPT = "Count from 1 to 25 in digits, separated by spaces."
_MAX_TOKENS = 200
#: Shortest call in seconds that is judged; the pieces of a faster one arrive together anyway.
_LONG_ENOUGH = 0.25
#: Seconds to the first content beyond which it is a warning.
_SLOW = 5.0


@define
class _Call:
    """What was measured of one streamed call."""

    head: float | None
    first: float
    total: float
    arrivals: list[float]
    chunks: int
    content_type: str
    has_length: bool


async def examine_calls(one: Examination) -> None:
    """Make the calls, and report the results."""
    if not one.model or not one.calls:
        reason = "no model is chosen" if not one.model else "no calls were requested"
        one.tell("latency", "skipped", f"Not tried: {reason}.")
        one.tell("streaming", "skipped", f"Not tried: {reason}.")
        tell_quota(one)
        return
    calls: list[_Call] = []
    failures: list[ProviderKitError] = []
    for _ in range(one.calls):
        if one.over:
            break
        try:
            calls.append(await _call(one, one.model))
        except ProviderKitError as error:
            failures.append(error)
            if not error.retryable:
                break
    if calls:
        _model_answers(one)
        _tell_latency(one, calls)
        _tell_streaming(one, calls)
        for failure in failures:
            check = "streaming" if isinstance(failure, StreamError) else "service"
            told = f"One of {one.calls} calls failed: {' '.join(str(failure).split())}"
            one.tell(check, "warning", told, failure.hint)
    elif failures:
        _tell_failure(one, failures[0])
    else:
        one.tell("latency", "failed", "No time was left for a call.", "Raise timeout=.")
    for check in ("latency", "streaming"):
        if one.find(check) is None:
            one.tell(check, "skipped", "There was no answer to measure.")
    tell_quota(one)


def _tell_failure(one: Examination, error: ProviderKitError) -> None:
    if isinstance(error, StreamError):
        one.tell_error("streaming", error)
    elif isinstance(error, ModelNotFoundError):
        listed = one.find("model")
        available: Any = listed.data.get("nearest") if listed is not None else None
        near = ", ".join(available or ())
        one.tell_error("model", error, f"Nearest: {near}." if near else None)
    else:
        tell_call_error(one, error, page_title(error))


async def _call(one: Examination, model: str) -> _Call:
    recorder = one.transport
    request = build_request(_PROMPT, {"max_tokens": _MAX_TOKENS}, default_model=model, defaults=one.defaults)
    started = recorder.now()
    reply = await one.handler.handle(one.make_call("stream", request, one.left(_SECONDS)))
    chunks_of_call = reply.take_chunks()
    first: float | None = None
    chunks = 0
    try:
        async for chunk in chunks_of_call:
            if chunk.text or chunk.thinking:
                chunks += 1
                first = first if first is not None else recorder.now()
    finally:
        await chunks_of_call.aclose()
    ended = recorder.now()
    return _Call(
        recorder.head_seconds,
        (first if first is not None else ended) - started,
        ended - started,
        list(recorder.arrivals),
        chunks,
        recorder.headers.get("content-type", ""),
        "content-length" in recorder.headers,
    )


def _model_answers(one: Examination) -> None:
    """A model that answers exists, whatever the list says; many lists omit aliases."""
    listed = one.find("model")
    if listed is None:
        one.tell("model", "ok", f"{one.model} answers.")
    elif listed.status == "warning":
        one.settle("model", f"{one.model} answers, though the provider's list does not name it.", **listed.data)
    for check in ("credentials", "base_url", "service", "quota"):
        known = one.find(check)
        if known is not None and known.status in ("skipped", "warning"):
            one.settle(check, "The calls below were answered.")


def _tell_latency(one: Examination, calls: list[_Call]) -> None:
    best = min(calls, key=lambda call: call.first)
    gaps = [later - sooner for call in calls for sooner, later in zip(call.arrivals, call.arrivals[1:], strict=False)]
    between = sum(gaps) / len(gaps) if gaps else None
    text = f"First content after {_ms(best.first)}, whole answer after {_ms(best.total)}"
    if between is not None:
        text += f", {_ms(between)} between pieces"
    slow = best.first > _SLOW
    one.tell(
        "latency",
        "warning" if slow else "ok",
        f"{text} (best of {len(calls)})." if len(calls) > 1 else f"{text}.",
        "The model or the network is slow: a smaller model, less reasoning, a nearer region." if slow else None,
        seconds=best.first,
        head=None if best.head is None else round(best.head, 4),
        first_content=round(best.first, 4),
        total=round(best.total, 4),
        per_piece=None if between is None else round(between, 5),
        calls=len(calls),
    )


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 10 else f"{seconds:.1f} s"


def _tell_streaming(one: Examination, calls: list[_Call]) -> None:
    """Check the timing: pieces that arrive all at once were buffered on the way."""
    call = max(calls, key=lambda one_call: one_call.chunks)
    if call.has_length or call.content_type.partition(";")[0].strip() == "application/json":
        one.tell(
            "streaming",
            "failed",
            f"The stream came as one complete answer ({call.content_type or 'no content type'}).",
            "A proxy, or the server, does not stream: exclude the host, or set proxy_buffering off in nginx.",
        )
        return
    if not call.chunks:
        one.tell(
            "streaming", "warning", "The stream was empty.", "Ask the model something yourself: provider-kit chat."
        )
        return
    reads = len(call.arrivals)
    spread = call.arrivals[-1] - call.arrivals[0] if call.arrivals else 0.0
    data: dict[str, Any] = {"spread": round(spread, 4), "pieces": call.chunks, "reads": reads}
    # Many pieces in few reads were buffered; a model that reasons long and then writes fast gives many reads.
    if call.chunks >= 8 and reads <= max(2, call.chunks // 8) and call.total > _LONG_ENOUGH:
        at_once = spread < call.total * 0.05
        how = f"at once after {_ms(call.first)}" if at_once else f"in {reads} blocks"
        one.tell(
            "streaming",
            "failed" if at_once else "warning",
            f"{call.chunks} pieces came {how}: something on the way buffers the stream.",
            "A buffering proxy: exclude the host (NO_PROXY), or switch its buffering off (nginx: proxy_buffering off).",
            **data,
        )
        return
    one.tell("streaming", "ok", f"{call.chunks} pieces over {_ms(spread)}.", **data)
