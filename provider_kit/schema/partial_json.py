"""The value of a JSON text while it is still being written.

The text is read once, whatever the size of its pieces: what was read is kept on a stack, and nothing is read again. The
view only grows: a list and an object gain members, a text gains characters, and numbers, ``true``, ``false`` and
``null`` appear when they are complete, since ``1`` may become ``12``. A key appears with its value.
"""

from __future__ import annotations

import re
from typing import Any

__all__ = ["PartialJSON"]

_SPACE = " \t\r\n"
_PLAIN = r'"([^"\\\x00-\x1f]*)"'
_SCALAR = r"(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null|NaN|-?Infinity)"
#: A whole member of an object, or item of a list, with what follows it: most members are of this form.
_MEMBER = re.compile(rf"[ \t\r\n]*{_PLAIN}[ \t\r\n]*:[ \t\r\n]*(?:{_PLAIN}|{_SCALAR})[ \t\r\n]*([,}}])")
_ITEM = re.compile(rf"[ \t\r\n]*(?:{_PLAIN}|{_SCALAR})[ \t\r\n]*([,\]])")
_KEY = re.compile(rf"[ \t\r\n]*{_PLAIN}[ \t\r\n]*:")
_SKIP = re.compile(r"[ \t\r\n]*")
#: The characters of a text up to its end or to an escape.
_TEXT = re.compile(r'[^"\\]*')
_TOKEN = re.compile(r"[-+.0-9A-Za-z]+")
_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None}
_WORDS |= {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_NOTHING: Any = object()
#: What is expected next.
_VALUE, _FIRST_ITEM, _KEY_OR_END, _KEY_ONLY, _COLON, _COMMA, _END = range(7)


def _scalar(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if text.lstrip("-").isdigit():
        return int(text)
    return float(text)


class PartialJSON:
    """Reads a JSON text piece by piece.

    Args:
        skip_prose: Whether what stands before the first bracket is skipped: fences, and words.
    """

    def __init__(self, *, skip_prose: bool = False) -> None:
        self._root: Any = _NOTHING
        #: The open containers, and for each object the key whose value is awaited.
        self._stack: list[Any] = []
        self._keys: list[Any] = []
        self._expected = _VALUE
        self._rest = ""
        #: The pieces of a text that is open; and whether it is a key.
        self._open: list[str] | None = None
        self._open_is_key = False
        self._skipping = skip_prose
        #: Whether the text is not JSON; the view stays as it is then.
        self.broken = False
        #: Set when the value has grown; a reader of the value may reset it.
        self.grown = False

    @property
    def started(self) -> bool:
        """Whether there is a value yet."""
        return self._root is not _NOTHING

    @property
    def complete(self) -> bool:
        """Whether the value has ended."""
        return self._expected == _END

    @property
    def is_list(self) -> bool:
        """Whether the value is a list."""
        return type(self._root) is list

    def feed(self, text: str) -> None:
        """Read a further piece."""
        if self.broken or not text:
            return
        if self._open is not None and not self._rest and '"' not in text and "\\" not in text:  # the common case
            self._open.append(text)
            self.grown = self.grown or not self._open_is_key
            return
        buffer = self._rest + text if self._rest else text
        if self._skipping:
            start = min((at for at in (buffer.find("{"), buffer.find("[")) if at >= 0), default=-1)
            if start < 0:
                return
            buffer, self._skipping = buffer[start:], False
        self._rest = ""
        try:
            at = self._read(buffer)
        except (_BrokenError, ValueError, RecursionError):
            self.broken = True
            return
        self._rest = buffer[at:]

    def finish(self) -> None:
        """The text has ended: a number that it ends with is complete."""
        if not self.broken and self._expected in (_VALUE, _FIRST_ITEM) and self._rest.strip(_SPACE) and not self._stack:
            rest, self._rest = self._rest.strip(_SPACE), ""
            try:
                self._put(_scalar(rest))
            except ValueError:
                self.broken = True

    def snapshot(self) -> Any:
        """The value so far, which later pieces do not change.

        Only the containers that are still open are copied; closed parts are shared with later snapshots.

        Raises:
            ValueError: There is none yet.
        """
        if self._root is _NOTHING and (self._open is None or self._open_is_key):
            raise ValueError("there is no value yet")
        inner: Any = _NOTHING
        if self._open is not None and not self._open_is_key:
            if len(self._open) > 1:
                self._open[:] = ["".join(self._open)]
            inner = self._open[0] if self._open else ""
        for level in range(len(self._stack) - 1, -1, -1):
            container = self._stack[level]
            copy: Any = container.copy()
            if inner is not _NOTHING:
                if type(copy) is list:
                    if level + 1 < len(self._stack):
                        copy[-1] = inner
                    else:
                        copy.append(inner)
                else:
                    copy[self._keys[level]] = inner
            inner = copy
        return self._root if inner is _NOTHING else inner

    def closed_items(self, key: str | None) -> list[Any]:
        """The complete items of a list: the root's, or that of the root's member ``key``. Not to be changed."""
        found = self._root.get(key) if key is not None and isinstance(self._root, dict) else self._root
        if type(found) is not list:
            return []
        depth = next((level for level, one in enumerate(self._stack) if one is found), -1)
        return found[:-1] if 0 <= depth < len(self._stack) - 1 else found

    # -------------------------------------------------------------------------------------------- reading

    def _read(self, buffer: str) -> int:
        """Read as far as tokens are complete; returns where the incomplete one begins."""
        at, size = 0, len(buffer)
        stack, keys = self._stack, self._keys
        if self._open is not None:
            at = self._read_text(buffer, at)
            if self._open is not None:
                return at
        while True:
            expected = self._expected
            if expected in (_KEY_OR_END, _KEY_ONLY):
                members = stack[-1]
                found = _MEMBER.match(buffer, at)
                while found:
                    key, plain, scalar, end = found.groups()
                    members[key] = plain if scalar is None else _scalar(scalar)
                    self.grown = True
                    at = found.end()
                    if end == "}":
                        self._close()
                        break
                    self._expected = _KEY_ONLY
                    found = _MEMBER.match(buffer, at)
                if found:
                    continue
                found = _KEY.match(buffer, at)
                if found:
                    keys[-1] = found[1]
                    at = found.end()
                    self._expected = _VALUE
                    continue
            elif expected in (_VALUE, _FIRST_ITEM) and stack and type(stack[-1]) is list:
                items = stack[-1]
                found = _ITEM.match(buffer, at)
                while found:
                    plain, scalar, end = found.groups()
                    items.append(plain if scalar is None else _scalar(scalar))
                    self.grown = True
                    at = found.end()
                    if end == "]":
                        self._close()
                        break
                    self._expected = _VALUE
                    found = _ITEM.match(buffer, at)
                if found:
                    continue
            at = _SKIP.match(buffer, at).end()  # type: ignore[union-attr]  # it matches the empty text
            if at >= size:
                return at
            moved = self._read_token(buffer, at, buffer[at])
            if moved < 0:
                return at
            at = moved
            if self._open is not None:
                at = self._read_text(buffer, at)
                if self._open is not None:
                    return at

    def _read_token(self, buffer: str, at: int, char: str) -> int:
        """Read one token; -1 if it is not complete."""
        expected = self._expected
        if expected == _COMMA:
            if char == ",":
                self._expected = _VALUE if type(self._stack[-1]) is list else _KEY_ONLY
            elif char == ("]" if type(self._stack[-1]) is list else "}"):
                self._close()
            else:
                raise _BrokenError
            return at + 1
        if expected in (_KEY_OR_END, _KEY_ONLY):
            if char == '"':
                self._open, self._open_is_key = [], True
            elif char == "}" and expected == _KEY_OR_END:
                self._close()
            else:
                raise _BrokenError
            return at + 1
        if expected == _COLON:
            if char != ":":
                raise _BrokenError
            self._expected = _VALUE
            return at + 1
        if expected == _END:
            return len(buffer)  # whatever follows is not part of it
        return self._read_value(buffer, at, char)

    def _read_value(self, buffer: str, at: int, char: str) -> int:
        if char == "{":
            self._enter({}, _KEY_OR_END)
        elif char == "[":
            self._enter([], _FIRST_ITEM)
        elif char == '"':
            self._open, self._open_is_key = [], False
        elif char == "]" and self._expected == _FIRST_ITEM:
            self._close()
        else:
            token = _TOKEN.match(buffer, at)
            if token is None:
                raise _BrokenError
            if token.end() == len(buffer):
                return -1  # it may go on
            self._put(_scalar(token[0]))
            return token.end()
        return at + 1

    def _read_text(self, buffer: str, at: int) -> int:
        """Read on in an open text; returns where an incomplete escape begins, or the end."""
        pieces = self._open
        assert pieces is not None
        size = len(buffer)
        while at < size:
            run = _TEXT.match(buffer, at)
            assert run is not None
            if run.end() > at:
                pieces.append(run[0])
                self.grown = self.grown or not self._open_is_key
                at = run.end()
                if at >= size:
                    return at
            if buffer[at] == '"':
                text = "".join(pieces)
                self._open = None
                if self._open_is_key:
                    self._keys[-1] = text
                    self._expected = _COLON
                else:
                    self._put(text)
                return at + 1
            taken = self._read_escape(buffer, at, pieces)
            if taken < 0:
                return at
            at = taken
        return at

    def _read_escape(self, buffer: str, at: int, pieces: list[str]) -> int:
        """Read an escape; -1 if it is not complete."""
        size = len(buffer)
        if at + 1 >= size:
            return -1
        char = buffer[at + 1]
        if char != "u":
            if char not in _ESCAPES:
                raise _BrokenError
            pieces.append(_ESCAPES[char])
            return at + 2
        if at + 6 > size:
            return -1
        code = int(buffer[at + 2 : at + 6], 16)
        if 0xD800 <= code < 0xDC00:  # the first half of a pair
            if at + 12 > size and "\\u".startswith(buffer[at + 6 : at + 8]):
                return -1
            if buffer[at + 6 : at + 8] == "\\u":
                low = int(buffer[at + 8 : at + 12], 16)
                if 0xDC00 <= low < 0xE000:
                    pieces.append(chr(0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)))
                    return at + 12
        pieces.append(chr(code))
        return at + 6

    def _put(self, value: Any) -> None:
        """A value is complete."""
        self.grown = True
        if not self._stack:
            self._root, self._expected = value, _END
            return
        container = self._stack[-1]
        if type(container) is list:
            container.append(value)
        else:
            container[self._keys[-1]] = value
        self._expected = _COMMA

    def _enter(self, container: Any, expected: int) -> None:
        if len(self._stack) > 2000:
            raise _BrokenError
        if self._root is _NOTHING:
            self._root, self.grown = container, True
        else:
            self._put(container)
        self._stack.append(container)
        self._keys.append(None)
        self._expected = expected

    def _close(self) -> None:
        self._stack.pop()
        self._keys.pop()
        self._expected = _COMMA if self._stack else _END


class _BrokenError(Exception):
    """The text is not JSON."""
