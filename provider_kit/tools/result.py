"""What a run returns."""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeAlias

from attrs import define, field, fields

from provider_kit.errors import PendingToolCallsError
from provider_kit.model.chat import ChatResponse, FinishReason, Outcome, T_co
from provider_kit.model.messages import Message, ToolCall, ToolResult
from provider_kit.model.usage import Usage

__all__ = ["RunResult", "Step", "StoppedBy", "ToolOutcome", "run_result"]

#: Why a run ended: the model answered; a call waits for a decision; the same call gave the same result three times;
#: ``after_step`` said so; only one step was asked for, and there is more to do; a limit was reached. Or it has not
#: ended: it failed, was left, or is still going on.
StoppedBy: TypeAlias = Literal["answer", "pending", "repeat", "after_step", "step", "max_steps", "budget", "unfinished"]


@define
class ToolOutcome:
    """One tool call that ran."""

    call: ToolCall
    #: What the model was told.
    result: ToolResult
    #: The exception, if the tool failed.
    error: BaseException | None = field(default=None, repr=lambda error: type(error).__name__ if error else "None")
    #: Seconds it took.
    duration: float = 0.0
    #: Whether it ran out of time; its thread is then perhaps still running.
    timed_out: bool = False


@define
class Step:
    """One answer of the model, and the calls it led to."""

    #: From 1; 0 for the calls of an earlier run.
    number: int
    message: Message
    finish_reason: FinishReason
    usage: Usage
    model: str | None = None
    request_id: str | None = None
    outcomes: list[ToolOutcome] = field(factory=list)


@define
class RunResult(ChatResponse[T_co], Generic[T_co]):
    """The last answer of a run, with the whole run: usage and cost are those of all its requests."""

    #: The whole transcript; a run can be continued with it, also from its JSON (:func:`dump_conversation`).
    messages: list[Message] = field(factory=list, kw_only=True, repr=False)
    #: What this run did, oldest first.
    steps: list[Step] = field(factory=list, kw_only=True, repr=False)
    #: Calls that wait for a decision, or for an answer from elsewhere.
    pending: tuple[ToolCall, ...] = field(default=(), kw_only=True)
    stopped_by: StoppedBy = field(default="answer", kw_only=True)
    #: Calls among :attr:`pending` that had been started before, with an unknown outcome.
    unknown_outcome: tuple[ToolCall, ...] = field(default=(), kw_only=True)
    _given: int = field(default=0, kw_only=True, repr=False)

    @property
    def new_messages(self) -> list[Message]:
        """The messages that this run added."""
        return self.messages[self._given :]

    @property
    def done(self) -> bool:
        """Whether the model has answered, so that there is nothing left to do."""
        return self.stopped_by == "answer"

    def __getstate__(self) -> dict[str, Any]:
        state = {name: getattr(self, name) for name in _FIELDS}
        return state | {"_usage": self.usage, "headers": dict(self.headers), "_prices": None}


_FIELDS = tuple(one.name for one in fields(RunResult))
_OF_ANSWER = tuple((one.alias or one.name, one.name) for one in fields(ChatResponse))


def run_result(
    reply: ChatResponse[Any] | None,
    *,
    messages: list[Message],
    steps: list[Step],
    pending: tuple[ToolCall, ...],
    stopped_by: StoppedBy,
    given: int,
    usage: Usage,
    outcome: Outcome | None,
    typed: bool,
    unknown_outcome: tuple[ToolCall, ...] = (),
) -> RunResult[Any]:
    """The result of a run, made of its last answer."""
    if reply is None:  # it only ran calls
        last = next((one for one in reversed(messages) if one.role == "assistant"), Message("assistant", ""))
        reply = ChatResponse(last, "tool_calls" if last.tool_calls else "stop" if stopped_by == "answer" else "error")
    known: dict[str, Any] = {alias: getattr(reply, name) for alias, name in _OF_ANSWER}
    known |= {"usage": usage, "outcome": outcome, "prices": None}  # the usage knows its cost
    if typed and stopped_by != "answer":
        names = ", ".join(call.name for call in pending)
        said = f"{names} waits for a decision" if pending else "the run has not ended"
        if stopped_by not in ("pending", "unfinished"):
            said = f"the run was stopped ({stopped_by})"
        error = PendingToolCallsError(
            f"There is no result yet: {said}.", calls=pending or reply.tool_calls, response=None
        )
        known["outcome"] = Outcome(None, error)
    return RunResult(
        **known,
        messages=messages,
        steps=steps,
        pending=pending,
        stopped_by=stopped_by,
        unknown_outcome=unknown_outcome,
        given=given,
    )
