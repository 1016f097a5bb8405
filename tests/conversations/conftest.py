"""A server for each module, and a client of it."""

import pytest

from provider_kit.testing import FakeServer


@pytest.fixture(scope="module")
def shared_server():
    with FakeServer() as made:
        yield made


@pytest.fixture
def server(shared_server):
    shared_server.reset()
    return shared_server


@pytest.fixture
def client(server):
    return server.client(max_retries=0)
