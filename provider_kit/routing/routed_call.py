"""One call of a router: its candidates, asked one after the other until one answers.

Another target is asked only before the first content has reached the caller: a handler returns with the first content
in hand, and what fails afterwards is the reader's :class:`StreamError`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from provider_kit.engine.call import Call, Route
from provider_kit.engine.handler import Reply
from provider_kit.errors import CallCancelledError, ProviderKitError, StreamError
from provider_kit.model.cancellation import CancelToken
from provider_kit.model.chat import ChatRequest, ChatResponse
from provider_kit.model.events import ProviderSwitched, RouteChosen, TargetBack, TargetCooling
from provider_kit.model.routing import RouteAttempt
from provider_kit.policies.routing.plan import why
from provider_kit.routing.candidates import candidates_of
from provider_kit.routing.endings import Ending, Leaving
from provider_kit.routing.failures import all_failed, before_delivery, raised, settle_failure
from provider_kit.routing.routed_call_state import RoutedCallState, TargetAttempt
from provider_kit.routing.router_parts import RouterParts
from provider_kit.routing.slow_streams import fast_enough
from provider_kit.routing.targets import RouteTarget

__all__ = ["RoutedCall"]


#: The share of the time that is left which a target may use while others could still answer.
_SHARE = 0.5


class RoutedCall(RoutedCallState):
    """One handling of one call by a router.

    Args:
        router: The router.
        call: The call.

    Raises:
        InvalidRequestError: No target can answer it, or serves its model.
    """

    def __init__(self, router: RouterParts, call: Call) -> None:
        super().__init__(router, call)
        self.candidates = candidates_of(self)

    # -------------------------------------------------------------------------------------------- in turn

    async def ask_in_turn(self, target: RouteTarget | None) -> Reply:
        """Ask a target, and the others after it.

        Raises:
            AllProvidersFailedError: All of them have failed.
            ProviderKitError: A failure that no other target would mend.
        """
        router = self.router
        while target is not None:
            asked = self.begin(target)
            try:
                if router.observed:
                    text = f"asking {target.name}: {self.routing.reason}"
                    await self.tell_chosen(asked, text)
                call = self.call_for(asked, self.call.cancel)
                reply = await (target.handler.handle(call) if router.takes_all else self.answer_of(asked, call))
            except ProviderKitError as error:
                if not await settle_failure(self, asked, error):
                    raise raised(self, error) from error.__cause__
            except BaseException:  # on cancellation too: its place must be freed
                self.abandon(asked, "the caller left")
                raise
            else:
                if await self.accept(asked, reply):
                    return reply
            if not self.call.fallback:
                break
            target = await self.next_target()
        return all_failed(self)

    async def tell_chosen(self, asked: TargetAttempt, text: str) -> None:
        """Tell the listeners whom it asks."""
        record = asked.record
        await self.emit(
            RouteChosen,
            text,
            target=asked.target.name,
            target_provider=record.provider,
            target_model=record.model or None,
        )

    def ready_target(
        self, besides: Sequence[RouteTarget] = (), waits: list[tuple[float, RouteTarget]] | None = None
    ) -> RouteTarget | None:
        """The next candidate that answers without a wait; ``None`` if there is none.

        Args:
            besides: Targets that are chosen already.
            waits: Collects those that would have to wait, with their seconds.
        """
        now, asked = self.runtime.now(), self.asked
        for target in self.order_of(self.candidates, now):
            if (asked and id(target) in asked) or (besides and target in besides):
                continue
            wait = target.outlook(self.call, now)
            if wait <= 0:
                return target
            if waits is not None:
                waits.append((wait, target))
        return None

    async def next_target(self) -> RouteTarget | None:
        """The next candidate to ask; ``None`` if there is none left. May wait for one to return.

        One that is out is asked when all others have failed: the last candidate is never locked out.
        """
        waits: list[tuple[float, RouteTarget]] = []
        target = self.ready_target(waits=waits)
        if target is not None:
            return target
        if waits:  # each of them would have to wait: for the shortest time
            return min(waits, key=lambda one: one[0])[1]
        rest = [target for target in self.candidates if id(target) not in self.asked]
        if not rest:
            return None
        now, states = self.runtime.now(), [target.state for target in rest]
        wait = self.router.state.earliest_return(states, now)
        if 0 < wait <= min(self.router.wait, self._left(now)):
            self.routing.waited += wait
            await self.emit(TargetCooling, f"no target is ready; waiting {wait:.1f} s for the first one", wait=wait)
            await self._sleep(wait)
        return min(rest, key=lambda target: target.state.until)

    def _left(self, now: float) -> float:
        call = self.call
        return (call.start_by if call.deadline is None else call.deadline) - now

    async def _sleep(self, seconds: float) -> None:
        """Wait, but no longer than the caller is there.

        Raises:
            CallCancelledError: The caller has left.
        """
        cancel = self.call.cancel
        if cancel is None:
            await self.runtime.sleep(seconds)
            return
        wakeup = self.runtime.wakeup()
        waiter = Leaving(wakeup.wake)
        cancel.attach(waiter)
        try:
            if not cancel.cancelled:
                await wakeup.wait(seconds)
        finally:
            cancel.detach(waiter)
        if cancel.cancelled:
            raise CallCancelledError("The call was cancelled.", operation=self.operation)

    # -------------------------------------------------------------------------------------------- one target

    def begin(self, target: RouteTarget, *, concurrent: bool = False) -> TargetAttempt:
        """Note that a target is asked."""
        router, runtime, routing, asked = self.router, self.runtime, self.routing, self.asked
        now, state = runtime.now(), target.state
        trial = router.state.begin(state, now)
        elsewhere = False
        if self.call.fallback and not concurrent:
            for one in self.candidates:
                state_of_one = one.state
                if state_of_one is not state and state_of_one.ready(now) and id(one) not in asked:
                    elsewhere = True
                    break
        if not asked and not routing.reason:
            routing.reason = router.reason if self.facts.key is None else why(self.facts, router.order_name)
        asked.add(id(target))
        path, model = self.path, (self.models.get(id(target), target.model) if self.models else target.model) or ""
        record = RouteAttempt(path + state.name, runtime.time(), "running", target.provider, model)
        record.concurrent = concurrent
        outer = self.call.route
        beyond = elsewhere or (outer is not None and outer.elsewhere)
        note = self._answer_recorder(target) if target.continues else None
        if target.engine is not None:
            routing.attempts.append(record)
            route = Route(routing, path, record, beyond, note, began=now, sinks=self.sinks)
        else:  # a router records the targets that it asks itself
            route = Route(routing, f"{path}{target.name} > ", None, beyond, note, began=now, sinks=self.sinks)
        return TargetAttempt(target, trial, record, now, elsewhere, route)

    def _answer_recorder(self, target: RouteTarget) -> Callable[[str], object]:
        """A function that remembers which target gave an answer, here and in the routers around this one."""
        answers, outer = self.router.note_answer, self.call.route
        beyond = None if outer is None else outer.note_answer

        def note(answer: str) -> None:
            answers(answer, target.name)
            if beyond is not None:
                beyond(answer)

        return note

    def call_for(self, asked: TargetAttempt, cancel: CancelToken | None) -> Call:
        """The call as a target is asked."""
        call, target = self.call, asked.target
        deadline, now = call.deadline, asked.begun
        if deadline is not None and asked.elsewhere:
            deadline = now + (deadline - now) * _SHARE
        if target.total is not None and target.total != math.inf:
            deadline = now + target.total if deadline is None else min(deadline, now + target.total)
        made = call.passed_on(
            target.request_for(call, self.models.get(id(target)) if self.models else None),
            deadline,
            cancel,
            asked.route,
        )
        if made.timeout is None:
            made.timeout = target.timeout
        if made.on_unsupported is None:
            made.on_unsupported = target.on_unsupported
        if not target.cached:
            made.cached = False
        return made

    async def answer_of(self, asked: TargetAttempt, call: Call, *, whole: bool = False) -> Reply:
        """The reply of a target; a stream has begun and is fast enough, or was read to its end to be judged."""
        router = self.router
        try:
            if router.min_rate is not None and call.stream:
                reply = await fast_enough(asked.target.handler, call, router.min_rate)
            else:
                reply = await asked.target.handler.handle(call)
            if reply.state is not None and (whole or router.rule.judges_answers):
                reply = Reply(await reply.gather())
        except StreamError as error:
            raise before_delivery(self, error) from error.__cause__
        return reply

    async def accept(self, asked: TargetAttempt, reply: Reply) -> bool:
        """Record an answer, and tell of it; return whether it is accepted."""
        if self.record_success(asked, reply):
            return True
        try:
            return await self._judge(asked, reply)
        except BaseException:  # on cancellation too: the caller never gets this reply, and cannot close it
            await reply.aclose()
            raise

    def record_success(self, asked: TargetAttempt, reply: Reply) -> bool:
        """A target has answered; return whether its answer is accepted without a further look."""
        router, now = self.router, self.runtime.now()
        record, state = asked.record, asked.target.state
        asked.settled = True
        record.duration = record.first_token = seconds = now - asked.begun
        if record.outcome == "running":  # it may have been left meanwhile
            record.outcome = "answered"
        if router.budget is not None:
            router.budget.ended(False)
        if router.reads_headroom:
            asked.target.read_headroom(now)
        answer = reply.answer
        if reply.state is not None:
            router.state.first_token(state, seconds, now, self.streamed, self.size)
            reply.on_end(Ending(self, asked))
        else:
            measured = type(answer) is not ChatResponse or answer.cache != "hit"
            asked.returned = router.state.answered(
                state, asked.trial, now, seconds if measured else None, self.streamed, self.size
            )
            if type(answer) is ChatResponse and answer.routing is None:
                asked.route.complete(answer, answer.attempts)
        return router.takes_all and len(self.asked) == 1 and not asked.returned

    async def _judge(self, asked: TargetAttempt, reply: Reply) -> bool:
        """Judge an answer, and emit its events; return whether it is accepted."""
        router, target, answer = self.router, asked.target, reply.answer
        if asked.returned:
            await self.emit(TargetBack, f"{target.name} answers again", target=target.name)
        request = self.call.request
        judged = router.rule.judges_answers and self.call.fallback
        if judged and isinstance(request, ChatRequest) and isinstance(answer, ChatResponse):
            reason = await router.rule.leaves_answer(self.runtime, request, answer)
            if reason is not None:
                asked.record.outcome, asked.record.reason = "failed", reason
                self.declined = answer
                routing = self.routing
                routing.earlier = (*routing.earlier, *answer.attempts[len(routing.earlier) :])
                await self.emit(ProviderSwitched, f"{target.name}: {reason}", target=target.name)
                return False
        if len(self.asked) > 1 and not self.nested and not asked.record.concurrent:
            text = f"failed over to {target.name}, number {len(self.asked)}"
            await self.emit(ProviderSwitched, text, target=target.name)
        return True

    def abandon(self, asked: TargetAttempt, reason: str) -> None:
        """The outcome of a target stays unknown: the caller left, or another one answered first."""
        if asked.settled:
            return
        asked.settled, now = True, self.runtime.now()
        self.router.state.left(asked.target.state, asked.trial, now)
        record = asked.record
        if record.outcome == "running":
            record.outcome, record.reason = "cancelled", reason
            record.duration = now - asked.begun
            record.may_be_billed = True
