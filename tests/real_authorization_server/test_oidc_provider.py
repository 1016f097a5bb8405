"""Against a certified authorization server: PKCE, rotation with reuse detection, devices, revocation."""

import threading
import time
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests

from provider_kit import (
    AuthError,
    AuthErrorCode,
    Client,
    FileTokenStorage,
    MemoryTokenStorage,
    OAuthAuthenticator,
    OAuthConfig,
    PKCEConfig,
)
from provider_kit.testing import FakeServer


class InBackground:
    """Runs something in a thread, as ``open_browser``; and joins it."""

    def __init__(self, act):
        self._act, self.result, self.error = act, None, None

    def __call__(self, *arguments):
        self.thread = threading.Thread(target=self._run, args=arguments)
        self.thread.start()

    def _run(self, *arguments):
        try:
            self.result = self._act(*arguments)
        except Exception as error:
            self.error = error

    def done(self):
        self.thread.join(60)
        if self.error is not None:
            raise self.error
        return self.result


def make(issuer, storage=None, **changes):
    known = {"client_id": "public-client", "issuer": issuer, "default_scopes": ("openid", "offline_access")}
    return OAuthAuthenticator("acme", storage or MemoryTokenStorage(), OAuthConfig(**{**known, **changes}))


def logged_in(world, issuer, person, storage=None, **changes):
    authenticator = make(issuer, storage, **changes)
    visit = InBackground(person.visit)
    world(authenticator, "login", open_browser=visit, show=None, timeout=60)
    assert "You are logged in to acme" in visit.done().text
    return authenticator


def who(issuer, token):
    """Whom the server takes the token for; ``None`` if it refuses it."""
    answer = requests.get(f"{issuer}/me", headers={"Authorization": f"Bearer {token}"}, timeout=20)
    return answer.json()["sub"] if answer.status_code == 200 else None


@pytest.mark.parametrize(
    "client", [{}, {"client_id": "secret-client", "client_secret": "a-secret-of-the-tests"}], ids=["public", "secret"]
)
def test_the_whole_life_of_a_login(world, issuer, person, client):
    """Code with PKCE, use, refresh with rotation, revocation; the addresses come from the issuer alone."""
    authenticator = logged_in(world, issuer, person, **client)
    token = world(authenticator, "get_token")
    assert who(issuer, token) == "ada"
    first = authenticator.storage.retrieve_token("acme")
    assert first.scopes == ("openid",)  # what was granted, not what was asked for
    info = world(authenticator, "refresh_token")
    second = authenticator.storage.retrieve_token("acme")
    assert info.can_refresh
    assert second.refresh_token != first.refresh_token
    assert who(issuer, second.access_token) == "ada"
    assert world(authenticator, "logout")
    assert who(issuer, second.access_token) is None
    authenticator.storage.store_token("acme", second)
    with pytest.raises(AuthError) as caught:
        world(authenticator, "refresh_token")
    assert (caught.value.code, caught.value.retryable) == (AuthErrorCode.REFRESH_FAILED, False)


def test_an_old_refresh_token_ends_the_login_and_that_is_said(world, issuer, person):
    """The server detects the reuse; we say to log in, and a new login works."""
    authenticator = logged_in(world, issuer, person)
    old = authenticator.storage.retrieve_token("acme")
    world(authenticator, "refresh_token")
    authenticator.storage.store_token("acme", old)
    with pytest.raises(AuthError, match="invalid_grant") as caught:
        world(authenticator, "refresh_token")
    assert "Log in again" in caught.value.hint
    visit = InBackground(person.visit)
    assert world(authenticator, "login", open_browser=visit, show=None).can_refresh
    visit.done()


def test_without_pkce_the_server_refuses(world, issuer, person):
    """It is required; the error callback is told."""
    authenticator = make(issuer, pkce=PKCEConfig(enabled=False))
    visit = InBackground(person.visit)
    with pytest.raises(AuthError) as caught:
        world(authenticator, "login", open_browser=visit, show=None, timeout=20)
    assert "PKCE" in str(caught.value)
    assert caught.value.code == AuthErrorCode.OAUTH_FLOW_FAILED
    visit.done()


def test_a_verifier_that_does_not_fit_is_refused(world, issuer, person):
    """Somebody else's code is of no use."""
    authenticator = make(issuer, redirect_url="http://127.0.0.1:7/callback")
    url = world(authenticator, "start_oauth_flow")
    where = person.visit(url, until="http://127.0.0.1:7/")
    (login,) = authenticator._pending._waiting
    object.__setattr__(login, "verifier", "x" * 43)
    with pytest.raises(AuthError) as caught:
        world(authenticator, "handle_callback", where)
    assert (caught.value.code, "invalid_grant" in caught.value.details) == (AuthErrorCode.OAUTH_FLOW_FAILED, True)


def test_a_code_works_once(world, issuer, person):
    """The server refuses it the second time, and we never show it twice ourselves."""
    authenticator = make(issuer, redirect_url="http://127.0.0.1:7/callback")
    where = person.visit(world(authenticator, "start_oauth_flow"), until="http://127.0.0.1:7/")
    assert world(authenticator, "handle_callback", where).can_refresh
    query = {name: values[0] for name, values in parse_qs(urlsplit(where).query).items()}
    assert query["iss"] == issuer
    again = make(issuer, redirect_url="http://127.0.0.1:7/callback")
    state = parse_qs(urlsplit(world(again, "start_oauth_flow")).query)["state"][0]
    with pytest.raises(AuthError, match="invalid_grant"):
        world(again, "handle_callback", f"http://127.0.0.1:7/callback?{urlencode({**query, 'state': state})}")


def test_a_wrong_secret_is_told(world, issuer, person):
    """invalid_credentials, naming what to compare."""
    authenticator = make(issuer, client_id="secret-client", client_secret="not-the-secret")
    visit = InBackground(person.visit)
    with pytest.raises(AuthError) as caught:
        world(authenticator, "login", open_browser=visit, show=None, timeout=20)
    assert caught.value.code == AuthErrorCode.INVALID_CREDENTIALS
    assert "client_secret" in caught.value.hint
    assert "not-the-secret" not in str(caught.value)
    assert visit.done().status_code == 400


@pytest.mark.long
def test_a_device_is_let_in(world, issuer, person):
    """The code is entered on another device, by a person who logs in and agrees there."""
    authenticator = make(issuer)

    def enter(device):
        return person.visit(device.verification_uri, user_code=device.user_code)

    visit = InBackground(enter)
    info = world(authenticator, "device_login", show=visit, timeout=60)
    assert "Sign-in Success" in visit.done().text
    assert info.can_refresh
    assert who(issuer, world(authenticator, "get_token")) == "ada"
    assert world(authenticator, "refresh_token").can_refresh


@pytest.mark.long
@pytest.mark.access_token_seconds(2)
def test_calls_go_on_while_tokens_come_and_go(world, issuer, person, tmp_path):
    """Tokens of two seconds, calls for five, two clients over one file: all answered, nobody logged out."""
    path = tmp_path / "t.json"
    logged_in(world, issuer, person, FileTokenStorage(path))
    accepted = {}

    def good(token):
        if token not in accepted:
            accepted[token] = (who(issuer, token) == "ada", time.monotonic())
        known, since = accepted[token]
        return known and time.monotonic() - since < 2.5

    with FakeServer(key=good) as api:
        clients = [
            Client("openai/gpt-4o", base_url=api.base_url(), auth=make(issuer, FileTokenStorage(path)))
            for _ in range(2)
        ]
        end = time.monotonic() + 5
        while time.monotonic() < end:
            for client in clients:
                assert world(client, "chat", "What is 2 + 3?").text == "2 + 3 = 5"
            time.sleep(0.05)
    assert len(accepted) >= 3
    assert make(issuer, FileTokenStorage(path)).refresh_token().can_refresh


# ------------------------------------------------------------------------------------------------ a real browser


def test_a_login_in_a_real_browser(world, issuer, browser, tmp_path):
    """The person types, agrees, and sees our page; it has no code in its address, and breaks no rule of its own."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    def act(url):
        browser.get(url)
        browser.find_element(By.NAME, "login").send_keys("ada")
        browser.find_element(By.NAME, "password").send_keys("any")
        browser.find_element(By.CSS_SELECTOR, "button[type=submit]").click()
        wait = WebDriverWait(browser, 20)
        wait.until(lambda b: "Authorize" in b.page_source or "Continue" in b.page_source)
        browser.find_element(By.CSS_SELECTOR, "button[type=submit]").click()
        wait.until(lambda b: b.title.startswith("You are logged in"))
        color = browser.execute_script("return getComputedStyle(document.querySelector('main')).borderTopColor")
        browser.save_screenshot(str(tmp_path / "page.png"))
        return browser.current_url, browser.find_element(By.TAG_NAME, "main").text, color, browser.get_log("browser")

    authenticator = make(issuer)
    visit = InBackground(act)
    info = world(authenticator, "login", open_browser=visit, show=None, timeout=60)
    address, text, color, log = visit.done()
    assert info.can_refresh
    assert who(issuer, world(authenticator, "get_token")) == "ada"
    assert urlsplit(address).path == "/callback"
    assert urlsplit(address).query == ""
    assert "You are logged in to acme" in text
    assert "close this window" in text
    assert color == "rgb(26, 127, 75)"  # the style is applied, so its nonce is right
    assert not [entry for entry in log if "Content Security Policy" in entry["message"] and "/callback" in str(entry)]


def test_a_person_who_declines_in_a_real_browser(world, issuer, browser):
    """The page says what happened and what to do; so does the error."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    def act(url):
        browser.get(url)
        browser.find_element(By.PARTIAL_LINK_TEXT, "Cancel").click()
        WebDriverWait(browser, 20).until(lambda b: "failed" in b.title)
        return browser.find_element(By.TAG_NAME, "main").text

    visit = InBackground(act)
    with pytest.raises(AuthError, match="declined"):
        world(make(issuer), "login", open_browser=visit, show=None, timeout=60)
    text = visit.done()
    assert "The login to acme failed" in text
    assert "agree" in text
