"""Types, lint and format, as one runs them by hand."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy", "--strict", "provider_kit"],
        ["mypy", "--strict", "--warn-unused-ignores", "tests/typing/api.py"],
    ],
    ids=" ".join,
)
def test_the_checkers_find_nothing(command, tmp_path):
    """The code is clean under ruff and ``mypy --strict``, and so are the types that users see."""
    cache = ["--cache-dir", str(tmp_path)]
    run = subprocess.run(
        [sys.executable, "-m", *command, *cache], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
