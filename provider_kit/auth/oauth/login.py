"""Logging in: with a browser callback, a pasted callback URL, or a code on another device.

Each is one coroutine over a transport and works the same for blocking and asyncio callers.
"""

from __future__ import annotations

import hmac
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, TextIO
from urllib.parse import parse_qs, urlsplit

from provider_kit.auth.oauth.callback_page import result_page
from provider_kit.auth.oauth.client import OAuthClient
from provider_kit.auth.oauth.loopback import Listener, Visit, open_listener
from provider_kit.auth.oauth.pending_logins import Callback, PendingLogin, PendingLogins, read_callback
from provider_kit.auth.oauth.token_requests import make_challenge, make_verifier
from provider_kit.auth.user_callables import call_user
from provider_kit.errors import AuthError, AuthErrorCode, ProviderKitError
from provider_kit.model.oauth import DeviceCode, OAuthToken
from provider_kit.model.secrets import MaskedStr, as_masked
from provider_kit.transports.base import Transport

__all__ = ["begin_device", "begin_login", "can_open_browser", "login_by_browser", "poll_device", "redeem", "revoke"]

#: Seconds without an answer after which a poll counts as lost.
_POLL_SECONDS = 15.0


async def begin_login(
    transport: Transport,
    client: OAuthClient,
    pending: PendingLogins,
    scopes: Sequence[str] | None,
    redirect_url: str | None = None,
) -> tuple[str, PendingLogin]:
    """The URL where the user agrees, and the state to remember until the callback.

    Raises:
        AuthError: The configuration is incomplete, or the issuer cannot be reached.
    """
    requests = await client.knowing(transport, "auth_url")
    config = requests.config
    made = pending.begin(
        verifier=make_verifier(config.pkce.verifier_length) if config.pkce.enabled else None,
        redirect_url=redirect_url or config.redirect_url,
        scopes=config.default_scopes if scopes is None else as_scopes(scopes),
        length=config.state.length,
        until=transport.time() + config.state.ttl,
    )
    return requests.authorization_url(made), made


async def redeem(transport: Transport, client: OAuthClient, login: PendingLogin, callback: Callback) -> OAuthToken:
    """Exchange the code of a callback for a token.

    Raises:
        AuthError: Another server answered, or the code was refused.
    """
    requests = await client.knowing(transport, "token_url")
    issuer = requests.config.issuer
    if callback.issuer and issuer and callback.issuer.rstrip("/") != issuer.rstrip("/"):
        # RFC 9207: the code of another server must not be shown to this one.
        raise AuthError(
            "The callback comes from another authorization server.",
            code=AuthErrorCode.OAUTH_FLOW_FAILED,
            provider=client.provider,
            hint="Start the login again, and agree at the right server.",
        )
    request = requests.prepare_code_exchange(callback.code, login)
    response = await client.ask(transport, request, requests.config.timeout)
    sent = (callback.code, login.verifier)
    return requests.parse_token(response, transport.time(), scopes=login.scopes, sent=sent)


# ------------------------------------------------------------------------------------------------ browser


def can_open_browser() -> bool:
    """Whether the user could see a browser opened here: not over SSH, and not without a display."""
    environ = os.environ
    if sys.platform in ("win32", "darwin"):
        return not environ.get("SSH_CONNECTION")
    screen = environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY") or environ.get("WSL_DISTRO_NAME")
    return bool(screen) and not (environ.get("SSH_CONNECTION") and not environ.get("DISPLAY"))


async def login_by_browser(
    transport: Transport,
    client: OAuthClient,
    pending: PendingLogins,
    *,
    scopes: Sequence[str] | None,
    keep: Callable[[OAuthToken], Any],
    browser: Callable[[str], Any] | None,
    show: Callable[[str], Any] | None,
    complain: Callable[[AuthError], Any] | None,
    paste: TextIO | None,
    seconds: float,
) -> OAuthToken:
    """Send the user to the server and wait until the browser is redirected back, or the URL is pasted.

    A callback of another login gets an error page and does not end this one. The page reports success only once the
    token has been received and stored.

    Args:
        transport: The blocking or asyncio transport.
        client: The OAuth client.
        pending: The pending logins.
        scopes: The scopes to request; ``None``: the default scopes.
        keep: Stores the token; awaited.
        browser: Opens a URL; ``None``: no browser is opened.
        show: Shows the URL to the user.
        complain: Called when the pasted text is not a callback of this login.
        paste: A stream on which the URL may be pasted instead.
        seconds: How long to wait for the user.

    Raises:
        AuthError: The user declined or was too late, the port is taken, or the code was refused.
    """
    provider = client.provider
    deadline = transport.now() + seconds
    listener: Listener = open_listener(
        "asyncio" if transport.kind == "asyncio" else "blocking", client.config.redirect_url, provider, paste
    )
    try:
        url, login = await begin_login(transport, client, pending, scopes, listener.url)
        if show is not None:
            await call_user(transport, show, url, what="show")
        if browser is not None:
            await transport.call_blocking(browser, url)
        problem: AuthError | None = None
        while True:
            found = await listener.receive(deadline)
            if found is None:
                late = AuthError(
                    f"The login was not completed within {seconds:g} s.",
                    code=AuthErrorCode.OAUTH_FLOW_FAILED,
                    provider=provider,
                    hint="Start again. If the browser runs on another machine, paste its final URL.",
                )
                raise late from problem
            visit = None if isinstance(found, str) else found
            text = MaskedStr(found if isinstance(found, str) else found.target)
            del found  # the URL holds the code
            try:
                callback = _of_this_login(provider, text, login, pending)
            except AuthError as error:
                problem = error
                if visit is not None:
                    page, nonce = result_page(
                        False, provider, f"{error.message} {error.details or ''}", error.hint or ""
                    )
                    await visit.answer(400, page, nonce)
                elif complain is not None:
                    await call_user(transport, complain, error, what="complain")
                continue
            return await _finish(transport, client, pending, login, callback, keep, visit)
    finally:
        await listener.aclose()


def _of_this_login(provider: str, text: str, login: PendingLogin, pending: PendingLogins) -> Callback | AuthError:
    """The callback; or, as a value, the refusal of the server to *this* login.

    Raises:
        AuthError: It belongs to another login.
    """
    try:
        callback = read_callback(provider, text)
        state = callback.state
        refused = None
    except AuthError as error:
        state, refused = _state_in(text), error
        if state is None:
            raise
    if not state or not hmac.compare_digest(state.encode(errors="replace"), login.state.encode()):
        raise pending.unknown(again=False)
    return refused or callback


def _state_in(text: str) -> str | None:
    try:
        return as_masked(parse_qs(urlsplit(text.strip()).query).get("state", [None])[0])
    except ValueError:
        return None


async def _finish(
    transport: Transport,
    client: OAuthClient,
    pending: PendingLogins,
    login: PendingLogin,
    callback: Callback | AuthError,
    keep: Callable[[OAuthToken], Any],
    visit: Visit | None,
) -> OAuthToken:
    provider = client.provider
    status, page = 400, ("", "")
    try:
        pending.take(login.state, transport.time())
        if isinstance(callback, AuthError):
            raise callback
        token = await redeem(transport, client, login, callback)
        await keep(token)
        status, page = 200, result_page(True, provider)
    except ProviderKitError as error:
        page = result_page(False, provider, error.message, error.hint or "")
        raise
    finally:
        if visit is not None:
            await visit.answer(status, *page)
    return token


# ------------------------------------------------------------------------------------------------ device


def as_scopes(scopes: str | Sequence[str]) -> tuple[str, ...]:
    """Scopes as a list; a string holds one, or several separated by spaces, as in OAuth."""
    return tuple(scopes.split()) if isinstance(scopes, str) else tuple(scopes)


async def begin_device(transport: Transport, client: OAuthClient, scopes: Sequence[str] | None) -> DeviceCode:
    """Request the code that the user enters on another device.

    Raises:
        AuthError: The server has no device login, or refuses.
    """
    requests = await client.knowing(transport, "device_url")
    config = requests.config
    verifier = make_verifier(config.pkce.verifier_length) if config.pkce.enabled else None
    request = requests.prepare_device(
        config.default_scopes if scopes is None else as_scopes(scopes), make_challenge(verifier) if verifier else None
    )
    response = await client.ask(transport, request, config.timeout)
    return requests.parse_device(response, transport.time(), verifier)


async def poll_device(
    transport: Transport,
    client: OAuthClient,
    device: DeviceCode,
    scopes: Sequence[str] | None,
    seconds: float | None,
) -> OAuthToken:
    """Wait until the user has entered the code.

    Raises:
        AuthError: The user declined, or the code expired.
    """
    requests = await client.knowing(transport, "token_url")
    interval = device.interval
    asked = requests.config.default_scopes if scopes is None else as_scopes(scopes)
    left = device.expires_at - transport.time()
    end = transport.now() + (left if seconds is None else min(left, seconds))
    while True:
        if transport.now() + interval >= end:
            raise AuthError(
                "The code was not entered in time.",
                code=AuthErrorCode.OAUTH_FLOW_FAILED,
                provider=client.provider,
                hint="Start again, and enter the new code before it expires.",
            )
        await transport.sleep(interval)
        try:
            response = await client.ask(transport, requests.prepare_poll(device), _POLL_SECONDS, end + _POLL_SECONDS)
            found = requests.parse_poll(response, transport.time(), device, asked)
        except AuthError as error:
            if not error.retryable:
                raise
            interval = min(60.0, interval * 2)  # RFC 8628 section 3.5: after a timeout, wait twice as long
            continue
        if isinstance(found, OAuthToken):
            return found
        interval += found


async def revoke(transport: Transport, client: OAuthClient, token: OAuthToken) -> bool:
    """Revoke a token at the server; return whether the server supports that.

    Raises:
        AuthError: The server could not be reached, or refused.
    """
    requests = await client.knowing(transport, "revoke_url", token)
    if not requests.config.revoke_url or token.token_type == "api_key":
        return False
    # Revoking the refresh token revokes its access tokens too (RFC 7009 section 2.1).
    secret, kind = (token.refresh_token, "refresh_token") if token.refresh_token else (
        token.access_token, "access_token")  # fmt: skip
    response = await client.ask(transport, requests.prepare_revoke(secret, kind), requests.config.timeout)
    requests.parse_revoke(response)
    return True
