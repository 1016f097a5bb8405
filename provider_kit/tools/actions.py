"""What happens next in a run: a pure function of the transcript.

Nothing is remembered outside the messages, so that a run can be stored after any step and continued elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from attrs import frozen

from provider_kit.errors import InvalidRequestError
from provider_kit.model.messages import Message, ToolCall, ToolResult
from provider_kit.model.tools import Tool
from provider_kit.schema.typed import SchemaError
from provider_kit.tools.decisions import Decision, read_decision
from provider_kit.tools.function import FunctionTool
from provider_kit.tools.results import UnusableResultError, result_of

__all__ = ["Action", "check_decisions", "next_action", "open_calls"]


@frozen
class Action:
    """The next thing to do.

    ``ask``: send the conversation; ``call``: run :attr:`calls`; ``wait``: somebody must decide about :attr:`waiting`;
    ``done``: the conversation ends with an answer.
    """

    kind: Literal["ask", "call", "wait", "done"]
    #: Calls that can run now.
    calls: tuple[ToolCall, ...] = ()
    #: Calls that need a decision, or an answer from elsewhere.
    waiting: tuple[ToolCall, ...] = ()


def open_calls(messages: Sequence[Message]) -> list[ToolCall]:
    """The tool calls at the end of a conversation that have no result yet, in order."""
    answered: list[str] = []
    for message in reversed(messages):
        if type(message.content) is str:
            if message.role != "tool":
                return []
            continue
        calls = message.tool_calls
        if message.role == "assistant":
            found = []
            for call in calls:
                if call.id in answered:
                    answered.remove(call.id)
                else:
                    found.append(call)
            return found
        results = [part.tool_call_id for part in message.parts if type(part) is ToolResult]
        if not results:
            return []
        answered.extend(results)
    return []


def next_action(
    messages: Sequence[Message], tools: Mapping[str, Tool], decisions: Mapping[str, Decision] | None = None
) -> Action:
    """What to do with a conversation.

    Args:
        messages: The conversation.
        tools: The tools by name.
        decisions: Decisions about open calls, by the id of the call.
    """
    calls = open_calls(messages)
    if not calls:
        return Action("done" if messages and messages[-1].role == "assistant" else "ask")
    runnable: list[ToolCall] = []
    waiting: list[ToolCall] = []
    for call in calls:
        decided = decisions is not None and call.id in decisions
        (runnable if decided or not _waits(call, tools.get(call.name)) else waiting).append(call)
    return Action("call" if runnable else "wait", tuple(runnable), tuple(waiting))


def _waits(call: ToolCall, tool: Tool | None) -> bool:
    """Whether a call needs somebody: its tool has no function, or must be approved."""
    if tool is None:
        return False  # the model is told that there is no such tool
    if not isinstance(tool, FunctionTool):
        return True
    rule = tool.requires_approval
    if rule is False or rule is True:
        return rule
    try:
        arguments = tool.read_arguments(call)
    except SchemaError:
        return False  # it does not run; the model is told what is wrong
    return tool.needs_approval(arguments)


def check_decisions(given: Any, messages: Sequence[Message], tools: Mapping[str, Tool]) -> dict[str, Decision]:
    """Decisions by the id of the call, checked against the calls that wait.

    Raises:
        InvalidRequestError: There is no such call, it has its result already, or an edit does not fit its tool.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InvalidRequestError("decisions must be a dict.", hint="decisions={call.id: approve()}.")
    waiting = {call.id: call for call in open_calls(messages)}
    made: dict[str, Decision] = {}
    for call_id, value in given.items():
        decision = read_decision(value) if isinstance(value, Mapping) else value
        if not isinstance(decision, Decision):
            raise InvalidRequestError(
                f"{value!r} is no decision about the call {call_id!r}.",
                hint="Use approve(), deny('…'), answer(value) or edit({…}).",
            )
        if call_id not in waiting:
            known = any(call.id == call_id for message in messages for call in message.tool_calls)
            raise InvalidRequestError(
                f"The call {call_id!r} has its result already." if known else f"No call {call_id!r} waits here.",
                hint="It has been decided; see the messages." if known else f"Waiting: {', '.join(waiting) or 'none'}.",
            )
        name = waiting[call_id].name
        if decision.kind in ("approve", "edit") and name not in tools:
            raise InvalidRequestError(
                f"The call {call_id!r} is to run, but its tool {name!r} is not given.", hint=f"tools=[{name}]"
            )
        tool = tools.get(name)
        if decision.kind in ("approve", "edit") and not isinstance(tool, FunctionTool):
            raise InvalidRequestError(
                f"The tool {name!r} has no function that could run.", hint=f"Answer the call {call_id!r}: answer(…)."
            )
        if decision.kind == "edit" and isinstance(tool, FunctionTool):
            try:
                tool.read_arguments(edited(waiting[call_id], decision))
            except SchemaError as error:
                raise InvalidRequestError(
                    f"The edited arguments of {tool.name!r} are wrong: {error}.",
                    hint="edit() takes all arguments, by name.",
                ) from error
        if decision.kind == "answer":
            try:
                result_of(waiting[call_id], decision.value)
            except UnusableResultError as error:
                raise InvalidRequestError(
                    f"The answer to {call_id!r} cannot be written as JSON: {error}.",
                    hint="Give text, numbers, lists, dicts, or objects with fields.",
                ) from error
        made[call_id] = decision
    return made


def edited(call: ToolCall, decision: Decision) -> ToolCall:
    """A call with edited arguments."""
    return ToolCall(call.id, call.name, decision.value)
