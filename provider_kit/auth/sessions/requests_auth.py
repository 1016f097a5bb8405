"""Tokens for requests: as its ``auth``, and as a session of requests-oauthlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import requests
from requests.auth import AuthBase
from requests_oauthlib import OAuth2Session

from provider_kit.auth.sessions.host_check import TokenSource, check_hosts, require_host
from provider_kit.errors import AuthError

__all__ = ["OAuthRequestsAuth", "OAuthRequestsSession"]


class OAuthRequestsAuth(AuthBase):
    """Adds a valid token to each request, and repeats a request once if its token was refused."""

    def __init__(self, authenticator: TokenSource, hosts: Sequence[str]) -> None:
        self._authenticator = authenticator
        self._hosts = check_hosts(hosts, authenticator.provider)

    def __repr__(self) -> str:
        return f"<OAuthRequestsAuth of {self._authenticator.provider}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OAuthRequestsAuth) and other._authenticator is self._authenticator

    def __hash__(self) -> int:
        return id(self._authenticator)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Sign a request.

        Raises:
            AuthError: There is no token, or it may not be sent to this host.
        """
        require_host(request.url or "", self._hosts, self._authenticator.provider)
        token = self._authenticator.get_token()
        request.headers["Authorization"] = f"Bearer {token}"
        body = request.body
        start = body.tell() if body is not None and hasattr(body, "tell") else None

        def again(response: requests.Response, **options: Any) -> requests.Response:
            sent = response.request
            if response.status_code != 401 or getattr(sent, "_provider_kit_renewed", False):
                return response
            if sent.headers.get("Authorization") != f"Bearer {token}":
                return response  # a redirect to another host, which got no token
            repeatable = start is not None or sent.body is None or isinstance(sent.body, (str, bytes))
            if not repeatable:
                return response
            renewed = self._renew(token)
            if renewed == token:
                return response
            response.content  # noqa: B018  # read to its end, so that its connection can be used again
            response.close()
            if start is not None:
                sent.body.seek(start)  # type: ignore[union-attr]  # start is set for files only
            repeated = sent.copy()
            repeated.headers["Authorization"] = f"Bearer {renewed}"
            repeated._provider_kit_renewed = True  # type: ignore[attr-defined]  # a mark, so that it is sent again once at most
            answer: requests.Response = response.connection.send(repeated, **options)
            answer.history.append(response)
            answer.request = repeated
            return answer

        request.register_hook("response", again)  # type: ignore[no-untyped-call]  # it has no types in requests
        return request

    def _renew(self, refused: str) -> str:
        return self._authenticator.renew_refused(refused)


class OAuthRequestsSession(OAuth2Session):
    """An ``OAuth2Session`` whose token is refreshed by its authenticator: one at a time, and stored."""

    def __init__(self, authenticator: TokenSource, hosts: Sequence[str]) -> None:
        self._authenticator = authenticator
        self._hosts = check_hosts(hosts, authenticator.provider)
        config = authenticator.config
        super().__init__(client_id=config.client_id, token=self._dict(), auto_refresh_url=config.token_url or "-")
        # requests-oauthlib would refresh without the lock of the storage; refresh_token() is overridden.
        self.token_updater = lambda token: None

    def _dict(self) -> dict[str, Any]:
        token = self._authenticator.get_token()
        info = self._authenticator.get_token_info()
        made: dict[str, Any] = {"access_token": str(token), "token_type": "Bearer"}
        if info is not None and info.expires_at is not None:
            made["expires_at"] = info.expires_at
        return made

    def request(self, method: str, url: str, *arguments: Any, **options: Any) -> requests.Response:  # type: ignore[override]  # ours hands all on
        """Send a request with a good token.

        Raises:
            AuthError: There is no token, or it may not be sent to this host.
        """
        require_host(url, self._hosts, self._authenticator.provider)
        self.token = self._dict()
        return super().request(method, url, *arguments, **options)

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send a prepared request; its final URL is checked, at each redirect too."""
        if "Authorization" in request.headers:
            require_host(request.url or "", self._hosts, self._authenticator.provider)
        return super().send(request, **options)

    def refresh_token(self, token_url: str, **options: Any) -> dict[str, Any]:  # type: ignore[override]  # ours needs no arguments
        """Refresh through the authenticator."""
        self._authenticator.refresh_token()
        self.token = self._dict()
        return dict(self.token)

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """At a redirect, send the token only to the named hosts."""
        super().rebuild_auth(prepared_request, response)  # type: ignore[no-untyped-call]  # it has no types in requests
        try:
            require_host(prepared_request.url or "", self._hosts, self._authenticator.provider)
        except AuthError:
            prepared_request.headers.pop("Authorization", None)
