"""Token requests as pairs of pure functions of a frozen configuration: one writes a request, one parses its answer.

``prepare_*`` writes a request, ``parse_*`` reads the answer; sending is done elsewhere. Both use oauthlib's clients.
Sources: RFC 6749, 7636 (PKCE), 7009 (revocation), 8628 (device), 9207 (issuer in the callback).
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, quote_plus, urlencode, urlsplit, urlunsplit

from attrs import frozen

from provider_kit._version import __version__
from provider_kit.auth.oauth.discovery import check_address
from provider_kit.auth.oauth.failures import no_json, refusal
from provider_kit.auth.oauth.pending_logins import PendingLogin
from provider_kit.dialects.failures import looks_like_html
from provider_kit.errors import AuthError, AuthErrorCode
from provider_kit.model.json_text import dumps, loads
from provider_kit.model.oauth import DeviceCode, OAuthConfig, OAuthToken
from provider_kit.model.secrets import MaskedFields, MaskedStr, as_masked
from provider_kit.wire.http import HttpRequest, HttpResponse

__all__ = ["PollOutcome", "TokenRequests", "lifetime_of", "make_challenge", "make_verifier", "number_of"]

#: Seconds between two polls of a device login, where the server does not say (RFC 8628 section 3.2).
_INTERVAL = 5.0
_DEVICE_LIFE = 900.0
#: Longest accepted lifetime of a token: ten years.
_LONGEST_LIFE = 10 * 365 * 86400.0
#: Type of a token that is an API key, as issued by key exchanges.
_AN_API_KEY = "api_key"
#: The fields of a client that a later process needs to refresh its tokens.
_OF_A_CLIENT = ("client_id", "client_secret", "issuer", "token_url", "revoke_url", "client_auth")
#: The token, or the seconds to add to the poll interval.
PollOutcome: TypeAlias = OAuthToken | float


def make_verifier(length: int) -> MaskedStr:
    """Create a PKCE code verifier."""
    from oauthlib.oauth2 import WebApplicationClient

    return MaskedStr(WebApplicationClient("").create_code_verifier(length))


def make_challenge(verifier: str) -> str:
    """The PKCE code challenge (S256) of a verifier."""
    from oauthlib.oauth2 import WebApplicationClient

    return str(WebApplicationClient("").create_code_challenge(verifier, "S256"))


@frozen
class TokenRequests:
    """The requests of one OAuth client and the parsing of their answers. Immutable."""

    provider: str
    config: OAuthConfig

    def __repr__(self) -> str:
        return f"<TokenRequests of {self.provider}>"

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values to redact from texts."""
        return (self.config.client_secret,) if self.config.client_secret else ()

    @property
    def client(self) -> dict[str, str]:
        """What a later process needs to refresh a token of this client."""
        told = {name: getattr(self.config, name) for name in _OF_A_CLIENT}
        return {name: str(value) for name, value in told.items() if value}

    def for_client(self, client: Mapping[str, str]) -> TokenRequests:
        """The requests of the client a token was issued to, unless the configuration names another one."""
        config = self.config
        if not client.get("client_id") or config.client_id not in ("", client["client_id"]):
            return self
        changes: dict[str, Any] = {}
        for name in _OF_A_CLIENT:
            if client.get(name) and not getattr(config, name):
                changes[name] = client[name]
        return TokenRequests(self.provider, config.replace(**changes)) if changes else self

    # -------------------------------------------------------------------------------------------- login

    def authorization_url(self, pending: PendingLogin) -> str:
        """The URL where the user agrees.

        Raises:
            AuthError: The configuration lacks an address or the client id.
        """
        from oauthlib.oauth2 import WebApplicationClient

        config = self.config
        url = check_address(config.auth_url, "auth_url", self.provider)
        challenge = {}
        if pending.verifier:
            challenge = {"code_challenge": make_challenge(pending.verifier), "code_challenge_method": "S256"}
        if config.protocol == "key_exchange":
            # This protocol has no state parameter, so the state is part of the callback URL.
            separator = "&" if "?" in pending.redirect_url else "?"
            callback = f"{pending.redirect_url}{separator}{urlencode({'state': pending.state})}"
            query = urlencode({"callback_url": callback, **challenge, **config.auth_params})
            return f"{url}{'&' if '?' in url else '?'}{query}"
        self._need_client_id()
        made: str = WebApplicationClient(config.client_id).prepare_request_uri(
            _as_https(url),
            redirect_uri=pending.redirect_url,
            scope=list(pending.scopes) or None,
            state=str(pending.state),
            **challenge,
            **config.auth_params,
        )
        return urlunsplit(urlsplit(made)._replace(scheme=urlsplit(url).scheme))

    def prepare_code_exchange(self, code: str, pending: PendingLogin) -> HttpRequest:
        """The request that exchanges a code for a token."""
        from oauthlib.oauth2 import WebApplicationClient

        url = check_address(self.config.token_url, "token_url", self.provider)
        if self.config.protocol == "key_exchange":
            fields = {"code": code, "code_verifier": pending.verifier, "code_challenge_method": "S256"}
            body = dumps({name: value for name, value in fields.items() if pending.verifier or name == "code"})
            return HttpRequest("POST", url, self._headers("application/json"), body)
        made = WebApplicationClient(self.config.client_id).prepare_request_body(
            code=code,
            redirect_uri=pending.redirect_url,
            code_verifier=str(pending.verifier) if pending.verifier else None,
            include_client_id=False,
        )
        return self._form(url, made)

    def prepare_device(self, scopes: Iterable[str], challenge: str | None) -> HttpRequest:
        """The request for a device's code; the parameters are in the form (RFC 8628 section 3.1)."""
        url = check_address(self.config.device_url, "device_url", self.provider)
        self._need_client_id()
        fields = {"scope": " ".join(scopes)}
        if challenge:
            fields |= {"code_challenge": challenge, "code_challenge_method": "S256"}
        return self._form(url, urlencode({name: value for name, value in fields.items() if value}))

    def prepare_poll(self, device: DeviceCode) -> HttpRequest:
        """The poll whether the user has agreed."""
        from oauthlib.oauth2 import DeviceClient

        url = check_address(self.config.token_url, "token_url", self.provider)
        made = DeviceClient(self.config.client_id).prepare_request_body(
            device_code=str(device.device_code), code_verifier=str(device.verifier) if device.verifier else None
        )
        return self._form(url, made)

    # -------------------------------------------------------------------------------------------- later

    def prepare_refresh(self, refresh_token: str) -> HttpRequest:
        """The request for a new access token."""
        from oauthlib.oauth2 import WebApplicationClient

        url = check_address(self.config.token_url, "token_url", self.provider)
        self._need_client_id()
        made = WebApplicationClient(self.config.client_id).prepare_refresh_body(refresh_token=str(refresh_token))
        return self._form(url, made)

    def prepare_revoke(self, token: str, kind: str) -> HttpRequest:
        """The request that revokes a token; ``kind`` is ``refresh_token`` or ``access_token`` (RFC 7009)."""
        url = check_address(self.config.revoke_url, "revoke_url", self.provider)
        return self._form(url, urlencode({"token": str(token), "token_type_hint": kind}))

    # -------------------------------------------------------------------------------------------- answers

    def parse_token(
        self,
        response: HttpResponse,
        now: float,
        *,
        previous: OAuthToken | None = None,
        scopes: Iterable[str] = (),
        sent: Iterable[str | None] = (),
    ) -> OAuthToken:
        """Parse the token of an answer.

        Args:
            response: The answer of the token URL.
            now: Seconds since 1970.
            previous: The token that was refreshed; fields missing in the answer are copied from it.
            scopes: The requested scopes; assumed to be granted where the answer does not say.
            sent: The secrets of the request, since a refusal may repeat them.

        Raises:
            AuthError: It is a refusal, a web page, or not a token.
        """
        refreshing = previous is not None
        fields = self._read(response, refreshing, (*sent, previous.refresh_token if previous is not None else None))
        if self.config.protocol == "key_exchange" and isinstance(fields.get("key"), str) and fields["key"]:
            return OAuthToken(access_token=fields["key"], obtained_at=now, token_type=_AN_API_KEY)
        access, refresh = as_masked(fields.get("access_token")), as_masked(fields.get("refresh_token"))
        kind = fields.get("token_type")
        if not isinstance(access, str) or not access.strip():
            raise self._unusable(refreshing, "it has no access_token")
        if not access.isascii() or not access.isprintable() or " " in access:
            raise self._unusable(refreshing, "its access_token holds characters that are not allowed in a header")
        if isinstance(kind, str) and kind.lower() != "bearer":
            raise self._unusable(refreshing, f"tokens of type {kind[:40]!r} are not supported, only Bearer")
        lifetime = lifetime_of(fields.get("expires_in"))
        if not isinstance(refresh, str) or not refresh:  # most servers keep the old one and do not repeat it
            refresh = previous.refresh_token if previous is not None else None
        granted = fields.get("scope")
        if isinstance(granted, str):
            granted = granted.replace(",", " ").split()
        if not isinstance(granted, list) or not all(isinstance(scope, str) for scope in granted):
            granted = previous.scopes if previous is not None else tuple(scopes)
        known = {"access_token", "refresh_token", "expires_in", "expires_at", "scope", "token_type"}
        return OAuthToken(
            access_token=access,
            refresh_token=refresh,
            expires_at=now + lifetime if lifetime is not None else None,
            obtained_at=now,
            scopes=tuple(granted),
            client=(previous.client if previous is not None and previous.client else self.client),
            extra={name: value for name, value in fields.items() if name not in known},
        )

    def parse_device(self, response: HttpResponse, now: float, verifier: str | None) -> DeviceCode:
        """Parse the code of a device login.

        Raises:
            AuthError: It is a refusal, or lacks what the user needs.
        """
        fields = self._read(response, False)
        found = MaskedFields({name: fields.get(name) for name in ("device_code", "user_code")})
        uri = fields.get("verification_uri") or fields.get("verification_url")  # Google's older name
        if not all(isinstance(value, str) and value for value in (*found.values(), uri)):
            raise self._unusable(False, "it has no device_code, user_code or verification_uri")
        complete = fields.get("verification_uri_complete")
        shown = [url for url in (uri, complete) if isinstance(url, str)]
        if not all(url.startswith(("https://", "http://")) and url.isprintable() for url in shown):
            raise self._unusable(False, "its verification_uri is not a web address")
        interval = number_of(fields.get("interval"))
        life = lifetime_of(fields.get("expires_in"))
        return DeviceCode(
            user_code="".join(char for char in str(found["user_code"]) if char.isprintable())[:100],
            verification_uri=str(uri),
            verification_uri_complete=complete if isinstance(complete, str) else None,
            device_code=str(found["device_code"]),
            interval=min(60.0, max(1.0, interval)) if interval is not None and interval > 0 else _INTERVAL,
            expires_at=now + (life if life is not None else _DEVICE_LIFE),
            verifier=verifier,
        )

    def parse_poll(self, response: HttpResponse, now: float, device: DeviceCode, scopes: Iterable[str]) -> PollOutcome:
        """Parse the answer of a poll: the token, or the seconds to add to the interval (0: unchanged).

        Raises:
            AuthError: The user declined, the code expired, or the server refuses.
        """
        # Only the codes count: servers send both with status 400, 428, 429, 403 and even 200.
        error = _error_of(response)
        if error == "authorization_pending":
            return 0.0
        if error == "slow_down":
            return 5.0  # RFC 8628 section 3.5
        if not error and (response.status == 429 or response.status >= 500):
            return 5.0
        return self.parse_token(response, now, scopes=scopes, sent=(device.device_code, device.verifier))

    def parse_revoke(self, response: HttpResponse) -> None:
        """Check that a token was revoked; one that was already invalid counts too (RFC 7009 section 2.2)."""
        if response.status >= 300:
            self._read(response, False)
            raise refusal(self.provider, response.status, "", "", refreshing=False)

    def _read(self, response: HttpResponse, refreshing: bool, sent: Iterable[str | None] = ()) -> MaskedFields:
        status = response.status
        if 300 <= status < 400:
            # Requests with secrets follow no redirect.
            raise AuthError(
                f"The authorization server redirects (status {status}); that is not followed.",
                code=AuthErrorCode.INVALID_CONFIG,
                provider=self.provider,
                hint="Give the final address as token_url, device_url or revoke_url.",
            )
        fields = _fields(response)
        if fields is None or ("access_token" not in fields and looks_like_html(response.body)):
            raise no_json(self.provider, status, looks_like_html(response.body), refreshing=refreshing)
        if "error" not in fields and status < 300 and "access_token" in fields:
            fields = _judged(fields)
        error_field = fields.get("error")
        if isinstance(error_field, Mapping):  # as APIs have it: {"error": {"message": …, "code": …}}
            fields = MaskedFields(
                error=error_field.get("code") or error_field.get("type") or "error",
                error_description=error_field.get("message") or "",
            )
        if status >= 300 or "error" in fields:
            raise refusal(
                self.provider,
                status,
                str(fields.get("error") or ""),
                str(fields.get("error_description") or fields.get("message") or ""),
                refreshing=refreshing,
                # Servers may repeat what was sent: "Invalid refresh token: …".
                secrets=(*self.secrets, *(secret for secret in sent if secret)),
            )
        return fields

    def _unusable(self, refreshing: bool, why: str) -> AuthError:
        return AuthError(
            f"{'Token refresh' if refreshing else 'The login'} failed: the answer of the server cannot be used, {why}.",
            code=AuthErrorCode.REFRESH_FAILED if refreshing else AuthErrorCode.OAUTH_FLOW_FAILED,
            provider=self.provider,
            hint="Check token_url; the answer does not conform to RFC 6749. Your login is kept.",
        )

    # -------------------------------------------------------------------------------------------- requests

    def _need_client_id(self) -> None:
        if not self.config.client_id:
            raise AuthError(
                "The OAuth client has no client_id.",
                code=AuthErrorCode.INVALID_CONFIG,
                provider=self.provider,
                hint="Register an OAuth client with the provider and pass OAuthConfig(client_id='…').",
            )

    def _headers(self, content_type: str) -> dict[str, str]:
        return {
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
            "Content-Type": content_type,
            "User-Agent": self.config.http.user_agent or f"provider-kit/{__version__}",
        }

    def _form(self, url: str, body: str) -> HttpRequest:
        config = self.config
        headers = self._headers("application/x-www-form-urlencoded")
        fields = [(name, value) for name, value in parse_qsl(body) if name not in ("client_id", "client_secret")]
        if config.client_secret and config.client_auth == "basic":
            # RFC 6749 section 2.3.1: both halves are form-encoded first.
            pair = f"{quote_plus(config.client_id)}:{quote_plus(config.client_secret)}"
            headers["Authorization"] = MaskedStr(f"Basic {base64.b64encode(pair.encode()).decode()}")
        else:
            if config.client_id:
                fields.append(("client_id", config.client_id))
            if config.client_secret:
                fields.append(("client_secret", config.client_secret))
        return HttpRequest("POST", url, headers, urlencode(fields).encode())


def _as_https(url: str) -> str:
    """oauthlib refuses plain http URLs; that these are loopback URLs was checked already."""
    return urlunsplit(urlsplit(url)._replace(scheme="https"))


def _fields(response: HttpResponse) -> MaskedFields | None:
    text = response.body[:1_000_000].decode("utf-8", "replace")
    try:
        found = loads(text.encode())
    except ValueError:
        found = None
        if "=" in text and "<" not in text and len(text) < 100_000:  # some older servers answer with a form
            found = dict(parse_qsl(text))
    return MaskedFields(found) if isinstance(found, dict) and found else None


def _judged(fields: MaskedFields) -> MaskedFields:
    """Let oauthlib validate the token, except for times it cannot read."""
    from oauthlib.oauth2 import OAuth2Error
    from oauthlib.oauth2.rfc6749.parameters import validate_token_parameters
    from oauthlib.oauth2.rfc6749.tokens import OAuth2Token

    safe = {name: value for name, value in fields.items() if name not in ("expires_in", "expires_at", "scope")}
    try:
        validate_token_parameters(OAuth2Token(safe))
    except OAuth2Error as error:
        return MaskedFields(error=error.error, error_description=error.description or "")
    return fields


def _error_of(response: HttpResponse) -> str:
    fields = _fields(response) or MaskedFields()
    error = fields.get("error")
    return error if isinstance(error, str) else ""


def number_of(value: Any) -> float | None:
    """A finite number, which may be a string; ``None`` for anything else."""
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def lifetime_of(value: Any) -> float | None:
    """The lifetime of a token in seconds; ``None`` if absent, zero or invalid, so only the API decides."""
    seconds = number_of(value)
    return min(seconds, _LONGEST_LIFE) if seconds is not None and seconds > 0 else None
