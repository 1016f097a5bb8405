"""OAuth 2 for one account: log in once, and get a valid token whenever one is needed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, TextIO

from provider_kit.auth.oauth.login import (
    begin_device,
    begin_login,
    can_open_browser,
    login_by_browser,
    poll_device,
    redeem,
)
from provider_kit.auth.oauth.pending_logins import PendingLogin, read_callback
from provider_kit.auth.oauth.shared_logins import find_shared, share_login
from provider_kit.auth.oauth.tokens import OAuthTokens
from provider_kit.auth.user_callables import call_user
from provider_kit.errors import AuthError, AuthErrorCode
from provider_kit.model.oauth import DeviceCode, OAuthToken, TokenInfo
from provider_kit.model.secrets import as_masked
from provider_kit.transports.base import Transport
from provider_kit.transports.drive import run_to_completion

__all__ = ["OAuthAuthenticator"]


def _open_browser(url: str) -> bool:
    import webbrowser

    return webbrowser.open(url)


def _show(url: str) -> None:
    sys.stderr.write(f"Open this address to log in:\n\n  {url}\n\n")
    sys.stderr.flush()


class OAuthAuthenticator(OAuthTokens):
    """Logs in with OAuth 2, stores the token, and refreshes it before it expires.

    One object may be shared by threads and event loops. Processes that share the storage take turns, so each token is
    refreshed only once.

    Args:
        provider: Name of the provider; the token is stored under it.
        storage: Where the token is kept; default: what ``PROVIDER_KIT_TOKEN_STORAGE`` names, else files that only the
            user can read.
        config: The OAuth client; default: the provider's preset, with the client id from ``<PROVIDER>_CLIENT_ID`` or
            from the stored login.
        storage_key: Another name to store the token under, e.g. one for each user of a service.
        refresh_strategy: How early to refresh; default: ``config.refresh.buffer`` seconds before expiry.
        on_token_refresh: Called with (id, access token, refresh token, expiry) after each refresh; sync or
            async. If it fails, the failure is logged and the token is kept.
        transport: A transport for the OAuth requests, e.g. :class:`ScriptedTransport`.

    Example:
        >>> from provider_kit import MemoryTokenStorage, OAuthAuthenticator
        >>> authenticator = OAuthAuthenticator("gemini", MemoryTokenStorage())
        >>> authenticator.is_authenticated()
        False
    """

    # -------------------------------------------------------------------------------------------- login, in steps

    def start_oauth_flow(self, scopes: Sequence[str] | None = None, *, redirect_url: str | None = None) -> str:
        """Start a login and return the URL for the user, with state and PKCE. For web applications.

        Args:
            scopes: The scopes to request; default: ``config.default_scopes``.
            redirect_url: Where the browser is redirected to; default: ``config.redirect_url``.

        Raises:
            AuthError: The configuration is incomplete, or the issuer cannot be reached.
        """
        return run_to_completion(self._start(self._blocking(), scopes, redirect_url))

    async def astart_oauth_flow(self, scopes: Sequence[str] | None = None, *, redirect_url: str | None = None) -> str:
        """As :meth:`start_oauth_flow`."""
        return await self._start(self._asyncio(), scopes, redirect_url)

    async def _start(self, transport: Transport, scopes: Sequence[str] | None, redirect_url: str | None) -> str:
        where = redirect_url or self.config.redirect_url
        if ":0/" in where:
            raise AuthError(
                f"The redirect_url {where!r} has no port.",
                code=AuthErrorCode.INVALID_CONFIG,
                provider=self.provider,
                hint="Give the callback URL of your application, or use login(), which takes a free port.",
            )
        url, pending = await begin_login(transport, self._client, self._pending, scopes, where)
        if self.config.state.shared:
            await share_login(transport, self.storage, self._refresher.storage_key, pending)
        return url

    def handle_callback(self, code: str, state: str | None = None) -> TokenInfo:
        """Complete a login that was started with :meth:`start_oauth_flow`.

        Args:
            code: The code of the callback, or the full URL the browser was redirected to.
            state: The state of the callback, if ``code`` is just the code.

        Raises:
            AuthError: The state is missing, forged, used or too old, the user declined, or the code was refused.
        """
        code, state = as_masked(code) or "", as_masked(state)
        return run_to_completion(self._handle(self._blocking(), code, state))

    async def ahandle_callback(self, code: str, state: str | None = None) -> TokenInfo:
        """As :meth:`handle_callback`."""
        code, state = as_masked(code) or "", as_masked(state)
        return await self._handle(self._asyncio(), code, state)

    async def _handle(self, transport: Transport, code: str, state: str | None) -> TokenInfo:
        callback = read_callback(self.provider, code, state)
        login: PendingLogin | None = None
        if self.config.state.shared and not self._pending.knows(callback.state):
            login = await find_shared(transport, self.storage, self._refresher.storage_key, callback.state)
            if login is not None and transport.time() > login.until:
                raise self._pending.too_late()
        if login is None:
            login = self._pending.take(callback.state, transport.time())
            if self.config.state.shared:
                key = self._refresher.storage_key
                if await find_shared(transport, self.storage, key, callback.state) is None:  # it can be used only once
                    raise self._pending.unknown(again=True)
        token = await redeem(transport, self._client, login, callback)
        await self._refresher.store_login(transport, token)
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
        """Open a browser, wait until the user has agreed, and store the token.

        Args:
            scopes: The scopes to request; default: ``config.default_scopes``.
            open_browser: Whether to open one, or a function that does. Default: yes, unless the user could not see it
                (over SSH, without a display).
            show: Called with the URL; default: writes it to stderr. ``None``: it is not shown.
            paste: Also accept the final URL of the browser, pasted into stdin (or a text stream of yours), for a
                browser on another machine.
            complain: Called with the error when the pasted text is not a callback of this login.
            timeout: Seconds to wait for the user.

        Raises:
            AuthError: The user declined or was too late, the port is taken, or the code was refused.
        """
        return run_to_completion(self._login(self._blocking(), scopes, open_browser, show, paste, complain, timeout))

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
        return await self._login(self._asyncio(), scopes, open_browser, show, paste, complain, timeout)

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
            await self._refresher.store_login(transport, token)

        token = await login_by_browser(
            transport,
            self._client,
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
        """Request a code that the user enters on another device (RFC 8628).

        Args:
            scopes: The scopes to request; default: ``config.default_scopes``.

        Raises:
            AuthError: The server has no device login, or refuses.
        """
        return run_to_completion(begin_device(self._blocking(), self._client, scopes))

    async def astart_device_flow(self, scopes: Sequence[str] | None = None) -> DeviceCode:
        """As :meth:`start_device_flow`."""
        return await begin_device(self._asyncio(), self._client, scopes)

    def poll_for_token(
        self, device: DeviceCode, scopes: Sequence[str] | None = None, *, timeout: float | None = None
    ) -> TokenInfo:
        """Wait until the user has entered the code, and store the token.

        Args:
            device: What :meth:`start_device_flow` returned.
            scopes: The scopes that were requested there.
            timeout: Longest wait in seconds; default: as long as the code is valid.

        Raises:
            AuthError: The user declined, or the code expired.
        """
        return run_to_completion(self._poll(self._blocking(), device, scopes, timeout))

    async def apoll_for_token(
        self, device: DeviceCode, scopes: Sequence[str] | None = None, *, timeout: float | None = None
    ) -> TokenInfo:
        """As :meth:`poll_for_token`."""
        return await self._poll(self._asyncio(), device, scopes, timeout)

    async def _poll(
        self, transport: Transport, device: DeviceCode, scopes: Sequence[str] | None, timeout: float | None
    ) -> TokenInfo:
        token = await poll_device(transport, self._client, device, scopes, timeout)
        await self._refresher.store_login(transport, token)
        return self._info(token, transport)

    def device_login(
        self,
        scopes: Sequence[str] | None = None,
        *,
        show: Callable[[DeviceCode], Any] | None = None,
        timeout: float | None = None,
    ) -> TokenInfo:
        """Show a code, wait until the user has entered it on another device, and store the token.

        Args:
            scopes: The scopes to request; default: ``config.default_scopes``.
            show: Called with the :class:`DeviceCode`; default: writes code and URL to stderr.
            timeout: Longest wait in seconds; default: as long as the code is valid.

        Raises:
            AuthError: The server has no device login, the user declined, or the code expired.
        """
        return run_to_completion(self._device_login(self._blocking(), scopes, show, timeout))

    async def adevice_login(
        self,
        scopes: Sequence[str] | None = None,
        *,
        show: Callable[[DeviceCode], Any] | None = None,
        timeout: float | None = None,
    ) -> TokenInfo:
        """As :meth:`device_login`."""
        return await self._device_login(self._asyncio(), scopes, show, timeout)

    async def _device_login(
        self,
        transport: Transport,
        scopes: Sequence[str] | None,
        show: Callable[[DeviceCode], Any] | None,
        timeout: float | None,
    ) -> TokenInfo:
        device = await begin_device(transport, self._client, scopes)
        await call_user(transport, show or _show_code, device, what="show")
        return await self._poll(transport, device, scopes, timeout)

    def authenticate(self, scopes: Sequence[str] | None = None, **options: Any) -> TokenInfo:
        """Ensure a valid token: the stored one, a refreshed one, or one from a new :meth:`login`.

        Args:
            scopes: As :meth:`login`.
            options: As :meth:`login`.

        Raises:
            AuthError: As :meth:`login`. A network failure does not start a login.
        """
        try:
            run_to_completion(self._refresher.fresh_token(self._blocking()))
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
            await self._refresher.fresh_token(self._asyncio())
        except AuthError as error:
            if error.retryable or error.code not in _LOGIN_HELPS:
                raise
            return await self.alogin(scopes, **options)
        found = await self.aget_token_info()
        assert found is not None
        return found


#: Failures that only a new login resolves.
_LOGIN_HELPS = (AuthErrorCode.TOKEN_EXPIRED, AuthErrorCode.REFRESH_FAILED, AuthErrorCode.SCOPE_INSUFFICIENT)


def _show_code(device: DeviceCode) -> None:
    sys.stderr.write(f"Open {device.verification_uri} and enter the code:\n\n  {device.user_code}\n\n")
    if device.verification_uri_complete:
        sys.stderr.write(f"Or open {device.verification_uri_complete}\n\n")
    sys.stderr.flush()
