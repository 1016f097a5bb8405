"""A client with a login instead of a key: signing, renewal, failover, scopes, what it costs."""

import asyncio
import copy
import pickle
import threading
import time

import pytest

from provider_kit import (
    AllKeysExhaustedError,
    APIKeyAuthenticator,
    AuthenticationError,
    AuthError,
    AuthErrorCode,
    BearerTokenAuthenticator,
    CircuitBreaker,
    Client,
    ConfigError,
    FileTokenStorage,
    MemoryTokenStorage,
    OAuthCredentialSet,
    OAuthKeyManager,
    PermissionDeniedError,
    ProviderConfig,
)
from provider_kit.testing import FakeServer, OAuthServer

SUM = "What is 2 + 3?"


@pytest.fixture
def api(server):
    """A provider that accepts the tokens of the authorization server."""
    with FakeServer(key=server.accepts) as running:
        yield running


def logged_in(server, provider="gemini", **options):
    authenticator = server.authenticator(provider, **options)
    authenticator.login(open_browser=server.browser, show=None)
    return authenticator


def stream(world, client):
    """The text of a streamed answer."""
    if world.name == "blocking":
        return "".join(chunk.text for chunk in client.stream(SUM))

    async def main():
        return "".join([chunk.text async for chunk in client.astream(SUM)])

    return asyncio.run(main())


@pytest.mark.parametrize("target", ["gemini/gemini-2.5-flash", "anthropic/claude-sonnet-4-5", "openai/gpt-4o"])
def test_a_token_travels_as_bearer_at_every_provider(world, server, api, target):
    """Never in the header that the provider's keys have."""
    client = api.client(target, auth=logged_in(server, target.partition("/")[0]))
    assert world(client, "chat", SUM).text == "2 + 3 = 5"
    assert stream(world, client) == "2 + 3 = 5"
    for request in api.requests:
        assert request.headers["authorization"].startswith("Bearer at-")
        assert not {"x-api-key", "x-goog-api-key"} & request.headers.keys()


def test_the_project_that_pays_is_named(world, server, api):
    """x-goog-user-project, as Google wants it beside a token."""
    client = api.client("gemini/gemini-2.5-flash", auth=logged_in(server), options={"project_id": "my-project"})
    world(client, "chat", SUM)
    assert api.requests[0].headers["x-goog-user-project"] == "my-project"


@pytest.mark.parametrize("verb", ["chat", "stream", "embed"])
def test_a_refused_token_is_refreshed_and_the_call_goes_on(world, server, api, verb):
    """Once, at once, whatever the retries; the caller sees nothing of it."""
    client = api.client("openai/gpt-4o", auth=logged_in(server, "openai"), max_retries=0)
    world(client, "chat", SUM)
    server.expire_access_tokens()
    if verb == "stream":
        assert stream(world, client) == "2 + 3 = 5"
    elif verb == "embed":
        assert world(client, "embed", ["x"]).vectors
    else:
        answer = world(client, "chat", SUM)
        assert [attempt.status_code for attempt in answer.attempts] == [401, None]
    assert len(api.requests) == 3
    assert server.issued == {"authorization_code": 1, "refresh_token": 1}


def test_a_token_that_is_refused_again_is_an_error(world, server):
    """The API does not like even a fresh one: one refresh, then the provider's own words."""
    with FakeServer(key="something else") as api:
        client = api.client("openai/gpt-4o", auth=logged_in(server, "openai"))
        with pytest.raises(AuthenticationError) as caught:
            world(client, "chat", SUM)
        assert [attempt.status_code for attempt in caught.value.attempts] == [401, 401]
        assert server.issued["refresh_token"] == 1


def test_a_login_that_is_over_is_told_by_the_call(world, server, api):
    """refresh_failed with the attempt before it, and how to log in."""
    client = api.client("openai/gpt-4o", auth=logged_in(server, "openai"))
    server.revoke_all()
    server.expire_access_tokens()
    with pytest.raises(AuthError) as caught:
        world(client, "chat", SUM)
    assert caught.value.code == AuthErrorCode.REFRESH_FAILED
    assert "provider-kit auth login openai," in caught.value.hint
    assert [attempt.status_code for attempt in caught.value.attempts] == [401]
    assert caught.value.operation == "chat"


def test_nobody_logged_in_is_told_before_anything_is_sent(world, server, api):
    """token_expired."""
    client = api.client("openai/gpt-4o", auth=server.authenticator("openai"))
    with pytest.raises(AuthError, match="Not authenticated") as caught:
        world(client, "chat", SUM)
    assert caught.value.code == AuthErrorCode.TOKEN_EXPIRED
    assert api.requests == []


def test_a_login_in_the_meantime_is_noticed(world, server, api):
    """The client need not be made anew."""
    authenticator = server.authenticator("openai")
    client = api.client("openai/gpt-4o", auth=authenticator)
    with pytest.raises(AuthError):
        world(client, "chat", SUM)
    authenticator.login(open_browser=server.browser, show=None)
    assert world(client, "chat", SUM).text == "2 + 3 = 5"


def test_the_login_of_the_command_is_found(world, server, api, tmp_path, monkeypatch):
    """auth="oauth": stored with its client, so that no setting is needed to refresh it."""
    monkeypatch.setenv("PROVIDER_KIT_TOKEN_STORAGE", str(tmp_path / "t.json"))
    logged_in(server, "openai", storage=FileTokenStorage(tmp_path / "t.json"))
    client = api.client("openai/gpt-4o", auth="oauth")
    assert world(client, "chat", SUM).text == "2 + 3 = 5"
    server.expire_access_tokens()
    assert world(client, "chat", SUM).text == "2 + 3 = 5"
    assert server.issued["refresh_token"] == 1
    configured = Client(ProviderConfig(type="openai", base_url=api.base_url(), oauth=server.config()))
    assert world(configured, "chat", SUM).text == "2 + 3 = 5"


def test_fifty_calls_on_one_expired_token_refresh_once(server, api):
    """Threads and tasks on one client."""
    client = api.client("openai/gpt-4o", auth=logged_in(server, "openai"))
    client.chat(SUM)
    server.expire_access_tokens()
    server.fault(0, grant="refresh_token", latency=0.1)
    texts = []
    threads = [threading.Thread(target=lambda: texts.append(client.chat(SUM).text)) for _ in range(25)]

    async def main():
        return [answer.text for answer in await asyncio.gather(*(client.achat(SUM) for _ in range(25)))]

    for thread in threads:
        thread.start()
    texts += asyncio.run(main())
    for thread in threads:
        thread.join()
    assert texts == ["2 + 3 = 5"] * 50
    assert server.issued["refresh_token"] == 1


def test_several_credentials_take_turns_and_over(world, server, api):
    """One that cannot be refreshed makes way for the next; its state says why."""
    tokens = [logged_in(server, f"p{n}").storage.retrieve_token(f"p{n}") for n in range(2)]
    credentials = [
        OAuthCredentialSet(id="gone", access_token="not-good-any-more", refresh_token="revoked"),
        *(
            OAuthCredentialSet(id=f"good-{n}", access_token=token.access_token, refresh_token=token.refresh_token)
            for n, token in enumerate(tokens)
        ),
    ]
    events = []
    config = ProviderConfig(
        type="openai", base_url=api.base_url(), oauth_credentials=credentials, oauth=server.config()
    )
    client = Client(config, on_event=events.append)
    for _ in range(6):
        assert world(client, "chat", SUM).text == "2 + 3 = 5"
    states = {status.id: status.state for status in client.keys.status()}
    assert states == {"gone": "dead", "good-0": "healthy", "good-1": "healthy"}
    used = [status.requests for status in client.keys.status() if status.id != "gone"]
    assert min(used) >= 2
    assert "token_refresh_failed" in {event.name for event in events}
    assert not any("not-good" in repr(event) + event.message for event in events)


def test_no_credential_left_says_so(world, server, api):
    """all_keys_exhausted, with the last failure as the cause."""
    credentials = [OAuthCredentialSet(id=f"c{n}", access_token="no", refresh_token="no") for n in range(2)]
    config = ProviderConfig(
        type="openai", base_url=api.base_url(), oauth_credentials=credentials, oauth=server.config()
    )
    client = Client(config)
    with pytest.raises(AuthError) as caught:
        world(client, "chat", SUM)
    assert caught.value.code in (AuthErrorCode.REFRESH_FAILED, AuthErrorCode.ALL_KEYS_EXHAUSTED)
    with pytest.raises(AllKeysExhaustedError):
        world(client, "chat", SUM)


def test_metrics_are_counted_by_calls(world, server, api):
    """Requests, tokens, latency."""
    token = logged_in(server, "p").storage.retrieve_token("p")
    credential = OAuthCredentialSet(id="team", access_token=token.access_token, refresh_token=token.refresh_token)
    manager = OAuthKeyManager("openai", [credential], config=server.config())
    client = api.client("openai/gpt-4o", auth=manager)
    for _ in range(3):
        world(client, "chat", SUM)
    metrics = manager.get_metrics()["team"]
    assert (metrics.request_count, metrics.success_count, metrics.error_count) == (3, 3, 0)
    assert metrics.tokens_used > 0
    assert metrics.average_latency > 0


# ------------------------------------------------------------------------------------------------ other authenticators


def test_a_key_and_a_bearer_token_are_authenticators_too(world, monkeypatch):
    """One protocol for all."""
    with FakeServer(key="sk-0123456789abcdef") as api:
        key = APIKeyAuthenticator("anthropic", "sk-0123456789abcdef")
        assert world(api.client("anthropic/claude-sonnet-4-5", auth=key), "chat", SUM).text == "2 + 3 = 5"
        assert api.requests[-1].headers["x-api-key"] == "sk-0123456789abcdef"
        bearer = BearerTokenAuthenticator("anthropic", "sk-0123456789abcdef")
        assert world(api.client("anthropic/claude-sonnet-4-5", auth=bearer), "chat", SUM).text == "2 + 3 = 5"
        assert "x-api-key" not in api.requests[-1].headers
        renewed = BearerTokenAuthenticator("anthropic", "old-token-0123", renew=lambda: "sk-0123456789abcdef")
        assert world(api.client("anthropic/claude-sonnet-4-5", auth=renewed), "chat", SUM).text == "2 + 3 = 5"


@pytest.mark.parametrize("kind", ["a key", "a bearer token", "a token of a scope", "a key of a scope"])
def test_what_cannot_be_renewed_is_refused_in_the_words_of_the_provider(world, kind):
    """A 401 as it is with a plain key, once per call; a new one is used as soon as it is given."""
    with FakeServer(key="good-token-0123456789") as api:
        authenticator = None
        if kind.endswith("scope"):
            options = {"token" if "token" in kind else "api_key": "old-token-0123456789"}
            client = api.client("openai/gpt-4o").with_options(**options)
        else:
            make = APIKeyAuthenticator if kind == "a key" else BearerTokenAuthenticator
            authenticator = make("openai", "old-token-0123456789")
            client = api.client("openai/gpt-4o", auth=authenticator)
        for sent in (1, 2):
            with pytest.raises(AuthenticationError) as caught:
                world(client, "chat", SUM)
            assert (caught.value.status_code, len(api.requests)) == (401, sent)
        if authenticator is not None:
            authenticator.authenticate("good-token-0123456789")
            assert world(client, "chat", SUM).text == "2 + 3 = 5"


def test_an_authenticator_of_yours(world):
    """Five methods, plain or asynchronous; refreshed once when the provider refuses its token."""

    class Mine:
        def __init__(self):
            self.token, self.refreshed = "first-token-0123", 0

        def is_authenticated(self):
            return True

        def get_token(self):
            return self.token

        def refresh_token(self):
            self.token, self.refreshed = "second-token-0123", self.refreshed + 1

        def logout(self):
            pass

        def get_auth_method(self):
            return "custom"

    class Later(Mine):
        async def aget_token(self):
            await asyncio.sleep(0)
            return self.token

    with FakeServer(key="second-token-0123") as api:
        for kind in (Mine, Later):
            mine = kind()
            client = api.client("openai/gpt-4o", auth=mine)
            assert world(client, "chat", SUM).text == "2 + 3 = 5"
            assert world(client, "chat", SUM).text == "2 + 3 = 5"
            assert mine.refreshed == 1


def test_an_authenticator_of_yours_refreshes_once_for_all():
    """Twenty calls whose token was refused, one refresh."""
    refreshed = []

    def renew():
        time.sleep(0.2)
        refreshed.append(1)
        return "good-token-0123456789"

    with FakeServer(key="good-token-0123456789") as api:
        bearer = BearerTokenAuthenticator("openai", "old-token-0123456789", renew=renew)
        client = api.client("openai/gpt-4o", auth=bearer)

        async def main():
            return await asyncio.gather(*(client.achat(SUM) for _ in range(20)))

        assert {answer.text for answer in asyncio.run(main())} == {"2 + 3 = 5"}
    assert refreshed == [1]


def test_what_is_asynchronous_is_told_by_a_blocking_call(fake_server):
    """Also where a plain function returns something to await."""

    class Sneaky:
        def is_authenticated(self):
            return True

        def get_token(self):
            async def later():
                return "token"

            return later()

        refresh_token = logout = is_authenticated

        def get_auth_method(self):
            return "custom"

    with pytest.raises(AuthError, match="returned an awaitable") as caught:
        fake_server.client("openai/gpt-4o", auth=Sneaky()).chat(SUM)
    assert "asyncio method" in caught.value.hint


def test_a_token_that_cannot_be_renewed_is_tried_again_by_the_next_call(world, server, api):
    """One refusal is no verdict for ever: the API may have been wrong."""
    storage = MemoryTokenStorage()
    authenticator = logged_in(server, "openai", storage=storage)
    storage.store_token("openai", storage.retrieve_token("openai").replace(refresh_token=None))
    authenticator._refresher._state.token = None
    client = api.client("openai/gpt-4o", auth=authenticator)
    assert world(client, "chat", SUM).text == "2 + 3 = 5"
    api.fault(401)
    with pytest.raises(AuthError, match="was refused and cannot be refreshed"):
        world(client, "chat", SUM)
    assert world(client, "chat", SUM).text == "2 + 3 = 5"


def test_a_header_of_the_clients_does_not_overrule_a_scope(fake_server, world):
    """The owner's credential is not sent in a user's name."""
    client = fake_server.client("openai/gpt-4o", headers={"Authorization": "Bearer of-the-owner", "X-Team": "search"})
    world(client.with_options(token="of-the-user-0123456"), "chat", SUM)
    sent = fake_server.requests[-1].headers
    assert sent["authorization"] == "Bearer of-the-user-0123456"
    assert sent["x-team"] == "search"


def test_an_authenticator_of_yours_that_fails(world, fake_server):
    """Its exception is the cause; what it returns must be a token."""

    class Broken:
        answer = None

        def is_authenticated(self):
            return True

        def get_token(self):
            if self.answer is None:
                raise RuntimeError("vault is sealed")
            return self.answer

        def refresh_token(self):
            pass

        def logout(self):
            pass

        def get_auth_method(self):
            return "custom"

    broken = Broken()
    client = fake_server.client("openai/gpt-4o", auth=broken)
    with pytest.raises(AuthError, match="The authenticator failed: RuntimeError") as caught:
        world(client, "chat", SUM)
    assert isinstance(caught.value.__cause__, RuntimeError)
    broken.answer = 5
    with pytest.raises(AuthError, match="returned int"):
        world(client, "chat", SUM)
    broken.answer = "line\nbreak"
    with pytest.raises(AuthError, match="no key has"):
        world(client, "chat", SUM)
    assert fake_server.requests == []


@pytest.mark.parametrize("wrong", ["saml", 5, object(), OAuthKeyManager])
def test_what_is_no_authenticator_is_refused(wrong):
    """With what may be passed."""
    with pytest.raises(ConfigError) as caught:
        Client("openai/gpt-4o", auth=wrong)
    assert "oauth" in caught.value.hint


def test_keys_and_a_login_do_not_mix(server):
    """One of them."""
    with pytest.raises(ConfigError, match="both given"):
        Client("openai/gpt-4o", api_key="sk-0123456789abcdef", auth=server.authenticator("openai"))
    with pytest.raises(ConfigError, match="Two logins"):
        Client(ProviderConfig(type="openai", oauth=server.config()), auth=server.authenticator("openai"))


def test_a_token_does_not_travel_unencrypted(world, server):
    """As a key does not."""
    client = Client("openai/gpt-4o", base_url="http://api.example/v1", auth=logged_in(server, "openai"))
    with pytest.raises(ConfigError, match="unencrypted"):
        world(client, "chat", SUM)


def test_a_scope_that_is_missing_is_told(world, server, fake_server):
    """403 with WWW-Authenticate: insufficient_scope."""
    header = {"www-authenticate": 'Bearer error="insufficient_scope", scope="cloud-platform"'}
    fake_server.fault(403, headers=header)
    client = fake_server.client("openai/gpt-4o", auth=logged_in(server, "openai"), max_retries=0)
    with pytest.raises(PermissionDeniedError) as caught:
        world(client, "chat", SUM)
    assert "scope" in caught.value.hint
    assert "cloud-platform" in caught.value.hint


def test_a_pickled_client_never_calls_in_another_name(server, monkeypatch, tmp_path):
    """It carries no token, and does not fall back to a key of its environment."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-environment")
    monkeypatch.setenv("PROVIDER_KIT_TOKEN_STORAGE", str(tmp_path / "t.json"))
    secret = "very-secret-0123456789"
    credential = OAuthCredentialSet(id="c", access_token=secret, client_secret=secret, refresh_token=secret)
    client = Client(ProviderConfig(type="openai", oauth_credentials=[credential], oauth=server.config()))
    for one in (client, Client("openai/gpt-4o", auth=server.authenticator("openai"))):
        with pytest.raises(TypeError, match="login"):
            pickle.dumps(one)
    assert secret not in repr(vars(client))
    again = pickle.loads(pickle.dumps(Client("openai/gpt-4o", auth="oauth")))
    with pytest.raises(AuthError, match="Not authenticated"):
        again.chat(SUM)
    kept = Client(ProviderConfig(type="openai", oauth=server.config(client_secret=secret)))
    data = pickle.dumps(kept)
    assert secret.encode() not in data
    with pytest.raises(AuthError, match="Not authenticated"):
        pickle.loads(data).chat(SUM)
    allowed = Client(client.config, allow_secret_pickle=True)
    assert pickle.loads(pickle.dumps(allowed)).keys.status()[0].id == "c"


# ------------------------------------------------------------------------------------------------ scopes


def test_a_scope_has_other_credentials_and_the_same_connections(world):
    """For the users of a service."""
    with FakeServer() as api:
        client = api.client("openai/gpt-4o", api_key="the-service-0123456789")
        ada = client.with_options(api_key="the-key-of-ada-0123")
        bob = client.with_options(token="the-token-of-bob-01")
        several = client.with_options(api_keys=["one-key-0123456789", "two-key-0123456789"])
        for scoped in (client, ada, bob, several, several, client):
            assert world(scoped, "chat", SUM).text == "2 + 3 = 5"
        sent = [request.headers["authorization"].removeprefix("Bearer ") for request in api.requests]
        assert sent == [
            "the-service-0123456789",
            "the-key-of-ada-0123",
            "the-token-of-bob-01",
            "one-key-0123456789",
            "two-key-0123456789",
            "the-service-0123456789",
        ]
        if world.name == "blocking":
            assert api.connections == 1
        assert (ada.provider, ada.model, ada.config.default_model) == (client.provider, client.model, "gpt-4o")
        ada.close()
        assert world(client, "chat", SUM).text == "2 + 3 = 5"


def test_a_scope_may_have_a_login(world, server, api):
    """An authenticator for each user, over one storage."""
    client = api.client("openai/gpt-4o", api_key="the-service-0123456789")
    storage = MemoryTokenStorage()
    for user in ("ada", "bob"):
        authenticator = server.authenticator("openai", storage, storage_key=f"openai:{user}")
        authenticator.login(open_browser=server.browser, show=None)
        assert world(client.with_options(auth=authenticator), "chat", SUM).text == "2 + 3 = 5"
    assert storage.list_tokens() == ["openai:ada", "openai:bob"]
    assert len({request.headers["authorization"] for request in api.requests}) == 2


def test_what_one_user_was_answered_is_not_told_another(world):
    """A response cache is not shared between scopes, nor with the client."""
    with FakeServer() as api:
        client = api.client("openai/gpt-4o", response_cache=True)
        ada, bob = (
            client.with_options(api_key="the-key-of-ada-0123"),
            client.with_options(api_key="the-key-of-bob-0123"),
        )
        for scoped in (client, ada, bob, copy.copy(ada)):
            world(scoped, "chat", SUM)
        assert len(api.requests) == 3
        world(ada, "chat", SUM)
        assert len(api.requests) == 3


def test_a_key_of_one_user_does_not_hurt_another(world):
    """Health is each scope's own; the circuit is the provider's."""
    breaker = CircuitBreaker()
    with FakeServer(key="a-good-key-0123456789") as api:
        client = api.client("openai/gpt-4o", api_key="a-good-key-0123456789", circuit_breaker=breaker)
        bad = client.with_options(api_key="a-bad-key-0123456789")
        for _ in range(3):
            with pytest.raises(AuthenticationError):
                world(bad, "chat", SUM)
        assert world(client, "chat", SUM).text == "2 + 3 = 5"
        assert bad.circuit == client.circuit
        assert bad._admission.breaker is client._admission.breaker


def test_a_scope_needs_one_credential():
    """Neither none nor two, nor a malformed one."""
    client = Client("openai/gpt-4o", api_key="sk-0123456789abcdef")
    for options in ({}, {"api_key": "a", "token": "b"}):
        with pytest.raises(ConfigError, match="one kind of credential"):
            client.with_options(**options)
    with pytest.raises(AuthError):
        client.with_options(token="two words")
    with pytest.raises(TypeError, match="with_options"):
        pickle.dumps(client.with_options(api_key="sk-of-a-user-0123456789"))
    assert "sk-of" not in repr(client.with_options(api_key="sk-of-a-user-0123456789"))


def test_many_scopes_at_once_do_not_mix(fake_server):
    """A hundred users in one event loop, each sees his own key."""
    client = fake_server.client("openai/gpt-4o")

    async def ask(number):
        key = f"key-of-user-number-{number:03}"
        await client.with_options(api_key=key).achat(f"I am {number}", extra_headers={"x-user": f"{number:03}"})

    async def main():
        await asyncio.gather(*(ask(number) for number in range(100)))
        await client.aclose()

    asyncio.run(main())
    for request in fake_server.requests:
        assert request.headers["authorization"].endswith(request.headers["x-user"])


def test_making_a_scope_costs_next_to_nothing():
    """A fraction of a millisecond; it is made for each request of a service."""
    client = Client("openai/gpt-4o", api_key="sk-0123456789abcdef")
    started = time.perf_counter()
    for _ in range(200):
        client.with_options(api_key="sk-of-a-user-0123456789")
    assert (time.perf_counter() - started) / 200 < 0.002


def test_an_expiring_token_is_renewed_between_calls(world):
    """Short-lived tokens, a stream of calls: all are answered."""
    with OAuthServer(token_lifetime=0.2) as server, FakeServer(key=server.accepts) as api:
        client = api.client("openai/gpt-4o", auth=logged_in(server, "openai"))
        for _ in range(12):
            assert world(client, "chat", SUM).text == "2 + 3 = 5"
            time.sleep(0.05)
        assert server.issued["refresh_token"] >= 4
        assert server.reuses == 0


# ------------------------------------------------------------------------------------------------ logins meanwhile


def test_a_new_login_reaches_a_client_that_has_called_already(world, server, api):
    """At once: the next call goes out with the new token, and after a logout none goes out."""
    authenticator = logged_in(server, "openai")
    client = api.client("openai/gpt-4o", auth=authenticator)
    world(client, "chat", SUM)
    authenticator.login(open_browser=server.browser, show=None)
    world(client, "chat", SUM)
    first, second = (request.headers["authorization"] for request in api.requests)
    assert first != second
    assert second == f"Bearer {authenticator.storage.retrieve_token('openai').access_token}"
    world(authenticator, "logout", revoke=False)
    with pytest.raises(AuthError, match="Not authenticated"):
        world(client, "chat", SUM)
    assert len(api.requests) == 2


def test_a_logout_is_not_undone_by_a_look_in_the_same_moment(server):
    """Somebody has read the token before it was deleted; what he read is of no use."""

    class Slow(MemoryTokenStorage):
        def delete_token(self, key):
            time.sleep(0.3)
            return super().delete_token(key)

        def retrieve_token(self, key):
            found = super().retrieve_token(key)
            time.sleep(0.1)
            return found

    authenticator = logged_in(server, "openai", storage=Slow())
    thread = threading.Thread(target=authenticator.logout, kwargs={"revoke": False})
    looks = [threading.Thread(target=authenticator.is_authenticated) for _ in range(4)]
    thread.start()
    for look in looks:
        time.sleep(0.06)
        look.start()
    for one in (thread, *looks):
        one.join()
    assert not authenticator.is_authenticated()
    with pytest.raises(AuthError, match="Not authenticated"):
        authenticator.get_token()


def test_impatient_callers_do_not_send_a_credential_to_rest(world):
    """Their own deadline was over; the refresh succeeded."""
    with OAuthServer() as server, FakeServer(key=server.accepts) as api:
        tokens = [logged_in(server, f"p{n}").storage.retrieve_token(f"p{n}") for n in range(2)]
        credentials = [
            OAuthCredentialSet(id=f"c{n}", access_token="old", refresh_token=token.refresh_token, expires_at=1.0)
            for n, token in enumerate(tokens)
        ]
        manager = OAuthKeyManager("openai", credentials, config=server.config())
        client = api.client("openai/gpt-4o", auth=manager)
        server.fault(0, grant="refresh_token", latency=0.4, times=2)
        with pytest.raises(AuthError, match="not refreshed in time"):
            world(client, "chat", SUM, total_timeout=0.15)
        time.sleep(0.6)
        assert world(client, "chat", SUM).text == "2 + 3 = 5"
        assert world(client, "chat", SUM).text == "2 + 3 = 5"
        assert {status.state for status in manager.status()} == {"healthy"}


def test_logins_elsewhere_open_a_client_again(world, server, api, tmp_path):
    """All credentials needed a login; one gets it, by another process."""
    storage = FileTokenStorage(tmp_path / "t.json")
    credentials = [OAuthCredentialSet(id=name) for name in "ab"]
    manager = OAuthKeyManager("openai", credentials, config=server.config(), storage=storage)
    client = api.client("openai/gpt-4o", auth=manager)
    for _ in range(2):
        with pytest.raises(AuthError):
            world(client, "chat", SUM)
    other = server.authenticator("openai", FileTokenStorage(tmp_path / "t.json"), storage_key="openai:b")
    other.login(open_browser=server.browser, show=None)
    assert world(client, "chat", SUM).text == "2 + 3 = 5"


def test_a_call_that_is_cancelled_while_its_token_is_renewed_does_not_count(server, api):
    """Only what was sent is a request of the credential: the refused one, and the one that came later."""
    client = api.client("openai/gpt-4o", auth=logged_in(server, "openai"))
    server.expire_access_tokens()
    server.fault(0, grant="refresh_token", latency=0.3)

    async def main():
        call = asyncio.create_task(client.achat(SUM))
        while not api.requests:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert client.keys.status()[0].requests == len(api.requests) == 1
        return await client.achat(SUM)

    assert asyncio.run(main()).text == "2 + 3 = 5"
    assert client.keys.status()[0].requests == len(api.requests) == 2
