"""All authenticators of a program, by provider."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from provider_kit.auth.authenticator import Authenticator, AuthMethod, ask_authenticator
from provider_kit.auth.oauth.authenticator import OAuthAuthenticator
from provider_kit.auth.storage.factory import open_token_storage
from provider_kit.auth.storage.protocol import TokenStorage
from provider_kit.errors import AuthError, AuthErrorCode, ConfigError, NotSupportedError, ProviderKitError
from provider_kit.model.closing import Closing
from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.model.oauth import OAuthConfig, TokenInfo
from provider_kit.model.secrets import as_masked
from provider_kit.transports.base import Runtime
from provider_kit.transports.drive import run_to_completion
from provider_kit.transports.runtime_blocking import BlockingRuntime

__all__ = ["AuthManager", "AuthStatus"]


@frozen(kw_only=True)
class AuthStatus:
    """The state of one login."""

    provider: str
    #: One of :class:`AuthMethod`.
    method: str
    is_authenticated: bool
    #: What is known of the token, for OAuth logins.
    token: TokenInfo | None = None
    #: The error when it was checked.
    error: ProviderKitError | None = None


class AuthManager(Closing):
    """Holds an authenticator for each provider.

    Args:
        storage: Where :meth:`register_oauth` keeps tokens; default: what ``PROVIDER_KIT_TOKEN_STORAGE``
            names, else files in the user's directory.

    Example:
        >>> from provider_kit import APIKeyAuthenticator, AuthManager
        >>> manager = AuthManager()
        >>> manager.register("openai", APIKeyAuthenticator("openai", "sk-test-0123456789"))
        >>> manager.is_authenticated("openai")
        True
    """

    def __init__(self, storage: TokenStorage | None = None) -> None:
        self._storage = storage
        self._authenticators: dict[str, Authenticator] = {}

    def __repr__(self) -> str:
        return f"<AuthManager of {', '.join(sorted(self._authenticators)) or 'nobody'}>"

    @property
    def storage(self) -> TokenStorage:
        """The storage of the tokens."""
        if self._storage is None:
            self._storage = open_token_storage()
        return self._storage

    # -------------------------------------------------------------------------------------------- who

    def register(self, name: str, authenticator: Authenticator) -> None:
        """Register an authenticator under a name; an existing one is replaced.

        Raises:
            ConfigError: It lacks a method of :class:`Authenticator`.
        """
        if not isinstance(authenticator, Authenticator) or isinstance(authenticator, type):
            raise ConfigError(
                f"{type(authenticator).__name__} is not an authenticator.",
                hint="It needs is_authenticated, get_token, refresh_token, logout and get_auth_method.",
            )
        self._authenticators[name] = authenticator

    def register_oauth(
        self, name: str, config: OAuthConfig | None = None, *, provider: str | None = None, **options: Any
    ) -> OAuthAuthenticator:
        """Register an :class:`OAuthAuthenticator` that uses the manager's storage.

        Args:
            name: Name of the authenticator and of its stored token.
            config: The OAuth client; default: the provider's preset.
            provider: The provider, if it differs from ``name``.
            options: Options of :class:`OAuthAuthenticator`.
        """
        options.setdefault("storage_key", name)
        made = OAuthAuthenticator(provider or name, self.storage, config, **options)
        self._authenticators[name] = made
        return made

    def remove(self, name: str) -> bool:
        """Remove an authenticator; its token stays stored. Return whether there was one."""
        return self._authenticators.pop(name, None) is not None

    def get(self, name: str) -> Authenticator:
        """The authenticator under a name.

        Raises:
            AuthError: There is none (``invalid_config``).
        """
        found = self._authenticators.get(name)
        if found is None:
            raise AuthError(
                f"No authenticator is registered for {name!r}.",
                code=AuthErrorCode.INVALID_CONFIG,
                provider=name,
                hint=did_you_mean(name, self._authenticators) + "Call register() or register_oauth() first.",
            )
        return found

    def names(self) -> list[str]:
        """The names of all authenticators, sorted."""
        return sorted(self._authenticators)

    # -------------------------------------------------------------------------------------------- one of them

    def authenticate(self, name: str, *arguments: Any, **options: Any) -> Any:
        """Ensure a valid token; for OAuth logins see :meth:`OAuthAuthenticator.authenticate`.

        Raises:
            AuthError: No token could be obtained.
            NotSupportedError: The authenticator has no ``authenticate``.
        """
        return run_to_completion(self._authenticate(BlockingRuntime(), name, arguments, options))

    async def aauthenticate(self, name: str, *arguments: Any, **options: Any) -> Any:
        """As :meth:`authenticate`."""
        return await self._authenticate(_asyncio(), name, arguments, options)

    async def _authenticate(
        self, waiting: Runtime, name: str, arguments: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        return await self._ask(waiting, name, "authenticate", *arguments, **options)

    def is_authenticated(self, name: str) -> bool:
        """Whether there is a valid token now."""
        return bool(run_to_completion(self._ask(BlockingRuntime(), name, "is_authenticated")))

    async def ais_authenticated(self, name: str) -> bool:
        """As :meth:`is_authenticated`."""
        return bool(await self._ask(_asyncio(), name, "is_authenticated"))

    def get_token_info(self, name: str) -> TokenInfo | None:
        """Information about a token; ``None`` if not logged in, or if it is not an OAuth login."""
        return run_to_completion(self._info(BlockingRuntime(), name))

    async def aget_token_info(self, name: str) -> TokenInfo | None:
        """As :meth:`get_token_info`."""
        return await self._info(_asyncio(), name)

    async def _info(self, waiting: Runtime, name: str) -> TokenInfo | None:
        if not hasattr(self.get(name), "get_token_info"):
            return None
        found: TokenInfo | None = await self._ask(waiting, name, "get_token_info")
        return found

    def start_oauth_flow(self, name: str, *arguments: Any, **options: Any) -> str:
        """As :meth:`OAuthAuthenticator.start_oauth_flow`."""
        return str(run_to_completion(self._ask(BlockingRuntime(), name, "start_oauth_flow", *arguments, **options)))

    async def astart_oauth_flow(self, name: str, *arguments: Any, **options: Any) -> str:
        """As :meth:`start_oauth_flow`."""
        return str(await self._ask(_asyncio(), name, "start_oauth_flow", *arguments, **options))

    def handle_callback(self, name: str, code: str, state: str | None = None) -> TokenInfo:
        """As :meth:`OAuthAuthenticator.handle_callback`."""
        code, state = as_masked(code) or "", as_masked(state)
        found: TokenInfo = run_to_completion(self._ask(BlockingRuntime(), name, "handle_callback", code, state))
        return found

    async def ahandle_callback(self, name: str, code: str, state: str | None = None) -> TokenInfo:
        """As :meth:`handle_callback`."""
        code, state = as_masked(code) or "", as_masked(state)
        found: TokenInfo = await self._ask(_asyncio(), name, "handle_callback", code, state)
        return found

    def logout(self, name: str) -> None:
        """Delete a token.

        Raises:
            AuthError: The server did not revoke it, or the storage cannot be written.
        """
        run_to_completion(self._ask(BlockingRuntime(), name, "logout"))

    async def alogout(self, name: str) -> None:
        """As :meth:`logout`."""
        await self._ask(_asyncio(), name, "logout")

    async def _ask(self, waiting: Runtime, name: str, method: str, *arguments: Any, **options: Any) -> Any:
        authenticator = self.get(name)
        if not hasattr(authenticator, method):
            raise NotSupportedError(
                f"{type(authenticator).__name__} has no {method}().", provider=name, hint="It is not an OAuth login."
            )
        try:
            return await ask_authenticator(waiting, authenticator, method, *arguments, **options)
        except ProviderKitError:
            raise
        except Exception as error:  # a user's authenticator may raise anything
            raise AuthError(
                f"{type(authenticator).__name__}.{method}() failed: {type(error).__name__}.",
                code=AuthErrorCode.REFRESH_FAILED,
                provider=name,
                hint="See the cause above; it comes from your authenticator.",
            ) from error

    # -------------------------------------------------------------------------------------------- all of them

    def status(self) -> dict[str, AuthStatus]:
        """The state of each login; a failed check is reported in its ``error``."""
        return run_to_completion(self._status(BlockingRuntime()))

    async def astatus(self) -> dict[str, AuthStatus]:
        """As :meth:`status`."""
        return await self._status(_asyncio())

    async def _status(self, waiting: Runtime) -> dict[str, AuthStatus]:
        found = {}
        for name in self.names():
            method, good, token, failure = AuthMethod.CUSTOM.value, False, None, None
            try:
                method = str(await self._ask(waiting, name, "get_auth_method"))
                good = bool(await self._ask(waiting, name, "is_authenticated"))
                token = await self._info(waiting, name)
            except ProviderKitError as error:
                failure = error
            found[name] = AuthStatus(provider=name, method=method, is_authenticated=good, token=token, error=failure)
        return found

    def authenticated_providers(self) -> list[str]:
        """The names of those with a valid token now."""
        return [name for name, status in self.status().items() if status.is_authenticated]

    async def aauthenticated_providers(self) -> list[str]:
        """As :meth:`authenticated_providers`."""
        return [name for name, status in (await self.astatus()).items() if status.is_authenticated]

    def refresh_all(self) -> dict[str, ProviderKitError | None]:
        """Refresh every login that can be refreshed; return the errors by name."""
        return run_to_completion(self._refresh_all(BlockingRuntime()))

    async def arefresh_all(self) -> dict[str, ProviderKitError | None]:
        """As :meth:`refresh_all`."""
        return await self._refresh_all(_asyncio())

    async def _refresh_all(self, waiting: Runtime) -> dict[str, ProviderKitError | None]:
        found: dict[str, ProviderKitError | None] = {}
        for name in self.names():
            try:
                if await self._ask(waiting, name, "get_auth_method") == AuthMethod.API_KEY:
                    continue  # the expiry of a key is unknown
                await self._ask(waiting, name, "refresh_token")
                found[name] = None
            except ProviderKitError as error:
                found[name] = error
        return found

    def cleanup_expired(self) -> list[str]:
        """Delete stored tokens that have expired and cannot be refreshed; return their names.

        Raises:
            NotSupportedError: The storage cannot do that.
            StorageError: It cannot be read or written.
        """
        return run_to_completion(self._cleanup(BlockingRuntime()))

    async def acleanup_expired(self) -> list[str]:
        """As :meth:`cleanup_expired`."""
        return await self._cleanup(_asyncio())

    async def _cleanup(self, waiting: Runtime) -> list[str]:
        if not hasattr(self.storage, "cleanup_expired"):
            raise NotSupportedError(f"{type(self.storage).__name__} has no cleanup_expired().")
        found: list[str] = await ask_authenticator(waiting, self.storage, "cleanup_expired")
        return found

    # -------------------------------------------------------------------------------------------- closing

    def close(self) -> None:
        """Close the connections of blocking calls."""
        for authenticator in self._authenticators.values():
            if isinstance(authenticator, OAuthAuthenticator):
                authenticator.close()

    async def aclose(self) -> None:
        """Close the connections of the running event loop, and those of blocking calls."""
        for authenticator in self._authenticators.values():
            if isinstance(authenticator, OAuthAuthenticator):
                await authenticator.aclose()


def _asyncio() -> Runtime:
    from provider_kit.transports.runtime_asyncio import AsyncioRuntime

    return AsyncioRuntime()
