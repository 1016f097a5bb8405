"""Keeps the token of one credential fresh: reads it, refreshes it one at a time, stores it before use.

At any time one task or thread of this process refreshes and, where the storage has a lock, only one process. The holder
of the lock reads the storage again first, since another process has often done the work. The storage is written once
before a refresh token is used, so that a full disk or a read-only file is found before anything can be lost. A new
token is stored before it is used; if that fails, it is kept in memory and stored later. A refresh that has started runs
to its end, even if its caller gives up, is cancelled, or closes everything. No failure of network or server ends a
login.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from typing import Any, Protocol, cast

from provider_kit.auth.credential_pool import Secret
from provider_kit.auth.oauth.client import OAuthClient, TokenExchange, unexpected
from provider_kit.auth.oauth.stored_token import StoredToken
from provider_kit.auth.oauth.token_state import RefreshStrategy
from provider_kit.auth.storage.protocol import LockLike, TokenStorage
from provider_kit.auth.user_callables import call_user
from provider_kit.errors import AuthError, AuthErrorCode, ProviderKitError
from provider_kit.model.oauth import OAuthToken, OnTokenRefresh
from provider_kit.policies.single_flight import Flight, SingleFlight
from provider_kit.transports.base import Runtime, Transport, Wakeup
from provider_kit.transports.pair import Transports

__all__ = ["TokenRefresher"]

_LOG = logging.getLogger("provider_kit.auth")

#: The refreshers whose callback is running here: it must not wait for a refresh that waits for it.
_calling_back: ContextVar[tuple[int, ...]] = ContextVar("_calling_back", default=())

#: Seconds one refresh may take in total: locks, attempts, storing.
_WHOLE = 60.0
#: Seconds an asyncio caller whose current token is still valid waits for a new one.
_SOFT_WAIT = 5.0
#: Seconds after which a caller with a valid token checks again whether another process has refreshed it.
_SHORT_REST = 1.0


class Tell(Protocol):
    """A listener for refreshes."""

    async def __call__(
        self, transport: Transport, kind: str, refresher: TokenRefresher, error: Exception | None
    ) -> None:
        """``kind`` is ``refresh`` or ``failure``."""
        ...


class TokenRefresher(StoredToken):
    """Keeps one token fresh, for all threads and event loops of a process.

    Args:
        credential_id: Name of the credential, for logs and callbacks.
        provider: For errors.
        client: The OAuth client.
        pair: The transports that send refreshes; never the connections of the caller.
        storage: Where the token is stored; ``None``: in memory only.
        storage_key: Name it is stored under.
        token: The initial token, where the storage has none.
        refresh_function: A user's function from the token to the new one, instead of the OAuth request.
        strategy: How early to refresh.
        enabled: Whether to refresh at all.
        on_token_refresh: Called after each refresh.
        tell: Called after each refresh or failure.
        clock: A monotonic clock.
    """

    def __init__(
        self,
        credential_id: str,
        provider: str,
        *,
        client: OAuthClient,
        pair: Transports,
        storage: TokenStorage | None = None,
        storage_key: str = "",
        token: OAuthToken | None = None,
        refresh_function: Callable[[OAuthToken], Any] | None = None,
        strategy: RefreshStrategy | None = None,
        enabled: bool = True,
        on_token_refresh: OnTokenRefresh | None = None,
        tell: Tell | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        super().__init__(
            credential_id, provider, pair, storage, storage_key, token, strategy or RefreshStrategy(), enabled, clock
        )
        self.client = client
        self._exchange = TokenExchange(provider, client, refresh_function)
        self.on_token_refresh = on_token_refresh
        self._tell = tell
        self._flights = SingleFlight()
        self._telling = 0

    # -------------------------------------------------------------------------------------------- facts

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values to redact from texts."""
        tokens = [token for token in (self._state.token, self._given) if token is not None]
        held = [secret for token in tokens for secret in (token.access_token, token.refresh_token) if secret]
        return (*held, *self.client.requests.secrets)

    # -------------------------------------------------------------------------------------------- use

    async def obtain(self, runtime: Runtime, deadline: float | None, rejected: str | None) -> Secret:
        """Return the token as a :class:`Secret` for the engine."""
        refreshed = self._state.metrics.refresh_count
        token = await self.fresh_token(runtime, deadline=deadline, rejected=rejected)
        adopted = self._state.metrics.refresh_count == refreshed
        # After a failed refresh the token is obtained again with the next call.
        return Secret(token.access_token, runtime.now() + self.fresh_for(runtime), adopted)

    async def fresh_token(
        self, transport: Runtime, *, deadline: float | None = None, rejected: str | None = None, force: bool = False
    ) -> OAuthToken:
        """Return a valid token.

        Args:
            transport: The blocking or asyncio transport of the caller.
            deadline: Time on the clock until which the caller waits.
            rejected: The access token that the API has refused, if that is the reason.
            force: Refresh in any case.

        Raises:
            AuthError: There is none: not logged in, the login has expired, or the refresh failed.
        """
        if force and id(self) in _calling_back.get():
            raise AuthError(
                "on_token_refresh cannot refresh the token it is told of.",
                code=AuthErrorCode.INVALID_CONFIG,
                provider=self.provider,
                hint="The token is new; get_token() returns it. Refresh it later, or from somewhere else.",
            )
        state, own = self._state, self._own(transport)
        if deadline is not None:  # on the caller's clock
            deadline += own.now() - transport.now()
        while True:
            now = own.now()
            if not force:
                found = state.serves(now, rejected)
                if found is not None:
                    return found
            usable = None if force else state.usable(now, rejected)
            if usable is not None and self._flights.current(now) is not None:
                return usable  # a refresh is in progress, and the current token is still valid
            left = None if deadline is None else deadline - now
            flight, leads, wakeup = self._flights.join(now, now + _WHOLE, own.is_loop_closed(), own.wakeup)
            if leads:
                work = self._run_refresh(own, flight, rejected, force, usable is not None)
                patience = self._patience(own, left, usable is not None)
                await own.spawn(work, patience, partial(self._flights.land, flight))
            else:
                await self._wait(own, flight, cast(Wakeup, wakeup), left)
            new: OAuthToken | None = flight.result
            if new is not None and new.access_token != rejected:
                return new
            found = None if force else state.usable(own.now(), rejected)
            if found is not None:
                return found
            if flight.error is not None:
                raise _again(flight.error) from flight.error.__cause__
            if not flight.over(own.now()):
                raise self._not_in_time()
            if deadline is not None and own.now() >= deadline:
                raise self._not_in_time()

    def _patience(self, transport: Transport, left: float | None, usable: bool) -> float | None:
        """Seconds to wait for a refresh; ``None``: without limit."""
        if usable and transport.kind == "asyncio":
            return _SOFT_WAIT if left is None else min(left, _SOFT_WAIT)
        return None if left is None or left > _WHOLE else max(0.0, left)

    async def refresh_now(self, transport: Transport, deadline: float | None = None) -> OAuthToken:
        """As :meth:`obtain`, but always with a new token."""
        return await self.fresh_token(transport, deadline=deadline, force=True)

    async def settle(self, transport: Transport) -> None:
        """Wait for a refresh in progress, so that connections can be closed."""
        own = self._own(transport)
        end = own.now() + _WHOLE
        while (self._flights.current(own.now()) is not None or self._telling) and own.now() < end:
            await own.sleep(0.01)
        await self.save(transport)

    # -------------------------------------------------------------------------------------------- waiting

    async def _wait(self, transport: Transport, flight: Flight, wakeup: Wakeup, left: float | None) -> None:
        held_up = getattr(wakeup, "loop", None)
        if held_up is not None and held_up is getattr(flight.ended, "loop", None):
            # A blocking call inside a coroutine: it blocks the event loop that refreshes.
            raise AuthError(
                "A blocking call blocks the event loop that refreshes its token.",
                code=AuthErrorCode.INVALID_CONFIG,
                provider=self.provider,
                hint="Inside asyncio use the asyncio method: achat(), aget_token(), …",
            )
        end = None if left is None else transport.now() + left
        while not flight.over(transport.now()):
            remaining = min(flight.until, flight.until if end is None else end) - transport.now()
            if remaining <= 0:
                return
            await wakeup.wait(min(remaining, 1.0))  # the event loop that refreshes may be closed meanwhile

    def _not_in_time(self) -> AuthError:
        error = AuthError(
            "The token was not refreshed in time.",
            code=AuthErrorCode.NETWORK_ERROR,
            provider=self.provider,
            details="the refresh continues",
            hint="Raise total_timeout=, or try again. Your login is kept.",
        )
        error.refresh_pending = True
        return error

    async def _run_refresh(
        self, transport: Transport, flight: Flight, rejected: str | None, force: bool, usable: bool
    ) -> None:
        """Refresh on behalf of all waiters; never raises."""
        news: list[tuple[str, Exception | None]] = []
        try:
            new = await self._renew(transport, flight, rejected, force, usable)
            if new is not None:
                news.append(("refresh", None))
                # Before the next refresh may start, so that callbacks come in the order of the tokens.
                problem = await self._call_back(transport, new)
                news += [("failure", problem)] if problem is not None else []
        except ProviderKitError as error:
            flight.error = error
        except Exception as error:  # waiters must be woken whatever went wrong; the error is raised in all of them
            flight.error = unexpected(error, self.provider)
        finally:
            if flight.error is not None:
                flight.error.provider = flight.error.provider or self.provider
            self._telling += 1
            self._flights.land(flight)
        try:
            if flight.error is not None and _counts(flight.error):
                news.append(("failure", flight.error))
            if self._tell is not None:
                for kind, told in news:
                    await self._tell(transport, kind, self, told)
        finally:
            self._telling -= 1

    # -------------------------------------------------------------------------------------------- refreshing

    async def _renew(
        self, transport: Transport, flight: Flight, rejected: str | None, force: bool, usable: bool
    ) -> OAuthToken | None:
        """Ensure a fresh token; return the new one if there was a refresh."""
        state = self._state
        await self._reload(transport)  # without the lock: a token refreshed by another process can be used here too
        if not force and state.fresh(transport.now(), rejected) is not None:
            return None
        if self._needs_no_refresh(transport, rejected, force):
            return None
        usable = usable or (not force and state.usable(transport.now(), rejected) is not None)
        if not force and transport.now() < state.rest_until and state.last_error is not None:
            raise _again(state.last_error) from state.last_error.__cause__
        before = state.token
        lock: LockLike | None = None
        try:
            if self._home is not None:
                if usable:  # with a valid token there is no need to wait while another process refreshes it
                    lock, taken = await self._home.try_lock(transport, flight.holds)
                    if taken:
                        state.rest_until = max(state.rest_until, transport.now() + _SHORT_REST)
                        return None
                else:
                    lock = await self._home.lock(transport, flight.until, flight.holds)
            # Waiting for the lock must not use up the time for the request.
            flight.until = max(flight.until, transport.now() + _WHOLE)
            if lock is not None:
                await self._reload(transport, locked=True)
                renewed = before is None or state.token is None or state.token.access_token != before.access_token
                if (renewed or not force) and state.fresh(transport.now(), rejected) is not None:
                    flight.result = state.token if renewed else None
                    return None
                if self._needs_no_refresh(transport, rejected, force):
                    return None
            return await self._refresh_or_begin_anew(transport, flight, usable)
        except AuthError as error:
            self._note_failure(transport, error)
            raise
        finally:
            if lock is not None and not flight.abandoned:  # else it was released already
                flight.give_back = None
                await self._unlock(transport, lock)

    async def _refresh_or_begin_anew(self, transport: Transport, flight: Flight, usable: bool) -> OAuthToken | None:
        token, given = cast(OAuthToken, self._state.token), self._given
        try:
            return await self._refresh(transport, flight, token, usable)
        except AuthError as error:
            other = given is not None and given.refresh_token not in (None, token.refresh_token)
            if not (error.needs_login and other and given is not None):
                raise
        # The stored token has expired, but the configuration has been given another one since.
        self._state.reset_failures()
        return await self._refresh(transport, flight, given, usable)

    async def _refresh(
        self, transport: Transport, flight: Flight, token: OAuthToken, usable: bool
    ) -> OAuthToken | None:
        """Use the refresh token."""
        state = self._state
        if (
            state.rejected_refresh_token is not None
            and state.rejected_refresh_token == token.refresh_token
            and state.last_error is not None
        ):
            raise _again(state.last_error)
        if state.storing:  # a login is about to be stored: its own refresh token must not be spent before
            flight.result = state.token
            return None
        generation = state.generation
        transport.shield(True)  # from here on a token could be lost
        try:
            if self._home is not None:
                # Proves that the storage can be written before the refresh token is used.
                await self._home.write(transport, token.replace(refreshing_since=transport.time()))
            started = transport.now()
            new = await self._exchange.renew(transport, token, flight.until, once=usable)
            if flight.abandoned:
                return None  # another caller has taken over
            if generation != state.generation:
                flight.result = state.token  # from a login meanwhile; none after a logout
                if state.token is None and state.revoke_pending:
                    await self._revoke(transport, new)
                return None
            state.succeeded(transport.now() - started, transport.time())
            if not await self._still_there(transport, token):
                flight.result = state.token  # from a login elsewhere
                return None
            self._use_token(new, transport)
            state.unsaved, state.replaces = True, token
            await self._store(transport, new)
        except AuthError as error:
            if error.needs_login:
                state.rejected_refresh_token = token.refresh_token
                if token.refreshing_since is not None:
                    error.details = f"{error.details}; an earlier refresh was interrupted, and its new token was lost"
            raise
        finally:
            transport.shield(False)
        flight.result = new
        _LOG.info("%s: token of %s refreshed", self.provider, self.id)
        return new

    async def _revoke(self, transport: Transport, token: OAuthToken) -> None:
        """End a login at the server that was ended here while it was refreshed."""
        from provider_kit.auth.oauth.login import revoke

        try:
            await revoke(transport, self.client, token)
        except AuthError as error:
            _LOG.warning("%s: the last token could not be revoked (%s)", self.provider, error.message)

    async def _call_back(self, transport: Transport, token: OAuthToken) -> Exception | None:
        if self.on_token_refresh is None:
            return None
        arguments = (self.id, token.access_token, token.refresh_token, token.expires_at)
        before = _calling_back.set((*_calling_back.get(), id(self)))
        try:
            await call_user(transport, self.on_token_refresh, *arguments, what="on_token_refresh")
        except Exception as error:  # the user's callable may raise anything
            # The token is valid and kept, but the user must know that the callback did not store it.
            _LOG.error(
                "%s: on_token_refresh of %s failed (%s); the token is kept",
                self.provider,
                self.id,
                type(error).__name__,
            )
            return error
        finally:
            with suppress(ValueError):  # it is finalised by the garbage collector, in another context
                _calling_back.reset(before)
        return None

    # -------------------------------------------------------------------------------------------- state

    def _needs_no_refresh(self, transport: Transport, rejected: str | None, force: bool) -> bool:
        """Whether the token is used until it expires.

        Raises:
            AuthError: There is none, or it has expired, and it cannot be refreshed.
        """
        state = self._state
        token = state.token
        if token is None:
            raise self._not_logged_in()
        if state.can_refresh(token):
            return False
        usable = state.usable(transport.now(), None) is not None
        if usable and not force and token.access_token != rejected:
            return True
        why = "there is no refresh token" if state.enabled else "refreshing is switched off"
        if not usable:
            text = f"Stored token expired and cannot be refreshed: {why}."
        elif token.access_token == rejected:
            text = f"The access token was refused and cannot be refreshed: {why}."
        else:
            text = f"The token cannot be refreshed: {why}."
        raise self._expired(text)

    def _note_failure(self, transport: Transport, error: AuthError) -> None:
        if not _counts(error):
            return
        self._state.failed(error, transport.now(), transport.time())
        _LOG.warning(
            "%s: token of %s was not refreshed (%s); %s",
            self.provider,
            self.id,
            error.code.value,
            "it needs a new login" if error.needs_login else "the login is kept",
        )


def _counts(error: ProviderKitError) -> bool:
    """Whether an error counts as a failed refresh; not being logged in does not."""
    return not isinstance(error, AuthError) or error.code is not AuthErrorCode.TOKEN_EXPIRED


def _again(error: ProviderKitError) -> ProviderKitError:
    """A copy to raise: one exception must not collect the frames of several callers."""
    made = copy.copy(error)
    made.__traceback__ = None
    return made
