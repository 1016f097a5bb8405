"""The logging sink: each event becomes a line of the logger of its channel, at the level of its class."""

from __future__ import annotations

import logging
from functools import partial

from provider_kit.model.events import Event

__all__ = ["LOGGERS", "log_event", "logs_everything"]

_ROOT = logging.getLogger("provider_kit")
_ROOT.addHandler(logging.NullHandler())
#: Whether each call is logged, not only unusual events.
logs_everything = partial(_ROOT.isEnabledFor, logging.DEBUG)
#: By channel.
LOGGERS = {name: logging.getLogger(f"provider_kit.{name}") for name in ("http", "auth", "routing", "stream")}


def log_event(event: Event, level: int) -> None:
    """Write an event's line."""
    LOGGERS[event.channel].log(
        level,
        "%s: %s%s",
        event.provider,
        event.message,
        f" (request_id={event.request_id})" if event.request_id else "",
        extra={
            "event": event.name,
            "provider": event.provider,
            "model": event.model,
            "operation": event.operation,
            "correlation_id": event.correlation_id,
            "request_id": event.request_id,
        },
    )
