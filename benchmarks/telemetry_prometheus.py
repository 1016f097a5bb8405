"""What counting costs a call: nothing, ``client.metrics``, and these with PrometheusMetrics. Run it by hand.

The three are measured in turns, so that a busy moment meets them all; the table shows the quickest and the median turn.
The transport answers from memory. Costs of the differences include those of the event, which the first sink creates.
"""

from __future__ import annotations

import gc
import json
import statistics
import sys
import time
import tracemalloc
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest

from provider_kit import Client, ScriptedTransport
from provider_kit.observability.prometheus import PrometheusMetrics
from provider_kit.wire.http import HttpResponse

CALLS, TURNS = 500, 60
MODEL = "llama-3.3-70b-versatile"
BODY = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": MODEL,
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
}


class FromMemory(ScriptedTransport):
    """Answers every request with the same body."""

    def __init__(self) -> None:
        super().__init__([])
        self._body = json.dumps(BODY).encode()

    async def send(self, request: Any, limits: Any) -> HttpResponse:
        return HttpResponse(200, {"content-type": "application/json"}, self._body)


def client(**options: Any) -> Client:
    return Client(f"groq/{MODEL}", api_key="gsk_" + "a" * 24, transport=FromMemory(), **options)


def each(made: Client) -> float:
    """Microseconds of CPU for a call."""
    began = time.process_time()
    for _ in range(CALLS):
        made.chat("Hi")
    return (time.process_time() - began) / CALLS * 1e6


def main() -> None:
    registry = CollectorRegistry()
    sink, alone = PrometheusMetrics(registry), PrometheusMetrics(CollectorRegistry())
    contenders = {
        "nothing": client(metrics=False),
        "metrics": client(),
        "Prometheus alone": client(metrics=False, on_event=[alone]),
        "metrics + Prometheus": client(on_event=[sink]),
    }
    turns: dict[str, list[float]] = {name: [] for name in contenders}
    for made in contenders.values():
        each(made)
    gc.collect()
    gc.freeze()
    for _ in range(TURNS):
        for name, made in contenders.items():
            turns[name].append(each(made))
    bare = turns["nothing"]
    print(f"{'CPU, µs a call':24}{'quickest':>10}{'median':>10}{'more (quickest)':>18}{'more (median)':>18}")
    for name, found in turns.items():
        more = statistics.median(one - other for one, other in zip(found, bare, strict=True))
        print(f"{name:24}{min(found):10.1f}{statistics.median(found):10.1f}{min(found) - min(bare):18.1f}{more:18.1f}")
    began = time.perf_counter()
    size = len(generate_latest(registry))
    print(f"a scrape: {(time.perf_counter() - began) * 1e3:.2f} ms, {size} bytes")
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(20):
        each(contenders["metrics + Prometheus"])
    gc.collect()
    print(f"memory after {20 * CALLS} more calls: {(tracemalloc.get_traced_memory()[0] - before) / 1024:+.1f} KiB")


if __name__ == "__main__":
    sys.exit(main())
