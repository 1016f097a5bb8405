"""An output item of the Responses API that is still arriving."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import define, field

from provider_kit.model.chat import ToolCallDelta
from provider_kit.model.json_text import text_of_received

__all__ = ["CALLS", "OpenItem"]

#: Items that are calls of the caller's tools.
CALLS = ("function_call", "custom_tool_call")
_EMPTY: tuple[Any, ...] = (None, "", [], {})


def _number(index: Any) -> int:
    return index if type(index) is int and index >= 0 else 0


def _rest(known: list[str], whole: Any) -> str:
    """What of a complete text was not streamed; nothing where the texts differ."""
    if not isinstance(whole, str) or not whole:
        return ""
    if len(whole) < len(known) or len(whole) < sum(map(len, known)):
        return ""  # without a comparison, which would take time for each of many ends
    joined = "".join(known)
    added = whole[len(joined) :] if whole.startswith(joined) else ""
    if added:
        known.append(added)
    return added


def _has_text(parts: Any) -> bool:
    return isinstance(parts, list) and any(isinstance(part, dict) and part.get("text") for part in parts)


@define
class OpenItem:
    """One item: what was streamed of it, and what the server declared it to be."""

    item: dict[str, Any]
    #: Its number in the order in which items came.
    number: int
    #: Its index in the output, where the server sends it.
    index: int | None = None
    #: Its number among the calls of the caller's tools.
    position: int | None = None
    texts: dict[Any, list[str]] = field(factory=dict)
    refusal: list[str] = field(factory=list)
    arguments: list[str] = field(factory=list)
    summary: dict[int, list[str]] = field(factory=dict)
    verbatim: list[str] = field(factory=list)
    notes: list[dict[str, Any]] = field(factory=list)
    done: bool = False
    #: A generated id, where the server used one twice.
    own_call_id: str | None = None
    _told: dict[str, str] = field(factory=dict)
    _known_notes: set[str] = field(factory=set)

    @property
    def kind(self) -> str:
        """Its type."""
        return str(self.item.get("type"))

    def is_same(self, given: Mapping[str, Any]) -> bool:
        """Whether a later event may be about this item: same kind, and no other call."""
        kind = given.get("type")
        if kind is not None and self.item.get("type") is not None and kind != self.item["type"]:
            return False
        mine, other = self.item.get("call_id"), given.get("call_id")
        return not (mine and other and mine != other)

    # -------------------------------------------------------------------------------------------- texts

    def add_text(self, index: Any, text: str) -> None:
        """Add a piece of text."""
        self.texts.setdefault(_number(index), []).append(text)

    def rest_of_text(self, index: Any, whole: Any) -> str:
        """What of a complete text was not streamed."""
        return _rest(self.texts.setdefault(_number(index), []), whole)

    def rest_of_refusal(self, whole: Any) -> str:
        """What of a complete refusal was not streamed."""
        return _rest(self.refusal, whole)

    def rest_of_part(self, index: Any, part: Mapping[str, Any]) -> tuple[str, str]:
        """What of a complete part was not streamed: text and refusal."""
        if part.get("type") == "refusal":
            return "", self.rest_of_refusal(part.get("refusal"))
        return self.rest_of_text(index, part.get("text")), ""

    def add_summary(self, index: Any, text: str) -> str:
        """Add a piece of the reasoning summary; return what is shown of it. Paragraphs are separated."""
        number = _number(index)
        shown = f"\n\n{text}" if text and self.summary and number not in self.summary else text
        self.summary.setdefault(number, []).append(text)
        return shown

    def rest_of_summary(self, index: Any, whole: Any) -> str:
        """What of a complete paragraph was not streamed."""
        number = _number(index)
        first = number not in self.summary and bool(self.summary)
        added = _rest(self.summary.setdefault(number, []), whole)
        return f"\n\n{added}" if first and added else added

    def add_notes(self, notes: Iterable[Any]) -> list[dict[str, Any]]:
        """Add annotations; return those not delivered yet."""
        news = []
        for note in notes:
            if isinstance(note, dict) and (mark := repr(note)) not in self._known_notes:
                self._known_notes.add(mark)
                self.notes.append(note)
                news.append(note)
        return news

    # -------------------------------------------------------------------------------------------- calls

    def _delta(self, arguments: str) -> ToolCallDelta | None:
        """A delta with the id and name if not delivered yet; ``None`` if there is nothing to deliver."""
        if self.position is None:
            return None
        news = {}
        for name, said in (("id", self.own_call_id or self.item.get("call_id")), ("name", self.item.get("name"))):
            if said and name not in self._told:
                self._told[name] = news[name] = str(said)
        if not arguments and not news:
            return None
        return ToolCallDelta(self.position, news.get("id"), news.get("name"), arguments)

    def begin_call(self) -> ToolCallDelta | None:
        """The call as announced. Arguments that come with it are delivered at the end, since they may still be
        streamed."""
        return self._delta("")

    def end_call(self) -> ToolCallDelta | None:
        """What of the call was announced but not streamed."""
        if self.arguments:
            return None
        return self.rest_of_call(self.item.get("arguments") or self.item.get("input"))

    def add_arguments(self, text: str) -> ToolCallDelta | None:
        """Add a piece of the arguments."""
        if text:
            self.arguments.append(text)
        return self._delta(text)

    def rest_of_call(self, whole: Any) -> ToolCallDelta | None:
        """What of a complete call was not streamed."""
        if whole is not None and not isinstance(whole, str):
            whole = text_of_received(whole)
        return self._delta(_rest(self.arguments, whole))

    # -------------------------------------------------------------------------------------------- the end

    def complete(self, given: Mapping[str, Any]) -> tuple[str, str, str, ToolCallDelta | None, list[dict[str, Any]]]:
        """Take the final form of the item.

        Returns:
            What of it was not streamed: text, thinking, refusal, call and notes.
        """
        # Empty fields of the final form do not overwrite what was known before.
        self.item.update({key: value for key, value in given.items() if value not in _EMPTY})
        self.done = True
        text: list[str] = []
        thinking: list[str] = []
        refusal: list[str] = []
        notes: list[dict[str, Any]] = []
        delta = None
        content = given.get("content")
        if self.kind == "message":
            if isinstance(content, str):
                content = [{"type": "output_text", "text": content}]
            for index, part in enumerate(content if isinstance(content, list) else ()):
                if isinstance(part, dict):
                    said, refused = self.rest_of_part(index, part)
                    text.append(said)
                    refusal.append(refused)
                    noted = part.get("annotations")
                    notes.extend(self.add_notes(noted if isinstance(noted, list) else ()))
        elif self.kind in CALLS:
            delta = self.rest_of_call(given.get("arguments") or given.get("input"))
        elif self.kind == "reasoning":
            summary = given.get("summary")
            for index, part in enumerate(summary if isinstance(summary, list) else ()):
                if isinstance(part, dict):
                    thinking.append(self.rest_of_summary(index, part.get("text")))
        return "".join(text), "".join(thinking), "".join(refusal), delta, notes

    def close(self) -> dict[str, Any]:
        """The item as far as it was received."""
        closed = dict(self.item)
        kind = closed.get("type")
        if kind == "message":
            self._close_message(closed)
        elif kind in CALLS:
            place = "input" if kind == "custom_tool_call" else "arguments"
            given = closed.get(place)
            empty = not given or (isinstance(given, str) and given.strip() in ("{}", "null"))
            if self.arguments and not (self.done and not empty):
                closed[place] = "".join(self.arguments)
            if self.own_call_id is not None:
                closed["call_id"] = self.own_call_id
        elif kind == "reasoning":
            if self.summary and not (self.done and _has_text(closed.get("summary"))):
                paragraphs = ("".join(pieces) for _, pieces in sorted(self.summary.items()))
                closed["summary"] = [{"type": "summary_text", "text": text} for text in paragraphs]
            if self.verbatim and not (self.done and _has_text(closed.get("content"))):
                closed["content"] = [{"type": "reasoning_text", "text": "".join(self.verbatim)}]
        return closed

    def _close_message(self, closed: dict[str, Any]) -> None:
        texts = ["".join(pieces) for _, pieces in sorted(self.texts.items())]
        said = closed.get("content")
        known = [part for part in said if isinstance(part, dict)] if isinstance(said, list) else []
        whole = "".join(str(part.get("text") or part.get("refusal") or "") for part in known)
        if self.done and (isinstance(said, str) or len(whole) >= len("".join(texts)) + len("".join(self.refusal))):
            if self.notes and known and not any(part.get("annotations") for part in known):
                closed["content"] = [{**known[0], "annotations": list(self.notes)}, *known[1:]]
            return
        content: list[dict[str, Any]] = [{"type": "output_text", "text": text} for text in texts if text]
        if content and self.notes:
            content[0]["annotations"] = list(self.notes)
        if self.refusal:
            content.append({"type": "refusal", "refusal": "".join(self.refusal)})
        closed["content"] = content
