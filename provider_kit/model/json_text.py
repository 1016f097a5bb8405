"""JSON encoding and decoding, with the same results whatever is installed.

The results are those of the standard library. The extra ``fast`` (``pip install provider-kit[fast]``) installs msgspec
for decoding and orjson for encoding; each is used only where it agrees with the standard library:

* NaN and infinities, which servers written in Python send, lone surrogates and numbers beyond a float are
  read by the standard library; integers of any size are read exactly by both.
* NaN is refused when written. orjson would write ``null`` for it, so a text with a ``null`` in it is written
  by the standard library, as is whatever orjson refuses (integers beyond 64 bits, keys that are no strings).
* An ``Enum`` is written as its value and a ``UUID`` as its text; dates, dataclasses and bytes are refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import Enum
from typing import Any

__all__ = ["canonical", "dumps", "dumps_text", "loads", "text_of_received"]

#: JSON text or bytes to a value; ``ValueError`` if it is none.
loads: Callable[[bytes | str], Any]
#: A value to compact JSON bytes; ``TypeError``, ``ValueError`` or ``RecursionError`` if it cannot be written.
dumps: Callable[[Any], bytes]

_BYTE_ORDER_MARK = "\ufeff"


def _foreign(value: Any) -> Any:
    """Types that orjson encodes beyond JSON's own."""
    if isinstance(value, Enum):
        return value.value
    if type(value).__module__ == "uuid":
        return str(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


_scan = json.JSONDecoder().raw_decode


def _make_encoder() -> Callable[[Any], str]:
    """``json.JSONEncoder.encode``, without creating its C encoder for each value, which is half of the cost."""
    plain = json.JSONEncoder(
        separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False, default=_foreign
    )
    try:  # what encode() does itself; other Pythons may have another one, or none
        made: Any = vars(json.encoder)["c_make_encoder"](
            None, _foreign, json.encoder.encode_basestring, None, ":", ",", False, False, False
        )
        if "".join(made({"a": [1, "é", None, 0.5, True]}, 0)) != '{"a":[1,"é",null,0.5,true]}':
            return plain.encode
    except (KeyError, TypeError):
        return plain.encode
    return lambda value: "".join(made(value, 0))


_encode = _make_encoder()
_encode_all = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_canonical = json.JSONEncoder(
    separators=(",", ":"), ensure_ascii=False, allow_nan=False, sort_keys=True, check_circular=False, default=_foreign
).encode


def canonical(value: Any) -> bytes:
    """Encode with sorted keys, always by the standard library: the same bytes on every machine."""
    return _canonical(value).encode("utf-8", "surrogatepass")


def _read(data: bytes | str) -> Any:
    """Decode one JSON value. ``raw_decode`` halves the cost of ``json.loads`` on small texts."""
    text = (data if type(data) is str else bytes(data).decode("utf-8")).strip()  # type: ignore[arg-type]  # else bytes
    try:
        value, end = _scan(text)
    except RecursionError as error:
        raise ValueError("the JSON value is nested too deeply") from error
    except ValueError:
        if not text.startswith(_BYTE_ORDER_MARK):
            raise
        return _read(text[1:])
    if end != len(text):
        raise ValueError(f"extra data after the JSON value at position {end}")
    return value


def _write(value: Any) -> bytes:
    """Encode to compact UTF-8. Lone surrogates, which JSON cannot carry, are a ``ValueError``."""
    return _encode(value).encode("utf-8")


def dumps_text(value: Any) -> str:
    """A value to compact JSON text; errors as :func:`dumps`."""
    return dumps(value).decode("utf-8")


def text_of_received(value: Any) -> str:
    """Encode a value that a server sent as JSON text again, NaN and infinities included."""
    try:
        return dumps_text(value)
    except ValueError:
        return _encode_all(value)


try:
    import msgspec
except ImportError:
    loads = _read
else:
    _fast_read = msgspec.json.Decoder().decode
    _UNREAD = (msgspec.MsgspecError, ValueError, RecursionError)

    def loads(data: bytes | str) -> Any:
        """Decode one JSON value."""
        try:
            return _fast_read(data)
        except _UNREAD:
            return _read(data)


try:
    import orjson
except ImportError:
    dumps = _write
else:
    _fast_write = orjson.dumps
    _OPTIONS = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME

    def dumps(value: Any) -> bytes:
        """Encode to compact UTF-8."""
        try:
            written: bytes = _fast_write(value, None, _OPTIONS)
        except TypeError:
            return _write(value)
        return _write(value) if b"null" in written else written
