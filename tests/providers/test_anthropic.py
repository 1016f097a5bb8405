"""Anthropic: where requests go, how they are signed, and what each Claude takes."""

import pytest

from provider_kit import Client, ProviderConfig, ScriptedTransport
from provider_kit.errors import ConfigError, MissingAPIKeyError
from provider_kit.providers.anthropic import PROVIDER, claude_profile

ANSWER = {"id": "msg_1", "content": [{"type": "text", "text": "Hi."}], "stop_reason": "end_turn"}


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch):
    for name in (*PROVIDER.key_variables, *PROVIDER.base_url_variables, "ANTHROPIC_CUSTOM_HEADERS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def request_of(call):
    """The request a client sends for a chat."""

    def ask(*args, **options):
        transport = ScriptedTransport([{"json": ANSWER}])
        call.chat(Client(*(args or ("anthropic",)), transport=transport, **options), "Hello")
        return transport.requests[0]

    return ask


def test_requests_go_to_anthropic_with_key_and_version(request_of):
    """The key travels as x-api-key, never in the URL, and alone."""
    request = request_of(api_key="sk-ant-api03-k")
    assert (request.method, request.url) == ("POST", "https://api.anthropic.com/v1/messages")
    assert request.headers["x-api-key"] == "sk-ant-api03-k"
    assert request.headers["anthropic-version"] == "2023-06-01"
    assert request.headers["Content-Type"] == "application/json"
    assert "Authorization" not in request.headers
    assert "anthropic-beta" not in request.headers


@pytest.mark.parametrize(
    ("variables", "header", "value"),
    [
        ({"ANTHROPIC_API_KEY": "sk-ant-k"}, "x-api-key", "sk-ant-k"),
        ({"ANTHROPIC_AUTH_TOKEN": "token"}, "Authorization", "Bearer token"),
        ({"ANTHROPIC_API_KEY": "sk-ant-k", "ANTHROPIC_AUTH_TOKEN": "token"}, "x-api-key", "sk-ant-k"),
        ({"ANTHROPIC_API_KEY": "sk-ant-oat01-t"}, "Authorization", "Bearer sk-ant-oat01-t"),
    ],
)
def test_the_key_comes_from_the_environment(request_of, monkeypatch, variables, header, value):
    """Keys and tokens each have their header; never are both sent."""
    for name, content in variables.items():
        monkeypatch.setenv(name, content)
    headers = request_of().headers
    assert headers[header] == value
    assert len({"x-api-key", "Authorization"} & headers.keys()) == 1


def test_a_token_that_is_passed_is_a_bearer_token(request_of):
    """OAuth tokens are told by how they begin."""
    headers = request_of(api_key="sk-ant-oat01-t").headers
    assert headers["Authorization"] == "Bearer sk-ant-oat01-t"
    assert "x-api-key" not in headers


def test_a_missing_key_says_where_it_was_looked_for(call):
    """Nothing is sent; the hint names the variable and the console."""
    with pytest.raises(MissingAPIKeyError, match="ANTHROPIC_API_KEY") as caught:
        call.chat(Client("anthropic", transport=ScriptedTransport([])), "Hello")
    assert "platform.claude.com" in caught.value.hint


@pytest.mark.parametrize("address", ["https://gate.test", "https://gate.test/", "https://gate.test/v1"])
def test_another_address_may_be_given_in_every_form(request_of, monkeypatch, address):
    """With or without /v1, as an argument or from the environment."""
    assert request_of(api_key="k", base_url=None, name="x").url.startswith("https://api.anthropic.com/")
    assert request_of("anthropic", api_key="k", base_url=address).url == "https://gate.test/v1/messages"
    monkeypatch.setenv("ANTHROPIC_BASE_URL", address)
    assert request_of(api_key="k").url == "https://gate.test/v1/messages"


def test_no_address_at_all_is_a_clear_error():
    """An address of blanks is none."""
    with pytest.raises(ConfigError):
        Client("anthropic", api_key="k", base_url="/")


def test_beta_features_and_custom_headers_are_sent(request_of, monkeypatch):
    """As one comma list; the environment may add headers, the caller's own win."""
    assert request_of(api_key="k", options={"beta": ["a-1", "b-2"]}).headers["anthropic-beta"] == "a-1,b-2"
    assert request_of(api_key="k", options={"beta": "a-1"}).headers["anthropic-beta"] == "a-1"
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "X-Team: blue\nnonsense\n: odd")
    headers = request_of(api_key="k", headers={"anthropic-version": "2026-10-21"}).headers
    assert headers["X-Team"] == "blue"
    assert headers["anthropic-version"] == "2026-10-21"


def test_a_bare_claude_names_its_provider():
    """No prefix is needed, and a configuration works as well."""
    assert Client("claude-sonnet-4-5", api_key="k").provider == "anthropic"
    client = Client(ProviderConfig(type="anthropic", name="work", api_key="k", default_model="claude-opus-5-5"))
    assert (client.provider, client.model) == ("work", "claude-opus-5-5")
    assert Client("anthropic", api_key="k").model == PROVIDER.default_model


@pytest.mark.parametrize(
    ("model", "limit", "thinking", "off", "sampling", "forced", "bound", "structured", "prefill", "inner"),
    [
        ("claude-fable-5-1", 128_000, "adaptive", None, False, False, True, True, False, True),
        ("claude-mythos-5", 128_000, "adaptive", None, False, False, True, True, False, True),
        ("claude-opus-5-5", 128_000, "adaptive", None, False, False, True, True, False, True),
        ("claude-sonnet-5-5", 128_000, "adaptive", "between_tools", False, False, True, True, False, True),
        ("claude-haiku-5-5", 128_000, "adaptive", "disabled", False, True, False, True, False, True),
        ("claude-opus-5", 128_000, "adaptive", "disabled", False, True, False, True, False, True),
        ("claude-sonnet-5-20260601", 128_000, "adaptive", "disabled", False, True, False, True, False, True),
        ("claude-opus-4-8", 128_000, "adaptive", "disabled", False, True, False, True, False, True),
        ("claude-opus-4-7", 128_000, "adaptive", "disabled", False, True, False, True, False, False),
        ("claude-opus-4-6", 128_000, "both", "disabled", True, True, False, True, False, False),
        ("claude-sonnet-4-6", 128_000, "both", "disabled", True, True, False, True, False, False),
        ("claude-haiku-4-5-20251001", 64_000, "budget", "disabled", True, True, False, True, True, False),
        ("claude-opus-4-1", 32_000, "budget", "disabled", True, True, False, False, True, False),
        ("claude-sonnet-4-20250514", 64_000, "budget", "disabled", True, True, False, False, True, False),
        ("claude-3-7-sonnet", 64_000, "budget", "disabled", True, True, False, False, True, False),
        ("claude-3-5-haiku", 8192, "budget", "disabled", True, True, False, False, True, False),
        ("claude-3-opus", 4096, "budget", "disabled", True, True, False, False, True, False),
        ("claude-of-tomorrow", 4096, "adaptive", "disabled", False, True, False, True, False, False),
        ("kimi-k9", 4096, "both", "disabled", True, True, False, True, True, False),
    ],
)
def test_each_model_has_its_profile(model, limit, thinking, off, sampling, forced, bound, structured, prefill, inner):
    """What a model takes is told by its name; gateways may put a prefix before it."""
    for name in (model, f"anthropic/{model}"):
        profile = claude_profile(name)
        assert (profile.max_output_tokens, profile.thinking, profile.thinking_off) == (limit, thinking, off)
        assert (profile.sampling, profile.forced_tools, profile.bound_thinking) == (sampling, forced, bound)
        assert (profile.structured, profile.prefill, profile.inner_system) == (structured, prefill, inner)
