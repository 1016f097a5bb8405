"""The OAuth client of a provider: its addresses from the provider's own file, its id from you."""

from __future__ import annotations

import os
from typing import Any

from attrs import fields_dict

from provider_kit.errors import ConfigError, UnknownProviderError
from provider_kit.model.nearest import nearest
from provider_kit.model.oauth import OAuthConfig
from provider_kit.providers.registry import find_provider

__all__ = ["oauth_config"]


def oauth_config(
    provider: str, *, client_id: str | None = None, client_secret: str | None = None, **changes: Any
) -> OAuthConfig:
    """The OAuth configuration of a provider.

    Args:
        provider: Its name. ``gemini`` and ``openrouter`` have presets; for others give the addresses, or
            ``issuer=``, whose discovery document tells them.
        client_id: Id of the OAuth client that you registered; default: ``<PROVIDER>_CLIENT_ID``. No
            client of somebody else's comes along.
        client_secret: Its secret, where it has one; default: ``<PROVIDER>_CLIENT_SECRET``.
        changes: Any other field of :class:`OAuthConfig`.

    Raises:
        ConfigError: A field is unknown or wrong.
    """
    known = fields_dict(OAuthConfig)
    for name in changes:
        if name not in known:
            raise ConfigError(f"OAuthConfig has no field {name!r}.", hint=nearest(name, known).strip() or None)
    try:
        preset = find_provider(provider).oauth
    except UnknownProviderError:  # a name of the user's; the addresses must then be given
        preset = None
    base = preset if isinstance(preset, OAuthConfig) else OAuthConfig()
    prefix = provider.upper().replace("-", "_")
    client_id = client_id or base.client_id or os.environ.get(f"{prefix}_CLIENT_ID") or ""
    client_secret = client_secret or base.client_secret or os.environ.get(f"{prefix}_CLIENT_SECRET")
    return base.replace(client_id=client_id, client_secret=client_secret, **changes)
