"""The run: ask the model, call the functions it wants, and ask again, until it answers or somebody must decide.

The transcript is the whole state. One generator serves ``run``, which reads it to its end, ``step``, which stops after
one action, and ``stream_run``, which yields what happens.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import Any, NoReturn

from attrs import evolve

from provider_kit.engine.arguments import check_cancel
from provider_kit.errors import (
    BudgetExceededError,
    DeadlineExceededError,
    MaxStepsExceededError,
    ProviderKitError,
    StreamError,
    StructuredOutputError,
)
from provider_kit.model.cancellation import CancelToken
from provider_kit.model.chat import ChatResponse, Outcome, lost_usage
from provider_kit.model.conversation import with_distinct_ids
from provider_kit.model.inputs import open_conversation
from provider_kit.model.messages import Message, ToolCall
from provider_kit.model.tools import Tool
from provider_kit.model.usage import Usage
from provider_kit.structured.output import OutputSpec, correction, take_output
from provider_kit.structured.verbs import Asking, StreamedAnswer
from provider_kit.tools.actions import Action, check_decisions, next_action
from provider_kit.tools.budget import Spending, current_spending
from provider_kit.tools.decisions import Decision
from provider_kit.tools.execution import Executor, UnknownOutcome
from provider_kit.tools.function import tools_of
from provider_kit.tools.repeats import Repeats
from provider_kit.tools.result import RunResult, Step, StoppedBy, ToolOutcome, run_result
from provider_kit.tools.run_events import (
    RunEvent,
    RunReset,
    StepEnded,
    TextDelta,
    ThinkingDelta,
    ToolCallProgress,
    ToolFinished,
    ToolProgress,
    ToolStarted,
)
from provider_kit.tools.settings import StepPlan, take_settings
from provider_kit.tools.tool_events import tool_events

__all__ = ["Run"]

#: How often a step is asked for again whose stream broke off.
_STREAM_RETRIES = 1
#: Seconds by which two readings of a clock may differ that mean the same moment.
_CLOCK_STEP = 0.02


class Run:
    """One run.

    Args:
        asking: The verbs, in one world.
        messages: What the user gave.
        output_type: The type of the result.
        options: Options of the run and of its requests.
        live: Whether its events are wanted.
        check: Whether typed answers are checked here.
    """

    def __init__(
        self,
        asking: Asking,
        messages: Any,
        output_type: Any,
        options: dict[str, Any],
        *,
        live: bool = False,
        check: bool = True,
    ) -> None:
        self.asking = asking
        self.live = live
        self.spec: OutputSpec | None = take_output(output_type, options, check=check)
        self.settings = take_settings(options)
        decisions = options.pop("decisions", None)
        self._token: CancelToken | None = None
        if live:
            self._token = options["cancel"] = CancelToken(check_cancel(options.get("cancel")))
        tools = tools_of(options.pop("tools", None) or ())
        self.tools: dict[str, Tool] = {tool.name: tool for tool in tools if tool.native is None}
        self.all_tools = tools
        self.messages = open_conversation(messages, options)
        self.given = len(self.messages)
        self._ids = {call.id for one in self.messages if type(one.content) is list for call in one.tool_calls}
        self.decisions: dict[str, Decision] = check_decisions(decisions, self.messages, self.tools)
        self.options = options
        now = asking.runtime.now()
        self.spending = Spending(self.settings.budget, now, current_spending.get())
        self.steps: list[Step] = []
        self.usage: Usage | None = None
        self.reply: ChatResponse[Any] | None = None
        self.outcome: Outcome | None = None
        self.unknown: list[ToolCall] = []
        self.pending: tuple[ToolCall, ...] = ()
        self.stopped_by: StoppedBy = "unfinished"
        self._repeats = Repeats()
        self.asked = 0
        #: Awaited whenever the transcript has grown.
        self.on_growth: Callable[[], Awaitable[object]] | None = None
        #: Whether a live run yields the chunks of an answer themselves, in place of what is in them.
        self.as_chunks = False
        #: Whether a typed answer of the wrong form is asked for again; and what that added to the transcript.
        self.asks_again = True
        self.corrections: list[Message] = []

    # -------------------------------------------------------------------------------------------- what is public

    async def to_end(self) -> RunResult[Any]:
        """Run to the end, or until somebody must decide."""
        async for _ in self.events():
            pass
        return self.result()

    async def one_step(self) -> RunResult[Any]:
        """Do the next thing only: ask, or run the calls that can run."""
        self.asks_again = False  # nothing is remembered between two steps
        action = next_action(self.messages, self.tools, self.decisions)
        try:
            if action.kind == "wait":
                self.pending, self.stopped_by = action.waiting, "pending"
            elif action.kind == "call":
                async for _ in self._call(action):
                    pass
            elif action.kind == "ask":
                async for _ in self._ask():
                    pass
        except BudgetExceededError as error:
            self.stopped_by = "budget"
            if error.result is not None:
                raise self._of_this_run(error) from error
            error.result = self.result()
            raise
        following = next_action(self.messages, self.tools, {})
        if self.unknown or following.kind == "wait":
            self.pending, self.stopped_by = (*following.waiting, *self.unknown), "pending"
        elif self.stopped_by == "unfinished":
            self.stopped_by = "answer" if following.kind == "done" else "step"
        return self.result()

    def interrupt(self) -> None:
        """End the request of a streamed run that another thread reads, and any that would follow."""
        if self._token is not None:
            self._token.cancel()

    def result(self) -> RunResult[Any]:
        """What was reached."""
        return run_result(
            self.reply,
            messages=self.messages,
            steps=self.steps,
            pending=self.pending,
            stopped_by=self.stopped_by,
            given=self.given,
            usage=self.usage or Usage(),
            outcome=self.outcome,
            typed=self.spec is not None,
            unknown_outcome=tuple(self.unknown),
        )

    async def events(self) -> AsyncGenerator[RunEvent, None]:
        """Run, and yield what happens.

        Raises:
            MaxStepsExceededError: The model wants more steps than allowed.
            BudgetExceededError: The budget is used up.
        """
        try:
            while True:
                action = next_action(self.messages, self.tools, self.decisions)
                if action.kind == "done" and self.asked:
                    self.stopped_by = "answer"
                    return
                if action.kind == "wait" or (action.kind == "call" and self.unknown):
                    self.pending, self.stopped_by = (*action.waiting, *self.unknown), "pending"
                    return
                if action.kind == "call":
                    if self.asked >= self.settings.max_steps and not self._decided(action):
                        self._stop_steps()
                    async with aclosing(self._call(action)) as events:
                        async for event in events:
                            yield event
                    if self.stopped_by != "unfinished":
                        return
                    continue
                async with aclosing(self._ask()) as events:
                    async for event in events:
                        yield event
                if self.stopped_by != "unfinished":
                    return
        except BudgetExceededError as error:
            self.stopped_by = "budget"
            if error.result is None:
                error.result = self.result()
                raise
            # It is that of a run inside a tool; the caller of this one goes on with its own messages.
            raise self._of_this_run(error) from error

    def _of_this_run(self, error: BudgetExceededError) -> BudgetExceededError:
        made = BudgetExceededError(error.message, limit=error.limit, result=self.result())
        made.spending = error.spending
        return made

    def _decided(self, action: Action) -> bool:
        return all(call.id in self.decisions for call in action.calls)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """What a failed request has used is counted; one that took the rest of the time of a budget ends the run by
        that budget."""
        try:
            yield
        except ProviderKitError as error:
            self._add_lost(error)
            if isinstance(error, DeadlineExceededError):
                self.spending.check_time(self.asking.runtime.now() + _CLOCK_STEP)
            raise

    def _add_lost(self, error: ProviderKitError) -> None:
        """Count what a failed request has used, as far as it is known."""
        lost = lost_usage(error)
        if lost is not None:
            self.usage = lost if self.usage is None else self.usage + lost
            self.spending.add_lost(lost)

    def _stop_steps(self) -> NoReturn:
        self.stopped_by = "max_steps"
        most = self.settings.max_steps
        raise MaxStepsExceededError(
            f"The run was not finished after {most} step{'s' if most > 1 else ''}.",
            result=self.result(),
            provider=self.reply.provider if self.reply is not None else None,
            model=self.reply.model if self.reply is not None else None,
        )

    # -------------------------------------------------------------------------------------------- asking

    async def _ask(self) -> AsyncGenerator[RunEvent, None]:
        """Send the conversation; the answer becomes part of it."""
        if self.asked >= self.settings.max_steps:
            self._stop_steps()
        self.asked += 1
        number = self.asked
        now = self.asking.runtime.now()
        self.spending.check(now)
        plan = StepPlan(number, self.messages, self.all_tools, self.options, self.usage or Usage())
        if self.settings.before_step is not None or number > 1 or self.spending.seconds_left(now) is not None:
            plan.options = self._options_of(number, now)
        if self.settings.before_step is not None:
            plan.messages, plan.tools = list(self.messages), list(self.all_tools)
            said = self.settings.before_step(plan)
            if hasattr(said, "__await__"):
                await said
            plan.tools = tools_of(plan.tools or ())
            self.tools |= {tool.name: tool for tool in plan.tools if tool.native is None}
        options = {**plan.options, "tools": plan.tools} if plan.tools else plan.options
        if self.live:
            with self._counted():
                async with aclosing(self._stream(plan, options)) as events:
                    async for event in events:
                        yield event
            reply = self.reply
            assert reply is not None
        else:
            with self._counted():
                reply = self.reply = await self.asking.chat(plan.messages, options)
        usage = reply.usage
        self.usage = usage if self.usage is None else self.usage + usage
        message = reply.message
        if reply.finish_reason == "length" and message.tool_calls and not message.incomplete:
            message = evolve(message, incomplete=True)
        if type(message.content) is list and self._has_known_ids(message):
            message = with_distinct_ids([*self.messages, message])[-1]
        if message is not reply.message:
            reply = self.reply = evolve(reply, message=message)
        self.messages.append(message)
        if self.on_growth is not None:
            await self.on_growth()
        step = Step(number, message, reply.finish_reason, usage, reply.model, reply.request_id)
        self.steps.append(step)
        self.spending.add_step(usage)
        calls = message.tool_calls if type(message.content) is not str else None
        if self.live:
            yield StepEnded(reply, number)
        if calls:
            return
        if reply.finish_reason == "pause":  # a tool that the provider runs goes on: the conversation is sent back
            async with aclosing(self._ask()) as events:
                async for event in events:
                    yield event
            return
        if self.spec is not None:
            async with aclosing(self._settle(self.spec, reply, number)) as events:
                async for event in events:
                    yield event
        await self._after(step)

    def _has_known_ids(self, message: Message) -> bool:
        """Whether a call has the id of an earlier one, as some servers write them."""
        found = False
        for call in message.tool_calls:
            found = found or call.id in self._ids
            self._ids.add(call.id)
        return found

    def _options_of(self, number: int, now: float) -> dict[str, Any]:
        options = dict(self.options)
        if number > 1 and options.get("tool_choice") not in (None, "auto", "none"):
            options["tool_choice"] = "auto"  # a forced choice would never end
        left = self.spending.seconds_left(now)
        if left is not None:
            given = options.get("total_timeout")
            options["total_timeout"] = left if given is None else min(left, given)
        return options

    async def _stream(self, plan: StepPlan, options: Mapping[str, Any]) -> AsyncGenerator[RunEvent, None]:
        """Read a step's answer as a stream; one that breaks off is asked for again, after a reset."""
        retries = 0 if self.as_chunks else _STREAM_RETRIES  # a reader of chunks would not see the reset
        for attempt in range(retries + 1):
            answer = StreamedAnswer()
            chunks = self.asking.stream(plan.messages, options, answer)
            try:
                async with aclosing(self._deltas(chunks, plan.number)) as events:
                    async for event in events:
                        yield event
            except StreamError as error:
                if attempt == retries:
                    raise
                self._add_lost(error)
                yield RunReset(plan.number, error)
                continue
            finally:
                await chunks.aclose()
                self.reply = answer.response or self.reply
            return

    async def _deltas(self, chunks: Any, number: int) -> AsyncGenerator[Any, None]:
        arguments: dict[int, list[Any]] = {}
        async for chunk in chunks:
            if self.as_chunks:
                yield chunk
                continue
            if chunk.thinking:
                yield ThinkingDelta(chunk.thinking, number, chunk)
            if chunk.text:
                yield TextDelta(chunk.text, number, chunk)
            for delta in chunk.tool_calls or ():
                known = arguments.setdefault(delta.index, [None, None, ""])
                known[0], known[1] = delta.id or known[0], delta.name or known[1]
                known[2] += delta.arguments
                yield ToolCallProgress(delta.index, known[0], known[1], known[2], number)

    async def _settle(self, spec: OutputSpec, reply: ChatResponse[Any], number: int) -> AsyncGenerator[RunEvent, None]:
        """Read the last answer as a value; if its form is wrong, the model is told, and asked again."""
        earlier = self.outcome.outputs if self.outcome is not None else ()
        outcome = self.outcome = await spec.outcome(reply, earlier)
        error = outcome.error
        if not isinstance(error, StructuredOutputError) or error.reason not in ("invalid", "empty"):
            return
        outputs = outcome.outputs
        if len(outputs) > spec.retries or (len(outputs) > 1 and outputs[-2].problems == outputs[-1].problems):
            return
        if self.asked >= self.settings.max_steps or not self.asks_again:
            return
        if self.live:
            yield RunReset(number, error)
        if not reply.text.strip():
            self.messages.pop()  # an empty turn would be refused
        asked = Message("user", correction(error.problems))
        self.corrections += [reply.message, asked]
        self.messages.append(asked)

    # -------------------------------------------------------------------------------------------- calling

    async def _call(self, action: Action) -> AsyncGenerator[RunEvent, None]:
        """Run the calls that can run; their results become part of the conversation, in the order of the calls."""
        if not self.steps:  # the calls of an earlier run
            last = next(one for one in reversed(self.messages) if one.role == "assistant")
            self.steps.append(Step(0, last, "tool_calls", Usage(), last.model))
        number = self.asked
        self.spending.add_calls(len(action.calls), self.asking.runtime.now())
        executor = Executor(
            self.asking.runtime,
            self.tools,
            self.messages,
            number,
            self.usage or Usage(),
            self.spending,
            self.settings.deps,
            self.settings.tool_timeout,
            self.settings.on_tool_error,
            self.settings.ledger,
            self.decisions,
            tool_events(self.asking, self.reply),
        )
        done = executor.finished
        if self.live:
            for call in action.calls:
                yield ToolStarted(call, number)
        outcomes = executor.run(action.calls, limit=self.settings.max_parallel_tools, live=self.live)
        try:
            async for item in outcomes:
                if isinstance(item, ToolOutcome):
                    if self.live:
                        decision = self.decisions.get(item.call.id)
                        denied = decision is not None and decision.kind == "deny"
                        yield ToolFinished(item.call, item.result, number, item.error, denied)
                elif isinstance(item, UnknownOutcome):
                    self.unknown.append(item.args[0])
                elif isinstance(item, ToolProgress):
                    yield item
        finally:
            await outcomes.aclose()
            # What has run is kept, even if another call ends the run.
            for call in action.calls:
                if call.id in done:
                    self.messages.append(Message("tool", [done[call.id].result]))
                    self.decisions.pop(call.id, None)
            self.steps[-1].outcomes.extend(done[call.id] for call in action.calls if call.id in done)
        if self.on_growth is not None and done:
            await self.on_growth()
        if any(self._repeats.add(outcome) for outcome in done.values()):
            self.stopped_by = "repeat"
        if not action.waiting and not self.unknown:
            await self._after(self.steps[-1])

    async def _after(self, step: Step) -> None:
        if self.settings.after_step is None:
            return
        said = self.settings.after_step(step)
        if hasattr(said, "__await__"):
            said = await said
        if said is False and next_action(self.messages, self.tools, {}).kind != "done":
            self.stopped_by = "after_step"
