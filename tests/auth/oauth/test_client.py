"""One OAuth client, several things at once: what one of them learns or begins changes nothing for the others."""

import json

import pytest

from provider_kit import MemoryTokenStorage, OAuthAuthenticator, OAuthConfig, OAuthToken, ScriptedTransport

ISSUER = "https://login.example"
DOCUMENT = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token",
}
NOW = 1_800_001_000.0


def stored(**changes):
    """A token that an earlier program got for a client of its own; its access token has expired."""
    fields = {
        "access_token": "old-access-token",
        "refresh_token": "old-refresh-token",
        "obtained_at": NOW - 7200,
        "expires_at": NOW - 3600,
        "client": {"client_id": "the-client-of-the-token", "issuer": ISSUER},
    }
    storage = MemoryTokenStorage()
    storage.store_token("acme", OAuthToken(**{**fields, **changes}))
    return storage


@pytest.mark.parametrize("when", ["discovery", "exchange"])
def test_a_login_that_is_begun_during_a_refresh_breaks_neither(when):
    """The token belongs to a client that the configuration does not name; the login is for another one."""
    begun = []

    def during(request):
        if not begun:
            begun.append(None)  # what it asks itself comes here too
            other = OAuthConfig(client_id="", issuer=ISSUER)
            assert authenticator.config.client_id == other.client_id
            with pytest.raises(Exception, match="client_id"):  # a login needs one; the refresh has the token's
                authenticator.start_oauth_flow(redirect_url="http://127.0.0.1:9/callback")
        return {}

    def answer(request):
        if "well-known" in request.url:
            if when == "discovery":
                during(request)
            return {"json": DOCUMENT}
        if when == "exchange":
            during(request)
        assert b"client_id=the-client-of-the-token" in request.body
        assert b"refresh_token=old-refresh-token" in request.body
        return {"json": {"access_token": "new-access-token", "token_type": "bearer", "expires_in": 3600}}

    transport = ScriptedTransport([answer], repeat=True)
    storage = stored()
    authenticator = OAuthAuthenticator("acme", storage, OAuthConfig(client_id="", issuer=ISSUER), transport=transport)
    assert authenticator.get_token() == "new-access-token"
    assert begun
    kept = storage.retrieve_token("acme")
    assert kept.client["client_id"] == "the-client-of-the-token"


def test_an_issuer_is_asked_once():
    """Each thing that is done has requests of its own, but what the issuer told is known to all of them."""
    asked = []

    def answer(request):
        asked.append(request.url)
        if "well-known" in request.url:
            return {"body": json.dumps(DOCUMENT).encode()}
        return {"json": {"access_token": "new-access-token", "token_type": "bearer", "refresh_token": "r2"}}

    transport = ScriptedTransport([answer], repeat=True)
    config = OAuthConfig(client_id="mine", issuer=ISSUER)
    authenticator = OAuthAuthenticator("acme", stored(client={}), config, transport=transport)
    for _ in range(3):
        authenticator.start_oauth_flow(redirect_url="http://127.0.0.1:9/callback")
    authenticator.refresh_token()
    authenticator.refresh_token()
    assert sum("well-known" in url for url in asked) == 1
    assert authenticator.config.token_url == f"{ISSUER}/token"
