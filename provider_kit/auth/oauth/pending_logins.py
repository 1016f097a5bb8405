"""Logins that were started here and wait for their callback: one-time, timed, and compared in constant time."""

from __future__ import annotations

import hmac
import secrets
import threading
from collections.abc import Iterable
from urllib.parse import parse_qsl, urlsplit

from attrs import field, frozen

from provider_kit.auth.oauth.failures import callback_refusal
from provider_kit.errors import AuthError, AuthErrorCode
from provider_kit.model.secrets import MaskedFields, MaskedStr, as_masked
from provider_kit.policies.after_fork import renew_after_fork

__all__ = ["Callback", "PendingLogin", "PendingLogins", "read_callback"]

#: Greatest number of pending logins; beyond it the oldest is dropped.
_MOST = 1000


@frozen(kw_only=True)
class PendingLogin:
    """A login that was started."""

    state: str = field(repr=False, converter=as_masked)
    #: The PKCE code verifier; ``None`` without PKCE.
    verifier: str | None = field(repr=False, converter=as_masked)
    redirect_url: str
    scopes: tuple[str, ...] = ()
    #: Time on the clock at which it expires.
    until: float


@frozen(kw_only=True)
class Callback:
    """The parameters of a callback."""

    code: str = field(repr=False, converter=as_masked)
    state: str | None = field(repr=False, converter=as_masked)
    #: The issuer named in the callback (RFC 9207).
    issuer: str | None = None


class PendingLogins:
    """The pending logins of one authenticator; there may be several."""

    def __init__(self, provider: str) -> None:
        self._begin(provider)

    def _begin(self, provider: str) -> None:
        self._provider = provider
        self._lock = threading.RLock()
        self._waiting: list[PendingLogin] = []
        self._used: list[str] = []
        renew_after_fork(self)

    def _after_fork(self) -> None:
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"<{len(self._waiting)} pending logins of {self._provider}>"

    def __getstate__(self) -> dict[str, object]:
        return {"_provider": self._provider}  # a copy has started no login

    def __setstate__(self, state: dict[str, str]) -> None:
        self._begin(state["_provider"])

    def begin(
        self,
        *,
        verifier: str | None,
        redirect_url: str,
        scopes: Iterable[str],
        length: int,
        until: float,
    ) -> PendingLogin:
        """Add a login with a new, unguessable state."""
        made = PendingLogin(
            state=MaskedStr(secrets.token_urlsafe(length)),
            verifier=verifier,
            redirect_url=redirect_url,
            scopes=tuple(scopes),
            until=until,
        )
        with self._lock:
            self._waiting = [*self._waiting[-_MOST + 1 :], made]
        return made

    def knows(self, state: str | None) -> bool:
        """Whether a login with this state is pending."""
        return self._find(state) is not None

    def take(self, state: str | None, now: float) -> PendingLogin:
        """Remove and return the login of a state.

        Raises:
            AuthError: The state is missing, forged, from another login, used before, or too old.
        """
        if not state:
            raise self.invalid("the callback has no state", "Pass the full URL the browser was redirected to.")
        with self._lock:
            found = self._find(state)
            if found is None:
                again = any(_equal(used, state) for used in self._used)
                raise self.unknown(again)
            self._waiting = [login for login in self._waiting if login is not found]
            self._used = [*self._used[-_MOST + 1 :], found.state]
        if now > found.until:
            raise self.too_late()
        return found

    def unknown(self, again: bool) -> AuthError:
        """The error for an unknown state."""
        if again:
            return self.invalid("this callback was used before", "Start a new login; a callback works once.")
        return self.invalid(
            "the state is not from a login that was started here: it is forged, or from another process or login",
            "Start the login again and complete it in the same process, or share logins: StateConfig(shared=True).",
        )

    def too_late(self) -> AuthError:
        """The error for a callback that comes too late."""
        return self.invalid("the login took too long", "Start it again, or raise StateConfig(ttl=…).")

    def _find(self, state: str | None) -> PendingLogin | None:
        found = None
        for login in self._waiting:  # all of them, so that timing reveals nothing
            if _equal(login.state, state or ""):
                found = login
        return found

    def invalid(self, why: str, hint: str) -> AuthError:
        """The error for a callback with an invalid state."""
        return AuthError(
            "Invalid OAuth state.",
            code=AuthErrorCode.OAUTH_FLOW_FAILED,
            details=why,
            provider=self._provider,
            hint=hint,
        )


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(errors="replace"), other.encode(errors="replace"))


def read_callback(provider: str, code: str, state: str | None = None) -> Callback:
    """Parse a callback: a code and a state, or the full URL the browser was redirected to.

    Raises:
        AuthError: There is no code in it, or the server reports an error.
    """
    code = MaskedStr(code.strip() if isinstance(code, str) else "")
    fields = _callback_fields(code)
    if fields.get("error"):
        raise callback_refusal(provider, fields)
    found = as_masked(fields.get("code", "") if fields or _is_address(code) else code)
    if not found:
        raise AuthError(
            "The callback has no code.",
            code=AuthErrorCode.OAUTH_FLOW_FAILED,
            provider=provider,
            hint="Pass the code and the state, or the full URL the browser was redirected to.",
        )
    return Callback(code=found, state=state or fields.get("state"), issuer=fields.get("iss"))


def _is_address(text: str) -> bool:
    """Whether it is (a part of) a URL, not just a code."""
    return "://" in text or text.startswith(("/", "?")) or "code=" in text or "error=" in text


def _callback_fields(text: str) -> MaskedFields:
    if not _is_address(text):
        return MaskedFields()
    try:
        parts = urlsplit(text if "://" in text or text.startswith(("/", "?")) else f"?{text}")
    except ValueError:
        return MaskedFields()
    return MaskedFields(parse_qsl(parts.query) or parse_qsl(parts.fragment))
