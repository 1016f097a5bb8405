"""The sink that logs: each event a line of the logger of its channel, at the level of its class."""

from __future__ import annotations

import logging
from functools import partial

from provider_kit.model.events import Event

__all__ = ["log_event", "logs", "logs_everything"]

_ROOT = logging.getLogger("provider_kit")
_ROOT.addHandler(logging.NullHandler())
#: Whether each call is logged, not only what is unusual.
logs_everything = partial(_ROOT.isEnabledFor, logging.DEBUG)
_LOGGERS = {name: logging.getLogger(f"provider_kit.{name}") for name in ("http", "auth", "routing", "stream")}


def logs(kind: type[Event], level: int) -> bool:
    """Whether an event of this kind is logged."""
    return _LOGGERS[kind.channel].isEnabledFor(level)


def log_event(event: Event, level: int) -> None:
    """Write an event's line."""
    _LOGGERS[event.channel].log(
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
            "call_id": event.call_id,
            "request_id": event.request_id,
        },
    )
