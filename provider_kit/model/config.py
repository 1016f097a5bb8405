"""What is configured: providers, credentials, timeouts, connections, limits.

Values only; the ``config`` package reads them from arguments, the environment and files.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from attrs import Attribute, evolve, field, fields, frozen

from provider_kit.errors import ConfigError
from provider_kit.model.arguments import explained
from provider_kit.model.http_config import DEFAULT_MAX_RESPONSE_BYTES, HTTPConfig, check_seconds, flag, positive_seconds
from provider_kit.model.secrets import MASK

if TYPE_CHECKING:
    from provider_kit.model.oauth import OAuthConfig, OAuthCredentialSet

__all__ = [
    "CONFIG_FIELDS",
    "DEFAULT_MAX_RESPONSE_BYTES",
    "DEFAULT_MAX_RETRIES",
    "DEFAULT_MAX_TOKENS",
    "DEFAULT_TEMPERATURE",
    "DEFAULT_TIMEOUT",
    "DEFAULT_TOTAL_TIMEOUT",
    "APIKey",
    "CircuitBreakerConfig",
    "HTTPConfig",
    "OnStoreFailure",
    "OnUnsupported",
    "ProviderConfig",
    "RateLimitConfig",
    "Timeout",
    "no_keys",
]

#: Seconds to connect, to wait for a stream's first content, and between two pieces of content.
DEFAULT_TIMEOUT = 30.0
#: Seconds for a complete answer without streaming.
DEFAULT_TOTAL_TIMEOUT = 600.0
#: Tries after the first one.
DEFAULT_MAX_RETRIES = 3
#: A usual temperature. Never sent unless passed.
DEFAULT_TEMPERATURE = 0.7
#: A usual limit of an answer. Never sent unless passed.
DEFAULT_MAX_TOKENS = 1000

#: A key, or a callable (sync or async) that returns the key to use now.
APIKey: TypeAlias = str | Callable[[], str] | Callable[[], Awaitable[str]]
#: What to do with a parameter the model does not accept.
OnUnsupported: TypeAlias = Literal["warn", "raise", "drop"]
#: What to do while the shared store cannot be reached: continue with this process's own state, or fail.
OnStoreFailure: TypeAlias = Literal["local", "raise"]


def _tuple(values: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(values)


@explained(
    "Timeout(connect=5, first_token=30, idle=30)", read="first_token=… and idle=…, or answer=… for a whole answer"
)
@frozen
class Timeout:
    """The timeouts of a call, in seconds; ``None`` waits without limit.

    The first-token and idle timeouts of a stream are reset by content only: keep-alive comments of a server do not
    extend them.
    """

    #: Until a connection is established: DNS, TCP, TLS, proxy.
    connect: float | None = field(default=DEFAULT_TIMEOUT, validator=positive_seconds)
    #: Until the first content of a stream.
    first_token: float | None = field(default=DEFAULT_TIMEOUT, validator=positive_seconds)
    #: Between two pieces of content of a stream.
    idle: float | None = field(default=DEFAULT_TIMEOUT, validator=positive_seconds)
    #: For the whole call, all attempts and waits included.
    total: float | None = field(default=None, validator=positive_seconds)
    #: Until the complete answer of a call without streaming has been received.
    answer: float | None = field(default=None, validator=positive_seconds)

    @classmethod
    def parse(cls, value: Any) -> Timeout | None:
        """Accept seconds, ``(connect, read)`` as requests has it, a dict, or a :class:`Timeout`."""
        if value is None or isinstance(value, Timeout):
            return value
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            check_seconds("timeout", value)
            return cls(value, value, value, answer=value)
        if isinstance(value, tuple) and len(value) == 2:
            return cls(value[0], value[1], value[1], answer=value[1])
        if isinstance(value, Mapping) and not value.keys() - {"connect", "first_token", "idle", "total", "answer"}:
            return cls(**value)
        raise ConfigError(
            f"timeout {value!r} is not understood.",
            hint="Use seconds, or Timeout(connect=…, first_token=…, idle=…, total=…).",
        )


def _count(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ConfigError(
            f"{attribute.name} must be a whole number above 0, not {value!r}.", hint="Use None for no limit."
        )


def _share(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 1:
        raise ConfigError(f"{attribute.name} must be above 0 and at most 1, not {value!r}.", hint="0.8 is 80 percent.")


@explained("RateLimitConfig(requests_per_minute=60)", rpm="requests_per_minute=…", tpm="tokens_per_minute=…")
@frozen(kw_only=True)
class RateLimitConfig:
    """Rate limits of one key; ``None`` for no limit.

    In any rolling minute (day), never more than the limit is sent, with one exception: a single call that is larger
    than ``tokens_per_minute`` can never fit, so it is sent alone, and a warning in the log says so. A call waits in a
    queue; it fails at once if that would take longer than ``max_wait`` or the call's deadline. Lower limits in the
    provider's headers take precedence.
    """

    requests_per_minute: int | None = field(default=None, validator=_count)
    #: Input and output together. A call reserves an estimate and returns what it did not use.
    tokens_per_minute: int | None = field(default=None, validator=_count)
    requests_per_day: int | None = field(default=None, validator=_count)
    enabled: bool = field(default=True, validator=flag)
    #: Longest wait of a call in seconds; ``None``: as long as its deadline allows.
    max_wait: float | None = field(default=None, validator=positive_seconds)
    #: Share of a limit reported by the provider beyond which calls are spaced out.
    throttle_threshold: float = field(default=0.8, validator=_share)
    #: Keep the daily count in a file, so that it survives a restart: ``True`` for the user's state
    #: directory, or the path of a file.
    persist: bool | str = False
    #: ``smooth`` spreads a minute's calls evenly, for providers that refuse bursts; ``burst`` sends them at once while
    #: the limit allows.
    pacing: Literal["burst", "smooth"] = "burst"

    def __attrs_post_init__(self) -> None:
        if self.pacing not in ("burst", "smooth"):
            raise ConfigError(f"pacing {self.pacing!r} is not understood.", hint="Use 'burst' or 'smooth'.")
        if self.pacing == "smooth" and self.requests_per_minute is None:
            raise ConfigError("pacing='smooth' needs requests_per_minute.", hint="It spreads the calls of a minute.")
        if not isinstance(self.persist, (bool, str)):
            raise ConfigError(f"persist must be True, False or a path, not {self.persist!r}.")
        if self.persist and self.requests_per_day is None:
            raise ConfigError("persist needs requests_per_day.", hint="It keeps the count of a day, and nothing else.")


@explained("CircuitBreakerConfig(min_requests=5, failure_ratio=0.5)")
@frozen(kw_only=True)
class CircuitBreakerConfig:
    """When the circuit breaker opens for a failing provider, and for how long."""

    #: Trial calls of a half-open circuit; all must succeed.
    half_open_requests: int = field(default=3, validator=_count)
    #: Seconds after which the counts restart.
    window: float = field(default=60.0, validator=positive_seconds)
    #: Seconds the circuit stays open.
    open_for: float = field(default=30.0, validator=positive_seconds)
    #: Calls that must have been counted before it can open.
    min_requests: int = field(default=3, validator=_count)
    #: Share of failures at which it opens.
    failure_ratio: float = field(default=0.6, validator=_share)


def _keys(value: Any) -> tuple[Any, ...]:
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise ConfigError("api_keys must be a list of keys.", hint="For one key use api_key=.")
    found = tuple(value)
    if not found and type(value) is not tuple:
        raise no_keys()
    return found


def no_keys() -> ConfigError:
    """The error for an empty list of keys: keys were meant to be given, so no other key is used instead."""
    return ConfigError("api_keys is empty.", hint="Look at what fills it; leave it out to use the environment's keys.")


def _mask_list(keys: Any) -> str:
    return f"<{len(keys)} keys>" if keys else "()"


def _without_password(url: Any) -> str:
    """An address with its user and password masked."""
    scheme, slashes, rest = str(url).partition("://")
    host, at, path = rest.partition("/")
    user, _, host = host.rpartition("@")
    return repr(url) if not user else repr(f"{scheme}{slashes}{MASK}@{host}{at}{path}")


@explained("ProviderConfig(type='openai', default_model='gpt-5-mini')", model="default_model=…", provider="type=…")
@frozen(kw_only=True)
class ProviderConfig:
    """The configuration of one provider. Only ``type`` is required."""

    #: Which provider: ``openai``, ``anthropic``, … or ``openai_compatible``.
    type: str
    #: Your name for it; default: the type.
    name: str | None = None
    #: The key, or a callable that returns it. Default: the provider's environment variables.
    api_key: APIKey | None = field(default=None, repr=False)
    #: Several keys, used as ``key_strategy`` says.
    api_keys: tuple[str, ...] = field(default=(), converter=_keys, repr=_mask_list)
    base_url: str | None = field(default=None, repr=_without_password)
    default_model: str | None = None
    #: Seconds, or a :class:`Timeout`.
    timeout: float | Timeout | None = None
    #: Seconds for a whole call; ``None`` for the default.
    total_timeout: float | None = field(default=None, validator=positive_seconds)
    max_retries: int = DEFAULT_MAX_RETRIES
    #: Sent with every request; overrides what the library would send. May hold secrets, so never shown.
    headers: Mapping[str, str] = field(factory=dict, repr=lambda headers: f"<{len(headers)} headers>")
    rate_limit: RateLimitConfig | None = None
    #: Most calls in flight at once; further ones wait in a queue.
    max_concurrency: int | None = field(default=None, validator=_count)
    #: Order in which several keys are used: ``round_robin``, ``random``, ``weighted`` or ``simple``.
    key_strategy: Literal["round_robin", "random", "weighted", "simple"] = "round_robin"
    #: Whether a call waits for a key that is cooling down: ``True``, ``False`` or seconds; ``None``: up to two minutes,
    #: unless ``max_retries`` is 0.
    wait_for_key: bool | float | None = None
    #: Whether a request whose answer was lost or late is retried. It may then be carried out, and billed, twice.
    retry_on_read_timeout: bool = field(default=False, validator=flag)
    #: Pause calls to a failing provider: ``True`` for the defaults.
    circuit_breaker: bool | CircuitBreakerConfig = False
    #: Cache answers: ``True`` for memory, the path of an SQLite file, or ``redis://…``.
    response_cache: bool | str = field(
        default=False, repr=lambda cache: "<cache>" if isinstance(cache, str) else repr(cache)
    )
    #: ``redis://…``: share limits, key health and circuit state with other processes.
    store: str | None = field(default=None, repr=lambda store: "None" if store is None else "<store>")
    on_store_failure: OnStoreFailure = "local"
    #: OAuth credentials, used instead of keys.
    oauth_credentials: tuple[OAuthCredentialSet, ...] = field(default=(), converter=_tuple)
    #: The OAuth client of those credentials; default: the provider's preset.
    oauth: OAuthConfig | None = None
    http: HTTPConfig = field(factory=HTTPConfig)
    on_unsupported: OnUnsupported = "warn"
    #: Show every request and answer in the log, secrets masked.
    debug_http: bool = field(default=False, validator=flag)
    #: Whether typed answers are checked against their schema on this side, and asked for again if they do not match.
    validation: bool = field(default=True, validator=flag)
    #: Allow keys to be sent over plain ``http://`` to another machine.
    allow_insecure_http: bool = field(default=False, validator=flag)
    #: What you know of models, by name or glob: ``{"my-model*": {"context_window": 8192, "pricing": {"input": 1}}}``.
    model_overrides: Mapping[str, Any] = field(factory=dict)
    #: Options of this provider alone, e.g. ``organization``, ``project_id``, ``use_responses_api``.
    options: Mapping[str, Any] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        if not self.type or not isinstance(self.type, str):
            raise ConfigError(
                f"type must be the name of a provider, not {self.type!r}." if self.type else "type is missing.",
                hint="Name a provider, e.g. type='openai'.",
            )
        for name in ("name", "base_url", "default_model"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise ConfigError(f"{name} must be a string, not {value!r}.")
        if not isinstance(self.headers, Mapping):
            raise ConfigError("headers must be a dict of names and values.", hint="headers={'X-Team': 'search'}.")
        if not isinstance(self.http, HTTPConfig):
            raise ConfigError("http must be an HTTPConfig.", hint="http=HTTPConfig(proxy='http://proxy:3128').")
        for name, allowed, hint in (
            ("rate_limit", RateLimitConfig, "RateLimitConfig(requests_per_minute=60)"),
            ("circuit_breaker", (bool, CircuitBreakerConfig), "True, or CircuitBreakerConfig(…)"),
            ("response_cache", (bool, str), "True, 'answers.db' or 'redis://…'"),
        ):
            value = getattr(self, name)
            if value is not None and not isinstance(value, allowed):
                raise ConfigError(f"{name} must not be {type(value).__name__}.", hint=f"{name}={hint}.")
        if self.on_store_failure not in ("local", "raise"):
            raise ConfigError(
                f"on_store_failure {self.on_store_failure!r} is not understood.", hint="Use 'local' or 'raise'."
            )
        wait = self.wait_for_key
        if wait is not None and not isinstance(wait, bool) and (not isinstance(wait, (int, float)) or not wait >= 0):
            raise ConfigError(
                f"wait_for_key must be True, False or seconds, not {wait!r}.", hint="None waits up to two minutes."
            )
        if isinstance(self.max_retries, bool) or not isinstance(self.max_retries, int) or self.max_retries < 0:
            raise ConfigError(
                f"max_retries must be a whole number of 0 or more, not {self.max_retries!r}.", hint="0 tries only once."
            )
        if self.key_strategy not in ("round_robin", "random", "weighted", "simple"):
            raise ConfigError(
                f"Key strategy {self.key_strategy!r} is not known.",
                hint="There are: round_robin, random, weighted, simple.",
            )
        if self.on_unsupported not in ("warn", "raise", "drop"):
            raise ConfigError(
                f"on_unsupported {self.on_unsupported!r} is not understood.", hint="Use 'warn', 'raise' or 'drop'."
            )
        Timeout.parse(self.timeout)

    @property
    def label(self) -> str:
        """Your name for it, else its type."""
        return self.name or self.type

    def replace(self, **changes: Any) -> ProviderConfig:
        """A copy with some fields changed."""
        return evolve(self, **changes)


#: Names of the fields of :class:`ProviderConfig`.
CONFIG_FIELDS = frozenset(field.name for field in fields(ProviderConfig))
