"""The page for those who change the library tells what is there."""

import importlib.util
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.rst").read_text("utf-8")
PACKAGE = ROOT / "provider_kit"


def drawing():
    """The script that draws the picture."""
    spec = importlib.util.spec_from_file_location("draw_architecture", ROOT / "docs" / "draw_architecture.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_picture_is_drawn_from_the_present_source():
    """If not: ``python docs/draw_architecture.py``."""
    assert drawing().draw() == (ROOT / "docs" / "architecture.svg").read_text("utf-8")


def test_every_room_stands_in_the_picture():
    """A new one must find its layer."""
    known = {room for layer in drawing().LAYERS for room in layer}
    found = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert found - {"__init__"} == known


def test_every_place_that_the_page_names_exists():
    """Modules, folders, and classes with their methods."""
    places = re.findall(r"``([a-z_]+/[a-z_/]*(?:\.py)?)``", PAGE)
    assert len(places) > 40
    for place in places:
        assert (PACKAGE / place).exists() or (ROOT / place).exists(), place
    source = "\n".join(path.read_text("utf-8") for path in PACKAGE.rglob("*.py"))
    for name in re.findall(r"``([A-Z]\w+)(?:\.\w+)?``", PAGE):
        assert re.search(rf"\bclass {name}\b", source), name
    for owner, method in re.findall(r"``([A-Z]\w+)\.(\w+)``", PAGE):
        assert re.search(rf"(?:class {owner}\b(?:.|\n)*?)(?:def {method}\b)", source), f"{owner}.{method}"
