"""What models and servers write never reaches a terminal as something it would obey."""

import ast
import json
import os
import pathlib
import subprocess
import sys

import pytest

import provider_kit.cli
from provider_kit.testing import FakeServer, Reply

pty = pytest.importorskip("pty")

#: Renames the window, clears the screen, rings, hides the text, and the same in one byte (C1).
EVIL = "\x1b]0;mine\x07\x1b[2J\x1b[8m\x9b31m\x9d0;mine\x9c\x7f\r"
NOTHING_OF_IT = ("\x1b]", "\x1b[2J", "\x1b[8m", "\x9b", "\x9d", "\x9c", "\x07", "\x7f")
MODEL = "openai/gpt-4o"
LIST = {"status": 200, "body": json.dumps({"object": "list", "data": [{"id": f"m{EVIL}", "owned_by": EVIL}]}).encode()}


def refused(status):
    return {"status": status, "message": f"no {EVIL} way", "code": f"c{EVIL}"}


COMMANDS = {
    "chat": (["chat", "hi", "-m", MODEL], None),
    "chat at once": (["chat", "hi", "-m", MODEL, "--no-stream"], None),
    "chat as JSON": (["chat", "hi", "-m", MODEL, "--json"], None),
    "chat refused": (["chat", "hi", "-m", MODEL], refused(400)),
    "chat refused, traceback": (["--debug", "chat", "hi", "-m", MODEL], refused(400)),
    "chat refused, log": (["--log-level", "debug", "chat", "hi", "-m", MODEL, "--max-retries", "0"], refused(500)),
    "models": (["models", "openai", "--refresh"], LIST),
    "models as JSON": (["models", "openai", "--refresh", "--json"], LIST),
    "models refused": (["models", "openai", "--refresh"], refused(401)),
    "test": (["test", MODEL], None),
    "test refused": (["test", MODEL], refused(400)),
    "test as JSON": (["test", MODEL, "--json"], refused(400)),
    "doctor": (["doctor", MODEL], None),
    "doctor refused": (["doctor", MODEL, "--verbose"], refused(401)),
    "demo": (["demo", "-m", MODEL], None),
    "demo refused": (["demo", "-m", MODEL], refused(400)),
}


@pytest.fixture
def at_a_terminal(tmp_path):
    """A function: run the command at a terminal of its own, and return all that it shows there."""

    def run(arguments, **environment):
        reader, writer = pty.openpty()
        folders = {f"XDG_{name}_HOME": str(tmp_path) for name in ("CACHE", "CONFIG", "DATA", "STATE")}
        process = subprocess.Popen(
            [sys.executable, "-m", "provider_kit", *arguments],
            stdin=writer,
            stdout=writer,
            stderr=writer,
            cwd=tmp_path,
            env={**os.environ, "TERM": "xterm", **folders, **environment},
        )
        os.close(writer)
        shown = b""
        try:
            while data := os.read(reader, 65536):
                shown += data
        except OSError:
            pass  # Linux's way to say that nobody writes to it any more
        finally:
            os.close(reader)
            process.wait(30)
        return shown.decode()

    return run


@pytest.mark.parametrize("color", [True, False], ids=["color", "NO_COLOR"])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_terminal_is_not_told_what_to_do(at_a_terminal, name, color):
    """In answers, names of models, messages and codes of errors; the words around it are shown."""
    arguments, fault = COMMANDS[name]
    with FakeServer(respond=lambda _: Reply(f"Hi {EVIL} there", model=f"m{EVIL}")) as server:
        if fault:
            server.always(**fault)
        settings = {} if color else {"NO_COLOR": "1"}
        key = "sk-echo-0123456789abcdef"
        shown = at_a_terminal(arguments, OPENAI_API_KEY=key, OPENAI_BASE_URL=server.base_url(), **settings)
    assert [one for one in NOTHING_OF_IT if one in shown] == []
    assert "mine" in shown or name == "doctor"  # which shows no answer that is well
    assert color or "\x1b[3" not in shown
    assert key not in shown


def test_only_one_place_prints():
    """Every other room prints through it."""
    folder = pathlib.Path(provider_kit.cli.__file__).parent
    printing = {
        (path.name, ast.unparse(node))
        for path in folder.glob("*.py")
        if path.name != "terminal_text.py"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("click.echo", "click.secho", "print")
    }
    assert [one for one in printing if not one[1].startswith("click.echo(shown(")] == []
