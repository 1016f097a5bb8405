"""The programs that are compared with those of other libraries: they run, and they are short."""

import subprocess
import sys
from pathlib import Path

import pytest

from provider_kit.testing import FakeServer

PROGRAMS = Path(__file__).parents[2] / "benchmarks" / "agent_programs"
#: Most lines of each, as ruff formats it.
MOST_LINES = {"agent": 10, "records": 15, "talk": 4}


@pytest.mark.parametrize("name", MOST_LINES)
def test_a_program_is_short_and_runs(name, monkeypatch):
    """An agent, typed records with a limit and a progress bar, two turns."""
    path = PROGRAMS / "provider_kit_" / f"{name}.py"
    assert sum(bool(line.strip()) for line in path.read_text("utf-8").splitlines()) <= MOST_LINES[name]
    with FakeServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url())
        monkeypatch.setenv("OPENAI_API_KEY", "sk-fake-0123456789abcdef")
        monkeypatch.setenv("PYTHONPATH", str(PROGRAMS))
        done = subprocess.run(
            [sys.executable, "-W", "error", str(path)], capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
