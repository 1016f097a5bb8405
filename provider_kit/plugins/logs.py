"""A plugin that logs when each call begins, and how it ends."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from provider_kit.engine.call import Call
from provider_kit.engine.handler import CallNext, End, Reply
from provider_kit.engine.plugin import LOGGING, Plugin
from provider_kit.errors import ProviderKitError
from provider_kit.plugins.settings import take_settings

__all__ = ["LoggingPlugin"]


class LoggingPlugin(Plugin):
    """Logs ``Request started``, ``Request succeeded``, ``Request failed`` and ``Request cancelled``.

    The records have the model, the duration and the correlation id. Neither prompts nor answers are logged.

    Args:
        logger: A logger, or its name.
        level: The level of what is no failure; failures are logged as errors.
    """

    name = "logging"
    description = "Logs when each call begins, and how it ends."
    priority = LOGGING

    def __init__(self, logger: logging.Logger | str = "provider_kit.calls", level: int = logging.INFO) -> None:
        self.logger = logger
        self.level = level

    def init(self, config: Mapping[str, Any]) -> None:
        """Take the settings."""
        take_settings(self, config, ("logger", "level"))
        if isinstance(self.logger, str):
            self.logger = logging.getLogger(self.logger)

    async def middleware(self, call: Call, call_next: CallNext) -> Reply:
        """Log one call."""
        logger: Any = self.logger
        extra = {"model": call.model, "operation": call.operation, "correlation_id": call.correlation_id}
        what, now, level = f"{call.operation} {call.model or ''}".rstrip(), call.runtime.now, self.level
        began = now()
        logger.log(level, "Request started: %s", what, extra=extra)

        def ended(end: End) -> None:
            seconds = now() - began
            if end.how == "complete":
                logger.log(level, "Request succeeded: %s after %.2f s", what, seconds, extra=extra)
            elif end.how == "left":
                logger.log(level, "Request cancelled: %s after %.2f s", what, seconds, extra=extra)
            else:
                logger.error("Request failed: %s after %.2f s: %s", what, seconds, end.error, extra=extra)

        try:
            reply = await call_next(call)
        except BaseException as error:
            ended(End("failed" if isinstance(error, ProviderKitError) else "left", error))
            raise
        reply.on_end(ended)
        return reply
