"""The options of a run that are not options of its requests."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any, TypeAlias

from attrs import define, field, frozen

from provider_kit.errors import InvalidRequestError
from provider_kit.model.messages import Message
from provider_kit.model.tools import Tool
from provider_kit.model.usage import Usage
from provider_kit.tools.budget import Budget
from provider_kit.tools.execution import OnToolError
from provider_kit.tools.ledger import Ledger
from provider_kit.tools.result import Step

__all__ = ["AfterStep", "BeforeStep", "RunSettings", "StepPlan", "take_settings"]

DEFAULT_MAX_STEPS = 10
#: Calls of one step that run at once.
DEFAULT_PARALLEL_TOOLS = 8


@define
class StepPlan:
    """The request of one step, before it is sent; ``before_step`` may change it. The transcript stays as it is."""

    #: From 1.
    number: int
    messages: list[Message] = field(repr=lambda messages: f"<{len(messages)} messages>")
    tools: list[Tool]
    #: Further options of the request: ``model``, ``temperature``, ``tool_choice`` and so on.
    options: dict[str, Any]
    #: Tokens used so far.
    usage: Usage


#: Called before each request of a run; it may change the plan. Sync or async.
BeforeStep: TypeAlias = Callable[[StepPlan], Any]
#: Called after each step, with its calls; ``False`` ends the run. Sync or async.
AfterStep: TypeAlias = Callable[[Step], Any]


@frozen
class RunSettings:
    """What a run was told about itself."""

    deps: Any
    max_steps: int
    max_parallel_tools: int
    tool_timeout: float | None
    budget: Budget | None
    ledger: Ledger | None
    before_step: BeforeStep | None
    after_step: AfterStep | None
    on_tool_error: OnToolError | None


def take_settings(options: dict[str, Any]) -> RunSettings:
    """Take the settings out of options, whose rest belongs to the requests.

    Raises:
        InvalidRequestError: One of them has the wrong type or size.
    """
    made = RunSettings(
        options.pop("deps", None),
        _take(options, "max_steps", (int,), DEFAULT_MAX_STEPS, "a whole number"),
        _take(options, "max_parallel_tools", (int,), DEFAULT_PARALLEL_TOOLS, "a whole number"),
        _take(options, "tool_timeout", (int, float), None, "a number of seconds"),
        _take(options, "budget", (Budget,), None, "a Budget, e.g. Budget(tokens=10_000)"),
        options.pop("ledger", None),
        _callable(options, "before_step"),
        _callable(options, "after_step"),
        _callable(options, "on_tool_error"),
    )
    for name in ("max_steps", "max_parallel_tools"):
        if getattr(made, name) < 1:
            raise InvalidRequestError(f"{name} must be at least 1, not {getattr(made, name)}.")
    if made.ledger is not None and not callable(getattr(made.ledger, "start", None)):
        raise InvalidRequestError(
            f"ledger must be a ledger, not {made.ledger!r}.", hint="ledger=SQLiteLedger('calls.db', scope='job')"
        )
    if made.tool_timeout is not None and not (isfinite(made.tool_timeout) and made.tool_timeout > 0):
        raise InvalidRequestError(f"tool_timeout must be a number of seconds above 0, not {made.tool_timeout!r}.")
    return made


def _take(options: dict[str, Any], name: str, kinds: tuple[type, ...], default: Any, what: str) -> Any:
    value = options.pop(name, None)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, kinds):
        raise InvalidRequestError(f"{name} must be {what}, not {value!r}.")
    return value


def _callable(options: dict[str, Any], name: str) -> Any:
    value = options.pop(name, None)
    if value is not None and not callable(value):
        raise InvalidRequestError(f"{name} must be a function, not {value!r}.")
    return value
