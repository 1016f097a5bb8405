"""The log of the command: what it holds, who can read it, how it is switched off, and conversations that go on."""

import json
import os
import sqlite3
import stat

import pytest

from provider_kit.cli.call_log import CallLog, is_logging
from provider_kit.testing import FakeServer


@pytest.fixture
def log(tmp_path):
    """The file of a log, and the environment that names it."""
    return tmp_path / "logs.db"


@pytest.fixture
def ask(run, log):
    """A function: run the command with a log."""
    return lambda *arguments, **more: run(*arguments, PROVIDER_KIT_LOGS=str(log), **more)


def test_what_was_asked_is_logged(ask, log):
    """Newest first, in a file that only its owner can read."""
    assert ask("What is 2 + 3?", "-s", "Be brief.").exit_code == 0
    assert ask("-m", "demo/echo", "Hello there").exit_code == 0
    assert stat.S_IMODE(os.stat(log).st_mode) == 0o600
    newest, older = json.loads(ask("logs", "list", "--json").stdout)
    assert (newest["model"], newest["prompt"], newest["answer"]) == ("demo/echo", "Hello there", "Hello there")
    assert (older["prompt"], older["answer"], older["system"]) == ("What is 2 + 3?", "2 + 3 = 5", "Be brief.")
    assert older["output_tokens"] > 0
    assert older["finish_reason"] == "stop"
    shown = ask("logs", "show").stdout
    assert "> Hello there" in shown
    assert ask("logs", "show", str(older["id"])).stdout.count("2 + 3 = 5") == 1
    assert "Hello there" in ask("logs").stdout
    assert "Hello there" not in ask("logs", "search", "2", "+ 3").stdout
    assert "What is 2 + 3?" in ask("logs", "search", "2", "+ 3").stdout
    assert ask("logs", "search", "100%").stdout == ""
    assert ask("logs", "path").stdout.strip() == str(log)


def test_secrets_are_masked(ask, log):
    """In the prompt, the answer, and what is kept to continue."""
    ask("-m", "demo/echo", "My key is sk-proj-abcdefghijklmnop0123456789 and that is it")
    with sqlite3.connect(log) as connection:
        written = "".join(str(row) for row in connection.execute("SELECT * FROM turns"))
    connection.close()
    assert "abcdefghijklmnop" not in written
    assert "and that is it" in written


def test_one_setting_switches_it_off(run, ask, log, tmp_path):
    """The variable; or the command, until it is switched on again."""
    config = {"XDG_CONFIG_HOME": str(tmp_path / "config"), "XDG_DATA_HOME": str(tmp_path / "data")}
    run("Hello there", PROVIDER_KIT_LOGS="off", **config)
    assert not (tmp_path / "data").exists()
    ask("Hello there", "--no-log")
    assert not log.exists()
    run("logs", "off", PROVIDER_KIT_LOGS="", **config)
    run("Hello there", PROVIDER_KIT_LOGS="", **config)
    assert not (tmp_path / "data").exists()
    assert "switched off" in run("logs", "path", PROVIDER_KIT_LOGS="", **config).stderr
    run("logs", "on", PROVIDER_KIT_LOGS="", **config)
    run("Hello there", PROVIDER_KIT_LOGS="", **config)
    assert (tmp_path / "data" / "provider-kit" / "logs.db").exists()


@pytest.mark.parametrize("value", ["off", "0", "no", "False", "none"])
def test_words_that_switch_it_off(monkeypatch, value):
    """Anything else is a file."""
    monkeypatch.setenv("PROVIDER_KIT_LOGS", value)
    assert not is_logging()
    monkeypatch.setenv("PROVIDER_KIT_LOGS", "calls.db")
    assert is_logging()


def test_a_log_that_cannot_be_written_costs_no_answer(run, tmp_path):
    """It is said, and how to be rid of it."""
    result = run("Hello there", PROVIDER_KIT_LOGS=str(tmp_path))
    assert result.exit_code == 0
    assert "Hello!" in result.stdout
    assert "PROVIDER_KIT_LOGS=off" in result.stderr


def test_the_last_conversation_goes_on(ask):
    """With what was said, its system prompt and its model."""
    ask("My name is Ada.")
    assert "Your name is Ada." in ask("-c", "What is my name?").stdout
    first, second = json.loads(ask("logs", "list", "--json").stdout)
    assert first["conversation"] == second["conversation"]
    ask("Hello there")
    assert "Ada" not in ask("-c", "What is my name?").stdout


def test_a_conversation_has_a_name(ask):
    """It is begun, and goes on, by it."""
    ask("--conversation", "ada", "-s", "Be brief.", "My name is Ada.")
    ask("Hello there")
    assert "Your name is Ada." in ask("--conversation", "ada", "What is my name?").stdout
    rows = json.loads(ask("logs", "list", "--conversation", "ada", "--json").stdout)
    assert [row["system"] for row in rows] == ["Be brief.", "Be brief."]
    result = ask("-c", "--conversation", "adda", "Hi there")
    assert result.exit_code == 2
    assert "Did you mean 'ada'?" in result.stderr


def test_what_was_logged_can_be_deleted(ask, log):
    """All of it, or what is older."""
    ask("Hello there")
    assert ask("logs", "clear", "--days", "1", "--yes").stdout == "0 turns deleted.\n"
    assert ask("logs", "clear", "--yes").stdout == "1 turn deleted.\n"
    assert ask("logs", "clear", input="n\n").exit_code == 1
    assert b"Hello there" not in log.read_bytes()


def test_a_turn_that_is_undone_is_left_out(log):
    """Of the list, and of the conversation."""
    from provider_kit import Client, Message

    with Client("demo") as client, CallLog(str(log)) as opened:
        for text in ("My name is Ada.", "What is my name?"):
            answer = client.chat(text)
            row = opened.record("one", "demo/demo", None, [Message.user(text), answer.message], answer, 0.1)
        assert len(opened.conversation("one").messages) == 4
        opened.undo(row)
        assert len(opened.conversation("one").messages) == 2
        opened.rename("one", "two")
        assert opened.last_conversation() == "two"
        assert opened.conversations() == ["two"]


# ------------------------------------------------------------------------------------------------ odd values


@pytest.mark.parametrize("value", ["on", "1", "yes", "TRUE"])
def test_on_is_no_file(run, tmp_path, monkeypatch, value):
    """It is written where it usually is."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    run("-m", "demo/echo", "Hello there", PROVIDER_KIT_LOGS=value)
    assert not (tmp_path / value).exists()
    assert list((tmp_path / "data").rglob("logs.db"))


def test_numbers_that_are_none(run, log):
    """A conversation may be called by a number; one that is too large is nothing."""
    environment = {"PROVIDER_KIT_LOGS": str(log)}
    run("-m", "demo/echo", "--conversation", "123456", "Hello there", **environment)
    assert "Hello there" in run("logs", "show", "123456", **environment).stdout
    assert "no turn" in run("logs", "show", "9" * 30, **environment).stderr
    assert run("logs", "list", "-n", "9" * 30, **environment).exit_code == 2


def test_the_address_of_a_conversation_is_kept(run, log):
    """What was said to a server of one's own does not go to the provider of that name later."""
    with FakeServer() as own:
        options = {"PROVIDER_KIT_LOGS": str(log), "OPENAI_API_KEY": "sk-test-0123456789abcdef"}
        run("-m", "openai/gpt-4o", "--base-url", own.base_url(), "My name is Ada.", **options)
        assert run("-c", "What is my name?", **options).stdout == "Your name is Ada.\n"
        assert len(own.requests) == 2


def test_what_is_logged_can_be_sent_again(log):
    """Names and ids stay, arguments stay JSON; what is secret in them is masked."""
    from provider_kit import Message, ToolCall

    call = ToolCall("call_1", "key_value_store_lookup", '{"cmd": "curl \\"http://h/?token=abcdef123456\\" x"}')
    turn = [Message.user("Look it up"), Message("assistant", [call]), Message.tool("call_1", "AKIAIOSFODNN7EXAMPLE")]
    with CallLog(str(log)) as opened:
        opened.record("one", "demo/demo", None, turn, None, 0.1)
        _, answer, result = opened.conversation("one").messages
    assert answer.tool_calls[0].name == "key_value_store_lookup"
    assert answer.tool_calls[0].arguments == {"cmd": 'curl "http://h/?token=***" x'}
    assert "AKIA" not in str(result.text) + log.read_bytes().decode("latin-1")
