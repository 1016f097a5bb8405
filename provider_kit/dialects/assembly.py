"""Assembles streamed tool calls from their fragments.

Tool calls arrive in fragments that servers label in many ways: with an index, with only an id, with the same index or
the same id for every call, with another id in each piece, with empty strings where nothing changed, with a placeholder
for the arguments first, or complete and then repeated. :class:`ToolCallAssembly` handles all of these: fragments of one
call are joined, distinct calls stay distinct, and each has a distinct id.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from attrs import define, field

from provider_kit.errors import ToolCallParseError
from provider_kit.model.chat import ToolCallDelta
from provider_kit.model.json_text import dumps_text, loads
from provider_kit.model.messages import ToolCall

__all__ = [
    "OpenCall",
    "ToolCallAssembly",
    "arguments_object",
    "arguments_text",
    "is_custom_call",
    "new_call_id",
    "portable_id",
    "tool_finish",
    "with_distinct_ids",
]

#: Longest name in characters; anything beyond is dropped.
_LONGEST_NAME = 256
_PORTABLE = re.compile(r"[A-Za-z0-9_-]+")
#: Placeholders for arguments that are still to come, or for none.
_PLACEHOLDERS = ("{}", "null")


def is_custom_call(call: ToolCall) -> bool:
    """Whether the call's input is plain text: OpenAI's custom tools, in either of its APIs."""
    return call.native is not None and call.native.get("type") in ("custom", "custom_tool_call")


def arguments_object(call: ToolCall) -> dict[str, Any]:
    """The arguments of a call as an object, for APIs that require one; invalid text is wrapped in one."""
    if is_custom_call(call):
        return {"input": call.arguments_json}
    if call.arguments_json.strip() == "null":
        return {}
    try:
        return call.arguments
    except ToolCallParseError:
        return {"INVALID_JSON": call.arguments_json}


def arguments_text(call: ToolCall) -> str:
    """The arguments as JSON text, as the model wrote them; none are ``{}``."""
    if is_custom_call(call):
        return dumps_text({"input": call.arguments_json})
    return "{}" if call.arguments_json.strip() in ("", "null") else call.arguments_json


def portable_id(call_id: str, most: int) -> str:
    """An id that every API accepts: letters, digits, ``_`` and ``-``; the same id always gives the same result."""
    if len(call_id) <= most and _PORTABLE.fullmatch(call_id):
        return call_id
    return f"call_{hashlib.sha256(call_id.encode('utf-8', 'replace')).hexdigest()[:24]}"


def new_call_id() -> str:
    """An id for a tool call to which the provider gave none."""
    return f"call_{secrets.token_hex(12)}"


def tool_finish(finish: str, has_calls: bool) -> Any:
    """The finish reason: some providers send ``stop``, or nothing, with tool calls; the calls decide."""
    return "tool_calls" if has_calls and finish in ("stop", "other", "tool_calls") else finish


def with_distinct_ids(calls: Iterable[ToolCall]) -> list[ToolCall]:
    """The calls, each with an id that is unique in the answer, so that each can be answered."""
    made = list(calls)
    seen: set[str] = set()
    for call in made:
        if not call.id or call.id in seen:
            call.id, call.local_id = new_call_id(), True
            if call.native is not None:
                call.native = _renamed(call.native, call.id)
        seen.add(call.id)
    return made


def _renamed(native: dict[str, Any], call_id: str) -> dict[str, Any]:
    return {**native, "call_id" if "call_id" in native else "id": call_id}


@define
class OpenCall:
    """A tool call that is still arriving."""

    position: int
    id: str | None = None
    name: str = ""
    arguments: list[str] = field(factory=list)
    signature: str | None = None
    extra: dict[str, Any] | None = None
    native: dict[str, Any] | None = None
    local_id: bool = False
    #: Whether it is of a tool whose input is plain text, not JSON.
    raw: bool = False
    #: A placeholder that is withheld until it is certain that nothing else follows.
    withheld: str = ""
    #: Characters so far, and at the last check for completeness.
    size: int = 0
    _looked_at: int = 0
    _looks: int = 0
    _whole: bool = False

    def is_whole(self) -> bool:
        """Whether the arguments so far are a complete JSON object.

        Checks are limited: each parses all of the arguments, and a server could force any number of them.
        """
        if self.withheld:
            return True
        if self.size == self._looked_at:
            return self._whole
        if not self.arguments[-1].rstrip().endswith("}") or (self._looks > 8 and self.size < 2 * self._looked_at):
            return False
        self._looks += 1
        self._looked_at = self.size
        try:
            self._whole = isinstance(loads("".join(self.arguments)), dict)
        except ValueError:
            self._whole = False
        return self._whole

    def add(self, piece: str) -> str:
        """Take a piece of the arguments; return what of it is to be delivered now."""
        if not piece:
            return ""
        if self.raw:
            return self.append(piece)
        stripped = piece.strip()
        if not self.arguments and stripped in _PLACEHOLDERS:
            self.withheld = stripped  # the arguments may still come
            return ""
        if self.withheld:
            if not stripped:
                return ""
            self.withheld = ""
        elif stripped[:1] == "{" and self.is_whole():
            return ""  # a repetition: JSON does not continue after its end
        return self.append(piece)

    def append(self, piece: str) -> str:
        """Append a piece unchanged."""
        self.arguments.append(piece)
        self.size += len(piece)
        return piece

    def release(self) -> str:
        """Nothing else follows: return what was withheld."""
        withheld, self.withheld = self.withheld, ""
        told = "{}" if withheld == "{}" else ""  # "null" means none, as an empty text does
        if told:
            self.arguments.append(told)
            self.size += len(told)
        return told

    def text(self) -> str:
        """The arguments so far."""
        joined = "".join(self.arguments)
        if not joined:
            return "{}" if self.withheld == "{}" else ""
        if len(self.arguments) > 1 and not self.raw and self._grows() and not _is_object(joined):
            return self.arguments[-1]  # servers that repeat everything in each piece
        return joined

    def _grows(self) -> bool:
        """Whether each piece has all of the one before it, and the last one is an object."""
        pieces = self.arguments
        return (
            pieces[-1].lstrip()[:1] == "{"
            and all(later.startswith(before) for before, later in pairwise(pieces))
            and _is_object(pieces[-1])
        )

    def close(self) -> ToolCall:
        """The call as far as it was received."""
        if not self.id:
            self.id, self.local_id = new_call_id(), True
        return ToolCall(
            self.id,
            self.name,
            self.text(),
            local_id=self.local_id,
            signature=self.signature,
            extra=self.extra,
            native=self.native,
        )


def _is_object(text: str) -> bool:
    try:
        return isinstance(loads(text), dict)
    except ValueError:
        return False


class ToolCallAssembly:
    """Collects the tool calls of one answer."""

    __slots__ = ("_by_id", "_by_index", "calls")

    def __init__(self) -> None:
        self.calls: list[OpenCall] = []
        self._by_index: dict[int, OpenCall] = {}
        #: Calls by the server's id; the newest one where an id was used twice.
        self._by_id: dict[str, OpenCall] = {}

    def add(
        self, index: int | None, id: str | None, name: str | None, arguments: str, *, raw: bool = False
    ) -> ToolCallDelta:
        """Take a fragment; return it as a delta that names the call it belongs to.

        Args:
            index: The call's position, if the server sends it.
            id: The call's id; empty means unchanged.
            name: The tool's name; empty means unchanged.
            arguments: The next piece of the JSON text.
            raw: Whether the tool takes plain text instead.
        """
        id, name = id or None, name or None
        call = self._find(index, id, name, arguments)
        if call is None:
            call = OpenCall(len(self.calls))
            self.calls.append(call)
        call.raw = call.raw or raw
        if index is not None:
            self._by_index[index] = call
        told_id = self._take_id(call, id)
        return ToolCallDelta(call.position, told_id, _take_name(call, name), call.add(arguments))

    def _take_id(self, call: OpenCall, id: str | None) -> str | None:
        """Give the call its id; return what is to be delivered. A later id of the same call changes nothing."""
        if id is None:
            return None
        taken = id in self._by_id
        self._by_id[id] = call
        if call.id:
            return call.id
        call.id, call.local_id = (new_call_id(), True) if taken else (id, False)
        return call.id

    def _find(self, index: int | None, id: str | None, name: str | None, arguments: str) -> OpenCall | None:
        """The call a fragment continues; ``None`` for a new one."""
        same = self._by_id.get(id) if id is not None else None
        last = self.calls[-1] if self.calls else None
        if index is not None:
            here = self._by_index.get(index)
            if here is not None:
                return here if _goes_on(here, id, name, arguments) else None
            if same is not None:
                # An index of its own and a name: another call, to which the server gave the same id.
                another = name is not None and (same.is_whole() or name != same.name or not same.size)
                return None if another else same
            return last if id is None and name is None and last is not None and not last.is_whole() else None
        if same is not None:
            return same if _goes_on(same, id, name, arguments) else None
        if last is None or (id is not None and name is not None):
            return None
        if id is not None:  # some servers give each piece a different id
            return last if last.id is None or not last.is_whole() else None
        if name is not None and name != last.name and last.name and not last.size:
            return None
        return last if _goes_on(last, None, name, arguments) else None

    def release(self) -> list[ToolCallDelta]:
        """The answer has ended: return what was not delivered so far."""
        told = ((call, call.release()) for call in self.calls)
        return [ToolCallDelta(call.position, None, None, text) for call, text in told if text]

    def close(self) -> list[ToolCall]:
        """The calls as far as they were received, in order."""
        return [call.close() for call in self.calls]


def _goes_on(call: OpenCall, id: str | None, name: str | None, arguments: str) -> bool:
    """Whether a fragment with the label of a call belongs to it, and not to a new one with the same label."""
    if name is None or not call.name:
        return True  # whatever its id: some servers give each piece a different one
    if not call.is_whole():
        # Its name repeated, or in pieces; with another id only where it is the same name.
        return id is None or call.id is None or id == call.id or name == call.name
    # After a complete call, only an exact repetition is not a new call.
    return id is not None and id == call.id and name == call.name and (not arguments or _repeats(call, arguments))


def _repeats(call: OpenCall, arguments: str) -> bool:
    return (call.withheld or "".join(call.arguments)).strip() == arguments.strip()


def _take_name(call: OpenCall, name: str | None) -> str | None:
    """Give the call its name; return what is to be delivered. It may come in pieces, or repeated in each piece."""
    if name is None or name == call.name:
        return None
    if not call.name:
        call.name = name
        return name
    if call.size or call.withheld or len(call.name) > _LONGEST_NAME:
        return None
    grown = name if name.startswith(call.name) else call.name + name
    added = grown[len(call.name) :]
    call.name = grown
    return added
