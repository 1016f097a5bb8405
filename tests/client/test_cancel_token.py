"""``cancel=CancelToken()``: another thread ends a call at once, whatever it waits for, and frees what it held."""

import asyncio
import socket
import threading
import time

import pytest

from provider_kit import CallCancelledError, CancelToken, Client, InvalidRequestError, RateLimitConfig
from provider_kit.testing import Fault

#: Seconds within which a cancelled call must have ended. It is a tenth; more is the time of a loaded machine.
SOON = 0.5


class Silent:
    """A server that takes connections and says nothing; it tells when a connection was given up."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/v1"
        self.asked, self.closed = threading.Event(), threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        connection, _ = self.listener.accept()
        with connection:
            connection.settimeout(10)
            connection.recv(65536)
            self.asked.set()
            while connection.recv(65536):
                pass
            self.closed.set()

    def close(self):
        self.listener.close()


@pytest.fixture
def silent():
    server = Silent()
    yield server
    server.close()


def run(world, call):
    """Make a call in a thread: what it raises, and how long it took from ``go`` on."""
    outcome = {}

    def work():
        try:
            outcome["result"] = call() if world == "blocking" else asyncio.run(call())
        except BaseException as error:
            outcome["error"] = error
        outcome["ended"] = time.monotonic()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread, outcome


def ask(client, world, verb, token):
    """A call as a function; for asyncio a coroutine function."""

    def blocking():
        if verb == "stream":
            return list(client.stream("Hi", cancel=token))
        return getattr(client, verb)(*([] if verb == "models" else ["Hi"]), cancel=token)

    async def awaited():
        try:
            if verb == "stream":
                return [chunk async for chunk in client.astream("Hi", cancel=token)]
            return await getattr(client, f"a{verb}")(*([] if verb == "models" else ["Hi"]), cancel=token)
        finally:
            await client.aclose()

    return blocking if world == "blocking" else awaited


worlds = pytest.mark.parametrize("world", ["blocking", "asyncio"])


@worlds
@pytest.mark.parametrize("verb", ["chat", "stream", "models", "embed"])
def test_a_call_that_waits_for_an_answer(silent, world, verb):
    """It ends within a tenth of a second, and its connection is closed."""
    client = Client(silent.url, model="m", api_key="k", max_concurrency=1)
    token = CancelToken()
    thread, outcome = run(world, ask(client, world, verb, token))
    assert silent.asked.wait(5)
    time.sleep(0.05)
    began = time.monotonic()
    token.cancel()
    thread.join(5)
    assert isinstance(outcome["error"], CallCancelledError), outcome
    assert outcome["ended"] - began < SOON
    assert silent.closed.wait(SOON)
    assert client._admission.slots.taken == 0
    assert (outcome["error"].operation, outcome["error"].retryable) == (verb, False)
    client.close()


@worlds
@pytest.mark.parametrize("what", ["retry", "rate limit", "slot"])
@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_a_call_that_waits_for_its_turn(fake_server, world, verb, what):
    """Nothing is sent any more, and whatever it queued for is free for the next."""
    options = {
        "retry": {"max_retries": 3},
        "rate limit": {"rate_limit": RateLimitConfig(requests_per_minute=1)},
        "slot": {"max_concurrency": 1},
    }[what]
    client = fake_server.client(**options)
    held = None
    if what == "retry":
        fake_server.fault(Fault(status=503, headers={"retry-after": "60"}))
    elif what == "rate limit":
        client.chat("one")
    else:
        held = client.stream("hold")
        next(held)
    token = CancelToken()
    thread, outcome = run(world, ask(client, world, verb, token))
    expected = len(fake_server.requests) + (what == "retry" and not fake_server.requests)
    while len(fake_server.requests) < expected and thread.is_alive():
        time.sleep(0.01)
    time.sleep(0.2)
    assert not outcome
    sent = len(fake_server.requests)
    began = time.monotonic()
    token.cancel()
    thread.join(5)
    assert isinstance(outcome["error"], CallCancelledError), outcome
    assert outcome["ended"] - began < SOON
    assert len(outcome["error"].attempts) == (1 if what == "retry" else 0)
    if held is not None:
        held.close()
    assert len(fake_server.requests) == sent
    assert client._admission.slots is None or client._admission.slots.taken == 0
    assert not any(len(limiter) for limiter in client._admission.rates.limiters.values())
    client.close()


@worlds
def test_a_stream_in_the_middle_of_its_answer(fake_server, world):
    """What was received stays readable; the loop ends with the error."""
    fake_server.fault(stall_after=2)
    client = fake_server.client(max_concurrency=1)
    token, seen = CancelToken(), []
    stream = client.stream("Hi", cancel=token) if world == "blocking" else client.astream("Hi", cancel=token)

    def blocking():
        for chunk in stream:
            seen.append(chunk.text)

    async def awaited():
        async for chunk in stream:
            seen.append(chunk.text)

    thread, outcome = run(world, blocking if world == "blocking" else awaited)
    while not seen and thread.is_alive():
        time.sleep(0.01)
    time.sleep(0.1)
    began = time.monotonic()
    token.cancel()
    thread.join(5)
    assert isinstance(outcome["error"], CallCancelledError), outcome
    assert outcome["ended"] - began < SOON
    assert stream.response.text == "".join(seen)
    assert client._admission.slots.taken == 0
    client.close()


@worlds
@pytest.mark.parametrize("verb", ["chat", "stream", "models", "embed", "count_tokens"])
def test_a_cancelled_token_sends_nothing(fake_server, world, verb):
    """Also one that was given to other calls before."""
    client = fake_server.client("gemini/gemini-2.5-flash")
    token = CancelToken()
    call = ask(client, world, verb, token)
    run(world, call)[0].join(5)
    sent = len(fake_server.requests)
    assert sent == 1
    token.cancel()
    token.cancel()
    thread, outcome = run(world, ask(client, world, verb, token))
    thread.join(5)
    assert isinstance(outcome["error"], CallCancelledError)
    assert len(fake_server.requests) == sent
    client.close()


@worlds
def test_one_token_ends_many_calls(fake_server, world):
    """And holds none of those that have ended."""
    token = CancelToken()
    client = fake_server.client()
    for _ in range(20):
        run(world, ask(client, world, "chat", token))[0].join(5)
        run(world, ask(client, world, "stream", token))[0].join(5)
    assert len(token._calls) == 0
    client.close()


@pytest.mark.parametrize("wrong", ["yes", True, CancelToken, object()])
def test_something_else_than_a_token_is_refused(fake_server, wrong):
    """Before anything is sent."""
    client = fake_server.client()
    for call in (lambda: client.chat("Hi", cancel=wrong), lambda: client.stream("Hi", cancel=wrong)):
        with pytest.raises(InvalidRequestError, match="CancelToken"):
            call()
    assert fake_server.requests == []
