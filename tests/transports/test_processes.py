"""Processes, threads and loops: one client for all of them."""

import asyncio
import gc
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import traceback

import pytest

from provider_kit import Client, MissingAPIKeyError
from provider_kit.model.config import HTTPConfig
from provider_kit.transports.aiohttp_transport import AiohttpTransport
from provider_kit.transports.requests_transport import RequestsTransport

# Forking with threads is discouraged from Python 3.12 on; it happens all the same.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def ask(name, made):
    """A call and a stream in a process, thread or loop of their own."""

    async def both():
        text = (await made.achat("Hi")).text
        return text + "".join([chunk.text async for chunk in made.astream("Hi")])

    if name == "asyncio":
        return asyncio.run(both())
    return made.chat("Hi").text + "".join(chunk.text for chunk in made.stream("Hi"))


@pytest.fixture
def talk(wire):
    return lambda connection, request: connection.send(
        wire.stream("Hi") if b'"stream":true' in request.body else wire.whole()
    )


def fork(work):
    """Exit status of a child that does some work."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            gc.collect()
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("name", ["blocking", "asyncio"])
def test_a_used_client_works_in_a_forked_child(serve, talk, client, name):
    """The child takes connections of its own; the parent goes on with the old ones."""
    server = serve(talk)
    made = client(server)
    assert ask(name, made) == "HiHi"
    assert ask("blocking", made) == "HiHi"
    before = server.connections

    def work():
        for _ in range(2):
            assert ask(name, made) == "HiHi"
        made.close()

    assert fork(work) == 0
    assert server.connections > before
    count = server.connections
    assert ask("blocking", made) == "HiHi"
    assert server.connections == count, "the parent's connection was not touched"
    assert ask("asyncio", made) == "HiHi"


def test_a_loop_that_forks_goes_on(serve, talk, client):
    """The child of a running loop starts its own; the parent's streams are not disturbed."""
    server = serve(talk)
    made = client(server)

    async def scenario():
        assert (await made.achat("Hi")).text == "Hi"
        assert fork(lambda: ask("asyncio", made)) == 0
        assert fork(lambda: ask("blocking", made)) == 0
        count = server.connections
        assert (await made.achat("Hi")).text == "Hi"
        assert server.connections == count
        await made.aclose()

    asyncio.run(scenario())


@pytest.mark.parametrize("name", ["blocking", "asyncio"])
def test_a_pool_of_forked_processes_shares_a_client(serve, talk, client, name):
    """What web servers do before they serve."""
    server = serve(talk)
    made = client(server)
    ask("blocking", made)
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=ask, args=(name, made)) for _ in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join(10)
    assert [child.exitcode for child in children] == [0, 0, 0]
    assert ask("blocking", made) == "HiHi"


def test_a_fork_while_a_lock_is_held_does_not_hang_the_child(serve, talk, client):
    """Another thread may be in the middle of anything."""
    from provider_kit.transports import environment

    server = serve(talk)
    made = client(server)
    ask("blocking", made)
    transport = made._blocking()
    held, release = threading.Event(), threading.Event()

    def hold():
        with transport._lock, environment._lock:
            held.set()
            release.wait(5)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()

    def work():
        import signal

        signal.alarm(5)
        assert ask("blocking", made) == "HiHi"
        environment.ssl_context(HTTPConfig())

    try:
        assert fork(work) == 0
    finally:
        release.set()
        thread.join()


@pytest.mark.parametrize("name", ["blocking", "asyncio"])
def test_a_pickled_client_works(serve, talk, client, name):
    """Connections stay behind, settings come along."""
    server = serve(talk)
    made = client(server, headers={"X-Team": "blue"})
    ask(name, made)
    copy = pickle.loads(pickle.dumps(made))
    assert ask(name, copy) == "HiHi"
    assert server.requests[-1].headers["x-team"] == "blue"
    copy.close()


def test_a_pickle_holds_no_secret_unless_told(secret):
    """A key goes into a pickle only with ``allow_secret_pickle``."""
    made = Client("openai/gpt-5-mini", api_key=secret)
    data = pickle.dumps(made)
    assert secret.encode() not in data
    with pytest.raises(MissingAPIKeyError):
        pickle.loads(data).chat("Hi")
    open_minded = Client("openai/gpt-5-mini", api_key=secret, allow_secret_pickle=True)
    assert secret.encode() in pickle.dumps(open_minded)


@pytest.mark.parametrize("kind", [RequestsTransport, AiohttpTransport])
def test_a_pickled_transport_has_its_settings(kind):
    """And nothing else."""
    copy = pickle.loads(pickle.dumps(kind(HTTPConfig(max_connections=7))))
    assert type(copy) is kind
    assert copy._config.max_connections == 7


def test_a_client_is_sent_to_spawned_processes(serve, talk):
    """As process pools do."""
    server = serve(talk)
    made = Client(f"{server.url}/v1", model="m")
    code = "import pickle, sys; print(pickle.load(sys.stdin.buffer).chat('Hi').text)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", code],
        input=pickle.dumps(made),
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert (done.stdout, done.stderr) == (b"Hi\n", b"")


def test_one_loop_after_the_other(serve, talk, client, recwarn):
    """A client survives any number of ``asyncio.run`` calls, each of which closes what it opened."""
    server = serve(talk)
    made = client(server)
    for number in range(1, 4):
        assert ask("asyncio", made) == "HiHi"
        assert server.connections == number
        assert server.wait(server.idle)
    assert not made._asyncio()._loops
    assert len(recwarn) == 0


def test_two_loops_take_turns(serve, talk, client):
    """Each has its own connection, and keeps it."""
    server = serve(talk)
    made = client(server)
    with asyncio.Runner() as one, asyncio.Runner() as two:
        for _ in range(3):
            assert one.run(made.achat("Hi")).text == "Hi"
            assert two.run(made.achat("Hi")).text == "Hi"
        assert server.connections == 2
        one.run(made.aclose())
        assert server.wait(lambda: server.open == 1)
        assert two.run(made.achat("Hi")).text == "Hi"
        assert server.connections == 2
    assert server.wait(server.idle)


def test_many_loops_in_many_threads(serve, talk, client):
    """At once, again and again."""
    server = serve(talk)
    made = client(server)
    texts, failures = [], []

    def work():
        try:
            texts.extend(ask("asyncio", made) for _ in range(10))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert texts == ["HiHi"] * 80
    assert server.wait(server.idle)
    assert not made._asyncio()._loops


def test_many_threads_share_a_client(serve, talk, client):
    """Sixteen at once need at most sixteen connections, from the first call on."""
    server = serve(talk)
    made = client(server)
    texts, failures = [], []
    start = threading.Barrier(16)

    def work():
        try:
            start.wait()
            texts.extend(ask("blocking", made) for _ in range(10))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert texts == ["HiHi"] * 160
    assert server.connections <= 16
    made.close()
    assert server.wait(server.idle)


@pytest.mark.filterwarnings("ignore::provider_kit.BlockingCallWarning")
def test_both_worlds_at_once(serve, talk, client):
    """Blocking calls in a thread beside a loop, and in the loop's own thread."""
    server = serve(talk)
    made = client(server)

    async def scenario():
        outcomes = await asyncio.gather(
            *[asyncio.to_thread(ask, "blocking", made) for _ in range(4)],
            *[asyncio.to_thread(ask, "asyncio", made) for _ in range(4)],
            made.achat("Hi"),
        )
        assert outcomes[:8] == ["HiHi"] * 8
        assert ask("blocking", made) == "HiHi"
        for _ in made.stream("Hi"):
            break
        await made.aclose()

    asyncio.run(scenario())
    assert server.wait(server.idle)


@pytest.mark.parametrize("again", [True, False], ids=["used again", "dropped"])
def test_a_loop_closed_without_ceremony_frees_its_sockets(serve, talk, again, caplog):
    """Old code closes loops without finalising their generators; nobody is told off for it."""
    server = serve(talk)
    made = Client(f"{server.url}/v1", model="m")
    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(made.achat("Hi")).text == "Hi"
    loop.close()
    if again:
        assert ask("asyncio", made) == "HiHi"
    else:
        del made
    gc.collect()
    assert server.wait(server.idle)
    assert caplog.records == []


def test_a_stream_left_in_a_loop_that_ends_is_closed_with_it(serve, wire):
    """Parked in the middle; ``asyncio.run`` closes it."""

    def handle(connection, request):
        connection.send(wire.stream_head(), wire.chunk(wire.token("x")))
        connection.hold()

    server = serve(handle)
    made = Client(f"{server.url}/v1", model="m")
    parked = []

    async def scenario():
        parked.append(made.astream("Hi"))
        assert (await anext(parked[0])).text == "x"

    asyncio.run(scenario())
    assert server.wait(server.idle)


def test_a_process_that_ends_without_closing_anything_is_silent(serve, talk):
    """Neither world leaves a warning at exit."""
    server = serve(talk)
    code = f"""
import asyncio
from provider_kit import Client

made = Client("{server.url}/v1", model="m")
print(made.chat("Hi").text, asyncio.run(made.achat("Hi")).text)
loop = asyncio.new_event_loop()
print(loop.run_until_complete(made.achat("Hi")).text)
loop.close()
stream = made.stream("Hi")
print(next(stream).text)
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, timeout=20, check=False)
    assert (done.stdout, done.stderr, done.returncode) == (b"Hi Hi\nHi\nHi\n", b"", 0)
