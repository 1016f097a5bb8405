"""One turn of a conversation: what is sent, and what is kept of it, also when it fails or breaks off."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from attrs import define, evolve, field

from provider_kit.catalog.suggest import OF_THE_MODEL, suggested_models
from provider_kit.conversations.checks import pending_tool_calls
from provider_kit.conversations.document import ConversationState, read_document, write_document
from provider_kit.conversations.stores import ConversationStore, load_document, save_document
from provider_kit.conversations.truncate import estimated_tokens, split_to_fit
from provider_kit.engine.arguments import check_cancel
from provider_kit.errors import (
    APIError,
    ConversationChangedError,
    InvalidRequestError,
    PendingToolCallsError,
    ProviderKitError,
    StreamError,
)
from provider_kit.model.cancellation import CancelToken
from provider_kit.model.chat import ChatResponse
from provider_kit.model.conversation import attach_files
from provider_kit.model.inputs import open_conversation
from provider_kit.model.json_text import dumps_text, loads
from provider_kit.model.messages import Message
from provider_kit.model.models import Model
from provider_kit.policies.concurrency import Slots
from provider_kit.tools.budget import Spending, current_spending
from provider_kit.tools.decisions import Decision
from provider_kit.tools.loop import Run
from provider_kit.tools.result import RunResult
from provider_kit.tools.settings import StepPlan
from provider_kit.transports.base import Runtime

#: The revision of a state that is older than the stored one.
_UNKNOWN = -1

__all__ = ["Core", "MakeRun", "Summarise", "Turn", "TurnPlan"]

#: Makes the run of a turn: of messages, an output type, options, and whether it is streamed.
MakeRun: TypeAlias = Callable[[Any, Any, dict[str, Any], bool], Run]

#: Makes a summary of messages that are left out: ``summarise(messages, earlier_summary) -> str``. Sync or async.
Summarise: TypeAlias = Callable[[list[Message], str | None], str | Awaitable[str]]


@define(eq=False)
class Core:
    """A conversation without its face: its state, its options, and the queue of its turns."""

    state: ConversationState
    options: dict[str, Any]
    store: ConversationStore | None = None
    #: Tokens that are sent at most; older turns are left out of the request, not of the history.
    max_input_tokens: int | None = None
    summarise: Summarise | None = None
    #: Whether the stored document was looked for.
    loaded: bool = False
    turns: Slots = field(factory=lambda: Slots(1))
    #: The thread or task whose turn it is, and what its run spends.
    holder: object = None
    spending: Spending | None = None
    #: A document whose writing was given up, and may have happened all the same.
    attempted: dict[str, Any] | None = None
    #: Whether the state is to take the place of what is stored.
    replaces: bool = False

    @asynccontextmanager
    async def exclusive(self, runtime: Runtime) -> AsyncGenerator[None, None]:
        """Wait until earlier turns have ended; first come, first served, across threads and event loops.

        Raises:
            InvalidRequestError: The earlier turn belongs to the caller itself, and does not end.
        """
        flow = runtime.flow()
        place = self.turns.take(runtime.is_loop_closed())
        try:
            if not place.granted:
                place.wakeup = runtime.wakeup()
                until = runtime.now() + _LONGEST_WAIT_FOR_ONESELF
                while not place.granted:
                    await place.wakeup.wait(min(1.0, max(0.01, until - runtime.now())))
                    self.turns.reclaim()
                    if not place.granted and runtime.now() >= until and self._is_held_by(flow):
                        raise InvalidRequestError(
                            "A turn of this conversation is still going on here, and would be waited for without end.",
                            hint="End it first: read its stream to the end, or close it; a tool must not say something "
                            "in the conversation it was called by.",
                        )
            self.holder = flow
            await self.load(runtime)
            yield
        finally:
            if place.granted:  # the task is not kept alive by its last turn
                self.holder = self.spending = None
            place.leave()

    def _is_held_by(self, flow: object) -> bool:
        """Whether the turn going on belongs to this thread or task, or to a tool it runs."""
        spending = current_spending.get()
        while spending is not None and spending is not self.spending:
            spending = spending.around
        return self.holder is flow or spending is not None

    async def load(self, runtime: Runtime) -> None:
        """Load what is stored, if it is not what is known."""
        if self.store is None:
            return
        assert self.state.id is not None
        found = await load_document(self.store, self.state.id, runtime)
        given = self.state
        if self.replaces or (found is not None and self.attempted is not None and _is_same(found, self.attempted)):
            given.revision = int(found.get("revision") or 0) if found is not None else 0
            self.replaces, self.attempted, self.loaded = False, None, True
            return
        self.attempted = None
        if found is not None and not (self.loaded and found.get("revision") == given.revision):
            stored = read_document(found)
            before = [] if self.loaded else given.messages
            system = given.system if given.system is not None and not self.loaded else stored.system
            self.state = evolve(stored, id=given.id, system=system, messages=[*stored.messages, *before])
        self.loaded = True

    def note_change(self, error: BaseException) -> None:
        """What is stored is not what is known: it is loaded again."""
        if isinstance(error, ConversationChangedError):
            self.state.revision = _UNKNOWN
            self.attempted = None

    async def save(self, runtime: Runtime) -> None:
        """Store the state, if there is a store.

        Raises:
            ConversationChangedError: Somebody else has saved it since it was loaded.
        """
        if self.store is not None:
            assert self.state.id is not None
            document = {**write_document(self.state), "revision": self.state.revision + 1}
            self.attempted = document
            await save_document(self.store, self.state.id, document, runtime)
            self.attempted = None
            self.state.revision += 1


class TurnPlan:
    """What somebody asks for who does not know the state of the conversation, as a page does: the turn asks it."""

    @property
    def again(self) -> bool:
        """Whether another answer to the last question is wanted."""
        return False

    def choose(self, waiting: Collection[str]) -> tuple[Message | None, Mapping[str, Decision]]:
        """The question, or decisions, given the ids of the calls that wait."""
        raise NotImplementedError


class Turn:
    """One turn.

    Args:
        core: The conversation.
        make_run: Makes a run of messages, an output type and options.
        runtime: The world of the caller.
        question: What the user says; ``None`` to go on with what is there; or a :class:`TurnPlan`.
        output_type: The type of the answer.
        options: Options of this turn.
        live: Whether it is streamed.
    """

    def __init__(
        self,
        core: Core,
        make_run: MakeRun,
        runtime: Runtime,
        question: Any,
        output_type: Any,
        options: dict[str, Any],
        *,
        live: bool = False,
    ) -> None:
        self.core = core
        self.make_run = make_run
        self.runtime = runtime
        self.plan = question if isinstance(question, TurnPlan) else None
        self.question = question if self.plan is None else None
        self.output_type = output_type
        self.options = {**core.options, **options}
        self.live = live
        self._token: CancelToken | None = None
        if live:
            self._token = self.options["cancel"] = CancelToken(check_cancel(self.options.get("cancel")))
        #: Lists the provider's models, within so many seconds.
        self.list_models: Callable[[float], Awaitable[list[Model]]] | None = None
        #: Takes back the last turn, for another one in its place.
        self.rewind: Callable[[ConversationState], object] | None = None
        #: Whether chunks are yielded in place of what is in them.
        self.as_chunks = False
        self.run: Run | None = None
        self.result: RunResult[Any] | None = None

    def interrupt(self) -> None:
        """End the request of a streamed turn that another thread takes, or is about to take."""
        if self._token is not None:
            self._token.cancel()

    async def to_end(self) -> RunResult[Any]:
        """Take the turn."""
        async for _ in self.events():
            pass
        assert self.result is not None
        return self.result

    async def events(self) -> AsyncGenerator[Any, None]:
        """Take the turn, and yield what happens."""
        runtime = self.runtime
        async with self.core.exclusive(runtime):
            before = evolve(
                self.core.state,
                messages=list(self.core.state.messages),
                branches=list(self.core.state.branches),
                decisions=dict(self.core.state.decisions),
            )
            try:
                if self.rewind is not None:
                    self.rewind(self.core.state)
                run = self.run = await self._begin(runtime)
            except BaseException as error:  # also a cancelled turn leaves the history as it was
                self._restore(before)
                self.core.note_change(error)
                raise
            events = run.events()
            try:
                async for event in events:
                    yield event
            except BaseException as error:  # also a reader that left: what was received is kept
                await events.aclose()
                await self._failed(run, before, error, runtime)
                raise
            self.result = run.result()
            self._keep(run)
            await self.core.save(runtime)

    async def _begin(self, runtime: Runtime) -> Run:
        """Prepare the run of this turn."""
        core, state = self.core, self.core.state
        options = dict(self.options)
        waiting = pending_tool_calls(state.messages)
        decisions = {**state.decisions, **(options.pop("decisions", None) or {})}
        if self.plan is not None and not self.plan.again:
            self.question, decided = self.plan.choose({call.id for call in waiting})
            decisions |= decided
        added = self._question(options)
        if added and waiting:
            names = ", ".join(dict.fromkeys(call.name for call in waiting))
            raise PendingToolCallsError(
                f"Tool calls wait for results ({names}); nothing further can be said before that.",
                calls=waiting,
                hint="approve(), deny(), answer() or edit() each of talk.pending_tool_calls, then resume(); or undo().",
            )
        if not added and not state.messages:
            raise InvalidRequestError("The conversation is empty.", hint="talk.say('Hello').")
        last = state.messages[-1] if state.messages else None
        if not added and last is not None and last.role == "assistant" and not waiting and not last.incomplete:
            raise InvalidRequestError("Nothing waits: the last question is answered.", hint="talk.say('…').")
        if state.system is not None and options.get("system") is None:
            options["system"] = state.system
        if state.id is not None:
            options.setdefault("cache_key", hashlib.sha256(state.id.encode()).hexdigest()[:32])
        inner = options.pop("before_step", None)
        options["before_step"] = self._plan_step(inner) if core.max_input_tokens is not None else inner
        options["decisions"] = decisions or None
        run = self.make_run([*state.messages, *added], self.output_type, options, self.live)
        run.as_chunks = self.as_chunks
        core.spending = run.spending
        if core.store is not None:

            async def stored() -> None:
                self._keep(run)
                await core.save(runtime)

            run.on_growth = stored
            await stored()  # before the request, so that of two turns over one state the second is refused
        return run

    def _question(self, options: dict[str, Any]) -> list[Message]:
        if self.question is None and options.get("prompt") is None and options.get("files") is None:
            return []
        if self.question is None and options.get("prompt") is None:
            return attach_files([], options.pop("files"))
        return open_conversation(self.question, options)

    def _plan_step(self, inner: Any) -> Any:
        async def plan_step(plan: StepPlan) -> None:
            plan.messages = await self._fitting(plan.messages)
            if inner is not None:
                said = inner(plan)
                if hasattr(said, "__await__"):
                    await said

        return plan_step

    async def _fitting(self, messages: Sequence[Message]) -> list[Message]:
        """What of the history is sent: the newest turns that fit, after a summary of the others."""
        core, state = self.core, self.core.state
        limit = core.max_input_tokens
        assert limit is not None
        system = state.system or self.options.get("system")
        room = max(0, limit - (estimated_tokens([Message("system", system)]) if system else 0))
        kept, left_out = split_to_fit(messages, room)
        if not left_out:
            return list(messages)
        if core.summarise is not None and len(left_out) > state.summarised:
            said: Any = core.summarise(list(left_out[state.summarised :]), state.summary)
            state.summary = await said if hasattr(said, "__await__") else said
            state.summarised = len(left_out)
        if state.summary is None:
            return kept
        first = next((n for n, one in enumerate(kept) if one.role not in ("system", "developer")), len(kept))
        note = Message("user", f"Summary of what was said before:\n{state.summary}")
        return [*kept[:first], note, *kept[first:]]

    async def _suggest(self, error: APIError) -> None:
        """Name other models in an error, if the provider lists them; that list is better than what was known before."""
        if self.list_models is None:
            return
        try:
            known = await self.list_models(_LIST_TIMEOUT)
        except ProviderKitError:  # the error that is raised matters, not this one
            return
        own = next((one for one in known if one.id == error.model), None)
        error.suggest(suggested_models(error, error.model, known, own=own))

    def _keep(self, run: Run) -> None:
        """Take over what the run has reached."""
        state = self.core.state
        state.messages = list(run.messages)
        if self.result is not None:  # what was asked again belongs to the turn, not to the conversation
            state.messages = [one for one in state.messages if all(one is not other for other in run.corrections)]
        self._keep_decisions(run)
        if self.result is not None and run.usage is not None:
            state.usage = run.usage if state.usage is None else state.usage + run.usage

    def _keep_decisions(self, run: Run) -> None:
        """Only those about calls that still wait."""
        state = self.core.state
        state.decisions = {call: one for call, one in state.decisions.items() if call in run.decisions}

    def _restore(self, before: ConversationState) -> None:
        """As if there had been no turn, apart from what it has cost."""
        state = self.core.state
        state.messages = before.messages
        if self.rewind is not None:
            state.branches, state.decisions = before.branches, before.decisions
            state.summary, state.summarised = before.summary, before.summarised

    async def _failed(self, run: Run, before: ConversationState, error: BaseException, runtime: Runtime) -> None:
        """What is kept of a turn that failed, or was left."""
        state = self.core.state
        messages = [one for one in run.messages if all(one is not other for other in run.corrections)]
        have_run = any(outcome for step in run.steps for outcome in step.outcomes)
        partial = _partial(run, error) if self.live else None
        if partial is not None and (partial.parts or partial.text):
            if all(one is not partial for one in (*messages, *run.corrections)):
                messages.append(evolve(partial, incomplete=True))
            elif partial is messages[-1] and partial.tool_calls:  # left before they have run
                messages[-1] = evolve(partial, incomplete=True)
            messages = _without_open_calls(messages)
        elif not have_run:
            messages = messages[: run.given]
        if len(messages) > run.given:  # tools that have run must not run again unseen
            state.messages = messages
            self._keep_decisions(run)
        else:
            self._restore(before)
            if self.rewind is None:
                self._keep_decisions(run)
        used = run.usage
        reply = run.reply
        if self.live and reply is not None and reply.message.incomplete and not isinstance(error, StreamError):
            left = reply.usage.at_least()  # its reader left
            used = left if used is None else used + left
        if used is not None:
            state.usage = used if state.usage is None else state.usage + used
        self.result = run.result()
        await self.core.save(runtime)
        if isinstance(error, OF_THE_MODEL):
            await self._suggest(error)


#: Seconds that a turn waits for another one of the same thread or task, as of a stream that was left a moment ago.
_LONGEST_WAIT_FOR_ONESELF = 5.0
#: Seconds that the list of models may take.
_LIST_TIMEOUT = 5.0


def _is_same(found: Mapping[str, Any], document: Mapping[str, Any]) -> bool:
    """Whether a stored document is one that was to be written."""
    return bool(loads(dumps_text(document)) == loads(dumps_text(dict(found))))


def _partial(run: Run, error: BaseException) -> Message | None:
    """The answer that broke off, as far as it was received."""
    found: Any = error.partial if isinstance(error, StreamError) else run.reply
    if not isinstance(found, ChatResponse):
        return None
    return found.message


def _without_open_calls(messages: list[Message]) -> list[Message]:
    """A broken-off answer whose tool calls may be incomplete keeps its text only."""
    last = messages[-1]
    if last.role == "assistant" and last.incomplete and last.tool_calls:
        rest = [part for part in last.parts if part not in last.tool_calls]
        return [*messages[:-1], evolve(last, content=rest)] if rest else messages[:-1]
    return messages
