"""Several targets at once over real sockets: hedges and races, their losers, and what is told of them."""

import asyncio
import gc
import threading
import time
import warnings

import pytest

from provider_kit import (
    AllProvidersFailedError,
    APITimeoutError,
    CallCancelledError,
    CancelToken,
    ConfigError,
    Hedge,
    Race,
    Router,
    Target,
    Tool,
)


@pytest.fixture
def fleet_of(servers):
    """A function: a router over the three servers."""
    made = []

    def make(strategy, count=3, **options):
        kinds = ("openai/gpt-4o", "anthropic/claude-sonnet-4-5", "gemini/gemini-2.5-flash")
        clients = [server.client(kind, max_retries=0) for server, kind in zip(servers, kinds, strict=True)]
        made.extend(clients)
        targets = [Target(client, name=name) for client, name in zip(clients[:count], "abc", strict=False)]
        return Router(targets, strategy, **options)

    yield make
    for client in made:
        client.close()


def wait_for(condition, seconds=3.0):
    """Whether something becomes true."""
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.005)
    return condition()


# ------------------------------------------------------------------------------------------------ races


def test_the_first_answer_wins(servers, fleet_of, ask):
    """The others are cancelled, and their sockets closed."""
    a, b, c = servers
    a.fault(latency=3)
    b.fault(wait_until=lambda: a.requests and c.requests, latency=0.05)
    c.fault(latency=3)
    started = time.monotonic()
    answer = ask(fleet_of(Race()), "Hello")
    assert time.monotonic() - started < 2
    assert answer.routing.target == "b"
    assert answer.metadata["racing_winner"] == "b"
    assert 40 < answer.metadata["racing_latency_ms"] < 2000
    outcomes = {one.target: one.outcome for one in answer.routing.attempts}
    assert outcomes == {"a": "cancelled", "b": "answered", "c": "cancelled"}
    assert answer.cost_is_minimum
    assert answer.routing.cost_is_minimum
    assert [one.may_be_billed for one in answer.attempts] == [True, True, False]


def test_a_failure_is_no_answer(servers, fleet_of, ask):
    """The race goes on among the others; what failed is on record."""
    a, b, c = servers
    a.fault(500)
    b.fault(429)
    c.fault(latency=0.2)
    answer = ask(fleet_of(Race()), "Hello")
    assert answer.routing.target == "c"
    assert {one.error for one in answer.routing.attempts} == {"InternalServerError", "RateLimitError", None}


def test_all_failing_is_one_error(servers, fleet_of, ask):
    """With all of them."""
    for server in servers:
        server.fault(500)
    with pytest.raises(AllProvidersFailedError) as caught:
        ask(fleet_of(Race()), "Hello")
    assert len(caught.value.exceptions) == 3


def test_none_in_time_is_one_error(silent, ask):
    """Race(timeout=…): nobody waits for ever; trying again may help."""
    clients = [silent.client(), silent.client()]
    started = time.monotonic()
    with pytest.raises(AllProvidersFailedError) as caught:
        ask(Router(clients, Race(timeout=0.2)), "Hello")
    assert time.monotonic() - started < 2
    assert all(isinstance(one, APITimeoutError) for one in caught.value.exceptions)
    assert caught.value.retryable
    assert len(caught.value.attempts) == 2
    assert all(one.may_be_billed for one in caught.value.attempts)
    assert "0.2 s" in str(caught.value)
    assert wait_for(lambda: silent.open == 0, 1)


def test_the_judge_chooses_among_those_that_answer_in_time(servers, fleet_of, ask):
    """Within the grace period after the first one; a stream is judged when it is complete."""
    a, b, c = servers
    a.reply("short")
    b.reply("the longest answer of all of them")
    c.reply("a very, very, very, very long answer that comes too late")
    c.fault(latency=3)
    answer = ask(fleet_of(Race(judge=lambda reply: len(reply.text), grace=0.5)), "Hello")
    assert answer.text == "the longest answer of all of them"
    assert {one.target: one.outcome for one in answer.routing.attempts}["a"] == "cancelled"
    lost = next(one for one in answer.routing.attempts if one.target == "a")
    assert lost.usage.output_tokens > 0
    assert answer.routing.cost > answer.cost


def test_a_judge_that_raises_is_named(fleet_of, ask):
    """It is a mistake of the program's."""

    def judge(reply):
        return reply.no_such_thing

    with pytest.raises(ConfigError, match=r"The judge .*judge failed: AttributeError"):
        ask(fleet_of(Race(judge=judge)), "Hello")


def test_a_judge_may_be_asynchronous(servers, fleet_of, ask):
    """In either world, as the functions of a run."""

    async def judge(reply):
        await asyncio.sleep(0)
        return len(reply.text)

    servers[1].reply("the longest answer of all of them, by far, " * 9)
    assert ask(fleet_of(Race(judge=judge)), "Hello").routing.target == "b"


@pytest.mark.parametrize("score", [None, float("nan"), True, "high"])
def test_a_score_must_be_a_number(fleet_of, ask, score):
    """Anything else is a mistake of the judge's."""
    with pytest.raises(ConfigError, match="which is no number"):
        ask(fleet_of(Race(judge=lambda reply: score)), "Hello")


def test_a_group_that_loses_is_a_minimum_too(servers, fleet_of, call):
    """What its targets are billed is unknown."""
    servers[0].fault(latency=2)
    servers[1].fault(wait_until=lambda: servers[0].requests)
    group = Router([servers[0].client("openai/gpt-4o")], name="group")
    quick = servers[1].client("openai/gpt-4o")
    answer = call.chat(Router([group, quick], Race()), "Hello")
    lost = next(one for one in answer.routing.attempts if one.target.startswith("group > "))
    assert lost.outcome == "cancelled"
    assert answer.cost_is_minimum
    assert len(answer.attempts) == 2
    quick.close()


def test_a_group_that_ends_at_once_when_it_is_cancelled_is_a_minimum_too(servers, monkeypatch):
    """Its own thread may be faster than the one that gives it up."""
    cancel = CancelToken.cancel

    def and_wait(token):
        cancel(token)
        time.sleep(0.2)  # the other thread's turn

    monkeypatch.setattr(CancelToken, "cancel", and_wait)
    servers[0].fault(latency=2)
    servers[1].fault(wait_until=lambda: servers[0].requests)
    with servers[0].client("openai/gpt-4o") as slow, servers[1].client("openai/gpt-4o") as quick:
        answer = Router([Router([slow], name="group"), quick], Race()).chat("Hello")
    assert answer.cost_is_minimum
    assert len(answer.attempts) == 2


def test_a_race_inside_a_fallback_is_a_fallback(servers, fleet_of, call):
    """What is told is what the outermost router did."""
    inner = fleet_of(Race())
    for server in servers:
        server.fault(500)
    last = servers[2].client("openai/gpt-4o")
    answer = call.chat(Router([inner, Target(last, name="last")]), "Hello")
    assert answer.metadata == {"strategy": "fallback", "fallback_provider": "last", "fallback_index": 3}
    last.close()


def test_history_decides_among_those_that_answer_in_time(servers, fleet_of, ask):
    """weighted: the one that won most often and is fastest."""
    router = fleet_of(Race(winner="weighted", grace=1.0))
    c = router.target_states[2]
    c.races, c.wins, c.first_token = 10, 10, 0.01
    for state in router.target_states[:2]:
        state.races, state.wins, state.first_token = 10, 0, 5.0
    servers[2].fault(latency=0.15)
    assert ask(router, "Hello").routing.target == "c"


# ------------------------------------------------------------------------------------------------ hedges


def test_a_late_target_is_joined_by_another_one(servers, fleet_of, ask):
    """The first one stays in the running; its rest is not read."""
    a, _, _ = servers
    a.fault(latency=3)
    answer = ask(fleet_of(Hedge(after=0.1, budget=1), count=2), "Hello")
    assert answer.routing.target == "b"
    first, second = answer.routing.attempts
    assert (first.outcome, second.outcome) == ("cancelled", "answered")
    assert second.concurrent
    assert answer.cost_is_minimum


def test_a_target_in_time_stays_alone(servers, fleet_of, ask):
    """Nothing else is asked."""
    answer = ask(fleet_of(Hedge(after=1.0, budget=1), count=2), "Hello")
    assert [one.target for one in answer.routing.attempts] == ["a"]
    assert not servers[1].requests


def test_the_first_may_still_win(servers, fleet_of, ask):
    """Whoever answers first."""
    a, b, _ = servers
    a.fault(latency=0.3)
    b.fault(latency=3)
    answer = ask(fleet_of(Hedge(after=0.1, budget=1), count=2), "Hello")
    assert answer.routing.target == "a"


def test_a_failure_falls_over_as_ever(servers, fleet_of, ask):
    """Hedging adds to the fallback."""
    a, b, _ = servers
    a.fault(500)
    b.fault(500)
    answer = ask(fleet_of(Hedge(after=1.0, budget=1)), "Hello")
    assert answer.routing.target == "c"


def test_what_arrived_before_the_end_is_on_record(servers, fleet_of, ask):
    """A loser that was refused is a failure, with its status; nothing that arrived is lost."""
    a, b, _ = servers
    a.fault(429, latency=0.25)
    b.fault(latency=0.5)
    answer = ask(fleet_of(Hedge(after=0.1, budget=1), count=2), "Hello")
    assert answer.routing.target == "b"
    assert answer.routing.attempts[0].status_code == 429
    assert [one.error for one in answer.attempts] == ["RateLimitError", None]


@pytest.mark.parametrize(
    "options",
    [
        {"tools": [Tool("pay", "Pays.")]},
        {"extra_body": {"store": True}},
        {"extra_body": {"background": True}},
    ],
)
def test_nothing_with_effects_is_asked_twice(servers, fleet_of, ask, options):
    """Tools, and what a provider keeps."""
    servers[0].fault(latency=0.4)
    answer = ask(fleet_of(Hedge(after=0.05, budget=1), count=2), "Hello", **options)
    assert [one.target for one in answer.routing.attempts] == ["a"]
    assert not servers[1].requests


def test_a_used_up_budget_hedges_nothing(servers, fleet_of, call):
    """Five of a hundred: the first call is no hundred."""
    servers[0].fault(latency=0.3)
    answer = call.chat(fleet_of(Hedge(after=0.05, budget=0.05), count=2), "Hello")
    assert len(answer.routing.attempts) == 1


def test_drained_losers_tell_what_they_cost(servers, fleet_of):
    """losers='drain': read in the background, for their usage."""
    a, _, _ = servers
    a.fault(latency=0.4)
    router = fleet_of(Hedge(after=0.1, budget=1, losers="drain"), count=2)
    answer = router.chat("Hello")
    assert answer.routing.target == "b"
    loser = answer.routing.attempts[0]
    assert loser.outcome == "draining"
    assert answer.routing.cost_is_minimum
    assert wait_for(lambda: loser.outcome == "drained")
    assert loser.usage.input_tokens > 0
    assert not answer.routing.cost_is_minimum
    assert answer.routing.cost > answer.cost


def test_drained_streams_are_read_to_their_end(servers, fleet_of):
    """And closed."""
    a, _, _ = servers
    a.reply("word " * 50)
    a.fault(latency=0.4)

    async def main():
        router = fleet_of(Hedge(after=0.1, budget=1, losers="drain"), count=2)
        async with router.astream("Hello") as stream:
            async for _ in stream:
                pass
        loser = stream.response.routing.attempts[0]
        for _ in range(400):
            if loser.outcome == "drained":
                break
            await asyncio.sleep(0.005)
        assert loser.outcome == "drained"
        assert loser.usage.output_tokens > 10
        await router.aclose()

    asyncio.run(main())


@pytest.mark.parametrize("losers", ["cancel", "drain"])
def test_an_answer_that_comes_while_it_is_given_up_is_disposed_of_once(servers, fleet_of, monkeypatch, losers):
    """Its thread has not seen yet that it is unwanted: the thread that gives it up reads or closes it."""
    from provider_kit.routing.concurrent import ConcurrentAttempt

    servers[1].fault(wait_until=lambda: servers[0].requests, latency=0.2)
    claim, missed, claimed = ConcurrentAttempt.claim, [], []

    def late(attempt):
        if attempt.asked.target.name == "b" and not missed:
            missed.append(attempt)  # at this moment there is none; at the next there is
            wait_for(lambda: attempt.done)
            return None
        reply = claim(attempt)
        if reply is not None:
            claimed.append(attempt.asked.target.name)
        return reply

    monkeypatch.setattr(ConcurrentAttempt, "claim", late)
    answer = fleet_of(Race(losers=losers), count=2).chat("Hello")
    loser = answer.routing.attempts[1]
    outcome = {"cancel": "cancelled", "drain": "drained"}[losers]
    assert wait_for(lambda: loser.outcome == outcome)
    assert missed
    assert missed[0].reply is None
    assert sorted(claimed) == ["a", "b"]
    assert (loser.usage is not None) == (losers == "drain")


def test_closing_the_router_ends_what_is_drained(servers, fleet_of):
    """No task is left."""
    servers[0].fault(latency=30)

    async def main():
        router = fleet_of(Hedge(after=0.05, budget=1, losers="drain"), count=2)
        await router.achat("Hello")
        await router.aclose()
        await asyncio.sleep(0)
        return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]

    begun = time.monotonic()
    left = asyncio.run(main())
    assert time.monotonic() - begun < 5
    assert len(left) <= 1  # the exchange itself, which asyncio.run cancels


# ------------------------------------------------------------------------------------------------ leaving


@pytest.mark.parametrize("strategy", [Race(), Hedge(after=0.05, budget=1)])
def test_a_cancelled_call_leaves_nothing_open(silent, strategy):
    """Whoever was asked."""
    router = Router([silent.client(), silent.client()], strategy)
    token = CancelToken()
    threading.Timer(0.3, token.cancel).start()
    begun = time.monotonic()
    with pytest.raises(CallCancelledError):
        router.chat("Hello", cancel=token)
    assert time.monotonic() - begun < 5
    assert silent.asked == 2
    assert wait_for(lambda: silent.open == 0, 1)
    assert all(one.in_flight == 0 for one in router.state())


@pytest.mark.parametrize("strategy", [Race(), Hedge(after=0.05, budget=1)])
def test_a_cancelled_task_leaves_nothing_open(silent, strategy):
    """asyncio: the tasks of all targets end with it."""
    router = Router([silent.client(), silent.client()], strategy)

    async def main():
        task = asyncio.create_task(router.achat("Hello"))
        await asyncio.sleep(0.3)
        assert silent.asked == 2
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.3)
        assert silent.open == 0

    asyncio.run(main())
    assert all(one.in_flight == 0 for one in router.state())


@pytest.mark.parametrize("strategy", [Race(), Hedge(after=0.05, budget=1)])
def test_losers_close_their_sockets_at_once(silent, servers, fleet_of, ask, strategy):
    """Before their servers have said a word."""
    quick = servers[0].client("openai/gpt-4o")
    answer = ask(Router([silent.client(), quick], strategy), "Hello")
    quick.close()
    assert answer.routing.attempts[0].outcome == "cancelled"
    assert wait_for(lambda: silent.open == 0, 1)


def test_many_races_leak_nothing(servers, fleet_of, ask):
    """No socket, thread or task; no warning either."""
    router = fleet_of(Race())
    ask(router, "Hello")
    before = threading.active_count()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(20):
            ask(router, "Hello")
        gc.collect()
    assert wait_for(lambda: threading.active_count() <= before + 2)
    assert all(one.in_flight == 0 for one in router.state())
    assert wait_for(lambda: sum(server.open_connections for server in servers) <= 6)
