"""One credential's token, kept fresh: read, refreshed by one at a time, stored before it is used.

At any moment one task or thread of this process refreshes, and, where the storage has a lock, one process
of all. Whoever gets the lock reads the storage again first: most of the time somebody else has done the
work. Before a refresh token is spent, the storage is written once; a disk that is full, or a file that
may not be written, is so found before anything can be lost. A new token is stored before anyone uses it,
and if that fails it is kept in memory and stored later. No failure of network or server ends a login.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol, cast

from provider_kit.auth.credential_metrics import CredentialMetrics
from provider_kit.auth.oauth_exchanges import OAuthExchanges
from provider_kit.auth.oauth_failures import needs_login
from provider_kit.auth.refresh_strategy import RefreshStrategy
from provider_kit.auth.token_storage import TokenStorage
from provider_kit.auth.user_callables import call_user
from provider_kit.engine.oauth_calls import ask, discover
from provider_kit.engine.token_home import TokenHome
from provider_kit.errors import AuthError, AuthErrorCode, ProviderKitError
from provider_kit.model.oauth import OAuthToken, OnTokenRefresh
from provider_kit.policies.token_state import Flight, TokenState
from provider_kit.transports.base import Transport, Waiter

__all__ = ["TokenKeeper"]

_LOG = logging.getLogger("provider_kit.auth")

#: Seconds to wait before the tries of one refresh, where network or server fail.
_PAUSES = (0.0, 0.5, 2.0, 5.0)
#: Seconds one refresh may take with everything: locks, tries, storing.
_WHOLE = 120.0


class Tell(Protocol):
    """Whoever wants to know of refreshes."""

    async def __call__(self, transport: Transport, kind: str, keeper: TokenKeeper, error: Exception | None) -> None:
        """``kind`` is ``refresh`` or ``failure``."""
        ...


class TokenKeeper:
    """Keeps one token fresh, for all threads and event loops of a process.

    Args:
        credential_id: Name of the credential, for logs and callbacks.
        provider: For errors.
        exchanges: The client's exchanges.
        storage: Where the token is kept; ``None``: in memory only.
        storage_key: Name it is stored under.
        token: The token to begin with, where the storage has none.
        refresh_function: A function of the user's, from the token to the new one, instead of the exchange.
        strategy: How early to refresh.
        enabled: Whether to refresh at all.
        on_token_refresh: Called after each refresh.
        tell: Told of each refresh.
    """

    def __init__(
        self,
        credential_id: str,
        provider: str,
        *,
        exchanges: OAuthExchanges,
        storage: TokenStorage | None = None,
        storage_key: str = "",
        token: OAuthToken | None = None,
        refresh_function: Callable[[OAuthToken], Any] | None = None,
        strategy: RefreshStrategy | None = None,
        enabled: bool = True,
        on_token_refresh: OnTokenRefresh | None = None,
        tell: Tell | None = None,
    ) -> None:
        self.credential_id = credential_id
        self.provider = provider
        self.exchanges = exchanges
        self.storage_key = storage_key or credential_id
        self.refresh_function = refresh_function
        self.on_token_refresh = on_token_refresh
        self._home = TokenHome(storage, self.storage_key, provider) if storage is not None else None
        self._tell = tell
        self._state = TokenState(token, strategy or RefreshStrategy(), enabled)

    def __repr__(self) -> str:
        return f"<TokenKeeper {self.credential_id} of {self.provider}>"

    # -------------------------------------------------------------------------------------------- facts

    @property
    def token(self) -> OAuthToken | None:
        """The token as last known here; neither read nor refreshed for the purpose."""
        return self._state.token

    @property
    def fresh_until(self) -> float:
        """Clock reading until which it is used without a thought."""
        return self._state.fresh_until

    @property
    def metrics(self) -> CredentialMetrics:
        """How the credential fared."""
        return self._state.metrics

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be in a text."""
        token = self._state.token
        held = (token.access_token, token.refresh_token) if token is not None else ()
        return (*(secret for secret in held if secret), *self.exchanges.secrets)

    def set_strategy(self, strategy: RefreshStrategy, now: float, time: float) -> None:
        """Refresh earlier or later from now on."""
        self._state.strategy = strategy
        self._state.schedule(now, time)

    def look_at_the_clock(self, now: float, time: float) -> None:
        """Work out anew when the present token is to be refreshed; traffic may have changed."""
        self._state.schedule(now, time)

    # -------------------------------------------------------------------------------------------- use

    async def obtain(
        self, transport: Transport, *, deadline: float | None = None, rejected: str | None = None, force: bool = False
    ) -> OAuthToken:
        """A token that is good now.

        Args:
            transport: The world it is asked in; sends the refresh.
            deadline: Clock reading until which the caller waits.
            rejected: The access token that the API has refused, if that is why it is asked.
            force: Refresh in any case.

        Raises:
            AuthError: There is none: not logged in, the login is over, or it could not be refreshed.
        """
        state = self._state
        end = transport.now() + _WHOLE
        end = end if deadline is None else min(end, deadline)
        while True:
            now = transport.now()
            if not force:
                found = state.fresh(now, rejected)
                if found is None and now < state.rest_until:  # refreshing failed a moment ago
                    found = state.usable(now, rejected)
                if found is not None:
                    return found
            flight, waiter = state.join(now, rejected, force, transport.waiter)
            if flight is None:  # somebody is at it, and the present token serves meanwhile
                found = state.usable(now, rejected)
                if found is not None:
                    return found
                continue
            leads = waiter is None
            if leads:
                await transport.uninterrupted(self._fly(transport, flight, end, rejected, force))
            else:
                await self._wait(transport, flight, cast(Waiter, waiter), end)
            if flight.error is not None:
                found = None if force else state.usable(transport.now(), rejected)
                if found is not None:
                    return found
                raise _again(flight.error) from flight.error.__cause__
            if leads and state.token is not None:
                return state.token
            force = False  # what was to be forced has just been done

    async def refresh_now(self, transport: Transport, deadline: float | None = None) -> OAuthToken:
        """As :meth:`obtain`, with a new token in any case."""
        return await self.obtain(transport, deadline=deadline, force=True)

    async def load(self, transport: Transport) -> OAuthToken | None:
        """The token, read from the storage; not refreshed.

        Raises:
            StorageError: It cannot be read.
            EncryptionError: It cannot be decrypted.
        """
        if self._home is not None:
            found = await self._home.read(transport)
            if found is not None or not self._state.unsaved:
                self._adopt(found, transport)
        return self._state.token

    async def keep(self, transport: Transport, token: OAuthToken) -> None:
        """Store the token of a new login, and use it from now on.

        Raises:
            StorageError: It could not be stored. It is used all the same, by this process.
        """
        self._state.forgive()
        self._adopt(token, transport)
        self._state.unsaved = True
        if self._home is not None:
            await self._home.write(transport, token)
        self._state.unsaved = False

    async def forget(self, transport: Transport) -> bool:
        """Delete the token, here and in the storage; whether there was one.

        Raises:
            StorageError: It could not be deleted from the storage.
        """
        had = self._state.token is not None
        self._adopt(None, transport)
        self._state.unsaved = False
        if self._home is not None:
            had = await self._home.delete(transport) or had
        return had

    # -------------------------------------------------------------------------------------------- waiting

    async def _wait(self, transport: Transport, flight: Flight, waiter: Waiter, deadline: float) -> None:
        while not flight.done:
            left = deadline - transport.now()
            if left <= 0:
                raise AuthError(
                    "The token was not refreshed in time.",
                    code=AuthErrorCode.NETWORK_ERROR,
                    provider=self.provider,
                    hint="Another call is still refreshing it; raise total_timeout=, or try again.",
                )
            await waiter.wait(left)

    async def _fly(
        self, transport: Transport, flight: Flight, deadline: float, rejected: str | None, force: bool
    ) -> None:
        """Refresh on behalf of all who wait; never raises but when the event loop ends."""
        try:
            await self._renew(transport, flight, deadline, rejected, force)
        except ProviderKitError as error:
            flight.error = error
        except Exception as error:
            flight.error = made = AuthError(
                f"The token could not be refreshed: {type(error).__name__}.",
                code=AuthErrorCode.REFRESH_FAILED,
                provider=self.provider,
                hint="The cause is above; it comes from a function of yours.",
            )
            made.__cause__ = error
        finally:
            if flight.error is not None:
                flight.error.provider = flight.error.provider or self.provider
            self._state.land(flight)
        if self._tell is not None:
            for kind, problem in flight.news:
                await self._tell(transport, kind, self, problem)

    # -------------------------------------------------------------------------------------------- refreshing

    async def _renew(
        self, transport: Transport, flight: Flight, deadline: float, rejected: str | None, force: bool
    ) -> None:
        state = self._state
        await self._look(transport)  # without the lock: what somebody else renewed is good for us too
        if not force and state.fresh(transport.now(), rejected) is not None:
            return
        if self._needs_no_refresh(transport, rejected, force):
            return
        if not force and transport.now() < state.rest_until and state.last_error is not None:
            raise _again(state.last_error) from state.last_error.__cause__
        before = state.token
        lock = await self._home.lock(transport, deadline) if self._home is not None else None
        try:
            if lock is not None:
                await self._look(transport)
                renewed = before is None or state.token is None or state.token.access_token != before.access_token
                if (renewed or not force) and state.fresh(transport.now(), rejected) is not None:
                    return
                if self._needs_no_refresh(transport, rejected, force):
                    return
            await self._refresh(transport, flight, cast(OAuthToken, state.token), deadline)
        except AuthError as error:
            self._note_failure(transport, error)
            flight.news.append(("failure", error))
            raise
        finally:
            if lock is not None and self._home is not None:
                await self._home.unlock(transport, lock)

    async def _refresh(self, transport: Transport, flight: Flight, token: OAuthToken, deadline: float) -> None:
        """Spend the refresh token."""
        state = self._state
        if state.spent is not None and state.spent == token.refresh_token and state.last_error is not None:
            raise _again(state.last_error)
        if self._home is not None:
            # Proves that the storage can be written, before anything is spent.
            await self._home.write(transport, token.replace(refreshing_since=transport.time()))
        started = transport.now()
        try:
            new = await self._ask_until_answered(transport, token, deadline)
        except AuthError as error:
            if needs_login(error):
                state.spent = token.refresh_token
                if token.refreshing_since is not None:
                    error.details = f"{error.details}; an earlier refresh was cut off, and its new token lost with it"
            raise
        state.succeeded(transport.now() - started, transport.time())
        self._adopt(new, transport)
        state.unsaved = True
        await self._store(transport, new)
        _LOG.info("%s: token of %s refreshed", self.provider, self.credential_id)
        await self._call_back(transport, flight, new)
        flight.news.append(("refresh", None))

    async def _ask_until_answered(self, transport: Transport, token: OAuthToken, deadline: float) -> OAuthToken:
        for number, pause in enumerate(_PAUSES):
            if pause:
                await transport.sleep(pause)
            try:
                return await self._ask(transport, token, deadline)
            except AuthError as error:
                last = number == len(_PAUSES) - 1 or transport.now() + _PAUSES[number + 1] >= deadline
                passing = error.code in (AuthErrorCode.NETWORK_ERROR, AuthErrorCode.PROVIDER_UNAVAILABLE)
                if last or not passing or not error.retryable:
                    raise
                _LOG.info("%s: refresh failed (%s); trying again", self.provider, error.code.value)
        raise AssertionError("unreachable")

    async def _ask(self, transport: Transport, token: OAuthToken, deadline: float) -> OAuthToken:
        if self.refresh_function is not None:
            found = await call_user(transport, self.refresh_function, token, what="The refresh function")
            return self._as_token(found, token, transport.time())
        exchanges = self.exchanges
        exchanges.learn(token.client)
        await discover(transport, exchanges, deadline)
        response = await ask(
            transport,
            exchanges.prepare_refresh(token.refresh_token or ""),
            provider=self.provider,
            seconds=exchanges.config.timeout,
            deadline=deadline,
        )
        return exchanges.parse_token(response, transport.time(), previous=token)

    def _as_token(self, found: Any, token: OAuthToken, time: float) -> OAuthToken:
        """What a function of the user's returned."""
        if isinstance(found, OAuthToken):
            return found if found.obtained_at is not None else found.replace(obtained_at=time)
        if isinstance(found, Mapping) and isinstance(found.get("access_token"), str) and found["access_token"]:
            lifetime = found.get("expires_in")
            return token.replace(
                access_token=found["access_token"],
                refresh_token=found.get("refresh_token") or token.refresh_token,
                expires_at=found.get("expires_at") or (time + float(lifetime) if lifetime else None),
                obtained_at=time,
                refreshing_since=None,
            )
        raise AuthError(
            f"The refresh function returned {type(found).__name__}, not a token.",
            code=AuthErrorCode.REFRESH_FAILED,
            provider=self.provider,
            retryable=False,
            hint="Return an OAuthToken, or a dict with access_token, refresh_token and expires_in.",
        )

    async def _look(self, transport: Transport) -> None:
        """Take over what the storage has, unless what we have is newer and could not be stored."""
        if self._home is None:
            self._state.schedule(transport.now(), transport.time())
            return
        found = await self._home.read(transport)
        state, ours = self._state, self._state.token
        if found is None:
            if ours is not None and state.unsaved:
                await self._store(transport, ours)
                state.schedule(transport.now(), transport.time())
            else:
                self._adopt(None, transport)  # logged out, by another process
            return
        # What the configuration gives has no date; the storage has what became of it.
        if state.unsaved and ours is not None and (ours.obtained_at or 0.0) > (found.obtained_at or 0.0):
            await self._store(transport, ours)
            return
        state.unsaved = False
        self._adopt(found, transport)

    async def _store(self, transport: Transport, token: OAuthToken) -> None:
        """Store a token that is in use already; if that fails, it is tried again with the next look."""
        if self._home is None:
            return
        try:
            await self._home.write(transport, token)
        except ProviderKitError as error:
            _LOG.error(
                "%s: the new token of %s could not be stored (%s); it is kept in memory and stored later",
                self.provider,
                self.credential_id,
                error.message,
            )
            return
        self._state.unsaved = False

    async def _call_back(self, transport: Transport, flight: Flight, token: OAuthToken) -> None:
        if self.on_token_refresh is None:
            return
        arguments = (self.credential_id, token.access_token, token.refresh_token, token.expires_at)
        try:
            await call_user(transport, self.on_token_refresh, *arguments, what="on_token_refresh")
        except Exception as error:
            # The token is good, and kept; that nobody else has it now is what must be known.
            _LOG.error(
                "%s: on_token_refresh of %s failed (%s); the token is kept",
                self.provider,
                self.credential_id,
                type(error).__name__,
            )
            flight.news.append(("failure", error))

    # -------------------------------------------------------------------------------------------- state

    def _adopt(self, token: OAuthToken | None, transport: Transport) -> None:
        self._state.adopt(token, transport.now(), transport.time())

    def _needs_no_refresh(self, transport: Transport, rejected: str | None, force: bool) -> bool:
        """Whether the token is simply used to its end.

        Raises:
            AuthError: There is none, or it is over, and it cannot be refreshed.
        """
        state = self._state
        token = state.token
        if token is None:
            raise AuthError(
                "Not authenticated.",
                code=AuthErrorCode.TOKEN_EXPIRED,
                provider=self.provider,
                retryable=False,
                hint=self._log_in(),
            )
        if state.can_refresh(token):
            return False
        usable = state.usable(transport.now(), None) is not None
        if usable and not force and token.access_token != rejected:
            state.stretch()
            return True
        why = "there is no refresh token" if state.enabled else "refreshing is switched off"
        if not usable:
            text = f"Stored token expired and cannot be refreshed: {why}."
        elif token.access_token == rejected:
            text = f"The access token was refused and cannot be refreshed: {why}."
        else:
            text = f"The token cannot be refreshed: {why}."
        raise AuthError(
            text, code=AuthErrorCode.TOKEN_EXPIRED, provider=self.provider, retryable=False, hint=self._log_in()
        )

    def _log_in(self) -> str:
        return f"Log in: provider-kit auth login {self.provider}, or login()."

    def _note_failure(self, transport: Transport, error: AuthError) -> None:
        self._state.failed(error, transport.now(), transport.time())
        _LOG.warning(
            "%s: token of %s was not refreshed (%s); the login is kept",
            self.provider,
            self.credential_id,
            error.code.value,
        )


def _again(error: ProviderKitError) -> ProviderKitError:
    """A copy to raise: one exception must not collect the frames of several callers."""
    made = copy.copy(error)
    made.__traceback__ = None
    return made
