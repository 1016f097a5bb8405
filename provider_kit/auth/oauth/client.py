"""One OAuth client and its authorization server: requests, discovery and token refresh; failures become
:class:`AuthError`.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from typing import Any

from provider_kit.auth.oauth.discovery import discovery_addresses, read_discovery
from provider_kit.auth.oauth.token_requests import TokenRequests, lifetime_of, number_of
from provider_kit.auth.user_callables import call_user
from provider_kit.errors import (
    APIConnectionError,
    AuthError,
    AuthErrorCode,
    InvalidResponseError,
    ProviderKitError,
    ResponseLostError,
)
from provider_kit.model.json_text import loads
from provider_kit.model.oauth import OAuthConfig, OAuthToken
from provider_kit.model.secrets import clear_frames
from provider_kit.transports.base import Transport
from provider_kit.wire.http import HttpRequest, HttpResponse, Limits

__all__ = ["OAuthClient", "TokenExchange", "ask", "unexpected"]

_LOG = logging.getLogger("provider_kit.auth")

#: Seconds to wait before each attempt of one refresh, where network or server fail.
_PAUSES = (0.0, 0.5, 2.0, 5.0)
#: Largest token answer in bytes.
_MOST_BYTES = 2 * 1024 * 1024


class OAuthClient:
    """Calls the authorization server. Logins, refreshes and revocations may run concurrently: each has its own
    immutable requests.

    Args:
        provider: For errors.
        config: The client.
    """

    def __init__(self, provider: str, config: OAuthConfig) -> None:
        self.provider = provider
        self._requests = TokenRequests(provider, config)

    def __repr__(self) -> str:
        return f"<OAuthClient of {self.provider}>"

    @property
    def requests(self) -> TokenRequests:
        """The requests of the configured client, with what was discovered from its issuer so far."""
        return self._requests

    @property
    def config(self) -> OAuthConfig:
        """The configured client, with what was discovered from its issuer so far."""
        return self._requests.config

    async def ask(
        self, transport: Transport, request: HttpRequest, seconds: float, deadline: float | None = None
    ) -> HttpResponse:
        """Send one request; arguments and errors as :func:`ask`."""
        return await ask(transport, request, provider=self.provider, seconds=seconds, deadline=deadline)

    async def knowing(
        self, transport: Transport, needed: str, token: OAuthToken | None = None, deadline: float | None = None
    ) -> TokenRequests:
        """Return requests with a known address; it is discovered from the issuer where the configuration lacks it.

        Args:
            transport: Sends the request.
            needed: Which address: ``auth_url``, ``token_url``, ``device_url`` or ``revoke_url``.
            token: The token concerned; it may belong to an earlier client.
            deadline: Time on the clock at which it must have ended.

        Raises:
            AuthError: There is no discovery document, or it belongs to another issuer.
        """
        requests = self._requests if token is None else self._requests.for_client(token.client)
        config = requests.config
        if not config.issuer or getattr(config, needed):
            return requests
        last: ProviderKitError | None = None
        for url in discovery_addresses(config.issuer, self.provider):
            request = HttpRequest("GET", url, {"Accept": "application/json", "Accept-Encoding": "gzip, deflate"})
            response = await self.ask(transport, request, config.timeout, deadline)
            if response.status >= 500 or response.status == 429:
                raise AuthError(
                    f"The discovery document of the issuer cannot be fetched (status {response.status}).",
                    code=AuthErrorCode.PROVIDER_UNAVAILABLE,
                    provider=self.provider,
                    hint="Try again later; your login is kept.",
                )
            if response.status != 200:
                continue
            try:
                document = loads(response.body)
            except ValueError:
                continue
            try:
                found = TokenRequests(self.provider, read_discovery(document, config, self.provider))
            except AuthError as error:
                last = error
                continue
            if requests is self._requests:
                self._requests = found  # requested once
            return found
        raise last or AuthError(
            "The issuer has no discovery document.",
            code=AuthErrorCode.INVALID_CONFIG,
            provider=self.provider,
            hint="Check OAuthConfig(issuer=…), or give auth_url and token_url yourself.",
        )


async def ask(
    transport: Transport, request: HttpRequest, *, provider: str, seconds: float, deadline: float | None = None
) -> HttpResponse:
    """Send one request.

    Args:
        transport: Sends it.
        request: The request.
        provider: For errors.
        seconds: Timeout of the request.
        deadline: Time on the transport's clock at which it must have ended, if earlier.

    Raises:
        AuthError: The network failed (``network_error``); the login is kept.
    """
    end = transport.now() + seconds
    end = end if deadline is None else min(end, deadline)
    callers_error = id(sys.exc_info()[1])
    try:
        return await transport.send(request, Limits(seconds, seconds, None, end, _MOST_BYTES))
    except APIConnectionError as error:
        clear_frames(error, callers_error)
        lost = isinstance(error, ResponseLostError)
        raise AuthError(
            f"The authorization server could not be reached: {error.message.rstrip('.')}.",
            code=AuthErrorCode.NETWORK_ERROR,
            details="the request was sent, but its answer was lost" if lost else None,
            provider=provider,
            hint="Check the network, the proxy settings and token_url. Your login is kept.",
        ) from error
    except InvalidResponseError as error:
        raise AuthError(
            "The answer of the authorization server cannot be read.",
            code=AuthErrorCode.PROVIDER_UNAVAILABLE,
            details=error.message,
            provider=provider,
            hint="Check token_url and any proxy in between. Your login is kept.",
        ) from error


class TokenExchange:
    """Refreshes the tokens of one client."""

    def __init__(
        self, provider: str, client: OAuthClient, refresh_function: Callable[[OAuthToken], Any] | None
    ) -> None:
        self._provider = provider
        self._client = client
        self._function = refresh_function

    async def renew(self, transport: Transport, token: OAuthToken, until: float, *, once: bool) -> OAuthToken:
        """Return the new token.
        Args:
            transport: Sends.
            token: The old one.
            until: Time on the clock by which the token is needed.
            once: Do not retry; the current token is still valid.

        Raises:
            AuthError: No token could be obtained.
        """
        pauses = _PAUSES[:1] if once else _PAUSES
        for number, pause in enumerate(pauses):
            if pause:
                await transport.sleep(pause)
            try:
                return await self._ask(transport, token, until)
            except AuthError as error:
                least = self._client.config.timeout if self._function is None else 0.0
                last = number == len(pauses) - 1 or transport.now() + pauses[number + 1] + least >= until
                passing = error.code in (AuthErrorCode.NETWORK_ERROR, AuthErrorCode.PROVIDER_UNAVAILABLE)
                if last or not passing or not error.retryable:
                    raise
                _LOG.info("%s: refresh failed (%s); trying again", self._provider, error.code.value)
        raise AssertionError("unreachable")

    async def _ask(self, transport: Transport, token: OAuthToken, until: float) -> OAuthToken:
        if self._function is not None:
            try:
                found = await call_user(transport, self._function, token, what="The refresh function")
            except ProviderKitError:
                raise
            except Exception as error:  # the user's function may raise anything
                raise unexpected(error, self._provider) from error
            return self._as_token(found, token, transport.time())
        client = self._client
        requests = await client.knowing(transport, "token_url", token, until)
        request = requests.prepare_refresh(token.refresh_token or "")
        response = await client.ask(transport, request, requests.config.timeout, until)
        return requests.parse_token(response, transport.time(), previous=token)

    def _as_token(self, found: Any, token: OAuthToken, time: float) -> OAuthToken:
        """Convert what the user's function returned; invalid times do not invalidate the token."""
        if isinstance(found, OAuthToken):
            return found if found.obtained_at is not None else found.replace(obtained_at=time)
        access = found.get("access_token") if isinstance(found, Mapping) else None
        if not isinstance(access, str) or not access:
            raise AuthError(
                f"The refresh function returned {type(found).__name__}, not a token.",
                code=AuthErrorCode.REFRESH_FAILED,
                provider=self._provider,
                retryable=False,
                hint="Return an OAuthToken, or a dict with access_token, refresh_token and expires_in.",
            )
        refresh = found.get("refresh_token")
        lifetime, end = lifetime_of(found.get("expires_in")), number_of(found.get("expires_at"))
        return token.replace(
            access_token=access,
            refresh_token=refresh if isinstance(refresh, str) and refresh else token.refresh_token,
            expires_at=time + lifetime if lifetime is not None else end,
            obtained_at=time,
            refreshing_since=None,
        )


def unexpected(error: Exception, provider: str) -> AuthError:
    """The error for an exception of the user's code."""
    made = AuthError(
        f"The token could not be refreshed: {type(error).__name__}.",
        code=AuthErrorCode.REFRESH_FAILED,
        provider=provider,
        hint="The cause is above; it comes from your function.",
    )
    made.__cause__ = error
    return made
