"""What all tests share: one way to call a client, blocking or from asyncio."""

import asyncio
import gc
import json
import os
import re
import shutil
import signal
import sys
from contextlib import contextmanager, nullcontext
from pathlib import Path

# Where no bytecode may lie beside its source, every process of the suite, and it starts hundreds, would compile all
# that it imports. What they compile is kept in one folder of the tests' own instead, which git ignores.
if sys.dont_write_bytecode and sys.pycache_prefix is None:
    sys.pycache_prefix = str(Path(__file__).parent / "__pycache__" / "of-all")
    sys.dont_write_bytecode = False
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

import pytest
from hypothesis import HealthCheck, settings

from provider_kit import Client, ProviderKitError, ScriptedTransport, StreamError

sys.path.insert(0, str(Path(__file__).parent))
import secret_watch

# A loaded machine is slow, which is no fault of what is generated.
settings.register_profile("suite", database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")

# A shell gives what it runs in the background SIGINT ignored, and its children inherit that: Ctrl-C, pressed by a
# test, would then be heard by nobody.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers(config):
    """Twice as many as there are cores: half of its time a worker waits for clocks, servers and processes."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 2 * cores


def pytest_collection_modifyitems(items):
    """What takes seconds comes first: begun last, it would keep one worker busy when the others have nothing left."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_collection_finish():
    """The collected tests stay until the end: no collection of garbage, of which tests order many, looks at them."""
    gc.collect()
    gc.freeze()


class Blocking:
    """Calls the blocking half of a client."""

    name = "blocking"

    def in_one_loop(self):
        """For many calls; see the other world."""
        return nullcontext()

    def chat(self, client, *args, **options):
        return client.chat(*args, **options)

    def stream(self, client, *args, **options):
        with client.stream(*args, **options) as stream:
            chunks = list(stream)
            return chunks, stream.response

    def stream_error(self, client, *args, **options):
        """The error that a stream ends with, ``None`` for none; where there are thousands, cheaper than pytest's."""
        try:
            self.stream(client, *args, **options)
        except ProviderKitError as error:
            return error

    def models(self, client, **options):
        return client.models(**options)

    def embed(self, client, *args, **options):
        return client.embed(*args, **options)

    def count_tokens(self, client, *args, **options):
        return client.count_tokens(*args, **options)

    def health_check(self, client, **options):
        return client.health_check(**options)


class Asyncio:
    """Calls the awaited half of a client, each call in an event loop of its own unless a test wants one for many."""

    name = "asyncio"

    def __init__(self):
        self._run = asyncio.run

    @contextmanager
    def in_one_loop(self):
        """All calls of the block run in one event loop: making one costs more than a scripted call."""
        with asyncio.Runner() as runner:
            self._run = runner.run
            try:
                yield
            finally:
                self._run = asyncio.run

    def chat(self, client, *args, **options):
        return self._run(client.achat(*args, **options))

    def stream(self, client, *args, **options):
        async def read():
            async with client.astream(*args, **options) as stream:
                chunks = [chunk async for chunk in stream]
                return chunks, stream.response

        return self._run(read())

    stream_error = Blocking.stream_error

    def models(self, client, **options):
        return self._run(client.amodels(**options))

    def embed(self, client, *args, **options):
        return self._run(client.aembed(*args, **options))

    def count_tokens(self, client, *args, **options):
        return self._run(client.acount_tokens(*args, **options))

    def health_check(self, client, **options):
        return self._run(client.ahealth_check(**options))


@pytest.fixture(params=[Blocking, Asyncio], ids=lambda kind: kind.name)
def call(request):
    """Both worlds, one after the other."""
    return request.param()


@pytest.fixture(scope="session")
def _nobodys_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("nobody")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch, _nobodys_folder):
    """No key, address, option or file of the user who runs the tests reaches a client."""
    for name in list(os.environ):
        if re.search(r"API_KEY|BASE_URL|API_TOKEN|^OPENAI_|^AZURE_|_PROXY$|_proxy$|^CONFIG_FILE$|LOG_LEVEL$", name):
            monkeypatch.delenv(name)
    monkeypatch.delenv("PROVIDER_KIT_CONFIG", raising=False)
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(_nobodys_folder))


class BlockingWorld:
    """Calls the blocking half."""

    name = "blocking"

    def __call__(self, target, method, *args, **options):
        return getattr(target, method)(*args, **options)


class AsyncioWorld:
    """Calls the awaited half, in an event loop of its own each time; connections end with the loop."""

    name = "asyncio"

    def __call__(self, target, method, *args, **options):
        async def main():
            return await getattr(target, f"a{method}")(*args, **options)

        return asyncio.run(main())


@pytest.fixture(params=[BlockingWorld, AsyncioWorld], ids=lambda kind: kind.name)
def world(request):
    """Both worlds, one after the other."""
    return request.param()


@pytest.fixture
def _printed(request):
    """A function: everything that a test and its fixtures have printed, apart from what the test itself took out."""
    names = request.fixturenames
    capture = request.config.pluginmanager.getplugin("capturemanager")
    if "capsys" in names:
        return lambda: ""
    if "capfd" in names or request.config.getoption("capture") != "fd":
        own = request.getfixturevalue("capfd")
        return lambda: "".join(own.readouterr())

    # Pytest captures the descriptors anyway; files of each test's own for that would be a good part of a short test.
    def printed():
        now = capture.read_global_capture()
        request.node.add_report_section("teardown", "stdout", now.out)
        request.node.add_report_section("teardown", "stderr", now.err)
        return "".join(text for _, key, text in request.node._report_sections if key != "log")

    return printed


@pytest.fixture(autouse=True)
def _no_secret_gets_out(request, monkeypatch, _printed):
    """No token that a test's authorization servers handed out is logged, printed, in an error, or left in a file."""
    watch = secret_watch.begin(monkeypatch)
    yield
    folder = request.node.funcargs.get("tmp_path")
    secret_watch.end(watch, folder, _printed)


_raises_exit = type(pytest.raises(ValueError)).__exit__


def _exit_and_tell(self, kind, error, trace):
    if error is not None:
        secret_watch.saw(error)
    return _raises_exit(self, kind, error, trace)


type(pytest.raises(ValueError)).__exit__ = _exit_and_tell


class Exchange:
    """One call over a script: the request that was sent, and what came of it."""

    def __init__(self, transport, response, chunks=None):
        self.transport = transport
        self.response = response
        self.chunks = chunks
        self.request = transport.requests[-1]
        self.url = self.request.url
        self.headers = {name.lower(): value for name, value in self.request.headers.items()}
        self.body = json.loads(self.request.body) if self.request.body else None

    @property
    def warned(self):
        """The parameters that were not sent as asked."""
        return [warning.parameter for warning in self.response.warnings]


@pytest.fixture
def exchange(call):
    """A function: make a client of ``target``, let ``verb`` run over one scripted answer, return an Exchange."""

    def run(target, *args, answer, verb="chat", client=None, **options):
        transport = ScriptedTransport([answer])
        given = {"api_key": "test-key-0123456789", **(client or {})}
        made = Client(target, transport=transport, max_retries=0, **given)
        result = getattr(call, verb)(made, *args, **options)
        chunks, response = result if verb == "stream" else (None, result)
        return Exchange(transport, response, chunks)

    return run


class Streams:
    """Drives stream decoders over bytes cut in every way."""

    @staticmethod
    def sse(*events, done=True, end="\n"):
        """Events (dicts, or texts as they are) as an event stream; those with a ``type`` are named after it."""
        lines = []
        for event in events:
            if isinstance(event, str):
                lines.append(event)
                continue
            if isinstance(event.get("type"), str):
                lines.append(f"event: {event['type']}")
            lines.extend([f"data: {json.dumps(event, ensure_ascii=False)}", ""])
        if done:
            lines.extend(["data: [DONE]", ""])
        return "".join(line + end for line in lines).encode()

    @staticmethod
    def read(dialect, pieces):
        """Everything that a decoder tells about a stream, in a form that can be compared."""
        decoder = dialect.stream_decoder()
        chunks = []
        for piece in pieces:
            chunks.extend(decoder.feed(piece))
            if decoder.complete:
                break
        else:
            chunks.extend(decoder.finish())
        answer = decoder.response()
        for part in answer.message.tool_calls:
            if part.local_id:
                part.id = "local"
        answer.message.content = list(answer.message.parts)
        deltas = [
            (delta.index, delta.id, delta.name, delta.arguments) for chunk in chunks for delta in chunk.tool_calls or ()
        ]
        told = [(chunk.text, chunk.thinking, chunk.refusal, chunk.finish_reason, chunk.usage) for chunk in chunks]
        return decoder.complete, told, deltas, answer

    def assert_cuts_do_not_matter(self, dialect, data):
        """Cut in two at every byte, or into single bytes, a stream tells the same; return what it tells."""
        whole = self.read(dialect, [data])
        for position in range(len(data) + 1):
            assert self.read(dialect, [data[:position], data[position:]]) == whole, position
        assert self.read(dialect, [data[i : i + 1] for i in range(len(data))]) == whole
        return whole[3]

    @staticmethod
    def assert_truncation_is_noticed(call, target, data, end, *, allowed=(), client=None):
        """Ended at any byte before ``end``, a stream raises, and what was received is no complete answer.

        ``allowed`` are positions at which a server may well end the stream. Where nothing but the end mark is
        missing, the error says that what was received is whole.
        """
        given = {"api_key": "test-key-0123456789", **(client or {})}
        positions = [position for position in range(end) if position not in allowed]
        transport = ScriptedTransport([{"stream": [data[:position]]} for position in positions])
        made = Client(target, transport=transport, max_retries=0, **given)
        with call.in_one_loop():
            for position in positions:
                error = call.stream_error(made, "Hi")
                assert error is not None, position
                if isinstance(error, StreamError):
                    whole = "What was received is whole" in error.message
                    assert (error.partial.finish_reason == "error") is not whole, position
                assert transport.open_streams == 0, position
        assert len(transport.requests) == len(positions)


@pytest.fixture
def streams():
    """Helpers for streamed answers."""
    return Streams()


@pytest.fixture
def browser(tmp_path):
    """A real browser without a window."""
    program, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if not program or not driver:
        pytest.skip("needs chromium and chromedriver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in (
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
        *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
        *("--no-proxy-server", f"--user-data-dir={tmp_path / 'profile'}"),
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    made = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    made.set_page_load_timeout(30)
    yield made
    made.quit()
