"""The documentation builds, nitpicky and with every warning an error, and can be read on a phone and by a model."""

import html
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from provider_kit.error_guide import codes
from provider_kit.providers import registry

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """``sphinx-build -n -W``, without network."""
    for needed in ("sphinx", "furo", "sphinx_copybutton"):
        assert importlib.util.find_spec(needed), f"{needed} is missing: pip install -e '.[test,docs]'"
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-n", "-W", "--keep-going", "-q", "-b", "html"]
    run = subprocess.run(
        [*command, "-d", str(folder / "trees"), "docs", str(folder / "html")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return folder / "html"


def shown_on(page):
    """What a page says, without its code."""
    return re.sub(r"<(pre|code|script)\b.*?</\1>", "", page.read_text("utf-8"), flags=re.DOTALL)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_site_builds_without_a_warning(site):
    """Every page is there, and nobody sees doubled or unread markup."""
    pages = {path.relative_to(ROOT / "docs").with_suffix("") for path in (ROOT / "docs").rglob("*.rst")}
    assert pages <= {path.relative_to(site).with_suffix("") for path in site.rglob("*.html")}
    index = (site / "error_index.html").read_text("utf-8")
    for code in codes():
        assert f'id="error-{code.replace("_", "-")}"' in index, code
    for path in site.rglob("*.html"):
        assert not re.search(r":(?:class|exc|doc|ref|meth|func):`", shown_on(path)), path.name
        assert "Adding a table of contents" not in shown_on(path), path.name


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_site_is_there_for_models_too(site):
    """``llms.txt`` names each page, ``llms-full.txt`` has all of them: guide, tables of the code, reference."""
    short, whole = (site / "llms.txt").read_text("utf-8"), (site / "llms-full.txt").read_text("utf-8")
    assert short.startswith("# provider_kit\n\n> ")
    for page in (ROOT / "docs").rglob("*.rst"):
        name = page.relative_to(ROOT / "docs").with_suffix("")
        assert f"]({name}.html)" in short, name
    for word in ("pip install provider-kit", "class Client(", "CEREBRAS_API_KEY", "examples/many_records.py"):
        assert word in whole, word
    # No markup is left of what the pages say.
    assert ".. code-block::" not in whole
    assert ".. provider-facts::" not in whole


@pytest.mark.long
@pytest.mark.timeout(600)
def test_each_provider_has_its_page(site):
    """With its key, its address, its default model and where it differs."""
    for name in registry.built_in_names():
        provider = registry.find_provider(name)
        page = html.unescape((site / "providers" / f"{name}.html").read_text("utf-8"))
        for told in (*provider.key_variables, provider.base_url, provider.default_model, provider.console):
            assert told is None or told in page, f"{name}: {told}"
        assert "What to know" in page, name


@pytest.mark.long
@pytest.mark.timeout(600)
def test_pages_fit_a_phone_and_a_desk(site, browser):
    """Nothing is wider than the window, and code is read without scrolling on a phone, which has 390 pixels."""
    wide = """
      const room = document.documentElement.clientWidth;
      const code = [...document.querySelectorAll('.highlight pre')].filter(
        one => one.scrollWidth > one.clientWidth + 1);
      return [document.documentElement.scrollWidth > room, code.map(one => one.textContent.slice(0, 80))];
    """
    found = []
    for width in (1280, 390):
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        for page in sorted(site.rglob("*.html")):
            if page.name in ("genindex.html", "search.html", "py-modindex.html"):
                continue
            browser.get(page.as_uri())
            overflows, code = browser.execute_script(wide)
            if overflows or (code and width == 390):
                found.append((width, page.name, overflows, code[:2]))
    assert not found


@pytest.mark.long
@pytest.mark.timeout(600)
def test_code_has_a_button_that_copies_it(site, browser):
    """What is copied has neither prompts nor output."""
    browser.get((site / "quickstart.html").as_uri())
    script = "return [...document.querySelectorAll('button.copybtn')].length"
    assert browser.execute_script(script) == browser.execute_script(
        "return document.querySelectorAll('div.highlight pre').length"
    )
