"""What the plugin for OpenTelemetry adds to a call, in microseconds, over a scripted transport.

Bare: a plugin that makes the same calls of the SDK in the same places (start_span, inject, set_attributes, end, record,
add), with attributes that are made once. Measured in turns, so that a busy machine slows all of them alike; differences
are medians of the differences within a turn.
"""

from __future__ import annotations

import statistics
from time import perf_counter
from typing import Any

from opentelemetry import context, propagate, trace
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider

from provider_kit import CallEnded, Client, Plugin, Reply, ScriptedTransport
from provider_kit.engine.call import Call
from provider_kit.engine.handler import CallNext
from provider_kit.plugins.opentelemetry import OpenTelemetry
from provider_kit.plugins.otel_attributes import DURATIONS, TOKENS

ROUNDS, CALLS = 200, 15

ANSWER = {
    "json": {
        "id": "chatcmpl-1",
        "model": "gpt-4o",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }
}
_SPAN = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
_END = {
    "gen_ai.provider.name": "openai",
    "server.address": "api.openai.com",
    "server.port": 443,
    "provider_kit.correlation_id": "0123456789abcdef00000001",
    "gen_ai.response.id": "chatcmpl-1",
    "gen_ai.response.model": "gpt-4o",
    "gen_ai.response.finish_reasons": ("stop",),
    "gen_ai.usage.input_tokens": 3,
    "gen_ai.usage.output_tokens": 2,
    "operation.cost": 0.0000275,
}
_LABELS = {
    **_SPAN,
    "gen_ai.provider.name": "openai",
    "server.address": "api.openai.com",
    "server.port": 443,
    "gen_ai.response.model": "gpt-4o",
}
_TEXT = {**_LABELS, "gen_ai.token.modality": "text"}


class Bare(Plugin):
    """The SDK's own calls for one answer, in the same places, with attributes made once."""

    name = "bare"
    wanted_events = frozenset({CallEnded})

    def __init__(self, tracing: Any, metering: Any, propagates: bool) -> None:
        self._tracer, meter = tracing.get_tracer("bare"), metering.get_meter("bare")
        self._histograms = [
            (meter.create_histogram(name, explicit_bucket_boundaries_advisory=bounds), value)
            for name, bounds, value in (("a", DURATIONS, 0.5), ("b", TOKENS, 3), ("c", TOKENS, 2))
        ]
        self._counters = [(meter.create_counter(name), value) for name, value in (("d", 3), ("e", 2))]
        self._propagates = propagates

    def on_event(self, event: Any) -> None:
        event.usage.cost  # noqa: B018  # computed when it is first asked for, which any exporter does

    async def middleware(self, call: Call, call_next: CallNext) -> Reply:
        span = self._tracer.start_span("chat gpt-4o", kind=trace.SpanKind.CLIENT, attributes=_SPAN)
        current = trace.set_span_in_context(span)
        if self._propagates:
            headers: dict[str, str] = {}
            propagate.inject(headers, current)
            request: Any = call.request
            request = request.for_model(request.model)
            request.extra_headers = headers
            call = call.passed_on(request, call.deadline, call.cancel, call.route)  # type: ignore[arg-type]
        token = context.attach(current)
        try:
            reply = await call_next(call)
        finally:
            context.detach(token)
        for histogram, value in self._histograms:
            histogram.record(value, _LABELS, current)
        for counter, value in self._counters:
            counter.add(value, _TEXT, current)
        span.set_attributes(_END)
        span.end()
        return reply


def client(*plugins: Plugin) -> Client:
    return Client(
        "openai/gpt-4o",
        api_key="test-key-0123456789",
        transport=ScriptedTransport([ANSWER], repeat=True),
        plugins=list(plugins),
    )


def main() -> None:
    tracing, metering = TracerProvider(), MeterProvider([InMemoryMetricReader()])

    def exporting(**options: Any) -> Client:
        return client(OpenTelemetry(tracer_provider=tracing, meter_provider=metering, **options))

    clients = {
        "no plugin": client(),
        "bare SDK": client(Bare(tracing, metering, True)),
        "OpenTelemetry": exporting(),
        "bare SDK, no headers": client(Bare(tracing, metering, False)),
        "propagate=False": exporting(propagate=False),
        "genai_1_41": exporting(semconv="genai_1_41"),
        "openinference": exporting(semconv="openinference"),
        "content": exporting(capture_content="SPAN_ONLY"),
        "API alone, no SDK": client(
            OpenTelemetry(tracer_provider=trace.NoOpTracerProvider(), meter_provider=NoOpMeterProvider())
        ),
    }
    times: dict[str, list[float]] = {name: [] for name in clients}
    for made in clients.values():
        for _ in range(200):
            made.chat("Hi")
    for _ in range(ROUNDS):
        for name, made in clients.items():
            began = perf_counter()
            for _ in range(CALLS):
                made.chat("Hi")
            times[name].append((perf_counter() - began) / CALLS * 1e6)
    against = {"OpenTelemetry": "bare SDK", "propagate=False": "bare SDK, no headers"}
    heads = ("µs a call", "least", "beyond no plugin", "beyond bare SDK", "of the least")
    print(" " * 22, *(f"{head:>16}" for head in heads))
    for name, each in times.items():
        added = statistics.median(a - b for a, b in zip(each, times["no plugin"], strict=True))
        numbers = [statistics.median(each), min(each), added]
        if name in against:
            bare = times[against[name]]
            numbers += [statistics.median(a - b for a, b in zip(each, bare, strict=True)), min(each) - min(bare)]
        print(f"{name:<22}", *(f"{number:>16.1f}" for number in numbers))


if __name__ == "__main__":
    main()
