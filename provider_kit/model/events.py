"""Events of a client for its listeners: one class for each decision it makes.

A new kind of event is a class here and the line that emits it; every sink receives it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeAlias

from attrs import define, field, fields

from provider_kit.errors import ProviderKitError

__all__ = [
    "DECISIONS",
    "AlertKind",
    "AttemptFailed",
    "CacheHit",
    "CacheMiss",
    "CacheStored",
    "CallFailed",
    "CallStarted",
    "CallSucceeded",
    "CircuitChanged",
    "CircuitClosed",
    "CircuitHalfOpened",
    "CircuitOpened",
    "ConcurrencyWait",
    "CredentialEvent",
    "Event",
    "HedgeStarted",
    "KeyCooling",
    "KeyDead",
    "KeyParked",
    "KeySwitched",
    "KeyWait",
    "ProviderSwitched",
    "RaceDecided",
    "RateLimitLearned",
    "RateLimitWait",
    "RetryScheduled",
    "RouteChosen",
    "StoreBack",
    "StoreFailed",
    "StreamAborted",
    "StreamEnded",
    "StreamStarted",
    "TargetBack",
    "TargetCooling",
    "TokenRefreshFailed",
    "TokenRefreshed",
]


# The level an event is logged at, in the numbers of ``logging``. What resolves without intervention is INFO, what needs
# attention is WARNING; errors that are raised are left to the caller.
_DEBUG, _INFO, _WARNING = 10, 20, 30


@define(kw_only=True, eq=False)
class Event:
    """One decision in or change of a call. Holds no secret."""

    #: What happened, in one word.
    name: ClassVar[str] = ""
    #: Which child of the logger ``provider_kit`` it belongs to: ``http``, ``auth``, ``routing`` or ``stream``.
    channel: ClassVar[str] = "http"
    #: The level it is logged at, in the numbers of :mod:`logging`.
    level: ClassVar[int] = _DEBUG

    #: Seconds since 1970.
    time: float
    provider: str
    model: str | None = None
    #: ``chat``, ``stream``, ``embed``, …
    operation: str | None = None
    #: The id of the call, which its requests, log lines and errors have, too.
    correlation_id: str | None = None
    #: The provider's id of the request, where known.
    request_id: str | None = None
    #: Number of the attempt, 1 for the first.
    attempt: int | None = None
    #: Seconds waited, or to be waited.
    wait: float | None = None
    #: What went wrong.
    error: ProviderKitError | None = field(default=None, repr=lambda error: type(error).__name__)
    #: The end of the key concerned.
    key: str | None = None
    #: The event as text.
    message: str = ""

    @property
    def call_id(self) -> str | None:
        """Alias of :attr:`correlation_id`."""
        return self.correlation_id

    @property
    def data(self) -> dict[str, Any]:
        """The fields that only events of this kind have, by name."""
        common = {one.name for one in fields(Event)}
        return {one.name: getattr(self, one.name) for one in fields(type(self)) if one.name not in common}


# ------------------------------------------------------------------------------------------------ the call


class CallStarted(Event):
    """A call begins."""

    __slots__ = ()
    name = "request"


@define(kw_only=True)
class CallSucceeded(Event):
    """A call was answered."""

    name = "success"
    #: Seconds the successful attempt took.
    duration: float = 0.0


class CallFailed(Event):
    """A call is given up; the error is the one that is raised."""

    __slots__ = ()
    name = "error"
    level = _WARNING


class AttemptFailed(Event):
    """One try of a call failed."""

    __slots__ = ()
    name = "attempt_failed"


class RetryScheduled(Event):
    """Another try follows."""

    __slots__ = ()
    name = "retry"
    level = _INFO


# ------------------------------------------------------------------------------------------------ keys and tokens


class _OfKeys(Event):
    __slots__ = ()
    channel = "auth"
    level = _INFO


class KeySwitched(_OfKeys):
    """A call continues with another key."""

    __slots__ = ()
    name = "key_switch"


class KeyDead(_OfKeys):
    """A key was refused."""

    __slots__ = ()
    name = "key_dead"
    level = _WARNING


class KeyParked(_OfKeys):
    """The quota of a key is used up."""

    __slots__ = ()
    name = "key_parked"
    level = _WARNING


class KeyCooling(_OfKeys):
    """A key reached its rate limit and is cooling down."""

    __slots__ = ()
    name = "key_cooling"


class KeyWait(_OfKeys):
    """A call waits because every key is cooling down."""

    __slots__ = ()
    name = "key_wait"


class TokenRefreshed(_OfKeys):
    """A call continues with a refreshed token."""

    __slots__ = ()
    name = "token_refresh"
    level = _DEBUG


class TokenRefreshFailed(_OfKeys):
    """The token of a credential could not be refreshed; another credential is tried."""

    __slots__ = ()
    name = "token_refresh_failed"
    level = _WARNING


#: Kinds of alerts about a credential.
AlertKind: TypeAlias = Literal["refresh", "failure", "rotation", "expiry_warning"]


@define(kw_only=True)
class CredentialEvent(_OfKeys):
    """Something about a credential of an :class:`OAuthKeyManager`, whether or not a call is in flight."""

    name = "credential"
    level = _DEBUG
    kind: AlertKind
    credential_id: str
    #: Further details besides the message, by name.
    data: dict[str, Any] = field(factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The event as a webhook receives it."""
        return {
            "event": self.kind,
            "provider": self.provider,
            "credential_id": self.credential_id,
            "message": self.message,
            "timestamp": self.time,
            "data": dict(self.data),
        }


# ------------------------------------------------------------------------------------------------ limits and circuit


class _OfRouting(Event):
    __slots__ = ()
    channel = "routing"
    level = _INFO


@define(kw_only=True)
class RateLimitWait(_OfRouting):
    """A call waits for a rate limit."""

    name = "rate_limit"
    #: How many calls wait.
    waiting: int | None = None


@define(kw_only=True)
class RateLimitLearned(_OfRouting):
    """The provider has reported its limits."""

    name = "rate_limit_learned"
    level = _DEBUG
    #: The limits by name, see :class:`provider_kit.Allowance`.
    limits: Mapping[str, Any] = field(factory=dict)


@define(kw_only=True)
class ConcurrencyWait(_OfRouting):
    """The limit of calls in flight is reached; another call waits."""

    name = "concurrency_wait"
    level = _DEBUG
    #: How many calls wait.
    waiting: int | None = None


class CircuitChanged(_OfRouting):
    """The circuit breaker changed its state; one of the three below."""

    __slots__ = ()


class CircuitOpened(CircuitChanged):
    """The circuit has opened: calls are refused for a while."""

    __slots__ = ()
    name = "circuit_open"
    level = _WARNING


class CircuitHalfOpened(CircuitChanged):
    """The circuit is half open: a few trial calls are let through."""

    __slots__ = ()
    name = "circuit_half_open"


class CircuitClosed(CircuitChanged):
    """The circuit has closed: the provider answers again."""

    __slots__ = ()
    name = "circuit_closed"


# ------------------------------------------------------------------------------------------------ routers


@define(kw_only=True)
class _OfRouter(_OfRouting):
    """An event of a router."""

    #: Name of the target concerned.
    target: str | None = None


@define(kw_only=True)
class RouteChosen(_OfRouter):
    """A router asks a target."""

    name = "route"
    level = _DEBUG
    #: Provider and model of the target.
    target_provider: str = ""
    target_model: str | None = None


class ProviderSwitched(_OfRouter):
    """A target failed, or its answer was not accepted; another one is asked."""

    __slots__ = ()
    name = "failover"


class HedgeStarted(_OfRouter):
    """A target is late; another one is asked at the same time."""

    __slots__ = ()
    name = "hedge"


class RaceDecided(_OfRouter):
    """One of several targets that were asked at once has won."""

    __slots__ = ()
    name = "race"


class TargetCooling(_OfRouter):
    """A target is not asked for a while; or all are out, and a call waits for the first one."""

    __slots__ = ()
    name = "target_cooling"
    level = _WARNING


class TargetBack(_OfRouter):
    """A target answers again."""

    __slots__ = ()
    name = "target_back"


# ------------------------------------------------------------------------------------------------ caches and streams


class CacheHit(_OfRouting):
    """The response cache has the answer."""

    __slots__ = ()
    name = "cache_hit"
    level = _DEBUG


class CacheMiss(_OfRouting):
    """The response cache does not have the answer."""

    __slots__ = ()
    name = "cache_miss"
    level = _DEBUG


class CacheStored(_OfRouting):
    """The answer was kept."""

    __slots__ = ()
    name = "cache_store"
    level = _DEBUG


class StoreFailed(_OfRouting):
    """A store cannot be used; calls continue without it."""

    __slots__ = ()
    name = "store_failed"
    level = _WARNING


class StoreBack(_OfRouting):
    """A store answers again."""

    __slots__ = ()
    name = "store_back"


class _OfStreams(Event):
    __slots__ = ()
    channel = "stream"


class StreamStarted(_OfStreams):
    """The first content of a stream has arrived."""

    __slots__ = ()
    name = "stream_start"


class StreamEnded(_OfStreams):
    """A stream is complete."""

    __slots__ = ()
    name = "stream_end"


class StreamAborted(_OfStreams):
    """A stream broke off after content, or its caller stopped reading."""

    __slots__ = ()
    name = "stream_abort"
    level = _WARNING


#: The events of calls that take their usual course; all others are rare.
DECISIONS = frozenset(
    (
        *(CallStarted, CallSucceeded, StreamStarted, StreamEnded, RateLimitLearned, RouteChosen),
        *(CacheHit, CacheMiss, CacheStored),
    )
)
