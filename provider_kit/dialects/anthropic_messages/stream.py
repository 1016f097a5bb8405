"""Streamed answers of Anthropic's Messages API, block by block.

Source: Anthropic API reference, "Streaming messages".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import define, field

from provider_kit.dialects.anthropic_messages.response import finish_of, message_of, part_of, read_anthropic_usage
from provider_kit.dialects.assembly import OpenCall, new_call_id
from provider_kit.dialects.base import decode_event
from provider_kit.dialects.event_stream import EventReader
from provider_kit.dialects.openai_usage import merge_usage
from provider_kit.model.chat import ChatResponse, Chunk, ToolCallDelta
from provider_kit.model.json_text import loads, text_of_received
from provider_kit.model.messages import Native, Part, Text, ToolCall

__all__ = ["AnthropicStreamDecoder"]

#: For each kind of delta: the type of its block, and the field of the block it extends.
_TEXT_DELTAS = {"text_delta": ("text", "text"), "thinking_delta": ("thinking", "thinking")}
#: Blocks of which every delta is known; others are kept with all fields of their deltas.
_WELL_KNOWN = ("text", "thinking", "tool_use")


@define
class _Block:
    """A content block that is still arriving."""

    block: dict[str, Any]
    #: Pieces by field of the block; ``partial_json`` is the input of a tool.
    pieces: dict[str, list[str]] = field(factory=dict)
    #: What deltas of an unknown kind contained besides text.
    lists: dict[str, list[Any]] = field(factory=dict)
    #: Its tool call, with its position among the calls.
    call: OpenCall | None = None
    stopped: bool = False
    #: Whether it was already delivered in a chunk, as a part.
    told: bool = False

    @property
    def kind(self) -> Any:
        """Its type."""
        return self.block.get("type")

    def add(self, name: str, piece: str) -> None:
        """Add a piece of a field."""
        self.pieces.setdefault(name, []).append(piece)

    def close(self) -> Part:
        """The block as far as it was received."""
        closed = {**self.block, **{name: list(items) for name, items in self.lists.items()}}
        for name, pieces in self.pieces.items():
            if name != "partial_json":
                begun = closed.get(name)
                closed[name] = (begun if isinstance(begun, str) else "") + "".join(pieces)
        if self.call is not None:
            announced = closed.get("input")
            text = self.call.text() or (announced if isinstance(announced, str) else "")
            made = part_of({**closed, "id": self.call.id, "input": text or {}, "caller": None})
            if isinstance(made, ToolCall):
                made.local_id = self.call.local_id
                if closed.get("caller"):
                    made.native = {**closed, "input": _object(text)}
            return made
        written = "".join(self.pieces.get("partial_json", ()))
        if written:
            closed["input"] = _object(written)
        return part_of(closed)


class AnthropicStreamDecoder(EventReader):
    """Reads a streamed answer, block by block."""

    __slots__ = ("_blocks", "_by_index", "_calls", "_ids", "_message", "_stop", "_usage")

    def __init__(self, *, provider: str, origin: str) -> None:
        super().__init__(provider=provider, origin=origin, answers=("delta", "content_block", "index"))
        self._message: Mapping[str, Any] = {}
        self._blocks: list[_Block] = []
        self._by_index: dict[int, _Block] = {}
        self._calls = 0
        self._ids: set[str] = set()
        self._usage: dict[str, Any] | None = None
        self._stop: dict[str, Any] = {}

    def feed(self, data: bytes) -> Iterator[Chunk]:
        """Take bytes, yield the chunks they complete. What follows the end of the message is ignored."""
        for event in self._events.feed(data):
            if event.strip() in (b"", b"[DONE]") and type(event) is bytes:
                continue
            payload = decode_event(event, self._provider)
            if payload.get("type") == "content_block_delta":
                delta = payload.get("delta")
                if type(delta) is dict and delta.get("type") == "text_delta":
                    text = delta.get("text")
                    index = payload.get("index")
                    block = self._by_index.get(index) if type(index) is int else None
                    pieces = block.pieces.get("text") if block is not None else None
                    if pieces is not None and text and type(text) is str and self._is_sound(text):
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

    def _read(self, payload: dict[str, Any]) -> Iterator[Chunk]:
        if self.complete:
            return
        kind = payload.get("type")
        if kind != "ping":
            self._last = payload
        chunk: Chunk | None = None
        if kind == "message_start":
            message = payload.get("message")
            self._message = message if isinstance(message, dict) else {}
            self._usage = merge_usage(self._usage, self._message.get("usage"))
        elif kind == "content_block_start":
            chunk = self._start(payload)
        elif kind == "content_block_delta":
            chunk = self._delta(payload)
        elif kind == "content_block_stop":
            chunk = self._block_stop(payload)
        elif kind == "message_delta":
            delta = payload.get("delta")
            if isinstance(delta, dict):
                self._stop.update({key: value for key, value in delta.items() if value is not None})
            self._usage = merge_usage(self._usage, payload.get("usage"))
        elif kind == "message_stop":
            yield self._end(payload)
        if chunk is not None and chunk.has_content:
            yield chunk

    # -------------------------------------------------------------------------------------------- blocks

    def _start(self, payload: dict[str, Any]) -> Chunk | None:
        index = payload.get("index")
        given = payload.get("content_block")
        block = dict(given) if isinstance(given, dict) else {}
        known = self._by_index.get(index) if type(index) is int else None
        if known is not None and _is_same(known, block):
            return self._go_on(known, block, payload)
        opened = self._open(block, index)
        kind = opened.kind
        for name in ("text", "thinking"):
            if kind == name:
                said = block.pop(name, None)
                opened.pieces[name] = [said] if isinstance(said, str) and said else []
        if opened.call is not None:
            given_input = block.get("input")
            arguments = (
                ""
                if not given_input
                else given_input
                if isinstance(given_input, str)
                else text_of_received(given_input)
            )
            # Some servers announce the complete input and then stream it: the announcement is used only at the end.
            block["input"] = arguments
            return Chunk(
                "", payload, "", [ToolCallDelta(opened.call.position, opened.call.id, opened.call.name or None)]
            )
        return Chunk("".join(opened.pieces.get("text", ())), payload, "".join(opened.pieces.get("thinking", ())))

    def _go_on(self, known: _Block, block: dict[str, Any], payload: dict[str, Any]) -> Chunk | None:
        """A repeated start of a block: what was received is kept, and nothing is restarted."""
        known.stopped = False
        if known.call is not None:
            return self._named(known, block, payload)
        said = block.get(str(known.kind))
        if known.kind not in ("text", "thinking") or not isinstance(said, str) or not said:
            return None
        known.add(known.kind, said)
        return Chunk(said, payload) if known.kind == "text" else Chunk("", payload, said)

    def _named(self, known: _Block, block: dict[str, Any], payload: dict[str, Any]) -> Chunk | None:
        """The id and the name of a tool call whose pieces came before them."""
        call = known.call
        assert call is not None  # only called for tool calls
        given, name = str(block.get("id") or ""), str(block.get("name") or "")
        news_id = given if given and call.local_id and given not in self._ids else None
        news_name = name if name and not call.name else None
        if news_id:
            call.id, call.local_id = news_id, False
            self._ids.add(news_id)
        call.name = call.name or name
        for key, value in block.items():
            if not known.block.get(key):
                known.block[key] = value
        if not (news_id or news_name):
            return None
        return Chunk("", payload, "", [ToolCallDelta(call.position, news_id, news_name, "")])

    def _open(self, block: dict[str, Any], index: Any) -> _Block:
        opened = _Block(block)
        if block.get("type") == "tool_use":
            given = str(block.get("id") or "")
            local = not given or given in self._ids  # each tool call needs a distinct id
            call_id = new_call_id() if local else given
            self._ids.add(call_id)
            opened.call = OpenCall(self._calls, call_id, str(block.get("name") or ""), local_id=local)
            self._calls += 1
        self._blocks.append(opened)
        if type(index) is int:
            self._by_index[index] = opened
        return opened

    def _known(self, index: Any) -> _Block | None:
        """The block at an index; the last one where the server sends none."""
        if type(index) is int:
            return self._by_index.get(index)
        return self._blocks[-1] if self._blocks else None

    def _block_of(self, payload: dict[str, Any], kind: Any) -> _Block:
        """The block of a delta. One that was never announced is created, of the kind the delta needs."""
        index = payload.get("index")
        known = self._known(index)
        wanted = _TEXT_DELTAS.get(str(kind), (None, ""))[0]
        if kind == "input_json_delta" and known is not None and known.kind in ("text", "thinking"):
            known = None  # of a tool call that was never announced
        if known is not None and (wanted is None or known.kind == wanted):
            return known  # else its text would be lost in a block of another kind
        if kind == "input_json_delta":
            return self._open({"type": "tool_use"}, index)
        if kind == "signature_delta":
            return self._open({"type": "thinking"}, index)
        return self._open({"type": wanted or "text"}, index)

    def _delta(self, payload: dict[str, Any]) -> Chunk | None:
        delta = payload.get("delta")
        if not isinstance(delta, dict):
            return None
        kind = delta.get("type")
        block = self._block_of(payload, kind)
        if kind in _TEXT_DELTAS:
            name = _TEXT_DELTAS[kind][1]
            text = str(delta.get(name) or "")
            block.add(name, text)
            return Chunk(text, payload) if kind == "text_delta" else Chunk("", payload, text)
        if kind == "input_json_delta":
            return self._input(block, str(delta.get("partial_json") or ""), payload)
        if kind == "citations_delta":
            note = delta.get("citation")
            block.lists.setdefault("citations", []).append(note)
            return Chunk("", payload, citations=[note]) if isinstance(note, dict) else None
        if kind == "signature_delta":
            block.add("signature", str(delta.get("signature") or ""))
            return None
        if block.kind in _WELL_KNOWN:
            return None
        for name, value in delta.items():  # the summary of a compaction, and kinds added in the future
            if isinstance(value, str) and name != "type":
                block.add(name, value)
            elif isinstance(value, list):
                block.lists.setdefault(name, []).extend(value)
            elif name != "type" and value is not None:
                block.block[name] = value
        return None

    def _input(self, block: _Block, text: str, payload: dict[str, Any]) -> Chunk | None:
        call = block.call
        if call is None:
            block.add("partial_json", text)
            return None
        told = call.add(text)
        if not told:
            return None
        block.block["input"] = ""  # what was announced was a preview of this
        return Chunk("", payload, "", [ToolCallDelta(call.position, None, None, told)])

    def _block_stop(self, payload: dict[str, Any]) -> Chunk | None:
        index = payload.get("index")
        block = self._known(index)
        if block is None or block.stopped:
            return None
        block.stopped = True
        if block.call is not None:
            return self._announced(block, payload)
        if block.kind in _WELL_KNOWN or block.told:
            return None
        block.told = True
        made = block.close()
        return Chunk("", payload, parts=[made]) if type(made) is Native else None

    def _announced(self, block: _Block, payload: dict[str, Any]) -> Chunk | None:
        """What of a tool call's input was not delivered so far: what its start announced, or a placeholder."""
        call = block.call
        assert call is not None  # only called for tool calls
        announced = block.block.get("input")
        told = call.release()
        if not call.size and isinstance(announced, str) and announced:
            told = call.add(announced) or call.release()
        block.block["input"] = ""
        return Chunk("", payload, "", [ToolCallDelta(call.position, None, None, told)]) if told else None

    # -------------------------------------------------------------------------------------------- the end

    def _end(self, payload: dict[str, Any]) -> Chunk:
        self._check_stray()
        self.complete = True
        pieces = [
            delta
            for block in self._blocks
            if block.call is not None and (chunk := self._announced(block, payload)) is not None
            for delta in chunk.tool_calls or ()
        ]
        answer = self.response()
        return Chunk(
            "",
            payload,
            "",
            pieces or None,
            answer.refusal or "",
            finish_reason=answer.finish_reason,
            usage=answer.usage,
        )

    def response(self) -> ChatResponse:
        """The answer as far as it was received."""
        parts = [block.close() for block in self._blocks]
        parts = [part for part in parts if not (type(part) is Text and not part.text)]
        model = self._message.get("model") or None
        raw = self._stop.get("stop_reason")
        details = self._stop.get("stop_details")
        refusal = details if raw == "refusal" and isinstance(details, dict) else None
        message = message_of(parts, refusal, self._origin, model)
        message.incomplete = not self.complete
        return ChatResponse(
            message,
            finish_of(raw, self._calls > 0) if self.complete else "error",
            raw,
            read_anthropic_usage(self._usage),
            self._message.get("id"),
            model,
            None,
            self._last,
        )


def _is_same(known: _Block, given: Mapping[str, Any]) -> bool:
    """Whether the start of a block at a known index announces the block that is there already."""
    if given.get("type") != known.kind:
        return False
    mine, other = known.block.get("id"), given.get("id")
    if mine and other:
        return bool(mine == other)
    return not known.stopped


def _object(text: str) -> Any:
    try:
        return loads(text)
    except ValueError:
        return {}
