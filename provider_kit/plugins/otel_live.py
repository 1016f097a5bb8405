"""The calls that have a span at this moment, and how the events of a call find it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any
from weakref import ref

from provider_kit.engine.call import Call
from provider_kit.model.call_events import CallEnded

__all__ = ["Collector", "LiveCall", "TracedHeaders", "current", "watch_collector"]


class LiveCall:
    """A call that has a span, until that has ended."""

    __slots__ = ("call_id", "context", "event", "is_router", "operation", "outer", "owner", "path", "seen", "span")

    def __init__(self, owner: Any, call: Call, is_router: bool, outer: LiveCall | None) -> None:
        #: The plugin.
        self.owner = owner
        self.operation = call.operation
        self.call_id = call.correlation_id
        self.path = "" if call.route is None else call.route.path
        self.is_router = is_router
        #: The call it is a part of.
        self.outer = outer
        self.span: Any = None
        self.context: Any = None
        #: How it ended, as its event tells.
        self.event: CallEnded | None = None
        #: The ends of its targets, each of which may be told several times.
        self.seen: list[ref[CallEnded]] = []


class TracedHeaders(dict[str, str]):
    """The headers of a request that belongs to a span. They tell whose the end of a call is, also where calls share
    their correlation id, and where it is told in another thread."""

    __slots__ = ("given", "live")

    #: The user's own.
    given: Mapping[str, str] | None
    live: LiveCall

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)


current: ContextVar[LiveCall | None] = ContextVar("provider_kit_opentelemetry", default=None)


class Collector:
    """The thread that collects garbage at this moment, 0 for none."""

    thread = 0


def watch_collector(phase: str, info: Any) -> None:
    """A callback of the garbage collector."""
    Collector.thread = threading.get_ident() if phase == "start" else 0
