"""``cancel=CancelToken()``: another thread ends a call at once, whatever it waits for, and frees what it held."""

import asyncio
import signal
import socket
import sys
import threading
import time
from contextlib import ExitStack, suppress

import pytest

from provider_kit import (
    CallCancelledError,
    CancelToken,
    ChatResponse,
    Client,
    InvalidRequestError,
    Message,
    ProviderKitError,
    RateLimitConfig,
    Reply,
    Timeout,
)
from provider_kit.testing import FakeServer, Fault, OAuthServer

#: Seconds within which a cancelled call must have ended. It is a tenth; more is the time of a loaded machine.
SOON = 2.0


class Silent:
    """A server that takes connections and says nothing; it tells when a connection was given up."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/v1"
        self.asked, self.closed = threading.Event(), threading.Event()
        self._server = threading.Thread(target=self._serve, daemon=True)
        self._server.start()

    def _serve(self):
        try:
            connection, _ = self.listener.accept()
        except OSError:  # nobody came
            return
        with connection:
            connection.settimeout(10)
            connection.recv(65536)
            self.asked.set()
            while connection.recv(65536):
                pass
            self.closed.set()

    def close(self):
        with suppress(OSError):  # some systems wake a thread that waits in accept() by nothing else
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self._server.join(11)
        assert not self._server.is_alive()


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


def shows_its_end(world, ask_for, token, expected=CallCancelledError, after=0.2):
    """Start a call, cancel it a moment later, and return how long it went on."""
    thread, outcome = run(world, ask_for)
    time.sleep(after)
    assert not outcome
    began = time.monotonic()
    token.cancel()
    thread.join(8)
    assert isinstance(outcome["error"], expected), outcome
    assert outcome["ended"] - began < SOON


@worlds
def test_a_token_made_from_another_follows_it_through_all_its_calls(fake_server, world):
    """Not only through the first one."""
    client, parent = fake_server.client(), CancelToken()
    token = CancelToken(parent)
    assert "result" in run_to_end(world, ask(client, world, "chat", token))
    parent.cancel()
    assert token.cancelled
    assert isinstance(run_to_end(world, ask(client, world, "chat", token))["error"], CallCancelledError)
    assert len(fake_server.requests) == 1
    client.close()


def run_to_end(world, call):
    thread, outcome = run(world, call)
    thread.join(8)
    return outcome


@worlds
def test_a_stream_that_was_handled_before_can_be_cancelled(fake_server, world):
    """A middleware that tries again hands on the same token."""

    async def again(call, call_next):
        try:
            return await call_next(call)
        except ProviderKitError:
            return await call_next(call)

    fake_server.fault(500)
    fake_server.fault(stall_after=2)
    client, token = fake_server.client(middleware=[again], max_retries=0), CancelToken()
    shows_its_end(world, ask(client, world, "stream", token), token)
    client.close()


@pytest.fixture(params=["TCP", "TLS"])
def unreachable(request):
    """An address at which no connection comes about: it is never accepted, or there is no handshake."""
    if request.param == "TLS":
        with socket.create_server(("127.0.0.1", 0)) as listener:
            yield f"https://127.0.0.1:{listener.getsockname()[1]}/v1"
        return
    with socket.socket() as listener, ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):  # the queue is full
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse what they cannot queue")
@worlds
@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_a_call_that_waits_for_its_connection(unreachable, world, verb):
    """Its thread ends with the timeout for connecting, the call at once."""
    client = Client(unreachable, model="m", api_key="k", max_retries=0, timeout=Timeout(connect=1))
    token, threads = CancelToken(), threading.active_count()
    shows_its_end(world, ask(client, world, verb, token), token)
    client.close()
    end = time.monotonic() + 5
    while threading.active_count() > threads and time.monotonic() < end:
        time.sleep(0.02)
    assert threading.active_count() == threads


@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_a_task_that_waits_for_a_refresh(verb):
    """The refresh goes on, and the next call has its token."""
    with OAuthServer() as auth, FakeServer(key=auth.accepts) as api:
        login = auth.authenticator("acme")
        login.login(open_browser=auth.browser, show=None)
        client, token = api.client("openai/gpt-4o", auth=login), CancelToken()
        client.chat("Hi")
        auth.expire_access_tokens()
        auth.fault(grant="refresh_token", latency=4)
        began = time.monotonic()

        async def cancelled():
            call = client.achat("Hi", cancel=token) if verb == "chat" else anext(client.astream("Hi", cancel=token))
            with pytest.raises(CallCancelledError):
                await call
            assert time.monotonic() - began < 0.2 + SOON

        timer = threading.Timer(0.2, token.cancel)
        timer.start()
        asyncio.run(cancelled())
        timer.join()
        assert client.chat("Hi").text
        assert auth.issued["refresh_token"] == 1
        client.close()
        login.close()


def test_a_task_that_waits_for_its_key(fake_server):
    """The function that fetches it is cancelled like any other task."""
    ended = []

    async def fetch():
        try:
            await asyncio.sleep(30)
        finally:
            ended.append(True)

    client, token = fake_server.client(api_key=fetch), CancelToken()
    shows_its_end("asyncio", ask(client, "asyncio", "chat", token), token)
    assert ended == [True]


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs the signals of Unix")
def test_a_signal_handler_cancels_what_waits_in_the_loop_of_its_own_thread(fake_server):
    """The loop sleeps on when the handler is done; something must wake it."""
    fake_server.fault(Fault(status=503, headers={"retry-after": "30"}))
    client, token = fake_server.client(), CancelToken()
    before = signal.signal(signal.SIGUSR1, lambda *_: token.cancel())
    sender = threading.Timer(0.2, signal.pthread_kill, (threading.get_ident(), signal.SIGUSR1))
    began = time.monotonic()
    try:
        sender.start()
        with pytest.raises(CallCancelledError):
            asyncio.run(ask(client, "asyncio", "chat", token)())
        assert time.monotonic() - began < 0.2 + SOON
    finally:
        sender.join()
        signal.signal(signal.SIGUSR1, before)


def test_a_late_cancellation_ends_no_other_call(fake_server, monkeypatch):
    """By the time the connection is to be shut down, another call may have it."""
    from provider_kit.transports.requests_clocks import RequestClock

    break_off, late = RequestClock.break_off, threading.Event()

    def break_off_late(clock):
        late.wait(5)
        break_off(clock)

    monkeypatch.setattr(RequestClock, "break_off", break_off_late)
    fake_server.fault(latency=0.3)
    fake_server.fault(latency=0.5)
    client, token = fake_server.client(max_retries=0), CancelToken()
    first, outcome = run("blocking", ask(client, "blocking", "chat", token))
    time.sleep(0.1)
    cancelling = threading.Thread(target=token.cancel)
    cancelling.start()
    first.join(5)
    assert outcome
    threading.Timer(0.2, late.set).start()
    assert client.chat("two").text
    cancelling.join(5)
    client.close()


@pytest.mark.parametrize("how", ["refused", "timed out"])
def test_an_async_stream_that_failed_at_its_start_has_ended(fake_server, how):
    """It is not sent again by whoever asks for another chunk."""

    async def main():
        stream = client.astream("Hi")
        with pytest.raises((ProviderKitError, TimeoutError)):
            await asyncio.wait_for(anext(stream), 5 if how == "refused" else 0.1)
        assert [chunk async for chunk in stream] == []
        await client.aclose()

    if how == "refused":
        fake_server.always(400)
    else:
        fake_server.always(latency=1)
    client = fake_server.client(max_retries=0)
    asyncio.run(main())
    assert len(fake_server.requests) == 1


def test_a_stream_closed_by_another_task_ends_quietly_whatever_middleware_made_of_its_token(fake_server):
    """A token made from one that was closed is as quiet."""

    async def own(call, call_next):
        return await call_next(call.replace(cancel=CancelToken(call.cancel)))

    async def main():
        stream, seen = client.astream("Hi"), asyncio.Event()

        async def read():
            async for _ in stream:
                seen.set()

        reader = asyncio.create_task(read())
        await seen.wait()
        await stream.aclose()
        await asyncio.wait_for(reader, 5)
        await client.aclose()

    fake_server.always(stall_after=2)
    client = fake_server.client(middleware=[own])
    asyncio.run(main())


@worlds
def test_a_token_forgets_calls_that_middleware_answered(fake_server, world):
    """No engine sees them."""

    async def answer(call, call_next):
        return Reply(ChatResponse(Message("assistant", "own"), "stop"))

    client, token = fake_server.client(middleware=[answer]), CancelToken()
    for _ in range(20):
        run_to_end(world, ask(client, world, "stream", token))
    assert token._calls == {}
    client.close()


@worlds
def test_a_stream_that_is_replayed_from_the_cache(fake_server, world):
    """It ends as a live one does."""
    client, token = fake_server.client(response_cache=True), CancelToken()
    list(client.stream("Hi"))

    async def awaited():
        try:
            async for _ in client.astream("Hi", cancel=token):
                token.cancel()
        finally:
            await client.aclose()

    with pytest.raises(CallCancelledError):
        if world == "asyncio":
            asyncio.run(awaited())
        else:
            for _ in client.stream("Hi", cancel=token):
                token.cancel()
    assert len(fake_server.requests) == 1
    client.close()
