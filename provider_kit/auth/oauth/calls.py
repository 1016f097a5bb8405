"""One OAuth exchange over a transport: sent, answered, and its failures told as :class:`AuthError`."""

from __future__ import annotations

from provider_kit.auth.oauth.discovery import discovery_addresses, read_discovery
from provider_kit.auth.oauth.token_requests import OAuthExchanges
from provider_kit.errors import (
    APIConnectionError,
    AuthError,
    AuthErrorCode,
    InvalidResponseError,
    ProviderKitError,
    ResponseLostError,
)
from provider_kit.model.json_text import loads
from provider_kit.model.secrets import clear_frames
from provider_kit.transports.base import Transport
from provider_kit.wire.http import HttpRequest, HttpResponse, Limits

__all__ = ["ask", "discover"]

#: No token is larger.
_MOST_BYTES = 2 * 1024 * 1024


async def ask(
    transport: Transport, request: HttpRequest, *, provider: str, seconds: float, deadline: float | None = None
) -> HttpResponse:
    """Send one request of an exchange.

    Args:
        transport: What sends it.
        request: The request.
        provider: For errors.
        seconds: How long it may take.
        deadline: Clock reading of the transport at which it must have ended, if earlier.

    Raises:
        AuthError: The network failed (``network_error``); nobody is logged out by that.
    """
    end = transport.now() + seconds
    end = end if deadline is None else min(end, deadline)
    try:
        return await transport.send(request, Limits(seconds, seconds, None, end, _MOST_BYTES))
    except APIConnectionError as error:
        clear_frames(error)
        lost = isinstance(error, ResponseLostError)
        raise AuthError(
            f"The authorization server could not be reached: {error.message.rstrip('.')}.",
            code=AuthErrorCode.NETWORK_ERROR,
            details="it was asked, but its answer was lost" if lost else None,
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


async def discover(transport: Transport, exchanges: OAuthExchanges, needed: str, deadline: float | None = None) -> None:
    """Have an address of a client told by its issuer; does nothing where it is known already.

    Args:
        transport: What asks.
        exchanges: The client.
        needed: Which address: ``auth_url``, ``token_url``, ``device_url`` or ``revoke_url``.
        deadline: Clock reading at which it must have ended.

    Raises:
        AuthError: No discovery document is there, or it is of another issuer.
    """
    config = exchanges.config
    if not config.issuer or getattr(config, needed):
        return
    last: ProviderKitError | None = None
    for url in discovery_addresses(config.issuer or "", exchanges.provider):
        request = HttpRequest("GET", url, {"Accept": "application/json", "Accept-Encoding": "gzip, deflate"})
        response = await ask(transport, request, provider=exchanges.provider, seconds=config.timeout, deadline=deadline)
        if response.status >= 500 or response.status == 429:
            raise AuthError(
                f"The discovery document of the issuer cannot be had (status {response.status}).",
                code=AuthErrorCode.PROVIDER_UNAVAILABLE,
                provider=exchanges.provider,
                hint="Try again later; your login is kept.",
            )
        if response.status != 200:
            continue
        try:
            document = loads(response.body)
        except ValueError:
            continue
        try:
            exchanges.told(read_discovery(document, config, exchanges.provider))
        except AuthError as error:
            last = error
            continue
        return
    raise last or AuthError(
        "The issuer has no discovery document.",
        code=AuthErrorCode.INVALID_CONFIG,
        provider=exchanges.provider,
        hint="Check OAuthConfig(issuer=…), or give auth_url and token_url yourself.",
    )
