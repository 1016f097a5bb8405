"""Streamed chat answers in OpenAI's form, of OpenAI and compatible servers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from provider_kit.dialects.assembly import ToolCallAssembly
from provider_kit.dialects.base import decode_event
from provider_kit.dialects.choices import ChoiceFilter
from provider_kit.dialects.event_stream import EventReader
from provider_kit.dialects.generated import SpokenAnswer, read_image
from provider_kit.dialects.openai_chat.content import (
    arguments_of,
    as_list,
    call_extra,
    call_id,
    finish_of,
    index_of,
    is_custom,
    linked_sources,
    read_content,
    reasoning_of,
)
from provider_kit.dialects.openai_chat.reasoning_details import ReasoningDetails
from provider_kit.dialects.openai_usage import as_object, merge_usage, read_count, read_usage
from provider_kit.errors import APIError
from provider_kit.model.chat import ChatResponse, Chunk, ToolCallDelta
from provider_kit.model.messages import Message, Part, Refusal, Text, Thinking

__all__ = ["ChatStreamDecoder"]

#: Fewest characters of a last piece that counts as a repetition if it equals the whole text.
_SURELY_REPEATED = 16

#: Fields of a piece that hold other content.
_OTHER = {"images", "audio", "annotations"}


class ChatStreamDecoder(EventReader):
    """Reads a streamed chat answer."""

    __slots__ = (
        "_always_done",
        "_by_delta",
        "_calls",
        "_choices",
        "_citations",
        "_details",
        "_first",
        "_parts",
        "_raw_reason",
        "_refusal",
        "_spoken",
        "_text",
        "_thinking",
        "_told",
        "_usage",
    )

    def __init__(
        self, *, provider: str, origin: str, always_done: bool, error_codes: Mapping[str, type[APIError]]
    ) -> None:
        super().__init__(provider=provider, origin=origin, error_codes=error_codes, answers=("choices",))
        self._always_done = always_done
        self._choices = ChoiceFilter()
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._refusal: list[str] = []
        self._parts: list[Part] = []
        self._citations: list[dict[str, Any]] = []
        #: Sources and images that were already delivered.
        self._told: set[int] = set()
        self._spoken = SpokenAnswer()
        self._calls = ToolCallAssembly()
        self._details = ReasoningDetails()
        #: Whether content came under ``delta``, so that a ``message`` only repeats it.
        self._by_delta = False
        self._raw_reason: str | None = None
        self._usage: dict[str, Any] | None = None
        #: Id, model and time of the first event, so that the event itself need not be kept.
        self._first: tuple[Any, Any, Any] | None = None

    def feed(self, data: bytes) -> Iterator[Chunk]:
        """Take bytes, yield the chunks they complete."""
        add = self._text.append
        for event in self._events.feed(data):
            if event[:1] != b"{":
                if event.strip() == b"[DONE]":
                    yield from self._end()
                    return
                if not event.strip() and type(event) is bytes:
                    continue
            payload = decode_event(event, self._provider, self._error_codes)
            choices = payload.get("choices")
            usage = payload.get("usage")
            if usage:
                self._usage = merge_usage(self._usage, usage)
            quick = self._choices.quick
            if (
                choices
                and quick >= 0
                and type(choices) is list
                and len(choices) == 1
                and "error" not in payload
                and "x_groq" not in payload
                and "citations" not in payload
            ):
                choice = choices[0]
                if (
                    type(choice) is dict
                    and choice.get("index", quick) == quick
                    and "message" not in choice
                    and "error" not in choice
                ):
                    delta = choice.get("delta")
                    if type(delta) is dict and len(delta) == 1 and choice.get("finish_reason") is None:
                        text = delta.get("content")
                        if text and type(text) is str and self._is_sound(text):
                            self._last = payload  # the one before it is needed no more
                            add(text)
                            yield Chunk(text, payload)
                            continue
            for ready in self._ready(payload, event):
                yield from self._read(ready)

    def finish(self) -> Iterator[Chunk]:
        """The bytes have ended: read a last event that lacks its blank line, then end."""
        left = self._rest()
        for payload in left.events:
            self._usage = merge_usage(self._usage, payload.get("usage"))
            yield from self._read(payload)
        yield from self._taken(self._choices.finish())
        finished = self._raw_reason is not None and not left.half_event and not left.half_line
        if not self.complete and (left.marked or (finished and not self._always_done)):
            yield from self._end()
        self.lacks_only_end = finished and not self.complete

    def _end(self) -> Iterator[Chunk]:
        self._check_stray()
        for payload in self._pairs.finish():
            yield from self._read(payload)
        yield from self._taken(self._choices.finish())
        self.complete = True
        calls = self._calls.release() or None
        yield Chunk("", self._last, "", calls, finish_reason=self._reason(), usage=read_usage(self._usage))

    def _reason(self) -> Any:
        """Why the stream ended, as far as it was received."""
        calls = bool(self._calls.calls)
        if not self.complete and not self.lacks_only_end:
            return "error"
        if self._raw_reason is None and not calls:
            # Only the stream's end mark, and nothing that contradicts it.
            return "stop" if self._text or self._refusal or self._parts else "error"
        return finish_of(self._raw_reason, calls)

    def _read(self, payload: dict[str, Any]) -> Iterator[Chunk]:
        self._last = payload
        if self._first is None:
            self._first = payload.get("id"), payload.get("model"), payload.get("created")
        groq = payload.get("x_groq")
        if isinstance(groq, dict):
            if groq.get("error"):
                raise self._failure({"error": {"message": str(groq["error"])}})
            self._usage = merge_usage(self._usage, groq.get("usage"))
        if "citations" in payload:
            news = self._notes(linked_sources(payload))
            if news:
                yield Chunk("", payload, citations=news)
        yield from self._taken(self._choices.take(as_list(payload.get("choices")), payload))

    def _taken(self, pieces: Iterable[tuple[Mapping[str, Any], Any]]) -> Iterator[Chunk]:
        for choice, payload in pieces:
            chunk = self._choice(payload, choice)
            if chunk.has_content:
                yield chunk

    def _choice(self, payload: dict[str, Any], choice: Mapping[str, Any]) -> Chunk:
        if choice.get("error"):
            raise self._failure(choice)
        reason = choice.get("finish_reason")
        if reason and reason != "null":  # some servers write "" or "null" into every chunk
            if reason == "error" or reason == "insufficient_system_resource":
                raise self._failure(
                    {"error": {"message": f"The provider ended the stream with {reason!r}.", "code": reason}}
                )
            first = self._raw_reason is None
            self._raw_reason = str(reason)
            self._choices.ended()
        else:
            first = False
        delta = as_object(choice.get("delta"))
        message = as_object(choice.get("message"))
        chunk = Chunk("", payload)
        if delta or "text" in choice:
            self._content(chunk, delta, delta["content"] if "content" in delta else choice.get("text"), first)
            self._by_delta = self._by_delta or chunk.has_content
        if message and (first or not chunk.has_content):
            self._snapshot(chunk, message)
        return chunk

    def _content(self, chunk: Chunk, delta: Mapping[str, Any], content: Any, last: bool) -> None:
        """Move the content of a piece into the chunk."""
        found = read_content(content)
        text, thinking = found.text, found.thinking or reasoning_of(delta)
        if last and len(text) >= _SURELY_REPEATED and len(self._text) > 1 and text == "".join(self._text):
            text = ""  # the whole text repeated
        refusal = str(delta.get("refusal") or "")
        details = delta.get("reasoning_details")
        if details:
            self._details.add(as_list(details))
        self._put(chunk, text, thinking, refusal)
        chunk.tool_calls = self._pieces(delta) or None
        if found.parts or found.notes or _OTHER & delta.keys():
            self._other_content(chunk, delta, found.parts, found.notes)

    def _put(self, chunk: Chunk, text: str, thinking: str, refusal: str) -> None:
        chunk.text, chunk.thinking, chunk.refusal = (
            chunk.text + text,
            chunk.thinking + thinking,
            chunk.refusal + refusal,
        )
        if text:
            self._text.append(text)
        if thinking:
            self._thinking.append(thinking)
        if refusal:
            self._refusal.append(refusal)

    def _other_content(
        self, chunk: Chunk, delta: Mapping[str, Any], parts: list[Part], notes: list[dict[str, Any]]
    ) -> None:
        """Images, audio and sources."""
        for item in as_list(delta.get("images")):
            picture = read_image(item) if self._is_news(item) else None
            if picture is not None:
                parts.append(picture)
        self._parts.extend(parts)
        audio = delta.get("audio")
        piece = self._spoken.add(audio) if isinstance(audio, dict) else None
        chunk.parts = [*(chunk.parts or ()), *parts, *([] if piece is None else [piece])] or None
        news = self._notes(notes + as_list(delta.get("annotations")))
        chunk.citations = [*(chunk.citations or ()), *news] or None

    def _is_news(self, item: Any) -> bool:
        mark = hash(repr(item))
        news = mark not in self._told
        self._told.add(mark)
        return news

    def _notes(self, notes: list[Any]) -> list[dict[str, Any]]:
        """Take sources; return those not delivered yet."""
        news = [note for note in notes if isinstance(note, dict) and self._is_news(note)]
        self._citations.extend(news)
        return news

    def _snapshot(self, chunk: Chunk, message: Mapping[str, Any]) -> None:
        """A ``message`` instead of a ``delta``: a new piece, everything so far, or a repetition."""
        found = read_content(message.get("content"))
        self._put(
            chunk,
            self._unseen(self._text, found.text),
            self._unseen(self._thinking, found.thinking or reasoning_of(message)),
            self._unseen(self._refusal, str(message.get("refusal") or "")),
        )
        if message.get("reasoning_details") and not self._details:
            self._details.add(as_list(message["reasoning_details"]))
        calls = [*(chunk.tool_calls or ()), *self._unseen_calls(message)]
        chunk.tool_calls = calls or None
        spoken = {} if self._spoken.data or self._spoken.transcript else {"audio": message.get("audio")}
        seen = {"images": message.get("images"), "annotations": message.get("annotations"), **spoken}
        self._other_content(chunk, seen, [] if self._parts else found.parts, list(found.notes))

    def _unseen_calls(self, message: Mapping[str, Any]) -> list[ToolCallDelta]:
        """What of the calls of a ``message`` has not been streamed yet."""
        known, count = self._calls.calls, len(self._calls.calls)
        deltas: list[ToolCallDelta] = []
        for position, item in enumerate(as_list(message.get("tool_calls"))):
            if position >= count:
                deltas.extend(self._pieces({"tool_calls": [item]}))
            elif isinstance(item, dict):
                call = known[position]
                given = arguments_of(as_object(item.get("function")).get("arguments"))
                if len(given) >= call.size and given.startswith("".join(call.arguments)):
                    added = call.append(given[call.size :]) if len(given) > call.size else ""
                    call.withheld = "" if added else call.withheld
                    deltas.extend([ToolCallDelta(call.position, None, None, added)] if added else [])
                elif not self._by_delta:
                    deltas.extend(self._pieces({"tool_calls": [item]}))
        if not count:
            deltas.extend(self._pieces({"function_call": message.get("function_call")}))
        return deltas

    def _unseen(self, known: list[str], given: str) -> str:
        """What of a text has not been streamed yet."""
        if not known or not given:
            return given
        size = sum(map(len, known)) if len(known) < len(given) + 1 else len(given) + 1
        if len(given) >= size:
            joined = "".join(known)
            if given.startswith(joined):
                return given[len(joined) :]
        return "" if self._by_delta else given

    def _pieces(self, delta: Mapping[str, Any]) -> list[ToolCallDelta]:
        pieces = []
        for item in as_list(delta.get("tool_calls")):
            if not isinstance(item, dict):
                continue
            custom = is_custom(item)
            function = as_object(item["custom"] if custom else item.get("function"))
            name, arguments = str(function.get("name") or ""), function.get("arguments") or function.get("input")
            if not (name or arguments or call_id(item)):
                continue  # nothing new
            piece = self._calls.add(index_of(item), call_id(item), name, arguments_of(arguments), raw=custom)
            extra = call_extra(item)
            if extra:
                self._calls.calls[piece.index].extra = extra
            pieces.append(piece)
        legacy = delta.get("function_call")
        if isinstance(legacy, dict) and (legacy.get("name") or self._calls.calls):
            name = str(legacy.get("name") or "")
            pieces.append(self._calls.add(0, None, name, arguments_of(legacy.get("arguments"))))
        return pieces

    def flush(self) -> None:
        """The stream has failed: count held-back pieces as received."""
        for payload in self._pairs.finish():
            for _ in self._read(payload):
                pass
        for _ in self._taken(self._choices.finish()):
            pass

    def response(self) -> ChatResponse:
        """The answer as far as it was received."""
        text = "".join(self._text)
        calls = self._calls.close()
        for call, known in zip(calls, self._calls.calls, strict=True):
            if known.raw:
                call.native = {
                    "id": call.id,
                    "type": "custom",
                    "custom": {"name": call.name, "input": call.arguments_json},
                }
        spoken = self._spoken.close()
        content: str | list[Part]
        if not (self._thinking or self._refusal or calls or self._parts or self._citations or spoken):
            content = text
        else:
            content = []
            if self._thinking:
                content.append(Thinking("".join(self._thinking)))
            if text or self._citations:
                content.append(Text(text, extra={"annotations": self._citations} if self._citations else None))
            content.extend([*self._parts, *([] if spoken is None else [spoken])])
            if self._refusal:
                content.append(Refusal("".join(self._refusal)))
            content.extend(calls)
        first_id, first_model, created = self._first or (None, None, None)
        model = first_model or self._last.get("model") or None
        details = self._details.close()
        return ChatResponse(
            Message(
                "assistant",
                content,
                origin=self._origin,
                model=model,
                extra={"reasoning_details": details} if details else None,
                incomplete=not self.complete and not self.lacks_only_end,
            ),
            self._reason(),
            self._raw_reason,
            read_usage(self._usage, self._last.get("service_tier")),
            first_id or self._last.get("id") or None,
            model,
            read_count(created) or read_count(self._last.get("created")),
            self._last,
        )
