"""What a router costs: a decision, a call over it beside the call itself, hedges over real HTTP, simulated decisions.

::

    $ python benchmarks/routing.py
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

from provider_kit import Client, Hedge, Router, ScriptedTransport, TargetState
from provider_kit.policies.routing.plan import order_of
from provider_kit.policies.routing.state import RouteRequest, RouterState
from provider_kit.policies.routing.strategies import STRATEGIES
from provider_kit.routing.simulate import Profile, arrivals, simulate
from provider_kit.testing import FakeServer, Fault

ANSWER = {
    "id": "chatcmpl-1",
    "model": "gpt-4o",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
}
CALLS, ROUNDS = 2000, 9
#: Seconds of a usual call over HTTP, and the share of calls that are so many times slower.
USUAL, SLOW, FACTOR = 0.02, 0.03, 20


def fastest(function: Callable[[], object], count: int) -> float:
    """Microseconds of a call, the best of several rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        for _ in range(count):
            function()
        best = min(best, (time.perf_counter() - begun) / count)
    return best * 1e6


def decisions() -> None:
    """A choice among 3 and 100 targets."""
    print("decision, us          3 targets   100 targets")
    for name, strategy in STRATEGIES.items():
        row = []
        for count in (3, 100):
            targets = [
                TargetState(str(number), 1 + number % 3, first_token=0.1, prices=(1e-6, 2e-6))
                for number in range(count)
            ]
            state, request = RouterState(targets, seed=1), RouteRequest(input_tokens=100)
            row.append(fastest(lambda s=state, r=request, f=strategy: next(order_of(1.0, r, s, f)), 3000))
        print(f"  {name:<18} {row[0]:>10.1f} {row[1]:>13.1f}")


def calls() -> None:
    """A call over a router, beside the call itself; without a network."""
    transports = [ScriptedTransport([{"json": ANSWER}], repeat=True) for _ in range(4)]
    first, *others = [
        Client(f"openai/gpt-4o{'-mini' * (number % 2)}", api_key="k" * 20, transport=transport)
        for number, transport in enumerate(transports)
    ]

    def measured(client: Client | Router) -> float:
        for transport in transports:
            transport.requests.clear()
        return fastest(lambda: client.chat("Hello"), CALLS)

    plain = measured(first)
    print(f"chat(), us              {plain:.1f}")
    for strategy in ("fallback", "weighted", "latency"):
        over = measured(Router(others, strategy)) - plain
        print(f"  a router ({strategy}) adds {over:.1f}, {over / plain:.2f} of the call")


class Unsteady(FakeServer):
    """Some of its answers are slow."""

    slow, factor = SLOW, 1.0

    async def _answer_as_told(self, incoming: object) -> object:
        seconds = USUAL * self.factor * (FACTOR if random.random() < self.slow else 1)
        self._faults.append(Fault(latency=seconds))
        return await super()._answer_as_told(incoming)  # type: ignore[arg-type]  # as it came


async def hedges() -> None:
    """The slowest percent of calls, without and with hedges; then while every target is slow."""
    with Unsteady() as a, Unsteady() as b:
        clients = [server.client("openai/gpt-4o") for server in (a, b)]

        async def run(router: Router, count: int) -> tuple[float, float]:
            a.requests.clear()
            b.requests.clear()
            places, times = asyncio.Semaphore(8), []

            async def one() -> None:
                async with places:
                    begun = time.perf_counter()
                    await router.achat("Hello")
                    times.append(time.perf_counter() - begun)

            await asyncio.gather(*(one() for _ in range(count)))
            return sorted(times)[int(count * 0.99)], (len(a.requests) + len(b.requests)) / count - 1

        plain, _ = await run(Router(clients), 3000)
        router = Router(clients, Hedge(budget=0.05))
        hedged, extra = await run(router, 3000)
        print(
            f"P99, ms                 {plain * 1000:.0f} without hedges, {hedged * 1000:.0f} with them, "
            f"{extra:.1%} more calls"
        )
        a.slow = b.slow = 0.0
        a.factor = b.factor = FACTOR
        _, extra = await run(router, 1000)
        print(f"  every target {FACTOR} times slower: {extra:.1%} more calls")
        for client in clients:
            await client.aclose()


def simulated() -> None:
    """Decisions of the simulator."""
    targets, times = [TargetState(name, prices=(1e-6, 2e-6)) for name in "abc"], arrivals(50_000, 10, random.Random(1))
    print("simulated decisions a second")
    for strategy in ("fallback", "weighted", "latency"):
        begun = time.perf_counter()
        found = simulate(targets, {name: Profile().sample for name in "abc"}, times, strategy)
        print(f"  {strategy:<18} {found.attempts / (time.perf_counter() - begun):>10,.0f}")


if __name__ == "__main__":
    decisions()
    calls()
    asyncio.run(hedges())
    simulated()
