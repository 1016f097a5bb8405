"""Calls over a router that shares its state, as one of several processes: ``route_calls.py STORE KIND SECONDS URL…``.

Prints ``ready``, waits for a line, calls for so long, and prints how often each target answered.
"""

import asyncio
import json
import sys
import time
from collections import Counter

from provider_kit import Backoff, Client, Router, Target


def main():
    store, kind, seconds, *urls = sys.argv[1:]
    clients = [Client("openai/gpt-4o", base_url=url, api_key="k" * 20, retry=Backoff(0)) for url in urls]
    targets = [Target(client, name=f"t{number}") for number, client in enumerate(clients)]
    router = Router(targets, "round_robin", store=store)
    found = Counter()

    async def calls():
        until = time.monotonic() + float(seconds)
        while time.monotonic() < until:
            answer = await router.achat("Hello")
            found[answer.routing.target] += 1
            await asyncio.sleep(0.02)
        for client in clients:
            await client.aclose()

    def blocking_calls():
        until = time.monotonic() + float(seconds)
        while time.monotonic() < until:
            found[router.chat("Hello").routing.target] += 1
            time.sleep(0.02)
        for client in clients:
            client.close()

    print("ready", flush=True)
    sys.stdin.readline()
    if kind == "asyncio":
        asyncio.run(calls())
    else:
        blocking_calls()
    print(json.dumps([found["t0"], found["t1"]]))


main()
