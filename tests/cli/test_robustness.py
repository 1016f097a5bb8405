"""Mistakes, odd terminals and hostile answers: a line and an exit code, never a traceback, never a secret."""

import os
import subprocess
import sys

import pytest

from provider_kit import OAuthToken, open_token_storage
from provider_kit.testing import FakeServer

KEY = "sk-secret-0123456789abcdef"
HEX = "0123456789abcdef0123456789abcdef"


def shell(command, **environment):
    """The command in a shell of its own."""
    program = f"{sys.executable} -X dev -W error::ResourceWarning -m provider_kit"
    return subprocess.run(
        ["bash", "-c", command.replace("provider-kit", program)],
        env={**os.environ, **environment},
        capture_output=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


# ------------------------------------------------------------------------------------------------ what answers


def test_a_broken_provider_is_not_replaced_by_another_of_its_name(run, tmp_path, fake_server):
    """The prompt and the key go to the address in the file, or nowhere."""
    (tmp_path / "config.yaml").write_text(
        "providers:\n  openai:\n    base_url: http://127.0.0.1:9/v1\n    timuout: 3\n"
    )
    for command in (("chat", "-m", "openai", "Hi"), ("test", "openai"), ("models", "openai"), ("chat", "Hi")):
        result = run(*command, OPENAI_API_KEY=KEY, OPENAI_BASE_URL=fake_server.base_url())
        assert result.exit_code in (1, 2), command
        assert "timuout" in result.output
    assert not fake_server.requests


def test_a_stored_key_decides_who_answers(run, fake_server):
    """Where nothing else does: in programs and on the command line."""
    from provider_kit import Client

    open_token_storage().store_token("openai", OAuthToken(access_token=KEY, token_type="api_key"))
    fake_server.reply("Hello from a real provider.")
    assert run("chat", "Hi", OPENAI_BASE_URL=fake_server.base_url()).stdout == "Hello from a real provider.\n"
    assert Client.from_config().provider == "openai"


def test_a_server_and_its_model(run, fake_server):
    result = run("chat", "Hello", "-m", "my-model", "--base-url", fake_server.base_url())
    assert result.exit_code == 0, result.output
    assert fake_server.requests[0].json["model"] == "my-model"


def test_fewer_tries(run, fake_server):
    fake_server.always(503)
    run("chat", "Hi", "-m", "vllm/x", "--base-url", fake_server.base_url(), "--max-retries", "0")
    assert len(fake_server.requests) == 1


def test_models_are_remembered_for_each_key(run, fake_server):
    environment = {"OPENAI_BASE_URL": fake_server.base_url()}
    assert run("models", "openai", OPENAI_API_KEY="sk-one-0123456789abcd", **environment).exit_code == 0
    fake_server.always(401)
    assert run("models", "openai", OPENAI_API_KEY="sk-two-0123456789abcd", **environment).exit_code == 1


# ------------------------------------------------------------------------------------------------ secrets


@pytest.mark.parametrize(
    "line",
    [
        f"  two: {{type: openai, api_key: {HEX}, bogus: 1}}",
        f"  two:\n    api_key: abc${HEX}",
        f"  two:\n    headers: {{X-Gw: {HEX}, timout: 3}}",
        f"  gemini:\n    oauth_credentials:\n      - {{id: a, client_secret: {HEX}, acces_token: {HEX}}}",
        f"  two:\n    acces_token: {HEX}",
        f"  two:\n    api_keys:\n      - [{HEX}]",
    ],
)
def test_a_line_of_the_file_is_shown_without_its_secrets(run, tmp_path, line):
    (tmp_path / "config.yaml").write_text(f"providers:\n{line}\n")
    result = run("config", "check")
    assert "config.yaml:" in result.output
    assert HEX not in result.output


def test_passwords_of_proxies_are_masked(run, tmp_path):
    (tmp_path / "config.yaml").write_text(
        "providers:\n  demo:\n    http: {proxy: 'http://user:p@sswordxyz@proxy.corp:8080'}\n"
    )
    for arguments in ((), ("--json",)):
        result = run("config", "show", *arguments)
        assert result.exit_code == 0, result.output
        assert "sswordxyz" not in result.output


# ------------------------------------------------------------------------------------------------ files, outputs


@pytest.mark.parametrize(
    "arguments",
    [
        ("config", "init", "some.yaml/x.yaml"),
        ("config", "encrypt", "some.yaml", "-o", "some.yaml/x"),
        ("config", "encrypt", "some.yaml", "-o", "/tmp"),
        ("chat", "Hi", "--schema", "binary.dat"),
        ("chat", "Hi", "--schema", "deep.json"),
        ("chat", "Hi", "--schema", "[1]"),
        ("chat", "Hi", "-t", "5"),
        ("keys", "rm", ""),
        ("explain", "nonsense"),
    ],
)
def test_a_mistake_is_a_line_and_exit_code_2(run, tmp_path, arguments):
    (tmp_path / "some.yaml").write_text("providers: {demo: {}}\n")
    (tmp_path / "binary.dat").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    result = run(*arguments, PROVIDER_KIT_ENCRYPTION_KEY="some words")
    assert result.exit_code == 2, result.output
    assert "Error: " in result.stderr


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("provider-kit providers > /dev/full", 2),
        ("provider-kit chat -m demo/echo Hi > /dev/full", 2),
        ("provider-kit providers >&-", (0, 1, 2)),
        ("provider-kit chat -m demo/echo Hi >&-", (0, 1, 2)),
        ("provider-kit keys set openai <&-", 2),
        ("provider-kit chat -m demo/echo '宽 → é'", 0),
        ("provider-kit doctor opnai", 2),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "ascii"])
def test_outputs_that_cannot_take_everything(command, code, encoding):
    done = shell(command, PYTHONIOENCODING=encoding)
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    assert done.returncode in (code if isinstance(code, tuple) else (code,)), done.stderr.decode()


def test_more_statuses_are_explained(run):
    for status, code in (("405", "api"), ("418", "api"), ("501", "internal_server"), ("5xx", "internal_server")):
        assert run("explain", status).stdout.startswith(f"{code} (")


# ------------------------------------------------------------------------------------------------ keys


def test_keys_of_strangers_and_in_quotes(run):
    told = run("keys", "set", "opanai", input="some-key-0123456789\n")
    assert "Did you mean 'openai'" in told.stderr
    told = run("keys", "set", "openai", input=f'"{KEY}"\n')
    assert "quotes" in told.stderr
    assert open_token_storage().retrieve_token("openai").access_token == KEY


def test_stored_names_are_completed(run):
    open_token_storage().store_token("mine", OAuthToken(access_token=KEY, token_type="api_key"))
    words = {"_PROVIDER_KIT_COMPLETE": "bash_complete", "COMP_CWORD": "3", "COMP_WORDS": "provider-kit keys rm m"}
    assert run(**words).output.split() == ["plain,mine"]


def test_a_hostile_error_cannot_draw(run):
    with FakeServer() as server:
        server.always(400, message="no\x1b]0;owned\x07\x1b[2J")
        result = run("chat", "Hi", "-m", "openai/gpt-4o", OPENAI_API_KEY=KEY, OPENAI_BASE_URL=server.base_url())
        assert "\x1b" not in result.stderr
