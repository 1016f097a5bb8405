"""What each error means and what to do about it: the data of ``explain`` and of the error index.

Texts only. The code of an entry is that of :class:`~provider_kit.AuthErrorCode` for logins and keys, else the name of
the exception in lower case without ``Error``. This package imports nothing from the library.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from provider_kit.error_guide.entry import Entry

__all__ = ["Entry", "codes", "entry_for", "find_entry", "guide"]

#: Other names of an entry: ``error.kind``, HTTP statuses.
_OTHER_NAMES = {
    "cancelled": "call_cancelled",
    "timeout": "api_timeout",
    "network": "api_connection",
    "quota": "insufficient_quota",
    "billing": "payment_required",
    "permission": "permission_denied",
    "context_length": "context_length_exceeded",
    "server_error": "internal_server",
    "config": "invalid_config",
    "all_failed": "all_providers_failed",
    "storage": "storage_error",
    "encryption": "encryption_error",
    "auth": "invalid_credentials",
    "missing_key": "missing_api_key",
    "400": "bad_request",
    "401": "authentication",
    "402": "payment_required",
    "403": "permission_denied",
    "404": "not_found",
    "408": "request_timeout",
    "409": "conflict",
    "413": "request_too_large",
    "422": "unprocessable_entity",
    "429": "rate_limit",
    "500": "internal_server",
    "502": "internal_server",
    "503": "overloaded",
    "504": "request_timeout",
    "524": "request_timeout",
    "529": "overloaded",
}


@cache
def guide() -> Mapping[str, Entry]:
    """All entries by their code, in the order of the chapters."""
    from provider_kit.error_guide import connections, credentials, local, providers, streams

    chapters = (credentials.ENTRIES, local.ENTRIES, connections.ENTRIES, providers.ENTRIES, streams.ENTRIES)
    return {entry.code: entry for chapter in chapters for entry in chapter}


def codes() -> list[str]:
    """The codes of all entries, in the order of the chapters."""
    return list(guide())


def entry_for(code: str) -> Entry:
    """The entry of a code.

    Raises:
        KeyError: There is none.
    """
    return guide()[code]


def find_entry(word: str) -> Entry | None:
    """Find an entry by its code, the name of its exception, an HTTP status or a ``kind``."""
    plain = word.strip().replace("-", "_").replace(" ", "_")
    if plain in guide():
        return guide()[plain]
    small = plain.lower()
    for entry in guide().values():
        if small in (entry.code, *(name.lower() for name in entry.errors)):
            return entry
    found = _OTHER_NAMES.get(small) or _OTHER_NAMES.get(small.removeprefix("http").strip("_"))
    if found is None and (status := re.fullmatch(r"(?:http_?)?([45])(?:\d\d|xx)", small)):
        found = "internal_server" if status[1] == "5" else "api"
    return guide()[found] if found else None
