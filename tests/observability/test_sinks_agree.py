"""Every sink counts the same: metrics, ledger, Prometheus and OpenTelemetry, over many calls and made-up models.

``PROVIDER_KIT_SINK_CALLS=100000`` makes it as many; memory is then looked at, too.
"""

import gc
import json
import os
from decimal import Decimal

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter
from prometheus_client import CollectorRegistry

from provider_kit import Client, PrometheusMetrics, ScriptedTransport, UsageLedger
from provider_kit.plugins import OpenTelemetry
from provider_kit.transports import HttpResponse

CALLS = int(os.environ.get("PROVIDER_KIT_SINK_CALLS", "1000"))
PRICES = {"*": {"pricing": {"input": "1", "output": "2"}}}


class Quick(ScriptedTransport):
    """The same answer to every request, whole or streamed."""

    def __init__(self):
        super().__init__([])
        choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
        self.whole = json.dumps({"id": "c", "choices": [choice], "usage": usage}).encode()
        pieces = [{"choices": [{"index": 0, "delta": {"content": word}}]} for word in ("one ", "two ", "three")]
        self.pieces = [b"data: " + json.dumps(piece).encode() + b"\n\n" for piece in pieces]

    async def send(self, request, limits):
        return HttpResponse(200, {"content-type": "application/json"}, self.whole)

    async def open_stream(self, request, limits):
        self._script[:] = [{"stream": list(self.pieces)}]
        stream = await super().open_stream(request, limits)
        self.requests.clear()
        return stream


class Counting(SpanExporter):
    """Counts spans, and keeps none."""

    def __init__(self):
        self.spans, self.cancelled, self.cached = 0, 0, 0

    def export(self, spans):
        for span in spans:
            if span.parent is not None:  # an attempt
                continue
            self.spans += 1
            self.cancelled += span.attributes.get("error.type") == "caller_cancelled"
            self.cached += span.attributes.get("provider_kit.cache") == "hit"


def resident():
    """Bytes of this process that are in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_all_sinks_agree_to_the_unit(tmp_path):
    """A tenth of the calls is broken off, a twentieth comes from the cache."""
    registry, exporter, reader = CollectorRegistry(), Counting(), InMemoryMetricReader()
    tracer = TracerProvider()
    tracer.add_span_processor(SimpleSpanProcessor(exporter))
    ledger = UsageLedger(tmp_path / "usage.db")
    telemetry = OpenTelemetry(tracer_provider=tracer, meter_provider=MeterProvider([reader]))
    client = Client(
        "https://fake.test/v1",
        name="fake",
        model="m",
        api_key="test-key-0123456789",
        transport=Quick(),
        model_overrides=PRICES,
        response_cache=True,
        plugins=[telemetry, PrometheusMetrics(registry), ledger],
    )
    client.chat("Cached")
    expected = {"success": 1, "cancelled": 0, "cached": 0}

    def ask(first, last):
        for number in range(first, last):
            model = f"made-up-{number % max(1, CALLS // 2)}"
            if number % 10 == 0:
                for _ in client.stream("Hello", model=model, response_cache=False):
                    break
                expected["cancelled"] += 1
            elif number % 20 == 1:
                assert client.chat("Cached").cache == "hit"
                expected["cached"] += 1
                expected["success"] += 1
            else:
                client.chat("Hello", model=model, response_cache=False)
                expected["success"] += 1

    warm = max(CALLS // 2, min(CALLS, 500))
    ask(0, warm)
    gc.collect()
    before = resident()
    ask(warm, CALLS)
    gc.collect()
    grown = resident() - before

    calls = CALLS + 1
    answered = expected["success"] - expected["cached"]
    metrics, total = client.metrics.snapshot().total, ledger.total()
    assert (metrics.request_count, metrics.success_count, metrics.cancelled_count, metrics.cache_hit_count) == (
        calls,
        expected["success"],
        expected["cancelled"],
        expected["cached"],
    )
    assert metrics.tokens_used == total.tokens == 10 * answered
    assert metrics.cost == total.cost == answered * Decimal(13) / 1_000_000
    assert (total.attempts, total.cancelled, total.cached) == (calls, expected["cancelled"], expected["cached"])

    def sample(name, **labels):
        found = registry.get_sample_value(f"ai_provider_{name}", {"provider": "fake", **labels})
        return 0 if found is None else found

    assert sample("requests_total", status="success") == expected["success"]
    assert sample("requests_total", status="cancelled") == expected["cancelled"]
    assert sample("cache_hits_total") == expected["cached"]
    families = {family.name: family for family in registry.collect()}
    tokens = sum(one.value for one in families["ai_provider_tokens"].samples if one.name.endswith("_total"))
    cost = sum(one.value for one in families["ai_provider_cost_usd"].samples if one.name.endswith("_total"))
    assert tokens == metrics.tokens_used
    assert cost == pytest.approx(float(metrics.cost))
    assert len({one.labels["model"] for one in families["ai_provider_tokens"].samples}) <= 101

    assert (exporter.spans, exporter.cancelled, exporter.cached) == (
        calls,
        expected["cancelled"],
        expected["cached"],
    )
    if CALLS >= 50_000 and os.path.exists("/proc/self/statm"):
        assert abs(grown) < 2 * 1024 * 1024, f"{grown:,} bytes"
    ledger.close()
