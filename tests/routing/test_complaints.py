"""What users of other routers complained about, each as a promise."""

import asyncio
import threading
import time
from collections import Counter

import pytest

from provider_kit import (
    AllProvidersFailedError,
    Backoff,
    BadRequestError,
    Client,
    ConfigError,
    ContextLengthExceededError,
    Hedge,
    InternalServerError,
    InvalidRequestError,
    Race,
    RateLimitConfig,
    RateLimitError,
    Router,
    StreamError,
    Target,
    Tool,
    load_config,
)
from provider_kit.policies.failure_rules import FAILURE_RULES
from provider_kit.policies.routing.hedging import HedgeBudget
from provider_kit.policies.routing.plan import order_of
from provider_kit.policies.routing.state import RouteRequest, RouterState, TargetState
from provider_kit.policies.routing.strategies import STRATEGIES
from provider_kit.testing import FakeServer, Fault


def test_01_the_last_candidate_is_never_locked_out(fleet, ask):
    """All cool down: the one that returns first is asked at once, or waited for with wait=."""
    router = fleet.router("ab")
    fleet.script("a", fleet.error(429, retry_after=30))
    fleet.script("b", fleet.error(429, retry_after=10))
    with pytest.raises(AllProvidersFailedError):
        ask(router, "Hello")
    assert ask(router, "Hello").text == "b"
    assert fleet.transport.sleeps == []


def test_02_failures_take_a_target_out_and_keep_it_out(fleet, ask):
    """25 failures in a row do not leave it in rotation; no call reaches it before its time."""
    router = fleet.router("ab", "round_robin")
    fleet.script("a", *(fleet.error(500) for _ in range(25)))
    for _ in range(25):
        ask(router, "Hello")
    assert fleet.asked.count("a") == 3
    assert router.state()[0].state == "cooling"
    fleet.asked.clear()
    for _ in range(60):
        ask(router, "Hello")
        fleet.transport.advance(0.49)
    assert "a" not in fleet.asked


def test_03_a_dead_host_is_left_by_the_kind_of_its_error(ask):
    """Connection errors count; no text is compared."""
    with FakeServer() as server:
        dead = Client("openai/gpt-4o", base_url="http://127.0.0.1:9/v1", api_key="k" * 20, max_retries=0)
        alive = server.client("openai/gpt-4o")
        router = Router([dead, alive])
        for _ in range(5):
            assert ask(router, "Hello").routing.target != router.targets[0]
        assert router.state()[0].requests == 3
        assert router.state()[0].state == "cooling"
        alive.close()


def test_04_the_state_of_every_target_can_be_seen(fleet, ask):
    """State, reason, since, until, failures, in flight."""
    router = fleet.router("ab")
    fleet.script("a", fleet.error(429, retry_after=30))
    ask(router, "Hello")
    one, other = router.state()
    assert (one.state, one.reason) == ("cooling", "its rate limit is reached")
    assert one.until - one.since == pytest.approx(30)
    assert one.failures == 0  # a limit is no failure of the provider
    assert one.requests == 1
    assert (other.state, other.in_flight, other.until) == ("ready", 0, None)
    fleet.transport.advance(31)
    assert router.state()[0].state == "returning"


def test_05_no_target_left_is_a_typed_error(fleet, ask):
    """With the earliest return, the attempts and a status; it counts against no target."""
    router = fleet.router("ab")
    for name in "ab":
        fleet.script(name, fleet.error(429, retry_after=20))
    with pytest.raises(AllProvidersFailedError) as caught:
        ask(router, "Hello")
    assert caught.value.retry_after == pytest.approx(20)
    assert caught.value.status_code == 429
    assert len(caught.value.attempts) == 2
    assert all(one.failures == 0 for one in router.state())


@pytest.mark.parametrize(
    "fault",
    [
        Fault(cut_after=0),
        Fault(stall_after=0, ping=True),
        Fault(malformed=True),
        Fault(error_after=0),
        Fault(reset=True),
    ],
    ids=["cut", "stall", "bad JSON", "error event", "reset"],
)
def test_06_a_stream_that_fails_before_its_first_content_is_another_targets(call, fault):
    """A cut, a stall and bad JSON, all three; afterwards it is a StreamError with its part."""
    with FakeServer() as bad, FakeServer() as good:
        bad.fault(fault)
        good.reply("fine")
        clients = [bad.client("openai/gpt-4o", max_retries=0, timeout=0.3), good.client("openai/gpt-4o")]
        router = Router(clients)
        assert call.stream(router, "Hello")[1].text == "fine"
        bad.reply("one two three four five")
        bad.fault(cut_after=3)
        with pytest.raises(StreamError) as caught:
            call.stream(router, "Hello")
        assert caught.value.partial.text
        for client in clients:
            client.close()


@pytest.mark.parametrize("options", [{}, {"use_responses_api": True}], ids=["chat", "responses"])
@pytest.mark.parametrize(
    "target", ["openai/gpt-4o", "anthropic/claude-sonnet-4-5", "gemini/gemini-2.5-flash", "ollama/x"]
)
def test_07_every_api_falls_over_streamed_or_not(ask, target, options):
    """There is one path for all of them."""
    if options and not target.startswith("openai"):
        return
    with FakeServer() as bad, FakeServer() as good:
        good.reply("fine")
        clients = [bad.client(target, max_retries=0, **options), good.client(target, **options)]
        bad.fault(500)
        assert ask(Router(clients), "Hello").text == "fine"
        for client in clients:
            client.close()


def test_08_retries_keys_and_targets_are_one_record(fleet, ask):
    """Retry, then key, then target; every attempt is in one list."""
    keys = ["sk-number-0123456-one", "sk-number-0123456-two"]
    first = fleet.client("a", retry=Backoff(1), api_key=None, api_keys=keys)
    fleet.script("a", fleet.error(401), fleet.error(500), fleet.error(500))
    answer = ask(Router([first, fleet.client("b")]), "Hello")
    assert [one.error for one in answer.attempts] == [
        "AuthenticationError",
        "InternalServerError",
        "InternalServerError",
        None,
    ]
    assert [one.number for one in answer.attempts] == [1, 2, 3, 4]
    assert len({one.key for one in answer.attempts[:3]}) == 2


def test_09_a_429_of_a_stream_arises_inside_the_attempt(fleet, call):
    """Headers and first event are awaited before anything is delivered."""
    fleet.script("a", fleet.error(429, retry_after=1))
    chunks, answer = call.stream(fleet.router("ab"), "Hello")
    assert answer.text == "b"
    assert "".join(chunk.text for chunk in chunks) == "b"


def test_10_fallback_false_holds_for_streams_too(fleet, ask):
    """It belongs to the call, not to what wraps it."""
    fleet.script("a", fleet.error(500))
    with pytest.raises(InternalServerError):
        ask(fleet.router("ab"), "Hello", fallback=False)
    assert fleet.asked == ["a"]


def test_11_too_long_skips_to_a_larger_window_and_names_both_causes(fleet, ask):
    """A smaller target would only hide why the first one failed."""
    windows = {"a": 1000, "b": 500, "c": 9000}
    clients = [
        fleet.client(name, model_overrides={"gpt-4o": {"context_window": size}}) for name, size in windows.items()
    ]
    fleet.script("a", fleet.error(400, "too long", "context_length_exceeded"))
    answer = ask(Router(clients), "Hello")
    assert (answer.text, fleet.asked) == ("c", ["a", "c"])
    assert "no larger" in answer.routing.excluded["b/gpt-4o"]
    fleet.script("a", fleet.error(400, "too long", "context_length_exceeded"))
    fleet.script("c", fleet.error(500, "broken"))
    with pytest.raises(AllProvidersFailedError) as caught:
        ask(Router(clients), "Hello")
    assert [type(one) for one in caught.value.exceptions] == [ContextLengthExceededError, InternalServerError]
    assert "too long" in str(caught.value)
    assert "broken" in str(caught.value)


def test_12_an_overflow_inside_a_stream_is_one_too(fleet, call):
    """HTTP 200, and the error as its first event."""
    overflow = b'data: {"error": {"message": "too long", "code": "context_length_exceeded"}}\n\n'
    fleet.script("a", {"stream": [overflow]})
    router = Router([fleet.client("a"), fleet.client("b", "openai/gpt-4.1")])
    answer = call.stream(router, "Hello")[1]
    assert answer.text == "b"
    assert answer.routing.attempts[0].error == "ContextLengthExceededError"


def test_13_a_wrong_list_is_told_when_it_is_made(tmp_path):
    """With the line of the file, and one matcher for all lists."""
    with pytest.raises(ConfigError, match="no target"):
        Router(["demo/echo"], aliases={"fast": ["demo/*"]})
    path = tmp_path / "c.yaml"
    path.write_text("providers: {demo: {}}\nrouting:\n  careful:\n    providers: [demo, dmo]\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert caught.value.problems[0].line == 4
    assert "demo" in caught.value.problems[0].remedy


@pytest.mark.parametrize("strategy", [*STRATEGIES, Hedge(after=5), Race()], ids=str)
@pytest.mark.parametrize("status", [403, 429])
def test_14_every_strategy_passes_the_same_loop(fleet, ask, strategy, status):
    """No target of a rule bypasses the fallback; the decision is on record."""
    for name in "ab":
        fleet.script(name, fleet.error(status))
    answer = ask(fleet.router("abc", strategy), "Hello")
    assert answer.text in "abc"
    assert answer.routing.reason
    assert answer.routing.attempts[-1].outcome in ("answered", "cancelled")


def test_15_what_falls_over_is_a_table_of_data():
    """Each failure has its row, and every strategy obeys it."""
    assert {row.next_provider for row in FAILURE_RULES} <= {
        *("no", "larger window", "keys gone", "after retries", "early", "yes"),
    }
    assert [row.failure for row in FAILURE_RULES if row.next_provider == "no"] == [
        "deadline passed",
        "stream cut late",
        "refused as it is",
        "not sent",
    ]


def test_16_a_limit_of_n_admits_exactly_n(fleet, ask):
    """Not one fewer."""
    limited = fleet.client("a", rate_limit=RateLimitConfig(requests_per_minute=5))
    router = Router([limited, fleet.client("b")])
    for _ in range(7):
        ask(router, "Hello")
    assert Counter(fleet.asked) == {"a": 5, "b": 2}


def test_17_limits_hold_for_concurrent_calls_and_are_used_up():
    """4 targets of 6 calls a minute serve 24 calls at once, each of them 6; none waits."""
    with FakeServer() as server:
        clients = [
            server.client(f"openai/gpt-4o{kind}", rate_limit=RateLimitConfig(requests_per_minute=6))
            for kind in ("", "-mini", "-2024-08-06", "-audio-preview")
        ]
        router = Router(clients, "round_robin")

        async def main():
            begun = time.monotonic()
            answers = await asyncio.gather(*(router.achat("Hello") for _ in range(24)))
            return answers, time.monotonic() - begun

        answers, took = asyncio.run(main())
        assert took < 20
        assert set(Counter(answer.routing.target for answer in answers).values()) == {6}


def test_18_a_limit_is_shared_by_routers_of_one_client(fleet, ask):
    """The client holds it, so it is not multiplied by its routers; a store shares it with other processes."""
    client = fleet.client("a", rate_limit=RateLimitConfig(requests_per_minute=4))
    routers = [Router([client, fleet.client("b")]) for _ in range(3)]
    for router in routers * 3:
        ask(router, "Hello")
    assert Counter(fleet.asked) == {"a": 4, "b": 5}


def test_19_no_weight_left_is_no_division_by_zero(fleet, ask):
    """Weight 0: only when nothing else is left."""
    router = Router(
        [Target(fleet.client("a"), weight=1, name="a"), Target(fleet.client("b"), weight=0, name="b")], "weighted"
    )
    fleet.script("a", fleet.error(500), fleet.error(500), fleet.error(500))
    assert [ask(router, "Hello").text for _ in range(5)] == ["b"] * 5
    assert fleet.asked.count("a") == 3


def test_20_priority_and_weight_are_two_things(fleet, ask):
    """Levels, and shares within a level."""
    targets = [
        Target(fleet.client("a"), weight=3, name="a"),
        Target(fleet.client("b"), weight=1, name="b"),
        Target(fleet.client("c"), priority=1, name="c"),
    ]
    router = Router(targets, "weighted", seed=3)
    answers = Counter(ask(router, "Hello").text for _ in range(200))
    assert answers["c"] == 0
    assert 130 < answers["a"] < 170
    fleet.script("a", fleet.error(429, retry_after=60))
    fleet.script("b", fleet.error(429, retry_after=60))
    assert ask(router, "Hello").text == "c"


def test_21_a_cancelled_loser_makes_the_cost_a_minimum(call):
    """What it is billed is unknown; the total says "at least"."""
    with FakeServer() as slow, FakeServer() as quick:
        slow.fault(latency=2)
        clients = [slow.client("openai/gpt-4o"), quick.client("openai/gpt-4o")]
        answer = call.chat(Router(clients, Race()), "Hello")
        assert answer.cost_is_minimum
        assert answer.routing.cost_is_minimum
        for client in clients:
            client.close()


def test_22_hedging_has_a_budget_and_stops_in_an_overload():
    """A share of the calls in a window; closed while many fail, or every target is slow."""
    budget = HedgeBudget(Hedge(budget=0.1))
    targets = [TargetState(name, usual=0.1, typical=0.1, measures=99) for name in "ab"]
    for _ in range(100):
        budget.called(0.0)
    assert budget.refuses(targets, 0.0) is None
    for target in targets:
        target.typical = 1.0
    assert budget.refuses(targets, 0.0) == "every target is slow"
    for _ in range(10):
        budget.hedged(0.0)
    assert budget.refuses([], 0.0) == "the budget is used up"


def test_23_nothing_with_effects_is_hedged(fleet, ask):
    """Off by default, and never with tools or stored answers."""
    router = fleet.router("ab", Hedge(after=0.001, budget=1))
    for options in ({"tools": [Tool("pay")]}, {"extra_body": {"store": True}}):
        answer = ask(router, "Hello", **options)
        assert [one.concurrent for one in answer.routing.attempts] == [False]


def test_24_what_had_arrived_is_on_record_before_anything_is_cancelled():
    """A 429 that came while the other one was answering."""
    with FakeServer() as one, FakeServer() as other:
        one.fault(429, latency=0.1, retry_after=9)
        other.fault(wait_until=lambda: one.requests, latency=0.3)
        clients = [one.client("openai/gpt-4o", max_retries=0), other.client("openai/gpt-4o")]
        router = Router(clients, Race())
        answer = router.chat("Hello")
        assert answer.routing.attempts[0].status_code == 429
        assert router.state()[0].state == "cooling"
        for client in clients:
            client.close()


def test_25_a_key_orders_all_targets_and_a_continuation_is_pinned(fleet, ask):
    """Not the first choice alone; and what continues an answer cannot move."""
    router = fleet.router("abc", "random")
    first = {ask(router, "Hello", cache_key="talk-7").text for _ in range(20)}
    assert len(first) == 1
    home = first.pop()
    after = set()
    for _ in range(5):
        fleet.script(home, fleet.error(503))
        after.add(ask(router, "Hello", cache_key="talk-7").text)
    assert len(after) == 1
    with pytest.raises(RateLimitError) as caught:
        for name in "abc":
            fleet.scripts.get(name, []).clear()
            fleet.script(name, fleet.error(429))
        ask(router, "Hello", extra_body={"previous_response_id": "resp_1"})
    assert "no other target was asked" in caught.value.hint


def test_26_a_virtual_model_tells_the_smallest_window(fleet, call):
    """So that nobody overfills it."""
    clients = [
        fleet.client(name, model_overrides={"gpt-4o": {"context_window": size}})
        for name, size in (("a", 900), ("b", 700))
    ]
    router = Router(clients, name="careful", aliases={"big": ["a/gpt-4o"]})
    found = {model.id: model.context_window for model in call.models(router)}
    assert found["careful"] == 700
    assert found["big"] == 900


def test_27_one_deadline_for_retries_targets_and_waits(fleet, ask):
    """30 s stay 30 s."""
    for name in "abc":
        fleet.script(name, *(fleet.after(7, fleet.error(500)) for _ in range(9)))
    begun = fleet.transport.now()
    with pytest.raises(Exception, match="500"):
        ask(fleet.router("abc", of={"retry": Backoff(3)}, wait=True), "Hello", total_timeout=30)
    assert fleet.transport.now() - begun <= 37  # the last exchange was begun in time; a real one is cut off


def test_no_answer_is_delivered_twice_by_threads(fleet):
    """Many threads share one router."""
    router = fleet.router("ab", "least_busy")
    found, threads = [], []
    for _ in range(8):
        thread = threading.Thread(target=lambda: found.extend(router.chat("Hello").text for _ in range(20)))
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join()
    assert len(found) == 160 == len(fleet.asked)
    assert all(one.in_flight == 0 for one in router.state())


def test_a_400_is_never_another_targets(fleet, ask):
    """Whatever the strategy."""
    fleet.script("a", fleet.error(400))
    with pytest.raises(BadRequestError):
        ask(fleet.router("ab"), "Hello")
    with pytest.raises(InvalidRequestError):
        ask(fleet.router("ab"), "Hello", temperature="hot")
    assert fleet.asked == ["a"]


def test_the_order_of_a_hundred_targets_is_whole():
    """Every target once."""
    state = RouterState([TargetState(str(number)) for number in range(100)], seed=1)
    for strategy in STRATEGIES.values():
        names = [one.name for one in order_of(0.0, RouteRequest(), state, strategy)]
        assert sorted(names, key=int) == [str(number) for number in range(100)]
