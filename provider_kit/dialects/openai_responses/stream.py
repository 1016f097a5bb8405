"""Streamed answers of OpenAI's Responses API.

What a server sends only at the end of an item, or of the answer, is delivered in chunks like streamed content, and an
empty end does not overwrite what was streamed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

from provider_kit.dialects.assembly import new_call_id
from provider_kit.dialects.base import decode_event
from provider_kit.dialects.event_stream import EventReader
from provider_kit.dialects.openai_responses.open_item import CALLS, OpenItem
from provider_kit.dialects.openai_responses.response import answer_of, parts_of
from provider_kit.dialects.openai_usage import merge_usage
from provider_kit.model.chat import ChatResponse, Chunk

__all__ = ["ResponsesStreamDecoder"]

_TERMINAL = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})
#: Items whose content comes in deltas; others are delivered when they are done.
_STREAMED = (*CALLS, "message", "reasoning")


class ResponsesStreamDecoder(EventReader):
    """Reads a streamed answer, item by item."""

    __slots__ = ("_by_id", "_by_index", "_call_ids", "_calls", "_final", "_items", "_runs_custom_tools", "_started")

    def __init__(self, *, provider: str, origin: str, runs_custom_tools: bool = False) -> None:
        super().__init__(provider=provider, origin=origin, answers=("response", "item", "delta"))
        self._runs_custom_tools = runs_custom_tools
        self._items: list[OpenItem] = []
        self._by_index: dict[int, OpenItem] = {}
        self._by_id: dict[str, OpenItem] = {}
        self._calls = 0
        #: By id: the number of the item that has it.
        self._call_ids: dict[str, int] = {}
        self._started: Mapping[str, Any] = {}
        self._final: Mapping[str, Any] | None = None

    def feed(self, data: bytes) -> Iterator[Chunk]:
        """Take bytes, yield the chunks they complete."""
        for event in self._events.feed(data):
            if event.strip() in (b"", b"[DONE]") and type(event) is bytes:
                continue
            payload = decode_event(event, self._provider)
            if payload.get("type") == "response.output_text.delta":
                text = payload.get("delta")
                index, place = payload.get("output_index"), payload.get("content_index", 0)
                item = self._by_index.get(index) if type(index) is int else None
                pieces = item.texts.get(place) if item is not None and type(place) is int else None
                if text and pieces is not None and type(text) is str and self._is_sound(text):
                    pieces.append(text)
                    yield Chunk(text, payload)
                    continue
            for ready in self._ready(payload, event):
                yield from self._read(ready)
            if self.complete:
                return

    def finish(self) -> Iterator[Chunk]:
        """The bytes have ended: read a last event that lacks its blank line."""
        for payload in self._rest().events:
            if not self.complete:
                yield from self._read(payload)

    # -------------------------------------------------------------------------------------------- items

    def _item(self, payload: Mapping[str, Any], kind: str) -> OpenItem:
        """The item an event belongs to: by its index, else by its id, else the last one that is still open."""
        index, item_id = payload.get("output_index"), payload.get("item_id")
        known_id = isinstance(item_id, str) and bool(item_id)
        found = self._by_index.get(index) if type(index) is int else None
        if found is None and known_id:
            found = self._by_id.get(str(item_id))
        if found is None and type(index) is not int and not known_id:
            found = self._last_item()
            if found is not None and found.done:
                found = None
        if found is not None and found.kind != kind and found.kind in _STREAMED:
            found = None  # another kind at the same index, which would drop this event
        if found is None:
            return self._begin({"type": kind}, index, item_id)
        if type(index) is int:
            self._by_index.setdefault(index, found)
        if known_id:
            self._by_id.setdefault(str(item_id), found)
        return found

    def _last_item(self) -> OpenItem | None:
        return self._items[-1] if self._items else None

    def _begin(self, given: dict[str, Any], index: Any, item_id: Any) -> OpenItem:
        item = OpenItem(given, len(self._items), index if type(index) is int else None)
        if item.kind in CALLS and not self._is_servers_own(item.kind):
            item.position = self._calls
            self._calls += 1
        self._items.append(item)
        if type(index) is int:
            self._by_index[index] = item
        for known in (item_id, given.get("id")):
            if isinstance(known, str) and known:
                self._by_id[known] = item
        return item

    def _is_servers_own(self, kind: str) -> bool:
        return self._runs_custom_tools and kind == "custom_tool_call"

    # -------------------------------------------------------------------------------------------- events

    def _read(self, payload: dict[str, Any]) -> Iterator[Chunk]:
        kind = str(payload.get("type"))
        self._last = payload
        handler = self._HANDLERS.get(kind)
        if handler is not None:
            chunk = handler(self, payload)
            if chunk is not None and chunk.has_content:
                yield chunk
            elif chunk is not None and kind == "response.reasoning_text.delta":
                yield chunk  # nothing to show, but content for the idle timeout
        elif kind in _TERMINAL:
            yield from self._end(payload)
        elif isinstance(payload.get("response"), dict):
            self._started = payload["response"]

    def _text_delta(self, payload: dict[str, Any]) -> Chunk:
        text = str(payload.get("delta") or "")
        self._item(payload, "message").add_text(payload.get("content_index"), text)
        return Chunk(text, payload)

    def _text_done(self, payload: dict[str, Any]) -> Chunk:
        item = self._item(payload, "message")
        return Chunk(item.rest_of_text(payload.get("content_index"), payload.get("text")), payload)

    def _refusal_delta(self, payload: dict[str, Any]) -> Chunk:
        text = str(payload.get("delta") or "")
        self._item(payload, "message").refusal.append(text)
        return Chunk("", payload, refusal=text)

    def _refusal_done(self, payload: dict[str, Any]) -> Chunk:
        return Chunk("", payload, refusal=self._item(payload, "message").rest_of_refusal(payload.get("refusal")))

    def _part_done(self, payload: dict[str, Any]) -> Chunk | None:
        part = payload.get("part")
        if not isinstance(part, dict) or part.get("type") not in ("output_text", "text", "refusal"):
            return None
        item = self._item(payload, "message")
        text, refusal = item.rest_of_part(payload.get("content_index"), part)
        return Chunk(text, payload, refusal=refusal)

    def _annotation(self, payload: dict[str, Any]) -> Chunk | None:
        news = self._item(payload, "message").add_notes([payload.get("annotation")])
        return Chunk("", payload, citations=news or None)

    def _reasoning_delta(self, payload: dict[str, Any]) -> Chunk:
        item = self._item(payload, "reasoning")
        return Chunk("", payload, item.add_summary(payload.get("summary_index"), str(payload.get("delta") or "")))

    def _reasoning_done(self, payload: dict[str, Any]) -> Chunk:
        item = self._item(payload, "reasoning")
        return Chunk("", payload, item.rest_of_summary(payload.get("summary_index"), payload.get("text")))

    def _verbatim_delta(self, payload: dict[str, Any]) -> Chunk | None:
        """Verbatim reasoning: kept besides the summary, and content for the idle timeout."""
        text = str(payload.get("delta") or "")
        self._item(payload, "reasoning").verbatim.append(text)
        return Chunk("", payload) if text else None

    def _verbatim_done(self, payload: dict[str, Any]) -> Chunk | None:
        item = self._item(payload, "reasoning")
        if not item.verbatim and payload.get("text"):
            item.verbatim.append(str(payload["text"]))
        return None

    def _arguments_delta(self, payload: dict[str, Any]) -> Chunk | None:
        kind = "custom_tool_call" if "custom" in str(payload.get("type")) else "function_call"
        item = self._item(payload, kind)
        delta = item.add_arguments(str(payload.get("delta") or ""))
        return None if delta is None else Chunk("", payload, "", [delta])

    def _arguments_done(self, payload: dict[str, Any]) -> Chunk | None:
        kind = "custom_tool_call" if "custom" in str(payload.get("type")) else "function_call"
        item = self._item(payload, kind)
        told = {name: payload[name] for name in ("name", "call_id") if payload.get(name)}
        for name, value in told.items():
            item.item.setdefault(name, value)
        self._take_id(item)
        delta = item.rest_of_call(payload.get("arguments") or payload.get("input"))
        return None if delta is None else Chunk("", payload, "", [delta])

    def _item_added(self, payload: dict[str, Any]) -> Chunk | None:
        given = payload.get("item")
        given = dict(given) if isinstance(given, dict) else {}
        index = payload.get("output_index")
        known = self._by_index.get(index) if type(index) is int else self._by_id.get(str(given.get("id")))
        if known is not None and (known.done or not known.is_same(given)):
            known = None  # the same index for another item
        item = known or self._begin(given, index, payload.get("item_id"))
        item.item.update(given)
        if item.position is None:
            return None
        self._take_id(item)
        delta = item.begin_call()
        return None if delta is None else Chunk("", payload, "", [delta])

    def _item_done(self, payload: dict[str, Any]) -> Chunk | None:
        given = payload.get("item")
        if not isinstance(given, dict):
            return None
        index = payload.get("output_index")
        known = self._by_index.get(index) if type(index) is int else self._by_id.get(str(given.get("id")))
        if known is None and type(index) is not int and not given.get("id"):
            known = self._last_item()
            if known is not None and known.done:
                known = None
        if known is None or not known.is_same(given):
            known = self._begin({"type": given.get("type")}, index, given.get("id"))
        return self._complete(known, given, payload)

    def _take_id(self, item: OpenItem) -> None:
        """Give each tool call a distinct id, even where the server uses one twice."""
        given = item.item.get("call_id")
        if item.position is None or not given or item.own_call_id is not None:
            return
        if self._call_ids.setdefault(str(given), item.number) != item.number:
            item.own_call_id = new_call_id()

    def _complete(self, item: OpenItem, given: dict[str, Any], payload: dict[str, Any]) -> Chunk:
        """Take an item's final form; yield what was not delivered yet."""
        news = not item.done
        if given.get("call_id") and not item.item.get("call_id"):
            item.item["call_id"] = given["call_id"]
        self._take_id(item)
        text, thinking, refusal, delta, notes = item.complete(given)
        chunk = Chunk(text, payload, thinking, None if delta is None else [delta], refusal, citations=notes or None)
        if news and (item.kind not in _STREAMED or self._is_servers_own(item.kind)):
            chunk.parts = parts_of(item.close(), runs_custom_tools=self._runs_custom_tools)
        return chunk

    def _end(self, payload: dict[str, Any]) -> Iterator[Chunk]:
        response = payload.get("response")
        self._final = response if isinstance(response, dict) else {}
        if payload.get("type") == "response.failed" or self._final.get("status") == "failed":
            error = self._final.get("error") or {"message": "The provider says the response failed."}
            raise self._failure({"error": error})
        output = self._final.get("output")
        if isinstance(output, list):
            for item, given in self._match(given for given in output if isinstance(given, dict)):
                chunk = self._complete(item, given, payload)
                if chunk.has_content:
                    yield chunk
        ends = [item.end_call() for item in self._items if item.position is not None]
        calls = [delta for delta in ends if delta is not None]
        self._check_stray()
        self.complete = True
        answer = self.response()
        yield Chunk("", payload, "", calls or None, finish_reason=answer.finish_reason, usage=answer.usage)

    def _match(self, output: Iterable[dict[str, Any]]) -> Iterator[tuple[OpenItem, dict[str, Any]]]:
        """Match each item of the final list to one of the stream: by id, by index, by call, else by kind and order."""
        by_call = {str(item.item["call_id"]): item for item in self._items if item.item.get("call_id")}
        by_kind: dict[str, deque[OpenItem]] = {}
        for item in self._items:
            by_kind.setdefault(item.kind, deque()).append(item)
        matched: set[int] = set()
        for number, given in enumerate(output):
            queue = by_kind.get(str(given.get("type")), deque())
            while queue and queue[0].number in matched:
                queue.popleft()
            found: OpenItem | None = None
            candidates = (
                self._by_id.get(str(given.get("id") or "")),
                self._by_index.get(number),
                by_call.get(str(given.get("call_id") or "")),
                queue[0] if queue else None,
            )
            for candidate in candidates:
                if candidate is not None and candidate.number not in matched and candidate.is_same(given):
                    found = candidate
                    break
            found = found or self._begin({"type": given.get("type")}, None, given.get("id"))
            matched.add(found.number)
            yield found, given

    _HANDLERS: ClassVar[dict[str, Callable[[Any, dict[str, Any]], Chunk | None]]] = {
        "response.output_text.delta": _text_delta,
        "response.output_text.done": _text_done,
        "response.output_text.annotation.added": _annotation,
        "response.content_part.done": _part_done,
        "response.refusal.delta": _refusal_delta,
        "response.refusal.done": _refusal_done,
        "response.reasoning_summary_text.delta": _reasoning_delta,
        "response.reasoning_summary_text.done": _reasoning_done,
        "response.reasoning_text.delta": _verbatim_delta,
        "response.reasoning_text.done": _verbatim_done,
        "response.function_call_arguments.delta": _arguments_delta,
        "response.function_call_arguments.done": _arguments_done,
        "response.custom_tool_call_input.delta": _arguments_delta,
        "response.custom_tool_call_input.done": _arguments_done,
        "response.output_item.added": _item_added,
        "response.output_item.done": _item_done,
    }

    def response(self) -> ChatResponse:
        """The answer as far as it was received."""
        response = self._final or self._started
        if isinstance(used := self._started.get("usage"), dict):
            response = {**response, "usage": merge_usage(dict(used), response.get("usage"))}
        ordered = sorted(self._items, key=lambda item: item.number if item.index is None else item.index)
        closed = [item.close() for item in ordered]
        parts = [part for item in closed for part in parts_of(item, runs_custom_tools=self._runs_custom_tools)]
        answer = answer_of(response, parts, self._last, self._origin)
        if not self.complete:
            answer.finish_reason = "error"
            answer.message.incomplete = True
        return answer
