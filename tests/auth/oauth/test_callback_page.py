"""The page after a login, and which requests are a callback at all."""

import pytest

from provider_kit.auth.oauth.callback_page import callback_target, response, result_page


def head(first, *lines):
    return ("\r\n".join([first, *lines]) + "\r\n\r\n").encode("latin-1")


HOST = "Host: 127.0.0.1:4000"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (head("GET /callback?code=1 HTTP/1.1", HOST), (200, "/callback?code=1")),
        (head("GET /callback HTTP/1.0"), (200, "/callback")),
        (head("GET /callback?a HTTP/1.1", "HOST: LOCALHOST:4000"), (200, "/callback?a")),
        (head("GET /callback?a HTTP/1.1", "Host: [::1]:4000"), (200, "/callback?a")),
        (head("GET /favicon.ico HTTP/1.1", HOST), (404, "")),
        (head("GET /callback/ HTTP/1.1", HOST), (404, "")),
        (head("GET //evil.example/callback HTTP/1.1", HOST), (404, "")),
        (head("POST /callback?code=1 HTTP/1.1", HOST), (405, "")),
        (head("HEAD /callback HTTP/1.1", HOST), (405, "")),
        (head("GET http://evil.example/callback HTTP/1.1", HOST), (400, "")),
        (head("GET /callback?code=1 HTTP/1.1", "Host: evil.example"), (421, "")),
        (head("GET /callback?code=1 HTTP/1.1", "Host: 127.0.0.1:9"), (421, "")),
        (head("nonsense"), (400, "")),
        (b"\x16\x03\x01\r\n\r\n", (400, "")),
        (b"GET /callback HTTP/1.1\r\nHost: x", None),
        (b"A" * 20_000, (400, "")),
    ],
)
def test_only_the_callback_is_one(data, expected):
    """Other paths, methods and hosts (a page that merely resolves to this machine) are not."""
    assert callback_target(data, "/callback", 4000) == expected


def test_the_page_says_what_to_do_next():
    """Done, and where to go; or what went wrong, and the hint."""
    page, _ = result_page(True, "gemini")
    assert "You are logged in to gemini" in page
    assert "close this window" in page
    page, _ = result_page(False, "gemini", "The login was declined", "Log in again and agree")
    assert "failed" in page
    assert "Log in again and agree" in page


def test_nothing_in_the_page_can_be_injected():
    """The words of a server are text, never markup."""
    page, _ = result_page(False, "<b>x", "<script>alert(1)</script>", '"><img src=x>')
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "<b>" not in page


def test_the_page_loads_nothing_and_is_kept_nowhere():
    """A policy with a new nonce each time, no cache, no referrer; the code leaves the address bar."""
    (page, nonce), (_, other) = result_page(True, "x"), result_page(True, "x")
    assert nonce != other
    assert f'nonce="{nonce}"' in page
    assert "replaceState" in page
    sent = response(200, page, nonce).decode()
    start, _, body = sent.partition("\r\n\r\n")
    assert start.startswith("HTTP/1.1 200 OK")
    assert f"Content-Length: {len(body.encode())}" in start
    for line in ("Cache-Control: no-store", "Referrer-Policy: no-referrer", "default-src 'none'", "Connection: close"):
        assert line in start
    assert "http" not in body.replace("http-equiv", "")
