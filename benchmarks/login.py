"""What an OAuth login costs a call that needs no refresh, beside the same call with an API key.

No network: a scripted transport answers, so that only the library's own work is timed. Both kinds are
interleaved, and the medians of many rounds compared::

    $ python benchmarks/login.py
"""

from __future__ import annotations

import asyncio
import statistics
import time

from provider_kit import Client, MemoryTokenStorage, OAuthAuthenticator, OAuthConfig, OAuthToken, ScriptedTransport
from provider_kit.transports.drive import run_to_completion

ANSWER = {"json": {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}], "usage": {"total_tokens": 9}}}
CALLS, ROUNDS = 200, 60


class Quiet(ScriptedTransport):
    """Answers without remembering what was asked."""

    async def send(self, request, limits):
        self.requests.clear()
        return await super().send(request, limits)


def clients():
    transport = Quiet([ANSWER], repeat=True)
    config = OAuthConfig(client_id="c", token_url="https://auth.example/token")
    authenticator = OAuthAuthenticator("openai", MemoryTokenStorage(), config, transport=transport)
    token = OAuthToken(
        access_token="access-token-0123456789",
        refresh_token="refresh",
        obtained_at=transport.time(),
        expires_at=transport.time() + 3600,
    )
    run_to_completion(authenticator._keeper.keep(transport, token))
    key = Client("openai/gpt-4o", api_key="sk-0123456789abcdef", transport=transport)
    login = Client("openai/gpt-4o", auth=authenticator, transport=transport)
    return key, login


def blocking(client):
    start = time.perf_counter()
    for _ in range(CALLS):
        client.chat("Hello")
    return (time.perf_counter() - start) / CALLS


def awaited(client):
    async def main():
        start = time.perf_counter()
        for _ in range(CALLS):
            await client.achat("Hello")
        return (time.perf_counter() - start) / CALLS

    return asyncio.run(main())


def main():
    key, login = clients()
    for name, run in (("chat()", blocking), ("achat()", awaited)):
        times = {"key": [], "login": []}
        for _ in range(ROUNDS):
            times["key"].append(run(key))
            times["login"].append(run(login))
        plain, with_login = (statistics.median(times[kind]) * 1e6 for kind in ("key", "login"))
        difference = with_login - plain
        print(f"{name:8} API key {plain:6.2f} us   login {with_login:6.2f} us   difference {difference:+.2f} us")
    start = time.perf_counter()
    for _ in range(1000):
        key.with_options(api_key="sk-another-0123456789")
    print(f"scope()  {(time.perf_counter() - start) * 1e3:6.2f} us")


if __name__ == "__main__":
    main()
