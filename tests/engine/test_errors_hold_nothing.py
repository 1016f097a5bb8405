"""A failed call is over with its error: no circle keeps connections, clients and answers for the garbage collector."""

import asyncio
import gc
import weakref

import pytest

from provider_kit import APIConnectionError, Backoff, Client, ProviderKitError
from provider_kit.testing import FakeServer

#: What it raises is the same after a long wait.
QUICK = Backoff(1, base=0.001)
FAILURES = {
    "an impossible address": {},
    "refused": {"status": 500},
    "refused at once": {"status": 400},
    "too many": {"status": 429, "retry_after": 0},
    "cut": {"cut_after": 2},
    "late": {"latency": 1},
    "no JSON": {"status": 200, "body": b"{"},
}


def read(stream):
    for _ in stream:
        pass


async def aread(stream):
    async for _ in stream:
        pass


@pytest.fixture
def client_of():
    """A function: a client whose calls fail so."""
    with FakeServer() as server:

        def make(failure):
            server.always(**FAILURES[failure])
            if failure == "an impossible address":
                return Client("http://a..b/v1", model="m", max_retries=0)
            return server.client(max_retries=1, retry=QUICK, timeout=0.2)

        yield make


@pytest.fixture(autouse=True)
def _no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("verb", ["chat", "stream"])
@pytest.mark.parametrize("failure", FAILURES)
def test_an_error_is_freed_with_the_last_who_knows_it(client_of, failure, verb):
    """In a thread."""
    client = client_of(failure)
    try:
        client.chat("Hi") if verb == "chat" else read(client.stream("Hi"))
    except ProviderKitError as error:
        known = weakref.ref(error)
    assert known() is None
    client.close()


@pytest.mark.parametrize("verb", ["chat", "stream"])
@pytest.mark.parametrize("failure", FAILURES)
def test_so_it_is_in_a_task(client_of, failure, verb):
    """Where asyncio itself keeps none."""
    client = client_of(failure)

    async def main():
        try:
            await (client.achat("Hi") if verb == "chat" else aread(client.astream("Hi")))
        except ProviderKitError as error:
            known = weakref.ref(error)
        assert known() is None
        await client.aclose()

    asyncio.run(main())


def test_a_retry_leaves_the_exception_that_its_caller_handles_alone(fake_server):
    """Whoever asks a model about an error still wants to log it afterwards."""
    client, mine = fake_server.client(max_retries=2), ValueError("mine")
    fake_server.fault(503, retry_after=0)
    try:
        raise mine
    except ValueError:
        client.chat("Explain it")
    assert mine.__traceback__ is not None
    client.close()


def test_a_failure_leaves_the_exception_that_its_caller_handles_alone(call):
    """Its frames are the caller's: a debugger still shows what was in them."""

    def risky():
        clue = "what went wrong"
        raise ValueError(clue)

    client = Client("http://127.0.0.1:9/v1", model="m", api_key="k", max_retries=0)
    try:
        risky()
    except ValueError as mine:
        with pytest.raises(APIConnectionError):
            call.chat(client, "Explain it")
        seen = mine.__traceback__.tb_next.tb_frame.f_locals
    assert seen["clue"] == "what went wrong"
