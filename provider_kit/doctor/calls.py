"""A few real calls: does the model answer, how fast, and does a stream really stream?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define

from provider_kit.dialects.base import Notes
from provider_kit.doctor.provider import nearest_models, tell_call_error, tell_quota
from provider_kit.engine.stream import begin_stream
from provider_kit.errors import ModelNotFoundError, NotFoundError, ProviderKitError, StreamError
from provider_kit.model.inputs import build_request
from provider_kit.streams import AsyncChatStream

if TYPE_CHECKING:
    from provider_kit.doctor.examination import Examination

__all__ = ["examine_calls"]

_SECONDS = 30.0
_PROMPT = "Count from 1 to 25 in digits, separated by spaces."
_MAX_TOKENS = 200
#: Seconds to the first content beyond which it is told.
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
    """Make the calls, and tell how they went."""
    if not one.model or not one.calls:
        reason = "no model is chosen" if not one.model else "no call was wanted"
        one.tell("latency", "skipped", f"Not tried: {reason}.")
        one.tell("streaming", "skipped", f"Not tried: {reason}.")
        tell_quota(one)
        return
    calls: list[_Call] = []
    for _ in range(one.calls):
        if one.over:
            break
        try:
            calls.append(await _call(one, one.model))
        except StreamError as error:
            one.tell_error("streaming", error)
            break
        except (ModelNotFoundError, NotFoundError) as error:
            _no_model(one, error)
            break
        except ProviderKitError as error:
            tell_call_error(one, error)
            break
    if calls:
        _model_answers(one)
        _tell_latency(one, calls)
        if not any(finding.check == "streaming" for finding in one.found):
            _tell_streaming(one, calls)
    else:
        if not any(finding.status == "failed" for finding in one.found):
            one.tell("latency", "failed", "There was no time left for a call.", "Raise timeout=.")
        for check in ("latency", "streaming"):
            if not any(finding.check == check for finding in one.found):
                one.tell(check, "skipped", "There was no answer to measure.")
    tell_quota(one)


async def _call(one: Examination, model: str) -> _Call:
    recorder = one.transport
    request = build_request(_PROMPT, {"max_tokens": _MAX_TOKENS}, default_model=model, defaults={})
    started = recorder.now()
    run = one.make_run("stream", recorder, model, one.left(_SECONDS))
    run.request, run.limited = request, True
    stream = AsyncChatStream(begin_stream(run, request, Notes("drop", one.endpoint.name, model)))
    first: float | None = None
    chunks = 0
    try:
        async for chunk in stream:
            if chunk.text or chunk.thinking:
                chunks += 1
                first = first if first is not None else recorder.now()
    finally:
        await stream.aclose()
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


def _no_model(one: Examination, error: ProviderKitError) -> None:
    """404 on a call: the model, or the address."""
    listed = next((finding for finding in one.found if finding.check == "model"), None)
    if isinstance(error, ModelNotFoundError) or (listed is not None and listed.status == "warning"):
        available: Any = listed.data.get("nearest") if listed is not None else None
        near = ", ".join(available or nearest_models(one.model or "", []))
        if listed is not None:
            one.found.remove(listed)
        one.tell_error("model", error, f"Nearest: {near}." if near else None)
        return
    one.tell_error("base_url", error)


def _model_answers(one: Examination) -> None:
    """A model that answers is there, whatever the list says; many lists leave aliases out."""
    for finding in list(one.found):
        if finding.check == "model" and finding.status == "warning":
            one.found.remove(finding)
            one.tell(
                "model", "ok", f"{one.model} answers, though the provider's list does not name it.", **finding.data
            )
    known = {finding.check for finding in one.found}
    if "model" not in known:
        one.tell("model", "ok", f"{one.model} answers.")
    for finding in list(one.found):
        if finding.check in ("credentials", "base_url") and finding.status in ("skipped", "warning"):
            one.found.remove(finding)
            one.tell(finding.check, "ok", "The calls below are answered.")


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
    """Pieces that come all at once were held back by somebody."""
    call = max(calls, key=lambda one_call: one_call.chunks)
    if call.has_length or call.content_type.partition(";")[0].strip() == "application/json":
        one.tell(
            "streaming",
            "failed",
            f"The stream came as one whole answer ({call.content_type or 'no content type'}).",
            "A proxy, or the server, does not stream: exempt the host, or nginx: proxy_buffering off.",
        )
        return
    spread = call.arrivals[-1] - call.arrivals[0] if call.arrivals else 0.0
    waited = call.total - spread
    held_back = call.chunks >= 8 and waited > 0.25 and spread < waited * 0.03
    if held_back:
        one.tell(
            "streaming",
            "failed",
            f"{call.chunks} pieces came at once after {_ms(call.first)}: somebody on the way holds the stream back.",
            "A buffering proxy: exempt the host (NO_PROXY), or switch its buffering off (nginx: proxy_buffering off).",
            spread=round(spread, 4),
            pieces=call.chunks,
        )
        return
    one.tell(
        "streaming",
        "ok",
        f"{call.chunks} pieces over {_ms(spread)}.",
        spread=round(spread, 4),
        pieces=call.chunks,
    )
