"""Budgets where they could leak: shared ids, ledgers that cannot be written, forks, routers, fields of one's own."""

import gc
import os
import threading

import pytest

from provider_kit import (
    BadRequestError,
    BudgetExceededError,
    Client,
    ConfigError,
    Plugin,
    Router,
    StoreError,
    UsageLedger,
    correlation,
)
from provider_kit.plugins import BudgetPlugin

PRICES = {"*": {"pricing": {"input": "1", "output": "2"}, "max_output_tokens": 1000}}
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "usage.db"


def client_with(server, budget, *more, **options):
    return server.client(plugins=[budget, *more], model_overrides=PRICES, **options)


def test_calls_of_one_correlation_id_reserve_each_for_itself(fake_server, path):
    """One that ends gives back its own reservation only."""
    budget = BudgetPlugin(tokens=10_000, ledger=path)
    client = client_with(fake_server, budget)
    with correlation("order-1"):
        running = client.stream("Hello", max_tokens=100)
        next(running)
        held = budget.status().reserved_tokens
        client.chat("Hello", max_tokens=100)
    assert budget.status().reserved_tokens == held >= 100
    running.close()
    assert budget.status().reserved_tokens == 0


def test_a_ledger_that_cannot_be_written_stops_calls(call, fake_server, path, monkeypatch):
    """What was used but is not written could not be counted."""
    budget = BudgetPlugin(tokens=10_000, ledger=path)
    client = client_with(fake_server, budget)
    with monkeypatch.context() as patch:

        def fail(rows):
            raise StoreError("The disk is full.")

        patch.setattr(budget.ledger.store, "add", fail)
        call.chat(client, "Hello", max_tokens=10)
        with pytest.raises(StoreError, match="a budget cannot be kept"):
            call.chat(client, "Hello", max_tokens=10)
    call.chat(client, "Hello", max_tokens=10)
    assert budget.ledger.total().attempts == 2


def test_a_reservation_that_cannot_be_given_back_is_later(call, fake_server, path, monkeypatch):
    """The caller gets the error of the call."""
    budget = BudgetPlugin(tokens=10_000, ledger=path)
    client = client_with(fake_server, budget)
    with monkeypatch.context() as patch:

        def fail(id):
            raise StoreError("Locked.")

        patch.setattr(budget.ledger.store, "release", fail)
        fake_server.fault(400)
        with pytest.raises(BadRequestError):
            call.chat(client, "Hello", max_tokens=10)
    assert budget.status().reserved_tokens > 0
    call.chat(client, "Hello", max_tokens=10)
    assert budget.status().reserved_tokens == 0


def test_a_broken_plugin_inside_leaves_nothing_reserved(fake_server, path):
    """Not even where the answer cannot be assembled."""

    class Inside(Plugin):
        name, priority = "inside", 900

        async def middleware(self, call, call_next):
            reply = await call_next(call)
            reply.map(answer=lambda answer: answer.nothing)
            return reply

    budget = BudgetPlugin(tokens=10_000, ledger=path)
    stream = client_with(fake_server, budget, Inside()).stream("Hello", max_tokens=100)
    next(stream)
    stream.close()
    assert budget.status().reserved_tokens == 0


def test_what_anthropic_tells_at_the_start_is_not_all(fake_server, path):
    """A stream that is left is charged by what was received, beyond what was told."""
    fake_server.reply("word " * 300)
    budget = BudgetPlugin(cost=1, ledger=path)
    client = fake_server.client("anthropic/claude-sonnet-4-5", plugins=[budget])
    with client.stream("Hello", max_tokens=1000) as stream:
        for number, _ in enumerate(stream):
            if number == 200:
                break
    received = len(stream.response.text) // 3
    assert stream.response.usage.total_tokens < 100 < received
    assert received <= budget.status().tokens <= received * 2
    assert [row["outcome"] for row in budget.ledger.rows()] == ["cancelled", "estimated"]


def test_embeddings_reserve_their_price(call, fake_server, path):
    """Its texts are what it costs."""
    client = fake_server.client("openai/text-embedding-3-small", plugins=[BudgetPlugin(cost=1e-6, ledger=path)])
    with pytest.raises(BudgetExceededError):
        call.embed(client, ["word " * 1000])
    assert fake_server.requests == []
    assert call.embed(client, ["Hi"]).vectors


def test_a_longest_answer_that_is_not_known(call, fake_server, path):
    """Refused, also where only tokens are limited."""
    client = fake_server.client("openai/nobody-knows", plugins=[BudgetPlugin(tokens=1000, ledger=path)])
    with pytest.raises(BudgetExceededError, match="How long the answers of nobody-knows"):
        call.chat(client, "Hello")
    assert call.chat(client, "Hello", max_tokens=10).text


@pytest.mark.parametrize("body", [{"max_tokens": 5000}, {"options": {"num_predict": 5000}}, {"n": 500}])
def test_fields_of_ones_own_count(call, fake_server, path, body):
    """They may ask for more than the argument."""
    client = client_with(fake_server, BudgetPlugin(tokens=1000, ledger=path))
    with pytest.raises(BudgetExceededError):
        call.chat(client, "Hello", max_tokens=5, extra_body=body)
    assert fake_server.requests == []


def test_one_at_a_router_and_its_clients_reserves_once(call, fake_server, path):
    """It does not wait for itself."""
    budget = BudgetPlugin(tokens=200, ledger=path, wait=0)
    client = client_with(fake_server, budget)
    assert call.chat(Router([client], plugins=[budget]), "Hello", max_tokens=100).text
    assert budget.status().reserved_tokens == 0


def test_a_tag_that_is_given_twice_counts_once(call, fake_server, path):
    """In the budget and in the sums."""
    budget = BudgetPlugin(tokens=1000, per="tag", ledger=path)
    reply = call.chat(client_with(fake_server, budget), "Hello", max_tokens=10, tags=["a", "a"])
    assert budget.status("a").tokens == reply.usage.total_tokens == budget.ledger.sums("tag")[0].tokens


@forks
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")
def test_a_forked_child_settles_nothing_of_its_parent(fake_server, path):
    """The stream is the parent's, which ends it; and the child's first call finds the ledger free."""
    budget = BudgetPlugin(tokens=10_000, ledger=path)
    client = client_with(fake_server, budget)
    stream = client.stream("Hello", max_tokens=100)
    next(stream)
    held = threading.Event()
    go_on = threading.Event()

    def hold():
        with budget.ledger.store._file.use():
            held.set()
            go_on.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    child = os.fork()
    if child == 0:
        try:
            del stream
            gc.collect()
            Client("demo/echo", plugins=[budget.ledger]).chat("Hello")
        except BaseException:
            os._exit(1)
        os._exit(0)
    go_on.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0
    assert budget.status().reserved_tokens > 0
    list(stream)
    assert sorted((row["provider"], row["outcome"]) for row in budget.ledger.rows()) == [
        ("demo", "success"),
        ("openai", "success"),
    ]


@pytest.mark.parametrize(
    "settings",
    [{"cost": float("inf")}, {"tokens": 5, "wait": "x"}, {"tokens": 5, "wait": None}, {"limits": {"a": 5}}],
)
def test_settings_that_cannot_be(settings, path):
    """Named at once."""
    with pytest.raises(ConfigError):
        Client("demo", plugins=[BudgetPlugin(ledger=path, **settings)])


def test_before_it_has_a_client():
    """There is nothing to look at."""
    with pytest.raises(ConfigError, match="no client yet"):
        BudgetPlugin(cost=1).status()


def test_a_ledger_is_pickled_with_its_client(path):
    """By its file."""
    import pickle

    client = Client("demo/echo", plugins=[UsageLedger(path), BudgetPlugin(tokens=1000, ledger=path)])
    again = pickle.loads(pickle.dumps(client))
    again.chat("Hello", max_tokens=10)
    assert UsageLedger(path).total().attempts == 1
    client.close()
    again.close()
