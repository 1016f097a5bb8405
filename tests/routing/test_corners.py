"""Where two features of a router meet."""

import asyncio
import gc
import json
import threading
import time

import pytest

from provider_kit import (
    AllProvidersFailedError,
    CallCancelledError,
    CancelToken,
    ConfigError,
    DeadlineExceededError,
    Hedge,
    Race,
    RateLimitError,
    Router,
    Target,
)


@pytest.fixture
def targets_of(servers):
    """A function: targets a, b, c over real HTTP."""
    made = []

    def make(names="ab", **options):
        options = {"max_retries": 0, **options}
        found = []
        for name in names:
            client = servers["abc".index(name)].client("openai/gpt-4o", **options)
            made.append(client)
            found.append(Target(client, name=name))
        return found

    yield make
    for client in made:
        client.close()


# ------------------------------------------------------------------------------------------------ races


def test_racers_share_one_deadline_and_each_has_all_of_it(servers, targets_of, ask):
    """They run side by side, so nobody gets half of the time."""
    servers[0].fault(latency=0.7)
    servers[1].fault(500)
    answer = ask(Router(targets_of(), Race(timeout=None), total_timeout=1.0), "Hello")
    assert answer.routing.target == "a"


def test_the_deadline_of_a_race_is_that_of_the_call(servers, targets_of, ask):
    """Its error is the one of a late call."""
    for server in servers[:2]:
        server.fault(latency=2)
    with pytest.raises(DeadlineExceededError) as caught:
        ask(Router(targets_of(), Race(timeout=None), total_timeout=0.3), "Hello")
    assert caught.value.routing.strategy == "race"


def test_a_judge_takes_the_next_best_if_the_best_is_not_accepted(servers, targets_of, ask):
    """fallback_on decides about answers in races, too."""
    servers[0].reply("long refused answer")
    servers[1].reply("ok")
    router = Router(
        targets_of(),
        Race(judge=lambda reply: len(reply.text), grace=0.5),
        fallback_on=lambda outcome: "refused" in getattr(outcome, "text", "") or None,
    )
    assert ask(router, "Hello").text == "ok"


JUDGED = [Race(judge=lambda reply: 1, grace=0.1), Hedge(after=0.1, budget=1)]


@pytest.mark.parametrize("strategy", JUDGED, ids=["race", "hedge"])
def test_losers_of_judged_answers_are_on_the_answer(servers, targets_of, ask, strategy):
    """What they may be billed makes its cost a minimum."""
    servers[0].fault(latency=1)
    answer = ask(Router(targets_of(), strategy, fallback_on=lambda outcome: None), "Hello")
    assert answer.routing.target == "b"
    assert [one.error for one in answer.attempts] == ["CallCancelledError", None]
    assert answer.cost_is_minimum


def test_a_cancelled_race_tells_what_it_did(servers, targets_of):
    """error.routing, as everywhere."""
    for server in servers[:2]:
        server.fault(latency=3)
    token = CancelToken()
    threading.Timer(0.2, token.cancel).start()
    with pytest.raises(CallCancelledError) as caught:
        Router(targets_of(), Race()).chat("Hello", cancel=token)
    assert len(caught.value.routing.attempts) == 2


def test_defaults_of_targets_count_as_effects(servers, targets_of, ask):
    """A hedge would do twice what they ask for."""
    servers[0].fault(latency=0.4)
    targets = [Target(one.target, name=one.name, defaults={"extra_body": {"store": True}}) for one in targets_of()]
    answer = ask(Router(targets, Hedge(after=0.05, budget=1)), "Hello")
    assert [one.target for one in answer.routing.attempts] == ["a"]


# ------------------------------------------------------------------------------------------------ held-back streams


def test_a_stream_that_stalls_while_it_is_held_back_is_left(servers, targets_of, call, monkeypatch):
    """After the time in which its rate is measured, not after its idle timeout."""
    monkeypatch.setattr("provider_kit.routing.slow_streams._SECONDS", 0.4)
    servers[0].reply("one two three four five six")
    servers[0].fault(stall_after=3)
    servers[1].reply("fine")
    begun = time.monotonic()
    answer = call.stream(Router(targets_of(), min_rate=50), "Hello")[1]
    assert answer.text == "fine"
    assert time.monotonic() - begun < 2
    assert "stalled" in answer.routing.attempts[0].reason
    assert answer.cost_is_minimum
    assert len(answer.attempts) == 2


def test_a_slow_stream_that_keeps_the_rate_is_delivered(servers, targets_of, call, monkeypatch):
    """Its time is up before it is complete, or has 256 characters; it has not stalled."""
    monkeypatch.setattr("provider_kit.routing.slow_streams._SECONDS", 0.4)
    servers[0].reply("one two three four five six seven eight nine ten eleven twelve")
    servers[0].fault(token_delay=0.08)
    answer = call.stream(Router(targets_of(), min_rate=5), "Hello")[1]
    assert answer.text.endswith("eleven twelve")
    assert [one.outcome for one in answer.routing.attempts] == ["answered"]


@pytest.mark.parametrize("options", [{"min_rate": 50}, {"fallback_on": "refusal"}], ids=["held back", "judged"])
def test_a_stream_that_breaks_before_anything_was_delivered_is_left(servers, targets_of, call, options):
    """Its reader has seen nothing of it."""
    servers[0].reply("one two three four five six")
    servers[0].fault(cut_after=4)
    servers[1].reply("fine")
    chunks, answer = call.stream(Router(targets_of(), **options), "Hello")
    assert "".join(chunk.text for chunk in chunks) == answer.text == "fine"
    assert [one.number for one in answer.attempts] == [1, 2]
    assert answer.routing.attempts[0].usage is not None


# ------------------------------------------------------------------------------------------------ groups


def test_a_group_keeps_its_own_options(fleet, ask):
    """Defaults, timeouts, total timeout, and what with_options changed."""
    inner = Router(fleet.targets("a"), defaults={"temperature": 0.3, "system": "Be nice."}, total_timeout=7, name="in")
    ask(Router([inner]), "Hello")
    sent = json.loads(fleet.requests[-1].body)
    assert sent["temperature"] == 0.3
    assert sent["messages"][0]["content"] == "Be nice."
    target = Router([inner]).inner_handler.targets[0]
    assert target.total == 7
    two = Router(fleet.targets("ab"), aliases={"second": ["b"]}, name="two")
    assert ask(Router([two.with_options(model="second")]), "Hello").text == "b"


def test_what_continues_an_answer_finds_its_target_through_groups(fleet, call):
    """From outside and from inside."""
    content = [{"type": "output_text", "text": "Hi"}]
    output = [{"type": "message", "role": "assistant", "content": content}]
    payload = {"json": {"id": "resp_7", "status": "completed", "output": output}}
    targets = fleet.targets("abc", options={"use_responses_api": True})
    inner = Router(targets[1:], name="in")
    outer = Router([targets[0], inner])
    fleet.script("a", fleet.error(500))
    fleet.script("b", fleet.error(500))
    fleet.script("c", payload, payload, payload)
    answer = call.chat(outer, "Hello")
    more = {"extra_body": {"previous_response_id": answer.id}}
    call.chat(outer, "And?", **more)
    call.chat(inner, "And?", **more)
    assert fleet.asked == ["a", "b", "c", "c", "c"]


def test_the_last_target_of_a_group_is_not_retried_while_others_can_answer(fleet, ask):
    """The outer router has another one."""
    from provider_kit import Backoff

    inner = Router([Target(fleet.client("a", retry=Backoff(3)), name="a")], name="in")
    fleet.script("a", *(fleet.error(503) for _ in range(4)))
    assert ask(Router([inner, *fleet.targets("b")]), "Hello").text == "b"
    assert fleet.asked == ["a", "b"]


def test_errors_that_are_left_count_inside_groups(fleet, ask):
    """fallback_on looks into the error of a group."""
    inner = Router(fleet.targets("ab"), name="in")
    for name in "ab":
        fleet.script(name, fleet.error(429))
    assert ask(Router([inner, *fleet.targets("c")], fallback_on=RateLimitError), "Hello").text == "c"


def test_an_answer_of_the_cache_tells_its_routing(fleet, ask):
    """Whole or streamed."""
    router = Router([fleet.client("a", response_cache=True)])
    ask(router, "Hello")
    again = ask(router, "Hello")
    assert again.cache == "hit"
    assert again.routing.target == "a/gpt-4o"
    assert fleet.asked == ["a"]


# ------------------------------------------------------------------------------------------------ closing


def test_a_router_can_be_closed_while_it_drains(servers, targets_of):
    """From a plain call inside a loop, from another loop, and in the blocking world: what drains ends."""
    router = Router(targets_of(), Race(losers="drain"))
    servers[0].reply("word " * 40)
    servers[0].fault(latency=0.3, token_delay=0.3)

    async def main():
        answer = await router.achat("Hello")
        router.close()
        await asyncio.sleep(0.5)
        return answer

    answer = asyncio.run(main())
    assert {one.outcome for one in answer.routing.attempts} == {"answered", "cancelled"}
    servers[0].reply("word " * 40)
    servers[0].fault(latency=0.3, token_delay=0.3)
    with router.stream("Hello") as stream:
        list(stream)
    routing = stream.response.routing
    router.close()
    until = time.monotonic() + 2
    while any(one.outcome == "draining" for one in routing.attempts) and time.monotonic() < until:
        time.sleep(0.01)
    assert {one.outcome for one in routing.attempts} == {"answered", "cancelled"}


def test_a_stream_whose_caller_leaves_while_it_is_told_of_is_closed(servers, targets_of):
    """Without the help of the collector."""
    servers[0].fault(500)
    servers[1].reply("word " * 40)
    servers[1].fault(token_delay=0.2)

    async def slow(event):
        if "failed over" in event.message:
            await asyncio.sleep(5)

    router = Router(targets_of(), on_event=slow)

    async def main():
        async def read():
            async with router.astream("Hello") as stream:
                async for _ in stream:
                    pass

        task = asyncio.create_task(read())
        await asyncio.sleep(0.6)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert all(one.in_flight == 0 for one in router.state())

    gc.disable()
    try:
        asyncio.run(main())
    finally:
        gc.enable()


# ------------------------------------------------------------------------------------------------ mistakes


def test_a_strategy_of_ones_own_has_clear_errors(fleet, ask):
    """What it raises, and what it returns."""

    def raising(now, request, state):
        return 1 / 0

    def names(now, request, state):
        return [target.name for target in state.targets]

    def nothing(now, request, state):
        return None

    for strategy, words in (
        (raising, "The strategy raising failed: ZeroDivisionError"),
        (names, "which is none of its targets"),
        (nothing, "The strategy nothing failed: TypeError"),
    ):
        with pytest.raises(ConfigError, match=words):
            ask(fleet.router("ab", strategy), "Hello")
    assert fleet.asked == []


def test_a_function_of_keys_has_clear_errors(fleet, ask):
    """What it raises, and what it returns."""
    with pytest.raises(ConfigError, match=r"sticky: .* failed: ZeroDivisionError"):
        ask(fleet.router("ab", "random", sticky=lambda request: 1 / 0), "Hello")
    with pytest.raises(ConfigError, match=r"sticky: .* returned int"):
        ask(fleet.router("ab", "random", sticky=lambda request: 7), "Hello")


def test_explaining_uses_up_no_turn(fleet):
    """What it says is what happens next."""
    for strategy in ("round_robin", "random", "weighted"):
        router = fleet.router("abc", strategy, seed=4)
        for _ in range(6):
            expected = router.explain("Hello").targets[0].name
            assert router.chat("Hello").routing.target == expected


async def _never(now, request, state):
    return list(state.targets)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Router(["demo/echo"], ["fallback"]),
        lambda: Router(["demo/echo"], {}),
        lambda: Router(["demo/echo"], _never),
        lambda: Router(["demo/echo"], aliases={"s": [["a"]]}),
        lambda: Router(["demo/echo"], seed=[]),
        lambda: Router(["demo/echo"], store=5),
        lambda: Router(["demo/echo"], timeout=-1),
        lambda: Router(["demo/echo"], total_timeout="soon"),
        lambda: Router([Target("demo/echo"), Target("demo", model="echo")]),
        lambda: Router([Target(Router(["demo/echo"]), model="nothing")]),
        lambda: Hedge(strategy=[]),
        lambda: Target("demo/echo", weight=10**400),
        lambda: Router([Target(Router(["demo/echo"]), defaults={"temperature": 0})]),
    ],
)
def test_odd_arguments_are_refused(make):
    """By a typed error, when it is made."""
    with pytest.raises(ConfigError):
        make()


def test_no_secret_is_shown_in_a_mistake():
    """Neither a key nor the password of an address."""
    with pytest.raises(ConfigError) as caught:
        Router([{"provider": "openai", "api_key": "sk-proj-abcdefghijklmnop"}])
    assert "sk-proj" not in str(caught.value)
    address = "https://user:a-password@host.test/v1"
    with pytest.raises(ConfigError) as caught:
        Router([Target(address, model="m"), Target(address, model="m")])
    assert "a-password" not in str(caught.value)


def test_credentials_after_other_options():
    """A router made from names knows its clients after with_options, too."""
    router = Router(["demo/echo"])
    made = router.with_options(temperature=0.5).with_options(api_key="sk-0123456789abcdef")
    assert made.chat("Hello").text == "Hello"


def test_all_failing_in_a_group_is_one_error(fleet, ask):
    """Every attempt once."""
    inner = Router(fleet.targets("ab"), name="in")
    for name in "abc":
        fleet.script(name, fleet.error(500))
    with pytest.raises(AllProvidersFailedError) as caught:
        ask(Router([inner, *fleet.targets("c")]), "Hello")
    assert [one.provider for one in caught.value.attempts] == ["a", "b", "c"]


def test_a_timeout_of_the_router_is_that_of_each_target(servers, targets_of, ask):
    """Where neither the call nor the target is given one."""
    servers[0].fault(latency=4)
    begun = time.monotonic()
    assert ask(Router(targets_of(), timeout=0.3), "Hello").routing.target == "b"
    assert time.monotonic() - begun < 3
