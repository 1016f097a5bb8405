"""The token of one OAuth login: getting, inspecting, exporting and revoking it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from provider_kit.auth.authenticator import AuthMethod
from provider_kit.auth.credential_pool import CredentialPool
from provider_kit.auth.oauth.client import OAuthClient
from provider_kit.auth.oauth.login import revoke
from provider_kit.auth.oauth.pending_logins import PendingLogins
from provider_kit.auth.oauth.presets import oauth_config
from provider_kit.auth.oauth.refresher import TokenRefresher
from provider_kit.auth.oauth.token_state import RefreshStrategy
from provider_kit.auth.storage.factory import open_token_storage
from provider_kit.auth.storage.protocol import TokenStorage, token_info
from provider_kit.errors import AuthError, ConfigError
from provider_kit.model.oauth import OAuthConfig, OAuthToken, OnTokenRefresh, TokenInfo
from provider_kit.transports.base import Transport
from provider_kit.transports.drive import run_to_completion
from provider_kit.transports.pair import SyncAsyncMixin, Transports
from provider_kit.transports.runtime_blocking import BlockingRuntime

if TYPE_CHECKING:
    from provider_kit.auth.sessions.aiohttp_auth import Middleware
    from provider_kit.auth.sessions.requests_auth import OAuthRequestsAuth, OAuthRequestsSession

__all__ = ["OAuthTokens"]

_LOG = logging.getLogger("provider_kit.auth")


class OAuthTokens(SyncAsyncMixin):
    """The methods of an :class:`OAuthAuthenticator` for its token."""

    def __init__(
        self,
        provider: str,
        storage: TokenStorage | None = None,
        config: OAuthConfig | None = None,
        *,
        storage_key: str | None = None,
        refresh_strategy: RefreshStrategy | None = None,
        on_token_refresh: OnTokenRefresh | None = None,
        transport: Transport | None = None,
    ) -> None:
        if config is not None and not isinstance(config, OAuthConfig):
            raise ConfigError(f"config must be an OAuthConfig, not {type(config).__name__}.")
        if storage is not None and (not isinstance(storage, TokenStorage) or isinstance(storage, type)):
            raise ConfigError(
                f"storage must have the methods of TokenStorage; {type(storage).__name__} lacks some.",
                hint="Pass FileTokenStorage('.tokens.json'), for example.",
            )
        made = oauth_config(provider) if config is None else config
        self.provider = provider
        self.storage = open_token_storage() if storage is None else storage
        self._client = OAuthClient(provider, made)
        self._pending = PendingLogins(provider)
        self._transports = Transports(made.http, transport=transport)
        key = storage_key or provider
        self._clock = transport.now if transport is not None else BlockingRuntime().now
        self._time = transport.time if transport is not None else BlockingRuntime().time
        self._refresher = TokenRefresher(
            key,
            provider,
            client=self._client,
            pair=self._transports,
            storage=self.storage,
            storage_key=key,
            strategy=refresh_strategy or RefreshStrategy(buffer_time=made.refresh.buffer),
            enabled=made.refresh.enabled,
            on_token_refresh=on_token_refresh,
            clock=self._clock,
        )
        self._pool = CredentialPool(provider, [self._refresher], clock=self._clock)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.provider}>"

    def __getstate__(self) -> dict[str, Any]:
        raise TypeError("an OAuthAuthenticator cannot be pickled; create one in each process, with the same storage")

    @property
    def config(self) -> OAuthConfig:
        """The OAuth client, with what was discovered from its issuer."""
        return self._client.config

    @property
    def credential_pool(self) -> CredentialPool:
        """The pool from which a client takes its tokens."""
        return self._pool

    def get_auth_method(self) -> AuthMethod:
        """``oauth``."""
        return AuthMethod.OAUTH

    def set_refresh_strategy(self, strategy: RefreshStrategy) -> None:
        """Refresh earlier or later from now on."""
        self._refresher.set_strategy(strategy, self._clock(), self._time())
        self._pool.renew_by(self._refresher.id, self._refresher.fresh_until)

    # -------------------------------------------------------------------------------------------- tokens

    def is_authenticated(self) -> bool:
        """Whether the stored access token is valid now. If not, :meth:`refresh_token` may help.

        Raises:
            StorageError: The storage cannot be read.
            EncryptionError: It cannot be decrypted.
        """
        return run_to_completion(self._is_authenticated(self._blocking()))

    async def ais_authenticated(self) -> bool:
        """As :meth:`is_authenticated`."""
        return await self._is_authenticated(self._asyncio())

    async def _is_authenticated(self, transport: Transport) -> bool:
        token = await self._refresher.load(transport)
        return token is not None and token.remaining(transport.time()) > 0

    def get_token(self) -> str:
        """Return a valid access token; it is refreshed first if it expires soon.

        Raises:
            AuthError: Not logged in (``token_expired``), the login has expired or was revoked (``refresh_failed``), or
                the network failed (``network_error``); the last does not end the login.
        """
        return run_to_completion(self._refresher.fresh_token(self._blocking())).access_token

    async def aget_token(self) -> str:
        """As :meth:`get_token`."""
        return (await self._refresher.fresh_token(self._asyncio())).access_token

    def renew_refused(self, token: str) -> str:
        """Return another access token than the one an API has just refused.

        Args:
            token: The refused one.

        Raises:
            AuthError: As :meth:`get_token`.
        """
        return run_to_completion(self._refresher.fresh_token(self._blocking(), rejected=token)).access_token

    async def arenew_refused(self, token: str) -> str:
        """As :meth:`renew_refused`."""
        return (await self._refresher.fresh_token(self._asyncio(), rejected=token)).access_token

    def refresh_token(self) -> TokenInfo:
        """Refresh now, even if the token does not expire soon.

        Raises:
            AuthError: As :meth:`get_token`.
        """
        return run_to_completion(self._refresh(self._blocking()))

    async def arefresh_token(self) -> TokenInfo:
        """As :meth:`refresh_token`."""
        return await self._refresh(self._asyncio())

    async def _refresh(self, transport: Transport) -> TokenInfo:
        return self._info(await self._refresher.refresh_now(transport), transport)

    def get_token_info(self) -> TokenInfo | None:
        """Information about the stored token; ``None`` if not logged in.

        Raises:
            StorageError: The storage cannot be read.
            EncryptionError: It cannot be decrypted.
        """
        return run_to_completion(self._token_info(self._blocking()))

    async def aget_token_info(self) -> TokenInfo | None:
        """As :meth:`get_token_info`."""
        return await self._token_info(self._asyncio())

    async def _token_info(self, transport: Transport) -> TokenInfo | None:
        token = await self._refresher.load(transport)
        return None if token is None else self._info(token, transport)

    def _info(self, token: OAuthToken, transport: Transport) -> TokenInfo:
        encrypted = bool(getattr(self.storage, "is_encrypted", False))
        return token_info(self._refresher.storage_key, token, transport.time(), encrypted=encrypted)

    def logout(self, *, revoke: bool = True) -> bool:
        """Delete the token, and revoke it at the server where that is supported.

        The token is deleted here even if the server cannot be reached, which raises an error.

        Args:
            revoke: Whether to revoke it at the server.

        Returns:
            Whether there was a login.

        Raises:
            AuthError: The server did not revoke the token, or the storage cannot be written.
        """
        return run_to_completion(self._logout(self._blocking(), revoke))

    async def alogout(self, *, revoke: bool = True) -> bool:
        """As :meth:`logout`."""
        return await self._logout(self._asyncio(), revoke)

    async def _logout(self, transport: Transport, end: bool) -> bool:
        # An unreadable token can still be deleted, but not revoked at the server.
        had, token = await self._refresher.delete(transport, revoke_pending=end)
        if end and token is not None:
            try:
                await revoke(transport, self._client, token)
            except AuthError as error:
                error.with_hint(
                    "It is deleted here. To revoke it at the server too, remove the access in your account there."
                )
                raise
        return had

    # -------------------------------------------------------------------------------------------- other libraries

    def as_requests_auth(self, *hosts: str) -> OAuthRequestsAuth:
        """For requests: ``session.get(url, auth=authenticator.as_requests_auth("api.example.com"))``.

        Args:
            hosts: The only hosts (``name`` or ``name:port``) the token may be sent to.
        """
        from provider_kit.auth.sessions.requests_auth import OAuthRequestsAuth

        return OAuthRequestsAuth(self, hosts)

    def as_requests_session(self, *hosts: str) -> OAuthRequestsSession:
        """An ``OAuth2Session`` of requests-oauthlib whose token this authenticator refreshes and stores.

        Args:
            hosts: The only hosts (``name`` or ``name:port``) the token may be sent to.

        Raises:
            AuthError: As :meth:`get_token`.
        """
        from provider_kit.auth.sessions.requests_auth import OAuthRequestsSession

        return OAuthRequestsSession(self, hosts)

    def as_aiohttp_middleware(self, *hosts: str) -> Middleware:
        """For aiohttp 3.12 or newer: ``ClientSession(middlewares=[authenticator.as_aiohttp_middleware("…")])``.

        Args:
            hosts: The only hosts (``name`` or ``name:port``) the token may be sent to.
        """
        from provider_kit.auth.sessions.aiohttp_auth import make_middleware

        return make_middleware(self, hosts)

    # -------------------------------------------------------------------------------------------- closing

    def close(self) -> None:
        """Close the connections of blocking calls, and store a token that could not be stored yet."""
        run_to_completion(self._refresher.save(self._blocking()))
        super().close()

    async def aclose(self) -> None:
        """Close the connections of the running event loop, and those of blocking calls.

        Waits for a refresh in progress, and stores a token that could not be stored yet.
        """
        await self._refresher.settle(self._asyncio())
        await super().aclose()
