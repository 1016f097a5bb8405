"""What goes on around and inside the calls of a client or router: middleware, plugins, metrics, events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provider_kit.errors import ConfigError

if TYPE_CHECKING:
    from provider_kit.engine.events import EventBus
    from provider_kit.engine.handler import Handler
    from provider_kit.engine.middleware import LayeredHandler, MiddlewareChain
    from provider_kit.observability.metrics import Metrics
    from provider_kit.plugins.manager import PluginManager

__all__ = ["Observed"]


class Observed:
    """The parts that watch and change calls. What is made by ``with_options`` shares them."""

    _handler: LayeredHandler
    _bus: EventBus
    _middleware: MiddlewareChain
    _plugins: PluginManager
    _metrics: Metrics | None

    @property
    def handler(self) -> Handler:
        """The handler of the calls, middleware included; your own handlers may pass calls on to it."""
        return self._handler

    @property
    def middleware(self) -> MiddlewareChain:
        """The middleware around each call, to ``add``, ``add_before``, ``add_after`` and ``remove``."""
        return self._middleware

    @property
    def plugins(self) -> PluginManager:
        """The plugins, to ``register`` and ``remove`` them."""
        return self._plugins

    @property
    def metrics(self) -> Metrics:
        """What was asked so far, how it ended, how long it took and what it cost.

        Those of a router have its own calls in total, and those of its targets by provider, model and key.

        Raises:
            ConfigError: They were switched off.
        """
        if self._metrics is None:
            raise ConfigError("Metrics are switched off.", hint="Leave metrics=False out.")
        return self._metrics

    @property
    def event_bus(self) -> EventBus:
        """The bus of its events, to which a sink may be added."""
        return self._bus
