"""Which providers there are, and what a model string means."""

import sys
from importlib.metadata import EntryPoint

import pytest

from provider_kit.errors import ConfigError, UnknownProviderError
from provider_kit.providers import registry
from provider_kit.providers.base import Provider
from provider_kit.providers.registry import find_provider, is_known, provider_names, register_provider, split_model


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch):
    """What a test registers is gone after it."""
    monkeypatch.setattr(registry, "_registered", {})
    monkeypatch.setattr(registry, "_loaded", {})


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("openai/gpt-5-mini", ("openai", "gpt-5-mini")),
        ("openrouter/anthropic/claude-x", ("openrouter", "anthropic/claude-x")),
        ("openai:gpt-5-mini", ("openai", "gpt-5-mini")),
        ("openrouter:anthropic/claude-x", ("openrouter", "anthropic/claude-x")),
        ("openai", ("openai", None)),
        ("openai/", ("openai", None)),
        (" openai/m ", ("openai", "m")),
        ("google/gemini-x", ("gemini", "gemini-x")),
        ("grok", ("xai", None)),
        ("dashscope:qwen3", ("qwen", "qwen3")),
        ("gpt-6-luna", ("openai", "gpt-6-luna")),
        ("o4-mini", ("openai", "o4-mini")),
        ("claude-sonnet-5", ("anthropic", "claude-sonnet-5")),
        ("gemini-4", ("gemini", "gemini-4")),
        ("grok-4.3", ("xai", "grok-4.3")),
        ("deepseek-flash", ("deepseek", "deepseek-flash")),
        ("mistral-small-latest", ("mistral", "mistral-small-latest")),
        ("ollama/llama3.1:8b", ("ollama", "llama3.1:8b")),
    ],
)
def test_model_strings_tell_provider_and_model(text, meant):
    """Split once, by a slash or a known provider's colon; bare names tell their provider."""
    assert split_model(text) == meant


@pytest.mark.parametrize("text", ["", "llama3.1:8b", "opnai/gpt-5", "acme/x/y", "qwen3"])
def test_a_string_without_a_known_provider_is_an_error(text):
    """With the nearest names and all of them."""
    with pytest.raises(UnknownProviderError, match="names no known provider") as caught:
        split_model(text)
    assert "openrouter" in caught.value.hint
    if text.startswith("opnai"):
        assert "Did you mean 'openai'" in caught.value.hint


@pytest.mark.parametrize("name", [name for name in provider_names() if name != "demo"])
def test_every_provider_is_found_under_its_own_name(name):
    """And knows where to get a key, or needs none."""
    provider = find_provider(name)
    assert provider.name == name
    assert provider is find_provider(name)
    assert provider.title
    assert provider.console or not provider.key_required
    assert provider.key_variables or name == "ollama"


def test_other_names_lead_to_the_same_provider():
    """Aliases."""
    assert find_provider("google") is find_provider("gemini")
    assert is_known("lm_studio")
    assert not is_known("acme")


def test_an_unknown_provider_is_an_error_that_helps():
    """The nearest name, and how to reach any other server."""
    with pytest.raises(UnknownProviderError, match="Unknown provider 'opnai'") as caught:
        find_provider("opnai")
    assert "'openai'" in caught.value.hint
    assert "base_url" in caught.value.hint


def test_a_provider_of_ones_own_is_found():
    """Also in place of one that the package brings."""
    own = Provider(name="acme", base_url="https://acme.test/v1")
    assert register_provider(own) is own
    assert find_provider("acme") is own
    assert split_model("acme/m") == ("acme", "m")
    assert "acme" in provider_names()
    better = Provider(name="openai", base_url="https://acme.test/v1")
    find_provider("openai")
    register_provider(better)
    assert find_provider("openai") is better


@pytest.mark.parametrize("given", [Provider, "acme", None, Provider(name="a/b"), Provider(name="")])
def test_only_providers_with_a_usable_name_are_registered(given):
    """A slash would end the name."""
    with pytest.raises(ConfigError) as caught:
        register_provider(given)
    assert caught.value.hint


def test_installed_packages_may_bring_providers(monkeypatch):
    """Announced by an entry point, imported when first used."""
    entries = [EntryPoint("acme", "provider_kit.providers.openai:PROVIDER", registry.ENTRY_POINTS)]

    def entry_points(*, group):
        assert group == "provider_kit.providers"
        return entries

    monkeypatch.setattr("importlib.metadata.entry_points", entry_points)
    monkeypatch.setattr(registry, "_loaded", {})
    registry._all_announced.cache_clear()
    assert is_known("acme")
    assert "acme" in provider_names()
    assert find_provider("acme").title == "OpenAI"
    assert split_model("acme:m") == ("acme", "m")
    entries[0] = EntryPoint("acme", "provider_kit.providers.openai:openai_quirks", registry.ENTRY_POINTS)
    registry._all_announced.cache_clear()
    registry._loaded.clear()
    with pytest.raises(UnknownProviderError):
        find_provider("acme")
    registry._all_announced.cache_clear()


def test_a_package_installed_meanwhile_is_found(monkeypatch, tmp_path):
    """Without another start of the program."""
    monkeypatch.syspath_prepend(str(tmp_path))
    assert not is_known("meanwhile")
    info = tmp_path / "meanwhile-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: meanwhile\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[provider_kit.providers]\nmeanwhile = meanwhile:PROVIDER\n")
    assert is_known("meanwhile")


def test_a_provider_is_one_file(tmp_path, monkeypatch):
    """Nothing has to be registered: the name of the file is the provider's."""
    from provider_kit import providers

    row = (
        'from provider_kit import Provider\nPROVIDER = Provider(name="acme_row", base_url="https://acme.example/v1")\n'
    )
    (tmp_path / "acme_row.py").write_text(row)
    monkeypatch.setattr(providers, "__path__", [*providers.__path__, str(tmp_path)])
    registry._modules.cache_clear()
    try:
        assert "acme_row" in registry.provider_names()
        assert registry.is_known("acme_row")
        assert registry.find_provider("acme_row").base_url == "https://acme.example/v1"
    finally:
        registry._modules.cache_clear()
        registry._loaded.pop("acme_row", None)
        sys.modules.pop("provider_kit.providers.acme_row", None)
