"""What would be uploaded."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).parents[1]
SOURCES = {
    str(path.relative_to(ROOT))
    for kind in ("*.py", "*.json", "*.yml", "py.typed")
    for path in (ROOT / "provider_kit").rglob(kind)
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder with a fresh sdist and the wheel made from it; one worker at a time, for building writes here."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-W", "ignore", "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    with FileLock(tmp_path_factory.getbasetemp().parent / "build.lock", timeout=300):
        run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-2000:]
    return folder


def test_the_wheel_holds_the_package_and_nothing_else(built):
    """Every module and the typing mark, and no tests, docs or benchmarks."""
    (wheel,) = built.glob("*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == SOURCES


def test_the_wheel_tells_its_license_and_entry_points(built):
    """The metadata names the license file, the command and the pytest plugin."""
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        info = {name.rpartition("/")[2]: name for name in archive.namelist() if ".dist-info/" in name}
        metadata = archive.read(info["METADATA"]).decode()
        entry_points = archive.read(info["entry_points.txt"]).decode()
    assert "LICENSE" in info
    assert "License-Expression: MIT" in metadata
    assert "Requires-Python: >=3.11" in metadata
    assert "provider-kit = provider_kit.cli:main" in entry_points
    assert "provider_kit.testing.pytest_plugin" in entry_points


def test_the_sdist_can_build_test_and_document_itself(built):
    """It carries the tests, docs, examples and benchmarks too, and nothing that was made on the way."""
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names >= SOURCES
    for needed in (
        "README.rst",
        "LICENSE",
        "tox.ini",
        "setup.cfg",
        "pyproject.toml",
        "tests/conftest.py",
        "docs/conf.py",
    ):
        assert needed in names, needed
    assert not [
        name for name in names if "__pycache__" in name or "_build" in name or name.startswith((".ci", "build/"))
    ]


def test_the_long_description_renders(built):
    """``twine check --strict`` is content with both."""
    files = [str(path) for path in built.iterdir()]
    command = [sys.executable, "-W", "ignore", "-m", "twine", "check", "--strict", *files]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
