"""Several processes with one login: one refresh for all of them, and a death at any moment is recovered from."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from provider_kit import AuthError, FileTokenStorage, OAuthAuthenticator
from provider_kit.testing import FakeServer, OAuthServer

WORKER = str(Path(__file__).parent / "worker.py")


def start(path, server, api, calls, world, at_once=None, how=()):
    arguments = [str(path), f"{server.url}/token", api.base_url(), str(calls), world, str(at_once or calls)]
    process = subprocess.Popen(
        [sys.executable, "-X", "dev", "-W", "error", WORKER, *how, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return process


def ready(process):
    line = process.stdout.readline()
    assert line == "ready\n", line + process.stderr.read()


def go(process):
    process.stdin.write("go\n")
    process.stdin.flush()


def logged_in(server, path):
    authenticator = server.authenticator("openai", FileTokenStorage(path))
    authenticator.login(open_browser=server.browser, show=None)
    authenticator.close()


def secrets_of(server):
    return [*server._access, *server._refresh, *server._codes]


@pytest.mark.long
def test_eight_processes_refresh_once(tmp_path):
    """Four blocking, four asyncio, fifty calls each, on one token that the API refuses: exactly one refresh."""
    with OAuthServer() as server, FakeServer(key=server.accepts) as api:
        path = tmp_path / "tokens.json"
        logged_in(server, path)
        seen = secrets_of(server)
        processes = [start(path, server, api, 50, ("blocking", "asyncio")[number % 2]) for number in range(8)]
        for process in processes:
            ready(process)
        server.expire_access_tokens()
        server.fault(0, grant="refresh_token", latency=0.2)
        for process in processes:
            go(process)
        outputs = [process.communicate(timeout=120) for process in processes]
        assert [process.returncode for process in processes] == [0] * 8, outputs
        assert [out.count("ok\n") for out, _ in outputs] == [50] * 8
        assert [error for _, error in outputs] == [""] * 8
        assert server.issued == {"authorization_code": 1, "refresh_token": 1}
        assert (server.reuses, server.live_logins) == (0, 1)
        assert not any(secret in out + error for secret in seen + secrets_of(server) for out, error in outputs)


@pytest.mark.long
def test_an_expired_token_is_refreshed_once_by_eight_processes(tmp_path):
    """Told by its expiry this time, not by the API."""
    with OAuthServer() as server, FakeServer(key=server.accepts) as api:
        path = tmp_path / "tokens" / "tokens.json"
        logged_in(server, path)
        storage = FileTokenStorage(path)
        storage.store_token("openai", storage.retrieve_token("openai").replace(expires_at=time.time() - 5))
        processes = [start(path, server, api, 20, ("blocking", "asyncio")[number % 2]) for number in range(8)]
        for process in processes:
            ready(process)
        for process in processes:
            go(process)
        outputs = [process.communicate(timeout=120) for process in processes]
        assert [process.returncode for process in processes] == [0] * 8, outputs
        assert server.issued == {"authorization_code": 1, "refresh_token": 1}
        assert len(api.requests) == 8 * 20
        assert all(request.headers["authorization"].startswith("Bearer at-") for request in api.requests)


def kill_at_random(forking, chance, api):
    """Let a process refresh with each call, and kill it at a random moment after it has begun."""
    before = len(api.requests)
    go(forking)
    number = int(forking.stdout.readline())
    end = time.monotonic() + 20
    while len(api.requests) == before and time.monotonic() < end:
        time.sleep(0.001)
    time.sleep(chance.uniform(0.0, 0.2))
    os.kill(number, signal.SIGKILL)
    assert int(forking.stdout.readline()) == -signal.SIGKILL  # not before, of itself


@pytest.mark.long
@pytest.mark.parametrize("world", ["blocking", "asyncio"])
def test_a_process_that_is_killed_leaves_a_usable_login(tmp_path, world):
    """50 rounds in each world, kill -9 at random moments of refreshing: the next process always goes on.

    The server allows the last refresh token once more for some seconds, as servers that rotate do for
    answers that were lost; without that nobody could recover from a death between the server's answer
    and our first byte on the disk.
    """
    chance = random.Random(20261125)
    # Each token lives so short that nearly every call refreshes; a refresh takes a while, to be hit.
    with OAuthServer(token_lifetime=0.02, reuse_grace=30.0) as server, FakeServer(key=lambda key: True) as api:
        path = tmp_path / "tokens.json"
        logged_in(server, path)
        server.fault(0, grant="refresh_token", latency=0.002, times=100_000)
        marked = 0
        forking = start(path, server, api, 1000, world, at_once=1, how=["fork"])
        ready(forking)
        go(forking)
        assert forking.stdout.readline() == "ok\n"
        for _ in range(50):
            kill_at_random(forking, chance, api)
            storage = FileTokenStorage(path)
            left = storage.retrieve_token("openai")  # readable, whatever happened
            marked += left.refreshing_since is not None
            authenticator = OAuthAuthenticator("openai", storage, server.config())
            started = time.monotonic()
            info = authenticator.refresh_token()
            assert time.monotonic() - started < 5  # no lock of the dead is in the way
            assert info.can_refresh
            authenticator.close()
        assert forking.communicate(timeout=20) == ("", "")
        assert server.reuses == 0
        assert server.issued["authorization_code"] == 1
        assert marked >= 5  # the rounds did hit the middle of refreshes
        assert not list(path.parent.glob("*.damaged*"))


def test_a_strict_server_after_a_death_says_to_log_in(tmp_path):
    """Where the server revokes a login whose old token comes back: told why, nothing damaged, a login mends it."""
    with OAuthServer(reuse_grace=0.0) as server, FakeServer(key=server.accepts) as api:
        path = tmp_path / "tokens.json"
        logged_in(server, path)
        storage = FileTokenStorage(path)
        storage.store_token("openai", storage.retrieve_token("openai").replace(expires_at=1.0))
        process = start(path, server, api, 1, "blocking")
        ready(process)
        server.fault(0, grant="refresh_token", latency=0.0)
        answered = threading.Event()
        exchange = server._by_refresh

        def spend(form):
            grant = exchange(form)
            process.kill()  # it is dead before the answer is written
            process.wait()
            answered.set()
            return grant

        server._by_refresh = spend
        go(process)
        assert answered.wait(20)
        process.communicate()
        server._by_refresh = exchange
        authenticator = OAuthAuthenticator("openai", FileTokenStorage(path), server.config())
        with pytest.raises(AuthError) as caught:
            authenticator.get_token()
        assert (caught.value.code, caught.value.retryable) == ("refresh_failed", False)
        assert "an earlier refresh was interrupted" in caught.value.details
        assert "Log in again" in caught.value.hint
        assert authenticator.login(open_browser=server.browser, show=None).can_refresh
        assert server.accepts(authenticator.get_token())
        authenticator.close()


def test_a_forked_child_refreshes_by_itself(tmp_path):
    """Locks and waits of the parent do not follow it."""
    code = """
import os, sys, threading, time
from provider_kit.testing import OAuthServer
from provider_kit import FileTokenStorage
with OAuthServer() as server:
    authenticator = server.authenticator("acme", FileTokenStorage(sys.argv[1]))
    authenticator.login(open_browser=server.browser, show=None)
    first = authenticator.get_token()
    server.fault(0, grant="refresh_token", latency=1.0)
    thread = threading.Thread(target=authenticator.renew_refused, args=(first,))
    thread.start()
    time.sleep(0.2)
    child = os.fork()  # in the middle of a refresh of the parent
    if child == 0:
        os._exit(0 if authenticator.renew_refused(first) != first else 1)
    _, status = os.waitpid(child, 0)
    thread.join()
    print(os.waitstatus_to_exitcode(status), server.issued["refresh_token"], server.reuses)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(tmp_path / "t.json")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.split() == ["0", "1", "0"], done.stdout + done.stderr
