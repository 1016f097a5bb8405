"""Pending logins in the token storage, so that the callback may reach another process than the one that started."""

from __future__ import annotations

import hashlib

from provider_kit.auth.oauth.pending_logins import PendingLogin
from provider_kit.auth.storage.protocol import TokenStorage
from provider_kit.auth.user_callables import call_user
from provider_kit.model.oauth import OAuthToken
from provider_kit.transports.base import Transport

__all__ = ["find_shared", "is_login_key", "share_login"]

_MARK = "#login."
#: Type of a record that is a pending login, not a token.
_KIND = "login"


def is_login_key(key: str) -> bool:
    """Whether a name in a storage is that of a pending login, not of a token."""
    return _MARK in key


def _key(storage_key: str, state: str) -> str:
    return f"{storage_key}{_MARK}{hashlib.sha256(state.encode()).hexdigest()[:32]}"


async def share_login(transport: Transport, storage: TokenStorage, storage_key: str, login: PendingLogin) -> None:
    """Store a pending login; it expires, and is cleaned up like an expired token."""
    extra = {"redirect_url": login.redirect_url, "scopes": list(login.scopes), "verifier": login.verifier}
    record = OAuthToken(access_token=login.state, expires_at=login.until, token_type=_KIND, extra=extra)
    await call_user(transport, storage.store_token, _key(storage_key, login.state), record, what="The token storage")


async def find_shared(
    transport: Transport, storage: TokenStorage, storage_key: str, state: str | None
) -> PendingLogin | None:
    """Remove a pending login from the storage and return it; works once."""
    if not state:
        return None
    key = _key(storage_key, state)
    record = await call_user(transport, storage.retrieve_token, key, what="The token storage")
    if not isinstance(record, OAuthToken) or record.token_type != _KIND:
        return None
    if not await call_user(transport, storage.delete_token, key, what="The token storage"):
        return None  # another process was faster
    return PendingLogin(
        state=record.access_token,
        verifier=record.extra.get("verifier"),
        redirect_url=str(record.extra.get("redirect_url")),
        scopes=tuple(record.extra.get("scopes") or ()),
        until=record.expires_at or 0.0,
    )
