"""The common base of the stream decoders: events to JSON objects, and the errors among them.

An error may take many forms in a stream: an event named ``error``, with JSON or plain text; an object in an event of
the usual kind; bare JSON between the events. Whatever its form, it is raised as a :class:`StreamFailure` with the
provider's message.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import define, field

from provider_kit.dialects.base import NO_OVERRIDES, StreamFailure, decode_event
from provider_kit.dialects.failures import error_from_body, holds_error
from provider_kit.errors import APIError
from provider_kit.model.chat import Chunk
from provider_kit.model.json_text import loads
from provider_kit.model.surrogates import PairJoiner, has_lone_half, may_hold_halves
from provider_kit.wire.server_sent_events import ErrorEvent, EventDecoder

__all__ = ["EventReader", "Remainder"]


@define
class Remainder:
    """What was left when the bytes ended."""

    events: list[dict[str, Any]] = field(factory=list)
    #: Whether the end mark was among it.
    marked: bool = False
    #: Whether the bytes ended in the middle of an event.
    half_event: bool = False
    #: Whether they ended with a line that belongs to no event.
    half_line: bool = False


class EventReader:
    """Base of the decoders that read server-sent events.

    Args:
        provider: Name of the provider, for errors.
        origin: What the answer's message is marked with.
        error_codes: Error codes that mean something else at this provider.
        answers: Names of fields that only an answer has; an event with one of them and without ``error`` is no
            error.
    """

    __slots__ = ("_answers", "_error_codes", "_events", "_last", "_origin", "_pairs", "_provider", "complete",
                 "lacks_only_end")  # fmt: skip

    def __init__(
        self,
        *,
        provider: str,
        origin: str,
        error_codes: Mapping[str, type[APIError]] = NO_OVERRIDES,
        answers: tuple[str, ...],
    ) -> None:
        self._events = EventDecoder()
        self._pairs = PairJoiner()
        self._provider = provider
        self._origin = origin
        self._error_codes = error_codes
        self._answers = answers
        self._last: dict[str, Any] = {}
        self.complete = False
        self.lacks_only_end = False

    def _is_sound(self, text: str) -> bool:
        """Fast path: whether a text has no lone surrogate, and no earlier one waits for its other half."""
        return (text.isascii() or not has_lone_half(text)) and not self._pairs.waits

    def _failure(self, payload: Any) -> StreamFailure:
        return StreamFailure(
            error_from_body(payload, status=200, headers={}, provider=self._provider, overrides=self._error_codes)
        )

    def _ready(self, payload: dict[str, Any], data: bytes) -> Iterable[dict[str, Any]]:
        """The events that can be read now, this one included unless it waits for the other half of a character.

        Raises:
            StreamFailure: It is an error.
        """
        if holds_error(payload, self._answers):
            raise self._failure(payload)
        if self._pairs.waits or may_hold_halves(data):
            ready: list[dict[str, Any]] = self._pairs.feed(payload)
            return ready
        return (payload,)

    def _rest(self) -> Remainder:
        """The bytes have ended: return what is left.

        Raises:
            StreamFailure: An error is among them, or bare between the events.
        """
        strays = len(self._events.stray)
        left = Remainder()
        for event in self._events.finish():
            if event.strip() == b"[DONE]":
                left.marked = True
                continue
            try:
                payloads = self._decode(event)
            except StreamFailure:
                if type(event) is ErrorEvent and not _is_half(event):
                    raise
                left.half_event = True
                return left
            for payload in payloads:
                left.events.extend(self._ready(payload, event))
        left.half_line = len(self._events.stray) > strays
        if self._events.stray:
            left.events.extend(self._read_stray(b"\n".join(self._events.stray)))
        left.events.extend(self._pairs.finish())
        return left

    def _check_stray(self) -> None:
        """The end mark has come: check for an error between the events.

        Raises:
            StreamFailure: There was one.
        """
        if self._events.stray:
            self._read_stray(b"\n".join(self._events.stray))

    def flush(self) -> None:
        """The stream has failed: count held-back pieces as received."""
        for payload in self._pairs.finish():
            for _ in self._read(payload):
                pass

    def _read(self, payload: dict[str, Any]) -> Iterable[Chunk]:
        """Take an event, yield its chunks."""
        raise NotImplementedError

    def _decode(self, event: bytes) -> list[dict[str, Any]]:
        """The objects in an event."""
        return [decode_event(event, self._provider, self._error_codes)]

    def _read_stray(self, data: bytes) -> list[dict[str, Any]]:
        """Read what came between the events: nothing, or an error as bare JSON."""
        try:
            payload = loads(data)
        except ValueError:
            return []
        found = payload[0] if isinstance(payload, list) and payload else payload
        if isinstance(found, dict) and holds_error(found, self._answers):
            raise self._failure(payload)
        return []


def _is_half(event: bytes) -> bool:
    """Whether an event is the beginning of some JSON."""
    if event.lstrip()[:1] not in (b"{", b"["):
        return False
    try:
        loads(event)
    except ValueError:
        return True
    return False
