"""JSON in and out, as fast as the machine allows.

orjson is used where it is installed (``pip install provider-kit[fast]``); the standard library's
decoder and encoder, built once, otherwise. Both write compact UTF-8. JSON has no NaN: the standard
encoder refuses it, orjson writes ``null``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

__all__ = ["canonical", "dumps", "dumps_text", "loads"]

#: JSON text or bytes to a value; ``ValueError`` if it is none.
loads: Callable[[bytes | str], Any]
#: A value to compact JSON bytes; ``TypeError`` or ``ValueError`` if it cannot be written.
dumps: Callable[[Any], bytes]
#: A value to compact JSON text.
dumps_text: Callable[[Any], str]

_canonical = json.JSONEncoder(
    separators=(",", ":"), ensure_ascii=False, allow_nan=False, sort_keys=True, check_circular=False
).encode


def canonical(value: Any) -> bytes:
    """Encode with sorted keys, always by the standard library: the same bytes on every machine."""
    return _canonical(value).encode("utf-8", "surrogatepass")


try:
    import orjson
except ImportError:
    _scan = json.JSONDecoder().raw_decode
    _encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False).encode

    def loads(data: bytes | str) -> Any:
        """Decode one JSON value. ``raw_decode`` halves the cost of ``json.loads`` on small texts."""
        text = data if type(data) is str else bytes(data).decode("utf-8")  # type: ignore[arg-type]
        text = text.strip()
        try:
            value, end = _scan(text)
        except RecursionError as error:
            raise ValueError("the JSON value is nested too deeply") from error
        if end != len(text):
            raise ValueError(f"extra data after the JSON value at position {end}")
        return value

    def dumps_text(value: Any) -> str:
        """Encode to compact text. What holds itself is a ``RecursionError``."""
        return _encode(value)

    def dumps(value: Any) -> bytes:
        """Encode to compact UTF-8. Lone surrogates, which JSON cannot carry, are a ``ValueError``."""
        return _encode(value).encode("utf-8")

else:
    loads = orjson.loads
    dumps = orjson.dumps

    def dumps_text(value: Any) -> str:
        """Encode to compact text."""
        encoded: bytes = orjson.dumps(value)
        return encoded.decode("utf-8")
