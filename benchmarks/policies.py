"""What the policies cost: CPU of ``chat()`` over a transport that answers at once, without and with each of them."""

from __future__ import annotations

import time
from typing import Any

from provider_kit import Client, RateLimitConfig
from provider_kit.transports.runtime_blocking import BlockingRuntime
from provider_kit.wire.http import HttpRequest, HttpResponse, Limits

CALLS, ROUNDS = 4000, 7
ANSWER = (
    b'{"id":"x","model":"gpt-4o","choices":[{"index":0,"message":{"role":"assistant","content":"A short answer."},'
    b'"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":10,"total_tokens":20}}'
)
KEYS = [f"key-number-{number}-abcdefgh" for number in range(5)]
LIMITS = RateLimitConfig(requests_per_minute=10**8, tokens_per_minute=10**12, requests_per_day=10**9)


class Instant(BlockingRuntime):
    """Answers in memory."""

    async def send(self, request: HttpRequest, limits: Limits) -> HttpResponse:
        return HttpResponse(200, {"content-type": "application/json", "x-request-id": "r"}, ANSWER)

    async def open_stream(self, *_: Any) -> Any:
        raise NotImplementedError

    def run_all(self, *_: Any) -> Any:
        raise NotImplementedError

    async def aclose(self) -> None:
        pass


def microseconds(options: dict[str, Any]) -> float:
    """The best round; each call asks something new, so that a cache never has the answer."""
    client = Client("openai/gpt-4o", transport=Instant(), **{"api_keys": KEYS[:1], **options})
    best = float("inf")
    for turn in range(ROUNDS):
        began = time.process_time()
        for number in range(CALLS):
            client.chat(f"Hello {turn} {number}", temperature=0.5)
        best = min(best, (time.process_time() - began) / CALLS * 1e6)
    return best


def main() -> None:
    policies: dict[str, dict[str, Any]] = {
        "five keys": {"api_keys": KEYS},
        "rate limits": {"rate_limit": LIMITS},
        "max_concurrency": {"max_concurrency": 10},
        "circuit breaker": {"circuit_breaker": True},
        "response cache, missed and stored": {"response_cache": True},
    }
    together: dict[str, Any] = {}
    for options in policies.values():
        together |= options
    policies["all of them"] = together
    policies["... and a listener"] = {**together, "on_event": lambda event: None}
    bare = microseconds({})
    print(f"{'without':<36} {bare:6.1f} us a call")
    for name, options in policies.items():
        print(f"{name:<36} {microseconds(options) - bare:+6.1f} us")


if __name__ == "__main__":
    main()
