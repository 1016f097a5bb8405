"""The keyword arguments of runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provider_kit.model.inputs import OutputOptions
from provider_kit.tools.budget import Budget
from provider_kit.tools.decisions import Decision
from provider_kit.tools.execution import OnToolError
from provider_kit.tools.ledger import Ledger
from provider_kit.tools.settings import AfterStep, BeforeStep

__all__ = ["RunOptions"]


class RunOptions(OutputOptions, total=False):
    """Keyword arguments of ``run``, ``arun``, ``stream_run``, ``astream_run``, ``step`` and ``astep``."""

    #: What the tools need; a parameter annotated ``ToolContext`` has it as ``.deps``.
    deps: Any
    #: Most requests to the model; default: 10.
    max_steps: int
    #: Limits of steps, calls, tokens, cost and seconds.
    budget: Budget
    #: Decisions about calls that wait, by the id of the call.
    decisions: Mapping[str, Decision]
    #: Called with a :class:`StepPlan` before each request; may change it.
    before_step: BeforeStep
    #: Called with each :class:`Step` after its calls; ``False`` ends the run.
    after_step: AfterStep
    #: Called with an exception of a tool and its call; returns what the model is told, or raises.
    on_tool_error: OnToolError
    #: Seconds a tool may take; default: no limit.
    tool_timeout: float
    #: Calls that run at once; default: 8.
    max_parallel_tools: int
    #: Records calls before they run, see :class:`SQLiteLedger`.
    ledger: Ledger
