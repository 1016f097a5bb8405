"""Eight processes on one limit in one Redis: how much of it they use together, and whether they ever exceed it.

Run it with ``python benchmarks/shared_limit.py redis://localhost:6379/0 [requests a minute] [minutes]``.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import time
from typing import Any

from policies import Instant

from provider_kit import Client, DeadlineExceededError, RateLimitConfig, RateLimitExceededError
from provider_kit.transports.runtime_asyncio import AsyncioRuntime
from provider_kit.wire.http import HttpResponse

PROCESSES = 8


def work(url: str, limit: int, start: float, seconds: float, asynchronous: bool, results: Any) -> None:
    stamps: list[float] = []

    class Stamping(Instant):
        async def send(self, *args: Any) -> HttpResponse:
            stamps.append(time.time())
            return await super().send(*args)

    class AsyncStamping(AsyncioRuntime):
        open_stream, run_all, aclose = Instant.open_stream, Instant.run_all, Instant.aclose

        async def send(self, *args: Any) -> HttpResponse:
            stamps.append(time.time())
            return await Instant().send(*args)

    client = Client(
        "openai/gpt-4o",
        api_key="test-key-0123456789",
        transport=AsyncStamping() if asynchronous else Stamping(),
        rate_limit=RateLimitConfig(requests_per_minute=limit),
        store=url,
    )
    time.sleep(max(0.0, start - time.time()))
    end = start + seconds

    async def ask() -> None:
        while (left := end - time.time()) > 0.01:
            try:
                await client.achat("Hello", total_timeout=left)
            except (RateLimitExceededError, DeadlineExceededError):
                return

    async def several() -> None:
        await asyncio.gather(*[ask() for _ in range(4)])

    if asynchronous:
        asyncio.run(several())
    else:
        while (left := end - time.time()) > 0.01:
            try:
                client.chat("Hello", total_timeout=left)
            except (RateLimitExceededError, DeadlineExceededError):
                break
    results.put(stamps)


def main() -> None:
    url = sys.argv[1] if len(sys.argv) > 1 else "redis://localhost:6379/0"
    limit = int(sys.argv[2]) if len(sys.argv) > 2 else 600
    minutes = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    results: Any = multiprocessing.Queue()
    start = time.time() + 3
    processes = [
        multiprocessing.Process(target=work, args=(url, limit, start, minutes * 60.0, bool(number % 2), results))
        for number in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    stamps = sorted(stamp for _ in processes for stamp in results.get())
    for process in processes:
        process.join()
    most = first = 0
    for number, stamp in enumerate(stamps):
        while stamps[first] <= stamp - 60.0:
            first += 1
        most = max(most, number - first + 1)
    print(f"limit {limit} a minute; at most {most} in any 60 seconds")
    for minute in range(minutes):
        begin = start + 60.0 * minute
        count = sum(begin <= stamp < begin + 60.0 for stamp in stamps)
        print(f"minute {minute + 1}: {count} calls, {count / limit:.1%} of the limit")


if __name__ == "__main__":
    main()
