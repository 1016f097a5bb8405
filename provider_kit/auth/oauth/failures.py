"""Error codes of authorization servers: one table of their meanings and remedies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import frozen

from provider_kit.errors import AuthError, AuthErrorCode
from provider_kit.wire.redaction import redact

__all__ = ["callback_refusal", "no_json", "refusal"]

_Code = AuthErrorCode


@frozen
class Refusal:
    """The meaning of an ``error`` of RFC 6749 section 5.2."""

    cause: str
    #: ``{provider}`` stands for its name.
    hint: str
    #: Code for a refresh, and for a login.
    refresh: AuthErrorCode
    login: AuthErrorCode
    retryable: bool = False


_LOG_IN = "Log in again: provider-kit auth login {provider}, or login(). Nothing else helps."
_REFUSALS: Mapping[str, Refusal] = {
    "invalid_grant": Refusal(
        "the refresh token has expired, was revoked, or was used before",
        _LOG_IN,
        _Code.REFRESH_FAILED,
        _Code.OAUTH_FLOW_FAILED,
    ),
    "invalid_client": Refusal(
        "client_id or client_secret is wrong",
        "Compare client_id and client_secret with the provider's console; a deleted client must be created again.",
        _Code.INVALID_CREDENTIALS,
        _Code.INVALID_CREDENTIALS,
    ),
    "unauthorized_client": Refusal(
        "this client may not use this grant type",
        "Allow the grant (authorization code, device code, refresh token) for the client in the provider's console.",
        _Code.INVALID_CREDENTIALS,
        _Code.INVALID_CREDENTIALS,
    ),
    "invalid_scope": Refusal(
        "a scope is unknown or not granted",
        "Request only scopes that the provider documents, and log in again.",
        _Code.SCOPE_INSUFFICIENT,
        _Code.SCOPE_INSUFFICIENT,
    ),
    "insufficient_scope": Refusal(
        "the token lacks a scope",
        "Log in again with the missing scope.",
        _Code.SCOPE_INSUFFICIENT,
        _Code.SCOPE_INSUFFICIENT,
    ),
    "invalid_request": Refusal(
        "a parameter is missing or malformed",
        "Check redirect_url (exactly as registered), token_url and the client's type; the server's message is above.",
        _Code.REFRESH_FAILED,
        _Code.OAUTH_FLOW_FAILED,
    ),
    "redirect_uri_mismatch": Refusal(
        "the redirect address is not registered",
        "Register the redirect_url for this client in the provider's console, exactly as it is configured here.",
        _Code.INVALID_CONFIG,
        _Code.INVALID_CONFIG,
    ),
    "unsupported_grant_type": Refusal(
        "the token URL does not know this grant type: the address is wrong, or the grant is not offered",
        "Check token_url, and whether the provider offers this kind of login.",
        _Code.INVALID_CONFIG,
        _Code.INVALID_CONFIG,
    ),
    "access_denied": Refusal(
        "the user declined, or is not permitted to agree",
        "Log in again and agree, or ask the administrator of the account.",
        _Code.REFRESH_FAILED,
        _Code.OAUTH_FLOW_FAILED,
    ),
    "expired_token": Refusal(
        "the code was not entered in time",
        "Start again, and enter the new code before it expires.",
        _Code.OAUTH_FLOW_FAILED,
        _Code.OAUTH_FLOW_FAILED,
    ),
    "server_error": Refusal(
        "the authorization server failed",
        "Try again later; your login is kept.",
        _Code.PROVIDER_UNAVAILABLE,
        _Code.PROVIDER_UNAVAILABLE,
        True,
    ),
    "temporarily_unavailable": Refusal(
        "the authorization server is busy",
        "Try again later; your login is kept.",
        _Code.PROVIDER_UNAVAILABLE,
        _Code.PROVIDER_UNAVAILABLE,
        True,
    ),
}
_CODE_REUSED = "the code has expired or was used before, or it belongs to another client, redirect_url or verifier"


def refusal(
    provider: str,
    status: int,
    error: str,
    description: str,
    *,
    refreshing: bool,
    secrets: Iterable[str] = (),
) -> AuthError:
    """The error for a refusal by a token URL.

    Args:
        provider: Name of the provider.
        status: HTTP status.
        error: The server's code; may be empty.
        description: The server's message.
        refreshing: Whether it was a refresh; else a login.
        secrets: The values to redact.
    """
    what = "Token refresh" if refreshing else "The login"
    message = f"{what} failed with status {status}"
    said = redact(" ".join(description.split())[:300], secrets).rstrip(".")
    code = redact(error[:80], secrets)
    known = _REFUSALS.get(error)
    if status == 429 or status >= 500:
        known = _REFUSALS["temporarily_unavailable"]
    if known is None and status in (404, 405, 410):
        return _wrong_address(provider, message, f"status {status}: nothing answers at this address")
    if known is None:
        known = Refusal(
            "the server gave no known reason",
            "The server's message is above.",
            _Code.REFRESH_FAILED,
            _Code.OAUTH_FLOW_FAILED,
        )
    cause = _CODE_REUSED if error == "invalid_grant" and not refreshing else known.cause
    hint = known.hint.format(provider=provider) if error != "invalid_grant" or refreshing else "Start the login again."
    details = f"{code}: {cause}" if code else cause
    made = AuthError(
        message,
        code=known.refresh if refreshing else known.login,
        details=f"{details}; {said}" if said and said != code else details,
        provider=provider,
        retryable=known.retryable,
        hint=hint,
    )
    made.needs_login = refreshing and error == "invalid_grant" and not known.retryable
    return made


def _wrong_address(provider: str, message: str, why: str) -> AuthError:
    return AuthError(
        message,
        code=_Code.INVALID_CONFIG,
        details=f"the address is wrong; {why}",
        provider=provider,
        hint="Check token_url, device_url and revoke_url, or give issuer= and use its discovery document.",
    )


def no_json(provider: str, status: int, page: bool, *, refreshing: bool) -> AuthError:
    """The error for an answer that is not a token response."""
    what = "Token refresh" if refreshing else "The login"
    why = "a web page answered" if page else "the answer is not JSON"
    if page and refreshing and status < 400:
        # The address worked for the login: now a captive portal or a proxy answers in its place.
        return AuthError(
            f"{what} failed with status {status}",
            code=_Code.PROVIDER_UNAVAILABLE,
            details=f"{why}: a proxy or login page answers in place of the server",
            provider=provider,
            hint="Check the network and the proxy settings, then token_url. Your login is kept.",
        )
    if status in (429,) or status >= 500:
        return refusal(provider, status, "", "", refreshing=refreshing)
    return _wrong_address(provider, f"{what} failed with status {status}", why)


def callback_refusal(provider: str, fields: Mapping[str, Any], secrets: Iterable[str] = ()) -> AuthError:
    """The error for a callback with an ``error`` instead of a code (RFC 6749 section 4.1.2.1)."""
    error = str(fields.get("error") or "")
    made = refusal(provider, 200, error, str(fields.get("error_description") or ""), refreshing=False, secrets=secrets)
    made.message = (
        "The login was declined" if error == "access_denied" else "The authorization server refused the login"
    )
    made.args = (made.message,)
    return made
