"""The addresses of OAuth requests, and their discovery from an issuer (RFC 8414). Nothing is sent here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from provider_kit.errors import AuthError, AuthErrorCode
from provider_kit.model.oauth import OAuthConfig
from provider_kit.wire.http import is_loopback

__all__ = ["check_address", "discovery_addresses", "read_discovery"]

_FIELDS = {
    "auth_url": "authorization_endpoint",
    "token_url": "token_endpoint",
    "device_url": "device_authorization_endpoint",
    "revoke_url": "revocation_endpoint",
}


@lru_cache(maxsize=64)
def check_address(url: str | None, name: str, provider: str) -> str:
    """Check an address that secrets are sent to.

    Args:
        url: The address.
        name: Its field name in :class:`OAuthConfig`.
        provider: For the error.

    Raises:
        AuthError: It is missing, malformed, or unencrypted to another machine.
    """
    if not url:
        raise AuthError(
            f"The OAuth client has no {name}.",
            code=AuthErrorCode.INVALID_CONFIG,
            provider=provider,
            hint=f"Give OAuthConfig({name}='https://…'), or issuer='https://…', whose discovery document lists it.",
        )
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        parts, host = urlsplit(""), ""
    if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc or re.search(r"[\s\\]", url):
        raise AuthError(
            f"The {name} is not an https:// address.",
            code=AuthErrorCode.INVALID_CONFIG,
            provider=provider,
            hint="Copy it from the provider's documentation, with https:// and without user name or password.",
        )
    if parts.scheme == "http" and not is_loopback(host):
        raise AuthError(
            f"The {name} would send secrets unencrypted to {host}.",
            code=AuthErrorCode.INVALID_CONFIG,
            provider=provider,
            hint="Use https://; plain http:// is allowed on this machine only.",
        )
    return url


def discovery_addresses(issuer: str, provider: str) -> tuple[str, ...]:
    """Possible addresses of the discovery document of an issuer, in order.

    Sources: RFC 8414 section 3 (the well-known part comes before the issuer's path); OpenID Connect
    Discovery 1.0 section 4 (it comes after it).
    """
    parts = urlsplit(check_address(issuer, "issuer", provider))
    origin, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    found = (
        f"{origin}/.well-known/oauth-authorization-server{path}",
        f"{origin}{path}/.well-known/openid-configuration",
        f"{origin}/.well-known/openid-configuration{path}",
    )
    return tuple(dict.fromkeys(found))


def read_discovery(document: Any, config: OAuthConfig, provider: str) -> OAuthConfig:
    """The configuration with the addresses of a discovery document.

    Raises:
        AuthError: It belongs to another issuer, or has no usable addresses.
    """
    issuer = config.issuer or ""
    if not isinstance(document, Mapping):
        raise _unusable(provider, "is not a JSON object")
    told = document.get("issuer")
    if not isinstance(told, str) or told.rstrip("/") != issuer.rstrip("/"):
        # RFC 8414 section 3.3: a document of another issuer must not be used.
        raise _unusable(provider, "names another issuer")
    changes: dict[str, Any] = {}
    for name, theirs in _FIELDS.items():
        value = document.get(theirs)
        if getattr(config, name) is None and isinstance(value, str):
            changes[name] = check_address(value, name, provider)
    methods = document.get("token_endpoint_auth_methods_supported")
    # RFC 8414: Basic if the document lists no method; else the first listed method that is supported here.
    if config.client_auth is None and config.client_secret:
        known = [str(method) for method in methods] if isinstance(methods, list) else ["client_secret_basic"]
        changes["client_auth"] = "post" if "client_secret_post" in known else "basic"
    if not (config.token_url or changes.get("token_url")):
        raise _unusable(provider, "names no token_endpoint")
    return config.replace(**changes)


def _unusable(provider: str, why: str) -> AuthError:
    return AuthError(
        f"The discovery document of the issuer {why}.",
        code=AuthErrorCode.INVALID_CONFIG,
        provider=provider,
        hint="Check OAuthConfig(issuer=…): exactly as the server writes it. Or give auth_url and token_url yourself.",
    )
