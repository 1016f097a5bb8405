"""What all calls of an engine share."""

from __future__ import annotations

import weakref
from collections.abc import Callable

from attrs import define, field

from provider_kit.engine.admission import Admission
from provider_kit.engine.endpoint import Endpoint
from provider_kit.engine.events import EventBus
from provider_kit.engine.settlement import Settlement
from provider_kit.model.config import ProviderConfig, Timeout
from provider_kit.policies.response_cache import ResponseCache
from provider_kit.policies.retry import RetryPolicy
from provider_kit.transports.base import Runtime, Transport
from provider_kit.transports.pair import Transports

__all__ = ["EngineParts", "known_engines"]


@define(eq=False)
class EngineParts:
    """The parts that all calls of an engine share."""

    endpoint: Endpoint
    config: ProviderConfig
    #: The retry policy.
    policy: RetryPolicy
    #: The default timeouts of a call.
    timeout: Timeout | None
    transports: Transports
    admission: Admission
    settlement: Settlement
    events: EventBus
    cache: ResponseCache | None
    #: Opens the store of a cache that is not kept in memory.
    open_cache_store: Callable[[ResponseCache, ProviderConfig], object]
    #: Whether the actual token usage of calls is needed.
    wants_usage: bool
    #: Whether errors have snapshots of what was sent and received.
    takes_snapshots: bool = False
    #: The calls that have begun and not ended, by the identity of their attempts, which it does not keep alive:
    #: an operation, model, beginning on the clock, and correlation id.
    live: dict[int, tuple[str, str | None, float, str]] = field(factory=dict)

    def transport_for(self, runtime: Runtime) -> Transport:
        """The transport for a runtime, which may be the transport itself."""
        transports = self.transports
        made = transports.asyncio if runtime.kind == "asyncio" else transports.blocking
        return made or transports.for_same_runtime(runtime)


#: The parts of every engine that exists, for reports of what is going on.
known_engines: weakref.WeakSet[EngineParts] = weakref.WeakSet()
