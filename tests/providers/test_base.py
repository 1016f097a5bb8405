"""The seams of a provider."""

import pytest

from provider_kit.dialects.base import Dialect
from provider_kit.errors import NotSupportedError
from provider_kit.model.config import ProviderConfig
from provider_kit.providers.base import Provider, custom_headers


def test_a_provider_of_plain_data_speaks_chat():
    """Its key as a bearer token, its address its own."""
    provider = Provider(
        name="acme", base_url="https://a.test", base_url_variables=("ACME_URL",), key_variables=("A", "B")
    )
    config = ProviderConfig(type="acme")
    assert provider.make_dialects(config)("m").origin == "openai_chat/acme"
    assert provider.find_base_url(config, {}) == "https://a.test"
    assert provider.find_base_url(config, {"ACME_URL": "https://b.test"}) == "https://b.test"
    assert provider.find_base_url(config.replace(base_url="https://c.test"), {"ACME_URL": "x"}) == "https://c.test"
    assert provider.find_key({"A": "", "B": "key"}) == ("key", "B")
    assert provider.find_key({}) == (None, None)
    assert provider.key_headers("k", None) == {"Authorization": "Bearer k"}
    assert provider.extra_headers(config, {}) == {}
    assert provider.complete(config, {}) is config


def test_a_provider_may_carry_its_key_in_another_header_and_speak_otherwise():
    """Both are data."""

    class Own(Dialect):
        name = "own"

    provider = Provider(name="acme", key_header="x-api-key", dialect=Own)
    assert provider.key_headers("k", None) == {"x-api-key": "k"}
    dialect = provider.make_dialects(ProviderConfig(type="acme", name="mine"))("m")
    assert (dialect.origin, dialect.provider) == ("own", "mine")


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        ("build_chat", {"request": None, "stream": False, "report": None}),
        ("parse_chat", {"payload": None}),
        ("stream_decoder", {}),
        ("build_models", {"cursor": None}),
        ("parse_models", {"payload": None}),
        ("build_embed", {"texts": [], "model": "m", "dimensions": None}),
        ("parse_embed", {"payload": None}),
        ("build_count", {"request": None, "report": None}),
        ("parse_count", {"payload": None}),
    ],
)
def test_what_a_dialect_does_not_have_is_told(verb, arguments):
    """By name of the provider, before anything is sent."""
    with pytest.raises(NotSupportedError, match="acme has no endpoint for"):
        getattr(Dialect(provider="acme"), verb)(**arguments)


def test_headers_are_read_from_a_variable():
    """A line each; what is none is passed over."""
    assert custom_headers("A: 1\nB:2:3\nnone\n : 4") == {"A": "1", "B": "2:3"}
    assert custom_headers(None) == {}
