"""The composition root: checks and completes what a client was given, and builds its engine.

A client, one with other options, an unpickled one, the check of a configuration file and the doctor all get their
engine here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, cast

from attrs import evolve, frozen

from provider_kit.auth.credentials import pool_of
from provider_kit.auth.fixed_credentials import BearerTokenAuthenticator
from provider_kit.auth.keys.pool import KeyPool
from provider_kit.auth.keys.sources import check_key
from provider_kit.engine.admission import Admission
from provider_kit.engine.endpoint import Endpoint
from provider_kit.engine.engine import Engine
from provider_kit.engine.engine_parts import EngineParts, known_engines
from provider_kit.engine.events import EventBus, Sink
from provider_kit.engine.handler import Middleware
from provider_kit.engine.middleware import MiddlewareChain, check_middleware
from provider_kit.engine.settlement import Settlement
from provider_kit.engine.shared_state import SharedState
from provider_kit.errors import ConfigError
from provider_kit.model.config import APIKey, CircuitBreakerConfig, ProviderConfig, Timeout
from provider_kit.observability.metrics import Metrics
from provider_kit.policies.circuit_breaker import CircuitBreaker
from provider_kit.policies.rate_limit import Limiter
from provider_kit.policies.response_cache import ResponseCache
from provider_kit.policies.retry import RetryPolicy, make_policy
from provider_kit.providers.registry import find_provider
from provider_kit.stores.base import ADDRESSES, SharedStore, open_cache_store, open_store
from provider_kit.transports.base import Transport
from provider_kit.transports.pair import Transports
from provider_kit.wire.redaction import MaskedDict, is_secret_header, redact

if TYPE_CHECKING:
    from provider_kit.auth.oauth.authenticator import OAuthAuthenticator
    from provider_kit.auth.oauth.key_manager import OAuthKeyManager
    from provider_kit.engine.daily_count import PersistentDay

__all__ = [
    "Given",
    "check_policies",
    "engine_for_other_keys",
    "engine_over",
    "find_login",
    "make_engine",
    "make_transports",
    "metrics_of",
    "middleware_of",
    "sinks_of",
    "store_of",
    "with_other_keys",
    "with_own_metrics",
]


@frozen(kw_only=True)
class Given:
    """Arguments of a client that are not plain configuration."""

    retry: RetryPolicy | str | None = None
    pool: KeyPool | None = None
    limiter: Limiter | None = None
    breaker: CircuitBreaker | None = None
    cache: ResponseCache | None = None
    store: SharedStore | None = None
    sinks: tuple[Sink, ...] = ()
    metrics: Metrics | None = None
    error_snapshots: bool = False
    middleware: tuple[Middleware, ...] = ()
    #: The login that was created here and is closed with the client.
    login: OAuthAuthenticator | OAuthKeyManager | None = None
    #: The value of ``auth=``.
    auth: Any = None


def check_policies(
    config: ProviderConfig,
    *,
    retry: Any,
    api_keys: Any,
    auth: Any,
    rate_limiter: Any,
    circuit_breaker: Any,
    response_cache: Any,
    store: Any,
    on_event: Any,
    middleware: Any = (),
    metrics: Any = True,
    error_snapshots: bool = False,
) -> Given:
    """Check the parts.

    Raises:
        ConfigError: A part is invalid.
        AuthError: A key is empty or holds characters that are not allowed in a key.
    """
    make_policy(retry, config.max_retries)
    pool, login = _keys_or_login(config, api_keys, auth)
    if rate_limiter is not None and not _is_a(rate_limiter, Limiter):
        raise ConfigError(
            f"rate_limiter must be an object with reserve() and settle(), not {rate_limiter!r}.",
            hint="See provider_kit.Limiter; for usual limits pass rate_limit=RateLimitConfig(…).",
        )
    return Given(
        retry=retry,
        pool=pool,
        limiter=rate_limiter,
        breaker=circuit_breaker if isinstance(circuit_breaker, CircuitBreaker) else None,
        cache=_cache(config.response_cache if response_cache is None else response_cache),
        store=store_of(store),
        sinks=sinks_of(on_event),
        middleware=middleware_of(middleware),
        metrics=metrics_of(metrics),
        error_snapshots=error_snapshots,
        login=login,
        auth=auth,
    )


def _keys_or_login(
    config: ProviderConfig, api_keys: Any, auth: Any
) -> tuple[KeyPool | None, OAuthAuthenticator | OAuthKeyManager | None]:
    """The pool of keys or tokens that replaces the configuration's keys, and its login."""
    pool: KeyPool | None = None
    login: OAuthAuthenticator | OAuthKeyManager | None = None
    if isinstance(api_keys, KeyPool):
        pool = api_keys
    elif isinstance(api_keys, Mapping):
        strategy = config.key_strategy if config.key_strategy != "round_robin" else "weighted"
        pool = KeyPool(config.label, api_keys, strategy=strategy)
    elif callable(api_keys):
        pool = KeyPool(config.label, (), strategy=config.key_strategy, source=api_keys)
    if auth is not None or config.oauth_credentials or config.oauth is not None:
        if pool is not None or config.api_key is not None or config.api_keys:
            raise ConfigError(
                "Keys and a login are both given.", hint="Pass api_key=, api_keys= or auth=, only one of them."
            )
        pool, login = find_login(config, auth)
    if config.key_strategy != "round_robin" and (isinstance(api_keys, KeyPool) or auth is not None):
        raise ConfigError(
            "key_strategy= has no effect on a KeyManager or a login.",
            hint="Pass it to the object itself: KeyManager(…, strategy=…).",
        )
    if pool is not None and config.api_key is not None:
        raise ConfigError("api_key= and api_keys= are both given.", hint="Put all keys into api_keys=.")
    if pool is not None and config.api_keys:
        raise ConfigError("Keys are given twice.", hint="Add them to the KeyManager, or leave it out.")
    return pool, login


def find_login(config: ProviderConfig, auth: Any) -> tuple[KeyPool, OAuthAuthenticator | OAuthKeyManager | None]:
    """The tokens that replace keys, and their login, if it is created here.

    Raises:
        ConfigError: ``auth`` is not an authenticator, or two logins are given.
    """
    if auth is not None and (config.oauth_credentials or config.oauth is not None):
        raise ConfigError("Two logins are given.", hint="Pass auth=, or oauth and oauth_credentials, not both.")
    if config.oauth_credentials:
        from provider_kit.auth.oauth.key_manager import OAuthKeyManager
        from provider_kit.auth.oauth.presets import oauth_config

        # The name of the provider chooses the preset; the label is what errors and storages show.
        manager = OAuthKeyManager(
            config.label,
            config.oauth_credentials,
            config=config.oauth or oauth_config(config.type),
            strategy=config.key_strategy,
        )
        return manager.credential_pool, manager
    if auth == "oauth" or auth is None:
        from provider_kit.auth.oauth.authenticator import OAuthAuthenticator
        from provider_kit.auth.oauth.presets import oauth_config

        made = OAuthAuthenticator(config.label, config=config.oauth or oauth_config(config.type))
        return made.credential_pool, made
    if isinstance(auth, str):
        raise ConfigError(
            "auth must be 'oauth' or an authenticator object, not another text.",
            hint="Write auth='oauth', or pass an authenticator, e.g. BearerTokenAuthenticator; a key is api_key=….",
        )
    return pool_of(auth, config.label), None


def store_of(given: Any) -> SharedStore | None:
    """The shared store, from its address where it is one; no connection is opened yet.

    Raises:
        ConfigError: It is neither.
    """
    if given is None or isinstance(given, str):
        return None if given is None else open_store(given)
    if not _is_a(given, SharedStore):
        raise ConfigError(
            f"store must be a redis:// URL or a RedisStore, not {type(given).__name__}.",
            hint="store='redis://localhost:6379/0'.",
        )
    return cast(SharedStore, given)


def sinks_of(given: Any) -> tuple[Sink, ...]:
    """The functions that events go to: one, or several."""
    if given is None:
        return ()
    found = (given,) if callable(given) or not isinstance(given, (list, tuple)) else tuple(given)
    for one in found:
        if not callable(one):
            raise ConfigError(
                f"on_event must be a function, not {one!r}.",
                hint="on_event=print shows each event; a list of functions gives each of them all events.",
            )
    return found


def metrics_of(given: Any, router: str = "") -> Metrics | None:
    """Where calls are counted: an object of its own, one that several clients share, or nowhere."""
    if given is True:
        return Metrics(router)
    if given is None or given is False:
        return None
    if not isinstance(given, Metrics):
        raise ConfigError(f"metrics must be True, False or a Metrics, not {given!r}.")
    return given


def middleware_of(given: Any) -> tuple[Middleware, ...]:
    """The middleware functions of a client."""
    return tuple(map(check_middleware, given if isinstance(given, (list, tuple, MiddlewareChain)) else (given,)))


def _is_a(given: Any, protocol: type) -> bool:
    """Whether an object has the methods; a class has them too, but is not an instance."""
    return isinstance(given, protocol) and not isinstance(given, type)


def _cache(given: Any) -> ResponseCache | None:
    if given is None or given is False:
        return None
    if given is True:
        return ResponseCache()
    cache = ResponseCache(given) if isinstance(given, (str, PathLike)) else given
    if not isinstance(cache, ResponseCache):
        raise ConfigError(
            f"response_cache must not be {type(given).__name__}.",
            hint="True for memory, a path, a redis:// URL, or a ResponseCache.",
        )
    if isinstance(cache.store, str) and "://" in cache.store and cache.opened is None:
        if not cache.store.startswith(ADDRESSES):
            raise ConfigError(
                f"No response cache can be kept at {redact(cache.store)!r}.",
                hint="response_cache='redis://localhost:6379/0', or a path without '://'.",
            )
        cache.opened = open_store(cache.store)  # no connection is opened yet
    return cache


# ------------------------------------------------------------------------------------------------ putting together


def make_transports(
    config: ProviderConfig, environ: Mapping[str, str], session: Any, async_session: Any, transport: Transport | None
) -> Transports:
    """The transports of a client, which log everything they send and receive if configured."""
    wrap: Callable[[Transport], Transport] | None = None
    if config.debug_http or environ.get("PROVIDER_KIT_DEBUG_HTTP", "").lower() in ("1", "true", "yes", "on"):
        from provider_kit.observability.http_dump import DumpingTransport

        def wrap(inner: Transport) -> Transport:
            return cast(Transport, DumpingTransport(inner))

    return Transports(config.http, session=session, async_session=async_session, transport=transport, wrap=wrap)


def make_engine(
    config: ProviderConfig,
    given: Given,
    transports: Transports,
    *,
    environ: Mapping[str, str] | None = None,
    clock: Callable[[], float] | None = None,
    tenant: str = "",
) -> Engine:
    """Create the engine of a client.

    Args:
        config: Its configuration.
        given: Its other arguments.
        transports: The transports that send its requests.
        environ: The environment; default: that of the process.
        clock: A monotonic clock, if not the system's.
        tenant: The owner of its credentials, where the cache is shared.

    Raises:
        ConfigError: The base URL is missing or malformed, or an option is unknown.
    """
    environ = MaskedDict(os.environ) if environ is None else environ
    endpoint = Endpoint(find_provider(config.type), config, environ, given.pool, clock)
    endpoint.tenant = tenant
    breaker = given.breaker
    if breaker is None and config.circuit_breaker:
        numbers = config.circuit_breaker
        breaker = CircuitBreaker(numbers if isinstance(numbers, CircuitBreakerConfig) else None)
    store = given.store or (open_store(config.store) if config.store else None)
    return _assemble(endpoint, config, given, transports, breaker, store)


def _bus_of(name: str, given: Given) -> EventBus:
    """The event bus of a client."""
    metrics = given.metrics
    bus = EventBus(name, given.sinks if metrics is None else (*given.sinks, metrics))
    if metrics is not None:
        metrics.attach(bus)
    for login in (given.login, given.auth):
        watch = getattr(login, "watch", None)
        if watch is not None:
            watch.attach(bus)
    return bus


def _assemble(
    endpoint: Endpoint,
    config: ProviderConfig,
    given: Given,
    transports: Transports,
    breaker: CircuitBreaker | None,
    store: SharedStore | None,
    events: EventBus | None = None,
) -> Engine:
    limits = config.rate_limit
    persist = limits.persist if limits is not None and limits.enabled else False
    day: PersistentDay | None = None
    if persist:
        from provider_kit.engine.daily_count import PersistentDay

        day = PersistentDay(persist if isinstance(persist, str) else None, config.on_store_failure)
    admission = Admission(
        endpoint,
        config,
        breaker=breaker,
        limiter=given.limiter,
        shared=SharedState(store, endpoint, config) if store is not None else None,
        day=day,
    )
    counted = admission.limits is not None and bool(admission.limits.tokens_per_minute)
    parts = EngineParts(
        endpoint,
        config,
        make_policy(given.retry, config.max_retries),
        Timeout.parse(config.timeout),
        transports,
        admission,
        Settlement(admission),
        events or _bus_of(endpoint.name, given),
        given.cache,
        open_cache_store,
        admission.renewable or given.limiter is not None or counted,
        given.error_snapshots,
    )
    known_engines.add(parts)
    return Engine(parts)


def with_own_metrics(given: Given) -> Given:
    """The same parts for another client, which counts its own calls."""
    return given if given.metrics is None else evolve(given, metrics=Metrics())


def engine_over(engine: Engine, *, transport: Transport | None = None, timeout: Timeout | None = None) -> Engine:
    """The same engine, keys, limits and cache included, over another transport, or with other timeouts.

    Args:
        engine: The engine.
        transport: The transport to use instead.
        timeout: The default timeouts of its calls.
    """
    parts = engine.parts
    if transport is not None:
        parts = evolve(parts, transports=Transports(parts.config.http, transport=transport))
    return Engine(evolve(parts, timeout=timeout) if timeout is not None else parts)


def with_other_keys(
    config: ProviderConfig, given: Given, *, api_key: APIKey | None, api_keys: Any, token: str | None, auth: Any
) -> tuple[ProviderConfig, Given]:
    """Configuration and parts with the credentials of another user, and none of the old ones."""
    keys: Sequence[str] = () if api_keys is None or isinstance(api_keys, KeyPool) else api_keys
    if isinstance(api_key, str):
        check_key(api_key, config.label)
    elif api_keys is not None and not isinstance(api_keys, KeyPool) and not api_keys:
        check_key("", config.label)  # none of the service's own keys takes the place of a user's
    headers = {name: value for name, value in config.headers.items() if not is_secret_header(name)}
    config = config.replace(api_key=api_key, api_keys=keys, oauth_credentials=(), oauth=None, headers=headers)
    pool: KeyPool | None = api_keys if isinstance(api_keys, KeyPool) else None
    if token is not None:
        pool = pool_of(BearerTokenAuthenticator(config.label, token), config.label)
    elif auth is not None:
        pool = find_login(config, auth)[0]
    return config, evolve(given, pool=pool, login=None, auth=None)


def engine_for_other_keys(engine: Engine, config: ProviderConfig, given: Given) -> Engine:
    """An engine for other credentials that shares circuit, slots, store, connections and clocks with another one."""
    parts, old = engine.parts, engine.parts.admission
    endpoint = parts.endpoint.for_other_keys(config, given.pool)
    store = old.shared.store if old.shared is not None else None
    made = _assemble(endpoint, config, given, parts.transports, old.breaker, store, parts.events)
    made.parts.timeout = parts.timeout
    made.parts.admission.slots = old.slots
    made.parts.admission.arrange()
    return made
