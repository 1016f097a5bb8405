"""Chat answers in OpenAI's form, whole and streamed, of OpenAI and of everyone who imitates it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from provider_kit.dialects.assembly import OpenCall, ToolCallAssembly, tool_finish
from provider_kit.dialects.base import StreamFailure, decode_event
from provider_kit.dialects.failures import error_from_body
from provider_kit.dialects.openai_usage import as_object, read_count, read_usage
from provider_kit.errors import APIError, InvalidResponseError
from provider_kit.model.chat import ChatResponse, Chunk, ToolCallDelta
from provider_kit.model.json_text import dumps_text
from provider_kit.model.messages import Message, Part, Refusal, Text, Thinking, ToolCall
from provider_kit.wire.server_sent_events import ErrorEvent, EventDecoder

__all__ = ["ChatStreamDecoder", "parse_answer"]

_FINISH = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "safety": "content_filter",
    "error": "error",
    "insufficient_system_resource": "error",
}


def _finish(raw: Any, has_calls: bool) -> Any:
    return tool_finish(_FINISH.get(raw, "other") if isinstance(raw, str) else "other", has_calls)


#: A message with no other fields is plain text, unless it is a refusal.
_PLAIN_FIELDS = frozenset({"role", "content", "refusal", "annotations"})


def _list(value: Any) -> list[Any]:
    return value if type(value) is list else []


def _content(value: Any) -> tuple[str, str, list[dict[str, Any]]]:
    """Text, thinking and thinking chunks of a content that may be a string or a list of chunks."""
    if isinstance(value, str):
        return value, "", []
    text: list[str] = []
    thinking: list[str] = []
    chunks: list[dict[str, Any]] = []
    for item in value if isinstance(value, list) else ():
        if isinstance(item, str):
            text.append(item)
        elif isinstance(item, dict):
            if item.get("type") == "thinking":
                chunks.append(dict(item))
                inner = item.get("thinking")
                thinking.append(inner if isinstance(inner, str) else _content(inner)[0])
            elif isinstance(item.get("text"), str):
                text.append(item["text"])
    return "".join(text), "".join(thinking), chunks


def _reasoning(message: Mapping[str, Any]) -> str:
    for name in ("reasoning_content", "reasoning", "thinking"):
        value = message.get(name)
        if isinstance(value, str) and value:
            return value
    details = message.get("reasoning_details")
    if details and isinstance(details, list):
        return "".join(str(item.get("text") or item.get("summary") or "") for item in details if isinstance(item, dict))
    return ""


def _arguments(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else dumps_text(value)


def parse_answer(
    payload: Any, *, provider: str, origin: str, error_codes: Mapping[str, type[APIError]]
) -> ChatResponse:
    """Read a whole answer.

    Raises:
        APIError: The answer holds an error instead of a choice, or is no chat answer at all.
    """
    choices = payload.get("choices") if isinstance(payload, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else None
    if choice is None or choice.get("error") or payload.get("error"):
        _raise_embedded(choice if choice else payload, payload, provider, error_codes)
    assert choice is not None
    message = choice.get("message")
    if not isinstance(message, dict):
        message = {"content": choice.get("text")}
    model = payload.get("model") or None
    content: Any = message.get("content")
    calls: list[ToolCall] = []
    details = None
    if type(content) is not str or not message.keys() <= _PLAIN_FIELDS or message.get("refusal"):
        content, calls = _read_message(message)
        details = message.get("reasoning_details")
    raw_reason = choice.get("finish_reason")
    return ChatResponse(
        Message(
            "assistant", content, origin=origin, model=model, extra={"reasoning_details": details} if details else None
        ),
        _finish(raw_reason, bool(calls)),
        raw_reason if isinstance(raw_reason, str) else None,
        lambda: read_usage(payload.get("usage")),
        payload.get("id") or None,
        model,
        read_count(payload.get("created")),
        payload,
    )


def _read_message(message: Mapping[str, Any]) -> tuple[str | list[Part], list[ToolCall]]:
    """The content of a message that is more than plain text, and the tool calls in it."""
    text, thinking, chunks = _content(message.get("content"))
    thinking = thinking or _reasoning(message)
    refusal = message.get("refusal")
    calls = _whole_calls(message)
    if not (thinking or refusal or calls or chunks):
        return text, calls
    content: list[Part] = []
    if thinking or chunks:
        content.append(Thinking(thinking, native=chunks[0] if len(chunks) == 1 else None))
    if text:
        content.append(Text(text))
    if refusal:
        content.append(Refusal(str(refusal)))
    content.extend(calls)
    return content, calls


def _raise_embedded(part: Any, payload: Any, provider: str, error_codes: Mapping[str, type[APIError]]) -> None:
    """An answer without a choice: the error in it, else that it is no answer."""
    if isinstance(payload, dict) and (
        payload.get("error")
        or (isinstance(part, dict) and part.get("error"))
        or ("message" in payload and ("code" in payload or payload.get("object") == "error"))
        or payload.get("detail")
    ):
        source = part if isinstance(part, dict) and part.get("error") else payload
        raise error_from_body(source, status=200, headers={}, provider=provider, overrides=error_codes)
    raise InvalidResponseError(
        "The answer is not a chat completion: it has no choices.",
        status_code=200,
        body=payload,
        provider=provider or None,
        hint="The base URL may point to another API; check base_url (does it need /v1?).",
    )


def _whole_calls(message: Mapping[str, Any]) -> list[ToolCall]:
    calls: list[ToolCall] = []
    for item in _list(message.get("tool_calls")):
        if not isinstance(item, dict):
            continue
        custom = item.get("custom")
        if isinstance(custom, dict):
            call = OpenCall(0, _call_id(item), str(custom.get("name") or ""), [_arguments(custom.get("input"))])
            call.native = dict(item)
        else:
            function = as_object(item.get("function"))
            call = OpenCall(0, _call_id(item), str(function.get("name") or ""), [_arguments(function.get("arguments"))])
            call.extra = _call_extra(item)
        calls.append(call.close())
    legacy = message.get("function_call")
    if isinstance(legacy, dict) and legacy.get("name") and not calls:
        calls.append(OpenCall(0, None, str(legacy["name"]), [_arguments(legacy.get("arguments"))]).close())
    return calls


def _call_id(item: Mapping[str, Any]) -> str | None:
    value = item.get("id")
    return str(value) if value and value != "null" else None


def _call_extra(item: Mapping[str, Any]) -> dict[str, Any] | None:
    """Google puts its thought signature beside a call under ``extra_content``; it must go back there."""
    extra = item.get("extra_content")
    return {"extra_content": extra} if extra else None


def _is_error(payload: Mapping[str, Any]) -> bool:
    """An error object, wrapped or bare (``{"object": "error", …}``: Mistral, vLLM)."""
    return bool(payload.get("error")) or payload.get("object") == "error"


class ChatStreamDecoder:
    """Reads a streamed chat answer."""

    __slots__ = (
        "_always_done",
        "_calls",
        "_details",
        "_done",
        "_error_codes",
        "_events",
        "_first",
        "_last",
        "_legacy",
        "_origin",
        "_provider",
        "_raw_reason",
        "_refusal",
        "_text",
        "_thinking",
        "_usage",
        "complete",
    )

    def __init__(
        self, *, provider: str, origin: str, always_done: bool, error_codes: Mapping[str, type[APIError]]
    ) -> None:
        self._events = EventDecoder()
        self._provider = provider
        self._origin = origin
        self._always_done = always_done
        self._error_codes = error_codes
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._refusal: list[str] = []
        self._calls = ToolCallAssembly()
        self._legacy = False
        self._details: list[dict[str, Any]] = []
        self._raw_reason: str | None = None
        self._usage: Any = None
        self._first: dict[str, Any] | None = None
        self._last: dict[str, Any] = {}
        self._done = False
        self.complete = False

    def feed(self, data: bytes) -> Iterator[Chunk]:
        """Take bytes, yield the chunks they complete."""
        add = self._text.append
        for event in self._events.feed(data):
            if event[:1] != b"{":
                if event.strip() == b"[DONE]":
                    yield from self._end()
                    return
                if not event.strip():
                    continue
            payload = decode_event(event, self._provider)
            if self._first is None:
                self._first = payload
            choices = payload.get("choices")
            usage = payload.get("usage")
            if usage:
                self._usage = usage
            if choices and type(event) is bytes and "error" not in payload and type(choices) is list:
                choice = choices[0]
                delta = choice.get("delta") if type(choice) is dict else None
                if type(delta) is dict and len(delta) == 1 and choice.get("finish_reason") is None:
                    text = delta.get("content")
                    if text and type(text) is str and not choice.get("index"):
                        add(text)
                        yield Chunk(text, payload)
                        continue
            chunk = self._read(payload, type(event) is ErrorEvent)
            if chunk is not None:
                yield chunk

    def finish(self) -> Iterator[Chunk]:
        """The bytes have ended: read a last event that lacks its blank line, then end."""
        strays = len(self._events.stray)
        rest = self._events.finish()
        cut = len(self._events.stray) > strays  # the bytes end in the middle of a line
        for event in rest:
            if event.strip() == b"[DONE]":
                self._done = True
                continue
            try:
                payload = decode_event(event, self._provider)
            except StreamFailure:
                return  # half an event: the stream was cut
            usage = payload.get("usage")
            if usage:
                self._usage = usage
            chunk = self._read(payload, type(event) is ErrorEvent)
            if chunk is not None:
                yield chunk
        if self._events.stray:
            self._fail_on_stray(b"\n".join(self._events.stray))
        tolerated = self._raw_reason is not None and not self._always_done and not cut
        if not self.complete and (self._done or tolerated):
            yield from self._end()

    def _fail_on_stray(self, data: bytes) -> None:
        payload: Any
        try:
            payload = decode_event(data, self._provider)
        except StreamFailure:
            return
        if payload.get("error") or payload.get("detail"):
            raise StreamFailure(self._error(payload))

    def _end(self) -> Iterator[Chunk]:
        self._done = self.complete = True
        yield Chunk("", self._last, finish_reason=self._reason(), usage=read_usage(self._usage))

    def _reason(self) -> Any:
        """Why the stream ended, as far as it was received."""
        calls = bool(self._calls.calls)
        if not self.complete:
            return "error"
        if self._raw_reason is None and not calls:
            # Only the stream's own end mark, and nothing that says otherwise.
            return "stop" if self._text or self._refusal else "error"
        return _finish(self._raw_reason, calls)

    def _error(self, payload: Any) -> APIError:
        return error_from_body(payload, status=200, headers={}, provider=self._provider, overrides=self._error_codes)

    def _read(self, payload: dict[str, Any], named_error: bool) -> Chunk | None:
        self._last = payload
        if named_error or _is_error(payload):
            raise StreamFailure(self._error(payload))
        groq = payload.get("x_groq")
        if isinstance(groq, dict):
            if groq.get("error"):
                raise StreamFailure(self._error({"error": {"message": str(groq["error"])}}))
            self._usage = groq.get("usage") or self._usage
        chunk: Chunk | None = None
        for choice in _list(payload.get("choices")):
            if isinstance(choice, dict) and not choice.get("index"):
                chunk = self._choice(payload, choice)
        return chunk

    def _choice(self, payload: dict[str, Any], choice: Mapping[str, Any]) -> Chunk | None:
        if choice.get("error"):
            raise StreamFailure(self._error(choice))
        delta = as_object(choice.get("delta") or choice.get("message"))
        reason = choice.get("finish_reason")
        if reason and reason != "null":  # some write "" or "null" into every chunk
            if reason == "error" or reason == "insufficient_system_resource":
                raise StreamFailure(
                    self._error(
                        {"error": {"message": f"The provider ended the stream with {reason!r}.", "code": reason}}
                    )
                )
            self._raw_reason = str(reason)
        text, thinking, _ = _content(delta.get("content") if "content" in delta else choice.get("text"))
        thinking = thinking or _reasoning(delta)
        refusal = str(delta.get("refusal") or "")
        details = delta.get("reasoning_details")
        if details:
            self._merge_details(_list(details))
        pieces = self._pieces(delta)
        if not (text or thinking or refusal or pieces):
            return None
        if text:
            self._text.append(text)
        if thinking:
            self._thinking.append(thinking)
        if refusal:
            self._refusal.append(refusal)
        return Chunk(text, payload, thinking, pieces or None, refusal)

    def _pieces(self, delta: Mapping[str, Any]) -> list[ToolCallDelta]:
        pieces = []
        for item in _list(delta.get("tool_calls")):
            if not isinstance(item, dict):
                continue
            function = as_object(item.get("function") or item.get("custom"))
            index = item.get("index")
            piece = self._calls.add(
                index if isinstance(index, int) else None,
                _call_id(item),
                str(function.get("name") or ""),
                _arguments(function.get("arguments") or function.get("input")),
            )
            extra = _call_extra(item)
            if extra:
                self._calls.calls[piece.index].extra = extra
            pieces.append(piece)
        legacy = delta.get("function_call")
        if isinstance(legacy, dict) and (legacy.get("name") or self._calls.calls):
            name = str(legacy.get("name") or "")
            pieces.append(self._calls.add(0, None, name, _arguments(legacy.get("arguments"))))
        return pieces

    def _merge_details(self, details: Iterable[Any]) -> None:
        """OpenRouter's reasoning in pieces: the same index and type is the same block."""
        for item in details:
            if not isinstance(item, dict):
                continue
            for known in self._details:
                if (
                    known.get("index") == item.get("index")
                    and known.get("type") == item.get("type")
                    and (known.get("id") or item.get("id")) == (item.get("id") or known.get("id"))
                ):
                    for key, value in item.items():
                        if key in ("text", "summary", "data") and isinstance(value, str):
                            known[key] = str(known.get(key) or "") + value
                        elif value is not None:
                            known[key] = value
                    break
            else:
                self._details.append(dict(item))

    def response(self) -> ChatResponse:
        """The answer as far as it was received."""
        text = "".join(self._text)
        calls = self._calls.close()
        content: str | list[Part]
        if not (self._thinking or self._refusal or calls):
            content = text
        else:
            content = []
            if self._thinking:
                content.append(Thinking("".join(self._thinking)))
            if text:
                content.append(Text(text))
            if self._refusal:
                content.append(Refusal("".join(self._refusal)))
            content.extend(calls)
        first = self._first or {}
        model = first.get("model") or self._last.get("model") or None
        return ChatResponse(
            Message(
                "assistant",
                content,
                origin=self._origin,
                model=model,
                extra={"reasoning_details": self._details} if self._details else None,
            ),
            self._reason(),
            self._raw_reason,
            read_usage(self._usage),
            first.get("id") or self._last.get("id") or None,
            model,
            read_count(first.get("created")) or read_count(self._last.get("created")),
            self._last,
        )
