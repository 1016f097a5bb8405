"""Logging in at once: the browser comes back, or its address is pasted, or a code is entered elsewhere."""

import _thread
import asyncio
import gc
import os
import socket
import threading
import time
import urllib.error
import urllib.request
from urllib.parse import parse_qs, urlsplit

import pytest

from provider_kit import AuthError, AuthErrorCode, MemoryTokenStorage, OAuthAuthenticator, StorageError, oauth_config
from provider_kit.auth.oauth.loopback import open_listener
from provider_kit.testing import OAuthServer

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def visit(url):
    """Status, headers and text of a page."""
    try:
        with OPENER.open(url, timeout=10) as page:
            return page.status, page.headers, page.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read().decode()


def callback_of(url):
    """Where a login's address sends the browser back to."""
    return parse_qs(urlsplit(url).query)["redirect_uri"][0]


class Browser:
    """A function to open addresses with: runs ``act(url)`` in a thread, and joins it in the end."""

    def __init__(self, act):
        self._act = act
        self.result = None
        self.thread = None

    def __call__(self, url):
        self.thread = threading.Thread(target=self._run, args=(url,))
        self.thread.start()

    def _run(self, url):
        self.result = self._act(url)

    def done(self):
        self.thread.join(10)
        return self.result


def test_the_browser_comes_back_and_is_told(world, server):
    """The page says that all is well once it is; the token is kept."""
    shown = []
    browser = Browser(visit)
    authenticator = server.authenticator()
    info = world(authenticator, "login", ["x"], open_browser=browser, show=shown.append)
    assert info.scopes == ("x",)
    status, headers, page = browser.done()
    assert status == 200
    assert "You are logged in to acme" in page
    assert headers["Cache-Control"] == "no-store"
    assert shown[0].startswith(server.url)
    assert callback_of(shown[0]).startswith("http://127.0.0.1:")
    assert server.accepts(world(authenticator, "get_token"))
    token = authenticator.storage.retrieve_token("acme")
    assert token.access_token not in page
    assert token.refresh_token not in page


def test_a_callback_that_is_forged_does_not_end_the_login(world, server):
    """It sees an error page; the real one is awaited further."""

    def act(url):
        where = callback_of(url)
        bad = [visit(f"{where}?code=stolen&state=forged"), visit(f"{where}?code=stolen"), visit(where)]
        bad += [visit(f"{where}?error=access_denied&state=forged"), visit(f"{where}?error=access_denied")]
        return bad, visit(url)

    browser = Browser(act)
    authenticator = server.authenticator()
    assert world(authenticator, "login", open_browser=browser, show=None).can_refresh
    bad, good = browser.done()
    assert [status for status, _, _ in bad] == [400] * 5
    assert all("failed" in page for _, _, page in bad)
    assert good[0] == 200
    assert len(server.token_requests) == 1


def test_everything_else_gets_an_error_and_is_forgotten(world, server):
    """Other paths, methods, hosts, silence, garbage; and nothing redirects anywhere."""

    def act(url):
        where = urlsplit(callback_of(url))
        origin = f"http://{where.netloc}"
        silent = [socket.create_connection((where.hostname, where.port)) for _ in range(3)]
        garbage = socket.create_connection((where.hostname, where.port))
        garbage.sendall(b"\x16\x03\x01\x00\xff\r\n\r\n")
        other_host = urllib.request.Request(f"{origin}/callback?code=1", headers={"Host": "evil.example"})
        seen = [visit(f"{origin}/favicon.ico"), visit(f"{origin}//evil.example/"), visit(other_host)]
        seen.append(visit(urllib.request.Request(f"{origin}/callback?code=1", data=b"x=1")))
        final = visit(url)
        for one in (*silent, garbage):
            one.close()
        return seen, final

    browser = Browser(act)
    authenticator = server.authenticator()
    world(authenticator, "login", open_browser=browser, show=None)
    seen, final = browser.done()
    assert [status for status, _, _ in seen] == [404, 404, 421, 405]
    assert not any("location" in headers for _, headers, _ in (*seen, final))
    assert final[0] == 200


def test_a_person_who_declines_is_told_in_both_places(world):
    """On the page, and by the error."""
    with OAuthServer(interactive=True) as server:

        def act(url):
            return visit(url.replace("/authorize?", "/decision?agree=no&"))

        browser = Browser(act)
        authenticator = server.authenticator()
        with pytest.raises(AuthError, match="declined") as caught:
            world(authenticator, "login", open_browser=browser, show=None)
        assert caught.value.code == AuthErrorCode.OAUTH_FLOW_FAILED
        status, _, page = browser.done()
        assert status == 400
        assert "declined" in page


def test_a_code_that_is_refused_is_told_in_both_places(world, server):
    """The exchange fails after the browser came back."""
    server.fault(400, grant="authorization_code", error="invalid_grant")
    browser = Browser(visit)
    with pytest.raises(AuthError, match="invalid_grant"):
        world(server.authenticator(), "login", open_browser=browser, show=None)
    status, _, page = browser.done()
    assert status == 400
    assert "The login to acme failed" in page


def test_a_token_that_cannot_be_kept_is_told_in_both_places(world, server):
    """The page does not claim success."""

    class Full(MemoryTokenStorage):
        def store_token(self, key, token):
            raise StorageError("the disk is full", hint="Free some space.")

    browser = Browser(visit)
    authenticator = server.authenticator(storage=Full())
    with pytest.raises(StorageError):
        world(authenticator, "login", open_browser=browser, show=None)
    status, _, page = browser.done()
    assert (status, "disk is full" in page, "Free some space" in page) == (400, True, True)


def test_nobody_who_comes_back_is_a_timeout(world, server):
    """Within the time given, and the port is free again."""
    ports = []
    started = time.monotonic()
    with pytest.raises(AuthError, match="The login was not completed") as caught:
        world(
            server.authenticator(),
            "login",
            open_browser=False,
            show=lambda url: ports.append(urlsplit(callback_of(url)).port),
            timeout=0.3,
        )
    assert 0.25 < time.monotonic() - started < 2
    assert caught.value.code == AuthErrorCode.OAUTH_FLOW_FAILED
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", ports[0]))


def test_a_configured_port_is_used_and_a_second_login_on_it_is_told(world, server):
    """8080 stays possible; two at once on one port are not."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = server.config(redirect_url=f"http://127.0.0.1:{port}/oauth/callback")

    def act(url):
        assert callback_of(url) == f"http://127.0.0.1:{port}/oauth/callback"
        try:
            server.authenticator(config=config).login(open_browser=False, show=None, timeout=1)
        except AuthError as error:
            second = error
        return second, visit(url)

    browser = Browser(act)
    world(server.authenticator(config=config), "login", open_browser=browser, show=None)
    second, page = browser.done()
    assert page[0] == 200
    assert second.code == AuthErrorCode.OAUTH_FLOW_FAILED
    assert f"127.0.0.1:{port}" in second.message
    assert "Another login" in second.hint


@pytest.mark.parametrize("url", ["https://app.example/callback", "http://192.168.1.5:8080/cb", "http://[::2]:1/"])
def test_a_callback_elsewhere_cannot_be_received_here(world, server, url):
    """Nothing is listened on that others could reach."""
    with pytest.raises(AuthError, match="cannot receive") as caught:
        world(server.authenticator(config=server.config(redirect_url=url)), "login", show=None)
    assert caught.value.code == AuthErrorCode.INVALID_CONFIG
    assert "start_oauth_flow" in caught.value.hint


def test_the_address_may_be_pasted(world, server):
    """Over SSH the browser's last page cannot be shown; wrong pastes are told and do no harm."""
    read, write = os.pipe()
    complaints = []

    def show(url):
        where = callback_of(url)
        location = server.agree(url)
        os.write(write, b"\n  \nhello\n" + f"{where}?code=x&state=forged\n".encode() + location.encode() + b"\n")

    with os.fdopen(read) as stdin:
        authenticator = server.authenticator()
        info = world(
            authenticator, "login", open_browser=False, show=show, paste=stdin, complain=complaints.append, timeout=10
        )
    os.close(write)
    assert info.can_refresh
    assert len(complaints) == 2
    assert len(server.token_requests) == 1


def test_a_closed_stdin_is_no_obstacle(world, server):
    """Nobody can paste, so the browser is waited for."""
    read, write = os.pipe()
    os.close(write)
    browser = Browser(visit)
    with os.fdopen(read) as stdin:
        assert world(server.authenticator(), "login", open_browser=browser, show=None, paste=stdin).can_refresh
    browser.done()


def test_a_file_to_paste_from_is_no_obstacle(world, server, tmp_path):
    """Standard input may be one (``< /dev/null``, a file of a scheduler)."""
    (tmp_path / "in").write_text("nothing\n")
    browser = Browser(visit)
    for path in (tmp_path / "in", "/dev/null"):
        with open(path) as stdin:
            info = world(server.authenticator(), "login", open_browser=browser, show=None, paste=stdin, timeout=10)
        browser.done()
        assert info.can_refresh


def test_logins_at_once_do_not_mix_up(world, server):
    """Each has a port and a state of its own."""
    authenticators = [server.authenticator(f"p{number}") for number in range(4)]
    threads = [
        threading.Thread(target=lambda a=a: world(a, "login", open_browser=server.browser, show=None))
        for a in authenticators
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    tokens = {a.storage.retrieve_token(a.provider).access_token for a in authenticators}
    assert len(tokens) == 4


def test_a_cancelled_login_leaves_nothing_behind(server):
    """Ctrl-C in an asyncio program: no socket, no task, no reader on stdin."""
    read, write = os.pipe()

    async def main():
        with os.fdopen(read) as stdin:
            waiting = asyncio.ensure_future(
                server.authenticator().alogin(open_browser=False, show=None, paste=stdin, timeout=30)
            )
            await asyncio.sleep(0.1)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())
    os.close(write)
    gc.collect()


def test_a_signal_just_before_the_wait_is_handled_soon(monkeypatch):
    """It interrupts no system call; what waits must look up by itself, long before the login's own deadline."""
    from provider_kit.transports.drive import run_to_completion

    monkeypatch.setattr("provider_kit.auth.oauth.loopback._LONGEST_WAIT", 0.05)
    listener = open_listener("blocking", "http://127.0.0.1:0/cb", "acme")
    alarm = threading.Timer(0.1, _thread.interrupt_main)  # like a signal that is noted, but wakes nothing
    alarm.start()
    began = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            run_to_completion(listener.receive(began + 60))
        assert time.monotonic() - began < 20
    finally:
        alarm.join()
        run_to_completion(listener.aclose())


def test_a_listener_drops_who_says_nothing(monkeypatch):
    """After a few seconds; the file descriptor is free again."""
    monkeypatch.setattr("provider_kit.auth.oauth.loopback._PATIENCE", 0.05)
    from provider_kit.transports.drive import run_to_completion

    listener = open_listener("blocking", "http://localhost:0/cb", "acme")
    try:
        port = urlsplit(listener.url).port
        with socket.create_connection(("127.0.0.1", port)) as silent:
            assert run_to_completion(listener.receive(time.monotonic() + 0.3)) is None
            assert listener._open == {}
            silent.settimeout(2)
            assert silent.recv(1) == b""
    finally:
        run_to_completion(listener.aclose())


# ------------------------------------------------------------------------------------------------ key exchange


def test_a_login_may_bring_a_lasting_key(world, fake_server):
    """As OpenRouter has it: PKCE, a nonce in the callback, and an API key in the end."""
    from provider_kit.testing.http_server import LoopbackServer, Outgoing

    async def answer(incoming):
        if incoming.path.startswith("/auth?"):
            query = parse_qs(urlsplit(incoming.path).query)
            return Outgoing(302, {"location": f"{query['callback_url'][0]}&code=the-code"})
        assert b"the-code" in incoming.body
        return Outgoing(
            200, {"content-type": "application/json"}, b'{"key": "sk-or-v1-0123456789abcdef", "user_id": "u"}'
        )

    auth = LoopbackServer(answer)
    auth.start()
    try:
        url = f"http://127.0.0.1:{auth.port}"
        config = oauth_config("openrouter", auth_url=f"{url}/auth", token_url=f"{url}/keys")
        authenticator = OAuthAuthenticator("openrouter", MemoryTokenStorage(), config)
        browser = Browser(visit)
        info = world(authenticator, "login", open_browser=browser, show=None)
        assert browser.done()[0] == 200
        assert (info.token_type, info.expires_at, info.can_refresh) == ("api_key", None, False)
        assert world(authenticator, "get_token") == "sk-or-v1-0123456789abcdef"
        client = fake_server.client("openrouter/auto", auth=authenticator)
        assert world(client, "chat", "What is 1 + 2?").text == "1 + 2 = 3"
        assert fake_server.requests[-1].headers["authorization"] == "Bearer sk-or-v1-0123456789abcdef"
    finally:
        auth.stop()


def test_the_presets_have_the_providers_addresses(monkeypatch):
    """And no client of anybody: that is the user's."""
    google = oauth_config("gemini")
    assert google.client_id == ""
    assert google.auth_url == "https://accounts.google.com/o/oauth2/v2/auth"
    assert google.token_url == "https://oauth2.googleapis.com/token"
    assert google.default_scopes == ("https://www.googleapis.com/auth/cloud-platform",)
    assert oauth_config("openrouter").token_url == "https://openrouter.ai/api/v1/auth/keys"
    monkeypatch.setenv("GEMINI_CLIENT_ID", "mine")
    monkeypatch.setenv("GEMINI_CLIENT_SECRET", "s3cret")
    assert (oauth_config("gemini").client_id, oauth_config("gemini").client_secret) == ("mine", "s3cret")
    assert oauth_config("gemini", client_id="other").client_id == "other"
    assert oauth_config("never-heard-of", issuer="https://x.example").issuer == "https://x.example"
    with pytest.raises(ValueError, match="no field 'scopes'"):
        oauth_config("gemini", scopes=["x"])


def test_a_provider_tells_how_it_can_be_logged_in_to():
    """Keys, tokens, a login; local servers want nothing."""
    from provider_kit import AuthMethod, auth_methods, providers_by_method

    assert auth_methods("openai") == (AuthMethod.API_KEY, AuthMethod.BEARER_TOKEN)
    assert AuthMethod.OAUTH in auth_methods("gemini")
    assert auth_methods("demo") == ()
    assert providers_by_method("oauth") == ["gemini", "openrouter"]
    assert {"openai", "anthropic"} <= set(providers_by_method(AuthMethod.API_KEY))
    with pytest.raises(ValueError, match="not an authentication method") as caught:
        providers_by_method("oath")
    assert "'oauth'" in caught.value.hint


# ------------------------------------------------------------------------------------------------ device


def test_a_device_logs_in_once_the_person_has_agreed(world):
    """Polling in the server's rhythm, with PKCE."""
    with OAuthServer() as server:
        authenticator = server.authenticator()
        shown = []

        def show(device):
            shown.append(device)
            threading.Timer(0.3, server.approve, [device.user_code]).start()

        info = world(authenticator, "device_login", ["s"], show=show)
        assert info.scopes == ("s",)
        (device,) = shown
        assert device.verification_url.endswith(device.user_code)
        assert server.accepts(world(authenticator, "get_token"))
        assert device.device_code not in repr(device)


def test_a_device_in_two_steps(world, server):
    """For programs that show the code in their own way."""
    authenticator = server.authenticator()
    device = world(authenticator, "start_device_flow")
    server.approve(device.user_code)
    assert world(authenticator, "poll_for_token", device).can_refresh


def test_a_person_who_declines_on_the_device(world, server):
    """access_denied."""
    authenticator = server.authenticator()
    device = world(authenticator, "start_device_flow")
    server.deny(device.user_code)
    with pytest.raises(AuthError, match="access_denied") as caught:
        world(authenticator, "poll_for_token", device)
    assert caught.value.code == AuthErrorCode.OAUTH_FLOW_FAILED
    assert authenticator.storage.list_tokens() == []


def test_a_code_that_nobody_enters_ends_in_time(world, server):
    """By the timeout, without one more question."""
    authenticator = server.authenticator()
    device = world(authenticator, "start_device_flow")
    started = time.monotonic()
    with pytest.raises(AuthError, match="not entered in time"):
        world(authenticator, "poll_for_token", device, timeout=1.5)
    assert time.monotonic() - started < 2.5
    assert len(server.token_requests) == 1


class Clock:
    """Waits of a scripted transport."""

    def poll(self, answers, **device):
        from provider_kit import OAuthConfig, ScriptedTransport
        from provider_kit.model.oauth import DeviceCode
        from provider_kit.transports.drive import run_to_completion

        transport = ScriptedTransport(answers)
        config = OAuthConfig(client_id="c", token_url="https://a.example/t", device_url="https://a.example/d")
        authenticator = OAuthAuthenticator("acme", MemoryTokenStorage(), config, transport=transport)
        known = {"user_code": "U", "verification_uri": "https://x", "device_code": "D"}
        made = DeviceCode(**{**known, "expires_at": transport.time() + 600, **device})
        try:
            return run_to_completion(authenticator._poll(transport, made, None, None)), transport.sleeps
        except AuthError as error:
            return error, transport.sleeps


PENDING = {"status": 400, "json": {"error": "authorization_pending"}}
SLOW = {"status": 400, "json": {"error": "slow_down"}}
GRANTED = {"json": {"access_token": "t", "expires_in": 60}}


def test_the_rhythm_of_the_server_is_kept():
    """Its interval; five seconds more for each slow_down, for good (RFC 8628)."""
    info, sleeps = Clock().poll([PENDING, PENDING, SLOW, PENDING, SLOW, GRANTED], interval=2.0)
    assert info.key == "acme"
    assert sleeps == [2, 2, 2, 7, 7, 12]


def test_a_lost_answer_makes_a_device_slower():
    """Twice the interval, as RFC 8628 asks for; not a failed login."""
    from provider_kit import APIConnectionError

    info, sleeps = Clock().poll([APIConnectionError("gone"), PENDING, GRANTED], interval=3.0)
    assert info.key == "acme"
    assert sleeps == [3, 6, 6]


def test_a_device_stops_asking_when_its_code_is_over():
    """By our clock, even if the server goes on answering."""
    error, sleeps = Clock().poll([PENDING] * 1000, interval=5.0, expires_at=1_800_000_000.0 + 1000 + 32)
    assert error.message == "The code was not entered in time."
    assert sum(sleeps) <= 32


def test_authenticate_logs_in_only_where_that_helps(world, server, monkeypatch):
    """A good token is taken, an old one refreshed; a failure of the network is no reason to bother a person."""
    monkeypatch.setattr("provider_kit.auth.oauth.client._PAUSES", (0.0,))
    authenticator = server.authenticator()
    options = {"open_browser": server.browser, "show": None}
    assert world(authenticator, "authenticate", **options).can_refresh
    assert world(authenticator, "authenticate", **options).can_refresh
    assert server.issued == {"authorization_code": 1}
    server.revoke_all()
    authenticator._refresher._state.fresh_until = float("-inf")
    stored = authenticator.storage.retrieve_token("acme")
    authenticator.storage.store_token("acme", stored.replace(expires_at=1.0))
    assert world(authenticator, "authenticate", **options).can_refresh
    assert server.issued == {"authorization_code": 2}
    authenticator._refresher._state.fresh_until = float("-inf")
    stored = authenticator.storage.retrieve_token("acme")
    authenticator.storage.store_token("acme", stored.replace(expires_at=1.0))
    server.fault(503)
    with pytest.raises(AuthError) as caught:
        world(authenticator, "authenticate", **options)
    assert caught.value.retryable
    assert server.issued == {"authorization_code": 2}
