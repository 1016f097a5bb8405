"""The programs that are compared with those of other libraries: they run, and they are short."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from provider_kit.testing import FakeServer

COOKBOOK = Path(__file__).parents[2] / "docs" / "cookbook.rst"
#: Recipes that are whole programs: most lines of each, as ruff formats it. Those of Flask and Django are applications.
RECIPES = {
    "A summary of each file": 12,
    "Server-sent events": 8,
    "Flask": 12,
    "Django": 20,
    "A function the model may call": 10,
    "Two hundred records, with a limit and a bar": 15,
}
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


@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_is_short(title):
    """What a newcomer writes in the first hour, imports included; ``test_snippets`` runs it."""
    page = COOKBOOK.read_text("utf-8")
    section = page.partition(f"\n{title}\n~~~")[2].partition("\n~~~")[0]
    blocks = re.findall(r"^\.\. code-block:: python\n\n((?:   .*\n|\n)+)", section, re.MULTILINE)
    text = "\n".join(textwrap.dedent(block) for block in blocks)
    assert "import" in text
    run = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "-"],
        input=text,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert sum(bool(line.strip()) for line in run.stdout.splitlines()) <= RECIPES[title]
