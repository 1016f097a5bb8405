"""The event bus: an event is created once, only if there is a sink for it, and passed to every sink."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Awaitable, Callable, Sequence
from inspect import isawaitable, iscoroutinefunction
from typing import Any, Protocol

from provider_kit.errors import InvalidRequestError, ProviderKitError
from provider_kit.model.events import Event
from provider_kit.observability.event_log import LOGGERS, log_event
from provider_kit.transports.base import Runtime

__all__ = ["CallSource", "EventBus", "Sink"]

#: Receives each event. May be asynchronous if only the asyncio methods of a client are used.
Sink = Callable[[Event], object] | Callable[[Event], Awaitable[object]]

_LOG = logging.getLogger("provider_kit")
_numbers = itertools.count(1)


class Source(Protocol):
    """The fields of an event that describe its call."""

    @property
    def model(self) -> str | None: ...

    @property
    def operation(self) -> str: ...

    @property
    def call_id(self) -> str: ...

    @property
    def clock(self) -> Callable[[], float]: ...


class CallSource:
    """What tells the events of one call from those of others. Its id is made for the first of them."""

    runtime: Runtime
    _call_id: str | None = None

    @property
    def call_id(self) -> str:
        """The id of this call within the process."""
        if self._call_id is None:
            self._call_id = f"call-{next(_numbers)}"
        return self._call_id

    @property
    def clock(self) -> Callable[[], float]:
        """Return the seconds since 1970."""
        return self.runtime.time


class EventBus:
    """The sinks of one client; the log is one of them.

    Args:
        provider: Name of the provider, for the events.
        sinks: Functions of an event.
    """

    def __init__(self, provider: str, sinks: Sequence[Sink] = ()) -> None:
        self.provider = provider
        self.sinks = tuple(sinks)
        #: Whether a sink can only be called from asyncio.
        self.asynchronous = any(map(_is_asynchronous, self.sinks))

    def check_world(self, runtime: Runtime) -> None:
        """Check that every sink can be called from a blocking or asyncio call.

        Raises:
            InvalidRequestError: One of them is asynchronous, and the call is not.
        """
        if self.asynchronous and runtime.kind == "blocking":
            raise InvalidRequestError(
                "on_event is asynchronous, the call is not.", hint="Use achat(), astream(), …, or a plain function."
            )

    async def emit(
        self,
        source: Source,
        kind: type[Event],
        message: str,
        *,
        error: ProviderKitError | None = None,
        request_id: str | None = None,
        level: int | None = None,
        **fields: Any,
    ) -> None:
        """Create an event and pass it to every sink. A failing sink does not fail the call.

        Args:
            source: The call it belongs to.
            kind: Its class.
            message: The event as text.
            error: What went wrong.
            request_id: The provider's id of the request; default: the error's.
            level: The log level, if not the default of its class.
            fields: Further fields of the class.
        """
        level = kind.level if level is None else level
        logged = LOGGERS[kind.channel].isEnabledFor(level)
        if not logged and not self.sinks:
            return
        event = kind(
            time=source.clock(),
            provider=self.provider,
            model=source.model,
            operation=source.operation,
            call_id=source.call_id,
            request_id=error.request_id if error is not None and request_id is None else request_id,
            error=error,
            message=message,
            **fields,
        )
        if logged:
            log_event(event, level)
        for sink in self.sinks:
            try:
                result = sink(event)
                if isawaitable(result):
                    await result
            except Exception:
                _LOG.exception("on_event failed on the event %r; the call continues.", event.name)


def _is_asynchronous(sink: Sink) -> bool:
    return iscoroutinefunction(sink) or iscoroutinefunction(getattr(sink, "__call__", None))  # noqa: B004
