"""The watch over the suite's own secrets finds what it is there for."""

import logging

import pytest
import secret_watch

from provider_kit import AuthError, FileTokenStorage
from provider_kit.auth.oauth.pending_logins import read_callback
from provider_kit.testing import OAuthServer


@pytest.fixture
def token():
    """A token that a server of this test has handed out."""
    with OAuthServer() as server:
        authenticator = server.authenticator()
        authenticator.login(open_browser=server.browser, show=None)
        yield str(authenticator.get_token())


@pytest.fixture
def own_watch(monkeypatch, _no_secret_gets_out):
    """A second watch; the suite's own one must not see what this test does wrong on purpose."""
    outer = secret_watch._current
    watch = secret_watch.begin(monkeypatch)
    yield watch
    logging.getLogger("provider_kit").removeHandler(watch.handler)
    outer.servers.clear()


def ends_badly(watch, words, folder=None, printed=""):
    with pytest.raises(AssertionError, match=words):
        secret_watch.end(watch, folder, lambda: printed)


def test_nothing_wrong_is_nothing_found(own_watch, token, tmp_path):
    """A storage may hold tokens, in files of its own."""
    from provider_kit import OAuthToken

    FileTokenStorage(tmp_path / "t.json").store_token("a", OAuthToken(access_token=token))
    assert token in own_watch.secrets
    secret_watch.end(own_watch, tmp_path, lambda: "all is well")


def test_a_logged_secret_is_found(own_watch, token):
    """In the message or among its arguments."""
    logging.getLogger("provider_kit.auth").warning("got %s", token)
    ends_badly(own_watch, "logged")


def test_a_printed_secret_is_found(own_watch, token):
    """By anybody, on any stream."""
    ends_badly(own_watch, "printed", printed=f"hello {token}")


def test_a_secret_in_an_error_is_found(own_watch, token):
    """In its text, in an attribute, or in its cause."""
    try:
        try:
            raise ValueError(token)
        except ValueError as error:
            raise AuthError("failed") from error
    except AuthError as error:
        own_watch.see(error)
    ends_badly(own_watch, "in an error")


def test_a_secret_in_a_variable_of_ours_is_found(own_watch, token):
    """As a traceback that shows variables would show it; of a function of the package, called with a plain text."""
    with pytest.raises(AuthError) as caught:
        read_callback("acme", "error=access_denied", state=f"plain {token}")
    own_watch.texts.clear()
    own_watch.see(caught.value)
    ends_badly(own_watch, "in an error or its traceback")


def test_a_secret_in_another_file_is_found(own_watch, token, tmp_path):
    """Or in a storage that others can read."""
    (tmp_path / "debug.txt").write_text(token)
    ends_badly(own_watch, "holds a secret", folder=tmp_path)


def test_a_secret_that_others_can_read_is_found(own_watch, token, tmp_path):
    """The mode of the file counts."""
    (tmp_path / "t.json").write_text(token)
    (tmp_path / "t.json").chmod(0o644)
    ends_badly(own_watch, "read by others", folder=tmp_path)
