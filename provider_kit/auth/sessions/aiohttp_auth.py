"""Tokens for aiohttp's client, as a middleware (aiohttp 3.12 or newer)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from provider_kit.auth.sessions.host_check import TokenSource, check_hosts, require_host

if TYPE_CHECKING:
    import aiohttp

__all__ = ["Middleware", "make_middleware"]

Handler: TypeAlias = Callable[["aiohttp.ClientRequest"], Awaitable["aiohttp.ClientResponse"]]
#: What ``ClientSession(middlewares=[…])`` takes.
Middleware: TypeAlias = Callable[["aiohttp.ClientRequest", Handler], Awaitable["aiohttp.ClientResponse"]]


def make_middleware(authenticator: TokenSource, hosts: Sequence[str]) -> Middleware:
    """A middleware that puts a good token on each request, and sends one again whose token was refused.

    Args:
        authenticator: Has the tokens.
        hosts: The only hosts they may go to.

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
        except BaseException:  # cancelled too: the refused answer must give its connection back
            response.release()
            raise
        if renewed == token:
            return response
        response.release()
        request.headers["Authorization"] = f"Bearer {renewed}"
        return await handler(request)

    return sign


def _repeatable(body: Any) -> bool:
    """Whether a body can be sent again; a generator or a file was used up."""
    import aiohttp

    return body is None or isinstance(body, (bytes, bytearray, str, aiohttp.payload.BytesPayload))
