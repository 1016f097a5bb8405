"""One token and its storage: reading, storing and deleting. Nothing is refreshed here.

The stored token takes precedence over the one in memory, unless the latter is newer and could not be stored. A login or
logout takes effect at once, and is not undone by an earlier read.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from provider_kit.auth.monitoring.metrics import CredentialMetrics
from provider_kit.auth.oauth.token_state import RefreshStrategy, TokenState
from provider_kit.auth.storage.adapter import StorageAdapter
from provider_kit.auth.storage.protocol import LockLike, TokenStorage
from provider_kit.errors import AuthError, AuthErrorCode, ProviderKitError
from provider_kit.model.oauth import OAuthToken
from provider_kit.transports.base import Runtime, Transport
from provider_kit.transports.pair import Transports

__all__ = ["StoredToken"]

_LOG = logging.getLogger("provider_kit.auth")

#: Requests after which the refresh buffer of a token is recomputed.
_RECOMPUTE_EVERY = 64
#: Seconds a login or logout waits for a refresh of another process.
_MAX_LOCK_WAIT = 10.0


class StoredToken:
    """A token of one credential, in memory and in its storage.

    Args:
        credential_id: Name of the credential, for logs.
        provider: For errors.
        pair: The blocking and asyncio transports.
        storage: Where the token is stored; ``None``: in memory only.
        storage_key: Name it is stored under.
        token: The initial token, where the storage has none.
        strategy: How early to refresh.
        enabled: Whether to refresh at all.
        clock: A monotonic clock.
    """

    def __init__(
        self,
        credential_id: str,
        provider: str,
        pair: Transports,
        storage: TokenStorage | None,
        storage_key: str,
        token: OAuthToken | None,
        strategy: RefreshStrategy,
        enabled: bool,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.id = credential_id
        self.provider = provider
        self.storage_key = storage_key or credential_id
        self._transports = pair
        self._home = StorageAdapter(storage, self.storage_key, provider) if storage is not None else None
        self._state = TokenState(strategy, enabled)
        self._clock = clock
        #: The token of the configuration; a stored one takes precedence until it expires.
        self._given = token
        self._given_used = False
        self._changed: list[Callable[[], object]] = []
        if token is not None and storage is None:
            self._state.token = token

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} of {self.provider}>"

    # -------------------------------------------------------------------------------------------- facts

    @property
    def token(self) -> OAuthToken | None:
        """The token as last known here, without reading the storage or refreshing."""
        return self._state.token

    @property
    def renewable(self) -> bool:
        """Whether a new token may be obtained, by a refresh or from the storage."""
        return self._home is not None or self._state.can_refresh(self._state.token)

    @property
    def fresh_until(self) -> float:
        """Time on the clock until which it is used without a check."""
        return self._state.fresh_until

    @property
    def metrics(self) -> CredentialMetrics:
        """The metrics of the credential."""
        return self._state.metrics

    @property
    def bearer(self) -> bool:
        """False for an API key obtained by a login."""
        token = self._state.token
        return token is None or token.token_type != "api_key"

    def observe(self, ok: bool, latency: float, tokens: float | None, time: float) -> float | None:
        """Count a call; now and then, return the time until which the token needs no refresh."""
        metrics = self._state.metrics
        metrics.record(ok, latency, tokens, time)
        if metrics.request_count % _RECOMPUTE_EVERY == 0 and self._clock is not None:
            return self.reschedule(self._clock(), time)
        return None

    def subscribe(self, changed: Callable[[], object]) -> None:
        """Register a function that is called after each login and logout, when earlier tokens become invalid."""
        self._changed.append(changed)

    def _announce(self) -> None:
        self._state.generation += 1
        for changed in self._changed:
            changed()

    def set_strategy(self, strategy: RefreshStrategy, now: float, time: float) -> None:
        """Refresh earlier or later from now on."""
        self._state.strategy = strategy
        self._state.schedule(now, time)

    def reschedule(self, now: float, time: float) -> float:
        """Recompute when the current token is to be refreshed; traffic may have changed."""
        self._state.schedule(now, time)
        return self._state.fresh_until

    def fresh_for(self, transport: Runtime) -> float:
        """Seconds for which the current token is used without a check."""
        return self._state.fresh_until - self._own(transport).now()

    def _own(self, transport: Runtime) -> Transport:
        """The own transport of the same kind, blocking or asyncio."""
        transports = self._transports
        made = transports.asyncio if transport.kind == "asyncio" else transports.blocking
        return made or transports.for_same_runtime(transport)

    # -------------------------------------------------------------------------------------------- login and logout

    async def load(self, transport: Transport) -> OAuthToken | None:
        """Read the token from the storage; it is not refreshed.

        Raises:
            StorageError: It cannot be read.
            EncryptionError: It cannot be decrypted.
        """
        await self._reload(self._own(transport))
        return self._state.token

    async def store_login(self, transport: Transport, token: OAuthToken) -> None:
        """Store the token of a new login, and use it from now on.

        Raises:
            StorageError: It could not be stored. This process uses it nevertheless.
        """
        state, own = self._state, self._own(transport)
        _LOG.info("%s: logged in as %s", self.provider, self.storage_key)
        self._announce()
        state.reset_failures()
        state.revoke_pending = False
        self._use_token(token, own)
        if self._home is None:
            return
        state.storing += 1
        lock: LockLike | None = None
        try:
            # The caller may be interrupted while it waits for the lock; the token is then stored later.
            state.unsaved, state.replaces = True, await self._read_or_none(self._home, own)
            lock = await self._home.lock_or_none(own, own.now() + _MAX_LOCK_WAIT)
            state.replaces = await self._read_or_none(self._home, own)
            self._announce()  # again: the old one may have been read meanwhile
            self._use_token(token, own)
            state.unsaved = True  # what was read meanwhile may have reset it
            await self._home.write(own, token)
            state.unsaved = False
        finally:
            state.storing -= 1
            state.schedule(own.now(), own.time())
            await self._unlock(own, lock)

    async def _read_or_none(self, home: StorageAdapter, own: Transport) -> OAuthToken | None:
        """The stored token; ``None`` for one that cannot be read, which is replaced or deleted."""
        try:
            return await home.read(own)
        except ProviderKitError as error:
            _LOG.warning("%s: the stored token cannot be read (%s)", self.provider, error.message)
            return None

    async def delete(self, transport: Transport, *, revoke_pending: bool = False) -> tuple[bool, OAuthToken | None]:
        """Delete the token, in memory and in the storage; return whether there was one, and the last one.

        Args:
            transport: The transport of the caller.
            revoke_pending: Whether to revoke a token that a refresh in progress brings.

        Raises:
            StorageError: It could not be deleted from the storage.
        """
        state, own = self._state, self._own(transport)
        _LOG.info("%s: logging out %s", self.provider, self.storage_key)
        self._announce()
        had, last, unsaved = state.token is not None, state.token, state.unsaved
        self._use_token(None, own)
        state.unsaved, state.revoke_pending = False, revoke_pending
        if self._home is not None:
            state.storing += 1
            lock: LockLike | None = None
            try:
                lock = await self._home.lock_or_none(own, own.now() + _MAX_LOCK_WAIT)
                stored = await self._read_or_none(self._home, own)
                last = last if unsaved else stored or last  # another process may have refreshed it meanwhile
                had = await self._home.delete(own) or had
            finally:
                self._announce()  # again: it may have been read meanwhile
                self._use_token(None, own)
                self._given_used, state.unsaved = True, False
                state.storing -= 1
                await self._unlock(own, lock)
        return had, last

    # -------------------------------------------------------------------------------------------- the storage

    async def save(self, transport: Runtime) -> None:
        """Try once more to store a token that could not be stored, before this process ends."""
        if not self._state.unsaved or self._state.token is None:
            return
        try:
            await self._reload(self._own(transport))
        except ProviderKitError as error:
            _LOG.error("%s: the token of %s is not stored (%s)", self.provider, self.id, error.message)

    async def _reload(self, transport: Transport, *, locked: bool = False) -> None:
        """Adopt the stored token, unless the one in memory is newer and could not be stored."""
        state = self._state
        if self._home is None or state.storing:
            state.schedule(transport.now(), transport.time())
            return
        generation = state.generation
        found = await self._home.read(transport)
        if generation != state.generation:
            return  # read before a login or logout
        if found is None and self._given is not None and not self._given_used:
            # The first start with this configuration.
            state.unsaved, state.replaces = True, None
            self._use_token(self._given, transport)
        self._given_used = True
        if state.unsaved and state.token is not None and _same(found, state.replaces):
            await self._save(transport, state.token, locked)
            state.schedule(transport.now(), transport.time())
            return
        unsaved, state.unsaved = state.unsaved, False
        if unsaved or found is not state.token:  # else the token in memory stays unchanged
            self._use_token(found, transport)

    async def _save(self, transport: Transport, token: OAuthToken, locked: bool) -> None:
        """Store a token that is in memory only, if no other process holds the lock and nothing has changed."""
        assert self._home is not None  # only called with a storage
        lock: LockLike | None = None
        if not locked:
            try:
                lock, taken = await self._home.try_lock(transport)
            except ProviderKitError as error:  # it is still in memory; the next read tries again
                _LOG.warning("%s: the token of %s is not stored yet (%s)", self.provider, self.id, error.message)
                return
            if taken:
                return
        try:
            if locked or _same(await self._home.read(transport), self._state.replaces):
                await self._store(transport, token)
        finally:
            await self._unlock(transport, lock)

    async def _store(self, transport: Transport, token: OAuthToken) -> None:
        """Store a token that is already in use; if that fails, the next read tries again."""
        if self._home is None:
            self._state.unsaved = False
            return
        try:
            await self._home.write(transport, token)
        except ProviderKitError as error:
            _LOG.error(
                "%s: the new token of %s could not be stored (%s); it is kept in memory and stored later",
                self.provider,
                self.id,
                error.message,
            )
            self._state.schedule(transport.now(), transport.time())
            return
        self._state.unsaved = False

    async def _still_there(self, transport: Transport, token: OAuthToken) -> bool:
        """Whether the storage still has the refreshed token; else there was a login or logout elsewhere."""
        if self._home is None:
            return True
        try:
            found = await self._home.read(transport)
        except ProviderKitError:
            return True  # unknown; the new token must not be lost
        if found is not None and found.refresh_token == token.refresh_token:
            return True
        self._state.unsaved = False
        self._use_token(found, transport)
        if found is None:
            raise self._not_logged_in()
        return False

    def _use_token(self, token: OAuthToken | None, transport: Transport) -> None:
        self._state.set_token(token, transport.now(), transport.time())

    async def _unlock(self, transport: Transport, lock: LockLike | None) -> None:
        if lock is None or self._home is None:
            return
        try:
            await self._home.unlock(transport, lock)
        except ProviderKitError as error:  # the work under the lock is done; the lock expires
            _LOG.warning("%s: a lock could not be released (%s)", self.provider, error.message)

    def _not_logged_in(self) -> AuthError:
        return self._expired("Not authenticated.")

    def _expired(self, text: str) -> AuthError:
        return AuthError(
            text,
            code=AuthErrorCode.TOKEN_EXPIRED,
            provider=self.provider,
            retryable=False,
            hint=f"Log in: provider-kit auth login {self.provider}, or login().",
        )


def _same(one: OAuthToken | None, other: OAuthToken | None) -> bool:
    """Whether two records hold the same token, whatever their other fields."""
    if one is None or other is None:
        return one is other
    return (one.access_token, one.refresh_token) == (other.access_token, other.refresh_token)
