"""The documentation builds, nitpicky and with every warning an error."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from provider_kit.error_guide import codes

ROOT = Path(__file__).parents[2]


@pytest.mark.long
def test_the_site_builds_without_a_warning(tmp_path):
    """``sphinx-build -n -W``, without network, and every page is there."""
    for needed in ("sphinx", "furo"):
        assert importlib.util.find_spec(needed), f"{needed} is missing: pip install -e '.[test,docs]'"
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-n",
        "-W",
        "--keep-going",
        "-q",
        "-b",
        "html",
        "-d",
        str(tmp_path / "trees"),
    ]
    site = tmp_path / "html"
    run = subprocess.run(
        [*command, "docs", str(site)], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    pages = {path.stem for path in (ROOT / "docs").glob("*.rst")}
    assert pages <= {path.stem for path in site.glob("*.html")}
    index = (site / "error_index.html").read_text("utf-8")
    for code in codes():
        assert f'id="error-{code.replace("_", "-")}"' in index, code
    # Nobody sees doubled or unread markup.
    for path in site.glob("*.html"):
        text = re.sub(r"<(pre|code|script)\b.*?</\1>", "", path.read_text("utf-8"), flags=re.DOTALL)
        assert not re.search(r":(?:class|exc|doc|ref|meth|func):`", text), path.name
