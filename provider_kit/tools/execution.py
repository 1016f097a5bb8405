"""Runs the calls of one step: in parallel, within limits of time, each exception a result."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

from attrs import define, evolve, field

from provider_kit.errors import BudgetExceededError, CallCancelledError
from provider_kit.model.json_text import loads
from provider_kit.model.messages import Message, ToolCall, ToolResult
from provider_kit.model.tools import Tool
from provider_kit.model.usage import Usage
from provider_kit.schema.typed import SchemaError
from provider_kit.tools.actions import edited
from provider_kit.tools.budget import Spending, current_spending
from provider_kit.tools.context import ToolContext
from provider_kit.tools.decisions import Decision
from provider_kit.tools.function import FunctionTool
from provider_kit.tools.ledger import Ledger, call_key
from provider_kit.tools.result import ToolOutcome
from provider_kit.tools.results import denied_result, error_result, result_of, unknown_tool
from provider_kit.tools.run_events import ToolProgress
from provider_kit.tools.tool_events import ToolEvents
from provider_kit.transports.base import Begun, Runtime
from provider_kit.transports.user_functions import call_user_function

__all__ = ["Executor", "OnToolError", "UnknownOutcome"]

#: Says what the model is told of an exception: a text, or ``None`` for the usual one; or raises, which ends the run.
OnToolError: TypeAlias = Callable[[Exception, ToolCall], Any]


class UnknownOutcome(Exception):
    """A call was started before, by a process that did not live to tell its result."""


@define
class Executor:
    """Runs calls with the circumstances of one step."""

    runtime: Runtime
    tools: Mapping[str, Tool]
    messages: Sequence[Message]
    step: int
    usage: Usage
    spending: Spending
    deps: Any = None
    timeout: float | None = None
    on_error: OnToolError | None = None
    ledger: Ledger | None = None
    decisions: Mapping[str, Decision] = field(factory=dict)
    #: Where calls are reported; ``None`` without a listener.
    events: ToolEvents | None = None
    #: The outcomes of calls that have ended, by id, also those the reader has not taken.
    finished: dict[str, ToolOutcome] = field(factory=dict)

    async def run(
        self, calls: Sequence[ToolCall], *, limit: int, live: bool
    ) -> AsyncGenerator[ToolOutcome | ToolProgress | UnknownOutcome, None]:
        """Run calls; yield progress as it comes, and each outcome as it ends.

        Args:
            calls: What to run.
            limit: Most calls at once.
            live: Whether progress is wanted as it comes.
        """
        if limit == 1 or (len(calls) == 1 and not live):  # in the caller's own thread; progress comes with the result
            progress: list[Any] = []
            for call in calls:
                outcome = self._noted(await self._run_one(call, progress.append if live else None))
                for value in progress:
                    yield ToolProgress(call, value, self.step)
                progress.clear()
                yield outcome
            return
        items: deque[Any] = deque()
        waiter = self.runtime.wakeup()
        idle = False

        def put(item: Any) -> None:
            nonlocal idle
            items.append(item)
            if idle:  # set before the reader looks a last time: either it sees the item, or this sees that it waits
                idle = False  # once for all that end now; every change of it here is followed by a wake
                waiter.wake()

        async def run_into(call: ToolCall) -> None:
            try:
                put(self._noted(await self._run_one(call, lambda value: put(ToolProgress(call, value, self.step)))))
            except BaseException as error:  # raised again by the reader
                put(error)
                if not isinstance(error, Exception):
                    raise

        waiting = deque(calls)
        running: list[Begun] = []
        in_flight = 0
        exceeded: BudgetExceededError | None = None
        try:
            while waiting or in_flight:
                while waiting and in_flight < limit:
                    running.append(self.runtime.begin(partial(run_into, waiting.popleft())))
                    in_flight += 1
                while not items:
                    idle = True
                    if not items:
                        await waiter.wait(None)
                idle = False
                item = items.popleft()
                in_flight -= not isinstance(item, ToolProgress)
                if isinstance(item, BudgetExceededError):  # what runs already ends, so that its result is known
                    exceeded = exceeded or item
                    waiting.clear()
                elif isinstance(item, BaseException) and not isinstance(item, UnknownOutcome):
                    raise item
                else:
                    yield item
            if exceeded is not None:
                raise exceeded
        finally:
            for one in running:
                await one.aclose()

    def _noted(self, outcome: Any) -> Any:
        if isinstance(outcome, ToolOutcome):
            self.finished[outcome.call.id] = outcome
        return outcome

    async def _run_one(self, call: ToolCall, report: Callable[[Any], object] | None) -> Any:
        """The outcome of one call."""
        decision = self.decisions.get(call.id)
        key = ""
        if self.ledger is not None:
            key = call_key(call, self.messages)
            entry = await self.runtime.call_blocking(self.ledger.find, key)
            if entry is not None and entry.state == "finished" and entry.result is not None:
                return ToolOutcome(call, evolve(entry.result, tool_call_id=call.id))
            if entry is not None and decision is None:
                return UnknownOutcome(call)
            if entry is not None and decision is not None and decision.kind in ("approve", "edit"):
                await self.runtime.call_blocking(self.ledger.clear, key)
        outcome = await self._decided(call, decision, key, report)
        if self.ledger is not None and isinstance(outcome, ToolOutcome) and not outcome.timed_out:
            await self.runtime.call_blocking(self.ledger.finish, key, outcome.result)
        if self.events is not None and isinstance(outcome, ToolOutcome):
            denied = decision is not None and decision.kind == "deny"
            await self.events.ended(outcome, denied=denied, arguments=call.arguments_json)
        return outcome

    async def _decided(
        self, call: ToolCall, decision: Decision | None, key: str, report: Callable[[Any], object] | None
    ) -> Any:
        if decision is not None:
            if decision.kind == "deny":
                return ToolOutcome(call, denied_result(call, decision.value or ""))
            if decision.kind == "answer":
                return ToolOutcome(call, result_of(call, decision.value))
        tool = self.tools.get(call.name)
        if tool is None:
            return ToolOutcome(call, unknown_tool(call, list(self.tools)))
        assert isinstance(tool, FunctionTool)  # a decision about any other is an answer
        written = edited(call, decision) if decision is not None and decision.kind == "edit" else call
        started = self.runtime.now()
        try:
            arguments = self._arguments(tool, written)
        except SchemaError as error:
            return ToolOutcome(call, error_result(call, error), error.cause or error)
        if self.ledger is not None and not await self.runtime.call_blocking(self.ledger.start, key, written):
            return UnknownOutcome(call)
        return await self._invoke(tool, call, arguments, written is not call, started, report)

    def _arguments(self, tool: FunctionTool, call: ToolCall) -> dict[str, Any]:
        made = next((one for one in reversed(self.messages) if one.role == "assistant"), None)
        if made is not None and made.incomplete:
            try:
                loads(call.arguments_json)
            except ValueError:
                raise SchemaError(["the answer was cut off before they were complete; write less at once"]) from None
        return tool.read_arguments(call)

    async def _invoke(
        self,
        tool: FunctionTool,
        call: ToolCall,
        arguments: dict[str, Any],
        was_edited: bool,
        started: float,
        report: Callable[[Any], object] | None,
    ) -> ToolOutcome:
        context: ToolContext[Any] = ToolContext(self.deps, call.id, self.step, self.messages, self.usage, report)
        seconds = tool.timeout if tool.timeout is not None else self.timeout
        left = self.spending.seconds_left(started)
        if left is not None:
            seconds = left if seconds is None else min(seconds, left)
        token = current_spending.set(self.spending)
        error: BaseException | None = None
        timed_out = False
        try:
            value = await call_user_function(
                self.runtime.kind, tool.invoke, (arguments, context), tool.is_async, tool.is_generator, report, seconds
            )
            result = result_of(call, value)
        except CallCancelledError:
            raise  # the run around it, too
        except BudgetExceededError as exceeded:
            if self.spending.includes(exceeded):
                raise
            error, result = exceeded, error_result(call, exceeded)  # the budget of a run inside the tool alone
        except TimeoutError as late:
            error, result = late, error_result(call, late)
            timed_out = seconds is not None and self.runtime.now() - started >= seconds
        except Exception as failure:  # a tool may raise anything
            error, result = failure, error_result(call, failure)
        finally:
            current_spending.reset(token)
        if error is not None and self.on_error is not None and isinstance(error, Exception):
            result = await self._told(error, call, result)
        if was_edited and isinstance(result.content, str) and not result.is_error:
            result = evolve(result, content=f"{result.content}\n[It ran with arguments edited by the user.]")
        return ToolOutcome(call, result, error, self.runtime.now() - started, timed_out)

    async def _told(self, error: Exception, call: ToolCall, usual: ToolResult) -> ToolResult:
        assert self.on_error is not None
        said = self.on_error(error, call)
        if hasattr(said, "__await__"):
            said = await said
        return usual if said is None else evolve(result_of(call, said), is_error=True)
