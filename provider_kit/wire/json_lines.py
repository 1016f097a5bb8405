"""Newline-delimited JSON from bytes: one value per line, split before UTF-8 is decoded."""

from __future__ import annotations

__all__ = ["LineDecoder"]


class LineDecoder:
    """Turns pieces of a stream into complete lines; blank lines are left out."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> list[bytes]:
        """Take a piece of the stream, return the lines that are complete now."""
        if b"\n" not in data:
            if data:
                self._parts.append(data)
            return []
        self._parts.append(data)
        lines = b"".join(self._parts).split(b"\n")
        self._parts.clear()
        tail = lines.pop()
        if tail:
            self._parts.append(tail)
        return [line for line in lines if line.strip()]

    def finish(self) -> list[bytes]:
        """The stream has ended: return a last line that lacks its line break."""
        rest = b"".join(self._parts)
        self._parts.clear()
        return [rest] if rest.strip() else []
