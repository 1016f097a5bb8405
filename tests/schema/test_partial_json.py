"""The value so far only grows, wherever the text is cut, and is that of the whole text at its end."""

import json
import os
import random

import pytest

from provider_kit.schema.partial_json import PartialJSON

#: More of them are read with PROVIDER_KIT_EXAMPLES=10000.
EXAMPLES = int(os.environ.get("PROVIDER_KIT_EXAMPLES", "300"))
TEXTS = ["", "a", 'a"b\\c\n\t', "é😀\u2028", "\ud800x", "x" * 40]


def document(chance, depth=0):
    kind = chance.random()
    if depth > 4 or kind < 0.45:
        number = chance.choice(
            [0, -0.0, chance.randint(-(10**9), 10**9), chance.random() * 10.0 ** chance.randint(-9, 9)]
        )
        return chance.choice([None, True, False, number, chance.choice(TEXTS)])
    if kind < 0.7:
        return [document(chance, depth + 1) for _ in range(chance.randint(0, 5))]
    return {f"{chance.choice(TEXTS)}{n}": document(chance, depth + 1) for n in range(chance.randint(0, 5))}


def grows(before, after):
    if type(before) is not type(after):
        return False
    if isinstance(before, dict):
        return all(key in after and grows(value, after[key]) for key, value in before.items())
    if isinstance(before, list):
        return len(before) <= len(after) and all(map(grows, before, after))
    return after.startswith(before) if isinstance(before, str) else before == after


def test_random_documents_cut_at_every_character():
    """Numbers and literals come whole, texts grow, nothing is taken back."""
    chance = random.Random(13)
    for _ in range(EXAMPLES):
        value = document(chance)
        text = json.dumps(value, ensure_ascii=chance.random() < 0.5, indent=chance.choice([None, None, 1]))
        reader = PartialJSON()
        last, seen = None, False
        for char in text:
            reader.feed(char)
            try:
                now = reader.snapshot()
            except ValueError:
                assert not seen
                continue
            assert not seen or grows(last, now)
            last, seen = now, True
        reader.finish()
        assert reader.snapshot() == json.loads(text)
        assert not reader.broken
        pieces = PartialJSON()
        at = 0
        while at < len(text):
            size = chance.randint(1, 30)
            pieces.feed(text[at : at + size])
            at += size
        pieces.finish()
        assert pieces.snapshot() == json.loads(text)


def test_numbers_and_words_appear_when_they_are_complete():
    """``1`` may become ``12``, ``tru`` is no value."""
    reader = PartialJSON()
    seen = []
    for char in '{"n": 12, "t": true, "s": "ab"}':
        reader.feed(char)
        seen.append(reader.snapshot())
    assert {"n": 1} not in seen
    assert {"n": 12, "s": "a", "t": True} in seen
    assert seen[-1] == {"n": 12, "t": True, "s": "ab"}


def test_a_snapshot_does_not_change_later():
    """Whoever keeps one keeps it."""
    reader = PartialJSON()
    reader.feed('{"a": [{"b": "x')
    first = reader.snapshot()
    reader.feed('y"}, 2]}')
    assert first == {"a": [{"b": "x"}]}
    assert reader.snapshot() == {"a": [{"b": "xy"}, 2]}


@pytest.mark.parametrize("text", ['{"a" 1}', "[1,]", "{,}", '{"a": x}', '["\\q"]', "[1}"])
def test_what_is_no_json_stops_the_view(text):
    """What was read until there stays."""
    reader = PartialJSON()
    reader.feed(f'{{"good": 1, "bad": {text}, "more": 2}}')
    assert reader.broken
    assert reader.snapshot()["good"] == 1
    reader.feed('"x"')
    assert "more" not in reader.snapshot()


def test_prose_and_fences_before_the_value_are_skipped():
    """As models write them."""
    reader = PartialJSON(skip_prose=True)
    for piece in ("Sure: ```js", 'on\n{"a"', ": 1}\n```"):
        reader.feed(piece)
    assert reader.snapshot() == {"a": 1}
    assert reader.complete


def test_items_are_given_when_they_are_closed():
    """Not while they are still being written."""
    reader = PartialJSON()
    counts = []
    for char in '{"value": [{"a": 1}, {"a": 2}, 3]}':
        reader.feed(char)
        counts.append(len(reader.closed_items("value")))
    assert counts == sorted(counts)
    assert counts[-1] == 3
    assert counts[19] == 1


def test_a_deep_document_is_refused_and_does_no_harm():
    """No recursion, and a bound."""
    reader = PartialJSON()
    reader.feed("[" * 100_000)
    assert reader.broken
