"""What is going on in a process: for leaks and hangs."""

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from provider_kit import Client, ConfigError, debug_report, report_on_signal


def mine(report):
    return [call for call in report.calls if call.correlation_id.startswith("mine")]


def test_calls_in_flight(fake_server):
    """Each with its model and age; gone when they end."""
    client = fake_server.client()
    fake_server.reply("one two three")
    stream = client.stream("Hello", correlation_id="mine-1")
    next(stream)
    (found,) = mine(debug_report())
    assert (found.provider, found.operation, found.model) == ("openai", "stream", "gpt-4o")
    assert found.seconds >= 0
    assert "openai stream gpt-4o (mine-1)" in str(debug_report())
    stream.close()
    assert mine(debug_report()) == []


def test_calls_that_wait(fake_server):
    """For a slot."""
    client = fake_server.client(max_concurrency=1)
    fake_server.always(latency=1)
    threads = [threading.Thread(target=client.chat, args=("Hello",)) for _ in range(3)]
    before = debug_report().waiting
    for thread in threads:
        thread.start()
    end = time.monotonic() + 5
    while debug_report().waiting - before < 2 and time.monotonic() < end:
        time.sleep(0.01)
    assert debug_report().waiting - before == 2
    fake_server.always()
    for thread in threads:
        thread.join()
    assert debug_report().waiting == before


def test_connections_sessions_and_tasks(fake_server):
    """Blocking and asyncio; closed with the client."""
    client = fake_server.client()
    gc.collect()  # clients of other tests, which would be collected between two reports
    before = debug_report().open
    client.chat("Hello")
    assert debug_report().open.idle_connections == before.idle_connections + 1
    assert (debug_report().open.sockets or 0) > 0

    async def main():
        await client.achat("Hello")
        found = debug_report().open
        await client.aclose()
        return found

    found = asyncio.run(main())
    assert found.sessions == before.sessions + 1
    assert any("main" in name for name in found.tasks)
    after = debug_report().open
    assert (after.sessions, after.idle_connections) == (before.sessions, before.idle_connections)
    assert debug_report().to_dict()["open"]["sessions"] == before.sessions


PROGRAM = """
import time
from provider_kit import Client, report_on_signal
report_on_signal()
client = Client("demo/echo")
stream = client.stream("Hello there", correlation_id="mine-2")
next(stream)
print("ready", flush=True)
time.sleep(30)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="the system has no such signal")
def test_a_signal_prints_it():
    """On standard error, while the program goes on."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    process.stdout.readline()
    process.send_signal(signal.SIGUSR1)
    lines = [process.stderr.readline() for _ in range(5)]
    while "mine-2" not in lines[-1]:
        lines.append(process.stderr.readline())
    assert lines[0].startswith("provider_kit: 1 clients, 1 calls in flight")
    assert process.poll() is None
    process.kill()
    process.communicate()


def test_a_signal_in_another_thread_is_refused():
    """It can be handled in the main thread only."""
    errors = []

    def install():
        try:
            report_on_signal()
        except ConfigError as error:
            errors.append(error)

    thread = threading.Thread(target=install)
    thread.start()
    thread.join()
    assert "main thread" in errors[0].hint


def test_a_client_that_is_gone_is_not_counted():
    """Nothing is kept alive for the report."""
    import gc

    gc.collect()
    before = debug_report().clients
    client = Client("demo/echo")
    assert debug_report().clients == before + 1
    del client
    gc.collect()
    assert debug_report().clients == before
