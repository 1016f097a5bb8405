"""A server that goes wrong on demand, the two worlds that call it, and a look for what they leave behind."""

import asyncio
import os
import stat
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from provider_kit import Client
from provider_kit.transports.drive import run_to_completion

sys.path.insert(0, str(Path(__file__).parent))
from fault_server import FaultServer

KEY = "sk-chaos-0123456789abcdef"


@pytest.fixture
def fault_server():
    """Start a server: ``fault_server({"model": fault})``; stopped after the test."""
    servers = []

    def start(*args, **options):
        servers.append(FaultServer(*args, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def client():
    """Make a client of a server that bills, for which a lost answer is not simply asked for again."""
    made = []

    def make(server, **options):
        if "api_keys" not in options:
            options.setdefault("api_key", KEY)
        made.append(Client("openai/good", base_url=server.url, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


class BlockingWorld:
    """The blocking half of a client; a scenario is driven to its end without a loop."""

    name = "blocking"

    def run(self, scenario):
        return run_to_completion(scenario)

    async def call(self, client, verb, prompt, **options):
        """Chat or stream: the response."""
        if verb == "chat":
            return client.chat(prompt, **options)
        with client.stream(prompt, **options) as stream:
            for _ in stream:
                pass
            return stream.response

    async def all(self, calls, limit):
        """Make calls at once, at most ``limit``; each one's response or error, in their order."""

        def run(call):
            try:
                return run_to_completion(call())
            except Exception as error:
                return error

        with ThreadPoolExecutor(limit) as pool:
            return list(pool.map(run, calls))

    async def close(self, client):
        client.close()

    async def pause(self, seconds):
        time.sleep(seconds)

    async def idle(self):
        """Whether nothing is left that was started for a call."""
        return True


class AsyncioWorld(BlockingWorld):
    """The awaited half; all calls of a scenario run in one loop."""

    name = "asyncio"

    def run(self, scenario):
        return asyncio.run(scenario)

    async def call(self, client, verb, prompt, **options):
        if verb == "chat":
            return await client.achat(prompt, **options)
        async with client.astream(prompt, **options) as stream:
            async for _ in stream:
                pass
            return stream.response

    async def all(self, calls, limit):
        room = asyncio.Semaphore(limit)

        async def run(call):
            async with room:
                return await call()

        return await asyncio.gather(*(run(call) for call in calls), return_exceptions=True)

    async def close(self, client):
        await client.aclose()

    async def pause(self, seconds):
        await asyncio.sleep(seconds)

    async def idle(self):
        await asyncio.sleep(0)
        return asyncio.all_tasks() == {asyncio.current_task()}


@pytest.fixture(params=[BlockingWorld, AsyncioWorld], ids=lambda kind: kind.name)
def world(request):
    """Both worlds, one after the other; scenarios are coroutines in either."""
    return request.param()


class Belongings:
    """The sockets and threads of this process."""

    def __init__(self):
        self.sockets = {number for number in range(1024) if _is_socket(number)}
        self.threads = set(threading.enumerate())

    def are_back(self, seconds=3.0):
        """Whether nothing more is there, soon."""
        end = time.monotonic() + seconds
        while True:
            now = Belongings()
            if now.sockets <= self.sockets and now.threads <= self.threads:
                return True
            if time.monotonic() > end:
                return False
            time.sleep(0.005)


def _is_socket(number):
    try:
        return stat.S_ISSOCK(os.fstat(number).st_mode)
    except OSError:
        return False


@pytest.fixture
def belongings():
    """Take stock of sockets and threads, to see later whether any were left behind."""
    return Belongings
