"""Where an issuer's discovery document lies, and when it is believed."""

import pytest

from provider_kit import AuthError, AuthErrorCode, OAuthConfig
from provider_kit.auth.oauth.discovery import check_address, discovery_addresses, read_discovery

DOCUMENT = {
    "issuer": "https://auth.example",
    "authorization_endpoint": "https://auth.example/a",
    "token_endpoint": "https://auth.example/t",
    "device_authorization_endpoint": "https://auth.example/d",
    "revocation_endpoint": "https://auth.example/r",
}


def test_the_document_is_looked_for_where_both_standards_put_it():
    """RFC 8414 before the path, OpenID Connect behind it."""
    assert discovery_addresses("https://auth.example/tenant/", "acme") == (
        "https://auth.example/.well-known/oauth-authorization-server/tenant",
        "https://auth.example/tenant/.well-known/openid-configuration",
        "https://auth.example/.well-known/openid-configuration/tenant",
    )
    assert len(discovery_addresses("https://auth.example", "acme")) == 2
    with pytest.raises(AuthError, match="unencrypted"):
        discovery_addresses("http://auth.example", "acme")


def test_addresses_are_taken_from_the_document():
    """What the configuration gives goes first."""
    config = OAuthConfig(client_id="c", issuer="https://auth.example/", revoke_url="https://mine.example/r")
    found = read_discovery(DOCUMENT, config, "acme")
    assert (found.auth_url, found.token_url, found.device_url) == (
        "https://auth.example/a",
        "https://auth.example/t",
        "https://auth.example/d",
    )
    assert found.revoke_url == "https://mine.example/r"


@pytest.mark.parametrize(
    ("methods", "expected"),
    [
        (["client_secret_basic"], "basic"),
        (["client_secret_basic", "client_secret_post"], "post"),
        (["private_key_jwt"], "basic"),
        (None, "basic"),
    ],
)
def test_the_document_says_how_a_secret_travels(methods, expected):
    """Basic where it is silent (RFC 8414 section 2)."""
    document = {**DOCUMENT, **({"token_endpoint_auth_methods_supported": methods} if methods else {})}
    config = OAuthConfig(client_id="c", client_secret="s", issuer="https://auth.example")
    assert read_discovery(document, config, "acme").client_auth == expected
    assert read_discovery(document, config.replace(client_secret=None), "acme").client_auth is None
    assert read_discovery(document, config.replace(client_auth="post"), "acme").client_auth == "post"


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "not a JSON object"),
        ({**DOCUMENT, "issuer": "https://evil.example"}, "another issuer"),
        ({**DOCUMENT, "issuer": None}, "another issuer"),
        ({"issuer": "https://auth.example"}, "no token_endpoint"),
        ({**DOCUMENT, "token_endpoint": "http://auth.example/t"}, "unencrypted"),
    ],
)
def test_a_document_that_cannot_be_trusted_is_refused(document, words):
    """Of another issuer, without addresses, or with unencrypted ones."""
    with pytest.raises(AuthError, match=words) as caught:
        read_discovery(document, OAuthConfig(client_id="c", issuer="https://auth.example"), "acme")
    assert caught.value.code == AuthErrorCode.INVALID_CONFIG


def test_plain_addresses_of_this_machine_are_allowed():
    """For tests and local servers."""
    assert check_address("http://[::1]:8080/t", "token_url", "acme") == "http://[::1]:8080/t"
