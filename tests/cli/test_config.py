"""``provider-kit config``, ``keys`` and ``explain``: what they print, and with which exit code."""

import json
import os
import stat
import time

import pytest

from provider_kit import error_guide, generate_encryption_key, open_token_storage
from provider_kit.cli.masked_lines import masked_line
from provider_kit.testing import FakeServer

KEY = "sk-secret-0123456789abcdef"


BROKEN = f"""\
providers:
  openai:
    api_key: {KEY}
    timout: 30
    max_retries: "3"
"""


# ------------------------------------------------------------------------------------------------ config


def test_problems_are_printed_like_a_compiler_does(run, tmp_path):
    """File, line, column, the line itself with its secrets masked, a caret, the remedy; exit code 2."""
    (tmp_path / "config.yaml").write_text(BROKEN)
    (tmp_path / "config.yaml").chmod(0o600)
    result = run("config", "check")
    assert result.exit_code == 2
    assert "config.yaml:4:5: error: providers.openai.timout: Unknown setting 'timout'." in result.stdout
    assert "    4 |     timout: 30\n      |     ^\n        Did you mean 'timeout'" in result.stdout
    assert "config.yaml:5:18: error" in result.stdout
    assert "config.yaml: 2 errors." in result.stderr
    rows = json.loads(run("config", "check", "--json").stdout)
    assert [(row["line"], row["severity"]) for row in rows] == [(4, "error"), (5, "error")]


def test_a_line_with_a_secret_is_masked(run, tmp_path):
    (tmp_path / "config.yaml").write_text(f"providers:\n  openai:\n    api_key: [{KEY}]\n    api_keys: {KEY}\n")
    result = run("config", "check")
    assert "    api_key: ***" in result.stdout
    assert "    api_keys: ***" in result.stdout


def test_a_right_file_is_praised(run, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(f"providers:\n  openai:\n    api_key: {KEY}\n")
    path.chmod(0o600)
    result = run("config", "check")
    assert result.stdout == "config.yaml is right. Providers: openai.\n"
    assert result.exit_code == 0
    path.chmod(0o644)
    result = run("config", "check", "config.yaml")
    assert "warning" in result.stdout
    assert "with 1 warning" in result.stdout
    assert result.exit_code == 0


def test_the_settings_that_count(run, tmp_path):
    (tmp_path / "config.yaml").write_text(f"providers:\n  openai:\n    api_key: {KEY}\n    timeout: 7\n")
    result = run("config", "show")
    assert "# config.yaml" in result.stdout
    row = next(line for line in result.stdout.splitlines() if line.startswith("providers.openai.timeout"))
    assert row.split() == ["providers.openai.timeout", "7", "#", "config.yaml:4"]
    rows = {row["path"]: row for row in json.loads(run("config", "show", "--json").stdout)}
    assert rows["providers.openai.api_key"]["value"] == "***"


def test_the_settings_without_a_file(run):
    result = run("config", "show", OPENAI_API_KEY=KEY)
    assert "no configuration file" in result.stdout
    assert "OPENAI_API_KEY of the environment" in result.stdout
    assert json.loads(run("config", "show", "--json", OPENAI_API_KEY=KEY).stdout)[-1]["value"] == "openai"


def test_a_file_to_begin_with(run, tmp_path):
    """It is right, private, and not overwritten."""
    result = run("config", "init", "-p", "openai", "-p", "ollama")
    assert "Set OPENAI_API_KEY" in result.stdout
    path = tmp_path / "config.yaml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert run("config", "check", OPENAI_API_KEY=KEY).exit_code == 0
    assert run("config", "init").exit_code == 2
    assert run("config", "init", "--force").exit_code == 0
    assert run("config", "init", "other.yaml", "-p", "nobody").exit_code == 2


def test_schema_and_path(run, tmp_path):
    assert json.loads(run("config", "schema").stdout)["title"] == "provider_kit configuration"
    assert "the user's own would be" in run("config", "path").stdout
    (tmp_path / "provider_kit.yaml").write_text("providers: {demo: {}}\n")
    assert run("config", "path").stdout == "provider_kit.yaml\n"


def test_encryption(run, tmp_path):
    """There and back; the encrypted file is read like any other."""
    (tmp_path / "plain.yaml").write_text(f"providers: {{openai: {{api_key: {KEY}}}}}\n")
    key = generate_encryption_key()
    result = run("config", "encrypt", "plain.yaml", "-o", "config.yaml", PROVIDER_KIT_ENCRYPTION_KEY=key)
    assert result.exit_code == 0, result.output
    assert KEY not in (tmp_path / "config.yaml").read_text()
    assert run("config", "check", PROVIDER_KIT_ENCRYPTION_KEY=key).exit_code == 0
    assert run("config", "encrypt", "config.yaml", PROVIDER_KIT_ENCRYPTION_KEY=key).exit_code == 2
    assert run("config", "decrypt", "config.yaml", "-o", "again.yaml", PROVIDER_KIT_ENCRYPTION_KEY=key).exit_code == 0
    assert (tmp_path / "again.yaml").read_text() == (tmp_path / "plain.yaml").read_text()
    wrong = run("config", "check", PROVIDER_KIT_ENCRYPTION_KEY=generate_encryption_key())
    assert wrong.exit_code == 2
    assert "cannot be decrypted" in wrong.stderr
    assert "PROVIDER_KIT_ENCRYPTION_KEY" in run("config", "decrypt", "config.yaml").stderr


def test_no_file_at_all(run):
    result = run("config", "check")
    assert result.exit_code == 2
    assert "provider-kit config init" in result.stderr


# ------------------------------------------------------------------------------------------------ commands use the file


def test_commands_use_the_file(run, tmp_path):
    """Its default, its names, its order; a model behind a slash."""
    with FakeServer(key=KEY) as server:
        (tmp_path / "config.yaml").write_text(
            "providers:\n  work:\n    type: openai\n    model: gpt-4o\n"
            f"    api_key: {KEY}\n    base_url: {server.base_url()}\n"
        )
        assert run("chat", "What is 2 + 3?").stdout == "2 + 3 = 5\n"
        assert run("chat", "-m", "work/echo", "Hello").stdout == "Hello\n"
        assert [request.json["model"] for request in server.requests] == ["gpt-4o", "echo"]
        assert "work " in run("providers").stdout
        assert "work/demo" in run("models", "work").stdout
        assert run("test", "work").stdout.startswith("work works.")


def test_a_broken_file_is_told_and_does_not_stop_what_does_not_need_it(run, tmp_path):
    (tmp_path / "config.yaml").write_text(BROKEN)
    result = run("chat", "-m", "demo/echo", "Hello")
    assert (result.stdout, result.exit_code) == ("Hello\n", 0)
    assert "config.yaml has 2 problems; see: provider-kit config check" in result.stderr
    (tmp_path / "config.yaml").write_text("providers:\n  work:\n    type: openai\n    timout: 3\n")
    result = run("chat", "-m", "work", "Hello")
    assert result.exit_code == 2
    assert "'timeout'" in result.stderr


# ------------------------------------------------------------------------------------------------ keys


def test_keys_are_stored_used_and_forgotten(run, tmp_path):
    """Piped in; shown by their end only; used where no other key is given; never over a login."""
    result = run("keys", "set", "openai", input=f"{KEY}\n")
    assert "…cdef" in result.stdout
    assert result.exit_code == 0
    assert open_token_storage().retrieve_token("openai").access_token == KEY
    for path in (tmp_path / "kept").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
    assert run("keys", "list").stdout.split() == ["openai", "key", "…cdef"]
    assert json.loads(run("keys", "list", "--json").stdout) == [{"provider": "openai", "kind": "key", "key": "…cdef"}]
    assert "key stored" in run("providers").stdout
    with FakeServer(key=KEY) as server:
        assert (
            run("chat", "-m", "openai/gpt-4o", "What is 2 + 3?", OPENAI_BASE_URL=server.base_url()).stdout
            == "2 + 3 = 5\n"
        )
    assert run("keys", "rm", "openai").exit_code == 0
    assert run("keys", "rm", "openai").exit_code == 2
    assert "Nothing is stored" in run("keys", "list").stdout


def test_a_key_of_the_wrong_form_is_told_and_kept(run):
    result = run("keys", "set", "anthropic", input=f"{KEY}\n")
    assert "begin with sk-ant-" in result.stderr
    assert result.exit_code == 0


@pytest.mark.parametrize("key", ["", "two words", "ключ"])
def test_what_is_no_key_is_refused(run, key):
    assert run("keys", "set", "openai", input=f"{key}\n").exit_code == 2


def test_a_login_is_not_replaced_by_a_key(run):
    from provider_kit import OAuthToken

    open_token_storage().store_token("openai", OAuthToken(access_token=KEY))
    assert "auth logout openai" in run("keys", "set", "openai", input="sk-other-0123456789\n").stderr
    assert run("keys", "rm", "openai").exit_code == 2
    assert run("keys", "list").stdout.split() == ["openai", "login"]
    assert run("keys", "set", "openai", "--force", input="sk-other-0123456789\n").exit_code == 0


# ------------------------------------------------------------------------------------------------ explain, completion


@pytest.mark.parametrize("code", error_guide.codes())
def test_every_code_is_explained(run, code):
    result = run("explain", code)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{code} (")
    assert "What to do:\n  1. " in result.stdout


def test_explain_takes_what_stands_in_a_log(run):
    assert run("explain", "429").stdout.startswith("rate_limit (")
    assert run("explain", "TokenExpired").exit_code == 2
    assert "'token_expired'" in run("explain", "token_expird").stderr
    listed = run("explain").stdout
    assert all(code in listed for code in error_guide.codes())
    assert json.loads(run("explain", "rate_limit", "--json").stdout)["retryable"] is True
    assert len(json.loads(run("explain", "--json").stdout)) == len(error_guide.codes())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(run, shell):
    result = run("completion", shell)
    assert result.exit_code == 0
    assert "_PROVIDER_KIT_COMPLETE" in result.stdout


def test_providers_and_codes_are_completed(run):
    words = {"_PROVIDER_KIT_COMPLETE": "bash_complete", "COMP_CWORD": "2"}
    assert "plain,anthropic" in run(COMP_WORDS="provider-kit doctor anth", **words).output
    assert "plain,rate_limit" in run(COMP_WORDS="provider-kit explain rate", **words).output


def test_more_than_one_process_agrees(tmp_path):
    """The variables of the tests are the command's too."""
    assert os.environ["PROVIDER_KIT_TOKEN_STORAGE"].startswith(str(tmp_path))


S = "Zq9TopSecretValue42"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("    timeout: 30s  # seconds", "    timeout: 30s  # …"),
        ("    timeout 30", "    timeout 30"),
        ("  foo: {type: openai, base_url: 'x:80', max_retries: 3}", None),
        ("  foo: {type: openai, timuout: 5, models: [m1], rate_limit: {requests_per_minut: 5}}",
         "  foo: {type: openai, timuout: 5, models: [***], rate_limit: {requests_per_minut: 5}}"),
        ("    api_key: ${MY_KEY}", None),
        ("    api_key: ${MY_KEY:-" + S + "}", "    api_key: ${MY_KEY:-***}"),
        ("    model: gpt-5-mini", None),
        ("    base_url: http://127.0.0.1:80/v1", None),
    ],
)  # fmt: skip
def test_a_line_is_shown_as_far_as_it_helps(line, shown):
    assert masked_line(line) == (line if shown is None else shown)


@pytest.mark.parametrize(
    "line",
    [
        f"openai: {{model: gpt-4o api_key: {S}}}",
        f"openai: {{api_key: {S}, model: gpt}}",
        f"openai: {{api_key: 'ab, {S}', model: gpt",
        f'openai: {{"api_key":"{S}", model: x}}',
        f"openai: {{api_key:{S}}}",
        f"openai: {{model: gpt, {S}}}",
        f"openai: {{model: gpt: {S}}}",
        f"openai: {{{S}: x}}",
        f"openai: {{headers: {{id: {S}, X-A: [1]}}}}",
        f"headers: {{id: {S}, model: {S}}}",
        f"hedaers: {{id: {S}}}",
        f"openai: {{api_key: ab{{model: {S}, x: y}}",
        f'openai: {{api_key: "x", model: x # {S}',
        f"openai: {{model: x}} # api_key: {S}",
        f"openai: [{S} : x]",
        f"openai: {{api_key: ${{NOPE:-{S}}}, model: x}}",
        f"openai: {{base_url: https://user:{S}@host/v1, model: x}}",
        f"openai: {{base_url: 'https://host/v1?key={S}', model: x}}",
        f"    {{api_key: {S}, timeout: abc}}",
        f"    model: x, api_key: {S}, timeout: abc}}",
        f"    api_key = {S}",
        f"    api_key {S}",
        f"    api key: {S}",
        f"    “api_key”: {S}",
        f"    {S}",
        f"  - {S}",
        f"    - api_key: {S}",
        "    api_key: 942942942942",
        f"    api_key: !!str {S}",
        f"    api_key: &a {S}",
        f"    model: x {S}",
        f"  providers: {{openai: {{api_key: {S}}}}}",
    ],
)
def test_a_line_shows_no_secret(line):
    """However it is broken."""
    told = masked_line(line)
    assert S not in told
    assert "942942" not in told
    assert "***" in told or "…" in told


def test_a_hostile_line_is_soon_masked():
    for line in (
        "${" * 50000,
        "{a: " * 50000,
        "openai: {" + "a," * 50000,
        "- " * 50000,
        " " * 100000 + "x",
        "#" * 90000,
    ):
        started = time.perf_counter()
        masked_line(line)
        assert time.perf_counter() - started < 1


def test_a_remedy_is_not_taken_for_a_secret(run, tmp_path):
    (tmp_path / "x.yaml").write_text("providers:\n  openai:\n    api_key: ${OPENAI_KEY_OF_NOBODY}\n")
    assert "Set it: export OPENAI_KEY_OF_NOBODY=…, or write" in run("config", "check", str(tmp_path / "x.yaml")).output
