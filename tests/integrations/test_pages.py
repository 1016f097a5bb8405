"""The chat page in a real browser, in each framework: typing, streaming, stopping, a decision, an error."""

import pytest

SITES = [
    ("flask_chat", "gunicorn gthread", "/api/chat"),
    ("django_chat", "gunicorn gthread", "/api/chat"),
    ("django_chat", "uvicorn", "/api/achat"),
    ("fastapi_chat", "uvicorn", "/api/chat"),
    ("litestar_chat", "uvicorn", "/api/chat"),
    ("quart_chat", "hypercorn", "/api/chat"),
    ("aiohttp_chat", "aiohttp", "/api/chat"),
]


class Page:
    """What a person sees and does."""

    def __init__(self, browser, url):
        from selenium.webdriver.common.by import By
        from selenium.webdriver.support.ui import WebDriverWait

        self.browser = browser
        self._by = By.CSS_SELECTOR
        self._wait = WebDriverWait(browser, 15, poll_frequency=0.02)
        browser.get(url)

    def all(self, selector):
        return self.browser.find_elements(self._by, selector)

    def say(self, text):
        # The answer before has ended.
        self.until(lambda: self.browser.execute_script("return !document.querySelector('#send').hidden"))
        self.all("#text")[0].send_keys(text + "\n")

    def press(self, selector):
        """In one go, since the page may draw it anew meanwhile."""
        click = "const one = document.querySelector(arguments[0]); one?.click(); return one !== null"
        self.until(lambda: self.browser.execute_script(click, selector))

    def until(self, condition):
        from selenium.common.exceptions import TimeoutException

        try:
            self._wait.until(lambda _: condition())
        except TimeoutException:
            shown = self.browser.execute_script("return document.querySelector('#log').textContent")
            raise AssertionError(f"it never came; the page shows: {shown[-2000:]}") from None

    def last(self):
        """The text of the last message; the page may draw it anew meanwhile."""
        return self.browser.execute_script(
            "return [...document.querySelectorAll('.message.assistant')].at(-1)?.textContent || ''"
        )


@pytest.mark.long
@pytest.mark.parametrize(("module", "server", "path"), SITES, ids=["-".join((one[0], one[2][5:])) for one in SITES])
def test_a_person_chats(serve, upstream, browser, module, server, path):
    """And nothing that a model says becomes part of the page."""
    site = serve(module, server, path)
    page = Page(browser, f"{site.url}/?api={path}")

    page.say("What is 2 + 3?")
    page.until(lambda: "2 + 3 = 5" in page.last())

    # Streaming: the beginning is seen before the end has come; then it is stopped.
    upstream.reply("word " * 500)
    upstream.fault(token_delay=0.05)
    page.say("Tell me a lot")
    page.until(lambda: "word word" in page.last())
    before = upstream.open_connections
    page.press("#stop")
    page.until(lambda: "Stopped." in page.last())
    assert site.wait_until(lambda: upstream.open_connections < before) < 2
    assert len(page.last()) < 500 * 5

    # What a model writes is text.
    upstream.reply("<img src=x onerror=\"document.title='broken'\"><script>document.title='broken'</script> **bold**")
    page.say("Be evil")
    page.until(lambda: "bold" in page.last())
    assert "<img src=x" in page.last()
    assert not page.all(".message img, .message script")
    assert browser.title == "Chat"

    # A tool that runs, and one that asks first.
    page.say("What is the weather in Rome?")
    page.until(lambda: "weather says: Rome: sunny" in page.last())
    page.say("Please pay")
    page.press("button.allow")
    page.until(lambda: "pay says: paid" in page.last())
    page.say("Please pay again")
    page.press("button.refuse")
    page.until(lambda: "not allowed" in page.last())
    page.until(lambda: page.all("#send")[0].is_displayed())

    # An error is shown, and the next message is answered.
    upstream.fault(400, message="secret words of the provider")
    page.say("Fail")
    page.until(lambda: page.all("[role=alert]"))
    page.until(lambda: "cannot be answered" in page.last())
    assert "secret" not in page.last()
    page.say("What is 1 + 1?")
    page.until(lambda: "1 + 1 = 2" in page.last())
    shown = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert all("400" in one for one in shown), shown
