"""Several targets at once: a second one when the first is late (hedge), or all from the beginning (race).

Each target is asked in a task or thread of its own, with a cancel token of its own. What they find is written to the
record of the call as it happens, before the others are cancelled, so that nothing that arrived is lost.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

from attrs import define

from provider_kit.engine.call import Call
from provider_kit.engine.handler import Reply
from provider_kit.errors import APITimeoutError, ConfigError, ProviderKitError
from provider_kit.model.cancellation import CancelToken
from provider_kit.model.chat import ChatRequest, ChatResponse
from provider_kit.model.events import HedgeStarted, RaceDecided
from provider_kit.policies.routing.hedging import Hedge, hedge_delay
from provider_kit.policies.routing.racing import Race, fastest_of, history_score
from provider_kit.routing.failures import all_failed, attempt_of, raised, settle_failure
from provider_kit.routing.fallback_rule import ask_user
from provider_kit.routing.requests import has_effects
from provider_kit.routing.routed_call import Asked
from provider_kit.routing.targets import RouteTarget
from provider_kit.routing.walk import Walk
from provider_kit.transports.base import Begun, Wakeup

__all__ = ["hedge", "race"]

#: Seconds and characters that are read of an answer for its usage.
_DRAIN_SECONDS, _DRAIN_SIZE = 120.0, 32_000_000
#: Seconds after which a wait is renewed, in case a wake-up was lost.
_MAX_WAIT_SLICE = 30.0


@define(eq=False)
class Entrant:
    """One target of a contest."""

    asked: Asked
    token: CancelToken
    begun: Begun | None = None
    reply: Reply | None = None
    error: BaseException | None = None
    #: Whether it has ended, and whether the contest has seen that.
    done: bool = False
    seen: bool = False
    #: Whether its answer is not wanted any more, and whether it is read for its usage all the same.
    dismissed: bool = False
    drained: bool = False
    #: Wakes whatever limits its draining.
    ended: Wakeup | None = None


class Contest:
    """Targets that are asked at the same time.

    Args:
        walk: The call.
        losers: What happens to answers that are not taken.
        whole: Whether streams are read to their end.
    """

    def __init__(self, walk: Walk, losers: Literal["cancel", "drain"], *, whole: bool = False) -> None:
        self.walk = walk
        self.losers = losers
        self.whole = whole
        self.entrants: list[Entrant] = []
        self._wakeup = walk.runtime.wakeup()

    def enter(self, target: RouteTarget, *, concurrent: bool = False) -> Entrant:
        """Ask a target."""
        walk = self.walk
        entrant = Entrant(walk.begin(target, concurrent=concurrent), CancelToken(walk.call.cancel))
        self.entrants.append(entrant)
        call = walk.call_for(entrant.asked, entrant.token)
        entrant.begun = walk.runtime.begin(lambda: self._run(entrant, call))
        return entrant

    @property
    def running(self) -> bool:
        """Whether one of them has not ended, or its end was not seen."""
        return any(not entrant.seen for entrant in self.entrants)

    async def _run(self, entrant: Entrant, call: Call) -> None:
        try:
            reply = await self.walk.answer_of(entrant.asked, call, whole=self.whole)
            entrant.reply = reply
            if entrant.drained:
                await self._read_out(entrant, reply)
            elif entrant.dismissed:
                await reply.aclose()
        except BaseException as error:  # raised by the contest, if its outcome is wanted
            entrant.error = error
        finally:
            entrant.done = True
            self._wakeup.wake()
            if entrant.ended is not None:
                entrant.ended.wake()

    async def next_end(self, seconds: float) -> Entrant | None:
        """The next one that ends; ``None`` if none does in time."""
        runtime = self.walk.runtime
        until = runtime.now() + seconds
        while True:
            for entrant in self.entrants:
                if entrant.done and not entrant.seen:
                    entrant.seen = True
                    return entrant
            left = until - runtime.now()
            if left <= 0:
                return None
            await self._wakeup.wait(min(left, _MAX_WAIT_SLICE))

    # -------------------------------------------------------------------------------------------- the ends

    async def take(self, entrant: Entrant) -> Reply | None:
        """The reply of an entrant, if it is taken; the others are dismissed.

        Raises:
            ProviderKitError: It failed, and no other target would mend that.
        """
        walk, error = self.walk, entrant.error
        if error is None:
            return await self.crown(entrant)
        if not isinstance(error, ProviderKitError):
            raise error
        if await settle_failure(walk, entrant.asked, error):
            return None
        raise raised(walk, error) from error.__cause__

    async def crown(self, entrant: Entrant) -> Reply | None:
        """Take the reply of an entrant, and dismiss the others; ``None`` if it is not accepted after all."""
        reply, entrant.reply = entrant.reply, None
        assert reply is not None  # it has ended without an error
        walk, asked = self.walk, entrant.asked
        if not walk.router.rule.judges_answers:
            await self.dismiss("another target answered first", but=entrant)
        if not await walk.taken(asked, reply):
            return None
        await self.dismiss("another target answered first", but=entrant)
        if isinstance(reply.answer, ChatResponse) and asked.target.engine is not None:
            asked.route.complete(reply.answer, asked.route.own)  # the others are on record by now
        return reply

    async def dismiss(self, reason: str, but: Entrant | None = None) -> None:
        """Leave all others: note what they found, free what they hold."""
        for entrant in self.entrants:
            if entrant is but or entrant.dismissed:
                continue
            entrant.dismissed = True
            if entrant.asked.settled:
                continue  # it failed, which is on record
            await self._leave(entrant, reason)

    async def _leave(self, entrant: Entrant, reason: str) -> None:
        walk, record = self.walk, entrant.asked.record
        reply, error = entrant.reply, entrant.error
        if error is not None and isinstance(error, ProviderKitError):
            await settle_failure(walk, entrant.asked, error)
            return
        passed = walk.runtime.now() - entrant.asked.begun
        state = entrant.asked.target.state
        if reply is None and passed > state.typical:  # it takes that long at least
            walk.router.state.first_token(state, passed, walk.runtime.now(), walk.streamed, walk.size)
        walk.lost(entrant.asked, reason)
        record.concurrent = True
        if reply is not None and isinstance(reply.answer, ChatResponse):
            record.used(*reply.answer.unread_usage())  # it was complete: its cost is known
            record.may_be_billed = False
        elif self.losers == "drain" and reason != _LEFT and entrant.asked.target.engine is not None:
            self._drain(entrant)
        else:
            entrant.token.cancel()
            if reply is not None:
                await reply.aclose()
        if entrant.asked.target.engine is not None:
            walk.routing.earlier = (*walk.routing.earlier, attempt_of(record))
        else:
            self._leave_group(entrant, reason)
        if not entrant.done and entrant.begun is not None:
            walk.router.keep(entrant.begun, entrant.token)

    def _leave_group(self, entrant: Entrant, reason: str) -> None:
        """Note of the targets of a router that they are left; their own walk ends a moment later."""
        routing, path = self.walk.routing, entrant.asked.route.path
        for record in routing.attempts:
            if record.target.startswith(path) and record.outcome in ("running", "answered"):
                record.may_be_billed = record.outcome == "running" or record.usage is None
                record.outcome, record.reason = "cancelled", reason
                record.duration = self.walk.runtime.time() - record.started
                routing.earlier = (*routing.earlier, attempt_of(record))

    # -------------------------------------------------------------------------------------------- draining

    def _drain(self, entrant: Entrant) -> None:
        """Let an answer be read in the background, for its usage."""
        walk = self.walk
        entrant.asked.record.outcome = "draining"
        reply = entrant.reply
        entrant.drained = True
        if reply is not None:
            walk.router.keep(walk.runtime.begin(lambda: self._read_out(entrant, reply)), entrant.token)
        else:
            entrant.ended = walk.runtime.wakeup()
            walk.router.keep(walk.runtime.begin(lambda: self._limit(entrant)), entrant.token)

    async def _limit(self, entrant: Entrant) -> None:
        """Cancel an entrant that does not begin to answer."""
        ended = entrant.ended
        assert ended is not None  # it was made for this
        until = self.walk.runtime.now() + _DRAIN_SECONDS
        while not entrant.done and (left := until - self.walk.runtime.now()) > 0:
            await ended.wait(min(left, _MAX_WAIT_SLICE))
        if not entrant.done or entrant.error is not None:
            entrant.asked.record.outcome = "cancelled"
        if not entrant.done:
            entrant.token.cancel()

    async def _read_out(self, entrant: Entrant, reply: Reply) -> None:
        """Read an answer to its end."""
        record, runtime = entrant.asked.record, self.walk.runtime
        if reply.state is None:
            if isinstance(reply.answer, ChatResponse):
                record.used(*reply.answer.unread_usage())
                record.may_be_billed = False
            record.outcome = "drained"
            return
        state, chunks = reply.state, reply.take_chunks()
        until, size, whole = runtime.now() + _DRAIN_SECONDS, 0, False
        try:
            async for chunk in chunks:
                size += len(chunk.text) + len(chunk.thinking)
                if runtime.now() > until or size > _DRAIN_SIZE:
                    break
            else:
                whole = True
        except ProviderKitError:
            whole = False  # what it used stays unknown
        finally:
            await chunks.aclose()
            response = state.response()
            record.used(*response.unread_usage())
            record.may_be_billed = not whole
            record.outcome = "drained" if whole else "cancelled"


_LEFT = "the caller left"


async def hedge(walk: Walk, config: Hedge) -> Reply:
    """Ask a target, and another one if the first is late.

    Raises:
        ProviderKitError: Neither answered.
    """
    router, runtime = walk.router, walk.runtime
    budget = router.budget
    assert budget is not None  # it was made with the router
    budget.called(runtime.now())
    first = await walk.next_target()
    if first is None:
        return all_failed(walk)
    delay = hedge_delay(config, first.state, walk.streamed, walk.size)
    if delay is None or _has_effects(walk, first):
        return await walk.go_on(first)
    contest = Contest(walk, config.losers)
    reason = _LEFT
    try:
        contest.enter(first)
        ended = await contest.next_end(delay)
        budget.was_late(ended is None)
        if ended is None:
            refusal = budget.refuses([target.state for target in walk.candidates], runtime.now())
            second = None if refusal is not None else walk.ready_target()
            if second is not None and not _has_effects(walk, second):
                budget.hedged(runtime.now())
                text = f"{first.name} has not begun after {delay:.2f} s; asking {second.name}, too"
                await walk.emit(HedgeStarted, text, wait=delay, target=second.name)
                contest.enter(second, concurrent=True)
        while True:
            if ended is None:
                ended = await contest.next_end(math.inf)
            assert ended is not None  # without a limit one of them ends
            reply = await contest.take(ended)
            if reply is not None:
                return reply
            ended = None
            if contest.running:
                continue
            following = await walk.next_target()
            if following is None:
                return all_failed(walk)
            contest.enter(following)
    finally:
        await contest.dismiss(reason)


def _has_effects(walk: Walk, target: RouteTarget) -> bool:
    """Whether a target must not be asked beside another one, with its own defaults."""
    request = target.request_for(walk.call, walk.models.get(id(target)))
    return not isinstance(request, ChatRequest) or has_effects(request) is not None


async def race(walk: Walk, config: Race) -> Reply:
    """Ask all targets, and take the answer that comes first, or the best one.

    Raises:
        AllProvidersFailedError: None answered in time.
        ConfigError: The judge failed.
    """
    runtime, mode = walk.runtime, config.mode
    targets: list[RouteTarget] = []
    while (target := walk.ready_target(besides=targets)) is not None:
        targets.append(target)
    if len(targets) < 2:
        only = await walk.next_target()
        return all_failed(walk) if only is None else await walk.go_on(only)
    if not walk.nested:
        walk.routing.raced = True
        walk.routing.reason = "all at once"
    contest = Contest(walk, config.losers, whole=mode == "quality")
    try:
        for target in targets:
            contest.enter(target, concurrent=True)
        begun = runtime.now()
        until = math.inf if config.timeout is None else begun + config.timeout
        answers: list[Entrant] = []
        while contest.running:
            ended = await contest.next_end(until - runtime.now())
            if ended is None:
                break
            if ended.error is not None:
                if not isinstance(ended.error, ProviderKitError):
                    raise ended.error
                await settle_failure(walk, ended.asked, ended.error)
                if not any(one is ended.error for one in walk.errors):  # the caller's time is up, or the caller left
                    raise raised(walk, ended.error) from ended.error.__cause__
                continue
            if mode == "first":
                taken = await contest.crown(ended)
                if taken is not None:
                    return await _decided(walk, ended, taken)
                continue
            if not answers:
                until = min(until, runtime.now() + config.grace)
            answers.append(ended)
        late = not answers
        while answers:
            winner = await _best(walk, config, answers)
            taken = await contest.crown(winner)
            if taken is not None:
                return await _decided(walk, winner, taken)
            answers.remove(winner)
        if late and contest.running and config.timeout is not None:
            await _too_late(walk, contest, config.timeout)
        return all_failed(walk)
    finally:
        await contest.dismiss(_LEFT)


async def _too_late(walk: Walk, contest: Contest, seconds: float) -> None:
    for entrant in contest.entrants:
        if not entrant.seen:
            entrant.dismissed = entrant.seen = True
            error = APITimeoutError(
                f"It did not answer within {seconds:g} s.",
                retryable=True,
                provider=entrant.asked.target.provider,
                hint="Raise Race(timeout=…), or set it to None.",
            )
            await settle_failure(walk, entrant.asked, error)
            entrant.token.cancel()
            if entrant.reply is not None:
                await entrant.reply.aclose()


async def _decided(walk: Walk, winner: Entrant, reply: Reply) -> Reply:
    for target in walk.candidates:
        if id(target) in walk.asked:
            target.state.races += 1
    winner.asked.target.state.wins += 1
    record = winner.asked.record
    text = f"{record.target} has won after {record.first_token or 0.0:.2f} s"
    await walk.emit(RaceDecided, text, wait=record.first_token, target=record.target)
    return reply


async def _best(walk: Walk, config: Race, answers: Sequence[Entrant]) -> Entrant:
    """The winner among those that answered in time."""
    if config.mode == "weighted":
        fastest = fastest_of([entrant.asked.target.state for entrant in answers])
        return max(answers, key=lambda entrant: history_score(entrant.asked.target.state, fastest))
    judge = config.judge
    assert judge is not None  # checked when the race was configured
    best, highest = answers[0], -math.inf
    for entrant in answers:
        assert entrant.reply is not None  # it has answered
        score = await _rated(walk, judge, entrant.reply.answer)
        if score > highest:
            best, highest = entrant, score
    return best


async def _rated(walk: Walk, judge: Callable[[Any], Any], answer: Any) -> float:
    hint = "It is called with a whole answer, and returns a number; a higher one is better."
    score = await ask_user(walk.runtime, judge, answer, "The judge", hint)
    if isinstance(score, bool) or not isinstance(score, (int, float)) or math.isnan(score):
        name = getattr(judge, "__qualname__", type(judge).__name__)
        raise ConfigError(f"The judge {name} returned {score!r}, which is no number.", hint=hint)
    return float(score)
