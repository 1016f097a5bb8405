"""What of a client may be pickled: everything but secrets, wherever they stand."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from attrs import evolve

from provider_kit.model.config import ProviderConfig
from provider_kit.policies.response_cache import ResponseCache
from provider_kit.wire.redaction import is_secret_header, looks_secret

__all__ = ["cache_without_secrets", "defaults_without_secrets", "without_secrets"]


def without_secrets(config: ProviderConfig) -> ProviderConfig:
    """The configuration without keys, passwords in addresses, and headers that look like credentials."""
    http, proxy = config.http, config.http.proxy
    if proxy is not None:
        bare = (
            _bare_address(proxy)
            if isinstance(proxy, str)
            else {scheme: _bare_address(address) for scheme, address in proxy.items()}
        )
        http = evolve(http, proxy=bare)
    cache = config.response_cache
    return config.replace(
        api_key=None,
        api_keys=(),
        oauth=config.oauth.replace(client_secret=None) if config.oauth is not None else None,
        headers=_harmless(config.headers),
        http=http,
        base_url=None if config.base_url is None else _bare_address(config.base_url),
        store=None if config.store is None else _bare_address(config.store),
        response_cache=_bare_address(cache) if isinstance(cache, str) else cache,
        options={name: value for name, value in config.options.items() if not is_secret_header(name)},
    )


def defaults_without_secrets(defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of every call, without credentials among their headers and queries."""
    made = dict(defaults)
    for name in ("extra_headers", "extra_query"):
        if isinstance(made.get(name), Mapping):
            made[name] = _harmless(made[name])
    return made


def cache_without_secrets(cache: ResponseCache) -> ResponseCache:
    """The cache at an address without a password."""
    if not isinstance(cache.store, str) or "://" not in cache.store:
        return cache
    made = copy(cache)
    made.store = _bare_address(cache.store)
    return made


def _harmless(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value for name, value in values.items() if not is_secret_header(name) and not looks_secret(str(value))
    }


def _bare_address(address: str) -> str:
    """An address without user, password, and what looks like a key in its query."""
    if "://" not in address:
        head, at, rest = address.rpartition("@")
        return rest if at and ":" in head else address
    parts = urlsplit(address)
    query = [
        (name, value)
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
        if not is_secret_header(name) and not looks_secret(value)
    ]
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, urlencode(query), parts.fragment))
