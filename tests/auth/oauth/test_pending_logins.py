"""Begun logins: states that cannot be guessed, work once, and end."""

import pickle

import pytest

from provider_kit import AuthError, AuthErrorCode
from provider_kit.auth.oauth.pending_logins import PendingLogins, read_callback


def begin(logins, until=100.0):
    return logins.begin(verifier="v" * 43, redirect_url="http://127.0.0.1:1/cb", scopes=["a"], length=32, until=until)


def test_states_are_long_and_differ():
    """32 random bytes, and more logins may run at once."""
    logins = PendingLogins("acme")
    states = {begin(logins).state for _ in range(100)}
    assert len(states) == 100
    assert all(len(state) >= 43 for state in states)


def test_a_login_is_taken_once():
    """The second time its state counts as used."""
    logins = PendingLogins("acme")
    login = begin(logins)
    assert logins.knows(login.state)
    assert logins.take(str(login.state), 99.0) is login
    with pytest.raises(AuthError, match="used before") as caught:
        logins.take(str(login.state), 99.0)
    assert caught.value.code == AuthErrorCode.OAUTH_FLOW_FAILED
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("state", "words"), [(None, "no state"), ("", "no state"), ("forged", "forged"), ("ümlaut", "forged")]
)
def test_a_missing_or_forged_state_is_refused(state, words):
    """And the login that waits is not touched."""
    logins = PendingLogins("acme")
    login = begin(logins)
    with pytest.raises(AuthError, match=words) as caught:
        logins.take(state, 1.0)
    assert caught.value.message == "Invalid OAuth state."
    assert caught.value.hint
    assert logins.take(login.state, 1.0) is login


def test_a_state_of_another_login_here_is_good_for_that_login_only():
    """Two at once do not mix up."""
    logins = PendingLogins("acme")
    one, other = begin(logins), begin(logins)
    assert logins.take(other.state, 1.0) is other
    assert logins.take(one.state, 1.0) is one
    with pytest.raises(AuthError):
        PendingLogins("acme").take(one.state, 1.0)


def test_a_state_that_is_too_old_is_refused_and_gone():
    """Ten minutes by default."""
    logins = PendingLogins("acme")
    login = begin(logins, until=100.0)
    with pytest.raises(AuthError, match="took too long"):
        logins.take(login.state, 100.5)
    with pytest.raises(AuthError, match="used before"):
        logins.take(login.state, 1.0)


def test_logins_that_nobody_ends_do_not_pile_up():
    """The oldest are forgotten."""
    logins = PendingLogins("acme")
    first = begin(logins)
    for _ in range(1000):
        begin(logins)
    assert not logins.knows(first.state)
    assert "1000 pending" in repr(logins)


def test_no_secret_is_shown():
    """Neither state nor verifier; a copy has begun no login."""
    logins = PendingLogins("acme")
    login = begin(logins)
    assert login.state not in f"{login!r}{logins!r}"
    assert "vvv" not in repr(login)
    assert not pickle.loads(pickle.dumps(logins)).knows(login.state)


@pytest.mark.parametrize(
    ("code", "state", "expected"),
    [
        ("abc", "s", ("abc", "s", None)),
        ("  abc\n", "s", ("abc", "s", None)),
        ("http://127.0.0.1:1/cb?code=abc&state=s", None, ("abc", "s", None)),
        ("https://app.example/cb?x=1&code=a%2Fb&state=s&iss=https%3A%2F%2Fi", None, ("a/b", "s", "https://i")),
        ("/cb?code=abc&state=s", None, ("abc", "s", None)),
        ("?code=abc&state=s", None, ("abc", "s", None)),
        ("code=abc&state=s", None, ("abc", "s", None)),
        ("http://127.0.0.1:1/cb#code=abc&state=s", None, ("abc", "s", None)),
        ("4/0AbCd-e_f", "s", ("4/0AbCd-e_f", "s", None)),
    ],
)
def test_a_callback_is_read_in_every_form(code, state, expected):
    """A code and a state, or whatever part of the address was copied."""
    found = read_callback("acme", code, state)
    assert (found.code, found.state, found.issuer) == expected
    assert expected[0] not in repr(found)


@pytest.mark.parametrize("code", ["", "   ", None, "http://127.0.0.1/cb?state=s", "http://[", "https://x/?code="])
def test_a_callback_without_a_code_is_an_error(code):
    """With what to pass instead."""
    with pytest.raises(AuthError, match="no code") as caught:
        read_callback("acme", code)
    assert "full URL" in caught.value.hint


@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        ("error=access_denied&error_description=No+thanks", AuthErrorCode.OAUTH_FLOW_FAILED, "declined"),
        ("error=invalid_scope", AuthErrorCode.SCOPE_INSUFFICIENT, "refused"),
        ("error=server_error", AuthErrorCode.PROVIDER_UNAVAILABLE, "refused"),
        ("error=%3Cscript%3E", AuthErrorCode.OAUTH_FLOW_FAILED, "refused"),
    ],
)
def test_a_callback_with_an_error_tells_it(query, code, words):
    """RFC 6749 section 4.1.2.1."""
    with pytest.raises(AuthError, match=words) as caught:
        read_callback("acme", f"http://127.0.0.1:1/cb?{query}&state=s")
    assert caught.value.code == code
