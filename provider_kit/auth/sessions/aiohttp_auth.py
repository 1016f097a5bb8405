"""Tokens for aiohttp's client, as a middleware (aiohttp 3.12 or newer)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from provider_kit.auth.sessions.host_check import TokenSource, check_hosts, require_host

if TYPE_CHECKING:
    import aiohttp

__all__ = ["Middleware", "make_middleware"]

Handler: TypeAlias = Callable[["aiohttp.ClientRequest"], Awaitable["aiohttp.ClientResponse"]]
#: The type of ``ClientSession(middlewares=[…])``.
Middleware: TypeAlias = Callable[["aiohttp.ClientRequest", Handler], Awaitable["aiohttp.ClientResponse"]]


def make_middleware(authenticator: TokenSource, hosts: Sequence[str]) -> Middleware:
    """A middleware that adds a valid token to each request, and repeats a request whose token was refused.

    Args:
        authenticator: The source of the tokens.
        hosts: The only hosts they may be sent to.

    Raises:
        ConfigError: No host is named.
    """
    allowed = check_hosts(hosts, authenticator.provider)

    async def sign(request: Any, handler: Handler) -> Any:
        require_host(str(request.url), allowed, authenticator.provider)
        token = await authenticator.aget_token()
        request.headers["Authorization"] = f"Bearer {token}"
        response = await handler(request)
        if response.status != 401 or not _repeatable(request.body):
            return response
        try:
            renewed = await authenticator.arenew_refused(token)
        except BaseException:  # on cancellation too: the refused answer must release its connection
            response.release()
            raise
        if renewed == token:
            return response
        response.release()
        request.headers["Authorization"] = f"Bearer {renewed}"
        return await handler(request)

    return sign


def _repeatable(body: Any) -> bool:
    """Whether a body can be sent again; a generator or a file is exhausted."""
    import aiohttp

    return body is None or isinstance(body, (bytes, bytearray, str, aiohttp.payload.BytesPayload))
