"""An authorization server of the tests, and both worlds to ask authenticators in."""

import asyncio

import pytest

from provider_kit.testing import OAuthServer


class BlockingWorld:
    """Calls the blocking half."""

    name = "blocking"

    def __call__(self, target, method, *args, **options):
        return getattr(target, method)(*args, **options)


class AsyncioWorld:
    """Calls the awaited half, in an event loop of its own each time; connections end with the loop."""

    name = "asyncio"

    def __call__(self, target, method, *args, **options):
        async def main():
            return await getattr(target, f"a{method}")(*args, **options)

        return asyncio.run(main())


@pytest.fixture(params=[BlockingWorld, AsyncioWorld], ids=lambda kind: kind.name)
def world(request):
    """Both worlds, one after the other."""
    return request.param()


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
