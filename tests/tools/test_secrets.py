"""Nothing of a tool's exception, of the environment or of a path reaches the model."""

import json
import os

import attrs
import pytest

from provider_kit import ToolContext, tool

SECRET = "sk-planted-0123456789abcdef"  # planted, to be found


@attrs.define
class Account:
    number: str

    def __attrs_post_init__(self):
        raise RuntimeError(f"{SECRET} in {os.getcwd()}")


def raises_value_error() -> str:
    """One."""
    raise ValueError(SECRET)


def raises_with_path() -> str:
    """Two."""
    return open(f"/nowhere/{SECRET}").read()


def raises_from_another() -> str:
    """Three."""
    try:
        raise KeyError(SECRET)
    except KeyError as error:
        raise RuntimeError(f"wrapped {SECRET}") from error


def raises_with_notes() -> str:
    """Four."""
    error = RuntimeError("x")
    error.add_note(SECRET)
    raise error


def takes_account(account: Account) -> str:
    """Five."""
    return "x"


def reads_environment(context: ToolContext[dict[str, str]]) -> str:
    """Six."""
    raise LookupError(context.deps["secret"], os.environ["PLANTED"])


@tool
async def raises_later() -> str:
    """Seven."""
    raise ConnectionError(f"https://user:{SECRET}@host/")


def yields_then_raises():
    """Eight."""
    yield SECRET
    raise OSError(SECRET)


class SecretError(Exception):
    def __str__(self):
        return SECRET

    __repr__ = __str__


def raises_odd_class() -> str:
    """Nine."""
    raise SecretError


ALL = [
    raises_value_error,
    raises_with_path,
    raises_from_another,
    raises_with_notes,
    takes_account,
    reads_environment,
    raises_later,
    yields_then_raises,
    raises_odd_class,
]


def test_no_planted_secret_is_sent(run, client, server, monkeypatch):
    """Nor the working directory, nor a traceback."""
    monkeypatch.setenv("PLANTED", SECRET)
    calls = [(getattr(one, "name", None) or one.__name__, {}) for one in ALL]
    calls[4] = ("takes_account", {"account": {"number": "1"}})
    server.reply("", tool_calls=calls)
    server.reply("done")
    result = run(client, "Go.", tools=ALL, deps={"secret": SECRET})
    assert result.text == "done"
    sent = json.dumps([one.json for one in server.requests])
    assert SECRET not in sent
    assert os.getcwd() not in sent
    assert "Traceback" not in sent
    assert "nowhere" not in sent
    assert all(outcome.error is not None for outcome in result.steps[0].outcomes)
    assert SECRET not in repr(result)


@pytest.mark.parametrize("name", ["ValueError", "FileNotFoundError", "LookupError", "ConnectionError"])
def test_the_class_and_advice_are_told(run, client, server, monkeypatch, name):
    """So that the model can do something about it."""
    monkeypatch.setenv("PLANTED", SECRET)
    server.reply(
        "", tool_calls=[(getattr(one, "name", None) or one.__name__, {}) for one in ALL if one is not takes_account]
    )
    server.reply("done")
    run(client, "Go.", tools=ALL, deps={"secret": SECRET})
    told = [m["content"] for m in server.requests[-1].json["messages"] if m["role"] == "tool"]
    assert any(f"({name})" in content and len(content) > 40 for content in told)
