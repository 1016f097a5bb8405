"""Prompt caching: where marks stand, times to live, keys; and that conversations find what they stored."""

import pytest

from provider_kit import Client, InvalidRequestError, Message, Native, ScriptedTransport, Text, Tool, tool
from provider_kit.dialects.base import ParameterReport
from provider_kit.model.config import ProviderConfig
from provider_kit.model.inputs import build_request
from provider_kit.providers.registry import find_provider
from provider_kit.testing import FakeServer

SYSTEM = "You know the manual. "
TURNS = [
    Message.user("One"),
    Message.assistant("1"),
    Message.user("Two"),
    Message.assistant("2"),
    Message.user("Three"),
]
TOOL = Tool("look", "Looks", {"type": "object", "properties": {}})


def written(target, messages="Hi", **options):
    """Body and warnings of a request."""
    provider, _, model = target.partition("/")
    dialect = find_provider(provider).make_dialects(ProviderConfig(type=provider))(model)
    report = ParameterReport()
    request = build_request(messages, options, default_model=model, defaults={})
    return dialect.write_chat(request, stream=False, report=report).body, [str(one) for one in report.warnings]


def marks(value, path=()):
    """Where marks stand, and their times to live."""
    found = []
    if isinstance(value, dict):
        if "cache_control" in value:
            found.append((path, value["cache_control"].get("ttl")))
        for key, inner in value.items():
            found += marks(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            found += marks(inner, (*path, number))
    return found


def test_claude_marks_system_and_the_ends_of_the_last_two_turns():
    """A mark after the system prompt covers the tools before it."""
    body, warned = written("anthropic/claude-opus-5", TURNS, system=SYSTEM, tools=[TOOL], cache=True)
    assert [path for path, _ in marks(body)] == [
        ("messages", 2, "content", 0),
        ("messages", 4, "content", 0),
        ("system", 0),
    ]
    assert warned == []


def test_without_a_system_prompt_the_tools_are_marked():
    """They are the beginning, then."""
    body, _ = written("anthropic/claude-opus-5", TURNS, tools=[TOOL, Tool("b", "B")], cache="1h")
    assert (("tools", 1), "1h") in marks(body)
    assert len(marks(body)) == 3


def test_marks_of_the_callers_count():
    """Four are allowed; a fifth would be a 400."""
    own = [Message.user(*(Text(name, cache=True) for name in "abcd")), Message.assistant("1"), Message.user("Two")]
    body, _ = written("anthropic/claude-opus-5", own, system=SYSTEM, cache=True)
    assert len(marks(body)) == 4
    own = [Message("user", [Text("a", cache="1h"), Text("b")]), Message.assistant("1"), Message.user("Two")]
    body, _ = written("anthropic/claude-opus-5", own, system=SYSTEM, cache=True)
    assert len(marks(body)) == 4
    assert (("messages", 0, "content", 0), "1h") in marks(body)


def test_a_mark_of_the_callers_keeps_its_time_to_live():
    """Where ours would stand."""
    body, _ = written("anthropic/claude-opus-5", [Message("user", [Text("a", cache="1h")])], cache=True)
    assert marks(body) == [(("messages", 0, "content", 0), "1h")]


@pytest.mark.parametrize(
    ("asked", "sent", "warns"), [("5m", "5m", 0), ("1h", "1h", 0), ("30m", "1h", 1), ("2d", "1h", 1)]
)
def test_claude_has_two_times_to_live(asked, sent, warns):
    """The shortest that suffices, else the longest; and that is told."""
    body, warned = written("anthropic/claude-opus-5", cache=asked)
    assert marks(body)[0][1] == sent
    assert len(warned) == warns


@pytest.mark.parametrize(
    ("target", "cache", "options", "warns"),
    [
        ("openai/gpt-6-sol", True, None, 0),
        ("openai/gpt-6-sol", False, {"mode": "explicit"}, 0),
        ("openai/gpt-6-sol", "30m", {"ttl": "30m"}, 0),
        ("openai/gpt-6-sol", "12h", {"ttl": "12h"}, 0),
        ("openai/gpt-6-sol", "1h", {"ttl": "12h"}, 1),
        ("openai/gpt-5.6-luna", "30m", {"ttl": "30m"}, 0),
        ("openai/gpt-5.4", "30m", None, 1),
        ("openai/gpt-4o", True, None, 0),
        ("openai/gpt-4o", False, None, 0),
        ("openai/gpt-4o", "1h", None, 1),
        ("gemini/gemini-3-pro", True, None, 0),
        ("gemini/gemini-3-pro", "1h", None, 1),
        ("mistral/mistral-small-latest", "1h", None, 1),
        ("deepseek/deepseek-flash", True, None, 0),
    ],
)
def test_where_the_provider_caches_by_itself(target, cache, options, warns):
    """Nothing needs to be said, but for a time to live."""
    body, warned = written(target, cache=cache)
    assert body.get("prompt_cache_options") == options
    assert len(warned) == warns
    assert marks(body) == []


@pytest.mark.parametrize("target", ["openrouter/anthropic/claude-sonnet-4.5", "qwen/qwen3.8-flash"])
def test_servers_that_take_marks_in_the_chat_api(target):
    """System prompt and the ends of the last two turns."""
    body, warned = written(target, TURNS, system=SYSTEM, tools=[TOOL], cache=True)
    assert [path[:2] for path, _ in marks(body)] == [("messages", 0), ("messages", 3), ("messages", 5)]
    assert warned == []
    assert marks(written(target, TURNS, system=SYSTEM, cache=False)[0]) == []


def test_ollama_keeps_the_model_loaded():
    """Its cache lives as long."""
    assert written("ollama/llama3.2", cache="1h")[0]["keep_alive"] == 3600
    assert "keep_alive" not in written("ollama/llama3.2", cache=True)[0]


@pytest.mark.parametrize("target", ["openai/gpt-4o", "openai/gpt-6-sol", "xai/grok-4.3", "mistral/m", "fireworks/m"])
def test_a_key_leads_to_the_same_cache(target):
    """Where the provider has such keys."""
    assert written(target, cache_key="talk-1")[0]["prompt_cache_key"] == "talk-1"


@pytest.mark.parametrize("target", ["anthropic/claude-opus-5", "gemini/gemini-3-pro", "ollama/m", "groq/m"])
def test_where_there_are_no_keys_it_is_left_out(target):
    """It is only advice, so nothing is lost."""
    body, warned = written(target, cache_key="talk-1")
    assert "talk-1" not in str(body)
    assert warned == []


@pytest.mark.parametrize("cache", ["soon", "5", "m", "0m", "-5m", "5 m", ""])
def test_what_is_no_time_to_live_is_refused(call, cache):
    """Before anything is sent."""
    transport = ScriptedTransport([])
    client = Client("anthropic/claude-opus-5", api_key="sk-ant-test-0123456789", transport=transport)
    if not cache:
        assert marks(written("anthropic/claude-opus-5", cache=cache)[0]) == []
        return
    with pytest.raises(InvalidRequestError, match="is not a time to live"):
        call.chat(client, "Hi", cache=cache)
    assert not transport.requests


# ------------------------------------------------------------------------------------------------ conversations


@tool
def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"It is sunny in {city}, with a light wind from the west."


@pytest.mark.parametrize("tools", [False, True], ids=["words", "tools"])
@pytest.mark.parametrize(
    "target", ["anthropic/claude-sonnet-4-5", "openai/gpt-4o", "openai/gpt-6-sol", "gemini/gemini-2.5-flash"]
)
def test_a_conversation_reads_what_it_has_stored(world, target, tools):
    """Over twenty turns nearly all of what was said before comes from the cache."""
    with FakeServer(prompt_cache=True) as server:
        options = {"tools": [weather]} if tools else {}
        talk = server.client(target).conversation(system=SYSTEM * 800, cache=True, **options)
        before = stored = read = 0
        for number in range(20):
            asked = f"Turn {number}: what is the weather in Paris?" if tools else f"Turn {number}: go on."
            result = world(talk, "say", asked)
            usages = [step.usage for step in result.steps] or [result.usage]
            for usage in usages:
                stored += before
                read += usage.cache_read_tokens or 0
                before = usage.prompt_tokens
    assert read >= 0.95 * stored
    assert talk.cost > 0


def test_what_was_cached_is_cheaper(world):
    """The fake server's usage has the prices of the catalog."""
    with FakeServer(prompt_cache=True) as server:
        talk = server.client("anthropic/claude-sonnet-4-5").conversation(system=SYSTEM * 800, cache=True)
        first, second = (world(talk, "say", "Go on.") for _ in range(2))
    assert first.usage.cache_write_tokens > 3000
    assert second.usage.cache_read_tokens > 3000
    assert second.cost < first.cost / 5


def test_a_stored_conversation_has_a_key_of_its_own(world, tmp_path):
    """Made from its id, which is not sent."""
    from provider_kit import SQLiteHistory

    with FakeServer() as server:
        client = server.client("openai/gpt-4o")
        store = SQLiteHistory(tmp_path / "talks.db")
        keys = []
        for name in ("ada@example.com", "bob", "ada@example.com"):
            world(client.conversation(name, store=store), "say", "Hello")
            keys.append(server.requests[-1].json["prompt_cache_key"])
        assert keys[0] == keys[2] != keys[1]
        assert "ada" not in keys[0]
        world(client.conversation(), "say", "Hello")
        assert "prompt_cache_key" not in server.requests[-1].json


def own(text, cache):
    return Message.user(Text(text, cache=cache))


@pytest.mark.parametrize("other", ["1h", "5m", True])
def test_marks_of_the_caller_decide_how_long_all_live(other):
    """The API refuses longer ones after shorter ones."""
    wish = "5m" if other == "1h" else "1h"
    body, warned = written("anthropic/claude-opus-5", [own("a", other), *TURNS[1:]], system=SYSTEM, cache=wish)
    assert {ttl for _, ttl in marks(body)} == {None if other is True else other}
    assert len(warned) == 1


def test_where_the_caller_has_marked_all_lifetimes_nothing_is_added():
    """Their order is the caller's."""
    body, warned = written("anthropic/claude-opus-5", [own("a", "1h"), own("b", "5m")], system=SYSTEM, cache=True)
    assert [ttl for _, ttl in marks(body)] == ["1h", "5m"]
    assert warned == []


def test_of_more_marks_than_the_api_takes_the_last_are_sent():
    """They cover what the earlier ones do, and the caller is told."""
    messages = [Message.user(*(Text(str(number), cache=True) for number in range(6)))]
    body, warned = written("anthropic/claude-opus-5", messages, system=SYSTEM)
    assert [path[-1] for path, _ in marks(body)] == [2, 3, 4, 5]
    assert "2 earliest" in warned[0]


def test_marks_do_not_change_what_the_caller_holds():
    """The blocks of another turn are the same objects."""
    block = {"type": "text", "text": "Hi"}
    for target in ("openrouter/anthropic/claude-opus-5", "anthropic/claude-opus-5"):
        body, _ = written(target, [Message("user", [Native("text", block)])], cache=True)
        assert len(marks(body)) == 1
        assert block == {"type": "text", "text": "Hi"}


def test_qwen_knows_one_lifetime():
    """Five minutes; another is told, and not sent."""
    for wish, warnings in (("5m", 0), (True, 0), ("1h", 1)):
        body, warned = written("qwen/qwen3-max", TURNS, cache=wish)
        assert {ttl for _, ttl in marks(body)} == {None}
        assert len(warned) == warnings
