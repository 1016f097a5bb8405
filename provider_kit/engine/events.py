"""Telling what was decided: an event to whoever listens, and a log line. Neither ever holds a secret."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Awaitable, Callable
from inspect import isawaitable, iscoroutinefunction
from typing import Any, Protocol

from provider_kit.errors import ProviderKitError
from provider_kit.model.events import Event, EventName

__all__ = ["EventBus", "Listener", "next_call_id"]

#: Takes each event. May be asynchronous if only the asyncio half of the client is used.
Listener = Callable[[Event], object] | Callable[[Event], Awaitable[object]]

_ROOT = logging.getLogger("provider_kit")
_ROOT.addHandler(logging.NullHandler())
_HTTP = logging.getLogger("provider_kit.http")
_AUTH = logging.getLogger("provider_kit.auth")
_ROUTING = logging.getLogger("provider_kit.routing")
_STREAM = logging.getLogger("provider_kit.stream")

#: Where each event is logged, and how loudly. What passes by itself is INFO, what somebody should look at
#: is WARNING; errors that are raised are their caller's to judge.
_LEVELS: dict[EventName, tuple[logging.Logger, int]] = {
    "request": (_HTTP, logging.DEBUG),
    "success": (_HTTP, logging.DEBUG),
    "error": (_HTTP, logging.WARNING),
    "attempt_failed": (_HTTP, logging.DEBUG),
    "retry": (_HTTP, logging.INFO),
    "key_switch": (_AUTH, logging.INFO),
    "key_dead": (_AUTH, logging.WARNING),
    "key_parked": (_AUTH, logging.WARNING),
    "key_cooling": (_AUTH, logging.INFO),
    "key_wait": (_AUTH, logging.INFO),
    "token_refresh": (_AUTH, logging.DEBUG),
    "token_refresh_failed": (_AUTH, logging.WARNING),
    "rate_limit": (_ROUTING, logging.INFO),
    "rate_limit_learned": (_ROUTING, logging.DEBUG),
    "concurrency_wait": (_ROUTING, logging.DEBUG),
    "circuit_open": (_ROUTING, logging.WARNING),
    "circuit_half_open": (_ROUTING, logging.INFO),
    "circuit_closed": (_ROUTING, logging.INFO),
    "cache_hit": (_ROUTING, logging.DEBUG),
    "cache_miss": (_ROUTING, logging.DEBUG),
    "cache_store": (_ROUTING, logging.DEBUG),
    "stream_start": (_STREAM, logging.DEBUG),
    "stream_end": (_STREAM, logging.DEBUG),
    "stream_abort": (_STREAM, logging.WARNING),
    "store_failed": (_ROUTING, logging.WARNING),
    "store_back": (_ROUTING, logging.INFO),
}
_numbers = itertools.count(1)


def next_call_id() -> str:
    """Tells the calls of this process apart."""
    return f"call-{next(_numbers)}"


class _Calls(Protocol):
    """What of a run an event mentions."""

    model: str | None
    operation: str

    @property
    def call_id(self) -> str: ...

    @property
    def clock(self) -> Callable[[], float]: ...


class EventBus:
    """Tells the events of one client."""

    def __init__(self, provider: str, listener: Listener | None) -> None:
        self.provider = provider
        self.listener = listener
        #: Whether the listener can only be called from asyncio.
        self.asynchronous = listener is not None and (
            iscoroutinefunction(listener) or iscoroutinefunction(getattr(listener, "__call__", None))  # noqa: B004
        )

    def minute(self) -> bool:
        """Whether somebody wants to know of each call, not only of what is unusual."""
        return self.listener is not None or _ROOT.isEnabledFor(logging.DEBUG)

    async def emit(
        self,
        run: _Calls,
        name: EventName,
        message: str,
        *,
        wait: float | None = None,
        error: ProviderKitError | None = None,
        key: str | None = None,
        attempt: int | None = None,
        request_id: str | None = None,
        level: int | None = None,
        **data: Any,
    ) -> None:
        """Log an event and hand it to the listener. A listener that fails breaks no call."""
        logger, usual = _LEVELS[name]
        level = usual if level is None else level
        listener, logged = self.listener, logger.isEnabledFor(level)
        if listener is None and not logged:
            return
        if error is not None and request_id is None:
            request_id = error.request_id
        if logged:
            logger.log(
                level,
                "%s: %s%s",
                self.provider,
                message,
                f" (request_id={request_id})" if request_id else "",
                extra={
                    "event": name,
                    "provider": self.provider,
                    "model": run.model,
                    "operation": run.operation,
                    "call_id": run.call_id,
                    "request_id": request_id,
                },
            )
        if listener is None:
            return
        event = Event(
            name=name,
            time=run.clock(),
            provider=self.provider,
            model=run.model,
            operation=run.operation,
            call_id=run.call_id,
            request_id=request_id,
            attempt=attempt,
            wait=wait,
            error=error,
            key=key,
            message=message,
            data=data,
        )
        try:
            result = listener(event)
            if isawaitable(result):
                await result
        except Exception:
            _ROOT.exception("on_event failed on the event %r; the call goes on.", name)
