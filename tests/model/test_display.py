"""What notebooks show of answers: the same text, and nothing in it runs, is loaded, or leads elsewhere than the web."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from provider_kit import ChatResponse, Client, Message, Router
from provider_kit.doctor.findings import Diagnosis, Finding
from provider_kit.model.display import html_table, inert_markdown

#: What could do harm, and the pieces of Markdown that could bring it about where it was taken for code.
PIECES = [
    *("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "![x](http://evil.test/?q=1)", "![x][r]"),
    *("[x](javascript:alert(1))", "[x](<javascript:alert(1)>)", "[x](data:text/html,x)", "[r]: javascript:alert(1)"),
    *("<javascript:alert(1)>", "[r]: http://evil.test/x.png", "[x][r]", "<b>", "a < b"),
    *(
        "`",
        "``",
        "```",
        "```py",
        "```a`b",
        "~~~",
        "  ```",
        "   ~~~",
        "    ```",
        "- ",
        "1. ",
        "> ",
        "# ",
        "| a | ",
        "\\",
        "x",
    ),
    *("[x](vscode&#58;//e)", "[x](vscode\\://e)", "[x](\nvscode://e)", "[r]:\nvscode://e\n\n", "[r]", "[x](//e.test)"),
    *("\\`", "\r", "!", "[x](https://e.test)", "[x]: <https://e.test>"),
    *("\n", "\n\n", "\n  ", "\n    ", "\n- ", "\n> ", " "),
]


def rendered(text):
    """By a renderer that passes HTML on, as those of notebooks do."""
    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(text)


def harm(tokens):
    """What of it would run or be loaded."""
    found = []
    for token in tokens:
        if token.type in ("html_block", "html_inline", "image"):
            found.append(token.content or token.type)
        if token.type == "link_open" and not token.attrs["href"].startswith(("http:", "https:", "mailto:")):
            found.append(token.attrs["href"])
        found += harm(token.children or ())
    return found


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_nothing_in_an_answer_is_active(text):
    """Whatever is taken for code, and wherever lists, quotes and tables begin."""
    assert harm(rendered(inert_markdown(text))) == []


def test_the_pieces_do_harm_otherwise():
    """The test above can fail."""
    assert harm(rendered("a <b>x</b> ![x](http://evil.test)")) == ["<b>", "</b>", "x"]


@pytest.mark.parametrize(
    "text",
    [
        "Rivers **begin** as springs.\n\n- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |",
        "```html\n<b>x</b>\n```",
        "~~~\n<b>\n~~~\n",
        "- a list\n  ```html\n  <b>\n  ```\n- more",
        "Write `<b>` and ``a ` b``, or $\\frac{1}{2}$.",
        "[a page](https://example.org) and [mail](mailto:a@example.org)",
    ],
)
def test_harmless_markdown_is_unchanged(text):
    """Code in particular."""
    assert inert_markdown(text) == text


def test_what_is_changed_shows_as_it_was_written():
    """As text."""
    (_, inline, _) = rendered(inert_markdown("a < b, <i>c</i> ![d](e)"))
    assert "".join(token.content for token in inline.children) == "a < b, <i>c</i> ![d](e)"


def test_tex_makes_no_links():
    """Notebooks hand formulas to MathJax, which has commands for that."""
    assert inert_markdown(r"$\href{javascript:alert(1)}{x}$") == r"$\\href{javascript:alert(1)}{x}$"


def test_tables_hold_text_only():
    """Foreign text in cells, titles and heads."""
    made = html_table("<i>", ["<b>"], [["<script>", "'&"]])
    assert "<script>" not in made
    assert "&lt;script&gt;" in made
    assert "<i>" not in made


def test_answers_conversations_diagnoses_and_routers_show():
    """As text, and in notebooks."""
    client = Client("demo")
    reply = client.chat("What is 2 + 3?")
    assert str(reply) == reply._repr_markdown_() == "2 + 3 = 5"
    assert str(ChatResponse(Message("assistant", "<b>"), "stop")) == "<b>"
    assert ChatResponse(Message("assistant", "<b>"), "stop")._repr_markdown_() == "&lt;b>"
    talk = client.conversation()
    assert talk._repr_markdown_() == "*Nothing was said yet.*"
    talk.say("What is 2 + 3?")
    assert str(talk) == "user: What is 2 + 3?\n\nassistant: 2 + 3 = 5"
    assert talk._repr_markdown_() == "**user**: What is 2 + 3?\n\n**assistant**: 2 + 3 = 5"
    router = Router([client])
    router.chat("Hello")
    assert "demo/demo" in router._repr_html_()
    assert "<td" in router._repr_html_()
    found = Diagnosis("acme", findings=[Finding("key", "failed", "It is <wrong>.", hint="Set it.")])
    assert "FAIL" in str(found)
    assert "&lt;wrong&gt;" in found._repr_html_()
    client.close()
