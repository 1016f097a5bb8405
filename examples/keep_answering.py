"""A client that keeps answering: limits, a circuit breaker, a cache, and a word on every decision.

Run it with ``python keep_answering.py [provider/model]``. Without an argument, the demo provider answers.
"""

import sys

from provider_kit import Client, ProviderKitError, RateLimitConfig

client = Client(
    sys.argv[1] if len(sys.argv) > 1 else "demo",
    rate_limit=RateLimitConfig(requests_per_minute=60, tokens_per_minute=90_000),
    circuit_breaker=True,
    response_cache=True,
    on_event=lambda event: print(f"  [{event.name}] {event.message}"),
)
for question in ("What is 20 + 22?", "What is 2 + 3?", "What is 20 + 22?"):
    print(question)
    try:
        answer = client.chat(question)
    except ProviderKitError as error:
        print(f"  {error}\n  {error.hint}")
    else:
        print(f"  {answer.text} ({answer.cache}, {len(answer.attempts)} attempts)")
