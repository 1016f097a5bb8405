"""The parts of Gemini's content, and the calls whose arguments arrive in pieces."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from attrs import define, field

from provider_kit.dialects.assembly import new_call_id
from provider_kit.model.json_text import loads, text_of_received
from provider_kit.model.media import Audio, Image
from provider_kit.model.messages import Native, Part, Text, Thinking, ToolCall

__all__ = ["PartCollector", "PartialCall", "notes_of", "read_part", "with_notes"]

#: Fields of a candidate with its sources.
_NOTES = ("groundingMetadata", "citationMetadata", "urlContextMetadata")
_STEP = re.compile(r"\.([^.\[\]]{1,200})|\[(\d{1,5})\]|\['([^']{0,200})'\]|\[\"([^\"]{0,200})\"\]")
#: Greatest depth of a path; deeper arguments are refused.
_DEEPEST = 50
#: Positions of a list that one piece may leave empty.
_MOST_SKIPPED = 16


def _signature(part: Mapping[str, Any]) -> Any:
    return part.get("thoughtSignature") or part.get("thought_signature")


def read_part(part: Mapping[str, Any]) -> Part:
    """One part of a candidate's content."""
    signature = _signature(part)
    text = part.get("text")
    call = part.get("functionCall")
    if isinstance(call, dict):
        given = call.get("id")
        if call.get("partialArgs") and not call.get("args"):  # in a whole answer
            partial = PartialCall(0, ToolCall("", ""))
            partial.add(call["partialArgs"])
            call = {**call, "args": loads(partial.close().arguments_json)}
        return ToolCall(
            str(given) if given else new_call_id(),
            str(call.get("name") or ""),
            text_of_received(call.get("args") or {}),
            local_id=not given,
            signature=signature,
        )
    if part.get("thought") is True:
        return Thinking(str(text or ""), signature=signature, native=dict(part))
    if isinstance(text, str):
        return Text(text, signature=signature)
    made = _media(part, signature)
    if made is not None:
        return made
    return Native(str(next((key for key in part if not key.startswith("thought")), "unknown")), dict(part))


def _media(part: Mapping[str, Any], signature: Any) -> Part | None:
    """An image or audio that the model generated."""
    inline = part.get("inlineData")
    if not isinstance(inline, dict):
        return None
    kind = str(inline.get("mimeType") or "")
    made = Image if kind.startswith("image/") else Audio if kind.startswith("audio/") else None
    try:
        data = base64.b64decode(inline.get("data") or "", validate=True)
    except (TypeError, ValueError):
        return None
    if made is None or not data:
        return None
    return made(data=data, media_type=kind, extra={"thoughtSignature": signature} if signature else None)


class PartCollector:
    """Collects parts in order; adjacent texts of one kind are joined, a part with a signature stays as received."""

    __slots__ = ("_native", "_parts", "_thoughts", "text")

    def __init__(self) -> None:
        self._parts: list[Part] = []
        #: Plain text that waits to become one part.
        self.text: list[str] = []
        #: Plain thoughts that wait to become one part, and their common fields.
        self._thoughts: list[str] = []
        self._native: dict[str, Any] = {}

    @property
    def thinks(self) -> bool:
        """Whether thoughts wait."""
        return bool(self._thoughts)

    def add(self, part: Part) -> None:
        """Take a part."""
        if type(part) is Text and not part.signature:
            if self._thoughts:
                self._flush()
            self.text.append(part.text)
        elif type(part) is Thinking and not part.signature:
            if self.text:
                self._flush()
            self._native.update(part.native or {})
            self._thoughts.append(part.text)
        else:
            self._flush()
            self._parts.append(part)

    def _flush(self) -> None:
        if self.text:
            self._parts.append(Text("".join(self.text)))
            self.text.clear()
        if self._thoughts:
            joined = "".join(self._thoughts)
            self._parts.append(Thinking(joined, native={**self._native, "text": joined}))
            self._thoughts.clear()
            self._native = {}

    def close(self) -> list[Part]:
        """The parts so far; more may be added later."""
        return [*self._parts, *self._tail()]

    def _tail(self) -> list[Part]:
        tail: list[Part] = [Text("".join(self.text))] if self.text else []
        if self._thoughts:
            joined = "".join(self._thoughts)
            tail.append(Thinking(joined, native={**self._native, "text": joined}))
        return tail


def notes_of(candidate: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The sources of a candidate, by kind."""
    return {
        name: {"type": name, **value}
        for name in _NOTES
        if name in candidate and isinstance(value := candidate[name], dict) and value
    }


def with_notes(parts: list[Part], notes: Mapping[str, dict[str, Any]]) -> list[Part]:
    """The parts, with the sources on the last text."""
    if not notes:
        return parts
    for position in range(len(parts) - 1, -1, -1):
        part = parts[position]
        if type(part) is Text:
            noted = Text(part.text, signature=part.signature, extra={"annotations": list(notes.values())})
            return [*parts[:position], noted, *parts[position + 1 :]]
    return [*parts, Text("", extra={"annotations": list(notes.values())})]


class _Pieces(list[str]):
    """A text that is still arriving."""


@define
class PartialCall:
    """A call whose arguments arrive value by value (``partialArgs``).

    Source: Vertex AI, "Function calling", ``streamFunctionCallArguments``: each piece has a ``jsonPath`` and a
    value of one kind; a text with ``willContinue`` continues in a later piece with the same path.
    """

    position: int
    call: ToolCall
    arguments: dict[str, Any] = field(factory=dict)

    def is_same(self, call: Mapping[str, Any]) -> bool:
        """Whether a piece continues this call: it has no name, or the same name and id."""
        name, given = call.get("name"), call.get("id")
        if not name:
            return True
        return "partialArgs" in call and name == self.call.name and (not given or given == self.call.id)

    def add(self, pieces: Any) -> None:
        """Take pieces of the arguments."""
        for piece in pieces if isinstance(pieces, list) else ():
            if not isinstance(piece, dict):
                continue
            steps = _steps(str(piece.get("jsonPath") or ""))
            if not steps:
                continue
            text = piece.get("stringValue")
            if isinstance(text, str):
                _put_text(self.arguments, steps, text)
                continue
            for name in ("numberValue", "boolValue", "nullValue"):
                if name in piece:
                    _put(self.arguments, steps, None if name == "nullValue" else piece[name])

    def close(self) -> ToolCall:
        """The call as far as it was received."""
        self.call.arguments_json = text_of_received(_joined(self.arguments))
        return self.call


def _steps(path: str) -> list[str | int]:
    """The steps of ``$.items[0].name``; none if the path is invalid."""
    path = path.removeprefix("$")
    if path and path[0] not in ".[":
        path = f".{path}"
    steps: list[str | int] = []
    position = 0
    while position < len(path):
        found = _STEP.match(path, position)
        if found is None or len(steps) >= _DEEPEST:
            return []
        name, number, single, double = found.groups()
        steps.append(int(number) if number is not None else name if name is not None else single or double or "")
        position = found.end()
    return steps if steps and isinstance(steps[0], str) else []


def _container(root: Any, steps: list[str | int]) -> Any:
    """The list or dict that the last step refers to; missing containers are created."""
    here = root
    for step, following in pairwise(steps):
        inside: Any = [] if isinstance(following, int) else {}
        known = _get(here, step)
        if type(known) is type(inside):
            here = known
        else:
            _set(here, step, inside)
            here = inside
    return here


def _get(here: Any, step: str | int) -> Any:
    if isinstance(here, list):
        return here[step] if isinstance(step, int) and step < len(here) else None
    return here.get(step)


def _set(here: Any, step: str | int, value: Any) -> None:
    if isinstance(here, list):
        if isinstance(step, int):
            if step > len(here) + _MOST_SKIPPED:
                raise ValueError(f"the index [{step}] of an argument is far beyond the end of its list")
            here.extend([None] * (step + 1 - len(here)))
            here[step] = value
    else:
        here[str(step)] = value


def _put(root: Any, steps: list[str | int], value: Any) -> None:
    _set(_container(root, steps), steps[-1], value)


def _put_text(root: Any, steps: list[str | int], text: str) -> None:
    here = _container(root, steps)
    known = _get(here, steps[-1])
    if type(known) is _Pieces:
        known.append(text)
    else:
        _set(here, steps[-1], _Pieces([text]))


def _joined(value: Any) -> Any:
    if type(value) is _Pieces:
        return "".join(value)
    if type(value) is dict:
        return {key: _joined(inner) for key, inner in value.items()}
    return [_joined(inner) for inner in value] if type(value) is list else value
