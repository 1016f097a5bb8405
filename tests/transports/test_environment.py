"""Proxies and certificates of the environment."""

import ssl

import pytest

from provider_kit import ConfigError
from provider_kit.model.config import HTTPConfig
from provider_kit.transports.environment import find_proxy, ssl_context, verify_setting

URL = "https://api.test/v1/chat"


@pytest.mark.parametrize(
    ("variables", "url", "proxy"),
    [
        ({}, URL, None),
        ({"HTTPS_PROXY": "http://p:1"}, URL, "http://p:1"),
        ({"https_proxy": "http://p:1"}, URL, "http://p:1"),
        ({"https_proxy": "http://low:1", "HTTPS_PROXY": "http://up:1"}, URL, "http://low:1"),
        ({"HTTPS_PROXY": "p:1"}, URL, "http://p:1"),
        ({"HTTPS_PROXY": "http://user:word@p:1"}, URL, "http://user:word@p:1"),
        ({"HTTPS_PROXY": "socks5h://p:1"}, URL, "socks5h://p:1"),
        ({"HTTPS_PROXY": ""}, URL, None),
        ({"HTTP_PROXY": "http://p:1"}, URL, None),
        ({"HTTP_PROXY": "http://p:1"}, "http://api.test/v1", "http://p:1"),
        ({"ALL_PROXY": "http://p:1"}, URL, "http://p:1"),
        ({"all_proxy": "http://p:1"}, "http://api.test/v1", "http://p:1"),
        ({"ALL_PROXY": "http://all:1", "HTTPS_PROXY": "http://own:1"}, URL, "http://own:1"),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "api.test"}, URL, None),
        ({"HTTPS_PROXY": "http://p:1", "no_proxy": "other, .test"}, URL, None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "test"}, URL, None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, URL, None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "pi.test"}, URL, "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "api.test:8443"}, "https://api.test:8443/v1", None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "api.test:8443"}, URL, "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "api.test"}, "https://api.test:8443/v1", None),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "127.0.0.1"}, "http://127.0.0.1:8080/v1", None),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8, 127.0.0.0/8"}, "http://127.3.2.1:8080/v1", None),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8"}, "http://127.0.0.1:8080/v1", "http://p:1"),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8"}, "http://api.test/v1", "http://p:1"),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "fd00::/8"}, "http://[fd00::1]:80/v1", None),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "no/net, what/ever"}, "http://10.0.0.1/v1", "http://p:1"),
    ],
)
def test_the_environment_names_the_proxy(monkeypatch, variables, url, proxy):
    """The variables mean what they mean to requests, networks in NO_PROXY included."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert find_proxy(url, HTTPConfig()) == proxy


@pytest.mark.parametrize(
    ("config", "proxy"),
    [
        ({"proxy": "http://own:1"}, "http://own:1"),
        ({"proxy": "own:1"}, "http://own:1"),
        ({"proxy": {"https": "http://own:1"}}, "http://own:1"),
        ({"proxy": {"http": "http://own:1"}}, None),
        ({"proxy": {}}, None),
        ({"proxy": ""}, None),
        ({"trust_env": False}, None),
        ({"proxy": "http://own:1", "trust_env": False}, "http://own:1"),
    ],
)
def test_what_is_configured_comes_before_the_environment(monkeypatch, config, proxy):
    """A proxy of one's own is meant, NO_PROXY or not; an empty one means none."""
    monkeypatch.setenv("HTTPS_PROXY", "http://env:1")
    monkeypatch.setenv("NO_PROXY", "api.test" if "proxy" in config else "")
    assert find_proxy(URL, HTTPConfig(**config)) == proxy


def test_a_bundle_is_looked_for_where_requests_looks(monkeypatch):
    """Then where OpenSSL looks; the first one named counts."""
    assert verify_setting(HTTPConfig()) is True
    for name in ("SSL_CERT_DIR", "SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, f"/of/{name}")
        assert verify_setting(HTTPConfig()) == f"/of/{name}"
        assert verify_setting(HTTPConfig(trust_env=False)) is True
        assert verify_setting(HTTPConfig(verify=False)) is False
        assert verify_setting(HTTPConfig(verify="/own.pem")) == "/own.pem"


def test_contexts_are_shared_by_equal_settings(certificates):
    """Making one costs milliseconds."""
    assert ssl_context(HTTPConfig()) is ssl_context(HTTPConfig(max_connections=3))
    assert ssl_context(HTTPConfig()) is not ssl_context(HTTPConfig(verify=certificates.authority))


def test_certificates_are_checked_unless_told_otherwise(certificates):
    """By name and by authority."""
    for verify in (True, certificates.authority, str(certificates.folder)):
        context = ssl_context(HTTPConfig(verify=verify))
        assert context.verify_mode == ssl.CERT_REQUIRED
        assert context.check_hostname
    context = ssl_context(HTTPConfig(verify=False, cert=certificates.client))
    assert context.verify_mode == ssl.CERT_NONE
    assert not context.check_hostname


@pytest.mark.parametrize(
    "config",
    [
        {"verify": "/no/such/bundle.pem"},
        {"cert": "/no/such/certificate.pem"},
        {"cert": (__file__, __file__)},
        {"verify": __file__},
    ],
)
def test_a_certificate_file_that_cannot_be_read_is_named(config):
    """With a hint at the settings and variables it may come from."""
    with pytest.raises(ConfigError, match="certificate") as caught:
        ssl_context(HTTPConfig(**config))
    assert "REQUESTS_CA_BUNDLE" in caught.value.hint
    assert "/no/such" in str(caught.value) or "/no/such" not in str(config)
