"""Answers of OpenAI's Responses API, whole and streamed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from attrs import define, field

from provider_kit.dialects.assembly import tool_finish
from provider_kit.dialects.base import StreamFailure, decode_event, expect_object
from provider_kit.dialects.failures import error_from_body
from provider_kit.errors import APIError
from provider_kit.model.chat import ChatResponse, Chunk, ToolCallDelta, Usage
from provider_kit.model.messages import Message, Native, Part, Refusal, Text, Thinking, ToolCall
from provider_kit.wire.server_sent_events import ErrorEvent, EventDecoder

__all__ = ["ResponsesStreamDecoder", "parse_response", "read_responses_usage"]

_TERMINAL = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})


def _object(value: Any) -> dict[str, Any]:
    return value if type(value) is dict else {}


def _list(value: Any) -> list[Any]:
    return value if type(value) is list else []


def _count(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None


def read_responses_usage(usage: Any) -> Usage:
    """The usage object: input includes the cache, output includes reasoning."""
    if not isinstance(usage, dict):
        return Usage()
    input_details = _object(usage.get("input_tokens_details"))
    output_details = _object(usage.get("output_tokens_details"))
    return Usage.from_totals(
        _count(usage.get("input_tokens")),
        _count(usage.get("output_tokens")),
        cache_read=_count(input_details.get("cached_tokens")),
        cache_write=_count(input_details.get("cache_write_tokens")),
        reasoning=_count(output_details.get("reasoning_tokens")),
        total=_count(usage.get("total_tokens")),
        raw=dict(usage),
    )


def _texts(parts: Any) -> str:
    pieces = [str(part.get("text") or "") for part in _list(parts) if isinstance(part, dict)]
    return "\n\n".join(piece for piece in pieces if piece)


def _parts(item: Mapping[str, Any]) -> list[Part]:
    kind = item.get("type")
    if kind == "message":
        content = item.get("content")
        if isinstance(content, str):
            return [Text(content, extra={"item": dict(item)})]
        content = [part for part in _list(content) if isinstance(part, dict)]
        text = "".join(str(part.get("text") or "") for part in content if part.get("type") in ("output_text", "text"))
        refusal = "".join(str(part.get("refusal") or "") for part in content if part.get("type") == "refusal")
        parts: list[Part] = []
        if text:
            parts.append(Text(text, extra={"item": dict(item)}))
        if refusal:
            parts.append(Refusal(refusal, extra={"item": dict(item)}))
        return parts
    if kind == "function_call":
        return [
            ToolCall(
                str(item.get("call_id") or item.get("id") or ""),
                str(item.get("name") or ""),
                str(item.get("arguments") or ""),
                native=dict(item),
            )
        ]
    if kind == "custom_tool_call":
        return [
            ToolCall(
                str(item.get("call_id") or ""),
                str(item.get("name") or ""),
                str(item.get("input") or ""),
                native=dict(item),
            )
        ]
    if kind == "reasoning":
        return [Thinking(_texts(item.get("summary")), verbatim=_texts(item.get("content")), native=dict(item))]
    return [Native(str(kind), dict(item))]


def _finish(response: Mapping[str, Any], has_calls: bool) -> tuple[Any, str | None]:
    status = response.get("status")
    reason = _object(response.get("incomplete_details")).get("reason")
    if status == "incomplete":
        known = {"max_output_tokens": "length", "max_messages": "length", "content_filter": "content_filter"}
        return known.get(str(reason), "other"), reason or status
    if status in ("in_progress", "queued"):
        return "pause", status
    if status in ("failed", "cancelled"):
        return "error", status
    return tool_finish("stop" if status == "completed" else "other", has_calls), status


def _assemble(response: Mapping[str, Any], parts: list[Part], raw: Any, origin: str) -> ChatResponse:
    calls = any(type(part) is ToolCall for part in parts)
    finish, raw_reason = _finish(response, calls)
    model = response.get("model") or None
    return ChatResponse(
        Message("assistant", parts or "", origin=origin, model=model),
        finish,
        raw_reason,
        lambda: read_responses_usage(response.get("usage")),
        response.get("id"),
        model,
        response.get("created_at"),
        raw,
    )


def parse_response(payload: Any, *, provider: str, origin: str) -> ChatResponse:
    """Read a whole answer.

    Raises:
        APIError: The answer holds an error, says it failed, or is no answer at all.
    """
    if isinstance(payload, dict) and payload.get("error") and not payload.get("output"):
        raise error_from_body(payload, status=200, headers={}, provider=provider, overrides={})
    found = expect_object(payload, "a response", ("output",), provider)
    items = found["output"]
    parts = (
        [part for item in items if isinstance(item, dict) for part in _parts(item)] if isinstance(items, list) else []
    )
    return _assemble(found, parts, payload, origin)


def _index(payload: Mapping[str, Any]) -> int:
    """Where an item stands in the output; servers that do not tell write one item at a time."""
    index = payload.get("output_index")
    return index if type(index) is int else -1


@define
class _OpenItem:
    """An output item that is still arriving."""

    item: dict[str, Any]
    text: list[str] = field(factory=list)
    refusal: list[str] = field(factory=list)
    arguments: list[str] = field(factory=list)
    summary: dict[Any, list[str]] = field(factory=dict)
    verbatim: list[str] = field(factory=list)
    position: int = 0
    done: bool = False

    def close(self) -> dict[str, Any]:
        """The item as far as it was received."""
        if self.done:
            return self.item
        closed = dict(self.item)
        if self.text or self.refusal:
            closed["type"] = "message"
            closed["content"] = [{"type": "output_text", "text": "".join(self.text)}] if self.text else []
            if self.refusal:
                closed["content"].append({"type": "refusal", "refusal": "".join(self.refusal)})
        if self.arguments:
            closed["arguments"] = "".join(self.arguments)
        if self.summary:
            closed["type"] = "reasoning"
            pieces = [piece for part in self.summary.values() for piece in part]
            closed["summary"] = [{"type": "summary_text", "text": "".join(pieces)}]
        if self.verbatim:
            closed["type"] = "reasoning"
            closed["content"] = [{"type": "reasoning_text", "text": "".join(self.verbatim)}]
        return closed


class ResponsesStreamDecoder:
    """Reads a streamed answer, item by item."""

    __slots__ = ("_calls", "_events", "_final", "_items", "_last", "_origin", "_provider", "_started", "complete")

    def __init__(self, *, provider: str, origin: str) -> None:
        self._events = EventDecoder()
        self._provider = provider
        self._origin = origin
        self._items: dict[int, _OpenItem] = {}
        self._calls = 0
        self._started: Mapping[str, Any] = {}
        self._final: Mapping[str, Any] | None = None
        self._last: dict[str, Any] = {}
        self.complete = False

    def feed(self, data: bytes) -> Iterator[Chunk]:
        """Take bytes, yield the chunks they complete."""
        for event in self._events.feed(data):
            if event.strip() in (b"", b"[DONE]"):
                continue
            payload = decode_event(event, self._provider)
            if payload.get("type") == "response.output_text.delta":
                text = payload.get("delta")
                item = self._items.get(_index(payload))
                if text and item is not None and type(text) is str:
                    item.text.append(text)
                    yield Chunk(text, payload)
                    continue
            chunk = self._read(payload, type(event) is ErrorEvent)
            if chunk is not None:
                yield chunk
            if self.complete:
                return

    def finish(self) -> Iterator[Chunk]:
        """The bytes have ended: read a last event that lacks its blank line."""
        for event in self._events.finish():
            if event.strip() == b"[DONE]":
                continue
            try:
                payload = decode_event(event, self._provider)
            except StreamFailure:
                return
            chunk = self._read(payload, type(event) is ErrorEvent)
            if chunk is not None:
                yield chunk

    def _error(self, payload: Any) -> APIError:
        return error_from_body(payload, status=200, headers={}, provider=self._provider, overrides={})

    def _item(self, payload: Mapping[str, Any], kind: str) -> _OpenItem:
        index = _index(payload)
        item = self._items.get(index)
        if item is None:
            item = self._items[index] = _OpenItem({"type": kind})
        return item

    def _read(self, payload: dict[str, Any], named_error: bool) -> Chunk | None:
        kind = payload.get("type")
        self._last = payload
        if kind == "error" or named_error or (kind is None and payload.get("error")):
            raise StreamFailure(self._error(payload))
        handler = self._HANDLERS.get(str(kind))
        if handler is not None:
            return handler(self, payload)
        if str(kind) in _TERMINAL:
            return self._end(payload)
        response = payload.get("response")
        if isinstance(response, dict):
            self._started = response
        return None

    def _text_delta(self, payload: dict[str, Any]) -> Chunk | None:
        text = str(payload.get("delta") or "")
        self._item(payload, "message").text.append(text)
        return Chunk(text, payload) if text else None

    def _refusal_delta(self, payload: dict[str, Any]) -> Chunk | None:
        text = str(payload.get("delta") or "")
        self._item(payload, "message").refusal.append(text)
        return Chunk("", payload, refusal=text) if text else None

    def _reasoning_delta(self, payload: dict[str, Any]) -> Chunk | None:
        text = str(payload.get("delta") or "")
        pieces = self._item(payload, "reasoning").summary
        index = _count(payload.get("summary_index")) or 0
        if text and pieces and index not in pieces:
            text = f"\n\n{text}"  # the next paragraph of the summary
        pieces.setdefault(index, []).append(text)
        return Chunk("", payload, text) if text else None

    def _verbatim_delta(self, payload: dict[str, Any]) -> Chunk | None:
        """Reasoning word for word: kept beside the summary, and a sign of life."""
        text = str(payload.get("delta") or "")
        self._item(payload, "reasoning").verbatim.append(text)
        return Chunk("", payload) if text else None

    def _arguments_delta(self, payload: dict[str, Any]) -> Chunk | None:
        text = str(payload.get("delta") or "")
        item = self._item(payload, "function_call")
        item.arguments.append(text)
        return Chunk("", payload, "", [ToolCallDelta(item.position, None, None, text)]) if text else None

    def _arguments_done(self, payload: dict[str, Any]) -> Chunk | None:
        item = self._item(payload, "function_call")
        if item.arguments or not payload.get("arguments"):
            return None
        item.arguments.append(str(payload["arguments"]))
        return Chunk("", payload, "", [ToolCallDelta(item.position, None, None, item.arguments[0])])

    def _item_added(self, payload: dict[str, Any]) -> Chunk | None:
        given = payload.get("item")
        given = dict(given) if isinstance(given, dict) else {}
        item = self._items[_index(payload)] = _OpenItem(given)
        if given.get("type") not in ("function_call", "custom_tool_call"):
            return None
        item.position = self._calls
        self._calls += 1
        arguments = str(given.get("arguments") or given.get("input") or "")
        if arguments:
            item.arguments.append(arguments)
        delta = ToolCallDelta(item.position, given.get("call_id"), given.get("name"), arguments)
        return Chunk("", payload, "", [delta])

    def _item_done(self, payload: dict[str, Any]) -> Chunk | None:
        given = payload.get("item")
        if not isinstance(given, dict):
            return None
        item = self._item(payload, str(given.get("type")))
        item.item = dict(given)
        item.done = True
        whole = str(given.get("arguments") or "")
        if given.get("type") == "function_call" and whole and not item.arguments:
            item.arguments.append(whole)
            return Chunk("", payload, "", [ToolCallDelta(item.position, None, None, whole)])
        return None

    def _end(self, payload: dict[str, Any]) -> Chunk | None:
        response = payload.get("response")
        self._final = response if isinstance(response, dict) else {}
        if payload.get("type") == "response.failed" or self._final.get("status") == "failed":
            error = self._final.get("error") or {"message": "The provider says the response failed."}
            raise StreamFailure(self._error({"error": error}))
        self.complete = True
        answer = self.response()
        return Chunk("", payload, finish_reason=answer.finish_reason, usage=answer.usage)

    _HANDLERS: ClassVar[dict[str, Callable[[Any, dict[str, Any]], Chunk | None]]] = {
        "response.output_text.delta": _text_delta,
        "response.refusal.delta": _refusal_delta,
        "response.reasoning_summary_text.delta": _reasoning_delta,
        "response.reasoning_text.delta": _verbatim_delta,
        "response.function_call_arguments.delta": _arguments_delta,
        "response.function_call_arguments.done": _arguments_done,
        "response.custom_tool_call_input.delta": _arguments_delta,
        "response.output_item.added": _item_added,
        "response.output_item.done": _item_done,
    }

    def response(self) -> ChatResponse:
        """The answer as far as it was received."""
        final = self._final or self._started
        items = final.get("output") if self._final else None
        if not items:
            items = [item.close() for _, item in sorted(self._items.items())]
        parts = [part for item in items if isinstance(item, dict) for part in _parts(item)]
        answer = _assemble(final, parts, self._last, self._origin)
        if not self.complete:
            answer.finish_reason = "error"
        return answer
