"""``with_options()`` with the credentials of a user: none of the service's own are ever used in their place."""

import traceback

import pytest

from provider_kit import (
    AuthError,
    Client,
    ConfigError,
    KeyManager,
    ProviderConfig,
    RateLimitConfig,
    RateLimitExceededError,
)

SERVICE = "sk-service-key-0000001"


def sent_with(server):
    return {name.lower(): value for name, value in server.requests[-1].headers.items()}["authorization"]


@pytest.mark.parametrize("option", [{}, {"timeout": 5}], ids=["alone", "with an option"])
@pytest.mark.parametrize("empty", [{"api_key": ""}, {"token": ""}, {"api_keys": []}, {"api_keys": ()}], ids=str)
def test_empty_credentials_are_refused(fake_server, empty, option):
    """A user without a key must not be served with that of the service."""
    service = fake_server.client(api_key=SERVICE)
    with pytest.raises(AuthError, match="empty"):
        service.with_options(**empty, **option)
    assert fake_server.requests == []
    service.close()


def test_a_key_manager_whose_keys_are_still_to_be_fetched_is_used(call, fake_server):
    """It is empty until then."""
    service = fake_server.client("openai/gpt-4o", api_key=SERVICE)
    user = service.with_options(api_keys=KeyManager("openai", lambda: ["sk-users-own-key-00001"]), timeout=5)
    call.chat(user, "Hi")
    assert sent_with(fake_server) == "Bearer sk-users-own-key-00001"
    service.close()


def users_of(server, **options):
    service = server.client("openai/gpt-4o", api_key=SERVICE, max_retries=0, wait_for_key=False, **options)
    return [service.with_options(token=f"token-of-{name}-0123456789") for name in ("ada", "bob", "ada")]


def test_users_share_no_day(fake_server, tmp_path):
    """The count that is kept in a file is one of each user's."""
    limit = RateLimitConfig(requests_per_day=2, max_wait=0.2, persist=str(tmp_path / "day"))
    ada, bob, again = users_of(fake_server, rate_limit=limit)
    ada.chat("1"), ada.chat("2"), bob.chat("1")
    with pytest.raises(RateLimitExceededError):
        again.chat("3")


def test_a_key_given_as_auth_is_not_shown(fake_server):
    """A mistake with a key in it says what to write instead."""
    secret = "sk-proj-SECRETSECRETSECRETSECRET1"
    client = fake_server.client()
    for make in (lambda: Client("openai/gpt-4o", auth=secret), lambda: client.with_options(auth=secret)):
        with pytest.raises(ConfigError) as caught:
            make()
        assert secret not in f"{caught.value} {caught.value.hint}"
        assert "api_key=" in caught.value.hint
    client.close()


def test_a_password_in_an_address_is_not_shown():
    """Wherever a configuration is shown."""
    config = ProviderConfig(type="openai", base_url="https://user:PASSWORD@host.example/v1")
    assert "PASSWORD" not in repr(config)
    assert "host.example/v1" in repr(config)
    assert "'https://host.example/v1'" in repr(config.replace(base_url="https://host.example/v1"))


def test_a_configuration_that_is_still_being_made_can_be_shown():
    """Tracebacks with local variables do it."""
    with pytest.raises(ConfigError) as caught:
        ProviderConfig(type="openai", api_keys="sk-proj-SECRETSECRETSECRETSECRET1")
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "self = <ProviderConfig>" in shown
