"""Conversations and rendered answers, at a real terminal (a pseudo-terminal of 80 columns)."""

import re
import signal
import sys
import time

import pytest

from provider_kit.cli.answer_output import _end_of_block, _without_empty_ends
from provider_kit.cli.line_reader import join_lines
from provider_kit.testing import FakeServer

pty = pytest.importorskip("pty")
KEY = "sk-secret-0123456789abcdef"
ANSWER = "# Rivers\n\nRivers **begin** as springs.\n\n- one\n- two\n\n```python\nx = 1\n```\n\nThe end."


def test_an_answer_is_rendered(terminal):
    """Markdown becomes headings, lists and code; nothing of its marks stays."""
    with FakeServer() as server:
        server.reply(ANSWER)
        shown = terminal("chat", "-m", "openai/gpt-4o", "Tell me", server=server)
        assert shown.end() == 0
        last = re.split(r"\x1b\[2K", shown.raw)
        final = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", "".join(last))
        assert "Rivers begin as springs." in final
        assert " • one" in final
        assert "\x1b[1mbegin\x1b[0m" in shown.raw
        assert KEY not in shown.raw


@pytest.mark.parametrize("variable", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_an_answer_is_plain_where_that_is_wanted(terminal, variable):
    with FakeServer() as server:
        server.reply(ANSWER)
        shown = terminal("chat", "-m", "openai/gpt-4o", "Tell me", server=server, **variable)
        assert shown.end() == 0
        assert shown.raw.replace("\r\n", "\n") == f"{ANSWER}\n"


def test_a_model_cannot_move_the_cursor(terminal):
    """Control characters of an answer are left out."""
    with FakeServer() as server:
        server.reply("before\x1b]0;owned\x07\x1b[2Jafter\n\n")
        shown = terminal("chat", "-m", "openai/gpt-4o", "Tell me", server=server)
        assert shown.end() == 0
        assert "\x1b]0" not in shown.raw
        assert "\x1b[2J" not in shown.raw


def test_a_conversation(terminal, tmp_path):
    """What was said is remembered; commands, several lines, another model, the end; the history is private."""
    with FakeServer() as server:
        talk = terminal("chat", "-m", "openai/gpt-4o", "-s", "Be brief.", server=server)
        talk.wait_for("/help lists the commands")
        talk.type("My name is Ada.")
        talk.wait_for("Nice to meet you, Ada!")
        talk.type("What is my name?")
        talk.wait_for("Your name is Ada.")
        assert server.requests[-1].asked.turns[0] == ("system", "Be brief.")
        talk.type("/usage")
        talk.wait_for("2 answers: ")
        talk.type("/modle")
        talk.wait_for("Did you mean /model?")
        talk.type("/model gpt-4o-mini")
        talk.wait_for("Talking to openai/gpt-4o-mini")
        talk.type("one \\")
        time.sleep(0.2)
        talk.type("two")
        talk.wait_for("You said: one")
        assert server.requests[-1].json["model"] == "gpt-4o-mini"
        assert server.requests[-1].asked.last[1] == "one \ntwo"
        talk.type("/system Be long.")
        talk.wait_for("System prompt: Be long.")
        talk.type("/history")
        talk.wait_for("Nice to meet you, Ada!")
        talk.type("/provider nobody")
        talk.wait_for("names no known provider")
        talk.type("/clear")
        talk.wait_for("was cleared")
        talk.type("What is my name?")
        talk.wait_for("You have not told me your name.")
        talk.type("/exit")
        assert talk.end() == 0
    history = tmp_path / "provider-kit" / "chat_history"
    assert history.stat().st_mode & 0o077 == 0
    assert "What is my name?" in history.read_text()


def test_ctrl_c_ends_the_answer_and_keeps_its_part(terminal):
    """In a conversation the prompt comes back, and the next question goes on from the part."""
    with FakeServer() as server:
        server.reply("one two three four five six seven eight nine ten " * 20)
        server.fault(token_delay=0.05)
        talk = terminal("chat", "-m", "openai/gpt-4o", server=server)
        talk.wait_for("/help")
        talk.type("Count")
        talk.wait_for("three")
        talk.press(b"\x03")
        talk.wait_for("(interrupted; the part above stays in the conversation)")
        talk.type("What is 2 + 3?")
        talk.wait_for("2 + 3 = 5")
        turns = server.requests[-1].asked.turns
        assert [role for role, _ in turns] == ["user", "assistant", "user"]
        assert turns[1][1].startswith("one two three")
        assert talk.leave() == 0
        assert "Traceback" not in talk.raw


def test_ctrl_c_during_one_answer(terminal):
    """The part stays, the prompt of the shell comes on a line of its own, exit code 130."""
    with FakeServer() as server:
        server.reply("one two three four five six seven eight nine ten " * 20)
        server.fault(token_delay=0.05)
        shown = terminal("chat", "-m", "openai/gpt-4o", "Count", server=server)
        shown.wait_for("three")
        shown.press(b"\x03")
        assert shown.end() == 130
        assert "one two three" in shown.text
        assert shown.text.endswith("(interrupted)\n")
        assert "Traceback" not in shown.raw


def test_a_failure_ends_no_conversation(terminal):
    with FakeServer() as server:
        server.fault(401)
        talk = terminal("chat", "-m", "openai/gpt-4o", server=server)
        talk.wait_for("/help")
        talk.type("Hello")
        talk.wait_for("More: provider-kit explain authentication")
        talk.type("What is 2 + 3?")
        talk.wait_for("2 + 3 = 5")
        assert [role for role, _ in server.requests[-1].asked.turns] == ["user"]
        talk.process.send_signal(signal.SIGTERM)
        talk.end()


def test_the_doctor_fits_the_terminal(terminal):
    """No line is longer than 80 columns."""
    with FakeServer() as server:
        shown = terminal("doctor", "openai", "--calls", "1", server=server)
        assert shown.end() == 0
        assert "✓ credentials" in shown.text
        printed = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.raw)
        assert max(map(len, re.split(r"[\r\n]+", printed))) <= 80  # a line that is drawn again begins with \r


@pytest.mark.parametrize(
    ("typed", "question"),
    [
        (["one"], "one"),
        (["one \\", "two"], "one \ntwo"),
        (['"""', "a", "", "b\\", '"""'], "a\n\nb\\"),
    ],
)
def test_lines_that_belong_together(typed, question):
    lines = iter(typed)
    assert join_lines(lambda more: next(lines)) == question


@pytest.mark.parametrize(
    ("text", "block"),
    [
        ("one\n", None),
        ("one\n\ntwo", "one\n\n"),
        ("```\na\n\nb\n", None),
        ("```\na\n\nb\n```\nrest", "```\na\n\nb\n```\n"),
        ("~~~~\na\n~~~\n~~~~\n", "~~~~\na\n~~~\n~~~~\n"),
        ("- a\n\n- b\n", None),
        ("\n\none", None),
    ],
)
def test_where_a_block_ends(text, block):
    end = _end_of_block(text)
    assert (None if end is None else text[:end]) == block


def test_empty_lines_around_a_rendering_are_dropped():
    assert _without_empty_ends("\n\x1b[0m  \n a\n\n b\n  \n") == " a\n\n b\n"


def test_pieces_are_shown_at_once(terminal):
    """The first word is on the screen long before the last one."""
    with FakeServer() as server:
        server.reply("one two three four five six seven eight nine ten " * 5)
        server.fault(token_delay=0.05)
        shown = terminal("chat", "-m", "openai/gpt-4o", "Count", server=server)
        shown.wait_for("one")
        assert shown.process.poll() is None


def test_lists_are_tables_on_a_terminal(terminal):
    """With titles there, and without them where they are piped."""
    with FakeServer() as server:
        shown = terminal("models", "openai", "--refresh", server=server)
        assert shown.end() == 0
        assert re.search(r"^Model +Context", shown.text, re.MULTILINE)
        assert re.search(r"^openai/demo", shown.text, re.MULTILINE)
        printed = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.raw)
        assert max(map(len, re.split(r"[\r\n]+", printed))) <= 80  # a line that is drawn again begins with \r


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("Here:\n\n<div>hello from html</div>\n\nAfter <b>bold</b> end.", ["hello from html", "<b>bold</b>"]),
        ("<thinking>\nsecret plan here\n</thinking>\n\nanswer 42", ["secret plan here", "answer 42"]),
        ("Roses are red\nViolets are blue", ["Roses are red\n", "Violets are blue"]),
        ("[the docs](https://example.com/page)", ["https://example.com/page"]),
        (r"\[ E = mc^2 \]", [r"\[ E = mc^2 \]"]),
    ],
)
def test_nothing_of_an_answer_is_lost_by_rendering(terminal, answer, words):
    """Tags, line breaks, addresses and formulas are there in the end."""
    with FakeServer() as server:
        server.reply(answer)
        shown = terminal("chat", "-m", "openai/gpt-4o", "Tell me", server=server)
        assert shown.end() == 0
        final = shown.raw.rpartition("\x1b[2K")[2]
        final = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", final)
        final = re.sub(r" +\n", "\n", final)
        whole = shown.text if len(shown.raw.split("\x1b[2K")) > 4 else final
        for word in words:
            assert word in whole, shown.raw


def test_what_follows_a_block_longer_than_the_screen_is_whole():
    """Words that came with its end are not doubled."""
    from provider_kit.cli import answer_output

    out = answer_output._Rendered()
    written = []

    class Screen:
        def write(self, text):
            written.append(text)

        def flush(self):
            pass

    before = sys.stdout
    sys.stdout = Screen()
    try:
        with out:
            out.write("word " * 3000 + "\n\nNex")
            out.write("t paragraph.")
    finally:
        sys.stdout = before
    text = "".join(written)
    assert "Nex\n" not in re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)


def test_wide_characters_are_counted_as_the_terminal_does():
    from provider_kit.cli.answer_output import _rows

    assert _rows("a" + "宽" * 79 + "b", 80) == 3
    assert _rows("x" * 80, 80) == 1
    assert _rows("x" * 81, 80) == 2
    assert _rows("a\nb", 80) == 2


def test_another_providers_key_does_not_go_to_the_first_ones_address(terminal):
    """``--base-url`` is that of the provider it was given for."""
    with FakeServer() as server, FakeServer() as other:
        talk = terminal(
            "chat", "-m", "openai/gpt-4o", "--base-url", server.base_url(), server=server,
            ANTHROPIC_API_KEY="sk-ant-0123456789abcdef", ANTHROPIC_BASE_URL=other.base_url("anthropic"),
        )  # fmt: skip
        talk.wait_for("/help")
        talk.type("/provider anthropic")
        talk.wait_for("Talking to anthropic/")
        talk.type("What is 2 + 3?")
        talk.wait_for("2 + 3 = 5")
        assert not server.requests
        assert other.requests[0].headers["x-api-key"] == "sk-ant-0123456789abcdef"
        assert talk.leave() == 0


def test_files_stay_in_the_conversation_and_bad_ones_leave_it(terminal, tmp_path):
    note = tmp_path / "note.txt"
    note.write_text("The secret word is heron.")
    (tmp_path / "bin.dat").write_bytes(b"\x00\x01\x02")
    with FakeServer() as server:
        talk = terminal("chat", "-m", "openai/gpt-4o", "-f", str(note), server=server)
        talk.wait_for("/help")
        talk.type("What is in it?")
        talk.wait_for("What is in it?")
        talk.type("What is 2 + 3?")
        talk.wait_for("2 + 3 = 5")
        assert "heron" in str(server.requests[-1].json["messages"][0])
        talk.type(f"/file '{tmp_path}/bin.dat'")
        talk.wait_for("Attached to the next question")
        talk.type("What is 3 + 3?")
        talk.wait_for("files were removed")
        talk.type("What is 4 + 4?")
        talk.wait_for("4 + 4 = 8")
        talk.type("/etc/hosts what is this?")
        talk.wait_for("You said: /etc/hosts")
        assert talk.leave() == 0
