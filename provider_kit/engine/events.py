"""The event bus: an event is created once, only if there is a sink for it, and passed to every sink."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from inspect import isawaitable, iscoroutinefunction
from typing import Any, Protocol

from provider_kit.engine.call import Call
from provider_kit.errors import ConfigError, InvalidRequestError, ProviderKitError
from provider_kit.model.call_events import CallEnded, RouterCallEnded
from provider_kit.model.events import DECISIONS, Event
from provider_kit.observability.event_log import LOGGERS, log_event
from provider_kit.policies.after_fork import ForkSafeLock
from provider_kit.transports.base import Runtime

__all__ = ["CallSource", "EventBus", "Sink"]

#: Receives each event. May be asynchronous if only the asyncio methods of a client are used.
Sink = Callable[[Event], object] | Callable[[Event], Awaitable[object]]

_LOG = logging.getLogger("provider_kit")
#: Routers whose sinks are remembered together with those of a client.
_MOST_JOINED = 100
#: What a mistake in a sink of this library itself would raise.
_MISTAKES = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError)


class Source(Protocol):
    """The fields of an event that describe its call."""

    @property
    def model(self) -> str | None: ...

    @property
    def operation(self) -> str: ...

    @property
    def correlation_id(self) -> str: ...

    @property
    def clock(self) -> Callable[[], float]: ...


class CallSource:
    """What tells the events of one call from those of others."""

    call: Call
    runtime: Runtime

    @property
    def correlation_id(self) -> str:
        """The id of this call."""
        return self.call.correlation_id

    @property
    def clock(self) -> Callable[[], float]:
        """Return the seconds since 1970."""
        return self.runtime.time


class EventBus:
    """The sinks of one client; the log is one of them.

    A sink is a function of an event. One with an attribute ``wanted_events``, a set of classes of events, receives
    these only, and an event that no sink wants is not created. One with a true attribute ``follows_targets`` that is
    given to a router also receives the events of the router's targets.

    Args:
        provider: Name of the provider, for the events.
        sinks: The sinks.
    """

    def __init__(self, provider: str, sinks: Sequence[Sink] = ()) -> None:
        self.provider = provider
        #: Whether it is that of a router.
        self.is_router = False
        self._joined: dict[tuple[int, ...], EventBus] = {}
        self._lock = ForkSafeLock()
        self._set(tuple(sinks))

    def _set(self, sinks: tuple[Sink, ...]) -> None:
        #: Whether a sink can only be called from asyncio.
        self.asynchronous = any(map(_is_asynchronous, sinks))
        #: Whether a sink wants the events of calls that take their usual course.
        self.observed = any((wanted := _wanted(sink)) is None or not wanted.isdisjoint(DECISIONS) for sink in sinks)
        self.sinks = sinks
        #: A new one after ``sinks``: what is looked up meanwhile is not kept.
        self._by_kind: dict[type[Event], tuple[Sink, ...]] = {}
        #: The sinks that a router passes on to its targets.
        self.following = tuple(sink for sink in sinks if getattr(sink, "follows_targets", False))
        self._joined.clear()
        #: Whether a sink wants to know of the end of each call.
        self.wants_ends = bool(self.sinks_for(CallEnded))
        for one in (*self.sinks_for(CallEnded), *self.sinks_for(RouterCallEnded)):
            if _is_asynchronous(one) or iscoroutinefunction(getattr(one, "on_event", None)):
                raise ConfigError(
                    "A sink of CallEnded must be a plain function.",
                    hint="It may be called by the garbage collector, where nothing can be awaited.",
                )

    def add(self, sink: Sink) -> None:
        """Add a sink, for the calls that begin from now on."""
        self.change(lambda sinks: (*sinks, sink))

    def remove(self, sink: Sink) -> None:
        """Remove a sink, if it is there."""
        self.change(lambda sinks: tuple(one for one in sinks if one is not sink))

    def change(self, change: Callable[[tuple[Sink, ...]], tuple[Sink, ...]]) -> None:
        """Put other sinks in the place of all, in one step."""
        with self._lock:
            before = self.sinks
            try:
                self._set(change(before))
            except ConfigError:
                self._set(before)
                raise

    def sinks_for(self, kind: type[Event]) -> tuple[Sink, ...]:
        """The sinks that want events of a class."""
        known = self._by_kind  # before the sinks are read: of those it was made for
        found = known.get(kind)
        if found is None:
            usual = not issubclass(kind, CallEnded)  # which is for those that ask for it
            found = tuple(
                sink for sink in self.sinks if (usual if (wanted := _wanted(sink)) is None else kind in wanted)
            )
            known[kind] = found
        return found

    def listens_to(self, kind: type[Event]) -> bool:
        """Whether a sink, or the log, wants events of a class."""
        return bool(self.sinks_for(kind)) or LOGGERS[kind.channel].isEnabledFor(kind.level)

    def joined(self, more: tuple[Sink, ...]) -> EventBus:
        """This bus with the sinks of a router, each sink once."""
        others: tuple[Sink, ...] = ()
        for sink in more:
            if sink not in self.sinks and sink not in others:  # routers in routers may have the same one
                others = (*others, sink)
        if not others:
            return self
        key = tuple(map(id, others))
        found = self._joined.get(key)
        if found is None or found.sinks[-len(others) :] != others:
            if len(self._joined) > _MOST_JOINED:
                self._joined.clear()
            found = self._joined[key] = EventBus(self.provider, (*self.sinks, *others))
        return found

    def end(self, event: CallEnded) -> None:
        """Pass the end of a call to the sinks that want it. It may be called in any thread, also by the garbage
        collector; a failing sink does not fail the call."""
        sinks = self._by_kind.get(type(event))
        for sink in self.sinks_for(type(event)) if sinks is None else sinks:
            try:
                sink(event)
            except Exception as error:  # a sink of the user's may raise anything
                if getattr(sink, "is_own", False) and not isinstance(error, _MISTAKES):
                    raise  # the time limit of a job, which a signal raised while it was here
                _LOG.exception("A sink failed on the event %r; the call is not affected.", event.name)

    def check_world(self, runtime: Runtime) -> None:
        """Check that every sink can be called from a blocking or asyncio call.

        Raises:
            InvalidRequestError: One of them is asynchronous, and the call is not.
        """
        if self.asynchronous and runtime.kind == "blocking":
            raise InvalidRequestError(
                "on_event is asynchronous, the call is not.", hint="Use achat(), astream(), …, or a plain function."
            )

    async def deliver(self, event: Event) -> None:
        """Pass an event that was created elsewhere to every sink that wants it."""
        await self._pass_on(event, self.sinks_for(type(event)))

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
        sinks = self.sinks_for(kind)
        if not logged and not sinks:
            return
        event = kind(
            time=source.clock(),
            provider=self.provider,
            model=source.model,
            operation=source.operation,
            correlation_id=source.correlation_id,
            request_id=error.request_id if error is not None and request_id is None else request_id,
            error=error,
            message=message,
            **fields,
        )
        if logged:
            log_event(event, level)
        await self._pass_on(event, sinks)

    async def _pass_on(self, event: Event, sinks: Sequence[Sink]) -> None:
        for sink in sinks:
            try:
                result = sink(event)
                if result is not None and isawaitable(result):
                    await result
            except Exception:
                _LOG.exception("on_event failed on the event %r; the call continues.", event.name)


def _wanted(sink: Any) -> frozenset[type[Event]] | None:
    found = getattr(sink, "wanted_events", None)
    return None if found is None else frozenset(found)


def _is_asynchronous(sink: Sink) -> bool:
    return iscoroutinefunction(sink) or iscoroutinefunction(getattr(sink, "__call__", None))  # noqa: B004
