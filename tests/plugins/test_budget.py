"""Budgets: reserved before, settled after, never drifting from the ledger."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from decimal import Decimal
from pathlib import Path

import pytest

from provider_kit import BudgetExceededError, ConfigError, ProviderKitError, Router, UsageLedger
from provider_kit.plugins import BudgetPlugin

PRICES = {"*": {"pricing": {"input": "1", "output": "2"}}}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "usage.db"


def client_with(server, budget, **options):
    return server.client(plugins=[budget], model_overrides=PRICES, **options)


def test_spending_is_counted(call, fake_server, path):
    """Chats and streams; nothing stays reserved."""
    budget = BudgetPlugin(cost=1, tokens=10_000, ledger=path)
    client = client_with(fake_server, budget)
    replies = [call.chat(client, "Hello", max_tokens=20), call.stream(client, "Hello", max_tokens=20)[1]]
    status = budget.status()
    assert status.cost == sum(reply.cost for reply in replies)
    assert status.tokens == sum(reply.usage.total_tokens for reply in replies)
    assert (status.reserved_tokens, status.reserved_cost) == (0, 0)
    assert status.cost_left == 1 - status.cost
    assert status.tokens_left == 10_000 - status.tokens


@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_a_call_that_could_exceed_it_is_not_sent(call, fake_server, path, verb):
    """The error says what is left, and what to do."""
    client = client_with(fake_server, BudgetPlugin(cost=0.0001, ledger=path))
    with pytest.raises(BudgetExceededError, match=r"for this day does not suffice: the call may need \$") as caught:
        getattr(call, verb)(client, "Hello", max_tokens=1000)
    assert (caught.value.limit, caught.value.retryable) == ("cost", False)
    assert "max_tokens" in caught.value.hint
    assert fake_server.requests == []
    assert client.metrics.errors == {"policy_budget_exceeded": 1}
    assert UsageLedger(path).total().attempts == 0
    assert call.chat(client, "Hi", max_tokens=1).text


def test_an_unknown_price(call, fake_server, path):
    """Refused, unless it is allowed."""
    client = fake_server.client("openai/nobody-knows", plugins=[BudgetPlugin(cost=1, ledger=path)])
    with pytest.raises(BudgetExceededError, match="price of nobody-knows"):
        call.chat(client, "Hello", max_tokens=5)
    allowed = BudgetPlugin(cost=1, ledger=path, unknown_price="allow")
    assert call.chat(fake_server.client("openai/nobody-knows", plugins=[allowed]), "Hello", max_tokens=5).text


def test_a_failed_call_gives_everything_back(call, fake_server, path):
    """Nothing was billed."""
    budget = BudgetPlugin(cost=1, ledger=path)
    client = client_with(fake_server, budget, max_retries=0)
    fake_server.fault(400)
    with pytest.raises(ProviderKitError):
        call.chat(client, "Hello", max_tokens=20)
    assert (budget.status().cost, budget.status().reserved_cost) == (0, 0)


def test_a_stream_that_is_left_is_charged_by_estimate(fake_server, path):
    """Its provider does not tell, but bills."""
    budget = BudgetPlugin(cost=1, ledger=path)
    client = client_with(fake_server, budget)
    fake_server.reply("word " * 200)
    for _ in client.stream("Hello", max_tokens=300):
        break
    status = budget.status()
    assert status.reserved_cost == 0
    assert 0 < status.cost < Decimal("0.001")
    assert status.cost == UsageLedger(path).total().cost


def test_budgets_of_users_tags_and_keys(call, fake_server, path):
    """Each has its own; some may have more."""
    budget = BudgetPlugin(tokens=60, per="user", limits={"anna": {"tokens": 100_000}}, ledger=path, wait=0)
    client = client_with(fake_server, budget)
    call.chat(client, "Hello", user="bert", max_tokens=20)
    with pytest.raises(BudgetExceededError, match="of user 'bert'"):
        for _ in range(10):
            call.chat(client, "Hello", user="bert", max_tokens=20)
    for _ in range(5):
        call.chat(client, "Hello", user="anna", max_tokens=20)
    call.chat(client, "Hello", max_tokens=20)
    assert budget.status("anna").tokens > budget.status("bert").tokens > 0

    tags = BudgetPlugin(tokens=50, per="tag", ledger=path, wait=0)
    client = client_with(fake_server, tags)
    call.chat(client, "Hello", tags=["x", "y"], max_tokens=20)
    with pytest.raises(BudgetExceededError, match="of tag 'y'"):
        for _ in range(5):
            call.chat(client, "Hello", tags=["y"], max_tokens=20)
    assert call.chat(client, "Hello", tags=["z"], max_tokens=20).text

    keys = BudgetPlugin(tokens=50, per="key", ledger=path, wait=0)
    client = client_with(fake_server, keys)
    with pytest.raises(BudgetExceededError, match="of key 'team-a'"):
        for _ in range(5):
            call.chat(client, "Hello", extension_config={"budget": {"key": "team-a"}}, max_tokens=20)
    assert call.chat(client, "Hello", extension_config={"budget": {"key": "team-b"}}, max_tokens=20).text
    assert {"key:team-a", "key:team-b"} <= {one.name for one in UsageLedger(path).sums("tag")}


def test_over_a_router_all_targets_count(call, fake_server, path):
    """Also one that failed."""
    budget = BudgetPlugin(cost=1, ledger=path)
    clients = [fake_server.client(name=name, max_retries=0, model_overrides=PRICES) for name in ("a", "b")]
    router = Router(clients, plugins=[budget])
    fake_server.fault(500)
    reply = call.chat(router, "Hello", max_tokens=20)
    assert budget.status().cost == reply.cost
    assert budget.status().reserved_cost == 0
    assert UsageLedger(path).total().attempts == 2


def test_a_thousand_calls_at_once_do_not_exceed_it(path):
    """Threads and tasks together; what is refused was not sent; what is spent is what the ledger says."""
    from provider_kit.testing import FakeServer

    with FakeServer() as server:
        budget = BudgetPlugin(cost=0.003, ledger=path, wait=30)
        client = client_with(server, budget)
        refused, costs, lock = [], [], threading.Lock()

        def note(reply):
            with lock:
                costs.append(reply.cost)

        def ask():
            for _ in range(10):
                try:
                    note(client.chat("Hello", max_tokens=50))
                except BudgetExceededError as error:
                    refused.append(error)

        async def aask():
            async def one():
                try:
                    note(await client.achat("Hello", max_tokens=50))
                except BudgetExceededError as error:
                    refused.append(error)

            await asyncio.gather(*(one() for _ in range(500)))
            await client.aclose()

        threads = [threading.Thread(target=ask) for _ in range(50)]
        threads.append(threading.Thread(target=lambda: asyncio.run(aask())))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(costs) + len(refused) == 1000
        assert len(server.requests) == len(costs)
        spent = sum(costs)
        status = budget.status()
        assert spent == status.cost == UsageLedger(path).total().cost
        one = max(costs)
        assert spent <= Decimal("0.003") + one
        assert spent > Decimal("0.003") - Decimal("0.00011") - one  # what one call may need does not fit any more
        assert status.reserved_cost == 0
        client.close()


def test_after_kill_9_the_sums_are_equal(path):
    """A process is killed in the middle of its calls; what it reserved is given back, nothing else is lost."""
    worker = Path(__file__).parent / "spender.py"
    for _ in range(3):
        process = subprocess.Popen([sys.executable, worker, str(path)], stdout=subprocess.PIPE)
        process.stdout.readline()
        time.sleep(0.25)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    budget = BudgetPlugin(cost=100, ledger=path)
    budget.init({})
    before = budget.status()
    budget.recount()
    after, ledger = budget.status(), UsageLedger(path)
    assert after.cost == before.cost == ledger.total().cost > 0
    assert after.tokens == ledger.total().tokens
    assert after.reserved_cost == 0
    assert after.cost_left == 100 - after.cost
    budget.close()
    ledger.close()


def test_two_processes_share_it(path):
    """What another one has spent counts."""
    worker = Path(__file__).parent / "spender.py"
    process = subprocess.Popen([sys.executable, worker, str(path)], stdout=subprocess.PIPE)
    process.stdout.readline()
    budget = BudgetPlugin(cost=100, ledger=path)
    budget.init({})
    end = time.monotonic() + 20
    while not budget.status().cost and time.monotonic() < end:
        time.sleep(0.02)
    first = budget.status().cost
    time.sleep(0.2)
    assert budget.status().cost > first > 0
    process.kill()
    process.wait()
    process.stdout.close()
    budget.close()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"cost": -1},
        {"cost": "much"},
        {"tokens": 1.5},
        {"cost": 1, "per": "team"},
        {"cost": 1, "window": "week"},
        {"limits": {"anna": {"money": 1}}},
        {"cost": 1, "unknown_price": "guess"},
    ],
)
def test_a_budget_that_cannot_be_is_refused(settings, path):
    """With what it should be."""
    with pytest.raises(ConfigError):
        BudgetPlugin(ledger=path, **settings).init({})


def test_a_new_window_begins_at_zero(call, fake_server, path, monkeypatch):
    """What was spent before does not count."""
    import provider_kit.plugins.budget as module

    budget = BudgetPlugin(tokens=40, ledger=path, wait=0)
    client = client_with(fake_server, budget)
    call.chat(client, "Hello", max_tokens=20)
    with pytest.raises(BudgetExceededError):
        for _ in range(5):
            call.chat(client, "Hello", max_tokens=20)
    monkeypatch.setattr(module, "_window_name", lambda window: "tomorrow")
    monkeypatch.setattr(module, "_window_start", lambda window: time.time() + 0.001)
    time.sleep(0.002)
    assert call.chat(client, "Hello", max_tokens=20).text
    assert os.path.exists(path)
