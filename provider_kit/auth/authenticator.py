"""The protocol of authenticators, and how to call one from blocking or asyncio code."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from provider_kit.auth.user_callables import CallsBlocking, call_user

__all__ = ["AuthMethod", "Authenticator", "ask_authenticator"]


class AuthMethod(StrEnum):
    """How calls to a provider are authenticated."""

    API_KEY = "api_key"
    BEARER_TOKEN = "bearer_token"
    OAUTH = "oauth"
    CUSTOM = "custom"


@runtime_checkable
class Authenticator(Protocol):
    """Provides a token for calls. Write your own and pass it as ``Client(auth=…)``.

    Each method may be plain or asynchronous; an asynchronous one works with the asyncio methods of a client only. Under
    asyncio a method ``a<name>`` is preferred to ``<name>``.
    """

    def is_authenticated(self) -> Any:
        """Whether there is a valid token now."""
        ...

    def get_token(self) -> Any:
        """Return the token to send; called before each attempt.

        Raises:
            AuthError: There is none (``token_expired``).
        """
        ...

    def refresh_token(self) -> Any:
        """Get a new token; called once when the provider refuses the current one."""
        ...

    def logout(self) -> Any:
        """Delete the token."""
        ...

    def get_auth_method(self) -> Any:
        """One of :class:`AuthMethod`; with ``api_key`` the token is sent in the provider's key header."""
        ...


async def ask_authenticator(
    transport: CallsBlocking, authenticator: object, name: str, *arguments: Any, **options: Any
) -> Any:
    """Call a method of an authenticator, blocking or asyncio as the transport is."""
    method: Callable[..., Any] = getattr(authenticator, name)
    if transport.kind == "asyncio":
        method = getattr(authenticator, f"a{name}", method)
    call = method if not options else _With(method, options)
    return await call_user(transport, call, *arguments, what=f"{type(authenticator).__name__}.{name}()")


class _With:
    """A method and its keyword arguments."""

    def __init__(self, method: Callable[..., Any], options: dict[str, Any]) -> None:
        self._method, self._options = method, options

    def __call__(self, *arguments: Any) -> Any:
        return self._method(*arguments, **self._options)
