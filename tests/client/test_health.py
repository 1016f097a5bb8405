"""One test with its phases, what is kept of it, and the checker in the background."""

import asyncio
import json
import time

import pytest

from provider_kit import Backoff, Client, ConfigError, HealthChecker, InvalidRequestError, Router, Target, TestResult
from provider_kit.testing import FakeServer


def outcome_of(call, client, **options):
    if call.name == "blocking":
        return client.test_connection(**options)
    return asyncio.run(client.atest_connection(**options))


def wait_for(condition, seconds=3.0):
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.005)
    return condition()


@pytest.mark.parametrize(
    ("fault", "status", "phase", "retryable"),
    [
        ({"fault": 401}, "auth_failed", "authentication", False),
        ({"fault": 403}, "auth_failed", "authentication", False),
        ({"fault": 429}, "rate_limited", "model_fetch", True),
        ({"fault": 500}, "server_error", "model_fetch", True),
        ({"fault": 503}, "server_error", "model_fetch", True),
        ({"fault": 504}, "timeout_failed", "connectivity", True),
        ({"fault": 404}, "unknown_error", "failed", False),
        ({"latency": 3}, "timeout_failed", "connectivity", False),
        ({"garbage": True}, "connectivity_failed", "connectivity", False),
    ],
)
def test_a_failure_has_its_status_and_phase(call, fake_server, fault, status, phase, retryable):
    """Each kind is told apart."""
    fake_server.fault(**fault)
    client = fake_server.client("openai/gpt-4o")
    found = outcome_of(call, client, timeout=0.5)
    assert (found.status, found.phase) == (status, phase)
    assert not found
    assert found.details["error"]
    if status != "timeout_failed":
        assert found.retryable == retryable
    client.close()


def test_success_counts_the_models(call, fake_server):
    """It came to the end."""
    client = fake_server.client("openai/gpt-4o")
    found = outcome_of(call, client)
    assert found
    assert (found.status, found.phase, found.provider) == ("success", "completed", "openai")
    assert found.models_count > 0
    assert found.duration > 0
    client.close()


def test_a_missing_key_is_a_matter_of_configuration(call, monkeypatch):
    """Nothing is sent."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    found = outcome_of(call, Client("openai/gpt-4o"))
    assert (found.status, found.phase) == ("config_failed", "configuration")
    assert "OPENAI_API_KEY" in found.details["hint"]


def test_a_refused_connection_is_told(call):
    """Nobody listens there."""
    found = outcome_of(call, Client("openai/gpt-4o", base_url="http://127.0.0.1:9/v1", api_key="k" * 20))
    assert (found.status, found.phase) == ("connectivity_failed", "connectivity")


def test_a_result_is_kept_for_30_seconds(call, fake_server):
    """Unless it is bypassed; one with another key has its own."""
    client = fake_server.client("openai/gpt-4o")
    first = outcome_of(call, client)
    assert outcome_of(call, client) is first
    assert len(fake_server.requests) == 1
    assert outcome_of(call, client, bypass_cache=True) is not first
    assert len(fake_server.requests) == 2
    outcome_of(call, client.with_options(api_key="another-key-0123456789"))
    assert len(fake_server.requests) == 3
    client._tested = TestResult(status="success", phase="completed", time=time.time() - 31)
    outcome_of(call, client)
    assert len(fake_server.requests) == 4
    client.close()


def test_a_result_goes_to_json_and_back(fake_server):
    """For dashboards and tickets; anything else is refused."""
    fake_server.fault(429)
    client = fake_server.client("openai/gpt-4o")
    found = client.test_connection()
    assert TestResult.from_json(found.to_json()) == found
    assert json.loads(found.to_json())["status"] == "rate_limited"
    for text in ("", "[]", "{}", '{"status": "fine", "phase": "completed"}', '{"status": "success"}', "null"):
        with pytest.raises(InvalidRequestError):
            TestResult.from_json(text)
    client.close()


def test_a_router_is_tested_as_a_whole(call, fake_server):
    """It works while one of its targets does."""
    clients = [fake_server.client("openai/gpt-4o", retry=Backoff(0)) for _ in "ab"]
    fake_server.fault(500)
    found = outcome_of(call, Router(clients))
    assert found
    assert found.provider == "router"


# ------------------------------------------------------------------------------------------------ the checker


def test_the_checker_tells_of_changes(fake_server):
    """The first status, and each change; every check on request."""
    client = fake_server.client("openai/gpt-4o")
    changes, checks = [], []
    checker = HealthChecker(
        {"mine": client},
        on_change=lambda name, status: changes.append((name, status.healthy)),
        on_check=lambda name, status: checks.append(name),
    )
    checker.check()
    checker.check()
    fake_server.fault(500)
    checker.check()
    checker.check()
    assert changes == [("mine", True), ("mine", False), ("mine", True)]
    assert checks == ["mine"] * 4
    assert checker.status["mine"].healthy
    assert asyncio.run(checker.acheck())["mine"].healthy
    client.close()


def test_it_runs_in_a_thread(fake_server):
    """And ends with its block."""
    client = fake_server.client("openai/gpt-4o")
    with HealthChecker(client, interval=0.02) as checker:
        assert wait_for(lambda: len(fake_server.requests) >= 3)
        assert checker.status["openai"].healthy
    time.sleep(0.1)
    seen = len(fake_server.requests)
    time.sleep(0.1)
    assert len(fake_server.requests) == seen
    client.close()


def test_it_runs_in_a_task(fake_server):
    """No task is left afterwards."""
    client = fake_server.client("openai/gpt-4o")

    async def main():
        async with HealthChecker(client, interval=0.02) as checker:
            until = time.monotonic() + 3
            while len(fake_server.requests) < 3 and time.monotonic() < until:
                await asyncio.sleep(0.01)
            assert checker.status["openai"].healthy
        await client.aclose()
        return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]

    assert asyncio.run(main()) == []


def test_a_function_that_raises_does_not_stop_the_checks(fake_server, caplog):
    """It is logged."""

    def broken(name, status):
        raise ValueError("oh")

    client = fake_server.client("openai/gpt-4o")
    HealthChecker({"mine": client}, on_check=broken).check()
    assert "A function of the HealthChecker failed on mine" in caplog.text
    client.close()


def test_it_tells_a_router_who_is_out_and_who_is_back():
    """One that does not answer is not asked; one that answers again is, before its time."""
    with FakeServer() as a, FakeServer() as b:
        clients = [server.client("openai/gpt-4o", retry=Backoff(0)) for server in (a, b)]
        router = Router([Target(client, name=name) for client, name in zip(clients, "ab", strict=True)])
        checker = HealthChecker(router, interval=300)
        a.fault(500)
        assert not checker.check()["a"].healthy
        assert router.chat("Hello").routing.target == "b"
        checker.check()
        assert router.chat("Hello").routing.target == "a"
        a.fault(429, retry_after=100)
        router.chat("Hello")
        checker.check()
        assert router.chat("Hello").routing.target == "b", "a time its provider named stays"
        for client in clients:
            client.close()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: HealthChecker({}), "nothing to check"),
        (lambda: HealthChecker({"a": 3}), "checks clients and routers"),
        (lambda: HealthChecker(Client("demo"), interval=0), "interval must be seconds"),
        (lambda: HealthChecker(Client("demo"), timeout="soon"), "timeout must be seconds"),
        (lambda: HealthChecker(Client("demo"), on_change=3), "on_change must be a function"),
    ],
)
def test_mistakes_are_told(make, words):
    """When it is made."""
    with pytest.raises(ConfigError, match=words):
        make()
