"""Tokens in requests' and aiohttp's own idioms: signed, renewed once, and never sent elsewhere."""

import asyncio
import io
from contextlib import suppress

import aiohttp
import pytest
import requests

from provider_kit import AuthError, AuthErrorCode, ConfigError
from provider_kit.testing import OAuthServer
from provider_kit.testing.http_server import LoopbackServer, Outgoing


class Api:
    """An API that accepts the tokens of an authorization server, and redirects where it is told."""

    def __init__(self, auth):
        self._auth = auth
        self.seen = []
        self.location = None
        self._server = LoopbackServer(self._answer)
        self._server.start()
        self.host = f"127.0.0.1:{self._server.port}"
        self.url = f"http://{self.host}"

    async def _answer(self, incoming):
        sent = incoming.headers.get("authorization", "")
        self.seen.append((incoming.path, sent, incoming.body))
        if self.location is not None and incoming.path == "/redirect":
            return Outgoing(302, {"location": self.location})
        if not self._auth.accepts(sent.removeprefix("Bearer ")):
            return Outgoing(401, {}, b"refused")
        return Outgoing(200, {}, b"ok " + incoming.body)

    def stop(self):
        self._server.stop()


@pytest.fixture
def auth():
    with OAuthServer() as running:
        yield running


@pytest.fixture
def api(auth):
    made = Api(auth)
    yield made
    made.stop()


@pytest.fixture
def elsewhere(auth):
    made = Api(auth)
    yield made
    made.stop()


@pytest.fixture
def authenticator(auth):
    made = auth.authenticator()
    made.login(open_browser=auth.browser, show=None)
    yield made
    made.close()


def by_requests(api, authenticator, path="/", **options):
    with requests.Session() as session:
        session.trust_env = False
        session.auth = authenticator.as_requests_auth(api.host)
        answer = session.request("POST" if "data" in options else "GET", api.url + path, timeout=10, **options)
        return answer.status_code, answer.text


def by_aiohttp(api, authenticator, path="/", **options):
    async def main():
        middleware = authenticator.as_aiohttp_middleware(api.host)
        async with aiohttp.ClientSession(middlewares=[middleware]) as session:
            verb = "POST" if "data" in options else "GET"
            async with session.request(verb, api.url + path, **options) as answer:
                result = answer.status, await answer.text()
        await authenticator.aclose()
        return result

    return asyncio.run(main())


ways = pytest.mark.parametrize("ask", [by_requests, by_aiohttp])


@ways
def test_a_request_is_signed(api, authenticator, ask):
    """With a token that is good now."""
    assert ask(api, authenticator) == (200, "ok ")
    assert api.seen[0][1] == f"Bearer {authenticator.get_token()}"


@ways
def test_a_refused_token_is_renewed_once(auth, api, authenticator, ask):
    """And the request, body included, is sent again."""
    auth.expire_access_tokens()
    assert ask(api, authenticator, data=b"the body") == (200, "ok the body")
    assert [body for _, _, body in api.seen] == [b"the body", b"the body"]
    assert auth.issued["refresh_token"] == 1


@ways
def test_a_token_that_stays_refused_is_the_callers_to_see(auth, api, authenticator, ask):
    """One renewal, then the 401 itself."""
    auth.accepts = lambda token: False
    assert ask(api, authenticator) == (401, "refused")
    assert len(api.seen) == 2


@ways
def test_a_token_does_not_follow_a_redirect_to_another_host(api, elsewhere, authenticator, ask):
    """Refused, or sent without it."""
    api.location = f"{elsewhere.url}/steal"
    with suppress(AuthError):
        ask(api, authenticator, "/redirect")
    assert all(sent == "" for _, sent, _ in elsewhere.seen)
    assert api.seen[0][1].startswith("Bearer ")


@ways
def test_a_token_goes_only_where_it_was_said_to_go(api, elsewhere, authenticator, ask):
    """An auth object of one host refuses to sign for another, and for plain http elsewhere."""
    elsewhere.host = api.host
    with pytest.raises(AuthError, match="is not sent to") as caught:
        ask(elsewhere, authenticator)
    assert caught.value.code == AuthErrorCode.INVALID_CONFIG
    assert elsewhere.seen == []
    elsewhere.url, elsewhere.host = "http://api.example", "api.example"
    with pytest.raises(AuthError, match="unencrypted"):
        ask(elsewhere, authenticator)


@pytest.mark.parametrize("hosts", [(), ("https://api.example/v1",), ("",)])
def test_a_host_must_be_named(authenticator, hosts):
    """A token for every host would be a token for anybody."""
    for make in (
        authenticator.as_requests_auth,
        authenticator.as_aiohttp_middleware,
        authenticator.as_requests_session,
    ):
        with pytest.raises(ConfigError, match="host"):
            make(*hosts)


def test_a_file_is_sent_again_from_its_beginning(auth, api, authenticator):
    """A body that was read must be rewound."""
    auth.expire_access_tokens()
    assert by_requests(api, authenticator, data=io.BytesIO(b"from a file")) == (200, "ok from a file")


def test_a_generator_is_not_sent_again(auth, api, authenticator):
    """It is used up; the 401 is told."""
    auth.expire_access_tokens()
    status, _ = by_requests(api, authenticator, data=iter([b"a", b"b"]))
    assert status == 401
    assert len(api.seen) == 1


def test_a_generator_is_not_sent_again_by_aiohttp_either(auth, api, authenticator):
    """Nor as an empty body."""

    async def pieces():
        yield b"a"
        yield b"b"

    auth.expire_access_tokens()
    status, _ = by_aiohttp(api, authenticator, data=pieces())
    assert status == 401
    assert len(api.seen) == 1


@pytest.mark.parametrize(
    "url", ["http://{evil}\\@{good}/x", "http://u:p@{good}/x", "http://{good}\n.evil/", "http://[x"]
)
def test_an_address_that_can_be_read_in_two_ways_gets_no_token(api, elsewhere, authenticator, url, monkeypatch):
    """One parser sees our host in it, another one theirs."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    made = url.format(evil=elsewhere.host, good=api.host)
    with authenticator.as_requests_session(api.host) as session, pytest.raises(AuthError, match="is not sent"):
        session.get(made, timeout=5)
    with requests.Session() as plain:
        plain.trust_env = False
        with suppress(AuthError, requests.RequestException):
            plain.get(made, auth=authenticator.as_requests_auth(api.host), timeout=5)
    assert all(sent == "" for _, sent, _ in elsewhere.seen)


@pytest.mark.parametrize(
    ("host", "url", "allowed"),
    [
        ("api.example", "https://api.example/x", True),
        ("api.example:443", "https://api.example/x", True),
        ("api.example:8443", "https://api.example/x", False),
        ("API.example", "https://Api.Example:8443/x", True),
        ("[::1]:8080", "http://[::1]:8080/", True),
        ("::1", "http://[::1]:8080/", True),
        ("api.example", "https://api.example.evil/x", False),
        ("api.example", "https://api.example:99999/x", False),
    ],
)
def test_hosts_are_told_apart(host, url, allowed):
    """With and without a port, in any case, IPv6 too."""
    from provider_kit.auth.sessions.host_check import check_hosts, require_host

    if allowed:
        require_host(url, check_hosts([host], "acme"), "acme")
    else:
        with pytest.raises(AuthError):
            require_host(url, check_hosts([host], "acme"), "acme")


def test_the_auth_object_shows_nothing(api, authenticator):
    """And equals itself, as requests expects."""
    one, other = authenticator.as_requests_auth(api.host), authenticator.as_requests_auth(api.host)
    assert one == other
    assert len({one, other}) == 1
    assert authenticator.get_token() not in repr(one)


def test_a_session_of_requests_oauthlib(auth, api, elsewhere, authenticator, monkeypatch):
    """Its token is refreshed and stored by the authenticator, not past it."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")  # it refuses plain http, even on this machine
    with authenticator.as_requests_session(api.host) as session:
        session.trust_env = False
        assert session.get(f"{api.url}/", timeout=10).text == "ok "
        with pytest.raises(AuthError, match="is not sent to"):
            session.get(elsewhere.url, timeout=10)
        api.location = f"{elsewhere.url}/steal"
        session.get(f"{api.url}/redirect", timeout=10)
        assert all(sent == "" for _, sent, _ in elsewhere.seen)
        before = authenticator.get_token()
        session.refresh_token("ignored")
        assert authenticator.get_token() != before
        assert session.token["access_token"] == authenticator.get_token()
        assert session.get(f"{api.url}/", timeout=10).text == "ok "
    assert auth.issued["refresh_token"] == 1
