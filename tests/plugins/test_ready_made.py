"""The plugins that come with the library, each in both worlds, whole and streamed."""

import json
import logging
import random

import pytest

from provider_kit import Client, ConfigError, Message, RateLimitError, Router
from provider_kit.plugins import (
    DefaultSettings,
    ExtractJSON,
    ExtractReasoning,
    LoggingPlugin,
    RecordReplay,
    RedactContent,
    SimulateStreaming,
)

VERBS = pytest.mark.parametrize("verb", ["chat", "stream"])


def ask(call, client, verb, *args, **options):
    """The text as it is delivered, and the answer."""
    if verb == "chat":
        answer = call.chat(client, *args, **options)
        return answer.text, answer
    chunks, answer = call.stream(client, *args, **options)
    return "".join(chunk.text for chunk in chunks), answer


# ------------------------------------------------------------------------------------------------ logging


@VERBS
def test_a_log_of_each_call(call, fake_server, caplog, verb):
    """When it begins and how it ends, without what was said."""
    caplog.set_level(logging.INFO)
    client = fake_server.client(plugins=[LoggingPlugin("mine")], max_retries=0)
    fake_server.reply("the answer")
    ask(call, client, verb, "the question")
    fake_server.fault(400)
    with pytest.raises(Exception):  # noqa: B017  # whatever it is, it is logged
        ask(call, client, verb, "the question")
    lines = [record.getMessage() for record in caplog.records if record.name == "mine"]
    begun, succeeded, failed = "Request started", "Request succeeded", "Request failed"
    assert [line.split(":")[0] for line in lines] == [begun, succeeded, begun, failed]
    assert all("gpt-4o" in line for line in lines)
    assert not any("question" in line or "the answer" in line for line in lines)
    assert caplog.records[0].correlation_id


def test_a_stream_that_is_left_is_logged_as_cancelled(fake_server, caplog):
    """It did not fail."""
    caplog.set_level(logging.INFO)
    for _ in fake_server.client(plugins=[LoggingPlugin("mine")]).stream("Hello"):
        break
    assert "Request cancelled: stream gpt-4o" in caplog.text


# ------------------------------------------------------------------------------------------------ default settings


@VERBS
def test_default_settings_fill_up(call, fake_server, verb):
    """What a call says itself stands."""
    client = fake_server.client(plugins=[DefaultSettings(temperature=0.25, max_tokens=9, system="Be brief.")])
    ask(call, client, verb, "Hello", max_tokens=5)
    sent = fake_server.requests[-1].json
    assert (sent["temperature"], 5 in sent.values(), 9 in sent.values()) == (0.25, True, False)
    assert sent["messages"][0]["content"] == "Be brief."
    ask(call, client, verb, "Hello", system="Mine", extension_config={"default_settings": {"temperature": 0.75}})
    sent = fake_server.requests[-1].json
    assert sent["messages"][0]["content"] == "Mine"
    assert sent["temperature"] == 0.75


@pytest.mark.parametrize("settings", [{"temprature": 1}, {"temperature": "hot"}, {"timeout": 5}])
def test_a_default_that_cannot_be_is_refused(settings):
    """When the client is created."""
    with pytest.raises(ConfigError):
        Client("demo/echo", plugins=[DefaultSettings(**settings)])


# ------------------------------------------------------------------------------------------------ reasoning

THOUGHTS = [
    ("<think>I wonder.</think>\nYes.", "Yes.", "I wonder."),
    ("Yes.", "Yes.", ""),
    ("<think>one</think>A<think>two</think>B", "AB", "onetwo"),
    ("a < b and <thin> air", "a < b and <thin> air", ""),
    ("<think>never closed", "", "never closed"),
    ("", "", ""),
    ("x<think></think>y", "xy", ""),
]


@VERBS
@pytest.mark.parametrize(("written", "text", "thinking"), THOUGHTS)
def test_reasoning_between_tags(call, fake_server, verb, written, text, thinking):
    """It leaves the text, wherever the stream is cut."""
    client = fake_server.client(plugins=[ExtractReasoning()])
    fake_server.reply(written)
    delivered, answer = ask(call, client, verb, "Hello")
    assert (delivered, answer.text, answer.thinking) == (text, text, thinking)


def test_reasoning_is_split_the_same_at_every_cut():
    """Each way to cut a stream in two, and many ways to cut it in more."""
    from provider_kit.plugins.extract_reasoning import _Splitter

    written = "<think>I wonder <b>why</b>.</think>\n\nYes, <thinking> aloud</think > so."
    whole = _Splitter("think", False)
    wanted = whole.feed(written) + whole.flush()
    wanted = {kind: "".join(text for one, text in wanted if one == kind) for kind in ("text", "thinking")}
    chance = random.Random(7)
    cuts = [[cut] for cut in range(len(written))] + [
        sorted(chance.sample(range(len(written)), chance.randint(2, 20))) for _ in range(200)
    ]
    for places in cuts:
        splitter, pieces, last = _Splitter("think", False), [], 0
        for place in [*places, len(written)]:
            pieces += splitter.feed(written[last:place])
            last = place
        pieces += splitter.flush()
        assert {
            kind: "".join(text for one, text in pieces if one == kind) for kind in ("text", "thinking")
        } == wanted, places


def test_answers_that_begin_inside_the_tag(call, fake_server):
    """As those of servers whose template has written it."""
    client = fake_server.client(plugins=[ExtractReasoning(tag="<thought>", starts_inside=True)])
    fake_server.reply("hm</thought>Yes.")
    _, answer = ask(call, client, "chat", "Hello")
    assert (answer.text, answer.thinking) == ("Yes.", "hm")


# ------------------------------------------------------------------------------------------------ JSON

JSONS = [
    ('Sure!\n```json\n{"a": [1, "}"]}\n```\nBye {x}', '{"a": [1, "}"]}'),
    ('{"a": "say \\"hi\\" {"}', '{"a": "say \\"hi\\" {"}'),
    ("[1, 2] and more", "[1, 2]"),
    ("There is none.", "There is none."),
    ('text {"cut": [1', '{"cut": [1'),
]


@VERBS
@pytest.mark.parametrize(("written", "found"), JSONS)
def test_only_the_json_is_left(call, fake_server, verb, written, found):
    """Without fences and friendly words."""
    client = fake_server.client(plugins=[ExtractJSON()])
    fake_server.reply(written)
    delivered, answer = ask(call, client, verb, "Hello")
    assert delivered == answer.text == found


# ------------------------------------------------------------------------------------------------ streaming


def test_a_stream_where_there_is_none(call, fake_server):
    """One whole request; pieces that end between words; the answer with all that it has."""
    client = fake_server.client(plugins=[SimulateStreaming(size=8)])
    fake_server.reply("The quick brown fox jumps over the lazy dog")
    chunks, answer = call.stream(client, "Hello")
    assert not fake_server.requests[-1].json.get("stream")
    assert "".join(chunk.text for chunk in chunks) == answer.text == "The quick brown fox jumps over the lazy dog"
    assert len(chunks) > 4
    assert answer.usage.total_tokens
    assert answer.request_id
    assert chunks[-1].done


def test_a_tool_call_in_a_stream_where_there_is_none(call):
    """It comes as well."""

    def weather(city: str) -> str:
        """Tell the weather."""
        return f"{city}: sunny"

    client = Client("demo", plugins=[SimulateStreaming()])
    from provider_kit import tool

    _, answer = call.stream(client, "What is the weather in Paris?", tools=[tool(weather)])
    assert [one.name for one in answer.tool_calls] == ["weather"]


# ------------------------------------------------------------------------------------------------ redaction

PRIVATE = [
    ("Write to anna.b+c@example.co.uk now", "Write to [EMAIL] now"),
    ("Card 4111 1111 1111 1111, order 4111111111111112", "Card [CREDIT_CARD], order 4111111111111112"),
    ("IBAN DE89 3704 0044 0532 0130 00.", "IBAN [IBAN]."),
    ("SSN 123-45-6789", "SSN [US_SSN]"),
    ("Host 192.168.0.1 version 1.2.3", "Host [IP_ADDRESS] version 1.2.3"),
    ("Call +49 (30) 901820 today", "Call [PHONE] today"),
    ("Nothing private: 2026-11-28, $5.00", "Nothing private: 2026-11-28, $5.00"),
]


@VERBS
@pytest.mark.parametrize(("said", "masked"), PRIVATE)
def test_personal_data_is_masked(call, fake_server, verb, said, masked):
    """On its way out, and on its way back."""
    client = fake_server.client(plugins=[RedactContent()])
    fake_server.reply(said)
    delivered, answer = ask(call, client, verb, said)
    assert fake_server.requests[-1].json["messages"][0]["content"] == masked
    assert delivered == answer.text == masked


def test_a_long_stream_is_masked_wherever_it_is_cut(fake_server):
    """And what is certain is not held back."""
    plugin = RedactContent(patterns={"customer": r"K-\d{6}"})
    plugin.init({})
    from provider_kit import Chunk
    from provider_kit.plugins.redaction import _Stream

    chance = random.Random(3)
    words = ["hello", "anna@example.org", "K-123456", "4111 1111 1111 1111", "+49 30 901820", "world"]
    for _ in range(50):
        text = ", ".join(chance.choices(words, k=120))
        stream, made, place = _Stream(plugin), [], 0
        while place < len(text):
            size = chance.randint(1, 30)
            made += stream.chunk(Chunk(text[place : place + size]))
            place += size
        early = sum(len(chunk.text) for chunk in made)
        made += stream.chunk(Chunk("", finish_reason="stop"))
        assert "".join(chunk.text for chunk in made) == plugin.mask(text)
        assert early > 100


def test_arguments_of_tool_calls_and_results_are_masked(call, fake_server):
    """Not only texts."""
    from provider_kit import ToolCall, ToolResult

    client = fake_server.client(plugins=[RedactContent()])
    conversation = [
        {"role": "user", "content": "mail"},
        Message("assistant", [ToolCall("c1", "mail", '{"to": "anna@example.org"}')]),
        Message("tool", [ToolResult("c1", "sent to anna@example.org")]),
    ]
    call.chat(client, conversation)
    assert "anna@" not in json.dumps(fake_server.requests[-1].json)
    assert json.dumps(fake_server.requests[-1].json).count("[EMAIL]") == 2


def test_a_stream_that_breaks_off_holds_no_personal_data(call, fake_server):
    """Not in the part that its error carries either."""
    client = fake_server.client(plugins=[RedactContent()])
    fake_server.reply("anna@example.org " * 20)
    fake_server.fault(cut_after=8)
    error = call.stream_error(client, "Hello")
    assert "anna@" not in error.partial.text
    assert "[EMAIL]" in error.partial.text


@pytest.mark.parametrize("settings", [{"kinds": ["emial"]}, {"patterns": {"bad": "("}}, {"what": 1}])
def test_a_setting_that_cannot_be_is_refused(settings):
    """When the client is created."""
    with pytest.raises(ConfigError):
        Client("demo/echo", plugins={RedactContent: settings})


# ------------------------------------------------------------------------------------------------ record and replay


@VERBS
def test_a_recording_answers_without_a_network(call, fake_server, tmp_path, verb):
    """The same text, pieces, usage and finish reason; nothing is sent."""
    path = tmp_path / "recorded.jsonl"
    client = fake_server.client(plugins=[RecordReplay(path)])
    fake_server.reply("one two three four")
    first_text, first = ask(call, client, verb, "Hello", max_tokens=50)
    sent = len(fake_server.requests)
    again = fake_server.client(plugins=[RecordReplay(path, mode="replay")])
    text, answer = ask(call, again, verb, "Hello", max_tokens=50)
    assert (text, answer.text, answer.usage, answer.finish_reason) == (
        first_text,
        first.text,
        first.usage,
        first.finish_reason,
    )
    assert answer.usage.cost == first.usage.cost
    assert len(fake_server.requests) == sent
    with pytest.raises(ConfigError, match="not in the recording"):
        ask(call, again, verb, "Something else")
    assert "sk-" not in path.read_text()
    if verb == "stream":
        assert path.read_text().count('"text"') >= 2


def test_the_same_request_several_times(call, fake_server, tmp_path):
    """Its answers come in their order, the last one again and again."""
    path = tmp_path / "recorded.jsonl"
    client = fake_server.client(plugins=[RecordReplay(path, mode="record")])
    for words in ("one", "two"):
        fake_server.reply(words)
        call.chat(client, "Hello")
    again = fake_server.client(plugins=[RecordReplay(path, mode="replay")])
    assert [call.chat(again, "Hello").text for _ in range(3)] == ["one", "two", "two"]


def test_errors_are_recorded_too(call, fake_server, tmp_path):
    """With their class, status and code."""
    path = tmp_path / "recorded.jsonl"
    client = fake_server.client(plugins=[RecordReplay(path)], max_retries=0)
    fake_server.fault(429, retry_after=7)
    with pytest.raises(RateLimitError):
        call.chat(client, "Hello")
    with pytest.raises(RateLimitError) as caught:
        call.chat(fake_server.client(plugins=[RecordReplay(path, mode="replay")]), "Hello")
    assert (caught.value.status_code, caught.value.retry_after) == (429, 7)
    assert len(fake_server.requests) == 1


def test_tools_and_embeddings_are_recorded(world, call, tmp_path):
    """As the model asked for them."""

    def weather(city: str) -> str:
        """Tell the weather."""
        return f"{city}: sunny"

    path = tmp_path / "recorded.jsonl"
    client = Client("demo", plugins=[RecordReplay(path)])
    first = world(client, "run", "What is the weather in Paris?", tools=[weather])
    vectors = call.embed(client, ["a", "b"], model="demo-embed").vectors
    again = Client("demo", plugins=[RecordReplay(path, mode="replay")])
    assert world(again, "run", "What is the weather in Paris?", tools=[weather]).text == first.text
    assert call.embed(again, ["a", "b"], model="demo-embed").vectors == vectors


def test_half_a_stream_is_not_recorded(fake_server, tmp_path):
    """Nor one that broke off."""
    path = tmp_path / "recorded.jsonl"
    client = fake_server.client(plugins=[RecordReplay(path)])
    for _ in client.stream("Hello"):
        break
    assert not path.read_text()


def test_a_recording_that_cannot_be_read_is_named(tmp_path):
    """With its line."""
    path = tmp_path / "recorded.jsonl"
    path.write_text('{"key": "a", "answer": {}}\n{broken\n')
    with pytest.raises(ConfigError, match="line 2"):
        Client("demo/echo", plugins=[RecordReplay(path)])
    with pytest.raises(ConfigError, match="no recording"):
        Client("demo/echo", plugins=[RecordReplay(tmp_path / "none", mode="replay")])


# ------------------------------------------------------------------------------------------------ together


@VERBS
def test_several_plugins_over_a_router(call, fake_server, verb):
    """Each does its part."""
    router = Router(
        [fake_server.client()],
        plugins=[ExtractReasoning(), RedactContent(), DefaultSettings(max_tokens=99), LoggingPlugin()],
    )
    fake_server.reply("<think>anna@example.org?</think>Ask anna@example.org")
    delivered, answer = ask(call, router, verb, "Hello")
    assert (delivered, answer.text, answer.thinking) == ("Ask [EMAIL]", "Ask [EMAIL]", "[EMAIL]?")
    assert 99 in fake_server.requests[-1].json.values()


@VERBS
def test_reasoning_is_taken_out_before_it_is_masked(call, fake_server, verb):
    """Both at once: the reasoning comes first, and nothing of it is in the text."""
    fake_server.reply("<think>Ask anna@example.org.</think>Write to anna@example.org now.")
    client = fake_server.client(plugins=[RedactContent(), ExtractReasoning()])
    text, answer = ask(call, client, verb, "Hello")
    assert text == answer.text == "Write to [EMAIL] now."
    assert answer.thinking.strip() == "Ask [EMAIL]."
    if verb == "stream":
        fake_server.reply("<think>Ask anna@example.org.</think>Write to anna@example.org now.")
        chunks, _ = call.stream(client, "Hello")
        kinds = ["thinking" if chunk.thinking else "text" for chunk in chunks if chunk.thinking or chunk.text]
        assert kinds == sorted(kinds, reverse=True)
        assert set(kinds) == {"thinking", "text"}
