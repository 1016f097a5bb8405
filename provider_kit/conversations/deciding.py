"""Decisions about the tool calls of a conversation that wait."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provider_kit.conversations.checks import pending_tool_calls
from provider_kit.conversations.storing import Storing
from provider_kit.errors import InvalidRequestError
from provider_kit.model.messages import ToolCall
from provider_kit.model.tools import Tool
from provider_kit.schema.build import to_json
from provider_kit.tools.actions import check_decisions
from provider_kit.tools.decisions import Decision, answer, approve, deny
from provider_kit.tools.function import FunctionTool, tools_of

__all__ = ["Deciding", "id_of"]


class Deciding(Storing):
    """What a conversation has of it."""

    client: Any

    @property
    def pending_tool_calls(self) -> list[ToolCall]:
        """Tool calls that wait for a result or a decision."""
        return pending_tool_calls(self._loaded().messages)

    def approve(self, call: str | ToolCall | None = None) -> None:
        """Let a waiting tool call run, with :meth:`resume`.

        Args:
            call: The call or its id; default: every call that waits and can run.

        Raises:
            InvalidRequestError: No such call waits, or it is decided already.
        """
        if call is not None:
            self._decide({id_of(call): approve()})
            return
        tools, decided = self._tools(), self._current().decisions
        waiting = [one for one in self.pending_tool_calls if one.id not in decided]
        can_run = [one.id for one in waiting if one.name not in tools or isinstance(tools[one.name], FunctionTool)]
        if not waiting:
            raise InvalidRequestError("No tool call waits for a decision.", hint="See talk.pending_tool_calls.")
        if not can_run:
            raise InvalidRequestError(
                f"The tool {waiting[0].name!r} has no function that could run.", hint="talk.answer(call, …)."
            )
        self._decide(dict.fromkeys(can_run, approve()))

    def deny(self, call: str | ToolCall, reason: str = "") -> None:
        """Do not let a waiting tool call run; the model is told the reason, with :meth:`resume`."""
        self._decide({id_of(call): deny(reason)})

    def answer(self, call: str | ToolCall, value: Any) -> None:
        """Give the result of a waiting tool call, which then does not run; go on with :meth:`resume`."""
        try:
            value = to_json(value)
        except (TypeError, ValueError) as error:
            raise InvalidRequestError(
                f"The answer to {id_of(call)!r} cannot be written as JSON: {error}.",
                hint="Give text, numbers, lists, dicts, or objects with fields.",
            ) from error
        self._decide({id_of(call): answer(value)})

    def _decide(self, decisions: Mapping[str, Decision]) -> None:
        state = self._current()
        waiting = {one.id: one for one in self.pending_tool_calls}
        for call_id in decisions:
            if call_id in state.decisions:
                raise InvalidRequestError(
                    f"The call {call_id!r} is decided already.", hint="Go on with talk.resume(); a decision is final."
                )
            if call_id not in waiting:
                raise InvalidRequestError(
                    f"No call {call_id!r} waits here.", hint=f"Waiting: {', '.join(waiting) or 'none'}."
                )
        tools = self._tools()  # others may be given to resume(), which checks again
        unknown = {call_id: one for call_id, one in decisions.items() if waiting[call_id].name not in tools}
        later = {call_id: one for call_id, one in unknown.items() if one.kind in ("approve", "edit")}
        now = {call_id: one for call_id, one in decisions.items() if call_id not in later}
        state.decisions.update({**later, **check_decisions(now, state.messages, tools)})
        self._store()

    def _tools(self) -> dict[str, Tool]:
        """The tools of the conversation, or of its client."""
        given = self._core.options.get("tools")
        if given is None:
            given = getattr(self.client, "_defaults", {}).get("tools")
        return {one.name: one for one in tools_of(given or ())}


def id_of(call: str | ToolCall) -> str:
    """The id of a call."""
    return call.id if isinstance(call, ToolCall) else call
