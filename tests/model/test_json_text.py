"""JSON in and out, the same with and without the fast library."""

import enum
import json
import runpy
import sys
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider_kit.model import json_text
from provider_kit.model.json_text import dumps, dumps_text, loads
from provider_kit.wire.server_sent_events import ErrorEvent


class Colour(enum.Enum):
    """Written as its value."""

    RED = "red"
    FAR = 2**70
    NONE = float("nan")


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


# ------------------------------------------------------------------------------------------------ one meaning


def load_module(monkeypatch, **modules):
    """The module as it is with these libraries; ``None`` for one that is not installed."""
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return runpy.run_path(json_text.__file__)


@pytest.fixture(scope="module")
def meanings():
    """The functions over the standard library, and over the fast ones where they are installed."""
    with pytest.MonkeyPatch.context() as patch:
        plain = load_module(patch, orjson=None, msgspec=None)
    return plain, runpy.run_path(json_text.__file__)


def outcome(function, value):
    """What a function makes of a value, comparable, errors by kind."""
    try:
        return repr(function(value))
    except (TypeError, ValueError, RecursionError) as error:
        return "refused" if isinstance(error, (TypeError, ValueError)) else type(error).__name__


STRINGS = st.text(st.characters(exclude_categories=())) | st.sampled_from(["\ud83d", "a\ude00", "\ud83d\ude00", "null"])
NUMBERS = (
    st.integers() | st.integers(-(2**70), 2**70) | st.floats() | st.sampled_from([10**400, -0.0, 2**64, -(2**63) - 1])
)
KEYS = STRINGS | st.integers() | st.booleans() | st.none() | st.floats()
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | NUMBERS
    | STRINGS
    | st.uuids()
    | st.dates()
    | st.binary(max_size=3)
    | st.sampled_from(Colour),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4) | st.tuples(inner, inner),
    max_leaves=15,
)
PLAIN = st.recursive(
    st.none() | st.booleans() | NUMBERS | STRINGS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(STRINGS, inner, max_size=4),
    max_leaves=15,
)


@given(VALUES)
def test_what_is_written_does_not_depend_on_what_is_installed(meanings, value):
    """NaN is refused and not made null, keys become text, integers of any size are exact."""
    plain, fast = meanings
    for name in ("dumps", "dumps_text"):
        ours, theirs = outcome(plain[name], value), outcome(fast[name], value)
        if ours == theirs:
            continue
        assert "refused" not in (ours, theirs), (ours, theirs)
        assert json.loads(plain[name](value)) == json.loads(fast[name](value))


@given(PLAIN, st.booleans())
def test_what_is_read_does_not_depend_on_what_is_installed(meanings, value, escaped):
    """NaN, infinities, lone halves of characters and integers beyond 64 bits among it."""
    plain, fast = meanings
    text = json.dumps(value, ensure_ascii=escaped)
    assert repr(plain["loads"](text)) == repr(fast["loads"](text)) == repr(json.loads(text))
    try:
        data = text.encode()
    except UnicodeEncodeError:
        return
    assert repr(plain["loads"](data)) == repr(fast["loads"](data)) == repr(json.loads(data))


@given(st.text('{}[]",:0123456789.eE+-ntfalsruINy \\ud8\ufeff\n\x01') | st.binary(max_size=12))
def test_what_is_no_json_does_not_depend_on_what_is_installed(meanings, text):
    """Both read it, or both refuse it."""
    plain, fast = meanings
    assert outcome(plain["loads"], text) == outcome(fast["loads"], text)


@pytest.mark.parametrize(
    "text", ["1e999", "-1e999", "1e-999", "18446744073709551616", "1" * 4000, "1" * 5000, "[" * 5000]
)
def test_numbers_at_the_edges_are_read_alike(meanings, text):
    """Beyond a float, beyond 64 bits, beyond what Python converts; and bottomless nesting."""
    plain, fast = meanings
    assert outcome(plain["loads"], text) == outcome(fast["loads"], text)


def test_every_kind_of_bytes_is_read(meanings):
    """Subclasses too: errors in streams are marked by one."""
    for module in meanings:
        for kind in (bytes, bytearray, ErrorEvent, memoryview):
            assert module["loads"](kind(b'{"a":1}')) == {"a": 1}


def test_fast_libraries_are_used_where_they_are_installed(monkeypatch):
    """msgspec reads, orjson writes, and the standard library does what they refuse."""
    calls = []

    class Decoder:
        def decode(self, data):
            calls.append("read")
            raise ValueError

    msgspec = SimpleNamespace(json=SimpleNamespace(Decoder=Decoder), MsgspecError=ValueError)

    def write(value, default, options):
        calls.append("write")
        if value == "refused":
            raise TypeError
        return b"[null]"

    orjson = SimpleNamespace(dumps=write, OPT_PASSTHROUGH_DATACLASS=1, OPT_PASSTHROUGH_DATETIME=2)
    made = load_module(monkeypatch, orjson=orjson, msgspec=msgspec)
    assert made["loads"]("[1]") == [1]
    assert made["dumps"]("refused") == b'"refused"'
    assert made["dumps"]([None]) == b"[null]"
    assert calls == ["read", "write", "write"]


@pytest.fixture(scope="module")
def without_encoder():
    """The functions where Python has no encoder in C, or another one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json.encoder, "c_make_encoder", None)
        none = load_module(patch, orjson=None, msgspec=None)
        patch.setattr(json.encoder, "c_make_encoder", lambda *_: lambda value, level: ["other"])
        other = load_module(patch, orjson=None, msgspec=None)
    return none["_encode"], other["_encode"]


@given(VALUES)
def test_an_encoder_that_is_made_once_writes_what_json_dumps_writes(meanings, without_encoder, value):
    """And refuses what it refuses; so does what takes its place."""
    expected = outcome(
        json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=json_text._foreign).encode,
        value,
    )
    for encode in (meanings[0]["_encode"], *without_encoder):
        assert outcome(encode, value) == expected


@pytest.mark.parametrize("depth", [500, 100_000])
def test_what_holds_itself_or_is_bottomless_is_refused(depth):
    """An error, not a crash of the interpreter."""
    circle = {}
    circle["me"] = circle
    deep = []
    for _ in range(depth):
        deep = [deep]
    with pytest.raises((ValueError, RecursionError)):
        dumps(circle)
    if depth > 1000:
        with pytest.raises((ValueError, RecursionError)):
            dumps(deep)
    else:
        assert dumps(deep) == b"[" * 501 + b"]" * 501
