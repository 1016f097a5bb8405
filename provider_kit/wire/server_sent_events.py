"""Server-sent events from bytes.

The stream is split into events as bytes, before UTF-8, on ``\\n``, ``\\r\\n`` and ``\\r`` only, so that no
character cut by the network is ever decoded and U+2028 or U+0085 inside a text never ends a line. Source:
WHATWG HTML, "Server-sent events".

Two deviations of real servers from the standard are handled: a last event without its blank line is
delivered by :meth:`EventDecoder.finish`, and text that is no event at all (a bare JSON error in the
middle of a stream) is kept in :attr:`EventDecoder.stray`.

Time is linear in the number of bytes, however they are split: a piece that ends no event is only stored.
"""

from __future__ import annotations

__all__ = ["ErrorEvent", "EventDecoder"]


class ErrorEvent(bytes):
    """Data of an event that the server named ``error``."""


class EventDecoder:
    """Turns pieces of an event stream into the data of its events; ``feed`` and ``finish`` never block."""

    __slots__ = ("_cr", "_line_ended", "_parts", "stray")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._cr = False
        #: Whether what is kept ends with a line break, so that another one makes a blank line.
        self._line_ended = False
        #: Lines that belong to no event.
        self.stray: list[bytes] = []

    def feed(self, data: bytes) -> list[bytes]:
        """Take a piece of the stream, return the data of the events that are complete now."""
        if self._cr or b"\r" in data:
            data = self._unify_line_ends(data)
        parts = self._parts
        if data.find(b"\n") == len(data) - 2 and data[-1:] == b"\n" and data[:6] == b"data: " and not parts:
            return [data[6:-2]]  # the common case: one event of one line
        if b"\n\n" not in data and not (self._line_ended and data[:1] == b"\n"):
            if data:
                parts.append(data)
                self._line_ended = data[-1:] == b"\n"
            return []
        if parts:
            parts.append(data)
            data = b"".join(parts)
            parts.clear()
        blocks = data.split(b"\n\n")
        tail = blocks.pop()
        if tail:
            parts.append(tail)
        self._line_ended = tail[-1:] == b"\n"
        events = []
        for block in blocks:
            if block[:6] == b"data: " and b"\n" not in block:
                events.append(block[6:])
            else:
                event = self._read(block)
                if event is not None:
                    events.append(event)
        return events

    def finish(self) -> list[bytes]:
        """The stream has ended: return the data of a last event that lacks its blank line."""
        self._cr = self._line_ended = False
        rest = b"".join(self._parts)
        self._parts.clear()
        event = self._read(rest) if rest.strip() else None
        return [] if event is None else [event]

    def _unify_line_ends(self, data: bytes) -> bytes:
        if self._cr:
            data = b"\r" + data
        # A carriage return at the very end may be half of a \r\n; it waits for what follows.
        self._cr = data.endswith(b"\r")
        if self._cr:
            data = data[:-1]
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _read(self, block: bytes) -> bytes | None:
        data: list[bytes] = []
        error = False
        for line in block.split(b"\n"):
            if line[:5] == b"data:":
                data.append(line[6:] if line[5:6] == b" " else line[5:])
            elif line[:6] == b"event:":
                error = line[6:].strip() == b"error"
            elif line[:6] == b"error:":  # some builds of llama.cpp
                data.append(line[6:])
                error = True
            elif line and line[:1] != b":" and not line.startswith((b"id:", b"retry:", b"\xef\xbb\xbf")):
                if line.strip():
                    self.stray.append(line)
            elif line.startswith(b"\xef\xbb\xbfdata:"):  # a byte order mark at the start of the stream
                data.append(line[8:].lstrip(b" "))
        if not data:
            return ErrorEvent() if error else None
        joined = b"\n".join(data)
        return ErrorEvent(joined) if error else joined
