"""Streamed answers of Gemini's generateContent.

Every event of a stream is a whole response object with new parts; the stream ends with the connection.
Without ``alt=sse``, or behind a gateway that drops it, the same objects come as the elements of one JSON
array.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from provider_kit.dialects.assembly import new_call_id
from provider_kit.dialects.base import decode_event
from provider_kit.dialects.choices import ChoiceFilter
from provider_kit.dialects.event_stream import EventReader
from provider_kit.dialects.failures import holds_error
from provider_kit.dialects.gemini_content.parts import PartCollector, PartialCall, notes_of, read_part, with_notes
from provider_kit.dialects.gemini_content.response import (
    ANSWERS,
    block_reason,
    finish_of,
    message_of,
    read_gemini_usage,
    unwrapped,
)
from provider_kit.dialects.openai_usage import merge_usage
from provider_kit.model.chat import ChatResponse, Chunk, ToolCallDelta
from provider_kit.model.json_text import loads
from provider_kit.model.messages import Part, Text, Thinking, ToolCall
from provider_kit.model.surrogates import has_lone_half

__all__ = ["GeminiStreamDecoder", "parse_elements"]


def parse_elements(payload: Sequence[Any], *, provider: str, origin: str) -> ChatResponse:
    """Read a whole answer that is an array of response objects.

    Raises:
        StreamFailure: An element is an error.
    """
    decoder = GeminiStreamDecoder(provider=provider, origin=origin)
    for _ in (*decoder.read_elements(payload), *decoder.read_waiting()):
        pass
    decoder.complete = True
    answer = decoder.response()
    answer.raw = payload
    return answer


#: Fields of a call whose arguments arrive value by value.
_PIECES = {"partialArgs", "willContinue"}


class GeminiStreamDecoder(EventReader):
    """Reads a streamed answer."""

    __slots__ = (
        "_blocked",
        "_calls",
        "_candidates",
        "_first",
        "_ids",
        "_notes",
        "_partial",
        "_parts",
        "_reason",
        "_usage",
    )

    def __init__(self, *, provider: str, origin: str) -> None:
        super().__init__(provider=provider, origin=origin, answers=ANSWERS)
        self._candidates = ChoiceFilter()
        self._parts = PartCollector()
        self._calls = 0
        self._ids: set[str] = set()
        self._partial: PartialCall | None = None
        self._notes: dict[str, dict[str, Any]] = {}
        self._reason: str | None = None
        self._blocked: str | None = None
        self._usage: dict[str, Any] | None = None
        self._first: dict[str, Any] = {}

    def feed(self, data: bytes) -> Iterator[Chunk]:
        """Take bytes, yield the chunks they complete."""
        for event in self._events.feed(data):
            if event.strip() in (b"", b"[DONE]") and type(event) is bytes:
                continue
            if event[:1] == b"[":
                yield from self.read_elements(self._decode(event))
                continue
            payload = unwrapped(decode_event(event, self._provider))
            for ready in self._ready(payload, event):
                yield from self._read(ready)

    def finish(self) -> Iterator[Chunk]:
        """The bytes have ended, which is how this API ends a stream; a finish reason must have come."""
        left = self._rest()
        yield from self.read_elements(left.events)
        yield from self.read_waiting()
        if self._reason is not None and not left.half_event:
            self.complete = True
            usage = read_gemini_usage(self._usage)
            yield Chunk("", self._last, refusal=self._blocked or "", finish_reason=self._finish_reason(), usage=usage)

    def _decode(self, event: bytes) -> list[dict[str, Any]]:
        """An event may be an array of response objects."""
        try:
            elements = loads(event) if event[:1] == b"[" else None
        except ValueError:
            elements = None
        if isinstance(elements, list) and elements and all(isinstance(element, dict) for element in elements):
            return elements
        return super()._decode(event)

    def read_waiting(self) -> Iterator[Chunk]:
        """The stream has ended: return what waited."""
        for payload in self._pairs.finish():
            yield from self._read(payload)
        for candidate, payload in self._candidates.finish():
            chunk = self._candidate(candidate, payload)
            if chunk is not None:
                yield chunk
        if self._partial is not None:
            yield self._end_of_call(self._last)

    def flush(self) -> None:
        """The stream has failed: count held-back pieces as received."""
        for _ in self.read_waiting():
            pass

    def read_elements(self, elements: Sequence[Any]) -> Iterator[Chunk]:
        """Read response objects one after the other."""
        for element in elements:
            payload = unwrapped(element)
            if isinstance(payload, dict):
                if holds_error(payload, ANSWERS):
                    raise self._failure(payload)
                for ready in self._pairs.feed(payload):
                    yield from self._read(ready)

    def _read_stray(self, data: bytes) -> list[dict[str, Any]]:
        """Read what came between the events: an error as bare JSON, or the whole answer as an array."""
        try:
            payload = loads(data)
        except ValueError:
            return super()._read_stray(data)
        items = payload if isinstance(payload, list) else [payload]
        found = [inner for item in items if isinstance(inner := unwrapped(item), dict)]
        if any(item.keys() & set(ANSWERS) for item in found):
            return found
        if isinstance(payload, (dict, list)) and payload:
            raise self._failure(payload)
        return []

    def _finish_reason(self) -> Any:
        return "content_filter" if self._blocked else finish_of(self._reason, self._calls > 0)

    def _read(self, payload: dict[str, Any]) -> Iterator[Chunk]:
        if not self._first:
            self._first = payload
        self._last = payload
        self._usage = merge_usage(self._usage, payload.get("usageMetadata"))
        candidates = payload.get("candidates")
        if not candidates or type(candidates) is not list:
            blocked = block_reason(payload)
            if blocked:
                self._blocked = blocked
                self._reason = self._reason or str(payload["promptFeedback"]["blockReason"])
            return
        for candidate, event in self._candidates.take(candidates, payload):
            chunk = self._candidate(candidate, event)
            if chunk is not None:
                yield chunk

    def _candidate(self, candidate: Any, payload: dict[str, Any]) -> Chunk | None:
        reason = candidate.get("finishReason")
        if reason:
            self._reason = str(reason)
            self._candidates.ended()
        notes = notes_of(candidate)
        news = [note for name, note in notes.items() if self._notes.get(name) != note]
        self._notes.update(notes)
        content = candidate.get("content")
        parts = content.get("parts") if type(content) is dict else None
        if not parts or type(parts) is not list:
            return Chunk("", payload, citations=news) if news else None
        if not news and len(parts) == 1 and type(parts[0]) is dict and len(parts[0]) == 1:
            text = parts[0].get("text")
            if type(text) is str and not has_lone_half(text) and not self._parts.thinks:
                if not text:
                    return None
                self._parts.text.append(text)
                return Chunk(text, payload)
        chunk = self._several(parts, payload)
        chunk.citations = news or None
        return chunk if chunk.has_content else None

    def _several(self, parts: list[Any], payload: dict[str, Any]) -> Chunk:
        text: list[str] = []
        thinking: list[str] = []
        deltas: list[ToolCallDelta] = []
        others: list[Part] = []
        for raw in parts:
            if not isinstance(raw, dict):
                continue
            call = raw.get("functionCall")
            if isinstance(call, dict) and (
                self._partial is not None or "partialArgs" in call or "willContinue" in call
            ):
                deltas.extend(self._piece_of_call(raw, call))
                continue
            part = read_part(raw)
            if type(part) is Text:
                text.append(part.text)
            elif type(part) is Thinking:
                thinking.append(part.text)
            elif type(part) is ToolCall:
                deltas.append(self._new_call(part))
            else:
                others.append(part)
            self._parts.add(part)
        return Chunk("".join(text), payload, "".join(thinking), deltas or None, parts=others or None)

    # -------------------------------------------------------------------------------------------- calls

    def _new_call(self, call: ToolCall) -> ToolCallDelta:
        if call.id in self._ids:  # each tool call needs a distinct id
            call.id, call.local_id = new_call_id(), True
        self._ids.add(call.id)
        self._calls += 1
        return ToolCallDelta(self._calls - 1, call.id, call.name, call.arguments_json)

    def _piece_of_call(self, raw: dict[str, Any], call: dict[str, Any]) -> list[ToolCallDelta]:
        """A call whose arguments arrive value by value; they are delivered when complete."""
        deltas: list[ToolCallDelta] = []
        if self._partial is not None and not self._partial.is_same(call):
            deltas.extend(self._end_of_call(self._last).tool_calls or ())
        if self._partial is None:
            begun = read_part({**raw, "functionCall": {**call, "args": call.get("args")}})
            assert isinstance(begun, ToolCall)  # built from a call
            delta = self._new_call(begun)
            deltas.append(ToolCallDelta(delta.index, delta.id, delta.name, ""))
            self._parts.add(begun)
            arguments = call.get("args")
            self._partial = PartialCall(delta.index, begun, dict(arguments) if isinstance(arguments, dict) else {})
        partial = self._partial
        if raw.get("thoughtSignature"):
            partial.call.signature = raw["thoughtSignature"]
        partial.add(call.get("partialArgs"))
        if not call.get("willContinue"):
            deltas.extend(self._end_of_call(self._last).tool_calls or ())
        return deltas

    def _end_of_call(self, payload: dict[str, Any]) -> Chunk:
        partial, self._partial = self._partial, None
        assert partial is not None  # only called for an open call
        text = partial.close().arguments_json
        return Chunk("", payload, "", [ToolCallDelta(partial.position, None, None, text)])

    def response(self) -> ChatResponse:
        """The answer as far as it was received."""
        model = self._first.get("modelVersion") or self._last.get("modelVersion") or None
        if self._partial is not None:
            self._partial.close()
        parts = [
            part for part in self._parts.close() if not (type(part) is Text and not part.text and not part.signature)
        ]
        message = message_of(with_notes(parts, self._notes), self._blocked, self._origin, model)
        message.incomplete = not self.complete
        return ChatResponse(
            message,
            self._finish_reason() if self.complete else "error",
            self._reason,
            read_gemini_usage(self._usage),
            self._first.get("responseId") or self._last.get("responseId"),
            model,
            None,
            self._last,
        )
