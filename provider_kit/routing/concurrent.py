"""Several targets at once: a second one when the first is late (hedge), or all from the beginning (race).

Each target is asked in a task or thread of its own, with a cancel token of its own. What they find is written to the
record of the call as it happens, before the others are cancelled, so that nothing that arrived is lost.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

from attrs import Factory, define

from provider_kit.engine.call import Call
from provider_kit.engine.handler import Reply
from provider_kit.errors import APITimeoutError, ConfigError, ProviderKitError
from provider_kit.model.cancellation import CancelToken
from provider_kit.model.chat import ChatRequest, ChatResponse
from provider_kit.model.events import HedgeStarted, RaceDecided
from provider_kit.policies.routing.hedging import Hedge, hedge_delay
from provider_kit.policies.routing.racing import Race, fastest_of, history_score
from provider_kit.routing.failures import all_failed, attempt_of, raised, settle_failure
from provider_kit.routing.requests import has_effects
from provider_kit.routing.routed_call import RoutedCall
from provider_kit.routing.routed_call_state import TargetAttempt
from provider_kit.routing.targets import RouteTarget
from provider_kit.routing.user_opinion import ask_user
from provider_kit.transports.base import Begun, Wakeup

__all__ = ["hedge", "race"]

#: Seconds and characters that are read of an answer for its usage.
_DRAIN_SECONDS, _DRAIN_SIZE = 120.0, 32_000_000
#: Seconds after which a wait is renewed, in case a wake-up was lost.
_MAX_WAIT_SLICE = 30.0


@define(eq=False)
class ConcurrentAttempt:
    """One target that is asked beside others."""

    asked: TargetAttempt
    token: CancelToken
    begun: Begun | None = None
    error: BaseException | None = None
    #: Whether it has ended, and whether that was seen.
    done: bool = False
    seen: bool = False
    #: Whether its answer is not wanted any more, and whether it is read for its usage all the same. The latter is set
    #: first: the thread of the attempt looks at both as soon as the former is set.
    unwanted: bool = False
    drained: bool = False
    #: Wakes whatever limits its draining.
    ended: Wakeup | None = None
    _replies: list[Reply] = Factory(list)

    @property
    def reply(self) -> Reply | None:
        """Its reply, as long as nobody has claimed it."""
        return next(iter(self._replies), None)

    def answered(self, reply: Reply) -> None:
        """Set its reply."""
        self._replies.append(reply)

    def claim(self) -> Reply | None:
        """The reply, for exactly one of the threads that ask for it: that one uses or closes it."""
        try:
            return self._replies.pop()
        except IndexError:
            return None


class ConcurrentAttempts:
    """Targets that are asked at the same time.

    Args:
        routed: The call.
        losers: What happens to answers that are not accepted.
        whole: Whether streams are read to their end.
    """

    def __init__(self, routed: RoutedCall, losers: Literal["cancel", "drain"], *, whole: bool = False) -> None:
        self.routed = routed
        self.losers = losers
        self.whole = whole
        self.all: list[ConcurrentAttempt] = []
        self._wakeup = routed.runtime.wakeup()

    def start(self, target: RouteTarget, *, concurrent: bool = False) -> ConcurrentAttempt:
        """Ask a target."""
        routed = self.routed
        attempt = ConcurrentAttempt(routed.begin(target, concurrent=concurrent), CancelToken(routed.call.cancel))
        self.all.append(attempt)
        call = routed.call_for(attempt.asked, attempt.token)
        attempt.begun = routed.runtime.begin(lambda: self._run(attempt, call))
        return attempt

    @property
    def running(self) -> bool:
        """Whether one of them has not ended, or its end was not seen."""
        return any(not attempt.seen for attempt in self.all)

    async def _run(self, attempt: ConcurrentAttempt, call: Call) -> None:
        try:
            if self.routed.router.observed:
                await self.routed.tell_chosen(attempt.asked, f"asking {attempt.asked.target.name}")
            reply = await self.routed.answer_of(attempt.asked, call, whole=self.whole)
            attempt.answered(reply)
            if attempt.unwanted and attempt.claim() is not None:
                await (self._read_out(attempt, reply) if attempt.drained else reply.aclose())
        except BaseException as error:  # kept, and raised to the caller if its outcome is wanted
            attempt.error = error
        finally:
            attempt.done = True
            self._wakeup.wake()
            if attempt.ended is not None:
                attempt.ended.wake()

    async def next_end(self, seconds: float) -> ConcurrentAttempt | None:
        """The next one that ends; ``None`` if none does in time."""
        runtime = self.routed.runtime
        until = runtime.now() + seconds
        while True:
            for attempt in self.all:
                if attempt.done and not attempt.seen:
                    attempt.seen = True
                    return attempt
            left = until - runtime.now()
            if left <= 0:
                return None
            await self._wakeup.wait(min(left, _MAX_WAIT_SLICE))

    # -------------------------------------------------------------------------------------------- the ends

    async def reply_of(self, attempt: ConcurrentAttempt) -> Reply | None:
        """The reply of an attempt, if it is accepted; the others are given up.

        Raises:
            ProviderKitError: It failed, and no other target would mend that.
        """
        routed, error = self.routed, attempt.error
        if error is None:
            return await self.accept(attempt)
        if not isinstance(error, ProviderKitError):
            raise error
        if await settle_failure(routed, attempt.asked, error):
            return None
        raise raised(routed, error) from error.__cause__

    async def accept(self, attempt: ConcurrentAttempt) -> Reply | None:
        """Accept the reply of an attempt, and give up the others; ``None`` if it is declined after all."""
        reply = attempt.claim()
        assert reply is not None  # it has ended without an error
        routed, asked = self.routed, attempt.asked
        if not routed.router.rule.judges_answers:
            await self.give_up_others("another target answered first", but=attempt)
        if not await routed.accept(asked, reply):
            return None
        await self.give_up_others("another target answered first", but=attempt)
        if isinstance(reply.answer, ChatResponse) and asked.target.engine is not None:
            asked.route.complete(reply.answer, asked.route.own)  # the others are on record by now
        return reply

    async def give_up_others(self, reason: str, but: ConcurrentAttempt | None = None) -> None:
        """Give up all others: record what they found, free what they hold."""
        for attempt in self.all:
            if attempt is but or attempt.unwanted:
                continue
            if attempt.asked.settled:  # its outcome is on record
                attempt.unwanted = True
            else:
                await self._give_up(attempt, reason)

    async def _give_up(self, attempt: ConcurrentAttempt, reason: str) -> None:
        routed, record = self.routed, attempt.asked.record
        error, reply = attempt.error, attempt.claim()
        if isinstance(error, ProviderKitError):
            attempt.unwanted = True
            await settle_failure(routed, attempt.asked, error)
            return
        passed = routed.runtime.now() - attempt.asked.begun
        state = attempt.asked.target.state
        if reply is None and passed > state.typical:  # it takes that long at least
            routed.router.state.first_token(state, passed, routed.runtime.now(), routed.streamed, routed.size)
        routed.abandon(attempt.asked, reason)
        record.concurrent = True
        self._give_up_group(attempt, reason)  # first: once it is cancelled, its own thread settles these records
        if reply is not None and isinstance(reply.answer, ChatResponse):
            attempt.unwanted = True
            record.used(*reply.answer.unread_usage())  # it was complete: its cost is known
            record.may_be_billed = False
        else:
            await self._discard(attempt, reply, reason)
        if attempt.asked.target.engine is not None:
            routed.routing.earlier = (*routed.routing.earlier, attempt_of(record))
        if not attempt.done and attempt.begun is not None:
            routed.router.keep(attempt.begun, attempt.token)

    def _give_up_group(self, attempt: ConcurrentAttempt, reason: str) -> None:
        """Note of the targets of a router that they are left; their own call ends a moment later."""
        if attempt.asked.target.engine is not None:
            return
        routing, path = self.routed.routing, attempt.asked.route.path
        for record in routing.attempts:
            if record.target.startswith(path) and record.outcome in ("running", "answered"):
                record.may_be_billed = record.outcome == "running" or record.usage is None
                record.outcome, record.reason = "cancelled", reason
                record.duration = self.routed.runtime.time() - record.started
                routing.earlier = (*routing.earlier, attempt_of(record))

    # -------------------------------------------------------------------------------------------- draining

    async def _discard(self, attempt: ConcurrentAttempt, reply: Reply | None, reason: str) -> None:
        """Cancel an attempt that has not ended; or read its answer in the background, for its usage."""
        drained = self.losers == "drain" and reason != _ENDED and attempt.asked.target.engine is not None
        if drained:
            attempt.asked.record.outcome, attempt.drained = "draining", True
        attempt.unwanted = True
        if reply is None:
            reply = attempt.claim()  # it may have come before its thread could see that it is unwanted
        if not drained:
            attempt.token.cancel()
            if reply is not None:
                await reply.aclose()
            return
        routed = self.routed
        if reply is not None:
            read = partial(self._read_out, attempt, reply)
        else:
            attempt.ended = routed.runtime.wakeup()
            read = partial(self._limit, attempt, attempt.ended)
        routed.router.keep(routed.runtime.begin(read), attempt.token)

    async def _limit(self, attempt: ConcurrentAttempt, ended: Wakeup) -> None:
        """Cancel an attempt that does not begin to answer."""
        until = self.routed.runtime.now() + _DRAIN_SECONDS
        while not attempt.done and (left := until - self.routed.runtime.now()) > 0:
            await ended.wait(min(left, _MAX_WAIT_SLICE))
        if attempt.asked.record.outcome == "draining":  # it did not answer, or failed
            attempt.asked.record.outcome = "cancelled"
        if not attempt.done:
            attempt.token.cancel()

    async def _read_out(self, attempt: ConcurrentAttempt, reply: Reply) -> None:
        """Read an answer to its end."""
        record, runtime = attempt.asked.record, self.routed.runtime
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


#: Why those are given up that still run when the call ends without their answer.
_ENDED = "the call ended"


async def hedge(routed: RoutedCall, config: Hedge) -> Reply:
    """Ask a target, and another one if the first is late.

    Raises:
        ProviderKitError: Neither answered.
    """
    router, runtime = routed.router, routed.runtime
    budget = router.budget
    assert budget is not None  # it was made with the router
    budget.called(runtime.now())
    first = await routed.next_target()
    if first is None:
        return all_failed(routed)
    delay = hedge_delay(config, first.state, routed.streamed, routed.size)
    if delay is None or _has_effects(routed, first):
        return await routed.ask_in_turn(first)
    attempts = ConcurrentAttempts(routed, config.losers)
    try:
        attempts.start(first)
        ended = await attempts.next_end(delay)
        budget.was_late(ended is None)
        if ended is None:
            refusal = budget.refuses([target.state for target in routed.candidates], runtime.now())
            second = None if refusal is not None else routed.ready_target()
            if second is not None and not _has_effects(routed, second):
                budget.hedged(runtime.now())
                text = f"{first.name} has not begun after {delay:.2f} s; asking {second.name}, too"
                await routed.emit(HedgeStarted, text, wait=delay, target=second.name)
                attempts.start(second, concurrent=True)
        while True:
            if ended is None:
                ended = await attempts.next_end(math.inf)
            assert ended is not None  # without a limit one of them ends
            reply = await attempts.reply_of(ended)
            if reply is not None:
                return reply
            ended = None
            if attempts.running:
                continue
            following = await routed.next_target()
            if following is None:
                return all_failed(routed)
            attempts.start(following)
    finally:
        await attempts.give_up_others(_ENDED)


def _has_effects(routed: RoutedCall, target: RouteTarget) -> bool:
    """Whether a target must not be asked beside another one, with its own defaults."""
    request = target.request_for(routed.call, routed.models.get(id(target)))
    return not isinstance(request, ChatRequest) or has_effects(request) is not None


async def race(routed: RoutedCall, config: Race) -> Reply:
    """Ask all targets, and take the answer that comes first, or the best one.

    Raises:
        AllProvidersFailedError: None answered in time.
        ConfigError: The judge failed.
    """
    runtime, mode = routed.runtime, config.mode
    targets: list[RouteTarget] = []
    while (target := routed.ready_target(besides=targets)) is not None:
        targets.append(target)
    if len(targets) < 2:
        only = await routed.next_target()
        return all_failed(routed) if only is None else await routed.ask_in_turn(only)
    if not routed.nested:
        routed.routing.raced = True
        routed.routing.reason = "all at once"
    attempts = ConcurrentAttempts(routed, config.losers, whole=mode == "quality")
    try:
        for target in targets:
            attempts.start(target, concurrent=True)
        begun = runtime.now()
        until = math.inf if config.timeout is None else begun + config.timeout
        answers: list[ConcurrentAttempt] = []
        while attempts.running:
            ended = await attempts.next_end(until - runtime.now())
            if ended is None:
                break
            if ended.error is not None:
                if not isinstance(ended.error, ProviderKitError):
                    raise ended.error
                await settle_failure(routed, ended.asked, ended.error)
                if not any(one is ended.error for one in routed.errors):  # the caller's time is up, or the caller left
                    raise raised(routed, ended.error) from ended.error.__cause__
                continue
            if mode == "first":
                reply = await attempts.accept(ended)
                if reply is not None:
                    return await _decided(routed, ended, reply)
                continue
            if not answers:
                until = min(until, runtime.now() + config.grace)
            answers.append(ended)
        late = not answers
        while answers:
            winner = await _best(routed, config, answers)
            reply = await attempts.accept(winner)
            if reply is not None:
                return await _decided(routed, winner, reply)
            answers.remove(winner)
        if late and attempts.running and config.timeout is not None:
            await _too_late(routed, attempts, config.timeout)
        return all_failed(routed)
    finally:
        await attempts.give_up_others(_ENDED)


async def _too_late(routed: RoutedCall, attempts: ConcurrentAttempts, seconds: float) -> None:
    for attempt in attempts.all:
        if not attempt.seen:
            attempt.unwanted = attempt.seen = True
            error = APITimeoutError(
                f"It did not answer within {seconds:g} s.",
                retryable=True,
                provider=attempt.asked.target.provider,
                hint="Raise Race(timeout=…), or set it to None.",
            )
            await settle_failure(routed, attempt.asked, error)
            attempt.token.cancel()
            reply = attempt.claim()
            if reply is not None:
                await reply.aclose()


async def _decided(routed: RoutedCall, winner: ConcurrentAttempt, reply: Reply) -> Reply:
    for target in routed.candidates:
        if id(target) in routed.asked:
            target.state.races += 1
    winner.asked.target.state.wins += 1
    record = winner.asked.record
    text = f"{record.target} has won after {record.first_token or 0.0:.2f} s"
    await routed.emit(RaceDecided, text, wait=record.first_token, target=record.target)
    return reply


async def _best(routed: RoutedCall, config: Race, answers: Sequence[ConcurrentAttempt]) -> ConcurrentAttempt:
    """The winner among those that answered in time."""
    if config.mode == "weighted":
        fastest = fastest_of([attempt.asked.target.state for attempt in answers])
        return max(answers, key=lambda attempt: history_score(attempt.asked.target.state, fastest))
    judge = config.judge
    assert judge is not None  # checked when the race was configured
    best, highest = answers[0], -math.inf
    for attempt in answers:
        assert attempt.reply is not None  # it has answered
        score = await _rated(routed, judge, attempt.reply.answer)
        if score > highest:
            best, highest = attempt, score
    return best


async def _rated(routed: RoutedCall, judge: Callable[[Any], Any], answer: Any) -> float:
    hint = "It is called with a whole answer, and returns a number; a higher one is better."
    score = await ask_user(routed.runtime, judge, answer, "The judge", hint)
    if isinstance(score, bool) or not isinstance(score, (int, float)) or math.isnan(score):
        name = getattr(judge, "__qualname__", type(judge).__name__)
        raise ConfigError(f"The judge {name} returned {score!r}, which is no number.", hint=hint)
    return float(score)
