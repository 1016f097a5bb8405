"""Bytes for pages: each protocol from the same things that happen, blocking and asynchronous."""

import asyncio
import json

import pytest

from provider_kit import (
    APITimeoutError,
    AuthenticationError,
    ChatResponse,
    Chunk,
    Client,
    ConfigError,
    Image,
    InvalidRequestError,
    Message,
    OverloadedError,
    RateLimitError,
    StoreError,
    StreamError,
    Usage,
    tool,
)
from provider_kit.errors import AllProvidersFailedError, StreamIncompleteError
from provider_kit.integrations.ui_stream import ui_error, ui_stream
from provider_kit.model.messages import ToolCall, ToolResult
from provider_kit.tools.run_events import RunReset, StepEnded, TextDelta, ThinkingDelta, ToolFinished, ToolProgress

CALL = ToolCall("c1", "find", {"q": "ü"})
PROTOCOLS = ["sse", "openai", "vercel", "text"]


@pytest.fixture(params=["blocking", "asyncio"])
def read(request):
    """A function: all bytes of a stream of items, in both worlds."""

    def blocking(items, *args, **options):
        return b"".join(ui_stream(iter(items), *args, **options))

    def asynchronous(items, *args, **options):
        async def source():
            for item in items:
                yield item

        async def main():
            return b"".join([piece async for piece in ui_stream(source(), *args, **options)])

        return asyncio.run(main())

    return blocking if request.param == "blocking" else asynchronous


def data(stream):
    """What the events hold, without the last mark."""
    lines = [line[6:] for line in stream.decode().split("\n") if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def kinds(stream):
    return [one["type"] for one in data(stream)]


def test_vercel_writes_parts_in_steps(read):
    """Each part is begun and ended, tools between; a denied call is told as one."""
    items = [
        ThinkingDelta("hm", 1, None),
        TextDelta("Let me see.", 1, None),
        StepEnded(ChatResponse(Message("assistant", [CALL]), "tool_calls"), 1),
        ToolProgress(CALL, {"done": 0.5}, 1),
        ToolFinished(CALL, ToolResult("c1", '{"found": 1}'), 1),
        TextDelta("Found.", 2, None),
    ]
    stream = read(items, "vercel")
    assert kinds(stream) == [
        *("start", "start-step", "reasoning-start", "reasoning-delta", "reasoning-end"),
        *("text-start", "text-delta", "text-end", "tool-input-available"),
        *("tool-output-available", "tool-output-available", "finish-step"),
        *("start-step", "text-start", "text-delta", "text-end", "finish-step", "finish"),
    ]
    progress, output = [one for one in data(stream) if one["type"] == "tool-output-available"]
    assert (progress["output"], progress["preliminary"]) == ({"done": 0.5}, True)
    assert output == {"type": "tool-output-available", "toolCallId": "c1", "output": {"found": 1}}
    assert stream.endswith(b"data: [DONE]\n\n")


def test_what_was_thrown_away_is_told(read):
    """reset-step for version 7; data-reset for those that do not know it."""
    items = [TextDelta("void", 1, None), RunReset(1, StreamError("cut")), TextDelta("good", 1, None)]
    assert "reset-step" in kinds(read(items, "vercel"))
    for version in (5, 6):
        assert "reset-step" not in kinds(read(items, "vercel", sdk_version=version))
        assert "data-reset" in kinds(read(items, "vercel", sdk_version=version))
    assert b"event: reset\n" in read(items, "sse")


def test_a_protocol_without_a_reset_ends_with_an_error(read):
    """A text that is void must not stand as the answer's beginning."""
    items = [TextDelta("void", 1, None), RunReset(1, StreamError("cut")), TextDelta("good", 1, None)]
    stream = read(items, "openai")
    assert data(stream)[-1]["error"]["code"] == "answer_broke_off"
    assert b"good" not in stream
    with pytest.raises(StreamIncompleteError):
        read(items, "text")


def test_openai_streams_chunks_that_its_own_sdk_could_read(read):
    """A role first, then content, then a reason to finish."""
    chunks = data(read(["Hel", "lo"], "openai", model="mine"))
    assert {one["model"] for one in chunks} == {"mine"}
    assert all(one["object"] == "chat.completion.chunk" for one in chunks)
    assert len({one["id"] for one in chunks}) == 1
    deltas = [one["choices"][0]["delta"] for one in chunks]
    assert deltas == [{"role": "assistant", "content": ""}, {"content": "Hel"}, {"content": "lo"}, {}]
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


def test_tools_that_run_here_are_no_calls_for_the_reader(read):
    """OpenAI's protocol has only those that the reader is to run."""
    items = [StepEnded(ChatResponse(Message("assistant", [CALL]), "tool_calls"), 1), TextDelta("Done.", 2, None)]
    assert b"tool_calls" not in read(items, "openai")
    stream = b"".join(ui_stream(Client("demo").stream("weather in Rome", tools=[_weather]), "openai"))
    calls = [one["choices"][0]["delta"].get("tool_calls") for one in data(stream)]
    called = [call[0] for call in calls if call]
    assert called[0]["function"]["name"] == "_weather"
    assert json.loads("".join(call["function"]["arguments"] for call in called)) == {"city": "Rome"}
    assert data(stream)[-1]["choices"][0]["finish_reason"] == "tool_calls"


@tool
def _weather(city: str) -> str:
    """Tell the weather."""
    return city


def test_chunks_bring_files_and_sources(read):
    """As addresses a page can show; a source that is no address of the web is left out."""
    notes = [{"url": "https://a.example", "title": "A"}, {"url": "javascript:alert(1)"}]
    items = [Chunk("See", parts=[Image(data=b"\x89PNG\r\n\x1a\n0000", media_type="image/png")], citations=notes)]
    found = data(read(items, "vercel"))
    assert [one["url"][:22] for one in found if one["type"] == "file"] == ["data:image/png;base64,"]
    assert [one["url"] for one in found if one["type"] == "source-url"] == ["https://a.example"]
    assert b"javascript" not in read(items, "sse")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_half_a_character_breaks_nothing(read, protocol):
    """It becomes a replacement character; nothing else is changed, line ends included."""
    stream = read(["a\ud83d\n\ndata: x"], protocol)
    stream.decode("utf-8")
    if protocol == "text":
        assert stream == b"a?\n\ndata: x"
    else:
        assert b"\n\ndata: x" not in stream


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_error_is_one_clean_frame(read, protocol):
    """Typed, without what the provider or a tool said; text has no form for it, and is broken off."""

    def breaking():
        yield "Hello"
        raise RateLimitError("secret sk-0123456789abcdef", status_code=429, retry_after=3)

    if protocol == "text":
        with pytest.raises(RateLimitError):
            read(breaking(), protocol)
        return
    stream = read(breaking(), protocol)
    assert b"secret" not in stream
    assert b"Hello" in stream
    assert stream.count(b"too many requests") == 1
    assert b"end" not in stream or protocol != "sse"


def test_the_stream_of_a_client_is_closed_when_its_reader_leaves():
    """After the first piece."""
    stream = Client("demo").stream("Hello")
    pieces = ui_stream(stream)
    next(pieces)
    pieces.close()
    assert list(stream) == []


@pytest.mark.parametrize("wrong", [None, 3, "text", {"a": 1}])
def test_what_is_no_stream_is_refused(wrong):
    """Before anything is sent."""
    with pytest.raises(ConfigError, match="is no stream"):
        ui_stream(wrong)


@pytest.mark.parametrize("options", [{"protocol": "ssse"}, {"sdk_version": 4}, {"ping": 0}, {"ping": 60}])
def test_wrong_options_are_refused(options):
    """With what there is; they are a mistake of the program, not of its visitor."""
    with pytest.raises(ConfigError):
        ui_stream(iter(()), **options)


def test_early_releases_of_version_5_are_told_no_reason(read):
    """They refuse a part with a field they do not know."""
    stream = Client("demo").stream("Hello")
    assert data(b"".join(ui_stream(stream, "vercel", sdk_version=5)))[-1] == {"type": "finish"}


def test_metadata_of_a_finished_message():
    """As the program says; only for Vercel's client."""
    stream = Client("demo").stream("Hello")
    found = data(b"".join(ui_stream(stream, "vercel", metadata=lambda reply: {"tokens": reply.usage.total_tokens})))
    assert found[-1]["messageMetadata"] == {"tokens": 21}


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (RateLimitError("x", status_code=429), 429, "rate_limited"),
        (OverloadedError("x", status_code=529), 503, "overloaded"),
        (AuthenticationError("x", status_code=401), 502, "provider_error"),
        (APITimeoutError("x"), 504, "timeout"),
        (InvalidRequestError("x"), 400, "invalid_request"),
        (ConfigError("x"), 500, "misconfigured"),
        (StoreError("x"), 500, "storage_failed"),
        (StreamError("x"), 502, "answer_broke_off"),
        (ZeroDivisionError("x"), 500, "internal_error"),
        (
            AllProvidersFailedError("x", exceptions=[APITimeoutError("y"), OverloadedError("z", status_code=529)]),
            503,
            "overloaded",
        ),
    ],
)
def test_errors_have_a_status_and_a_word(error, status, code):
    """Never those of the key: a browser must not be asked for a password because ours was refused."""
    told = ui_error(error)
    assert (told.status, told.code) == (status, code)
    assert "x" not in told.message.split()


def test_usage_is_told_at_the_end():
    """All input and output tokens, cached and reasoning included."""
    response = ChatResponse(
        Message("assistant", "x"), "stop", usage=Usage(input_tokens=1, cache_read_tokens=2, output_tokens=3)
    )
    from provider_kit.integrations.ui_protocols import OpenAIEncoder

    told = data(OpenAIEncoder().end(response))[0]["usage"]
    assert told == {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6}
