"""The doctor at a client that logs in instead of having a key."""

import pytest

from provider_kit import Client, FileTokenStorage, OAuthCredentialSet, ProviderConfig
from provider_kit.testing import FakeServer, OAuthServer


@pytest.fixture
def auth():
    with OAuthServer() as running:
        yield running


@pytest.fixture
def examine(world, auth, tmp_path):
    """Log in if wanted, break something, examine."""

    def run(*, login=True, breaking=lambda: None):
        with FakeServer(key=auth.accepts) as api:
            if login:
                with auth.authenticator("acme", FileTokenStorage(tmp_path / "tokens.json")) as earlier:
                    earlier.login(open_browser=auth.browser, show=None)
            breaking()
            authenticator = auth.authenticator("acme", FileTokenStorage(tmp_path / "tokens.json"))
            client = api.client("openai/demo", auth=authenticator)
            found = world(client, "diagnose", calls=1)
            client.close()
            authenticator.close()
        return found

    return run


def test_a_good_login(examine):
    found = examine()
    assert found.ok, found.as_text()
    assert found.find("key").message == "A login is used."


def test_nobody_has_logged_in(examine):
    found = examine(login=False)
    key = found.find("key")
    assert (found.ok, key.status) == (False, "failed"), found.as_text()
    assert "provider-kit auth login acme" in key.hint
    assert found.find("credentials").status == "skipped"


def test_a_token_whose_time_is_over_is_renewed(examine, auth):
    """As it would be by a call."""
    found = examine(breaking=auth.expire_access_tokens)
    assert found.ok, found.as_text()


def test_a_login_that_the_server_has_ended(examine, auth, tmp_path):
    def breaking():
        storage = FileTokenStorage(tmp_path / "tokens.json")
        storage.store_token("acme", storage.retrieve_token("acme").replace(expires_at=1.0))
        auth.revoke_all()

    found = examine(breaking=breaking)
    key = found.find("key")
    assert key.status == "failed", found.as_text()
    assert "invalid_grant" in key.message
    assert "auth login" in key.hint


def test_some_of_several_logins_do_not_work(world, auth):
    """Each is looked at; as long as one works, it is a warning."""
    with auth.authenticator("acme") as authenticator:
        authenticator.login(open_browser=auth.browser, show=None)
        token = authenticator.get_token()
    with FakeServer(key=auth.accepts) as api:
        client = Client(ProviderConfig(
            type="openai", base_url=api.base_url("openai"), default_model="demo", oauth=auth.config(),
            oauth_credentials=(
                OAuthCredentialSet(id="good", access_token=token),
                OAuthCredentialSet(id="bad", access_token="nonsense-token", refresh_token="nonsense", expires_at=1.0),
            ),
        ))  # fmt: skip
        found = world(client, "diagnose", calls=1)
        client.close()
    key = found.find("key")
    assert key.status == "warning", found.as_text()
    assert "1 of 2 logins" in key.message
    assert "bad" in key.message
    assert key.hint
