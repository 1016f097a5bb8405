"""The response cache in calls: what is a hit, what is kept, who asks, and what a store may do wrong."""

import asyncio
import gc
import itertools
import os
import pickle
import subprocess
import sys
import threading
import time

import pytest

from provider_kit import (
    APIError,
    CircuitBreakerConfig,
    Client,
    InvalidRequestError,
    ProviderKitError,
    RateLimitConfig,
    ResponseCache,
    StoreError,
    StreamError,
)
from provider_kit.testing import Reply

TEXT = "One two three four. "
DIALECTS = {
    "openai": ("openai/gpt-4o", {}),
    "anthropic": ("anthropic/claude-sonnet-4-5", {}),
    "gemini": ("gemini/gemini-2.5-flash", {}),
    "ollama": ("ollama/llama3.2", {}),
    "responses": ("openai/gpt-4o", {"use_responses_api": True}),
}
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


@pytest.fixture
def connect(fake_server):
    """Make clients of the server; closed after the test."""
    made = []

    def make(dialect="openai", **options):
        target, given = DIALECTS[dialect]
        options.setdefault("response_cache", True)
        options.setdefault("max_retries", 0)
        made.append(fake_server.client(target, **given, **options))
        return made[-1]

    yield make
    for client in made:
        client.close()


def ask(call, client, verb="chat", question="Hello", **options):
    """Chunks (``None`` for a whole answer) and the answer."""
    found = getattr(call, verb)(client, question, **options)
    return found if verb == "stream" else (None, found)


def told(answer):
    """What of an answer must be the same from the cache."""
    calls = [(one.name, one.arguments) for one in answer.tool_calls]
    return answer.text, answer.finish_reason, answer.usage, answer.model, calls, answer.provider, answer.request_id


# ------------------------------------------------------------------------------------------------ hits


@pytest.mark.parametrize("second", ["chat", "stream"])
@pytest.mark.parametrize("first", ["chat", "stream"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_was_answered_once_is_not_asked_again(call, connect, fake_server, dialect, first, second):
    """In every dialect, whole or as a stream, and each from the other."""
    fake_server.reply(Reply(TEXT))
    client = connect(dialect)
    _, asked = ask(call, client, first)
    chunks, kept = ask(call, client, second)
    assert (asked.cache, kept.cache) == ("miss", "hit")
    assert told(kept) == told(asked)
    assert len(fake_server.requests) == 1
    if chunks is not None:
        assert "".join(chunk.text for chunk in chunks) == TEXT
        assert [chunk.done for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
        assert (chunks[-1].finish_reason, chunks[-1].usage) == (asked.finish_reason, asked.usage)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_stream_is_replayed_chunk_by_chunk(call, connect, fake_server, dialect):
    """The same pieces in the same order, thinking included."""
    fake_server.reply(Reply(TEXT * 3, thinking="First I think."))
    client = connect(dialect)
    first, _ = ask(call, client, "stream")
    second, _ = ask(call, client, "stream")
    assert len(first) > 10
    assert second == first


@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_one_world_finds_what_the_other_kept(connect, fake_server, verb):
    """The cache is one for both."""
    client = connect()

    async def later():
        if verb == "chat":
            return await client.achat("Hello")
        async with client.astream("Hello") as stream:
            async for _ in stream:
                pass
            return stream.response

    client.chat("Hello")
    assert asyncio.run(later()).cache == "hit"
    assert len(fake_server.requests) == 1


@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_what_is_given_out_is_the_callers_own(call, connect, verb):
    """Whatever he does to it, the next one is as the provider said it."""
    client = connect()
    before = told(ask(call, client, verb)[1])
    _, spoilt = ask(call, client, verb)
    spoilt.message.content = "spoilt"
    spoilt.usage.input_tokens = -1
    if isinstance(spoilt.raw, dict):
        spoilt.raw.clear()
    spoilt.warnings.append("x")
    _, again = ask(call, client, verb)
    assert told(again) == before
    assert again.warnings == []


def test_a_hit_is_told_apart(call, connect):
    """It took no attempt and hardly any time; a client without a cache says nothing of one."""
    client = connect()
    ask(call, client)
    _, hit = ask(call, client)
    assert (hit.attempts, hit.timings.total is not None) == ((), True)
    assert ask(call, connect(response_cache=False))[1].cache is None


@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_a_call_may_go_past_the_cache(call, connect, fake_server, verb):
    """It neither looks nor leaves anything behind; a client's default may be overruled."""
    client = connect()
    assert ask(call, client, verb, response_cache=False)[1].cache is None
    assert ask(call, client, verb)[1].cache == "miss"
    assert len(fake_server.requests) == 2
    quiet = connect(response_cache=True, defaults={"response_cache": False})
    assert ask(call, quiet, verb)[1].cache is None
    assert ask(call, quiet, verb, response_cache=True)[1].cache == "miss"


@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_a_hit_costs_no_key_no_limit_and_no_circuit(call, connect, fake_server, verb):
    """Where nothing else could be answered any more, a hit is."""
    cache = ResponseCache()
    ask(call, connect(response_cache=cache), verb)
    limited = connect(
        response_cache=cache,
        api_key="",
        rate_limit=RateLimitConfig(requests_per_minute=1, max_wait=0.01),
        circuit_breaker=CircuitBreakerConfig(min_requests=1),
        max_concurrency=1,
    )
    fake_server.fault(500)
    with pytest.raises(ProviderKitError):
        ask(call, limited, verb, "Something else")
    for _ in range(3):
        assert ask(call, limited, verb)[1].cache == "hit"


# ------------------------------------------------------------------------------------------------ the key

BASE = {
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
    "temperature": 0.5,
    "tools": [WEATHER],
    "extra_body": {"a": {"x": 1, "y": 2}, "b": 3},
}
CHANGES = {
    "model": {"model": "gpt-4o-mini"},
    "messages": {"messages": [{"role": "user", "content": "Hi"}]},
    "role": {"messages": [{"role": "system", "content": "Be brief."}, {"role": "assistant", "content": "Hi"}]},
    "temperature": {"temperature": 0.6},
    "no temperature": {"temperature": None},
    "top_p": {"top_p": 0.5},
    "max_tokens": {"max_tokens": 5},
    "max_completion_tokens": {"max_completion_tokens": 6},
    "max_output_tokens": {"max_output_tokens": 7},
    "stop": {"stop": ["x"]},
    "seed": {"seed": 1},
    "presence_penalty": {"presence_penalty": 0.1},
    "frequency_penalty": {"frequency_penalty": 0.1},
    "tools": {"tools": [{**WEATHER, "function": {**WEATHER["function"], "description": "now"}}]},
    "no tools": {"tools": None},
    "tool_choice": {"tool_choice": "required"},
    "parallel_tool_calls": {"parallel_tool_calls": False},
    "response_format": {"response_format": "json"},
    "user": {"user": "somebody"},
    "extra_body": {"extra_body": {"a": {"x": 1, "y": 3}, "b": 3}},
    "extra_query": {"extra_query": {"v": "1"}},
    "extra_headers": {"extra_headers": {"X-Team": "a"}},
}


def options_of(change):
    return {name: value for name, value in {**BASE, **change}.items() if value is not None and name != "messages"}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_the_answer_changes_the_key(connect, fake_server, change):
    """Each parameter alone."""
    client = connect()
    client.chat(BASE["messages"], **options_of({}))
    other = CHANGES[change]
    answer = client.chat(other.get("messages", BASE["messages"]), **options_of(other))
    assert answer.cache == "miss"
    assert len(fake_server.requests) == 2


def test_every_argument_of_a_call_is_in_the_test_above_or_changes_no_answer():
    """A new argument must be thought of."""
    from provider_kit.model.inputs import ChatOptions

    elsewhere = {"prompt", "files", "system"}  # they become messages
    harmless = {"timeout", "total_timeout", "on_unsupported", "response_cache", "cancel", "fallback"}
    harmless |= {"correlation_id", "tags", "extension_config", "middleware"}
    of_other_models = {"top_k", "reasoning", "reasoning_effort", "verbosity", "cache", "cache_key", "metadata"}
    named = {name for change in CHANGES.values() for name in change}
    assert set(ChatOptions.__annotations__) - elsewhere - harmless - of_other_models - named == set()


@pytest.mark.parametrize(
    ("target", "change"),
    [
        ("anthropic", {"top_k": 5}),
        ("anthropic", {"reasoning": 2000, "max_tokens": 4000}),
        ("anthropic", {"cache": True}),
        ("responses", {"metadata": {"a": "b"}}),
        ("responses", {"model": "gpt-5-mini", "verbosity": "low"}),
    ],
    ids=["top_k", "reasoning", "cache", "metadata", "verbosity"],
)
def test_what_only_some_models_take_changes_the_key_there(connect, fake_server, target, change):
    """Where it is sent, it counts."""
    client = connect(target)
    client.chat("Hi", **{name: value for name, value in change.items() if name == "model"})
    assert client.chat("Hi", **change).cache == "miss"


@pytest.mark.parametrize(
    "options",
    [{"headers": {"X-Team": "a"}}, {"headers": {"OpenAI-Organization": "org-a"}}, {"base_url": "/other/v1"}],
    ids=["header", "organization", "base URL"],
)
def test_what_a_client_always_says_is_part_of_the_key(connect, fake_server, options):
    """Two clients of one cache share what both would be told, and nothing else."""
    cache = ResponseCache()
    connect(response_cache=cache).chat("Hi")
    if "base_url" in options:
        options = {"base_url": fake_server.url + options["base_url"]}
    assert connect(response_cache=cache, **options).chat("Hi").cache == "miss"
    assert connect(response_cache=cache, **options).chat("Hi").cache == "hit"


def test_two_providers_never_share_an_answer(connect, fake_server):
    """Even where both speak one dialect."""
    cache = ResponseCache()
    one = connect(response_cache=cache)
    other = fake_server.client("groq/gpt-4o", base_url=one.base_url, response_cache=cache)
    one.chat("Hi")
    assert other.chat("Hi").cache == "miss"
    other.close()


@pytest.mark.parametrize(
    "options",
    [{"api_key": "sk-another-key-000000001"}, {"headers": {"Authorization": "Bearer sk-another-key-2"}}],
    ids=["api key", "header"],
)
def test_who_asks_is_no_part_of_the_key(connect, fake_server, options):
    """Neither the key nor a header that holds one."""
    cache = ResponseCache()
    connect(response_cache=cache).chat("Hi")
    assert connect(response_cache=cache, **options).chat("Hi").cache == "hit"


def test_the_order_of_keys_is_no_part_of_the_key(connect):
    """Of dicts of the caller's: tools, extra_body, extra_query."""
    client = connect()
    client.chat("Hi", tools=[WEATHER], extra_body={"a": {"x": 1, "y": 2}, "b": 3}, extra_query={"p": "1", "q": "2"})
    turned = {"function": dict(reversed(WEATHER["function"].items())), "type": "function"}
    again = client.chat(
        "Hi", tools=[turned], extra_body={"b": 3, "a": {"y": 2, "x": 1}}, extra_query={"q": "2", "p": "1"}
    )
    assert again.cache == "hit"


# ------------------------------------------------------------------------------------------------ what is kept


@pytest.mark.parametrize("verb", ["chat", "stream"])
@pytest.mark.parametrize(
    "fault",
    [{"status": 500}, {"status": 400}, {"malformed": True}, {"html": True}, {"reset": True}, {"embedded_error": True}],
    ids=lambda fault: " ".join(fault) + str(fault.get("status", "")),
)
def test_an_error_is_not_kept(call, connect, fake_server, verb, fault):
    """The next call asks again and is answered."""
    client = connect()
    fake_server.fault(**fault)
    with pytest.raises(ProviderKitError):
        ask(call, client, verb)
    assert ask(call, client, verb)[1].cache == "miss"
    assert ask(call, client, verb)[1].cache == "hit"


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("fault", ["cut_after", "error_after"])
def test_a_stream_that_breaks_off_is_not_kept(call, connect, fake_server, dialect, fault):
    """What was received of it is the error's, and nobody else's."""
    client = connect(dialect)
    fake_server.reply(Reply(TEXT * 3))
    fake_server.fault(**{fault: 6})
    with pytest.raises(StreamError):
        ask(call, client, "stream")
    fake_server.reply(Reply("Whole."))
    assert ask(call, client, "stream")[1].cache == "miss"
    assert ask(call, client, "stream")[1].text == "Whole."


@pytest.mark.parametrize("dialect", ["openai", "anthropic", "responses"])
def test_what_came_before_a_second_attempt_is_no_part_of_the_entry(call, connect, fake_server, dialect):
    """After a stream that was cut before its first content, what is kept is as if it had never been."""
    kept = []
    for faults in (1, 0):
        client = connect(dialect, retry=lambda error, attempt: 0.0)
        fake_server.fault(cut_after=1, times=faults)
        for _ in range(faults + 1):
            fake_server.reply(Reply(TEXT))
        _, asked = ask(call, client, "stream")
        assert len(asked.attempts) == faults + 1
        ((entry, _),) = client._engine.parts.cache.memory._entries.values()
        kept.append(entry.body)
    assert kept[0] == kept[1]


def test_the_bytes_of_a_failed_attempt_are_forgotten(call, scripted, answers):
    """Half an event at the end of the first attempt would spoil the first of the second."""
    half = answers.event("lost")[:20]
    cut = {"stream": [b": ping\n\n", half]}
    client, transport = scripted(cut, answers.stream("Hi", " there"), response_cache=True)
    first, _ = ask(call, client, "stream")
    second, hit = ask(call, client, "stream")
    assert (hit.cache, hit.text, len(transport.requests)) == ("hit", "Hi there", 2)
    assert second == first


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_stream_that_its_caller_leaves_is_not_kept(connect, fake_server, dialect):
    """Neither world knows how it would have ended."""
    client = connect(dialect)
    fake_server.reply(Reply(TEXT * 3))
    with client.stream("Hello") as stream:
        next(stream)

    async def leave():
        async with client.astream("Hello") as stream:
            await anext(stream)

    asyncio.run(leave())
    assert client.chat("Hello").cache == "miss"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_caller_who_stops_at_the_last_chunk_has_read_it_all(connect, fake_server, dialect):
    """``break`` on ``chunk.done`` is an end like any other; what is kept is whole, or nothing is."""
    client = connect(dialect)
    for chunk in client.stream("Hello"):
        if chunk.done:
            break
    gc.collect()
    assert client.chat("Hello").text == client.chat("Hello", response_cache=False).text


@pytest.mark.parametrize("verb", ["chat", "stream"])
@pytest.mark.parametrize(("reason", "kept"), [("content_filter", False), ("length", True), ("stop", True)])
def test_a_filtered_answer_is_not_kept(call, connect, fake_server, verb, reason, kept):
    """One that ran into its limit is, as the limit is part of the question."""
    client = connect()
    for _ in range(2):
        fake_server.reply(Reply(TEXT, finish_reason=reason))
    assert ask(call, client, verb)[1].finish_reason == reason
    assert ask(call, client, verb)[1].cache == ("hit" if kept else "miss")


@pytest.mark.parametrize("verb", ["chat", "stream"])
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("tool_calls", [False, True])
def test_a_turn_that_calls_tools_is_kept_only_if_that_was_asked_for(
    call, connect, fake_server, verb, dialect, tool_calls
):
    """With everything it says of the calls."""
    client = connect(dialect, response_cache=ResponseCache(tool_calls=tool_calls))
    for _ in range(2):
        fake_server.reply(Reply("", tool_calls=[("weather", {"city": "Bern"})]))
    _, first = ask(call, client, verb, tools=[WEATHER])
    _, second = ask(call, client, verb, tools=[WEATHER])
    assert second.cache == ("hit" if tool_calls else "miss")
    assert second.tool_calls[0].arguments == first.tool_calls[0].arguments == {"city": "Bern"}


@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_a_huge_answer_is_not_kept(call, connect, fake_server, verb):
    """An eighth of the cache is the most for one."""
    cache = ResponseCache(max_bytes=32_000)
    client = connect(response_cache=cache)
    for text in ("x" * 5000, "small"):
        fake_server.reply(Reply(text))
        _, answer = ask(call, client, verb, text)
        assert answer.text == text
    assert len(cache.memory) == 1
    assert ask(call, client, verb, "small")[1].cache == "hit"


def test_an_answer_leaves_when_its_time_is_over(call, scripted, answers):
    """By the clock of the transport."""
    client, transport = scripted(answers.text("one"), answers.text("two"), response_cache=ResponseCache(ttl=60))
    ask(call, client)
    transport._now += 59
    assert ask(call, client)[1].text == "one"
    transport._now += 1
    assert ask(call, client)[1].text == "two"


# ------------------------------------------------------------------------------------------------ files


@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_a_file_answers_other_clients_and_later_ones(call, connect, fake_server, tmp_path, verb):
    """Whole answers and streams, by path; readable by the owner only."""
    path = tmp_path / "answers.db"
    _, first = ask(call, connect(response_cache=str(path)), verb)
    _, hit = ask(call, connect(response_cache=path), verb)
    assert hit.cache == "hit"
    assert told(hit) == told(first)
    assert (path.stat().st_mode & 0o777) == 0o600
    assert b"sk-fake-0123456789abcdef" not in path.read_bytes()
    assert len(fake_server.requests) == 1


PROCESS = """
import sys
from provider_kit import Client
with Client("openai/gpt-4o", api_key="sk-other-0123456789", base_url=sys.argv[1], response_cache=sys.argv[2]) as client:
    print(client.chat("Hello").cache, end="")
"""


def test_another_process_finds_what_this_one_kept(connect, fake_server, tmp_path):
    """With a key of its own."""
    path = str(tmp_path / "answers.db")
    client = connect(response_cache=path)
    client.chat("Hello")
    command = [sys.executable, "-c", PROCESS, client.base_url, path]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "hit"


def spoil(path, how):
    if how == "garbage":
        path.write_bytes(b"no database " * 500)
    else:
        path.mkdir()


@pytest.mark.parametrize("verb", ["chat", "stream"])
@pytest.mark.parametrize("how", ["garbage", "folder"])
def test_a_file_that_cannot_be_used_does_not_break_a_call(call, connect, tmp_path, verb, how):
    """It goes on without the cache, and says so once."""
    path = tmp_path / "answers.db"
    spoil(path, how)
    events = []
    client = connect(response_cache=str(path), on_event=events.append)
    for _ in range(3):
        assert ask(call, client, verb)[1].cache == "miss"
    failed = [event for event in events if event.name == "store_failed"]
    assert len(failed) == 1
    assert isinstance(failed[0].error, StoreError)
    assert str(path) in failed[0].message


@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_a_file_that_cannot_be_used_is_an_error_if_that_was_asked_for(call, connect, fake_server, tmp_path, verb):
    """Nothing is sent then."""
    path = tmp_path / "answers.db"
    spoil(path, "garbage")
    client = connect(response_cache=str(path), on_store_failure="raise")
    with pytest.raises(StoreError) as caught:
        ask(call, client, verb)
    assert str(path) in str(caught.value)
    assert fake_server.requests == []


# ------------------------------------------------------------------------------------------------ own stores


class Store:
    """A store of plain methods that fails on demand."""

    def __init__(self):
        self.kept = {}
        self.failing = set()
        self.asked = []

    def get(self, key):
        self.asked.append("get")
        if "get" in self.failing:
            raise OSError("the disk is gone, sk-fake-0123456789abcdef")
        return self.kept.get(key)

    def set(self, key, data, ttl):
        self.asked.append("set")
        if "set" in self.failing:
            raise OSError("the disk is full")
        self.kept[key] = data


class AsyncStore(Store):
    """The same, asynchronous."""

    async def get(self, key):
        await asyncio.sleep(0)
        return super().get(key)

    async def set(self, key, data, ttl):
        await asyncio.sleep(0)
        super().set(key, data, ttl)


class Promising(Store):
    """Plain methods that return something to await."""

    def get(self, key):
        return self._later(super().get, key)

    def set(self, key, data, ttl):
        return self._later(super().set, key, data, ttl)

    async def _later(self, method, *args):
        return method(*args)


@pytest.mark.parametrize("verb", ["chat", "stream"])
@pytest.mark.parametrize("kind", [Store, Promising])
def test_a_store_of_ones_own_is_used_in_both_worlds(call, connect, fake_server, verb, kind):
    """Two methods are enough; keys are hashes, values bytes."""
    store = kind()
    client = connect(response_cache=ResponseCache(store))
    ask(call, client, verb)
    assert ask(call, client, verb)[1].cache == "hit"
    (key,) = store.kept
    assert len(bytes.fromhex(key)) == 32
    assert type(store.kept[key]) is bytes
    assert len(fake_server.requests) == 1


def test_an_asynchronous_store_works_from_asyncio(connect, fake_server):
    """In chat and in a stream."""
    client = connect(response_cache=ResponseCache(AsyncStore()))

    async def main():
        await client.achat("Hello")
        hit = await client.achat("Hello")
        async with client.astream("Hello") as stream:
            async for _ in stream:
                pass
            return hit.cache, stream.response.cache

    assert asyncio.run(main()) == ("hit", "hit")


@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_an_asynchronous_store_is_refused_by_blocking_calls(connect, fake_server, verb):
    """Clearly, and before anything is sent."""
    client = connect(response_cache=ResponseCache(AsyncStore()))
    with pytest.raises(InvalidRequestError, match="asynchronous") as caught:
        client.chat("Hello") if verb == "chat" else list(client.stream("Hello"))
    assert "achat()" in caught.value.hint
    assert fake_server.requests == []


BROKEN = {
    "nothing": b"",
    "cut": lambda data: data[: len(data) // 2],
    "another version": lambda data: data.replace(b'"v":1', b'"v":9', 1),
    "no JSON": lambda data: data.partition(b"\n")[0] + b"\n<html>",
    "another shape": lambda data: data.partition(b"\n")[0] + b"\n[]",
    "text": "text",
    "number": 7,
    "list": [],
}


@pytest.mark.parametrize("verb", ["chat", "stream"])
@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_entry_is_a_miss(call, connect, fake_server, verb, broken):
    """It is asked anew, told as a miss, and replaced."""
    store, events = Store(), []
    client = connect(response_cache=ResponseCache(store), on_event=events.append)
    ask(call, client, verb)
    ((key, data),) = store.kept.items()
    spoiler = BROKEN[broken]
    store.kept[key] = spoiler(data) if callable(spoiler) else spoiler
    assert ask(call, client, verb)[1].cache == "miss"
    assert ask(call, client, verb)[1].cache == "hit"
    lookups = [event.name for event in events if event.name.startswith("cache_") and event.name != "cache_store"]
    assert lookups == ["cache_miss", "cache_miss", "cache_hit"]


@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_an_answer_that_cannot_be_kept_is_given_all_the_same(call, connect, verb):
    """It is paid for; that holds for ``on_store_failure="raise"``, too."""
    store, events = Store(), []
    store.failing = {"set"}
    client = connect(response_cache=ResponseCache(store), on_store_failure="raise", on_event=events.append)
    _, answer = ask(call, client, verb)
    assert (answer.cache, answer.finish_reason) == ("miss", "stop")
    assert [event.name for event in events].count("store_failed") == 1


def test_a_store_that_fails_is_left_alone_for_a_while_and_told_once(call, scripted, answers):
    """Five seconds later it is asked again; when it answers, that is told as well."""
    store, events = Store(), []
    client, transport = scripted(
        answers.text(), repeat=True, response_cache=ResponseCache(store), on_event=events.append
    )
    store.failing = {"get", "set"}
    for _ in range(3):
        ask(call, client)
    assert store.asked == ["get"]
    transport._now += 5
    ask(call, client)
    store.failing = set()
    transport._now += 5
    ask(call, client)
    assert ask(call, client)[1].cache == "hit"
    stores = [event for event in events if event.name.startswith("store_")]
    assert [event.name for event in stores] == ["store_failed", "store_back"]
    assert "the disk is gone" in stores[0].message
    assert "sk-fake-0123456789abcdef" not in stores[0].message + str(stores[0].error)


def test_the_error_of_a_store_is_wrapped_and_holds_no_key(call, connect):
    """Typed; what the store said is in it."""
    store = Store()
    store.failing = {"get"}
    client = connect(response_cache=ResponseCache(store), on_store_failure="raise")
    with pytest.raises(StoreError, match="the disk is gone") as caught:
        ask(call, client)
    assert "sk-fake-0123456789abcdef" not in str(caught.value)
    assert isinstance(caught.value.__cause__, OSError)


# ------------------------------------------------------------------------------------------------ one asks for all


def in_threads(work, count):
    """The results of a function in so many threads that begin together."""
    barrier, results = threading.Barrier(count), []

    def run():
        barrier.wait()
        try:
            results.append(work())
        except Exception as error:
            results.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def read(client, verb):
    if verb == "chat":
        return client.chat("Hello")
    with client.stream("Hello") as stream:
        for _ in stream:
            pass
        return stream.response


async def aread(client, verb):
    if verb == "chat":
        return await client.achat("Hello")
    async with client.astream("Hello") as stream:
        async for _ in stream:
            pass
        return stream.response


@pytest.mark.parametrize("verb", ["chat", "stream"])
@pytest.mark.parametrize("where", ["memory", "file"])
def test_threads_that_ask_the_same_ask_once(connect, fake_server, tmp_path, verb, where):
    """One misses, the others hit."""
    cache = ResponseCache(None if where == "memory" else tmp_path / "answers.db", single_flight=True)
    client = connect(response_cache=cache)
    fake_server.always(latency=0.2)
    answers = in_threads(lambda: read(client, verb), 8)
    assert sorted(answer.cache for answer in answers) == ["hit"] * 7 + ["miss"]
    assert len(fake_server.requests) == 1


@pytest.mark.parametrize("verb", ["chat", "stream"])
@pytest.mark.parametrize("where", ["memory", "asynchronous store"])
def test_tasks_that_ask_the_same_ask_once(connect, fake_server, verb, where):
    """In one event loop."""
    store = None if where == "memory" else AsyncStore()
    client = connect(response_cache=ResponseCache(store, single_flight=True))
    fake_server.always(latency=0.2)

    async def main():
        answers = await asyncio.gather(*(aread(client, verb) for _ in range(8)))
        await client.aclose()
        return answers

    assert sorted(answer.cache for answer in asyncio.run(main())) == ["hit"] * 7 + ["miss"]
    assert len(fake_server.requests) == 1


def test_threads_and_tasks_that_ask_the_same_ask_once(connect, fake_server):
    """Both worlds wait for one another."""
    client = connect(response_cache=ResponseCache(single_flight=True))
    fake_server.always(latency=0.3)
    turns = itertools.count()

    def work():
        return client.chat("Hello") if next(turns) % 2 else asyncio.run(aread(client, "stream"))

    answers = in_threads(work, 6)
    assert sorted(answer.cache for answer in answers) == ["hit"] * 5 + ["miss"]
    assert len(fake_server.requests) == 1


def test_without_single_flight_everybody_asks(connect, fake_server):
    """Nobody waits for anybody."""
    client = connect()
    fake_server.always(latency=0.2)
    assert [answer.cache for answer in in_threads(lambda: read(client, "chat"), 4)] == ["miss"] * 4
    assert len(fake_server.requests) == 4


@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_if_the_one_who_asks_fails_another_one_asks(connect, fake_server, verb):
    """The failure is his alone."""
    client = connect(response_cache=ResponseCache(single_flight=True))
    fake_server.fault(500, latency=0.2)
    outcomes = in_threads(lambda: read(client, verb), 4)
    failed = [outcome for outcome in outcomes if isinstance(outcome, APIError)]
    assert len(failed) == 1
    assert sorted(answer.cache for answer in outcomes if answer not in failed) == ["hit", "hit", "miss"]
    assert len(fake_server.requests) == 2


@pytest.mark.parametrize("verb", ["chat", "stream"])
@pytest.mark.parametrize("moment", ["asking", "listening"])
def test_if_the_one_who_asks_is_cancelled_another_one_asks(connect, fake_server, verb, moment):
    """Wherever he was in that moment: on the network, or in a listener of his own."""
    stuck = asyncio.Event()

    async def listen(event):
        if moment == "listening" and event.name == "cache_miss" and not stuck.is_set():
            stuck.set()
            await asyncio.Event().wait()

    client = connect(response_cache=ResponseCache(single_flight=True), on_event=listen)
    if moment == "asking":
        fake_server.fault(latency=10)

    async def main():
        leader = asyncio.create_task(aread(client, verb))
        if moment == "listening":
            await stuck.wait()
        else:
            while not fake_server.requests:
                await asyncio.sleep(0.005)
        others = [asyncio.create_task(aread(client, verb)) for _ in range(3)]
        await asyncio.sleep(0.02)
        leader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leader
        async with asyncio.timeout(5):
            answers = await asyncio.gather(*others)
        await client.aclose()
        return answers

    assert sorted(answer.cache for answer in asyncio.run(main())) == ["hit", "hit", "miss"]


def test_a_stream_that_is_left_lets_another_one_ask(connect, fake_server):
    """Nobody waits for the rest of it."""
    client = connect(response_cache=ResponseCache(single_flight=True))
    stream = client.stream("Hello")
    next(stream)
    results = []
    thread = threading.Thread(target=lambda: results.append(client.chat("Hello").cache))
    thread.start()
    stream.close()
    thread.join(5)
    assert results == ["miss"]


@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_nobody_waits_longer_than_his_deadline(connect, fake_server, verb):
    """For an answer that another one asked for."""
    client = connect(response_cache=ResponseCache(single_flight=True))
    fake_server.always(latency=3.0)
    leader = threading.Thread(target=lambda: client.chat("Hello"))
    leader.start()
    while not fake_server.requests:
        time.sleep(0.005)
    began = time.monotonic()
    with pytest.raises(ProviderKitError):
        list(client.stream("Hello", total_timeout=0.2)) if verb == "stream" else client.chat("Hello", total_timeout=0.2)
    assert time.monotonic() - began < 2
    leader.join()


# ------------------------------------------------------------------------------------------------ copies


@pytest.mark.parametrize("where", ["memory", "file"])
def test_a_client_that_was_pickled_has_a_cache(connect, fake_server, monkeypatch, tmp_path, where):
    """An empty one of the same numbers, or the same file."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-fake-0123456789abcdef")
    path = None if where == "memory" else str(tmp_path / "answers.db")
    client = connect(response_cache=ResponseCache(path, ttl=50))
    client.chat("Hello")
    with pickle.loads(pickle.dumps(client)) as copy:
        assert copy.chat("Hello").cache == ("miss" if where == "memory" else "hit")
        assert copy.chat("Hello").cache == "hit"
        assert copy._engine.parts.cache.ttl == 50


def test_only_answers_of_a_model_are_cached(call, connect, fake_server):
    """Vectors and counts are asked for each time; lists of models have a lifetime of their own."""
    client = connect("gemini")
    for _ in range(2):
        call.models(client)
        call.count_tokens(client, "Hello")
        call.embed(client, "Hello", model="gemini-embedding-001")
    assert len(fake_server.requests) == 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_uses_the_same_file(connect, tmp_path):
    """Through the client that it inherited."""
    client = connect(response_cache=str(tmp_path / "answers.db"))
    client.chat("Hello")
    child = os.fork()
    if not child:
        status = 1
        try:
            status = 0 if client.chat("Hello").cache == "hit" else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert client.chat("Hello").cache == "hit"


def test_a_demo_needs_no_server():
    """As in the documentation."""
    with Client("demo", response_cache=True) as client:
        assert [client.chat("What is 2 + 3?").cache for _ in range(2)] == ["miss", "hit"]
        assert "".join(chunk.text for chunk in client.stream("What is 2 + 3?")) == client.chat("What is 2 + 3?").text


@pytest.mark.parametrize("size", [1000, 100_000])
def test_no_more_is_collected_than_is_kept(scripted, answers, size):
    """A long stream does not stand in memory a second time for a cache that will not take it."""
    cache = ResponseCache(max_bytes=64 * 1024)
    client, _ = scripted(answers.stream(*["x" * 100] * (size // 100)), response_cache=cache)
    stream = client.stream("Hello")
    assert len("".join(chunk.text for chunk in stream)) == size
    assert sum(map(len, stream._progress.state.collected)) <= cache.max_entry_bytes
    assert len(cache.memory) == (1 if size == 1000 else 0)
