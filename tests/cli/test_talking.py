"""What is said in a conversation at the terminal, and what of it is in the log: undo, retry, save, load, tools."""

import json
import sqlite3
from contextlib import closing

import pytest

from provider_kit.testing import FakeServer, Reply

pytest.importorskip("pty")

TOOL = """
def act(amount: int) -> str:
    '''Act.'''
    with open('acted', 'a') as file:
        file.write(f'{amount} ')
    return 'acted'
"""


@pytest.fixture
def log(tmp_path):
    """The file of the log, and the prompts of it that were not taken back."""

    class Log:
        path = tmp_path / "logs.db"

        def prompts(self, conversation=None):
            where = "" if conversation is None else f" AND conversation = '{conversation}'"
            with closing(sqlite3.connect(self.path)) as opened:
                found = opened.execute(f"SELECT prompt FROM turns WHERE NOT undone{where} ORDER BY id")
                return [row[0] for row in found]

        def messages(self, conversation):
            with closing(sqlite3.connect(self.path)) as opened:
                found = opened.execute(
                    "SELECT messages FROM turns WHERE NOT undone AND conversation = ? ORDER BY id", (conversation,)
                )
                return [message for row in found for message in json.loads(row[0])["messages"]]

    return Log()


@pytest.fixture
def talk(terminal, log, tmp_path, monkeypatch):
    """A function that begins a conversation, whose log is :func:`log`."""
    monkeypatch.chdir(tmp_path)
    with FakeServer() as server:

        def begin(*arguments, **environment):
            begun = terminal(
                "chat", "-m", "openai/gpt-4o", *arguments, server=server, PROVIDER_KIT_LOGS=str(log.path), **environment
            )
            begun.server = server
            begun.wait_for("/help")
            return begun

        yield begin


def ask(talk, text, answer):
    talk.type(text)
    talk.wait_for(answer)
    talk.wait_for(">")


def test_what_is_taken_back_is_taken_back_in_the_log(talk, log):
    """The turn of the conversation, not the last one that was logged: an interrupted one is none."""
    one = talk()
    ask(one, "What is 1 + 1?", "1 + 1 = 2")
    ask(one, "What is 2 + 2?", "2 + 2 = 4")
    one.server.reply("one two three four five " * 50)
    one.server.fault(token_delay=0.05)
    one.type("Count")
    one.wait_for("three")
    one.press(b"\x03")
    one.wait_for("(interrupted")
    ask(one, "/undo", "Taken back: Count")
    assert log.prompts() == ["What is 1 + 1?", "What is 2 + 2?"]
    ask(one, "/undo", "Taken back: What is 2 + 2?")
    assert log.prompts() == ["What is 1 + 1?"]
    assert one.leave() == 0


def test_an_interrupted_turn_is_in_the_log_with_the_next(talk, log):
    """So that the conversation can go on later as it was."""
    one = talk()
    one.server.reply("one two three four five " * 50)
    one.server.fault(token_delay=0.05)
    one.type("Count")
    one.wait_for("three")
    one.press(b"\x03")
    one.wait_for("(interrupted")
    ask(one, "What is 2 + 2?", "2 + 2 = 4")
    ask(one, "/save numbers", "kept as numbers")
    assert [message["role"] for message in log.messages("numbers")] == ["user", "assistant"] * 2
    assert one.leave() == 0


def test_a_retry_that_fails_leaves_what_was_there(talk, log):
    """In the conversation and in the log; one that succeeds replaces it."""
    one = talk("--max-retries", "0")
    ask(one, "What is 1 + 1?", "1 + 1 = 2")
    one.server.fault(500)
    ask(one, "/retry", "The answer that was there stays.")
    assert log.prompts() == ["What is 1 + 1?"]
    one.server.reply("two")
    ask(one, "/retry", "two")
    ask(one, "/history", "two")
    assert "1 + 1 = 2" not in one.text
    assert log.prompts() == ["What is 1 + 1?"]
    assert one.leave() == 0


def test_a_loaded_file_is_kept_whole(talk, log, tmp_path):
    """``/load x.json``, then ``/save name``: what was said before is there, too."""
    first = talk()
    ask(first, "My name is Ada.", "Ada")
    ask(first, "/save ada.json", "Wrote ada.json")
    assert first.leave() == 0
    second = talk()
    ask(second, "/load nope.json", "There is no file nope.json")
    ask(second, "/load ada.json", "it has 2 messages")
    ask(second, "/save ada", "kept as ada")
    ask(second, "What is my name?", "Your name is Ada")
    assert second.leave() == 0
    assert len(log.messages("ada")) == 4
    third = talk("--conversation", "ada")
    ask(third, "What is my name?", "Your name is Ada")
    ask(third, "/undo", "Taken back")
    ask(third, "/undo", "Taken back")
    assert third.leave() == 0
    assert len(log.messages("ada")) == 2


def test_tokens_count_on_after_a_new_beginning(talk):
    """What was used was used."""
    one = talk()
    ask(one, "What is 1 + 1?", "1 + 1 = 2")
    ask(one, "/clear", "cleared")
    one.type("/usage")
    one.wait_for("1 answer")
    one.wait_for("0 messages")
    assert "tokens unknown" not in one.text
    assert one.leave() == 0


@pytest.mark.parametrize(
    ("typed", "told"),
    [("/sav", "/save or /usage"), ("/retry x", "takes nothing else"), ("/load nope", "no conversation")],
)
def test_a_command_that_is_wrong(talk, typed, told):
    one = talk()
    ask(one, typed, told)
    assert one.leave() == 0


def test_a_call_is_shown_whole_and_asked_for(talk, tmp_path):
    """Typed before the question was there, an answer does not count; Ctrl-C takes the question back."""
    (tmp_path / "mine.py").write_text(TOOL.replace("amount: int", "amount: int, note: str = 'x'"))
    one = talk("--tools", "mine.py")
    one.server.fault(latency=0.5)
    one.server.reply(Reply("", tool_calls=[("act", {"amount": 1, "note": "a" * 300 + "END"})]))
    one.type("Please act")
    one.press(b"y\r")
    one.wait_for("END")
    one.wait_for("[y]es")
    assert not (tmp_path / "acted").exists()
    one.press(b"\x03")
    one.wait_for("(interrupted")
    ask(one, "What is 2 + 2?", "2 + 2 = 4")
    assert not (tmp_path / "acted").exists()
    assert one.leave() == 0


def test_always_means_the_tool_that_was_seen(talk, tmp_path):
    """Not another one of its name, which a file brings later."""
    (tmp_path / "one.py").write_text(TOOL)
    (tmp_path / "two.py").write_text(TOOL.replace("amount} ", "amount} two "))
    one = talk("--tools", "one.py")
    one.server.reply(Reply("", tool_calls=[("act", {"amount": 1})]))
    one.type("Please act")
    one.wait_for("[y]es")
    one.type("a")
    one.wait_for("act says: acted")
    one.wait_for(">")
    ask(one, "/tools two.py", "act                Act.")
    one.server.reply(Reply("", tool_calls=[("act", {"amount": 2})]))
    one.type("Please act")
    one.wait_for("[y]es")
    one.type("n")
    one.wait_for("not allowed")
    assert (tmp_path / "acted").read_text() == "1 "
    assert one.leave() == 0
