"""Of what somebody is told about a credential."""

import pytest

from provider_kit import ConfigError, CredentialMetrics, MonitoringConfig
from provider_kit.auth.monitoring.alerts import Alerts

NOW = 1_800_000_000.0


def used(requests, errors):
    made = CredentialMetrics()
    for number in range(requests):
        made.record(number >= errors, 0.1, None, NOW)
    return made


def kinds(alerts, metrics=None, expires_at=None, can_refresh=False, now=NOW):
    return [event.kind for event in alerts.due("a", metrics or CredentialMetrics(), expires_at, can_refresh, now)]


@pytest.mark.parametrize(
    ("requests", "errors", "told"),
    [(9, 9, False), (10, 2, False), (10, 3, True), (100, 24, False), (100, 25, True)],
)
def test_failures_are_told_from_a_quarter_of_ten_on(requests, errors, told):
    """Fewer requests say nothing."""
    assert kinds(Alerts("acme", MonitoringConfig()), used(requests, errors)) == (["failure"] if told else [])


def test_a_login_that_cannot_be_refreshed_is_warned_of_a_day_before():
    """One that can is not."""
    alerts = Alerts("acme", MonitoringConfig())
    assert kinds(alerts, expires_at=NOW + 86401) == []
    assert kinds(alerts, expires_at=NOW + 3600, can_refresh=True) == []
    assert kinds(alerts, expires_at=None) == []
    assert kinds(alerts, expires_at=NOW + 86399) == ["expiry_warning"]


def test_a_warning_is_not_repeated_within_an_hour():
    """For each credential and kind."""
    alerts = Alerts("acme", MonitoringConfig())
    assert kinds(alerts, used(10, 10), NOW + 5) == ["failure", "expiry_warning"]
    assert kinds(alerts, used(10, 10), NOW + 5, now=NOW + 3599) == []
    assert kinds(alerts, used(10, 10), NOW + 5, now=NOW + 3601) == ["failure", "expiry_warning"]
    assert kinds(alerts, used(10, 10), now=NOW - 100) == ["failure"]  # a clock that went backwards


def test_an_event_says_what_a_webhook_needs():
    """As plain data."""
    event = Alerts("acme", MonitoringConfig()).event("refresh", "a", "done", NOW, expires_at=5)
    assert event.to_dict() == {
        "event": "refresh",
        "provider": "acme",
        "credential_id": "a",
        "message": "done",
        "timestamp": NOW,
        "data": {"expires_at": 5},
    }


def test_impossible_settings_are_refused_and_secrets_not_shown():
    """A webhook's address may hold one."""
    for options in ({"failure_rate": 0}, {"failure_rate": 2}, {"webhook_url": "ftp://x"}, {"cooldown": 0}):
        with pytest.raises(ConfigError):
            MonitoringConfig(**options)
    shown = repr(MonitoringConfig(webhook_url="https://hooks.example/SECRET", webhook_headers={"Authorization": "S2"}))
    assert "SECRET" not in shown
    assert "S2" not in shown
