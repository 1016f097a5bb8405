"""From a file to clients: names, defaults, routes, discovery, encryption, the factory."""

import asyncio
import json
import logging
import os
import pickle

import pytest
import yaml

from provider_kit import (
    Client,
    ConfigError,
    EncryptionError,
    OAuthToken,
    Provider,
    ProviderConfig,
    ProviderFactory,
    UnknownProviderError,
    generate_encryption_key,
    load_config,
    load_encrypted_config,
    open_token_storage,
)
from provider_kit.config import entries
from provider_kit.config.configuration import read_configuration
from provider_kit.config.discovery import find_config_file, user_config_file
from provider_kit.config.encrypted import decrypt_config, encrypt_config
from provider_kit.config.json_schema import config_schema
from provider_kit.config.resolved import effective_values
from provider_kit.config.template import starter_config
from provider_kit.model.config import CONFIG_FIELDS
from provider_kit.providers.registry import provider_names
from provider_kit.testing import FakeServer

KEY = "sk-0123456789abcdefghij"


@pytest.fixture
def write(tmp_path, monkeypatch):
    """A function: write a configuration file and return its path; it is also the working directory's."""
    monkeypatch.chdir(tmp_path)

    def run(text, name="config.yaml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return run


def test_the_guides_own_file(write, monkeypatch):
    """As the guide has it: a key, several keys, a login, one that is off."""
    for name in (
        "OPENAI_API_KEY",
        "ANTHROPIC_API_KEY_1",
        "ANTHROPIC_API_KEY_2",
        "GEMINI_CLIENT_ID",
        "GEMINI_CLIENT_SECRET",
    ):
        monkeypatch.setenv(name, f"{'sk-ant-' if 'ANTHROPIC' in name else 'sk-'}{name.lower()}-0123456789")
    path = write(
        """\
providers:
  openai:
    enabled: true
    api_key: ${OPENAI_API_KEY}
    model: gpt-4
    timeout: 30
    max_retries: 3
  anthropic:
    enabled: true
    api_keys:
      - ${ANTHROPIC_API_KEY_1}
      - ${ANTHROPIC_API_KEY_2}
    model: claude-3-opus-20240229
  gemini:
    enabled: true
    auth_type: oauth
    client_id: ${GEMINI_CLIENT_ID}
    client_secret: ${GEMINI_CLIENT_SECRET}
    model: gemini-pro
  groq:
    enabled: false
    api_key: ${GROQ_API_KEY}
"""
    )
    clients = load_config(path)
    assert list(clients) == ["openai", "anthropic", "gemini"]
    assert clients.disabled == ["groq"]
    assert clients.warnings == []
    openai = clients["openai"]
    assert (openai.provider, openai.model, openai.config.timeout, openai.config.max_retries) == (
        "openai",
        "gpt-4",
        30,
        3,
    )
    assert len(clients["anthropic"].keys.secrets) == 2
    oauth = clients["gemini"].config.oauth
    assert oauth.client_id == os.environ["GEMINI_CLIENT_ID"]
    assert oauth.token_url == "https://oauth2.googleapis.com/token"
    assert clients.default is clients.providers["openai"] is openai
    assert "openai" in clients
    assert "groq" not in clients
    clients.close()
    asyncio.run(clients.aclose())


def test_credentials_in_the_file(write):
    """Several of them, for the failover of logins."""
    path = write(
        """\
providers:
  gemini:
    auth_type: oauth
    oauth_credentials:
      - id: team-account
        client_id: client-id-1
        client_secret: client-secret-1
        access_token: token-1
        refresh_token: refresh-1
      - {id: personal-account, client_id: client-id-2, access_token: token-2}
"""
    )
    with load_config(path) as clients:
        credentials = clients["gemini"].config.oauth_credentials
        assert [one.id for one in credentials] == ["team-account", "personal-account"]
        assert credentials[0].refresh_token == "refresh-1"
        assert "client-secret-1" not in repr(clients["gemini"].config)


@pytest.mark.parametrize("where", ["custom", "providers.custom", "providers"])
def test_servers_of_your_own(write, where, world):
    """With a type, an address and models; below custom:, or as a provider of any name."""
    with FakeServer() as server:
        entry = {"base_url": server.base_url(), "models": ["echo", "demo"]}
        if where != "providers":
            entry["type"] = "openai"
        entry["defaults"] = {"temperature": 0}
        content = {
            "custom": {"custom": {"workshop": entry}},
            "providers.custom": {"providers": {"custom": {"workshop": entry}}},
            "providers": {"providers": {"workshop": entry}},
        }[where]
        with load_config(write(yaml.safe_dump(content))) as clients:
            client = clients["workshop"]
            assert (client.provider, client.model, client.config.type) == ("workshop", "echo", "openai_compatible")
            assert world(client, "chat", "Hello").text == "Hello"
            assert server.requests[0].json["temperature"] == 0


def test_lists_below_providers(write, monkeypatch):
    """``enabled`` and ``preferred_order``, as some files have them."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    lists = "  enabled: [openai, demo]\n  preferred_order: [demo, openai]\n"
    path = write(f"providers:\n{lists}  openai: {{}}\n  demo: {{}}\n  ollama: {{}}\n")
    clients = load_config(path)
    assert list(clients) == ["openai", "demo"]
    assert clients.disabled == ["ollama"]
    assert clients.default.provider == "demo"


def test_routes(write, monkeypatch):
    """Named choices, which are routers; models behind a slash make clients of their own."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    path = write(
        "providers: {openai: {model: gpt-4o}, demo: {}}\n"
        "routing:\n  careful: {strategy: fallback, providers: [openai, openai/gpt-4o-mini, demo/echo]}\n"
    )
    clients = load_config(path)
    assert clients.routing["careful"].strategy == "fallback"
    router = clients["careful"]
    assert router is clients.route("careful")
    assert "careful" in clients
    assert list(clients) == ["openai", "demo"]
    assert (router.name, router.strategy) == ("careful", "fallback")
    assert router.targets == ["openai/gpt-4o", "openai/gpt-4o-mini", "demo/echo"]
    with pytest.raises(ConfigError, match="has no route 'carefull'") as caught:
        clients.route("carefull")
    assert "'careful'" in caught.value.hint


def test_names_that_are_not_there(write):
    clients = load_config(write("providers: {demo: {}, ollama: {enabled: false}}\n"))
    with pytest.raises(KeyError, match="'demo'"):
        clients["dmo"]
    with pytest.raises(ConfigError, match="has no provider 'dmo'") as caught:
        Client.from_config("dmo")
    assert "'demo'" in caught.value.hint
    with pytest.raises(ConfigError) as caught:
        Client.from_config("ollama")
    assert "switched off" in caught.value.hint
    off = load_config(write("providers: {ollama: {enabled: false}}\n"))
    with pytest.raises(ConfigError, match="No provider is switched on"):
        _ = off.default


def test_anchors_and_merges(write, monkeypatch):
    """YAML's own way to say something once; keys that begin with x- hold what is only referred to."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    path = write(
        "x-usual: &usual\n  timeout: 5\n  max_retries: 1\n"
        "providers:\n  openai:\n    <<: *usual\n    max_retries: 2\n  demo:\n    <<: [*usual]\n"
    )
    clients = load_config(path)
    assert (clients["openai"].config.timeout, clients["openai"].config.max_retries) == (5, 2)
    assert clients["demo"].config.max_retries == 1


def test_options_of_the_provider_and_policies(write, monkeypatch):
    """Whatever ProviderConfig has, and the provider's own options beside it."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    path = write(
        """\
providers:
  openai:
    use_responses_api: false
    organization: org-1
    http: {verify: false, proxy: "http://127.0.0.1:3128"}
    timeout: {connect: 1, first_token: 2, idle: 3}
    rate_limit: {requests_per_minute: 60, tokens_per_minute: 90000, enabled: true}
    circuit_breaker: {failure_ratio: 0.5}
    response_cache: true
    retry: aggressive
    debug_http: false
    headers: {X-Team: search}
"""
    )
    config = load_config(path)["openai"].config
    assert config.options == {"use_responses_api": False, "organization": "org-1"}
    assert (config.timeout.idle, config.http.verify, config.circuit_breaker.failure_ratio) == (3, False, 0.5)
    assert (config.rate_limit.tokens_per_minute, dict(config.headers)) == (90000, {"X-Team": "search"})
    assert pickle.loads(pickle.dumps(load_config(path)["openai"])).config.timeout.idle == 3


def test_every_field_of_a_configuration_can_stand_in_a_file():
    """None is forgotten when one is added."""
    assert set(entries.entry_fields()) >= CONFIG_FIELDS - {"type"}


# ------------------------------------------------------------------------------------------------ where the file is


def test_where_the_file_is_looked_for(write, tmp_path, monkeypatch, caplog):
    """Argument, PROVIDER_KIT_CONFIG, CONFIG_FILE, the working directory, the user's folder, in this order."""
    text = "providers: {demo: {}}\n"
    assert find_config_file() is None
    mine = user_config_file()
    os.makedirs(os.path.dirname(mine), exist_ok=True)
    try:
        with open(mine, "w") as file:
            file.write(text)
        assert find_config_file() == mine
    finally:
        os.unlink(mine)
    write("other: program\n")
    assert find_config_file() is None  # somebody else's config.yaml
    write(text)
    assert find_config_file() == "config.yaml"
    write(text, "provider_kit.yaml")
    assert find_config_file() == "provider_kit.yaml"
    monkeypatch.setenv("CONFIG_FILE", str(write(text, "second.yaml")))
    assert find_config_file().endswith("second.yaml")
    monkeypatch.setenv("PROVIDER_KIT_CONFIG", str(write(text, "first.yaml")))
    assert find_config_file().endswith("first.yaml")
    assert find_config_file(write(text, "argument.yaml")).endswith("argument.yaml")
    with caplog.at_level(logging.DEBUG, "provider_kit"):
        Client.from_config()
    assert "read from" in caplog.text
    assert "first.yaml" in caplog.text
    monkeypatch.setenv("PROVIDER_KIT_CONFIG", "/nowhere.yaml")
    with pytest.raises(ConfigError, match="PROVIDER_KIT_CONFIG names it"):
        Client.from_config()


def test_without_a_file_the_environment_decides(write, monkeypatch):
    assert Client.from_config().provider == "demo"
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-0123456789abcdef")
    assert Client.from_config().provider == "anthropic"
    assert Client.from_config("demo/echo").model == "echo"
    with pytest.raises(ConfigError, match="There is no configuration file"):
        load_config()


# ------------------------------------------------------------------------------------------------ encryption


def test_an_encrypted_file(write, monkeypatch):
    """With a key or a passphrase; the environment's key opens it by itself."""
    text = "providers: {demo: {model: echo}}\n"
    key = generate_encryption_key()
    for secret in (key, "correct horse battery staple"):
        path = write(encrypt_config(text, secret), "secret.yaml")
        content = path.read_text()
        assert content.startswith("provider-kit-config:1:")
        assert "demo" not in content
        assert load_encrypted_config(path, secret)["demo"].model == "echo"
        with pytest.raises(EncryptionError, match="cannot be decrypted"):
            load_encrypted_config(path, generate_encryption_key() if secret == key else "wrong words")
    monkeypatch.setenv("PROVIDER_KIT_ENCRYPTION_KEY", key)
    path = write(encrypt_config(text), "secret.yaml")
    assert load_config(path)["demo"].model == "echo"
    assert Client.from_config("demo", path).model == "echo"
    monkeypatch.delenv("PROVIDER_KIT_ENCRYPTION_KEY")
    with pytest.raises(EncryptionError, match="No encryption key is given"):
        load_config(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("providers: {}\n", "is not encrypted"),
        ("provider-kit-config:9:fernet:x\n", "way this version does not know"),
        ("provider-kit-config:1:rot13:x\n", "way this version does not know"),
        ("provider-kit-config:1:fernet:broken\n", "cannot be decrypted"),
        ("provider-kit-config:1:scrypt:9:9\n", "is damaged"),
    ],
)
def test_what_cannot_be_decrypted(text, words):
    with pytest.raises(EncryptionError, match=words):
        decrypt_config(text, generate_encryption_key())


# ------------------------------------------------------------------------------------------------ what counts


def test_every_value_tells_where_it_comes_from(monkeypatch, write):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", "https://env.test/v1")
    path = write(
        "providers:\n  openai:\n    timeout: 5\n    headers: {X-Api-Token: top-secret}\n"
        "  mine:\n    type: groq\n    api_key: ${OPENAI_API_KEY}\n    model: ${M:-llama}\n"
        "  safe:\n    type: groq\n    api_key: ${file:/run/secrets/groq}\n"
        "  off:\n    enabled: false\n"
    )
    found = read_configuration(path.read_text(), "config.yaml").check()
    values = {value.path: (value.shown, value.origin) for value in effective_values(found, os.environ)}
    assert values["providers.openai.api_key"] == ("***", "OPENAI_API_KEY of the environment")
    assert values["providers.openai.base_url"] == ("https://env.test/v1", "OPENAI_BASE_URL of the environment")
    assert values["providers.openai.timeout"] == ("5", "config.yaml:3")
    assert values["providers.openai.max_retries"] == ("3", "default")
    assert values["providers.mine.api_key"] == ("***", "config.yaml:7, OPENAI_API_KEY of the environment")
    assert values["providers.mine.model"] == ("llama", "config.yaml:8")
    assert values["providers.safe.api_key"] == ("***", "config.yaml:11, ${file:/run/secrets/groq}")
    assert values["providers.off.enabled"][0] == "false"
    assert "top-secret" not in str(values)
    assert KEY not in str(values)


def test_a_stored_key_is_used_last(monkeypatch, write):
    """Behind argument, file and environment; by programs too, not only by the command."""
    monkeypatch.setenv("PROVIDER_KIT_TOKEN_STORAGE", str(write("", "tokens.json").with_name("kept.json")))
    with pytest.raises(ConfigError, match="There is no key"):
        load_config(write("providers: {groq: {}}\n"))
    open_token_storage().store_token("groq", OAuthToken(access_token="gsk_stored_0123456789", token_type="api_key"))
    client = load_config(write("providers: {groq: {}}\n"))["groq"]
    assert client.keys.secrets == ("gsk_stored_0123456789",)
    assert Client("groq/x").keys.secrets == ("gsk_stored_0123456789",)
    monkeypatch.setenv("GROQ_API_KEY", "gsk_environment_0123456789")
    assert Client("groq/x").keys.secrets == ("gsk_environment_0123456789",)
    assert Client("groq/x", api_key="gsk_argument_0123456789").keys.secrets == ("gsk_argument_0123456789",)
    open_token_storage().store_token("mistral", OAuthToken(access_token="a-login"))
    with pytest.raises(ConfigError, match="no key, but a login"):
        load_config(write("providers: {mistral: {}}\n"))


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("your-api-key", "placeholder"),
        ("sk-ant-api03-0123456789abcdef", "looks like one of Anthropic"),
        ("0123456789abcdef0123", "begin with sk-"),
        ("'sk-0123456789abcdefghij'", "quotes around it"),
        ("sk-short", "too short"),
    ],
)
def test_a_key_of_the_wrong_form_is_a_warning(key, words):
    """Only that, and not where another address is given, which may take other keys."""
    found = read_configuration(f'providers:\n  openai:\n    api_key: "{key}"\n', "c.yaml", {}).check()
    assert words in found.warnings[0].message
    assert found.warnings[0].line == 3
    elsewhere = f'providers:\n  openai:\n    base_url: https://gateway.test/v1\n    api_key: "{key}"\n'
    assert not read_configuration(elsewhere, "c.yaml", {}).check().warnings


@pytest.mark.skipif(os.name != "posix", reason="modes of files")
def test_a_key_in_a_file_that_others_can_read_is_a_warning(write):
    path = write(f"providers:\n  openai:\n    api_key: {KEY}\n")
    path.chmod(0o644)
    (warning,) = load_config(path).warnings
    assert "can be read by others" in warning.message
    assert f"chmod 600 {path}" in warning.remedy
    path.chmod(0o600)
    assert not load_config(path).warnings


# ------------------------------------------------------------------------------------------------ schema, starter


def test_the_schema_is_one_and_takes_what_the_reader_takes(monkeypatch):
    """Every working file of these tests is valid; broken ones are not."""
    jsonschema = pytest.importorskip("jsonschema")
    schema = config_schema()
    json.dumps(schema)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for good in (
        yaml.safe_load(starter_config(provider_names()[:3])),
        {
            "providers": {
                "openai": {"timeout": "${SECONDS}", "max_retries": 3, "rate_limit": {"requests_per_minute": 60}}
            }
        },
        {"providers": {"openai": None, "enabled": ["openai"], "custom": {"a": {"base_url": "http://x/v1"}}}},
        {"custom": {"a": {"models": ["b"]}}, "routing": {"r": {"providers": ["a"], "strategy": "fallback"}}},
        {
            "providers": {"gemini": {"auth_type": "oauth", "oauth_credentials": [{"id": "x", "scopes": ["a"]}]}},
            "x-more": 1,
        },
    ):
        assert not list(validator.iter_errors(good)), good
    for bad in (
        {"provders": {}},
        {"providers": {"openai": {"timout": 3}}},
        {"providers": {"openai": {"max_retries": "three"}}},
        {"providers": {"openai": {"key_strategy": "any"}}},
        {"routing": {"r": {"strategy": "fallback"}}},
        {"providers": {"openai": {"rate_limit": {"rpm": 1}}}},
    ):
        assert list(validator.iter_errors(bad)), bad
    assert "Seconds" in schema["$defs"]["Provider"]["properties"]["timeout"]["description"]


@pytest.mark.parametrize("name", provider_names())
def test_the_file_to_begin_with_is_right(name, monkeypatch):
    """For every provider, as soon as its key is set."""
    from provider_kit.providers.registry import find_provider

    environ = {
        variable: f"{find_provider(name).key_prefix}0123456789abcdefghij"
        for variable in find_provider(name).key_variables[:1]
    }
    environ |= dict.fromkeys(find_provider(name).base_url_variables[:1], "http://127.0.0.1:1/v1")
    found = read_configuration(starter_config([name]), "config.yaml", environ)
    assert not found.problems, found.problems
    assert list(found.entries) == [name]


# ------------------------------------------------------------------------------------------------ the factory


def test_the_factory(world):
    """Clients of configurations; providers of one's own, as data or as a function."""
    factory = ProviderFactory()
    client = factory.create("demo", ProviderConfig(type="demo", default_model="echo"))
    assert world(client, "chat", "Hello").text == "Hello"
    assert factory.create("demo", default_model="echo").model == "echo"
    assert factory.create("demo", ProviderConfig(type="openai", default_model="echo")).config.type == "demo"
    factory.register_provider("mine", lambda config: Client("demo/echo", name=config.label))
    assert factory.create("mine", name="my name").provider == "my name"
    assert "mine" in factory.names()
    from provider_kit.providers import registry

    try:
        factory.register_provider(
            "acme", Provider(name="acme", base_url="https://api.acme.test/v1", key_required=False)
        )
        assert factory.create("acme").base_url == "https://api.acme.test/v1"
    finally:
        registry._registered.pop("acme", None)
    with pytest.raises(UnknownProviderError, match="opnai"):
        factory.create("opnai")
    with pytest.raises(ConfigError, match="both given"):
        factory.create("demo", ProviderConfig(type="demo"), name="x")
    with pytest.raises(ConfigError, match="a Provider or a function"):
        factory.register_provider("x", 3)


def test_arguments_beside_the_file(write, monkeypatch):
    """Whatever a client takes; a misspelt one is told."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    path = write("providers:\n  openai: {model: a, retry: none}\n")
    events = []
    client = Client.from_config("openai/b", path, timeout=3, on_event=events.append, defaults={"seed": 1}, project="p")
    assert (client.model, client.config.timeout, client.config.options) == ("b", 3, {"project": "p"})
    with pytest.raises(ConfigError):
        Client.from_config("openai", path, timout=3)
