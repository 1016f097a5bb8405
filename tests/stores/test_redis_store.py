"""Redis from both worlds: commands, time limits, loops, and what it says when it is away."""

import asyncio
import gc
import pickle
import socket
import sys
import threading
import time

import pytest

from provider_kit import Client, ConfigError, MissingDependencyError, RedisStore, StoreError
from provider_kit.stores.base import open_store
from provider_kit.transports.drive import run_to_completion
from provider_kit.transports.runtime_asyncio import AsyncioRuntime
from provider_kit.transports.runtime_blocking import BlockingRuntime

ECHO = "return {KEYS[1], ARGV[1], tonumber(ARGV[2]) + 1}"


class Blocking:
    name = "blocking"

    def run(self, scenario):
        return run_to_completion(scenario(BlockingRuntime()))


class Asyncio:
    name = "asyncio"

    def run(self, scenario):
        async def main():
            return await scenario(AsyncioRuntime())

        return asyncio.run(main())


@pytest.fixture(params=[Blocking, Asyncio], ids=lambda kind: kind.name)
def world(request):
    return request.param()


def test_a_script_runs_on_the_server_under_the_prefix(world, store):
    """Also the first time, when the server does not know it yet."""
    made = store(prefix="mine")

    async def scenario(waiting):
        return [await made.run(waiting, ECHO, ["place"], ["x", 1]) for _ in range(2)]

    assert world.run(scenario) == [[b"mine:place", b"x", 2]] * 2


def test_bytes_are_kept_for_their_time(world, store):
    """Any bytes; what is not there is None."""
    made = store()

    async def scenario(waiting):
        await made.set(waiting, "a", b"\x00\xff", 0.08)
        before = await made.get(waiting, "a")
        await waiting.sleep(0.12)
        return before, await made.get(waiting, "a"), await made.get(waiting, "b")

    assert world.run(scenario) == (b"\x00\xff", None, None)


def test_a_server_that_is_not_there_is_a_store_error(world):
    """Typed, with a hint, without the password."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    made = RedisStore(f"redis://user:very-secret-password@127.0.0.1:{port}/0")
    with pytest.raises(StoreError) as caught:
        world.run(lambda waiting: made.get(waiting, "a"))
    assert f"127.0.0.1:{port}" in str(caught.value)
    assert caught.value.retryable
    assert "on_store_failure" in caught.value.hint
    assert "very-secret-password" not in repr(made) + str(caught.value) + repr(caught.value.__cause__)


def test_a_server_that_says_nothing_does_not_hang(world):
    """Each answer has its time."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        made = RedisStore(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", timeout=0.4)
        began = time.monotonic()
        with pytest.raises(StoreError):
            world.run(lambda waiting: made.get(waiting, "a"))
        assert 0.35 < time.monotonic() - began < 0.75  # once, not once more
        made.close()


def test_a_script_that_fails_is_a_store_error(world, store):
    """The server's words are in the text."""
    with pytest.raises(StoreError, match="boom"):
        world.run(lambda waiting: store().run(waiting, "error('boom')", ["k"], []))


def test_two_loops_in_a_row_and_a_thread_use_one_store(store):
    """A connection belongs to its loop and is closed with it."""
    made = store()

    async def use():
        waiting = AsyncioRuntime()
        await asyncio.gather(*[made.set(waiting, f"k{i}", b"v", 10) for i in range(20)])
        return await made.get(waiting, "k3")

    assert asyncio.run(use()) == b"v"
    assert asyncio.run(use()) == b"v"
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(run_to_completion(made.get(BlockingRuntime(), "k3"))))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [b"v"] * 4
    gc.collect()  # an unclosed connection would warn, and warnings are errors


def test_closing_in_the_loop_allows_further_use(store):
    """``aclose`` frees the loop's connection; the next command makes a new one."""
    made = store()

    async def use():
        waiting = AsyncioRuntime()
        await made.set(waiting, "a", b"1", 10)
        await made.aclose()
        await made.aclose()
        return await made.get(waiting, "a")

    assert asyncio.run(use()) == b"1"


def test_connections_of_the_users_own_are_used_and_left_open(redis_server):
    """Whoever brings a client closes it."""
    import redis
    import redis.asyncio

    with redis.Redis.from_url(redis_server.url) as own:
        made = RedisStore(client=own)
        run_to_completion(made.set(BlockingRuntime(), "a", b"1", 10))
        assert own.get("provider_kit:cache:a") == b"1"

    async def use():
        async with redis.asyncio.Redis.from_url(redis_server.url) as own:
            made = RedisStore(async_client=own)
            return await made.get(AsyncioRuntime(), "a"), await own.get("provider_kit:cache:a")

    assert asyncio.run(use()) == (b"1", b"1")


def test_a_missing_extra_is_named(monkeypatch):
    """With the command that installs it."""
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(MissingDependencyError) as caught:
        RedisStore("redis://localhost")
    assert caught.value.hint == "pip install provider-kit[redis]"
    with pytest.raises(MissingDependencyError):
        Client("openai/gpt-4o", api_key="k", store="redis://localhost")


@pytest.mark.parametrize("url", ["localhost:6379", "http://localhost", "memcached://x"])
def test_an_address_of_something_else_is_refused(url):
    """With an example of a right one."""
    with pytest.raises(ConfigError, match="No store is known") as caught:
        open_store(url)
    assert "redis://" in caught.value.hint


def test_a_store_is_not_pickled():
    """It may hold a password; a URL in the configuration is pickled with it."""
    with pytest.raises(TypeError, match="URL"):
        pickle.dumps(RedisStore("redis://localhost"))


def test_a_connection_that_the_server_closed_is_made_anew(world, store, redis_server):
    """A server ends idle connections; nobody notices."""
    import redis

    made = store()

    async def scenario(waiting):
        await made.set(waiting, "a", b"1", 10)
        with redis.Redis.from_url(redis_server.url) as admin:
            admin.client_kill_filter(_type="normal", skipme=True)
        return await made.get(waiting, "a")

    assert world.run(scenario) == b"1"
