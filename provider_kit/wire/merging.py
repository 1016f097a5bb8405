"""Merging what a user adds to a request: headers over headers, JSON over JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from provider_kit.errors import InvalidRequestError
from provider_kit.wire.redaction import MaskedStr, is_secret_header

__all__ = ["TRACE_HEADERS", "checked_headers", "deep_merge", "merge_headers", "over"]

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: A second one would let a request be read in two ways.
_OF_THE_CONNECTION = frozenset(("content-length", "transfer-encoding", "host"))
#: The headers that carry a trace from service to service; they change no answer. https://www.w3.org/TR/trace-context/,
#: https://www.w3.org/TR/baggage/, https://github.com/openzipkin/b3-propagation, and those of Jaeger, AWS and Datadog.
TRACE_HEADERS = frozenset(
    (
        *("traceparent", "tracestate", "baggage", "b3", "x-b3-traceid", "x-b3-spanid", "x-b3-sampled"),
        *("x-b3-parentspanid", "x-b3-flags", "uber-trace-id", "x-amzn-trace-id", "x-cloud-trace-context"),
        *("x-datadog-trace-id", "x-datadog-parent-id", "x-datadog-sampling-priority"),
    )
)
_HEADER_BREAKS = re.compile(r"[\r\n\0]")


def merge_headers(base: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
    """``base`` with ``extra`` over it; names compare case-insensitively, ``None`` removes one.

    Raises:
        InvalidRequestError: One of ``extra`` cannot be sent.
    """
    return over(base, checked_headers(extra))


def checked_headers(extra: Mapping[str, str]) -> dict[str, str | None]:
    """Headers as they may be sent, secrets masked; ``None`` stays what it is.

    Raises:
        InvalidRequestError: One of them cannot be sent.
    """
    checked: dict[str, str | None] = {}
    for name, value in extra.items():
        if isinstance(name, str) and name.lower() in _OF_THE_CONNECTION:
            raise InvalidRequestError(
                f"The header {name!r} is written by the connection itself.", hint="Leave it out of the headers."
            )
        text = str(value)
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name) or _HEADER_BREAKS.search(text):
            raise InvalidRequestError(
                f"The header {name!r} cannot be sent.",
                hint="A name holds letters, digits and '-', and no value holds a line break.",
            )
        if not text.isascii():
            raise InvalidRequestError(
                f"The value of the header {name!r} is not ASCII, which servers decode differently.",
                hint="Encode it, for example with urllib.parse.quote(value).",
            )
        if value is None:
            checked[name] = None
        else:
            checked[name] = text if name.lower() in TRACE_HEADERS or not is_secret_header(name) else MaskedStr(text)
    return checked


def over(base: Mapping[str, str], checked: Mapping[str, str | None]) -> dict[str, str]:
    """``base`` with headers over it that have been checked."""
    replaced = {name.lower() for name in checked}
    merged = {name: value for name, value in base.items() if name.lower() not in replaced}
    merged.update({name: value for name, value in checked.items() if value is not None})
    return merged


def deep_merge(base: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``extra`` over it, dicts inside dicts merged likewise."""
    merged = dict(base)
    for name, value in extra.items():
        known = merged.get(name)
        merged[name] = deep_merge(known, value) if isinstance(known, dict) and isinstance(value, Mapping) else value
    return merged
