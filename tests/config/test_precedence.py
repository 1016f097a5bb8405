"""Argument, file, environment, default: who goes before whom, setting by setting."""

import os

import pytest

from provider_kit import Client, ConfigError, load_config
from provider_kit.config.loader import open_configuration
from provider_kit.config.resolved import effective_values
from provider_kit.model.config import DEFAULT_MAX_RETRIES

FILE_KEY, ENVIRONMENT_KEY, ARGUMENT_KEY = "sk-file-0123456789ab", "sk-env-0123456789abc", "sk-arg-0123456789abc"

#: Setting in the file, how a client shows it, value of the argument, the file, the environment, by default.
TABLE = {
    "api_key": (lambda c: c.keys.secrets[0], ARGUMENT_KEY, FILE_KEY, ENVIRONMENT_KEY, None),
    "base_url": (
        lambda c: c.base_url,
        "https://arg.test/v1",
        "https://file.test/v1",
        "https://env.test/v1",
        "https://api.openai.com/v1",
    ),
    "model": (lambda c: c.model, "arg-model", "file-model", None, "gpt-6-luna"),
    "timeout": (lambda c: c.config.timeout, 1.0, 2, None, None),
    "total_timeout": (lambda c: c.config.total_timeout, 10.0, 20, None, None),
    "max_retries": (lambda c: c.config.max_retries, 7, 5, None, DEFAULT_MAX_RETRIES),
    "max_concurrency": (lambda c: c.config.max_concurrency, 7, 5, None, None),
    "key_strategy": (lambda c: c.config.key_strategy, "random", "simple", None, "round_robin"),
    "on_unsupported": (lambda c: c.config.on_unsupported, "raise", "drop", None, "warn"),
    "retry_on_read_timeout": (lambda c: c.config.retry_on_read_timeout, False, True, None, False),
    "project": (lambda c: c.config.options.get("project"), "arg", "file", None, None),
}
VARIABLES = {"api_key": "OPENAI_API_KEY", "base_url": "OPENAI_BASE_URL"}
SOURCES = ("argument", "file", "environment")


def cases():
    for setting, (_, _, _, environment, _) in TABLE.items():
        for mask in range(8):
            given = tuple(source for bit, source in enumerate(SOURCES) if mask >> bit & 1)
            if "environment" in given and environment is None:
                continue
            yield pytest.param(setting, given, id=f"{setting}-{'+'.join(given) or 'nothing'}")


@pytest.mark.parametrize(("setting", "given"), list(cases()))
def test_who_goes_before_whom(tmp_path, monkeypatch, setting, given):
    """The first of argument, file and environment that has it, else the default."""
    show, of_argument, of_file, of_environment, default = TABLE[setting]
    if setting != "api_key":
        monkeypatch.setenv("OPENAI_API_KEY", ENVIRONMENT_KEY)
    if "environment" in given:
        monkeypatch.setenv(VARIABLES[setting], of_environment)
    path = tmp_path / "config.yaml"
    line = (
        f"    {setting}: {str(of_file).lower() if isinstance(of_file, bool) else of_file}\n" if "file" in given else ""
    )
    path.write_text(f"providers:\n  openai:\n    enabled: true\n{line}")
    values = {"argument": of_argument, "file": of_file, "environment": of_environment}
    wanted = next((values[source] for source in SOURCES if source in given), default)
    changes = {setting: of_argument} if "argument" in given else {}
    if setting == "api_key" and not given:
        with pytest.raises(ConfigError, match="There is no key"):
            load_config(path)
        return
    if setting == "api_key" and given == ("argument",):
        monkeypatch.setenv("OPENAI_API_KEY", ENVIRONMENT_KEY)  # the file alone must be right, too
    client = Client.from_config("openai", path, **changes)
    assert show(client) == wanted
    if "argument" not in given:
        assert show(load_config(path)["openai"]) == wanted


def test_a_variable_in_the_file_counts_as_the_file(tmp_path, monkeypatch):
    """``${VAR}`` goes before the provider's own variable."""
    monkeypatch.setenv("OPENAI_API_KEY", ENVIRONMENT_KEY)
    monkeypatch.setenv("MY_KEY", FILE_KEY)
    monkeypatch.setenv("SECONDS", "12")
    path = tmp_path / "config.yaml"
    path.write_text(
        "providers:\n  openai:\n    api_key: ${MY_KEY}\n    timeout: ${SECONDS}\n    max_retries: ${N:-0}\n"
    )
    client = load_config(path)["openai"]
    assert client.keys.secrets == (FILE_KEY,)
    assert (client.config.timeout, client.config.max_retries) == (12, 0)


def test_zero_means_zero(tmp_path, monkeypatch):
    """Not: unset."""
    monkeypatch.setenv("OPENAI_API_KEY", ENVIRONMENT_KEY)
    path = tmp_path / "config.yaml"
    path.write_text("providers:\n  openai:\n    max_retries: 0\n")
    assert load_config(path)["openai"].config.max_retries == 0


def test_numbered_variables_count_as_several_keys(tmp_path, monkeypatch):
    """A file that gives no key takes all of them, and says where they come from."""
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ANTHROPIC_API_KEY_1", "sk-ant-first-0123456789")
    monkeypatch.setenv("ANTHROPIC_API_KEY_2", "sk-ant-second-0123456789")
    path = tmp_path / "config.yaml"
    path.write_text("providers: {anthropic: {}}\n")
    with load_config(path) as clients:
        assert len(clients["anthropic"].keys) == 2
    shown = {value.path: value.origin for value in effective_values(open_configuration(str(path)), os.environ)}
    assert shown["providers.anthropic.api_key"] == "ANTHROPIC_API_KEY_1 to _2 of the environment"
