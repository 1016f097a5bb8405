"""What a server sends takes time in proportion to its size, whatever it is made of."""

import gc
import json
import time

import pytest

from provider_kit.dialects.anthropic_messages import AnthropicMessages
from provider_kit.dialects.base import StreamFailure
from provider_kit.dialects.failures import error_from_response
from provider_kit.dialects.gemini_content import GeminiContent
from provider_kit.dialects.ollama_chat import OllamaChat
from provider_kit.dialects.openai_chat import OpenAIChat
from provider_kit.dialects.openai_responses import OpenAIResponses
from provider_kit.dialects.parse_errors import PARSE_ERRORS, read_answer
from provider_kit.errors import ProviderKitError
from provider_kit.model.json_text import loads
from provider_kit.wire.json_lines import LineDecoder
from provider_kit.wire.rate_limit_headers import read_rate_limits
from provider_kit.wire.redaction import looks_secret, redact, redact_value
from provider_kit.wire.response_headers import date_seconds, duration_seconds, retry_after
from provider_kit.wire.server_sent_events import EventDecoder

#: Seconds of CPU that the smallest input takes at least: of a stream enough that many events come together.
SHORT, LONG = 0.001, 0.004
#: Sizes to find it with.
SMALLEST, LARGEST = 200, 200_000
#: Four times as much may take eight times as long, and this many seconds more: a busy machine measures badly.
FACTOR, ALLOWANCE = 8, 0.01
#: Measurements of a case before it is taken for bad.
TRIES = 5


def measured(read, data):
    """Seconds of CPU."""
    started = time.process_time()
    read(data)
    return time.process_time() - started


def assert_linear(read, make, measurable=SHORT):
    """Four times the input takes about four times as long."""
    size = SMALLEST
    gc.disable()
    try:
        while measured(read, make(size)) < measurable and size < LARGEST:
            size *= 2
        inputs = [make(size), make(2 * size), make(4 * size)]
        best = [float("inf")] * len(inputs)
        for _ in range(TRIES):
            best = [min(known, measured(read, data)) for known, data in zip(best, inputs, strict=True)]
            if best[2] <= FACTOR * best[0] + ALLOWANCE:
                return
    finally:
        gc.enable()
    pytest.fail(f"{size}, {2 * size} and {4 * size} take {', '.join(f'{1000 * one:.1f}' for one in best)} ms")


# -------------------------------------------------------------------------------------------- texts

RUNS_OF_TEXT = [
    *("9", "9.", "1d", "1m", "1ms", "1.5s", "-", "1-", ":", "a", " ", "\n", "é", "…"),
    *("://a:", "://", "://@", "://a:1/", "://a:b@", "eyJ", "eyJa-", "eyJaaaaaaaaaa.", "model/", "models/ is not"),
    *("sk-", "sk-a", "bearer ", "basic  ", "key=", "?key", "?a_key=", "token=", "code=…", '"api_key":', '"api_key" '),
    *("AIza", "ya29.", "try again in 1m", "retry in 1", "current length is 1", "<title", "<title>", "</title>"),
    *("limit: ", "-rate", "Mon, ", "+0000 ", "2025-01-01T", "1 Jan "),
]


@pytest.mark.parametrize("run", RUNS_OF_TEXT)
def test_headers_of_any_length(run):
    """Retry-After, dates, durations and resets."""

    def read(text):
        retry_after({"retry-after": text, "date": text}, now=1.0)
        retry_after({"retry-after-ms": text})
        date_seconds(text)
        duration_seconds(text)
        read_rate_limits({"x-ratelimit-reset-requests": text, "x-ratelimit-limit-requests": text, "date": text})

    assert_linear(read, lambda n: run * n)


@pytest.mark.parametrize("run", RUNS_OF_TEXT)
def test_names_of_headers_of_any_length(run):
    """A limit nobody knows."""
    assert_linear(read_rate_limits, lambda n: {"x-ratelimit-" + run * n: "1", run * n: "1"})


@pytest.mark.parametrize("run", RUNS_OF_TEXT)
def test_texts_to_be_redacted(run):
    """Runs of what begins like a secret, with and without an end."""
    for end in ("", "@", '=".a.b'):
        assert_linear(lambda text: (redact(text, ["hunter2hunter2"]), looks_secret(text)), lambda n, e=end: run * n + e)


@pytest.mark.parametrize("run", RUNS_OF_TEXT)
def test_messages_of_errors(run):
    """Messages, codes and waits; and what is no JSON."""

    def read(text):
        body = {
            "error": {"message": text, "code": text, "type": text, "details": [{"retryDelay": text, "reason": text}]},
            "detail": [{"loc": [text], "msg": text}],
        }
        for status in (400, 404, 429, 200):
            error_from_response(status, {}, json.dumps(body).encode(), provider="acme", overrides={})
        error_from_response(502, {}, b"<html>" + text.encode(), provider="acme", overrides={})
        error_from_response(400, {}, text.encode(), provider="acme", overrides={})

    assert_linear(read, lambda n: run * n)


def test_errors_with_many_parts():
    """Details, violations and problems, and what of them is shown."""

    def read(count):
        details = [{"reason": "", "retryDelay": "x", "violations": [{"quotaId": "x"}]}] * count
        body = {"error": {"message": [{"loc": ["a"], "msg": "b"}] * count, "details": details}}
        error = error_from_response(429, {}, json.dumps(body).encode(), provider="acme", overrides={})
        redact_value(error.body, ["hunter2hunter2"])

    assert_linear(read, int)


@pytest.mark.parametrize("text", ["[", '{"a":', "1", '"\\ud83d', "[1,", '{"a":1,', "\\", "nul"])
def test_broken_json(text):
    """Deep, long and unfinished."""

    def read(data):
        try:
            loads(data)
        except ValueError:
            pass

    assert_linear(read, lambda n: text * n)


# -------------------------------------------------------------------------------------------- bytes


@pytest.mark.parametrize("kind", [EventDecoder, LineDecoder])
@pytest.mark.parametrize(
    "unit",
    [b"x", b"data: x\n", b"data:\n\n", b"\n", b"\r", b"\r\n", b"stray\n", b"stray\n\n", b"event: error\n\n", b": \n\n"],
)
@pytest.mark.parametrize("piece", [1, 7, 1 << 30])
def test_bytes_of_a_stream(kind, unit, piece):
    """In one piece and in small ones, with and without ends of events."""

    def read(data):
        decoder = kind()
        for start in range(0, len(data), piece):
            decoder.feed(data[start : start + piece])
        decoder.finish()

    assert_linear(read, lambda n: unit * n)


# -------------------------------------------------------------------------------------------- streams

CHAT, RESPONSES, ANTHROPIC = OpenAIChat(), OpenAIResponses(), AnthropicMessages()
GEMINI, OLLAMA = GeminiContent(), OllamaChat()


def sse(events):
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


def lines(events):
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def stream_reader(dialect):
    """A function that reads a stream to its end, or to its error, and asks for what came."""

    def read(data):
        decoder = dialect.stream_decoder()
        try:
            for start in range(0, len(data), 4096):
                for _ in decoder.feed(data[start : start + 4096]):
                    pass
            for _ in decoder.finish():
                pass
        except (StreamFailure, ProviderKitError, *PARSE_ERRORS):
            pass
        decoder.response()

    return read


def piece(**delta):
    return {"choices": [{"index": 0, "delta": delta}]}


def calls(*items):
    return piece(tool_calls=list(items))


def call(arguments="", name=None, **more):
    return {**more, "function": {"arguments": arguments, **({"name": name} if name else {})}}


def message(text="", **more):
    return {"choices": [{"index": 0, "message": {"content": text, **more}}]}


def picture(number):
    return {"type": "image_url", "image_url": {"url": f"http://x/{number}.png"}}


CHAT_STREAMS = {
    "texts": lambda n: [piece(content="x")] * n,
    "thoughts": lambda n: [piece(reasoning_content="x"), piece(content="y")] * n,
    "chunks of content": lambda n: [piece(content=[{"type": "thinking", "thinking": [{"text": "x"}]}])] * n,
    "pieces of one call": lambda n: [calls(call("", "f", index=0, id="a")), *[calls(call("x", index=0))] * n],
    "pieces of one call without a label": lambda n: [calls(call("{", "f", id="a")), *[calls(call("x"))] * n],
    "pieces that end like an object": lambda n: [calls(call('{"a":', "f", index=0)), *[calls(call("{}", index=0))] * n],
    "closed again and again": lambda n: [calls(call('{"a":', "f", index=0)), *[calls(call("1}", index=0))] * n],
    "ids of their own": lambda n: [calls(call("x", "f", id=f"c{i}")) for i in range(n)],
    "ids of their own without names": lambda n: [calls(call("x", id=f"c{i}")) for i in range(n)],
    "one id for all calls": lambda n: [calls(call('{"a": 1}', f"f{i}", id="a")) for i in range(n)],
    "one index for all calls": lambda n: [calls(call("{}", f"f{i}", index=0, id=f"c{i}")) for i in range(n)],
    "calls in one event": lambda n: [calls(*[call("{}", "f", index=i, id=f"c{i}") for i in range(n)])],
    "a whole call told again": lambda n: [
        calls(call(json.dumps({"a": "x" * n}), "f", id="a")),
        *[calls(call("{}", "f", id="a"))] * n,
    ],
    "growing arguments": lambda n: [calls(call("x" * i, index=0)) for i in range(1, 1 + int(n**0.5))],
    "growing names": lambda n: [calls(call("", "f" * 9, index=0))] * n,
    "placeholders": lambda n: [calls(call("{}", "f", index=0, id="a")), *[calls(call(" ", index=0))] * n],
    "functions of old": lambda n: [piece(function_call={"name": "f", "arguments": "x"})] * n,
    "reasoning details": lambda n: [piece(reasoning_details=[{"type": "t", "index": 0, "text": "x"}])] * n,
    "reasoning details with ids": lambda n: [
        piece(reasoning_details=[{"type": "t", "index": 0, "id": f"r{i}", "text": "x"}]) for i in range(n)
    ],
    "reasoning details of many kinds": lambda n: [
        piece(reasoning_details=[{"type": f"t{i}", "index": i, "text": "x"}]) for i in range(n)
    ],
    "sources": lambda n: [piece(annotations=[{"url": f"http://x/{i}"}]) for i in range(n)],
    "sources beside the answer": lambda n: [{**piece(content="x"), "citations": ["http://x/"]}] * n,
    "pictures": lambda n: [piece(images=[picture(i)]) for i in range(n)],
    "one picture again and again": lambda n: [piece(images=[picture(0)])] * n,
    "sounds": lambda n: [piece(audio={"data": "A" * 5, "transcript": "x"})] * n,
    "refusals": lambda n: [piece(refusal="x")] * n,
    "snapshots that grow": lambda n: [message("x" * i) for i in range(1, 1 + int(n**0.5))],
    "short snapshots after a long text": lambda n: [*[piece(content="x")] * n, *[message("y")] * n],
    "snapshots alone": lambda n: [message("x")] * n,
    "answers side by side": lambda n: [{"choices": [{"index": i, "delta": {"content": "x"}} for i in range(n)]}],
    "answers in turn": lambda n: [{"choices": [{"index": i % 9, "delta": {"content": "x"}}]} for i in range(n)],
    "chunks counted": lambda n: [{"choices": [{"index": i, "delta": {"content": "x"}}]} for i in range(n)],
    "usage in each event": lambda n: [{**piece(content="x"), "usage": {"prompt_tokens": i}} for i in range(n)],
    "halves of characters": lambda n: [piece(content="\ud83d"), piece(content="\ude00")] * n,
    "halves side by side": lambda n: [{**piece(content="x\ud83d"), "a": "\ud83d"}, piece(content="y")] * n,
    "reasons to end": lambda n: [{"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": "stop"}]}] * n,
    "only first halves": lambda n: [piece(content="\ud83d")] * n,
    "empty events": lambda n: [{}] * n,
    "usage that gains fields": lambda n: [{"choices": [], "usage": {f"a{i}": 1}} for i in range(n)],
    "a large usage, small ones after": lambda n: [
        {"choices": [], "usage": dict.fromkeys(map(str, range(n)), 1)},
        *[{"choices": [], "usage": {"0": 2}}] * n,
    ],
    "first halves with labels, then second ones": lambda n: [
        {"choices": [{"index": i, "t": "\ud83d"} for i in range(n)]},
        {"choices": [{"index": i, "t": "\ude00"} for i in range(n)]},
    ],
    "first halves with labels, then others": lambda n: [
        {"choices": [{"index": i, "t": "\ud83d"} for i in range(n)]},
        *[{"choices": [{"index": i, "t": ""} for i in range(n, n + n // 8)]}] * 8,
    ],
    "messages with a call, after its arguments": lambda n: [
        calls(call("x", "f", index=0, id="a")),
        *[calls(call("x", index=0))] * n,
        *[message("", tool_calls=[call("y")])] * n,
    ],
    "messages with a call, after many calls": lambda n: [
        *[calls(call("{}", "f", index=i, id=f"c{i}")) for i in range(n)],
        *[message("", tool_calls=[call("y")])] * n,
    ],
}


def about(kind, **more):
    return {"type": f"response.{kind}", **more}


def delta(text="x", **more):
    return about("output_text.delta", output_index=0, content_index=0, delta=text, **more)


def added(number, **item):
    return about("output_item.added", output_index=number, item=item)


def done(number, **item):
    return about("output_item.done", output_index=number, item=item)


def said(text):
    return [{"type": "output_text", "text": text}]


def ended(*output):
    return about("completed", response={"status": "completed", "output": list(output)})


RESPONSE_STREAMS = {
    "a large item, told again": lambda n: [
        added(0, type="message", **dict.fromkeys(map("k{}".format, range(n)), 1)),
        *[added(0, type="message")] * n,
        *[done(0, type="message")] * n,
    ],
    "a large call, its arguments told again": lambda n: [
        added(0, type="function_call", call_id="c", **dict.fromkeys(map("k{}".format, range(n)), 1)),
        *[about("function_call_arguments.done", output_index=0, arguments="")] * n,
    ],
    "texts": lambda n: [delta()] * n,
    "texts without a place": lambda n: [about("output_text.delta", delta="x")] * n,
    "many places": lambda n: [about("output_text.delta", output_index=0, content_index=i, delta="x") for i in range(n)],
    "ends after a long text": lambda n: [
        *[delta()] * n,
        *[about("output_text.done", output_index=0, content_index=0, text="x")] * n,
        *[about("content_part.done", output_index=0, content_index=0, part=said("x")[0])] * n,
    ],
    "ends that grow": lambda n: [
        about("output_text.done", output_index=0, text="x" * i) for i in range(1, 1 + int(n**0.5))
    ],
    "items with a long text": lambda n: [*[delta()] * n, *[done(0, type="message", content=said("y"))] * n],
    "refusals": lambda n: [about("refusal.delta", delta="x")] * n + [about("refusal.done", refusal="x")] * n,
    "arguments": lambda n: [
        added(0, type="function_call", call_id="c", name="f"),
        *[about("function_call_arguments.delta", output_index=0, delta="}")] * n,
        *[about("function_call_arguments.done", output_index=0, arguments="{}")] * n,
    ],
    "calls": lambda n: [added(i, type="function_call", call_id=f"c{i}", name="f", arguments="{}") for i in range(n)],
    "calls with one id": lambda n: [added(i, type="function_call", call_id="c", name="f") for i in range(n)],
    "calls in one place": lambda n: [added(0, type="function_call", call_id=f"c{i}", name="f") for i in range(n)],
    "custom calls": lambda n: [about("custom_tool_call_input.delta", item_id=f"c{i}", delta="x") for i in range(n)],
    "items": lambda n: [done(i, type="message", content=said("x")) for i in range(n)],
    "items without a place": lambda n: [about("output_item.done", item={"type": "message"})] * n,
    "items of the server": lambda n: [done(i, type="web_search_call", id=f"w{i}") for i in range(n)],
    "reasoning": lambda n: [about("reasoning_summary_text.delta", summary_index=i, delta="x") for i in range(n)],
    "reasoning in one place": lambda n: [about("reasoning_summary_text.delta", delta="x")] * n,
    "reasoning ended again and again": lambda n: [
        *[about("reasoning_summary_text.delta", output_index=0, delta="x")] * n,
        *[about("reasoning_summary_text.done", output_index=0, text="x")] * n,
    ],
    "reasoning word for word": lambda n: (
        [about("reasoning_text.delta", delta="x")] * n + [about("reasoning_text.done", text="x")] * n
    ),
    "annotations": lambda n: [
        about("output_text.annotation.added", output_index=0, annotation={"a": i}) for i in range(n)
    ],
    "all items in the end": lambda n: [
        *[added(i, type="message", id=f"i{i}") for i in range(n)],
        ended(*[{"type": "message", "id": f"i{i}", "content": said("x")} for i in range(n)]),
    ],
    "other items in the end": lambda n: [
        *[added(i, type="function_call", call_id=f"c{i}") for i in range(n)],
        ended(*[{"type": "function_call", "call_id": f"d{i}"} for i in range(n)]),
    ],
    "items of another order in the end": lambda n: [
        *[added(i + n, type="message") for i in range(n)],
        ended(*[{"type": "message", "content": said("x")}] * n),
    ],
    "beginnings": lambda n: [about("created", response={"id": "r", "usage": {"input_tokens": 1}})] * n,
    "halves of characters": lambda n: [delta("\ud83d"), delta("\ude00")] * n,
}


def begun(number, **block):
    return {"type": "content_block_start", "index": number, "content_block": block}


def grown(number, **delta):
    return {"type": "content_block_delta", "index": number, "delta": delta}


def stopped(number):
    return {"type": "content_block_stop", "index": number}


def used(number, **more):
    return begun(number, type="tool_use", name="f", input={}, **more)


ANTHROPIC_STREAMS = {
    "a large usage, small ones after": lambda n: [
        {"type": "message_delta", "usage": dict.fromkeys(map(str, range(n)), 1)},
        *[{"type": "message_delta", "usage": {"0": 2}}] * n,
    ],
    "a large call, begun again": lambda n: [
        begun(0, type="tool_use", id="b", **dict.fromkeys(map("k{}".format, range(n)), 1)),
        *[begun(0, type="tool_use", id="b")] * n,
    ],
    "a block that is ended and goes on": lambda n: [
        begun(0, type="text", id="b"),
        *[grown(0, type="text_delta", text="x")] * n,
        *[begun(0, type="text", id="b"), stopped(0)] * n,
    ],
    "a block of a new kind that is ended and goes on": lambda n: [
        begun(0, type="news", id="b"),
        *[grown(0, type="news_delta", text="x")] * n,
        *[begun(0, type="news", id="b"), stopped(0)] * n,
    ],
    "texts": lambda n: [begun(0, type="text"), *[grown(0, type="text_delta", text="x")] * n],
    "texts without a place": lambda n: [grown(None, type="text_delta", text="x")] * n,
    "blocks": lambda n: [one for i in range(n) for one in (begun(i, type="text", text="x"), stopped(i))],
    "blocks in one place": lambda n: [begun(0, type="text", text="x"), stopped(0)] * n,
    "starts of one block": lambda n: [begun(0, type="text", text="x")] * n,
    "ends of one block": lambda n: [*[grown(0, type="text_delta", text="x")] * n, *[stopped(0)] * n],
    "thinking": lambda n: [grown(0, type="thinking_delta", thinking="x")] * n,
    "thinking and text in one place": lambda n: (
        [
            grown(0, type="thinking_delta", thinking="x"),
            grown(0, type="text_delta", text="x"),
        ]
        * n
    ),
    "signatures": lambda n: [begun(0, type="thinking"), *[grown(0, type="signature_delta", signature="x")] * n],
    "citations": lambda n: [begun(0, type="text"), *[grown(0, type="citations_delta", citation={"a": 1})] * n],
    "arguments": lambda n: [used(0, id="a"), *[grown(0, type="input_json_delta", partial_json="}")] * n],
    "arguments in objects": lambda n: [used(0, id="a"), *[grown(0, type="input_json_delta", partial_json="{}")] * n],
    "calls": lambda n: [used(i, id=f"c{i}") for i in range(n)],
    "calls with one id": lambda n: [used(i, id="c") for i in range(n)],
    "calls told again": lambda n: [used(0, id="c")] * n,
    "blocks of the server": lambda n: [
        one
        for i in range(n)
        for one in (
            begun(i, type="server_tool_use", name="s"),
            grown(i, type="input_json_delta", partial_json='{"a": 1}'),
            stopped(i),
        )
    ],
    "a block of a new kind": lambda n: [begun(0, type="new"), *[grown(0, type="new_delta", a="x", b=[1])] * n],
    "usage": lambda n: [{"type": "message_delta", "delta": {}, "usage": {"output_tokens": i}} for i in range(n)],
    "pings": lambda n: [{"type": "ping"}] * n,
    "halves of characters": lambda n: (
        [
            grown(0, type="text_delta", text="\ud83d"),
            grown(0, type="text_delta", text="\ude00"),
        ]
        * n
    ),
}


def parts(*given, **more):
    return {"candidates": [{"content": {"parts": list(given)}, **more}]}


def partial(path, **more):
    return parts({"functionCall": {"partialArgs": [{"jsonPath": path, **more}], "willContinue": True}})


FIRST = parts({"functionCall": {"name": "f", "willContinue": True}})
GEMINI_STREAMS = {
    "places far away": lambda n: [FIRST, partial(f"$.a[{min(n, 99999)}]", numberValue=1), *[parts({"text": "x"})] * n],
    "places one after the other": lambda n: [FIRST, *[partial(f"$.a[{i}]", numberValue=1) for i in range(n)]],
    "a large usage, small ones after": lambda n: [
        {**parts({"text": "x"}), "usageMetadata": dict.fromkeys(map(str, range(n)), 1)},
        *[{**parts({"text": "x"}), "usageMetadata": {"0": 2}}] * n,
    ],
    "texts": lambda n: [parts({"text": "x"})] * n,
    "parts in one event": lambda n: [parts(*[{"text": "x"}, {"text": "y", "thought": True}] * n)],
    "thoughts and texts in turn": lambda n: [parts({"text": "x"}), parts({"text": "y", "thought": True})] * n,
    "signatures": lambda n: [parts({"text": "x", "thoughtSignature": "s"})] * n,
    "signatures alone": lambda n: [parts({"text": "", "thoughtSignature": "s"}), parts({"text": "x"})] * n,
    "calls": lambda n: [parts({"functionCall": {"name": "f", "id": f"c{i}", "args": {}}}) for i in range(n)],
    "calls with one id": lambda n: [parts({"functionCall": {"name": "f", "id": "c", "args": {}}})] * n,
    "calls in pieces": lambda n: [FIRST, *[partial("$.a", stringValue="x")] * n],
    "calls of many pieces": lambda n: [FIRST, *[partial(f"$.a{i}", numberValue=1) for i in range(n)]],
    "places of a list": lambda n: [FIRST, *[partial(f"$.a[{i % 1000}]", numberValue=i) for i in range(n)]],
    "calls that are broken off": lambda n: [FIRST, partial("$.a", boolValue=True)] * n,
    "pictures": lambda n: [parts({"inlineData": {"mimeType": "image/png", "data": "AAAA"}})] * n,
    "sources": lambda n: [parts({"text": "x"}, groundingMetadata={"a": i}) for i in range(n)],
    "sources that grow": lambda n: [
        parts({"text": "x"}, citationMetadata={"a": [1] * i}) for i in range(1, 1 + int(n**0.5))
    ],
    "answers side by side": lambda n: [
        {"candidates": [{"index": i, "content": {"parts": [{"text": "x"}]}} for i in range(n)]}
    ],
    "answers in turn": lambda n: [parts({"text": "x"}, index=i % 9) for i in range(n)],
    "usage": lambda n: [{**parts({"text": "x"}), "usageMetadata": {"totalTokenCount": i}} for i in range(n)],
    "halves of characters": lambda n: [parts({"text": "\ud83d"}), parts({"text": "\ude00"})] * n,
    "one array": lambda n: [[parts({"text": "x"})] * n],
    "blocked again and again": lambda n: [{"promptFeedback": {"blockReason": "SAFETY"}}] * n,
}


def line(**message):
    return {"model": "m", "message": message, "done": False}


OLLAMA_STREAMS = {
    "texts": lambda n: [line(content="x")] * n,
    "thoughts": lambda n: [line(content="x", thinking="y")] * n,
    "calls": lambda n: [line(tool_calls=[{"function": {"name": "f", "arguments": {"a": 1}}}])] * n,
    "calls with one id": lambda n: [line(tool_calls=[{"id": "c", "function": {"name": "f"}}])] * n,
    "calls in one line": lambda n: [line(tool_calls=[{"function": {"name": "f", "arguments": {}}}] * n)],
    "pictures": lambda n: [line(images=["AAAA"])] * n,
    "halves of characters": lambda n: [line(content="\ud83d"), line(content="\ude00")] * n,
}
STREAMS = [
    pytest.param(dialect, write, make, id=f"{dialect.name}-{name}")
    for dialect, write, makers in (
        (CHAT, sse, CHAT_STREAMS),
        (RESPONSES, sse, RESPONSE_STREAMS),
        (ANTHROPIC, sse, ANTHROPIC_STREAMS),
        (GEMINI, sse, GEMINI_STREAMS),
        (OLLAMA, lines, OLLAMA_STREAMS),
    )
    for name, make in makers.items()
]


@pytest.mark.parametrize(("dialect", "write", "make"), STREAMS)
def test_streams(dialect, write, make):
    """Many events of each kind, and then the answer."""
    assert_linear(stream_reader(dialect), lambda n: write(make(n)), LONG)


# -------------------------------------------------------------------------------------------- whole answers


def whole_chat(**message):
    return {"choices": [{"message": message, "finish_reason": "stop"}]}


def whole_candidate(*given):
    return {"candidates": [{"content": {"parts": list(given)}, "finishReason": "STOP"}]}


WHOLES = {
    "chat texts": (CHAT, lambda n: whole_chat(content=[{"type": "text", "text": "x"}] * n)),
    "chat thoughts": (CHAT, lambda n: whole_chat(content=[{"type": "thinking", "thinking": [{"text": "x"}]}] * n)),
    "chat pictures": (CHAT, lambda n: whole_chat(content=[picture(i) for i in range(n)], images=[picture(0)] * n)),
    "chat calls": (
        CHAT,
        lambda n: whole_chat(content=None, tool_calls=[call("{}", "f", id=f"c{i}") for i in range(n)]),
    ),
    "chat calls with one id": (CHAT, lambda n: whole_chat(content=None, tool_calls=[call("{}", "f", id="c")] * n)),
    "chat sources": (CHAT, lambda n: {**whole_chat(content="x"), "citations": ["http://x/"] * n}),
    "chat details": (CHAT, lambda n: whole_chat(content="x", reasoning_details=[{"text": "x"}] * n)),
    "chat choices": (
        CHAT,
        lambda n: {"choices": [{"index": i, "message": {"content": "x"}} for i in range(n, -1, -1)]},
    ),
    "responses texts": (RESPONSES, lambda n: {"output": [{"type": "message", "content": said("x") * n}]}),
    "responses items": (RESPONSES, lambda n: {"output": [{"type": "message", "content": said("x")}] * n}),
    "responses calls": (RESPONSES, lambda n: {"output": [{"type": "function_call", "call_id": "c"}] * n}),
    "responses reasoning": (RESPONSES, lambda n: {"output": [{"type": "reasoning", "summary": said("x") * n}]}),
    "anthropic texts": (ANTHROPIC, lambda n: {"content": [{"type": "text", "text": "x"}] * n}),
    "anthropic calls": (ANTHROPIC, lambda n: {"content": [{"type": "tool_use", "id": "c", "input": {}}] * n}),
    "anthropic thoughts": (ANTHROPIC, lambda n: {"content": [{"type": "thinking", "thinking": "x"}] * n}),
    "gemini texts": (GEMINI, lambda n: whole_candidate(*[{"text": "x"}, {"text": "y", "thought": True}] * n)),
    "gemini calls": (GEMINI, lambda n: whole_candidate(*[{"functionCall": {"id": "c", "name": "f"}}] * n)),
    "gemini array": (GEMINI, lambda n: [whole_candidate({"text": "x"})] * n),
    "ollama calls": (OLLAMA, lambda n: line(tool_calls=[{"id": "c", "function": {"name": "f"}}] * n)),
    "ollama pictures": (OLLAMA, lambda n: line(images=["AAAA"] * n)),
}


@pytest.mark.parametrize("name", WHOLES)
def test_whole_answers(name):
    """Many parts of each kind, and everything that can be asked of the answer."""
    dialect, make = WHOLES[name]

    def read(data):
        answer = dialect.parse_chat(read_answer(data))
        assert answer.text is not None
        assert answer.thinking is not None
        assert answer.usage is not None
        assert answer.citations is not None
        assert len({one.id for one in answer.tool_calls}) == len(answer.tool_calls)

    assert_linear(read, lambda n: json.dumps(make(n)).encode())


def test_lists_of_models_and_vectors():
    """As many as there are."""

    def read(count):
        model = {"id": "m", "pricing": {"prompt": "0.1"}, "capabilities": ["x"]}
        for dialect, payload in (
            (CHAT, {"data": [model] * count}),
            (ANTHROPIC, {"data": [model] * count}),
            (GEMINI, {"models": [model] * count}),
            (OLLAMA, {"models": [model] * count}),
        ):
            dialect.parse_models(payload)
        CHAT.parse_embed({"data": [{"index": count - 1 - i, "embedding": [0.5, 1]} for i in range(count)]})

    assert_linear(read, int)
