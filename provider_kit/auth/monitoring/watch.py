"""Delivery of events about credentials: to the log, to the sinks of the clients that use them, a function, a webhook.

A failing sink does not fail the call.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Iterable
from typing import Any

from provider_kit.auth.monitoring.alerts import Alerts, MonitoringConfig
from provider_kit.auth.oauth.client import ask
from provider_kit.auth.oauth.refresher import TokenRefresher
from provider_kit.auth.user_callables import call_user
from provider_kit.errors import ProviderKitError
from provider_kit.model.events import AlertKind, CredentialEvent
from provider_kit.model.json_text import dumps
from provider_kit.observability.event_log import log_event
from provider_kit.transports.base import Transport
from provider_kit.wire.http import HttpRequest

__all__ = ["CredentialWatch"]

_LOG = logging.getLogger("provider_kit.auth")


class CredentialWatch:
    """Delivers the events that :class:`Alerts` decides on."""

    def __init__(self, provider: str, config: MonitoringConfig) -> None:
        self._alerts = Alerts(provider, config)
        self._config = config
        self._buses: weakref.WeakSet[Any] = weakref.WeakSet()

    def attach(self, bus: Any) -> None:
        """Pass every event on to the event bus of a client, too."""
        self._buses.add(bus)

    async def refreshed(
        self, transport: Transport, kind: str, refresher: TokenRefresher, error: Exception | None
    ) -> None:
        """Report that a token was refreshed, or could not be."""
        now = transport.time()
        if kind == "refresh":
            token = refresher.token
            expires = token.expires_at if token is not None else None
            event = self._alerts.event("refresh", refresher.id, "token refreshed", now, expires_at=expires)
        else:
            code = getattr(getattr(error, "code", None), "value", type(error).__name__)
            message = error.message if isinstance(error, ProviderKitError) else type(error).__name__
            event = self._alerts.event("failure", refresher.id, message, now, code=code)
        await self._tell(transport, event)
        await self.check(transport, [refresher])

    async def rotation(self, transport: Transport, credential_id: str, what: str) -> None:
        """Report that a credential is due for rotation, or was taken out of use."""
        kind: AlertKind = "rotation"
        await self._tell(transport, self._alerts.event(kind, credential_id, f"it {what}", transport.time()))

    async def check(self, transport: Transport, refreshers: Iterable[TokenRefresher]) -> list[CredentialEvent]:
        """Send the alerts that are due."""
        now = transport.time()
        found: list[CredentialEvent] = []
        for refresher in refreshers:
            token = refresher.token
            found += self._alerts.due(
                refresher.id,
                refresher.metrics,
                token.expires_at if token is not None else None,
                bool(token is not None and token.refresh_token),
                now,
            )
        for event in found:
            await self._tell(transport, event)
        return found

    async def _tell(self, transport: Transport, event: CredentialEvent) -> None:
        config = self._config
        log_event(event, event.level)
        for bus in list(self._buses):
            await bus.deliver(event)
        if event.kind not in config.events:
            return
        heard = any(config.on_event in bus.sinks for bus in self._buses)
        if config.on_event is not None and not heard:
            try:
                await call_user(transport, config.on_event, event, what="on_event")
            except Exception as error:  # a failing sink must not fail the refresh it reports
                _LOG.error("%s: on_event failed (%s)", event.provider, type(error).__name__)
        if config.webhook_url is not None:
            await self._post(transport, config.webhook_url, event)

    async def _post(self, transport: Transport, url: str, event: CredentialEvent) -> None:
        config = self._config
        headers = {"Content-Type": "application/json", **config.webhook_headers}
        request = HttpRequest("POST", url, headers, dumps(event.to_dict()))
        try:
            response = await ask(transport, request, provider=event.provider, seconds=config.timeout)
        except ProviderKitError as error:
            _LOG.warning("%s: the webhook could not be called (%s)", event.provider, type(error.__cause__).__name__)
            return
        if response.status >= 300:
            _LOG.warning("%s: the webhook answered with status %d", event.provider, response.status)
