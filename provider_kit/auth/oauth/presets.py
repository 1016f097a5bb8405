"""The OAuth client of a provider: addresses from its preset, the client id from the user."""

from __future__ import annotations

import os
from typing import Any

from attrs import fields_dict

from provider_kit.auth.authenticator import AuthMethod
from provider_kit.errors import ConfigError, UnknownProviderError
from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.model.oauth import OAuthConfig
from provider_kit.providers.registry import find_provider, provider_names

__all__ = ["auth_methods", "oauth_config", "providers_by_method"]


def oauth_config(
    provider: str, *, client_id: str | None = None, client_secret: str | None = None, **changes: Any
) -> OAuthConfig:
    """The OAuth configuration of a provider.

    Args:
        provider: Its name. ``gemini`` and ``openrouter`` have presets; for others give the addresses, or ``issuer=``,
            whose discovery document lists them.
        client_id: Id of the OAuth client that you registered; default: ``<PROVIDER>_CLIENT_ID``. The library contains
            no client id.
        client_secret: Its secret, where it has one; default: ``<PROVIDER>_CLIENT_SECRET``.
        changes: Any other field of :class:`OAuthConfig`.

    Raises:
        ConfigError: A field is unknown or wrong.
    """
    known = fields_dict(OAuthConfig)
    for name in changes:
        if name not in known:
            raise ConfigError(f"OAuthConfig has no field {name!r}.", hint=did_you_mean(name, known).strip() or None)
    try:
        preset = find_provider(provider).oauth
    except UnknownProviderError:  # a custom name; the addresses must then be given
        preset = None
    base = preset if isinstance(preset, OAuthConfig) else OAuthConfig()
    prefix = provider.upper().replace("-", "_")
    client_id = client_id or base.client_id or os.environ.get(f"{prefix}_CLIENT_ID") or ""
    client_secret = client_secret or base.client_secret or os.environ.get(f"{prefix}_CLIENT_SECRET")
    return base.replace(client_id=client_id, client_secret=client_secret, **changes)


def auth_methods(provider: str) -> tuple[AuthMethod, ...]:
    """The authentication methods of a provider, the usual one first.

    Args:
        provider: Its name.

    Returns:
        ``api_key`` and ``bearer_token`` where it accepts keys, ``oauth`` where it has a login preset.
        ``OAuthAuthenticator`` works with other providers too, given their addresses.

    Raises:
        UnknownProviderError: No provider of this name is known.
    """
    known = find_provider(provider)
    methods = [AuthMethod.API_KEY, AuthMethod.BEARER_TOKEN] if known.key_required or known.key_variables else []
    return (*methods, *([AuthMethod.OAUTH] if known.oauth is not None else []))


def providers_by_method(method: AuthMethod | str) -> list[str]:
    """The names of all providers with this authentication method, sorted.

    Raises:
        ConfigError: The method is unknown.
    """
    try:
        wanted = AuthMethod(method)
    except ValueError:
        known = [one.value for one in AuthMethod]
        raise ConfigError(
            f"{method!r} is not an authentication method.",
            hint=f"{did_you_mean(str(method), known)}There are: {', '.join(known)}.",
        ) from None
    return sorted(name for name in provider_names() if wanted in auth_methods(name))
