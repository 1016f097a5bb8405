"""What happens while a token is refreshed, or not stored yet: no login is lost by it, and none outlives its end."""

import http.server
import json
import secrets
import signal
import threading
import time
import urllib.parse
from typing import ClassVar

import pytest

from provider_kit import (
    AuthError,
    FileTokenStorage,
    MemoryTokenStorage,
    OAuthAuthenticator,
    OAuthConfig,
    OAuthToken,
    StateConfig,
)
from provider_kit.auth.oauth import token_state
from provider_kit.testing import FakeServer


class Full(MemoryTokenStorage):
    """A disk with no space for a new token, now and then."""

    full = False

    def store_token(self, key, token):
        if self.full and token.refreshing_since is None:
            raise OSError(28, "No space left on device")
        super().store_token(key, token)


@pytest.fixture
def unsaved(server, monkeypatch):
    """A login whose last token could not be stored, and its storage, which has space again."""
    monkeypatch.setattr(token_state, "_STORE_AGAIN", 0.1)
    disk = Full()
    login = server.authenticator("acme", disk)
    login.login(open_browser=server.browser, show=None)
    disk.full = True
    login.refresh_token()
    disk.full = False
    assert disk.retrieve_token("acme").refreshing_since is not None
    return login, disk


def test_a_token_that_could_not_be_stored_is_stored_soon(server, unsaved):
    """With one of the next calls, long before it is due."""
    login, disk = unsaved
    with FakeServer(key=server.accepts) as api, api.client("openai/gpt-4o", auth=login) as client:
        client.chat("Hi")
        time.sleep(0.15)
        client.chat("Hi")
    assert str(disk.retrieve_token("acme").access_token) == str(login.get_token())
    assert server.issued == {"authorization_code": 1, "refresh_token": 1}


def test_a_token_that_could_not_be_stored_is_stored_at_the_end(server, unsaved):
    """The next process continues with it."""
    login, disk = unsaved
    token = str(login.get_token())
    login.close()
    assert str(disk.retrieve_token("acme").access_token) == token
    other = server.authenticator("acme", disk)
    other.refresh_token()
    assert server.reuses == 0


def slow_refresh(server, login, ask):
    """Begin something that refreshes, and return its outcome once the server is at it."""
    outcome = []

    def run():
        try:
            outcome.append(ask())
        except AuthError as error:
            outcome.append(error)

    server.fault(latency=0.6, grant="refresh_token")
    thread = threading.Thread(target=run)
    thread.start()
    time.sleep(0.3)
    return thread, outcome


@pytest.mark.parametrize("kind", ["file", "memory"])
def test_a_login_during_a_refresh_serves_who_waits_for_it(kind, server, tmp_path):
    """Not the token that has expired, and the spent refresh token is not sent again."""
    server.token_lifetime = 0.5
    storage = FileTokenStorage(str(tmp_path / "tokens.json")) if kind == "file" else MemoryTokenStorage()
    login = server.authenticator("acme", storage)
    login.login(open_browser=server.browser, show=None)
    server.token_lifetime = 3600
    time.sleep(0.6)
    thread, outcome = slow_refresh(server, login, login.get_token)
    login.login(open_browser=server.browser, show=None)
    thread.join(10)
    assert server.accepts(str(outcome[0]))
    assert server.accepts(str(storage.retrieve_token("acme").access_token))
    assert server.reuses == 0
    login.close()


class OneByOne(http.server.BaseHTTPRequestHandler):
    """A server to which each refresh token is a login of its own: to revoke a spent one does nothing (RFC 7009)."""

    alive: ClassVar = {}
    asked: ClassVar = threading.Event()

    def log_message(self, *_):
        pass

    def do_POST(self):
        form = dict(urllib.parse.parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        status, answer = 200, {}
        if self.path == "/revoke":
            self.alive.pop(form["token"], None)
        elif self.alive.pop(form["refresh_token"], None) is None:
            status, answer = 400, {"error": "invalid_grant"}
        else:
            new = f"refresh-{secrets.token_hex(8)}"
            self.alive[new] = True
            self.asked.set()
            time.sleep(0.5)
            answer = {"access_token": f"of-{new}", "refresh_token": new, "token_type": "Bearer", "expires_in": 3600}
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def one_by_one():
    handler = type("Handler", (OneByOne,), {"alive": {"refresh-first": True}, "asked": threading.Event()})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        handler.url = f"http://127.0.0.1:{running.server_port}"
        yield handler
        running.shutdown()
        thread.join()


@pytest.mark.parametrize("kind", ["file", "memory"])
@pytest.mark.parametrize("revoke", [True, False])
def test_a_logout_during_a_refresh_ends_what_the_refresh_brings(kind, revoke, one_by_one, tmp_path):
    """The new refresh token would otherwise live on at the server, unknown to everybody."""
    storage = FileTokenStorage(str(tmp_path / "tokens.json")) if kind == "file" else MemoryTokenStorage()
    first = OAuthToken(access_token="at", refresh_token="refresh-first", expires_at=time.time() + 3600)
    storage.store_token("acme", first)
    url = one_by_one.url
    config = OAuthConfig(client_id="c", auth_url=f"{url}/a", token_url=f"{url}/token", revoke_url=f"{url}/revoke")
    login, outcome = OAuthAuthenticator("acme", storage, config), []

    def refresh():
        try:
            login.refresh_token()
        except AuthError as error:
            outcome.append(error)

    thread = threading.Thread(target=refresh)
    thread.start()
    assert one_by_one.asked.wait(10)
    assert login.logout(revoke=revoke)
    thread.join(10)
    assert outcome[0].message == "Not authenticated."
    assert storage.retrieve_token("acme") is None
    login.close()
    assert len(one_by_one.alive) == (0 if revoke else 1)


def test_a_token_that_another_process_has_renewed_may_be_renewed_once_more(server):
    """It was found, not refreshed: that it is refused too does not end the call."""
    storage = MemoryTokenStorage()
    one, other = (server.authenticator("acme", storage) for _ in range(2))
    one.login(open_browser=server.browser, show=None)
    with FakeServer(key=server.accepts) as api, api.client("openai/gpt-4o", auth=one) as client:
        client.chat("Hi")
        other.refresh_token()
        server.expire_access_tokens()
        assert client.chat("Hi").text
    one.close(), other.close()


def test_a_shared_login_works_once_wherever_it_is_completed(server, tmp_path):
    """Also not again in the process that began it: a server may revoke the tokens of a code that is sent twice."""
    config = server.config(state=StateConfig(shared=True))
    one, other = (
        server.authenticator("acme", FileTokenStorage(str(tmp_path / "tokens.json")), config=config) for _ in range(2)
    )
    callback = server.agree(one.start_oauth_flow(redirect_url="https://app.example/cb"))
    other.handle_callback(callback)
    sent = len(server.token_requests)
    for login in (one, other):
        with pytest.raises(AuthError):
            login.handle_callback(callback)
    assert len(server.token_requests) == sent
    one.close(), other.close()


def test_a_callback_that_refreshes_gets_an_error(world, server):
    """It would wait for the refresh that waits for it. It is the callback's own error, and the token is kept."""
    seen = []

    def refresh_again(*_):
        try:
            login.refresh_token()
        except AuthError as error:
            seen.append(error)
        seen.append(login.get_token())

    login = server.authenticator("acme", on_token_refresh=refresh_again)
    login.login(open_browser=server.browser, show=None)
    began = time.monotonic()
    world(login, "refresh_token")
    assert time.monotonic() - began < 10
    assert "get_token()" in seen[0].hint
    assert server.accepts(str(seen[1]))
    assert server.issued == {"authorization_code": 1, "refresh_token": 1}
    login.close()


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs the signals of Unix")
def test_a_login_interrupted_while_it_waits_for_the_storage_is_kept(server, tmp_path):
    """Its code is spent; what is stored before it must not take its place again."""
    storage = FileTokenStorage(str(tmp_path / "tokens.json"))
    storage.store_token("acme", OAuthToken(access_token="old", refresh_token="r-old", expires_at=time.time() + 3600))
    login = server.authenticator("acme", FileTokenStorage(str(tmp_path / "tokens.json")))
    callback = server.agree(login.start_oauth_flow(redirect_url="https://app.example/cb"))
    elsewhere = storage.lock("acme")
    elsewhere.acquire()

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, interrupt)
    sender = threading.Timer(0.4, signal.pthread_kill, (threading.get_ident(), signal.SIGUSR1))
    try:
        sender.start()
        with pytest.raises(KeyboardInterrupt):
            login.handle_callback(callback)
    finally:
        sender.join()
        signal.signal(signal.SIGUSR1, before)
        elsewhere.release()
    new = str(login.get_token())
    assert server.accepts(new)
    assert login.is_authenticated()
    assert str(login.get_token()) == new
    login.close()
    assert str(storage.retrieve_token("acme").access_token) == new


def test_a_logout_during_a_refresh_of_another_process_ends_what_that_brings(one_by_one, tmp_path):
    """The token that is deleted is the one that is revoked, not the one that was read before."""
    path, url = str(tmp_path / "tokens.json"), one_by_one.url
    first = OAuthToken(access_token="at", refresh_token="refresh-first", expires_at=time.time() + 3600)
    FileTokenStorage(path).store_token("acme", first)
    config = OAuthConfig(client_id="c", auth_url=f"{url}/a", token_url=f"{url}/token", revoke_url=f"{url}/revoke")
    one, other = (OAuthAuthenticator("acme", FileTokenStorage(path), config) for _ in range(2))
    other.get_token()
    thread = threading.Thread(target=one.refresh_token)
    thread.start()
    assert one_by_one.asked.wait(10)
    assert other.logout()
    thread.join(10)
    assert FileTokenStorage(path).retrieve_token("acme") is None
    assert one_by_one.alive == {}
    one.close(), other.close()
