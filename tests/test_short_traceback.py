"""A mistake of the program's own line is told in at most five lines: the line, the error, the next command."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MISSING_KEY = "from provider_kit import Client\nClient('openai/gpt-5-mini').chat('Hi')\n"
MISTAKES = {
    MISSING_KEY: "provider-kit keys set openai",
    "from provider_kit import Client\nClient('demo').chat('Hi', temprature=0)\n": "Did you mean 'temperature'?",
    "from provider_kit import Client\nClient('gpt4o')\n": "openai/gpt-4o",
    "import asyncio\nfrom provider_kit import Client\n\nasync def main():\n    await Client('openai').achat('Hi')\n\n"
    "asyncio.run(main())\n": "provider-kit keys set openai",
    "from provider_kit import Client\n\ndef ask(client):\n    return client.chat('Hi')\n\nask(Client('openai'))\n": (
        "provider-kit keys set openai"
    ),
}


def python(*arguments, typed="", **environment):
    """What a Python prints on standard error, and its exit code."""
    inherited = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    run = subprocess.run(
        [sys.executable, "-X", "utf8", *arguments],
        input=typed,
        env={**inherited, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=60,
    )
    return run.stderr, run.returncode


@pytest.mark.parametrize("program", MISTAKES)
def test_in_a_script(program, tmp_path):
    """With the line of the program; the exit code is that of any error."""
    (tmp_path / "program.py").write_text(program)
    told, code = python(str(tmp_path / "program.py"))
    lines = told.splitlines()
    assert len(lines) <= 5, told
    assert lines[0] == "Traceback (most recent call last):"
    assert re.match(r'  File ".*program\.py", line \d+, in ', lines[1])
    assert "provider_kit/" not in told
    assert MISTAKES[program] in told
    assert code == 1


@pytest.mark.parametrize("program", MISTAKES)
def test_on_the_command_line(program):
    """``python -c``."""
    told, code = python("-c", program)
    assert len(told.splitlines()) <= 5, told
    assert MISTAKES[program] in told
    assert code == 1


@pytest.mark.parametrize("program", [MISSING_KEY, *list(MISTAKES)[1:3]])
def test_in_the_interactive_shell(program):
    """As it is typed."""
    told, _ = python("-i", "-q", typed=program)
    told = re.sub(r"^(?:>>> )+", "", told.strip()).removesuffix(">>>").strip()
    assert len(told.splitlines()) <= 5, told
    assert MISTAKES[program] in told


def test_everything_can_be_seen(tmp_path):
    """``PROVIDER_KIT_DEBUG=1``, for who looks into the library."""
    (tmp_path / "program.py").write_text(MISSING_KEY)
    told, _ = python(str(tmp_path / "program.py"), PROVIDER_KIT_DEBUG="1")
    assert len(told.splitlines()) > 10
    assert "provider_kit/" in told
    assert "provider-kit keys set openai" in told


def test_other_errors_are_whole():
    """Those of the program, and those of providers: where they happened matters."""
    told, _ = python("-c", MISSING_KEY.replace("Client('openai/gpt-5-mini').chat('Hi')", "Client('demo'); 1 / 0"))
    assert told.rstrip().endswith("ZeroDivisionError: division by zero")
    program = "from provider_kit import Client\nClient('http://127.0.0.1:9/v1', model='m', max_retries=0).chat('Hi')"
    assert "provider_kit/" in python("-c", program)[0]


def test_a_hook_of_the_program_is_kept():
    """Whether it was set before or after the mistake."""
    hook = "import sys\nsys.excepthook = lambda *error: print('mine', error[0].__name__, file=sys.stderr)\n"
    for program in (hook + MISSING_KEY, MISSING_KEY.replace("Client('op", hook + "Client('op")):
        assert python("-c", program)[0] == "mine MissingAPIKeyError\n"


def test_the_error_itself_is_unchanged():
    """Logs and test runners see the whole traceback."""
    program = (
        "import traceback\nfrom provider_kit import Client\ntry:\n    Client('openai').chat('Hi')\n"
        "except Exception:\n    traceback.print_exc()\n"
    )
    assert len(python("-c", program)[0].splitlines()) > 10
