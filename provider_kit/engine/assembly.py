"""The policies a client was made with: checked, completed, and put together into its gate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any, cast

from attrs import frozen

from provider_kit.auth.credentials import pool_of
from provider_kit.auth.keys.pool import KeyPool
from provider_kit.auth.oauth.presets import oauth_config
from provider_kit.engine.admission import Gate
from provider_kit.engine.endpoint import Endpoint
from provider_kit.engine.events import EventBus, Listener
from provider_kit.engine.shared_state import SharedState
from provider_kit.errors import ConfigError
from provider_kit.model.config import CircuitBreakerConfig, ProviderConfig
from provider_kit.policies.circuit_breaker import CircuitBreaker
from provider_kit.policies.rate_limit import Limiter
from provider_kit.policies.response_cache import ResponseCache
from provider_kit.policies.retry import RetryPolicy, make_policy
from provider_kit.stores.base import ADDRESSES, SharedStore, open_cache_store, open_store
from provider_kit.transports.base import Transport
from provider_kit.wire.redaction import redact

if TYPE_CHECKING:
    from provider_kit.auth.oauth.authenticator import OAuthAuthenticator
    from provider_kit.auth.oauth.key_manager import OAuthKeyManager

__all__ = ["Parts", "check_policies", "find_login", "make_gate"]


@frozen(kw_only=True)
class Parts:
    """What a client was given that is not plain configuration."""

    retry: RetryPolicy | str | None = None
    pool: KeyPool | None = None
    limiter: Limiter | None = None
    breaker: CircuitBreaker | None = None
    cache: ResponseCache | None = None
    store: SharedStore | None = None
    listener: Listener | None = None
    #: The login that was made here, and is closed with the client.
    login: OAuthAuthenticator | OAuthKeyManager | None = None
    #: What was given as ``auth=``.
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
) -> Parts:
    """The parts, checked.

    Raises:
        ConfigError: One of them is not what it is taken for.
        AuthError: A key is empty or holds characters that no key has.
    """
    make_policy(retry, config.max_retries)
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
    if pool is not None and config.api_key is not None:
        raise ConfigError("api_key= and api_keys= are both given.", hint="Put all keys into api_keys=.")
    if pool is not None and config.api_keys:
        raise ConfigError("Keys are given twice.", hint="Add them to the KeyManager, or leave it out.")
    if rate_limiter is not None and not _is_a(rate_limiter, Limiter):
        raise ConfigError(
            f"rate_limiter must be an object with reserve() and settle(), not {rate_limiter!r}.",
            hint="See provider_kit.Limiter; for usual limits pass rate_limit=RateLimitConfig(…).",
        )
    if on_event is not None and not callable(on_event):
        raise ConfigError(f"on_event must be a function, not {on_event!r}.", hint="on_event=print shows each event.")
    if store is not None and not isinstance(store, str) and not _is_a(store, SharedStore):
        raise ConfigError(
            f"store must be a redis:// URL or a RedisStore, not {type(store).__name__}.",
            hint="store='redis://localhost:6379/0'.",
        )
    return Parts(
        retry=retry,
        pool=pool,
        limiter=rate_limiter,
        breaker=circuit_breaker if isinstance(circuit_breaker, CircuitBreaker) else None,
        cache=_cache(config.response_cache if response_cache is None else response_cache),
        store=open_store(store) if isinstance(store, str) else store,
        listener=on_event,
        login=login,
        auth=auth,
    )


def find_login(config: ProviderConfig, auth: Any) -> tuple[KeyPool, OAuthAuthenticator | OAuthKeyManager | None]:
    """The tokens that take the place of keys, and the login behind them, if it is made here.

    Raises:
        ConfigError: ``auth`` is no authenticator, or two logins are given.
    """
    if auth is not None and (config.oauth_credentials or config.oauth is not None):
        raise ConfigError("Two logins are given.", hint="Pass auth=, or oauth and oauth_credentials, not both.")
    if config.oauth_credentials:
        from provider_kit.auth.oauth.key_manager import OAuthKeyManager

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

        made = OAuthAuthenticator(config.label, config=config.oauth or oauth_config(config.type))
        return made.credential_pool, made
    if isinstance(auth, str):
        raise ConfigError(f"auth={auth!r} is not understood.", hint="auth='oauth', or an authenticator object.")
    return pool_of(auth, config.label), None


def _is_a(given: Any, protocol: type) -> bool:
    """Whether an object has the methods; a class has them too, but cannot be asked."""
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
        cache.opened = open_store(cache.store)  # no connection is made yet
    return cache


def dumping(config: ProviderConfig, environ: Mapping[str, str]) -> Callable[[Transport], Transport] | None:
    """What makes a transport show everything it sends and receives, if that was asked for."""
    wanted = environ.get("PROVIDER_KIT_DEBUG_HTTP", "").lower() in ("1", "true", "yes", "on")
    if not (config.debug_http or wanted):
        return None
    from provider_kit.observability.http_dump import DumpingTransport

    return lambda transport: cast(Transport, DumpingTransport(transport))


def make_gate(endpoint: Endpoint, config: ProviderConfig, parts: Parts) -> Gate:
    """The gate of one client."""
    breaker = parts.breaker
    if breaker is None and config.circuit_breaker:
        numbers = config.circuit_breaker
        breaker = CircuitBreaker(numbers if isinstance(numbers, CircuitBreakerConfig) else None)
    store = parts.store or (open_store(config.store) if config.store else None)
    return Gate(
        endpoint,
        config,
        breaker=breaker,
        limiter=parts.limiter,
        events=EventBus(endpoint.name, parts.listener),
        shared=SharedState(store, endpoint, config) if store is not None else None,
        cache=parts.cache,
        open_store=open_cache_store,
    )
