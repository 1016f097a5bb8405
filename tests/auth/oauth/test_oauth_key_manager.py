"""Several OAuth credentials: failover, refresh, rotation, metrics, warnings."""

import asyncio
import json
import logging
import threading
import time

import pytest

from provider_kit import (
    AllKeysExhaustedError,
    AuthenticationError,
    AuthError,
    AuthErrorCode,
    ConfigError,
    FileTokenStorage,
    MemoryTokenStorage,
    MonitoringConfig,
    OAuthCredentialSet,
    OAuthKeyManager,
    OAuthToken,
    RateLimitError,
    RefreshStrategy,
    RotationPolicy,
    ScriptedTransport,
)
from provider_kit.testing.http_server import LoopbackServer, Outgoing
from provider_kit.transports.drive import run_to_completion


def credential(server, name, **changes):
    """A credential with a real login behind it."""
    authenticator = server.authenticator(name)
    authenticator.login(open_browser=server.browser, show=None)
    token = authenticator.storage.retrieve_token(name)
    known = {
        "client_id": server.client_id,
        "access_token": token.access_token,
        "refresh_token": token.refresh_token,
        "expires_at": token.expires_at,
    }
    return OAuthCredentialSet(id=name, **{**known, **changes})


def guard(server):
    """A function of the user's that only takes good tokens."""

    def ask(token):
        if not server.accepts(token):
            raise AuthenticationError("no", status_code=401)
        return token

    return ask


def run(world, manager, function):
    return world(manager, "execute_with_failover", function)


def test_credentials_take_turns(world, server):
    """Each call the next one; a plain or an asynchronous function."""
    manager = OAuthKeyManager("acme", [credential(server, name) for name in "abc"], config=server.config())
    tokens = [run(world, manager, guard(server)) for _ in range(6)]
    assert len(set(tokens)) == 3
    assert tokens[:3] == tokens[3:]
    if world.name == "asyncio":

        async def later(token):
            await asyncio.sleep(0)
            return token

        assert run(world, manager, later) in tokens


def test_a_token_that_is_refused_is_refreshed_before_another_credential_is_used(world, server):
    """With its callback told."""
    told = []
    first = credential(server, "a", on_token_refresh=lambda *args: told.append(args))
    manager = OAuthKeyManager("acme", [first, credential(server, "b")], config=server.config())
    server.expire_access_tokens()
    new = run(world, manager, guard(server))
    assert server.accepts(new)
    assert [(args[0], args[1]) for args in told] == [("a", new)]
    assert server.issued["refresh_token"] == 1


def test_an_expired_credential_is_refreshed_before_it_is_used(world, server):
    """The API never sees the old token."""
    seen = []
    manager = OAuthKeyManager("acme", [credential(server, "a", expires_at=time.time() + 10)], config=server.config())
    run(world, manager, lambda token: seen.append(token))
    assert server.issued["refresh_token"] == 1
    assert server.accepts(seen[0])


def test_a_credential_may_have_a_refresh_token_only(world, server):
    """As a configuration file holds it."""
    manager = OAuthKeyManager(
        "acme", [credential(server, "a", access_token=None, expires_at=None)], config=server.config()
    )
    assert server.accepts(run(world, manager, guard(server)))


def test_the_next_credential_takes_over(world, server):
    """Where one cannot be refreshed, is forbidden, or too fast."""
    bad = OAuthCredentialSet(id="bad", access_token="old", refresh_token="revoked", expires_at=1.0)
    manager = OAuthKeyManager("acme", [bad, credential(server, "good")], config=server.config())
    assert server.accepts(run(world, manager, guard(server)))
    assert {one.id: one.state for one in manager.status()}["bad"] == "dead"

    calls = []

    def limited(token):
        calls.append(token)
        if len(calls) == 1:
            raise RateLimitError("slow down", status_code=429, retry_after=60)
        return token

    other = OAuthKeyManager("acme", [credential(server, name) for name in "xy"], config=server.config())
    run(world, other, limited)
    assert len(set(calls)) == 2
    assert {one.state for one in other.status()} == {"cooling", "healthy"}
    assert other.is_healthy()


def test_a_failure_that_is_not_the_credentials_is_raised(world, server):
    """Another one would not help."""
    from provider_kit import BadRequestError

    manager = OAuthKeyManager("acme", [credential(server, name) for name in "ab"], config=server.config())
    calls = []

    def fail(token):
        calls.append(token)
        raise BadRequestError("wrong", status_code=400)

    with pytest.raises(BadRequestError):
        run(world, manager, fail)
    assert len(calls) == 1


def test_no_credential_left_has_the_last_failure_as_its_cause(world, server):
    """all_keys_exhausted; of a single credential its own error."""
    bad = [OAuthCredentialSet(id=name, access_token="old", refresh_token="no", expires_at=1.0) for name in "abc"]
    with pytest.raises(AllKeysExhaustedError, match="All 3 failover attempts failed") as caught:
        run(world, OAuthKeyManager("acme", bad, config=server.config()), guard(server))
    assert caught.value.__cause__.code == AuthErrorCode.REFRESH_FAILED
    with pytest.raises(AuthError) as caught:
        run(world, OAuthKeyManager("acme", bad[:1], config=server.config()), guard(server))
    assert caught.value.code == AuthErrorCode.REFRESH_FAILED


def test_a_function_of_yours_may_refresh(world, server):
    """From the old token to a new one, or a dict; plain, or asynchronous under asyncio."""
    seen = []

    def refresh(token):
        seen.append(token.refresh_token)
        return {"access_token": "made-by-me-0123", "refresh_token": "r2", "expires_in": 3600}

    async def refresh_later(token):
        await asyncio.sleep(0)
        return OAuthToken(access_token="made-later-0123", refresh_token="r3", expires_at=time.time() + 3600)

    old = OAuthCredentialSet(id="a", access_token="old", refresh_token="r1", expires_at=1.0)
    manager = OAuthKeyManager("acme", [old], refresh)
    assert run(world, manager, lambda token: str(token)) == "made-by-me-0123"
    assert run(world, manager, lambda token: str(token)) == "made-by-me-0123"
    assert seen == ["r1"]
    if world.name == "asyncio":
        assert run(world, OAuthKeyManager("acme", [old], refresh_later), lambda t: str(t)) == "made-later-0123"


@pytest.mark.parametrize("result", [None, 5, {}, {"access_token": ""}, {"access_token": 3}])
def test_a_refresh_function_that_returns_nonsense_is_told(world, result):
    """refresh_failed."""
    old = OAuthCredentialSet(id="a", access_token="old", refresh_token="r1", expires_at=1.0)
    with pytest.raises(AuthError, match="refresh function returned") as caught:
        run(world, OAuthKeyManager("acme", [old], lambda token: result), lambda token: token)
    assert caught.value.code == AuthErrorCode.REFRESH_FAILED


def test_a_refresh_function_that_fails_is_told(world):
    """With its exception as the cause."""

    def fail(token):
        raise KeyError("x")

    old = OAuthCredentialSet(id="a", access_token="old", refresh_token="r1", expires_at=1.0)
    with pytest.raises(AuthError, match="could not be refreshed: KeyError") as caught:
        run(world, OAuthKeyManager("acme", [old], fail), lambda token: token)
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_storage_keeps_what_became_of_the_tokens(world, server, tmp_path):
    """The configuration says how it began; after a restart the storage goes first."""
    storage = FileTokenStorage(tmp_path / "t.json")
    given = credential(server, "a")
    first = OAuthKeyManager("acme", [given], config=server.config(), storage=storage)
    first.refresh_all()
    assert storage.list_tokens() == ["acme:a"]
    again = OAuthKeyManager("acme", [given], config=server.config(), storage=storage)
    assert run(world, again, guard(server)) == storage.retrieve_token("acme:a").access_token
    assert server.reuses == 0
    assert server.issued["refresh_token"] == 1


def test_a_new_token_in_the_configuration_counts_when_the_stored_one_is_over(world, server, tmp_path):
    """The operator has logged in anew and changed the configuration; the storage still has the old login."""
    storage = FileTokenStorage(tmp_path / "t.json")
    old = credential(server, "a")
    OAuthKeyManager("acme", [old], config=server.config(), storage=storage).refresh_all()
    server.revoke_all()
    server.expire_access_tokens()
    new = credential(server, "a")
    manager = OAuthKeyManager("acme", [new], config=server.config(), storage=storage)
    assert server.accepts(run(world, manager, guard(server)))
    assert server.reuses == 0
    again = OAuthKeyManager("acme", [new], config=server.config(), storage=storage)
    assert server.accepts(run(world, again, guard(server)))
    assert again.refresh_all() == {"a": None}


def test_times_that_a_refresh_function_gets_wrong_do_not_cost_the_token(world):
    """An ISO date, a word: nobody knows the end then, and the token is used."""
    old = OAuthCredentialSet(id="a", access_token="old", refresh_token="r1", expires_at=1.0)
    for wrong in ({"expires_at": "2026-01-01T00:00:00Z"}, {"expires_in": "never"}, {"expires_in": float("nan")}):
        answers = [{"access_token": "new-0123456789", "refresh_token": "r2", **wrong}]
        manager = OAuthKeyManager("acme", [old], lambda token, answers=answers: answers.pop())
        assert run(world, manager, lambda token: str(token)) == "new-0123456789"
        assert run(world, manager, lambda token: str(token)) == "new-0123456789"
        assert manager._refreshers["a"].token.refresh_token == "r2"


def test_calls_of_your_own_are_counted_too(world, server):
    """As those of a client: metrics, and with them adaptive refreshing and warnings."""
    manager = OAuthKeyManager("acme", [credential(server, "a")], config=server.config())
    for _ in range(70):
        run(world, manager, guard(server))

    def broken(token):
        raise ConnectionError

    with pytest.raises(AllKeysExhaustedError):
        run(world, manager, broken)
    metrics = manager.get_metrics()["a"]
    assert (metrics.request_count, metrics.success_count, metrics.error_count) == (71, 70, 1)


def test_more_traffic_makes_the_next_refresh_earlier(world, server):
    """The pool hears of it while calls go on, not with the next token."""
    manager = OAuthKeyManager(
        "acme", [credential(server, "a")], config=server.config(), refresh_strategy=RefreshStrategy.adaptive()
    )
    run(world, manager, guard(server))
    key = manager.credential_pool.key_of("a")
    before = key.fresh_until
    for _ in range(130):
        run(world, manager, guard(server))
    assert before - key.fresh_until > 500  # a quarter of an hour before the end, not five minutes


def test_a_page_of_a_captive_portal_kills_no_credential(world, server, monkeypatch):
    """It rests for a moment; only a refusal of the server itself takes a credential out of use."""
    monkeypatch.setattr("provider_kit.auth.oauth.client._PAUSES", (0.0,))
    bad = credential(server, "a", expires_at=1.0)
    manager = OAuthKeyManager("acme", [bad, credential(server, "b")], config=server.config())
    server.fault(200, grant="refresh_token", body=b"<!doctype html>Welcome to our hotel")
    assert server.accepts(run(world, manager, guard(server)))
    assert {one.id: one.state for one in manager.status()}["a"] == "unhealthy"


def test_all_are_refreshed_at_once(world, server):
    """By id, what went wrong."""
    bad = OAuthCredentialSet(id="bad", access_token="old", refresh_token="no")
    manager = OAuthKeyManager("acme", [bad, credential(server, "good")], config=server.config())
    found = world(manager, "refresh_all")
    assert found["good"] is None
    assert found["bad"].code == AuthErrorCode.REFRESH_FAILED


def test_credentials_come_and_go(world, server):
    """While calls are under way."""
    manager = OAuthKeyManager("acme", [credential(server, "a")], config=server.config())
    manager.add_credential(credential(server, "b"))
    assert manager.credential_ids() == ["a", "b"]
    assert manager.remove_credential("a")
    assert not manager.remove_credential("a")
    only = manager._refreshers["b"].token.access_token
    assert {run(world, manager, guard(server)) for _ in range(3)} == {only}
    with pytest.raises(ConfigError, match="called 'b'"):
        manager.add_credential(credential(server, "b"))


@pytest.mark.parametrize(
    ("credentials", "words"),
    [
        ([], "No OAuth credential"),
        ([OAuthCredentialSet(id="a", client_id="c")], "neither an access_token"),
        (["token"], "must be an OAuthCredentialSet"),
        ([OAuthCredentialSet(id="a", access_token="x")] * 2, "Two credentials"),
    ],
)
def test_credentials_that_cannot_be_are_refused(credentials, words):
    """Before anything is sent."""
    with pytest.raises(ConfigError, match=words):
        OAuthKeyManager("acme", credentials)
    with pytest.raises(ConfigError, match="id"):
        OAuthCredentialSet(id="")


def test_nothing_shows_a_secret(server):
    """repr, status, metrics, pickles."""
    import pickle

    manager = OAuthKeyManager("acme", [credential(server, "a")], config=server.config())
    token = manager._refreshers["a"].token
    shown = repr(manager) + repr(manager.status()) + manager.export_json() + manager.export_prometheus()
    shown += repr(manager.credential_pool) + repr(vars(manager)) + repr(manager._refreshers["a"])
    assert token.access_token not in shown
    assert token.refresh_token not in shown
    with pytest.raises(TypeError):
        pickle.dumps(manager)


# ------------------------------------------------------------------------------------------------ strategy, rotation


def test_the_strategy_says_how_early(server):
    """Five minutes, thirty, or by traffic."""
    transport = ScriptedTransport([])
    now = transport.time()
    given = OAuthCredentialSet(id="a", access_token="x", refresh_token="r", expires_at=now + 3600)
    calls = []

    def refresh(token):
        calls.append(token)
        return {"access_token": f"new-{len(calls)}", "refresh_token": "r", "expires_in": 3600}

    manager = OAuthKeyManager("acme", [given], refresh, transport=transport)
    ask = lambda: run_to_completion(manager._execute(lambda token: str(token), transport))  # noqa: E731
    assert ask() == "x"
    run_to_completion(transport.sleep(3600 - 301))
    assert ask() == "x"
    run_to_completion(transport.sleep(2))
    assert ask() == "new-1"
    manager.set_refresh_strategy(RefreshStrategy.conservative())
    run_to_completion(transport.sleep(3600 - 1700))
    assert ask() == "new-1"  # little traffic: ten to fifteen minutes are enough
    for _ in range(600):
        manager.get_metrics()["a"].record(True, 0.1, None, transport.time())
    manager.set_refresh_strategy(RefreshStrategy.conservative())
    assert ask() == "new-2"  # under load: half an hour before


def test_rotation_from_due_to_gone(world, server):
    """The callback is told once; both credentials serve during the grace; the old one leaves by itself."""
    told, gone = [], []
    policy = RotationPolicy(
        rotation_interval=0.1, grace_period=0.1, on_rotation_needed=told.append, on_decommissioned=gone.append
    )
    manager = OAuthKeyManager("acme", [credential(server, "old")], config=server.config(), rotation_policy=policy)
    assert world(manager, "check_rotation_needed") == []
    time.sleep(0.11)
    assert world(manager, "check_rotation_needed") == ["old"]
    assert world(manager, "check_rotation_needed") == ["old"]
    assert told == ["old"]
    manager.add_credential(credential(server, "new"))
    assert manager.mark_for_rotation("old", "new").stage == "retiring"
    assert len({run(world, manager, guard(server)) for _ in range(4)}) == 2
    assert manager.get_rotation_state("old").replaced_by == "new"
    time.sleep(0.11)
    world(manager, "check_rotation_needed")
    assert gone == ["old"]
    assert manager.credential_ids() == ["new"]
    assert manager.get_rotation_states()["old"].stage == "retired"
    assert server.accepts(run(world, manager, guard(server)))


def test_rotation_by_hand(world, server):
    """Complete at once, or see what is over."""
    manager = OAuthKeyManager("acme", [credential(server, name) for name in "ab"], config=server.config())
    manager.set_rotation_policy(RotationPolicy(grace_period=1000, auto_decommission=False))
    manager.mark_for_rotation("a", "b")
    assert world(manager, "auto_decommission_expired") == []
    assert manager.complete_rotation("a").stage == "retired"
    assert manager.credential_ids() == ["b"]
    with pytest.raises(AuthError) as caught:
        manager.complete_rotation("nobody")
    assert caught.value.code == AuthErrorCode.KEY_ROTATION_FAILED


def test_a_rotation_callback_that_fails_is_asked_again(world, server):
    """What it raised is the caller's to see."""
    calls = []

    def fail(name):
        calls.append(name)
        if len(calls) == 1:
            raise RuntimeError("the console is away")

    policy = RotationPolicy(rotation_interval=0.01, on_rotation_needed=fail)
    manager = OAuthKeyManager("acme", [credential(server, "a")], config=server.config(), rotation_policy=policy)
    time.sleep(0.02)
    with pytest.raises(RuntimeError):
        world(manager, "check_rotation_needed")
    assert world(manager, "check_rotation_needed") == ["a"]
    assert world(manager, "check_rotation_needed") == ["a"]
    assert calls == ["a", "a"]


# ------------------------------------------------------------------------------------------------ monitoring


@pytest.fixture
def hook():
    """A webhook that remembers what it was told."""
    told = []

    async def answer(incoming):
        told.append((incoming.method, incoming.headers, json.loads(incoming.body)))
        return Outgoing(204)

    server = LoopbackServer(answer)
    server.start()
    yield f"http://127.0.0.1:{server.port}/hook", told
    server.stop()


def test_refreshes_and_failures_are_told(world, server, hook):
    """To a function and to a webhook, without a secret."""
    url, told = hook
    events = []
    monitoring = MonitoringConfig(webhook_url=url, webhook_headers={"X-Secret": "s"}, on_event=events.append)
    bad = OAuthCredentialSet(id="bad", access_token="old", refresh_token="revoked-token", expires_at=1.0)
    manager = OAuthKeyManager("acme", [credential(server, "good"), bad], config=server.config(), monitoring=monitoring)
    world(manager, "refresh_all")
    assert [(event.kind, event.credential_id) for event in events] == [("refresh", "good"), ("failure", "bad")]
    assert [body["event"] for _, _, body in told] == ["refresh", "failure"]
    method, headers, body = told[1]
    assert (method, headers["x-secret"], body["data"]["code"]) == ("POST", "s", "refresh_failed")
    assert "revoked-token" not in json.dumps(body)


def test_only_the_events_that_are_wanted_are_told(world, server):
    """events= chooses."""
    events = []
    monitoring = MonitoringConfig(on_event=events.append, events=["expiry_warning"])
    manager = OAuthKeyManager(
        "acme",
        [credential(server, "a"), OAuthCredentialSet(id="b", access_token="x", expires_at=time.time() + 60)],
        config=server.config(),
        monitoring=monitoring,
    )
    world(manager, "refresh_all")
    assert len(world(manager, "check_alerts")) == 1
    assert world(manager, "check_alerts") == []
    assert [(one.kind, one.credential_id) for one in events] == [("expiry_warning", "b")]


def test_warnings_are_told_once_in_an_hour(world, server):
    """A credential that fails often."""
    events = []
    monitoring = MonitoringConfig(on_event=events.append)
    manager = OAuthKeyManager("acme", [credential(server, "a")], config=server.config(), monitoring=monitoring)
    for number in range(10):
        manager.get_metrics()["a"].record(number % 2 == 0, 0.1, None, time.time())
    assert [event.kind for event in world(manager, "check_alerts")] == ["failure"]
    assert world(manager, "check_alerts") == []
    assert len(events) == 1


@pytest.mark.parametrize("broken", ["function", "away", "status"])
def test_a_listener_that_fails_breaks_no_call(world, server, caplog, broken, fake_server):
    """It is logged, without the webhook's address."""

    def fail(event):
        raise RuntimeError("no")

    options = {
        "function": {"on_event": fail},
        "away": {"webhook_url": "http://127.0.0.1:9/secret-path"},
        "status": {"webhook_url": f"{fake_server.url}/secret-path"},
    }[broken]
    manager = OAuthKeyManager(
        "acme", [credential(server, "a")], config=server.config(), monitoring=MonitoringConfig(**options)
    )
    with caplog.at_level(logging.WARNING):
        assert world(manager, "refresh_all") == {"a": None}
    assert {"function": "on_event failed", "away": "could not be called", "status": "answered with status"}[
        broken
    ] in caplog.text
    assert "secret-path" not in caplog.text


def test_nobody_waits_for_a_slow_webhook(server):
    """Threads that wait for the same refresh go on before it is told."""
    arrived = threading.Event()

    async def answer(incoming):
        arrived.set()
        await asyncio.sleep(3)
        return Outgoing(200)

    slow = LoopbackServer(answer)
    slow.start()
    try:
        monitoring = MonitoringConfig(webhook_url=f"http://127.0.0.1:{slow.port}/")
        manager = OAuthKeyManager(
            "acme", [credential(server, "a", expires_at=1.0)], config=server.config(), monitoring=monitoring
        )
        leader = threading.Thread(target=manager.execute_with_failover, args=(lambda token: None,))
        leader.start()
        assert arrived.wait(5)
        started = time.monotonic()
        manager.execute_with_failover(lambda token: None)
        assert time.monotonic() - started < 2
        leader.join()
    finally:
        slow.stop()


def test_the_summary_counts(world, server):
    """Totals over all credentials."""
    storage = MemoryTokenStorage()
    manager = OAuthKeyManager(
        "acme", [credential(server, name) for name in "ab"], config=server.config(), storage=storage
    )
    assert manager.get_health_summary()["total_credentials"] == 2
    assert json.loads(manager.export_json()).keys() == {"a", "b"}
    assert 'oauth_refreshes_total{credential="a"} 0' in manager.export_prometheus()
