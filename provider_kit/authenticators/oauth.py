"""OAuth 2 for one account: log in once, and have a token that is good whenever one is needed."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO

from provider_kit.auth.oauth_exchanges import OAuthExchanges
from provider_kit.auth.pending_logins import PendingLogin, PendingLogins, read_callback
from provider_kit.auth.refresh_strategy import RefreshStrategy
from provider_kit.auth.token_storage import TokenStorage, token_info
from provider_kit.auth.user_callables import call_user
from provider_kit.authenticators.base import AuthMethod
from provider_kit.authenticators.credentials import KeptCredential
from provider_kit.authenticators.presets import oauth_config
from provider_kit.authenticators.shared_logins import find_shared, share_login
from provider_kit.engine.credential_pool import CredentialPool
from provider_kit.engine.login import (
    begin_device,
    begin_login,
    can_open_browser,
    login_by_browser,
    poll_device,
    redeem,
    revoke,
)
from provider_kit.engine.token_keeper import TokenKeeper
from provider_kit.errors import AuthError, AuthErrorCode, ConfigError, EncryptionError, StorageError
from provider_kit.model.oauth import DeviceCode, OAuthConfig, OAuthToken, OnTokenRefresh, TokenInfo
from provider_kit.stores.tokens.opening import open_token_storage
from provider_kit.transports.base import Transport
from provider_kit.transports.blocking_waiting import BlockingWaiting
from provider_kit.transports.drive import run_to_completion
from provider_kit.transports.pair import TransportPair

if TYPE_CHECKING:
    from provider_kit.integrations.aiohttp_auth import Middleware
    from provider_kit.integrations.requests_auth import OAuthRequestsAuth, OAuthRequestsSession

__all__ = ["OAuthAuthenticator"]

_LOG = logging.getLogger("provider_kit.auth")


def _open_browser(url: str) -> bool:
    import webbrowser

    return webbrowser.open(url)


def _show(url: str) -> None:
    sys.stderr.write(f"Open this address to log in:\n\n  {url}\n\n")
    sys.stderr.flush()


class OAuthAuthenticator:
    """Logs in with OAuth 2, keeps the token, and refreshes it before it ends.

    One object may be shared by threads and event loops. Processes that share the storage refresh one
    after the other, and only once.

    Args:
        provider: Name of the provider; the token is stored under it.
        storage: Where the token is kept; default: what ``PROVIDER_KIT_TOKEN_STORAGE`` names, else files
            of the user's that nobody else can read.
        config: The OAuth client; default: the provider's preset, with the client's id from
            ``<PROVIDER>_CLIENT_ID`` or from the login that is stored.
        storage_key: Another name to store the token under, e.g. one for each user of a service.
        refresh_strategy: How early to refresh; default: ``config.refresh.buffer`` seconds before the end.
        on_token_refresh: Called with (id, access token, refresh token, expiry) after each refresh; sync or
            async. If it fails, that is logged and the token is kept.
        transport: A transport for the exchanges, e.g. :class:`ScriptedTransport`.

    Example:
        >>> from provider_kit import MemoryTokenStorage, OAuthAuthenticator
        >>> authenticator = OAuthAuthenticator("gemini", MemoryTokenStorage())
        >>> authenticator.is_authenticated()
        False
    """

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
        self._exchanges = OAuthExchanges(provider, made)
        self._pending = PendingLogins(provider)
        self._pair = TransportPair(made.http, transport=transport)
        key = storage_key or provider
        self._keeper = TokenKeeper(
            key,
            provider,
            exchanges=self._exchanges,
            pair=self._pair,
            storage=self.storage,
            storage_key=key,
            strategy=refresh_strategy or RefreshStrategy(buffer_time=made.refresh.buffer),
            enabled=made.refresh.enabled,
            on_token_refresh=on_token_refresh,
        )
        self._clock = transport.now if transport is not None else BlockingWaiting().now
        self._time = transport.time if transport is not None else BlockingWaiting().time
        self._pool = CredentialPool(provider, [KeptCredential(self._keeper, self._clock)], clock=self._clock)

    def __repr__(self) -> str:
        return f"<OAuthAuthenticator {self.provider}>"

    def __getstate__(self) -> dict[str, Any]:
        raise TypeError("an OAuthAuthenticator cannot be pickled; make one in each process, over the same storage")

    @property
    def config(self) -> OAuthConfig:
        """The OAuth client, with what its issuer told."""
        return self._exchanges.config

    @property
    def credential_pool(self) -> CredentialPool:
        """What a client draws its tokens from."""
        return self._pool

    def get_auth_method(self) -> AuthMethod:
        """``oauth``."""
        return AuthMethod.OAUTH

    def set_refresh_strategy(self, strategy: RefreshStrategy) -> None:
        """Refresh earlier or later from now on."""
        self._keeper.set_strategy(strategy, self._clock(), self._time())
        for key in map(self._pool.key_of, [self._keeper.credential_id]):
            if key is not None and key.value:
                key.fresh_until = min(key.fresh_until, self._keeper.fresh_until)

    # -------------------------------------------------------------------------------------------- tokens

    def is_authenticated(self) -> bool:
        """Whether a stored access token is good now. If not, :meth:`refresh_token` may help.

        Raises:
            StorageError: The storage cannot be read.
            EncryptionError: It cannot be decrypted.
        """
        return run_to_completion(self._is_authenticated(self._block()))

    async def ais_authenticated(self) -> bool:
        """As :meth:`is_authenticated`."""
        return await self._is_authenticated(self._await())

    async def _is_authenticated(self, transport: Transport) -> bool:
        token = await self._keeper.load(transport)
        return token is not None and token.remaining(transport.time()) > 0

    def get_token(self) -> str:
        """An access token that is good now; refreshed first, if its end is near.

        Raises:
            AuthError: Not logged in (``token_expired``), the login is over (``refresh_failed``), or the
                network failed (``network_error``); the last does not end the login.
        """
        return run_to_completion(self._keeper.obtain(self._block())).access_token

    async def aget_token(self) -> str:
        """As :meth:`get_token`."""
        return (await self._keeper.obtain(self._await())).access_token

    def renew_refused(self, token: str) -> str:
        """Another access token than the one that an API has just refused.

        Args:
            token: The refused one.

        Raises:
            AuthError: As :meth:`get_token`.
        """
        return run_to_completion(self._keeper.obtain(self._block(), rejected=token)).access_token

    async def arenew_refused(self, token: str) -> str:
        """As :meth:`renew_refused`."""
        return (await self._keeper.obtain(self._await(), rejected=token)).access_token

    def refresh_token(self) -> TokenInfo:
        """Refresh now, whether its end is near or not.

        Raises:
            AuthError: As :meth:`get_token`.
        """
        return run_to_completion(self._refresh(self._block()))

    async def arefresh_token(self) -> TokenInfo:
        """As :meth:`refresh_token`."""
        return await self._refresh(self._await())

    async def _refresh(self, transport: Transport) -> TokenInfo:
        return self._info(await self._keeper.refresh_now(transport), transport)

    def get_token_info(self) -> TokenInfo | None:
        """What is known of the stored token; ``None`` if nobody is logged in.

        Raises:
            StorageError: The storage cannot be read.
            EncryptionError: It cannot be decrypted.
        """
        return run_to_completion(self._token_info(self._block()))

    async def aget_token_info(self) -> TokenInfo | None:
        """As :meth:`get_token_info`."""
        return await self._token_info(self._await())

    async def _token_info(self, transport: Transport) -> TokenInfo | None:
        token = await self._keeper.load(transport)
        return None if token is None else self._info(token, transport)

    def _info(self, token: OAuthToken, transport: Transport) -> TokenInfo:
        encrypted = bool(getattr(self.storage, "is_encrypted", False))
        return token_info(self._keeper.storage_key, token, transport.time(), encrypted=encrypted)

    def logout(self, *, revoke: bool = True) -> bool:
        """Forget the token, and end it at the server where that is offered.

        The token is forgotten here even if the server cannot be reached; that is then an error.

        Args:
            revoke: Whether to tell the server.

        Returns:
            Whether somebody was logged in.

        Raises:
            AuthError: The server did not end the token, or the storage cannot be written.
        """
        return run_to_completion(self._logout(self._block(), revoke))

    async def alogout(self, *, revoke: bool = True) -> bool:
        """As :meth:`logout`."""
        return await self._logout(self._await(), revoke)

    async def _logout(self, transport: Transport, end: bool) -> bool:
        token = None
        try:
            token = await self._keeper.load(transport)
        except (StorageError, EncryptionError) as error:
            # What cannot be read can be deleted all the same; there is then nothing to tell the server.
            _LOG.warning("%s: the stored token cannot be read (%s); it is deleted", self.provider, error.code.value)
        had = await self._keeper.forget(transport)
        if end and token is not None:
            try:
                await revoke(transport, self._exchanges, token)
            except AuthError as error:
                error.with_hint(
                    "It is forgotten here. To end it at the server too, remove the access in your account there."
                )
                raise
        return had

    # -------------------------------------------------------------------------------------------- login, in steps

    def start_oauth_flow(self, scopes: Sequence[str] | None = None, *, redirect_url: str | None = None) -> str:
        """The address to send a person to; state and PKCE are taken care of. For web applications.

        Args:
            scopes: What to ask for; default: ``config.default_scopes``.
            redirect_url: Where the browser comes back; default: ``config.redirect_url``.

        Raises:
            AuthError: The configuration lacks something, or the issuer cannot be asked.
        """
        return run_to_completion(self._start(self._block(), scopes, redirect_url))

    async def astart_oauth_flow(self, scopes: Sequence[str] | None = None, *, redirect_url: str | None = None) -> str:
        """As :meth:`start_oauth_flow`."""
        return await self._start(self._await(), scopes, redirect_url)

    async def _start(self, transport: Transport, scopes: Sequence[str] | None, redirect_url: str | None) -> str:
        where = redirect_url or self.config.redirect_url
        if ":0/" in where:
            raise AuthError(
                f"The redirect_url {where!r} has no port.",
                code=AuthErrorCode.INVALID_CONFIG,
                provider=self.provider,
                hint="Give the address your application is called back at, or use login(), which takes a free port.",
            )
        url, pending = await begin_login(transport, self._exchanges, self._pending, scopes, where)
        if self.config.state.shared:
            await share_login(transport, self.storage, self._keeper.storage_key, pending)
        return url

    def handle_callback(self, code: str, state: str | None = None) -> TokenInfo:
        """End a login that was begun with :meth:`start_oauth_flow`.

        Args:
            code: The code of the callback, or the whole address the browser was sent to.
            state: The state of the callback, if ``code`` is just the code.

        Raises:
            AuthError: The state is missing, forged, used or too old, the person declined, or the code was
                refused.
        """
        return run_to_completion(self._handle(self._block(), code, state))

    async def ahandle_callback(self, code: str, state: str | None = None) -> TokenInfo:
        """As :meth:`handle_callback`."""
        return await self._handle(self._await(), code, state)

    async def _handle(self, transport: Transport, code: str, state: str | None) -> TokenInfo:
        callback = read_callback(self.provider, code, state)
        login: PendingLogin | None = None
        if self.config.state.shared and not self._pending.knows(callback.state):
            login = await find_shared(transport, self.storage, self._keeper.storage_key, callback.state)
            if login is not None and transport.time() > login.until:
                raise self._pending.too_late()
        if login is None:
            login = self._pending.take(callback.state, transport.time())
            if self.config.state.shared:
                await find_shared(transport, self.storage, self._keeper.storage_key, callback.state)  # used up there
        token = await redeem(transport, self._exchanges, login, callback)
        await self._keeper.keep(transport, token)
        return self._info(token, transport)

    # -------------------------------------------------------------------------------------------- login, at once

    def login(
        self,
        scopes: Sequence[str] | None = None,
        *,
        open_browser: bool | Callable[[str], Any] | None = None,
        show: Callable[[str], Any] | None = _show,
        paste: bool | TextIO = False,
        complain: Callable[[AuthError], Any] | None = None,
        timeout: float = 300.0,
    ) -> TokenInfo:
        """Open a browser, wait until the person has agreed, and keep the token.

        Args:
            scopes: What to ask for; default: ``config.default_scopes``.
            open_browser: Whether to open one, or a function that does. Default: unless it would not be
                seen (over SSH, without a screen).
            show: Called with the address; default: writes it to stderr. ``None``: nobody is shown it.
            paste: Also accept the address the browser ended at, pasted into stdin (or a text stream of
                yours): for a browser on another machine.
            complain: Called with the error when what was pasted is no callback of this login.
            timeout: Seconds the person has.

        Raises:
            AuthError: The person declined or was too late, the port is taken, or the code was refused.
        """
        return run_to_completion(self._login(self._block(), scopes, open_browser, show, paste, complain, timeout))

    async def alogin(
        self,
        scopes: Sequence[str] | None = None,
        *,
        open_browser: bool | Callable[[str], Any] | None = None,
        show: Callable[[str], Any] | None = _show,
        paste: bool | TextIO = False,
        complain: Callable[[AuthError], Any] | None = None,
        timeout: float = 300.0,
    ) -> TokenInfo:
        """As :meth:`login`."""
        return await self._login(self._await(), scopes, open_browser, show, paste, complain, timeout)

    async def _login(
        self,
        transport: Transport,
        scopes: Sequence[str] | None,
        open_browser: bool | Callable[[str], Any] | None,
        show: Callable[[str], Any] | None,
        paste: bool | TextIO,
        complain: Callable[[AuthError], Any] | None,
        timeout: float,
    ) -> TokenInfo:
        browser: Callable[[str], Any] | None = None
        if callable(open_browser):
            browser = open_browser
        elif open_browser or (open_browser is None and can_open_browser()):
            browser = _open_browser

        async def keep(token: OAuthToken) -> None:
            await self._keeper.keep(transport, token)

        token = await login_by_browser(
            transport,
            self._exchanges,
            self._pending,
            scopes=scopes,
            keep=keep,
            browser=browser,
            show=show,
            complain=complain,
            paste=sys.stdin if paste is True else paste or None,
            seconds=timeout,
        )
        return self._info(token, transport)

    def start_device_flow(self, scopes: Sequence[str] | None = None) -> DeviceCode:
        """Ask for a code that a person enters on another device (RFC 8628).

        Args:
            scopes: What to ask for; default: ``config.default_scopes``.

        Raises:
            AuthError: The server offers no such way, or refuses.
        """
        return run_to_completion(begin_device(self._block(), self._exchanges, scopes))

    async def astart_device_flow(self, scopes: Sequence[str] | None = None) -> DeviceCode:
        """As :meth:`start_device_flow`."""
        return await begin_device(self._await(), self._exchanges, scopes)

    def poll_for_token(
        self, device: DeviceCode, scopes: Sequence[str] | None = None, *, timeout: float | None = None
    ) -> TokenInfo:
        """Wait until the person has entered the code, and keep the token.

        Args:
            device: What :meth:`start_device_flow` returned.
            scopes: What was asked for there.
            timeout: Seconds to wait at most; default: as long as the code is good.

        Raises:
            AuthError: The person declined, or the code expired.
        """
        return run_to_completion(self._poll(self._block(), device, scopes, timeout))

    async def apoll_for_token(
        self, device: DeviceCode, scopes: Sequence[str] | None = None, *, timeout: float | None = None
    ) -> TokenInfo:
        """As :meth:`poll_for_token`."""
        return await self._poll(self._await(), device, scopes, timeout)

    async def _poll(
        self, transport: Transport, device: DeviceCode, scopes: Sequence[str] | None, timeout: float | None
    ) -> TokenInfo:
        token = await poll_device(transport, self._exchanges, device, scopes, timeout)
        await self._keeper.keep(transport, token)
        return self._info(token, transport)

    def device_login(
        self,
        scopes: Sequence[str] | None = None,
        *,
        show: Callable[[DeviceCode], Any] | None = None,
        timeout: float | None = None,
    ) -> TokenInfo:
        """Show a code, wait until a person has entered it elsewhere, and keep the token.

        Args:
            scopes: What to ask for; default: ``config.default_scopes``.
            show: Called with the :class:`DeviceCode`; default: writes code and address to stderr.
            timeout: Seconds to wait at most; default: as long as the code is good.

        Raises:
            AuthError: The server offers no such way, the person declined, or the code expired.
        """
        return run_to_completion(self._device_login(self._block(), scopes, show, timeout))

    async def adevice_login(
        self,
        scopes: Sequence[str] | None = None,
        *,
        show: Callable[[DeviceCode], Any] | None = None,
        timeout: float | None = None,
    ) -> TokenInfo:
        """As :meth:`device_login`."""
        return await self._device_login(self._await(), scopes, show, timeout)

    async def _device_login(
        self,
        transport: Transport,
        scopes: Sequence[str] | None,
        show: Callable[[DeviceCode], Any] | None,
        timeout: float | None,
    ) -> TokenInfo:
        device = await begin_device(transport, self._exchanges, scopes)
        await call_user(transport, show or _show_code, device, what="show")
        return await self._poll(transport, device, scopes, timeout)

    def authenticate(self, scopes: Sequence[str] | None = None, **options: Any) -> TokenInfo:
        """Have a good token: the stored one, a refreshed one, or one of a new :meth:`login`.

        Args:
            scopes: As :meth:`login`.
            options: As :meth:`login`.

        Raises:
            AuthError: As :meth:`login`. A failure of the network is no reason to ask for a login.
        """
        try:
            run_to_completion(self._keeper.obtain(self._block()))
        except AuthError as error:
            if error.retryable or error.code not in _LOGIN_HELPS:
                raise
            return self.login(scopes, **options)
        found = self.get_token_info()
        assert found is not None
        return found

    async def aauthenticate(self, scopes: Sequence[str] | None = None, **options: Any) -> TokenInfo:
        """As :meth:`authenticate`."""
        try:
            await self._keeper.obtain(self._await())
        except AuthError as error:
            if error.retryable or error.code not in _LOGIN_HELPS:
                raise
            return await self.alogin(scopes, **options)
        found = await self.aget_token_info()
        assert found is not None
        return found

    # -------------------------------------------------------------------------------------------- other libraries

    def as_requests_auth(self, *hosts: str) -> OAuthRequestsAuth:
        """For requests: ``session.get(url, auth=authenticator.as_requests_auth("api.example.com"))``.

        Args:
            hosts: The only hosts (``name`` or ``name:port``) the token may go to.
        """
        from provider_kit.integrations.requests_auth import OAuthRequestsAuth

        return OAuthRequestsAuth(self, hosts)

    def as_requests_session(self, *hosts: str) -> OAuthRequestsSession:
        """An ``OAuth2Session`` of requests-oauthlib whose token this authenticator refreshes and stores.

        Args:
            hosts: The only hosts (``name`` or ``name:port``) the token may go to.

        Raises:
            AuthError: As :meth:`get_token`.
        """
        from provider_kit.integrations.requests_auth import OAuthRequestsSession

        return OAuthRequestsSession(self, hosts)

    def as_aiohttp_middleware(self, *hosts: str) -> Middleware:
        """For aiohttp 3.12 or newer: ``ClientSession(middlewares=[authenticator.as_aiohttp_middleware("…")])``.

        Args:
            hosts: The only hosts (``name`` or ``name:port``) the token may go to.
        """
        from provider_kit.integrations.aiohttp_auth import make_middleware

        return make_middleware(self, hosts)

    # -------------------------------------------------------------------------------------------- closing

    def _block(self) -> Transport:
        return self._pair.blocking or self._pair.make_blocking()

    def _await(self) -> Transport:
        return self._pair.asyncio or self._pair.make_asyncio()

    def close(self) -> None:
        """Close the connections of blocking calls. It can be used again."""
        self._pair.close()

    async def aclose(self) -> None:
        """Close the connections of the running event loop, and those of blocking calls.

        A refresh that is under way is waited for.
        """
        await self._keeper.settle(self._await())
        await self._pair.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


#: Where a new login is the way out.
_LOGIN_HELPS = (AuthErrorCode.TOKEN_EXPIRED, AuthErrorCode.REFRESH_FAILED, AuthErrorCode.SCOPE_INSUFFICIENT)


def _show_code(device: DeviceCode) -> None:
    sys.stderr.write(f"Open {device.verification_uri} and enter the code:\n\n  {device.user_code}\n\n")
    if device.verification_uri_complete:
        sys.stderr.write(f"Or open {device.verification_uri_complete}\n\n")
    sys.stderr.flush()
