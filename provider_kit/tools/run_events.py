"""What ``stream_run`` yields."""

from __future__ import annotations

from typing import Any, TypeAlias

from attrs import define, field

from provider_kit.model.chat import ChatResponse, Chunk
from provider_kit.model.messages import ToolCall, ToolResult

__all__ = [
    "RunEvent",
    "RunReset",
    "StepEnded",
    "TextDelta",
    "ThinkingDelta",
    "ToolCallProgress",
    "ToolFinished",
    "ToolProgress",
    "ToolStarted",
]


@define
class TextDelta:
    """A piece of the model's text."""

    text: str
    #: Number of the step, from 1.
    step: int
    #: The chunk it came with.
    chunk: Chunk = field(repr=False, eq=False)


@define
class ThinkingDelta:
    """A piece of the model's reasoning."""

    text: str
    step: int
    chunk: Chunk = field(repr=False, eq=False)


@define
class ToolCallProgress:
    """A tool call that the model is writing; the arguments grow."""

    #: Position of the call in the answer.
    index: int
    id: str | None
    name: str | None
    #: The JSON text of the arguments so far.
    arguments: str
    step: int


@define
class ToolStarted:
    """A tool call is about to run."""

    call: ToolCall
    step: int


@define
class ToolProgress:
    """Progress that a tool reported, or yielded before its result."""

    call: ToolCall
    value: Any
    step: int


@define
class ToolFinished:
    """A tool call has its result."""

    call: ToolCall
    result: ToolResult
    step: int
    #: The exception, if the tool failed; the model was not told its text.
    error: BaseException | None = None
    #: Whether it did not run because a person denied it.
    denied: bool = False


@define
class StepEnded:
    """The model's answer of a step is complete."""

    response: ChatResponse[Any]
    step: int


@define
class RunReset:
    """The events of this step so far are void: the answer broke off, or was refused, and is asked for again."""

    step: int
    #: Why.
    error: Exception


RunEvent: TypeAlias = (
    TextDelta | ThinkingDelta | ToolCallProgress | ToolStarted | ToolProgress | ToolFinished | StepEnded | RunReset
)
