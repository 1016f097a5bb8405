"""Removes secrets from what is pickled of a client."""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import copy
from typing import Any
from urllib.parse import unquote

from attrs import evolve

from provider_kit.model.config import HTTPConfig, ProviderConfig
from provider_kit.policies.response_cache import ResponseCache
from provider_kit.wire.redaction import MASK, is_secret_header, looks_secret, redact

__all__ = ["cache_without_secrets", "defaults_without_secrets", "without_secrets"]

#: Fields of a body that hold credentials; many others have token or key in their names without holding any.
_SECRET_FIELDS = re.compile(
    r"api[_-]?key|private_?key|^key$|^token$|(?:access|auth|refresh|id)_?token|authorization|bearer|secret|passw|credential",
    re.IGNORECASE,
)


def without_secrets(config: ProviderConfig) -> ProviderConfig:
    """The configuration without keys, passwords in addresses, and headers that look like credentials."""
    cache = config.response_cache
    return config.replace(
        api_key=None,
        api_keys=(),
        oauth=config.oauth.replace(client_secret=None) if config.oauth is not None else None,
        headers=_harmless(config.headers),
        http=_http_without_secrets(config.http),
        base_url=None if config.base_url is None else _bare_address(config.base_url),
        store=None if config.store is None else _bare_address(config.store),
        response_cache=_bare_address(cache) if isinstance(cache, str) else cache,
        options={
            name: value
            for name, value in config.options.items()
            if not is_secret_header(name) and redact(str(value)) == str(value)
        },
    )


def _http_without_secrets(http: HTTPConfig) -> HTTPConfig:
    proxy, agent = http.proxy, http.user_agent
    if isinstance(proxy, str):
        http = evolve(http, proxy=_bare_proxy(proxy))
    elif proxy is not None:
        http = evolve(http, proxy={scheme: _bare_proxy(address) for scheme, address in proxy.items()})
    return http if agent is None or redact(agent) == agent else evolve(http, user_agent=None)


def defaults_without_secrets(defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The default arguments of calls, without credentials in their queries and bodies."""
    made = dict(defaults)
    if isinstance(made.get("extra_query"), Mapping):
        made["extra_query"] = _harmless(made["extra_query"])
    if isinstance(made.get("extra_body"), Mapping):
        made["extra_body"] = _harmless_body(made["extra_body"])
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


def _harmless_body(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            name: _harmless_body(inner)
            for name, inner in value.items()
            if not (_SECRET_FIELDS.search(str(name)) and _has_text(inner))
            and not (isinstance(inner, str) and redact(inner) != inner)
        }
    if isinstance(value, (list, tuple)):
        return [_harmless_body(inner) for inner in value if not isinstance(inner, str) or redact(inner) == inner]
    return value


def _has_text(value: Any) -> bool:
    """Whether a value holds a user's text; a JSON Schema of a field of that name does not."""
    if isinstance(value, Mapping):
        return "type" not in value and any(map(_has_text, value.values()))
    return isinstance(value, str) or (isinstance(value, (list, tuple)) and any(map(_has_text, value)))


def _bare_proxy(address: str) -> str:
    """A proxy's address without user and password; the scheme is optional."""
    return _bare_address(address) if "://" in address else address.rpartition("@")[2]


def _bare_address(address: str) -> str:
    """A URL without user, password, fragment, and anything in its query that looks like a key. The path is
    unchanged."""
    if "://" not in address:
        return address
    scheme, _, rest = address.partition("://")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" in authority or not rest.startswith("["):  # a password may hold unescaped characters
        rest = redact(f"{scheme}://{rest}").partition("://")[2].removeprefix(f"{MASK}@")
    bare, _, query = f"{scheme}://{rest}".partition("#")[0].partition("?")
    kept = [pair for pair in query.split("&") if pair and not _is_secret_pair(pair)]
    return f"{bare}?{'&'.join(kept)}" if kept else bare


def _is_secret_pair(pair: str) -> bool:
    name, _, value = pair.partition("=")
    return is_secret_header(unquote(name)) or looks_secret(unquote(value))
