"""Answers of Anthropic's Messages API, whole and streamed.

Source: Anthropic API reference, "Messages" and "Streaming messages".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from provider_kit.dialects.assembly import tool_finish
from provider_kit.dialects.base import StreamFailure, decode_event, expect_object
from provider_kit.dialects.failures import error_from_body
from provider_kit.errors import APIError
from provider_kit.model.chat import ChatResponse, Chunk, ToolCallDelta, Usage
from provider_kit.model.json_text import dumps_text, loads
from provider_kit.model.messages import Message, Native, Part, Refusal, Text, Thinking, ToolCall
from provider_kit.wire.server_sent_events import ErrorEvent, EventDecoder

__all__ = ["AnthropicStreamDecoder", "parse_message", "read_anthropic_usage"]

_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "pause_turn": "pause",
    "refusal": "content_filter",
}
_THINKING_DELTAS = ("thinking_delta", "signature_delta")


def _count(value: Any) -> int | None:
    return value if type(value) is int else None


def read_anthropic_usage(usage: Any) -> Usage:
    """Anthropic's usage: ``input_tokens`` already excludes the cache, output includes thinking."""
    if not isinstance(usage, dict):
        return Usage()
    read, written = _count(usage.get("cache_read_input_tokens")), _count(usage.get("cache_creation_input_tokens"))
    plain, output = _count(usage.get("input_tokens")), _count(usage.get("output_tokens"))
    details = usage.get("output_tokens_details")
    thinking = _count(details.get("thinking_tokens")) if isinstance(details, dict) else None
    visible = None if output is None else max(0, output - (thinking or 0))
    total = None if plain is None or output is None else plain + (read or 0) + (written or 0) + output
    return Usage(plain, visible, read, written, thinking, total, None, dict(usage))


def _part(block: Mapping[str, Any]) -> Part:
    kind = block.get("type")
    if kind == "text":
        extra = {"citations": block["citations"]} if block.get("citations") else None
        return Text(str(block.get("text") or ""), extra=extra)
    if kind == "tool_use":
        given = block.get("input")
        return ToolCall(
            str(block.get("id") or ""),
            str(block.get("name") or ""),
            given if isinstance(given, str) else dumps_text(given if given is not None else {}),
            native=dict(block) if block.get("caller") else None,
        )
    if kind == "thinking":
        return Thinking(str(block.get("thinking") or ""), signature=block.get("signature"), native=dict(block))
    if kind == "redacted_thinking":
        return Thinking("", native=dict(block))
    return Native(str(kind), dict(block))


def _message(parts: list[Part], refusal: Mapping[str, Any] | None, origin: str, model: str | None) -> Message:
    content: str | list[Part] = parts
    if refusal is not None and refusal.get("explanation"):
        parts.append(Refusal(str(refusal["explanation"])))
    if not parts:
        content = ""
    elif len(parts) == 1 and type(parts[0]) is Text and parts[0].extra is None:
        content = parts[0].text
    return Message("assistant", content, origin=origin, model=model)


def parse_message(payload: Any, *, provider: str, origin: str) -> ChatResponse:
    """Read a whole answer.

    Raises:
        APIError: The answer holds an error, or is no message at all.
    """
    if isinstance(payload, dict) and payload.get("error") and "content" not in payload:
        raise error_from_body(payload, status=200, headers={}, provider=provider, overrides={})
    found = expect_object(payload, "a message", ("content", "stop_reason"), provider)
    blocks = found.get("content")
    parts = [_part(block) for block in blocks if isinstance(block, dict)] if isinstance(blocks, list) else []
    if isinstance(blocks, str):
        parts = [Text(blocks)]
    model = found.get("model") or None
    raw = found.get("stop_reason")
    details = found.get("stop_details")
    calls = any(type(part) is ToolCall for part in parts)
    return ChatResponse(
        _message(parts, details if raw == "refusal" and isinstance(details, dict) else None, origin, model),
        tool_finish(_FINISH.get(str(raw), "other"), calls),
        raw,
        lambda: read_anthropic_usage(found.get("usage")),
        found.get("id"),
        model,
        None,
        payload,
    )


class AnthropicStreamDecoder:
    """Reads a streamed answer, block by block."""

    __slots__ = (
        "_blocks",
        "_events",
        "_last",
        "_message",
        "_origin",
        "_pieces",
        "_positions",
        "_provider",
        "_stop",
        "_usage",
        "complete",
    )

    def __init__(self, *, provider: str, origin: str) -> None:
        self._events = EventDecoder()
        self._provider = provider
        self._origin = origin
        self._message: Mapping[str, Any] = {}
        self._blocks: dict[int, dict[str, Any]] = {}
        self._pieces: dict[int, list[str]] = {}
        self._positions: dict[int, int] = {}
        self._usage: dict[str, Any] = {}
        self._stop: dict[str, Any] = {}
        self._last: dict[str, Any] = {}
        self.complete = False

    def feed(self, data: bytes) -> Iterator[Chunk]:
        """Take bytes, yield the chunks they complete."""
        for event in self._events.feed(data):
            if event.strip() == b"[DONE]" or not event.strip():
                continue
            payload = decode_event(event, self._provider)
            if payload.get("type") == "content_block_delta":
                delta = payload.get("delta")
                if type(delta) is dict and delta.get("type") == "text_delta":
                    text = delta.get("text")
                    index = payload.get("index")
                    pieces = self._pieces.get(index) if type(index) is int else None
                    if pieces is not None and text and type(text) is str:
                        pieces.append(text)
                        yield Chunk(text, payload)
                        continue
            chunk = self._read(payload, type(event) is ErrorEvent)
            if chunk is not None:
                yield chunk

    def finish(self) -> Iterator[Chunk]:
        """The bytes have ended: read a last event that lacks its blank line."""
        for event in self._events.finish():
            try:
                payload = decode_event(event, self._provider)
            except StreamFailure:
                return
            chunk = self._read(payload, type(event) is ErrorEvent)
            if chunk is not None:
                yield chunk

    def _error(self, payload: Any) -> APIError:
        return error_from_body(payload, status=200, headers={}, provider=self._provider, overrides={})

    def _read(self, payload: dict[str, Any], named_error: bool) -> Chunk | None:
        kind = payload.get("type")
        if kind == "error" or named_error or (kind is None and payload.get("error")):
            raise StreamFailure(self._error(payload))
        if kind != "ping":
            self._last = payload
        if kind == "message_start":
            message = payload.get("message")
            self._message = message if isinstance(message, dict) else {}
            self._take_usage(self._message.get("usage"))
        elif kind == "content_block_start":
            return self._start(payload)
        elif kind == "content_block_delta":
            return self._delta(payload)
        elif kind == "message_delta":
            delta = payload.get("delta")
            if isinstance(delta, dict):
                self._stop.update({key: value for key, value in delta.items() if value is not None})
            self._take_usage(payload.get("usage"))
        elif kind == "message_stop":
            return self._end(payload)
        return None

    def _take_usage(self, usage: Any) -> None:
        """Usage is cumulative: later numbers replace earlier ones."""
        if isinstance(usage, dict):
            self._usage.update({key: value for key, value in usage.items() if value is not None})

    def _start(self, payload: dict[str, Any]) -> Chunk | None:
        index = payload.get("index")
        if type(index) is not int:
            index = len(self._blocks)
        given = payload.get("content_block")
        block = dict(given) if isinstance(given, dict) else {}
        self._blocks[index] = block
        self._pieces[index] = pieces = []
        kind = block.get("type")
        if kind == "text" and block.get("text"):
            pieces.append(str(block["text"]))
            return Chunk(pieces[0], payload)
        if kind == "thinking" and block.get("thinking"):
            pieces.append(str(block["thinking"]))
            return Chunk("", payload, pieces[0])
        if kind == "tool_use":
            self._positions[index] = len(self._positions)
            if block.get("input"):
                pieces.append(dumps_text(block["input"]))
            delta = ToolCallDelta(self._positions[index], block.get("id"), block.get("name"), "".join(pieces))
            return Chunk("", payload, "", [delta])
        return None

    def _delta(self, payload: dict[str, Any]) -> Chunk | None:
        index = payload.get("index")
        if type(index) is not int:
            index = max(self._blocks, default=0)
        delta = payload.get("delta")
        if not isinstance(delta, dict):
            return None
        kind = delta.get("type")
        block = self._blocks.get(index)
        if block is None:
            block = self._blocks[index] = {"type": "thinking" if kind in _THINKING_DELTAS else "text"}
            self._pieces[index] = []
        pieces = self._pieces[index]
        if kind == "text_delta":
            text = str(delta.get("text") or "")
            pieces.append(text)
            return Chunk(text, payload) if text else None
        if kind == "thinking_delta":
            text = str(delta.get("thinking") or "")
            pieces.append(text)
            return Chunk("", payload, text) if text else None
        if kind == "signature_delta":
            block["signature"] = str(block.get("signature") or "") + str(delta.get("signature") or "")
        elif kind == "input_json_delta":
            text = str(delta.get("partial_json") or "")
            if text:
                if block.get("input") and not block.get("_streamed"):
                    pieces.clear()  # the start event held a preview of the input
                block["_streamed"] = True
                pieces.append(text)
                if index in self._positions:
                    return Chunk("", payload, "", [ToolCallDelta(self._positions[index], None, None, text)])
        elif kind == "citations_delta":
            block.setdefault("citations", [])
            block["citations"] = [*(block["citations"] or []), delta.get("citation")]
        return None

    def _end(self, payload: dict[str, Any]) -> Chunk | None:
        if self.complete:
            return None
        self.complete = True
        usage = read_anthropic_usage(self._usage or None)
        refusal = self.response().refusal or ""
        return Chunk("", payload, refusal=refusal, finish_reason=self._finish(), usage=usage)

    def _finish(self) -> Any:
        return tool_finish(_FINISH.get(str(self._stop.get("stop_reason")), "other"), bool(self._positions))

    def _close(self, index: int, block: dict[str, Any]) -> Part:
        joined = "".join(self._pieces[index])
        kind = block.get("type")
        closed = {key: value for key, value in block.items() if key != "_streamed"}
        if kind == "text":
            closed["text"] = joined
        elif kind == "thinking":
            closed["thinking"] = joined
        elif kind == "tool_use":
            call = _part({**closed, "input": joined or {}, "caller": None})
            if closed.get("caller") and isinstance(call, ToolCall):
                call.native = {**closed, "input": _object(joined)}
            return call
        elif joined:
            closed["input"] = _object(joined)
        return _part(closed)

    def response(self) -> ChatResponse:
        """The answer as far as it was received."""
        parts = [self._close(index, block) for index, block in sorted(self._blocks.items())]
        parts = [part for part in parts if not (type(part) is Text and not part.text)]
        model = self._message.get("model") or None
        raw = self._stop.get("stop_reason")
        details = self._stop.get("stop_details")
        return ChatResponse(
            _message(parts, details if raw == "refusal" and isinstance(details, dict) else None, self._origin, model),
            self._finish() if self.complete else "error",
            raw,
            read_anthropic_usage(self._usage or None),
            self._message.get("id"),
            model,
            None,
            self._last,
        )


def _object(text: str) -> Any:
    try:
        return loads(text)
    except ValueError:
        return {}
