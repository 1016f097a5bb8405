"""Metrics of clients and routers: what is counted, where it is shown, and that it stays small."""

import asyncio
import gc
import json
import threading
import tracemalloc
from decimal import Decimal

import pytest

from provider_kit import (
    CallEnded,
    CallMetrics,
    Client,
    ConfigError,
    Metrics,
    ProviderKitError,
    RetryScheduled,
    Router,
    ScriptedTransport,
)
from provider_kit.observability.histogram import Histogram

KEY = "test-key-0123456789"
PRICES = {"*": {"pricing": {"input": "1", "output": "2", "cache_read": "0.1"}}}


def test_what_a_client_did(call, fake_server):
    """Requests, outcomes, times, tokens, cost."""
    client = fake_server.client(max_retries=0, model_overrides=PRICES)
    replies = [call.chat(client, "Hello"), call.stream(client, "Hello")[1]]
    fake_server.fault(500)
    with pytest.raises(ProviderKitError):
        call.chat(client, "Hello")
    metrics = client.metrics
    assert (metrics.request_count, metrics.success_count, metrics.error_count) == (3, 2, 1)
    assert metrics.tokens_used == sum(reply.usage.total_tokens for reply in replies)
    assert metrics.output_tokens == sum(reply.usage.output_tokens for reply in replies)
    assert metrics.cost == sum(reply.cost for reply in replies) > 0
    assert metrics.total_latency > metrics.average_latency > 0
    assert metrics.latency.p50 <= metrics.latency.p95 <= metrics.latency.p99
    assert metrics.first_token.p50 > 0
    assert metrics.success_rate == pytest.approx(2 / 3)
    assert metrics.last_request_time >= metrics.last_error_time >= metrics.last_success_time > 1e9
    assert metrics.last_error.startswith("InternalServerError")
    assert metrics.health_status == "degraded"
    assert metrics.errors == {"provider_server_error": 1}
    (summary,) = metrics.error_summary()
    assert (summary.type, summary.count, summary.provider, summary.model) == (
        "provider_server_error",
        1,
        "openai",
        "gpt-4o",
    )


def test_by_provider_model_and_key(call, fake_server):
    """Sums of the parts are the whole."""
    client = fake_server.client(api_keys=["sk-first-0123456789abcdef", "sk-second-0123456789abcdef"])
    for model in ("a", "b", "b", "b"):
        call.chat(client, "Hello", model=model)
    found = client.metrics.snapshot()
    assert {name: one.request_count for name, one in found.by_model.items()} == {"a": 1, "b": 3}
    assert {name: one.request_count for name, one in found.by_provider.items()} == {"openai": 4}
    assert {status.id for status in client.keys.status()} == set(found.by_key)
    assert sum(one.request_count for one in found.by_key.values()) == 4
    assert client.metrics.model("b").request_count == 3
    assert client.metrics.model("unknown") == CallMetrics()
    assert client.metrics.provider("openai").tokens_used == found.total.tokens_used
    assert client.metrics.top_models(1) == [("b", 3)]
    assert client.metrics.top_models(by="output_tokens")[0][0] == "b"
    assert json.dumps(found.to_dict())
    with pytest.raises(ConfigError, match="no metric 'requests'"):
        client.metrics.top_models(by="requests")


def test_a_router_counts_its_calls_and_those_of_its_targets(call, fake_server):
    """Its own in total, theirs by provider; what failed targets used counts as well."""
    first, second = (fake_server.client(name=name, max_retries=0) for name in ("first", "second"))
    router = Router([first, second])
    fake_server.fault(500)
    call.chat(router, "Hello")
    call.stream(router, "Hello")
    found = router.metrics.snapshot()
    assert (found.total.request_count, found.total.success_count, found.total.error_count) == (2, 2, 0)
    assert {name: (one.request_count, one.error_count) for name, one in found.by_provider.items()} == {
        "first": (2, 1),
        "second": (1, 0),
    }
    assert found.total.attempt_count == 3
    assert found.total.tokens_used == sum(one.tokens_used for one in found.by_provider.values()) > 0
    assert found.events["failover"] >= 1
    assert first.metrics.request_count == 2


def test_a_router_in_a_router_counts_once(call, fake_server):
    """The outer one counts its own call."""
    inner = Router([fake_server.client()], name="inner")
    outer = Router([inner], name="outer")
    call.chat(outer, "Hello")
    assert (outer.metrics.request_count, inner.metrics.request_count) == (1, 1)
    assert outer.metrics.snapshot().by_provider["openai"].request_count == 1


def test_cached_answers_are_told_apart(call, fake_server):
    """They used nothing."""
    client = fake_server.client(response_cache=True)
    reply = call.chat(client, "Hello")
    call.chat(client, "Hello")
    metrics = client.metrics
    assert (metrics.request_count, metrics.cache_hit_count, metrics.attempt_count) == (2, 1, 1)
    assert metrics.tokens_used == reply.usage.total_tokens


def test_embeddings_and_lists_count_as_calls(call):
    """With their tokens, where they have some."""
    client = Client("demo")
    call.embed(client, ["a b", "c"], model="demo-embed")
    call.models(client)
    metrics = client.metrics
    assert metrics.request_count == 2


def test_switched_off(call):
    """Nothing is counted, and the property says why."""
    client = Client("demo/echo", metrics=False)
    call.chat(client, "Hello")
    with pytest.raises(ConfigError, match="switched off"):
        _ = client.metrics
    with pytest.raises(ConfigError, match="must be True, False or a Metrics"):
        Client("demo/echo", metrics="yes")


def test_shared_by_several_clients(call):
    """One object for all of them."""
    shared = Metrics()
    for _ in range(3):
        call.chat(Client("demo/echo", metrics=shared), "Hello")
    assert shared.request_count == 3


def test_other_options_are_counted_together(call, fake_server):
    """With other credentials, too."""
    client = fake_server.client()
    call.chat(client.with_options(temperature=0), "Hello")
    call.chat(client.with_options(api_key="sk-another-0123456789"), "Hello")
    assert client.metrics.request_count == 2
    assert len(client.metrics.snapshot().by_key) == 2


def test_reset(call):
    """It begins again at zero."""
    client = Client("demo/echo")
    call.chat(client, "Hello")
    client.metrics.reset()
    assert client.metrics.request_count == 0
    assert client.metrics.snapshot().by_model == {}


def test_subscriptions(call, fake_server):
    """Filtered, and what is lost is counted."""
    client = fake_server.client(retry=lambda error, attempt: 0.0 if attempt == 1 else None)
    everything = client.metrics.subscribe()
    ends = client.metrics.subscribe(kinds=[CallEnded], where=lambda event: event.operation == "chat", buffer=2)
    called = []
    client.metrics.subscribe(called.append, kinds=[RetryScheduled])
    fake_server.fault(500)
    for _ in range(4):
        call.chat(client, "Hello")
    call.stream(client, "Hello")
    names = [event.name for event in everything.take()]
    assert {"request", "success", "call_end", "retry"} <= set(names)
    assert names.count("call_end") == 5
    assert [event.operation for event in ends.take()] == ["chat", "chat"]
    assert ends.overflow == 2
    assert [event.name for event in called] == ["retry"]
    assert ends.take() == []
    ends.close()
    ends.close()
    call.chat(client, "Hello")
    assert ends.take() == []


def test_percentiles_are_within_four_percent():
    """For one time exactly, and for many of any size."""
    import random

    one = Histogram()
    one.add(0.5)
    assert one.percentiles().p50 == one.percentiles().p99 == 0.5
    chance = random.Random(1)
    times = sorted(chance.lognormvariate(0, 1.5) for _ in range(10_000))
    many, other = Histogram(), Histogram()
    for number, seconds in enumerate(times):
        (many if number % 2 else other).add(seconds)
    many.merge(other)
    for share in (0.5, 0.9, 0.95, 0.99):
        assert many.quantile(share) == pytest.approx(times[int(share * len(times)) - 1], rel=0.04)
    assert many.count == 10_000
    assert many.average == pytest.approx(sum(times) / len(times))
    assert Histogram().quantile(0.5) is None


class Quick(ScriptedTransport):
    """The same answer to every request, at once."""

    def __init__(self):
        choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
        super().__init__([{"json": {"id": "c", "choices": [choice], "usage": usage}}], repeat=True)

    def _next(self, request):
        entry = super()._next(request)
        self.requests.clear()
        return entry


def test_made_up_models_do_not_grow_it():
    """The first ones are told apart, the others counted together; the sums stay exact."""
    client = Client("https://fake.test/v1", model="m", api_key=KEY, transport=Quick(), model_overrides=PRICES)
    for number in range(2_500):
        client.chat("Hello", model=f"made-up-{number}")
    found = client.metrics.snapshot()
    assert len(found.by_model) == 201
    assert found.by_model["other"].request_count == 2_300
    assert found.total.request_count == 2_500
    assert found.total.tokens_used == 25_000
    assert found.total.cost == 2_500 * (7 * Decimal(1) + 3 * Decimal(2)) / 1_000_000


def test_memory_is_constant():
    """Ten times as many calls take no more of it."""
    client = Client("https://fake.test/v1", model="m", api_key=KEY, transport=Quick())

    def ask(count):
        for number in range(count):
            client.chat("Hello", model=f"m-{number % 50}")
        client.metrics.snapshot()
        gc.collect()

    ask(500)
    tracemalloc.start()
    try:
        ask(300)
        before = tracemalloc.get_traced_memory()[0]
        ask(3_000)
        assert tracemalloc.get_traced_memory()[0] - before < 60_000
    finally:
        tracemalloc.stop()


def test_threads_and_tasks_lose_nothing(fake_server):
    """Every call is counted once."""
    client = Client("demo/echo")

    async def many():
        await asyncio.gather(*(client.achat("Hello") for _ in range(50)))
        await client.aclose()

    def ask():
        for _ in range(50):
            client.chat("Hello")
        asyncio.run(many())

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        client.metrics.snapshot()
    for thread in threads:
        thread.join()
    assert client.metrics.request_count == client.metrics.success_count == 400
    client.close()


def test_nothing_answers_that_is_no_number():
    """A typing mistake is an AttributeError, as everywhere."""
    with pytest.raises(AttributeError):
        _ = Client("demo/echo").metrics.request_cout
    assert "request_count" in dir(Client("demo/echo").metrics)
