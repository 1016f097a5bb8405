"""Puts the pieces of a streamed answer together again.

Tool calls arrive in fragments that servers label in many ways: with an index, with only an id, with the
same index for every call, with empty strings where nothing changed, or whole. :class:`ToolCallAssembly`
sorts them out.
"""

from __future__ import annotations

import secrets
from typing import Any

from attrs import define, field

from provider_kit.errors import ToolCallParseError
from provider_kit.model.chat import ToolCallDelta
from provider_kit.model.json_text import loads
from provider_kit.model.messages import ToolCall

__all__ = ["OpenCall", "ToolCallAssembly", "arguments_object", "new_call_id", "tool_finish"]


def arguments_object(call: ToolCall) -> dict[str, Any]:
    """The arguments of a call as an object, for APIs that want one; a broken text is wrapped in one."""
    try:
        return call.arguments
    except ToolCallParseError:
        return {"INVALID_JSON": call.arguments_json}


def new_call_id() -> str:
    """An id for a tool call to which the provider gave none."""
    return f"call_{secrets.token_hex(12)}"


def tool_finish(finish: str, has_calls: bool) -> Any:
    """Providers say ``stop``, or nothing, although they want tools called; the calls decide."""
    return "tool_calls" if has_calls and finish in ("stop", "other", "tool_calls") else finish


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

    def is_whole(self) -> bool:
        """Whether the arguments so far are a complete JSON object."""
        try:
            return isinstance(loads("".join(self.arguments)), dict)
        except ValueError:
            return False

    def close(self) -> ToolCall:
        """The call as it stands."""
        local = not self.id
        if local:
            self.id = new_call_id()
        return ToolCall(
            self.id or "",
            self.name,
            "".join(self.arguments),
            local_id=local,
            signature=self.signature,
            extra=self.extra,
            native=self.native,
        )


class ToolCallAssembly:
    """Collects the tool calls of one answer."""

    __slots__ = ("_by_index", "calls")

    def __init__(self) -> None:
        self.calls: list[OpenCall] = []
        self._by_index: dict[int, OpenCall] = {}

    def add(self, index: int | None, id: str | None, name: str | None, arguments: str) -> ToolCallDelta:
        """Take a fragment; return it as a delta that names the call it belongs to.

        Args:
            index: The call's position, if the server tells.
            id: The call's id; empty means unchanged.
            name: The tool's name; empty means unchanged.
            arguments: The next piece of the JSON text.
        """
        call = self._find(index, id or None, name or None, arguments)
        fresh = call is None
        if call is None:
            call = OpenCall(len(self.calls))
            self.calls.append(call)
        if index is not None:
            self._by_index[index] = call
        if id and not call.id:
            call.id = id
        first_name = None
        if name and not call.name:
            call.name = first_name = name
        if arguments:
            call.arguments.append(arguments)
        return ToolCallDelta(call.position, call.id if fresh or id else None, first_name, arguments)

    def _find(self, index: int | None, id: str | None, name: str | None, arguments: str) -> OpenCall | None:
        if id is not None:
            for call in self.calls:
                if call.id == id:
                    return call
        found = self._by_index.get(index) if index is not None else (self.calls[-1] if self.calls else None)
        if found is None:
            return None
        call = found
        if id is not None and call.id is not None:
            return None  # another id at the same index: a new call
        if name is not None and call.name and (call.is_whole() or (name != call.name and not call.arguments)):
            return None  # a name again after a finished call: a new call
        return call

    def close(self) -> list[ToolCall]:
        """The calls as they stand, in order."""
        return [call.close() for call in self.calls]
