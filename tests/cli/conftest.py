"""The command in this process and at a terminal of its own, away from the settings of the machine."""

import os
import re
import select
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from provider_kit.cli import cli
from provider_kit.testing import demo


@pytest.fixture(autouse=True)
def _alone(monkeypatch, tmp_path):
    """An empty folder, a storage of the test's own, no setting of the machine; no demo server stays behind."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROVIDER_KIT_TOKEN_STORAGE", f"{tmp_path}/kept/")
    for name in ("PROVIDER_KIT_MODEL", "PROVIDER_KIT_DEBUG", "PROVIDER_KIT_ENCRYPTION_KEY"):
        monkeypatch.delenv(name, raising=False)
    yield
    demo.stop_demo()


@pytest.fixture
def run():
    """A function: run the command in this process; nothing it prints shows the tests' key, nor a traceback."""

    def invoke(*arguments, input="", **environment):
        result = CliRunner().invoke(cli, list(arguments), input=input, env=environment, prog_name="provider-kit")
        assert "secret-0123" not in result.output
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return invoke


KEY = "sk-secret-0123456789abcdef"


class Terminal:
    """The command at a terminal of its own."""

    def __init__(self, *arguments, environment):
        import fcntl
        import pty
        import struct
        import termios

        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-X", "dev", "-W", "error::ResourceWarning", "-m", "provider_kit", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self.raw = ""

    @property
    def text(self):
        """What was printed, without colors and movements."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\r|\x1b\][^\x07]*\x07", "", self.raw)

    def wait_for(self, words, seconds=20):
        """Read until these words have been printed."""
        deadline = time.monotonic() + seconds
        while words not in self.text:
            ready, _, _ = select.select([self._master], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"{words!r} never came:\n{self.text}"
            try:
                data = os.read(self._master, 65536)
            except OSError:
                data = b""
            assert data, f"{words!r} never came:\n{self.text}"
            if b"\x1b[6n" in data:  # where the cursor is; a terminal answers
                os.write(self._master, b"\x1b[1;1R")
            self.raw += data.decode("utf-8", "replace")

    def type(self, text):
        """Type something and press Enter; what was printed before is forgotten."""
        self.raw = ""
        os.write(self._master, f"{text}\r".encode())

    def press(self, key):
        os.write(self._master, key)

    def leave(self):
        """Press Ctrl-D until it counts: while an answer is being written, nobody reads it."""
        for _ in range(50):
            if self.process.poll() is not None:
                break
            self.press(b"\x04")
            ready, _, _ = select.select([self._master], [], [], 0.3)
            if ready:
                try:
                    self.raw += os.read(self._master, 65536).decode("utf-8", "replace")
                except OSError:
                    break
        return self.end()

    def end(self):
        """The exit code, once it has ended; the rest of what it printed."""
        deadline = time.monotonic() + 20
        while self.process.poll() is None and time.monotonic() < deadline:
            ready, _, _ = select.select([self._master], [], [], 0.1)
            if ready:
                try:
                    self.raw += os.read(self._master, 65536).decode("utf-8", "replace")
                except OSError:
                    break
        return self.process.wait(10)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._master)


@pytest.fixture
def terminal(tmp_path):
    """A function that starts the command; it is ended with the test."""
    running = []

    def start(*arguments, server, **more):
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PROVIDER_KIT")}
        environment = kept | {
            "OPENAI_API_KEY": KEY,
            "OPENAI_BASE_URL": server.base_url(),
            "XDG_STATE_HOME": str(tmp_path),
            "TERM": "xterm-256color",
            "PROMPT_TOOLKIT_NO_CPR": "1",
            **more,
        }
        environment.pop("NO_COLOR", None) if "NO_COLOR" not in more else None
        running.append(Terminal(*arguments, environment=environment))
        return running[-1]

    yield start
    for one in running:
        one.close()
