"""A pool whose keys are tokens: each is refreshed before it expires, and once when the provider refuses it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple, Protocol

from provider_kit.auth.keys.pool import KeyPool
from provider_kit.auth.keys.sources import check_key
from provider_kit.auth.keys.state import Key
from provider_kit.errors import AuthError, AuthErrorCode, ConfigError, NotSupportedError, ProviderKitError
from provider_kit.model.secrets import MaskedStr
from provider_kit.transports.base import Runtime

__all__ = ["Credential", "CredentialPool", "Secret"]

#: Failures that only a new login, or another client, resolves; all others may be temporary.
_OVER = (AuthErrorCode.TOKEN_EXPIRED, AuthErrorCode.INVALID_CREDENTIALS)


class Secret(NamedTuple):
    """The secret of a credential: a token, a key, or whatever the provider's signer understands."""

    value: str
    #: Time on the clock from which it must be obtained again.
    fresh_until: float
    #: Whether another process renewed it, so that it was only adopted here.
    adopted: bool = False

    def __repr__(self) -> str:
        return f"<Secret until {self.fresh_until:.0f}>"


class Credential(Protocol):
    """A source of a secret. A signer, or a header, uses it to authenticate requests."""

    @property
    def id(self) -> str:
        """Its distinct name; shown in logs."""
        ...

    @property
    def renewable(self) -> bool:
        """Whether asking again may bring another token."""
        ...

    @property
    def bearer(self) -> bool:
        """Whether the token is sent as a bearer token; else as an API key."""
        ...

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values to redact from texts."""
        ...

    async def obtain(self, runtime: Runtime, deadline: float | None, rejected: str | None) -> Secret:
        """Return a valid secret.

        Args:
            runtime: The blocking or asyncio runtime of the caller.
            deadline: Time on the clock until which the caller waits.
            rejected: The secret that the provider has refused, if that is the reason.

        Raises:
            AuthError: There is none.
        """
        ...

    def observe(self, ok: bool, latency: float, tokens: float | None, time: float) -> float | None:
        """Record the end of a call; may return a new time until which its token is valid."""
        ...


class CredentialPool(KeyPool):
    """The credentials of one provider, with the health and rotation of a :class:`KeyPool`.

    Args:
        provider: Name of the provider, for errors.
        credentials: The credentials; each has a distinct id.
        options: Options of :class:`KeyPool`.
    """

    renewable = True

    def __init__(self, provider: str, credentials: Iterable[Credential], **options: Any) -> None:
        super().__init__(provider, **options)
        self._credentials: dict[str, Credential] = {}
        self._bearer: dict[str, bool] = {}
        for credential in credentials:
            self.add_credential(credential)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.provider}: {len(self)} credentials>"

    # -------------------------------------------------------------------------------------------- credentials

    @property
    def secrets(self) -> tuple[str, ...]:
        """All tokens, current and former, and the secrets that refresh them."""
        known = [secret for credential in list(self._credentials.values()) for secret in credential.secrets]
        return (*dict.fromkeys((*known, *(str(key.value) for key in self._keys if key.value), *self._former)),)

    def add_credential(self, credential: Credential) -> None:
        """Add a credential; calls use it from now on.

        Raises:
            ConfigError: One with this id is there already.
        """
        with self._lock:
            if credential.id in self._credentials:
                raise ConfigError(f"Two credentials are called {credential.id!r}.", hint="Give each a distinct id.")
            self._credentials[credential.id] = credential
            made = Key(MaskedStr(""), credential.id, label=credential.id, fresh_until=-math.inf)
            self._keys = [*self._keys, made]
            self.has_multiple = len(self._keys) > 1
        subscribe = getattr(credential, "subscribe", None)
        if subscribe is not None:
            subscribe(lambda: self.forget_token(credential.id))

    async def failures(self, transport: Runtime, deadline: float | None = None) -> dict[str, ProviderKitError]:
        """Which credentials have no valid token now, and why; tokens that are due are refreshed.

        Args:
            transport: Used for waiting.
            deadline: Time on the clock until which to wait for them.
        """
        found: dict[str, ProviderKitError] = {}
        for credential in list(self._credentials.values()):
            try:
                await credential.obtain(transport, deadline, None)
            except ProviderKitError as error:
                found[credential.id] = error
        return found

    def forget_token(self, credential_id: str) -> None:
        """After a login or logout: earlier tokens are not used again."""
        with self._lock:
            key = self.key_of(credential_id)
            if key is None:
                return
            if key.value:
                self._former = (str(key.value), *self._former)[:16]
            key.value, key.fresh_until, key.rejected = MaskedStr(""), -math.inf, None
            self._recover(key)

    def _recover(self, key: Key) -> None:
        key.dead, key.healthy, key.failures, key.available_at, key.state = False, True, 0, 0.0, ""

    async def retry_dead(self, transport: Runtime) -> bool:
        """Whether a credential that needed a login has a token again, e.g. from another process."""
        for key in self._keys:
            if key.dead:
                try:
                    if await self.renew(key, transport):
                        return True
                except AuthError:
                    continue
        return False

    def remove_credential(self, credential_id: str) -> bool:
        """Remove a credential; requests in flight with it finish. Return whether it existed."""
        with self._lock:
            if self._credentials.pop(credential_id, None) is None:
                return False
            gone = [key for key in self._keys if key.id == credential_id]
            self._keys = [key for key in self._keys if key.id != credential_id]
            self.has_multiple = len(self._keys) > 1
            self._former = (*(str(key.value) for key in gone if key.value), *self._former)[:16]
            return True

    def add_key(self, key: str, *, weight: float = 1.0) -> None:
        """Not available for credentials.

        Raises:
            NotSupportedError: Always.
        """
        raise NotSupportedError("Keys cannot be mixed with OAuth credentials.", hint="Use add_credential().")

    def key_of(self, credential_id: str) -> Key | None:
        """The state of a credential."""
        return next((key for key in self._keys if key.id == credential_id), None)

    # -------------------------------------------------------------------------------------------- tokens

    def is_bearer(self, key: str) -> bool:
        """Whether a token is sent as a bearer token."""
        return self._bearer.get(key, True)

    def identity(self, key: Key) -> str:
        """What identifies the owner of a token, where that is known."""
        return str(getattr(self._credentials.get(key.id), "identity", ""))

    def can_renew(self, key: Key) -> bool:
        """Whether asking again may bring another token."""
        credential = self._credentials.get(key.id)
        return credential is not None and credential.renewable

    def reject(self, key: Key, value: str) -> bool:
        """The provider has refused a token; it is refreshed before its next use, unless that has happened meanwhile.

        Returns:
            Whether a new token may be obtained."""
        if not self.can_renew(key):
            return False
        with self._lock:
            if key.value == value:
                key.rejected, key.fresh_until = MaskedStr(value), -math.inf
        return True

    async def renew(
        self, key: Key, transport: Runtime, deadline: float | None = None
    ) -> Literal["adopted", "renewed"] | None:
        """Ensure a valid token; return whether it is another one, renewed here or adopted from another process.

        Raises:
            AuthError: There is none.
        """
        credential = self._credentials.get(key.id)
        if credential is None:  # removed since it was chosen; requests in flight may finish
            return None
        secret = await credential.obtain(transport, deadline, key.rejected)
        value, fresh_until = secret[:2]
        usable = isinstance(value, str) and value.isascii() and value.isprintable() and value and " " not in value
        made = MaskedStr(value if usable else check_key(value, self.provider))
        with self._lock:
            if key.value and key.value != made:
                self._former = (str(key.value), *self._former)[:16]
                self._bearer.pop(key.value, None)
            changed = key.value != made
            if changed:
                self._recover(key)
            self._bearer[made] = credential.bearer
            key.value, key.fresh_until, key.rejected = made, fresh_until, None
        if not changed:
            return None
        return "adopted" if getattr(secret, "adopted", False) else "renewed"

    def renew_by(self, credential_id: str, until: float) -> None:
        """Refresh a credential's token at this time on the clock, if not sooner."""
        key = self.key_of(credential_id)
        if key is not None:
            key.fresh_until = min(key.fresh_until, until)

    def renewal_failed(self, key: Key, error: AuthError, now: float) -> None:
        """No token could be obtained: let the credential cool down, or disable it where only a login helps."""
        if error.refresh_pending:
            return
        with self._lock:
            key.last_error = type(error).__name__
            key.failures += 1
            key.healthy = False
            key.rejected = None  # the next call may try again
            if error.needs_login or error.code in _OVER:
                key.dead, key.server_specified, key.probed = True, False, now
            else:
                self._rest(key, "unhealthy", now + self._backoff(key.failures), False)

    def observe(self, key: Key, ok: bool, latency: float, tokens: float | None, time: float) -> None:
        """A call with a credential has ended."""
        credential = self._credentials.get(key.id)
        if credential is not None:
            until = credential.observe(ok, latency, tokens, time)
            if until is not None:
                key.fresh_until = min(key.fresh_until, until)
