"""Files that people write, and what must not happen with them: nothing ignored, nothing leaked, nothing late."""

# ruff: noqa: E501  # files as they are written
import asyncio
import pickle
import re
import time
import traceback

import pytest

from provider_kit import (
    AuthError,
    CircuitBreaker,
    Client,
    ConfigError,
    EncryptionError,
    KeyManager,
    MemoryTokenStorage,
    OAuthAuthenticator,
    OAuthToken,
    ResponseCache,
    generate_encryption_key,
    load_config,
    load_encrypted_config,
    open_token_storage,
)
from provider_kit.config.configuration import read_configuration
from provider_kit.config.discovery import find_config_file
from provider_kit.config.encrypted import encrypt_config
from provider_kit.config.resolved import effective_values
from provider_kit.config.template import starter_config
from provider_kit.stores.encryption import TokenCipher
from provider_kit.testing import FakeServer

KEY = "sk-0123456789abcdefghij"
ENVIRON = {"OPENAI_API_KEY": KEY, "V": "value", "NO": "false", "N": "0.2", "SECONDS": "5"}


def read(text, environ=ENVIRON):
    return read_configuration(text, "config.yaml", environ)


def told(found):
    return "\n".join(f"{problem}\n    {problem.remedy}" for problem in found.problems)


def config_of(text, name="openai", environ=ENVIRON):
    found = read(text, environ).check()
    return found.entries[name].make_config(fetch=False)


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(text, name="config.yaml"):
        path = tmp_path / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    return run


# ------------------------------------------------------------------------------------------------ nothing is ignored


@pytest.mark.parametrize("kind", ["anthropic", "gemini", "azure", "xai", "groq"])
def test_a_custom_server_speaks_what_its_type_says(kind):
    """Only ``type: openai`` means: a server that imitates OpenAI."""
    text = f"custom:\n  gw: {{type: {kind}, api_key: some-key-0123456789, base_url: 'https://gw.test/v1'}}\n"
    assert config_of(text, "gw")[0].type == kind
    assert (
        config_of("custom: {gw: {type: openai, api_key: k-0123456789abcdef, base_url: 'https://gw.test/v1'}}", "gw")[
            0
        ].type
        == "openai_compatible"
    )
    assert (
        config_of("custom: {gw: {type: openai, api_key: k-0123456789abcdef, organization: o}}", "gw")[0].type
        == "openai"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("providers:\n  openai:\n    retry: aggressive\n    max_retries: 0\n", "retry and max_retries are both given"),
        ("providers:\n  gemini:\n    client_id: a\n    oauth: {client_id: b}\n", "client_id is given twice"),
        (
            "providers:\n  anthropic:\n    api_key: sk-ant-0123456789abcdef\n    auth_type: bearer_token\n",
            "not bearer tokens",
        ),
        (
            "providers: {demo: {}, openai: {}}\nrouting: {r: {providers: [demo], weights: {dmo: 3}}}\n",
            "'dmo' is not in this route",
        ),
        ("providers: {demo: {}}\nrouting: {r: {providers: [demo], weights: {demo: -1}}}\n", "above 0"),
        ("providers:\n  openai:\n    x-timeout: 3\n", "'x-timeout'"),
        ("providers:\n  enabled: [openai]\n  openai: {enabled: false}\n", "switched off here"),
        ("x-a: &x [1]\nproviders:\n  openai:\n    <<: *x\n", "The value of <<"),
        ("providers:\n  openai:\n    <<: usual\n", "The value of <<"),
        ("preferred_order: [demo]\nproviders: {demo: {}, preferred_order: [demo]}\n", "given twice"),
        ("providers:\n  openai:\n    defaults: {temperatur: 5}\n", "'temperatur'"),
        ("providers:\n  openai:\n    defaults: {temperature: hot}\n", "temperature"),
        ("providers:\n  openai:\n    temperature: 0\n", "Unknown setting"),
        ("providers:\n  openai:\n    store: localhost:6379\n", "localhost:6379"),
        ("providers:\n  openai:\n    response_cache: http://x\n", "cache"),
        ("providers:\n  openai:\n    http: {max_connections: -1}\n", "max_connections must be"),
        ("providers:\n  groq: {api_keys: []}\n", "There is no key"),
        ("providers:\n  groq:\n    api_key:\n", "There is no key"),
        ("providers:\n  openai:\n    api_key: ''\n", "The key is empty"),
        ("providers:\n  openai:\n    organization: 12345\n", "must be a text"),
        ("providers:\n  openai:\n    organization: [a]\n", "must be a text"),
        ("providers:\n  openai:\n    use_responses_api: 'no'\n", "true or false"),
        ("providers:\n  anthropic: {api_key: sk-ant-0123456789abcdef, beta: true}\n", "must be a list or a text"),
        ("providers:\n  openai:\n    base_url: https://gw.test/v1/chat/completions\n", "ends with /chat/completions"),
        ("providers:\n  openai:\n    base_url: ${file:/x}\n", "is not allowed here"),
        ("providers:\n  openai:\n    base_url: 'http://gw.internal'\n    api_key: ${file:/x}\n", "unencrypted"),
        ("providers:\n  gemini:\n    oauth_credentials: [{id: a, access_token: t}, {id: a, access_token: u}]\n", "a"),
        ("model_list: [{model_name: x}]\n", "LiteLLM"),
    ],
)
def test_what_would_have_no_effect_or_fail_later_is_told(text, words):
    found = read(text)
    assert any(problem.severity == "error" for problem in found.problems), told(found)
    assert words in told(found)


def test_a_prefix_before_a_model_is_a_warning():
    """It would be sent; OpenRouter's own models are called so."""
    assert "Write gpt-5-mini" in told(read("providers: {openai: {model: openai/gpt-5-mini}}\n"))
    assert not read("providers: {openrouter: {api_key: sk-or-0123456789abcdef, model: openrouter/auto}}\n").problems


def test_both_places_for_custom_servers_count():
    text = "providers:\n  custom: {a: {base_url: 'http://127.0.0.1:1/v1'}}\ncustom: {b: {base_url: 'http://127.0.0.1:2/v1'}}\n"
    assert list(read(text).check().entries) == ["a", "b"]


def test_variables_become_what_is_wanted():
    """A truth value, a number: also in options and defaults."""
    config, client = config_of(
        "providers:\n  openai:\n    use_responses_api: ${NO}\n    timeout: {connect: '${SECONDS}'}\n    defaults: {temperature: '${N}'}\n    organization: ${N}\n"
    )
    assert config.options == {"use_responses_api": False, "organization": "0.2"}
    assert client["defaults"] == {"temperature": 0.2}
    assert config.timeout.connect == 5.0


def test_nothing_written_out_means_without_limit():
    """``idle: null`` is not the same as no line at all; ``.inf`` says it too."""
    config, _ = config_of("providers:\n  openai:\n    timeout: {idle: null, first_token: .inf}\n")
    assert config.timeout.idle is None
    assert config.timeout.first_token == float("inf")


def test_a_variable_may_name_where_a_secret_is(tmp_path):
    (tmp_path / "key").write_text(KEY)
    config, _ = config_of("providers: {openai: {api_key: '${file:${FOLDER}/key}'}}", environ={"FOLDER": str(tmp_path)})
    assert config.api_key() == KEY


@pytest.mark.parametrize(
    ("change", "show", "value"),
    [
        ({"max_retries": 1}, lambda c: (c.config.max_retries, c._parts.retry), (1, None)),
        ({"retry": "none"}, lambda c: c._parts.retry, "none"),
        ({"api_keys": KeyManager("openai", ["sk-one-0123456789", "sk-two-0123456789"])}, lambda c: len(c.keys), 2),
        (
            {"api_keys": {"sk-one-0123456789": 3, "sk-two-0123456789": 1}},
            lambda c: [s.weight for s in c.keys.status()],
            [3, 1],
        ),
        ({"api_keys": ["sk-one-0123456789"]}, lambda c: len(c.keys), 1),
        ({"circuit_breaker": CircuitBreaker()}, lambda c: c.circuit.state, "closed"),
        ({"response_cache": ResponseCache()}, lambda c: type(c._parts.cache), ResponseCache),
        (
            {"auth": OAuthAuthenticator("openai", MemoryTokenStorage())},
            lambda c: type(c._parts.auth),
            OAuthAuthenticator,
        ),
        (
            {"model": None, "api_key": None, "headers": None, "http": None},
            lambda c: (c.model, c.keys.secrets),
            ("mine", (KEY,)),
        ),
        ({"defaults": {"seed": 1}}, lambda c: c._defaults, {"seed": 1}),
    ],
    ids=lambda part: next(iter(part)) if isinstance(part, dict) else "",
)
def test_every_argument_goes_before_the_file(write, change, show, value):
    path = write(
        f"providers:\n  openai: {{api_key: {KEY}, model: mine, retry: aggressive, circuit_breaker: true, defaults: {{seed: 9}}}}\n"
    )
    assert show(Client.from_config("openai", path, **change)) == value


def test_a_misspelt_argument_is_told_with_the_nearest(write):
    with pytest.raises(ConfigError, match="'timout'") as caught:
        Client.from_config("openai", write(f"providers: {{openai: {{api_key: {KEY}}}}}"), timout=3)
    assert "'timeout'" in caught.value.hint


# ------------------------------------------------------------------------------------------------ problems, once, where they are


def test_one_mistake_is_one_problem():
    """A provider that cannot be read is there all the same for whoever names it."""
    text = "providers:\n  enabled: [openai, demo]\n  openai: {timout: 3}\n  demo: {}\ndefault: openai\npreferred_order: [openai]\nrouting: {r: {providers: [openai]}}\n"
    assert [problem.line for problem in read(text).problems] == [3]
    oauth = "providers:\n  gemini:\n    oauth_credentials: [{id: a, acces_token: t}]\n"
    assert [problem.line for problem in read(oauth, {}).problems] == [3]


def test_what_is_not_enabled_is_not_looked_at():
    text = "providers:\n  enabled: [demo]\n  demo: {}\n  groq: {api_key: '${NOT_SET}', timout: 3}\n"
    assert read(text, {}).check().disabled == ["groq"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("providers:\n  gemini:\n    timeout: 30\n    client_id: x\n    oauth:\n      timeout: 0\n", 6),
        (
            "providers:\n  openai:\n    defaults:\n      user: a\n      metadata:\n        a: b\n        c: ${NOT_SET}\n",
            7,
        ),
        ("providers:\n  openai:\n    options:\n      organisation: x\n", 4),
        ("providers:\n  openai: # a comment\x0c with a form feed\n    timout: 3\n", 3),
        ("providers: # a\u2028b\n  openai:\n    timout: 3\n", 3),
        ('{"providers": {"openai": {"timout": 3, "model": "a", "model": "b"}}}', 1),
    ],
)
def test_lines_are_those_of_the_editor(text, line):
    found = read(text)
    assert {problem.line for problem in found.problems} == {line}, told(found)
    if line == 1:
        assert len(found.problems) == 2


def test_remedies_are_lines_of_the_file_not_of_a_program():
    text = "providers:\n  openai:\n    total_timeout: 0\n  azure:\n    api_key: x0123456789abcdefgh\n  groq:\n    api_key: gsk_0123456789abcdef\n    base_url: 'http://x.test/v1'\n"
    words = told(read(text))
    assert ".inf" in words
    assert "base_url: " in words
    assert "allow_insecure_http: true" in words
    assert "math.inf" not in words
    assert "=True" not in words


@pytest.mark.parametrize(
    "text", ["api_keys: [${V}, ${V}]", "headers: {X-A: ${V}}", "timeout: {connect: ${SECONDS:-5}}"]
)
def test_references_in_brackets_want_quotes(text):
    assert 'Put it in quotes there: ["${NAME}"]' in told(read(f"providers:\n  openai:\n    {text}\n"))


def test_the_file_to_begin_with_can_be_uncommented():
    text = re.sub(r"^    # ", "    ", starter_config(["openai"]).replace("    api_key: ", "    # "), flags=re.MULTILINE)
    text = re.sub(r"^    \$.*\n", "", text, flags=re.MULTILINE)
    found = read(text, {**ENVIRON, "KEY_1": "sk-0123456789abcdef1", "KEY_2": "sk-0123456789abcdef2"})
    assert not found.problems, told(found)


def test_a_text_that_only_looks_like_a_variable():
    config, _ = config_of(
        "providers:\n  openai:\n    description: costs $5 or $price\n    headers: {X-Env: env.production}\n"
    )
    assert config.headers == {"X-Env": "env.production"}


@pytest.mark.parametrize(
    "text", ['{"providers": {"demo": {}}}', '"providers":\n  demo: {}\n', "provider:\n  demo: {}\n"]
)
def test_a_file_of_ours_is_not_passed_by(write, text):
    write(text)
    assert find_config_file() == "config.yaml"


# ------------------------------------------------------------------------------------------------ secrets


@pytest.mark.parametrize(
    "text",
    [
        "providers:\n  openai:\n    api_key: 'abc$SuperSecretTail99'\n",
        "providers:\n  openai:\n    headers: {X-Pw: 'abc$SuperSecretTail99'}\n",
        "providers:\n  openai:\n    api_key_env: sk-SuperSecretTail990123456789\n",
        "providers:\n  mistral:\n    api_key_env: SuperSecretTail99abcdefgh01234567\n",
    ],
)
def test_problems_repeat_no_part_of_a_secret(text):
    assert read(text).problems
    assert "SuperSecretTail99" not in told(read(text))


def test_values_of_headers_are_not_shown():
    found = read("providers:\n  openai:\n    headers: {X-Gw: MYSECRET6}\n    key_strategy: simple\n").check()
    shown = {value.path: value.shown for value in effective_values(found, ENVIRON)}
    assert shown["providers.openai.headers"] == "X-Gw=***"
    assert shown["providers.openai.key_strategy"] == "simple"


def test_a_traceback_with_its_variables_shows_no_key(write):
    """As Sentry and rich show it: of a broken file, also of an encrypted one."""
    secret = "sk-LEAK0123456789abcdef"
    text = f"providers:\n  openai:\n    api_key: {secret}\n    timout: 3\n"
    key = generate_encryption_key()
    for load in (
        lambda: load_config(write(text)),
        lambda: load_encrypted_config(write(encrypt_config(text, key)), key),
    ):
        with pytest.raises(ConfigError) as caught:
            load()
        shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        assert "LEAK" not in "".join(
            line for line in shown.format() if "test_odd_files" not in line and "write(" not in line
        )


def test_pickles_hold_no_secret(write, tmp_path):
    (tmp_path / "h").write_text("header-secret")
    clients = load_config(
        write(f"providers: {{openai: {{api_key: {KEY}}}, demo: {{headers: {{X-Token: '${{file:h}}'}}}}}}")
    )
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(clients)
    reference = clients._configuration.entries["demo"].settings["headers"]["X-Token"]
    assert reference() == "header-secret"
    assert b"header-secret" not in pickle.dumps(reference)


def test_an_encrypted_file_may_be_read_by_others(write):
    key = generate_encryption_key()
    path = write(encrypt_config(f"providers: {{openai: {{api_key: {KEY}}}}}", key))
    path.chmod(0o644)
    assert not load_encrypted_config(path, key.encode()).warnings


def test_a_passphrase_in_the_environment_opens_a_file(write, monkeypatch):
    monkeypatch.setenv("PROVIDER_KIT_ENCRYPTION_KEY", "correct horse battery staple")
    assert list(load_config(write("\n" + encrypt_config("providers: {demo: {}}")))) == ["demo"]


def test_what_is_encrypted_cannot_use_up_the_machine():
    """The costs that a record names are bounded."""
    cipher = TokenCipher(header="x:", what="text", if_lost="write it again", passphrase="words")
    for costs in ("1048576:32:1", "262144:8:16", "16384:32:16"):
        with pytest.raises(EncryptionError):
            cipher.decrypt(f"x:scrypt:{costs}:c2FsdHNhbHRzYWx0c2E=:abc")
    assert cipher.decrypt(cipher.encrypt(b"")) == b""


# ------------------------------------------------------------------------------------------------ logins, names


def test_a_login_that_is_stored_under_the_type(write, monkeypatch, tmp_path, world):
    """``work: {type: gemini, auth_type: oauth}`` finds the login of ``provider-kit auth login gemini``."""
    monkeypatch.setenv("PROVIDER_KIT_TOKEN_STORAGE", f"{tmp_path}/kept/")
    open_token_storage().store_token("gemini", OAuthToken(access_token="ya29.token-of-gemini-0123456789"))
    with FakeServer(key="ya29.token-of-gemini-0123456789") as api:
        path = write(
            f"providers: {{work: {{type: gemini, auth_type: oauth, base_url: '{api.base_url('gemini')}', model: demo}}}}"
        )
        with load_config(path) as clients:
            assert world(clients["work"], "chat", "What is 2 + 3?").text == "2 + 3 = 5"


def test_the_variable_of_a_name(write, monkeypatch):
    """Dots and dashes become underscores; ``name:`` is what counts."""
    monkeypatch.setenv("MY_SERVER_API_KEY", "gsk_0123456789abcdef")
    monkeypatch.setenv("MY_SERVER_BASE_URL", "https://mine.test/v1")
    client = load_config(write("providers: {my.server: {type: groq}, other: {type: groq, name: my-server}}"))[
        "my.server"
    ]
    assert client.keys.secrets == ("gsk_0123456789abcdef",)
    assert client.base_url == "https://mine.test/v1"


def test_a_storage_that_cannot_be_read_is_told(monkeypatch, tmp_path):
    """Instead of: there is no key."""
    monkeypatch.setenv("PROVIDER_KIT_TOKEN_STORAGE", "foo://x")
    assert "cannot be read" in told(read("providers: {groq: {}}", {}))
    monkeypatch.setenv("PROVIDER_KIT_TOKEN_STORAGE", f"{tmp_path}/kept/")
    monkeypatch.setenv("PROVIDER_KIT_ENCRYPTION_KEY", generate_encryption_key())
    open_token_storage().store_token("groq", OAuthToken(access_token="gsk_0123456789abcdef", token_type="api_key"))
    assert not read("providers: {groq: {}}", {}).problems
    monkeypatch.delenv("PROVIDER_KIT_ENCRYPTION_KEY")
    assert "PROVIDER_KIT_ENCRYPTION_KEY" in told(read("providers: {groq: {}}", {}))


def test_a_callable_of_yours_may_have_any_attributes(world):
    """What looks like ours is not taken for it."""

    class Key:
        ready = True

        def __call__(self):
            return "good-key-0123456789"

    with FakeServer(key="good-key-0123456789") as api:
        client = api.client("openai/gpt-4o", api_key=Key())
        assert world(client, "chat", "What is 2 + 3?").text == "2 + 3 = 5"
        client.close()


def test_a_secret_that_is_no_text_is_refused():
    from provider_kit.config.secrets.aws_secret import _field

    with pytest.raises(AuthError):
        from provider_kit.config import secrets

        monkey = pytest.MonkeyPatch()
        with monkey.context() as patch:
            patch.setattr(secrets, "_BUILT_IN", {"aws": "provider_kit.config.secrets.aws_secret"})
            patch.setattr("provider_kit.config.secrets.aws_secret.fetch", lambda where: _field("n", '{"a": null}', "a"))
            secrets.fetch_secret("aws", "n#a")


# ------------------------------------------------------------------------------------------------ time


def test_a_file_of_merges_ends_soon():
    keys = ", ".join(f"k{n}: 1" for n in range(8000))
    started = time.perf_counter()
    found = read(f"x-a: &a {{{keys}}}\nproviders:\n  openai:\n    <<: [{', '.join(['*a'] * 5000)}]\n")
    assert found.problems
    assert time.perf_counter() - started < 5


def test_clients_are_closed_while_others_are_made(write):
    clients = load_config(write("providers: {demo: {}}"))

    async def main():
        for number in range(20):
            clients[f"demo/{number}"]
        closing = asyncio.ensure_future(clients.aclose())
        await asyncio.sleep(0)
        clients["demo"]
        await closing

    asyncio.run(main())
    clients.close()
    for name in (0, None, "nobody"):
        with pytest.raises(KeyError):
            clients[name]
    assert clients.get("nobody") is None


def test_settings_that_are_good_together_only(tmp_path):
    """One alone would be refused; and where both are there, a mistake in one is told at its line."""
    path = tmp_path / "config.yaml"
    head = "providers:\n  openai:\n    api_key: sk-test-0123456789abcdef\n    rate_limit: "
    path.write_text(head + "{requests_per_minute: 6, pacing: smooth}\n")
    limit = load_config(path)["openai"].config.rate_limit
    assert (limit.requests_per_minute, limit.pacing) == (6, "smooth")
    for wrong, told in (
        ("{pacing: smooth}", "needs requests_per_minute"),
        ("{requests_per_minute: 6, pacing: smoth}", "smoth"),
        ("{requests_per_minute: -6, pacing: smooth}", "requests_per_minute must be"),
    ):
        path.write_text(head + wrong + "\n")
        with pytest.raises(ConfigError, match=told):
            load_config(path)
