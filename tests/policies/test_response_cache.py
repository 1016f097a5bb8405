"""Entries, keys and the memory of the response cache: plain values, no client."""

import pickle
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider_kit import ConfigError, ResponseCache
from provider_kit.policies.response_cache import CacheEntry, MemoryCache, cache_key, vary_headers

#: What an entry takes besides its body.
OVERHEAD = 200


def entry(size, letter=b"x"):
    return CacheEntry("json", letter * size)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


def shuffled(value, turn):
    """The same JSON value with the keys of every dict in another order."""
    if isinstance(value, dict):
        items = [(name, shuffled(inner, turn)) for name, inner in value.items()]
        cut = turn % (len(items) or 1)
        return dict(reversed(items[cut:] + items[:cut]))
    return [shuffled(inner, turn) for inner in value] if isinstance(value, list) else value


@given(st.dictionaries(st.text(max_size=5), values, max_size=6), st.integers(0, 5))
def test_the_order_of_keys_does_not_change_the_key(body, turn):
    """However deep a dict stands, the same content is the same question."""
    assert cache_key("s", shuffled(body, turn), (), None) == cache_key("s", body, (), None)


@given(values, values)
def test_different_bodies_have_different_keys(one, other):
    """What is not equal as JSON is another question; true is not 1."""
    import json

    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (cache_key("s", one, (), None) == cache_key("s", other, (), None)) is same


@pytest.mark.parametrize(
    "changed",
    [
        ("other", {"a": 1}, (), None),
        ("s", {"a": 2}, (), None),
        ("s", {"a": 1}, [("x-a", "1")], None),
        ("s", {"a": 1}, (), {"v": "1"}),
    ],
    ids=["scope", "body", "headers", "query"],
)
def test_each_part_of_a_question_changes_its_key(changed):
    """Scope, body, headers and query."""
    assert cache_key(*changed) != cache_key("s", {"a": 1}, (), None)


def test_a_query_that_is_empty_is_none():
    """An empty dict says nothing."""
    assert cache_key("s", {}, (), {}) == cache_key("s", {}, (), None)


def test_headers_are_told_without_case_order_and_credentials():
    """Names in small letters, sorted; no credential, and nothing that changes no answer."""
    told = vary_headers({"X-Team": "a", "Authorization": "Bearer x", "User-Agent": "me"}, None, {"anthropic-beta": "b"})
    assert told == [("anthropic-beta", "b"), ("x-team", "a")]


@given(st.sampled_from(["json", "stream"]), st.binary(max_size=60), st.none() | st.text(max_size=10))
def test_an_entry_survives_the_way_into_a_store_and_back(kind, body, request_id):
    """Any bytes, line breaks included."""
    kept = CacheEntry(kind, body, request_id)
    assert CacheEntry.from_bytes(kept.to_bytes()) == kept


@pytest.mark.parametrize(
    "data",
    [b"", b"\n", b"[]\nx", b'{"v": 2, "kind": "json"}\n{}', b'{"v": 1, "kind": "pickle"}\n{}', b"\x80\x04\x95\n", b"{"],
    ids=["nothing", "line break", "list", "later version", "unknown kind", "pickle", "cut"],
)
def test_bytes_of_another_making_are_no_entry(data):
    """They are as good as no answer."""
    assert CacheEntry.from_bytes(data) is None


@given(st.binary(max_size=40))
def test_no_bytes_whatever_raise(data):
    """A store may hold anything."""
    CacheEntry.from_bytes(data)


def test_an_entry_in_memory_lasts_for_its_time_and_no_longer():
    """At the very end of its time it is gone, and gives its room back."""
    memory = MemoryCache()
    memory.set("a", entry(10), 5.0, now=100.0)
    assert memory.get("a", 104.99) == entry(10)
    assert memory.get("a", 105.0) is None
    assert (len(memory), memory.bytes) == (0, 0)


def test_the_least_recently_used_leaves_first():
    """Reading counts as use."""
    memory = MemoryCache(3 * (100 + OVERHEAD))
    for name in "abc":
        memory.set(name, entry(100), 60.0, 0.0)
    memory.get("a", 1.0)
    memory.set("d", entry(100), 60.0, 2.0)
    assert [name for name in "abcd" if memory.get(name, 3.0)] == ["a", "c", "d"]


def test_an_entry_larger_than_the_whole_is_not_kept_and_pushes_nothing_out():
    """Its older version is gone all the same, as it is out of date."""
    memory = MemoryCache(1000)
    memory.set("a", entry(10), 60.0, 0.0)
    memory.set("b", entry(10), 60.0, 0.0)
    memory.set("a", entry(5000), 60.0, 1.0)
    assert memory.get("a", 2.0) is None
    assert memory.get("b", 2.0) == entry(10)
    assert memory.bytes == 10 + OVERHEAD


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 900), st.integers(1, 5)), max_size=40))
def test_memory_never_takes_more_than_it_may(steps):
    """After every step the count of bytes is right and within its bound."""
    memory = MemoryCache(2000)
    for now, (name, size, ttl) in enumerate(steps):
        memory.set(name, entry(size), float(ttl), float(now))
        memory.get("a", float(now))
        held = memory._entries.values()
        assert memory.bytes == sum(len(kept.body) + OVERHEAD for kept, _ in held) <= 2000


def test_memory_is_whole_after_many_threads():
    """Counted bytes are those that are held."""
    memory = MemoryCache(20_000)

    def work(number):
        for turn in range(300):
            memory.set(f"{(number * 7 + turn) % 90}", entry(turn % 300), 60.0, 0.0)
            memory.get(f"{turn % 90}", 1.0)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert memory.bytes == sum(len(kept.body) + OVERHEAD for kept, _ in memory._entries.values()) <= 20_000


def test_clear_forgets_what_is_in_memory():
    """And gives the room back."""
    cache = ResponseCache()
    cache.memory.set("a", entry(10), 60.0, 0.0)
    cache.clear()
    assert (cache.memory.get("a", 1.0), cache.memory.bytes) == (None, 0)


@pytest.mark.parametrize(
    "options",
    [
        {"ttl": 0},
        {"ttl": -1},
        {"ttl": float("nan")},
        {"ttl": True},
        {"ttl": "1h"},
        {"max_bytes": 0},
        {"max_bytes": 1.5},
        {"max_bytes": True},
        {"store": 5},
        {"store": ""},
        {"store": b"answers.db"},
        {"store": {}},
    ],
    ids=str,
)
def test_a_cache_of_wrong_arguments_is_refused_with_a_hint(options):
    """At once, not with the first call."""
    with pytest.raises(ConfigError) as caught:
        ResponseCache(**options)
    assert caught.value.hint


def test_the_class_of_a_store_is_no_store():
    """It has the methods, but nothing can be kept in it."""

    class Store:
        def get(self, key):
            raise NotImplementedError

        def set(self, key, data, ttl):
            raise NotImplementedError

    with pytest.raises(ConfigError, match="cannot be kept"):
        ResponseCache(Store)
    assert isinstance(ResponseCache(Store()).store, Store)


def test_a_path_may_be_a_path_object(tmp_path):
    """pathlib names files, too."""
    assert ResponseCache(tmp_path / "answers.db").store == str(tmp_path / "answers.db")


def test_a_cache_that_was_pickled_keeps_its_numbers_and_no_answers():
    """Answers stay where they are; locks and memory are new."""
    cache = ResponseCache(ttl=5, max_bytes=4000, tool_calls=True, single_flight=True)
    cache.memory.set("a", entry(10), 60.0, 0.0)
    copy = pickle.loads(pickle.dumps(cache))
    assert (copy.ttl, copy.max_bytes, copy.tool_calls, copy.single_flight) == (5, 4000, True, True)
    assert len(copy.memory) == 0
    assert copy.lead("k", None) is True


class Wakeup:
    woken = 0

    def wake(self):
        self.woken += 1


def test_one_leads_and_the_others_are_woken_once_it_is_done():
    """Afterwards the next one leads."""
    cache = ResponseCache(single_flight=True)
    wakeups = [Wakeup() for _ in range(3)]
    assert [cache.lead("k", wakeup) for wakeup in wakeups] == [True, False, False]
    assert cache.lead("another", Wakeup()) is True
    cache.led("k")
    assert [wakeup.woken for wakeup in wakeups] == [0, 1, 1]
    assert cache.lead("k", Wakeup()) is True


def test_what_a_cache_shows_of_itself_holds_no_address():
    """An address may hold a password."""
    shown = repr(ResponseCache("redis://:hidden-password@localhost/0"))
    assert "hidden-password" not in shown
    assert "3600" in shown
