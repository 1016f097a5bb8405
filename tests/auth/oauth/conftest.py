"""An authorization server of the tests."""

import pytest

from provider_kit.testing import OAuthServer


@pytest.fixture
def server():
    """An authorization server that agrees to everything."""
    with OAuthServer() as running:
        yield running


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch, tmp_path):
    """No login, client or key of the machine reaches a test."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("PROVIDER_KIT_TOKEN_STORAGE", "TOKEN_STORAGE", "PROVIDER_KIT_ENCRYPTION_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("GEMINI", "OPENROUTER", "ACME"):
        monkeypatch.delenv(f"{name}_CLIENT_ID", raising=False)
        monkeypatch.delenv(f"{name}_CLIENT_SECRET", raising=False)
