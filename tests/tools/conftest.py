"""A server that calls tools, and a way to run in both worlds, whole and streamed."""

import asyncio

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


class Runner:
    """Runs to the end, and keeps the events of a streamed run."""

    def __init__(self, world, streamed):
        self.world = world
        self.streamed = streamed
        self.events = []

    def __call__(self, client, *args, **options):
        if not self.streamed:
            if self.world == "blocking":
                return client.run(*args, **options)
            return asyncio.run(client.arun(*args, **options))
        if self.world == "blocking":
            stream = client.stream_run(*args, **options)
            self.events = list(stream)
            return stream.result

        async def main():
            stream = client.astream_run(*args, **options)
            self.events = [event async for event in stream]
            return stream.result

        return asyncio.run(main())


@pytest.fixture(params=["blocking", "asyncio", "blocking streamed", "asyncio streamed"])
def run(request):
    """Both worlds, whole and streamed."""
    return Runner(request.param.split()[0], request.param.endswith("streamed"))
