"""A program that uses the library works when it is frozen into one folder."""

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

import provider_kit

PROGRAM = """
import asyncio
from provider_kit import Client, ProviderKitError

print(Client("demo/echo").chat("1 + 1").text)
print(asyncio.run(Client("demo/echo").achat("2 + 2")).text)
for target in ("openai/gpt-4o", "anthropic/claude-haiku-4-5", "gemini/gemini-2.5-flash", "ollama/m", "xai/grok-4.3"):
    try:
        Client(target, api_key="sk-0123456789abcdef", base_url="http://127.0.0.1:9", max_retries=0).chat("x")
    except ProviderKitError as error:
        print(target, type(error).__name__)
"""


#: What the machine of a developer has and that of a user need not have. PyInstaller would look through all of it, which
#: takes three times as long as all the rest.
TOOLS = (
    *("pytest", "_pytest", "hypothesis", "mypy", "sphinx", "docutils", "babel", "jinja2", "numpy", "psutil"),
    *("boto3", "botocore", "pydantic", "setuptools"),
)


def installed():
    """Whether PyInstaller is there."""
    try:
        return version("pyinstaller")
    except PackageNotFoundError:
        return None


@pytest.mark.long
@pytest.mark.skipif(installed() is None, reason="PyInstaller is not installed")
@pytest.mark.timeout(300)
def test_a_frozen_program_calls_every_provider(tmp_path):
    """Modules that are imported when first used are in it, and so is the metadata."""
    (tmp_path / "program.py").write_text(PROGRAM)
    where = str(Path(provider_kit.__file__).parents[1])  # not found by itself where it was installed with -e
    command = [sys.executable, "-m", "PyInstaller", "--onedir", "--noconfirm", "--log-level", "ERROR"]
    command += [f"--exclude-module={name}" for name in TOOLS]
    command += ["--paths", where, "program.py"]
    made = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=280)
    assert made.returncode == 0, made.stderr[-2000:]
    ran = subprocess.run([tmp_path / "dist" / "program" / "program"], capture_output=True, text=True, timeout=60)
    lines = ran.stdout.splitlines()
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert lines[:2] == ["1 + 1", "2 + 2"]
    assert [line.split()[1] for line in lines[2:7]] == ["APIConnectionError"] * 5
