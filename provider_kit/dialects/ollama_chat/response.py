"""Answers of Ollama's native chat API, whole and streamed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from provider_kit.dialects.assembly import new_call_id, tool_finish
from provider_kit.dialects.base import StreamFailure, decode_event, expect_object
from provider_kit.dialects.failures import error_from_body, holds_error
from provider_kit.dialects.generated import read_image
from provider_kit.dialects.model_facts import seconds_of
from provider_kit.errors import InvalidResponseError
from provider_kit.model.chat import ChatResponse, Chunk, ToolCallDelta
from provider_kit.model.json_text import text_of_received
from provider_kit.model.messages import Message, Part, Text, Thinking, ToolCall
from provider_kit.model.surrogates import PairJoiner, may_hold_halves
from provider_kit.model.usage import Usage
from provider_kit.wire.json_lines import LineDecoder

__all__ = ["OllamaStreamDecoder", "parse_ollama", "read_ollama_usage"]


def read_ollama_usage(payload: Mapping[str, Any]) -> Usage:
    """Counts of the last line; a count that is absent is unknown, not zero."""
    counts = {
        key: payload[key]
        for key in ("prompt_eval_count", "eval_count")
        if type(payload.get(key)) is int and payload[key] >= 0
    }
    return Usage.from_totals(counts.get("prompt_eval_count"), counts.get("eval_count"), raw=counts or None)


def _text(value: Any) -> str:
    return value if type(value) is str else "" if value is None else str(value)


def _images(message: Mapping[str, Any]) -> list[Part]:
    """Images the model generated, as base64."""
    given = message.get("images")
    found = (read_image({"type": "image", "data": item}) for item in given) if isinstance(given, list) else ()
    return [part for part in found if part is not None]


def _calls(message: Mapping[str, Any], seen: set[str]) -> list[ToolCall]:
    """The calls of a message; an id that is already in use is replaced."""
    calls: list[ToolCall] = []
    given_calls = message.get("tool_calls")
    if not given_calls or not isinstance(given_calls, list):
        return calls
    for item in given_calls:
        function = item.get("function") if isinstance(item, dict) else None
        if isinstance(function, dict):
            given = str(item.get("id") or "")
            local = not given or given in seen
            arguments = function.get("arguments")
            call_id = new_call_id() if local else given
            seen.add(call_id)
            calls.append(
                ToolCall(
                    call_id,
                    str(function.get("name") or ""),
                    arguments if isinstance(arguments, str) else text_of_received(arguments or {}),
                    local_id=local,
                )
            )
    return calls


def _finish(reason: Any, has_calls: bool) -> Any:
    return tool_finish({"stop": "stop", "length": "length"}.get(str(reason), "other"), has_calls)


def _build(
    text: str,
    thinking: str,
    images: list[Part],
    calls: list[ToolCall],
    last: Mapping[str, Any],
    origin: str,
    raw: Any,
) -> ChatResponse:
    content: str | list[Part] = text
    if thinking or calls or images:
        content = [*([Thinking(thinking)] if thinking else []), *([Text(text)] if text else []), *images, *calls]
    reason = last.get("done_reason")
    model = last.get("model")
    return ChatResponse(
        Message("assistant", content, origin=origin, model=model),
        _finish(reason or ("stop" if last.get("done") else None), bool(calls)),
        reason,
        read_ollama_usage(last),
        None,
        model,
        seconds_of(last.get("created_at")),
        raw,
    )


def parse_ollama(payload: Any, *, provider: str, origin: str) -> ChatResponse:
    """Read a whole answer.

    Raises:
        APIError: The answer holds an error, or is not an answer of this API.
    """
    if isinstance(payload, dict) and holds_error(payload, ("done",)):
        raise error_from_body(payload, status=200, headers={}, provider=provider, overrides={})
    found = expect_object(payload, "a chat answer", ("message",), provider)
    message = found["message"] if isinstance(found["message"], dict) else {}
    text, thinking = _text(message.get("content")), _text(message.get("thinking"))
    return _build(text, thinking, _images(message), _calls(message, set()), found, origin, payload)


class OllamaStreamDecoder:
    """Reads a streamed answer, line by line; the line with ``done: true`` ends it."""

    __slots__ = (
        "_calls",
        "_ids",
        "_images",
        "_last",
        "_lines",
        "_origin",
        "_pairs",
        "_provider",
        "_text",
        "_thinking",
        "complete",
        "lacks_only_end",
    )

    def __init__(self, *, provider: str, origin: str) -> None:
        self._lines = LineDecoder()
        self._pairs = PairJoiner()
        self._provider = provider
        self._origin = origin
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._images: list[Part] = []
        self._calls: list[ToolCall] = []
        self._ids: set[str] = set()
        self._last: dict[str, Any] = {}
        self.complete = False
        self.lacks_only_end = False

    def feed(self, data: bytes) -> Iterator[Chunk]:
        """Take bytes, yield the chunks they complete. What follows the end is ignored."""
        for line in self._lines.feed(data):
            yield from self._read_line(line)
            if self.complete:
                return

    def finish(self) -> Iterator[Chunk]:
        """The bytes have ended: read a last line that lacks its line break."""
        for line in self._lines.finish():
            try:
                yield from self._read_line(line)
            except StreamFailure as failure:
                if not isinstance(failure.error, InvalidResponseError):
                    raise
                return  # an incomplete line
        for payload in self._pairs.finish():
            yield from self._read(payload)

    def _read_line(self, line: bytes) -> Iterator[Chunk]:
        payload = decode_event(line, self._provider)
        if holds_error(payload, ("done",)):
            raise StreamFailure(error_from_body(payload, status=200, headers={}, provider=self._provider, overrides={}))
        waits = self._pairs.waits or may_hold_halves(line)
        for ready in self._pairs.feed(payload) if waits else (payload,):
            yield from self._read(ready)

    def _read(self, payload: dict[str, Any]) -> Iterator[Chunk]:
        if self.complete:
            return
        self._last = payload
        message = payload.get("message")
        if type(message) is not dict:
            message = {}
        text = _text(message.get("content"))
        thinking = _text(message.get("thinking"))
        calls = _calls(message, self._ids)
        images = _images(message)
        deltas = None
        if calls:
            start = len(self._calls)
            deltas = [ToolCallDelta(start + i, call.id, call.name, call.arguments_json) for i, call in enumerate(calls)]
            self._calls.extend(calls)
        if text:
            self._text.append(text)
        if thinking:
            self._thinking.append(thinking)
        self._images.extend(images)
        if text or thinking or deltas or images:
            yield Chunk(text, payload, thinking, deltas, parts=images or None)
        if payload.get("done"):
            self.complete = True
            reason = payload.get("done_reason") or "stop"
            yield Chunk("", payload, finish_reason=_finish(reason, bool(self._calls)), usage=read_ollama_usage(payload))

    def response(self) -> ChatResponse:
        """The answer as far as it was received."""
        text, thinking = "".join(self._text), "".join(self._thinking)
        answer = _build(text, thinking, self._images, self._calls, self._last, self._origin, self._last)
        if not self.complete:
            answer.finish_reason = "error"
            answer.message.incomplete = True
        return answer
