"""OAuth exchanges: what is sent, and what each answer means."""

import base64
import hashlib
from urllib.parse import parse_qs, urlsplit

import pytest

from provider_kit import AuthError, AuthErrorCode, OAuthConfig, OAuthToken, PKCEConfig
from provider_kit.auth.oauth.pending_logins import PendingLogins
from provider_kit.auth.oauth.token_requests import TokenRequests, make_challenge, make_verifier
from provider_kit.model.oauth import DeviceCode
from provider_kit.wire.http import HttpResponse

NOW = 1_800_000_000.0
URLS = {
    "auth_url": "https://auth.example/authorize",
    "token_url": "https://auth.example/token",
    "device_url": "https://auth.example/device",
    "revoke_url": "https://auth.example/revoke",
}
OLD = OAuthToken(access_token="old-access", refresh_token="old-refresh", scopes=("a", "b"), client={"client_id": "me"})


def exchanges(**changes):
    return TokenRequests("acme", OAuthConfig(**{"client_id": "me", **URLS, **changes}))


def login(**changes):
    given = {"verifier": make_verifier(128), "redirect_url": "http://127.0.0.1:7/callback", "scopes": ("a", "b")}
    return PendingLogins("acme").begin(length=32, until=NOW + 600, **{**given, **changes})


def form(request):
    return {name: values[0] for name, values in parse_qs(request.body.decode()).items()}


def answer(body, status=200):
    return HttpResponse(status, {}, body if isinstance(body, bytes) else body.encode())


# ------------------------------------------------------------------------------------------------ what is sent


def test_the_verifier_has_the_asked_length_and_only_allowed_characters():
    """RFC 7636: 43 to 128 of letters, digits and four marks; never the same twice."""
    made = make_verifier(128)
    assert len(made) == 128
    assert set(made) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
    assert made != make_verifier(128)
    assert len(make_verifier(43)) == 43


def test_the_challenge_is_the_hash_of_the_verifier():
    """S256, without padding; the example of RFC 7636, appendix B."""
    assert (
        make_challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    )


def test_the_address_of_a_login_carries_state_challenge_and_scopes():
    """And nothing secret."""
    pending = login()
    url = exchanges(auth_params={"prompt": "consent"}).authorization_url(pending)
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    digest = base64.urlsafe_b64encode(hashlib.sha256(pending.verifier.encode()).digest()).decode().rstrip("=")
    assert query == {
        "response_type": "code",
        "client_id": "me",
        "redirect_uri": "http://127.0.0.1:7/callback",
        "scope": "a b",
        "state": pending.state,
        "code_challenge": digest,
        "code_challenge_method": "S256",
        "prompt": "consent",
    }
    assert str(pending.verifier) not in url


def test_a_plain_address_of_this_machine_stays_plain():
    """oauthlib would refuse it; loopback is no network."""
    url = exchanges(auth_url="http://127.0.0.1:9/authorize?x=1").authorization_url(login())
    assert url.startswith("http://127.0.0.1:9/authorize?x=1&")


def test_without_pkce_no_challenge_is_sent():
    """For a server that refuses the parameters."""
    url = exchanges(pkce=PKCEConfig(enabled=False)).authorization_url(login(verifier=None))
    assert "code_challenge" not in url


def test_the_code_is_exchanged_with_verifier_and_the_same_redirect():
    """As a form; the client's id and secret in it."""
    pending = login()
    sent = form(exchanges(client_secret="s3cret").prepare_code_exchange("the code", pending))
    assert sent == {
        "grant_type": "authorization_code",
        "code": "the code",
        "redirect_uri": pending.redirect_url,
        "code_verifier": pending.verifier,
        "client_id": "me",
        "client_secret": "s3cret",
    }


def test_basic_authentication_keeps_the_secret_out_of_the_form():
    """RFC 6749 section 2.3.1: both halves form-encoded, then joined."""
    request = exchanges(client_id="m:e", client_secret="s/3", client_auth="basic").prepare_refresh("r")
    scheme, _, encoded = request.headers["Authorization"].partition(" ")
    assert (scheme, base64.b64decode(encoded)) == ("Basic", b"m%3Ae:s%2F3")
    assert form(request) == {"grant_type": "refresh_token", "refresh_token": "r"}
    assert encoded not in repr(request)
    assert encoded not in repr(request.headers)


def test_a_device_asks_with_a_form():
    """RFC 8628; oauthlib would put it into the address."""
    request = exchanges().prepare_device(["a", "b"], "challenge")
    assert urlsplit(request.url).query == ""
    assert form(request) == {
        "client_id": "me",
        "scope": "a b",
        "code_challenge": "challenge",
        "code_challenge_method": "S256",
    }
    device = DeviceCode(user_code="U", verification_uri="https://x", device_code="D", expires_at=NOW, verifier="V" * 43)
    assert form(exchanges().prepare_poll(device)) == {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "device_code": "D",
        "code_verifier": "V" * 43,
        "client_id": "me",
    }


def test_the_key_exchange_sends_json_and_hides_the_state_in_the_callback():
    """As OpenRouter has it: no client, no state, a lasting key."""
    made = exchanges(client_id="", protocol="key_exchange")
    pending = login()
    query = {name: values[0] for name, values in parse_qs(urlsplit(made.authorization_url(pending)).query).items()}
    assert query["callback_url"] == f"http://127.0.0.1:7/callback?state={pending.state}"
    assert query.keys() == {"callback_url", "code_challenge", "code_challenge_method"}
    request = made.prepare_code_exchange("c", pending)
    assert request.headers["Content-Type"] == "application/json"
    assert b'"code_verifier"' in request.body
    token = made.parse_token(answer('{"key": "sk-or-1", "user_id": "u"}'), NOW)
    assert (token.access_token, token.token_type, token.refresh_token, token.expires_at) == (
        "sk-or-1",
        "api_key",
        None,
        None,
    )


@pytest.mark.parametrize("name", ["auth_url", "token_url", "device_url", "revoke_url"])
@pytest.mark.parametrize(
    ("url", "words"),
    [
        (None, "has no"),
        ("http://auth.example/x", "unencrypted"),
        ("https://user:pw@auth.example/x", "is not an https"),
        ("ftp://auth.example", "is not an https"),
        ("https://auth.example:99999/x", "is not an https"),
        ("https://auth.example/a b", "is not an https"),
    ],
)
def test_an_address_that_secrets_must_not_go_to_is_refused(name, url, words):
    """Missing, unencrypted, malformed: before a byte is sent, with the field's name."""
    made = exchanges(**{name: url})
    with pytest.raises(AuthError, match=words) as caught:
        {
            "auth_url": lambda: made.authorization_url(login()),
            "token_url": lambda: made.prepare_refresh("r"),
            "device_url": lambda: made.prepare_device([], None),
            "revoke_url": lambda: made.prepare_revoke("t", "access_token"),
        }[name]()
    assert caught.value.code == AuthErrorCode.INVALID_CONFIG
    assert name in caught.value.message
    assert caught.value.hint


def test_a_client_without_an_id_is_refused():
    """With what to do."""
    for prepare in (lambda e: e.authorization_url(login()), lambda e: e.prepare_refresh("r")):
        with pytest.raises(AuthError, match="client_id") as caught:
            prepare(exchanges(client_id=""))
        assert "Register" in caught.value.hint


# ------------------------------------------------------------------------------------------------ tokens


@pytest.mark.parametrize(
    ("given", "lifetime"),
    [
        ('"expires_in": 3600', 3600),
        ('"expires_in": "3600"', 3600),
        ('"expires_in": 3599.5', 3599.5),
        ('"expires_in": 0', None),
        ('"expires_in": -5', None),
        ('"expires_in": null', None),
        ('"expires_in": "soon"', None),
        ('"expires_in": [1]', None),
        ('"expires_in": true', None),
        ('"expires_in": 1e400', None),
        ('"expires_in": 99999999999999', 10 * 365 * 86400),
        ('"x": 1', None),
    ],
)
def test_the_life_of_a_token_is_read_in_every_form(given, lifetime):
    """Absent, zero and nonsense: nobody knows, so the API has the last word."""
    token = exchanges().parse_token(answer(f'{{"access_token": "t", {given}}}'), NOW)
    assert token.expires_at == (None if lifetime is None else NOW + lifetime)
    assert token.obtained_at == NOW


def test_what_a_refresh_does_not_repeat_is_kept():
    """Refresh token, scopes and client."""
    token = exchanges().parse_token(answer('{"access_token": "new", "token_type": "bearer"}'), NOW, previous=OLD)
    assert (token.access_token, token.refresh_token, token.scopes) == ("new", "old-refresh", ("a", "b"))
    assert token.client == {"client_id": "me"}
    assert token.refreshing_since is None
    rotated = exchanges().parse_token(answer('{"access_token": "n", "refresh_token": "r2"}'), NOW, previous=OLD)
    assert rotated.refresh_token == "r2"
    emptied = exchanges().parse_token(answer('{"access_token": "n", "refresh_token": ""}'), NOW, previous=OLD)
    assert emptied.refresh_token == "old-refresh"


@pytest.mark.parametrize(
    ("given", "scopes"),
    [
        ('"scope": "x y"', ("x", "y")),
        ('"scope": "x,y"', ("x", "y")),
        ('"scope": ["x"]', ("x",)),
        ('"q": 1', ("q", "r")),
    ],
)
def test_scopes_are_those_granted_else_those_asked_for(given, scopes):
    """As a text, with commas, as a list, or not at all."""
    token = exchanges().parse_token(answer(f'{{"access_token": "t", {given}}}'), NOW, scopes=("q", "r"))
    assert token.scopes == scopes


def test_further_fields_are_kept():
    """A resource_url or an id_token may be needed; they are not shown."""
    token = exchanges().parse_token(
        answer('{"access_token": "t", "resource_url": "api.example", "id_token": "e"}'), NOW
    )
    assert token.extra == {"resource_url": "api.example", "id_token": "e"}
    assert "api.example" not in repr(token)


def test_a_form_is_read_too():
    """Old servers answer with one."""
    token = exchanges().parse_token(answer("access_token=t&expires_in=60&scope=x"), NOW)
    assert (token.access_token, token.expires_at, token.scopes) == ("t", NOW + 60, ("x",))


@pytest.mark.parametrize(
    "body",
    [
        '{"token_type": "Bearer"}',
        '{"access_token": ""}',
        '{"access_token": 5}',
        '{"access_token": null}',
        '{"access_token": "two words"}',
        '{"access_token": "line\\nbreak"}',
        '{"access_token": "ümlaut"}',
        '{"access_token": "t", "token_type": "mac"}',
        '{"access_token": "t", "token_type": "DPoP"}',
    ],
)
@pytest.mark.parametrize("previous", [None, OLD], ids=["login", "refresh"])
def test_an_answer_that_is_no_usable_token_is_an_error(body, previous):
    """And says whether it was a login or a refresh."""
    with pytest.raises(AuthError) as caught:
        exchanges().parse_token(answer(body), NOW, previous=previous)
    expected = AuthErrorCode.REFRESH_FAILED if previous else AuthErrorCode.OAUTH_FLOW_FAILED
    assert caught.value.code == expected
    assert not caught.value.needs_login


REFUSALS = [
    # status, body, code while refreshing, code while logging in, retryable, words of the details
    (400, '{"error": "invalid_grant"}', "refresh_failed", "oauth_flow_failed", False, "expired"),
    (200, '{"error": "invalid_grant"}', "refresh_failed", "oauth_flow_failed", False, "expired"),
    (401, '{"error": "invalid_client"}', "invalid_credentials", "invalid_credentials", False, "client_secret"),
    (400, '{"error": "unauthorized_client"}', "invalid_credentials", "invalid_credentials", False, "may not use"),
    (400, '{"error": "invalid_scope"}', "scope_insufficient", "scope_insufficient", False, "scope"),
    (400, '{"error": "invalid_request"}', "refresh_failed", "oauth_flow_failed", False, "parameter"),
    (400, '{"error": "redirect_uri_mismatch"}', "invalid_config", "invalid_config", False, "redirect"),
    (400, '{"error": "unsupported_grant_type"}', "invalid_config", "invalid_config", False, "token URL"),
    (400, '{"error": "access_denied"}', "refresh_failed", "oauth_flow_failed", False, "declined"),
    (400, '{"error": "temporarily_unavailable"}', "provider_unavailable", "provider_unavailable", True, "busy"),
    (400, '{"error": "never_seen"}', "refresh_failed", "oauth_flow_failed", False, "no known reason"),
    (429, '{"error": "slow_down"}', "provider_unavailable", "provider_unavailable", True, "busy"),
    (500, '{"error": "server_error"}', "provider_unavailable", "provider_unavailable", True, "busy"),
    (503, "<html>down</html>", "provider_unavailable", "provider_unavailable", True, "busy"),
    (404, '{"message": "no such route"}', "invalid_config", "invalid_config", False, "address is wrong"),
    (404, "<html>not here</html>", "invalid_config", "invalid_config", False, "address is wrong"),
    (200, "nonsense with <html> in it", "invalid_config", "invalid_config", False, "not JSON"),
    (200, "nonsense", "invalid_config", "invalid_config", False, "not JSON"),
    (200, "", "invalid_config", "invalid_config", False, "not JSON"),
    (200, "[1, 2]", "invalid_config", "invalid_config", False, "not JSON"),
    (302, "", "invalid_config", "invalid_config", False, None),
    (400, '{"error": {"code": "x", "message": "m"}}', "refresh_failed", "oauth_flow_failed", False, "m"),
]


@pytest.mark.parametrize(("status", "body", "refresh", "first", "retryable", "words"), REFUSALS)
def test_a_refusal_names_its_cause(status, body, refresh, first, retryable, words):
    """The code, whether to try again, and what was wrong: refresh token, client, or address."""
    for previous, code in ((OLD, refresh), (None, first)):
        with pytest.raises(AuthError) as caught:
            exchanges().parse_token(answer(body, status), NOW, previous=previous)
        error = caught.value
        assert (error.code, error.retryable) == (code, retryable)
        assert error.hint
        if words is not None:
            assert f"with status {status}" in str(error)
            known = str(error.details)
            assert words in known or (previous is None and "code has expired" in known)


def test_a_web_page_in_place_of_a_refresh_passes():
    """The address worked once; a hotel's portal answers now. At a login the address may be wrong."""
    page = answer("<!DOCTYPE html><title>Log in</title>")
    with pytest.raises(AuthError, match="web page") as caught:
        exchanges().parse_token(page, NOW, previous=OLD)
    assert (caught.value.code, caught.value.retryable) == (AuthErrorCode.PROVIDER_UNAVAILABLE, True)
    with pytest.raises(AuthError, match="web page") as caught:
        exchanges().parse_token(page, NOW)
    assert (caught.value.code, caught.value.retryable) == (AuthErrorCode.INVALID_CONFIG, False)


def test_what_was_sent_is_taken_out_of_the_servers_words():
    """\"Invalid refresh token: …\"."""
    body = '{"error": "invalid_grant", "error_description": "Invalid refresh token: old-refresh"}'
    with pytest.raises(AuthError) as caught:
        exchanges().parse_token(answer(body, 400), NOW, previous=OLD)
    assert "old-refresh" not in str(caught.value)
    with pytest.raises(AuthError) as caught:
        exchanges().parse_token(answer(body.replace("old-refresh", "c0de-1"), 400), NOW, sent=["c0de-1", None])
    assert "c0de-1" not in str(caught.value)


def test_only_an_invalid_grant_ends_a_login():
    """No other refusal, and no failure of network or server."""
    for status, body, *_ in REFUSALS:
        with pytest.raises(AuthError) as caught:
            exchanges().parse_token(answer(body, status), NOW, previous=OLD)
        assert caught.value.needs_login == ("invalid_grant" in body)


def test_the_text_of_an_error_has_the_usual_form():
    """Provider, message, code, details."""
    with pytest.raises(AuthError) as caught:
        exchanges().parse_token(
            answer('{"error": "invalid_grant", "error_description": "Bad."}', 400), NOW, previous=OLD
        )
    assert str(caught.value) == (
        "acme authentication error: Token refresh failed with status 400 (refresh_failed) - "
        "invalid_grant: the refresh token has expired, was revoked, or was used before; Bad"
    )
    assert "provider-kit auth login acme," in caught.value.hint


def test_a_secret_that_the_server_repeats_is_taken_out():
    """Its description may quote the request."""
    body = '{"error": "invalid_client", "error_description": "secret qwertz123 is wrong"}'
    with pytest.raises(AuthError) as caught:
        exchanges(client_secret="qwertz123").parse_token(answer(body, 401), NOW)
    assert "qwertz123" not in str(caught.value)


# ------------------------------------------------------------------------------------------------ device and revocation

DEVICE = '{"device_code": "D", "user_code": "AB-CD", "verification_uri": "https://x.example/d", "expires_in": 600'


def test_a_device_code_is_read():
    """With interval, end, and the address that has the code in it."""
    body = f'{DEVICE}, "interval": 7, "verification_uri_complete": "https://x.example/d?c=AB-CD"}}'
    device = exchanges().parse_device(answer(body), NOW, "V" * 43)
    assert (device.user_code, device.interval, device.expires_at) == ("AB-CD", 7, NOW + 600)
    assert device.verification_url == "https://x.example/d?c=AB-CD"
    assert device.verifier == "V" * 43
    shown = repr(device)
    assert "'D'" not in shown
    assert "VVV" not in shown


@pytest.mark.parametrize(
    ("interval", "expected"),
    [("null", 5), ('"3"', 3), ("0", 5), ("-1", 5), ("0.1", 1), ("9999", 60), ('"x"', 5)],
)
def test_the_interval_of_a_device_is_sane(interval, expected):
    """Five seconds where the server does not say (RFC 8628)."""
    device = exchanges().parse_device(answer(f'{DEVICE}, "interval": {interval}}}'), NOW, None)
    assert device.interval == expected


def test_the_old_name_of_the_address_is_read():
    """Google calls it verification_url."""
    body = '{"device_code": "D", "user_code": "U", "verification_url": "https://g.example", "expires_in": "1800"}'
    device = exchanges().parse_device(answer(body), NOW, None)
    assert (device.verification_uri, device.expires_at) == ("https://g.example", NOW + 1800)


@pytest.mark.parametrize(
    "body",
    [
        '{"user_code": "U", "verification_uri": "https://x"}',
        '{"device_code": "D", "verification_uri": "https://x"}',
        '{"device_code": "D", "user_code": "U"}',
        '{"device_code": "D", "user_code": "U", "verification_uri": "javascript:alert(1)"}',
        '{"device_code": 1, "user_code": "U", "verification_uri": "https://x"}',
    ],
)
def test_a_device_code_that_lacks_something_is_an_error(body):
    """Nobody could enter it."""
    with pytest.raises(AuthError) as caught:
        exchanges().parse_device(answer(body), NOW, None)
    assert caught.value.code == AuthErrorCode.OAUTH_FLOW_FAILED


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (400, '{"error": "authorization_pending"}', 0.0),
        (428, '{"error": "authorization_pending"}', 0.0),
        (200, '{"error": "authorization_pending"}', 0.0),
        (400, '{"error": "slow_down"}', 5.0),
        (429, '{"error": "slow_down"}', 5.0),
        (403, '{"error": "slow_down"}', 5.0),
        (429, "busy", 5.0),
        (503, "<html>", 5.0),
        (400, '{"error": "access_denied"}', "declined"),
        (400, '{"error": "expired_token"}', "not entered in time"),
        (401, '{"error": "invalid_client"}', "client_id"),
    ],
)
def test_each_answer_to_a_poll_has_its_meaning(status, body, outcome):
    """Whatever status the server chose for it."""
    device = DeviceCode(user_code="U", verification_uri="https://x", device_code="D", expires_at=NOW)
    if isinstance(outcome, float):
        assert exchanges().parse_poll(answer(body, status), NOW, device, ()) == outcome
        return
    with pytest.raises(AuthError) as caught:
        exchanges().parse_poll(answer(body, status), NOW, device, ())
    assert outcome in caught.value.details


def test_revoking_what_is_over_is_no_error():
    """RFC 7009: 200 either way; a refusal is one."""
    exchanges().parse_revoke(answer("", 200))
    with pytest.raises(AuthError):
        exchanges().parse_revoke(answer('{"error": "unsupported_token_type"}', 400))
    request = exchanges().prepare_revoke("t0ken", "refresh_token")
    assert form(request) == {"token": "t0ken", "token_type_hint": "refresh_token", "client_id": "me"}


def test_a_client_is_learned_from_the_token_it_got():
    """A later process needs no configuration to refresh; what it has goes first."""
    bare = TokenRequests("acme", OAuthConfig())
    first = exchanges(client_secret="s3cret")
    bare = bare.for_client(first.client)
    assert (bare.config.client_id, bare.config.client_secret, bare.config.token_url) == (
        "me",
        "s3cret",
        URLS["token_url"],
    )
    other = exchanges(client_id="mine")
    other = other.for_client(first.client)
    assert other.config.client_id == "mine"
    assert other.config.client_secret is None
    half = TokenRequests("acme", OAuthConfig(client_id="me"))
    half = half.for_client(first.client)
    assert half.config.token_url == URLS["token_url"]
    # Somebody logs in anew, with another client at another server: nothing of the old one stays.
    bare = TokenRequests("acme", OAuthConfig()).for_client(
        {"client_id": "second", "token_url": "https://second.example/token"}
    )
    assert (bare.config.client_id, bare.config.client_secret) == ("second", None)
    assert bare.config.token_url == "https://second.example/token"
