"""Broken JSON of models is read where only one reading is possible."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider_kit.schema.json_repair import loads_repaired, repair

GOOD = {"a": [1, 2.5, "x"], "b": None, "c": True}


@pytest.mark.parametrize(
    "text",
    [
        '{"a": [1, 2.5, "x"], "b": null, "c": true}',
        '```json\n{"a": [1, 2.5, "x"], "b": null, "c": true}\n```',
        'Here it is:\n```\n{"a": [1, 2.5, "x"], "b": null, "c": true}\n```\nEnjoy!',
        'Sure! {"a": [1, 2.5, "x"], "b": null, "c": true} Anything else?',
        '```json\n{"a": [1, 2.5, "x"], "b": null, "c": true}',
        "{'a': [1, 2.5, 'x'], 'b': None, 'c': True}",
        '{a: [1, 2.5, "x"], b: null, c: true}',
        '{"a": [1, 2.5, "x",], "b": null, "c": true,}',
        '{"a": [1, 2.5 "x"] "b": null "c": true}',
        '{"a": [1, 2.5, "x"], // one\n "b": null, /* two */ "c": true # three\n}',
        '{"a": [1, 2.5, "x"], "b": null, "c": true',
        '{"c": true, "b": null, "a": [1, 2.5, "x"',
        "\ufeff{“a”: [1, 2.5, “x”], “b”: null, “c”: true}",
        '{"a": [1, 2.5, "x"], "b": , "c": true}',
    ],
)
def test_it_is_read_as_it_was_meant(text):
    """Fences, prose, commas, quotes, comments, words of Python, and closing brackets that were forgotten."""
    assert loads_repaired(text) == GOOD


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": "line\nbreak"}', {"a": "line\nbreak"}),
        (r'{"a": "C:\dir"}', {"a": r"C:\dir"}),
        ('{"a": "he said "no" to me"}', {"a": 'he said "no" to me'}),
        (r'{"a": "\u00e9\ud83d\ude00", "b": 1,}', {"a": "é😀", "b": 1}),
        ("{'a': 'it\\'s'}", {"a": "it's"}),
        ('{"a": +1, "b": 1_000,}', {"a": 1, "b": 1000}),
        ("True", True),
        ('I think [see below]: {"a": 1}', {"a": 1}),
        ('{"text": "see\n```json\n{1}\n```\nok"}', {"text": "see\n```json\n{1}\n```\nok"}),
        ('["a" "b"]', ["a", "b"]),
        ('{"name": "Ada"}\n\n[1] https://example.org/Ada', {"name": "Ada"}),
        ('According to [1] and [2, 3]:\n{"name": "Ada"}', {"name": "Ada"}),
        ('Here:\n```json\n{"md": "Run:\\n```sh\\nls\\n```\\nDone"}\n```', {"md": "Run:\n```sh\nls\n```\nDone"}),
        ('{"a": 1}}', {"a": 1}),
        ('{"subject": "Learn "C"# fast",\n "body": "hi"}', {"subject": 'Learn "C"# fast', "body": "hi"}),
        ('{"a": 1}, as you asked.', {"a": 1}),
    ],
)
def test_odd_texts_and_numbers(text, value):
    """As models write them."""
    assert loads_repaired(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "no JSON at all", '{"a": "cut in the midd', '{"a": 12', '{"a":', '{"a"', "[1, 2", "[1, tru", '{"a": 1,', "{]"],
)
def test_nothing_is_invented(text):
    """A text that was cut does not pass as a whole."""
    if text == "{]":
        assert loads_repaired(text) == {}
        return
    with pytest.raises(ValueError, match=r"."):
        loads_repaired(text)


@pytest.mark.parametrize(
    "text",
    [
        "[2024-01-15, 2024-02-20]",
        "[555-1234]",
        "[5 apples, 6 pears]",
        "[1 000, 2 000]",
        "[1,000, 2,000]",
        "[10 20]",
        "[01, 007]",
        '{"a": 1 / 2}',
        '{"age": 36}\nWait, that is wrong: {"age": 37}',
        '{"a": 0x1F}',
        '{"to": "Bob"}, "amount": 5}',
        '{"a": {"b": 1}}, "c": 2}',
        '{"x":[1,2}, "y":3}',
        '["a"], "b"]',
        '{"size": "15"", "brand": "Dell"}',
        '{"text":"hi","channel": #general\n}',
        '```json\n{"name":"draft"}\n``` Wait, wrong. Final:\n```json\n{"name":"final"}\n```',
    ],
)
def test_what_may_be_read_in_several_ways_is_refused(text):
    """A number of another size would be worse than an error."""
    with pytest.raises(ValueError, match=r"."):
        loads_repaired(text)


@pytest.mark.parametrize("text", ['{"a": 1, "b": {"c": 2', '["x"', '{"a": "x"'])
def test_missing_brackets_are_added_only_where_nothing_may_have_been_cut(text):
    """What is about to be acted upon is not."""
    loads_repaired(text + "}" * 3)
    with pytest.raises(ValueError, match="before its last bracket"):
        repair(text, close=False)


@given(st.text(alphabet="{}[]\",:\\\n `abc1.-/*#truefalsn\u201c'", max_size=60))
def test_any_text_is_read_or_refused(text):
    """And nothing else happens."""
    try:
        loads_repaired(text)
    except ValueError:
        pass


@pytest.mark.parametrize("piece", ["{", "[", '"', "```a\n", '{"a":', "/*", "\\", "#\n", ' "'])
def test_a_long_hostile_text_is_read_in_linear_time(piece):
    """A megabyte of the worst piece."""
    text = "{" + piece * (1_000_000 // len(piece))
    started = time.process_time()
    try:
        loads_repaired(text)
    except ValueError:
        pass
    assert time.process_time() - started < 8
