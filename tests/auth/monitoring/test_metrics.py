"""Counts of credentials, as JSON and for Prometheus."""

import json

import pytest

from provider_kit import CredentialMetrics
from provider_kit.auth.monitoring.metrics import export_json, export_prometheus, health_summary

NOW = 1_800_000_000.0


def test_everything_is_counted():
    """Requests, tokens, latency, first and last use, refreshes."""
    one = CredentialMetrics()
    assert (one.success_rate, one.average_latency, one.average_refresh_latency) == (1.0, None, None)
    one.record(True, 0.2, 50, NOW)
    one.record(False, 0.4, None, NOW + 10)
    one.record_refresh(True, 1.5, NOW + 20)
    one.record_refresh(False, 0.0, NOW + 30)
    assert (one.request_count, one.success_count, one.error_count, one.tokens_used) == (2, 1, 1, 50)
    assert (one.success_rate, one.average_latency) == (0.5, pytest.approx(0.3))
    assert (one.first_used, one.last_used, one.last_refresh) == (NOW, NOW + 10, NOW + 20)
    assert (one.refresh_count, one.refresh_failures, one.average_refresh_latency) == (1, 1, 1.5)


def test_requests_per_hour_look_back_an_hour():
    """Older ones are forgotten; a young credential is projected."""
    one = CredentialMetrics()
    assert one.requests_per_hour(NOW) == 0.0
    for second in range(60):
        one.record(True, 0.0, None, NOW + second)
    assert one.requests_per_hour(NOW + 60) == pytest.approx(720)  # 60 in five minutes
    assert one.requests_per_hour(NOW + 1800) == pytest.approx(120)
    assert one.requests_per_hour(NOW + 3500) == pytest.approx(60, rel=0.05)
    assert one.requests_per_hour(NOW + 3700) == 0.0
    one.record(True, 0.0, None, NOW + 10_000)
    assert one.requests_per_hour(NOW + 10_000) == pytest.approx(1)
    one.record(True, 0.0, None, NOW)  # a clock that went backwards
    assert one.requests_per_hour(NOW + 10_000) >= 1


def test_prometheus_gets_its_five_series():
    """With the credential as label, escaped."""
    one = CredentialMetrics()
    one.record(True, 0.1, 7, NOW)
    text = export_prometheus({'a"b\\': one, "z": CredentialMetrics()})
    assert 'oauth_requests_total{credential="a\\"b\\\\"} 1' in text
    for series in ("requests", "success", "errors", "tokens", "refreshes"):
        assert f"# TYPE oauth_{series}_total counter" in text
        assert f'oauth_{series}_total{{credential="z"}} 0' in text
    assert text.endswith("\n")


def test_json_has_all_of_it():
    """Rates included."""
    one = CredentialMetrics()
    one.record(False, 0.1, None, NOW)
    found = json.loads(export_json({"a": one}, NOW))
    assert found["a"]["error_count"] == 1
    assert found["a"]["success_rate"] == 0.0
    assert found["a"]["requests_per_hour"] > 0


def test_the_summary_adds_up():
    """Over all credentials."""
    one, other = CredentialMetrics(), CredentialMetrics()
    one.record(True, 0.1, 10, NOW)
    other.record(False, 0.1, None, NOW)
    assert health_summary({"a": one, "b": other}, 1) == {
        "total_credentials": 2,
        "healthy_credentials": 1,
        "total_requests": 2,
        "success_rate": 0.5,
        "total_tokens": 10,
    }
    assert health_summary({}, 0)["success_rate"] == 1.0
