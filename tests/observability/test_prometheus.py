"""Prometheus: what is counted, exactly and boundedly, from any thread; and the dashboard and alerts that read it."""

import asyncio
import gc
import json
import os
import re
import subprocess
import sys
import threading
import time
import tracemalloc
import weakref
from decimal import Decimal

import prometheus_client
import pytest
import yaml
from asking import ask as ask_both
from asking import verbs, worlds
from prometheus_client import CollectorRegistry, Counter, generate_latest

from provider_kit import (
    APIError,
    Attempt,
    AuthenticationError,
    Backoff,
    CallEnded,
    CircuitBreakerConfig,
    CircuitClosed,
    CircuitHalfOpened,
    CircuitOpened,
    Client,
    ConfigError,
    Hedge,
    KeyDead,
    KeySwitched,
    MissingDependencyError,
    PrometheusMetrics,
    ProviderKitError,
    ResponseCache,
    Router,
    ScriptedTransport,
    Target,
)
from provider_kit.observability import prometheus_names
from provider_kit.observability.prometheus_names import alert_rules, dashboard
from provider_kit.testing import FakeServer
from provider_kit.wire.http import HttpResponse

KEY = "sk-test-0123456789abcdef"


def ask(*arguments, **options):
    """The text alone."""
    return ask_both(*arguments, **options)[0]


@pytest.fixture
def server():
    with FakeServer() as made:
        yield made


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def sink(registry):
    return PrometheusMetrics(registry)


@pytest.fixture
def read(registry):
    """A function: the samples of one name without zeros, by the values of their labels."""

    def samples(name):
        return {
            tuple(sample.labels[label] for label in sorted(sample.labels)): sample.value
            for metric in registry.collect()
            for sample in metric.samples
            if sample.name == f"ai_provider_{name}" and sample.value
        }

    return samples


# ------------------------------------------------------------------------------------------------ calls


@worlds
@verbs
def test_an_answer_is_counted(server, registry, sink, read, world, verb):
    """Under the names and labels of the guide; with its tokens, cost and times, as the client itself counts them."""
    client = server.client(plugins=[sink])
    assert ask(client, world, verb, "Hi")
    provider = {"provider": "openai"}
    assert registry.get_sample_value("ai_provider_requests_total", {**provider, "status": "success"}) == 1
    assert registry.get_sample_value("ai_provider_request_duration_seconds_count", provider) == 1
    assert registry.get_sample_value("ai_provider_request_duration_seconds_sum", provider) == pytest.approx(
        client.metrics.total_latency
    )
    assert read("attempts_total") == {("openai", "success"): 1}
    assert read("overhead_seconds_count") == {("openai",): 1}
    assert read("time_to_first_token_seconds_count") == ({} if verb == "chat" else {("openai",): 1})
    assert read("limiter_wait_seconds_count") == read("errors_total") == read("retries_total") == {}
    model = client.metrics.top_models()[0][0]
    assert read("tokens_total") == {
        (model, "openai", "input"): client.metrics.input_tokens,
        (model, "openai", "output"): client.metrics.output_tokens,
    }
    assert read("cost_usd_total") == {(model, "openai"): pytest.approx(float(client.metrics.cost))}
    client.close()


@worlds
@verbs
def test_a_failure_is_counted_with_whose_fault_it_is(server, sink, read, world, verb):
    """And each of its attempts with the class of its error."""
    server.always(503)
    client = server.client(on_event=[sink], retry=Backoff(2, base=0.001))
    with pytest.raises(ProviderKitError):
        ask(client, world, verb, "Hi")
    assert read("requests_total") == {("openai", "error"): 1}
    assert sum(read("errors_total").values()) == 1
    assert next(iter(read("errors_total")))[:1] == ("provider",)
    reasons = read("attempts_total")
    assert sum(reasons.values()) == client.metrics.attempt_count == 3
    assert list(read("retries_total").values()) == [2]
    assert {name for _, name in reasons} == {name for _, name in read("retries_total")}
    assert {name for _, name in reasons} <= prometheus_names.ERROR_CLASSES
    client.close()


@verbs
def test_a_retry_is_counted_by_what_went_wrong(server, sink, read, verb):
    """One call, two attempts, one retry."""
    server.fault(429)
    client = server.client(on_event=[sink], retry=Backoff(1, base=0.001))
    ask(client, "blocking", verb, "Hi")
    assert read("requests_total") == {("openai", "success"): 1}
    assert read("attempts_total") == {("openai", "RateLimitError"): 1, ("openai", "success"): 1}
    assert read("retries_total") == {("openai", "RateLimitError"): 1}
    assert sum(read("tokens_total").values()) == client.metrics.tokens_used
    client.close()


@worlds
def test_a_stream_that_its_reader_breaks_off_counts_once_as_cancelled(server, sink, read, world):
    """Whether it is closed or dropped."""
    server.reply("one two three four")
    client = server.client(on_event=[sink])

    async def main():
        stream = client.astream("Hi")
        async for _ in stream:
            break
        await stream.aclose()
        await client.aclose()

    if world == "asyncio":
        asyncio.run(main())
    else:
        for _ in client.stream("Hi"):
            break
        gc.collect()
    assert read("requests_total") == {("openai", "cancelled"): 1}
    assert read("attempts_total") == {("openai", "CallCancelledError"): 1}
    assert read("time_to_first_token_seconds_count") == read("request_duration_seconds_count") == {("openai",): 1}
    assert read("errors_total") == {}
    client.close()


@verbs
def test_an_answer_from_the_cache_is_a_success_that_took_no_time(server, sink, read, verb):
    """It used nothing of the provider."""
    client = server.client(on_event=[sink], response_cache=True)
    for _ in range(3):
        ask(client, "blocking", verb, "Hi", temperature=0)
    assert read("requests_total") == {("openai", "success"): 3}
    assert read("cache_hits_total") == {("openai",): 2}
    assert read("attempts_total") == {("openai", "success"): 1}
    assert read("request_duration_seconds_count") == {("openai",): 1}
    assert sum(read("tokens_total").values()) == client.metrics.tokens_used
    client.close()


def test_a_wait_for_a_slot_is_seen(server, sink, read):
    """Only calls that waited are counted."""
    server.fault(latency=0.1)
    client = server.client(on_event=[sink], max_concurrency=1)
    threads = [threading.Thread(target=client.chat, args=("Hi",)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read("limiter_wait_seconds_count") == {("openai",): 1}
    assert 0.02 < read("limiter_wait_seconds_sum")["openai",] < 5
    assert read("requests_total") == {("openai", "success"): 2}
    client.close()


@pytest.mark.parametrize(("waited", "counted"), [(1.004, {}), (2.5, {("p",): 1.5}), (0.9, {})])
def test_a_pause_between_two_attempts_is_no_wait_for_a_limit(sink, read, waited, counted):
    """Nor is its inaccuracy."""
    failed = Attempt(1, "p", "m", 0.1, "RateLimitError", waited=1.0)
    sink(ended(waited=waited, attempts=(failed, Attempt(2, "p", "m", 0.1))))
    assert read("limiter_wait_seconds_sum") == {place: pytest.approx(value) for place, value in counted.items()}
    assert read("retries_total") == {("p", "RateLimitError"): 1}


# ------------------------------------------------------------------------------------------------ routers


@worlds
@verbs
def test_a_fallback_names_both_targets_and_the_reason(sink, read, world, verb):
    """The targets count as calls of their providers, the router for itself; nothing counts twice."""
    with FakeServer() as first, FakeServer() as second:
        first.always(503)
        a = first.client("openai/gpt-4o", max_retries=0, on_event=[sink])
        b = second.client("anthropic/claude-sonnet-4-5", max_retries=0)
        router = Router([Target(a, name="a"), Target(b, name="b")], plugins=[sink], name="main")
        assert ask(router, world, verb, "Hi")
        assert read("router_requests_total") == {("main", "success"): 1}
        assert read("requests_total") == {("openai", "error"): 1, ("anthropic", "success"): 1}
        [((start, reason, end), count)] = read("fallbacks_total").items()
        assert (start, end, count) == ("a", "b", 1)
        assert reason in prometheus_names.ERROR_CLASSES
        assert read("attempts_total") == {("openai", reason): 1, ("anthropic", "success"): 1}
        for client in (a, b):
            client.close()


@worlds
@verbs
def test_targets_that_all_fail_are_a_failure_of_the_router(sink, read, world, verb):
    """With the step between them."""
    with FakeServer() as first, FakeServer() as second:
        clients = [one.client(max_retries=0) for one in (first, second)]
        first.always(503)
        second.always(429)
        router = Router([Target(one, name=name) for one, name in zip(clients, "ab", strict=True)], on_event=[sink])
        with pytest.raises(ProviderKitError):
            ask(router, world, verb, "Hi")
        assert list(read("router_requests_total").values()) == [1]
        assert sum(read("fallbacks_total").values()) == 1
        assert read("requests_total") == {("openai", "error"): 2}
        for client in clients:
            client.close()


def test_a_step_inside_a_group_counts_once(sink, read):
    """A router inside a router writes into the same record."""
    with FakeServer() as first, FakeServer() as second:
        clients = [one.client(max_retries=0) for one in (first, second)]
        first.always(503)
        group = Router([Target(one, name=name) for one, name in zip(clients, "ab", strict=True)], name="group")
        Router([Target(group, name="group")], on_event=[sink], name="main").chat("Hi")
        assert sum(read("fallbacks_total").values()) == 1
        assert read("router_requests_total")["main", "success"] == 1
        for client in clients:
            client.close()


@verbs
@pytest.mark.parametrize("won", [True, False])
def test_a_hedge_tells_whether_it_won(sink, read, verb, won):
    """The loser is a cancelled call of its provider."""
    with FakeServer() as first, FakeServer() as second:
        first.fault(latency=3 if won else 0.3)
        second.fault(latency=0 if won else 3)
        clients = [one.client(max_retries=0) for one in (first, second)]
        targets = [Target(one, name=name) for one, name in zip(clients, "ab", strict=True)]
        router = Router(targets, Hedge(after=0.1, budget=1), on_event=[sink], name="main")
        ask(router, "blocking", verb, "Hi")
        for client in clients:
            client.close()
        assert read("hedges_total") == {("main", "true" if won else "false"): 1}
        assert read("fallbacks_total") == {}
        assert read("router_requests_total") == {("main", "success"): 1}


# ------------------------------------------------------------------------------------------------ circuits and keys


def test_the_circuit_is_a_number(server, registry, sink):
    """Closed from the first call on; open after failures."""
    client = server.client(
        on_event=[sink], max_retries=0, circuit_breaker=CircuitBreakerConfig(min_requests=2), metrics=False
    )
    state = ("ai_provider_circuit_state", {"provider": "openai"})
    client.chat("Hi")
    assert registry.get_sample_value(*state) == 0
    server.always(503)
    for _ in range(20):
        with pytest.raises(ProviderKitError):
            client.chat("Hi")
    assert registry.get_sample_value(*state) == 2
    for kind, value in ((CircuitHalfOpened, 1), (CircuitOpened, 2), (CircuitClosed, 0)):
        sink(kind(time=0.0, provider="openai"))
        assert registry.get_sample_value(*state) == value
    client.close()


def test_a_refused_key_is_down_under_its_hash(server, registry, sink, read):
    """As the only key, and never by itself, not even in part."""
    server.fault(401)
    client = server.client(api_key=KEY, on_event=[sink])
    with pytest.raises(AuthenticationError):
        client.chat("Hi")
    [status] = client.keys.status()
    down = ("ai_provider_key_up", {"provider": "openai", "key_hash": status.id})
    assert registry.get_sample_value(*down) == 0
    assert read("key_rotation_events_total") == {("key_dead", "openai"): 1}
    text = generate_latest(registry).decode()
    assert KEY not in text
    assert KEY[-4:] not in text
    client.close()


def test_of_several_keys_the_refused_one_is_down(server, registry, sink, read):
    """It is known by the id it had before, and the other one is up."""
    keys = [KEY + "-one-1111", KEY + "-two-2222"]
    client = server.client(api_keys=keys, on_event=[sink])
    for _ in range(6):
        client.chat("Hi")
    assert set(read("key_up").values()) == {1}
    server.fault(401)
    for _ in range(3):
        client.chat("Hi")
    values = {
        sample.labels["key_hash"]: sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "ai_provider_key_up"
    }
    assert values == {one.id: 0 if one.state == "dead" else 1 for one in client.keys.status()}
    assert sorted(values.values()) == [0, 1]
    assert read("key_rotation_events_total")["key_dead", "openai"] == 1
    assert "2222" not in generate_latest(registry).decode()
    client.close()


def ended(model="m", outcome="success", key_id=None, waited=0.0, attempts=()):
    """The end of a call, made by hand."""
    return CallEnded(0.0, "p", model, "chat", "1", None, outcome, 1.0, None, waited, None, None, attempts, key_id)


def test_a_refused_key_of_unknown_id_is_named_by_what_is_shown_of_it(registry, sink):
    """Hashed; once it works it has the name of its id too, and both are up."""
    sink(KeyDead(time=0.0, provider="p", key="…1111", correlation_id="1"))
    sink(KeySwitched(time=0.0, provider="p", key="…2222", correlation_id="1"))
    with_second = (
        Attempt(1, "p", "m", 0.1, "AuthenticationError", key="…1111"),
        Attempt(2, "p", "m", 0.1, key="…2222"),
    )
    sink(ended(key_id="id-2", attempts=with_second))

    def values():
        text = generate_latest(registry).decode()
        assert "1111" not in text
        return sorted(re.findall(r'key_up\{key_hash="([^"]+)",provider="p"\} (\S+)', text))

    [(unknown, down), second] = values()
    assert (down, second) == ("0.0", ("id-2", "1.0"))
    sink(ended(key_id="id-1", attempts=(Attempt(1, "p", "m", 0.1, key="…1111"),)))
    assert dict(values()) == {unknown: "1.0", "id-1": "1.0", "id-2": "1.0"}
    sink(KeyDead(time=0.0, provider="p", key="…1111", correlation_id="2"))
    assert dict(values())["id-1"] == "0.0"


def test_a_budget_is_set_by_hand(registry, sink):
    """By name and unit; an unknown unit is refused."""
    sink.set_budget_remaining("team a", "usd", 12.5)
    labels = {"budget": "team a", "unit": "usd"}
    assert registry.get_sample_value("ai_provider_budget_remaining", labels) == 12.5
    with pytest.raises(ConfigError, match="unit"):
        sink.set_budget_remaining("team a", "pounds", 1)


# ------------------------------------------------------------------------------------------------ exact and bounded


USAGE = {
    "prompt_tokens": 10,
    "completion_tokens": 5,
    "total_tokens": 15,
    "prompt_tokens_details": {"cached_tokens": 2},
    "completion_tokens_details": {"reasoning_tokens": 1},
}


class FromMemory(ScriptedTransport):
    """Answers each request at once, whole or as a stream."""

    def __init__(self):
        super().__init__([])
        choice = {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
        self.body = json.dumps({"id": "1", "model": "gpt-4o", "choices": [choice], "usage": USAGE}).encode()
        pieces = [{"choices": [{"index": 0, "delta": {"content": word}}]} for word in ("a", "b", "c")]
        pieces.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": USAGE})
        self.pieces = [b"data: %s\n\n" % json.dumps({"id": "1", "model": "gpt-4o", **one}).encode() for one in pieces]

    def now(self):
        return time.perf_counter()

    def _next(self, request):
        return {"stream": [*self.pieces, b"data: [DONE]\n\n"]}

    async def send(self, request, limits):
        return HttpResponse(200, {"content-type": "application/json"}, self.body)


def load(client, calls, models, first=0):
    """Many calls: of every 20 one repeats a question that is cached, 10 are streams, one of which is broken off."""
    for number in range(first, first + calls):
        options = {"model": f"made-up-{number % models}" if number % 3 else "gpt-4o-mini"}
        turn = number % 20
        if turn == 0:
            client.chat("cached", model="gpt-4o", temperature=0)
        elif turn % 2:
            client.chat(f"Hi {number}", **options)
        else:
            stream = client.stream(f"Hi {number}", **options)
            for _ in stream:
                if turn == 2:
                    break
            stream.close()


def check_against(client, registry):
    """Every number of the registry against those of the client."""
    sums = {}
    for metric in registry.collect():
        for sample in metric.samples:
            place = (sample.name.removeprefix("ai_provider_"), sample.labels.get("status") or sample.labels.get("type"))
            if "le" not in sample.labels:
                sums[place] = sums.get(place, 0) + sample.value
    told = client.metrics.snapshot().total
    assert sums["requests_total", "success"] == told.success_count
    assert sums["requests_total", "cancelled"] == told.cancelled_count
    assert sums.get(("requests_total", "error"), 0) == told.error_count
    assert sums["cache_hits_total", None] == told.cache_hit_count
    assert sums["attempts_total", None] == told.attempt_count
    for kind in ("input", "output", "cache_read", "reasoning"):
        assert sums["tokens_total", kind] == getattr(told, f"{kind}_tokens")
    assert sums["cost_usd_total", None] == pytest.approx(float(told.cost), rel=1e-9)
    assert sums["request_duration_seconds_count", None] == told.request_count - told.cache_hit_count
    assert sums["request_duration_seconds_sum", None] == pytest.approx(told.total_latency)
    assert sums["overhead_seconds_sum", None] == pytest.approx(told.total_overhead)
    return told


def loaded(sink):
    return Client(
        "openai/gpt-4o",
        api_key=KEY,
        transport=FromMemory(),
        plugins=[sink],
        response_cache=ResponseCache(max_bytes=100_000),
    )


def test_five_thousand_calls_of_made_up_models_are_counted_to_the_unit_in_flat_memory(registry, sink):
    """As client.metrics counts them; no label grows, and nothing is kept of an answer."""
    client = loaded(sink)
    tracemalloc.start()
    load(client, 2000, 2500)  # until the caches of the client, which are bounded by names, are full
    generate_latest(registry)
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    load(client, 3000, 2500, 2000)
    size = len(generate_latest(registry))
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    told = check_against(client, registry)
    assert told.request_count == 5000
    assert told.cancelled_count == 250
    assert told.cache_hit_count == 249
    assert size < 200_000
    assert grown < 200_000
    models = {s.labels["model"] for m in registry.collect() for s in m.samples if "model" in s.labels}
    assert 90 < len(models) <= 101
    assert "other" in models
    assert told.cost > 1000 * Decimal("0.000004")
    client.close()


def test_models_can_be_left_out(registry):
    """most_models=0: all are together."""
    client = loaded(PrometheusMetrics(registry, most_models=0))
    client.chat("Hi")
    assert {s.labels["model"] for m in registry.collect() for s in m.samples if "model" in s.labels} == {"other"}
    client.close()


def test_no_name_can_break_a_scrape(registry, sink):
    """Quotes, line ends, lone surrogates, and no name at all."""
    for model in ('a"b\nc\\', "\ud800", "x" * 5000, None, 7):
        sink(ended(model))
    sink.set_budget_remaining("\udfff", "usd", 1)
    text = generate_latest(registry).decode()
    assert 'ai_provider_requests_total{provider="p",status="success"} 5.0' in text
    assert len(text) < 20_000


def test_many_threads_lose_nothing(registry, sink):
    """Eight threads, while others scrape."""
    client, done = loaded(sink), threading.Event()

    def scrape():
        while not done.is_set():
            generate_latest(registry)

    reader = threading.Thread(target=scrape)
    workers = [threading.Thread(target=load, args=(client, 300, 50, 300 * turn)) for turn in range(8)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in (reader, *workers):
            thread.start()
        for thread in workers:
            thread.join()
    finally:
        done.set()
        reader.join()
        sys.setswitchinterval(interval)
    assert check_against(client, registry).request_count == 2400
    client.close()


# ------------------------------------------------------------------------------------------------ registries


def test_there_is_one_sink_for_each_registry(registry, sink):
    """So nothing is a duplicate, and no call counts twice; it is forgotten with the registry."""
    assert PrometheusMetrics(registry) is sink
    assert PrometheusMetrics(registry, most_models=5) is sink
    assert PrometheusMetrics() is PrometheusMetrics(prometheus_client.REGISTRY)
    other = CollectorRegistry()
    forgotten = weakref.ref(PrometheusMetrics(other))
    assert forgotten() is not sink
    del other
    gc.collect()
    assert forgotten() is None


def test_a_restricted_scrape_is_up_to_date_too(registry, sink):
    """?name[]=… asks for one metric."""
    sink(ended())
    text = generate_latest(registry.restricted_registry(["ai_provider_requests_total"])).decode()
    assert 'status="success"} 1.0' in text
    assert "attempts" not in text


def test_a_registry_with_such_a_name_is_refused(registry):
    """With what to do."""
    Counter("ai_provider_requests_total", "Mine.", registry=registry)
    with pytest.raises(ConfigError, match="ai_provider_requests"):
        PrometheusMetrics(registry)


@pytest.mark.parametrize("buckets", [(), (1, 1), (2, 1), (0, 1), ("a",), (float("nan"),), None])
def test_buckets_that_do_not_ascend_are_refused(buckets):
    """Before anything is registered."""
    with pytest.raises(ConfigError, match="duration_buckets"):
        PrometheusMetrics(CollectorRegistry(), duration_buckets=buckets)


def test_buckets_of_ones_own(registry):
    """A duration belongs to the first bucket that holds it, its bound included."""
    sink = PrometheusMetrics(registry, duration_buckets=(0.5, 1, float("inf")))
    sink(ended())  # one second
    name = "ai_provider_request_duration_seconds_bucket"
    values = [registry.get_sample_value(name, {"provider": "p", "le": bound}) for bound in ("0.5", "1.0", "+Inf")]
    assert values == [0, 1, 1]


def test_without_the_package_it_says_what_to_install(monkeypatch):
    """The module itself needs it not."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(MissingDependencyError) as caught:
        PrometheusMetrics()
    assert caught.value.hint == "pip install provider-kit[prometheus]"


def test_the_module_does_not_import_it():
    """So it costs nothing where it is not used."""
    code = "import sys, provider_kit.observability.prometheus; sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ------------------------------------------------------------------------------------------------ the garbage collector


class OnCollection:
    """Calls a function when the garbage collector finds it."""

    def __init__(self, function):
        self.function, self.itself = function, self

    def __del__(self):
        self.function()


class Interrupting:
    """A lock in which the garbage collector runs, as it may wherever objects are created."""

    def __init__(self, lock, function):
        self.lock, self.function = lock, function

    def __enter__(self):
        self.lock.acquire()
        OnCollection(self.function)
        gc.collect()

    def __exit__(self, *_):
        self.lock.release()


def in_time(function):
    """Run it in a thread; whether it came to its end."""
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    thread.join(20)
    return not thread.is_alive()


def test_a_stream_may_be_collected_within_a_scrape(registry, sink, read):
    """The thread that holds the locks of the metrics counts the end of a stream, and does not wait for itself."""
    for _ in range(100):
        sink(ended(outcome="cancelled"))
    generate_latest(registry)

    def dropped():
        for _ in range(100):
            sink(ended(outcome="cancelled"))

    metric = sink._all["requests_total"]
    child = metric.labels("p", "cancelled")
    metric._lock, child._value._lock = Interrupting(metric._lock, dropped), Interrupting(child._value._lock, dropped)
    assert in_time(lambda: (sink(ended(outcome="cancelled")), generate_latest(registry)))
    metric._lock, child._value._lock = metric._lock.lock, child._value._lock.lock
    # 100 and one, and 100 for each time that one of the locks was taken.
    assert read("requests_total")["p", "cancelled"] in range(201, 10_001, 100)


def test_a_stream_may_be_collected_while_calls_are_counted(sink, read):
    """In the thread that is counting: it leaves the event to itself."""
    seen = []

    def dropped():
        seen.append(1)
        for _ in range(70):
            sink(ended(outcome="cancelled"))

    names = sink._providers

    def interrupted(name):
        if not seen:
            OnCollection(dropped)
            gc.collect()
        return names(name)

    sink._providers = interrupted
    assert in_time(lambda: [sink(ended()) for _ in range(64)])
    assert seen
    assert read("requests_total") == {("p", "success"): 64, ("p", "cancelled"): 70}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_counts_although_a_thread_was_counting(sink, read):
    """Its locks are free."""
    sink._counting.take(wait=True)
    sink._adding.take(wait=True)
    child = os.fork()
    if not child:
        try:
            sink(ended())
            sink.flush()
            os._exit(0)
        except BaseException:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    sink._counting.give_back()
    sink._adding.give_back()
    assert read("requests_total") == {}


# ------------------------------------------------------------------------------------------------ several processes

WORKER = """
import gc, sys, threading
sys.path[:0] = {folders!r}
from test_prometheus import CollectorRegistry, Counter, OnCollection, PrometheusMetrics
from test_prometheus import ended, in_time, load, loaded
from provider_kit import CircuitOpened
sink = PrometheusMetrics(CollectorRegistry())
client = loaded(sink)
load(client, 100, 5)
sink(CircuitOpened(time=0.0, provider="openai"))
child = sink._all["requests_total"].labels("p", "cancelled")
dropped = lambda: sink(ended(outcome="cancelled"))
times = []
class Value:
    def inc(self, amount):
        if len(times) < 3:
            with lock:
                times.append(OnCollection(dropped))
                times[-1] = None
                gc.collect()
        return inner.inc(amount)
inner, child._value = child._value, Value()
lock = next(c.cell_contents for c in type(inner).inc.__closure__ if hasattr(c.cell_contents, "release"))
assert in_time(dropped)
child._value = inner
mine = Counter("mine", "A metric of the application.", registry=None)
inner, mine._value, times[:] = mine._value, Value(), [1, 2]
assert in_time(mine.inc)
assert in_time(lambda: sink(ended()))
"""


def test_several_processes_are_counted_together(tmp_path):
    """PROMETHEUS_MULTIPROC_DIR: each writes at once, also when the collector interrupts it."""
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    folder = os.path.dirname(__file__)
    code = WORKER.format(folders=[folder, os.path.dirname(folder)])
    for _ in range(2):
        subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=120)
    script = (
        "from prometheus_client import CollectorRegistry, generate_latest, multiprocess\n"
        "registry = CollectorRegistry()\n"
        "multiprocess.MultiProcessCollector(registry)\n"
        "print(generate_latest(registry).decode())\n"
    )
    text = subprocess.run(
        [sys.executable, "-c", script], env=environment, check=True, capture_output=True, text=True
    ).stdout
    assert 'ai_provider_requests_total{provider="openai",status="success"} 190.0' in text
    assert 'ai_provider_requests_total{provider="openai",status="cancelled"} 10.0' in text
    assert 'ai_provider_requests_total{provider="p",status="success"} 2.0' in text
    assert 'ai_provider_circuit_state{provider="openai"} 2.0' in text
    assert 'ai_provider_request_duration_seconds_count{provider="openai"}' in text
    cancelled = float(re.search(r'requests_total\{provider="p",status="cancelled"\} (\S+)', text)[1])
    assert cancelled == 10


# ------------------------------------------------------------------------------------------------ dashboard and alerts


def defined():
    """The labels of each series."""
    made = {f"ai_provider_{name}": set(labels) for name, (_, labels) in prometheus_names.COUNTERS.items()}
    made |= {f"ai_provider_{name}": set(labels) for name, (_, labels, _) in prometheus_names.GAUGES.items()}
    for name in prometheus_names.HISTOGRAMS:
        made |= {f"ai_provider_{name}_{part}": {"provider"} for part in ("sum", "count")}
        made[f"ai_provider_{name}_bucket"] = {"provider", "le"}
    return made


def expressions():
    """Every expression of the two files, with the name of its panel or rule."""
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for rule in yaml.safe_load(alert_rules())["groups"][0]["rules"]:
        yield rule["alert"], rule["expr"]


def test_the_registry_has_what_is_defined(registry, sink):
    """And no more."""
    names = {metric.name for metric in sink._all.values() for metric in metric.describe()}
    tables = (*prometheus_names.COUNTERS, *prometheus_names.HISTOGRAMS, *prometheus_names.GAUGES)
    assert names == {f"ai_provider_{name.removesuffix('_total')}" for name in tables}
    assert {metric.name for metric in registry.collect()} == names


@pytest.mark.parametrize(("title", "expression"), list(expressions()))
def test_an_expression_asks_for_what_there_is(title, expression):
    """Every name and label exists, and its brackets and quotes are in pairs."""
    series = defined()
    text = re.sub(r'"[^"]*"', '""', expression)
    assert text.count('"') % 2 == 0
    stack = []
    for mark in text:
        if mark in "([{":
            stack.append(mark)
        elif mark in ")]}":
            assert stack.pop() + mark in ("()", "[]", "{}")
    assert not stack
    used = re.findall(r"(ai_provider_\w+)(?:\{([^}]*)\})?", text)
    assert used
    allowed = set()
    for name, matchers in used:
        assert name in series, name
        assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers)) <= series[name]
        allowed |= series[name]
    for labels in re.findall(r"\bby \(([^)]*)\)", text):
        assert {label.strip() for label in labels.split(",")} <= allowed
    for name in re.findall(r"rate\((ai_provider_\w+)|increase\((ai_provider_\w+)", text):
        assert max(name).endswith(("_total", "_bucket", "_sum", "_count"))
    if "histogram_quantile" in text:
        assert re.search(r"by \(le, provider\)", text)


def test_values_of_labels_in_expressions_exist():
    """Statuses, domains."""
    known = {"status": {"success", "error", "cancelled"}, "domain": {*prometheus_names.DOMAINS, "other"}}
    for _, expression in expressions():
        for label, value in re.findall(r'(\w+)=~?"([^"$]+)"', expression):
            assert set(value.split("|")) <= known[label]


def test_the_dashboard_can_be_imported():
    """Its data source is a variable; panels have distinct ids, a place, a description and a unit."""
    made = dashboard()
    assert made["schemaVersion"] >= 39
    variables = {one["name"]: one for one in made["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    series = defined()
    for one in variables.values():
        for name, matchers, label in re.findall(r"label_values\((\w+)(?:\{(.*)\})?, (\w+)\)", str(one["query"])):
            assert {label, *re.findall(r"(\w+)=~", matchers)} <= series[name]
    panels = made["panels"]
    assert len({one["id"] for one in panels}) == len(panels)
    places = set()
    for one in panels:
        place = one["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert places.isdisjoint(cells)
        places |= cells
        if one["type"] != "row":
            assert one["description"]
            assert one["fieldConfig"]["defaults"]["unit"]
            assert all(target["datasource"]["uid"] == "${datasource}" for target in one["targets"])
            assert len({target["refId"] for target in one["targets"]}) == len(one["targets"])
    asked = {name for _, text in expressions() for name in re.findall(r"ai_provider_\w+", text)}
    shown = {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked}
    assert shown == {re.sub(r"_(bucket|sum|count)$", "", name) for name in series}


def test_there_are_eight_alerts_that_say_what_to_do():
    """With a severity, a summary and a description; what they insert are labels they have."""
    [group] = yaml.safe_load(alert_rules())["groups"]
    rules = group["rules"]
    assert len({rule["alert"] for rule in rules}) == len(rules) == 8
    for rule in rules:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "0s"))
        assert set(rule["annotations"]) == {"summary", "description"}
        assert len(rule["annotations"]["description"]) > 80
        kept = {label.strip() for labels in re.findall(r"by \(([^)]*)\)", rule["expr"]) for label in labels.split(",")}
        assert set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"]))) <= kept


def test_an_unknown_class_of_errors_is_no_label(registry, sink):
    """What a user has derived counts by what it is derived from, and as an attempt under other."""

    class Mine(APIError):
        pass

    event = ended(outcome="error")
    event.error = Mine("x", status_code=400)
    sink(event)
    text = generate_latest(registry).decode()
    assert 'domain="caller",error_type="caller_invalid_request"' in text
    assert prometheus_names.reason_of("Mine") == "other"
    assert prometheus_names.reason_of("RateLimitError") == "RateLimitError"
