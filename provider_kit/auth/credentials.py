"""Turns what is passed to a client as ``auth=`` into a pool of credentials."""

from __future__ import annotations

import math
from typing import Any, cast

from provider_kit.auth.authenticator import Authenticator, AuthMethod, ask_authenticator
from provider_kit.auth.credential_pool import CredentialPool, Secret
from provider_kit.auth.fixed_credentials import BearerTokenAuthenticator
from provider_kit.auth.keys.pool import KeyPool
from provider_kit.errors import AuthError, AuthErrorCode, ConfigError, ProviderKitError
from provider_kit.policies.single_flight import SingleFlight
from provider_kit.transports.base import Runtime, Wakeup

__all__ = ["AuthenticatorCredential", "pool_of"]

#: Longest wait in seconds for a refresh by another caller.
_LONGEST = 60.0


class AuthenticatorCredential:
    """A credential that is managed by an :class:`Authenticator` of the user."""

    def __init__(self, provider: str, authenticator: Authenticator) -> None:
        self.id = f"{provider} ({type(authenticator).__name__})"
        self._provider = provider
        self._authenticator = authenticator
        self._last: str | None = None
        self._flights = SingleFlight()
        self.bearer = True

    @property
    def identity(self) -> str:
        """A token that never changes; empty for any other."""
        what = self._authenticator
        fixed = isinstance(what, BearerTokenAuthenticator) and not what.can_refresh and what.is_authenticated()
        return str(what.get_token()) if fixed else ""

    @property
    def renewable(self) -> bool:
        """Whether a new token may be obtained; if not, the provider's refusal is reported."""
        return bool(getattr(self._authenticator, "can_refresh", True))

    @property
    def secrets(self) -> tuple[str, ...]:
        """The last token it returned."""
        return (self._last,) if self._last else ()

    async def obtain(self, runtime: Runtime, deadline: float | None, rejected: str | None) -> Secret:
        """Get the token; before each attempt, since its expiry is unknown."""
        what = self._authenticator
        try:
            token = await self._refreshed(runtime, deadline, rejected) if rejected is not None else None
            if token is None:
                token = await ask_authenticator(runtime, what, "get_token")
            method = await ask_authenticator(runtime, what, "get_auth_method")
        except ProviderKitError:
            raise
        except Exception as error:  # a user's authenticator may raise anything
            raise AuthError(
                f"The authenticator failed: {type(error).__name__}.",
                code=AuthErrorCode.REFRESH_FAILED,
                provider=self._provider,
                hint=f"See the cause above; it comes from your {type(what).__name__}.",
            ) from error
        if not isinstance(token, str):
            raise AuthError(
                f"The authenticator returned {type(token).__name__}, not a token.",
                provider=self._provider,
                hint="get_token() returns the token as a string.",
            )
        self._last = token
        self.bearer = method != AuthMethod.API_KEY
        return Secret(token, -math.inf)

    async def _refreshed(self, transport: Runtime, deadline: float | None, rejected: str) -> Any:
        """Refresh a refused token, once for all callers that were refused; the new one, or ``None``."""
        if self._last not in (None, rejected):
            return None  # another caller has refreshed it meanwhile
        now = transport.now()
        flight, leads, wakeup = self._flights.join(now, now + _LONGEST, transport.is_loop_closed(), transport.wakeup)
        if leads:
            try:
                await ask_authenticator(transport, self._authenticator, "refresh_token")
                token = await ask_authenticator(transport, self._authenticator, "get_token")
                if isinstance(token, str):
                    self._last = token
            finally:
                self._flights.land(flight)
            return token
        end = flight.until if deadline is None else min(flight.until, deadline)
        while not flight.over(transport.now()) and transport.now() < end:
            await cast(Wakeup, wakeup).wait(min(1.0, end - transport.now()))
        return None

    def observe(self, ok: bool, latency: float, tokens: float | None, time: float) -> float | None:
        """Nothing to count."""
        return None


def pool_of(auth: Any, provider: str) -> KeyPool:
    """Create the pool for ``auth=``.

    Raises:
        ConfigError: It is not an authenticator.
    """
    made = getattr(auth, "credential_pool", None)
    if isinstance(made, KeyPool):
        return made
    if isinstance(auth, Authenticator) and not isinstance(auth, type):
        return CredentialPool(provider, [AuthenticatorCredential(provider, auth)])
    raise ConfigError(
        f"auth must not be {type(auth).__name__}.",
        hint="Pass 'oauth', an OAuthAuthenticator, an OAuthKeyManager, or an object with the methods of Authenticator.",
    )
