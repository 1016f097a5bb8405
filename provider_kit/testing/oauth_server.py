"""A local authorization server for tests: real HTTP, PKCE, rotation, device codes, faults on demand."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from html import escape
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

from attrs import define

from provider_kit.auth.oauth.authenticator import OAuthAuthenticator
from provider_kit.auth.storage.memory import MemoryTokenStorage
from provider_kit.auth.storage.protocol import TokenStorage
from provider_kit.model.oauth import OAuthConfig
from provider_kit.testing.fake_browser import FakeBrowser
from provider_kit.testing.http_server import Incoming, LoopbackService, Outgoing

__all__ = ["OAuthServer"]

_DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


@define
class _Code:
    """An issued authorization code."""

    redirect_uri: str
    challenge: str | None
    scope: str
    used: bool = False


@define
class _Grant:
    """One login: all refresh tokens it ever had, and whether it was revoked."""

    scope: str
    revoked: bool = False


@define
class _Refresh:
    grant: _Grant
    #: When it was exchanged for a newer one.
    spent_at: float | None = None


@define
class _Device:
    user_code: str
    scope: str
    challenge: str | None
    until: float
    #: ``pending``, ``approved`` or ``denied``.
    state: str = "pending"
    asked_at: float = float("-inf")


class _Refused(Exception):
    def __init__(self, error: str, description: str = "", status: int = 400) -> None:
        super().__init__(error)
        self.error, self.description, self.status = error, description, status


class OAuthServer(LoopbackService):
    """A small authorization server: authorization code with PKCE, refresh, device codes, revocation.

    Its address is its issuer.

    Args:
        client_id: The only client it knows.
        client_secret: The client's secret; ``None`` for a public client.
        token_lifetime: Lifetime of an access token in seconds; ``None`` omits ``expires_in``.
        rotate: Whether each refresh returns a new refresh token. Using an old one again then revokes the
            whole login (RFC 9700).
        reuse_grace: Seconds for which the refresh token used last may be used again, as many servers allow
            for answers that were lost.
        interactive: Whether a page asks the user; else every login is approved at once.
        interval: Seconds between two polls of a device.

    Example:
        >>> from provider_kit.testing import OAuthServer
        >>> with OAuthServer() as server:
        ...     authenticator = server.authenticator("acme")
        ...     info = authenticator.login(open_browser=server.browser, show=None)
        ...     server.accepts(authenticator.get_token())
        True
    """

    def __init__(
        self,
        *,
        client_id: str = "test-client",
        client_secret: str | None = None,
        token_lifetime: float | None = 3600.0,
        rotate: bool = True,
        reuse_grace: float = 0.0,
        interactive: bool = False,
        interval: float = 0.05,
    ) -> None:
        super().__init__(self._answer)
        self.client_id = client_id
        self.client_secret = client_secret
        self.token_lifetime = token_lifetime
        self.rotate = rotate
        self.reuse_grace = reuse_grace
        self.interactive = interactive
        self.interval = interval
        self._lock = threading.Lock()
        self._visitor = FakeBrowser()
        self._codes: dict[str, _Code] = {}
        self._devices: dict[str, _Device] = {}
        self._refresh: dict[str, _Refresh] = {}
        self._access: dict[str, tuple[_Grant, float]] = {}
        self._faults: deque[tuple[str | None, Outgoing, float]] = deque()
        #: The form of each request to the token URL, oldest first, without its secrets.
        self.token_requests: list[dict[str, str]] = []
        #: Access tokens issued so far, by grant type.
        self.issued: dict[str, int] = {}
        #: Logins that were revoked because an old refresh token was used again.
        self.reuses = 0

    def stop(self) -> None:
        """Close every connection and the port. Safe to call twice."""
        self._visitor.close()
        super().stop()

    # -------------------------------------------------------------------------------------------- using it

    def config(self, **changes: Any) -> OAuthConfig:
        """The configuration of a client of this server.

        Args:
            changes: Fields of :class:`OAuthConfig`; ``issuer=server.url, token_url=None`` has it discovered.
        """
        known: dict[str, Any] = {
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "auth_url": f"{self.url}/authorize",
            "token_url": f"{self.url}/token",
            "device_url": f"{self.url}/device",
            "revoke_url": f"{self.url}/revoke",
        }
        return OAuthConfig(**{**known, **changes})

    def authenticator(
        self, provider: str = "acme", storage: TokenStorage | None = None, *, config: OAuthConfig | None = None,
        **options: Any,
    ) -> OAuthAuthenticator:  # fmt: skip
        """An authenticator of this server; tokens are kept in memory by default."""
        return OAuthAuthenticator(
            provider, MemoryTokenStorage() if storage is None else storage, config or self.config(), **options
        )

    def browser(self, url: str) -> None:
        """Do what a browser does with an address: follow redirects, in the background. Pass it as ``open_browser``."""
        self._visitor.visit(url)

    def agree(self, url: str) -> str:
        """Agree at an address, and return the one the browser is sent back to, without going there."""
        return self._visitor.location(url)

    def accepts(self, token: str) -> bool:
        """Whether an access token is valid now; pass it as ``FakeServer(key=…)``."""
        with self._lock:
            found = self._access.get(token)
            return found is not None and not found[0].revoked and time.time() < found[1]

    def approve(self, user_code: str) -> None:
        """The user enters the code of a device and agrees."""
        self._decide(user_code, "approved")

    def deny(self, user_code: str) -> None:
        """The user enters the code of a device and declines."""
        self._decide(user_code, "denied")

    def _decide(self, user_code: str, state: str) -> None:
        with self._lock:
            for device in self._devices.values():
                if device.user_code == user_code:
                    device.state = state
                    return
        raise KeyError(user_code)

    def expire_access_tokens(self) -> None:
        """Expire every access token now, without notice to the clients."""
        with self._lock:
            self._access.clear()

    def revoke_all(self) -> None:
        """Revoke every login."""
        with self._lock:
            for refresh in self._refresh.values():
                refresh.grant.revoked = True

    @property
    def live_logins(self) -> int:
        """Logins that can be refreshed."""
        with self._lock:
            return len({id(r.grant) for r in self._refresh.values() if not r.grant.revoked and r.spent_at is None})

    def fault(
        self,
        status: int = 500,
        *,
        grant: str | None = None,
        error: str | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        reset: bool = False,
        latency: float = 0.0,
        times: int = 1,
    ) -> None:
        """Let the next ``times`` requests to the token URL fail.

        Args:
            status: HTTP status; 0 answers as usual, after ``latency``.
            grant: Only requests of this grant type.
            error: An OAuth error code.
            body: Any body instead.
            headers: Headers of the answer.
            reset: Reset the connection instead of answering.
            latency: Seconds before the answer.
            times: How many.
        """
        made = _json(status, {"error": error} if error else {"message": "fault"})
        if body is not None:
            made = Outgoing(status, {"content-type": "text/html", **(headers or {})}, body)
        elif headers:
            made.headers.update(headers)
        made.reset = reset
        with self._lock:
            self._faults.extend([(grant, made, latency)] * times)

    # -------------------------------------------------------------------------------------------- answering

    async def _answer(self, incoming: Incoming) -> Outgoing:
        parts = urlsplit(incoming.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        form = {name: values[0] for name, values in parse_qs(incoming.body.decode("utf-8", "replace")).items()}
        route: Callable[..., Outgoing] | None = {
            ("GET", "/authorize"): self._authorize,
            ("GET", "/decision"): self._decision,
            ("POST", "/device"): self._start_device,
            ("POST", "/revoke"): self._revoke,
            ("GET", "/.well-known/oauth-authorization-server"): self._discovery,
        }.get((incoming.method, parts.path))
        try:
            if (incoming.method, parts.path) == ("POST", "/token"):
                fault = self._next_fault(form.get("grant_type"))
                if fault is not None:
                    await asyncio.sleep(fault[1])
                    if fault[0].status or fault[0].reset:
                        return fault[0]
                self._check_client(incoming, form)
                return self._token(form)
            if route is None:
                return _json(404, {"error": "not_found"})
            if incoming.method == "POST":
                self._check_client(incoming, form)
            return route(form if incoming.method == "POST" else query)
        except _Refused as refused:
            return _json(refused.status, {"error": refused.error, "error_description": refused.description})

    def _next_fault(self, grant: str | None) -> tuple[Outgoing, float] | None:
        with self._lock:
            for number, (only, outgoing, latency) in enumerate(self._faults):
                if only is None or only == grant:
                    del self._faults[number]
                    return outgoing, latency
        return None

    def _check_client(self, incoming: Incoming, form: dict[str, str]) -> None:
        client_id, secret = form.get("client_id"), form.get("client_secret")
        scheme, _, encoded = incoming.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            pair = base64.b64decode(encoded).decode().partition(":")
            client_id, secret = unquote_plus(pair[0]), unquote_plus(pair[2])
        if client_id != self.client_id or (self.client_secret is not None and secret != self.client_secret):
            raise _Refused("invalid_client", "unknown client or wrong secret", 401)

    def _discovery(self, query: dict[str, str]) -> Outgoing:
        url = self.url
        return _json(
            200,
            {
                "issuer": url,
                "authorization_endpoint": f"{url}/authorize",
                "token_endpoint": f"{url}/token",
                "device_authorization_endpoint": f"{url}/device",
                "revocation_endpoint": f"{url}/revoke",
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
                "code_challenge_methods_supported": ["S256"],
            },
        )

    def _authorize(self, query: dict[str, str]) -> Outgoing:
        if query.get("client_id") != self.client_id or "redirect_uri" not in query:
            return _json(400, {"error": "invalid_client"})
        if query.get("code_challenge_method", "S256") != "S256":
            return _redirect(query, {"error": "invalid_request", "error_description": "only S256"})
        if not self.interactive:
            return self._decision({**query, "agree": "yes"})
        agree, decline = (escape(f"/decision?{urlencode({**query, 'agree': say})}") for say in ("yes", "no"))
        page = (
            "<!DOCTYPE html><title>Agree?</title><h1>May this program act for you?</h1>"
            f'<p><a id="agree" href="{agree}">Yes</a> <a id="decline" href="{decline}">No</a></p>'
        )
        return Outgoing(200, {"content-type": "text/html; charset=utf-8"}, page.encode())

    def _decision(self, query: dict[str, str]) -> Outgoing:
        if query.get("agree") != "yes":
            return _redirect(query, {"error": "access_denied", "error_description": "The person said no"})
        code = secrets.token_urlsafe(24)
        with self._lock:
            self._codes[code] = _Code(query["redirect_uri"], query.get("code_challenge"), query.get("scope", ""))
        return _redirect(query, {"code": code, "iss": self.url})

    def _start_device(self, form: dict[str, str]) -> Outgoing:
        code, user_code = secrets.token_urlsafe(24), "-".join(secrets.token_hex(2).upper() for _ in range(2))
        with self._lock:
            until = time.time() + 600
            self._devices[code] = _Device(user_code, form.get("scope", ""), form.get("code_challenge"), until)
        return _json(
            200,
            {
                "device_code": code,
                "user_code": user_code,
                "verification_uri": f"{self.url}/activate",
                "verification_uri_complete": f"{self.url}/activate?code={user_code}",
                "expires_in": 600,
                "interval": max(1, int(self.interval)),
            },
        )

    def _revoke(self, form: dict[str, str]) -> Outgoing:
        with self._lock:
            token = form.get("token", "")
            refresh, access = self._refresh.get(token), self._access.get(token)
            if refresh is not None:
                refresh.grant.revoked = True
            elif access is not None:
                del self._access[token]
        return Outgoing(200)

    # -------------------------------------------------------------------------------------------- tokens

    def _token(self, form: dict[str, str]) -> Outgoing:
        secret = ("code", "code_verifier", "refresh_token", "device_code", "client_secret")
        with self._lock:
            self.token_requests.append({name: value for name, value in form.items() if name not in secret})
            grant_type = form.get("grant_type", "")
            exchange = {
                "authorization_code": self._by_code,
                "refresh_token": self._by_refresh,
                _DEVICE_GRANT: self._by_device,
            }.get(grant_type)
            if exchange is None:
                raise _Refused("unsupported_grant_type")
            grant = exchange(form)
            access = f"at-{secrets.token_urlsafe(24)}"
            lifetime = self.token_lifetime
            self._access[access] = (grant, time.time() + (lifetime if lifetime is not None else 86400))
            self.issued[grant_type] = self.issued.get(grant_type, 0) + 1
            answer: dict[str, Any] = {"access_token": access, "token_type": "Bearer", "scope": grant.scope}
            if lifetime is not None:
                answer["expires_in"] = lifetime
            if grant_type != "refresh_token" or self.rotate:
                refresh = f"rt-{secrets.token_urlsafe(24)}"
                self._refresh[refresh] = _Refresh(grant)
                answer["refresh_token"] = refresh
        return _json(200, answer)

    def _by_code(self, form: dict[str, str]) -> _Grant:
        found = self._codes.get(form.get("code", ""))
        if found is None or found.used:
            raise _Refused("invalid_grant", "unknown or used code")
        found.used = True
        if form.get("redirect_uri") != found.redirect_uri:
            raise _Refused("invalid_grant", "redirect_uri does not match")
        _check_challenge(found.challenge, form.get("code_verifier"))
        return _Grant(found.scope)

    def _by_refresh(self, form: dict[str, str]) -> _Grant:
        found = self._refresh.get(form.get("refresh_token", ""))
        if found is None or found.grant.revoked:
            raise _Refused("invalid_grant", "unknown or revoked refresh token")
        now = time.time()
        if self.rotate:
            if found.spent_at is not None and now - found.spent_at > self.reuse_grace:
                found.grant.revoked = True
                self.reuses += 1
                raise _Refused("invalid_grant", "refresh token was used before; the login is revoked")
            found.spent_at = found.spent_at or now
        return found.grant

    def _by_device(self, form: dict[str, str]) -> _Grant:
        found = self._devices.get(form.get("device_code", ""))
        now = time.time()
        if found is None or now > found.until:
            raise _Refused("expired_token")
        too_soon, found.asked_at = now - found.asked_at < self.interval, now
        if found.state == "denied":
            raise _Refused("access_denied", "The person said no")
        if too_soon:
            raise _Refused("slow_down")
        if found.state == "pending":
            raise _Refused("authorization_pending")
        _check_challenge(found.challenge, form.get("code_verifier"))
        del self._devices[form["device_code"]]
        return _Grant(found.scope)


def _check_challenge(challenge: str | None, verifier: str | None) -> None:
    if challenge is None:
        return
    digest = hashlib.sha256((verifier or "").encode()).digest()
    if base64.urlsafe_b64encode(digest).decode().rstrip("=") != challenge:
        raise _Refused("invalid_grant", "PKCE verification failed")


def _redirect(query: Mapping[str, str], answer: dict[str, str]) -> Outgoing:
    if "state" in query:
        answer = {**answer, "state": query["state"]}
    target = query["redirect_uri"]
    return Outgoing(302, {"location": f"{target}{'&' if '?' in target else '?'}{urlencode(answer)}"})


def _json(status: int, payload: Mapping[str, Any]) -> Outgoing:
    headers = {"content-type": "application/json", "cache-control": "no-store"}
    return Outgoing(status, headers, json.dumps(payload).encode())
