"""Several clients, processes and machines that share limits, keys and circuit through one Redis."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import redis

from provider_kit import (
    AllKeysExhaustedError,
    Backoff,
    CallCancelledError,
    CancelToken,
    CircuitBreakerConfig,
    CircuitOpenError,
    Client,
    InternalServerError,
    ProviderConfig,
    RateLimitConfig,
    RateLimitError,
    RateLimitExceededError,
    StoreError,
)
from provider_kit.transports.runtime_asyncio import AsyncioRuntime
from provider_kit.transports.runtime_blocking import BlockingRuntime
from provider_kit.wire.http import HttpResponse

KEYS = ["key-number-one-abcdef", "key-number-two-abcdef"]
BODY = (
    b'{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":5,"completion_tokens":5,"total_tokens":10}}'
)


def answering(base, stamps, status=lambda request: 200):
    """A transport of one world that answers at once and notes when it was asked."""

    class Instant(base):
        async def send(self, request, limits):
            stamps.append((time.time(), request.headers["Authorization"]))
            return HttpResponse(status(request), {"content-type": "application/json"}, BODY)

        async def open_stream(self, request, limits):
            raise NotImplementedError

        def run_all(self, thunks, limit=None):
            raise NotImplementedError

        async def aclose(self):
            pass

    return Instant()


@pytest.fixture
def members(redis_server, call):
    """Make clients that stand for processes of their own: nothing but Redis is common to them."""

    def make(count=2, *, status=lambda request: 200, stamps=None, **options):
        stamps = [] if stamps is None else stamps
        base = BlockingRuntime if call.name == "blocking" else AsyncioRuntime
        options.setdefault("api_key", "test-key-0123456789")
        options.setdefault("store", redis_server.url)
        options.setdefault("retry", Backoff(0))
        return [
            Client("openai/gpt-4o", transport=answering(base, stamps, status), **options) for _ in range(count)
        ], stamps

    return make


def test_a_limit_holds_for_all_together(call, members):
    """Five a minute, by whoever comes."""
    (one, other), stamps = members(rate_limit=RateLimitConfig(requests_per_minute=5, max_wait=0.5))
    for client in (one, other, one, other, one):
        call.chat(client, "Hello")
    for client in (one, other):
        with pytest.raises(RateLimitExceededError) as caught:
            call.chat(client, "Hello")
        assert 55 < caught.value.retry_after <= 61
    assert len(stamps) == 5


def test_tokens_are_claimed_and_settled_for_all(call, members):
    """Each call claims about 1000 and uses 10, so that many fit into 2000."""
    (one, other), stamps = members(rate_limit=RateLimitConfig(tokens_per_minute=2000, max_wait=0.5))
    for _ in range(10):
        call.chat(one, "Hello")
        call.chat(other, "Hello")
    assert len(stamps) == 20
    with pytest.raises(RateLimitExceededError):
        call.chat(other, "Hello", max_tokens=1900)
    call.chat(other, "Hello", max_tokens=1700)


def test_a_key_that_one_found_dead_is_dead_for_all(call, members):
    """The other client never tries it."""

    def status(request):
        return 401 if KEYS[0] in request.headers["Authorization"] else 200

    (one, other), stamps = members(api_keys=KEYS, api_key=None, status=status)
    call.chat(one, "Hello")
    seen = len(stamps)
    for _ in range(4):
        call.chat(other, "Hello")
    assert {key for _, key in stamps[seen:]} == {f"Bearer {KEYS[1]}"}
    assert [status.state for status in other.keys.status()] == ["dead", "healthy"]


def test_a_key_that_works_again_works_for_all(call, members):
    """Whoever finds out clears it for the others."""
    dead = [True]

    def status(request):
        return 401 if dead[0] else 200

    (one, other), _ = members(api_keys=KEYS, api_key=None, status=status)
    with pytest.raises(AllKeysExhaustedError):
        call.chat(one, "Hello")
    with pytest.raises(AllKeysExhaustedError):
        call.chat(other, "Hello")
    dead[0] = False
    for key in one.keys._keys:
        key.probed = float("-inf")  # a minute later
    call.chat(one, "Hello")
    call.chat(other, "Hello")
    assert "healthy" in [status.state for status in other.keys.status()]


def test_a_key_that_rests_rests_for_all(call, members):
    """As long as the provider said."""
    asked = []

    def status(request):
        asked.append(request)
        return 429 if len(asked) == 1 else 200

    (one, other), stamps = members(api_keys=KEYS, api_key=None, status=status)
    call.chat(one, "Hello")
    for _ in range(3):
        call.chat(other, "Hello")
    assert [key for _, key in stamps[2:]] == [f"Bearer {KEYS[1]}"] * 3
    assert other.keys.status()[0].state == "cooling"


def test_a_circuit_opens_for_all_and_closes_for_all(call, members):
    """Failures of both count together; the first good answers close it again."""
    failing = [True]
    (one, other), stamps = members(
        status=lambda request: 500 if failing[0] else 200, circuit_breaker=CircuitBreakerConfig(open_for=0.2)
    )
    for client in (one, other, one):
        with pytest.raises(InternalServerError):
            call.chat(client, "Hello")
    for client in (one, other):
        with pytest.raises(CircuitOpenError) as caught:
            call.chat(client, "Hello")
        assert 0 < caught.value.retry_after <= 0.2
    assert len(stamps) == 3
    failing[0] = False
    time.sleep(0.25)
    for client in (one, other, one):
        call.chat(client, "Hello")
    assert (one.circuit.state, other.circuit.state) == ("closed", "half_open")
    call.chat(other, "Hello")
    assert other.circuit.state == "closed"


def test_only_so_many_try_while_the_circuit_is_half_open(members, redis_server):
    """Three, over all clients; the others are told to stay away."""
    pytest.importorskip("redis")
    from provider_kit.policies.shared_scripts import BEGIN, FINISH
    from provider_kit.stores.redis_store import RedisStore
    from provider_kit.transports.drive import run_to_completion

    store, waiting = RedisStore(redis_server.url), BlockingRuntime()
    names = ["c", "k"]
    failed = ["failed", 60_000_000, 50_000, 3, 3, 0.6, "", "same", 0, 0]
    for _ in range(3):
        run_to_completion(store.run(waiting, FINISH, names, failed))
    opened = run_to_completion(store.run(waiting, BEGIN, names, [3, 50_000]))
    assert opened[0] == b"open"
    assert 0 < opened[1] <= 50_000
    time.sleep(0.06)
    told = [run_to_completion(store.run(waiting, BEGIN, names, [3, 50_000])) for _ in range(5)]
    assert [state for state, _ in told] == [b"half_open"] * 5
    assert [wait > 0 for _, wait in told] == [False, False, False, True, True]
    time.sleep(0.06)  # those who tried never came back
    assert run_to_completion(store.run(waiting, BEGIN, names, [3, 50_000])) == [b"half_open", 0]
    store.close()


def test_clients_of_different_addresses_share_nothing(call, members):
    """A limit is that of one provider at one base URL."""
    limit = RateLimitConfig(requests_per_minute=1, max_wait=0.1)
    (one,), _ = members(1, rate_limit=limit)
    (other,), _ = members(1, rate_limit=limit, base_url="https://elsewhere.example/v1")
    call.chat(one, "Hello")
    call.chat(other, "Hello")
    with pytest.raises(RateLimitExceededError):
        call.chat(one, "Hello")


def test_answers_are_shared_through_redis_too(call, members, redis_server):
    """What one asked, the other has."""
    (one, other), stamps = members(response_cache=redis_server.url)
    assert call.chat(one, "Hello").cache == "miss"
    again = call.chat(other, "Hello")
    assert (again.cache, again.text, again.usage.total_tokens) == ("hit", "Hi", 10)
    assert len(stamps) == 1


# ------------------------------------------------------------------------------------------------ away


def test_without_the_store_each_goes_on_alone_and_says_so_once(call, own_redis_server, members):
    """One warning; the limits of the process hold; back again, it is told."""
    events = []
    (client,), stamps = members(
        1,
        store=own_redis_server.url,
        rate_limit=RateLimitConfig(requests_per_minute=5, max_wait=0.2),
        on_event=events.append,
    )
    call.chat(client, "Hello")
    own_redis_server.stop()
    for _ in range(4):
        call.chat(client, "Hello")
    with pytest.raises(RateLimitExceededError):
        call.chat(client, "Hello")
    assert len(stamps) == 5
    failed = [event for event in events if event.name == "store_failed"]
    assert len(failed) == 1
    assert "this process alone" in failed[0].message
    own_redis_server.start()
    client._admission.shared._outage.until = 0.0  # some seconds later
    with pytest.raises(RateLimitExceededError):
        for _ in range(6):
            call.chat(client, "Hello")
    assert [event.name for event in events if event.name.startswith("store")] == ["store_failed", "store_back"]


def test_a_store_that_is_away_can_be_an_error(call, own_redis_server, members):
    """``on_store_failure="raise"``: nothing is sent."""
    (client,), stamps = members(1, store=own_redis_server.url, on_store_failure="raise")
    call.chat(client, "Hello")
    own_redis_server.stop()
    for _ in range(2):
        with pytest.raises(StoreError) as caught:
            call.chat(client, "Hello")
        assert caught.value.provider == "openai"
    assert len(stamps) == 1
    own_redis_server.start()
    call.chat(client, "Hello")


def test_a_frozen_server_does_not_hang_a_call(call, own_redis_server, members):
    """It accepts connections and says nothing; the call costs little more than the store's timeout."""
    from provider_kit import RedisStore

    store = RedisStore(own_redis_server.url, timeout=0.15)
    (client,), _ = members(1, store=store, rate_limit=RateLimitConfig(requests_per_minute=50), circuit_breaker=True)
    call.chat(client, "Hello")
    os.kill(own_redis_server._process.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        call.chat(client, "Hello")
        call.chat(client, "Hello")
        assert time.monotonic() - began < 2.0
    finally:
        os.kill(own_redis_server._process.pid, signal.SIGCONT)
    store.close()


def test_a_config_names_the_store(call, redis_server):
    """The same through a ProviderConfig; its address is not shown."""
    url = redis_server.url.replace("//", "//:a-password@")
    config = ProviderConfig(type="openai", api_key="k" * 20, store=url)
    assert "a-password" not in repr(config) + repr(Client(config))


# ------------------------------------------------------------------------------------------------ processes

LIMIT, WINDOW, SECONDS = 80, 2.0, 6.0
#: Seconds that may pass on a busy machine between being admitted and noting the time.
JITTER = 0.05


@pytest.mark.long
def test_eight_processes_use_one_limit_fully_and_never_exceed_it(redis_server):
    """Half of them blocking, half asyncio: never more in any window, and at least 97 % of it."""
    script = str(Path(__file__).parent / "hammer.py")
    numbers = [str(number) for number in (LIMIT, WINDOW, SECONDS)]
    processes = [
        subprocess.Popen(
            [sys.executable, script, redis_server.url, kind, *numbers],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for kind in ["blocking", "asyncio"] * 4
    ]
    try:
        assert [process.stdout.readline() for process in processes] == ["ready\n"] * 8
        start = time.time()
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        collected = [json.loads(process.communicate(timeout=60)[0]) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()
    assert all(collected), "a process was starved"
    stamps = sorted(when for one in collected for when in one)
    first = 0
    for number, when in enumerate(stamps):
        while stamps[first] <= when - WINDOW + JITTER:
            first += 1
        assert number - first + 1 <= LIMIT
    whole = [when for when in stamps if when < start + SECONDS]
    assert len(whole) >= 0.97 * LIMIT * SECONDS / WINDOW


# ------------------------------------------------------------------------------------------------ trials given back


#: One call tries a provider that was left alone; whoever keeps that place keeps everybody out for a minute.
HALF = CircuitBreakerConfig(half_open_requests=1, min_requests=1, failure_ratio=1.0, open_for=60)


@pytest.mark.parametrize("world", ["blocking", "asyncio"])
@pytest.mark.parametrize("how", ["break", "cancelled", "token", "collected", "late"])
def test_a_trial_that_nobody_ended_is_given_back_to_all(redis_server, fake_server, world, how):
    """A caller who leaves in the middle of the trial keeps nobody out: another process may try at once."""
    options = {"store": redis_server.url, "circuit_breaker": HALF, "max_retries": 0}
    with fake_server.client(**options) as one, fake_server.client(**options) as other:
        fake_server.fault(500)
        with pytest.raises(InternalServerError):
            one.chat("Hello")
        with pytest.raises(CircuitOpenError):
            other.chat("Hello")
        with redis.Redis.from_url(redis_server.url) as server:
            (circuit,) = server.scan_iter("*:circuit")
            server.hset(circuit, "until", 0)  # the minute is over
        leave(one, fake_server, world, how)
        assert other.chat("Hello").text


def leave(client, server, world, how):
    """Begin a call and leave it."""
    token = CancelToken()
    server.fault(latency=5 if how in ("cancelled", "late") else 0, token_delay=0.02)
    if world == "blocking":
        if how in ("cancelled", "late"):
            threading.Timer(0.2, token.cancel).start()
            with pytest.raises(CallCancelledError):
                client.chat("Hello", cancel=token) if how == "late" else next(client.stream("Hello", cancel=token))
            return
        stream = client.stream("Hello", cancel=token)
        next(stream)
        if how == "token":
            token.cancel()
            with pytest.raises(CallCancelledError):
                list(stream)
        elif how == "break":
            stream.close()
        del stream
        return

    async def main():
        if how in ("cancelled", "late"):
            coroutine = client.achat("Hello") if how == "late" else anext(client.astream("Hello"))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(coroutine, 0.2)
            await client.aclose()
            return
        stream = client.astream("Hello", cancel=token)
        await anext(stream)
        if how == "token":
            token.cancel()
            with pytest.raises(CallCancelledError):
                [chunk async for chunk in stream]
        elif how == "break":
            await stream.aclose()
        del stream
        await asyncio.sleep(0.1)
        await client.aclose()

    asyncio.run(main())


def users_of(server, **options):
    """Three clients of two users of one service."""
    service = server.client("openai/gpt-4o", max_retries=0, wait_for_key=False, **options)
    return [service.with_options(token=f"token-of-{name}-0123456789") for name in ("ada", "bob", "ada")]


def test_users_share_no_limits(fake_server, redis_server):
    """And one user has the same limits in all processes. What stands in the store names nobody."""
    limit = RateLimitConfig(requests_per_minute=2, max_wait=0.2)
    ada, bob, again = users_of(fake_server, store=redis_server.url, rate_limit=limit)
    for client in (ada, ada, bob):
        client.chat("Hello")
    with pytest.raises(RateLimitExceededError):
        again.chat("Hello")
    bob.chat("Hello")
    with redis.Redis.from_url(redis_server.url) as reader:
        names = b" ".join(reader.keys("*")).lower()
    assert b"token-" not in names
    assert b"bearer" not in names


def test_users_share_no_health(fake_server, redis_server):
    """A 429 for one says nothing about the other."""
    ada, bob, _ = users_of(fake_server, store=redis_server.url)
    fake_server.fault(429, retry_after=50)
    with pytest.raises(RateLimitError):
        ada.chat("Hello")
    with pytest.raises(AllKeysExhaustedError):
        ada.chat("Hello")
    assert bob.chat("Hello").text


def test_one_request_a_minute_is_one_however_it_is_spread(call, members):
    """The window of the minute and that of the pace are then the same."""
    (one, other), stamps = members(rate_limit=RateLimitConfig(requests_per_minute=1, pacing="smooth", max_wait=0.2))
    call.chat(one, "Hello")
    for client in (one, other):
        with pytest.raises(RateLimitExceededError):
            call.chat(client, "Hello")
    assert len(stamps) == 1


def test_a_key_that_is_added_again_is_healthy_for_all(call, members):
    """It was repaired at the provider, and an operator has said so."""
    dead = [KEYS[0]]

    def status(request):
        return 401 if any(key in request.headers["Authorization"] for key in dead) else 200

    (one, other), stamps = members(api_keys=KEYS, api_key=None, status=status)
    for client in (one, other):
        call.chat(client, "Hello")
    dead.clear()
    one.keys.add_key(KEYS[0])
    for client in (one, one, other, other):
        call.chat(client, "Hello")
    assert [status.state for status in one.keys.status()] == ["healthy"] * 2
    assert [status.state for status in other.keys.status()] == ["healthy"] * 2
    assert sum(KEYS[0] in used for _, used in stamps[3:]) >= 1
