"""Joins surrogate pairs that were split between two pieces of a stream.

Servers that escape such a character as a pair of surrogates (``\\ud83d\\ude00``) may split a text between the two. A
lone surrogate cannot be encoded, printed or sent back, so it never leaves this module: the halves of two pieces are
joined, and a half that stays alone becomes U+FFFD.
"""

from __future__ import annotations

import re
from typing import Any

__all__ = ["PairJoiner", "has_lone_half", "may_hold_halves", "mend", "mend_all"]

_HALF = re.compile("[\ud800-\udfff]")
_HIGH_AT_END = re.compile("[\ud800-\udbff]$")
_REPLACEMENT = "\ufffd"
#: Fields that number pieces.
_LABELS = ("index", "output_index", "content_index", "item_id")
#: Events held back until the other half of a character has come.
_MOST_HELD = 16


def has_lone_half(text: str) -> bool:
    """Whether a text has a lone surrogate; fast for texts that cannot have one."""
    return not text.isascii() and _HALF.search(text) is not None


def may_hold_halves(data: bytes) -> bool:
    """Whether JSON may have escaped surrogates, paired or not."""
    return b"\\u" in data and (b"\\ud" in data or b"\\uD" in data)


def mend(text: str) -> str:
    """Return the text with pairs joined and lone halves replaced by U+FFFD."""
    if not has_lone_half(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def mend_all(value: Any) -> Any:
    """The same for every string in a JSON value, keys included. Lists and dicts are changed in place."""
    if isinstance(value, str):
        return mend(value)
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if type(item) is dict:
            if any(has_lone_half(key) for key in item):
                mended = {mend(key): inner for key, inner in item.items()}
                item.clear()
                item.update(mended)
            places: Any = item.items()
        elif type(item) is list:
            places = enumerate(item)
        else:
            continue
        for place, inner in list(places):
            if type(inner) is str:
                if has_lone_half(inner):
                    item[place] = mend(inner)
            else:
                waiting.append(inner)
    return value


def _strings(value: Any) -> dict[tuple[Any, ...], tuple[Any, Any]]:
    """Where the strings with halves are in a JSON value: path, then container and key or index."""
    found: dict[tuple[Any, ...], tuple[Any, Any]] = {}
    waiting: list[tuple[tuple[Any, ...], Any]] = [((_label(value),), value)]
    while waiting:
        path, item = waiting.pop()
        if len(path) > _MOST_HELD:
            continue  # no API nests texts this deeply; such halves are replaced
        places = item.items() if type(item) is dict else enumerate(item) if type(item) is list else ()
        for place, inner in places:
            if type(inner) is str:
                if has_lone_half(inner):
                    found[(*path, place)] = (item, place)
            elif inner:
                waiting.append(((*path, place if type(item) is dict else _label(inner) or place), inner))
    return found


def _label(value: Any) -> Any:
    """What distinguishes an object from others at the same path: pieces of several calls or blocks may alternate."""
    if type(value) is not dict:
        return None
    label = tuple(repr(value[name]) for name in _LABELS if name in value)
    return label or None


class _Steps:
    """Finds values of an event by path or label; each list is searched once."""

    __slots__ = ("_positions",)

    def __init__(self) -> None:
        self._positions: dict[int, dict[Any, int]] = {}

    def place(self, container: Any, step: Any) -> Any:
        """The key or index of a step."""
        if type(container) is not list or type(step) is not tuple:
            return step
        positions = self._positions.get(id(container))
        if positions is None:
            positions = self._positions[id(container)] = {}
            for position, item in enumerate(container):
                positions.setdefault(_label(item), position)
        return positions[step]


class PairJoiner:
    """Joins the halves of characters across the events of one stream.

    An event with a text that ends in the first half of a pair waits until a later event has the second half at the same
    path.
    """

    __slots__ = ("_held", "_open")

    def __init__(self) -> None:
        self._held: list[Any] = []
        #: Paths whose text ends in a first half.
        self._open: dict[tuple[Any, ...], tuple[Any, Any]] = {}

    @property
    def waits(self) -> bool:
        """Whether an event is held back."""
        return bool(self._held)

    def feed(self, event: Any) -> list[Any]:
        """Take an event; return those that are complete now, in order."""
        if self._open:
            self._close(event)
        places = _strings(event)
        for path, (item, place) in places.items():
            text = item[place]
            if _HIGH_AT_END.search(text):
                item[place] = mend(text[:-1]) + text[-1]
                self._open[path] = (item, place)
            else:
                item[place] = mend(text)
        self._held.append(event)
        if self._open and len(self._held) < _MOST_HELD:
            return []
        return self.finish()

    def _close(self, event: Any) -> None:
        """Complete what waits: with the second half from the event, or with U+FFFD if a text shows that there is
        none."""
        steps, label = _Steps(), _label(event)
        for path, (item, place) in list(self._open.items()):
            if path[0] != label:
                continue
            inner, last = event, None
            for step in path[1:]:
                container = inner
                try:
                    last = steps.place(container, step)
                    inner = container[last]
                except (KeyError, IndexError, TypeError):
                    break
            else:
                if type(inner) is not str or not inner:
                    continue
                if "\udc00" <= inner[0] <= "\udfff":
                    item[place] += inner[0]
                    container[last] = inner[1:]
                item[place] = mend(item[place])
                del self._open[path]

    def finish(self) -> list[Any]:
        """The stream has ended: return the events that waited, lone halves replaced."""
        for item, place in self._open.values():
            item[place] = mend(item[place])
        self._open.clear()
        held, self._held = self._held, []
        return held
