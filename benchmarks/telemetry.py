"""What observing costs on top of a call: nothing, an empty middleware, metrics, a plugin, the ledger.

::

    $ python benchmarks/telemetry.py

Without a network; all variants take turns, so that a slow moment hits each of them.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from provider_kit import CallEnded, Client, Plugin, ScriptedTransport, UsageLedger, sink
from provider_kit.transports import HttpRequest, HttpResponse, Limits

CALLS, ROUNDS = 1000, 40
ANSWER = {
    "id": "chatcmpl-1",
    "model": "llama-3.3-70b-versatile",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
}


class Instant(ScriptedTransport):
    """The same answer to every request."""

    def __init__(self) -> None:
        super().__init__([])
        self._answer = json.dumps(ANSWER).encode()

    async def send(self, request: HttpRequest, limits: Limits) -> HttpResponse:
        """Answer at once."""
        return HttpResponse(200, {"content-type": "application/json"}, self._answer)


def client(**options: Any) -> Client:
    """A client without metrics, unless it is told otherwise."""
    options.setdefault("metrics", False)
    return Client("groq/llama-3.3-70b-versatile", api_key="gsk_0123456789abcdef", transport=Instant(), **options)


async def empty(call: Any, call_next: Any) -> Any:
    """Middleware that does nothing."""
    return await call_next(call)


class Empty(Plugin):
    """A plugin that does nothing."""

    name = "empty"

    def pre_request(self, context: Any) -> None:
        """Do nothing."""


@sink(CallEnded)
def ignore(event: CallEnded) -> None:
    """A sink that does nothing."""


def main() -> None:
    """Measure, and print a table."""
    with tempfile.TemporaryDirectory() as folder:
        variants = {
            "nothing": client(),
            "empty middleware": client(middleware=[empty]),
            "empty plugin": client(plugins=[Empty()]),
            "a sink of ends": client(on_event=ignore),
            "metrics": client(metrics=True),
            "ledger": client(plugins=[UsageLedger(Path(folder) / "usage.db")]),
        }
        times: dict[str, list[float]] = {name: [] for name in variants}
        for _ in range(ROUNDS):
            for name, one in variants.items():
                count = CALLS // 10 if name == "ledger" else CALLS
                begun = time.perf_counter()
                for _ in range(count):
                    one.chat("Hi")
                times[name].append((time.perf_counter() - begun) / count * 1e6)
        least = min(times["nothing"])
        print(f"{'':<18}{'us a call':>10}{'added':>8}{'median':>8}")
        for name, found in times.items():
            added = [one - usual for one, usual in zip(found, times["nothing"], strict=True)]
            print(f"{name:<18}{min(found):>10.1f}{min(found) - least:>8.1f}{statistics.median(added):>8.1f}")
        variants["ledger"].close()


if __name__ == "__main__":
    main()
