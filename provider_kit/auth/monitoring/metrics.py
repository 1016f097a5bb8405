"""Metrics of credentials: counts, latencies, refreshes; as JSON and for Prometheus. The time is an argument."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from attrs import define

__all__ = ["CredentialMetrics", "export_json", "export_prometheus", "health_summary"]

_HOUR = 3600.0
#: Shortest period, in seconds, from which the hourly traffic of a new credential is projected.
_YOUNG = 300.0
#: Number of intervals per hour in which requests are counted.
_BUCKETS = 60


@define(eq=False)
class CredentialMetrics:
    """The metrics of one credential. Times are seconds since 1970, latencies are in seconds."""

    request_count: int = 0
    success_count: int = 0
    error_count: int = 0
    #: Input and output tokens of its answers, where known.
    tokens_used: int = 0
    total_latency: float = 0.0
    first_used: float | None = None
    last_used: float | None = None
    refresh_count: int = 0
    refresh_failures: int = 0
    last_refresh: float | None = None
    total_refresh_latency: float = 0.0
    _minute: int = 0
    #: Requests of the last hour, by minute.
    _by_minute: list[int] | None = None

    def record(self, ok: bool, latency: float, tokens: float | None, now: float) -> None:
        """Count a finished request."""
        self.request_count += 1
        if ok:
            self.success_count += 1
        else:
            self.error_count += 1
        if tokens:
            self.tokens_used += int(tokens)
        self.total_latency += latency
        if self.first_used is None:
            self.first_used = now
        self.last_used = now
        minute = int(now // 60)
        buckets = self._by_minute
        if buckets is None:
            buckets = self._by_minute = [0] * _BUCKETS
            self._minute = minute
        if minute != self._minute:
            self._forget(buckets, minute)
        buckets[minute % _BUCKETS] += 1

    def _forget(self, buckets: list[int], minute: int) -> None:
        for gone in range(self._minute + 1, min(minute, self._minute + _BUCKETS) + 1):
            buckets[gone % _BUCKETS] = 0
        self._minute = max(minute, self._minute)

    def record_refresh(self, ok: bool, latency: float, now: float) -> None:
        """Count a refresh."""
        if ok:
            self.refresh_count += 1
            self.last_refresh = now
            self.total_refresh_latency += latency
        else:
            self.refresh_failures += 1

    @property
    def success_rate(self) -> float:
        """Share of requests that succeeded; 1 before the first."""
        return self.success_count / self.request_count if self.request_count else 1.0

    @property
    def average_latency(self) -> float | None:
        """Average duration of a request in seconds; ``None`` before the first."""
        return self.total_latency / self.request_count if self.request_count else None

    @property
    def average_refresh_latency(self) -> float | None:
        """Average duration of a refresh in seconds; ``None`` before the first."""
        return self.total_refresh_latency / self.refresh_count if self.refresh_count else None

    def requests_per_hour(self, now: float) -> float:
        """Requests of the last hour; for a newer credential, projected to an hour."""
        if self._by_minute is None or self.first_used is None:
            return 0.0
        minute = int(now // 60)
        behind = max(0, minute - self._minute)  # minutes that have left the last hour
        newest = (self._minute % _BUCKETS) + 1
        by_age = (self._by_minute[newest:] + self._by_minute[:newest])[::-1]
        alive = sum(by_age[: max(0, _BUCKETS - behind)])
        return alive * _HOUR / min(_HOUR, max(_YOUNG, now - self.first_used))

    def to_dict(self, now: float) -> dict[str, Any]:
        """All metrics as a JSON object."""
        return {
            "request_count": self.request_count,
            "success_count": self.success_count,
            "error_count": self.error_count,
            "success_rate": self.success_rate,
            "requests_per_hour": self.requests_per_hour(now),
            "tokens_used": self.tokens_used,
            "total_latency": self.total_latency,
            "average_latency": self.average_latency,
            "first_used": self.first_used,
            "last_used": self.last_used,
            "refresh_count": self.refresh_count,
            "refresh_failures": self.refresh_failures,
            "last_refresh": self.last_refresh,
        }


def export_json(metrics: Mapping[str, CredentialMetrics], now: float) -> str:
    """The metrics of all credentials as a JSON object."""
    return json.dumps({name: one.to_dict(now) for name, one in sorted(metrics.items())}, indent=2)


_SERIES = (
    ("oauth_requests_total", "Requests made with the credential.", "request_count"),
    ("oauth_success_total", "Requests that succeeded.", "success_count"),
    ("oauth_errors_total", "Requests that failed.", "error_count"),
    ("oauth_tokens_total", "Input and output tokens used.", "tokens_used"),
    ("oauth_refreshes_total", "Times the access token was renewed.", "refresh_count"),
)


def export_prometheus(metrics: Mapping[str, CredentialMetrics]) -> str:
    """The counters of all credentials in Prometheus's text format (version 0.0.4)."""
    lines = []
    for series, text, field in _SERIES:
        lines += [f"# HELP {series} {text}", f"# TYPE {series} counter"]
        for name, one in sorted(metrics.items()):
            label = name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
            lines.append(f'{series}{{credential="{label}"}} {getattr(one, field)}')
    return "\n".join(lines) + "\n"


def health_summary(metrics: Mapping[str, CredentialMetrics], healthy: int) -> dict[str, Any]:
    """A summary of all credentials, ``healthy`` of which are healthy."""
    requests = sum(one.request_count for one in metrics.values())
    return {
        "total_credentials": len(metrics),
        "healthy_credentials": healthy,
        "total_requests": requests,
        "success_rate": sum(one.success_count for one in metrics.values()) / requests if requests else 1.0,
        "total_tokens": sum(one.tokens_used for one in metrics.values()),
    }
