"""Authenticators without a login: a key, or a token that is renewed outside this library."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from provider_kit.auth.authenticator import AuthMethod
from provider_kit.auth.keys.sources import check_key
from provider_kit.auth.keys.state import mask
from provider_kit.auth.user_callables import call_user
from provider_kit.errors import AuthError, AuthErrorCode, MissingAPIKeyError
from provider_kit.model.secrets import MaskedStr
from provider_kit.providers.registry import find_provider
from provider_kit.transports.base import Runtime
from provider_kit.transports.drive import run_to_completion
from provider_kit.transports.runtime_blocking import BlockingRuntime

__all__ = ["APIKeyAuthenticator", "BearerTokenAuthenticator"]


class _Simple:
    #: Whether :meth:`refresh_token` may return a new token.
    can_refresh = False

    def __init__(self, provider: str) -> None:
        self.provider = provider
        self._secret: MaskedStr | None = None

    def __repr__(self) -> str:
        shown = mask(self._secret) if self._secret else "nothing"
        return f"<{type(self).__name__} of {self.provider}: {shown}>"

    def is_authenticated(self) -> bool:
        """Whether there is something to send. Only a call shows whether it is accepted."""
        return self._secret is not None

    def get_token(self) -> str:
        """Return the key or token.

        Raises:
            AuthError: There is nothing, after a logout.
        """
        if self._secret is None:
            raise AuthError(
                "Not authenticated.",
                code=AuthErrorCode.TOKEN_EXPIRED,
                provider=self.provider,
                retryable=False,
                hint="It was logged out; call authenticate() with a key or token.",
            )
        return self._secret

    def logout(self) -> bool:
        """Delete it; return whether there was one."""
        had, self._secret = self._secret is not None, None
        return had

    def authenticate(self, secret: str) -> None:
        """Use this from now on.

        Raises:
            AuthError: It is empty, or holds characters that are not allowed in a header.
        """
        self._secret = MaskedStr(check_key(secret, self.provider))


class APIKeyAuthenticator(_Simple):
    """An API key.

    Args:
        provider: Name of the provider.
        api_key: The key; default: the provider's environment variables.

    Raises:
        MissingAPIKeyError: None is given and none is set.
        AuthError: It is empty, or holds characters that are not allowed in a key.
    """

    def __init__(self, provider: str, api_key: str | None = None) -> None:
        super().__init__(provider)
        if api_key is None:
            known = find_provider(provider)
            api_key, _ = known.find_key(os.environ)
            if api_key is None:
                variables = ", ".join(known.key_variables)
                raise MissingAPIKeyError(
                    f"No API key: none was given, and none of {variables} is set.",
                    provider=provider,
                    hint=f"Set {known.key_variables[0] if known.key_variables else 'one'}, or pass api_key=….",
                )
        self.authenticate(api_key)

    def refresh_token(self) -> None:
        """A key cannot be refreshed.

        Raises:
            AuthError: Always.
        """
        raise AuthError(
            "An API key cannot be refreshed.",
            provider=self.provider,
            hint="Replace it in the provider's console, and call authenticate() with the new one.",
        )

    def get_auth_method(self) -> AuthMethod:
        """``api_key``."""
        return AuthMethod.API_KEY


class BearerTokenAuthenticator(_Simple):
    """A bearer token that is issued outside this library.

    Args:
        provider: Name of the provider.
        token: The token.
        renew: Returns a new token when the provider refuses the current one; sync or async.

    Raises:
        AuthError: It is empty, or holds characters that are not allowed in a header.
    """

    def __init__(self, provider: str, token: str, *, renew: Callable[[], Any] | None = None) -> None:
        super().__init__(provider)
        self._renew = renew
        self.can_refresh = renew is not None
        self.authenticate(token)

    def refresh_token(self) -> None:
        """Call ``renew`` for a new token.

        Raises:
            AuthError: There is no ``renew``, or it is asynchronous.
        """
        run_to_completion(self._refresh(BlockingRuntime()))

    async def arefresh_token(self) -> None:
        """As :meth:`refresh_token`; ``renew`` may be asynchronous."""
        from provider_kit.transports.runtime_asyncio import AsyncioRuntime

        await self._refresh(AsyncioRuntime())

    async def _refresh(self, waiting: Runtime) -> None:
        if self._renew is None:
            raise AuthError(
                "The token was refused or has expired, and there is no renew= to replace it.",
                code=AuthErrorCode.TOKEN_EXPIRED,
                provider=self.provider,
                retryable=False,
                hint="Pass BearerTokenAuthenticator(renew=…), or call authenticate() with a new token.",
            )
        self.authenticate(await call_user(waiting, self._renew, what="renew"))

    def get_auth_method(self) -> AuthMethod:
        """``bearer_token``."""
        return AuthMethod.BEARER_TOKEN
