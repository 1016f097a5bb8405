"""Reads JSON as models write it: what is not valid is repaired where only one reading is possible.

Repaired are: fences and prose around the value, comments, trailing and missing commas, single quotes and none, Python's
``True``, ``False`` and ``None``, raw line breaks in texts, invalid escapes, and closing brackets that were forgotten.
Nothing is invented: a text that holds no JSON, or ends in the middle of a text, a number or a property, is an error.
"""

from __future__ import annotations

import json
import re
from typing import Any

from provider_kit.model.json_text import loads

__all__ = ["loads_repaired", "repair"]

_FENCE = re.compile(r"```[A-Za-z0-9_-]*[ \t]*\r?\n(.*?)\r?\n?[ \t]*```", re.DOTALL)
_SPACE = " \t\r\n\ufeff\u00a0\u200b\u2028\u2029"
_WORDS: dict[str, Any] = {
    "true": True,
    "false": False,
    "null": None,
    "True": True,
    "False": False,
    "None": None,
    "undefined": None,
}
_WORDS |= {"NaN": float("nan"), "Infinity": float("inf")}
#: What begins a value that needs no comma before it to be told apart.
_CLEAR = '{["“'
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "'": "'"}
_NUMBER = re.compile(r"[+-]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
#: How an object or a list begins that is no bracket in prose.
_BEGINNING = re.compile(r"\{\s*(?:[\"'“}]|[\w$-]+\s*[:=])|\[\s*(?:[\"'“{\[\]\d-]|true\b|false\b|null\b)", re.IGNORECASE)
#: The number of a source, as in ``Ada [1, 2]``.
_SOURCE = re.compile(r"\[\d{1,3}(?:\s*,\s*\d{1,3})*\]")
#: What follows a bracket that was closed too early.
_CONTINUED = re.compile(r"[\s}\]]*,\s*(?:[\"'“{\[]|-?\d|\w+\s*:)")
_DECODER = json.JSONDecoder()
_WORD = re.compile(r"[A-Za-z_$][\w$-]*")
_QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "`": "`"}  # the quotes that models write
_DEEPEST = 200
#: Characters of a text that are searched for JSON.
_LONGEST = 16_000_000


def loads_repaired(text: str | bytes) -> Any:
    """The value of a JSON text, repaired where it must be.

    Raises:
        ValueError: There is no JSON in it.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    try:
        return loads(text)
    except ValueError:
        return repair(text)


def repair(text: str, *, close: bool = True) -> Any:
    """The value of a text that is not valid JSON.

    Args:
        text: The text.
        close: Whether brackets that are missing at its end may be added; not where it may have been cut off.

    Raises:
        ValueError: There is no JSON in it, or more than one value, or what is wrong may be read in several ways.
    """
    text = text[:_LONGEST]
    start = _first_bracket(text)
    found = _valid_at(text, start)
    if found is not _MISSING:
        return found
    if text.find("```") in range(start if start >= 0 else len(text)):  # else the fence stands inside the value
        for inside in _fenced(text):
            try:
                return loads(inside)
            except ValueError:
                if inside.lstrip(_SPACE)[:1] in ("{", "["):
                    return _Reader(inside, close).whole()
    bare = text.strip(_SPACE)
    if start < 0:
        if bare in _WORDS:
            return _WORDS[bare]
        if bare and (_NUMBER.fullmatch(bare) or (bare[0] in "\"'" and len(bare) > 1)):
            return _Reader(bare, close).whole()
        raise ValueError("it holds none")
    end = max(text.rfind("}"), text.rfind("]")) + 1
    for place in _starts(text, start):
        try:
            return loads(text[place:end])
        except ValueError:
            if _BEGINNING.match(text, place):  # else it is a bracket in the prose
                return _Reader(text[place:], close).whole()
    return _Reader(text[start:], close).whole()


def _first_bracket(text: str) -> int:
    """Where the first value begins, numbers of sources passed over: ``As [1] says: {…}``. -1 if there is none."""
    start = _bracket_from(text, 0)
    while start >= 0 and (source := _SOURCE.match(text, start)) and text.find("{", source.end()) >= 0:
        start = _bracket_from(text, source.end())
    return start


def _bracket_from(text: str, start: int) -> int:
    return min((place for place in (text.find("{", start), text.find("[", start)) if place >= 0), default=-1)


def _valid_at(text: str, start: int) -> Any:
    """The valid JSON that begins here, if there is some and prose only around it."""
    if start < 0:
        return _MISSING
    try:
        value, end = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        return _MISSING
    refuse_more(value, text[end:])
    return value


def refuse_more(value: Any, rest: str) -> None:
    """Refuse a text that goes on after its value, with another one or with more of it."""
    if _CONTINUED.match(rest):
        raise ValueError("it goes on after its last bracket")
    if isinstance(value, dict):
        rest = _SOURCE.sub("", rest)
    if _BEGINNING.search(rest):
        raise ValueError("it holds more than one value")


def _fenced(text: str) -> list[str]:
    found = _FENCE.findall(text)
    if not found and text.lstrip(_SPACE).startswith("```"):  # the closing fence is missing
        found = [text.lstrip(_SPACE).partition("\n")[2]]
    return found


def _starts(text: str, start: int) -> list[int]:
    """The first few places where a value may begin."""
    found = [start]
    while len(found) < 4:
        following = [place for place in (text.find("{", found[-1] + 1), text.find("[", found[-1] + 1)) if place >= 0]
        if not following:
            break
        found.append(min(following))
    return found


class _Reader:
    """Reads one value, tolerantly, from left to right."""

    def __init__(self, text: str, close: bool) -> None:
        self.text = text
        self.close = close
        self.at = 0

    def whole(self) -> Any:
        self.skip()
        value = self.value(0)
        if value is _MISSING:
            raise ValueError("it holds none")
        refuse_more(value, self.text[self.at :])
        return value

    def skip(self) -> None:
        """Skip space and comments."""
        text, end = self.text, len(self.text)
        while self.at < end:
            char = text[self.at]
            if char in _SPACE:
                self.at += 1
            elif char == "#" or text.startswith("//", self.at):
                line = text.find("\n", self.at)
                self.at = end if line < 0 else line
            elif text.startswith("/*", self.at):
                close = text.find("*/", self.at + 2)
                self.at = end if close < 0 else close + 2
            else:
                return

    def value(self, depth: int) -> Any:
        if depth > _DEEPEST:
            raise ValueError("the JSON value is nested too deeply")
        if self.at >= len(self.text):
            return _MISSING
        char = self.text[self.at]
        if char == "{":
            return self.object(depth)
        if char == "[":
            return self.array(depth)
        if char in _QUOTES:
            return self.string(_QUOTES[char])
        number = _NUMBER.match(self.text, self.at)
        if number and number[0] not in ("+", "-"):
            following = self.text[number.end() : number.end() + 1]
            if following and following not in ",;]}#/" + _SPACE:
                raise ValueError(f"{self.text[self.at : number.end() + 5]!r} is no number")
            self.at = number.end()
            return _number(number[0])
        word = _WORD.match(self.text, self.at)
        if word:
            self.at = word.end()
            if word[0] in _WORDS:
                return _WORDS[word[0]]
            return self.bare(word[0])
        raise ValueError(f"{char!r} cannot begin a JSON value")

    def bare(self, first: str) -> str:
        """A text without quotes, up to the next comma, bracket or line."""
        end = self.at
        while end < len(self.text) and self.text[end] not in ",]}\n\r:":
            end += 1
        said = first + self.text[self.at : end].rstrip()
        self.at = end
        return said

    def object(self, depth: int) -> dict[str, Any]:
        self.at += 1
        made: dict[str, Any] = {}
        is_first = True
        while self.goes_on("}", "]", is_first):
            is_first = False
            key = self.key()
            self.skip()
            if self.at >= len(self.text):
                raise ValueError(f"it ends after the property {key[:40]!r}")
            if self.text[self.at] in ":=":
                self.at += 1
                if self.text[self.at : self.at + 1] == ">":
                    self.at += 1
            else:
                raise ValueError(f"the property {key[:40]!r} has no value")
            after = self.at
            self.skip()
            if "#" in self.text[after : self.at]:
                raise ValueError(f"the value of {key[:40]!r} is not in quotes")
            if self.at < len(self.text) and self.text[self.at] in ",}":
                made[key] = None
                continue
            value = self.value(depth + 1)
            if value is _MISSING:
                raise ValueError(f"it ends before the value of {key[:40]!r}")
            made[key] = value
        return made

    def goes_on(self, end: str, outer_end: str, is_first: bool, clear: str | None = None) -> bool:
        """Move to the next entry of an object or a list; ``False`` behind its last.

        Args:
            end: Its closing bracket.
            outer_end: That of the value around it, whose presence means that this one was forgotten.
            is_first: Whether no entry was read yet.
            clear: What may begin an entry without a comma before it; ``None`` for anything after a space.
        """
        separated = is_first
        while True:
            before = self.at
            self.skip()
            if self.at >= len(self.text):
                self.check_end()
                return False
            char = self.text[self.at]
            if char == end:
                self.at += 1
                return False
            if char == outer_end:
                return False
            if char not in ",;":
                break
            self.at += 1
            separated = True
        if not separated and (self.at == before or (clear is not None and char not in clear)):
            raise ValueError(f"a comma is missing before {self.text[self.at : self.at + 20]!r}")
        return True

    def key(self) -> str:
        char = self.text[self.at]
        if char in _QUOTES:
            return self.string(_QUOTES[char])
        word = _WORD.match(self.text, self.at) or _NUMBER.match(self.text, self.at)
        if word is None:
            raise ValueError(f"{char!r} cannot begin the name of a property")
        self.at = word.end()
        return word[0]

    def array(self, depth: int) -> list[Any]:
        self.at += 1
        made: list[Any] = []
        while self.goes_on("]", "}", not made, _CLEAR):
            made.append(self.value(depth + 1))
        return made

    def string(self, quote: str) -> str:
        text, pieces = self.text, []
        self.at += 1
        start = self.at
        while self.at < len(text):
            char = text[self.at]
            if char == "\\":
                pieces.append(text[start : self.at])
                pieces.append(self.escape())
                start = self.at
            elif char == quote and self.closes():
                pieces.append(text[start : self.at])
                self.at += 1
                return "".join(pieces)
            else:
                self.at += 1
        raise ValueError("it ends in the middle of a text")

    def check_end(self) -> None:
        """Refuse a value whose bracket is missing, unless what stands before the end is complete."""
        if not self.close:
            raise ValueError("it ends before its last bracket")
        last = self.text.rstrip(_SPACE)[-1:]
        if (
            last in _QUOTES.values()
            or last in ("}", "]", "{", "[")
            or self.text.rstrip(_SPACE).endswith(("true", "false", "null"))
        ):
            return
        raise ValueError("it ends in the middle of a value")

    def closes(self) -> bool:
        """Whether a quote ends its text; one inside it is followed by more words."""
        rest = self.at + 1
        while rest < len(self.text) and self.text[rest] in _SPACE:
            rest += 1
        if rest < len(self.text) and self.text[rest] in "/#":  # a comment, after a space
            return rest > self.at + 1
        return rest >= len(self.text) or self.text[rest] in ',:}];="'

    def escape(self) -> str:
        char = self.text[self.at + 1 : self.at + 2]
        if char == "u":
            digits = self.text[self.at + 2 : self.at + 6]
            if re.fullmatch(r"[0-9a-fA-F]{4}", digits):
                self.at += 6
                code = int(digits, 16)
                low = self.text[self.at : self.at + 6]
                if 0xD800 <= code < 0xDC00 and re.fullmatch(r"\\u[dD][c-fC-F][0-9a-fA-F]{2}", low):
                    self.at += 6
                    code = 0x10000 + ((code - 0xD800) << 10) + (int(low[2:], 16) - 0xDC00)
                return "\ufffd" if 0xD800 <= code < 0xE000 else chr(code)
        if char in ("\n", "\r"):  # a line continued
            self.at += 2
            return "\n"
        if char in _ESCAPES and char:
            self.at += 2
            return _ESCAPES[char]
        self.at += 1
        return "\\" if char else ""


_MISSING: Any = object()


def _number(text: str) -> int | float:
    text = text.replace("_", "").lstrip("+")
    if len(text.lstrip("-")) > 1 and text.lstrip("-")[0] == "0" and text.lstrip("-")[1].isdigit():
        raise ValueError(f"{text!r} is no number")  # the end of 1,000
    if text.lstrip("-").isdigit():
        return int(text) if len(text) < 4000 else float(text)
    return float(text)
