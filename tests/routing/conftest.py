"""Routers over scripted targets: one clock, one record of who was asked, an answer for each request."""

import socket
import threading
from collections import deque
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from provider_kit import Backoff, Client, Router, ScriptedTransport, Target
from provider_kit.testing import FakeServer

KEY = "test-key-0123456789"


def text(words="Hi", **more):
    """A whole answer in OpenAI's form."""
    choice = {"index": 0, "message": {"role": "assistant", "content": words}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    return {"json": {"id": "chatcmpl-1", "model": "m", "choices": [choice], "usage": usage}, **more}


def error(status, message="it failed", code=None, **headers):
    """A refusal in OpenAI's form."""
    names = {name.replace("_", "-"): str(value) for name, value in headers.items()}
    return {"status": status, "headers": names, "json": {"error": {"message": message, "code": code}}}


def event(words="", finish=None):
    import json

    delta = {"content": words} if words else {}
    payload = {"id": "chatcmpl-1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    return f"data: {json.dumps(payload)}\n\n".encode()


def streamed(*words, cut=False):
    """A streamed answer; cut: it ends without its end mark."""
    pieces = [event(word) for word in words]
    return {"stream": pieces if cut else [*pieces, event("", "stop"), b"data: [DONE]\n\n"]}


class Clock(ScriptedTransport):
    """A scripted transport whose clock can be moved, and whose answers may take their time."""

    def __init__(self, answer):
        super().__init__([answer], repeat=True)
        self.spent = 0.0
        #: Seconds that each piece of a stream takes.
        self.pace = 0.0

    async def open_stream(self, request, limits):
        stream = await super().open_stream(request, limits)
        pace, read = self.pace, stream.read

        async def slowly():
            self.advance(pace)
            return await read()

        stream.read = slowly
        return stream

    def now(self):
        return super().now() + self.spent

    def time(self):
        return 1_700_000_000.0 + self.now()

    def advance(self, seconds):
        self.spent += seconds


class Fleet:
    """Targets a, b, c…: each answers from its own script, then with its name."""

    error, streamed, text, event = map(staticmethod, (error, streamed, text, event))

    def __init__(self):
        self.scripts = {}
        #: The names of the targets, in the order in which they were asked.
        self.asked = []
        self.transport = Clock(self._answer)
        self.requests = self.transport.requests

    def _answer(self, request):
        import json

        name = urlsplit(request.url).hostname.partition(".")[0]
        self.asked.append(name)
        script = self.scripts.get(name)
        entry = script.popleft() if script else None
        if entry is None:
            body = json.loads(request.body or b"{}")
            entry = streamed(name) if body.get("stream") else text(name)
        return entry(request) if callable(entry) else entry

    def script(self, name, *entries):
        """What a target answers next."""
        self.scripts.setdefault(name, deque()).extend(entries)

    def after(self, seconds, entry):
        """An entry that takes so long."""

        def answer(request):
            self.transport.advance(seconds)
            return entry

        return answer

    def client(self, name, target="openai/gpt-4o", **options):
        options = {"retry": Backoff(0), "api_key": KEY, **options}
        return Client(target, base_url=f"https://{name}.test/v1", transport=self.transport, name=name, **options)

    def targets(self, names="ab", **options):
        return [Target(self.client(name, **options), name=name) for name in names]

    def router(self, names="ab", strategy="fallback", *, of=None, **options):
        return Router(self.targets(names, **(of or {})), strategy, **options)


@pytest.fixture
def fleet():
    """Scripted targets."""
    return Fleet()


@pytest.fixture(params=["chat", "stream"])
def ask(request, call):
    """Ask in either world, for a whole or a streamed answer; returns the answer."""

    def whole(client, *args, **options):
        return call.chat(client, *args, **options)

    def live(client, *args, **options):
        return call.stream(client, *args, **options)[1]

    return whole if request.param == "chat" else live


def quiet(function, *args, **options):
    """Call, whatever comes of it."""
    with suppress(Exception):
        return function(*args, **options)


class Silent:
    """A server that never answers; it knows how many connections are open."""

    def __init__(self):
        self.open = self.asked = 0
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def _accept(self):
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, suppress(OSError):
            connection.settimeout(20)
            with self._lock:
                self.open += 1
                self.asked += 1
            while connection.recv(65536):
                pass
            with self._lock:
                self.open -= 1

    def client(self, **options):
        return Client("openai/gpt-4o", base_url=self.url, api_key=KEY, max_retries=0, **options)

    def close(self):
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join(3)


@pytest.fixture
def silent():
    """A server that never answers."""
    server = Silent()
    yield server
    server.close()


@pytest.fixture
def servers():
    """Three servers over real HTTP."""
    with FakeServer() as a, FakeServer() as b, FakeServer() as c:
        yield a, b, c
