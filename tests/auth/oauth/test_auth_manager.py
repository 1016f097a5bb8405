"""The logins of a program, of all providers, in one place; and authenticators without a login."""

import asyncio
from urllib.parse import parse_qs, urlsplit

import pytest

from provider_kit import (
    APIKeyAuthenticator,
    Authenticator,
    AuthError,
    AuthErrorCode,
    AuthManager,
    AuthMethod,
    BearerTokenAuthenticator,
    ConfigError,
    MemoryTokenStorage,
    MissingAPIKeyError,
    NotSupportedError,
    OAuthToken,
)


@pytest.fixture
def manager(server):
    made = AuthManager(MemoryTokenStorage())
    made.register("openai", APIKeyAuthenticator("openai", "sk-0123456789abcdef"))
    made.register_oauth("acme", server.config())
    return made


def test_everything_goes_through_the_manager(world, server, manager):
    """Begin, end, look, log out."""
    assert manager.names() == ["acme", "openai"]
    assert not world(manager, "is_authenticated", "acme")
    url = world(manager, "start_oauth_flow", "acme", redirect_url="https://app.example/cb")
    query = parse_qs(urlsplit(server.agree(url)).query)
    assert world(manager, "handle_callback", "acme", query["code"][0], query["state"][0]).can_refresh
    assert world(manager, "is_authenticated", "acme")
    assert world(manager, "get_token_info", "acme").can_refresh
    assert world(manager, "get_token_info", "openai") is None
    assert world(manager, "authenticated_providers") == ["acme", "openai"]
    world(manager, "logout", "acme")
    assert world(manager, "authenticated_providers") == ["openai"]


def test_a_login_at_once(world, server, manager):
    """authenticate() with the options of login()."""
    info = world(manager, "authenticate", "acme", open_browser=server.browser, show=None)
    assert info.can_refresh
    assert manager.storage.list_tokens() == ["acme"]


def test_the_status_of_all(world, server, manager):
    """A failure to look at one is told in its place."""

    class Broken(MemoryTokenStorage):
        def retrieve_token(self, key):
            raise OSError("away")

    manager.register("broken", server.authenticator("broken", Broken()))
    found = world(manager, "status")
    assert {name: (one.method, one.is_authenticated) for name, one in found.items()} == {
        "acme": ("oauth", False),
        "broken": ("oauth", False),
        "openai": ("api_key", True),
    }
    assert found["broken"].error.code == AuthErrorCode.STORAGE_ERROR
    assert found["openai"].error is None


def test_all_are_refreshed(world, server, manager):
    """By name, what went wrong; keys have no end that is known."""
    world(manager, "authenticate", "acme", open_browser=server.browser, show=None)
    manager.register_oauth("other", server.config())
    found = world(manager, "refresh_all")
    assert found["acme"] is None
    assert found["other"].code == AuthErrorCode.TOKEN_EXPIRED
    assert "openai" not in found


def test_what_is_over_is_cleaned_up(world, manager):
    """In the manager's storage."""
    manager.storage.store_token("old", OAuthToken(access_token="x", expires_at=1.0))
    assert world(manager, "cleanup_expired") == ["old"]


def test_who_is_not_registered_is_told(world, manager):
    """With the nearest name."""
    with pytest.raises(AuthError, match="'opnai'") as caught:
        world(manager, "is_authenticated", "opnai")
    assert "'openai'" in caught.value.hint
    assert manager.remove("openai")
    assert not manager.remove("openai")
    with pytest.raises(ConfigError, match="is not an authenticator"):
        manager.register("x", object())


def test_what_an_authenticator_cannot_do_is_told(world, manager):
    """A key cannot begin a flow."""
    with pytest.raises(NotSupportedError, match="start_oauth_flow"):
        world(manager, "start_oauth_flow", "openai")


def test_an_authenticator_of_yours_that_fails_is_told(world, manager):
    """And does not hide the others."""

    class Broken:
        def is_authenticated(self):
            raise RuntimeError("no")

        get_token = refresh_token = logout = is_authenticated

        def get_auth_method(self):
            return "custom"

    manager.register("broken", Broken())
    found = world(manager, "status")
    assert isinstance(found["broken"].error.__cause__, RuntimeError)
    assert found["openai"].is_authenticated


def test_closing_closes_what_was_opened(world, server, manager):
    """As a context manager, too."""
    world(manager, "authenticate", "acme", open_browser=server.browser, show=None)
    with manager:
        pass

    async def main():
        async with manager:
            assert await manager.ais_authenticated("acme")

    asyncio.run(main())
    assert repr(manager) == "<AuthManager of acme, openai>"


# ------------------------------------------------------------------------------------------------ keys and tokens


def test_a_key_authenticator(monkeypatch):
    """From the argument or the environment; never shown whole."""
    key = APIKeyAuthenticator("openai", " sk-0123456789abcdef\n")
    assert isinstance(key, Authenticator)
    assert key.get_token() == "sk-0123456789abcdef"
    assert key.get_auth_method() is AuthMethod.API_KEY
    assert "0123456789" not in repr(key)
    with pytest.raises(AuthError, match="cannot be refreshed"):
        key.refresh_token()
    assert key.logout()
    assert not key.logout()
    assert not key.is_authenticated()
    with pytest.raises(AuthError, match="Not authenticated"):
        key.get_token()
    key.authenticate("sk-another-0123456789")
    assert key.is_authenticated()
    with pytest.raises(MissingAPIKeyError, match="OPENAI_API_KEY"):
        APIKeyAuthenticator("openai")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-environment")
    assert APIKeyAuthenticator("openai").get_token() == "sk-of-the-environment"
    with pytest.raises(AuthError):
        APIKeyAuthenticator("openai", "two words")


def test_a_bearer_authenticator():
    """Renewed by a function of yours, plain or asynchronous."""
    token = BearerTokenAuthenticator("openai", "token-0123456789")
    assert token.get_auth_method() is AuthMethod.BEARER_TOKEN
    with pytest.raises(AuthError) as caught:
        token.refresh_token()
    assert caught.value.code == AuthErrorCode.TOKEN_EXPIRED
    plain = BearerTokenAuthenticator("openai", "token-0123456789", renew=lambda: "renewed-0123456789")
    plain.refresh_token()
    assert plain.get_token() == "renewed-0123456789"

    async def renew():
        return "later-0123456789"

    later = BearerTokenAuthenticator("openai", "token-0123456789", renew=renew)
    with pytest.raises(AuthError, match="asynchronous"):
        later.refresh_token()
    asyncio.run(later.arefresh_token())
    assert later.get_token() == "later-0123456789"
