"""Merging what a user adds to a request: headers over headers, JSON over JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from provider_kit.errors import InvalidRequestError
from provider_kit.wire.redaction import MaskedStr, is_secret_header

__all__ = ["deep_merge", "merge_headers"]

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: A second one would let a request be read in two ways.
_OF_THE_CONNECTION = frozenset(("content-length", "transfer-encoding", "host"))
_HEADER_BREAKS = re.compile(r"[\r\n\0]")


def merge_headers(base: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
    """``base`` with ``extra`` over it; names compare case-insensitively, ``None`` removes one."""
    if not extra:
        return dict(base)
    for name, value in extra.items():
        if isinstance(name, str) and name.lower() in _OF_THE_CONNECTION:
            raise InvalidRequestError(
                f"The header {name!r} is written by the connection itself.", hint="Leave it out of the headers."
            )
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name) or _HEADER_BREAKS.search(str(value)):
            raise InvalidRequestError(
                f"The header {name!r} cannot be sent.",
                hint="A name holds letters, digits and '-', and no value holds a line break.",
            )
        if not str(value).isascii():
            raise InvalidRequestError(
                f"The value of the header {name!r} is not ASCII, which servers decode differently.",
                hint="Encode it, for example with urllib.parse.quote(value).",
            )
    replaced = {name.lower() for name in extra}
    merged = {name: value for name, value in base.items() if name.lower() not in replaced}
    merged.update(
        {
            name: MaskedStr(value) if is_secret_header(name) else str(value)
            for name, value in extra.items()
            if value is not None
        }
    )
    return merged


def deep_merge(base: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``extra`` over it, dicts inside dicts merged likewise."""
    merged = dict(base)
    for name, value in extra.items():
        known = merged.get(name)
        merged[name] = deep_merge(known, value) if isinstance(known, dict) and isinstance(value, Mapping) else value
    return merged
