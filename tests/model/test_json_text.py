"""JSON in and out, the same with and without the fast library."""

import json
import runpy
import sys
from types import SimpleNamespace

import pytest

from provider_kit.model import json_text
from provider_kit.model.json_text import dumps, dumps_text, loads


@pytest.mark.parametrize("text", ['{"a": [1, 2.5, null, true, "é"]}', "  7\n", '"x"', "[]"])
def test_values_are_read_from_text_and_bytes(text):
    """White space around them does not matter."""
    assert loads(text) == loads(text.encode()) == loads(bytearray(text.encode()))


@pytest.mark.parametrize("text", ["", "{", "{} {}", "nope", b"\xff", "[" * 100_000])
def test_what_is_no_json_is_a_value_error(text):
    """Broken UTF-8 and bottomless nesting too."""
    with pytest.raises(ValueError):
        loads(text)


def test_values_are_written_compactly():
    """As UTF-8, without escapes that nobody needs."""
    assert dumps({"a": ["é", 1]}) == '{"a":["é",1]}'.encode()
    assert dumps_text({"a": ["é", 1]}) == '{"a":["é",1]}'


def test_what_json_cannot_carry_is_refused():
    """Lone surrogates and foreign objects."""
    with pytest.raises((TypeError, ValueError)):
        dumps("\ud800")
    with pytest.raises((TypeError, ValueError)):
        dumps({"a": object()})


def test_the_fast_library_is_used_where_it_is_installed(monkeypatch):
    """The same three functions, over orjson."""
    fast = SimpleNamespace(loads=json.loads, dumps=lambda value: b"fast " + json.dumps(value).encode())
    monkeypatch.setitem(sys.modules, "orjson", fast)
    names = runpy.run_path(json_text.__file__)
    assert names["loads"] is fast.loads
    assert names["dumps"]([1]) == b"fast [1]"
    assert names["dumps_text"]([1]) == "fast [1]"
