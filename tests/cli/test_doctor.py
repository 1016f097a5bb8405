"""``provider-kit doctor``, ``test`` and ``models``: for people and for programs, with exit codes."""

import json

import pytest

from provider_kit.testing import FakeServer

KEY = "sk-secret-0123456789abcdef"


@pytest.fixture
def served(fake_server):
    return {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": fake_server.base_url()}


def test_a_healthy_provider(run, served, monkeypatch):
    monkeypatch.delenv("PROVIDER_KIT_TOKEN_STORAGE")  # whose path is longer than a line here
    result = run("doctor", "openai", "--calls", "1", **served)
    assert result.exit_code == 0, result.output
    assert "ok   credentials    Accepted; 2 models." in result.stdout
    assert "All is well." in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_a_sick_provider(run, served, fake_server):
    """Exit code 1; what to do stands below; what was skipped is left out unless asked for."""
    fake_server.always(401)
    result = run("doctor", "openai", **served)
    assert result.exit_code == 1
    assert "FAIL credentials" in result.stdout
    assert "→ Check the API key" in result.stdout
    assert "1 check failed." in result.stdout
    assert "skip" not in result.stdout
    assert "skip latency" in run("doctor", "openai", "-v", **served).stdout


def test_for_programs(run, served):
    (found,) = json.loads(run("doctor", "openai", "--json", "--calls", "1", **served).stdout)
    assert found["ok"] is True
    assert {"check", "status", "message", "hint", "seconds", "data"} == found["findings"][0].keys()


def test_all_that_are_configured(run, served, tmp_path):
    """Of the file, else those with a key; none at all is told."""
    result = run("doctor", "--calls", "0", **served)
    assert result.exit_code == 0, result.output
    assert "openai" in result.stdout
    nothing = run("doctor")
    assert nothing.exit_code == 2
    assert "provider-kit keys set" in nothing.stderr
    (tmp_path / "config.yaml").write_text("providers:\n  demo: {model: echo}\n  ollama: {enabled: false}\n")
    result = run("doctor", "--calls", "1")
    assert result.exit_code == 0, result.output
    assert "config.yaml is right: demo." in " ".join(result.stdout.split())


def test_a_broken_file_is_a_finding(run, tmp_path):
    """The doctor tells it, with its line, and goes on with what can be read."""
    (tmp_path / "config.yaml").write_text("providers:\n  demo: {}\n  openai:\n    timout: 3\n    api_key: x\n")
    result = run("doctor", "--calls", "0")
    assert result.exit_code == 1
    told = " ".join(result.stdout.split())
    assert "config.yaml:4:5: error" in told
    assert "provider-kit config check" in told
    assert "demo" in told
    (tmp_path / "config.yaml").write_text("providers: [\n")
    assert run("doctor").exit_code == 1
    (tmp_path / "config.yaml").write_text("providers:\n  mine: {type: demo, timout: 3}\n")
    assert "timeout" in run("doctor", "mine").stdout


def test_a_name_nobody_knows(run):
    for command in ("doctor", "test"):
        result = run(command, "opnai")
        assert result.exit_code == 2
        assert "openai" in result.stderr


def test_trying_a_provider(run, served, fake_server):
    """One answer; or the phase it fails in, with what to do."""
    fake_server.reply("Hello.")
    result = run("test", "openai", **served)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("openai works. It answers; 2 models.\nopenai/")
    assert result.stdout.endswith("Hello.\n")
    fake_server.always(429, retry_after=0)
    result = run("test", "openai", **served)
    assert result.exit_code == 1
    assert "fails at model fetch" in result.stderr
    assert "provider-kit explain rate_limit" in result.stderr
    fake_server.always(401)
    told = json.loads(run("test", "openai", "--json", **served).stdout)
    assert (told["status"], told["phase"], told["retryable"]) == ("failed", "model_fetch", False)
    fake_server.always(None)
    fake_server.fault(403)
    fake_server.fault(429, retry_after=0, times=5)
    assert "fails at chat" in run("test", "openai", **served).stderr


def test_models_are_found_and_remembered(run, served, fake_server):
    """For an hour, unless --refresh; by words of their names."""
    assert run("models", "openai", "--refresh", **served).stdout.splitlines() == ["openai/demo", "openai/echo"]
    count = len(fake_server.requests)
    assert run("models", "openai", "-q", "DEM", **served).stdout == "openai/demo\n"
    assert len(fake_server.requests) == count
    nothing = run("models", "openai", "-q", "nothing", **served)
    assert nothing.stdout == ""
    assert "None of the 2 models" in nothing.stderr
    run("models", "openai", "--refresh", **served)
    assert len(fake_server.requests) == count + 1


def test_prices_are_shown_where_they_are_told(run):
    payload = {
        "data": [
            {"id": "a/b", "context_length": 1000, "pricing": {"prompt": "0.00000025", "completion": "0.000002"}},
            {"id": "c/d"},
        ]
    }
    with FakeServer() as server:
        server.always(body=json.dumps(payload).encode())
        environment = {"OPENROUTER_API_KEY": "sk-or-0123456789abcdef", "OPENROUTER_BASE_URL": server.base_url()}
        for _ in range(2):  # from the provider, then from what is remembered
            lines = run("models", "openrouter", **environment).stdout.splitlines()
            assert lines[0].split(maxsplit=1) == ["openrouter/a/b", "1,000 tokens       $0.25 in, $2 out"]
            assert lines[1].split() == ["openrouter/c/d"]
