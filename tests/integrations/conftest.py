"""Applications under real servers, each a process of its own, with a fake provider behind them."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from provider_kit.testing import FakeServer

EXAMPLES = Path(__file__).parents[2] / "examples" / "web"
BIN = Path(sys.executable).parent
KEY = "sk-secret-0123456789abcdef"
#: Servers, as commands for a module, an application in it, and a port.
SERVERS = {
    "gunicorn sync": "gunicorn -b 127.0.0.1:{port} --workers 2 --no-control-socket {module}:{wsgi}",
    "gunicorn gthread": "gunicorn -b 127.0.0.1:{port} -k gthread --threads 16 --no-control-socket {module}:{wsgi}",
    "gunicorn preload": "gunicorn -b 127.0.0.1:{port} -k gthread --threads 8 --preload --no-control-socket"
    " {module}:{wsgi}",
    "uvicorn": "uvicorn --port {port} --log-level warning {module}:{asgi}",
    "hypercorn": "hypercorn -b 127.0.0.1:{port} {module}:{asgi}",
    "daphne": "daphne -b 127.0.0.1 -p {port} {module}:{asgi}",
    "granian": "granian --interface asgi --host 127.0.0.1 --port {port} --no-ws {module}:{asgi}",
    "aiohttp": "python -m aiohttp.web -H 127.0.0.1 -P {port} {module}:make_app",
}
#: What servers and frameworks warn of themselves, in modules of theirs.
_THEIRS = (
    "ignore::DeprecationWarning:twisted",
    "ignore::DeprecationWarning:daphne",
    "ignore::DeprecationWarning:litestar",
    "ignore::DeprecationWarning:autobahn",
)


class Site:
    """An application that is being served."""

    def __init__(self, process, port, log, path):
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self.path = path
        self._log = log

    def ask(self, text="Hello", **body):
        """The answer to one message, not read yet."""
        message = {"id": "m1", "role": "user", "parts": [{"type": "text", "text": text}]}
        sent = {"id": os.urandom(8).hex(), "messages": [message], "trigger": "submit-message", **body}
        with requests.Session() as session:
            session.get(self.url, timeout=20)
            token = session.cookies.get("csrftoken")
            headers = {"x-csrftoken": token} if token else {}
            return session.post(self.url + self.path, json=sent, headers=headers, stream=True, timeout=30)

    @staticmethod
    def wait_until(condition, seconds=10.0):
        """After how many seconds something is true; infinity if it never is."""
        begun = time.monotonic()
        while not condition():
            if time.monotonic() > begun + seconds:
                return float("inf")
            time.sleep(0.002)
        return time.monotonic() - begun

    @property
    def log(self):
        """What the server has printed."""
        return self._log.read_text()


@pytest.fixture
def upstream():
    """The provider behind the applications."""
    with FakeServer() as server:
        yield server


@pytest.fixture
def serve(tmp_path, upstream):
    """A function: serve an example with a server; its end is checked, and what it printed."""
    with contextlib.ExitStack() as stack:
        yield lambda module, server, path="/api/chat", **more: stack.enter_context(
            serving(tmp_path, upstream, module, server, path, **more)
        )


@contextlib.contextmanager
def serving(folder, upstream, module, server, path, **more):
    names = {"wsgi": "wsgi" if module.startswith("django") else "app", "asgi": "asgi" if "django" in module else "app"}
    command = SERVERS[server].format(module=module, port=(port := free_port()), **names)
    if "django" in module:  # it knows no lifespan
        command = command.replace("--interface asgi ", "--interface asginl ")
    program, *arguments = command.split()
    found = shutil.which(program, path=f"{BIN}{os.pathsep}{os.environ['PATH']}")
    assert found, f"{program} is not installed"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PROVIDER_KIT")} | {
        "CHAT_MODEL": "openai/gpt-4o",
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": upstream.base_url(),
        "PROVIDER_KIT_HISTORY": str(folder / "history.db"),
        "PYTHONPATH": os.pathsep.join([str(EXAMPLES), os.environ.get("PYTHONPATH", "")]),
        "PYTHONWARNINGS": ",".join(("error", *_THEIRS)),
        "PYTHONUNBUFFERED": "1",
        **more,
    }
    log = folder / f"{module}-{server.replace(' ', '-')}.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [found, *arguments], env=environment, stdout=output, stderr=output, cwd=folder, start_new_session=True
        )
        try:
            wait_for_port(process, port, log)
            yield Site(process, port, log, path)
        finally:
            os.killpg(process.pid, signal.SIGINT if program in ("hypercorn", "python") else signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise AssertionError(f"{server} does not end:\n{log.read_text()}") from None
    printed = log.read_text()
    # gunicorn leaves the socket that listens to the end of the process.
    printed = re.sub(rf"ResourceWarning: unclosed <socket[^>]*laddr=\('127.0.0.1', {port}\)>", "", printed)
    assert KEY not in printed
    assert not re.search(r"Warning|never awaited|was destroyed|Unclosed", printed), printed


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def wait_for_port(process, port, log):
    until = time.monotonic() + 40
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert process.poll() is None, log.read_text()
        time.sleep(0.05)
    raise AssertionError(f"nothing listens:\n{log.read_text()}")
