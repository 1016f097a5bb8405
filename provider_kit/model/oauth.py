"""OAuth 2 values: the client, its credentials, the token and what may be shown of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Literal, TypeAlias

from attrs import Attribute, evolve, field, frozen

from provider_kit.errors import ConfigError
from provider_kit.model.http_config import HTTPConfig, positive_seconds
from provider_kit.model.secrets import as_masked

__all__ = [
    "DeviceCode",
    "OAuthConfig",
    "OAuthCredentialSet",
    "OAuthToken",
    "OnTokenRefresh",
    "PKCEConfig",
    "RefreshConfig",
    "StateConfig",
    "TokenInfo",
]

#: Called with (id, access token, refresh token, expiry in seconds since 1970) after each refresh; may be async.
OnTokenRefresh: TypeAlias = (
    Callable[[str, str, str | None, float | None], object]
    | Callable[[str, str, str | None, float | None], Awaitable[object]]
)


def _scopes(values: str | Iterable[str]) -> tuple[str, ...]:
    return tuple(values.split() if isinstance(values, str) else values)


@frozen(kw_only=True)
class RefreshConfig:
    """When an access token is refreshed."""

    #: Whether it is refreshed at all; if not, the login ends when it expires.
    enabled: bool = True
    #: Seconds before its expiry; at most half of its lifetime.
    buffer: float = field(default=300.0, validator=positive_seconds)


@frozen(kw_only=True)
class PKCEConfig:
    """Proof that a code is redeemed by the client that requested it (RFC 7636)."""

    #: Set to ``False`` only for a server that refuses the parameters.
    enabled: bool = True
    #: ``plain`` gives no protection and is not offered.
    method: Literal["S256"] = "S256"
    verifier_length: int = 128

    def __attrs_post_init__(self) -> None:
        if self.method != "S256":
            raise ConfigError(f"PKCE method {self.method!r} is not offered.", hint="Leave it out; it is 'S256'.")
        if not 43 <= self.verifier_length <= 128:
            raise ConfigError("verifier_length must be 43 to 128 (RFC 7636).", hint="Leave it out; it is 128.")


@frozen(kw_only=True)
class StateConfig:
    """The value that ties a callback to the login that was started here. It cannot be switched off."""

    #: Random bytes in it.
    length: int = 32
    #: Seconds a login may take.
    ttl: float = field(default=600.0, validator=positive_seconds)
    #: Keep pending logins in the token storage, so that another process of the service can complete them.
    shared: bool = False

    def __attrs_post_init__(self) -> None:
        if self.length < 16:
            raise ConfigError("A state must have at least 16 random bytes.", hint="Leave length out; it is 32.")


@frozen(kw_only=True)
class OAuthConfig:
    """An OAuth 2 client: its identity, the server's addresses, and its security settings.

    Give the addresses, or the ``issuer`` alone, whose discovery document (RFC 8414) lists them.
    """

    client_id: str = ""
    client_secret: str | None = field(default=None, repr=False, converter=as_masked)
    #: Address of the authorization server, whose discovery document lists the other addresses.
    issuer: str | None = None
    #: Where the user agrees.
    auth_url: str | None = None
    #: Where codes and refresh tokens are exchanged.
    token_url: str | None = None
    #: Where a device asks for its code (RFC 8628).
    device_url: str | None = None
    #: Where tokens are revoked (RFC 7009).
    revoke_url: str | None = None
    #: Where the browser is redirected to; port 0 takes a free one.
    redirect_url: str = "http://127.0.0.1:0/callback"
    default_scopes: tuple[str, ...] = field(default=(), converter=_scopes)
    refresh: RefreshConfig = field(factory=RefreshConfig)
    pkce: PKCEConfig = field(factory=PKCEConfig)
    state: StateConfig = field(factory=StateConfig)
    #: Further parameters of the address where the user agrees, e.g. ``{"prompt": "consent"}``.
    auth_params: Mapping[str, str] = field(factory=dict)
    #: How the client authenticates at the token URL: in the form, or with HTTP Basic; ``None``: as the discovery
    #: document says, else in the form.
    client_auth: Literal["post", "basic"] | None = None
    #: ``oauth2``, or ``key_exchange``: the code is exchanged for a lasting API key.
    protocol: Literal["oauth2", "key_exchange"] = "oauth2"
    #: Seconds for one exchange.
    timeout: float = field(default=30.0, validator=positive_seconds)
    #: Proxies, certificates and the ``User-Agent`` of the exchanges.
    http: HTTPConfig = field(factory=HTTPConfig)

    def __attrs_post_init__(self) -> None:
        for name in ("client_id", "redirect_url"):
            if not isinstance(getattr(self, name), str):
                raise ConfigError(f"{name} must be a string, not {type(getattr(self, name)).__name__}.")
        if self.client_auth not in (None, "post", "basic"):
            raise ConfigError(f"client_auth {self.client_auth!r} is not known.", hint="Use 'post' or 'basic'.")
        if self.protocol not in ("oauth2", "key_exchange"):
            raise ConfigError(f"protocol {self.protocol!r} is not known.", hint="Leave it out, or use 'key_exchange'.")

    def replace(self, **changes: Any) -> OAuthConfig:
        """A copy with some fields changed."""
        return evolve(self, **changes)


@frozen(kw_only=True)
class OAuthCredentialSet:
    """One OAuth credential of a provider."""

    #: Your name for it; appears in logs and metrics.
    id: str
    client_id: str = ""
    client_secret: str | None = field(default=None, repr=False, converter=as_masked)
    access_token: str | None = field(default=None, repr=False, converter=as_masked)
    refresh_token: str | None = field(default=None, repr=False, converter=as_masked)
    #: Seconds since 1970.
    expires_at: float | None = None
    scopes: tuple[str, ...] = field(default=(), converter=_scopes)
    #: Called after each refresh, to store the tokens; sync or async.
    on_token_refresh: OnTokenRefresh | None = field(default=None, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        if not self.id or not isinstance(self.id, str):
            raise ConfigError("A credential needs an id.", hint="OAuthCredentialSet(id='team-account', …).")


def _secret(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{attribute.name} must be a text that is not empty.")


@frozen(kw_only=True)
class OAuthToken:
    """An access token with its refresh token and metadata. Holds secrets; its ``repr`` shows none."""

    access_token: str = field(repr=False, converter=as_masked, validator=_secret)
    refresh_token: str | None = field(default=None, repr=False, converter=as_masked)
    #: Seconds since 1970; ``None`` if the server did not say.
    expires_at: float | None = None
    #: When it was issued, in seconds since 1970.
    obtained_at: float | None = None
    scopes: tuple[str, ...] = field(default=(), converter=_scopes)
    #: ``Bearer``, or ``api_key`` for a key obtained by a login.
    token_type: str = "Bearer"
    #: The client it was issued to, so that it can be refreshed: id, secret, addresses.
    client: Mapping[str, str] = field(factory=dict, repr=False)
    #: All other fields the server sent.
    extra: Mapping[str, Any] = field(factory=dict, repr=False)
    #: When a refresh in progress began, in seconds since 1970: after a crash its outcome is unknown.
    refreshing_since: float | None = None

    @property
    def lifetime(self) -> float | None:
        """Its lifetime in seconds, if known."""
        if self.expires_at is None or self.obtained_at is None:
            return None
        return max(0.0, self.expires_at - self.obtained_at)

    def remaining(self, now: float) -> float:
        """Seconds until it expires, at ``now`` (seconds since 1970); infinity if unknown.

        A clock that was set back does not extend it beyond its lifetime.
        """
        if self.expires_at is None:
            return float("inf")
        left = self.expires_at - now
        lifetime = self.lifetime
        return left if lifetime is None else min(left, lifetime)

    def replace(self, **changes: Any) -> OAuthToken:
        """A copy with some fields changed."""
        return evolve(self, **changes)


@frozen(kw_only=True)
class TokenInfo:
    """What may be shown of a stored token."""

    #: Name it is stored under.
    key: str
    is_expired: bool
    #: Seconds since 1970; ``None`` if the server did not say.
    expires_at: float | None = None
    #: Seconds until then; negative once it has expired.
    expires_in: float | None = None
    scopes: tuple[str, ...] = ()
    token_type: str = "Bearer"
    #: ``None``: when the access token expires, you must log in again.
    refresh_token: str | None = field(default=None, repr=False)
    is_encrypted: bool = False

    @property
    def can_refresh(self) -> bool:
        """Whether it can be refreshed without the user."""
        return bool(self.refresh_token)


@frozen(kw_only=True)
class DeviceCode:
    """What a user needs to authorize a device (RFC 8628)."""

    #: The code the user types.
    user_code: str
    #: Where the user types it.
    verification_uri: str
    #: The same with the code in it, if the server offers that.
    verification_uri_complete: str | None = None
    device_code: str = field(repr=False, converter=as_masked)
    #: Seconds between two polls.
    interval: float = 5.0
    #: Seconds since 1970.
    expires_at: float
    #: The PKCE code verifier.
    verifier: str | None = field(default=None, repr=False, converter=as_masked)

    @property
    def verification_url(self) -> str:
        """The best address to show."""
        return self.verification_uri_complete or self.verification_uri
