"""Addresses and HTTP messages."""

import pytest

from provider_kit.wire.http import HttpRequest, HttpResponse, Limits, is_loopback, join_url, same_origin


@pytest.mark.parametrize(
    ("base", "path", "query", "url"),
    [
        ("https://h.test/v1", "/chat", None, "https://h.test/v1/chat"),
        ("https://h.test/v1/", "chat", None, "https://h.test/v1/chat"),
        ("https://h.test/v1", "", None, "https://h.test/v1"),
        ("https://h.test/v1", "/a", {"x": "1 2"}, "https://h.test/v1/a?x=1+2"),
        ("https://h.test/v1?api-version=7", "/a", None, "https://h.test/v1/a?api-version=7"),
        ("https://h.test/v1?api-version=7", "/a", {"x": 1}, "https://h.test/v1/a?api-version=7&x=1"),
        ("https://h.test", "/a?alt=sse", {"x": 1}, "https://h.test/a?alt=sse&x=1"),
    ],
)
def test_paths_are_appended_to_addresses(base, path, query, url):
    """Slashes are not doubled, and a query of the address stays at the end."""
    assert join_url(base, path, query) == url


def test_origins_are_scheme_host_and_port():
    """The path does not matter, the port does."""
    assert same_origin("https://h.test/a", "https://h.test/b?c")
    assert not same_origin("https://h.test/a", "https://h.test:8443/a")
    assert not same_origin("https://h.test", "http://h.test")


def test_nothing_secret_is_shown():
    """Headers and bodies appear as their sizes only."""
    request = HttpRequest("POST", "https://h.test", {"Authorization": "Bearer secret"}, b"secret body")
    response = HttpResponse(200, {"x": "1"}, b"secret body")
    assert "secret" not in repr(request) + repr(response)
    assert "<11 bytes>" in repr(request)
    assert "None" in repr(HttpRequest("GET", "https://h.test", {}))


def test_limits_wait_without_bound_unless_told():
    """Only the size has a bound of its own."""
    assert Limits() == Limits(None, None, None, None, 64 * 1024 * 1024)


@pytest.mark.parametrize(
    ("host", "expected"),
    [("localhost", True), ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("a.localhost", True),
     ("0.0.0.0", False), ("localhost.example", False), ("10.0.0.1", False), ("", False)],
)  # fmt: skip
def test_only_this_machine_is_loopback(host, expected):
    """Told by name or address, never by a lookup."""
    assert is_loopback(host) is expected


def test_an_unspecified_address_is_this_machine_where_it_counts():
    """As servers print it for their own address; no name is looked up."""

    def is_ours(host):
        return is_loopback(host, unspecified=True)

    assert all(map(is_ours, ("localhost", "x.localhost", "127.0.0.1", "127.1.2.3", "::1", "0.0.0.0", "::")))
    assert not any(map(is_ours, ("", "127.0.0.1.x", "localhost.x", "example.com", "10.0.0.1", "::2", "0127.1")))
