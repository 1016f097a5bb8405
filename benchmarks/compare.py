"""CPU for each call and chunk, side by side, as ratios to the bare HTTP library."""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from contenders import contenders
from upstream import running

ROUNDS = 5
CHUNKS = 1000


def best_of(measure: Callable[[], float]) -> float:
    """The median of several, which a busy moment does not move."""
    return statistics.median(measure() for _ in range(ROUNDS))


def cpu_each(action: Callable[[], Any], times: int) -> float:
    """Microseconds of CPU for each."""
    start = time.process_time()
    for _ in range(times):
        action()
    return (time.process_time() - start) / times * 1e6


def sync_call(contender: Any, base: str) -> float:
    contender.call("warm")
    return best_of(lambda: cpu_each(lambda: contender.call("run"), 300))


def sync_history(contender: Any, base: str) -> float:
    contender.call("warm", 200)
    return best_of(lambda: cpu_each(lambda: contender.call("run", 200), 100))


def sync_chunk(contender: Any, base: str) -> float:
    order = f"chunks={CHUNKS}"
    assert sum(1 for _ in contender.stream(order)) == CHUNKS
    return best_of(lambda: cpu_each(lambda: sum(1 for _ in contender.stream(order)), 3)) / CHUNKS


def in_loop(contender: Any, run: Callable[[], Any]) -> float:
    async def main() -> float:
        await contender.open()
        try:
            return float(statistics.median([await run() for _ in range(ROUNDS)]))
        finally:
            await contender.close()

    return asyncio.run(main())


def async_call(contender: Any, base: str) -> float:
    async def run() -> float:
        await contender.acall("warm")
        start = time.process_time()
        for _ in range(300):
            await contender.acall("run")
        return (time.process_time() - start) / 300 * 1e6

    return in_loop(contender, run)


def async_chunk(contender: Any, base: str) -> float:
    async def run() -> float:
        start = time.process_time()
        for _ in range(3):
            count = 0
            async for _ in contender.astream(f"chunks={CHUNKS}"):
                count += 1
            assert count == CHUNKS
        return (time.process_time() - start) / 3 / CHUNKS * 1e6

    return in_loop(contender, run)


def concurrent(contender: Any, base: str) -> float:
    """Calls a second with 256 in flight and an upstream that takes 50 ms."""

    async def run() -> float:
        await asyncio.gather(*(contender.acall("warm") for _ in range(256)))
        end = time.perf_counter() + 1.5
        done = 0

        async def worker() -> None:
            nonlocal done
            while time.perf_counter() < end:
                await contender.acall("delay=50")
                done += 1

        start = time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(256)))
        return done / (time.perf_counter() - start)

    return in_loop(contender, run)


MEASURES = {
    "sync_call": (sync_call, "call", "us of CPU"),
    "sync_history": (sync_history, "call", "us of CPU"),
    "sync_chunk": (sync_chunk, "stream", "us of CPU"),
    "async_call": (async_call, "acall", "us of CPU"),
    "async_chunk": (async_chunk, "astream", "us of CPU"),
    "concurrent": (concurrent, "acall", "calls/s"),
}


def main() -> None:
    wanted = sys.argv[1:] or list(MEASURES)
    with running() as base:
        for name in wanted:
            measure, needs, unit = MEASURES[name]
            print(f"\n{name} ({unit})")
            bare = None
            for kind in contenders():
                if not hasattr(kind, needs):
                    continue
                value = measure(kind(base), base)
                bare = bare or value
                print(f"  {kind.name:<14} {value:10.1f}   {value / bare:6.2f} x bare")


if __name__ == "__main__":
    main()
