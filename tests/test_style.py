"""Types, lint and format, as one runs them by hand."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Not whatever else lies in the checkout: an environment, a build, notes of one's own.
FOLDERS = ("provider_kit", "tests", "docs", "examples", "benchmarks")
OWN = [name for name in (*FOLDERS, "setup.py") if (ROOT / name).exists()]


@pytest.mark.long
@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", *OWN],
        ["ruff", "format", "--check", *OWN],
        ["mypy", "--strict", "--warn-unused-ignores", "provider_kit", "tests/typing/api.py"],
    ],
    ids=lambda command: " ".join(command[:3]),
)
def test_the_checkers_find_nothing(command, tmp_path):
    """The code is clean under ruff and ``mypy --strict``, and so are the types that users see."""
    cache = ["--cache-dir", str(tmp_path)]
    run = subprocess.run(
        [sys.executable, "-m", *command, *cache], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
