"""The usage ledger: a row for each attempt, exact sums, nothing lost."""

import os
import stat
import time
from decimal import Decimal

import pytest

from provider_kit import Backoff, Client, ConfigError, ProviderKitError, Race, Router, UsageLedger
from provider_kit.stores.sqlite_usage import dollars, picodollars

PRICES = {"*": {"pricing": {"input": "1", "output": "2"}}}


@pytest.fixture
def ledger(tmp_path):
    made = UsageLedger(tmp_path / "usage.db")
    yield made
    made.close()


def rows(ledger, *names):
    return [tuple(row[name] for name in names) for row in ledger.rows()]


def test_a_row_for_each_attempt(call, fake_server, ledger):
    """Retries, failures, cache hits and streams that were left are told apart."""
    client = fake_server.client(
        plugins=[ledger], model_overrides=PRICES, retry=Backoff(1, base=0.001), response_cache=True
    )
    fake_server.fault(503, retry_after=0)
    reply = call.chat(client, "Hello", user="anna", tags=["a", "b"])
    call.chat(client, "Hello", user="anna")
    fake_server.always(400)
    with pytest.raises(ProviderKitError):
        call.chat(client, "Something else")
    fake_server.always()
    for _ in client.stream("More"):
        break
    assert rows(ledger, "outcome", "attempt", "error") == [
        ("failed", 1, "OverloadedError"),
        ("success", 2, None),
        ("cached", 1, None),
        ("failed", 1, "caller_invalid_request"),
        ("cancelled", 1, "caller_cancelled"),
    ]
    second = list(ledger.rows())[1]
    assert (second["provider"], second["model"], second["operation"]) == ("openai", "gpt-4o", "chat")
    assert (second["user"], second["tags"], second["call"]) == ("anna", ["a", "b"], reply.correlation_id)
    assert second["tokens"] == reply.usage.total_tokens
    assert second["cost"] == reply.cost
    assert second["key"] == client.keys.status()[0].id
    assert second["duration"] > 0


def test_sums_agree_with_the_metrics(call, fake_server, ledger):
    """To the last digit."""
    client = fake_server.client(plugins=[ledger], model_overrides=PRICES)
    for number in range(6):
        call.chat(client, "Hello " * (number + 1), model="ab"[number % 2], tags=["even"] if number % 2 == 0 else [])
    call.stream(client, "Hello", model="a")
    total = ledger.total()
    assert (total.attempts, total.tokens, total.cost) == (7, client.metrics.tokens_used, client.metrics.cost)
    assert not total.cost_is_minimum
    by_model = {one.name: one for one in ledger.sums("model")}
    for name, one in client.metrics.snapshot().by_model.items():
        assert (by_model[name].attempts, by_model[name].tokens, by_model[name].cost) == (
            one.request_count,
            one.tokens_used,
            one.cost,
        )
    assert {one.name: one.attempts for one in ledger.sums("tag")} == {"even": 3, "": 4}
    assert sum(one.cost for one in ledger.sums("day")) == total.cost
    assert ledger.total(until=1.0).attempts == 0
    with pytest.raises(ConfigError, match="by 'modell'"):
        ledger.sums("modell")


def test_a_router_and_its_clients_write_once(call, fake_server, tmp_path):
    """Also with two ledgers of the same file."""
    path = tmp_path / "usage.db"
    client = fake_server.client(plugins=[UsageLedger(path)])
    router = Router([client], plugins=[UsageLedger(path)])
    call.chat(router, "Hello")
    assert UsageLedger(path).total().attempts == 1


def test_a_slower_target_is_told_apart(fake_server, ledger):
    """It was not cancelled by the caller."""
    from provider_kit.testing import FakeServer

    with FakeServer() as slow:
        slow.always(latency=3)
        first, second = slow.client(name="slow"), fake_server.client(name="quick")
        router = Router([first, second], Race(), plugins=[ledger])
        assert router.chat("Hello").routing.target == "quick/gpt-4o"
        end = time.monotonic() + 10
        while len(list(ledger.rows())) < 2 and time.monotonic() < end:
            time.sleep(0.01)  # the other thread notices that it has lost
        router.close()
        first.close()
    assert sorted(rows(ledger, "provider", "outcome")) == [("quick", "success"), ("slow", "lost")]


def test_nobody_else_can_read_it(call, ledger):
    """And it holds no prompt, answer or key."""
    client = Client("demo/echo", plugins=[ledger])
    call.chat(client, "a secret prompt")
    assert stat.S_IMODE(os.stat(ledger.path).st_mode) == 0o600
    with open(ledger.path, "rb") as file:
        assert b"secret prompt" not in file.read()


def test_a_file_that_cannot_be_written_fails_no_call(call, tmp_path, caplog):
    """It is reported once; what was kept is written later."""
    folder = tmp_path / "folder"
    folder.write_text("a file where a folder should be")
    ledger = UsageLedger(folder / "usage.db")
    client = Client("demo/echo", plugins=[ledger])
    for _ in range(3):
        assert call.chat(client, "Hello").text == "Hello"
    assert caplog.text.count("is kept in memory until") == 1
    folder.unlink()
    call.chat(client, "Hello")
    assert ledger.total().attempts == 4
    assert "can be written again; 0 calls were lost" in caplog.text
    ledger.close()


def test_it_shares_the_file_of_conversations(call, tmp_path, monkeypatch):
    """Beside them."""
    monkeypatch.setenv("PROVIDER_KIT_HISTORY", str(tmp_path / "history.db"))
    from provider_kit import SQLiteHistory

    ledger = UsageLedger()
    client = Client("demo/echo", plugins=[ledger])
    with_store = client.conversation(store=SQLiteHistory(), id="c")
    (with_store.say if call.name == "blocking" else client.chat)("Hello")
    assert ledger.path == str(tmp_path / "history.db")
    assert ledger.total().attempts == 1
    ledger.close()


@pytest.mark.parametrize("amount", ["0", "0.000000000001", "12.345678901234", "1000000"])
def test_money_is_exact(amount):
    """To 10⁻¹² US dollars."""
    assert dollars(picodollars(Decimal(amount))) == Decimal(amount)
    assert picodollars(None) is dollars(None) is None
