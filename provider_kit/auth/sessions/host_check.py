"""Whether a token may be sent to a URL: only to the named hosts, and never unencrypted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from urllib.parse import urlsplit

from provider_kit.errors import AuthError, AuthErrorCode, ConfigError
from provider_kit.model.oauth import OAuthConfig, TokenInfo
from provider_kit.wire.http import is_loopback

__all__ = ["TokenSource", "check_hosts", "require_host"]


class TokenSource(Protocol):
    """The methods of an :class:`OAuthAuthenticator` that are used here."""

    provider: str

    @property
    def config(self) -> OAuthConfig:
        """The OAuth client."""
        ...

    def get_token(self) -> str:
        """Return a valid token."""
        ...

    async def aget_token(self) -> str:
        """As :meth:`get_token`."""
        ...

    def renew_refused(self, token: str) -> str:
        """Return another token than the refused one."""
        ...

    async def arenew_refused(self, token: str) -> str:
        """As :meth:`renew_refused`."""
        ...

    def refresh_token(self) -> TokenInfo:
        """Refresh now."""
        ...

    def get_token_info(self) -> TokenInfo | None:
        """Information about the token."""
        ...


def check_hosts(hosts: Sequence[str], provider: str) -> frozenset[str]:
    """The hosts a token may be sent to, in lower case.

    Raises:
        ConfigError: None is named, or one is a URL instead of a host.
    """
    if not hosts:
        raise ConfigError(
            "No host is named that the token may be sent to.",
            provider=provider,
            hint="Name it: as_requests_auth('api.example.com'). The token is sent nowhere else.",
        )
    for host in hosts:
        if not isinstance(host, str) or "/" in host or not host:
            raise ConfigError(f"{host!r} is not a host.", hint="Write 'api.example.com' or 'localhost:8080'.")
    return frozenset(host.lower() for host in hosts)


def require_host(url: str, hosts: frozenset[str], provider: str) -> None:
    """Refuse to send a token to another host, or unencrypted.

    Raises:
        AuthError: The URL is not on one of the hosts, or is plain http:// to another machine.
    """
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        parts, host, port = urlsplit(""), "", None
    # A URL that parsers read in different ways has no valid host: http://one\\@other/.
    if "\\" in url or "@" in parts.netloc or not url.isprintable() or " " in url:
        host = ""
    default = {"https": 443, "http": 80}.get(parts.scheme)
    bracketed = f"[{host}]" if ":" in host else host
    named = {host, bracketed, f"{bracketed}:{port or default}"}
    if not host or not named & hosts:
        raise AuthError(
            f"The token of {provider} is not sent to {host or 'that address'}.",
            code=AuthErrorCode.INVALID_CONFIG,
            provider=provider,
            hint="Name the host when the auth object is created, if the token may be sent there; not for redirects.",
        )
    if parts.scheme != "https" and not is_loopback(host):
        raise AuthError(
            f"The token would be sent unencrypted to {host}.",
            code=AuthErrorCode.INVALID_CONFIG,
            provider=provider,
            hint="Use https://.",
        )
