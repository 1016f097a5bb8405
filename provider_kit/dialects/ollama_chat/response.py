"""Answers of Ollama's native chat API, whole and streamed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from provider_kit.dialects.assembly import new_call_id, tool_finish
from provider_kit.dialects.base import StreamFailure, decode_event, expect_object
from provider_kit.dialects.failures import error_from_body
from provider_kit.model.chat import ChatResponse, Chunk, ToolCallDelta, Usage
from provider_kit.model.json_text import dumps_text
from provider_kit.model.messages import Message, Part, Text, Thinking, ToolCall
from provider_kit.wire.json_lines import LineDecoder

__all__ = ["OllamaStreamDecoder", "parse_ollama", "read_ollama_usage"]


def created_at(text: Any) -> float | None:
    """Seconds since 1970 of an RFC 3339 time with nanoseconds."""
    try:
        return datetime.fromisoformat(text).timestamp() if isinstance(text, str) else None
    except ValueError:
        return None


def read_ollama_usage(payload: Mapping[str, Any]) -> Usage:
    """Counts of the last line; a count that is absent is unknown, not zero."""
    counts = {key: payload[key] for key in ("prompt_eval_count", "eval_count") if type(payload.get(key)) is int}
    return Usage.from_totals(counts.get("prompt_eval_count"), counts.get("eval_count"), raw=counts or None)


def _text(value: Any) -> str:
    return value if type(value) is str else "" if value is None else str(value)


def _calls(message: Mapping[str, Any]) -> list[ToolCall]:
    calls: list[ToolCall] = []
    given_calls = message.get("tool_calls")
    if not given_calls or not isinstance(given_calls, list):
        return calls
    for item in given_calls:
        function = item.get("function") if isinstance(item, dict) else None
        if isinstance(function, dict):
            given = item.get("id")
            arguments = function.get("arguments")
            calls.append(
                ToolCall(
                    str(given) if given else new_call_id(),
                    str(function.get("name") or ""),
                    arguments if isinstance(arguments, str) else dumps_text(arguments or {}),
                    local_id=not given,
                )
            )
    return calls


def _finish(reason: Any, has_calls: bool) -> Any:
    return tool_finish({"stop": "stop", "length": "length"}.get(str(reason), "other"), has_calls)


def _build(
    text: str, thinking: str, calls: list[ToolCall], last: Mapping[str, Any], origin: str, raw: Any
) -> ChatResponse:
    content: str | list[Part] = text
    if thinking or calls:
        content = [*([Thinking(thinking)] if thinking else []), *([Text(text)] if text else []), *calls]
    reason = last.get("done_reason")
    model = last.get("model")
    return ChatResponse(
        Message("assistant", content, origin=origin, model=model),
        _finish(reason or ("stop" if last.get("done") else None), bool(calls)),
        reason,
        read_ollama_usage(last),
        None,
        model,
        created_at(last.get("created_at")),
        raw,
    )


def parse_ollama(payload: Any, *, provider: str, origin: str) -> ChatResponse:
    """Read a whole answer.

    Raises:
        APIError: The answer holds an error, or is no answer at all.
    """
    if isinstance(payload, dict) and payload.get("error"):
        raise error_from_body(payload, status=200, headers={}, provider=provider, overrides={})
    found = expect_object(payload, "a chat answer", ("message",), provider)
    message = found["message"] if isinstance(found["message"], dict) else {}
    text, thinking = _text(message.get("content")), _text(message.get("thinking"))
    return _build(text, thinking, _calls(message), found, origin, payload)


class OllamaStreamDecoder:
    """Reads a streamed answer, line by line; the line with ``done: true`` ends it."""

    __slots__ = ("_calls", "_last", "_lines", "_origin", "_provider", "_text", "_thinking", "complete")

    def __init__(self, *, provider: str, origin: str) -> None:
        self._lines = LineDecoder()
        self._provider = provider
        self._origin = origin
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._calls: list[ToolCall] = []
        self._last: dict[str, Any] = {}
        self.complete = False

    def feed(self, data: bytes) -> Iterator[Chunk]:
        """Take bytes, yield the chunks they complete."""
        for line in self._lines.feed(data):
            yield from self._read(decode_event(line, self._provider))

    def finish(self) -> Iterator[Chunk]:
        """The bytes have ended: read a last line that lacks its line break."""
        for line in self._lines.finish():
            try:
                payload = decode_event(line, self._provider)
            except StreamFailure:
                return
            yield from self._read(payload)

    def _read(self, payload: dict[str, Any]) -> Iterator[Chunk]:
        if payload.get("error"):
            raise StreamFailure(error_from_body(payload, status=200, headers={}, provider=self._provider, overrides={}))
        self._last = payload
        message = payload.get("message")
        if type(message) is not dict:
            message = {}
        text = _text(message.get("content"))
        thinking = _text(message.get("thinking"))
        calls = _calls(message)
        deltas = None
        if calls:
            start = len(self._calls)
            deltas = [ToolCallDelta(start + i, call.id, call.name, call.arguments_json) for i, call in enumerate(calls)]
            self._calls.extend(calls)
        if text:
            self._text.append(text)
        if thinking:
            self._thinking.append(thinking)
        if text or thinking or deltas:
            yield Chunk(text, payload, thinking, deltas)
        if payload.get("done") and not self.complete:
            self.complete = True
            reason = payload.get("done_reason") or "stop"
            yield Chunk("", payload, finish_reason=_finish(reason, bool(self._calls)), usage=read_ollama_usage(payload))

    def response(self) -> ChatResponse:
        """The answer as far as it was received."""
        answer = _build("".join(self._text), "".join(self._thinking), self._calls, self._last, self._origin, self._last)
        if not self.complete:
            answer.finish_reason = "error"
        return answer
