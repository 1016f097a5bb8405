"""From an old token to a new one: by the server's exchange, or by a function of the user's; tried again where
that may help."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from provider_kit.auth.oauth.calls import ask, discover
from provider_kit.auth.oauth.token_requests import OAuthExchanges, lifetime_of, number_of
from provider_kit.auth.user_callables import call_user
from provider_kit.errors import AuthError, AuthErrorCode, ProviderKitError
from provider_kit.model.oauth import OAuthToken
from provider_kit.transports.base import Transport

__all__ = ["TokenExchange", "unexpected"]

_LOG = logging.getLogger("provider_kit.auth")

#: Seconds to wait before the tries of one refresh, where network or server fail.
_PAUSES = (0.0, 0.5, 2.0, 5.0)


class TokenExchange:
    """Renews the tokens of one client."""

    def __init__(
        self, provider: str, exchanges: OAuthExchanges, refresh_function: Callable[[OAuthToken], Any] | None
    ) -> None:
        self._provider = provider
        self._exchanges = exchanges
        self._function = refresh_function

    async def renew(self, transport: Transport, token: OAuthToken, until: float, *, once: bool) -> OAuthToken:
        """The new token.

        Args:
            transport: Sends.
            token: The old one.
            until: Clock reading at which it must be there.
            once: Do not try again; the present token still serves.

        Raises:
            AuthError: There is none.
        """
        pauses = _PAUSES[:1] if once else _PAUSES
        for number, pause in enumerate(pauses):
            if pause:
                await transport.sleep(pause)
            try:
                return await self._ask(transport, token, until)
            except AuthError as error:
                least = self._exchanges.config.timeout if self._function is None else 0.0
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
            except Exception as error:  # a function of the user's may raise anything
                raise unexpected(error, self._provider) from error
            return self._as_token(found, token, transport.time())
        exchanges = self._exchanges
        exchanges.learn(token.client)
        await discover(transport, exchanges, "token_url", until)
        response = await ask(
            transport,
            exchanges.prepare_refresh(token.refresh_token or ""),
            provider=self._provider,
            seconds=exchanges.config.timeout,
            deadline=until,
        )
        return exchanges.parse_token(response, transport.time(), previous=token)

    def _as_token(self, found: Any, token: OAuthToken, time: float) -> OAuthToken:
        """What a function of the user's returned; times it got wrong do not cost the token."""
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
        hint="The cause is above; it comes from a function of yours.",
    )
    made.__cause__ = error
    return made
