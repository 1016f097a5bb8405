"""What every protocol of a stream for a page has in common: it is told what happens, and makes bytes of it.

Nothing here waits or knows a framework. An encoder is told the chunks of an answer or the events of a run, in their
order; then its end, or the error that ended it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from provider_kit.integrations.ui_errors import UIError
from provider_kit.model.chat import ChatResponse, Chunk
from provider_kit.model.json_text import dumps
from provider_kit.model.media import Media
from provider_kit.model.messages import ToolCall, ToolResult
from provider_kit.model.surrogates import mend_all
from provider_kit.tools.result import RunResult
from provider_kit.tools.run_events import (
    RunReset,
    StepEnded,
    TextDelta,
    ThinkingDelta,
    ToolCallProgress,
    ToolFinished,
    ToolProgress,
    ToolStarted,
)

__all__ = [
    "EVENT_STREAM_HEADERS",
    "UIEncoder",
    "data_frame",
    "file_address",
    "plain_json",
    "source_address",
    "to_bytes",
]

#: Proxies must neither keep, change nor hold back what is streamed. Source: nginx, ngx_http_proxy_module,
#: ``X-Accel-Buffering``; RFC 9111, 5.2.2.6 (``no-transform``).
EVENT_STREAM_HEADERS: Mapping[str, str] = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",
}


def plain_json(value: Any) -> Any:
    """A value that JSON can represent: itself, or its text."""
    try:
        dumps(value)
    except UnicodeEncodeError:
        return mend_all(value)
    except (TypeError, ValueError, RecursionError):
        return str(value)
    return value


def to_bytes(value: Any) -> bytes:
    """A value as JSON, in UTF-8 whatever is in it."""
    try:
        return dumps(value)
    except UnicodeEncodeError:  # half of a character, as some models write it
        return dumps(mend_all(value))


def data_frame(value: Any) -> bytes:
    """One event of a stream of server-sent events. Source: WHATWG HTML, 9.2."""
    return b"data: " + to_bytes(value) + b"\n\n"


class UIEncoder:
    """Makes the bytes of one answer. Subclasses say how each thing that happens is written."""

    #: Headers of the answer.
    headers: ClassVar[Mapping[str, str]] = EVENT_STREAM_HEADERS
    #: What is sent when nothing has happened for a while, so that no proxy closes the connection; empty: nothing.
    ping: ClassVar[bytes] = b": ping\n\n"
    #: Whether an error has a form of its own here. Where it has none, the connection is broken off, so that an answer
    #: that is cut cannot be taken for a whole one.
    tells_errors: ClassVar[bool] = True
    #: Whether the body of an answer that is an error is its text; else it is JSON.
    plain_errors: ClassVar[bool] = False
    #: Whether the page can be told that what it shows is void.
    can_reset: ClassVar[bool] = True

    def __init__(self) -> None:
        #: Arguments of the tool calls that were written so far: call to length.
        self._written: dict[Any, int] = {}

    # -------------------------------------------------------------------------------------------- what happens

    def feed(self, item: Any) -> bytes:
        """The bytes for a chunk of an answer, an event of a run, or a piece of text; often empty."""
        kind = type(item)
        if kind is TextDelta:
            return self.text(item.text, item.step)
        if kind is Chunk:
            return self._chunk(item)
        if kind is ThinkingDelta:
            return self.thinking(item.text, item.step)
        if kind is ToolCallProgress:
            return self._arguments((item.step, item.index), item.id, item.name, item.arguments, item.step)
        if kind is StepEnded:
            return self._step_ended(item.response, item.step)
        if kind is ToolStarted:
            return self.tool_started(item.call, item.step)
        if kind is ToolProgress:
            return self.tool_progress(item.call, plain_json(item.value), item.step)
        if kind is ToolFinished:
            return self.tool_finished(item.call, item.result, item.denied, item.step)
        if kind is RunReset:
            self._written.clear()
            return self.reset(item.step)
        if kind is str:
            return self.text(item, 1)
        raise TypeError(f"a stream for a page has chunks, events of a run, or text, not {kind.__name__}")

    def _chunk(self, chunk: Chunk) -> bytes:
        made = b""
        if chunk.thinking:
            made += self.thinking(chunk.thinking, 1)
        if chunk.text or chunk.refusal:
            made += self.text(chunk.text + chunk.refusal, 1)
        for delta in chunk.tool_calls or ():
            made += self.call_delta(delta.index, delta.id, delta.name, delta.arguments, 1)
        return made + self._beside_text(chunk.parts, chunk.citations, 1) if chunk.parts or chunk.citations else made

    def _beside_text(self, parts: Iterable[Any] | None, notes: Iterable[Mapping[str, Any]] | None, step: int) -> bytes:
        made = b"".join(self.file(part, step) for part in parts or () if isinstance(part, Media))
        return made + b"".join(self.citation(note, step) for note in notes or ())

    def _arguments(self, key: Any, id: str | None, name: str | None, so_far: str, step: int) -> bytes:
        """The new part of arguments that grow."""
        known = self._written.get(key, 0)
        self._written[key] = len(so_far)
        return self.call_delta(key, id, name, so_far[known:], step)

    def _step_ended(self, response: ChatResponse[Any], step: int) -> bytes:
        made = self.text(response.refusal, step) if response.refusal else b""
        if type(response.message.content) is not str:  # a run has no events for files and sources
            made += self._beside_text(response.message.parts, response.citations, step)
        return made + b"".join(self.call(call, step) for call in response.tool_calls)

    # -------------------------------------------------------------------------------------------- how it is written

    def start(self) -> bytes:
        """The beginning."""
        return b""

    def text(self, piece: str, step: int) -> bytes:
        """A piece of the answer's text."""
        raise NotImplementedError

    def thinking(self, piece: str, step: int) -> bytes:
        """A piece of the model's reasoning."""
        return b""

    def call_delta(self, key: Any, id: str | None, name: str | None, arguments: str, step: int) -> bytes:
        """A piece of a tool call as the model writes it."""
        return b""

    def call(self, call: ToolCall, step: int) -> bytes:
        """A tool call is complete."""
        return b""

    def tool_started(self, call: ToolCall, step: int) -> bytes:
        """A tool call is about to run."""
        return b""

    def tool_progress(self, call: ToolCall, value: Any, step: int) -> bytes:
        """Progress of a tool call."""
        return b""

    def tool_finished(self, call: ToolCall, result: ToolResult, denied: bool, step: int) -> bytes:
        """A tool call has its result, or was denied."""
        return b""

    def approval(self, call: ToolCall) -> bytes:
        """A tool call waits for a decision."""
        return b""

    def file(self, file: Media, step: int) -> bytes:
        """A file that the model made."""
        return b""

    def citation(self, note: Mapping[str, Any], step: int) -> bytes:
        """A source of the text."""
        return b""

    def reset(self, step: int) -> bytes:
        """What was sent of this step is void."""
        return b""

    def error(self, error: UIError) -> bytes:
        """The answer ends with an error; nothing follows."""
        return b""

    def end(self, response: ChatResponse[Any] | None) -> bytes:
        """The answer is complete; ``None`` where only text was streamed."""
        return b""

    # -------------------------------------------------------------------------------------------- for all of them

    def pending(self, response: ChatResponse[Any] | None) -> tuple[ToolCall, ...]:
        """The calls that wait for a decision."""
        return response.pending if isinstance(response, RunResult) else ()


def file_address(file: Media) -> str | None:
    """An address that a page can show: that of the file, or the file itself (RFC 2397)."""
    if file.url is not None:
        return file.url
    if file.data is None:
        return None
    from base64 import b64encode

    return f"data:{file.media_type};base64,{b64encode(file.data).decode('ascii')}"


def source_address(note: Mapping[str, Any]) -> tuple[str, str | None] | None:
    """Address and title of a citation; ``None`` if it names no address of the web."""
    for holder in (note, note.get("url_citation"), note.get("web")):
        if isinstance(holder, Mapping):
            url = holder.get("url") or holder.get("uri")
            if isinstance(url, str) and url.startswith(("https://", "http://")):
                title = holder.get("title")
                return url, title if isinstance(title, str) else None
    return None
