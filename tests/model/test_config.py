"""Configuration values."""

import math

import pytest

from provider_kit.errors import ConfigError
from provider_kit.model.config import (
    HTTPConfig,
    ProviderConfig,
    RateLimitConfig,
    Timeout,
)
from provider_kit.model.oauth import OAuthConfig, OAuthCredentialSet


@pytest.mark.parametrize(
    ("given", "timeout"),
    [
        (None, None),
        (5, Timeout(5, 5, 5, answer=5)),
        (0.5, Timeout(0.5, 0.5, 0.5, answer=0.5)),
        ((3, 60), Timeout(3, 60, 60, answer=60)),
        ({"connect": 1, "total": 9}, Timeout(connect=1, total=9)),
        (Timeout(idle=None), Timeout(idle=None)),
        (math.inf, Timeout(math.inf, math.inf, math.inf, answer=math.inf)),
    ],
)
def test_timeouts_are_taken_in_every_known_form(given, timeout):
    """Seconds, requests' pair, a dict or a Timeout."""
    assert Timeout.parse(given) == timeout


@pytest.mark.parametrize("given", [0, -1, True, "5", (1, 2, 3), {"read": 1}, math.nan, {"connect": "x"}])
def test_timeouts_that_are_none_are_refused(given):
    """Zero seconds is no wait at all."""
    with pytest.raises(ConfigError):
        Timeout.parse(given)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"type": ""}, "type is missing"),
        ({"max_retries": -1}, "max_retries"),
        ({"max_retries": True}, "max_retries"),
        ({"max_retries": 1.5}, "max_retries"),
        ({"on_unsupported": "ignore"}, "on_unsupported"),
        ({"timeout": "5"}, "timeout"),
        ({"api_keys": "k1"}, "api_keys must be a list"),
        ({"api_keys": 7}, "api_keys must be a list"),
        ({"name": 7}, "name must be a string"),
        ({"base_url": b"x"}, "base_url must be a string"),
        ({"default_model": 7}, "default_model must be a string"),
        ({"headers": ["a"]}, "headers must be a dict"),
        ({"http": {"proxy": "x"}}, "http must be an HTTPConfig"),
        ({"total_timeout": 0}, "total_timeout"),
    ],
)
def test_a_wrong_configuration_is_refused_when_it_is_made(changes, words):
    """Not when the first call fails."""
    with pytest.raises(ConfigError, match=words):
        ProviderConfig(**{"type": "openai", **changes})


def test_a_configuration_has_a_label_and_can_be_changed():
    """Your name for it, else the provider's."""
    config = ProviderConfig(type="openai", api_keys=["a", "b"])
    assert config.label == "openai"
    assert config.replace(name="mine").label == "mine"
    assert config.api_keys == ("a", "b")


def test_no_configuration_shows_a_secret():
    """Keys, tokens and headers stay out of ``repr``."""
    shown = repr(
        [
            ProviderConfig(type="x", api_key="s3cret", api_keys=("s3cret",), headers={"a": "s3cret"}),
            OAuthConfig(client_id="c", client_secret="s3cret"),
            OAuthCredentialSet(
                id="i", client_id="c", client_secret="s3cret", access_token="s3cret", refresh_token="s3cret"
            ),
        ]
    )
    assert "s3cret" not in shown
    assert "<1 keys>" in shown
    assert repr(ProviderConfig(type="x")).count("api_keys=()") == 1
    assert HTTPConfig().max_connections is None
    assert RateLimitConfig().enabled
