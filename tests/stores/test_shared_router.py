"""Routers of several processes that share through Redis which of their targets are out."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from provider_kit import Backoff, Client, Router, Target
from provider_kit.testing import FakeServer, Fault

PROCESSES, SECONDS = 10, 5.0
#: Seconds within which all processes agree, and more that a busy machine may take for a request that is on its way.
AGREE, GRACE = 0.05, 0.35


class Timed(FakeServer):
    """Notes when it is asked, and fails from a time on."""

    def __init__(self):
        super().__init__()
        self.times = []
        self.plan = []

    async def _answer_as_told(self, incoming):
        self.times.append(time.monotonic())
        fault = self.plan.pop(0) if self.plan else Fault()
        self._faults.append(fault)
        return await super()._answer_as_told(incoming)


def run_processes(redis_server, servers, during):
    """Ten processes, half of them blocking; ``during`` is called while they call. Returns the calls of each target."""
    script = str(Path(__file__).parent / "route_calls.py")
    urls = [server.base_url() for server in servers]
    processes = [
        subprocess.Popen(
            [sys.executable, script, redis_server.url, kind, str(SECONDS), *urls],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for kind in ["blocking", "asyncio"] * (PROCESSES // 2)
    ]
    try:
        assert [process.stdout.readline() for process in processes] == ["ready\n"] * PROCESSES
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        during()
        return [json.loads(process.communicate(timeout=60)[0]) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()


@pytest.mark.long
@pytest.mark.parametrize(
    ("plan", "lasts"),
    [([Fault(status=429, retry_after=1.5)], 1.5), ([Fault(status=500)] * 900, 30.0)],
    ids=["cool-down", "circuit"],
)
def test_ten_processes_agree_on_who_is_out(redis_server, plan, lasts):
    """Within 50 ms after one of them found it; until then the target is asked by nobody."""
    with Timed() as a, Timed() as b:
        began = []

        def fail():
            time.sleep(1.0)
            a.plan.extend(plan)
            while a.plan and len(a.plan) == len(plan):
                time.sleep(0.001)
            began.append(time.monotonic())

        counts = run_processes(redis_server, (a, b), fail)
        # A circuit needs five failures of one process in a row, which take a moment.
        out_from = began[0] + (1.0 if lasts > 2 else 0.0) + AGREE + GRACE
        late = [when - began[0] for when in a.times if out_from < when < began[0] + lasts - 0.01]
        assert late == []
        assert len([when for when in a.times if when < began[0]]) >= 3
        assert all(other > 0 for _, other in counts)
        if lasts < 2:
            assert any(when > began[0] + lasts for when in a.times), "it returns"


def test_a_call_takes_one_round_trip(redis_server, call):
    """To know what the others found; only a failure that keeps a target out takes another one."""
    import redis

    with FakeServer() as a, FakeServer() as b, redis.Redis.from_url(redis_server.url) as probe:
        clients = [server.client("openai/gpt-4o", retry=Backoff(0)) for server in (a, b)]
        a.fault(429, retry_after=0)  # both scripts are on the server from now on
        call.chat(Router(clients, store=redis_server.url, name="before"), "Hello")
        router = Router(clients, store=redis_server.url)
        call.chat(router, "Hello")

        def trips():
            stats = probe.info("commandstats")
            return stats["cmdstat_evalsha"]["calls"]

        before = trips()
        for _ in range(5):
            call.chat(router, "Hello")
        assert trips() - before == 5
        before = trips()
        a.fault(429, retry_after=20)
        call.chat(router, "Hello")
        assert trips() - before == 2
        other = Router(clients, store=redis_server.url)
        assert call.chat(other, "Hello").routing.target == other.targets[1]
        assert other.state()[0].state == "cooling"
        assert other.state()[0].until == pytest.approx(time.time() + 20, abs=2)
        for client in clients:
            client.close()


def test_without_the_store_a_router_goes_on_alone(own_redis_server, call, caplog):
    """It says so once, and again when the store is back."""
    with FakeServer() as a:
        client = a.client("openai/gpt-4o")
        events = []
        router = Router([client, Target("demo/echo")], store=own_redis_server.url, on_event=events.append)
        own_redis_server.stop()
        for _ in range(3):
            assert call.chat(router, "Hello").routing.target == router.targets[0]
        assert [event.name for event in events if event.name.startswith("store")] == ["store_failed"]
        client.close()
        router.close()


def test_routers_of_other_names_share_nothing(redis_server):
    """Two programs with targets of the same names do not disturb each other, unless they share the name."""
    with FakeServer() as a:
        clients = [Client("openai/gpt-4o", base_url=a.base_url(), api_key="k" * 20, retry=Backoff(0)) for _ in "abcd"]
        one = Router(clients[:2], store=redis_server.url, name="one")
        other = Router(clients[2:], store=redis_server.url, name="other")
        a.fault(429, retry_after=20)
        one.chat("Hello")
        assert other.chat("Hello").routing.target == other.targets[0]
        for client in clients:
            client.close()
