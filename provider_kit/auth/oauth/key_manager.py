"""Several OAuth credentials of one provider: selection, health, failover, refresh, rotation, metrics, alerts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Literal, TypeVar

from provider_kit.auth.credential_pool import CredentialPool
from provider_kit.auth.keys.failover import Renewing, failover
from provider_kit.auth.keys.options import KeyStrategy
from provider_kit.auth.keys.state import Key, KeyStatus
from provider_kit.auth.monitoring.alerts import MonitoringConfig
from provider_kit.auth.monitoring.metrics import CredentialMetrics, export_json, export_prometheus, health_summary
from provider_kit.auth.monitoring.watch import CredentialWatch
from provider_kit.auth.oauth.client import OAuthClient
from provider_kit.auth.oauth.credential_rotation import Rotation, RotationPolicy, RotationState
from provider_kit.auth.oauth.presets import oauth_config
from provider_kit.auth.oauth.refresher import TokenRefresher
from provider_kit.auth.oauth.token_state import RefreshStrategy
from provider_kit.auth.storage.protocol import TokenStorage
from provider_kit.auth.user_callables import call_user
from provider_kit.errors import AuthError, ConfigError, ProviderKitError
from provider_kit.model.events import CredentialEvent
from provider_kit.model.oauth import OAuthConfig, OAuthCredentialSet, OAuthToken, OnTokenRefresh
from provider_kit.transports.base import Transport
from provider_kit.transports.drive import run_to_completion
from provider_kit.transports.pair import SyncAsyncMixin, Transports
from provider_kit.transports.runtime_blocking import BlockingRuntime

__all__ = ["OAuthKeyManager"]

T = TypeVar("T")

#: Placeholder for a missing access token.
_NOT_YET = "(not obtained yet)"


class OAuthKeyManager(SyncAsyncMixin):
    """The OAuth credentials of one provider, used in rotation.

    Give it to a client (``Client("gemini/…", auth=manager)``) or use it with calls of your own.

    Args:
        provider: Name of the provider.
        credentials: The credentials; at least one.
        refresh_function: From an :class:`OAuthToken` to the new one (or a dict with ``access_token``,
            ``refresh_token`` and ``expires_in``); sync or async. Default: the refresh of OAuth 2.
        config: The OAuth client's addresses; default: the provider's preset. Each credential has its own
            ``client_id``.
        storage: Where tokens are kept, under ``<provider>:<id>``; stored tokens take precedence over those of the
            credentials. Default: in memory only; ``on_token_refresh`` may store them.
        strategy: ``round_robin``, ``random``, or ``simple`` (no health).
        max_credentials: Most credentials one call may use.
        refresh_strategy: How early to refresh.
        rotation_policy: How old a credential may become.
        monitoring: Which alerts are sent.
        on_token_refresh: Called after each refresh of a credential without its own callback.
        wait: Whether :meth:`execute_with_failover` waits while every credential is cooling down: ``True``,
            ``False``, or seconds at most.
        transport: A transport for refreshes and webhooks, e.g. :class:`ScriptedTransport`.

    Raises:
        ConfigError: There is no credential, or two have the same id.
    """

    def __init__(
        self,
        provider: str,
        credentials: Iterable[OAuthCredentialSet],
        refresh_function: Callable[[OAuthToken], Any] | None = None,
        *,
        config: OAuthConfig | None = None,
        storage: TokenStorage | None = None,
        strategy: KeyStrategy = "round_robin",
        max_credentials: int = 3,
        refresh_strategy: RefreshStrategy | None = None,
        rotation_policy: RotationPolicy | None = None,
        monitoring: MonitoringConfig | None = None,
        on_token_refresh: OnTokenRefresh | None = None,
        wait: bool | float = False,
        transport: Transport | None = None,
    ) -> None:
        self.provider = provider
        self.wait = wait
        self._config = oauth_config(provider) if config is None else config
        self._refresh_function = refresh_function
        self._storage = storage
        self._strategy = refresh_strategy or RefreshStrategy(buffer_time=self._config.refresh.buffer)
        self._on_token_refresh = on_token_refresh
        self._transports = Transports(self._config.http, transport=transport)
        self._clock = transport.now if transport is not None else BlockingRuntime().now
        self._time = transport.time if transport is not None else BlockingRuntime().time
        self._watch = CredentialWatch(provider, monitoring or MonitoringConfig())
        self._rotation = Rotation(provider, rotation_policy)
        self._refreshers: dict[str, TokenRefresher] = {}
        self._pool = CredentialPool(provider, (), strategy=strategy, max_keys=max_credentials, clock=self._clock)
        for credential in credentials:
            self.add_credential(credential)
        if not self._refreshers:
            raise ConfigError(
                "No OAuth credential is given.", provider=provider, hint="[OAuthCredentialSet(id='team', …)]."
            )

    def __repr__(self) -> str:
        return f"<OAuthKeyManager {self.provider}: {len(self._refreshers)} credentials>"

    def __getstate__(self) -> dict[str, Any]:
        raise TypeError("an OAuthKeyManager cannot be pickled: the pickle would contain the tokens")

    @property
    def credential_pool(self) -> CredentialPool:
        """The pool from which a client takes its tokens."""
        return self._pool

    # -------------------------------------------------------------------------------------------- credentials

    def add_credential(self, credential: OAuthCredentialSet) -> None:
        """Add a credential; calls use it from now on.

        Raises:
            ConfigError: Its id is already in use, or it has neither a token nor a storage.
        """
        if not isinstance(credential, OAuthCredentialSet):
            raise ConfigError(
                f"A credential must be an OAuthCredentialSet, not {type(credential).__name__}.",
                hint="OAuthCredentialSet(id='team-account', client_id='…', refresh_token='…').",
            )
        if self._storage is None and not (credential.access_token or credential.refresh_token):
            raise ConfigError(
                f"The credential {credential.id!r} has neither an access_token nor a refresh_token.",
                provider=self.provider,
                hint="Log in first and pass the tokens, or pass the storage= that holds them.",
            )
        if credential.id in self._refreshers:
            raise ConfigError(f"Two credentials are called {credential.id!r}.", hint="Give each a distinct id.")
        refresher = self._make_refresher(credential)
        self._pool.add_credential(refresher)
        self._refreshers[credential.id] = refresher
        self._rotation.register(credential.id, self._time())

    def _make_refresher(self, credential: OAuthCredentialSet) -> TokenRefresher:
        config = self._config.replace(
            client_id=credential.client_id or self._config.client_id,
            client_secret=credential.client_secret or self._config.client_secret,
        )
        client = OAuthClient(self.provider, config)
        token = None
        if credential.access_token or credential.refresh_token:
            token = OAuthToken(
                # With a refresh token only, the access token counts as expired.
                access_token=credential.access_token or _NOT_YET,
                refresh_token=credential.refresh_token,
                expires_at=credential.expires_at if credential.access_token else 0.0,
                scopes=credential.scopes,
                client=client.requests.client,
            )
        return TokenRefresher(
            credential.id,
            self.provider,
            client=client,
            pair=self._transports,
            storage=self._storage,
            storage_key=f"{self.provider}:{credential.id}",
            token=token,
            refresh_function=self._refresh_function,
            strategy=self._strategy,
            enabled=config.refresh.enabled,
            on_token_refresh=credential.on_token_refresh or self._on_token_refresh,
            tell=self._told,
            clock=self._clock,
        )

    def remove_credential(self, credential_id: str) -> bool:
        """Take a credential out of use; requests in flight with it finish. Its stored token stays.

        Returns:
            Whether it existed.
        """
        self._rotation.forget(credential_id)
        self._refreshers.pop(credential_id, None)
        return self._pool.remove_credential(credential_id)

    def credential_ids(self) -> list[str]:
        """The ids of all credentials, sorted."""
        return sorted(self._refreshers)

    def status(self) -> list[KeyStatus]:
        """The state of each credential; no token is shown."""
        return self._pool.status()

    def is_healthy(self) -> bool:
        """Whether a credential can be used now."""
        return self._pool.usable(self._clock())

    # -------------------------------------------------------------------------------------------- use

    def execute_with_failover(self, function: Callable[[str], T]) -> T:
        """Call ``function(access_token)``; if it fails because of the credential, use the next one.

        A refused token (401) is refreshed and retried once before the next credential is used.

        Args:
            function: Makes the call. Errors of this library, and any exception that has a status, are classified; any
                other one counts as a failure of the credential.

        Raises:
            AllKeysExhaustedError: No credential is left; the last failure is its cause.
            AuthError: The only credential has no token.
            Exception: What the function raised, if another credential would not help.
        """
        result: T = run_to_completion(self._execute(function, self._blocking()))
        return result

    async def aexecute_with_failover(self, function: Callable[[str], Awaitable[T]] | Callable[[str], T]) -> T:
        """As :meth:`execute_with_failover`; the function may be asynchronous."""
        result: T = await self._execute(function, self._asyncio())
        return result

    async def _execute(self, function: Callable[[str], Any], transport: Transport) -> Any:
        return await failover(self._pool, function, transport, self.wait, renewing=_Renewing(self._pool, transport))

    def refresh_all(self) -> dict[str, AuthError | None]:
        """Refresh every credential now; return the errors by id."""
        return run_to_completion(self._refresh_all(self._blocking()))

    async def arefresh_all(self) -> dict[str, AuthError | None]:
        """As :meth:`refresh_all`."""
        return await self._refresh_all(self._asyncio())

    async def _refresh_all(self, transport: Transport) -> dict[str, AuthError | None]:
        found: dict[str, AuthError | None] = {}
        for name, refresher in list(self._refreshers.items()):
            try:
                await refresher.refresh_now(transport)
                found[name] = None
            except AuthError as error:
                found[name] = error
                continue
            key = self._pool.key_of(name)
            if key is not None:
                await self._pool.renew(key, transport)
        return found

    # -------------------------------------------------------------------------------------------- policies

    def set_refresh_strategy(self, strategy: RefreshStrategy) -> None:
        """Refresh earlier or later from now on."""
        self._strategy = strategy
        for refresher in list(self._refreshers.values()):
            refresher.set_strategy(strategy, self._clock(), self._time())
            self._pool.renew_by(refresher.id, refresher.fresh_until)

    def set_rotation_policy(self, policy: RotationPolicy) -> None:
        """Use this rotation policy from now on."""
        self._rotation.policy = policy

    def check_rotation_needed(self) -> list[str]:
        """The credentials that are due; ``on_rotation_needed`` is called once for each.

        Call it now and then, e.g. once a day. Credentials whose grace period has ended are taken out of use too, if the
        policy says so.

        Raises:
            Exception: What your callback raised; the credential is then reported again next time.
        """
        return run_to_completion(self._check_rotation(self._blocking()))

    async def acheck_rotation_needed(self) -> list[str]:
        """As :meth:`check_rotation_needed`."""
        return await self._check_rotation(self._asyncio())

    async def _check_rotation(self, transport: Transport) -> list[str]:
        policy = self._rotation.policy
        due = self._rotation.check(transport.time())
        for name in self._rotation.untold(due):
            await self._watch.rotation(transport, name, "is old enough to be replaced")
            if policy.on_rotation_needed is not None:
                try:
                    await call_user(transport, policy.on_rotation_needed, name, what="on_rotation_needed")
                except BaseException:  # on cancellation too: it was not reported, so it is reported next time
                    self._rotation.tell_again(name)
                    raise
        if policy.enabled and policy.auto_decommission:
            await self._decommission(transport)
        return due

    def mark_for_rotation(self, old: str, new: str) -> RotationState:
        """Replace ``old`` by ``new``; both are used until the grace period ends.

        Raises:
            AuthError: One of them is not known, or ``old`` was replaced already (``key_rotation_failed``).
        """
        return self._rotation.mark(old, new, self._time())

    def complete_rotation(self, old: str) -> RotationState:
        """Take a replaced credential out of use before its grace period ends.

        Raises:
            AuthError: It is not known, or was not replaced (``key_rotation_failed``).
        """
        done = self._rotation.complete(old, self._time())
        self._refreshers.pop(old, None)
        self._pool.remove_credential(old)
        return done

    def get_rotation_state(self, credential_id: str) -> RotationState | None:
        """The rotation state of one credential; ``None`` if it is not known."""
        return self._rotation.state(credential_id)

    def get_rotation_states(self) -> dict[str, RotationState]:
        """The rotation states of all credentials."""
        return self._rotation.states()

    def auto_decommission_expired(self) -> list[str]:
        """Take replaced credentials out of use whose grace period has ended; return their ids."""
        return run_to_completion(self._decommission(self._blocking()))

    async def aauto_decommission_expired(self) -> list[str]:
        """As :meth:`auto_decommission_expired`."""
        return await self._decommission(self._asyncio())

    async def _decommission(self, transport: Transport) -> list[str]:
        over = self._rotation.expired(transport.time())
        for name in over:
            self.complete_rotation(name)
            await self._watch.rotation(transport, name, "was taken out of use")
            callback = self._rotation.policy.on_decommissioned
            if callback is not None:
                await call_user(transport, callback, name, what="on_decommissioned")
        return over

    @property
    def watch(self) -> CredentialWatch:
        """What tells of its credentials; the event buses of clients can be attached to it."""
        return self._watch

    # -------------------------------------------------------------------------------------------- metrics

    def get_metrics(self) -> dict[str, CredentialMetrics]:
        """The metrics of each credential, by id."""
        return {name: refresher.metrics for name, refresher in list(self._refreshers.items())}

    def export_json(self) -> str:
        """The metrics as a JSON object, by id."""
        return export_json(self.get_metrics(), self._time())

    def export_prometheus(self) -> str:
        """The counters in Prometheus's text format."""
        return export_prometheus(self.get_metrics())

    def get_health_summary(self) -> dict[str, Any]:
        """A summary: number of credentials, healthy ones, requests, success rate, tokens."""
        healthy = sum(status.state == "healthy" for status in self._pool.status())
        return health_summary(self.get_metrics(), healthy)

    def check_alerts(self) -> list[CredentialEvent]:
        """Send the alerts that are due and return them; they are not sent again within the cooldown.

        Call it now and then, e.g. once a minute. It is also done with each refresh.
        """
        return run_to_completion(self._check_alerts(self._blocking()))

    async def acheck_alerts(self) -> list[CredentialEvent]:
        """As :meth:`check_alerts`."""
        return await self._check_alerts(self._asyncio())

    async def _check_alerts(self, transport: Transport) -> list[CredentialEvent]:
        return await self._watch.check(transport, list(self._refreshers.values()))

    async def _told(self, transport: Transport, kind: str, refresher: TokenRefresher, error: Exception | None) -> None:
        await self._watch.refreshed(transport, kind, refresher, error)

    # -------------------------------------------------------------------------------------------- closing

    def close(self) -> None:
        """Close the connections of blocking calls, and store tokens that could not be stored yet."""
        for refresher in list(self._refreshers.values()):
            run_to_completion(refresher.save(self._blocking()))
        super().close()

    async def aclose(self) -> None:
        """Close the connections of the running event loop, and those of blocking calls.

        Waits for refreshes in progress, and stores tokens that could not be stored yet.
        """
        for refresher in list(self._refreshers.values()):
            await refresher.settle(self._asyncio())
        await super().aclose()


class _Renewing(Renewing):
    """Refreshes tokens for calls that the user makes."""

    def __init__(self, pool: CredentialPool, transport: Transport) -> None:
        self._pool = pool
        self._transport = transport

    async def renew(self, key: Key) -> Literal["adopted", "renewed"] | None:
        if key.fresh_until > self._transport.now():
            return None
        try:
            return await self._pool.renew(key, self._transport)
        except ProviderKitError as error:
            if isinstance(error, AuthError):
                self._pool.renewal_failed(key, error, self._transport.now())
            raise

    async def retry_dead(self) -> bool:
        return await self._pool.retry_dead(self._transport)

    def refused(self, key: Key, sent: str) -> bool:
        if not self._pool.can_renew(key):
            return False
        self._pool.reject(key, sent)
        return True
