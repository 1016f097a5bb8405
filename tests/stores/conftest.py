"""A real Redis server, and clients that share their state through it."""

import sys
from pathlib import Path

import pytest

from provider_kit.stores.redis_store import RedisStore

sys.path.insert(0, str(Path(__file__).parent))
from redis_server import RedisServer


@pytest.fixture(scope="session")
def redis_process(tmp_path_factory):
    """One server for all tests."""
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield server
    server.stop()


@pytest.fixture
def redis_server(redis_process):
    """The server, empty."""
    import redis

    with redis.Redis.from_url(redis_process.url) as client:
        client.flushall()
    return redis_process


@pytest.fixture
def own_redis_server(tmp_path):
    """A server that a test may stop and start."""
    server = RedisServer(tmp_path).start()
    yield server
    server.stop()


@pytest.fixture
def store(redis_server):
    """Make stores of the server; closed after the test."""
    made = []

    def make(**options):
        made.append(RedisStore(redis_server.url, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()
