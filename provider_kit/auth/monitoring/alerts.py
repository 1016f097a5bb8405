"""When to send an alert about a credential: it fails often, expires soon, was refreshed, or could not be.

Plain decisions; the time is an argument, and the sinks are in ``watch.py``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from attrs import Attribute, field, frozen

from provider_kit.auth.monitoring.metrics import CredentialMetrics
from provider_kit.errors import ConfigError
from provider_kit.model.events import AlertKind, CredentialEvent
from provider_kit.model.http_config import positive_seconds

__all__ = ["Alerts", "MonitoringConfig"]

_Listener: TypeAlias = Callable[[CredentialEvent], object] | Callable[[CredentialEvent], Awaitable[object]]


def _share(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 1:
        raise ConfigError(f"{attribute.name} must be above 0 and at most 1, not {value!r}.", hint="0.25 is a quarter.")


def _https(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if value is not None and (not isinstance(value, str) or not value.startswith(("https://", "http://"))):
        raise ConfigError("webhook_url must be an http(s):// address.", hint="webhook_url='https://…'.")


@frozen(kw_only=True)
class MonitoringConfig:
    """Which alerts are sent, where to, and how often. Times are in seconds."""

    #: Receives each event as JSON by POST.
    webhook_url: str | None = field(default=None, validator=_https, repr=lambda url: "<webhook>" if url else "None")
    #: Headers of these requests, e.g. ``{"Authorization": "…"}``.
    webhook_headers: Mapping[str, str] = field(factory=dict, repr=lambda headers: f"<{len(headers)} headers>")
    #: Called with each :class:`CredentialEvent`; sync or async.
    on_event: _Listener | None = field(default=None, repr=False, eq=False)
    #: Which events: ``refresh``, ``failure``, ``rotation``, ``expiry_warning``.
    events: tuple[AlertKind, ...] = field(default=("refresh", "failure", "rotation", "expiry_warning"), converter=tuple)
    #: Share of failed requests that raises an alert, once there were ``min_requests``.
    failure_rate: float = field(default=0.25, validator=_share)
    min_requests: int = 10
    #: How long before its expiry a login that cannot be refreshed raises an alert.
    expiry_warning: float = field(default=86400.0, validator=positive_seconds)
    #: Between two alerts of the same kind.
    cooldown: float = field(default=3600.0, validator=positive_seconds)
    #: Timeout of one webhook request.
    timeout: float = field(default=5.0, validator=positive_seconds)


class Alerts:
    """Decides which alerts are due."""

    def __init__(self, provider: str, config: MonitoringConfig) -> None:
        self.provider = provider
        self.config = config
        self._told: dict[tuple[str, str], float] = {}

    def event(self, kind: AlertKind, credential_id: str, message: str, now: float, **data: Any) -> CredentialEvent:
        """Create an event of this provider."""
        return CredentialEvent(
            kind=kind, provider=self.provider, credential_id=credential_id, message=message, time=now, data=data
        )

    def due(
        self, credential_id: str, metrics: CredentialMetrics, expires_at: float | None, can_refresh: bool, now: float
    ) -> list[CredentialEvent]:
        """Return the alerts about one credential that were not sent within the cooldown.

        Args:
            credential_id: Id of the credential.
            metrics: Its metrics.
            expires_at: Expiry of its access token, in seconds since 1970.
            can_refresh: Whether it can be refreshed without the user.
            now: Seconds since 1970.
        """
        config = self.config
        found = []
        rate = 1.0 - metrics.success_rate
        if metrics.request_count >= config.min_requests and rate >= config.failure_rate:
            text = f"{rate:.0%} of {metrics.request_count} requests failed"
            if self._fresh(credential_id, "failure", now):
                found.append(self.event("failure", credential_id, text, now, failure_rate=rate))
        if expires_at is not None and not can_refresh and expires_at - now <= config.expiry_warning:
            left = max(0.0, expires_at - now)
            text = f"the login expires in {left / 3600:.1f} hours and cannot be refreshed; log in again"
            if self._fresh(credential_id, "expiry_warning", now):
                found.append(self.event("expiry_warning", credential_id, text, now, expires_in=left))
        return found

    def _fresh(self, credential_id: str, kind: str, now: float) -> bool:
        last = self._told.get((credential_id, kind))
        if last is not None and 0 <= now - last < self.config.cooldown:
            return False
        self._told[credential_id, kind] = now
        return True
