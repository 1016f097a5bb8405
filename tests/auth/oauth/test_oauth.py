"""OAuth over real HTTP, in both worlds: log in, refresh, log out, and everything that may go wrong."""

import asyncio
import subprocess
import sys
import threading
import time
from urllib.parse import parse_qs, urlsplit

import pytest

from provider_kit import (
    AuthError,
    AuthErrorCode,
    Client,
    ConfigError,
    EncryptedTokenStorage,
    FileTokenStorage,
    MemoryTokenStorage,
    OAuthAuthenticator,
    OAuthConfig,
    OAuthToken,
    RefreshConfig,
    RefreshStrategy,
    ScriptedTransport,
    StateConfig,
    StorageError,
)
from provider_kit.testing import OAuthServer
from provider_kit.testing.fake_browser import FakeBrowser

CALLBACK = "https://app.example/callback"


def begin(world, authenticator, **options):
    """Begin a login and agree; the address the browser is sent back to."""
    url = world(authenticator, "start_oauth_flow", redirect_url=CALLBACK, **options)
    return FakeBrowser().location(url)


def logged_in(world, server, **options):
    authenticator = server.authenticator(**options)
    world(authenticator, "handle_callback", begin(world, authenticator))
    return authenticator


def due(world, server, storage):
    """One whose token is still good, and so near to its end that it is to be refreshed."""
    logged_in(world, server, storage=storage)
    token = storage.retrieve_token("acme")
    storage.store_token("acme", token.replace(obtained_at=time.time() - 3540, expires_at=time.time() + 60))
    return server.authenticator(storage=storage)


# ------------------------------------------------------------------------------------------------ in steps


def test_a_login_in_steps(world, server):
    """URL, callback, token; state and PKCE by themselves."""
    authenticator = server.authenticator()
    assert not world(authenticator, "is_authenticated")
    assert world(authenticator, "get_token_info") is None
    where = begin(world, authenticator, scopes=["one", "two"])
    query = parse_qs(urlsplit(where).query)
    info = world(authenticator, "handle_callback", query["code"][0], query["state"][0])
    assert (info.is_expired, info.scopes, info.can_refresh) == (False, ("one", "two"), True)
    assert 3590 < info.expires_in <= 3600
    assert world(authenticator, "is_authenticated")
    token = world(authenticator, "get_token")
    assert server.accepts(token)
    assert token not in repr(info) + repr(authenticator)


def test_the_whole_address_is_a_callback_too(world, server):
    """What a user copies from the browser."""
    authenticator = server.authenticator()
    assert world(authenticator, "handle_callback", begin(world, authenticator)).can_refresh


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda url: url.replace("state=", "state=x"), "forged"),
        (lambda url: url.partition("&state=")[0], "no state"),
        (lambda url: f"{CALLBACK}?error=access_denied&state=x", "declined"),
        (lambda url: f"{CALLBACK}?state=x", "no code"),
    ],
)
def test_a_bad_callback_is_refused_and_the_good_one_still_works(world, server, spoil, words):
    """oauth_flow_failed; the login that waits is not touched."""
    authenticator = server.authenticator()
    where = begin(world, authenticator)
    with pytest.raises(AuthError, match=words) as caught:
        world(authenticator, "handle_callback", spoil(where))
    assert caught.value.code == AuthErrorCode.OAUTH_FLOW_FAILED
    assert caught.value.provider == "acme"
    assert caught.value.hint
    assert server.token_requests == []
    assert world(authenticator, "handle_callback", where).can_refresh


def test_a_callback_works_once(world, server):
    """A second one is told from a forged one."""
    authenticator = server.authenticator()
    where = begin(world, authenticator)
    world(authenticator, "handle_callback", where)
    with pytest.raises(AuthError, match="used before"):
        world(authenticator, "handle_callback", where)
    assert world(authenticator, "is_authenticated")


def test_a_callback_of_another_login_is_refused(world, server):
    """Of another authenticator: its state is not ours."""
    one, other = server.authenticator(), server.authenticator()
    where = begin(world, other)
    with pytest.raises(AuthError, match="Invalid OAuth state"):
        world(one, "handle_callback", where)
    assert world(other, "handle_callback", where).can_refresh


def test_a_login_that_took_too_long_is_refused(world, server):
    """Ten minutes by default."""
    authenticator = server.authenticator(config=server.config(state=StateConfig(ttl=0.01)))
    where = begin(world, authenticator)
    time.sleep(0.02)
    with pytest.raises(AuthError, match="took too long"):
        world(authenticator, "handle_callback", where)


def test_a_code_of_another_server_is_not_shown_to_ours(world, server):
    """RFC 9207: the callback says who answered."""
    config = server.config(issuer=server.url)
    authenticator = server.authenticator(config=config)
    where = begin(world, authenticator).replace(urlsplit(server.url).netloc.replace(":", "%3A"), "evil.example")
    with pytest.raises(AuthError, match="another authorization server"):
        world(authenticator, "handle_callback", where)
    assert server.token_requests == []


def test_another_process_may_end_a_shared_login(world, server, tmp_path):
    """Begun logins stand in the storage then, and work once."""
    config = server.config(state=StateConfig(shared=True))
    first = server.authenticator(storage=FileTokenStorage(tmp_path / "t.json"), config=config)
    second = server.authenticator(storage=FileTokenStorage(tmp_path / "t.json"), config=config)
    where = begin(world, first)
    assert world(second, "handle_callback", where).can_refresh
    assert world(first, "get_token") == world(second, "get_token")
    with pytest.raises(AuthError):
        world(second, "handle_callback", where)
    third = begin(world, first)
    assert world(first, "handle_callback", third).can_refresh
    with pytest.raises(AuthError):
        world(second, "handle_callback", third)
    assert FileTokenStorage(tmp_path / "t.json").list_tokens() == ["acme"]


def test_a_flow_in_steps_needs_a_real_callback_address(world, server):
    """Port 0 is for login() only."""
    with pytest.raises(AuthError, match="no port"):
        world(server.authenticator(), "start_oauth_flow")


def test_the_issuer_tells_the_addresses(world, server):
    """RFC 8414, with Basic as the server says."""
    with OAuthServer(client_secret="s3cret") as secret_server:
        config = OAuthConfig(client_id="test-client", client_secret="s3cret", issuer=secret_server.url)
        authenticator = OAuthAuthenticator("acme", MemoryTokenStorage(), config)
        world(authenticator, "handle_callback", begin(world, authenticator))
        assert authenticator.config.token_url == f"{secret_server.url}/token"
        assert world(authenticator, "refresh_token").can_refresh


def test_an_issuer_without_a_document_is_told(world, fake_server):
    """invalid_config, with what to check."""
    config = OAuthConfig(client_id="c", issuer=fake_server.url)
    with pytest.raises(AuthError, match="no discovery document") as caught:
        world(OAuthAuthenticator("acme", MemoryTokenStorage(), config), "start_oauth_flow", redirect_url=CALLBACK)
    assert caught.value.code == AuthErrorCode.INVALID_CONFIG


# ------------------------------------------------------------------------------------------------ refresh


def test_a_token_is_refreshed_before_its_end(world):
    """Five minutes before, by itself; not earlier."""
    with OAuthServer(token_lifetime=1000) as server:
        authenticator = logged_in(world, server)
        first = world(authenticator, "get_token")
        assert world(authenticator, "get_token") == first
        authenticator.set_refresh_strategy(RefreshStrategy(buffer_time=450))
        assert world(authenticator, "get_token") == first
        authenticator.set_refresh_strategy(RefreshStrategy(buffer_time=10_000))  # half of its life at most
        assert world(authenticator, "get_token") == first
        assert server.issued == {"authorization_code": 1}
    with OAuthServer(token_lifetime=0.2) as server:
        authenticator = logged_in(world, server)
        first = world(authenticator, "get_token")
        time.sleep(0.11)
        assert world(authenticator, "get_token") != first
        assert server.issued == {"authorization_code": 1, "refresh_token": 1}


def test_a_refresh_may_be_forced(world, server):
    """The new token is stored before it is used."""
    storage = MemoryTokenStorage()
    authenticator = logged_in(world, server, storage=storage)
    before = storage.retrieve_token("acme")
    info = world(authenticator, "refresh_token")
    after = storage.retrieve_token("acme")
    assert info.can_refresh
    assert after.access_token != before.access_token
    assert after.refresh_token != before.refresh_token
    assert after.refreshing_since is None
    assert world(authenticator, "get_token") == after.access_token


def test_the_callback_gets_the_new_token(world, server):
    """Id, access token, refresh token, expiry; plain, or asynchronous under asyncio."""
    told = []
    plain = logged_in(world, server, on_token_refresh=lambda *arguments: told.append(arguments))
    world(plain, "refresh_token")
    token = plain.storage.retrieve_token("acme")
    assert told == [("acme", token.access_token, token.refresh_token, token.expires_at)]

    async def later(*arguments):
        told.append(arguments)

    asynchronous = logged_in(world, server, on_token_refresh=later)
    world(asynchronous, "refresh_token")
    assert len(told) == (2 if world.name == "asyncio" else 1)
    assert world(asynchronous, "is_authenticated")


def test_a_callback_that_fails_is_reported_and_the_token_kept(world, server, caplog):
    """Nothing is lost; nobody is logged out."""

    def fail(*arguments):
        raise RuntimeError("the database is away")

    authenticator = logged_in(world, server, on_token_refresh=fail)
    assert world(authenticator, "refresh_token").can_refresh
    assert server.accepts(world(authenticator, "get_token"))
    assert "on_token_refresh of acme failed (RuntimeError); the token is kept" in caplog.text


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"status": 503}, AuthErrorCode.PROVIDER_UNAVAILABLE),
        ({"status": 429}, AuthErrorCode.PROVIDER_UNAVAILABLE),
        ({"status": 500, "body": b"<html>oops"}, AuthErrorCode.PROVIDER_UNAVAILABLE),
        ({"reset": True}, AuthErrorCode.NETWORK_ERROR),
        ({"status": 200, "body": b"<!doctype html><title>Hotel WiFi</title>"}, AuthErrorCode.PROVIDER_UNAVAILABLE),
        ({"status": 200, "body": b'{"token_type": "Bearer"}'}, AuthErrorCode.REFRESH_FAILED),
        ({"status": 302, "headers": {"location": "https://evil.example/"}}, AuthErrorCode.INVALID_CONFIG),
    ],
)
def test_no_failure_of_network_or_server_ends_a_login(world, server, fault, code, monkeypatch):
    """It is told, retried where it may pass, and the next time all is well."""
    monkeypatch.setattr("provider_kit.auth.oauth.client._PAUSES", (0.0, 0.01))
    authenticator = logged_in(world, server)
    server.fault(**fault, times=2)
    with pytest.raises(AuthError) as caught:
        world(authenticator, "refresh_token")
    assert caught.value.code == code
    server._faults.clear()
    assert world(authenticator, "is_authenticated")
    assert world(authenticator, "refresh_token").can_refresh


def test_a_passing_failure_is_not_even_noticed(world, server, monkeypatch):
    """Three more tries within the same refresh."""
    monkeypatch.setattr("provider_kit.auth.oauth.client._PAUSES", (0.0, 0.01, 0.01, 0.01))
    authenticator = logged_in(world, server)
    server.fault(503, times=3)
    assert world(authenticator, "refresh_token").can_refresh
    assert server.issued["refresh_token"] == 1


def test_a_token_that_is_still_good_is_used_when_refreshing_fails(world, monkeypatch):
    """And no other refresh is tried for a second."""
    monkeypatch.setattr("provider_kit.auth.oauth.client._PAUSES", (0.0,))
    with OAuthServer() as server:
        storage = MemoryTokenStorage()
        authenticator = due(world, server, storage)
        first = storage.retrieve_token("acme").access_token
        server.fault(503, times=50)
        for _ in range(5):
            assert str(world(authenticator, "get_token")) == first
        assert len(server._faults) == 49


def test_an_expired_token_whose_refresh_fails_is_an_error_not_a_logout(world, monkeypatch):
    """provider_unavailable, retryable; afterwards it works."""
    monkeypatch.setattr("provider_kit.auth.oauth.client._PAUSES", (0.0,))
    monkeypatch.setattr("provider_kit.auth.oauth.token_state._FIRST_REST", 0.05)
    with OAuthServer(token_lifetime=0.1) as server:
        authenticator = logged_in(world, server)
        time.sleep(0.15)
        server.fault(503)
        for _ in range(2):  # the second time without asking the server again
            with pytest.raises(AuthError) as caught:
                world(authenticator, "get_token")
            assert caught.value.code == AuthErrorCode.PROVIDER_UNAVAILABLE
            assert caught.value.retryable
        time.sleep(0.06)
        assert server.accepts(world(authenticator, "get_token"))


def test_a_refresh_token_that_is_over_says_to_log_in(world, server):
    """refresh_failed, not retryable; the server is not asked with it again; a new login mends it."""
    authenticator = logged_in(world, server)
    server.revoke_all()
    for _ in range(3):
        with pytest.raises(AuthError) as caught:
            world(authenticator, "refresh_token")
        error = caught.value
        assert (error.code, error.retryable) == (AuthErrorCode.REFRESH_FAILED, False)
        assert "invalid_grant" in error.details
        assert "provider-kit auth login acme," in error.hint
    assert [request["grant_type"] for request in server.token_requests].count("refresh_token") == 1
    world(authenticator, "handle_callback", begin(world, authenticator))
    assert world(authenticator, "refresh_token").can_refresh


def test_a_login_in_another_process_is_noticed(world, server, tmp_path):
    """Before the old refresh token is shown again."""
    one = logged_in(world, server, storage=FileTokenStorage(tmp_path / "t.json"))
    other = server.authenticator(storage=FileTokenStorage(tmp_path / "t.json"))
    server.revoke_all()
    server.expire_access_tokens()
    refused = world(one, "get_token")
    with pytest.raises(AuthError):
        world(one, "renew_refused", refused)
    world(other, "handle_callback", begin(world, other))
    assert world(one, "renew_refused", refused) == world(other, "get_token")


def test_a_logout_in_another_process_is_noticed(world, server, tmp_path):
    """With the next look at the storage."""
    one = logged_in(world, server, storage=FileTokenStorage(tmp_path / "t.json"))
    other = server.authenticator(storage=FileTokenStorage(tmp_path / "t.json"))
    assert world(other, "logout")
    assert not world(one, "is_authenticated")
    with pytest.raises(AuthError, match="Not authenticated"):
        world(one, "get_token")


def test_without_a_refresh_token_the_end_is_the_end(world):
    """Or where refreshing is switched off; until then the token is used to its last second."""
    with OAuthServer(token_lifetime=0.3) as server:
        config = server.config(refresh=RefreshConfig(enabled=False))
        authenticator = logged_in(world, server, config=config)
        time.sleep(0.2)  # within the buffer
        assert server.accepts(world(authenticator, "get_token"))
        time.sleep(0.15)
        with pytest.raises(AuthError, match="Stored token expired") as caught:
            world(authenticator, "get_token")
        assert caught.value.code == AuthErrorCode.TOKEN_EXPIRED
        assert "switched off" in caught.value.message
        assert "auth login acme" in caught.value.hint


def test_a_token_without_an_end_is_used_until_it_is_refused(world):
    """expires_in is only recommended."""
    with OAuthServer(token_lifetime=None) as server:
        authenticator = logged_in(world, server)
        info = world(authenticator, "get_token_info")
        assert (info.expires_at, info.expires_in, info.is_expired) == (None, None, False)
        first = world(authenticator, "get_token")
        assert world(authenticator, "renew_refused", first) != first


def test_a_server_that_keeps_its_refresh_token(world):
    """No rotation: the old one stays."""
    with OAuthServer(rotate=False) as server:
        authenticator = logged_in(world, server)
        kept = authenticator.storage.retrieve_token("acme").refresh_token
        world(authenticator, "refresh_token")
        world(authenticator, "refresh_token")
        assert authenticator.storage.retrieve_token("acme").refresh_token == kept


def test_a_token_of_a_clock_that_was_wrong_does_not_live_for_ever(world, server):
    """Stored by a machine whose clock was a day ahead: it lives no longer than it was given to live."""
    now = time.time()
    storage = MemoryTokenStorage()
    ahead = OAuthToken(access_token="x", refresh_token="r", obtained_at=now + 86400, expires_at=now + 86400 + 600)
    storage.store_token("acme", ahead)
    info = world(server.authenticator(storage=storage), "get_token_info")
    assert info.expires_in == pytest.approx(600)


def test_nobody_logged_in_is_told(world, server):
    """token_expired, "Not authenticated", and how to log in."""
    for ask in ("get_token", "refresh_token"):
        with pytest.raises(AuthError, match="Not authenticated") as caught:
            world(server.authenticator(), ask)
        assert caught.value.code == AuthErrorCode.TOKEN_EXPIRED
        assert not caught.value.retryable
        assert caught.value.hint == "Log in: provider-kit auth login acme, or login()."


# ------------------------------------------------------------------------------------------------ logout


def test_logging_out_forgets_and_revokes(world, server):
    """Here and at the server."""
    authenticator = logged_in(world, server)
    token = world(authenticator, "get_token")
    assert world(authenticator, "logout")
    assert not server.accepts(token)
    assert authenticator.storage.list_tokens() == []
    assert not world(authenticator, "is_authenticated")
    assert not world(authenticator, "logout")


def test_logging_out_works_where_nothing_can_be_revoked(world, server):
    """Or where that is not wanted."""
    authenticator = logged_in(world, server, config=server.config(revoke_url=None))
    assert world(authenticator, "logout")
    other = logged_in(world, server)
    token = world(other, "get_token")
    assert world(other, "logout", revoke=False)
    assert server.accepts(token)


def test_a_server_that_is_away_does_not_keep_anybody_logged_in(world, server):
    """Forgotten here; told that the server does not know."""
    authenticator = logged_in(world, server, config=server.config(revoke_url="http://127.0.0.1:9/revoke"))
    with pytest.raises(AuthError) as caught:
        world(authenticator, "logout")
    assert caught.value.code == AuthErrorCode.NETWORK_ERROR
    assert "deleted here" in caught.value.hint
    assert authenticator.storage.list_tokens() == []


# ------------------------------------------------------------------------------------------------ storage


class FullDisk(MemoryTokenStorage):
    """A storage whose disk can be full."""

    full = False

    def store_token(self, key, token):
        if self.full:
            raise StorageError("the disk is full")
        super().store_token(key, token)


def test_a_storage_that_cannot_be_written_spends_no_refresh_token(world, server):
    """It is found out before the server is asked; the old token stays good."""

    storage = FullDisk()
    authenticator = logged_in(world, server, storage=storage)
    storage.full = True
    with pytest.raises(StorageError, match="disk is full"):
        world(authenticator, "refresh_token")
    assert server.issued == {"authorization_code": 1}
    assert server.accepts(world(authenticator, "get_token"))
    storage.full = False
    assert world(authenticator, "refresh_token").can_refresh


def test_a_token_that_could_not_be_stored_is_kept_and_stored_later(world, server, caplog):
    """The disk filled up in just that moment."""

    class FullOnce(MemoryTokenStorage):
        writes = 0

        def store_token(self, key, token):
            self.writes += 1
            if self.writes == 3:  # the login, the mark, the new token
                raise StorageError("the disk is full")
            super().store_token(key, token)

    storage = FullOnce()
    authenticator = logged_in(world, server, storage=storage)
    first = storage.retrieve_token("acme").access_token
    assert world(authenticator, "refresh_token").can_refresh
    assert "could not be stored (the disk is full); it is kept in memory" in caplog.text
    assert storage.retrieve_token("acme").access_token == first
    new = world(authenticator, "get_token")
    assert server.accepts(new)
    assert world(authenticator, "renew_refused", new) != new  # looks at the storage, and stores what it had
    assert server.issued == {"authorization_code": 1, "refresh_token": 2}
    assert server.reuses == 0
    assert storage.retrieve_token("acme").refreshing_since is None


def test_a_storage_of_yours_may_be_plain_or_asynchronous(world, server):
    """Four methods are enough."""

    class Table:
        def __init__(self):
            self.rows = {}

        def store_token(self, key, token):
            self.rows[key] = token

        def retrieve_token(self, key):
            return self.rows.get(key)

        def delete_token(self, key):
            return self.rows.pop(key, None) is not None

        def list_tokens(self):
            return list(self.rows)

    class Later(Table):
        async def store_token(self, key, token):
            await asyncio.sleep(0)
            self.rows[key] = token

        async def retrieve_token(self, key):
            await asyncio.sleep(0)
            return self.rows.get(key)

    assert logged_in(world, server, storage=Table()).storage.list_tokens() == ["acme"]
    if world.name == "asyncio":
        authenticator = logged_in(world, server, storage=Later())
        assert world(authenticator, "refresh_token").can_refresh
    else:
        with pytest.raises(AuthError, match="asynchronous, the call is not") as caught:
            world(server.authenticator(storage=Later()), "get_token")
        assert "asyncio method" in caught.value.hint


@pytest.mark.parametrize("method", ["retrieve_token", "store_token", "delete_token"])
def test_a_storage_of_yours_that_fails_is_told(world, server, method):
    """storage_error, with its own exception as the cause."""

    class Broken(MemoryTokenStorage):
        broken = False

    def fail(self, *arguments):
        raise ValueError("the database is away")

    storage = Broken()
    authenticator = logged_in(world, server, storage=storage)
    setattr(Broken, method, fail)
    with pytest.raises(StorageError, match="The token storage failed: ValueError") as caught:
        world(authenticator, "logout" if method == "delete_token" else "refresh_token")
    assert isinstance(caught.value.__cause__, ValueError)
    assert caught.value.provider == "acme"


def test_what_is_no_storage_is_refused(server):
    """At once, with an example."""
    for wrong in ("tokens.json", object(), MemoryTokenStorage):
        with pytest.raises(ConfigError, match="TokenStorage"):
            OAuthAuthenticator("acme", wrong, server.config())
    with pytest.raises(ConfigError, match="OAuthConfig"):
        OAuthAuthenticator("acme", MemoryTokenStorage(), {"client_id": "c"})


# ------------------------------------------------------------------------------------------------ one refresh for all


def test_fifty_threads_refresh_once(server):
    """The others wait and use the same token."""
    authenticator = logged_in_blocking(server)
    server.fault(0, grant="refresh_token", latency=0.2)
    first = authenticator.get_token()
    found = []
    threads = [threading.Thread(target=lambda: found.append(authenticator.renew_refused(first))) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found) == 50
    assert server.issued["refresh_token"] == 1


def logged_in_blocking(server, **options):
    authenticator = server.authenticator(**options)
    authenticator.login(open_browser=server.browser, show=None)
    return authenticator


def test_fifty_tasks_refresh_once(server):
    """In one event loop."""
    authenticator = logged_in_blocking(server)
    server.fault(0, grant="refresh_token", latency=0.2)

    async def main():
        first = await authenticator.aget_token()
        return await asyncio.gather(*(authenticator.arenew_refused(first) for _ in range(50)))

    assert len(set(asyncio.run(main()))) == 1
    assert server.issued["refresh_token"] == 1


def test_threads_and_event_loops_together_refresh_once(server):
    """Four loops in four threads, and ten threads beside them, on one object."""
    authenticator = logged_in_blocking(server)
    first = authenticator.get_token()
    server.fault(0, grant="refresh_token", latency=0.3)
    found = []

    async def several():
        found.extend(await asyncio.gather(*(authenticator.arenew_refused(first) for _ in range(5))))

    threads = [threading.Thread(target=lambda: asyncio.run(several())) for _ in range(4)]
    threads += [threading.Thread(target=lambda: found.append(authenticator.renew_refused(first))) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 30
    assert len(set(found)) == 1
    assert server.issued["refresh_token"] == 1


def test_a_failure_is_shared_too(server, monkeypatch):
    """Nobody asks the server again for what it has just refused; each gets an error of its own."""
    monkeypatch.setattr("provider_kit.auth.oauth.client._PAUSES", (0.0,))
    authenticator = logged_in_blocking(server)
    first = authenticator.get_token()
    server.fault(503, grant="refresh_token", latency=0.2, times=100)

    async def main():
        return await asyncio.gather(*(authenticator.arenew_refused(first) for _ in range(20)), return_exceptions=True)

    errors = asyncio.run(main())
    assert {error.code for error in errors} == {AuthErrorCode.PROVIDER_UNAVAILABLE}
    assert len({id(error) for error in errors}) == 20
    assert len(server._faults) == 99


def test_a_cancelled_refresh_goes_on_for_the_others(server):
    """And the new token is not lost."""
    authenticator = logged_in_blocking(server)
    first = authenticator.get_token()
    server.fault(0, grant="refresh_token", latency=0.2)

    async def main():
        leader = asyncio.ensure_future(authenticator.arenew_refused(first))
        await asyncio.sleep(0.05)
        follower = asyncio.ensure_future(authenticator.arenew_refused(first))
        await asyncio.sleep(0.05)
        leader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leader
        return await follower

    token = asyncio.run(main())
    assert token != first
    assert server.issued["refresh_token"] == 1
    assert authenticator.storage.retrieve_token("acme").access_token == token


def test_a_loop_that_ends_in_the_middle_leaves_nobody_waiting(server):
    """The refresh dies with its loop; another thread that waits for it takes over."""
    authenticator = logged_in_blocking(server)
    first = authenticator.get_token()
    server.fault(0, grant="refresh_token", latency=0.5)
    server.reuse_grace = 10.0
    found = []

    async def begin_and_go():
        begun = asyncio.ensure_future(authenticator.arenew_refused(first))
        await asyncio.sleep(0.1)
        assert not begun.done()

    def wait():
        time.sleep(0.05)
        found.append(authenticator.renew_refused(first))

    thread = threading.Thread(target=wait)
    thread.start()
    asyncio.run(begin_and_go())
    thread.join(10)
    assert len(found) == 1
    assert server.accepts(found[0])


def test_a_slow_refresh_holds_nobody_beyond_his_deadline_and_loses_nothing(world):
    """total_timeout counts for the refresh too; the refresh continues to its end, and its token is stored."""
    with OAuthServer(token_lifetime=0.3) as server:
        authenticator = logged_in(world, server)
        spend = server._by_refresh
        server._by_refresh = lambda form: (time.sleep(1.0), spend(form))[1]  # rotated, but answered late
        client = Client("http://127.0.0.1:9/v1", model="m", auth=authenticator)
        time.sleep(0.35)
        took = []

        async def later():
            started = time.monotonic()
            with pytest.raises(AuthError) as caught:
                await client.achat("Hello", total_timeout=0.4)
            took.append(time.monotonic() - started)
            return caught.value

        if world.name == "asyncio":
            error = asyncio.run(later())  # waits for the refresh before the loop ends
        else:
            started = time.monotonic()
            with pytest.raises(AuthError) as caught:
                client.chat("Hello", total_timeout=0.4)
            took.append(time.monotonic() - started)
            error = caught.value
            time.sleep(1.0)
        assert 0.3 < took[0] < 0.9
        assert (error.code, error.retryable) == (AuthErrorCode.NETWORK_ERROR, True)
        server._by_refresh = spend
        assert world(authenticator, "refresh_token").can_refresh
        assert (server.reuses, server.live_logins) == (0, 1)


@pytest.mark.filterwarnings("ignore::provider_kit.BlockingCallWarning")
def test_a_blocking_call_in_the_way_of_its_own_loop_is_told(server):
    """Instead of holding up the loop for a minute."""
    authenticator = logged_in_blocking(server)
    first = authenticator.get_token()
    server.fault(0, grant="refresh_token", latency=0.3)

    async def main():
        refresh = asyncio.ensure_future(authenticator.arenew_refused(first))
        await asyncio.sleep(0.1)
        with pytest.raises(AuthError, match="blocks the event loop") as caught:
            authenticator.renew_refused(first)
        assert "asyncio method" in caught.value.hint
        return await refresh

    assert asyncio.run(main()) != first


def test_closing_waits_for_a_refresh(server):
    """What was begun is finished: its token must not be lost."""
    authenticator = logged_in_blocking(server)
    server.fault(0, grant="refresh_token", latency=0.3)

    async def main():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(authenticator.arefresh_token(), 0.1)
        await authenticator.aclose()

    asyncio.run(main())
    assert authenticator.refresh_token().can_refresh
    assert server.reuses == 0


def test_a_loop_that_is_closed_in_the_middle_blocks_nobody(tmp_path):
    """As wrappers around run_until_complete do it: the credential and the lock of the file are free again.

    In a process of its own, for Python complains of the task that is lost with its loop.
    """
    code = """
import asyncio, sys, time
from provider_kit import FileTokenStorage
from provider_kit.testing import OAuthServer
with OAuthServer(reuse_grace=10.0) as server:
    authenticator = server.authenticator("acme", FileTokenStorage(sys.argv[1]))
    authenticator.login(open_browser=server.browser, show=None)
    server.fault(0, grant="refresh_token", latency=1.0)
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(asyncio.wait_for(authenticator.arefresh_token(), 0.2))
    except TimeoutError:
        pass
    loop.close()
    started = time.monotonic()
    assert authenticator.refresh_token().can_refresh
    assert server.authenticator("acme", FileTokenStorage(sys.argv[1])).refresh_token().can_refresh
    print(time.monotonic() - started < 3)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "t.json")], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.split() == ["True"], done.stderr


@pytest.mark.parametrize("end", ["closed", "cancelled"])
def test_a_thread_that_is_left_acquiring_the_lock_gives_it_back(tmp_path, end):
    """Its task is lost with its loop, or cancelled at the end of asyncio.run; the next refresh waits for nobody."""
    code = """
import asyncio, sys, threading, time
from provider_kit import FileTokenStorage
from provider_kit.testing import OAuthServer

begun, go_on = threading.Event(), threading.Event()

class SlowLock:
    def __init__(self, lock):
        self.lock, self.release = lock, lock.release

    def acquire(self):
        begun.set()
        assert go_on.wait(20)
        return self.lock.acquire()

class SlowLocks(FileTokenStorage):
    made = []  # not even the garbage collector releases them

    def lock(self, key):
        self.made.append(SlowLock(super().lock(key)))
        return self.made[-1]

async def leave():
    task = asyncio.create_task(authenticator.arefresh_token())
    assert await asyncio.to_thread(begun.wait, 20)
    if sys.argv[2] == "cancelled":  # asyncio.run cancels the tasks before it waits for the threads
        asyncio.get_running_loop().call_later(0.2, go_on.set)
    return task

with OAuthServer(reuse_grace=10.0) as server:
    authenticator = server.authenticator("acme", SlowLocks(sys.argv[1]))
    go_on.set()
    authenticator.login(open_browser=server.browser, show=None)
    begun.clear()
    go_on.clear()
    if sys.argv[2] == "cancelled":
        asyncio.run(leave())
    else:
        loop = asyncio.new_event_loop()
        left = loop.run_until_complete(leave())
        loop.close()
    go_on.set()
    started = time.monotonic()
    assert server.authenticator("acme", FileTokenStorage(sys.argv[1])).refresh_token().can_refresh
    assert authenticator.refresh_token().can_refresh
    print(time.monotonic() - started < 10)
"""
    call = [sys.executable, "-c", code, str(tmp_path / "t.json"), end]
    done = subprocess.run(call, capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout.split() == ["True"], done.stderr


def test_a_logout_during_a_refresh_stays_one(world, server, tmp_path):
    """The token that arrives afterwards is not stored; here, and by another process."""
    for elsewhere in (False, True):
        storage = FileTokenStorage(tmp_path / f"{elsewhere}.json")
        authenticator = logged_in(world, server, storage=storage)
        server.fault(0, grant="refresh_token", latency=0.4)
        failed = []

        def refresh(authenticator=authenticator, failed=failed):
            try:
                authenticator.refresh_token()
            except AuthError as error:
                failed.append(error)

        thread = threading.Thread(target=refresh)
        thread.start()
        time.sleep(0.15)
        if elsewhere:
            storage.delete_token("acme")
        else:
            authenticator._refresher._state.generation += 1
            storage.delete_token("acme")
        thread.join()
        assert storage.list_tokens() == []
        assert not world(authenticator, "is_authenticated")


def test_a_login_elsewhere_during_a_refresh_is_not_overwritten(world, server, tmp_path):
    """The new account stays."""
    storage = FileTokenStorage(tmp_path / "t.json")
    authenticator = logged_in(world, server, storage=storage)
    server.fault(0, grant="refresh_token", latency=0.4)
    thread = threading.Thread(target=authenticator.refresh_token)
    thread.start()
    time.sleep(0.15)
    new = OAuthToken(access_token="of-another-account", refresh_token="r", expires_at=time.time() + 3600)
    storage.store_token("acme", new)
    thread.join()
    assert storage.retrieve_token("acme") == new
    assert world(authenticator, "get_token") == "of-another-account"


def test_looking_does_not_lose_a_token_that_could_not_be_stored(world, server):
    """is_authenticated() and the like keep the newer one, and store it when they can."""

    class Full(MemoryTokenStorage):
        writes = 0
        full_at = ()

        def store_token(self, key, token):
            self.writes += 1
            if self.writes in self.full_at:
                raise StorageError("the disk is full")
            super().store_token(key, token)

    storage = Full()
    storage.full_at = (3, 4)
    authenticator = logged_in(world, server, storage=storage)
    world(authenticator, "refresh_token")
    new = world(authenticator, "get_token")
    assert world(authenticator, "is_authenticated")
    assert world(authenticator, "get_token") == new
    assert world(authenticator, "get_token_info").can_refresh
    assert storage.retrieve_token("acme").access_token == new
    assert world(authenticator, "refresh_token").can_refresh
    assert server.reuses == 0


def test_whose_token_is_good_does_not_wait_for_another_process(world, server, tmp_path):
    """The lock is tried once; the present token serves."""
    with OAuthServer(token_lifetime=4.0) as short:
        authenticator = logged_in(world, short, storage=FileTokenStorage(tmp_path / "t.json"))
        lock = FileTokenStorage(tmp_path / "t.json").lock("acme")
        time.sleep(2.05)
        assert lock.acquire()
        started = time.monotonic()
        assert short.accepts(world(authenticator, "get_token"))
        assert time.monotonic() - started < 1
        lock.release()
        assert short.issued == {"authorization_code": 1}


def test_a_new_process_with_a_good_token_does_not_wait_either(world, server, tmp_path):
    """It reads the token first, and finds that it serves."""
    storage = FileTokenStorage(tmp_path / "t.json")
    authenticator = due(world, server, storage)
    lock = FileTokenStorage(tmp_path / "t.json").lock("acme")
    assert lock.acquire()
    started = time.monotonic()
    assert server.accepts(world(authenticator, "get_token"))
    assert time.monotonic() - started < 10
    lock.release()
    assert server.issued == {"authorization_code": 1}


def test_a_lost_key_does_not_keep_anybody_logged_in(world, server):
    """What cannot be decrypted can be deleted."""
    inner = MemoryTokenStorage()
    logged_in(world, server, storage=EncryptedTokenStorage(inner, passphrase="right"))
    authenticator = server.authenticator(storage=EncryptedTokenStorage(inner, passphrase="wrong"))
    assert world(authenticator, "logout")
    assert inner.list_tokens() == []


def test_the_exchanges_have_connections_of_their_own(world, server):
    """Not the client's, whose certificates may not even be checked."""
    authenticator = logged_in(world, server)
    answer = {"json": {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}}
    transport = ScriptedTransport([{"status": 401, "json": {}}, answer])
    client = Client("openai/gpt-4o", auth=authenticator, transport=transport)
    assert client.chat("Hello").text == "Hi"
    assert {request.url for request in transport.requests} == {"https://api.openai.com/v1/chat/completions"}
    assert server.issued["refresh_token"] == 1


def test_a_program_that_ends_waits_for_its_refresh(tmp_path):
    """The call gave up, the script ends; the token that comes later is stored all the same."""
    code = """
import sys, time
from provider_kit import AuthError, Client, FileTokenStorage, OAuthAuthenticator, OAuthConfig
config = OAuthConfig(client_id="test-client", token_url=sys.argv[2])
authenticator = OAuthAuthenticator("acme", FileTokenStorage(sys.argv[1]), config)
try:
    Client("http://127.0.0.1:9/v1", model="m", auth=authenticator).chat("Hello", total_timeout=0.3)
except AuthError as error:
    print(error.code)
"""
    with OAuthServer() as server:
        storage = FileTokenStorage(tmp_path / "t.json")
        server.authenticator(storage=storage).login(open_browser=server.browser, show=None)
        storage.store_token("acme", storage.retrieve_token("acme").replace(expires_at=1.0))
        spend = server._by_refresh
        server._by_refresh = lambda form: (time.sleep(1.0), spend(form))[1]
        command = [sys.executable, "-X", "dev", "-W", "error", "-c", code, storage.path, f"{server.url}/token"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout) == (0, "network_error\n"), done.stderr
        assert done.stderr == ""
        assert storage.retrieve_token("acme").refreshing_since is None
        server._by_refresh = spend
        assert server.authenticator(storage=storage).refresh_token().can_refresh
        assert server.reuses == 0


def test_the_end_of_a_loop_waits_only_where_something_could_be_lost(server, tmp_path):
    """Not for the lock of another process."""
    storage = FileTokenStorage(tmp_path / "t.json")
    authenticator = logged_in_blocking(server, storage=storage)
    lock = storage.lock("acme")
    assert lock.acquire()

    async def main():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(authenticator.arefresh_token(), 0.2)

    started = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - started < 2
    lock.release()
    assert authenticator.refresh_token().can_refresh


def test_a_shutdown_that_cancels_every_task_leaves_nobody_waiting(server):
    """Before the refresh has begun, or in the middle of it."""
    for pause in (0.0, 0.1):
        authenticator = logged_in_blocking(server)
        first = authenticator.get_token()
        server.reuse_grace = 10.0
        server.fault(0, grant="refresh_token", latency=0.3)

        async def main(authenticator=authenticator, first=first, pause=pause):
            waiting = asyncio.ensure_future(authenticator.arenew_refused(first))
            await asyncio.sleep(pause)
            await asyncio.sleep(0)
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            await asyncio.gather(waiting, return_exceptions=True)

        asyncio.run(main())
        server._faults.clear()
        started = time.monotonic()
        assert authenticator.renew_refused(first) != first
        assert time.monotonic() - started < 3


def test_a_lock_that_cannot_be_given_back_fails_no_refresh(world, server, caplog):
    """What was done under it is done; the callback is called."""
    told = []

    class Blip(MemoryTokenStorage):
        class Lock:
            def acquire(self):
                return True

            def release(self):
                raise ConnectionError("the connection blinked")

        def lock(self, key):
            return self.Lock()

    authenticator = logged_in(world, server, storage=Blip(), on_token_refresh=lambda *args: told.append(args))
    assert world(authenticator, "refresh_token").can_refresh
    assert len(told) == 1
    assert "a lock could not be released" in caplog.text


def test_callbacks_come_in_the_order_of_the_tokens(server):
    """A slow one is waited for before the next refresh."""
    told = []

    def slow(id, access, refresh, expires):
        time.sleep(0.3 if not told else 0.0)
        told.append(refresh)

    authenticator = logged_in_blocking(server, on_token_refresh=slow)
    threads = [threading.Thread(target=authenticator.refresh_token) for _ in range(2)]
    threads[0].start()
    time.sleep(0.1)
    threads[1].start()
    for thread in threads:
        thread.join()
    authenticator.refresh_token()
    assert told[-1] == authenticator.storage.retrieve_token("acme").refresh_token
    assert server.reuses == 0


def test_who_finds_the_lock_taken_is_no_failure(world, tmp_path, caplog):
    """The token is good; another process renews it. Nothing is counted, nobody is warned."""
    with OAuthServer(token_lifetime=4.0) as server:
        storage = FileTokenStorage(tmp_path / "t.json")
        authenticator = logged_in(world, server, storage=storage)
        time.sleep(2.05)
        lock = storage.lock("acme")
        assert lock.acquire()
        caplog.clear()
        assert server.accepts(world(authenticator, "get_token"))
        lock.release()
        assert authenticator._refresher.metrics.refresh_failures == 0
        assert "WARNING" not in [record.levelname for record in caplog.records]


def test_a_configured_token_survives_a_full_disk(world, server):
    """And is stored once there is room."""
    from provider_kit import OAuthCredentialSet, OAuthKeyManager

    login = logged_in(world, server)
    token = login.storage.retrieve_token("acme")
    storage = FullDisk()
    storage.full = True
    given = OAuthCredentialSet(
        id="a", access_token=token.access_token, refresh_token=token.refresh_token, expires_at=token.expires_at
    )
    manager = OAuthKeyManager("acme", [given], config=server.config(), storage=storage)
    for _ in range(3):
        assert world(manager, "execute_with_failover", lambda token: str(token)) == token.access_token
    assert isinstance(world(manager, "refresh_all")["a"], StorageError)
    storage.full = False
    assert world(manager, "refresh_all") == {"a": None}
    assert storage.list_tokens() == ["acme:a"]
    storage.delete_token("acme:a")  # logged out elsewhere: the configured token is spent, and not shown again
    found = world(manager, "refresh_all")["a"]
    assert "Not authenticated" in found.message
    assert server.reuses == 0
