"""A process that asks as fast as its limit lets it: ``hammer.py URL KIND LIMIT WINDOW SECONDS``.

It says ``ready``, waits for a line, and when its time is over prints the times of its calls as JSON.
"""

import asyncio
import json
import sys
import threading
import time

from provider_kit import Client, DeadlineExceededError, RateLimitConfig, RateLimitExceededError
from provider_kit.policies.rate_limit import SlidingWindows
from provider_kit.transports.runtime_asyncio import AsyncioRuntime
from provider_kit.transports.runtime_blocking import BlockingRuntime
from provider_kit.wire.http import HttpResponse

BODY = b'{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}'


def answering(base, stamps):
    """A transport of one world that answers at once and notes when it was asked."""

    class Instant(base):
        async def send(self, request, limits):
            stamps.append(time.time())
            return HttpResponse(200, {"content-type": "application/json"}, BODY)

        async def open_stream(self, request, limits):
            raise NotImplementedError

        def run_all(self, thunks, limit=None):
            raise NotImplementedError

        async def aclose(self):
            pass

    return Instant()


def main(url, kind, limit, window, seconds):
    stamps = []
    client = Client(
        "openai/gpt-4o",
        api_key="test-key-0123456789",
        transport=answering(BlockingRuntime if kind == "blocking" else AsyncioRuntime, stamps),
        rate_limit=RateLimitConfig(requests_per_minute=limit),
        store=url,
    )
    windows = SlidingWindows([(float(limit), window)])  # a minute takes too long for a test
    client._admission.rates.limiter_of = lambda key_id: windows
    print("ready", flush=True)
    sys.stdin.readline()
    end = time.time() + seconds

    async def ask():
        while (left := end - time.time()) > 0.01:
            try:
                await client.achat("Hello", total_timeout=left)
            except (RateLimitExceededError, DeadlineExceededError):
                return

    async def several():
        await asyncio.gather(*[ask() for _ in range(4)])

    def ask_blocking():
        while (left := end - time.time()) > 0.01:
            try:
                client.chat("Hello", total_timeout=left)
            except (RateLimitExceededError, DeadlineExceededError):
                return

    if kind == "blocking":
        threads = [threading.Thread(target=ask_blocking) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    else:
        asyncio.run(several())
    print(json.dumps(stamps))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), float(sys.argv[5]))
