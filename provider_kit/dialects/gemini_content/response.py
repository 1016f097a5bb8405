"""Answers of Gemini's generateContent, whole and streamed.

Every event of a stream is a whole response object with new parts; the stream ends with the connection.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from provider_kit.dialects.assembly import new_call_id, tool_finish
from provider_kit.dialects.base import StreamFailure, decode_event, expect_object
from provider_kit.dialects.failures import error_from_body
from provider_kit.errors import APIError
from provider_kit.model.chat import ChatResponse, Chunk, ToolCallDelta, Usage
from provider_kit.model.json_text import dumps_text, loads
from provider_kit.model.messages import Message, Native, Part, Refusal, Text, Thinking, ToolCall
from provider_kit.wire.server_sent_events import ErrorEvent, EventDecoder

__all__ = ["GeminiStreamDecoder", "parse_content", "read_gemini_usage"]

_FINISH = {"STOP": "stop", "MAX_TOKENS": "length", "CONTINUATION": "pause"}
_FILTERED = frozenset(
    {
        "SAFETY",
        "RECITATION",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "LANGUAGE",
        "MODEL_ARMOR",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION",
    }
)
_FAILED = frozenset(
    {
        "MALFORMED_FUNCTION_CALL",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MISSING_THOUGHT_SIGNATURE",
        "MALFORMED_RESPONSE",
    }
)


def _finish(raw: str | None, has_calls: bool) -> Any:
    reason = _FINISH.get(raw or "")
    if reason is None:
        reason = "content_filter" if raw in _FILTERED else "error" if raw in _FAILED else "other"
    return tool_finish(reason, has_calls)


def _int(value: Any) -> int | None:
    """Numbers may come as text (int64 in protobuf's JSON form)."""
    try:
        return int(value) if value is not None and not isinstance(value, bool) else None
    except (TypeError, ValueError):
        return None


def read_gemini_usage(usage: Any) -> Usage:
    """Gemini's usage: the prompt includes cached tokens, the candidates exclude thoughts."""
    if not isinstance(usage, dict):
        return Usage()
    prompt = _int(usage.get("promptTokenCount"))
    tools = _int(usage.get("toolUsePromptTokenCount"))
    thoughts = _int(usage.get("thoughtsTokenCount"))
    visible = _int(usage.get("candidatesTokenCount"))
    total = _int(usage.get("totalTokenCount"))
    if visible is None and total is not None and prompt is not None:
        visible = max(0, total - prompt - (tools or 0) - (thoughts or 0))
    return Usage.from_totals(
        None if prompt is None else prompt + (tools or 0),
        None if visible is None else visible + (thoughts or 0),
        cache_read=_int(usage.get("cachedContentTokenCount")),
        reasoning=thoughts,
        total=total,
        raw=dict(usage),
    )


def _part(part: Mapping[str, Any]) -> Part:
    signature = part.get("thoughtSignature") or part.get("thought_signature")
    text = part.get("text")
    call = part.get("functionCall")
    if isinstance(call, dict):
        given = call.get("id")
        return ToolCall(
            str(given) if given else new_call_id(),
            str(call.get("name") or ""),
            dumps_text(call.get("args") or {}),
            local_id=not given,
            signature=signature,
        )
    if part.get("thought") is True:
        return Thinking(str(text or ""), signature=signature, native=dict(part))
    if isinstance(text, str):
        return Text(text, signature=signature)
    return Native(str(next((key for key in part if not key.startswith("thought")), "unknown")), dict(part))


def _add(parts: list[Part], new: Part) -> None:
    """Append a part; texts of the same kind grow together, but a part with a signature stays as it came."""
    last = parts[-1] if parts else None
    if type(last) is Text and type(new) is Text and not last.signature and not new.signature:
        last.text += new.text
        return
    if type(last) is Thinking and type(new) is Thinking and not last.signature and not new.signature:
        last.text += new.text
        last.native = {**(last.native or {}), **(new.native or {}), "text": last.text}
        return
    parts.append(new)


def _message(parts: list[Part], blocked: str | None, origin: str, model: str | None) -> Message:
    if blocked:
        parts = [*parts, Refusal(blocked)]
    if not parts:
        return Message("assistant", "", origin=origin, model=model)
    if len(parts) == 1 and type(parts[0]) is Text and not parts[0].signature:
        return Message("assistant", parts[0].text, origin=origin, model=model)
    return Message("assistant", parts, origin=origin, model=model)


def _candidate(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    candidates = payload.get("candidates")
    if isinstance(candidates, list):
        for candidate in candidates:
            if isinstance(candidate, dict) and not candidate.get("index"):
                return candidate
    return {}


def _parts_of(candidate: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    content = candidate.get("content")
    parts = content.get("parts") if isinstance(content, dict) else None
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []


def _block_reason(payload: Mapping[str, Any]) -> str | None:
    feedback = payload.get("promptFeedback")
    reason = feedback.get("blockReason") if isinstance(feedback, dict) else None
    if not reason:
        return None
    return str(feedback.get("blockReasonMessage") or f"The prompt was blocked: {reason}.")  # type: ignore[union-attr]  # a reason means a mapping


def parse_content(payload: Any, *, provider: str, origin: str) -> ChatResponse:
    """Read a whole answer.

    Raises:
        APIError: The answer holds an error, or is no answer at all.
    """
    if isinstance(payload, list) and payload:
        payload = payload[0]
    if isinstance(payload, dict) and payload.get("error") and not payload.get("candidates"):
        raise error_from_body(payload, status=200, headers={}, provider=provider, overrides={})
    found = expect_object(
        payload, "a generateContent answer", ("candidates", "promptFeedback", "usageMetadata", "responseId"), provider
    )
    candidate = _candidate(found)
    parts: list[Part] = []
    for part in _parts_of(candidate):
        _add(parts, _part(part))
    blocked = _block_reason(found) if not candidate else None
    raw = str(candidate.get("finishReason") or "") or None
    model = found.get("modelVersion") or None
    calls = any(type(part) is ToolCall for part in parts)
    return ChatResponse(
        _message(parts, blocked, origin, model),
        "content_filter" if blocked else _finish(raw, calls),
        raw or (str(found["promptFeedback"].get("blockReason")) if blocked else None),
        lambda: read_gemini_usage(found.get("usageMetadata")),
        found.get("responseId"),
        model,
        None,
        payload,
    )


class GeminiStreamDecoder:
    """Reads a streamed answer."""

    __slots__ = (
        "_blocked",
        "_calls",
        "_events",
        "_first",
        "_last",
        "_origin",
        "_parts",
        "_provider",
        "_reason",
        "_text",
        "_usage",
        "complete",
    )

    def __init__(self, *, provider: str, origin: str) -> None:
        self._events = EventDecoder()
        self._provider = provider
        self._origin = origin
        self._parts: list[Part] = []
        self._text: list[str] = []
        self._calls = 0
        self._reason: str | None = None
        self._blocked: str | None = None
        self._usage: Any = None
        self._first: dict[str, Any] = {}
        self._last: dict[str, Any] = {}
        self.complete = False

    def feed(self, data: bytes) -> Iterator[Chunk]:
        """Take bytes, yield the chunks they complete."""
        for event in self._events.feed(data):
            if event.strip() in (b"", b"[DONE]"):
                continue
            chunk = self._read(decode_event(event, self._provider), type(event) is ErrorEvent)
            if chunk is not None:
                yield chunk

    def finish(self) -> Iterator[Chunk]:
        """The bytes have ended, which is how this API ends a stream; a finish reason must have come."""
        for event in self._events.finish():
            try:
                payload = decode_event(event, self._provider)
            except StreamFailure:
                return  # half an event: the stream was cut
            chunk = self._read(payload, type(event) is ErrorEvent)
            if chunk is not None:
                yield chunk
        if self._events.stray:
            self._fail_on_stray(b"\n".join(self._events.stray))
        if self._reason is not None:
            self.complete = True
            usage = read_gemini_usage(self._usage)
            yield Chunk("", self._last, refusal=self._blocked or "", finish_reason=self._finish_reason(), usage=usage)

    def _fail_on_stray(self, data: bytes) -> None:
        """An error in the middle of a stream may come as bare JSON, even as a list."""
        try:
            payload = loads(data)
        except ValueError:
            return
        if isinstance(payload, (dict, list)):
            raise StreamFailure(self._error(payload))

    def _error(self, payload: Any) -> APIError:
        return error_from_body(payload, status=200, headers={}, provider=self._provider, overrides={})

    def _finish_reason(self) -> Any:
        return "content_filter" if self._blocked else _finish(self._reason, self._calls > 0)

    def _read(self, payload: dict[str, Any], named_error: bool) -> Chunk | None:
        if payload.get("error") or named_error:
            raise StreamFailure(self._error(payload))
        if not self._first:
            self._first = payload
        self._last = payload
        self._usage = payload.get("usageMetadata") or self._usage
        candidate = _candidate(payload)
        if not candidate:
            blocked = _block_reason(payload)
            if blocked:
                self._blocked = blocked
                self._reason = self._reason or str(payload["promptFeedback"]["blockReason"])
            return None
        reason = candidate.get("finishReason")
        if reason:
            self._reason = str(reason)
        content = candidate.get("content")
        parts = content.get("parts") if type(content) is dict else None
        if not parts or type(parts) is not list:
            return None
        if len(parts) == 1 and type(parts[0]) is dict and len(parts[0]) == 1:
            text = parts[0].get("text")
            if type(text) is str:
                if not text:
                    return None
                self._text.append(text)
                return Chunk(text, payload)
        return self._several(parts, payload)

    def _several(self, parts: list[Any], payload: dict[str, Any]) -> Chunk | None:
        text: list[str] = []
        thinking: list[str] = []
        deltas: list[ToolCallDelta] = []
        for raw in parts:
            if not isinstance(raw, dict):
                continue
            part = _part(raw)
            self._flush()
            if type(part) is Text:
                text.append(part.text)
            elif type(part) is Thinking:
                thinking.append(part.text)
            elif type(part) is ToolCall:
                deltas.append(ToolCallDelta(self._calls, part.id, part.name, part.arguments_json))
                self._calls += 1
            _add(self._parts, part)
        chunk = Chunk("".join(text), payload, "".join(thinking), deltas or None)
        return chunk if chunk.has_content else None

    def _flush(self) -> None:
        """Plain text waits in a list; it becomes a part only when something else follows."""
        if self._text:
            _add(self._parts, Text("".join(self._text)))
            self._text.clear()

    def response(self) -> ChatResponse:
        """The answer as far as it was received."""
        self._flush()
        model = self._first.get("modelVersion") or self._last.get("modelVersion") or None
        parts = [part for part in self._parts if not (type(part) is Text and not part.text and not part.signature)]
        return ChatResponse(
            _message(parts, self._blocked, self._origin, model),
            self._finish_reason() if self.complete else "error",
            self._reason,
            read_gemini_usage(self._usage),
            self._first.get("responseId") or self._last.get("responseId"),
            model,
            None,
            self._last,
        )
